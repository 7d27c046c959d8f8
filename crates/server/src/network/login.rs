//! The legs of authentication on one connection: what the client says, what the monitor makes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop_auth::http::CERTIFICATE;
use hop_auth::ntlm::{self, NtlmError, SessionBaseKey};
use hop_auth::server::{Acceptor, NeedKerberos, NeedNtlm, Offer, Refusal, Step};
use hop_auth::spnego::AcceptorMechanisms;
use hop_auth::{BasicCredentials, Sealer, UserName, credssp};
use hop_kerberos::gss;
use hop_wsman::server::Caller;
use sha2::{Digest as _, Sha256};

use super::Services;
use super::connection::{Channel, Peer, Ready, Release};
use super::hub::Owner;
use super::monitor::{self, MonitorError};
use crate::ipc::{Accepted, Request};

/// How long whoever gave a wrong password waits for the answer: guessing is slow.
const WRONG_PASSWORD: Duration = Duration::from_secs(1);

/// A login under way; each leg consumes it.
#[derive(Default)]
pub(super) struct Login {
    /// Awaits the next token of a negotiation.
    acceptor: Option<Acceptor>,
    /// Who was accepted, where the negotiation goes on after that.
    accepted: Option<Peer>,
}

/// What follows a leg.
pub(super) enum Outcome {
    /// Another token follows on this connection.
    Continue { www_authenticate: String, next: Login },
    /// The client is who it says.
    Established { www_authenticate: Option<String>, ready: Box<Ready> },
    /// It is not.
    Refused { www_authenticate: Option<String> },
    /// It is, but may not use this server.
    Denied { reason: String },
    /// Nobody can tell at the moment.
    Unavailable,
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        tracing::warn!(reason = %refusal.error, "authentication refused");
        Self::Refused { www_authenticate: refusal.www_authenticate }
    }
}

impl From<MonitorError> for Outcome {
    fn from(error: MonitorError) -> Self {
        tracing::error!(%error, "cannot authenticate");
        Self::Unavailable
    }
}

impl Login {
    /// Takes an `Authorization` header.
    pub async fn leg(
        self,
        authorization: &str,
        services: &Arc<Services>,
        channel: &Channel,
        address: SocketAddr,
    ) -> Outcome {
        let leg = Leg { services, channel, address };
        let result = match (BasicCredentials::parse(authorization), authorization.trim()) {
            (Err(error), _) => Err(Refusal::from(error).into()),
            (Ok(Some(credentials)), _) => leg.basic(credentials, authorization).await,
            (Ok(None), CERTIFICATE) => leg.certificate(authorization).await,
            (Ok(None), _) => leg.token(self, authorization).await,
        };
        result.unwrap_or_else(|refused| refused)
    }
}

/// Everything that a leg takes.
struct Leg<'a> {
    services: &'a Arc<Services>,
    channel: &'a Channel,
    address: SocketAddr,
}

