//! The ASN.1 module of RFC 4120 as rasn types, and how they become this crate's own.
//!
//! Own declarations instead of ready-made ones, for three reasons: KerberosString here keeps any UTF-8 (a strict
//! GeneralString refuses bytes 80 to A0, so half of all accented names); counters that some peers write as
//! negative numbers are read; tickets stay the bytes they came as.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rasn::prelude::*;
use rasn::types::{GeneralizedTime, UtcTime};

use crate::{AuthorizationData, EncryptionKey, EncryptionType, Error, HostAddress, NameType, Principal};

/// The largest message read, in bytes: tickets of users in many groups reach 64 KiB.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(delegate, tag(universal, 27))]
pub(crate) struct KerberosString(pub OctetString);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(delegate)]
pub(crate) struct KerberosTime(pub GeneralizedTime);

pub(crate) type KerberosFlags = BitString;

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct PrincipalName {
    #[rasn(tag(explicit(0)))]
    pub name_type: i32,
    #[rasn(tag(explicit(1)))]
    pub name_string: SequenceOf<KerberosString>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct Address {
    #[rasn(tag(explicit(0)))]
    pub addr_type: i32,
    #[rasn(tag(explicit(1)))]
    pub address: OctetString,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct AuthData {
    #[rasn(tag(explicit(0)))]
    pub ad_type: i32,
    #[rasn(tag(explicit(1)))]
    pub ad_data: OctetString,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct PaData {
    #[rasn(tag(explicit(1)))]
    pub padata_type: i32,
    #[rasn(tag(explicit(2)))]
    pub padata_value: OctetString,
}

pub(crate) type MethodData = SequenceOf<PaData>;

/// Preauthentication and other padata types (RFC 4120 7.5.2, [MS-KILE], [MS-SFU]).
pub(crate) mod pa {
    pub(crate) const TGS_REQ: i32 = 1;
    pub(crate) const ENC_TIMESTAMP: i32 = 2;
    pub(crate) const ETYPE_INFO2: i32 = 19;
    pub(crate) const FOR_USER: i32 = 129;
    pub(crate) const S4U_X509_USER: i32 = 130;
    pub(crate) const PAC_OPTIONS: i32 = 167;
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct EncryptedData {
    #[rasn(tag(explicit(0)))]
    pub etype: i32,
    // Some KDCs number keys past 2^31 and some write such numbers as negative ones.
    #[rasn(tag(explicit(1)))]
    pub kvno: Option<i64>,
    #[rasn(tag(explicit(2)))]
    pub cipher: OctetString,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
pub(crate) struct Key {
    #[rasn(tag(explicit(0)))]
    pub keytype: i32,
    #[rasn(tag(explicit(1)))]
    pub keyvalue: OctetString,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct Checksum {
    #[rasn(tag(explicit(0)))]
    pub cksumtype: i32,
    #[rasn(tag(explicit(1)))]
    pub checksum: OctetString,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct TicketBody {
    #[rasn(tag(explicit(0)))]
    pub tkt_vno: i32,
    #[rasn(tag(explicit(1)))]
    pub realm: KerberosString,
    #[rasn(tag(explicit(2)))]
    pub sname: PrincipalName,
    #[rasn(tag(explicit(3)))]
    pub enc_part: EncryptedData,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 1)), delegate)]
pub(crate) struct Ticket(pub TicketBody);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct TransitedEncoding {
    #[rasn(tag(explicit(0)))]
    pub tr_type: i32,
    #[rasn(tag(explicit(1)))]
    pub contents: OctetString,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 3)))]
pub(crate) struct EncTicketPart {
    #[rasn(tag(explicit(0)))]
    pub flags: KerberosFlags,
    #[rasn(tag(explicit(1)))]
    pub key: Key,
    #[rasn(tag(explicit(2)))]
    pub crealm: KerberosString,
    #[rasn(tag(explicit(3)))]
    pub cname: PrincipalName,
    #[rasn(tag(explicit(4)))]
    pub transited: TransitedEncoding,
    #[rasn(tag(explicit(5)))]
    pub authtime: KerberosTime,
    #[rasn(tag(explicit(6)))]
    pub starttime: Option<KerberosTime>,
    #[rasn(tag(explicit(7)))]
    pub endtime: KerberosTime,
    #[rasn(tag(explicit(8)))]
    pub renew_till: Option<KerberosTime>,
    #[rasn(tag(explicit(9)))]
    pub caddr: Option<SequenceOf<Address>>,
    #[rasn(tag(explicit(10)))]
    pub authorization_data: Option<SequenceOf<AuthData>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 10)), delegate)]
