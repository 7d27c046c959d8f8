//! Commands: metadata of parameters, and the trait that cmdlets written in Rust implement.

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::CmdletContext;
use crate::flow::Run;
use crate::value::{TypeRef, Value};

/// How a parameter takes part in one parameter set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetMembership {
    /// The set; none: all sets.
    pub set: Option<Arc<str>>,
    /// Position.
    pub position: Option<i32>,
    /// Must be given.
    pub mandatory: bool,
    /// Takes the pipeline's objects.
    pub from_pipeline: bool,
    /// Takes the property of its name from the pipeline's objects.
    pub from_property: bool,
    /// Takes all arguments that are left.
    pub from_remaining: bool,
    /// Help message.
    pub help: Option<Arc<str>>,
}

/// A check of a parameter's or variable's value.
#[derive(Clone, Debug)]
pub enum Validator {
    /// `ValidateSet`: values, ignore case, error message.
    Set(Vec<Arc<str>>, bool, Option<Arc<str>>),
    /// `ValidateRange`.
    Range(Value, Value),
    /// `ValidateRange("Positive")` and its kin.
    RangeKind(Arc<str>),
    /// `ValidateLength`.
    Length(i64, i64),
    /// `ValidateCount`.
    Count(i64, i64),
    /// `ValidatePattern`: pattern, ignore case, error message.
    Pattern(Arc<str>, bool, Option<Arc<str>>),
    /// `ValidateScript`: block, error message.
    Script(Value, Option<Arc<str>>),
    /// `ValidateNotNull`.
    NotNull,
    /// `ValidateNotNullOrEmpty`.
    NotNullOrEmpty,
    /// `ValidateNotNullOrWhiteSpace`.
    NotNullOrWhiteSpace,
}

/// A parameter of a cmdlet, function or script.
#[derive(Clone, Debug)]
pub struct ParameterInfo {
    /// Name without dash.
    pub name: Arc<str>,
    /// Declared type; `System.Object` when none.
    pub type_ref: TypeRef,
    /// Whether a type was declared at all.
    pub typed: bool,
    /// Other names.
    pub aliases: Vec<Arc<str>>,
    /// Parameter sets it belongs to.
    pub sets: Vec<SetMembership>,
    /// Checks.
    pub validators: Vec<Validator>,
    /// `AllowNull`.
    pub allow_null: bool,
    /// `AllowEmptyString`.
    pub allow_empty_string: bool,
    /// `AllowEmptyCollection`.
    pub allow_empty_collection: bool,
    /// `DontShow`.
    pub hidden: bool,
    /// Declared in a script: errors speak of argument transformation.
    pub from_script: bool,
}

impl ParameterInfo {
    /// A parameter in all sets. `type_name` is a full .NET name (`System.String[]`) or one of the short names
    /// `string`, `string[]`, `int`, `long`, `bool`, `switch`, `object`, `object[]`, `scriptblock`,
    /// `hashtable`, `datetime`, `timespan`, `psobject`, `char`, `double`.
    pub fn new(name: &str, type_name: &str) -> Self {
        Self {
            name: Arc::from(name),
            type_ref: short_type(type_name),
            typed: true,
            aliases: Vec::new(),
            sets: vec![SetMembership::default()],
            validators: Vec::new(),
            allow_null: false,
            allow_empty_string: false,
            allow_empty_collection: false,
            hidden: false,
            from_script: false,
        }
    }

    /// A `[switch]`.
    pub fn switch(name: &str) -> Self {
        Self::new(name, "switch")
    }

    fn each(mut self, change: impl Fn(&mut SetMembership)) -> Self {
        self.sets.iter_mut().for_each(change);
        self
    }

    /// Its position in all its sets.
    #[must_use]
    pub fn position(self, position: i32) -> Self {
        self.each(|s| s.position = Some(position))
    }

    /// Mandatory in all its sets.
    #[must_use]
    pub fn mandatory(self) -> Self {
        self.each(|s| s.mandatory = true)
    }

    /// Takes the pipeline's objects.
    #[must_use]
    pub fn pipeline(self) -> Self {
        self.each(|s| s.from_pipeline = true)
    }

    /// Takes the property of its name (or an alias) from the pipeline's objects.
    #[must_use]
    pub fn by_property(self) -> Self {
        self.each(|s| s.from_property = true)
    }

    /// Takes all arguments that are left.
    #[must_use]
    pub fn remaining(self) -> Self {
        self.each(|s| s.from_remaining = true)
    }

    /// Only in these sets. Call it before the other builders.
    #[must_use]
    pub fn in_sets(mut self, sets: &[&str]) -> Self {
        let like = self.sets.first().cloned().unwrap_or_default();
        self.sets = sets.iter().map(|s| SetMembership { set: Some(Arc::from(*s)), ..like.clone() }).collect();
        self
    }

    /// One membership more, for parameters that differ between sets.
    #[must_use]
    pub fn also_in(mut self, set: &str, change: impl FnOnce(&mut SetMembership)) -> Self {
        let mut membership = SetMembership { set: Some(Arc::from(set)), ..SetMembership::default() };
        change(&mut membership);
        self.sets.push(membership);
        self
    }

