//! The PAC ([MS-PAC]): what a KDC says about a ticket's client to the services, and its seal on it.

mod delegation_info;
mod logon_info;
mod ndr;
#[cfg(test)]
mod tests;
mod upn_dns_info;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::asn1::{self, decode, encode, malformed};
use crate::crypto::KeyUsage;
use crate::{AuthorizationData, EncTicketPart, EncryptionKey, Error, Principal};

pub(crate) use delegation_info::DelegationInfo;
pub(crate) use logon_info::LogonInfo;

/// Kinds of buffers ([MS-PAC] 2.4).
pub(crate) mod kind {
    pub(crate) const LOGON_INFO: u32 = 1;
    pub(crate) const SERVER_CHECKSUM: u32 = 6;
    pub(crate) const KDC_CHECKSUM: u32 = 7;
    pub(crate) const CLIENT_INFO: u32 = 10;
    pub(crate) const DELEGATION_INFO: u32 = 11;
    pub(crate) const UPN_DNS_INFO: u32 = 12;
    pub(crate) const TICKET_CHECKSUM: u32 = 16;
    pub(crate) const FULL_CHECKSUM: u32 = 19;
}

/// AD-IF-RELEVANT (RFC 4120 5.2.6.1), which a PAC stands in.
const AD_IF_RELEVANT: i32 = 1;
/// AD-WIN2K-PAC.
const AD_PAC: i32 = 128;
/// All checksums in a PAC ([MS-PAC] 2.8.1).
const CHECKSUM: KeyUsage = KeyUsage(17);
/// The most buffers that are read; ten are in use.
const MAX_BUFFERS: usize = 64;
const WHAT: &str = "PAC";
const SIGNATURES: [u32; 4] =
    [kind::SERVER_CHECKSUM, kind::KDC_CHECKSUM, kind::TICKET_CHECKSUM, kind::FULL_CHECKSUM];

/// A PAC: buffers of several kinds, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pac {
    buffers: Vec<(u32, Vec<u8>)>,
}

impl Pac {
    /// A PAC about a client, without signatures.
    pub(crate) fn new(info: &LogonInfo, client: &Principal, auth_time: SystemTime) -> Result<Self, Error> {
        let mut pac = Self::default();
        pac.set(kind::LOGON_INFO, info.encode()?);
        pac.set_client(&client.components.join("/"), auth_time)?;
        pac.set(kind::UPN_DNS_INFO, upn_dns_info::encode(info)?);
        Ok(pac)
    }

