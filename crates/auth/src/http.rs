//! The HTTP headers `Authorization` and `WWW-Authenticate` with tokens (RFC 4559).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::Error;

/// What says in `Authorization` that the client's certificate of TLS is meant (DSP0226 appendix A.8).
pub const CERTIFICATE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// The largest token that is read, in bytes. A forwarded ticket with a large PAC stays well below.
pub const MAX_TOKEN: usize = 128 * 1024;

/// An HTTP authentication scheme that carries GSS-API tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `Negotiate`: SPNEGO, or a Kerberos token without it.
    #[default]
    Negotiate,
    /// `Kerberos`: a Kerberos token without SPNEGO.
    Kerberos,
    /// `CredSSP`: TLS records with SPNEGO and a password inside.
    CredSsp,
}

impl Scheme {
    /// Every scheme, the preferred one first.
    pub const ALL: [Scheme; 3] = [Scheme::Negotiate, Scheme::Kerberos, Scheme::CredSsp];

    /// The word in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Negotiate => "Negotiate",
            Scheme::Kerberos => "Kerberos",
            Scheme::CredSsp => "CredSSP",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(word))
    }

    /// The header value that carries a token.
    pub fn header(self, token: &[u8]) -> String {
        format!("{self} {}", STANDARD.encode(token))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the value of an `Authorization` header.
pub fn parse_authorization(value: &str) -> Result<(Scheme, Vec<u8>), Error> {
    let (word, token) = split_scheme(value);
    let scheme = Scheme::parse(word).ok_or_else(|| Error::Scheme { got: excerpt(word) })?;
    if token.is_empty() {
        return Err(Error::Header("the token is missing"));
    }
    Ok((scheme, decode_token(token)?))
}

/// Finds the server's token in the values of all its `WWW-Authenticate` headers.
///
/// `Ok(None)` means that the scheme is there without a token: the server starts from the beginning, or says no
/// more. A value may list several schemes.
pub fn parse_www_authenticate<'a>(
    values: impl IntoIterator<Item = &'a str>,
    scheme: Scheme,
) -> Result<Option<Vec<u8>>, Error> {
    let mut offered = Vec::new();
    let mut found = false;
    for challenge in values.into_iter().flat_map(split_list) {
        let (word, token) = split_scheme(challenge);
        if Scheme::parse(word) == Some(scheme) {
            if !token.is_empty() {
                return decode_token(token).map(Some);
            }
            found = true;
        } else if !word.is_empty() && !word.contains('=') {
            offered.push(excerpt(word));
        }
    }
    if found {
        return Ok(None);
    }
    let offered = if offered.is_empty() { "no authentication".to_owned() } else { offered.join(", ") };
    Err(Error::NotOffered { offered, expected: scheme })
}

pub(crate) fn split_scheme(value: &str) -> (&str, &str) {
    let value = value.trim();
    let (word, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    (word, rest.trim())
}

/// Splits at commas outside quoted strings. Base64 has neither.
fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

fn decode_token(token: &str) -> Result<Vec<u8>, Error> {
    let size = token.len() / 4 * 3;
    if size > MAX_TOKEN {
        return Err(Error::TooLarge { got: size, limit: MAX_TOKEN });
    }
    STANDARD.decode(token).map_err(|_| Error::Header("the token is not base64"))
}

fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_header() {
        assert_eq!(parse_authorization("Negotiate YQ==").unwrap(), (Scheme::Negotiate, b"a".to_vec()));
        assert_eq!(parse_authorization(" kerberos\tYWI= ").unwrap(), (Scheme::Kerberos, b"ab".to_vec()));
        for (bad, says) in [
            ("", "not supported"),
            ("Basic YTpi", "\"Basic\""),
            ("Negotiate", "token is missing"),
            ("credssp", "token is missing"),
            ("Negotiate %%%", "not base64"),
        ] {
            let error = parse_authorization(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("YTpi"), "{error}");
        }
        let large = Scheme::Negotiate.header(&vec![0; MAX_TOKEN + 3]);
        assert!(matches!(parse_authorization(&large), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn www_authenticate_headers() {
        let find = |values: &[&str]| parse_www_authenticate(values.iter().copied(), Scheme::Negotiate);
        assert_eq!(find(&["Negotiate"]).unwrap(), None);
        assert_eq!(find(&["Kerberos", "Negotiate YQ=="]).unwrap(), Some(b"a".to_vec()));
        assert_eq!(find(&[r#"Basic realm="a, Negotiate", negotiate YQ=="#]).unwrap(), Some(b"a".to_vec()));
        assert_eq!(find(&["Negotiate, Kerberos, Basic realm=\"x\""]).unwrap(), None);
        let error = find(&["Basic realm=\"x\"", "NTLM"]).unwrap_err();
        assert_eq!(error.to_string(), "the server offers Basic, NTLM, expected Negotiate");
        assert!(find(&[]).unwrap_err().to_string().contains("no authentication"));
    }
}
