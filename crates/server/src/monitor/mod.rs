//! The monitor: a small, single-threaded process that owns keys and tickets, looks up users and starts sessions.
//!
//! It never parses HTTP, XML or PSRP and never talks to a peer. The network process asks it for few things, in typed
//! messages, and gets only what an authenticated connection is entitled to.

mod authority;
mod kerberos;
mod sessions;
mod tickets;
mod users;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use hop_delegation::{SessionIdentity, SessionReport};
use hop_kerberos::Credential;
use hop_kerberos::ccache::{CcacheError, CredentialCache};
use hop_secret::SecretBytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal as Posix};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, User};

use self::authority::{Authenticated, Authority};
use self::kerberos::KerberosAuthority;
use self::sessions::{Credentials, SessionError, SessionSettings, Sessions};
use self::tickets::Tickets;
use self::users::{LocalUser, SystemAccounts, uid_min};
use crate::config::{ConfigError, NetworkSettings, ServerConfig};
use crate::ipc::{Accepted, IdentityId, Numbered, Reply, Request};
use crate::mapping::{Accounts, Mapping, MappingError};
use crate::runtime_dir::{RuntimeDir, default_base};
use crate::sys::{self, ChildSetup};
use crate::tickets::Opening;
use crate::{NETWORK_ARGUMENT, channel, network};

/// How long the network process has to close everything after it was told to stop.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Answers that may wait for the network process to read them; beyond that no new request is taken.
const MAX_QUEUE: usize = 64;

