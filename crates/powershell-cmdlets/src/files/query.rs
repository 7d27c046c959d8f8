//! Cmdlets that look: `Get-Item`, `Get-ChildItem`, `Test-Path`, `Resolve-Path`, `Convert-Path`, item properties.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::members;
use hop_powershell_runtime::ops;
use hop_powershell_runtime::value::{Error, ErrorCategory, PsObject, Value};
use hop_powershell_runtime::wildcard::{has_wildcard, is_like};

use super::item::{file_name, item_value, note_place, parent};
use super::paths::{Place, Provider, children, expand, names};
use super::{MANAGEMENT, is_pattern, path_parameters, places, stands};

pub(crate) fn register(table: &mut CommandTable) {
    let with_paths = |mut info: CmdletInfo, mandatory: bool| {
        for p in path_parameters(mandatory, true) {
            info = info.with(p);
        }
        info.default_set("Path")
    };
    let filters = |info: CmdletInfo| {
        info.with(P::new("Filter", "string"))
            .with(P::new("Include", "string[]"))
            .with(P::new("Exclude", "string[]"))
    };
    table.add(
        filters(with_paths(
            CmdletInfo::new("Get-Item", "Microsoft.PowerShell.Commands.GetItemCommand", MANAGEMENT, || {
                Box::new(GetItem)
            }),
            true,
        ))
        .with(P::switch("Force"))
        .with(P::new("Stream", "string[]")),
    );
    let mut list = CmdletInfo::new(
        "Get-ChildItem",
        "Microsoft.PowerShell.Commands.GetChildItemCommand",
        MANAGEMENT,
        || Box::new(GetChildItem),
    );
    let [path, literal] = path_parameters(false, true);
    list = list
        .with(path.clone())
        .with(literal)
        .with(P::new("Filter", "string").position(1))
        .with(P::new("Include", "string[]"))
        .with(P::new("Exclude", "string[]"))
        .with(P::switch("Recurse").alias("s").alias("r"))
        .with(P::new("Depth", "uint"))
        .with(P::switch("Force"))
        .with(P::switch("Name"))
        .with(P::new("Attributes", "object"))
        .with(P::switch("FollowSymlink"))
        .with(P::switch("Directory").alias("ad"))
        .with(P::switch("File").alias("af"))
        .with(P::switch("Hidden").alias("ah").alias("h"))
        .with(P::switch("ReadOnly").alias("ar"))
        .with(P::switch("System").alias("as"));
    list = list.default_set("Path");
    table.add(list);
    table.add(
        filters(with_paths(
            CmdletInfo::new("Test-Path", "Microsoft.PowerShell.Commands.TestPathCommand", MANAGEMENT, || {
                Box::new(TestPath)
            }),
            true,
        ))
        .with(P::new("PathType", "string").alias("Type").one_of(&["Any", "Container", "Leaf"]))
        .with(P::switch("IsValid"))
        .with(P::new("OlderThan", "datetime"))
        .with(P::new("NewerThan", "datetime")),
    );
    table.add(
        with_paths(
            CmdletInfo::new(
                "Resolve-Path",
                "Microsoft.PowerShell.Commands.ResolvePathCommand",
                MANAGEMENT,
                || Box::new(ResolvePath { plain: false }),
            ),
            true,
        )
        .with(P::switch("Relative"))
        .with(P::new("RelativeBasePath", "string"))
        .with(P::switch("Force")),
    );
    table.add(with_paths(
        CmdletInfo::new(
            "Convert-Path",
            "Microsoft.PowerShell.Commands.ConvertPathCommand",
            MANAGEMENT,
            || Box::new(ResolvePath { plain: true }),
        ),
        true,
    ));
    type Make = fn() -> Box<dyn Cmdlet>;
    let properties: [(_, _, Make); 2] = [
        ("Get-ItemProperty", "Microsoft.PowerShell.Commands.GetItemPropertyCommand", || {
            Box::new(GetItemProperty { values_only: false })
        }),
        ("Get-ItemPropertyValue", "Microsoft.PowerShell.Commands.GetItemPropertyValueCommand", || {
            Box::new(GetItemProperty { values_only: true })
        }),
    ];
    for (name, class, make) in properties {
        table.add(
            filters(with_paths(CmdletInfo::new(name, class, MANAGEMENT, make), true))
                .with(P::new("Name", "string[]").position(1)),
        );
    }
    for (name, target) in [
        ("gi", "Get-Item"),
        ("gci", "Get-ChildItem"),
        ("dir", "Get-ChildItem"),
        ("rvpa", "Resolve-Path"),
        ("cvpa", "Convert-Path"),
        ("gp", "Get-ItemProperty"),
        ("gpv", "Get-ItemPropertyValue"),
    ] {
        table.alias(name, target);
    }
}

