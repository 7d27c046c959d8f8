//! `Export-Clixml`, `Import-Clixml`, `ConvertTo-CliXml`, `ConvertFrom-CliXml` and `PSSerializer`.

use hop_clixml as clixml;
use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P, Validator};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::{to_i64, to_text};
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::runspace::{Runspace, TypeProvider};
use hop_powershell_runtime::value::{Callbacks, Error, ErrorCategory, TypeRef, Value};

use crate::files::{self, Encoding, encoding_parameter};
use crate::serialize::{from_clixml_all, to_clixml_all};

const UTILITY: &str = "Microsoft.PowerShell.Utility";
const SERIALIZER: &str = "System.Management.Automation.PSSerializer";
const DEFAULT_DEPTH: i64 = 2;
/// PowerShell reads no deeper.
const READ_DEPTH: usize = 48;

pub(crate) fn register(table: &mut CommandTable) {
    let depth = || P::new("Depth", "int").validate(Validator::Range(Value::Int32(1), Value::Int32(i32::MAX)));
    let paths = |info: CmdletInfo, kind: &str| {
        info.default_set("ByPath")
            .with(P::new("Path", kind).in_sets(&["ByPath"]).mandatory().position(0).by_property())
            .with(
                P::new("LiteralPath", kind)
                    .in_sets(&["ByLiteralPath"])
                    .mandatory()
                    .by_property()
                    .alias("PSPath")
                    .alias("LP"),
            )
    };
    table.add(
        paths(
            CmdletInfo::new(
                "Export-Clixml",
                "Microsoft.PowerShell.Commands.ExportClixmlCommand",
                UTILITY,
                || Box::<Export>::default(),
            ),
            "string",
        )
        .with(depth())
        .with(P::new("InputObject", "psobject").mandatory().pipeline().allow_empty())
        .with(P::switch("Force"))
        .with(P::switch("NoClobber").alias("NoOverwrite"))
        .with(encoding_parameter())
        .should_process(),
    );
    table.add(
        paths(
            CmdletInfo::new(
                "Import-Clixml",
                "Microsoft.PowerShell.Commands.ImportClixmlCommand",
                UTILITY,
                || Box::new(Import),
            ),
            "string[]",
        )
        .with(P::switch("IncludeTotalCount"))
        .with(P::new("Skip", "long"))
        .with(P::new("First", "long")),
    );
    table.add(
        CmdletInfo::new(
            "ConvertTo-CliXml",
            "Microsoft.PowerShell.Commands.ConvertToClixmlCommand",
            UTILITY,
            || Box::<ConvertTo>::default(),
        )
        .with(P::new("InputObject", "psobject").mandatory().pipeline().position(0).allow_empty())
        .with(depth()),
    );
    table.add(
        CmdletInfo::new(
            "ConvertFrom-CliXml",
            "Microsoft.PowerShell.Commands.ConvertFromClixmlCommand",
            UTILITY,
            || Box::new(ConvertFrom),
        )
        .with(P::new("InputObject", "string").mandatory().pipeline().position(0)),
    );
}

/// Values as a document, set out as in files.
fn write(values: &[Value], depth: usize, engine: &mut dyn Callbacks) -> Result<String, Error> {
    let document = clixml::Document::new(to_clixml_all(values, depth, engine));
    let text = clixml::write::document(&document, clixml::write::Layout::Indented);
    match text.chars().find(|c| matches!(c, '\u{FFFE}' | '\u{FFFF}')) {
        Some(bad) => Err(Error::dotnet(
            "System.ArgumentException",
            format!("'\u{FFFD}', hexadecimal value 0x{:X}, is an invalid character.", u32::from(bad))
                .replace('\u{FFFD}', &bad.to_string()),
        )),
        None => Ok(text),
    }
}

/// The values of a document, and what is wrong behind them.
fn read(text: &str) -> (Vec<Value>, Option<Error>) {
    let limits = clixml::parse::Limits { max_depth: READ_DEPTH, ..Default::default() };
    let fault = |error: clixml::parse::ParseError| {
        Error::new(
            "System.Xml.XmlException",
            "XmlException",
            ErrorCategory::NotSpecified,
            error.powershell_message(),
        )
    };
    match clixml::parse::document_until_error(text, &limits) {
        Ok((document, error)) => {
            (from_clixml_all(document.roots.iter().map(|root| &root.value)), error.map(fault))
        }
        Err(error) => (Vec::new(), Some(fault(error))),
    }
}

fn depth_of(context: &CmdletContext<'_>) -> usize {
    usize::try_from(context.integer("Depth").unwrap_or(DEFAULT_DEPTH)).unwrap_or(1)
}

#[derive(Default)]
struct Export {
    values: Vec<Value>,
    refused: bool,
}

impl Cmdlet for Export {
    fn begin(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let path = path_of(context)?;
        if !context.should_process(&path, "Export-Clixml")? {
            self.refused = true;
            return Ok(());
        }
        if context.switch("NoClobber") && std::path::Path::new(&path).exists() {
            let error = Error::new(
                "System.IO.IOException",
                "NoClobber",
                ErrorCategory::ResourceExists,
                format!("The file '{path}' already exists."),
            )
            .with_target(Value::string(&path));
            return Err(context.terminate(error));
        }
        match std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(&path) {
            Ok(_) => Ok(()),
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let error = if missing {
                    Error::new(
                        "System.IO.DirectoryNotFoundException",
                        "FileOpenFailure",
                        ErrorCategory::OpenError,
                        format!("Could not find a part of the path '{path}'."),
                    )
                } else {
                    files::io_error(&error, &path)
                };
                Err(context.terminate(error))
            }
        }
    }

    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(value) = context.arg("InputObject").cloned() {
            self.values.push(value);
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if self.refused {
            return Ok(());
        }
        let path = path_of(context)?;
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        let depth = depth_of(context);
        let text = match write(&self.values, depth, context.runspace) {
            Ok(text) => text,
            Err(error) => return Err(context.terminate(error)),
        };
        let mut bytes = encoding.preamble().to_vec();
        bytes.extend(encoding.encode(&text));
        std::fs::write(&path, bytes).map_err(|error| {
            let error = files::io_error(&error, &path);
            context.terminate(error)
        })
    }
}

