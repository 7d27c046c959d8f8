//! `Format-*` and `Out-*`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;

use hop_powershell_format::{
    Align, Column, Formatter, Shape, TableOptions, View, default_view, generic_columns,
};
use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::{to_i64, to_text};
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::members;
use hop_powershell_runtime::value::{Members, PsObject, Value};
use hop_powershell_runtime::wildcard::{has_wildcard, is_like};

const UTILITY: &str = "Microsoft.PowerShell.Utility";
const CORE: &str = "Microsoft.PowerShell.Core";

pub(crate) fn register(table: &mut CommandTable) {
    let format = |info: CmdletInfo| {
        info.with(P::new("Property", "object[]").position(0))
            .with(P::new("GroupBy", "object"))
            .with(P::new("View", "string"))
            .with(P::switch("ShowError"))
            .with(P::switch("DisplayError"))
            .with(P::switch("Force"))
            .with(P::new("Expand", "string"))
            .with(P::new("InputObject", "psobject").pipeline())
    };
    table.add(
        format(CmdletInfo::new(
            "Format-Table",
            "Microsoft.PowerShell.Commands.FormatTableCommand",
            UTILITY,
            || Box::new(Format::new(Kind::Table)),
        ))
        .with(P::switch("AutoSize"))
        .with(P::switch("HideTableHeaders"))
        .with(P::switch("RepeatHeader"))
        .with(P::switch("Wrap")),
    );
    table.add(format(CmdletInfo::new(
        "Format-List",
        "Microsoft.PowerShell.Commands.FormatListCommand",
        UTILITY,
        || Box::new(Format::new(Kind::List)),
    )));
    table.add(
        format(CmdletInfo::new(
            "Format-Wide",
            "Microsoft.PowerShell.Commands.FormatWideCommand",
            UTILITY,
            || Box::new(Format::new(Kind::Wide)),
        ))
        .with(P::switch("AutoSize"))
        .with(P::new("Column", "int")),
    );
    table.add(
        CmdletInfo::new("Out-String", "Microsoft.PowerShell.Commands.OutStringCommand", UTILITY, || {
            Box::<OutString>::default()
        })
        .with(P::switch("Stream"))
        .with(P::switch("NoNewline"))
        .with(P::new("Width", "int"))
        .with(P::new("InputObject", "psobject").pipeline()),
    );
    for (name, class) in [("Out-Host", "OutHostCommand"), ("Out-Default", "OutDefaultCommand")] {
        let class: &'static str = if class == "OutHostCommand" {
            "Microsoft.PowerShell.Commands.OutHostCommand"
        } else {
            "Microsoft.PowerShell.Commands.OutDefaultCommand"
        };
        table.add(
            CmdletInfo::new(name, class, CORE, || Box::<OutHost>::default())
                .with(P::switch("Paging"))
                .with(P::switch("Transcript"))
                .with(P::new("InputObject", "psobject").pipeline()),
        );
    }
    table.add(
        CmdletInfo::new("Out-File", "Microsoft.PowerShell.Commands.OutFileCommand", UTILITY, || {
            Box::<OutFile>::default()
        })
        .with(P::new("FilePath", "string").position(0).mandatory().alias("Path"))
        .with(P::new("Encoding", "object").position(1))
        .with(P::switch("Append"))
        .with(P::switch("Force"))
        .with(P::switch("NoClobber").alias("NoOverwrite"))
        .with(P::new("Width", "int"))
        .with(P::switch("NoNewline"))
        .with(P::new("InputObject", "psobject").pipeline())
        .should_process(),
    );
    for (name, target) in
        [("ft", "Format-Table"), ("fl", "Format-List"), ("fw", "Format-Wide"), ("oh", "Out-Host")]
    {
        table.alias(name, target);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Table,
    List,
    Wide,
}

struct Format {
    kind: Kind,
    formatter: Option<Formatter>,
    lines: Vec<String>,
}

