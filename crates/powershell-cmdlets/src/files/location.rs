//! Locations and drives: `Get-Location`, `Set-Location`, `Push-Location`, `Get-PSDrive` and their kin.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::ops;
use hop_powershell_runtime::runspace::{Drive, Runspace};
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};
use hop_powershell_runtime::wildcard::is_like;

use super::paths::{Place, Provider, drive_root, expand, no_drive};
use super::{MANAGEMENT, path_parameters};

type Spot = (String, Option<(String, String)>);

/// What `Push-Location`, `Set-Location -` and `Set-Location +` remember.
#[derive(Default)]
struct Memory {
    stack: Vec<Spot>,
    back: Vec<Spot>,
    forward: Vec<Spot>,
}

const MEMORY: &str = "location";

fn memory(runspace: &mut Runspace) -> &mut Memory {
    let slot = runspace.session_data.entry(MEMORY.to_owned()).or_insert_with(|| Box::new(Memory::default()));
    if !slot.is::<Memory>() {
        *slot = Box::new(Memory::default());
    }
    match slot.downcast_mut::<Memory>() {
        Some(memory) => memory,
        None => Box::leak(Box::default()),
    }
}

fn spot(runspace: &Runspace) -> Spot {
    (runspace.location().to_owned(), runspace.drive_location.clone())
}

fn go(runspace: &mut Runspace, to: &Spot) {
    runspace.set_location(&to.0);
    runspace.drive_location.clone_from(&to.1);
}

pub(crate) fn register(table: &mut CommandTable) {
    let core = "Microsoft.PowerShell.Commands.";
    let class = |name: &str| -> &'static str { Box::leak(format!("{core}{name}").into_boxed_str()) };
    table.add(
        CmdletInfo::new("Get-Location", class("GetLocationCommand"), MANAGEMENT, || Box::new(GetLocation))
            .default_set("Location")
            .with(P::new("PSProvider", "string[]").in_sets(&["Location"]))
            .with(P::new("PSDrive", "string[]").in_sets(&["Location"]))
            .with(P::switch("Stack").in_sets(&["Stack"]))
            .with(P::new("StackName", "string[]").in_sets(&["Stack"])),
    );
    for (name, type_name, push) in
        [("Set-Location", "SetLocationCommand", false), ("Push-Location", "PushLocationCommand", true)]
    {
        let make: fn() -> Box<dyn Cmdlet> = if push {
            || Box::new(SetLocation { push: true })
        } else {
            || Box::new(SetLocation { push: false })
        };
        let mut info = CmdletInfo::new(name, class(type_name), MANAGEMENT, make).default_set("Path");
        for p in path_parameters(false, true) {
            info = info.with(p);
        }
        table.add(info.with(P::switch("PassThru")).with(P::new("StackName", "string")));
    }
    table.add(
        CmdletInfo::new("Pop-Location", class("PopLocationCommand"), MANAGEMENT, || Box::new(PopLocation))
            .with(P::switch("PassThru"))
            .with(P::new("StackName", "string")),
    );
    table.add(
        CmdletInfo::new("Get-PSDrive", class("GetPSDriveCommand"), MANAGEMENT, || Box::new(GetDrive))
            .default_set("Name")
            .with(P::new("Name", "string[]").position(0).by_property())
            .with(P::new("LiteralName", "string[]"))
            .with(P::new("Scope", "string"))
            .with(P::new("PSProvider", "string[]").by_property()),
    );
    table.add(
        CmdletInfo::new("New-PSDrive", class("NewPSDriveCommand"), MANAGEMENT, || Box::new(NewDrive))
            .with(P::new("Name", "string").mandatory().position(0).by_property())
            .with(P::new("PSProvider", "string").mandatory().position(1).by_property())
            .with(P::new("Root", "string").mandatory().position(2).by_property().allow_empty())
            .with(P::new("Description", "string").by_property())
            .with(P::new("Scope", "string"))
            .with(P::new("Credential", "object"))
            .with(P::switch("Persist"))
            .should_process(),
    );
    table.add(
        CmdletInfo::new("Remove-PSDrive", class("RemovePSDriveCommand"), MANAGEMENT, || {
            Box::new(RemoveDrive)
        })
        .with(P::new("Name", "string[]").mandatory().position(0).by_property())
        .with(P::new("PSProvider", "string[]"))
        .with(P::switch("Force"))
        .with(P::new("Scope", "string"))
        .should_process(),
    );
    table.add(
        CmdletInfo::new("Get-PSProvider", class("GetPSProviderCommand"), MANAGEMENT, || {
            Box::new(GetProvider)
        })
        .with(P::new("PSProvider", "string[]").position(0).pipeline().by_property()),
    );
    for (name, target) in [
        ("gl", "Get-Location"),
        ("pwd", "Get-Location"),
        ("sl", "Set-Location"),
        ("cd", "Set-Location"),
        ("chdir", "Set-Location"),
        ("pushd", "Push-Location"),
        ("popd", "Pop-Location"),
        ("gdr", "Get-PSDrive"),
        ("ndr", "New-PSDrive"),
        ("rdr", "Remove-PSDrive"),
    ] {
        table.alias(name, target);
    }
}

