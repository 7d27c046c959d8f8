//! One HTTP or HTTPS connection: it authenticates, then carries bodies both ways, sealed unless TLS protects them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hop_auth::{SealedBodyError, Sealer};
use hop_kerberos::gss::ChannelBindings;
use hop_wsman::server::Caller;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::Services;
use super::hub::{Answer, Hub, Owner};
use super::login::{Login, Outcome};
use crate::ipc::IdentityId;

/// The media type of SOAP messages.
const SOAP: &str = "application/soap+xml;charset=UTF-8";
/// What an envelope's media type begins with.
const SOAP_MEDIA: &str = "application/soap+xml";
/// What framing and signature add to a sealed body at most.
const SEAL_OVERHEAD: usize = 8 * 1024;
/// How long a client may take to send one body (`MaxPacketRetrievalTimeSeconds`).
const BODY_TIME: Duration = Duration::from_secs(120);

/// The state of one connection.
pub(crate) struct Connection {
    services: Arc<Services>,
    peer: SocketAddr,
    channel: Channel,
    state: Mutex<State>,
    authenticated: AtomicBool,
}

/// What carries the connection.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// TLS.
    pub encrypted: bool,
    /// This end's address.
    pub local: Option<IpAddr>,
    /// What binds authentication to TLS.
    pub bindings: Option<ChannelBindings>,
    /// The client's certificate and the chain above it, in DER; whose key it has proved.
    pub client: Vec<Vec<u8>>,
}

enum State {
    /// Nobody yet, or in the middle of a negotiation.
    Negotiating(Box<Login>),
    Ready(Box<Ready>),
    /// Something was wrong that cannot be mended on this connection.
    Closed,
}

/// Somebody has authenticated.
pub(super) struct Ready {
    /// Seals bodies; none where only TLS protects them.
    pub sealer: Option<Sealer>,
    pub peer: Peer,
    /// The hash of what `Authorization` must say with every request.
    pub every_request: Option<[u8; 32]>,
}

/// Somebody whom the monitor accepted.
pub(super) struct Peer {
    pub caller: Caller<Owner>,
    pub _release: Release,
}

/// Tells the monitor when the connection of an identity is gone.
pub(super) struct Release {
    pub hub: Arc<Hub>,
    pub identity: IdentityId,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.hub.monitor.release(self.identity);
    }
}

pub(super) type Reply = Response<Full<Bytes>>;

impl Connection {
    pub fn new(services: Arc<Services>, peer: SocketAddr, channel: Channel) -> Self {
        let state = Mutex::new(State::Negotiating(Box::default()));
        Self { services, peer, channel, state, authenticated: AtomicBool::new(false) }
    }

