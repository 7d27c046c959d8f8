//! Who the client is, and how it proves it: one provider for each of WinRM's ways.

use std::{fmt, str::FromStr, sync::Arc, time::SystemTime};

use futures_util::future::BoxFuture;
use hop_auth::{
    BasicCredentials, Mechanism, UserName, client,
    credssp::{self, CertificateTrust, DelegatedPassword, ServerProof},
    http::{CERTIFICATE, Scheme},
    ntlm,
    spnego::InitiatorMechanisms,
};
use hop_delegation::{
    Mode,
    credssp::{self as credssp_policy, Proof, Refusal},
};
use hop_secret::SecretString;
use rustls::RootCertStore;

use crate::{
    error::{Cause, Error},
    hosts::Target,
    kerberos::{Identity, Kerberos},
    negotiate::{Negotiation, ProvedBy},
    security::{Body, Channel, Provider, Security},
    words,
};

/// How a client authenticates (`-Authentication`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Authentication {
    /// Kerberos, or NTLM where it is allowed.
    #[default]
    Negotiate,
    /// Kerberos and nothing else.
    Kerberos,
    /// NTLM and nothing else.
    Ntlm,
    /// CredSSP: the server gets the password.
    CredSsp,
    /// Name and password, over HTTPS only.
    Basic,
    /// The certificate of TLS.
    Certificate,
}

impl Authentication {
    const ALL: [(Authentication, &str); 6] = [
        (Authentication::Negotiate, "negotiate"),
        (Authentication::Kerberos, "kerberos"),
        (Authentication::Ntlm, "ntlm"),
        (Authentication::CredSsp, "credssp"),
        (Authentication::Basic, "basic"),
        (Authentication::Certificate, "certificate"),
    ];
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(words::of(&Self::ALL, self))
    }
}

impl FromStr for Authentication {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        words::parse(&Self::ALL, text)
    }
}

/// A user with a password that was typed.
#[derive(Clone, Debug)]
pub struct Password {
    /// `DOMAIN\user`, `user@realm` or `user`.
    pub name: UserName,
    /// The password.
    pub password: SecretString,
}

impl Password {
    pub(crate) fn ntlm(
        &self,
        service: &str,
        target: &Target,
        channel: &Channel,
    ) -> (Vec<u8>, ntlm::ExpectChallenge) {
        let credential = ntlm::Credential::with_password(self.name.clone(), &self.password);
        let options = ntlm::InitiatorOptions {
            target_name: Some(format!("{service}/{}", target.host_name)),
            channel_bindings: channel.bindings.clone(),
            workstation: String::new(),
        };
        ntlm::Initiator::start(credential, options, SystemTime::now(), &mut rand::rng())
    }
}

/// All that a client can bring; what is needed of it depends on the way of authentication.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The way of authentication.
    pub authentication: Authentication,
    /// For Kerberos, with `Negotiate`, `Kerberos` and `CredSSP`.
    pub identity: Option<Arc<Identity>>,
    /// For NTLM, CredSSP and Basic.
    pub password: Option<Password>,
    /// With `Negotiate` and `CredSSP`: NTLM may take Kerberos's place. It proves nothing of the server.
    pub allow_ntlm: bool,
    /// Which servers may have the password by CredSSP, and which NTLM may speak to.
    pub policy: PasswordPolicy,
    /// Which tickets may travel on; the target's own mode, if it is configured, comes before the default.
    pub delegation: Option<Mode>,
}

/// The policy that guards the password, and what comes with it.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// Which servers may have the password by CredSSP, and which NTLM may speak to. The default allows none.
    pub policy: Arc<credssp_policy::Policy>,
    /// The oldest version of CredSSP; below 5 somebody in the middle can take part (CVE-2018-0886).
    pub minimum_version: u32,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { policy: Arc::default(), minimum_version: credssp::SAFE_VERSION }
    }
}

impl PasswordPolicy {
    /// What this machine's files and the domain's Group Policy say. May ask the domain, for some seconds.
    ///
    /// # Errors
    /// See [`hop_policy::Policy::load`].
    pub fn of_this_machine() -> Result<Self, hop_policy::Error> {
        Ok(Self { policy: Arc::new(hop_policy::Policy::load()?.effective), ..Self::default() })
    }
}

/// What is asked once a server of CredSSP has proved itself, before the password goes.
pub(crate) struct Consent {
    pub(crate) policy: Arc<credssp_policy::Policy>,
    /// As it was typed.
    pub(crate) host: String,
}

