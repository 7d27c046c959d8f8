//! TLS as CredSSP needs it: bytes in, bytes out.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme, SupportedProtocolVersion,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    time_provider::TimeProvider,
};

use super::CredSspError;
use crate::{ContextError, SecurityContext, Wrapped};

/// TLS that failed, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TLS: {0}")]
pub struct TlsError(pub String);

/// Whether the server's certificate is one that clients trust. CredSSP does not depend on it: authentication inside
/// confirms the public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateTrust {
    /// A trusted authority vouches for the host's name.
    Verified,
    /// It does not verify, and why.
    NotVerified(String),
    /// Nobody looked.
    NotChecked,
}

/// One end of a TLS connection without a socket.
pub trait TlsPipe: Send + fmt::Debug {
    /// Takes TLS bytes of the peer and returns the plaintext that is whole.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn receive(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TlsError>;

    /// Encrypts plaintext; [`take_output`](Self::take_output) has the result.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn send(&mut self, plaintext: &[u8]) -> Result<(), TlsError>;

    /// The TLS bytes that wait for the peer.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn take_output(&mut self) -> Result<Vec<u8>, TlsError>;

    /// The handshake is not over yet.
    fn is_handshaking(&self) -> bool;

    /// The server's certificate in DER: the peer's at the client, its own at the server.
    fn server_certificate(&self) -> Option<&[u8]>;

    /// How many bytes a record has after the ciphertext, as Windows counts them: 16 with AES-GCM in TLS 1.2, 17 in
    /// TLS 1.3.
    fn trailer_length(&self) -> usize;

    /// Whether the server's certificate is trusted; at the client.
    fn certificate_trust(&self) -> CertificateTrust {
        CertificateTrust::NotChecked
    }
}

/// A TLS connection that seals the bodies of WinRM.
#[derive(Debug)]
pub struct TlsContext {
    pipe: Box<dyn TlsPipe>,
}

impl TlsContext {
    pub(super) fn new(pipe: Box<dyn TlsPipe>) -> Self {
        Self { pipe }
    }
}

impl SecurityContext for TlsContext {
    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, ContextError> {
        self.pipe.send(plaintext).map_err(CredSspError::from)?;
        let mut header = self.pipe.take_output().map_err(CredSspError::from)?;
        // WinRM's header is as long as the trailer, but holds the beginning of the record.
        let body = header.split_off(self.pipe.trailer_length().min(header.len()));
        Ok(Wrapped { header, body, padding: 0 })
    }

    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.unwrap_token(&[header, body].concat())
    }

    fn unwrap_token(&mut self, token: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(self.pipe.receive(token).map_err(CredSspError::from)?)
    }

    fn get_mic(&mut self, _: &[u8]) -> Result<Vec<u8>, ContextError> {
        Err(CredSspError::NoSignatures.into())
    }

    fn verify_mic(&mut self, _: &[u8], _: &[u8]) -> Result<(), ContextError> {
        Err(CredSspError::NoSignatures.into())
    }
}

/// rustls as a [`TlsPipe`].
pub struct RustlsPipe {
    connection: Connection,
    /// The server's own certificate; the client's connection has the peer's.
    own: Option<CertificateDer<'static>>,
    trust: Arc<OnceLock<CertificateTrust>>,
}

impl fmt::Debug for RustlsPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RustlsPipe")
            .field("version", &self.connection.protocol_version())
            .finish_non_exhaustive()
    }
}

/// The client's end. The certificate is not required to verify: CredSSP confirms its key otherwise. With `roots` it
/// is tried, so that [`TlsPipe::certificate_trust`] can tell.
///
/// # Errors
/// A host name that is none.
pub fn client(
    host: &str,
    roots: Option<Arc<RootCertStore>>,
    now: SystemTime,
) -> Result<RustlsPipe, TlsError> {
    client_with_versions(host, roots, now, rustls::DEFAULT_VERSIONS)
}