pub(crate) struct AsReq(pub KdcReq);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 12)), delegate)]
pub(crate) struct TgsReq(pub KdcReq);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct KdcReq {
    #[rasn(tag(explicit(1)))]
    pub pvno: i32,
    #[rasn(tag(explicit(2)))]
    pub msg_type: i32,
    #[rasn(tag(explicit(3)))]
    pub padata: Option<SequenceOf<PaData>>,
    /// The body as it came: the checksum in a TGS-REQ covers these bytes.
    #[rasn(tag(explicit(4)))]
    pub req_body: Any,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct KdcReqBody {
    #[rasn(tag(explicit(0)))]
    pub kdc_options: KerberosFlags,
    #[rasn(tag(explicit(1)))]
    pub cname: Option<PrincipalName>,
    #[rasn(tag(explicit(2)))]
    pub realm: KerberosString,
    #[rasn(tag(explicit(3)))]
    pub sname: Option<PrincipalName>,
    #[rasn(tag(explicit(4)))]
    pub from: Option<KerberosTime>,
    #[rasn(tag(explicit(5)))]
    pub till: KerberosTime,
    #[rasn(tag(explicit(6)))]
    pub rtime: Option<KerberosTime>,
    #[rasn(tag(explicit(7)))]
    pub nonce: i64,
    #[rasn(tag(explicit(8)))]
    pub etype: SequenceOf<i32>,
    #[rasn(tag(explicit(9)))]
    pub addresses: Option<SequenceOf<Address>>,
    #[rasn(tag(explicit(10)))]
    pub enc_authorization_data: Option<EncryptedData>,
    #[rasn(tag(explicit(11)))]
    pub additional_tickets: Option<SequenceOf<Ticket>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 11)), delegate)]
pub(crate) struct AsRep(pub KdcRep);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 13)), delegate)]
pub(crate) struct TgsRep(pub KdcRep);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct KdcRep {
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    #[rasn(tag(explicit(2)))]
    pub padata: Option<SequenceOf<PaData>>,
    #[rasn(tag(explicit(3)))]
    pub crealm: KerberosString,
    #[rasn(tag(explicit(4)))]
    pub cname: PrincipalName,
    #[rasn(tag(explicit(5)))]
    pub ticket: Any,
    #[rasn(tag(explicit(6)))]
    pub enc_part: EncryptedData,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 25)), delegate)]
pub(crate) struct EncAsRepPart(pub EncKdcRepPart);

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 26)), delegate)]
pub(crate) struct EncTgsRepPart(pub EncKdcRepPart);

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
pub(crate) struct EncKdcRepPart {
    #[rasn(tag(explicit(0)))]
    pub key: Key,
    #[rasn(tag(explicit(1)))]
    pub last_req: SequenceOf<LastReq>,
    #[rasn(tag(explicit(2)))]
    pub nonce: i64,
    #[rasn(tag(explicit(3)))]
    pub key_expiration: Option<KerberosTime>,
    #[rasn(tag(explicit(4)))]
    pub flags: KerberosFlags,
    #[rasn(tag(explicit(5)))]
    pub authtime: KerberosTime,
    #[rasn(tag(explicit(6)))]
    pub starttime: Option<KerberosTime>,
    #[rasn(tag(explicit(7)))]
    pub endtime: KerberosTime,
    #[rasn(tag(explicit(8)))]
    pub renew_till: Option<KerberosTime>,
    #[rasn(tag(explicit(9)))]
    pub srealm: KerberosString,
    #[rasn(tag(explicit(10)))]
    pub sname: PrincipalName,
    #[rasn(tag(explicit(11)))]
    pub caddr: Option<SequenceOf<Address>>,
    #[rasn(tag(explicit(12)))]
    pub encrypted_pa_data: Option<SequenceOf<PaData>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct LastReq {
    #[rasn(tag(explicit(0)))]
    pub lr_type: i32,
    #[rasn(tag(explicit(1)))]
    pub lr_value: KerberosTime,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 14)))]
