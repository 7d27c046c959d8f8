//! Context establishment, both ends in one thread.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::time::{Duration, SystemTime};

use common::{FLAGS, REALM, World, ticket};
use hop_kerberos::ap::{Authenticator, Checksum, make_ap_req};
use hop_kerberos::crypto::KeyUsage;
use hop_kerberos::gss::{
    AcceptorOptions, BindingPolicy, ChannelBindings, Context, GssFlags, Initiator, Refused,
};
use hop_kerberos::{ApOptions, EncryptionKey, EncryptionType, Error, ErrorCode, Principal, TicketFlags};

const A128: EncryptionType = EncryptionType::Aes128CtsHmacSha1;
const A256: EncryptionType = EncryptionType::Aes256CtsHmacSha1;
const ALL: [EncryptionType; 4] =
    [A128, A256, EncryptionType::Aes128CtsHmacSha256, EncryptionType::Aes256CtsHmacSha384];

fn establish(world: &mut World) -> (Context, Context) {
    let (token, expect) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    (expect.handle(&accepted.reply.unwrap()).unwrap(), accepted.context)
}

fn why(result: Result<hop_kerberos::gss::Accepted, Refused>) -> Error {
    *result.unwrap_err().error
}

#[test]
fn mutual_authentication_with_every_encryption_type() {
    for etype in ALL {
        let (mut client, mut server) = establish(&mut World::new(etype));
        assert_eq!(client.session_key(), server.session_key());
        let token = client.wrap(true, b"from the client").unwrap();
        let opened = server.unwrap(&token).unwrap();
        assert_eq!((opened.message.as_slice(), opened.confidential), (&b"from the client"[..], true));
        let token = server.wrap(false, b"from the server").unwrap();
        let opened = client.unwrap(&token).unwrap();
        assert_eq!((opened.message.as_slice(), opened.confidential), (&b"from the server"[..], false));
    }
}

/// The session key need not be of the service key's type.
#[test]
fn the_session_key_has_a_type_of_its_own() {
    let mut world = World::new(A256);
    world.credential = ticket(&world.service, &world.service_key, A128, world.now, TicketFlags::empty());
    let (mut client, mut server) = establish(&mut world);
    assert_eq!(client.session_key().etype, A128);
    let (header, body) = server.wrap_detached(b"answer").unwrap();
    assert_eq!(client.unwrap_detached(&header, &body).unwrap(), b"answer");
}

#[test]
fn the_acceptor_learns_who_and_keeps_the_evidence() {
    let mut world = World::new(A256);
    let (token, _) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    assert_eq!(accepted.client, Principal::new(REALM, &["alice"]));
    assert_eq!(accepted.server, world.service);
    assert!(accepted.ticket_flags.contains(TicketFlags::FORWARDABLE));
    assert_eq!(accepted.evidence.ticket, world.credential.ticket);
    assert_eq!(accepted.evidence.session_key, world.credential.session_key);
    assert_eq!((accepted.delegated, accepted.delegation_requested), (None, false));
    assert_eq!(accepted.gss_flags, FLAGS | GssFlags::MUTUAL);
}

#[test]
fn without_mutual_authentication_both_count_alike() {
    let mut world = World::new(A256);
    let (token, mut client) = Initiator::one_way(&world.options(), world.now, &mut rand::rng()).unwrap();
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    assert!(accepted.reply.is_none());
    let mut server = accepted.context;
    let token = client.wrap(true, b"one").unwrap();
    assert_eq!(server.unwrap(&token).unwrap().message, b"one");
    let token = server.wrap(true, b"two").unwrap();
    assert_eq!(client.unwrap(&token).unwrap().message, b"two");
}

#[test]
fn a_forwarded_ticket_arrives() {
    let mut world = World::new(A256);
    let options =
        hop_kerberos::gss::InitiatorOptions { forwarded: Some(&world.forwarded), ..world.options() };
    let (token, expect) = Initiator::new(&options, world.now, &mut rand::rng()).unwrap();
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    assert!(accepted.delegation_requested && accepted.gss_flags.contains(GssFlags::DELEG));
    let delegated = accepted.delegated.unwrap();
    assert_eq!(delegated.session_key, world.forwarded.session_key);
    assert_eq!(delegated.ticket, world.forwarded.ticket);
    assert_eq!((&delegated.client, &delegated.server), (&world.forwarded.client, &world.forwarded.server));
    assert!(delegated.flags.contains(TicketFlags::FORWARDED));
    assert!(expect.handle(&accepted.reply.unwrap()).unwrap().flags().contains(GssFlags::DELEG));
}

