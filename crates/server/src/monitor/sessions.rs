//! Sessions and their processes: started as the user, ended with everything they started.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hop_delegation::{PASSWORD_FILE, REFUSALS_FILE, REPORT_ENV};
use hop_kerberos::Principal;
use hop_kerberos::ccache::CcacheError;
use hop_secret::SecretBytes;
use nix::sys::signal::{self, Signal as Posix};
use nix::unistd::{Gid, Pid, Uid};

use crate::ipc::{ProcessId, Program, SessionId, Signal};
use crate::monitor::users::LocalUser;
use crate::runtime_dir::{CCACHE, CONFIG, REPORT, RuntimeDir, SessionDir};
use crate::sys::{self, ChildSetup};

/// How long a session's processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(2);
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/// Variables of the monitor that sessions share, if it has them.
const PASSED_ON: [&str; 5] = ["LANG", "LC_ALL", "TZ", "KRB5_CONFIG", "HOP_HOSTS"];
/// Variables a client cannot set.
const RESERVED: [&str; 2] = ["KRB5CCNAME", REPORT_ENV];

/// What every session of this server has.
#[derive(Debug, Clone)]
pub(crate) struct SessionSettings {
    /// The PowerShell session command.
    pub command: Vec<String>,
    /// Where programs of the server's own are that sessions find on PATH, after the system's.
    pub programs: Option<PathBuf>,
    /// Variables from the configuration.
    pub environment: Vec<(String, String)>,
    /// Sessions one principal may have.
    pub max_per_user: usize,
    /// Processes one session may have.
    pub max_processes: usize,
}

/// All sessions of the server.
pub(crate) struct Sessions {
    settings: SessionSettings,
    runtime: RuntimeDir,
    sessions: HashMap<SessionId, Session>,
    processes: HashMap<ProcessId, Process>,
    next: u64,
}

struct Session {
    owner: Principal,
    user: LocalUser,
    dir: SessionDir,
    /// It has a krb5.conf of its own.
    own_config: bool,
    /// Set when the session was closed: then its processes are killed.
    deadline: Option<Instant>,
}

struct Process {
    session: SessionId,
    pid: Pid,
}

/// What a session is given to get tickets with.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// The bytes of its credential cache.
    pub ccache: Option<SecretBytes>,
    /// A krb5.conf of its own.
    pub config: Option<String>,
    /// The password that it keeps.
    pub password: Option<SecretBytes>,
    /// What it can tell about itself.
    pub report: String,
}

/// A started process: its stdin, stdout and stderr.
pub(crate) struct Started {
    pub process: ProcessId,
    pub descriptors: [OwnedFd; 3],
}

/// A process that ended.
pub(crate) struct Ended {
    pub process: ProcessId,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// Why a session or a process could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SessionError {
    #[error("{owner} has {limit} shells open, which is the limit")]
    TooManySessions { owner: String, limit: usize },
    #[error("the shell has {limit} processes, which is the limit")]
    TooManyProcesses { limit: usize },
    #[error("no such session")]
    NoSession,
    #[error("variable name \"{0}\" is not allowed")]
    Variable(String),
    #[error("text for a process contains a NUL")]
    Nul,
    #[error("cannot make the session's directory: {0}")]
    Directory(io::Error),
    #[error("cannot write the delegated ticket: {0}")]
    Ccache(#[from] CcacheError),
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: io::Error },
}

impl Sessions {
    pub fn new(settings: SessionSettings, runtime: RuntimeDir) -> Self {
        Self { settings, runtime, sessions: HashMap::new(), processes: HashMap::new(), next: 1 }
    }

