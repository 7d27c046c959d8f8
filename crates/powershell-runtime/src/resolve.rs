//! Finding commands: aliases, functions, cmdlets, scripts, programs.

use std::any::Any;
use std::sync::Arc;

use crate::command::CmdletInfo;
use crate::errors;
use crate::function::{FunctionInfo, ScriptBlock};
use crate::runspace::Runspace;
use crate::scope::{Alias, ItemOptions, Module};
use crate::value::{Error, NativeObject, TypeRef, Value, fold_case};

/// A command that was found.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A cmdlet.
    Cmdlet(Arc<CmdletInfo>),
    /// A function by its name.
    Function(String, Arc<ScriptBlock>),
    /// A script block.
    Block(Arc<ScriptBlock>),
    /// A script file by its path.
    File(String, Arc<ScriptBlock>),
    /// A program by its path.
    Native(String),
    /// A module whose state the arguments run in.
    InModule(Arc<Module>),
}

impl Runspace {
    /// The function of that name, from the running scope outward.
    pub fn find_function(&self, name: &str) -> Option<Arc<FunctionInfo>> {
        let key = fold_case(name);
        let mut scope = Some(&self.state.scope);
        while let Some(s) = scope {
            if let Some(f) = s.data().functions.get(&key) {
                return Some(f.clone());
            }
            scope = s.parent();
        }
        None
    }