/// An AP-REQ token with a checksum of the test's own making.
fn token_with_checksum(world: &World, checksum: Option<Checksum>, subkey: Option<EncryptionKey>) -> Vec<u8> {
    let authenticator = Authenticator {
        client: world.credential.client.clone(),
        checksum,
        time: world.now,
        subkey,
        sequence_number: Some(1),
        authorization_data: Vec::new(),
    };
    let usage = KeyUsage::AP_REQ_AUTHENTICATOR;
    framed(
        &make_ap_req(&world.credential, ApOptions::empty(), &authenticator, usage, &mut rand::rng()).unwrap(),
    )
}

fn framed(ap_req: &[u8]) -> Vec<u8> {
    let oid = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00";
    let length = (oid.len() + ap_req.len()) as u32;
    let mut token = vec![0x60, 0x84];
    token.extend_from_slice(&length.to_be_bytes());
    token.extend_from_slice(oid);
    token.extend_from_slice(ap_req);
    token
}

fn gss_checksum(flags: u32, delegation: Option<&[u8]>) -> Checksum {
    let mut value = vec![16, 0, 0, 0];
    value.extend_from_slice(&[0; 16]);
    value.extend_from_slice(&flags.to_le_bytes());
    if let Some(message) = delegation {
        value.extend_from_slice(&[1, 0]);
        value.extend_from_slice(&(message.len() as u16).to_le_bytes());
        value.extend_from_slice(message);
    }
    Checksum { checksum_type: 0x8003, value }
}

/// Clients differ in the key they seal the delegated credential with.
#[test]
fn delegation_sealed_with_session_key_subkey_or_not_at_all() {
    let mut world = World::new(A256);
    let subkey = EncryptionKey::random(A256, &mut rand::rng()).unwrap();
    let stranger = EncryptionKey::random(A256, &mut rand::rng()).unwrap();
    let session = world.credential.session_key.clone();
    for (key, good) in [(Some(&session), true), (Some(&subkey), true), (None, true), (Some(&stranger), false)]
    {
        let message =
            hop_kerberos::KrbCred::seal(&[&world.forwarded], key, world.now, &mut rand::rng()).unwrap();
        let token = token_with_checksum(&world, Some(gss_checksum(1, Some(&message))), Some(subkey.clone()));
        let result = world.accept(&token, &AcceptorOptions::default());
        if good {
            assert_eq!(result.unwrap().delegated.unwrap().ticket, world.forwarded.ticket);
        } else {
            assert_eq!(why(result), Error::Integrity("KRB-CRED"));
        }
    }
}

#[test]
fn the_delegation_flag_decides() {
    let mut world = World::new(A256);
    let message =
        hop_kerberos::KrbCred::seal(&[&world.forwarded], None, world.now, &mut rand::rng()).unwrap();
    // A credential without the flag is none; the flag without a credential is a wish.
    let token = token_with_checksum(&world, Some(gss_checksum(0, Some(&message))), None);
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    assert_eq!((accepted.delegated, accepted.delegation_requested), (None, false));
    let token = token_with_checksum(&world, Some(gss_checksum(1, None)), None);
    let accepted = world.accept(&token, &AcceptorOptions::default()).unwrap();
    assert_eq!((accepted.delegated, accepted.delegation_requested), (None, true));
    // A service ticket is nothing to delegate.
    let message =
        hop_kerberos::KrbCred::seal(&[&world.credential], None, world.now, &mut rand::rng()).unwrap();
    let token = token_with_checksum(&world, Some(gss_checksum(1, Some(&message))), None);
    assert!(matches!(why(world.accept(&token, &AcceptorOptions::default())), Error::Unexpected { .. }));
}