    /// Opens a session with its private directory. `prepare` is handed the file that takes the domain's refusals and
    /// says what the session gets.
    pub fn open(
        &mut self,
        owner: &Principal,
        user: LocalUser,
        prepare: impl FnOnce(SessionId, File) -> Result<Credentials, CcacheError>,
    ) -> Result<SessionId, SessionError> {
        let limit = self.settings.max_per_user;
        if self.sessions.values().filter(|s| s.owner == *owner && s.deadline.is_none()).count() >= limit {
            return Err(SessionError::TooManySessions { owner: owner.to_string(), limit });
        }
        let id = self.new_id();
        let give_to = (user.uid != Uid::effective()).then_some((user.uid, user.gid));
        let dir = self.runtime.new_session().map_err(SessionError::Directory)?;
        let refusals = dir.add(REFUSALS_FILE, b"", give_to).map_err(SessionError::Directory)?;
        let credentials = prepare(id, refusals)?;
        let mut files = vec![(REPORT, credentials.report.as_bytes())];
        files.extend(credentials.ccache.as_ref().map(|bytes| (CCACHE, bytes.expose().as_slice())));
        files.extend(credentials.password.as_ref().map(|b| (PASSWORD_FILE, b.expose().as_slice())));
        files.extend(credentials.config.as_ref().map(|text| (CONFIG, text.as_bytes())));
        for (name, bytes) in files {
            dir.add(name, bytes, give_to).map_err(SessionError::Directory)?;
        }
        dir.give(give_to).map_err(SessionError::Directory)?;
        let own_config = credentials.config.is_some();
        self.sessions.insert(id, Session { owner: owner.clone(), user, dir, own_config, deadline: None });
        Ok(id)
    }

    /// Starts a process in an open session.
    pub fn spawn(
        &mut self,
        id: SessionId,
        program: Program,
        environment: Vec<(String, String)>,
        directory: Option<String>,
    ) -> Result<Started, SessionError> {
        let running = self.processes.values().filter(|p| p.session == id).count();
        let session =
            self.sessions.get(&id).filter(|s| s.deadline.is_none()).ok_or(SessionError::NoSession)?;
        if running >= self.settings.max_processes {
            return Err(SessionError::TooManyProcesses { limit: self.settings.max_processes });
        }
        let words = match program {
            Program::PowerShell => self.settings.command.clone(),
            Program::Shell { line } => vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
            Program::Direct { program, arguments } => std::iter::once(program).chain(arguments).collect(),
        };
        let all_text = words.iter().chain(environment.iter().flat_map(|(n, v)| [n, v])).chain(&directory);
        if all_text.into_iter().any(|t| t.contains('\0')) {
            return Err(SessionError::Nul);
        }
        let Some((program, arguments)) = words.split_first() else {
            return Err(SessionError::NoSession);
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        self.set_environment(&mut command, session, environment)?;
        let user = &session.user;
        let start = |source| SessionError::Start { program: program.clone(), source };
        sys::prepare(
            &mut command,
            ChildSetup {
                user: if user.uid == Uid::effective() {
                    None
                } else {
                    Some(credentials(user).map_err(start)?)
                },
                directory: Some(
                    CString::new(user.home.as_os_str().as_bytes()).map_err(|_| SessionError::Nul)?,
                ),
                required_directory: directory
                    .map(|d| CString::new(d).map_err(|_| SessionError::Nul))
                    .transpose()?,
                inherit: None,
                parent: nix::unistd::getpid(),
            },
        );
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(start(io::Error::other("no pipes")));
        };
        let process = self.new_id();
        self.processes.insert(process, Process { session: id, pid: Pid::from_raw(child.id().cast_signed()) });
        Ok(Started { process, descriptors: [stdin.into(), stdout.into(), stderr.into()] })
    }

