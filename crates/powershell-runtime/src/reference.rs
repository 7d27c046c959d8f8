//! `[ref]`.

use std::any::Any;
use std::sync::Arc;

use crate::scope::VariableCell;
use crate::value::{Error, NativeObject, TypeRef, Value};

/// `PSReference`: a variable that can be read and set through `Value`.
#[derive(Debug)]
pub struct Reference(pub Arc<VariableCell>);

impl NativeObject for Reference {
    fn type_ref(&self) -> TypeRef {
        TypeRef::generic(
            "System.Management.Automation.PSReference",
            vec![self.0.get().type_ref().unwrap_or_else(TypeRef::object)],
        )
    }

    fn properties(&self) -> Vec<Arc<str>> {
        vec![Arc::from("Value")]
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        name.eq_ignore_ascii_case("Value").then(|| Ok(self.0.get()))
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
