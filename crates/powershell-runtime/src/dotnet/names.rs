//! From the name in a type literal to a type, and back.

use std::sync::Arc;

use super::enums;
use crate::value::TypeRef;

/// PowerShell's type accelerators: short name and full name.
pub const ACCELERATORS: &[(&str, &str)] = &[
    ("adsi", "System.DirectoryServices.DirectoryEntry"),
    ("alias", "System.Management.Automation.AliasAttribute"),
    ("array", "System.Array"),
    ("bigint", "System.Numerics.BigInteger"),
    ("bool", "System.Boolean"),
    ("byte", "System.Byte"),
    ("char", "System.Char"),
    ("cmdletbinding", "System.Management.Automation.CmdletBindingAttribute"),
    ("cultureinfo", "System.Globalization.CultureInfo"),
    ("datetime", "System.DateTime"),
    ("decimal", "System.Decimal"),
    ("double", "System.Double"),
    ("float", "System.Single"),
    ("guid", "System.Guid"),
    ("hashtable", "System.Collections.Hashtable"),
    ("int", "System.Int32"),
    ("int16", "System.Int16"),
    ("int32", "System.Int32"),
    ("int64", "System.Int64"),
    ("ipaddress", "System.Net.IPAddress"),
    ("ipendpoint", "System.Net.IPEndPoint"),
    ("long", "System.Int64"),
    ("mailaddress", "System.Net.Mail.MailAddress"),
    ("object", "System.Object"),
    ("ordered", "System.Collections.Specialized.OrderedDictionary"),
    ("outputtype", "System.Management.Automation.OutputTypeAttribute"),
    ("parameter", "System.Management.Automation.ParameterAttribute"),
    ("physicaladdress", "System.Net.NetworkInformation.PhysicalAddress"),
    ("powershell", "System.Management.Automation.PowerShell"),
    ("pscredential", "System.Management.Automation.PSCredential"),
    ("pscustomobject", "System.Management.Automation.PSObject"),
    ("psmoduleinfo", "System.Management.Automation.PSModuleInfo"),
    ("psnoteproperty", "System.Management.Automation.PSNoteProperty"),
    ("psobject", "System.Management.Automation.PSObject"),
    ("psprimitivedictionary", "System.Management.Automation.PSPrimitiveDictionary"),
    ("psscriptmethod", "System.Management.Automation.PSScriptMethod"),
    ("psscriptproperty", "System.Management.Automation.PSScriptProperty"),
    ("psaliasproperty", "System.Management.Automation.PSAliasProperty"),
    ("psvariable", "System.Management.Automation.PSVariable"),
    ("ref", "System.Management.Automation.PSReference"),
    ("regex", "System.Text.RegularExpressions.Regex"),
    ("runspace", "System.Management.Automation.Runspaces.Runspace"),
    ("runspacefactory", "System.Management.Automation.Runspaces.RunspaceFactory"),
    ("sbyte", "System.SByte"),
    ("scriptblock", "System.Management.Automation.ScriptBlock"),
    ("securestring", "System.Security.SecureString"),
    ("semver", "System.Management.Automation.SemanticVersion"),
    ("short", "System.Int16"),
    ("single", "System.Single"),
    ("string", "System.String"),
    ("switch", "System.Management.Automation.SwitchParameter"),
    ("timespan", "System.TimeSpan"),
    ("type", "System.Type"),
    ("uint", "System.UInt32"),
    ("uint16", "System.UInt16"),
    ("uint32", "System.UInt32"),
    ("uint64", "System.UInt64"),
    ("ulong", "System.UInt64"),
    ("uri", "System.Uri"),
    ("ushort", "System.UInt16"),
    ("validatecount", "System.Management.Automation.ValidateCountAttribute"),
    ("validatelength", "System.Management.Automation.ValidateLengthAttribute"),
    ("validatenotnull", "System.Management.Automation.ValidateNotNullAttribute"),
    ("validatenotnullorempty", "System.Management.Automation.ValidateNotNullOrEmptyAttribute"),
    ("validatepattern", "System.Management.Automation.ValidatePatternAttribute"),
    ("validaterange", "System.Management.Automation.ValidateRangeAttribute"),
    ("validatescript", "System.Management.Automation.ValidateScriptAttribute"),
    ("validateset", "System.Management.Automation.ValidateSetAttribute"),
    ("version", "System.Version"),
    ("void", "System.Void"),
    ("wildcardpattern", "System.Management.Automation.WildcardPattern"),
    ("x500distinguishedname", "System.Security.Cryptography.X509Certificates.X500DistinguishedName"),
    ("x509certificate", "System.Security.Cryptography.X509Certificates.X509Certificate"),
    ("xml", "System.Xml.XmlDocument"),
];

