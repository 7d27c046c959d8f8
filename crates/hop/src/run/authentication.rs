//! How to authenticate, and whom to trust.

use std::{error::Error, path::PathBuf, sync::Arc};

use hop_auth::UserName;
use hop_client::{
    authentication::{Authentication, Login, Password, PasswordPolicy},
    kerberos::{Identity, Source},
    tls::{ClientCertificate, TlsOptions, Trust},
};
use hop_delegation::Mode;

use super::Arguments;
use crate::{password, ticket};

/// The options of authentication and TLS.
#[derive(Debug, clap::Args)]
pub struct AuthenticationArguments {
    /// How to authenticate: negotiate, kerberos, ntlm, credssp (hands the host your password), basic, certificate
    /// [default: negotiate; with --delegate credssp: credssp]
    #[arg(long, visible_alias = "auth", value_name = "WAY", value_parser = |s: &str| s.parse::<Authentication>())]
    pub authentication: Option<Authentication>,
    /// With negotiate and credssp: NTLM may take Kerberos's place where there is no ticket. It does not prove who the
    /// host is: `hop trust` says which hosts it may speak to all the same, `hop credssp` which may have your password
    #[arg(long)]
    pub allow_ntlm: bool,
    /// HTTPS instead of HTTP; the default port is 5986
    #[arg(long)]
    pub https: bool,
    /// Trust the certificate authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Trust the one certificate with this SHA-256 fingerprint, whatever its name
    #[arg(long, value_name = "SHA256", conflicts_with = "ca", value_parser = pin)]
    pub pin: Option<Trust>,
    /// Take a certificate for the host's name from any authority (SkipCACheck): whoever makes one can be the host
    #[arg(long, conflicts_with_all = ["ca", "pin"])]
    pub skip_ca_check: bool,
    /// Take a certificate for any name (SkipCNCheck): whoever has one can be the host
    #[arg(long, conflicts_with = "pin")]
    pub skip_cn_check: bool,
    /// Your certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Its private key, a PEM file [default: the same file]
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub certificate_key: Option<PathBuf>,
}

fn pin(text: &str) -> Result<Trust, String> {
    Trust::parse_pin(text).ok_or_else(|| "expected 64 hexadecimal digits".to_owned())
}

impl AuthenticationArguments {
    /// The way of authentication, as far as delegation leaves a choice.
    ///
    /// # Errors
    /// Delegation by CredSSP, and another way of authentication.
    pub fn way(&self, delegate: Mode) -> Result<Authentication, String> {
        match self.authentication {
            None if delegate == Mode::CredSsp => Ok(Authentication::CredSsp),
            Some(way) if delegate == Mode::CredSsp && way != Authentication::CredSsp => Err(format!(
                "delegation by credssp means authentication by credssp, not {way}: leave --authentication out, or say \
                 --delegate auto"
            )),
            way => Ok(way.unwrap_or_default()),
        }
    }

    /// Says what is not checked.
    #[expect(clippy::print_stderr, reason = "a warning")]
    fn warn(&self) {
        for (skipped, option, means) in [
            (self.skip_ca_check, "--skip-ca-check", "anybody can have made the host's certificate"),
            (self.skip_cn_check, "--skip-cn-check", "the host's certificate may be another host's"),
        ] {
            if skipped {
                eprintln!(
                    "hop: warning: {option}: {means}, so nothing proves that this is the host you mean"
                );
            }
        }
    }

    /// Whom to trust, and the own certificate.
    pub fn tls(&self) -> TlsOptions {
        let trust = match (&self.ca, &self.pin) {
            _ if self.skip_ca_check && self.skip_cn_check => Trust::Anything,
            _ if self.skip_ca_check => Trust::AnyAuthority,
            _ if self.skip_cn_check => Trust::AnyName(self.ca.clone()),
            (Some(path), _) => Trust::Authorities(path.clone()),
            (None, Some(pin)) => pin.clone(),
            (None, None) => Trust::System,
        };
        let certificate = self.certificate.clone().map(|chain| {
            let key = self.certificate_key.clone().unwrap_or_else(|| chain.clone());
            ClientCertificate { chain, key }
        });
        TlsOptions { trust, certificate }
    }
}

/// What the options name. A password is proved to the KDC here, before any host is contacted, unless NTLM will do.
pub async fn of(arguments: &Arguments) -> Result<Login, Box<dyn Error>> {
    let options = &arguments.authentication;
    options.warn();
    let authentication = options.way(arguments.delegate.unwrap_or_default())?;
    let password = match (&arguments.user, authentication) {
        (_, Authentication::Certificate) => None,
        (Some(user), _) if arguments.keytab.is_none() => Some(Password {
            name: UserName::parse(user),
            password: password::read(arguments.password_file.as_deref(), user)?,
        }),
        (Some(_), _) => None,
        // Where the session keeps its user's password, that is the credential; there are no tickets then.
        (None, _) => ticket::session_password(),
    };
    let kept = arguments.user.is_none() && password.is_some();
    let by_kerberos = matches!(
        authentication,
        Authentication::Negotiate | Authentication::Kerberos | Authentication::CredSsp
    );
    let identity = if by_kerberos { identity(arguments, password.as_ref()).await? } else { None };
    Ok(Login {
        authentication,
        identity,
        policy: policy(options, authentication, password.is_some())?,
        password,
        allow_ntlm: options.allow_ntlm || kept,
        delegation: arguments.delegate,
    })
}

