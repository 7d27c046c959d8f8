//! Sealed HTTP bodies ([MS-WSMV] 2.2.9.1): `multipart/encrypted` with one encrypted part; with CredSSP
//! `multipart/x-multi-encrypted` with one for every 16384 bytes.

use crate::{ContextError, Mechanism, SecurityContext, http::Scheme};

/// The `protocol` of a sealed body ([MS-WSMV] 2.2.9.1.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyClass {
    /// `application/HTTP-SPNEGO-session-encrypted`, which goes with the scheme Negotiate.
    #[default]
    Spnego,
    /// `application/HTTP-Kerberos-session-encrypted`, which goes with the scheme Kerberos.
    Kerberos,
    /// `application/HTTP-CredSSP-session-encrypted`, which goes with the scheme CredSSP.
    CredSsp,
}

impl BodyClass {
    const ALL: [BodyClass; 3] = [BodyClass::Spnego, BodyClass::Kerberos, BodyClass::CredSsp];

    /// The media type.
    pub fn as_str(self) -> &'static str {
        match self {
            BodyClass::Spnego => "application/HTTP-SPNEGO-session-encrypted",
            BodyClass::Kerberos => "application/HTTP-Kerberos-session-encrypted",
            BodyClass::CredSsp => "application/HTTP-CredSSP-session-encrypted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str().eq_ignore_ascii_case(text))
    }

    pub(crate) fn of_scheme(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Negotiate => BodyClass::Spnego,
            Scheme::Kerberos => BodyClass::Kerberos,
            Scheme::CredSsp => BodyClass::CredSsp,
        }
    }

    /// The value of the `Content-Type` header of a sealed body in one part.
    pub fn content_type(self) -> String {
        self.content_type_as(MULTIPART)
    }

    fn content_type_as(self, media: &str) -> String {
        format!("{media};protocol=\"{}\";boundary=\"{BOUNDARY}\"", self.as_str())
    }
}

/// What is wrong with a body that should be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedBodyError {
    /// Not sealed at all: plaintext after authentication.
    #[error("the body is not sealed: expected multipart/encrypted, got {got}")]
    Plaintext {
        /// The content type that came, shortened.
        got: String,
    },
    /// A body that breaks the framing.
    #[error("malformed sealed body: {0}")]
    Framing(&'static str),
    /// The announced length is not the length of what was sealed.
    #[error("sealed body announces {announced} bytes and holds {got}")]
    Length {
        /// The `Length` of the framing.
        announced: usize,
        /// The bytes that came out.
        got: usize,
    },
    /// More than the limit.
    #[error("body of {got} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Forged, altered, repeated or out of order: the security context refused it.
    #[error("sealed body: {0}")]
    Context(#[from] ContextError),
}

/// A sealed body on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The value of the `Content-Type` header.
    pub content_type: String,
    /// The HTTP body.
    pub body: Vec<u8>,
}

/// What a sealed body held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsealed {
    /// The media type of the content, such as `application/soap+xml;charset=UTF-8`.
    pub content_type: String,
    /// The content.
    pub body: Vec<u8>,
}

/// Seals and unseals the bodies of one authenticated connection.
///
/// Bodies must be sealed in the order in which they are sent and unsealed in the order in which they arrive: the
/// context counts them.
#[derive(Debug)]
pub struct Sealer {
    context: Box<dyn SecurityContext>,
    class: BodyClass,
    limit: usize,
}

/// The largest content unless a caller sets another limit, in bytes.
const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

/// What framing and signature may add to the content, in bytes.
const OVERHEAD: usize = 4096;

impl Sealer {
    /// A sealer on an established context.
    pub fn new(context: Box<dyn SecurityContext>, class: BodyClass) -> Self {
        Self { context, class, limit: DEFAULT_LIMIT }
    }

