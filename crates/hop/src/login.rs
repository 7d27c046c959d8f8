//! `hop login`: a first ticket into the user's cache.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hop_kerberos::Principal;
use hop_kerberos::config::parse_duration;
use hop_kerberos::keytab::Keytab;
use hop_kerberos_io::{Ccache, Ccaches, Environment, KdcClient, Proof, TgtOptions, load_keytab};

use crate::domain::Domain;
use crate::ticket::{Cache, describe, period};
use crate::{advice, password};

/// How long before its end a password is spoken of.
const WARNING: Duration = Duration::from_secs(7 * 24 * 3600);

/// Get your first ticket.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whom to be: USER, USER@REALM, a user principal name (USER@example.com), or DOMAIN\USER
    /// [default: the cache's owner, then your local name]
    #[arg(value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// File that holds the password; without it and without --keytab it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Keytab that holds the key
    #[arg(long, value_name = "FILE", conflicts_with = "password_file")]
    keytab: Option<PathBuf>,
    /// A ticket that can be forwarded to other machines (the default)
    #[arg(short, long, conflicts_with = "not_forwardable")]
    forwardable: bool,
    /// A ticket that cannot be forwarded
    #[arg(short = 'F', long)]
    not_forwardable: bool,
    /// How long it shall live: 10h, 1d, 30m [default: krb5.conf's ticket_lifetime, then 24h]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    lifetime: Option<Duration>,
    /// For how long it shall be renewable: 7d [default: krb5.conf's renew_lifetime]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    renewable: Option<Duration>,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    domain: Domain,
}

/// Runs it.
#[expect(clippy::print_stdout, reason = "the answer")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return advice::fail(1, &error),
    };
    let result = runtime.block_on(log_in(arguments));
    runtime.shutdown_background();
    match result {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => advice::fail(1, &*error),
    }
}

async fn log_in(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let (environment, kdc, caches) =
        arguments.cache.open(&arguments.domain, arguments.principal.as_deref())?;
    let keytab = arguments.keytab.as_deref().map(load_keytab).transpose()?;
    let client = match &arguments.principal {
        Some(text) => kdc.client_principal(text).await?,
        None => usual_client(&environment, &kdc, &caches, keytab.as_ref()).await?,
    };
    let password = match keytab {
        Some(_) => None,
        None => {
            let asked_for = arguments.principal.clone().unwrap_or_else(|| client.to_string());
            Some(password::read(arguments.password_file.as_deref(), &asked_for)?)
        }
    };
    let proof = match (&keytab, &password) {
        (Some(keytab), _) => Proof::Keytab(keytab),
        (None, Some(password)) => Proof::Password(password),
        (None, None) => return Err("neither a password nor a keytab".into()),
    };
    let wanted = TgtOptions {
        forwardable: Some(!arguments.not_forwardable),
        lifetime: arguments.lifetime,
        renewable_for: arguments.renewable,
        ..TgtOptions::default()
    };
    let login = kdc.log_in(&client, proof, &wanted).await?;
    let content = login.cache;
    let cache = caches.for_principal(caches.default_name(), &content.principal)?;
    if matches!(cache, Ccache::Memory(_)) {
        return Err(format!(
            "a ticket in {} would be gone with this command; choose another --cache",
            cache.name()
        )
        .into());
    }
    cache.save(&content)?;
    caches.make_primary(&cache)?;
    let now = content.kdc_time(SystemTime::now());
    let ticket = content.tgt().map(|tgt| describe(tgt, now)).unwrap_or_default();
    let warning = login.expires.and_then(|end| warning(end, now)).unwrap_or_default();
    Ok(format!("{} in {}\n    {ticket}{warning}", content.principal, cache.name()))
}

/// A line about a password that expires soon.
fn warning(end: SystemTime, now: SystemTime) -> Option<String> {
    let left = end.duration_since(now).ok().filter(|left| *left < WARNING)?;
    Some(format!(
        "\n    the password or the account expires in {}: `kpasswd` changes the password",
        period(left)
    ))
}

/// Who logs in without saying so.
async fn usual_client(
    environment: &Environment,
    kdc: &KdcClient,
    caches: &Ccaches,
    keytab: Option<&Keytab>,
) -> Result<Principal, Box<dyn Error>> {
    if let Some(keytab) = keytab {
        let first = keytab.entries.first().ok_or("the keytab is empty")?;
        return Ok(first.principal.clone());
    }
    match caches.default_cache().and_then(|cache| cache.load()) {
        Ok(content) => Ok(content.principal),
        Err(_) => Ok(kdc.client_principal(&environment.user_name).await?),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "expected a time span such as 10h, 7d or 30m".to_owned())
}
