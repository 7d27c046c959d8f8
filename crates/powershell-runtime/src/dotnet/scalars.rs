//! Members of versions, types, enumerations, exceptions and error records.

use std::sync::Arc;

use super::{enum_value, text_arg};
use crate::convert::to_text;
use crate::value::{
    Callbacks, Error, ErrorCategory, ErrorRecord, InvocationInfo, PsDict, TypeKind, TypeRef, Value,
};

pub(super) fn property(
    value: &Value,
    name: &str,
    _engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    Some(Ok(match value {
        Value::Version(parts) => Value::Int32(match name {
            "major" => parts[0],
            "minor" => parts[1],
            "build" => parts[2],
            "revision" => parts[3],
            "majorrevision" | "minorrevision" => -1,
            _ => return None,
        }),
        Value::Guid(guid) if name == "guid" => Value::from(guid.to_string()),
        Value::Enum(kind, n) if name == "value__" => kind.number_value(*n),
        Value::Type(kind) => type_property(kind, name)?,
        Value::Exception(exception) => match name {
            "message" => Value::String(Arc::clone(exception.message())),
            "innerexception" => exception.inner().map_or(Value::Null, |e| Value::Exception(Arc::clone(e))),
            "errorrecord" => match exception.record() {
                Some(record) => Value::ErrorRecord(record),
                None => return None,
            },
            "hresult" => Value::Int32(-2_146_233_087),
            "stacktrace" | "helplink" | "targetsite" | "source" => Value::Null,
            "data" => Value::Dict(Arc::new(PsDict::new(
                crate::value::DictKind::Other(TypeRef::named("System.Collections.ListDictionaryInternal")),
                true,
            ))),
            _ => exception
                .properties()
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.clone())?,
        },
        Value::ErrorRecord(record) => record_property(record, name)?,
        Value::BigInt(n) => match name {
            "iszero" => Value::Bool(**n == 0.into()),
            "iseven" => Value::Bool((&**n % 2u8) == 0.into()),
            "sign" => Value::Int32(if **n == 0.into() {
                0
            } else if n.sign() == num_bigint::Sign::Minus {
                -1
            } else {
                1
            }),
            "isone" => Value::Bool(**n == 1.into()),
            _ => return None,
        },
        _ => return None,
    }))
}

fn type_property(kind: &TypeRef, name: &str) -> Option<Value> {
    Some(match name {
        "name" => Value::from(kind.name()),
        "fullname" => Value::string(kind.full_name()),
        "namespace" => Value::string(kind.namespace()),
        "assemblyqualifiedname" => Value::from(kind.assembly_qualified_name()),
        "isarray" => Value::Bool(matches!(kind.kind(), TypeKind::Array(..))),
        "isenum" => Value::Bool(matches!(kind.kind(), TypeKind::Enum(_))),
        "isvaluetype" => Value::Bool(kind.is_value_type()),
        "isclass" => Value::Bool(!kind.is_value_type()),
        "isgenerictype" => Value::Bool(matches!(kind.kind(), TypeKind::Generic(..))),
        "isprimitive" => Value::Bool(matches!(
            kind.full_name(),
            "System.Int32"
                | "System.Int64"
                | "System.Boolean"
                | "System.Double"
                | "System.Char"
                | "System.Byte"
                | "System.Single"
                | "System.Int16"
                | "System.UInt16"
                | "System.UInt32"
                | "System.UInt64"
                | "System.SByte"
        )),
        "isinterface" | "isabstract" => Value::Bool(false),
        "ispublic" | "isserializable" => Value::Bool(true),
        "basetype" if matches!(kind.kind(), TypeKind::Class(..)) => match kind.kind() {
            TypeKind::Class(base, _) => Value::Type(base.clone()),
            _ => Value::Null,
        },
        "basetype" => match crate::value::type_hierarchy(kind).get(1) {
            Some(base) => Value::Type(TypeRef::named(base)),
            None => Value::Null,
        },
        "underlyingsystemtype" => Value::Type(kind.clone()),
        "genericTypearguments" | "generictypearguments" => match kind.kind() {
            TypeKind::Generic(_, list) => Value::array(list.iter().cloned().map(Value::Type).collect()),
            _ => Value::array(Vec::new()),
        },
        _ => return None,
    })
}

