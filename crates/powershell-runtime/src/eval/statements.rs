//! Statements.

use hop_powershell_syntax::ast::{
    Block, Catch, ElementKind, Expr, ExprKind, FunctionDefinition, Pipeline, Statement, StatementKind, Trap,
    Try, UnaryOp, VariablePath,
};
use std::sync::Arc;

use crate::flow::{Flow, Run, Sink};
use crate::function::{FunctionInfo, ScriptBlock};
use crate::invocation::ActionPreference;
use crate::runspace::Runspace;
use crate::scope::ItemOptions;
use crate::value::{Error, ErrorCategory, ErrorRecord, Exception, Value, fold_case};

/// What a loop does after a `break` or `continue` in its body.
enum LoopStep {
    Next,
    Leave,
}

impl Runspace {
    /// Runs a list of statements, with its traps.
    pub(crate) fn exec_block(&mut self, block: &Block, out: &mut dyn Sink) -> Run {
        let saved = self.state.propagate;
        if !block.traps.is_empty() {
            self.state.propagate = true;
        }
        let result = self.exec_statements(block, saved, out);
        self.state.propagate = saved;
        result
    }

    fn exec_statements(&mut self, block: &Block, outer: bool, out: &mut dyn Sink) -> Run {
        for statement in &block.statements {
            if let StatementKind::Function(f) = &statement.kind {
                let _ = f;
            }
            match self.exec_statement(statement, out) {
                Ok(()) => {}
                Err(flow @ (Flow::Error(_) | Flow::Throw(_))) => {
                    let flow = self.place_flow(flow, statement.span);
                    if !block.traps.is_empty() {
                        self.state.propagate = outer;
                        self.run_traps(&block.traps, flow, out)?;
                        self.state.propagate = true;
                        continue;
                    }
                    self.settle(flow)?;
                }
                Err(flow) => return Err(flow),
            }
        }
        Ok(())
    }

    /// An error that left a statement: travels on to an enclosing `try` or `trap`, or is shown.
    pub(crate) fn settle(&mut self, flow: Flow) -> Run {
        if self.state.propagate {
            return Err(flow);
        }
        let action = self.preference("ErrorActionPreference");
        match flow {
            Flow::Error(error) => match action {
                ActionPreference::Stop => Err(Flow::Throw(error)),
                ActionPreference::SilentlyContinue => {
                    self.success = false;
                    self.add_to_errors(error.record());
                    Ok(())
                }
                ActionPreference::Ignore => {
                    self.success = false;
                    Ok(())
                }
                _ => {
                    self.report_error(&error);
                    Ok(())
                }
            },
            Flow::Throw(error)
                if matches!(action, ActionPreference::SilentlyContinue | ActionPreference::Ignore) =>
            {
                self.success = false;
                if action == ActionPreference::SilentlyContinue {
                    self.add_to_errors(error.record());
                }
                Ok(())
            }
            other => Err(other),
        }
    }

    fn run_traps(&mut self, traps: &[Trap], flow: Flow, out: &mut dyn Sink) -> Run {
        let Some(error) = flow.error().cloned() else { return Err(flow) };
        let types: Vec<Vec<_>> = traps.iter().map(|t| t.type_name.iter().cloned().collect()).collect();
        let Some((index, error)) = self.choose_handler(&types, &error) else { return self.settle(flow) };
        let trap = &traps[index];
        self.add_to_errors(error.record());
        let saved = self.state.clone();
        self.state.scope = crate::scope::Scope::inside(&saved.scope, false, saved.scope.module.clone());
        self.state.scope.set("_", Value::ErrorRecord(error.record().clone()));
        let result = self.exec_block(&trap.body, out);
        self.state = saved;
        match result {
            Ok(()) => {
                self.report_error(&error);
                Ok(())
            }
            Err(Flow::Continue(None)) => Ok(()),
            Err(Flow::Break(None)) => Err(Flow::Throw(error)),
            Err(other) => Err(other),
        }
    }