struct GetLocation;

impl Cmdlet for GetLocation {
    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if context.switch("Stack") {
            let stack: Vec<Spot> = memory(context.runspace).stack.clone();
            let here = spot(context.runspace);
            for place in stack.iter().rev() {
                go(context.runspace, place);
                let value = context.runspace.location_value();
                go(context.runspace, &here);
                context.write(value)?;
            }
            return Ok(());
        }
        let value = context.runspace.location_value();
        context.write(value)
    }
}

struct SetLocation {
    push: bool,
}

impl SetLocation {
    fn enter(&self, context: &mut CmdletContext<'_>, place: &Place) -> Result<(), Error> {
        if !place.exists(context.runspace) || place.provider == Provider::FileSystem && !place.is_container()
        {
            return Err(place.not_found());
        }
        if place.provider == Provider::FileSystem && place.drive == "/" {
            context.runspace.set_location(&place.path);
        } else {
            let shown = place.shown();
            let below = shown.split_once(":/").map_or("", |(_, p)| p);
            let folder = (place.provider == Provider::FileSystem).then_some(place.path.as_str());
            context.runspace.set_drive_location(&place.drive, below, folder);
        }
        Ok(())
    }
}

impl Cmdlet for SetLocation {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let literal = context.has("LiteralPath");
        let text = context.texts(if literal { "LiteralPath" } else { "Path" }).into_iter().next();
        let here = spot(context.runspace);
        if self.push {
            memory(context.runspace).stack.push(here.clone());
        }
        let text = match text {
            Some(text) => text,
            None if self.push => return Ok(()),
            None => "~".to_owned(),
        };
        if !self.push && !literal && (text == "-" || text == "+") {
            let memory = memory(context.runspace);
            let target = if text == "-" { memory.back.pop() } else { memory.forward.pop() };
            let Some(target) = target else {
                let error = Error::new(
                    "System.InvalidOperationException",
                    "System.InvalidOperationException",
                    ErrorCategory::InvalidOperation,
                    if text == "-" {
                        "There is no location history left to navigate backwards."
                    } else {
                        "There is no location history left to navigate forwards."
                    },
                );
                return context.error(Arc::clone(error.record()));
            };
            if text == "-" {
                memory.forward.push(here);
            } else {
                memory.back.push(here);
            }
            go(context.runspace, &target);
        } else {
            let outcome = expand(context.runspace, &text, literal, true).and_then(|found| {
                match found.into_iter().next() {
                    Some(place) => self.enter(context, &place),
                    None => Err(super::paths::not_found(&context.runspace.full_path(&text))),
                }
            });
            if let Err(error) = outcome {
                if self.push {
                    memory(context.runspace).stack.pop();
                }
                return context.error(Arc::clone(error.record()));
            }
            if !self.push {
                let memory = memory(context.runspace);
                memory.back.push(here);
                memory.forward.clear();
            }
        }
        if context.switch("PassThru") {
            let value = context.runspace.location_value();
            context.write(value)?;
        }
        Ok(())
    }
}

struct PopLocation;

impl Cmdlet for PopLocation {
    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(place) = memory(context.runspace).stack.pop() {
            go(context.runspace, &place);
            if context.switch("PassThru") {
                let value = context.runspace.location_value();
                context.write(value)?;
            }
        }
        Ok(())
    }
}

