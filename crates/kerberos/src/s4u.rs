//! What requests in another's name carry ([MS-SFU] 2.2), for client and KDC alike.

use rasn::prelude::*;
use subtle::ConstantTimeEq;

use crate::asn1::{self, KerberosFlags, KerberosString, PaData, PrincipalName, decode, encode, pa};
use crate::crypto::{KeyUsage, rc4};
use crate::{EncryptionKey, Error, Principal};

/// KERB_CHECKSUM_HMAC_MD5 ([MS-SFU] 2.2.1; RFC 4757 4), whatever the type of the key.
const HMAC_MD5: i32 = -138;
/// The checksum in PA-FOR-USER ([MS-SFU] 2.2.1).
const FOR_USER: u32 = 17;
/// The checksum in PA-S4U-X509-USER: of the request, and of a reply to a request that did not ask for another.
const X509_USER_REQUEST: KeyUsage = KeyUsage(26);
/// The checksum in PA-S4U-X509-USER of a reply where the request asked for it.
const X509_USER_REPLY: KeyUsage = KeyUsage(27);
/// The only package there is.
const AUTH_PACKAGE: &str = "Kerberos";

/// Ask for [`X509_USER_REPLY`]: a request cannot be sent back as its reply.
const USE_REPLY_KEY_USAGE: u32 = 0x2000_0000;
/// Resource-based constrained delegation ([MS-KILE] 2.2.10, bit 3).
const RESOURCE_BASED: u32 = 0x1000_0000;

/// PA-FOR-USER-ENC ([MS-SFU] 2.2.1).
#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct ForUser {
    #[rasn(tag(explicit(0)))]
    user_name: PrincipalName,
    #[rasn(tag(explicit(1)))]
    user_realm: KerberosString,
    #[rasn(tag(explicit(2)))]
    checksum: asn1::Checksum,
    #[rasn(tag(explicit(3)))]
    auth_package: KerberosString,
}

/// S4UUserID ([MS-SFU] 2.2.2).
#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct UserId {
    #[rasn(tag(explicit(0)))]
    nonce: i64,
    #[rasn(tag(explicit(1)))]
    name: Option<PrincipalName>,
    #[rasn(tag(explicit(2)))]
    realm: KerberosString,
    #[rasn(tag(explicit(3)))]
    certificate: Option<OctetString>,
    #[rasn(tag(explicit(4)))]
    options: Option<KerberosFlags>,
}

/// PA-S4U-X509-USER ([MS-SFU] 2.2.2).
#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct X509User {
    /// As it came: the checksum covers these bytes.
    #[rasn(tag(explicit(0)))]
    user_id: Any,
    #[rasn(tag(explicit(1)))]
    checksum: asn1::Checksum,
}

/// PA-PAC-OPTIONS ([MS-KILE] 2.2.10).
#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct PacOptions {
    #[rasn(tag(explicit(0)))]
    flags: KerberosFlags,
}

impl ForUser {
    /// The padata for a user, with the TGT's session key.
    pub(crate) fn padata(user: &Principal, session_key: &EncryptionKey) -> Result<PaData, Error> {
        let mut value = Self {
            user_name: asn1::principal_name(user),
            user_realm: asn1::string(&user.realm),
            checksum: asn1::Checksum { cksumtype: HMAC_MD5, checksum: OctetString::default() },
            auth_package: asn1::string(AUTH_PACKAGE),
        };
        value.checksum.checksum = value.hash(session_key)?.to_vec().into();
        padata(pa::FOR_USER, encode("PA-FOR-USER", &value)?)
    }

    /// The user named, after a check that the owner of the TGT's session key named them.
    pub(crate) fn open(der: &[u8], session_key: &EncryptionKey) -> Result<Principal, Error> {
        let value: Self = decode("PA-FOR-USER", der)?;
        let good = value.checksum.cksumtype == HMAC_MD5
            && bool::from(value.hash(session_key)?.as_slice().ct_eq(&value.checksum.checksum));
        match good {
            true => asn1::principal(&value.user_name, &value.user_realm),
            false => Err(Error::Integrity("PA-FOR-USER")),
        }
    }

    fn hash(&self, key: &EncryptionKey) -> Result<[u8; 16], Error> {
        let name_type = self.user_name.name_type.to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![&name_type];
        parts.extend(self.user_name.name_string.iter().map(|component| component.0.as_ref()));
        parts.extend([self.user_realm.0.as_ref(), self.auth_package.0.as_ref()]);
        hmac_md5(key, FOR_USER, &parts)
    }
}

impl X509User {
    /// The padata for a user, with the key that the reply is sealed with. The nonce is the request's.
    pub(crate) fn padata(user: &Principal, nonce: u32, key: &EncryptionKey) -> Result<PaData, Error> {
        let user_id = UserId {
            nonce: i64::from(nonce),
            name: Some(asn1::principal_name(user)),
            realm: asn1::string(&user.realm),
            certificate: None,
            options: Some(asn1::flags(USE_REPLY_KEY_USAGE)),
        };
        Self::seal(&user_id, X509_USER_REQUEST, key)
    }