    pub(crate) fn exec_statement(&mut self, statement: &Statement, out: &mut dyn Sink) -> Run {
        self.check_stopped()?;
        match &statement.kind {
            StatementKind::Pipeline(p) => self.exec_pipeline(p, out).map_err(|f| self.place_flow(f, p.span)),
            StatementKind::Chain { first, rest, .. } => self.exec_chain(first, rest, out),
            StatementKind::Assign(a) => {
                self.assign(a).map_err(|f| self.place_flow(f, statement.span))?;
                self.success = true;
                Ok(())
            }
            StatementKind::If { clauses, otherwise } => {
                for (condition, body) in clauses {
                    if self.condition(condition)? {
                        return self.exec_block(body, out);
                    }
                }
                match otherwise {
                    Some(body) => self.exec_block(body, out),
                    None => Ok(()),
                }
            }
            StatementKind::While(l) => {
                let mut first = l.body_first;
                loop {
                    self.check_stopped()?;
                    if !first {
                        match &l.condition {
                            Some(c) => {
                                if self.condition(c)? == l.until {
                                    return Ok(());
                                }
                            }
                            None => return Ok(()),
                        }
                    }
                    first = false;
                    let result = self.exec_block(&l.body, out);
                    if let LoopStep::Leave = loop_step(result, l.label.as_deref())? {
                        return Ok(());
                    }
                }
            }
            StatementKind::For(l) => {
                if let Some(init) = &l.init {
                    self.exec_silent(init)?;
                }
                loop {
                    self.check_stopped()?;
                    if let Some(c) = &l.condition
                        && !self.condition(c)?
                    {
                        return Ok(());
                    }
                    let result = self.exec_block(&l.body, out);
                    if let LoopStep::Leave = loop_step(result, l.label.as_deref())? {
                        return Ok(());
                    }
                    if let Some(step) = &l.step {
                        self.exec_silent(step)?;
                    }
                }
            }
            StatementKind::Foreach(l) => {
                let items = self.statement_value(&l.items)?;
                let items = match items {
                    Value::Null | Value::Empty => Vec::new(),
                    other => other.into_items(),
                };
                let enumerator = Value::array(items.clone());
                self.state.scope.set("foreach", enumerator);
                for item in items {
                    self.check_stopped()?;
                    self.assign_path(&l.variable, item).map_err(|f| self.place_flow(f, l.variable_span))?;
                    let result = self.exec_block(&l.body, out);
                    if let LoopStep::Leave = loop_step(result, l.label.as_deref())? {
                        break;
                    }
                }
                self.state.scope.data().variables.remove("foreach");
                Ok(())
            }
            StatementKind::Switch(s) => self.exec_switch(s, out),
            StatementKind::Try(t) => self.exec_try(t, out),
            StatementKind::Function(f) => {
                self.define_function(f);
                Ok(())
            }
            StatementKind::Type(t) => self.define_type(t).map_err(|f| self.place_flow(f, t.span)),
            StatementKind::Return(value) if self.state.frame.method.is_some() => {
                self.return_from_method(value.as_deref())
            }
            StatementKind::Return(value) => {
                if let Some(value) = value {
                    self.exec_statement(value, out)?;
                }
                Err(Flow::Return)
            }
            StatementKind::Throw(value) => {
                let value = match value {
                    Some(v) => Some(self.statement_value(v)?),
                    None => None,
                };
                let error = self.thrown(value, statement.span);
                Err(Flow::Throw(error))
            }
            StatementKind::Exit(value) => {
                let value = match value {
                    Some(v) => self.statement_value(v)?,
                    None => self.variable_value("LASTEXITCODE"),
                };
                let code = if value.is_null() {
                    0
                } else {
                    let int = crate::value::TypeRef::named("System.Int32");
                    match self.convert_argument(&value, &int) {
                        Ok(v) => v.as_integer().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
                        Err(_) => 0,
                    }
                };
                Err(Flow::Exit(code))
            }
            StatementKind::Break(label) => Err(Flow::Break(self.label(label.as_ref())?)),
            StatementKind::Continue(label) => Err(Flow::Continue(self.label(label.as_ref())?)),
            StatementKind::Data { name, body } => match name {
                Some(name) => {
                    let mut values = Vec::new();
                    self.exec_block(body, &mut values)?;
                    self.assign_variable(None, name, Value::from_output(values)).map_err(Flow::Error)
                }
                None => self.exec_block(body, out),
            },
            StatementKind::Error => Ok(()),
        }
    }

