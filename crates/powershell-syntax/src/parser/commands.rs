//! Pipelines, commands and their arguments, redirections.

use super::cursor::{
    ends_word, is_blank, is_dash, is_double_quote, is_newline, is_single_quote, is_variable_name,
};
use super::expressions::is_assignable;
use super::numbers::NumberMode;
use super::strings::Parts;
use super::{Parser, Res};
use crate::ast::{
    AssignOp, Assignment, Command, CommandElement, ElementKind, Expr, ExprKind, Invocation, Pipeline,
    PipelineElement, Quote, RedirectTarget, Redirection, Statement, StatementKind, Stream,
};
use crate::source::Span;

impl Parser<'_> {
    /// A pipeline, a chain of pipelines or an assignment.
    pub(crate) fn pipeline_statement(&mut self) -> Res<Statement> {
        let start = self.pos;
        self.enter()?;
        let first = self.pipeline_or_assignment(true)?;
        self.leave();
        let pipeline = match first {
            Start::Assignment(statement) => return Ok(statement),
            Start::Pipeline(pipeline) => pipeline,
        };
        let mut rest = Vec::new();
        let mut background = pipeline.background;
        loop {
            let before = self.pos;
            self.skip_blanks()?;
            let and = self.at("&&");
            if !and && !self.at("||") {
                self.pos = before;
                break;
            }
            self.pos += 2;
            let after = self.pos;
            self.skip_newlines()?;
            if self.at_end() || matches!(self.peek(), Some(')' | '}' | ';' | '|')) {
                let text = if and { "&&" } else { "||" };
                let span = Span::new(after, after);
                return self.fail_incomplete(
                    span,
                    "EmptyPipelineChainElement",
                    format!("An empty pipeline chain element is not allowed after '{text}'."),
                );
            }
            match self.pipeline_or_assignment(false)? {
                Start::Pipeline(p) => {
                    background |= p.background;
                    rest.push((and, p));
                }
                Start::Assignment(s) => {
                    let span = s.span;
                    let expr = Expr { span, kind: ExprKind::Paren(Box::new(s)) };
                    rest.push((
                        and,
                        Pipeline {
                            span,
                            elements: vec![PipelineElement {
                                span,
                                kind: ElementKind::Expression(expr),
                                redirections: Vec::new(),
                            }],
                            background: false,
                        },
                    ));
                }
            }
        }
        let span = Span::new(start, self.pos);
        if rest.is_empty() {
            return Ok(Statement { span, kind: StatementKind::Pipeline(pipeline) });
        }
        Ok(Statement { span, kind: StatementKind::Chain { first: pipeline, rest, background } })
    }

    fn pipeline_or_assignment(&mut self, assignable: bool) -> Res<Start> {
        let start = self.pos;
        let mut elements = Vec::new();
        if self.starts_first_expression() {
            let expr = self.expression()?;
            let after = self.pos;
            self.skip_blanks()?;
            if let Some((op, len)) = self.assignment_operator() {
                let op_start = self.pos;
                self.pos += len;
                let op_span = self.since(op_start);
                if assignable || is_assignable(&expr) {
                    return self.assignment(expr, op, op_span).map(Start::Assignment);
                }
            }
            self.pos = after;
            let redirections = self.redirections()?;
            let span = Span::new(start, self.pos);
            elements.push(PipelineElement { span, kind: ElementKind::Expression(expr), redirections });
        } else {
            elements.push(self.command_element()?);
        }
        let mut background = false;
        loop {
            let before = self.pos;
            self.skip_blanks()?;
            if self.at("|") && !self.at("||") {
                self.pos += 1;
            } else if self.peek().is_some_and(is_newline) {
                // A pipe may start the next line.
                self.skip_newlines()?;
                if self.at("|") && !self.at("||") {
                    self.pos += 1;
                } else {
                    self.pos = before;
                    break;
                }
            } else if self.at("&") && !self.at("&&") {
                self.pos += 1;
                background = true;
                break;
            } else {
                match self.peek() {
                    None | Some(';' | ')' | '}' | '\n' | '\r') => {}
                    _ if self.at("&&") || self.at("||") => {}
                    _ => return self.unexpected(),
                }
                self.pos = before;
                break;
            }
            let pipe_end = self.pos;
            self.skip_newlines()?;
            if self.at_end() || matches!(self.peek(), Some('|' | ')' | '}' | ';')) {
                let span = if self.peek() == Some('|') {
                    Span::new(self.pos - 1, self.pos - 1)
                } else {
                    Span::new(pipe_end, pipe_end)
                };
                return self.fail_incomplete(
                    span,
                    "EmptyPipeElement",
                    "An empty pipe element is not allowed.",
                );
            }
            if self.starts_first_expression() {
                let at = self.pos;
                let expr = self.expression()?;
                self.pos = at;
                return self.fail(
                    expr.span,
                    "ExpressionsMustBeFirstInPipeline",
                    "Expressions are only allowed as the first element of a pipeline.",
                );
            }
            elements.push(self.command_element()?);
        }
        Ok(Start::Pipeline(Pipeline { span: self.since(start), elements, background }))
    }

    fn assignment_operator(&self) -> Option<(AssignOp, usize)> {
        [
            ("+=", AssignOp::Add),
            ("-=", AssignOp::Sub),
            ("*=", AssignOp::Mul),
            ("/=", AssignOp::Div),
            ("%=", AssignOp::Rem),
            ("??=", AssignOp::Coalesce),
            ("=", AssignOp::Set),
        ]
        .into_iter()
        .find(|(text, _)| self.at(text))
        .map(|(text, op)| (op, text.len()))
    }

    fn assignment(&mut self, target: Expr, op: AssignOp, op_span: Span) -> Res<Statement> {
        self.skip_newlines()?;
        if self.at_end() || matches!(self.peek(), Some(')' | '}' | ';' | '|')) {
            let text = self.source.slice(op_span).to_string();
            let end = op_span.end as usize;
            return self.fail_incomplete(
                Span::new(end, end),
                "ExpectedValueExpression",
                format!("You must provide a value expression following the '{text}' operator."),
            );
        }
        let value = self.statement()?;
        if !is_assignable(&target) {
            let span = invalid_part(&target);
            self.report(
                span,
                "InvalidLeftHandSide",
                "The assignment expression is not valid. The input to an assignment operator must be an object \
                 that is able to accept assignments, such as a variable or a property.",
            );
        }
        let span = target.span.to(value.span);
        Ok(Statement {
            span,
            kind: StatementKind::Assign(Box::new(Assignment { target, op, op_span, value })),
        })
    }

    /// Whether an expression (and not a command) starts here, at the start of a statement.
    pub(crate) fn starts_first_expression(&mut self) -> bool {
        let Some(c) = self.peek() else { return false };
        let next = self.peek_nth(1);
        if c == '@' && next.is_some_and(|n| is_variable_name(n) && n != '?') {
            return true;
        }
        match c {
            '+' => next.is_some_and(|n| {
                n == '+' || n == '(' || n == '$' || n.is_ascii_digit() || is_blank(n) || n == '.'
            }),
            ',' => true,
            '!' => true,
            '[' => next.is_some_and(|n| n.is_alphabetic() || n == '_' || n.is_whitespace()),
            c if is_dash(c) => {
                next.is_some_and(|n| {
                    is_dash(n) && self.peek_nth(2).is_some_and(|m| m == '$' || m == '(' || m == '[')
                        || n == '$'
                        || n == '('
                        || n == '['
                        || n.is_ascii_digit()
                        || (n == '.' && self.peek_nth(2).is_some_and(|m| m.is_ascii_digit()))
                        || is_blank(n)
                        || is_double_quote(n)
                        || is_single_quote(n)
                }) || next.is_some_and(|n| n.is_ascii_alphabetic()) && self.starts_operand()
            }
            _ => self.starts_operand(),
        }
    }

    fn command_element(&mut self) -> Res<PipelineElement> {
        let start = self.pos;
        let mut redirections = self.redirections()?;
        let (command, mut more) = self.command()?;
        redirections.append(&mut more);
        Ok(PipelineElement { span: self.since(start), kind: ElementKind::Command(command), redirections })
    }

    fn command(&mut self) -> Res<(Command, Vec<Redirection>)> {
        let start = self.pos;
        let mut invocation = Invocation::Plain;
        if self.at("&") && !self.at("&&") {
            self.pos += 1;
            invocation = Invocation::Call;
        } else if self.peek() == Some('.')
            && self.peek_nth(1).is_some_and(|n| {
                n.is_whitespace()
                    || is_single_quote(n)
                    || is_double_quote(n)
                    || matches!(n, '$' | '{' | '(' | '&')
            })
        {
            self.pos += 1;
            invocation = Invocation::Dot;
        }
        if invocation != Invocation::Plain {
            let sign_end = self.pos;
            let sign = self.text[start..sign_end].to_string();
            self.skip_blanks()?;
            if self.at_end()
                || self.peek().is_some_and(|c| is_newline(c) || matches!(c, ';' | '|' | ')' | '}' | '&'))
            {
                return self.fail_incomplete(
                    Span::new(start, sign_end),
                    "MissingExpression",
                    format!("Missing expression after '{sign}' in pipeline element."),
                );
            }
        }
        let Some(name) = self.argument(invocation == Invocation::Plain)? else {
            if self.at("<") {
                let span = Span::new(self.pos, self.pos + 1);
                return self.fail(
                    span,
                    "RedirectionNotSupported",
                    "The '<' operator is reserved for future use.",
                );
            }
            if self.at("|") && !self.at("||") {
                let span = Span::new(self.pos, self.pos);
                return self.fail(span, "EmptyPipeElement", "An empty pipe element is not allowed.");
            }
            return self.unexpected();
        };
        let mut elements = Vec::new();
        let mut redirections = Vec::new();
        let mut only_arguments = false;
        let mut end = self.pos;
        loop {
            self.skip_blanks()?;
            let Some(c) = self.peek() else { break };
            if is_newline(c) || matches!(c, ';' | '|' | ')' | '}') || c == '&' {
                if c == '&' && self.peek_nth(1) == Some('&') {
                    break;
                }
                break;
            }
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                end = self.pos;
                continue;
            }
            if self.at("--%") && self.peek_nth(3).is_none_or(char::is_whitespace) {
                self.pos += 3;
                let rest = self.rest();
                let len = rest.find(['\n', '\r', '|']).unwrap_or(rest.len());
                elements.push(CommandElement::Verbatim(rest[..len].trim().to_string()));
                self.pos += len;
                end = self.pos;
                continue;
            }
            if !only_arguments && is_dash(c) {
                let next = self.peek_nth(1);
                if next.is_some_and(is_dash) && self.peek_nth(2).is_none_or(ends_word) {
                    let at = self.pos;
                    self.bump();
                    self.bump();
                    only_arguments = true;
                    elements.push(CommandElement::Argument(Expr {
                        span: self.since(at),
                        kind: ExprKind::String("--".into(), Quote::Bare),
                    }));
                    end = self.pos;
                    continue;
                }
                if next.is_some_and(|n| n.is_alphabetic() || n == '_' || n == '?')
                    && let Some(parameter) = self.parameter()?
                {
                    elements.push(parameter);
                    end = self.pos;
                    continue;
                }
            }
            match self.argument_list()? {
                Some(expr) => elements.push(CommandElement::Argument(expr)),
                None => {
                    if self.at("<") {
                        let span = Span::new(self.pos, self.pos + 1);
                        return self.fail(
                            span,
                            "RedirectionNotSupported",
                            "The '<' operator is reserved for future use.",
                        );
                    }
                    return self.unexpected();
                }
            }
            end = self.pos;
        }
        self.pos = end;
        Ok((Command { span: Span::new(start, end), invocation, name, elements }, redirections))
    }

    /// `-Name` or `-Name:value`; `None` when the word is not a parameter (it holds quotes, …).
    fn parameter(&mut self) -> Res<Option<CommandElement>> {
        let start = self.pos;
        self.bump();
        let name_start = self.pos;
        while let Some(c) = self.peek() {
            if c == ':' || ends_word(c) || matches!(c, '[' | '.' | '=') {
                break;
            }
            if is_single_quote(c) || is_double_quote(c) || c == '`' {
                self.pos = start;
                return Ok(None);
            }
            self.pos += c.len_utf8();
        }
        let name = self.text[name_start..self.pos].to_string();
        let name_span = self.since(start);
        let mut argument = None;
        if self.peek() == Some('=') || self.peek() == Some('$') {
            self.pos = start;
            return Ok(None);
        }
        if self.eat(":") {
            let colon = self.pos;
            self.skip_blanks()?;
            argument = self.argument_list()?;
            if argument.is_none() {
                if self.at_end() || self.peek().is_some_and(|c| is_newline(c) || ends_word(c)) {
                    let text = self.text[start..colon].to_string();
                    return self.fail_incomplete(
                        Span::new(start, colon),
                        "ParameterRequiresArgument",
                        format!("The parameter '{}' requires an argument.", text.trim_end_matches(':')),
                    );
                }
                self.pos = colon;
            }
        }
        Ok(Some(CommandElement::Parameter { span: self.since(start), name_span, name, argument }))
    }

    /// One argument, or several joined by commas.
    fn argument_list(&mut self) -> Res<Option<Expr>> {
        let Some(first) = self.argument(false)? else { return Ok(None) };
        let mut items = vec![first];
        loop {
            let before = self.pos;
            self.skip_blanks()?;
            if !self.eat(",") {
                self.pos = before;
                break;
            }
            let comma_end = self.pos;
            self.skip_newlines()?;
            match self.argument(false)? {
                Some(next) => items.push(next),
                None => {
                    let span = Span::new(comma_end, comma_end);
                    return self.fail_incomplete(
                        span,
                        "MissingArgument",
                        "Missing argument in parameter list.",
                    );
                }
            }
        }
        if items.len() == 1 {
            return Ok(items.pop());
        }
        let span = items[0].span.to(items[items.len() - 1].span);
        Ok(Some(Expr { span, kind: ExprKind::Array(items) }))
    }

    /// One argument; `name` when it is the command's name.
    fn argument(&mut self, name: bool) -> Res<Option<Expr>> {
        let start = self.pos;
        let Some(c) = self.peek() else { return Ok(None) };
        let next = self.peek_nth(1);
        if ends_word(c) && c != '(' && c != '{' {
            return Ok(None);
        }
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        let primary = match c {
            '(' | '{' => self.primary()?,
            '$' if next == Some('(') => self.sub_expression_argument()?,
            '$' => self.variable_argument()?,
            '@' if matches!(next, Some('(' | '{'))
                || next.is_some_and(|n| is_single_quote(n) || is_double_quote(n)) =>
            {
                self.primary()?
            }
            '@' if next.is_some_and(|n| is_variable_name(n) && n != '?') => self.splatted_variable()?,
            c if is_single_quote(c) || is_double_quote(c) => self.primary()?,
            '[' if !name => None,
            c if c.is_ascii_digit()
                || (c == '.' || c == '-' || c == '+')
                    && next.is_some_and(|n| n.is_ascii_digit() || n == '.') =>
            {
                let number = self.number(NumberMode::Argument);
                match number {
                    Some(number) => {
                        self.no_comma = saved;
                        self.in_ternary = ternary;
                        return Ok(Some(Expr { span: self.since(start), kind: ExprKind::Number(number) }));
                    }
                    None => None,
                }
            }
            _ => None,
        };
        let result = match primary {
            Some(expr) => Some(self.beside(|parser| parser.postfix(expr, true))?),
            None => {
                self.pos = start;
                self.word()?
            }
        };
        self.no_comma = saved;
        self.in_ternary = ternary;
        Ok(result)
    }

    fn sub_expression_argument(&mut self) -> Res<Option<Expr>> {
        let start = self.pos;
        let expr = self.sub_expression()?;
        // `$(x)y` is one expandable word; `$(x).y` and `$(x)[0]` are members.
        match self.peek() {
            Some(c) if !ends_word(c) && !matches!(c, '.' | '[' | ':') => {
                self.pos = start;
                Ok(None)
            }
            _ => Ok(Some(expr)),
        }
    }

    fn variable_argument(&mut self) -> Res<Option<Expr>> {
        let start = self.pos;
        let Some(expr) = self.variable(false)? else { return Ok(None) };
        match self.peek() {
            // `$a/b` is one expandable word; `$a.b`, `$a[0]`, `$a::b` are members.
            Some(c) if !ends_word(c) && !matches!(c, '.' | '[') => {
                if c == ':' && self.peek_nth(1) == Some(':') || c == '?' && self.peek_nth(1) == Some('.') {
                    return Ok(Some(expr));
                }
                self.pos = start;
                Ok(None)
            }
            Some('.')
                if self
                    .peek_nth(1)
                    .is_none_or(|n| !(n.is_alphabetic() || matches!(n, '_' | '$' | '(' | '\'' | '"'))) =>
            {
                self.pos = start;
                Ok(None)
            }
            _ => Ok(Some(expr)),
        }
    }

    /// A word with variables, sub-expressions and quoted pieces in it.
    fn word(&mut self) -> Res<Option<Expr>> {
        let start = self.pos;
        let mut parts = Parts::default();
        while let Some(c) = self.peek() {
            if ends_word(c) {
                break;
            }
            match c {
                '`' => {
                    if self.peek_nth(1).is_some_and(is_newline) {
                        break;
                    }
                    self.escape(&mut parts)?;
                }
                '$' if self.peek_nth(1) == Some('(') => {
                    let expr = self.sub_expression()?;
                    parts.expr(expr);
                }
                '$' => match self.variable(false)? {
                    Some(expr) => parts.expr(expr),
                    None => {
                        self.bump();
                        parts.push('$');
                    }
                },
                c if is_single_quote(c) => {
                    let quoted = self.single_quoted()?;
                    parts.append(quoted);
                }
                c if is_double_quote(c) => {
                    let quoted = self.double_quoted()?;
                    parts.append(quoted);
                }
                _ => {
                    self.bump();
                    parts.push(c);
                }
            }
        }
        if self.pos == start {
            return Ok(None);
        }
        Ok(Some(parts.finish(self.since(start), Quote::Bare)))
    }

    fn redirections(&mut self) -> Res<Vec<Redirection>> {
        let mut found = Vec::new();
        loop {
            let before = self.pos;
            self.skip_blanks()?;
            match self.redirection()? {
                Some(r) => found.push(r),
                None => {
                    self.pos = before;
                    return Ok(found);
                }
            }
        }
    }

    /// `>`, `>>`, `2>`, `2>&1`, `*>` here.
    fn redirection(&mut self) -> Res<Option<Redirection>> {
        let start = self.pos;
        let rest = self.rest();
        let (from, len) = match rest.as_bytes() {
            [b'>', ..] => (Stream::Output, 0),
            [b'*', b'>', ..] => (Stream::All, 1),
            [d @ b'1'..=b'6', b'>', ..] => (
                match d {
                    b'1' => Stream::Output,
                    b'2' => Stream::Error,
                    b'3' => Stream::Warning,
                    b'4' => Stream::Verbose,
                    b'5' => Stream::Debug,
                    _ => Stream::Information,
                },
                1,
            ),
            _ => return Ok(None),
        };
        self.pos += len + 1;
        if self.at("&") && self.peek_nth(1).is_some_and(|c| c == '1' || c == '2') {
            let to_output = self.peek_nth(1) == Some('1');
            self.pos += 2;
            let span = self.since(start);
            if !to_output {
                let text = self.source.slice(span).to_string();
                return self.fail(
                    span,
                    "RedirectionNotSupported",
                    format!("The '{text}' operator is reserved for future use."),
                );
            }
            return Ok(Some(Redirection { span, from, to: RedirectTarget::Output }));
        }
        let append = self.eat(">");
        let op_end = self.pos;
        self.skip_blanks()?;
        let Some(path) = self.argument(false)? else {
            let span = Span::new(op_end, op_end);
            return self.fail_incomplete(
                span,
                "MissingFileSpecification",
                "Missing file specification after redirection operator.",
            );
        };
        Ok(Some(Redirection { span: self.since(start), from, to: RedirectTarget::File { path, append } }))
    }
}

/// What stands at the start of a pipeline statement.
enum Start {
    Pipeline(Pipeline),
    Assignment(Statement),
}

/// The part of a left side that cannot be assigned to.
fn invalid_part(expr: &Expr) -> Span {
    match &expr.kind {
        ExprKind::Array(items) => items.iter().find(|e| !is_assignable(e)).map_or(expr.span, invalid_part),
        _ => expr.span,
    }
}
