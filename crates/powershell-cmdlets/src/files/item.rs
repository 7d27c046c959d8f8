//! `FileInfo`, `DirectoryInfo` and the items of the other providers.

use std::any::Any;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::dotnet;
use hop_powershell_runtime::runspace::Runspace;
use hop_powershell_runtime::value::{
    Callbacks, DateTime, DateTimeKind, Error, NativeObject, PsObject, TypeRef, Value,
};
use hop_powershell_runtime::variable_object::VariableObject;

use super::paths::{Place, Provider};

/// A file or folder by its path.
#[derive(Debug)]
pub(crate) struct FileItem {
    pub path: String,
    pub is_folder: bool,
    /// What the object says as a text: the path it was asked for by.
    pub original: String,
}

impl FileItem {
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            is_folder: std::fs::metadata(path).is_ok_and(|m| m.is_dir()),
            original: path.to_owned(),
        }
    }

    fn metadata(&self) -> Option<std::fs::Metadata> {
        std::fs::metadata(&self.path).or_else(|_| std::fs::symlink_metadata(&self.path)).ok()
    }

    fn name(&self) -> &str {
        if self.path == "/" { "/" } else { file_name(&self.path) }
    }

    fn link_target(&self) -> Option<String> {
        std::fs::read_link(&self.path).ok().map(|t| t.to_string_lossy().into_owned())
    }

    fn time(&self, pick: impl Fn(&std::fs::Metadata) -> std::io::Result<SystemTime>) -> DateTime {
        self.metadata()
            .and_then(|m| pick(&m).ok())
            .map_or_else(|| DateTime::from_date(1601, 1, 1).unwrap_or(DateTime::MIN), DateTime::from_system)
    }

    fn attributes(&self) -> i64 {
        let Some(own) = std::fs::symlink_metadata(&self.path).ok() else { return -1 };
        let mut bits = 0;
        if self.metadata().is_some_and(|m| m.permissions().mode() & 0o222 == 0) {
            bits |= 1;
        }
        if self.name().starts_with('.') && self.name().len() > 1 {
            bits |= 2;
        }
        if self.is_folder {
            bits |= 16;
        }
        if own.file_type().is_symlink() {
            bits |= 1024;
        }
        if bits == 0 { 128 } else { bits }
    }

    fn mode_text(&self) -> String {
        let bits = self.attributes();
        let link = bits & 1024 != 0;
        [
            if link {
                'l'
            } else if bits & 16 != 0 {
                'd'
            } else {
                '-'
            },
            if bits & 16 == 0 || link { 'a' } else { '-' },
            if bits & 1 != 0 { 'r' } else { '-' },
            if bits & 2 != 0 { 'h' } else { '-' },
            '-',
        ]
        .iter()
        .collect::<String>()
        .replace('a', if bits & 16 == 0 && bits & 128 == 0 && bits & 32 != 0 { "a" } else { "-" })
    }

    fn unix_mode(&self) -> String {
        let Ok(meta) = std::fs::symlink_metadata(&self.path) else { return String::new() };
        let kind = meta.file_type();
        let mut text = String::from(if kind.is_symlink() {
            "l"
        } else if kind.is_dir() {
            "d"
        } else if kind.is_char_device() {
            "c"
        } else if kind.is_block_device() {
            "b"
        } else if kind.is_fifo() {
            "p"
        } else if kind.is_socket() {
            "s"
        } else {
            "-"
        });
        let mode = meta.mode();
        for shift in [6, 3, 0] {
            let bits = mode >> shift;
            text.push(if bits & 4 != 0 { 'r' } else { '-' });
            text.push(if bits & 2 != 0 { 'w' } else { '-' });
            let special = match shift {
                6 => mode & 0o4000 != 0,
                3 => mode & 0o2000 != 0,
                _ => mode & 0o1000 != 0,
            };
            text.push(match (special, bits & 1 != 0, shift) {
                (false, true, _) => 'x',
                (false, false, _) => '-',
                (true, true, 0) => 't',
                (true, false, 0) => 'T',
                (true, true, _) => 's',
                (true, false, _) => 'S',
            });
        }
        text
    }

    fn user(&self) -> String {
        let Ok(meta) = std::fs::symlink_metadata(&self.path) else { return String::new() };
        match nix::unistd::User::from_uid(meta.uid().into()) {
            Ok(Some(user)) => user.name,
            _ => meta.uid().to_string(),
        }
    }

    fn group(&self) -> String {
        let Ok(meta) = std::fs::symlink_metadata(&self.path) else { return String::new() };
        match nix::unistd::Group::from_gid(meta.gid().into()) {
            Ok(Some(group)) => group.name,
            _ => meta.gid().to_string(),
        }
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// The folder a path stands in; `None` for the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    let at = path.rfind('/')?;
    if path.is_empty() { None } else { Some(if at == 0 { "/" } else { path.get(..at).unwrap_or("/") }) }
}

