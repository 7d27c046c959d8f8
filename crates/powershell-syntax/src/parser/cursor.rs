//! Characters, blanks and comments.

use super::{Parser, Res};
use crate::ast::Requirement;
use crate::source::Span;

pub(crate) fn is_single_quote(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

pub(crate) fn is_double_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

pub(crate) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2013}' | '\u{2014}' | '\u{2015}')
}

pub(crate) fn is_blank(c: char) -> bool {
    c != '\n' && c != '\r' && (c.is_whitespace() || c == '\u{85}')
}

pub(crate) fn is_newline(c: char) -> bool {
    c == '\n' || c == '\r'
}

/// Ends a word in command mode.
pub(crate) fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '&' | '(' | ')' | ',' | ';' | '{' | '|' | '}' | '<' | '>')
}

pub(crate) fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Characters of a variable's name without braces.
pub(crate) fn is_variable_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '?'
}

impl Parser<'_> {
    pub(crate) fn rest(&self) -> &str {
        self.text.get(self.pos..self.end).unwrap_or("")
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character `n` after the next one.
    pub(crate) fn peek_nth(&self, n: usize) -> Option<char> {
        self.rest().chars().nth(n)
    }

    pub(crate) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    pub(crate) fn at(&self, s: &str) -> bool {
        self.rest().starts_with(s)
    }

    pub(crate) fn eat(&mut self, s: &str) -> bool {
        let yes = self.at(s);
        if yes {
            self.pos += s.len();
        }
        yes
    }

    pub(crate) fn at_end(&self) -> bool {
        self.pos >= self.end
    }

    /// Skips blanks, comments and continued lines.
    pub(crate) fn skip_blanks(&mut self) -> Res<()> {
        loop {
            match self.peek() {
                Some(c) if is_blank(c) => self.pos += c.len_utf8(),
                Some('`') => match self.peek_nth(1) {
                    Some('\r') => self.pos += if self.peek_nth(2) == Some('\n') { 3 } else { 2 },
                    Some('\n') => self.pos += 2,
                    Some(c) if is_blank(c) => self.pos += 1 + c.len_utf8(),
                    _ => return Ok(()),
                },
                Some('#') => self.skip_line_comment(),
                Some('<') if self.at("<#") => self.skip_block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line_comment(&mut self) {
        let start = self.pos;
        let len = self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
        self.pos += len;
        self.comments.push(Span::new(start, self.pos));
    }

    fn skip_block_comment(&mut self) -> Res<()> {
        let start = self.pos;
        match self.rest().find("#>") {
            Some(len) => {
                self.pos += len + 2;
                self.comments.push(Span::new(start, self.pos));
                Ok(())
            }
            None => {
                self.pos = self.end;
                let line_end = self.text[start..self.end].trim_end_matches(['\n', '\r']).len() + start;
                self.fail_incomplete(
                    Span::new(start, line_end),
                    "MissingTerminatorMultiLineComment",
                    "The terminator '#>' is missing from the multiline comment.",
                )
            }
        }
    }

    /// Skips blanks, comments and line ends.
    pub(crate) fn skip_newlines(&mut self) -> Res<()> {
        loop {
            self.skip_blanks()?;
            match self.peek() {
                Some(c) if is_newline(c) => self.pos += 1,
                _ => return Ok(()),
            }
        }
    }

    /// Skips blanks, comments, line ends and semicolons.
    pub(crate) fn skip_terminators(&mut self) -> Res<()> {
        loop {
            self.skip_newlines()?;
            if !self.eat(";") {
                return Ok(());
            }
        }
    }

    /// The word here as a keyword would be cut: lower case.
    pub(crate) fn peek_keyword(&self) -> String {
        let mut chars = self.rest().chars();
        match chars.next() {
            Some(c) if is_name_start(c) => {}
            _ => return String::new(),
        }
        let word: String = self.rest().chars().take_while(|c| !ends_word(*c) && *c != '[').collect();
        word.to_ascii_lowercase()
    }

    /// Takes a keyword if it stands here.
    pub(crate) fn eat_keyword(&mut self, keyword: &str) -> bool {
        let yes = self.peek_keyword() == keyword;
        if yes {
            self.pos += keyword.len();
        }
        yes
    }

    /// Span of the token that starts here, for "unexpected token" messages.
    pub(crate) fn token_span(&self) -> Span {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return self.here() };
        if is_newline(first) {
            return self.here();
        }
        let len = if is_single_quote(first) || is_double_quote(first) {
            rest.char_indices()
                .skip(1)
                .find(|(_, c)| *c == first)
                .map_or(rest.len(), |(i, c)| i + c.len_utf8())
        } else if is_name(first) || first == '.' || first == '$' || is_dash(first) || first == ':' {
            let mut len = first.len_utf8();
            for c in rest.chars().skip(1) {
                let stop = ends_word(c)
                    || matches!(c, '[' | ']' | '=' | '+' | '*' | '/' | '%' | '\'' | '"')
                    || (c == '.' && first != '$')
                    || (first == '$' && !is_variable_name(c) && c != ':');
                if stop {
                    break;
                }
                len += c.len_utf8();
            }
            len
        } else {
            first.len_utf8()
        };
        Span::new(self.pos, self.pos + len)
    }

    /// The error for anything that does not belong here.
    pub(crate) fn unexpected<T>(&mut self) -> Res<T> {
        let span = self.token_span();
        let text = self.source.slice(span).to_string();
        self.fail(span, "UnexpectedToken", format!("Unexpected token '{text}' in expression or statement."))
    }

    /// The `#requires` lines among the comments.
    pub(crate) fn requirements(&self) -> Vec<Requirement> {
        let mut found = Vec::new();
        for span in &self.comments {
            let text = self.source.slice(*span);
            let Some(rest) =
                text.get(..9).filter(|t| t.eq_ignore_ascii_case("#requires")).map(|_| &text[9..])
            else {
                continue;
            };
            if !rest.starts_with(|c: char| c.is_whitespace()) {
                continue;
            }
            let mut words = rest.split_whitespace().peekable();
            while let Some(word) = words.next() {
                let mut values = Vec::new();
                while let Some(w) = words.peek() {
                    if w.starts_with('-') {
                        break;
                    }
                    values.extend(
                        w.split(',')
                            .map(|v| v.trim_matches(['\'', '"']).to_string())
                            .filter(|v| !v.is_empty()),
                    );
                    words.next();
                }
                let name = word.trim_start_matches('-').to_ascii_lowercase();
                if name.is_empty() {
                    continue;
                }
                if "version".starts_with(&name) {
                    found.extend(values.first().map(|v| Requirement::Version(v.clone())));
                } else if "modules".starts_with(&name) {
                    found.push(Requirement::Modules(values));
                } else if "psedition".starts_with(&name) {
                    found.extend(values.first().map(|v| Requirement::Edition(v.clone())));
                } else if "runasadministrator".starts_with(&name) {
                    found.push(Requirement::Administrator);
                }
            }
        }
        found
    }
}
