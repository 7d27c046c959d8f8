//! Type references: names, element and argument types, base types, enumerations.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Value;

/// A .NET type by name. Equality is by full name.
#[derive(Clone)]
pub struct TypeRef(Arc<TypeData>);

struct TypeData {
    full_name: String,
    kind: TypeKind,
}

/// What shape a type has.
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// A plain type.
    Named,
    /// An array of an element type, with a rank.
    Array(TypeRef, usize),
    /// A closed generic type: the definition's name without arity, and the arguments.
    Generic(Arc<str>, Vec<TypeRef>),
    /// An enumeration.
    Enum(Arc<EnumType>),
    /// A class that a script defines: its base type and interfaces.
    Class(TypeRef, Vec<TypeRef>),
}

/// An assembly-qualified name needs the assembly; nearly every type named in a generic argument is from this one.
const CORE_LIBRARY: &str =
    "System.Private.CoreLib, Version=10.0.0.0, Culture=neutral, PublicKeyToken=7cec85d7bea7798e";
const AUTOMATION: &str =
    "System.Management.Automation, Version=7.6.0.500, Culture=neutral, PublicKeyToken=31bf3856ad364e35";

static OBJECT: LazyLock<TypeRef> = LazyLock::new(|| TypeRef::new("System.Object".into(), TypeKind::Named));

impl TypeRef {
    fn new(full_name: String, kind: TypeKind) -> Self {
        Self(Arc::new(TypeData { full_name, kind }))
    }

    /// A plain type by its full name.
    pub fn named(full_name: &str) -> Self {
        if full_name == "System.Object" {
            return OBJECT.clone();
        }
        Self::new(full_name.to_owned(), TypeKind::Named)
    }

    /// `System.Object`.
    pub fn object() -> Self {
        OBJECT.clone()
    }

    /// The array type with this element type.
    pub fn array(&self, rank: usize) -> Self {
        let commas = ",".repeat(rank.saturating_sub(1));
        Self::new(format!("{}[{commas}]", self.full_name()), TypeKind::Array(self.clone(), rank))
    }

    /// A closed generic type, by the definition's name without arity.
    pub fn generic(definition: &str, arguments: Vec<Self>) -> Self {
        let list: Vec<String> =
            arguments.iter().map(|a| format!("[{}]", a.assembly_qualified_name())).collect();
        let full = format!("{definition}`{}[{}]", arguments.len(), list.join(","));
        Self::new(full, TypeKind::Generic(Arc::from(definition), arguments))
    }

    /// The type of an enumeration.
    pub fn of_enum(kind: &Arc<EnumType>) -> Self {
        Self::new(kind.name().to_owned(), TypeKind::Enum(Arc::clone(kind)))
    }

    /// The type of a class that a script defines.
    pub fn class(name: &str, base: Self, interfaces: Vec<Self>) -> Self {
        Self::new(name.to_owned(), TypeKind::Class(base, interfaces))
    }

    /// The shape of the type.
    pub fn kind(&self) -> &TypeKind {
        &self.0.kind
    }

    /// `Type.FullName`.
    pub fn full_name(&self) -> &str {
        &self.0.full_name
    }

    /// `Type.Name`: without namespace; a generic type's ends in its arity.
    pub fn name(&self) -> String {
        match self.kind() {
            TypeKind::Array(element, rank) => {
                format!("{}[{}]", element.name(), ",".repeat(rank.saturating_sub(1)))
            }
            TypeKind::Generic(definition, arguments) => {
                format!("{}`{}", last_part(definition), arguments.len())
            }
            _ => last_part(self.full_name()).to_owned(),
        }
    }

    /// `Type.Namespace`; empty when there is none.
    pub fn namespace(&self) -> &str {
        let name = match self.kind() {
            TypeKind::Array(element, _) => return element.namespace(),
            TypeKind::Generic(definition, _) => definition,
            _ => self.full_name(),
        };
        name.rfind('.').map_or("", |i| name.get(..i).unwrap_or(""))
    }

    /// The name with the assembly, as generic arguments carry it.
    pub fn assembly_qualified_name(&self) -> String {
        let assembly = if self.namespace().starts_with("System.Management.Automation") {
            AUTOMATION
        } else {
            CORE_LIBRARY
        };
        format!("{}, {assembly}", self.full_name())
    }

