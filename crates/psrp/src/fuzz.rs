//! Fuzz targets: each decodes what it is given and, where that works, encodes and decodes again.

use std::collections::BTreeSet;
use std::convert::Infallible;

use hop_clixml::Value;
use hop_clixml::describe::Tree;
use rand_core::{TryCryptoRng, TryRng};
use uuid::Uuid;

use crate::body::{
    CreatePipeline, HostInfo, HostMethod, InitRunspacePool, PipelineState, PipelineStateInfo,
    primitive_dictionary, version_table,
};
use crate::fragment::Defragmenter;
use crate::stdio::{ClientSession, ERROR_PREFIX, Packet, ServerSession};
use crate::{Limits, Message, Target, client, describe, server};

/// A message is written again to the same bytes.
pub fn fuzz_message(data: &[u8]) {
    if let Ok(message) = Message::decode(data) {
        let again = Message::decode(&message.encode());
        assert_eq!(again.ok(), Some(message), "a message is decoded as it was encoded");
    }
}

/// Fragments in pieces of any size end in messages or in an error.
pub fn fuzz_fragments(data: &[u8]) {
    let mut parts = Defragmenter::new(1 << 20);
    for piece in data.chunks(37) {
        parts.push(piece);
        while let Some(message) = parts.next() {
            if message.is_err() {
                return;
            }
        }
    }
}

/// A line of stdio packets is written again as packets that read the same.
pub fn fuzz_packets(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    for packet in Packet::decode(&line).0 {
        let (again, error) = Packet::decode(&packet.encode());
        assert!(error.is_none() && again == [packet], "a packet is decoded as it was encoded");
    }
}

/// The server's pool, fed by anybody.
pub fn fuzz_server(data: &[u8]) {
    let rng = &mut Sequence(5);
    let mut pool = server::RunspacePool::new(Limits::default(), version_table("7.6.5", "fuzz"));
    for piece in data.chunks(4096) {
        pool.handle_data(Target::Pool, piece, rng);
        while pool.poll_event().is_some() {}
        while pool.poll_output().is_some() {}
    }
    pool.handle_close(Target::Pool);
}

/// The client's pool, fed by anybody.
pub fn fuzz_client(data: &[u8]) {
    let mut pool = client_pool();
    pool.open();
    for piece in data.chunks(4096) {
        if pool.handle_data(Target::Pool, piece).is_err() {
            return;
        }
        while pool.poll_event().is_some() {}
        while pool.poll_output().is_some() {}
    }
}

/// A whole session at the server's end, with a client that writes anything: lines, pipelines, stops and closes. What
/// the server writes can be read.
pub fn fuzz_server_lines(data: &[u8]) {
    let rng = &mut Sequence(11);
    let pool = server::RunspacePool::new(Limits::default(), version_table("7.6.5", "fuzz"));
    let mut session = ServerSession::new(pool);
    for line in String::from_utf8_lossy(data).lines() {
        session.handle_line(line, rng);
        while let Some(event) = session.pool.poll_event() {
            match event {
                server::Event::Run { id, .. } | server::Event::CommandMetadata { id, .. } => {
                    session.pool.send_output(id, &Value::from("output"));
                    session.pool.call_host(id, HostMethod::ReadLine, Vec::new());
                }
                server::Event::Input { id, .. } | server::Event::InputEnd(id) | server::Event::Stop(id) => {
                    session.pool.finish(id, PipelineStateInfo { state: PipelineState::Stopped, error: None });
                }
                _ => {}
            }
        }
        while let Some(line) = session.poll_line() {
            let (packets, error) = Packet::decode(&line);
            assert!(error.is_some() == line.starts_with(ERROR_PREFIX) && packets.len() <= 1, "{line}");
        }
    }
    session.handle_end();
    assert!(session.has_ended(), "a session without a client goes on");
}

/// A whole session at the client's end, with a server that writes anything, to a pipeline too.
pub fn fuzz_client_lines(data: &[u8]) {
    let mut session = ClientSession::new(client_pool());
    session.pool.open();
    let text = String::from_utf8_lossy(data);
    // The pipelines that the server writes about.
    let ids = text.lines().flat_map(|line| Packet::decode(line).0).filter_map(|packet| match packet {
        Packet::CommandAck(Target::Pipeline(id)) => Some(id),
        _ => None,
    });
    for id in ids.take(20).collect::<BTreeSet<Uuid>>() {
        session.pool.create_pipeline(id, &CreatePipeline::script("x"));
        session.pool.send_input(id, &Value::from("input"));
    }
    for line in text.lines() {
        if session.handle_line(line).is_err() {
            return;
        }
        while session.pool.poll_event().is_some() {}
        while let Some(line) = session.poll_line() {
            let (packets, error) = Packet::decode(&line);
            assert!(error.is_none() && packets.len() == 1, "{line}");
        }
    }
}

fn client_pool() -> client::RunspacePool {
    let init = InitRunspacePool {
        min_runspaces: 1,
        max_runspaces: 1,
        thread_options: 0,
        apartment_state: 2,
        application_arguments: primitive_dictionary([]),
        host: HostInfo::none(),
    };
    client::RunspacePool::new(Uuid::from_u128(7), &init, Limits::default())
}

/// Fragments or stdio lines as text: anything may come, and all of it has to be said in bounded words.
pub fn fuzz_describe(data: &[u8]) {
    let _ = describe::looks_like_fragments(data);
    let _ = describe::fragments(data, Limits::default());
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut tree = Tree::new(1 << 20);
    let mut conversation = describe::Conversation::new(Limits::default());
    for line in text.lines() {
        conversation.line(&mut tree, None, line);
    }
    conversation.finish(&mut tree);
    conversation.fragments(&mut tree, None, Target::Pool, data);
}

/// The same numbers every time, so that the same input always takes the same way.
struct Sequence(u64);

impl TryRng for Sequence {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0 ^ (self.0 >> 29))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.try_next_u64()?.to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, new)| *byte = new);
        }
        Ok(())
    }
}

impl TryCryptoRng for Sequence {}
