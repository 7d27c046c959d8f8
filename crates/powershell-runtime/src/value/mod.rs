//! The value model: everything a PowerShell variable can hold.
//!
//! Values are cheap to clone: scalars are stored inline, everything else is behind an [`Arc`].
//! Reference types (arrays, dictionaries, objects) share their contents between clones, as .NET references do.

mod collections;
mod error;
mod native;
mod object;
mod time;
mod types;

use std::sync::Arc;

pub use collections::{DictKind, HashKey, ListKind, PsArray, PsDict, PsList, fold_case};
pub use error::{Error, ErrorCategory, ErrorDetails, ErrorRecord, Exception, InvocationInfo};
pub use native::{Callbacks, MemberInfo, MemberType, NativeObject, ScriptBlockObject, ScriptCall, System};
pub use num_bigint::BigInt;
pub use object::{Member, MemberKind, Members, PsObject};
pub use rust_decimal::Decimal;
pub use time::{DateParts, DateTime, DateTimeKind, TimeSpan};
pub(crate) use types::exception_type;
pub use types::{EnumType, TypeKind, TypeRef, base_type_name, type_hierarchy};
pub use uuid::Uuid;

/// A PowerShell value.
///
/// Rejected: one `Object` variant with a type table behind it. Scalars are by far the most frequent values,
/// and operators dispatch on them all the time.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `$null`.
    #[default]
    Null,
    /// `AutomationNull`: the result of a pipeline without output. Enumerates as nothing, otherwise like `$null`.
    Empty,
    /// `System.Boolean`.
    Bool(bool),
    /// `System.Char`: one UTF-16 code unit.
    Char(u16),
    /// `System.SByte`.
    SByte(i8),
    /// `System.Byte`.
    Byte(u8),
    /// `System.Int16`.
    Int16(i16),
    /// `System.UInt16`.
    UInt16(u16),
    /// `System.Int32`.
    Int32(i32),
    /// `System.UInt32`.
    UInt32(u32),
    /// `System.Int64`.
    Int64(i64),
    /// `System.UInt64`.
    UInt64(u64),
    /// `System.Single`.
    Single(f32),
    /// `System.Double`.
    Double(f64),
    /// `System.Decimal`.
    Decimal(Decimal),
    /// `System.Numerics.BigInteger`.
    BigInt(Arc<BigInt>),
    /// `System.String`.
    String(Arc<str>),
    /// `System.DateTime`.
    DateTime(DateTime),
    /// `System.TimeSpan`.
    TimeSpan(TimeSpan),
    /// `System.Guid`.
    Guid(Uuid),
    /// `System.Version`: two to four parts, absent ones are -1.
    Version(Arc<[i32; 4]>),
    /// An enumeration value.
    Enum(Arc<EnumType>, i64),
    /// A type literal, `System.RuntimeType`.
    Type(TypeRef),
    /// An array.
    Array(Arc<PsArray>),
    /// A list-like collection (`ArrayList`, `List<T>`, `Queue`, `Stack`, `HashSet<T>`…).
    List(Arc<PsList>),
    /// A dictionary (`Hashtable`, `OrderedDictionary`, `Dictionary<K,V>`…).
    Dict(Arc<PsDict>),
    /// A `PSCustomObject`, a deserialised object, or another value decorated with extra members.
    Object(Arc<PsObject>),
    /// A script block.
    ScriptBlock(Arc<dyn ScriptBlockObject>),
    /// An exception object.
    Exception(Arc<Exception>),
    /// An error record.
    ErrorRecord(Arc<ErrorRecord>),
    /// A credential's secret, `System.Security.SecureString`.
    SecureString(Arc<hop_secret::SecretString>),
    /// Any other .NET-shaped object.
    Native(Arc<dyn NativeObject>),
}

