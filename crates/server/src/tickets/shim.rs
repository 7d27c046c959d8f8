//! The KDC of one session: it hands out tickets that were fetched from the real one, and has nothing to steal.
//!
//! The session's credential cache holds a ticket-granting ticket that only this KDC can read. To a program it looks
//! like any domain; so MIT's, Heimdal's and Java's Kerberos all work with it.

use std::time::SystemTime;

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::config::Config;
use hop_kerberos::kdc::{Database as _, Kdc, MemoryDatabase, Policy, Progress, Refusal, Wanted};
use hop_kerberos::{
    Credential, EncTicketPart, EncryptionKey, EncryptionType, Error, ErrorCode, KdcError, KdcOptions,
    Principal, TicketFlags,
};
use rand::CryptoRng;

/// One session's realms, with keys of their own.
pub(crate) struct Shim {
    client: Principal,
    realms: Vec<Kdc>,
    tgts: Vec<Credential>,
}

/// What becomes of a request.
pub(crate) enum Answer {
    /// This is the reply.
    Reply(Vec<u8>),
    /// A ticket is wanted; fetch it and call [`Shim::finish`].
    Fetch { realm: usize, wanted: Box<Wanted> },
    /// It is not about this session's ticket, so it is for the real KDC: somebody logs in as somebody else.
    Relay,
}

impl Shim {
    /// For the client of a ticket that a service of `evidence`'s realm accepted; lives as long as that ticket.
    pub fn new(evidence: &Credential, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let client = evidence.client.clone();
        let mut names = vec![client.realm.clone()];
        if evidence.server.realm != client.realm {
            names.push(evidence.server.realm.clone());
        }
        let (mut realms, mut tgts) = (Vec::new(), Vec::new());
        for realm in names {
            let database = MemoryDatabase::new(&realm, rng)?;
            let krbtgt = Principal::krbtgt(realm.clone(), &realm);
            let entry = database.lookup(&krbtgt).ok_or(Error::Usage("a realm without its own service"))?;
            let key = entry.current_keys().next().ok_or(Error::Usage("a realm without keys"))?;
            let part = EncTicketPart {
                // Not forwardable: what leaves this machine is fetched target by target.
                flags: TicketFlags::INITIAL | TicketFlags::PRE_AUTHENT,
                session_key: EncryptionKey::random(EncryptionType::Aes256CtsHmacSha1, rng)?,
                client: client.clone(),
                transited_type: 1,
                transited: Vec::new(),
                auth_time: evidence.auth_time,
                start_time: evidence.start_time,
                end_time: evidence.end_time,
                renew_till: None,
                addresses: Vec::new(),
                authorization_data: Vec::new(),
            };
            let ticket = part.seal(krbtgt.clone(), &key.key, Some(key.kvno), rng)?.to_der()?;
            tgts.push(part.to_credential(&ticket, krbtgt));
            realms.push(Kdc::new(realm, database, Policy::default()));
        }
        Ok(Self { client, realms, tgts })
    }

    /// The session's credential cache.
    pub fn ccache(&self) -> CredentialCache {
        let mut cache = CredentialCache::new(self.client.clone());
        for tgt in &self.tgts {
            cache.store(tgt.clone());
        }
        cache
    }

    /// The session's krb5.conf: this KDC for its realms, everything else as the host has it.
    pub fn config(&self, host: &Config, port: u16) -> String {
        let default = self.realms.first().map_or("", Kdc::realm);
        let mut text = format!(
            "# Made for this session: its tickets come from the server, one by one.\n[libdefaults]\n  \
             default_realm = {default}\n  dns_lookup_kdc = false\n  dns_lookup_realm = false\n  \
             udp_preference_limit = 1\n"
        );
        for name in ["dns_canonicalize_hostname", "rdns", "qualify_shortname", "ignore_acceptor_hostname"] {
            if let Some(value) = host.libdefault(None, name) {
                text.push_str(&format!("  {name} = {value}\n"));
            }
        }
        text.push_str("[realms]\n");
        for realm in &self.realms {
            text.push_str(&format!("  {} = {{\n    kdc = 127.0.0.1:{port}\n  }}\n", realm.realm()));
        }
        text.push_str("[domain_realm]\n");
        for name in host.names(&["domain_realm"]) {
            if let Some(realm) = host.value(&["domain_realm", name]) {
                text.push_str(&format!("  {name} = {realm}\n"));
            }
        }
        text
    }