    /// The name as PowerShell shows it: generic arguments in brackets (`List[int]` style uses full names).
    pub fn display_name(&self) -> String {
        match self.kind() {
            TypeKind::Array(element, rank) => {
                format!("{}[{}]", element.display_name(), ",".repeat(rank.saturating_sub(1)))
            }
            TypeKind::Generic(definition, arguments) => {
                let list: Vec<String> = arguments.iter().map(Self::display_name).collect();
                format!("{definition}[{}]", list.join(","))
            }
            _ => self.full_name().to_owned(),
        }
    }

    /// The element type of an array type.
    pub fn element(&self) -> Option<&Self> {
        match self.kind() {
            TypeKind::Array(element, _) => Some(element),
            _ => None,
        }
    }

    /// Whether this is the type with that full name (exact case).
    pub fn is(&self, full_name: &str) -> bool {
        self.full_name() == full_name
    }

    /// Whether values of the type are value types (copied, never null).
    pub fn is_value_type(&self) -> bool {
        matches!(self.kind(), TypeKind::Enum(_))
            || base_type_name(self.full_name()).is_some_and(|b| b == "System.ValueType" || b == "System.Enum")
    }

    /// Whether a value of this type is also one of the other type (a base type; interfaces by a short list).
    pub fn derives_from(&self, other: &Self) -> bool {
        let target = other.full_name();
        type_hierarchy(self).iter().any(|n| &**n == target) || implements(self, target)
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit(['.', '+']).next().unwrap_or(name)
}

fn implements(kind: &TypeRef, interface: &str) -> bool {
    if let TypeKind::Class(base, interfaces) = kind.kind() {
        return interfaces.iter().any(|i| i.full_name() == interface || implements(i, interface))
            || implements(base, interface);
    }
    let name = kind.full_name();
    let definition = match kind.kind() {
        TypeKind::Generic(definition, _) => definition,
        _ => name,
    };
    let list = matches!(kind.kind(), TypeKind::Array(..))
        || matches!(
            definition,
            "System.Collections.ArrayList"
                | "System.Collections.Generic.List"
                | "System.Collections.ObjectModel.Collection"
        );
    let dictionary = matches!(
        definition,
        "System.Collections.Hashtable"
            | "System.Collections.Specialized.OrderedDictionary"
            | "System.Collections.Generic.Dictionary"
            | "System.Collections.Generic.SortedDictionary"
            | "System.Collections.SortedList"
    );
    let other = matches!(
        definition,
        "System.Collections.Queue"
            | "System.Collections.Stack"
            | "System.Collections.Generic.Queue"
            | "System.Collections.Generic.Stack"
            | "System.Collections.Generic.HashSet"
            | "System.Collections.Generic.SortedSet"
            | "System.Collections.Generic.LinkedList"
    );
    match interface {
        "System.Collections.IEnumerable" => list || dictionary || other || name == "System.String",
        "System.Collections.ICollection" => list || dictionary || other,
        "System.Collections.IList" => list,
        "System.Collections.IDictionary" => dictionary,
        "System.IComparable" | "System.IConvertible" | "System.IFormattable" => {
            let plain = base_type_name(name) == Some("System.ValueType") && name != "System.Guid";
            ((plain || name == "System.String") && interface != "System.IFormattable")
                || (plain && name != "System.Boolean" && name != "System.Char")
        }
        "System.ICloneable" => list || dictionary || name == "System.String",
        "System.IDisposable" => name.starts_with("System.IO.") && name.ends_with("Stream"),
        _ => false,
    }
}

impl PartialEq for TypeRef {
    fn eq(&self, other: &Self) -> bool {
        self.full_name() == other.full_name()
    }
}

impl Eq for TypeRef {}

impl fmt::Debug for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.full_name())
    }
}

impl fmt::Display for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display_name())
    }
}

/// An enumeration type: names and numbers.
#[derive(Debug)]
pub struct EnumType {
    name: String,
    flags: bool,
    underlying: &'static str,
    members: Vec<(Arc<str>, i64)>,
}

impl EnumType {
    /// An enumeration over `Int32`.
    pub fn new<N: AsRef<str>>(name: &str, flags: bool, members: impl IntoIterator<Item = (N, i64)>) -> Self {
        Self {
            name: name.to_owned(),
            flags,
            underlying: "System.Int32",
            members: members.into_iter().map(|(n, v)| (Arc::from(n.as_ref()), v)).collect(),
        }
    }

    /// The same enumeration over another underlying integer type (a full type name).
    #[must_use]
    pub fn with_underlying(mut self, underlying: &'static str) -> Self {
        self.underlying = underlying;
        self
    }