    fn label(&mut self, label: Option<&Expr>) -> Run<Option<String>> {
        match label {
            Some(e) => {
                let value = self.eval(e)?;
                Ok(Some(self.to_text(&value)))
            }
            None => Ok(None),
        }
    }

    fn exec_silent(&mut self, statement: &Statement) -> Run {
        self.exec_statement(statement, &mut crate::flow::NullSink)
    }

    fn condition(&mut self, statement: &Statement) -> Run<bool> {
        let value = self.statement_value(statement).map_err(|f| self.place_flow(f, statement.span))?;
        Ok(self.is_true(&value))
    }

    /// The value of a statement: an expression's as it is, otherwise what the output makes.
    pub(crate) fn statement_value(&mut self, statement: &Statement) -> Run<Value> {
        if let Some(expr) = statement.as_pure_expression() {
            let value = self.eval(expr)?;
            self.success = true;
            return Ok(value);
        }
        if let StatementKind::Assign(a) = &statement.kind {
            return self.assign(a);
        }
        let mut values = Vec::new();
        self.exec_statement(statement, &mut values)?;
        Ok(Value::from_output(values))
    }

    fn exec_chain(&mut self, first: &Pipeline, rest: &[(bool, Pipeline)], out: &mut dyn Sink) -> Run {
        let run = |this: &mut Self, p: &Pipeline, out: &mut dyn Sink| -> Run {
            match this.exec_pipeline(p, out).map_err(|f| this.place_flow(f, p.span)) {
                Err(flow @ Flow::Error(_)) => {
                    this.settle(flow)?;
                    this.success = false;
                    Ok(())
                }
                other => other,
            }
        };
        run(self, first, out)?;
        for (and, pipeline) in rest {
            if self.success == *and {
                run(self, pipeline, out)?;
            }
        }
        Ok(())
    }

    /// Runs a pipeline as a statement.
    pub(crate) fn exec_pipeline(&mut self, pipeline: &Pipeline, out: &mut dyn Sink) -> Run {
        if pipeline.background {
            return self.start_background(pipeline, out);
        }
        if let [only] = pipeline.elements.as_slice()
            && only.redirections.is_empty()
            && let ElementKind::Expression(expr) = &only.kind
        {
            let quiet = is_silent(expr);
            let value = self.eval(expr)?;
            self.success = true;
            if quiet {
                return Ok(());
            }
            return self.write_value(value, out);
        }
        self.run_pipeline(pipeline, None, out)
    }

    fn start_background(&mut self, pipeline: &Pipeline, out: &mut dyn Sink) -> Run {
        let text = self.state.frame.source.slice(pipeline.span).trim_end_matches(['&', ' ']).to_string();
        let call = crate::runspace::CommandCall {
            command: "Start-Job".into(),
            parameters: vec![(Some("ScriptBlock".into()), {
                let block = self.parse(&text, None).map_err(Flow::Error)?;
                ScriptBlock::new(block, None).into_value()
            })],
            ..Default::default()
        };
        self.invoke_commands(&[call], None, out)
    }

