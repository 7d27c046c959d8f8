//! PowerShell Remoting Protocol: messages, fragments, runspace pools and pipelines of both ends, stdio packets.
//!
//! Nothing here reads, writes, waits or rolls dice: the machines are handed what came and asked what to send.
//!
//! * [`message`] and [`fragment`]: the two frames of [MS-PSRP] 2.2.1 and 2.2.4;
//! * [`body`]: the bodies of messages as types;
//! * [`client`] and [`server`]: the runspace pool with its pipelines, from the two ends;
//! * [`stdio`]: the line packets by which PSRP travels through pipes and SSH, for both ends;
//! * [`keys`]: the session key and the encryption of secure strings;
#![forbid(unsafe_code)]

pub mod body;
pub mod client;
pub mod describe;
pub mod fragment;
#[doc(hidden)]
pub mod fuzz;
pub mod keys;
pub mod message;
pub mod server;
pub mod stdio;

pub use hop_clixml as clixml;
pub use uuid::Uuid;

pub use message::{Destination, Message, MessageType};

/// Whom fragments belong to: the runspace pool or one of its pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The runspace pool (the session).
    Pool,
    /// The pipeline with this id.
    Pipeline(Uuid),
}

impl Target {
    /// The id as packets carry it: nil for the pool.
    pub fn id(self) -> Uuid {
        match self {
            Target::Pool => Uuid::nil(),
            Target::Pipeline(id) => id,
        }
    }

    /// The reverse of [`id`](Target::id).
    pub fn from_id(id: Uuid) -> Self {
        if id.is_nil() { Target::Pool } else { Target::Pipeline(id) }
    }
}

/// The version of the protocol that this crate speaks, as client and as server.
pub const PROTOCOL_VERSION: hop_clixml::Version = hop_clixml::Version::new(2, 4);

/// Bounds on what a peer may make us keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest message in bytes, put together from its fragments.
    pub max_message: usize,
    /// Bounds on the CLIXML in messages.
    pub clixml: hop_clixml::Limits,
    /// Most pipelines at a time in a pool (server).
    pub max_pipelines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 512 << 20, clixml: hop_clixml::Limits::default(), max_pipelines: 1000 }
    }
}
