//! The TGS exchange (RFC 4120 3.3): tickets for services, forwarded TGTs, and tickets in a user's name ([MS-SFU]).

use std::time::{Duration, SystemTime};

use rand_core::CryptoRng;

use super::reply::{self, Expected};
use super::{DEFAULT_ENCRYPTION_TYPES, Request, nonce, whole_seconds};
use crate::ap::{Authenticator, Checksum, DEFAULT_CLOCK_SKEW, make_ap_req};
use crate::asn1::{self, decode, encode, pa};
use crate::crypto::KeyUsage;
use crate::pac::Pac;
use crate::s4u::{self, ForUser, PacOptions, X509User};
use crate::{
    ApOptions, Credential, EncryptionKey, EncryptionType, Error, HostAddress, KdcOptions, NameType,
    Principal, Ticket, TicketFlags,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct TgsOptions {
    /// For which service. The realm may be another than the TGT's: the KDC then refers.
    pub server: Principal,
    /// FORWARDABLE (left out if the TGT is not), FORWARDED, CANONICALIZE and so on.
    pub kdc_options: KdcOptions,
    /// Until when; none means as long as the TGT.
    pub end_time: Option<SystemTime>,
    /// Until when it shall be renewable.
    pub renew_till: Option<SystemTime>,
    /// The encryption types the client takes for the session key, best first.
    pub encryption_types: Vec<EncryptionType>,
    /// The ticket-granting ticket may have a session key of a deprecated type that is not asked for.
    pub deprecated_keys: bool,
    /// Addresses a forwarded ticket shall be bound to; empty means none.
    pub addresses: Vec<HostAddress>,
    /// Further tickets in DER, as user-to-user and S4U2Proxy need them.
    pub additional_tickets: Vec<Vec<u8>>,
    /// In whose name, if not the TGT's client's.
    pub on_behalf: Option<OnBehalf>,
    /// The asking service's own keys. A KDC that does not prove whom an S4U2Self ticket names (Samba's and Heimdal's do
    /// not) is believed if the ticket itself, opened with one of these, says so.
    pub own_keys: Vec<EncryptionKey>,
    /// How far the clocks may be apart.
    pub clock_skew: Duration,
}

/// A request in a user's name by a service that the user's password or ticket was not given to ([MS-SFU] 1.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnBehalf {
    /// S4U2Self: a ticket that names this user, for the service that asks.
    User(Principal),
    /// S4U2Proxy: a ticket for another service, for the user who showed the ticket in `additional_tickets`.
    Evidence {
        /// Whom that ticket names.
        client: Principal,
    },
}

impl TgsOptions {
    /// A ticket for a service. Asks for a forwardable one, since S4U2Proxy evidence must be, and for referrals.
    pub fn new(server: Principal) -> Self {
        Self {
            server,
            kdc_options: KdcOptions::FORWARDABLE | KdcOptions::CANONICALIZE,
            end_time: None,
            renew_till: None,
            encryption_types: DEFAULT_ENCRYPTION_TYPES.to_vec(),
            deprecated_keys: false,
            addresses: Vec::new(),
            additional_tickets: Vec::new(),
            own_keys: Vec::new(),
            on_behalf: None,
            clock_skew: DEFAULT_CLOCK_SKEW,
        }
    }

    /// S4U2Self ([MS-SFU] 3.1.5.1.1): a ticket that names `user`, for `service`, which is the one that asks.
    pub fn s4u2self(user: Principal, service: Principal) -> Self {
        Self { on_behalf: Some(OnBehalf::User(user)), ..Self::new(service) }
    }

    /// S4U2Proxy ([MS-SFU] 3.1.5.1.2): a ticket for `target` that names whom the evidence, a ticket for the service
    /// that asks, names.
    pub fn s4u2proxy(evidence: &Credential, target: Principal) -> Self {
        let options = Self::new(target);
        Self {
            kdc_options: options.kdc_options | KdcOptions::CNAME_IN_ADDL_TKT,
            additional_tickets: vec![evidence.ticket.clone()],
            on_behalf: Some(OnBehalf::Evidence { client: evidence.client.clone() }),
            ..options
        }
    }

