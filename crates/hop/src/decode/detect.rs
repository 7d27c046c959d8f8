//! What a capture is.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hop_clixml::describe::{Escaped, Tree};
use hop_clixml::parse;
use hop_psrp::describe::{self, Conversation, Sender};
use hop_psrp::stdio::ERROR_PREFIX;
use hop_psrp::{Limits, Target};

use super::{envelope, headers};

/// The capture as text; None if it is nothing known.
pub fn describe(data: &[u8]) -> Option<String> {
    if let Some(text) = hop_auth::describe::describe(data) {
        return Some(text);
    }
    if let Some(text) = text(data)
        && let Some(text) = of_text(&text)
    {
        return Some(text);
    }
    describe::looks_like_fragments(data).then(|| describe::fragments(data, Limits::default()))
}

/// UTF-8, or UTF-16 with a byte order mark as Windows PowerShell writes files.
fn text(data: &[u8]) -> Option<Cow<'_, str>> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match data {
        [0xff, 0xfe, rest @ ..] => Some(wide(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(wide(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        // Captures of HTTP may hold sealed bodies between envelopes.
        _ if data.starts_with(b"POST ") || data.starts_with(b"HTTP/") => Some(String::from_utf8_lossy(data)),
        _ => std::str::from_utf8(data).ok().map(Cow::Borrowed),
    }
}

fn of_text(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    json_lines(text)
        .or_else(|| envelope::describe(text))
        .or_else(|| stdio_log(text))
        .or_else(|| clixml(text))
        .or_else(|| headers::describe(text))
        .or_else(|| base64_lines(text))
}

/// JSON lines: of stdio lines with `from` and `line`, or of exchanges with `request` and `response`.
fn json_lines(text: &str) -> Option<String> {
    if !text.starts_with('{') {
        return None;
    }
    let mut tree = Tree::default();
    let mut conversation = Conversation::new(Limits::default());
    let mut reader = envelope::Reader::default();
    let mut known = false;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let member =
            |name: &str| parsed.as_ref().and_then(|line| line.get(name)).and_then(|text| text.as_str());
        let from = match member("from") {
            Some("client") => Some(Sender::Client),
            Some("server") => Some(Sender::Server),
            _ => None,
        };
        let (request, response) = (member("request"), member("response"));
        if let (Some(from), Some(line)) = (from, member("line")) {
            known = true;
            conversation.line(&mut tree, Some(from), line);
        } else if request.is_some() || response.is_some() {
            known = true;
            for (name, body) in [("line", request), ("status", response)] {
                if let Some(first) = member(name) {
                    tree.line(format_args!("{}", Escaped(first)));
                }
                if let Some(body) = body {
                    reader.text(&mut tree, body);
                }
            }
        } else {
            tree.line(format_args!("unreadable line {}: no JSON of a capture", number + 1));
        }
        if !known {
            return None;
        }
    }
    conversation.finish(&mut tree);
    reader.finish(&mut tree);
    Some(tree.finish())
}

/// A log of stdio packets. Lines between them, which a log's writer may add, are kept.
fn stdio_log(text: &str) -> Option<String> {
    const NAMES: [&str; 8] =
        ["Data", "DataAck", "Command", "CommandAck", "Signal", "SignalAck", "Close", "CloseAck"];
    let packet = |line: &str| {
        let at = line.find(['<']).filter(|_| line.contains("PSGuid"))?;
        let rest = line.get(at + 1..)?;
        let name = rest.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        NAMES.contains(&name).then_some(at)
    };
    if !text.lines().take(100).any(|line| packet(line).is_some()) {
        return None;
    }
    let mut tree = Tree::default();
    let mut conversation = Conversation::new(Limits::default());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let error = line.find(ERROR_PREFIX);
        match (packet(line), error) {
            (Some(at), _) | (None, Some(at)) => {
                let (before, packet) = line.split_at(at);
                let from = sender(before);
                if from.is_none() && !before.trim().is_empty() {
                    tree.line(format_args!("{}", Escaped(before.trim())));
                }
                let end = packet.rfind('>').filter(|_| error.is_none()).map_or(packet.len(), |end| end + 1);
                conversation.line(&mut tree, from, packet.get(..end).unwrap_or(packet));
            }
            (None, None) => tree.line(format_args!("(no packet) {}", hop_clixml::describe::quoted(line))),
        }
    }
    conversation.finish(&mut tree);
    Some(tree.finish())
}

