//! PowerShell syntax: lexer, parser, syntax tree.
//!
//! [`parse`] never fails: it returns a tree and a list of errors.
#![forbid(unsafe_code)]

pub mod ast;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod source;

pub use error::ParseError;
pub use source::{Source, Span};

use std::sync::Arc;

/// Parses a script; the tree is usable only as far as the errors allow.
pub fn parse(source: &Arc<Source>) -> (Arc<ast::ScriptBlock>, Vec<ParseError>) {
    parser::parse(source)
}
mod parser;
