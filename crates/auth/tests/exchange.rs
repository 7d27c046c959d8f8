//! Authentication and sealed bodies, both ends in one thread, with real Kerberos contexts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

#[path = "../../kerberos/tests/common/mod.rs"]
mod common;

use common::World;
use hop_auth::{
    BodyClass, Error, SealedBodyError, Sealer, UserName, client,
    credssp::{self, DelegatedPassword, tls},
    http::{self, Scheme},
    ntlm,
    server::{Acceptor, NeedKerberos, Offer, Refusal, Step},
    spnego::{
        AcceptorMechanisms, InitiatorMechanisms, NegState, NegTokenInit, NegTokenResp, Oid, Token,
        encode_mech_types,
    },
};
use hop_kerberos::EncryptionType;
use hop_kerberos::gss::{AcceptorOptions, Context, ExpectApRep, GssFlags, Initiator};

const SOAP: &str = "application/soap+xml;charset=UTF-8";

fn world() -> World {
    World::new(EncryptionType::Aes256CtsHmacSha1)
}

fn initiate(world: &World) -> (Vec<u8>, ExpectApRep) {
    let mut options = world.options();
    options.flags |= GssFlags::MUTUAL;
    Initiator::new(&options, world.now, &mut rand::rng()).unwrap()
}

fn init(mech_types: &[Oid], mech_token: Option<Vec<u8>>) -> String {
    let init = NegTokenInit { mech_types: mech_types.to_vec(), mech_token, ..NegTokenInit::default() };
    Scheme::Negotiate.header(&Token::Init(init).encode())
}

fn need(step: Result<Step, Refusal>) -> NeedKerberos {
    match step.unwrap() {
        Step::NeedKerberos(need) => need,
        other => panic!("{other:?}"),
    }
}

fn refusal(step: Result<Step, Refusal>) -> Refusal {
    step.unwrap_err()
}

fn token_of(header: &str) -> Vec<u8> {
    http::parse_authorization(header).unwrap().1
}

fn resp(header: &str) -> NegTokenResp {
    match Token::decode(&token_of(header)).unwrap() {
        Token::Resp(resp) => resp,
        other => panic!("{other:?}"),
    }
}

/// Runs the AP exchange and hands its result to the acceptor.
fn accept(world: &mut World, need: NeedKerberos) -> Result<Step, Refusal> {
    let accepted = world.accept(need.token(), &AcceptorOptions::default()).unwrap();
    need.accepted(Box::new(accepted.context), accepted.reply)
}

fn established(step: Result<Step, Refusal>) -> (String, Sealer) {
    match step.unwrap() {
        Step::Established { www_authenticate, sealer } => (www_authenticate.unwrap(), sealer),
        other => panic!("{other:?}"),
    }
}

/// A pair of sealers, client and server.
fn pair() -> (Sealer, Sealer) {
    let mut world = world();
    let (token, expect) = initiate(&world);
    let (reply, server) = established({
        let need = need(Acceptor::new().handle(&init(&[Oid::KERBEROS], Some(token))));
        accept(&mut world, need)
    });
    let context = expect.handle(&resp(&reply).response_token.unwrap()).unwrap();
    (Sealer::new(Box::new(context), BodyClass::Spnego), server)
}

#[test]
fn one_round_trip_with_the_preferred_mechanism() {
    for oid in [Oid::KERBEROS, Oid::KERBEROS_MICROSOFT] {
        let mut world = world();
        let (token, expect) = initiate(&world);
        let header = init(&[oid.clone(), Oid::NTLM], Some(token.clone()));
        let need = need(Acceptor::new().handle(&header));
        assert_eq!(need.token(), token);
        let (reply, _) = established(accept(&mut world, need));
        let reply = resp(&reply);
        assert_eq!(reply.neg_state, Some(NegState::AcceptCompleted));
        assert_eq!(reply.supported_mech, Some(oid), "the name that the client used");
        assert_eq!(reply.mech_list_mic, None, "a MIC would cost another request");
        expect.handle(&reply.response_token.unwrap()).unwrap();
    }
    assert_eq!(Offer::default().challenges(), ["Negotiate", "Kerberos"]);
}

