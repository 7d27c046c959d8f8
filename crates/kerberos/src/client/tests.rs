//! What the machines make of replies: good ones, wrong ones and forged ones.

use std::time::{Duration, SystemTime};

use super::*;
use crate::asn1::{self, decode, encode, pa};
use crate::crypto::KeyUsage;
use crate::testing::rng;
use crate::{
    Credential, EncTicketPart, EncryptedData, EncryptionKey, Error, ErrorCode, KdcError, KdcOptions,
    NameType, Principal, Ticket, TicketFlags,
};

const A128: EncryptionType = EncryptionType::Aes128CtsHmacSha1;
const A256: EncryptionType = EncryptionType::Aes256CtsHmacSha1;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn alice() -> Principal {
    Principal::new("R.TEST", &["alice"])
}

fn http() -> Principal {
    Principal::service("R.TEST", "HTTP", "a.r.test")
}

/// A reply with every part for the test to change.
#[derive(Clone)]
struct Fake {
    msg_type: i32,
    client: Principal,
    /// The name in the sealed part.
    server: Principal,
    /// The name on the ticket.
    ticket_server: Principal,
    nonce: u32,
    flags: TicketFlags,
    auth_time: SystemTime,
    end_time: SystemTime,
    key: EncryptionKey,
    usage: KeyUsage,
    padata: Vec<asn1::PaData>,
}

impl Fake {
    fn bytes(&self) -> Vec<u8> {
        let session = EncryptionKey::random(A128, &mut rng()).unwrap();
        let ticket = Ticket {
            server: self.ticket_server.clone(),
            enc_part: EncryptedData { etype: A256, kvno: Some(1), cipher: vec![0; 64] },
        };
        let part = asn1::EncKdcRepPart {
            key: asn1::key(&session),
            last_req: Vec::new(),
            nonce: i64::from(self.nonce),
            key_expiration: None,
            flags: asn1::flags(self.flags.bits()),
            authtime: asn1::time(self.auth_time),
            starttime: None,
            endtime: asn1::time(self.end_time),
            renew_till: None,
            srealm: asn1::string(&self.server.realm),
            sname: asn1::principal_name(&self.server),
            caddr: None,
            encrypted_pa_data: None,
        };
        let plain = match self.msg_type {
            11 => encode("part", &asn1::EncAsRepPart(part)).unwrap(),
            _ => encode("part", &asn1::EncTgsRepPart(part)).unwrap(),
        };
        let reply = asn1::KdcRep {
            pvno: 5,
            msg_type: self.msg_type,
            padata: (!self.padata.is_empty()).then(|| self.padata.clone()),
            crealm: asn1::string(&self.client.realm),
            cname: asn1::principal_name(&self.client),
            ticket: rasn::types::Any::new(ticket.to_der().unwrap()),
            enc_part: asn1::EncryptedData {
                etype: self.key.etype.number(),
                kvno: None,
                cipher: self.key.encrypt(self.usage, &plain, &mut rng()).unwrap().into(),
            },
        };
        match self.msg_type {
            11 => encode("AS-REP", &asn1::AsRep(reply)).unwrap(),
            _ => encode("TGS-REP", &asn1::TgsRep(reply)).unwrap(),
        }
    }
}

fn body(request: &asn1::KdcReq) -> asn1::KdcReqBody {
    decode("body", request.req_body.as_bytes()).unwrap()
}

fn error(code: ErrorCode, data: Option<Vec<u8>>, server_time: SystemTime) -> Vec<u8> {
    KdcError { code, text: None, client_time: None, server_time, client: None, server: http(), data }
        .to_der()
        .unwrap()
}

fn etype_info(etype: i32, salt: Option<&str>, params: Option<&[u8]>) -> asn1::PaData {
    let entry = asn1::EtypeInfo2Entry {
        etype,
        salt: salt.map(asn1::string),
        s2kparams: params.map(|p| p.to_vec().into()),
    };
    asn1::PaData {
        padata_type: pa::ETYPE_INFO2,
        padata_value: encode("ETYPE-INFO2", &vec![entry]).unwrap().into(),
    }
}