    /// Full type name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether values combine as flags.
    pub fn is_flags(&self) -> bool {
        self.flags
    }

    /// Full name of the underlying integer type.
    pub fn underlying(&self) -> &'static str {
        self.underlying
    }

    /// Names and numbers, in definition order.
    pub fn members(&self) -> &[(Arc<str>, i64)] {
        &self.members
    }

    /// The number of a name, found without case.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.members.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
    }

    /// The text of a number: a name, a list of flag names, or the number.
    pub fn text(&self, number: i64) -> String {
        if let Some((name, _)) = self.members.iter().find(|(_, v)| *v == number) {
            return name.to_string();
        }
        if self.flags && number != 0 {
            let mut sorted: Vec<&(Arc<str>, i64)> = self.members.iter().filter(|(_, v)| *v != 0).collect();
            sorted.sort_by_key(|(_, v)| std::cmp::Reverse(*v as u64));
            let (mut rest, mut names) = (number, Vec::new());
            for (name, value) in sorted {
                if rest & value == *value {
                    rest &= !value;
                    names.push(&**name);
                }
            }
            if rest == 0 {
                names.reverse();
                return names.join(", ");
            }
        }
        number.to_string()
    }

    /// The number as a value of the underlying type.
    pub fn number_value(&self, number: i64) -> Value {
        match self.underlying {
            "System.Byte" => Value::Byte(number as u8),
            "System.SByte" => Value::SByte(number as i8),
            "System.Int16" => Value::Int16(number as i16),
            "System.UInt16" => Value::UInt16(number as u16),
            "System.UInt32" => Value::UInt32(number as u32),
            "System.Int64" => Value::Int64(number),
            "System.UInt64" => Value::UInt64(number as u64),
            _ => Value::Int32(number as i32),
        }
    }
}

/// The type's own name and those of its base types, nearest first (`PSObject.TypeNames` of an undecorated value).
pub fn type_hierarchy(kind: &TypeRef) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = vec![Arc::from(kind.full_name())];
    let push = |names: &mut Vec<Arc<str>>, list: &[&str]| names.extend(list.iter().map(|n| Arc::from(*n)));
    match kind.kind() {
        TypeKind::Array(..) => push(&mut names, &["System.Array", "System.Object"]),
        TypeKind::Enum(_) => push(&mut names, &["System.Enum", "System.ValueType", "System.Object"]),
        TypeKind::Generic(definition, _) if &**definition == "System.Collections.Generic.KeyValuePair" => {
            push(&mut names, &["System.ValueType", "System.Object"]);
        }
        TypeKind::Generic(..) => push(&mut names, &["System.Object"]),
        TypeKind::Class(base, _) => names.extend(type_hierarchy(base)),
        TypeKind::Named => {
            let mut current = kind.full_name().to_owned();
            while let Some(base) = base_type_name(&current) {
                names.push(Arc::from(base));
                current = base.to_owned();
            }
        }
    }
    names
}

