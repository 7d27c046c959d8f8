//! Recordings of PowerShell 7.6.5 at both ends of stdio: good sessions, and faults with a made-up peer at one end.
//!
//! `fault-c-*`: a made-up client does something wrong to PowerShell's server; `fault-s-*`: the other way round.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod bytes;
mod client;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;

use hop_psrp::fragment::Defragmenter;
use hop_psrp::stdio::Packet;
use hop_psrp::{Message, Target};

struct Line {
    client: bool,
    text: String,
}

fn recordings(wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<Line>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/transcripts");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !wanted(&name) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            Line { client: line["from"] == "client", text: line["line"].as_str().unwrap().to_owned() }
        });
        out.push((name, lines.collect()));
    }
    out
}

fn good(name: &str) -> bool {
    !name.starts_with("fault-")
}

/// The messages of one direction in order, up to the first that is none.
fn messages<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<Message> {
    let mut parts: BTreeMap<Target, Defragmenter> = BTreeMap::new();
    let mut out = Vec::new();
    for line in lines {
        for packet in Packet::decode(line).0 {
            if let Packet::Data { target, bytes, .. } = packet {
                out.extend(completed(&mut parts, target, &bytes).into_iter().flatten());
            }
        }
    }
    out
}

/// The messages that end with these bytes; None for what is no message.
fn completed(
    parts: &mut BTreeMap<Target, Defragmenter>,
    target: Target,
    bytes: &[u8],
) -> Vec<Option<Message>> {
    let part = parts.entry(target).or_default();
    part.push(bytes);
    std::iter::from_fn(|| part.next())
        .map(|message| message.ok().and_then(|bytes| Message::decode(&bytes).ok()))
        .collect()
}

/// Every recording is used: the good ones by all three modules, the faults by the end they are about.
#[test]
fn nothing_is_left_out() {
    let count = |wanted: fn(&str) -> bool| recordings(wanted).len();
    assert_eq!(count(good), 86);
    assert_eq!(count(|name| name.starts_with("fault-c-")), 84);
    assert_eq!(count(|name| name.starts_with("fault-s-")), 41);
}
