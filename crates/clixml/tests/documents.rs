//! Documents that PowerShell 7.6.5 wrote are read and written again to the same bytes.

use hop_clixml::{Limits, parse, write};

#[test]
fn documents_are_written_again_to_the_same_bytes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/documents");
    let mut count = 0;
    let mut different = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        count += 1;
        match parse::document(&text, &Limits::default()) {
            Ok(document) => {
                let layout = match text.contains('\n') {
                    true => write::Layout::Indented,
                    false => write::Layout::Compact,
                };
                let written = write::document(&document, layout);
                if written != text {
                    let at = written.bytes().zip(text.bytes()).position(|(a, b)| a != b).unwrap_or(0);
                    different.push(format!(
                        "{}: at {at}: {:?}",
                        path.display(),
                        text.get(at..).map(|t| t.chars().take(60).collect::<String>())
                    ));
                }
            }
            Err(error) => different.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(count > 100, "{count} documents");
    assert!(different.is_empty(), "{}", different.join("\n"));
}