impl Format {
    fn new(kind: Kind) -> Self {
        Self { kind, formatter: None, lines: Vec::new() }
    }

    fn view(&self, value: &Value, context: &mut CmdletContext<'_>) -> View {
        let chosen = context.items("Property");
        let known = default_view(value, context.runspace);
        let columns = if chosen.is_empty() {
            match (self.kind, known.shape) {
                (Kind::Table, Shape::Table(columns)) | (Kind::List, Shape::List(columns)) => columns,
                _ => generic_columns(value, context.runspace),
            }
        } else {
            chosen.iter().flat_map(|p| columns_for(p, value)).collect()
        };
        let group_by =
            context.items("GroupBy").first().and_then(|g| columns_for(g, value).into_iter().next());
        let shape = match self.kind {
            Kind::Table => Shape::Table(columns),
            Kind::List => Shape::List(columns),
            Kind::Wide => Shape::Wide(
                columns
                    .iter()
                    .find(|c| c.label.eq_ignore_ascii_case("Name"))
                    .or_else(|| columns.first())
                    .cloned()
                    .unwrap_or_else(|| Column::property("Name")),
            ),
        };
        View {
            shape,
            type_name: None,
            group_by: group_by.or(if chosen.is_empty() { known.group_by } else { None }),
        }
    }
}

/// The columns that one `-Property` argument stands for.
pub(crate) fn columns_for(property: &Value, sample: &Value) -> Vec<Column> {
    match property.base() {
        Value::Dict(dict) => {
            let get = |names: &[&str]| {
                dict.entries().into_iter().find_map(|(k, v)| {
                    let key = to_text(&k).to_ascii_lowercase();
                    names.iter().any(|n| !key.is_empty() && n.starts_with(&key)).then_some(v)
                })
            };
            let source = get(&["expression"]).unwrap_or_default();
            let label = get(&["name", "label"]).map_or_else(|| to_text(&source), |l| to_text(&l));
            let align = get(&["alignment"]).and_then(|a| match to_text(&a).to_ascii_lowercase().as_str() {
                "left" => Some(Align::Left),
                "right" => Some(Align::Right),
                "center" => Some(Align::Center),
                _ => None,
            });
            let width = get(&["width"]).and_then(|w| to_i64(&w)).and_then(|w| usize::try_from(w).ok());
            let format = get(&["formatstring"]).map(|f| to_text(&f));
            vec![Column { label, source, format, width, align }]
        }
        Value::ScriptBlock(block) => vec![Column {
            label: block.text().to_owned(),
            source: property.clone(),
            format: None,
            width: None,
            align: None,
        }],
        other => {
            let name = to_text(other);
            let all = members::properties(sample);
            if has_wildcard(&name) {
                all.iter().filter(|(n, _)| is_like(n, &name)).map(|(n, _)| Column::property(n)).collect()
            } else {
                let spelled = all.iter().find(|(n, _)| n.eq_ignore_ascii_case(&name));
                vec![Column::property(spelled.map_or(&name, |(n, _)| n))]
            }
        }
    }
}

