//! The network process: HTTP, SOAP and PSRP, without keys and without privileges.

mod monitor;

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::io;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid};
use tokio_util::sync::CancellationToken;

use crate::config::NetworkSettings;
use crate::ipc::{Numbered, Reply};
use crate::{NETWORK_ARGUMENT, channel, sys};

use self::monitor::MonitorClient;

/// The number at which the network process finds its end of the socket pair.
pub(crate) const SOCKET: RawFd = 3;

/// Runs the network process if that is what this process was started as; call it first in `main`.
///
/// `None` means that it was not, and the program goes on.
pub fn run_network_process() -> Option<ExitCode> {
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

fn drop_privileges(user: Option<(u32, u32)>) -> io::Result<()> {
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

async fn serve(
    listeners: Vec<tokio::net::TcpListener>,
    monitor: MonitorClient,
    settings: NetworkSettings,
    stop: CancellationToken,
) {
    let _ = (listeners, monitor, settings);
    stop.cancelled().await;
}