    /// Reads a PAC ([MS-PAC] 2.3).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |detail: &str| malformed(WHAT, detail);
        let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word));
        let count = word(0).ok_or_else(|| wrong("it is cut short"))? as usize;
        if word(4) != Some(0) {
            return Err(wrong("its version is not 0"));
        }
        if count > MAX_BUFFERS {
            return Err(Error::Limit { what: "buffers in a PAC", limit: MAX_BUFFERS });
        }
        let (mut pac, mut total) = (Self::default(), 0_usize);
        for index in 0..count {
            let header = 8 + 16 * index;
            let field = |at| word(header + at).ok_or_else(|| wrong("it is cut short"));
            let (kind, size, offset) = (field(0)?, field(4)? as usize, field(8)? as usize);
            let data = offset.checked_add(size).and_then(|end| bytes.get(offset..end));
            let data = data.filter(|_| field(12) == Ok(0) && offset >= 8 + 16 * count);
            let data = data.ok_or_else(|| wrong("a buffer lies outside of it"))?;
            if pac.get(kind).is_some() {
                return Err(wrong("two buffers of one kind"));
            }
            total = total.saturating_add(size);
            if total > bytes.len().saturating_sub(8 + 16 * count) {
                return Err(wrong("buffers overlap"));
            }
            pac.buffers.push((kind, data.to_vec()));
        }
        Ok(pac)
    }

    /// Writes the PAC.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let word = |number: usize| {
            u32::try_from(number).map(u32::to_le_bytes).map_err(|_| malformed(WHAT, "it is too large"))
        };
        let mut head = [word(self.buffers.len())?, word(0)?].concat();
        let mut body = Vec::new();
        let start = 8 + 16 * self.buffers.len();
        for (kind, data) in &self.buffers {
            head.extend(kind.to_le_bytes());
            head.extend([word(data.len())?, word(start + body.len())?, word(0)?].concat());
            body.extend_from_slice(data);
            body.resize(body.len().next_multiple_of(8), 0);
        }
        head.append(&mut body);
        Ok(head)
    }

    /// The buffer of a kind.
    pub(crate) fn get(&self, kind: u32) -> Option<&[u8]> {
        self.buffers.iter().find(|(k, _)| *k == kind).map(|(_, data)| data.as_slice())
    }

    /// Puts a buffer in place of the one of its kind.
    pub(crate) fn set(&mut self, kind: u32, data: Vec<u8>) {
        match self.buffers.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, old)) => *old = data,
            None => self.buffers.push((kind, data)),
        }
    }

    /// Whether it is about this client, who authenticated at this time ([MS-PAC] 2.7).
    pub(crate) fn is_about(&self, client: &Principal, auth_time: SystemTime) -> bool {
        self.is_named(&client.components.join("/"), auth_time)
    }

    /// Whether it has this name in it, and this time.
    pub(crate) fn is_named(&self, name: &str, auth_time: SystemTime) -> bool {
        let expected = client_info(name, auth_time).ok();
        expected.is_some_and(|expected| self.get(kind::CLIENT_INFO) == Some(&expected))
    }

    /// The user principal name ([MS-PAC] 2.10).
    pub(crate) fn upn(&self) -> Option<String> {
        self.upn_text(0)
    }

    /// The name of the account, where the directory tells it beside the user principal name.
    pub(crate) fn account_name(&self) -> Option<String> {
        /// The buffer goes on after the flags.
        const EXTENDED: u8 = 2;
        let flags = self.get(kind::UPN_DNS_INFO)?.get(8)?;
        if flags & EXTENDED == 0 { None } else { self.upn_text(12) }
    }

    /// A text whose length and place stand there in the buffer.
    fn upn_text(&self, at: usize) -> Option<String> {
        let data = self.get(kind::UPN_DNS_INFO)?;
        let half =
            |at: usize| data.get(at..)?.first_chunk().map(|half| usize::from(u16::from_le_bytes(*half)));
        let (length, offset) = (half(at)?, half(at + 2)?);
        let units = data.get(offset..offset.checked_add(length)?)?.chunks_exact(2);
        let units: Vec<u16> = units.filter_map(|c| c.first_chunk()).map(|c| u16::from_le_bytes(*c)).collect();
        String::from_utf16(&units).ok().filter(|name| !name.is_empty())
    }

    /// Puts another name into it.
    pub(crate) fn set_client(&mut self, name: &str, auth_time: SystemTime) -> Result<(), Error> {
        self.set(kind::CLIENT_INFO, client_info(name, auth_time)?);
        Ok(())
    }

    /// The client that it names together with a realm ([`full_name`]).
    pub(crate) fn far_client(&self, auth_time: SystemTime) -> Option<Principal> {
        let units = self.get(kind::CLIENT_INFO)?.get(10..)?.chunks_exact(2);
        let units: Vec<u16> = units.filter_map(|c| c.first_chunk()).map(|c| u16::from_le_bytes(*c)).collect();
        let name = String::from_utf16(&units).ok()?;
        let client = Principal::parse(&name, None).ok()?;
        (full_name(&client) == name && self.is_named(&name, auth_time)).then_some(client)
    }

    /// Signs it and puts it first into the ticket's authorization data, in place of whatever was there
    /// ([MS-PAC] 2.8). A ticket for anything but a ticket-granting service is signed as a whole.
    pub(crate) fn seal_into(
        mut self,
        part: &mut EncTicketPart,
        whole: bool,
        server: &EncryptionKey,
        kdc: &EncryptionKey,
    ) -> Result<(), Error> {
        self.buffers.retain(|(kind, _)| !SIGNATURES.contains(kind));
        part.authorization_data = without_pac(&part.authorization_data);
        part.authorization_data.insert(0, container(vec![0])?);
        if whole {
            let signature = sign(kdc, part.to_der()?.expose())?;
            self.set(kind::TICKET_CHECKSUM, signature);
        }
        self.set(kind::SERVER_CHECKSUM, blank(server)?);
        self.set(kind::KDC_CHECKSUM, blank(kdc)?);
        if whole {
            self.set(kind::FULL_CHECKSUM, blank(kdc)?);
            let signature = sign(kdc, &self.to_bytes()?)?;
            self.set(kind::FULL_CHECKSUM, signature);
        }
        let signature = sign(server, &self.to_bytes()?)?;
        self.set(kind::KDC_CHECKSUM, sign(kdc, signature.get(4..).unwrap_or_default())?);
        self.set(kind::SERVER_CHECKSUM, signature);
        if let Some(first) = part.authorization_data.first_mut() {
            *first = container(self.to_bytes()?)?;
        }
        Ok(())
    }

    /// The PAC in a ticket, if there is one, after a check of all the signatures that a KDC with one of these keys
    /// made on a ticket for a server with this key.
    pub(crate) fn open(
        part: &EncTicketPart,
        whole: bool,
        server: &EncryptionKey,
        kdc: &[&EncryptionKey],
    ) -> Result<Option<Self>, Error> {
        let Some(pac) = Self::open_foreign(part, server)? else { return Ok(None) };
        let bytes = find(&part.authorization_data)?.unwrap_or_default();
        let missing = Error::Integrity(WHAT);
        let signature = |kind| pac.signature(kind);
        let (by_server, by_kdc) = (signature(kind::SERVER_CHECKSUM)?, signature(kind::KDC_CHECKSUM)?);
        // Over the server's signature without its type, and without what may follow it.
        let length = server.checksum_key(CHECKSUM)?.length();
        let signed = by_server.get(4..4 + length).ok_or(missing.clone())?;
        verify(kdc, signed, by_kdc)?;
        if whole {
            let kinds = [kind::SERVER_CHECKSUM, kind::KDC_CHECKSUM, kind::FULL_CHECKSUM];
            verify(kdc, &blanked(&bytes, &kinds)?, signature(kind::FULL_CHECKSUM)?)?;
            let mut unsigned = part.clone();
            unsigned.authorization_data = replace(&part.authorization_data, &[0])?;
            verify(kdc, unsigned.to_der()?.expose(), signature(kind::TICKET_CHECKSUM)?)?;
        }
        Ok(Some(pac))
    }

    /// The PAC in a ticket, after a check of the signature that was made with the server's key: all that can be
    /// checked of another realm's.
    pub(crate) fn open_foreign(part: &EncTicketPart, server: &EncryptionKey) -> Result<Option<Self>, Error> {
        let Some(bytes) = find(&part.authorization_data)? else { return Ok(None) };
        let pac = Self::parse(&bytes)?;
        let unsigned = blanked(&bytes, &[kind::SERVER_CHECKSUM, kind::KDC_CHECKSUM])?;
        verify(&[server], &unsigned, pac.signature(kind::SERVER_CHECKSUM)?)?;
        Ok(Some(pac))
    }

    /// Whether any security identifier in it is one of this realm's.
    pub(crate) fn names_domain(&self, realm: &str) -> bool {
        let domain = logon_info::domain(realm);
        self.buffers.iter().any(|(_, data)| data.windows(domain.len()).any(|window| window == domain))
    }

    fn signature(&self, kind: u32) -> Result<&[u8], Error> {
        self.get(kind).filter(|signature| signature.len() > 4).ok_or(Error::Integrity(WHAT))
    }
}

