//! A server for tests: hyper, the wsman server machine, no security, and `/bin/sh` behind command shells.
#![allow(clippy::unwrap_used, clippy::panic, clippy::collapsible_match, missing_docs, dead_code)]

mod psrp;

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hop_client::{
    Cause, Error, Hosts, Target,
    authentication::PasswordPolicy,
    http::{Http, Settings},
    security::{Body, Channel, Provider, Security},
};
use hop_delegation::credssp::{List, Policy, Setting, Source};
use hop_psrp::Target as PsrpTarget;
use hop_wsman::{
    CommandId, Signal,
    server::{Caller, Config, ExchangeId, Output, ShellKey, Shells},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::oneshot};

/// What a test can look at and bend.
#[derive(Default)]
pub struct Observed {
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    pub closed_shells: AtomicUsize,
    /// Answers 401 to everything.
    pub refuse: Mutex<Option<&'static str>>,
    /// Closes the connection instead of answering the request with this number.
    pub drop_request: AtomicUsize,
    /// The pool's opening messages come after the answer to Create, as from other servers.
    pub late_opening: AtomicBool,
    /// Sends answers unsealed.
    pub answer_plainly: AtomicBool,
}

/// Authenticates one connection: the value of `Authorization` in, the response's status and `WWW-Authenticate` out.
pub trait Guard: Send {
    fn authenticate(&mut self, authorization: &str) -> (u16, Option<String>);
    /// What a 401 without token offers.
    fn offers(&self) -> &'static str {
        "Negotiate"
    }
    /// Who the client is, if it is known.
    fn owner(&self) -> Option<String>;
    fn unseal(&mut self, content_type: &str, body: &[u8]) -> Option<Vec<u8>>;
    fn seal(&mut self, body: &[u8]) -> (String, Vec<u8>);
}

pub type NewGuard = Arc<dyn Fn() -> Box<dyn Guard> + Send + Sync>;

struct State {
    shells: Shells<String>,
    waiting: HashMap<ExchangeId, oneshot::Sender<(u16, Vec<u8>)>>,
    children: HashMap<(ShellKey, CommandId), u32>,
    pools: HashMap<ShellKey, psrp::Pool>,
    observed: Arc<Observed>,
}

pub struct TestServer {
    pub port: u16,
    pub observed: Arc<Observed>,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    pub async fn start_with(new_guard: Option<NewGuard>) -> Self {
        Self::start_on(new_guard, None).await
    }

    /// With HTTPS if there is a configuration for it.
    pub async fn start_on(new_guard: Option<NewGuard>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let observed = Arc::new(Observed::default());
        let state = Arc::new(Mutex::new(State {
            shells: Shells::new(Config::default()),
            waiting: HashMap::new(),
            children: HashMap::new(),
            pools: HashMap::new(),
            observed: observed.clone(),
        }));
        let (observed_, state_) = (observed.clone(), state.clone());
        let task = tokio::spawn(async move {
            let ticker = state_.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    if Arc::strong_count(&ticker) == 1 {
                        return;
                    }
                    ticker.lock().unwrap().shells.handle_timeout(Instant::now());
                    pump(&ticker);
                }
            });
            while let Ok((stream, _)) = listener.accept().await {
                observed_.connections.fetch_add(1, Ordering::SeqCst);
                let (observed, state) = (observed_.clone(), state_.clone());
                let guard = new_guard.as_ref().map(|new| Arc::new(Mutex::new(new())));
                let tls = tls.clone().map(tokio_rustls::TlsAcceptor::from);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        serve(request, observed.clone(), state.clone(), guard.clone())
                    });
                    let http = http1::Builder::new();
                    match tls {
                        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            drop(http.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        Self { port, observed, state, task }
    }

    pub fn target(&self) -> Target {
        let mut target = Hosts::default().resolve("servera.test").unwrap();
        target.address = "127.0.0.1".to_owned();
        target.port = self.port;
        target
    }

    pub fn transport(&self) -> Arc<Http> {
        Arc::new(Http::new(self.target(), Box::new(NoSecurity), quick()))
    }

    pub fn requests(&self) -> usize {
        self.observed.requests.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.observed.connections.load(Ordering::SeqCst)
    }

    pub fn shells(&self) -> usize {
        self.state.lock().unwrap().shells.len()
    }

    /// The process is gone: nothing listens and every connection is closed.
    pub fn kill(self) {
        self.task.abort();
    }
}