impl Consent {
    /// Whether the server may have the password.
    pub(crate) fn decide(&self, proof: &ServerProof, channel_proves_name: bool) -> Result<(), Refusal> {
        let proof = match proof.mechanism {
            Mechanism::Kerberos => Proof::Kerberos,
            _ if channel_proves_name || proof.certificate == CertificateTrust::Verified => Proof::Certificate,
            _ => Proof::NtlmOnly,
        };
        self.policy.may_delegate(&self.host, true, proof)
    }
}

/// `Negotiate` and `Kerberos`: Kerberos, NTLM or both.
pub(crate) struct Negotiate {
    pub(crate) target: Target,
    pub(crate) scheme: Scheme,
    pub(crate) kerberos: Option<Arc<Kerberos>>,
    pub(crate) ntlm: Option<Password>,
    /// Why NTLM may not take Kerberos's place, where it was to.
    pub(crate) no_ntlm: Option<Refusal>,
    /// Where to tell which it was.
    pub(crate) proof: ProvedBy,
}

impl Provider for Negotiate {
    fn begin(&self, channel: Channel) -> BoxFuture<'_, Result<Box<dyn Security>, Error>> {
        Box::pin(async move {
            let mechanisms =
                mechanisms(&self.target, self.kerberos.as_deref(), self.ntlm.as_ref(), "HTTP", &channel)
                    .await
                    .map_err(|error| self.explained(error))?;
            let started = client::start(self.scheme, mechanisms).map_err(|e| failed(&self.target, e))?;
            Ok(Box::new(Negotiation::new(started, channel, None).telling(&self.proof)) as Box<dyn Security>)
        })
    }
}

impl Negotiate {
    /// Where NTLM would have come next but may not, that is the error.
    fn explained(&self, error: Error) -> Error {
        match &self.no_ntlm {
            Some(refusal) => Error::Policy {
                host: self.target.alias.clone(),
                refusal: refusal.clone(),
                before: Some(Box::new(error)),
            },
            None => error,
        }
    }
}

/// Kerberos, as far as there are tickets, and NTLM, as far as it is allowed.
async fn mechanisms(
    target: &Target,
    kerberos: Option<&Kerberos>,
    ntlm: Option<&Password>,
    service: &str,
    channel: &Channel,
) -> Result<InitiatorMechanisms, Error> {
    let kerberos = match kerberos {
        None => None,
        Some(kerberos) => match kerberos.initiate(channel.bindings.as_ref()).await {
            Ok(started) => Some(started),
            Err(error) if ntlm.is_some() => {
                tracing::info!(host = target.alias, %error, "no Kerberos, NTLM is allowed");
                None
            }
            Err(error) => return Err(error),
        },
    };
    Ok(InitiatorMechanisms { kerberos, ntlm: ntlm.map(|password| password.ntlm(service, target, channel)) })
}

/// `CredSSP`.
pub(crate) struct CredSsp {
    pub(crate) target: Target,
    /// For the service `WSMAN`.
    pub(crate) kerberos: Option<Arc<Kerberos>>,
    pub(crate) password: Password,
    /// NTLM inside.
    pub(crate) allow_ntlm: bool,
    pub(crate) policy: PasswordPolicy,
    /// To tell whether the certificate inside is a trusted one.
    pub(crate) roots: Option<Arc<RootCertStore>>,
}

impl Provider for CredSsp {
    fn begin(&self, channel: Channel) -> BoxFuture<'_, Result<Box<dyn Security>, Error>> {
        Box::pin(async move {
            // Bindings are to the inner TLS, by the public key.
            let inside = Channel::default();
            let ntlm = self.allow_ntlm.then_some(&self.password);
            let mechanisms =
                mechanisms(&self.target, self.kerberos.as_deref(), ntlm, "WSMAN", &inside).await?;
            let credentials = DelegatedPassword {
                name: self.password.name.clone(),
                password: self.password.password.clone(),
            };
            let mut options = credssp::InitiatorOptions::new(mechanisms, credentials);
            options.minimum_version = self.policy.minimum_version;
            // Where the password may go for a certificate only, NTLM's proof may not go for less.
            let by_ntlm = self.policy.policy.may_delegate(&self.target.alias, true, Proof::NtlmOnly);
            options.ntlm_needs_certificate = !channel.proves_name && by_ntlm.is_err();
            let tls = credssp::tls::client(&self.target.host_name, self.roots.clone(), SystemTime::now())
                .map_err(|e| failed(&self.target, e))?;
            let started = client::start_credssp(Box::new(tls), options, &mut rand::rng())
                .map_err(|e| failed(&self.target, e))?;
            let consent = Consent { policy: self.policy.policy.clone(), host: self.target.alias.clone() };
            Ok(Box::new(Negotiation::new(started, channel, Some(consent))) as Box<dyn Security>)
        })
    }
}

