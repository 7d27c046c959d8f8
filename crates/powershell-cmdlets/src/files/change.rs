//! Cmdlets that change: `New-Item`, `Remove-Item`, `Copy-Item`, `Move-Item`, `Rename-Item`, `Set-Item`, `Clear-Item`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};

use super::content::make_writable;
use super::item::{file_name, item_value, parent};
use super::paths::{Place, Provider, resolve};
use super::query::NameFilter;
use super::{MANAGEMENT, is_pattern, path_parameters, places, stands};

pub(crate) fn register(table: &mut CommandTable) {
    let with_paths = |mut info: CmdletInfo| {
        for p in path_parameters(true, true) {
            info = info.with(p);
        }
        info.default_set("Path").should_process()
    };
    let filters = |info: CmdletInfo| {
        info.with(P::new("Filter", "string"))
            .with(P::new("Include", "string[]"))
            .with(P::new("Exclude", "string[]"))
            .with(P::switch("Force"))
            .with(P::new("Credential", "object"))
    };
    table.add(
        CmdletInfo::new("New-Item", "Microsoft.PowerShell.Commands.NewItemCommand", MANAGEMENT, || {
            Box::new(NewItem)
        })
        .default_set("pathSet")
        .with(P::new("Path", "string[]").in_sets(&["pathSet"]).mandatory().position(0).by_property().also_in(
            "nameSet",
            |m| {
                m.position = Some(0);
                m.from_property = true;
            },
        ))
        .with(P::new("Name", "string").in_sets(&["nameSet"]).mandatory().by_property().allow_empty())
        .with(P::new("ItemType", "string").alias("Type").by_property())
        .with(P::new("Value", "object").alias("Target").pipeline().by_property())
        .with(P::switch("Force"))
        .with(P::new("Credential", "object"))
        .should_process(),
    );
    table.add(
        filters(with_paths(CmdletInfo::new(
            "Remove-Item",
            "Microsoft.PowerShell.Commands.RemoveItemCommand",
            MANAGEMENT,
            || Box::new(RemoveItem),
        )))
        .with(P::switch("Recurse")),
    );
    table.add(
        filters(with_paths(CmdletInfo::new(
            "Copy-Item",
            "Microsoft.PowerShell.Commands.CopyItemCommand",
            MANAGEMENT,
            || Box::new(Transfer { copy: true }),
        )))
        .with(P::new("Destination", "string").position(1).by_property())
        .with(P::switch("Container"))
        .with(P::switch("Recurse"))
        .with(P::switch("PassThru"))
        .with(P::new("FromSession", "object"))
        .with(P::new("ToSession", "object")),
    );
    table.add(
        filters(with_paths(CmdletInfo::new(
            "Move-Item",
            "Microsoft.PowerShell.Commands.MoveItemCommand",
            MANAGEMENT,
            || Box::new(Transfer { copy: false }),
        )))
        .with(P::new("Destination", "string").position(1).by_property())
        .with(P::switch("PassThru")),
    );
    table.add(
        CmdletInfo::new("Rename-Item", "Microsoft.PowerShell.Commands.RenameItemCommand", MANAGEMENT, || {
            Box::new(RenameItem)
        })
        .default_set("ByPath")
        .with(P::new("Path", "string").in_sets(&["ByPath"]).mandatory().position(0).pipeline().by_property())
        .with(
            P::new("LiteralPath", "string")
                .in_sets(&["ByLiteralPath"])
                .mandatory()
                .by_property()
                .alias("PSPath")
                .alias("LP"),
        )
        .with(P::new("NewName", "string").mandatory().position(1).by_property())
        .with(P::switch("Force"))
        .with(P::switch("PassThru"))
        .should_process(),
    );
    table.add(
        filters(with_paths(CmdletInfo::new(
            "Set-Item",
            "Microsoft.PowerShell.Commands.SetItemCommand",
            MANAGEMENT,
            || Box::new(SetItem { clear: false }),
        )))
        .with(P::new("Value", "object").position(1).pipeline().by_property())
        .with(P::switch("PassThru")),
    );
    table.add(filters(with_paths(CmdletInfo::new(
        "Clear-Item",
        "Microsoft.PowerShell.Commands.ClearItemCommand",
        MANAGEMENT,
        || Box::new(SetItem { clear: true }),
    ))));
    table.add(
        CmdletInfo::new("mkdir", "mkdir", MANAGEMENT, || Box::new(MakeFolder))
            .with(P::new("Path", "string[]").mandatory().position(0).pipeline().by_property())
            .with(P::switch("Force"))
            .should_process(),
    );
    for (name, target) in [
        ("ni", "New-Item"),
        ("ri", "Remove-Item"),
        ("rd", "Remove-Item"),
        ("del", "Remove-Item"),
        ("erase", "Remove-Item"),
        ("md", "mkdir"),
        ("ci", "Copy-Item"),
        ("cpi", "Copy-Item"),
        ("copy", "Copy-Item"),
        ("mi", "Move-Item"),
        ("move", "Move-Item"),
        ("rni", "Rename-Item"),
        ("ren", "Rename-Item"),
        ("si", "Set-Item"),
        ("cli", "Clear-Item"),
    ] {
        table.alias(name, target);
    }
}

