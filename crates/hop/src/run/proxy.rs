//! The proxy on the way to the hosts, and who to be there.

use std::{
    collections::{HashMap, hash_map::Entry},
    error::Error,
    path::PathBuf,
    sync::Arc,
};

use hop_client::{
    Target,
    kerberos::{Identity, Source},
    proxy::{Chosen, NoProxy, Proxies, Proxy, ProxyAuthentication, ProxyLogin, ProxySetting},
};
use hop_kerberos_io::Environment;
use hop_secret::SecretString;

use crate::password;

/// The options about proxies.
#[derive(Debug, clap::Args)]
pub struct ProxyArguments {
    /// Go through this HTTP proxy, http://[USER@]HOST:PORT, or none; for HTTPS only [default: the host's entry, then
    /// HTTPS_PROXY]
    #[arg(long, value_name = "URL", value_parser = |s: &str| s.parse::<ProxySetting>())]
    pub proxy: Option<ProxySetting>,
    /// Hosts to reach without proxy: names with all below them, addresses, networks such as 10.0.0.0/8, or *
    /// [default: the host's entry, then NO_PROXY]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// How to authenticate to the proxy: auto (the strongest that it offers), basic, negotiate (Kerberos), ntlm
    #[arg(long, value_name = "WAY", default_value_t, value_parser = |s: &str| s.parse::<ProxyAuthentication>())]
    pub proxy_authentication: ProxyAuthentication,
    /// File that holds the password of the proxy's USER; without it it is asked for
    #[arg(long, value_name = "FILE")]
    pub proxy_password_file: Option<PathBuf>,
}

/// The proxies of a run, with who we are to them.
#[derive(Debug)]
pub struct Ways {
    proxies: Proxies,
    logins: HashMap<Proxy, ProxyLogin>,
}

impl Ways {
    /// The proxy of one of the targets, as the transport takes it.
    pub fn of(&self, target: &Target) -> Option<(Proxy, ProxyLogin)> {
        let proxy = self.proxies.choose(target).ok()??.proxy;
        let login = self.logins.get(&proxy)?.clone();
        Some((proxy, login))
    }
}

impl ProxyArguments {
    /// Settings of this run over those of the environment.
    pub fn proxies(&self) -> Proxies {
        let mut proxies = Proxies::from_environment(|name| std::env::var_os(name));
        proxies.explicit = self.proxy.clone();
        proxies.no_proxy = self.no_proxy.as_deref().map(NoProxy::parse);
        proxies
    }

    /// Who to be to each proxy that the targets need: passwords are asked for once, before anything is connected.
    ///
    /// # Errors
    /// HTTP with a proxy, or a password that cannot be had.
    pub fn ways(&self, targets: &[Target], environment: &Environment) -> Result<Ways, Box<dyn Error>> {
        let proxies = self.proxies();
        let mut logins = HashMap::new();
        for target in targets {
            let Some(Chosen { proxy, password }) = proxies.choose(target)? else { continue };
            if let Entry::Vacant(place) = logins.entry(proxy) {
                let login = self.login(place.key(), password, environment)?;
                place.insert(login);
            }
        }
        Ok(Ways { proxies, logins })
    }

    fn login(
        &self,
        proxy: &Proxy,
        known: Option<SecretString>,
        environment: &Environment,
    ) -> Result<ProxyLogin, Box<dyn Error>> {
        let way = self.proxy_authentication;
        let Some(user) = &proxy.user else {
            if self.proxy_password_file.is_some() {
                return Err(
                    "--proxy-password-file needs a user in the proxy's address: http://USER@HOST:PORT".into(),
                );
            }
            let identity = Identity::in_environment(environment.clone(), Source::DefaultCache)?;
            return Ok(ProxyLogin {
                authentication: way,
                identity: Some(Arc::new(identity)),
                password: None,
            });
        };
        let password = match (&self.proxy_password_file, known) {
            (None, Some(known)) => known,
            (file, _) => password::read(file.as_deref(), &format!("{user} at the proxy {proxy}"))?,
        };
        Ok(ProxyLogin::with_password(way, user, password, environment.clone())?)
    }
}

/// The proxy of the host's entry or the environment, where nobody can be asked for a password.
///
/// # Errors
/// HTTP with a proxy, or an address that cannot be read.
pub fn unattended(
    target: &Target,
    own: &Arc<Identity>,
) -> Result<Option<(Proxy, ProxyLogin)>, Box<dyn Error>> {
    let proxies = Proxies::from_environment(|name| std::env::var_os(name));
    let Some(Chosen { proxy, password }) = proxies.choose(target)? else { return Ok(None) };
    let login = match (&proxy.user, password) {
        (None, _) => ProxyLogin { identity: Some(own.clone()), ..ProxyLogin::default() },
        (Some(user), Some(password)) => {
            let environment = Environment::from_process();
            ProxyLogin::with_password(ProxyAuthentication::Auto, user, password, environment)?
        }
        (Some(_), None) => ProxyLogin::default(),
    };
    Ok(Some((proxy, login)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;
    use hop_client::Hosts;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        proxy: ProxyArguments,
    }

    fn parse(words: &[&str]) -> Result<ProxyArguments, clap::Error> {
        Cli::try_parse_from([&["hop"], words].concat()).map(|cli| cli.proxy)
    }

    #[test]
    fn options() {
        let options =
            parse(&["--proxy", "http://alice@proxy:3128", "--no-proxy", "hop.test,10.0.0.0/8"]).unwrap();
        assert_eq!(options.proxies().no_proxy, Some(NoProxy::parse("hop.test,10.0.0.0/8")));
        assert!(matches!(options.proxy, Some(ProxySetting::Through(proxy)) if proxy.port == 3128));
        assert_eq!(parse(&["--proxy", "none"]).unwrap().proxy, Some(ProxySetting::Direct));
        assert_eq!(parse(&[]).unwrap().proxy_authentication, ProxyAuthentication::Auto);
        for bad in [
            &["--proxy", "http://alice:secret@proxy"][..],
            &["--proxy", "https://proxy"],
            &["--proxy-authentication", "digest"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let error = parse(&["--proxy", "http://alice:secret@proxy"]).unwrap_err().to_string();
        assert!(error.contains("list of processes") && error.contains("--proxy-password-file"), "{error}");
    }

    #[test]
    fn one_password_for_each_proxy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\nmore").unwrap();
        let file = file.to_str().unwrap();
        let target = |name: &str| Hosts::default().resolve(name).unwrap().with_https();
        let environment = Environment::from_process();
        let options =
            parse(&["--proxy", "alice@proxy:1", "--proxy-password-file", file, "--no-proxy", "c"]).unwrap();
        let ways = options.ways(&[target("a"), target("b"), target("c")], &environment).unwrap();
        let (proxy, login) = ways.of(&target("b")).unwrap();
        let password = login.password.unwrap();
        assert_eq!((proxy.user.as_deref(), &password.password), (Some("alice"), &"secret".into()));
        assert!(ways.of(&target("c")).is_none());
        assert!(!format!("{ways:?} {options:?}").contains("secret"));

        let nobody = parse(&["--proxy", "proxy:1", "--proxy-password-file", file]).unwrap();
        let error = nobody.ways(&[target("a")], &environment).unwrap_err().to_string();
        assert!(error.contains("http://USER@"), "{error}");
        let plain = Hosts::default().resolve("a").unwrap();
        let error = options.ways(&[plain], &environment).unwrap_err().to_string();
        assert!(error.contains("2150859185"), "{error}");
    }
}