pub(crate) struct ApReq {
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    #[rasn(tag(explicit(2)))]
    pub ap_options: KerberosFlags,
    #[rasn(tag(explicit(3)))]
    pub ticket: Any,
    #[rasn(tag(explicit(4)))]
    pub authenticator: EncryptedData,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 2)))]
pub(crate) struct Authenticator {
    #[rasn(tag(explicit(0)))]
    pub authenticator_vno: i32,
    #[rasn(tag(explicit(1)))]
    pub crealm: KerberosString,
    #[rasn(tag(explicit(2)))]
    pub cname: PrincipalName,
    #[rasn(tag(explicit(3)))]
    pub cksum: Option<Checksum>,
    #[rasn(tag(explicit(4)))]
    pub cusec: i32,
    #[rasn(tag(explicit(5)))]
    pub ctime: KerberosTime,
    #[rasn(tag(explicit(6)))]
    pub subkey: Option<Key>,
    #[rasn(tag(explicit(7)))]
    pub seq_number: Option<i64>,
    #[rasn(tag(explicit(8)))]
    pub authorization_data: Option<SequenceOf<AuthData>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 15)))]
pub(crate) struct ApRep {
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    #[rasn(tag(explicit(2)))]
    pub enc_part: EncryptedData,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 27)))]
pub(crate) struct EncApRepPart {
    #[rasn(tag(explicit(0)))]
    pub ctime: KerberosTime,
    #[rasn(tag(explicit(1)))]
    pub cusec: i32,
    #[rasn(tag(explicit(2)))]
    pub subkey: Option<Key>,
    #[rasn(tag(explicit(3)))]
    pub seq_number: Option<i64>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 22)))]
pub(crate) struct KrbCred {
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    #[rasn(tag(explicit(2)))]
    pub tickets: SequenceOf<Ticket>,
    #[rasn(tag(explicit(3)))]
    pub enc_part: EncryptedData,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 29)))]
pub(crate) struct EncKrbCredPart {
    #[rasn(tag(explicit(0)))]
    pub ticket_info: SequenceOf<KrbCredInfo>,
    #[rasn(tag(explicit(1)))]
    pub nonce: Option<i64>,
    #[rasn(tag(explicit(2)))]
    pub timestamp: Option<KerberosTime>,
    #[rasn(tag(explicit(3)))]
    pub usec: Option<i32>,
    #[rasn(tag(explicit(4)))]
    pub s_address: Option<Address>,
    #[rasn(tag(explicit(5)))]
    pub r_address: Option<Address>,
}

