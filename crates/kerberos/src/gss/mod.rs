//! The Kerberos GSS-API mechanism (RFC 4121): context establishment and per-message protection.
//!
//! [`Initiator`] and [`Acceptor`] make an established [`Context`] out of one token each way.

mod acceptor;
pub(crate) mod checksum;
mod context;
mod export;
mod initiator;
pub(crate) mod rc4;
pub(crate) mod token;
mod window;

use std::time::Duration;

use bitflags::bitflags;

pub use acceptor::Acceptor;
pub use context::{Context, Role, Unwrapped};
pub use initiator::{ExpectApRep, Initiator};

use crate::ap::DEFAULT_CLOCK_SKEW;
use crate::{Credential, Error, Principal, TicketFlags};

bitflags! {
    /// Context flags in the authenticator's checksum (RFC 4121 4.1.1.1).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct GssFlags: u32 {
        /// GSS_C_DELEG_FLAG: a credential is delegated.
        const DELEG = 0x01;
        /// GSS_C_MUTUAL_FLAG.
        const MUTUAL = 0x02;
        /// GSS_C_REPLAY_FLAG.
        const REPLAY = 0x04;
        /// GSS_C_SEQUENCE_FLAG.
        const SEQUENCE = 0x08;
        /// GSS_C_CONF_FLAG.
        const CONF = 0x10;
        /// GSS_C_INTEG_FLAG.
        const INTEG = 0x20;
        /// GSS_C_DCE_STYLE ([MS-KILE] 3.4.5.1).
        const DCE_STYLE = 0x1000;
        /// GSS_C_IDENTIFY_FLAG.
        const IDENTIFY = 0x2000;
        /// GSS_C_EXTENDED_ERROR_FLAG.
        const EXTENDED_ERROR = 0x4000;
        // Whatever else a peer sets is kept.
        const _ = !0;
    }
}

/// Channel bindings (RFC 2744 3.11); WinRM and Kerberos use the application data alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChannelBindings {
    /// Address type and address of the initiator; 0 and empty when unused.
    pub initiator_address: (u32, Vec<u8>),
    /// Address type and address of the acceptor; 0 and empty when unused.
    pub acceptor_address: (u32, Vec<u8>),
    /// For TLS: `tls-server-end-point:` and the certificate's hash (RFC 5929 4).
    pub application_data: Vec<u8>,
}

impl ChannelBindings {
    /// MD5 over the bindings, which is what Kerberos (RFC 4121 4.1.1.2) and NTLM ([MS-NLMP] 2.2.2.1) carry.
    pub fn hash(&self) -> [u8; 16] {
        checksum::hash(self)
    }
}

/// How an acceptor treats channel bindings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BindingPolicy {
    /// They are not looked at.
    None,
    /// They must match if the client sent any.
    #[default]
    Relaxed,
    /// They must be there and match.
    Strict,
}

/// What an initiator wants.
#[derive(Clone, Debug)]
pub struct InitiatorOptions<'a> {
    /// The ticket for the acceptor.
    pub credential: &'a Credential,
    /// The forwarded TGT to delegate: obtained with the FORWARDED option. Sets the DELEG flag.
    pub forwarded: Option<&'a Credential>,
    /// Channel bindings of the connection, if it has any.
    pub channel_bindings: Option<&'a ChannelBindings>,
    /// Says in the authenticator that this client always sends bindings when there are any
    /// (KERB_AP_OPTIONS_CBT, [MS-KILE] 3.2.5.8).
    pub advertise_bindings: bool,
    /// MUTUAL, REPLAY, SEQUENCE, CONF, INTEG as wanted; DELEG follows `forwarded`.
    pub flags: GssFlags,
}

/// How an acceptor works.
#[derive(Clone, Debug)]
pub struct AcceptorOptions {
    /// How far the clocks may be apart; 5 minutes everywhere.
    pub clock_skew: Duration,
    /// What to do about channel bindings.
    pub binding_policy: BindingPolicy,
    /// The bindings of this connection. Without any (no TLS) there is nothing to compare and no policy applies.
    pub channel_bindings: Option<ChannelBindings>,
    /// The services this acceptor answers to, by the first component of the ticket's name and without regard to
    /// case, such as `HTTP`. Empty means every service there is a key for.
    pub services: Vec<String>,
}

impl Default for AcceptorOptions {
    fn default() -> Self {
        Self {
            clock_skew: DEFAULT_CLOCK_SKEW,
            binding_policy: BindingPolicy::default(),
            channel_bindings: None,
            services: Vec::new(),
        }
    }
}

/// What the acceptor learned.
#[derive(Debug)]
pub struct Accepted {
    /// The established context.
    pub context: Context,
    /// The AP-REP token, if the client asked for mutual authentication.
    pub reply: Option<Vec<u8>>,
    /// Who the client is.
    pub client: Principal,
    /// The service name in the ticket.
    pub server: Principal,
    /// The flags of the client's ticket.
    pub ticket_flags: TicketFlags,
    /// The client's ticket to this service with its session key: the evidence S4U2Proxy needs.
    pub evidence: Credential,
    /// The delegated TGT, if one came. Whose it is stands in it; usually, not necessarily, the client's.
    pub delegated: Option<Credential>,
    /// The flags the client set.
    pub gss_flags: GssFlags,
    /// The client set the DELEG flag.
    pub delegation_requested: bool,
}

/// A token that could not be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Why.
    pub error: Box<Error>,
    /// A KRB-ERROR token for the initiator, where one makes sense.
    pub reply: Option<Vec<u8>>,
}
