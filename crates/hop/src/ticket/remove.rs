//! `hop ticket rm`.

use std::error::Error;
use std::process::ExitCode;

use hop_kerberos_io::Ccache;

use super::{Cache, get};
use crate::domain::Domain;

/// Remove tickets.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only the tickets for this service: SERVICE/HOST, SERVICE/HOST@REALM, or HOST alone for HTTP/HOST
    #[arg(value_name = "SERVICE", conflicts_with = "all")]
    service: Option<String>,
    /// All caches of the collection, not only its default one
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    cache: Cache,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let (_, kdc, caches) = arguments.cache.open(&Domain::default(), None)?;
    let cache = caches.default_cache()?;
    match &arguments.service {
        Some(service) => {
            let server = get::service(service, &kdc, &cache.load()?.principal)?;
            match cache.remove(&server)? {
                0 => Err(format!("there is no ticket for {server} in {}", cache.name()).into()),
                _ => Ok(ExitCode::SUCCESS),
            }
        }
        None if arguments.all => {
            caches.collection(caches.default_name())?.iter().try_for_each(Ccache::destroy)?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            cache.destroy()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
