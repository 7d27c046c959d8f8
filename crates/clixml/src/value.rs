//! The value model.

use std::ops::Deref;
use std::sync::Arc;

use hop_secret::SecretString;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{DateTime, Text, TimeSpan};

/// One serialised value ([MS-PSRP] 2.2.5.1 and 2.2.5.2).
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `Nil`
    #[default]
    Null,
    /// `S`
    String(Text),
    /// `C`: one UTF-16 code unit.
    Char(u16),
    /// `B`
    Bool(bool),
    /// `By`
    Byte(u8),
    /// `SB`
    SByte(i8),
    /// `I16`
    Int16(i16),
    /// `U16`
    UInt16(u16),
    /// `I32`
    Int32(i32),
    /// `U32`
    UInt32(u32),
    /// `I64`
    Int64(i64),
    /// `U64`
    UInt64(u64),
    /// `Sg`
    Single(f32),
    /// `Db`
    Double(f64),
    /// `D`, with its scale.
    Decimal(Box<Decimal>),
    /// `DT`
    DateTime(DateTime),
    /// `TS`
    TimeSpan(TimeSpan),
    /// `G`
    Guid(Uuid),
    /// `URI`, the text as it was given.
    Uri(Text),
    /// `Version`
    Version(Version),
    /// `BA`
    Bytes(Box<[u8]>),
    /// `XD`: the text of an XML document.
    Xml(Text),
    /// `SBK`: the text of a script block.
    ScriptBlock(Text),
    /// `SS`: the text of the element, encrypted or not: what it means depends on where it travels
    /// ([MS-PSRP] 2.2.5.1.24).
    SecureString(SecretString),
    /// `PR`
    Progress(Box<ProgressRecord>),
    /// `Obj`
    Object(Box<Object>),
    /// `Ref`: an object that stands earlier in the same document or message.
    Ref(ObjectId),
    /// `MS` with a name: a member set. It occurs only among the members of an extended property bag.
    MemberSet(Box<PropertyBag>),
}

/// Identity of an [`Object`] within one document or message.
///
/// Numbers mean nothing beyond being equal or not; the writer counts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// The names of an object's type and its base types, most derived first. Cheap to clone.
#[derive(Clone, Debug, Default, Eq)]
pub struct TypeNames(Option<Arc<[Text]>>);

impl TypeNames {
    /// Names in order, most derived first.
    pub fn new<T: Into<Text>>(names: impl IntoIterator<Item = T>) -> Self {
        let names: Arc<[Text]> = names.into_iter().map(Into::into).collect();
        if names.is_empty() { Self(None) } else { Self(Some(names)) }
    }

    /// Whether both are the same list in memory (equal lists need not be).
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl PartialEq for TypeNames {
    fn eq(&self, other: &Self) -> bool {
        self.same(other) || **self == **other
    }
}

impl Deref for TypeNames {
    type Target = [Text];

    fn deref(&self) -> &[Text] {
        self.0.as_deref().unwrap_or(&[])
    }
}

/// `Obj`: a value with type names, members or content of its own.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Identity for [`Value::Ref`]; needed only if something refers to the object. Equality ignores it.
    pub id: Option<ObjectId>,
    /// `TN`; empty: no type names are written.
    pub type_names: TypeNames,
    /// `ToString`
    pub to_string: Option<Text>,
    /// What the object is made of besides its members.
    pub content: Content,
    /// `Props`: properties of the object itself (adapted properties).
    pub adapted: Option<PropertyBag>,
    /// `MS`: members added to the object (extended properties).
    pub extended: Option<PropertyBag>,
}

/// The value inside an [`Object`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    /// Members only.
    #[default]
    None,
    /// A primitive with members or type names of its own; the number of an enum.
    Primitive(Value),
    /// A list of one of the kinds.
    List(ListKind, Vec<Value>),
    /// `DCT`: keys and values in order.
    Dictionary(Vec<(Value, Value)>),
}

/// Which element a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `LST`
    List,
    /// `IE`: something else that can be enumerated.
    Enumerable,
    /// `STK`, top first.
    Stack,
    /// `QUE`
    Queue,
}

/// A named value in a property bag.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// The name, attribute `N`.
    pub name: Text,
    /// The value.
    pub value: Value,
}

/// Members in their order. Names may repeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PropertyBag(pub Vec<Property>);

impl PropertyBag {
    /// The value of the last member with this name, compared as PowerShell does, without case.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| &p.value)
    }

    /// Adds a member at the end.
    pub fn push(&mut self, name: impl Into<Text>, value: impl Into<Value>) {
        self.0.push(Property { name: name.into(), value: value.into() });
    }
}

