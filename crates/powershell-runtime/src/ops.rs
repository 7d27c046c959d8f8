//! The evaluator's view of conversions, members and operators.

use std::sync::{Arc, LazyLock};

use hop_powershell_syntax::ast::TypeName;

use crate::command::Validator;
use crate::errors;
use crate::flow::{Flow, Run};
use crate::function::ScriptBlock;
use crate::operators::{self, CompareOp};
use crate::runspace::Runspace;
use crate::value::{
    Callbacks, EnumType, Error, ErrorCategory, InvocationInfo, MemberKind, NativeObject, ScriptCall, System,
    TypeRef, Value,
};
use crate::{convert, dotnet, members};

/// `System.Management.Automation.ActionPreference`.
pub(crate) fn action_preference_type() -> Arc<EnumType> {
    static TYPE: LazyLock<Arc<EnumType>> = LazyLock::new(|| {
        dotnet::enum_type("System.Management.Automation.ActionPreference").unwrap_or_else(|| {
            Arc::new(EnumType::new(
                "System.Management.Automation.ActionPreference",
                false,
                [
                    ("SilentlyContinue", 0),
                    ("Stop", 1),
                    ("Continue", 2),
                    ("Inquire", 3),
                    ("Ignore", 4),
                    ("Suspend", 5),
                    ("Break", 6),
                ],
            ))
        })
    });
    Arc::clone(&TYPE)
}

/// `CommandTypes`.
pub(crate) fn command_type(name: &str) -> Value {
    static TYPE: LazyLock<Arc<EnumType>> = LazyLock::new(|| {
        Arc::new(EnumType::new(
            "System.Management.Automation.CommandTypes",
            true,
            [
                ("Alias", 1),
                ("Function", 2),
                ("Filter", 4),
                ("Cmdlet", 8),
                ("ExternalScript", 16),
                ("Application", 32),
                ("Script", 64),
                ("Configuration", 256),
                ("All", 383),
            ],
        ))
    });
    TYPE.number(name).map_or(Value::Null, |n| Value::Enum(Arc::clone(&TYPE), n))
}

/// A semantic version as an object.
pub(crate) fn semantic_version(text: &str) -> Value {
    let parts: Vec<i32> = text.split('.').map(|p| p.parse().unwrap_or(0)).collect();
    Value::Version(Arc::new([
        parts.first().copied().unwrap_or(0),
        parts.get(1).copied().unwrap_or(0),
        parts.get(2).copied().unwrap_or(-1),
        -1,
    ]))
}

/// `PathInfo` of a location: drive, provider, the drive's root, the path shown and the provider's own.
pub fn path_info(drive: &str, provider: &str, root: &str, path: &str, provider_path: &str) -> Value {
    Value::native(PathInfo {
        drive: drive_info(drive, provider, root, ""),
        provider: provider_info(provider),
        path: path.to_string(),
        provider_path: provider_path.to_string(),
    })
}

/// `PSDriveInfo`.
pub fn drive_info(name: &str, provider: &str, root: &str, description: &str) -> Value {
    Value::native(DriveInfo {
        name: name.to_string(),
        provider: provider_info(provider),
        root: root.to_string(),
        description: description.to_string(),
    })
}

/// `ProviderInfo`.
pub fn provider_info(name: &str) -> Value {
    Value::native(ProviderInfo(name.to_string()))
}

fn names(list: &[&str]) -> Vec<Arc<str>> {
    list.iter().map(|n| Arc::from(*n)).collect()
}

#[derive(Debug)]
struct PathInfo {
    drive: Value,
    provider: Value,
    path: String,
    provider_path: String,
}