/// `-Filter`, `-Include` and `-Exclude`.
pub(crate) struct NameFilter {
    filter: Option<String>,
    include: Vec<String>,
    exclude: Vec<String>,
}

impl NameFilter {
    pub fn of(context: &mut CmdletContext<'_>) -> Self {
        Self {
            filter: context.text("Filter"),
            include: context.texts("Include"),
            exclude: context.texts("Exclude"),
        }
    }

    pub fn takes(&self, name: &str) -> bool {
        // The file system itself applies -Filter, with regard to case.
        let filter = self.filter.as_deref().is_none_or(|f| {
            hop_powershell_runtime::wildcard::Wildcard::new(f, false).is_ok_and(|w| w.is_match(name))
        });
        filter && self.includes(name) && !self.exclude.iter().any(|e| is_like(name, e))
    }

    fn includes(&self, name: &str) -> bool {
        self.include.is_empty() || self.include.iter().any(|i| is_like(name, i))
    }
}

struct GetItem;

impl Cmdlet for GetItem {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let filter = NameFilter::of(context);
        for (text, found) in places(context, None)? {
            let pattern = is_pattern(context, &text);
            for place in found {
                if !stands(context, &place, pattern)? {
                    continue;
                }
                let name = file_name(&place.path);
                if !filter.takes(name) {
                    continue;
                }
                if place.provider == Provider::FileSystem
                    && name.starts_with('.')
                    && name.len() > 1
                    && !context.switch("Force")
                {
                    if !pattern {
                        context.error_with(
                            "System.IO.IOException",
                            "ItemNotFound",
                            ErrorCategory::ObjectNotFound,
                            Value::string(&place.path),
                            format!("Could not find item {}.", place.path),
                        )?;
                    }
                    continue;
                }
                let value = item_value(context.runspace, &place);
                context.write(value)?;
            }
        }
        Ok(())
    }
}

struct GetChildItem;

struct Listing {
    filter: NameFilter,
    recurse: bool,
    depth: u32,
    force: bool,
    only_folders: bool,
    only_files: bool,
    hidden: bool,
    read_only: bool,
    attributes: Option<String>,
    names: bool,
    follow: bool,
}

impl Listing {
    fn of(context: &mut CmdletContext<'_>) -> Self {
        let depth = context.integer("Depth");
        Self {
            filter: NameFilter::of(context),
            recurse: context.switch("Recurse") || depth.is_some(),
            depth: depth.and_then(|d| u32::try_from(d).ok()).unwrap_or(u32::MAX),
            force: context.switch("Force"),
            only_folders: context.switch("Directory"),
            only_files: context.switch("File"),
            hidden: context.switch("Hidden"),
            read_only: context.switch("ReadOnly"),
            attributes: context.text("Attributes"),
            names: context.switch("Name"),
            follow: context.switch("FollowSymlink"),
        }
    }

    fn wants(&self, path: &str, name: &str, is_folder: bool) -> bool {
        let hidden = name.starts_with('.');
        if let Some(expression) = &self.attributes {
            return (self.force || !hidden || expression.to_ascii_lowercase().contains("hidden"))
                && attributes_match(expression, path, is_folder, hidden);
        }
        if self.only_folders && !is_folder || self.only_files && is_folder {
            return false;
        }
        if self.read_only && !std::fs::metadata(path).is_ok_and(|m| m.permissions().readonly()) {
            return false;
        }
        if self.hidden { hidden } else { self.force || !hidden }
    }

    fn walk(
        &self,
        context: &mut CmdletContext<'_>,
        place: &Place,
        prefix: &str,
        depth: u32,
        roots: bool,
    ) -> Run {
        let entries = match children(&place.path) {
            Ok(entries) => entries,
            Err(error) => {
                let error = super::dotnet_io_error(&error, &place.path);
                return context.error_with(
                    error.exception().map_or("System.IO.IOException", |e| e.type_name()),
                    "DirUnauthorizedAccessError",
                    ErrorCategory::PermissionDenied,
                    Value::string(&place.path),
                    error.message(),
                );
            }
        };
        let mut below = Vec::new();
        let mut shown = Vec::new();
        for name in entries {
            let path = format!("{}/{name}", place.path.trim_end_matches('/'));
            let is_folder = std::fs::metadata(&path).is_ok_and(|m| m.is_dir());
            let link = std::fs::symlink_metadata(&path).is_ok_and(|m| m.file_type().is_symlink());
            if self.recurse && is_folder && depth > 0 && (!link || self.follow) {
                let excluded = self.filter.exclude.iter().any(|e| is_like(&name, e));
                if (self.force || !name.starts_with('.')) && !excluded {
                    below.push((path.clone(), name.clone()));
                }
            }
            // Without -Recurse, -Include speaks of what the path's last part names, not of what is inside.
            let included =
                self.filter.takes(&name) && (self.recurse || self.filter.include.is_empty() || !roots);
            if included && self.wants(&path, &name, is_folder) {
                shown.push((path, name));
            }
        }
        // With -Include or -Exclude the folders below come before this folder's own items.
        let inner_first = self.recurse && !self.filter.include.is_empty() && !self.names;
        if inner_first {
            self.walk_below(context, place, prefix, depth, &below)?;
        }
        for (path, name) in shown {
            if self.names {
                context.write(Value::from(format!("{prefix}{name}")))?;
                continue;
            }
            let item = Place { path, ..place.clone() };
            let value = item_value(context.runspace, &item);
            context.write(value)?;
        }
        if !inner_first {
            self.walk_below(context, place, prefix, depth, &below)?;
        }
        Ok(())
    }

