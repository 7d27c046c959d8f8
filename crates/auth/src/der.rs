//! The few pieces of DER (X.690) that SPNEGO and the GSS-API framing need.
//!
//! Lengths must be in their shortest form, so that whatever is read is written again to the same bytes: the
//! mechListMIC is computed over an encoding that both ends must agree on.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const GENERAL_STRING: u8 = 0x1b;
/// `[APPLICATION 0]`, the frame of an initial GSS-API token (RFC 2743 section 3.1).
pub(crate) const APPLICATION_0: u8 = 0x60;

/// The tag of `[n]` with EXPLICIT content.
pub(crate) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// Bytes that are no DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DerError {
    /// The input ends inside an element.
    #[error("truncated: expected {expected} more bytes, got {got}")]
    Truncated {
        /// Bytes that an element still needs.
        expected: usize,
        /// Bytes that are left.
        got: usize,
    },
    /// Another element than the one that belongs here.
    #[error("expected tag {expected:#04x}, got {got:#04x}")]
    Tag {
        /// The tag that belongs here.
        expected: u8,
        /// The tag that is here.
        got: u8,
    },
    /// A length that is indefinite, not in its shortest form or beyond four bytes.
    #[error("length is not in the distinguished form")]
    Length,
    /// Bytes after the last element.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// A value outside the range of its type.
    #[error("value out of range")]
    Value,
}

/// Reads elements one after another.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], DerError> {
        let (taken, rest) =
            self.0.split_at_checked(n).ok_or(DerError::Truncated { expected: n, got: self.0.len() })?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, DerError> {
        self.take(1).map(|b| b.first().copied().unwrap_or_default())
    }

    /// The tag and the content of the next element.
    pub(crate) fn any(&mut self) -> Result<(u8, &'a [u8]), DerError> {
        let tag = self.byte()?;
        let first = self.byte()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return Err(DerError::Length);
            }
            let length = self.take(count)?.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            if length < 0x80 || (count > 1 && length >> (8 * (count - 1)) == 0) {
                return Err(DerError::Length);
            }
            length
        };
        Ok((tag, self.take(length)?))
    }

    /// The content of the next element, which has this tag.
    pub(crate) fn element(&mut self, expected: u8) -> Result<&'a [u8], DerError> {
        let (got, content) = self.any()?;
        if got == expected { Ok(content) } else { Err(DerError::Tag { expected, got }) }
    }

    pub(crate) fn end(&self) -> Result<(), DerError> {
        if self.0.is_empty() { Ok(()) } else { Err(DerError::Trailing(self.0.len())) }
    }
}

/// The one element inside `content`, which has this tag: what EXPLICIT tags hold.
pub(crate) fn only(content: &[u8], expected: u8) -> Result<&[u8], DerError> {
    let mut reader = Reader::new(content);
    let inner = reader.element(expected)?;
    reader.end()?;
    Ok(inner)
}

/// An element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend(bytes.iter().skip(skip));
    }
    out.extend_from_slice(content);
    out
}

/// Appends an optional field with the EXPLICIT tag `[n]`.
pub(crate) fn put(out: &mut Vec<u8>, n: u8, tag: u8, content: Option<&[u8]>) {
    if let Some(content) = content {
        out.extend(element(context(n), &element(tag, content)));
    }
}

/// The fields of a SEQUENCE whose members have the tags [0], [1], … in this order, each at most once.
pub(crate) struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    pub(crate) fn new(content: &'a [u8]) -> Self {
        Self(Reader::new(content))
    }

    pub(crate) fn next(&mut self, n: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.0.peek() == Some(context(n)) {
            self.0.any().map(|(_, content)| Some(content))
        } else {
            Ok(None)
        }
    }

    pub(crate) fn inner(&mut self, n: u8, tag: u8) -> Result<Option<Vec<u8>>, DerError> {
        match self.next(n)? {
            None => Ok(None),
            Some(content) => only(content, tag).map(|inner| Some(inner.to_vec())),
        }
    }

    /// A field that must be there, borrowed.
    pub(crate) fn required(&mut self, n: u8, tag: u8) -> Result<&'a [u8], DerError> {
        let got = self.0.peek().unwrap_or_default();
        let content = self.next(n)?.ok_or(DerError::Tag { expected: context(n), got })?;
        only(content, tag)
    }

    pub(crate) fn end(&self) -> Result<(), DerError> {
        self.0.end()
    }
}

/// The content of an INTEGER.
pub(crate) fn integer(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skip = bytes
        .windows(2)
        .take_while(|pair| {
            matches!(pair, [0, next] if *next < 0x80) || matches!(pair, [0xff, next] if *next >= 0x80)
        })
        .count();
    bytes.iter().skip(skip).copied().collect()
}

/// Reads the content of an INTEGER of at most eight bytes.
pub(crate) fn read_integer(content: &[u8]) -> Result<i64, DerError> {
    let first = *content.first().ok_or(DerError::Value)?;
    if content.len() > 8 {
        return Err(DerError::Value);
    }
    let start = if first < 0x80 { 0 } else { -1 };
    let value = content.iter().fold(start, |n: i64, byte| n << 8 | i64::from(*byte));
    if integer(value) == content { Ok(value) } else { Err(DerError::Value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_form() {
        for n in
            [0, 1, 127, 128, 255, 256, -1, -128, -129, i64::from(0xc000_006d_u32 as i32), i64::MAX, i64::MIN]
        {
            assert_eq!(read_integer(&integer(n)), Ok(n));
        }
        assert_eq!(integer(i64::from(0xc000_006d_u32 as i32)), [0xc0, 0, 0, 0x6d]);
        assert_eq!(integer(0xc000_006d), [0, 0xc0, 0, 0, 0x6d]);
        for bad in [&[][..], &[0, 1], &[0xff, 0x80], &[1; 9]] {
            assert!(read_integer(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lengths_have_one_form() {
        for n in [0, 1, 127, 128, 255, 256, 65535, 65536] {
            let bytes = element(OCTET_STRING, &vec![7; n]);
            assert_eq!(only(&bytes, OCTET_STRING).map(<[u8]>::len), Ok(n));
        }
        for bad in [&[4, 0x80][..], &[4, 0x81, 5], &[4, 0x82, 0, 200], &[4, 0x85, 1, 0, 0, 0, 0], &[4]] {
            assert!(Reader::new(bad).any().is_err(), "{bad:?}");
        }
        assert_eq!(only(&[4, 0, 0], OCTET_STRING), Err(DerError::Trailing(1)));
        assert_eq!(only(&[4, 2, 0], OCTET_STRING), Err(DerError::Truncated { expected: 2, got: 1 }));
    }
}
