//! The syntax of krb5.conf: sections, relations, nested groups, includes and finality.

use super::ConfigError;

/// How deeply groups may nest and files include each other.
const MAX_DEPTH: usize = 10;
/// How much text all included files may hold together, in bytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;

/// What a file asks to have read in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Include {
    /// `include FILE`: this one file, which must exist.
    File(String),
    /// `includedir DIRECTORY`: the directory's files whose names consist of letters, digits, dashes and
    /// underscores only, or end in `.conf` and do not begin with a dot, in order of their names.
    Directory(String),
}

/// Reads what an [`Include`] names: the text of each file, in order.
///
/// # Errors
/// A sentence saying which file could not be read, and why.
pub type Includer<'a> = dyn FnMut(&Include) -> Result<Vec<Vec<u8>>, String> + 'a;

/// One file (with what it includes) as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) root: Section,
}

/// A section or group: relations and groups in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) nodes: Vec<Node>,
}

/// A named entry of a [`Section`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    /// Later files (and later entries of the same name) are not asked.
    pub(super) is_final: bool,
    pub(super) content: Content,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Value(String),
    Group(Section),
}

impl Profile {
    pub(super) fn parse(text: &[u8], includer: &mut Includer<'_>) -> Result<Self, ConfigError> {
        let mut profile = Self::default();
        let mut budget = MAX_TEXT;
        Parser { root: &mut profile.root, includer, budget: &mut budget, depth: 0 }.file(text)?;
        Ok(profile)
    }

    /// Writes the tree so that parsing it again gives the same tree.
    pub(super) fn write(&self, out: &mut String) {
        for node in &self.root.nodes {
            if let Content::Group(section) = &node.content {
                out.push_str(&format!("[{}]{}\n", node.name, star(node.is_final)));
                section.write(out, 1);
            }
        }
    }
}

impl Section {
    /// The first group of this name.
    fn group_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name && matches!(node.content, Content::Group(_)))
    }

    /// Whether an earlier final entry of this name shuts out later ones.
    fn is_shut(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.name == name && node.is_final)
    }

    /// The group at the end of a path, made where it is missing.
    fn descend(&mut self, path: &[String]) -> Option<&mut Section> {
        let mut section = self;
        for name in path {
            if section.group_mut(name).is_none() {
                section.nodes.push(Node {
                    name: name.clone(),
                    is_final: false,
                    content: Content::Group(Section::default()),
                });
            }
            section = match &mut section.group_mut(name)?.content {
                Content::Group(group) => group,
                Content::Value(_) => return None,
            };
        }
        Some(section)
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        for node in &self.nodes {
            let star = star(node.is_final);
            match &node.content {
                Content::Value(value) => {
                    out.push_str(&format!("{indent}{}{star} = {}\n", node.name, quoted(value)));
                }
                Content::Group(group) => {
                    out.push_str(&format!("{indent}{} = {{\n", node.name));
                    group.write(out, depth + 1);
                    out.push_str(&format!("{indent}}}{star}\n"));
                }
            }
        }
    }
}

/// Reads one file into the tree; an included file begins outside of any section.
struct Parser<'a, 'i> {
    root: &'a mut Section,
    includer: &'a mut Includer<'i>,
    budget: &'a mut usize,
    depth: usize,
}

/// Where in a file the parser stands.
#[derive(Default)]
struct Place {
    /// The section's name, then the names of the open groups.
    path: Vec<String>,
    /// The group whose opening brace must come on this line.
    awaiting_brace: Option<String>,
    /// How many groups are open below one that an earlier final entry has shut out.
    skipping: usize,
}

impl Parser<'_, '_> {
    fn file(&mut self, text: &[u8]) -> Result<(), ConfigError> {
        *self.budget =
            self.budget.checked_sub(text.len()).ok_or(ConfigError::TooLarge { limit: MAX_TEXT })?;
        let text = std::str::from_utf8(text).map_err(|_| ConfigError::NotText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut place = Place::default();
        let mut last = 0;
        for (index, raw) in text.lines().enumerate() {
            last = index + 1;
            self.line(raw, &mut place).map_err(|problem| match problem {
                Problem::Syntax(expected) => ConfigError::Syntax { line: last, expected },
                Problem::Error(error) => error,
            })?;
        }
        match place.awaiting_brace.is_some() || place.path.len() > 1 || place.skipping > 0 {
            true => Err(ConfigError::Syntax { line: last, expected: "a closing brace before the end" }),
            false => Ok(()),
        }
    }

    fn line(&mut self, raw: &str, place: &mut Place) -> Result<(), Problem> {
        // Directives count only at the very beginning of a line.
        if let Some(name) = directive(raw, "includedir") {
            return self.include(&Include::Directory(name.to_owned()));
        }
        if let Some(name) = directive(raw, "include") {
            return self.include(&Include::File(name.to_owned()));
        }
        if directive(raw, "module").is_some() {
            return Err(ConfigError::Module.into());
        }
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(());
        }
        if let Some(name) = place.awaiting_brace.take() {
            return match line {
                "{" => self.open(name, place),
                _ => Err(Problem::Syntax("an opening brace")),
            };
        }
        if let Some(rest) = line.strip_prefix('[') {
            return self.section(rest, place);
        }
        if line.starts_with('}') {
            return self.close(line, place);
        }
        self.relation(line, place)
    }