    fn set_environment(
        &self,
        command: &mut Command,
        session: &Session,
        client: Vec<(String, String)>,
    ) -> Result<(), SessionError> {
        let user = &session.user;
        let mut path = std::ffi::OsString::from(DEFAULT_PATH);
        if let Some(programs) = &self.settings.programs {
            path.push(":");
            path.push(programs);
        }
        command.env("PATH", path).env("HOME", &user.home).env("SHELL", &user.shell);
        command.env("USER", &user.name).env("LOGNAME", &user.name);
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.settings.environment.iter().map(|(n, v)| (n, v)));
        for (name, value) in client {
            let reserved = RESERVED.contains(&name.as_str()) || session.own_config && name == "KRB5_CONFIG";
            if name.is_empty() || name.contains('=') || reserved {
                return Err(SessionError::Variable(name));
            }
            command.env(name, value);
        }
        // Set also without a delegated ticket: the session is to use its own identity or none, and never the cache of
        // somebody who happens to have the same uid here.
        let mut ccache = std::ffi::OsString::from("FILE:");
        ccache.push(session.dir.file(CCACHE));
        command.env("KRB5CCNAME", ccache).env(REPORT_ENV, session.dir.file(REPORT));
        if session.own_config {
            command.env("KRB5_CONFIG", session.dir.file(CONFIG));
        }
        Ok(())
    }

    /// Signals a process and its group.
    pub fn signal(&self, process: ProcessId, what: Signal) -> Result<(), SessionError> {
        let process = self.processes.get(&process).ok_or(SessionError::NoSession)?;
        signal_group(
            process.pid,
            match what {
                Signal::Interrupt => Posix::SIGINT,
                Signal::Terminate => Posix::SIGTERM,
                Signal::Kill => Posix::SIGKILL,
            },
        );
        Ok(())
    }

    /// Closes a session: its credentials go at once, its processes are asked to end and killed after a grace time.
    pub fn close(&mut self, id: SessionId, now: Instant) -> Result<(), SessionError> {
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NoSession)?;
        if session.deadline.is_none() {
            session.dir.remove();
            session.deadline = Some(now + GRACE);
            for process in self.processes.values().filter(|p| p.session == id) {
                signal_group(process.pid, Posix::SIGTERM);
            }
        }
        self.finish(now);
        Ok(())
    }

    /// When [`Sessions::finish`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.sessions.values().filter_map(|s| s.deadline).min()
    }

    /// Ends the closed sessions whose processes have gone or whose time is up.
    pub fn finish(&mut self, now: Instant) {
        let due: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(id, s)| {
                s.deadline.is_some_and(|d| d <= now || !self.processes.values().any(|p| p.session == **id))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.kill(id);
        }
    }

    /// Ends a session now.
    fn kill(&mut self, id: SessionId) {
        for process in self.processes.values().filter(|p| p.session == id) {
            signal_group(process.pid, Posix::SIGKILL);
        }
        if let Some(session) = self.sessions.remove(&id) {
            let left_over = session.dir.kill_members();
            if left_over > 0 {
                tracing::debug!(
                    session = id,
                    left_over,
                    "killed processes that had left the session's group"
                );
            }
        }
    }

    /// Ends every session now.
    pub fn kill_all(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.kill(id);
        }
    }

    /// Notes that the child `pid` ended; says which process it was.
    pub fn child_ended(&mut self, pid: Pid, code: Option<i32>, signal: Option<i32>) -> Option<Ended> {
        let process = self.processes.iter().find(|(_, p)| p.pid == pid).map(|(id, _)| *id)?;
        self.processes.remove(&process);
        Some(Ended { process, code, signal })
    }

    /// Open sessions.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.sessions.len()
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn credentials(user: &LocalUser) -> io::Result<(Uid, Gid, Vec<Gid>)> {
    Ok((user.uid, user.gid, user.groups()?))
}

