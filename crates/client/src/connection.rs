//! A server that can be talked to: transport, URL and what was decided about delegation.

use std::sync::Arc;

use hop_auth::{Mechanism, http::Scheme};
use hop_delegation::{
    Decision, Mode,
    credssp::{Proof, Refusal},
};

use crate::{
    authentication::{Authentication, CredSsp, EveryRequest, Login, Negotiate},
    error::Error,
    hosts::Target,
    http::{Http, Settings},
    kerberos::{DelegationOutcome, Identity, Kerberos},
    negotiate::ProvedBy,
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
    proof: ProvedBy,
}

impl Connection {
    /// HTTP or HTTPS, authenticated as `login` says.
    ///
    /// # Errors
    /// The policy of this machine forbids it, something that the way of authentication needs is missing, or TLS cannot
    /// be set up.
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
        let policy = &login.policy.policy;
        let forbidden = |refusal| Error::Policy { host: target.alias.clone(), refusal, before: None };
        let proves_name = target.https && settings.tls.trust.proves_name();
        let may_use_ntlm = |by_default| -> Result<(), Refusal> {
            if proves_name { Ok(()) } else { policy.may_use_ntlm(&target.alias, by_default) }
        };
        let mut delegation = DelegationOutcome::default();
        let proof = ProvedBy::default();
        let provider: Box<dyn Provider> = match authentication {
            Authentication::Negotiate | Authentication::Kerberos | Authentication::Ntlm => {
                let alone = authentication == Authentication::Ntlm;
                let kerberos = tickets(None, mode).filter(|_| !alone);
                let mut no_ntlm = None;
                let ntlm = if alone {
                    let password = password()?;
                    may_use_ntlm(false).map_err(forbidden)?;
                    Some(password)
                } else {
                    let wanted = login.allow_ntlm && authentication == Authentication::Negotiate;
                    let ntlm = login.password.clone().filter(|_| wanted);
                    no_ntlm = ntlm.as_ref().and_then(|_| may_use_ntlm(true).err());
                    ntlm.filter(|_| no_ntlm.is_none())
                };
                if kerberos.is_none() && ntlm.is_none() {
                    return Err(no_ntlm.map_or_else(no_identity, forbidden));
                }
                if let Some(kerberos) = &kerberos {
                    delegation = kerberos.outcome();
                }
                let scheme = match authentication {
                    Authentication::Kerberos => Scheme::Kerberos,
                    _ => Scheme::Negotiate,
                };
                let proof = proof.clone();
                Box::new(Negotiate { target: target.clone(), scheme, kerberos, ntlm, no_ntlm, proof })
            }
            Authentication::CredSsp => {
                let typed = login.password.is_some();
                policy.may_delegate(&target.alias, typed, Proof::Unknown).map_err(forbidden)?;
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
                    policy: login.policy.clone(),
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
        let proof = ProvedBy::default();
        let provider = Negotiate {
            target: target.clone(),
            scheme: Scheme::Negotiate,
            kerberos: Some(Arc::new(kerberos)),
            ntlm: None,
            no_ntlm: None,
            proof: proof.clone(),
        };
        let transport = Arc::new(Http::new(target.clone(), Box::new(provider), settings));
        Self { transport, target, delegation, proof }
    }

    /// Any other transport.
    pub fn new(target: Target, transport: Arc<dyn Transport>) -> Self {
        Self { transport, target, delegation: DelegationOutcome::default(), proof: ProvedBy::default() }
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
