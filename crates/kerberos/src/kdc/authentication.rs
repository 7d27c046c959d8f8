//! The authentication service: who proves to be a client gets a ticket (RFC 4120 3.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::CryptoRng;

use super::issue::{end_time, new_session_key, renew_till};
use super::{Database, Entry, EntryFlags, EntryKey, Failure, Kdc, Refusal, certify};
use crate::asn1::{self, pa};
use crate::crypto::KeyUsage;
use crate::{
    EncTicketPart, EncryptedData, EncryptionType, ErrorCode, KdcOptions, NameType, Principal, TicketFlags,
};

/// What an AS-REQ says.
struct Request {
    padata: Vec<asn1::PaData>,
    options: KdcOptions,
    client: Principal,
    server: Principal,
    from: Option<SystemTime>,
    till: SystemTime,
    renew_till: Option<SystemTime>,
    nonce: i64,
    etypes: Vec<EncryptionType>,
    addresses: Vec<crate::HostAddress>,
}

impl Kdc {
    /// Answers an AS-REQ. `now` has whole seconds, `precisely` is the same moment.
    pub(super) fn authenticate(
        &self,
        request: &[u8],
        now: SystemTime,
        precisely: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Failure> {
        let request = Request::parse(request)?;
        self.grant(&request, now, precisely, rng).map_err(|mut failure| {
            failure.details.client = Some(request.client);
            failure.details.server = Some(request.server);
            failure
        })
    }

    fn grant(
        &self,
        request: &Request,
        now: SystemTime,
        precisely: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Failure> {
        let refuse = |code, text| Err(Failure::from(Refusal::new(code, text)));
        if request.server.realm != self.realm {
            return refuse(ErrorCode::KDC_ERR_WRONG_REALM, "this kdc serves another realm");
        }
        let client = self.find_client(request)?;
        let server = self.find_server(&request.server)?;
        check_account(&client, now)?;
        let offered: Vec<&EntryKey> =
            client.current_keys().filter(|key| request.etypes.contains(&key.key.etype)).collect();
        if offered.is_empty() {
            return refuse(ErrorCode::KDC_ERR_ETYPE_NOSUPP, "no common encryption type");
        }
        let proof = request.padata.iter().find(|padata| padata.padata_type == pa::ENC_TIMESTAMP);
        let (client_key, proved) = match proof {
            Some(padata) => (self.check_proof(&padata.padata_value, &client, &offered, precisely)?, true),
            None if client.flags.contains(EntryFlags::REQUIRES_PREAUTH) => {
                return Err(Failure::from(Refusal::new(
                    ErrorCode::KDC_ERR_PREAUTH_REQUIRED,
                    "proof of identity required",
                ))
                .with_data(hints(&offered)?));
            }
            // The client's preference decides where it proves nothing.
            None => {
                let preferred = request
                    .etypes
                    .iter()
                    .find_map(|etype| offered.iter().find(|key| key.key.etype == *etype));
                match preferred {
                    Some(key) => (*key, false),
                    None => return refuse(ErrorCode::KDC_ERR_ETYPE_NOSUPP, "no common encryption type"),
                }
            }
        };
        // Only now, that a stranger learns nothing about passwords.
        if client.password_expires.is_some_and(|end| end <= now) && !is_password_service(&request.server) {
            return refuse(ErrorCode::KDC_ERR_KEY_EXPIRED, "password has expired");
        }
        if request.options.contains(KdcOptions::POSTDATED)
            || request.from.is_some_and(|from| from > now + self.policy.clock_skew)
        {
            return refuse(ErrorCode::KDC_ERR_CANNOT_POSTDATE, "tickets for the future are not issued");
        }

        let end = end_time(request.till, now, self.policy.max_life, [client.max_life, server.max_life]);
        if end <= now {
            return refuse(ErrorCode::KDC_ERR_NEVER_VALID, "the requested end time has passed");
        }
        let mut flags = allowed_flags(request.options, &client, &server);
        flags |= TicketFlags::INITIAL;
        flags.set(TicketFlags::PRE_AUTHENT, proved);
        let longer = request.options.contains(KdcOptions::RENEWABLE_OK)
            && request.till != UNIX_EPOCH
            && request.till > end;
        let wanted = match (request.options.contains(KdcOptions::RENEWABLE), longer) {
            (true, _) => request.renew_till.or(Some(request.till)),
            (false, true) => Some(request.till),
            (false, false) => None,
        };
        let limits = [client.max_renewable_life, server.max_renewable_life];
        let renew_till = renew_till(wanted, now, end, self.policy.max_renewable_life, limits)
            .filter(|_| !(client.flags | server.flags).contains(EntryFlags::DISALLOW_RENEWABLE));
        flags.set(TicketFlags::RENEWABLE, renew_till.is_some());

        let part = EncTicketPart {
            flags,
            session_key: new_session_key(&request.etypes, rng)?,
            client: client.principal.clone(),
            transited_type: 1,
            transited: Vec::new(),
            auth_time: now,
            start_time: Some(now),
            end_time: end,
            renew_till,
            addresses: request.addresses.clone(),
            authorization_data: Vec::new(),
        };
        let pac = certify::about(&client, part.auth_time)?;
        let (part, ticket) = certify::seal(part, Some(pac), &server, None, self.database.as_ref(), rng)?;
        let mut enc_part = super::ticket_granting::reply_part(
            &part.to_credential(&[], server.principal),
            request.nonce,
            now,
        );
        enc_part.key_expiration = client.password_expires.or(client.expires).map(asn1::time);
        let sealed = asn1::encode("EncASRepPart", &asn1::EncAsRepPart(enc_part))?;
        let cipher =
            client_key.key.encrypt(KeyUsage::AS_REP, hop_secret::SecretBytes::new(sealed).expose(), rng)?;
        let sealed = EncryptedData { etype: client_key.key.etype, kvno: Some(client_key.kvno), cipher };
        let reply = asn1::KdcRep {
            pvno: 5,
            msg_type: 11,
            padata: Some(vec![etype_info2(&[client_key])?]),
            crealm: asn1::string(&client.principal.realm),
            cname: asn1::principal_name(&client.principal),
            ticket: rasn::types::Any::new(ticket),
            enc_part: sealed.to_asn1(),
        };
        Ok(asn1::encode("AS-REP", &asn1::AsRep(reply))?)
    }

    /// The client's entry, by its name or, if it allows for another name in the answer, its enterprise name.
    fn find_client(&self, request: &Request) -> Result<Entry, Failure> {
        let unknown = || Refusal::new(ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, "client not found").into();
        // Who does not allow for another name in the answer must not get one.
        let by_enterprise = request.client.name_type == NameType::ENTERPRISE;
        if by_enterprise && !request.options.contains(KdcOptions::CANONICALIZE) {
            return self.database.lookup(&request.client).ok_or_else(unknown);
        }
        find_user(&request.client, &self.realm, self.database.as_ref()).ok_or_else(unknown)
    }

    pub(super) fn find_server(&self, server: &Principal) -> Result<Entry, Refusal> {
        match self.database.lookup(server) {
            None => Err(Refusal::new(ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN, "server not found")),
            Some(entry) if entry.flags.contains(EntryFlags::LOCKED) => {
                Err(Refusal::new(ErrorCode::KDC_ERR_SERVICE_REVOKED, "the service is locked"))
            }
            Some(entry) if entry.flags.contains(EntryFlags::DISALLOW_SERVICE) => {
                Err(Refusal::new(ErrorCode::KDC_ERR_MUST_USE_USER2USER, "not a service"))
            }
            Some(entry) => Ok(entry),
        }
    }

    /// PA-ENC-TIMESTAMP (RFC 4120 5.2.7.2): the time, sealed with the client's key.
    fn check_proof<'k>(
        &self,
        padata: &[u8],
        client: &'k Entry,
        offered: &[&EntryKey],
        now: SystemTime,
    ) -> Result<&'k EntryKey, Failure> {
        let sealed = EncryptedData::from_asn1(&asn1::decode("PA-ENC-TIMESTAMP", padata)?);
        let key = client
            .key(sealed.etype, None)
            .filter(|key| key.key.etype.is_supported())
            .ok_or(Refusal::new(ErrorCode::KDC_ERR_ETYPE_NOSUPP, "no key of this encryption type"))?;
        let Ok(opened) = key.key.decrypt(KeyUsage::PA_ENC_TIMESTAMP, &sealed.cipher, "PA-ENC-TIMESTAMP")
        else {
            return Err(Failure::from(Refusal::new(
                ErrorCode::KDC_ERR_PREAUTH_FAILED,
                "preauthentication failed",
            ))
            .with_data(hints(offered)?));
        };
        let stamp: asn1::PaEncTsEnc = asn1::decode("PA-ENC-TS-ENC", opened.expose())?;
        let time = asn1::precise(&stamp.patimestamp, stamp.pausec.unwrap_or(0))?;
        if apart(time, now) > self.policy.clock_skew {
            return Err(Refusal::new(ErrorCode::KRB_AP_ERR_SKEW, "clock skew too great").into());
        }
        Ok(key)
    }
}

