//! `hop decode`.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;

/// Turn what you captured into readable text.
///
/// Takes CLIXML, base64 of PSRP fragments, a WS-Management envelope, a log of PSRP over stdio or ssh, a SPNEGO, GSS-API
/// or Kerberos token (base64, or the whole Authorization header), and says what it is with the specifications' names.
/// Secrets are masked.
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
    match token(&data) {
        Some(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("hop: not recognised: expected CLIXML, an envelope, fragments, a stdio log or a token");
            ExitCode::from(1)
        }
    }
}

/// A security token: raw, base64, or a whole header line.
fn token(data: &[u8]) -> Option<String> {
    if let Some(text) = hop_auth::describe::describe(data) {
        return Some(text);
    }
    let text = std::str::from_utf8(data).ok()?.trim();
    let mut word = text.split_whitespace().last()?;
    word = word.trim_matches(['"', '\'']);
    let raw = base64::prelude::BASE64_STANDARD.decode(word).ok()?;
    hop_auth::describe::describe(&raw)
}
