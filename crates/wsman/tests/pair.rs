//! Client and server machine against each other in one thread, with virtual time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err, missing_docs)]

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hop_wsman::{
    CommandId, CreateShell, Envelope, Fault, FaultCode, Header, Limits, Operation, OperationResponse,
    Request, Response, Selector, ShellId, Signal, client, server, uri,
};
use server::{Caller, Config, ExchangeId, Output, ShellKey, Shells};

/// Both ends, a wire between them and a back end that answers commands by their text.
struct Pair {
    client: client::Shell,
    shells: Shells<&'static str>,
    now: Instant,
    /// Requests under way.
    wire: HashMap<ExchangeId, client::RequestId>,
    /// Operations, in order of sending.
    sent: Vec<&'static str>,
    events: Vec<client::Event>,
    key: Option<ShellKey>,
    input: Vec<u8>,
    signals: Vec<Signal>,
    closed: usize,
    /// The client does not ask for, or the server does not give, the opening output.
    foreign: bool,
}

impl Pair {
    fn new() -> Self {
        let options = client::Options::powershell("http://servera:5985/wsman", "Microsoft.PowerShell");
        Self {
            client: client::Shell::new(options),
            shells: Shells::new(Config::default()),
            now: Instant::now(),
            wire: HashMap::new(),
            sent: Vec::new(),
            events: Vec::new(),
            key: None,
            input: Vec::new(),
            signals: Vec::new(),
            closed: 0,
            foreign: false,
        }
    }

    fn open(&mut self) {
        self.client.open(CreateShell {
            shell_id: Some(ShellId::random(&mut rand::rng())),
            input_streams: vec!["stdin".to_owned(), "pr".to_owned()],
            output_streams: vec!["stdout".to_owned()],
            creation_xml: Some(b"opening fragments".to_vec()),
            ..CreateShell::default()
        });
        self.drive();
    }

    fn run(&mut self, text: &str) -> CommandId {
        let id = CommandId::random(&mut rand::rng());
        self.client.run_pipeline(id, text, vec![text.as_bytes().to_vec()]);
        self.drive();
        id
    }

    /// Until nothing happens without time passing; then lets output linger, but not the long polls end.
    fn drive(&mut self) {
        loop {
            let mut idle = true;
            while let Some(request) = self.client.poll_transmit(&mut rand::rng()) {
                self.sent.push(request.operation);
                let caller = Caller { owner: "alice", name: "alice".to_owned(), address: None };
                let mut body = request.body;
                if self.foreign {
                    body = String::from_utf8(body)
                        .unwrap()
                        .replace("SECONDHOP_EARLY_OUTPUT", "OTHER")
                        .into_bytes();
                }
                let id = self.shells.handle_request(&caller, &body, self.now, &mut rand::rng());
                self.wire.insert(id, request.id);
                idle = false;
            }
            while let Some(output) = self.shells.poll_output(&mut rand::rng()) {
                self.work(output);
                idle = false;
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
                idle = false;
            }
            if idle {
                match self.shells.poll_timeout() {
                    Some(at) if at <= self.now + Duration::from_millis(20) => {
                        self.now = at.max(self.now);
                        self.shells.handle_timeout(self.now);
                    }
                    _ => return,
                }
            }
        }
    }

