//! Commands about commands: `Get-Command`, `Get-Alias`.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::operators::compare_text;
use hop_powershell_runtime::resolve::Resolved;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};
use hop_powershell_runtime::wildcard::{has_wildcard, is_like};

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new(
            "Get-Command",
            "Microsoft.PowerShell.Commands.GetCommandCommand",
            "Microsoft.PowerShell.Core",
            || Box::new(GetCommand),
        )
        .default_set("CmdletSet")
        .with(P::new("Name", "string[]").in_sets(&["AllCommandSet"]).position(0).pipeline().by_property())
        .with(P::new("Verb", "string[]").in_sets(&["CmdletSet"]).by_property())
        .with(P::new("Noun", "string[]").in_sets(&["CmdletSet"]).by_property())
        .with(P::new("Module", "string[]").by_property().alias("PSSnapin"))
        .with(P::new("CommandType", "string[]").in_sets(&["AllCommandSet"]).by_property().alias("Type"))
        .with(P::new("TotalCount", "int"))
        .with(P::switch("Syntax"))
        .with(P::switch("All"))
        .with(P::switch("ListImported"))
        .with(P::new("ParameterName", "string[]"))
        .with(P::new("ArgumentList", "object[]").alias("Args")),
    );
    table.add(
        CmdletInfo::new(
            "Get-Alias",
            "Microsoft.PowerShell.Commands.GetAliasCommand",
            "Microsoft.PowerShell.Utility",
            || Box::new(GetAlias),
        )
        .default_set("Default")
        .with(P::new("Name", "string[]").in_sets(&["Default"]).position(0).pipeline().by_property())
        .with(P::new("Exclude", "string[]"))
        .with(P::new("Scope", "string"))
        .with(P::new("Definition", "string[]").in_sets(&["Definition"])),
    );
    table.alias("gcm", "Get-Command");
    table.alias("gal", "Get-Alias");
}

struct GetCommand;

impl GetCommand {
    fn wanted(context: &mut CmdletContext<'_>, info: &Value) -> bool {
        let get = |context: &mut CmdletContext<'_>, name: &str| {
            let found = hop_powershell_runtime::members::get(info, name, context.runspace);
            found.ok().flatten().map(|v| to_text(&v)).unwrap_or_default()
        };
        let kind = get(context, "CommandType");
        let kinds = context.texts("CommandType");
        let of_kind = kinds.is_empty()
            || kinds
                .iter()
                .flat_map(|k| k.split(','))
                .any(|k| k.trim().eq_ignore_ascii_case("All") || k.trim().eq_ignore_ascii_case(&kind));
        let like = |value: &str, patterns: &[String]| {
            patterns.is_empty() || patterns.iter().any(|p| is_like(value, p))
        };
        let (verbs, nouns, modules) = (context.texts("Verb"), context.texts("Noun"), context.texts("Module"));
        if (!verbs.is_empty() || !nouns.is_empty())
            && !matches!(kind.as_str(), "Cmdlet" | "Function" | "Filter")
        {
            return false;
        }
        of_kind
            && (verbs.is_empty() || like(&get(context, "Verb"), &verbs))
            && (nouns.is_empty() || like(&get(context, "Noun"), &nouns))
            && (modules.is_empty() || like(&get(context, "ModuleName"), &modules))
    }

    fn all(context: &mut CmdletContext<'_>, pattern: &str) -> Vec<Value> {
        let runspace = &mut *context.runspace;
        let mut names: Vec<String> =
            runspace.commands.iter().map(|c| c.name.to_owned()).filter(|n| n.contains('-')).collect();
        names.extend(runspace.function_names());
        names.retain(|n| is_like(n, pattern));
        names.sort_by(|a, b| compare_text(a, b, true));
        names.dedup();
        let mut found = Vec::new();
        for alias in runspace.alias_names().into_iter().filter(|n| is_like(n, pattern)) {
            if let Some(alias) = runspace.find_alias(&alias) {
                found.push(runspace.alias_info(&alias));
            }
        }
        for name in names {
            if let Ok(resolved) = runspace.resolve_command(&name) {
                found.push(runspace.command_info(&resolved, &name));
            }
        }
        found
    }

    fn show(context: &mut CmdletContext<'_>, name: &str, info: Value) -> Run {
        if !context.switch("Syntax") {
            return context.write(info);
        }
        match context.runspace.resolve_command(name) {
            Ok(resolved @ (Resolved::Cmdlet(_) | Resolved::Function(..) | Resolved::File(..))) => {
                let text = context.runspace.command_syntax(&resolved, name)?;
                context.write(text)
            }
            _ => {
                let definition = hop_powershell_runtime::members::get(&info, "Definition", context.runspace)?;
                context.write(definition.unwrap_or_default())
            }
        }
    }
}

