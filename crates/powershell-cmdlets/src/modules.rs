//! Script modules: `Import-Module`, `New-Module`, `Export-ModuleMember`, `Get-Module`, `Remove-Module`.

use std::sync::{Arc, PoisonError};

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::function::ScriptBlock;
use hop_powershell_runtime::module::ModuleObject;
use hop_powershell_runtime::scope::Module;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};
use hop_powershell_runtime::wildcard::is_like;

const CORE: &str = "Microsoft.PowerShell.Core";

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new("Import-Module", "Microsoft.PowerShell.Commands.ImportModuleCommand", CORE, || {
            Box::new(ImportModule)
        })
        .with(P::new("Name", "object[]").mandatory().position(0).pipeline())
        .with(P::switch("Global"))
        .with(P::new("Prefix", "string"))
        .with(P::new("Function", "string[]"))
        .with(P::new("Cmdlet", "string[]"))
        .with(P::new("Variable", "string[]"))
        .with(P::new("Alias", "string[]"))
        .with(P::switch("Force"))
        .with(P::switch("PassThru"))
        .with(P::switch("DisableNameChecking"))
        .with(P::new("MinimumVersion", "string").alias("Version"))
        .with(P::new("RequiredVersion", "string"))
        .with(P::new("ArgumentList", "object[]").alias("Args"))
        .with(P::new("Scope", "string")),
    );
    table.add(
        CmdletInfo::new("New-Module", "Microsoft.PowerShell.Commands.NewModuleCommand", CORE, || {
            Box::new(NewModule)
        })
        .default_set("ScriptBlock")
        .with(P::new("Name", "string").in_sets(&["Name"]).mandatory().position(0))
        .with(P::new("ScriptBlock", "scriptblock").in_sets(&["ScriptBlock"]).mandatory().position(0).also_in(
            "Name",
            |m| {
                m.mandatory = true;
                m.position = Some(1);
            },
        ))
        .with(P::new("Function", "string[]"))
        .with(P::new("Cmdlet", "string[]"))
        .with(P::switch("ReturnResult"))
        .with(P::new("ArgumentList", "object[]").alias("Args")),
    );
    table.add(
        CmdletInfo::new(
            "Export-ModuleMember",
            "Microsoft.PowerShell.Commands.ExportModuleMemberCommand",
            CORE,
            || Box::new(ExportMember),
        )
        .with({
            let mut p = P::new("Function", "string[]").position(0).pipeline();
            p.allow_empty_collection = true;
            p
        })
        .with(P::new("Cmdlet", "string[]"))
        .with(P::new("Variable", "string[]"))
        .with(P::new("Alias", "string[]")),
    );
    table.add(
        CmdletInfo::new("Get-Module", "Microsoft.PowerShell.Commands.GetModuleCommand", CORE, || {
            Box::new(GetModule)
        })
        .with(P::new("Name", "string[]").position(0).pipeline())
        .with(P::switch("All"))
        .with(P::switch("ListAvailable")),
    );
    table.add(
        CmdletInfo::new("Remove-Module", "Microsoft.PowerShell.Commands.RemoveModuleCommand", CORE, || {
            Box::new(RemoveModule)
        })
        .with(P::new("Name", "object[]").mandatory().position(0).pipeline())
        .with(P::switch("Force")),
    );
    for (name, target) in
        [("ipmo", "Import-Module"), ("gmo", "Get-Module"), ("rmo", "Remove-Module"), ("nmo", "New-Module")]
    {
        table.alias(name, target);
    }
}

/// The verbs that `Get-Verb` lists.
const VERBS: &str = " Add Approve Assert Backup Block Build Checkpoint Clear Close Compare Complete Compress Confirm Connect Convert ConvertFrom ConvertTo Copy Debug Deny Deploy Disable Disconnect Dismount Edit Enable Enter Exit Expand Export Find Format Get Grant Group Hide Import Initialize Install Invoke Join Limit Lock Measure Merge Mount Move New Open Optimize Out Ping Pop Protect Publish Push Read Receive Redo Register Remove Rename Repair Request Reset Resize Resolve Restart Restore Resume Revoke Save Search Select Send Set Show Skip Split Start Step Stop Submit Suspend Switch Sync Test Trace Unblock Undo Uninstall Unlock Unprotect Unpublish Unregister Update Use Wait Watch Write ";