    /// Looks at a request.
    pub fn handle(&mut self, request: &[u8], now: SystemTime, rng: &mut dyn CryptoRng) -> Answer {
        let mut refused = None;
        for (realm, kdc) in self.realms.iter_mut().enumerate() {
            // Logging in is the real KDC's business.
            let Some(12) = application_tag(request) else { return Answer::Relay };
            match kdc.begin(request, now, rng) {
                Progress::Wanted(wanted) => {
                    if let Some(refusal) = refusal(&wanted, &self.client) {
                        return Answer::Reply(kdc.finish(&wanted, Err(refusal), now, rng));
                    }
                    return Answer::Fetch { realm, wanted };
                }
                Progress::Reply(reply) => match KdcError::parse(&reply).map(|error| error.code) {
                    Ok(
                        ErrorCode::KRB_AP_ERR_NOT_US
                        | ErrorCode::KRB_AP_ERR_BAD_INTEGRITY
                        | ErrorCode::KRB_AP_ERR_BADKEYVER
                        | ErrorCode::KDC_ERR_WRONG_REALM,
                    ) => {}
                    _ => refused = Some(reply),
                },
                _ => {}
            }
        }
        refused.map_or(Answer::Relay, Answer::Reply)
    }

    /// The reply with the ticket that was fetched, or that it could not be.
    pub fn finish(
        &self,
        realm: usize,
        wanted: &Wanted,
        ticket: Result<Credential, Refusal>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        self.realms.get(realm).map_or_else(Vec::new, |kdc| kdc.finish(wanted, ticket, now, rng))
    }
}

impl Shim {
    /// Tells to ask again by TCP.
    pub fn too_big(&self, now: SystemTime) -> Vec<u8> {
        self.realms.first().map_or_else(Vec::new, |kdc| kdc.too_big(now))
    }

    /// A refusal that belongs to no ticket.
    pub fn error(&self, refusal: Refusal, now: SystemTime) -> Vec<u8> {
        self.realms.first().map_or_else(Vec::new, |kdc| kdc.refuse(refusal, now))
    }
}

/// What this KDC never gives: tickets that could be used to get tickets elsewhere, or that are somebody else's.
fn refusal(wanted: &Wanted, client: &Principal) -> Option<Refusal> {
    let request = &wanted.request;
    let options = KdcOptions::RENEW
        | KdcOptions::VALIDATE
        | KdcOptions::FORWARDED
        | KdcOptions::PROXY
        | KdcOptions::ENC_TKT_IN_SKEY
        | KdcOptions::CNAME_IN_ADDL_TKT;
    if request.client != *client {
        return Some(Refusal::new(ErrorCode::KDC_ERR_POLICY, "not this session's ticket"));
    }
    if request.server.is_krbtgt() || request.options.intersects(options) {
        return Some(Refusal::new(
            ErrorCode::KDC_ERR_BADOPTION,
            "this session has tickets for services only, none to hand on",
        ));
    }
    None
}

