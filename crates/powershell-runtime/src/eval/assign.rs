//! Assignments, `++` and `--`.

use hop_powershell_syntax::ast::{AssignOp, Assignment, BinaryOp, Expr, ExprKind, UnaryOp};

use crate::command::Validator;
use crate::flow::{Flow, Run};
use crate::runspace::Runspace;
use crate::scope::{Variable, VariableCell};
use crate::value::{Error, ErrorCategory, TypeRef, Value};

impl Runspace {
    /// Carries out an assignment and gives the assigned value.
    pub(crate) fn assign(&mut self, assignment: &Assignment) -> Run<Value> {
        let op = match assignment.op {
            AssignOp::Set => {
                let value = self.statement_value(&assignment.value)?;
                let value = if matches!(value, Value::Empty) { Value::Empty } else { value };
                self.assign_to(&assignment.target, value.clone())?;
                return Ok(if matches!(value, Value::Empty) { Value::Null } else { value });
            }
            AssignOp::Coalesce => {
                let old = self.eval(&assignment.target)?;
                if !old.is_null() {
                    return Ok(old);
                }
                let value = self.statement_value(&assignment.value)?;
                self.assign_to(&assignment.target, value.clone())?;
                return Ok(value);
            }
            AssignOp::Add => BinaryOp::Add,
            AssignOp::Sub => BinaryOp::Sub,
            AssignOp::Mul => BinaryOp::Mul,
            AssignOp::Div => BinaryOp::Div,
            AssignOp::Rem => BinaryOp::Rem,
        };
        let target = strip(&assignment.target);
        // A function's own variable does not start from the caller's value.
        let own = match &target.kind {
            ExprKind::Variable { path, .. }
                if path.drive.is_none()
                    && !self.state.scope.is_script
                    && self.state.frame.name != "<ScriptBlock>"
                    && !self.state.frame.name.is_empty() =>
            {
                self.state.scope.variable(&path.name).is_some()
                    || self.find_variable(&path.name).is_none_or(|c| c.with(|v| v.options.all_scope))
            }
            _ => true,
        };
        let old = if own { self.eval(target)? } else { Value::Null };
        let right = self.statement_value(&assignment.value)?;
        let value = self.binary_values(op, &old, &right)?;
        self.assign_to(&assignment.target, value.clone())?;
        Ok(value)
    }

    /// Assigns a value to a variable, property, element, or several of them.
    pub(crate) fn assign_to(&mut self, target: &Expr, value: Value) -> Run {
        match &target.kind {
            ExprKind::Variable { path, .. } => self.assign_path(path, value),
            ExprKind::Member { target: object, member, is_static, .. } => {
                let object = self.eval(object)?;
                let name = self.member_name(member)?;
                let value = if matches!(value, Value::Empty) { Value::Null } else { value };
                if *is_static {
                    let t = self.static_target(&object)?;
                    let text = self.to_text(&name);
                    return self.write_static(&t, &text, &value).map_err(Flow::Error);
                }
                if let Value::Dict(dict) = object.base()
                    && name.as_str().is_none()
                {
                    dict.insert(name, value);
                    return Ok(());
                }
                let text = self.to_text(&name);
                self.set_member(&object, &text, value).map_err(Flow::Error)
            }
            ExprKind::Index { target: object, index, .. } => {
                let object = self.eval(object)?;
                let index = self.eval(index)?;
                let value = if matches!(value, Value::Empty) { Value::Null } else { value };
                self.set_index(&object, &index, value).map_err(Flow::Error)
            }
            ExprKind::Array(targets) => {
                let mut items = match value {
                    Value::Empty => Vec::new(),
                    v => v.into_items(),
                };
                let last = targets.len() - 1;
                for (i, target) in targets.iter().enumerate() {
                    if i < last {
                        let item = if items.is_empty() { Value::Null } else { items.remove(0) };
                        self.assign_to(target, item)?;
                    } else {
                        let rest = std::mem::take(&mut items);
                        let value = match rest.len() {
                            0 => Value::Null,
                            1 => rest.into_iter().next().unwrap_or_default(),
                            _ => Value::array(rest),
                        };
                        self.assign_to(target, value)?;
                    }
                }
                Ok(())
            }
            ExprKind::Paren(statement) => match statement.as_pure_expression() {
                Some(inner) => self.assign_to(inner, value),
                None => Ok(()),
            },
            ExprKind::Cast(..) | ExprKind::Attributed(..) => self.assign_constrained(target, value),
            _ => Err(Flow::Error(Error::runtime(
                "InvalidLeftHandSide",
                ErrorCategory::InvalidOperation,
                "The assignment expression is not valid.",
            ))),
        }
    }

