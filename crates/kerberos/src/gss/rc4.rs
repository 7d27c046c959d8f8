//! Per-message tokens of contexts with rc4-hmac keys (RFC 4757 7): framed like context tokens, 32-bit sequence
//! numbers, always a confounder and one byte of padding.
//!
//! The number of a message that is only signed is not protected (RFC 4757 7.3): whoever is in between can make a token
//! seem to come later. Bodies of WinRM are sealed, and there the number is part of the key.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::context::{Role, Unwrapped};
use super::token;
use crate::asn1::malformed;
use crate::crypto::rc4::{apply, hmac, sign, signing_key};
use crate::{EncryptionKey, Error};

/// Of both kinds of tokens, before the sequence number: token id, signing and sealing algorithm, filler.
const HEADER: usize = 8;
const WRAP_SEALED: [u8; HEADER] = [2, 1, 0x11, 0, 0x10, 0, 0xff, 0xff];
const WRAP_SIGNED: [u8; HEADER] = [2, 1, 0x11, 0, 0xff, 0xff, 0xff, 0xff];
const MIC: [u8; HEADER] = [1, 1, 0x11, 0, 0xff, 0xff, 0xff, 0xff];
const CONFOUNDER: usize = 8;
/// What is added to a message before it is sealed.
pub(super) const PADDING: usize = 1;
const WRAP_USAGE: u32 = 13;
const MIC_USAGE: u32 = 15;

/// One message into one token.
pub(crate) fn wrap(
    key: &EncryptionKey,
    sender: Role,
    sequence: u32,
    confidential: bool,
    confounder: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let header = if confidential { WRAP_SEALED } else { WRAP_SIGNED };
    let confounder = confounder.first_chunk::<CONFOUNDER>().ok_or(Error::Usage("no confounder"))?;
    let mut data = Zeroizing::new([confounder, message, &[PADDING as u8]].concat());
    let checksum = checksum(key, WRAP_USAGE, &[&header, &data])?;
    if confidential {
        apply(&*sealing_key(key, sequence)?, &mut data)?;
    }
    let place = sealed_sequence(key, sender, sequence, &checksum)?;
    Ok(token::frame_content(&[&header, &place, &checksum, &data]))
}

/// Opens a wrap token of `sender`'s; its sequence number too.
pub(crate) fn unwrap(key: &EncryptionKey, sender: Role, token: &[u8]) -> Result<(Unwrapped, u32), Error> {
    let (header, place, sum, data) = parse("wrap token", token)?;
    let confidential = match header {
        WRAP_SEALED => true,
        WRAP_SIGNED => false,
        _ => return Err(malformed("wrap token", format!("its header is {header:02x?}"))),
    };
    let sequence = open_sequence(key, sender, place, &sum, "wrap token")?;
    let mut data = data.to_vec();
    if confidential {
        apply(&*sealing_key(key, sequence)?, &mut data)?;
    }
    verify(&checksum(key, WRAP_USAGE, &[&header, &data])?, &sum, "wrap token")?;
    // Whoever has the key says how much padding there is; more than a block of any cipher is none.
    let padding =
        data.last().map(|last| usize::from(*last)).filter(|padding| (1..=CONFOUNDER).contains(padding));
    let end = padding.and_then(|padding| data.len().checked_sub(padding)).filter(|end| *end >= CONFOUNDER);
    data.truncate(end.ok_or_else(|| malformed("wrap token", "its padding is longer than itself"))?);
    data.drain(..CONFOUNDER);
    Ok((Unwrapped { message: data, confidential, after_gap: false }, sequence))
}

/// The signature of a message.
pub(crate) fn get_mic(
    key: &EncryptionKey,
    sender: Role,
    sequence: u32,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let checksum = checksum(key, MIC_USAGE, &[&MIC, message])?;
    let place = sealed_sequence(key, sender, sequence, &checksum)?;
    Ok(token::frame_content(&[&MIC, &place, &checksum]))
}

/// Checks `sender`'s signature; gives its sequence number.
pub(crate) fn verify_mic(
    key: &EncryptionKey,
    sender: Role,
    message: &[u8],
    token: &[u8],
) -> Result<u32, Error> {
    let (header, place, sum, rest) = parse("MIC token", token)?;
    if header != MIC || !rest.is_empty() {
        return Err(malformed("MIC token", format!("its header is {header:02x?}")));
    }
    let sequence = open_sequence(key, sender, place, &sum, "MIC token")?;
    verify(&checksum(key, MIC_USAGE, &[&MIC, message])?, &sum, "MIC token")?;
    Ok(sequence)
}

type Parts<'a> = ([u8; HEADER], [u8; 8], [u8; 8], &'a [u8]);

