use std::time::SystemTime;

use hop_kerberos::gss::{BindingPolicy, ChannelBindings};
use hop_secret::Secret;
use subtle::ConstantTimeEq as _;

use super::{
    AvFlags, AvId, AvPairs, Context, NtHash, NtlmError, SessionBaseKey, crypto,
    message::{self, Authenticate, Challenge, ClientChallenge, Flags, Negotiate, text, utf16},
};
use crate::UserName;

/// What the server says of itself and demands of clients.
#[derive(Clone, Debug)]
pub struct AcceptorOptions {
    /// The server's NetBIOS name, such as `SERVERA`. A domain controller verifies a proof only if this and the
    /// domain are those of the member that asks.
    pub computer: String,
    /// The NetBIOS name of its domain, or of itself if it has none.
    pub domain: String,
    /// The server's DNS name; may be empty.
    pub dns_computer: String,
    /// The DNS name of its domain; may be empty.
    pub dns_domain: String,
    /// The bindings of this TLS connection. Without any there is nothing to compare and no policy applies.
    pub channel_bindings: Option<ChannelBindings>,
    /// What to do about channel bindings.
    pub binding_policy: BindingPolicy,
    /// The service principal names that this server answers to, compared without regard to case; empty for all.
    pub targets: Vec<String>,
    /// With channel bindings of this connection: a client that brings none must name one of these services, so that
    /// nobody passes a proof on that was meant for another. Not looked at with [`BindingPolicy::None`].
    pub unbound_targets: Option<Vec<String>>,
    /// Refuse clients that do not name the service they mean.
    pub target_required: bool,
    /// Refuse clients that do not protect the three messages. Every client since Windows 7 does.
    pub mic_required: bool,
}

impl AcceptorOptions {
    /// A server of this NetBIOS name, without domain; every service name, relaxed bindings, MIC required.
    pub fn new(computer: &str) -> Self {
        Self {
            computer: computer.to_owned(),
            domain: computer.to_owned(),
            dns_computer: String::new(),
            dns_domain: String::new(),
            channel_bindings: None,
            binding_policy: BindingPolicy::default(),
            targets: Vec::new(),
            unbound_targets: None,
            target_required: false,
            mic_required: true,
        }
    }
}

/// Awaits the NEGOTIATE message of one connection.
#[derive(Debug)]
pub struct Acceptor {
    options: AcceptorOptions,
    server_challenge: [u8; 8],
    time: u64,
}

impl Acceptor {
    /// An acceptor with a challenge that nobody can foresee and that is never used twice. Whoever verifies the proof
    /// should have made it.
    pub fn new(options: AcceptorOptions, server_challenge: [u8; 8], now: SystemTime) -> Self {
        Self { options, server_challenge, time: message::file_time(now) }
    }

    /// The CHALLENGE message, and what awaits the AUTHENTICATE.
    ///
    /// # Errors
    /// A client that lacks what a safe session needs.
    pub fn handle(self, token: &[u8]) -> Result<(Vec<u8>, ExpectAuthenticate), NtlmError> {
        let offered = Negotiate::decode(token)?.flags;
        offered.check_required()?;
        let mut pairs = AvPairs::default();
        for (id, value) in [
            (AvId::NB_DOMAIN_NAME, &self.options.domain),
            (AvId::NB_COMPUTER_NAME, &self.options.computer),
            (AvId::DNS_DOMAIN_NAME, &self.options.dns_domain),
            (AvId::DNS_COMPUTER_NAME, &self.options.dns_computer),
        ] {
            if !value.is_empty() {
                pairs.set(id, utf16(value));
            }
        }
        pairs.set(AvId::TIMESTAMP, self.time.to_le_bytes().to_vec());
        let echoed = Flags::UNICODE
            | Flags::SIGN
            | Flags::SEAL
            | Flags::ALWAYS_SIGN
            | Flags::EXTENDED_SESSIONSECURITY
            | Flags::KEY_128
            | Flags::KEY_EXCH
            | Flags::KEY_56
            | Flags::VERSION;
        let added = Flags::NTLM | Flags::REQUEST_TARGET | Flags::TARGET_INFO | Flags::TARGET_TYPE_SERVER;
        let challenge = Challenge {
            flags: offered.intersection(echoed) | added,
            server_challenge: self.server_challenge,
            target_name: self.options.computer.clone(),
            target_info: Some(pairs),
        }
        .encode()?;
        let next = ExpectAuthenticate {
            options: self.options,
            server_challenge: self.server_challenge,
            negotiate: token.to_vec(),
            challenge: challenge.clone(),
        };
        Ok((challenge, next))
    }
}

/// Awaits the AUTHENTICATE message.
#[derive(Debug)]
pub struct ExpectAuthenticate {
    options: AcceptorOptions,
    server_challenge: [u8; 8],
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
}

