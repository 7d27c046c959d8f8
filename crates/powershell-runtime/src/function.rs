//! Script blocks and functions as values.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use hop_powershell_syntax::ast;

use crate::command::ParameterInfo;
use crate::scope::{ItemOptions, Module};
use crate::value::{ScriptBlockObject, Value};

/// A script block: its syntax tree and the module or closure it belongs to.
#[derive(Debug)]
pub struct ScriptBlock {
    /// The tree.
    pub ast: Arc<ast::ScriptBlock>,
    /// Set for functions, whose parameters may stand outside the block.
    pub definition: Option<Arc<ast::FunctionDefinition>>,
    /// The session state; none: the global one.
    pub module: Option<Arc<Module>>,
    /// `filter`.
    pub is_filter: bool,
    pub(crate) metadata: OnceLock<Arc<BlockMetadata>>,
}

impl ScriptBlock {
    /// A block without a module of its own.
    pub fn new(ast: Arc<ast::ScriptBlock>, module: Option<Arc<Module>>) -> Self {
        Self { ast, definition: None, module, is_filter: false, metadata: OnceLock::new() }
    }

    /// A function's body.
    pub fn for_function(definition: Arc<ast::FunctionDefinition>, module: Option<Arc<Module>>) -> Self {
        Self {
            ast: definition.body.clone(),
            is_filter: definition.is_filter,
            definition: Some(definition),
            module,
            metadata: OnceLock::new(),
        }
    }

    /// The declared parameters.
    pub fn parameters(&self) -> &[ast::Parameter] {
        if let Some(p) = self.definition.as_ref().and_then(|d| d.parameters.as_ref()) {
            return p;
        }
        self.ast.param_block.as_ref().map_or(&[], |p| &p.parameters)
    }

    /// Path of the file it was written in.
    pub fn file(&self) -> Option<&str> {
        self.ast.source.file()
    }

    /// As a value.
    pub fn into_value(self) -> Value {
        Value::ScriptBlock(Arc::new(self))
    }

    /// The block behind a value.
    pub fn from_value(value: &Value) -> Option<Arc<ScriptBlock>> {
        match value.base() {
            Value::ScriptBlock(object) => {
                let object: Arc<dyn ScriptBlockObject> = object.clone();
                let any: Arc<dyn Any + Send + Sync> = object;
                any.downcast::<ScriptBlock>().ok()
            }
            _ => None,
        }
    }
}

impl ScriptBlockObject for ScriptBlock {
    fn text(&self) -> &str {
        self.ast.source.slice(self.ast.body_span)
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name.to_ascii_lowercase().as_str() {
            "file" => self.file().map_or(Value::Null, Value::string),
            "isfilter" => Value::Bool(self.is_filter),
            "isconfiguration" => Value::Bool(false),
            "module" => match &self.module {
                Some(m) if !m.is_closure => Value::native(crate::module::ModuleObject(m.clone())),
                _ => Value::Null,
            },
            "ast" => Value::string(self.ast.source.slice(self.ast.span)),
            "startposition" => Value::custom([
                ("File", self.file().map_or(Value::Null, Value::string)),
                ("StartLine", Value::Int32(self.line())),
                ("StartColumn", Value::Int32(self.column())),
                ("Content", Value::string(self.ast.source.slice(self.ast.span))),
            ]),
            "attributes" => Value::array(Vec::new()),
            _ => return None,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ScriptBlock {
    fn line(&self) -> i32 {
        i32::try_from(self.ast.source.line_number(self.ast.span.start)).unwrap_or(i32::MAX)
    }

    fn column(&self) -> i32 {
        i32::try_from(self.ast.source.column(self.ast.span.start)).unwrap_or(i32::MAX)
    }
}

/// What binding needs to know of a block, computed once.
#[derive(Debug, Default)]
pub struct BlockMetadata {
    /// Parameters in order.
    pub parameters: Vec<ParameterInfo>,
    /// `[CmdletBinding()]` or a `[Parameter()]` attribute: common parameters, no `$args`.
    pub advanced: bool,
    /// `DefaultParameterSetName`.
    pub default_set: Option<Arc<str>>,
    /// `SupportsShouldProcess`.
    pub should_process: bool,
    /// `ConfirmImpact = 'High'`: 3; Medium 2; Low 1; None 0.
    pub confirm_impact: u8,
    /// `PositionalBinding`.
    pub positional: bool,
    /// `[Alias()]` on the function.
    pub aliases: Vec<String>,
    /// `[OutputType()]`.
    pub output_types: Vec<String>,
}

/// A function.
#[derive(Debug)]
pub struct FunctionInfo {
    /// Name.
    pub name: String,
    /// Body.
    pub block: Arc<ScriptBlock>,
    /// Options.
    pub options: ItemOptions,
    /// Module it was imported from.
    pub module_name: String,
}
