//! Messages, names and tokens: what is read must be written so that it reads the same.

use std::fmt::Debug;

use rasn::{Decode, Encode};

use crate::ap::ApRequest;
use crate::asn1::{self, decode, encode};
use crate::gss::{Role, checksum, rc4, token};
use crate::{EncTicketPart, EncryptionKey, EncryptionType, KdcError, KrbCred, Principal, Ticket};

/// Any message of RFC 4120, chosen by its application tag.
pub fn fuzz_message(data: &[u8]) {
    match asn1::application_tag(data) {
        Some(1) => {
            asn1_round_trip::<asn1::Ticket>(data);
            round_trip(data, |d| Ticket::parse(d).ok(), |t| t.to_der().ok());
        }
        Some(2) => asn1_round_trip::<asn1::Authenticator>(data),
        Some(3) => {
            asn1_round_trip::<asn1::EncTicketPart>(data);
            round_trip(
                data,
                |d| EncTicketPart::parse(d).ok(),
                |p| p.to_der().ok().map(|der| der.expose().clone()),
            );
        }
        Some(10) => {
            asn1_round_trip::<asn1::AsReq>(data);
            if let Ok(request) = decode::<asn1::AsReq>("AS-REQ", data) {
                asn1_round_trip::<asn1::KdcReqBody>(request.0.req_body.as_bytes());
            }
        }
        Some(11) => asn1_round_trip::<asn1::AsRep>(data),
        Some(12) => asn1_round_trip::<asn1::TgsReq>(data),
        Some(13) => asn1_round_trip::<asn1::TgsRep>(data),
        Some(14) => {
            asn1_round_trip::<asn1::ApReq>(data);
            let _ = ApRequest::parse(data);
        }
        Some(15) => asn1_round_trip::<asn1::ApRep>(data),
        Some(22) => {
            asn1_round_trip::<asn1::KrbCred>(data);
            let _ = KrbCred::open(data, &[]);
        }
        Some(25) => asn1_round_trip::<asn1::EncAsRepPart>(data),
        Some(26) => asn1_round_trip::<asn1::EncTgsRepPart>(data),
        Some(27) => asn1_round_trip::<asn1::EncApRepPart>(data),
        Some(29) => asn1_round_trip::<asn1::EncKrbCredPart>(data),
        Some(30) => {
            asn1_round_trip::<asn1::KrbError>(data);
            let _ = KdcError::parse(data).map(|error| error.nt_status());
        }
        _ => {
            asn1_round_trip::<asn1::EtypeInfo2>(data);
            asn1_round_trip::<asn1::MethodData>(data);
        }
    }
}

/// The text form of a principal.
pub fn fuzz_principal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    round_trip(
        text.as_bytes(),
        |d| Principal::parse(std::str::from_utf8(d).ok()?, None).ok(),
        |p| Some(p.to_string().into_bytes()),
    );
}

/// The key of RC4 tokens in the corpus.
pub(crate) fn rc4_key() -> EncryptionKey {
    EncryptionKey { etype: EncryptionType::Rc4Hmac, value: vec![7; 16].into() }
}

/// A framed context token, or a framed message under an RC4 key.
pub fn fuzz_gss_token(data: &[u8]) {
    let key = rc4_key();
    for sender in [Role::Initiator, Role::Acceptor] {
        if let Ok((opened, sequence)) = rc4::unwrap(&key, sender, data) {
            let again = rc4::wrap(&key, sender, sequence, opened.confidential, &[0; 8], &opened.message);
            assert_eq!(again.and_then(|again| rc4::unwrap(&key, sender, &again)), Ok((opened, sequence)));
        }
        let _ = rc4::verify_mic(&key, sender, b"message", data);
    }
    let parse = |d: &[u8]| token::unframe(d).ok().map(|(kind, message)| (kind, message.to_vec()));
    round_trip(data, parse, |(kind, message)| Some(token::frame(*kind, message)));
}

/// The authenticator's checksum.
pub fn fuzz_gss_checksum(data: &[u8]) {
    round_trip(data, |d| checksum::Parameters::parse(d).ok(), |p| p.to_bytes().ok());
}

/// What can be read and written must read the same again.
pub(super) fn round_trip<T: PartialEq + Debug>(
    data: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
    write: impl Fn(&T) -> Option<Vec<u8>>,
) {
    if let Some(value) = parse(data)
        && let Some(bytes) = write(&value)
    {
        assert_eq!(parse(&bytes).as_ref(), Some(&value));
    }
}

pub(super) fn asn1_round_trip<T: Decode + Encode + PartialEq>(data: &[u8]) {
    if let Ok(value) = decode::<T>("message", data) {
        let again = encode("message", &value).and_then(|der| decode::<T>("message", &der));
        assert!(again.is_ok_and(|again| again == value));
    }
}
