//! Expressions: operators by precedence, unary operators, primaries and what follows them.

use super::cursor::{is_blank, is_dash, is_double_quote, is_name, is_name_start, is_single_quote};
use super::numbers::NumberMode;
use super::{Parser, Res};
use crate::ast::{BinaryOp, Case, Expr, ExprKind, Quote, UnaryOp};
use crate::source::Span;

const LOGICAL: u8 = 1;
const BITWISE: u8 = 2;
const COMPARISON: u8 = 5;
const COALESCE: u8 = 7;
const ADDITIVE: u8 = 9;
const MULTIPLICATIVE: u8 = 10;
const FORMAT: u8 = 12;
const RANGE: u8 = 13;

/// Looks up a dash operator: lower case, without the dash.
fn dash_operator(name: &str) -> Option<(BinaryOp, u8)> {
    use BinaryOp as B;
    let fixed = match name {
        "and" => (B::And, LOGICAL),
        "or" => (B::Or, LOGICAL),
        "xor" => (B::Xor, LOGICAL),
        "band" => (B::BAnd, BITWISE),
        "bor" => (B::BOr, BITWISE),
        "bxor" => (B::BXor, BITWISE),
        "shl" => (B::Shl, COMPARISON),
        "shr" => (B::Shr, COMPARISON),
        "is" => (B::Is, COMPARISON),
        "isnot" => (B::IsNot, COMPARISON),
        "as" => (B::As, COMPARISON),
        "join" => (B::Join, COMPARISON),
        "f" => (B::Format, FORMAT),
        _ => return case_operator(name).map(|op| (op, COMPARISON)),
    };
    Some(fixed)
}

fn case_operator(name: &str) -> Option<BinaryOp> {
    let make = |name: &str, case: Case| {
        use BinaryOp as B;
        Some(match name {
            "eq" => B::Eq(case),
            "ne" => B::Ne(case),
            "gt" => B::Gt(case),
            "ge" => B::Ge(case),
            "lt" => B::Lt(case),
            "le" => B::Le(case),
            "like" => B::Like(case),
            "notlike" => B::NotLike(case),
            "match" => B::Match(case),
            "notmatch" => B::NotMatch(case),
            "replace" => B::Replace(case),
            "split" => B::Split(case),
            "contains" => B::Contains(case),
            "notcontains" => B::NotContains(case),
            "in" => B::In(case),
            "notin" => B::NotIn(case),
            _ => return None,
        })
    };
    make(name, Case::Insensitive)
        .or_else(|| make(name.strip_prefix('c')?, Case::Sensitive))
        .or_else(|| make(name.strip_prefix('i')?, Case::Insensitive))
}

