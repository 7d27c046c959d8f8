//! The monitor: a small, single-threaded process that owns keys and tickets, looks up users and starts sessions.
//!
//! It never parses HTTP, XML or PSRP and never talks to a peer. The network process asks it for few things, in typed
//! messages, and gets only what an authenticated connection is entitled to.

mod certificate;
mod core;
mod identity;
mod kerberos;
mod local_users;
mod logins;
mod newcomers;
mod sessions;
mod tickets;
mod users;
mod winbind;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal as Posix};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, User};

use self::certificate::Certificate;
use self::core::Core;
use self::kerberos::KerberosAuthority;
use self::logins::Logins;
use self::sessions::{SessionSettings, Sessions};
use self::tickets::Tickets;
use self::users::{SystemAccounts, uid_min};
use self::winbind::Winbind;
use crate::config::{ConfigError, ServerConfig};
use crate::ipc::{CredSsp, NtlmNames, Numbered, Offer, Reply, Request};
use crate::mapping::Mapping;
use crate::runtime_dir::{RuntimeDir, default_base};
use crate::sys::{self, ChildSetup};
use crate::{NETWORK_ARGUMENT, channel, network};

/// How long the network process has to close everything after it was told to stop.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Answers that may wait for the network process to read them; beyond that no new request is taken.
const MAX_QUEUE: usize = 64;

