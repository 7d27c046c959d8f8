//! S4U_DELEGATION_INFO ([MS-PAC] 2.9): by which services a ticket came about.

use super::ndr::{Reader, Writer};
use crate::Error;
use crate::asn1::malformed;

/// The most services that are read.
const MAX_SERVICES: usize = 256;

/// The services that a user's ticket was handed on by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DelegationInfo {
    /// The service that the ticket is for, without its realm.
    pub target: String,
    /// Those that asked for it in the user's name, with their realms, the first first.
    pub services: Vec<String>,
}

impl DelegationInfo {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new();
        writer.string(&self.target)?;
        let count = u32::try_from(self.services.len());
        writer.u32(count.map_err(|_| malformed("S4U_DELEGATION_INFO", "too many services"))?);
        writer.strings(&self.services)?;
        writer.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes)?;
        reader.take(4)?;
        let target_pointer = reader.u32()?;
        let count = reader.u32()?;
        let list_pointer = reader.u32()?;
        let target = if target_pointer == 0 { String::new() } else { reader.characters()? };
        let mut info = Self { target, services: Vec::new() };
        if list_pointer == 0 {
            return Ok(info);
        }
        if reader.u32()? != count {
            return Err(malformed("S4U_DELEGATION_INFO", "two different numbers of services"));
        }
        if count as usize > MAX_SERVICES {
            return Err(Error::Limit { what: "services in S4U_DELEGATION_INFO", limit: MAX_SERVICES });
        }
        let pointers = (0..count)
            .map(|_| {
                reader.take(4)?;
                reader.u32()
            })
            .collect::<Result<Vec<u32>, Error>>()?;
        for pointer in pointers {
            info.services.push(if pointer == 0 { String::new() } else { reader.characters()? });
        }
        Ok(info)
    }
}
