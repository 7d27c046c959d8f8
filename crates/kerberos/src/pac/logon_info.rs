//! KERB_VALIDATION_INFO ([MS-PAC] 2.5): what a domain knows about a user, here the little that a realm knows.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::filetime;
use super::ndr::Writer;
use crate::{Error, Principal};

/// A time that never comes.
const NEVER: u64 = 0x7fff_ffff_ffff_ffff;
/// Domain Users.
const USERS: u32 = 513;
/// SE_GROUP_MANDATORY, SE_GROUP_ENABLED_BY_DEFAULT, SE_GROUP_ENABLED.
const ENABLED: u32 = 7;
/// USER_NORMAL_ACCOUNT, USER_WORKSTATION_TRUST_ACCOUNT, USER_NOT_DELEGATED,
/// USER_TRUSTED_TO_AUTHENTICATE_FOR_DELEGATION ([MS-SAMR] 2.2.1.12).
const NORMAL_ACCOUNT: u32 = 0x10;
const SERVICE_ACCOUNT: u32 = 0x80;
const NOT_DELEGATED: u32 = 0x4000;
const TRUSTED_TO_AUTH: u32 = 0x4_0000;

/// A user, as a realm without a directory knows one. Identifiers of the realm and of the user are made of their
/// names, so that they stay the same without a place to keep them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogonInfo {
    pub client: Principal,
    pub auth_time: SystemTime,
    pub not_delegated: bool,
    pub trusted_to_auth: bool,
}

impl LogonInfo {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut w = Writer::new();
        // LogonTime, LogoffTime, KickOffTime, PasswordLastSet, PasswordCanChange, PasswordMustChange
        w.time(filetime(self.auth_time));
        [NEVER, NEVER, 0, 0, NEVER].into_iter().for_each(|time| w.time(time));
        let name = self.client.components.join("/");
        // EffectiveName, FullName, LogonScript, ProfilePath, HomeDirectory, HomeDirectoryDrive
        [&name, &name, "", "", "", ""].into_iter().try_for_each(|text| w.string(text))?;
        // LogonCount, BadPasswordCount
        w.u16(0);
        w.u16(0);
        w.u32(self.user_id());
        w.u32(USERS);
        w.u32(1);
        w.pointer();
        w.defer(&[1_u32.to_le_bytes(), USERS.to_le_bytes(), ENABLED.to_le_bytes()].concat());
        // UserFlags, UserSessionKey
        w.u32(0);
        w.bytes(&[0; 16]);
        // LogonServer, LogonDomainName: the first part of the realm's name, as a NetBIOS name
        w.string("KDC")?;
        let realm = &self.client.realm;
        w.string(&realm.split('.').next().unwrap_or(realm).to_uppercase())?;
        w.pointer();
        w.defer(&self.domain_id());
        w.bytes(&[0; 8]);
        w.u32(self.account_control());
        // SubAuthStatus, LastSuccessfulILogon, LastFailedILogon, FailedILogonCount, Reserved3
        w.u32(0);
        w.time(0);
        w.time(0);
        w.bytes(&[0; 8]);
        // no ExtraSids, no ResourceGroups
        [0; 5].into_iter().for_each(|none| w.u32(none));
        w.finish()
    }

    fn account_control(&self) -> u32 {
        let mut control = match self.client.components.len() {
            1 => NORMAL_ACCOUNT,
            _ => SERVICE_ACCOUNT,
        };
        if self.not_delegated {
            control |= NOT_DELEGATED;
        }
        if self.trusted_to_auth {
            control |= TRUSTED_TO_AUTH;
        }
        control
    }

    /// A relative identifier, behind those that are given away by convention.
    fn user_id(&self) -> u32 {
        let [first, ..] = words(self.client.components.join("/").as_bytes());
        0x1000 + first % 0x3fff_0000
    }

    /// The user's security identifier ([MS-DTYP] 2.4.2.2).
    pub(super) fn user_sid(&self) -> Vec<u8> {
        let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 5];
        sid.extend(domain(&self.client.realm));
        sid.extend(self.user_id().to_le_bytes());
        sid
    }

    /// RPC_SID ([MS-DTYP] 2.4.2.3): S-1-5-21 and three numbers, with the count that goes before it.
    fn domain_id(&self) -> Vec<u8> {
        let mut sid = 4_u32.to_le_bytes().to_vec();
        sid.extend([1, 4, 0, 0, 0, 0, 0, 5]);
        sid.extend(domain(&self.client.realm));
        sid
    }
}

/// The sub-authorities that all identifiers of a realm begin with.
pub(super) fn domain(realm: &str) -> Vec<u8> {
    let [a, b, c] = words(realm.as_bytes());
    [21, a, b, c].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Numbers made of a name.
fn words(name: &[u8]) -> [u32; 3] {
    let hash = Sha256::digest(name);
    let mut words =
        hash.chunks_exact(4).filter_map(|chunk| chunk.first_chunk()).map(|c| u32::from_le_bytes(*c));
    [words.next(), words.next(), words.next()].map(Option::unwrap_or_default)
}
