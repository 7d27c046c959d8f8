//! Parses the files named on the command line and prints their first errors.
#![allow(clippy::print_stdout)]

fn main() {
    for path in std::env::args().skip(1) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let source = hop_powershell_syntax::Source::new(Some(path.clone()), String::from_utf8_lossy(&bytes));
        let (_, errors) = hop_powershell_syntax::parse(&source);
        if let Some(e) = errors.first() {
            let line = source.line_number(e.span.start);
            println!("{path}:{line}:{}: {} {}", source.column(e.span.start), e.id, e.message);
        }
    }
}