/// Writes an operating system error as this cmdlet's error.
fn report(context: &mut CmdletContext<'_>, error: &io::Error, path: &str, id: &str) -> Run {
    let found = super::dotnet_io_error(error, path);
    let category = match error.kind() {
        io::ErrorKind::NotFound => ErrorCategory::WriteError,
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => ErrorCategory::PermissionDenied,
        _ => ErrorCategory::WriteError,
    };
    let kind = found.exception().map_or("System.IO.IOException", |e| e.type_name()).to_owned();
    context.error_with(&kind, id, category, Value::string(path), found.message())
}

struct NewItem;

impl Cmdlet for NewItem {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let name = context.text("Name").unwrap_or_default();
        let mut paths = context.texts("Path");
        if paths.is_empty() {
            paths.push(".".to_owned());
        }
        let kind = context.text("ItemType").unwrap_or_default();
        for path in paths {
            let text = if name.is_empty() { path } else { format!("{}/{name}", path.trim_end_matches('/')) };
            match resolve(context.runspace, &text) {
                Ok(place) => new_item(context, &place, &kind)?,
                Err(error) => context.error(Arc::clone(error.record()))?,
            }
        }
        Ok(())
    }
}

struct MakeFolder;

impl Cmdlet for MakeFolder {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for path in context.texts("Path") {
            match resolve(context.runspace, &path) {
                Ok(place) => new_item(context, &place, "Directory")?,
                Err(error) => context.error(Arc::clone(error.record()))?,
            }
        }
        Ok(())
    }
}

