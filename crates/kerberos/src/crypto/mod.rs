//! Encryption types, keys and checksums: RFC 3961, RFC 3962, RFC 8009; RFC 4757 where it is asked for.

mod cts;
mod derive;
mod nfold;
pub(crate) mod rc4;
#[cfg(test)]
mod tests;
mod usage;

use std::fmt;

use hop_secret::SecretBytes;
use rand_core::CryptoRng;

use crate::Error;

pub(crate) use cts::Aes;
pub(crate) use usage::CONFOUNDER;
pub use usage::{ChecksumKey, SealKeys};

/// An encryption type by its number (RFC 3961 8, IANA registry).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EncryptionType {
    /// aes128-cts-hmac-sha1-96 (17), RFC 3962.
    Aes128CtsHmacSha1,
    /// aes256-cts-hmac-sha1-96 (18), RFC 3962.
    Aes256CtsHmacSha1,
    /// aes128-cts-hmac-sha256-128 (19), RFC 8009.
    Aes128CtsHmacSha256,
    /// aes256-cts-hmac-sha384-192 (20), RFC 8009.
    Aes256CtsHmacSha384,
    /// arcfour-hmac (23), RFC 4757. Broken: to be used only where configuration names it.
    Rc4Hmac,
    /// Any other number. Keys and tickets of such types can be carried, not used.
    Other(i32),
}

impl EncryptionType {
    /// The type of that number.
    pub fn from_number(number: i32) -> Self {
        match number {
            17 => Self::Aes128CtsHmacSha1,
            18 => Self::Aes256CtsHmacSha1,
            19 => Self::Aes128CtsHmacSha256,
            20 => Self::Aes256CtsHmacSha384,
            23 => Self::Rc4Hmac,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            Self::Aes128CtsHmacSha1 => 17,
            Self::Aes256CtsHmacSha1 => 18,
            Self::Aes128CtsHmacSha256 => 19,
            Self::Aes256CtsHmacSha384 => 20,
            Self::Rc4Hmac => 23,
            Self::Other(number) => number,
        }
    }

    /// The name as MIT writes it, if the type is known.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.number() {
            1 => "des-cbc-crc",
            3 => "des-cbc-md5",
            16 => "des3-cbc-sha1",
            17 => "aes128-cts-hmac-sha1-96",
            18 => "aes256-cts-hmac-sha1-96",
            19 => "aes128-cts-hmac-sha256-128",
            20 => "aes256-cts-hmac-sha384-192",
            23 => "arcfour-hmac",
            24 => "arcfour-hmac-exp",
            25 => "camellia128-cts-cmac",
            26 => "camellia256-cts-cmac",
            _ => return None,
        })
    }

    /// Reads a name as krb5.conf has it, with MIT's short forms.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "aes128-cts-hmac-sha1-96" | "aes128-cts" | "aes128-sha1" => Self::Aes128CtsHmacSha1,
            "aes256-cts-hmac-sha1-96" | "aes256-cts" | "aes256-sha1" => Self::Aes256CtsHmacSha1,
            "aes128-cts-hmac-sha256-128" | "aes128-sha2" => Self::Aes128CtsHmacSha256,
            "aes256-cts-hmac-sha384-192" | "aes256-sha2" => Self::Aes256CtsHmacSha384,
            "arcfour-hmac" | "rc4-hmac" | "arcfour-hmac-md5" => Self::Rc4Hmac,
            "des3-cbc-sha1" | "des3-hmac-sha1" | "des3-cbc-sha1-kd" => Self::Other(16),
            "camellia128-cts-cmac" | "camellia128-cts" => Self::Other(25),
            "camellia256-cts-cmac" | "camellia256-cts" => Self::Other(26),
            _ => return None,
        })
    }

    /// The length of a key in bytes, if the type can be used.
    pub fn key_length(self) -> Option<usize> {
        match self {
            Self::Aes128CtsHmacSha1 | Self::Aes128CtsHmacSha256 | Self::Rc4Hmac => Some(16),
            Self::Aes256CtsHmacSha1 | Self::Aes256CtsHmacSha384 => Some(32),
            Self::Other(_) => None,
        }
    }

    /// The number of the checksum type that goes with it, if the type can be used.
    pub fn checksum_type(self) -> Option<i32> {
        match self {
            Self::Aes128CtsHmacSha1 => Some(15),
            Self::Aes256CtsHmacSha1 => Some(16),
            Self::Aes128CtsHmacSha256 => Some(19),
            Self::Aes256CtsHmacSha384 => Some(20),
            Self::Rc4Hmac => Some(-138),
            Self::Other(_) => None,
        }
    }

    /// True if keys of this type are to be used only where configuration names it.
    pub fn is_deprecated(self) -> bool {
        self == Self::Rc4Hmac
    }

    /// True if keys of this type can be used, not just carried.
    pub fn is_supported(self) -> bool {
        self.key_length().is_some()
    }
}

