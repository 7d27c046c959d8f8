//! Decoders with their round trip, for the fuzz runner.

use crate::ipc::{Numbered, Reply, Request};
use crate::tickets::{Notice, Order};

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

/// Orders of the monitor, as the ticket process decodes them.
pub fn fuzz_ticket_order(data: &[u8]) {
    if let Ok(order) = Order::decode(data) {
        assert_eq!(order.encode().expose(), data, "an order is encoded as it was decoded");
    }
}

/// Notices of the ticket process, as the monitor decodes them.
pub fn fuzz_ticket_notice(data: &[u8]) {
    if let Ok(notice) = Notice::decode(data) {
        assert_eq!(notice.encode().expose(), data, "a notice is encoded as it was decoded");
    }
}