impl Leg<'_> {
    async fn basic(&self, credentials: BasicCredentials, header: &str) -> Result<Outcome, Outcome> {
        let offer = &self.services.offer;
        if !offer.basic || !(self.channel.encrypted || offer.allow_unencrypted) {
            return Err(Outcome::Refused { www_authenticate: None });
        }
        let name = UserName::parse(&credentials.user);
        let request =
            Request::Password { name, password: credentials.password, peer: self.address.to_string() };
        match self.ask(request).await? {
            Ok((peer, _)) => Ok(established(peer, header)),
            Err(_) => {
                tokio::time::sleep(WRONG_PASSWORD).await;
                Err(Outcome::Refused { www_authenticate: None })
            }
        }
    }

    async fn certificate(&self, header: &str) -> Result<Outcome, Outcome> {
        if !self.services.offer.certificate || self.channel.client.is_empty() {
            return Err(Outcome::Refused { www_authenticate: None });
        }
        let chain = self.channel.client.clone();
        match self.ask(Request::Certificate { chain, peer: self.address.to_string() }).await? {
            Ok((peer, _)) => Ok(established(peer, header)),
            Err(_) => Err(Outcome::Refused { www_authenticate: None }),
        }
    }

    /// A token of Negotiate, Kerberos or CredSSP.
    async fn token(&self, login: Login, authorization: &str) -> Result<Outcome, Outcome> {
        let inside = authorization.trim_start().get(..7).is_some_and(|s| s.eq_ignore_ascii_case("credssp"));
        let acceptor = match login.acceptor {
            Some(acceptor) => acceptor,
            None => Acceptor::with(self.offer(inside).await?),
        };
        let mut who = login.accepted;
        let mut step = acceptor.handle(authorization)?;
        loop {
            step = match step {
                Step::NeedKerberos(need) => {
                    let (peer, next) = self.kerberos(need, inside).await?;
                    who = Some(peer);
                    next
                }
                Step::NeedNtlm(need) => {
                    let (peer, next) = self.ntlm(need, inside).await?;
                    who = Some(peer);
                    next
                }
                Step::Continue { www_authenticate, next } => {
                    let next = Login { acceptor: Some(next), accepted: who };
                    return Ok(Outcome::Continue { www_authenticate, next });
                }
                Step::Established { www_authenticate, sealer } => {
                    return Ok(sealed(who, www_authenticate, sealer));
                }
                Step::Delegated { sealer, credentials } => {
                    let peer = who.ok_or(Outcome::Refused { www_authenticate: None })?;
                    let identity = peer.caller.owner.identity;
                    let handed =
                        self.services.hub.monitor.delegate(identity, credentials.name, credentials.password);
                    if handed.await?.is_err() {
                        tokio::time::sleep(WRONG_PASSWORD).await;
                        return Err(Outcome::Refused { www_authenticate: None });
                    }
                    return Ok(sealed(Some(peer), None, sealer));
                }
                _ => return Err(Outcome::Refused { www_authenticate: None }),
            };
        }
    }

    /// What this connection offers.
    async fn offer(&self, inside: bool) -> Result<Offer, Outcome> {
        let offer = &self.services.offer;
        let mut ntlm = None;
        if let Some(names) = &offer.ntlm {
            let mut options = ntlm::AcceptorOptions::new(&names.computer);
            options.domain.clone_from(&names.domain);
            options.dns_computer.clone_from(&names.dns_computer);
            options.dns_domain.clone_from(&names.dns_domain);
            options.binding_policy = self.services.binding_policy();
            // Inside CredSSP the public key binds.
            options.channel_bindings = self.channel.bindings.clone().filter(|_| !inside);
            // A proof that is bound to nothing must at least be meant for this host.
            options.unbound_targets = Some(self.targets()).filter(|_| self.channel.encrypted && !inside);
            let challenge = self.services.hub.monitor.challenge().await?;
            ntlm = Some(ntlm::Acceptor::new(options, challenge, SystemTime::now()));
        }
        let mechanisms = AcceptorMechanisms { kerberos: offer.kerberos, ntlm };
        if !inside {
            // Kerberos without SPNEGO is offered where Negotiate is not.
            let ntlm = mechanisms.ntlm.filter(|_| offer.negotiate);
            return Ok(AcceptorMechanisms { ntlm, ..mechanisms }.into());
        }
        let (Some(credssp), Some(tls)) = (offer.credssp, &self.services.tls) else {
            return Err(Outcome::Refused { www_authenticate: None });
        };
        let tls = tls.current().await.and_then(|current| current.credssp.connection().map_err(Into::into));
        let pipe = tls.map_err(|error| {
            tracing::error!(%error, "no TLS for CredSSP");
            Outcome::Unavailable
        })?;
        let mut options = credssp::AcceptorOptions::new(mechanisms);
        options.minimum_version = credssp.minimum_version;
        let nothing = AcceptorMechanisms { kerberos: false, ntlm: None };
        Ok(Offer { mechanisms: nothing, credssp: Some(credssp::Acceptor::new(Box::new(pipe), options)) })
    }

    /// The service names that this host answers to.
    fn targets(&self) -> Vec<String> {
        let address = self.channel.local.map(|ip| ip.to_string());
        let hosts: Vec<&String> = self.services.offer.hosts.iter().chain(&address).collect();
        let services = ["HTTP", "WSMAN", "HOST", "HTTPS"];
        services
            .iter()
            .flat_map(|service| hosts.iter().map(move |host| format!("{service}/{host}")))
            .collect()
    }

    /// Has the monitor run the AP exchange.
    async fn kerberos(&self, need: NeedKerberos, inside: bool) -> Result<(Peer, Step), Outcome> {
        let bindings = self.channel.bindings.as_ref().filter(|_| !inside).map(|b| b.application_data.clone());
        let request =
            Request::Accept { token: need.token().to_vec(), bindings, peer: self.address.to_string() };
        let (peer, mut accepted) = match self.ask(request).await? {
            Ok(accepted) => accepted,
            Err(refusal) => {
                let error = hop_kerberos::Error::Usage("refused by the monitor");
                let Refusal { www_authenticate, .. } = need.refused(error, refusal.reply);
                return Err(Outcome::Refused { www_authenticate });
            }
        };
        let context = gss::Context::import(&accepted.context).map_err(|error| {
            tracing::error!(%error, "the monitor's context cannot be used");
            Outcome::Unavailable
        })?;
        let step = need.accepted(Box::new(context), accepted.reply.take())?;
        Ok((peer, step))
    }

    /// Has the monitor verify a proof.
    async fn ntlm(&self, need: NeedNtlm, inside: bool) -> Result<(Peer, Step), Outcome> {
        let question = Box::new(need.question().clone());
        let peer = self.address.to_string();
        let (peer, accepted) = match self.ask(Request::Prove { question, inside, peer }).await? {
            Ok(accepted) => accepted,
            Err(_) => {
                tokio::time::sleep(WRONG_PASSWORD).await;
                let Refusal { www_authenticate, .. } = need.refused(NtlmError::WrongCredentials);
                return Err(Outcome::Refused { www_authenticate });
            }
        };
        let key: [u8; 16] =
            accepted.context.expose().as_slice().try_into().map_err(|_| Outcome::Unavailable)?;
        let step = need.accepted(&SessionBaseKey::from_bytes(key))?;
        Ok((peer, step))
    }

    /// Asks the monitor whether somebody is who it says.
    async fn ask(&self, request: Request) -> Result<Result<(Peer, Accepted), monitor::Refusal>, Outcome> {
        let accepted = match self.services.hub.monitor.accept(request).await? {
            Ok(accepted) => accepted,
            Err(refusal) if refusal.denied => return Err(Outcome::Denied { reason: refusal.reason }),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let hub = Arc::clone(&self.services.hub);
        let release = Release { hub, identity: accepted.identity };
        let owner = Owner {
            client: accepted.client.clone(),
            user: accepted.user.clone(),
            identity: accepted.identity,
        };
        let address = Some(self.address.ip().to_canonical().to_string());
        let caller = Caller { owner, name: accepted.client.clone(), address };
        Ok(Ok((Peer { caller, _release: release }, accepted)))
    }
}

fn sealed(who: Option<Peer>, www_authenticate: Option<String>, sealer: Sealer) -> Outcome {
    match who {
        Some(peer) => {
            let ready = Ready { sealer: Some(sealer), peer, every_request: None };
            Outcome::Established { www_authenticate, ready: Box::new(ready) }
        }
        None => Outcome::Refused { www_authenticate: None },
    }
}

fn established(peer: Peer, header: &str) -> Outcome {
    let every_request = Some(Sha256::digest(header).into());
    let ready = Ready { sealer: None, peer, every_request };
    Outcome::Established { www_authenticate: None, ready: Box::new(ready) }
}