impl Cmdlet for Format {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for value in context.items("InputObject") {
            if value.is_null() {
                continue;
            }
            if self.formatter.is_none() {
                let options = TableOptions {
                    auto_size: context.switch("AutoSize"),
                    hide_headers: context.switch("HideTableHeaders"),
                    wrap: context.switch("Wrap"),
                };
                let sample = match value.base() {
                    Value::Dict(dict) => dict
                        .entries()
                        .into_iter()
                        .next()
                        .map(|(k, v)| {
                            hop_powershell_runtime::dotnet::DictEntry::value(
                                &hop_powershell_runtime::value::DictKind::Hashtable,
                                k,
                                v,
                            )
                        })
                        .unwrap_or_default(),
                    _ => value.clone(),
                };
                let columns = context.integer("Column").and_then(|n| usize::try_from(n).ok()).unwrap_or(2);
                if hop_powershell_format::is_scalar(&value) && context.items("Property").is_empty() {
                    self.formatter = Some(Formatter::new(context.runspace.host.width()));
                } else {
                    let view = self.view(&sample, context);
                    self.formatter =
                        Some(Formatter::with_view(context.runspace.host.width(), view, options, columns));
                }
            }
            if let Some(formatter) = &mut self.formatter {
                self.lines.extend(formatter.push(&value, context.runspace));
            }
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(mut formatter) = self.formatter.take() {
            self.lines.extend(formatter.finish(context.runspace));
        }
        if self.lines.is_empty() {
            return Ok(());
        }
        let text = self.lines.join("\n");
        let data = PsObject::deserialized(
            None,
            Members::default(),
            vec![
                Arc::from("Microsoft.PowerShell.Commands.Internal.Format.FormatEntryData"),
                Arc::from("System.Object"),
            ],
            Some(Arc::from(text)),
        );
        context.write(Value::Object(Arc::new(data)))
    }
}

#[derive(Default)]
struct OutString {
    formatter: Option<Formatter>,
    lines: Vec<String>,
}

impl Cmdlet for OutString {
    fn begin(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let width = context.integer("Width").and_then(|w| usize::try_from(w).ok());
        self.formatter = Some(Formatter::new(width.unwrap_or(context.runspace.host.width())));
        Ok(())
    }

    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for value in context.items("InputObject") {
            if let Some(formatter) = &mut self.formatter {
                let lines = formatter.push(&value, context.runspace);
                self.lines.extend(lines);
            }
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(mut formatter) = self.formatter.take() {
            self.lines.extend(formatter.finish(context.runspace));
        }
        if context.switch("Stream") {
            return std::mem::take(&mut self.lines).into_iter().try_for_each(|line| context.write(line));
        }
        let end = if context.switch("NoNewline") { "" } else { "\n" };
        let text: String = self.lines.iter().map(|l| format!("{l}{end}")).collect();
        context.write(text)
    }
}

#[derive(Default)]
struct OutHost {
    formatter: Option<Formatter>,
}

impl OutHost {
    fn show(context: &mut CmdletContext<'_>, lines: Vec<String>) {
        for line in lines {
            context.runspace.host.write_line(&line);
        }
    }
}

impl Cmdlet for OutHost {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let width = context.runspace.host.width();
        for value in context.items("InputObject") {
            let formatter = self.formatter.get_or_insert_with(|| Formatter::new(width));
            let lines = formatter.push(&value, context.runspace);
            Self::show(context, lines);
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(mut formatter) = self.formatter.take() {
            let lines = formatter.finish(context.runspace);
            Self::show(context, lines);
        }
        Ok(())
    }
}

#[derive(Default)]
struct OutFile {
    formatter: Option<Formatter>,
    lines: Vec<String>,
}

impl Cmdlet for OutFile {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let width = context.integer("Width").and_then(|w| usize::try_from(w).ok()).unwrap_or(80);
        for value in context.items("InputObject") {
            let formatter = self.formatter.get_or_insert_with(|| Formatter::new(width));
            let lines = formatter.push(&value, context.runspace);
            self.lines.extend(lines);
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(mut formatter) = self.formatter.take() {
            self.lines.extend(formatter.finish(context.runspace));
        }
        let path = context.text("FilePath").unwrap_or_default();
        let full = context.runspace.full_path(&path);
        if !context.should_process(&full, "Output to File")? {
            return Ok(());
        }
        let end = if context.switch("NoNewline") { "" } else { "\n" };
        let text: String = self.lines.iter().map(|l| format!("{l}{end}")).collect();
        let append = context.switch("Append");
        let result = OpenOptions::new()
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .open(&full)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match result {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = crate::files::io_error(&error, &full);
                Err(context.terminate(error))
            }
        }
    }
}
