//! A small element tree with resolved namespaces, read under limits, and a writer.

use quick_xml::{
    XmlVersion,
    events::{BytesStart, Event},
    name::ResolveResult,
    reader::NsReader,
};

use crate::envelope::{Limits, ParseError};

/// An element with its attributes, its character data (joined) and its child elements.
#[derive(Debug, Default)]
pub(crate) struct Element {
    /// Namespace URI; empty if none.
    pub namespace: String,
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub text: String,
    pub children: Vec<Element>,
}

#[derive(Debug)]
pub(crate) struct Attribute {
    pub namespace: String,
    pub name: String,
    pub value: String,
}

impl Element {
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    pub fn children_named<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(namespace, name))
    }

    /// An attribute without namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_ns("", name)
    }

    pub fn attribute_ns(&self, namespace: &str, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.namespace == namespace && a.name == name).map(|a| a.value.as_str())
    }

    pub fn trimmed(&self) -> &str {
        self.text.trim()
    }
}

/// Reads a document. UTF-8 only (a BOM is skipped); document types, entities other than the predefined ones and
/// processing instructions are refused.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Element, ParseError> {
    if bytes.len() > limits.max_bytes {
        return Err(ParseError::TooLarge { limit: limits.max_bytes, got: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_end_names = true;
    let mut stack: Vec<Element> = Vec::new();
    let mut root = None;
    let mut nodes = 0_usize;
    loop {
        let event = reader.read_event().map_err(malformed)?;
        match event {
            Event::Start(start) => {
                if root.is_some() {
                    return Err(ParseError::Malformed("more than one root element".into()));
                }
                if stack.len() >= limits.max_depth {
                    return Err(ParseError::TooDeep { limit: limits.max_depth });
                }
                let element = element(&reader, &start, limits, &mut nodes)?;
                stack.push(element);
            }
            Event::End(_) => {
                let element =
                    stack.pop().ok_or_else(|| ParseError::Malformed("unexpected end tag".into()))?;
                match stack.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => root = Some(element),
                }
            }
            Event::Text(text) => append(&mut stack, &text.xml10_content())?,
            Event::CData(text) => append(&mut stack, &text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().map_err(malformed)? {
                    Some(c) => c,
                    None => match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return Err(ParseError::Entity),
                    },
                };
                append(&mut stack, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Comment(_) | Event::Decl(_) => {}
            Event::DocType(_) => return Err(ParseError::DocumentType),
            Event::PI(_) => return Err(ParseError::ProcessingInstruction),
            Event::Empty(_) => {}
            Event::Eof => break,
        }
    }
    if !stack.is_empty() {
        return Err(ParseError::Malformed("the document ends inside an element".into()));
    }
    root.ok_or_else(|| ParseError::Malformed("no root element".into()))
}

fn element(
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
    limits: &Limits,
    nodes: &mut usize,
) -> Result<Element, ParseError> {
    let count = |n: &mut usize| {
        *n += 1;
        if *n > limits.max_nodes { Err(ParseError::TooManyNodes { limit: limits.max_nodes }) } else { Ok(()) }
    };
    count(nodes)?;
    let (namespace, local) = reader.resolver().resolve_element(start.name());
    let mut element =
        Element { namespace: bound(namespace)?, name: local.as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| ParseError::Malformed(e.to_string()))?;
        count(nodes)?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
        element.attributes.push(Attribute {
            namespace: bound(namespace)?,
            name: local.as_ref().to_owned(),
            value: legal(&attribute.normalized_value(XmlVersion::Implicit1_0).map_err(malformed)?)?
                .to_owned(),
        });
    }
    Ok(element)
}

fn bound(result: ResolveResult<'_>) -> Result<String, ParseError> {
    match result {
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Bound(namespace) => Ok(namespace.as_ref().to_owned()),
        ResolveResult::Unknown(prefix) => Err(ParseError::UnknownPrefix(prefix)),
    }
}

fn append(stack: &mut [Element], text: &str) -> Result<(), ParseError> {
    let text = legal(text)?;
    match stack.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(ParseError::Malformed("text outside the root element".into())),
    }
    Ok(())
}

/// The text, unless it holds what XML 1.0 has no way to carry, not even as a character reference.
fn legal(text: &str) -> Result<&str, ParseError> {
    match text.chars().find(|c| is_illegal(*c)) {
        Some(c) => Err(ParseError::Malformed(format!("the character U+{:04X}", u32::from(c)))),
        None => Ok(text),
    }
}

fn is_illegal(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

fn malformed(error: quick_xml::Error) -> ParseError {
    ParseError::Malformed(error.to_string())
}

/// Writes elements into a string. Names and attribute names are the crate's own constants; values are escaped.
#[derive(Default)]
pub(crate) struct Writer {
    out: String,
}

impl Writer {
    pub fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.out.push('>');
    }

    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.start(name, attributes);
        self.out.push_str("/>");
    }

    pub fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element with text only.
    pub fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.open(name, attributes);
        self.text(text);
        self.close(name);
    }

    pub fn base64(&mut self, name: &str, attributes: &[(&str, &str)], data: &[u8]) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        self.open(name, attributes);
        BASE64_STANDARD.encode_string(data, &mut self.out);
        self.close(name);
    }

    pub fn text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    pub fn finish(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
    }
}

/// Escapes for text and attribute values alike. Line ends and tabs become character references, so that they
/// survive a reader's normalisation; characters that XML 1.0 cannot carry become U+FFFD.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if is_illegal(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}
