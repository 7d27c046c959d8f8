//! HTTP/1.1 with sealed bodies, or HTTPS, which may go through a proxy.
//!
//! One connection serves as long as only one request is under way. Another one is opened, with its own
//! authentication, when a request must not wait for the one before: stopping a pipeline whose Receive is parked.
//! The first request of a connection carries the token and no body, because a body can be sealed only after the
//! server's token has come.

use std::{sync::Mutex, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Version,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    dial::{DialError, dial},
    error::{Cause, Error},
    hosts::{Target, authority},
    proxy::{Proxy, ProxyLogin, Tunnels},
    security::{Body, Channel, Provider, Security},
    tls::{self, TlsOptions},
    transport::{Answer, Transport},
};

/// Media type of an envelope.
const SOAP: &str = "application/soap+xml;charset=UTF-8";

pub(crate) const USER_AGENT: &str = concat!("secondhop/", env!("CARGO_PKG_VERSION"));

/// Time limits and sizes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For name resolution and TCP, each address.
    pub connect: Duration,
    /// For each token leg.
    pub authenticate: Duration,
    /// On top of what the server may take to answer a request.
    pub network: Duration,
    /// Largest answer in bytes.
    pub max_answer: usize,
    /// Connections that are kept when they are idle.
    pub max_idle: usize,
    /// For HTTPS.
    pub tls: TlsOptions,
    /// The proxy in between, for HTTPS only, and who we are to it.
    pub proxy: Option<(Proxy, ProxyLogin)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            authenticate: Duration::from_secs(30),
            network: Duration::from_secs(30),
            max_answer: 64 << 20,
            max_idle: 4,
            tls: TlsOptions::default(),
            proxy: None,
        }
    }
}

/// HTTP to one server.
pub struct Http {
    target: Target,
    path: String,
    provider: Box<dyn Provider>,
    settings: Settings,
    idle: Mutex<Vec<Connection>>,
    /// Made from files when the first connection needs it.
    connector: OnceCell<TlsConnector>,
    tunnels: Option<Tunnels>,
}

impl Http {
    /// No connection is made before the first request.
    pub fn new(target: Target, provider: Box<dyn Provider>, settings: Settings) -> Self {
        let (connect, answer) = (settings.connect, settings.network);
        let tunnels =
            settings.proxy.clone().map(|(proxy, login)| Tunnels::new(proxy, login, connect, answer));
        Self {
            target,
            path: "/wsman".to_owned(),
            provider,
            settings,
            idle: Mutex::new(Vec::new()),
            connector: OnceCell::new(),
            tunnels,
        }
    }

