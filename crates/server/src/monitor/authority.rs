//! Who decides that a token proves somebody's identity.

use std::time::SystemTime;

use hop_delegation::SessionReport;
use hop_kerberos::{Credential, Principal};
use hop_secret::SecretBytes;

/// Accepts security tokens. The monitor's is Kerberos with the keytab's keys.
pub(crate) trait Authority {
    /// Checks a GSS-API token, for the channel with these bindings.
    fn accept(
        &mut self,
        token: &[u8],
        bindings: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<Authenticated, Box<Rejection>>;
}

/// What a good token proves and brings.
#[derive(Debug)]
pub(crate) struct Authenticated {
    /// The established context, exported for the network process.
    pub context: SecretBytes,
    /// The token for the client.
    pub reply: Option<Vec<u8>>,
    pub client: Principal,
    /// When the client's ticket ends: no new session after that.
    pub expires: SystemTime,
    /// The ticket that the client came with: what S4U2Proxy calls evidence.
    pub evidence: Credential,
    /// The forwarded TGT, if one came.
    pub delegated: Option<Credential>,
    /// What a session of this client can tell about its second hop.
    pub report: SessionReport,
}

/// Why a token was not good.
#[derive(Debug)]
pub(crate) struct Rejection {
    /// A token that tells the client.
    pub reply: Option<Vec<u8>>,
    /// For the log.
    pub reason: String,
}