impl Parser<'_> {
    /// An expression here; an error when there is none.
    pub(crate) fn expression(&mut self) -> Res<Expr> {
        self.enter()?;
        let expr = self.ternary();
        self.leave();
        expr
    }

    fn ternary(&mut self) -> Res<Expr> {
        let condition = self.binary(0)?;
        let after = self.pos;
        self.skip_blanks()?;
        let is_ternary = self.peek() == Some('?') && !matches!(self.peek_nth(1), Some('?' | '.' | '['))
            || self.peek() == Some('?') && self.peek_nth(1) == Some('[') && self.pos > after;
        if !is_ternary {
            self.pos = after;
            return Ok(condition);
        }
        self.pos += 1;
        self.skip_newlines()?;
        self.in_ternary += 1;
        let yes = self.ternary_branch('?')?;
        self.in_ternary -= 1;
        self.skip_newlines()?;
        if !self.eat(":") {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingColonInTernaryExpression",
                "Missing ':' in the ternary expression.",
            );
        }
        self.skip_newlines()?;
        let no = self.ternary_branch(':')?;
        let span = condition.span.to(no.span);
        Ok(Expr { span, kind: ExprKind::Ternary(Box::new(condition), Box::new(yes), Box::new(no)) })
    }

    fn ternary_branch(&mut self, after: char) -> Res<Expr> {
        if !self.starts_expression() {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "ExpectedValueExpression",
                format!("You must provide a value expression following the '{after}' operator."),
            );
        }
        self.expression()
    }

    /// The binary operator here with its precedence; `pos` is moved past it.
    fn binary_operator(&mut self) -> Res<Option<(BinaryOp, u8, Span)>> {
        use BinaryOp as B;
        let start = self.pos;
        let Some(c) = self.peek() else { return Ok(None) };
        let next = self.peek_nth(1);
        let (op, precedence, len) = match c {
            '.' if next == Some('.') => (B::Range, RANGE, 2),
            '?' if next == Some('?') && self.peek_nth(2) != Some('=') => (B::Coalesce, COALESCE, 2),
            '*' if !matches!(next, Some('=' | '>')) => (B::Mul, MULTIPLICATIVE, 1),
            '/' if next != Some('=') => (B::Div, MULTIPLICATIVE, 1),
            '%' if next != Some('=') => (B::Rem, MULTIPLICATIVE, 1),
            '+' if next != Some('=') && next != Some('+') => (B::Add, ADDITIVE, 1),
            c if is_dash(c) && next != Some('=') => {
                if next.is_some_and(|n| n.is_ascii_alphabetic()) {
                    let word: String =
                        self.rest().chars().skip(1).take_while(|c| c.is_ascii_alphabetic()).collect();
                    let word_lower = word.to_ascii_lowercase();
                    let Some((op, precedence)) = dash_operator(&word_lower) else {
                        return self.unexpected();
                    };
                    (op, precedence, c.len_utf8() + word.len())
                } else if next.is_some_and(is_dash) {
                    return Ok(None);
                } else {
                    (B::Sub, ADDITIVE, c.len_utf8())
                }
            }
            _ => return Ok(None),
        };
        self.pos += len;
        Ok(Some((op, precedence, self.since(start))))
    }

    fn binary(&mut self, minimum: u8) -> Res<Expr> {
        self.beside(|parser| parser.binary_chain(minimum))
    }

    fn binary_chain(&mut self, minimum: u8) -> Res<Expr> {
        let mut left = self.array_literal()?;
        loop {
            let before = self.pos;
            self.skip_blanks()?;
            let Some((op, precedence, op_span)) = self.binary_operator()? else {
                self.pos = before;
                return Ok(left);
            };
            if precedence <= minimum {
                self.pos = before;
                return Ok(left);
            }
            self.skip_newlines()?;
            if !self.starts_expression() {
                let text = self.source.slice(op_span).to_string();
                let span = Span::new(op_span.end as usize, op_span.end as usize);
                return self.fail_incomplete(
                    span,
                    "ExpectedValueExpression",
                    format!("You must provide a value expression following the '{text}' operator."),
                );
            }
            self.enter()?;
            let right = self.binary(precedence)?;
            self.leave();
            self.link()?;
            let span = left.span.to(right.span);
            left = Expr {
                span,
                kind: ExprKind::Binary { op, op_span, left: Box::new(left), right: Box::new(right) },
            };
        }
    }

    fn array_literal(&mut self) -> Res<Expr> {
        let first = self.unary(false)?;
        if self.no_comma {
            return Ok(first);
        }
        let before = self.pos;
        self.skip_blanks()?;
        if self.peek() != Some(',') {
            self.pos = before;
            return Ok(first);
        }
        let start = first.span;
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
            if !self.starts_expression() {
                let span = Span::new(comma_end, comma_end);
                return self.fail_incomplete(
                    span,
                    "MissingExpressionAfterToken",
                    "Missing expression after ','.",
                );
            }
            items.push(self.unary(false)?);
        }
        let span = start.to(items.last().map_or(start, |e| e.span));
        Ok(Expr { span, kind: ExprKind::Array(items) })
    }

    /// Whether what stands here can start an expression (in expression mode).
    pub(crate) fn starts_expression(&mut self) -> bool {
        let Some(c) = self.peek() else { return false };
        let next = self.peek_nth(1);
        match c {
            '+' | '!' | ',' => true,
            c if is_dash(c) => {
                if next.is_some_and(|n| n.is_ascii_alphabetic()) {
                    self.unary_word().is_some()
                } else {
                    next.is_some()
                }
            }
            _ => self.starts_operand(),
        }
    }

    /// Whether a primary or a unary operator other than a sign starts here (what a cast takes).
    pub(crate) fn starts_operand(&mut self) -> bool {
        let Some(c) = self.peek() else { return false };
        let next = self.peek_nth(1);
        match c {
            '(' | '{' | '[' => true,
            c if is_single_quote(c) || is_double_quote(c) => true,
            '$' => {
                next == Some('(')
                    || next == Some('{')
                    || next
                        .is_some_and(|n| super::cursor::is_variable_name(n) || matches!(n, '$' | '^' | ':'))
            }
            '@' => {
                matches!(next, Some('(' | '{'))
                    || next.is_some_and(|n| {
                        is_single_quote(n) || is_double_quote(n) || super::cursor::is_variable_name(n)
                    })
            }
            '+' | '!' | ',' => true,
            c if is_dash(c) => {
                if next.is_some_and(|n| n.is_ascii_alphabetic()) {
                    self.unary_word().is_some()
                } else {
                    next.is_some_and(|n| !n.is_whitespace() && n != '=')
                }
            }
            c if c.is_ascii_digit() || c == '.' && next.is_some_and(|n| n.is_ascii_digit()) => {
                let at = self.pos;
                let yes = self.number(NumberMode::Expression).is_some();
                self.pos = at;
                yes
            }
            _ => false,
        }
    }

    /// A unary dash operator here.
    fn unary_word(&self) -> Option<(UnaryOp, usize)> {
        let first = self.peek()?;
        let word: String = self.rest().chars().skip(1).take_while(|c| c.is_ascii_alphabetic()).collect();
        let op = match word.to_ascii_lowercase().as_str() {
            "not" => UnaryOp::Not,
            "bnot" => UnaryOp::BNot,
            "split" | "isplit" => UnaryOp::Split(Case::Insensitive),
            "csplit" => UnaryOp::Split(Case::Sensitive),
            "join" => UnaryOp::Join,
            _ => return None,
        };
        Some((op, first.len_utf8() + word.len()))
    }

    /// A unary expression; `cast` when it is what a cast is applied to.
    pub(crate) fn unary(&mut self, cast: bool) -> Res<Expr> {
        let start = self.pos;
        let Some(c) = self.peek() else { return self.missing_expression() };
        let next = self.peek_nth(1);
        let (op, len) = match c {
            '!' => (UnaryOp::Not, 1),
            ',' => (UnaryOp::Comma, 1),
            '+' if next == Some('+') => (UnaryOp::PreIncrement, 2),
            '+' => (UnaryOp::Plus, 1),
            c if is_dash(c) && next.is_some_and(is_dash) => (UnaryOp::PreDecrement, 2 * c.len_utf8()),
            c if is_dash(c) && next.is_some_and(|n| n.is_ascii_alphabetic()) => match self.unary_word() {
                Some(found) => found,
                None => return self.unexpected(),
            },
            c if is_dash(c) => {
                // A sign directly before digits belongs to the literal, unless a cast or member follows.
                if next.is_some_and(|n| n.is_ascii_digit() || n == '.')
                    && let Some(number) = self.signed_number()
                {
                    let expr = Expr { span: self.since(start), kind: ExprKind::Number(number) };
                    return self.postfix(expr, false);
                }
                (UnaryOp::Minus, c.len_utf8())
            }
            _ => return self.primary_with_postfix(cast),
        };
        self.pos += len;
        let op_end = self.pos;
        self.skip_newlines()?;
        if !self.starts_expression() {
            let text = self.text[start..op_end].to_string();
            let span = Span::new(op_end, op_end);
            return self.fail_incomplete(
                span,
                "MissingExpressionAfterOperator",
                format!("Missing expression after unary operator '{text}'."),
            );
        }
        self.enter()?;
        let operand = self.unary(false)?;
        self.leave();
        let span = Span::new(start, operand.span.end as usize);
        if matches!(op, UnaryOp::PreIncrement | UnaryOp::PreDecrement) && !is_assignable(&operand) {
            let text = &self.text[start..op_end];
            let message = format!("The '{text}' operator works only on variables or on properties.");
            self.report(operand.span, "OperatorRequiresVariableOrProperty", message);
        }
        Ok(Expr { span, kind: ExprKind::Unary(op, Box::new(operand)) })
    }

    fn signed_number(&mut self) -> Option<crate::ast::Number> {
        let at = self.pos;
        // Only ASCII minus is scanned together with the digits.
        let found = if self.peek() == Some('-') { self.number(NumberMode::Expression) } else { None };
        if found.is_none() {
            self.pos = at;
        }
        found
    }

    fn missing_expression<T>(&mut self) -> Res<T> {
        let span = self.here();
        self.fail_incomplete(span, "ExpectedExpression", "An expression was expected.")
    }

    fn primary_with_postfix(&mut self, cast: bool) -> Res<Expr> {
        self.beside(|parser| parser.primary_and_postfix(cast))
    }

    fn primary_and_postfix(&mut self, _cast: bool) -> Res<Expr> {
        if self.peek() == Some('[') {
            return match self.bracket_expression()? {
                Some(expr) => Ok(expr),
                None => {
                    let span = Span::new(self.pos + 1, self.pos + 1);
                    self.fail_incomplete(span, "MissingTypename", "Missing type name after '['.")
                }
            };
        }
        let Some(expr) = self.primary()? else { return self.unexpected() };
        self.postfix(expr, false)
    }

    /// A primary without what may follow it; `None` when nothing of the kind stands here.
    pub(crate) fn primary(&mut self) -> Res<Option<Expr>> {
        let start = self.pos;
        let Some(c) = self.peek() else { return Ok(None) };
        let next = self.peek_nth(1);
        let expr = match c {
            '(' => self.paren()?,
            '{' => {
                let block = self.script_block_literal()?;
                Expr { span: block.span, kind: ExprKind::ScriptBlock(std::sync::Arc::new(block)) }
            }
            '$' if next == Some('(') => self.sub_expression()?,
            '$' => match self.variable(false)? {
                Some(expr) => expr,
                None => return Ok(None),
            },
            '@' if next == Some('(') => {
                self.pos += 2;
                let body = self.statements_until(')', start, "MissingEndParenthesisInSubexpression")?;
                Expr { span: self.since(start), kind: ExprKind::ArrayExpr(body) }
            }
            '@' if next == Some('{') => self.hashtable()?,
            '@' if next.is_some_and(|n| is_single_quote(n) || is_double_quote(n)) => self.here_string()?,
            '@' => {
                let Some(expr) = self.splatted_variable()? else { return Ok(None) };
                let name = match &expr.kind {
                    ExprKind::Variable { path, .. } => path.display(),
                    _ => String::new(),
                };
                self.report(
                    expr.span,
                    "SplattingNotPermitted",
                    format!(
                        "The splatting operator '@' cannot be used to reference variables in an expression. \
                         '@{name}' can be used only as an argument to a command. To reference variables in an \
                         expression use '${name}'."
                    ),
                );
                expr
            }
            c if is_single_quote(c) => self.single_quoted()?,
            c if is_double_quote(c) => self.double_quoted()?,
            c if c.is_ascii_digit() || c == '.' => match self.number(NumberMode::Expression) {
                Some(number) => Expr { span: self.since(start), kind: ExprKind::Number(number) },
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(expr))
    }

    /// `( … )` here.
    pub(crate) fn paren(&mut self) -> Res<Expr> {
        let start = self.pos;
        self.pos += 1;
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        self.skip_newlines()?;
        if self.peek() == Some(')') || self.at_end() {
            let span = Span::new(start + 1, start + 1);
            return self.fail_incomplete(span, "ExpectedExpression", "An expression was expected after '('.");
        }
        self.enter()?;
        let statement = self.pipeline_statement()?;
        self.leave();
        self.skip_newlines()?;
        self.no_comma = saved;
        self.in_ternary = ternary;
        if !self.eat(")") {
            if self.at_end()
                || self.errors.is_empty() && matches!(self.peek(), Some('}' | ';'))
                || self.at_end()
            {
                let end = statement.span.end as usize;
                let span = Span::new(end, end);
                return self.fail_incomplete(
                    span,
                    "MissingEndParenthesisInExpression",
                    "Missing closing ')' in expression.",
                );
            }
            let end = statement.span.end as usize;
            let newline_between = self.text[end..self.pos].contains('\n');
            if newline_between {
                let span = Span::new(end, end);
                return self.fail(
                    span,
                    "MissingEndParenthesisInExpression",
                    "Missing closing ')' in expression.",
                );
            }
            return self.unexpected();
        }
        Ok(Expr { span: self.since(start), kind: ExprKind::Paren(Box::new(statement)) })
    }

    /// `$( … )` here.
    pub(crate) fn sub_expression(&mut self) -> Res<Expr> {
        let start = self.pos;
        self.pos += 2;
        let body = self.statements_until(')', start, "MissingEndParenthesisInSubexpression")?;
        Ok(Expr { span: self.since(start), kind: ExprKind::SubExpr(body) })
    }

    fn hashtable(&mut self) -> Res<Expr> {
        let start = self.pos;
        self.pos += 2;
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        self.enter()?;
        let mut pairs: Vec<(Expr, crate::ast::Statement)> = Vec::new();
        loop {
            self.skip_terminators()?;
            if self.eat("}") {
                break;
            }
            if self.at_end() {
                let span = Span::new(start, start + 2);
                return self.fail_incomplete(
                    span,
                    "MissingEndCurlyBrace",
                    "The hash literal was incomplete.",
                );
            }
            let key = self.hash_key()?;
            self.skip_blanks()?;
            if !self.eat("=") {
                let end = key.span.end as usize;
                return self.fail_incomplete(
                    Span::new(end, end),
                    "MissingEqualsInHashLiteral",
                    "Missing '=' operator after key in hash literal.",
                );
            }
            let equals_end = self.pos;
            self.skip_newlines()?;
            if self.at_end() || matches!(self.peek(), Some('}' | ';')) {
                let span = Span::new(equals_end, equals_end);
                return self.fail_incomplete(
                    span,
                    "MissingStatementInHashLiteral",
                    "Missing statement after '=' in hash literal.",
                );
            }
            let value = self.statement()?;
            self.check_duplicate_key(&pairs, &key);
            pairs.push((key, value));
            self.skip_blanks()?;
            match self.peek() {
                Some(';' | '}' | '\n' | '\r') | None => {}
                _ => return self.unexpected(),
            }
        }
        self.leave();
        self.no_comma = saved;
        self.in_ternary = ternary;
        Ok(Expr { span: self.since(start), kind: ExprKind::Hashtable(pairs) })
    }

    fn check_duplicate_key(&mut self, pairs: &[(Expr, crate::ast::Statement)], key: &Expr) {
        let text_of = |e: &Expr| match &e.kind {
            ExprKind::String(s, _) => Some(s.clone()),
            ExprKind::Number(_) => Some(self.source.slice(e.span).to_string()),
            _ => None,
        };
        let same = |a: &Expr, b: &Expr| matches!((text_of(a), text_of(b)), (Some(a), Some(b)) if a.eq_ignore_ascii_case(&b));
        if pairs.iter().any(|(k, _)| same(k, key)) {
            let text = match &key.kind {
                ExprKind::String(s, _) => s.clone(),
                _ => self.source.slice(key.span).to_string(),
            };
            self.report(
                key.span,
                "DuplicateKeyInHashLiteral",
                format!("Duplicate keys '{text}' are not allowed in hash literals."),
            );
        }
    }

    /// A key: a bare word or an expression without operators at its top.
    fn hash_key(&mut self) -> Res<Expr> {
        let start = self.pos;
        if let Some(c) = self.peek()
            && (is_name_start(c) || c == '.')
        {
            let len: usize = self
                .rest()
                .chars()
                .take_while(|c| !c.is_whitespace() && !matches!(c, '=' | ';' | '}' | '{' | '(' | ')' | ','))
                .map(char::len_utf8)
                .sum();
            let word = self.text[start..start + len].to_string();
            self.pos += len;
            return Ok(Expr { span: self.since(start), kind: ExprKind::String(word, Quote::Bare) });
        }
        if !self.starts_expression() {
            return self.unexpected();
        }
        let saved = std::mem::replace(&mut self.no_comma, true);
        let key = self.unary(false)?;
        self.no_comma = saved;
        Ok(key)
    }

    /// Members, indexes, calls and `++` after an expression. `argument`: nothing blank may come between.
    pub(crate) fn postfix(&mut self, mut expr: Expr, argument: bool) -> Res<Expr> {
        loop {
            // The last turn adds nothing to the tree; one too many is no harm.
            self.link()?;
            let before = self.pos;
            let next = self.peek_nth(1);
            match self.peek() {
                Some('.') if next != Some('.') && self.member_follows(1) => {
                    self.pos += 1;
                    expr = self.member(expr, false, false)?;
                }
                Some(':') if next == Some(':') && self.member_follows(2) => {
                    self.pos += 2;
                    expr = self.member(expr, true, false)?;
                }
                Some('?') if next == Some('.') && self.member_follows(2) => {
                    self.pos += 2;
                    expr = self.member(expr, false, true)?;
                }
                Some('[') => expr = self.index(expr, false)?,
                Some('?') if next == Some('[') => {
                    self.pos += 1;
                    expr = self.index(expr, true)?;
                }
                Some('+') if next == Some('+') && !argument => {
                    expr = self.post_increment(expr, UnaryOp::PostIncrement)?;
                }
                Some('-') if next == Some('-') && !argument => {
                    expr = self.post_increment(expr, UnaryOp::PostDecrement)?;
                }
                Some(c) if !argument && (is_blank(c) || c == '\n' || c == '\r' || c == '`' || c == '#') => {
                    // `.Member` may stand on the next line.
                    self.skip_blanks()?;
                    if self.peek().is_some_and(|c| c == '\n' || c == '\r') {
                        self.skip_newlines()?;
                        let dotted = self.peek() == Some('.')
                            && self.peek_nth(1).is_some_and(|c| is_name_start(c) || c == '$')
                            || self.at("?.") && self.peek_nth(2).is_some_and(is_name_start)
                            || self.at("::") && self.peek_nth(2).is_some_and(is_name_start);
                        if !dotted || !self.dot_continues(before) {
                            self.pos = before;
                            break;
                        }
                        continue;
                    }
                    self.pos = before;
                    break;
                }
                _ => break,
            }
        }
        Ok(expr)
    }

    /// Whether a `.name` on a following line continues the expression: it does when it cannot be a
    /// command of its own (dot-sourcing needs a blank after the dot).
    fn dot_continues(&self, _before: usize) -> bool {
        true
    }

    /// Whether a member name can stand `skip` characters from here.
    fn member_follows(&self, skip: usize) -> bool {
        self.peek_nth(skip).is_some_and(|c| {
            is_name_start(c)
                || c.is_ascii_digit()
                || matches!(c, '$' | '(' | '{' | '\n' | '\r')
                || is_single_quote(c)
                || is_double_quote(c)
                || is_blank(c)
        })
    }

    fn post_increment(&mut self, expr: Expr, op: UnaryOp) -> Res<Expr> {
        let op_start = self.pos;
        self.pos += 2;
        if !is_assignable(&expr) {
            let text = &self.text[op_start..self.pos];
            let message = format!("The '{text}' operator works only on variables or on properties.");
            self.report(Span::new(op_start, self.pos), "OperatorRequiresVariableOrProperty", message);
        }
        let span = Span::new(expr.span.start as usize, self.pos);
        Ok(Expr { span, kind: ExprKind::Unary(op, Box::new(expr)) })
    }

    fn member(&mut self, target: Expr, is_static: bool, null_conditional: bool) -> Res<Expr> {
        self.skip_newlines()?;
        let start = self.pos;
        let Some(c) = self.peek() else {
            let span = self.here();
            return self.fail_incomplete(
                span,
                "MissingPropertyName",
                "Missing property name after reference operator.",
            );
        };
        let member = if is_name_start(c) || c.is_ascii_digit() {
            while let Some(c) = self.peek() {
                if !is_name(c) {
                    break;
                }
                self.pos += c.len_utf8();
            }
            let name = self.text[start..self.pos].to_string();
            Expr { span: self.since(start), kind: ExprKind::String(name, Quote::Bare) }
        } else {
            match self.primary()? {
                Some(expr) => expr,
                None => {
                    let span = Span::new(start, start);
                    return self.fail_incomplete(
                        span,
                        "MissingPropertyName",
                        "Missing property name after reference operator.",
                    );
                }
            }
        };
        let mut type_args = Vec::new();
        if self.peek() == Some('[') {
            let at = self.pos;
            let errors = self.errors.len();
            if let Ok(Some(args)) = self.generic_arguments() {
                type_args = args;
            } else {
                self.errors.truncate(errors);
                self.pos = at;
            }
        }
        if self.peek() == Some('(') {
            let args = self.method_arguments()?;
            let span = Span::new(target.span.start as usize, self.pos);
            return Ok(Expr {
                span,
                kind: ExprKind::Invoke {
                    target: Box::new(target),
                    member: Box::new(member),
                    args,
                    is_static,
                    null_conditional,
                    type_args,
                },
            });
        }
        // `$x.Where{…}` takes a script block as its only argument.
        if self.peek() == Some('{') {
            let block = self.script_block_literal()?;
            let arg = Expr { span: block.span, kind: ExprKind::ScriptBlock(std::sync::Arc::new(block)) };
            let span = Span::new(target.span.start as usize, self.pos);
            return Ok(Expr {
                span,
                kind: ExprKind::Invoke {
                    target: Box::new(target),
                    member: Box::new(member),
                    args: vec![arg],
                    is_static,
                    null_conditional,
                    type_args,
                },
            });
        }
        let span = Span::new(target.span.start as usize, self.pos);
        Ok(Expr {
            span,
            kind: ExprKind::Member {
                target: Box::new(target),
                member: Box::new(member),
                is_static,
                null_conditional,
            },
        })
    }

    fn generic_arguments(&mut self) -> Res<Option<Vec<crate::ast::TypeName>>> {
        self.pos += 1;
        let mut args = Vec::new();
        loop {
            self.skip_blanks()?;
            let Some(arg) = self.type_name()? else { return Ok(None) };
            args.push(arg);
            self.skip_blanks()?;
            if self.eat(",") {
                continue;
            }
            if self.eat("]") && self.peek() == Some('(') {
                return Ok(Some(args));
            }
            return Ok(None);
        }
    }

    pub(crate) fn method_arguments(&mut self) -> Res<Vec<Expr>> {
        self.pos += 1;
        let saved = std::mem::replace(&mut self.no_comma, true);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        let mut args = Vec::new();
        self.skip_newlines()?;
        if !self.eat(")") {
            loop {
                self.skip_newlines()?;
                if !self.starts_expression() {
                    if args.is_empty() {
                        let span = self.here();
                        return self.fail_incomplete(
                            span,
                            "MissingEndParenthesisInMethodCall",
                            "Missing ')' in method call.",
                        );
                    }
                    let span = self.here();
                    return self.fail_incomplete(
                        span,
                        "MissingExpressionAfterToken",
                        "Missing expression after ','.",
                    );
                }
                args.push(self.expression()?);
                self.skip_newlines()?;
                if self.eat(",") {
                    continue;
                }
                if self.eat(")") {
                    break;
                }
                let end = args.last().map_or(self.pos, |a| a.span.end as usize);
                let span = Span::new(end, end);
                return self.fail_incomplete(
                    span,
                    "MissingEndParenthesisInMethodCall",
                    "Missing ')' in method call.",
                );
            }
        }
        self.no_comma = saved;
        self.in_ternary = ternary;
        Ok(args)
    }

    fn index(&mut self, target: Expr, null_conditional: bool) -> Res<Expr> {
        self.pos += 1;
        let open_end = self.pos;
        let saved = std::mem::replace(&mut self.no_comma, false);
        let ternary = std::mem::replace(&mut self.in_ternary, 0);
        self.skip_newlines()?;
        if !self.starts_expression() {
            let span = Span::new(open_end, open_end);
            return self.fail_incomplete(
                span,
                "MissingArrayIndexExpression",
                "Array index expression is missing or not valid.",
            );
        }
        let index = self.expression()?;
        self.skip_newlines()?;
        self.no_comma = saved;
        self.in_ternary = ternary;
        if !self.eat("]") {
            let end = index.span.end as usize;
            return self.fail_incomplete(
                Span::new(end, end),
                "MissingEndSquareBracket",
                "Missing ']' after array index expression.",
            );
        }
        let span = Span::new(target.span.start as usize, self.pos);
        Ok(Expr {
            span,
            kind: ExprKind::Index { target: Box::new(target), index: Box::new(index), null_conditional },
        })
    }
}

/// Whether an expression can stand left of `=` or with `++`.
pub(crate) fn is_assignable(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Variable { .. } | ExprKind::Index { .. } | ExprKind::Error => true,
        ExprKind::Member { null_conditional, .. } => !null_conditional,
        ExprKind::Cast(_, e) | ExprKind::Attributed(_, e) => is_assignable(e),
        ExprKind::Array(items) => items.iter().all(is_assignable),
        ExprKind::Paren(s) => s.as_pure_expression().is_some_and(is_assignable),
        _ => false,
    }
}
