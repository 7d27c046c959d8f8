//! `$using:` values of a block that runs elsewhere.

use hop_powershell_syntax::ast;

use crate::flow::Run;
use crate::function::ScriptBlock;
use crate::runspace::Runspace;
use crate::value::Value;

impl Runspace {
    /// The values of all `$using:` variables in a block, by the variable's name.
    pub fn using_values(&mut self, block: &Value) -> Run<Vec<(String, Value)>> {
        let Some(block) = ScriptBlock::from_value(block) else { return Ok(Vec::new()) };
        let text = block.ast.source.slice(block.ast.span);
        let mut found: Vec<(String, Value)> = Vec::new();
        let lower = text.to_ascii_lowercase();
        let mut rest = 0;
        while let Some(at) = lower.get(rest..).and_then(|t| t.find("using:")) {
            let start = rest + at + "using:".len();
            let before = lower.get(..rest + at).and_then(|t| t.chars().last());
            let name: String = text
                .get(start..)
                .unwrap_or("")
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            rest = start;
            if matches!(before, Some('$' | '@' | '{'))
                && !name.is_empty()
                && !found.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name))
            {
                let path = ast::VariablePath { drive: None, name: name.clone() };
                let value = self.get_variable(&path.name).unwrap_or_default();
                found.push((name, value));
            }
        }
        Ok(found)
    }
}
