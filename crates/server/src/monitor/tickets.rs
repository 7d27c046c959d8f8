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
use crate::tickets::{LoggedIn, Login, Notice, Opened, Opening, Order, SOCKET};
use crate::{TICKETS_ARGUMENT, channel};

/// How long the ticket process may take to set a session up: it asks nobody for that.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a login may take: longer than the ticket process waits for the domain.
const LOGIN: Duration = Duration::from_secs(40);
/// Logins that may be under way at a time.
const MAX_LOGINS: usize = 64;

/// The ticket process; started at the first session that needs it, and again if it has ended.
pub(crate) struct Tickets {
    keytab: PathBuf,
    user: Option<(u32, u32)>,
    live: Option<Live>,
    buffer: Vec<u8>,
    /// Logins under way, with the time at which they are given up.
    logins: Vec<(u64, Instant)>,
    done: Vec<LoginAnswer>,
}

/// What became of a login.
pub(crate) struct LoginAnswer {
    pub login: u64,
    pub outcome: Result<Box<LoggedIn>, LoginFailure>,
}

/// No tickets, and why.
pub(crate) struct LoginFailure {
    /// The password is wrong, or there is no such user.
    pub wrong: bool,
    pub reason: String,
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
        Self { keytab, user, live: None, buffer: channel::buffer(), logins: Vec::new(), done: Vec::new() }
    }

    /// Its socket, to see that it has gone.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.live.as_ref().map(|live| live.socket.as_fd())
    }

    /// Makes a session's tickets available; what the domain refuses is added to the file.
    pub fn open(&mut self, opening: Opening, refusals: File) -> io::Result<Opened> {
        let session = opening.session;
        let result = self.ask(opening, refusals);
        if let Err(error) = &result {
            self.lost(error);
            // Should it come to it later.
            self.close(session);
        }
        result
    }

    /// Begins to get a user's tickets; [`Tickets::logins`] will have them.
    pub fn log_in(&mut self, login: Login, now: Instant) -> io::Result<()> {
        if self.logins.len() >= MAX_LOGINS {
            return Err(io::Error::other("too many logins at a time"));
        }
        let number = login.login;
        self.prepare()?;
        self.send(&Order::Login(Box::new(login)), &[])?;
        self.logins.push((number, now + LOGIN));
        Ok(())
    }

    /// The logins that are over.
    pub fn logins(&mut self, now: Instant) -> Vec<LoginAnswer> {
        let gone = self.live.is_none();
        let mut given_up = Vec::new();
        self.logins.retain(|(login, deadline)| {
            let over = gone || *deadline <= now;
            if over {
                given_up.push(*login);
            }
            !over
        });
        let mut done = std::mem::take(&mut self.done);
        done.extend(given_up.into_iter().map(|login| LoginAnswer {
            login,
            outcome: Err(LoginFailure {
                wrong: false,
                reason: "the ticket process does not answer".to_owned(),
            }),
        }));
        done
    }

    /// When [`Tickets::logins`] has something to give up.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.logins.iter().map(|(_, deadline)| *deadline).min()
    }

    /// Starts the process if need be, and gives it the keys as they are now.
    fn prepare(&mut self) -> io::Result<()> {
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
        Ok(())
    }

    fn ask(&mut self, opening: Opening, refusals: File) -> io::Result<Opened> {
        let session = opening.session;
        self.prepare()?;
        self.send(&Order::Open(Box::new(opening)), &[refusals.as_fd()])?;
        let deadline = Instant::now() + ANSWER;
        loop {
            match self.receive()? {
                Some(Notice::Opened(opened)) if opened.session == session => return Ok(*opened),
                Some(Notice::Failed { session: of, reason }) if of == session => {
                    return Err(io::Error::other(reason));
                }
                Some(notice) => self.note(notice),
                None => self.wait(deadline)?,
            }
        }
    }

    /// Forgets a session.
    pub fn close(&mut self, session: SessionId) {
        if self.live.is_some()
            && let Err(error) = self.send(&Order::Close { session }, &[])
        {
            self.lost(&error);
        }
    }

    /// It may have gone; that it is slow is no reason to let the sessions that depend on it down.
    fn lost(&mut self, error: &io::Error) {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, InvalidData, UnexpectedEof};
        if matches!(error.kind(), BrokenPipe | ConnectionReset | InvalidData | UnexpectedEof) {
            tracing::error!(%error, "lost the ticket process");
            self.live = None;
        }
    }

    /// Notices that it has gone.
    pub fn check(&mut self) {
        while self.live.is_some() {
            match self.receive() {
                Ok(Some(notice)) => self.note(notice),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "lost the ticket process");
                    self.live = None;
                }
            }
        }
    }

    fn note(&mut self, notice: Notice) {
        let (login, outcome) = match notice {
            Notice::LoggedIn(tickets) => (tickets.login, Ok(tickets)),
            Notice::LoginFailed { login, wrong, reason } => (login, Err(LoginFailure { wrong, reason })),
            // Of a session that was given up.
            Notice::Opened(_) | Notice::Failed { .. } => return,
        };
        let before = self.logins.len();
        self.logins.retain(|(number, _)| *number != login);
        if self.logins.len() < before {
            self.done.push(LoginAnswer { login, outcome });
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
