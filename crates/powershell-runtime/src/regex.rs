//! Regular expressions with .NET's syntax and meaning, over `fancy-regex`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use crate::value::{Error, ErrorCategory, Exception, Value};

/// `RegexOptions` flags the engine honours.
pub mod options {
    /// Compare without case.
    pub const IGNORE_CASE: i64 = 1;
    /// `^` and `$` match at lines.
    pub const MULTILINE: i64 = 2;
    /// Only named groups capture.
    pub const EXPLICIT_CAPTURE: i64 = 4;
    /// `.` matches a newline.
    pub const SINGLELINE: i64 = 16;
    /// Blanks and comments in the pattern do not count.
    pub const IGNORE_WHITESPACE: i64 = 32;
}

/// A compiled regular expression.
#[derive(Debug)]
pub struct Regex {
    pattern: String,
    options: i64,
    inner: fancy_regex::Regex,
    /// Group numbers as .NET counts them: position of each in `inner`, and its name.
    groups: Vec<(usize, String)>,
}

/// One match: the spans of its groups in .NET's numbering; group 0 is the whole.
#[derive(Clone, Debug)]
pub struct Match {
    /// Byte ranges by group number; `None` for a group that took no part.
    pub groups: Vec<Option<(usize, usize)>>,
}

impl Match {
    /// Byte range of the whole match.
    pub fn span(&self) -> (usize, usize) {
        self.groups.first().copied().flatten().unwrap_or((0, 0))
    }
}

type Cache = Mutex<HashMap<(String, i64), Arc<Regex>>>;
static CACHE: LazyLock<Cache> = LazyLock::new(|| Mutex::new(HashMap::new()));
const CACHE_LIMIT: usize = 256;