/// [`client`] with the versions of TLS that may be spoken.
///
/// # Errors
/// A host name that is none.
pub fn client_with_versions(
    host: &str,
    roots: Option<Arc<RootCertStore>>,
    now: SystemTime,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<RustlsPipe, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = Arc::new(OnceLock::new());
    let verifier = Reporting::new(roots, &provider, Arc::clone(&trust))?;
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(FixedTime(now)))
        .with_protocol_versions(versions)
        .map_err(said)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // Every connection shows its certificate, so that there is a key to confirm.
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| TlsError(error.to_string()))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(said)?;
    Ok(RustlsPipe { connection: connection.into(), own: None, trust })
}

/// The server's certificate with its key, for many connections.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl ServerTls {
    /// From a certificate chain, the server's own first, and its private key.
    ///
    /// # Errors
    /// No certificate, or a key that does not fit.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        Self::with_versions(chain, key, rustls::DEFAULT_VERSIONS)
    }

    /// [`new`](Self::new) with the versions of TLS that may be spoken.
    ///
    /// # Errors
    /// No certificate, or a key that does not fit.
    pub fn with_versions(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, TlsError> {
        let certificate = chain.first().cloned().ok_or_else(|| TlsError("no certificate".to_owned()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(said)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(said)?;
        Ok(Self::from_config(Arc::new(config), certificate))
    }

    /// From a configuration and the certificate that it shows.
    pub fn from_config(config: Arc<ServerConfig>, certificate: CertificateDer<'static>) -> Self {
        Self { config, certificate }
    }

    /// The server's end of a new connection.
    ///
    /// # Errors
    /// None in practice.
    pub fn connection(&self) -> Result<RustlsPipe, TlsError> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(said)?;
        Ok(RustlsPipe {
            connection: connection.into(),
            own: Some(self.certificate.clone()),
            trust: Arc::default(),
        })
    }
}

impl TlsPipe for RustlsPipe {
    fn receive(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, TlsError> {
        let mut plaintext = Vec::new();
        while !bytes.is_empty() {
            if self.connection.read_tls(&mut bytes).map_err(io_said)? == 0 {
                return Err(TlsError("the peer closed the connection".to_owned()));
            }
            let state = self.connection.process_new_packets().map_err(said)?;
            let start = plaintext.len();
            plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            let rest = plaintext.get_mut(start..).unwrap_or_default();
            self.connection.reader().read_exact(rest).map_err(io_said)?;
        }
        Ok(plaintext)
    }

    fn send(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        self.connection.set_buffer_limit(None);
        self.connection.writer().write_all(plaintext).map_err(io_said)
    }

    fn take_output(&mut self) -> Result<Vec<u8>, TlsError> {
        let mut out = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut out).map_err(io_said)?;
        }
        Ok(out)
    }

    fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    fn server_certificate(&self) -> Option<&[u8]> {
        let peer = || self.connection.peer_certificates().and_then(<[_]>::first);
        self.own.as_ref().or_else(peer).map(AsRef::as_ref)
    }

    fn trailer_length(&self) -> usize {
        match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => 16,
            _ => 17,
        }
    }

    fn certificate_trust(&self) -> CertificateTrust {
        self.trust.get().cloned().unwrap_or(CertificateTrust::NotChecked)
    }
}

fn said(error: rustls::Error) -> TlsError {
    TlsError(error.to_string())
}

fn io_said(error: io::Error) -> TlsError {
    TlsError(error.to_string())
}

#[derive(Debug)]
struct FixedTime(SystemTime);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Lets every certificate pass that signed the handshake, and reports whether it is a trusted one.
#[derive(Debug)]
struct Reporting {
    roots: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    trust: Arc<OnceLock<CertificateTrust>>,
}

impl Reporting {
    fn new(
        roots: Option<Arc<RootCertStore>>,
        provider: &Arc<CryptoProvider>,
        trust: Arc<OnceLock<CertificateTrust>>,
    ) -> Result<Self, TlsError> {
        let verifier =
            |roots| WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let roots = roots.map(verifier).transpose().map_err(|error| TlsError(error.to_string()))?;
        Ok(Self { roots, algorithms: provider.signature_verification_algorithms, trust })
    }
}

impl ServerCertVerifier for Reporting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let trust = match &self.roots {
            None => CertificateTrust::NotChecked,
            Some(verifier) => {
                match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                {
                    Ok(_) => CertificateTrust::Verified,
                    Err(error) => CertificateTrust::NotVerified(error.to_string()),
                }
            }
        };
        let _ = self.trust.set(trust);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