#[derive(AsnType, Clone, Decode, Encode, PartialEq, Eq)]
pub(crate) struct KrbCredInfo {
    #[rasn(tag(explicit(0)))]
    pub key: Key,
    #[rasn(tag(explicit(1)))]
    pub prealm: Option<KerberosString>,
    #[rasn(tag(explicit(2)))]
    pub pname: Option<PrincipalName>,
    #[rasn(tag(explicit(3)))]
    pub flags: Option<KerberosFlags>,
    #[rasn(tag(explicit(4)))]
    pub authtime: Option<KerberosTime>,
    #[rasn(tag(explicit(5)))]
    pub starttime: Option<KerberosTime>,
    #[rasn(tag(explicit(6)))]
    pub endtime: Option<KerberosTime>,
    #[rasn(tag(explicit(7)))]
    pub renew_till: Option<KerberosTime>,
    #[rasn(tag(explicit(8)))]
    pub srealm: Option<KerberosString>,
    #[rasn(tag(explicit(9)))]
    pub sname: Option<PrincipalName>,
    #[rasn(tag(explicit(10)))]
    pub caddr: Option<SequenceOf<Address>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
#[rasn(tag(explicit(application, 30)))]
pub(crate) struct KrbError {
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    #[rasn(tag(explicit(2)))]
    pub ctime: Option<KerberosTime>,
    #[rasn(tag(explicit(3)))]
    pub cusec: Option<i32>,
    #[rasn(tag(explicit(4)))]
    pub stime: KerberosTime,
    #[rasn(tag(explicit(5)))]
    pub susec: i32,
    #[rasn(tag(explicit(6)))]
    pub error_code: i32,
    #[rasn(tag(explicit(7)))]
    pub crealm: Option<KerberosString>,
    #[rasn(tag(explicit(8)))]
    pub cname: Option<PrincipalName>,
    #[rasn(tag(explicit(9)))]
    pub realm: KerberosString,
    #[rasn(tag(explicit(10)))]
    pub sname: PrincipalName,
    #[rasn(tag(explicit(11)))]
    pub e_text: Option<KerberosString>,
    #[rasn(tag(explicit(12)))]
    pub e_data: Option<OctetString>,
}

/// KERB-ERROR-DATA ([MS-KILE] 2.2.2).
#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct KerbErrorData {
    #[rasn(tag(explicit(1)))]
    pub data_type: i32,
    #[rasn(tag(explicit(2)))]
    pub data_value: Option<OctetString>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct PaEncTsEnc {
    #[rasn(tag(explicit(0)))]
    pub patimestamp: KerberosTime,
    #[rasn(tag(explicit(1)))]
    pub pausec: Option<i32>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub(crate) struct EtypeInfo2Entry {
    #[rasn(tag(explicit(0)))]
    pub etype: i32,
    #[rasn(tag(explicit(1)))]
    pub salt: Option<KerberosString>,
    #[rasn(tag(explicit(2)))]
    pub s2kparams: Option<OctetString>,
}

pub(crate) type EtypeInfo2 = SequenceOf<EtypeInfo2Entry>;

/// Reads a whole DER value; bytes after it are an error.
pub(crate) fn decode<T: Decode>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::Limit { what, limit: MAX_MESSAGE });
    }
    match rasn::der::decode_with_remainder::<T>(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(malformed(what, format!("{} bytes after its end", rest.len()))),
        Err(error) => Err(malformed(what, short(&error))),
    }
}

/// Writes DER.
pub(crate) fn encode<T: Encode>(what: &'static str, value: &T) -> Result<Vec<u8>, Error> {
    rasn::der::encode(value).map_err(|error| malformed(what, error.kind.to_string()))
}

/// rasn's messages can hold parts of the input; the first line is enough to see what is wrong.
fn short(error: &rasn::error::DecodeError) -> String {
    error.kind.to_string().lines().next().unwrap_or_default().chars().take(120).collect()
}

pub(crate) fn malformed(what: &'static str, detail: impl Into<String>) -> Error {
    Error::Malformed { what, detail: detail.into() }
}

/// The application tag of a message, which tells what it is (RFC 4120 5.10).
pub(crate) fn application_tag(bytes: &[u8]) -> Option<u8> {
    bytes.first().filter(|b| **b & 0xe0 == 0x60).map(|b| b & 0x1f)
}

pub(crate) fn string(text: &str) -> KerberosString {
    KerberosString(text.as_bytes().to_vec().into())
}

pub(crate) fn text(string: &KerberosString) -> Result<String, Error> {
    match std::str::from_utf8(&string.0) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        Ok(_) => Err(malformed("KerberosString", "it holds a NUL")),
        Err(_) => Err(malformed("KerberosString", "it is not UTF-8")),
    }
}

pub(crate) fn principal_name(principal: &Principal) -> PrincipalName {
    PrincipalName {
        name_type: principal.name_type.0,
        name_string: principal.components.iter().map(|c| string(c)).collect(),
    }
}

pub(crate) fn principal(name: &PrincipalName, realm: &KerberosString) -> Result<Principal, Error> {
    Ok(Principal {
        name_type: NameType(name.name_type),
        components: name.name_string.iter().map(text).collect::<Result<_, _>>()?,
        realm: text(realm)?,
    })
}

pub(crate) fn flags(bits: u32) -> KerberosFlags {
    KerberosFlags::from_slice(&bits.to_be_bytes())
}

/// The first 32 bits; missing ones are unset.
pub(crate) fn bits(flags: &KerberosFlags) -> u32 {
    flags.iter().take(32).enumerate().fold(0, |bits, (i, bit)| if *bit { bits | 1 << (31 - i) } else { bits })
}

