//! Whether a machine may apply a policy object: the access list in its nTSecurityDescriptor.
//!
//! [MS-DTYP] 2.4.6, self-relative form; [MS-GPOL] 3.2.5.1.6: both reading and the extended right Apply-Group-Policy are
//! needed.

use std::fmt;

/// The largest descriptor that is read, in bytes (an ACL has at most 64 KiB).
const MAX_SIZE: usize = 256 << 10;
/// Apply-Group-Policy, edacfd8f-ffb3-11d1-b41d-00a0c968f939, as it stands in an entry.
const APPLY: [u8; 16] =
    [0x8F, 0xFD, 0xAC, 0xED, 0xB3, 0xFF, 0xD1, 0x11, 0xB4, 0x1D, 0x00, 0xA0, 0xC9, 0x68, 0xF9, 0x39];

const DACL_PRESENT: u16 = 0x0004;
const INHERIT_ONLY: u8 = 0x08;
const READ_PROPERTY: u32 = 0x0000_0010;
const CONTROL_ACCESS: u32 = 0x0000_0100;
const GENERIC_ALL: u32 = 0x1000_0000;
const GENERIC_READ: u32 = 0x8000_0000;

/// A security identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Vec<u8>);

impl Sid {
    /// S-1-1-0.
    pub fn everyone() -> Self {
        Self::new(1, &[0])
    }

    /// S-1-5-11.
    pub fn authenticated_users() -> Self {
        Self::new(5, &[11])
    }

    /// From its binary form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let count = usize::from(*bytes.get(1)?);
        (*bytes.first()? == 1 && count <= 15 && bytes.len() == 8 + 4 * count).then(|| Self(bytes.to_vec()))
    }

    /// An account of the same domain, by its relative identifier.
    #[must_use]
    pub fn with_rid(&self, rid: u32) -> Option<Self> {
        let count = self.0.get(1)?.checked_add(1).filter(|count| *count <= 15)?;
        let mut bytes = self.0.clone();
        *bytes.get_mut(1)? = count;
        bytes.extend(rid.to_le_bytes());
        Some(Self(bytes))
    }

    /// Its domain: all but the last part.
    #[must_use]
    pub fn domain(&self) -> Option<Self> {
        let count = self.0.get(1)?.checked_sub(1)?;
        let mut bytes = self.0.get(..8 + 4 * usize::from(count))?.to_vec();
        *bytes.get_mut(1)? = count;
        Some(Self(bytes))
    }

    fn new(authority: u8, parts: &[u32]) -> Self {
        // INVARIANT: callers have one part.
        let mut bytes = vec![1, parts.len() as u8, 0, 0, 0, 0, 0, authority];
        bytes.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
        Self(bytes)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.iter().skip(2).take(6).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        write!(f, "S-1-{authority}")?;
        let parts = self.0.get(8..).unwrap_or_default().chunks_exact(4);
        parts.map(|p| u32::from_le_bytes([p[0], p[1], p[2], p[3]])).try_for_each(|part| write!(f, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One entry of an access list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ace {
    allows: bool,
    mask: u32,
    /// The one right or property that it is about.
    object: Option<[u8; 16]>,
    sid: Sid,
}

/// The access list of a security descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// None at all: everybody may do everything.
    dacl: Option<Vec<Ace>>,
}

impl SecurityDescriptor {
    /// Reads the self-relative form; `None` if it is none. Entries of unknown types are passed over where they allow or
    /// audit; one that could deny makes the descriptor unreadable.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_SIZE || *bytes.first()? != 1 {
            return None;
        }
        let control = u16_at(bytes, 2)?;
        let offset = usize::try_from(u32_at(bytes, 16)?).ok()?;
        if control & DACL_PRESENT == 0 || offset == 0 {
            return Some(Self { dacl: None });
        }
        let acl = bytes.get(offset..)?;
        let acl = acl.get(..usize::from(u16_at(acl, 2)?))?;
        let count = u16_at(acl, 4)?;
        let mut rest = acl.get(8..)?;
        let mut dacl = Vec::new();
        for _ in 0..count {
            let size = usize::from(u16_at(rest, 2)?);
            let (ace, after) = rest.split_at_checked(size).filter(|_| size >= 8)?;
            dacl.extend(self::ace(ace)?);
            rest = after;
        }
        Some(Self { dacl: Some(dacl) })
    }

    /// Whether one of these may read and apply the policy object. The first entry that speaks of a right decides it.
    pub fn lets_apply(&self, sids: &[Sid]) -> bool {
        let Some(dacl) = &self.dacl else { return true };
        let mine: Vec<&Ace> = dacl.iter().filter(|ace| sids.contains(&ace.sid)).collect();
        let decided =
            |speaks: &dyn Fn(&Ace) -> bool| mine.iter().find(|ace| speaks(ace)).is_some_and(|ace| ace.allows);
        let reads =
            |ace: &Ace| ace.object.is_none() && ace.mask & (READ_PROPERTY | GENERIC_READ | GENERIC_ALL) != 0;
        let applies = |ace: &Ace| {
            ace.object.is_none_or(|object| object == APPLY) && ace.mask & (CONTROL_ACCESS | GENERIC_ALL) != 0
        };
        decided(&reads) && decided(&applies)
    }
}