/// Signals the group a session process leads. Gone already is fine.
fn signal_group(pid: Pid, what: Posix) {
    let _ = signal::killpg(pid, what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    fn sessions(max_per_user: usize) -> (Sessions, tempfile::TempDir) {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), Permissions::from_mode(0o711)).unwrap();
        let settings = SessionSettings {
            command: vec!["cat".to_owned()],
            programs: None,
            environment: vec![],
            max_per_user,
            max_processes: 2,
        };
        (Sessions::new(settings, RuntimeDir::open(base.path()).unwrap()), base)
    }

    fn alice() -> Principal {
        Principal::parse("alice@HOP.TEST", None).unwrap()
    }

    fn open(
        sessions: &mut Sessions,
        user: LocalUser,
        ccache: Option<&[u8]>,
    ) -> Result<SessionId, SessionError> {
        let ccache = ccache.map(SecretBytes::from);
        let credentials = Credentials { ccache, report: "{}".to_owned(), ..Credentials::default() };
        sessions.open(&alice(), user, |_, _| Ok(credentials))
    }

    fn shell(line: &str) -> Program {
        Program::Shell { line: line.to_owned() }
    }

    fn output(started: Started) -> String {
        let [stdin, stdout, _stderr] = started.descriptors;
        drop(stdin);
        let mut text = String::new();
        File::from(stdout).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_process_sees_its_own_cache_and_a_clean_environment() {
        let (mut sessions, _base) = sessions(1);
        let user = LocalUser::current().unwrap();
        let id = open(&mut sessions, user.clone(), Some(b"cache".as_slice())).unwrap();
        let script =
            "cat ${KRB5CCNAME#FILE:}; echo; cat $HOP_DELEGATION; echo; echo $USER $A; env | grep -c CARGO";
        let environment = vec![("A".to_owned(), "b".to_owned())];
        let started = sessions.spawn(id, shell(script), environment, None).unwrap();
        assert_eq!(output(started), format!("cache\n{{}}\n{} b\n0\n", user.name));
    }

    #[test]
    fn limits_and_reserved_names_hold() {
        let (mut sessions, _base) = sessions(1);
        let user = LocalUser::current().unwrap();
        let id = open(&mut sessions, user.clone(), None).unwrap();
        let second = open(&mut sessions, user, None);
        assert!(matches!(second, Err(SessionError::TooManySessions { .. })));
        for name in ["KRB5CCNAME", "HOP_DELEGATION", "A=B", ""] {
            let environment = vec![(name.to_owned(), "x".to_owned())];
            assert!(matches!(
                sessions.spawn(id, shell("true"), environment, None),
                Err(SessionError::Variable(_))
            ));
        }
        assert!(matches!(sessions.spawn(id, shell("a\0b"), vec![], None), Err(SessionError::Nul)));
        let gone = sessions.spawn(id, shell("true"), vec![], Some("/no/such".to_owned()));
        assert!(matches!(gone, Err(SessionError::Start { .. })));
        assert!(matches!(sessions.spawn(99, shell("true"), vec![], None), Err(SessionError::NoSession)));
        let _a = sessions.spawn(id, shell("sleep 9"), vec![], None).unwrap();
        let _b = sessions.spawn(id, shell("sleep 9"), vec![], None).unwrap();
        assert!(matches!(
            sessions.spawn(id, shell("true"), vec![], None),
            Err(SessionError::TooManyProcesses { .. })
        ));
    }

    #[test]
    fn closing_ends_everything_the_session_started() {
        let (mut sessions, _base) = sessions(1);
        let id = open(&mut sessions, LocalUser::current().unwrap(), Some(b"c".as_slice())).unwrap();
        let file = sessions.sessions[&id].dir.file(CCACHE);
        // The second sleep has left the process group.
        let line = "trap '' TERM; sleep 60 & setsid sleep 60 & echo on; wait; sleep 60";
        let started = sessions.spawn(id, shell(line), vec![], None).unwrap();
        let mut stdout = File::from(started.descriptors.into_iter().nth(1).unwrap());
        let mut on = [0; 3];
        stdout.read_exact(&mut on).unwrap();
        let now = Instant::now();
        sessions.close(id, now).unwrap();
        assert!(!file.exists(), "the credentials go first");
        assert!(matches!(sessions.spawn(id, shell("true"), vec![], None), Err(SessionError::NoSession)));
        assert_eq!(sessions.count(), 1);
        sessions.finish(now + GRACE);
        assert_eq!(sessions.count(), 0);
        // Every holder of the pipe is gone, or this read would wait.
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
    }
}