fn new_item(context: &mut CmdletContext<'_>, place: &Place, kind: &str) -> Run {
    let value = context.arg("Value").cloned();
    let force = context.switch("Force");
    if place.provider != Provider::FileSystem {
        if place.exists(context.runspace) && !force && place.provider != Provider::Environment {
            return context.error_with(
                "System.Management.Automation.PSArgumentException",
                "Argument",
                ErrorCategory::InvalidArgument,
                Value::Null,
                format!("The {} '{}' already exists.", place.drive.to_lowercase(), place.path),
            );
        }
        context.runspace.set_drive_variable(&place.drive, &place.path, value.unwrap_or_default())?;
        let item = item_value(context.runspace, place);
        return context.write(item);
    }
    let path = place.path.as_str();
    let lower = kind.to_ascii_lowercase();
    let is = |full: &str| !lower.is_empty() && full.starts_with(&lower);
    let target = Path::new(path);
    let there = std::fs::symlink_metadata(path).is_ok();
    if is("directory") || lower == "container" {
        if !context.should_process(&format!("Destination: {path}"), "Create Directory")? {
            return Ok(());
        }
        if there && !(force && target.is_dir()) {
            return context.error_with(
                "System.IO.IOException",
                "DirectoryExist",
                ErrorCategory::ResourceExists,
                Value::string(path),
                format!("An item with the specified name {path} already exists."),
            );
        }
        if let Err(error) = std::fs::create_dir_all(path) {
            return report(context, &error, path, "CreateDirectoryIOError");
        }
    } else if is("symboliclink") || is("junction") || is("hardlink") {
        let to = value.map(|v| context.runspace.to_text(&v)).unwrap_or_default();
        let action = if is("hardlink") { "Create Hard Link" } else { "Create Symbolic Link" };
        if !context.should_process(&format!("Destination: {path}"), action)? {
            return Ok(());
        }
        if there && force {
            let _ = std::fs::remove_file(path);
        } else if there {
            return context.error_with(
                "System.IO.IOException",
                "NewItemIOError",
                ErrorCategory::ResourceExists,
                Value::string(path),
                format!("NewItemIOError: An item with the specified name {path} already exists.")
                    .trim_start_matches("NewItemIOError: "),
            );
        }
        let made = if is("hardlink") {
            std::fs::hard_link(context.runspace.full_path(&to), path)
        } else {
            std::os::unix::fs::symlink(&to, path)
        };
        if let Err(error) = made {
            if is("hardlink") && error.kind() == io::ErrorKind::NotFound {
                let error = super::paths::not_found(&to);
                return context.error(Arc::clone(error.record()));
            }
            return report(context, &error, path, "NewItemIOError");
        }
    } else if is("file") || lower.is_empty() || lower == "leaf" {
        if !context.should_process(&format!("Destination: {path}"), "Create File")? {
            return Ok(());
        }
        if there && !force {
            return context.error_with(
                "System.IO.IOException",
                "NewItemIOError",
                ErrorCategory::WriteError,
                Value::string(path),
                format!("The file '{path}' already exists."),
            );
        }
        if force && let Some(folder) = parent(path) {
            let _ = std::fs::create_dir_all(folder);
        }
        let text = match value {
            Some(v) if !v.is_null() => context.runspace.to_text(&v),
            _ => String::new(),
        };
        if let Err(error) = std::fs::write(path, text) {
            let missing = error.kind() == io::ErrorKind::NotFound;
            if missing {
                return context.error_with(
                    "System.IO.DirectoryNotFoundException",
                    "NewItemIOError",
                    ErrorCategory::WriteError,
                    Value::string(path),
                    format!("Could not find a part of the path '{path}'."),
                );
            }
            return report(context, &error, path, "NewItemUnauthorizedAccessError");
        }
    } else {
        let error = Error::new(
            "System.Management.Automation.PSArgumentException",
            "Argument",
            ErrorCategory::InvalidArgument,
            "The type is not a known type for the file system. Only \"file\",\"directory\" or \"symboliclink\" can be specified.",
        );
        return Err(context.terminate(error));
    }
    let item = item_value(context.runspace, place);
    context.write(item)
}

struct RemoveItem;

impl Cmdlet for RemoveItem {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let filter = NameFilter::of(context);
        for (text, found) in places(context, None)? {
            let pattern = is_pattern(context, &text);
            for place in found {
                if !stands(context, &place, pattern)? {
                    continue;
                }
                if filter.takes(file_name(&place.path)) {
                    self.remove(context, &place)?;
                }
            }
        }
        Ok(())
    }
}

