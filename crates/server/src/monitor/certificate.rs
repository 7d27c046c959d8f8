//! The server's certificate for HTTPS and CredSSP: made on first use, or the administrator's; its key stays here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::SignatureScheme;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use sha2::{Digest as _, Sha256};

use super::ServerError;
use crate::config::ServerConfig;
use crate::ipc::ServerCertificate;

/// How long a certificate that the server makes for itself is good, in days.
const OWN_DAYS: i64 = 5 * 365;
/// The schemes that a key is asked for, the preferred ones first.
const SCHEMES: [SignatureScheme; 7] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
];

/// The certificate in its file, read again when the file changes.
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    modified: Modified,
    current: Loaded,
    /// Handshakes that began before a change end with the key they began with.
    previous: Option<Loaded>,
}

struct Loaded {
    public: ServerCertificate,
    key: Arc<dyn SigningKey>,
}

impl Certificate {
    /// Loads the certificate of the configuration, or makes one for these host names.
    pub fn open(config: &ServerConfig, names: &[String]) -> Result<Self, ServerError> {
        let chain =
            config.certificate.clone().or_else(default_path).ok_or_else(|| ServerError::Certificate {
                path: PathBuf::new(),
                problem: "say certificate = … in the configuration: there is no HOME to keep one in"
                    .to_owned(),
            })?;
        let key = config.certificate_key.clone().unwrap_or_else(|| chain.clone());
        let failed = |problem: String| ServerError::Certificate { path: chain.clone(), problem };
        if config.certificate.is_none() && !chain.exists() {
            make(&chain, names).map_err(|e| failed(format!("cannot be made: {e}")))?;
            tracing::info!(path = %chain.display(), "made a certificate for this server");
        }
        let modified = modified(&chain, &key);
        let current = load(&chain, &key, 1).map_err(failed)?;
        let certificate = Self { chain, key, modified, current, previous: None };
        certificate.announce();
        Ok(certificate)
    }

    /// The certificate, if it is not the known one.
    pub fn newer_than(&mut self, known: u32) -> Option<&ServerCertificate> {
        self.reload_if_changed();
        (self.current.public.generation != known).then_some(&self.current.public)
    }

    /// Signs for TLS.
    ///
    /// # Errors
    /// Another key, a scheme that it does not have, or text that is no handshake's.
    pub fn sign(&self, generation: u32, scheme: u16, message: &[u8]) -> Result<Vec<u8>, String> {
        if !is_handshake(message) {
            return Err("that is nothing that a server signs in TLS".to_owned());
        }
        let loaded = std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|loaded| loaded.public.generation == generation)
            .ok_or("the certificate has changed")?;
        let scheme = SignatureScheme::from(scheme);
        let signer = loaded.key.choose_scheme(&[scheme]).ok_or("the key has no such signature scheme")?;
        signer.sign(message).map_err(|e| e.to_string())
    }

    fn reload_if_changed(&mut self) {
        let modified = modified(&self.chain, &self.key);
        if modified == self.modified {
            return;
        }
        match load(&self.chain, &self.key, self.current.public.generation.wrapping_add(1).max(1)) {
            Ok(loaded) => {
                self.modified = modified;
                self.previous = Some(std::mem::replace(&mut self.current, loaded));
                tracing::info!(path = %self.chain.display(), "read the certificate again");
                self.announce();
            }
            // It may be in the middle of being replaced: the old one stays, the next connection tries again.
            Err(problem) => {
                tracing::warn!(path = %self.chain.display(), problem, "cannot read the certificate again");
            }
        }
    }

    fn announce(&self) {
        let own = self.current.public.chain.first();
        let print = own.map(|der| hex(&Sha256::digest(der))).unwrap_or_default();
        tracing::info!("the SHA-256 fingerprint of the certificate is {print}");
    }
}

/// Reads certificates in DER from a PEM file.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| e.to_string())?;
    if all.is_empty() {
        return Err("has no certificate".to_owned());
    }
    Ok(all.iter().map(|der| der.to_vec()).collect())
}

/// Bytes as people compare them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}

fn load(chain: &Path, key: &Path, generation: u32) -> Result<Loaded, String> {
    let certificates = read_certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("private key {}: {e}", key.display()))?;
    let key = ring::sign::any_supported_type(&key).map_err(|e| format!("private key: {e}"))?;
    let owned = certificates.iter().map(|der| CertificateDer::from(der.as_slice()).into_owned()).collect();
    // A key that belongs to another certificate would only be noticed by clients.
    rustls::sign::CertifiedKey::new(owned, key.clone())
        .keys_match()
        .map_err(|e| format!("certificate and private key do not belong together: {e}"))?;
    let schemes = SCHEMES.into_iter().filter(|scheme| key.choose_scheme(&[*scheme]).is_some());
    let public = ServerCertificate {
        generation,
        chain: certificates,
        algorithm: key.algorithm().into(),
        schemes: schemes.map(u16::from).collect(),
    };
    Ok(Loaded { public, key })
}