/// Whole seconds, as KerberosTime has them; times outside what the type can hold become its epoch.
pub(crate) fn time(time: SystemTime) -> KerberosTime {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(0),
        Err(_) => 0,
    };
    KerberosTime(UtcTime::from_timestamp(seconds, 0).unwrap_or_default().fixed_offset())
}

/// Microseconds past the second.
pub(crate) fn microseconds(time: SystemTime) -> i32 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| i32::try_from(d.subsec_micros()).unwrap_or(0))
}

pub(crate) fn system_time(time: &KerberosTime) -> SystemTime {
    // Times before 1970 mean "none" where they occur.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.0.timestamp()).unwrap_or(0))
}

/// A time with its microseconds.
pub(crate) fn precise(time: &KerberosTime, usec: i32) -> Result<SystemTime, Error> {
    match u64::try_from(usec) {
        Ok(usec) if usec < 1_000_000 => Ok(system_time(time) + Duration::from_micros(usec)),
        _ => Err(malformed("Microseconds", "not between 0 and 999999")),
    }
}

pub(crate) fn key(key: &EncryptionKey) -> Key {
    Key { keytype: key.etype.number(), keyvalue: key.value.expose().clone().into() }
}

pub(crate) fn encryption_key(key: &Key) -> Result<EncryptionKey, Error> {
    EncryptionKey::new(EncryptionType::from_number(key.keytype), key.keyvalue.to_vec())
}

pub(crate) fn addresses(list: &[HostAddress]) -> Option<SequenceOf<Address>> {
    let address = |a: &HostAddress| Address { addr_type: a.address_type, address: a.address.clone().into() };
    (!list.is_empty()).then(|| list.iter().map(address).collect())
}

pub(crate) fn host_addresses(list: Option<&SequenceOf<Address>>) -> Vec<HostAddress> {
    let address = |a: &Address| HostAddress { address_type: a.addr_type, address: a.address.to_vec() };
    list.map(|list| list.iter().map(address).collect()).unwrap_or_default()
}

pub(crate) fn auth_data(list: &[AuthorizationData]) -> Option<SequenceOf<AuthData>> {
    let element = |a: &AuthorizationData| AuthData { ad_type: a.ad_type, ad_data: a.data.clone().into() };
    (!list.is_empty()).then(|| list.iter().map(element).collect())
}

pub(crate) fn authorization_data(list: Option<&SequenceOf<AuthData>>) -> Vec<AuthorizationData> {
    let element = |a: &AuthData| AuthorizationData { ad_type: a.ad_type, data: a.ad_data.to_vec() };
    list.map(|list| list.iter().map(element).collect()).unwrap_or_default()
}

/// Numbers that are 32 bits wide however the peer wrote them.
pub(crate) fn low32(number: i64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_survive() {
        for name in ["alice", "Àgnes", "Łukasz", "名前"] {
            let principal = Principal::new("Ä.TEST", &[name]);
            let (name, realm) = (principal_name(&principal), string(&principal.realm));
            let name: PrincipalName = decode("name", &encode("name", &name).unwrap()).unwrap();
            let realm: KerberosString = decode("realm", &encode("realm", &realm).unwrap()).unwrap();
            assert_eq!(super::principal(&name, &realm).unwrap(), principal);
        }
        assert!(text(&KerberosString(vec![0xff].into())).is_err());
        assert!(text(&KerberosString(vec![b'a', 0, b'b'].into())).is_err());
    }

    #[test]
    fn times_and_flags() {
        let now = UNIX_EPOCH + Duration::from_micros(1_796_000_000_123_456);
        let der = encode("time", &time(now)).unwrap();
        assert_eq!(der, b"\x18\x0f20261130005320Z");
        let back: KerberosTime = decode("time", &der).unwrap();
        assert_eq!(precise(&back, microseconds(now)).unwrap(), now);
        assert!(precise(&back, 1_000_000).is_err() && precise(&back, -1).is_err());
        let der = encode("flags", &flags(0x4080_0000)).unwrap();
        assert_eq!(der, [3, 5, 0, 0x40, 0x80, 0, 0]);
        assert_eq!(bits(&decode("flags", &der).unwrap()), 0x4080_0000);
        assert_eq!(bits(&decode("flags", &[3, 2, 6, 0x40]).unwrap()), 0x4000_0000);
    }
}
