//! Script blocks and functions: metadata, scopes, binding, running.

use std::sync::Arc;

use hop_powershell_syntax::Span;
use hop_powershell_syntax::ast::{self, Attribute, CommandElement, ExprKind, NamedBlock};

use crate::binder::{BindError, Bound, Declared};
use crate::command::{ParameterInfo, SetMembership, Validator};
use crate::flow::{Flow, Run, Sink};
use crate::function::{BlockMetadata, ScriptBlock};
use crate::invocation::Invocation;
use crate::runspace::{CommandCall, Frame, Runspace, State};
use crate::scope::{Scope, Variable, VariableCell};
use crate::value::{InvocationInfo, PsDict, TypeRef, Value};

/// An argument of a command, evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Named {
        name: String,
        value: Option<Value>,
        /// Where the name stands.
        span: Option<Span>,
        splatted: bool,
    },
    Positional {
        value: Value,
        span: Option<Span>,
    },
}

/// A script block or function being run.
pub(crate) struct ScriptRun {
    pub block: Arc<ScriptBlock>,
    pub metadata: Arc<BlockMetadata>,
    pub state: State,
    pub input: Vec<Value>,
    pub bound: Vec<(Arc<str>, Value)>,
    /// Runs in the caller's scope: nothing is set up or torn down.
    pub dotted: bool,
}

impl Runspace {
    /// Evaluates a command's arguments.
    pub(crate) fn evaluate_args(&mut self, elements: &[CommandElement]) -> Run<Vec<Arg>> {
        let mut args = Vec::with_capacity(elements.len());
        let mut only_arguments = false;
        for element in elements {
            match element {
                CommandElement::Parameter { name, argument, name_span, .. } => {
                    let value = match argument {
                        Some(e) => Some(self.eval(e)?),
                        None => None,
                    };
                    args.push(Arg::Named {
                        name: name.clone(),
                        value,
                        span: Some(*name_span),
                        splatted: false,
                    });
                }
                CommandElement::Argument(e) => match &e.kind {
                    ExprKind::Variable { splatted: true, .. } => {
                        let value = self.eval(e)?;
                        self.splat(&value, &mut args);
                    }
                    ExprKind::Using(inner)
                        if matches!(&inner.kind, ExprKind::Variable { splatted: true, .. }) =>
                    {
                        let value = self.eval(e)?;
                        self.splat(&value, &mut args);
                    }
                    ExprKind::String(s, ast::Quote::Bare) if s == "--" && !only_arguments => {
                        only_arguments = true;
                    }
                    _ => {
                        let value = self.eval(e)?;
                        args.push(Arg::Positional { value, span: Some(e.span) });
                    }
                },
                CommandElement::Verbatim(text) => {
                    args.push(Arg::Positional { value: Value::string(text), span: None });
                }
            }
        }
        Ok(args)
    }

    fn splat(&mut self, value: &Value, args: &mut Vec<Arg>) {
        match value.base() {
            Value::Dict(dict) => {
                for (key, value) in dict.entries() {
                    let name = self.to_text(&key);
                    args.push(Arg::Named { name, value: Some(value), span: None, splatted: true });
                }
            }
            Value::Null | Value::Empty => {}
            other => {
                for value in other.clone().into_items() {
                    // `@args` keeps parameter names it was given.
                    if let Value::Object(o) = &value
                        && let Some(name) = o.note(PARAMETER_NAME)
                    {
                        let name = self.to_text(&name);
                        args.push(Arg::Named { name, value: None, span: None, splatted: true });
                        continue;
                    }
                    args.push(Arg::Positional { value, span: None });
                }
            }
        }
    }

