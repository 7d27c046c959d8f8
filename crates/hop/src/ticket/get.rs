//! `hop ticket get`.

use std::error::Error;
use std::process::ExitCode;
use std::time::SystemTime;

use hop_kerberos::Principal;
use hop_kerberos_io::{Ccache, KdcClient};

use super::{Cache, describe, show};
use crate::domain::Domain;

/// Get a ticket for a service.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The service: SERVICE/HOST, SERVICE/HOST@REALM, or HOST alone for HTTP/HOST (remoting)
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The ticket as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    domain: Domain,
}

#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let (_, kdc, caches) = arguments.cache.open(&arguments.domain, None)?;
    let cache = caches.default_cache()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ticket = runtime.block_on(async {
        let mut content = cache.on_thread(Ccache::load).await?;
        let server = service(&arguments.service, &kdc, &content.principal)?;
        let ticket = kdc.service_ticket_from(&mut content, Some(&cache), &server).await?;
        let now = content.kdc_time(SystemTime::now());
        Ok::<_, Box<dyn Error>>(match arguments.json {
            true => serde_json::to_string_pretty(&show::json(&ticket, now))?,
            false => format!("{}\n    {}", ticket.server, describe(&ticket, now)),
        })
    });
    runtime.shutdown_background();
    println!("{}", ticket?);
    Ok(ExitCode::SUCCESS)
}

/// The principal that a service's name stands for.
pub(super) fn service(text: &str, kdc: &KdcClient, client: &Principal) -> Result<Principal, Box<dyn Error>> {
    if text.contains('@') {
        return Ok(Principal::parse(text, None)?);
    }
    match text.split_once('/') {
        None => Ok(kdc.service_principal("HTTP", text, client)),
        Some((service, host)) if !service.is_empty() && !host.is_empty() && !host.contains('/') => {
            match service == "krbtgt" {
                true => Ok(Principal::krbtgt(client.realm.clone(), host)),
                false => Ok(kdc.service_principal(service, host, client)),
            }
        }
        Some(_) => Err(format!("{text} is no service: expected SERVICE/HOST").into()),
    }
}