impl fmt::Display for EncryptionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.number()),
        }
    }
}

/// A protocol key with its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncryptionKey {
    /// What the key is for.
    pub etype: EncryptionType,
    /// The key itself. Of a length that fits the type where the type is supported.
    pub value: SecretBytes,
}

/// What a key is used for; every use has keys of its own (RFC 4120 7.5.1, RFC 4121 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyUsage(pub u32);

impl KeyUsage {
    /// PA-ENC-TIMESTAMP, with the client's key.
    pub const PA_ENC_TIMESTAMP: Self = Self(1);
    /// Tickets, with the service's key.
    pub const TICKET: Self = Self(2);
    /// AS-REP's encrypted part, with the client's key.
    pub const AS_REP: Self = Self(3);
    /// Checksum over the TGS-REQ body, with the TGT's session key.
    pub const TGS_REQ_CHECKSUM: Self = Self(6);
    /// Authenticator of a TGS-REQ, with the TGT's session key.
    pub const TGS_REQ_AUTHENTICATOR: Self = Self(7);
    /// TGS-REP's encrypted part, with the TGT's session key.
    pub const TGS_REP_SESSION_KEY: Self = Self(8);
    /// TGS-REP's encrypted part, with the authenticator's subkey.
    pub const TGS_REP_SUBKEY: Self = Self(9);
    /// Checksum in an AP-REQ's authenticator.
    pub const AP_REQ_CHECKSUM: Self = Self(10);
    /// Authenticator of an AP-REQ.
    pub const AP_REQ_AUTHENTICATOR: Self = Self(11);
    /// AP-REP's encrypted part.
    pub const AP_REP: Self = Self(12);
    /// KRB-PRIV.
    pub const KRB_PRIV: Self = Self(13);
    /// KRB-CRED.
    pub const KRB_CRED: Self = Self(14);
    /// Wrap tokens the acceptor seals.
    pub const ACCEPTOR_SEAL: Self = Self(22);
    /// MIC tokens the acceptor signs.
    pub const ACCEPTOR_SIGN: Self = Self(23);
    /// Wrap tokens the initiator seals.
    pub const INITIATOR_SEAL: Self = Self(24);
    /// MIC tokens the initiator signs.
    pub const INITIATOR_SIGN: Self = Self(25);
}

impl EncryptionKey {
    /// A key of any type.
    ///
    /// # Errors
    /// [`Error::KeyLength`] if the type is supported and has keys of another length.
    pub fn new(etype: EncryptionType, value: impl Into<SecretBytes>) -> Result<Self, Error> {
        let value = value.into();
        match etype.key_length() {
            Some(expected) if expected != value.expose().len() => {
                Err(Error::KeyLength { etype, expected, got: value.expose().len() })
            }
            _ => Ok(Self { etype, value }),
        }
    }

    /// A fresh random key.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn random(etype: EncryptionType, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let length = etype.key_length().ok_or(Error::UnsupportedEncryptionType(etype))?;
        let mut value = vec![0; length];
        rng.fill_bytes(&mut value);
        Ok(Self { etype, value: value.into() })
    }

    /// The key of a password: string-to-key with the salt and parameters the KDC names.
    ///
    /// # Errors
    /// An unsupported type or unacceptable parameters.
    pub fn from_password(
        etype: EncryptionType,
        password: &[u8],
        salt: &[u8],
        params: Option<&[u8]>,
    ) -> Result<Self, Error> {
        derive::string_to_key(etype, password, salt, params)
    }

    /// The encryption and integrity keys of a usage, for many messages.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn seal_keys(&self, usage: KeyUsage) -> Result<SealKeys, Error> {
        SealKeys::new(self, usage)
    }

    /// The checksum key of a usage, for many messages.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn checksum_key(&self, usage: KeyUsage) -> Result<ChecksumKey, Error> {
        ChecksumKey::new(self, usage)
    }

    /// Seals one message.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn encrypt(
        &self,
        usage: KeyUsage,
        plaintext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        self.seal_keys(usage)?.encrypt(plaintext, rng)
    }

    /// Opens one message, named `what` in the error.
    ///
    /// # Errors
    /// [`Error::Integrity`] with another key or altered bytes; [`Error::UnsupportedEncryptionType`].
    pub fn decrypt(
        &self,
        usage: KeyUsage,
        ciphertext: &[u8],
        what: &'static str,
    ) -> Result<SecretBytes, Error> {
        self.seal_keys(usage)?.decrypt(ciphertext, what)
    }

    /// The pseudo-random function of the key's type.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncryptionType`].
    pub fn prf(&self, input: &[u8]) -> Result<SecretBytes, Error> {
        derive::prf(self, input)
    }
}
