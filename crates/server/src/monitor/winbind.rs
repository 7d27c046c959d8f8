//! NTLM proofs that the domain verifies: Samba's `ntlm_auth`, one short process for each.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hop_auth::ntlm::{NtlmError, NtlmServer1, Question, SessionBaseKey};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::sys::{self, ChildSetup};

/// How long winbind may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Questions that may be under way at a time.
const MAX_UNDER_WAY: usize = 32;
/// Those of one address.
const MAX_OF_PEER: usize = 8;
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// Longest client challenge that is asked about, in bytes: the question must fit into a pipe.
const MAX_BLOB: usize = 16 * 1024;

/// The way to the domain; nothing runs until somebody asks.
pub(crate) struct Winbind {
    program: String,
    under_way: Vec<Asking>,
}

struct Asking {
    job: u64,
    /// The address of who wants to be let in.
    peer: String,
    child: Child,
    answer: Vec<u8>,
    ended: bool,
    deadline: Instant,
}

/// An answer of the domain.
pub(crate) type Answer = (u64, Result<SessionBaseKey, NtlmError>);

impl Winbind {
    pub fn new(program: String) -> Self {
        Self { program, under_way: Vec::new() }
    }

    /// Asks the domain; [`Winbind::answers`] will have the answer.
    ///
    /// # Errors
    /// Too many questions, or the program cannot be started.
    pub fn ask(&mut self, job: u64, question: &Question, peer: &str, now: Instant) -> Result<(), NtlmError> {
        let failed = |reason: String| NtlmError::Verifier(reason);
        let peer = peer.rsplit_once(':').map_or(peer, |(address, _)| address).to_owned();
        let of_peer = self.under_way.iter().filter(|asking| asking.peer == peer).count();
        if self.under_way.len() >= MAX_UNDER_WAY || of_peer >= MAX_OF_PEER {
            return Err(failed("too many logins at a time".to_owned()));
        }
        if question.blob.len() > MAX_BLOB {
            return Err(failed("the proof is too long".to_owned()));
        }
        let child = self.start(&NtlmServer1::request(question));
        let child = child.map_err(|e| failed(format!("cannot run {}: {e}", self.program)))?;
        self.under_way.push(Asking {
            job,
            peer,
            child,
            answer: Vec::new(),
            ended: false,
            deadline: now + ANSWER,
        });
        Ok(())
    }

    fn start(&self, request: &str) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("--helper-protocol=ntlm-server-1").env_clear();
        sys::prepare(
            &mut command,
            ChildSetup {
                user: None,
                directory: Some(c"/".to_owned()),
                required_directory: None,
                inherit: None,
                parent: nix::unistd::getpid(),
            },
        );
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let prepared = (|| {
            let stdout = child.stdout.as_ref().ok_or_else(|| io::Error::other("no pipe"))?;
            fcntl(stdout, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            // The end of its input ends it.
            let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?;
            match stdin.write_all(request.as_bytes()) {
                // It did not want to hear it all: its answer tells.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                other => other,
            }
        })();
        if let Err(error) = prepared {
            let _ = child.kill();
            return Err(error);
        }
        Ok(child)
    }

    /// What to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.under_way.iter().filter_map(|asking| asking.child.stdout.as_ref()).map(AsFd::as_fd)
    }

    /// When [`Winbind::answers`] has something to give up.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.under_way.iter().map(|asking| asking.deadline).min()
    }

    /// The answers that have come, or that will not come any more.
    pub fn answers(&mut self, now: Instant) -> Vec<Answer> {
        let mut done = Vec::new();
        self.under_way.retain_mut(|asking| match asking.progress(now) {
            None => true,
            Some(result) => {
                // It ends by itself at the end of its output; then it may be reaped already, and its number another's.
                if !asking.ended {
                    let _ = asking.child.kill();
                }
                done.push((asking.job, result));
                false
            }
        });
        done
    }
}

impl Asking {
    fn progress(&mut self, now: Instant) -> Option<Result<SessionBaseKey, NtlmError>> {
        let mut buffer = [0; 1024];
        loop {
            let read = self.child.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(&mut buffer));
            match read {
                Ok(0) => break,
                Ok(length) => self.answer.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let text = String::from_utf8_lossy(&self.answer);
                    return if text.lines().any(|line| line == ".") || self.answer.len() > MAX_ANSWER {
                        Some(NtlmServer1::parse(&text))
                    } else if self.deadline <= now {
                        Some(Err(NtlmError::Verifier("winbind does not answer".to_owned())))
                    } else {
                        None
                    };
                }
                Err(error) => return Some(Err(NtlmError::Verifier(error.to_string()))),
            }
        }
        self.ended = true;
        let text = String::from_utf8_lossy(&self.answer).into_owned();
        zeroize::Zeroize::zeroize(&mut self.answer);
        match text.trim().is_empty() {
            true => Some(Err(NtlmError::Verifier("ntlm_auth said nothing: is winbindd running?".to_owned()))),
            false => Some(NtlmServer1::parse(&text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop_auth::UserName;
    use std::os::unix::fs::PermissionsExt as _;

    fn ask(script: &str) -> Result<SessionBaseKey, NtlmError> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("ntlm_auth");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut winbind = Winbind::new(program.display().to_string());
        let question = Question {
            name: UserName::parse("HOP\\alice"),
            workstation: String::new(),
            server_challenge: [1; 8],
            proof: [2; 16],
            blob: vec![3; 40],
        };
        let now = Instant::now();
        loop {
            // Another test's child may have the new program open for writing still, between its fork and exec.
            match winbind.ask(7, &question, "192.0.2.1:5", now) {
                Err(NtlmError::Verifier(reason)) if reason.contains("busy") => {}
                other => break other.unwrap(),
            }
        }
        loop {
            let late = now + ANSWER;
            let at = if script.contains("sleep") { late } else { Instant::now() };
            if let Some((job, answer)) = winbind.answers(at).pop() {
                assert_eq!(job, 7);
                return answer;
            }
            assert!(Instant::now() < late);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn answers_of_ntlm_auth() {
        let good = "cat >/dev/null; printf 'Authenticated: Yes\\nUser-Session-Key: 000102030405060708090A0B0C0D0E0F\\n.\\n'";
        assert_eq!(ask(good).unwrap().expose()[15], 15);
        let verifier = |script: &str, words: &str| {
            let error = ask(script).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        assert_eq!(ask("printf 'Authenticated: No\\n.\\n'").unwrap_err(), NtlmError::WrongCredentials);
        verifier(
            "printf 'Authenticated: No\\nAuthentication-Error: Account locked\\n.\\n'",
            "Account locked",
        );
        verifier("exit 1", "winbindd");
        verifier("exec sleep 100", "does not answer");
    }
}