impl<N: Into<Text>, V: Into<Value>> FromIterator<(N, V)> for PropertyBag {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(members: I) -> Self {
        let property = |(name, value): (N, V)| Property { name: name.into(), value: value.into() };
        Self(members.into_iter().map(property).collect())
    }
}

/// A .NET Version: two to four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Build.
    pub build: Option<u32>,
    /// Revision; present only if there is a build.
    pub revision: Option<u32>,
}

impl Version {
    /// `major.minor`
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor, build: None, revision: None }
    }

    /// `major.minor.build`
    pub const fn with_build(major: u32, minor: u32, build: u32) -> Self {
        Self { major, minor, build: Some(build), revision: None }
    }

    /// Reads two to four numbers with dots between them.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let part = part.trim().strip_prefix('+').unwrap_or(part.trim());
            part.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32)
        });
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            build: opt(parts.next())?,
            revision: opt(parts.next())?,
        };
        parts.next().is_none().then_some(version)
    }
}

/// Turns "absent" into `Some(None)` and "present but wrong" into `None`.
fn opt<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        for part in [self.build, self.revision].into_iter().flatten() {
            write!(f, ".{part}")?;
        }
        Ok(())
    }
}

/// `PR`: a progress record outside a session ([MS-PSRP] 2.2.5.1.25).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgressRecord {
    /// `AV`
    pub activity: Text,
    /// `AI`
    pub activity_id: i32,
    /// `S`, or `Nil` if none.
    pub current_operation: Option<Text>,
    /// `PI`: id of the parent activity, -1 for none.
    pub parent_activity_id: i32,
    /// `PC`: percent complete, -1 for unknown.
    pub percent_complete: i32,
    /// `T`: `Processing` or `Completed`.
    pub record_type: Text,
    /// `SR`: seconds remaining, -1 for unknown.
    pub seconds_remaining: i32,
    /// `SD`
    pub status: Text,
}

/// A document: the element `Objs` with the values in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The attribute `Version`.
    pub version: Option<Text>,
    /// The values in order.
    pub roots: Vec<Root>,
}

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    /// The stream it belongs to, attribute `S` (`Output`, `Error`, `progress` ...), as `-OutputFormat XML` writes it.
    pub stream: Option<Text>,
    /// The value.
    pub value: Value,
}

impl Document {
    /// A document of the usual version.
    pub fn new(values: impl IntoIterator<Item = Value>) -> Self {
        let roots = values.into_iter().map(|value| Root { stream: None, value }).collect();
        Self { version: Some(crate::VERSION.into()), roots }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.type_names == other.type_names
            && self.to_string == other.to_string
            && self.content == other.content
            && self.adapted == other.adapted
            && self.extended == other.extended
    }
}