impl Request {
    fn parse(der: &[u8]) -> Result<Self, crate::Error> {
        let asn1::AsReq(request) = asn1::decode("AS-REQ", der)?;
        let body: asn1::KdcReqBody = asn1::decode("KDC-REQ-BODY", request.req_body.as_bytes())?;
        let missing = |what| asn1::malformed("KDC-REQ-BODY", format!("no {what}"));
        if request.pvno != 5 || request.msg_type != 10 {
            return Err(asn1::malformed("AS-REQ", "another version or message type"));
        }
        let client = body.cname.as_ref().ok_or_else(|| missing("cname"))?;
        let server = body.sname.as_ref().ok_or_else(|| missing("sname"))?;
        Ok(Self {
            padata: request.padata.unwrap_or_default(),
            options: KdcOptions::from_bits_retain(asn1::bits(&body.kdc_options)),
            client: asn1::principal(client, &body.realm)?,
            server: asn1::principal(server, &body.realm)?,
            from: body.from.as_ref().map(asn1::system_time),
            till: asn1::system_time(&body.till),
            renew_till: body.rtime.as_ref().map(asn1::system_time),
            nonce: body.nonce,
            etypes: body.etype.iter().copied().map(EncryptionType::from_number).collect(),
            addresses: asn1::host_addresses(body.addresses.as_ref()),
        })
    }
}