fn failed(target: &Target, source: impl Into<Cause>) -> Error {
    Error::Authentication { host: target.alias.clone(), source: source.into() }
}

/// `Basic` and certificates: the same header with every request, and TLS around it.
pub(crate) struct EveryRequest {
    target: Target,
    authorization: SecretString,
}

impl EveryRequest {
    pub(crate) fn basic(target: Target, password: &Password) -> Result<Self, Error> {
        let credentials =
            BasicCredentials { user: password.name.to_string(), password: password.password.clone() };
        let authorization = credentials
            .authorization()
            .map_err(|source| Error::Credentials { host: target.alias.clone(), source: source.into() })?;
        Ok(Self { target, authorization })
    }

    pub(crate) fn certificate(target: Target) -> Self {
        Self { target, authorization: CERTIFICATE.into() }
    }
}

impl Provider for EveryRequest {
    fn begin(&self, channel: Channel) -> BoxFuture<'_, Result<Box<dyn Security>, Error>> {
        let security: Result<Box<dyn Security>, Error> = if channel.encrypted {
            Ok(Box::new(Plain(self.authorization.clone())))
        } else {
            Err(failed(&self.target, "this way of authentication needs HTTPS"))
        };
        Box::pin(std::future::ready(security))
    }
}

/// Bodies that TLS alone protects.
struct Plain(SecretString);

impl Security for Plain {
    fn start(&mut self) -> Result<Option<String>, Cause> {
        Ok(None)
    }

    fn authorization(&self) -> Option<&SecretString> {
        Some(&self.0)
    }

    fn handle(&mut self, _: &[&str], _: bool) -> Result<Option<String>, Cause> {
        Err("no token was expected".into())
    }

    fn seal(&mut self, body: Body) -> Result<Body, Cause> {
        Ok(body)
    }

    fn unseal(&mut self, body: Body) -> Result<Body, Cause> {
        body.expect_soap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (authentication, word) in Authentication::ALL {
            assert_eq!(word.to_uppercase().parse(), Ok(authentication));
            assert_eq!(authentication.to_string(), word);
        }
        let error = "digest".parse::<Authentication>().unwrap_err();
        assert!(error.contains("credssp"), "{error}");
    }

    #[test]
    fn what_counts_as_proof() {
        use hop_delegation::credssp::{List, Policy, RefusalKind, Setting, Source};
        let on = || Setting::new(true, Source::File("test".to_owned()));
        let list = || List {
            enabled: Some(on()),
            entries: vec![Setting::new("wsman/servera".to_owned(), Source::File("test".to_owned()))],
        };
        let proof = |mechanism, certificate| ServerProof { mechanism, certificate, version: 6 };
        let untrusted = || CertificateTrust::NotVerified("unknown issuer".to_owned());
        let proven = Policy { client: Some(on()), allow_fresh: list(), ..Policy::default() };
        let mut any = proven.clone();
        any.allow_fresh_ntlm_only = list();
        let decide = |policy: &Policy, proof: &ServerProof, channel| {
            let consent = Consent { policy: Arc::new(policy.clone()), host: "servera".to_owned() };
            consent.decide(proof, channel).map_err(|refusal| refusal.kind())
        };
        assert_eq!(decide(&proven, &proof(Mechanism::Kerberos, untrusted()), false), Ok(()));
        assert_eq!(decide(&proven, &proof(Mechanism::Ntlm, CertificateTrust::Verified), false), Ok(()));
        assert_eq!(decide(&proven, &proof(Mechanism::Ntlm, untrusted()), true), Ok(()));
        for weak in [untrusted(), CertificateTrust::NotChecked] {
            let weak = proof(Mechanism::Ntlm, weak);
            assert_eq!(decide(&proven, &weak, false), Err(RefusalKind::NtlmOnly));
            assert_eq!(decide(&any, &weak, false), Ok(()));
        }
    }
}