    /// What binding needs to know of a block.
    pub(crate) fn metadata(&mut self, block: &Arc<ScriptBlock>) -> Run<Arc<BlockMetadata>> {
        if let Some(m) = block.metadata.get() {
            return Ok(m.clone());
        }
        let mut metadata = BlockMetadata { positional: true, confirm_impact: 2, ..BlockMetadata::default() };
        let attributes = block.ast.param_block.as_ref().map_or(&[][..], |p| &p.attributes);
        for attribute in attributes {
            let name = attribute.type_name.name.to_ascii_lowercase();
            match name.trim_end_matches("attribute") {
                "cmdletbinding" | "system.management.automation.cmdletbinding" => {
                    metadata.advanced = true;
                    for (name, value) in &attribute.named {
                        let value = match value {
                            Some(e) => self.eval(e)?,
                            None => Value::Bool(true),
                        };
                        match name.to_ascii_lowercase().as_str() {
                            "supportsshouldprocess" => metadata.should_process = self.is_true(&value),
                            "defaultparametersetname" => {
                                metadata.default_set = Some(Arc::from(self.to_text(&value)));
                            }
                            "positionalbinding" => metadata.positional = self.is_true(&value),
                            "confirmimpact" => {
                                metadata.confirm_impact =
                                    match self.to_text(&value).to_ascii_lowercase().as_str() {
                                        "none" => 0,
                                        "low" => 1,
                                        "high" => 3,
                                        _ => 2,
                                    };
                            }
                            _ => {}
                        }
                    }
                }
                "alias" => {
                    for e in &attribute.positional {
                        let value = self.eval(e)?;
                        for v in value.into_items() {
                            metadata.aliases.push(self.to_text(&v));
                        }
                    }
                }
                "outputtype" => {
                    for e in &attribute.positional {
                        if let Ok(value) = self.eval(e) {
                            for v in value.into_items() {
                                metadata.output_types.push(self.to_text(&v));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for p in block.parameters() {
            let info = self.parameter_info(p, &mut metadata.advanced)?;
            metadata.parameters.push(info);
        }
        // Without explicit positions, parameters have the positions they are written in.
        let explicit = metadata.parameters.iter().any(|p| p.sets.iter().any(|m| m.position.is_some()));
        if !explicit && (metadata.positional || !metadata.advanced) {
            let mut next = 0;
            for p in &mut metadata.parameters {
                if p.is_switch() || p.sets.iter().any(|m| m.from_remaining) {
                    continue;
                }
                for m in &mut p.sets {
                    m.position = Some(next);
                }
                next += 1;
            }
        }
        let metadata = Arc::new(metadata);
        let _ = block.metadata.set(metadata.clone());
        Ok(metadata)
    }

    fn parameter_info(&mut self, p: &ast::Parameter, advanced: &mut bool) -> Run<ParameterInfo> {
        let mut info = ParameterInfo::new(&p.name, "object");
        info.typed = false;
        info.from_script = true;
        let mut sets: Vec<SetMembership> = Vec::new();
        for attribute in &p.attributes {
            if attribute.is_type {
                if !info.typed {
                    info.type_ref = self.resolve_type(&attribute.type_name).map_err(Flow::Error)?;
                    info.typed = true;
                }
                continue;
            }
            let lower = attribute.type_name.name.to_ascii_lowercase();
            let short = lower.rsplit('.').next().unwrap_or("").trim_end_matches("attribute").to_string();
            match short.as_str() {
                "parameter" => {
                    *advanced = true;
                    let mut m = SetMembership::default();
                    for (name, value) in &attribute.named {
                        let value = match value {
                            Some(e) => self.eval(e)?,
                            None => Value::Bool(true),
                        };
                        match name.to_ascii_lowercase().as_str() {
                            "mandatory" => m.mandatory = self.is_true(&value),
                            "position" => {
                                m.position =
                                    value.as_integer().and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0)
                            }
                            "valuefrompipeline" => m.from_pipeline = self.is_true(&value),
                            "valuefrompipelinebypropertyname" => m.from_property = self.is_true(&value),
                            "valuefromremainingarguments" => m.from_remaining = self.is_true(&value),
                            "parametersetname" => m.set = Some(Arc::from(self.to_text(&value))),
                            "helpmessage" => m.help = Some(Arc::from(self.to_text(&value))),
                            "dontshow" => info.hidden = self.is_true(&value),
                            _ => {}
                        }
                    }
                    sets.push(m);
                }
                "alias" => {
                    for e in &attribute.positional {
                        let value = self.eval(e)?;
                        for v in value.into_items() {
                            let text = self.to_text(&v);
                            info.aliases.push(Arc::from(text));
                        }
                    }
                }
                "allownull" => info.allow_null = true,
                "allowemptystring" => info.allow_empty_string = true,
                "allowemptycollection" => info.allow_empty_collection = true,
                _ => info.validators.extend(self.validator_of(attribute)?),
            }
        }
        if !sets.is_empty() {
            info.sets = sets;
        }
        Ok(info)
    }

    /// The check an attribute asks for, if it is one.
    pub(crate) fn validator_of(&mut self, attribute: &Attribute) -> Run<Option<Validator>> {
        let lower = attribute.type_name.name.to_ascii_lowercase();
        let short = lower.rsplit('.').next().unwrap_or("").trim_end_matches("attribute");
        if !short.starts_with("validate") {
            return Ok(None);
        }
        let mut values = Vec::new();
        for e in &attribute.positional {
            values.push(self.eval(e)?);
        }
        let mut ignore_case = true;
        let mut message = None;
        for (name, value) in &attribute.named {
            let Some(e) = value else { continue };
            let value = self.eval(e)?;
            match name.to_ascii_lowercase().as_str() {
                "ignorecase" => ignore_case = self.is_true(&value),
                "errormessage" => message = Some(Arc::from(self.to_text(&value))),
                _ => {}
            }
        }
        let number = |i: usize| {
            values.get(i).and_then(Value::as_integer).and_then(|n| i64::try_from(n).ok()).unwrap_or(0)
        };
        Ok(Some(match short {
            "validateset" => {
                let mut texts = Vec::new();
                for v in values.iter().cloned().flat_map(Value::into_items) {
                    texts.push(Arc::from(self.to_text(&v)));
                }
                Validator::Set(texts, ignore_case, message)
            }
            "validaterange" => match values.as_slice() {
                [kind] => Validator::RangeKind(Arc::from(self.to_text(kind))),
                [low, high, ..] => Validator::Range(low.clone(), high.clone()),
                [] => return Ok(None),
            },
            "validatelength" => Validator::Length(number(0), number(1)),
            "validatecount" => Validator::Count(number(0), number(1)),
            "validatepattern" => {
                let pattern = values.first().cloned().unwrap_or_default();
                Validator::Pattern(Arc::from(self.to_text(&pattern)), true, message)
            }
            "validatescript" => Validator::Script(values.first().cloned().unwrap_or_default(), message),
            "validatenotnull" => Validator::NotNull,
            "validatenotnullorempty" => Validator::NotNullOrEmpty,
            "validatenotnullorwhitespace" => Validator::NotNullOrWhiteSpace,
            _ => return Ok(None),
        }))
    }

    /// Prepares a block: scope, frame, bound parameters, automatic variables.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn start_script(
        &mut self,
        block: &Arc<ScriptBlock>,
        name: &str,
        args: Vec<Arg>,
        dotted: bool,
        is_file: bool,
        call: &mut Invocation,
    ) -> Result<ScriptRun, (Flow, Option<Span>)> {
        let caller = self.state.clone();
        let module = block.module.clone();
        let parent = match &module {
            // A module's function sees its module, not its caller.
            Some(m) if !same_module(module.as_ref(), caller.scope.module.as_ref()) => {
                m.scope().cloned().unwrap_or_else(|| caller.scope.clone())
            }
            None if caller.scope.module.is_some() && !dotted => {
                // Back in the global session state.
                self.outside_modules(&caller.scope)
            }
            _ => caller.scope.clone(),
        };
        let scope = if dotted {
            parent.clone()
        } else {
            Scope::inside(&parent, is_file, module.clone().or_else(|| parent.module.clone()))
        };
        let frame = Arc::new(Frame {
            parent: Some(caller.frame.clone()),
            info: call.info.clone(),
            name: if name.is_empty() { "<ScriptBlock>".to_string() } else { name.to_string() },
            source: block.ast.source.clone(),
            advanced: false,
            method: None,
        });
        let mut state = State {
            scope,
            frame,
            targets: call.targets.clone(),
            propagate: caller.propagate,
            collectors: caller.collectors.clone(),
        };
        self.state = state.clone();
        let metadata = match self.metadata(block) {
            Ok(m) => m,
            Err(f) => {
                self.state = caller;
                return Err((f, None));
            }
        };
        if metadata.advanced {
            let frame = Frame {
                parent: state.frame.parent.clone(),
                info: state.frame.info.clone(),
                name: state.frame.name.clone(),
                source: state.frame.source.clone(),
                advanced: true,
                method: None,
            };
            state.frame = Arc::new(frame);
            self.state = state.clone();
        }
        let declared = Declared {
            parameters: &metadata.parameters,
            default_set: metadata.default_set.as_deref(),
            advanced: metadata.advanced,
            should_process: metadata.should_process,
        };
        // Arguments are converted in the caller's scope.
        self.state.scope = caller.scope.clone();
        let bound: Result<Bound, BindError> = self.bind(name, &declared, args, call.expects_input);
        self.state.scope = state.scope.clone();
        let bound = match bound {
            Ok(b) => b,
            Err((e, span)) => {
                self.state = caller;
                return Err((Flow::Error(e), span));
            }
        };
        call.common = bound.common.clone();
        call.set_name = bound.set_name.clone();
        call.open_sets.clone_from(&bound.open_sets);
        call.bound = bound.values.clone();
        call.unbound = bound.rest.clone();
        call.should_process = metadata.should_process;
        call.high_impact = metadata.confirm_impact >= 3;
        let result = self.define_locals(block, &metadata, &bound, call, &state, dotted);
        let mut run = ScriptRun {
            block: block.clone(),
            metadata,
            state,
            input: Vec::new(),
            bound: bound.values,
            dotted,
        };
        self.state = caller;
        match result {
            Ok(()) => {
                self.start_collecting(&call.common);
                if let Some(name) = &call.common.error_variable {
                    run.state.collectors.push((self.state.scope.clone(), name.clone()));
                    // What the function itself writes is collected with what it calls.
                    call.common.error_variable = None;
                }
                Ok(run)
            }
            Err(f) => Err((f, None)),
        }
    }

    fn outside_modules(&self, scope: &Arc<Scope>) -> Arc<Scope> {
        let mut current = scope.clone();
        while current.module.is_some() {
            match current.parent() {
                Some(p) => current = p.clone(),
                None => break,
            }
        }
        current
    }

    fn define_locals(
        &mut self,
        block: &Arc<ScriptBlock>,
        metadata: &BlockMetadata,
        bound: &Bound,
        call: &mut Invocation,
        state: &State,
        dotted: bool,
    ) -> Run {
        let scope = &state.scope;
        let parameters = Value::Dict(Arc::new(PsDict::new(
            crate::value::DictKind::Other(TypeRef::named(
                "System.Management.Automation.PSBoundParametersDictionary",
            )),
            true,
        )));
        if let Value::Dict(d) = &parameters {
            for (name, value) in &bound.values {
                d.insert_str(name, value.clone());
            }
        }
        if dotted && block.ast.param_block.is_some() {
            scope.set("PSBoundParameters", parameters.clone());
        }
        if !dotted {
            scope.set("input", Value::array(Vec::new()));
            scope.set("PSBoundParameters", parameters.clone());
            if !metadata.advanced {
                scope.set("args", Value::array(bound.rest.clone()));
            }
        } else if !bound.rest.is_empty() {
            scope.set("args", Value::array(bound.rest.clone()));
        }
        let mut info = (*call.info).clone();
        info.bound_parameters = parameters;
        info.unbound_arguments = Value::List(Arc::new(crate::value::PsList::array_list(bound.rest.clone())));
        let info = Arc::new(info);
        call.info = info.clone();
        scope.set("MyInvocation", crate::ops::invocation_value(&info));
        if metadata.advanced {
            scope.set("PSCmdlet", Value::native(crate::intrinsics::ScriptCmdlet::new(call)));
            let c = &call.common;
            let preference = |name: &str, on: Option<crate::invocation::ActionPreference>| {
                if let Some(p) = on {
                    scope.set(name, Value::Enum(crate::ops::action_preference_type(), p as i64));
                }
            };
            use crate::invocation::ActionPreference as P;
            let flag = |b: Option<bool>| b.map(|on| if on { P::Continue } else { P::SilentlyContinue });
            preference("ErrorActionPreference", c.error_action);
            preference("WarningPreference", c.warning_action);
            preference("InformationPreference", c.information_action);
            preference("ProgressPreference", c.progress_action);
            preference("VerbosePreference", flag(c.verbose));
            preference("DebugPreference", flag(c.debug));
            if let Some(w) = c.what_if {
                scope.set("WhatIfPreference", Value::Bool(w));
            }
            if let Some(confirm) = c.confirm {
                scope.set("ConfirmPreference", Value::string(if confirm { "Low" } else { "None" }));
            }
        }
        for (declared, info) in block.parameters().iter().zip(&metadata.parameters) {
            let value = match bound.values.iter().find(|(n, _)| n.eq_ignore_ascii_case(&info.name)) {
                Some((_, v)) => v.clone(),
                None => match &declared.default {
                    Some(e) => {
                        let v = self.eval(e)?;
                        let v = if matches!(v, Value::Empty) { Value::Null } else { v };
                        if info.typed {
                            match self.convert(&v, &info.type_ref) {
                                Ok(v) => v,
                                Err(e) => {
                                    return Err(Flow::Error(self.bind_default_error(info, &e)));
                                }
                            }
                        } else {
                            v
                        }
                    }
                    None => default_of(info),
                },
            };
            let keeps_type = info.typed && !info.is_switch() && info.type_ref.full_name() != "System.Object";
            scope.insert(
                &info.name,
                VariableCell::new(Variable {
                    name: info.name.to_string(),
                    value: if info.is_switch() { switch_value(&value) } else { value },
                    type_ref: keeps_type
                        .then(|| info.type_ref.clone())
                        .filter(|t| !t.full_name().contains("PSReference")),
                    validators: info.validators.clone(),
                    ..Variable::default()
                }),
            );
        }
        Ok(())
    }

    fn bind_default_error(&self, info: &ParameterInfo, error: &crate::value::Error) -> crate::value::Error {
        let mut exception = crate::value::Exception::new(
            "System.Management.Automation.ParameterBindingArgumentTransformationException",
            format!(
                "Cannot process argument transformation on parameter '{}'. {}",
                info.name,
                error.message()
            ),
        );
        if let Some(inner) = error.exception() {
            exception = exception.with_inner(inner.clone());
        }
        crate::value::Error::from_exception(
            exception,
            "ParameterArgumentTransformationError",
            crate::value::ErrorCategory::InvalidData,
            Value::Null,
        )
    }

    /// Runs one of a block's parts in its own state.
    fn run_part(&mut self, run: &mut ScriptRun, part: &NamedBlock, out: &mut dyn Sink) -> Run {
        self.enter_call()?;
        let saved = std::mem::replace(&mut self.state, run.state.clone());
        let propagate = saved.propagate;
        self.state.propagate = propagate;
        let result = match self.define_types(&part.body) {
            Ok(()) => self.exec_block(&part.body, out),
            Err(flow) => Err(flow),
        };
        self.state = saved;
        self.leave_call();
        match result {
            Err(Flow::Return) => Ok(()),
            Err(Flow::Leave(error)) => Err(Flow::Error(error)),
            other => other,
        }
    }

    pub(crate) fn script_begin(&mut self, run: &mut ScriptRun, out: &mut dyn Sink) -> Run {
        let ast = run.block.ast.clone();
        match &ast.begin {
            Some(part) => self.run_part(run, part, out),
            None => Ok(()),
        }
    }

    pub(crate) fn script_process(
        &mut self,
        run: &mut ScriptRun,
        call: &mut Invocation,
        input: Option<Value>,
        out: &mut dyn Sink,
    ) -> Run {
        let ast = run.block.ast.clone();
        if let Some(value) = &input
            && (run.metadata.advanced
                && run
                    .metadata
                    .parameters
                    .iter()
                    .any(|p| p.sets.iter().any(|m| m.from_pipeline || m.from_property)))
        {
            let metadata = run.metadata.clone();
            let declared = Declared {
                parameters: &metadata.parameters,
                default_set: metadata.default_set.as_deref(),
                advanced: true,
                should_process: metadata.should_process,
            };
            match self.bind_pipeline(&declared, &run.bound, &call.open_sets, value) {
                Ok((found, set)) => {
                    call.set_name = set;
                    let bound = run.state.scope.variable("PSBoundParameters").map(|c| c.get());
                    for (name, value) in found {
                        if let Some(cell) = run.state.scope.variable(&name) {
                            cell.set(value.clone());
                        } else {
                            run.state.scope.set(&name, value.clone());
                        }
                        if let Some(Value::Dict(d)) = &bound {
                            d.insert_str(&name, value);
                        }
                    }
                }
                Err(error) => {
                    return self.write_error_from(call, error.record().clone(), out);
                }
            }
        } else if input.is_some() && run.metadata.advanced && !run.metadata.parameters.is_empty() {
            let error = crate::value::Error::from_exception(
                crate::value::Exception::new(
                    "System.Management.Automation.ParameterBindingException",
                    "The input object cannot be bound to any parameters for the command either because the command \
                     does not take pipeline input or the input and its properties do not match any of the parameters \
                     that take pipeline input.",
                ),
                "InputObjectNotBound",
                crate::value::ErrorCategory::InvalidArgument,
                input.clone().unwrap_or_default(),
            );
            return self.write_error_from(call, error.record().clone(), out);
        }
        match &ast.process {
            Some(part) => {
                run.state.scope.set("input", Value::array(input.iter().cloned().collect()));
                if let Some(value) = input {
                    run.state.scope.set("_", value.clone());
                    run.state.scope.set("PSItem", value);
                }
                self.run_part(run, part, out)
            }
            None => {
                if let Some(value) = input {
                    run.input.push(value);
                }
                Ok(())
            }
        }
    }

    pub(crate) fn script_end(&mut self, run: &mut ScriptRun, out: &mut dyn Sink) -> Run {
        let ast = run.block.ast.clone();
        let result = match &ast.end {
            Some(part) => {
                if !run.dotted || !run.input.is_empty() {
                    let input = std::mem::take(&mut run.input);
                    if let Some(last) = input.last().filter(|_| run.metadata.advanced) {
                        run.state.scope.set("_", last.clone());
                    }
                    run.state.scope.set("input", Value::array(input));
                }
                self.run_part(run, part, out)
            }
            None => Ok(()),
        };
        match &ast.clean {
            Some(part) => {
                let after = self.run_part(run, part, &mut crate::flow::NullSink);
                result.and(after)
            }
            None => result,
        }
    }

    /// Runs a script block in the running scope with `$_` set.
    pub fn run_block_in_scope(
        &mut self,
        block: &Value,
        underscore: Option<Value>,
        input: Vec<Value>,
        out: &mut dyn Sink,
    ) -> Run {
        let Some(script) = ScriptBlock::from_value(block) else {
            return Err(Flow::Error(crate::errors::runtime(
                "NotAScriptBlock",
                crate::value::ErrorCategory::InvalidArgument,
                "The value is not a script block.",
            )));
        };
        self.enter_call()?;
        let saved = self.state.clone();
        let frame = Frame {
            parent: Some(saved.frame.clone()),
            info: saved.frame.info.clone(),
            name: "<ScriptBlock>".to_string(),
            source: script.ast.source.clone(),
            advanced: false,
            method: None,
        };
        self.state.frame = Arc::new(frame);
        if let Some(m) = &script.module
            && !same_module(Some(m), saved.scope.module.as_ref())
            && let Some(scope) = m.scope()
        {
            self.state.scope = Scope::inside(scope, false, Some(m.clone()));
        }
        let scope = self.state.scope.clone();
        let old: Vec<(&str, Option<Value>)> =
            ["_", "PSItem", "input"].into_iter().map(|n| (n, scope.variable(n).map(|c| c.get()))).collect();
        if let Some(value) = underscore {
            scope.set("_", value.clone());
            scope.set("PSItem", value);
        }
        if !input.is_empty() {
            scope.set("input", Value::array(input));
        }
        let mut result = Ok(());
        for part in [&script.ast.begin, &script.ast.process, &script.ast.end].into_iter().flatten() {
            result = self.exec_block(&part.body, out);
            if result.is_err() {
                break;
            }
        }
        for (name, value) in old {
            match value {
                Some(v) => scope.set(name, v),
                None => {
                    scope.data().variables.remove(&crate::value::fold_case(name));
                }
            }
        }
        self.state = saved;
        self.leave_call();
        match result {
            Err(Flow::Return) => Ok(()),
            other => other,
        }
    }

    /// Calls a script block with arguments in a new scope and streams its output.
    pub fn call_block(
        &mut self,
        block: &Value,
        args: Vec<Value>,
        variables: Vec<(String, Value)>,
        input: Option<Vec<Value>>,
        out: &mut dyn Sink,
    ) -> Run {
        let Some(script) = ScriptBlock::from_value(block) else {
            return Err(Flow::Error(crate::errors::command_not_found("")));
        };
        let args = args.into_iter().map(|value| Arg::Positional { value, span: None }).collect();
        let mut call = Invocation {
            info: Arc::new(InvocationInfo {
                script_name: self.state.frame.source.file().unwrap_or("").to_string(),
                ..InvocationInfo::default()
            }),
            targets: self.state.targets.clone(),
            expects_input: input.is_some(),
            ..Invocation::default()
        };
        let mut run = self.start_script(&script, "", args, false, false, &mut call).map_err(|(f, _)| f)?;
        for (name, value) in variables {
            run.state.scope.set(&name, value);
        }
        self.script_begin(&mut run, out)?;
        match input {
            Some(items) => {
                for item in items {
                    self.script_process(&mut run, &mut call, Some(item), out)?;
                }
            }
            None => self.script_process(&mut run, &mut call, None, out)?,
        }
        self.script_end(&mut run, out)
    }

    /// Runs a script file in the running scope, as `-File` does.
    pub fn run_file(
        &mut self,
        path: &str,
        args: &[(Option<String>, Value)],
        input: Option<Vec<Value>>,
        out: &mut dyn Sink,
    ) -> Run {
        let call = CommandCall {
            command: path.to_string(),
            parameters: args.to_vec(),
            dotted: true,
            ..CommandCall::default()
        };
        self.invoke_commands(&[call], input, out)
    }
}

pub(crate) fn same_module(
    a: Option<&Arc<crate::scope::Module>>,
    b: Option<&Arc<crate::scope::Module>>,
) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn switch_value(value: &Value) -> Value {
    match value {
        Value::Null => crate::binder::switch_parameter(false),
        other => other.clone(),
    }
}

/// The note that marks a word in `$args` as a parameter's name.
const PARAMETER_NAME: &str = "<CommandParameterName>";

/// A parameter that a function does not declare, as `$args` holds it.
pub(crate) fn parameter_word(name: &str, colon: &str) -> Value {
    let object = crate::value::PsObject::wrapping(Value::from(format!("-{name}{colon}")));
    object.set_note(PARAMETER_NAME, Value::string(name));
    Value::Object(Arc::new(object))
}

/// What a parameter holds that was not given.
fn default_of(info: &ParameterInfo) -> Value {
    if !info.typed {
        return Value::Null;
    }
    match info.type_ref.full_name() {
        "System.String" => Value::string(""),
        "System.Boolean" => Value::Bool(false),
        "System.Management.Automation.SwitchParameter" => crate::binder::switch_parameter(false),
        "System.Int32" => Value::Int32(0),
        "System.Int64" => Value::Int64(0),
        "System.Double" => Value::Double(0.0),
        "System.Byte" => Value::Byte(0),
        "System.Int16" => Value::Int16(0),
        "System.UInt32" => Value::UInt32(0),
        "System.Single" => Value::Single(0.0),
        "System.Char" => Value::Char(0),
        "System.Decimal" => Value::Decimal(crate::value::Decimal::ZERO),
        _ => Value::Null,
    }
}
