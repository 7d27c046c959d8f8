//! NTLM: both ends of ours together, and each against pyspnego and gss-ntlmssp.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]
#![allow(clippy::print_stdout, reason = "says what is skipped")]

mod support;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::SystemTime,
};

use hop_auth::{
    SecurityContext, UserName,
    ntlm::{
        Acceptor, AcceptorOptions, Context, Credential, ExpectChallenge, Flags, HashFile, Initiator,
        InitiatorOptions, MAX_MESSAGE, NtHash, NtlmError, NtlmServer1, Verifier,
    },
};
use hop_kerberos::gss::{BindingPolicy, ChannelBindings};
use rand::Rng as _;
use serde_json::{Value, json};
use support::{Peer, python, python_with_gss_ntlmssp};

const PASSWORD: &str = "Pässwörd-€";

fn credential(name: &str, password: &str) -> Credential {
    Credential::with_password(UserName::parse(name), &password.into())
}

fn initiate(options: InitiatorOptions) -> (Vec<u8>, ExpectChallenge) {
    Initiator::start(credential(r"CORP\alice", PASSWORD), options, SystemTime::now(), &mut rand::rng())
}

fn acceptor(options: AcceptorOptions) -> Acceptor {
    let mut challenge = [0; 8];
    rand::rng().fill_bytes(&mut challenge);
    Acceptor::new(options, challenge, SystemTime::now())
}

fn users() -> HashFile {
    let mut users = HashFile::default();
    for name in [r"CORP\alice", "alice@corp.test", "bob"] {
        users.insert(UserName::parse(name), NtHash::of_password(&PASSWORD.into()));
    }
    users.insert(UserName::parse("empty"), NtHash::of_password(&"".into()));
    users
}

fn exchange(client: InitiatorOptions, server: AcceptorOptions) -> Result<(Context, Context), NtlmError> {
    exchange_as(credential(r"CORP\alice", PASSWORD), client, server)
}

fn exchange_as(
    who: Credential,
    client: InitiatorOptions,
    server: AcceptorOptions,
) -> Result<(Context, Context), NtlmError> {
    let (negotiate, expect) = Initiator::start(who, client, SystemTime::now(), &mut rand::rng());
    let (challenge, server) = acceptor(server).handle(&negotiate)?;
    let (authenticate, client) = expect.handle(&challenge)?;
    let unverified = server.handle(&authenticate)?;
    let key = users().verify(unverified.question())?;
    Ok((client, unverified.verified(&key)?))
}

fn options() -> AcceptorOptions {
    AcceptorOptions::new("SERVERA")
}

fn bindings(data: &str) -> ChannelBindings {
    ChannelBindings { application_data: data.as_bytes().to_vec(), ..ChannelBindings::default() }
}

#[test]
fn both_ends_agree() {
    let (mut client, mut server) = exchange(InitiatorOptions::default(), options()).unwrap();
    for size in [0, 1, 1000, 300_000] {
        let body: Vec<u8> = (0..size).map(|i| i as u8).collect();
        let wrapped = client.wrap(&body).unwrap();
        assert_eq!(wrapped.header.len(), 16);
        assert_eq!(server.unwrap(&wrapped.header, &wrapped.body).unwrap(), body);
        let wrapped = server.wrap(&body).unwrap();
        let token = [wrapped.header, wrapped.body].concat();
        assert_eq!(client.unwrap_token(&token).unwrap(), body);
    }
    let mic = server.get_mic(b"text").unwrap();
    client.verify_mic(b"text", &mic).unwrap();
}

#[test]
fn users_and_passwords() {
    let ok = |name, password| {
        exchange_as(credential(name, password), InitiatorOptions::default(), options()).map(|_| ())
    };
    assert_eq!(ok(r"corp\Alice", PASSWORD), Ok(()));
    assert_eq!(ok("alice@corp.test", PASSWORD), Ok(()));
    assert_eq!(ok("empty", ""), Ok(()));
    assert_eq!(ok("bob", PASSWORD), Ok(()));
    assert_eq!(ok("bob", "other"), Err(NtlmError::WrongCredentials));
    assert_eq!(ok("empty", "x"), Err(NtlmError::WrongCredentials));
    assert_eq!(ok("mallory", PASSWORD), Err(NtlmError::WrongCredentials));
    assert_eq!(ok("", PASSWORD), Err(NtlmError::Anonymous));
    let hash = NtHash::of_password(&PASSWORD.into());
    let by_hash = Credential::with_hash(UserName::parse("bob"), hash);
    exchange_as(by_hash, InitiatorOptions::default(), options()).unwrap();
}

