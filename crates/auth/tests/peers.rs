//! Tokens and bodies byte for byte against pyspnego and pypsrp, where they are installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod support;

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hop_auth::{
    BodyClass, ContextError, Sealer, SecurityContext, Wrapped,
    spnego::{NegState, NegTokenInit, NegTokenResp, Oid, Token},
};
use serde_json::{Value, json};

const SOAP: &str = "application/soap+xml;charset=UTF-8";

/// The context of `peers.py`: framing and tokens are what is compared here.
#[derive(Debug)]
struct Mirror;

impl SecurityContext for Mirror {
    fn wrap(&mut self, plaintext: &[u8]) -> Result<Wrapped, ContextError> {
        Ok(Wrapped { header: b"HEADER".to_vec(), body: plaintext.iter().map(|b| !b).collect(), padding: 0 })
    }

    fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, ContextError> {
        assert_eq!(header, b"HEADER");
        Ok(body.iter().map(|b| !b).collect())
    }

    fn unwrap_token(&mut self, token: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.unwrap(b"HEADER", token)
    }

    fn get_mic(&mut self, _: &[u8]) -> Result<Vec<u8>, ContextError> {
        Ok(Vec::new())
    }

    fn verify_mic(&mut self, _: &[u8], _: &[u8]) -> Result<(), ContextError> {
        Ok(())
    }
}

#[test]
fn tokens_and_bodies_agree() {
    let Some(python) = support::python() else { return };
    let init = NegTokenInit {
        mech_types: vec![Oid::KERBEROS, Oid::KERBEROS_MICROSOFT, Oid::NTLM],
        mech_token: Some(vec![1; 1000]),
        ..NegTokenInit::default()
    };
    let resp = NegTokenResp {
        neg_state: Some(NegState::AcceptCompleted),
        supported_mech: Some(Oid::KERBEROS_MICROSOFT),
        response_token: Some(vec![2; 10]),
        mech_list_mic: Some(vec![3; 28]),
    };
    let plain: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
    let ours = |class| Sealer::new(Box::new(Mirror), class).seal(SOAP, &plain).unwrap();
    let classes = [("SPNEGO", BodyClass::Spnego), ("Kerberos", BodyClass::Kerberos)];
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    let ask = json!({
        "init": encode(&Token::Init(init.clone()).encode()),
        "resp": encode(&Token::Resp(resp.clone()).encode()),
        "plain": encode(&plain),
        "SPNEGO": encode(&ours(BodyClass::Spnego).body),
        "Kerberos": encode(&ours(BodyClass::Kerberos).body),
    });
    let answer = run(&python, &ask);
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();

    assert_eq!(
        answer["init"],
        json!({
            "mech_types": ["1.2.840.113554.1.2.2", "1.2.840.48018.1.2.2", "1.3.6.1.4.1.311.2.2.10"],
            "mech_token": encode(&[1; 1000]),
        })
    );
    assert_eq!(
        answer["resp"],
        json!({
            "neg_state": 0,
            "supported_mech": "1.2.840.48018.1.2.2",
            "response_token": encode(&[2; 10]),
            "mech_list_mic": encode(&[3; 28]),
        })
    );

    let theirs = decode(&answer["their_init"]);
    let token = Token::decode(&theirs).unwrap();
    assert_eq!(token.encode(), theirs);
    let Token::Init(token) = token else { panic!() };
    assert_eq!(token.mech_types, [Oid::KERBEROS_MICROSOFT, Oid::KERBEROS]);
    assert_eq!((token.mech_token, token.mech_list_mic), (Some(vec![b'x'; 300]), Some(b"mic".to_vec())));
    let theirs = decode(&answer["their_resp"]);
    assert_eq!(Token::decode(&theirs).unwrap().encode(), theirs);

    for (name, class) in classes {
        let peer = &answer[name];
        let ours = ours(class);
        assert_eq!(decode(&peer["body"]), ours.body, "the same bytes");
        assert_eq!(peer["content_type"], ours.content_type);
        assert_eq!(decode(&peer["read"]), plain);
        let mut sealer = Sealer::new(Box::new(Mirror), class);
        assert_eq!(sealer.unseal(&ours.content_type, &decode(&peer["body"])).unwrap().body, plain);
    }
}

fn run(python: &Path, ask: &Value) -> Value {
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ask.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
