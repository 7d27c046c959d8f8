//! `hop ticket`.

mod get;
mod list;
mod remove;
mod show;
mod why;

use std::process::ExitCode;

use hop_kerberos_io::{Ccaches, Environment, KdcClient};

use crate::advice;
use crate::domain::Domain;

pub use get::service;
pub use show::{describe, period};
pub use why::{refusals, session_password, session_report};

/// What can be asked about tickets and done with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List your tickets, their flags in words (klist)
    ///
    /// Exit code 0: there is a ticket that can be used. 1: there is none, or all have ended.
    Ls(list::Arguments),
    /// Get a ticket for a service into your cache, and show it (kvno)
    Get(get::Arguments),
    /// Remove tickets: the whole cache, or those for one service (kdestroy)
    Rm(remove::Arguments),
    /// Say why this session cannot go on to other servers as you, and what would mend it
    ///
    /// Type it in a remote session after any program failed with "Access is denied" or "no credentials". Exit code
    /// 0: the session has your delegated ticket. 1: it has none; the text says why. 2: this is no session of hop.
    Why,
}

/// Runs it.
pub fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Ls(arguments) => list::run(arguments),
        Command::Get(arguments) => get::run(arguments),
        Command::Rm(arguments) => remove::run(arguments),
        Command::Why => why::run(),
    };
    result.unwrap_or_else(|error| advice::fail(1, &*error))
}

/// Which cache is meant.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Cache {
    /// The cache or collection: FILE:…, DIR:…, KEYRING:…, KCM:… [default: KRB5CCNAME, then krb5.conf, then
    /// FILE:/tmp/krb5cc_UID]
    #[arg(long = "cache", value_name = "NAME")]
    pub name: Option<String>,
}

impl Cache {
    /// The client of the domain, and the caches, the default one being the one meant.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn open(
        &self,
        domain: &Domain,
        user: Option<&str>,
    ) -> Result<(Environment, KdcClient, Ccaches), hop_kerberos_io::Error> {
        let mut environment = domain.environment(user);
        if let Some(name) = &self.name {
            environment.ccache = Some(name.clone());
        }
        let config = environment.load_config()?;
        let caches = Ccaches::new(&environment, &config)?;
        Ok((environment, KdcClient::new(config), caches))
    }
}
