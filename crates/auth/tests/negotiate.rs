//! Negotiation of both ends: with each other, and each with pyspnego; Kerberos and NTLM inside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod support;

use std::time::SystemTime;

use hop_auth::{
    BodyClass, Error, Mechanism, Sealer, SecurityContext, UserName,
    ntlm::{self, HashFile, NtHash, NtlmError, Verifier as _},
    spnego::{
        Accept, Acceptor, AcceptorMechanisms, ExpectReply, Initiate, Initiator, InitiatorMechanisms,
        NegState, NegTokenInit, NegTokenResp, Oid, Refused, Token,
    },
};
use rand::Rng as _;
use serde_json::{Value, json};
use support::{
    Peer, python, python_with_gss_ntlmssp,
    realm::{HOST, Realm, USER},
};

const PASSWORD: &str = "Pässwörd-€";

fn ntlm_client() -> (Vec<u8>, ntlm::ExpectChallenge) {
    let credential = ntlm::Credential::with_password(UserName::parse("alice"), &PASSWORD.into());
    let options = ntlm::InitiatorOptions {
        target_name: Some(format!("HTTP/{HOST}")),
        ..ntlm::InitiatorOptions::default()
    };
    ntlm::Initiator::start(credential, options, SystemTime::now(), &mut rand::rng())
}

fn ntlm_server() -> ntlm::Acceptor {
    let mut challenge = [0; 8];
    rand::rng().fill_bytes(&mut challenge);
    ntlm::Acceptor::new(ntlm::AcceptorOptions::new("SERVERA"), challenge, SystemTime::now())
}

fn both() -> AcceptorMechanisms {
    AcceptorMechanisms { kerberos: true, ntlm: Some(ntlm_server()) }
}

fn ntlm_only() -> AcceptorMechanisms {
    AcceptorMechanisms { kerberos: false, ntlm: Some(ntlm_server()) }
}

fn with_ntlm() -> InitiatorMechanisms {
    InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm_client()) }
}

/// Answers what the acceptor asks.
fn settle(realm: &mut Realm, accept: Result<Accept, Refused>) -> Result<Accept, Refused> {
    let mut users = HashFile::default();
    users.insert(UserName::parse("alice"), NtHash::of_password(&PASSWORD.into()));
    match accept? {
        Accept::NeedKerberos(need) => match realm.accept(need.token()) {
            Ok(accepted) => need.accepted(Box::new(accepted.context), accepted.reply),
            Err(refused) => Err(need.refused(*refused.error, refused.reply)),
        },
        Accept::NeedNtlm(need) => match users.verify(need.question()) {
            Ok(key) => need.accepted(&key),
            Err(error) => Err(need.refused(error)),
        },
        other => Ok(other),
    }
}

struct Pair {
    client: Box<dyn SecurityContext>,
    server: Box<dyn SecurityContext>,
    mechanism: Mechanism,
    legs: usize,
}

/// Runs both ends; `between` may alter tokens: the leg, and the bytes.
fn run_with(
    client: InitiatorMechanisms,
    server: AcceptorMechanisms,
    bare: bool,
    mut between: impl FnMut(usize, &mut Vec<u8>),
) -> Result<Pair, Error> {
    let mut realm = Realm::new(PASSWORD);
    let client = match client.kerberos {
        Some(_) => InitiatorMechanisms { kerberos: Some(realm.initiate("HTTP")), ..client },
        None => client,
    };
    let begin = if bare { Initiator::bare } else { Initiator::negotiate };
    let (mut token, mut expect) = begin(client)?;
    let mut acceptor = Acceptor::new(server);
    let mut legs = 0;
    loop {
        between(legs, &mut token);
        legs += 1;
        let accept = acceptor.handle(&token, true);
        match settle(&mut realm, accept).map_err(|refused| *refused.error)? {
            Accept::Continue { token: mut reply, next } => {
                between(legs, &mut reply);
                legs += 1;
                acceptor = next;
                match expect.handle(&reply)? {
                    Initiate::Continue { token: answer, next } => (token, expect) = (answer, next),
                    Initiate::Established(_) => return Err(Error::NotMutual),
                }
            }
            Accept::Established { token, context, mechanism } => {
                let mut last = token;
                if let Some(token) = &mut last {
                    between(legs, token);
                }
                let established = expect.finish(last.as_deref())?;
                assert_eq!(established.mechanism, mechanism);
                return Ok(Pair { client: established.context, server: context, mechanism, legs });
            }
            other => panic!("{other:?}"),
        }
    }
}

fn run(client: InitiatorMechanisms, server: AcceptorMechanisms) -> Result<Pair, Error> {
    run_with(client, server, false, |_, _| {})
}