fn extension(name: &str) -> &str {
    match name.rfind('.') {
        Some(at) if at + 1 < name.len() => name.get(at..).unwrap_or(""),
        _ => "",
    }
}

fn dated(date: DateTime, kind: DateTimeKind) -> Value {
    Value::DateTime(date.with_kind(kind))
}

impl NativeObject for FileItem {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named(if self.is_folder { "System.IO.DirectoryInfo" } else { "System.IO.FileInfo" })
    }

    fn text(&self) -> String {
        self.original.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        let list: &[&str] = if self.is_folder {
            &[
                "Mode",
                "ModeWithoutHardLink",
                "BaseName",
                "Target",
                "ResolvedTarget",
                "LinkType",
                "Parent",
                "Root",
                "FullName",
                "Extension",
                "Name",
                "Exists",
                "CreationTime",
                "CreationTimeUtc",
                "LastAccessTime",
                "LastAccessTimeUtc",
                "LastWriteTime",
                "LastWriteTimeUtc",
                "LinkTarget",
                "UnixFileMode",
                "Attributes",
            ]
        } else {
            &[
                "Mode",
                "ModeWithoutHardLink",
                "VersionInfo",
                "BaseName",
                "Target",
                "ResolvedTarget",
                "LinkType",
                "Length",
                "DirectoryName",
                "Directory",
                "IsReadOnly",
                "FullName",
                "Extension",
                "Name",
                "Exists",
                "CreationTime",
                "CreationTimeUtc",
                "LastAccessTime",
                "LastAccessTimeUtc",
                "LastWriteTime",
                "LastWriteTimeUtc",
                "LinkTarget",
                "UnixFileMode",
                "Attributes",
            ]
        };
        list.iter().map(|n| Arc::from(*n)).collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let item_name = self.name();
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "name" => Value::string(item_name),
            "namedisplay" => match self.link_target() {
                Some(target) => Value::from(format!("{item_name} -> {target}")),
                None => Value::string(item_name),
            },
            "fullname" => Value::string(&self.path),
            "basename" if self.is_folder => Value::string(item_name),
            "basename" => {
                let ext = extension(item_name);
                Value::string(item_name.get(..item_name.len() - ext.len()).unwrap_or(item_name))
            }
            "extension" => Value::string(extension(item_name)),
            "length" if !self.is_folder => match std::fs::metadata(&self.path) {
                Ok(m) => Value::Int64(i64::try_from(m.len()).unwrap_or(i64::MAX)),
                Err(_) => {
                    return Some(Err(Error::dotnet(
                        "System.IO.FileNotFoundException",
                        format!("Could not find file '{}'.", self.path),
                    )));
                }
            },
            "size" if self.is_folder => {
                Value::Int64(self.metadata().map_or(0, |m| i64::try_from(m.len()).unwrap_or(i64::MAX)))
            }
            "size" => Value::Int64(
                std::fs::symlink_metadata(&self.path)
                    .map_or(0, |m| i64::try_from(m.len()).unwrap_or(i64::MAX)),
            ),
            "directoryname" if !self.is_folder => Value::string(parent(&self.path).unwrap_or("/")),
            "directory" if !self.is_folder => folder_value(parent(&self.path).unwrap_or("/")),
            "parent" if self.is_folder => parent(&self.path).map_or(Value::Null, folder_value),
            "root" if self.is_folder => folder_value("/"),
            "exists" => {
                Value::Bool(std::fs::metadata(&self.path).is_ok_and(|m| m.is_dir() == self.is_folder))
            }
            "isreadonly" if !self.is_folder => Value::Bool(self.attributes() & 1 != 0),
            "mode" | "modewithouthardlink" => Value::from(self.mode_text()),
            "unixmode" => Value::from(self.unix_mode()),
            "user" => Value::from(self.user()),
            "group" => Value::from(self.group()),
            "unixfilemode" => Value::Int32(self.metadata().map_or(0, |m| (m.mode() & 0o7777) as i32)),
            "attributes" => dotnet::enum_type("System.IO.FileAttributes")
                .map_or(Value::Int64(self.attributes()), |t| Value::Enum(t, self.attributes())),
            "lastwritetime" => dated(self.time(std::fs::Metadata::modified), DateTimeKind::Local),
            "lastwritetimeutc" => dated(self.time(std::fs::Metadata::modified), DateTimeKind::Utc),
            "lastaccesstime" => dated(self.time(std::fs::Metadata::accessed), DateTimeKind::Local),
            "lastaccesstimeutc" => dated(self.time(std::fs::Metadata::accessed), DateTimeKind::Utc),
            "creationtime" => {
                dated(self.time(|m| m.created().or_else(|_| m.modified())), DateTimeKind::Local)
            }
            "creationtimeutc" => {
                dated(self.time(|m| m.created().or_else(|_| m.modified())), DateTimeKind::Utc)
            }
            "lastwritetimedisplay" => {
                let date = self.time(std::fs::Metadata::modified);
                let text =
                    hop_powershell_runtime::datetime::format_datetime(date, "g", 0).unwrap_or_default();
                Value::from(match text.split_once(' ') {
                    Some((day, time)) => format!("{day} {time:>8}"),
                    None => text,
                })
            }
            "linktarget" | "target" => self.link_target().map_or(Value::Null, Value::from),
            "resolvedtarget" => match std::fs::canonicalize(&self.path) {
                Ok(p) => Value::string(p.to_string_lossy()),
                Err(_) => Value::string(&self.path),
            },
            "linktype" => match std::fs::symlink_metadata(&self.path) {
                Ok(m) if m.file_type().is_symlink() => Value::string("SymbolicLink"),
                Ok(m) if m.is_file() && m.nlink() > 1 => Value::string("HardLink"),
                _ => Value::Null,
            },
            "versioninfo" if !self.is_folder => Value::Null,
            _ => return None,
        }))
    }

    fn set(&self, name: &str, value: Value) -> Option<Result<(), Error>> {
        let io = |result: std::io::Result<()>| {
            Some(result.map_err(|e| Error::dotnet("System.IO.IOException", e.to_string())))
        };
        match name.to_ascii_lowercase().as_str() {
            "lastwritetime" | "lastwritetimeutc" | "lastaccesstime" | "lastaccesstimeutc" => {
                let Value::DateTime(date) = value.base() else {
                    return Some(Err(Error::cast("InvalidCast", "A date is needed.")));
                };
                let time = date.to_system(0);
                io(std::fs::File::options().read(true).open(&self.path).and_then(|f| {
                    f.set_times(if name.to_ascii_lowercase().starts_with("lastwrite") {
                        std::fs::FileTimes::new().set_modified(time)
                    } else {
                        std::fs::FileTimes::new().set_accessed(time)
                    })
                }))
            }
            "creationtime" | "creationtimeutc" => Some(Ok(())),
            "isreadonly" => {
                let on = hop_powershell_runtime::convert::to_bool(&value);
                io(std::fs::metadata(&self.path).and_then(|m| {
                    let mode = m.permissions().mode();
                    let mode = if on { mode & !0o222 } else { mode | 0o200 };
                    std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(mode))
                }))
            }
            "attributes" => {
                let bits = match value.base() {
                    Value::Enum(_, bits) => *bits,
                    other => match dotnet::enum_type("System.IO.FileAttributes") {
                        Some(kind) => to_text(other)
                            .split(',')
                            .filter_map(|word| kind.number(word.trim()))
                            .fold(0, |bits, bit| bits | bit),
                        None => 0,
                    },
                };
                self.set("IsReadOnly", Value::Bool(bits & 1 != 0))
            }
            _ => None,
        }
    }

    fn invoke(
        &self,
        name: &str,
        args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        let first = args.first().map(to_text).unwrap_or_default();
        let io = |result: std::io::Result<()>| {
            Some(result.map(|()| Value::Empty).map_err(|e| super::dotnet_io_error(&e, &self.path)))
        };
        match name.to_ascii_lowercase().as_str() {
            "refresh" => Some(Ok(Value::Empty)),
            "delete"
                if self.is_folder && args.first().is_some_and(hop_powershell_runtime::convert::to_bool) =>
            {
                io(std::fs::remove_dir_all(&self.path))
            }
            "delete" if self.is_folder => io(std::fs::remove_dir(&self.path)),
            "delete" => io(std::fs::remove_file(&self.path)),
            "create" if self.is_folder => io(std::fs::create_dir_all(&self.path)),
            "copyto" if !self.is_folder => Some(
                std::fs::copy(&self.path, &first)
                    .map(|_| file_object(&first))
                    .map_err(|e| super::dotnet_io_error(&e, &self.path)),
            ),
            "moveto" => io(std::fs::rename(&self.path, &first)),
            "getfiles"
            | "getdirectories"
            | "getfilesystemfileinfos"
            | "enumeratefiles"
            | "enumeratedirectories"
            | "getfilesystementries"
            | "getfilesysteminfos"
                if self.is_folder =>
            {
                let folders = !name.to_ascii_lowercase().contains("files") || name.len() > 14;
                let only_files = name.to_ascii_lowercase().ends_with("files");
                let pattern = if first.is_empty() { "*".to_owned() } else { first };
                let names = match super::paths::children(&self.path) {
                    Ok(names) => names,
                    Err(e) => return Some(Err(super::dotnet_io_error(&e, &self.path))),
                };
                let items = names
                    .into_iter()
                    .filter(|n| hop_powershell_runtime::wildcard::is_like(n, &pattern))
                    .map(|n| format!("{}/{n}", self.path.trim_end_matches('/')))
                    .filter(|p| {
                        let is_folder = Path::new(p).is_dir();
                        if only_files { !is_folder } else { !folders || is_folder }
                    })
                    .map(|p| file_object(&p))
                    .collect();
                Some(Ok(Value::array(items)))
            }
            _ => None,
        }
    }

    fn equals(&self, other: &dyn NativeObject) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|o| std::ptr::eq(o, self))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn folder_value(path: &str) -> Value {
    Value::native(FileItem { path: path.to_owned(), is_folder: true, original: path.to_owned() })
}