impl Regex {
    /// Compiles a pattern, or takes it from the cache.
    pub fn cached(pattern: &str, options: i64) -> Result<Arc<Self>, Error> {
        let key = (pattern.to_owned(), options);
        let mut cache = CACHE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = cache.get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(Self::new(pattern, options)?);
        if cache.len() >= CACHE_LIMIT {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&made));
        Ok(made)
    }

    /// Compiles a pattern with .NET's `RegexOptions`.
    pub fn new(pattern: &str, options: i64) -> Result<Self, Error> {
        check(pattern, options)?;
        let (translated, names) = translate(pattern, options);
        let mut flags = String::new();
        for (bit, letter) in
            [(options::IGNORE_CASE, 'i'), (options::MULTILINE, 'm'), (options::SINGLELINE, 's')]
        {
            if options & bit != 0 {
                flags.push(letter);
            }
        }
        let full = if flags.is_empty() { translated } else { format!("(?{flags}){translated}") };
        let inner = fancy_regex::RegexBuilder::new(&full)
            .backtrack_limit(10_000_000)
            .build()
            .map_err(|error| invalid(pattern, pattern.chars().count(), &error.to_string()))?;
        let mut groups = vec![(0, "0".to_owned())];
        let unnamed: Vec<usize> =
            names.iter().enumerate().filter(|(_, n)| n.is_none()).map(|(i, _)| i + 1).collect();
        for (number, position) in unnamed.iter().enumerate() {
            groups.push((*position, (number + 1).to_string()));
        }
        for (i, name) in names.iter().enumerate() {
            if let Some(name) = name {
                groups.push((i + 1, name.clone()));
            }
        }
        Ok(Self { pattern: pattern.to_owned(), options, inner, groups })
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The options as they were given.
    pub fn options(&self) -> i64 {
        self.options
    }

    /// Names of the groups in .NET's numbering (`0`, `1`, … for unnamed ones).
    pub fn group_names(&self) -> Vec<&str> {
        self.groups.iter().map(|(_, name)| name.as_str()).collect()
    }

    /// Group number for a name (or a number as text).
    pub fn group_number(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|(_, n)| n == name)
    }

    /// Whether the pattern is found.
    pub fn is_match(&self, text: &str) -> bool {
        self.inner.is_match(text).unwrap_or(false)
    }

    /// The first match at or after a byte position.
    pub fn find_at(&self, text: &str, start: usize) -> Option<Match> {
        if start > text.len() {
            return None;
        }
        let captures = self.inner.captures_from_pos(text, start).ok().flatten()?;
        let groups =
            self.groups.iter().map(|(i, _)| captures.get(*i).map(|m| (m.start(), m.end()))).collect();
        Some(Match { groups })
    }

    /// All matches, without overlap; after an empty one the search goes on one character further.
    pub fn find_all(&self, text: &str) -> Vec<Match> {
        let mut list = Vec::new();
        let mut at = 0;
        while let Some(found) = self.find_at(text, at) {
            let (start, end) = found.span();
            list.push(found);
            at = if end > start {
                end
            } else {
                match text.get(end..).and_then(|rest| rest.chars().next()) {
                    Some(c) => end + c.len_utf8(),
                    None => break,
                }
            };
        }
        list
    }

    /// Replaces up to `limit` matches by a .NET replacement pattern.
    pub fn replace(&self, text: &str, replacement: &str, limit: Option<usize>) -> String {
        let list = self.find_all(text);
        let mut out = String::new();
        let mut last = 0;
        for found in list.iter().take(limit.unwrap_or(usize::MAX)) {
            let (start, end) = found.span();
            out.push_str(text.get(last..start).unwrap_or(""));
            self.expand(text, found, replacement, &mut out);
            last = end;
        }
        out.push_str(text.get(last..).unwrap_or(""));
        out
    }

    /// Expands `$1`, `${name}`, `$&`, `$$`, `` $` ``, `$'`, `$+` and `$_` of a replacement pattern.
    pub fn expand(&self, text: &str, found: &Match, replacement: &str, out: &mut String) {
        let group = |n: usize| -> &str {
            found.groups.get(n).copied().flatten().and_then(|(s, e)| text.get(s..e)).unwrap_or("")
        };
        let chars: Vec<char> = replacement.chars().collect();
        let mut i = 0;
        while let Some(c) = chars.get(i).copied() {
            i += 1;
            if c != '$' {
                out.push(c);
                continue;
            }
            match chars.get(i).copied() {
                Some('$') => {
                    out.push('$');
                    i += 1;
                }
                Some('&') => {
                    out.push_str(group(0));
                    i += 1;
                }
                Some('`') => {
                    out.push_str(text.get(..found.span().0).unwrap_or(""));
                    i += 1;
                }
                Some('\'') => {
                    out.push_str(text.get(found.span().1..).unwrap_or(""));
                    i += 1;
                }
                Some('_') => {
                    out.push_str(text);
                    i += 1;
                }
                Some('+') => {
                    out.push_str(group(found.groups.len().saturating_sub(1)));
                    i += 1;
                }
                Some('{') => {
                    let name: String = chars.iter().skip(i + 1).take_while(|c| **c != '}').collect();
                    match self.group_number(&name) {
                        Some(number) if chars.get(i + 1 + name.chars().count()) == Some(&'}') => {
                            out.push_str(group(number));
                            i += name.chars().count() + 2;
                        }
                        _ => out.push('$'),
                    }
                }
                Some(d) if d.is_ascii_digit() => {
                    // The longest number that names a group.
                    let digits: String = chars.iter().skip(i).take_while(|c| c.is_ascii_digit()).collect();
                    let known = (1..=digits.len())
                        .rev()
                        .filter_map(|len| digits.get(..len))
                        .find_map(|d| self.group_number(d).map(|n| (n, d.len())));
                    match known {
                        Some((number, len)) => {
                            out.push_str(group(number));
                            i += len;
                        }
                        None => out.push('$'),
                    }
                }
                _ => out.push('$'),
            }
        }
    }

    /// Splits text at matches; captured groups become items, as in .NET.
    pub fn split(&self, text: &str, limit: Option<usize>) -> Vec<String> {
        let mut out = Vec::new();
        let mut last = 0;
        for found in self.find_all(text).iter().take(limit.map_or(usize::MAX, |n| n.saturating_sub(1))) {
            let (start, end) = found.span();
            out.push(text.get(last..start).unwrap_or("").to_owned());
            for (s, e) in found.groups.iter().skip(1).flatten() {
                out.push(text.get(*s..*e).unwrap_or("").to_owned());
            }
            last = end;
        }
        out.push(text.get(last..).unwrap_or("").to_owned());
        out
    }
}