    fn walk_below(
        &self,
        context: &mut CmdletContext<'_>,
        place: &Place,
        prefix: &str,
        depth: u32,
        below: &[(String, String)],
    ) -> Run {
        for (path, name) in below {
            let inner = Place { path: path.clone(), ..place.clone() };
            self.walk(context, &inner, &format!("{prefix}{name}/"), depth - 1, false)?;
        }
        Ok(())
    }
}

/// An expression of `-Attributes`: `+` is and, `,` is or, `!` is not.
fn attributes_match(expression: &str, path: &str, is_folder: bool, hidden: bool) -> bool {
    let read_only = std::fs::metadata(path).is_ok_and(|m| m.permissions().readonly());
    let link = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink());
    expression.split(',').any(|all| {
        all.split('+').all(|word| {
            let word = word.trim().to_ascii_lowercase();
            let (not, word) = word.strip_prefix('!').map_or((false, word.as_str()), |w| (true, w));
            let is = match word {
                "directory" | "d" => is_folder,
                "hidden" | "h" => hidden,
                "readonly" | "r" => read_only,
                "reparsepoint" | "l" => link,
                "normal" => !is_folder && !hidden && !read_only && !link,
                _ => false,
            };
            is != not
        })
    })
}

impl Cmdlet for GetChildItem {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let listing = Listing::of(context);
        for (text, found) in places(context, Some("."))? {
            let pattern = is_pattern(context, &text);
            for place in found {
                self.list(context, &listing, &place, pattern)?;
            }
        }
        Ok(())
    }
}

impl GetChildItem {
    fn list(&self, context: &mut CmdletContext<'_>, listing: &Listing, place: &Place, pattern: bool) -> Run {
        if !place.exists(context.runspace) {
            // With -Recurse the last part is a pattern for what is below its folder.
            if listing.recurse && place.provider == Provider::FileSystem {
                let folder = Place { path: parent(&place.path).unwrap_or("/").to_owned(), ..place.clone() };
                if folder.is_container() && !pattern {
                    let error = place.not_found();
                    return context.error(Arc::clone(error.record()));
                }
            }
            let error = place.not_found();
            return context.error(Arc::clone(error.record()));
        }
        if place.provider != Provider::FileSystem {
            let list = if place.path.is_empty() {
                names(context.runspace, place.provider)
            } else {
                vec![place.path.clone()]
            };
            for name in list.into_iter().filter(|n| listing.filter.takes(n)) {
                if listing.names {
                    context.write(Value::from(name))?;
                    continue;
                }
                let item = Place { path: name, ..place.clone() };
                let value = item_value(context.runspace, &item);
                context.write(value)?;
            }
            return Ok(());
        }
        if place.is_container() && (!pattern || listing.recurse) {
            if pattern {
                self.one(context, listing, place)?;
                let name = file_name(&place.path);
                if listing.filter.exclude.iter().any(|e| is_like(name, e)) {
                    return Ok(());
                }
                let prefix = if listing.names { format!("{name}/") } else { String::new() };
                return listing.walk(context, place, &prefix, listing.depth.saturating_sub(1), true);
            }
            return listing.walk(context, place, "", listing.depth, true);
        }
        self.one(context, listing, place)
    }

    fn one(&self, context: &mut CmdletContext<'_>, listing: &Listing, place: &Place) -> Run {
        let name = file_name(&place.path);
        if !listing.filter.takes(name) || !listing.wants(&place.path, name, place.is_container()) {
            return Ok(());
        }
        if listing.names {
            return context.write(Value::string(name));
        }
        let value = item_value(context.runspace, place);
        context.write(value)
    }
}

struct TestPath;