fn offer_both() -> InitiatorMechanisms {
    // The Kerberos half is replaced by one for the realm of the run.
    InitiatorMechanisms { kerberos: Some(Realm::new(PASSWORD).initiate("HTTP")), ntlm: Some(ntlm_client()) }
}

fn talk(pair: &mut Pair) {
    for text in [&b"one"[..], b"two", b"three"] {
        let sealed = pair.client.wrap(text).unwrap();
        assert_eq!(pair.server.unwrap(&sealed.header, &sealed.body).unwrap(), text);
        let sealed = pair.server.wrap(text).unwrap();
        let token = [sealed.header, sealed.body].concat();
        assert_eq!(pair.client.unwrap_token(&token).unwrap(), text);
    }
}

#[test]
fn kerberos_is_preferred_and_ntlm_is_second() {
    let mut pair = run(offer_both(), both()).unwrap();
    assert_eq!((pair.mechanism, pair.legs), (Mechanism::Kerberos, 1));
    talk(&mut pair);
    let mut pair = run(with_ntlm(), both()).unwrap();
    assert_eq!((pair.mechanism, pair.legs), (Mechanism::Ntlm, 3));
    talk(&mut pair);
    // The server has no Kerberos: it chooses, and the list is protected.
    let mut pair = run(offer_both(), ntlm_only()).unwrap();
    assert_eq!((pair.mechanism, pair.legs), (Mechanism::Ntlm, 5));
    talk(&mut pair);
    let error = run(with_ntlm(), AcceptorMechanisms::default()).err().unwrap();
    assert!(matches!(error, Error::NoCommonMechanism { .. }), "{error}");
}

#[test]
fn ntlm_without_spnego() {
    let mut pair = run_with(with_ntlm(), both(), true, |_, _| {}).unwrap();
    assert_eq!((pair.mechanism, pair.legs), (Mechanism::Ntlm, 3));
    talk(&mut pair);
    let error = run_with(with_ntlm(), AcceptorMechanisms::default(), true, |_, _| {}).err().unwrap();
    assert!(matches!(error, Error::NoCommonMechanism { .. }), "{error}");
}

fn edit_resp(token: &mut Vec<u8>, edit: impl FnOnce(&mut NegTokenResp)) {
    let Token::Resp(mut resp) = Token::decode(token).unwrap() else { panic!() };
    edit(&mut resp);
    *token = Token::Resp(resp).encode();
}

/// Somebody takes Kerberos off the client's list, to get at an NTLM proof: the MIC over the list tells.
#[test]
fn mechanisms_taken_off_the_list() {
    let strip = |leg: usize, token: &mut Vec<u8>| {
        if leg == 0 {
            *token =
                Token::Init(NegTokenInit { mech_types: vec![Oid::NTLM], ..NegTokenInit::default() }).encode();
        }
    };
    let error = run_with(offer_both(), both(), false, strip).err().unwrap();
    assert!(matches!(error, Error::Ntlm(NtlmError::Integrity)), "{error}");
}

#[test]
fn a_stripped_mic_is_refused_by_either_end() {
    let strip = |wanted: usize| {
        move |leg: usize, token: &mut Vec<u8>| {
            if leg == wanted {
                edit_resp(token, |resp| resp.mech_list_mic = None);
            }
        }
    };
    // The client's, with NTLM alone: the server asks for it and the client has nothing more to say.
    let error = run_with(with_ntlm(), both(), false, strip(2)).err().unwrap();
    assert!(matches!(error, Error::NotMutual | Error::MicMissing | Error::Ntlm(_)), "{error}");
    // The server's.
    let error = run_with(with_ntlm(), both(), false, strip(3)).err().unwrap();
    assert!(matches!(error, Error::MicMissing), "{error}");
    // The same after a change of mechanism.
    let error = run_with(offer_both(), ntlm_only(), false, strip(5)).err().unwrap();
    assert!(matches!(error, Error::MicMissing), "{error}");
    // An answer without any token at the end.
    let mut realm = Realm::new(PASSWORD);
    let (token, expect) = Initiator::negotiate(with_ntlm()).unwrap();
    let Ok(Accept::Continue { token, .. }) = settle(&mut realm, Acceptor::new(both()).handle(&token, true))
    else {
        panic!()
    };
    let Ok(Initiate::Continue { next, .. }) = expect.handle(&token) else { panic!() };
    assert!(matches!(next.finish(None), Err(Error::MicMissing)));
}

