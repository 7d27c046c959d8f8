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

#[test]
fn messages_are_shown_by_what_they_say() {
    let arguments = described("invoke-argumentlist.jsonl", true);
    assert_eq!(
        part(&arguments, "SESSION_CAPABILITY to the client"),
        "SESSION_CAPABILITY to the client\n  protocolversion: Version 2.4\n  PSVersion: Version 2.0\n  \
         SerializationVersion: Version 1.1.0.1"
    );
    let at = arguments.find("& { param").unwrap();
    let before = arguments[..at].rfind("CREATE_PIPELINE").unwrap();
    let lines: Vec<&str> = arguments[before..].lines().take(12).map(str::trim_start).collect();
    assert_eq!(
        lines.join("\n"),
        "CREATE_PIPELINE to the server\npool (RPID): 344aaaa5-bd04-40e5-962f-8f29fe020e53\n\
         pipeline (PID): 6065bbe7-91d9-4a78-acb2-b842e7ff15af\nruns:\n\
         & { param($a, $b, [switch]$c, $d) \"$a|$b|$c|$($d.k)\"; $args.Count } 1 two $true @{k = v} rest\n\
         NoInput: True\nAddToHistory: True\nIsNested: False\nRedirectShellErrorOutputPipe: True\n\
         ApartmentState: Unknown (2)\nRemoteStreamOptions: 0\nHostInfo: the pool's host"
    );
    let stopped = described("stop-during-output.jsonl", true);
    let at = stopped.find("PipelineState: Stopped").unwrap();
    let lines: Vec<&str> = stopped[at..].lines().take(6).map(str::trim_start).collect();
    assert_eq!(
        lines.join("\n"),
        "PipelineState: Stopped (3)\nExceptionAsErrorRecord:\nmessage: \"The pipeline has been stopped.\"\n\
         FullyQualifiedErrorId: PipelineStopped\n\
         category: OperationStopped: (:) [], PipelineStoppedException (14)\n\
         exception: System.Management.Automation.PipelineStoppedException"
    );
    let written = described("stream-error-write.jsonl", true);
    for line in [
        "ERROR_RECORD to the client",
        "recommended action: \"do this\"",
        "FullyQualifiedErrorId: My.Id",
        "category: InvalidData: (tn:tt) [act], why (6)",
    ] {
        assert!(written.lines().any(|l| l.trim_start() == line), "{line} in {written}");
    }
    let called = described("host-choice-multiple.jsonl", true);
    let call = part(&called, "PIPELINE_HOST_CALL");
    assert!(
        call.contains(
            "\n  method: PromptForChoiceMultipleSelection (56)\n  call: 1\n  parameter 0: \"cap\"\n"
        ),
        "{call}"
    );
    let opened = part(&called, "INIT_RUNSPACEPOOL");
    assert!(
        opened.contains(
            "\n  HostInfo: a host with a screen, window 120 x 40, buffer 120 x 300, \
             title \"scripted title\"\n"
        ),
        "{opened}"
    );
}

#[test]
fn packets_tell_who_speaks_if_the_log_does_not() {
    let name = "pool-parallel.jsonl";
    let speakers = |text: String| -> Vec<String> {
        let data = text.lines().filter(|line| line.contains("Data for"));
        data.map(str::to_owned).collect()
    };
    assert_eq!(speakers(described(name, false)), speakers(described(name, true)));
}

#[test]
fn secrets_are_not_shown() {
    let mut found = 0;
    for entry in std::fs::read_dir(transcripts()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let raw: String = lines(&name)
            .iter()
            .flat_map(|(_, line)| hop_psrp::stdio::Packet::decode(line).0)
            .filter_map(|packet| match packet {
                hop_psrp::stdio::Packet::Data { bytes, .. } => {
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                }
                _ => None,
            })
            .collect();
        let shown = described(&name, true);
        // What was typed at a masked prompt.
        if name.contains("host-readline-secure") {
            assert!(shown.contains("result: what was typed (hidden)"), "{shown}");
            assert!(!shown.contains("[\"masked\"]: \"made-up-5\""), "{shown}");
        }
        let starts = raw.match_indices("<SS").chain(raw.match_indices("<S N=\"EncryptedSessionKey\""));
        for (start, _) in starts {
            let Some((_, text)) = raw[start..].split_once('>') else { continue };
            let secret = text.split('<').next().unwrap();
            if secret.len() > 3 {
                found += 1;
                assert!(!shown.contains(&secret[..secret.len().min(100)]), "{name}");
            }
        }
    }
    assert!(found > 10, "{found}");
}

fn message(pipeline: Uuid, length: usize) -> Vec<u8> {
    let data = format!("<S>{}</S>", "x".repeat(length));
    let message_type = MessageType::PIPELINE_OUTPUT;
    Message { destination: 1, message_type, pool: Uuid::from_u128(1), pipeline, data }.encode()
}

#[test]
fn what_is_missing_is_said() {
    let parts = Fragmenter::new(121).fragment(&message(Uuid::from_u128(2), 200));
    assert_eq!(parts.len(), 3);
    let show = |bytes: &[u8]| describe::fragments(bytes, Limits::default());
    let whole = show(&parts.concat());
    assert!(whole.starts_with("PIPELINE_OUTPUT to the client\n") && whole.ends_with("x\"\n"), "{whole}");
    assert_eq!(
        show(&parts[..2].concat()),
        "incomplete: object 1 for the pool (PIPELINE_OUTPUT): 200 bytes without the end\n"
    );
    assert_eq!(
        show(&parts[1..].concat()),
        "incomplete: the end of object 1, 150 bytes; the fragments before 1 are missing\n"
    );
    assert_eq!(
        show(&parts[0][..100]),
        "incomplete: for the pool: fragment 0 of object 1 (PIPELINE_OUTPUT): 79 of its 100 bytes\n"
    );
    let text = show(&[parts[0].clone(), parts[2].clone()].concat());
    assert!(text.starts_with("unreadable: fragment 2 of object 1, expected 1"), "{text}");
    assert!(describe::looks_like_fragments(&parts[0]) && describe::looks_like_fragments(&parts[2]));
    assert!(!describe::looks_like_fragments(b"hello, this is not one of them at all"));
}

#[test]
fn text_from_peers_cannot_drive_a_terminal() {
    let mut tree = Tree::default();
    let mut conversation = Conversation::new(Limits::default());
    conversation.line(&mut tree, None, "__NamedPipeError__:\u{1b}[2Jgone");
    conversation.line(&mut tree, Some(Sender::Server), "\u{1b}]0;title");
    let text = tree.finish();
    assert_eq!(text, "error: \\u{1b}[2Jgone\nserver: unreadable line: \\u{1b}]0;title\n");
}
