//! `hop decode`.

mod detect;
mod envelope;
mod headers;

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// What to decode.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file; standard input without one
    file: Option<PathBuf>,
}

/// Nothing worth decoding by hand is larger.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Decodes and prints.
#[expect(clippy::print_stderr, reason = "the answer")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let mut data = Vec::new();
    let read = match &arguments.file {
        Some(path) => std::fs::File::open(path).and_then(|f| f.take(LIMIT + 1).read_to_end(&mut data)),
        None => std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut data),
    };
    if let Err(error) = read {
        let name = arguments.file.as_deref().map_or("standard input".into(), |p| p.display().to_string());
        eprintln!("hop: cannot read {name}: {error}");
        return ExitCode::from(2);
    }
    if data.len() as u64 > LIMIT {
        eprintln!("hop: more than {} MiB: cut the capture to what you want to read", LIMIT >> 20);
        return ExitCode::from(2);
    }
    match detect::describe(&data) {
        Some(text) => match std::io::stdout().lock().write_all(text.as_bytes()) {
            // A pager that was left wants no more, and that is no error.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                eprintln!("hop: cannot write: {error}");
                ExitCode::from(2)
            }
            _ => ExitCode::SUCCESS,
        },
        None => {
            eprintln!(
                "hop: not recognised: expected CLIXML, base64 of PSRP fragments, a WS-Management envelope \
                 (with or without HTTP headers), a log of PSRP over stdio, JSON lines with \"from\" and \
                 \"line\", or a security token (base64 or its header line)"
            );
            ExitCode::from(1)
        }
    }
}
