//! Keytabs: the long-term keys of services (and of clients that have no password to type), as MIT's files keep
//! them (version 0x0502).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::binary::{Reader, RecordError, key, put_data16, put_time, text};
use crate::{EncryptionKey, EncryptionType, NameType, Principal};

/// The most entries that are read.
const MAX_ENTRIES: usize = 65_536;

/// What is wrong with a keytab.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeytabError {
    /// The first bytes are not those of a keytab.
    #[error("not a keytab: expected it to begin with 05 02")]
    NotAKeytab,
    /// A version that is not read: 0x0501 depends on the byte order of the machine that wrote it.
    #[error("a keytab of version {0:#06x}, expected 0x0502")]
    Version(u16),
    /// More entries than any keytab has.
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// The most that are read.
        limit: usize,
    },
    /// An entry is malformed.
    #[error("entry {number}: {source}")]
    Entry {
        /// Number of the entry, from 1, deleted ones not counted.
        number: usize,
        /// What is wrong with it.
        source: RecordError,
    },
}

/// One key of one principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeytabEntry {
    /// Whose key it is.
    pub principal: Principal,
    /// When the entry was written.
    pub timestamp: SystemTime,
    /// Which of the principal's keys it is: rises with every change of password.
    pub kvno: u32,
    /// The key.
    pub key: EncryptionKey,
}

/// The entries of a keytab, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keytab {
    /// The entries. Where several fit, the one with the highest kvno is meant.
    pub entries: Vec<KeytabEntry>,
}

impl Keytab {
    /// Reads a keytab. Deleted entries are passed over.
    ///
    /// # Errors
    /// [`KeytabError`] when the file is no keytab or is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeytabError> {
        let mut reader = Reader::new(bytes);
        match reader.u16() {
            Ok(0x0502) => {}
            Ok(version @ 0x0500..=0x05ff) => return Err(KeytabError::Version(version)),
            _ => return Err(KeytabError::NotAKeytab),
        }
        let mut entries = Vec::new();
        while !reader.is_empty() {
            let number = entries.len() + 1;
            let entry = |source| KeytabError::Entry { number, source };
            let size = reader.i32().map_err(entry)?;
            if size == 0 {
                // MIT takes this as the end as well.
                break;
            }
            let length = usize::try_from(size.unsigned_abs()).map_err(|_| entry(RecordError::Truncated))?;
            if size < 0 {
                // A hole where an entry was deleted, which may reach beyond the end.
                reader.take(length.min(reader.remaining())).map_err(entry)?;
                continue;
            }
            if number > MAX_ENTRIES {
                return Err(KeytabError::TooManyEntries { limit: MAX_ENTRIES });
            }
            let record = reader.take(length).map_err(entry)?;
            entries.push(read_entry(record).map_err(entry)?);
        }
        Ok(Self { entries })
    }

    /// Writes the keytab, without holes.
    ///
    /// # Errors
    /// [`KeytabError::Entry`] when a name or key is too long for the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeytabError> {
        let mut out = vec![0x05, 0x02];
        for (index, entry) in self.entries.iter().enumerate() {
            let wrap = |source| KeytabError::Entry { number: index + 1, source };
            let record = write_entry(entry).map_err(wrap)?;
            let size = i32::try_from(record.len()).map_err(|_| wrap(RecordError::DoesNotFit))?;
            out.extend_from_slice(&size.to_be_bytes());
            out.extend_from_slice(&record);
        }
        Ok(out)
    }

    /// Adds a key.
    pub fn push(&mut self, principal: Principal, kvno: u32, key: EncryptionKey, now: SystemTime) {
        self.entries.push(KeytabEntry { principal, timestamp: now, kvno, key });
    }

    /// The key of this principal, encryption type and kvno; of the highest kvno if none is named. (A kvno above
    /// 255 also fits an entry that kept only its low 8 bits, as old programs write them.)
    pub fn find(
        &self,
        principal: &Principal,
        etype: EncryptionType,
        kvno: Option<u32>,
    ) -> Option<&KeytabEntry> {
        let fitting =
            || self.entries.iter().filter(|entry| entry.principal == *principal && entry.key.etype == etype);
        match kvno {
            None => fitting().max_by_key(|entry| entry.kvno),
            Some(kvno) => fitting()
                .find(|entry| entry.kvno == kvno)
                .or_else(|| fitting().find(|entry| entry.kvno < 256 && entry.kvno == kvno & 0xff)),
        }
    }

    /// All entries of a principal.
    pub fn of<'a>(&'a self, principal: &'a Principal) -> impl Iterator<Item = &'a KeytabEntry> {
        self.entries.iter().filter(move |entry| entry.principal == *principal)
    }

    /// The principals, each once, in the order of the file; the first is the default client of the keytab.
    pub fn principals(&self) -> Vec<&Principal> {
        let mut found: Vec<&Principal> = Vec::new();
        for entry in &self.entries {
            if !found.contains(&&entry.principal) {
                found.push(&entry.principal);
            }
        }
        found
    }
}

