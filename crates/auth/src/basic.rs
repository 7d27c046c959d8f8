use base64::{Engine as _, engine::general_purpose::STANDARD};
use hop_secret::SecretString;
use zeroize::Zeroizing;

use crate::{Error, http};

/// A user's name and password as HTTP's `Basic` carries them (RFC 7617): to be sent inside TLS only.
#[derive(Clone, Debug)]
pub struct BasicCredentials {
    /// The user; without a colon.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// The largest header that is read, in bytes.
const LIMIT: usize = 4096;

impl BasicCredentials {
    /// The scheme's word in the headers.
    pub const SCHEME: &str = "Basic";

    /// The value of a 401's `WWW-Authenticate` header.
    pub const CHALLENGE: &str = "Basic realm=\"WSMAN\", charset=\"UTF-8\"";

    /// The value of the `Authorization` header.
    ///
    /// # Errors
    /// A user with a colon or a control character.
    pub fn authorization(&self) -> Result<SecretString, Error> {
        if self.user.contains(':') || has_control(&self.user) || has_control(self.password.expose()) {
            return Err(Error::Header("Basic has no names with colons and no control characters"));
        }
        let plain = Zeroizing::new(format!("{}:{}", self.user, self.password.expose()));
        let encoded = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        Ok(SecretString::new(format!("Basic {}", encoded.as_str())))
    }

    /// Reads the value of an `Authorization` header; `None` if its scheme is another.
    ///
    /// # Errors
    /// It is not base64 of UTF-8 text with a colon, or longer than any sensible one.
    pub fn parse(authorization: &str) -> Result<Option<Self>, Error> {
        let (word, encoded) = http::split_scheme(authorization);
        if !word.eq_ignore_ascii_case(Self::SCHEME) {
            return Ok(None);
        }
        if encoded.len() > LIMIT {
            return Err(Error::TooLarge { got: encoded.len(), limit: LIMIT });
        }
        let malformed = || Error::Header("Basic is not base64 of user:password");
        let plain = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| malformed())?);
        let plain = std::str::from_utf8(&plain).map_err(|_| malformed())?;
        let (user, password) = plain.split_once(':').ok_or_else(malformed)?;
        if has_control(plain) {
            return Err(malformed());
        }
        Ok(Some(Self { user: user.to_owned(), password: password.into() }))
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, password: &str) -> BasicCredentials {
        BasicCredentials { user: user.to_owned(), password: password.into() }
    }

    #[test]
    fn round_trip() {
        // RFC 7617 sections 2 and 2.1.
        let aladdin = credentials("Aladdin", "open sesame").authorization().unwrap();
        assert_eq!(aladdin.expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(credentials("test", "123£").authorization().unwrap().expose(), "Basic dGVzdDoxMjPCow==");
        for (user, password) in [("Aladdin", "open sesame"), ("test", "123£"), ("a", ""), (r"D\u", "x:y")] {
            let header = credentials(user, password).authorization().unwrap();
            let read = BasicCredentials::parse(header.expose()).unwrap().unwrap();
            assert_eq!((read.user.as_str(), read.password), (user, password.into()));
        }
    }

    #[test]
    fn bad_headers() {
        assert!(BasicCredentials::parse("Negotiate YQ==").unwrap().is_none());
        for bad in ["Basic", "Basic %%", "Basic YQ==", "basic /////w==", "Basic YTpiCg=="] {
            let error = BasicCredentials::parse(bad).unwrap_err().to_string();
            assert!(error.contains("user:password"), "{error}");
        }
        let huge = format!("Basic {}", "A".repeat(1 << 20));
        assert!(matches!(BasicCredentials::parse(&huge), Err(Error::TooLarge { .. })));
        assert!(credentials("a:b", "c").authorization().is_err());
        assert!(credentials("a", "b\n").authorization().is_err());
        assert!(!format!("{:?}", credentials("a", "geheim")).contains("geheim"));
    }
}
