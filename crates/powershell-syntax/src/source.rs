//! Source text, byte spans and the line/column positions computed from them.

use std::sync::Arc;

/// A half-open range of byte offsets into a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        Self { start, end: end.max(start) }
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span holds nothing.
    pub fn is_empty(self) -> bool {
        self.end == self.start
    }
}

/// A text that was parsed, with the file it came from.
#[derive(Debug, Default)]
pub struct Source {
    file: Option<String>,
    text: String,
    line_starts: Vec<u32>,
}

impl Source {
    /// Takes a text; `file` is the full path of the script, if it has one.
    pub fn new(file: Option<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let mut line_starts = vec![0];
        let bytes = text.as_bytes();
        for (i, b) in bytes.iter().enumerate() {
            if *b == b'\n' || (*b == b'\r' && bytes.get(i + 1) != Some(&b'\n')) {
                line_starts.push(u32::try_from(i + 1).unwrap_or(u32::MAX));
            }
        }
        Arc::new(Self { file, text, line_starts })
    }

    /// Full path of the script file, if any.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty when the span does not fit.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// One-based line number of a byte offset.
    pub fn line_number(&self, offset: u32) -> usize {
        self.line_starts.partition_point(|s| *s <= offset).max(1)
    }

    /// One-based column, in UTF-16 code units as .NET counts.
    pub fn column(&self, offset: u32) -> usize {
        let start = self.line_starts.get(self.line_number(offset) - 1).copied().unwrap_or(0) as usize;
        self.text.get(start..offset as usize).map_or(0, |s| s.encode_utf16().count()) + 1
    }

    /// A line's text without its line end; `number` counts from one.
    pub fn line(&self, number: usize) -> &str {
        let Some(start) = self.line_starts.get(number.saturating_sub(1)) else { return "" };
        let end = self.line_starts.get(number).map_or(self.text.len(), |e| *e as usize);
        self.text.get(*start as usize..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// UTF-16 offset of a byte offset, as .NET's `IScriptExtent.StartOffset`.
    pub fn utf16_offset(&self, offset: u32) -> usize {
        self.text.get(..offset as usize).map_or(0, |s| s.encode_utf16().count())
    }
}