impl RemoveItem {
    fn remove(&self, context: &mut CmdletContext<'_>, place: &Place) -> Run {
        let name = place.path.clone();
        if place.provider != Provider::FileSystem {
            if !context
                .should_process(&format!("Item: {name}"), &format!("Remove {}", place.provider.name()))?
            {
                return Ok(());
            }
            match place.provider {
                Provider::Environment => {
                    context.runspace.env.remove(&name);
                }
                Provider::Variable => {
                    let mut scope = Some(Arc::clone(context.runspace.scope()));
                    while let Some(s) = scope {
                        if context.runspace.remove_variable(&s, &name) {
                            break;
                        }
                        scope = s.parent().cloned();
                    }
                }
                Provider::Function => {
                    context.runspace.remove_function(&name);
                }
                _ => context.runspace.remove_alias(&name),
            }
            return Ok(());
        }
        let path = place.path.as_str();
        let own = std::fs::symlink_metadata(path);
        let link = own.as_ref().is_ok_and(|m| m.file_type().is_symlink());
        let folder = own.as_ref().is_ok_and(std::fs::Metadata::is_dir);
        let here = context.runspace.location().to_owned();
        if folder && (here == path || here.starts_with(&format!("{path}/"))) {
            return context.error_with(
                "System.Management.Automation.PSInvalidOperationException",
                "InvalidOperation",
                ErrorCategory::InvalidOperation,
                Value::Null,
                format!("Cannot remove the item at '{path}' because it is in use."),
            );
        }
        let filled = folder && std::fs::read_dir(path).is_ok_and(|mut d| d.next().is_some());
        if filled && !context.switch("Recurse") {
            // Asking is the host's business; without one that answers the folder stays.
            let question = format!(
                "The item at {path} has children and the Recurse parameter was not specified. If you continue, all children will be removed with the item. Are you sure you want to continue?"
            );
            let choices = ["&Yes", "Yes to &All", "&No", "No to A&ll", "&Suspend"].map(|label| {
                hop_powershell_runtime::host::Choice { label: label.to_owned(), help: String::new() }
            });
            match context.runspace.host.prompt_for_choice("Confirm", &question, &choices, 0) {
                Ok(0 | 1) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(context.terminate(error)),
            }
        }
        let action = if folder { "Remove Directory" } else { "Remove File" };
        if !context.should_process(path, action)? {
            return Ok(());
        }
        let force = context.switch("Force");
        if !force && !link && own.as_ref().is_ok_and(|m| m.permissions().readonly()) {
            return context.error_with(
                "System.IO.IOException",
                "RemoveFileSystemItemUnAuthorizedAccess",
                ErrorCategory::PermissionDenied,
                Value::string(path),
                "You do not have sufficient access rights to perform this operation or the item is hidden, system, or read only.",
            );
        }
        let removed = if folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        match removed {
            Ok(()) => Ok(()),
            Err(error) => report(context, &error, path, "RemoveFileSystemItemIOError"),
        }
    }
}

/// `Copy-Item` and `Move-Item`.
struct Transfer {
    copy: bool,
}

impl Cmdlet for Transfer {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let filter = NameFilter::of(context);
        let destination = context.text("Destination").unwrap_or_else(|| ".".to_owned());
        for (text, found) in places(context, None)? {
            let pattern = is_pattern(context, &text);
            for place in found {
                if !stands(context, &place, pattern)? {
                    continue;
                }
                if !filter.takes(file_name(&place.path)) {
                    continue;
                }
                match resolve(context.runspace, &destination) {
                    Ok(to) => self.transfer(context, &place, &to)?,
                    Err(error) => context.error(Arc::clone(error.record()))?,
                }
            }
        }
        Ok(())
    }
}

impl Transfer {
    fn transfer(&self, context: &mut CmdletContext<'_>, from: &Place, to: &Place) -> Run {
        if from.provider != Provider::FileSystem {
            let drive = from.drive.clone();
            let item = item_value(context.runspace, from);
            let name = match from.provider {
                Provider::Function => "ScriptBlock",
                Provider::Alias => "Definition",
                _ => "Value",
            };
            let value = hop_powershell_runtime::members::get(&item, name, context.runspace)?;
            context.runspace.set_drive_variable(&drive, &to.path, value.unwrap_or_default())?;
            return Ok(());
        }
        let folder = from.is_container();
        let mut target = to.path.clone();
        let into = Path::new(&target).is_dir();
        if into && (self.copy || from.path != target) {
            target = format!("{}/{}", target.trim_end_matches('/'), file_name(&from.path));
        }
        if folder && Path::new(&to.path).is_file() {
            return context.error_with(
                "System.ArgumentException",
                "CopyContainerItemToLeafError",
                ErrorCategory::InvalidArgument,
                Value::string(&from.path),
                "Container cannot be copied onto existing leaf item.",
            );
        }
        let kind = if folder { "Directory" } else { "File" };
        let verb = if self.copy { "Copy" } else { "Move" };
        // What the message names is the destination as it was given.
        let shown = if into && !(folder && self.copy) { &target } else { &to.path };
        let message = format!("Item: {} Destination: {shown}", from.path);
        if !context.should_process(&message, &format!("{verb} {kind}"))? {
            return Ok(());
        }
        let outcome = if self.copy {
            self.copy(context, from, &target, folder)?
        } else {
            self.move_to(context, from, &target)?
        };
        if outcome && context.switch("PassThru") {
            let item = item_value(context.runspace, &Place { path: target, ..to.clone() });
            context.write(item)?;
        }
        Ok(())
    }

