//! The remoting server, `hop serve`: monitor, network process, sessions that run as the user.
//!
//! Three processes from the start:
//!
//! * the **monitor** ([`run`]) is small and single-threaded. It owns the keytab, the replay cache and the tickets
//!   clients forward, maps principals to local users and starts the sessions;
//! * the **network process**  parses HTTP, SOAP and PSRP. It has no keys and, when the
//!   server was started as root, no privileges. It asks the monitor over a socket pair;
//! * the **ticket process** fetches tickets for sessions by constrained delegation. It has the host's keys, no
//!   privileges, and nothing to do with the network process.
//!
//! What the network process must not ask, the monitor refuses: sessions exist only for peers whose token the monitor
//! itself accepted, as the user the monitor mapped them to.

mod auth_config;
mod certificate_map;
mod channel;
mod client_certificate;
mod config;
#[doc(hidden)]
pub mod fuzz;
mod ipc;
mod mapping;
mod monitor;
mod network;
mod runtime_dir;
mod sys;
mod tickets;
mod users_file;

pub use auth_config::{AuthConfig, CbtHardeningLevel};
pub use certificate_map::CertificateRule;
pub use config::{ConfigError, ServerConfig};
pub use mapping::MapRule;
pub use monitor::{ServerError, run};
pub use users_file::{UsersFile, UsersFileError};

/// Where the users of this host are kept who are in no domain.
pub const USERS_FILE: &str = "/etc/hop/users";

/// The hidden argument with which a server starts itself again as its network process.
const NETWORK_ARGUMENT: &str = "serve-network-process";
/// The same for its ticket process.
const TICKETS_ARGUMENT: &str = "serve-ticket-process";

/// Runs the network process or the ticket process if that is what this process was started as; call it first in
/// `main`.
///
/// `None` means that it was not, and the program goes on.
pub fn run_helper_process() -> Option<std::process::ExitCode> {
    network::run_network_process().or_else(tickets::run_ticket_process)
}

/// Sends the log to stderr, unless the program has its own subscriber. `HOP_LOG` takes a filter such as `debug`.
/// [`run`] does it first; call it to log before that.
pub fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HOP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // An error means that there is a subscriber already, which is fine.
    let _ = log.try_init();
}
