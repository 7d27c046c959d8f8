//! The monitor's end of the ticket process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use hop_secret::SecretBytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::ipc::SessionId;
use crate::sys::{self, ChildSetup};
use crate::tickets::{Notice, Opened, Opening, Order, SOCKET};
use crate::{TICKETS_ARGUMENT, channel};

/// How long the ticket process may take to set a session up: it asks nobody for that.
const ANSWER: Duration = Duration::from_secs(3);

/// The ticket process; started at the first session that needs it, and again if it has ended.
pub(crate) struct Tickets {
    keytab: PathBuf,
    user: Option<(u32, u32)>,
    live: Option<Live>,
    buffer: Vec<u8>,
}

struct Live {
    socket: OwnedFd,
    pid: Pid,
    /// When the keytab that it has was written.
    keytab_of: Option<SystemTime>,
}

impl Tickets {
    /// With the keys of this keytab, as this user.
    pub fn new(keytab: PathBuf, user: Option<(u32, u32)>) -> Self {
        Self { keytab, user, live: None, buffer: channel::buffer() }
    }

    /// Its socket, to see that it has gone.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.live.as_ref().map(|live| live.socket.as_fd())
    }

    /// Makes a session's tickets available; what the domain refuses is added to the file.
    pub fn open(&mut self, opening: Opening, refusals: File) -> io::Result<Opened> {
        let session = opening.session;
        let result = self.ask(opening, refusals);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Other
        {
            tracing::error!(session, %error, "lost the ticket process");
            self.live = None;
        }
        result
    }

    fn ask(&mut self, opening: Opening, refusals: File) -> io::Result<Opened> {
        let session = opening.session;
        if self.live.is_none() {
            self.live = Some(start(self.user)?);
        }
        let written = modified(&self.keytab);
        if self.live.as_ref().is_some_and(|live| live.keytab_of.is_none() || live.keytab_of != written) {
            self.send(&Order::Keytab(SecretBytes::new(std::fs::read(&self.keytab)?)), &[])?;
            if let Some(live) = &mut self.live {
                live.keytab_of = written;
            }
        }
        self.send(&Order::Open(Box::new(opening)), &[refusals.as_fd()])?;
        let deadline = Instant::now() + ANSWER;
        loop {
            match self.receive()? {
                Some(Notice::Opened(opened)) if opened.session == session => return Ok(*opened),
                Some(Notice::Failed { session: of, reason }) if of == session => {
                    return Err(io::Error::other(reason));
                }
                // Of a session that was given up.
                Some(_) => {}
                None => self.wait(deadline)?,
            }
        }
    }

    /// Forgets a session.
    pub fn close(&mut self, session: SessionId) {
        if self.live.is_some()
            && let Err(error) = self.send(&Order::Close { session }, &[])
        {
            tracing::error!(session, %error, "lost the ticket process");
            self.live = None;
        }
    }

    /// Notices that it has gone.
    pub fn check(&mut self) {
        while self.live.is_some() {
            match self.receive() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "lost the ticket process");
                    self.live = None;
                }
            }
        }
    }

    /// Whether the child that ended was it.
    pub fn ended(&mut self, pid: Pid) -> bool {
        let was = self.live.as_ref().is_some_and(|live| live.pid == pid);
        if was {
            tracing::error!("the ticket process has ended; sessions that depended on it get no more tickets");
            self.live = None;
        }
        was
    }

    fn send(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the ticket process has gone");
        let live = self.live.as_ref().ok_or_else(gone)?;
        channel::send(live.socket.as_fd(), order.encode().expose(), descriptors)
    }

    fn receive(&mut self) -> io::Result<Option<Notice>> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the ticket process has gone");
        let live = self.live.as_ref().ok_or_else(gone)?;
        match channel::receive(live.socket.as_fd(), &mut self.buffer) {
            Ok(Some((length, _))) => {
                let packet = self.buffer.get_mut(..length).unwrap_or_default();
                let notice = Notice::decode(packet);
                zeroize::Zeroize::zeroize(packet);
                notice.map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
            }
            Ok(None) => Err(gone()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn wait(&self, deadline: Instant) -> io::Result<()> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the ticket process does not answer");
        let left = deadline.checked_duration_since(Instant::now()).ok_or_else(late)?;
        let Some(fd) = self.fd() else { return Err(late()) };
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn start(user: Option<(u32, u32)>) -> io::Result<Live> {
    let (ours, theirs) = channel::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(TICKETS_ARGUMENT);
    sys::prepare(
        &mut command,
        ChildSetup {
            // It drops its privileges itself, first thing.
            user: None,
            directory: Some(c"/".to_owned()),
            required_directory: None,
            inherit: Some((theirs, SOCKET)),
            parent: nix::unistd::getpid(),
        },
    );
    let child = command.stdin(std::process::Stdio::null()).spawn()?;
    // The command holds the other end of the socket pair: dropped here, so that its end can be seen.
    drop(command);
    let pid = Pid::from_raw(child.id().cast_signed());
    channel::send(ours.as_fd(), Order::Start { user }.encode().expose(), &[])?;
    Ok(Live { socket: ours, pid, keytab_of: None })
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