/// The base type of a known type; `System.Object` for one that is not in the table, `None` for the root itself.
pub fn base_type_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "System.Object" => return None,
        "System.Boolean"
        | "System.Char"
        | "System.SByte"
        | "System.Byte"
        | "System.Int16"
        | "System.UInt16"
        | "System.Int32"
        | "System.UInt32"
        | "System.Int64"
        | "System.UInt64"
        | "System.Single"
        | "System.Double"
        | "System.Decimal"
        | "System.DateTime"
        | "System.DateTimeOffset"
        | "System.DateOnly"
        | "System.TimeOnly"
        | "System.TimeSpan"
        | "System.Guid"
        | "System.IntPtr"
        | "System.UIntPtr"
        | "System.Numerics.BigInteger"
        | "System.Numerics.Complex"
        | "System.Enum"
        | "System.Void"
        | "System.Collections.DictionaryEntry"
        | "System.Management.Automation.SwitchParameter" => "System.ValueType",
        "System.RuntimeType" => "System.Reflection.TypeInfo",
        "System.Reflection.TypeInfo" => "System.Type",
        "System.Type" => "System.Reflection.MemberInfo",
        "System.IO.FileInfo" | "System.IO.DirectoryInfo" => "System.IO.FileSystemInfo",
        "System.IO.FileSystemInfo" => "System.MarshalByRefObject",
        "System.IO.FileStream" | "System.IO.MemoryStream" => "System.IO.Stream",
        "System.IO.Stream" => "System.MarshalByRefObject",
        "System.Diagnostics.Process" => "System.ComponentModel.Component",
        "System.ComponentModel.Component" => "System.MarshalByRefObject",
        "System.Text.RegularExpressions.Match" => "System.Text.RegularExpressions.Group",
        "System.Text.RegularExpressions.Group" => "System.Text.RegularExpressions.Capture",
        "System.Xml.XmlDocument" | "System.Xml.XmlAttribute" | "System.Xml.XmlLinkedNode" => {
            "System.Xml.XmlNode"
        }
        "System.Xml.XmlElement" | "System.Xml.XmlCharacterData" | "System.Xml.XmlDeclaration" => {
            "System.Xml.XmlLinkedNode"
        }
        "System.Xml.XmlText" | "System.Xml.XmlComment" | "System.Xml.XmlCDataSection" => {
            "System.Xml.XmlCharacterData"
        }
        "System.Management.Automation.CmdletInfo"
        | "System.Management.Automation.FunctionInfo"
        | "System.Management.Automation.AliasInfo"
        | "System.Management.Automation.ApplicationInfo"
        | "System.Management.Automation.ExternalScriptInfo" => "System.Management.Automation.CommandInfo",
        "System.Management.Automation.FilterInfo" => "System.Management.Automation.FunctionInfo",
        "System.Management.Automation.WarningRecord"
        | "System.Management.Automation.VerboseRecord"
        | "System.Management.Automation.DebugRecord" => "System.Management.Automation.InformationalRecord",
        "Microsoft.PowerShell.Commands.GenericMeasureInfo"
        | "Microsoft.PowerShell.Commands.TextMeasureInfo"
        | "Microsoft.PowerShell.Commands.GenericObjectMeasureInfo" => {
            "Microsoft.PowerShell.Commands.MeasureInfo"
        }
        "Microsoft.PowerShell.Commands.GroupInfoNoElement" => "Microsoft.PowerShell.Commands.GroupInfo",
        "Microsoft.PowerShell.Commands.WriteErrorException" => "System.SystemException",
        other => return Some(exception_base(other).unwrap_or("System.Object")),
    })
}