#[test]
fn channel_bindings_by_policy() {
    let run = |client: Option<&str>, server: Option<&str>, policy| {
        let client =
            InitiatorOptions { channel_bindings: client.map(bindings), ..InitiatorOptions::default() };
        let mut server_options = options();
        server_options.channel_bindings = server.map(bindings);
        server_options.binding_policy = policy;
        exchange(client, server_options).map(|_| ())
    };
    use BindingPolicy::{None as Off, Relaxed, Strict};
    assert_eq!(run(Some("a"), Some("a"), Strict), Ok(()));
    assert_eq!(run(None, Some("a"), Relaxed), Ok(()));
    assert_eq!(run(Some("a"), Some("b"), Off), Ok(()));
    assert_eq!(run(Some("a"), None, Strict), Ok(()), "nothing to compare without TLS");
    assert_eq!(run(None, Some("a"), Strict), Err(NtlmError::BindingsMissing));
    // A man in the middle has another certificate than the server.
    assert_eq!(run(Some("a"), Some("b"), Relaxed), Err(NtlmError::BindingsMismatch));
    assert_eq!(run(Some("a"), Some("b"), Strict), Err(NtlmError::BindingsMismatch));
}

/// Over TLS a proof that is bound to no certificate must at least be meant for this host: whoever got it for another
/// service could pass it on.
#[test]
fn relayed_into_tls() {
    let run = |client: Option<&str>, name: Option<&str>, policy| {
        let client = InitiatorOptions {
            channel_bindings: client.map(bindings),
            target_name: name.map(str::to_owned),
            ..InitiatorOptions::default()
        };
        let mut server = options();
        server.channel_bindings = Some(bindings("server"));
        server.binding_policy = policy;
        server.unbound_targets = Some(vec!["HTTP/servera.corp.test".to_owned()]);
        exchange(client, server).map(|_| ())
    };
    use BindingPolicy::{None as Off, Relaxed};
    assert_eq!(run(None, Some("http/ServerA.corp.test"), Relaxed), Ok(()));
    let elsewhere = NtlmError::WrongTarget { got: "cifs/evil".to_owned() };
    assert_eq!(run(None, Some("cifs/evil"), Relaxed), Err(elsewhere));
    assert_eq!(run(None, None, Relaxed), Err(NtlmError::TargetMissing));
    // Bound to the certificate, the name may be an alias that the server does not know.
    assert_eq!(run(Some("server"), Some("HTTP/alias"), Relaxed), Ok(()));
    assert_eq!(run(None, Some("cifs/evil"), Off), Ok(()));
}

/// A proof that was made for one service is of no use at another.
#[test]
fn relayed_to_another_service() {
    let run = |name: Option<&str>, required| {
        let client = InitiatorOptions { target_name: name.map(str::to_owned), ..InitiatorOptions::default() };
        let mut server = options();
        server.targets = vec!["HTTP/servera.corp.test".to_owned(), "WSMAN/servera".to_owned()];
        server.target_required = required;
        exchange(client, server).map(|_| ())
    };
    assert_eq!(run(Some("http/ServerA.corp.test"), true), Ok(()));
    assert_eq!(run(Some("WSMAN/servera"), true), Ok(()));
    assert_eq!(run(None, false), Ok(()));
    assert_eq!(run(None, true), Err(NtlmError::TargetMissing));
    assert_eq!(run(Some(""), true), Err(NtlmError::TargetMissing));
    for required in [true, false] {
        assert_eq!(
            run(Some("cifs/fileserver"), required),
            Err(NtlmError::WrongTarget { got: "cifs/fileserver".to_owned() })
        );
    }
}

/// Whatever somebody on the way changes in one of the three messages, the MIC or the proof tells.
#[test]
fn altered_messages() {
    let run = |message: usize, at: usize| {
        let (mut negotiate, expect) = initiate(InitiatorOptions::default());
        let original = negotiate.clone();
        if message == 1 {
            negotiate[at] ^= 0x10;
        }
        let (mut challenge, server) = acceptor(options()).handle(&negotiate)?;
        if message == 2 {
            challenge[at] ^= 0x10;
        }
        assert_eq!(original.len(), 40);
        let (mut authenticate, _) = expect.handle(&challenge)?;
        if message == 3 {
            authenticate[at] ^= 0x10;
        }
        let unverified = server.handle(&authenticate)?;
        let key = users().verify(unverified.question())?;
        unverified.verified(&key).map(|_| ())
    };
    assert_eq!(run(0, 0), Ok(()));
    // All of the first message but the reserved bytes that say nothing; the flags at 12.
    for at in 0..40 {
        assert!(run(1, at).is_err(), "NEGOTIATE byte {at}");
    }
    for at in 0..80 {
        assert!(run(2, at).is_err(), "CHALLENGE byte {at}");
    }
    for at in 0..140 {
        assert!(run(3, at).is_err(), "AUTHENTICATE byte {at}");
    }
}

