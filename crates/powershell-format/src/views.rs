//! Which view an object gets: by type name, else by the number of its properties.

use std::sync::Arc;

use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::members;
use hop_powershell_runtime::value::{Callbacks, MemberKind, Value};

use crate::layout::{Align, Column};

/// A shape with its contents.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A table.
    Table(Vec<Column>),
    /// A list.
    List(Vec<Column>),
    /// A wide list of one property.
    Wide(Column),
    /// Lines that a function of the object gives.
    Lines(fn(&Value, &mut dyn Callbacks) -> Vec<String>),
}

/// A view: its shape, and the type it is for (none: any object).
#[derive(Clone, Debug)]
pub struct View {
    /// The shape.
    pub shape: Shape,
    /// Type name that selected the view.
    pub type_name: Option<Arc<str>>,
    /// Property that starts a new group, with its label.
    pub group_by: Option<Column>,
}

/// Whether a value is written as its text, without any view.
pub fn is_scalar(value: &Value) -> bool {
    match value.base() {
        Value::Object(_) => value.members().is_some_and(|o| {
            o.base().is_none() && o.is_deserialized() && o.text().is_some() && o.members().is_empty()
        }),
        Value::Native(_) => false,
        Value::Version(_) | Value::DateTime(_) | Value::TimeSpan(_) | Value::Guid(_) => false,
        Value::Dict(_)
        | Value::Type(_)
        | Value::Exception(_)
        | Value::ErrorRecord(_)
        | Value::SecureString(_) => false,
        Value::ScriptBlock(_) | Value::Array(_) | Value::List(_) => true,
        _ => true,
    }
}

fn table(columns: &[&str]) -> Shape {
    Shape::Table(columns.iter().map(|c| Column::property(c)).collect())
}

fn list(names: &[&str]) -> Shape {
    Shape::List(names.iter().map(|n| Column::property(n)).collect())
}

fn sized(columns: &[(&str, &str, usize, Align)]) -> Shape {
    Shape::Table(
        columns
            .iter()
            .map(|(property, label, width, align)| {
                let column = Column::property(property).labelled(label).aligned(*align);
                if *width > 0 { column.wide(*width) } else { column }
            })
            .collect(),
    )
}

fn date_lines(value: &Value, _engine: &mut dyn Callbacks) -> Vec<String> {
    match value.base() {
        Value::DateTime(date) => {
            vec![hop_powershell_runtime::datetime::format_datetime(*date, "F", 0).unwrap_or_default()]
        }
        other => vec![to_text(other)],
    }
}

/// The view for a value: by its type names, else generic.
pub fn default_view(value: &Value, engine: &mut dyn Callbacks) -> View {
    for name in value.type_names() {
        let plain = name.strip_prefix("Deserialized.").unwrap_or(&name);
        if let Some((shape, group_by)) = known(plain) {
            return View { shape, type_name: Some(name), group_by };
        }
    }
    let columns = generic_columns(value, engine);
    let shape = match columns.len() {
        0 => Shape::Lines(|value, _| vec![to_text(value)]),
        1..=4 => Shape::Table(columns),
        _ => Shape::List(columns),
    };
    View { shape, type_name: None, group_by: None }
}

/// The columns of an object without a view: its default display set, else all properties.
pub fn generic_columns(value: &Value, engine: &mut dyn Callbacks) -> Vec<Column> {
    let standard = match value {
        Value::Object(object) => object.member("PSStandardMembers").map(|m| m.kind),
        _ => None,
    }
    .or_else(|| engine.type_data_member(&value.type_names(), "PSStandardMembers"));
    if let Some(MemberKind::MemberSet(set)) = standard
        && let Some(member) = set.member("DefaultDisplayPropertySet")
        && let MemberKind::PropertySet(names) = member.kind
    {
        return names.iter().map(|n| Column::property(n)).collect();
    }
    members::properties(value).iter().map(|(name, _)| Column::property(name)).collect()
}