fn preauth_required(info: asn1::PaData) -> Vec<u8> {
    let timestamp = asn1::PaData { padata_type: pa::ENC_TIMESTAMP, padata_value: Vec::new().into() };
    let methods: asn1::MethodData = vec![info, timestamp];
    error(ErrorCode::KDC_ERR_PREAUTH_REQUIRED, Some(encode("METHOD-DATA", &methods).unwrap()), now())
}

fn start(options: AsOptions, secret: ClientSecret) -> (AsExchange, asn1::KdcReq) {
    let mut exchange = AsExchange::new(options, secret, now(), &mut rng()).unwrap();
    let request = next(&mut exchange);
    (exchange, request)
}

fn next(exchange: &mut AsExchange) -> asn1::KdcReq {
    let request = exchange.poll_transmit().unwrap();
    assert!(exchange.poll_transmit().is_none());
    decode::<asn1::AsReq>("AS-REQ", &request.bytes).unwrap().0
}

fn password() -> ClientSecret {
    ClientSecret::Password("secret".into())
}

fn as_reply(request: &asn1::KdcReq, key: EncryptionKey) -> Fake {
    let krbtgt = Principal::krbtgt("R.TEST", "R.TEST");
    Fake {
        msg_type: 11,
        client: alice(),
        server: krbtgt.clone(),
        ticket_server: krbtgt,
        nonce: asn1::low32(body(request).nonce),
        flags: TicketFlags::INITIAL | TicketFlags::FORWARDABLE,
        auth_time: now(),
        end_time: now() + Duration::from_secs(3600),
        key,
        usage: KeyUsage::AS_REP,
        padata: Vec::new(),
    }
}

fn user_key(etype: EncryptionType, salt: &str, params: Option<&[u8]>) -> EncryptionKey {
    EncryptionKey::from_password(etype, b"secret", salt.as_bytes(), params).unwrap()
}

#[test]
fn preauthentication_with_the_salt_and_parameters_that_the_kdc_names() {
    let (mut exchange, first) = start(AsOptions::new(alice()), password());
    assert!(first.padata.is_none());
    let params = 7u32.to_be_bytes();
    let info = etype_info(17, Some("an odd salt"), Some(&params));
    let step = exchange.handle_reply(&preauth_required(info), now(), &mut rng()).unwrap();
    assert!(step.is_none());
    let second = next(&mut exchange);
    let key = user_key(A128, "an odd salt", Some(&params));
    let padata = second.padata.clone().unwrap();
    let sealed: asn1::EncryptedData = decode("data", &padata[0].padata_value).unwrap();
    let stamp = key.decrypt(KeyUsage::PA_ENC_TIMESTAMP, &sealed.cipher, "stamp").unwrap();
    let stamp: asn1::PaEncTsEnc = decode("stamp", stamp.expose()).unwrap();
    assert_eq!((padata[0].padata_type, asn1::system_time(&stamp.patimestamp)), (2, now()));

    let outcome = exchange.handle_reply(&as_reply(&second, key).bytes(), now(), &mut rng()).unwrap().unwrap();
    assert_eq!(outcome.credential.client, alice());
    // The session key's type is the KDC's choice and not that of the user's key.
    assert_eq!(outcome.credential.session_key.etype, A128);
    assert!(outcome.credential.flags.contains(TicketFlags::FORWARDABLE));
}

