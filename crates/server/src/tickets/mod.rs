//! The ticket process: sessions that have no ticket-granting ticket get their service tickets here, one by one.
//!
//! Each such session has a KDC address of its own on loopback (its krb5.conf names it) and a credential cache that
//! holds a ticket only this process can read. A request for a service is answered with a ticket in the user's name
//! that was fetched by constrained delegation (S4U2Proxy) from the real KDC: so only where the domain allows, with
//! nothing in the session that the domain would take for the user's ticket-granting ticket.
//!
//! The process has the host's keys, because it logs in as the host; it has no privileges, talks to KDCs and to the
//! sessions of this machine only, and answers nobody but the session's own user.

mod login;
mod message;
mod peer;
mod shim;
mod source;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::config::Config;
use hop_kerberos::kdc::Refusal;
use hop_kerberos::keytab::Keytab;
use hop_kerberos::{ErrorCode, Principal};
use hop_kerberos_io::KdcClient;
use hop_secret::SecretBytes;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use message::{LoggedIn, Login, Notice, Opened, Opening, Order};

use self::shim::{Answer, Shim};
use self::source::{Host, NoTicket, Source};
use crate::ipc::{MAX_PACKET, SessionId};
use crate::{TICKETS_ARGUMENT, channel, network, sys};

/// The number at which the process finds its end of the socket pair.
pub(crate) const SOCKET: RawFd = 3;

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// The longest answer that is sent in a datagram, in bytes.
const MAX_DATAGRAM: usize = 1400;
/// How long a TCP connection may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest file of refusals, in bytes; more are in the log.
const MAX_REFUSALS: u64 = 64 * 1024;
/// Requests of one session that are worked on at a time.
const MAX_REQUESTS: usize = 32;

/// Runs the ticket process if that is what this process was started as.
pub(crate) fn run_ticket_process() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != TICKETS_ARGUMENT || arguments.next().is_some() {
        return None;
    }
    crate::start_log();
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the ticket process cannot go on");
            ExitCode::FAILURE
        }
    })
}

fn run() -> io::Result<()> {
    let socket = sys::take_inherited(SOCKET)?;
    let mut buffer = channel::buffer();
    let Order::Start { user } = receive_first(&socket, &mut buffer)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "expected the start message"));
    };
    network::drop_privileges(user)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(socket, buffer))
}

fn receive_first(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Order> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    loop {
        match channel::receive(socket.as_fd(), buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
            }
            Ok(Some((length, _))) => return decode(buffer, length),
            Ok(None) => return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the monitor has gone")),
            Err(error) => return Err(error),
        }
    }
}

fn decode(buffer: &mut [u8], length: usize) -> io::Result<Order> {
    let packet = buffer.get_mut(..length).unwrap_or_default();
    let order = Order::decode(packet).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e));
    // Keys and tickets pass through here.
    zeroize::Zeroize::zeroize(packet);
    order
}

/// Orders of the monitor until it has gone.
async fn serve(socket: OwnedFd, mut buffer: Vec<u8>) -> io::Result<()> {
    // SAFETY: an OwnedFd keeps its descriptor open and gives the same one every time.
    let socket = Arc::new(unsafe { AsyncFd::register(socket) }?);
    let (notices, outgoing) = mpsc::channel(256);
    tokio::spawn(send_notices(socket.clone(), outgoing));
    let host = Arc::new(Host::default());
    let mut sessions: HashMap<SessionId, CancellationToken> = HashMap::new();
    loop {
        let packet =
            socket.async_io(Interest::READABLE, |s| channel::receive(s.as_fd(), &mut buffer)).await?;
        let Some((length, mut descriptors)) = packet else { return Ok(()) };
        match decode(&mut buffer, length)? {
            Order::Start { .. } => {}
            Order::Keytab(bytes) => match Keytab::parse(bytes.expose()) {
                Ok(keytab) => host.set_keytab(keytab),
                Err(error) => tracing::error!(%error, "the monitor's keytab cannot be used"),
            },
            Order::Open(opening) => {
                let session = opening.session;
                let refusals = descriptors.pop().map(File::from);
                let notice = match open(&host, *opening, refusals).await {
                    Ok((opened, over)) => {
                        sessions.insert(session, over);
                        Notice::Opened(Box::new(opened))
                    }
                    Err(error) => Notice::Failed { session, reason: error.to_string() },
                };
                let _ = notices.send(notice).await;
            }
            Order::Login(login) => {
                let (host, notices) = (host.clone(), notices.clone());
                let runtime = tokio::runtime::Handle::current();
                // Keys are derived from passwords on the way, which takes as long as a KDC says.
                tokio::task::spawn_blocking(move || {
                    runtime.block_on(async move {
                        let _ = notices.send(login::log_in(&host, *login).await).await;
                    });
                });
            }
            Order::Close { session } => {
                if let Some(over) = sessions.remove(&session) {
                    over.cancel();
                }
            }
        }
    }
}