fn all_drives(runspace: &Runspace) -> Vec<Drive> {
    let fixed = |name: &str, root: &str| Drive {
        name: name.to_owned(),
        root: root.to_owned(),
        description: String::new(),
    };
    let mut list = vec![
        fixed("/", "/"),
        fixed("Alias", ""),
        fixed("Env", ""),
        fixed("Function", ""),
        fixed("Temp", "/tmp/"),
        fixed("Variable", ""),
    ];
    list.extend(runspace.drives.iter().cloned());
    list.sort_by(|a, b| hop_powershell_runtime::operators::compare_text(&a.name, &b.name, true));
    list
}

fn provider_of(drive: &str) -> Provider {
    Provider::of_drive(drive).unwrap_or(Provider::FileSystem)
}

struct GetDrive;

impl Cmdlet for GetDrive {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let mut names = context.texts("Name");
        names.extend(context.texts("LiteralName"));
        let providers = context.texts("PSProvider");
        let drives = all_drives(context.runspace);
        let mut wanted = Vec::new();
        if names.is_empty() {
            wanted = drives;
        } else {
            for name in names {
                let hits: Vec<Drive> = drives.iter().filter(|d| is_like(&d.name, &name)).cloned().collect();
                if hits.is_empty() && !hop_powershell_runtime::wildcard::has_wildcard(&name) {
                    let error = no_drive(&name);
                    context.error(Arc::clone(error.record()))?;
                }
                wanted.extend(hits);
            }
        }
        for drive in wanted {
            let provider = provider_of(&drive.name);
            if providers.is_empty() || providers.iter().any(|p| is_like(provider.name(), p)) {
                context.write(ops::drive_info(
                    &drive.name,
                    provider.name(),
                    &drive.root,
                    &drive.description,
                ))?;
            }
        }
        Ok(())
    }
}

struct NewDrive;

impl Cmdlet for NewDrive {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let name = context.text("Name").unwrap_or_default();
        let provider = context.text("PSProvider").unwrap_or_default();
        let root = context.text("Root").unwrap_or_default();
        let error = |exception: &str, id: &str, category, target: &str, message: String| {
            Error::new(exception, id, category, message).with_target(Value::string(target))
        };
        if Provider::named(&provider).is_none() {
            let error = error(
                "System.Management.Automation.ProviderNotFoundException",
                "ProviderNotFound",
                ErrorCategory::ObjectNotFound,
                &provider,
                format!("Cannot find a provider with the name '{provider}'."),
            );
            return context.error(Arc::clone(error.record()));
        }
        if Provider::of_drive(&name).is_some() || drive_root(context.runspace, &name).is_some() {
            let error = error(
                "System.Management.Automation.SessionStateException",
                "DriveAlreadyExists",
                ErrorCategory::ResourceExists,
                &name,
                format!("A drive with the name '{name}' already exists."),
            );
            return context.error(Arc::clone(error.record()));
        }
        let folder = context.runspace.full_path(&root);
        if !std::path::Path::new(&folder).is_dir() {
            let error = error(
                "System.IO.IOException",
                "DriveRootError",
                ErrorCategory::ReadError,
                &root,
                format!("The specified drive root \"{root}\" either does not exist, or it is not a folder."),
            );
            return context.error(Arc::clone(error.record()));
        }
        if !context.should_process(&format!("Name: {name} Provider: {provider} Root: {root}"), "New drive")? {
            return Ok(());
        }
        let description = context.text("Description").unwrap_or_default();
        let value = ops::drive_info(&name, "FileSystem", &folder, &description);
        context.runspace.drives.push(Drive { name, root: folder, description });
        context.write(value)
    }
}

struct RemoveDrive;

impl Cmdlet for RemoveDrive {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for name in context.texts("Name") {
            match context.runspace.drives.iter().position(|d| is_like(&d.name, &name)) {
                Some(at) => {
                    context.runspace.drives.remove(at);
                }
                None => {
                    let error = no_drive(&name);
                    context.error(Arc::clone(error.record()))?;
                }
            }
        }
        Ok(())
    }
}

struct GetProvider;

impl Cmdlet for GetProvider {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let names = context.texts("PSProvider");
        for provider in Provider::ALL {
            if names.is_empty() || names.iter().any(|n| is_like(provider.name(), n)) {
                context.write(ops::provider_info(provider.name()))?;
            }
        }
        Ok(())
    }
}
