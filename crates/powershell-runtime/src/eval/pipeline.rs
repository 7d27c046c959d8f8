//! Pipelines: commands are found, bound and run; every object is pushed through as it is written.

use std::sync::Arc;

use hop_powershell_syntax::Span;
use hop_powershell_syntax::ast::{self, Command, ElementKind, ExprKind, Pipeline};

use super::redirect::{MergeSink, Redirected};
use super::script::{Arg, ScriptRun};
use crate::binder::Declared;
use crate::command::{Cmdlet, CmdletInfo};
use crate::context::CmdletContext;
use crate::errors;
use crate::flow::{Flow, Run, Sink};
use crate::function::ScriptBlock;
use crate::invocation::{Invocation, StreamTarget};
use crate::native::NativeRun;
use crate::resolve::Resolved;
use crate::runspace::{CommandCall, Runspace, State};
use crate::streams::Queue;
use crate::value::{Error, ErrorCategory, InvocationInfo, Value};

/// A command of a running pipeline.
pub(crate) struct Stage {
    kind: Kind,
    call: Invocation,
    /// The state of the code that the pipeline stands in.
    state: State,
    merged: Option<Queue>,
    files: Vec<(Queue, String, bool)>,
    ended: bool,
}

enum Kind {
    Cmdlet {
        info: Arc<CmdletInfo>,
        cmdlet: Box<dyn Cmdlet>,
        fixed: Vec<(Arc<str>, Value)>,
    },
    Script(Box<ScriptRun>),
    Native(Box<NativeRun>),
    /// Output goes nowhere.
    Null,
}

/// The stages behind a command, as a sink.
struct Downstream<'a> {
    stages: &'a mut [Stage],
    out: &'a mut dyn Sink,
}

impl Sink for Downstream<'_> {
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run {
        match self.stages.split_first_mut() {
            None => self.out.write(runspace, value),
            Some((first, rest)) => {
                first.process(runspace, Some(value), &mut Downstream { stages: rest, out: self.out })
            }
        }
    }
}

/// The parts of a stage's life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    End,
}

impl Stage {
    fn in_state<R>(&mut self, rs: &mut Runspace, body: impl FnOnce(&mut Self, &mut Runspace) -> R) -> R {
        let saved = std::mem::replace(&mut rs.state, self.state.clone());
        rs.state.propagate = saved.propagate || self.state.propagate;
        let result = body(self, rs);
        rs.state = saved;
        result
    }

    fn step(&mut self, rs: &mut Runspace, step: Step, next: &mut dyn Sink) -> Run {
        self.in_state(rs, |stage, rs| {
            let mut sink = MergeSink { queue: stage.merged.clone(), inner: next };
            let result = match &mut stage.kind {
                Kind::Cmdlet { cmdlet, .. } => {
                    let mut context = CmdletContext { runspace: rs, out: &mut sink, call: &mut stage.call };
                    let result = match step {
                        Step::Begin => cmdlet.begin(&mut context),
                        Step::End => cmdlet.end(&mut context),
                    };
                    finish(&stage.call, result)
                }
                Kind::Script(run) => {
                    let mut out = OutVariableSink { call: &mut stage.call, inner: &mut sink };
                    match step {
                        Step::Begin => rs.script_begin(run, &mut out),
                        Step::End => rs.script_end(run, &mut out),
                    }
                }
                Kind::Native(run) => match step {
                    Step::Begin => Ok(()),
                    Step::End => rs.run_native(run, &mut stage.call, &mut sink),
                },
                Kind::Null => Ok(()),
            };
            sink.flush(rs)?;
            result
        })?;
        if step == Step::End {
            let files = std::mem::take(&mut self.files);
            if !files.is_empty() {
                self.in_state(rs, |_, rs| rs.write_files(&files))?;
            }
        }
        Ok(())
    }

