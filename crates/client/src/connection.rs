//! A server that can be talked to: transport, URL and what was decided about delegation.

use std::sync::Arc;

use hop_auth::{Mechanism, http::Scheme};
use hop_delegation::{Decision, Mode};

use crate::{
    authentication::{Authentication, CredSsp, EveryRequest, Login, Negotiate},
    error::Error,
    hosts::Target,
    http::{Http, Settings},
    kerberos::{DelegationOutcome, Identity, Kerberos},
    negotiate::Proof,
    security::Provider,
    tls::TlsSetupError,
    transport::Transport,
    winrs,
};

/// A way to one server. Nothing is connected before the first request.
#[derive(Clone)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    target: Target,
    delegation: DelegationOutcome,
    proof: Proof,
}

impl Connection {
    /// HTTP or HTTPS, authenticated as `login` says.
    ///
    /// # Errors
    /// Something that the way of authentication needs is missing, or TLS cannot be set up.
    pub fn open(target: Target, login: Login, settings: Settings) -> Result<Self, Error> {
        if settings.proxy.is_some() && !target.https {
            return Err(Error::ProxyNeedsHttps { host: target.alias });
        }
        let missing = |what: &str| Error::Credentials { host: target.alias.clone(), source: what.into() };
        let tickets = |service: Option<&str>, mode| {
            login.identity.clone().map(|identity| {
                let mut target = target.clone();
                if let Some(service) = service {
                    target.service = service.to_owned();
                }
                Arc::new(Kerberos::new(identity, target, mode))
            })
        };
        let mode = login.delegation.or(target.delegation).unwrap_or_default();
        // To delegate by CredSSP is to authenticate by it.
        let authentication = match login.authentication {
            Authentication::Negotiate if mode == Mode::CredSsp => Authentication::CredSsp,
            Authentication::CredSsp => Authentication::CredSsp,
            other if mode == Mode::CredSsp => {
                return Err(missing(&format!(
                    "delegation by CredSSP means authentication by CredSSP, not {other}"
                )));
            }
            other => other,
        };
        let password = || login.password.clone().ok_or_else(|| missing("user name and password are needed"));
        let no_identity = || missing("Kerberos needs a ticket cache, a password or a keytab");
        let needs_https = || match target.https {
            true => Ok(()),
            false => Err(missing("this way of authentication needs HTTPS")),
        };
        let mut delegation = DelegationOutcome::default();
        let proof = Proof::default();
        let provider: Box<dyn Provider> = match authentication {
            Authentication::Negotiate | Authentication::Kerberos | Authentication::Ntlm => {
                let alone = authentication == Authentication::Ntlm;
                let kerberos = tickets(None, mode).filter(|_| !alone);
                let ntlm = if alone {
                    Some(password()?)
                } else {
                    let allowed = login.allow_ntlm && authentication == Authentication::Negotiate;
                    login.password.clone().filter(|_| allowed)
                };
                if kerberos.is_none() && ntlm.is_none() {
                    return Err(no_identity());
                }
                if let Some(kerberos) = &kerberos {
                    delegation = kerberos.outcome();
                }
                let scheme = match authentication {
                    Authentication::Kerberos => Scheme::Kerberos,
                    _ => Scheme::Negotiate,
                };
                let proof = proof.clone();
                Box::new(Negotiate { target: target.clone(), scheme, kerberos, ntlm, proof })
            }
            Authentication::CredSsp => {
                delegation = DelegationOutcome::decided(Decision::Password);
                let kerberos = tickets(Some("WSMAN"), Mode::Never);
                if kerberos.is_none() && !login.allow_ntlm {
                    return Err(no_identity());
                }
                let tls =
                    |source: TlsSetupError| Error::Tls { host: target.alias.clone(), source: source.into() };
                // Whether the certificate inside is a trusted one matters for the decision alone.
                let roots = match settings.tls.trust.roots() {
                    Err(TlsSetupError::NoAuthorities(_)) => None,
                    roots => roots.map_err(tls)?,
                };
                Box::new(CredSsp {
                    target: target.clone(),
                    kerberos,
                    password: password()?,
                    allow_ntlm: login.allow_ntlm,
                    policy: login.credssp,
                    roots,
                })
            }
            Authentication::Basic => {
                needs_https()?;
                Box::new(EveryRequest::basic(target.clone(), &password()?)?)
            }
            Authentication::Certificate => {
                needs_https()?;
                if settings.tls.certificate.is_none() {
                    return Err(missing("a client certificate is needed"));
                }
                Box::new(EveryRequest::certificate(target.clone()))
            }
        };
        let transport = Arc::new(Http::new(target.clone(), provider, settings));
        Ok(Self { transport, target, delegation, proof })
    }

    /// HTTP with Kerberos. The target's own delegation mode, if it is configured, comes before `mode`'s default.
    pub fn kerberos(target: Target, identity: Arc<Identity>, mode: Option<Mode>, settings: Settings) -> Self {
        let mode = mode.or(target.delegation).unwrap_or_default();
        let kerberos = Kerberos::new(identity, target.clone(), mode);
        let delegation = kerberos.outcome();
        let proof = Proof::default();
        let provider = Negotiate {
            target: target.clone(),
            scheme: Scheme::Negotiate,
            kerberos: Some(Arc::new(kerberos)),
            ntlm: None,
            proof: proof.clone(),
        };
        let transport = Arc::new(Http::new(target.clone(), Box::new(provider), settings));
        Self { transport, target, delegation, proof }
    }

    /// Any other transport.
    pub fn new(target: Target, transport: Arc<dyn Transport>) -> Self {
        Self { transport, target, delegation: DelegationOutcome::default(), proof: Proof::default() }
    }

    /// Where it leads.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What was decided about delegation: known after the first request.
    pub fn delegation(&self) -> &DelegationOutcome {
        &self.delegation
    }

    /// The mechanism that proved the host's name, with `Negotiate` and `Kerberos`: known after the first request.
    pub fn proven_by(&self) -> Option<Mechanism> {
        self.proof.get()
    }

    /// The transport.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Opens a command shell.
    ///
    /// # Errors
    /// Whatever keeps the server from opening it.
    pub async fn open_shell(&self, options: winrs::ShellOptions) -> Result<winrs::Shell, Error> {
        winrs::Shell::open(self.transport(), &self.target.url(), options).await
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("target", &self.target).finish_non_exhaustive()
    }
}
