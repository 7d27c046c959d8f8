//! The parser: bounded, without DTDs, one pass over the text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::BufRead as _;

use hop_secret::SecretString;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::number::parse_double;
use crate::simple::{self, Simple};
use crate::text::unescape;
use crate::{
    Content, DateTime, Decimal, Document, ListKind, NAMESPACE, Object, ObjectId, ProgressRecord, Property,
    PropertyBag, Root, Text, TimeSpan, TypeNames, Uuid, Value, Version,
};

/// Bounds on what the parser takes from a peer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest text in bytes.
    pub max_bytes: usize,
    /// How deep `Obj` may stand in `Obj`. PowerShell reads 48 and writes 49.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_depth: 64 }
    }
}

/// Text that is no CLIXML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at line {line}, position {position}")]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Line, from 1.
    pub line: u32,
    /// Position in the line, from 1.
    pub position: u32,
}

impl ParseError {
    /// The text with which PowerShell reports the same fault.
    pub fn powershell_message(&self) -> String {
        let text = self.kind.powershell_message();
        match self.kind {
            ParseErrorKind::Dtd => text,
            _ => format!("{text} Line {}, position {}.", self.line, self.position),
        }
    }
}

/// What can be wrong with CLIXML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The text is longer than the limit.
    #[error("expected at most {limit} bytes, got {got}")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// The length in bytes.
        got: usize,
    },
    /// Objects are nested deeper than the limit.
    #[error("objects are nested too deeply")]
    TooDeep,
    /// A document type declaration.
    #[error("a document type declaration is not allowed")]
    Dtd,
    /// Not well-formed XML.
    #[error("not well-formed XML: {0}")]
    Xml(String),
    /// A start tag is closed by another name.
    #[error("start tag `{start}` of line {line}, position {position} is closed by `{end}`")]
    Mismatch {
        /// Name of the start tag.
        start: String,
        /// Name of the end tag.
        end: String,
        /// Line of the start tag.
        line: u32,
        /// Position of the start tag's name.
        position: u32,
    },
    /// The text ends inside elements.
    #[error("the text ends inside `{0}`")]
    Unclosed(String),
    /// No element at all.
    #[error("expected an element, got nothing")]
    Empty,
    /// An element that CLIXML does not have, or not there.
    #[error("unknown element `{0}`")]
    UnknownElement(String),
    /// The document's root is not `Objs` of CLIXML's namespace.
    #[error("expected the root `Objs`")]
    Root,
    /// The document's version is not 1.x.
    #[error("expected version 1, got `{0}`")]
    Version(String),
    /// An element's text does not fit its type.
    #[error("the content of `{element}` is not valid")]
    Content {
        /// Name of the element.
        element: &'static str,
        /// The .NET type that it stands for.
        type_name: &'static str,
    },
    /// A child element inside a primitive.
    #[error("a primitive contains an element")]
    ChildInPrimitive,
    /// Text where only elements may stand.
    #[error("text between elements")]
    StrayText,
    /// A `Ref` to an object that does not stand before it.
    #[error("no object has the id `{0}`")]
    UnknownRef(String),
    /// A `TNRef` to type names that do not stand before it.
    #[error("no type names have the id `{0}`")]
    UnknownTypeNames(String),
    /// `Ref` or `TNRef` without RefId.
    #[error("attribute RefId is missing")]
    MissingRefId,
    /// A member or dictionary part without its name.
    #[error("attribute N is missing")]
    MissingName,
    /// A dictionary entry's first part is not named Key.
    #[error("the key of a dictionary entry is not named Key")]
    KeyName,
    /// A dictionary entry's second part is not named Value.
    #[error("the value of a dictionary entry is not named Value")]
    ValueName,
    /// A dictionary entry without key.
    #[error("a dictionary entry has no key")]
    MissingKey,
    /// A dictionary entry without value.
    #[error("a dictionary entry has no value")]
    MissingValue,
    /// A dictionary key that is null.
    #[error("a dictionary key is null")]
    NullKey,
}