    fn work(&mut self, output: Output<&'static str>) {
        match output {
            Output::Respond { exchange, status, body } => {
                if let Some(id) = self.wire.remove(&exchange) {
                    self.client.handle_response(id, status, &body);
                }
            }
            Output::Open { exchange, shell, open, .. } => {
                assert_eq!(open.create.creation_xml.as_deref(), Some(&b"opening fragments"[..]));
                self.key = Some(shell);
                self.shells.push_output(shell, None, "stdout", b"opened".to_vec(), self.now);
                self.shells.complete(exchange, Ok(()), self.now);
            }
            Output::Run { exchange, shell, command, line, .. } => {
                if line.command == "fail" {
                    self.shells.complete(exchange, Err(Fault::access_denied("not here")), self.now);
                    return;
                }
                self.input.extend(line.fragments().unwrap());
                self.shells.complete(exchange, Ok(()), self.now);
                if line.command == "echo" {
                    self.shells.push_output(shell, Some(command), "stdout", b"hello ".to_vec(), self.now);
                    self.shells.push_output(shell, Some(command), "stdout", b"world".to_vec(), self.now);
                    self.shells.finish_command(shell, command, 0, self.now);
                }
            }
            Output::Input { exchange, streams, .. } => {
                self.input.extend(streams.into_iter().flat_map(|s| s.data));
                self.shells.complete(exchange, Ok(()), self.now);
            }
            Output::Signal { exchange, shell, command, signal } => {
                if signal != Signal::Terminate {
                    self.shells.finish_command(shell, command, 0, self.now);
                }
                self.signals.push(signal);
                self.shells.complete(exchange, Ok(()), self.now);
            }
            Output::Close { exchange, .. } => {
                self.closed += 1;
                if let Some(exchange) = exchange {
                    self.shells.complete(exchange, Ok(()), self.now);
                }
            }
            _ => {}
        }
    }

    fn output(&self) -> String {
        let pieces = self.events.iter().filter_map(|event| match event {
            client::Event::Output { data, .. } => Some(data.clone()),
            _ => None,
        });
        String::from_utf8(pieces.flatten().collect()).unwrap()
    }

    fn ask(&mut self, owner: &'static str, body: &[u8]) -> Result<OperationResponse, Fault> {
        let caller = Caller { owner, name: owner.to_owned(), address: None };
        let id = self.shells.handle_request(&caller, body, self.now, &mut rand::rng());
        loop {
            while let Some(output) = self.shells.poll_output(&mut rand::rng()) {
                match output {
                    Output::Respond { exchange, body, .. } if exchange == id => {
                        return Response::parse(&body, &Limits::default()).unwrap().body;
                    }
                    other => self.work(other),
                }
            }
            self.now = self.shells.poll_timeout().unwrap();
            self.shells.handle_timeout(self.now);
        }
    }
}

#[test]
fn one_command_takes_four_requests() {
    let mut pair = Pair::new();
    pair.open();
    let command = pair.run("echo");
    pair.client.close();
    pair.drive();
    assert_eq!(pair.sent, ["Create", "Command", "Receive", "Delete"]);
    assert_eq!(pair.output(), "openedhello world");
    assert!(pair.events.contains(&client::Event::CommandDone { command, exit_code: Some(0) }));
    assert_eq!(pair.events.last(), Some(&client::Event::Closed));
    assert_eq!((pair.closed, pair.shells.len()), (1, 0));
}

#[test]
fn one_command_takes_five_requests_to_a_server_without_early_output() {
    let mut pair = Pair::new();
    pair.foreign = true;
    pair.open();
    assert!(matches!(&pair.events[..], [client::Event::Opened(created)] if created.early_output.is_none()));
    pair.client.receive_shell_output(true);
    let request = pair.client.poll_transmit(&mut rand::rng()).unwrap();
    pair.client.receive_shell_output(false);
    pair.sent.push(request.operation);
    let caller = Caller { owner: "alice", name: "alice".to_owned(), address: None };
    let id = pair.shells.handle_request(&caller, &request.body, pair.now, &mut rand::rng());
    pair.wire.insert(id, request.id);
    pair.drive();
    pair.run("echo");
    pair.client.close();
    pair.drive();
    assert_eq!(pair.sent, ["Create", "Receive", "Command", "Receive", "Delete"]);
    assert_eq!(pair.output(), "openedhello world");
}

#[test]
fn finished_commands_are_released_with_the_next_one() {
    let mut pair = Pair::new();
    pair.open();
    pair.run("echo");
    assert_eq!(pair.signals, []);
    pair.run("echo");
    assert_eq!(pair.signals, [Signal::Terminate]);
}