#[test]
fn without_preauthentication_the_reply_itself_tells_a_wrong_password() {
    let (mut exchange, request) = start(AsOptions::new(alice()), password());
    let good = as_reply(&request, user_key(A256, "R.TESTalice", None));
    assert!(exchange.handle_reply(&good.bytes(), now(), &mut rng()).unwrap().is_some());
    let salted = Fake {
        key: user_key(A256, "salt", None),
        padata: vec![etype_info(18, Some("salt"), None)],
        ..good.clone()
    };
    assert!(exchange.handle_reply(&salted.bytes(), now(), &mut rng()).unwrap().is_some());
    let wrong = Fake { key: EncryptionKey::random(A256, &mut rng()).unwrap(), ..good };
    assert_eq!(
        exchange.handle_reply(&wrong.bytes(), now(), &mut rng()).unwrap_err(),
        Error::Integrity("AS-REP")
    );
}

#[test]
fn as_replies_to_something_else_are_refused() {
    let (mut exchange, request) = start(AsOptions::new(alice()), password());
    let good = as_reply(&request, user_key(A256, "R.TESTalice", None));
    let other = Principal::krbtgt("R.TEST", "OTHER.TEST");
    for (bad, why) in [
        (Fake { nonce: good.nonce ^ 1, ..good.clone() }, "nonce"),
        (Fake { client: Principal::new("R.TEST", &["bob"]), ..good.clone() }, "bob"),
        (Fake { client: Principal::new("S.TEST", &["alice"]), ..good.clone() }, "S.TEST"),
        (Fake { ticket_server: other.clone(), ..good.clone() }, "OTHER.TEST"),
        (Fake { server: other.clone(), ticket_server: other, ..good.clone() }, "OTHER.TEST"),
    ] {
        match exchange.handle_reply(&bad.bytes(), now(), &mut rng()).unwrap_err() {
            Error::ReplyMismatch(text) => assert!(text.contains(why), "{text}"),
            e => panic!("{why}: {e}"),
        }
    }
    let old = Fake { auth_time: now() - Duration::from_secs(400), ..good.clone() };
    let error = exchange.handle_reply(&old.bytes(), now(), &mut rng()).unwrap_err();
    assert!(matches!(error, Error::ClockSkew { ahead: false, .. }));
    let over = Fake { end_time: now(), ..good.clone() };
    let error = exchange.handle_reply(&over.bytes(), now(), &mut rng()).unwrap_err();
    assert!(matches!(error, Error::TicketExpired { .. }));
    let tgs = Fake { msg_type: 13, ..good.clone() };
    let error = exchange.handle_reply(&tgs.bytes(), now(), &mut rng()).unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }));
    let bytes = good.bytes();
    for cut in 0..bytes.len() {
        assert!(exchange.handle_reply(&bytes[..cut], now(), &mut rng()).is_err());
    }
    assert!(exchange.handle_reply(b"HTTP/1.1 400 Bad Request", now(), &mut rng()).is_err());
}

#[test]
fn the_kdc_s_complaints_are_typed() {
    for code in [
        ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN,
        ErrorCode::KDC_ERR_PREAUTH_FAILED,
        ErrorCode::KDC_ERR_KEY_EXPIRED,
        ErrorCode::KDC_ERR_CLIENT_REVOKED,
    ] {
        let (mut exchange, _) = start(AsOptions::new(alice()), password());
        match exchange.handle_reply(&error(code, None, now()), now(), &mut rng()).unwrap_err() {
            Error::Kdc(e) => assert_eq!(e.code, code),
            e => panic!("{e}"),
        }
    }
    let (mut exchange, _) = start(AsOptions::new(alice()), password());
    let kdc_clock = now() + Duration::from_secs(3600);
    let skew = error(ErrorCode::KRB_AP_ERR_SKEW, None, kdc_clock);
    let e = exchange.handle_reply(&skew, now(), &mut rng()).unwrap_err();
    assert_eq!(e, Error::ClockSkew { skew: Duration::from_secs(3600), ahead: true });
    assert!(wants_tcp(&error(ErrorCode::KRB_ERR_RESPONSE_TOO_BIG, None, now())));
    assert!(!wants_tcp(&skew) && !wants_tcp(b"") && !wants_tcp(b"\x7e"));
}

