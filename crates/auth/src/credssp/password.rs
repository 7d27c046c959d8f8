use hop_secret::SecretString;
use zeroize::Zeroizing;

use super::CredSspError;
use crate::{
    DerError, UserName,
    der::{self, Fields},
};

/// The user's name and password, which CredSSP delegates ([MS-CSSP] 2.2.1.2.1).
#[derive(Clone, Debug)]
pub struct DelegatedPassword {
    /// The user.
    pub name: UserName,
    /// The password; may be empty.
    pub password: SecretString,
}

/// TSPasswordCreds as `credType`.
const PASSWORD: i64 = 1;

impl DelegatedPassword {
    /// TSCredentials with TSPasswordCreds.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut credentials = Zeroizing::new(Vec::new());
        for (n, text) in [&self.name.domain, &self.name.user, self.password.expose()].into_iter().enumerate()
        {
            let text = Zeroizing::new(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
            let text = Zeroizing::new(der::element(der::OCTET_STRING, &text));
            credentials.extend_from_slice(&Zeroizing::new(der::element(der::context(n as u8), &text)));
        }
        let credentials = Zeroizing::new(der::element(der::SEQUENCE, &credentials));
        let credentials = Zeroizing::new(der::element(der::OCTET_STRING, &credentials));
        let mut out = Zeroizing::new(der::element(
            der::context(0),
            &der::element(der::INTEGER, &der::integer(PASSWORD)),
        ));
        out.extend_from_slice(&Zeroizing::new(der::element(der::context(1), &credentials)));
        Zeroizing::new(der::element(der::SEQUENCE, &out))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CredSspError> {
        let mut fields = Fields::new(der::only(bytes, der::SEQUENCE)?);
        let kind = der::read_integer(fields.required(0, der::INTEGER)?)?;
        if kind != PASSWORD {
            return Err(CredSspError::CredentialType(kind));
        }
        let credentials = fields.required(1, der::OCTET_STRING)?;
        fields.end()?;
        let mut fields = Fields::new(der::only(credentials, der::SEQUENCE)?);
        let domain = text(fields.required(0, der::OCTET_STRING)?)?;
        let user = text(fields.required(1, der::OCTET_STRING)?)?;
        let password = text(fields.required(2, der::OCTET_STRING)?)?;
        fields.end()?;
        Ok(Self { name: UserName { domain, user }, password: SecretString::new(password) })
    }
}

fn text(bytes: &[u8]) -> Result<String, DerError> {
    let (units, []) = bytes.as_chunks::<2>() else { return Err(DerError::Value) };
    // Large enough from the start, so that no copy of a password is left behind.
    let mut text = String::with_capacity(units.len() * 3);
    for c in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
        text.push(c.map_err(|_| DerError::Value)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (name, password) in [(r"DOM\user", "Pässwörd-€-😀"), ("user@realm.test", ""), ("", "x")] {
            let sent = DelegatedPassword { name: UserName::parse(name), password: password.into() };
            let bytes = sent.encode();
            let got = DelegatedPassword::decode(&bytes).unwrap();
            assert_eq!((got.name, got.password), (sent.name, sent.password));
            for end in 0..bytes.len() {
                assert!(DelegatedPassword::decode(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn other_credentials_are_refused() {
        let bytes = DelegatedPassword { name: UserName::parse("u"), password: "p".into() }.encode();
        let mut smart_card = bytes.to_vec();
        smart_card[6] = 2;
        assert_eq!(DelegatedPassword::decode(&smart_card).unwrap_err(), CredSspError::CredentialType(2));
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown =
            format!("{:?}", DelegatedPassword { name: UserName::parse("u"), password: "geheim".into() });
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
