//! MIT's GSS-API at the other end of a test (python3-gssapi).
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use hop_kerberos::Error;
use hop_kerberos::gss::Context;

const PYTHON: &str = "/usr/bin/python3";

pub fn is_there() -> bool {
    let there = Command::new(PYTHON).args(["-c", "import gssapi"]).output().is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: no python3-gssapi");
    }
    there
}

pub struct Peer {
    stdin: ChildStdin,
    stdout: ChildStdout,
    child: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prefixed(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&(first.len() as u32).to_be_bytes(), first, second].concat()
}

impl Peer {
    /// With the krb5.conf, the keytab and the ccache of a folder.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let path = |name: &str| folder.join(name);
        let mut child = Command::new(PYTHON)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gss_peer.py"))
            .args(arguments)
            .env("KRB5_CONFIG", path("krb5.conf"))
            .env("KRB5_KTNAME", path("keytab"))
            .env("KRB5CCNAME", path("ccache"))
            .env("KRB5RCACHENAME", "none:")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { stdin: child.stdin.take().unwrap(), stdout: child.stdout.take().unwrap(), child }
    }

    pub fn send(&mut self, data: &[u8]) {
        self.stdin.write_all(&prefixed(data, b"")).unwrap();
        self.stdin.flush().unwrap();
    }

    pub fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.stdout.read_exact(&mut length).unwrap();
        let mut data = vec![0; u32::from_be_bytes(length) as usize];
        self.stdout.read_exact(&mut data).unwrap();
        data
    }

    pub fn operate(&mut self, kind: u8, data: &[u8]) -> Result<Vec<u8>, String> {
        self.send(&[&[kind], data].concat());
        let mut answer = self.receive();
        match answer.remove(0) {
            b'+' => Ok(answer),
            _ => Err(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

/// Every kind of message in both directions.
pub fn converse(context: &mut Context, peer: &mut Peer) {
    for length in [0usize, 1, 16, 1000, 70_000] {
        let message: Vec<u8> = (0..length).map(|i| i as u8).collect();
        for (confidential, flag, kind) in [(true, b'1', b'w'), (false, b'0', b's')] {
            let opened = peer.operate(b'u', &context.wrap(confidential, &message).unwrap()).unwrap();
            assert_eq!((opened[0], &opened[1..]), (flag, &message[..]));
            let opened = context.unwrap(&peer.operate(kind, &message).unwrap()).unwrap();
            assert_eq!(
                (opened.confidential, opened.after_gap, &opened.message),
                (confidential, false, &message)
            );
        }
        let mic = context.get_mic(&message).unwrap();
        assert_eq!(peer.operate(b'v', &prefixed(&message, &mic)).unwrap(), b"ok");
        context.verify_mic(&message, &peer.operate(b'm', &message).unwrap()).unwrap();

        let (header, body) = context.wrap_detached(&message).unwrap();
        assert_eq!(peer.operate(b'o', &prefixed(&header, &body)).unwrap(), message);
        let sealed = peer.operate(b'd', &message).unwrap();
        let (header, body) =
            sealed[4..].split_at(u32::from_be_bytes(sealed[..4].try_into().unwrap()) as usize);
        assert_eq!(body.len(), length + context.padding());
        if context.padding() == 0 {
            assert_eq!(header.len(), context.detached_header_length());
        }
        assert_eq!(context.unwrap_detached(header, body).unwrap(), message);
    }
    // Both ends refuse what was altered.
    let mut token = context.wrap(true, b"altered").unwrap();
    token[20] ^= 1;
    peer.operate(b'u', &token).unwrap_err();
    let token = peer.operate(b'w', b"twice").unwrap();
    context.unwrap(&token).unwrap();
    assert_eq!(context.unwrap(&token), Err(Error::DuplicateToken));
}