/// What a server signs: in TLS 1.3 a hash behind a prefix (RFC 8446 section 4.4.3), in TLS 1.2 both random numbers and
/// a named curve with a point (RFC 8422 section 5.4).
fn is_handshake(message: &[u8]) -> bool {
    const PREFIX: &[u8] = b"TLS 1.3, server CertificateVerify\0";
    let hash = message.strip_prefix(&[b' '; 64]).and_then(|rest| rest.strip_prefix(PREFIX));
    if let Some(hash) = hash {
        return matches!(hash.len(), 32 | 48);
    }
    match message.get(64..) {
        Some([3, _, _, length, point @ ..]) => point.len() == usize::from(*length),
        _ => false,
    }
}

fn make(path: &Path, names: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let mut parameters = rcgen::CertificateParams::new(names.to_vec())?;
    let name = names.first().cloned().unwrap_or_default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let now = rcgen::date_time_ymd(1970, 1, 1)
        + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // A little back, for clients whose clocks are behind.
    parameters.not_before = now - std::time::Duration::from_secs(86_400);
    parameters.not_after = now + std::time::Duration::from_secs(86_400 * OWN_DAYS.unsigned_abs());
    let key = rcgen::KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let text = zeroize::Zeroizing::new(format!("{}{}", certificate.pem(), key.serialize_pem()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    hop_kerberos_io::replace_private_file_synced(path, text.as_bytes())?;
    Ok(())
}

fn default_path() -> Option<PathBuf> {
    if nix::unistd::Uid::effective().is_root() {
        return Some(PathBuf::from("/var/lib/hop/certificate.pem"));
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
    Some(state?.join("hop/certificate.pem"))
}

/// When chain and key were written.
type Modified = [Option<SystemTime>; 2];

fn modified(chain: &Path, key: &Path) -> Modified {
    [chain, key].map(|path| fs::metadata(path).ok()?.modified().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        [[b' '; 64].as_slice(), b"TLS 1.3, server CertificateVerify\0", &[7; 32]].concat()
    }

    #[test]
    fn only_handshakes_are_signed() {
        assert!(is_handshake(&message()));
        let old = [[1; 64].as_slice(), &[3, 0, 29, 32], &[4; 32]].concat();
        assert!(is_handshake(&old));
        for other in [b"".as_slice(), &old[..old.len() - 1], &message()[..90], &[0; 200]] {
            assert!(!is_handshake(other));
        }
    }

    fn config(path: &Path) -> ServerConfig {
        ServerConfig { certificate: Some(path.to_owned()), ..ServerConfig::default() }
    }

    #[test]
    fn a_new_file_is_taken_and_the_old_key_still_signs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/certificate.pem");
        let names = ["servera.hop.test".to_owned(), "servera".to_owned()];
        make(&path, &names).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
        let mut certificate = Certificate::open(&config(&path), &[]).unwrap();
        let first = certificate.newer_than(0).unwrap().clone();
        assert!(certificate.newer_than(first.generation).is_none());
        let scheme = first.schemes[0];
        assert!(!certificate.sign(first.generation, scheme, &message()).unwrap().is_empty());
        assert!(certificate.sign(first.generation, 0x0804, &message()).unwrap_err().contains("scheme"));

        make(&path, &names).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::open(&path).unwrap().set_modified(later).unwrap();
        let second = certificate.newer_than(first.generation).unwrap().clone();
        assert_ne!(second.chain, first.chain);
        assert!(certificate.sign(first.generation, scheme, &message()).is_ok());
        assert!(certificate.sign(second.generation, scheme, &message()).is_ok());
        assert!(certificate.sign(77, scheme, &message()).is_err());
        // Garbage leaves what was.
        fs::write(&path, "nothing").unwrap();
        assert!(certificate.newer_than(second.generation).is_none());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.pem"), dir.path().join("b.pem"));
        make(&a, &["a".to_owned()]).unwrap();
        make(&b, &["b".to_owned()]).unwrap();
        let mixed = ServerConfig { certificate_key: Some(b), ..config(&a) };
        let error = Certificate::open(&mixed, &[]).err().unwrap().to_string();
        assert!(error.contains("do not belong together"), "{error}");
        let none = Certificate::open(&config(&dir.path().join("none.pem")), &[]).err().unwrap().to_string();
        assert!(none.contains("none.pem"), "{none}");
    }
}