#[test]
fn the_checksum_is_not_thrown_away() {
    let mut world = World::new(A256);
    let other = Checksum { checksum_type: 16, value: vec![0; 12] };
    let short = Checksum { checksum_type: 0x8003, value: vec![16, 0, 0, 0] };
    for checksum in [None, Some(other), Some(short)] {
        let token = token_with_checksum(&world, checksum, None);
        let error = why(world.accept(&token, &AcceptorOptions::default()));
        assert!(matches!(error, Error::Unexpected { .. } | Error::Malformed { .. }), "{error}");
    }
}

#[test]
fn channel_bindings() {
    let tls = |hash: &[u8]| ChannelBindings {
        application_data: [b"tls-server-end-point:", hash].concat(),
        ..ChannelBindings::default()
    };
    let (ours, others) = (tls(b"ours"), tls(b"others"));
    use BindingPolicy::{None as Off, Relaxed, Strict};
    for (policy, sent, advertised, connection, expected) in [
        (Strict, Some(&ours), true, Some(&ours), Ok(())),
        (Relaxed, Some(&ours), false, Some(&ours), Ok(())),
        (Relaxed, Some(&others), false, Some(&ours), Err(Error::ChannelBindingsMismatch)),
        (Strict, Some(&others), true, Some(&ours), Err(Error::ChannelBindingsMismatch)),
        (Off, Some(&others), true, Some(&ours), Ok(())),
        (Strict, None, false, Some(&ours), Err(Error::ChannelBindingsMissing)),
        (Relaxed, None, false, Some(&ours), Ok(())),
        // The client says it always sends bindings, so its connection ends elsewhere.
        (Relaxed, None, true, Some(&ours), Err(Error::ChannelBindingsMissing)),
        (Strict, Some(&ours), true, None, Ok(())),
    ] {
        let mut world = World::new(A256);
        let options = hop_kerberos::gss::InitiatorOptions {
            channel_bindings: sent,
            advertise_bindings: advertised,
            ..world.options()
        };
        let (token, _) = Initiator::new(&options, world.now, &mut rand::rng()).unwrap();
        let options = AcceptorOptions {
            binding_policy: policy,
            channel_bindings: connection.cloned(),
            ..AcceptorOptions::default()
        };
        let result = world.accept(&token, &options).map(|_| ()).map_err(|refused| *refused.error);
        assert_eq!(result, expected, "{policy:?} {sent:?} {advertised} {connection:?}");
    }
}

#[test]
fn a_replayed_request_is_refused() {
    let mut world = World::new(A256);
    let (token, _) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    world.accept(&token, &AcceptorOptions::default()).unwrap();
    let refused = world.accept(&token, &AcceptorOptions::default()).unwrap_err();
    assert_eq!(*refused.error, Error::Replay);
    // Still remembered when it is as old as it can be and valid.
    let late = world.now + Duration::from_secs(299);
    assert_eq!(why(world.accept_at(&token, &AcceptorOptions::default(), late)), Error::Replay);
}

#[test]
fn clocks_tickets_and_names_are_checked() {
    let options = AcceptorOptions::default();
    let mut world = World::new(A256);
    let (token, expect) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    let late = world.now + Duration::from_secs(301);
    let refused = world.accept_at(&token, &options, late).unwrap_err();
    assert!(matches!(*refused.error, Error::ClockSkew { ahead: false, .. }));
    // The client learns it from the KRB-ERROR, seen from its side.
    let told = expect.handle(&refused.reply.unwrap()).unwrap_err();
    assert!(matches!(told, Error::ClockSkew { ahead: true, skew } if skew.as_secs() >= 300), "{told}");

    let sent_at = world.now + Duration::from_secs(3700);
    world.credential.end_time = sent_at + Duration::from_secs(3600);
    let (token, _) = Initiator::new(&world.options(), sent_at, &mut rand::rng()).unwrap();
    let error = why(world.accept_at(&token, &options, sent_at + Duration::from_secs(250)));
    assert!(matches!(error, Error::TicketExpired { .. }));

    let mut world = World::new(A256);
    world.credential.client = Principal::new(REALM, &["administrator"]);
    let (token, _) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    assert!(matches!(why(world.accept(&token, &options)), Error::ClientMismatch { .. }));
}