#[test]
fn wrong_passwords_and_unsuitable_replies() {
    let wrong = ntlm::Credential::with_password(UserName::parse("alice"), &"wrong".into());
    let wrong =
        ntlm::Initiator::start(wrong, ntlm::InitiatorOptions::default(), SystemTime::now(), &mut rand::rng());
    let error = run(InitiatorMechanisms { kerberos: None, ntlm: Some(wrong) }, both()).err().unwrap();
    assert!(matches!(error, Error::Ntlm(NtlmError::WrongCredentials)), "{error}");

    let expect = || Initiator::negotiate(offer_both()).unwrap().1;
    let resp = |resp: NegTokenResp| Token::Resp(resp).encode();
    let reject = resp(NegTokenResp { neg_state: Some(NegState::Reject), ..NegTokenResp::default() });
    assert!(matches!(expect().handle(&reject), Err(Error::Rejected)));
    let foreign = resp(NegTokenResp { supported_mech: Some(Oid::NEGOEX), ..NegTokenResp::default() });
    assert!(matches!(expect().handle(&foreign), Err(Error::NoCommonMechanism { .. })));
    let early = resp(NegTokenResp {
        neg_state: Some(NegState::AcceptCompleted),
        supported_mech: Some(Oid::KERBEROS),
        ..NegTokenResp::default()
    });
    assert!(expect().handle(&early).is_err(), "completed without a proof");
    assert!(matches!(expect().finish(Some(&early)), Err(Error::NotMutual)));
    assert!(matches!(expect().finish(None), Err(Error::NotMutual)));
    let mic_first = resp(NegTokenResp { mech_list_mic: Some(vec![1; 16]), ..NegTokenResp::default() });
    assert!(expect().handle(&mic_first).is_err());
    assert!(Initiator::negotiate(InitiatorMechanisms::default()).is_err());
}

/// The hints of NegTokenInit2 say nothing and hurt nobody.
#[test]
fn hints_are_tolerated() {
    let hint = |leg: usize, token: &mut Vec<u8>| {
        if leg == 0 {
            let Token::Init(mut init) = Token::decode(token).unwrap() else { panic!() };
            init.hint_name = Some(b"not_defined_in_RFC4178@please_ignore".to_vec());
            *token = Token::Init(init).encode();
        }
    };
    run_with(with_ntlm(), both(), false, hint).unwrap();
}

fn setup(usage: &str, realm: &Realm, more: Value) -> Value {
    let mut setup = json!({
        "usage": usage,
        "protocol": "negotiate",
        "username": USER,
        "password": PASSWORD,
        "hostname": HOST,
        "service": "HTTP",
        "environment": realm.environment(),
        "files": { "NTLM_USER_FILE": format!(":alice:{PASSWORD}\n") },
    });
    for (name, value) in more.as_object().unwrap() {
        setup[name] = value.clone();
    }
    setup
}

fn chat(context: Box<dyn SecurityContext>, peer: &mut Peer) {
    let mut sealer = Sealer::new(context, BodyClass::Spnego);
    peer.exchange_bodies(&mut sealer, BodyClass::Spnego.as_str(), &[1, 17, 40_000]);
}

fn initiate(
    peer: &mut Peer,
    mechanisms: InitiatorMechanisms,
) -> Result<(Box<dyn SecurityContext>, Mechanism), Error> {
    let (mut token, mut expect): (_, ExpectReply) = Initiator::negotiate(mechanisms)?;
    loop {
        let (reply, complete) = peer.step(Some(&token)).unwrap();
        if complete {
            let established = expect.finish(reply.as_deref())?;
            return Ok((established.context, established.mechanism));
        }
        match expect.handle(&reply.unwrap())? {
            Initiate::Continue { token: answer, next } => (token, expect) = (answer, next),
            Initiate::Established(_) => panic!("the peer is not done"),
        }
    }
}

#[test]
fn pyspnego_accepts_us() {
    let Some(python) = python() else { return };
    let realm = Realm::new(PASSWORD);
    for (offer, expected) in
        [("ntlm", Mechanism::Ntlm), ("both", Mechanism::Kerberos), ("kerberos", Mechanism::Kerberos)]
    {
        let mechanisms = InitiatorMechanisms {
            kerberos: (offer != "ntlm").then(|| realm.initiate("HTTP")),
            ntlm: (offer != "kerberos").then(ntlm_client),
        };
        let mut peer = Peer::start(&python, &setup("accept", &realm, json!({})));
        let (context, mechanism) = initiate(&mut peer, mechanisms).unwrap();
        assert_eq!(mechanism, expected, "{offer}");
        chat(context, &mut peer);
    }
}

