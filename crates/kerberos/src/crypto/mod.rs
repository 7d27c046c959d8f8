//! Encryption types, keys and checksums: RFC 3961, RFC 3962, RFC 8009.

use std::fmt;

use hop_secret::SecretBytes;

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
            "arcfour-hmac" | "rc4-hmac" | "arcfour-hmac-md5" => Self::Other(23),
            "des3-cbc-sha1" | "des3-hmac-sha1" | "des3-cbc-sha1-kd" => Self::Other(16),
            "camellia128-cts-cmac" | "camellia128-cts" => Self::Other(25),
            "camellia256-cts-cmac" | "camellia256-cts" => Self::Other(26),
            _ => return None,
        })
    }

    /// The length of a key in bytes, if the type can be used.
    pub fn key_length(self) -> Option<usize> {
        match self {
            Self::Aes128CtsHmacSha1 | Self::Aes128CtsHmacSha256 => Some(16),
            Self::Aes256CtsHmacSha1 | Self::Aes256CtsHmacSha384 => Some(32),
            Self::Other(_) => None,
        }
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