fn read_entry(record: &[u8]) -> Result<KeytabEntry, RecordError> {
    let mut reader = Reader::new(record);
    let count = reader.u16()?;
    if count == 0 {
        return Err(RecordError::NoName);
    }
    let realm = text(reader.data16()?)?;
    let components = (0..count).map(|_| text(reader.data16()?)).collect::<Result<Vec<_>, _>>()?;
    let name_type = NameType(reader.i32()?);
    let timestamp = reader.time()?;
    let short_kvno = reader.u8()?;
    let etype = reader.u16()?;
    let key = key(etype, reader.data16()?);
    // Whatever follows the key was added later: the whole kvno, then flags of some implementations.
    let kvno = match reader.remaining() {
        0..4 => 0,
        _ => reader.u32()?,
    };
    Ok(KeytabEntry {
        principal: Principal { name_type, components, realm },
        timestamp,
        kvno: if kvno == 0 { short_kvno.into() } else { kvno },
        key,
    })
}

fn write_entry(entry: &KeytabEntry) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    let count = u16::try_from(entry.principal.components.len()).map_err(|_| RecordError::DoesNotFit)?;
    if count == 0 {
        return Err(RecordError::NoName);
    }
    out.extend_from_slice(&count.to_be_bytes());
    put_data16(&mut out, entry.principal.realm.as_bytes())?;
    for component in &entry.principal.components {
        put_data16(&mut out, component.as_bytes())?;
    }
    out.extend_from_slice(&entry.principal.name_type.0.to_be_bytes());
    put_time(&mut out, entry.timestamp.max(UNIX_EPOCH))?;
    let [.., short_kvno] = entry.kvno.to_be_bytes();
    out.push(short_kvno);
    let etype = i16::try_from(entry.key.etype.number()).map_err(|_| RecordError::DoesNotFit)?;
    out.extend_from_slice(&etype.to_be_bytes());
    put_data16(&mut out, entry.key.value.expose())?;
    out.extend_from_slice(&entry.kvno.to_be_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample() -> Keytab {
        let mut keytab = Keytab::default();
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let http = Principal::service("HOP.TEST", "HTTP", "servera.hop.test");
        keytab.push(http.clone(), 2, key(18, &[1; 32]), now);
        keytab.push(http.clone(), 3, key(18, &[2; 32]), now);
        keytab.push(http, 300, key(17, &[3; 16]), now);
        keytab.push(Principal::new("HOP.TEST", &["SERVERA$"]), 1, key(18, &[4; 32]), now);
        keytab
    }

    #[test]
    fn reads_what_it_writes() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(Keytab::parse(&bytes).unwrap(), sample());
        for cut in 3..bytes.len() {
            // a cut between entries is a shorter keytab, any other an error
            if let Ok(keytab) = Keytab::parse(&bytes[..cut]) {
                assert_eq!(keytab.to_bytes().unwrap(), &bytes[..cut]);
            }
        }
    }

    #[test]
    fn finds_keys() {
        let keytab = sample();
        let http = Principal::service("HOP.TEST", "HTTP", "servera.hop.test");
        assert_eq!(keytab.find(&http, EncryptionType::from_number(18), None).unwrap().kvno, 3);
        assert_eq!(keytab.find(&http, EncryptionType::from_number(18), Some(2)).unwrap().kvno, 2);
        assert_eq!(keytab.find(&http, EncryptionType::from_number(18), Some(259)).unwrap().kvno, 3);
        assert!(keytab.find(&http, EncryptionType::from_number(18), Some(4)).is_none());
        assert_eq!(keytab.find(&http, EncryptionType::from_number(17), Some(300)).unwrap().kvno, 300);
        assert!(
            keytab.find(&Principal::new("HOP.TEST", &["x"]), EncryptionType::from_number(18), None).is_none()
        );
        assert_eq!(keytab.principals().len(), 2);
    }

    #[test]
    fn holes_and_old_entries() {
        let bytes = sample().to_bytes().unwrap();
        // the first entry deleted in place
        let mut deleted = bytes.clone();
        let size = i32::from_be_bytes(bytes[2..6].try_into().unwrap());
        deleted[2..6].copy_from_slice(&(-size).to_be_bytes());
        deleted[6..6 + size as usize].fill(0);
        let keytab = Keytab::parse(&deleted).unwrap();
        assert_eq!(keytab.entries, sample().entries[1..]);
        // an entry that ends with the key has its kvno in one byte
        let mut old = vec![5, 2];
        old.extend_from_slice(&(size - 4).to_be_bytes());
        old.extend_from_slice(&bytes[6..6 + size as usize - 4]);
        assert_eq!(Keytab::parse(&old).unwrap().entries, sample().entries[..1]);
        // zeros to the end, as a file system may leave them
        let mut padded = bytes;
        padded.extend_from_slice(&[0; 64]);
        assert_eq!(Keytab::parse(&padded).unwrap(), sample());
    }

    #[test]
    fn refuses_what_is_no_keytab() {
        assert_eq!(Keytab::parse(b""), Err(KeytabError::NotAKeytab));
        assert_eq!(Keytab::parse(b"[libdefaults]"), Err(KeytabError::NotAKeytab));
        assert_eq!(Keytab::parse(&[5, 1]), Err(KeytabError::Version(0x0501)));
        let truncated = Keytab::parse(&[5, 2, 0, 0, 0, 9, 0, 1]);
        assert_eq!(truncated, Err(KeytabError::Entry { number: 1, source: RecordError::Truncated }));
    }
}
