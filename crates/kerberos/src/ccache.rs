//! FILE credential caches, formats 3 and 4, as MIT reads and writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::binary::{Reader, RecordError, key, put_count, put_data32, put_principal32, put_time};
use crate::{AuthorizationData, Credential, HostAddress, Principal, TicketFlags};

mod records;

pub use records::{decode_credential, decode_principal, encode_credential, encode_principal};

/// The realm of entries that are settings, not tickets.
const CONFIG_REALM: &str = "X-CACHECONF:";
/// The first component of their names.
const CONFIG_NAME: &str = "krb5_ccache_conf_data";
/// Header field that holds the difference to the KDC's clock.
const TAG_KDC_OFFSET: u16 = 1;
/// The most entries that are read.
const MAX_ENTRIES: usize = 65_536;

/// What is wrong with a credential cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CcacheError {
    /// The first bytes are not those of a credential cache.
    #[error("not a credential cache: expected it to begin with 05 03 or 05 04")]
    NotACcache,
    /// A version that is not read: 1 and 2 depend on the byte order of the machine that wrote them.
    #[error("a credential cache of version {0}, expected 3 or 4")]
    Version(u8),
    /// The header or the default principal is malformed.
    #[error("header: {0}")]
    Header(RecordError),
    /// More entries than any cache has.
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// The most that are read.
        limit: usize,
    },
    /// An entry that stands alone, as caches outside of files keep them, is malformed.
    #[error("{0}")]
    Record(RecordError),
    /// More bytes than the entry has.
    #[error("{0} bytes behind the end of the entry")]
    Surplus(usize),
    /// An entry is malformed.
    #[error("entry {number}: {source}")]
    Entry {
        /// Number of the entry, from 1.
        number: usize,
        /// What is wrong with it.
        source: RecordError,
    },
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CcacheVersion {
    /// Format 3: no header, encryption types twice.
    V3,
    /// Format 4, in use since 1999: a header with the KDC's clock.
    #[default]
    V4,
}

/// How far the KDC's clock is ahead of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdcOffset {
    /// Seconds, negative if the KDC is behind.
    pub seconds: i32,
    /// Microseconds, of the same sign by custom.
    pub microseconds: i32,
}

impl KdcOffset {
    /// The offset that makes `local` read `kdc`.
    pub fn between(local: SystemTime, kdc: SystemTime) -> Self {
        let (sign, span) = match kdc.duration_since(local) {
            Ok(ahead) => (1, ahead),
            Err(behind) => (-1, behind.duration()),
        };
        let seconds = i32::try_from(span.as_secs()).unwrap_or(i32::MAX);
        Self { seconds: sign * seconds, microseconds: sign * span.subsec_micros().cast_signed() }
    }

    /// The KDC's time when the local clock shows `local`.
    pub fn apply(self, local: SystemTime) -> SystemTime {
        let micros = i64::from(self.seconds) * 1_000_000 + i64::from(self.microseconds);
        let span = Duration::from_micros(micros.unsigned_abs());
        let shifted = if micros < 0 { local.checked_sub(span) } else { local.checked_add(span) };
        shifted.unwrap_or(local)
    }
}

/// An entry as it stands in the file.
///
/// Settings and removed entries are kept as the credentials they are written as, so that a file is written again
/// to the same bytes; [`CredentialCache`]'s methods tell them apart.
type Entry = Credential;

/// A credential cache: whom it belongs to, that principal's tickets, and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialCache {
    /// The format to write.
    pub version: CcacheVersion,
    /// The difference to the KDC's clock, if the cache knows it (format 4 only).
    pub kdc_offset: Option<KdcOffset>,
    /// Header fields of other kinds, kept as they are.
    other_fields: Vec<(u16, Vec<u8>)>,
    /// Whose tickets these are, unless an entry says otherwise.
    pub principal: Principal,
    entries: Vec<Entry>,
}

impl CredentialCache {
    /// An empty cache.
    pub fn new(principal: Principal) -> Self {
        Self {
            version: CcacheVersion::V4,
            kdc_offset: None,
            other_fields: Vec::new(),
            principal,
            entries: Vec::new(),
        }
    }

