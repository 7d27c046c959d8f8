//! The little of X.509 (RFC 5280) that binding to a TLS connection takes.

use hop_kerberos::gss::ChannelBindings;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::der::{self, DerError, Reader};

/// The channel bindings `tls-server-end-point` of a connection (RFC 5929 section 4): the server's certificate in DER,
/// hashed by its signature's hash function, MD5 and SHA-1 replaced by SHA-256.
///
/// `Ok(None)` where the signature has no hash function of its own (Ed25519, Ed448), for which the binding is not
/// defined.
///
/// # Errors
/// Bytes that are no certificate.
pub fn tls_server_end_point(certificate: &[u8]) -> Result<Option<ChannelBindings>, DerError> {
    let Some(hash) = signature_hash(certificate)? else { return Ok(None) };
    let hash = match hash {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    let application_data = [b"tls-server-end-point:".as_slice(), &hash].concat();
    Ok(Some(ChannelBindings { application_data, ..ChannelBindings::default() }))
}

enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

fn signature_hash(certificate: &[u8]) -> Result<Option<Hash>, DerError> {
    let mut certificate = Reader::new(der::only(certificate, der::SEQUENCE)?);
    certificate.element(der::SEQUENCE)?;
    let mut algorithm = Reader::new(certificate.element(der::SEQUENCE)?);
    let oid = algorithm.element(der::OBJECT_IDENTIFIER)?;
    // RSASSA-PSS names its hash function in its parameters (RFC 4055 section 3.1); without, it is SHA-1.
    if oid == [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] {
        let mut parameters = Reader::new(algorithm.element(der::SEQUENCE)?);
        if parameters.peek() != Some(der::context(0)) {
            return Ok(Some(Hash::Sha256));
        }
        let (_, content) = parameters.any()?;
        let hash = Reader::new(der::only(content, der::SEQUENCE)?).element(der::OBJECT_IDENTIFIER)?;
        return Ok(match hash {
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last] => sha2(*last),
            _ => Some(Hash::Sha256),
        });
    }
    Ok(match oid {
        // 1.2.840.113549.1.1: MD5 and SHA-1 with RSA, then SHA-2 with RSA.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 4 | 5] => Some(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 11] => Some(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 12] => Some(Hash::Sha384),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 13] => Some(Hash::Sha512),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 14] => Some(Hash::Sha224),
        // 1.2.840.10045.4: ECDSA with SHA-1, then with SHA-2.
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Some(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 1] => Some(Hash::Sha224),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 2] => Some(Hash::Sha256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 3] => Some(Hash::Sha384),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 4] => Some(Hash::Sha512),
        _ => None,
    })
}

/// The last arc of 2.16.840.1.101.3.4.2.
fn sha2(arc: u8) -> Option<Hash> {
    match arc {
        1 => Some(Hash::Sha256),
        2 => Some(Hash::Sha384),
        3 => Some(Hash::Sha512),
        4 => Some(Hash::Sha224),
        _ => None,
    }
}