/// Types that exist and can be named, beyond the accelerators and enumerations.
const KNOWN: &[&str] = &[
    "System.AggregateException",
    "System.AppDomain",
    "System.Array",
    "System.Attribute",
    "System.BitConverter",
    "System.Buffer",
    "System.Collections.ArrayList",
    "System.Collections.BitArray",
    "System.Collections.DictionaryEntry",
    "System.Collections.Hashtable",
    "System.Collections.ICollection",
    "System.Collections.IDictionary",
    "System.Collections.IEnumerable",
    "System.Collections.IEnumerator",
    "System.Collections.IList",
    "System.Collections.Queue",
    "System.Collections.SortedList",
    "System.Collections.Specialized.OrderedDictionary",
    "System.Collections.Specialized.StringCollection",
    "System.Collections.Specialized.NameValueCollection",
    "System.Collections.Stack",
    "System.ComponentModel.Component",
    "System.ComponentModel.Win32Exception",
    "System.Console",
    "System.Convert",
    "System.DBNull",
    "System.Data.DataTable",
    "System.DateOnly",
    "System.DateTimeOffset",
    "System.Delegate",
    "System.Diagnostics.Debug",
    "System.Diagnostics.Process",
    "System.Diagnostics.ProcessStartInfo",
    "System.Diagnostics.Stopwatch",
    "System.Enum",
    "System.Environment",
    "System.Exception",
    "System.GC",
    "System.Globalization.CultureInfo",
    "System.Globalization.DateTimeFormatInfo",
    "System.Globalization.NumberFormatInfo",
    "System.Globalization.TextInfo",
    "System.IComparable",
    "System.IConvertible",
    "System.IDisposable",
    "System.IFormattable",
    "System.ICloneable",
    "System.IO.BinaryReader",
    "System.IO.BinaryWriter",
    "System.IO.Directory",
    "System.IO.DirectoryInfo",
    "System.IO.DriveInfo",
    "System.IO.File",
    "System.IO.FileInfo",
    "System.IO.FileStream",
    "System.IO.FileSystemInfo",
    "System.IO.MemoryStream",
    "System.IO.Path",
    "System.IO.Stream",
    "System.IO.StreamReader",
    "System.IO.StreamWriter",
    "System.IO.StringReader",
    "System.IO.StringWriter",
    "System.IntPtr",
    "System.Lazy",
    "System.Management.Automation.CmdletInfo",
    "System.Management.Automation.CommandInfo",
    "System.Management.Automation.ErrorDetails",
    "System.Management.Automation.ErrorRecord",
    "System.Management.Automation.FunctionInfo",
    "System.Management.Automation.InformationRecord",
    "System.Management.Automation.Language.Parser",
    "System.Management.Automation.LanguagePrimitives",
    "System.Management.Automation.PSCustomObject",
    "System.Management.Automation.PSSerializer",
    "System.Management.Automation.PSMemberInfo",
    "System.Management.Automation.PSPropertySet",
    "System.Management.Automation.PSMemberSet",
    "System.Management.Automation.PSPropertyInfo",
    "System.Management.Automation.PSToken",
    "System.Management.Automation.PSParser",
    "System.Management.Automation.ProgressRecord",
    "System.Management.Automation.WarningRecord",
    "System.Management.Automation.VerboseRecord",
    "System.Management.Automation.DebugRecord",
    "System.Management.Automation.InvocationInfo",
    "System.Management.Automation.Internal.Host.InternalHost",
    "System.Management.Automation.Internal.AutomationNull",
    "System.Management.Automation.Host.PSHost",
    "System.Management.Automation.PathInfo",
    "System.Management.Automation.AliasInfo",
    "System.Management.Automation.ApplicationInfo",
    "System.Management.Automation.ExternalScriptInfo",
    "System.Management.Automation.HostInformationMessage",
    "System.Management.Automation.PSDriveInfo",
    "System.Management.Automation.PSEventArgs",
    "System.Management.Automation.PSCmdlet",
    "System.Management.Automation.Cmdlet",
    "System.Management.Automation.DefaultParameterValueAttribute",
    "System.Management.Automation.DynamicParamAttribute",
    "System.Management.Automation.RuntimeDefinedParameter",
    "System.Management.Automation.RuntimeDefinedParameterDictionary",
    "System.Math",
    "System.MathF",
    "System.MulticastDelegate",
    "System.Net.Dns",
    "System.Net.IPAddress",
    "System.Net.NetworkCredential",
    "System.Net.ServicePointManager",
    "System.Net.Sockets.TcpClient",
    "System.Net.WebClient",
    "System.Net.WebUtility",
    "System.Nullable",
    "System.Numerics.Complex",
    "System.Object",
    "System.OperatingSystem",
    "System.Random",
    "System.Reflection.Assembly",
    "System.Runtime.InteropServices.Marshal",
    "System.Runtime.InteropServices.RuntimeInformation",
    "System.Runtime.Serialization.SerializationInfo",
    "System.Security.Cryptography.HMACSHA256",
    "System.Security.Cryptography.MD5",
    "System.Security.Cryptography.RandomNumberGenerator",
    "System.Security.Cryptography.SHA1",
    "System.Security.Cryptography.SHA256",
    "System.Security.Cryptography.SHA384",
    "System.Security.Cryptography.SHA512",
    "System.Security.Principal.WindowsIdentity",
    "System.StringComparer",
    "System.Text.ASCIIEncoding",
    "System.Text.Encoding",
    "System.Text.RegularExpressions.Capture",
    "System.Text.RegularExpressions.Group",
    "System.Text.RegularExpressions.Match",
    "System.Text.RegularExpressions.MatchCollection",
    "System.Text.StringBuilder",
    "System.Text.UTF8Encoding",
    "System.Text.UnicodeEncoding",
    "System.Threading.CancellationToken",
    "System.Threading.Monitor",
    "System.Threading.Mutex",
    "System.Threading.Thread",
    "System.TimeOnly",
    "System.TimeZoneInfo",
    "System.Tuple",
    "System.ValueTuple",
    "System.ValueType",
    "System.Web.HttpUtility",
    "System.WeakReference",
    "System.Xml.XmlAttribute",
    "System.Xml.XmlDocument",
    "System.Xml.XmlElement",
    "System.Xml.XmlNode",
    "System.Xml.XmlReader",
    "System.Xml.XmlWriter",
    "System.Xml.Linq.XDocument",
    "System.Xml.Linq.XElement",
    "System.Xml.XmlConvert",
];

