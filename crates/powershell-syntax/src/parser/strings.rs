//! Variables, quoted strings and here-strings.

use super::cursor::{is_blank, is_double_quote, is_newline, is_single_quote, is_variable_name};
use super::{Parser, Res};
use crate::ast::{Expr, ExprKind, Quote, StringPart, VariablePath};
use crate::source::Span;

/// Splits `drive:name`.
fn split_path(text: &str) -> VariablePath {
    match text.split_once(':') {
        Some((drive, name)) if !drive.is_empty() && !name.starts_with(':') => {
            VariablePath { drive: Some(drive.to_string()), name: name.to_string() }
        }
        _ => VariablePath { drive: None, name: text.to_string() },
    }
}

impl Parser<'_> {
    /// `$name`, `${name}`, `$$`, `$?`, `$^` here; `None` when `$` does not start a variable.
    pub(crate) fn variable(&mut self, in_string: bool) -> Res<Option<Expr>> {
        let start = self.pos;
        let Some(after) = self.peek_nth(1) else { return Ok(None) };
        if after == '{' {
            self.pos += 2;
            let mut name = String::new();
            loop {
                match self.bump() {
                    Some('}') => break,
                    Some('`') => name.extend(self.bump()),
                    Some(c) => name.push(c),
                    None => {
                        let span = self.since(start);
                        return self.fail_incomplete(
                            span,
                            "IncompleteDollarVariableReference",
                            "Incomplete variable reference token.",
                        );
                    }
                }
            }
            if name.is_empty() {
                let span = Span::new(start, self.pos);
                return self.fail(
                    span,
                    "EmptyVariableReference",
                    "Empty ${} variable reference, there must be a name inside.",
                );
            }
            return Ok(Some(self.variable_expr(start, split_path(&name), '$')));
        }
        self.name_after_sigil('$', in_string)
    }

    /// `@name` (splatting) here.
    pub(crate) fn splatted_variable(&mut self) -> Res<Option<Expr>> {
        self.name_after_sigil('@', false)
    }

    fn name_after_sigil(&mut self, sigil: char, in_string: bool) -> Res<Option<Expr>> {
        let start = self.pos;
        let Some(after) = self.peek_nth(1) else { return Ok(None) };
        if sigil == '$' && matches!(after, '$' | '^') {
            self.pos += 2;
            return Ok(Some(self.variable_expr(
                start,
                VariablePath { drive: None, name: after.to_string() },
                sigil,
            )));
        }
        if after == '?' {
            self.pos += 2;
            if sigil == '@' {
                self.pos = start;
                return Ok(None);
            }
            return Ok(Some(self.variable_expr(
                start,
                VariablePath { drive: None, name: "?".into() },
                sigil,
            )));
        }
        if !(is_variable_name(after) || after == ':' && self.peek_nth(2).is_some_and(is_variable_name)) {
            return Ok(None);
        }
        self.pos += 1;
        let name_start = self.pos;
        let mut drive_end = None;
        while let Some(c) = self.peek() {
            if is_variable_name(c) {
                self.pos += c.len_utf8();
            } else if c == ':' && drive_end.is_none() {
                let next = self.peek_nth(1);
                if next == Some(':') {
                    break;
                }
                if next.is_some_and(is_variable_name) {
                    drive_end = Some(self.pos);
                    self.pos += 1;
                } else if in_string || self.in_ternary == 0 {
                    if in_string {
                        let span = Span::new(start, self.pos + 1);
                        return self.fail(
                            span,
                            "InvalidVariableReferenceWithDrive",
                            "Variable reference is not valid. ':' was not followed by a valid variable name \
                             character. Consider using ${} to delimit the name.",
                        );
                    }
                    break;
                } else {
                    break;
                }
            } else {
                break;
            }
        }
        let text = self.text[name_start..self.pos].to_string();
        let path = match drive_end {
            Some(end) if end > name_start => VariablePath {
                drive: Some(self.text[name_start..end].to_string()),
                name: self.text[end + 1..self.pos].to_string(),
            },
            Some(_) => VariablePath { drive: None, name: text.trim_start_matches(':').to_string() },
            None => VariablePath { drive: None, name: text },
        };
        Ok(Some(self.variable_expr(start, path, sigil)))
    }

    fn variable_expr(&self, start: usize, path: VariablePath, sigil: char) -> Expr {
        let span = self.since(start);
        if path.drive.as_deref().is_some_and(|d| d.eq_ignore_ascii_case("using")) {
            let inner = Expr {
                span,
                kind: ExprKind::Variable {
                    path: VariablePath { drive: None, name: path.name },
                    splatted: sigil == '@',
                },
            };
            return Expr { span, kind: ExprKind::Using(Box::new(inner)) };
        }
        Expr { span, kind: ExprKind::Variable { path, splatted: sigil == '@' } }
    }

    /// `'…'` here.
    pub(crate) fn single_quoted(&mut self) -> Res<Expr> {
        let start = self.pos;
        self.bump();
        let mut value = String::new();
        loop {
            match self.bump() {
                Some(c) if is_single_quote(c) => match self.peek() {
                    Some(d) if is_single_quote(d) => {
                        self.bump();
                        value.push(d);
                    }
                    _ => break,
                },
                Some(c) => value.push(c),
                None => return self.unterminated(start, "'"),
            }
        }
        Ok(Expr { span: self.since(start), kind: ExprKind::String(value, Quote::Single) })
    }

    fn unterminated<T>(&mut self, start: usize, what: &str) -> Res<T> {
        self.pos = self.end;
        let end = start + self.text[start..self.end].trim_end_matches(['\n', '\r']).len();
        self.fail_incomplete(
            Span::new(start, end),
            "TerminatorExpectedAtEndOfString",
            format!("The string is missing the terminator: {what}."),
        )
    }

    /// `"…"` here.
    pub(crate) fn double_quoted(&mut self) -> Res<Expr> {
        let start = self.pos;
        self.bump();
        let mut parts = Parts::default();
        loop {
            match self.peek() {
                Some(c) if is_double_quote(c) => {
                    self.bump();
                    match self.peek() {
                        Some(d) if is_double_quote(d) => {
                            self.bump();
                            parts.push(d);
                        }
                        _ => break,
                    }
                }
                Some('`') => self.escape(&mut parts)?,
                Some('$') => self.expansion(&mut parts)?,
                Some(c) => {
                    self.bump();
                    parts.push(c);
                }
                None => return self.unterminated(start, "\""),
            }
        }
        Ok(parts.finish(self.since(start), Quote::Double))
    }

    /// A `$` in an expandable string or word.
    pub(crate) fn expansion(&mut self, parts: &mut Parts) -> Res<()> {
        if self.peek_nth(1) == Some('(') {
            let expr = self.sub_expression()?;
            parts.expr(expr);
            return Ok(());
        }
        match self.variable(true)? {
            Some(expr) => parts.expr(expr),
            None => {
                self.bump();
                parts.push('$');
            }
        }
        Ok(())
    }

    /// A backtick escape.
    pub(crate) fn escape(&mut self, parts: &mut Parts) -> Res<()> {
        let start = self.pos;
        self.bump();
        let Some(c) = self.bump() else { return Ok(()) };
        let value = match c {
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'u' if self.peek() == Some('{') => {
                self.bump();
                let digits: String = self.rest().chars().take_while(char::is_ascii_hexdigit).collect();
                let after = self.rest()[digits.len()..].chars().next();
                let value = u32::from_str_radix(&digits, 16).ok();
                if digits.is_empty() || after != Some('}') {
                    let span = self.since(start);
                    return self.fail(
                        span,
                        "InvalidUnicodeEscapeSequence",
                        "The Unicode escape sequence is not valid. A valid sequence is `u{ followed by one to \
                         six hex digits and a closing '}'.",
                    );
                }
                self.pos += digits.len() + 1;
                match value.filter(|v| *v <= 0x10_ffff) {
                    Some(v) => char::from_u32(v).unwrap_or('\u{fffd}'),
                    None => {
                        let span = self.since(start);
                        return self.fail(
                            span,
                            "InvalidUnicodeEscapeSequenceValue",
                            "The Unicode escape sequence value is out of range. The maximum value is 0x10FFFF.",
                        );
                    }
                }
            }
            '\r' => {
                self.eat("\n");
                return Ok(());
            }
            '\n' => return Ok(()),
            c => c,
        };
        parts.push(value);
        Ok(())
    }

    /// `@'` or `@"` here, if what follows on the line is blank.
    pub(crate) fn here_string(&mut self) -> Res<Expr> {
        let start = self.pos;
        self.bump();
        let double = self.bump().is_some_and(is_double_quote);
        while self.peek().is_some_and(is_blank) {
            self.bump();
        }
        if !self.peek().is_some_and(is_newline) {
            let span = if self.at_end() { self.since(start) } else { Span::new(self.pos, self.pos + 1) };
            return self.fail_incomplete(
                span,
                "UnexpectedCharactersAfterHereStringHeader",
                "No characters are allowed after a here-string header but before the end of the line.",
            );
        }
        if !self.eat("\r\n") {
            self.bump();
        }
        let body_start = self.pos;
        let is_quote = if double { is_double_quote } else { is_single_quote };
        // Find the line that starts with the terminator.
        let mut line = body_start;
        let mut indented: Option<Span> = None;
        let (body_end, close_end) = loop {
            let rest = &self.text[line..self.end];
            let mut chars = rest.chars();
            if let Some(q) = chars.next()
                && is_quote(q)
                && chars.next() == Some('@')
            {
                break (line, line + q.len_utf8() + 1);
            }
            let trimmed = rest.trim_start_matches(is_blank);
            let mut chars = trimmed.chars();
            if indented.is_none()
                && let Some(q) = chars.next()
                && is_quote(q)
                && chars.next() == Some('@')
            {
                let at = line + rest.len() - trimmed.len();
                indented = Some(Span::new(at, at + q.len_utf8() + 1));
            }
            match rest.find('\n') {
                Some(n) => line += n + 1,
                None => {
                    self.pos = self.end;
                    if let Some(span) = indented {
                        return self.fail_incomplete(
                            span,
                            "WhitespaceBeforeHereStringFooter",
                            "White space is not allowed before the string terminator.",
                        );
                    }
                    let end = start + self.text[start..self.end].trim_end_matches(['\n', '\r']).len();
                    let what = if double { "\"@" } else { "'@" };
                    return self.fail_incomplete(
                        Span::new(start, end),
                        "TerminatorExpectedAtEndOfString",
                        format!("The string is missing the terminator: {what}."),
                    );
                }
            }
        };
        let mut content_end = body_end;
        if content_end > body_start {
            content_end -= 1;
            if content_end > body_start && self.text.as_bytes()[content_end - 1] == b'\r' {
                content_end -= 1;
            }
        }
        let expr = if double {
            let saved = self.end;
            self.end = content_end;
            let mut parts = Parts::default();
            while let Some(c) = self.peek() {
                match c {
                    '`' => self.escape(&mut parts)?,
                    '$' => self.expansion(&mut parts)?,
                    _ => {
                        self.bump();
                        parts.push(c);
                    }
                }
            }
            self.end = saved;
            self.pos = close_end;
            parts.finish(self.since(start), Quote::DoubleHere)
        } else {
            let value = self.text[body_start..content_end.max(body_start)].to_string();
            self.pos = close_end;
            Expr { span: self.since(start), kind: ExprKind::String(value, Quote::SingleHere) }
        };
        Ok(expr)
    }
}

/// An expandable string being put together.
#[derive(Default)]
pub(crate) struct Parts {
    parts: Vec<StringPart>,
    text: String,
}

impl Parts {
    pub(crate) fn push(&mut self, c: char) {
        self.text.push(c);
    }

    pub(crate) fn expr(&mut self, expr: Expr) {
        if !self.text.is_empty() {
            self.parts.push(StringPart::Text(std::mem::take(&mut self.text)));
        }
        self.parts.push(StringPart::Expr(expr));
    }

    pub(crate) fn append(&mut self, expr: Expr) {
        match expr.kind {
            ExprKind::String(s, _) => self.text.push_str(&s),
            ExprKind::Expandable(parts, _) => {
                for part in parts {
                    match part {
                        StringPart::Text(t) => self.text.push_str(&t),
                        StringPart::Expr(e) => self.expr(e),
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn finish(mut self, span: Span, quote: Quote) -> Expr {
        if self.parts.is_empty() {
            return Expr { span, kind: ExprKind::String(self.text, quote) };
        }
        if !self.text.is_empty() {
            self.parts.push(StringPart::Text(self.text));
        }
        Expr { span, kind: ExprKind::Expandable(self.parts, quote) }
    }
}