impl Value {
    /// A string value.
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::String(Arc::from(text.as_ref()))
    }

    /// An `Object[]`.
    pub fn array(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(PsArray::objects(items)))
    }

    /// An array with the given element type; the items must already have it.
    pub fn typed_array(element: TypeRef, items: Vec<Self>) -> Self {
        Self::Array(Arc::new(PsArray::new(element, items)))
    }

    /// A `Byte[]`.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::typed_array(TypeRef::named("System.Byte"), bytes.iter().map(|b| Self::Byte(*b)).collect())
    }

    /// A `String[]`.
    pub fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::typed_array(TypeRef::named("System.String"), items.into_iter().map(Self::string).collect())
    }

    /// An empty case-insensitive `Hashtable`.
    pub fn hashtable() -> Self {
        Self::Dict(Arc::new(PsDict::hashtable()))
    }

    /// A `PSCustomObject` with the given note properties.
    pub fn custom<N: AsRef<str>>(notes: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Object(Arc::new(PsObject::custom(notes)))
    }

    /// A `PSCustomObject` with note properties and a type name of its own in front.
    pub fn custom_typed<N: AsRef<str>>(type_name: &str, notes: impl IntoIterator<Item = (N, Self)>) -> Self {
        let object = PsObject::custom(notes);
        object.insert_type_name(type_name);
        Self::Object(Arc::new(object))
    }

    /// A native object.
    pub fn native(object: impl NativeObject) -> Self {
        Self::Native(Arc::new(object))
    }

    /// What a pipeline's collected output is as a value: nothing, the one item, or an `Object[]`.
    pub fn from_output(mut items: Vec<Self>) -> Self {
        match items.len() {
            0 => Self::Empty,
            1 => items.pop().unwrap_or_default(),
            _ => Self::array(items),
        }
    }

    /// Whether this is `$null` (or the empty pipeline result).
    pub fn is_null(&self) -> bool {
        match self {
            Self::Null | Self::Empty => true,
            Self::Object(object) => object.base().is_some_and(Self::is_null),
            _ => false,
        }
    }

    /// The value under any member decoration (`PSObject.BaseObject`); a `PSCustomObject` is its own base.
    pub fn base(&self) -> &Self {
        match self {
            Self::Object(object) => object.base().map_or(self, Self::base),
            _ => self,
        }
    }

    /// The text when this is a string (decorated or not).
    pub fn as_str(&self) -> Option<&str> {
        match self.base() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of any integer type as `i128`, also of `Char` and enumerations.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match self.base() {
            Self::SByte(n) => i128::from(*n),
            Self::Byte(n) => i128::from(*n),
            Self::Int16(n) => i128::from(*n),
            Self::UInt16(n) | Self::Char(n) => i128::from(*n),
            Self::Int32(n) => i128::from(*n),
            Self::UInt32(n) => i128::from(*n),
            Self::Int64(n) | Self::Enum(_, n) => i128::from(*n),
            Self::UInt64(n) => i128::from(*n),
            _ => return None,
        })
    }

    /// Whether the value is of a numeric type (not `Char`, not an enumeration).
    pub fn is_number(&self) -> bool {
        matches!(
            self.base(),
            Self::SByte(_)
                | Self::Byte(_)
                | Self::Int16(_)
                | Self::UInt16(_)
                | Self::Int32(_)
                | Self::UInt32(_)
                | Self::Int64(_)
                | Self::UInt64(_)
                | Self::Single(_)
                | Self::Double(_)
                | Self::Decimal(_)
                | Self::BigInt(_)
        )
    }

    /// The items PowerShell enumerates when this value is written to a pipeline or meets an operator,
    /// or `None` when the value counts as one item. Dictionaries and strings count as one.
    pub fn enumerate(&self) -> Option<Vec<Self>> {
        match self.base() {
            Self::Empty => Some(Vec::new()),
            Self::Array(array) => Some(array.to_vec()),
            Self::List(list) => Some(list.to_vec()),
            Self::Native(native) => native.enumerate(),
            _ => None,
        }
    }

    /// The items as a pipeline sees them: [`enumerate`](Self::enumerate), or the value itself.
    pub fn into_items(self) -> Vec<Self> {
        match self.enumerate() {
            Some(items) => items,
            None => vec![self],
        }
    }

    /// Whether two values are the same instance (reference types) or the same scalar.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => Arc::ptr_eq(a, b),
            (Self::List(a), Self::List(b)) => Arc::ptr_eq(a, b),
            (Self::Dict(a), Self::Dict(b)) => Arc::ptr_eq(a, b),
            (Self::Object(a), Self::Object(b)) => {
                Arc::ptr_eq(a, b)
                    || matches!((a.base(), b.base()), (Some(x), Some(y)) if x.same(y) && !x.is_scalar())
            }
            (Self::Object(a), b) => a.base().is_some_and(|base| base.same(b)),
            (a, Self::Object(b)) => b.base().is_some_and(|base| a.same(base)),
            (Self::ScriptBlock(a), Self::ScriptBlock(b)) => Arc::ptr_eq(a, b),
            (Self::Exception(a), Self::Exception(b)) => Arc::ptr_eq(a, b),
            (Self::ErrorRecord(a), Self::ErrorRecord(b)) => Arc::ptr_eq(a, b),
            (Self::Native(a), Self::Native(b)) => Arc::ptr_eq(a, b) || a.equals(&**b),
            (Self::SecureString(a), Self::SecureString(b)) => Arc::ptr_eq(a, b),
            (a, b) => match (HashKey::scalar(a), HashKey::scalar(b)) {
                (Some(x), Some(y)) => x == y,
                _ => a.is_null() && b.is_null(),
            },
        }
    }

    /// Whether the value is stored inline or is immutable: everything without reference identity.
    pub fn is_scalar(&self) -> bool {
        !matches!(
            self,
            Self::Array(_)
                | Self::List(_)
                | Self::Dict(_)
                | Self::Object(_)
                | Self::ScriptBlock(_)
                | Self::Exception(_)
                | Self::ErrorRecord(_)
                | Self::SecureString(_)
                | Self::Native(_)
        )
    }

    /// The .NET type of the value; `None` for `$null`.
    pub fn type_ref(&self) -> Option<TypeRef> {
        Some(match self {
            Self::Null | Self::Empty => return None,
            Self::Object(object) => match object.base() {
                Some(base) => return base.type_ref(),
                None => TypeRef::named(object.clr_type_name()),
            },
            Self::Array(array) => array.element().array(array.rank()),
            Self::List(list) => list.type_ref(),
            Self::Dict(dict) => dict.type_ref(),
            Self::Enum(kind, _) => TypeRef::of_enum(kind),
            Self::Exception(exception) => TypeRef::named(exception.type_name()),
            Self::Native(native) => native.type_ref(),
            other => TypeRef::named(other.scalar_type_name()),
        })
    }

    /// The full .NET type name, as `GetType().FullName` shows it in common cases; empty for `$null`.
    pub fn type_name(&self) -> String {
        self.type_ref().map(|t| t.full_name().to_owned()).unwrap_or_default()
    }

    /// `PSObject.TypeNames`: own names first, then the type and its base types.
    pub fn type_names(&self) -> Vec<Arc<str>> {
        match self {
            Self::Object(object) => object.type_names(),
            Self::Native(native) => native.type_names(),
            Self::Exception(exception) => type_hierarchy(&TypeRef::named(exception.type_name())),
            _ => self.type_ref().map(|t| type_hierarchy(&t)).unwrap_or_default(),
        }
    }

    fn scalar_type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "System.Boolean",
            Self::Char(_) => "System.Char",
            Self::SByte(_) => "System.SByte",
            Self::Byte(_) => "System.Byte",
            Self::Int16(_) => "System.Int16",
            Self::UInt16(_) => "System.UInt16",
            Self::Int32(_) => "System.Int32",
            Self::UInt32(_) => "System.UInt32",
            Self::Int64(_) => "System.Int64",
            Self::UInt64(_) => "System.UInt64",
            Self::Single(_) => "System.Single",
            Self::Double(_) => "System.Double",
            Self::Decimal(_) => "System.Decimal",
            Self::BigInt(_) => "System.Numerics.BigInteger",
            Self::String(_) => "System.String",
            Self::DateTime(_) => "System.DateTime",
            Self::TimeSpan(_) => "System.TimeSpan",
            Self::Guid(_) => "System.Guid",
            Self::Version(_) => "System.Version",
            Self::Type(_) => "System.RuntimeType",
            Self::ScriptBlock(_) => "System.Management.Automation.ScriptBlock",
            Self::ErrorRecord(_) => "System.Management.Automation.ErrorRecord",
            Self::SecureString(_) => "System.Security.SecureString",
            _ => "System.Object",
        }
    }

    /// The extra members attached to this very value; none unless it is an [`Value::Object`].
    pub fn members(&self) -> Option<&Arc<PsObject>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The value as an object that members can be attached to, wrapping it when it is not yet one.
    pub fn decorated(&self) -> Arc<PsObject> {
        match self {
            Self::Object(object) => Arc::clone(object),
            other => Arc::new(PsObject::wrapping(other.clone())),
        }
    }
}

macro_rules! from_scalar {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}

from_scalar! {
    bool => Bool, i8 => SByte, u8 => Byte, i16 => Int16, i32 => Int32, u32 => UInt32, i64 => Int64, u64 => UInt64,
    f32 => Single, f64 => Double, Decimal => Decimal, DateTime => DateTime, TimeSpan => TimeSpan, Uuid => Guid,
    Arc<str> => String, Arc<PsObject> => Object, Arc<PsDict> => Dict, Arc<PsArray> => Array,
    Arc<ErrorRecord> => ErrorRecord, Arc<Exception> => Exception, TypeRef => Type,
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::string(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(Arc::from(value))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