/// NTLM preferred: Kerberos is asked for, and the list must be protected (RFC 4178 section 5).
fn unpreferred(world: &mut World) -> (Acceptor, Context, Vec<u8>) {
    let offered = [Oid::NTLM, Oid::KERBEROS];
    let Step::Continue { www_authenticate, next } =
        Acceptor::new().handle(&init(&offered, Some(b"NTLMSSP\0".to_vec()))).unwrap()
    else {
        panic!()
    };
    let asked = resp(&www_authenticate);
    assert_eq!((asked.neg_state, asked.supported_mech), (Some(NegState::RequestMic), Some(Oid::KERBEROS)));

    let (token, expect) = initiate(world);
    let answer = NegTokenResp { response_token: Some(token), ..NegTokenResp::default() };
    let need = need(next.handle(&Scheme::Negotiate.header(&Token::Resp(answer).encode())));
    let Step::Continue { www_authenticate, next } = accept(world, need).unwrap() else { panic!() };
    let reply = resp(&www_authenticate);
    assert_eq!(reply.neg_state, Some(NegState::AcceptIncomplete));
    let mut context = expect.handle(&reply.response_token.unwrap()).unwrap();
    let list = encode_mech_types(&offered);
    context.verify_mic(&list, &reply.mech_list_mic.unwrap()).unwrap();
    (next, context, list)
}

#[test]
fn the_mechanism_list_is_protected_when_another_mechanism_was_preferred() {
    let mut world = world();
    let (next, mut context, list) = unpreferred(&mut world);
    let mic =
        NegTokenResp { mech_list_mic: Some(context.get_mic(&list).unwrap()), ..NegTokenResp::default() };
    let (reply, _) = established(next.handle(&Scheme::Negotiate.header(&Token::Resp(mic).encode())));
    assert_eq!(resp(&reply).neg_state, Some(NegState::AcceptCompleted));
}

#[test]
fn a_missing_or_wrong_mic_is_refused() {
    let mut world = world();
    let (next, _, _) = unpreferred(&mut world);
    let empty = Scheme::Negotiate.header(&Token::Resp(NegTokenResp::default()).encode());
    assert!(matches!(*refusal(next.handle(&empty)).error, Error::MicMissing));

    // Somebody took the client's preferred mechanism off the list.
    let (next, mut context, _) = unpreferred(&mut world);
    let mic = context.get_mic(&encode_mech_types(&[Oid::KERBEROS])).unwrap();
    let forged = NegTokenResp { mech_list_mic: Some(mic), ..NegTokenResp::default() };
    let header = Scheme::Negotiate.header(&Token::Resp(forged).encode());
    assert!(matches!(*refusal(next.handle(&header)).error, Error::Kerberos(_)));
}

#[test]
fn kerberos_without_spnego() {
    for (scheme, class) in [(Scheme::Negotiate, BodyClass::Spnego), (Scheme::Kerberos, BodyClass::Kerberos)] {
        let mut world = world();
        let (token, expect) = initiate(&world);
        let need = need(Acceptor::new().handle(&scheme.header(&token)));
        let (reply, sealer) = established(accept(&mut world, need));
        assert!(reply.starts_with(scheme.as_str()));
        assert_eq!(sealer.class(), class);
        expect.handle(&token_of(&reply)).unwrap();
    }
}

#[test]
fn tokens_that_lead_nowhere() {
    let acceptor = Acceptor::new;
    let refused = refusal(acceptor().handle(&init(&[Oid::NTLM, Oid::NEGOEX], None)));
    assert!(refused.error.to_string().contains("NTLM"), "{}", refused.error);
    assert_eq!(resp(&refused.www_authenticate.unwrap()).neg_state, Some(NegState::Reject));
    let ntlm = Scheme::Negotiate.header(b"NTLMSSP\0\x01\0\0\0");
    assert!(matches!(*refusal(acceptor().handle(&ntlm)).error, Error::NoCommonMechanism { .. }));
    let garbage = Scheme::Negotiate.header(b"garbage");
    assert!(matches!(*refusal(acceptor().handle(&garbage)).error, Error::Unexpected { .. }));
    let early = Scheme::Negotiate.header(&Token::Resp(NegTokenResp::default()).encode());
    assert!(matches!(*refusal(acceptor().handle(&early)).error, Error::Unexpected { .. }));
    let cut = Scheme::Negotiate.header(&token_of(&init(&[Oid::KERBEROS], Some(vec![1, 2, 3])))[..20]);
    assert!(acceptor().handle(&cut).is_err());
    assert!(matches!(*refusal(acceptor().handle("Basic YTpi")).error, Error::Scheme { .. }));
}

