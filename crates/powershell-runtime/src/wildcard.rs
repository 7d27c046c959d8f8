//! PowerShell wildcard patterns: `*`, `?`, `[a-z]` and the backtick that escapes them.

use crate::value::Error;

/// A compiled wildcard pattern.
#[derive(Clone, Debug)]
pub struct Wildcard {
    parts: Vec<Part>,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Any,
    One,
    Char(char),
    Set(Vec<(char, char)>),
}

impl Wildcard {
    /// Compiles a pattern; an unclosed `[` is an error.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, Error> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::new();
        let mut i = 0;
        while let Some(c) = chars.get(i).copied() {
            i += 1;
            match c {
                '*' => {
                    if !matches!(parts.last(), Some(Part::Any)) {
                        parts.push(Part::Any);
                    }
                }
                '?' => parts.push(Part::One),
                '`' => match chars.get(i).copied() {
                    Some(next) => {
                        parts.push(Part::Char(next));
                        i += 1;
                    }
                    None => parts.push(Part::Char('`')),
                },
                '[' => {
                    let mut set = Vec::new();
                    let mut items = Vec::new();
                    let mut closed = false;
                    while let Some(next) = chars.get(i).copied() {
                        i += 1;
                        if next == ']' && !items.is_empty() {
                            closed = true;
                            break;
                        }
                        if next == '`'
                            && let Some(escaped) = chars.get(i).copied()
                        {
                            i += 1;
                            items.push((escaped, true));
                            continue;
                        }
                        items.push((next, false));
                    }
                    if !closed {
                        return Err(Error::new(
                            "System.Management.Automation.WildcardPatternException",
                            "WildcardPattern_Invalid",
                            crate::value::ErrorCategory::InvalidArgument,
                            format!("The specified wildcard character pattern is not valid: {pattern}"),
                        ));
                    }
                    let mut k = 0;
                    while let Some((low, _)) = items.get(k).copied() {
                        if let (Some(('-', false)), Some((high, _))) = (items.get(k + 1), items.get(k + 2)) {
                            set.push((low, *high));
                            k += 3;
                        } else {
                            set.push((low, low));
                            k += 1;
                        }
                    }
                    parts.push(Part::Set(set));
                }
                other => parts.push(Part::Char(other)),
            }
        }
        Ok(Self { parts, ignore_case })
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(p) {
                Some(Part::Any) => {
                    retry = Some((p, t));
                    p += 1;
                    continue;
                }
                Some(part) => {
                    if let Some(c) = chars.get(t)
                        && self.matches(part, *c)
                    {
                        p += 1;
                        t += 1;
                        continue;
                    }
                }
                None if t == chars.len() => return true,
                None => {}
            }
            match retry {
                Some((star, from)) if from < chars.len() => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                _ => return false,
            }
        }
    }

    fn matches(&self, part: &Part, c: char) -> bool {
        let same = |a: char, b: char| a == b || (self.ignore_case && fold(a) == fold(b));
        match part {
            Part::Any | Part::One => true,
            Part::Char(x) => same(*x, c),
            Part::Set(ranges) => ranges.iter().any(|(low, high)| {
                if low == high {
                    return same(*low, c);
                }
                let inside = |x: char| *low <= x && x <= *high;
                inside(c)
                    || (self.ignore_case && (c.to_lowercase().any(inside) || c.to_uppercase().any(inside)))
            }),
        }
    }
}

fn fold(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Whether a text holds wildcard characters that are not escaped.
pub fn has_wildcard(pattern: &str) -> bool {
    let mut escaped = false;
    for c in pattern.chars() {
        if escaped {
            escaped = false;
        } else if c == '`' {
            escaped = true;
        } else if matches!(c, '*' | '?' | '[' | ']') {
            return true;
        }
    }
    false
}

/// The text with wildcard characters escaped by backticks.
pub fn escape_wildcard(text: &str) -> String {
    text.chars()
        .flat_map(|c| if matches!(c, '*' | '?' | '[' | ']' | '`') { vec!['`', c] } else { vec![c] })
        .collect()
}

/// The text with backtick escapes resolved.
pub fn unescape_wildcard(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '`'
            && let Some(next) = chars.peek().copied().filter(|n| matches!(n, '*' | '?' | '[' | ']' | '`'))
        {
            out.push(next);
            chars.next();
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a text matches a pattern without case; a bad pattern matches only itself.
pub fn is_like(text: &str, pattern: &str) -> bool {
    match Wildcard::new(pattern, true) {
        Ok(wildcard) => wildcard.is_match(text),
        Err(_) => text.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(is_like("Hello", "h*o"));
        assert!(is_like("abc", "a[a-c]?"));
        assert!(!is_like("abd", "a[x-z]d"));
        assert!(is_like("a*b", "a`*b"));
        assert!(!is_like("axb", "a`*b"));
        assert!(Wildcard::new("[", true).is_err());
        assert!(is_like("", "*"));
    }
}