    /// The user that a request names; none where it identifies the user by a certificate alone.
    pub(crate) fn open(
        der: &[u8],
        nonce: i64,
        key: &EncryptionKey,
    ) -> Result<(UserId, Option<Principal>), Error> {
        let value: Self = decode("PA-S4U-X509-USER", der)?;
        value.verify(X509_USER_REQUEST, key)?;
        let id = value.user_id(nonce)?;
        let user = id.name.as_ref().map(|name| asn1::principal(name, &id.realm)).transpose()?;
        Ok((id, user.filter(|user| !user.components.is_empty())))
    }

    /// The padata that answers a request's.
    pub(crate) fn answer(mut id: UserId, user: &Principal, key: &EncryptionKey) -> Result<PaData, Error> {
        let usage = match id.options.as_ref().map_or(0, asn1::bits) & USE_REPLY_KEY_USAGE {
            0 => X509_USER_REQUEST,
            _ => X509_USER_REPLY,
        };
        id.name = Some(asn1::principal_name(user));
        id.realm = asn1::string(&user.realm);
        Self::seal(&id, usage, key)
    }

    /// The user that a KDC says its ticket names. Nothing else in a reply proves the name to the client.
    pub(crate) fn open_answer(der: &[u8], nonce: u32, key: &EncryptionKey) -> Result<Principal, Error> {
        let value: Self = decode("PA-S4U-X509-USER", der)?;
        let id = value.user_id(i64::from(nonce))?;
        let usage = match id.options.as_ref().map_or(0, asn1::bits) & USE_REPLY_KEY_USAGE {
            0 => X509_USER_REQUEST,
            _ => X509_USER_REPLY,
        };
        value.verify(usage, key)?;
        let name = id.name.ok_or_else(|| asn1::malformed("PA-S4U-X509-USER", "it names nobody"))?;
        asn1::principal(&name, &id.realm)
    }

    fn seal(id: &UserId, usage: KeyUsage, key: &EncryptionKey) -> Result<PaData, Error> {
        let user_id = encode("S4UUserID", id)?;
        let cksumtype = key.etype.checksum_type().ok_or(Error::UnsupportedEncryptionType(key.etype))?;
        let checksum = key.checksum_key(usage)?.checksum(&[&user_id]);
        let value = Self {
            user_id: Any::new(user_id),
            checksum: asn1::Checksum { cksumtype, checksum: checksum.into() },
        };
        padata(pa::S4U_X509_USER, encode("PA-S4U-X509-USER", &value)?)
    }

    fn verify(&self, usage: KeyUsage, key: &EncryptionKey) -> Result<(), Error> {
        if Some(self.checksum.cksumtype) != key.etype.checksum_type() {
            return Err(Error::Integrity("PA-S4U-X509-USER"));
        }
        let checksum = key.checksum_key(usage)?;
        checksum.verify(&[self.user_id.as_bytes()], &self.checksum.checksum, "PA-S4U-X509-USER")
    }

    fn user_id(&self, nonce: i64) -> Result<UserId, Error> {
        let id: UserId = decode("S4UUserID", self.user_id.as_bytes())?;
        match asn1::low32(id.nonce) == asn1::low32(nonce) {
            true => Ok(id),
            false => Err(Error::ReplyMismatch("the nonce of its user is not the request's".to_owned())),
        }
    }
}

impl PacOptions {
    /// The padata that says: resource-based constrained delegation is understood.
    pub(crate) fn resource_based() -> Result<PaData, Error> {
        let value = Self { flags: asn1::flags(RESOURCE_BASED) };
        padata(pa::PAC_OPTIONS, encode("PA-PAC-OPTIONS", &value)?)
    }

    /// Whether the padata says so.
    pub(crate) fn allows_resource_based(list: &[PaData]) -> Result<bool, Error> {
        let Some(options) = find(list, pa::PAC_OPTIONS) else { return Ok(false) };
        let options: Self = decode("PA-PAC-OPTIONS", options)?;
        Ok(asn1::bits(&options.flags) & RESOURCE_BASED != 0)
    }
}

/// The value of the first padata of a type.
pub(crate) fn find(list: &[PaData], padata_type: i32) -> Option<&[u8]> {
    list.iter().find(|p| p.padata_type == padata_type).map(|p| p.padata_value.as_ref())
}

fn padata(padata_type: i32, value: Vec<u8>) -> Result<PaData, Error> {
    Ok(PaData { padata_type, padata_value: value.into() })
}

/// RFC 4757 4, with a key of any type.
pub(crate) fn hmac_md5(key: &EncryptionKey, usage: u32, parts: &[&[u8]]) -> Result<[u8; 16], Error> {
    rc4::sign(&*rc4::signing_key(key)?, usage, parts)
}