impl Cmdlet for TestPath {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let literal = context.has("LiteralPath");
        let texts = context.texts(if literal { "LiteralPath" } else { "Path" });
        let filter = NameFilter::of(context);
        let kind = context.text("PathType").unwrap_or_default().to_ascii_lowercase();
        for text in texts {
            if context.switch("IsValid") {
                context.write(Value::Bool(!text.is_empty() && !text.contains('\0')))?;
                continue;
            }
            if text.trim().is_empty() {
                context.write(Value::Bool(false))?;
                continue;
            }
            let found = expand(context.runspace, &text, literal, true).unwrap_or_default();
            let newer = context.arg("NewerThan").cloned();
            let older = context.arg("OlderThan").cloned();
            let any = found.iter().any(|place| {
                if !place.exists(context.runspace) || !filter.takes(file_name(&place.path)) {
                    return false;
                }
                let dated = |limit: &Option<Value>, newer: bool| match limit.as_ref().map(Value::base) {
                    Some(Value::DateTime(limit)) => {
                        std::fs::metadata(&place.path).and_then(|m| m.modified()).is_ok_and(|time| {
                            let time = hop_powershell_runtime::value::DateTime::from_system(time);
                            if newer { time.ticks() > limit.ticks() } else { time.ticks() < limit.ticks() }
                        })
                    }
                    _ => true,
                };
                let kind_fits = match kind.as_str() {
                    "container" => place.is_container(),
                    "leaf" => !place.is_container(),
                    _ => true,
                };
                kind_fits && dated(&newer, true) && dated(&older, false)
            });
            context.write(Value::Bool(any))?;
        }
        Ok(())
    }
}

struct ResolvePath {
    /// `Convert-Path`: only the text.
    plain: bool,
}

impl Cmdlet for ResolvePath {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let relative = context.switch("Relative");
        let plain = self.plain;
        for (text, found) in places(context, None)? {
            if found.is_empty() && !has_wildcard(&text) {
                continue;
            }
            for place in found {
                if !place.exists(context.runspace) {
                    let error = place.not_found();
                    context.error(Arc::clone(error.record()))?;
                } else if plain {
                    context.write(Value::from(place.path.clone()))?;
                } else if relative {
                    let base = context.runspace.location().to_owned();
                    context.write(Value::from(relative_to(&base, &place.path)))?;
                } else {
                    let value = ops::path_info(
                        &place.drive,
                        place.provider.name(),
                        &place.root,
                        &place.shown(),
                        &place.path,
                    );
                    context.write(value)?;
                }
            }
        }
        Ok(())
    }
}

/// A path as seen from a folder: `./x`, `../x`.
pub(crate) fn relative_to(base: &str, path: &str) -> String {
    let from: Vec<&str> = base.split('/').filter(|p| !p.is_empty()).collect();
    let to: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.len() - same;
    let rest = to.get(same..).unwrap_or(&[]).join("/");
    match (up, rest.is_empty()) {
        (0, true) => ".".to_owned(),
        (0, false) => format!("./{rest}"),
        (n, true) => vec![".."; n].join("/"),
        (n, false) => format!("{}/{rest}", vec![".."; n].join("/")),
    }
}

struct GetItemProperty {
    values_only: bool,
}

impl Cmdlet for GetItemProperty {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let values_only = self.values_only;
        let wanted = context.texts("Name");
        for (text, found) in places(context, None)? {
            let pattern = is_pattern(context, &text);
            for place in found {
                if !stands(context, &place, pattern)? {
                    continue;
                }
                let item = item_value(context.runspace, &place);
                if wanted.is_empty() {
                    context.write(item)?;
                    continue;
                }
                let mut notes: Vec<(String, Value)> = Vec::new();
                for name in &wanted {
                    let all = members::properties(&item);
                    let hits: Vec<String> = if has_wildcard(name) {
                        all.iter().map(|(n, _)| n.to_string()).filter(|n| is_like(n, name)).collect()
                    } else {
                        vec![name.clone()]
                    };
                    for hit in hits {
                        match members::get(&item, &hit, context.runspace)? {
                            Some(value) => notes.push((hit, value)),
                            None => {
                                let error = Error::new(
                                    "System.Management.Automation.PSArgumentException",
                                    "System.Management.Automation.PSArgumentException",
                                    ErrorCategory::InvalidArgument,
                                    format!("The property {hit} does not exist or was not found."),
                                );
                                context.error(Arc::clone(error.record()))?;
                            }
                        }
                    }
                }
                if values_only {
                    for (_, value) in notes {
                        context.write(value)?;
                    }
                } else if !notes.is_empty() {
                    let object = PsObject::custom(notes);
                    note_place(&object, &place);
                    context.write(Value::Object(Arc::new(object)))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::relative_to;

    #[test]
    fn relative_paths_go_up_and_down() {
        assert_eq!(relative_to("/a/b", "/a/b/c/d"), "./c/d");
        assert_eq!(relative_to("/a/b", "/a/x"), "../x");
        assert_eq!(relative_to("/a/b", "/a/b"), ".");
        assert_eq!(relative_to("/a/b", "/"), "../..");
    }
}