#[test]
fn without_a_mic() {
    // A client whose AV pairs do not say that there is a MIC: somebody may have altered the messages.
    let (negotiate, expect) = initiate(InitiatorOptions::default());
    let (challenge, server) = acceptor(options()).handle(&negotiate).unwrap();
    let (mut authenticate, _) = expect.handle(&challenge).unwrap();
    let flags = [6, 0, 4, 0, 2, 0, 0, 0];
    let at = authenticate.windows(8).position(|w| w == flags).unwrap();
    authenticate[at + 4] = 0;
    assert_eq!(server.handle(&authenticate).unwrap_err(), NtlmError::MicMissing);
    // Where it is not required, the proof still tells that the pairs were altered.
    let mut lenient = options();
    lenient.mic_required = false;
    let (negotiate, expect) = initiate(InitiatorOptions::default());
    let (challenge, server) = acceptor(lenient).handle(&negotiate).unwrap();
    let (mut authenticate, _) = expect.handle(&challenge).unwrap();
    let at = authenticate.windows(8).position(|w| w == flags).unwrap();
    authenticate[at + 4] = 0;
    let unverified = server.handle(&authenticate).unwrap();
    assert_eq!(users().verify(unverified.question()).unwrap_err(), NtlmError::WrongCredentials);
}

#[test]
fn weakened_peers_are_refused() {
    let (negotiate, _) = initiate(InitiatorOptions::default());
    for (flag, name) in [
        (Flags::EXTENDED_SESSIONSECURITY, "extended session security"),
        (Flags::KEY_EXCH, "key exchange"),
        (Flags::KEY_128, "128-bit keys"),
        (Flags::SEAL, "sealing"),
        (Flags::SIGN, "signing"),
        (Flags::UNICODE, "Unicode"),
    ] {
        let mut weak = negotiate.clone();
        clear(&mut weak, 12, flag);
        assert_eq!(acceptor(options()).handle(&weak).unwrap_err(), NtlmError::Weak(name));
        let (negotiate, expect) = initiate(InitiatorOptions::default());
        let (mut challenge, _) = acceptor(options()).handle(&negotiate).unwrap();
        clear(&mut challenge, 20, flag);
        assert_eq!(expect.handle(&challenge).unwrap_err(), NtlmError::Weak(name));
    }
    let (negotiate, expect) = initiate(InitiatorOptions::default());
    let (mut challenge, _) = acceptor(options()).handle(&negotiate).unwrap();
    clear(&mut challenge, 20, Flags::TARGET_INFO);
    assert!(matches!(expect.handle(&challenge).unwrap_err(), NtlmError::Weak(_)), "no NTLMv1 for anybody");
}

fn clear(message: &mut [u8], at: usize, flag: Flags) {
    let flags = u32::from_le_bytes(message[at..at + 4].try_into().unwrap()) & !flag.bits();
    message[at..at + 4].copy_from_slice(&flags.to_le_bytes());
}

#[test]
fn version_1_and_replayed_proofs_are_refused() {
    let (negotiate, expect) = initiate(InitiatorOptions::default());
    let (challenge, server) = acceptor(options()).handle(&negotiate).unwrap();
    let (authenticate, _) = expect.handle(&challenge).unwrap();
    // A response of 24 bytes is version 1.
    let mut v1 = authenticate.clone();
    v1[20..24].copy_from_slice(&[24, 0, 24, 0]);
    assert_eq!(server.handle(&v1).unwrap_err(), NtlmError::NotV2);
    // Another connection has another challenge.
    let (negotiate, _) = initiate(InitiatorOptions::default());
    let (_, other) = acceptor(options()).handle(&negotiate).unwrap();
    let unverified = other.handle(&authenticate).unwrap();
    assert_eq!(users().verify(unverified.question()).unwrap_err(), NtlmError::WrongCredentials);
}