#[test]
fn input_larger_than_an_envelope_is_cut() {
    let mut pair = Pair::new();
    pair.open();
    let command = CommandId::random(&mut rand::rng());
    let fragments: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 32_768]).collect();
    pair.client.run_pipeline(command, "swallow", fragments.clone());
    pair.client.send(Some(command), "stdin", vec![99; 1_000_000], true);
    pair.drive();
    assert!(pair.sent.iter().filter(|name| **name == "Send").count() >= 5);
    assert!(pair.input.iter().copied().eq(fragments.concat().into_iter().chain(vec![99; 1_000_000])));
    assert!(pair.events.contains(&client::Event::InputTaken));
}

#[test]
fn a_receive_that_times_out_is_asked_again_and_stop_ends_it() {
    let mut pair = Pair::new();
    pair.open();
    let command = pair.run("sleep");
    for _ in 0..3 {
        pair.now = pair.shells.poll_timeout().unwrap();
        pair.shells.handle_timeout(pair.now);
        pair.drive();
    }
    assert_eq!(pair.sent.iter().filter(|name| **name == "Receive").count(), 4);
    pair.client.signal(command, Signal::StopPipeline);
    pair.drive();
    assert!(pair.events.contains(&client::Event::CommandDone { command, exit_code: Some(0) }));
    assert!(!pair.events.iter().any(|event| matches!(event, client::Event::Failed(_))));
}

#[test]
fn a_refused_command_leaves_the_shell_usable() {
    let mut pair = Pair::new();
    pair.open();
    let command = pair.run("fail");
    let Some(client::Event::CommandFailed { command: failed, error }) = pair.events.last() else { panic!() };
    assert_eq!(*failed, command);
    assert_eq!(error.to_string(), "Command was refused: not here (fault 5, access denied)");
    pair.run("echo");
    assert_eq!(pair.output(), "openedhello world");
}

#[test]
fn a_session_that_dies_gives_its_last_output_and_then_the_reason() {
    let mut pair = Pair::new();
    pair.open();
    let command = pair.run("sleep");
    let key = pair.key.unwrap();
    pair.shells.push_output(key, Some(command), "stdout", b"last words".to_vec(), pair.now);
    pair.shells.end_shell(key, Fault::aborted("the session's process was killed"), pair.now);
    pair.drive();
    assert_eq!(pair.output(), "openedlast words");
    let Some(client::Event::CommandFailed { error, .. }) = pair.events.last() else {
        panic!("{:?}", pair.events)
    };
    assert!(error.to_string().contains("the session's process was killed"), "{error}");
    pair.client.close();
    pair.drive();
    assert_eq!((pair.events.last(), pair.shells.len()), (Some(&client::Event::Closed), 0));
}

#[test]
fn no_answer_ends_the_shell_with_an_error() {
    let mut pair = Pair::new();
    pair.open();
    let command = CommandId::random(&mut rand::rng());
    pair.client.run_pipeline(command, "echo", vec![]);
    let request = pair.client.poll_transmit(&mut rand::rng()).unwrap();
    pair.client.handle_failure(request.id);
    let event = pair.client.poll_event();
    assert_eq!(event, Some(client::Event::Failed(client::Error::Unanswered { operation: "Command" })));
}

#[test]
fn shells_of_others_do_not_exist() {
    let mut pair = Pair::new();
    pair.open();
    let Some(client::Event::Opened(created)) = pair.events.first() else { panic!() };
    let header = Header {
        message_id: hop_wsman::MessageId::parse("uuid:1"),
        resource_uri: Some(format!("{}Microsoft.PowerShell", uri::POWERSHELL_PREFIX)),
        selectors: vec![Selector { name: "ShellId".to_owned(), value: created.shell_id.to_string() }],
        ..Header::default()
    };
    for operation in [
        Operation::Receive { command: None, streams: vec!["stdout".to_owned()] },
        Operation::Command(hop_wsman::CommandLine::default()),
        Operation::Delete,
    ] {
        let request: Request = Envelope { header: header.clone(), body: operation };
        let body = request.to_bytes();
        let fault = pair.ask("mallory", &body).unwrap_err();
        assert_eq!((fault.code, fault.subcode.as_str()), (FaultCode::UNKNOWN_SHELL, "InvalidSelectors"));
    }
    // The owner still has it.
    pair.run("echo");
    assert_eq!(pair.output(), "openedhello world");
}