/// The client can tell a wrong clock from a wrong key.
#[test]
fn the_mechanisms_own_error_reaches_the_client() {
    let mut world = world();
    let (token, expect) = initiate(&world);
    let need = need(Acceptor::new().handle(&init(&[Oid::KERBEROS], Some(token))));
    let late = world.now + std::time::Duration::from_secs(1200);
    let refused = world.accept_at(need.token(), &AcceptorOptions::default(), late).unwrap_err();
    let refusal = need.refused(*refused.error, refused.reply);
    let reply = resp(&refusal.www_authenticate.unwrap());
    assert_eq!(reply.neg_state, Some(NegState::Reject));
    let error = expect.handle(&reply.response_token.unwrap()).unwrap_err().to_string();
    assert!(error.contains("skew"), "{error}");
}

#[test]
fn bodies_travel_sealed_both_ways() {
    let (mut client, mut server) = pair();
    for size in [0, 1, 15, 16, 17, 5000, 200_000] {
        let body: Vec<u8> = (0..size).map(|i| i as u8).collect();
        let sealed = client.seal(SOAP, &body).unwrap();
        assert!(size < 16 || !sealed.body.windows(16).any(|w| w == &body[..16]));
        let opened = server.unseal(&sealed.content_type, &sealed.body).unwrap();
        assert_eq!((opened.content_type.as_str(), opened.body), (SOAP, body.clone()));
        let sealed = server.seal(SOAP, &body).unwrap();
        assert_eq!(client.unseal(&sealed.content_type, &sealed.body).unwrap().body, body);
    }
}

#[test]
fn the_framing_is_exact() {
    let (mut client, _) = pair();
    let sealed = client.seal(SOAP, b"<s/>").unwrap();
    assert_eq!(
        sealed.content_type,
        "multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\""
    );
    let start = b"--Encrypted Boundary\r\n\
        \tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\
        \tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=4\r\n\
        --Encrypted Boundary\r\n\
        \tContent-Type: application/octet-stream\r\n\
        \x3c\0\0\0\x05\x04";
    assert!(sealed.body.starts_with(start), "{:?}", String::from_utf8_lossy(&sealed.body));
    assert!(sealed.body.ends_with(b"--Encrypted Boundary--\r\n"));
}

#[test]
fn a_reader_tolerates_other_writers() {
    let (mut client, mut server) = pair();
    // Exchange writes a blank after the dashes; the class may be the other one.
    let sealed = client.seal(SOAP, b"one").unwrap();
    let text = replace(&sealed.body, b"--Encrypted Boundary", b"-- Encrypted Boundary");
    let text = replace(&text, b"SPNEGO", b"Kerberos");
    let content_type = sealed.content_type.replace("SPNEGO", "Kerberos").replace(';', " ; ");
    assert_eq!(server.unseal(&content_type, &text).unwrap().body, b"one");
    assert_eq!(server.class(), BodyClass::Kerberos, "the answer is in the client's class");

    let sealed = client.seal(SOAP, b"two").unwrap();
    let text = replace(&sealed.body, b"\r\n\t", b"\r\n");
    assert_eq!(server.unseal(&sealed.content_type, &text[..text.len() - 2]).unwrap().body, b"two");
}