    fn process(&mut self, rs: &mut Runspace, input: Option<Value>, next: &mut dyn Sink) -> Run {
        rs.check_stopped()?;
        self.in_state(rs, |stage, rs| {
            let mut sink = MergeSink { queue: stage.merged.clone(), inner: next };
            let result = match &mut stage.kind {
                Kind::Cmdlet { info, cmdlet, fixed } => {
                    let mut go = true;
                    stage.call.input.clone_from(&input);
                    if let Some(value) = &input {
                        let declared = declared_of(info);
                        let takes = info
                            .parameters
                            .iter()
                            .any(|p| p.sets.iter().any(|m| m.from_pipeline || m.from_property));
                        let open = takes
                            && info.parameters.iter().any(|p| {
                                !fixed.iter().any(|(n, _)| *n == p.name)
                                    && p.sets.iter().any(|m| m.from_pipeline || m.from_property)
                            });
                        if open || !takes {
                            let sets = stage.call.open_sets.clone();
                            match rs.bind_pipeline(&declared, fixed, &sets, value) {
                                Ok((found, set)) => {
                                    stage.call.set_name = set;
                                    stage.call.bound.clone_from(fixed);
                                    stage.call.bound.extend(found);
                                }
                                Err(error) => {
                                    let record = error.record().clone();
                                    rs.write_error_from(&mut stage.call, record, &mut sink)?;
                                    go = false;
                                }
                            }
                        }
                    }
                    if go {
                        let mut context =
                            CmdletContext { runspace: rs, out: &mut sink, call: &mut stage.call };
                        let result = cmdlet.process(&mut context);
                        finish(&stage.call, result)
                    } else {
                        Ok(())
                    }
                }
                Kind::Script(run) => {
                    let mut out_call =
                        Invocation { common: stage.call.common.clone(), ..Invocation::default() };
                    let mut out = OutVariableSink { call: &mut out_call, inner: &mut sink };
                    rs.script_process(run, &mut stage.call, input, &mut out)
                }
                Kind::Native(run) => {
                    if let Some(value) = input {
                        run.add_input(rs, &value);
                    }
                    Ok(())
                }
                Kind::Null => Ok(()),
            };
            sink.flush(rs)?;
            result
        })
    }
}

/// Fills in the position of an error that leaves a cmdlet.
fn finish(call: &Invocation, result: Run) -> Run {
    if let Err(Flow::Error(e) | Flow::Throw(e)) = &result {
        call.complete_record(e.record());
    }
    result
}

/// Collects what a function writes for `-OutVariable` and `-PipelineVariable`.
struct OutVariableSink<'a> {
    call: &'a mut Invocation,
    inner: &'a mut dyn Sink,
}

impl Sink for OutVariableSink<'_> {
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run {
        if self.call.common.out_variable.is_some() || self.call.common.pipeline_variable.is_some() {
            // The variables belong to the caller.
            let scope = runspace.state.scope.clone();
            if let Some(parent) = scope.parent() {
                runspace.state.scope = parent.clone();
            }
            self.call.record_output(runspace, &value);
            runspace.state.scope = scope;
        }
        self.inner.write(runspace, value)
    }
}

pub(crate) fn declared_of(info: &CmdletInfo) -> Declared<'_> {
    Declared {
        parameters: &info.parameters,
        default_set: info.default_set,
        advanced: true,
        should_process: info.should_process,
    }
}

/// A command about to become a stage.
struct Prepared {
    resolved: Resolved,
    name: String,
    args: Vec<Arg>,
    redirected: Redirected,
    info: InvocationInfo,
    dotted: bool,
    expects_input: bool,
    verbatim: Vec<(Value, bool)>,
}

