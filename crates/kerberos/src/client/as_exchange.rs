//! The AS exchange (RFC 4120 3.1): a TGT for a password or a key.

use std::time::{Duration, SystemTime};

use hop_secret::SecretString;
use rand_core::CryptoRng;

use super::reply::{self, Expected, Reply};
use super::{DEFAULT_ENCRYPTION_TYPES, DEFAULT_LIFETIME, Request, nonce, whole_seconds};
use crate::ap::{DEFAULT_CLOCK_SKEW, check_skew};
use crate::asn1::{self, decode, encode, pa};
use crate::crypto::KeyUsage;
use crate::{
    Credential, EncryptionKey, EncryptionType, Error, ErrorCode, HostAddress, KdcError, KdcOptions, Principal,
};

/// How many requests one exchange may take: referrals, preauthentication, one more for a changed clock.
const MAX_REQUESTS: usize = 10;

/// What the client knows.
#[derive(Clone, Debug)]
pub enum ClientSecret {
    /// A password; the KDC names salt and parameters.
    Password(SecretString),
    /// Keys, as a keytab has them: of one principal and of its newest version.
    Keys(Vec<EncryptionKey>),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct AsOptions {
    /// Who asks.
    pub client: Principal,
    /// For what; none is the TGT of the client's realm.
    pub server: Option<Principal>,
    /// FORWARDABLE, RENEWABLE, CANONICALIZE and so on.
    pub kdc_options: KdcOptions,
    /// For how long.
    pub lifetime: Duration,
    /// For how long it shall be renewable; sets RENEWABLE.
    pub renewable_for: Option<Duration>,
    /// The encryption types the client takes, best first.
    pub encryption_types: Vec<EncryptionType>,
    /// Addresses the ticket shall be bound to; empty means none.
    pub addresses: Vec<HostAddress>,
    /// How far the clocks may be apart.
    pub clock_skew: Duration,
}

impl AsOptions {
    /// A forwardable TGT for a day, everything else as usual.
    pub fn new(client: Principal) -> Self {
        Self {
            client,
            server: None,
            kdc_options: KdcOptions::FORWARDABLE | KdcOptions::RENEWABLE_OK,
            lifetime: DEFAULT_LIFETIME,
            renewable_for: None,
            encryption_types: DEFAULT_ENCRYPTION_TYPES.to_vec(),
            addresses: Vec::new(),
            clock_skew: DEFAULT_CLOCK_SKEW,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct AsOutcome {
    /// The ticket.
    pub credential: Credential,
    /// When the password expires, if the KDC told.
    pub password_expires: Option<SystemTime>,
}

/// The salt and parameters of one encryption type, as ETYPE-INFO2 has them.
#[derive(Clone, Debug)]
struct KeyInfo {
    etype: EncryptionType,
    salt: Option<String>,
    params: Option<Vec<u8>>,
}

/// The machine.
#[derive(Debug)]
pub struct AsExchange {
    options: AsOptions,
    secret: ClientSecret,
    nonce: u32,
    till: SystemTime,
    renew_till: Option<SystemTime>,
    infos: Vec<KeyInfo>,
    key: Option<(KeyInfo, EncryptionKey)>,
    preauthenticated: bool,
    outgoing: Option<Request>,
    requests: usize,
}

impl AsExchange {
    /// Begins: the first request carries no preauthentication, so that the KDC names the salt.
    ///
    /// # Errors
    /// No usable encryption type.
    pub fn new(
        options: AsOptions,
        secret: ClientSecret,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, Error> {
        let now = whole_seconds(now);
        let mut exchange = Self {
            nonce: 0,
            till: now + options.lifetime,
            renew_till: options.renewable_for.map(|d| now + d),
            infos: Vec::new(),
            key: None,
            preauthenticated: false,
            outgoing: None,
            requests: 0,
            options,
            secret,
        };
        if exchange.usable_types().is_empty() {
            return Err(Error::NoCommonEncryptionType(Vec::new()));
        }
        exchange.send(Vec::new(), rng)?;
        Ok(exchange)
    }

    /// The request to send, once.
    pub fn poll_transmit(&mut self) -> Option<Request> {
        self.outgoing.take()
    }

    /// Takes the KDC's reply. `None` means that there is another request to send.
    ///
    /// # Errors
    /// [`Error::Kdc`] with the KDC's code (wrong password: `KDC_ERR_PREAUTH_FAILED`; unknown principal:
    /// `KDC_ERR_C_PRINCIPAL_UNKNOWN`), [`Error::ClockSkew`], [`Error::ReplyMismatch`], [`Error::Integrity`] for a
    /// wrong password where the KDC asked for no preauthentication.
    pub fn handle_reply(
        &mut self,
        bytes: &[u8],
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<AsOutcome>, Error> {
        match reply::parse(bytes, 11)? {
            Ok(reply) => self.finish(reply, now).map(Some),
            Err(error) => self.handle_error(error, now, rng).map(|()| None),
        }
    }

    fn handle_error(
        &mut self,
        error: KdcError,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), Error> {
        match error.code {
            ErrorCode::KDC_ERR_PREAUTH_REQUIRED if !self.preauthenticated => {
                let methods: asn1::MethodData =
                    decode("METHOD-DATA", error.data.as_deref().unwrap_or_default())?;
                self.take_key_infos(&methods)?;
                if !methods.iter().any(|m| m.padata_type == pa::ENC_TIMESTAMP) {
                    return Err(Error::PreauthUnsupported(methods.iter().map(|m| m.padata_type).collect()));
                }
                let timestamp = self.encrypted_timestamp(now, rng)?;
                self.preauthenticated = true;
                self.send(vec![timestamp], rng)
            }
            // The client is known in another realm (RFC 6806 7).
            ErrorCode::KDC_ERR_WRONG_REALM if self.options.server.is_none() => match &error.client {
                Some(client) if !client.realm.is_empty() && client.realm != self.options.client.realm => {
                    self.options.client.realm.clone_from(&client.realm);
                    self.infos.clear();
                    self.key = None;
                    self.preauthenticated = false;
                    self.send(Vec::new(), rng)
                }
                _ => Err(error.into()),
            },
            _ => Err(reply::kdc_error(error, now, self.options.clock_skew)),
        }
    }

    /// The types that are supported, wanted and, for a keytab, there.
    fn usable_types(&self) -> Vec<EncryptionType> {
        let held = |etype: EncryptionType| match &self.secret {
            ClientSecret::Password(_) => true,
            ClientSecret::Keys(keys) => keys.iter().any(|k| k.etype == etype),
        };
        let wanted = self.options.encryption_types.iter().copied();
        wanted.filter(|e| e.is_supported() && held(*e)).collect()
    }

    fn take_key_infos(&mut self, padata: &[asn1::PaData]) -> Result<(), Error> {
        let Some(info) = padata.iter().find(|p| p.padata_type == pa::ETYPE_INFO2) else { return Ok(()) };
        let entries: asn1::EtypeInfo2 = decode("ETYPE-INFO2", &info.padata_value)?;
        self.infos = entries
            .iter()
            .map(|e| {
                Ok(KeyInfo {
                    etype: EncryptionType::from_number(e.etype),
                    salt: e.salt.as_ref().map(asn1::text).transpose()?,
                    params: e.s2kparams.as_ref().map(|p| p.to_vec()),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(())
    }

    /// The key for preauthentication: of the first type the KDC names that we have.
    fn preauth_key(&mut self) -> Result<EncryptionKey, Error> {
        let usable = self.usable_types();
        let etype = match self.infos.iter().find(|i| usable.contains(&i.etype)) {
            Some(info) => info.etype,
            None if self.infos.is_empty() => {
                *usable.first().ok_or_else(|| Error::NoCommonEncryptionType(Vec::new()))?
            }
            None => {
                let offered = self.infos.iter().map(|i| i.etype.number()).collect();
                return Err(Error::NoCommonEncryptionType(offered));
            }
        };
        self.client_key(etype)
    }

    /// The client's long-term key of a type. Derived from a password once.
    fn client_key(&mut self, etype: EncryptionType) -> Result<EncryptionKey, Error> {
        let default = KeyInfo { etype, salt: None, params: None };
        let info = self.infos.iter().find(|i| i.etype == etype).cloned().unwrap_or(default);
        let client = &self.options.client;
        match (&self.secret, &self.key) {
            (ClientSecret::Keys(keys), _) => keys
                .iter()
                .find(|k| k.etype == etype)
                .cloned()
                .ok_or_else(|| Error::NoKey { principal: client.clone(), etype, kvno: None }),
            (_, Some((known, key)))
                if known.etype == etype && known.salt == info.salt && known.params == info.params =>
            {
                Ok(key.clone())
            }
            (ClientSecret::Password(password), _) => {
                let salt = info.salt.clone().unwrap_or_else(|| client.default_salt());
                let password = password.expose().as_bytes();
                let key =
                    EncryptionKey::from_password(etype, password, salt.as_bytes(), info.params.as_deref())?;
                self.key = Some((info, key.clone()));
                Ok(key)
            }
        }
    }

    fn encrypted_timestamp(
        &mut self,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<asn1::PaData, Error> {
        let key = self.preauth_key()?;
        let stamp = asn1::PaEncTsEnc { patimestamp: asn1::time(now), pausec: Some(asn1::microseconds(now)) };
        let cipher = key.encrypt(KeyUsage::PA_ENC_TIMESTAMP, &encode("PA-ENC-TS-ENC", &stamp)?, rng)?;
        let data = asn1::EncryptedData { etype: key.etype.number(), kvno: None, cipher: cipher.into() };
        Ok(asn1::PaData {
            padata_type: pa::ENC_TIMESTAMP,
            padata_value: encode("PA-ENC-TIMESTAMP", &data)?.into(),
        })
    }

    fn server(&self) -> Principal {
        let realm = &self.options.client.realm;
        self.options.server.clone().unwrap_or_else(|| Principal::krbtgt(realm, realm))
    }

    fn send(&mut self, padata: Vec<asn1::PaData>, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            return Err(Error::Limit { what: "requests of one AS exchange", limit: MAX_REQUESTS });
        }
        self.nonce = nonce(rng);
        let options = &self.options;
        let mut kdc_options = options.kdc_options;
        kdc_options.set(
            KdcOptions::RENEWABLE,
            self.renew_till.is_some() || kdc_options.contains(KdcOptions::RENEWABLE),
        );
        let body = asn1::KdcReqBody {
            kdc_options: asn1::flags(kdc_options.bits()),
            cname: Some(asn1::principal_name(&options.client)),
            realm: asn1::string(&options.client.realm),
            sname: Some(asn1::principal_name(&self.server())),
            from: None,
            till: asn1::time(self.till),
            rtime: self.renew_till.map(asn1::time),
            nonce: i64::from(self.nonce),
            etype: self.usable_types().iter().map(|e| e.number()).collect(),
            addresses: asn1::addresses(&options.addresses),
            enc_authorization_data: None,
            additional_tickets: None,
        };
        let request = asn1::AsReq(asn1::KdcReq {
            pvno: 5,
            msg_type: 10,
            padata: (!padata.is_empty()).then_some(padata),
            req_body: rasn::types::Any::new(encode("KDC-REQ-BODY", &body)?),
        });
        self.outgoing =
            Some(Request { realm: options.client.realm.clone(), bytes: encode("AS-REQ", &request)? });
        Ok(())
    }

    fn finish(&mut self, reply: Reply, now: SystemTime) -> Result<AsOutcome, Error> {
        self.take_key_infos(&reply.padata)?;
        let etype = reply.enc_part.etype;
        if !self.usable_types().contains(&etype) {
            return Err(Error::UnsupportedEncryptionType(etype));
        }
        let canonical = self.options.kdc_options.contains(KdcOptions::CANONICALIZE)
            || self.options.client.name_type == crate::NameType::ENTERPRISE;
        // A canonical name salts the key of a KDC that names no salt.
        let key = self.client_key(etype)?;
        let plain = key.decrypt(KeyUsage::AS_REP, &reply.enc_part.cipher, "AS-REP")?;
        let client = if canonical { reply.client.clone() } else { self.options.client.clone() };
        let server = self.server();
        let credential =
            reply.credential(plain.expose(), &Expected { nonce: self.nonce, client: Some(&client) }, now)?;
        reply::check_session_key(&credential, &self.usable_types())?;
        let both_tgs = server.is_krbtgt() && credential.server.is_krbtgt();
        if credential.server != server && !(canonical && both_tgs) {
            return Err(Error::ReplyMismatch(format!("a ticket for {}, not {server}", credential.server)));
        }
        check_skew(credential.auth_time, now, self.options.clock_skew)?;
        Ok(AsOutcome { credential, password_expires: password_expiry(plain.expose()) })
    }
}

fn password_expiry(plain: &[u8]) -> Option<SystemTime> {
    let part = match asn1::application_tag(plain) {
        Some(25) => decode::<asn1::EncAsRepPart>("EncASRepPart", plain).ok()?.0,
        _ => decode::<asn1::EncTgsRepPart>("EncTGSRepPart", plain).ok()?.0,
    };
    part.key_expiration.as_ref().map(asn1::system_time).filter(|t| *t > SystemTime::UNIX_EPOCH)
}