fn exception_base(name: &str) -> Option<&'static str> {
    Some(match name {
        "System.SystemException" | "System.ApplicationException" | "System.AggregateException" => {
            "System.Exception"
        }
        "System.ArgumentException"
        | "System.InvalidOperationException"
        | "System.ArithmeticException"
        | "System.FormatException"
        | "System.InvalidCastException"
        | "System.NullReferenceException"
        | "System.IndexOutOfRangeException"
        | "System.NotSupportedException"
        | "System.NotImplementedException"
        | "System.RankException"
        | "System.ArrayTypeMismatchException"
        | "System.OutOfMemoryException"
        | "System.UnauthorizedAccessException"
        | "System.IO.IOException"
        | "System.TimeoutException"
        | "System.OperationCanceledException"
        | "System.Xml.XmlException"
        | "System.TypeLoadException"
        | "System.Security.SecurityException"
        | "System.Collections.Generic.KeyNotFoundException"
        | "System.Runtime.InteropServices.ExternalException"
        | "System.Security.Cryptography.CryptographicException"
        | "System.Management.Automation.RuntimeException"
        | "System.Management.Automation.HaltCommandException"
        | "System.MemberAccessException"
        | "System.StackOverflowException" => "System.SystemException",
        "System.ArgumentNullException"
        | "System.ArgumentOutOfRangeException"
        | "System.DuplicateWaitObjectException"
        | "System.Globalization.CultureNotFoundException"
        | "System.Text.RegularExpressions.RegexParseException"
        | "System.Text.DecoderFallbackException" => "System.ArgumentException",
        "System.DivideByZeroException" | "System.OverflowException" | "System.NotFiniteNumberException" => {
            "System.ArithmeticException"
        }
        "System.UriFormatException" => "System.FormatException",
        "System.ObjectDisposedException" => "System.InvalidOperationException",
        "System.PlatformNotSupportedException" => "System.NotSupportedException",
        "System.IO.FileNotFoundException"
        | "System.IO.DirectoryNotFoundException"
        | "System.IO.PathTooLongException"
        | "System.IO.EndOfStreamException"
        | "System.IO.FileLoadException" => "System.IO.IOException",
        "System.ComponentModel.Win32Exception" => "System.Runtime.InteropServices.ExternalException",
        "System.Net.Sockets.SocketException" => "System.ComponentModel.Win32Exception",
        "System.MissingMemberException" | "System.MethodAccessException" | "System.FieldAccessException" => {
            "System.MemberAccessException"
        }
        "System.MissingMethodException" | "System.MissingFieldException" => "System.MissingMemberException",
        "System.Management.Automation.PSInvalidCastException" => "System.InvalidCastException",
        "System.Management.Automation.PSArgumentException" => "System.ArgumentException",
        "System.Management.Automation.PSArgumentNullException" => "System.ArgumentNullException",
        "System.Management.Automation.PSArgumentOutOfRangeException" => "System.ArgumentOutOfRangeException",
        "System.Management.Automation.PSInvalidOperationException" => "System.InvalidOperationException",
        "System.Management.Automation.PSNotSupportedException" => "System.NotSupportedException",
        "System.Management.Automation.PSNotImplementedException" => "System.NotImplementedException",
        "System.Management.Automation.PSObjectDisposedException" => "System.ObjectDisposedException",
        "System.Management.Automation.CommandNotFoundException"
        | "System.Management.Automation.ParseException"
        | "System.Management.Automation.ActionPreferenceStopException"
        | "System.Management.Automation.ParameterBindingException"
        | "System.Management.Automation.MetadataException"
        | "System.Management.Automation.MethodException"
        | "System.Management.Automation.CmdletInvocationException"
        | "System.Management.Automation.RemoteException"
        | "System.Management.Automation.SessionStateException"
        | "System.Management.Automation.ScriptCallDepthException"
        | "System.Management.Automation.ProviderInvocationException"
        | "System.Management.Automation.PipelineStoppedException"
        | "System.Management.Automation.ScriptRequiresException"
        | "System.Management.Automation.ExtendedTypeSystemException"
        | "System.Management.Automation.PSSecurityException"
        | "System.Management.Automation.NativeCommandExitException"
        | "System.Management.Automation.Host.HostException" => {
            "System.Management.Automation.RuntimeException"
        }
        "System.Management.Automation.IncompleteParseException" => {
            "System.Management.Automation.ParseException"
        }
        "System.Management.Automation.ItemNotFoundException"
        | "System.Management.Automation.DriveNotFoundException"
        | "System.Management.Automation.ProviderNotFoundException"
        | "System.Management.Automation.SessionStateUnauthorizedAccessException"
        | "System.Management.Automation.SessionStateOverflowException" => {
            "System.Management.Automation.SessionStateException"
        }
        "System.Management.Automation.ValidationMetadataException"
        | "System.Management.Automation.ArgumentTransformationMetadataException" => {
            "System.Management.Automation.MetadataException"
        }
        "System.Management.Automation.ParameterBindingValidationException"
        | "System.Management.Automation.ParameterBindingArgumentTransformationException" => {
            "System.Management.Automation.ParameterBindingException"
        }
        "System.Management.Automation.MethodInvocationException"
        | "System.Management.Automation.PropertyNotFoundException" => {
            if name.ends_with("PropertyNotFoundException") {
                "System.Management.Automation.ExtendedTypeSystemException"
            } else {
                "System.Management.Automation.MethodException"
            }
        }
        "System.Management.Automation.GetValueException"
        | "System.Management.Automation.SetValueException" => {
            "System.Management.Automation.ExtendedTypeSystemException"
        }
        "System.Management.Automation.GetValueInvocationException" => {
            "System.Management.Automation.GetValueException"
        }
        "System.Management.Automation.SetValueInvocationException" => {
            "System.Management.Automation.SetValueException"
        }
        "System.Management.Automation.CmdletProviderInvocationException" => {
            "System.Management.Automation.CmdletInvocationException"
        }
        "Microsoft.PowerShell.Commands.ServiceCommandException"
        | "Microsoft.PowerShell.Commands.ProcessCommandException" => "System.SystemException",
        other if other.ends_with("Exception") && other != "System.Exception" => "System.Exception",
        _ => return None,
    })
}

/// The exact full name of an exception type the engine knows, found without case.
pub(crate) fn exception_type(name: &str) -> Option<&'static str> {
    EXCEPTIONS.iter().copied().find(|n| n.eq_ignore_ascii_case(name))
}

