//! Server and client as separate processes, with tickets of a realm in memory.
//!
//! The server needs a program that starts itself again, so this test has a `main` of its own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod domain;
mod logins;
mod raw;
mod security;
mod server;
mod sessions;

use std::process::ExitCode;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    if let Some(code) = hop_server::run_helper_process() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, config] = arguments.as_slice()
        && command == "serve"
    {
        let config = hop_server::ServerConfig::load(config.as_ref()).unwrap();
        return hop_server::run(config).unwrap();
    }
    let filter = arguments.iter().find(|a| !a.starts_with('-'));
    let tests = sessions::TESTS.iter().chain(raw::TESTS).chain(logins::TESTS);
    let mut failed = 0;
    for (name, test) in tests {
        if filter.is_some_and(|f| !name.contains(f.as_str())) {
            continue;
        }
        let result = std::panic::catch_unwind(test);
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        failed += u32::from(result.is_err());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
