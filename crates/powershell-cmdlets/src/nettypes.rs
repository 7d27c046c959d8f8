//! .NET types that reach files, bytes and texts: `IO.File`, `IO.Directory`, `Text.Encoding`, `BitConverter`,
//! `Net.WebUtility`, the environment.

use std::any::Any;
use std::sync::Arc;

use hop_powershell_runtime::convert::{to_bool, to_text};
use hop_powershell_runtime::dotnet::DateOffset;
use hop_powershell_runtime::runspace::{Runspace, TypeProvider};
use hop_powershell_runtime::value::{
    Callbacks, DateParts, DateTime, DateTimeKind, Error, NativeObject, TypeRef, Value,
};

use crate::files::{self, Encoding, FileItem};

const TYPES: [&str; 10] = [
    "System.IO.File",
    "System.IO.Directory",
    "System.IO.FileInfo",
    "System.IO.DirectoryInfo",
    "System.Text.Encoding",
    "System.BitConverter",
    "System.Net.WebUtility",
    "System.Environment",
    "System.DateTimeOffset",
    "System.Management.Automation.PSCredential",
];

/// Makes the types known to a session.
pub(crate) fn provide(runspace: &mut Runspace) {
    runspace.type_providers.push(Box::new(NetTypes));
}

struct NetTypes;

type Outcome = Result<Value, Error>;

impl TypeProvider for NetTypes {
    fn find(&self, full_name: &str) -> Option<TypeRef> {
        TYPES.iter().find(|t| t.eq_ignore_ascii_case(full_name)).map(|t| TypeRef::named(t))
    }

    fn get(&self, runspace: &mut Runspace, kind: &TypeRef, name: &str) -> Option<Outcome> {
        let lower = name.to_ascii_lowercase();
        match kind.full_name() {
            "System.Text.Encoding" => {
                let name = if lower == "default" { "utf8" } else { lower.as_str() };
                Some(Ok(encoding(Encoding::named(name)?, name == "utf8")))
            }
            "System.Environment" => match lower.as_str() {
                "currentdirectory" => Some(Ok(Value::from(
                    std::env::current_dir().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default(),
                ))),
                "processid" => {
                    Some(Ok(Value::Int32(i32::try_from(runspace.platform.process_id()).unwrap_or(0))))
                }
                "processorcount" => Some(Ok(Value::Int32(
                    std::thread::available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(1)),
                ))),
                "machinename" => Some(Ok(Value::from(runspace.platform.computer_name()))),
                _ => None,
            },
            "System.BitConverter" if lower == "islittleendian" => Some(Ok(Value::Bool(true))),
            _ => None,
        }
    }

    fn invoke(&self, runspace: &mut Runspace, kind: &TypeRef, name: &str, args: &[Value]) -> Option<Outcome> {
        let lower = name.to_ascii_lowercase();
        match kind.full_name() {
            "System.IO.File" => file(runspace, &lower, args),
            "System.IO.Directory" => directory(&lower, args),
            "System.IO.FileInfo" | "System.IO.DirectoryInfo" if lower == "new" => {
                let given = text(args, 0);
                let is_folder = kind.is("System.IO.DirectoryInfo");
                Some(Ok(Value::native(FileItem { path: absolute(&given), is_folder, original: given })))
            }
            "System.Text.Encoding" if lower == "getencoding" => {
                let name = text(args, 0);
                Some(match Encoding::named(&name) {
                    Some(found) => Ok(encoding(found, true)),
                    None => Err(Error::dotnet(
                        "System.ArgumentException",
                        format!(
                            "'{name}' is not a supported encoding name. For information on defining a custom encoding, see the documentation for the Encoding.RegisterProvider method. (Parameter 'name')"
                        ),
                    )),
                })
            }
            "System.BitConverter" => bits(runspace, &lower, args),
            "System.Net.WebUtility" => web(&lower, args),
            "System.Environment" => environment(runspace, &lower, args),
            "System.DateTimeOffset" if lower == "new" => offset(args),
            "System.Management.Automation.PSCredential" if lower == "new" => credential(args),
            _ => None,
        }
    }
}

/// `[pscredential]::new(NAME, SECURESTRING)`.
fn credential(args: &[Value]) -> Option<Outcome> {
    let [user, password] = args else { return None };
    let Value::SecureString(password) = password.base() else { return None };
    let user = to_text(user);
    if user.is_empty() {
        return Some(Err(Error::dotnet(
            "System.Management.Automation.PSArgumentException",
            "Cannot process argument because the value of argument \"userName\" is not valid. Change the value of the \
             \"userName\" argument and run the operation again.",
        )));
    }
    Some(Ok(Value::custom_typed(
        "System.Management.Automation.PSCredential",
        [("UserName", Value::from(user)), ("Password", Value::SecureString(Arc::clone(password)))],
    )))
}

