//! `hop credssp refresh`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

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
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let settings = Settings::default();
    if let Some(domain) = &arguments.domain {
        let stored = settings.edit(|edit| {
            edit.set_domain(domain, arguments.machine.as_deref());
            Ok(())
        });
        if let Err(error) = stored {
            return advice::fail(1, &error);
        }
    }
    let refresh = Refresh::Now { within: Duration::from_secs(arguments.timeout) };
    let policy = Policy::load_from(settings.locations(), &refresh, &Programs::default(), SystemTime::now());
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => return advice::fail(1, &error),
    };
    let Some(state) = &policy.group_policy else {
        eprintln!("hop: no domain is configured: say --domain DOMAIN");
        return ExitCode::from(2);
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
    ExitCode::SUCCESS
}
