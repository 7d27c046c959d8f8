//! `hop ticket get`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal, TicketFlags};
use hop_kerberos_io::{Ccache, Ccaches, KdcClient, Proof, TgtOptions, load_keytab};

use super::{Cache, describe, show};
use crate::domain::Domain;

/// Get a ticket for a service.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The service: SERVICE/HOST, SERVICE/HOST@REALM, or HOST alone for HTTP/HOST (remoting)
    #[arg(value_name = "SERVICE")]
    service: String,
    /// In the name of this user (also a user principal name), as a service that may delegate (S4U2Self, then S4U2Proxy):
    /// the cache's owner, or the account of --keytab. The ticket is shown, and kept only in --save
    #[arg(long = "for", value_name = "USER")]
    user: Option<String>,
    /// With --for: the keytab of the service that acts
    #[arg(long, value_name = "FILE", requires = "user")]
    keytab: Option<PathBuf>,
    /// With --keytab: the account [default: the keytab's first]
    #[arg(long, value_name = "PRINCIPAL", requires = "keytab")]
    principal: Option<String>,
    /// With --for: a new credential cache that gets the ticket, FILE:…
    #[arg(long, value_name = "NAME", requires = "user")]
    save: Option<String>,
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
    if let Some(user) = &arguments.user {
        return in_the_name_of(user, arguments, &kdc, &caches);
    }
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

/// A ticket in somebody else's name, by a service that the domain lets act for its users.
#[expect(clippy::print_stdout, reason = "the answer")]
fn in_the_name_of(
    user: &str,
    arguments: &Arguments,
    kdc: &KdcClient,
    caches: &Ccaches,
) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async {
        let mut keys = Vec::new();
        let own = match &arguments.keytab {
            Some(path) => {
                let keytab = load_keytab(path)?;
                keys.extend(keytab.entries.iter().map(|entry| entry.key.clone()));
                let account = match &arguments.principal {
                    Some(name) => Principal::parse(name, kdc.config().default_realm())?,
                    None => keytab.entries.first().ok_or("the keytab is empty")?.principal.clone(),
                };
                kdc.get_tgt(&account, Proof::Keytab(&keytab), &TgtOptions::default()).await?
            }
            None => caches.default_cache()?.on_thread(Ccache::load).await?,
        };
        let user = kdc.user_of(user, &own.principal.realm).await?;
        let server = service(&arguments.service, kdc, &own.principal)?;
        let evidence = kdc.s4u2self(&own, &user, &own.principal, &keys).await?;
        let ticket = match server == own.principal {
            true => evidence,
            false => match kdc.s4u2proxy(&own, &evidence, &server).await {
                Ok(ticket) => ticket,
                Err(error) => return Err(explained(error, &evidence, &own.principal, &server)),
            },
        };
        if let Some(name) = &arguments.save {
            let mut content = CredentialCache::new(ticket.client.clone());
            content.store(ticket.clone());
            let cache = caches.resolve(name)?;
            cache.on_thread(move |cache| cache.save(&content)).await?;
        }
        let now = own.kdc_time(SystemTime::now());
        Ok::<_, Box<dyn Error>>(match arguments.json {
            true => serde_json::to_string_pretty(&show::json(&ticket, now))?,
            false => {
                format!("{}\n    for {}\n    {}", ticket.server, ticket.client, describe(&ticket, now))
            }
        })
    });
    runtime.shutdown_background();
    println!("{}", text?);
    Ok(ExitCode::SUCCESS)
}

/// The domain's refusal with what stands in the way and what would mend it.
fn explained(
    error: hop_kerberos_io::Error,
    evidence: &Credential,
    service: &Principal,
    target: &Principal,
) -> Box<dyn Error> {
    let hop_kerberos_io::Error::DelegationRefused { code, .. } = &error else { return error.into() };
    if !evidence.flags.contains(TicketFlags::FORWARDABLE) {
        let unfit = EvidenceNotForwardable {
            user: evidence.client.clone(),
            service: service.clone(),
            target: target.clone(),
            refusal: error.to_string(),
        };
        return unfit.into();
    }
    let refusal = hop_delegation::Refusal {
        target: target.to_string(),
        service: service.to_string(),
        code: code.0,
        text: error.to_string(),
    };
    format!("{error}\n{}", refusal.explanation(true).trim_end()).into()
}

/// A ticket in a user's name that is good for the service itself and for nothing behind it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the evidence ticket is not forwardable: the domain lets {service} know that {user} is there, and not go on to \
     {target} in that name ({refusal})\n\
     Either {service} is not trusted with protocol transition: a domain administrator can trust it \
     (TRUSTED_TO_AUTH_FOR_DELEGATION; `samba-tool delegation for-any-protocol ACCOUNT on`).\n\
     Or {user} may not be delegated (\"sensitive and cannot be delegated\", Protected Users): then another account has to \
     do.\n\
     Resource-based delegation, set on the account of {target}, does without protocol transition. Where {target} is not \
     listed for {service} at all, that is missing as well."
)]
struct EvidenceNotForwardable {
    user: Principal,
    service: Principal,
    target: Principal,
    /// The KDC's words.
    refusal: String,
}

/// The principal that a service's name stands for.
///
/// # Errors
/// The name is no service's.
pub fn service(text: &str, kdc: &KdcClient, client: &Principal) -> Result<Principal, Box<dyn Error>> {
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