fn not_found(name: &str) -> Error {
    Error::new(
        "System.IO.FileNotFoundException",
        "Modules_ModuleNotFound",
        ErrorCategory::ResourceUnavailable,
        format!("The specified module '{name}' was not loaded because no valid module file was found in any module directory."),
    )
    .with_target(Value::string(name))
}

struct ImportModule;

impl ImportModule {
    fn file(context: &CmdletContext<'_>, name: &str) -> Option<String> {
        let there = |path: &str| std::path::Path::new(path).is_file();
        let ends =
            |path: &str| [".psd1", ".psm1", ".ps1"].iter().any(|e| path.to_ascii_lowercase().ends_with(e));
        let candidates = |base: &str| {
            let last = base.rsplit('/').next().unwrap_or(base);
            [
                format!("{base}.psd1"),
                format!("{base}.psm1"),
                format!("{base}/{last}.psd1"),
                format!("{base}/{last}.psm1"),
            ]
        };
        if name.contains('/') || ends(name) {
            let full = context.runspace.full_path(name);
            if ends(&full) && there(&full) {
                return Some(full);
            }
            return candidates(&full).into_iter().find(|p| there(p));
        }
        let folders = context.runspace.env.get("PSModulePath").cloned().unwrap_or_default();
        folders
            .split(':')
            .filter(|f| !f.is_empty())
            .find_map(|folder| candidates(&format!("{folder}/{name}")).into_iter().skip(2).find(|p| there(p)))
    }

    fn load(context: &mut CmdletContext<'_>, name: &str, path: &str) -> Run<Arc<Module>> {
        let short = path.rsplit('/').next().unwrap_or(path);
        let short = short.rsplit_once('.').map_or(short, |(s, _)| s);
        if !path.to_ascii_lowercase().ends_with(".psd1") {
            let block = match context.runspace.load_script(path) {
                Ok(block) => block,
                Err(error) => return Err(context.terminate(error)),
            };
            let (runspace, out) = context.parts();
            return runspace.load_module(short, path, &block, out);
        }
        // A manifest: a table that names the module's own file and what it shows.
        let block = match context.runspace.load_script(path) {
            Ok(block) => block,
            Err(error) => return Err(context.terminate(error)),
        };
        let value = Value::ScriptBlock(block);
        let table = Value::from_output(context.collect_block(&value, None)?);
        let Value::Dict(table) = table.base() else {
            let error = not_found(name);
            return Err(context.terminate(error));
        };
        let get = |key: &str| table.get_str(key).map(|v| to_text(&v)).filter(|t| !t.is_empty());
        let folder = path.rsplit_once('/').map_or("", |(f, _)| f);
        let module = match get("RootModule").or_else(|| get("ModuleToProcess")) {
            Some(root) => {
                let file = format!("{folder}/{root}");
                let block = match context.runspace.load_script(&file) {
                    Ok(block) => block,
                    Err(_) => {
                        let error = not_found(&root);
                        return Err(context.terminate(error));
                    }
                };
                let (runspace, out) = context.parts();
                runspace.load_module(short, &file, &block, out)?
            }
            None => Arc::new(Module { name: short.to_owned(), path: path.to_owned(), ..Module::default() }),
        };
        let mut data = module.data.write().unwrap_or_else(PoisonError::into_inner);
        data.version = get("ModuleVersion").unwrap_or_default();
        data.description = get("Description").unwrap_or_default();
        if let Some(shown) = table.get_str("FunctionsToExport") {
            let patterns: Vec<String> = shown.into_items().iter().map(to_text).collect();
            data.exported_functions.retain(|n| patterns.iter().any(|p| is_like(n, p)));
        }
        if let Some(shown) = table.get_str("AliasesToExport") {
            let patterns: Vec<String> = shown.into_items().iter().map(to_text).collect();
            data.exported_aliases.retain(|n| patterns.iter().any(|p| is_like(n, p)));
        }
        drop(data);
        Ok(module)
    }
}