    /// Limits the content of bodies that are unsealed, in bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// What authenticated the two ends, where that is one mechanism alone.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.context.mechanism()
    }

    /// The class that [`seal`](Self::seal) uses: the peer's last one, once it has sent a body.
    pub fn class(&self) -> BodyClass {
        self.class
    }

    /// Seals a body. `content_type` is the media type of the content.
    pub fn seal(&mut self, content_type: &str, body: &[u8]) -> Result<Sealed, SealedBodyError> {
        if content_type.contains(['\r', '\n']) {
            return Err(SealedBodyError::Framing("line break in the content type"));
        }
        let chunks: Vec<&[u8]> = match self.class {
            BodyClass::CredSsp if !body.is_empty() => body.chunks(CHUNK).collect(),
            _ => vec![body],
        };
        let mut sealed = Vec::with_capacity(body.len() + 512 * chunks.len());
        for chunk in &chunks {
            let wrapped = self.context.wrap(chunk)?;
            let frame = Frame {
                class: self.class,
                content_type: content_type.to_owned(),
                length: chunk.len() + wrapped.padding,
                header: &wrapped.header,
                ciphertext: &wrapped.body,
            };
            frame.encode(&mut sealed);
        }
        close(&mut sealed);
        let content_type = self.class.content_type_as(if chunks.len() > 1 { MULTI } else { MULTIPART });
        Ok(Sealed { content_type, body: sealed })
    }

    /// Unseals a body. `content_type` is the value of its `Content-Type` header, or empty without one.
    ///
    /// Anything that is not sealed is refused: once a connection is authenticated, plaintext may come from anyone.
    pub fn unseal(&mut self, content_type: &str, body: &[u8]) -> Result<Unsealed, SealedBodyError> {
        let (class, boundary) = parse_content_type(content_type)?;
        if (class == BodyClass::CredSsp) != (self.class == BodyClass::CredSsp) {
            return Err(SealedBodyError::Framing("the protocol is not the one that authenticated"));
        }
        let parts = self.limit / CHUNK + 1;
        let largest = self.limit.saturating_add(OVERHEAD).saturating_add(parts.saturating_mul(512));
        if body.len() > largest {
            return Err(SealedBodyError::TooLarge { got: body.len(), limit: largest });
        }
        let frames = Frame::decode(class, &boundary, body)?;
        let length = frames.iter().fold(0usize, |sum, frame| sum.saturating_add(frame.length));
        if length > self.limit {
            return Err(SealedBodyError::TooLarge { got: length, limit: self.limit });
        }
        let mut content = Vec::new();
        let mut content_type = String::new();
        for frame in frames {
            let chunk = self.context.unwrap(frame.header, frame.ciphertext)?;
            // The announced length has what the mechanism added.
            if chunk.len() != frame.length && chunk.len() + self.context.padding() != frame.length {
                return Err(SealedBodyError::Length { announced: frame.length, got: chunk.len() });
            }
            if content.is_empty() {
                (content, content_type) = (chunk, frame.content_type);
            } else {
                content.extend(chunk);
            }
        }
        self.class = class;
        Ok(Unsealed { content_type, body: content })
    }
}

/// How much of a body goes into one part with CredSSP: a TLS record.
const CHUNK: usize = 16384;

const MULTIPART: &str = "multipart/encrypted";
const MULTI: &str = "multipart/x-multi-encrypted";
const BOUNDARY: &str = "Encrypted Boundary";

/// Reads `multipart/encrypted;protocol="…";boundary="…"`, the parameters in any order and quoting.
pub(crate) fn parse_content_type(value: &str) -> Result<(BodyClass, String), SealedBodyError> {
    let mut parameters = value.split(';').map(str::trim);
    let media = parameters.next().unwrap_or_default();
    let multi = media.eq_ignore_ascii_case(MULTI);
    if !multi && !media.eq_ignore_ascii_case(MULTIPART) {
        let got = if media.is_empty() {
            "no content type".to_owned()
        } else {
            media.chars().filter(|c| !c.is_control()).take(80).collect()
        };
        return Err(SealedBodyError::Plaintext { got });
    }
    let (mut protocol, mut boundary) = (None, None);
    for (name, value) in parameters.filter_map(|p| p.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "protocol" => protocol = Some(value),
            "boundary" => boundary = Some(value),
            _ => {}
        }
    }
    let class = protocol
        .and_then(BodyClass::parse)
        .ok_or(SealedBodyError::Framing("the protocol is missing or not supported"))?;
    if multi && class != BodyClass::CredSsp {
        return Err(SealedBodyError::Framing("only CredSSP has bodies of many parts"));
    }
    let boundary = boundary.ok_or(SealedBodyError::Framing("the boundary is missing"))?;
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(SealedBodyError::Framing("the boundary is empty or longer than 70 bytes"));
    }
    Ok((class, boundary.to_owned()))
}

/// The pieces of a sealed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) class: BodyClass,
    pub(crate) content_type: String,
    /// The announced length of the content, padding included.
    pub(crate) length: usize,
    pub(crate) header: &'a [u8],
    pub(crate) ciphertext: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let lines = format!(
            "--{BOUNDARY}\r\n\
             \tContent-Type: {}\r\n\
             \tOriginalContent: type={};Length={}\r\n\
             --{BOUNDARY}\r\n\
             \tContent-Type: application/octet-stream\r\n",
            self.class.as_str(),
            self.content_type,
            self.length,
        );
        out.extend(lines.into_bytes());
        out.extend((self.header.len() as u32).to_le_bytes());
        out.extend(self.header);
        out.extend(self.ciphertext);
    }

    /// Reads part pairs: one, or with CredSSP one after another. Tolerates a blank after the dashes of a boundary
    /// (Exchange writes one), any white space before header lines, empty lines between them and a missing line break
    /// at the end.
    pub(crate) fn decode(
        class: BodyClass,
        boundary: &str,
        body: &'a [u8],
    ) -> Result<Vec<Self>, SealedBodyError> {
        let mut lines = Lines { rest: body };
        let mut frames = Vec::new();
        loop {
            lines.delimiter(boundary)?;
            let (content_type, length) = lines.part_headers(class, boundary)?;
            let (payload, rest) = match class {
                // The ciphertext is made of TLS records, which have their own lengths.
                BodyClass::CredSsp => split_records(lines.rest)?,
                // It may hold anything, so the closing delimiter is looked for at the very end only.
                _ => split_closing_delimiter(lines.rest, boundary)
                    .ok_or(SealedBodyError::Framing("the closing boundary is missing"))?,
            };
            let truncated = SealedBodyError::Framing("truncated inside the signature");
            let Some((size, payload)) = payload.split_first_chunk::<4>() else { return Err(truncated) };
            let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
            let Some((header, ciphertext)) = payload.split_at_checked(size) else { return Err(truncated) };
            frames.push(Self { class, content_type, length, header, ciphertext });
            if is_closing_delimiter(rest, boundary) {
                return Ok(frames);
            }
            lines.rest = rest;
        }
    }
}

