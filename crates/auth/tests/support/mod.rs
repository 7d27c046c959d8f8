//! What the tests against peers share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part; tests may panic"
)]
#![allow(clippy::print_stdout, reason = "says which tests are skipped")]

pub mod realm;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hop_auth::Sealer;
use serde_json::{Value, json};

/// The Python that has pyspnego and pypsrp, or `None` after saying that it is missing.
pub fn python() -> Option<PathBuf> {
    let peers = std::env::var_os("HOP_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"), PathBuf::from);
    let python = [peers.join("bin/python"), PathBuf::from("python3")];
    let found = python.into_iter().find(|python| {
        let there = Command::new(python).args(["-c", "import pypsrp.encryption, spnego"]).output();
        there.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("skipped: no pypsrp");
    }
    found
}

/// The Python whose GSS-API has NTLM, or `None` after saying that it is missing.
pub fn python_with_gss_ntlmssp() -> Option<PathBuf> {
    let python = python()?;
    let script = "import gssapi; m = gssapi.OID.from_int_seq('1.3.6.1.4.1.311.2.2.10'); \
                  assert m in gssapi.raw.indicate_mechs()";
    let there = Command::new(&python).args(["-c", script]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("skipped: no gss-ntlmssp");
    None
}

/// pyspnego as the other end; see `peer.py`.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start(python: &Path, setup: &Value) -> Self {
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{setup}").unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Runs a command; the error is the peer's own text.
    pub fn ask(&mut self, ask: &Value) -> Result<Value, String> {
        writeln!(self.input, "{ask}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the peer said {line:?}"));
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(answer),
        }
    }

    /// One leg: the peer's token, and whether it is done.
    pub fn step(&mut self, token: Option<&[u8]>) -> Result<(Option<Vec<u8>>, bool), String> {
        let answer = self.ask(&json!({ "do": "step", "data": token.map(encode) }))?;
        Ok((answer["token"].as_str().map(decode), answer["complete"].as_bool().unwrap()))
    }

    /// The peer's wrap_winrm.
    pub fn wrap(&mut self, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let answer = self.ask(&json!({ "do": "wrap", "data": encode(data) })).unwrap();
        (bytes(&answer["header"]), bytes(&answer["body"]))
    }

    /// The peer's unwrap_winrm.
    pub fn unwrap(&mut self, header: &[u8], body: &[u8]) -> Result<Vec<u8>, String> {
        let answer = self.ask(&json!({ "do": "unwrap", "header": encode(header), "data": encode(body) }))?;
        Ok(bytes(&answer["data"]))
    }

    /// Sealed bodies both ways with pypsrp's framing; `protocol` is the media type.
    pub fn exchange_bodies(&mut self, sealer: &mut Sealer, protocol: &str, sizes: &[usize]) {
        for size in sizes {
            let body: Vec<u8> = (0..*size).map(|i| i as u8).collect();
            let sealed = sealer.seal("application/soap+xml;charset=UTF-8", &body).unwrap();
            let ask = json!({ "do": "unwrap_body", "protocol": protocol, "data": encode(&sealed.body) });
            assert_eq!(bytes(&self.ask(&ask).unwrap()["data"]), body, "{size}");
            let ask = json!({ "do": "wrap_body", "protocol": protocol, "data": encode(&body) });
            let theirs = self.ask(&ask).unwrap();
            assert_eq!(theirs["content_type"], sealed.content_type);
            let content_type = theirs["content_type"].as_str().unwrap();
            assert_eq!(sealer.unseal(content_type, &bytes(&theirs["body"])).unwrap().body, body, "{size}");
        }
    }

    pub fn info(&mut self) -> Value {
        self.ask(&json!({ "do": "info" })).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    decode(value.as_str().unwrap())
}