#[test]
fn truncated_and_huge_messages() {
    let (negotiate, expect) = initiate(InitiatorOptions::default());
    for end in 0..16 {
        assert!(acceptor(options()).handle(&negotiate[..end]).is_err());
    }
    let mut huge = negotiate.clone();
    huge.resize(1 << 20, 0);
    let too_large = NtlmError::TooLarge { got: 1 << 20, limit: MAX_MESSAGE };
    assert_eq!(acceptor(options()).handle(&huge).unwrap_err(), too_large);
    let (challenge, server) = acceptor(options()).handle(&negotiate).unwrap();
    for end in 0..challenge.len() {
        let (_, expect) = initiate(InitiatorOptions::default());
        assert!(expect.handle(&challenge[..end]).is_err(), "{end}");
    }
    let mut huge = challenge.clone();
    huge.resize(1 << 20, 0);
    assert_eq!(initiate(InitiatorOptions::default()).1.handle(&huge).unwrap_err(), too_large);
    let (authenticate, _) = expect.handle(&challenge).unwrap();
    drop(server);
    for end in 0..authenticate.len() {
        let (negotiate, _) = initiate(InitiatorOptions::default());
        let (_, server) = acceptor(options()).handle(&negotiate).unwrap();
        assert!(server.handle(&authenticate[..end]).is_err(), "{end}");
    }
}

fn setup(usage: &str, more: Value) -> Value {
    let mut setup = json!({
        "usage": usage,
        "protocol": "ntlm",
        "username": r"CORP\alice",
        "password": PASSWORD,
        "hostname": "servera",
        "service": "HTTP",
        "files": { "NTLM_USER_FILE": format!("CORP:alice:{PASSWORD}\n") },
    });
    for (name, value) in more.as_object().unwrap() {
        setup[name] = value.clone();
    }
    setup
}

fn talk(context: &mut Context, peer: &mut Peer) {
    for size in [1usize, 17, 5000] {
        let body: Vec<u8> = (0..size).map(|i| i as u8).collect();
        let wrapped = context.wrap(&body).unwrap();
        assert_eq!(peer.unwrap(&wrapped.header, &wrapped.body).unwrap(), body);
        let (header, sealed) = peer.wrap(&body);
        assert_eq!(header.len(), 16);
        assert_eq!(context.unwrap(&header, &sealed).unwrap(), body);
    }
}

#[test]
fn pyspnego_accepts_us() {
    let Some(python) = python() else { return };
    for cbt in [None, Some("tls-server-end-point:x")] {
        let mut peer = Peer::start(&python, &setup("accept", json!({ "channel_bindings": cbt })));
        let options = InitiatorOptions {
            target_name: Some("HTTP/servera".to_owned()),
            channel_bindings: cbt.map(bindings),
            workstation: "CLIENT".to_owned(),
        };
        let (negotiate, expect) = initiate(options);
        let (challenge, _) = peer.step(Some(&negotiate)).unwrap();
        let (authenticate, mut context) = expect.handle(&challenge.unwrap()).unwrap();
        let (token, complete) = peer.step(Some(&authenticate)).unwrap();
        assert_eq!((token, complete), (None, true));
        assert_eq!(peer.info()["principal"], r"CORP\alice");
        talk(&mut context, &mut peer);
    }
    // With other bindings it refuses, so ours are really compared.
    let mut peer = Peer::start(&python, &setup("accept", json!({ "channel_bindings": "one" })));
    let options =
        InitiatorOptions { channel_bindings: Some(bindings("other")), ..InitiatorOptions::default() };
    let (negotiate, expect) = initiate(options);
    let (challenge, _) = peer.step(Some(&negotiate)).unwrap();
    let (authenticate, _) = expect.handle(&challenge.unwrap()).unwrap();
    assert!(peer.step(Some(&authenticate)).unwrap_err().contains("bindings"));
}

fn accept(peer: &mut Peer, options: AcceptorOptions) -> Result<Context, NtlmError> {
    let (negotiate, _) = peer.step(None).unwrap();
    let (challenge, server) = acceptor(options).handle(&negotiate.unwrap())?;
    let (authenticate, _) = peer.step(Some(&challenge)).unwrap();
    let unverified = server.handle(&authenticate.unwrap())?;
    let key = users().verify(unverified.question())?;
    unverified.verified(&key)
}

#[test]
fn we_accept_pyspnego() {
    let Some(python) = python() else { return };
    let mut server = options();
    server.targets = vec!["HTTP/servera".to_owned()];
    server.target_required = true;
    server.channel_bindings = Some(bindings("x"));
    server.binding_policy = BindingPolicy::Strict;
    let mut peer = Peer::start(&python, &setup("initiate", json!({ "channel_bindings": "x" })));
    let mut context = accept(&mut peer, server.clone()).unwrap();
    talk(&mut context, &mut peer);

    let refused =
        |more| accept(&mut Peer::start(&python, &setup("initiate", more)), server.clone()).unwrap_err();
    assert_eq!(refused(json!({ "channel_bindings": "y" })), NtlmError::BindingsMismatch);
    assert_eq!(refused(json!({})), NtlmError::BindingsMissing);
    let other = json!({ "channel_bindings": "x", "hostname": "serverb" });
    assert_eq!(refused(other), NtlmError::WrongTarget { got: "HTTP/serverb".to_owned() });
    let wrong = json!({ "channel_bindings": "x", "password": "wrong" });
    assert_eq!(refused(wrong), NtlmError::WrongCredentials);
    // NTLMv1, which pyspnego still speaks when told to.
    let old = json!({ "channel_bindings": "x", "environment": { "LM_COMPAT_LEVEL": "2" } });
    assert_eq!(refused(old), NtlmError::NotV2);
}