/// Reads one entry; `Some(None)` if it does not matter here.
fn ace(bytes: &[u8]) -> Option<Option<Ace>> {
    let (kind, flags) = (*bytes.first()?, *bytes.get(1)?);
    let (allows, has_object) = match kind {
        0 => (true, false),
        1 => (false, false),
        5 => (true, true),
        6 => (false, true),
        // Denials under conditions: what they deny is not known here.
        0x0A | 0x0C => return None,
        _ => return Some(None),
    };
    let mask = u32_at(bytes, 4)?;
    let mut at = 8;
    let mut object = None;
    if has_object {
        let present = u32_at(bytes, at)?;
        at += 4;
        if present & 1 != 0 {
            object = Some(bytes.get(at..at + 16)?.try_into().ok()?);
            at += 16;
        }
        if present & 2 != 0 {
            at += 16;
        }
    }
    let count = usize::from(*bytes.get(at + 1)?);
    let sid = Sid::from_bytes(bytes.get(at..at + 8 + 4 * count)?)?;
    Some((flags & INHERIT_ONLY == 0).then_some(Ace { allows, mask, object, sid }))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: u32 = 0x0002_0094;

    fn entry(kind: u8, flags: u8, mask: u32, object: Option<[u8; 16]>, sid: &Sid) -> Vec<u8> {
        let mut body = mask.to_le_bytes().to_vec();
        if matches!(kind, 5 | 6) {
            body.extend(u32::from(object.is_some()).to_le_bytes());
            body.extend(object.into_iter().flatten());
        }
        body.extend(&sid.0);
        let size = (body.len() + 4) as u16;
        [&[kind, flags][..], &size.to_le_bytes(), &body].concat()
    }

    fn descriptor(entries: &[Vec<u8>]) -> Vec<u8> {
        let body = entries.concat();
        let size = (8 + body.len()) as u16;
        let mut bytes = vec![1, 0, 4, 0x80];
        bytes.extend([0, 0, 0, 20].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(
            [&[4, 0][..], &size.to_le_bytes(), &(entries.len() as u16).to_le_bytes(), &[0, 0], &body]
                .concat(),
        );
        bytes
    }

    fn lets(entries: &[Vec<u8>], sids: &[Sid]) -> bool {
        SecurityDescriptor::decode(&descriptor(entries)).unwrap().lets_apply(sids)
    }

    #[test]
    fn who_may_apply() {
        let users = Sid::authenticated_users();
        let me = Sid::new(5, &[21]).with_rid(7).unwrap().with_rid(1103).unwrap();
        let mine = [me.clone(), users.clone()];
        let read = entry(0, 0, READ, None, &users);
        let apply = entry(5, 0, CONTROL_ACCESS, Some(APPLY), &users);
        assert!(lets(&[read.clone(), apply.clone()], &mine));
        assert!(!lets(std::slice::from_ref(&read), &mine));
        assert!(!lets(std::slice::from_ref(&apply), &mine));
        assert!(!lets(&[read.clone(), apply.clone()], &[Sid::everyone()]));
        // Another extended right, an entry for children only.
        assert!(!lets(&[read.clone(), entry(5, 0, CONTROL_ACCESS, Some([7; 16]), &users)], &mine));
        assert!(!lets(&[read.clone(), entry(5, INHERIT_ONLY, CONTROL_ACCESS, Some(APPLY), &users)], &mine));
        // All extended rights, and everything.
        assert!(lets(&[read.clone(), entry(0, 0, CONTROL_ACCESS, None, &users)], &mine));
        assert!(lets(&[entry(0, 0, GENERIC_ALL, None, &me)], &mine));
        // A denial before it.
        assert!(!lets(&[entry(6, 0, CONTROL_ACCESS, Some(APPLY), &me), read.clone(), apply.clone()], &mine));
        assert!(lets(
            &[entry(6, 0, CONTROL_ACCESS, Some(APPLY), &me), read.clone(), apply.clone()],
            &[users]
        ));
        assert!(!lets(&[], &mine));
        // One that denies under a condition.
        let unknown = descriptor(&[entry(0x0A, 0, READ, None, &me), read, apply]);
        assert_eq!(SecurityDescriptor::decode(&unknown), None);
        assert!(
            SecurityDescriptor::decode(&[&[1, 0, 0, 0x80][..], &[0; 16]].concat()).unwrap().lets_apply(&[])
        );
    }

    #[test]
    fn identifiers() {
        let sid = Sid::new(5, &[21]).with_rid(500).unwrap();
        assert_eq!(sid.to_string(), "S-1-5-21-500");
        assert_eq!(sid.domain().unwrap().with_rid(515).unwrap().to_string(), "S-1-5-21-515");
        assert_eq!(Sid::from_bytes(&sid.0), Some(sid.clone()));
        assert_eq!(Sid::from_bytes(&sid.0[..9]), None);
        assert_eq!(Sid::from_bytes(&[]), None);
        let bytes = descriptor(&[entry(0, 0, READ, None, &sid)]);
        for end in 1..bytes.len() {
            assert_eq!(SecurityDescriptor::decode(&bytes[..end]), None, "{end}");
        }
    }
}