async fn send_notices(socket: Arc<AsyncFd<OwnedFd>>, mut outgoing: mpsc::Receiver<Notice>) {
    while let Some(notice) = outgoing.recv().await {
        let mut packet = notice.encode();
        if packet.expose().len() > MAX_PACKET
            && let Notice::LoggedIn(tickets) = &notice
        {
            let reason = "the user's tickets are too large".to_owned();
            packet = Notice::LoginFailed { login: tickets.login, wrong: false, reason }.encode();
        }
        let sent =
            socket.async_io(Interest::WRITABLE, |s| channel::send(s.as_fd(), packet.expose(), &[])).await;
        if let Err(error) = sent {
            tracing::error!(%error, "cannot tell the monitor");
            return;
        }
    }
}

/// Begins to serve a session; it ends when the token is cancelled.
async fn open(
    host: &Arc<Host>,
    opening: Opening,
    refusals: Option<File>,
) -> Result<(Opened, CancellationToken), Box<dyn std::error::Error + Send + Sync>> {
    let evidence = CredentialCache::parse(opening.evidence.expose())?;
    let evidence = evidence.credentials().next().ok_or("no evidence ticket")?.clone();
    let forwarded =
        opening.forwarded.as_ref().map(|bytes| CredentialCache::parse(bytes.expose())).transpose()?;
    let kdc = KdcClient::new(Config::parse(opening.config.as_bytes())?);
    let shim = Shim::new(&evidence, &mut rand::rng())?;
    let (tcp, udp) = bind().await?;
    let address = tcp.local_addr()?;
    let config = shim.config(kdc.config(), address.port());
    let ccache = SecretBytes::new(shim.ccache().to_bytes()?);
    let session = Arc::new(Session {
        id: opening.session,
        uid: opening.uid,
        address,
        shim: Mutex::new(shim),
        source: Source::new(kdc, host.clone(), evidence, forwarded),
        refusals: Mutex::new(refusals),
        slots: Arc::new(Semaphore::new(MAX_REQUESTS)),
    });
    let over = CancellationToken::new();
    let token = over.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = listen(session, tcp, udp) => {}
        }
    });
    Ok((Opened { session: opening.session, config, ccache }, over))
}

