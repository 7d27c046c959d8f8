//! The network process: HTTP, SOAP and PSRP, without keys and without privileges.

pub(crate) mod bridge;
mod connection;
mod hub;
mod login;
mod monitor;
mod powershell;
mod tls;
mod winrs;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hop_auth::BasicCredentials;
use hop_auth::server::challenges;
use hop_kerberos::gss::BindingPolicy;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Gid, Uid};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::ipc::{Numbered, Offer, Reply};
use crate::{NETWORK_ARGUMENT, channel, sys};

use self::connection::{Channel, Connection};
use self::hub::Hub;
use self::monitor::MonitorClient;
use self::tls::Tls;

/// The number at which the network process finds its end of the socket pair.
pub(crate) const SOCKET: RawFd = 3;

/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIME: Duration = Duration::from_secs(20);
/// How long a connection may stay without having authenticated.
const AUTHENTICATION_TIME: Duration = Duration::from_secs(60);
/// How long shells may take to close when the server stops.
const STOP_TIME: Duration = Duration::from_secs(3);
/// How long the last answers may take after that.
const HANG_UP_TIME: Duration = Duration::from_secs(1);

/// Runs the network process if that is what this process was started as.
pub(crate) fn run_network_process() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != NETWORK_ARGUMENT || arguments.next().is_some() {
        return None;
    }
    crate::start_log();
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the network process cannot go on");
            ExitCode::FAILURE
        }
    })
}

fn run() -> io::Result<()> {
    let socket = sys::take_inherited(SOCKET)?;
    let start = wait_for_start(&socket)?;
    drop_privileges(start.user)?;
    // The monitor decides when to stop; a Ctrl+C in a terminal reaches it, and it says so here.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGTERM);
    mask.thread_block()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let monitor = MonitorClient::new(socket, stop.clone())?;
        let mut listeners = Vec::new();
        for listener in start.listeners {
            listeners.push(tokio::net::TcpListener::from_std(listener)?);
        }
        let machine = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default();
        let tls = match start.offer.https > 0 || start.offer.credssp.is_some() {
            true => {
                Some(Tls::new(monitor.clone(), &start.offer.client_authorities).map_err(io::Error::other)?)
            }
            false => None,
        };
        let hub = Hub::new(&start.limits, monitor, machine);
        let services = Services { hub, limits: start.limits, offer: *start.offer, tls };
        serve(listeners, Arc::new(services), stop).await;
        Ok(())
    })
}

/// What every connection is served with.
pub(crate) struct Services {
    pub hub: Arc<Hub>,
    pub limits: Limits,
    pub offer: Offer,
    /// For HTTPS and CredSSP.
    pub tls: Option<Tls>,
}

impl Services {
    /// The values of the `WWW-Authenticate` headers of a 401, one header each.
    fn challenges(&self, encrypted: bool) -> Vec<&'static str> {
        let offer = &self.offer;
        let negotiate = offer.negotiate && (offer.kerberos || offer.ntlm.is_some());
        let mut challenges = challenges(negotiate, offer.kerberos, offer.credssp.is_some());
        if offer.basic && (encrypted || offer.allow_unencrypted) {
            challenges.push(BasicCredentials::CHALLENGE);
        }
        challenges
    }

    fn binding_policy(&self) -> BindingPolicy {
        match self.offer.binding_policy {
            0 => BindingPolicy::None,
            1 => BindingPolicy::Relaxed,
            _ => BindingPolicy::Strict,
        }
    }
}

struct Start {
    limits: Limits,
    offer: Box<Offer>,
    user: Option<(u32, u32)>,
    listeners: Vec<TcpListener>,
}

fn wait_for_start(socket: &OwnedFd) -> io::Result<Start> {
    let mut buffer = channel::buffer();
    let packet = loop {
        match channel::receive(socket.as_fd(), &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
            }
            other => break other?,
        }
    };
    let protocol = |text: &'static str| io::Error::new(io::ErrorKind::InvalidData, text);
    let (length, descriptors) = packet.ok_or_else(|| protocol("the monitor has gone"))?;
    let message = Numbered::<Reply>::decode(buffer.get(..length).unwrap_or_default());
    match message.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?.message {
        Reply::Start { limits, offer, user } => {
            let listeners = descriptors.into_iter().map(TcpListener::from).collect();
            Ok(Start { limits, offer, user, listeners })
        }
        _ => Err(protocol("expected the start message")),
    }
}

