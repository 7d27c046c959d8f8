//! Keys derived for one use (RFC 3961 3, RFC 8009 3): what does the work, ready for many messages.

use hmac::{Hmac, KeyInit, Mac as _};
use rand_core::CryptoRng;
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use subtle::ConstantTimeEq;

use super::cts::Aes;
use super::{EncryptionKey, EncryptionType, KeyUsage, derive};
use crate::Error;

/// The length of the confounder before every plaintext, in bytes: one AES block in all four types.
pub(crate) const CONFOUNDER: usize = 16;

/// A keyed hash, ready to take data.
#[derive(Clone)]
enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
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
            EncryptionType::Other(_) => return Err(Error::UnsupportedEncryptionType(etype)),
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
    aes: Aes,
    mac: Mac,
}

impl SealKeys {
    pub(super) fn new(key: &EncryptionKey, usage: KeyUsage) -> Result<Self, Error> {
        let encryption = derive::usage_key(key, usage, 0xAA)?;
        let integrity = derive::usage_key(key, usage, 0x55)?;
        Ok(Self {
            etype: key.etype,
            aes: Aes::new(encryption.expose())?,
            mac: Mac::new(key.etype, integrity.expose())?,
        })
    }

    /// The length of the hash at the end of a ciphertext, in bytes.
    pub fn tag_length(&self) -> usize {
        tag_length(self.etype)
    }

    /// By how much a ciphertext is longer than its plaintext, in bytes.
    pub fn overhead(&self) -> usize {
        CONFOUNDER + self.tag_length()
    }

    fn hashes_ciphertext(&self) -> bool {
        matches!(self.etype, EncryptionType::Aes128CtsHmacSha256 | EncryptionType::Aes256CtsHmacSha384)
    }

    /// Seals `buffer[start..]`, which begins with the confounder, in place and appends the hash.
    pub(crate) fn seal_from(&self, buffer: &mut Vec<u8>, start: usize) -> Result<(), Error> {
        let data = buffer.get_mut(start..).ok_or(Error::Usage("nothing to seal"))?;
        let tag = if self.hashes_ciphertext() {
            self.aes.cts_encrypt(data)?;
            self.mac.tag(&[&[0; 16], data])
        } else {
            let tag = self.mac.tag(&[data]);
            self.aes.cts_encrypt(data)?;
            tag
        };
        buffer.extend_from_slice(tag.as_slice());
        Ok(())
    }

    /// Opens `data` (ciphertext and hash) in place; the plaintext is `data[16..n]` for the returned `n`.
    pub(crate) fn open_in_place(&self, data: &mut [u8], what: &'static str) -> Result<usize, Error> {
        let length = data.len().checked_sub(self.tag_length()).ok_or(Error::Integrity(what))?;
        if length < CONFOUNDER {
            return Err(Error::Integrity(what));
        }
        let (body, tag) = data.split_at_mut(length);
        let good = if self.hashes_ciphertext() {
            let good = self.mac.tag(&[&[0; 16], body]).as_slice().ct_eq(tag);
            self.aes.cts_decrypt(body)?;
            good
        } else {
            self.aes.cts_decrypt(body)?;
            self.mac.tag(&[body]).as_slice().ct_eq(tag)
        };
        if bool::from(good) { Ok(length) } else { Err(Error::Integrity(what)) }
    }

    /// Seals a message.
    ///
    /// # Errors
    /// None in practice.
    pub fn encrypt(&self, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
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
        let mut buffer = zeroize::Zeroizing::new(ciphertext.to_vec());
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
        EncryptionType::Aes128CtsHmacSha256 => 16,
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
