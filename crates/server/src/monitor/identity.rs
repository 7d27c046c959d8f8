//! Somebody whom the monitor has authenticated.

use std::time::SystemTime;

use hop_delegation::{CameBy, SessionReport};
use hop_kerberos::{Credential, Principal};
use hop_secret::{SecretBytes, SecretString};

/// What a good token, proof, password or certificate proves and brings.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub client: Principal,
    pub came_by: CameBy,
    /// What seals the connection, for the network process.
    pub context: SecretBytes,
    /// The token for the client.
    pub reply: Option<Vec<u8>>,
    /// No new session after that.
    pub expires: SystemTime,
    /// A ticket of the client's for this host: what S4U2Proxy calls evidence.
    pub evidence: Option<Credential>,
    /// The client's ticket-granting ticket, if one came or could be got.
    pub delegated: Option<Credential>,
    /// The user's name and password, where a session may keep them.
    pub password: Option<(String, SecretString)>,
    /// What a session of this client can tell about its second hop.
    pub report: SessionReport,
}

/// Why somebody is not who it claims to be.
#[derive(Debug)]
pub(crate) struct Rejection {
    /// A token that tells the client.
    pub reply: Option<Vec<u8>>,
    /// For the log.
    pub reason: String,
}
