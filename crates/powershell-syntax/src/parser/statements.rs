//! Statements.
use super::{Parser, Res};
use crate::ast::{Block, ScriptBlock, Statement};
use crate::source::Span;
impl Parser<'_> {
    pub(crate) fn script_block_body(&mut self, span: Span, _b: bool) -> Res<ScriptBlock> {
        Ok(super::empty_block(self.source, span))
    }
    pub(crate) fn statements_until(&mut self, _c: char, _s: usize, _id: &'static str) -> Res<Block> {
        Ok(Block::default())
    }
    pub(crate) fn script_block_literal(&mut self) -> Res<ScriptBlock> {
        Ok(super::empty_block(self.source, Span::default()))
    }
    pub(crate) fn pipeline_statement(&mut self) -> Res<Statement> {
        self.unexpected()
    }
    pub(crate) fn statement(&mut self) -> Res<Statement> {
        self.unexpected()
    }
}
