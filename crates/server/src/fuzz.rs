//! Decoders with their round trip, for the fuzz runner.

use crate::ipc::{Numbered, Reply, Request};

/// Requests of the network process, as the monitor decodes them.
pub fn fuzz_ipc_request(data: &[u8]) {
    if let Ok(request) = Numbered::<Request>::decode(data) {
        assert_eq!(request.encode(), data, "a request is encoded as it was decoded");
    }
}

/// Messages of the monitor, as the network process decodes them.
pub fn fuzz_ipc_reply(data: &[u8]) {
    if let Ok(reply) = Numbered::<Reply>::decode(data) {
        assert_eq!(reply.encode().expose(), data, "a reply is encoded as it was decoded");
    }
}
