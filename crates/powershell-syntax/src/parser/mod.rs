//! The parser: recursive descent straight over the text, because how a piece of text is cut into
//! tokens depends on where the parser stands (expression, command argument, type name).

mod classes;
mod commands;
mod cursor;
mod expressions;
mod numbers;
mod statements;
mod strings;
mod types;

use std::sync::Arc;

use crate::ast::{Block, NamedBlock, ScriptBlock};
use crate::error::ParseError;
use crate::source::{Source, Span};

/// An error was recorded; the statement cannot be continued.
#[derive(Debug)]
pub(crate) struct Abort;

pub(crate) type Res<T> = Result<T, Abort>;

/// How deep expressions and blocks may nest.
const MAX_DEPTH: usize = 400;

/// How many operators and members may follow each other on one path through the tree: `1+1+1` nests to the left.
const MAX_LINKS: usize = 5000;

pub(crate) struct Parser<'a> {
    pub(crate) source: &'a Arc<Source>,
    pub(crate) text: &'a str,
    /// Byte offset of the next character.
    pub(crate) pos: usize,
    /// Where to stop (sub-parsers of expandable strings stop before the end).
    pub(crate) end: usize,
    pub(crate) errors: Vec<ParseError>,
    /// Errors found by checks on a complete tree; they do not end the parse.
    pub(crate) depth: usize,
    /// The most operators and members on one path through the expressions read since this was reset.
    pub(crate) links: usize,
    /// `,` separates arguments instead of making arrays.
    pub(crate) no_comma: bool,
    /// Comments seen: (span).
    pub(crate) comments: Vec<Span>,
    /// Whether a `?` or `:` right after a number ends it (inside a ternary).
    pub(crate) in_ternary: usize,
}

pub(crate) fn parse(source: &Arc<Source>) -> (Arc<ScriptBlock>, Vec<ParseError>) {
    let mut parser = Parser {
        source,
        text: source.text(),
        pos: 0,
        end: source.text().len(),
        errors: Vec::new(),
        depth: 0,
        links: 0,
        no_comma: false,
        comments: Vec::new(),
        in_ternary: 0,
    };
    if parser.text.starts_with('\u{feff}') {
        parser.pos = 3;
    }
    let span = Span::new(0, parser.end);
    let block = match parser.script_block_body(span, false) {
        Ok(mut block) => {
            block.requires = parser.requirements();
            block
        }
        Err(Abort) => empty_block(source, span),
    };
    let mut errors = parser.errors;
    errors.sort_by_key(|e| e.span.start);
    (Arc::new(block), errors)
}

/// A block with nothing in it.
pub(crate) fn empty_block(source: &Arc<Source>, span: Span) -> ScriptBlock {
    ScriptBlock {
        source: source.clone(),
        span,
        body_span: span,
        using: Vec::new(),
        requires: Vec::new(),
        param_block: None,
        dynamic_param: None,
        begin: None,
        process: None,
        end: Some(NamedBlock { span, unnamed: true, body: Block { span, ..Block::default() } }),
        clean: None,
        help: Vec::new(),
    }
}

impl Parser<'_> {
    /// Records an error and gives up on the statement.
    pub(crate) fn fail<T>(&mut self, span: Span, id: &'static str, message: impl Into<String>) -> Res<T> {
        self.report(span, id, message);
        Err(Abort)
    }

    /// Records an error that does not disturb the parse.
    pub(crate) fn report(&mut self, span: Span, id: &'static str, message: impl Into<String>) {
        self.errors.push(ParseError { span, id, message: message.into(), incomplete: false });
    }

    /// Records an error that more input could cure if nothing follows.
    pub(crate) fn fail_incomplete<T>(
        &mut self,
        span: Span,
        id: &'static str,
        message: impl Into<String>,
    ) -> Res<T> {
        let incomplete = self.text.get(self.pos..self.end).is_none_or(|r| r.trim().is_empty());
        self.errors.push(ParseError { span, id, message: message.into(), incomplete });
        Err(Abort)
    }

    /// An empty span here.
    pub(crate) fn here(&self) -> Span {
        Span::new(self.pos, self.pos)
    }

    /// From `start` to here.
    pub(crate) fn since(&self, start: usize) -> Span {
        Span::new(start, self.pos)
    }

    pub(crate) fn enter(&mut self) -> Res<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.too_complicated();
        }
        Ok(())
    }

    /// Reads an expression that does not stand on top of those read before.
    pub(crate) fn beside<T>(&mut self, read: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        let beside = std::mem::take(&mut self.links);
        let read = read(self)?;
        self.links = self.links.max(beside);
        Ok(read)
    }

    /// The tree of the expressions read since `links` was reset grows by one at its root.
    pub(crate) fn link(&mut self) -> Res<()> {
        self.links += 1;
        if self.links > MAX_LINKS { self.too_complicated() } else { Ok(()) }
    }

    fn too_complicated<T>(&mut self) -> Res<T> {
        let span = self.here();
        self.fail(span, "ScriptTooComplicated", "The script is too complicated to be parsed.")
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }
}