#[test]
fn tickets_for_somebody_else_are_refused() {
    let mut world = World::new(A256);
    let other_key = EncryptionKey::random(A256, &mut rand::rng()).unwrap();
    let other = Principal::service(REALM, "HTTP", "serverb.test.realm");
    let offer = |world: &mut World, server: &Principal, key: &EncryptionKey, options: &AcceptorOptions| {
        world.credential = ticket(server, key, A256, world.now, TicketFlags::empty());
        let (token, expect) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
        (world.accept(&token, options), expect)
    };
    let any = AcceptorOptions::default();
    let (result, expect) = offer(&mut world, &other, &other_key, &any);
    let refused = result.unwrap_err();
    assert!(matches!(*refused.error, Error::WrongServer { .. }), "{}", refused.error);
    match expect.handle(&refused.reply.unwrap()).unwrap_err() {
        Error::Kdc(e) => assert_eq!(e.code, ErrorCode::KRB_AP_ERR_NOT_US),
        e => panic!("{e}"),
    }
    // Our name with somebody else's key, as from a KDC whose idea of the key is old.
    let service = world.service.clone();
    let (result, _) = offer(&mut world, &service, &other_key, &any);
    assert_eq!(why(result), Error::Integrity("Ticket"));
    // Another name of the same account is for the options to allow.
    let key = world.service_key.clone();
    let cifs = Principal::service(REALM, "cifs", "servera.test.realm");
    assert!(offer(&mut world, &cifs, &key, &any).0.is_ok());
    let only_http = AcceptorOptions { services: vec!["http".to_owned()], ..AcceptorOptions::default() };
    assert!(matches!(why(offer(&mut world, &cifs, &key, &only_http).0), Error::WrongServer { .. }));
    assert!(offer(&mut world, &service, &key, &only_http).0.is_ok());
}

#[test]
fn an_answer_from_somebody_without_the_key_proves_nothing() {
    let mut world = World::new(A256);
    let (token, _) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    let reply = world.accept(&token, &AcceptorOptions::default()).unwrap().reply.unwrap();
    // The answer to another request.
    let later = world.now + Duration::from_micros(1);
    let (_, expect) = Initiator::new(&world.options(), later, &mut rand::rng()).unwrap();
    assert!(matches!(expect.handle(&reply).unwrap_err(), Error::NoMutualAuthentication(_)));
    // The request given back.
    let (token, expect) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    assert!(matches!(expect.handle(&token).unwrap_err(), Error::Unexpected { .. }));
    // Altered on the way.
    let (token, expect) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    let mut reply = world.accept(&token, &AcceptorOptions::default()).unwrap().reply.unwrap();
    *reply.last_mut().unwrap() ^= 1;
    assert_eq!(expect.handle(&reply).unwrap_err(), Error::Integrity("AP-REP"));
}

#[test]
fn no_token_cut_or_altered_is_accepted_or_panics() {
    let mut world = World::new(A256);
    let (token, _) = Initiator::new(&world.options(), world.now, &mut rand::rng()).unwrap();
    for cut in 0..token.len() {
        assert!(world.accept(&token[..cut], &AcceptorOptions::default()).is_err(), "{cut}");
    }
    for position in 0..token.len() {
        let mut altered = token.clone();
        altered[position] ^= 0x11;
        // The AP options, the ticket's name and its key version are protected by nobody and change nothing.
        if let Ok(accepted) = world.accept(&altered, &AcceptorOptions::default()) {
            assert_eq!(accepted.client, world.credential.client, "byte {position}");
            assert_eq!(accepted.gss_flags, FLAGS | GssFlags::MUTUAL, "byte {position}");
            assert_eq!(accepted.evidence.session_key, world.credential.session_key);
            world.replay = Default::default();
        }
    }
}

#[test]
fn an_expired_ticket_is_not_even_sent() {
    let world = World::new(A256);
    let later: SystemTime = world.now + Duration::from_secs(3601);
    assert!(matches!(
        Initiator::new(&world.options(), later, &mut rand::rng()).unwrap_err(),
        Error::TicketExpired { .. }
    ));
}