/// A user's entry, by name or by an enterprise name (RFC 6806 5) of this realm.
pub(super) fn find_user(user: &Principal, realm: &str, database: &dyn Database) -> Option<Entry> {
    let ([name], NameType::ENTERPRISE) = (&user.components[..], user.name_type) else {
        return database.lookup(user);
    };
    let (name, domain) = name.rsplit_once('@').unwrap_or((name, realm));
    domain.eq_ignore_ascii_case(realm).then(|| database.lookup(&Principal::new(realm, &[name]))).flatten()
}

/// Whether the account may be used at all.
pub(super) fn check_account(client: &Entry, now: SystemTime) -> Result<(), Refusal> {
    if client.flags.contains(EntryFlags::LOCKED) {
        return Err(Refusal::new(ErrorCode::KDC_ERR_CLIENT_REVOKED, "the account is locked"));
    }
    match client.expires {
        Some(end) if end <= now => Err(Refusal::new(ErrorCode::KDC_ERR_NAME_EXP, "the account has expired")),
        _ => Ok(()),
    }
}

/// The flags that were asked for and that neither account forbids.
fn allowed_flags(options: KdcOptions, client: &Entry, server: &Entry) -> TicketFlags {
    let forbidden = client.flags | server.flags;
    let mut flags = TicketFlags::empty();
    flags.set(
        TicketFlags::FORWARDABLE,
        options.contains(KdcOptions::FORWARDABLE) && !forbidden.contains(EntryFlags::DISALLOW_FORWARDABLE),
    );
    flags.set(
        TicketFlags::PROXIABLE,
        options.contains(KdcOptions::PROXIABLE) && !forbidden.contains(EntryFlags::DISALLOW_PROXIABLE),
    );
    flags
}

/// METHOD-DATA: how the client can prove itself, and what makes its keys of a password.
fn hints(keys: &[&EntryKey]) -> Result<Vec<u8>, Failure> {
    let timestamp = asn1::PaData { padata_type: pa::ENC_TIMESTAMP, padata_value: Vec::new().into() };
    let methods: asn1::MethodData = vec![etype_info2(keys)?, timestamp];
    Ok(asn1::encode("METHOD-DATA", &methods)?)
}

fn etype_info2(keys: &[&EntryKey]) -> Result<asn1::PaData, crate::Error> {
    let entries: asn1::EtypeInfo2 = keys
        .iter()
        .map(|key| asn1::EtypeInfo2Entry {
            etype: key.key.etype.number(),
            salt: key.salt.as_deref().map(asn1::string),
            s2kparams: None,
        })
        .collect();
    let value = asn1::encode("ETYPE-INFO2", &entries)?;
    Ok(asn1::PaData { padata_type: pa::ETYPE_INFO2, padata_value: value.into() })
}

fn is_password_service(server: &Principal) -> bool {
    matches!(server.components.as_slice(), [first, second] if first == "kadmin" && second == "changepw")
}

pub(super) fn apart(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|negative| negative.duration())
}
