//! `PSVariable`.

use std::any::Any;
use std::sync::Arc;

use crate::scope::VariableCell;
use crate::value::{Error, NativeObject, TypeRef, Value};

/// What `Get-Variable` gives.
#[derive(Debug)]
pub struct VariableObject(pub Arc<VariableCell>);

impl NativeObject for VariableObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PSVariable")
    }

    fn properties(&self) -> Vec<Arc<str>> {
        ["Name", "Description", "Value", "Visibility", "Module", "ModuleName", "Options", "Attributes"]
            .into_iter()
            .map(Arc::from)
            .collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(self.0.with(|v| {
            Some(match name.to_ascii_lowercase().as_str() {
                "name" => Value::string(&v.name),
                "value" => v.value.clone(),
                "description" => Value::string(&v.description),
                "visibility" => Value::string("Public"),
                "module" => Value::Null,
                "modulename" => Value::string(""),
                "attributes" => Value::array(Vec::new()),
                "options" => {
                    let mut words = Vec::new();
                    let o = v.options;
                    for (on, word) in [
                        (o.read_only, "ReadOnly"),
                        (o.constant, "Constant"),
                        (o.private, "Private"),
                        (o.all_scope, "AllScope"),
                    ] {
                        if on {
                            words.push(word);
                        }
                    }
                    Value::from(if words.is_empty() { "None".to_string() } else { words.join(", ") })
                }
                _ => return None,
            })
        })?))
    }

    fn set(&self, name: &str, value: Value) -> Option<Result<(), Error>> {
        name.eq_ignore_ascii_case("Value").then(|| {
            self.0.set(value);
            Ok(())
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