/// Which end a log says a packet is from.
fn sender(before: &str) -> Option<Sender> {
    let before = before.to_ascii_lowercase();
    match (before.contains("client"), before.contains("server")) {
        (true, false) => Some(Sender::Client),
        (false, true) => Some(Sender::Server),
        _ => None,
    }
}

/// Documents, also several after one another and after `#< CLIXML`, or one bare value.
fn clixml(text: &str) -> Option<String> {
    const MARK: &str = "#< CLIXML";
    let mut tree = Tree::default();
    let mut marked = false;
    let mut rest = match text.find(MARK) {
        // What a remote command wrote beside its CLIXML.
        Some(at) if text.get(..at).is_some_and(|before| before.len() < 65_536) => {
            marked = true;
            let before = text.get(..at).unwrap_or_default().trim();
            if !before.is_empty() {
                tree.lines("text before the CLIXML", before);
            }
            text.get(at + MARK.len()..).unwrap_or_default().trim_start()
        }
        _ => text,
    };
    let limits = parse::Limits::default();
    let mut found = false;
    while let Some(start) = rest.find("<Objs") {
        let before = rest.get(..start).unwrap_or_default().trim();
        let prologue = before.is_empty() || (before.starts_with("<?xml") && before.ends_with("?>"));
        if !prologue && !found && !marked {
            break;
        }
        if !prologue && before != MARK {
            tree.lines("text between", before);
        }
        let document = rest.get(start..).unwrap_or_default();
        let end = start + document.find("</Objs>").map_or(document.len(), |end| end + "</Objs>".len());
        match parse::document_until_error(rest.get(start..end).unwrap_or_default(), &limits) {
            Ok((document, error)) => {
                hop_clixml::describe::document_to(&mut tree, &document);
                if let Some(error) = error {
                    tree.line(format_args!("unreadable from here: {}", Escaped(&error.to_string())));
                }
            }
            Err(error) => tree.line(format_args!("unreadable CLIXML: {}", Escaped(&error.to_string()))),
        }
        found = true;
        rest = rest.get(end..).unwrap_or_default();
    }
    if found {
        return Some(tree.finish());
    }
    if rest.starts_with('<')
        && let Ok(value) = parse::value(rest, &limits)
    {
        tree.value("value", &value);
        return Some(tree.finish());
    }
    if rest.starts_with("<Obj ") || rest.starts_with("<Obj>") || marked {
        match parse::value(rest, &limits) {
            Ok(value) => tree.value("value", &value),
            Err(error) => tree.line(format_args!("unreadable CLIXML: {}", Escaped(&error.to_string()))),
        }
        return Some(tree.finish());
    }
    None
}

/// Base64 of fragments, of a token or of text, in one line or several.
fn base64_lines(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches(['"', '\'', ','])).collect();
    // Either one text with line breaks in it, or a piece of its own on each line.
    let joined = base64(&words.concat()).or_else(|| {
        let parts: Option<Vec<Vec<u8>>> = words.iter().map(|word| base64(word)).collect();
        parts.map(|parts| parts.concat())
    });
    if let Some(bytes) = joined
        && let Some(text) = binary(&bytes)
    {
        return Some(text);
    }
    let [.., last] = words.as_slice() else { return None };
    binary(&base64(last)?)
}

fn binary(bytes: &[u8]) -> Option<String> {
    if let Some(text) = hop_auth::describe::describe(bytes) {
        return Some(text);
    }
    if describe::looks_like_fragments(bytes) {
        return Some(describe::fragments(bytes, Limits::default()));
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    text.starts_with(['<', '#']).then(|| clixml(text)).flatten()
}

/// Base64 with or without padding.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

/// Bytes that an envelope carries for a pipeline or the pool: fragments, or the text of a command shell.
pub fn carried(
    tree: &mut Tree,
    conversation: &mut Conversation,
    from: Option<Sender>,
    target: Target,
    bytes: &[u8],
) {
    if describe::looks_like_fragments(bytes) || conversation.expects(from, target) {
        conversation.fragments(tree, from, target, bytes);
    } else {
        tree.lines("text", &String::from_utf8_lossy(bytes));
    }
}
