//! Variables: looking up, setting with type constraints and checks, automatic variables.

use std::sync::Arc;

use crate::errors;
use crate::invocation::ActionPreference;
use crate::runspace::Runspace;
use crate::scope::{ItemOptions, Scope, Variable, VariableCell};
use crate::value::{Error, ErrorCategory, Value, fold_case};

/// Variables that never move between scopes and cannot be assigned.
const READ_ONLY: [&str; 9] = [
    "PSVersionTable",
    "PSEdition",
    "IsLinux",
    "IsMacOS",
    "IsWindows",
    "IsCoreCLR",
    "PSCulture",
    "PSUICulture",
    "ShellId",
];

impl Runspace {
    pub(crate) fn define_automatic_variables(&mut self) {
        let global = self.global.clone();
        let set = |name: &str, value: Value| global.set(name, value);
        let option = |name: &str, value: Value, options: ItemOptions| {
            global.insert(
                name,
                VariableCell::new(Variable { name: name.to_string(), value, options, ..Variable::default() }),
            );
        };
        let constant = ItemOptions { constant: true, all_scope: true, ..ItemOptions::default() };
        let read_only = ItemOptions { read_only: true, all_scope: true, ..ItemOptions::default() };
        option("true", Value::Bool(true), constant);
        option("false", Value::Bool(false), constant);
        option("null", Value::Null, ItemOptions::default());
        option("Error", Value::List(self.errors.clone()), constant);
        for (name, value) in [
            ("ErrorActionPreference", "Continue"),
            ("WarningPreference", "Continue"),
            ("VerbosePreference", "SilentlyContinue"),
            ("DebugPreference", "SilentlyContinue"),
            ("InformationPreference", "SilentlyContinue"),
            ("ProgressPreference", "Continue"),
        ] {
            let number = match value {
                "Continue" => 2,
                _ => 0,
            };
            set(name, Value::Enum(crate::ops::action_preference_type(), number));
        }
        set("ConfirmPreference", Value::string("High"));
        set("WhatIfPreference", Value::Bool(false));
        set("ErrorView", Value::string("ConciseView"));
        set("MaximumHistoryCount", Value::Int32(4096));
        set("FormatEnumerationLimit", Value::Int32(4));
        set("PSNativeCommandUseErrorActionPreference", Value::Bool(false));
        set("PSNativeCommandArgumentPassing", Value::string("Standard"));
        set("PSDefaultParameterValues", Value::hashtable());
        set(
            "PSSessionConfigurationName",
            Value::string("http://schemas.microsoft.com/powershell/Microsoft.PowerShell"),
        );
        set("PSSessionApplicationName", Value::string("wsman"));
        set("NestedPromptLevel", Value::Int32(0));
        set("OutputEncoding", Value::Null);
        set("PSEmailServer", Value::string(""));
        set("StackTrace", Value::string(""));
        set("PSHOME", Value::string("/opt/microsoft/powershell/7"));
        set("HOME", Value::string(self.env.get("HOME").map_or("", |h| h)));
        set("PROFILE", Value::string(""));
        option("PID", Value::Int32(i32::try_from(self.platform.process_id()).unwrap_or(0)), constant);
        let table = crate::value::PsDict::new(
            crate::value::DictKind::Other(crate::value::TypeRef::named(
                "System.Management.Automation.PSVersionHashTable",
            )),
            true,
        );
        table.insert_str("PSVersion", crate::ops::semantic_version("7.6.5"));
        table.insert_str("PSEdition", Value::string("Core"));
        table.insert_str("GitCommitId", Value::string("7.6.5"));
        table.insert_str("OS", Value::string(std::env::consts::OS));
        table.insert_str("Platform", Value::string("Unix"));
        table.insert_str(
            "PSCompatibleVersions",
            Value::array(
                [[1, 0], [2, 0], [3, 0], [4, 0], [5, 0], [5, 1], [6, 0], [7, 0]]
                    .iter()
                    .map(|[a, b]| Value::Version(Arc::new([*a, *b, -1, -1])))
                    .collect(),
            ),
        );
        table.insert_str("PSRemotingProtocolVersion", Value::Version(Arc::new([2, 4, -1, -1])));
        table.insert_str("SerializationVersion", Value::Version(Arc::new([1, 1, 0, 1])));
        table.insert_str("WSManStackVersion", Value::Version(Arc::new([3, 0, -1, -1])));
        let values = [
            Value::Dict(Arc::new(table)),
            Value::string("Core"),
            Value::Bool(true),
            Value::Bool(false),
            Value::Bool(false),
            Value::Bool(true),
            Value::string("en-US"),
            Value::string("en-US"),
            Value::string("Microsoft.PowerShell"),
        ];
        for (name, value) in READ_ONLY.into_iter().zip(values) {
            let options = if matches!(name, "PSVersionTable") {
                constant
            } else {
                ItemOptions { constant: true, all_scope: true, ..read_only }
            };
            option(name, value, options);
        }
        // `$?`, `$^`, `$$`, `$PWD` and the like are computed when they are read.
    }