/// The number of the message's application tag; RFC 4120's messages all have a short one.
fn application_tag(message: &[u8]) -> Option<u8> {
    message.first().filter(|tag| **tag & 0xE0 == 0x60).map(|tag| tag & 0x1F)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop_kerberos::client::{TgsExchange, TgsOptions, TgsOutcome};
    use std::time::Duration;

    const REALM: &str = "HOP.TEST";

    fn service(name: &str) -> Principal {
        Principal::new(REALM, &["cifs", name])
    }

    /// A ticket for a service, as the real KDC makes them; nobody reads it here.
    fn ticket(client: &Principal, server: Principal, now: SystemTime) -> Credential {
        let rng = &mut rand::rng();
        let key = EncryptionKey::random(EncryptionType::Aes256CtsHmacSha1, rng).unwrap();
        let part = EncTicketPart {
            flags: TicketFlags::FORWARDABLE,
            session_key: EncryptionKey::random(EncryptionType::Aes256CtsHmacSha1, rng).unwrap(),
            client: client.clone(),
            transited_type: 1,
            transited: Vec::new(),
            auth_time: now,
            start_time: Some(now),
            end_time: now + Duration::from_secs(3600),
            renew_till: None,
            addresses: Vec::new(),
            authorization_data: Vec::new(),
        };
        let ticket = part.seal(server.clone(), &key, Some(1), rng).unwrap().to_der().unwrap();
        part.to_credential(&ticket, server)
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn shim(client: &str) -> Shim {
        let client = Principal::parse(client, None).unwrap();
        Shim::new(&ticket(&client, Principal::new(REALM, &["HTTP", "a.hop.test"]), now()), &mut rand::rng())
            .unwrap()
    }

    /// A program asks with the session's own ticket.
    fn ask(shim: &Shim, options: TgsOptions) -> (TgsExchange, Vec<u8>) {
        let tgt = shim.ccache().tgt().unwrap().clone();
        let mut exchange = TgsExchange::new(&tgt, options, now(), &mut rand::rng()).unwrap();
        let request = exchange.poll_transmit().unwrap().bytes;
        (exchange, request)
    }

    fn code(reply: &[u8]) -> ErrorCode {
        KdcError::parse(reply).unwrap().code
    }

    #[test]
    fn a_service_ticket_is_the_one_that_was_fetched() {
        let mut shim = shim("alice@HOP.TEST");
        let rng = &mut rand::rng();
        let (exchange, request) = ask(&shim, TgsOptions::new(service("b.hop.test")));
        let Answer::Fetch { realm, wanted } = shim.handle(&request, now(), rng) else {
            panic!("nothing is to be fetched")
        };
        assert_eq!(wanted.request.server, service("b.hop.test"));
        let fetched = ticket(&shim.client, service("b.hop.test"), now());
        let reply = shim.finish(realm, &wanted, Ok(fetched.clone()), now(), rng);
        match exchange.handle_reply(&reply, now()).unwrap() {
            TgsOutcome::Ticket(got) => {
                assert_eq!((got.ticket, got.server), (fetched.ticket, fetched.server));
            }
            other => panic!("{other:?}"),
        }
        let refused = Refusal::new(ErrorCode::KDC_ERR_BADOPTION, "not listed");
        let reply = shim.finish(realm, &wanted, Err(refused), now(), rng);
        assert_eq!(code(&reply), ErrorCode::KDC_ERR_BADOPTION);
    }

    #[test]
    fn nothing_that_could_be_used_elsewhere_is_given() {
        let mut shim = shim("alice@HOP.TEST");
        let tgt = shim.ccache().tgt().unwrap().clone();
        let evidence = ticket(&shim.client, service("a.hop.test"), now());
        for (what, options) in [
            ("a forwarded ticket", TgsOptions::forward(&tgt)),
            ("another ticket-granting ticket", TgsOptions::new(Principal::krbtgt(REALM, REALM))),
            ("another realm's", TgsOptions::new(Principal::krbtgt(REALM, "OTHER.TEST"))),
            ("S4U2Proxy", TgsOptions::s4u2proxy(&evidence, service("b.hop.test"))),
        ] {
            let (_, request) = ask(&shim, options);
            let Answer::Reply(reply) = shim.handle(&request, now(), &mut rand::rng()) else {
                panic!("{what} is not refused here")
            };
            // Evidence is looked for in a realm of its own first, where no service is known.
            let expected = match what {
                "S4U2Proxy" => ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN,
                _ => ErrorCode::KDC_ERR_BADOPTION,
            };
            assert_eq!(code(&reply), expected, "{what}");
        }
    }

    #[test]
    fn other_sessions_tickets_and_logins_are_the_real_kdcs_business() {
        let (mut shim, other) = (shim("alice@HOP.TEST"), self::shim("alice@HOP.TEST"));
        let (_, request) = ask(&other, TgsOptions::new(service("b.hop.test")));
        assert!(matches!(shim.handle(&request, now(), &mut rand::rng()), Answer::Relay));
        assert!(matches!(shim.handle(&[0x6A, 0], now(), &mut rand::rng()), Answer::Relay));
        assert!(matches!(shim.handle(b"", now(), &mut rand::rng()), Answer::Relay));
        // Its end is that of the evidence.
        let (_, request) = ask(&shim, TgsOptions::new(service("b.hop.test")));
        let late = now() + Duration::from_secs(4000 + 300);
        let Answer::Reply(reply) = shim.handle(&request, late, &mut rand::rng()) else {
            panic!("not refused")
        };
        assert!(KdcError::parse(&reply).is_ok());
    }

    #[test]
    fn a_user_of_another_realm_has_a_ticket_for_both() {
        let shim = shim("bob@LEG.TEST");
        let realms: Vec<String> = shim.ccache().credentials().map(|c| c.server.realm.clone()).collect();
        assert_eq!(realms, ["LEG.TEST", REALM]);
        let config = shim.config(&Config::parse(b"[libdefaults]\nrdns = false\n").unwrap(), 88);
        assert!(
            config.contains("default_realm = LEG.TEST") && config.contains("kdc = 127.0.0.1:88"),
            "{config}"
        );
        assert!(config.contains("rdns = false"), "{config}");
    }
}