/// Runs a server until SIGTERM or SIGINT, or until its network process dies.
///
/// Call it from `main` of a program that starts no thread before, and whose `main` begins with
/// [`run_helper_process`](crate::run_helper_process).
///
/// # Errors
/// The server could not start: see [`ServerError`].
pub fn run(config: ServerConfig) -> Result<ExitCode, ServerError> {
    crate::start_log();
    let signals = blocked_signals()?;
    prctl::set_dumpable(false).map_err(ServerError::system("forbid dumps of the process"))?;
    prctl::set_child_subreaper(true).map_err(ServerError::system("become the reaper of orphans"))?;

    let authority = KerberosAuthority::open(&config)?;
    let realm = authority.realm().to_owned();
    let base = config.runtime_dir.clone().unwrap_or_else(default_base);
    let runtime =
        RuntimeDir::open(&base).map_err(|source| ServerError::RuntimeDir { path: base.clone(), source })?;
    if runtime.swept > 0 {
        tracing::warn!(count = runtime.swept, "removed what servers that did not end properly had left");
    }
    if !runtime.in_memory {
        tracing::warn!(path = %base.display(), "the runtime directory is not in memory: tickets will touch the disk");
    }
    let (listeners, addresses) = listen(&config.listen)?;
    let network_user = network_user(&config)?;
    let (ours, theirs) = channel::pair().map_err(ServerError::start("make the socket pair"))?;
    let network = start_network(theirs)?;

    let command = session_command(&config)?;
    let settings = SessionSettings {
        command,
        environment: config.environment.clone().into_iter().collect(),
        max_per_user: config.max_shells_per_user as usize,
        max_processes: config.max_processes_per_shell as usize,
    };
    let mapping = Mapping { realm, rules: config.map.clone(), uid_min: uid_min(config.uid_min) };
    let core = Core::new(
        authority,
        mapping,
        Box::new(SystemAccounts),
        Sessions::new(settings, runtime),
        Tickets::new(config.keytab_path(), network_user),
        config.max_connections,
    );
    let mut monitor = Monitor { core, socket: ours, queue: VecDeque::new(), network, stopping: None };
    let settings = config.network_settings();
    monitor.start(settings, network_user, listeners);
    announce(&config, &addresses)?;
    monitor.serve(&signals)
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keytab is missing, unreadable or without a usable key.
    #[error("keytab {}: {problem}", path.display())]
    Keytab {
        /// The keytab.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The directory for the sessions' credentials cannot be used.
    #[error("runtime directory {}: {source}", path.display())]
    RuntimeDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as configured.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The unprivileged user for the network process does not exist.
    #[error("network_user \"{0}\" does not exist")]
    NetworkUser(String),
    /// The system refused something the server needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ServerError {
    fn start(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    fn system(what: &'static str) -> impl FnOnce(nix::Error) -> Self {
        move |source| Self::System { what, source: source.into() }
    }
}

struct Monitor<A> {
    core: Core<A>,
    socket: OwnedFd,
    queue: VecDeque<Outgoing>,
    network: Pid,
    stopping: Option<Instant>,
}

struct Outgoing {
    message: Numbered<Reply>,
    descriptors: Vec<OwnedFd>,
}

impl<A: Authority> Monitor<A> {
    fn start(&mut self, settings: NetworkSettings, user: Option<(u32, u32)>, listeners: Vec<OwnedFd>) {
        self.push(0, Reply::Start { settings, user }, listeners);
    }

    fn push(&mut self, number: u32, message: Reply, descriptors: Vec<OwnedFd>) {
        self.queue.push_back(Outgoing { message: Numbered { number, message }, descriptors });
    }

    /// The loop: requests, answers, ended children, signals, deadlines.
    fn serve(mut self, signals: &SignalFd) -> Result<ExitCode, ServerError> {
        let mut buffer = channel::buffer();
        loop {
            let gone = self.flush()? || {
                let (readable, signalled) = self.wait(signals)?;
                let gone = readable && self.read(&mut buffer)?;
                if signalled {
                    self.signals(signals)?;
                }
                gone
            };
            self.core.tickets.check();
            let now = Instant::now();
            self.core.sessions.finish(now);
            if gone {
                self.core.sessions.kill_all();
                let clean = self.stopping.is_some();
                if !clean {
                    tracing::error!("the network process has ended; all sessions are closed");
                }
                return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            if self.stopping.is_some_and(|deadline| deadline <= now) {
                tracing::warn!("the network process did not stop in time");
                let _ = nix::sys::signal::kill(self.network, Posix::SIGKILL);
            }
        }
    }

    /// Waits for something to do: whether the socket can be read, and whether a signal came.
    fn wait(&self, signals: &SignalFd) -> Result<(bool, bool), ServerError> {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::POLLIN, self.queue.len() < MAX_QUEUE);
        interest.set(PollFlags::POLLOUT, !self.queue.is_empty());
        let mut fds =
            vec![PollFd::new(self.socket.as_fd(), interest), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        // Its end is seen after every waking.
        fds.extend(self.core.tickets.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let deadline = self.core.sessions.next_deadline().into_iter().chain(self.stopping).min();
        let timeout = match deadline {
            None => PollTimeout::NONE,
            // Rounded up, so that the deadline has passed on waking.
            Some(at) => {
                let wait = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(ServerError::system("wait for events")(error)),
        }
        let events = |at: usize| fds.get(at).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        let (socket, signal) = (events(0), events(1));
        let readable = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
        Ok((socket.intersects(readable), signal.intersects(PollFlags::POLLIN)))
    }

    /// Reads and answers what has come; true when the network process has gone or broke the protocol.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool, ServerError> {
        while self.queue.len() < MAX_QUEUE {
            let (length, descriptors) = match channel::receive(self.socket.as_fd(), buffer) {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => {
                    tracing::error!(%error, "cannot read from the network process");
                    return Ok(true);
                }
            };
            let packet = buffer.get(..length).unwrap_or_default();
            let request = match Numbered::<Request>::decode(packet) {
                Ok(request) if descriptors.is_empty() && request.number != 0 => request,
                Ok(_) => {
                    tracing::error!("the network process broke the protocol");
                    return Ok(true);
                }
                Err(error) => {
                    tracing::error!(%error, "the network process broke the protocol");
                    return Ok(true);
                }
            };
            let (reply, descriptors) = self.core.answer(request.message, SystemTime::now(), Instant::now());
            self.push(request.number, reply, descriptors);
            if self.flush()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends what waits; true when the network process has gone.
    fn flush(&mut self) -> Result<bool, ServerError> {
        while let Some(next) = self.queue.front() {
            let packet = next.message.encode();
            match channel::send(self.socket.as_fd(), packet.expose(), &channel::borrow(&next.descriptors)) {
                Ok(()) => {
                    self.queue.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Err(ServerError::start("send to the network process")(error));
                }
                Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    fn signals(&mut self, signals: &SignalFd) -> Result<(), ServerError> {
        let child = Posix::SIGCHLD as u32;
        while let Some(signal) = signals.read_signal().map_err(ServerError::system("read signals"))? {
            if signal.ssi_signo == child {
                self.reap();
            } else if self.stopping.is_none() {
                tracing::info!("stopping");
                self.stopping = Some(Instant::now() + STOP_TIME);
                self.push(0, Reply::Stop, Vec::new());
            }
        }
        Ok(())
    }

    fn reap(&mut self) {
        loop {
            let (pid, code, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Some(code), None),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, None, Some(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if self.core.tickets.ended(pid) {
                continue;
            }
            if let Some(ended) = self.core.sessions.child_ended(pid, code, signal) {
                let (process, code, signal) = (ended.process, ended.code, ended.signal);
                self.push(0, Reply::Exited { process, code, signal }, Vec::new());
            }
        }
    }
}

/// What the monitor decides, apart from its loop: one answer for each request.
struct Core<A> {
    authority: A,
    mapping: Mapping,
    accounts: Box<dyn Accounts>,
    sessions: Sessions,
    tickets: Tickets,
    identities: HashMap<IdentityId, Identity>,
    max_identities: usize,
}

/// Somebody who authenticated on a connection that still stands.
struct Identity {
    who: Authenticated,
    user: String,
    peer: String,
}

impl<A: Authority> Core<A> {
    fn new(
        authority: A,
        mapping: Mapping,
        accounts: Box<dyn Accounts>,
        sessions: Sessions,
        tickets: Tickets,
        connections: u32,
    ) -> Self {
        // A connection has one identity; a released one may still be on its way.
        let max_identities = connections as usize * 2;
        Self { authority, mapping, accounts, sessions, tickets, identities: HashMap::new(), max_identities }
    }

    fn answer(&mut self, request: Request, time: SystemTime, now: Instant) -> (Reply, Vec<OwnedFd>) {
        let reply = match request {
            Request::Accept { token, bindings, peer } => self.accept(&token, bindings.as_deref(), peer, time),
            Request::Release { identity } => {
                self.identities.remove(&identity);
                Reply::Done
            }
            Request::Open { identity } => match self.open(identity, time) {
                Ok(session) => Reply::Opened { session },
                Err(error) => {
                    tracing::warn!(identity, %error, "session refused");
                    Reply::Failed { reason: error.to_string() }
                }
            },
            Request::Close { session } => {
                self.tickets.close(session);
                match self.sessions.close(session, now) {
                    Ok(()) => Reply::Done,
                    Err(error) => Reply::Failed { reason: error.to_string() },
                }
            }
            Request::Spawn { session, program, environment, directory } => {
                match self.sessions.spawn(session, program, environment, directory) {
                    Ok(started) => {
                        return (Reply::Spawned { process: started.process }, started.descriptors.into());
                    }
                    Err(error) => {
                        tracing::warn!(session, %error, "process refused");
                        Reply::Failed { reason: error.to_string() }
                    }
                }
            }
            Request::Signal { process, signal } => match self.sessions.signal(process, signal) {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Failed { reason: error.to_string() },
            },
        };
        (reply, Vec::new())
    }

    fn accept(&mut self, token: &[u8], bindings: Option<&[u8]>, peer: String, time: SystemTime) -> Reply {
        if self.identities.len() >= self.max_identities {
            return Reply::Refused { reply: None, denied: false, reason: "too many connections".to_owned() };
        }
        let mut who = match self.authority.accept(token, bindings, time) {
            Ok(who) => who,
            Err(rejection) => {
                tracing::warn!(%peer, reason = %rejection.reason, "authentication refused");
                let reply = rejection.reply.clone();
                return Reply::Refused { reply, denied: false, reason: rejection.reason };
            }
        };
        let user = match self.local_user(&who) {
            Ok(user) => user,
            Err(error) => {
                tracing::warn!(%peer, client = %who.client, reason = %error, "access denied");
                return Reply::Refused { reply: None, denied: true, reason: error.to_string() };
            }
        };
        let identity = loop {
            // Not guessable, so that a mix-up of numbers cannot name somebody else.
            let id = rand::random::<u64>();
            if id != 0 && !self.identities.contains_key(&id) {
                break id;
            }
        };
        let accepted = Accepted {
            identity,
            context: std::mem::take(&mut who.context),
            reply: who.reply.take(),
            client: who.client.to_string(),
            user: user.clone(),
            delegation: delegation_code(&who.report),
        };
        self.identities.insert(identity, Identity { who, user, peer });
        Reply::Accepted(Box::new(accepted))
    }

    fn local_user(&self, who: &Authenticated) -> Result<String, DeniedError> {
        let user = self.mapping.user_for(&who.client, self.accounts.as_ref())?;
        let me = Uid::effective();
        if !me.is_root() && self.accounts.uid_of(&user).ok().flatten() != Some(me.as_raw()) {
            return Err(DeniedError::OtherUser { user, uid: me.as_raw() });
        }
        Ok(user)
    }

    fn open(&mut self, identity: IdentityId, time: SystemTime) -> Result<u64, OpenError> {
        let identity = self.identities.get(&identity).ok_or(OpenError::NoIdentity)?;
        let who = &identity.who;
        if who.expires < time {
            return Err(OpenError::Expired { client: who.client.to_string() });
        }
        let user = LocalUser::named(&identity.user)
            .map_err(OpenError::Lookup)?
            .ok_or_else(|| OpenError::NoAccount { user: identity.user.clone() })?;
        let mut report = who.report.clone();
        let constrained = matches!(report.identity(), Ok(SessionIdentity::Constrained { .. }));
        let tickets = &mut self.tickets;
        let uid = user.uid.as_raw();
        let session = self.sessions.open(&who.client, user, |session, refusals| {
            let mut credentials = Credentials::default();
            if constrained {
                let evidence = ccache_of(&who.evidence)?;
                let forwarded = who.delegated.as_ref().map(ccache_of).transpose()?;
                // Read for each session, so that a changed krb5.conf counts.
                let config = hop_kerberos_io::Environment::from_process().load_config();
                let opened = config.map_err(io::Error::other).and_then(|config| {
                    let config = config.to_text();
                    tickets.open(Opening { session, uid, evidence, config, forwarded }, refusals)
                });
                match opened {
                    Ok(opened) => {
                        credentials.ccache = Some(opened.ccache);
                        credentials.config = Some(opened.config);
                    }
                    Err(error) => {
                        tracing::error!(session, %error, "no tickets by constrained delegation");
                        report = report.clone().without_constrained();
                    }
                }
            }
            if credentials.ccache.is_none() {
                credentials.ccache = who.delegated.as_ref().map(ccache_of).transpose()?;
            }
            credentials.report = report.to_json();
            Ok(credentials)
        })?;
        tracing::info!(
            session,
            client = %who.client,
            from = %identity.peer,
            user = %identity.user,
            delegation = %delegation_code(&report),
            "session opened"
        );
        Ok(session)
    }
}

/// Why an authenticated principal may not use this server.
#[derive(Debug, thiserror::Error)]
enum DeniedError {
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(
        "would be local user \"{user}\", but the server runs as uid {uid} and can start sessions for that user only"
    )]
    OtherUser { user: String, uid: u32 },
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("no connection authenticated as this identity")]
    NoIdentity,
    #[error("the ticket of {client} has expired")]
    Expired { client: String },
    #[error("cannot look up the local user: {0}")]
    Lookup(io::Error),
    #[error("local user \"{user}\" is gone")]
    NoAccount { user: String },
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// The stable code of a session's second hop, for logs.
fn delegation_code(report: &SessionReport) -> String {
    match report.identity() {
        Ok(SessionIdentity::Forwarded) => "forwarded".to_owned(),
        Ok(SessionIdentity::Constrained { .. }) => "constrained".to_owned(),
        Ok(SessionIdentity::None { reason }) => reason.to_string(),
        _ => "none".to_owned(),
    }
}

/// A credential cache of this one ticket.
fn ccache_of(tgt: &Credential) -> Result<SecretBytes, CcacheError> {
    let mut cache = CredentialCache::new(tgt.client.clone());
    cache.store(tgt.clone());
    Ok(SecretBytes::new(cache.to_bytes()?))
}

fn blocked_signals() -> Result<SignalFd, ServerError> {
    let mut mask = SigSet::empty();
    for signal in [Posix::SIGCHLD, Posix::SIGTERM, Posix::SIGINT, Posix::SIGHUP] {
        mask.add(signal);
    }
    mask.thread_block().map_err(ServerError::system("block signals"))?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(ServerError::system("receive signals"))
}

fn listen(addresses: &[String]) -> Result<(Vec<OwnedFd>, Vec<String>), ServerError> {
    let mut listeners = Vec::new();
    let mut names = Vec::new();
    for address in addresses {
        let failed = |source| ServerError::Listen { address: address.clone(), source };
        let resolved: Vec<_> = address.to_socket_addrs().map_err(failed)?.collect();
        let listener = TcpListener::bind(resolved.as_slice()).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        names.push(listener.local_addr().map_err(failed)?.to_string());
        listeners.push(OwnedFd::from(listener));
    }
    if listeners.is_empty() || listeners.len() > channel::MAX_DESCRIPTORS {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "expected between 1 and 64 addresses");
        return Err(ServerError::Listen { address: format!("{} addresses", listeners.len()), source });
    }
    Ok((listeners, names))
}

/// Whom the network process becomes: nobody in particular, unless the server has no privileges to drop.
fn network_user(config: &ServerConfig) -> Result<Option<(u32, u32)>, ServerError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name(&config.network_user).map_err(ServerError::system("look up network_user"))?;
    let user = user
        .filter(|u| !u.uid.is_root())
        .ok_or_else(|| ServerError::NetworkUser(config.network_user.clone()))?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

fn start_network(socket: OwnedFd) -> Result<Pid, ServerError> {
    let program = std::env::current_exe().map_err(ServerError::start("find the own program"))?;
    let mut command = Command::new(program);
    command.arg(NETWORK_ARGUMENT);
    sys::prepare(
        &mut command,
        ChildSetup {
            // It drops its privileges itself, first thing: another user might not be able to execute this file.
            user: None,
            directory: Some(c"/".to_owned()),
            required_directory: None,
            inherit: Some((socket, network::SOCKET)),
            parent: nix::unistd::getpid(),
        },
    );
    let child = command
        .stdin(std::process::Stdio::null())
        .spawn()
        .map_err(ServerError::start("start the network process"))?;
    // The command holds the other end of the socket pair: dropped here, so that its end can be seen.
    drop(command);
    Ok(Pid::from_raw(child.id().cast_signed()))
}

fn session_command(config: &ServerConfig) -> Result<Vec<String>, ServerError> {
    if !config.command.is_empty() {
        return Ok(config.command.clone());
    }
    let program = std::env::current_exe().map_err(ServerError::start("find the own program"))?;
    let program = program.into_os_string().into_string().map_err(|_| {
        ServerError::start("use the own program")(io::Error::new(
            io::ErrorKind::InvalidData,
            "its path is not UTF-8",
        ))
    })?;
    Ok(vec![program, "host".to_owned()])
}

/// Tells that the server is ready: connections are taken from here on.
fn announce(config: &ServerConfig, addresses: &[String]) -> Result<(), ServerError> {
    for address in addresses {
        tracing::info!("listening on {address}");
    }
    if let Some(path) = &config.ready_file {
        // Renamed into place, so that who waits for the file never reads half of it.
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let text: String = addresses.iter().map(|a| format!("{a}\n")).collect();
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, path))
            .map_err(ServerError::start("write the ready file"))?;
    }
    Ok(())
}
