//! Type names, type literals and attributes.

use super::cursor::{is_name, is_name_start};
use super::{Parser, Res};
use crate::ast::{Attribute, Expr, ExprKind, TypeName};
use crate::source::Span;

/// What a bracket at the start of an expression holds.
pub(crate) enum Bracketed {
    /// `[type]`.
    Type(TypeName, Span),
    /// `[Attribute(…)]`.
    Attribute(Attribute),
}

impl Parser<'_> {
    /// A type's name with generic arguments and array ranks; nothing is skipped after it.
    pub(crate) fn type_name(&mut self) -> Res<Option<TypeName>> {
        let start = self.pos;
        if !self.peek().is_some_and(is_name_start) {
            return Ok(None);
        }
        while let Some(c) = self.peek() {
            let more = is_name(c) || matches!(c, '.' | '+' | '`') && self.peek_nth(1).is_some_and(is_name);
            if !more {
                break;
            }
            self.pos += c.len_utf8();
        }
        let name = self.text[start..self.pos].to_string();
        let mut args = Vec::new();
        let mut ranks = Vec::new();
        while self.peek() == Some('[') {
            let open = self.pos;
            self.pos += 1;
            self.skip_newlines()?;
            match self.peek() {
                Some(']' | ',') => {
                    let mut rank = 1;
                    while self.eat(",") {
                        rank += 1;
                        self.skip_blanks()?;
                    }
                    if !self.eat("]") {
                        let span = self.here();
                        return self.fail_incomplete(
                            span,
                            "EndSquareBracketExpectedAtEndOfAttribute",
                            "Missing ] at end of attribute or type literal.",
                        );
                    }
                    ranks.push(rank);
                }
                Some(c) if (is_name_start(c) || c == '[') && ranks.is_empty() && args.is_empty() => loop {
                    self.skip_newlines()?;
                    let bracket = self.eat("[");
                    self.enter()?;
                    let arg = self.type_name()?;
                    self.leave();
                    let Some(arg) = arg else {
                        let span = Span::new(self.pos, self.pos);
                        return self.fail_incomplete(span, "MissingTypename", "Missing type name after '['.");
                    };
                    args.push(arg);
                    if bracket && !self.eat("]") {
                        let span = self.here();
                        return self.fail_incomplete(
                            span,
                            "EndSquareBracketExpectedAtEndOfAttribute",
                            "Missing ] at end of attribute or type literal.",
                        );
                    }
                    self.skip_newlines()?;
                    if self.eat(",") {
                        continue;
                    }
                    if !self.eat("]") {
                        let span = self.here();
                        return self.fail_incomplete(
                            span,
                            "EndSquareBracketExpectedAtEndOfAttribute",
                            "Missing ] at end of attribute or type literal.",
                        );
                    }
                    break;
                },
                _ => {
                    self.pos = open;
                    break;
                }
            }
        }
        Ok(Some(TypeName { span: self.since(start), name, args, ranks }))
    }

    /// `[…]` here: a type or an attribute; `None` (position kept) when no name follows.
    pub(crate) fn bracketed(&mut self) -> Res<Option<Bracketed>> {
        let start = self.pos;
        self.pos += 1;
        self.skip_newlines()?;
        let Some(type_name) = self.type_name()? else {
            self.pos = start;
            return Ok(None);
        };
        let after = self.pos;
        self.skip_newlines()?;
        match self.peek() {
            Some(']') => {
                self.pos += 1;
                Ok(Some(Bracketed::Type(type_name, self.since(start))))
            }
            Some('(') => {
                self.pos += 1;
                let saved = std::mem::replace(&mut self.no_comma, true);
                let (positional, named) = self.attribute_arguments()?;
                self.no_comma = saved;
                self.skip_newlines()?;
                if !self.eat("]") {
                    let span = self.here();
                    return self.fail_incomplete(
                        span,
                        "EndSquareBracketExpectedAtEndOfAttribute",
                        "Missing ] at end of attribute or type literal.",
                    );
                }
                Ok(Some(Bracketed::Attribute(Attribute {
                    span: self.since(start),
                    type_name,
                    positional,
                    named,
                    is_type: false,
                })))
            }
            _ => {
                let span = Span::new(after, after);
                self.pos = after;
                self.fail_incomplete(
                    span,
                    "EndSquareBracketExpectedAtEndOfAttribute",
                    "Missing ] at end of attribute or type literal.",
                )
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn attribute_arguments(&mut self) -> Res<(Vec<Expr>, Vec<(String, Option<Expr>)>)> {
        let mut positional = Vec::new();
        let mut named = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.eat(")") {
                return Ok((positional, named));
            }
            let start = self.pos;
            let word: String = self.rest().chars().take_while(|c| is_name(*c)).collect();
            let mut done = false;
            if !word.is_empty() && word.chars().next().is_some_and(is_name_start) {
                self.pos += word.len();
                self.skip_newlines()?;
                if self.at("=") && !self.at("==") {
                    self.pos += 1;
                    self.skip_newlines()?;
                    named.push((word, Some(self.expression()?)));
                    done = true;
                } else if matches!(self.peek(), Some(',' | ')')) {
                    named.push((word, None));
                    done = true;
                } else {
                    self.pos = start;
                }
            }
            if !done {
                positional.push(self.expression()?);
            }
            self.skip_newlines()?;
            if self.eat(",") {
                continue;
            }
            if self.eat(")") {
                return Ok((positional, named));
            }
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingEndParenthesisInExpression",
                "Missing closing ')' in expression.",
            );
        }
    }

    /// Attributes and types in front of a parameter, property or `param`.
    pub(crate) fn attributes(&mut self) -> Res<Vec<Attribute>> {
        let mut found = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.peek() != Some('[') {
                return Ok(found);
            }
            match self.bracketed()? {
                Some(Bracketed::Attribute(a)) => found.push(a),
                Some(Bracketed::Type(type_name, span)) => found.push(Attribute {
                    span,
                    type_name,
                    positional: Vec::new(),
                    named: Vec::new(),
                    is_type: true,
                }),
                None => return Ok(found),
            }
        }
    }

    /// `[type]`, `[type]expr` or `[Attribute()]expr` in an expression.
    pub(crate) fn bracket_expression(&mut self) -> Res<Option<Expr>> {
        let start = self.pos;
        let Some(bracketed) = self.bracketed()? else { return Ok(None) };
        match bracketed {
            Bracketed::Type(type_name, span) => {
                // `[int]::x`, `[int].x`, `[int[]]` alone: a type; anything that starts an operand: a cast.
                let next = self.peek();
                if next == Some(':') && self.peek_nth(1) == Some(':') || next == Some('.') && !self.at("..") {
                    let expr = Expr { span, kind: ExprKind::Type(type_name) };
                    return self.postfix(expr, false).map(Some);
                }
                let after = self.pos;
                self.skip_blanks()?;
                if self.starts_operand() {
                    self.enter()?;
                    let operand = self.unary(true)?;
                    self.leave();
                    let span = Span::new(start, operand.span.end as usize);
                    if type_name.name.eq_ignore_ascii_case("ordered")
                        && !matches!(operand.kind, ExprKind::Hashtable(_))
                    {
                        self.report(
                            span,
                            "OrderedAttributeOnlyOnHashLiteralNode",
                            "The ordered attribute can be specified only on a hash literal node.",
                        );
                    }
                    return Ok(Some(Expr { span, kind: ExprKind::Cast(type_name, Box::new(operand)) }));
                }
                self.pos = after;
                let expr = Expr { span, kind: ExprKind::Type(type_name) };
                Ok(Some(self.postfix(expr, false)?))
            }
            Bracketed::Attribute(attribute) => {
                self.skip_newlines()?;
                self.enter()?;
                let operand = self.unary(true)?;
                self.leave();
                let span = Span::new(start, operand.span.end as usize);
                Ok(Some(Expr { span, kind: ExprKind::Attributed(Box::new(attribute), Box::new(operand)) }))
            }
        }
    }
}
