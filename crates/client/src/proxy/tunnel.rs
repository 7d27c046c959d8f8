//! Tunnels: `CONNECT` requests, with the legs of authentication on one connection.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hop_delegation::Mode;
use hop_secret::SecretString;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    http::uri::Authority,
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    Proxy, ProxyError, ProxyLogin,
    authentication::{self, Challenges, Exchange, Leg, Way},
};
use crate::{
    dial::dial,
    hosts::{Hosts, Target},
    http::{USER_AGENT, insert, reason},
    kerberos::Kerberos,
};

/// Of an answer's head, in bytes, and in header lines.
const MAX_HEAD: usize = 256 << 10;
const MAX_HEADERS: usize = 100;
/// Of the page that comes with a refusal.
const MAX_PAGE: usize = 1 << 20;
/// NTLM needs three requests, and one more asks what is offered.
const MAX_LEGS: usize = 8;

/// Makes tunnels through one proxy.
pub(crate) struct Tunnels {
    proxy: Proxy,
    login: ProxyLogin,
    /// The proxy as the target of Kerberos and NTLM.
    target: Target,
    kerberos: Option<Arc<Kerberos>>,
    /// The way that it took before.
    taken: Mutex<Option<Way>>,
    connect: Duration,
    answer: Duration,
}

impl Tunnels {
    /// `connect` is for the connection to the proxy, `answer` for each of its answers.
    pub(crate) fn new(proxy: Proxy, login: ProxyLogin, connect: Duration, answer: Duration) -> Self {
        let target = Hosts::target_of_proxy(&proxy);
        let identity = login.identity.clone();
        let kerberos =
            identity.map(|identity| Arc::new(Kerberos::new(identity, target.clone(), Mode::Never)));
        Self { proxy, login, target, kerberos, taken: Mutex::new(None), connect, answer }
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// A tunnel to `HOST:PORT`.
    pub(crate) async fn open(&self, to: &str) -> Result<TokioIo<Upgraded>, ProxyError> {
        let known = *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leg = match known {
            None => None,
            Some(way) => Some(self.begin_again(way).await?),
        };
        let mut kept = None;
        let mut is_answer = false;
        for _ in 0..MAX_LEGS {
            let (authorization, exchange) =
                leg.map_or((None, None), |(header, exchange)| (Some(header), Some(exchange)));
            let response = self.ask(&mut kept, to, authorization.as_ref(), is_answer).await?;
            let status = response.status();
            if status.is_success() {
                if let Some(exchange) = exchange {
                    let way = exchange.way();
                    exchange.finish(&final_token(response.headers()))?;
                    *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
                }
                let upgraded = self.in_time("open the tunnel", hyper::upgrade::on(response)).await?;
                return upgraded.map(TokioIo::new).map_err(|e| ProxyError::Broken(reason(&e)));
            }
            let said = said(&response);
            if status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
                return Err(refusal(status, response.headers(), to, said));
            }
            let challenges = values(response.headers(), &header::PROXY_AUTHENTICATE);
            // The page must be read before the connection can be used again; one without end is not.
            let page = Limited::new(response.into_body(), MAX_PAGE).collect();
            if self.in_time("send its answer", page).await?.is_err() {
                kept = None;
            }
            let next;
            (next, is_answer) = self.next(exchange, &challenges, &said).await?;
            leg = Some(next);
        }
        Err(ProxyError::Broken("authentication takes too many legs".to_owned()))
    }

    /// What to say next, and whether it belongs to the connection.
    async fn next(
        &self,
        exchange: Option<Exchange>,
        challenges: &Challenges,
        said: &str,
    ) -> Result<(Leg, bool), ProxyError> {
        let (refused, after) = match exchange {
            None => (None, None),
            Some(exchange) => {
                let (way, may_give_way) = (exchange.way(), exchange.may_give_way());
                match exchange.go_on(challenges, said) {
                    Ok(leg) => return Ok((leg, true)),
                    Err(error) if may_give_way => (Some(error), Some(way)),
                    Err(error) => return Err(error),
                }
            }
        };
        let kerberos = self.kerberos.as_deref();
        let begun = authentication::begin(&self.login, &self.target, kerberos, challenges, after);
        match (self.in_time("authenticate", begun).await?, refused) {
            (Ok(leg), _) => Ok((leg, false)),
            (Err(_), Some(refused)) => Err(refused),
            (Err(error), None) => Err(error),
        }
    }

