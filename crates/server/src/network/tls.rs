//! TLS of the network process: the certificate is the monitor's, and so is the key, which signs there.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hop_auth::credssp::tls::ServerTls;
use hop_auth::tls_server_end_point;
use hop_kerberos::gss::ChannelBindings;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureAlgorithm, SignatureScheme};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;

use super::monitor::{MonitorClient, MonitorError};
use crate::client_certificate::{self, AuthoritiesError};
use crate::ipc::ServerCertificate;

/// The server's end of TLS.
pub(crate) struct Tls {
    monitor: MonitorClient,
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    current: Mutex<Option<Current>>,
}

/// What new connections are made of.
#[derive(Clone)]
pub(crate) struct Current {
    generation: u32,
    /// HTTPS.
    pub https: TlsAcceptor,
    /// The TLS inside CredSSP.
    pub credssp: ServerTls,
    /// What binds authentication to HTTPS.
    pub bindings: Option<ChannelBindings>,
}

/// TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    CredSsp(#[from] hop_auth::credssp::TlsError),
    #[error("the server's certificate cannot be read: {0}")]
    Certificate(#[from] hop_auth::DerError),
    #[error("the authorities of clients' certificates: {0}")]
    Authorities(#[from] AuthoritiesError),
}

impl Tls {
    /// With the authorities whose certificates log users in, in DER; none for none.
    pub fn new(monitor: MonitorClient, authorities: &[Vec<u8>]) -> Result<Self, TlsError> {
        let authorities = match authorities.is_empty() {
            true => None,
            false => Some(Arc::new(Lenient(client_certificate::verifier(authorities)?)) as _),
        };
        Ok(Self { monitor, authorities, current: Mutex::default() })
    }

    /// What a new connection takes; the monitor looks whether the certificate is still the same.
    pub async fn current(&self) -> Result<Current, TlsError> {
        let known = self.lock().clone();
        let generation = known.as_ref().map_or(0, |known| known.generation);
        match (self.monitor.server_certificate(generation).await?, known) {
            (None, Some(known)) => Ok(known),
            (None, None) => Err(MonitorError::Unexpected.into()),
            (Some(certificate), _) => {
                let current = self.make(&certificate)?;
                *self.lock() = Some(current.clone());
                Ok(current)
            }
        }
    }

    fn make(&self, certificate: &ServerCertificate) -> Result<Current, TlsError> {
        let chain: Vec<_> =
            certificate.chain.iter().map(|der| CertificateDer::from(der.as_slice()).into_owned()).collect();
        let key = RemoteKey {
            monitor: self.monitor.clone(),
            runtime: Handle::current(),
            generation: certificate.generation,
            algorithm: certificate.algorithm.into(),
            schemes: certificate.schemes.iter().map(|s| SignatureScheme::from(*s)).collect(),
        };
        let own = chain.first().cloned().ok_or(rustls::Error::NoCertificatesPresented)?;
        let certified = Arc::new(CertifiedKey::new(chain, Arc::new(key)));
        let config = |verifier: Option<Arc<dyn ClientCertVerifier>>| -> Result<ServerConfig, rustls::Error> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder =
                ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            let builder = match verifier {
                None => builder.with_no_client_auth(),
                Some(verifier) => builder.with_client_cert_verifier(verifier),
            };
            Ok(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.clone()))))
        };
        Ok(Current {
            generation: certificate.generation,
            https: TlsAcceptor::from(Arc::new(config(self.authorities.clone())?)),
            bindings: tls_server_end_point(&own)?,
            credssp: ServerTls::from_config(Arc::new(config(None)?), own),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A certificate that does not verify is no reason to break the connection off: its owner may have meant it for
/// another server, and authenticates otherwise. Whoever wants to log in with it is refused by the monitor.
#[derive(Debug)]
struct Lenient(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Lenient {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The monitor's key.
#[derive(Clone)]
struct RemoteKey {
    monitor: MonitorClient,
    runtime: Handle,
    generation: u32,
    algorithm: SignatureAlgorithm,
    schemes: Vec<SignatureScheme>,
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKey").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner { key: self.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Debug)]
struct RemoteSigner {
    key: RemoteKey,
    scheme: SignatureScheme,
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let key = &self.key;
        let signing = key.monitor.sign(key.generation, self.scheme.into(), message.to_vec());
        // rustls wants the signature at once; other tasks move to another thread meanwhile.
        tokio::task::block_in_place(|| key.runtime.block_on(signing))
            .map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