fn parse<'a>(what: &'static str, token: &'a [u8]) -> Result<Parts<'a>, Error> {
    let parts = |content: &'a [u8]| {
        let (header, rest) = content.split_first_chunk::<HEADER>()?;
        let (place, rest) = rest.split_first_chunk::<8>()?;
        let (sum, data) = rest.split_first_chunk::<8>()?;
        Some((*header, *place, *sum, data))
    };
    parts(token::content(token)?).ok_or_else(|| malformed(what, "it has no whole header"))
}

fn checksum(key: &EncryptionKey, usage: u32, parts: &[&[u8]]) -> Result<[u8; 8], Error> {
    let full = sign(&*signing_key(key)?, usage, parts)?;
    let [a, b, c, d, e, f, g, h, ..] = full;
    Ok([a, b, c, d, e, f, g, h])
}

fn verify(expected: &[u8; 8], got: &[u8; 8], what: &'static str) -> Result<(), Error> {
    if expected.ct_eq(got).into() { Ok(()) } else { Err(Error::Integrity(what)) }
}

fn sealing_key(key: &EncryptionKey, sequence: u32) -> Result<Zeroizing<[u8; 16]>, Error> {
    let local = Zeroizing::new(key.value.expose().iter().map(|byte| byte ^ 0xf0).collect::<Vec<u8>>());
    hmac(&*hmac(&local, &[&[0; 4]])?, &[&sequence.to_be_bytes()])
}

/// The sequence number and who sends it, which nobody may reflect.
fn place(sender: Role, sequence: u32) -> [u8; 8] {
    let [a, b, c, d] = sequence.to_be_bytes();
    let direction = if sender == Role::Acceptor { 0xff } else { 0 };
    [a, b, c, d, direction, direction, direction, direction]
}

fn sequence_key(key: &EncryptionKey, checksum: &[u8; 8]) -> Result<Zeroizing<[u8; 16]>, Error> {
    hmac(&*hmac(key.value.expose(), &[&[0; 4]])?, &[checksum])
}

fn sealed_sequence(
    key: &EncryptionKey,
    sender: Role,
    sequence: u32,
    checksum: &[u8; 8],
) -> Result<[u8; 8], Error> {
    let mut place = place(sender, sequence);
    apply(&*sequence_key(key, checksum)?, &mut place)?;
    Ok(place)
}

fn open_sequence(
    key: &EncryptionKey,
    sender: Role,
    mut sealed: [u8; 8],
    checksum: &[u8; 8],
    what: &'static str,
) -> Result<u32, Error> {
    apply(&*sequence_key(key, checksum)?, &mut sealed)?;
    let [a, b, c, d, ..] = sealed;
    let sequence = u32::from_be_bytes([a, b, c, d]);
    let other = if sender == Role::Acceptor { Role::Initiator } else { Role::Acceptor };
    match sealed {
        it if it == place(sender, sequence) => Ok(sequence),
        it if it == place(other, sequence) => {
            Err(Error::Unexpected { expected: "a token of the peer's", got: "one of our own".to_owned() })
        }
        _ => Err(Error::Integrity(what)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fuzz::{fuzz_gss_token, rc4_key};

    #[test]
    fn tokens_of_both_ends() {
        let key = rc4_key();
        for (sender, other) in [(Role::Initiator, Role::Acceptor), (Role::Acceptor, Role::Initiator)] {
            for confidential in [true, false] {
                let token = wrap(&key, sender, 7, confidential, &[9; 16], b"message").unwrap();
                let (opened, sequence) = unwrap(&key, sender, &token).unwrap();
                assert_eq!(
                    (opened.message.as_slice(), opened.confidential, sequence),
                    (&b"message"[..], confidential, 7)
                );
                assert!(matches!(unwrap(&key, other, &token), Err(Error::Unexpected { .. })), "reflected");
                assert!(verify_mic(&key, sender, b"message", &token).is_err());
                fuzz_gss_token(&token);
            }
            let token = get_mic(&key, sender, u32::MAX, b"message").unwrap();
            assert_eq!(verify_mic(&key, sender, b"message", &token), Ok(u32::MAX));
            assert_eq!(verify_mic(&key, sender, b"massage", &token), Err(Error::Integrity("MIC token")));
            assert!(
                verify_mic(&key, other, b"message", &token).is_err() && unwrap(&key, sender, &token).is_err()
            );
            fuzz_gss_token(&token);
        }
        // Padding that is none, sealed with the right key.
        for padding in [0, 9, 255] {
            let data = [&[9; 8][..], b"message", &[padding]].concat();
            let sum = checksum(&key, WRAP_USAGE, &[&WRAP_SIGNED, &data]).unwrap();
            let place = sealed_sequence(&key, Role::Initiator, 1, &sum).unwrap();
            let token = token::frame_content(&[&WRAP_SIGNED, &place, &sum, &data]);
            assert!(
                matches!(unwrap(&key, Role::Initiator, &token), Err(Error::Malformed { .. })),
                "{padding}"
            );
        }
    }
}
