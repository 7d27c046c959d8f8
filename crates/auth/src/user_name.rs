use std::fmt;

/// A user's name as Windows takes it apart: `DOMAIN\user`, `user@realm` or `user`.
///
/// A `user@realm` stays whole, with an empty domain: only the far end knows where it belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserName {
    /// The domain, or empty.
    pub domain: String,
    /// The user.
    pub user: String,
}

impl UserName {
    /// Takes a name apart.
    pub fn parse(text: &str) -> Self {
        let (domain, user) = text.split_once('\\').unwrap_or(("", text));
        Self { domain: domain.to_owned(), user: user.to_owned() }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}\\", self.domain)?;
        }
        f.write_str(&self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms() {
        let parts = |text| {
            let name = UserName::parse(text);
            assert_eq!(name.to_string(), text);
            (name.domain, name.user)
        };
        assert_eq!(parts(r"DOM\user"), ("DOM".to_owned(), "user".to_owned()));
        assert_eq!(parts("user@realm.test"), (String::new(), "user@realm.test".to_owned()));
        assert_eq!(parts("user"), (String::new(), "user".to_owned()));
    }
}
