//! `Select-String`.

use std::any::Any;
use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::dotnet::MatchObject;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::regex::{Regex, escape};
use hop_powershell_runtime::value::{Callbacks, Error, ErrorCategory, NativeObject, TypeRef, Value};

use super::UTILITY;
use crate::files::{self, Encoding, encoding_parameter};

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new(
            "Select-String",
            "Microsoft.PowerShell.Commands.SelectStringCommand",
            UTILITY,
            || Box::<SelectString>::default(),
        )
        .default_set("File")
        .with(P::new("Culture", "string"))
        .with(
            P::new("InputObject", "psobject")
                .in_sets(&["Object", "ObjectRaw"])
                .mandatory()
                .pipeline()
                .allow_empty(),
        )
        .with(P::new("Pattern", "string[]").mandatory().position(0))
        .with(P::new("Path", "string[]").in_sets(&["File", "FileRaw"]).mandatory().position(1).by_property())
        .with(
            P::new("LiteralPath", "string[]")
                .in_sets(&["LiteralFile", "LiteralFileRaw"])
                .mandatory()
                .by_property()
                .alias("PSPath")
                .alias("LP"),
        )
        .with(P::switch("Raw"))
        .with(P::switch("SimpleMatch"))
        .with(P::switch("CaseSensitive"))
        .with(P::switch("Quiet"))
        .with(P::switch("List"))
        .with(P::switch("NoEmphasis"))
        .with(P::new("Include", "string[]"))
        .with(P::new("Exclude", "string[]"))
        .with(P::switch("NotMatch"))
        .with(P::switch("AllMatches"))
        .with(encoding_parameter())
        .with(P::new("Context", "int[]")),
    );
    table.alias("sls", "Select-String");
}

/// `MatchInfo`: a line that was found.
#[derive(Debug)]
pub(crate) struct MatchInfo {
    ignore_case: bool,
    line: Value,
    number: usize,
    path: String,
    pattern: String,
    context: Option<(Vec<String>, Vec<String>)>,
    matches: Vec<Value>,
    /// The location, for the path that is shown.
    folder: String,
}

impl MatchInfo {
    fn relative<'p>(&'p self, folder: &str) -> &'p str {
        self.path
            .strip_prefix(folder.trim_end_matches('/'))
            .and_then(|p| p.strip_prefix('/'))
            .unwrap_or(&self.path)
    }

    fn display(&self, folder: &str) -> String {
        let line = to_text(&self.line);
        let from_file = self.path != "InputStream";
        let head = |number: usize| {
            if from_file { format!("{}:{number}:", self.relative(folder)) } else { String::new() }
        };
        match &self.context {
            None => format!("{}{line}", head(self.number)),
            Some((before, after)) => {
                let mut lines = Vec::new();
                for (i, text) in before.iter().enumerate() {
                    lines.push(format!("  {}{text}", head(self.number - before.len() + i)));
                }
                lines.push(format!("> {}{line}", head(self.number)));
                for (i, text) in after.iter().enumerate() {
                    lines.push(format!("  {}{text}", head(self.number + 1 + i)));
                }
                lines.join("\n")
            }
        }
    }
}

