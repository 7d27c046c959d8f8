//! What recordings look like as text.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::path::Path;

use hop_psrp::clixml::describe::Tree;
use hop_psrp::describe::{self, Conversation, Sender};
use hop_psrp::fragment::Fragmenter;
use hop_psrp::{Limits, Message, MessageType, Uuid};

fn transcripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/transcripts"))
}

fn lines(name: &str) -> Vec<(Sender, String)> {
    let text = std::fs::read_to_string(transcripts().join(name)).unwrap();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let from = if line["from"] == "client" { Sender::Client } else { Sender::Server };
        (from, line["line"].as_str().unwrap().to_owned())
    };
    text.lines().map(line).collect()
}

fn described(name: &str, told: bool) -> String {
    let mut tree = Tree::default();
    let mut conversation = Conversation::new(Limits::default());
    for (from, line) in lines(name) {
        conversation.line(&mut tree, told.then_some(from), &line);
    }
    conversation.finish(&mut tree);
    tree.finish()
}

/// The part of the text from one line to the next that is not further in.
fn part(text: &str, beginning: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(beginning));
    let first = lines.next().unwrap_or_else(|| panic!("no {beginning} in {text}"));
    let depth = first.len() - first.trim_start().len();
    let rest = lines.take_while(|line| line.len() - line.trim_start().len() > depth);
    let all: Vec<&str> = std::iter::once(first).chain(rest).map(|line| &line[depth..]).collect();
    all.join("\n")
}

#[test]
fn good_recordings_are_read_whole() {
    let mut count = 0;
    for entry in std::fs::read_dir(transcripts()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("fault-") {
            continue;
        }
        for told in [true, false] {
            let text = described(&name, told);
            let bad = |line: &&str| {
                let line = line.trim_start();
                line.contains("unreadable")
                    || line.starts_with("not as the specification says")
                    || line.starts_with("message of unknown type")
            };
            assert_eq!(text.lines().find(bad), None, "{name}");
            // Where the process was killed a message may lack its end.
            let cut = text.lines().find(|line| line.trim_start().starts_with("incomplete"));
            assert!(cut.is_none() || name.contains("kill") || name.contains("exit"), "{name}: {cut:?}");
            assert!(text.contains("SESSION_CAPABILITY to the server"), "{name}");
        }
        count += 1;
    }
    assert!(count > 80, "{count}");
}