pub fn quick() -> Settings {
    Settings { connect: Duration::from_secs(2), network: Duration::from_secs(2), ..Settings::default() }
}

async fn serve(
    request: Request<Incoming>,
    observed: Arc<Observed>,
    state: Arc<Mutex<State>>,
    guard: Option<Arc<Mutex<Box<dyn Guard>>>>,
) -> Result<Response<Full<Bytes>>, String> {
    let number = observed.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let (parts, body) = request.into_parts();
    assert!(parts.headers.contains_key("content-length"));
    let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
    if observed.drop_request.load(Ordering::SeqCst) == number {
        return Err("dropped".to_owned());
    }
    if let Some(reason) = *observed.refuse.lock().unwrap() {
        let response = Response::builder()
            .status(401)
            .header("WWW-Authenticate", "Negotiate")
            .header("Content-Type", "text/plain")
            .body(Full::from(reason))
            .unwrap();
        return Ok(response);
    }
    let mut owner = "alice".to_owned();
    let mut body = body.to_vec();
    if let Some(guard) = &guard {
        let mut guard = guard.lock().unwrap();
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        if let Some(authorization) = header("authorization") {
            let (status, token) = guard.authenticate(&authorization);
            let mut response = Response::builder().status(status);
            if let Some(token) = token {
                response = response.header("WWW-Authenticate", token);
            }
            // What every request carries comes with a body, a token comes without.
            if status != 200 || body.is_empty() {
                return Ok(response.body(Full::default()).unwrap());
            }
        }
        let unsealed = guard.unseal(&header("content-type").unwrap_or_default(), &body);
        let (Some(name), Some(unsealed)) = (guard.owner(), unsealed) else {
            let offer = Response::builder().status(401).header("WWW-Authenticate", guard.offers());
            return Ok(offer.body(Full::default()).unwrap());
        };
        (owner, body) = (name, unsealed);
    }
    let (send, receive) = oneshot::channel();
    {
        let mut state = state.lock().unwrap();
        let caller = Caller { owner: owner.clone(), name: owner, address: None };
        let id = state.shells.handle_request(&caller, &body, Instant::now(), &mut rand::rng());
        state.waiting.insert(id, send);
    }
    pump(&state);
    let (status, mut body) = receive.await.map_err(|e| e.to_string())?;
    let mut content_type = "application/soap+xml;charset=UTF-8".to_owned();
    if let Some(guard) = &guard
        && !observed.answer_plainly.load(Ordering::SeqCst)
    {
        (content_type, body) = guard.lock().unwrap().seal(&body);
    }
    Ok(Response::builder().status(status).header("Content-Type", content_type).body(body.into()).unwrap())
}

