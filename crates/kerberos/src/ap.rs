//! The AP exchange (RFC 4120 3.2), from both ends: AP-REQ, AP-REP, authenticators and the keys of services.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use crate::asn1::{self, decode, encode};
use crate::crypto::{KeyUsage, SealKeys};
use crate::keytab::Keytab;
use crate::replay::{ReplayCache, ReplayId};
use crate::{
    ApOptions, AuthorizationData, Credential, EncTicketPart, EncryptedData, EncryptionKey, EncryptionType,
    Error, Principal, Ticket,
};

/// How far clocks may be apart unless configured otherwise (RFC 4120 8.2).
pub const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Opens tickets for a service. Who holds the keys is its own business: a keytab, another process, a KDC.
pub trait ServiceKeys {
    /// Opens the sealed part of a ticket.
    ///
    /// # Errors
    /// [`Error::NoKey`] or [`Error::WrongServer`] if there is no key for it, [`Error::Integrity`] if the key there
    /// is does not fit.
    fn decrypt_ticket(&mut self, ticket: &Ticket) -> Result<EncTicketPart, Error>;

    /// Whether clients may come with session keys of a type. Deprecated ones must be allowed.
    fn permits(&self, etype: EncryptionType) -> bool {
        !etype.is_deprecated()
    }
}

/// The keys of a keytab, derived once.
///
/// The entry of the ticket's own service name is tried first, then every other of the same encryption type, since
/// the names of one account share its key. Which service names an acceptor answers to is for
/// [`AcceptorOptions`](crate::gss::AcceptorOptions) to say.
pub struct KeytabKeys {
    entries: Vec<KeytabKey>,
    /// Deprecated types that may be used all the same.
    deprecated: Vec<EncryptionType>,
}

struct KeytabKey {
    principal: Principal,
    kvno: u32,
    key: EncryptionKey,
    seal: SealKeys,
}

impl KeytabKeys {
    /// Takes the keys whose encryption types are supported and not deprecated.
    pub fn new(keytab: &Keytab) -> Self {
        Self::permitting(keytab, &[])
    }

    /// Takes also the keys of deprecated types that a list of permitted ones has (`permitted_enctypes`).
    pub fn permitting(keytab: &Keytab, permitted: &[EncryptionType]) -> Self {
        let deprecated: Vec<EncryptionType> =
            permitted.iter().copied().filter(|etype| etype.is_deprecated()).collect();
        let entry = |e: &crate::keytab::KeytabEntry| {
            if e.key.etype.is_deprecated() && !deprecated.contains(&e.key.etype) {
                return None;
            }
            let seal = e.key.seal_keys(KeyUsage::TICKET).ok()?;
            Some(KeytabKey { principal: e.principal.clone(), kvno: e.kvno, key: e.key.clone(), seal })
        };
        Self { entries: keytab.entries.iter().filter_map(entry).collect(), deprecated }
    }

    /// True if no key can be used.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl ServiceKeys for KeytabKeys {
    fn permits(&self, etype: EncryptionType) -> bool {
        !etype.is_deprecated() || self.deprecated.contains(&etype)
    }

    fn decrypt_ticket(&mut self, ticket: &Ticket) -> Result<EncTicketPart, Error> {
        let (etype, kvno) = (ticket.enc_part.etype, ticket.enc_part.kvno);
        let mut candidates: Vec<&KeytabKey> = self.entries.iter().filter(|e| e.key.etype == etype).collect();
        // Old keytabs keep 8 bits of the key version.
        let fits = |e: &KeytabKey| kvno.is_none_or(|k| k == e.kvno || (e.kvno < 256 && k & 0xff == e.kvno));
        candidates.sort_by_key(|e| (e.principal != ticket.server, !fits(e), std::cmp::Reverse(e.kvno)));
        let named = self.entries.iter().any(|e| e.principal == ticket.server);
        let version_known = candidates.iter().any(|e| e.principal == ticket.server && fits(e));
        for entry in candidates {
            match ticket.open_with(&entry.seal) {
                Err(Error::Integrity(_)) => {}
                other => return other,
            }
        }
        Err(match (named, version_known, self.entries.first()) {
            (true, true, _) => Error::Integrity("Ticket"),
            (false, _, Some(first)) => {
                Error::WrongServer { expected: first.principal.to_string(), got: ticket.server.clone() }
            }
            _ => Error::NoKey { principal: ticket.server.clone(), etype, kvno },
        })
    }
}