/// Becomes nobody in particular, for good; what this process has in memory is nobody else's to read.
pub(crate) fn drop_privileges(user: Option<(u32, u32)>) -> io::Result<()> {
    let parent = nix::unistd::getppid();
    if let Some((uid, gid)) = user {
        nix::unistd::setgroups(&[])?;
        nix::unistd::setgid(Gid::from_raw(gid))?;
        nix::unistd::setuid(Uid::from_raw(uid))?;
        if Uid::effective().is_root() || nix::unistd::setuid(Uid::from_raw(0)).is_ok() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "privileges did not go away"));
        }
    }
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    // The change of user has cleared it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != parent {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the monitor has gone"));
    }
    Ok(())
}

/// Serves connections until told to stop, then ends everything in good order.
async fn serve(listeners: Vec<tokio::net::TcpListener>, services: Arc<Services>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(services.limits.max_connections as usize));
    // Cancelled when all shells are closed: only then connections have nothing more to say.
    let hang_up = CancellationToken::new();
    let mut accepting = JoinSet::new();
    let first_https = listeners.len().saturating_sub(services.offer.https as usize);
    for (index, listener) in listeners.into_iter().enumerate() {
        let server = Server {
            services: Arc::clone(&services),
            https: index >= first_https,
            slots: Arc::clone(&slots),
            connections: connections.clone(),
            hang_up: hang_up.clone(),
        };
        accepting.spawn(stop.clone().run_until_cancelled_owned(server.accept(listener)));
    }
    stop.cancelled().await;
    while accepting.join_next().await.is_some() {}
    if tokio::time::timeout(STOP_TIME, services.hub.close_all()).await.is_err() {
        tracing::warn!("not all shells closed in time");
    }
    hang_up.cancel();
    connections.close();
    let _ = tokio::time::timeout(HANG_UP_TIME, connections.wait()).await;
}

struct Server {
    services: Arc<Services>,
    https: bool,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    hang_up: CancellationToken,
}

impl Server {
    async fn accept(self, listener: tokio::net::TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of descriptors, most likely; accepting again at once would only burn time.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                tracing::warn!(%peer, limit = self.services.limits.max_connections, "too many connections");
                continue;
            };
            // Answers are small and somebody waits for each. A peer that vanished must not keep its slot.
            let _ = stream.set_nodelay(true);
            let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
            let (services, https) = (Arc::clone(&self.services), self.https);
            let hang_up = self.hang_up.clone();
            self.connections.spawn(async move {
                if https {
                    serve_https(services, stream, peer, hang_up).await;
                } else {
                    let connection = Connection::new(services, peer, Channel::default());
                    serve_connection(Arc::new(connection), stream, hang_up).await;
                }
                drop(slot);
            });
        }
    }
}

/// The same inside TLS.
async fn serve_https(
    services: Arc<Services>,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    hang_up: CancellationToken,
) {
    let Some(tls) = &services.tls else { return };
    let current = match tls.current().await {
        Ok(current) => current,
        Err(error) => return tracing::error!(%error, "no TLS"),
    };
    let stream = match tokio::time::timeout(HANDSHAKE_TIME, current.https.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS connection"),
        Err(_) => return tracing::debug!(%peer, "no TLS connection in time"),
    };
    let client = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let client = client.iter().map(|der| der.to_vec()).collect();
    let local = stream.get_ref().0.local_addr().ok().map(|address| address.ip().to_canonical());
    let channel = Channel { encrypted: true, local, bindings: current.bindings, client };
    serve_connection(Arc::new(Connection::new(services, peer, channel)), stream, hang_up).await;
}

async fn serve_connection(
    connection: Arc<Connection>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    hang_up: CancellationToken,
) {
    let shared = Arc::clone(&connection);
    let service = service_fn(move |request| {
        let connection = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(connection.handle(request).await) }
    });
    let http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(http);
    let mut hanging_up = false;
    let authenticate_by = tokio::time::sleep(AUTHENTICATION_TIME);
    tokio::pin!(authenticate_by);
    let mut strange = true;
    loop {
        tokio::select! {
            result = &mut http => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = hang_up.cancelled(), if !hanging_up => {
                hanging_up = true;
                http.as_mut().graceful_shutdown();
            }
            () = &mut authenticate_by, if strange => {
                strange = false;
                if !connection.is_authenticated() {
                    return;
                }
            }
        }
    }
}
