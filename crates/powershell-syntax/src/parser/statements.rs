//! Statements, blocks, functions.

use std::sync::Arc;

use super::cursor::{is_dash, is_name_start, is_newline};
use super::{Abort, Parser, Res};
use crate::ast::{
    Block, Catch, Expr, ExprKind, ForLoop, ForeachLoop, FunctionDefinition, Loop, NamedBlock, ParamBlock,
    Parameter, Quote, ScriptBlock, Statement, StatementKind, Switch, SwitchMode, Trap, Try, UsingStatement,
};
use crate::source::Span;

impl Parser<'_> {
    /// The inside of a script (up to the end) or of a block (up to `}`, which stays).
    pub(crate) fn script_block_body(&mut self, span: Span, braces: bool) -> Res<ScriptBlock> {
        let mut block = super::empty_block(self.source, span);
        let body_start = self.pos;
        let first_comment = self.comments.len();
        self.skip_terminators()?;
        while !braces && self.peek_keyword() == "using" {
            let at = self.pos;
            match self.using_statement()? {
                Some(using) => block.using.push(using),
                None => {
                    self.pos = at;
                    break;
                }
            }
            self.skip_terminators()?;
        }
        block.param_block = self.param_block()?;
        self.skip_terminators()?;
        let statements_start = self.pos;
        let mut body = Block::default();
        let named = self.named_block_keyword().is_some();
        if named {
            self.named_blocks(&mut block, braces)?;
        } else {
            self.statement_list(&mut body, if braces { Some('}') } else { None })?;
            body.span = Span::new(statements_start, self.pos);
            block.end = Some(NamedBlock { span: body.span, unnamed: true, body });
        }
        block.body_span = Span::new(body_start, self.pos);
        block.help = self
            .comments
            .get(first_comment..)
            .unwrap_or(&[])
            .iter()
            .map(|s| self.source.slice(*s).to_string())
            .collect();
        Ok(block)
    }

    fn named_block_keyword(&self) -> Option<&'static str> {
        let word = self.peek_keyword();
        let found = ["begin", "process", "end", "clean", "dynamicparam"].into_iter().find(|k| *k == word)?;
        // Only with a block behind it.
        let after = self.rest()[found.len()..].trim_start();
        after.starts_with('{').then_some(found)
    }

    fn named_blocks(&mut self, block: &mut ScriptBlock, braces: bool) -> Res<()> {
        block.end = None;
        loop {
            self.skip_terminators()?;
            if self.at_end() || braces && self.peek() == Some('}') {
                return Ok(());
            }
            let start = self.pos;
            let Some(keyword) = self.named_block_keyword() else {
                let span = self.token_span();
                let text = self.source.slice(span).to_string();
                return self.fail(
                    span,
                    "MissingNamedBlocks",
                    format!(
                        "unexpected token '{text}', expected 'begin', 'process', 'end', 'clean', or \
                         'dynamicparam'."
                    ),
                );
            };
            self.pos += keyword.len();
            self.skip_newlines()?;
            let body = self.block_in_braces()?;
            let named = NamedBlock { span: Span::new(start, self.pos), unnamed: false, body };
            let slot = match keyword {
                "begin" => &mut block.begin,
                "process" => &mut block.process,
                "end" => &mut block.end,
                "clean" => &mut block.clean,
                _ => &mut block.dynamic_param,
            };
            if slot.is_some() {
                return self.fail(
                    Span::new(start, start + keyword.len()),
                    "DuplicateScriptCommandClause",
                    format!("Script command clause '{keyword}' has already been defined."),
                );
            }
            *slot = Some(named);
        }
    }

    fn using_statement(&mut self) -> Res<Option<UsingStatement>> {
        let start = self.pos;
        self.pos += "using".len();
        self.skip_blanks()?;
        let kind = self.peek_keyword();
        if !matches!(kind.as_str(), "namespace" | "module" | "assembly" | "type" | "command") {
            return Ok(None);
        }
        self.pos += kind.len();
        self.skip_blanks()?;
        let rest = self.rest();
        let len = rest.find(['\n', '\r', ';']).unwrap_or(rest.len());
        let name = rest[..len].trim().trim_matches(['\'', '"']).to_string();
        self.pos += len;
        Ok(Some(UsingStatement { span: self.since(start), kind, name }))
    }

    /// Attributes and `param(…)`, if they stand here.
    fn param_block(&mut self) -> Res<Option<ParamBlock>> {
        let start = self.pos;
        let errors = self.errors.len();
        let attributes = match self.peek() {
            Some('[') => match self.attributes() {
                Ok(a) => a,
                Err(Abort) => {
                    self.errors.truncate(errors);
                    self.pos = start;
                    return Ok(None);
                }
            },
            _ => Vec::new(),
        };
        self.skip_newlines()?;
        let after = self.rest().get(5..).unwrap_or("").trim_start();
        if self.peek_keyword() != "param" || !after.starts_with('(') {
            self.errors.truncate(errors);
            self.pos = start;
            return Ok(None);
        }
        self.pos += 5;
        self.skip_newlines()?;
        let parameters = self.parameter_list()?;
        Ok(Some(ParamBlock { span: self.since(start), attributes, parameters }))
    }

    /// `( … )` of declared parameters.
    pub(crate) fn parameter_list(&mut self) -> Res<Vec<Parameter>> {
        self.pos += 1;
        let mut parameters = Vec::new();
        let saved = std::mem::replace(&mut self.no_comma, true);
        self.skip_newlines()?;
        if !self.eat(")") {
            loop {
                self.skip_newlines()?;
                let start = self.pos;
                let attributes = self.attributes()?;
                self.skip_newlines()?;
                let variable = match self.peek() {
                    Some('$') => self.variable(false)?,
                    _ => None,
                };
                let Some(Expr { span: name_span, kind: ExprKind::Variable { path, .. } }) = variable else {
                    let span = Span::new(self.pos, self.pos);
                    if self.at_end() {
                        return self.fail_incomplete(
                            span,
                            "MissingEndParenthesisInFunctionParameterList",
                            "Missing ')' in function parameter list.",
                        );
                    }
                    return self.unexpected();
                };
                self.skip_newlines()?;
                let mut default = None;
                if self.eat("=") {
                    let equals = self.pos;
                    self.skip_newlines()?;
                    if !self.starts_expression() {
                        return self.fail_incomplete(
                            Span::new(equals, equals),
                            "MissingExpressionAfterToken",
                            "Missing expression after '='.",
                        );
                    }
                    default = Some(self.expression()?);
                    self.skip_newlines()?;
                }
                let end = default.as_ref().map_or(name_span.end, |d| d.span.end);
                parameters.push(Parameter {
                    span: Span { start: u32::try_from(start).unwrap_or(u32::MAX), end },
                    attributes,
                    name: path.display(),
                    name_span,
                    default,
                });
                if self.eat(",") {
                    continue;
                }
                if self.eat(")") {
                    break;
                }
                let span = Span::new(end as usize, end as usize);
                return self.fail_incomplete(
                    span,
                    "MissingEndParenthesisInFunctionParameterList",
                    "Missing ')' in function parameter list.",
                );
            }
        }
        self.no_comma = saved;
        Ok(parameters)
    }

    /// `{ … }` as a value.
    pub(crate) fn script_block_literal(&mut self) -> Res<ScriptBlock> {
        let start = self.pos;
        self.pos += 1;
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        self.enter()?;
        let mut block = self.script_block_body(Span::new(start, start), true)?;
        self.leave();
        self.no_comma = saved;
        self.in_ternary = ternary;
        if !self.eat("}") {
            let span = Span::new(start, start + 1);
            return self.fail_incomplete(
                span,
                "MissingEndCurlyBrace",
                "Missing closing '}' in statement block or type definition.",
            );
        }
        block.span = self.since(start);
        Ok(block)
    }

    /// `{ statements }` here.
    pub(crate) fn block_in_braces(&mut self) -> Res<Block> {
        let start = self.pos;
        self.pos += 1;
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        self.enter()?;
        let mut block = Block::default();
        self.statement_list(&mut block, Some('}'))?;
        self.leave();
        self.no_comma = saved;
        self.in_ternary = ternary;
        if !self.eat("}") {
            let span = Span::new(start, start + 1);
            return self.fail_incomplete(
                span,
                "MissingEndCurlyBrace",
                "Missing closing '}' in statement block or type definition.",
            );
        }
        block.span = self.since(start);
        Ok(block)
    }

    /// Statements up to a closing parenthesis, which is taken.
    pub(crate) fn statements_until(&mut self, close: char, start: usize, id: &'static str) -> Res<Block> {
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        self.enter()?;
        let mut block = Block::default();
        self.statement_list(&mut block, Some(close))?;
        self.leave();
        self.no_comma = saved;
        self.in_ternary = ternary;
        if self.peek() != Some(close) {
            let end = block.statements.last().map_or(self.pos, |s| s.span.end as usize);
            let span = Span::new(end, end);
            return self.fail_incomplete(span, id, "Missing closing ')' in subexpression.");
        }
        self.pos += 1;
        block.span = self.since(start);
        Ok(block)
    }

    fn statement_list(&mut self, block: &mut Block, close: Option<char>) -> Res<()> {
        loop {
            self.skip_terminators()?;
            let Some(c) = self.peek() else { return Ok(()) };
            if Some(c) == close {
                return Ok(());
            }
            if matches!(c, '}' | ')') {
                if close.is_some() {
                    // The caller knows what is missing.
                    return if close == Some(')') && c == '}' || close == Some('}') && c == ')' {
                        self.unexpected()
                    } else {
                        Ok(())
                    };
                }
                return self.unexpected();
            }
            if self.peek_keyword() == "trap" {
                block.traps.push(self.trap()?);
                continue;
            }
            let statement = self.statement()?;
            let blocky = matches!(
                statement.kind,
                StatementKind::If { .. }
                    | StatementKind::While(_)
                    | StatementKind::For(_)
                    | StatementKind::Foreach(_)
                    | StatementKind::Switch(_)
                    | StatementKind::Try(_)
                    | StatementKind::Function(_)
                    | StatementKind::Type(_)
                    | StatementKind::Data { .. }
            );
            block.statements.push(statement);
            self.skip_blanks()?;
            match self.peek() {
                None | Some(';' | '\n' | '\r') => {}
                Some(c) if Some(c) == close || matches!(c, '}' | ')') => {}
                _ if blocky => {}
                _ => {
                    // `&` ends a statement of its own.
                    if !self.text[..self.pos].trim_end().ends_with('&') {
                        return self.unexpected();
                    }
                }
            }
        }
    }

    fn trap(&mut self) -> Res<Trap> {
        let start = self.pos;
        self.pos += 4;
        self.skip_newlines()?;
        let mut type_name = None;
        if self.peek() == Some('[') {
            type_name = self.catch_type()?;
            self.skip_newlines()?;
        }
        if self.peek() != Some('{') {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingTrapStatement",
                "Missing statement body in trap statement.",
            );
        }
        let body = self.block_in_braces()?;
        Ok(Trap { span: self.since(start), type_name, body })
    }

    fn catch_type(&mut self) -> Res<Option<crate::ast::TypeName>> {
        self.pos += 1;
        self.skip_blanks()?;
        let name = self.type_name()?;
        self.skip_blanks()?;
        if !self.eat("]") {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "EndSquareBracketExpectedAtEndOfAttribute",
                "Missing ] at end of attribute or type literal.",
            );
        }
        Ok(name)
    }

    /// One statement.
    pub(crate) fn statement(&mut self) -> Res<Statement> {
        let start = self.pos;
        let mut label = None;
        if self.peek() == Some(':') && self.peek_nth(1).is_some_and(is_name_start) {
            self.pos += 1;
            let word: String = self.rest().chars().take_while(|c| super::cursor::is_name(*c)).collect();
            self.pos += word.len();
            label = Some(word);
            self.skip_newlines()?;
        }
        let keyword = self.peek_keyword();
        // A keyword joined to more word characters is a command (`if.exe`); `peek_keyword` takes the whole word.
        let after = self.pos + keyword.len();
        let kind = match keyword.as_str() {
            "if" => self.if_statement()?,
            "while" => {
                self.pos = after;
                let condition = self.condition("while")?;
                let body = self.body("while")?;
                StatementKind::While(Box::new(Loop {
                    label,
                    condition: Some(condition),
                    body,
                    body_first: false,
                    until: false,
                }))
            }
            "do" => self.do_statement(label)?,
            "for" => self.for_statement(label)?,
            "foreach" => self.foreach_statement(label)?,
            "switch" => self.switch_statement(label)?,
            "try" => self.try_statement()?,
            "function" | "filter" | "workflow" => self.function_statement(keyword == "filter")?,
            "class" | "enum" if self.type_definition_follows(after) => {
                self.type_definition(Vec::new(), start)?
            }
            "return" | "throw" | "exit" => {
                self.pos = after;
                let value = self.optional_pipeline()?;
                match keyword.as_str() {
                    "return" => StatementKind::Return(value),
                    "throw" => StatementKind::Throw(value),
                    _ => StatementKind::Exit(value),
                }
            }
            "break" | "continue" => {
                self.pos = after;
                self.skip_blanks()?;
                let label = match self.peek() {
                    None | Some(';' | '}' | ')' | '\n' | '\r' | '|' | '&') => None,
                    Some('$') => Some(self.expression()?),
                    _ => {
                        let at = self.pos;
                        let word: String =
                            self.rest().chars().take_while(|c| !super::cursor::ends_word(*c)).collect();
                        self.pos += word.len();
                        Some(Expr {
                            span: self.since(at),
                            kind: ExprKind::String(word.trim_matches(['\'', '"']).to_string(), Quote::Bare),
                        })
                    }
                };
                if keyword == "break" { StatementKind::Break(label) } else { StatementKind::Continue(label) }
            }
            "data" if self.rest()[4..].trim_start().starts_with(['{', '$']) || self.data_follows() => {
                self.data_statement()?
            }
            _ => {
                if self.peek() == Some('[')
                    && let Some(kind) = self.attributed_type(start)?
                {
                    kind
                } else {
                    return self.pipeline_statement();
                }
            }
        };
        Ok(Statement { span: self.since(start), kind })
    }

    fn data_follows(&self) -> bool {
        let rest = self.rest()[4..].trim_start();
        let name: String = rest.chars().take_while(|c| super::cursor::is_name(*c)).collect();
        !name.is_empty() && rest[name.len()..].trim_start().starts_with('{')
    }

    fn data_statement(&mut self) -> Res<StatementKind> {
        self.pos += 4;
        self.skip_newlines()?;
        let word: String = self.rest().chars().take_while(|c| super::cursor::is_name(*c)).collect();
        self.pos += word.len();
        self.skip_newlines()?;
        let body = self.body("data")?;
        Ok(StatementKind::Data { name: (!word.is_empty()).then_some(word), body })
    }

    /// `[Flags()] enum …`, `[Attr()] class …`.
    fn attributed_type(&mut self, start: usize) -> Res<Option<StatementKind>> {
        let errors = self.errors.len();
        let attributes = match self.attributes() {
            Ok(a) if !a.is_empty() => a,
            _ => {
                self.errors.truncate(errors);
                self.pos = start;
                return Ok(None);
            }
        };
        self.skip_newlines()?;
        let keyword = self.peek_keyword();
        if matches!(keyword.as_str(), "class" | "enum")
            && self.type_definition_follows(self.pos + keyword.len())
        {
            return self.type_definition(attributes, start).map(Some);
        }
        self.errors.truncate(errors);
        self.pos = start;
        Ok(None)
    }

    fn optional_pipeline(&mut self) -> Res<Option<Box<Statement>>> {
        self.skip_blanks()?;
        match self.peek() {
            None | Some(';' | '}' | ')' | '\n' | '\r' | '|') => Ok(None),
            _ => Ok(Some(Box::new(self.pipeline_statement()?))),
        }
    }

    /// `( pipeline )` after a keyword.
    fn condition(&mut self, keyword: &str) -> Res<Statement> {
        let keyword_end = self.pos;
        self.skip_newlines()?;
        if self.peek() != Some('(') {
            let span = Span::new(keyword_end, keyword_end);
            return self.fail_incomplete(
                span,
                "MissingOpenParenthesisInIfStatement",
                format!("Missing '(' after '{keyword}' in {} statement.", statement_name(keyword)),
            );
        }
        self.pos += 1;
        self.skip_newlines()?;
        if matches!(self.peek(), Some(')') | None) {
            let span = Span::new(self.pos, self.pos);
            return self.fail_incomplete(
                span,
                "IfStatementMissingCondition",
                format!("Missing condition in {} statement after '{keyword} ('.", statement_name(keyword)),
            );
        }
        let statement = self.pipeline_statement()?;
        self.skip_newlines()?;
        if !self.eat(")") {
            if self.at_end() {
                let end = statement.span.end as usize;
                return self.fail_incomplete(
                    Span::new(end, end),
                    "MissingEndParenthesisAfterStatement",
                    format!(
                        "Missing closing ')' after expression in '{}' statement.",
                        statement_name(keyword)
                    ),
                );
            }
            return self.unexpected();
        }
        Ok(statement)
    }

    /// The statement block after a keyword's head.
    fn body(&mut self, keyword: &str) -> Res<Block> {
        let head_end = self.pos;
        self.skip_newlines()?;
        if self.peek() != Some('{') {
            let span = Span::new(head_end, head_end);
            return self.fail_incomplete(
                span,
                "MissingStatementBlock",
                format!("Missing statement block after {keyword} statement."),
            );
        }
        self.block_in_braces()
    }

    fn if_statement(&mut self) -> Res<StatementKind> {
        self.pos += 2;
        let mut clauses = Vec::new();
        let condition = self.condition("if")?;
        let body = self.body("if ( condition )")?;
        clauses.push((condition, body));
        let mut otherwise = None;
        loop {
            let before = self.pos;
            self.skip_newlines()?;
            match self.peek_keyword().as_str() {
                "elseif" => {
                    self.pos += 6;
                    let condition = self.condition("elseif")?;
                    let body = self.body("elseif ( condition )")?;
                    clauses.push((condition, body));
                }
                "else" => {
                    self.pos += 4;
                    otherwise = Some(self.body("else")?);
                    break;
                }
                _ => {
                    self.pos = before;
                    break;
                }
            }
        }
        Ok(StatementKind::If { clauses, otherwise })
    }

    fn do_statement(&mut self, label: Option<String>) -> Res<StatementKind> {
        self.pos += 2;
        let body = self.body("do")?;
        let body_end = self.pos;
        self.skip_newlines()?;
        let keyword = self.peek_keyword();
        if keyword != "while" && keyword != "until" {
            let span = Span::new(body_end, body_end);
            return self.fail_incomplete(
                span,
                "MissingWhileOrUntilInDoWhile",
                "Missing while or until keyword in do loop.",
            );
        }
        self.pos += 5;
        let condition = self.condition(&keyword)?;
        Ok(StatementKind::While(Box::new(Loop {
            label,
            condition: Some(condition),
            body,
            body_first: true,
            until: keyword == "until",
        })))
    }

    fn for_statement(&mut self, label: Option<String>) -> Res<StatementKind> {
        self.pos += 3;
        let keyword_end = self.pos;
        self.skip_newlines()?;
        if !self.eat("(") {
            return self.fail_incomplete(
                Span::new(keyword_end, keyword_end),
                "MissingOpenParenthesisAfterKeyword",
                "Missing opening '(' after keyword 'for'.",
            );
        }
        let init = self.for_part()?;
        let has_condition = self.eat_for_separator()?;
        let condition = if has_condition { self.for_part()? } else { None };
        let has_step = self.eat_for_separator()?;
        let step = if has_step { self.for_part()? } else { None };
        self.skip_newlines()?;
        if !self.eat(")") {
            if self.at_end() {
                let span = self.here();
                return self.fail_incomplete(
                    span,
                    "MissingEndParenthesisAfterStatement",
                    "Missing closing ')' after expression in 'for' statement.",
                );
            }
            return self.unexpected();
        }
        let body = self.body("for")?;
        Ok(StatementKind::For(Box::new(ForLoop { label, init, condition, step, body })))
    }

    fn eat_for_separator(&mut self) -> Res<bool> {
        self.skip_blanks()?;
        if self.peek().is_some_and(is_newline) {
            let before = self.pos;
            self.skip_newlines()?;
            if self.peek() == Some(')') {
                self.pos = before;
                self.skip_newlines()?;
                return Ok(false);
            }
            self.eat(";");
            return Ok(true);
        }
        Ok(self.eat(";"))
    }

    fn for_part(&mut self) -> Res<Option<Statement>> {
        self.skip_newlines()?;
        if matches!(self.peek(), Some(';' | ')') | None) {
            return Ok(None);
        }
        self.pipeline_statement().map(Some)
    }

    fn foreach_statement(&mut self, label: Option<String>) -> Res<StatementKind> {
        self.pos += 7;
        let keyword_end = self.pos;
        self.skip_newlines()?;
        // `-Parallel` and `-ThrottleLimit` belong to workflows only.
        if !self.eat("(") {
            return self.fail_incomplete(
                Span::new(keyword_end, keyword_end),
                "MissingOpenParenthesisAfterKeyword",
                "Missing opening '(' after keyword 'foreach'.",
            );
        }
        self.skip_newlines()?;
        let variable = match self.peek() {
            Some('$') => self.variable(false)?,
            _ => None,
        };
        let Some(Expr { span: variable_span, kind: ExprKind::Variable { path, .. } }) = variable else {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingVariableNameAfterForeach",
                "Missing variable name after foreach.",
            );
        };
        self.skip_newlines()?;
        if !self.eat_keyword("in") {
            let end = variable_span.end as usize;
            return self.fail_incomplete(
                Span::new(end, end),
                "MissingInInForeach",
                "Missing 'in' after variable in foreach loop.",
            );
        }
        let in_end = self.pos;
        self.skip_newlines()?;
        if matches!(self.peek(), Some(')') | None) {
            return self.fail_incomplete(
                Span::new(in_end, in_end),
                "MissingForeachExpression",
                "Missing expression after 'in' in foreach loop.",
            );
        }
        let items = self.pipeline_statement()?;
        self.skip_newlines()?;
        if !self.eat(")") {
            if self.at_end() {
                let end = items.span.end as usize;
                return self.fail_incomplete(
                    Span::new(end, end),
                    "MissingEndParenthesisAfterForeach",
                    "Missing closing ')' after expression in foreach loop.",
                );
            }
            return self.unexpected();
        }
        let body = self.body("foreach")?;
        Ok(StatementKind::Foreach(Box::new(ForeachLoop {
            label,
            variable: path,
            variable_span,
            items,
            body,
        })))
    }

    fn switch_statement(&mut self, label: Option<String>) -> Res<StatementKind> {
        self.pos += 6;
        let mut mode = SwitchMode::Exact;
        let mut case_sensitive = false;
        let mut file = false;
        let mut condition = None;
        loop {
            self.skip_newlines()?;
            let Some(c) = self.peek() else { break };
            if is_dash(c) {
                let at = self.pos;
                self.bump();
                let word: String = self.rest().chars().take_while(char::is_ascii_alphabetic).collect();
                self.pos += word.len();
                let lower = word.to_ascii_lowercase();
                if !lower.is_empty() && "regex".starts_with(&lower) {
                    mode = SwitchMode::Regex;
                } else if !lower.is_empty() && "wildcard".starts_with(&lower) {
                    mode = SwitchMode::Wildcard;
                } else if !lower.is_empty() && "exact".starts_with(&lower) {
                    mode = SwitchMode::Exact;
                } else if !lower.is_empty() && "casesensitive".starts_with(&lower) {
                    case_sensitive = true;
                } else if !lower.is_empty() && "file".starts_with(&lower) {
                    file = true;
                    self.skip_blanks()?;
                    let start = self.pos;
                    if self.peek() == Some('(') {
                        let expr = self.paren()?;
                        condition = Some(expression_statement(expr));
                    } else {
                        let Some(expr) = self.switch_file_name()? else {
                            let span = Span::new(start, start);
                            return self.fail_incomplete(
                                span,
                                "MissingFilenameOption",
                                "Missing file name after -file in switch statement.",
                            );
                        };
                        condition = Some(expression_statement(expr));
                    }
                } else if lower != "parallel" {
                    let span = self.since(at);
                    return self.fail(
                        span,
                        "InvalidSwitchFlag",
                        format!("The switch statement flag '-{word}' is not valid."),
                    );
                }
                continue;
            }
            if c == '(' && condition.is_none() {
                condition = Some(self.condition("switch")?);
                continue;
            }
            break;
        }
        let Some(condition) = condition else {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "PipelineValueRequired",
                "A switch statement must have one of the following: '-file file_name' or '( expression )'.",
            );
        };
        if self.peek() != Some('{') {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingCurlyBraceInSwitchStatement",
                "Missing '{' in switch statement.",
            );
        }
        let open = self.pos;
        self.pos += 1;
        let mut clauses = Vec::new();
        let mut default = None;
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
            if self.peek_keyword() == "default" {
                let at = self.pos;
                self.pos += 7;
                let span = self.since(at);
                let body = self.switch_body()?;
                if default.is_some() {
                    self.report(
                        span,
                        "MultipleSwitchDefaultClauses",
                        "A switch statement can have only one default clause.",
                    );
                } else {
                    default = Some(body);
                }
                continue;
            }
            let saved = std::mem::replace(&mut self.no_comma, true);
            let condition = self.switch_condition()?;
            self.no_comma = saved;
            let body = self.switch_body()?;
            clauses.push((condition, body));
        }
        Ok(StatementKind::Switch(Box::new(Switch {
            label,
            mode,
            case_sensitive,
            file,
            condition,
            clauses,
            default,
        })))
    }

    fn switch_file_name(&mut self) -> Res<Option<Expr>> {
        let at = self.pos;
        if let Some(expr) = self.primary()?
            && self.peek().is_none_or(|c| c.is_whitespace() || c == '{')
        {
            return Ok(Some(expr));
        }
        self.pos = at;
        let word: String = self.rest().chars().take_while(|c| !super::cursor::ends_word(*c)).collect();
        if word.is_empty() {
            return Ok(None);
        }
        self.pos += word.len();
        Ok(Some(Expr { span: self.since(at), kind: ExprKind::String(word, Quote::Bare) }))
    }

    fn switch_condition(&mut self) -> Res<Expr> {
        let at = self.pos;
        if self.starts_expression() {
            return self.unary(false);
        }
        let word: String = self.rest().chars().take_while(|c| !super::cursor::ends_word(*c)).collect();
        if word.is_empty() {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingSwitchConditionExpression",
                "The switch statement is incomplete.",
            );
        }
        self.pos += word.len();
        Ok(Expr { span: self.since(at), kind: ExprKind::String(word, Quote::Bare) })
    }

    fn switch_body(&mut self) -> Res<Block> {
        let end = self.pos;
        self.skip_newlines()?;
        if self.peek() != Some('{') {
            return self.fail_incomplete(
                Span::new(end, end),
                "MissingSwitchStatementClause",
                "Missing statement block in switch statement clause.",
            );
        }
        self.block_in_braces()
    }

    fn try_statement(&mut self) -> Res<StatementKind> {
        self.pos += 3;
        let keyword_end = self.pos;
        self.skip_newlines()?;
        if self.peek() != Some('{') {
            return self.fail_incomplete(
                Span::new(keyword_end, keyword_end),
                "MissingTryStatementBlock",
                "The Try statement is missing its statement block.",
            );
        }
        let body = self.block_in_braces()?;
        let body_end = self.pos;
        let mut catches: Vec<Catch> = Vec::new();
        let mut finally = None;
        loop {
            let before = self.pos;
            self.skip_newlines()?;
            let start = self.pos;
            match self.peek_keyword().as_str() {
                "catch" => {
                    self.pos += 5;
                    let mut types = Vec::new();
                    loop {
                        self.skip_newlines()?;
                        if self.peek() != Some('[') {
                            break;
                        }
                        types.extend(self.catch_type()?);
                        self.skip_newlines()?;
                        if !self.eat(",") {
                            break;
                        }
                    }
                    self.skip_newlines()?;
                    if self.peek() != Some('{') {
                        let span = self.here();
                        return self.fail_incomplete(
                            span,
                            "MissingCatchHandlerBlock",
                            "The Catch block is missing its statement block.",
                        );
                    }
                    let block = self.block_in_braces()?;
                    if let Some(last) = catches.last()
                        && last.types.is_empty()
                    {
                        let end = last.span.end as usize;
                        self.report(
                            Span::new(end, end),
                            "EmptyCatchNotLast",
                            "Catch block must be the last catch block.",
                        );
                    }
                    catches.push(Catch { span: self.since(start), types, body: block });
                }
                "finally" => {
                    self.pos += 7;
                    self.skip_newlines()?;
                    if self.peek() != Some('{') {
                        let span = self.here();
                        return self.fail_incomplete(
                            span,
                            "MissingFinallyStatementBlock",
                            "The Finally block is missing its statement block.",
                        );
                    }
                    finally = Some(self.block_in_braces()?);
                    break;
                }
                _ => {
                    self.pos = before;
                    break;
                }
            }
        }
        if catches.is_empty() && finally.is_none() {
            let span = Span::new(body_end, body_end);
            return self.fail_incomplete(
                span,
                "MissingCatchOrFinally",
                "The Try statement is missing its Catch or Finally block.",
            );
        }
        Ok(StatementKind::Try(Box::new(Try { body, catches, finally })))
    }

    fn function_statement(&mut self, is_filter: bool) -> Res<StatementKind> {
        let start = self.pos;
        let keyword = self.peek_keyword();
        self.pos += keyword.len();
        let keyword_end = self.pos;
        self.skip_newlines()?;
        let name_start = self.pos;
        let name: String = self
            .rest()
            .chars()
            .take_while(|c| !c.is_whitespace() && !matches!(c, '(' | '{' | ')' | '}' | ';' | '|' | '&'))
            .collect();
        if name.is_empty() {
            return self.fail_incomplete(
                Span::new(keyword_end, keyword_end),
                "MissingNameAfterKeyword",
                format!("Missing name after {keyword} keyword."),
            );
        }
        self.pos += name.len();
        let name_span = self.since(name_start);
        let name = name.trim_matches(['\'', '"']).to_string();
        let name_end = self.pos;
        self.skip_newlines()?;
        let mut parameters = None;
        if self.peek() == Some('(') {
            parameters = Some(self.parameter_list()?);
            self.skip_newlines()?;
        }
        if self.peek() != Some('{') {
            return self.fail_incomplete(
                Span::new(name_end, name_end),
                "MissingFunctionBody",
                "Missing function body in function declaration.",
            );
        }
        let comments_before = self.comment_before(start);
        let mut body = self.script_block_literal()?;
        if let Some(comment) = comments_before {
            body.help.insert(0, comment);
        }
        if parameters.is_some()
            && let Some(block) = &body.param_block
        {
            let span = block.span;
            self.report(
                span,
                "ParamAndArgumentsInFunction",
                "The param statement cannot be used if arguments were specified in the function declaration.",
            );
        }
        if is_filter
            && body.begin.is_none()
            && body.process.is_none()
            && let Some(end) = body.end.take_if(|e| e.unnamed)
        {
            body.process = Some(end);
        }
        Ok(StatementKind::Function(Arc::new(FunctionDefinition {
            span: self.since(start),
            name,
            name_span,
            is_filter,
            parameters,
            body: Arc::new(body),
        })))
    }

    /// The comment that ends right before a function, for its help.
    fn comment_before(&self, start: usize) -> Option<String> {
        let mut texts = Vec::new();
        let mut end = start;
        for span in self.comments.iter().rev() {
            if span.end as usize > end {
                continue;
            }
            let gap = &self.text[span.end as usize..end];
            if !gap.trim().is_empty() || gap.matches('\n').count() > 2 {
                break;
            }
            texts.insert(0, self.source.slice(*span).to_string());
            end = span.start as usize;
        }
        if texts.is_empty() { None } else { Some(texts.join("\n")) }
    }
}

fn statement_name(keyword: &str) -> &str {
    match keyword {
        "elseif" => "if",
        other => other,
    }
}

fn expression_statement(expr: Expr) -> Statement {
    let span = expr.span;
    Statement {
        span,
        kind: StatementKind::Pipeline(crate::ast::Pipeline {
            span,
            elements: vec![crate::ast::PipelineElement {
                span,
                kind: crate::ast::ElementKind::Expression(expr),
                redirections: Vec::new(),
            }],
            background: false,
        }),
    }
}
