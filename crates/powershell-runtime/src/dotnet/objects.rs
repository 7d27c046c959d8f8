//! Native objects: switch parameters, matches, regular expressions, dictionary entries, string builders.

use std::any::Any;
use std::sync::{Arc, Mutex};

use super::text_arg;
use crate::convert::{to_bool, to_text};
use crate::members;
use crate::regex::{Match, Regex};
use crate::value::{
    Callbacks, DictKind, Error, ListKind, MemberKind, MemberType, NativeObject, PsList, ScriptCall, TypeRef,
    Value,
};

/// `SwitchParameter`.
#[derive(Debug, Clone, Copy)]
pub struct SwitchParameter(pub bool);

impl NativeObject for SwitchParameter {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.SwitchParameter")
    }
    fn text(&self) -> String {
        if self.0 { "True".into() } else { "False".into() }
    }
    fn properties(&self) -> Vec<Arc<str>> {
        vec![Arc::from("IsPresent")]
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        name.eq_ignore_ascii_case("IsPresent").then_some(Ok(Value::Bool(self.0)))
    }
    fn invoke(
        &self,
        name: &str,
        _args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        name.eq_ignore_ascii_case("ToBool").then_some(Ok(Value::Bool(self.0)))
    }
    fn compare(&self, other: &Value) -> Option<std::cmp::Ordering> {
        Some(self.0.cmp(&to_bool(other)))
    }
    fn hash_key(&self) -> Option<String> {
        Some(self.text())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `Regex`.
#[derive(Debug, Clone)]
pub struct RegexObject(pub Arc<Regex>);

impl NativeObject for RegexObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Text.RegularExpressions.Regex")
    }
    fn text(&self) -> String {
        self.0.pattern().to_owned()
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["Options", "RightToLeft", "MatchTimeout"].map(Arc::from).to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "options" => match super::enum_type("System.Text.RegularExpressions.RegexOptions") {
                Some(kind) => Value::Enum(kind, self.0.options()),
                None => Value::Null,
            },
            "righttoleft" => Value::Bool(false),
            "matchtimeout" => Value::TimeSpan(crate::value::TimeSpan::from_ticks(-10_000)),
            _ => return None,
        }))
    }
    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        let text = text_arg(args, 0);
        regex_method(&self.0, name, &text, args.get(1..).unwrap_or(&[]), engine)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A method of a regular expression on an input text with the remaining arguments.
pub(super) fn regex_method(
    regex: &Arc<Regex>,
    name: &str,
    text: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    Some(Ok(match name.to_ascii_lowercase().as_str() {
        "ismatch" => Value::Bool(regex.is_match(text)),
        "match" => match regex.find_at(text, 0) {
            Some(found) => Value::native(MatchObject::new(regex, text, found)),
            None => Value::native(MatchObject::none(regex, text)),
        },
        "count" => Value::Int32(regex.find_all(text).len() as i32),
        "matches" => {
            let list = regex
                .find_all(text)
                .into_iter()
                .map(|m| Value::native(MatchObject::new(regex, text, m)))
                .collect();
            Value::List(Arc::new(PsList::new(
                ListKind::ReadOnly(TypeRef::named("System.Text.RegularExpressions.MatchCollection")),
                list,
            )))
        }
        "replace" => {
            let limit =
                args.get(1).filter(|a| a.is_number()).and_then(crate::convert::to_i64).map(|n| n as usize);
            match args.first() {
                Some(block @ Value::ScriptBlock(_)) => {
                    let mut out = String::new();
                    let mut last = 0;
                    for found in regex.find_all(text) {
                        let (start, end) = found.span();
                        out.push_str(text.get(last..start).unwrap_or(""));
                        let object = Value::native(MatchObject::new(regex, text, found));
                        let call =
                            ScriptCall { underscore: None, arguments: vec![object], ..ScriptCall::default() };
                        match engine.call_script(block, call) {
                            Ok(output) => out.push_str(&to_text(&Value::from_output(output))),
                            Err(error) => return Some(Err(error)),
                        }
                        last = end;
                    }
                    out.push_str(text.get(last..).unwrap_or(""));
                    Value::from(out)
                }
                other => Value::from(regex.replace(text, &other.map(to_text).unwrap_or_default(), limit)),
            }
        }
        "split" => {
            let limit =
                args.first().filter(|a| a.is_number()).and_then(crate::convert::to_i64).map(|n| n as usize);
            Value::strings(regex.split(text, limit.filter(|n| *n > 0)))
        }
        "getgroupnames" => Value::strings(regex.group_names()),
        _ => return None,
    }))
}