/// The policy that guards the password, where one could go or NTLM speak: a host's entry may ask for CredSSP.
fn policy(
    options: &AuthenticationArguments,
    authentication: Authentication,
    password: bool,
) -> Result<PasswordPolicy, hop_policy::Error> {
    match authentication {
        Authentication::CredSsp | Authentication::Ntlm => PasswordPolicy::of_this_machine(),
        Authentication::Negotiate if options.allow_ntlm || password => PasswordPolicy::of_this_machine(),
        _ => Ok(PasswordPolicy::default()),
    }
}

/// The Kerberos identity; none if there is no KDC for the user and NTLM may take its place.
async fn identity(
    arguments: &Arguments,
    password: Option<&Password>,
) -> Result<Option<Arc<Identity>>, Box<dyn Error>> {
    // A password that the session keeps is for NTLM: no realm knows it. There may be a ticket all the same.
    let source = match (&arguments.user, &arguments.keytab, password) {
        (Some(user), Some(path), _) => Source::Keytab { principal: user.clone(), path: path.clone() },
        (Some(user), None, Some(known)) => {
            Source::Password { principal: user.clone(), password: known.password.clone() }
        }
        _ => Source::DefaultCache,
    };
    let environment = arguments.domain.environment(arguments.user.as_deref());
    let asks_kdc = !matches!(source, Source::DefaultCache);
    let tried = async {
        let identity = Identity::in_environment(environment, source)?;
        if asks_kdc {
            identity.principal().await?;
        }
        Ok::<_, hop_client::kerberos::IdentityError>(Arc::new(identity))
    };
    match tried.await {
        Ok(identity) => Ok(Some(identity)),
        Err(error) if arguments.authentication.allow_ntlm && password.is_some() => {
            tracing::info!(%error, "no Kerberos, NTLM is allowed");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        authentication: AuthenticationArguments,
    }

    fn parse(words: &[&str]) -> Result<AuthenticationArguments, clap::Error> {
        Cli::try_parse_from([&["hop"], words].concat()).map(|cli| cli.authentication)
    }

    #[test]
    fn whom_to_trust() {
        let trust = |words: &[&str]| parse(words).unwrap().tls().trust;
        assert_eq!(trust(&[]), Trust::System);
        assert_eq!(trust(&["--ca", "ca.pem"]), Trust::Authorities("ca.pem".into()));
        assert_eq!(trust(&["--pin", &"00".repeat(32)]), Trust::Pinned([0; 32]));
        assert_eq!(trust(&["--skip-ca-check"]), Trust::AnyAuthority);
        assert_eq!(trust(&["--skip-cn-check"]), Trust::AnyName(None));
        assert_eq!(trust(&["--skip-cn-check", "--ca", "ca.pem"]), Trust::AnyName(Some("ca.pem".into())));
        assert_eq!(trust(&["--skip-ca-check", "--skip-cn-check"]), Trust::Anything);
        for bad in [
            &["--pin", "00"][..],
            &["--ca", "x", "--skip-ca-check"],
            &["--pin", "x", "--skip-cn-check"],
            &["--certificate-key", "x"],
            &["--authentication", "digest"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let own = parse(&["--certificate", "me.pem"]).unwrap().tls().certificate.unwrap();
        assert_eq!((own.chain.clone(), own.key), (PathBuf::from("me.pem"), own.chain));
    }

    #[test]
    fn ways() {
        assert_eq!(parse(&[]).unwrap().way(Mode::Auto), Ok(Authentication::Negotiate));
        assert_eq!(parse(&[]).unwrap().way(Mode::CredSsp), Ok(Authentication::CredSsp));
        for way in ["negotiate", "kerberos", "ntlm", "basic", "certificate"] {
            let said = parse(&["--authentication", way]).unwrap();
            assert!(said.way(Mode::Forward).is_ok_and(|known| known.to_string() == way));
            assert!(
                said.way(Mode::CredSsp)
                    .is_err_and(|error| error.contains(way) && error.contains("--delegate auto"))
            );
        }
        let credssp = parse(&["--authentication", "CredSSP", "--allow-ntlm"]).unwrap();
        assert_eq!((credssp.way(Mode::CredSsp), credssp.allow_ntlm), (Ok(Authentication::CredSsp), true));
    }
}