/// The same free port for TCP and UDP.
async fn bind() -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries = 0;
    loop {
        let tcp = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(_) if tries < 20 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

struct Session {
    id: SessionId,
    uid: u32,
    address: SocketAddr,
    shim: Mutex<Shim>,
    source: Source,
    /// Where the session's own `hop ticket why` finds what was refused.
    refusals: Mutex<Option<File>>,
    slots: Arc<Semaphore>,
}

async fn listen(session: Arc<Session>, tcp: TcpListener, udp: UdpSocket) {
    let udp = Arc::new(udp);
    // Dropped with this future: nothing of a session outlives it.
    let mut work = JoinSet::new();
    let mut datagram = vec![0; MAX_REQUEST];
    loop {
        tokio::select! {
            accepted = tcp.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Ok(slot) = session.slots.clone().try_acquire_owned() {
                        let session = session.clone();
                        work.spawn(async move {
                            let _slot = slot;
                            let _ = connection(&session, stream, peer).await;
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            received = udp.recv_from(&mut datagram) => {
                let Ok((length, peer)) = received else { continue };
                let Ok(slot) = session.slots.clone().try_acquire_owned() else { continue };
                if !session.is_own("/proc/net/udp", peer, false) {
                    continue;
                }
                let (session, udp) = (session.clone(), udp.clone());
                let request = datagram.get(..length).unwrap_or_default().to_vec();
                work.spawn(async move {
                    let _slot = slot;
                    let answer = session.answer(&request).await;
                    if !answer.is_empty() && answer.len() <= MAX_DATAGRAM {
                        let _ = udp.send_to(&answer, peer).await;
                    } else if !answer.is_empty() {
                        let _ = udp.send_to(&session.too_big(), peer).await;
                    }
                });
            }
            Some(_) = work.join_next(), if !work.is_empty() => {}
        }
    }
}

async fn connection(session: &Session, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    if !session.is_own("/proc/net/tcp", peer, true) {
        tracing::warn!(session = session.id, "another user asked for tickets of a session");
        return Ok(());
    }
    loop {
        let length = timeout(PATIENCE, stream.read_u32()).await?? as usize;
        if length > MAX_REQUEST {
            return Ok(());
        }
        let mut request = vec![0; length];
        timeout(PATIENCE, stream.read_exact(&mut request)).await??;
        let answer = session.answer(&request).await;
        if answer.is_empty() {
            return Ok(());
        }
        let mut message = u32::try_from(answer.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
        message.extend_from_slice(&answer);
        timeout(PATIENCE, stream.write_all(&message)).await??;
    }
}

impl Session {
    /// Whether the session's user is at the other end.
    fn is_own(&self, table: &str, peer: SocketAddr, connected: bool) -> bool {
        let local = connected.then_some(self.address);
        let table = std::fs::read_to_string(table).unwrap_or_default();
        // Root can read the cache anyway, and programs that change users ask as root.
        peer::owner(&table, peer, local).is_some_and(|uid| uid == self.uid || uid == 0)
    }

    fn with_shim<T>(&self, work: impl FnOnce(&mut Shim) -> T) -> T {
        work(&mut self.shim.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn too_big(&self) -> Vec<u8> {
        self.with_shim(|shim| shim.too_big(SystemTime::now()))
    }

    /// The reply to a request; empty where there is none.
    async fn answer(&self, request: &[u8]) -> Vec<u8> {
        match self.with_shim(|shim| shim.handle(request, SystemTime::now(), &mut rand::rng())) {
            Answer::Reply(reply) => reply,
            Answer::Relay => self.relay(request).await,
            Answer::Fetch { realm, wanted } => {
                let target = wanted.request.server.clone();
                let ticket = match self.source.ticket(&target).await {
                    Ok(ticket) => {
                        tracing::debug!(session = self.id, %target, "ticket fetched");
                        Ok(ticket)
                    }
                    Err(no) => {
                        tracing::warn!(session = self.id, %target, reason = no.text, "ticket refused");
                        self.note(&target, &no);
                        Err(no.refusal)
                    }
                };
                let now = SystemTime::now();
                self.with_shim(|shim| shim.finish(realm, &wanted, ticket, now, &mut rand::rng()))
            }
        }
    }

    /// Written before the program hears of it, so that who asks why finds it.
    fn note(&self, target: &Principal, no: &NoTicket) {
        let refusal = hop_delegation::Refusal {
            target: target.to_string(),
            service: self.source.evidence.server.to_string(),
            code: no.code,
            text: no.text.clone(),
        };
        let line = refusal.to_line();
        let mut file = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else { return };
        let room = file.metadata().is_ok_and(|m| m.len() + line.len() as u64 <= MAX_REFUSALS);
        if room && let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(session = self.id, %error, "cannot note a refusal for the session");
        }
    }

    /// Somebody in the session logs in as somebody else, or uses such a ticket: the real KDC's business.
    async fn relay(&self, request: &[u8]) -> Vec<u8> {
        match self.source.kdc.relay(request).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!(session = self.id, %error, "cannot relay a request");
                let refusal =
                    Refusal::new(ErrorCode::KDC_ERR_SVC_UNAVAILABLE, "the domain could not be asked");
                self.with_shim(|shim| shim.error(refusal, SystemTime::now()))
            }
        }
    }
}
