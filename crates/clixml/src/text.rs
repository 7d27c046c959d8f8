//! Text as .NET knows it: UTF-16 that need not be well formed.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A .NET string.
///
/// It dereferences to `str`. A lone surrogate, which Rust text cannot hold, reads there as U+FFFD; the real code
/// unit is kept beside it, so that [`to_utf16`](Text::to_utf16) and the writer give it back.
#[derive(Clone, Default)]
pub struct Text {
    text: Box<str>,
    /// Byte offset in `text` of a U+FFFD and the surrogate it stands for, ascending. Almost no text has any: a thin
    /// pointer keeps texts small.
    #[expect(clippy::box_collection, reason = "one word in every text instead of three")]
    lone: Option<Box<Vec<(usize, u16)>>>,
}

impl Text {
    /// The text with lone surrogates as U+FFFD.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Builds text from UTF-16 code units; lone surrogates are kept.
    pub fn from_utf16(units: &[u16]) -> Self {
        let mut builder = Builder::default();
        for &unit in units {
            builder.push_unit(unit);
        }
        builder.finish()
    }

    /// The UTF-16 code units, lone surrogates included.
    pub fn to_utf16(&self) -> Vec<u16> {
        let Some(lone) = &self.lone else { return self.text.encode_utf16().collect() };
        let mut units = Vec::with_capacity(self.text.len());
        let mut rest = lone.iter().peekable();
        for (offset, c) in self.text.char_indices() {
            match rest.next_if(|(at, _)| *at == offset) {
                Some(&(_, unit)) => units.push(unit),
                None => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
        units
    }

    /// Whether the text holds a surrogate without its partner.
    pub fn has_lone_surrogates(&self) -> bool {
        self.lone.is_some()
    }

    pub(crate) fn lone(&self) -> &[(usize, u16)] {
        self.lone.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.into(), lone: None }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text: text.into_boxed_str(), lone: None }
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.text.into_string()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.lone == other.lone
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.lone.is_none() && *self.text == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.text, f)
    }
}

/// Collects text from pieces and UTF-16 code units.
#[derive(Default)]
pub(crate) struct Builder {
    text: String,
    lone: Vec<(usize, u16)>,
    high: Option<u16>,
}

impl Builder {
    pub(crate) fn push_str(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.flush();
            self.text.push_str(piece);
        }
    }

    pub(crate) fn push_unit(&mut self, unit: u16) {
        match (self.high.take(), unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let c = 0x10000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(unit) - 0xDC00);
                self.text.push(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (high, 0xD800..=0xDBFF) => {
                self.high = high;
                self.flush();
                self.high = Some(unit);
            }
            (high, _) => {
                self.high = high;
                self.flush();
                match char::from_u32(u32::from(unit)) {
                    Some(c) => self.text.push(c),
                    None => self.push_lone(unit),
                }
            }
        }
    }

    fn push_lone(&mut self, unit: u16) {
        self.lone.push((self.text.len(), unit));
        self.text.push(char::REPLACEMENT_CHARACTER);
    }

    fn flush(&mut self) {
        if let Some(high) = self.high.take() {
            self.push_lone(high);
        }
    }

    /// Adds text in which `_xHHHH_` stands for a code unit.
    pub(crate) fn push_escaped(&mut self, mut piece: &str) {
        while let Some(at) = find_escape(piece) {
            let (before, after) = piece.split_at(at);
            self.push_str(before);
            match after.get(2..6).and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
                Some(unit) => self.push_unit(unit),
                None => self.push_str(after.get(..7).unwrap_or(after)),
            }
            piece = after.get(7..).unwrap_or("");
        }
        self.push_str(piece);
    }

    pub(crate) fn finish(mut self) -> Text {
        self.flush();
        let lone = if self.lone.is_empty() { None } else { Some(Box::new(self.lone)) };
        Text { text: self.text.into_boxed_str(), lone }
    }
}

