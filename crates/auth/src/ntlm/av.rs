use std::fmt;

use super::NtlmError;

/// The most pairs that are read.
const MAX_PAIRS: usize = 32;

/// What an AV pair is ([MS-NLMP] 2.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AvId(pub u16);

impl AvId {
    pub(crate) const EOL: AvId = AvId(0);
    /// The server's NetBIOS name.
    pub const NB_COMPUTER_NAME: AvId = AvId(1);
    /// The NetBIOS name of the server's domain.
    pub const NB_DOMAIN_NAME: AvId = AvId(2);
    /// The server's DNS name.
    pub const DNS_COMPUTER_NAME: AvId = AvId(3);
    /// The DNS name of the server's domain.
    pub const DNS_DOMAIN_NAME: AvId = AvId(4);
    /// The DNS name of the forest.
    pub const DNS_TREE_NAME: AvId = AvId(5);
    /// Flags of the client.
    pub const FLAGS: AvId = AvId(6);
    /// The server's time.
    pub const TIMESTAMP: AvId = AvId(7);
    /// What the client's machine says about itself.
    pub const SINGLE_HOST: AvId = AvId(8);
    /// The service principal name that the client means.
    pub const TARGET_NAME: AvId = AvId(9);
    /// MD5 over the channel bindings.
    pub const CHANNEL_BINDINGS: AvId = AvId(10);

    /// The specification's name.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 11] = [
            "MsvAvEOL",
            "MsvAvNbComputerName",
            "MsvAvNbDomainName",
            "MsvAvDnsComputerName",
            "MsvAvDnsDomainName",
            "MsvAvDnsTreeName",
            "MsvAvFlags",
            "MsvAvTimestamp",
            "MsvAvSingleHost",
            "MsvAvTargetName",
            "MsvAvChannelBindings",
        ];
        NAMES.get(usize::from(self.0)).copied()
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self.0, 1..=5 | 9)
    }
}

impl fmt::Display for AvId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "AvId {}", self.0),
        }
    }
}

/// The bits of MsvAvFlags.
pub(crate) struct AvFlags;

impl AvFlags {
    /// The AUTHENTICATE message has a MIC.
    pub(crate) const MIC: u32 = 2;
    /// The target name came from a source that is not trusted.
    pub(crate) const UNTRUSTED_TARGET: u32 = 4;
}

/// A list of AV pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AvPairs(Vec<(AvId, Vec<u8>)>);

impl AvPairs {
    /// Reads up to the end-of-list pair; what follows it is padding.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, NtlmError> {
        let mut pairs = Self::default();
        loop {
            let (id, rest) = bytes.split_first_chunk().ok_or(NtlmError::Malformed("AV pairs end early"))?;
            let (length, rest) =
                rest.split_first_chunk().ok_or(NtlmError::Malformed("AV pairs end early"))?;
            let (id, length) = (AvId(u16::from_le_bytes(*id)), usize::from(u16::from_le_bytes(*length)));
            if id == AvId::EOL {
                return Ok(pairs);
            }
            let (value, rest) =
                rest.split_at_checked(length).ok_or(NtlmError::Malformed("an AV pair ends early"))?;
            if pairs.0.len() == MAX_PAIRS {
                return Err(NtlmError::Malformed("too many AV pairs"));
            }
            if pairs.get(id).is_some() {
                return Err(NtlmError::Malformed("an AV pair comes twice"));
            }
            pairs.0.push((id, value.to_vec()));
            bytes = rest;
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, value) in &self.0 {
            out.extend(id.0.to_le_bytes());
            out.extend((value.len() as u16).to_le_bytes());
            out.extend(value);
        }
        out.extend([0; 4]);
        out
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AvId, &[u8])> {
        self.0.iter().map(|(id, value)| (*id, value.as_slice()))
    }

    pub(crate) fn get(&self, id: AvId) -> Option<&[u8]> {
        self.iter().find_map(|(known, value)| (known == id).then_some(value))
    }

    pub(crate) fn number(&self, id: AvId) -> Option<u32> {
        self.get(id)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Sets a pair; values longer than a pair can hold are cut.
    pub(crate) fn set(&mut self, id: AvId, mut value: Vec<u8>) {
        value.truncate(usize::from(u16::MAX));
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, old)) => *old = value,
            None => self.0.push((id, value)),
        }
    }

    pub(crate) fn remove(&mut self, id: AvId) {
        self.0.retain(|(known, _)| *known != id);
    }
}