/// `Regex.Escape`.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '*' | '+' | '?' | '|' | '{' | '[' | '(' | ')' | '^' | '$' | '.' | '#' | ' ' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            other => out.push(other),
        }
    }
    out
}

/// `Regex.Unescape`.
pub fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('e') => out.push('\u{1b}'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn invalid(pattern: &str, offset: usize, what: &str) -> Error {
    let message = format!("Invalid pattern '{pattern}' at offset {offset}. {what}");
    Error::from_exception(
        Exception::new("System.Text.RegularExpressions.RegexParseException", message),
        "System.Text.RegularExpressions.RegexParseException",
        ErrorCategory::OperationStopped,
        Value::Null,
    )
}

/// Finds the mistakes .NET reports most, with its words.
fn check(pattern: &str, options: i64) -> Result<(), Error> {
    let chars: Vec<char> = pattern.chars().collect();
    let free = options & options::IGNORE_WHITESPACE != 0;
    let total = chars.len();
    let (mut i, mut depth, mut can_repeat) = (0, 0usize, false);
    while let Some(c) = chars.get(i).copied() {
        i += 1;
        match c {
            '\\' => {
                if i >= total {
                    return Err(invalid(pattern, total, "Illegal \\ at end of pattern."));
                }
                i += 1;
                can_repeat = true;
            }
            '[' => {
                let open = i;
                if chars.get(i) == Some(&'^') {
                    i += 1;
                }
                let first = i;
                let mut nested = 1;
                loop {
                    match chars.get(i) {
                        None => return Err(invalid(pattern, total.max(open), "Unterminated [] set.")),
                        Some('\\') => i += 1,
                        Some('[') if chars.get(i.wrapping_sub(1)) == Some(&'-') => nested += 1,
                        Some(']') if i > first => {
                            nested -= 1;
                            if nested == 0 {
                                break;
                            }
                        }
                        _ => {}
                    }
                    i += 1;
                }
                i += 1;
                can_repeat = true;
            }
            '(' => {
                depth += 1;
                can_repeat = false;
                if chars.get(i) == Some(&'?') {
                    if chars.get(i + 1) == Some(&'#') {
                        while chars.get(i).is_some_and(|c| *c != ')') {
                            i += 1;
                        }
                    } else {
                        i += 1;
                    }
                }
            }
            ')' => {
                if depth == 0 {
                    return Err(invalid(pattern, i, "Too many )'s."));
                }
                depth -= 1;
                can_repeat = true;
            }
            '|' => can_repeat = false,
            '*' | '+' | '?' => {
                if !can_repeat {
                    return Err(invalid(pattern, i, &format!("Quantifier '{c}' following nothing.")));
                }
                match chars.get(i) {
                    Some('?' | '+') if chars.get(i) == Some(&'?') => i += 1,
                    Some(next @ ('*' | '+')) => {
                        return Err(invalid(pattern, i + 1, &format!("Nested quantifier '{next}'.")));
                    }
                    _ => {}
                }
                can_repeat = true;
            }
            '#' if free => {
                while chars.get(i).is_some_and(|c| *c != '\n') {
                    i += 1;
                }
            }
            c if free && c.is_whitespace() => {}
            _ => can_repeat = true,
        }
    }
    if depth > 0 {
        return Err(invalid(pattern, total, "Not enough )'s."));
    }
    Ok(())
}

/// Rewrites a .NET pattern for `fancy-regex`; also returns the capturing groups with their names.
fn translate(pattern: &str, options: i64) -> (String, Vec<Option<String>>) {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let mut names = Vec::new();
    let free = options & options::IGNORE_WHITESPACE != 0;
    let explicit = options & options::EXPLICIT_CAPTURE != 0;
    let mut multiline = vec![options & options::MULTILINE != 0];
    let mut i = 0;
    while let Some(c) = chars.get(i).copied() {
        i += 1;
        match c {
            '\\' => {
                let next = chars.get(i).copied().unwrap_or('\\');
                i += 1;
                match next {
                    '<' | '>' => out.push(next),
                    '_' | '"' | '\'' | '/' | '@' | ',' | ';' | ':' | '=' | '!' | '%' | '`' => {
                        if next == '#' || next == '&' || next == '~' {
                            out.push('\\');
                        }
                        out.push(next);
                    }
                    'e' => out.push_str("\\x1B"),
                    'Z' => out.push_str("(?=\\n?\\z)"),
                    'c' => {
                        let letter = chars.get(i).copied().unwrap_or('@').to_ascii_uppercase();
                        i += 1;
                        out.push_str(&format!("\\x{:02X}", (letter as u32) & 31));
                    }
                    'u' => {
                        let hex: String = chars.iter().skip(i).take(4).collect();
                        i += 4;
                        out.push_str(&format!("\\x{{{hex}}}"));
                    }
                    ' ' => out.push_str(if free { "\\x20" } else { " " }),
                    other => {
                        out.push('\\');
                        out.push(other);
                    }
                }
            }
            '[' => i = translate_class(&chars, i, &mut out),
            '$' => {
                if multiline.last() == Some(&true) {
                    out.push_str("(?m:$)");
                } else {
                    out.push_str("(?=\\n?\\z)");
                }
            }
            '(' => {
                multiline.push(multiline.last().copied().unwrap_or(false));
                if chars.get(i) != Some(&'?') {
                    if explicit {
                        out.push_str("(?:");
                    } else {
                        out.push('(');
                        names.push(None);
                    }
                    continue;
                }
                let (a, b) = (chars.get(i + 1).copied(), chars.get(i + 2).copied());
                match (a, b) {
                    (Some('#'), _) => {
                        while chars.get(i).is_some_and(|c| *c != ')') {
                            i += 1;
                        }
                        i += 1;
                        multiline.pop();
                    }
                    (Some('<'), Some('=' | '!')) => {
                        out.push_str("(?<");
                        out.push(b.unwrap_or('='));
                        i += 3;
                    }
                    (Some(quote @ ('<' | '\'')), _) => {
                        let close = if quote == '<' { '>' } else { '\'' };
                        let name: String = chars.iter().skip(i + 2).take_while(|c| **c != close).collect();
                        i += 3 + name.chars().count();
                        if name.bytes().all(|b| b.is_ascii_digit()) {
                            out.push('(');
                            names.push(Some(name));
                        } else {
                            out.push_str(&format!("(?<{name}>"));
                            names.push(Some(name));
                        }
                    }
                    _ => {
                        out.push('(');
                        // Inline options: .NET's `n` has no counterpart and is dropped.
                        let flags: String = chars
                            .iter()
                            .skip(i + 1)
                            .take_while(|c| matches!(**c, 'i' | 'm' | 'n' | 's' | 'x' | '-'))
                            .collect();
                        let end = chars.get(i + 1 + flags.len()).copied();
                        if !flags.is_empty() && matches!(end, Some(')' | ':')) {
                            let (on, off) = flags.split_once('-').unwrap_or((&flags, ""));
                            let value = if on.contains('m') {
                                Some(true)
                            } else if off.contains('m') {
                                Some(false)
                            } else {
                                None
                            };
                            if let Some(value) = value {
                                // `(?m)` counts for the enclosing group, `(?m:` for its own.
                                let depth = if end == Some(')') { 2 } else { 1 };
                                let at = multiline.len().saturating_sub(depth);
                                if let Some(slot) = multiline.get_mut(at) {
                                    *slot = value;
                                }
                            }
                            out.push('?');
                            out.push_str(&flags.replace('n', ""));
                            i += 1 + flags.len();
                        }
                    }
                }
            }
            ')' => {
                if multiline.len() > 1 {
                    multiline.pop();
                }
                out.push(')');
            }
            '{' => {
                // A brace that is no quantifier is an ordinary character.
                let body: String = chars.iter().skip(i).take_while(|c| **c != '}').collect();
                let closed = chars.get(i + body.chars().count()) == Some(&'}');
                let (low, high) = body.split_once(',').unwrap_or((&body, "0"));
                let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
                if closed && !low.is_empty() && digits(low) && digits(high) {
                    out.push('{');
                } else {
                    out.push_str("\\{");
                }
            }
            '}' => {
                let open = out.rfind('{');
                let quantifier = open.is_some_and(|o| {
                    !out.get(..o).is_some_and(|b| b.ends_with('\\'))
                        && out
                            .get(o + 1..)
                            .is_some_and(|b| b.bytes().all(|b| b.is_ascii_digit() || b == b','))
                });
                out.push_str(if quantifier { "}" } else { "\\}" });
            }
            ']' => out.push_str("\\]"),
            '#' if free => {
                while chars.get(i).is_some_and(|c| *c != '\n') {
                    i += 1;
                }
            }
            c if free && c.is_whitespace() => {}
            other => out.push(other),
        }
    }
    (out, names)
}

fn translate_class(chars: &[char], start: usize, out: &mut String) -> usize {
    let mut i = start;
    out.push('[');
    if chars.get(i) == Some(&'^') {
        out.push('^');
        i += 1;
    }
    let first = i;
    while let Some(c) = chars.get(i).copied() {
        match c {
            ']' if i > first => {
                out.push(']');
                return i + 1;
            }
            '\\' => {
                let next = chars.get(i + 1).copied().unwrap_or('\\');
                match next {
                    'b' => out.push_str("\\x08"),
                    'e' => out.push_str("\\x1B"),
                    'u' => {
                        let hex: String = chars.iter().skip(i + 2).take(4).collect();
                        out.push_str(&format!("\\x{{{hex}}}"));
                        i += 4;
                    }
                    '<' | '>' | '_' | '"' | '\'' | '/' | '@' | ',' | ';' | ':' | '=' | '!' | '%' | '`'
                    | ' ' => {
                        out.push(next);
                    }
                    other => {
                        out.push('\\');
                        out.push(other);
                    }
                }
                i += 2;
            }
            '-' if chars.get(i + 1) == Some(&'[') && i > first => {
                out.push_str("--");
                i = translate_class(chars, i + 2, out);
            }
            '[' if chars.get(i + 1) == Some(&':') => {
                // .NET knows no POSIX classes: the bracket is a character.
                out.push_str("\\[");
                i += 1;
            }
            '[' | '&' | '~' | ']' => {
                out.push('\\');
                out.push(c);
                i += 1;
            }
            other => {
                out.push(other);
                i += 1;
            }
        }
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    fn re(pattern: &str) -> Regex {
        Regex::new(pattern, options::IGNORE_CASE).unwrap_or_else(|e| panic!("{pattern}: {e}"))
    }

    #[test]
    fn dotnet_forms() {
        assert!(re("^a$").is_match("A\n"));
        assert!(re("a{").is_match("xa{"));
        assert!(re(r"[\w-[b]]").is_match("a"));
        assert!(!re(r"^[\w-[b]]$").is_match("b"));
        assert!(re(r"\<div\>").is_match("<DIV>"));
        assert!(re(r"^[[a]$").is_match("["));
        assert_eq!(re("(?<x>a)(b)").group_names(), ["0", "1", "x"]);
        assert_eq!(re("(a)(b)").replace("ab", "$2$1", None), "ba");
        assert_eq!(re("(?<w>a)").replace("ab", "${w}${w}", None), "aab");
        assert_eq!(re(r"(\d)").split("a1b", None), ["a", "1", "b"]);
    }

    #[test]
    fn errors() {
        let message = |p: &str| Regex::new(p, 0).err().map(|e| e.message()).unwrap_or_default();
        assert_eq!(message("("), "Invalid pattern '(' at offset 1. Not enough )'s.");
        assert_eq!(message("["), "Invalid pattern '[' at offset 1. Unterminated [] set.");
    }
}