    /// Somebody has authenticated on this connection.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    fn max_envelope(&self) -> usize {
        self.services.limits.max_envelope_size as usize
    }

    /// Answers one HTTP request.
    pub async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().trim_end_matches('/');
        if !path.eq_ignore_ascii_case("/wsman") {
            return plain(StatusCode::NOT_FOUND, "no such resource; WS-Management is at /wsman");
        }
        if request.method() != Method::POST {
            let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, "WS-Management requests are POST");
            reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return reply;
        }
        let (head, body) = request.into_parts();
        let limit = self.max_envelope() + SEAL_OVERHEAD;
        if body.size_hint().lower() > limit as u64 {
            return close(too_large(self.max_envelope()));
        }
        let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return close(too_large(self.max_envelope())),
            Ok(Err(_)) => return close(plain(StatusCode::BAD_REQUEST, "the body is not complete")),
            Err(_) => return close(plain(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
        };
        let content_type = text(head.headers.get(header::CONTENT_TYPE));
        let Some(authorization) = head.headers.get(header::AUTHORIZATION) else {
            let asks_identity = head
                .headers
                .get("WSMANIDENTIFY")
                .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"unauthenticated"));
            if asks_identity && !self.is_authenticated() {
                return match self.services.hub.identify(&body) {
                    Some(answer) => soap(StatusCode::OK, SOAP, answer),
                    None => self.unauthorized(),
                };
            }
            // What must come with every request, others on the same connection do not have.
            let state = self.state.lock().await;
            if matches!(&*state, State::Ready(ready) if ready.every_request.is_some()) {
                return self.unauthorized();
            }
            drop(state);
            return self.sealed(content_type, &body, None).await;
        };
        let offer = match self.authenticate(text(Some(authorization))).await {
            Ok(header) => header,
            Err(reply) => return *reply,
        };
        if body.is_empty() {
            return with_challenge(empty(StatusCode::OK), offer.as_deref());
        }
        self.sealed(content_type, &body, offer.as_deref()).await
    }

    /// Takes one leg of authentication: the header for the client once it is complete, else the answer to send.
    async fn authenticate(&self, authorization: &str) -> Result<Option<String>, Box<Reply>> {
        let mut state = self.state.lock().await;
        let login = match std::mem::replace(&mut *state, State::Closed) {
            // Basic and certificates come with every request.
            State::Ready(ready) if ready.every_request == Some(Sha256::digest(authorization).into()) => {
                *state = State::Ready(ready);
                return Ok(None);
            }
            State::Negotiating(login) => *login,
            // Authenticating anew on an authenticated connection takes the place of what was.
            State::Ready(_) => Login::default(),
            State::Closed => return Err(Box::new(close(self.unauthorized()))),
        };
        self.authenticated.store(false, Ordering::Relaxed);
        match login.leg(authorization, &self.services, &self.channel, self.peer).await {
            Outcome::Continue { www_authenticate, next } => {
                *state = State::Negotiating(Box::new(next));
                Err(Box::new(with_challenge(empty(StatusCode::UNAUTHORIZED), Some(&www_authenticate))))
            }
            Outcome::Established { www_authenticate, mut ready } => {
                if let Some(sealer) = &mut ready.sealer {
                    sealer.set_limit(self.max_envelope());
                }
                tracing::debug!(peer = %self.peer, client = %ready.peer.caller.name, "authenticated");
                *state = State::Ready(ready);
                self.authenticated.store(true, Ordering::Relaxed);
                Ok(www_authenticate)
            }
            Outcome::Refused { www_authenticate: Some(token) } => {
                let reply = empty(StatusCode::UNAUTHORIZED);
                Err(Box::new(close(with_challenge(reply, Some(&token)))))
            }
            Outcome::Refused { www_authenticate: None } => Err(Box::new(close(self.unauthorized()))),
            Outcome::Denied { reason } => {
                Err(Box::new(close(plain(StatusCode::FORBIDDEN, &format!("access denied: {reason}")))))
            }
            Outcome::Unavailable => Err(Box::new(close(plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server cannot authenticate now",
            )))),
        }
    }

    /// 401 with an offer of every scheme.
    fn unauthorized(&self) -> Reply {
        let mut reply = empty(StatusCode::UNAUTHORIZED);
        for offer in self.services.challenges(self.channel.encrypted) {
            reply.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(offer));
        }
        reply
    }

    /// The envelope of a body, and whether it was sealed.
    fn open(
        &self,
        ready: &mut Ready,
        content_type: &str,
        body: &[u8],
    ) -> Result<(Vec<u8>, bool), SealedBodyError> {
        let is_soap = content_type
            .trim_start()
            .get(..SOAP_MEDIA.len())
            .is_some_and(|m| m.eq_ignore_ascii_case(SOAP_MEDIA));
        let protected = self.channel.encrypted || self.services.offer.allow_unencrypted;
        match &mut ready.sealer {
            Some(sealer) if !(protected && is_soap) => {
                sealer.unseal(content_type, body).map(|request| (request.body, true))
            }
            _ if !is_soap => Err(SealedBodyError::Plaintext { got: content_type.chars().take(80).collect() }),
            _ if body.len() > self.max_envelope() => {
                Err(SealedBodyError::TooLarge { got: body.len(), limit: self.max_envelope() })
            }
            _ => Ok((body.to_vec(), false)),
        }
    }

    /// Answers a sealed SOAP request.
    async fn sealed(&self, content_type: &str, body: &[u8], offer: Option<&str>) -> Reply {
        let mut state = self.state.lock().await;
        let State::Ready(ready) = &mut *state else { return self.unauthorized() };
        let (request, is_sealed) = match self.open(ready, content_type, body) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(peer = %self.peer, client = %ready.peer.caller.name, %error, "body refused");
                *state = State::Closed;
                let reply = match error {
                    SealedBodyError::TooLarge { .. } => too_large(self.max_envelope()),
                    _ => plain(
                        StatusCode::BAD_REQUEST,
                        "the body is not sealed as it must be on this connection",
                    ),
                };
                return close(reply);
            }
        };
        let caller = ready.peer.caller.clone();
        // The answer may take minutes; HTTP/1.1 brings no other request of this connection before it.
        drop(state);
        let Some(Answer { status, body }) = self.services.hub.request(&caller, &request).await else {
            return close(plain(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"));
        };
        let mut state = self.state.lock().await;
        let State::Ready(ready) = &mut *state else { return close(self.unauthorized()) };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let Some(sealer) = ready.sealer.as_mut().filter(|_| is_sealed) else {
            return with_challenge(soap(status, SOAP, body), offer);
        };
        match sealer.seal(SOAP, &body) {
            Ok(sealed) => with_challenge(soap(status, &sealed.content_type, sealed.body), offer),
            Err(error) => {
                tracing::error!(%error, "cannot seal an answer");
                *state = State::Closed;
                close(plain(StatusCode::INTERNAL_SERVER_ERROR, ""))
            }
        }
    }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Bodies are always whole, so that every answer has a Content-Length: some clients cannot read chunks.
fn soap(status: StatusCode, content_type: &str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        reply.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    reply
}

fn plain(status: StatusCode, text: &str) -> Reply {
    if text.is_empty() {
        return empty(status);
    }
    soap(status, "text/plain;charset=UTF-8", text.as_bytes().to_vec())
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

fn too_large(limit: usize) -> Reply {
    plain(StatusCode::PAYLOAD_TOO_LARGE, &format!("the envelope is larger than {limit} bytes"))
}

fn with_challenge(mut reply: Reply, challenge: Option<&str>) -> Reply {
    if let Some(value) = challenge.and_then(|c| HeaderValue::from_str(c).ok()) {
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    reply
}

fn close(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}
