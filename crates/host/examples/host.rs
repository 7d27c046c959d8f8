//! The embedded engine on standard input and output: PSRP packets, as `pwsh -s` speaks them.

fn main() -> std::process::ExitCode {
    match hop_host::serve_stdio(hop_host::Sender::default(), None) {
        Ok(code) => code.into(),
        Err(_) => std::process::ExitCode::FAILURE,
    }
}
