//! Small objects the session shows: stream records, `$Host`, `$ExecutionContext`.

use std::any::Any;
use std::sync::Arc;

use crate::runspace::Runspace;
use crate::value::{Callbacks, Error, NativeObject, PsObject, TypeRef, Value, type_hierarchy};

/// A warning, verbose or debug record.
#[derive(Debug)]
pub struct Informational {
    /// Full type name.
    pub type_name: String,
    /// The message.
    pub text: String,
}

impl NativeObject for Informational {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named(&self.type_name)
    }

    fn text(&self) -> String {
        self.text.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        ["Message", "InvocationInfo", "PipelineIterationInfo"].into_iter().map(Arc::from).collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        match name.to_ascii_lowercase().as_str() {
            "message" => Some(Ok(Value::string(&self.text))),
            "invocationinfo" | "pipelineiterationinfo" => Some(Ok(Value::Null)),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An information record.
#[derive(Debug)]
pub struct InformationRecord {
    /// Its properties.
    pub object: Arc<PsObject>,
    /// Its text.
    pub text: Value,
}

impl NativeObject for InformationRecord {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.InformationRecord")
    }

    fn type_names(&self) -> Vec<Arc<str>> {
        type_hierarchy(&self.type_ref())
    }

    fn text(&self) -> String {
        self.text.as_str().unwrap_or("").to_string()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        self.object.members().into_iter().map(|m| m.name).collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        self.object.note(name).map(Ok)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `$Host`.
pub(crate) fn host_object(runspace: &Runspace) -> Value {
    Value::custom_typed(
        "System.Management.Automation.Internal.Host.InternalHost",
        [
            ("Name", Value::string(runspace.host.name())),
            ("Version", crate::ops::semantic_version("7.6.5")),
            ("InstanceId", Value::Guid(crate::value::Uuid::nil())),
            ("UI", Value::native(HostUi)),
            ("CurrentCulture", Value::string("en-US")),
            ("CurrentUICulture", Value::string("en-US")),
            ("PrivateData", Value::Null),
            ("DebuggerEnabled", Value::Bool(true)),
            ("IsRunspacePushed", Value::Bool(false)),
            ("Runspace", Value::Null),
        ],
    )
}

/// `$Host.UI`.
#[derive(Debug)]
struct HostUi;

impl NativeObject for HostUi {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.Internal.Host.InternalHostUserInterface")
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        let action = match name.to_ascii_lowercase().as_str() {
            "write" => "write",
            "writeline" => "line",
            "writewarningline" => "warning",
            "writeverboseline" => "verbose",
            "writedebugline" => "debug",
            "writeerrorline" => "error",
            _ => return None,
        };
        let text = args.last().map(|v| v.as_str().unwrap_or("").to_string()).unwrap_or_default();
        Some(engine.host_write(action, &text).map(|()| Value::Empty))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `$ExecutionContext`.
pub(crate) fn execution_context(_runspace: &Runspace) -> Value {
    Value::custom_typed(
        "System.Management.Automation.EngineIntrinsics",
        [
            ("SessionState", Value::native(crate::intrinsics::SessionState)),
            ("InvokeCommand", Value::native(crate::intrinsics::InvokeCommand)),
        ],
    )
}