#[test]
fn gss_ntlmssp_both_ways() {
    let Some(python) = python_with_gss_ntlmssp() else { return };
    let with = json!({ "protocol": "gss-ntlmssp", "channel_bindings": "x" });
    let mut server = options();
    server.channel_bindings = Some(bindings("x"));
    server.binding_policy = BindingPolicy::Strict;
    // Outside SPNEGO it protects its messages by a MIC only when asked to.
    let error =
        accept(&mut Peer::start(&python, &setup("initiate", with.clone())), server.clone()).unwrap_err();
    assert_eq!(error, NtlmError::MicMissing);
    server.mic_required = false;
    let mut peer = Peer::start(&python, &setup("initiate", with));
    let mut context = accept(&mut peer, server.clone()).unwrap();
    talk(&mut context, &mut peer);
    let other = json!({ "protocol": "gss-ntlmssp", "channel_bindings": "y" });
    let error = accept(&mut Peer::start(&python, &setup("initiate", other)), server).unwrap_err();
    assert_eq!(error, NtlmError::BindingsMismatch);

    let mut peer = Peer::start(&python, &setup("accept", json!({ "protocol": "gss-ntlmssp" })));
    let (negotiate, expect) = initiate(InitiatorOptions::default());
    let (challenge, _) = peer.step(Some(&negotiate)).unwrap();
    let (authenticate, mut context) = expect.handle(&challenge.unwrap()).unwrap();
    assert!(peer.step(Some(&authenticate)).unwrap().1);
    talk(&mut context, &mut peer);
}

/// A domain controller by winbind. `HOP_NTLM_AUTH` is the command line of ntlm_auth with
/// `--helper-protocol=ntlm-server-1` on a member named SERVERA, `HOP_NTLM_USER` (`DOMAIN\user`) and
/// `HOP_NTLM_PASSWORD` a user of its domain.
#[test]
fn winbind_verifies() {
    let variable = |name| std::env::var(name).ok();
    let (Some(command), Some(user), Some(password)) =
        (variable("HOP_NTLM_AUTH"), variable("HOP_NTLM_USER"), variable("HOP_NTLM_PASSWORD"))
    else {
        println!("skipped: no HOP_NTLM_AUTH");
        return;
    };
    let mut words = command.split_whitespace();
    let mut helper = Command::new(words.next().unwrap())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = helper.stdin.take().unwrap();
    let mut output = BufReader::new(helper.stdout.take().unwrap());
    // The domain controller refuses proofs that were not made for the member that asks.
    let domain = UserName::parse(&user).domain;
    let mut run = |password: &str, domain: &str| {
        let mut options = options();
        options.domain = domain.to_owned();
        let (negotiate, expect) = Initiator::start(
            credential(&user, password),
            InitiatorOptions::default(),
            SystemTime::now(),
            &mut rand::rng(),
        );
        let (challenge, server) = acceptor(options).handle(&negotiate)?;
        let (authenticate, client) = expect.handle(&challenge)?;
        let unverified = server.handle(&authenticate)?;
        input.write_all(NtlmServer1::request(unverified.question()).as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\n.\n") {
            assert_ne!(output.read_line(&mut answer).unwrap(), 0, "{answer}");
        }
        Ok::<_, NtlmError>((client, unverified.verified(&NtlmServer1::parse(&answer)?)?))
    };
    let (mut client, mut server) = run(&password, &domain).unwrap();
    let wrapped = client.wrap(b"sealed with a key of the domain controller's").unwrap();
    server.unwrap(&wrapped.header, &wrapped.body).unwrap();
    for (password, domain) in [("wrong", domain.as_str()), (password.as_str(), "OTHER")] {
        let error = run(password, domain).unwrap_err();
        assert!(matches!(error, NtlmError::Verifier(_) | NtlmError::WrongCredentials), "{error}");
    }
    helper.kill().unwrap();
    helper.wait().unwrap();
}