    async fn exchange(&self, body: Vec<u8>, within: Duration) -> Result<Answer, Error> {
        let limit = within + self.settings.network;
        loop {
            let reused = self.take_idle();
            let is_reused = reused.is_some();
            let mut connection = match reused {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let timed_out = |_| self.timed_out("answer", limit);
            match timeout(limit, connection.post(self, &body)).await.map_err(timed_out)? {
                Ok(answer) => {
                    self.put_idle(connection);
                    return Ok(answer);
                }
                // An idle connection that the server had closed: the request never left.
                Err(Failure::NotSent) if is_reused => continue,
                Err(Failure::NotSent) => return Err(self.broken("the server closed it")),
                Err(Failure::Error(error)) => return Err(error),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let stream = match &self.tunnels {
            None => self.dial().await?,
            Some(tunnels) => self.tunnel(tunnels).await?,
        };
        let (stream, channel) = self.secure(stream).await?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.broken(&reason(&e)))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "HTTP connection ended");
            }
        });
        let limit = self.settings.authenticate;
        let timed_out = |_| self.timed_out("authenticate", limit);
        let security = timeout(limit, self.provider.begin(channel)).await.map_err(timed_out)??;
        let mut connection = Connection { sender, driver, security };
        let authorization = connection.security.start().map_err(|e| self.unauthenticated(e))?;
        if let Some(token) = authorization {
            timeout(limit, connection.authenticate(self, token)).await.map_err(timed_out)??;
        }
        connection.security.limit_answers(self.settings.max_answer);
        Ok(connection)
    }

    /// TLS, if the target wants it.
    async fn secure(&self, stream: Box<dyn Stream>) -> Result<(Box<dyn Stream>, Channel), Error> {
        if !self.target.https {
            return Ok((stream, Channel::default()));
        }
        let failed = |source: Cause| Error::Tls { host: self.target.alias.clone(), source };
        let options = self.settings.tls.clone();
        let make = || async {
            let made = tokio::task::spawn_blocking(move || options.connector()).await;
            made.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))
        };
        let connector = self.connector.get_or_try_init(make).await?;
        let limit = self.settings.connect;
        let handshake = tls::connect(connector, &self.settings.tls.trust, &self.target.host_name, stream);
        let (stream, channel) = timeout(limit, handshake)
            .await
            .map_err(|_| self.timed_out("make a TLS connection", limit))?
            .map_err(|source| failed(source.into()))?;
        Ok((Box::new(stream), channel))
    }

    async fn dial(&self) -> Result<Box<dyn Stream>, Error> {
        let (port, limit) = (self.target.port, self.settings.connect);
        let host = self.target.alias.clone();
        let stream = dial(&self.target.address, port, limit).await.map_err(|error| match error {
            DialError::NameResolution(source) => {
                Error::NameResolution { host: self.target.address.clone(), source }
            }
            DialError::Refused => Error::Refused { host, port },
            DialError::Connect(source) => Error::Connect { host, port, source },
            DialError::TimedOut(action) => self.timed_out(action, limit),
        })?;
        Ok(Box::new(stream))
    }

    /// Through the proxy; the proxy resolves the address.
    async fn tunnel(&self, tunnels: &Tunnels) -> Result<Box<dyn Stream>, Error> {
        if !self.target.https {
            return Err(Error::ProxyNeedsHttps { host: self.target.alias.clone() });
        }
        let stream = tunnels.open(&authority(&self.target.address, self.target.port)).await;
        let stream = stream.map_err(|source| Error::Proxy {
            host: self.target.alias.clone(),
            proxy: tunnels.proxy().to_string(),
            source,
        })?;
        Ok(Box::new(stream))
    }

    fn request(
        &self,
        content_type: Option<&str>,
        authorization: Option<&str>,
        body: Vec<u8>,
    ) -> Request<Full<Bytes>> {
        // Said also for an empty body, where HTTP libraries leave it out: servers of WinRM look for it.
        let length = HeaderValue::from(body.len());
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_11;
        if let Ok(path) = self.path.parse() {
            *request.uri_mut() = path;
        }
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Keep-Alive"));
        headers.insert(header::CONTENT_LENGTH, length);
        insert(headers, header::CONTENT_TYPE, content_type.unwrap_or(SOAP));
        insert(headers, header::HOST, &self.target.authority());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(Ok(mut value)) = authorization.map(HeaderValue::from_str) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        request
    }

    async fn collect(&self, body: Incoming) -> Result<Vec<u8>, Error> {
        let collected = Limited::new(body, self.settings.max_answer).collect().await;
        Ok(collected.map_err(|e| self.broken(&e.to_string()))?.to_bytes().to_vec())
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while let Some(connection) = idle.pop() {
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put_idle(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if idle.len() < self.settings.max_idle && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }

    fn timed_out(&self, action: &'static str, within: Duration) -> Error {
        Error::TimedOut { host: self.target.alias.clone(), action, within }
    }

    fn broken(&self, reason: &str) -> Error {
        let reason = match &self.tunnels {
            None => reason.to_owned(),
            Some(tunnels) => format!("{reason} (it goes through the proxy {})", tunnels.proxy()),
        };
        Error::Broken { host: self.target.alias.clone(), reason }
    }

    fn unauthenticated(&self, source: Cause) -> Error {
        Error::Authentication { host: self.target.alias.clone(), source }
    }
}

impl Transport for Http {
    fn post(&self, body: Vec<u8>, within: Duration) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(self.exchange(body, within))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One authenticated connection, with no request under way.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    security: Box<dyn Security>,
}

enum Failure {
    /// The connection was closed before the request was sent.
    NotSent,
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Connection {
    /// The token legs, on requests without body.
    async fn authenticate(&mut self, http: &Http, first: String) -> Result<(), Error> {
        /// No mechanism needs more: CredSSP has five, and two more if the mechanism inside changes.
        const MAX_LEGS: usize = 10;
        let mut token = first;
        for _ in 0..MAX_LEGS {
            let request = http.request(None, Some(&token), Vec::new());
            let response = self.sender.send_request(request).await.map_err(|e| http.broken(&reason(&e)))?;
            let (parts, body) = response.into_parts();
            let body = http.collect(body).await?;
            let challenges: Vec<&str> = parts
                .headers
                .get_all(header::WWW_AUTHENTICATE)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .collect();
            let accepted = parts.status.is_success();
            if !accepted && parts.status != StatusCode::UNAUTHORIZED {
                return Err(status(http, &parts.headers, parts.status, &body));
            }
            match self.security.handle(&challenges, accepted) {
                Ok(Some(next)) => token = next,
                Ok(None) if accepted => return Ok(()),
                Ok(None) => return Err(unauthorized(http, &challenges, &parts.headers, &body)),
                Err(source) => return Err(http.unauthenticated(source)),
            }
        }
        Err(http.broken("authentication takes too many legs"))
    }

    async fn post(&mut self, http: &Http, envelope: &[u8]) -> Result<Answer, Failure> {
        // Sealing counts messages, so that nothing may be sealed that is not sent.
        if self.sender.ready().await.is_err() {
            return Err(Failure::NotSent);
        }
        let plain = Body { content_type: SOAP.to_owned(), bytes: envelope.to_vec() };
        let sealed = self.security.seal(plain).map_err(|e| http.unauthenticated(e))?;
        let authorization = self.security.authorization().map(|secret| secret.expose().as_str());
        let request = http.request(Some(&sealed.content_type), authorization, sealed.bytes);
        let response = match self.sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                let error = http.broken(&reason(error.error()));
                return Err(if unsent { Failure::NotSent } else { Failure::Error(error) });
            }
        };
        let (parts, body) = response.into_parts();
        let bytes = http.collect(body).await?;
        let content_type = text(&parts.headers, header::CONTENT_TYPE);
        if parts.status == StatusCode::UNAUTHORIZED {
            let challenges: Vec<&str> = parts
                .headers
                .get_all(header::WWW_AUTHENTICATE)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .collect();
            return Err(unauthorized(http, &challenges, &parts.headers, &bytes).into());
        }
        if parts.status != StatusCode::OK && !content_type.to_ascii_lowercase().starts_with("multipart/") {
            // Nobody vouches for this text: it is shown, and believed in nothing. Tests without security have
            // their faults here.
            let body = Body { content_type, bytes };
            let Ok(body) = self.security.unseal(body.clone()) else {
                return Err(status(http, &parts.headers, parts.status, &body.bytes).into());
            };
            return Ok(Answer { status: parts.status.as_u16(), body: body.bytes });
        }
        let unsealed = self.security.unseal(Body { content_type, bytes }).map_err(|source| {
            let host = http.target.alias.clone();
            Error::Protection { host, source }
        })?;
        Ok(Answer { status: parts.status.as_u16(), body: unsealed.bytes })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

pub(crate) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// 401 after the token legs, or without a token for us.
fn unauthorized(http: &Http, challenges: &[&str], headers: &HeaderMap, body: &[u8]) -> Error {
    let schemes: Vec<&str> = challenges.iter().filter_map(|c| c.split([' ', ',']).next()).collect();
    let said = first_line(headers, body);
    let reason = match (said.is_empty(), schemes.is_empty()) {
        (false, _) => said,
        (true, true) => "it offers no authentication".to_owned(),
        (true, false) => format!("it offers {}", schemes.join(", ")),
    };
    Error::Unauthorized { host: http.target.alias.clone(), reason }
}

fn status(http: &Http, headers: &HeaderMap, status: StatusCode, body: &[u8]) -> Error {
    Error::Status {
        host: http.target.alias.clone(),
        status: status.as_u16(),
        text: first_line(headers, body),
    }
}

/// The first line of a plain text body, shortened.
fn first_line(headers: &HeaderMap, body: &[u8]) -> String {
    if !text(headers, header::CONTENT_TYPE).to_ascii_lowercase().starts_with("text/plain") {
        return String::new();
    }
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// hyper's message with its cause, which has the errno.
pub(crate) fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