const GENERIC: &[(&str, usize)] = &[
    ("System.Action", 1),
    ("System.Collections.Concurrent.ConcurrentBag", 1),
    ("System.Collections.Concurrent.ConcurrentDictionary", 2),
    ("System.Collections.Concurrent.ConcurrentQueue", 1),
    ("System.Collections.Generic.Dictionary", 2),
    ("System.Collections.Generic.HashSet", 1),
    ("System.Collections.Generic.ICollection", 1),
    ("System.Collections.Generic.IDictionary", 2),
    ("System.Collections.Generic.IEnumerable", 1),
    ("System.Collections.Generic.IList", 1),
    ("System.Collections.Generic.KeyValuePair", 2),
    ("System.Collections.Generic.LinkedList", 1),
    ("System.Collections.Generic.List", 1),
    ("System.Collections.Generic.Queue", 1),
    ("System.Collections.Generic.SortedDictionary", 2),
    ("System.Collections.Generic.SortedList", 2),
    ("System.Collections.Generic.SortedSet", 1),
    ("System.Collections.Generic.Stack", 1),
    ("System.Collections.ObjectModel.Collection", 1),
    ("System.Collections.ObjectModel.ReadOnlyCollection", 1),
    ("System.Func", 2),
    ("System.IComparable", 1),
    ("System.IEquatable", 1),
    ("System.Nullable", 1),
    ("System.Predicate", 1),
    ("System.Tuple", 1),
    ("System.Tuple", 2),
    ("System.Tuple", 3),
    ("System.ValueTuple", 2),
];

