//! TCP connections, to hosts and to proxies.

use std::{io, time::Duration};

use tokio::{net::TcpStream, time::timeout};

/// Why there is no connection; whose it was to be, the caller says.
#[derive(Debug)]
pub(crate) enum DialError {
    NameResolution(io::Error),
    Refused,
    Connect(io::Error),
    TimedOut(&'static str),
}

/// Tries the addresses of a host one after the other, each for as long as `limit`.
pub(crate) async fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
    let addresses: Vec<_> = timeout(limit, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| DialError::TimedOut("resolve"))?
        .map_err(DialError::NameResolution)?
        .collect();
    let mut last = DialError::NameResolution(io::Error::other("the name has no address"));
    for address in addresses {
        last = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) if source.kind() == io::ErrorKind::ConnectionRefused => DialError::Refused,
            Ok(Err(source)) => DialError::Connect(source),
            Err(_) => DialError::TimedOut("accept a connection"),
        };
    }
    Err(last)
}
