//! The messages of the KCM protocol, as Heimdal made it and SSSD and MIT extend it.
//!
//! A request is its length, the version (2.0), an operation and its arguments: zero-terminated names, principals and
//! credentials as in a cache file of format 4, UUIDs of 16 bytes. An answer is its length, a status of the transport,
//! then the status of the operation and what it returns. Numbers are big-endian.

use hop_kerberos::ccache::{CcacheError, decode_credential, decode_principal};
use hop_kerberos::{Credential, Principal};
use hop_secret::SecretBytes;

/// The longest answer that is read, in bytes: MIT's limit.
pub(crate) const MAX_ANSWER: usize = 10 * 1024 * 1024;
/// The most caches or credentials in one list.
const MAX_ITEMS: usize = 65_536;
/// The longest name, in bytes.
const MAX_NAME: usize = 1024;

/// What can be asked for; the numbers are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Operation {
    /// () → name
    GenNew = 3,
    /// (name, principal) → ()
    Initialize = 4,
    /// (name) → ()
    Destroy = 5,
    /// (name, credential) → ()
    Store = 6,
    /// (name) → principal
    GetPrincipal = 8,
    /// (name) → UUIDs
    GetCredUuidList = 9,
    /// (name, UUID) → credential
    GetCredByUuid = 10,
    /// (name, flags, match credential) → ()
    RemoveCred = 11,
    /// () → UUIDs
    GetCacheUuidList = 18,
    /// (UUID) → name
    GetCacheByUuid = 19,
    /// () → name
    GetDefaultCache = 20,
    /// (name) → ()
    SetDefaultCache = 21,
    /// (name) → seconds
    GetKdcOffset = 22,
    /// (name, seconds) → ()
    SetKdcOffset = 23,
    /// (name) → all credentials; MIT's, not known to Heimdal
    GetCredList = 13_001,
}

/// Why a KCM daemon did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KcmError {
    /// A status other than zero; the number is one of the Kerberos library's.
    #[error("the kcm daemon refuses: {}", meaning(*.0))]
    Refused(i32),
    /// An answer that does not follow the protocol.
    #[error("expected {expected} from the kcm daemon, got something else")]
    Malformed {
        /// What would have been right.
        expected: &'static str,
    },
    /// An answer longer than any real one.
    #[error("expected an answer of at most {limit} bytes from the kcm daemon, got {length}")]
    TooLong {
        /// The announced length.
        length: usize,
        /// The most that is read.
        limit: usize,
    },
    /// A record in the answer is malformed.
    #[error("the kcm daemon's answer: {0}")]
    Record(#[from] CcacheError),
}

const CC_NOTFOUND: i32 = -1_765_328_243;
const CC_END: i32 = -1_765_328_242;
const CC_IO: i32 = -1_765_328_191;
const FCC_PERM: i32 = -1_765_328_190;
const FCC_NOFILE: i32 = -1_765_328_189;
const FCC_INTERNAL: i32 = -1_765_328_188;
const CC_NOMEM: i32 = -1_765_328_186;
const CC_NOSUPP: i32 = -1_765_328_137;

impl KcmError {
    /// True if there is no such cache, or nothing in it.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(CC_NOTFOUND | CC_END | FCC_NOFILE))
    }

    /// True if the daemon may not know the operation: Heimdal's says FCC_INTERNAL, SSSD's CC_NOSUPP, or CC_IO for
    /// numbers it has never heard of.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused(FCC_INTERNAL | CC_IO | CC_NOSUPP))
    }
}

fn meaning(code: i32) -> String {
    let text = match code {
        CC_NOTFOUND => "no matching credential",
        CC_END => "nothing more",
        CC_IO => "input/output error",
        FCC_PERM => "permission denied",
        FCC_NOFILE => "no such cache",
        FCC_INTERNAL => "internal error",
        CC_NOMEM => "out of memory, or the user's quota is used up",
        CC_NOSUPP => "operation not supported",
        other => return format!("error {other}"),
    };
    text.to_owned()
}

/// A request in the making.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(operation: Operation) -> Self {
        let mut bytes = vec![2, 0];
        bytes.extend_from_slice(&(operation as u16).to_be_bytes());
        Self { bytes }
    }

    pub(crate) fn name(mut self, name: &str) -> Self {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The message without the length that goes before it.
    pub(crate) fn message(&self) -> &[u8] {
        &self.bytes
    }
}

/// There may be a session key in it.
impl Drop for Request {
    fn drop(&mut self) {
        drop(SecretBytes::new(std::mem::take(&mut self.bytes)));
    }
}

