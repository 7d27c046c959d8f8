//! The network process's end of the socket pair: questions to the monitor, and what it says unasked.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hop_auth::UserName;
use hop_secret::SecretString;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::channel;
use crate::ipc::{
    Accepted, IdentityId, Numbered, ProcessId, Program, Reply, Request, ServerCertificate, SessionId, Signal,
};

/// The monitor, as the network process sees it. Clones share one socket.
#[derive(Clone)]
pub(crate) struct MonitorClient {
    shared: Arc<Shared>,
}

struct Shared {
    socket: AsyncFd<OwnedFd>,
    next: AtomicU32,
    state: Mutex<State>,
    /// Cancelled when the monitor says stop or has gone.
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    pending: HashMap<u32, oneshot::Sender<Answer>>,
    exits: HashMap<ProcessId, oneshot::Sender<Exit>>,
}

struct Answer {
    reply: Reply,
    descriptors: Vec<OwnedFd>,
    exit: Option<oneshot::Receiver<Exit>>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// A process of a session.
pub(crate) struct Child {
    pub process: ProcessId,
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Resolves when it ended; an error means that the monitor has gone.
    pub exit: oneshot::Receiver<Exit>,
}

/// A token the monitor refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// A token for the client.
    pub reply: Option<Vec<u8>>,
    /// The client proved who it is, but may not use this server.
    pub denied: bool,
    pub reason: String,
}

/// Why the monitor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonitorError {
    #[error("{0}")]
    Failed(String),
    #[error("the monitor has gone")]
    Gone,
    #[error("cannot reach the monitor: {0}")]
    Io(#[from] io::Error),
    #[error("the monitor's answer does not fit the question")]
    Unexpected,
}

impl MonitorClient {
    /// Takes over the socket, whose start message was read already. `stop` is cancelled when the server is to end.
    pub fn new(socket: OwnedFd, stop: CancellationToken) -> io::Result<Self> {
        // SAFETY: an OwnedFd keeps its descriptor open and gives the same one every time.
        let socket = unsafe { AsyncFd::register(socket) }?;
        let shared = Shared { socket, next: AtomicU32::new(1), state: Mutex::default(), stop };
        let client = Self { shared: Arc::new(shared) };
        tokio::spawn(client.clone().read());
        Ok(client)
    }

    /// Asks for a token, a proof, a password or a certificate to be accepted.
    pub async fn accept(&self, request: Request) -> Result<Result<Accepted, Refusal>, MonitorError> {
        match self.ask(request).await?.reply {
            Reply::Accepted(accepted) => Ok(Ok(*accepted)),
            Reply::Refused { reply, denied, reason } => Ok(Err(Refusal { reply, denied, reason })),
            other => Err(unexpected(other)),
        }
    }

    /// Hands over the password that came by CredSSP.
    pub async fn delegate(
        &self,
        identity: IdentityId,
        name: UserName,
        password: SecretString,
    ) -> Result<Result<(), Refusal>, MonitorError> {
        match self.ask(Request::Delegate { identity, name, password }).await?.reply {
            Reply::Done => Ok(Ok(())),
            Reply::Refused { reply, denied, reason } => Ok(Err(Refusal { reply, denied, reason })),
            other => Err(unexpected(other)),
        }
    }

    /// A challenge for NTLM.
    pub async fn challenge(&self) -> Result<[u8; 8], MonitorError> {
        match self.ask(Request::Challenge).await?.reply {
            Reply::Challenge(challenge) => Ok(challenge),
            other => Err(unexpected(other)),
        }
    }

    /// The server's certificate, if it is not the known one.
    pub async fn server_certificate(&self, known: u32) -> Result<Option<ServerCertificate>, MonitorError> {
        match self.ask(Request::ServerCertificate { known }).await?.reply {
            Reply::ServerCertificate(certificate) => Ok(Some(*certificate)),
            Reply::Done => Ok(None),
            other => Err(unexpected(other)),
        }
    }