impl NativeObject for MatchInfo {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("Microsoft.PowerShell.Commands.MatchInfo")
    }

    fn text(&self) -> String {
        self.display(&self.folder)
    }

    fn properties(&self) -> Vec<Arc<str>> {
        ["IgnoreCase", "LineNumber", "Line", "Filename", "Path", "Pattern", "Context", "Matches"]
            .into_iter()
            .map(Arc::from)
            .collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        Some(Ok(match name.to_ascii_lowercase().as_str() {
            "ignorecase" => Value::Bool(self.ignore_case),
            "linenumber" => Value::Int32(i32::try_from(self.number).unwrap_or(i32::MAX)),
            "line" => self.line.clone(),
            "filename" => Value::string(self.path.rsplit('/').next().unwrap_or(&self.path)),
            "path" => Value::string(&self.path),
            "pattern" => Value::string(&self.pattern),
            "context" => match &self.context {
                None => Value::Null,
                Some((before, after)) => Value::custom_typed(
                    "Microsoft.PowerShell.Commands.MatchInfoContext",
                    [
                        ("PreContext", Value::strings(before)),
                        ("PostContext", Value::strings(after)),
                        ("DisplayPreContext", Value::strings(before)),
                        ("DisplayPostContext", Value::strings(after)),
                    ],
                ),
            },
            "matches" => Value::typed_array(
                TypeRef::named("System.Text.RegularExpressions.Match"),
                self.matches.clone(),
            ),
            _ => return None,
        }))
    }

    fn invoke(&self, name: &str, args: &[Value], _: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        let folder = args.first().map_or_else(|| self.folder.clone(), to_text);
        match name.to_ascii_lowercase().as_str() {
            "relativepath" => Some(Ok(Value::string(self.relative(&folder)))),
            "tostring" | "toemphasizedstring" if args.is_empty() => {
                // Without a folder the text holds the whole path.
                Some(Ok(Value::from(self.display(if self.path == "InputStream" { "" } else { "\0" }))))
            }
            "tostring" | "toemphasizedstring" => Some(Ok(Value::from(self.display(&folder)))),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Default)]
struct SelectString {
    regexes: Vec<(String, Arc<Regex>)>,
    /// The objects from the pipeline so far, as one text.
    input: Vec<(Value, String)>,
    found_any: bool,
    context_lines: Option<(usize, usize)>,
}

struct Options {
    not: bool,
    all: bool,
    raw: bool,
    quiet: bool,
    list: bool,
    ignore_case: bool,
    simple: bool,
}

impl Options {
    fn of(context: &CmdletContext<'_>) -> Self {
        Self {
            not: context.switch("NotMatch"),
            all: context.switch("AllMatches"),
            raw: context.switch("Raw"),
            quiet: context.switch("Quiet"),
            list: context.switch("List"),
            ignore_case: !context.switch("CaseSensitive"),
            simple: context.switch("SimpleMatch"),
        }
    }
}