const EXCEPTIONS: &[&str] = &[
    "Microsoft.PowerShell.Commands.ProcessCommandException",
    "Microsoft.PowerShell.Commands.ServiceCommandException",
    "Microsoft.PowerShell.Commands.WriteErrorException",
    "PropertyNotFoundException",
    "System.AggregateException",
    "System.ApplicationException",
    "System.ArgumentException",
    "System.ArgumentNullException",
    "System.ArgumentOutOfRangeException",
    "System.ArithmeticException",
    "System.ArrayTypeMismatchException",
    "System.Collections.Generic.KeyNotFoundException",
    "System.DivideByZeroException",
    "System.DuplicateWaitObjectException",
    "System.Exception",
    "System.FieldAccessException",
    "System.FormatException",
    "System.Globalization.CultureNotFoundException",
    "System.IO.DirectoryNotFoundException",
    "System.IO.EndOfStreamException",
    "System.IO.FileLoadException",
    "System.IO.FileNotFoundException",
    "System.IO.IOException",
    "System.IO.PathTooLongException",
    "System.IndexOutOfRangeException",
    "System.InvalidCastException",
    "System.InvalidOperationException",
    "System.Management.Automation.ActionPreferenceStopException",
    "System.Management.Automation.ArgumentTransformationMetadataException",
    "System.Management.Automation.CmdletInvocationException",
    "System.Management.Automation.CmdletProviderInvocationException",
    "System.Management.Automation.CommandNotFoundException",
    "System.Management.Automation.DriveNotFoundException",
    "System.Management.Automation.ExtendedTypeSystemException",
    "System.Management.Automation.GetValueException",
    "System.Management.Automation.GetValueInvocationException",
    "System.Management.Automation.HaltCommandException",
    "System.Management.Automation.Host.HostException",
    "System.Management.Automation.IncompleteParseException",
    "System.Management.Automation.ItemNotFoundException",
    "System.Management.Automation.MetadataException",
    "System.Management.Automation.MethodException",
    "System.Management.Automation.MethodInvocationException",
    "System.Management.Automation.NativeCommandExitException",
    "System.Management.Automation.PSArgumentException",
    "System.Management.Automation.PSArgumentNullException",
    "System.Management.Automation.PSArgumentOutOfRangeException",
    "System.Management.Automation.PSInvalidCastException",
    "System.Management.Automation.PSInvalidOperationException",
    "System.Management.Automation.PSNotImplementedException",
    "System.Management.Automation.PSNotSupportedException",
    "System.Management.Automation.PSObjectDisposedException",
    "System.Management.Automation.PSSecurityException",
    "System.Management.Automation.ParameterBindingArgumentTransformationException",
    "System.Management.Automation.ParameterBindingException",
    "System.Management.Automation.ParameterBindingValidationException",
    "System.Management.Automation.ParseException",
    "System.Management.Automation.PipelineStoppedException",
    "System.Management.Automation.PropertyNotFoundException",
    "System.Management.Automation.ProviderInvocationException",
    "System.Management.Automation.ProviderNotFoundException",
    "System.Management.Automation.RemoteException",
    "System.Management.Automation.Remoting.PSRemotingDataStructureException",
    "System.Management.Automation.Remoting.PSRemotingTransportException",
    "System.Management.Automation.RuntimeException",
    "System.Management.Automation.ScriptCallDepthException",
    "System.Management.Automation.ScriptRequiresException",
    "System.Management.Automation.SessionStateException",
    "System.Management.Automation.SessionStateOverflowException",
    "System.Management.Automation.SessionStateUnauthorizedAccessException",
    "System.Management.Automation.SetValueException",
    "System.Management.Automation.SetValueInvocationException",
    "System.Management.Automation.ValidationMetadataException",
    "System.MemberAccessException",
    "System.MethodAccessException",
    "System.MissingFieldException",
    "System.MissingMemberException",
    "System.MissingMethodException",
    "System.Net.Http.HttpRequestException",
    "System.Net.Sockets.SocketException",
    "System.Net.WebException",
    "System.NotFiniteNumberException",
    "System.NotImplementedException",
    "System.NotSupportedException",
    "System.NullReferenceException",
    "System.ObjectDisposedException",
    "System.OperationCanceledException",
    "System.OutOfMemoryException",
    "System.OverflowException",
    "System.PlatformNotSupportedException",
    "System.RankException",
    "System.Runtime.InteropServices.ExternalException",
    "System.Security.Cryptography.CryptographicException",
    "System.Security.SecurityException",
    "System.StackOverflowException",
    "System.SystemException",
    "System.Text.DecoderFallbackException",
    "System.Text.Json.JsonException",
    "System.Text.RegularExpressions.RegexParseException",
    "System.Threading.Tasks.TaskCanceledException",
    "System.TimeoutException",
    "System.TypeLoadException",
    "System.UnauthorizedAccessException",
    "System.UriFormatException",
    "System.Xml.XmlException",
];
