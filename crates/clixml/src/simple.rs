//! The elements that CLIXML consists of mostly, read without an XML reader: `<I32 N="Id">5</I32>`, `<T>…</T>`,
//! `<Nil N="Site" />`, as PowerShell writes them. Whatever differs in any way is left to the XML reader.

use memchr::{memchr2, memchr3};

/// An element of text only, with no attribute but `N`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Simple<'a> {
    pub(crate) name: &'a str,
    /// `N` as it stands in the tag.
    pub(crate) n: Option<&'a str>,
    /// The text, without references and carriage returns; None of an empty tag.
    pub(crate) text: Option<&'a str>,
    /// The element's length in bytes.
    pub(crate) length: usize,
}

/// The longest name: `ToString`.
const LONGEST_NAME: usize = 8;

/// The simple element with which `rest` begins.
pub(crate) fn element(rest: &str) -> Option<Simple<'_>> {
    let bytes = rest.as_bytes();
    if *bytes.first()? != b'<' {
        return None;
    }
    let name_end = bytes.iter().skip(1).take(LONGEST_NAME + 1).position(|b| !b.is_ascii_alphanumeric())? + 1;
    let name = rest.get(1..name_end).filter(|name| !name.is_empty())?;
    let mut at = name_end;
    let mut n = None;
    if let Some(after) = rest.get(at..)?.strip_prefix(" N=\"") {
        let start = rest.len() - after.len();
        let end = start + memchr2(b'"', b'<', after.as_bytes())?;
        if *bytes.get(end)? != b'"' {
            return None;
        }
        n = Some(rest.get(start..end)?);
        at = end + 1;
    }
    let tail = rest.get(at..)?;
    if let Some(length) = tail.strip_prefix(" />").or_else(|| tail.strip_prefix("/>")).map(str::len) {
        return Some(Simple { name, n, text: None, length: rest.len() - length });
    }
    let content = tail.strip_prefix('>')?;
    let end = memchr3(b'<', b'&', b'\r', content.as_bytes())?;
    let close = content.get(end..)?.strip_prefix("</")?.strip_prefix(name)?.strip_prefix('>')?;
    Some(Simple { name, n, text: content.get(..end), length: rest.len() - close.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_powershell_writes_is_simple() {
        let simple = |name, n, text, length| Some(Simple { name, n, text, length });
        assert_eq!(element("<I32 N=\"Id\">5</I32><S>"), simple("I32", Some("Id"), Some("5"), 19));
        assert_eq!(element("<T>é</T>"), simple("T", None, Some("é"), 9));
        assert_eq!(element("<Nil N=\"a&amp;b\" />x"), simple("Nil", Some("a&amp;b"), None, 19));
        assert_eq!(element("<S/>"), simple("S", None, None, 4));
        assert_eq!(element("<S></S>"), simple("S", None, Some(""), 7));
    }

    #[test]
    fn all_else_is_left_to_the_reader() {
        for text in [
            "",
            "<",
            "<S",
            "<S>",
            "<S>a",
            "<S>a<",
            "<S>a</",
            "<S>a</S",
            "<S>a</S >",
            "<S>a</T>",
            "<S>a</SB>",
            "<SB>a</S>",
            "<S>a&lt;</S>",
            "<S>a\r\n</S>",
            "<S><![CDATA[a]]></S>",
            "<S>a<!-- --></S>",
            "< S>a</S>",
            "<S N='a'>a</S>",
            "<S N=\"a>a</S>",
            "<S  N=\"a\">a</S>",
            "<S N=\"a\" S=\"b\">a</S>",
            "<S n=\"a\">a</S>",
            "<S N=\"a",
            "<S N=\"a\"",
            "<>a</>",
            "</S>",
            "<!-- -->",
            "<?x?>",
            " <S>a</S>",
        ] {
            assert_eq!(element(text), None, "{text}");
        }
    }
}
