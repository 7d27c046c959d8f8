//! The file in which a Group Policy object keeps registry values, `Registry.pol`.
//!
//! [MS-GPREG] 2.2.1: `PReg`, a version, and then `[key;value;type;size;data]` for each value, the brackets and
//! semicolons too in UTF-16LE.

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 16 << 20;
/// The most values that are read.
const MAX_ENTRIES: usize = 100_000;
/// The longest name of a key or value, in UTF-16 units (the registry's own limit for values).
const MAX_NAME: usize = 16_383;
/// The largest value ([MS-GPREG] 2.2.1: the size is below 64 KiB).
const MAX_DATA: usize = 0xFFFF;

const SIGNATURE: [u8; 8] = *b"PReg\x01\0\0\0";

/// REG_SZ: text that ends with a zero.
pub const REG_SZ: u32 = 1;
/// REG_EXPAND_SZ: text with variables.
pub const REG_EXPAND_SZ: u32 = 2;
/// REG_DWORD: 32 bits, little-endian.
pub const REG_DWORD: u32 = 4;

/// One value, or an instruction to remove some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key's path below HKEY_LOCAL_MACHINE.
    pub key: String,
    /// The value's name; names that begin with `**` are instructions.
    pub value: String,
    /// The type, such as [`REG_SZ`].
    pub kind: u32,
    /// The data.
    pub data: Vec<u8>,
}

impl Entry {
    /// A REG_SZ.
    pub fn text(key: &str, value: &str, text: &str) -> Self {
        let data = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Self { key: key.to_owned(), value: value.to_owned(), kind: REG_SZ, data }
    }

    /// A REG_DWORD.
    pub fn dword(key: &str, value: &str, number: u32) -> Self {
        let data = number.to_le_bytes().to_vec();
        Self { key: key.to_owned(), value: value.to_owned(), kind: REG_DWORD, data }
    }

    /// The number, of a REG_DWORD.
    pub fn as_dword(&self) -> Option<u32> {
        (self.kind == REG_DWORD)
            .then(|| self.data.as_slice().try_into().ok().map(u32::from_le_bytes))
            .flatten()
    }

    /// The text, of a REG_SZ or REG_EXPAND_SZ, up to the first zero.
    pub fn as_text(&self) -> Option<String> {
        if !matches!(self.kind, REG_SZ | REG_EXPAND_SZ) {
            return None;
        }
        let units = self.data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        String::from_utf16(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>()).ok()
    }
}

/// Bytes that are no Registry.pol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not the signature and version 1.
    #[error("no Registry.pol: expected PReg and version 1")]
    Signature,
    /// The end came too early.
    #[error("the file ends within a value")]
    Truncated,
    /// Another character where a bracket or semicolon belongs.
    #[error("expected {expected:?} at byte {at}")]
    Delimiter {
        /// What belongs there.
        expected: char,
        /// The offset.
        at: usize,
    },
    /// A name that is not UTF-16.
    #[error("a name at byte {0} is not UTF-16")]
    Name(usize),
    /// Larger than a file may be.
    #[error("{what} is larger than {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// Reads a file.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    if bytes.len() > MAX_FILE {
        return Err(DecodeError::Limit { what: "the file", limit: MAX_FILE });
    }
    let Some(rest) = bytes.strip_prefix(&SIGNATURE) else { return Err(DecodeError::Signature) };
    let mut reader = Reader { rest, at: SIGNATURE.len() };
    let mut entries = Vec::new();
    while !reader.rest.is_empty() {
        if entries.len() == MAX_ENTRIES {
            return Err(DecodeError::Limit { what: "the number of values", limit: MAX_ENTRIES });
        }
        reader.expect('[')?;
        let key = reader.name()?;
        reader.expect(';')?;
        let value = reader.name()?;
        reader.expect(';')?;
        let kind = reader.u32()?;
        reader.expect(';')?;
        let size = reader.u32()? as usize;
        reader.expect(';')?;
        if size > MAX_DATA {
            return Err(DecodeError::Limit { what: "a value", limit: MAX_DATA });
        }
        let data = reader.take(size)?.to_vec();
        reader.expect(']')?;
        entries.push(Entry { key, value, kind, data });
    }
    Ok(entries)
}