    /// A TGT to forward to another host (RFC 4120 2.6), itself forwardable.
    pub fn forward(tgt: &Credential) -> Self {
        let mut kdc_options = KdcOptions::FORWARDED | KdcOptions::FORWARDABLE;
        kdc_options.set(KdcOptions::RENEWABLE, tgt.flags.contains(TicketFlags::RENEWABLE));
        Self { kdc_options, renew_till: tgt.renew_till, ..Self::new(tgt.server.clone()) }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum TgsOutcome {
    /// The ticket asked for.
    Ticket(Credential),
    /// A TGT for another realm, whose KDC is to be asked next with the same options (RFC 6806 8).
    Referral {
        /// The TGT to go on with.
        tgt: Credential,
        /// The realm to ask.
        realm: String,
    },
}

/// The machine.
#[derive(Clone, Debug)]
pub struct TgsExchange {
    options: TgsOptions,
    client: Principal,
    realm: String,
    session_key: EncryptionKey,
    subkey: EncryptionKey,
    nonce: u32,
    outgoing: Option<Request>,
}

impl TgsExchange {
    /// Begins with a TGT, for the KDC of the realm that the TGT is for.
    ///
    /// # Errors
    /// A credential that is no current TGT, or has a session key of an unsupported type.
    pub fn new(
        tgt: &Credential,
        options: TgsOptions,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, Error> {
        let [_, realm] = tgt.server.components.as_slice() else {
            return Err(Error::Usage("the credential is no ticket-granting ticket"));
        };
        if !tgt.server.is_krbtgt() {
            return Err(Error::Usage("the credential is no ticket-granting ticket"));
        }
        if tgt.end_time <= now {
            return Err(Error::TicketExpired { end_time: tgt.end_time });
        }
        if !options.deprecated_keys {
            reply::check_session_key(tgt, &options.encryption_types)?;
        }
        let nonce = nonce(rng);
        let subkey = EncryptionKey::random(tgt.session_key.etype, rng)?;
        let body = body(tgt, &options, realm, nonce)?;
        let checksum_type = tgt.session_key.etype.checksum_type();
        let authenticator = Authenticator {
            client: tgt.client.clone(),
            checksum: Some(Checksum {
                checksum_type: checksum_type
                    .ok_or(Error::UnsupportedEncryptionType(tgt.session_key.etype))?,
                value: tgt.session_key.checksum_key(KeyUsage::TGS_REQ_CHECKSUM)?.checksum(&[&body]),
            }),
            time: now,
            subkey: Some(subkey.clone()),
            sequence_number: None,
            authorization_data: Vec::new(),
        };
        let ap_req =
            make_ap_req(tgt, ApOptions::empty(), &authenticator, KeyUsage::TGS_REQ_AUTHENTICATOR, rng)?;
        let mut padata = vec![asn1::PaData { padata_type: pa::TGS_REQ, padata_value: ap_req.into() }];
        match &options.on_behalf {
            None => {}
            Some(OnBehalf::User(user)) => padata
                .extend([X509User::padata(user, nonce, &subkey)?, ForUser::padata(user, &tgt.session_key)?]),
            Some(OnBehalf::Evidence { .. }) => padata.push(PacOptions::resource_based()?),
        }
        let request = asn1::TgsReq(asn1::KdcReq {
            pvno: 5,
            msg_type: 12,
            padata: Some(padata),
            req_body: rasn::types::Any::new(body),
        });
        Ok(Self {
            client: tgt.client.clone(),
            session_key: tgt.session_key.clone(),
            subkey,
            nonce,
            outgoing: Some(Request { realm: realm.clone(), bytes: encode("TGS-REQ", &request)? }),
            realm: realm.clone(),
            options,
        })
    }

    /// The request to send, once.
    pub fn poll_transmit(&mut self) -> Option<Request> {
        self.outgoing.take()
    }

    /// Takes the KDC's reply.
    ///
    /// # Errors
    /// [`Error::Kdc`] with the KDC's code, [`Error::ClockSkew`], [`Error::ReplyMismatch`], [`Error::Integrity`].
    pub fn handle_reply(self, bytes: &[u8], now: SystemTime) -> Result<TgsOutcome, Error> {
        let reply = match reply::parse(bytes, 13)? {
            Ok(reply) => reply,
            Err(error) => return Err(reply::kdc_error(error, now, self.options.clock_skew)),
        };
        let cipher = &reply.enc_part.cipher;
        // With a subkey in the request the reply is sealed with it; not every KDC keeps to that.
        let plain = self
            .subkey
            .decrypt(KeyUsage::TGS_REP_SUBKEY, cipher, "TGS-REP")
            .or_else(|_| self.session_key.decrypt(KeyUsage::TGS_REP_SESSION_KEY, cipher, "TGS-REP"))?;
        let proven = match &self.options.on_behalf {
            Some(OnBehalf::User(_)) => s4u::find(&reply.padata, pa::S4U_X509_USER)
                .map(|padata| X509User::open_answer(padata, self.nonce, &self.subkey))
                .transpose()?,
            _ => None,
        };
        let expected = Expected { nonce: self.nonce, client: None };
        let credential = reply.credential(plain.expose(), &expected, now)?;
        reply::check_session_key(&credential, &self.options.encryption_types)?;
        let outcome = self.classify(credential)?;
        self.check_client(&outcome, proven.as_ref())?;
        Ok(outcome)
    }

    /// Whether a ticket for the asking service, opened with its key, names the user.
    fn check_ticket(&self, got: &Credential, user: &Principal) -> Result<(), Error> {
        let ticket = Ticket::parse(&got.ticket)?;
        let opened = self.options.own_keys.iter().find_map(|key| Some((ticket.open(key).ok()?, key)));
        let Some((part, key)) = opened else {
            return Err(Error::ReplyMismatch(
                "it does not prove whom it is for, and no key of the service's own opens the ticket"
                    .to_owned(),
            ));
        };
        if part.client != got.client || part.session_key != got.session_key {
            return Err(Error::ReplyMismatch(format!("its ticket is for {}, not {user}", part.client)));
        }
        // Any name could be what the KDC calls an enterprise name: also the service's own, for a request whose
        // padata somebody on the way has taken out. The directory's own word is in the ticket.
        let named = match user.name_type == NameType::ENTERPRISE {
            false => same_user(user, &part.client),
            true => {
                let upn = Pac::open_foreign(&part, key)?.and_then(|pac| pac.upn());
                let Some(upn) = upn else {
                    return Err(Error::ReplyMismatch(format!("it does not prove that it is for {user}")));
                };
                user.components.len() == 1
                    && user.components.iter().all(|name| name.to_lowercase() == upn.to_lowercase())
            }
        };
        match named {
            true => Ok(()),
            false => Err(Error::ReplyMismatch(format!("its ticket is for {}, not {user}", part.client))),
        }
    }

    /// Whether the ticket names whom it should. The name in a reply is not sealed.
    fn check_client(&self, outcome: &TgsOutcome, proven: Option<&Principal>) -> Result<(), Error> {
        let mismatch = |got: &Principal, expected: &Principal| {
            Err(Error::ReplyMismatch(format!("it is for {got}, not {expected}")))
        };
        match (&self.options.on_behalf, outcome) {
            // On the way to another realm the ticket names who asks, whoever else is in its authorization data.
            (_, TgsOutcome::Referral { tgt: got, .. }) | (None, TgsOutcome::Ticket(got))
                if got.client != self.client =>
            {
                mismatch(&got.client, &self.client)
            }
            (Some(OnBehalf::Evidence { client }), TgsOutcome::Ticket(got)) if got.client != *client => {
                mismatch(&got.client, client)
            }
            (Some(OnBehalf::User(user)), TgsOutcome::Ticket(got)) => match proven {
                // The KDC may write the name in its own way; an enterprise name it must.
                Some(proven) if *proven == got.client && same_user(user, proven) => Ok(()),
                Some(proven) => mismatch(if *proven == got.client { proven } else { &got.client }, user),
                // Whoever can alter messages could have made the request one for the service itself.
                None => self.check_ticket(got, user),
            },
            _ => Ok(()),
        }
    }

    fn classify(&self, credential: Credential) -> Result<TgsOutcome, Error> {
        let (asked, got) = (&self.options.server, &credential.server);
        if got.realm != self.realm {
            return Err(Error::ReplyMismatch(format!("a ticket of realm {}, not {}", got.realm, self.realm)));
        }
        if got.components == asked.components {
            if self.options.kdc_options.contains(KdcOptions::FORWARDED)
                && !credential.flags.contains(TicketFlags::FORWARDED)
            {
                return Err(Error::ReplyMismatch("the ticket is not a forwarded one".to_owned()));
            }
            return Ok(TgsOutcome::Ticket(credential));
        }
        // Asked for a service and got the way to another realm; or asked for the way to a far realm and got the
        // way to a nearer one.
        match got.components.as_slice() {
            [_, realm] if got.is_krbtgt() && *realm != self.realm => {
                Ok(TgsOutcome::Referral { realm: realm.clone(), tgt: credential })
            }
            _ => Err(Error::ReplyMismatch(format!("a ticket for {got}, not {asked}"))),
        }
    }
}

/// The account's own name in a ticket that names its user by a user principal name, by the directory's word in it. For
/// tickets that one of the keys opens.
///
/// # Errors
/// A PAC that is malformed or not signed with the key.
pub fn account_in(ticket: &Credential, keys: &[EncryptionKey]) -> Result<Option<Principal>, Error> {
    let sealed = Ticket::parse(&ticket.ticket)?;
    let opened = keys.iter().find_map(|key| Some((sealed.open(key).ok()?, key)));
    let Some((part, key)) = opened else { return Ok(None) };
    let name = Pac::open_foreign(&part, key)?.and_then(|pac| pac.account_name());
    Ok(name.map(|name| Principal::new(part.client.realm.clone(), &[&name])))
}

/// Whether the KDC's name for a user can be meant by ours: names in a directory have no case.
fn same_user(asked: &Principal, got: &Principal) -> bool {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    asked.name_type == NameType::ENTERPRISE
        || (same(&asked.realm, &got.realm)
            && asked.components.len() == got.components.len()
            && asked.components.iter().zip(&got.components).all(|(a, b)| same(a, b)))
}

fn body(tgt: &Credential, options: &TgsOptions, realm: &str, nonce: u32) -> Result<Vec<u8>, Error> {
    let tickets = options
        .additional_tickets
        .iter()
        .map(|der| decode::<asn1::Ticket>("Ticket", der))
        .collect::<Result<Vec<_>, _>>()?;
    let mut server = asn1::principal_name(&options.server);
    if server.name_type == NameType::UNKNOWN.0 {
        server.name_type = NameType::PRINCIPAL.0;
    }
    let mut kdc_options = options.kdc_options;
    if !kdc_options.contains(KdcOptions::FORWARDED) && !tgt.flags.contains(TicketFlags::FORWARDABLE) {
        // KDCs refuse the whole request otherwise, and the ticket is wanted all the same.
        kdc_options.remove(KdcOptions::FORWARDABLE);
    }
    encode(
        "KDC-REQ-BODY",
        &asn1::KdcReqBody {
            kdc_options: asn1::flags(kdc_options.bits()),
            cname: None,
            realm: asn1::string(realm),
            sname: Some(server),
            from: None,
            till: asn1::time(whole_seconds(options.end_time.unwrap_or(tgt.end_time))),
            rtime: options.renew_till.map(asn1::time),
            nonce: i64::from(nonce),
            etype: options.encryption_types.iter().filter(|e| e.is_supported()).map(|e| e.number()).collect(),
            addresses: asn1::addresses(&options.addresses),
            enc_authorization_data: None,
            additional_tickets: (!tickets.is_empty()).then_some(tickets),
        },
    )
}