#[test]
fn a_kdc_that_never_has_enough_is_left() {
    let (mut exchange, _) = start(AsOptions::new(alice()), password());
    let demand = preauth_required(etype_info(18, None, None));
    assert!(exchange.handle_reply(&demand, now(), &mut rng()).unwrap().is_none());
    assert!(matches!(exchange.handle_reply(&demand, now(), &mut rng()), Err(Error::Kdc(_))));
    // Sent from realm to realm and back.
    let (mut exchange, _) = start(AsOptions::new(alice()), password());
    let mut result = Ok(None);
    for n in 0..20 {
        let realm = if n % 2 == 0 { "B.TEST" } else { "A.TEST" };
        let referral = KdcError {
            client: Some(Principal::new(realm, &[])),
            ..KdcError::parse(&error(ErrorCode::KDC_ERR_WRONG_REALM, None, now())).unwrap()
        };
        result = exchange.handle_reply(&referral.to_der().unwrap(), now(), &mut rng());
        if result.is_err() {
            break;
        }
        assert_eq!(exchange.poll_transmit().unwrap().realm, realm);
    }
    assert!(matches!(result, Err(Error::Limit { .. })));
}

#[test]
fn where_a_user_is_known() {
    let upn = Principal { name_type: NameType::ENTERPRISE, ..Principal::new("R.TEST", &["al@brand.test"]) };
    let search = || Whereabouts::new(upn.clone(), vec![A256], now(), &mut rng()).unwrap();
    let referral = |realm: &str| {
        let client = Some(Principal::new(realm, &[]));
        let error = KdcError::parse(&error(ErrorCode::KDC_ERR_WRONG_REALM, None, now())).unwrap();
        KdcError { client, ..error }.to_der().unwrap()
    };
    let mut found = search();
    let request = found.poll_transmit().unwrap();
    assert_eq!((request.realm.as_str(), found.poll_transmit()), ("R.TEST", None));
    let asked = body(&decode::<asn1::AsReq>("AS-REQ", &request.bytes).unwrap().0);
    assert_eq!(asked.cname.unwrap().name_type, 10);
    assert_eq!(found.handle_reply(&referral("B.TEST"), now(), &mut rng()), Ok(None));
    assert_eq!(found.poll_transmit().unwrap().realm, "B.TEST");
    let known = found.handle_reply(&preauth_required(etype_info(18, None, None)), now(), &mut rng());
    assert_eq!(known, Ok(Some(Principal { realm: "B.TEST".to_owned(), ..upn.clone() })));
    // Of no realm, back again, and always further.
    for realms in [&[""][..], &["B.TEST", "R.TEST"], &["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K"]]
    {
        let mut search = search();
        let last = realms.iter().map(|realm| search.handle_reply(&referral(realm), now(), &mut rng())).last();
        assert!(matches!(last, Some(Err(Error::Kdc(_)))), "{realms:?}");
    }
    for code in [ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, ErrorCode::KRB_ERR_GENERIC] {
        let answer = search().handle_reply(&error(code, None, now()), now(), &mut rng());
        assert!(matches!(answer, Err(Error::Kdc(error)) if error.code == code));
    }
    assert!(search().handle_reply(b"garbage", now(), &mut rng()).is_err());
}

#[test]
fn no_common_encryption_type() {
    let (mut exchange, _) = start(AsOptions::new(alice()), password());
    let demand = preauth_required(etype_info(23, None, None));
    assert_eq!(
        exchange.handle_reply(&demand, now(), &mut rng()).unwrap_err(),
        Error::NoCommonEncryptionType(vec![23])
    );
    let excessive = preauth_required(etype_info(18, None, Some(&[0xff; 4])));
    let (mut exchange, _) = start(AsOptions::new(alice()), password());
    assert!(matches!(
        exchange.handle_reply(&excessive, now(), &mut rng()),
        Err(Error::StringToKeyParameters(_))
    ));
    let keys = ClientSecret::Keys(vec![EncryptionKey::new(EncryptionType::Other(23), vec![0; 16]).unwrap()]);
    assert!(AsExchange::new(AsOptions::new(alice()), keys, now(), &mut rng()).is_err());
}

