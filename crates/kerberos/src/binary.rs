//! Reading and writing the big-endian records of credential caches and keytabs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{EncryptionKey, EncryptionType, NameType, Principal};

/// The longest data field that is read, in bytes; a ticket with a large PAC stays far below it.
const MAX_DATA: usize = 16 * 1024 * 1024;
/// The most components, addresses or elements of authorization data in one entry.
pub(crate) const MAX_ITEMS: u32 = 1024;

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file ends inside a record.
    #[error("the file ends in the middle of an entry")]
    Truncated,
    /// A length or count is beyond what any real entry has.
    #[error("a length of {got} where at most {limit} makes sense")]
    TooLong {
        /// The length found.
        got: u64,
        /// The limit applied.
        limit: u64,
    },
    /// A name is not UTF-8.
    #[error("a name that is not UTF-8")]
    NotText,
    /// A principal has no components.
    #[error("a principal without a name")]
    NoName,
    /// A field cannot be written because it is longer than its length field can say, or a time beyond 2106.
    #[error("a field that does not fit its place in the file")]
    DoesNotFit,
}

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A count of items that follow.
    pub(crate) fn count(&mut self) -> Result<u32, RecordError> {
        let got = self.u32()?;
        match got <= MAX_ITEMS {
            true => Ok(got),
            false => Err(RecordError::TooLong { got: got.into(), limit: MAX_ITEMS.into() }),
        }
    }

    /// Data after its 32-bit length.
    pub(crate) fn data32(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.u32()?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_DATA => self.take(length),
            _ => Err(RecordError::TooLong { got: length.into(), limit: MAX_DATA as u64 }),
        }
    }

    /// Data after its 16-bit length.
    pub(crate) fn data16(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Seconds since 1970, unsigned, so good until 2106.
    pub(crate) fn time(&mut self) -> Result<SystemTime, RecordError> {
        self.u32().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.into()))
    }

    /// A principal with 32-bit lengths, its type first (credential caches).
    pub(crate) fn principal32(&mut self) -> Result<Principal, RecordError> {
        let name_type = NameType(self.i32()?);
        let count = self.count()?;
        let realm = text(self.data32()?)?;
        let components = (0..count).map(|_| text(self.data32()?)).collect::<Result<Vec<_>, _>>()?;
        Ok(Principal { name_type, components, realm })
    }
}

/// A key whose type has 16 bits.
pub(crate) fn key(etype: u16, value: &[u8]) -> EncryptionKey {
    EncryptionKey { etype: EncryptionType::from_number(etype.cast_signed().into()), value: value.into() }
}

/// UTF-8 text, owned.
pub(crate) fn text(bytes: &[u8]) -> Result<String, RecordError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| RecordError::NotText)
}

pub(crate) fn put_data32(out: &mut Vec<u8>, data: &[u8]) -> Result<(), RecordError> {
    if data.len() > MAX_DATA {
        return Err(RecordError::DoesNotFit);
    }
    let length = u32::try_from(data.len()).map_err(|_| RecordError::DoesNotFit)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
    Ok(())
}

pub(crate) fn put_data16(out: &mut Vec<u8>, data: &[u8]) -> Result<(), RecordError> {
    let length = u16::try_from(data.len()).map_err(|_| RecordError::DoesNotFit)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
    Ok(())
}

pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), RecordError> {
    let count =
        u32::try_from(count).ok().filter(|count| *count <= MAX_ITEMS).ok_or(RecordError::DoesNotFit)?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

pub(crate) fn put_time(out: &mut Vec<u8>, time: SystemTime) -> Result<(), RecordError> {
    let seconds = time.duration_since(UNIX_EPOCH).map_err(|_| RecordError::DoesNotFit)?.as_secs();
    let seconds = u32::try_from(seconds).map_err(|_| RecordError::DoesNotFit)?;
    out.extend_from_slice(&seconds.to_be_bytes());
    Ok(())
}

pub(crate) fn put_principal32(out: &mut Vec<u8>, principal: &Principal) -> Result<(), RecordError> {
    out.extend_from_slice(&principal.name_type.0.to_be_bytes());
    put_count(out, principal.components.len())?;
    put_data32(out, principal.realm.as_bytes())?;
    principal.components.iter().try_for_each(|component| put_data32(out, component.as_bytes()))
}