    fn include(&mut self, include: &Include) -> Result<(), Problem> {
        if self.depth + 1 >= MAX_DEPTH {
            return Err(ConfigError::TooDeep { limit: MAX_DEPTH }.into());
        }
        for text in (self.includer)(include).map_err(ConfigError::Include)? {
            Parser {
                root: &mut *self.root,
                includer: &mut *self.includer,
                budget: &mut *self.budget,
                depth: self.depth + 1,
            }
            .file(&text)?;
        }
        Ok(())
    }

    fn section(&mut self, rest: &str, place: &mut Place) -> Result<(), Problem> {
        if place.path.len() > 1 || place.skipping > 0 {
            return Err(Problem::Syntax("a closing brace before the next section"));
        }
        let (name, tail) = rest.split_once(']').ok_or(Problem::Syntax("a closing bracket"))?;
        let is_final = match tail.trim() {
            "" => false,
            "*" => true,
            _ => return Err(Problem::Syntax("nothing after the section name")),
        };
        place.path = vec![name.trim().to_owned()];
        self.root.descend(&place.path);
        if let Some(node) = self.root.group_mut(name.trim()) {
            node.is_final |= is_final;
        }
        Ok(())
    }

    fn open(&mut self, name: String, place: &mut Place) -> Result<(), Problem> {
        if place.path.len() + place.skipping > MAX_DEPTH {
            return Err(ConfigError::TooDeep { limit: MAX_DEPTH }.into());
        }
        let is_shut = self.root.descend(&place.path).is_some_and(|section| section.is_shut(&name));
        if place.skipping > 0 || is_shut {
            place.skipping += 1;
        } else {
            place.path.push(name);
            self.root.descend(&place.path);
        }
        Ok(())
    }

    fn close(&mut self, line: &str, place: &mut Place) -> Result<(), Problem> {
        let is_final = match line.get(1..).map(str::trim) {
            Some("") => false,
            Some("*") => true,
            _ => return Err(Problem::Syntax("nothing after the closing brace")),
        };
        if place.skipping > 0 {
            place.skipping -= 1;
            return Ok(());
        }
        if place.path.len() < 2 {
            return Err(Problem::Syntax("no closing brace here"));
        }
        let name = place.path.pop().unwrap_or_default();
        if let Some(node) = self.root.descend(&place.path).and_then(|section| section.group_mut(&name)) {
            node.is_final |= is_final;
        }
        Ok(())
    }

    fn relation(&mut self, line: &str, place: &mut Place) -> Result<(), Problem> {
        if place.path.is_empty() {
            return Err(Problem::Syntax("a section before the first relation"));
        }
        let (tag, value) = line.split_once('=').ok_or(Problem::Syntax("an equals sign"))?;
        let (tag, value) = (tag.trim(), value.trim());
        let (name, is_final) = match tag.strip_suffix('*') {
            Some(name) => (name.trim_end(), true),
            None => (tag, false),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Problem::Syntax("one word before the equals sign"));
        }
        match value {
            "" => place.awaiting_brace = Some(name.to_owned()),
            "{" => return self.open(name.to_owned(), place),
            _ if place.skipping > 0 => {}
            _ => {
                if let Some(section) = self.root.descend(&place.path).filter(|s| !s.is_shut(name)) {
                    section.nodes.push(Node {
                        name: name.to_owned(),
                        is_final,
                        content: Content::Value(unquoted(value)),
                    });
                }
            }
        }
        Ok(())
    }
}

enum Problem {
    Syntax(&'static str),
    Error(ConfigError),
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::Error(error)
    }
}

fn directive<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(word)?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim()).filter(|name| !name.is_empty())
}

fn star(is_final: bool) -> &'static str {
    if is_final { "*" } else { "" }
}

/// The text between quotation marks with its escapes undone; anything else as it stands.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('b') => text.push('\u{8}'),
                Some(other) => text.push(other),
                None => break,
            },
            _ => text.push(c),
        }
    }
    text
}

fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && value.trim() == value
        && !value.starts_with(['"', '{', '}'])
        && !value.contains(['\n', '\r', '\t', '\u{8}']);
    if plain {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            _ => text.push(c),
        }
    }
    text.push('"');
    text
}
