//! The realms that a ticket came through (RFC 4120 3.3.3.2), and whether it may.

use super::{Database, Entry, Refusal};
use crate::asn1::malformed;
use crate::config::hierarchy;
use crate::{EncTicketPart, Error, ErrorCode, Principal};

/// DOMAIN-X500-COMPRESS, the only way that lists of realms are written.
pub(super) const DOMAIN_X500_COMPRESS: i32 = 1;
/// The most realms on a way, and the longest list in bytes.
const MAX_REALMS: usize = 32;
const MAX_LIST: usize = 4096;
const WHAT: &str = "TransitedEncoding";

/// The list of realms for a ticket of this realm, for a client of that realm, by a ticket-granting ticket from
/// another.
///
/// # Errors
/// A [`Refusal`] if the way is not one that tickets may take.
pub(super) fn through(
    tgt: &EncTicketPart,
    client: &str,
    from: &str,
    realm: &str,
    database: &dyn Database,
) -> Result<Vec<u8>, Refusal> {
    if !tgt.transited.is_empty() && tgt.transited_type != DOMAIN_X500_COMPRESS {
        return Err(Refusal::new(ErrorCode::KDC_ERR_TRTYPE_NOSUPP, "unknown form of transited realms"));
    }
    let refused = Refusal::new(ErrorCode::KDC_ERR_PATH_NOT_ACCEPTED, "tickets may not come by this way");
    // Nobody else can say who our own users are.
    if client == realm {
        return Err(refused);
    }
    let mut realms = decode(&tgt.transited, client, realm).map_err(|_| refused)?;
    // The realm that the ticket comes from did not name itself: that is for who believes it to do.
    if from != client && !realms.iter().any(|known| known == from) {
        realms.push(from.to_owned());
    }
    let allowed = way(client, realm, database);
    match realms.iter().all(|realm| allowed.contains(realm)) {
        true => Ok(encode(&realms)),
        false => Err(refused),
    }
}

/// The realm whose ticket-granting service to refer a client to, that wants to go to another realm: as near to
/// that as there is trust.
pub(super) fn next_hop(to: &str, realm: &str, database: &dyn Database) -> Option<Entry> {
    let mut hops = vec![to.to_owned()];
    hops.extend(way(to, realm, database));
    hops.iter().find_map(|hop| database.lookup(&Principal::krbtgt(realm, hop)))
}

/// The realms between another and ours, as configured or by the hierarchy.
fn way(other: &str, realm: &str, database: &dyn Database) -> Vec<String> {
    database.path(other).or_else(|| between(other, realm)).unwrap_or_default()
}

/// Reads a list of realms between a client's realm and a service's, abbreviated by any of the rules.
pub(crate) fn decode(contents: &[u8], client: &str, server: &str) -> Result<Vec<String>, Error> {
    if contents.len() > MAX_LIST {
        return Err(Error::Limit { what: "bytes of transited realms", limit: MAX_LIST });
    }
    let text = std::str::from_utf8(contents).map_err(|_| malformed(WHAT, "it is not UTF-8"))?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.contains('\0') {
        return Err(malformed(WHAT, "it holds a NUL"));
    }
    let mut realms: Vec<String> = Vec::new();
    let mut previous = String::new();
    let mut gap = false;
    let fields = split(text)?;
    for (index, field) in fields.iter().enumerate() {
        if field.is_empty() {
            // All realms of the hierarchy between the neighbours. At either end a comma stands alone for this.
            gap = true;
            continue;
        }
        let realm = match field.strip_prefix(' ') {
            Some("") => return Err(malformed(WHAT, "a realm without a name")),
            Some(alone) => alone.to_owned(),
            None if field.ends_with('.') && !previous.is_empty() => format!("{field}{previous}"),
            None if field.starts_with('/') && !previous.is_empty() => format!("{previous}{field}"),
            None => field.clone(),
        };
        if std::mem::take(&mut gap) {
            let from = if index == 1 || realms.is_empty() { client } else { &previous };
            realms.extend(
                between(from, &realm).ok_or_else(|| malformed(WHAT, "a gap outside of a hierarchy"))?,
            );
        }
        previous.clone_from(&realm);
        realms.push(realm);
        if realms.len() > MAX_REALMS {
            break;
        }
    }
    if gap {
        let from = if realms.is_empty() { client } else { &previous };
        realms.extend(between(from, server).ok_or_else(|| malformed(WHAT, "a gap outside of a hierarchy"))?);
    }
    if realms.len() > MAX_REALMS {
        return Err(Error::Limit { what: "transited realms", limit: MAX_REALMS });
    }
    Ok(realms)
}