    /// The variable cell a plain name refers to, from the current scope outward.
    pub fn find_variable(&self, name: &str) -> Option<Arc<VariableCell>> {
        let key = fold_case(name);
        let mut scope = Some(&self.state.scope);
        let mut first = true;
        while let Some(s) = scope {
            let found = s.data().variables.get(&key).cloned();
            if let Some(cell) = found
                && (first || !cell.with(|v| v.options.private))
            {
                return Some(cell);
            }
            first = false;
            scope = s.parent();
        }
        None
    }

    /// The scope a modifier names: `global`, `script`, `local`, `private`, or a number of steps outward.
    pub fn scope_named(&self, name: &str) -> Option<Arc<Scope>> {
        match name.to_ascii_lowercase().as_str() {
            "global" => Some(self.global.clone()),
            "local" | "private" => Some(self.state.scope.clone()),
            "script" => {
                let mut scope = &self.state.scope;
                while !scope.is_script {
                    match scope.parent() {
                        Some(p) => scope = p,
                        None => break,
                    }
                }
                Some(scope.clone())
            }
            number => {
                let mut scope = self.state.scope.clone();
                for _ in 0..number.parse::<usize>().ok()? {
                    let parent = scope.parent()?.clone();
                    scope = parent;
                }
                Some(scope)
            }
        }
    }

    /// A variable's value, as `$name` reads it; `$null` when there is none.
    pub fn variable_value(&self, name: &str) -> Value {
        self.get_variable(name).unwrap_or_default()
    }

    /// A variable's value; the name may carry a scope (`global:x`).
    pub fn get_variable(&self, name: &str) -> Option<Value> {
        if let Some((scope, rest)) = name.split_once(':')
            && let Some(scope) = self.scope_named(scope)
        {
            return scope.variable(rest).map(|c| c.get());
        }
        if let Some(value) = self.computed_variable(name) {
            return Some(value);
        }
        self.find_variable(name).map(|c| c.get())
    }

    fn computed_variable(&self, name: &str) -> Option<Value> {
        if !name.starts_with(['?', '^', '$', 'p', 'P', 'e', 'E', 'h', 'H']) {
            return None;
        }
        Some(match name.to_ascii_lowercase().as_str() {
            "?" => Value::Bool(self.success),
            "^" => self.last_tokens.0.clone(),
            "$" => self.last_tokens.1.clone(),
            "pwd" => self.location_value(),
            "host" => crate::session::host_object(self),
            "executioncontext" => crate::session::execution_context(self),
            "psscriptroot" => {
                let file = self.state.frame.source.file().unwrap_or("");
                Value::string(file.rsplit_once('/').map_or("", |(d, _)| if d.is_empty() { "/" } else { d }))
            }
            "pscommandpath" => Value::string(self.state.frame.source.file().unwrap_or("")),
            _ => return None,
        })
    }

    /// Sets a variable as `$name = value` does: in the current scope, or in the scope of a modifier.
    /// Constraints are not checked; see [`Runspace::assign_variable`].
    pub fn set_variable(&mut self, name: &str, value: Value) {
        let (scope, name) = match name.split_once(':') {
            Some((scope, rest)) => (self.scope_named(scope), rest),
            None => (None, name),
        };
        let scope = scope.unwrap_or_else(|| self.state.scope.clone());
        scope.set(name, value);
    }

