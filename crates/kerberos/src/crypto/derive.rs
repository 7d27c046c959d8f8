//! Key derivation, string-to-key and pseudo-random function.

use hmac::{Hmac, KeyInit, Mac};
use hop_secret::SecretBytes;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384};
use zeroize::{Zeroize, Zeroizing};

use super::cts::Aes;
use super::nfold::n_fold_16;
use super::{EncryptionKey, EncryptionType, KeyUsage, rc4};
use crate::Error;

/// The most iterations accepted from a KDC; MIT's limit. One more than enough to keep a processor busy.
const MAX_ITERATIONS: u32 = 0x0100_0000;

/// Kc (0x99), Ke (0xAA) or Ki (0x55) of a usage (RFC 3961 5.3, RFC 8009 5).
pub(super) fn usage_key(key: &EncryptionKey, usage: KeyUsage, kind: u8) -> Result<SecretBytes, Error> {
    let [a, b, c, d] = usage.0.to_be_bytes();
    let constant = [a, b, c, d, kind];
    let sha2_length = match (key.etype, kind) {
        (EncryptionType::Aes256CtsHmacSha384, 0xAA) => 32,
        (EncryptionType::Aes256CtsHmacSha384, _) => 24,
        _ => 16,
    };
    match key.etype {
        EncryptionType::Aes128CtsHmacSha1 | EncryptionType::Aes256CtsHmacSha1 => {
            dk(key.value.expose(), &constant)
        }
        _ => kdf_hmac_sha2(key.etype, key.value.expose(), &constant, &[], sha2_length),
    }
}

/// DK of RFC 3961 5.1 for AES, where random-to-key changes nothing.
fn dk(key: &[u8], constant: &[u8]) -> Result<SecretBytes, Error> {
    let aes = Aes::new(key)?;
    let mut block = n_fold_16(constant);
    let mut out = Vec::with_capacity(key.len());
    while out.len() < key.len() {
        aes.encrypt_block(&mut block);
        out.extend_from_slice(&block);
    }
    block.zeroize();
    Ok(out.into())
}

/// KDF-HMAC-SHA2 of RFC 8009 3; one round of the hash is always enough.
fn kdf_hmac_sha2(
    etype: EncryptionType,
    key: &[u8],
    label: &[u8],
    context: &[u8],
    length: usize,
) -> Result<SecretBytes, Error> {
    let bits = u32::try_from(length * 8).unwrap_or(u32::MAX).to_be_bytes();
    let parts: [&[u8]; 5] = [&[0, 0, 0, 1], label, &[0], context, &bits];
    let wrong = |_| Error::Usage("hmac key of impossible length");
    let full = Zeroizing::new(match etype {
        EncryptionType::Aes128CtsHmacSha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(wrong)?;
            parts.iter().for_each(|p| mac.update(p));
            mac.finalize().into_bytes().to_vec()
        }
        EncryptionType::Aes256CtsHmacSha384 => {
            let mut mac = Hmac::<Sha384>::new_from_slice(key).map_err(wrong)?;
            parts.iter().for_each(|p| mac.update(p));
            mac.finalize().into_bytes().to_vec()
        }
        _ => return Err(Error::UnsupportedEncryptionType(etype)),
    });
    Ok(full.get(..length).unwrap_or(&full).into())
}

/// string-to-key (RFC 3962 4, RFC 8009 4).
pub(super) fn string_to_key(
    etype: EncryptionType,
    password: &[u8],
    salt: &[u8],
    params: Option<&[u8]>,
) -> Result<EncryptionKey, Error> {
    if etype == EncryptionType::Rc4Hmac {
        return Ok(EncryptionKey { etype, value: rc4::string_to_key(password)? });
    }
    let length = etype.key_length().ok_or(Error::UnsupportedEncryptionType(etype))?;
    let default = match etype {
        EncryptionType::Aes128CtsHmacSha1 | EncryptionType::Aes256CtsHmacSha1 => 4096,
        _ => 32768,
    };
    let iterations = match params {
        None => default,
        Some(bytes) => u32::from_be_bytes(bytes.try_into().map_err(|_| {
            Error::StringToKeyParameters(format!("expected 4 bytes of iteration count, got {}", bytes.len()))
        })?),
    };
    // Zero stands for 2^32.
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err(Error::StringToKeyParameters(format!("iteration count {iterations}")));
    }
    let mut seed = Zeroizing::new(vec![0u8; length]);
    let value = match etype {
        EncryptionType::Aes128CtsHmacSha256 | EncryptionType::Aes256CtsHmacSha384 => {
            let mut salted = etype.name().unwrap_or_default().as_bytes().to_vec();
            salted.push(0);
            salted.extend_from_slice(salt);
            if etype == EncryptionType::Aes128CtsHmacSha256 {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &salted, iterations, &mut seed);
            } else {
                pbkdf2::pbkdf2_hmac::<Sha384>(password, &salted, iterations, &mut seed);
            }
            kdf_hmac_sha2(etype, &seed, b"kerberos", &[], length)?
        }
        _ => {
            pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut seed);
            dk(&seed, b"kerberos")?
        }
    };
    Ok(EncryptionKey { etype, value })
}

/// The pseudo-random function (RFC 3962 6 by RFC 3961 5.3, RFC 8009 5).
pub(super) fn prf(key: &EncryptionKey, input: &[u8]) -> Result<SecretBytes, Error> {
    match key.etype {
        EncryptionType::Aes128CtsHmacSha1 | EncryptionType::Aes256CtsHmacSha1 => {
            let derived = dk(key.value.expose(), b"prf")?;
            let mut block = [0u8; 16];
            block.iter_mut().zip(Sha1::digest(input)).for_each(|(b, d)| *b = d);
            Aes::new(derived.expose())?.encrypt_block(&mut block);
            Ok(block.to_vec().into())
        }
        EncryptionType::Aes128CtsHmacSha256 => {
            kdf_hmac_sha2(key.etype, key.value.expose(), b"prf", input, 32)
        }
        EncryptionType::Rc4Hmac => rc4::prf(key, input),
        _ => kdf_hmac_sha2(key.etype, key.value.expose(), b"prf", input, 48),
    }
}
