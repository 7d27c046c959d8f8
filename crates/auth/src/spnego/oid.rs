use std::{borrow::Cow, fmt};

/// An object identifier that names a mechanism, kept as the content bytes of its DER encoding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Oid(Cow<'static, [u8]>);

impl Oid {
    /// 1.3.6.1.5.5.2, SPNEGO (RFC 4178).
    pub const SPNEGO: Oid = Oid(Cow::Borrowed(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02]));
    /// 1.2.840.113554.1.2.2, Kerberos 5 (RFC 4121).
    pub const KERBEROS: Oid = Oid(Cow::Borrowed(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02]));
    /// 1.2.840.48018.1.2.2, Kerberos 5 as Windows 2000 wrote it ([MS-SPNG] 3.1.5.2).
    pub const KERBEROS_MICROSOFT: Oid =
        Oid(Cow::Borrowed(&[0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02]));
    /// 1.2.840.113554.1.2.2.3, Kerberos 5 user to user.
    pub const KERBEROS_USER_TO_USER: Oid =
        Oid(Cow::Borrowed(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x03]));
    /// 1.3.6.1.4.1.311.2.2.10, NTLM ([MS-NLMP]).
    pub const NTLM: Oid = Oid(Cow::Borrowed(&[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a]));
    /// 1.3.6.1.4.1.311.2.2.30, NEGOEX.
    pub const NEGOEX: Oid = Oid(Cow::Borrowed(&[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x1e]));

    /// Takes the content bytes of a DER OBJECT IDENTIFIER; `None` if they are empty, end inside an arc or are
    /// longer than any mechanism's name.
    pub fn from_content(content: &[u8]) -> Option<Self> {
        let complete = content.last().is_some_and(|last| last & 0x80 == 0);
        (complete && content.len() <= 64).then(|| Self(Cow::Owned(content.to_vec())))
    }

    /// The content bytes.
    pub fn content(&self) -> &[u8] {
        &self.0
    }

    /// Either of the two names of Kerberos 5.
    pub fn is_kerberos(&self) -> bool {
        *self == Self::KERBEROS || *self == Self::KERBEROS_MICROSOFT
    }

    /// NTLM.
    pub fn is_ntlm(&self) -> bool {
        *self == Self::NTLM
    }

    /// The mechanism's common name, if it is a known one.
    pub fn name(&self) -> Option<&'static str> {
        [
            (Self::SPNEGO, "SPNEGO"),
            (Self::KERBEROS, "Kerberos"),
            (Self::KERBEROS_MICROSOFT, "Kerberos (Microsoft)"),
            (Self::KERBEROS_USER_TO_USER, "Kerberos user-to-user"),
            (Self::NTLM, "NTLM"),
            (Self::NEGOEX, "NEGOEX"),
        ]
        .into_iter()
        .find_map(|(oid, name)| (oid == *self).then_some(name))
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut arc: u128 = 0;
        for byte in self.0.iter() {
            arc = arc << 7 | u128::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if first {
                let root = (arc / 40).min(2);
                write!(f, "{root}.{}", arc - root * 40)?;
                first = false;
            } else {
                write!(f, ".{arc}")?;
            }
            arc = 0;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{self} ({name})"),
            None => write!(f, "{self}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_form() {
        assert_eq!(Oid::SPNEGO.to_string(), "1.3.6.1.5.5.2");
        assert_eq!(Oid::KERBEROS.to_string(), "1.2.840.113554.1.2.2");
        assert_eq!(Oid::KERBEROS_MICROSOFT.to_string(), "1.2.840.48018.1.2.2");
        assert_eq!(Oid::NTLM.to_string(), "1.3.6.1.4.1.311.2.2.10");
        assert_eq!(format!("{:?}", Oid::NEGOEX), "1.3.6.1.4.1.311.2.2.30 (NEGOEX)");
        assert_eq!(Oid::from_content(&[]), None);
        assert_eq!(Oid::from_content(&[0x2a, 0x86]), None);
        assert_eq!(Oid::from_content(&[0xff; 65]), None);
    }
}