impl ParseErrorKind {
    fn powershell_message(&self) -> String {
        match self {
            Self::TooLong { .. } => "The data is too large.".to_owned(),
            Self::TooDeep => "Serialized XML is nested too deeply.".to_owned(),
            Self::Dtd => "For security reasons DTD is prohibited in this XML document. To enable DTD processing set \
                          the DtdProcessing property on XmlReaderSettings to Parse and pass the settings into \
                          XmlReader.Create method."
                .to_owned(),
            Self::Xml(text) => text.clone(),
            Self::Mismatch { start, end, line, position } => format!(
                "The '{start}' start tag on line {line} position {position} does not match the end tag of '{end}'."
            ),
            Self::Unclosed(names) => {
                format!("Unexpected end of file has occurred. The following elements are not closed: {names}.")
            }
            Self::Empty => "Root element is missing.".to_owned(),
            Self::UnknownElement(name) => format!("{name} XML tag is not recognized."),
            Self::Root => format!("Element 'Objs' with namespace name '{NAMESPACE}' was not found."),
            Self::Version(version) => match version.split_once('.') {
                Some((major, _)) if major.bytes().all(|b| b.is_ascii_digit()) => {
                    format!("Version of incoming PSObject is {major}. Expected value is 1.")
                }
                _ => "Version of PSObject is not valid.".to_owned(),
            },
            Self::Content { type_name, .. } => {
                format!("The contents of the {type_name} primitive type are not valid.")
            }
            Self::ChildInPrimitive => {
                "ReadElementContentAs() methods cannot be called on an element that has child elements.".to_owned()
            }
            Self::StrayText => "'Text' is an invalid XmlNodeType.".to_owned(),
            Self::UnknownRef(id) => format!("No object found for referenceId {id}"),
            Self::UnknownTypeNames(id) => {
                format!("Cannot process names because no TypeNames were found for referenceId {id}.")
            }
            Self::MissingRefId => "RefId attribute was expected.".to_owned(),
            Self::MissingName => "N attribute was expected.".to_owned(),
            Self::KeyName => "Name attribute for dictionary key is incorrectly specified.".to_owned(),
            Self::ValueName => "Name attribute for dictionary value is incorrectly specified.".to_owned(),
            Self::MissingKey => "Key for dictionary entry is not specified.".to_owned(),
            Self::MissingValue => "Value for dictionary entry is not specified.".to_owned(),
            Self::NullKey => "Null is specified as dictionary key.".to_owned(),
        }
    }
}

type Result<T> = std::result::Result<T, ParseError>;

/// Parses one value, as a remoting message holds it. A byte order mark before it is skipped.
pub fn value(text: &str, limits: &Limits) -> Result<Value> {
    let mut parser = Parser::new(text, limits)?;
    let Some((start, empty)) = parser.child()? else { return Err(parser.fail(ParseErrorKind::Empty)) };
    let value = parser.value(&start, empty)?;
    match parser.child()? {
        None => Ok(value),
        Some((start, _)) => {
            Err(parser.fail(ParseErrorKind::UnknownElement(start.name().as_ref().to_owned())))
        }
    }
}

/// Parses a document with the root `Objs`.
pub fn document(text: &str, limits: &Limits) -> Result<Document> {
    let (document, error) = document_until_error(text, limits)?;
    error.map_or(Ok(document), Err)
}

