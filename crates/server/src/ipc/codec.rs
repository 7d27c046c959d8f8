//! Fields of the messages, one after the other.

use hop_auth::UserName;

/// Most items in a list (arguments, variables).
const MAX_ITEMS: usize = 4096;

/// A packet that is no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum IpcError {
    #[error("message ends early")]
    Truncated,
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
    #[error("unknown {what} {tag}")]
    UnknownTag { what: &'static str, tag: u8 },
    #[error("{what} of {length} is longer than {limit}")]
    TooLong { what: &'static str, length: usize, limit: usize },
    #[error("string is not UTF-8")]
    NotUtf8,
}

pub(crate) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn new(number: u32) -> Self {
        // Large enough for a password from the start, so that no copy of one is left behind.
        let mut bytes = Vec::with_capacity(16 * 1024);
        bytes.extend(number.to_le_bytes());
        Self { bytes }
    }

    pub fn tag(&mut self, tag: u8) -> &mut Self {
        self.bytes.push(tag);
        self
    }

    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub fn flag(&mut self, value: bool) -> &mut Self {
        self.tag(u8::from(value))
    }

    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub fn certificates(&mut self, chain: &[Vec<u8>]) -> &mut Self {
        self.list(chain, |w, certificate| {
            w.bytes(certificate);
        })
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        // A length that does not fit makes a packet over MAX_PACKET, which the sender refuses.
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.bytes.extend(value);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// The beginning of a text, as much of it as the reader takes.
    pub fn text_up_to(&mut self, value: &str, limit: usize) -> &mut Self {
        let end = (0..=limit.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
        self.text(value.get(..end.unwrap_or(0)).unwrap_or_default())
    }

    pub fn optional<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            None => self.tag(0),
            Some(value) => write(self.tag(1), value),
        }
    }

    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            write(self, item);
        }
        self
    }
}

pub(crate) struct Reader<'a> {
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], IpcError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(IpcError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn tag(&mut self) -> Result<u8, IpcError> {
        self.take(1)?.first().copied().ok_or(IpcError::Truncated)
    }

    pub fn flag(&mut self) -> Result<bool, IpcError> {
        match self.tag()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(IpcError::UnknownTag { what: "flag", tag }),
        }
    }

    pub fn u16(&mut self) -> Result<u16, IpcError> {
        let bytes = self.take(2)?.try_into().map_err(|_| IpcError::Truncated)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// Bytes of a fixed length, which is written all the same.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], IpcError> {
        self.bytes("field", N)?.try_into().map_err(|_| IpcError::Truncated)
    }

    pub fn user_name(&mut self) -> Result<UserName, IpcError> {
        Ok(UserName { domain: self.text("domain", 1024)?, user: self.text("user", 1024)? })
    }

    /// A chain of certificates in DER.
    pub fn certificates(&mut self) -> Result<Vec<Vec<u8>>, IpcError> {
        self.list(|r| Ok(r.bytes("certificate", 64 * 1024)?.to_vec()))
    }

    pub fn u32(&mut self) -> Result<u32, IpcError> {
        let bytes = self.take(4)?.try_into().map_err(|_| IpcError::Truncated)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub fn u64(&mut self) -> Result<u64, IpcError> {
        let bytes = self.take(8)?.try_into().map_err(|_| IpcError::Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], IpcError> {
        let length = self.u32()? as usize;
        if length > limit {
            return Err(IpcError::TooLong { what, length, limit });
        }
        self.take(length)
    }

    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<String, IpcError> {
        let bytes = self.bytes(what, limit)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| IpcError::NotUtf8)?.to_owned())
    }

    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, IpcError>,
    ) -> Result<Option<T>, IpcError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, IpcError>,
    ) -> Result<Vec<T>, IpcError> {
        let length = self.u32()? as usize;
        if length > MAX_ITEMS {
            return Err(IpcError::TooLong { what: "list", length, limit: MAX_ITEMS });
        }
        (0..length).map(|_| read(self)).collect()
    }

    pub fn end(&self) -> Result<(), IpcError> {
        if self.rest.is_empty() { Ok(()) } else { Err(IpcError::Trailing(self.rest.len())) }
    }
}