/// `Match` and its groups.
#[derive(Debug, Clone)]
pub struct MatchObject {
    regex: Arc<Regex>,
    text: Arc<str>,
    found: Option<Match>,
}

impl MatchObject {
    /// A successful match.
    pub fn new(regex: &Arc<Regex>, text: &str, found: Match) -> Self {
        Self { regex: Arc::clone(regex), text: Arc::from(text), found: Some(found) }
    }

    /// `Match.Empty`.
    pub fn none(regex: &Arc<Regex>, text: &str) -> Self {
        Self { regex: Arc::clone(regex), text: Arc::from(text), found: None }
    }

    fn group(&self, number: usize) -> GroupObject {
        let span = self.found.as_ref().and_then(|m| m.groups.get(number).copied().flatten());
        GroupObject {
            text: Arc::clone(&self.text),
            span,
            name: self.regex.group_names().get(number).map(|n| (*n).to_owned()).unwrap_or_default(),
            whole: false,
        }
    }

    fn whole(&self) -> GroupObject {
        GroupObject { whole: true, ..self.group(0) }
    }
}

impl NativeObject for MatchObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Text.RegularExpressions.Match")
    }
    fn text(&self) -> String {
        self.whole().text()
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["Groups", "Success", "Name", "Captures", "Index", "Length", "Value", "ValueSpan"]
            .map(Arc::from)
            .to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        if name.eq_ignore_ascii_case("groups") {
            return Some(Ok(Value::native(GroupCollection(self.clone()))));
        }
        if name.eq_ignore_ascii_case("captures") {
            return Some(Ok(Value::native(GroupCollection(Self {
                found: self
                    .found
                    .as_ref()
                    .map(|m| Match { groups: m.groups.iter().take(1).copied().collect() }),
                ..self.clone()
            }))));
        }
        self.whole().get(name)
    }
    fn invoke(
        &self,
        name: &str,
        args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        match name.to_ascii_lowercase().as_str() {
            "nextmatch" => {
                let (start, end) = self.found.as_ref()?.span();
                let at = if end > start { end } else { end + 1 };
                Some(Ok(Value::native(match self.regex.find_at(&self.text, at) {
                    Some(found) => Self { found: Some(found), ..self.clone() },
                    None => Self { found: None, ..self.clone() },
                })))
            }
            "result" => {
                let mut out = String::new();
                self.regex.expand(&self.text, self.found.as_ref()?, &text_arg(args, 0), &mut out);
                Some(Ok(Value::from(out)))
            }
            _ => None,
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct GroupCollection(MatchObject);

impl NativeObject for GroupCollection {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Text.RegularExpressions.GroupCollection")
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["Count", "Keys", "Values"].map(Arc::from).to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        match name.to_ascii_lowercase().as_str() {
            "count" => Some(Ok(Value::Int32(self.0.regex.group_names().len() as i32))),
            "keys" => Some(Ok(Value::strings(self.0.regex.group_names()))),
            "values" => Some(Ok(Value::array(self.enumerate()?))),
            _ => None,
        }
    }
    fn enumerate(&self) -> Option<Vec<Value>> {
        let count = self.0.found.as_ref().map_or(1, |m| m.groups.len());
        Some(
            (0..count)
                .map(|n| if n == 0 { Value::native(self.0.clone()) } else { Value::native(self.0.group(n)) })
                .collect(),
        )
    }
    fn invoke(
        &self,
        name: &str,
        args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        if !name.eq_ignore_ascii_case("get_Item") && !name.eq_ignore_ascii_case("Item") {
            return None;
        }
        let number = match args.first().map(Value::base) {
            Some(Value::String(name)) => self.0.regex.group_number(name),
            Some(other) => other.as_integer().and_then(|n| usize::try_from(n).ok()),
            None => None,
        };
        Some(Ok(match number {
            Some(0) => Value::native(self.0.clone()),
            Some(n) => Value::native(self.0.group(n)),
            None => Value::native(self.0.group(usize::MAX)),
        }))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `Group`.
#[derive(Debug, Clone)]
pub struct GroupObject {
    text: Arc<str>,
    span: Option<(usize, usize)>,
    name: String,
    whole: bool,
}

impl NativeObject for GroupObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Text.RegularExpressions.Group")
    }
    fn text(&self) -> String {
        self.span.and_then(|(s, e)| self.text.get(s..e)).unwrap_or("").to_owned()
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["Success", "Name", "Captures", "Index", "Length", "Value", "ValueSpan"].map(Arc::from).to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let units = |s: &str| s.encode_utf16().count() as i32;
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "value" => Value::from(self.text()),
            "success" => Value::Bool(self.span.is_some()),
            "name" => Value::string(if self.whole { "0" } else { &self.name }),
            "index" => Value::Int32(self.span.map_or(0, |(s, _)| units(self.text.get(..s).unwrap_or("")))),
            "length" => Value::Int32(units(&self.text())),
            "captures" => Value::array(vec![Value::native(self.clone())]),
            "valuespan" => Value::Null,
            _ => return None,
        }))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `DictionaryEntry` or `KeyValuePair<K,V>`.