/// Offset of the first `_xHHHH_`: four hexadecimal digits of either case, `x` or `X`.
fn find_escape(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = memchr::memchr(b'_', bytes.get(from..)?) {
        let at = from + found;
        if let Some([_, b'x' | b'X', digits @ .., b'_']) = bytes.get(at..at + 7)
            && digits.iter().all(u8::is_ascii_hexdigit)
        {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Reads CLIXML's string escapes: `_x000A_` is a line feed. XML's own escapes are not touched.
pub fn unescape(text: &str) -> Text {
    if find_escape(text).is_none() {
        return text.into();
    }
    let mut builder = Builder::default();
    builder.push_escaped(text);
    builder.finish()
}

/// Writes CLIXML's string escapes (control characters, surrogates, `_` before `x`), without XML's own.
pub fn escape(text: &Text) -> Cow<'_, str> {
    let mut out = String::new();
    push_text(&mut out, text, Escapes { string: true, xml: false, quotes: false });
    if out == text.as_str() { Cow::Borrowed(text.as_str()) } else { Cow::Owned(out) }
}

/// Which characters the writer must not leave as they are.
#[derive(Clone, Copy)]
pub(crate) struct Escapes {
    /// `_xHHHH_`
    pub(crate) string: bool,
    /// `&amp;`, `&lt;`, `&gt;`
    pub(crate) xml: bool,
    /// `&quot;`, for attributes
    pub(crate) quotes: bool,
}

/// Bytes at which [`push_str`] must look closer.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = i < 0x20
            || matches!(i as u8, b'_' | b'&' | b'<' | b'>' | b'"' | 0x7F | 0xC2 | 0xEF | 0xF0..=0xFF);
        i += 1;
    }
    table
};

/// Appends text, lone surrogates as `_xHHHH_`.
pub(crate) fn push_text(out: &mut String, text: &Text, escapes: Escapes) {
    let mut from = 0;
    for &(at, unit) in text.lone() {
        push_str(out, text.get(from..at).unwrap_or(""), escapes);
        push_unit(out, unit);
        from = at + char::REPLACEMENT_CHARACTER.len_utf8();
    }
    push_str(out, text.get(from..).unwrap_or(""), escapes);
}

/// Appends a string, escaped.
pub(crate) fn push_str(out: &mut String, text: &str, escapes: Escapes) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut at = 0;
    while let Some(found) =
        bytes.get(at..).and_then(|rest| rest.iter().position(|&b| SPECIAL[usize::from(b)]))
    {
        at += found;
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let length = c.len_utf8();
        let plain = match c {
            '_' => !(escapes.string && matches!(bytes.get(at + 1), Some(b'x' | b'X'))),
            '&' | '<' | '>' => !escapes.xml,
            '"' => !escapes.quotes,
            '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{10000}'.. => !escapes.string,
            '\u{FFFE}' | '\u{FFFF}' => !escapes.xml,
            _ => true,
        };
        if !plain {
            out.push_str(text.get(done..at).unwrap_or(""));
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\u{FFFE}' => out.push_str("&#xFFFE;"),
                '\u{FFFF}' => out.push_str("&#xFFFF;"),
                _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| push_unit(out, unit)),
            }
            done = at + length;
        }
        at += length;
    }
    out.push_str(text.get(done..).unwrap_or(""));
}

fn push_unit(out: &mut String, unit: u16) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push_str("_x");
    for shift in [12, 8, 4, 0] {
        out.push(DIGITS[usize::from(unit >> shift & 0xF)]);
    }
    out.push('_');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_both_directions() {
        for (text, escaped) in [
            ("a\tb\r\n", "a_x0009_b_x000D__x000A_"),
            ("x_x", "x_x005F_x"),
            ("_X0041_", "_x005F_X0041_"),
            ("_ _y __", "_ _y __"),
            ("\u{1F600}", "_xD83D__xDE00_"),
            ("\u{85}\u{a0}\u{2028}\u{7f}", "_x0085_\u{a0}\u{2028}_x007F_"),
        ] {
            assert_eq!(escape(&text.into()), escaped);
            assert_eq!(unescape(escaped), text);
        }
        for odd in ["_x41_", "_x0041", "_xZZZZ_", "_", "_x", "_x004é"] {
            assert_eq!(unescape(odd), odd);
        }
        assert_eq!(unescape("__x0041_"), "_A");
    }

    #[test]
    fn lone_surrogates_survive() {
        let text = unescape("a_xD83D_b_xDE00__xD83D__xD83D__xDE00_");
        assert_eq!(text.as_str(), "a\u{FFFD}b\u{FFFD}\u{FFFD}\u{1F600}");
        assert_eq!(text.to_utf16(), [0x61, 0xD83D, 0x62, 0xDE00, 0xD83D, 0xD83D, 0xDE00]);
        assert_eq!(escape(&text), "a_xD83D_b_xDE00__xD83D__xD83D__xDE00_");
        assert_eq!(Text::from_utf16(&text.to_utf16()), text);
    }
}