fn text(args: &[Value], at: usize) -> String {
    args.get(at).map(to_text).unwrap_or_default()
}

/// .NET resolves paths by the process's folder, not by the session's location.
fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |p| p.to_string_lossy().into_owned())
}

fn encoding(encoding: Encoding, mark: bool) -> Value {
    Value::native(EncodingObject { encoding, mark })
}

/// `System.Text.Encoding`.
#[derive(Debug)]
struct EncodingObject {
    encoding: Encoding,
    mark: bool,
}

impl EncodingObject {
    fn names(&self) -> (&'static str, &'static str, &'static str, i32) {
        match self.encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => {
                ("System.Text.UTF8Encoding+UTF8EncodingSealed", "utf-8", "Unicode (UTF-8)", 65001)
            }
            Encoding::Ascii => {
                ("System.Text.ASCIIEncoding+ASCIIEncodingSealed", "us-ascii", "US-ASCII", 20127)
            }
            Encoding::Latin1 => (
                "System.Text.Latin1Encoding+Latin1EncodingSealed",
                "iso-8859-1",
                "Western European (ISO)",
                28591,
            ),
            Encoding::Unicode => ("System.Text.UnicodeEncoding", "utf-16", "Unicode", 1200),
            Encoding::BigEndianUnicode => {
                ("System.Text.UnicodeEncoding", "utf-16BE", "Unicode (Big-Endian)", 1201)
            }
            Encoding::Utf32 => ("System.Text.UTF32Encoding", "utf-32", "Unicode (UTF-32)", 12000),
            Encoding::BigEndianUtf32 => {
                ("System.Text.UTF32Encoding", "utf-32BE", "Unicode (UTF-32 Big-Endian)", 12001)
            }
        }
    }
}

impl NativeObject for EncodingObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named(self.names().0)
    }

    fn properties(&self) -> Vec<Arc<str>> {
        ["BodyName", "EncodingName", "HeaderName", "WebName", "CodePage"].into_iter().map(Arc::from).collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let (_, web, long, page) = self.names();
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "bodyname" | "headername" | "webname" => Value::string(web),
            "encodingname" => Value::string(long),
            "codepage" | "windowscodepage" => Value::Int32(page),
            _ => return None,
        }))
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        let first = args.first().cloned().unwrap_or_default();
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "getbytes" => Value::bytes(&self.encoding.encode(&chars(&first))),
            "getbytecount" => {
                Value::Int32(i32::try_from(self.encoding.encode(&chars(&first)).len()).unwrap_or(i32::MAX))
            }
            "getstring" => {
                let mut bytes = files::bytes_of(&first, engine)?;
                if let [_, start, count] = args {
                    let at = |v: &Value| v.as_integer().and_then(|n| usize::try_from(n).ok());
                    let (start, count) = (at(start)?, at(count)?);
                    bytes = bytes.get(start..start.checked_add(count)?)?.to_vec();
                }
                Value::from(self.encoding.decode(&bytes))
            }
            "getpreamble" if self.mark && self.encoding == Encoding::Utf8 => {
                Value::bytes(Encoding::Utf8Bom.preamble())
            }
            "getpreamble" => Value::bytes(self.encoding.preamble()),
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A text, or the characters of an array.
fn chars(value: &Value) -> String {
    match value.enumerate() {
        Some(items) => items.iter().map(to_text).collect(),
        None => to_text(value),
    }
}

fn encoding_arg(args: &[Value], at: usize) -> Encoding {
    match args.get(at).map(Value::base) {
        Some(Value::Native(native)) => {
            native.as_any().downcast_ref::<EncodingObject>().map_or(Encoding::Utf8, |e| e.encoding)
        }
        _ => Encoding::Utf8,
    }
}