    /// The alias of that name, from the running scope outward; then the built-in ones.
    pub fn find_alias(&self, name: &str) -> Option<Arc<Alias>> {
        let key = fold_case(name);
        let mut scope = Some(&self.state.scope);
        while let Some(s) = scope {
            if let Some(a) = s.data().aliases.get(&key) {
                if a.target.is_empty() {
                    return None;
                }
                return Some(a.clone());
            }
            scope = s.parent();
        }
        self.commands.aliases().iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(n, t)| {
            Arc::new(Alias {
                name: (*n).to_string(),
                target: (*t).to_string(),
                options: ItemOptions::default(),
                description: String::new(),
                module: String::new(),
            })
        })
    }

    /// Defines an alias in the running scope.
    pub fn set_alias(&mut self, name: &str, target: &str) {
        let alias = Alias {
            name: name.to_string(),
            target: target.to_string(),
            options: ItemOptions::default(),
            description: String::new(),
            module: String::new(),
        };
        self.state.scope.data().aliases.insert(fold_case(name), Arc::new(alias));
    }

    /// Defines an alias in a scope.
    pub fn set_alias_in(&mut self, scope: &Arc<crate::scope::Scope>, name: &str, target: &str) {
        let alias = Alias {
            name: name.to_string(),
            target: target.to_string(),
            options: ItemOptions::default(),
            description: String::new(),
            module: String::new(),
        };
        scope.data().aliases.insert(fold_case(name), Arc::new(alias));
    }

    /// Removes an alias from the nearest scope that has it; a built-in one is hidden.
    pub fn remove_alias(&mut self, name: &str) {
        let key = fold_case(name);
        let mut scope = Some(self.state.scope.clone());
        while let Some(s) = scope {
            if s.data().aliases.remove(&key).is_some() {
                return;
            }
            scope = s.parent().cloned();
        }
        let global = self.global.clone();
        self.set_alias_in(&global, name, "");
    }

    /// Finds a command as PowerShell does: alias, function, cmdlet, script or program.
    pub fn resolve_command(&mut self, name: &str) -> Result<Resolved, Error> {
        let mut current = name.to_string();
        for _ in 0..64 {
            match self.find_alias(&current) {
                Some(a) if !a.target.eq_ignore_ascii_case(&current) => current.clone_from(&a.target),
                _ => break,
            }
        }
        if let Some(found) = self.resolve_plain(&current)? {
            return Ok(found);
        }
        // `Module\Command`.
        if let Some((module, rest)) = current.split_once('\\')
            && !module.contains('/')
        {
            let imported = self.modules.iter().find(|m| m.name.eq_ignore_ascii_case(module)).cloned();
            if let Some(m) = imported {
                let found = m.scope().and_then(|s| s.data().functions.get(&fold_case(rest)).cloned());
                if let Some(f) = found {
                    return Ok(Resolved::Function(f.name.clone(), f.block.clone()));
                }
            }
            if let Some(info) = self.commands.get(rest)
                && info.module.eq_ignore_ascii_case(module)
            {
                return Ok(Resolved::Cmdlet(info.clone()));
            }
        }
        let autoload = format!("Get-{current}");
        if let Some(found) = self.resolve_plain(&autoload)?
            && matches!(found, Resolved::Cmdlet(_))
            && !current.contains(['-', '/', '.'])
        {
            return Ok(found);
        }
        let error = errors::command_not_found(name);
        Err(error)
    }

    fn resolve_plain(&mut self, name: &str) -> Result<Option<Resolved>, Error> {
        if name.is_empty() {
            return Ok(None);
        }
        let scoped = name.split_once(':').and_then(|(s, n)| self.scope_named(s).map(|s| (s, n)));
        if let Some((scope, n)) = scoped {
            let found = scope.data().functions.get(&fold_case(n)).cloned();
            if let Some(f) = found {
                return Ok(Some(Resolved::Function(f.name.clone(), f.block.clone())));
            }
        }
        if let Some(f) = self.find_function(name) {
            return Ok(Some(Resolved::Function(f.name.clone(), f.block.clone())));
        }
        if let Some(info) = self.commands.get(name) {
            return Ok(Some(Resolved::Cmdlet(info.clone())));
        }
        if name.contains('/') || name.contains('\\') {
            let path = self.full_path(&name.replace('\\', "/"));
            return self.resolve_path_command(&path);
        }
        let path = self.env.get("PATH").cloned().unwrap_or_default();
        for directory in path.split(':').filter(|d| !d.is_empty()) {
            let full = format!("{}/{name}", directory.trim_end_matches('/'));
            if self.platform.is_executable(&full) {
                return Ok(Some(Resolved::Native(full)));
            }
            if name.to_ascii_lowercase().ends_with(".ps1") && self.platform.is_file(&full) {
                return self.resolve_path_command(&full);
            }
        }
        Ok(None)
    }

    fn resolve_path_command(&mut self, path: &str) -> Result<Option<Resolved>, Error> {
        let candidates = [path.to_string(), format!("{path}.ps1")];
        for candidate in candidates {
            if candidate.to_ascii_lowercase().ends_with(".ps1") && self.platform.is_file(&candidate) {
                let block = self.load_script(&candidate)?;
                return Ok(Some(Resolved::File(candidate, block)));
            }
        }
        if self.platform.is_executable(path) {
            return Ok(Some(Resolved::Native(path.to_string())));
        }
        Ok(None)
    }

    /// Reads and parses a script file.
    pub fn load_script(&mut self, path: &str) -> Result<Arc<ScriptBlock>, Error> {
        let bytes = self.platform.read_file(path).map_err(|e| {
            errors::runtime(
                "CommandNotFoundException",
                crate::value::ErrorCategory::ObjectNotFound,
                format!("Cannot read '{path}': {e}"),
            )
        })?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let ast = self.parse(&text, Some(path))?;
        crate::requires::check(self, &ast, path)?;
        Ok(Arc::new(ScriptBlock::new(ast, None)))
    }

    /// An absolute file system path; `.` and `..` are taken out.
    pub fn full_path(&self, path: &str) -> String {
        let home = self.env.get("HOME").map_or("", |h| h);
        let expanded = match path {
            "~" => home.to_string(),
            p if p.starts_with("~/") => format!("{home}{}", &p[1..]),
            p => p.to_string(),
        };
        let joined =
            if expanded.starts_with('/') { expanded } else { format!("{}/{expanded}", self.location) };
        let mut parts: Vec<&str> = Vec::new();
        for part in joined.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                p => parts.push(p),
            }
        }
        format!("/{}", parts.join("/"))
    }

    /// The info object of a command (`MyCommand`, `Get-Command`).
    pub fn command_info(&mut self, resolved: &Resolved, name: &str) -> Value {
        let object = match resolved {
            Resolved::Cmdlet(info) => CommandObject {
                name: info.name.to_string(),
                kind: "Cmdlet",
                definition: info.name.to_string(),
                source: info.module.to_string(),
                block: None,
                cmdlet: Some(info.clone()),
            },
            Resolved::Function(n, block) => CommandObject {
                name: n.clone(),
                kind: if block.is_filter { "Filter" } else { "Function" },
                definition: block.ast.source.slice(block.ast.body_span).to_string(),
                source: block
                    .module
                    .as_ref()
                    .filter(|m| !m.is_closure)
                    .map_or(String::new(), |m| m.name.clone()),
                block: Some(block.clone()),
                cmdlet: None,
            },
            Resolved::Block(block) => CommandObject {
                name: String::new(),
                kind: "Script",
                definition: block.ast.source.slice(block.ast.body_span).to_string(),
                source: String::new(),
                block: Some(block.clone()),
                cmdlet: None,
            },
            Resolved::File(path, block) => CommandObject {
                name: path.rsplit('/').next().unwrap_or(path).to_string(),
                kind: "ExternalScript",
                definition: path.clone(),
                source: path.clone(),
                block: Some(block.clone()),
                cmdlet: None,
            },
            Resolved::Native(path) => CommandObject {
                name: path.rsplit('/').next().unwrap_or(path).to_string(),
                kind: "Application",
                definition: path.clone(),
                source: path.clone(),
                block: None,
                cmdlet: None,
            },
            Resolved::InModule(_) => return Value::string(name),
        };
        Value::native(object)
    }

    /// The info object of an alias.
    pub fn alias_info(&mut self, alias: &Alias) -> Value {
        Value::native(CommandObject {
            name: alias.name.clone(),
            kind: "Alias",
            definition: alias.target.clone(),
            source: alias.module.clone(),
            block: None,
            cmdlet: self.commands.get(&alias.target).cloned(),
        })
    }
}