fn path_of(context: &mut CmdletContext<'_>) -> Run<String> {
    let literal = context.has("LiteralPath");
    let text = context.text(if literal { "LiteralPath" } else { "Path" }).unwrap_or_default();
    match files::expand(context.runspace, &text, literal, true) {
        Ok(found) if !found.is_empty() => Ok(found.first().map(|p| p.path.clone()).unwrap_or_default()),
        Ok(_) => Ok(context.runspace.full_path(&text)),
        Err(error) => Err(context.terminate(error)),
    }
}

struct Import;

impl Cmdlet for Import {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let skip = context.integer("Skip").and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let first = context.integer("First").and_then(|n| usize::try_from(n).ok());
        let paged = context.has("Skip") || context.has("First");
        if context.switch("IncludeTotalCount") {
            context.write(Value::string("Unknown total count"))?;
        }
        for (_, found) in files::places(context, None)? {
            for place in found {
                let bytes = match std::fs::read(&place.path) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        let error = files::io_error(&error, &place.path);
                        return Err(context.terminate(error));
                    }
                };
                let (mut values, error) = read(&Encoding::Utf8.decode_file(&bytes));
                // Paging speaks of the items of a file that holds one list.
                if paged
                    && values.len() == 1
                    && let Some(items) = values.first().and_then(Value::enumerate)
                {
                    values = items;
                }
                for value in values.into_iter().skip(skip).take(first.unwrap_or(usize::MAX)) {
                    context.write(value)?;
                }
                if let Some(error) = error {
                    return Err(context.terminate(error));
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct ConvertTo {
    values: Vec<Value>,
}

impl Cmdlet for ConvertTo {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(value) = context.arg("InputObject").cloned() {
            self.values.push(value);
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let depth = depth_of(context);
        match write(&self.values, depth, context.runspace) {
            Ok(text) => context.write(text),
            Err(error) => Err(context.terminate(error)),
        }
    }
}

struct ConvertFrom;

impl Cmdlet for ConvertFrom {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let text = context.text("InputObject").unwrap_or_default();
        let (values, error) = read(&text);
        for value in values {
            context.write(value)?;
        }
        match error {
            Some(error) => Err(context.terminate(error)),
            None => Ok(()),
        }
    }
}

/// `[System.Management.Automation.PSSerializer]`.
pub(crate) struct Serializer;

impl TypeProvider for Serializer {
    fn find(&self, full_name: &str) -> Option<TypeRef> {
        full_name.eq_ignore_ascii_case(SERIALIZER).then(|| TypeRef::named(SERIALIZER))
    }

    fn get(&self, _: &mut Runspace, _: &TypeRef, _: &str) -> Option<Result<Value, Error>> {
        None
    }

    fn invoke(
        &self,
        runspace: &mut Runspace,
        kind: &TypeRef,
        name: &str,
        args: &[Value],
    ) -> Option<Result<Value, Error>> {
        if !kind.is(SERIALIZER) {
            return None;
        }
        let lower = name.to_ascii_lowercase();
        Some(match (lower.as_str(), args) {
            ("serialize", [value]) => serialize(value, 1, runspace),
            ("serialize", [value, depth]) => serialize(value, to_i64(depth).unwrap_or(1), runspace),
            ("deserialize", [text]) => deserialize(text).map(|mut values| match values.len() {
                0 => Value::Null,
                1 => values.pop().unwrap_or_default(),
                _ => Value::array(values),
            }),
            ("deserializeaslist", [text]) => deserialize(text).map(Value::array),
            _ => return None,
        })
    }
}

fn serialize(value: &Value, depth: i64, runspace: &mut Runspace) -> Result<Value, Error> {
    if depth < 1 {
        return Err(Error::dotnet(
            "System.ArgumentException",
            "Value of depth parameter must be greater than or equal to 1.",
        ));
    }
    // A method call hands over what is inside these, without notes.
    let value = match value {
        Value::Object(object) => match object.base() {
            Some(base @ (Value::String(_) | Value::Array(_) | Value::List(_) | Value::Dict(_))) => base,
            _ => value,
        },
        plain => plain,
    };
    let depth = usize::try_from(depth).unwrap_or(usize::MAX);
    write(std::slice::from_ref(value), depth, runspace).map(Value::from)
}

fn deserialize(text: &Value) -> Result<Vec<Value>, Error> {
    if text.is_null() {
        return Err(Error::dotnet(
            "System.ArgumentNullException",
            "Value cannot be null. (Parameter 'source')",
        ));
    }
    match read(&to_text(text)) {
        (values, None) => Ok(values),
        (_, Some(error)) => {
            let message = error.message();
            Err(Error::dotnet("System.Xml.XmlException", message))
        }
    }
}

/// Makes the type known to a session.
pub(crate) fn provide(runspace: &mut Runspace) {
    runspace.type_providers.push(Box::new(Serializer));
}