/// A file or folder as .NET code hands it out: without the provider's notes.
pub(crate) fn file_object(path: &str) -> Value {
    Value::native(FileItem::new(path))
}

/// The object of a place, with the provider's notes.
pub(crate) fn item_value(runspace: &mut Runspace, place: &Place) -> Value {
    let base = match place.provider {
        Provider::FileSystem => file_object(&place.path),
        Provider::Environment => dotnet::DictEntry::value(
            &hop_powershell_runtime::value::DictKind::Hashtable,
            Value::string(&place.path),
            runspace.env.get(&place.path).map_or(Value::Null, Value::string),
        ),
        Provider::Variable => match runspace.find_variable(&place.path) {
            Some(cell) => Value::native(VariableObject(cell)),
            None => Value::native(VariableObject(hop_powershell_runtime::scope::VariableCell::new(
                hop_powershell_runtime::scope::Variable {
                    name: place.path.clone(),
                    value: runspace.variable_value(&place.path),
                    ..Default::default()
                },
            ))),
        },
        Provider::Function => match runspace.resolve_command(&place.path) {
            Ok(found) => runspace.command_info(&found, &place.path),
            Err(_) => Value::Null,
        },
        Provider::Alias => match runspace.find_alias(&place.path) {
            Some(alias) => runspace.alias_info(&alias),
            None => Value::Null,
        },
    };
    let object = PsObject::wrapping(base);
    note_place(&object, place);
    Value::Object(Arc::new(object))
}

/// Adds `PSPath` and its kin.
pub(crate) fn note_place(object: &PsObject, place: &Place) {
    object.set_note("PSPath", Value::from(place.ps_path()));
    if place.provider == Provider::FileSystem {
        let folder = parent(&place.path);
        object.set_note(
            "PSParentPath",
            Value::from(match folder {
                Some(folder) => format!("Microsoft.PowerShell.Core\\FileSystem::{folder}"),
                None => String::new(),
            }),
        );
        object.set_note("PSChildName", Value::string(file_name(&place.path)));
    } else {
        object.set_note("PSChildName", Value::string(&place.path));
    }
    object.set_note("PSDrive", place.drive_value());
    object.set_note("PSProvider", place.provider_value());
    object.set_note("PSIsContainer", Value::Bool(place.is_container()));
}
