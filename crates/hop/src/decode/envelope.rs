//! WS-Management envelopes, as they were sent.
//!
//! A capture is shown as far as it is well-formed, whatever is in it, not only what our own ends understand.

use hop_clixml::describe::{Escaped, HIDDEN, Tree, may_be_secret, quoted};
use hop_psrp::describe::{Conversation, Sender};
use hop_psrp::{Target, Uuid};
use hop_wsman::FaultCode;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{detect, headers};

/// Deepest nesting of elements.
const MAX_DEPTH: usize = 64;

/// Most lines of HTTP headers shown before one envelope.
const MAX_HEAD: usize = 200;

/// Envelopes with what stands before each; None if there is none.
pub fn describe(text: &str) -> Option<String> {
    find(text)?;
    let mut tree = Tree::default();
    let mut reader = Reader::default();
    reader.text(&mut tree, text);
    reader.finish(&mut tree);
    Some(tree.finish())
}

/// Reads envelopes of one connection; PSRP messages may go on from one to the next.
#[derive(Default)]
pub struct Reader {
    conversation: Conversation,
}

/// The next envelope: where its tag begins, and the name of that tag.
fn find(text: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find("Envelope")?;
        from = at + "Envelope".len();
        // No prefix is longer.
        let window = text.as_bytes().get(at.saturating_sub(64)..at)?;
        let Some(start) = window.iter().rposition(|byte| *byte == b'<') else { continue };
        let start = at - window.len() + start;
        let prefix = text.get(start + 1..at)?;
        let named = prefix.strip_suffix(':').map_or(prefix.is_empty(), |prefix| {
            !prefix.is_empty() && prefix.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
        });
        let ends = text.get(from..)?.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
        if named && ends {
            return Some((start, text.get(start + 1..from)?));
        }
    }
}

impl Reader {
    /// All envelopes in a text.
    pub fn text(&mut self, tree: &mut Tree, text: &str) {
        let mut rest = text;
        while let Some((start, name)) = find(rest) {
            head(tree, rest.get(..start).unwrap_or_default());
            let close = format!("</{name}>");
            let found = rest.get(start..).unwrap_or_default();
            let end = start + found.find(&close).map_or(found.len(), |end| end + close.len());
            self.envelope(tree, rest.get(start..end).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
        }
        head(tree, rest);
    }

    /// Says what is left over.
    pub fn finish(&mut self, tree: &mut Tree) {
        self.conversation.finish(tree);
    }

    fn envelope(&mut self, tree: &mut Tree, text: &str) {
        let (root, error) = parse(text);
        let empty = Element::default();
        let header = root.child("Header").unwrap_or(&empty);
        let body = root.child("Body").unwrap_or(&empty);
        let action = header.child("Action").map(|action| action.text.trim()).unwrap_or_default();
        let content = body.children.first().map(|content| content.name.as_str()).unwrap_or_default();
        let answers = action.ends_with("Response") || action.ends_with("/fault");
        let answers = answers || content.ends_with("Response") || content == "Fault";
        let answers = answers || header.child("RelatesTo").is_some();
        let from = if answers { Sender::Server } else { Sender::Client };
        let operation = match (content, action.rsplit('/').next().unwrap_or_default()) {
            ("Fault", _) => "Fault",
            ("", "") => "without action",
            (content, "") => content,
            (_, last) => last,
        };
        let who = if from == Sender::Server { "server" } else { "client" };
        tree.line(format_args!("WS-Management envelope of the {who}: {}", Escaped(operation)));
        tree.inside(|tree| {
            for element in &header.children {
                self.element(tree, element, from, None);
            }
            for element in &body.children {
                if element.name == "Fault" {
                    fault(tree, element);
                } else {
                    self.element(tree, element, from, None);
                }
            }
            if let Some(error) = error {
                tree.line(format_args!("unreadable from here: {}", Escaped(&error)));
            }
        });
    }

    fn element(&mut self, tree: &mut Tree, element: &Element, from: Sender, command: Option<Uuid>) {
        let own = element.attribute("CommandId").and_then(|id| Uuid::try_parse(id.trim()).ok());
        let command = own.or(command);
        let mut name = Escaped(&element.name).to_string();
        for (attribute, value) in &element.attributes {
            // Of the header only what says more than that it was sent.
            if attribute != "mustUnderstand" {
                let value = if may_be_secret(attribute) { HIDDEN.to_owned() } else { quoted(value) };
                name.push_str(&format!(" {}={value}", Escaped(attribute)));
            }
        }
        let text = element.text.trim();
        let packed =
            ["creationXml", "connectXml", "connectResponseXml", "EarlyOutput", "Stream", "Arguments"];
        if packed.contains(&element.name.as_str())
            && !text.is_empty()
            && let Some(bytes) = base64_text(text)
            && (element.name != "Arguments" || hop_psrp::describe::looks_like_fragments(&bytes))
        {
            let target = command.map_or(Target::Pool, Target::Pipeline);
            tree.line(format_args!("{name}: {} bytes", bytes.len()));
            tree.inside(|tree| detect::carried(tree, &mut self.conversation, Some(from), target, &bytes));
            return;
        }
        if may_be_secret(&element.name) || element.attribute("Name").is_some_and(may_be_secret) {
            tree.line(format_args!("{name}: {HIDDEN}"));
        } else if let [only] = element.children.as_slice()
            && text.is_empty()
            && only.name == "Address"
        {
            tree.line(format_args!("{name}: {}", quoted(only.text.trim())));
            return;
        } else if text.is_empty() {
            tree.line(format_args!("{name}"));
        } else {
            tree.line(format_args!("{name}: {}", quoted(text)));
        }
        tree.inside(|tree| {
            for child in &element.children {
                // A command's id stands beside the arguments that belong to its pipeline.
                self.element(tree, child, from, command);
            }
        });
    }
}

/// A fault, with the number's name where it is known.
fn fault(tree: &mut Tree, fault: &Element) {
    tree.line(format_args!("Fault"));
    tree.inside(|tree| {
        if let Some(code) = fault.child("Code") {
            let value = |element: &Element| {
                element.child("Value").map(|v| v.text.trim().to_owned()).unwrap_or_default()
            };
            tree.line(format_args!("Code: {}", Escaped(&value(code))));
            if let Some(subcode) = code.child("Subcode") {
                tree.line(format_args!("Subcode: {}", Escaped(&value(subcode))));
            }
        }
        if let Some(text) = fault.child("Reason").and_then(|reason| reason.child("Text")) {
            tree.text("Reason", text.text.trim());
        }
        for detail in fault.child("Detail").iter().flat_map(|detail| &detail.children) {
            match detail.name.as_str() {
                "WSManFault" => {
                    if let Some(code) = detail.attribute("Code") {
                        // Some servers write the code as a signed number.
                        let number = code.trim().parse::<i64>().unwrap_or_default() as u32;
                        let known =
                            FaultCode(number).name().map(|name| format!(", {name}")).unwrap_or_default();
                        tree.line(format_args!("WSManFault: {} (0x{number:08X}){known}", Escaped(code)));
                    }
                    if let Some(machine) = detail.attribute("Machine") {
                        tree.text("Machine", machine);
                    }
                    if let Some(message) = detail.child("Message") {
                        let mut text = String::new();
                        message.all_text(&mut text);
                        tree.text("Message", text.trim());
                    }
                }
                name => {
                    let mut text = String::new();
                    detail.all_text(&mut text);
                    tree.text(&Escaped(name).to_string(), text.trim());
                }
            }
        }
    });
}

/// HTTP lines before an envelope or between two.
fn head(tree: &mut Tree, text: &str) {
    let mut sealed = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_HEAD) {
        if line.starts_with("<?xml") {
            continue;
        }
        sealed |= line.contains("multipart/encrypted") || line.contains("multipart/x-multi-encrypted");
        if line.contains('\u{fffd}') {
            tree.line(format_args!("({} characters that are no text)", line.chars().count()));
        } else {
            headers::line(tree, line);
        }
    }
    if sealed {
        tree.line(format_args!("(the body is sealed: it cannot be read without the session's keys)"));
    }
}

