//! Paths as PowerShell writes them: drives, providers, wildcards.

use hop_powershell_runtime::ops;
use hop_powershell_runtime::runspace::Runspace;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};
use hop_powershell_runtime::wildcard::{Wildcard, has_wildcard};

/// The providers of this engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    FileSystem,
    Environment,
    Variable,
    Function,
    Alias,
}

impl Provider {
    pub const ALL: [Self; 5] =
        [Self::Alias, Self::Environment, Self::FileSystem, Self::Function, Self::Variable];

    pub fn name(self) -> &'static str {
        match self {
            Self::FileSystem => "FileSystem",
            Self::Environment => "Environment",
            Self::Variable => "Variable",
            Self::Function => "Function",
            Self::Alias => "Alias",
        }
    }

    /// The name of the drive that is always there.
    pub fn drive(self) -> &'static str {
        match self {
            Self::FileSystem => "/",
            Self::Environment => "Env",
            Self::Variable => "Variable",
            Self::Function => "Function",
            Self::Alias => "Alias",
        }
    }

    pub fn of_drive(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| *p != Self::FileSystem && p.drive().eq_ignore_ascii_case(name))
    }

    pub fn named(name: &str) -> Option<Self> {
        let name = name.rsplit('\\').next().unwrap_or(name);
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(name))
    }
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub provider: Provider,
    /// An absolute path of the file system, or the name of a variable, function, alias; empty: the root.
    pub path: String,
    /// The drive's name.
    pub drive: String,
    /// The folder that is the drive's root, for drives of the file system.
    pub root: String,
}

impl Place {
    pub fn file(path: &str) -> Self {
        Self {
            provider: Provider::FileSystem,
            path: path.to_owned(),
            drive: "/".to_owned(),
            root: "/".to_owned(),
        }
    }

    fn with_path(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }

    /// The path with its drive, as `Path` properties show it.
    pub fn shown(&self) -> String {
        match self.provider {
            Provider::FileSystem if self.drive == "/" => self.path.clone(),
            Provider::FileSystem => {
                let below = self.path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(&self.path);
                format!("{}:/{}", self.drive, below.trim_start_matches('/'))
            }
            _ => format!("{}:/{}", self.drive, self.path),
        }
    }

    /// `PSPath`: the path with its provider.
    pub fn ps_path(&self) -> String {
        let path = if self.provider == Provider::FileSystem {
            self.path.clone()
        } else {
            format!("{}::{}", self.drive, self.path)
        };
        match self.provider {
            Provider::FileSystem => format!("Microsoft.PowerShell.Core\\FileSystem::{path}"),
            other => format!("Microsoft.PowerShell.Core\\{}::{}", other.name(), self.path),
        }
    }

    pub fn drive_value(&self) -> Value {
        ops::drive_info(&self.drive, self.provider.name(), &self.root, "")
    }

    pub fn provider_value(&self) -> Value {
        ops::provider_info(self.provider.name())
    }

    /// Whether something is there.
    pub fn exists(&self, runspace: &mut Runspace) -> bool {
        match self.provider {
            Provider::FileSystem => std::fs::symlink_metadata(&self.path).is_ok(),
            _ if self.path.is_empty() => true,
            Provider::Environment => runspace.env.contains_key(&self.path),
            Provider::Variable => runspace.get_variable(&self.path).is_some(),
            Provider::Function => runspace.find_function(&self.path).is_some(),
            Provider::Alias => runspace.find_alias(&self.path).is_some(),
        }
    }

    pub fn is_container(&self) -> bool {
        match self.provider {
            Provider::FileSystem => std::fs::metadata(&self.path).is_ok_and(|m| m.is_dir()),
            _ => self.path.is_empty(),
        }
    }

    /// `Cannot find path`.
    pub fn not_found(&self) -> Error {
        let shown = if self.provider == Provider::FileSystem && self.drive == "/" {
            self.path.clone()
        } else if self.provider == Provider::FileSystem {
            self.shown()
        } else {
            self.path.clone()
        };
        not_found(&shown)
    }
}

/// `Cannot find path 'x' because it does not exist.`
pub(crate) fn not_found(path: &str) -> Error {
    Error::new(
        "System.Management.Automation.ItemNotFoundException",
        "PathNotFound",
        ErrorCategory::ObjectNotFound,
        format!("Cannot find path '{path}' because it does not exist."),
    )
    .with_target(Value::string(path))
}

/// `Cannot find drive.`
pub(crate) fn no_drive(name: &str) -> Error {
    Error::new(
        "System.Management.Automation.DriveNotFoundException",
        "DriveNotFound",
        ErrorCategory::ObjectNotFound,
        format!("Cannot find drive. A drive with the name '{name}' does not exist."),
    )
    .with_target(Value::string(name))
}

/// Splits `Drive:rest` and `Provider::rest`; a colon behind a slash belongs to a name.
pub(crate) fn split_drive(path: &str) -> Option<(&str, &str)> {
    let (drive, rest) = path.split_once(':')?;
    (!drive.is_empty() && !drive.contains(['/', '\\', '.', '*', '?', '[', '`'])).then_some((drive, rest))
}