/// Writes a list of realms, in full.
pub(crate) fn encode(realms: &[String]) -> Vec<u8> {
    let quote = |realm: &String| {
        let mut out = String::new();
        // Not to be taken for an abbreviation.
        if realm.starts_with(['/', ' ']) || realm.ends_with('.') {
            out.push(' ');
        }
        for c in realm.chars() {
            if matches!(c, ',' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    realms.iter().map(quote).collect::<Vec<_>>().join(",").into_bytes()
}

/// The realms between two of one hierarchy of domain names; none if there is no common end, or a name has too many
/// parts.
pub(super) fn between(from: &str, to: &str) -> Option<Vec<String>> {
    let deep = |realm: &str| realm.split('.').count() > MAX_REALMS;
    if deep(from) || deep(to) { None } else { hierarchy(from, to) }
}

/// The fields of a list, unquoted.
fn split(text: &str) -> Result<Vec<String>, Error> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            ',' => {
                fields.push(String::new());
                continue;
            }
            '\\' => chars.next().ok_or_else(|| malformed(WHAT, "it ends in a backslash"))?,
            c => c,
        };
        if let Some(field) = fields.last_mut() {
            field.push(c);
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(contents: &str) -> Result<String, Error> {
        decode(contents.as_bytes(), "A.B.TEST", "X.Y.TEST").map(|realms| realms.join(" "))
    }

    #[test]
    fn lists_are_read_in_full() {
        assert_eq!(list("").unwrap(), "");
        assert_eq!(list("B.TEST").unwrap(), "B.TEST");
        // the RFC's examples
        assert_eq!(
            list("EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.").unwrap(),
            "EDU MIT.EDU ATHENA.MIT.EDU WASHINGTON.EDU CS.WASHINGTON.EDU"
        );
        assert_eq!(list("/COM,/HP,/APOLLO, /COM/DEC").unwrap(), "/COM /COM/HP /COM/HP/APOLLO /COM/DEC");
        // everything in between
        assert_eq!(list(",").unwrap(), "B.TEST TEST Y.TEST");
        assert_eq!(list(",TEST,").unwrap(), "B.TEST TEST Y.TEST");
        assert_eq!(list("B.TEST,,Y.TEST").unwrap(), "B.TEST TEST Y.TEST");
        assert_eq!(list(r"A\,B,C\\D").unwrap(), r"A,B C\D");
        for wrong in ["A\\", "A\0B", ",OTHER", &"A,".repeat(40), &"A".repeat(5000)] {
            assert!(list(wrong).is_err(), "{wrong:?}");
        }
        assert!(decode(&[0xff], "A", "B").is_err());
    }

    #[test]
    fn lists_are_written_so_that_they_read_the_same() {
        for realms in [&[][..], &["A.TEST"], &["A,B", r"C\D"], &["/COM", "/HP"], &[" X", "Y.", "Z."]] {
            let realms: Vec<String> = realms.iter().map(|r| (*r).to_owned()).collect();
            assert_eq!(decode(&encode(&realms), "P", "Q").unwrap(), realms);
        }
    }

    #[test]
    fn ways_in_a_hierarchy() {
        let way = |from, to| between(from, to).map(|way| way.join(" "));
        assert_eq!(way("A.TEST", "TEST").unwrap(), "");
        assert_eq!(way("TEST", "A.TEST").unwrap(), "");
        assert_eq!(way("A.TEST", "B.TEST").unwrap(), "TEST");
        assert_eq!(way("C.A.TEST", "D.B.TEST").unwrap(), "A.TEST TEST B.TEST");
        assert_eq!(way("TEST", "D.B.TEST").unwrap(), "B.TEST");
        assert_eq!(way("A.ONE", "B.TWO"), None);
    }
}