impl Cmdlet for SelectString {
    fn begin(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let options = Options::of(context);
        for pattern in context.texts("Pattern") {
            let text = if options.simple { escape(&pattern) } else { pattern.clone() };
            match Regex::cached(&text, i64::from(options.ignore_case)) {
                Ok(regex) => self.regexes.push((pattern, regex)),
                Err(error) => {
                    let error = Error::new(
                        "System.ArgumentException",
                        "InvalidRegex",
                        ErrorCategory::InvalidArgument,
                        format!(
                            "The string {pattern} is not a valid regular expression: {}",
                            error
                                .exception()
                                .map_or_else(|| error.message(), |e| e.innermost().message().to_string())
                        ),
                    )
                    .with_target(Value::string(&pattern));
                    return Err(context.terminate(error));
                }
            }
        }
        let lines = context.items("Context");
        let number = |v: Option<&Value>| v.and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok());
        self.context_lines = match lines.as_slice() {
            [] => None,
            [one] => number(Some(one)).map(|n| (n, n)),
            [before, after, ..] => number(Some(before)).zip(number(Some(after))),
        };
        Ok(())
    }

    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let options = Options::of(context);
        let file = match context.arg("InputObject") {
            Some(Value::Object(object)) => match object.base() {
                Some(Value::Native(native)) if native.type_ref().is("System.IO.FileInfo") => {
                    native.get("FullName").and_then(Result::ok).map(|p| to_text(&p))
                }
                Some(Value::Native(native)) if native.type_ref().is("System.IO.DirectoryInfo") => {
                    let path = native.text();
                    return context.error_with(
                        "System.IO.IOException",
                        "ProcessingFile",
                        ErrorCategory::InvalidOperation,
                        Value::Null,
                        format!("The file {path} cannot be read: Access to the path '{path}' is denied."),
                    );
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(path) = file {
            return self.search_file(context, &options, &path);
        }
        if context.has("Path") || context.has("LiteralPath") {
            for (text, found) in files::places(context, None)? {
                let pattern = files::is_pattern(context, &text);
                for place in found {
                    if !place.exists(context.runspace) {
                        if !pattern {
                            let error = place.not_found();
                            context.error(Arc::clone(error.record()))?;
                        }
                        continue;
                    }
                    if place.is_container() {
                        continue;
                    }
                    self.search_file(context, &options, &place.path)?;
                }
            }
            return Ok(());
        }
        let Some(item) = context.arg("InputObject").cloned() else { return Ok(()) };
        for item in item.enumerate().unwrap_or_else(|| vec![item]) {
            let text = context.runspace.to_text(&item);
            self.input.push((Value::string(&text), text));
            if self.context_lines.is_none() {
                let number = self.input.len();
                let lines: Vec<String> = self.input.last().map(|(_, t)| t.clone()).into_iter().collect();
                self.search(context, &options, &lines, "InputStream", number - 1)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let options = Options::of(context);
        if self.context_lines.is_some() && !self.input.is_empty() {
            let lines: Vec<String> = self.input.iter().map(|(_, t)| t.clone()).collect();
            self.search(context, &options, &lines, "InputStream", 0)?;
        }
        if options.quiet && !self.found_any {
            return context.write(Value::Bool(false));
        }
        Ok(())
    }
}

impl SelectString {
    fn search_file(&mut self, context: &mut CmdletContext<'_>, options: &Options, path: &str) -> Run {
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        match std::fs::read(path) {
            Ok(bytes) => {
                let text = encoding.decode_file(&bytes);
                let lines: Vec<String> = files::lines(&text).into_iter().map(str::to_owned).collect();
                self.search(context, options, &lines, path, 0)
            }
            Err(error) => {
                let error = files::io_error(&error, path);
                context.error(Arc::clone(error.record()))
            }
        }
    }

    fn search(
        &mut self,
        context: &mut CmdletContext<'_>,
        options: &Options,
        lines: &[String],
        path: &str,
        before: usize,
    ) -> Run {
        for (i, line) in lines.iter().enumerate() {
            let hit = self.regexes.iter().find_map(|(pattern, regex)| {
                let found = if options.all {
                    regex.find_all(line)
                } else {
                    regex.find_at(line, 0).into_iter().collect()
                };
                (!found.is_empty()).then(|| {
                    let matches: Vec<Value> =
                        found.into_iter().map(|m| Value::native(MatchObject::new(regex, line, m))).collect();
                    (pattern.clone(), matches)
                })
            });
            let (pattern, matches) = match (hit, options.not) {
                (Some(hit), false) => hit,
                (None, true) => {
                    (self.regexes.first().map(|(p, _)| p.clone()).unwrap_or_default(), Vec::new())
                }
                _ => continue,
            };
            if options.quiet {
                if !self.found_any {
                    self.found_any = true;
                    context.write(Value::Bool(true))?;
                }
                return Ok(());
            }
            self.found_any = true;
            if options.raw {
                context.write(Value::string(line))?;
            } else {
                let around = self.context_lines.map(|(b, a)| {
                    let start = i.saturating_sub(b);
                    let end = (i + 1 + a).min(lines.len());
                    (
                        lines.get(start..i).unwrap_or(&[]).to_vec(),
                        lines.get(i + 1..end).unwrap_or(&[]).to_vec(),
                    )
                });
                let info = MatchInfo {
                    ignore_case: options.ignore_case,
                    line: Value::string(line),
                    number: before + i + 1,
                    path: path.to_owned(),
                    pattern,
                    context: around,
                    matches: if options.simple && !options.all { Vec::new() } else { matches },
                    folder: context.runspace.location().to_owned(),
                };
                context.write(Value::native(info))?;
            }
            if options.list {
                break;
            }
        }
        Ok(())
    }
}