    /// Reads a cache.
    ///
    /// # Errors
    /// [`CcacheError`] when the file is no credential cache or is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, CcacheError> {
        let mut reader = Reader::new(bytes);
        let version = match (reader.u8(), reader.u8()) {
            (Ok(5), Ok(3)) => CcacheVersion::V3,
            (Ok(5), Ok(4)) => CcacheVersion::V4,
            (Ok(5), Ok(version @ 1..=2)) => return Err(CcacheError::Version(version)),
            _ => return Err(CcacheError::NotACcache),
        };
        let (kdc_offset, other_fields) = match version {
            CcacheVersion::V3 => (None, Vec::new()),
            CcacheVersion::V4 => read_header(&mut reader).map_err(CcacheError::Header)?,
        };
        let principal = reader.principal32().map_err(CcacheError::Header)?;
        let mut entries = Vec::new();
        while !reader.is_empty() {
            if entries.len() >= MAX_ENTRIES {
                return Err(CcacheError::TooManyEntries { limit: MAX_ENTRIES });
            }
            let number = entries.len() + 1;
            let entry =
                read_entry(&mut reader, version).map_err(|source| CcacheError::Entry { number, source })?;
            entries.push(entry);
        }
        Ok(Self { version, kdc_offset, other_fields, principal, entries })
    }

    /// Writes the cache; what was read is written to the same bytes.
    ///
    /// # Errors
    /// [`CcacheError`] when a field is too long for the format or a time lies outside of 1970 to 2106.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CcacheError> {
        let mut out = vec![5, if self.version == CcacheVersion::V3 { 3 } else { 4 }];
        if self.version == CcacheVersion::V4 {
            self.write_header(&mut out).map_err(CcacheError::Header)?;
        }
        put_principal32(&mut out, &self.principal).map_err(CcacheError::Header)?;
        for (index, entry) in self.entries.iter().enumerate() {
            write_entry(&mut out, entry, self.version)
                .map_err(|source| CcacheError::Entry { number: index + 1, source })?;
        }
        Ok(out)
    }

    /// The tickets, in the order of the file: settings and removed entries left out.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.entries.iter().filter(|entry| !is_config(entry) && !is_removed(entry))
    }

    /// Everything the cache holds, settings and removed entries included, in the order of the file.
    pub fn entries(&self) -> &[Credential] {
        &self.entries
    }

    /// A cache of these entries, as [`entries`](Self::entries) gives them: for caches that are kept entry by entry.
    pub fn from_entries(principal: Principal, entries: Vec<Credential>) -> Self {
        Self { entries, ..Self::new(principal) }
    }

    /// Takes the tickets for a service out; says how many there were.
    pub fn remove(&mut self, server: &Principal) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| is_config(entry) || is_removed(entry) || entry.server != *server);
        before - self.entries.len()
    }

    /// The ticket for a service that is valid at `now` and for the longest time, for the cache's own principal.
    pub fn find(&self, server: &Principal, now: SystemTime) -> Option<&Credential> {
        self.credentials()
            .filter(|credential| {
                credential.server == *server
                    && credential.client == self.principal
                    && credential.is_current(now)
            })
            .max_by_key(|credential| credential.end_time)
    }

    /// The ticket-granting ticket of the principal's own realm, valid or not (so that one that has expired can be
    /// told from none at all).
    pub fn tgt(&self) -> Option<&Credential> {
        let server = Principal::krbtgt(self.principal.realm.clone(), &self.principal.realm);
        self.credentials()
            .filter(|credential| credential.server == server && credential.client == self.principal)
            .max_by_key(|credential| credential.end_time)
    }

    /// The KDC's time when the local clock shows `local`, as far as the cache knows the difference: the time to put
    /// into requests.
    pub fn kdc_time(&self, local: SystemTime) -> SystemTime {
        self.kdc_offset.map_or(local, |offset| offset.apply(local))
    }

    /// Adds a ticket in place of those for the same client and service.
    pub fn store(&mut self, credential: Credential) {
        self.entries.retain(|known| {
            is_config(known)
                || is_removed(known)
                || known.server != credential.server
                || known.client != credential.client
                || known.is_skey != credential.is_skey
                || known.second_ticket != credential.second_ticket
        });
        self.entries.push(credential);
    }

    /// A setting, such as `proxy_impersonator` or `fast_avail`, of the whole cache or of one service.
    pub fn setting(&self, key: &str, server: Option<&Principal>) -> Option<&[u8]> {
        let name = config_components(key, server);
        self.entries
            .iter()
            .find(|entry| is_config(entry) && entry.server.components == name)
            .map(|entry| entry.ticket.as_slice())
    }

    /// Makes a setting, in place of an earlier value.
    pub fn set_setting(&mut self, key: &str, server: Option<&Principal>, value: &[u8]) {
        let name = config_components(key, server);
        self.entries.retain(|entry| !is_config(entry) || entry.server.components != name);
        self.entries.push(Credential {
            client: self.principal.clone(),
            server: Principal {
                name_type: crate::NameType::PRINCIPAL,
                components: name,
                realm: CONFIG_REALM.to_owned(),
            },
            session_key: crate::binary::key(0, &[]),
            ticket: value.to_vec(),
            flags: TicketFlags::empty(),
            auth_time: UNIX_EPOCH,
            start_time: None,
            end_time: UNIX_EPOCH,
            renew_till: None,
            addresses: Vec::new(),
            authorization_data: Vec::new(),
            second_ticket: Vec::new(),
            is_skey: false,
        });
    }

    fn write_header(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let mut header = Vec::new();
        if let Some(offset) = self.kdc_offset {
            header.extend_from_slice(&TAG_KDC_OFFSET.to_be_bytes());
            header.extend_from_slice(&8u16.to_be_bytes());
            header.extend_from_slice(&offset.seconds.to_be_bytes());
            header.extend_from_slice(&offset.microseconds.to_be_bytes());
        }
        for (tag, data) in &self.other_fields {
            header.extend_from_slice(&tag.to_be_bytes());
            crate::binary::put_data16(&mut header, data)?;
        }
        crate::binary::put_data16(out, &header)
    }
}

