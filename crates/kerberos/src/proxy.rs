//! KDC-PROXY-MESSAGE ([MS-KKDCP] 2.2.2): what carries KDC requests and answers through HTTPS.

use rasn::prelude::*;

use crate::Error;
use crate::asn1::{self, KerberosString, decode, encode, malformed};

/// The media type of both directions.
pub const CONTENT_TYPE: &str = "application/kerberos";

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
struct KdcProxyMessage {
    /// As over TCP: the length, then the message.
    #[rasn(tag(explicit(0)))]
    kerb_message: OctetString,
    #[rasn(tag(explicit(1)))]
    target_domain: Option<KerberosString>,
    #[rasn(tag(explicit(2)))]
    dclocator_hint: Option<i64>,
}

/// Wraps a request for a KDC of the realm.
///
/// # Errors
/// [`Error::Limit`] for a message longer than any is.
pub fn wrap(message: &[u8], realm: &str) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(message.len())
        .ok()
        .filter(|_| message.len() <= asn1::MAX_MESSAGE)
        .ok_or(Error::Limit { what: "bytes of a message", limit: asn1::MAX_MESSAGE })?;
    let wrapped = KdcProxyMessage {
        kerb_message: [&length.to_be_bytes(), message].concat().into(),
        target_domain: (!realm.is_empty()).then(|| asn1::string(realm)),
        dclocator_hint: None,
    };
    encode("KDC-PROXY-MESSAGE", &wrapped)
}

/// Takes the message out, and the realm if it is named.
///
/// # Errors
/// [`Error::Malformed`] if it is no such message or holds anything but one Kerberos message.
pub fn unwrap(bytes: &[u8]) -> Result<(Vec<u8>, Option<String>), Error> {
    let wrapped: KdcProxyMessage = decode("KDC-PROXY-MESSAGE", bytes)?;
    let wrong_length = || malformed("KDC-PROXY-MESSAGE", "its message is not of the length it says");
    let (length, message) = wrapped.kerb_message.split_first_chunk::<4>().ok_or_else(wrong_length)?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(message.len()) {
        return Err(wrong_length());
    }
    Ok((message.to_vec(), wrapped.target_domain.as_ref().map(asn1::text).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_wrapped_as_the_specification_has_it() {
        let bytes = wrap(&[0x6a, 0], "R").unwrap();
        assert_eq!(bytes, b"\x30\x0f\xa0\x08\x04\x06\0\0\0\x02\x6a\0\xa1\x03\x1b\x01R");
        assert_eq!(unwrap(&bytes).unwrap(), (vec![0x6a, 0], Some("R".to_owned())));
        // A hint for finding a domain controller is passed over.
        let hinted = b"\x30\x0f\xa0\x08\x04\x06\0\0\0\x02\x6a\0\xa2\x03\x02\x01\x01";
        assert_eq!(unwrap(hinted).unwrap(), (vec![0x6a, 0], None));
        for wrong in [
            &b"\x30\x0a\xa0\x08\x04\x06\0\0\0\x03\x6a\0"[..],
            b"\x30\x06\xa0\x04\x04\x02\0\0",
            b"",
            b"\x30\0",
        ] {
            assert!(unwrap(wrong).is_err(), "{wrong:?}");
        }
    }
}
