//! `hop decode` on captures of every kind that it understands.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine as _};

fn hop(input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hop"))
        .arg("decode")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

fn decoded(input: &[u8]) -> String {
    let output = hop(input);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(crates().join(path)).unwrap()
}

#[test]
fn clixml_of_every_shape() {
    let document = "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">\
                    <S S=\"Error\">oops_x000D__x000A_</S></Objs>";
    let shown = "CLIXML, version 1.1.0.1, 1 value\n  [0] stream Error: \"oops\\r\\n\"\n";
    assert_eq!(decoded(document.as_bytes()), shown);
    assert_eq!(decoded(format!("#< CLIXML\r\n{document}").as_bytes()), shown);
    assert_eq!(decoded(format!("#< CLIXML\r\n{document}{document}").as_bytes()), format!("{shown}{shown}"));
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(document.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(decoded(&wide), shown);
    assert_eq!(
        decoded(format!("plain\n#< CLIXML\n{document}").as_bytes()),
        format!("text before the CLIXML:\n  plain\n{shown}")
    );
    assert_eq!(decoded(b"<I32>5</I32>"), "value: Int32 5\n");
    assert_eq!(
        decoded(b"<Obj RefId=\"0\"><MS><SS N=\"p\">abcdefgh</SS></MS></Obj>"),
        "value: object\n  p: SecureString (hidden)\n"
    );
    let cut = decoded(&document.as_bytes()[..document.len() - 10]);
    assert!(cut.contains("unreadable from here: "), "{cut}");
}

#[test]
fn fragments_in_one_line_or_several() {
    let bytes = read("psrp/tests/corpus/describe/fragments");
    let whole = decoded(BASE64_STANDARD.encode(&bytes).as_bytes());
    assert!(
        whole.starts_with("SESSION_CAPABILITY to the server\n") && !whole.contains("unreadable"),
        "{whole}"
    );
    assert!(whole.contains("\n    & { param($a, $b, [switch]$c, $d) "), "{whole}");
    let text = BASE64_STANDARD.encode(&bytes);
    let wrapped: Vec<String> =
        text.as_bytes().chunks(76).map(|l| String::from_utf8_lossy(l).into_owned()).collect();
    assert_eq!(decoded(wrapped.join("\n").as_bytes()), whole);
    let pieces: Vec<String> = bytes.chunks(1000).map(|piece| BASE64_STANDARD.encode(piece)).collect();
    assert_eq!(decoded(pieces.join("\r\n").as_bytes()), whole);
    assert_eq!(decoded(&bytes), whole);
    let cut = decoded(BASE64_STANDARD.encode(&bytes[..700]).as_bytes());
    assert!(cut.ends_with("(INIT_RUNSPACEPOOL): 456 of its 3802 bytes\n"), "{cut}");
}

#[test]
fn envelopes_with_what_they_carry() {
    let create = read("wsman/tests/corpus/request/open-close-create.xml");
    let head = "POST /wsman HTTP/1.1\r\nHost: servera\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n";
    let text = decoded(&[head.as_bytes(), &create].concat());
    let beginning = "POST /wsman HTTP/1.1\nHost: servera\nAuthorization: Basic\n  user: \"alice\"\n  \
                     password: (hidden)\n\
                     WS-Management envelope of the client: Create\n";
    assert!(text.starts_with(beginning), "{text}");
    assert!(
        text.contains("\n    creationXml: 4046 bytes\n      SESSION_CAPABILITY to the server\n"),
        "{text}"
    );
    let command = decoded(&read("wsman/tests/corpus/request/open-close-command.xml"));
    assert!(command.contains("\n          __Set-PSDebugMode -Mode 6\n"), "{command}");
    let fault = decoded(&read("wsman/tests/corpus/response/open-close-fault.xml"));
    assert!(fault.contains("\n    WSManFault: 2150858843 (0x8033805B), shell not found\n"), "{fault}");
    let cut = decoded(&create[..create.len() - 30]);
    assert!(cut.contains("SESSION_CAPABILITY") && cut.contains("unreadable from here: "), "{cut}");
}

#[test]
fn recordings_of_https_are_read_whole() {
    for entry in std::fs::read_dir(crates().join("wsman/tests/data/transcripts")).unwrap() {
        let path = entry.unwrap().path();
        let text = decoded(&std::fs::read(&path).unwrap());
        assert!(text.contains("WS-Management envelope of the server: "), "{path:?}");
        let bad = text.lines().find(|l| l.contains("unreadable") || l.trim_start().starts_with("not as"));
        assert_eq!(bad, None, "{path:?}");
    }
}

#[test]
fn logs_of_stdio() {
    let recording = String::from_utf8(read("psrp/tests/data/transcripts/invoke-argumentlist.jsonl")).unwrap();
    let shown = decoded(recording.as_bytes());
    let plain: Vec<String> = recording
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["line"].as_str().unwrap().to_owned()
        })
        .collect();
    let bare = decoded(plain.join("\n").as_bytes());
    for text in [&shown, &bare] {
        assert!(text.contains("client: Data for the pool, stream Default, "), "{text}");
        assert!(text.contains("\n  RUNSPACEPOOL_STATE to the client\n"), "{text}");
    }
    let marked = decoded(b"12:00 client > <Close PSGuid='00000000-0000-0000-0000-000000000000' />\n");
    assert_eq!(marked, "client: Close for the pool\n");
}

#[test]
fn headers_with_tokens() {
    let token = BASE64_STANDARD.encode(read("auth/tests/corpus/ts_request/negotiate"));
    let text = decoded(format!("Authorization: CredSSP {token}\r\n").as_bytes());
    assert!(text.starts_with("Authorization: CredSSP\n  CredSSP TSRequest\n    version: 6\n"), "{text}");
    let bare = decoded(token.as_bytes());
    assert!(bare.starts_with("CredSSP TSRequest\n"), "{bare}");
    assert_eq!(
        decoded(b"WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"WSMAN\"\r\n"),
        "WWW-Authenticate: Negotiate\nWWW-Authenticate: Basic\n  realm=\"WSMAN\"\n"
    );
    let secret = decoded(b"Authorization: Bearer abc.def\r\nCookie: a=b\r\n");
    assert_eq!(secret, "Authorization: Bearer\n  (hidden)\nCookie: (hidden)\n");
}

#[test]
fn all_else_is_refused_with_what_would_be_understood() {
    for input in
        [&b""[..], b"hello", b"hello world\n", b"{\"a\": 1}\n", b"<html></html>", b"\x7fELF\x02\x01\x01\0"]
    {
        let output = hop(input);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stdout, b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.starts_with("hop: not recognised: expected CLIXML, base64 of PSRP fragments"),
            "{error}"
        );
    }
}

#[test]
fn broken_captures_are_read_as_far_as_they_go() {
    let samples = [
        "psrp/tests/corpus/describe/stream-error-throw.log",
        "psrp/tests/corpus/describe/fragments",
        "wsman/tests/corpus/request/open-close-command.xml",
    ];
    for sample in samples {
        let data = read(sample);
        for step in 1..12 {
            let at = data.len() * step / 12;
            let mut flipped = data.clone();
            flipped[at] ^= 0x10;
            for input in [&data[..at], &data[at..], &flipped] {
                let code = hop(input).status.code();
                assert!(matches!(code, Some(0 | 1)), "{sample} at {at}: {code:?}");
            }
        }
    }
}