/// What an operation returns.
pub(crate) struct Answer<'a> {
    rest: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads the operation's status.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, KcmError> {
        let (status, rest) =
            bytes.split_first_chunk::<4>().ok_or(KcmError::Malformed { expected: "a status" })?;
        match i32::from_be_bytes(*status) {
            0 => Ok(Self { rest }),
            code => Err(KcmError::Refused(code)),
        }
    }

    pub(crate) fn name(&self) -> Result<String, KcmError> {
        let malformed = KcmError::Malformed { expected: "the name of a cache" };
        let name = match self.rest.split_last() {
            Some((0, name)) if !name.is_empty() && name.len() <= MAX_NAME && !name.contains(&0) => name,
            _ => return Err(malformed),
        };
        std::str::from_utf8(name).map(str::to_owned).map_err(|_| malformed)
    }

    pub(crate) fn principal(&self) -> Result<Principal, KcmError> {
        Ok(decode_principal(self.rest)?)
    }

    pub(crate) fn credential(&self) -> Result<Credential, KcmError> {
        Ok(decode_credential(self.rest)?)
    }

    pub(crate) fn uuids(&self) -> Result<Vec<[u8; 16]>, KcmError> {
        let (uuids, surplus) = self.rest.as_chunks::<16>();
        match surplus.is_empty() && uuids.len() <= MAX_ITEMS {
            true => Ok(uuids.to_vec()),
            false => Err(KcmError::Malformed { expected: "a list of UUIDs" }),
        }
    }

    /// Credentials after their number, each after its length.
    pub(crate) fn credentials(&self) -> Result<Vec<Credential>, KcmError> {
        let malformed = || KcmError::Malformed { expected: "a list of credentials" };
        let number = |bytes: &'a [u8]| {
            let (number, rest) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
            Ok::<_, KcmError>((u32::from_be_bytes(*number) as usize, rest))
        };
        let (count, mut rest) = number(self.rest)?;
        if count > MAX_ITEMS {
            return Err(malformed());
        }
        let mut list = Vec::new();
        for _ in 0..count {
            let (length, tail) = number(rest)?;
            let (entry, tail) = tail.split_at_checked(length).ok_or_else(malformed)?;
            list.push(decode_credential(entry)?);
            rest = tail;
        }
        match rest.is_empty() {
            true => Ok(list),
            false => Err(malformed()),
        }
    }

    /// A number of seconds.
    pub(crate) fn offset(&self) -> Result<i32, KcmError> {
        match self.rest.try_into() {
            Ok(bytes) => Ok(i32::from_be_bytes(bytes)),
            Err(_) => Err(KcmError::Malformed { expected: "a number of seconds" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_protocol_has_them() {
        let request = Request::new(Operation::SetKdcOffset).name("0:1").bytes(&(-2i32).to_be_bytes());
        assert_eq!(request.message(), b"\x02\0\0\x170:1\0\xff\xff\xff\xfe");
    }

    #[test]
    fn answers_are_read_or_refused() {
        let ok = |rest: &[u8]| [&[0; 4], rest].concat();
        assert_eq!(Answer::parse(&ok(b"0:5\0")).unwrap().name().unwrap(), "0:5");
        for bad in [&b"0:5"[..], b"\0", b"a\0b\0", b"\xff\0", b""] {
            assert!(Answer::parse(&ok(bad)).unwrap().name().is_err(), "{bad:?}");
        }
        assert_eq!(Answer::parse(&ok(&[7; 32])).unwrap().uuids().unwrap(), [[7; 16]; 2]);
        assert!(Answer::parse(&ok(&[7; 31])).unwrap().uuids().is_err());
        assert!(Answer::parse(&ok(&[0, 0, 0, 1, 0, 0, 0, 9])).unwrap().credentials().is_err());
        assert!(Answer::parse(&ok(&[0, 0, 0, 0, 1])).unwrap().credentials().is_err());
        assert!(Answer::parse(&ok(&[0xff; 4])).unwrap().credentials().is_err());
        assert_eq!(Answer::parse(&ok(&[0xff; 4])).unwrap().offset().unwrap(), -1);
        assert!(matches!(Answer::parse(&[0, 0]), Err(KcmError::Malformed { .. })));
        let missing = Answer::parse(&FCC_NOFILE.to_be_bytes()).err().unwrap();
        assert!(missing.is_missing() && missing.to_string().contains("no such cache"), "{missing}");
    }
}
