//! KDC proxies ([MS-KKDCP]): requests to KDCs through HTTPS, for machines that reach no KDC.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hop_kerberos::config::KdcAddress;
use hop_kerberos::proxy::{CONTENT_TYPE, unwrap, wrap};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::AttemptError;
use crate::transport::{MAX_MESSAGE, Timing};

/// Asks the proxy for an answer of some KDC of the realm. Its certificate is checked against `anchors` (values of
/// `http_anchors`), or against the system's where there are none.
pub(crate) async fn exchange(
    proxy: &KdcAddress,
    realm: &str,
    request: &[u8],
    anchors: &[String],
    timing: Timing,
) -> Result<Vec<u8>, AttemptError> {
    let body = wrap(request, realm).map_err(AttemptError::Proxy)?;
    let anchors = anchors.to_vec();
    let roots =
        tokio::task::spawn_blocking(move || roots(&anchors)).await.map_err(std::io::Error::other)??;
    let connecting = TcpStream::connect((proxy.host.as_str(), proxy.port));
    let stream = timeout(timing.tcp_connect, connecting)
        .await
        .map_err(|_| AttemptError::Timeout(timing.tcp_connect))??;
    let asking = async {
        let stream =
            connector(roots)?.connect(server_name(proxy)?, stream).await.map_err(AttemptError::Tls)?;
        ask(proxy, stream, body).await
    };
    let answer =
        timeout(timing.tcp_answer, asking).await.map_err(|_| AttemptError::Timeout(timing.tcp_answer))??;
    unwrap(&answer).map(|(message, _)| message).map_err(AttemptError::Proxy)
}

async fn ask(
    proxy: &KdcAddress,
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    body: Vec<u8>,
) -> Result<Vec<u8>, AttemptError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let host = match proxy.host.contains(':') {
        true => format!("[{}]:{}", proxy.host, proxy.port),
        false => format!("{}:{}", proxy.host, proxy.port),
    };
    let request = Request::builder()
        .method(Method::POST)
        .uri(&proxy.path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .header(header::CACHE_CONTROL, "no-cache")
        .body(Full::new(Bytes::from(body)))
        .map_err(std::io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(AttemptError::Status(response.status().as_u16()));
        }
        let body =
            Limited::new(response.into_body(), MAX_MESSAGE).collect().await.map_err(std::io::Error::other)?;
        Ok(body.to_bytes().to_vec())
    };
    let answer = answer.await;
    connection.abort();
    answer
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, AttemptError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AttemptError::Tls(std::io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn server_name(proxy: &KdcAddress) -> Result<ServerName<'static>, AttemptError> {
    ServerName::try_from(proxy.host.clone())
        .map_err(|error| AttemptError::Name(std::io::Error::new(std::io::ErrorKind::InvalidInput, error)))
}

/// The certificates of `FILE:PATH`, `DIR:PATH` and `ENV:VARIABLE` (which holds one of the others), or the system's.
fn roots(anchors: &[String]) -> Result<RootCertStore, AttemptError> {
    let mut roots = RootCertStore::empty();
    if anchors.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reason = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
            return Err(AttemptError::Anchors(format!("no certificates of the system's: {reason}")));
        }
        return Ok(roots);
    }
    for anchor in anchors {
        add(&mut roots, anchor, true)
            .map_err(|reason| AttemptError::Anchors(format!("{anchor}: {reason}")))?;
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, anchor: &str, may_be_variable: bool) -> Result<(), String> {
    match anchor.split_once(':') {
        Some(("FILE", path)) => add_file(roots, Path::new(path)),
        Some(("DIR", path)) => {
            let entries = std::fs::read_dir(path).map_err(|error| error.to_string())?;
            let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            files.retain(|path| path.is_file());
            files.sort();
            // What else lies there is no certificate of ours.
            files.iter().for_each(|path| drop(add_file(roots, path)));
            if roots.is_empty() { Err("it has no certificates".to_owned()) } else { Ok(()) }
        }
        Some(("ENV", name)) if may_be_variable => {
            let value = std::env::var(name).map_err(|error| error.to_string())?;
            add(roots, &value, false)
        }
        _ => Err("expected FILE:PATH, DIR:PATH or ENV:VARIABLE".to_owned()),
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("it has no certificates".to_owned()) } else { Ok(()) }
}