#[derive(Debug, Clone)]
pub struct DictEntry {
    kind: TypeRef,
    key: Value,
    value: Value,
}

impl DictEntry {
    /// The entry object that enumerating a dictionary of that kind gives.
    pub fn value(kind: &DictKind, key: Value, value: Value) -> Value {
        let kind = match kind {
            DictKind::Dictionary(k, v) | DictKind::Sorted(k, v) => {
                TypeRef::generic("System.Collections.Generic.KeyValuePair", vec![k.clone(), v.clone()])
            }
            _ => TypeRef::named("System.Collections.DictionaryEntry"),
        };
        Value::native(Self { kind, key, value })
    }
}

impl NativeObject for DictEntry {
    fn type_ref(&self) -> TypeRef {
        self.kind.clone()
    }
    fn text(&self) -> String {
        if self.kind.is("System.Collections.DictionaryEntry") {
            "System.Collections.DictionaryEntry".to_owned()
        } else {
            format!("[{}, {}]", to_text(&self.key), to_text(&self.value))
        }
    }
    fn properties(&self) -> Vec<Arc<str>> {
        if self.kind.is("System.Collections.DictionaryEntry") {
            ["Name", "Key", "Value"].map(Arc::from).to_vec()
        } else {
            ["Key", "Value"].map(Arc::from).to_vec()
        }
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "key" => self.key.clone(),
            "name" if self.kind.is("System.Collections.DictionaryEntry") => self.key.clone(),
            "value" => self.value.clone(),
            "namedisplay" => match self.key.base() {
                Value::Double(_) | Value::Single(_) | Value::Decimal(_) => Value::from(to_text(&self.key)),
                _ => self.key.clone(),
            },
            _ => return None,
        }))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `System.Text.StringBuilder`.
#[derive(Debug, Default, Clone)]
pub struct StringBuilder(Arc<Mutex<String>>);

