//! `hop host`: the far end of ssh, and of our own server.

use std::process::ExitCode;

use crate::{advice, remoting, ticket};

/// Speak PSRP on standard input and output, as `pwsh -sshs` does
///
/// For `Subsystem powershell /usr/bin/hop host` in sshd_config, for PowerShell's `New-PSSession -HostName`, and as
/// the command of every PowerShell session that `hop serve` starts. The embedded PowerShell runs the commands.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Accepted as pwsh has them, without effect: `-sshs -NoLogo -NoProfile` and the like
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    ignored: Vec<String>,
}

/// Serves one client; ends when it does.
pub fn run(_arguments: &Arguments) -> ExitCode {
    // In a session of our server its report tells who came; over ssh nobody does.
    let client = ticket::session_report().map(|report| report.client).unwrap_or_default();
    let authentication = if client.is_empty() { String::new() } else { "Kerberos".to_owned() };
    match hop_host::serve_stdio(
        hop_host::Sender { client, authentication },
        Some(Box::new(|| Box::new(remoting::Remote::new()))),
    ) {
        Ok(code) => ExitCode::from(code),
        Err(error) => advice::fail(1, &error),
    }
}