/// Ends a body.
pub(crate) fn close(out: &mut Vec<u8>) {
    out.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line without its line break; framing lines are short text.
    fn next(&mut self) -> Result<&'a str, SealedBodyError> {
        const LONGEST: usize = 512;
        let window = self.rest.get(..LONGEST).unwrap_or(self.rest);
        let end = window
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .ok_or(SealedBodyError::Framing("truncated, or a framing line is too long"))?;
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest.get(2..).unwrap_or_default();
        std::str::from_utf8(line).map_err(|_| SealedBodyError::Framing("a framing line is not text"))
    }

    /// The header lines of a pair of parts: the media type and the length of the content.
    fn part_headers(&mut self, class: BodyClass, boundary: &str) -> Result<(String, usize), SealedBodyError> {
        let mut content = None;
        loop {
            let line = self.next()?;
            if is_delimiter(line, boundary) {
                break;
            }
            match header_field(line) {
                Some(("content-type", value)) if BodyClass::parse(value) != Some(class) => {
                    return Err(SealedBodyError::Framing("the part's protocol differs from the body's"));
                }
                Some(("originalcontent", value)) => content = Some(parse_original_content(value)?),
                _ => {}
            }
        }
        let content = content.ok_or(SealedBodyError::Framing("OriginalContent is missing"))?;
        loop {
            match header_field(self.next()?) {
                Some(("content-type", value)) if value.eq_ignore_ascii_case("application/octet-stream") => {
                    return Ok(content);
                }
                Some(("content-type", _)) => {
                    return Err(SealedBodyError::Framing("the second part is not application/octet-stream"));
                }
                _ => {}
            }
        }
    }

    fn delimiter(&mut self, boundary: &str) -> Result<(), SealedBodyError> {
        if is_delimiter(self.next()?, boundary) {
            Ok(())
        } else {
            Err(SealedBodyError::Framing("the body does not begin with the boundary"))
        }
    }
}

fn is_delimiter(line: &str, boundary: &str) -> bool {
    line.strip_prefix("--").is_some_and(|rest| rest.trim() == boundary)
}

fn header_field(line: &str) -> Option<(&'static str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name =
        ["content-type", "originalcontent"].into_iter().find(|n| n.eq_ignore_ascii_case(name.trim()))?;
    Some((name, value.trim()))
}

/// Reads `type=application/soap+xml;charset=UTF-8;Length=1234`.
fn parse_original_content(value: &str) -> Result<(String, usize), SealedBodyError> {
    let malformed = SealedBodyError::Framing("OriginalContent is not type=…;Length=…");
    let (content_type, length) = match value.rsplit_once(';') {
        Some((content_type, length)) => (content_type.trim(), length.trim()),
        None => return Err(malformed),
    };
    let content_type = content_type.strip_prefix("type=");
    let length = length.strip_prefix("Length=").filter(|l| l.bytes().all(|b| b.is_ascii_digit()));
    match (content_type, length.and_then(|l| l.parse().ok())) {
        (Some(content_type), Some(length)) if content_type.len() <= 256 => {
            Ok((content_type.to_owned(), length))
        }
        _ => Err(malformed),
    }
}

/// What stands before the closing delimiter at the very end, and the delimiter.
fn split_closing_delimiter<'a>(payload: &'a [u8], boundary: &str) -> Option<(&'a [u8], &'a [u8])> {
    let end = payload.strip_suffix(b"\r\n").unwrap_or(payload);
    let end = end.strip_suffix(b"--")?.strip_suffix(boundary.as_bytes())?;
    let end = end.strip_suffix(b"--").or_else(|| end.strip_suffix(b"-- "))?;
    payload.split_at_checked(end.len())
}

fn is_closing_delimiter(rest: &[u8], boundary: &str) -> bool {
    split_closing_delimiter(rest, boundary).is_some_and(|(before, _)| before.is_empty())
}

/// The length of the signature and the TLS records after it, and what follows them.
fn split_records(payload: &[u8]) -> Result<(&[u8], &[u8]), SealedBodyError> {
    const HEADER: usize = 5;
    let truncated = || SealedBodyError::Framing("truncated inside a TLS record");
    let mut end = 4;
    loop {
        match payload.get(end..) {
            // No kind of TLS record has the number of a dash.
            Some([b'-', ..]) => return payload.split_at_checked(end).ok_or_else(truncated),
            Some([_, _, _, high, low, ..]) => end += HEADER + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return Err(truncated()),
        }
    }
}