impl NativeObject for PathInfo {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PathInfo")
    }

    fn text(&self) -> String {
        self.path.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        names(&["Drive", "Provider", "ProviderPath", "Path"])
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "path" => Value::string(&self.path),
            "providerpath" => Value::string(&self.provider_path),
            "drive" => self.drive.clone(),
            "provider" => self.provider.clone(),
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[derive(Debug)]
struct DriveInfo {
    name: String,
    provider: Value,
    root: String,
    description: String,
}

impl NativeObject for DriveInfo {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PSDriveInfo")
    }

    fn text(&self) -> String {
        self.name.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        names(&[
            "CurrentLocation",
            "Name",
            "Provider",
            "Root",
            "Description",
            "MaximumSize",
            "Credential",
            "DisplayRoot",
            "VolumeSeparatedByColon",
        ])
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "name" => Value::string(&self.name),
            "provider" => self.provider.clone(),
            "root" => Value::string(&self.root),
            "description" | "currentlocation" => Value::string(&self.description),
            "maximumsize" | "credential" | "displayroot" => Value::Null,
            "volumeseparatedbycolon" => Value::Bool(self.name != "/"),
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[derive(Debug)]
struct ProviderInfo(String);

impl NativeObject for ProviderInfo {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.ProviderInfo")
    }

    fn text(&self) -> String {
        format!("Microsoft.PowerShell.Core\\{}", self.0)
    }

    fn properties(&self) -> Vec<Arc<str>> {
        names(&["Name", "Capabilities", "Drives"])
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "name" => Value::string(&self.0),
            "modulename" | "pssnapin" => Value::string("Microsoft.PowerShell.Core"),
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The time now.
pub(crate) fn now(runspace: &mut Runspace) -> Value {
    let kind = TypeRef::named("System.DateTime");
    dotnet::static_get(&kind, "Now", runspace).ok().flatten().unwrap_or_default()
}

/// `$MyInvocation`.
pub(crate) fn invocation_value(info: &Arc<InvocationInfo>) -> Value {
    Value::native(crate::intrinsics::MyInvocation(info.clone()))
}

impl Runspace {
    /// Whether a value counts as true.
    pub fn is_true(&self, value: &Value) -> bool {
        convert::to_bool(value)
    }

    /// A value as a string, as string expansion gives it.
    pub fn to_text(&mut self, value: &Value) -> String {
        match value {
            Value::String(s) => s.to_string(),
            _ => convert::to_text_with(value, self),
        }
    }

    /// Converts a value.
    pub(crate) fn convert(&mut self, value: &Value, type_ref: &TypeRef) -> Result<Value, Error> {
        if let Some(result) = self.convert_to_class(value, type_ref) {
            return result;
        }
        convert::convert_to(value, type_ref, self)
    }

    /// Converts an argument to a parameter's type.
    pub fn convert_argument(&mut self, value: &Value, type_ref: &TypeRef) -> Result<Value, Error> {
        self.convert(value, type_ref)
    }

    /// Whether a value has a type already.
    pub(crate) fn has_type(&mut self, value: &Value, type_ref: &TypeRef) -> bool {
        matches!(type_ref.full_name(), "System.Object" | "System.Management.Automation.PSObject")
            || operators::is_type(value, &Value::Type(type_ref.clone()), self).unwrap_or(false)
            || self.is_instance(value, type_ref)
    }

    /// A property, if the value has one of that name.
    pub(crate) fn property_if_any(&mut self, value: &Value, name: &str) -> Option<Value> {
        if matches!(value.base(), Value::Dict(_)) {
            return None;
        }
        members::get(value, name, self).ok().flatten()
    }

    pub(crate) fn get_member(&mut self, target: &Value, name: &str) -> Result<Value, Error> {
        if target.is_null() {
            // Nothing has a count of its own: none.
            if name.eq_ignore_ascii_case("count") || name.eq_ignore_ascii_case("length") {
                return Ok(Value::Int32(0));
            }
            if self.strict_mode() >= 2 {
                return Err(missing_property(name));
            }
            return Ok(Value::Null);
        }
        match members::get_enumerated(target, name, self)? {
            Some(v) => Ok(v),
            None if self.strict_mode() >= 2
                && !matches!(target.base(), Value::Dict(_) if self.strict_mode() < 2) =>
            {
                Err(missing_property(name))
            }
            None => Ok(Value::Null),
        }
    }

    pub(crate) fn set_member(&mut self, target: &Value, name: &str, value: Value) -> Result<(), Error> {
        if let Some(result) = self.set_class_property(target, name, &value) {
            return result;
        }
        members::set(target, name, value, self)
    }

    pub(crate) fn call_method(&mut self, target: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
        if let Some(result) = self.class_method(target, name, args) {
            return result;
        }
        members::invoke(target, name, args, self)
    }

    pub(crate) fn index(&mut self, target: &Value, index: &Value) -> Result<Value, Error> {
        let indices = index_list(target, index);
        match members::index(target, &indices, self)? {
            Some(v) => Ok(v),
            None if self.strict_mode() >= 3 => Err(Error::new(
                "System.IndexOutOfRangeException",
                "System.IndexOutOfRangeException",
                ErrorCategory::OperationStopped,
                "Index was outside the bounds of the array.",
            )),
            None => Ok(Value::Null),
        }
    }

    pub(crate) fn set_index(&mut self, target: &Value, index: &Value, value: Value) -> Result<(), Error> {
        let indices = index_list(target, index);
        members::set_index(target, &indices, value, self)
    }

    pub(crate) fn read_static(&mut self, t: &TypeRef, name: &str) -> Result<Value, Error> {
        if let Some(result) = self.class_static(t, name) {
            return result;
        }
        match dotnet::static_get(t, name, self)? {
            Some(value) => Ok(value),
            None if self.strict_mode() >= 2 => Err(missing_property(name)),
            None => Ok(Value::Null),
        }
    }

    pub(crate) fn write_static(&mut self, t: &TypeRef, name: &str, value: &Value) -> Result<(), Error> {
        if let Some(result) = self.set_class_static(t, name, value) {
            return result;
        }
        dotnet::static_set(t, name, value, self)
    }

    pub(crate) fn call_static(&mut self, t: &TypeRef, name: &str, args: &[Value]) -> Result<Value, Error> {
        if let Some(result) = self.class_call_static(t, name, args) {
            return result;
        }
        if t.full_name() == "System.Management.Automation.ScriptBlock" && name.eq_ignore_ascii_case("Create")
        {
            let text = args.first().map(|v| self.to_text(v)).unwrap_or_default();
            return match self.parse(&text, None) {
                Ok(ast) => Ok(ScriptBlock::new(ast, None).into_value()),
                Err(e) => {
                    let inner = e.exception().cloned();
                    let mut exception = crate::value::Exception::new(
                        "System.Management.Automation.MethodInvocationException",
                        format!("Exception calling \"Create\" with \"1\" argument(s): \"{}\"", e.message()),
                    );
                    if let Some(inner) = inner {
                        exception = exception.with_inner(inner);
                    }
                    Err(Error::from_exception(
                        exception,
                        "ParseException",
                        ErrorCategory::NotSpecified,
                        Value::Null,
                    ))
                }
            };
        }
        if name.eq_ignore_ascii_case("new") {
            return dotnet::construct(t, args, self);
        }
        dotnet::static_invoke(t, name, args, self)
    }

    /// The type a name stands for.
    pub(crate) fn resolve_type(&mut self, name: &TypeName) -> Result<TypeRef, Error> {
        let text = name.display();
        self.find_type_named(&text).ok_or_else(|| {
            errors::runtime(
                "TypeNotFound",
                ErrorCategory::InvalidOperation,
                format!("Unable to find type [{text}]."),
            )
            .with_target(Value::string(&text))
        })
    }

    /// The type of that name, script-defined ones included.
    pub fn find_type_named(&mut self, name: &str) -> Option<TypeRef> {
        let namespaces = self.namespaces.clone();
        dotnet::find_type(name, &namespaces, self)
    }

    /// Methods that need the engine: script blocks, `.Where`, `.ForEach`.
    pub(crate) fn engine_method(&mut self, target: &Value, name: &str, args: &[Value]) -> Option<Run<Value>> {
        if let Value::Native(n) = target.base()
            && let Some(cmdlet) = n.as_any().downcast_ref::<crate::intrinsics::ScriptCmdlet>()
        {
            return self.script_cmdlet_method(cmdlet, name, args);
        }
        let block = ScriptBlock::from_value(target)?;
        let lower = name.to_ascii_lowercase();
        Some(match lower.as_str() {
            "invoke" | "invokereturnasis" => {
                let mut out = Vec::new();
                let result = self.call_block(target, args.to_vec(), Vec::new(), None, &mut out);
                match result {
                    Ok(()) if lower == "invoke" => Ok(Value::List(Arc::new(crate::value::PsList::new(
                        crate::value::ListKind::Collection(TypeRef::named(
                            "System.Management.Automation.PSObject",
                        )),
                        out,
                    )))),
                    Ok(()) => Ok(Value::from_output(out)),
                    Err(Flow::Error(e) | Flow::Throw(e)) => {
                        Err(Flow::Error(method_failure(&e, name, args.len())))
                    }
                    Err(flow) => Err(flow),
                }
            }
            "invokewithcontext" => {
                let mut variables = Vec::new();
                for v in args.get(1).cloned().map(Value::into_items).unwrap_or_default() {
                    let n = self.property_if_any(&v, "Name").map(|n| self.to_text(&n));
                    let value = self.property_if_any(&v, "Value").unwrap_or_default();
                    if let Some(n) = n {
                        variables.push((n, value));
                    }
                }
                let functions = match args.first().map(Value::base) {
                    Some(Value::Dict(d)) => d.entries(),
                    _ => Vec::new(),
                };
                let mut out = Vec::new();
                let rest = args.get(2).cloned().map(Value::into_items).unwrap_or_default();
                let saved = self.state.scope.clone();
                self.state.scope = crate::scope::Scope::inside(&saved, false, saved.module.clone());
                let scope = self.state.scope.clone();
                for (n, f) in functions {
                    let n = self.to_text(&n);
                    if let Some(b) = ScriptBlock::from_value(&f) {
                        self.set_function_in(&scope, &n, b);
                    }
                }
                let result = self.call_block(target, rest, variables, None, &mut out);
                self.state.scope = saved;
                result.map(|()| Value::array(out))
            }
            "getnewclosure" => {
                let module = Arc::new(crate::scope::Module {
                    name: "__DynamicModule".into(),
                    is_closure: true,
                    ..crate::scope::Module::default()
                });
                let outer = self.outer_of_closure();
                let scope = crate::scope::Scope::inside(&outer, true, Some(module.clone()));
                // The variables of the running scope are copied.
                let cells: Vec<(String, Value)> = {
                    // Only the innermost scope with its parameters counts.
                    let running = self.state.scope.clone();
                    let data = running.data();
                    data.variables
                        .iter()
                        .filter(|(_, c)| c.with(|v| !v.options.constant && !v.options.all_scope))
                        .map(|(k, c)| (k.clone(), c.get()))
                        .collect()
                };
                for (name, value) in cells {
                    if !matches!(
                        name.as_str(),
                        "_" | "psitem"
                            | "input"
                            | "args"
                            | "myinvocation"
                            | "psboundparameters"
                            | "pscmdlet"
                            | "this"
                    ) {
                        scope.set(&name, value);
                    }
                }
                let _ = module.scope.set(scope);
                let closure = ScriptBlock {
                    ast: block.ast.clone(),
                    definition: block.definition.clone(),
                    module: Some(module),
                    is_filter: block.is_filter,
                    metadata: std::sync::OnceLock::new(),
                };
                Ok(closure.into_value())
            }
            "getsteppablepipeline" => return None,
            "tostring" => Ok(Value::string(block.ast.source.slice(block.ast.body_span))),
            "gettype" | "equals" | "gethashcode" | "checkrestrictedlanguage" => return None,
            _ => return None,
        })
    }

    fn outer_of_closure(&self) -> Arc<crate::scope::Scope> {
        let mut scope = self.state.scope.clone();
        while !scope.is_script {
            match scope.parent() {
                Some(p) => scope = p.clone(),
                None => break,
            }
        }
        scope
    }

    /// Runs a parameter's or variable's checks.
    pub(crate) fn validate(&mut self, value: &Value, checks: &[Validator], _name: &str) -> Result<(), Error> {
        for check in checks {
            self.validate_one(value, check)?;
        }
        Ok(())
    }

    fn validate_one(&mut self, value: &Value, check: &Validator) -> Result<(), Error> {
        let fail = |id: &str, message: String| {
            Err(Error::new(
                "System.Management.Automation.ValidationMetadataException",
                id,
                ErrorCategory::MetadataError,
                message,
            ))
        };
        let items = match value.base() {
            Value::Array(_) | Value::List(_) => value.clone().into_items(),
            _ => vec![value.clone()],
        };
        let is_collection = matches!(value.base(), Value::Array(_) | Value::List(_));
        match check {
            Validator::NotNull => {
                if value.is_null() {
                    return fail("ArgumentIsNull", "The argument is null. Provide a valid value for the argument, and then try running the command again.".into());
                }
                if is_collection && items.iter().any(Value::is_null) {
                    return fail("ArgumentIsNull", "The argument collection contains a null value. Provide an argument collection that does not contain any null values, and then try running the command again.".into());
                }
            }
            Validator::NotNullOrEmpty | Validator::NotNullOrWhiteSpace => {
                let white = matches!(check, Validator::NotNullOrWhiteSpace);
                let tail = if white {
                    "The argument is null, empty, or consists of only white-space characters. Provide an argument that contains non white-space characters, and then try the command again."
                } else {
                    "The argument is null or empty. Provide an argument that is not null or empty, and then try the command again."
                };
                let bad = |v: &Value| {
                    v.is_null()
                        || v.as_str().is_some_and(|s| if white { s.trim().is_empty() } else { s.is_empty() })
                };
                if is_collection && items.is_empty() {
                    return fail("ArgumentIsEmpty", "The argument is null, empty, or an element of the argument collection contains a null value. Supply a collection that does not contain any null values and then try the command again.".into());
                }
                if !is_collection && bad(value) {
                    return fail("ArgumentIsNullOrEmpty", tail.into());
                }
                if let Value::Dict(d) = value.base()
                    && d.is_empty()
                {
                    return fail("ArgumentIsEmpty", tail.into());
                }
                if is_collection && items.iter().any(bad) {
                    return fail("ArgumentCollectionContainsEmpty", "The argument is null, empty, or an element of the argument collection contains a null value. Supply a collection that does not contain any null values and then try the command again.".into());
                }
            }
            Validator::Set(values, ignore_case, message) => {
                for item in items {
                    let text = self.to_text(&item);
                    let known = values.iter().any(|v| {
                        if *ignore_case { v.to_lowercase() == text.to_lowercase() } else { **v == *text }
                    });
                    if !known {
                        let list = values.iter().map(|v| v.to_string()).collect::<Vec<_>>().join(",");
                        let message = match message {
                            Some(m) => m.replace("{0}", &text).replace("{1}", &list),
                            None => format!(
                                "The argument \"{text}\" does not belong to the set \"{list}\" specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again."
                            ),
                        };
                        return fail("ValidateSetFailure", message);
                    }
                }
            }
            Validator::Pattern(pattern, ignore_case, message) => {
                for item in items {
                    let text = self.to_text(&item);
                    let found = operators::match_operator(
                        &Value::string(&text),
                        &Value::string(pattern),
                        *ignore_case,
                        false,
                        self,
                    )?;
                    if !self.is_true(&found.value) {
                        let message = match message {
                            Some(m) => m.replace("{0}", &text).replace("{1}", pattern),
                            None => format!(
                                "The argument \"{text}\" does not match the \"{pattern}\" pattern. Supply an argument that matches \"{pattern}\" and try the command again."
                            ),
                        };
                        return fail("ValidatePatternFailure", message);
                    }
                }
            }
            Validator::Length(low, high) => {
                for item in items {
                    let Some(text) = item.as_str() else {
                        return fail("ValidateLengthNotString", "The argument cannot be validated because it is not a string. Supply a valid string and then try the command again.".into());
                    };
                    let length = text.encode_utf16().count() as i64;
                    if length < *low {
                        return fail(
                            "ValidateLengthMinLengthFailure",
                            format!(
                                "The character length ({length}) of the argument is too short. Specify an argument with a length that is greater than or equal to \"{low}\", and then try the command again."
                            ),
                        );
                    }
                    if length > *high {
                        return fail(
                            "ValidateLengthMaxLengthFailure",
                            format!(
                                "The character length of the {length} argument is too long. Shorten the character length of the argument so it is fewer than or equal to \"{high}\" characters, and then try the command again."
                            ),
                        );
                    }
                }
            }
            Validator::Count(low, high) => {
                let count = if value.is_null() { 0 } else { items.len() as i64 };
                if count < *low || count > *high {
                    let message = if low == high {
                        format!(
                            "The parameter requires exactly {low} value(s) - {count} value(s) were provided."
                        )
                    } else {
                        format!(
                            "The parameter requires at least {low} value(s) and no more than {high} value(s) - {count} value(s) were provided."
                        )
                    };
                    return fail("ValidateCountFailure", message);
                }
            }
            Validator::Range(low, high) => {
                for item in items {
                    let text = self.to_text(&item);
                    if operators::compare(CompareOp::Lt, true, &item, low, self)? {
                        let l = self.to_text(low);
                        return fail(
                            "ValidateRangeTooSmall",
                            format!(
                                "The {text} argument is less than the minimum allowed range of {l}. Supply an argument that is greater than or equal to {l} and then try the command again."
                            ),
                        );
                    }
                    if operators::compare(CompareOp::Gt, true, &item, high, self)? {
                        let h = self.to_text(high);
                        return fail(
                            "ValidateRangeTooBig",
                            format!(
                                "The {text} argument is greater than the maximum allowed range of {h}. Supply an argument that is less than or equal to {h} and then try the command again."
                            ),
                        );
                    }
                }
            }
            Validator::RangeKind(kind) => {
                for item in items {
                    let text = self.to_text(&item);
                    let zero = Value::Int32(0);
                    let (op, words) = match kind.to_ascii_lowercase().as_str() {
                        "positive" => (CompareOp::Gt, "greater than zero"),
                        "nonnegative" => (CompareOp::Ge, "greater than or equal to zero"),
                        "negative" => (CompareOp::Lt, "less than zero"),
                        _ => (CompareOp::Le, "less than or equal to zero"),
                    };
                    if !operators::compare(op, true, &item, &zero, self)? {
                        return fail(
                            "ValidateRangeFailure",
                            format!(
                                "The argument \"{text}\" cannot be validated because its value is not {words}."
                            ),
                        );
                    }
                }
            }
            Validator::Script(block, message) => {
                for item in items {
                    let mut out = Vec::new();
                    match self.run_block_in_scope(block, Some(item.clone()), Vec::new(), &mut out) {
                        Ok(()) => {}
                        Err(Flow::Error(e) | Flow::Throw(e)) => return Err(e),
                        Err(_) => return Ok(()),
                    }
                    let result = Value::from_output(out);
                    if !self.is_true(&result) {
                        let text = self.to_text(&item);
                        let body = self.to_text(block);
                        let message = match message {
                            Some(m) => m.replace("{0}", &text).replace("{1}", &body),
                            None => format!(
                                "The \"{body}\" validation script for the argument with value \"{text}\" did not return a result of True. Determine why the validation script failed, and then try the command again."
                            ),
                        };
                        return fail("ValidateScriptFailure", message);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The index values of `a[i]` and `a[i, j]`.
fn index_list(target: &Value, index: &Value) -> Vec<Value> {
    let _ = target;
    match index.base() {
        Value::Array(a) => a.to_vec(),
        _ => vec![index.clone()],
    }
}

fn missing_property(name: &str) -> Error {
    Error::new(
        "System.Management.Automation.PropertyNotFoundException",
        "PropertyNotFoundStrict",
        ErrorCategory::NotSpecified,
        format!("The property '{name}' cannot be found on this object. Verify that the property exists."),
    )
}

/// A `MethodInvocationException` around an error.
pub(crate) fn method_failure(error: &Error, name: &str, count: usize) -> Error {
    let mut exception = crate::value::Exception::new(
        "System.Management.Automation.MethodInvocationException",
        format!("Exception calling \"{name}\" with \"{count}\" argument(s): \"{}\"", error.message()),
    );
    let mut id = "RuntimeException".to_string();
    if let Some(inner) = error.exception() {
        id = inner.short_type_name().to_string();
        exception = exception.with_inner(inner.clone());
    }
    Error::from_exception(exception, &id, ErrorCategory::NotSpecified, Value::Null)
}

impl Callbacks for Runspace {
    fn call_script(&mut self, block: &Value, call: ScriptCall) -> Result<Vec<Value>, Error> {
        let mut out = Vec::new();
        let result = if call.in_caller_scope {
            self.run_block_in_scope(block, call.underscore, call.arguments, &mut out)
        } else {
            let mut variables = call.variables;
            if let Some(v) = call.underscore {
                variables.push(("_".into(), v.clone()));
                variables.push(("PSItem".into(), v));
            }
            if let Some(v) = call.this {
                variables.push(("this".into(), v));
            }
            self.call_block(block, call.arguments, variables, None, &mut out)
        };
        match result {
            Ok(()) => Ok(out),
            Err(Flow::Error(e) | Flow::Throw(e)) => Err(e),
            Err(Flow::Exit(_) | Flow::Stopped) => Err(Error::new(
                "System.Management.Automation.PipelineStoppedException",
                "PipelineStopped",
                ErrorCategory::OperationStopped,
                "The pipeline has been stopped.",
            )),
            Err(_) => Ok(out),
        }
    }

    fn system(&self) -> &dyn System {
        &*self.platform
    }

    fn find_type(&mut self, name: &str) -> Option<TypeRef> {
        self.types.find(name).or_else(|| self.type_providers.iter().find_map(|p| p.find(name)))
    }

    fn static_get(&mut self, kind: &TypeRef, name: &str) -> Option<Result<Value, Error>> {
        self.class_static(kind, name)
            .or_else(|| self.with_type_providers(|this, provider| provider.get(this, kind, name)))
    }

    fn static_set(&mut self, kind: &TypeRef, name: &str, value: &Value) -> Option<Result<(), Error>> {
        self.set_class_static(kind, name, value)
            .or_else(|| self.with_type_providers(|this, provider| provider.set(this, kind, name, value)))
    }

    fn static_invoke(&mut self, kind: &TypeRef, name: &str, args: &[Value]) -> Option<Result<Value, Error>> {
        self.class_call_static(kind, name, args)
            .or_else(|| self.with_type_providers(|this, provider| provider.invoke(this, kind, name, args)))
    }

    fn type_data_member(&mut self, type_names: &[Arc<str>], name: &str) -> Option<MemberKind> {
        if self.type_data.is_empty() {
            return None;
        }
        type_names
            .iter()
            .find_map(|t| self.type_data.get(&t.to_ascii_lowercase())?.get(name).map(|m| m.kind.clone()))
    }

    fn session_method(&mut self, part: &str, name: &str, args: &[Value]) -> Option<Result<Value, Error>> {
        let first = args.first().map(|v| self.to_text(v)).unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        Some(Ok(match (part, lower.as_str()) {
            ("variable", "getvalue") => {
                self.get_variable(&first).unwrap_or_else(|| args.get(1).cloned().unwrap_or_default())
            }
            ("variable", "get") => match self.find_variable(&first) {
                Some(cell) => Value::native(crate::variable_object::VariableObject(cell)),
                None => Value::Null,
            },
            ("variable", "set") => {
                self.set_variable(&first, args.get(1).cloned().unwrap_or_default());
                Value::Empty
            }
            ("path", "getunresolvedproviderpathfrompspath") => Value::from(self.full_path(&first)),
            ("path", "combine") => {
                let second = args.get(1).map(|v| self.to_text(v)).unwrap_or_default();
                Value::from(format!("{}/{second}", first.trim_end_matches('/')))
            }
            ("command", "getcommand") => match self.resolve_command(&first) {
                Ok(found) => self.command_info(&found, &first),
                Err(_) => Value::Null,
            },
            _ => return None,
        }))
    }

    fn object_text(&mut self, value: &Value) -> Option<Result<String, Error>> {
        self.class_text(value)
    }

    fn object_equals(&mut self, left: &Value, right: &Value) -> Option<bool> {
        self.class_equals(left, right)
    }

    fn output_field_separator(&mut self) -> String {
        match self.get_variable("OFS") {
            Some(v) if !v.is_null() => convert::to_text(&v),
            _ => " ".to_owned(),
        }
    }

    fn host_write(&mut self, action: &str, text: &str) -> Result<(), Error> {
        match action {
            "write" => self.host.write(text, None, None),
            "warning" => self.host.write_warning(text),
            "verbose" => self.host.write_verbose(text),
            "debug" => self.host.write_debug(text),
            _ => self.host.write_line(text),
        }
        Ok(())
    }

    fn expand_string(&mut self, text: &str) -> Result<String, Error> {
        let quoted = format!("@\"\n{text}\n\"@");
        let ast = self.parse(&quoted, None)?;
        let block = ScriptBlock::new(ast, None).into_value();
        let mut out = Vec::new();
        match self.run_block_in_scope(&block, None, Vec::new(), &mut out) {
            Ok(()) => {
                let value = Value::from_output(out);
                Ok(self.to_text(&value))
            }
            Err(Flow::Error(e) | Flow::Throw(e)) => Err(e),
            Err(_) => Ok(String::new()),
        }
    }
}

impl Runspace {
    fn with_type_providers<R>(
        &mut self,
        mut ask: impl FnMut(&mut Self, &dyn crate::runspace::TypeProvider) -> Option<R>,
    ) -> Option<R> {
        // Taken out while asked, since they get the session itself; one that calls back finds the others gone.
        let providers = std::mem::take(&mut self.type_providers);
        let found = providers.iter().find_map(|p| ask(self, &**p));
        self.type_providers = providers;
        found
    }

    /// Adds type data (`Update-TypeData`).
    pub fn add_type_data(&mut self, type_name: &str, member: &str, kind: MemberKind) {
        self.type_data.entry(type_name.to_ascii_lowercase()).or_default().set(member, kind);
    }

    /// Removes all type data of a type.
    pub fn remove_type_data(&mut self, type_name: &str) -> bool {
        self.type_data.remove(&type_name.to_ascii_lowercase()).is_some()
    }

    /// `$Matches` and the like after a match made elsewhere.
    pub fn set_matches(&mut self, matches: Value) {
        self.state.scope.set("Matches", matches);
    }
}
