use std::time::SystemTime;

use hop_kerberos::gss::ChannelBindings;
use hop_secret::{Secret, SecretString};
use rand_core::CryptoRng;

use super::{
    AvFlags, AvId, AvPairs, Context, NtHash, NtlmError, crypto,
    message::{self, Authenticate, Challenge, ClientChallenge, Flags, Negotiate, utf16},
};
use crate::UserName;

/// Who the client is.
#[derive(Clone, Debug)]
pub struct Credential {
    name: UserName,
    hash: NtHash,
}

impl Credential {
    /// By password, which is not kept.
    pub fn with_password(name: UserName, password: &SecretString) -> Self {
        Self { name, hash: NtHash::of_password(password) }
    }

    /// By the password's NT hash.
    pub fn with_hash(name: UserName, hash: NtHash) -> Self {
        Self { name, hash }
    }

    /// The user's name.
    pub fn name(&self) -> &UserName {
        &self.name
    }
}

/// What goes into the client's messages.
#[derive(Clone, Debug, Default)]
pub struct InitiatorOptions {
    /// The service principal name that is meant, such as `HTTP/servera.corp.test`. It is part of the proof, so that
    /// a server can refuse a proof that was made for another one.
    pub target_name: Option<String>,
    /// The bindings of the TLS connection, if there is one.
    pub channel_bindings: Option<ChannelBindings>,
    /// This machine's name, for the server's log.
    pub workstation: String,
}

/// Makes the first message.
#[derive(Debug)]
pub struct Initiator;

impl Initiator {
    /// The NEGOTIATE message, and what awaits the CHALLENGE. `now` counts only if the server has no clock.
    pub fn start(
        credential: Credential,
        options: InitiatorOptions,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> (Vec<u8>, ExpectChallenge) {
        let mut challenge = [0; 8];
        rng.fill_bytes(&mut challenge);
        let mut exported = [0; 16];
        rng.fill_bytes(&mut exported);
        let negotiate = Negotiate { flags: OFFERED }.encode();
        let state = ExpectChallenge {
            credential,
            options,
            time: message::file_time(now),
            challenge,
            exported: Secret::new(exported),
            negotiate: negotiate.clone(),
        };
        (negotiate, state)
    }
}

const OFFERED: Flags = Flags::UNICODE
    .union(Flags::REQUEST_TARGET)
    .union(Flags::SIGN)
    .union(Flags::SEAL)
    .union(Flags::NTLM)
    .union(Flags::ALWAYS_SIGN)
    .union(Flags::EXTENDED_SESSIONSECURITY)
    .union(Flags::TARGET_INFO)
    .union(Flags::VERSION)
    .union(Flags::KEY_128)
    .union(Flags::KEY_EXCH)
    .union(Flags::KEY_56);

/// Awaits the server's CHALLENGE.
#[derive(Debug)]
pub struct ExpectChallenge {
    credential: Credential,
    options: InitiatorOptions,
    time: u64,
    challenge: [u8; 8],
    exported: Secret<[u8; 16]>,
    negotiate: Vec<u8>,
}

impl ExpectChallenge {
    /// Answers the CHALLENGE: the AUTHENTICATE message and the session.
    ///
    /// # Errors
    /// A server that lacks what a safe session needs.
    pub fn handle(self, token: &[u8]) -> Result<(Vec<u8>, Context), NtlmError> {
        let challenge = Challenge::decode(token)?;
        challenge.flags.check_required()?;
        let mut pairs = challenge.target_info.ok_or(NtlmError::Weak("NTLMv2 target information"))?;
        let time = pairs.get(AvId::TIMESTAMP).and_then(<[u8]>::first_chunk);
        let time = time.map_or(self.time, |bytes| u64::from_le_bytes(*bytes));
        self.complete_pairs(&mut pairs);
        let blob = ClientChallenge { time, challenge: self.challenge, pairs }.encode();

        let name = &self.credential.name;
        let v2_key = self.credential.hash.v2_key(&name.user, &name.domain);
        let (proof, base) = crypto::prove(&v2_key, &challenge.server_challenge, &blob);
        let authenticate = Authenticate {
            flags: OFFERED.intersection(challenge.flags),
            // LMv2 would be a second, weaker proof of the same password.
            lm_response: vec![0; 24],
            nt_response: [proof.as_slice(), &blob].concat(),
            domain: name.domain.clone(),
            user: name.user.clone(),
            workstation: self.options.workstation,
            encrypted_session_key: crypto::exchange_key(&base, self.exported.expose()).to_vec(),
        };
        let mut authenticate = authenticate.encode()?;
        let mic = crypto::mic(&self.exported, [&self.negotiate, token, &authenticate]);
        if let Some(place) = authenticate.get_mut(Authenticate::MIC_AT) {
            place.copy_from_slice(&mic);
        }
        Ok((authenticate, Context::client(&self.exported)))
    }

    fn complete_pairs(&self, pairs: &mut AvPairs) {
        // What the server may have put there is not its to say.
        for id in [AvId::CHANNEL_BINDINGS, AvId::TARGET_NAME, AvId::SINGLE_HOST] {
            pairs.remove(id);
        }
        pairs.set(AvId::FLAGS, AvFlags::MIC.to_le_bytes().to_vec());
        if let Some(bindings) = &self.options.channel_bindings {
            pairs.set(AvId::CHANNEL_BINDINGS, bindings.hash().to_vec());
        }
        if let Some(name) = &self.options.target_name {
            pairs.set(AvId::TARGET_NAME, utf16(name));
        }
    }
}
