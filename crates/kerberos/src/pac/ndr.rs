//! As much of NDR ([MS-RPCE] 2.2.6, C706 14) as a PAC needs: structures whose pointers point to what follows.

use crate::Error;
use crate::asn1::malformed;

const WHAT: &str = "NDR";
/// Version 1, little-endian, a header of 8 bytes, and its filler ([MS-RPCE] 2.2.6.1).
const COMMON_HEADER: [u8; 8] = [1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc];

/// Writes a structure and, behind it, what its pointers point to.
pub(super) struct Writer {
    fixed: Vec<u8>,
    deferred: Vec<u8>,
    referent: u32,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut writer = Self { fixed: Vec::new(), deferred: Vec::new(), referent: 0x0002_0000 };
        writer.pointer();
        writer
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.fixed.extend(number.to_le_bytes());
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.fixed.extend(number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.fixed.extend_from_slice(bytes);
    }

    /// A FILETIME: two halves, aligned to 4 bytes.
    pub(super) fn time(&mut self, time: u64) {
        self.fixed.extend(time.to_le_bytes());
    }

    /// A pointer to something; what, the caller puts behind with [`defer`](Self::defer).
    pub(super) fn pointer(&mut self) {
        self.u32(self.referent);
        self.referent += 4;
    }

    /// What the last pointer points to: a multiple of 4 bytes.
    pub(super) fn defer(&mut self, bytes: &[u8]) {
        self.deferred.extend_from_slice(bytes);
    }

    /// RPC_UNICODE_STRING ([MS-DTYP] 2.3.10).
    pub(super) fn string(&mut self, text: &str) -> Result<(), Error> {
        let (head, body) = string(text)?;
        self.bytes(&head);
        self.pointer();
        self.defer(&body);
        Ok(())
    }

    /// An array of strings, behind what its pointer's structure holds.
    pub(super) fn strings(&mut self, list: &[String]) -> Result<(), Error> {
        self.pointer();
        let count = u32::try_from(list.len()).map_err(|_| malformed(WHAT, "too many strings"))?;
        self.defer(&count.to_le_bytes());
        let mut bodies = Vec::new();
        for text in list {
            let (head, body) = string(text)?;
            self.defer(&head);
            self.defer(&self.referent.to_le_bytes());
            self.referent += 4;
            bodies.extend(body);
        }
        self.defer(&bodies);
        Ok(())
    }

    /// The whole, with its headers.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.fixed.append(&mut self.deferred);
        self.fixed.resize(self.fixed.len().next_multiple_of(8), 0);
        let length = u32::try_from(self.fixed.len()).map_err(|_| malformed(WHAT, "too long"))?;
        let mut out = COMMON_HEADER.to_vec();
        out.extend(length.to_le_bytes());
        out.extend([0; 4]);
        out.append(&mut self.fixed);
        Ok(out)
    }
}

/// A string's lengths, and its characters as a conformant varying array.
fn string(text: &str) -> Result<([u8; 4], Vec<u8>), Error> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let length = u16::try_from(units.len() * 2)
        .map_err(|_| malformed(WHAT, "a string of more than 32767 characters"))?;
    let count = (u32::from(length) / 2).to_le_bytes();
    let mut body = [count, [0; 4], count].concat();
    body.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    body.resize(body.len().next_multiple_of(4), 0);
    let [low, high] = length.to_le_bytes();
    Ok(([low, high, low, high], body))
}

/// Reads what [`Writer`] writes, and what other writers make of the same structures.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Behind the headers and the pointer to the structure.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, rest) = bytes.split_first_chunk::<16>().ok_or_else(cut)?;
        // The filler in the header may be anything.
        if header.first_chunk::<4>() != COMMON_HEADER.first_chunk() {
            return Err(malformed(WHAT, "another version, or not little-endian"));
        }
        let length = header.get(8..12).and_then(|l| l.first_chunk()).map_or(0, |l| u32::from_le_bytes(*l));
        let mut reader = Self { rest: rest.get(..length as usize).ok_or_else(cut)? };
        match reader.u32()? {
            0 => Err(malformed(WHAT, "a null pointer instead of the structure")),
            _ => Ok(reader),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.take(4).map(|word| word.first_chunk().map_or(0, |word| u32::from_le_bytes(*word)))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The characters of a string.
    pub(super) fn characters(&mut self) -> Result<String, Error> {
        let (maximum, offset, count) = (self.u32()?, self.u32()?, self.u32()?);
        if offset != 0 || count > maximum {
            return Err(malformed(WHAT, "a string that is longer than its space"));
        }
        let bytes = self.take((count as usize).checked_mul(2).ok_or_else(cut)?)?;
        if count % 2 == 1 {
            self.take(2)?;
        }
        let units: Vec<u16> =
            bytes.chunks_exact(2).filter_map(|c| c.first_chunk()).map(|c| u16::from_le_bytes(*c)).collect();
        String::from_utf16(&units).map_err(|_| malformed(WHAT, "a string that is not UTF-16"))
    }
}

fn cut() -> Error {
    malformed(WHAT, "it is cut short")
}