#[test]
fn unknown_commands_disconnecting_and_reading_are_refused() {
    let mut pair = Pair::new();
    pair.open();
    let Some(client::Event::Opened(created)) = pair.events.first() else { panic!() };
    let header = Header {
        message_id: hop_wsman::MessageId::parse("uuid:1"),
        resource_uri: Some(format!("{}Microsoft.PowerShell", uri::POWERSHELL_PREFIX)),
        selectors: vec![Selector { name: "ShellId".to_owned(), value: created.shell_id.to_string() }],
        ..Header::default()
    };
    let stranger = Some(CommandId::random(&mut rand::rng()));
    for (operation, code) in [
        (Operation::Receive { command: stranger, streams: vec![] }, FaultCode::INVALID_PARAMETER),
        (Operation::Disconnect, FaultCode::DISCONNECT_NOT_SUPPORTED),
        (Operation::Reconnect, FaultCode::DISCONNECT_NOT_SUPPORTED),
        (Operation::Connect, FaultCode::DISCONNECT_NOT_SUPPORTED),
        (Operation::Enumerate, FaultCode::ACTION_NOT_SUPPORTED),
    ] {
        let request: Request = Envelope { header: header.clone(), body: operation };
        assert_eq!(pair.ask("alice", &request.to_bytes()).unwrap_err().code, code);
    }
    let small = Header { max_envelope_size: Some(100), ..header };
    let request: Request = Envelope { header: small, body: Operation::Delete };
    assert_eq!(pair.ask("alice", &request.to_bytes()).unwrap_err().code, FaultCode::ENCODING_LIMIT);
}

#[test]
fn an_idle_shell_is_closed() {
    let mut pair = Pair::new();
    pair.open();
    let at = pair.shells.poll_timeout().unwrap();
    assert_eq!(at - pair.now, Duration::from_secs(7200));
    pair.now = at;
    pair.shells.handle_timeout(at);
    pair.drive();
    assert_eq!((pair.closed, pair.shells.len()), (1, 0));
}

#[test]
fn quotas_of_one_owner() {
    let mut pair = Pair::new();
    let header = Header {
        message_id: hop_wsman::MessageId::parse("uuid:1"),
        resource_uri: Some(uri::CMD.to_owned()),
        ..Header::default()
    };
    pair.shells = Shells::new(Config { max_shells_per_owner: 2, ..Config::default() });
    let create = CreateShell { creation_xml: Some(b"opening fragments".to_vec()), ..CreateShell::default() };
    let request: Request = Envelope { header, body: Operation::Create(create) };
    let body = request.to_bytes();
    assert!(pair.ask("alice", &body).is_ok());
    assert!(pair.ask("alice", &body).is_ok());
    assert_eq!(pair.ask("alice", &body).unwrap_err().code, FaultCode::MAX_SHELLS);
    assert!(pair.ask("bob", &body).is_ok());
}

