//! Keys derived for one use (RFC 3961 3, RFC 8009 3, RFC 4757 5): what does the work, ready for many messages.

use hmac::{Hmac, KeyInit, Mac as _};
use rand_core::CryptoRng;
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cts::Aes;
use super::{EncryptionKey, EncryptionType, KeyUsage, derive, rc4};
use crate::Error;

/// The length of the confounder before every plaintext, in bytes, with AES: one block.
pub(crate) const CONFOUNDER: usize = 16;

/// A keyed hash, ready to take data.
#[derive(Clone)]
enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    /// The signing key and the usage of RFC 4757.
    Rc4(Zeroizing<[u8; 16]>, u32),
}

impl Mac {
    fn new(etype: EncryptionType, key: &[u8]) -> Result<Self, Error> {
        let wrong = |_| Error::Usage("hmac key of impossible length");
        Ok(match etype {
            EncryptionType::Aes128CtsHmacSha1 | EncryptionType::Aes256CtsHmacSha1 => {
                Self::Sha1(Hmac::new_from_slice(key).map_err(wrong)?)
            }
            EncryptionType::Aes128CtsHmacSha256 => Self::Sha256(Hmac::new_from_slice(key).map_err(wrong)?),
            EncryptionType::Aes256CtsHmacSha384 => Self::Sha384(Hmac::new_from_slice(key).map_err(wrong)?),
            EncryptionType::Rc4Hmac | EncryptionType::Other(_) => {
                return Err(Error::UnsupportedEncryptionType(etype));
            }
        })
    }

    /// The truncated hash of the parts one after the other.
    fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut tag = Tag { bytes: [0; 24], length: 0 };
        let mut take = |full: &[u8], length: usize| {
            tag.bytes.iter_mut().zip(full).for_each(|(t, f)| *t = *f);
            tag.length = length;
        };
        match self.clone() {
            Self::Sha1(mut mac) => {
                parts.iter().for_each(|p| mac.update(p));
                take(&mac.finalize().into_bytes(), 12);
            }
            Self::Sha256(mut mac) => {
                parts.iter().for_each(|p| mac.update(p));
                take(&mac.finalize().into_bytes(), 16);
            }
            Self::Sha384(mut mac) => {
                parts.iter().for_each(|p| mac.update(p));
                take(&mac.finalize().into_bytes(), 24);
            }
            Self::Rc4(key, usage) => {
                // INVARIANT: HMAC takes keys of every length, so that nothing can fail.
                take(&rc4::sign(&*key, usage, parts).unwrap_or_default(), 16);
            }
        }
        tag
    }
}

/// A truncated hash.
struct Tag {
    bytes: [u8; 24],
    length: usize,
}

impl Tag {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The encryption and integrity keys of one usage.
#[derive(Clone)]
pub struct SealKeys {
    etype: EncryptionType,
    keys: Keys,
}

#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "RC4 is the exception, and who keeps keys boxes them")]
enum Keys {
    Aes(Aes, Mac),
    Rc4(Zeroizing<[u8; 16]>),
}

impl SealKeys {
    pub(super) fn new(key: &EncryptionKey, usage: KeyUsage) -> Result<Self, Error> {
        if key.etype == EncryptionType::Rc4Hmac {
            return Ok(Self { etype: key.etype, keys: Keys::Rc4(rc4::usage_key(key, usage)?) });
        }
        let encryption = derive::usage_key(key, usage, 0xAA)?;
        let integrity = derive::usage_key(key, usage, 0x55)?;
        let (aes, mac) = (Aes::new(encryption.expose())?, Mac::new(key.etype, integrity.expose())?);
        Ok(Self { etype: key.etype, keys: Keys::Aes(aes, mac) })
    }

    /// RC4 has no messages with the checksum at the end; its GSS-API tokens are of another kind.
    fn aes(&self) -> Result<(&Aes, &Mac), Error> {
        match &self.keys {
            Keys::Aes(aes, mac) => Ok((aes, mac)),
            Keys::Rc4(_) => Err(Error::UnsupportedEncryptionType(self.etype)),
        }
    }

    /// The length of the hash at the end of a ciphertext, in bytes.
    pub fn tag_length(&self) -> usize {
        tag_length(self.etype)
    }

    /// By how much a ciphertext is longer than its plaintext, in bytes.
    pub fn overhead(&self) -> usize {
        match self.keys {
            Keys::Aes(..) => CONFOUNDER + self.tag_length(),
            Keys::Rc4(_) => rc4::OVERHEAD,
        }
    }

    fn hashes_ciphertext(&self) -> bool {
        matches!(self.etype, EncryptionType::Aes128CtsHmacSha256 | EncryptionType::Aes256CtsHmacSha384)
    }

