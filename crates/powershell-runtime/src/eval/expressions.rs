//! Expressions.

use std::sync::Arc;

use hop_powershell_syntax::ast::{BinaryOp, Case, Expr, ExprKind, Number, TypeName, UnaryOp, VariablePath};

use crate::errors;
use crate::flow::{Flow, Run};
use crate::function::ScriptBlock;
use crate::operators::{self, CompareOp};
use crate::runspace::Runspace;
use crate::value::{Error, ErrorCategory, PsDict, TypeRef, Value};

/// How deep expressions may nest while they are evaluated.
fn insensitive(case: Case) -> bool {
    case == Case::Insensitive
}

impl Runspace {
    /// The value of an expression.
    pub(crate) fn eval(&mut self, expr: &Expr) -> Run<Value> {
        match &expr.kind {
            ExprKind::Number(n) => number_value(n).map_err(Flow::Error),
            ExprKind::String(s, _) => Ok(Value::string(s)),
            ExprKind::Expandable(parts, _) => self.expand_parts(parts).map(Value::from),
            ExprKind::Variable { path, .. } => self.variable_expr(path),
            ExprKind::Using(inner) => self.using_expr(expr, inner),
            ExprKind::Type(name) => match self.resolve_type(name) {
                Ok(t) => Ok(Value::Type(t)),
                Err(e) => Err(self.place_flow(Flow::Error(e), expr.span)),
            },
            ExprKind::Cast(name, operand) => self.cast_expr(name, operand),
            ExprKind::Attributed(_, operand) => self.eval(operand),
            ExprKind::Binary { op, left, right, .. } => self.binary_expr(*op, left, right),
            ExprKind::Unary(op, operand) => self.unary_expr(*op, operand),
            ExprKind::Ternary(condition, yes, no) => {
                let value = self.eval(condition)?;
                if self.is_true(&value) { self.eval(yes) } else { self.eval(no) }
            }
            ExprKind::Array(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    let value = self.eval(item)?;
                    values.push(if matches!(value, Value::Empty) { Value::Null } else { value });
                }
                Ok(Value::array(values))
            }
            ExprKind::ArrayExpr(block) => {
                // `@(1, 2)` gives the array itself a copy; anything else what the statements write.
                let mut values = Vec::new();
                self.exec_block(block, &mut values)?;
                Ok(Value::array(values))
            }
            ExprKind::SubExpr(block) => {
                let mut values = Vec::new();
                self.exec_block(block, &mut values)?;
                Ok(Value::from_output(values))
            }
            ExprKind::Paren(statement) => self.statement_value(statement),
            ExprKind::Hashtable(pairs) => {
                let table = PsDict::hashtable();
                self.fill_table(&table, pairs)?;
                Ok(Value::Dict(Arc::new(table)))
            }
            ExprKind::ScriptBlock(ast) => {
                Ok(ScriptBlock::new(ast.clone(), self.state.scope.module.clone()).into_value())
            }
            ExprKind::Member { target, member, is_static, null_conditional } => {
                let target = self.eval(target)?;
                if *null_conditional && target.is_null() {
                    return Ok(Value::Null);
                }
                let name = self.member_name(member)?;
                self.read_member(&target, &name, *is_static)
            }
            ExprKind::Invoke { target, member, args, is_static, null_conditional, .. } => {
                self.invoke_expr(target, member, args, *is_static, *null_conditional)
            }
            ExprKind::Index { target, index, null_conditional } => {
                let target = self.eval(target)?;
                if *null_conditional && target.is_null() {
                    return Ok(Value::Null);
                }
                let index = self.eval(index)?;
                self.index(&target, &index).map_err(Flow::Error)
            }
            ExprKind::Error => Ok(Value::Null),
        }
    }

    pub(crate) fn member_name(&mut self, member: &Expr) -> Run<Value> {
        match &member.kind {
            ExprKind::String(s, _) => Ok(Value::string(s)),
            ExprKind::ScriptBlock(ast) => Ok(Value::string(ast.source.slice(ast.body_span))),
            _ => self.eval(member),
        }
    }

    pub(crate) fn read_member(&mut self, target: &Value, name: &Value, is_static: bool) -> Run<Value> {
        let text = self.to_text(name);
        if is_static {
            let t = self.static_target(target)?;
            return self.read_static(&t, &text).map_err(Flow::Error);
        }
        // `$hash.$key` looks the key up with its own type.
        if let Value::Dict(dict) = target.base()
            && name.as_str().is_none()
            && let Some(value) = dict.get(name)
        {
            return Ok(value);
        }
        self.get_member(target, &text).map_err(Flow::Error)
    }

    pub(crate) fn static_target(&mut self, target: &Value) -> Run<TypeRef> {
        match target.base() {
            Value::Type(t) => Ok(t.clone()),
            other => match other.type_ref() {
                Some(t) => Ok(t),
                None => Err(Flow::Error(errors::runtime(
                    "InvokeMethodOnNull",
                    ErrorCategory::InvalidOperation,
                    "You cannot call a method on a null-valued expression.",
                ))),
            },
        }
    }

    fn invoke_expr(
        &mut self,
        target: &Expr,
        member: &Expr,
        args: &[Expr],
        is_static: bool,
        null_conditional: bool,
    ) -> Run<Value> {
        // `([Base]$this).Method()` and `[Base]::new()` are plain; `$x::Method()` takes the value's type.
        let target_value = self.eval(target)?;
        if null_conditional && target_value.is_null() {
            return Ok(Value::Null);
        }
        let name = self.member_name(member)?;
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let value = self.eval(arg)?;
            values.push(if matches!(value, Value::Empty) { Value::Null } else { value });
        }
        let text = self.to_text(&name);
        if is_static {
            let t = self.static_target(&target_value)?;
            return self.call_static(&t, &text, &values).map_err(Flow::Error);
        }
        if target_value.is_null() {
            return Err(Flow::Error(errors::runtime(
                "InvokeMethodOnNull",
                ErrorCategory::InvalidOperation,
                "You cannot call a method on a null-valued expression.",
            )));
        }
        if let Some(result) = self.engine_method(&target_value, &text, &values) {
            return result;
        }
        // `([Base]$this).Method()` calls the base class's own method.
        if let Some(type_ref) = self.static_cast_of(target)
            && let Some(result) = self.base_method(&target_value, &type_ref, &text, &values)
        {
            return result;
        }
        self.call_method(&target_value, &text, &values).map_err(Flow::Error)
    }

    fn variable_expr(&mut self, path: &VariablePath) -> Run<Value> {
        let value = match path.drive.as_deref() {
            None => self.get_variable(&path.name),
            Some(drive) if self.scope_named(drive).is_some() => {
                self.scope_named(drive).and_then(|s| s.variable(&path.name)).map(|c| c.get())
            }
            Some(drive) => Some(self.drive_variable(drive, &path.name)?),
        };
        match value {
            Some(v) => Ok(v),
            None if path.name.eq_ignore_ascii_case("args") && path.drive.is_none() => {
                Ok(Value::array(Vec::new()))
            }
            None if self.strict_mode() > 0
                && !matches!(
                    path.name.to_ascii_lowercase().as_str(),
                    "_" | "psitem" | "input" | "this" | "matches" | "lastexitcode" | "stacktrace"
                ) =>
            {
                Err(Flow::Error(crate::variables::undefined(&path.display())))
            }
            None => Ok(Value::Null),
        }
    }

    /// A variable of a provider drive: `$env:X`, `$function:f`, `$variable:v`, `$alias:a`.
    fn drive_variable(&mut self, drive: &str, name: &str) -> Run<Value> {
        Ok(match drive.to_ascii_lowercase().as_str() {
            "env" => self.env.get(name).map_or(Value::Null, Value::string),
            "variable" => self.variable_value(name),
            "function" => {
                self.find_function(name).map_or(Value::Null, |f| Value::ScriptBlock(f.block.clone()))
            }
            "alias" => self.find_alias(name).map_or(Value::Null, |a| Value::string(&a.target)),
            other => {
                return Err(Flow::Error(Error::from_exception(
                    crate::value::Exception::new(
                        "System.Management.Automation.DriveNotFoundException",
                        format!("Cannot find drive. A drive with the name '{other}' does not exist."),
                    ),
                    "DriveNotFound",
                    ErrorCategory::ObjectNotFound,
                    Value::string(drive),
                )));
            }
        })
    }

    /// Assigns `$env:X`, `$function:f`, `$variable:v` or `$alias:a`.
    pub fn set_drive_variable(&mut self, drive: &str, name: &str, value: Value) -> Result<(), Error> {
        match drive.to_ascii_lowercase().as_str() {
            "env" => {
                if value.is_null() {
                    self.env.remove(name);
                } else {
                    let text = self.to_text(&value);
                    self.env.insert(name.to_string(), text);
                }
                Ok(())
            }
            "variable" => self.assign_variable(None, name, value),
            "function" => {
                let scope = self.state.scope.clone();
                if value.is_null() {
                    scope.data().functions.remove(&crate::value::fold_case(name));
                    return Ok(());
                }
                let block = match ScriptBlock::from_value(&value) {
                    Some(b) => b,
                    None => {
                        let text = self.to_text(&value);
                        Arc::new(ScriptBlock::new(self.parse(&text, None)?, None))
                    }
                };
                self.set_function_in(&scope, name, block);
                Ok(())
            }
            "alias" => {
                let target = self.to_text(&value);
                self.set_alias(name, &target);
                Ok(())
            }
            other => Err(errors::runtime(
                "DriveNotFound",
                ErrorCategory::ObjectNotFound,
                format!("Cannot find drive. A drive with the name '{other}' does not exist."),
            )),
        }
    }

    fn using_expr(&mut self, expr: &Expr, inner: &Expr) -> Run<Value> {
        if let Some(Value::Dict(values)) = self.find_variable("__using").map(|c| c.get()) {
            let key = self.state.frame.source.slice(expr.span).to_lowercase();
            if let Some(v) = values.get_str(&key) {
                return Ok(v);
            }
            if let ExprKind::Variable { path, .. } = &inner.kind
                && let Some(v) = values.get_str(&path.name)
            {
                return Ok(v);
            }
        }
        Err(Flow::Error(errors::runtime(
            "UsingWithoutInvokeCommand",
            ErrorCategory::InvalidOperation,
            "A Using variable cannot be retrieved. A Using variable can be used only with Invoke-Command, \
             Start-Job, or InlineScript in the script workflow. When it is used with Invoke-Command, the Using \
             variable is valid only if the script block is invoked on a remote computer.",
        )))
    }

    pub(crate) fn fill_table(
        &mut self,
        table: &PsDict,
        pairs: &[(Expr, hop_powershell_syntax::ast::Statement)],
    ) -> Run {
        for (key, value) in pairs {
            let key_value = self.eval(key)?;
            if key_value.is_null() {
                return Err(Flow::Error(errors::runtime(
                    "InvalidNullKey",
                    ErrorCategory::InvalidOperation,
                    "A null key is not allowed in a hash literal.",
                )));
            }
            let value = self.statement_value(value)?;
            let value = if matches!(value, Value::Empty) { Value::Null } else { value };
            if table.contains(&key_value) {
                let text = self.to_text(&key_value);
                return Err(Flow::Error(errors::runtime(
                    "DuplicateKeyInHashLiteral",
                    ErrorCategory::InvalidOperation,
                    format!("Duplicate keys '{text}' are not allowed in hash literals."),
                )));
            }
            table.insert(key_value.base().clone(), value);
        }
        Ok(())
    }

    fn cast_expr(&mut self, name: &TypeName, operand: &Expr) -> Run<Value> {
        let lower = name.name.to_ascii_lowercase();
        if let ExprKind::Hashtable(pairs) = &operand.kind {
            if lower == "ordered" {
                let table = PsDict::ordered();
                self.fill_table(&table, pairs)?;
                return Ok(Value::Dict(Arc::new(table)));
            }
            if matches!(lower.as_str(), "pscustomobject" | "system.management.automation.pscustomobject") {
                let table = PsDict::ordered();
                self.fill_table(&table, pairs)?;
                let mut notes = Vec::new();
                let mut type_name = None;
                for (k, v) in table.entries() {
                    let key = self.to_text(&k);
                    if key.eq_ignore_ascii_case("PSTypeName") {
                        type_name = Some(self.to_text(&v));
                    } else {
                        notes.push((key, v));
                    }
                }
                return Ok(match type_name {
                    Some(t) => Value::custom_typed(&t, notes),
                    None => Value::custom(notes),
                });
            }
        }
        if lower == "ref" {
            return self.reference(operand);
        }
        let type_ref = match self.resolve_type(name) {
            Ok(t) => t,
            Err(e) => return Err(self.place_flow(Flow::Error(e), name.span)),
        };
        let value = self.eval(operand)?;
        self.convert(&value, &type_ref).map_err(Flow::Error)
    }

    fn reference(&mut self, operand: &Expr) -> Run<Value> {
        if let ExprKind::Variable { path, .. } = &operand.kind {
            let cell = match path.drive.as_deref().and_then(|d| self.scope_named(d)) {
                Some(scope) => scope.variable(&path.name),
                None => self.find_variable(&path.name),
            };
            if let Some(cell) = cell {
                return Ok(Value::native(crate::reference::Reference(cell)));
            }
            return Err(Flow::Error(errors::runtime(
                "NonExistingVariableReference",
                ErrorCategory::InvalidOperation,
                "[ref] cannot be applied to a variable that does not exist.",
            )));
        }
        let value = self.eval(operand)?;
        let cell = crate::scope::VariableCell::new(crate::scope::Variable { value, ..Default::default() });
        Ok(Value::native(crate::reference::Reference(cell)))
    }

    fn binary_expr(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Run<Value> {
        use BinaryOp as B;
        let l = self.eval(left)?;
        match op {
            B::And => {
                if !self.is_true(&l) {
                    return Ok(Value::Bool(false));
                }
                let r = self.eval(right)?;
                return Ok(Value::Bool(self.is_true(&r)));
            }
            B::Or => {
                if self.is_true(&l) {
                    return Ok(Value::Bool(true));
                }
                let r = self.eval(right)?;
                return Ok(Value::Bool(self.is_true(&r)));
            }
            B::Coalesce => {
                return if l.is_null() { self.eval(right) } else { Ok(l) };
            }
            _ => {}
        }
        // The type on the right of `-is`/`-as` may name a type that is not there.
        let r = self.eval(right)?;
        self.binary_values(op, &l, &r)
    }

    /// Applies a binary operator, as `Where-Object -Property -Op Value` does.
    pub fn apply_operator(&mut self, op: BinaryOp, left: &Value, right: &Value) -> Run<Value> {
        self.binary_values(op, left, right)
    }

    /// A binary operator on values.
    pub(crate) fn binary_values(&mut self, op: BinaryOp, l: &Value, r: &Value) -> Run<Value> {
        use BinaryOp as B;
        let result = match op {
            B::Add => operators::add(l, r, self),
            B::Sub => operators::subtract(l, r, self),
            B::Mul => operators::multiply(l, r, self),
            B::Div => operators::divide(l, r, self),
            B::Rem => operators::remainder(l, r, self),
            B::Range => operators::range(l, r),
            B::Format => operators::format_operator(l, r, self),
            B::Xor => Ok(Value::Bool(self.is_true(l) != self.is_true(r))),
            B::BAnd => operators::bit_and(l, r, self),
            B::BOr => operators::bit_or(l, r, self),
            B::BXor => operators::bit_xor(l, r, self),
            B::Shl => operators::shift_left(l, r, self),
            B::Shr => operators::shift_right(l, r, self),
            B::Is => operators::is_type(l, r, self).map(Value::Bool),
            B::IsNot => operators::is_type(l, r, self).map(|b| Value::Bool(!b)),
            B::As => operators::as_type(l, r, self),
            B::Join => Ok(operators::join(l, r, self)),
            B::Eq(c) => operators::compare_operator(CompareOp::Eq, insensitive(c), l, r, self),
            B::Ne(c) => operators::compare_operator(CompareOp::Ne, insensitive(c), l, r, self),
            B::Gt(c) => operators::compare_operator(CompareOp::Gt, insensitive(c), l, r, self),
            B::Ge(c) => operators::compare_operator(CompareOp::Ge, insensitive(c), l, r, self),
            B::Lt(c) => operators::compare_operator(CompareOp::Lt, insensitive(c), l, r, self),
            B::Le(c) => operators::compare_operator(CompareOp::Le, insensitive(c), l, r, self),
            B::Like(c) => operators::like(l, r, insensitive(c), false, self),
            B::NotLike(c) => operators::like(l, r, insensitive(c), true, self),
            B::Match(c) => return self.match_values(l, r, insensitive(c), false),
            B::NotMatch(c) => return self.match_values(l, r, insensitive(c), true),
            B::Replace(c) => operators::replace(l, r, insensitive(c), self),
            B::Split(c) => operators::split(l, r, insensitive(c), self),
            B::Contains(c) => Ok(Value::Bool(operators::contains(l, r, insensitive(c), self))),
            B::NotContains(c) => Ok(Value::Bool(!operators::contains(l, r, insensitive(c), self))),
            B::In(c) => Ok(Value::Bool(operators::contains(r, l, insensitive(c), self))),
            B::NotIn(c) => Ok(Value::Bool(!operators::contains(r, l, insensitive(c), self))),
            B::And | B::Or | B::Coalesce => Ok(Value::Null),
        };
        result.map_err(Flow::Error)
    }

    fn match_values(&mut self, l: &Value, r: &Value, ignore_case: bool, negate: bool) -> Run<Value> {
        let found = operators::match_operator(l, r, ignore_case, negate, self)?;
        if let Some(matches) = found.matches {
            self.state.scope.set("Matches", matches);
        }
        Ok(found.value)
    }

    fn unary_expr(&mut self, op: UnaryOp, operand: &Expr) -> Run<Value> {
        match op {
            UnaryOp::PreIncrement
            | UnaryOp::PreDecrement
            | UnaryOp::PostIncrement
            | UnaryOp::PostDecrement => {
                return self.increment(op, operand);
            }
            _ => {}
        }
        let value = self.eval(operand)?;
        Ok(match op {
            UnaryOp::Not => Value::Bool(!self.is_true(&value)),
            UnaryOp::BNot => operators::bit_not(&value, self)?,
            UnaryOp::Plus => operators::plus(&value, self)?,
            UnaryOp::Minus => operators::negate(&value, self)?,
            UnaryOp::Comma => Value::array(vec![value]),
            UnaryOp::Split(_) => operators::split_unary(&value, self),
            UnaryOp::Join => operators::join_unary(&value, self),
            _ => Value::Null,
        })
    }
}

/// A literal's value.
pub(crate) fn number_value(number: &Number) -> Result<Value, Error> {
    use crate::value::{BigInt, Decimal};
    let bad = || {
        errors::runtime(
            "BadNumericConstant",
            ErrorCategory::ParserError,
            "The numeric constant is not valid.",
        )
    };
    Ok(match number {
        Number::SByte(n) => Value::SByte(*n),
        Number::Byte(n) => Value::Byte(*n),
        Number::Int16(n) => Value::Int16(*n),
        Number::UInt16(n) => Value::UInt16(*n),
        Number::Int32(n) => Value::Int32(*n),
        Number::UInt32(n) => Value::UInt32(*n),
        Number::Int64(n) => Value::Int64(*n),
        Number::UInt64(n) => Value::UInt64(*n),
        Number::Double(n) => Value::Double(*n),
        Number::Decimal(text, multiplier) => {
            let value =
                text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).map_err(|_| bad())?;
            Value::Decimal(value.checked_mul(Decimal::from(*multiplier)).ok_or_else(bad)?)
        }
        Number::BigInt(text, multiplier) => {
            let value: BigInt = text.parse().map_err(|_| bad())?;
            Value::BigInt(Arc::new(value * BigInt::from(*multiplier)))
        }
    })
}