/// A signature ([MS-PAC] 2.8): the type of checksum, the checksum.
fn sign(key: &EncryptionKey, data: &[u8]) -> Result<Vec<u8>, Error> {
    let checksum_type = key.etype.checksum_type().ok_or(Error::UnsupportedEncryptionType(key.etype))?;
    let mut signature = checksum_type.to_le_bytes().to_vec();
    signature.extend(key.checksum_key(CHECKSUM)?.checksum(&[data]));
    Ok(signature)
}

/// A signature with zeros for the checksum, as the others are made over it.
fn blank(key: &EncryptionKey) -> Result<Vec<u8>, Error> {
    let mut signature = sign(key, &[])?;
    signature.iter_mut().skip(4).for_each(|byte| *byte = 0);
    Ok(signature)
}

fn verify(keys: &[&EncryptionKey], data: &[u8], signature: &[u8]) -> Result<(), Error> {
    let (checksum_type, checksum) = signature.split_first_chunk().ok_or(Error::Integrity(WHAT))?;
    let checksum_type = i32::from_le_bytes(*checksum_type);
    let good = keys.iter().any(|key| {
        key.etype.checksum_type() == Some(checksum_type)
            && key.checksum_key(CHECKSUM).is_ok_and(|key| {
                let checksum = checksum.get(..key.length()).unwrap_or_default();
                key.verify(&[data], checksum, WHAT).is_ok()
            })
    });
    if good { Ok(()) } else { Err(Error::Integrity(WHAT)) }
}

