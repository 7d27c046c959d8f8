//! The authenticator's checksum 0x8003 (RFC 4121 4.1.1): flags, channel bindings, delegated credentials.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::{ChannelBindings, GssFlags};
use crate::ap::Checksum;
use crate::asn1::{self, decode, encode, malformed};
use crate::{AuthorizationData, Error};

pub(super) const CHECKSUM_TYPE: i32 = 0x8003;
const AD_IF_RELEVANT: i32 = 1;
/// KERB_AUTH_DATA_AP_OPTIONS ([MS-KILE] 2.2.6).
const AD_AP_OPTIONS: i32 = 143;
/// KERB_AP_OPTIONS_CBT ([MS-KILE] 3.2.5.8).
const AP_OPTIONS_CBT: u32 = 0x4000;

/// What the checksum says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parameters {
    pub flags: GssFlags,
    /// MD5 of the channel bindings, zeros if there are none.
    pub bindings: [u8; 16],
    /// The KRB-CRED message.
    pub delegation: Option<Vec<u8>>,
}

impl Parameters {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(28 + self.delegation.as_ref().map_or(0, Vec::len));
        out.extend_from_slice(&16u32.to_le_bytes());
        out.extend_from_slice(&self.bindings);
        out.extend_from_slice(&self.flags.bits().to_le_bytes());
        if let Some(message) = &self.delegation {
            let limit = usize::from(u16::MAX);
            let length = u16::try_from(message.len())
                .map_err(|_| Error::Limit { what: "the length of a delegated credential", limit })?;
            out.extend_from_slice(&1u16.to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(message);
        }
        Ok(out)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let bad = |detail: &str| malformed("authenticator checksum", detail);
        let short = || bad("it is too short");
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        if u32::from_le_bytes(*length) != 16 {
            return Err(bad("the bindings are not 16 bytes long"));
        }
        let (bindings, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
        let (flags, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let flags = GssFlags::from_bits_retain(u32::from_le_bytes(*flags));
        // Without the flag, what follows are extensions. With it and nothing following, a client that had nothing.
        let delegation = match (flags.contains(GssFlags::DELEG), rest) {
            (false, _) | (true, []) => None,
            (true, _) => {
                let (option, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
                if u16::from_le_bytes(*option) != 1 {
                    return Err(bad("its delegation option is not 1"));
                }
                let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
                Some(rest.get(..usize::from(u16::from_le_bytes(*length))).ok_or_else(short)?.to_vec())
            }
        };
        Ok(Self { flags, bindings: *bindings, delegation })
    }

    pub(super) fn from_checksum(checksum: Option<&Checksum>) -> Result<Self, Error> {
        match checksum {
            Some(c) if c.checksum_type == CHECKSUM_TYPE => Self::parse(&c.value),
            other => Err(Error::Unexpected {
                expected: "an authenticator checksum of type 0x8003",
                got: other.map_or_else(|| "none".to_owned(), |c| format!("type {:#x}", c.checksum_type)),
            }),
        }
    }

    pub(super) fn has_bindings(&self) -> bool {
        self.bindings != [0; 16]
    }

    pub(super) fn matches(&self, bindings: &ChannelBindings) -> bool {
        self.bindings.ct_eq(&hash(bindings)).into()
    }
}

/// MD5 over the bindings, every number little-endian (RFC 4121 4.1.1.2).
pub(super) fn hash(bindings: &ChannelBindings) -> [u8; 16] {
    let mut md5 = Md5::new();
    let length = |data: &[u8]| u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
    for (address_type, address) in [&bindings.initiator_address, &bindings.acceptor_address] {
        md5.update(address_type.to_le_bytes());
        md5.update(length(address));
        md5.update(address);
    }
    md5.update(length(&bindings.application_data));
    md5.update(&bindings.application_data);
    md5.finalize().into()
}

/// KERB_AP_OPTIONS_CBT as authorization data of the authenticator: four bytes, little-endian, inside
/// AD-IF-RELEVANT.
pub(super) fn advertise_bindings() -> Result<AuthorizationData, Error> {
    let inner = AuthorizationData { ad_type: AD_AP_OPTIONS, data: AP_OPTIONS_CBT.to_le_bytes().to_vec() };
    let list = asn1::auth_data(&[inner]).unwrap_or_default();
    Ok(AuthorizationData { ad_type: AD_IF_RELEVANT, data: encode("AuthorizationData", &list)? })
}

/// True if the authenticator has KERB_AP_OPTIONS_CBT.
pub(super) fn advertises_bindings(elements: &[AuthorizationData]) -> bool {
    let option = |e: &AuthorizationData| {
        e.ad_type == AD_AP_OPTIONS
            && e.data.as_slice().try_into().is_ok_and(|b| u32::from_le_bytes(b) & AP_OPTIONS_CBT != 0)
    };
    elements.iter().any(|e| match e.ad_type {
        AD_IF_RELEVANT => decode::<Vec<asn1::AuthData>>("AuthorizationData", &e.data)
            .is_ok_and(|list| asn1::authorization_data(Some(&list)).iter().any(option)),
        _ => option(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cbt_option_is_four_little_endian_bytes() {
        let element = advertise_bindings().unwrap();
        // SEQUENCE { SEQUENCE { [0] 143, [1] 00 40 00 00 } }
        let expected = b"\x30\x10\x30\x0e\xa0\x04\x02\x02\x00\x8f\xa1\x06\x04\x04\x00\x40\x00\x00";
        assert_eq!((element.ad_type, element.data.as_slice()), (1, &expected[..]));
        assert!(advertises_bindings(&[element]));
        let two_bytes = AuthorizationData { ad_type: AD_AP_OPTIONS, data: vec![0x40, 0] };
        assert!(!advertises_bindings(&[two_bytes]));
    }

    #[test]
    fn the_hash_covers_every_field() {
        let data =
            ChannelBindings { application_data: b"tls-server-end-point:x".to_vec(), ..Default::default() };
        // MD5 of 16 zero bytes, 16000000 and the data.
        let mut whole = vec![0; 16];
        whole.extend_from_slice(&22u32.to_le_bytes());
        whole.extend_from_slice(&data.application_data);
        assert_eq!(hash(&data), <[u8; 16]>::from(Md5::digest(&whole)));
        let with_address = ChannelBindings { initiator_address: (2, vec![1, 2, 3, 4]), ..data.clone() };
        assert_ne!(hash(&data), hash(&with_address));
    }

    #[test]
    fn parameters_round_trip_and_short_ones_are_refused() {
        let p = Parameters {
            flags: GssFlags::DELEG | GssFlags::MUTUAL,
            bindings: [9; 16],
            delegation: Some(vec![1, 2, 3]),
        };
        let bytes = p.to_bytes().unwrap();
        assert_eq!(Parameters::parse(&bytes).unwrap(), p);
        for cut in 0..bytes.len() {
            assert_eq!(Parameters::parse(&bytes[..cut]).is_ok(), cut == 24, "{cut}");
        }
        let huge = Parameters { delegation: Some(vec![0; 65_536]), ..p };
        assert!(matches!(huge.to_bytes(), Err(Error::Limit { .. })));
    }
}
