/// A pattern of service principal names: text with at most one `*`, which stands for any number of characters.
///
/// Windows knows `WSMAN/myserver.domain.com`, `WSMAN/*.domain.com` and `WSMAN/*`. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    /// What follows the `*`, if there is one.
    after: Option<String>,
}

impl Pattern {
    /// Reads one; `None` if it is empty or has more than one `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.trim().to_lowercase();
        let (before, after) = match lower.split_once('*') {
            None => (lower, None),
            Some((_, after)) if after.contains('*') => return None,
            Some((before, after)) => (before.to_owned(), Some(after.to_owned())),
        };
        (!before.is_empty() || after.is_some()).then_some(Self { before, after })
    }

    /// Whether it covers a name.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        match &self.after {
            None => name == self.before,
            Some(after) => name
                .strip_prefix(self.before.as_str())
                .is_some_and(|rest| rest.len() >= after.len() && rest.ends_with(after.as_str())),
        }
    }
}

/// Matches a pattern with any number of `*`, without regard to case.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.trim().to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part).and_then(|at| rest.get(at..)).and_then(|found| found.strip_prefix(part)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
