//! `$ExecutionContext`, `$PSCmdlet` and `$MyInvocation`.

use std::any::Any;
use std::sync::{Arc, Mutex};

use crate::flow::{Flow, Run};
use crate::function::ScriptBlock;
use crate::invocation::Invocation;
use crate::runspace::Runspace;
use crate::value::{Callbacks, Error, ErrorRecord, InvocationInfo, NativeObject, TypeRef, Value};

/// The block behind a function's or script's info object.
pub(crate) fn block_of_command(value: &Value) -> Option<Arc<ScriptBlock>> {
    match value.base() {
        Value::Native(n) => n.as_any().downcast_ref::<crate::resolve::CommandObject>()?.block.clone(),
        _ => None,
    }
}

/// `$MyInvocation` and `InvocationInfo` objects.
#[derive(Debug)]
pub struct MyInvocation(pub Arc<InvocationInfo>);

impl NativeObject for MyInvocation {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.InvocationInfo")
    }

    fn properties(&self) -> Vec<Arc<str>> {
        [
            "MyCommand",
            "BoundParameters",
            "UnboundArguments",
            "ScriptLineNumber",
            "OffsetInLine",
            "HistoryId",
            "ScriptName",
            "Line",
            "Statement",
            "PositionMessage",
            "PSScriptRoot",
            "PSCommandPath",
            "InvocationName",
            "PipelineLength",
            "PipelinePosition",
            "ExpectingInput",
            "CommandOrigin",
            "DisplayScriptPosition",
        ]
        .into_iter()
        .map(Arc::from)
        .collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let i = &self.0;
        let number = |n: u32| Value::Int32(i32::try_from(n).unwrap_or(i32::MAX));
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "mycommand" => i.my_command.clone(),
            "boundparameters" => i.bound_parameters.clone(),
            "unboundarguments" => i.unbound_arguments.clone(),
            "scriptlinenumber" => number(i.script_line_number),
            "offsetinline" => number(i.offset_in_line),
            "historyid" => Value::Int64(1),
            "scriptname" => Value::string(&i.script_name),
            "line" => Value::string(format!("{}\n", i.line)),
            "statement" => Value::string(&i.statement),
            "positionmessage" => Value::string(&i.position_message),
            "psscriptroot" => Value::string(&i.script_root),
            "pscommandpath" => Value::string(&i.command_path),
            "invocationname" => Value::string(&i.invocation_name),
            "pipelinelength" => number(i.pipeline_length),
            "pipelineposition" => number(i.pipeline_position),
            "expectinginput" => Value::Bool(i.pipeline_position > 1),
            "commandorigin" => Value::string("Internal"),
            "displayscriptposition" => Value::Null,
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `$PSCmdlet` of an advanced function.
#[derive(Debug)]
pub struct ScriptCmdlet {
    pub(crate) call: Mutex<Invocation>,
}

impl ScriptCmdlet {
    pub(crate) fn new(call: &Invocation) -> Self {
        Self {
            call: Mutex::new(Invocation {
                spans: Vec::new(),
                open_sets: Vec::new(),
                info: call.info.clone(),
                bound: call.bound.clone(),
                unbound: Vec::new(),
                set_name: call.set_name.clone(),
                common: call.common.clone(),
                error_suffix: call.error_suffix.clone(),
                pipeline_id: call.pipeline_id,
                input: None,
                expects_input: call.expects_input,
                targets: call.targets.clone(),
                high_impact: call.high_impact,
                should_process: call.should_process,
            }),
        }
    }
}

impl NativeObject for ScriptCmdlet {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PSScriptCmdlet")
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let call = self.call.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "parametersetname" => Value::string(call.set_name.as_deref().unwrap_or("__AllParameterSets")),
            "myinvocation" => crate::ops::invocation_value(&call.info),
            "sessionstate" => Value::native(SessionState),
            "invokecommand" => Value::native(InvokeCommand),
            "commandruntime" => Value::string(&call.info.invocation_name),
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Runspace {
    /// A method of `$PSCmdlet`.
    pub(crate) fn script_cmdlet_method(
        &mut self,
        cmdlet: &ScriptCmdlet,
        name: &str,
        args: &[Value],
    ) -> Option<Run<Value>> {
        let mut call = cmdlet.call.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = args.first().cloned().unwrap_or_default();
        let mut sink = crate::flow::NullSink;
        let text = |this: &mut Self, i: usize| args.get(i).map(|v| this.to_text(v)).unwrap_or_default();
        Some(match name.to_ascii_lowercase().as_str() {
            "writeerror" => match record_of(&first) {
                Some(record) => self.write_error_from(&mut call, record, &mut sink).map(|()| Value::Empty),
                None => return None,
            },
            "throwterminatingerror" => match record_of(&first) {
                Some(record) => {
                    call.complete_record(&record);
                    Err(Flow::Leave(Error::from_record(record)))
                }
                None => return None,
            },
            "writewarning" => {
                let t = text(self, 0);
                self.write_warning_from(&mut call, &t, &mut sink).map(|()| Value::Empty)
            }
            "writeverbose" => {
                let t = text(self, 0);
                self.write_verbose_from(&mut call, &t, &mut sink).map(|()| Value::Empty)
            }
            "writedebug" => {
                let t = text(self, 0);
                self.write_debug_from(&mut call, &t, &mut sink).map(|()| Value::Empty)
            }
            "writeinformation" => {
                let tags: Vec<String> = match args.get(1) {
                    Some(v) => v.clone().into_items().iter().map(|t| self.to_text(t)).collect(),
                    None => Vec::new(),
                };
                self.write_information_from(&mut call, first, &tags, None, &mut sink).map(|()| Value::Empty)
            }
            "writeobject" => {
                let enumerate = args.get(1).is_some_and(|v| self.is_true(v));
                if enumerate { Ok(first) } else { Ok(Value::array(vec![first])) }
            }
            "shouldprocess" => {
                let (message, query) = match args.len() {
                    0 | 1 => {
                        let target = text(self, 0);
                        let action = call.activity();
                        let m = format!("Performing the operation \"{action}\" on target \"{target}\".");
                        (m.clone(), m)
                    }
                    2 => {
                        let m = format!(
                            "Performing the operation \"{}\" on target \"{}\".",
                            text(self, 1),
                            text(self, 0)
                        );
                        (m.clone(), m)
                    }
                    _ => (text(self, 0), text(self, 1)),
                };
                self.should_process(&call, &message, &query).map(Value::Bool)
            }
            "shouldcontinue" => {
                let (query, caption) = (text(self, 0), text(self, 1));
                let choices = ["&Yes", "&No", "&Suspend"]
                    .map(|l| crate::host::Choice { label: l.into(), help: String::new() });
                match self.host.prompt_for_choice(&caption, &query, &choices, 0) {
                    Ok(n) => Ok(Value::Bool(n == 0)),
                    Err(e) => Err(Flow::Error(crate::ops::method_failure(&e, "ShouldContinue", args.len()))),
                }
            }
            "getvariablevalue" => {
                let t = text(self, 0);
                Ok(self.get_variable(&t).unwrap_or_else(|| args.get(1).cloned().unwrap_or_default()))
            }
            "getunresolvedproviderpathfrompspath" => {
                let t = text(self, 0);
                Ok(Value::from(self.full_path(&t)))
            }
            _ => return None,
        })
    }
}

/// The record in an argument of `WriteError` or `ThrowTerminatingError`.
pub(crate) fn record_of(value: &Value) -> Option<Arc<ErrorRecord>> {
    match value.base() {
        Value::ErrorRecord(r) => Some(r.clone()),
        _ => None,
    }
}

/// `SessionState`.
#[derive(Debug)]
pub struct SessionState;

impl NativeObject for SessionState {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.SessionState")
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        match name.to_ascii_lowercase().as_str() {
            "psvariable" => Some(Ok(Value::native(VariableIntrinsics))),
            "path" => Some(Ok(Value::native(PathIntrinsics))),
            "invokecommand" => Some(Ok(Value::native(InvokeCommand))),
            "languagemode" => Some(Ok(Value::string("FullLanguage"))),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `$ExecutionContext.SessionState.PSVariable`.
#[derive(Debug)]
struct VariableIntrinsics;

impl NativeObject for VariableIntrinsics {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PSVariableIntrinsics")
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        engine.session_method("variable", name, args)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `$ExecutionContext.SessionState.Path`.
#[derive(Debug)]
struct PathIntrinsics;

impl NativeObject for PathIntrinsics {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.Management.Automation.PathIntrinsics")
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        engine.session_method("path", name, args)
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
            _ => engine.session_method("command", name, args),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