    /// Another name.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        self.aliases.push(Arc::from(name));
        self
    }

    /// A check.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// Only these values (without regard to case).
    #[must_use]
    pub fn one_of(self, values: &[&str]) -> Self {
        let values = values.iter().map(|v| Arc::from(*v)).collect();
        self.validate(Validator::Set(values, true, None))
    }

    /// `AllowNull`, `AllowEmptyString` and `AllowEmptyCollection`.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.allow_null = true;
        self.allow_empty_string = true;
        self.allow_empty_collection = true;
        self
    }

    /// Whether it is a `[switch]`.
    pub fn is_switch(&self) -> bool {
        self.type_ref.full_name() == "System.Management.Automation.SwitchParameter"
    }

    /// Whether a name is this parameter's name or an alias.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    }

    /// Its membership in a set, if it is in it.
    pub fn membership(&self, set: Option<&str>) -> Option<&SetMembership> {
        self.sets
            .iter()
            .find(|m| match (&m.set, set) {
                (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                _ => false,
            })
            .or_else(|| self.sets.iter().find(|m| m.set.is_none()))
    }
}

/// The type behind the short names that parameter declarations use.
pub fn short_type(name: &str) -> TypeRef {
    if let Some(element) = name.strip_suffix("[]") {
        return short_type(element).array(1);
    }
    if let Some(kind) = crate::dotnet::enum_type(name) {
        return TypeRef::of_enum(&kind);
    }
    TypeRef::named(match name {
        "string" => "System.String",
        "int" => "System.Int32",
        "long" => "System.Int64",
        "double" => "System.Double",
        "bool" => "System.Boolean",
        "char" => "System.Char",
        "byte" => "System.Byte",
        "uint" => "System.UInt32",
        "switch" => "System.Management.Automation.SwitchParameter",
        "object" => "System.Object",
        "psobject" => "System.Management.Automation.PSObject",
        "scriptblock" => "System.Management.Automation.ScriptBlock",
        "hashtable" => "System.Collections.Hashtable",
        "dictionary" => "System.Collections.IDictionary",
        "datetime" => "System.DateTime",
        "timespan" => "System.TimeSpan",
        "pscredential" => "System.Management.Automation.PSCredential",
        "uri" => "System.Uri",
        "guid" => "System.Guid",
        other => other,
    })
}

/// A cmdlet written in Rust: one value per invocation.
///
/// Parameters are bound and converted before `begin`; those that come from the pipeline are set anew before
/// every `process`. Without pipeline input `process` is called once.
pub trait Cmdlet {
    /// Called once before any input.
    fn begin(&mut self, _context: &mut CmdletContext<'_>) -> Run {
        Ok(())
    }
    /// Called for every input object.
    fn process(&mut self, _context: &mut CmdletContext<'_>) -> Run {
        Ok(())
    }
    /// Called once after all input.
    fn end(&mut self, _context: &mut CmdletContext<'_>) -> Run {
        Ok(())
    }
}

/// Metadata of a cmdlet.
#[derive(Debug)]
pub struct CmdletInfo {
    /// `Verb-Noun`.
    pub name: &'static str,
    /// .NET type name, which error identifiers end in: `Microsoft.PowerShell.Commands.GetItemCommand`.
    pub type_name: &'static str,
    /// Module: `Microsoft.PowerShell.Management`.
    pub module: &'static str,
    /// Parameters in declaration order, without the common ones.
    pub parameters: Vec<ParameterInfo>,
    /// Default parameter set.
    pub default_set: Option<&'static str>,
    /// Has `-WhatIf` and `-Confirm`.
    pub should_process: bool,
    /// `ConfirmImpact.High`.
    pub high_impact: bool,
    /// Makes one.
    pub create: fn() -> Box<dyn Cmdlet>,
}

impl CmdletInfo {
    /// A cmdlet without parameters.
    pub fn new(
        name: &'static str,
        type_name: &'static str,
        module: &'static str,
        create: fn() -> Box<dyn Cmdlet>,
    ) -> Self {
        Self {
            name,
            type_name,
            module,
            parameters: Vec::new(),
            default_set: None,
            should_process: false,
            high_impact: false,
            create,
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, parameter: ParameterInfo) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Sets the default parameter set.
    #[must_use]
    pub fn default_set(mut self, set: &'static str) -> Self {
        self.default_set = Some(set);
        self
    }

    /// Adds `-WhatIf` and `-Confirm`.
    #[must_use]
    pub fn should_process(mut self) -> Self {
        self.should_process = true;
        self
    }
}

/// The cmdlets and the built-in aliases of a runspace.
#[derive(Clone, Debug, Default)]
pub struct CommandTable {
    cmdlets: HashMap<String, Arc<CmdletInfo>>,
    aliases: Vec<(&'static str, &'static str)>,
}

impl CommandTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a cmdlet.
    pub fn add(&mut self, info: CmdletInfo) {
        self.cmdlets.insert(info.name.to_ascii_lowercase(), Arc::new(info));
    }

    /// Adds a built-in alias.
    pub fn alias(&mut self, name: &'static str, target: &'static str) {
        self.aliases.push((name, target));
    }

    /// Finds a cmdlet without regard to case.
    pub fn get(&self, name: &str) -> Option<&Arc<CmdletInfo>> {
        self.cmdlets.get(&name.to_ascii_lowercase())
    }

    /// All cmdlets, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<CmdletInfo>> {
        self.cmdlets.values()
    }

    /// All built-in aliases.
    pub fn aliases(&self) -> &[(&'static str, &'static str)] {
        &self.aliases
    }
}
