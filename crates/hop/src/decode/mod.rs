//! `hop decode`.

mod envelope;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hop_clixml::{Limits, describe as tree, parse};
use hop_psrp::Target;
use hop_psrp::describe::Log;

/// Turn what you captured into readable text.
///
/// Takes CLIXML, base64 of PSRP fragments, a WS-Management envelope, a log of PSRP over stdio or ssh (plain lines, or
/// JSON lines {"from": …, "line": …}), a SPNEGO, GSS-API, Kerberos, NTLM or CredSSP token (raw, base64, or the whole
/// Authorization header), and says what it is with the specifications' names. Secrets are masked.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file; standard input without one
    file: Option<PathBuf>,
}

/// Nothing worth decoding by hand is larger.
const LIMIT: u64 = 256 * 1024 * 1024;

/// Decodes and prints.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let mut data = Vec::new();
    let read = match &arguments.file {
        Some(path) => std::fs::File::open(path).and_then(|f| f.take(LIMIT).read_to_end(&mut data)),
        None => std::io::stdin().lock().take(LIMIT).read_to_end(&mut data),
    };
    if let Err(error) = read {
        let name = arguments.file.as_deref().map_or("standard input".into(), |p| p.display().to_string());
        eprintln!("hop: cannot read {name}: {error}");
        return ExitCode::from(2);
    }
    match decode(&data) {
        Some(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!(
                "hop: not recognised: expected CLIXML, a WS-Management envelope, base64 of PSRP fragments, a log of \
                 PSRP over stdio, or a security token"
            );
            ExitCode::from(1)
        }
    }
}

/// Whatever it is, as text.
fn decode(data: &[u8]) -> Option<String> {
    if let Some(text) = hop_auth::describe::describe(data) {
        return Some(text);
    }
    let whole = String::from_utf8_lossy(data);
    let text = whole.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return None;
    }
    json_log(text)
        .or_else(|| stdio_log(text))
        .or_else(|| envelope::decode(text))
        .or_else(|| clixml(text))
        .or_else(|| fragments(text))
        .or_else(|| token(text))
}

/// JSON lines with who said each line.
fn json_log(text: &str) -> Option<String> {
    if !text.starts_with('{') {
        return None;
    }
    let mut log = Log::default();
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let (from, said) = (line["from"].as_str()?, line["line"].as_str()?);
        let shown =
            log.stdio_line(from == "client", said).unwrap_or_else(|| format!("{}\n", said.trim_end()));
        labelled(&mut out, from, &shown);
    }
    Some(out)
}

/// The transport's lines, from one side or both: acknowledgements tell nothing about who spoke.
fn stdio_log(text: &str) -> Option<String> {
    let packet = |line: &str| line.trim_start().starts_with('<') && line.contains("PSGuid=");
    if !text.lines().any(packet) {
        return None;
    }
    let mut log = Log::default();
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match log.stdio_line(true, line) {
            Some(shown) => out.push_str(&shown),
            None => out.push_str(&format!("{}\n", line.trim_end())),
        }
    }
    Some(out)
}

fn labelled(out: &mut String, who: &str, text: &str) {
    for (at, line) in text.lines().enumerate() {
        let label = if at == 0 { who } else { "" };
        out.push_str(&format!("{label:<7} {line}\n"));
    }
}

fn clixml(text: &str) -> Option<String> {
    let text = text.strip_prefix("#< CLIXML").unwrap_or(text).trim();
    if let Ok((document, error)) = parse::document_until_error(text, &Limits::default())
        && !document.roots.is_empty()
    {
        let mut out = String::new();
        for root in &document.roots {
            let indent = match &root.stream {
                Some(stream) => {
                    out.push_str(&format!("{stream}:\n"));
                    2
                }
                None => 0,
            };
            out.push_str(&tree::describe(&root.value, indent));
        }
        if let Some(error) = error {
            out.push_str(&format!("(the rest is unreadable: {error})\n"));
        }
        return Some(out);
    }
    parse::value(text, &Limits::default()).ok().map(|value| tree::describe(&value, 0))
}

/// Base64 of fragments, one piece per line or word.
fn fragments(text: &str) -> Option<String> {
    let mut log = Log::default();
    let mut out = String::new();
    for word in text.split_whitespace() {
        let bytes = BASE64_STANDARD.decode(word).ok()?;
        out.push_str(&log.fragments(true, Target::Pool, &bytes)?);
    }
    Some(out)
}

/// A security token: base64, or whole header lines.
fn token(text: &str) -> Option<String> {
    let mut out = String::new();
    for line in text.lines() {
        let Some(word) = line.split_whitespace().last() else { continue };
        let Ok(raw) = BASE64_STANDARD.decode(word.trim_matches(['"', '\''])) else { continue };
        if let Some(text) = hop_auth::describe::describe(&raw) {
            out.push_str(&text);
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything real PowerShell said in good sessions is readable, whole.
    #[test]
    fn recorded_sessions_are_readable() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../psrp/tests/data/transcripts");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if name.starts_with("fault-") {
                continue;
            }
            let text = decode(&std::fs::read(&path).unwrap()).unwrap();
            assert!(!text.contains("unreadable"), "{name}: {text}");
            assert!(text.contains("SESSION_CAPABILITY"), "{name}");
            count += 1;
        }
        assert!(count > 80);
    }

    #[test]
    fn each_kind_is_recognised() {
        let shows = |data: &str, part: &str| {
            let text = decode(data.as_bytes()).unwrap_or_default();
            assert!(text.contains(part), "{part:?} in {text:?}");
        };
        shows(
            "#< CLIXML\r\n<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"><S \
               S=\"Error\">bad_x000D__x000A_</S></Objs>",
            "Error:\n  \"bad",
        );
        shows("<I32>5</I32>", "5");
        shows("<DataAck PSGuid='00000000-0000-0000-0000-000000000000' />", "DataAck");
        shows(
            "Authorization: Negotiate TlRMTVNTUAABAAAAl4II4gAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==",
            "NEGOTIATE",
        );
        let fragment = "AAAAAAAAAAEAAAAAAAAAAAEAAAAAKAE=";
        shows(fragment, "(part of a message, more follows)");
        assert!(decode(b"hello").is_none() && decode(b"").is_none() && decode(&[0xFF, 0]).is_none());
    }
}
