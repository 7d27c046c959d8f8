//! Serving a KDC over UDP and TCP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hop_kerberos::kdc::Kdc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// The longest answer that is sent in a datagram, in bytes: what every network carries.
const MAX_DATAGRAM: usize = 1400;
/// How many TCP connections are served at a time.
const MAX_CONNECTIONS: usize = 256;
/// How long a TCP connection may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sockets of one KDC: the same port for UDP and TCP.
pub struct KdcListener {
    udp: UdpSocket,
    tcp: TcpListener,
    clock: Clock,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl KdcListener {
    /// Binds UDP and TCP; port 0 takes one that is free for both.
    ///
    /// # Errors
    /// What the system says, the port taken most often.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let mut tries = 0;
        loop {
            let tcp = TcpListener::bind(address).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Self { udp, tcp, clock: Arc::new(SystemTime::now) }),
                Err(_) if address.port() == 0 && tries < 20 => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Serves by another clock than the system's, for tests of what happens when clocks differ.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The address that clients use.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers requests until dropped.
    ///
    /// # Errors
    /// Only what makes going on impossible: a socket that no longer works.
    pub async fn serve(self, kdc: Arc<Mutex<Kdc>>) -> std::io::Result<()> {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut datagram = vec![0; MAX_REQUEST];
        loop {
            tokio::select! {
                received = self.udp.recv_from(&mut datagram) => match received {
                    Ok((length, peer)) => {
                        let answer = answer(&kdc, (self.clock)(), datagram.get(..length).unwrap_or_default(), true);
                        if !answer.is_empty() {
                            let _ = self.udp.send_to(&answer, peer).await;
                        }
                    }
                    // An earlier answer found nobody listening: not our concern.
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                },
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                            let (kdc, clock) = (Arc::clone(&kdc), Arc::clone(&self.clock));
                            connections.spawn(async move {
                                let _place = place;
                                let _ = connection(stream, kdc, clock).await;
                            });
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }
}

impl std::fmt::Debug for KdcListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KdcListener({:?})", self.tcp)
    }
}

async fn connection(mut stream: TcpStream, kdc: Arc<Mutex<Kdc>>, clock: Clock) -> std::io::Result<()> {
    loop {
        let length = timeout(PATIENCE, stream.read_u32()).await?? as usize;
        if length > MAX_REQUEST {
            return Ok(());
        }
        let mut request = vec![0; length];
        timeout(PATIENCE, stream.read_exact(&mut request)).await??;
        let answer = answer(&kdc, clock(), &request, false);
        if answer.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(answer.len()).map_err(std::io::Error::other)?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&answer);
        timeout(PATIENCE, stream.write_all(&message)).await??;
    }
}

/// The answer to a request; empty where there is none (what came is no Kerberos message).
fn answer(kdc: &Mutex<Kdc>, now: SystemTime, request: &[u8], by_udp: bool) -> Vec<u8> {
    let mut kdc = kdc.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let answer = kdc.handle(request, now, &mut rand::rng());
    match by_udp && answer.len() > MAX_DATAGRAM {
        true => kdc.too_big(now),
        false => answer,
    }
}