#[test]
fn bad_envelopes_get_faults() {
    let mut pair = Pair::new();
    let header = |inner: &str| {
        format!(
            "<s:Envelope xmlns:s='{}' xmlns:a='{}'><s:Header><a:MessageID>uuid:7</a:MessageID>{inner}</s:Header><s:Body/></s:Envelope>",
            uri::SOAP,
            uri::ADDRESSING
        )
    };
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let many = header(&"<a:From/>".repeat(30_000));
    let delete = format!("<a:Action>{}/Delete</a:Action>", uri::TRANSFER);
    for (body, subcode) in [
        ("".to_owned(), "SchemaValidationError"),
        ("not xml".to_owned(), "SchemaValidationError"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_owned(), "SchemaValidationError"),
        (format!("<?php evil?>{}", header("")), "SchemaValidationError"),
        (deep, "EncodingLimit"),
        (many, "EncodingLimit"),
        ("<s:Envelope xmlns:s='x'".to_owned(), "SchemaValidationError"),
        (header(""), "MessageInformationHeaderRequired"),
        (header("<a:Action>urn:nothing</a:Action>"), "ActionNotSupported"),
        (header("<x xmlns='urn:x' s:mustUnderstand='1'/>"), "MustUnderstand"),
        (
            header("<a:ReplyTo><a:Address>http://elsewhere/</a:Address></a:ReplyTo>"),
            "InvalidMessageInformationHeader",
        ),
        (header(&delete), "InvalidSelectors"),
        (header("<b:Action>x</b:Action>"), "SchemaValidationError"),
    ] {
        let fault = pair.ask("alice", body.as_bytes()).unwrap_err();
        assert_eq!(fault.subcode, subcode, "{:.100}: {fault}", body);
    }
    let large = vec![b' '; Limits::default().max_bytes + 1];
    assert_eq!(pair.ask("alice", &large).unwrap_err().code, FaultCode::ENVELOPE_TOO_LARGE);
    assert_eq!(pair.ask("alice", &[0xff, 0xfe, 0x3c]).unwrap_err().subcode, "SchemaValidationError");
}

#[test]
fn identify_needs_no_owner() {
    let pair = Pair::new();
    let request: Request = Envelope { header: Header::default(), body: Operation::Identify };
    let answer = pair.shells.identify(&request.to_bytes()).unwrap();
    let answer = Response::parse(&answer, &Limits::default()).unwrap();
    assert!(matches!(answer.body, Ok(OperationResponse::Identify(i)) if i.product_vendor == "secondhop"));
    let delete: Request = Envelope { header: Header::default(), body: Operation::Delete };
    assert!(pair.shells.identify(&delete.to_bytes()).is_none());
    // Both spellings of the namespace are understood; Windows's is spoken.
    for asked in
        [include_str!("corpus/request/identify.xml"), include_str!("corpus/request/identify_as_windows.xml")]
    {
        let answer = String::from_utf8(pair.shells.identify(asked.as_bytes()).unwrap()).unwrap();
        assert!(answer.contains("/wsman/identity/1/wsmanidentity.xsd"), "{answer}");
        let other = answer.replace("/wsman/identity/1/", "/wsman/identify/1/");
        for answer in [answer, other] {
            let response = Response::parse(answer.as_bytes(), &Limits::default()).unwrap();
            assert!(matches!(response.body, Ok(OperationResponse::Identify(_))));
        }
    }
}

#[test]
fn a_parked_receive_loses_nothing_when_its_client_goes() {
    let mut pair = Pair::new();
    pair.open();
    let command = pair.run("sleep");
    let (exchange, request) = pair.wire.drain().next().unwrap();
    pair.shells.abandon(exchange, pair.now);
    let key = pair.key.unwrap();
    pair.shells.push_output(key, Some(command), "stdout", b"kept".to_vec(), pair.now);
    pair.drive();
    assert_eq!(pair.output(), "opened");
    let timeout = Response { header: Header::default(), body: Err(Fault::timed_out()) };
    pair.client.handle_response(request, 500, &timeout.to_bytes());
    pair.drive();
    assert_eq!(pair.output(), "openedkept");
}

#[test]
fn a_congested_shell_drains() {
    let mut pair = Pair::new();
    pair.shells = Shells::new(Config { high_water: 100_000, ..Config::default() });
    pair.open();
    pair.run("sleep");
    let wire = std::mem::take(&mut pair.wire);
    let (key, command) = (pair.key.unwrap(), CommandId::random(&mut rand::rng()));
    pair.shells.push_output(key, None, "stdout", vec![0; 100_001], pair.now);
    pair.shells.push_output(key, Some(command), "stdout", vec![0; 10], pair.now);
    assert!(pair.shells.is_congested(key));
    pair.client.receive_shell_output(true);
    pair.wire = wire;
    pair.drive();
    assert!(!pair.shells.is_congested(key));
    assert_eq!(pair.output().len(), "opened".len() + 100_001);
}
