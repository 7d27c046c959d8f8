//! TLS for HTTPS: whom to trust, and what binds authentication to the connection.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hop_auth::{parse_fingerprint, tls_server_end_point};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::security::Channel;

/// Which certificates of servers are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that an authority of this system vouches for.
    #[default]
    System,
    /// Those that an authority in this PEM file vouches for, and no other.
    Authorities(PathBuf),
    /// The one whose SHA-256 over the whole certificate this is; name and dates do not matter.
    Pinned([u8; 32]),
    /// One for the host's name, whoever vouches for it (`SkipCACheck`).
    AnyAuthority,
    /// One for any name, that an authority vouches for: of this PEM file, or of this system (`SkipCNCheck`).
    AnyName(Option<PathBuf>),
    /// Every one: whoever answers is believed to be the host.
    Anything,
}

/// TLS of the connections to a host.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Which servers are trusted.
    pub trust: Trust,
    /// This client's certificate.
    pub certificate: Option<ClientCertificate>,
}

/// A certificate that proves who the client is: PEM files, which may be one and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and the chain above it.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// A file that cannot be read or has nothing of use.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// This system has no list of authorities.
    #[error("no certificate authorities on this system: {0}")]
    NoAuthorities(String),
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// A host name that no certificate can have.
    #[error("not a host name: {0}")]
    Name(String),
}

impl Trust {
    /// Reads a pin: see [`parse_fingerprint`].
    pub fn parse_pin(text: &str) -> Option<Self> {
        parse_fingerprint(text).map(Self::Pinned)
    }

    /// The authorities, where trust goes by them.
    ///
    /// # Errors
    /// They cannot be read, or there are none.
    pub fn roots(&self) -> Result<Option<Arc<RootCertStore>>, TlsSetupError> {
        let mut roots = RootCertStore::empty();
        match self {
            Trust::Pinned(_) | Trust::AnyAuthority | Trust::Anything => return Ok(None),
            Trust::System | Trust::AnyName(None) => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                    return Err(TlsSetupError::NoAuthorities(errors.join("; ")));
                }
            }
            Trust::Authorities(path) | Trust::AnyName(Some(path)) => {
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
            }
        }
        Ok(Some(Arc::new(roots)))
    }

    /// Whether a server that passes has proved its name.
    pub fn proves_name(&self) -> bool {
        matches!(self, Trust::System | Trust::Authorities(_) | Trust::Pinned(_))
    }
}

impl TlsOptions {
    /// What makes connections.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub(crate) fn connector(&self) -> Result<TlsConnector, TlsSetupError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?;
        let builder = match (&self.trust, self.trust.roots()?) {
            (Trust::System | Trust::Authorities(_), Some(roots)) => builder.with_root_certificates(roots),
            (trust, roots) => {
                let checks = Checks::new(trust, roots, &provider)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(checks))
            }
        };
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|e| file(&own.key, &e))?;
                builder.with_client_auth_cert(certificates(&own.chain)?, key)?
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Makes the TLS connection and says what authentication should know of it.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &TlsConnector,
    trust: &Trust,
    host: &str,
    stream: S,
) -> io::Result<(TlsStream<S>, Channel)> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::other(e.to_string()))?;
    let stream = connector.connect(name, stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let bindings = match certificate {
        Some(certificate) => tls_server_end_point(certificate).map_err(io::Error::other)?,
        None => None,
    };
    Ok((stream, Channel { encrypted: true, proves_name: trust.proves_name(), bindings }))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|e| file(path, &e))?
        .collect::<Result<_, _>>()
        .map_err(|e| file(path, &e))?;
    if found.is_empty() { Err(file(path, &"it has no certificate")) } else { Ok(found) }
}

fn file(path: &Path, reason: &dyn fmt::Display) -> TlsSetupError {
    TlsSetupError::File { path: path.display().to_string(), reason: reason.to_string() }
}

/// Fewer checks than usual, or one of another kind; the certificate must have signed the handshake in any case.
#[derive(Debug)]
struct Checks {
    pin: Option<[u8; 32]>,
    /// Whether an authority vouches for it.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it is for the host's name.
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Checks {
    fn new(
        trust: &Trust,
        roots: Option<Arc<RootCertStore>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsSetupError> {
        let verifier = |roots| {
            let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            built.map_err(|e| TlsSetupError::NoAuthorities(e.to_string()))
        };
        Ok(Self {
            pin: match trust {
                Trust::Pinned(pin) => Some(*pin),
                _ => None,
            },
            chain: roots.map(verifier).transpose()?,
            name: *trust == Trust::AnyAuthority,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint: [u8; 32] = Sha256::digest(end_entity).into();
        if self.pin.is_some_and(|pin| pin != fingerprint) {
            let got: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(rustls::Error::General(format!("the certificate is not the pinned one but {got}")));
        }
        if let Some(chain) = &self.chain {
            use rustls::{CertificateError as Reason, Error::InvalidCertificate};
            match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                // The name is looked at last, and does not matter here.
                Ok(_)
                | Err(InvalidCertificate(Reason::NotValidForName | Reason::NotValidForNameContext { .. })) => {
                }
                Err(error) => return Err(error),
            }
        }
        if self.name {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins() {
        let hex = "00".repeat(31) + "fF";
        let mut pin = [0; 32];
        pin[31] = 255;
        assert_eq!(Trust::parse_pin(&hex), Some(Trust::Pinned(pin)));
        let colons: Vec<String> =
            hex.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).into_owned()).collect();
        assert_eq!(Trust::parse_pin(&colons.join(":")), Some(Trust::Pinned(pin)));
        assert_eq!(Trust::parse_pin("00"), None);
        assert_eq!(Trust::parse_pin(&"0g".repeat(32)), None);
    }
}
