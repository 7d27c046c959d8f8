//! Where to turn next on the way to a service's realm.

use hop_kerberos::config::Config;

/// The realms still to be tried from where one stands, the farthest first.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    config: &'a Config,
    goal: &'a str,
    /// All of it, as it was planned at the start.
    path: Vec<String>,
    /// Whether `[capaths]` says so: then KDCs that know other ways are not followed.
    is_fixed: bool,
    left: Vec<String>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(config: &'a Config, from: &str, goal: &'a str) -> Self {
        let path = config.realm_path(from, goal);
        let is_fixed = !config.values(&["capaths", from, goal]).is_empty();
        Self { config, goal, left: path.clone(), path, is_fixed }
    }

    /// The realm to ask for the way to; nothing when at the goal, or when all that could be asked for is unknown.
    pub(crate) fn next(&self) -> Option<&str> {
        self.left.last().map(String::as_str)
    }

    /// The KDC knows no way to the realm last asked for. False if there is no other to ask for.
    pub(crate) fn is_unknown(&mut self) -> bool {
        self.left.pop();
        !self.left.is_empty()
    }

    /// Whether to go where the KDC leads.
    pub(crate) fn allows(&self, realm: &str) -> bool {
        !self.is_fixed || self.path.iter().any(|known| known == realm)
    }

    /// A realm was reached.
    pub(crate) fn reached(&mut self, realm: &str) {
        self.left = match self.path.iter().position(|known| known == realm) {
            Some(at) => self.path.split_off(at + 1),
            None => self.config.realm_path(realm, self.goal),
        };
        self.path.clone_from(&self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_kept_to() {
        let config = Config::parse(b"[capaths]\n A = {\n D = B\n D = C\n }\n").unwrap();
        let mut way = Way::new(&config, "A", "D");
        assert_eq!(way.next(), Some("D"));
        assert!(way.is_unknown());
        assert_eq!(way.next(), Some("C"));
        assert!(way.allows("B") && !way.allows("X"));
        assert!(way.is_unknown());
        way.reached("B");
        assert_eq!(way.next(), Some("D"));
        assert!(way.is_unknown() && way.next() == Some("C"));
        way.reached("D");
        assert!(way.next().is_none() && !way.is_unknown());
        let mut way = Way::new(&config, "A", "E");
        assert!(way.allows("X"));
        way.reached("X");
        assert_eq!(way.next(), Some("E"));
        assert!(!way.is_unknown());
    }
}