    /// Writes a value to a pipeline: collections item by item.
    pub(crate) fn write_value(&mut self, value: Value, out: &mut dyn Sink) -> Run {
        match value {
            Value::Empty => Ok(()),
            value => match value.enumerate() {
                Some(items) => {
                    for item in items {
                        self.check_stopped()?;
                        out.write(self, item)?;
                    }
                    Ok(())
                }
                None => out.write(self, value),
            },
        }
    }

    pub(crate) fn define_function(&mut self, definition: &Arc<FunctionDefinition>) {
        let module = self.state.scope.module.clone();
        let block = ScriptBlock::for_function(definition.clone(), module);
        let (scope, name) = match definition.name.split_once(':') {
            Some((scope, name)) if self.scope_named(scope).is_some() => (self.scope_named(scope), name),
            _ => (None, definition.name.as_str()),
        };
        let scope = scope.unwrap_or_else(|| self.state.scope.clone());
        self.set_function_in(&scope, name, Arc::new(block));
    }

    /// Defines a function in a scope.
    pub fn set_function_in(&mut self, scope: &Arc<crate::scope::Scope>, name: &str, block: Arc<ScriptBlock>) {
        let info = FunctionInfo {
            name: name.to_string(),
            block,
            options: ItemOptions::default(),
            module_name: scope
                .module
                .as_ref()
                .filter(|m| !m.is_closure)
                .map_or(String::new(), |m| m.name.clone()),
        };
        scope.data().functions.insert(fold_case(name), Arc::new(info));
    }

    /// The error a `throw` makes.
    pub(crate) fn thrown(&mut self, value: Option<Value>, span: hop_powershell_syntax::Span) -> Error {
        let value = match value {
            Some(v) => v,
            None => match self.variable_value("_") {
                // A bare `throw` in a catch block throws again.
                Value::ErrorRecord(record) => return Error::from_record(record),
                _ => Value::Null,
            },
        };
        let error = match value.base() {
            Value::ErrorRecord(record) => return Error::from_record(record.clone()),
            Value::Exception(exception) => {
                // The exception's own record is thrown again.
                if let Some(record) = exception.record() {
                    return Error::from_record(record);
                }
                let record = ErrorRecord::new(
                    exception.clone(),
                    exception.message().as_ref(),
                    ErrorCategory::OperationStopped,
                    Value::Null,
                );
                let record = Arc::new(record);
                exception.set_record(&record);
                Error::from_record(record)
            }
            _ => {
                let text = if value.is_null() { "ScriptHalted".to_string() } else { self.to_text(&value) };
                let target = if value.is_null() { Value::Null } else { value.clone() };
                let error = Error::from_exception(
                    Exception::new("System.Management.Automation.RuntimeException", &text),
                    &text,
                    ErrorCategory::OperationStopped,
                    target,
                );
                let _ = error.record().thrown.set(());
                error
            }
        };
        self.place(&error, span);
        error
    }

    fn exec_try(&mut self, statement: &Try, out: &mut dyn Sink) -> Run {
        let saved = self.state.clone();
        if !statement.catches.is_empty() {
            self.state.propagate = true;
        }
        let mut result = self.exec_block(&statement.body, out);
        self.state = saved.clone();
        if let Err(flow @ (Flow::Error(_) | Flow::Throw(_) | Flow::Leave(_))) = &result
            && let Some(error) = flow.error().cloned()
        {
            let types: Vec<_> = statement.catches.iter().map(|c| c.types.clone()).collect();
            if let Some((index, error)) = self.choose_handler(&types, &error) {
                result = self.exec_catch(&statement.catches[index], &error, out);
                self.state = saved.clone();
            }
        }
        if let Some(finally) = &statement.finally {
            let stopped = self.cancel.is_cancelled();
            if stopped {
                self.cancel.reset();
            }
            let after = self.exec_block(finally, out);
            if stopped {
                self.cancel.cancel();
            }
            self.state = saved;
            after?;
        }
        result
    }