    fn copy(&self, context: &mut CmdletContext<'_>, from: &Place, target: &str, folder: bool) -> Run<bool> {
        let force = context.switch("Force");
        if folder {
            let recurse = context.switch("Recurse");
            if recurse && target.starts_with(&format!("{}/", from.path)) {
                context.error_with(
                    "System.IO.IOException",
                    "CopyError",
                    ErrorCategory::WriteError,
                    Value::string(&from.path),
                    format!("Cannot overwrite the item {} with itself.", from.path),
                )?;
                return Ok(false);
            }
            if Path::new(target).is_dir() && !recurse && !force {
                context.error_with(
                    "System.IO.IOException",
                    "DirectoryExist",
                    ErrorCategory::ResourceExists,
                    Value::string(target),
                    format!("An item with the specified name {target} already exists."),
                )?;
                return Ok(false);
            }
            if let Err(error) = std::fs::create_dir_all(target) {
                report(context, &error, target, "CreateDirectoryIOError")?;
                return Ok(false);
            }
            if recurse {
                let filter = NameFilter::of(context);
                for name in super::paths::children(&from.path).unwrap_or_default() {
                    let inner = Place { path: format!("{}/{name}", from.path), ..from.clone() };
                    let inner_folder = inner.is_container();
                    if filter.takes(&name) || inner_folder {
                        self.copy(context, &inner, &format!("{target}/{name}"), inner_folder)?;
                    }
                }
            }
            return Ok(true);
        }
        if from.path == target {
            context.error_with(
                "System.IO.IOException",
                "CopyError",
                ErrorCategory::WriteError,
                Value::string(target),
                format!("Cannot overwrite the item {target} with itself."),
            )?;
            return Ok(false);
        }
        if Path::new(target).is_dir() {
            context.error_with(
                "System.UnauthorizedAccessException",
                "CopyFileInfoItemUnauthorizedAccessError",
                ErrorCategory::PermissionDenied,
                Value::string(&from.path),
                format!("Access to the path '{target}' is denied."),
            )?;
            return Ok(false);
        }
        if force {
            make_writable(target);
        }
        match std::fs::copy(&from.path, target) {
            Ok(_) => {
                // A copy keeps the time of its content.
                let time = std::fs::metadata(&from.path).and_then(|m| m.modified());
                if let (Ok(time), Ok(file)) = (time, std::fs::File::options().write(true).open(target)) {
                    let _ = file.set_times(std::fs::FileTimes::new().set_modified(time));
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                context.error_with(
                    "System.IO.DirectoryNotFoundException",
                    "System.IO.DirectoryNotFoundException",
                    ErrorCategory::NotSpecified,
                    Value::Null,
                    format!("Could not find a part of the path '{target}'."),
                )?;
                Ok(false)
            }
            Err(error) => {
                report(context, &error, target, "CopyFileInfoItemUnauthorizedAccessError")?;
                Ok(false)
            }
        }
    }

    fn move_to(&self, context: &mut CmdletContext<'_>, from: &Place, target: &str) -> Run<bool> {
        let force = context.switch("Force");
        if target == from.path || target.starts_with(&format!("{}/", from.path)) {
            let error = Error::new(
                "System.IO.IOException",
                "MoveItemArgumentError",
                ErrorCategory::InvalidArgument,
                format!(
                    "Destination path cannot be a subdirectory of the source or the source itself: {target}."
                ),
            )
            .with_target(Value::string(&from.path));
            context.error(Arc::clone(error.record()))?;
            return Ok(false);
        }
        if (!force || from.is_container()) && Path::new(target).exists() {
            let message = if from.is_container() {
                format!(
                    "Cannot create '{target}' because a file or directory with the same name already exists."
                )
            } else {
                format!("The file '{target}' already exists.")
            };
            context.error_with(
                "System.IO.IOException",
                if from.is_container() { "MoveDirectoryItemIOError" } else { "MoveFileInfoItemIOError" },
                ErrorCategory::WriteError,
                Value::string(&from.path),
                message,
            )?;
            return Ok(false);
        }
        match rename(&from.path, target) {
            Ok(()) => Ok(true),
            Err(error) => {
                let id =
                    if from.is_container() { "MoveDirectoryItemIOError" } else { "MoveFileInfoItemIOError" };
                let missing = error.kind() == io::ErrorKind::NotFound;
                if missing {
                    context.error_with(
                        "System.IO.DirectoryNotFoundException",
                        id,
                        ErrorCategory::WriteError,
                        Value::string(&from.path),
                        format!("Could not find a part of the path '{target}'."),
                    )?;
                } else {
                    report(context, &error, target, id)?;
                }
                Ok(false)
            }
        }
    }
}

/// Renames, across file systems too.
fn rename(from: &str, to: &str) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_all(Path::new(from), Path::new(to))?;
            if Path::new(from).is_dir() { std::fs::remove_dir_all(from) } else { std::fs::remove_file(from) }
        }
        other => other,
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(|_| ());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

