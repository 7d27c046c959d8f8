//! Getting a request to some KDC of a realm and its answer back.
//!
//! KDCs are tried in the order of the configuration, the next one beginning a second after the last, or as soon as
//! that has failed; the first usable answer counts. Each is asked by UDP first, the request repeated, then by TCP;
//! large requests, and those whose answer is too large for a datagram, go by TCP alone. Proxies are asked by HTTPS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hop_kerberos::ErrorCode;
use hop_kerberos::config::{KdcAddress, KdcTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{AttemptError, Error, proxy};

/// The longest answer that is read, in bytes. Real ones with large PACs stay far below.
pub(crate) const MAX_MESSAGE: usize = 1024 * 1024;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Until the next KDC is tried as well (1 s).
    pub stagger: Duration,
    /// For the answer to a datagram before it is sent again; doubled each time (1 s).
    pub udp_wait: Duration,
    /// How often a datagram is sent (2).
    pub udp_tries: u32,
    /// For a TCP connection (3 s).
    pub tcp_connect: Duration,
    /// For the answer over TCP (10 s).
    pub tcp_answer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            stagger: Duration::from_secs(1),
            udp_wait: Duration::from_secs(1),
            udp_tries: 2,
            tcp_connect: Duration::from_secs(3),
            tcp_answer: Duration::from_secs(10),
        }
    }
}

/// Sends the request to the realm's KDCs until one gives a usable answer.
pub(crate) async fn exchange(
    realm: &str,
    kdcs: &[KdcAddress],
    request: &[u8],
    udp_limit: usize,
    anchors: &[String],
    timing: Timing,
) -> Result<Vec<u8>, Error> {
    if kdcs.is_empty() {
        return Err(Error::NoKdc { realm: realm.to_owned() });
    }
    let asked: Arc<Asked> = Arc::new(Asked {
        realm: realm.to_owned(),
        request: request.to_vec(),
        udp_limit,
        anchors: anchors.to_vec(),
        timing,
    });
    let mut waiting = kdcs.iter().enumerate();
    let mut running = JoinSet::new();
    let mut attempts: Vec<Option<AttemptError>> = kdcs.iter().map(|_| None).collect();
    loop {
        let begun = match waiting.next() {
            Some((index, kdc)) => {
                let (kdc, asked) = (kdc.clone(), Arc::clone(&asked));
                running.spawn(async move { (index, attempt(&kdc, &asked).await) });
                true
            }
            None => false,
        };
        let finished = match begun && waiting.len() > 0 {
            true => match timeout(timing.stagger, running.join_next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            },
            false => running.join_next().await,
        };
        match finished {
            Some(Ok((_, Ok(answer)))) => return Ok(answer),
            Some(Ok((index, Err(error)))) => {
                tracing::debug!(realm, kdc = %kdcs[index], %error, "kdc did not do");
                attempts[index] = Some(error);
            }
            Some(Err(_)) => {}
            None if waiting.len() > 0 => {}
            None => break,
        }
    }
    let attempts = kdcs
        .iter()
        .zip(attempts)
        .filter_map(|(kdc, error)| error.map(|error| (kdc.to_string(), error)))
        .collect();
    Err(Error::KdcUnreachable { realm: realm.to_owned(), attempts })
}

/// What all attempts have in common.
struct Asked {
    realm: String,
    request: Vec<u8>,
    udp_limit: usize,
    anchors: Vec<String>,
    timing: Timing,
}