/// What clients call PowerShell in command shells.
const POWERSHELLS: [&str; 5] = ["powershell", "PowerShell", "powershell.exe", "PowerShell.exe", "pwsh"];

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

    let kerberos = match config.auth.kerberos {
        true => Some(KerberosAuthority::open(&config)?),
        false => None,
    };
    let realm = match &kerberos {
        Some(kerberos) => kerberos.realm().to_owned(),
        None => config.realm.clone().unwrap_or_default(),
    };
    let names = host_names(kerberos.as_ref());
    let ntlm = ntlm_names(&config, &names, &realm);
    let credssp = credssp(&config);
    let logins = Logins::open(&config, ntlm.clone(), &realm)?;
    let needs_certificate = credssp.is_some() || !config.listen_https.is_empty();
    let certificate = needs_certificate.then(|| Certificate::open(&config, &names)).transpose()?;
    let offer = Offer {
        kerberos: config.auth.kerberos,
        negotiate: config.auth.negotiate,
        ntlm: config.auth.ntlm.then(|| ntlm.clone()),
        credssp,
        basic: config.auth.basic,
        certificate: config.auth.certificate,
        allow_unencrypted: config.auth.allow_unencrypted,
        binding_policy: config.auth.cbt_hardening_level as u8,
        https: u32::try_from(config.listen_https.len()).unwrap_or(u32::MAX),
        hosts: names.clone(),
        client_authorities: logins.client_authorities(),
    };
    let base = config.runtime_dir.clone().unwrap_or_else(default_base);
    let runtime =
        RuntimeDir::open(&base).map_err(|source| ServerError::RuntimeDir { path: base.clone(), source })?;
    if runtime.swept > 0 {
        tracing::warn!(count = runtime.swept, "removed what servers that did not end properly had left");
    }
    if !runtime.in_memory {
        tracing::warn!(path = %base.display(), "the runtime directory is not in memory: tickets will touch the disk");
    }
    let all: Vec<String> = config.listen.iter().chain(&config.listen_https).cloned().collect();
    let (listeners, addresses) = listen(&all)?;
    let network_user = network_user(&config)?;
    let (ours, theirs) = channel::pair().map_err(ServerError::start("make the socket pair"))?;
    let network = start_network(theirs)?;

    let command = session_command(&config)?;
    let programs = runtime
        .add_programs(&POWERSHELLS, &powershell(&command))
        .map_err(|source| ServerError::RuntimeDir { path: base.clone(), source })?;
    let settings = SessionSettings {
        command,
        programs: Some(programs),
        environment: config.environment.clone().into_iter().collect(),
        max_per_user: config.max_shells_per_user as usize,
        max_processes: config.max_processes_per_shell as usize,
    };
    let mapping =
        Mapping { realm, host: ntlm.computer, rules: config.map.clone(), uid_min: uid_min(config.uid_min) };
    let core = Core {
        kerberos,
        logins,
        certificate,
        mapping,
        accounts: Box::new(SystemAccounts),
        sessions: Sessions::new(settings, runtime),
        tickets: Tickets::new(config.keytab_path(), network_user),
        constrained: config.constrained_delegation,
        credssp: credssp.is_some(),
        keep_password: config.auth.credssp_keep_password,
        identities: HashMap::new(),
        max_identities: config.max_connections as usize * 2,
        pending: HashMap::new(),
        last_job: 0,
    };
    let mut monitor = Monitor { core, socket: ours, queue: VecDeque::new(), network, stopping: None };
    let start = Reply::Start { limits: config.limits(), offer: Box::new(offer), user: network_user };
    monitor.push(0, start, listeners);
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
    /// A certificate, its key or the authorities of clients' certificates cannot be used.
    #[error("certificate {}: {problem}", path.display())]
    Certificate {
        /// The file.
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

struct Monitor {
    core: Core,
    socket: OwnedFd,
    queue: VecDeque<Outgoing>,
    network: Pid,
    stopping: Option<Instant>,
}

struct Outgoing {
    message: Numbered<Reply>,
    descriptors: Vec<OwnedFd>,
}

impl Monitor {
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
            for (number, reply) in self.core.late_answers(SystemTime::now(), now) {
                self.push(number, reply, Vec::new());
            }
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
        let winbind = self.core.logins.winbind.iter().flat_map(Winbind::fds);
        fds.extend(
            self.core.tickets.fd().into_iter().chain(winbind).map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        let deadline = self.core.next_deadline().into_iter().chain(self.stopping).min();
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
            let packet = buffer.get_mut(..length).unwrap_or_default();
            let decoded = Numbered::<Request>::decode(packet);
            // Passwords pass through here.
            zeroize::Zeroize::zeroize(packet);
            let request = match decoded {
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
            let number = request.number;
            let answer = self.core.answer(number, request.message, SystemTime::now(), Instant::now());
            if let Some((reply, descriptors)) = answer {
                self.push(number, reply, descriptors);
            }
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

/// The names of this host, the full one first.
fn host_names(kerberos: Option<&KerberosAuthority>) -> Vec<String> {
    let mut names: Vec<String> = kerberos.map(|k| k.hosts().to_vec()).unwrap_or_default();
    let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    names.extend(own.map(|name| name.to_lowercase()).filter(|name| !name.is_empty()));
    let short: Vec<String> =
        names.iter().filter_map(|name| name.split('.').next()).map(str::to_owned).collect();
    names.extend(short);
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn ntlm_names(config: &ServerConfig, names: &[String], realm: &str) -> NtlmNames {
    let first_label = |name: &str| -> String {
        name.split('.').next().unwrap_or_default().to_uppercase().chars().take(15).collect()
    };
    let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let computer = config.auth.netbios_name.clone().unwrap_or_else(|| first_label(&own));
    let domain = config.auth.netbios_domain.clone().unwrap_or_else(|| match realm {
        "" => computer.clone(),
        realm => first_label(realm),
    });
    NtlmNames {
        computer,
        domain,
        dns_computer: names.first().cloned().unwrap_or_default(),
        dns_domain: realm.to_lowercase(),
    }
}

/// CredSSP, if the server may take passwords.
fn credssp(config: &ServerConfig) -> Option<CredSsp> {
    let minimum_version = config.auth.credssp_minimum_version;
    if minimum_version < hop_auth::credssp::SAFE_VERSION {
        tracing::warn!(minimum_version, "CredSSP below version 5 lets somebody in the middle take part");
    }
    (config.auth.credssp == Some(true)).then_some(CredSsp { minimum_version })
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

/// What runs scripts in command shells: the program of the PowerShell sessions.
fn powershell(session_command: &[String]) -> Vec<String> {
    match session_command {
        [hop, host, ..] if host == "host" => vec![hop.clone(), "shell".to_owned()],
        // `env NAME=VALUE pwsh …` is started as it stands, without what makes it a server.
        words => {
            let is_prefix = |word: &&String| word.ends_with("env") || word.contains('=');
            let prefix = words.iter().take_while(is_prefix).count();
            words.iter().take(prefix + 1).cloned().collect()
        }
    }
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
