//! Parse errors.

use crate::source::Span;

/// An error of the parser, with PowerShell's `ErrorId` and words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What it is about.
    pub span: Span,
    /// PowerShell's identifier, such as `MissingEndCurlyBrace`.
    pub id: &'static str,
    /// The text a user sees.
    pub message: String,
    /// More text could make the input complete (the `>>` prompt).
    pub incomplete: bool,
}
