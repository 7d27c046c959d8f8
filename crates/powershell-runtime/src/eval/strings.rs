//! Expandable strings.

use hop_powershell_syntax::ast::{ExprKind, StringPart};

use crate::flow::Run;
use crate::runspace::Runspace;

impl Runspace {
    pub(crate) fn expand_parts(&mut self, parts: &[StringPart]) -> Run<String> {
        let mut text = String::new();
        for part in parts {
            match part {
                StringPart::Text(t) => text.push_str(t),
                StringPart::Expr(expr) => {
                    let value = match &expr.kind {
                        ExprKind::SubExpr(block) => {
                            let mut values = Vec::new();
                            self.exec_block(block, &mut values)?;
                            crate::value::Value::from_output(values)
                        }
                        _ => self.eval(expr)?,
                    };
                    text.push_str(&self.to_text(&value));
                }
            }
        }
        Ok(text)
    }
}