fn base64_text(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    detect::base64(&dense)
}

/// An element without its namespaces, which differ in nothing that matters to a reader.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all_text(&self, out: &mut String) {
        let text = self.text.trim();
        if !text.is_empty() && !out.is_empty() {
            out.push(' ');
        }
        out.push_str(text);
        self.children.iter().for_each(|child| child.all_text(out));
    }
}

/// The tree as far as the text can be read, and why it cannot be read on.
fn parse(text: &str) -> (Element, Option<String>) {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut stack = vec![Element::default()];
    let error = loop {
        match reader.read_event() {
            Err(error) => break Some(error.to_string()),
            Ok(Event::Eof) => {
                break (stack.len() > 1).then(|| "the envelope ends inside an element".to_owned());
            }
            Ok(Event::Start(_)) if stack.len() > MAX_DEPTH => {
                break Some("elements are nested too deep".to_owned());
            }
            Ok(Event::Start(start)) => stack.push(element(&start)),
            Ok(Event::End(_)) => close(&mut stack),
            Ok(Event::Text(text)) => append(&mut stack, &text),
            Ok(Event::CData(text)) => append(&mut stack, &text),
            Ok(Event::GeneralRef(reference)) => match (reference.resolve_char_ref(), &*reference) {
                (Ok(Some(c)), _) => append(&mut stack, c.encode_utf8(&mut [0; 4])),
                (_, "lt") => append(&mut stack, "<"),
                (_, "gt") => append(&mut stack, ">"),
                (_, "amp") => append(&mut stack, "&"),
                (_, "quot") => append(&mut stack, "\""),
                (_, "apos") => append(&mut stack, "'"),
                _ => break Some("an entity that is not predefined".to_owned()),
            },
            Ok(Event::DocType(_)) => break Some("a document type declaration".to_owned()),
            Ok(_) => {}
        }
    };
    while stack.len() > 1 {
        close(&mut stack);
    }
    let root = stack.pop().and_then(|root| root.children.into_iter().next()).unwrap_or_default();
    (root, error)
}

fn element(start: &BytesStart<'_>) -> Element {
    let attributes = start.attributes().flatten().filter(|a| a.key.as_namespace_binding().is_none());
    Element {
        name: start.local_name().as_ref().to_owned(),
        attributes: attributes
            .map(|attribute| {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                let value = value.map_or_else(|_| attribute.value.to_string(), |value| value.into_owned());
                (attribute.key.local_name().as_ref().to_owned(), value)
            })
            .collect(),
        ..Element::default()
    }
}

fn close(stack: &mut Vec<Element>) {
    if stack.len() > 1
        && let Some(element) = stack.pop()
        && let Some(parent) = stack.last_mut()
    {
        parent.children.push(element);
    }
}

fn append(stack: &mut [Element], text: &str) {
    if let Some(element) = stack.last_mut() {
        element.text.push_str(text);
    }
}