/// Parses a document; a fault after its root does not lose the values that stand before the fault.
///
/// # Errors
/// Only if there is no document at all.
pub fn document_until_error(text: &str, limits: &Limits) -> Result<(Document, Option<ParseError>)> {
    let mut parser = Parser::new(text, limits)?;
    let Some((start, empty)) = parser.child()? else { return Err(parser.fail(ParseErrorKind::Empty)) };
    let mut document = Document { version: None, roots: Vec::new() };
    let mut namespace = false;
    for attribute in start.attributes().with_checks(false).flatten() {
        match attribute.key.as_ref() {
            "Version" => document.version = Some(parser.attribute(&attribute.value)?),
            "xmlns" => namespace = attribute.value == NAMESPACE,
            _ => {}
        }
    }
    if start.name().as_ref() != "Objs" || !namespace {
        return Err(parser.fail(ParseErrorKind::Root));
    }
    if let Some(version) = &document.version {
        let major = version.split_once('.').map(|(major, _)| major);
        if major.and_then(|major| major.trim().parse::<u32>().ok()) != Some(1) {
            return Err(parser.fail(ParseErrorKind::Version(version.to_string())));
        }
    }
    if empty {
        return Ok((document, None));
    }
    let mut roots = || -> Result<()> {
        while let Some((start, empty)) = parser.child()? {
            let mut stream = None;
            for attribute in start.attributes().with_checks(false).flatten() {
                if attribute.key.as_ref() == "S" {
                    stream = Some(parser.attribute(&attribute.value)?);
                }
            }
            let value = parser.value(&start, empty)?;
            document.roots.push(Root { stream, value });
        }
        match parser.child()? {
            None => Ok(()),
            Some(_) => Err(parser.fail(ParseErrorKind::Xml("There are multiple root elements.".to_owned()))),
        }
    };
    let error = roots().err();
    Ok((document, error))
}

struct Parser<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// Offsets of the start tags that are open.
    open: Vec<usize>,
    objects: usize,
    max_depth: usize,
    /// Ids below this were all seen.
    next_id: u32,
    other_ids: HashSet<u32>,
    /// Ids that are not numbers.
    odd_ids: HashMap<String, u32>,
    names: Vec<TypeNames>,
    odd_names: HashMap<String, TypeNames>,
    properties_hint: usize,
}

/// Text of an element, borrowed where nothing had to be put together.
type Raw<'a> = Cow<'a, str>;

/// What of an element's text is still to be read.
#[derive(Clone, Copy)]
enum Body<'a> {
    /// Nothing: the tag was an empty one.
    Empty,
    /// All up to the end tag.
    Open,
    /// Nothing: this is it.
    Read(&'a str),
}

impl<'a> From<&Simple<'a>> for Body<'a> {
    fn from(simple: &Simple<'a>) -> Self {
        simple.text.map_or(Self::Empty, Self::Read)
    }
}

