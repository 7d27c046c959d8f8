//! The embedded PowerShell behind the stdio seam.
//!
//! [`session::serve`] is `hop host`: PSRP packets on standard input and output, the engine behind them.
//! [`convert`] turns the engine's values into CLIXML and back.

pub mod convert;
mod remote_host;
pub mod session;

use std::sync::Arc;

use hop_powershell_runtime::host::Remoting;

/// Makes the way to other computers; called on the engine's thread.
pub type RemotingFactory = Box<dyn FnOnce() -> Box<dyn Remoting> + Send>;

/// Who is at the other end, for `$PSSenderInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The name that the client authenticated with, `alice@REALM`; empty if nobody authenticated anybody.
    pub client: String,
    /// How, such as `Kerberos`.
    pub authentication: String,
}

/// Serves one client on standard input and output, as `pwsh -s` does. Gives the process's exit code.
///
/// # Errors
/// If standard output cannot be written.
pub fn serve_stdio(sender: Sender, remoting: Option<RemotingFactory>) -> std::io::Result<u8> {
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let os = name.map_or("Linux", |name| name.trim_matches('"')).to_owned();
    let factory = Box::new(move |host| {
        let platform = Arc::new(hop_powershell_cmdlets::platform::LocalPlatform::new());
        let mut runspace = hop_powershell_cmdlets::runspace(host, platform);
        runspace.remoting = remoting.map(|make| make());
        runspace
    });
    session::serve(std::io::BufReader::new(std::io::stdin()), std::io::stdout(), &os, sender, factory)
}