fn record_property(record: &Arc<ErrorRecord>, name: &str) -> Option<Value> {
    Some(match name {
        "exception" => record.exception.clone(),
        "targetobject" => record.target.clone(),
        "fullyqualifiederrorid" => Value::from(record.fully_qualified_id()),
        "categoryinfo" => category_info(record),
        "errordetails" => match record.details() {
            Some(details) => Value::custom_typed(
                "System.Management.Automation.ErrorDetails",
                [
                    ("Message", Value::from(details.message)),
                    ("RecommendedAction", Value::from(details.recommended_action)),
                ],
            ),
            None => Value::Null,
        },
        "invocationinfo" => record.invocation.get().map_or(Value::Null, invocation_value),
        "scriptstacktrace" => record.stack_trace.get().map_or(Value::Null, Value::string),
        "pipelineiterationinfo" => Value::array(Vec::new()),
        "psmessagedetails" => Value::Null,
        _ => return None,
    })
}

/// `ErrorRecord.CategoryInfo`.
fn category_info(record: &Arc<ErrorRecord>) -> Value {
    let kind = record.target.type_ref().map(|t| t.name()).unwrap_or_default();
    let target_name = record.target_name.clone().unwrap_or_else(|| to_text(&record.target));
    let target_type = record.target_type.clone().unwrap_or(kind);
    let message = format!(
        "{}: ({}:{}) [{}], {}",
        record.category.name(),
        target_name,
        target_type,
        record.activity(),
        record.reason
    );
    let object = crate::value::PsObject::deserialized(
        None,
        {
            let mut members = crate::value::Members::default();
            for (name, value) in [
                (
                    "Category",
                    enum_value("System.Management.Automation.ErrorCategory", record.category.name()),
                ),
                ("Activity", Value::from(record.activity())),
                ("Reason", Value::string(&record.reason)),
                ("TargetName", Value::from(target_name)),
                ("TargetType", Value::from(target_type)),
            ] {
                members.push(name, crate::value::MemberKind::Property(value));
            }
            members
        },
        vec![Arc::from("System.Management.Automation.ErrorCategoryInfo"), Arc::from("System.Object")],
        Some(Arc::from(message)),
    );
    Value::Object(Arc::new(object))
}

fn invocation_value(info: &Arc<InvocationInfo>) -> Value {
    let mut members = crate::value::Members::default();
    for (name, value) in [
        ("MyCommand", info.my_command.clone()),
        ("BoundParameters", info.bound_parameters.clone()),
        ("UnboundArguments", info.unbound_arguments.clone()),
        ("ScriptLineNumber", Value::Int32(info.script_line_number as i32)),
        ("OffsetInLine", Value::Int32(info.offset_in_line as i32)),
        ("HistoryId", Value::Int64(-1)),
        ("ScriptName", Value::string(&info.script_name)),
        ("Line", Value::string(&info.line)),
        ("Statement", Value::string(&info.statement)),
        ("PositionMessage", Value::string(&info.position_message)),
        ("PSScriptRoot", Value::string(&info.script_root)),
        ("PSCommandPath", Value::string(&info.command_path)),
        ("InvocationName", Value::string(&info.invocation_name)),
        ("PipelineLength", Value::Int32(info.pipeline_length as i32)),
        ("PipelinePosition", Value::Int32(info.pipeline_position as i32)),
        ("ExpectingInput", Value::Bool(false)),
        ("CommandOrigin", Value::string("Internal")),
        ("DisplayScriptPosition", Value::Null),
    ] {
        members.push(name, crate::value::MemberKind::Property(value));
    }
    Value::Object(Arc::new(crate::value::PsObject::deserialized(
        None,
        members,
        vec![Arc::from("System.Management.Automation.InvocationInfo"), Arc::from("System.Object")],
        Some(Arc::from("System.Management.Automation.InvocationInfo")),
    )))
}