impl StringBuilder {
    /// A builder with a first text.
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.to_owned())))
    }

    fn with<R>(&self, body: impl FnOnce(&mut String) -> R) -> R {
        body(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl NativeObject for StringBuilder {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Text.StringBuilder")
    }
    fn text(&self) -> String {
        self.with(|s| s.clone())
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["Capacity", "MaxCapacity", "Length"].map(Arc::from).to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(Value::Int32(match name.to_ascii_lowercase().as_str() {
            "length" => self.with(|s| s.encode_utf16().count() as i32),
            "capacity" => self.with(|s| s.len().next_power_of_two().max(16) as i32),
            "maxcapacity" => i32::MAX,
            _ => return None,
        })))
    }
    fn set(&self, name: &str, value: Value) -> Option<Result<(), Error>> {
        if !name.eq_ignore_ascii_case("length") {
            return None;
        }
        let n = usize::try_from(value.as_integer()?).ok()?;
        self.with(|s| *s = s.chars().take(n).collect());
        Some(Ok(()))
    }
    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        // The caller gets a builder back; chaining works on the same text.
        let done = || Some(Ok(Value::native(self.clone())));
        match name.to_ascii_lowercase().as_str() {
            "append" => {
                let text = text_arg(args, 0);
                self.with(|s| s.push_str(&text));
                done()
            }
            "appendline" => {
                let text = text_arg(args, 0);
                self.with(|s| {
                    s.push_str(&text);
                    s.push('\n');
                });
                done()
            }
            "appendformat" => {
                match crate::operators::format_composite(
                    &text_arg(args, 0),
                    args.get(1..).unwrap_or(&[]),
                    Some(engine),
                ) {
                    Ok(text) => {
                        self.with(|s| s.push_str(&text));
                        done()
                    }
                    Err(error) => Some(Err(error)),
                }
            }
            "insert" => {
                let at = args.first().and_then(crate::convert::to_i64).unwrap_or(0).max(0) as usize;
                let text = text_arg(args, 1);
                self.with(|s| {
                    let at = s.char_indices().nth(at).map_or(s.len(), |(i, _)| i);
                    s.insert_str(at, &text);
                });
                done()
            }
            "replace" => {
                let (from, to) = (text_arg(args, 0), text_arg(args, 1));
                self.with(|s| *s = s.replace(&from, &to));
                done()
            }
            "remove" => {
                let at = args.first().and_then(crate::convert::to_i64).unwrap_or(0).max(0) as usize;
                let n = args.get(1).and_then(crate::convert::to_i64).unwrap_or(0).max(0) as usize;
                self.with(|s| *s = s.chars().take(at).chain(s.chars().skip(at + n)).collect());
                done()
            }
            "clear" => {
                self.with(String::clear);
                done()
            }
            _ => None,
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `System.Uri`.
#[derive(Debug, Clone)]
pub struct Uri {
    original: String,
    scheme: String,
    user: String,
    host: String,
    port: Option<u16>,
    path: String,
    query: String,
    fragment: String,
}

impl Uri {
    /// Parses absolute and relative addresses.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut uri = Self {
            original: text.to_owned(),
            scheme: String::new(),
            user: String::new(),
            host: String::new(),
            port: None,
            path: text.to_owned(),
            query: String::new(),
            fragment: String::new(),
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            if let Some((scheme, rest)) = text.split_once(':')
                && scheme.len() > 1
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
            {
                uri.scheme = scheme.to_ascii_lowercase();
                uri.path = rest.to_owned();
            }
            return Ok(uri);
        };
        uri.scheme = scheme.to_ascii_lowercase();
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(a, b)| (a, Some(b)));
        uri.fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
        uri.query = query.map(|q| format!("?{q}")).unwrap_or_default();
        let (authority, path) = rest.find('/').map_or((rest, "/"), |i| rest.split_at(i));
        uri.path = path.to_owned();
        let (user, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
        uri.user = user.to_owned();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => {
                (host, port.parse().ok())
            }
            _ => (authority, None),
        };
        if uri.scheme != "file" && (host.is_empty() || (host.starts_with('[') && !host.ends_with(']'))) {
            return Err(Error::dotnet(
                "System.UriFormatException",
                "Invalid URI: The hostname could not be parsed.",
            ));
        }
        uri.host = host.to_ascii_lowercase();
        uri.port = port;
        Ok(uri)
    }

    fn default_port(&self) -> Option<u16> {
        Some(match self.scheme.as_str() {
            "http" => 80,
            "https" => 443,
            "ftp" => 21,
            _ => return None,
        })
    }

    fn is_absolute(&self) -> bool {
        !self.scheme.is_empty()
    }

    fn authority(&self) -> String {
        match self.port {
            Some(port) if Some(port) != self.default_port() => format!("{}:{port}", self.host),
            _ => self.host.clone(),
        }
    }
}

