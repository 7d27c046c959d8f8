use super::*;
use crate::NameType;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn credential(server: Principal, end: u64) -> Credential {
    Credential {
        client: Principal::new("HOP.TEST", &["alice"]),
        server,
        session_key: key(18, &[7; 32]),
        ticket: vec![0x61, 0x03, 1, 2, 3],
        flags: TicketFlags::FORWARDABLE | TicketFlags::INITIAL,
        auth_time: at(1_790_000_000),
        start_time: None,
        end_time: at(end),
        renew_till: None,
        addresses: vec![HostAddress { address_type: 2, address: vec![127, 0, 0, 1] }],
        authorization_data: vec![AuthorizationData { ad_type: 1, data: vec![9] }],
        second_ticket: Vec::new(),
        is_skey: false,
    }
}

fn sample() -> CredentialCache {
    let mut cache = CredentialCache::new(Principal::new("HOP.TEST", &["alice"]));
    cache.kdc_offset = Some(KdcOffset { seconds: -3, microseconds: -250_000 });
    cache.store(credential(Principal::krbtgt("HOP.TEST", "HOP.TEST"), 1_790_036_000));
    let http = Principal::service("HOP.TEST", "HTTP", "servera.hop.test");
    cache.set_setting("fast_avail", Some(&Principal::krbtgt("HOP.TEST", "HOP.TEST")), b"yes");
    cache.store(credential(http, 1_790_030_000));
    cache
}

#[test]
fn reads_what_it_writes_in_both_formats() {
    for version in [CcacheVersion::V3, CcacheVersion::V4] {
        let mut cache = sample();
        cache.version = version;
        if version == CcacheVersion::V3 {
            cache.kdc_offset = None;
        }
        let bytes = cache.to_bytes().unwrap();
        let again = CredentialCache::parse(&bytes).unwrap();
        assert_eq!(again, cache);
        assert_eq!(again.to_bytes().unwrap(), bytes);
        for cut in 0..bytes.len() {
            if let Ok(shorter) = CredentialCache::parse(&bytes[..cut]) {
                assert_eq!(shorter.to_bytes().unwrap(), &bytes[..cut]);
            }
        }
    }
}

#[test]
fn settings_are_no_tickets() {
    let mut cache = sample();
    assert_eq!(cache.credentials().count(), 2);
    let krbtgt = Principal::krbtgt("HOP.TEST", "HOP.TEST");
    assert_eq!(cache.setting("fast_avail", Some(&krbtgt)), Some(&b"yes"[..]));
    assert_eq!(cache.setting("fast_avail", None), None);
    cache.set_setting("fast_avail", Some(&krbtgt), b"no");
    assert_eq!(cache.setting("fast_avail", Some(&krbtgt)), Some(&b"no"[..]));
    assert_eq!(cache.credentials().count(), 2);
}

#[test]
fn finds_the_ticket_that_is_valid() {
    let mut cache = sample();
    let http = Principal::service("HOP.TEST", "HTTP", "servera.hop.test");
    assert!(cache.find(&http, at(1_790_000_001)).is_some());
    assert!(cache.find(&http, at(1_790_030_000)).is_none());
    assert!(cache.find(&Principal::new("HOP.TEST", &["HTTP", "servera.hop.test"]), at(1)).is_some());
    // a newer ticket replaces the old one
    cache.store(credential(http.clone(), 1_790_050_000));
    assert_eq!(cache.credentials().count(), 2);
    assert_eq!(cache.find(&http, at(1_790_040_000)).unwrap().end_time, at(1_790_050_000));
    assert!(cache.tgt().is_some());
}

#[test]
fn removed_entries_are_passed_over_and_kept() {
    let mut cache = sample();
    let mut gone = credential(Principal::new("HOP.TEST", &["gone"]), 0);
    gone.auth_time = at(u32::MAX.into());
    cache.entries.push(gone);
    let mut setting = cache.entries[1].clone();
    setting.server.realm = "X-RMED-CONF:".into();
    cache.entries.push(setting);
    assert_eq!(cache.credentials().count(), 2);
    let bytes = cache.to_bytes().unwrap();
    assert_eq!(CredentialCache::parse(&bytes).unwrap().to_bytes().unwrap(), bytes);
}

#[test]
fn the_kdcs_clock() {
    let offset = KdcOffset::between(at(1000), at(400) + Duration::from_millis(500));
    assert_eq!(offset, KdcOffset { seconds: -599, microseconds: -500_000 });
    assert_eq!(offset.apply(at(1000)), at(400) + Duration::from_millis(500));
    assert_eq!(KdcOffset::between(at(1), at(3)).apply(at(10)), at(12));
}

#[test]
fn refuses_what_is_no_cache() {
    assert_eq!(CredentialCache::parse(b""), Err(CcacheError::NotACcache));
    assert_eq!(CredentialCache::parse(&[5, 2]), Err(CcacheError::Version(2)));
    assert_eq!(CredentialCache::parse(&[5, 4, 0, 9, 0]), Err(CcacheError::Header(RecordError::Truncated)));
    let mut endless = vec![5, 3, 0, 0, 0, 1];
    endless.extend_from_slice(&[0xff; 8]);
    let error = CredentialCache::parse(&endless).unwrap_err();
    assert_eq!(error, CcacheError::Header(RecordError::TooLong { got: 0xffff_ffff, limit: 1024 }));
    let mut binary_name = vec![5, 3];
    binary_name.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
    assert_eq!(CredentialCache::parse(&binary_name), Err(CcacheError::Header(RecordError::NotText)));
    let mut early = sample();
    early.entries[0].end_time = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(early.to_bytes(), Err(CcacheError::Entry { number: 1, source: RecordError::DoesNotFit }));
    let long = Principal {
        name_type: NameType::PRINCIPAL,
        components: vec![String::new(); 2000],
        realm: "R".into(),
    };
    assert!(CredentialCache::new(long).to_bytes().is_err());
}

#[test]
fn single_records_are_read_as_written() {
    let principal = Principal::new("HOP.TEST", &["alice", "admin"]);
    let bytes = encode_principal(&principal).unwrap();
    assert_eq!(decode_principal(&bytes).unwrap(), principal);
    for entry in sample().entries() {
        let bytes = encode_credential(entry).unwrap();
        assert_eq!(decode_credential(&bytes).unwrap(), *entry);
        assert_eq!(
            decode_credential(&bytes[..bytes.len() - 1]),
            Err(CcacheError::Record(RecordError::Truncated))
        );
        assert_eq!(decode_credential(&[&bytes[..], b"x"].concat()), Err(CcacheError::Surplus(1)));
    }
}

#[test]
fn removing_leaves_settings_alone() {
    let mut cache = sample();
    let tgs = Principal::krbtgt("HOP.TEST", "HOP.TEST");
    assert_eq!((cache.remove(&tgs), cache.remove(&tgs)), (1, 0));
    assert!(cache.tgt().is_none() && cache.setting("fast_avail", Some(&tgs)).is_some());
    assert_eq!(
        CredentialCache::from_entries(cache.principal.clone(), cache.entries().to_vec()).entries(),
        cache.entries()
    );
}