    fn exec_catch(&mut self, catch: &Catch, error: &Error, out: &mut dyn Sink) -> Run {
        self.add_to_errors(error.record());
        self.success = true;
        let scope = self.state.scope.clone();
        let old = scope.variable("_").map(|c| c.get());
        scope.set("_", Value::ErrorRecord(error.record().clone()));
        scope.set("PSItem", Value::ErrorRecord(error.record().clone()));
        let result = self.exec_block(&catch.body, out);
        match old {
            Some(v) => scope.set("_", v),
            None => {
                scope.data().variables.remove("_");
            }
        }
        scope.data().variables.remove("psitem");
        result
    }

    /// The handler for an error: the one with the nearest type; an exception wrapped by a method call
    /// counts too. Gives the error as the handler sees it.
    fn choose_handler(
        &mut self,
        handlers: &[Vec<hop_powershell_syntax::ast::TypeName>],
        error: &Error,
    ) -> Option<(usize, Error)> {
        let mut exceptions: Vec<String> = Vec::new();
        let mut current = error.exception().cloned();
        if current.is_none() {
            exceptions.push("System.Management.Automation.RemoteException".into());
        }
        while let Some(e) = current {
            exceptions.push(e.type_name().to_string());
            current = e.inner().cloned();
        }
        for name in exceptions.iter() {
            let mut chain = vec![name.clone()];
            let mut base = crate::value::base_type_name(name);
            while let Some(b) = base {
                chain.push(b.to_string());
                base = crate::value::base_type_name(b);
            }
            chain.extend(self.class_bases(name));
            for candidate in &chain {
                if candidate == "System.Object"
                    || candidate == "System.Exception"
                    || candidate == "System.SystemException"
                {
                    continue;
                }
                for (i, types) in handlers.iter().enumerate() {
                    for t in types {
                        let full = self
                            .resolve_type(t)
                            .map_or_else(|_| t.name.clone(), |r| r.full_name().to_string());
                        if full.eq_ignore_ascii_case(candidate) {
                            return Some((i, error.clone()));
                        }
                    }
                }
            }
        }
        for (i, types) in handlers.iter().enumerate() {
            if types.is_empty() {
                return Some((i, error.clone()));
            }
            for t in types {
                let full =
                    self.resolve_type(t).map_or_else(|_| t.name.clone(), |r| r.full_name().to_string());
                if matches!(full.as_str(), "System.Exception" | "System.SystemException" | "System.Object") {
                    return Some((i, error.clone()));
                }
            }
        }
        None
    }

    /// Assigns to a plain variable path.
    pub(crate) fn assign_path(&mut self, path: &VariablePath, value: Value) -> Run {
        match path.drive.as_deref() {
            None => self.assign_variable(None, &path.name, value).map_err(Flow::Error),
            Some(drive) if self.scope_named(drive).is_some() => {
                self.assign_variable(Some(drive), &path.name, value).map_err(Flow::Error)
            }
            Some(drive) => self.set_drive_variable(drive, &path.name, value).map_err(Flow::Error),
        }
    }
}

/// Whether an expression as a statement writes nothing: `$x++`.
fn is_silent(expr: &Expr) -> bool {
    matches!(
        &expr.kind,
        ExprKind::Unary(
            UnaryOp::PreIncrement | UnaryOp::PreDecrement | UnaryOp::PostIncrement | UnaryOp::PostDecrement,
            _
        )
    )
}

fn loop_step(result: Run, label: Option<&str>) -> Run<LoopStep> {
    let mine = |l: &Option<String>| match (l, label) {
        (None, _) => true,
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        (Some(_), None) => false,
    };
    match result {
        Ok(()) => Ok(LoopStep::Next),
        Err(Flow::Break(l)) if mine(&l) => Ok(LoopStep::Leave),
        Err(Flow::Continue(l)) if mine(&l) => Ok(LoopStep::Next),
        Err(other) => Err(other),
    }
}