impl ExpectAuthenticate {
    /// Checks everything that takes no password; the rest is asked with [`Unverified::question`].
    ///
    /// # Errors
    /// Everything that this acceptor refuses whatever the password.
    pub fn handle(self, token: &[u8]) -> Result<Unverified, NtlmError> {
        let message = Authenticate::decode(token)?;
        message.flags.check_required()?;
        if message.user.is_empty() || message.flags.contains(Flags::ANONYMOUS) {
            return Err(NtlmError::Anonymous);
        }
        let (proof, blob) = message.nt_response.split_first_chunk::<16>().ok_or(NtlmError::NotV2)?;
        // The response of version 1 has 24 bytes; the smallest of version 2 has 48.
        if blob.len() < 32 {
            return Err(NtlmError::NotV2);
        }
        let client = ClientChallenge::decode(blob)?;
        let mic = match client.pairs.number(AvId::FLAGS).unwrap_or_default() & AvFlags::MIC {
            0 if self.options.mic_required => return Err(NtlmError::MicMissing),
            0 => None,
            _ => {
                let mic = token.get(Authenticate::MIC_AT).and_then(<[u8]>::first_chunk);
                Some(*mic.ok_or(NtlmError::MicMissing)?)
            }
        };
        let encrypted_key = message.encrypted_session_key.as_slice();
        let encrypted_key = *<&[u8; 16]>::try_from(encrypted_key)
            .map_err(|_| NtlmError::Malformed("the encrypted session key has not 16 bytes"))?;
        self.check_bindings(&client.pairs)?;
        self.check_target(&client.pairs)?;
        let question = Question {
            name: UserName { domain: message.domain, user: message.user },
            workstation: message.workstation,
            server_challenge: self.server_challenge,
            proof: *proof,
            blob: blob.to_vec(),
        };
        Ok(Unverified { expected: self, question, encrypted_key, mic, authenticate: token.to_vec() })
    }

    fn check_bindings(&self, pairs: &AvPairs) -> Result<(), NtlmError> {
        let Some(ours) = &self.options.channel_bindings else { return Ok(()) };
        // Zeros say that the client knows of bindings and has none.
        let theirs = pairs.get(AvId::CHANNEL_BINDINGS).filter(|hash| hash.iter().any(|b| *b != 0));
        match (self.options.binding_policy, theirs) {
            (BindingPolicy::None, _) => Ok(()),
            (BindingPolicy::Relaxed, None) => match &self.options.unbound_targets {
                Some(targets) => Self::check_name(pairs, targets, true),
                None => Ok(()),
            },
            (BindingPolicy::Strict, None) => Err(NtlmError::BindingsMissing),
            (_, Some(hash)) if bool::from(ours.hash().ct_eq(hash)) => Ok(()),
            (_, Some(_)) => Err(NtlmError::BindingsMismatch),
        }
    }

    fn check_target(&self, pairs: &AvPairs) -> Result<(), NtlmError> {
        Self::check_name(pairs, &self.options.targets, self.options.target_required)
    }

    fn check_name(pairs: &AvPairs, targets: &[String], required: bool) -> Result<(), NtlmError> {
        let untrusted = pairs.number(AvId::FLAGS).unwrap_or_default() & AvFlags::UNTRUSTED_TARGET != 0;
        let name = pairs.get(AvId::TARGET_NAME).map(text).transpose()?.filter(|name| !name.is_empty());
        let Some(name) = name.filter(|_| !untrusted) else {
            return if required { Err(NtlmError::TargetMissing) } else { Ok(()) };
        };
        let known = |target: &String| target.to_lowercase() == name.to_lowercase();
        if targets.is_empty() || targets.iter().any(known) {
            return Ok(());
        }
        let got = name.chars().filter(|c| !c.is_control()).take(80).collect();
        Err(NtlmError::WrongTarget { got })
    }
}

/// What must be asked of whoever knows the passwords' hashes: an NT hash file, or a domain controller by winbind
/// ([`NtlmServer1`](super::NtlmServer1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who the client says it is.
    pub name: UserName,
    /// The client's machine, as it says.
    pub workstation: String,
    /// The challenge that the server gave.
    pub server_challenge: [u8; 8],
    /// The NT proof.
    pub proof: [u8; 16],
    /// The client challenge structure, over which the proof goes.
    pub blob: Vec<u8>,
}

impl Question {
    /// Checks the proof with the password's hash.
    ///
    /// # Errors
    /// [`NtlmError::WrongCredentials`].
    pub fn verify(&self, hash: &NtHash) -> Result<SessionBaseKey, NtlmError> {
        let key = hash.v2_key(&self.name.user, &self.name.domain);
        let (proof, base) = crypto::prove(&key, &self.server_challenge, &self.blob);
        if bool::from(proof.ct_eq(&self.proof)) { Ok(base) } else { Err(NtlmError::WrongCredentials) }
    }
}

/// Whoever can tell whether a proof is right.
pub trait Verifier {
    /// The session base key, if the proof is the user's.
    ///
    /// # Errors
    /// [`NtlmError::WrongCredentials`] for a wrong password and for an unknown user alike.
    fn verify(&mut self, question: &Question) -> Result<SessionBaseKey, NtlmError>;
}

/// An AUTHENTICATE message whose proof is not verified yet.
#[derive(Debug)]
pub struct Unverified {
    expected: ExpectAuthenticate,
    question: Question,
    encrypted_key: [u8; 16],
    mic: Option<[u8; 16]>,
    authenticate: Vec<u8>,
}

impl Unverified {
    /// What to ask.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The client protects the three messages, and therefore can protect SPNEGO's list of mechanisms too.
    pub(crate) fn has_mic(&self) -> bool {
        self.mic.is_some()
    }

    /// Goes on with the answer.
    ///
    /// # Errors
    /// [`NtlmError::MicWrong`].
    pub fn verified(mut self, base: &SessionBaseKey) -> Result<Context, NtlmError> {
        let exported = Secret::new(crypto::exchange_key(base, &self.encrypted_key));
        if let Some(mic) = self.mic {
            if let Some(place) = self.authenticate.get_mut(Authenticate::MIC_AT) {
                place.fill(0);
            }
            let messages = [&self.expected.negotiate, &self.expected.challenge, &self.authenticate];
            if !bool::from(crypto::mic(&exported, messages.map(Vec::as_slice)).ct_eq(&mic)) {
                return Err(NtlmError::MicWrong);
            }
        }
        Ok(Context::server(&exported))
    }
}
