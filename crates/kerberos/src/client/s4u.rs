//! Tickets in somebody else's name: what [MS-SFU] adds to a TGS-REQ.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};

use crate::asn1::{self, encode, pa};
use crate::{EncryptionKey, Error, Principal};

/// The protocol that PA-FOR-USER names ([MS-SFU] 2.2.1).
const AUTH_PACKAGE: &str = "Kerberos";
/// KERB_CHECKSUM_HMAC_MD5 (RFC 4757 4), whatever the key's own type is.
pub(crate) const HMAC_MD5: i32 = -138;
/// The key usage of PA-FOR-USER's checksum.
const FOR_USER: u32 = 17;

/// In whose name a ticket is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnBehalfOf {
    /// S4U2Self: a ticket to oneself in the name of a user who came by another protocol ([MS-SFU] 3.1.5.1.1).
    User(Principal),
    /// S4U2Proxy: a ticket to a target in the name of the client of the evidence ticket, which is the first of the
    /// additional tickets ([MS-SFU] 3.1.5.2.1).
    Evidence {
        /// The evidence ticket's client.
        client: Principal,
    },
}

impl OnBehalfOf {
    /// Whose name the ticket shall carry.
    pub(super) fn client(&self) -> &Principal {
        match self {
            Self::User(client) | Self::Evidence { client } => client,
        }
    }

    /// What goes beside the TGT.
    pub(super) fn padata(&self, session_key: &EncryptionKey) -> Result<asn1::PaData, Error> {
        Ok(match self {
            Self::User(user) => asn1::PaData {
                padata_type: pa::FOR_USER,
                padata_value: encode("PA-FOR-USER", &for_user(user, session_key))?.into(),
            },
            // Tells that we know resource-based constrained delegation ([MS-KILE] 2.2.10): the bit of that name.
            Self::Evidence { .. } => asn1::PaData {
                padata_type: pa::PAC_OPTIONS,
                padata_value: encode(
                    "PA-PAC-OPTIONS",
                    &asn1::PaPacOptions { flags: asn1::flags(pa::RESOURCE_BASED_CONSTRAINED_DELEGATION) },
                )?
                .into(),
            },
        })
    }
}

/// PA-FOR-USER with its checksum.
pub(crate) fn for_user(user: &Principal, session_key: &EncryptionKey) -> asn1::PaForUser {
    asn1::PaForUser {
        user_name: asn1::principal_name(user),
        user_realm: asn1::string(&user.realm),
        cksum: asn1::Checksum {
            cksumtype: HMAC_MD5,
            checksum: for_user_checksum(user, AUTH_PACKAGE, session_key).to_vec().into(),
        },
        auth_package: asn1::string(AUTH_PACKAGE),
    }
}

/// The checksum over name type (little-endian), components, realm and package, without anything between them.
pub(crate) fn for_user_checksum(user: &Principal, package: &str, key: &EncryptionKey) -> [u8; 16] {
    let mut data = user.name_type.0.to_le_bytes().to_vec();
    for component in &user.components {
        data.extend(component.as_bytes());
    }
    data.extend(user.realm.as_bytes());
    data.extend(package.as_bytes());
    hmac_md5_checksum(key, FOR_USER, &data)
}

/// RFC 4757 section 4: HMAC-MD5 with a key made of the key, over MD5 of usage and data.
pub(crate) fn hmac_md5_checksum(key: &EncryptionKey, usage: u32, data: &[u8]) -> [u8; 16] {
    let signing = hmac_md5(key.value.expose(), b"signaturekey\0");
    let mut digest = Md5::new();
    digest.update(usage.to_le_bytes());
    digest.update(data);
    hmac_md5(&signing, &digest.finalize())
}

fn hmac_md5(key: &[u8], data: &[u8]) -> [u8; 16] {
    // Every length is a key's length to HMAC.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else { return [0; 16] };
    mac.update(data);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EncryptionType;

    #[test]
    fn the_checksum_depends_on_every_part() {
        let key = EncryptionKey::random(EncryptionType::Aes256CtsHmacSha1, &mut rand::rng()).unwrap();
        let user = Principal::new("HOP.TEST", &["alice"]);
        let sum = for_user_checksum(&user, AUTH_PACKAGE, &key);
        let other = Principal::new("HOP.TEST", &["bob"]);
        assert_ne!(for_user_checksum(&other, AUTH_PACKAGE, &key), sum);
        let elsewhere = Principal::new("LEG.TEST", &["alice"]);
        assert_ne!(for_user_checksum(&elsewhere, AUTH_PACKAGE, &key), sum);
        assert_ne!(hmac_md5_checksum(&key, 18, b"x"), hmac_md5_checksum(&key, 17, b"x"));
    }

    #[test]
    fn pac_options_are_the_bytes_of_the_specification() {
        let key = EncryptionKey::random(EncryptionType::Aes128CtsHmacSha1, &mut rand::rng()).unwrap();
        let client = Principal::new("HOP.TEST", &["alice"]);
        let padata = OnBehalfOf::Evidence { client }.padata(&key).unwrap();
        let expected = [0x30, 9, 0xA0, 7, 3, 5, 0, 0x10, 0, 0, 0];
        assert_eq!((padata.padata_type, padata.padata_value.as_ref()), (167, expected.as_slice()));
    }
}
