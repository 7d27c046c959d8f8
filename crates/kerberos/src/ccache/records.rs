//! Principals and credentials one by one, in format 4 of the file: what daemons and keyrings keep.

use super::{CcacheError, CcacheVersion, read_entry, write_entry};
use crate::binary::{Reader, RecordError, put_principal32};
use crate::{Credential, Principal};

/// Writes a principal.
///
/// # Errors
/// [`CcacheError::Record`] when a part is too long for the format.
pub fn encode_principal(principal: &Principal) -> Result<Vec<u8>, CcacheError> {
    let mut out = Vec::new();
    put_principal32(&mut out, principal).map_err(CcacheError::Record)?;
    Ok(out)
}

/// Reads a principal, and nothing but that.
///
/// # Errors
/// [`CcacheError`] when it is malformed or something follows it.
pub fn decode_principal(bytes: &[u8]) -> Result<Principal, CcacheError> {
    whole(bytes, |reader| reader.principal32())
}

/// Writes a credential, or an entry of another kind.
///
/// # Errors
/// [`CcacheError::Record`] when a field is too long for the format or a time lies outside of 1970 to 2106.
pub fn encode_credential(credential: &Credential) -> Result<Vec<u8>, CcacheError> {
    let mut out = Vec::new();
    write_entry(&mut out, credential, CcacheVersion::V4).map_err(CcacheError::Record)?;
    Ok(out)
}

/// Reads a credential, and nothing but that.
///
/// # Errors
/// [`CcacheError`] when it is malformed or something follows it.
pub fn decode_credential(bytes: &[u8]) -> Result<Credential, CcacheError> {
    whole(bytes, |reader| read_entry(reader, CcacheVersion::V4))
}

fn whole<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, RecordError>,
) -> Result<T, CcacheError> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader).map_err(CcacheError::Record)?;
    match reader.remaining() {
        0 => Ok(value),
        surplus => Err(CcacheError::Surplus(surplus)),
    }
}