type Header = (Option<KdcOffset>, Vec<(u16, Vec<u8>)>);

fn read_header(reader: &mut Reader<'_>) -> Result<Header, RecordError> {
    let mut fields = Reader::new(reader.data16()?);
    let mut kdc_offset = None;
    let mut others = Vec::new();
    while !fields.is_empty() {
        let tag = fields.u16()?;
        let data = fields.data16()?;
        let mut value = Reader::new(data);
        match (tag, data.len(), kdc_offset) {
            (TAG_KDC_OFFSET, 8, None) => {
                kdc_offset = Some(KdcOffset { seconds: value.i32()?, microseconds: value.i32()? });
            }
            _ => others.push((tag, data.to_vec())),
        }
    }
    Ok((kdc_offset, others))
}

fn read_entry(reader: &mut Reader<'_>, version: CcacheVersion) -> Result<Entry, RecordError> {
    let client = reader.principal32()?;
    let server = reader.principal32()?;
    let etype = reader.u16()?;
    if version == CcacheVersion::V3 {
        reader.u16()?;
    }
    let session_key = key(etype, reader.data32()?);
    let auth_time = reader.time()?;
    let start_time = Some(reader.time()?).filter(|time| *time != UNIX_EPOCH);
    let end_time = reader.time()?;
    let renew_till = Some(reader.time()?).filter(|time| *time != UNIX_EPOCH);
    let is_skey = reader.u8()? != 0;
    let flags = TicketFlags::from_bits_retain(reader.u32()?);
    let mut addresses = Vec::new();
    for _ in 0..reader.count()? {
        let address_type = i32::from(reader.u16()?.cast_signed());
        addresses.push(HostAddress { address_type, address: reader.data32()?.to_vec() });
    }
    let mut authorization_data = Vec::new();
    for _ in 0..reader.count()? {
        let ad_type = i32::from(reader.u16()?.cast_signed());
        authorization_data.push(AuthorizationData { ad_type, data: reader.data32()?.to_vec() });
    }
    Ok(Credential {
        client,
        server,
        session_key,
        ticket: reader.data32()?.to_vec(),
        flags,
        auth_time,
        start_time,
        end_time,
        renew_till,
        addresses,
        authorization_data,
        second_ticket: reader.data32()?.to_vec(),
        is_skey,
    })
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry, version: CcacheVersion) -> Result<(), RecordError> {
    let short = |number: i32| i16::try_from(number).map_err(|_| RecordError::DoesNotFit);
    put_principal32(out, &entry.client)?;
    put_principal32(out, &entry.server)?;
    let etype = short(entry.session_key.etype.number())?;
    out.extend_from_slice(&etype.to_be_bytes());
    if version == CcacheVersion::V3 {
        out.extend_from_slice(&etype.to_be_bytes());
    }
    put_data32(out, entry.session_key.value.expose())?;
    put_time(out, entry.auth_time)?;
    put_time(out, entry.start_time.unwrap_or(UNIX_EPOCH))?;
    put_time(out, entry.end_time)?;
    put_time(out, entry.renew_till.unwrap_or(UNIX_EPOCH))?;
    out.push(entry.is_skey.into());
    out.extend_from_slice(&entry.flags.bits().to_be_bytes());
    put_count(out, entry.addresses.len())?;
    for address in &entry.addresses {
        out.extend_from_slice(&short(address.address_type)?.to_be_bytes());
        put_data32(out, &address.address)?;
    }
    put_count(out, entry.authorization_data.len())?;
    for element in &entry.authorization_data {
        out.extend_from_slice(&short(element.ad_type)?.to_be_bytes());
        put_data32(out, &element.data)?;
    }
    put_data32(out, &entry.ticket)?;
    put_data32(out, &entry.second_ticket)
}

fn is_config(entry: &Entry) -> bool {
    entry.server.realm == CONFIG_REALM
        && entry.server.components.first().is_some_and(|first| first == CONFIG_NAME)
}

/// MIT marks a removed ticket by times that no ticket has, and a removed setting by another realm.
fn is_removed(entry: &Entry) -> bool {
    let never = UNIX_EPOCH + Duration::from_secs(u32::MAX.into());
    (entry.end_time == UNIX_EPOCH && entry.auth_time == never)
        || entry.server.components.first().is_some_and(|first| first == CONFIG_NAME)
            && entry.server.realm != CONFIG_REALM
}

fn config_components(key: &str, server: Option<&Principal>) -> Vec<String> {
    let mut components = vec![CONFIG_NAME.to_owned(), key.to_owned()];
    components.extend(server.map(ToString::to_string));
    components
}

#[cfg(test)]
mod tests;
