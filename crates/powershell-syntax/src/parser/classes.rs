//! `class` and `enum`.

use std::sync::Arc;

use super::cursor::{is_name, is_name_start, is_newline};
use super::{Parser, Res};
use crate::ast::{Attribute, Expr, ExprKind, StatementKind, TypeDefinition, TypeMember, TypeMemberKind};
use crate::source::Span;

impl Parser<'_> {
    /// Whether a name and a `{` or `:` follow `class` or `enum`.
    pub(crate) fn type_definition_follows(&self, after: usize) -> bool {
        let rest = self.text.get(after..self.end).unwrap_or("").trim_start();
        let name: usize = rest.chars().take_while(|c| is_name(*c)).map(char::len_utf8).sum();
        name > 0 && rest[name..].trim_start().starts_with(['{', ':'])
    }

    pub(crate) fn type_definition(&mut self, attributes: Vec<Attribute>, start: usize) -> Res<StatementKind> {
        let keyword = self.peek_keyword();
        let is_enum = keyword == "enum";
        self.pos += keyword.len();
        self.skip_newlines()?;
        let name = self.plain_name();
        self.skip_newlines()?;
        let mut bases = Vec::new();
        if self.eat(":") {
            loop {
                self.skip_newlines()?;
                let bracket = self.eat("[");
                match self.type_name()? {
                    Some(t) => bases.push(t),
                    None => return self.unexpected(),
                }
                if bracket {
                    self.eat("]");
                }
                self.skip_newlines()?;
                if !self.eat(",") {
                    break;
                }
            }
        }
        let open = self.pos;
        if !self.eat("{") {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingTypeBody",
                format!("Missing {keyword} body in {keyword} declaration."),
            );
        }
        let mut members = Vec::new();
        loop {
            self.skip_terminators()?;
            if self.eat("}") {
                break;
            }
            if self.at_end() {
                return self.fail_incomplete(
                    Span::new(open, open + 1),
                    "MissingEndCurlyBrace",
                    "Missing closing '}' in statement block or type definition.",
                );
            }
            let member = if is_enum { self.enum_member()? } else { self.class_member(&name)? };
            members.push(member);
        }
        Ok(StatementKind::Type(Arc::new(TypeDefinition {
            span: self.since(start),
            name,
            attributes,
            is_enum,
            bases,
            members,
            source: self.source.clone(),
        })))
    }

    fn plain_name(&mut self) -> String {
        let name: String = self.rest().chars().take_while(|c| is_name(*c)).collect();
        self.pos += name.len();
        name
    }

    fn enum_member(&mut self) -> Res<TypeMember> {
        let start = self.pos;
        let name = self.plain_name();
        if name.is_empty() {
            return self.unexpected();
        }
        self.skip_blanks()?;
        let mut value = None;
        if self.eat("=") {
            self.skip_blanks()?;
            let saved = std::mem::replace(&mut self.no_comma, true);
            value = Some(self.expression()?);
            self.no_comma = saved;
        }
        self.skip_blanks()?;
        self.eat(",");
        Ok(TypeMember {
            span: self.since(start),
            name,
            is_static: true,
            is_hidden: false,
            type_name: None,
            attributes: Vec::new(),
            kind: TypeMemberKind::Property(value),
        })
    }

    fn class_member(&mut self, class: &str) -> Res<TypeMember> {
        let start = self.pos;
        let mut attributes = Vec::new();
        let mut is_static = false;
        let mut is_hidden = false;
        loop {
            self.skip_newlines()?;
            if self.peek() == Some('[') {
                let found = self.attributes()?;
                if found.is_empty() {
                    let span = Span::new(self.pos + 1, self.pos + 1);
                    return self.fail_incomplete(span, "MissingTypename", "Missing type name after '['.");
                }
                attributes.extend(found);
            } else if self.peek_keyword() == "static" {
                self.pos += 6;
                is_static = true;
            } else if self.peek_keyword() == "hidden" {
                self.pos += 6;
                is_hidden = true;
            } else {
                break;
            }
        }
        let type_name = attributes.iter().rfind(|a| a.is_type).map(|a| a.type_name.clone());
        if self.peek() == Some('$') {
            let variable = self.variable(false)?;
            let Some(Expr { kind: ExprKind::Variable { path, .. }, .. }) = variable else {
                return self.unexpected();
            };
            self.skip_blanks()?;
            let mut value = None;
            if self.eat("=") {
                self.skip_newlines()?;
                value = Some(self.expression()?);
            }
            self.skip_blanks()?;
            if !self.peek().is_none_or(|c| is_newline(c) || matches!(c, ';' | '}')) {
                return self.unexpected();
            }
            return Ok(TypeMember {
                span: self.since(start),
                name: path.name,
                is_static,
                is_hidden,
                type_name,
                attributes,
                kind: TypeMemberKind::Property(value),
            });
        }
        if !self.peek().is_some_and(is_name_start) {
            return self.unexpected();
        }
        let name = self.plain_name();
        self.skip_newlines()?;
        if self.peek() != Some('(') {
            return self.unexpected();
        }
        let parameters = self.parameter_list()?;
        self.skip_newlines()?;
        let mut base_args = None;
        if name.eq_ignore_ascii_case(class) && self.eat(":") {
            self.skip_newlines()?;
            if !self.eat_base() {
                return self.unexpected();
            }
            self.skip_newlines()?;
            if self.peek() != Some('(') {
                return self.unexpected();
            }
            base_args = Some(self.method_arguments()?);
            self.skip_newlines()?;
        }
        if self.peek() != Some('{') {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingMethodBody",
                "Missing method body in method declaration.",
            );
        }
        let body = Arc::new(self.script_block_literal()?);
        Ok(TypeMember {
            span: self.since(start),
            name,
            is_static,
            is_hidden,
            type_name,
            attributes,
            kind: TypeMemberKind::Method { parameters, base_args, body },
        })
    }

    fn eat_base(&mut self) -> bool {
        self.eat_keyword("base")
    }
}
