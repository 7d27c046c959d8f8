//! The type that every secret travels in: passwords, keys, session keys, tickets' decrypted parts.
//!
//! A [`Secret`] is wiped when dropped, prints `[redacted]`, cannot be serialised and is compared in constant
//! time. Only this type carries secrets across crate borders.
#![forbid(unsafe_code)]

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that must not be shown, logged or left in memory.
///
/// Reading it takes an explicit [`expose`](Secret::expose), so that every use can be found by name.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize>(T);

/// Secret bytes: keys, tokens, password hashes.
pub type SecretBytes = Secret<Vec<u8>>;

/// Secret text: passwords.
pub type SecretString = Secret<String>;

impl<T: Zeroize> Secret<T> {
    /// Takes a value into custody. The caller's other copies stay the caller's business.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Do not copy it out of the borrow.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<String> {
    /// The text as secret bytes (UTF-8).
    pub fn to_secret_bytes(&self) -> SecretBytes {
        Secret(self.0.as_bytes().to_vec())
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl From<&[u8]> for Secret<Vec<u8>> {
    fn from(value: &[u8]) -> Self {
        Self(value.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let secret = SecretString::from("Pa55word");
        assert_eq!(format!("{secret:?} {:?}", Some(secret.clone())), "[redacted] Some([redacted])");
    }

    #[test]
    fn equality_looks_at_every_byte() {
        assert_eq!(SecretString::from("a"), SecretString::from("a"));
        assert_ne!(SecretString::from("a"), SecretString::from("ab"));
        assert_ne!(SecretBytes::from(&b"aa"[..]), SecretBytes::from(&b"ab"[..]));
    }
}
