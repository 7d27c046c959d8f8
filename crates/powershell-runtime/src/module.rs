//! Modules as values.

use std::any::Any;
use std::sync::{Arc, PoisonError};

use crate::flow::{Run, Sink};
use crate::function::ScriptBlock;
use crate::runspace::Runspace;
use crate::scope::{Alias, ItemOptions, Module, Scope};
use crate::value::{Error, NativeObject, TypeRef, Value, fold_case};
use crate::wildcard::is_like;

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

impl Runspace {
    /// Runs a text as a module of its own: its functions see its variables and not the caller's. What the module
    /// exports is noted, but not brought into any scope; see [`Runspace::bring_in`].
    ///
    /// # Errors
    /// Errors of the text.
    pub fn load_module(
        &mut self,
        name: &str,
        path: &str,
        block: &ScriptBlock,
        out: &mut dyn Sink,
    ) -> Run<Arc<Module>> {
        let module = Arc::new(Module { name: name.to_string(), path: path.to_string(), ..Module::default() });
        let scope = Scope::inside(&self.global, true, Some(module.clone()));
        let _ = module.scope.set(scope.clone());
        let body = ScriptBlock::new(block.ast.clone(), Some(module.clone())).into_value();
        let saved = std::mem::replace(&mut self.state.scope, scope.clone());
        let result = self.run_block_in_scope(&body, None, Vec::new(), out);
        self.state.scope = saved;
        result?;
        let mut functions: Vec<String> = scope.data().functions.values().map(|f| f.name.clone()).collect();
        let mut aliases: Vec<String> = scope.data().aliases.values().map(|a| a.name.clone()).collect();
        functions.sort_by_key(|n| fold_case(n));
        aliases.sort_by_key(|n| fold_case(n));
        let mut data = module.data.write().unwrap_or_else(PoisonError::into_inner);
        if data.explicit {
            let like = |name: &String, patterns: &[String]| patterns.iter().any(|p| is_like(name, p));
            let wanted = data.functions.clone().unwrap_or_default();
            functions.retain(|n| like(n, &wanted));
            aliases.retain(|n| like(n, &data.aliases));
        }
        data.exported_functions = functions;
        data.exported_aliases = aliases;
        drop(data);
        Ok(module)
    }

    /// Brings what a module exports into the running module's scope or the global one. A prefix goes before the
    /// nouns.
    pub fn bring_in(&mut self, module: &Arc<Module>, prefix: &str) {
        let Some(from) = module.scope() else { return };
        let target = match self.state.scope.module.as_ref().and_then(|m| m.scope()) {
            Some(scope) => scope.clone(),
            None => self.global.clone(),
        };
        let mut data = module.data.write().unwrap_or_else(PoisonError::into_inner);
        let prefixed = |name: &str| match name.split_once('-') {
            Some((verb, noun)) if !prefix.is_empty() => format!("{verb}-{prefix}{noun}"),
            _ => format!("{prefix}{name}"),
        };
        let mut shown = Vec::new();
        for name in &data.exported_functions {
            let found = from.data().functions.get(&fold_case(name)).cloned();
            if let Some(function) = found {
                let name = prefixed(name);
                self.set_function_in(&target, &name, function.block.clone());
                shown.push(name);
            }
        }
        for name in &data.exported_aliases {
            let found = from.data().aliases.get(&fold_case(name)).cloned();
            if let Some(alias) = found {
                let alias = Alias {
                    name: alias.name.clone(),
                    target: alias.target.clone(),
                    options: ItemOptions::default(),
                    description: String::new(),
                    module: module.name.clone(),
                };
                target.data().aliases.insert(fold_case(name), Arc::new(alias));
            }
        }
        let cells: Vec<_> = from
            .data()
            .variables
            .values()
            .filter(|cell| data.variables.iter().any(|p| is_like(&cell.with(|v| v.name.clone()), p)))
            .cloned()
            .collect();
        for cell in cells {
            let name = cell.with(|v| v.name.clone());
            target.insert(&name, cell);
        }
        if !prefix.is_empty() {
            data.exported_functions = shown;
        }
        drop(data);
        self.modules.retain(|m| !m.name.eq_ignore_ascii_case(&module.name));
        self.modules.push(module.clone());
    }

    /// Takes a module out: its functions and aliases go.
    pub fn take_out(&mut self, module: &Arc<Module>) {
        self.modules.retain(|m| !Arc::ptr_eq(m, module));
        let mut data = self.global.data();
        data.functions.retain(|_, f| !f.block.module.as_ref().is_some_and(|m| Arc::ptr_eq(m, module)));
        data.aliases.retain(|_, a| a.module.is_empty() || !a.module.eq_ignore_ascii_case(&module.name));
    }
}
