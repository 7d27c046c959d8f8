//! One HTTP connection: it authenticates once, then carries sealed bodies both ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hop_auth::server::{Acceptor, NeedKerberos, Refusal, Step, challenges};
use hop_auth::{SealedBodyError, Sealer};
use hop_kerberos::gss;
use hop_wsman::server::Caller;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Mutex;

use super::hub::{Answer, Hub, Owner};
use crate::ipc::IdentityId;

/// The media type of SOAP messages.
const SOAP: &str = "application/soap+xml;charset=UTF-8";
/// What framing and signature add to a sealed body at most.
const SEAL_OVERHEAD: usize = 8 * 1024;
/// How long a client may take to send one body (`MaxPacketRetrievalTimeSeconds`).
const BODY_TIME: Duration = Duration::from_secs(120);

/// The state of one connection.
pub(crate) struct Connection {
    hub: Arc<Hub>,
    peer: SocketAddr,
    max_envelope: usize,
    state: Mutex<State>,
    authenticated: AtomicBool,
}

enum State {
    /// Nobody yet, or in the middle of a negotiation; the peer may be known before the negotiation is complete.
    Negotiating {
        acceptor: Acceptor,
        accepted: Option<Peer>,
    },
    Ready(Box<Ready>),
    /// Something was wrong that cannot be mended on this connection.
    Closed,
}

struct Ready {
    sealer: Sealer,
    peer: Peer,
}

/// Somebody whom the monitor accepted.
struct Peer {
    caller: Caller<Owner>,
    _release: Release,
}

/// Tells the monitor when the connection of an identity is gone.
struct Release {
    hub: Arc<Hub>,
    identity: IdentityId,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.hub.monitor.release(self.identity);
    }
}

type Reply = Response<Full<Bytes>>;

impl Connection {
    pub fn new(hub: Arc<Hub>, peer: SocketAddr, max_envelope: usize) -> Self {
        let state = Mutex::new(State::Negotiating { acceptor: Acceptor::new(), accepted: None });
        Self { hub, peer, max_envelope, state, authenticated: AtomicBool::new(false) }
    }

    /// Somebody has authenticated on this connection.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
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
        let limit = self.max_envelope + SEAL_OVERHEAD;
        if body.size_hint().lower() > limit as u64 {
            return close(too_large(self.max_envelope));
        }
        let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return close(too_large(self.max_envelope)),
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
                return match self.hub.identify(&body) {
                    Some(answer) => soap(StatusCode::OK, SOAP, answer),
                    None => unauthorized(None),
                };
            }
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
        let (acceptor, pending) = match std::mem::replace(&mut *state, State::Closed) {
            State::Negotiating { acceptor, accepted } => (acceptor, accepted),
            // Authenticating anew on an authenticated connection takes the place of what was.
            State::Ready(_) => (Acceptor::new(), None),
            State::Closed => return Err(Box::new(close(unauthorized(None)))),
        };
        self.authenticated.store(false, Ordering::Relaxed);
        let mut step = acceptor.handle(authorization).map_err(|refusal| self.refuse(refusal))?;
        let mut who = pending;
        if let Step::NeedKerberos(need) = step {
            let (accepted, next) = self.ask_monitor(need).await?;
            who = Some(accepted);
            step = next;
        }
        match (step, who) {
            (Step::Continue { www_authenticate, next }, accepted) => {
                *state = State::Negotiating { acceptor: next, accepted };
                Err(Box::new(unauthorized(Some(&www_authenticate))))
            }
            (Step::Established { www_authenticate, mut sealer }, Some(peer)) => {
                sealer.set_limit(self.max_envelope);
                tracing::debug!(peer = %self.peer, client = %peer.caller.name, "authenticated");
                *state = State::Ready(Box::new(Ready { sealer, peer }));
                self.authenticated.store(true, Ordering::Relaxed);
                Ok(www_authenticate)
            }
            _ => Err(Box::new(close(unauthorized(None)))),
        }
    }

    /// Has the monitor run the AP exchange.
    async fn ask_monitor(&self, need: NeedKerberos) -> Result<(Peer, Step), Box<Reply>> {
        let answer = self.hub.monitor.accept(need.token().to_vec(), None, self.peer.to_string()).await;
        let mut accepted = match answer {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(refusal)) if refusal.denied => {
                let text = format!("access denied: {}", refusal.reason);
                return Err(Box::new(close(plain(StatusCode::FORBIDDEN, &text))));
            }
            Ok(Err(refusal)) => {
                let challenge = need
                    .refused(hop_kerberos::Error::Usage("refused by the monitor"), refusal.reply)
                    .www_authenticate;
                return Err(Box::new(close(unauthorized(challenge.as_deref()))));
            }
            Err(error) => {
                tracing::error!(%error, "cannot authenticate");
                return Err(Box::new(close(plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server is stopping",
                ))));
            }
        };
        let release = Release { hub: Arc::clone(&self.hub), identity: accepted.identity };
        let context = gss::Context::import(&accepted.context).map_err(|error| {
            tracing::error!(%error, "the monitor's context cannot be used");
            Box::new(close(empty(StatusCode::INTERNAL_SERVER_ERROR)))
        })?;
        let step = need
            .accepted(Box::new(context), accepted.reply.take())
            .map_err(|refusal| self.refuse(refusal))?;
        let owner =
            Owner { client: accepted.client.clone(), user: accepted.user, identity: accepted.identity };
        let address = Some(self.peer.ip().to_canonical().to_string());
        let caller = Caller { owner, name: accepted.client, address };
        Ok((Peer { caller, _release: release }, step))
    }

    fn refuse(&self, refusal: Refusal) -> Box<Reply> {
        tracing::warn!(peer = %self.peer, reason = %refusal.error, "authentication refused");
        Box::new(close(unauthorized(refusal.www_authenticate.as_deref())))
    }

    /// Answers a sealed SOAP request.
    async fn sealed(&self, content_type: &str, body: &[u8], offer: Option<&str>) -> Reply {
        let mut state = self.state.lock().await;
        let State::Ready(ready) = &mut *state else { return unauthorized(None) };
        let request = match ready.sealer.unseal(content_type, body) {
            Ok(request) => request.body,
            Err(error) => {
                tracing::warn!(peer = %self.peer, client = %ready.peer.caller.name, %error, "body refused");
                *state = State::Closed;
                let reply = match error {
                    SealedBodyError::TooLarge { .. } => too_large(self.max_envelope),
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
        let Some(Answer { status, body }) = self.hub.request(&caller, &request).await else {
            return close(plain(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"));
        };
        let mut state = self.state.lock().await;
        let State::Ready(ready) = &mut *state else { return close(unauthorized(None)) };
        match ready.sealer.seal(SOAP, &body) {
            Ok(sealed) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                with_challenge(soap(status, &sealed.content_type, sealed.body), offer)
            }
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

/// 401 with this challenge, or with an offer of every scheme.
fn unauthorized(challenge: Option<&str>) -> Reply {
    let mut reply = empty(StatusCode::UNAUTHORIZED);
    if challenge.is_none() {
        for offer in challenges() {
            reply.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(offer));
        }
    }
    with_challenge(reply, challenge)
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
