//! `hop credssp refresh`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hop_kerberos::Principal;
use hop_kerberos_io::{Ccaches, Environment, KdcClient, Proof, TgtOptions, load_keytab};
use hop_policy::group_policy::domain::Programs;
use hop_policy::{Policy, Refresh};

use crate::advice;
use crate::settings::Settings;

/// Read the domain's Group Policy now.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain's DNS name, such as example.com; it is remembered [default: the one in policy.toml]
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    domain: Option<String>,
    /// This machine's account in the domain; it is remembered. With it, what is linked to the organisational units
    /// above the account counts too, and what the account may apply
    #[arg(long, value_name = "NAME$", requires = "domain")]
    machine: Option<String>,
    /// The domain controller to ask, in place of the one that DNS names; it is remembered
    #[arg(long, value_name = "HOST", requires = "domain", value_parser = domain)]
    controller: Option<String>,
    /// Log in with the machine's key in this keytab, such as /etc/krb5.keytab, for this once; without it the ticket in
    /// your credential cache is used
    #[arg(long, value_name = "FILE")]
    keytab: Option<PathBuf>,
    /// How many seconds the domain may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

fn domain(text: &str) -> Result<String, String> {
    match hop_policy::local::is_domain(text) && text.contains('.') {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected a DNS name such as example.com".to_owned()),
    }
}

/// Runs it.
pub fn run(arguments: &Arguments) -> ExitCode {
    refresh(arguments).unwrap_or_else(|error| advice::fail(1, &*error))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer")]
fn refresh(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::default();
    if let Some(domain) = &arguments.domain {
        settings.edit(|edit| {
            edit.set_domain(domain, arguments.machine.as_deref(), arguments.controller.as_deref());
            Ok(())
        })?;
    }
    let refresh = Refresh::Now { within: Duration::from_secs(arguments.timeout) };
    // The ticket is gone with the folder.
    let folder = tempfile::tempdir()?;
    let ccache = arguments.keytab.as_deref().map(|keytab| log_in(keytab, folder.path())).transpose()?;
    let programs = Programs { ccache, ..Programs::default() };
    let policy = Policy::load_from(settings.locations(), &refresh, &programs, SystemTime::now())?;
    let Some(state) = &policy.group_policy else {
        eprintln!("hop: no domain is configured: say --domain DOMAIN");
        return Ok(ExitCode::from(2));
    };
    let objects = match state.objects.len() {
        0 => "no object with registry values applies".to_owned(),
        1 => "1 object applies".to_owned(),
        count => format!("{count} objects apply, the last one wins"),
    };
    println!("Group Policy of {}: {objects} to this machine", state.origin);
    for (name, id) in &state.objects {
        println!("    {name} {id}");
    }
    Ok(ExitCode::SUCCESS)
}

/// A ticket for the account in a keytab, in a cache in this folder. A machine's keytab has its services beside it, which
/// cannot log in.
fn log_in(keytab: &Path, folder: &Path) -> Result<String, Box<dyn Error>> {
    let keytab = load_keytab(keytab)?;
    let mut principals = keytab.entries.iter().map(|entry| &entry.principal);
    let is_account = |of: &&Principal| of.components.len() == 1 && of.name().ends_with('$');
    let account = principals.clone().find(is_account).or_else(|| principals.next());
    let principal = account.cloned().ok_or("the keytab is empty")?;
    let name = format!("FILE:{}", folder.join("ticket").display());
    let environment = Environment { ccache: Some(name.clone()), ..Environment::from_process() };
    let config = environment.load_config()?;
    let caches = Ccaches::new(&environment, &config)?;
    let kdc = KdcClient::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = TgtOptions::default();
    let content = runtime.block_on(kdc.get_tgt(&principal, Proof::Keytab(&keytab), &wanted))?;
    runtime.shutdown_background();
    caches.for_principal(caches.default_name(), &content.principal)?.save(&content)?;
    Ok(name)
}
