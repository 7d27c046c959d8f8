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