impl From<bool> for Body<'_> {
    fn from(empty: bool) -> Self {
        if empty { Self::Empty } else { Self::Open }
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: &Limits) -> Result<Self> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        if text.len() > limits.max_bytes {
            let kind = ParseErrorKind::TooLong { limit: limits.max_bytes, got: text.len() };
            return Err(ParseError { kind, line: 1, position: 1 });
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = false;
        Ok(Self {
            text,
            reader,
            open: Vec::new(),
            objects: 0,
            max_depth: limits.max_depth,
            next_id: 0,
            other_ids: HashSet::new(),
            odd_ids: HashMap::new(),
            names: Vec::new(),
            odd_names: HashMap::new(),
            properties_hint: 0,
        })
    }

    fn fail(&self, kind: ParseErrorKind) -> ParseError {
        self.fail_at(kind, self.offset())
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len())
    }

    fn place(&self, offset: usize) -> (u32, u32) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let position = before.get(start..).unwrap_or("").encode_utf16().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(position).unwrap_or(u32::MAX))
    }

    fn fail_at(&self, kind: ParseErrorKind, offset: usize) -> ParseError {
        let (line, position) = self.place(offset);
        ParseError { kind, line, position }
    }

    fn xml_error(&self, error: &XmlError) -> ParseError {
        match error {
            XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
                let start = self.open.last().copied().unwrap_or(0);
                let (line, position) = self.place(start + 1);
                let kind =
                    ParseErrorKind::Mismatch { start: expected.clone(), end: found.clone(), line, position };
                let error = usize::try_from(self.reader.error_position()).unwrap_or(0);
                self.fail_at(kind, (error + 2).min(self.text.len()))
            }
            XmlError::IllFormed(IllFormedError::MissingEndTag(_)) | XmlError::Syntax(_)
                if !self.open.is_empty() =>
            {
                self.unclosed()
            }
            other => self.fail(ParseErrorKind::Xml(other.to_string())),
        }
    }

    fn unclosed(&self) -> ParseError {
        let names: Vec<&str> = self.open.iter().rev().map(|&at| self.name_at(at)).collect();
        self.fail_at(ParseErrorKind::Unclosed(names.join(", ")), self.text.len())
    }

    fn name_at(&self, offset: usize) -> &str {
        let rest = self.text.get(offset + 1..).unwrap_or("");
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    fn event(&mut self) -> Result<Event<'a>> {
        let before = self.reader.buffer_position();
        match self.reader.read_event() {
            Ok(event) => {
                match &event {
                    Event::Start(_) => self.open.push(usize::try_from(before).unwrap_or(0)),
                    Event::End(_) => {
                        self.open.pop();
                    }
                    Event::Eof if !self.open.is_empty() => return Err(self.unclosed()),
                    _ => {}
                }
                Ok(event)
            }
            Err(error) => Err(self.xml_error(&error)),
        }
    }

    /// The next child element with whether it is empty; None at the end of the parent or of the text.
    fn child(&mut self) -> Result<Option<(BytesStart<'a>, bool)>> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Some((start, false))),
                Event::Empty(start) => return Ok(Some((start, true))),
                Event::End(_) | Event::Eof => return Ok(None),
                Event::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::DocType(_) => return Err(self.fail(ParseErrorKind::Dtd)),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(self.fail(ParseErrorKind::StrayText));
                }
            }
        }
    }

    /// The next child if it is an element as CLIXML mostly consists of, and one that is wanted.
    fn simple(&mut self, wanted: impl Fn(&Simple<'a>) -> bool) -> Option<Simple<'a>> {
        let text: &'a str = self.text;
        let simple = simple::element(text.get(self.offset()..)?).filter(wanted)?;
        self.reader.stream().consume(simple.length);
        Some(simple)
    }

    /// The text up to the end of the current element.
    fn raw(&mut self, body: impl Into<Body<'a>>) -> Result<Raw<'a>> {
        match body.into() {
            Body::Empty => return Ok(Cow::Borrowed("")),
            Body::Read(text) => return Ok(Cow::Borrowed(text)),
            Body::Open => {}
        }
        let first = match self.event()? {
            Event::End(_) => return Ok(Cow::Borrowed("")),
            Event::Text(text) => normalize(text.into_inner()),
            event => {
                let mut out = String::new();
                self.add(&mut out, event)?;
                Cow::Owned(out)
            }
        };
        let mut event = self.event()?;
        if matches!(event, Event::End(_)) {
            return Ok(first);
        }
        let mut out = first.into_owned();
        loop {
            self.add(&mut out, event)?;
            event = self.event()?;
            if matches!(event, Event::End(_)) {
                return Ok(Cow::Owned(out));
            }
        }
    }

    fn add(&self, out: &mut String, event: Event<'a>) -> Result<()> {
        match event {
            Event::Text(text) => out.push_str(&normalize(text.into_inner())),
            Event::CData(text) => out.push_str(&normalize(text.into_inner())),
            Event::GeneralRef(reference) => match resolve(&reference.into_inner(), out) {
                Some(()) => {}
                None => return Err(self.fail(ParseErrorKind::Xml("unknown entity".to_owned()))),
            },
            Event::Comment(_) | Event::PI(_) => {}
            Event::DocType(_) => return Err(self.fail(ParseErrorKind::Dtd)),
            Event::Start(_) | Event::Empty(_) => return Err(self.fail(ParseErrorKind::ChildInPrimitive)),
            Event::Decl(_) | Event::End(_) | Event::Eof => {
                return Err(self.fail(ParseErrorKind::Xml("unexpected markup".to_owned())));
            }
        }
        Ok(())
    }

    fn text(&mut self, body: impl Into<Body<'a>>) -> Result<Text> {
        Ok(match self.raw(body)? {
            Cow::Borrowed(text) => unescape(text),
            Cow::Owned(text) => unescape(&text),
        })
    }

    /// An attribute's value.
    fn attribute(&self, value: &str) -> Result<Text> {
        if memchr::memchr(b'&', value.as_bytes()).is_none() {
            return Ok(unescape(value));
        }
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('&') {
            out.push_str(before);
            let parts = after.split_once(';');
            let Some((Some(()), after)) = parts.map(|(name, after)| (resolve(name, &mut out), after)) else {
                return Err(self.fail(ParseErrorKind::Xml("unknown entity".to_owned())));
            };
            rest = after;
        }
        out.push_str(rest);
        Ok(unescape(&out))
    }

    /// The attribute `N` (also in lower case).
    fn name(&self, start: &BytesStart<'a>) -> Result<Option<Text>> {
        for attribute in start.attributes().with_checks(false).flatten() {
            if matches!(attribute.key.as_ref(), "N" | "n") {
                return self.attribute(&attribute.value).map(Some);
            }
        }
        Ok(None)
    }

    fn ref_id(&self, start: &BytesStart<'a>) -> Option<Cow<'a, str>> {
        for attribute in start.attributes().with_checks(false).flatten() {
            if attribute.key.as_ref() == "RefId" {
                return Some(Cow::Owned(attribute.value.into_owned()));
            }
        }
        None
    }

    fn numeric_ref_id(&self, start: &BytesStart<'a>) -> std::result::Result<u32, Option<String>> {
        for attribute in start.attributes().with_checks(false).flatten() {
            if attribute.key.as_ref() == "RefId" {
                let text = attribute.value.as_ref();
                let canonical = text == "0" || !text.starts_with(['0', '+']);
                return match text.parse() {
                    Ok(number) if canonical && number < ODD_IDS => Ok(number),
                    _ => Err(Some(text.to_owned())),
                };
            }
        }
        Err(None)
    }

    /// Takes note of an object's id.
    fn define(&mut self, start: &BytesStart<'a>) -> Option<ObjectId> {
        match self.numeric_ref_id(start) {
            Ok(number) => {
                if number == self.next_id {
                    self.next_id += 1;
                } else if number > self.next_id {
                    self.other_ids.insert(number);
                }
                Some(ObjectId(number))
            }
            Err(Some(text)) => {
                let fresh = ODD_IDS.saturating_add(u32::try_from(self.odd_ids.len()).unwrap_or(u32::MAX));
                Some(ObjectId(*self.odd_ids.entry(text).or_insert(fresh)))
            }
            Err(None) => None,
        }
    }

    fn reference(&mut self, start: &BytesStart<'a>) -> Result<ObjectId> {
        match self.numeric_ref_id(start) {
            Ok(number) if number < self.next_id || self.other_ids.contains(&number) => Ok(ObjectId(number)),
            Ok(number) => Err(self.fail(ParseErrorKind::UnknownRef(number.to_string()))),
            Err(Some(text)) => match self.odd_ids.get(&text) {
                Some(&number) => Ok(ObjectId(number)),
                None => Err(self.fail(ParseErrorKind::UnknownRef(text))),
            },
            Err(None) => Err(self.fail(ParseErrorKind::MissingRefId)),
        }
    }

    /// Reads to the end of an element that must hold nothing of interest.
    fn skip(&mut self, empty: impl Into<Body<'a>>) -> Result<()> {
        self.raw(empty).map(drop)
    }

    fn invalid(&self, element: &'static str, type_name: &'static str) -> ParseError {
        self.fail(ParseErrorKind::Content { element, type_name })
    }

    fn number<T: std::str::FromStr>(
        &mut self,
        body: impl Into<Body<'a>>,
        element: &'static str,
        type_name: &'static str,
    ) -> Result<T> {
        let raw = self.raw(body)?;
        // The common case first: trimming costs more than parsing.
        raw.parse().or_else(|_| raw.trim().parse()).map_err(|_| self.invalid(element, type_name))
    }

    fn value(&mut self, start: &BytesStart<'a>, empty: bool) -> Result<Value> {
        match start.name().as_ref() {
            "Obj" => Ok(Value::Object(Box::new(self.object(start, empty)?))),
            "Ref" => {
                let id = self.reference(start)?;
                self.skip(empty)?;
                Ok(Value::Ref(id))
            }
            name => self.primitive(name, empty.into()),
        }
    }

    fn primitive(&mut self, name: &str, body: Body<'a>) -> Result<Value> {
        Ok(match name {
            "S" => Value::String(self.text(body)?),
            "I32" => Value::Int32(self.number(body, "I32", "System.Int32")?),
            "Nil" => {
                self.skip(body)?;
                Value::Null
            }
            "B" => {
                let raw = self.raw(body)?;
                match raw.trim() {
                    "true" | "1" => Value::Bool(true),
                    "false" | "0" => Value::Bool(false),
                    _ => return Err(self.invalid("B", "System.Boolean")),
                }
            }
            "I64" => Value::Int64(self.number(body, "I64", "System.Int64")?),
            "C" => Value::Char(self.number(body, "C", "System.Char")?),
            "By" => Value::Byte(self.number(body, "By", "System.Byte")?),
            "SB" => Value::SByte(self.number(body, "SB", "System.SByte")?),
            "I16" => Value::Int16(self.number(body, "I16", "System.Int16")?),
            "U16" => Value::UInt16(self.number(body, "U16", "System.UInt16")?),
            "U32" => Value::UInt32(self.number(body, "U32", "System.UInt32")?),
            "U64" => Value::UInt64(self.number(body, "U64", "System.UInt64")?),
            "Sg" => {
                let raw = self.raw(body)?;
                let special = raw.parse::<f32>().ok().filter(|v| v.is_finite());
                match special.or_else(|| parse_double(&raw).map(|v| v as f32)) {
                    Some(value) => Value::Single(value),
                    None => return Err(self.invalid("Sg", "System.Single")),
                }
            }
            "Db" => {
                let raw = self.raw(body)?;
                match parse_double(&raw) {
                    Some(value) => Value::Double(value),
                    None => return Err(self.invalid("Db", "System.Double")),
                }
            }
            "D" => {
                let raw = self.raw(body)?;
                match Decimal::from_str_exact(raw.trim()) {
                    Ok(value) => Value::Decimal(Box::new(value)),
                    Err(_) => return Err(self.invalid("D", "System.Decimal")),
                }
            }
            "DT" => {
                let raw = self.raw(body)?;
                Value::DateTime(DateTime::parse(&raw).ok_or_else(|| self.invalid("DT", "System.DateTime"))?)
            }
            "TS" => {
                let raw = self.raw(body)?;
                Value::TimeSpan(TimeSpan::parse(&raw).ok_or_else(|| self.invalid("TS", "System.TimeSpan"))?)
            }
            "G" => {
                let raw = self.raw(body)?;
                Value::Guid(Uuid::try_parse(raw.trim()).map_err(|_| self.invalid("G", "System.Guid"))?)
            }
            "URI" => Value::Uri(self.text(body)?),
            "Version" => {
                let raw = self.raw(body)?;
                Value::Version(Version::parse(&raw).ok_or_else(|| self.invalid("Version", "System.Version"))?)
            }
            "BA" => {
                let raw = self.raw(body)?;
                Value::Bytes(decode_base64(&raw).ok_or_else(|| self.invalid("BA", "System.Byte[]"))?.into())
            }
            "XD" => Value::Xml(self.text(body)?),
            "SBK" => Value::ScriptBlock(self.text(body)?),
            "SS" => {
                let raw = self.raw(body)?;
                Value::SecureString(SecretString::new(raw.into_owned()))
            }
            "PR" => Value::Progress(Box::new(self.progress(matches!(body, Body::Empty))?)),
            other => return Err(self.fail(ParseErrorKind::UnknownElement(other.to_owned()))),
        })
    }

    fn object(&mut self, start: &BytesStart<'a>, empty: bool) -> Result<Object> {
        let mut object = Object { id: self.define(start), ..Object::default() };
        if empty {
            return Ok(object);
        }
        if self.objects >= self.max_depth {
            return Err(self.fail(ParseErrorKind::TooDeep));
        }
        self.objects += 1;
        loop {
            if let Some(simple) = self.simple(|simple| simple.name == "ToString") {
                object.to_string = Some(self.text(&simple)?);
                continue;
            }
            let Some((child, empty)) = self.child()? else { break };
            match child.name().as_ref() {
                "TN" => object.type_names = self.type_names(&child, empty)?,
                "TNRef" => {
                    object.type_names = self.type_names_reference(&child)?;
                    self.skip(empty)?;
                }
                "ToString" => object.to_string = Some(self.text(empty)?),
                "Props" => object.adapted = Some(self.bag(empty)?),
                "MS" => object.extended = Some(self.bag(empty)?),
                "LST" => object.content = Content::List(ListKind::List, self.list(empty)?),
                "IE" => object.content = Content::List(ListKind::Enumerable, self.list(empty)?),
                "STK" => object.content = Content::List(ListKind::Stack, self.list(empty)?),
                "QUE" => object.content = Content::List(ListKind::Queue, self.list(empty)?),
                "DCT" => object.content = Content::Dictionary(self.dictionary(empty)?),
                _ => object.content = Content::Primitive(self.value(&child, empty)?),
            }
        }
        self.objects -= 1;
        Ok(object)
    }

    fn type_names(&mut self, start: &BytesStart<'a>, empty: bool) -> Result<TypeNames> {
        let mut names: Vec<Text> = Vec::with_capacity(4);
        if !empty {
            loop {
                if let Some(simple) = self.simple(|simple| simple.name == "T") {
                    names.push(self.text(&simple)?);
                    continue;
                }
                let Some((child, empty)) = self.child()? else { break };
                match child.name().as_ref() {
                    "T" => names.push(self.text(empty)?),
                    other => return Err(self.fail(ParseErrorKind::UnknownElement(other.to_owned()))),
                }
            }
        }
        let names = TypeNames::new(names);
        match self.numeric_ref_id(start) {
            Ok(id) if usize::try_from(id) == Ok(self.names.len()) => self.names.push(names.clone()),
            Ok(id) => {
                self.odd_names.insert(id.to_string(), names.clone());
            }
            Err(Some(id)) => {
                self.odd_names.insert(id, names.clone());
            }
            Err(None) => {}
        }
        Ok(names)
    }

    fn type_names_reference(&mut self, start: &BytesStart<'a>) -> Result<TypeNames> {
        if let Ok(id) = self.numeric_ref_id(start)
            && self.odd_names.is_empty()
            && let Some(names) = usize::try_from(id).ok().and_then(|id| self.names.get(id))
        {
            return Ok(names.clone());
        }
        let Some(id) = self.ref_id(start) else { return Err(self.fail(ParseErrorKind::MissingRefId)) };
        let sequential = id.parse::<usize>().ok().and_then(|id| self.names.get(id));
        match self.odd_names.get(id.as_ref()).or(sequential) {
            Some(names) => Ok(names.clone()),
            None => Err(self.fail(ParseErrorKind::UnknownTypeNames(id.into_owned()))),
        }
    }

    fn bag(&mut self, empty: bool) -> Result<PropertyBag> {
        if empty {
            return Ok(PropertyBag::default());
        }
        // Objects of one message tend to be alike.
        let mut members = Vec::with_capacity(self.properties_hint.clamp(1, 32));
        loop {
            if let Some(simple) = self.simple(|simple| simple.n.is_some() && is_simple_primitive(simple)) {
                let name = self.attribute(simple.n.unwrap_or_default())?;
                members.push(Property { name, value: self.primitive(simple.name, (&simple).into())? });
                continue;
            }
            let Some((child, empty)) = self.child()? else { break };
            let Some(name) = self.name(&child)? else { return Err(self.fail(ParseErrorKind::MissingName)) };
            let value = if child.name().as_ref() == "MS" {
                if self.objects >= self.max_depth {
                    return Err(self.fail(ParseErrorKind::TooDeep));
                }
                self.objects += 1;
                let bag = self.bag(empty)?;
                self.objects -= 1;
                Value::MemberSet(Box::new(bag))
            } else {
                self.value(&child, empty)?
            };
            members.push(Property { name, value });
        }
        self.properties_hint = members.len();
        Ok(PropertyBag(members))
    }

    fn list(&mut self, empty: bool) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        if !empty {
            loop {
                if let Some(simple) = self.simple(is_simple_primitive) {
                    items.push(self.primitive(simple.name, (&simple).into())?);
                    continue;
                }
                let Some((child, empty)) = self.child()? else { break };
                items.push(self.value(&child, empty)?);
            }
        }
        Ok(items)
    }

    fn dictionary(&mut self, empty: bool) -> Result<Vec<(Value, Value)>> {
        let mut entries = Vec::new();
        if empty {
            return Ok(entries);
        }
        while let Some((entry, empty)) = self.child()? {
            let name = entry.name();
            if name.as_ref() != "En" {
                return Err(self.fail(ParseErrorKind::UnknownElement(name.as_ref().to_owned())));
            }
            let key = self.part(empty, "Key", ParseErrorKind::MissingKey, ParseErrorKind::KeyName)?;
            if key.is_null() {
                return Err(self.fail(ParseErrorKind::NullKey));
            }
            let value = self.part(false, "Value", ParseErrorKind::MissingValue, ParseErrorKind::ValueName)?;
            if let Some((extra, _)) = self.child()? {
                return Err(self.fail(ParseErrorKind::UnknownElement(extra.name().as_ref().to_owned())));
            }
            entries.push((key, value));
        }
        Ok(entries)
    }

    /// Key or value of a dictionary entry.
    fn part(
        &mut self,
        none: bool,
        expected: &str,
        missing: ParseErrorKind,
        wrong: ParseErrorKind,
    ) -> Result<Value> {
        let Some((child, empty)) = (if none { None } else { self.child()? }) else {
            return Err(self.fail(missing));
        };
        match self.name(&child)? {
            None => return Err(self.fail(ParseErrorKind::MissingName)),
            Some(name) if name != expected => return Err(self.fail(wrong)),
            Some(_) => {}
        }
        self.value(&child, empty)
    }

    fn progress(&mut self, empty: bool) -> Result<ProgressRecord> {
        let mut record = ProgressRecord {
            parent_activity_id: -1,
            percent_complete: -1,
            seconds_remaining: -1,
            record_type: "Processing".into(),
            ..ProgressRecord::default()
        };
        if empty {
            return Ok(record);
        }
        const TYPE: &str = "System.Management.Automation.ProgressRecord";
        while let Some((child, empty)) = self.child()? {
            match child.name().as_ref() {
                "AV" => record.activity = self.text(empty)?,
                "AI" => record.activity_id = self.number(empty, "AI", TYPE)?,
                "S" => record.current_operation = Some(self.text(empty)?),
                "Nil" => self.skip(empty)?,
                "PI" => record.parent_activity_id = self.number(empty, "PI", TYPE)?,
                "PC" => record.percent_complete = self.number(empty, "PC", TYPE)?,
                "T" => record.record_type = self.text(empty)?,
                "SR" => record.seconds_remaining = self.number(empty, "SR", TYPE)?,
                "SD" => record.status = self.text(empty)?,
                other => return Err(self.fail(ParseErrorKind::UnknownElement(other.to_owned()))),
            }
        }
        Ok(record)
    }
}

/// Primitives that have text only.
fn is_simple_primitive(simple: &Simple<'_>) -> bool {
    matches!(
        simple.name,
        "S" | "I32"
            | "Nil"
            | "B"
            | "I64"
            | "C"
            | "By"
            | "SB"
            | "I16"
            | "U16"
            | "U32"
            | "U64"
            | "Sg"
            | "Db"
            | "D"
            | "DT"
            | "TS"
            | "G"
            | "URI"
            | "Version"
            | "BA"
            | "XD"
            | "SBK"
    )
}

/// Ids from here on stand for RefIds that are not plain numbers.
const ODD_IDS: u32 = 1 << 31;

/// Line ends as XML reads them.
fn normalize(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// Adds what `&name;` stands for. A code unit that is no character comes out as a CLIXML escape.
fn resolve(name: &str, out: &mut String) -> Option<()> {
    let c = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            match char::from_u32(code) {
                Some(c) => c,
                None => {
                    let unit = u16::try_from(code).ok()?;
                    out.push_str(&format!("_x{unit:04X}_"));
                    return Some(());
                }
            }
        }
    };
    out.push(c);
    Some(())
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    if text.bytes().any(|b| b.is_ascii_whitespace()) {
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        return engine.decode(compact).ok();
    }
    engine.decode(text).ok()
}