impl std::fmt::Debug for KeytabKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|e| (&e.principal, e.kvno, e.key.etype))).finish()
    }
}

/// A checksum with its type's number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checksum {
    /// 15 and 16 go with AES, 0x8003 is the GSS-API's.
    pub checksum_type: i32,
    /// The checksum itself.
    pub value: Vec<u8>,
}

/// What a client says about itself under the session key (RFC 4120 5.5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authenticator {
    /// Must be the client of the ticket.
    pub client: Principal,
    /// Over data that belong to the request; the GSS-API puts its parameters here.
    pub checksum: Option<Checksum>,
    /// The client's clock, with microseconds.
    pub time: SystemTime,
    /// A key of the client's choice for what follows.
    pub subkey: Option<EncryptionKey>,
    /// Where the client starts counting its messages.
    pub sequence_number: Option<u32>,
    /// Restrictions and options of the client's.
    pub authorization_data: Vec<AuthorizationData>,
}

impl Authenticator {
    fn to_der(&self) -> Result<hop_secret::SecretBytes, Error> {
        let checksum =
            |c: &Checksum| asn1::Checksum { cksumtype: c.checksum_type, checksum: c.value.clone().into() };
        encode(
            "Authenticator",
            &asn1::Authenticator {
                authenticator_vno: 5,
                crealm: asn1::string(&self.client.realm),
                cname: asn1::principal_name(&self.client),
                cksum: self.checksum.as_ref().map(checksum),
                cusec: asn1::microseconds(self.time),
                ctime: asn1::time(self.time),
                subkey: self.subkey.as_ref().map(asn1::key),
                seq_number: self.sequence_number.map(i64::from),
                authorization_data: asn1::auth_data(&self.authorization_data),
            },
        )
        .map(Into::into)
    }

    fn parse(der: &[u8]) -> Result<Self, Error> {
        let a: asn1::Authenticator = decode("Authenticator", der)?;
        Ok(Self {
            client: asn1::principal(&a.cname, &a.crealm)?,
            checksum: a.cksum.map(|c| Checksum { checksum_type: c.cksumtype, value: c.checksum.to_vec() }),
            time: asn1::precise(&a.ctime, a.cusec)?,
            subkey: a.subkey.as_ref().map(asn1::encryption_key).transpose()?,
            sequence_number: a.seq_number.map(asn1::low32),
            authorization_data: asn1::authorization_data(a.authorization_data.as_ref()),
        })
    }
}