/// The type a literal such as `int`, `System.IO.FileInfo`, `string[]` or `Collections.Generic.List[int]` names,
/// among the types the engine itself knows; `more` is asked for others (classes, enums), `namespaces` are those of
/// `using namespace`.
pub fn resolve_type(
    name: &str,
    namespaces: &[String],
    more: &mut dyn FnMut(&str) -> Option<TypeRef>,
) -> Option<TypeRef> {
    let name = name.trim();
    let name =
        name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).filter(|n| !n.is_empty()).unwrap_or(name);
    if let Some(open) = matching_open(name) {
        let inner = name.get(open + 1..name.len() - 1)?;
        let outer = name.get(..open)?.trim();
        if inner.chars().all(|c| c == ',' || c.is_whitespace()) {
            let rank = inner.matches(',').count() + 1;
            return resolve_type(outer, namespaces, more).map(|t| t.array(rank));
        }
        let mut arguments = Vec::new();
        for part in split_arguments(inner) {
            let part = part.trim();
            let part = part.strip_prefix('[').and_then(|p| p.strip_suffix(']')).unwrap_or(part);
            // An assembly-qualified argument: only the type's name counts.
            let plain = split_arguments(part).first().map_or(part, |p| p.trim()).to_owned();
            arguments.push(resolve_type(&plain, namespaces, more)?);
        }
        let definition = outer.split('`').next().unwrap_or(outer);
        let found = candidates(definition, namespaces).into_iter().find_map(|candidate| {
            GENERIC
                .iter()
                .find(|(n, arity)| *arity == arguments.len() && n.eq_ignore_ascii_case(&candidate))
                .map(|(n, _)| *n)
        })?;
        return Some(TypeRef::generic(found, arguments));
    }
    if let Some((_, full)) = ACCELERATORS.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)) {
        return Some(TypeRef::named(full));
    }
    for candidate in candidates(name, namespaces) {
        if let Some(found) = more(&candidate) {
            return Some(found);
        }
        if let Some(known) = known_type(&candidate) {
            return Some(known);
        }
    }
    None
}

fn candidates(name: &str, namespaces: &[String]) -> Vec<String> {
    let mut list = vec![name.to_owned(), format!("System.{name}")];
    list.extend(namespaces.iter().map(|ns| format!("{ns}.{name}")));
    list
}

fn known_type(name: &str) -> Option<TypeRef> {
    if let Some(full) =
        ACCELERATORS.iter().map(|(_, full)| *full).find(|full| full.eq_ignore_ascii_case(name))
    {
        return Some(TypeRef::named(full));
    }
    if let Some(full) = KNOWN.iter().find(|full| full.eq_ignore_ascii_case(name)) {
        return Some(TypeRef::named(full));
    }
    if let Some(found) = enums::find(name) {
        return Some(TypeRef::of_enum(&found));
    }
    crate::value::exception_type(name).map(TypeRef::named)
}

/// The opening bracket that belongs to the last character, when that is `]`.
fn matching_open(name: &str) -> Option<usize> {
    if !name.ends_with(']') {
        return None;
    }
    let mut depth = 0;
    for (i, b) in name.bytes().enumerate().rev() {
        match b {
            b']' => depth += 1,
            b'[' => {
                depth -= 1;
                if depth == 0 {
                    return (i > 0).then_some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn split_arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut list) = (0, 0, Vec::new());
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b',' if depth == 0 => {
                list.push(text.get(start..i).unwrap_or(""));
                start = i + 1;
            }
            _ => {}
        }
    }
    list.push(text.get(start..).unwrap_or(""));
    list
}

/// How PowerShell writes a type in text: by its accelerator where there is one (`int`, `string[]`,
/// `System.Collections.Generic.List[int]`).
pub fn type_text(kind: &TypeRef) -> String {
    use crate::value::TypeKind;
    match kind.kind() {
        TypeKind::Array(element, rank) => {
            format!("{}[{}]", type_text(element), ",".repeat(rank.saturating_sub(1)))
        }
        TypeKind::Generic(definition, arguments) => {
            let list: Vec<String> = arguments.iter().map(type_text).collect();
            format!("{definition}[{}]", list.join(","))
        }
        _ => accelerator(kind.full_name()).map_or_else(|| kind.full_name().to_owned(), str::to_owned),
    }
}

/// The preferred short name of a type.
pub fn accelerator(full_name: &str) -> Option<&'static str> {
    Some(match full_name {
        "System.Int32" => "int",
        "System.Int64" => "long",
        "System.Int16" => "short",
        "System.UInt32" => "uint",
        "System.UInt16" => "ushort",
        "System.UInt64" => "ulong",
        "System.Single" => "float",
        "System.Management.Automation.PSObject" => "psobject",
        "System.Collections.Specialized.OrderedDictionary" => "ordered",
        other => return ACCELERATORS.iter().find(|(_, full)| *full == other).map(|(short, _)| *short),
    })
}

/// An enumeration the engine knows, by full name.
pub fn enum_type(name: &str) -> Option<Arc<crate::value::EnumType>> {
    enums::find(name)
}