impl NativeObject for Uri {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Uri")
    }
    fn text(&self) -> String {
        if !self.is_absolute() || !self.original.contains("://") {
            return self.original.clone();
        }
        let user = if self.user.is_empty() { String::new() } else { format!("{}@", self.user) };
        format!("{}://{user}{}{}{}{}", self.scheme, self.authority(), self.path, self.query, self.fragment)
            .replace("%20", " ")
    }
    fn properties(&self) -> Vec<Arc<str>> {
        [
            "AbsolutePath",
            "AbsoluteUri",
            "LocalPath",
            "Authority",
            "HostNameType",
            "IsDefaultPort",
            "IsFile",
            "IsLoopback",
            "PathAndQuery",
            "Segments",
            "IsUnc",
            "Host",
            "Port",
            "Query",
            "Fragment",
            "Scheme",
            "OriginalString",
            "DnsSafeHost",
            "IdnHost",
            "IsAbsoluteUri",
            "UserEscaped",
            "UserInfo",
        ]
        .map(Arc::from)
        .to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "absoluteuri" => Value::from(self.text().replace(' ', "%20")),
            "absolutepath" => Value::string(&self.path),
            "localpath" => Value::from(self.path.replace("%20", " ")),
            "authority" => Value::from(self.authority()),
            "host" | "dnssafehost" | "idnhost" => Value::string(&self.host),
            "port" => Value::Int32(self.port.or(self.default_port()).map_or(-1, i32::from)),
            "isdefaultport" => Value::Bool(self.port.is_none() || self.port == self.default_port()),
            "query" => Value::string(&self.query),
            "fragment" => Value::string(&self.fragment),
            "scheme" => Value::string(&self.scheme),
            "userinfo" => Value::string(&self.user),
            "pathandquery" => Value::from(format!("{}{}", self.path, self.query)),
            "originalstring" => Value::string(&self.original),
            "isabsoluteuri" => Value::Bool(self.is_absolute()),
            "isfile" => Value::Bool(self.scheme == "file"),
            "isloopback" => Value::Bool(self.host == "localhost" || self.host == "127.0.0.1"),
            "isunc" | "userescaped" => Value::Bool(false),
            "hostnametype" => Value::string("Dns"),
            "segments" => Value::strings(self.path.split_inclusive('/')),
            _ => return None,
        }))
    }
    fn equals(&self, other: &dyn NativeObject) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|o| o.text() == self.text())
    }
    fn hash_key(&self) -> Option<String> {
        Some(self.text())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What `$value.psobject` is.
#[derive(Debug, Clone)]
pub struct PsObjectView(pub Value);

impl PsObjectView {
    fn property(&self, name: &str, kind: MemberType, engine: Option<&mut dyn Callbacks>) -> Value {
        let value = match (&self.0, engine) {
            (_, Some(engine)) => members::get(&self.0, name, engine).ok().flatten().unwrap_or_default(),
            (Value::Object(object), None) if object.note(name).is_some() => {
                object.note(name).unwrap_or_default()
            }
            (other, None) => match other.base() {
                Value::Native(native) => native.get(name).and_then(Result::ok).unwrap_or_default(),
                base => super::property(base, name, &mut NoEngine).and_then(Result::ok).unwrap_or_default(),
            },
        };
        let type_name =
            value.type_ref().map(|t| t.full_name().to_owned()).unwrap_or_else(|| "System.Object".into());
        Value::native(PropertyInfo {
            owner: self.0.clone(),
            name: name.to_owned(),
            kind,
            value: Mutex::new(value),
            type_name,
        })
    }
}

/// For reading plain properties where no script can run.
struct NoEngine;

struct NoSystem;

impl crate::value::System for NoSystem {
    fn now(&self) -> std::time::SystemTime {
        std::time::UNIX_EPOCH
    }
    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    fn random(&self, _buffer: &mut [u8]) {}
    fn env(&self, _name: &str) -> Option<String> {
        None
    }
}

impl Callbacks for NoEngine {
    fn call_script(&mut self, _block: &Value, _call: ScriptCall) -> Result<Vec<Value>, Error> {
        Ok(Vec::new())
    }
    fn system(&self) -> &dyn crate::value::System {
        &NoSystem
    }
}

impl NativeObject for PsObjectView {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PSObject")
    }
    fn text(&self) -> String {
        to_text(&self.0)
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["Members", "Properties", "Methods", "ImmediateBaseObject", "BaseObject", "TypeNames"]
            .map(Arc::from)
            .to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "properties" | "members" => Value::native(PropertyCollection(self.clone())),
            "methods" => Value::array(Vec::new()),
            "baseobject" | "immediatebaseobject" => self.0.base().clone(),
            "typenames" => type_names_list(&self.0),
            _ => return None,
        }))
    }
    fn invoke(
        &self,
        name: &str,
        _args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        name.eq_ignore_ascii_case("copy").then(|| {
            Ok(match &self.0 {
                Value::Object(object) => Value::Object(Arc::new(object.copy())),
                other => other.clone(),
            })
        })
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct PropertyCollection(PsObjectView);

impl NativeObject for PropertyCollection {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named(
            "System.Management.Automation.PSMemberInfoIntegratingCollection`1[[System.Management.Automation.PSPropertyInfo]]",
        )
    }
    fn enumerate(&self) -> Option<Vec<Value>> {
        Some(members::properties(&self.0.0).into_iter().map(|(n, k)| self.0.property(&n, k, None)).collect())
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        name.eq_ignore_ascii_case("count")
            .then(|| Ok(Value::Int32(members::properties(&self.0.0).len() as i32)))
    }
    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        match name.to_ascii_lowercase().as_str() {
            "get_item" | "item" => {
                let wanted = text_arg(args, 0);
                let found =
                    members::properties(&self.0.0).into_iter().find(|(n, _)| n.eq_ignore_ascii_case(&wanted));
                Some(Ok(match found {
                    Some((n, kind)) => self.0.property(&n, kind, Some(engine)),
                    None => Value::Null,
                }))
            }
            "match" => {
                let pattern = text_arg(args, 0);
                let found = members::properties(&self.0.0)
                    .into_iter()
                    .filter(|(n, _)| crate::wildcard::is_like(n, &pattern))
                    .map(|(n, k)| self.0.property(&n, k, Some(engine)))
                    .collect();
                Some(Ok(Value::array(found)))
            }
            "remove" => {
                if let Value::Object(object) = &self.0.0 {
                    object.with_members_mut(|m| m.remove(&text_arg(args, 0)));
                }
                Some(Ok(Value::Empty))
            }
            "add" => {
                if let (Value::Object(object), Some(Value::Native(member))) =
                    (&self.0.0, args.first().map(Value::base))
                {
                    let read = |n: &str| member.get(n).and_then(Result::ok).unwrap_or_default();
                    object.set_member(&to_text(&read("Name")), MemberKind::Note(read("Value")));
                }
                Some(Ok(Value::Empty))
            }
            _ => None,
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct PropertyInfo {
    owner: Value,
    name: String,
    kind: MemberType,
    value: Mutex<Value>,
    type_name: String,
}

impl NativeObject for PropertyInfo {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named(match self.kind {
            MemberType::NoteProperty => "System.Management.Automation.PSNoteProperty",
            MemberType::ScriptProperty => "System.Management.Automation.PSScriptProperty",
            MemberType::AliasProperty => "System.Management.Automation.PSAliasProperty",
            _ => "System.Management.Automation.PSProperty",
        })
    }
    fn text(&self) -> String {
        let value = self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        format!(
            "{} {}={}",
            crate::dotnet::type_text(&TypeRef::named(&self.type_name)),
            self.name,
            to_text(&value)
        )
    }
    fn properties(&self) -> Vec<Arc<str>> {
        ["MemberType", "IsSettable", "IsGettable", "Value", "TypeNameOfValue", "Name", "IsInstance"]
            .map(Arc::from)
            .to_vec()
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "name" => Value::string(&self.name),
            "value" => self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
            "membertype" => {
                super::enum_value("System.Management.Automation.PSMemberTypes", &format!("{:?}", self.kind))
            }
            "typenameofvalue" => Value::string(&self.type_name),
            "issettable" | "isgettable" => Value::Bool(true),
            "isinstance" => Value::Bool(self.kind == MemberType::NoteProperty),
            _ => return None,
        }))
    }
    fn set(&self, name: &str, value: Value) -> Option<Result<(), Error>> {
        if !name.eq_ignore_ascii_case("value") {
            return None;
        }
        if let Value::Object(object) = &self.owner {
            object.set_note(&self.name, value.clone());
        }
        *self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
        Some(Ok(()))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `$value.pstypenames`: a list whose changes reach the object.
pub fn type_names_list(value: &Value) -> Value {
    Value::native(TypeNames(value.clone()))
}

#[derive(Debug)]
struct TypeNames(Value);

impl NativeObject for TypeNames {
    fn type_ref(&self) -> TypeRef {
        TypeRef::generic("System.Collections.ObjectModel.Collection", vec![TypeRef::named("System.String")])
    }
    fn text(&self) -> String {
        self.type_ref().full_name().to_owned()
    }
    fn enumerate(&self) -> Option<Vec<Value>> {
        Some(self.0.type_names().into_iter().map(Value::String).collect())
    }
    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        name.eq_ignore_ascii_case("count").then(|| Ok(Value::Int32(self.0.type_names().len() as i32)))
    }
    fn invoke(
        &self,
        name: &str,
        args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        let mut names = self.0.type_names();
        let first = text_arg(args, 0);
        let mut result = Value::Empty;
        match name.to_ascii_lowercase().as_str() {
            "insert" => {
                let at = first.parse().unwrap_or(0usize).min(names.len());
                names.insert(at, Arc::from(text_arg(args, 1)));
            }
            "add" => names.push(Arc::from(first)),
            "clear" => names.clear(),
            "remove" => {
                let before = names.len();
                names.retain(|n| **n != *first);
                result = Value::Bool(before != names.len());
            }
            "contains" => return Some(Ok(Value::Bool(names.iter().any(|n| **n == *first)))),
            "get_item" => {
                let n: i64 = first.parse().unwrap_or(0);
                let n = if n < 0 { n + names.len() as i64 } else { n };
                let found = usize::try_from(n).ok().and_then(|i| names.get(i).cloned());
                return Some(Ok(found.map_or(Value::Empty, Value::String)));
            }
            _ => return None,
        }
        if let Value::Object(object) = &self.0 {
            object.set_type_names(names);
        }
        Some(Ok(result))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