struct RenameItem;

impl Cmdlet for RenameItem {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let literal = context.has("LiteralPath");
        let Some(text) = context.text(if literal { "LiteralPath" } else { "Path" }) else { return Ok(()) };
        let name = context.text("NewName").unwrap_or_default();
        let place = match super::expand(context.runspace, &text, literal, true) {
            Ok(found) => found.into_iter().next(),
            Err(error) => return context.error(Arc::clone(error.record())),
        };
        let Some(place) = place.filter(|p| p.exists(context.runspace)) else {
            let shown = resolve(context.runspace, &text).map_or(text.clone(), |p| p.path);
            return context.error_with(
                "System.Management.Automation.PSInvalidOperationException",
                "InvalidOperation",
                ErrorCategory::InvalidOperation,
                Value::Null,
                format!(
                    "Cannot rename because item at '{}' does not exist.",
                    if literal { shown } else { text }
                ),
            );
        };
        if place.provider != Provider::FileSystem {
            let copy = Transfer { copy: true };
            copy.transfer(context, &place, &Place { path: name, ..place.clone() })?;
            return RemoveItem.remove(context, &place);
        }
        if name.contains('/') {
            let same = parent(&context.runspace.full_path(&name)).map(str::to_owned)
                == parent(&place.path).map(str::to_owned);
            if !same {
                let error = Error::new(
                    "System.Management.Automation.PSArgumentException",
                    "Argument",
                    ErrorCategory::InvalidArgument,
                    "Cannot rename the specified target, because it represents a path or device name.",
                );
                return Err(context.terminate(error));
            }
        }
        let target =
            format!("{}/{}", parent(&place.path).unwrap_or("").trim_end_matches('/'), file_name(&name));
        let kind = if place.is_container() { "Rename Directory" } else { "Rename File" };
        if !context.should_process(&format!("Item: {} Destination: {target}", place.path), kind)? {
            return Ok(());
        }
        if std::fs::symlink_metadata(&target).is_ok() && target != place.path {
            return context.error_with(
                "System.IO.IOException",
                "RenameItemIOError",
                ErrorCategory::WriteError,
                Value::string(&place.path),
                "Cannot create a file when that file already exists.",
            );
        }
        if let Err(error) = std::fs::rename(&place.path, &target) {
            return report(context, &error, &place.path, "RenameItemIOError");
        }
        if context.switch("PassThru") {
            let item = item_value(context.runspace, &Place { path: target, ..place });
            context.write(item)?;
        }
        Ok(())
    }
}

struct SetItem {
    clear: bool,
}

impl Cmdlet for SetItem {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for (_, found) in places(context, None)? {
            for place in found {
                if place.provider == Provider::FileSystem {
                    let error = Error::new(
                        "System.Management.Automation.PSNotSupportedException",
                        "NotSupported",
                        ErrorCategory::NotImplemented,
                        "Provider operation stopped because the provider does not support this operation.",
                    );
                    return Err(context.terminate(error));
                }
                let value = match context.arg("Value").cloned() {
                    Some(v) if !self.clear => v,
                    _ => Value::Null,
                };
                context.runspace.set_drive_variable(&place.drive, &place.path, value)?;
                if context.switch("PassThru") {
                    let item = item_value(context.runspace, &place);
                    context.write(item)?;
                }
            }
        }
        Ok(())
    }
}
