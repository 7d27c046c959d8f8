//! `hop ticket ls`.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos_io::{Ccache, Error as KerberosError};
use serde_json::{Value, json};

use super::{Cache, describe, period, show};
use crate::advice;
use crate::domain::Domain;

/// List your tickets.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// All caches of the collection, not only its default one
    #[arg(short, long)]
    all: bool,
    /// One JSON document: an array of caches with their tickets
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: Cache,
}

#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let (_, _, caches) = arguments.cache.open(&Domain::default(), None)?;
    let primary = caches.default_cache()?;
    let all = if arguments.all { caches.collection(caches.default_name())? } else { vec![primary.clone()] };
    let mut listed = Vec::new();
    for cache in all {
        match cache.load() {
            Ok(content) => listed.push((cache, content)),
            // An empty place of the collection, or gone since.
            Err(KerberosError::NoCcache { .. }) if arguments.all || arguments.json => {}
            // One that is damaged does not hide the others.
            Err(error) if arguments.all => drop(advice::fail(1, &error)),
            Err(error) => return Err(error.into()),
        }
    }
    let now = SystemTime::now();
    if arguments.json {
        let documents: Vec<Value> =
            listed.iter().map(|(cache, content)| document(cache, content, *cache == primary, now)).collect();
        println!("{}", serde_json::to_string_pretty(&documents)?);
    } else if listed.is_empty() {
        println!("no tickets in {}", caches.default_name());
    } else {
        let texts: Vec<String> = listed
            .iter()
            .map(|(cache, content)| text(cache, content, arguments.all && *cache == primary, now))
            .collect();
        print!("{}", texts.join("\n"));
    }
    let usable = |content: &CredentialCache| {
        content.credentials().any(|ticket| ticket.is_current(content.kdc_time(now)))
    };
    match listed.iter().any(|(_, content)| usable(content)) {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(1)),
    }
}

fn text(cache: &Ccache, content: &CredentialCache, is_default: bool, now: SystemTime) -> String {
    let default = if is_default { ", the default" } else { "" };
    let mut text = format!("{} in {}{default}\n", content.principal, cache.name());
    let kdc_time = content.kdc_time(now);
    if let Some(sentence) = clock(now, kdc_time) {
        text.push_str(&format!("  {sentence}\n"));
    }
    for ticket in content.credentials() {
        let owner = match ticket.client == content.principal {
            true => String::new(),
            false => format!(" for {}", ticket.client),
        };
        text.push_str(&format!("  {}{owner}\n      {}\n", ticket.server, describe(ticket, kdc_time)));
    }
    text
}

fn clock(local: SystemTime, kdc: SystemTime) -> Option<String> {
    let (span, side) = match kdc.duration_since(local) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    (span >= Duration::from_secs(60))
        .then(|| format!("the KDC's clock is {} {side} this machine's", period(span)))
}

fn document(cache: &Ccache, content: &CredentialCache, is_default: bool, now: SystemTime) -> Value {
    let kdc_time = content.kdc_time(now);
    json!({
        "cache": cache.name(),
        "principal": content.principal.to_string(),
        "default": is_default,
        "kdc_offset_seconds": content.kdc_offset.map_or(0, |offset| offset.seconds),
        "tickets": content.credentials().map(|ticket| show::json(ticket, kdc_time)).collect::<Vec<_>>(),
    })
}