#[test]
fn whatever_is_not_sealed_is_refused() {
    let (mut client, mut server) = pair();
    for content_type in ["", SOAP, "text/plain", "multipart/mixed;boundary=\"Encrypted Boundary\""] {
        let error = server.unseal(content_type, b"<s/>").unwrap_err();
        assert!(matches!(error, SealedBodyError::Plaintext { .. }), "{error}");
    }
    let sealed = client.seal(SOAP, b"content").unwrap();
    let with = |body: Vec<u8>, server: &mut Sealer| server.unseal(&sealed.content_type, &body).unwrap_err();
    assert!(matches!(with(b"<s/>".to_vec(), &mut server), SealedBodyError::Framing(_)));
    let wrong_length = replace(&sealed.body, b"Length=7", b"Length=8");
    for end in 0..sealed.body.len() - 2 {
        with(sealed.body[..end].to_vec(), &mut server);
    }
    let mut altered = sealed.body.clone();
    let n = altered.len();
    altered[n - 40] ^= 1;
    assert!(matches!(with(altered, &mut server), SealedBodyError::Context(_)));
    let huge = replace(&sealed.body, b"\x3c\0\0\0", b"\xff\xff\xff\xff");
    assert!(matches!(with(huge, &mut server), SealedBodyError::Framing(_)));
    let protocol = sealed.content_type.replace("SPNEGO", "CredSSP");
    assert!(matches!(server.unseal(&protocol, &sealed.body), Err(SealedBodyError::Framing(_))));

    server.unseal(&sealed.content_type, &sealed.body).unwrap();
    let error = server.unseal(&sealed.content_type, &sealed.body).unwrap_err();
    assert!(matches!(error, SealedBodyError::Context(_)), "a replay: {error}");
    assert!(with(wrong_length, &mut server).to_string().contains("duplicate"));

    let sealed = client.seal(SOAP, b"content").unwrap();
    let wrong_length = replace(&sealed.body, b"Length=7", b"Length=8");
    let error = server.unseal(&sealed.content_type, &wrong_length).unwrap_err();
    assert!(matches!(error, SealedBodyError::Length { announced: 8, got: 7 }), "{error}");
}

#[test]
fn bodies_have_a_limit() {
    let (mut client, mut server) = pair();
    server.set_limit(1000);
    let sealed = client.seal(SOAP, &[7; 1001]).unwrap();
    let error = server.unseal(&sealed.content_type, &sealed.body).unwrap_err();
    assert_eq!(error.to_string(), "body of 1001 bytes, expected at most 1000");
    let sealed = client.seal(SOAP, &[7; 10_000]).unwrap();
    assert!(matches!(
        server.unseal(&sealed.content_type, &sealed.body),
        Err(SealedBodyError::TooLarge { .. })
    ));
}

#[test]
fn tokens_are_described() {
    let world = world();
    let (token, _) = initiate(&world);
    let text = hop_auth::describe::describe(&token_of(&init(&[Oid::KERBEROS], Some(token)))).unwrap();
    for part in ["negTokenInit", "AP-REQ", "mutual-required", "HTTP/servera.test.realm@TEST.REALM", "aes256"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(hop_auth::describe::describe(b"garbage"), None);
}

fn replace(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.windows(from.len()).position(|w| w == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn ntlm_acceptor() -> ntlm::Acceptor {
    ntlm::Acceptor::new(ntlm::AcceptorOptions::new("SERVERA"), rand::random(), std::time::SystemTime::now())
}

fn ntlm_client() -> InitiatorMechanisms {
    let credential = ntlm::Credential::with_password(UserName::parse("alice"), &"secret".into());
    let now = std::time::SystemTime::now();
    let ntlm = ntlm::Initiator::start(credential, ntlm::InitiatorOptions::default(), now, &mut rand::rng());
    InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm) }
}

fn credssp() -> (String, client::ExpectAnswer, Offer) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["servera".to_owned()]).unwrap().self_signed(&key).unwrap();
    let tls = tls::ServerTls::new(
        vec![certificate.der().clone()],
        rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
    .unwrap();
    let options = credssp::AcceptorOptions::new(ntlm_only());
    let acceptor = credssp::Acceptor::new(Box::new(tls.connection().unwrap()), options);
    let pipe = tls::client("servera", None, std::time::SystemTime::now()).unwrap();
    let credentials = DelegatedPassword { name: UserName::parse("alice"), password: "secret".into() };
    let options = credssp::InitiatorOptions::new(ntlm_client(), credentials);
    let (authorization, expect) = client::start_credssp(Box::new(pipe), options, &mut rand::rng()).unwrap();
    (authorization, expect, Offer { mechanisms: ntlm_only(), credssp: Some(acceptor) })
}

fn ntlm_only() -> AcceptorMechanisms {
    AcceptorMechanisms { kerberos: false, ntlm: Some(ntlm_acceptor()) }
}

fn verify(step: Result<Step, Refusal>) -> Result<Step, Refusal> {
    match step? {
        Step::NeedNtlm(need) => {
            let key = need.question().verify(&ntlm::NtHash::of_password(&"secret".into())).unwrap();
            need.accepted(&key)
        }
        other => Ok(other),
    }
}