/// Writes an AP-REQ (RFC 4120 5.5.1). `usage` is [`KeyUsage::AP_REQ_AUTHENTICATOR`], or
/// [`KeyUsage::TGS_REQ_AUTHENTICATOR`] towards a KDC.
///
/// # Errors
/// An unsupported session key, or a credential whose ticket is not DER.
pub fn make_ap_req(
    credential: &Credential,
    options: ApOptions,
    authenticator: &Authenticator,
    usage: KeyUsage,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Error> {
    let cipher = credential.session_key.encrypt(usage, authenticator.to_der()?.expose(), rng)?;
    encode(
        "AP-REQ",
        &asn1::ApReq {
            pvno: 5,
            msg_type: 14,
            ap_options: asn1::flags(options.bits()),
            ticket: rasn::types::Any::new(credential.ticket.clone()),
            authenticator: asn1::EncryptedData {
                etype: credential.session_key.etype.number(),
                kvno: None,
                cipher: cipher.into(),
            },
        },
    )
}

/// An AP-REQ as it came.
#[derive(Clone, Debug)]
pub struct ApRequest {
    /// What the client asks for.
    pub options: ApOptions,
    /// The ticket.
    pub ticket: Ticket,
    /// The ticket's bytes, for evidence.
    pub ticket_der: Vec<u8>,
    authenticator: EncryptedData,
}

/// An AP-REQ whose ticket and authenticator are genuine, current and fresh.
#[derive(Clone, Debug)]
pub struct VerifiedApRequest {
    /// What the ticket says.
    pub ticket_part: EncTicketPart,
    /// What the client says.
    pub authenticator: Authenticator,
}

impl ApRequest {
    /// Reads the DER encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let request: asn1::ApReq = decode("AP-REQ", der)?;
        if (request.pvno, request.msg_type) != (5, 14) {
            return Err(asn1::malformed("AP-REQ", "wrong version or message type"));
        }
        let ticket_der = request.ticket.into_bytes();
        Ok(Self {
            options: ApOptions::from_bits_retain(asn1::bits(&request.ap_options)),
            ticket: Ticket::parse(&ticket_der)?,
            ticket_der,
            authenticator: EncryptedData::from_asn1(&request.authenticator),
        })
    }

    /// Opens ticket and authenticator and checks all that RFC 4120 3.2.3 asks for: names, times, replay.
    ///
    /// # Errors
    /// As the checks go; [`Error::kerberos_code`] has the code for a KRB-ERROR.
    pub fn verify(
        &self,
        keys: &mut dyn ServiceKeys,
        replay: &mut dyn ReplayCache,
        usage: KeyUsage,
        clock_skew: Duration,
        now: SystemTime,
    ) -> Result<VerifiedApRequest, Error> {
        if self.options.contains(ApOptions::USE_SESSION_KEY) {
            return Err(Error::Unexpected {
                expected: "a ticket sealed with a service key",
                got: "a user-to-user request".to_owned(),
            });
        }
        let ticket_part = keys.decrypt_ticket(&self.ticket)?;
        let permitted = |key: &EncryptionKey| match keys.permits(key.etype) {
            true => Ok(()),
            false => Err(Error::UnsupportedEncryptionType(key.etype)),
        };
        permitted(&ticket_part.session_key)?;
        let authenticator = self.open(&ticket_part.session_key, usage)?;
        authenticator.subkey.iter().try_for_each(permitted)?;
        if authenticator.client != ticket_part.client {
            return Err(Error::ClientMismatch {
                authenticator: authenticator.client,
                ticket: ticket_part.client.clone(),
            });
        }
        check_skew(authenticator.time, now, clock_skew)?;
        ticket_part.check_times(now, clock_skew)?;
        replay.check_and_store(replay_id(&self.authenticator.cipher), now, clock_skew * 2)?;
        Ok(VerifiedApRequest { ticket_part, authenticator })
    }

    fn open(&self, session_key: &EncryptionKey, usage: KeyUsage) -> Result<Authenticator, Error> {
        if self.authenticator.etype != session_key.etype {
            return Err(Error::Unexpected {
                expected: "an authenticator of the session key's encryption type",
                got: self.authenticator.etype.to_string(),
            });
        }
        let plain = session_key.decrypt(usage, &self.authenticator.cipher, "Authenticator")?;
        Authenticator::parse(plain.expose())
    }
}

/// The ciphertext is as unique as the confounder in it.
fn replay_id(cipher: &[u8]) -> ReplayId {
    let mut id = [0; 16];
    id.iter_mut().zip(Sha256::digest(cipher)).for_each(|(i, d)| *i = d);
    ReplayId(id)
}

