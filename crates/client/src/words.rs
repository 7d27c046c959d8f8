//! Ways of authentication by the words that options and configuration files have for them.

/// The word of a way.
pub(crate) fn of<T: PartialEq>(all: &[(T, &'static str)], way: &T) -> &'static str {
    all.iter().find(|(it, _)| it == way).map_or("", |(_, word)| word)
}

/// The way that a word names, in letters of either case.
pub(crate) fn parse<T: Copy>(all: &[(T, &str)], text: &str) -> Result<T, String> {
    let known = all.iter().find(|(_, word)| word.eq_ignore_ascii_case(text));
    known.map(|(it, _)| *it).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|(_, word)| *word).collect();
        format!("unknown authentication {text:?}, expected one of {}", words.join(", "))
    })
}