impl Cmdlet for ImportModule {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let prefix = context.text("Prefix").unwrap_or_default();
        for item in context.items("Name") {
            if let Value::Native(native) = item.base()
                && let Some(module) = native.as_any().downcast_ref::<ModuleObject>()
            {
                context.runspace.bring_in(&module.0, &prefix);
                continue;
            }
            let name = to_text(&item);
            let short = name.rsplit('/').next().unwrap_or(&name);
            let short = short.strip_suffix(".psm1").or_else(|| short.strip_suffix(".psd1")).unwrap_or(short);
            let loaded =
                context.runspace.modules.iter().find(|m| m.name.eq_ignore_ascii_case(short)).cloned();
            let module = match loaded {
                Some(module) if !context.switch("Force") => module,
                loaded => {
                    let Some(path) = Self::file(context, &name) else {
                        // The modules of the built-in cmdlets are always there.
                        let built_in =
                            context.runspace.commands.iter().any(|c| c.module.eq_ignore_ascii_case(&name));
                        if built_in {
                            continue;
                        }
                        let error = not_found(&name);
                        context.error(Arc::clone(error.record()))?;
                        continue;
                    };
                    if let Some(old) = loaded {
                        context.runspace.take_out(&old);
                    }
                    let module = Self::load(context, &name, &path)?;
                    let functions = context.texts("Function");
                    if !functions.is_empty() {
                        let mut data = module.data.write().unwrap_or_else(PoisonError::into_inner);
                        data.exported_functions.retain(|n| functions.iter().any(|p| is_like(n, p)));
                    }
                    context.runspace.bring_in(&module, &prefix);
                    let data = module.data.read().unwrap_or_else(PoisonError::into_inner);
                    let odd = data.exported_functions.iter().any(|n| {
                        n.split_once('-').is_some_and(|(verb, _)| {
                            !VERBS.to_ascii_lowercase().contains(&format!(" {} ", verb.to_ascii_lowercase()))
                        })
                    });
                    drop(data);
                    if odd && !context.switch("DisableNameChecking") {
                        context.warning(&format!("The names of some imported commands from the module '{}' include unapproved verbs that might make them less discoverable. To find the commands with unapproved verbs, run the Import-Module command again with the Verbose parameter. For a list of approved verbs, type Get-Verb.", module.name))?;
                    }
                    module
                }
            };
            if context.switch("PassThru") {
                context.write(Value::native(ModuleObject(module)))?;
            }
        }
        Ok(())
    }
}

struct NewModule;

impl Cmdlet for NewModule {
    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(block) = context.arg("ScriptBlock").and_then(ScriptBlock::from_value) else { return Ok(()) };
        let name = context.text("Name").unwrap_or_else(|| "__DynamicModule".to_owned());
        let mut out = Vec::new();
        let module = context.runspace.load_module(&name, "", &block, &mut out)?;
        context.runspace.bring_in(&module, "");
        if context.switch("ReturnResult") {
            return out.into_iter().try_for_each(|value| context.write(value));
        }
        context.write(Value::native(ModuleObject(module)))
    }
}

struct ExportMember;

impl Cmdlet for ExportMember {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(module) = context.runspace.scope().module.clone() else {
            let error = Error::new(
                "System.InvalidOperationException",
                "Modules_CanOnlyExecuteExportModuleMemberInsideAModule",
                ErrorCategory::PermissionDenied,
                "The Export-ModuleMember cmdlet can only be called from inside a module.",
            );
            return Err(context.terminate(error));
        };
        let (functions, aliases, variables) =
            (context.texts("Function"), context.texts("Alias"), context.texts("Variable"));
        let mut data = module.data.write().unwrap_or_else(PoisonError::into_inner);
        data.explicit = true;
        data.functions.get_or_insert_default().extend(functions);
        data.aliases.extend(aliases);
        data.variables.extend(variables);
        Ok(())
    }
}

struct GetModule;

impl Cmdlet for GetModule {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let names = context.texts("Name");
        for module in context.runspace.modules.clone() {
            if names.is_empty() || names.iter().any(|n| is_like(&module.name, n)) {
                context.write(Value::native(ModuleObject(module)))?;
            }
        }
        Ok(())
    }
}

struct RemoveModule;

impl Cmdlet for RemoveModule {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for item in context.items("Name") {
            let name = to_text(&item);
            let hits: Vec<Arc<Module>> =
                context.runspace.modules.iter().filter(|m| is_like(&m.name, &name)).cloned().collect();
            if hits.is_empty() {
                context.error_with(
                    "System.InvalidOperationException",
                    "Modules_NoModulesRemoved",
                    ErrorCategory::ResourceUnavailable,
                    Value::Null,
                    "No modules were removed. Verify that the specification of modules to remove is correct and those modules exist in the runspace.",
                )?;
            }
            for module in hits {
                let hook = module.data.read().unwrap_or_else(PoisonError::into_inner).on_remove.clone();
                if matches!(hook, Value::ScriptBlock(_)) {
                    context.run_block(&hook, None, Vec::new())?;
                }
                context.runspace.take_out(&module);
            }
        }
        Ok(())
    }
}
