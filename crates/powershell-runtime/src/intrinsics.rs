//! `$ExecutionContext.SessionState` and `$ExecutionContext.InvokeCommand`.

use std::any::Any;

use crate::value::{Callbacks, Error, NativeObject, TypeRef, Value};

/// `SessionState`.
#[derive(Debug)]
pub struct SessionState;

impl NativeObject for SessionState {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.SessionState")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `CommandInvocationIntrinsics`.
#[derive(Debug)]
pub struct InvokeCommand;

impl NativeObject for InvokeCommand {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.CommandInvocationIntrinsics")
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        match name.to_ascii_lowercase().as_str() {
            "expandstring" => {
                let text = args.first().and_then(Value::as_str).unwrap_or("").to_string();
                Some(engine.expand_string(&text).map(Value::from))
            }
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
