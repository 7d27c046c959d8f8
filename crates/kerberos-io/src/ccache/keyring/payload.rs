//! What MIT's library writes into keys that are neither credentials nor principals.

use hop_kerberos::ccache::KdcOffset;

/// The version of a collection's layout.
const VERSION: u32 = 1;
/// The longest name of a cache, in bytes.
const MAX_NAME: usize = 1024;

/// The name of a collection's primary cache: version, length, text.
pub(crate) fn encode_primary(name: &str) -> Vec<u8> {
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    [&VERSION.to_be_bytes(), &length.to_be_bytes(), name.as_bytes()].concat()
}

/// The inverse; nothing for a layout that is not known, or no name.
pub(crate) fn decode_primary(payload: &[u8]) -> Option<String> {
    let (version, rest) = payload.split_first_chunk::<4>()?;
    let (length, name) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let sound =
        u32::from_be_bytes(*version) == VERSION && length == name.len() && (1..=MAX_NAME).contains(&length);
    let name = std::str::from_utf8(name).ok()?;
    (sound && !name.contains('\0')).then(|| name.to_owned())
}

/// The difference to the KDC's clock: seconds, microseconds.
pub(crate) fn encode_offset(offset: KdcOffset) -> Vec<u8> {
    [offset.seconds.to_be_bytes(), offset.microseconds.to_be_bytes()].concat()
}

/// The inverse; nothing for a payload of another length.
pub(crate) fn decode_offset(payload: &[u8]) -> Option<KdcOffset> {
    let (seconds, rest) = payload.split_first_chunk::<4>()?;
    let microseconds = i32::from_be_bytes(rest.try_into().ok()?);
    Some(KdcOffset { seconds: i32::from_be_bytes(*seconds), microseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_as_written() {
        assert_eq!(encode_primary("tkt"), b"\0\0\0\x01\0\0\0\x03tkt");
        assert_eq!(decode_primary(b"\0\0\0\x01\0\0\0\x03tkt").as_deref(), Some("tkt"));
        for bad in [&b""[..], b"\0\0\0\x02\0\0\0\x03tkt", b"\0\0\0\x01\0\0\0\x04tkt", b"\0\0\0\x01\0\0\0\0"] {
            assert_eq!(decode_primary(bad), None, "{bad:?}");
        }
        let offset = KdcOffset { seconds: -300, microseconds: -5 };
        assert_eq!(decode_offset(&encode_offset(offset)), Some(offset));
        assert_eq!(decode_offset(&[0; 7]), None);
        assert_eq!(decode_offset(&[0; 9]), None);
    }
}