fn known(name: &str) -> Option<(Shape, Option<Column>)> {
    use Align::{Left, Right};
    let mut group = None;
    let shape = match name {
        "System.Collections.DictionaryEntry"
        | "System.Collections.Hashtable"
        | "System.Collections.Specialized.OrderedDictionary" => {
            sized(&[("NameDisplay", "Name", 30, Left), ("Value", "Value", 0, Left)])
        }
        "System.Version" => sized(&[
            ("Major", "Major", 6, Left),
            ("Minor", "Minor", 6, Left),
            ("Build", "Build", 6, Left),
            ("Revision", "Revision", 8, Left),
        ]),
        "System.Guid" => Shape::Table(vec![Column::property("Guid")]),
        "System.DateTime" => Shape::Lines(date_lines),
        "System.TimeSpan" => list(&[
            "Days",
            "Hours",
            "Minutes",
            "Seconds",
            "Milliseconds",
            "Ticks",
            "TotalDays",
            "TotalHours",
            "TotalMinutes",
            "TotalSeconds",
            "TotalMilliseconds",
        ]),
        "System.RuntimeType" => sized(&[
            ("IsPublic", "IsPublic", 8, Left),
            ("IsSerializable", "IsSerial", 8, Left),
            ("Name", "Name", 40, Left),
            ("BaseType", "BaseType", 0, Left),
        ]),
        "System.IO.FileInfo" | "System.IO.DirectoryInfo" => {
            group = Some(Column::property("PSParentPathDisplay").labelled("Directory"));
            sized(&[
                ("UnixMode", "UnixMode", 10, Left),
                ("User", "User", 10, Right),
                ("Group", "Group", 10, Left),
                ("LastWriteTimeDisplay", "LastWriteTime", 16, Right),
                ("Size", "Size", 12, Right),
                ("NameDisplay", "Name", 0, Left),
            ])
        }
        "System.Diagnostics.Process" => sized(&[
            ("NPM", "NPM(K)", 7, Right),
            ("PMDisplay", "PM(M)", 8, Right),
            ("WSDisplay", "WS(M)", 10, Right),
            ("CPUDisplay", "CPU(s)", 10, Right),
            ("Id", "Id", 7, Right),
            ("SI", "SI", 3, Right),
            ("ProcessName", "ProcessName", 0, Left),
        ]),
        "Microsoft.PowerShell.Commands.GroupInfo" => {
            sized(&[("Count", "Count", 5, Right), ("Name", "Name", 25, Left), ("Group", "Group", 0, Left)])
        }
        "Microsoft.PowerShell.Commands.GroupInfoNoElement" => {
            sized(&[("Count", "Count", 5, Right), ("Name", "Name", 0, Left)])
        }
        "Microsoft.PowerShell.Commands.MemberDefinition" => {
            group = Some(Column::property("TypeName"));
            table(&["Name", "MemberType", "Definition"])
        }
        "Microsoft.PowerShell.Commands.GenericMeasureInfo" => {
            list(&["Count", "Average", "Sum", "Maximum", "Minimum", "StandardDeviation", "Property"])
        }
        "Microsoft.PowerShell.Commands.TextMeasureInfo" => {
            list(&["Lines", "Words", "Characters", "Property"])
        }
        "System.Management.Automation.CommandInfo" => sized(&[
            ("CommandType", "CommandType", 15, Left),
            ("DisplayName", "Name", 50, Left),
            ("Version", "Version", 10, Left),
            ("Source", "Source", 0, Left),
        ]),
        "System.Management.Automation.PSDriveInfo" => sized(&[
            ("Name", "Name", 10, Left),
            ("UsedDisplay", "Used (GB)", 13, Right),
            ("FreeDisplay", "Free (GB)", 13, Right),
            ("Provider", "Provider", 13, Left),
            ("Root", "Root", 0, Right),
        ]),
        "System.Management.Automation.PSVariable" => {
            sized(&[("Name", "Name", 30, Left), ("Value", "Value", 0, Left)])
        }
        "System.Management.Automation.PathInfo" => table(&["Path"]),
        "System.Management.Automation.PSModuleInfo" => {
            table(&["ModuleType", "Version", "PreRelease", "Name", "ExportedCommands"])
        }
        "System.Management.Automation.Job" => {
            table(&["Id", "Name", "PSJobTypeName", "State", "HasMoreData", "Location", "Command"])
        }
        "System.Management.Automation.Runspaces.PSSession" => table(&[
            "Id",
            "Name",
            "Transport",
            "ComputerName",
            "ComputerType",
            "State",
            "ConfigurationName",
            "Availability",
        ]),
        "Microsoft.PowerShell.Commands.MatchInfo" => Shape::Lines(|value, _| vec![to_text(value)]),
        "System.Text.RegularExpressions.Match" => {
            list(&["Groups", "Success", "Name", "Captures", "Index", "Length", "Value", "ValueSpan"])
        }
        "System.Exception" => Shape::Lines(|value, engine| {
            let message = members::get(value, "Message", engine).ok().flatten().unwrap_or_default();
            vec![to_text(&message)]
        }),
        _ => return None,
    };
    Some((shape, group))
}
