//! `Join-Path` and `Split-Path`: paths as words.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};

use super::MANAGEMENT;
use super::paths::{Provider, drive_root, expand, no_drive, split_drive};

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new("Join-Path", "Microsoft.PowerShell.Commands.JoinPathCommand", MANAGEMENT, || {
            Box::new(JoinPath)
        })
        .with(P::new("Path", "string[]").mandatory().position(0).pipeline().by_property().alias("PSPath"))
        .with(P::new("ChildPath", "string[]").mandatory().position(1).by_property().allow_empty())
        .with(P::new("AdditionalChildPath", "string[]").position(2).by_property().remaining().allow_empty())
        .with(P::switch("Resolve"))
        .with(P::new("Extension", "string").allow_empty()),
    );
    let part = |name: &str| P::switch(name).in_sets(&[&format!("{name}Set")]);
    table.add(
        CmdletInfo::new("Split-Path", "Microsoft.PowerShell.Commands.SplitPathCommand", MANAGEMENT, || {
            Box::new(SplitPath)
        })
        .default_set("ParentSet")
        .with(
            P::new("Path", "string[]")
                .in_sets(&[
                    "ParentSet",
                    "LeafSet",
                    "LeafBaseSet",
                    "ExtensionSet",
                    "QualifierSet",
                    "NoQualifierSet",
                    "IsAbsoluteSet",
                ])
                .mandatory()
                .position(0)
                .pipeline()
                .by_property(),
        )
        .with(
            P::new("LiteralPath", "string[]")
                .in_sets(&["LiteralPathSet"])
                .mandatory()
                .alias("PSPath")
                .alias("LP")
                .by_property(),
        )
        .with(part("Qualifier"))
        .with(part("NoQualifier"))
        .with(part("Parent"))
        .with(part("Leaf"))
        .with(part("LeafBase"))
        .with(part("Extension"))
        .with(P::switch("Resolve"))
        .with(part("IsAbsolute")),
    );
}

/// Joins two parts with one slash.
fn join(path: &str, child: &str) -> String {
    let (path, child) = (path.replace('\\', "/"), child.replace('\\', "/"));
    if path.is_empty() {
        return child;
    }
    format!("{}/{}", path.strip_suffix('/').unwrap_or(&path), child.strip_prefix('/').unwrap_or(&child))
}

struct JoinPath;

impl Cmdlet for JoinPath {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let children: Vec<String> =
            context.texts("ChildPath").into_iter().chain(context.texts("AdditionalChildPath")).collect();
        for path in context.texts("Path") {
            if let Some((drive, _)) = split_drive(&path)
                && !path.contains("::")
                && Provider::of_drive(drive).is_none()
                && drive_root(context.runspace, drive).is_none()
            {
                let error = no_drive(drive);
                context.error(Arc::clone(error.record()))?;
                continue;
            }
            let mut joined = children.iter().fold(path, |joined, child| join(&joined, child));
            if let Some(extension) = context.text("Extension") {
                let name_at = joined.rfind('/').map_or(0, |i| i + 1);
                if let Some(dot) = joined.get(name_at..).and_then(|n| n.rfind('.')) {
                    joined.truncate(name_at + dot);
                }
                if !extension.is_empty() {
                    joined.push('.');
                    joined.push_str(extension.trim_start_matches('.'));
                }
            }
            if context.switch("Resolve") {
                resolved(context, &joined)?;
            } else {
                context.write(joined)?;
            }
        }
        Ok(())
    }
}

/// Writes the places a path leads to, or the error.
fn resolved(context: &mut CmdletContext<'_>, path: &str) -> Run {
    match existing(context, path)? {
        Some(found) => found.into_iter().try_for_each(|p| context.write(p)),
        None => Ok(()),
    }
}

fn existing(context: &mut CmdletContext<'_>, path: &str) -> Run<Option<Vec<String>>> {
    let error = match expand(context.runspace, path, false, true) {
        Ok(found) => {
            let pattern = hop_powershell_runtime::wildcard::has_wildcard(path);
            match found.iter().find(|p| !p.exists(context.runspace)) {
                Some(missing) => missing.not_found(),
                None if found.is_empty() && pattern => {
                    let (folder, _) = path.rsplit_once('/').unwrap_or((".", ""));
                    match super::resolve(context.runspace, folder) {
                        Ok(place) if !place.exists(context.runspace) => place.not_found(),
                        _ => return Ok(Some(Vec::new())),
                    }
                }
                None => return Ok(Some(found.iter().map(|p| p.shown()).collect())),
            }
        }
        Err(error) => error,
    };
    context.error(Arc::clone(error.record()))?;
    Ok(None)
}

fn parent_of(path: &str) -> Option<String> {
    let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    match trimmed.rfind('/') {
        Some(0) if trimmed.len() == 1 => None,
        Some(0) => Some("/".to_owned()),
        Some(at) => trimmed.get(..at).map(str::to_owned),
        None => Some(String::new()),
    }
}

struct SplitPath;

impl Cmdlet for SplitPath {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let paths = context.texts(if context.has("LiteralPath") { "LiteralPath" } else { "Path" });
        for path in paths {
            let list = if context.switch("Resolve") {
                existing(context, &path)?.unwrap_or_default()
            } else {
                vec![path]
            };
            for path in list {
                self.split(context, &path)?;
            }
        }
        Ok(())
    }
}

impl SplitPath {
    fn split(&self, context: &mut CmdletContext<'_>, path: &str) -> Run {
        let qualifier = match path.find("::") {
            Some(at) => path.get(..at + 2),
            None => split_drive(path).and_then(|(drive, _)| path.get(..=drive.len())),
        };
        if context.switch("Qualifier") {
            return match qualifier {
                Some(q) => context.write(Value::string(q)),
                None => context.error_with(
                    "System.FormatException",
                    "ParsePathFormatError",
                    ErrorCategory::InvalidArgument,
                    Value::string(path),
                    format!("Cannot parse path because path '{path}' does not have a qualifier specified."),
                ),
            };
        }
        let rest = qualifier.and_then(|q| path.get(q.len()..)).unwrap_or(path);
        if context.switch("NoQualifier") {
            return context.write(Value::string(rest));
        }
        if context.switch("IsAbsolute") {
            return context.write(Value::Bool(qualifier.is_some() || path.starts_with(['/', '~'])));
        }
        let slashed = path.replace('\\', "/");
        let leaf = slashed.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        let leaf = match leaf.split_once(':') {
            Some((_, name)) if slashed.contains(':') && !slashed.contains('/') => name,
            _ => leaf,
        };
        let leaf = if slashed.chars().all(|c| c == '/') && !slashed.is_empty() { "/" } else { leaf };
        let dot = leaf.rfind('.').unwrap_or(leaf.len());
        if context.switch("Leaf") {
            return context.write(Value::string(leaf));
        }
        if context.switch("LeafBase") {
            return context.write(Value::string(leaf.get(..dot).unwrap_or(leaf)));
        }
        if context.switch("Extension") {
            return context.write(Value::string(leaf.get(dot..).unwrap_or("")));
        }
        match parent_of(&slashed) {
            Some(parent) => context.write(parent),
            None => {
                let error = Error::new(
                    "System.Management.Automation.PSArgumentException",
                    "Argument",
                    ErrorCategory::InvalidArgument,
                    "Cannot process argument because the value of argument \"path\" is not valid. Change the value of the \"path\" argument and run the operation again.",
                );
                Err(context.terminate(error))
            }
        }
    }
}