/// Values are equal if they are written in the same way; NaN equals NaN.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        use Value::*;
        match (self, other) {
            (Null, Null) => true,
            (String(a), String(b))
            | (Uri(a), Uri(b))
            | (Xml(a), Xml(b))
            | (ScriptBlock(a), ScriptBlock(b)) => a == b,
            (Char(a), Char(b)) | (UInt16(a), UInt16(b)) => a == b,
            (Bool(a), Bool(b)) => a == b,
            (Byte(a), Byte(b)) => a == b,
            (SByte(a), SByte(b)) => a == b,
            (Int16(a), Int16(b)) => a == b,
            (Int32(a), Int32(b)) => a == b,
            (UInt32(a), UInt32(b)) => a == b,
            (Int64(a), Int64(b)) => a == b,
            (UInt64(a), UInt64(b)) => a == b,
            (Single(a), Single(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Double(a), Double(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Decimal(a), Decimal(b)) => a == b && a.scale() == b.scale(),
            (DateTime(a), DateTime(b)) => a == b,
            (TimeSpan(a), TimeSpan(b)) => a == b,
            (Guid(a), Guid(b)) => a == b,
            (Version(a), Version(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (SecureString(a), SecureString(b)) => a == b,
            (Progress(a), Progress(b)) => a == b,
            (Object(a), Object(b)) => a == b,
            (Ref(a), Ref(b)) => a == b,
            (MemberSet(a), MemberSet(b)) => a == b,
            _ => false,
        }
    }
}

impl Object {
    /// An object with members only in its extended bag, as a PSCustomObject or a message body is.
    pub fn with_extended<N: Into<Text>, V: Into<Value>>(members: impl IntoIterator<Item = (N, V)>) -> Self {
        Self { extended: Some(members.into_iter().collect()), ..Self::default() }
    }

    /// A list.
    pub fn list<T: Into<Text>>(
        type_names: impl IntoIterator<Item = T>,
        kind: ListKind,
        items: impl IntoIterator<Item = Value>,
    ) -> Self {
        Self {
            type_names: TypeNames::new(type_names),
            content: Content::List(kind, items.into_iter().collect()),
            ..Self::default()
        }
    }

    /// A dictionary.
    pub fn dictionary<T: Into<Text>>(
        type_names: impl IntoIterator<Item = T>,
        entries: impl IntoIterator<Item = (Value, Value)>,
    ) -> Self {
        Self {
            type_names: TypeNames::new(type_names),
            content: Content::Dictionary(entries.into_iter().collect()),
            ..Self::default()
        }
    }

    /// A value of an enum that is based on Int32: type names, name and number.
    pub fn enumeration(type_name: &str, name: &str, number: i32) -> Self {
        Self {
            type_names: TypeNames::new([type_name, "System.Enum", "System.ValueType", "System.Object"]),
            to_string: Some(name.into()),
            content: Content::Primitive(Value::Int32(number)),
            ..Self::default()
        }
    }

    /// The member with this name, extended ones first.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.extended
            .as_ref()
            .and_then(|bag| bag.get(name))
            .or_else(|| self.adapted.as_ref().and_then(|bag| bag.get(name)))
    }

    /// The items, if this is a list of any kind.
    pub fn items(&self) -> Option<&[Value]> {
        match &self.content {
            Content::List(_, items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if this is a dictionary.
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match &self.content {
            Content::Dictionary(entries) => Some(entries),
            _ => None,
        }
    }
}

impl Value {
    /// The object, if this is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The bare value: what an object wraps if it wraps a primitive, else the value itself.
    pub fn primitive(&self) -> &Value {
        match self {
            Value::Object(object) => match &object.content {
                Content::Primitive(value) => value,
                _ => self,
            },
            _ => self,
        }
    }

    /// The member with this name, if this is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }

    /// The text of a string, also one with members.
    pub fn as_str(&self) -> Option<&str> {
        match self.primitive() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// An Int32, also of an enum.
    pub fn as_i32(&self) -> Option<i32> {
        match self.primitive() {
            Value::Int32(number) => Some(*number),
            _ => None,
        }
    }

    /// An Int64.
    pub fn as_i64(&self) -> Option<i64> {
        match self.primitive() {
            Value::Int64(number) => Some(*number),
            _ => None,
        }
    }

    /// A Boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.primitive() {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether this is `Nil`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The items, if this is a list of any kind.
    pub fn items(&self) -> Option<&[Value]> {
        self.as_object()?.items()
    }

    /// What a person reads: the text of a primitive, the string form of an object. Secrets are not shown.
    pub fn display(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::String(t) | Value::Uri(t) | Value::Xml(t) | Value::ScriptBlock(t) => t.as_str().to_owned(),
            Value::Char(unit) => String::from_utf16_lossy(&[*unit]),
            Value::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            Value::SecureString(_) => "System.Security.SecureString".to_owned(),
            Value::Object(object) => match (&object.to_string, &object.content) {
                (Some(text), _) => text.as_str().to_owned(),
                (None, Content::Primitive(value)) => value.display(),
                (None, Content::List(_, items)) => {
                    items.iter().map(Value::display).collect::<Vec<_>>().join(" ")
                }
                (None, Content::Dictionary(_)) => "System.Collections.Hashtable".to_owned(),
                (None, Content::None) => {
                    let members = object.extended.iter().chain(&object.adapted).flat_map(|bag| &bag.0);
                    let members: Vec<_> =
                        members.map(|p| format!("{}={}", p.name, p.value.display())).collect();
                    format!("@{{{}}}", members.join("; "))
                }
            },
            Value::Progress(record) => record.activity.as_str().to_owned(),
            other => {
                let mut out = String::new();
                crate::write::primitive_text(&mut out, other);
                out
            }
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from! {
    &str => String, std::string::String => String, Text => String, bool => Bool, u8 => Byte, i8 => SByte,
    i16 => Int16, u16 => UInt16, i32 => Int32, u32 => UInt32, i64 => Int64, u64 => UInt64, f32 => Single,
    f64 => Double, Decimal => Decimal, DateTime => DateTime, TimeSpan => TimeSpan, Uuid => Guid,
    Version => Version, Object => Object, ProgressRecord => Progress,
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
