//! The framing of context tokens (RFC 2743 3.1, RFC 4121 4.1).

use crate::asn1::malformed;
use crate::{Error, KdcError};

/// 1.2.840.113554.1.2.2, encoded with tag and length.
const KERBEROS: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
/// 1.2.840.48018.1.2.2: the same with a slip of Windows 2000's.
const MS_KERBEROS: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02];

/// What a context token holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenKind {
    ApReq,
    ApRep,
    KrbError,
}

impl TokenKind {
    fn id(self) -> [u8; 2] {
        match self {
            Self::ApReq => [1, 0],
            Self::ApRep => [2, 0],
            Self::KrbError => [3, 0],
        }
    }
}

/// Puts the frame around a message.
pub(crate) fn frame(kind: TokenKind, message: &[u8]) -> Vec<u8> {
    frame_content(&[&kind.id(), message])
}

/// Puts the frame around the parts of a content.
pub(super) fn frame_content(parts: &[&[u8]]) -> Vec<u8> {
    let length = KERBEROS.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut token = Vec::with_capacity(length + 6);
    token.push(0x60);
    match length {
        0..0x80 => token.push(length as u8),
        _ => {
            let bytes = length.to_be_bytes();
            let significant = bytes.iter().position(|b| *b != 0).unwrap_or(0);
            token.push(0x80 | (bytes.len() - significant) as u8);
            token.extend(bytes.iter().skip(significant));
        }
    }
    token.extend_from_slice(KERBEROS);
    parts.iter().for_each(|part| token.extend_from_slice(part));
    token
}

/// Takes the frame off.
pub(crate) fn unframe(token: &[u8]) -> Result<(TokenKind, &[u8]), Error> {
    let bad = |detail: &str| malformed("GSS-API token", detail);
    let body = content(token)?;
    let (id, message) = body.split_first_chunk::<2>().ok_or_else(|| bad("it ends after the mechanism"))?;
    let kind = [TokenKind::ApReq, TokenKind::ApRep, TokenKind::KrbError].into_iter().find(|k| k.id() == *id);
    Ok((kind.ok_or_else(|| bad(&format!("its kind {:02x}{:02x} is unknown", id[0], id[1])))?, message))
}

/// What is in the frame, after the mechanism.
pub(super) fn content(token: &[u8]) -> Result<&[u8], Error> {
    let bad = |detail: &str| malformed("GSS-API token", detail);
    let (first, rest) = token.split_first().ok_or_else(|| bad("it is empty"))?;
    if *first != 0x60 {
        return Err(bad("it does not begin with 60"));
    }
    let (length, body) = der_length(rest).ok_or_else(|| bad("its length is malformed"))?;
    if length != body.len() {
        return Err(bad(&format!("expected {length} bytes, got {}", body.len())));
    }
    [KERBEROS, MS_KERBEROS]
        .iter()
        .find_map(|oid| body.strip_prefix(*oid))
        .ok_or_else(|| bad("its mechanism is not kerberos"))
}

fn der_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    Some((digits.iter().fold(0, |n, d| n << 8 | usize::from(*d)), rest))
}

/// Expects one kind of token; a KRB-ERROR in its place becomes the error it tells.
pub(crate) fn expect(token: &[u8], wanted: TokenKind) -> Result<&[u8], Error> {
    match unframe(token)? {
        (kind, message) if kind == wanted => Ok(message),
        (TokenKind::KrbError, message) => Err(KdcError::parse(message)?.into()),
        (kind, _) => Err(Error::Unexpected {
            expected: if wanted == TokenKind::ApReq { "an AP-REQ token" } else { "an AP-REP token" },
            got: format!("{kind:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length() {
        for length in [0, 1, 114, 115, 127, 128, 255, 256, 70_000] {
            let message = vec![7; length];
            let token = frame(TokenKind::ApRep, &message);
            assert_eq!(unframe(&token).unwrap(), (TokenKind::ApRep, message.as_slice()));
            for cut in 0..token.len().min(40) {
                assert!(unframe(&token[..cut]).is_err());
            }
        }
    }
}