/// The PAC as it came, with zeros for the checksums of these kinds.
fn blanked(bytes: &[u8], kinds: &[u32]) -> Result<Vec<u8>, Error> {
    let mut out = bytes.to_vec();
    let word =
        |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |w| u32::from_le_bytes(*w));
    let count = (word(0) as usize).min(MAX_BUFFERS);
    for header in (0..count).map(|index| 8 + 16 * index) {
        let (kind, size, offset) = (word(header), word(header + 4) as usize, word(header + 8) as usize);
        if kinds.contains(&kind) {
            let checksum = offset.checked_add(4).zip(offset.checked_add(size));
            let checksum = checksum.and_then(|(start, end)| out.get_mut(start..end));
            checksum.ok_or(Error::Integrity(WHAT))?.fill(0);
        }
    }
    Ok(out)
}

/// A name with its realm, as it stands in a PAC that goes between realms in a service's hand.
pub(crate) fn full_name(client: &Principal) -> String {
    format!("{}@{}", client.components.join("/"), client.realm)
}

/// PAC_CLIENT_INFO ([MS-PAC] 2.7): when the client authenticated, and its name.
fn client_info(name: &str, auth_time: SystemTime) -> Result<Vec<u8>, Error> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(name.len()).map_err(|_| malformed(WHAT, "the client's name is too long"))?;
    let mut info = filetime(auth_time).to_le_bytes().to_vec();
    info.extend(length.to_le_bytes());
    info.extend(name);
    Ok(info)
}

/// FILETIME ([MS-DTYP] 2.3.3): tenths of microseconds since 1601.
fn filetime(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    116_444_736_000_000_000 + u64::try_from(since.as_nanos() / 100).unwrap_or(0)
}

/// Authorization data without any PAC, wherever it stands.
pub(crate) fn without_pac(list: &[AuthorizationData]) -> Vec<AuthorizationData> {
    let no_pac = |element: &&AuthorizationData| match element.ad_type {
        AD_PAC => false,
        // What cannot be read could hold one for somebody who reads it otherwise.
        AD_IF_RELEVANT => inner(element).is_ok_and(|inner| inner.iter().all(|e| e.ad_type != AD_PAC)),
        _ => true,
    };
    list.iter().filter(no_pac).cloned().collect()
}

/// The bytes of the PAC in authorization data.
fn find(list: &[AuthorizationData]) -> Result<Option<Vec<u8>>, Error> {
    let mut found = None;
    for element in list.iter().filter(|element| element.ad_type == AD_IF_RELEVANT) {
        let inner = inner(element)?;
        let mut pacs = inner.iter().filter(|inner| inner.ad_type == AD_PAC);
        let Some(pac) = pacs.next() else { continue };
        if found.replace(pac.data.clone()).is_some() || pacs.next().is_some() {
            return Err(malformed(WHAT, "there are two"));
        }
        // The ticket's checksum is made over the container as we write it.
        if wrap(&inner)? != *element {
            return Err(malformed(WHAT, "its container is not in DER"));
        }
    }
    Ok(found)
}

/// The authorization data with other bytes for the PAC.
fn replace(list: &[AuthorizationData], bytes: &[u8]) -> Result<Vec<AuthorizationData>, Error> {
    list.iter()
        .map(|element| {
            if element.ad_type != AD_IF_RELEVANT {
                return Ok(element.clone());
            }
            let mut inner = inner(element)?;
            if inner.iter().all(|e| e.ad_type != AD_PAC) {
                return Ok(element.clone());
            }
            inner.iter_mut().filter(|e| e.ad_type == AD_PAC).for_each(|e| e.data = bytes.to_vec());
            wrap(&inner)
        })
        .collect()
}

fn inner(element: &AuthorizationData) -> Result<Vec<AuthorizationData>, Error> {
    Ok(asn1::authorization_data(Some(&decode("AD-IF-RELEVANT", &element.data)?)))
}

fn container(pac: Vec<u8>) -> Result<AuthorizationData, Error> {
    wrap(&[AuthorizationData { ad_type: AD_PAC, data: pac }])
}

fn wrap(list: &[AuthorizationData]) -> Result<AuthorizationData, Error> {
    let list = asn1::auth_data(list).unwrap_or_default();
    Ok(AuthorizationData { ad_type: AD_IF_RELEVANT, data: encode("AD-IF-RELEVANT", &list)? })
}
