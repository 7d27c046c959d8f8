//! A ticket with what its owner needs to use it.

use std::time::SystemTime;

use crate::{EncryptionKey, Principal, TicketFlags};

/// An address a ticket is bound to (RFC 4120 5.2.5).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HostAddress {
    /// 2 is IPv4, 24 IPv6, 20 NetBIOS.
    pub address_type: i32,
    /// The address in network order.
    pub address: Vec<u8>,
}

/// One element of authorization data (RFC 4120 5.2.6).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AuthorizationData {
    /// 1 is AD-IF-RELEVANT, 128 a Windows PAC.
    pub ad_type: i32,
    /// Its own encoding, depending on the type.
    pub data: Vec<u8>,
}

/// A ticket, its session key and what the KDC said about it: one entry of a credential cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Whom the ticket names.
    pub client: Principal,
    /// For which service.
    pub server: Principal,
    /// Shared between client, service and KDC.
    pub session_key: EncryptionKey,
    /// The DER encoding of the Ticket, as the KDC sent it.
    pub ticket: Vec<u8>,
    /// The flags inside the ticket, as the KDC told the client.
    pub flags: TicketFlags,
    /// When the client first authenticated.
    pub auth_time: SystemTime,
    /// When the ticket becomes valid; none means at `auth_time`.
    pub start_time: Option<SystemTime>,
    /// When it expires.
    pub end_time: SystemTime,
    /// Until when it can be renewed, if at all.
    pub renew_till: Option<SystemTime>,
    /// The addresses it may be used from; empty means any.
    pub addresses: Vec<HostAddress>,
    /// Authorization data the client asked for (credential caches have a place for it; usually empty).
    pub authorization_data: Vec<AuthorizationData>,
    /// The other ticket of a user-to-user or S4U2Proxy request, in DER; usually empty.
    pub second_ticket: Vec<u8>,
    /// True if the ticket is sealed with another ticket's session key (user-to-user).
    pub is_skey: bool,
}

impl Credential {
    /// True while the ticket can be used, by its times alone.
    pub fn is_current(&self, now: SystemTime) -> bool {
        now < self.end_time && !self.flags.contains(TicketFlags::INVALID)
    }
}
