//! The evaluator's view of conversions and operators.

use std::sync::{Arc, LazyLock};

use crate::command::Validator;
use crate::runspace::Runspace;
use crate::value::{EnumType, Error, TypeRef, Value};

/// `System.Management.Automation.ActionPreference`.
pub(crate) fn action_preference_type() -> Arc<EnumType> {
    static TYPE: LazyLock<Arc<EnumType>> = LazyLock::new(|| {
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
    });
    Arc::clone(&TYPE)
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

/// `PathInfo` of a file system location.
pub(crate) fn path_info(path: &str) -> Value {
    Value::custom_typed(
        "System.Management.Automation.PathInfo",
        [("Path", Value::string(path)), ("ProviderPath", Value::string(path))],
    )
}

/// The time now.
pub(crate) fn now(_runspace: &Runspace) -> Value {
    Value::Null
}

impl Runspace {
    /// Whether a value counts as true.
    pub fn is_true(&self, value: &Value) -> bool {
        !value.is_null()
    }

    /// A value as a string, as string expansion gives it.
    pub fn to_text(&mut self, value: &Value) -> String {
        value.as_str().unwrap_or("").to_string()
    }

    /// Converts an argument to a parameter's type.
    pub fn convert_argument(&mut self, value: &Value, _type_ref: &TypeRef) -> Result<Value, Error> {
        Ok(value.clone())
    }

    /// Runs a parameter's or variable's checks.
    pub(crate) fn validate(
        &mut self,
        _value: &Value,
        _checks: &[Validator],
        _name: &str,
    ) -> Result<(), Error> {
        Ok(())
    }
}
