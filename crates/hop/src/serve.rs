//! `hop serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use hop_delegation::credssp::Source;
use hop_policy::Policy;
use hop_server::ServerConfig;

use crate::advice;

/// Serve remoting on this machine.
///
/// PowerShell, pypsrp, pywinrm, Ansible and hop reach it as they reach Windows. It needs a keytab that holds
/// HTTP/this.host. Started as root, every session runs as the user who authenticated; otherwise as you.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file (docs/serve.md); without it the defaults, or /etc/hop/server.toml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keytab with the keys of HTTP/this.host [default: $KRB5_KTNAME, then /etc/krb5.keytab]
    #[arg(long, value_name = "FILE")]
    keytab: Option<PathBuf>,
    /// Address to listen on, ADDRESS:PORT; may be repeated [default: every address, port 5985]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The realm whose users are mapped to local users by name [default: the keytab's]
    #[arg(long)]
    realm: Option<String>,
    /// Write the addresses listened on to this file when the server is ready
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

const SYSTEM_CONFIG: &str = "/etc/hop/server.toml";

/// Runs the server until SIGTERM or SIGINT.
pub fn run(arguments: Arguments) -> ExitCode {
    let file = arguments.config.or_else(|| Some(PathBuf::from(SYSTEM_CONFIG)).filter(|path| path.exists()));
    let config = match file.as_deref().map_or_else(|| Ok(ServerConfig::default()), ServerConfig::load) {
        Ok(config) => config,
        Err(error) => return advice::fail(2, &error),
    };
    let mut config = config;
    config.keytab = arguments.keytab.or(config.keytab);
    config.realm = arguments.realm.or(config.realm);
    config.ready_file = arguments.ready_file.or(config.ready_file);
    if !arguments.listen.is_empty() {
        config.listen = arguments.listen;
    }
    hop_server::start_log();
    config.auth.credssp = Some(takes_passwords(config.auth.credssp));
    hop_server::run(config).unwrap_or_else(|error| advice::fail(1, &error))
}

/// Whether clients may hand over passwords by CredSSP: Group Policy decides before the server's configuration, which
/// decides before `hop credssp enable --role server`.
fn takes_passwords(configured: Option<bool>) -> bool {
    let service = match Policy::load() {
        Ok(policy) => policy.effective.service,
        Err(error) => {
            tracing::error!(%error, "CredSSP is off: the policy cannot be read");
            return false;
        }
    };
    match (service, configured) {
        (Some(service), _) if matches!(service.source, Source::GroupPolicy { .. }) => {
            if configured.is_some_and(|configured| configured != service.value) {
                tracing::warn!(
                    allowed = service.value,
                    "Group Policy decides about CredSSP, not the configuration"
                );
            }
            service.value
        }
        (_, Some(configured)) => configured,
        (Some(service), None) => service.value,
        (None, None) => false,
    }
}
