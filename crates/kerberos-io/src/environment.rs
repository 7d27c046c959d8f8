//! What the process's environment says about Kerberos, read once and then passed about.

use std::path::{Path, PathBuf};

use hop_kerberos::config::{Config, Expansion, Include, KdcAddress, expand};

use crate::Error;

/// Where krb5.conf is unless `KRB5_CONFIG` says otherwise.
const DEFAULT_CONFIG: &str = "/etc/krb5.conf";
const DEFAULT_CCACHE: &str = "FILE:%{TEMP}/krb5cc_%{uid}";
const DEFAULT_KEYTAB: &str = "FILE:/etc/krb5.keytab";
/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The variables and identity that defaults depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `KRB5_CONFIG`: files (or directories) separated by colons.
    pub config: Option<String>,
    /// `KRB5CCNAME`.
    pub ccache: Option<String>,
    /// `KRB5_KTNAME`.
    pub keytab: Option<String>,
    /// `KRB5_CLIENT_KTNAME`.
    pub client_keytab: Option<String>,
    /// The default realm, whatever the configuration says.
    pub realm: Option<String>,
    /// The KDCs of `realm` (else of the configuration's default realm), in place of those that the configuration
    /// names: `HOST[:PORT]` or `https://HOST/PATH`.
    pub kdcs: Vec<String>,
    /// The real user.
    pub uid: u32,
    /// The effective user.
    pub effective_uid: u32,
    /// The effective user's name, or its number where it has none.
    pub user_name: String,
    /// `TMPDIR`, or `/tmp`.
    pub temporary: String,
}

impl Environment {
    /// Reads the process's variables and identity.
    pub fn from_process() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let effective = nix::unistd::geteuid();
        let user_name = nix::unistd::User::from_uid(effective).ok().flatten().map(|user| user.name);
        Self {
            config: variable("KRB5_CONFIG"),
            ccache: variable("KRB5CCNAME"),
            keytab: variable("KRB5_KTNAME"),
            client_keytab: variable("KRB5_CLIENT_KTNAME"),
            realm: None,
            kdcs: Vec::new(),
            uid: nix::unistd::getuid().as_raw(),
            effective_uid: effective.as_raw(),
            user_name: user_name.unwrap_or_else(|| effective.to_string()),
            // MIT's %{TEMP} is TMPDIR, but its built-in cache name says /tmp outright.
            temporary: variable("TMPDIR").unwrap_or_else(|| "/tmp".to_owned()),
        }
    }

    /// Reads krb5.conf: the files of `KRB5_CONFIG`, or `/etc/krb5.conf`. Files that do not exist are passed over;
    /// without `KRB5_CONFIG` there need be none.
    ///
    /// # Errors
    /// A file that cannot be read or understood, a `KRB5_CONFIG` that names no existing file; [`Error::KdcAddress`]
    /// and [`Error::KdcsWithoutRealm`] for `kdcs` that are of no use.
    pub fn load_config(&self) -> Result<Config, Error> {
        let files = self.load_files()?;
        let realm = self.realm.as_deref().or(files.default_realm());
        let mut config = self.overrides(realm)?;
        config.append(files);
        Ok(config)
    }

    /// What was said outside of files, as a file that comes before them all.
    fn overrides(&self, realm: Option<&str>) -> Result<Config, Error> {
        if let Some(wrong) = self.kdcs.iter().find(|kdc| KdcAddress::parse(kdc).is_none()) {
            return Err(Error::KdcAddress(wrong.clone()));
        }
        let is_special = |c: char| c.is_whitespace() || c.is_control() || "{}[]=*\"#;".contains(c);
        if let Some(wrong) = realm.filter(|realm| realm.is_empty() || realm.contains(is_special)) {
            return Err(Error::RealmName(wrong.to_owned()));
        }
        let mut text = String::new();
        if let Some(realm) = &self.realm {
            text.push_str(&format!("[libdefaults]\n default_realm = {realm}\n"));
        }
        if !self.kdcs.is_empty() {
            // Final: the files' own are not asked.
            let realm = realm.ok_or(Error::KdcsWithoutRealm)?;
            text.push_str(&format!("[realms]\n {realm} = {{\n  kdc* = {}\n }}\n", self.kdcs.join(" ")));
        }
        Config::parse(text.as_bytes()).map_err(|source| Error::Config { path: "--realm".into(), source })
    }

    fn load_files(&self) -> Result<Config, Error> {
        let mut config = Config::default();
        let mut found = false;
        let names = self.config.as_deref().unwrap_or(DEFAULT_CONFIG);
        for name in names.split(':').filter(|name| !name.is_empty()) {
            let path = Path::new(name);
            let files = if path.is_dir() {
                directory(path).map_err(|e| Error::io(path, e))?
            } else {
                vec![path.into()]
            };
            for file in files {
                match read(&file) {
                    Ok(text) => {
                        let parsed = Config::parse_with(&text, &mut include)
                            .map_err(|source| Error::Config { path: file.clone(), source })?;
                        config.append(parsed);
                        found = true;
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io(&file, error)),
                }
            }
        }
        match found || self.config.is_none() {
            true => Ok(config),
            false => Err(Error::NoConfig(names.to_owned())),
        }
    }

    /// The name of the default credential cache: `KRB5CCNAME`, `default_ccache_name`, or
    /// `FILE:/tmp/krb5cc_UID`.
    ///
    /// # Errors
    /// A name in the configuration that cannot be expanded.
    pub fn ccache_name(&self, config: &Config) -> Result<String, Error> {
        match (&self.ccache, config.libdefault(None, "default_ccache_name")) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(name)) => self.expand(name),
            (None, None) => {
                Ok(DEFAULT_CCACHE.replace("%{TEMP}", "/tmp").replace("%{uid}", &self.uid.to_string()))
            }
        }
    }

    /// The name of a service's default keytab: `KRB5_KTNAME`, `default_keytab_name`, or `FILE:/etc/krb5.keytab`.
    ///
    /// # Errors
    /// A name in the configuration that cannot be expanded.
    pub fn keytab_name(&self, config: &Config) -> Result<String, Error> {
        match (&self.keytab, config.libdefault(None, "default_keytab_name")) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(name)) => self.expand(name),
            (None, None) => Ok(DEFAULT_KEYTAB.to_owned()),
        }
    }

    fn expand(&self, name: &str) -> Result<String, Error> {
        let values = Expansion {
            uid: self.uid,
            effective_uid: self.effective_uid,
            user_name: &self.user_name,
            temporary: &self.temporary,
        };
        expand(name, &values).map_err(|source| Error::Config { path: PathBuf::from(name), source })
    }
}

/// What the configuration parser asks for.
fn include(include: &Include) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &Path| read(path).map_err(|error| format!("{}: {error}", path.display()));
    match include {
        Include::File(name) => Ok(vec![read(Path::new(name))?]),
        Include::Directory(name) => directory(Path::new(name))
            .map_err(|error| format!("{name}: {error}"))?
            .iter()
            .map(|path| read(path))
            .collect(),
        other => Err(format!("{other:?} is not supported")),
    }
}

/// The files of an include directory, by name.
fn directory(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if plain || name.ends_with(".conf") && !name.starts_with('.') {
            names.push(path.join(name));
        }
    }
    names.retain(|path| path.is_file());
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    crate::files::read_limited(path, MAX_FILE).map(|(bytes, _)| bytes)
}
