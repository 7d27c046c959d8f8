//! The fuzz target: parsing never fails, never hangs, and on the stack that scripts run on never overflows.

/// Any text is parsed into a tree and errors; nesting too deep for it is an error like others.
pub fn fuzz_script(data: &[u8]) {
    let source = crate::Source::new(None, String::from_utf8_lossy(data));
    let _ = crate::parse(&source);
}
