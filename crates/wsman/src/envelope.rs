//! Envelopes: header, limits, errors of reading.

use std::time::Duration;

use crate::{
    fault::{Fault, FaultCode},
    ids::{MessageId, ShellId},
    message::{Request, Response, Selector},
    uri,
};

/// Header and content of a SOAP message.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<T> {
    /// The header.
    pub header: Header,
    /// The operation or the answer.
    pub body: T,
}

/// The header elements that WS-Management uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// `a:To`.
    pub to: Option<String>,
    /// `a:MessageID`.
    pub message_id: Option<MessageId>,
    /// `a:RelatesTo`, in answers.
    pub relates_to: Option<MessageId>,
    /// `w:ResourceURI`.
    pub resource_uri: Option<String>,
    /// `w:SelectorSet`.
    pub selectors: Vec<Selector>,
    /// `w:OptionSet`.
    pub options: Vec<Selector>,
    /// `w:MaxEnvelopeSize` in bytes: how large the answer may be.
    pub max_envelope_size: Option<u32>,
    /// `w:OperationTimeout`.
    pub operation_timeout: Option<Duration>,
    /// `w:Locale/@xml:lang`.
    pub locale: Option<String>,
    /// `p:DataLocale/@xml:lang`.
    pub data_locale: Option<String>,
    /// `p:SessionId`.
    pub session_id: Option<String>,
}

impl Header {
    /// The `ShellId` selector: `None` if there is none, `Some(None)` if it is not a GUID (then no such shell exists).
    pub fn shell_id(&self) -> Option<Option<ShellId>> {
        let selector = self.selectors.iter().find(|s| s.name == "ShellId")?;
        Some(ShellId::parse(&selector.value))
    }

    /// Value of an option, names compared without regard to case.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|o| o.name.eq_ignore_ascii_case(name)).map(|o| o.value.as_str())
    }

    /// An option that says yes (`TRUE`, `1`).
    pub fn option_is_set(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// The PowerShell configuration name in the resource URI, if it is one.
    pub fn configuration_name(&self) -> Option<&str> {
        self.resource_uri.as_deref()?.strip_prefix(uri::POWERSHELL_PREFIX)
    }
}

/// How much of a peer's XML is read.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the whole envelope.
    pub max_bytes: usize,
    /// Nesting of elements.
    pub max_depth: usize,
    /// Elements and attributes together.
    pub max_nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 8 << 20, max_depth: 32, max_nodes: 20_000 }
    }
}

/// Why an envelope cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Larger than the limit.
    #[error("envelope of {got} bytes is larger than {limit}")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
        /// Bytes there.
        got: usize,
    },
    /// Nested too deeply.
    #[error("envelope is nested deeper than {limit} elements")]
    TooDeep {
        /// Depth allowed.
        limit: usize,
    },
    /// Too many elements and attributes.
    #[error("envelope has more than {limit} elements and attributes")]
    TooManyNodes {
        /// Number allowed.
        limit: usize,
    },
    /// The text is not UTF-8.
    #[error("envelope is not UTF-8")]
    NotUtf8,
    /// A document type declaration.
    #[error("envelope has a document type declaration")]
    DocumentType,
    /// A processing instruction.
    #[error("envelope has a processing instruction")]
    ProcessingInstruction,
    /// An entity that is not predefined.
    #[error("envelope uses an entity that is not predefined")]
    Entity,
    /// A namespace prefix that is declared nowhere.
    #[error("namespace prefix {0:?} is not declared")]
    UnknownPrefix(String),
    /// Not well-formed.
    #[error("envelope is not well-formed: {0}")]
    Malformed(String),
    /// An element that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An element has content that does not fit.
    #[error("{0} is not valid")]
    Invalid(&'static str),
    /// A header with `mustUnderstand` that is not known.
    #[error("header {0:?} must be understood but is not")]
    MustUnderstand(String),
    /// The answer is wanted somewhere else than on this connection.
    #[error("answers go only to the anonymous address")]
    ReplyTo,
    /// An action that is not known.
    #[error("action {0:?} is not supported")]
    Action(String),
}

impl ParseError {
    /// The fault with which a server answers.
    pub fn to_fault(&self) -> Fault {
        let reason = self.to_string();
        match self {
            Self::TooLarge { .. } => Fault::new(FaultCode::ENVELOPE_TOO_LARGE, true, "EncodingLimit", reason)
                .with_detail("MaxEnvelopeSize"),
            Self::TooDeep { .. } | Self::TooManyNodes { .. } => {
                Fault::new(FaultCode::ENCODING_LIMIT, true, "EncodingLimit", reason)
            }
            Self::MustUnderstand(_) => Fault::new(FaultCode::MUST_UNDERSTAND, true, "MustUnderstand", reason),
            Self::Action(_) => {
                Fault::new(FaultCode::ACTION_NOT_SUPPORTED, true, "ActionNotSupported", reason)
            }
            Self::ReplyTo => Fault::new(
                FaultCode::INVALID_ADDRESSING_HEADER,
                true,
                "InvalidMessageInformationHeader",
                reason,
            ),
            Self::Missing("Action" | "MessageID") => Fault::new(
                FaultCode::ADDRESSING_HEADER_REQUIRED,
                true,
                "MessageInformationHeaderRequired",
                reason,
            ),
            _ => Fault::schema(reason),
        }
    }
}

/// A request that cannot be served, with the id to which the fault relates, if that much could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Rejected {
    /// Why.
    pub error: ParseError,
    /// `a:MessageID` of the request.
    pub message_id: Option<MessageId>,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Rejected`] with the reason; [`ParseError::to_fault`] makes the answer.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Rejected> {
        crate::parse::request(bytes, limits)
    }

    /// Writes the request, header elements in the order of PowerShell's own client.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::write::request(self)
    }
}

impl Response {
    /// Reads an answer.
    ///
    /// # Errors
    /// Why it is not an answer that a client understands.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        crate::parse::response(bytes, limits)
    }

    /// Writes the answer.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::write::response(self)
    }

    /// The HTTP status that carries this answer: 200, or 500 for a fault.
    pub fn http_status(&self) -> u16 {
        match &self.body {
            Ok(_) => 200,
            Err(fault) => fault.http_status(),
        }
    }
}
