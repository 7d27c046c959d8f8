//! .NET-shaped objects, script blocks, and what values need from the engine around them.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Error, TypeRef, Value, type_hierarchy};

/// A .NET-shaped object that is not one of the built-in kinds.
pub trait NativeObject: Any + Debug + Send + Sync {
    /// The .NET type.
    fn type_ref(&self) -> TypeRef;

    /// `PSObject.TypeNames`.
    fn type_names(&self) -> Vec<Arc<str>> {
        type_hierarchy(&self.type_ref())
    }

    /// `ToString()`.
    fn text(&self) -> String {
        self.type_ref().full_name().to_owned()
    }

    /// Names of the public properties, in the order they are shown.
    fn properties(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Names of all properties, those that are not shown by default as well.
    fn all_properties(&self) -> Vec<Arc<str>> {
        self.properties()
    }

    /// Reads a property, found without case; `None` when there is none of that name.
    fn get(&self, _name: &str) -> Option<Result<Value, Error>> {
        None
    }

    /// Writes a property; `None` when there is none of that name.
    fn set(&self, _name: &str, _value: Value) -> Option<Result<(), Error>> {
        None
    }

    /// Calls a method; `None` when there is none of that name.
    fn invoke(
        &self,
        _name: &str,
        _args: &[Value],
        _engine: &mut dyn Callbacks,
    ) -> Option<Result<Value, Error>> {
        None
    }

    /// The items of an enumerable object.
    fn enumerate(&self) -> Option<Vec<Value>> {
        None
    }

    /// Member data for `Get-Member`, beyond what [`properties`](Self::properties) tells.
    fn members(&self) -> Vec<MemberInfo> {
        Vec::new()
    }

    /// Value equality (`Equals`) beyond identity.
    fn equals(&self, _other: &dyn NativeObject) -> bool {
        false
    }

    /// Ordering, for `IComparable` types.
    fn compare(&self, _other: &Value) -> Option<std::cmp::Ordering> {
        None
    }

    /// A text that equal objects share, when the type has value equality.
    fn hash_key(&self) -> Option<String> {
        None
    }

    /// `IFormattable.ToString(format)`.
    fn format(&self, _format: &str) -> Option<Result<String, Error>> {
        None
    }

    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
}

/// What a name stands for in `Get-Member`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MemberType {
    AliasProperty,
    CodeProperty,
    Event,
    MemberSet,
    Method,
    NoteProperty,
    ParameterizedProperty,
    Property,
    PropertySet,
    ScriptMethod,
    ScriptProperty,
}

/// One row of `Get-Member`.
#[derive(Clone, Debug)]
pub struct MemberInfo {
    /// The member's name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: MemberType,
    /// The definition column, such as `int Length {get;}`.
    pub definition: String,
}

/// A script block, as values see it; the evaluator implements it.
pub trait ScriptBlockObject: Any + Debug + Send + Sync {
    /// The text between the braces.
    fn text(&self) -> &str;

    /// Reads a property such as `File` or `Ast`.
    fn get(&self, _name: &str) -> Option<Value> {
        None
    }

    /// For downcasts by the evaluator.
    fn as_any(&self) -> &dyn Any;
}

/// How a script block is called from a value: by a script property, a `-replace` block, `.ForEach{}`…
#[derive(Clone, Debug, Default)]
pub struct ScriptCall {
    /// `$_` (and `$PSItem`).
    pub underscore: Option<Value>,
    /// `$this`.
    pub this: Option<Value>,
    /// `$args`, or values for the block's parameters.
    pub arguments: Vec<Value>,
    /// Further variables of the block's scope.
    pub variables: Vec<(String, Value)>,
    /// Run in the caller's scope, as `ForEach-Object` does, instead of a new one.
    pub in_caller_scope: bool,
}

/// What values, conversions and members need from the engine around them.
pub trait Callbacks {
    /// Runs a script block and returns its output.
    fn call_script(&mut self, block: &Value, call: ScriptCall) -> Result<Vec<Value>, Error>;

    /// Clock, randomness, environment.
    fn system(&self) -> &dyn System;

    /// Finds a type that scripts or other crates have added (classes, enums, file types).
    fn find_type(&mut self, _name: &str) -> Option<TypeRef> {
        None
    }

    /// Reads a static member of a type that scripts or other crates have added.
    fn static_get(&mut self, _kind: &TypeRef, _name: &str) -> Option<Result<Value, Error>> {
        None
    }

    /// Writes a static member of a type that scripts or other crates have added.
    fn static_set(&mut self, _kind: &TypeRef, _name: &str, _value: &Value) -> Option<Result<(), Error>> {
        None
    }

    /// Calls a static method, or the constructor (`new`), of a type that scripts or other crates have added.
    fn static_invoke(
        &mut self,
        _kind: &TypeRef,
        _name: &str,
        _args: &[Value],
    ) -> Option<Result<Value, Error>> {
        None
    }

    /// Members that type data (`Update-TypeData`) adds to a type name.
    fn type_data_member(&mut self, _type_names: &[Arc<str>], _name: &str) -> Option<super::MemberKind> {
        None
    }

    /// Writes to the host: `action` is `write`, `line`, `warning`, `verbose`, `debug` or `error`.
    fn host_write(&mut self, _action: &str, _text: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Expands variables and sub-expressions in a text.
    fn expand_string(&mut self, text: &str) -> Result<String, Error> {
        Ok(text.to_owned())
    }

    /// A method of a part of `$ExecutionContext`: `variable`, `path` or `command`.
    fn session_method(&mut self, _part: &str, _name: &str, _args: &[Value]) -> Option<Result<Value, Error>> {
        None
    }

    /// The text of an object whose class has a `ToString` of its own, written in script.
    fn object_text(&mut self, _value: &Value) -> Option<Result<String, Error>> {
        None
    }

    /// Whether two objects are equal by an `Equals` written in script.
    fn object_equals(&mut self, _left: &Value, _right: &Value) -> Option<bool> {
        None
    }

    /// `$OFS`, the separator between the items of an array in a string.
    fn output_field_separator(&mut self) -> String {
        " ".to_owned()
    }
}

/// Clock, randomness and environment, handed in from outside.
pub trait System: Send + Sync {
    /// The time now.
    fn now(&self) -> SystemTime;

    /// The local offset from UTC at a time, in seconds east.
    fn utc_offset(&self, _at: SystemTime) -> i32 {
        0
    }

    /// Time since some fixed moment, for stopwatches.
    fn monotonic(&self) -> std::time::Duration;

    /// Fills a buffer with random bytes.
    fn random(&self, buffer: &mut [u8]);

    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
}