#[test]
fn a_keytab_asks_only_for_types_it_has() {
    let key = EncryptionKey::random(A128, &mut rng()).unwrap();
    let (mut exchange, request) = start(AsOptions::new(alice()), ClientSecret::Keys(vec![key.clone()]));
    assert_eq!(body(&request).etype, [17]);
    let demand = preauth_required(etype_info(17, Some("ignored"), None));
    assert!(exchange.handle_reply(&demand, now(), &mut rng()).unwrap().is_none());
    let second = next(&mut exchange);
    assert!(exchange.handle_reply(&as_reply(&second, key).bytes(), now(), &mut rng()).unwrap().is_some());
}

#[test]
fn a_name_in_a_known_realm_is_a_plain_name() {
    let client = Principal::parse("alice@R.TEST", None).unwrap();
    let (_, request) = start(AsOptions::new(client), password());
    let name = body(&request).cname.unwrap();
    assert_eq!((name.name_type, name.name_string.len()), (1, 1));
}

fn tgt() -> Credential {
    let krbtgt = Principal::krbtgt("R.TEST", "R.TEST");
    let key = EncryptionKey::random(A256, &mut rng()).unwrap();
    let part = EncTicketPart {
        flags: TicketFlags::FORWARDABLE,
        session_key: EncryptionKey::random(A128, &mut rng()).unwrap(),
        client: alice(),
        transited_type: 1,
        transited: Vec::new(),
        auth_time: now(),
        start_time: None,
        end_time: now() + Duration::from_secs(3600),
        renew_till: None,
        addresses: Vec::new(),
        authorization_data: Vec::new(),
    };
    let ticket = part.seal(krbtgt.clone(), &key, None, &mut rng()).unwrap().to_der().unwrap();
    part.to_credential(&ticket, krbtgt)
}

fn tgs(options: TgsOptions) -> (TgsExchange, Fake) {
    let server = options.server.clone();
    let mut exchange = TgsExchange::new(&tgt(), options, now(), &mut rng()).unwrap();
    let request = exchange.poll_transmit().unwrap();
    assert_eq!(request.realm, "R.TEST");
    let request = decode::<asn1::TgsReq>("TGS-REQ", &request.bytes).unwrap().0;
    let ap = crate::ap::ApRequest::parse(&request.padata.as_ref().unwrap()[0].padata_value).unwrap();
    assert_eq!(ap.ticket_der, tgt().ticket);
    let fake = Fake {
        msg_type: 13,
        client: alice(),
        server: server.clone(),
        ticket_server: server,
        nonce: asn1::low32(body(&request).nonce),
        flags: TicketFlags::FORWARDABLE,
        auth_time: now() - Duration::from_secs(1000),
        end_time: now() + Duration::from_secs(1000),
        key: tgt().session_key,
        usage: KeyUsage::TGS_REP_SESSION_KEY,
        padata: Vec::new(),
    };
    (exchange, fake)
}