fn pump(shared: &Arc<Mutex<State>>) {
    let mut guard = shared.lock().unwrap();
    let state = &mut *guard;
    while let Some(output) = state.shells.poll_output(&mut rand::rng()) {
        let now = Instant::now();
        match output {
            Output::Respond { exchange, status, body } => {
                if let Some(waiting) = state.waiting.remove(&exchange) {
                    let _ = waiting.send((status, body));
                }
            }
            Output::Open { exchange, shell, open, .. } => {
                let late = state.observed.late_opening.load(Ordering::SeqCst);
                if late {
                    state.shells.complete(exchange, Ok(()), now);
                }
                if let Some(fragments) = open.create.creation_xml {
                    let mut pool = psrp::Pool::new();
                    pool.data(PsrpTarget::Pool, &fragments);
                    pool.work(&mut state.shells, shell);
                    state.pools.insert(shell, pool);
                }
                state.shells.complete(exchange, Ok(()), now);
            }
            Output::Run { exchange, shell, command, line, .. } => {
                if let Some(pool) = state.pools.get_mut(&shell) {
                    let target = PsrpTarget::Pipeline(command.uuid());
                    pool.machine.handle_command(target);
                    pool.data(target, &line.fragments().unwrap());
                    state.shells.complete(exchange, Ok(()), now);
                    pool.work(&mut state.shells, shell);
                    continue;
                }
                state.shells.complete(exchange, Ok(()), now);
                tokio::spawn(run(shared.clone(), shell, command, line.command));
            }
            Output::Input { exchange, shell, streams } => {
                if let Some(pool) = state.pools.get_mut(&shell) {
                    for stream in streams {
                        let target =
                            stream.command.map_or(PsrpTarget::Pool, |id| PsrpTarget::Pipeline(id.uuid()));
                        pool.data(target, &stream.data);
                    }
                    pool.work(&mut state.shells, shell);
                }
                state.shells.complete(exchange, Ok(()), now);
            }
            Output::Signal { exchange, shell, command, signal } => {
                if let Some(pool) = state.pools.get_mut(&shell) {
                    if signal == Signal::StopPipeline {
                        pool.machine.handle_signal(PsrpTarget::Pipeline(command.uuid()));
                    } else {
                        pool.machine.handle_close(PsrpTarget::Pipeline(command.uuid()));
                    }
                    pool.work(&mut state.shells, shell);
                }
                state.shells.complete(exchange, Ok(()), now);
                if signal != Signal::Terminate
                    && let Some(pid) = state.children.get(&(shell, command))
                {
                    std::process::Command::new("kill").arg(pid.to_string()).status().unwrap();
                }
            }
            Output::Close { exchange, .. } => {
                if let Some(exchange) = exchange {
                    state.shells.complete(exchange, Ok(()), now);
                }
            }
            _ => {}
        }
    }
}

async fn run(state: Arc<Mutex<State>>, shell: ShellKey, command: CommandId, line: String) {
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    state.lock().unwrap().children.insert((shell, command), child.id().unwrap());
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut from_out, mut from_err) = ([0; 8192], [0; 8192]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        let (name, data) = tokio::select! {
            n = out.read(&mut from_out), if out_open => {
                let n = n.unwrap();
                out_open = n > 0;
                ("stdout", from_out[..n].to_vec())
            }
            n = err.read(&mut from_err), if err_open => {
                let n = n.unwrap();
                err_open = n > 0;
                ("stderr", from_err[..n].to_vec())
            }
        };
        state.lock().unwrap().shells.push_output(shell, Some(command), name, data, Instant::now());
        pump(&state);
    }
    let code = child.wait().await.unwrap().code().unwrap_or(-1);
    state.lock().unwrap().shells.finish_command(shell, command, code, Instant::now());
    pump(&state);
}

/// Only here: no token, no seal.
pub struct NoSecurity;

impl Provider for NoSecurity {
    fn begin(&self, _: Channel) -> BoxFuture<'_, Result<Box<dyn Security>, Error>> {
        Box::pin(std::future::ready(Ok(Box::new(NoSecurity) as Box<dyn Security>)))
    }
}

impl Security for NoSecurity {
    fn start(&mut self) -> Result<Option<String>, Cause> {
        Ok(None)
    }

    fn handle(&mut self, _: &[&str], _: bool) -> Result<Option<String>, Cause> {
        Ok(None)
    }

    fn seal(&mut self, body: Body) -> Result<Body, Cause> {
        Ok(body)
    }

    fn unseal(&mut self, body: Body) -> Result<Body, Cause> {
        if body.content_type.starts_with("application/soap+xml") {
            Ok(body)
        } else {
            Err("not an envelope".into())
        }
    }
}

/// A policy of lists: who may have the password, who may although NTLM is all the proof, and TrustedHosts.
pub fn policy(allow: &[&str], ntlm_only: &[&str], trusted: &[&str]) -> PasswordPolicy {
    let source = || Source::File("the test".to_owned());
    let list = |entries: &[&str]| List {
        enabled: Some(Setting::new(true, source())),
        entries: entries.iter().map(|entry| Setting::new((*entry).to_owned(), source())).collect(),
    };
    let policy = Policy {
        client: Some(Setting::new(true, source())),
        allow_fresh: list(allow),
        allow_fresh_ntlm_only: list(ntlm_only),
        trusted_hosts: list(trusted),
        ..Policy::default()
    };
    PasswordPolicy { policy: Arc::new(policy), ..PasswordPolicy::default() }
}