impl Cmdlet for GetCommand {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let names = context.texts("Name");
        let limit = context.integer("TotalCount").and_then(|n| usize::try_from(n).ok());
        let mut left = limit.unwrap_or(usize::MAX);
        let patterns = if names.is_empty() { vec!["*".to_owned()] } else { names };
        for name in patterns {
            if has_wildcard(&name) {
                for info in Self::all(context, &name) {
                    if left == 0 {
                        return Ok(());
                    }
                    if Self::wanted(context, &info) {
                        left -= 1;
                        let own = to_text(&info);
                        Self::show(context, &own, info)?;
                    }
                }
                continue;
            }
            let found = match context.runspace.find_alias(&name) {
                Some(alias) => Some(context.runspace.alias_info(&alias)),
                None => match context.runspace.resolve_command(&name) {
                    Ok(resolved) => Some(context.runspace.command_info(&resolved, &name)),
                    Err(_) => None,
                },
            };
            let mut found = found.into_iter().collect::<Vec<_>>();
            if context.switch("All")
                && let Some(info) = context.runspace.commands.get(&name).cloned()
            {
                let cmdlet = context.runspace.command_info(&Resolved::Cmdlet(info), &name);
                let known = found.iter().any(|f| f.type_name() == cmdlet.type_name());
                if !known {
                    found.push(cmdlet);
                }
            }
            found.retain(|info| Self::wanted(context, info));
            if found.is_empty() {
                let error = Error::new(
                    "System.Management.Automation.CommandNotFoundException",
                    "CommandNotFoundException",
                    ErrorCategory::ObjectNotFound,
                    format!(
                        "The term '{name}' is not recognized as a name of a cmdlet, function, script file, or executable program.\nCheck the spelling of the name, or if a path was included, verify that the path is correct and try again."
                    ),
                )
                .with_target(Value::string(&name));
                context.error(Arc::clone(error.record()))?;
            }
            for info in found {
                Self::show(context, &name, info)?;
            }
        }
        Ok(())
    }
}

struct GetAlias;

impl Cmdlet for GetAlias {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let definitions = context.texts("Definition");
        let exclude = context.texts("Exclude");
        let by_definition = !definitions.is_empty();
        let mut names = context.texts("Name");
        if names.is_empty() {
            names.push("*".to_owned());
        }
        let mut all = context.runspace.alias_names();
        all.sort_by(|a, b| compare_text(a, b, true));
        for wanted in if by_definition { definitions } else { names } {
            let mut any = false;
            for name in &all {
                let Some(alias) = context.runspace.find_alias(name) else { continue };
                let subject = if by_definition { &alias.target } else { name };
                if !is_like(subject, &wanted) || exclude.iter().any(|e| is_like(name, e)) {
                    continue;
                }
                any = true;
                let info = context.runspace.alias_info(&alias);
                context.write(info)?;
            }
            if !any && !has_wildcard(&wanted) {
                let what = if by_definition { "definition" } else { "name" };
                context.error_with(
                    "System.Management.Automation.ItemNotFoundException",
                    "ItemNotFoundException",
                    ErrorCategory::ObjectNotFound,
                    Value::string(&wanted),
                    format!("This command cannot find a matching alias because an alias with the {what} '{wanted}' does not exist."),
                )?;
            }
        }
        Ok(())
    }
}