fn file(runspace: &mut Runspace, name: &str, args: &[Value]) -> Option<Outcome> {
    let path = absolute(&text(args, 0));
    let io = |result: std::io::Result<Value>| Some(result.map_err(|e| files::dotnet_io_error(&e, &path)));
    let write = |data: Vec<u8>, append: bool| {
        use std::io::Write as _;
        std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .open(&path)
            .and_then(|mut f| f.write_all(&data))
            .map(|()| Value::Empty)
    };
    match name {
        "exists" => Some(Ok(Value::Bool(std::path::Path::new(&path).is_file()))),
        "readalltext" => io(std::fs::read(&path).map(|b| Value::from(encoding_arg(args, 1).decode_file(&b)))),
        "readallbytes" => io(std::fs::read(&path).map(|b| Value::bytes(&b))),
        "readalllines" | "readlines" => io(std::fs::read(&path)
            .map(|b| Value::strings(files::lines(&encoding_arg(args, 1).decode_file(&b))))),
        "writeallbytes" => {
            let bytes = files::bytes_of(args.get(1)?, runspace)?;
            io(write(bytes, false))
        }
        "writealltext" | "appendalltext" => {
            let encoding = encoding_arg(args, 2);
            let mut data = if name == "writealltext" && args.len() > 2 {
                match encoding {
                    Encoding::Utf8 => Encoding::Utf8Bom.preamble().to_vec(),
                    other => other.preamble().to_vec(),
                }
            } else {
                Vec::new()
            };
            data.extend(encoding.encode(&text(args, 1)));
            io(write(data, name == "appendalltext"))
        }
        "writealllines" | "appendalllines" => {
            let lines = args.get(1).cloned().unwrap_or_default().into_items();
            let all: String = lines.iter().map(|l| format!("{}\n", to_text(l))).collect();
            io(write(encoding_arg(args, 2).encode(&all), name == "appendalllines"))
        }
        "delete" => io(match std::fs::remove_file(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Value::Empty),
            other => other.map(|()| Value::Empty),
        }),
        "copy" => {
            let to = absolute(&text(args, 1));
            if std::path::Path::new(&to).exists() && !args.get(2).is_some_and(to_bool) {
                return Some(Err(Error::dotnet(
                    "System.IO.IOException",
                    format!("The file '{to}' already exists."),
                )));
            }
            io(std::fs::copy(&path, to).map(|_| Value::Empty))
        }
        "move" => io(std::fs::rename(&path, absolute(&text(args, 1))).map(|()| Value::Empty)),
        "getlastwritetime" | "getlastwritetimeutc" => {
            io(std::fs::metadata(&path).and_then(|m| m.modified()).map(|t| {
                let kind = if name.ends_with("utc") { DateTimeKind::Utc } else { DateTimeKind::Local };
                Value::DateTime(DateTime::from_system(t).with_kind(kind))
            }))
        }
        _ => None,
    }
}

fn directory(name: &str, args: &[Value]) -> Option<Outcome> {
    let path = absolute(&text(args, 0));
    let io = |result: std::io::Result<Value>| Some(result.map_err(|e| files::dotnet_io_error(&e, &path)));
    match name {
        "exists" => Some(Ok(Value::Bool(std::path::Path::new(&path).is_dir()))),
        "createdirectory" => io(std::fs::create_dir_all(&path).map(|()| files::file_object(&path))),
        "delete" if args.get(1).is_some_and(to_bool) => {
            io(std::fs::remove_dir_all(&path).map(|()| Value::Empty))
        }
        "delete" => io(std::fs::remove_dir(&path).map(|()| Value::Empty)),
        "getcurrentdirectory" => Some(Ok(Value::from(absolute(".")))),
        "getfiles" | "getdirectories" | "getfilesystementries" => {
            let pattern = args.get(1).map_or_else(|| "*".to_owned(), to_text);
            io(files::children(&path).map(|names| {
                let list = names
                    .into_iter()
                    .filter(|n| hop_powershell_runtime::wildcard::is_like(n, &pattern))
                    .map(|n| format!("{}/{n}", path.trim_end_matches('/')))
                    .filter(|p| match name {
                        "getfiles" => !std::path::Path::new(p).is_dir(),
                        "getdirectories" => std::path::Path::new(p).is_dir(),
                        _ => true,
                    });
                Value::strings(list)
            }))
        }
        _ => None,
    }
}

fn bits(runspace: &mut Runspace, name: &str, args: &[Value]) -> Option<Outcome> {
    let first = args.first()?;
    if name == "getbytes" {
        let bytes: Vec<u8> = match first.base() {
            Value::Bool(b) => vec![u8::from(*b)],
            Value::Int16(n) => n.to_le_bytes().to_vec(),
            Value::UInt16(n) | Value::Char(n) => n.to_le_bytes().to_vec(),
            Value::Int32(n) => n.to_le_bytes().to_vec(),
            Value::UInt32(n) => n.to_le_bytes().to_vec(),
            Value::Int64(n) => n.to_le_bytes().to_vec(),
            Value::UInt64(n) => n.to_le_bytes().to_vec(),
            Value::Single(n) => n.to_le_bytes().to_vec(),
            Value::Double(n) => n.to_le_bytes().to_vec(),
            _ => return None,
        };
        return Some(Ok(Value::bytes(&bytes)));
    }
    let bytes = files::bytes_of(first, runspace)?;
    let start = args.get(1).and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let rest = bytes.get(start..).unwrap_or(&[]);
    if name == "tostring" {
        let count = args.get(2).and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok());
        let shown: Vec<String> =
            rest.iter().take(count.unwrap_or(usize::MAX)).map(|b| format!("{b:02X}")).collect();
        return Some(Ok(Value::from(shown.join("-"))));
    }
    fn of<const N: usize>(rest: &[u8]) -> Result<[u8; N], Error> {
        rest.get(..N).and_then(|b| b.try_into().ok()).ok_or_else(|| {
            Error::dotnet(
                "System.ArgumentException",
                "Destination array is not long enough to copy all the items in the collection. Check array index and length. (Parameter 'value')",
            )
        })
    }
    Some(match name {
        "toint16" => of(rest).map(|b| Value::Int16(i16::from_le_bytes(b))),
        "touint16" => of(rest).map(|b| Value::UInt16(u16::from_le_bytes(b))),
        "toint32" => of(rest).map(|b| Value::Int32(i32::from_le_bytes(b))),
        "touint32" => of(rest).map(|b| Value::UInt32(u32::from_le_bytes(b))),
        "toint64" => of(rest).map(|b| Value::Int64(i64::from_le_bytes(b))),
        "touint64" => of(rest).map(|b| Value::UInt64(u64::from_le_bytes(b))),
        "tosingle" => of(rest).map(|b| Value::Single(f32::from_le_bytes(b))),
        "todouble" => of(rest).map(|b| Value::Double(f64::from_le_bytes(b))),
        "toboolean" => of::<1>(rest).map(|[b]| Value::Bool(b != 0)),
        _ => return None,
    })
}