    /// What it took before is offered at once.
    async fn begin_again(&self, way: Way) -> Result<Leg, ProxyError> {
        let begun = authentication::begin_with(way, &self.login, &self.target, self.kerberos.as_deref());
        self.in_time("authenticate", begun)
            .await?
            .map_err(|reason| ProxyError::NoCredentials { offers: way.as_str().to_owned(), reason })
    }

    /// One request, on the connection that is kept if it still is one. An answer to a challenge belongs to the
    /// connection that brought the challenge.
    async fn ask(
        &self,
        kept: &mut Option<Connection>,
        to: &str,
        authorization: Option<&SecretString>,
        is_answer: bool,
    ) -> Result<Response<Incoming>, ProxyError> {
        loop {
            let (mut connection, is_fresh) = match kept.take() {
                Some(connection) => (connection, false),
                None if is_answer => {
                    return Err(ProxyError::Broken(
                        "it closed it in the middle of authentication".to_owned(),
                    ));
                }
                None => (self.connect().await?, true),
            };
            let answer = async {
                connection.sender.ready().await.map_err(|_| None)?;
                let request = request(to, authorization)?;
                connection.sender.try_send_request(request).await.map_err(|mut error| {
                    let was_sent = error.take_message().is_none();
                    was_sent.then(|| ProxyError::Broken(reason(error.error())))
                })
            };
            match self.in_time("answer", answer).await? {
                Ok(response) => {
                    *kept = Some(connection);
                    return Ok(response);
                }
                Err(Some(error)) => return Err(error),
                Err(None) if is_fresh => return Err(ProxyError::Broken("it closed it".to_owned())),
                // The proxy had closed it after its last answer: nothing was sent.
                Err(None) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Connection, ProxyError> {
        let stream = dial(&self.proxy.host, self.proxy.port, self.connect).await;
        let stream = stream.map_err(|error| ProxyError::dial(error, self.connect))?;
        let mut http = http1::Builder::new();
        http.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
        let (sender, connection) =
            http.handshake(TokioIo::new(stream)).await.map_err(|e| ProxyError::Broken(reason(&e)))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the proxy ended");
            }
        });
        Ok(Connection { sender, driver })
    }

    async fn in_time<T>(&self, action: &'static str, work: impl Future<Output = T>) -> Result<T, ProxyError> {
        let within = self.answer;
        timeout(within, work).await.map_err(|_| ProxyError::TimedOut { action, within })
    }
}

/// A connection to the proxy that is no tunnel yet.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    /// A tunnel has its bytes already: its driver has ended.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn request(
    to: &str,
    authorization: Option<&SecretString>,
) -> Result<Request<Empty<Bytes>>, Option<ProxyError>> {
    let authority: Authority =
        to.parse().map_err(|_| Some(ProxyError::Broken(format!("{to:?} cannot stand in a request"))))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::from(authority);
    let headers = request.headers_mut();
    insert(headers, header::HOST, to);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(HeaderName::from_static("proxy-connection"), HeaderValue::from_static("Keep-Alive"));
    if let Some(Ok(mut value)) = authorization.map(|secret| HeaderValue::from_str(secret.expose())) {
        value.set_sensitive(true);
        headers.insert(header::PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}

/// What a refusal means.
fn refusal(status: StatusCode, headers: &HeaderMap, to: &str, text: String) -> ProxyError {
    let to = to.to_owned();
    let says = |name: &str, what: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(what)))
    };
    // RFC 9209 section 2.3.2, and squid.
    if says("proxy-status", "dns_error") || says("x-squid-error", "ERR_DNS_FAIL") {
        return ProxyError::Unresolved { to };
    }
    match status.as_u16() {
        403 => ProxyError::Forbidden { to, text },
        // Some say 500 of hosts that they do not get through to.
        status @ (500 | 502..=504) => ProxyError::Unreachable { to, status, text },
        status => ProxyError::Status { status, text },
    }
}

/// What an answer says of its reason, in few words: nobody vouches for them.
fn said(response: &Response<Incoming>) -> String {
    let detail = ["proxy-status", "x-squid-error"]
        .into_iter()
        .find_map(|name| response.headers().get(name)?.to_str().ok().map(str::to_owned));
    let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>();
    let phrase = phrase.map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
    let text = detail.or(phrase).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The last token stands in one header or the other.
fn final_token(headers: &HeaderMap) -> Challenges {
    let info = values(headers, &HeaderName::from_static("proxy-authentication-info"));
    if info.is_empty() { values(headers, &header::PROXY_AUTHENTICATE) } else { info }
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Challenges {
    Challenges::parse(headers.get_all(name).iter().filter_map(|value| value.to_str().ok()))
}
