//! Every request that real PowerShell's WinRM client made in the recorded sessions goes through the server machine,
//! with a back end that says what the recorded server said. Each must get the answer it got then: the same kind, the
//! same output, the same state of the command.
#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err, missing_docs)]

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use hop_wsman::{
    CommandState, Fault, Limits, Operation, OperationResponse, Request, Response, Signal,
    server::{Caller, Config, ExchangeId, Output, ShellKey, Shells},
};

struct Recorded {
    request: String,
    status: Option<u16>,
    /// None if the answer was too large to keep.
    response: Option<String>,
}

#[test]
fn requests_of_the_recorded_sessions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut requests = 0;
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let lines = read(file);
        requests += lines.len();
        replay(&name, &lines);
    }
    assert_eq!((files.len(), requests), (29, 610));
}

fn read(file: &Path) -> Vec<Recorded> {
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            Recorded {
                request: json["request"].as_str().unwrap().to_owned(),
                status: json["status"].as_str().map(|status| status[..3].parse().unwrap()),
                response: json["response"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
            }
        })
        .collect()
}

fn replay(name: &str, lines: &[Recorded]) {
    let mut server = Server::new();
    for (number, line) in lines.iter().enumerate() {
        let at = format!("{name}, request {}", number + 1);
        let request = Request::parse(line.request.as_bytes(), &Limits::default())
            .unwrap_or_else(|e| panic!("{at}: {e}"));
        let again = Request::parse(&request.to_bytes(), &Limits::default());
        assert_eq!(again.as_ref(), Ok(&request), "{at}: written and read");
        let recorded = line
            .response
            .as_ref()
            .map(|text| Response::parse(text.as_bytes(), &Limits::default()).unwrap().body);
        if let Some(Ok(answer)) = &recorded {
            let header = hop_wsman::Header::default();
            let response = Response { header, body: Ok(answer.clone()) };
            assert_eq!(
                Response::parse(&response.to_bytes(), &Limits::default()),
                Ok(response),
                "{at}: answer"
            );
        }
        server.prepare(&request, recorded.as_ref());
        let (status, answer) = server.ask(&line.request);
        let Some(expected) = line.status else { continue };
        assert_eq!(status, expected, "{at}: {answer:?}");
        compare(&at, recorded, answer);
    }
}

fn compare(
    at: &str,
    recorded: Option<Result<OperationResponse, Fault>>,
    answer: Result<OperationResponse, Fault>,
) {
    match (recorded, answer) {
        (Some(Ok(OperationResponse::Receive(then))), Ok(OperationResponse::Receive(now))) => {
            let bytes = |streams: Vec<hop_wsman::Stream>| -> Vec<u8> {
                streams.into_iter().flat_map(|s| s.data).collect()
            };
            assert_eq!(bytes(then.streams), bytes(now.streams), "{at}: output");
            let done = |state: &Option<CommandState>| matches!(state, Some(CommandState::Done { .. }));
            assert_eq!(done(&then.state), done(&now.state), "{at}: state");
        }
        (Some(Ok(OperationResponse::Create(then))), Ok(OperationResponse::Create(now))) => {
            assert_eq!((then.shell_id, then.resource_uri), (now.shell_id, now.resource_uri), "{at}");
        }
        (Some(Ok(then)), Ok(now)) => assert_eq!(then, now, "{at}"),
        (Some(Err(then)), Err(now)) => assert_eq!((then.code, then.subcode), (now.code, now.subcode), "{at}"),
        (None, Ok(_)) => {}
        (then, now) => panic!("{at}: recorded {then:?}, now {now:?}"),
    }
}

/// The server machine with a back end that does what it is told.
struct Server {
    shells: Shells<&'static str>,
    now: Instant,
    keys: HashMap<hop_wsman::ShellId, ShellKey>,
    answers: HashMap<ExchangeId, (u16, Vec<u8>)>,
}

impl Server {
    fn new() -> Self {
        Self {
            shells: Shells::new(Config::default()),
            now: Instant::now(),
            keys: HashMap::new(),
            answers: HashMap::new(),
        }
    }

    /// Has the back end say what the recorded answer contains.
    fn prepare(&mut self, request: &Request, recorded: Option<&Result<OperationResponse, Fault>>) {
        let Some(key) = request.header.shell_id().flatten().and_then(|id| self.keys.get(&id)).copied() else {
            return;
        };
        let Operation::Receive { command, .. } = request.body else { return };
        match recorded {
            Some(Ok(OperationResponse::Receive(answer))) => {
                for stream in &answer.streams {
                    self.shells.push_output(key, command, &stream.name, stream.data.clone(), self.now);
                }
                if let Some(CommandState::Done { command, .. }) = answer.state {
                    self.shells.finish_command(key, command, 0, self.now);
                }
            }
            Some(_) => {}
            None => {
                for _ in 0..6 {
                    self.shells.push_output(key, command, "stdout", vec![b'x'; 32_000], self.now);
                }
            }
        }
    }

    fn ask(&mut self, body: &str) -> (u16, Result<OperationResponse, Fault>) {
        let caller = Caller { owner: "demo", name: "demo".to_owned(), address: None };
        let id = self.shells.handle_request(&caller, body.as_bytes(), self.now, &mut rand::rng());
        loop {
            self.work();
            if let Some((status, body)) = self.answers.remove(&id) {
                return (status, Response::parse(&body, &Limits::default()).unwrap().body);
            }
            // Nothing else happens: let the time pass.
            self.now = self.shells.poll_timeout().unwrap().max(self.now + Duration::from_millis(1));
            self.shells.handle_timeout(self.now);
        }
    }

    fn work(&mut self) {
        while let Some(output) = self.shells.poll_output(&mut rand::rng()) {
            match output {
                Output::Respond { exchange, status, body } => {
                    self.answers.insert(exchange, (status, body));
                }
                Output::Open { exchange, shell, open, .. } => {
                    self.keys.insert(open.shell_id, shell);
                    assert!(!open.create.creation_xml.as_ref().unwrap().is_empty());
                    self.shells.complete(exchange, Ok(()), self.now);
                }
                Output::Run { exchange, line, .. } => {
                    assert!(!line.fragments().unwrap().is_empty());
                    self.shells.complete(exchange, Ok(()), self.now);
                }
                Output::Input { exchange, streams, .. } => {
                    assert!(streams.iter().all(|s| !s.data.is_empty()));
                    self.shells.complete(exchange, Ok(()), self.now);
                }
                Output::Signal { exchange, signal, .. } => {
                    assert!(matches!(signal, Signal::Terminate | Signal::StopPipeline));
                    self.shells.complete(exchange, Ok(()), self.now);
                }
                Output::Close { exchange: Some(exchange), .. } => {
                    self.shells.complete(exchange, Ok(()), self.now)
                }
                _ => {}
            }
        }
    }
}

#[test]
fn fuzz_targets_over_their_corpora() {
    for (folder, target) in [
        ("request", hop_wsman::fuzz::fuzz_request as fn(&[u8])),
        ("response", hop_wsman::fuzz::fuzz_response),
    ] {
        for entry in
            std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder))
                .unwrap()
        {
            let data = std::fs::read(entry.unwrap().path()).unwrap();
            target(&data);
            // Cut and bent in many places.
            for at in (0..data.len()).step_by(7) {
                target(&data[..at]);
                let mut bent = data.clone();
                bent[at] = b'<';
                target(&bent);
                bent[at] = b'&';
                target(&bent);
                bent.remove(at);
                target(&bent);
            }
        }
    }
}