/// Writes a file. What does not fit is cut: names at their first zero, data at 64 KiB.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    let put = |out: &mut Vec<u8>, c: char| out.extend((c as u16).to_le_bytes());
    let name = |out: &mut Vec<u8>, text: &str| {
        let units = text.encode_utf16().take_while(|unit| *unit != 0).take(MAX_NAME);
        out.extend(units.chain([0]).flat_map(u16::to_le_bytes));
    };
    for entry in entries {
        let data = entry.data.get(..MAX_DATA).unwrap_or(&entry.data);
        put(&mut out, '[');
        name(&mut out, &entry.key);
        put(&mut out, ';');
        name(&mut out, &entry.value);
        put(&mut out, ';');
        out.extend(entry.kind.to_le_bytes());
        put(&mut out, ';');
        // INVARIANT: MAX_DATA fits into 32 bits.
        out.extend((data.len() as u32).to_le_bytes());
        put(&mut out, ';');
        out.extend(data);
        put(&mut out, ']');
    }
    out
}

struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn expect(&mut self, expected: char) -> Result<(), DecodeError> {
        let at = self.at;
        if self.u16()? == expected as u16 { Ok(()) } else { Err(DecodeError::Delimiter { expected, at }) }
    }

    fn name(&mut self) -> Result<String, DecodeError> {
        let at = self.at;
        let mut units = Vec::new();
        loop {
            match self.u16()? {
                0 => return String::from_utf16(&units).map_err(|_| DecodeError::Name(at)),
                _ if units.len() == MAX_NAME => {
                    return Err(DecodeError::Limit { what: "a name", limit: MAX_NAME });
                }
                unit => units.push(unit),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let entries = [
            Entry::dword(r"Software\Policies", "On", 1),
            Entry::text(r"Software\Policies\List", "1", "wsman/*.hop.test"),
            Entry::text("k", "**delvals.", " "),
            Entry { key: String::new(), value: "v;]".to_owned(), kind: 3, data: vec![0x5D, 0, 0x3B] },
        ];
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes).as_deref(), Ok(&entries[..]));
        assert_eq!((entries[0].as_dword(), entries[0].as_text()), (Some(1), None));
        assert_eq!(entries[1].as_text().as_deref(), Some("wsman/*.hop.test"));
        for end in 8..bytes.len() {
            // Cut at the border of two values it is a shorter file, anywhere else an error.
            let whole = decode(&bytes[..end]).map(|some| encode(&some) == bytes[..end]);
            assert!(matches!(whole, Ok(true) | Err(DecodeError::Truncated)), "{end}: {whole:?}");
        }
    }

    #[test]
    fn what_is_none() {
        assert_eq!(decode(b""), Err(DecodeError::Signature));
        assert_eq!(decode(b"PReg\x02\0\0\0"), Err(DecodeError::Signature));
        assert_eq!(decode(b"PReg\x01\0\0\0"), Ok(Vec::new()));
        let mut bytes = encode(&[Entry::dword("k", "v", 1)]);
        bytes[8] = b'(';
        assert_eq!(decode(&bytes), Err(DecodeError::Delimiter { expected: '[', at: 8 }));
        let mut bytes = encode(&[Entry::dword("k", "v", 1)]);
        let size = bytes.len() - 12;
        bytes[size..size + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(
            matches!(decode(&bytes), Err(DecodeError::Limit { what: "a value", .. })),
            "{:?}",
            decode(&bytes)
        );
        let long = "x".repeat(MAX_NAME);
        assert!(decode(&encode(&[Entry::dword(&long, "v", 1)])).is_ok());
        let mut too_long = b"PReg\x01\0\0\0[\0".to_vec();
        too_long.extend(b"x\0".repeat(MAX_NAME + 1));
        assert!(matches!(decode(&too_long), Err(DecodeError::Limit { what: "a name", .. })));
        assert_eq!(decode(b"PReg\x01\0\0\0[\0\x00\xD8\0\0"), Err(DecodeError::Name(10)));
    }
}