    /// Assigns with type constraint, read-only and validation checks.
    pub fn assign_variable(&mut self, scope: Option<&str>, name: &str, value: Value) -> Result<(), Error> {
        let private = scope.is_some_and(|s| s.eq_ignore_ascii_case("private"));
        let scope = scope.and_then(|s| self.scope_named(s)).unwrap_or_else(|| self.state.scope.clone());
        let mut cell = scope.variable(name);
        if cell.is_none() {
            // All-scope variables are the same everywhere.
            if let Some(found) = self.find_variable(name)
                && found.with(|v| v.options.all_scope)
            {
                cell = Some(found);
            }
        }
        let value = if matches!(value, Value::Empty) { Value::Null } else { value };
        if name.eq_ignore_ascii_case("null") {
            return Ok(());
        }
        let Some(cell) = cell else {
            if matches!(name.to_ascii_lowercase().as_str(), "?" | "host" | "executioncontext") {
                return Err(not_writable(name));
            }
            let options = ItemOptions { private, ..ItemOptions::default() };
            scope.insert(
                name,
                VariableCell::new(Variable { name: name.to_string(), value, options, ..Variable::default() }),
            );
            return Ok(());
        };
        let (options, type_ref, validators) =
            cell.with(|v| (v.options, v.type_ref.clone(), v.validators.clone()));
        if options.constant || options.read_only {
            return Err(not_writable(name));
        }
        let value = match type_ref {
            Some(t) => self.convert_argument(&value, &t).map_err(|e| self.transformation_error(name, &e))?,
            None => value,
        };
        if !validators.is_empty() && self.validate(&value, &validators, name).is_err() {
            return Err(Error::from_exception(
                crate::value::Exception::new(
                    "System.Management.Automation.ValidationMetadataException",
                    format!(
                        "The variable cannot be validated because the value {} is not a valid value for the \
                         {name} variable.",
                        self.to_text(&value)
                    ),
                ),
                "ValidateSetFailure",
                ErrorCategory::MetadataError,
                value,
            ));
        }
        if private {
            cell.with(|v| v.options.private = true);
        }
        cell.set(value);
        Ok(())
    }

    fn transformation_error(&self, _name: &str, error: &Error) -> Error {
        let exception = error.exception().cloned();
        let mut outer = crate::value::Exception::new(
            "System.Management.Automation.ArgumentTransformationMetadataException",
            error.message(),
        );
        if let Some(inner) = exception {
            outer = outer.with_inner(inner);
        }
        Error::from_exception(outer, "RuntimeException", ErrorCategory::MetadataError, Value::Null)
    }

    /// Removes a variable from a scope.
    pub fn remove_variable(&mut self, scope: &Arc<Scope>, name: &str) -> bool {
        scope.data().variables.remove(&fold_case(name)).is_some()
    }

    /// An `ActionPreference` variable.
    pub fn preference(&self, name: &str) -> ActionPreference {
        ActionPreference::parse(&self.variable_value(name)).unwrap_or(ActionPreference::Continue)
    }

    /// Appends to what `-OutVariable` and its kin collect in: an `ArrayList`. A `+` before the name keeps
    /// what is there (the caller has already cleared it otherwise).
    pub(crate) fn append_to_variable(&mut self, name: &str, value: Value) {
        let name = name.trim_start_matches('+');
        match self.variable_value(name) {
            Value::List(list) => list.items_mut().push(value),
            other => {
                let mut items = if other.is_null() { Vec::new() } else { other.into_items() };
                items.push(value);
                self.set_variable(name, Value::List(Arc::new(crate::value::PsList::array_list(items))));
            }
        }
    }

    /// `Set-StrictMode` level that holds here; 0: off.
    pub fn strict_mode(&self) -> u32 {
        let mut scope = Some(&self.state.scope);
        while let Some(s) = scope {
            if let Some(level) = s.data().strict {
                return level;
            }
            scope = s.parent();
        }
        0
    }
}

fn not_writable(name: &str) -> Error {
    Error::from_exception(
        crate::value::Exception::new(
            "System.Management.Automation.SessionStateUnauthorizedAccessException",
            format!("Cannot overwrite variable {name} because it is read-only or constant."),
        ),
        "VariableNotWritable",
        ErrorCategory::WriteError,
        Value::string(name),
    )
}

/// `$x` under strict mode.
pub(crate) fn undefined(name: &str) -> Error {
    errors::runtime(
        "VariableIsUndefined",
        ErrorCategory::InvalidOperation,
        format!("The variable '${name}' cannot be retrieved because it has not been set."),
    )
    .with_target(Value::string(name))
}
