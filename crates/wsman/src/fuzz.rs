//! Targets for fuzzing: decode, encode, decode again.
#![allow(clippy::panic)]

use crate::{Limits, Request, Response};

/// Requests of a client.
pub fn fuzz_request(data: &[u8]) {
    if let Ok(first) = Request::parse(data, &Limits::default()) {
        let again = Request::parse(&first.to_bytes(), &Limits::default());
        assert_eq!(again.as_ref(), Ok(&first), "a request changes when it is written and read");
    }
}

/// Answers of a server.
pub fn fuzz_response(data: &[u8]) {
    if let Ok(first) = Response::parse(data, &Limits::default()) {
        let again = Response::parse(&first.to_bytes(), &Limits::default());
        assert_eq!(again.as_ref(), Ok(&first), "an answer changes when it is written and read");
    }
}