#[test]
fn a_service_ticket() {
    let (exchange, fake) = tgs(TgsOptions::new(http()));
    match exchange.handle_reply(&fake.bytes(), now()).unwrap() {
        TgsOutcome::Ticket(credential) => {
            assert_eq!((credential.client, credential.server), (alice(), http()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tgs_replies_to_something_else_are_refused() {
    let other = Principal::service("R.TEST", "HTTP", "b.r.test");
    let foreign = Principal::service("S.TEST", "HTTP", "a.r.test");
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Fake));
    let changes: [Change<'_>; 6] = [
        ("nonce", &|f| f.nonce ^= 1),
        ("bob", &|f| f.client = Principal::new("R.TEST", &["bob"])),
        ("b.r.test", &|f| f.ticket_server = other.clone()),
        ("b.r.test", &|f| (f.server, f.ticket_server) = (other.clone(), other.clone())),
        ("S.TEST", &|f| f.ticket_server = foreign.clone()),
        ("S.TEST", &|f| (f.server, f.ticket_server) = (foreign.clone(), foreign.clone())),
    ];
    for (why, change) in changes {
        let (exchange, mut fake) = tgs(TgsOptions::new(http()));
        change(&mut fake);
        match exchange.handle_reply(&fake.bytes(), now()).unwrap_err() {
            Error::ReplyMismatch(text) => assert!(text.contains(why), "{text}"),
            e => panic!("{why}: {e}"),
        }
    }
    let (exchange, mut fake) = tgs(TgsOptions::new(http()));
    fake.key = EncryptionKey::random(A256, &mut rng()).unwrap();
    assert_eq!(exchange.handle_reply(&fake.bytes(), now()).unwrap_err(), Error::Integrity("TGS-REP"));
    let (exchange, _) = tgs(TgsOptions::new(http()));
    let refused = error(ErrorCode::KDC_ERR_BADOPTION, None, now());
    match exchange.handle_reply(&refused, now()).unwrap_err() {
        Error::Kdc(e) => assert_eq!(e.code, ErrorCode::KDC_ERR_BADOPTION),
        e => panic!("{e}"),
    }
}

#[test]
fn the_way_to_another_realm_is_a_state_of_its_own() {
    let (exchange, mut fake) = tgs(TgsOptions::new(http()));
    let far = Principal::krbtgt("R.TEST", "FAR.TEST");
    (fake.server, fake.ticket_server) = (far.clone(), far);
    match exchange.handle_reply(&fake.bytes(), now()).unwrap() {
        TgsOutcome::Referral { tgt, realm } => {
            assert_eq!((tgt.client, realm.as_str()), (alice(), "FAR.TEST"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tgt_to_forward_must_be_a_forwarded_one() {
    let options = TgsOptions::forward(&tgt());
    assert!(options.kdc_options.contains(KdcOptions::FORWARDED | KdcOptions::FORWARDABLE));
    let (exchange, fake) = tgs(options.clone());
    assert!(matches!(exchange.handle_reply(&fake.bytes(), now()), Err(Error::ReplyMismatch(_))));
    let (exchange, mut fake) = tgs(options);
    fake.flags |= TicketFlags::FORWARDED;
    assert!(matches!(exchange.handle_reply(&fake.bytes(), now()), Ok(TgsOutcome::Ticket(_))));
}

#[test]
fn only_a_current_tgt_is_used() {
    let service = Credential { server: http(), ..tgt() };
    assert!(TgsExchange::new(&service, TgsOptions::new(http()), now(), &mut rng()).is_err());
    let later = now() + Duration::from_secs(3600);
    let result = TgsExchange::new(&tgt(), TgsOptions::new(http()), later, &mut rng());
    assert!(matches!(result, Err(Error::TicketExpired { .. })));
}

#[test]
fn a_tgt_that_is_not_forwardable_still_gets_service_tickets() {
    for (flags, forwarded, wish) in [
        (TicketFlags::FORWARDABLE, false, true),
        (TicketFlags::empty(), false, false),
        // To forward it is for the KDC to refuse.
        (TicketFlags::empty(), true, true),
    ] {
        let tgt = Credential { flags, ..tgt() };
        let options = if forwarded { TgsOptions::forward(&tgt) } else { TgsOptions::new(http()) };
        let mut exchange = TgsExchange::new(&tgt, options, now(), &mut rng()).unwrap();
        let request = exchange.poll_transmit().unwrap().bytes;
        let body = body(&decode::<asn1::TgsReq>("TGS-REQ", &request).unwrap().0);
        let sent = KdcOptions::from_bits_retain(asn1::bits(&body.kdc_options));
        assert_eq!(sent.contains(KdcOptions::FORWARDABLE), wish);
    }
}
