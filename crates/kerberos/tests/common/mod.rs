//! A service, its keytab and tickets for it, without a KDC.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part of this; tests may panic")]

use std::time::{Duration, SystemTime};

use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::gss::{Accepted, Acceptor, AcceptorOptions, GssFlags, InitiatorOptions, Refused};
use hop_kerberos::keytab::{Keytab, KeytabEntry};
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{Credential, EncTicketPart, EncryptionKey, EncryptionType, Principal, TicketFlags};

pub const REALM: &str = "TEST.REALM";

/// What a client has used so far without thinking about it.
pub const FLAGS: GssFlags =
    GssFlags::REPLAY.union(GssFlags::SEQUENCE).union(GssFlags::CONF).union(GssFlags::INTEG);

pub struct World {
    pub now: SystemTime,
    pub service: Principal,
    pub service_key: EncryptionKey,
    pub keytab: Keytab,
    pub credential: Credential,
    pub forwarded: Credential,
    pub replay: MemoryReplayCache,
}

impl World {
    pub fn new(etype: EncryptionType) -> Self {
        let now = SystemTime::now();
        let service = Principal::service(REALM, "HTTP", "servera.test.realm");
        let service_key = EncryptionKey::random(etype, &mut rand::rng()).unwrap();
        let entry =
            KeytabEntry { principal: service.clone(), timestamp: now, kvno: 3, key: service_key.clone() };
        let krbtgt_key = EncryptionKey::random(EncryptionType::Aes256CtsHmacSha1, &mut rand::rng()).unwrap();
        let krbtgt = Principal::krbtgt(REALM, REALM);
        Self {
            now,
            credential: ticket(&service, &service_key, etype, now, TicketFlags::FORWARDABLE),
            forwarded: ticket(
                &krbtgt,
                &krbtgt_key,
                etype,
                now,
                TicketFlags::FORWARDABLE | TicketFlags::FORWARDED,
            ),
            keytab: Keytab { entries: vec![entry] },
            service,
            service_key,
            replay: MemoryReplayCache::default(),
        }
    }

    pub fn options(&self) -> InitiatorOptions<'_> {
        InitiatorOptions {
            credential: &self.credential,
            forwarded: None,
            channel_bindings: None,
            advertise_bindings: false,
            flags: FLAGS,
        }
    }

    pub fn accept(&mut self, token: &[u8], options: &AcceptorOptions) -> Result<Accepted, Refused> {
        let now = self.now;
        self.accept_at(token, options, now)
    }

    pub fn accept_at(
        &mut self,
        token: &[u8],
        options: &AcceptorOptions,
        now: SystemTime,
    ) -> Result<Accepted, Refused> {
        let mut keys = KeytabKeys::new(&self.keytab);
        Acceptor::accept(token, &mut keys, &mut self.replay, options, now, &mut rand::rng())
    }
}

/// A ticket as a KDC would make it, with its session key.
pub fn ticket(
    server: &Principal,
    key: &EncryptionKey,
    session_etype: EncryptionType,
    now: SystemTime,
    flags: TicketFlags,
) -> Credential {
    let part = EncTicketPart {
        flags: flags | TicketFlags::PRE_AUTHENT,
        session_key: EncryptionKey::random(session_etype, &mut rand::rng()).unwrap(),
        client: Principal::new(REALM, &["alice"]),
        transited_type: 1,
        transited: Vec::new(),
        auth_time: now - Duration::from_secs(60),
        start_time: None,
        end_time: now + Duration::from_secs(3600),
        renew_till: None,
        addresses: Vec::new(),
        authorization_data: Vec::new(),
    };
    let sealed = part.seal(server.clone(), key, Some(3), &mut rand::rng()).unwrap();
    part.to_credential(&sealed.to_der().unwrap(), server.clone())
}