/// One KDC: every address it has, UDP before TCP; or a proxy, which has KDCs of its own.
async fn attempt(kdc: &KdcAddress, asked: &Asked) -> Result<Vec<u8>, AttemptError> {
    let Asked { realm, request, udp_limit, anchors, timing } = asked;
    let timing = *timing;
    if kdc.transport == Some(KdcTransport::Https) {
        return match usable(proxy::exchange(kdc, realm, request, anchors, timing).await?)? {
            Answer::Message(answer) => Ok(answer),
            Answer::TooBigForUdp => Err(AttemptError::Unavailable),
        };
    }
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((kdc.host.as_str(), kdc.port)).await.map_err(AttemptError::Name)?.collect();
    let by_udp = kdc.transport != Some(KdcTransport::Tcp) && request.len() <= *udp_limit;
    let by_tcp = kdc.transport != Some(KdcTransport::Udp);
    let mut last = AttemptError::Name(std::io::ErrorKind::NotFound.into());
    for address in addresses {
        if by_udp {
            match udp(address, request, timing).await.and_then(usable) {
                Ok(Answer::Message(answer)) => return Ok(answer),
                Ok(Answer::TooBigForUdp) => {}
                // One that answers, but not sensibly, will not do better over TCP.
                Err(error @ (AttemptError::Garbage { .. } | AttemptError::Unavailable)) => return Err(error),
                Err(error) => last = error,
            }
        }
        if by_tcp {
            match tcp(address, request, timing).await.and_then(usable) {
                Ok(Answer::Message(answer)) => return Ok(answer),
                Ok(Answer::TooBigForUdp) => last = AttemptError::Unavailable,
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

async fn udp(address: SocketAddr, request: &[u8], timing: Timing) -> Result<Vec<u8>, AttemptError> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // Connected, so that only this address can answer and its refusal is heard of.
    socket.connect(address).await?;
    let mut buffer = vec![0; 65_536];
    let mut wait = timing.udp_wait;
    for _ in 0..timing.udp_tries {
        socket.send(request).await?;
        if let Ok(received) = timeout(wait, socket.recv(&mut buffer)).await {
            buffer.truncate(received?);
            return Ok(buffer);
        }
        wait *= 2;
    }
    Err(AttemptError::Timeout(wait - timing.udp_wait))
}

/// [RFC 4120] 7.2.2: each message after its length in four bytes.
async fn tcp(address: SocketAddr, request: &[u8], timing: Timing) -> Result<Vec<u8>, AttemptError> {
    let mut stream = timeout(timing.tcp_connect, TcpStream::connect(address))
        .await
        .map_err(|_| AttemptError::Timeout(timing.tcp_connect))??;
    let exchange = async {
        let length = u32::try_from(request.len())
            .map_err(|_| AttemptError::TooLong { length: request.len(), limit: MAX_MESSAGE })?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(request);
        stream.write_all(&message).await?;
        let length = stream.read_u32().await? as usize;
        if length > MAX_MESSAGE {
            return Err(AttemptError::TooLong { length, limit: MAX_MESSAGE });
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    timeout(timing.tcp_answer, exchange).await.map_err(|_| AttemptError::Timeout(timing.tcp_answer))?
}

enum Answer {
    Message(Vec<u8>),
    TooBigForUdp,
}

/// Whether an answer is a Kerberos message that settles the matter, for good or bad.
fn usable(answer: Vec<u8>) -> Result<Answer, AttemptError> {
    const AS_REP: u8 = 0x6b;
    const TGS_REP: u8 = 0x6d;
    const KRB_ERROR: u8 = 0x7e;
    let garbage = AttemptError::Garbage { length: answer.len() };
    match answer.first() {
        Some(&(AS_REP | TGS_REP)) => Ok(Answer::Message(answer)),
        Some(&KRB_ERROR) => match hop_kerberos::KdcError::parse(&answer) {
            Err(_) => Err(garbage),
            Ok(error) if error.code == ErrorCode::KRB_ERR_RESPONSE_TOO_BIG => Ok(Answer::TooBigForUdp),
            Ok(error) if error.code == ErrorCode::KDC_ERR_SVC_UNAVAILABLE => Err(AttemptError::Unavailable),
            Ok(_) => Ok(Answer::Message(answer)),
        },
        _ => Err(garbage),
    }
}
