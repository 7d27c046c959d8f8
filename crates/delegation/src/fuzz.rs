//! Fuzz targets as functions.

use crate::{Reason, Refusal, SessionReport};

/// The session report: decode, encode, decode again.
pub fn fuzz_session_report(data: &[u8]) {
    if let Ok(report) = SessionReport::from_json(data) {
        assert_eq!(SessionReport::from_json(report.to_json().as_bytes()).ok(), Some(report.clone()));
        let _ = report.explanation(&[]);
        let _ = report.summary();
    }
}

/// The codes of reasons.
pub fn fuzz_reason(data: &[u8]) {
    if let Some(reason) = std::str::from_utf8(data).ok().and_then(|text| text.parse::<Reason>().ok()) {
        assert_eq!(reason.to_string().parse(), Ok(reason));
    }
}

/// A file of refusals: every line that was kept is written and read again.
pub fn fuzz_refusals(data: &[u8]) {
    for refusal in Refusal::parse_lines(data) {
        let again = Refusal::parse_lines(refusal.to_line().as_bytes());
        assert_eq!(again.first(), Some(&refusal));
        let _ = refusal.remedies();
    }
}
