//! PACs, what requests in another's name carry, and the ways that tickets come.

use super::messages::{asn1_round_trip, round_trip};
use crate::kdc::transit;
use crate::pac::{DelegationInfo, LogonInfo, Pac, kind};
use crate::s4u::{ForUser, PacOptions, UserId, X509User};
use crate::{EncTicketPart, EncryptionKey, EncryptionType, KdcError, Principal, asn1};

/// A PAC means the same after it was written; so does the way in it, which also stands alone in the corpus.
/// Signatures hold on nothing that says anything else than what was signed with the key.
pub fn fuzz_pac(data: &[u8]) {
    round_trip(data, |d| Pac::parse(d).ok(), |pac| pac.to_bytes().ok());
    round_trip(data, |d| DelegationInfo::decode(d).ok(), |info| info.encode().ok());
    if let Ok(pac) = Pac::parse(data) {
        let _ = (pac.upn(), pac.account_name());
    }
    if let Some(way) = Pac::parse(data).ok().as_ref().and_then(|pac| pac.get(kind::DELEGATION_INFO)) {
        round_trip(way, |d| DelegationInfo::decode(d).ok(), |info| info.encode().ok());
    }
    if let (Ok(part), Some(key)) = (EncTicketPart::parse(data), key()) {
        let opened = Pac::open(&part, true, &key, &[&key]);
        let genuine = signed().and_then(|signed| EncTicketPart::parse(&signed).ok());
        assert!(!matches!(opened, Ok(Some(_))) || genuine.as_ref() == Some(&part), "{genuine:?} {part:?}");
    }
}

/// PA-FOR-USER, PA-S4U-X509-USER, PA-PAC-OPTIONS and the data beside a refusal.
pub fn fuzz_s4u_padata(data: &[u8]) {
    asn1_round_trip::<ForUser>(data);
    asn1_round_trip::<X509User>(data);
    asn1_round_trip::<UserId>(data);
    asn1_round_trip::<PacOptions>(data);
    asn1_round_trip::<asn1::KerbErrorData>(data);
    if let Ok(error) = KdcError::parse(data) {
        let _ = error.nt_status();
    }
    if let Some(key) = key() {
        let _ = ForUser::open(data, &key);
        let _ = X509User::open(data, 7, &key);
        let _ = X509User::open_answer(data, 7, &key);
    }
}

/// Lists of transited realms: written in full, they read the same between any two realms.
pub fn fuzz_transited(data: &[u8]) {
    let read = |d: &[u8]| transit::decode(d, "A.HOP.TEST", "B.HOP.TEST").ok();
    round_trip(data, read, |realms| Some(transit::encode(realms)));
}

/// The key that what is in the corpus was made with.
fn key() -> Option<EncryptionKey> {
    EncryptionKey::new(EncryptionType::Aes256CtsHmacSha1, vec![7; 32]).ok()
}

/// An opened ticket with a PAC.
fn signed() -> Option<Vec<u8>> {
    let client = Principal::new("HOP.TEST", &["alice"]);
    let key = key()?;
    let mut part = EncTicketPart {
        flags: crate::TicketFlags::FORWARDABLE,
        session_key: key.clone(),
        client: client.clone(),
        transited_type: 1,
        transited: Vec::new(),
        auth_time: super::now(),
        start_time: None,
        end_time: super::now(),
        renew_till: None,
        addresses: Vec::new(),
        authorization_data: Vec::new(),
    };
    pac(&client)?.seal_into(&mut part, true, &key, &key).ok()?;
    part.to_der().ok().map(|der| der.expose().clone())
}

fn pac(client: &Principal) -> Option<Pac> {
    let auth_time = super::now();
    let info = LogonInfo { client: client.clone(), auth_time, not_delegated: false, trusted_to_auth: true };
    let mut pac = Pac::new(&info, client, auth_time).ok()?;
    let services = vec!["HTTP/servera.hop.test@HOP.TEST".to_owned()];
    let way = DelegationInfo { target: "HTTP/serverb.hop.test".to_owned(), services };
    pac.set(kind::DELEGATION_INFO, way.encode().ok()?);
    Some(pac)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_corpora_hold_what_is_written_today() {
        let client = Principal::new("HOP.TEST", &["alice"]);
        let pac = pac(&client).unwrap();
        let key = key().unwrap();
        let for_user = ForUser::padata(&client, &key).unwrap().padata_value;
        let by_id = X509User::padata(&client, 7, &key).unwrap().padata_value;
        assert_eq!(ForUser::open(&for_user, &key).as_ref(), Ok(&client));
        assert_eq!(X509User::open(&by_id, 7, &key).unwrap().1.as_ref(), Some(&client));
        assert!(X509User::open(&by_id, 8, &key).is_err());
        let options = PacOptions::resource_based().unwrap().padata_value;
        for (file, data) in [
            ("pac/pac", pac.to_bytes().unwrap()),
            ("pac/delegation-info", pac.get(kind::DELEGATION_INFO).unwrap().to_vec()),
            ("pac/ticket", signed().unwrap()),
            ("s4u_padata/for-user", for_user.to_vec()),
            ("s4u_padata/x509-user", by_id.to_vec()),
            ("s4u_padata/pac-options", options.to_vec()),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &data).unwrap();
            }
            assert_eq!(fs::read(&path).unwrap(), data, "{file}");
        }
    }
}
