//! `switch`.

use hop_powershell_syntax::ast::{ExprKind, Switch, SwitchMode};

use crate::flow::{Flow, Run, Sink};
use crate::operators::{self, CompareOp};
use crate::runspace::Runspace;
use crate::value::{Error, ErrorCategory, Exception, Value};

impl Runspace {
    pub(crate) fn exec_switch(&mut self, switch: &Switch, out: &mut dyn Sink) -> Run {
        let items = if switch.file {
            let path = self.statement_value(&switch.condition)?;
            let name = self.to_text(&path);
            let full = self.full_path(&name);
            let Ok(bytes) = self.platform.read_file(&full) else {
                let error = Error::from_exception(
                    Exception::new(
                        "System.Management.Automation.ItemNotFoundException",
                        format!("Cannot find path '{full}' because it does not exist."),
                    ),
                    "PathNotFound",
                    ErrorCategory::ObjectNotFound,
                    Value::string(&full),
                );
                return Err(self.place_flow(Flow::Error(error), switch.condition.span));
            };
            String::from_utf8_lossy(&bytes).lines().map(Value::string).collect()
        } else {
            let value = self.statement_value(&switch.condition)?;
            match value {
                Value::Empty => return Ok(()),
                Value::Null => vec![Value::Null],
                other => other.into_items(),
            }
        };
        let scope = self.state.scope.clone();
        let old = scope.variable("_").map(|c| c.get());
        let old_switch = scope.variable("switch").map(|c| c.get());
        scope.set("switch", Value::array(items.clone()));
        let mut result = Ok(());
        'items: for item in items {
            if let Err(flow) = self.check_stopped() {
                result = Err(flow);
                break;
            }
            scope.set("_", item.clone());
            let mut matched = false;
            for (condition, body) in &switch.clauses {
                let hit = match self.switch_matches(switch, &condition.kind, condition, &item) {
                    Ok(hit) => hit,
                    Err(flow) => {
                        result = Err(flow);
                        break 'items;
                    }
                };
                if !hit {
                    continue;
                }
                matched = true;
                match self.exec_block(body, out) {
                    Ok(()) => {}
                    Err(Flow::Break(label)) if mine(label.as_deref(), switch.label.as_deref()) => {
                        break 'items;
                    }
                    Err(Flow::Continue(label)) if mine(label.as_deref(), switch.label.as_deref()) => {
                        continue 'items;
                    }
                    Err(other) => {
                        result = Err(other);
                        break 'items;
                    }
                }
                scope.set("_", item.clone());
            }
            if !matched && let Some(default) = &switch.default {
                match self.exec_block(default, out) {
                    Ok(()) => {}
                    Err(Flow::Break(label)) if mine(label.as_deref(), switch.label.as_deref()) => {
                        break 'items;
                    }
                    Err(Flow::Continue(label)) if mine(label.as_deref(), switch.label.as_deref()) => {}
                    Err(other) => {
                        result = Err(other);
                        break 'items;
                    }
                }
            }
        }
        for (name, old) in [("_", old), ("switch", old_switch)] {
            match old {
                Some(v) => scope.set(name, v),
                None => {
                    scope.data().variables.remove(name);
                }
            }
        }
        result
    }

    fn switch_matches(
        &mut self,
        switch: &Switch,
        kind: &ExprKind,
        condition: &hop_powershell_syntax::ast::Expr,
        item: &Value,
    ) -> Run<bool> {
        if let ExprKind::ScriptBlock(_) = kind {
            let block = self.eval(condition)?;
            let mut values = Vec::new();
            self.run_block_in_scope(&block, Some(item.clone()), Vec::new(), &mut values)?;
            let value = Value::from_output(values);
            return Ok(self.is_true(&value));
        }
        let pattern = self.eval(condition)?;
        let ignore_case = !switch.case_sensitive;
        match switch.mode {
            SwitchMode::Regex => {
                let text = Value::from(self.to_text(item));
                let found = operators::match_operator(&text, &pattern, ignore_case, false, self)?;
                if let Some(matches) = found.matches {
                    self.state.scope.set("Matches", matches);
                    return Ok(true);
                }
                Ok(self.is_true(&found.value))
            }
            SwitchMode::Wildcard => {
                let text = Value::from(self.to_text(item));
                let value = operators::like(&text, &pattern, ignore_case, false, self)?;
                Ok(self.is_true(&value))
            }
            SwitchMode::Exact => {
                // The item is on the left, as with -eq.
                Ok(operators::compare(CompareOp::Eq, ignore_case, item, &pattern, self).unwrap_or(false))
            }
        }
    }
}

fn mine(flow: Option<&str>, label: Option<&str>) -> bool {
    match (flow, label) {
        (None, _) => true,
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        (Some(_), None) => false,
    }
}