    /// `[int]$x = …`, `[ValidateRange(1, 5)]$x = …`.
    fn assign_constrained(&mut self, target: &Expr, value: Value) -> Run {
        let mut current = target;
        let mut type_ref: Option<TypeRef> = None;
        let mut validators: Vec<Validator> = Vec::new();
        loop {
            match &current.kind {
                ExprKind::Cast(name, inner) => {
                    if type_ref.is_none() {
                        type_ref = Some(self.resolve_type(name).map_err(Flow::Error)?);
                    }
                    current = inner;
                }
                ExprKind::Attributed(attribute, inner) => {
                    validators.extend(self.validator_of(attribute)?);
                    current = inner;
                }
                _ => break,
            }
        }
        let ExprKind::Variable { path, .. } = &current.kind else {
            let value = match type_ref {
                Some(t) => self.convert(&value, &t).map_err(Flow::Error)?,
                None => value,
            };
            return self.assign_to(current, value);
        };
        let value = if matches!(value, Value::Empty) { Value::Null } else { value };
        let value = match &type_ref {
            Some(t) => match self.convert(&value, t) {
                Ok(v) => v,
                Err(e) => return Err(Flow::Error(self.conversion_error(&e))),
            },
            None => value,
        };
        let scope = path.drive.as_deref().and_then(|d| self.scope_named(d));
        let scope = scope.unwrap_or_else(|| self.state.scope.clone());
        if let Some(cell) = scope.variable(&path.name)
            && cell.with(|v| v.options.constant || v.options.read_only)
        {
            return self.assign_path(path, value);
        }
        if !validators.is_empty() {
            self.check_variable(&path.name, &value, &validators)?;
        }
        scope.insert(
            &path.name,
            VariableCell::new(Variable {
                name: path.name.clone(),
                value,
                type_ref,
                validators,
                ..Variable::default()
            }),
        );
        Ok(())
    }

    /// How a failed conversion to a variable's type is reported.
    pub(crate) fn conversion_error(&self, error: &Error) -> Error {
        let mut outer = crate::value::Exception::new(
            "System.Management.Automation.ArgumentTransformationMetadataException",
            error.message(),
        );
        if let Some(inner) = error.exception() {
            outer = outer.with_inner(inner.clone());
        }
        Error::from_exception(outer, "RuntimeException", ErrorCategory::MetadataError, Value::Null)
    }

    pub(crate) fn check_variable(&mut self, name: &str, value: &Value, validators: &[Validator]) -> Run {
        if self.validate(value, validators, name).is_err() {
            let text = self.to_text(value);
            return Err(Flow::Error(Error::new(
                "System.Management.Automation.ValidationMetadataException",
                "ValidateSetFailure",
                ErrorCategory::MetadataError,
                format!(
                    "The variable cannot be validated because the value {text} is not a valid value for the {name} \
                     variable."
                ),
            )));
        }
        Ok(())
    }

    pub(crate) fn increment(&mut self, op: UnaryOp, operand: &Expr) -> Run<Value> {
        let target = strip(operand);
        let old = self.eval(target)?;
        let old = if old.is_null() { Value::Int32(0) } else { old };
        if !old.is_number() && !matches!(old.base(), Value::Char(_)) {
            let kind = if matches!(op, UnaryOp::PreIncrement | UnaryOp::PostIncrement) { "++" } else { "--" };
            let type_name = old.type_name();
            return Err(Flow::Error(crate::errors::runtime(
                "OperatorRequiresNumber",
                ErrorCategory::InvalidOperation,
                format!("The '{kind}' operator works only on numbers. The operand is a '{type_name}'."),
            )));
        }
        let plus = matches!(op, UnaryOp::PreIncrement | UnaryOp::PostIncrement);
        let bin = if plus { BinaryOp::Add } else { BinaryOp::Sub };
        let new = self.binary_values(bin, &old, &Value::Int32(1))?;
        self.assign_to(operand, new.clone())?;
        Ok(if matches!(op, UnaryOp::PreIncrement | UnaryOp::PreDecrement) { new } else { old })
    }
}

/// The expression under casts and attributes.
fn strip(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Cast(_, inner) | ExprKind::Attributed(_, inner) => strip(inner),
        ExprKind::Paren(s) => s.as_pure_expression().map_or(expr, strip),
        _ => expr,
    }
}
