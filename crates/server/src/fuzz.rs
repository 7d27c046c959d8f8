//! Decoders with their round trip, for the fuzz runner.

use std::collections::BTreeSet;

use hop_psrp::Target;
use hop_psrp::stdio::Packet;
use hop_wsman::CommandId;
use uuid::Uuid;

use crate::ipc::{Numbered, Reply, Request};
use crate::network::bridge::{Bridge, Event};
use crate::tickets::{Notice, Order};

/// Requests of the network process, as the monitor decodes them.
pub fn fuzz_ipc_request(data: &[u8]) {
    if let Ok(request) = Numbered::<Request>::decode(data) {
        assert_eq!(request.encode().expose(), data, "a request is encoded as it was decoded");
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

/// The bridge, with a client and a session process that say anything: each packet of the lines is the client's
/// arguments and input first, then the process's. A target has never two packets under way.
pub fn fuzz_bridge(data: &[u8]) {
    let mut bridge = Bridge::default();
    bridge.open(data.to_vec());
    let mut under_way = BTreeSet::new();
    let mut drain = |bridge: &mut Bridge, acknowledged: Option<Target>| {
        acknowledged.map(|target| under_way.remove(&target));
        while let Some(event) = bridge.poll_event() {
            if let Event::Write(Packet::Data { target, .. }) = event {
                assert!(under_way.insert(target), "two packets under way to {target:?}");
            }
        }
    };
    drain(&mut bridge, None);
    let packets: Vec<Packet> =
        String::from_utf8_lossy(data).lines().flat_map(|line| Packet::decode(line).0).collect();
    for (number, packet) in packets.into_iter().enumerate() {
        let command = CommandId::from(Uuid::from_u128(number as u128 / 4));
        let mut acknowledged = None;
        match &packet {
            Packet::Data { stream, bytes, .. } => {
                let _ = bridge.start(None, command, bytes.clone());
                let _ = bridge.input(Some(command), stream, bytes.clone(), None);
                let _ = bridge.input(None, "stdin", bytes.clone(), None);
                drain(&mut bridge, None);
            }
            Packet::DataAck(target) | Packet::CloseAck(target) => acknowledged = Some(*target),
            Packet::SignalAck(_) => bridge.stop(command),
            Packet::Signal(_) => bridge.terminate(command),
            Packet::Close(_) => bridge.close(),
            _ => {}
        }
        bridge.packet(packet);
        drain(&mut bridge, acknowledged);
    }
}