impl Runspace {
    /// Runs a pipeline of several elements or with commands.
    pub(crate) fn run_pipeline(
        &mut self,
        pipeline: &Pipeline,
        input: Option<Vec<Value>>,
        out: &mut dyn Sink,
    ) -> Run {
        self.next_pipeline += 1;
        let id = self.next_pipeline;
        let length = u32::try_from(pipeline.elements.len()).unwrap_or(u32::MAX);
        let mut stages: Vec<Stage> = Vec::new();
        let mut source: Option<(&ast::Expr, Redirected)> = None;
        for (i, element) in pipeline.elements.iter().enumerate() {
            let redirected = self.redirect(&element.redirections)?;
            match &element.kind {
                ElementKind::Expression(expr) => {
                    let output = redirected.output.clone();
                    source = Some((expr, redirected));
                    self.add_output_stage(&mut stages, output, id)?;
                }
                ElementKind::Command(command) => {
                    let expects = i > 0 || input.is_some();
                    let output = redirected.output.clone();
                    let position = u32::try_from(i + 1).unwrap_or(u32::MAX);
                    let prepared = match self.prepare(command, redirected, expects, position, length) {
                        Ok(p) => p,
                        Err(f) => return Err(self.place_flow(f, command.span)),
                    };
                    let span = command.span;
                    let stage = self.make_stage(prepared, id).map_err(|f| self.place_flow(f, span))?;
                    stages.push(stage);
                    self.add_output_stage(&mut stages, output, id)?;
                }
            }
        }
        if self.only_dotted_native(&stages) {
            self.success = true;
        }
        self.success = true;
        let feed: Feed<'_> = match (source, input) {
            (Some((expr, redirected)), _) => Feed::Expression(expr, redirected),
            (None, Some(items)) => Feed::Items(items),
            (None, None) => Feed::Nothing,
        };
        self.drive(&mut stages, feed, id, out)
    }

    fn only_dotted_native(&self, _stages: &[Stage]) -> bool {
        false
    }

    fn add_output_stage(
        &mut self,
        stages: &mut Vec<Stage>,
        output: Option<(Option<String>, bool)>,
        id: u64,
    ) -> Run {
        match output {
            None => {}
            Some((None, _)) => stages.push(Stage {
                kind: Kind::Null,
                call: Invocation::default(),
                state: self.state.clone(),
                merged: None,
                files: Vec::new(),
                ended: false,
            }),
            Some((Some(path), append)) => {
                let mut args = vec![Arg::Named {
                    name: "FilePath".into(),
                    value: Some(Value::string(&path)),
                    span: None,
                    splatted: false,
                }];
                if append {
                    args.push(Arg::Named {
                        name: "Append".into(),
                        value: Some(Value::Bool(true)),
                        span: None,
                        splatted: false,
                    });
                }
                let prepared = Prepared {
                    resolved: self.resolve_command("Out-File").map_err(Flow::Error)?,
                    name: "Out-File".into(),
                    args,
                    redirected: Redirected { targets: self.state.targets.clone(), ..Redirected::default() },
                    info: InvocationInfo { invocation_name: "Out-File".into(), ..InvocationInfo::default() },
                    dotted: false,
                    expects_input: true,
                    verbatim: Vec::new(),
                };
                let stage = self.make_stage(prepared, id)?;
                stages.push(stage);
            }
        }
        Ok(())
    }

    fn drive(&mut self, stages: &mut [Stage], feed: Feed<'_>, id: u64, out: &mut dyn Sink) -> Run {
        let count = stages.len();
        // `begin` of all commands in order; what they write waits until all have begun.
        let mut early: Vec<Vec<Value>> = Vec::with_capacity(count);
        let mut result = Ok(());
        for stage in stages.iter_mut() {
            let mut written = Vec::new();
            result = stage.step(self, Step::Begin, &mut written);
            early.push(written);
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            result = self.feed(stages, early, feed, out);
        }
        // A stopped pipeline still ends the commands behind the one that had enough.
        let mut first = 0;
        match &result {
            Ok(()) => {}
            Err(Flow::StopPipeline(n)) if *n == id => {
                first = stages
                    .iter()
                    .position(|s| matches!(&s.kind, Kind::Cmdlet { info, .. } if s.call.pipeline_id == id && stops(info)))
                    .unwrap_or(count);
                result = Ok(());
            }
            Err(_) => {
                // `clean` blocks run even then.
                return result;
            }
        }
        for i in first..count {
            let (head, rest) = stages.split_at_mut(i + 1);
            let Some(stage) = head.last_mut() else { break };
            if stage.ended {
                continue;
            }
            stage.ended = true;
            match stage.step(self, Step::End, &mut Downstream { stages: rest, out }) {
                Err(Flow::StopPipeline(n)) if n == id => {}
                other => other?,
            }
        }
        result
    }

    fn feed(
        &mut self,
        stages: &mut [Stage],
        early: Vec<Vec<Value>>,
        feed: Feed<'_>,
        out: &mut dyn Sink,
    ) -> Run {
        for (i, values) in early.into_iter().enumerate() {
            for value in values {
                let Some(rest) = stages.get_mut(i + 1..) else { continue };
                Downstream { stages: rest, out }.write(self, value)?;
            }
        }
        match feed {
            Feed::Nothing => {
                if let Some((first, rest)) = stages.split_first_mut() {
                    first.process(self, None, &mut Downstream { stages: rest, out })?;
                }
            }
            Feed::Items(items) => {
                for item in items {
                    Downstream { stages: &mut *stages, out }.write(self, item)?;
                }
            }
            Feed::Expression(expr, redirected) => {
                let saved = std::mem::replace(&mut self.state.targets, redirected.targets);
                let value = self.eval(expr);
                self.state.targets = saved;
                let mut down = Downstream { stages: &mut *stages, out };
                let mut sink = MergeSink { queue: redirected.merged.clone(), inner: &mut down };
                sink.flush(self)?;
                match value {
                    Ok(value) => self.write_value(value, &mut sink)?,
                    Err(flow @ Flow::Error(_))
                        if redirected.merged.is_some() || !redirected.files.is_empty() =>
                    {
                        let flow = self.place_flow(flow, expr.span);
                        if let Some(error) = flow.error()
                            && !self.state.propagate
                        {
                            self.success = false;
                            self.add_to_errors(error.record());
                            sink.write(self, Value::ErrorRecord(error.record().clone()))?;
                        } else {
                            return Err(flow);
                        }
                    }
                    Err(flow) => return Err(flow),
                }
                self.write_files(&redirected.files)?;
            }
        }
        Ok(())
    }

    fn prepare(
        &mut self,
        command: &Command,
        redirected: Redirected,
        expects_input: bool,
        position: u32,
        length: u32,
    ) -> Run<Prepared> {
        let source = self.state.frame.source.clone();
        let mut info = errors::position(&source, command.span);
        info.pipeline_position = position;
        info.pipeline_length = length;
        let target = self.eval(&command.name)?;
        let mut name = match target.base() {
            Value::ScriptBlock(_) => String::new(),
            Value::Null => {
                return Err(Flow::Error(errors::runtime(
                    "BadExpression",
                    ErrorCategory::InvalidOperation,
                    format!(
                        "The expression after '{}' in a pipeline element produced an object that was not valid. It \
                         must result in a command name, a script block, or a CommandInfo object.",
                        if command.invocation == ast::Invocation::Dot { "." } else { "&" }
                    ),
                )));
            }
            Value::String(s) => s.to_string(),
            other => match crate::runspace::command_name_of(other) {
                Some(n) => n,
                None => self.to_text(other),
            },
        };
        let dotted = command.invocation == ast::Invocation::Dot;
        let mut resolved = match ScriptBlock::from_value(&target) {
            Some(block) => Resolved::Block(block),
            None => match crate::intrinsics::block_of_command(&target) {
                Some(block) => Resolved::Function(name.clone(), block),
                None => {
                    if name.is_empty() && command.invocation != ast::Invocation::Plain {
                        return Err(Flow::Error(errors::runtime(
                            "BadExpression",
                            ErrorCategory::InvalidOperation,
                            "The expression after '&' in a pipeline element produced an object that was not valid. \
                             It must result in a command name, a script block, or a CommandInfo object.",
                        )));
                    }
                    let module = match &target {
                        Value::Native(n) => n.as_any().downcast_ref::<crate::module::ModuleObject>(),
                        _ => None,
                    };
                    match module {
                        Some(m) => Resolved::InModule(m.0.clone()),
                        None => match self.resolve_command(&name) {
                            Ok(r) => r,
                            Err(e) => {
                                let mut info = errors::position(&source, command.name.span);
                                info.invocation_name.clone_from(&name);
                                let plain = command.invocation == ast::Invocation::Plain;
                                e.record().set_activity(match command.invocation {
                                    _ if plain => &name,
                                    ast::Invocation::Dot => ".",
                                    _ => "&",
                                });
                                let _ = e.record().invocation.set(Arc::new(info));
                                return Err(Flow::Error(e));
                            }
                        },
                    }
                }
            },
        };
        info.invocation_name = if name.is_empty() { "&".into() } else { name.clone() };
        let native = matches!(resolved, Resolved::Native(_));
        let (args, verbatim) = if native {
            (Vec::new(), self.native_args(&command.elements)?)
        } else {
            (self.evaluate_args(&command.elements)?, Vec::new())
        };
        let mut args = args;
        if let Resolved::InModule(module) = &resolved {
            // `& $module { … }` runs the block inside the module.
            let first = args.iter().position(|a| matches!(a, Arg::Positional { .. }));
            if let Some(i) = first
                && let Arg::Positional { value, .. } = args.remove(i)
            {
                if let Some(block) = ScriptBlock::from_value(&value) {
                    resolved =
                        Resolved::Block(Arc::new(ScriptBlock::new(block.ast.clone(), Some(module.clone()))));
                } else {
                    name = self.to_text(&value);
                    let saved = self.state.scope.clone();
                    if let Some(scope) = module.scope() {
                        self.state.scope = scope.clone();
                    }
                    let found = self.resolve_command(&name);
                    self.state.scope = saved;
                    resolved = found.map_err(Flow::Error)?;
                }
            }
        }
        info.my_command = self.command_info(&resolved, &name);
        self.last_tokens.0 = Value::string(&name);
        Ok(Prepared { resolved, name, args, redirected, info, dotted, expects_input, verbatim })
    }

    fn make_stage(&mut self, prepared: Prepared, id: u64) -> Run<Stage> {
        let Prepared { resolved, name, args, redirected, info, dotted, expects_input, verbatim } = prepared;
        let mut call = Invocation {
            info: Arc::new(info),
            targets: redirected.targets,
            pipeline_id: id,
            expects_input,
            ..Invocation::default()
        };
        let state = self.state.clone();
        let kind = match resolved {
            Resolved::Cmdlet(cmdlet_info) => {
                call.error_suffix = cmdlet_info.type_name.to_string();
                call.should_process = cmdlet_info.should_process;
                call.high_impact = cmdlet_info.high_impact;
                let bound = {
                    let declared = declared_of(&cmdlet_info);
                    self.bind(cmdlet_info.name, &declared, args, expects_input)
                };
                let bound = match bound {
                    Ok(b) => b,
                    Err((error, span)) => {
                        return Err(self.binding_failed(&mut call, error, span));
                    }
                };
                call.common = bound.common;
                call.set_name = bound.set_name;
                call.bound.clone_from(&bound.values);
                call.spans = bound.spans;
                call.open_sets = bound.open_sets;
                self.start_collecting(&call.common);
                Kind::Cmdlet { cmdlet: (cmdlet_info.create)(), info: cmdlet_info, fixed: bound.values }
            }
            Resolved::Function(..) | Resolved::Block(_) | Resolved::File(..) => {
                let (block, function_name, is_file) = match resolved {
                    Resolved::Function(n, block) => (block, n, false),
                    Resolved::File(path, block) => {
                        let short = path.rsplit('/').next().unwrap_or("").to_string();
                        (block, short, true)
                    }
                    Resolved::Block(block) => (block, String::new(), false),
                    _ => return Err(Flow::Error(errors::command_not_found(&name))),
                };
                let display = if function_name.is_empty() { "<ScriptBlock>" } else { function_name.as_str() };
                call.error_suffix = function_name.clone();
                match self.start_script(&block, display, args, dotted, is_file, &mut call) {
                    Ok(run) => Kind::Script(Box::new(run)),
                    Err((Flow::Error(error), span)) => {
                        return Err(self.binding_failed(&mut call, error, span));
                    }
                    Err((flow, _)) => return Err(flow),
                }
            }
            Resolved::Native(path) => Kind::Native(Box::new(NativeRun::new(path, name, verbatim))),
            Resolved::InModule(_) => return Err(Flow::Error(errors::command_not_found(&name))),
        };
        let captured = redirected.merged;
        Ok(Stage { kind, call, state, merged: captured, files: redirected.files, ended: false })
    }

    /// Completes an error about an argument: it points at the argument where that is known.
    pub(crate) fn argument_failed(&mut self, call: &mut Invocation, parameter: &str, error: Error) -> Error {
        let span = call.spans.iter().find(|(n, _)| n.eq_ignore_ascii_case(parameter)).map(|(_, s)| *s);
        match self.binding_failed(call, error, span) {
            Flow::Error(error) | Flow::Throw(error) | Flow::Leave(error) => error,
            _ => Error::runtime("ArgumentFailed", ErrorCategory::InvalidArgument, parameter),
        }
    }

    fn binding_failed(&mut self, call: &mut Invocation, error: Error, span: Option<Span>) -> Flow {
        let record = error.record();
        if record.invocation.get().is_none() {
            let mut info = (*call.info).clone();
            if let Some(span) = span {
                let source = self.state.frame.source.clone();
                let place = errors::position(&source, span);
                info.offset_in_line = place.offset_in_line;
                info.script_line_number = place.script_line_number;
                info.line = place.line;
                info.extent_length = place.extent_length;
                info.position_message = place.position_message;
                info.statement = place.statement;
            }
            let _ = record.invocation.set(Arc::new(info));
            if record.activity().is_empty() {
                record.set_activity(&call.activity());
            }
            if !call.error_suffix.is_empty() {
                let id = record.fully_qualified_id();
                record.set_error_id(&format!("{id},{}", call.error_suffix));
            }
        }
        Flow::Error(error)
    }

    /// Runs commands as one or several pipelines (PSRP command lists).
    pub fn invoke_commands(
        &mut self,
        commands: &[CommandCall],
        input: Option<Vec<Value>>,
        out: &mut dyn Sink,
    ) -> Run {
        let mut start = 0;
        let mut input = input;
        while start < commands.len() {
            let end = commands[start..]
                .iter()
                .position(|c| c.end_of_statement)
                .map_or(commands.len(), |n| start + n + 1);
            self.run_list(&commands[start..end], input.take(), out)?;
            start = end;
        }
        Ok(())
    }

    fn run_list(&mut self, commands: &[CommandCall], input: Option<Vec<Value>>, out: &mut dyn Sink) -> Run {
        self.next_pipeline += 1;
        let id = self.next_pipeline;
        let length = u32::try_from(commands.len()).unwrap_or(u32::MAX);
        let mut stages = Vec::new();
        for (i, command) in commands.iter().enumerate() {
            let args: Vec<Arg> = command
                .parameters
                .iter()
                .map(|(name, value)| match name {
                    Some(n) => Arg::Named {
                        name: n.trim_start_matches('-').trim_end_matches(':').to_string(),
                        value: Some(value.clone()),
                        span: None,
                        splatted: false,
                    },
                    None => Arg::Positional { value: value.clone(), span: None },
                })
                .collect();
            let mut redirected = Redirected { targets: self.state.targets.clone(), ..Redirected::default() };
            let merges = [
                command.merge_error,
                command.merge_warning,
                command.merge_verbose,
                command.merge_debug,
                command.merge_information,
            ];
            if merges.contains(&true) {
                let queue = Queue::default();
                let t = &mut redirected.targets;
                let slots = [&mut t.error, &mut t.warning, &mut t.verbose, &mut t.debug, &mut t.information];
                for (slot, merge) in slots.into_iter().zip(merges) {
                    if merge {
                        *slot = StreamTarget::Queue(queue.clone());
                    }
                }
                redirected.merged = Some(queue);
            }
            let (resolved, dotted) = if command.is_script {
                let ast = self.parse(&command.command, None).map_err(Flow::Error)?;
                (Resolved::Block(Arc::new(ScriptBlock::new(ast, None))), !command.use_local_scope)
            } else {
                (self.resolve_command(&command.command).map_err(Flow::Error)?, command.dotted)
            };
            let verbatim = args
                .iter()
                .map(|a| match a {
                    Arg::Positional { value, .. } => (value.clone(), true),
                    Arg::Named { name, .. } => (Value::string(format!("-{name}")), true),
                })
                .collect();
            let name = if command.is_script { String::new() } else { command.command.clone() };
            let my_command = self.command_info(&resolved, &name);
            let info = InvocationInfo {
                invocation_name: name.clone(),
                my_command,
                pipeline_position: u32::try_from(i + 1).unwrap_or(u32::MAX),
                pipeline_length: length,
                ..errors::position(&self.state.frame.source.clone(), Span::default())
            };
            let prepared = Prepared {
                resolved,
                name,
                args,
                redirected,
                info,
                dotted,
                expects_input: i > 0 || input.is_some(),
                verbatim,
            };
            let stage = self.make_stage(prepared, id)?;
            stages.push(stage);
        }
        self.success = true;
        let feed = match input {
            Some(items) => Feed::Items(items),
            None => Feed::Nothing,
        };
        self.drive(&mut stages, feed, id, out)
    }

    /// `$args` and values for a native program: text with a flag whether it may be a pattern.
    fn native_args(&mut self, elements: &[ast::CommandElement]) -> Run<Vec<(Value, bool)>> {
        let source = self.state.frame.source.clone();
        let mut args: Vec<(Value, bool)> = Vec::new();
        let mut last_end: Option<u32> = None;
        let mut last_was_parameter = false;
        for element in elements {
            match element {
                ast::CommandElement::Parameter { span, name_span, argument, .. } => {
                    let text = source.slice(*name_span).to_string();
                    match argument {
                        Some(e) => {
                            let value = self.eval(e)?;
                            let colon_gap = e.span.start > name_span.end + 1;
                            let value_text = self.to_text(&value);
                            if colon_gap {
                                args.push((Value::from(format!("{text}:")), false));
                                args.push((Value::from(value_text), false));
                            } else {
                                args.push((Value::from(format!("{text}:{value_text}")), false));
                            }
                        }
                        None => {
                            let whole = source.slice(*span).to_string();
                            args.push((Value::from(whole), false));
                        }
                    }
                    last_end = Some(span.end);
                    last_was_parameter = true;
                    continue;
                }
                ast::CommandElement::Argument(e) => {
                    let bare = matches!(&e.kind, ExprKind::String(_, ast::Quote::Bare));
                    match &e.kind {
                        ExprKind::Number(_) => {
                            args.push((Value::string(source.slice(e.span)), false));
                        }
                        ExprKind::Variable { splatted: true, .. } => {
                            let value = self.eval(e)?;
                            if let Value::Dict(d) = value.base() {
                                for (k, v) in d.entries() {
                                    let k = self.to_text(&k);
                                    if matches!(v, Value::Bool(true)) {
                                        args.push((Value::from(format!("-{k}")), false));
                                    } else {
                                        let v = self.to_text(&v);
                                        args.push((Value::from(format!("-{k}:{v}")), false));
                                    }
                                }
                            } else {
                                for v in value.into_items() {
                                    args.push((v, false));
                                }
                            }
                        }
                        ExprKind::Array(items)
                            if items.iter().all(|i| {
                                matches!(i.kind, ExprKind::String(_, ast::Quote::Bare) | ExprKind::Number(_))
                            }) =>
                        {
                            args.push((Value::string(source.slice(e.span)), false));
                        }
                        _ => {
                            let value = self.eval(e)?;
                            let adjacent = last_was_parameter && last_end == Some(e.span.start);
                            if adjacent && let Some((last, _)) = args.last_mut() {
                                let joined = format!("{}{}", last.as_str().unwrap_or(""), {
                                    match value.as_str() {
                                        Some(s) => s.to_string(),
                                        None => String::new(),
                                    }
                                });
                                *last = Value::from(joined);
                            } else if value.is_null() {
                            } else {
                                args.push((value, bare));
                            }
                        }
                    }
                    last_end = Some(e.span.end);
                    last_was_parameter = false;
                }
                ast::CommandElement::Verbatim(text) => {
                    for word in text.split_whitespace() {
                        args.push((Value::string(word), false));
                    }
                }
            }
        }
        Ok(args)
    }
}

/// Whether a cmdlet is one that stops its pipeline (`Select-Object -First`).
fn stops(info: &CmdletInfo) -> bool {
    info.name.eq_ignore_ascii_case("Select-Object")
}

/// What goes into the first command.
enum Feed<'a> {
    Nothing,
    Items(Vec<Value>),
    Expression(&'a ast::Expr, Redirected),
}