/// Where a path leads, without wildcards.
pub(crate) fn resolve(runspace: &Runspace, text: &str) -> Result<Place, Error> {
    if let Some((provider, rest)) = text.split_once("::") {
        let Some(provider) = Provider::named(provider) else {
            return Err(Error::new(
                "System.Management.Automation.ProviderNotFoundException",
                "ProviderNotFound",
                ErrorCategory::ObjectNotFound,
                format!("Cannot find a provider with the name '{provider}'."),
            )
            .with_target(Value::string(provider)));
        };
        return Ok(match provider {
            Provider::FileSystem => Place::file(&runspace.full_path(&rest.replace('\\', "/"))),
            other => Place {
                provider: other,
                path: rest.trim_start_matches(['/', '\\']).to_owned(),
                drive: other.drive().to_owned(),
                root: String::new(),
            },
        });
    }
    if let Some((drive, rest)) = split_drive(text) {
        if let Some(provider) = Provider::of_drive(drive) {
            return Ok(Place {
                provider,
                path: rest.trim_start_matches(['/', '\\']).to_owned(),
                drive: provider.drive().to_owned(),
                root: String::new(),
            });
        }
        let (name, root) = drive_root(runspace, drive).ok_or_else(|| no_drive(drive))?;
        let path = runspace.full_path(&format!(
            "{}/{}",
            root.trim_end_matches('/'),
            rest.replace('\\', "/").trim_start_matches('/')
        ));
        return Ok(Place { provider: Provider::FileSystem, path, drive: name, root });
    }
    if let Some((drive, below)) = &runspace.drive_location
        && !text.starts_with(['/', '~'])
    {
        let rest = if text == "." { "" } else { text.trim_start_matches("./") };
        let joined = if below.is_empty() { rest.to_owned() } else { format!("{below}/{rest}") };
        return resolve(runspace, &format!("{drive}:/{joined}"));
    }
    Ok(Place::file(&runspace.full_path(&text.replace('\\', "/"))))
}

/// Name and root folder of a drive of the file system.
pub(crate) fn drive_root(runspace: &Runspace, name: &str) -> Option<(String, String)> {
    if name.eq_ignore_ascii_case("Temp") {
        return Some(("Temp".to_owned(), "/tmp".to_owned()));
    }
    let drive = runspace.drives.iter().find(|d| d.name.eq_ignore_ascii_case(name))?;
    Some((drive.name.clone(), drive.root.clone()))
}

/// Takes backticks out of a path that has no wildcard.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '`' { chars.next().unwrap_or('`') } else { c });
    }
    out
}

/// The places that a path with wildcards leads to; without wildcards the one place, whether it is there or not.
pub(crate) fn expand(
    runspace: &mut Runspace,
    text: &str,
    literal: bool,
    force: bool,
) -> Result<Vec<Place>, Error> {
    if literal || !has_wildcard(text) {
        // An exact name wins over a pattern of the same spelling.
        let plain = if literal || !text.contains('`') { text.to_owned() } else { unescape(text) };
        return Ok(vec![resolve(runspace, &plain)?]);
    }
    let place = resolve(runspace, text)?;
    if place.provider != Provider::FileSystem {
        let pattern = Wildcard::new(&place.path, true)?;
        return Ok(names(runspace, place.provider)
            .into_iter()
            .filter(|n| pattern.is_match(n))
            .map(|n| place.with_path(n))
            .collect());
    }
    let mut found = vec![String::new()];
    for part in place.path.split('/').filter(|p| !p.is_empty()) {
        let mut next = Vec::new();
        if has_wildcard(part) {
            let pattern = Wildcard::new(part, true)?;
            let exact = unescape(part);
            for folder in &found {
                let mut entries = children(&format!("{folder}/")).unwrap_or_default();
                entries.retain(|name| {
                    (pattern.is_match(name) || *name == exact)
                        && (force || !name.starts_with('.') || part.starts_with('.'))
                });
                next.extend(entries.into_iter().map(|name| format!("{folder}/{name}")));
            }
        } else {
            let plain = unescape(part);
            for folder in &found {
                let path = format!("{folder}/{plain}");
                if std::fs::symlink_metadata(&path).is_ok() {
                    next.push(path);
                }
            }
        }
        found = next;
    }
    Ok(found.into_iter().map(|p| place.with_path(if p.is_empty() { "/".to_owned() } else { p })).collect())
}

/// Names in a folder: folders first, each part in order without regard to case.
pub(crate) fn children(folder: &str) -> std::io::Result<Vec<String>> {
    let mut entries: Vec<(bool, String)> = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|e| {
            let is_folder = std::fs::metadata(e.path()).is_ok_and(|m| m.is_dir());
            (!is_folder, e.file_name().to_string_lossy().into_owned())
        })
        .collect();
    entries.sort_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| hop_powershell_runtime::operators::compare_text(&a.1, &b.1, true))
            .then_with(|| a.1.cmp(&b.1))
    });
    Ok(entries.into_iter().map(|(_, n)| n).collect())
}

/// Names of all items of a provider that has no folders.
pub(crate) fn names(runspace: &mut Runspace, provider: Provider) -> Vec<String> {
    let mut list: Vec<String> = match provider {
        Provider::FileSystem => Vec::new(),
        Provider::Environment => runspace.env.keys().cloned().collect(),
        Provider::Variable => runspace.variable_names(),
        Provider::Function => runspace.function_names(),
        Provider::Alias => runspace.alias_names(),
    };
    list.sort_by(|a, b| hop_powershell_runtime::operators::compare_text(a, b, true));
    list
}