/// `CommandInfo` and its kin.
#[derive(Debug)]
pub struct CommandObject {
    /// `Name`.
    pub name: String,
    /// `CommandType`.
    pub kind: &'static str,
    /// `Definition`.
    pub definition: String,
    /// `Source`.
    pub source: String,
    /// A function's or script's block.
    pub block: Option<Arc<ScriptBlock>>,
    /// A cmdlet.
    pub cmdlet: Option<Arc<CmdletInfo>>,
}

impl NativeObject for CommandObject {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named(match self.kind {
            "Cmdlet" => "System.Management.Automation.CmdletInfo",
            "Function" => "System.Management.Automation.FunctionInfo",
            "Filter" => "System.Management.Automation.FilterInfo",
            "ExternalScript" => "System.Management.Automation.ExternalScriptInfo",
            "Application" => "System.Management.Automation.ApplicationInfo",
            "Alias" => "System.Management.Automation.AliasInfo",
            _ => "System.Management.Automation.ScriptInfo",
        })
    }

    fn text(&self) -> String {
        self.name.clone()
    }

    fn properties(&self) -> Vec<Arc<str>> {
        ["Name", "CommandType", "Definition", "Source", "ModuleName", "Version", "Visibility"]
            .into_iter()
            .map(Arc::from)
            .collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "name" => Value::string(&self.name),
            "commandtype" => crate::ops::command_type(self.kind),
            "definition" => Value::string(&self.definition),
            "displayname" if self.kind == "Alias" => {
                Value::from(format!("{} -> {}", self.name, self.definition))
            }
            "displayname" => Value::string(&self.name),
            "resolvedcommandname" if self.kind == "Alias" => Value::string(&self.definition),
            "description" if self.kind == "Alias" => Value::string(""),
            "source" => Value::string(&self.source),
            "path" if matches!(self.kind, "ExternalScript" | "Application") => {
                Value::string(&self.definition)
            }
            "modulename" => Value::string(if matches!(self.kind, "Application" | "ExternalScript") {
                ""
            } else {
                &self.source
            }),
            "scriptblock" => self.block.as_ref().map_or(Value::Null, |b| Value::ScriptBlock(b.clone())),
            "version" | "visibility" => Value::Null,
            "verb" => Value::string(self.name.split_once('-').map_or("", |(v, _)| v)),
            "noun" => Value::string(self.name.split_once('-').map_or("", |(_, n)| n)),
            _ => return None,
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A type as `Get-Command -Syntax` shows it.
fn syntax_type(kind: &TypeRef) -> String {
    match kind.kind() {
        crate::value::TypeKind::Array(element, _) => format!("{}[]", syntax_type(element)),
        crate::value::TypeKind::Enum(_) => kind.name(),
        _ => crate::dotnet::type_text(kind).rsplit('.').next().unwrap_or_default().to_string(),
    }
}

/// Listing what is defined.
impl Runspace {
    /// What `Get-Command -Syntax` shows.
    pub fn command_syntax(&mut self, resolved: &Resolved, name: &str) -> Result<String, crate::flow::Flow> {
        let (parameters, common, should, shown) = match resolved {
            Resolved::Cmdlet(info) => {
                (info.parameters.clone(), true, info.should_process, info.name.to_string())
            }
            Resolved::Function(n, block) | Resolved::File(n, block) => {
                let metadata = self.metadata(block)?;
                (metadata.parameters.clone(), metadata.advanced, metadata.should_process, n.clone())
            }
            _ => return Ok(name.to_string()),
        };
        let mut sets: Vec<Option<Arc<str>>> = Vec::new();
        for set in parameters.iter().flat_map(|p| &p.sets).filter_map(|m| m.set.clone()) {
            if !sets.contains(&Some(set.clone())) {
                sets.push(Some(set));
            }
        }
        if sets.is_empty() {
            sets.push(None);
        }
        let mut text = String::new();
        for set in sets {
            let mut listed: Vec<(i32, String)> = Vec::new();
            for p in parameters.iter().filter(|p| !p.hidden) {
                let Some(m) = p.membership(set.as_deref()) else { continue };
                let dashed = format!("-{}", p.name);
                let word = if p.is_switch() {
                    format!("[{dashed}]")
                } else {
                    let kind = syntax_type(&p.type_ref);
                    match (m.mandatory, m.position) {
                        (true, Some(_)) => format!("[{dashed}] <{kind}>"),
                        (true, None) => format!("{dashed} <{kind}>"),
                        (false, Some(_)) => format!("[[{dashed}] <{kind}>]"),
                        (false, None) => format!("[{dashed} <{kind}>]"),
                    }
                };
                let rank = match (m.position, m.mandatory) {
                    (Some(position), _) => position,
                    (None, true) => i32::MAX - 1,
                    (None, false) => i32::MAX,
                };
                listed.push((rank, word));
            }
            listed.sort_by_key(|(rank, _)| *rank);
            let mut words = vec![shown.clone()];
            words.extend(listed.into_iter().map(|(_, w)| w));
            if should {
                words.push("[-WhatIf]".into());
                words.push("[-Confirm]".into());
            }
            if common {
                words.push("[<CommonParameters>]".into());
            }
            text.push_str(&format!("\n{}\n", words.join(" ")));
        }
        Ok(text)
    }

    fn each_scope(&self, mut visit: impl FnMut(&mut crate::scope::ScopeData)) {
        let mut scope = Some(&self.state.scope);
        while let Some(s) = scope {
            visit(&mut s.data());
            scope = s.parent();
        }
    }

    /// Names of all visible variables.
    pub fn variable_names(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeMap::new();
        self.each_scope(|data| {
            for (key, cell) in &data.variables {
                seen.entry(key.clone()).or_insert_with(|| cell.with(|v| v.name.clone()));
            }
        });
        seen.into_values().collect()
    }

    /// Names of all visible functions.
    pub fn function_names(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeMap::new();
        self.each_scope(|data| {
            for (key, f) in &data.functions {
                seen.entry(key.clone()).or_insert_with(|| f.name.clone());
            }
        });
        seen.into_values().collect()
    }

    /// Names of all visible aliases.
    pub fn alias_names(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeMap::new();
        self.each_scope(|data| {
            for (key, a) in &data.aliases {
                seen.entry(key.clone()).or_insert_with(|| a.name.clone());
            }
        });
        for (name, _) in self.commands.aliases() {
            seen.entry(fold_case(name)).or_insert_with(|| (*name).to_string());
        }
        seen.into_values().filter(|n| self.find_alias(n).is_some()).collect()
    }

    /// Removes a function from the nearest scope that has it; whether there was one.
    pub fn remove_function(&mut self, name: &str) -> bool {
        let key = fold_case(name);
        let mut scope = Some(self.state.scope.clone());
        while let Some(s) = scope {
            if s.data().functions.remove(&key).is_some() {
                return true;
            }
            scope = s.parent().cloned();
        }
        false
    }
}