    /// Seals `buffer[start..]`, which begins with the confounder, in place and appends the hash.
    pub(crate) fn seal_from(&self, buffer: &mut Vec<u8>, start: usize) -> Result<(), Error> {
        let (aes, mac) = self.aes()?;
        let data = buffer.get_mut(start..).ok_or(Error::Usage("nothing to seal"))?;
        let tag = if self.hashes_ciphertext() {
            aes.cts_encrypt(data)?;
            mac.tag(&[&[0; 16], data])
        } else {
            let tag = mac.tag(&[data]);
            aes.cts_encrypt(data)?;
            tag
        };
        buffer.extend_from_slice(tag.as_slice());
        Ok(())
    }

    /// Opens `data` (ciphertext and hash) in place; the plaintext is `data[16..n]` for the returned `n`.
    pub(crate) fn open_in_place(&self, data: &mut [u8], what: &'static str) -> Result<usize, Error> {
        let (aes, mac) = self.aes()?;
        let length = data.len().checked_sub(self.tag_length()).ok_or(Error::Integrity(what))?;
        if length < CONFOUNDER {
            return Err(Error::Integrity(what));
        }
        let (body, tag) = data.split_at_mut(length);
        let good = if self.hashes_ciphertext() {
            let good = mac.tag(&[&[0; 16], body]).as_slice().ct_eq(tag);
            aes.cts_decrypt(body)?;
            good
        } else {
            aes.cts_decrypt(body)?;
            mac.tag(&[body]).as_slice().ct_eq(tag)
        };
        if bool::from(good) { Ok(length) } else { Err(Error::Integrity(what)) }
    }

    /// Seals a message.
    ///
    /// # Errors
    /// None in practice.
    pub fn encrypt(&self, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
        if let Keys::Rc4(key) = &self.keys {
            return rc4::encrypt(key, plaintext, rng);
        }
        let mut buffer = Vec::with_capacity(plaintext.len() + self.overhead());
        buffer.resize(CONFOUNDER, 0);
        rng.fill_bytes(&mut buffer);
        buffer.extend_from_slice(plaintext);
        self.seal_from(&mut buffer, 0)?;
        Ok(buffer)
    }

    /// Opens a message, named `what` in the error.
    ///
    /// # Errors
    /// [`Error::Integrity`] if the key is another one or the bytes were altered.
    pub fn decrypt(&self, ciphertext: &[u8], what: &'static str) -> Result<hop_secret::SecretBytes, Error> {
        if let Keys::Rc4(key) = &self.keys {
            return rc4::decrypt(key, ciphertext, what);
        }
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let end = self.open_in_place(&mut buffer, what)?;
        Ok(buffer.get(CONFOUNDER..end).unwrap_or_default().into())
    }
}

/// The checksum key of one usage.
#[derive(Clone)]
pub struct ChecksumKey {
    etype: EncryptionType,
    mac: Mac,
}

impl ChecksumKey {
    pub(super) fn new(key: &EncryptionKey, usage: KeyUsage) -> Result<Self, Error> {
        if key.etype == EncryptionType::Rc4Hmac {
            let mac = Mac::Rc4(rc4::signing_key(key)?, rc4::usage(usage));
            return Ok(Self { etype: key.etype, mac });
        }
        let derived = derive::usage_key(key, usage, 0x99)?;
        Ok(Self { etype: key.etype, mac: Mac::new(key.etype, derived.expose())? })
    }

    /// The length of a checksum in bytes.
    pub fn length(&self) -> usize {
        tag_length(self.etype)
    }

    /// The checksum of the parts one after the other.
    pub fn checksum(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.mac.tag(parts).as_slice().to_vec()
    }

    /// Compares in constant time; `what` names the message in the error.
    ///
    /// # Errors
    /// [`Error::Integrity`] if they differ.
    pub fn verify(&self, parts: &[&[u8]], checksum: &[u8], what: &'static str) -> Result<(), Error> {
        if self.mac.tag(parts).as_slice().ct_eq(checksum).into() {
            Ok(())
        } else {
            Err(Error::Integrity(what))
        }
    }
}

fn tag_length(etype: EncryptionType) -> usize {
    match etype {
        EncryptionType::Aes128CtsHmacSha256 | EncryptionType::Rc4Hmac => 16,
        EncryptionType::Aes256CtsHmacSha384 => 24,
        _ => 12,
    }
}

impl std::fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKeys({})", self.etype)
    }
}

impl std::fmt::Debug for ChecksumKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChecksumKey({})", self.etype)
    }
}
