//! Scopes: variables, functions and aliases, and the modules that own them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::command::Validator;
use crate::function::FunctionInfo;
use crate::value::{TypeRef, Value, fold_case};

/// `ScopedItemOptions` of a variable, function or alias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemOptions {
    /// Cannot be changed without `-Force`.
    pub read_only: bool,
    /// Cannot be changed or removed at all.
    pub constant: bool,
    /// Not seen from inner scopes.
    pub private: bool,
    /// Copied into every new scope.
    pub all_scope: bool,
}

/// A variable.
#[derive(Clone, Debug, Default)]
pub struct Variable {
    /// Name as first written.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Options.
    pub options: ItemOptions,
    /// `[int]$x = …`: every assignment is converted.
    pub type_ref: Option<TypeRef>,
    /// Checks of attributes.
    pub validators: Vec<Validator>,
    /// Description.
    pub description: String,
}

/// A variable that scopes and `[ref]` share.
#[derive(Debug, Default)]
pub struct VariableCell(RwLock<Variable>);

impl VariableCell {
    /// Wraps a variable.
    pub fn new(variable: Variable) -> Arc<Self> {
        Arc::new(Self(RwLock::new(variable)))
    }

    /// Its value.
    pub fn get(&self) -> Value {
        self.0.read().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    /// Sets the value, without conversion or checks.
    pub fn set(&self, value: Value) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).value = value;
    }

    /// Looks at the whole variable.
    pub fn with<R>(&self, body: impl FnOnce(&mut Variable) -> R) -> R {
        body(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An alias.
#[derive(Clone, Debug)]
pub struct Alias {
    /// Name.
    pub name: String,
    /// What it stands for.
    pub target: String,
    /// Options.
    pub options: ItemOptions,
    /// Description.
    pub description: String,
    /// Module it was imported from.
    pub module: String,
}

/// What a scope holds.
#[derive(Debug, Default)]
pub struct ScopeData {
    /// By folded name.
    pub variables: HashMap<String, Arc<VariableCell>>,
    /// By folded name.
    pub functions: HashMap<String, Arc<FunctionInfo>>,
    /// By folded name.
    pub aliases: HashMap<String, Arc<Alias>>,
    /// `Set-StrictMode`: major version; 0 off.
    pub strict: Option<u32>,
}

/// A scope, linked to the one that encloses it.
#[derive(Debug, Default)]
pub struct Scope {
    parent: Option<Arc<Scope>>,
    data: Mutex<ScopeData>,
    /// A script file's or module's own scope: what `$script:` means.
    pub is_script: bool,
    /// The module whose code runs in this scope.
    pub module: Option<Arc<Module>>,
}

impl Scope {
    /// A scope without parent.
    pub fn global() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A scope inside another one.
    pub fn inside(parent: &Arc<Scope>, is_script: bool, module: Option<Arc<Module>>) -> Arc<Self> {
        Arc::new(Self { parent: Some(parent.clone()), data: Mutex::default(), is_script, module })
    }

    /// The enclosing scope.
    pub fn parent(&self) -> Option<&Arc<Scope>> {
        self.parent.as_ref()
    }

    /// The contents; hold it briefly.
    pub fn data(&self) -> MutexGuard<'_, ScopeData> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The variable of that name in this scope.
    pub fn variable(&self, name: &str) -> Option<Arc<VariableCell>> {
        self.data().variables.get(&fold_case(name)).cloned()
    }

    /// Adds or replaces a variable.
    pub fn insert(&self, name: &str, cell: Arc<VariableCell>) {
        self.data().variables.insert(fold_case(name), cell);
    }

    /// Sets a variable here, without checks.
    pub fn set(&self, name: &str, value: Value) {
        let existing = self.variable(name);
        match existing {
            Some(cell) => cell.set(value),
            None => self.insert(
                name,
                VariableCell::new(Variable { name: name.to_string(), value, ..Variable::default() }),
            ),
        }
    }
}

impl Drop for Scope {
    /// Unlinks long chains one by one, so that deep recursion does not recurse here too.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(scope) = parent {
            match Arc::try_unwrap(scope) {
                Ok(mut scope) => parent = scope.parent.take(),
                Err(_) => break,
            }
        }
    }
}

/// A module, or the private state of a closure.
#[derive(Debug, Default)]
pub struct Module {
    /// Name.
    pub name: String,
    /// Path of its file; empty for a dynamic module.
    pub path: String,
    /// Its own scope (child of global); set once.
    pub scope: std::sync::OnceLock<Arc<Scope>>,
    /// Exports and other data, changed while it loads.
    pub data: RwLock<ModuleData>,
    /// Whether it is a closure's state and not a module a user sees.
    pub is_closure: bool,
}

/// What a module exports.
#[derive(Clone, Debug, Default)]
pub struct ModuleData {
    /// Function patterns; none: all.
    pub functions: Option<Vec<String>>,
    /// Variable patterns.
    pub variables: Vec<String>,
    /// Alias patterns.
    pub aliases: Vec<String>,
    /// `Export-ModuleMember` was called.
    pub explicit: bool,
    /// Version.
    pub version: String,
    /// Description.
    pub description: String,
    /// Modules loaded by it.
    pub nested: Vec<Arc<Module>>,
    /// Names actually exported, after import.
    pub exported_functions: Vec<String>,
    /// Names actually exported, after import.
    pub exported_aliases: Vec<String>,
    /// `OnRemove`.
    pub on_remove: Value,
}

impl Module {
    /// The module's scope; the module keeps it alive.
    pub fn scope(&self) -> Option<&Arc<Scope>> {
        self.scope.get()
    }
}