/// Compares two clocks.
///
/// # Errors
/// [`Error::ClockSkew`] if they are more than `limit` apart.
pub fn check_skew(theirs: SystemTime, ours: SystemTime, limit: Duration) -> Result<(), Error> {
    let (skew, ahead) = match theirs.duration_since(ours) {
        Ok(skew) => (skew, true),
        Err(error) => (error.duration(), false),
    };
    if skew > limit { Err(Error::ClockSkew { skew, ahead }) } else { Ok(()) }
}

/// What an acceptor proves itself with (RFC 4120 5.5.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApReply {
    /// The authenticator's time, given back.
    pub time: SystemTime,
    /// A key of the acceptor's choice for what follows.
    pub subkey: Option<EncryptionKey>,
    /// Where the acceptor starts counting its messages.
    pub sequence_number: Option<u32>,
}

impl ApReply {
    /// Writes an AP-REP.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn to_der(&self, session_key: &EncryptionKey, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
        let part = hop_secret::SecretBytes::from(encode(
            "EncAPRepPart",
            &asn1::EncApRepPart {
                ctime: asn1::time(self.time),
                cusec: asn1::microseconds(self.time),
                subkey: self.subkey.as_ref().map(asn1::key),
                seq_number: self.sequence_number.map(i64::from),
            },
        )?);
        let cipher = session_key.encrypt(KeyUsage::AP_REP, part.expose(), rng)?;
        let enc_part =
            asn1::EncryptedData { etype: session_key.etype.number(), kvno: None, cipher: cipher.into() };
        encode("AP-REP", &asn1::ApRep { pvno: 5, msg_type: 15, enc_part })
    }

    /// Opens an AP-REP and checks that it answers the authenticator of time `sent`.
    ///
    /// # Errors
    /// [`Error::Integrity`] from somebody without the session key, [`Error::NoMutualAuthentication`] for an answer
    /// to something else.
    pub fn open(der: &[u8], session_key: &EncryptionKey, sent: SystemTime) -> Result<Self, Error> {
        let reply: asn1::ApRep = decode("AP-REP", der)?;
        if (reply.pvno, reply.msg_type) != (5, 15) {
            return Err(asn1::malformed("AP-REP", "wrong version or message type"));
        }
        if reply.enc_part.etype != session_key.etype.number() {
            return Err(Error::NoMutualAuthentication("the ap-rep is sealed with a key of another type"));
        }
        let plain = session_key.decrypt(KeyUsage::AP_REP, &reply.enc_part.cipher, "AP-REP")?;
        let part: asn1::EncApRepPart = decode("EncAPRepPart", plain.expose())?;
        if part.ctime != asn1::time(sent) || part.cusec != asn1::microseconds(sent) {
            return Err(Error::NoMutualAuthentication("the ap-rep answers another authenticator"));
        }
        Ok(Self {
            time: sent,
            subkey: part.subkey.as_ref().map(asn1::encryption_key).transpose()?,
            sequence_number: part.seq_number.map(asn1::low32),
        })
    }
}

/// Service keys that are just a map from names to keys: for a KDC's own services and for tests.
#[derive(Default, Debug)]
pub struct KeyMap(HashMap<Principal, Vec<EncryptionKey>>);

impl KeyMap {
    /// Adds a key of a service.
    pub fn insert(&mut self, server: Principal, key: EncryptionKey) {
        self.0.entry(server).or_default().push(key);
    }
}

impl ServiceKeys for KeyMap {
    fn decrypt_ticket(&mut self, ticket: &Ticket) -> Result<EncTicketPart, Error> {
        let etype = ticket.enc_part.etype;
        let keys = self.0.get(&ticket.server).map(Vec::as_slice).unwrap_or_default();
        match keys.iter().find(|k| k.etype == etype) {
            Some(key) => ticket.open(key),
            None => Err(Error::NoKey { principal: ticket.server.clone(), etype, kvno: ticket.enc_part.kvno }),
        }
    }
}