pub(super) fn method(
    value: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    Some(Ok(match (value, name) {
        (Value::Enum(kind, n), "hasflag") => {
            let flag = match args.first().map(|a| crate::convert::enum_from(a, kind)) {
                Some(Ok(Value::Enum(_, f))) => f,
                Some(Err(error)) => return Some(Err(error)),
                _ => 0,
            };
            Value::Bool(n & flag == flag)
        }
        (Value::Guid(guid), "tobytearray") => Value::bytes(&guid.to_bytes_le()),
        (Value::Type(kind), "isassignablefrom" | "isinstanceoftype" | "issubclassof") => {
            let other = match (args.first().map(Value::base), name) {
                (Some(Value::Type(t)), "isassignablefrom") => t.derives_from(kind),
                (Some(Value::Type(t)), _) => kind.derives_from(t) && kind != t,
                (Some(v), "isinstanceoftype") => v.type_ref().is_some_and(|t| t.derives_from(kind)),
                _ => false,
            };
            Value::Bool(other)
        }
        (
            Value::Type(_),
            "getmethods" | "getproperties" | "getfields" | "getconstructors" | "getinterfaces",
        ) => Value::array(Vec::new()),
        (Value::Type(kind), "getelementtype") => kind.element().cloned().map_or(Value::Null, Value::Type),
        (Value::Type(kind), "getenumnames" | "getenumvalues") => {
            let text = if name.ends_with("names") { "GetNames" } else { "GetValues" };
            return super::static_invoke(
                &TypeRef::named("System.Enum"),
                text,
                &[Value::Type(kind.clone())],
                engine,
            )
            .into();
        }
        (Value::Exception(exception), "getbaseexception") => {
            let mut last = Arc::clone(exception);
            while let Some(inner) = last.inner().cloned() {
                last = inner;
            }
            Value::Exception(last)
        }
        (Value::Exception(exception), "tostring") => Value::from(crate::convert::exception_text(exception)),
        (Value::SecureString(_), "dispose" | "makereadonly") => Value::Empty,
        (Value::SecureString(secret), "copy") => Value::SecureString(Arc::clone(secret)),
        (Value::ScriptBlock(_), "invoke" | "invokereturnasis") => {
            let call = crate::value::ScriptCall { arguments: args.to_vec(), ..Default::default() };
            return Some(engine.call_script(value, call).map(|output| {
                if name == "invoke" {
                    Value::List(Arc::new(crate::value::PsList::new(
                        crate::value::ListKind::Collection(TypeRef::named(
                            "System.Management.Automation.PSObject",
                        )),
                        output,
                    )))
                } else {
                    Value::from_output(output)
                }
            }));
        }
        (Value::ScriptBlock(_), "invokewithcontext") => {
            let mut variables = Vec::new();
            for item in args.get(1).cloned().map(Value::into_items).unwrap_or_default() {
                let get = |engine: &mut dyn Callbacks, n: &str| {
                    crate::members::get(&item, n, engine).ok().flatten()
                };
                if let Some(name) = get(engine, "Name") {
                    variables.push((to_text(&name), get(engine, "Value").unwrap_or_default()));
                }
            }
            let call = crate::value::ScriptCall {
                arguments: args.iter().skip(2).cloned().collect(),
                variables,
                ..Default::default()
            };
            return Some(engine.call_script(value, call).map(Value::array));
        }
        (Value::ErrorRecord(_), "getbaseexception") => return None,
        (Value::Version(a), "compareto") => match args.first().map(Value::base) {
            Some(Value::Version(b)) => Value::Int32(a.cmp(b) as i32),
            _ => Value::Int32(1),
        },
        (Value::Version(a), "tostring") if !args.is_empty() => {
            let n: usize = text_arg(args, 0).parse().unwrap_or(4);
            Value::from(a.iter().take(n).map(ToString::to_string).collect::<Vec<_>>().join("."))
        }
        (number, "gettypecode") => {
            enum_value("System.TypeCode", &number.type_ref().map(|t| t.name()).unwrap_or_default())
        }
        _ => {
            let _ = ErrorCategory::NotSpecified;
            return None;
        }
    }))
}