/// The user principal name of a certificate: the one subject alternative name of Microsoft's kind
/// (1.3.6.1.4.1.311.20.2.3). `Ok(None)` where there is none, or more than one.
///
/// # Errors
/// Bytes that are no certificate.
pub fn user_principal_name(certificate: &[u8]) -> Result<Option<String>, DerError> {
    const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    const USER_PRINCIPAL_NAME: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03];
    let mut outer = Reader::new(der::only(certificate, der::SEQUENCE)?);
    let mut fields = Reader::new(outer.element(der::SEQUENCE)?);
    let mut extensions = None;
    while fields.peek().is_some() {
        let (tag, content) = fields.any()?;
        if tag == der::context(3) {
            extensions = Some(der::only(content, der::SEQUENCE)?);
        }
    }
    let mut found = Vec::new();
    let mut extensions = Reader::new(extensions.unwrap_or_default());
    while extensions.peek().is_some() {
        let mut extension = Reader::new(extensions.element(der::SEQUENCE)?);
        if extension.element(der::OBJECT_IDENTIFIER)? != ALTERNATIVE_NAME {
            continue;
        }
        if extension.peek() == Some(BOOLEAN) {
            extension.any()?;
        }
        let mut names = Reader::new(der::only(extension.element(der::OCTET_STRING)?, der::SEQUENCE)?);
        while names.peek().is_some() {
            let (tag, content) = names.any()?;
            // otherName is an implicit SEQUENCE.
            if tag != der::context(0) {
                continue;
            }
            let mut other = Reader::new(content);
            if other.element(der::OBJECT_IDENTIFIER)? == USER_PRINCIPAL_NAME {
                let text = der::only(other.element(der::context(0))?, UTF8_STRING)?;
                found.push(std::str::from_utf8(text).map_err(|_| DerError::Value)?.to_owned());
            }
        }
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// BOOLEAN.
const BOOLEAN: u8 = 0x01;
/// UTF8String.
const UTF8_STRING: u8 = 0x0c;

/// The SubjectPublicKey of a certificate: the content of the BIT STRING, without the algorithm.
pub(crate) fn subject_public_key(certificate: &[u8]) -> Result<&[u8], DerError> {
    let mut certificate = Reader::new(der::only(certificate, der::SEQUENCE)?);
    let mut fields = Reader::new(certificate.element(der::SEQUENCE)?);
    if fields.peek() == Some(der::context(0)) {
        fields.any()?;
    }
    fields.element(der::INTEGER)?;
    // signature, issuer, validity, subject
    for _ in 0..4 {
        fields.element(der::SEQUENCE)?;
    }
    let mut info = Reader::new(fields.element(der::SEQUENCE)?);
    info.element(der::SEQUENCE)?;
    let bits = info.element(der::BIT_STRING)?;
    info.end()?;
    match bits.split_first() {
        Some((0, key)) => Ok(key),
        _ => Err(DerError::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(certificate: &[u8]) -> Option<usize> {
        let bindings = tls_server_end_point(certificate).unwrap()?;
        let hash = bindings.application_data.strip_prefix(b"tls-server-end-point:").unwrap();
        let expected = match hash.len() {
            32 => Sha256::digest(certificate).to_vec(),
            48 => Sha384::digest(certificate).to_vec(),
            _ => Sha512::digest(certificate).to_vec(),
        };
        assert_eq!(hash, expected);
        Some(hash.len() * 8)
    }

    /// Certificates that Python's cryptography and OpenSSL made.
    #[test]
    fn the_hash_follows_the_signature() {
        assert_eq!(sha(include_bytes!("../tests/corpus/certificate/rsa_sha1")), Some(256));
        assert_eq!(sha(include_bytes!("../tests/corpus/certificate/rsa_sha256")), Some(256));
        assert_eq!(sha(include_bytes!("../tests/corpus/certificate/rsa_pss_sha384")), Some(384));
        assert_eq!(sha(include_bytes!("../tests/corpus/certificate/rsa_sha512")), Some(512));
        assert_eq!(sha(include_bytes!("../tests/corpus/certificate/ecdsa_sha384")), Some(384));
        assert_eq!(sha(include_bytes!("../tests/corpus/certificate/ed25519")), None);
    }

    #[test]
    fn user_principal_names() {
        let upn = include_bytes!("../tests/corpus/certificate/upn");
        assert_eq!(user_principal_name(upn).unwrap().as_deref(), Some("alice@hop.test"));
        let none = include_bytes!("../tests/corpus/certificate/rsa_sha256");
        assert_eq!(user_principal_name(none).unwrap(), None);
        let two = include_bytes!("../tests/corpus/certificate/two_upns");
        assert_eq!(user_principal_name(two).unwrap(), None, "whose certificate is it?");
        for end in 0..upn.len() {
            assert!(user_principal_name(&upn[..end]).is_err());
        }
    }

    #[test]
    fn public_keys() {
        let rsa = include_bytes!("../tests/corpus/certificate/rsa_sha256");
        // RSAPublicKey of 2048 bits, exponent 65537.
        let key = subject_public_key(rsa).unwrap();
        assert_eq!(
            (key.len(), &key[..4], &key[265..]),
            (270, &[0x30, 0x82, 1, 10][..], &[2, 3, 1, 0, 1][..])
        );
        let point = subject_public_key(include_bytes!("../tests/corpus/certificate/ecdsa_sha384")).unwrap();
        assert_eq!((point.len(), point[0]), (97, 4));
        for end in 0..rsa.len() {
            assert!(subject_public_key(&rsa[..end]).is_err());
            assert!(tls_server_end_point(&rsa[..end]).is_err());
        }
    }
}
