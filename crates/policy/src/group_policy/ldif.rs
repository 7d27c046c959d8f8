//! What ldapsearch prints (RFC 2849).

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The largest answer that is read, in bytes.
pub const MAX_SIZE: usize = 32 << 20;

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its distinguished name.
    pub dn: String,
    attributes: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// All values of an attribute.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let matching = self.attributes.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value.as_slice())
    }

    /// The first value of an attribute.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.attributes
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The first value of an attribute, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok()
    }

    /// The first value of an attribute, as a number; 0 if there is none.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

/// Reads it. Comments, references to other servers and lines that are none are passed over.
pub fn parse(text: &str) -> Vec<Record> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.get(..MAX_SIZE).unwrap_or(text).lines() {
        match (line.strip_prefix(' '), lines.last_mut()) {
            (Some(more), Some(last)) if !last.is_empty() => last.push_str(more),
            _ => lines.push(line.trim_end_matches('\r').to_owned()),
        }
    }
    let mut records = Vec::new();
    let mut open: Option<Record> = None;
    for line in lines {
        if line.is_empty() {
            records.extend(open.take());
            continue;
        }
        let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else { continue };
        let value = match value.strip_prefix(':') {
            Some(encoded) => match STANDARD.decode(encoded.trim()) {
                Ok(bytes) => bytes,
                Err(_) => continue,
            },
            None => value.trim_start_matches(' ').as_bytes().to_vec(),
        };
        if name.eq_ignore_ascii_case("dn") {
            records.extend(open.take());
            let dn = String::from_utf8(value).unwrap_or_default();
            open = Some(Record { dn, attributes: Vec::new() });
        } else if let Some(record) = &mut open {
            record.attributes.push((name.to_owned(), value));
        }
    }
    records.extend(open);
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let text = "# a comment\ndn: DC=hop,\n DC=test\ngPLink: [LDAP://x;0]\nobjectSid:: AQAA\nflags: 2\nx: 1\nx: 2\n\n\
                    # refldap://other\n\ndn:: Y249w6Q=\ndisplayName: b: c\nbad:: %\nnothing\n";
        let records = parse(text);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].dn, "DC=hop,DC=test");
        assert_eq!(records[0].text("GPLINK"), Some("[LDAP://x;0]"));
        assert_eq!((records[0].bytes("objectSid"), records[0].number("flags")), (Some(&[1, 0, 0][..]), 2));
        assert_eq!(records[0].all("x").count(), 2);
        assert_eq!((records[1].dn.as_str(), records[1].text("displayName")), ("cn=ä", Some("b: c")));
        assert_eq!((records[1].bytes("bad"), records[1].number("none")), (None, 0));
        assert_eq!(parse(""), []);
    }
}
