//! Modules as values.

use std::any::Any;
use std::sync::{Arc, PoisonError};

use crate::scope::Module;
use crate::value::{Error, NativeObject, TypeRef, Value};

/// `PSModuleInfo`.
#[derive(Debug)]
pub struct ModuleObject(pub Arc<Module>);

impl NativeObject for ModuleObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PSModuleInfo")
    }

    fn text(&self) -> String {
        self.0.name.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        [
            "Name",
            "Path",
            "Version",
            "ModuleType",
            "Description",
            "ExportedFunctions",
            "ExportedCommands",
            "ModuleBase",
        ]
        .into_iter()
        .map(Arc::from)
        .collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let data = self.0.data.read().unwrap_or_else(PoisonError::into_inner);
        let dictionary = |names: &[String]| {
            let table = crate::value::PsDict::ordered();
            for name in names {
                table.insert_str(name, Value::string(name));
            }
            Value::Dict(Arc::new(table))
        };
        let value = match name.to_ascii_lowercase().as_str() {
            "name" => Value::string(&self.0.name),
            "path" => Value::string(&self.0.path),
            "modulebase" => {
                Value::string(self.0.path.rsplit_once('/').map_or("", |(directory, _)| directory))
            }
            "version" => Value::string(if data.version.is_empty() { "0.0" } else { &data.version }),
            "moduletype" => Value::string("Script"),
            "description" => Value::string(&data.description),
            "exportedfunctions" => dictionary(&data.exported_functions),
            "exportedaliases" => dictionary(&data.exported_aliases),
            "exportedcommands" => {
                let mut names = data.exported_functions.clone();
                names.extend(data.exported_aliases.iter().cloned());
                dictionary(&names)
            }
            "onremove" => data.on_remove.clone(),
            _ => return None,
        };
        Some(Ok(value))
    }

    fn set(&self, name: &str, value: Value) -> Option<Result<(), Error>> {
        if name.eq_ignore_ascii_case("OnRemove") {
            self.0.data.write().unwrap_or_else(PoisonError::into_inner).on_remove = value;
            return Some(Ok(()));
        }
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