fn accept(
    peer: &mut Peer,
    realm: &mut Realm,
    mechanisms: AcceptorMechanisms,
) -> (Box<dyn SecurityContext>, Mechanism) {
    let mut acceptor = Acceptor::new(mechanisms);
    let (token, _) = peer.step(None).unwrap();
    let mut token = token.unwrap();
    loop {
        match settle(realm, acceptor.handle(&token, true)).map_err(|refused| refused.error).unwrap() {
            Accept::Continue { token: reply, next } => {
                acceptor = next;
                token = peer.step(Some(&reply)).unwrap().0.unwrap();
            }
            Accept::Established { token, context, mechanism } => {
                if let Some(token) = token {
                    assert!(peer.step(Some(&token)).unwrap().1);
                }
                return (context, mechanism);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn we_accept_pyspnego() {
    let Some(python) = python() else { return };
    let mut realm = Realm::new(PASSWORD);
    let cases = [
        // (its protocol, its user, our mechanisms, what comes out)
        ("negotiate", USER, both(), Mechanism::Kerberos),
        ("negotiate", USER, AcceptorMechanisms::default(), Mechanism::Kerberos),
        ("kerberos", USER, both(), Mechanism::Kerberos),
        // No such principal in the realm, so it has NTLM alone.
        ("negotiate", "alice", both(), Mechanism::Ntlm),
        ("ntlm", "alice", both(), Mechanism::Ntlm),
    ];
    for (protocol, user, mechanisms, expected) in cases {
        let mut more = json!({ "protocol": protocol, "username": user });
        if user != USER {
            more["environment"] = json!({ "KRB5_CONFIG": "/nonexistent", "KRB5CCNAME": "/nonexistent" });
        }
        let mut peer = Peer::start(&python, &setup("initiate", &realm, more));
        let (context, mechanism) = accept(&mut peer, &mut realm, mechanisms);
        assert_eq!(mechanism, expected, "{protocol} {user}");
        chat(context, &mut peer);
    }
}

/// pyspnego prefers Kerberos, we have NTLM alone: it changes its mind, both ends prove the list.
#[test]
fn the_preferred_mechanism_changes_with_pyspnego() {
    let Some(python) = python() else { return };
    let realm = Realm::new(PASSWORD);
    let mut peer = Peer::start(&python, &setup("initiate", &realm, json!({})));
    // NTLM knows it by its whole name.
    let mut acceptor = Acceptor::new(ntlm_only());
    let mut token = peer.step(None).unwrap().0.unwrap();
    let Token::Init(init) = Token::decode(&token).unwrap() else { panic!() };
    assert_eq!((init.mech_types.first(), init.mech_types.last()), (Some(&Oid::KERBEROS), Some(&Oid::NTLM)));
    let mut users = HashFile::default();
    users.insert(UserName::parse(USER), NtHash::of_password(&PASSWORD.into()));
    let (context, last) = loop {
        let step = match acceptor.handle(&token, true).map_err(|refused| refused.error).unwrap() {
            Accept::NeedNtlm(need) => {
                let key = users.verify(need.question()).unwrap();
                need.accepted(&key).map_err(|refused| refused.error).unwrap()
            }
            other => other,
        };
        match step {
            Accept::Continue { token: reply, next } => {
                acceptor = next;
                token = peer.step(Some(&reply)).unwrap().0.unwrap();
            }
            Accept::Established { token, context, .. } => break (context, token.unwrap()),
            other => panic!("{other:?}"),
        }
    };
    let Token::Resp(resp) = Token::decode(&last).unwrap() else { panic!() };
    assert!(resp.mech_list_mic.is_some());
    assert!(peer.step(Some(&last)).unwrap().1);
    chat(context, &mut peer);
}

/// MIT's SPNEGO with gss-ntlmssp inside: another one's idea of the MIC over the list and of the key streams after it.
#[test]
fn gss_ntlmssp_in_mits_spnego_both_ways() {
    let Some(python) = python_with_gss_ntlmssp() else { return };
    let mut realm = Realm::new(PASSWORD);
    let with = json!({ "protocol": "gss-ntlmssp in spnego", "username": "alice" });
    let mut peer = Peer::start(&python, &setup("initiate", &realm, with.clone()));
    let (context, mechanism) = accept(&mut peer, &mut realm, both());
    assert_eq!(mechanism, Mechanism::Ntlm);
    chat(context, &mut peer);

    let mut peer = Peer::start(&python, &setup("accept", &realm, with));
    let (context, mechanism) = initiate(&mut peer, with_ntlm()).unwrap();
    assert_eq!(mechanism, Mechanism::Ntlm);
    chat(context, &mut peer);

    // We prefer Kerberos, it has NTLM alone: we change our mind, both ends prove the list.
    let with = json!({ "protocol": "gss-ntlmssp in spnego" });
    let mut peer = Peer::start(&python, &setup("accept", &realm, with));
    let mechanisms =
        InitiatorMechanisms { kerberos: Some(realm.initiate("HTTP")), ntlm: Some(ntlm_client()) };
    let (context, mechanism) = initiate(&mut peer, mechanisms).unwrap();
    assert_eq!(mechanism, Mechanism::Ntlm);
    chat(context, &mut peer);
}
