//! rc4-hmac (RFC 4757): broken ciphers around the password's NT hash. Spoken only with whom configuration names it for.

use hmac::{Hmac, KeyInit, Mac};
use hop_secret::SecretBytes;
use md4::Md4;
use md5::{Digest, Md5};
use rand_core::CryptoRng;
use rc4::{Rc4, StreamCipher as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{EncryptionKey, KeyUsage};
use crate::Error;

const CONFOUNDER: usize = 8;
const CHECKSUM: usize = 16;
/// By how much a ciphertext is longer than its plaintext.
pub(super) const OVERHEAD: usize = CHECKSUM + CONFOUNDER;

/// RFC 4757 2: the hash that Windows keeps of passwords. There is no salt.
pub(super) fn string_to_key(password: &[u8]) -> Result<SecretBytes, Error> {
    let text = std::str::from_utf8(password).map_err(|_| Error::Usage("a password that is not UTF-8"))?;
    let utf16: Zeroizing<Vec<u8>> = Zeroizing::new(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    Ok(Md4::digest(&*utf16).to_vec().into())
}

/// HMAC-MD5 over the parts one after the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<Zeroizing<[u8; 16]>, Error> {
    let wrong = |_| Error::Usage("hmac key of impossible length");
    let mut mac = Hmac::<Md5>::new_from_slice(key).map_err(wrong)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

/// RFC 4757 4: the key of checksums.
pub(crate) fn signing_key(key: &EncryptionKey) -> Result<Zeroizing<[u8; 16]>, Error> {
    hmac(key.value.expose(), &[b"signaturekey\0"])
}

/// RFC 4757 4: the checksum with a key of [`signing_key`].
pub(crate) fn sign(signing: &[u8], usage: u32, parts: &[&[u8]]) -> Result<[u8; 16], Error> {
    let mut hash = Md5::new();
    hash.update(usage.to_le_bytes());
    parts.iter().for_each(|part| hash.update(part));
    hmac(signing, &[&hash.finalize()]).map(|sum| *sum)
}

/// Encrypts or decrypts in place.
pub(crate) fn apply(key: &[u8; 16], data: &mut [u8]) -> Result<(), Error> {
    let mut cipher = Rc4::new_from_slice(key).map_err(|_| Error::Usage("rc4 key of impossible length"))?;
    cipher.apply_keystream(data);
    Ok(())
}

/// RFC 4757 3: numbers that Windows counts otherwise.
pub(super) fn usage(usage: KeyUsage) -> u32 {
    match usage.0 {
        3 => 8,
        23 => 13,
        other => other,
    }
}

/// The key of a usage, from which every message has one of its own (RFC 4757 5).
pub(super) fn usage_key(key: &EncryptionKey, of: KeyUsage) -> Result<Zeroizing<[u8; 16]>, Error> {
    hmac(key.value.expose(), &[&usage(of).to_le_bytes()])
}

pub(super) fn encrypt(key: &[u8; 16], plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; OVERHEAD];
    out.reserve_exact(plaintext.len());
    out.extend_from_slice(plaintext);
    let (checksum, data) = out.split_at_mut(CHECKSUM);
    if let Some(confounder) = data.first_chunk_mut::<CONFOUNDER>() {
        rng.fill_bytes(confounder);
    }
    let sum = hmac(key, &[data])?;
    checksum.copy_from_slice(&*sum);
    apply(&*hmac(key, &[&*sum])?, data)?;
    Ok(out)
}

pub(super) fn decrypt(key: &[u8; 16], ciphertext: &[u8], what: &'static str) -> Result<SecretBytes, Error> {
    let (checksum, data) = ciphertext.split_first_chunk::<CHECKSUM>().ok_or(Error::Integrity(what))?;
    let mut data = Zeroizing::new(data.to_vec());
    apply(&*hmac(key, &[checksum])?, &mut data)?;
    let good = hmac(key, &[&data])?.ct_eq(checksum);
    match data.get(CONFOUNDER..) {
        Some(plaintext) if bool::from(good) => Ok(plaintext.into()),
        _ => Err(Error::Integrity(what)),
    }
}

/// The pseudo-random function, as MIT has it.
pub(super) fn prf(key: &EncryptionKey, input: &[u8]) -> Result<SecretBytes, Error> {
    let wrong = |_| Error::Usage("hmac key of impossible length");
    let mut mac = Hmac::<Sha1>::new_from_slice(key.value.expose()).map_err(wrong)?;
    mac.update(input);
    Ok(mac.finalize().into_bytes().to_vec().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::EncryptionType;

    fn key() -> EncryptionKey {
        EncryptionKey::from_password(EncryptionType::Rc4Hmac, b"foo", b"ignored", None).unwrap()
    }

    #[test]
    fn nt_hash() {
        let hex: String = key().value.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ac8e657f83df82beea5d43bdaf7800cc");
        assert!(string_to_key(b"\xff").is_err());
    }

    #[test]
    fn round_trips_and_refusals() {
        let key = key();
        for length in [0, 1, 7, 8, 1000] {
            let message = vec![0xa5; length];
            let sealed = key.encrypt(KeyUsage::TICKET, &message, &mut rand::rng()).unwrap();
            assert_eq!(sealed.len(), length + OVERHEAD);
            assert_eq!(key.decrypt(KeyUsage::TICKET, &sealed, "x").unwrap().expose(), &message);
            key.decrypt(KeyUsage::AP_REP, &sealed, "x").unwrap_err();
            for at in 0..sealed.len().min(40) {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert_eq!(key.decrypt(KeyUsage::TICKET, &altered, "x"), Err(Error::Integrity("x")));
            }
            for cut in 0..OVERHEAD {
                assert_eq!(key.decrypt(KeyUsage::TICKET, &sealed[..cut], "x"), Err(Error::Integrity("x")));
            }
        }
        // AS-REP and TGS-REP have one number.
        let sealed = key.encrypt(KeyUsage::AS_REP, b"x", &mut rand::rng()).unwrap();
        key.decrypt(KeyUsage::TGS_REP_SESSION_KEY, &sealed, "x").unwrap();
        let checksum = key.checksum_key(KeyUsage::TGS_REQ_CHECKSUM).unwrap();
        let sum = checksum.checksum(&[b"a", b"b"]);
        assert_eq!((sum.len(), checksum.length()), (16, 16));
        checksum.verify(&[b"ab"], &sum, "x").unwrap();
        checksum.verify(&[b"ac"], &sum, "x").unwrap_err();
    }
}
