//! The network process: HTTP, SOAP and PSRP, without keys and without privileges.

pub(crate) mod bridge;
mod connection;
mod hub;
mod monitor;
mod powershell;
mod winrs;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Gid, Uid};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::NetworkSettings;
use crate::ipc::{Numbered, Reply};
use crate::{NETWORK_ARGUMENT, channel, sys};

use self::connection::Connection;
use self::hub::Hub;
use self::monitor::MonitorClient;

/// The number at which the network process finds its end of the socket pair.
pub(crate) const SOCKET: RawFd = 3;

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
        serve(listeners, monitor, start.settings, stop).await;
        Ok(())
    })
}

struct Start {
    settings: NetworkSettings,
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
        Reply::Start { settings, user } => {
            let listeners = descriptors.into_iter().map(TcpListener::from).collect();
            Ok(Start { settings, user, listeners })
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
async fn serve(
    listeners: Vec<tokio::net::TcpListener>,
    monitor: MonitorClient,
    settings: NetworkSettings,
    stop: CancellationToken,
) {
    let machine = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default();
    let hub = Hub::new(&settings, monitor, machine);
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(settings.max_connections as usize));
    // Cancelled when all shells are closed: only then connections have nothing more to say.
    let hang_up = CancellationToken::new();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let server = Server {
            hub: Arc::clone(&hub),
            settings,
            slots: Arc::clone(&slots),
            connections: connections.clone(),
            hang_up: hang_up.clone(),
        };
        accepting.spawn(stop.clone().run_until_cancelled_owned(server.accept(listener)));
    }
    stop.cancelled().await;
    while accepting.join_next().await.is_some() {}
    if tokio::time::timeout(STOP_TIME, hub.close_all()).await.is_err() {
        tracing::warn!("not all shells closed in time");
    }
    hang_up.cancel();
    connections.close();
    let _ = tokio::time::timeout(HANG_UP_TIME, connections.wait()).await;
}

struct Server {
    hub: Arc<Hub>,
    settings: NetworkSettings,
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
                tracing::warn!(%peer, limit = self.settings.max_connections, "too many connections");
                continue;
            };
            // Answers are small and somebody waits for each. A peer that vanished must not keep its slot.
            let _ = stream.set_nodelay(true);
            let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
            let connection = Arc::new(Connection::new(
                Arc::clone(&self.hub),
                peer,
                self.settings.max_envelope_size as usize,
            ));
            let hang_up = self.hang_up.clone();
            self.connections.spawn(async move {
                serve_connection(connection, stream, hang_up).await;
                drop(slot);
            });
        }
    }
}

async fn serve_connection(
    connection: Arc<Connection>,
    stream: tokio::net::TcpStream,
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