    /// A signature with the key of the server's certificate.
    pub async fn sign(
        &self,
        generation: u32,
        scheme: u16,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, MonitorError> {
        match self.ask(Request::Sign { generation, scheme, message }).await?.reply {
            Reply::Signed { signature } => Ok(signature),
            other => Err(unexpected(other)),
        }
    }

    /// Says that the connection of an identity has ended. Does not wait.
    pub fn release(&self, identity: IdentityId) {
        self.tell(Request::Release { identity });
    }

    /// Opens a session.
    pub async fn open(&self, identity: IdentityId) -> Result<SessionId, MonitorError> {
        match self.ask(Request::Open { identity }).await?.reply {
            Reply::Opened { session } => Ok(session),
            other => Err(unexpected(other)),
        }
    }

    /// Ends a session and all it runs. Does not wait.
    pub fn close(&self, session: SessionId) {
        self.tell(Request::Close { session });
    }

    /// Starts a process.
    pub async fn spawn(
        &self,
        session: SessionId,
        program: Program,
        environment: Vec<(String, String)>,
        directory: Option<String>,
    ) -> Result<Child, MonitorError> {
        let answer = self.ask(Request::Spawn { session, program, environment, directory }).await?;
        match (answer.reply, <[OwnedFd; 3]>::try_from(answer.descriptors), answer.exit) {
            (Reply::Spawned { process }, Ok([stdin, stdout, stderr]), Some(exit)) => {
                Ok(Child { process, stdin, stdout, stderr, exit })
            }
            (other, ..) => Err(unexpected(other)),
        }
    }

    /// Signals a process. Does not wait.
    pub fn signal(&self, process: ProcessId, signal: Signal) {
        self.tell(Request::Signal { process, signal });
    }

    fn tell(&self, request: Request) {
        let client = self.clone();
        tokio::spawn(async move {
            if let Err(error) = client.ask(request).await {
                tracing::debug!(%error, "the monitor did not do what it was told");
            }
        });
    }

    async fn ask(&self, request: Request) -> Result<Answer, MonitorError> {
        let number = loop {
            let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
            if number != 0 {
                break number;
            }
        };
        let packet = Numbered { number, message: request }.encode();
        // The monitor takes what is beyond its limits for a broken network process. What a client can cause ends here.
        if let Err(error) = Numbered::<Request>::decode(packet.expose()) {
            return Err(MonitorError::Failed(format!("the request is beyond the server's limits: {error}")));
        }
        let (sender, receiver) = oneshot::channel();
        self.state().pending.insert(number, sender);
        let sent = self
            .shared
            .socket
            .async_io(Interest::WRITABLE, |s| channel::send(s.as_fd(), packet.expose(), &[]))
            .await;
        if let Err(error) = sent {
            self.state().pending.remove(&number);
            return Err(error.into());
        }
        receiver.await.map_err(|_| MonitorError::Gone)
    }

    async fn read(self) {
        let mut buffer = channel::buffer();
        loop {
            let shared = &self.shared;
            let packet = shared
                .socket
                .async_io(Interest::READABLE, |s| channel::receive(s.as_fd(), &mut buffer))
                .await;
            let (length, descriptors) = match packet {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "cannot read from the monitor");
                    break;
                }
            };
            match Numbered::<Reply>::decode(buffer.get(..length).unwrap_or_default()) {
                Ok(message) => self.dispatch(message, descriptors),
                Err(error) => {
                    tracing::error!(%error, "the monitor broke the protocol");
                    break;
                }
            }
            // Contexts pass through here.
            zeroize::Zeroize::zeroize(buffer.get_mut(..length).unwrap_or_default());
        }
        self.shared.stop.cancel();
        let mut state = self.state();
        state.pending.clear();
        state.exits.clear();
    }

    fn dispatch(&self, message: Numbered<Reply>, descriptors: Vec<OwnedFd>) {
        let reply = match message.message {
            Reply::Exited { process, code, signal } => {
                if let Some(exit) = self.state().exits.remove(&process) {
                    let _ = exit.send(Exit { code, signal });
                }
                return;
            }
            Reply::Stop => {
                self.shared.stop.cancel();
                return;
            }
            reply => reply,
        };
        let Some(pending) = self.state().pending.remove(&message.number) else {
            tracing::error!("the monitor answered what was not asked");
            return;
        };
        // Registered here, before the next message is read: the process may have ended already.
        let exit = if let Reply::Spawned { process } = reply {
            let (sender, receiver) = oneshot::channel();
            self.state().exits.insert(process, sender);
            Some(receiver)
        } else {
            None
        };
        if let Err(answer) = pending.send(Answer { reply, descriptors, exit }) {
            // Who asked has gone away in the meantime: nothing may stay behind in the monitor.
            match answer.reply {
                Reply::Accepted(accepted) => self.release(accepted.identity),
                Reply::Opened { session } => self.close(session),
                Reply::Spawned { process } => self.signal(process, Signal::Kill),
                _ => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unexpected(reply: Reply) -> MonitorError {
    match reply {
        Reply::Failed { reason } => MonitorError::Failed(reason),
        _ => MonitorError::Unexpected,
    }
}
