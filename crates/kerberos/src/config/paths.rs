//! The way from realm to realm: `[capaths]`, else the hierarchy of their names.

use super::Config;

/// The longest way that is taken.
const MAX_REALMS: usize = 10;

impl Config {
    /// The realms on the way, the nearest first and `to` itself last; nothing if both are one.
    ///
    /// `[capaths]` names the ones between, in order, for a client's realm and a service's; `.` stands for none.
    /// Where it says nothing the way goes up the names of realms to what both have in common, then down again
    /// (RFC 4120 1.2).
    pub fn realm_path(&self, from: &str, to: &str) -> Vec<String> {
        if from == to {
            return Vec::new();
        }
        let named = self.values(&["capaths", from, to]);
        let mut path: Vec<String> = match named.is_empty() {
            false => named
                .into_iter()
                .flat_map(str::split_whitespace)
                .filter(|realm| *realm != "." && *realm != from && *realm != to)
                .map(str::to_owned)
                .collect(),
            true => hierarchy(from, to).unwrap_or_default(),
        };
        path.truncate(MAX_REALMS - 1);
        path.push(to.to_owned());
        path
    }
}

/// The realms between two of one hierarchy of domain names, up to the common end and down again; none if there is
/// no common end.
pub(crate) fn hierarchy(from: &str, to: &str) -> Option<Vec<String>> {
    let labels = |realm: &str| realm.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (labels(from), labels(to));
    let common = from.iter().rev().zip(to.iter().rev()).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return None;
    }
    let up = (1..=from.len() - common).map(|dropped| from[dropped..].join("."));
    let down = (common + 1..to.len()).map(|kept| to[to.len() - kept..].join("."));
    let mut path: Vec<String> = up.chain(down).collect();
    // Above or below each other, the last step up is the goal itself.
    if path.last().is_some_and(|last| *last == to.join(".")) {
        path.pop();
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_configured_or_follow_the_names() {
        let text =
            "[capaths]\n A.TEST = {\n B.TEST = .\n C.TEST = B.TEST\n D.TEST = B.TEST\n D.TEST = C.TEST\n }\n";
        let config = Config::parse(text.as_bytes()).unwrap();
        let path = |from, to| config.realm_path(from, to).join(" ");
        assert_eq!(path("A.TEST", "A.TEST"), "");
        assert_eq!(path("A.TEST", "B.TEST"), "B.TEST");
        assert_eq!(path("A.TEST", "C.TEST"), "B.TEST C.TEST");
        assert_eq!(path("A.TEST", "D.TEST"), "B.TEST C.TEST D.TEST");
        // By name.
        assert_eq!(path("A.TEST", "E.TEST"), "TEST E.TEST");
        assert_eq!(path("X.A.TEST", "Y.B.A.TEST"), "A.TEST B.A.TEST Y.B.A.TEST");
        assert_eq!(path("X.A.TEST", "A.TEST"), "A.TEST");
        assert_eq!(path("A.TEST", "X.Y.A.TEST"), "Y.A.TEST X.Y.A.TEST");
        assert_eq!(path("A.TEST", "OTHER.EXAMPLE"), "OTHER.EXAMPLE");
    }
}