fn web(name: &str, args: &[Value]) -> Option<Outcome> {
    let given = text(args, 0);
    Some(Ok(Value::from(match name {
        "htmlencode" => given
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        "htmldecode" => given
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
        "urlencode" => given
            .bytes()
            .map(|b| match b {
                b' ' => "+".to_owned(),
                b if b.is_ascii_alphanumeric() || b"-_.!*()".contains(&b) => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect(),
        "urldecode" => {
            let bytes = given.as_bytes();
            let mut out = Vec::new();
            let mut at = 0;
            while let Some(b) = bytes.get(at) {
                let hex = given.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
                match (b, hex) {
                    (b'%', Some(byte)) => {
                        out.push(byte);
                        at += 2;
                    }
                    (b'+', _) => out.push(b' '),
                    _ => out.push(*b),
                }
                at += 1;
            }
            String::from_utf8_lossy(&out).into_owned()
        }
        _ => return None,
    })))
}

fn environment(runspace: &mut Runspace, name: &str, args: &[Value]) -> Option<Outcome> {
    match name {
        "getenvironmentvariable" => {
            Some(Ok(runspace.env.get(&text(args, 0)).map_or(Value::Null, Value::string)))
        }
        "setenvironmentvariable" => {
            let value = text(args, 1);
            if value.is_empty() {
                runspace.env.remove(&text(args, 0));
            } else {
                runspace.env.insert(text(args, 0), value);
            }
            Some(Ok(Value::Empty))
        }
        "expandenvironmentvariables" => {
            let mut out = text(args, 0);
            for (key, value) in &runspace.env {
                out = out.replace(&format!("%{key}%"), value);
            }
            Some(Ok(Value::from(out)))
        }
        "getfolderpath" => Some(Ok(Value::string(runspace.env.get("HOME").map_or("", |h| h)))),
        _ => None,
    }
}

fn offset(args: &[Value]) -> Option<Outcome> {
    let minutes = match args.last().map(Value::base) {
        Some(Value::TimeSpan(span)) => i32::try_from(span.ticks() / 600_000_000).ok()?,
        _ => 0,
    };
    if let Some(Value::DateTime(date)) = args.first().map(Value::base) {
        return Some(Ok(DateOffset::value(*date, minutes)));
    }
    let n = |at: usize| args.get(at).and_then(Value::as_integer).and_then(|n| u32::try_from(n).ok());
    let milliseconds = if args.len() == 8 { n(6)? } else { 0 };
    let parts = DateParts {
        year: i32::try_from(n(0)?).ok()?,
        month: n(1)?,
        day: n(2)?,
        hour: n(3)?,
        minute: n(4)?,
        second: n(5)?,
        fraction: milliseconds * 10_000,
    };
    let date = DateTime::from_parts(parts, DateTimeKind::Unspecified).ok_or_else(|| {
        Error::dotnet(
            "System.ArgumentOutOfRangeException",
            "Year, Month, and Day parameters describe an un-representable DateTime.",
        )
    });
    Some(date.map(|date| DateOffset::value(date, minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_texts_go_there_and_back() {
        let arg = [Value::string("a b&c=\u{e9}")];
        let encoded = web("urlencode", &arg).unwrap().unwrap();
        assert_eq!(to_text(&encoded), "a+b%26c%3D%C3%A9");
        assert_eq!(to_text(&web("urldecode", &[encoded]).unwrap().unwrap()), "a b&c=\u{e9}");
    }
}