/// Header by header, as HTTP carries them; both ends' sealers at the end.
fn over_http(
    mut authorization: String,
    mut expect: client::ExpectAnswer,
    offer: Offer,
    consent: bool,
) -> Result<(Sealer, Sealer, Option<DelegatedPassword>), Box<Error>> {
    let mut acceptor = Acceptor::with(offer);
    loop {
        let (www_authenticate, server, password) =
            match verify(acceptor.handle(&authorization)).map_err(|refusal| refusal.error)? {
                Step::Continue { www_authenticate, next } => {
                    acceptor = next;
                    match expect.handle(&[&www_authenticate], false)? {
                        client::Step::Continue { authorization: next, next: state } => {
                            (authorization, expect) = (next, state);
                        }
                        client::Step::NeedConsent(need) if consent => {
                            (authorization, expect) = need.send_password()?;
                        }
                        client::Step::NeedConsent(need) => {
                            assert_eq!(need.proof().mechanism, hop_auth::Mechanism::Ntlm);
                            return Err(Box::new(Error::NotMutual));
                        }
                        client::Step::Established(_) => panic!("too early"),
                    }
                    continue;
                }
                Step::Established { www_authenticate, sealer } => (www_authenticate, sealer, None),
                Step::Delegated { sealer, credentials } => (None, sealer, Some(credentials)),
                other => panic!("{other:?}"),
            };
        let challenges: Vec<&str> = www_authenticate.as_deref().into_iter().collect();
        match expect.handle(&challenges, true)? {
            client::Step::Established(client) => return Ok((client, server, password)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn ntlm_and_credssp_over_http() {
    let (authorization, expect) = client::start(Scheme::Negotiate, ntlm_client()).unwrap();
    let (mut client, mut server, password) =
        over_http(authorization, expect, ntlm_only().into(), false).unwrap();
    assert!(password.is_none());
    let sealed = client.seal(SOAP, b"<s/>").unwrap();
    assert!(sealed.content_type.contains("HTTP-SPNEGO-session-encrypted"));
    assert!(sealed.body.windows(6).any(|w| w == [16, 0, 0, 0, 1, 0]), "a signature of 16 bytes");
    assert_eq!(server.unseal(&sealed.content_type, &sealed.body).unwrap().body, b"<s/>");

    let (authorization, expect, offer) = credssp();
    assert!(authorization.starts_with("CredSSP "));
    assert_eq!(offer.challenges(), ["Negotiate", "CredSSP"]);
    let (mut client, mut server, password) = over_http(authorization, expect, offer, true).unwrap();
    assert_eq!(password.unwrap().password, "secret".into());
    let sealed = server.seal(SOAP, &[7; 50_000]).unwrap();
    assert!(
        sealed.content_type.starts_with("multipart/x-multi-encrypted;protocol=\"application/HTTP-CredSSP")
    );
    assert_eq!(client.unseal(&sealed.content_type, &sealed.body).unwrap().body, [7; 50_000]);
}

#[test]
fn no_password_without_consent() {
    let (authorization, expect, offer) = credssp();
    let error = over_http(authorization, expect, offer, false).err().unwrap();
    assert!(matches!(*error, Error::NotMutual));
    // A server that says 200 before it has proved anything.
    let (_, expect, _) = credssp();
    assert!(matches!(expect.handle(&[], true), Err(Error::NotMutual)));
    let (_, expect, _) = credssp();
    let error = expect.handle(&["Negotiate", "Kerberos"], false).unwrap_err();
    assert_eq!(error.to_string(), "the server offers Negotiate, Kerberos, expected CredSSP");
}

#[test]
fn schemes_that_are_not_offered_or_change() {
    let (authorization, _, mut offer) = credssp();
    offer.credssp = None;
    let refused = refusal(Acceptor::with(offer).handle(&authorization));
    assert!(matches!(*refused.error, Error::Scheme { .. }));
    // NTLM goes with Negotiate only.
    let (first, _) = client::start(Scheme::Negotiate, ntlm_client()).unwrap();
    let as_kerberos = first.replace("Negotiate", "Kerberos");
    assert!(Acceptor::with(ntlm_only()).handle(&as_kerberos).is_err());
    let Step::Continue { next, .. } = Acceptor::with(ntlm_only()).handle(&first).unwrap() else { panic!() };
    assert!(matches!(*refusal(next.handle(&as_kerberos)).error, Error::Header(_)));
}
