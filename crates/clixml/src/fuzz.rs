//! Entry points for fuzzing: what is read must be written so that it reads the same.

use crate::{Limits, parse, write};

/// A bare value.
pub fn fuzz_value(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(value) = parse::value(text, &Limits::default()) else { return };
    let written = write::value(&value);
    let again = parse::value(&written, &Limits::default()).map(|again| write::value(&again));
    assert_eq!(again.as_deref(), Ok(written.as_str()));
}

/// A document.
pub fn fuzz_document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(document) = parse::document(text, &Limits::default()) else { return };
    for layout in [write::Layout::Compact, write::Layout::Indented] {
        let written = write::document(&document, layout);
        let again =
            parse::document(&written, &Limits::default()).map(|again| write::document(&again, layout));
        assert_eq!(again.as_deref(), Ok(written.as_str()));
    }
}
