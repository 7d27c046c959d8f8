//! The pipeline's core: filtering, selecting, sorting, grouping, measuring, making objects.

use std::cmp::Ordering;
use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::{self, to_bool, to_f64, to_text};
use hop_powershell_runtime::dotnet;
use hop_powershell_runtime::flow::{Flow, Run};
use hop_powershell_runtime::members;
use hop_powershell_runtime::operators::{self, compare_for_sort, compare_text};
use hop_powershell_runtime::runspace::Runspace;
use hop_powershell_runtime::value::{
    Error, ErrorCategory, HashKey, ListKind, MemberKind, MemberType, PsDict, PsList, PsObject, TypeRef, Value,
};
use hop_powershell_runtime::wildcard::{has_wildcard, is_like};

const UTILITY: &str = "Microsoft.PowerShell.Utility";

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new(
            "Select-Object",
            "Microsoft.PowerShell.Commands.SelectObjectCommand",
            UTILITY,
            || Box::<SelectObject>::default(),
        )
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::new("Property", "object[]").position(0))
        .with(P::new("ExcludeProperty", "string[]"))
        .with(P::new("ExpandProperty", "string"))
        .with(P::switch("Unique"))
        .with(P::switch("CaseInsensitive"))
        .with(P::new("First", "int"))
        .with(P::new("Last", "int"))
        .with(P::new("Skip", "int"))
        .with(P::new("SkipLast", "int"))
        .with(P::switch("Wait"))
        .with(P::new("Index", "int[]"))
        .with(P::new("SkipIndex", "int[]")),
    );
    table.add(
        CmdletInfo::new("Sort-Object", "Microsoft.PowerShell.Commands.SortObjectCommand", UTILITY, || {
            Box::<SortObject>::default()
        })
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::new("Property", "object[]").position(0))
        .with(P::switch("Descending"))
        .with(P::switch("Unique"))
        .with(P::switch("Stable"))
        .with(P::switch("CaseSensitive"))
        .with(P::new("Top", "int"))
        .with(P::new("Bottom", "int"))
        .with(P::new("Culture", "string")),
    );
    table.add(
        CmdletInfo::new("Group-Object", "Microsoft.PowerShell.Commands.GroupObjectCommand", UTILITY, || {
            Box::<GroupObject>::default()
        })
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::new("Property", "object[]").position(0))
        .with(P::switch("NoElement"))
        .with(P::switch("AsHashTable").alias("AHT"))
        .with(P::switch("AsString"))
        .with(P::switch("CaseSensitive")),
    );
    table.add(
        CmdletInfo::new(
            "Measure-Object",
            "Microsoft.PowerShell.Commands.MeasureObjectCommand",
            UTILITY,
            || Box::<MeasureObject>::default(),
        )
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::new("Property", "object[]").position(0))
        .with(P::switch("Sum"))
        .with(P::switch("Average"))
        .with(P::switch("Maximum"))
        .with(P::switch("Minimum"))
        .with(P::switch("StandardDeviation"))
        .with(P::switch("AllStats"))
        .with(P::switch("Line"))
        .with(P::switch("Word"))
        .with(P::switch("Character"))
        .with(P::switch("IgnoreWhiteSpace")),
    );
    table.add(
        CmdletInfo::new(
            "Compare-Object",
            "Microsoft.PowerShell.Commands.CompareObjectCommand",
            UTILITY,
            || Box::<CompareObject>::default(),
        )
        .with(P::new("ReferenceObject", "psobject[]").position(0).mandatory().allow_empty())
        .with(P::new("DifferenceObject", "psobject[]").position(1).mandatory().pipeline().allow_empty())
        .with(P::new("Property", "object[]"))
        .with(P::new("SyncWindow", "int"))
        .with(P::switch("IncludeEqual"))
        .with(P::switch("ExcludeDifferent"))
        .with(P::switch("PassThru"))
        .with(P::switch("CaseSensitive")),
    );
    table.add(
        CmdletInfo::new("Get-Member", "Microsoft.PowerShell.Commands.GetMemberCommand", UTILITY, || {
            Box::<GetMember>::default()
        })
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::new("Name", "string[]").position(0))
        .with(P::new("MemberType", "object").alias("Type"))
        .with(P::switch("Static"))
        .with(P::switch("Force")),
    );
    table.add(
        CmdletInfo::new("Add-Member", "Microsoft.PowerShell.Commands.AddMemberCommand", UTILITY, || {
            Box::new(AddMember)
        })
        .with(P::new("InputObject", "psobject").mandatory().pipeline())
        .with(
            P::new("MemberType", "System.Management.Automation.PSMemberTypes")
                .in_sets(&["MemberSet"])
                .mandatory()
                .position(0)
                .alias("Type"),
        )
        .with(P::new("Name", "string").in_sets(&["MemberSet"]).mandatory().position(1))
        .with(P::new("Value", "object").in_sets(&["MemberSet"]).position(2))
        .with(P::new("SecondValue", "object").in_sets(&["MemberSet"]).position(3))
        .with(
            P::new("NotePropertyName", "string")
                .in_sets(&["NotePropertySingleMemberSet"])
                .mandatory()
                .position(0),
        )
        .with(
            P::new("NotePropertyValue", "object")
                .in_sets(&["NotePropertySingleMemberSet"])
                .mandatory()
                .position(1)
                .allow_empty(),
        )
        .with(
            P::new("NotePropertyMembers", "dictionary")
                .in_sets(&["NotePropertyMultiMemberSet"])
                .mandatory()
                .position(0),
        )
        .with(P::new("TypeName", "string"))
        .with(P::switch("PassThru"))
        .with(P::switch("Force")),
    );
    table.add(
        CmdletInfo::new("New-Object", "Microsoft.PowerShell.Commands.NewObjectCommand", UTILITY, || {
            Box::new(NewObject)
        })
        .with(P::new("TypeName", "string").mandatory().position(0))
        .with(P::new("ArgumentList", "object[]").position(1).alias("Args"))
        .with(P::new("Property", "dictionary"))
        .with(P::new("ComObject", "string")),
    );
    table.add(
        CmdletInfo::new("Get-Unique", "Microsoft.PowerShell.Commands.GetUniqueCommand", UTILITY, || {
            Box::<GetUnique>::default()
        })
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::switch("AsString"))
        .with(P::switch("OnType")),
    );
    table.add(
        CmdletInfo::new("Tee-Object", "Microsoft.PowerShell.Commands.TeeObjectCommand", UTILITY, || {
            Box::<TeeObject>::default()
        })
        .with(P::new("InputObject", "psobject").pipeline())
        .with(P::new("FilePath", "string").in_sets(&["File"]).mandatory().position(0).alias("Path"))
        .with(P::new("Variable", "string").in_sets(&["Variable"]).mandatory())
        .with(P::switch("Append")),
    );
    for (name, target) in [
        ("select", "Select-Object"),
        ("group", "Group-Object"),
        ("measure", "Measure-Object"),
        ("gm", "Get-Member"),
        ("gu", "Get-Unique"),
    ] {
        table.alias(name, target);
    }
}

/// A property of the pipeline object by name or script block.
fn value_of(property: &Value, item: &Value, context: &mut CmdletContext<'_>) -> Run<Value> {
    match property.base() {
        Value::ScriptBlock(_) => Ok(Value::from_output(context.collect_block(property, Some(item.clone()))?)),
        other => Ok(members::get(item, &to_text(other), context.runspace)?.unwrap_or_default()),
    }
}

fn entry(dict: &PsDict, names: &[&str]) -> Option<Value> {
    dict.entries().into_iter().find_map(|(k, v)| {
        let key = to_text(&k).to_ascii_lowercase();
        names.iter().any(|n| !key.is_empty() && n.starts_with(&key)).then_some(v)
    })
}

#[derive(Default)]
struct SelectObject {
    seen: Vec<Value>,
    skipped: usize,
    passed: usize,
    index: usize,
    tail: Vec<Value>,
}

impl SelectObject {
    /// Applies `-Property`, `-ExcludeProperty` and `-ExpandProperty`.
    fn shape(&mut self, item: Value, context: &mut CmdletContext<'_>) -> Run {
        let properties = context.items("Property");
        let exclude = context.texts("ExcludeProperty");
        let expand = context.text("ExpandProperty");
        let mut result = item.clone();
        if !properties.is_empty() || !exclude.is_empty() {
            let object = PsObject::custom(Vec::<(String, Value)>::new());
            let excluded = |name: &str| exclude.iter().any(|e| is_like(name, e));
            let all = if properties.is_empty() { vec![Value::string("*")] } else { properties.clone() };
            for property in &all {
                match property.base() {
                    Value::Dict(dict) => {
                        let source = entry(dict, &["expression"]).unwrap_or_default();
                        let name =
                            entry(dict, &["name", "label"]).map_or_else(|| to_text(&source), |n| to_text(&n));
                        let found = self.calculated(&source, &item, context)?;
                        if !excluded(&name) {
                            object.set_note(&name, found);
                        }
                    }
                    Value::ScriptBlock(block) => {
                        let name = block.text().to_owned();
                        let found = self.calculated(property, &item, context)?;
                        object.set_note(&name, found);
                    }
                    other => {
                        let name = to_text(other);
                        let known = members::properties(&item);
                        if has_wildcard(&name) {
                            for (n, _) in known.iter().filter(|(n, _)| is_like(n, &name) && !excluded(n)) {
                                let found = members::get(&item, n, context.runspace)
                                    .ok()
                                    .flatten()
                                    .unwrap_or_default();
                                object.set_note(n, found);
                            }
                        } else if !excluded(&name) {
                            let spelled = known
                                .iter()
                                .find(|(n, _)| n.eq_ignore_ascii_case(&name))
                                .map_or(&*name, |(n, _)| n);
                            let found = members::get(&item, &name, context.runspace)
                                .ok()
                                .flatten()
                                .unwrap_or_default();
                            object.set_note(spelled, found);
                        }
                    }
                }
            }
            if let Some(first) =
                item.type_names().first().filter(|n| &***n != "System.Management.Automation.PSCustomObject")
            {
                object.insert_type_name(&format!("Selected.{}", first.trim_start_matches("Selected.")));
            } else {
                object.insert_type_name("Selected.System.Management.Automation.PSCustomObject");
            }
            result = Value::Object(Arc::new(object));
        }
        if let Some(name) = expand {
            match members::get(&item, &name, context.runspace)? {
                Some(found) => {
                    for value in found.into_items() {
                        if properties.is_empty() {
                            self.emit(value, context)?;
                        } else {
                            let decorated = Arc::new(PsObject::wrapping(value));
                            if let Value::Object(notes) = &result {
                                for member in notes.members() {
                                    decorated.set_member(&member.name, member.kind);
                                }
                            }
                            self.emit(Value::Object(decorated), context)?;
                        }
                    }
                    return Ok(());
                }
                None => {
                    return context.error_with(
                        "System.Management.Automation.PSArgumentException",
                        "ExpandPropertyNotFound",
                        ErrorCategory::InvalidArgument,
                        item,
                        format!("Property \"{name}\" cannot be found."),
                    );
                }
            }
        }
        self.emit(result, context)
    }

    fn calculated(&self, source: &Value, item: &Value, context: &mut CmdletContext<'_>) -> Run<Value> {
        match value_of(source, item, context) {
            Err(Flow::Error(_) | Flow::Throw(_)) => Ok(Value::Null),
            other => other,
        }
    }

    fn emit(&mut self, value: Value, context: &mut CmdletContext<'_>) -> Run {
        if context.switch("Unique") {
            let fold = context.switch("CaseInsensitive");
            if self.seen.iter().any(|s| same_object(s, &value, fold, context.runspace)) {
                return Ok(());
            }
            self.seen.push(value.clone());
        }
        context.write(value)
    }
}

fn same_object(a: &Value, b: &Value, fold: bool, engine: &mut Runspace) -> bool {
    let (x, y) = (members::properties(a), members::properties(b));
    if matches!(a, Value::Object(o) if o.base().is_none())
        && matches!(b, Value::Object(o) if o.base().is_none())
    {
        return x.len() == y.len()
            && x.iter().all(|(name, _)| {
                let left = members::get(a, name, engine).ok().flatten();
                let right = members::get(b, name, engine).ok().flatten();
                match (left, right) {
                    (Some(l), Some(r)) => operators::equals(&l, &r, fold, engine),
                    _ => false,
                }
            });
    }
    a.type_name() == b.type_name() && operators::equals(a, b, fold, engine)
}

fn count_arg(context: &CmdletContext<'_>, name: &str) -> Option<usize> {
    context.integer(name).and_then(|n| usize::try_from(n).ok())
}

impl Cmdlet for SelectObject {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(item) = context.arg("InputObject").cloned() else { return Ok(()) };
        let indices: Vec<i64> = context.items("Index").iter().filter_map(convert::to_i64).collect();
        let skip_indices: Vec<i64> = context.items("SkipIndex").iter().filter_map(convert::to_i64).collect();
        let at = self.index as i64;
        self.index += 1;
        if context.has("Index") {
            if indices.contains(&at) {
                self.shape(item, context)?;
            }
            return Ok(());
        }
        if skip_indices.contains(&at) {
            return Ok(());
        }
        let (first, last) = (count_arg(context, "First"), count_arg(context, "Last"));
        let skip = count_arg(context, "Skip").unwrap_or(0);
        if last.is_some() || context.has("SkipLast") {
            if let Some(first) = first
                && self.passed < first
            {
                self.passed += 1;
                return self.shape(item, context);
            }
            self.tail.push(item);
            return Ok(());
        }
        if self.skipped < skip {
            self.skipped += 1;
            return Ok(());
        }
        if let Some(first) = first {
            if self.passed >= first {
                return Err(context.stop_upstream());
            }
            self.passed += 1;
            self.shape(item, context)?;
            if self.passed >= first && !context.switch("Wait") {
                return Err(context.stop_upstream());
            }
            return Ok(());
        }
        self.shape(item, context)
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let mut tail = std::mem::take(&mut self.tail);
        if let Some(n) = count_arg(context, "SkipLast") {
            tail.truncate(tail.len().saturating_sub(n));
            let skip = count_arg(context, "Skip").unwrap_or(0).min(tail.len());
            tail.drain(..skip);
        }
        if let Some(last) = count_arg(context, "Last") {
            let skip = count_arg(context, "Skip").unwrap_or(0);
            tail.truncate(tail.len().saturating_sub(skip));
            let start = tail.len().saturating_sub(last);
            tail.drain(..start);
        }
        tail.into_iter().try_for_each(|item| self.shape(item, context))
    }
}

#[derive(Default)]
struct SortObject {
    items: Vec<Value>,
}

impl Cmdlet for SortObject {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(item) = context.arg("InputObject") {
            self.items.push(item.clone());
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let items = std::mem::take(&mut self.items);
        let all_descending = context.switch("Descending");
        let mut keys: Vec<(Value, bool)> = Vec::new();
        for property in context.items("Property") {
            match property.base() {
                Value::Dict(dict) => {
                    let source = entry(dict, &["expression"]).unwrap_or_default();
                    let down = entry(dict, &["descending"])
                        .map(|d| to_bool(&d))
                        .or_else(|| entry(dict, &["ascending"]).map(|a| !to_bool(&a)))
                        .unwrap_or(all_descending);
                    keys.push((source, down));
                }
                _ => keys.push((property.clone(), all_descending)),
            }
        }
        let mut rows: Vec<(Vec<Value>, Value)> = Vec::with_capacity(items.len());
        for item in items {
            let mut row = Vec::new();
            for (source, _) in &keys {
                row.push(value_of(source, &item, context)?);
            }
            if keys.is_empty() {
                row.push(item.clone());
            }
            rows.push((row, item));
        }
        let case = context.switch("CaseSensitive");
        let one = |a: &Value, b: &Value| match (a.as_str(), b.as_str()) {
            (Some(x), Some(y)) => compare_text(x, y, !case),
            _ => compare_for_sort(a, b),
        };
        let order = |a: &(Vec<Value>, Value), b: &(Vec<Value>, Value)| {
            for (i, (x, y)) in a.0.iter().zip(&b.0).enumerate() {
                let down = keys.get(i).map_or(all_descending, |k| k.1);
                let found = one(x, y);
                if found != Ordering::Equal {
                    return if down { found.reverse() } else { found };
                }
            }
            Ordering::Equal
        };
        rows.sort_by(order);
        if context.switch("Unique") {
            rows.dedup_by(|a, b| order(a, b) == Ordering::Equal);
        }
        if let Some(n) = count_arg(context, "Top") {
            rows.truncate(n);
        }
        if let Some(n) = count_arg(context, "Bottom") {
            rows.drain(..rows.len().saturating_sub(n));
        }
        rows.into_iter().try_for_each(|(_, item)| context.write(item))
    }
}

#[derive(Default)]
struct GroupObject {
    groups: Vec<(Vec<Value>, Vec<Value>)>,
}

impl Cmdlet for GroupObject {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(item) = context.arg("InputObject").cloned() else { return Ok(()) };
        let properties = context.items("Property");
        let mut key = Vec::new();
        for property in &properties {
            let source = match property.base() {
                Value::Dict(dict) => entry(dict, &["expression"]).unwrap_or_default(),
                _ => property.clone(),
            };
            key.push(value_of(&source, &item, context)?);
        }
        if properties.is_empty() {
            key.push(item.clone());
        }
        let fold = !context.switch("CaseSensitive");
        let engine: &mut Runspace = context.runspace;
        let found = self.groups.iter_mut().find(|(k, _)| {
            k.len() == key.len() && k.iter().zip(&key).all(|(a, b)| operators::equals(a, b, fold, engine))
        });
        match found {
            Some((_, items)) => items.push(item),
            None => self.groups.push((key, vec![item])),
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let mut groups = std::mem::take(&mut self.groups);
        if context.switch("AsHashTable") {
            let table = PsDict::new(
                hop_powershell_runtime::value::DictKind::Hashtable,
                !context.switch("CaseSensitive"),
            );
            for (key, items) in groups {
                let key = match key.as_slice() {
                    [one] if !context.switch("AsString") => one.clone(),
                    several => Value::from(several.iter().map(to_text).collect::<Vec<_>>().join(", ")),
                };
                table.insert(key, collection(items));
            }
            return context.write(Value::Dict(Arc::new(table)));
        }
        groups.sort_by(|a, b| {
            a.0.iter()
                .zip(&b.0)
                .map(|(x, y)| compare_for_sort(x, y))
                .find(|o| *o != Ordering::Equal)
                .unwrap_or(Ordering::Equal)
        });
        let bare = context.switch("NoElement");
        for (key, items) in groups {
            let name = key.iter().map(to_text).collect::<Vec<_>>().join(", ");
            let count = Value::Int32(items.len() as i32);
            let values = Value::List(Arc::new(PsList::array_list(key)));
            let group = if bare {
                typed_object(
                    "Microsoft.PowerShell.Commands.GroupInfoNoElement",
                    vec![
                        ("Values", values),
                        ("Count", count),
                        ("Group", collection(Vec::new())),
                        ("Name", Value::from(name)),
                    ],
                )
            } else {
                typed_object(
                    "Microsoft.PowerShell.Commands.GroupInfo",
                    vec![
                        ("Values", values),
                        ("Count", count),
                        ("Group", collection(items)),
                        ("Name", Value::from(name)),
                    ],
                )
            };
            context.write(group)?;
        }
        Ok(())
    }
}

fn collection(items: Vec<Value>) -> Value {
    let kind = TypeRef::named("System.Management.Automation.PSObject");
    Value::List(Arc::new(PsList::new(ListKind::Collection(kind), items)))
}

/// An object of a .NET type of the engine, with real properties.
pub(crate) fn typed_object(type_name: &str, properties: Vec<(&str, Value)>) -> Value {
    let mut members = hop_powershell_runtime::value::Members::default();
    for (name, value) in properties {
        members.push(name, MemberKind::Property(value));
    }
    let names = hop_powershell_runtime::value::type_hierarchy(&TypeRef::named(type_name));
    Value::Object(Arc::new(PsObject::deserialized(None, members, names, Some(Arc::from(type_name)))))
}

#[derive(Default)]
struct MeasureObject {
    items: Vec<Value>,
}

impl Cmdlet for MeasureObject {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(item) = context.arg("InputObject").filter(|v| !v.is_null()) {
            self.items.push(item.clone());
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let items = std::mem::take(&mut self.items);
        let all = context.switch("AllStats");
        let want = |context: &CmdletContext<'_>, name: &str| all || context.switch(name);
        if context.switch("Line") || context.switch("Word") || context.switch("Character") {
            let texts: Vec<String> = items.iter().map(to_text).collect();
            let blank = context.switch("IgnoreWhiteSpace");
            let on = |context: &CmdletContext<'_>, name: &str, n: usize| {
                if context.switch(name) { Value::Int32(n as i32) } else { Value::Null }
            };
            let lines = texts.iter().map(|t| t.lines().count()).sum();
            let words = texts.iter().map(|t| t.split_whitespace().count()).sum();
            let chars =
                texts.iter().map(|t| t.chars().filter(|c| !blank || !c.is_whitespace()).count()).sum();
            return context.write(typed_object(
                "Microsoft.PowerShell.Commands.TextMeasureInfo",
                vec![
                    ("Lines", on(context, "Line", lines)),
                    ("Words", on(context, "Word", words)),
                    ("Characters", on(context, "Character", chars)),
                    ("Property", Value::Null),
                ],
            ));
        }
        let properties = context.items("Property");
        let sources: Vec<Option<Value>> =
            if properties.is_empty() { vec![None] } else { properties.into_iter().map(Some).collect() };
        for source in sources {
            let mut values = Vec::new();
            for item in &items {
                match &source {
                    None => values.push(item.clone()),
                    Some(property) => {
                        let found = value_of(property, item, context)?;
                        if !found.is_null() {
                            values.push(found);
                        }
                    }
                }
            }
            let numeric =
                want(context, "Sum") || want(context, "Average") || want(context, "StandardDeviation");
            let mut numbers = Vec::new();
            if numeric {
                for value in &values {
                    match convert::to_number(value, "System.Double") {
                        Some(Ok(n)) => numbers.push(to_f64(&n).unwrap_or(0.0)),
                        _ => context.error_with(
                            "System.Management.Automation.PSInvalidCastException",
                            "NonNumericInputObject",
                            ErrorCategory::InvalidType,
                            value.clone(),
                            format!("Input object \"{}\" is not numeric.", to_text(value)),
                        )?,
                    }
                }
            }
            let count = values.len();
            let sum: f64 = numbers.iter().sum();
            let mean = if numbers.is_empty() { 0.0 } else { sum / numbers.len() as f64 };
            let deviation = if numbers.len() > 1 {
                (numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / (numbers.len() - 1) as f64).sqrt()
            } else {
                0.0
            };
            let extreme = |greater: bool| -> Value {
                let best = values.iter().cloned().reduce(|a, b| {
                    let order = compare_for_sort(&b, &a);
                    if (greater && order.is_gt()) || (!greater && order.is_lt()) { b } else { a }
                });
                match best {
                    Some(v) if v.is_number() => to_f64(&v).map_or(Value::Null, Value::Double),
                    Some(v) => v,
                    None => Value::Null,
                }
            };
            let on = |context: &CmdletContext<'_>, name: &str, v: Value| {
                if want(context, name) && count > 0 { v } else { Value::Null }
            };
            let measured = vec![
                ("Count", Value::Int32(count as i32)),
                ("Average", on(context, "Average", Value::Double(mean))),
                ("Sum", on(context, "Sum", Value::Double(sum))),
                ("Maximum", on(context, "Maximum", extreme(true))),
                ("Minimum", on(context, "Minimum", extreme(false))),
                ("StandardDeviation", on(context, "StandardDeviation", Value::Double(deviation))),
                ("Property", source.map_or(Value::Null, |s| Value::from(to_text(&s)))),
            ];
            context.write(typed_object("Microsoft.PowerShell.Commands.GenericMeasureInfo", measured))?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct CompareObject {
    difference: Vec<Value>,
}

impl Cmdlet for CompareObject {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        self.difference.extend(context.items("DifferenceObject"));
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let reference = context.items("ReferenceObject");
        let difference = std::mem::take(&mut self.difference);
        let properties = context.items("Property");
        let fold = !context.switch("CaseSensitive");
        let keys = |items: &[Value], context: &mut CmdletContext<'_>| -> Run<Vec<Vec<Value>>> {
            items
                .iter()
                .map(|item| {
                    if properties.is_empty() {
                        return Ok(vec![item.clone()]);
                    }
                    properties.iter().map(|p| value_of(p, item, context)).collect()
                })
                .collect()
        };
        let left = keys(&reference, context)?;
        let right = keys(&difference, context)?;
        let mut used = vec![false; right.len()];
        let mut equal = Vec::new();
        let mut only_left = Vec::new();
        for (i, key) in left.iter().enumerate() {
            let engine: &mut Runspace = context.runspace;
            let found = right.iter().enumerate().position(|(j, other)| {
                !used[j] && key.iter().zip(other).all(|(a, b)| operators::equals(a, b, fold, engine))
            });
            match found {
                Some(j) => {
                    used[j] = true;
                    equal.push(i);
                }
                None => only_left.push(i),
            }
        }
        let pass = context.switch("PassThru");
        let make = |key: &[Value], item: &Value, side: &str| -> Value {
            if pass {
                let object = PsObject::wrapping(item.clone());
                object.set_note("SideIndicator", Value::string(side));
                return Value::Object(Arc::new(object));
            }
            let mut notes: Vec<(String, Value)> = if properties.is_empty() {
                vec![("InputObject".to_owned(), item.clone())]
            } else {
                properties.iter().zip(key).map(|(p, v)| (to_text(p), v.clone())).collect()
            };
            notes.push(("SideIndicator".to_owned(), Value::string(side)));
            Value::custom(notes)
        };
        if context.switch("IncludeEqual") {
            for i in equal {
                let made = make(&left[i], &reference[i], "==");
                context.write(made)?;
            }
        }
        if !context.switch("ExcludeDifferent") {
            for (j, item) in difference.iter().enumerate() {
                if !used[j] {
                    let made = make(&right[j], item, "=>");
                    context.write(made)?;
                }
            }
            for i in only_left {
                let made = make(&left[i], &reference[i], "<=");
                context.write(made)?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct GetMember {
    seen: Vec<String>,
}

impl Cmdlet for GetMember {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(item) = context.arg("InputObject").cloned().filter(|v| !v.is_null()) else { return Ok(()) };
        let type_name = item.type_names().first().map(|n| n.to_string()).unwrap_or_default();
        if self.seen.contains(&type_name) {
            return Ok(());
        }
        self.seen.push(type_name.clone());
        let names = context.texts("Name");
        let kinds = context
            .texts("MemberType")
            .iter()
            .flat_map(|t| t.split(',').map(|s| s.trim().to_ascii_lowercase()).collect::<Vec<_>>())
            .collect::<Vec<_>>();
        let mut rows: Vec<(String, MemberType, String)> = Vec::new();
        for (name, kind) in members::properties(&item) {
            let found = members::get(&item, &name, context.runspace).ok().flatten().unwrap_or_default();
            let shown = found.type_ref().map_or("object".to_owned(), |t| dotnet::type_text(&t));
            let definition = match kind {
                MemberType::NoteProperty => format!("{shown} {name}={}", to_text(&found)),
                MemberType::AliasProperty => format!("{name} = {}", to_text(&found)),
                MemberType::ScriptProperty => "System.Object {get=;}".to_owned(),
                _ => format!("{shown} {name} {{get;}}"),
            };
            rows.push((name.to_string(), kind, definition));
        }
        if let Value::Object(object) = &item {
            for member in object.members() {
                if matches!(member.kind, MemberKind::Method(_)) {
                    rows.push((
                        member.name.to_string(),
                        MemberType::ScriptMethod,
                        format!("System.Object {}();", member.name),
                    ));
                }
            }
        }
        for (name, definition) in [
            ("Equals", "bool Equals(System.Object obj)"),
            ("GetHashCode", "int GetHashCode()"),
            ("GetType", "type GetType()"),
            ("ToString", "string ToString()"),
        ] {
            rows.push((name.to_owned(), MemberType::Method, definition.to_owned()));
        }
        rows.sort_by(|a, b| {
            format!("{:?}", a.1).cmp(&format!("{:?}", b.1)).then_with(|| compare_text(&a.0, &b.0, true))
        });
        for (name, kind, definition) in rows {
            let kind_name = format!("{kind:?}");
            let wanted = kinds.is_empty()
                || kinds.iter().any(|k| {
                    k == "all"
                        || *k == kind_name.to_ascii_lowercase()
                        || (k == "properties" && kind_name.ends_with("Property"))
                        || (k == "methods" && kind_name.ends_with("Method"))
                });
            if !wanted || (!names.is_empty() && !names.iter().any(|n| is_like(&name, n))) {
                continue;
            }
            context.write(typed_object(
                "Microsoft.PowerShell.Commands.MemberDefinition",
                vec![
                    ("TypeName", Value::string(&type_name)),
                    ("Name", Value::from(name)),
                    (
                        "MemberType",
                        dotnet::enum_value("System.Management.Automation.PSMemberTypes", &kind_name),
                    ),
                    ("Definition", Value::from(definition)),
                ],
            ))?;
        }
        Ok(())
    }
}

struct AddMember;

impl Cmdlet for AddMember {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(target) = context.arg("InputObject").cloned() else { return Ok(()) };
        let object = target.decorated();
        if let Some(name) = context.text("TypeName") {
            object.insert_type_name(&name);
        }
        let mut added: Vec<(String, MemberKind)> = Vec::new();
        if let Some(name) = context.text("NotePropertyName") {
            added.push((
                name,
                MemberKind::Note(context.arg("NotePropertyValue").cloned().unwrap_or_default()),
            ));
        } else if let Some(Value::Dict(dict)) = context.arg("NotePropertyMembers").map(Value::base) {
            added.extend(dict.entries().into_iter().map(|(k, v)| (to_text(&k), MemberKind::Note(v))));
        } else if let (Some(kind), Some(name)) = (context.text("MemberType"), context.text("Name")) {
            let value = context.arg("Value").cloned().unwrap_or_default();
            let second = context.arg("SecondValue").cloned().unwrap_or_default();
            let made = match kind.to_ascii_lowercase().as_str() {
                "noteproperty" => MemberKind::Note(value),
                "aliasproperty" => MemberKind::Alias(Arc::from(to_text(&value))),
                "scriptproperty" => MemberKind::Script(value, second),
                "scriptmethod" => MemberKind::Method(value),
                "propertyset" => MemberKind::PropertySet(
                    value.into_items().iter().map(|v| Arc::from(to_text(v))).collect(),
                ),
                _ => MemberKind::Note(value),
            };
            added.push((name, made));
        }
        for (name, kind) in added {
            if object.member(&name).is_some() && !context.switch("Force") {
                let error = Error::new(
                    "System.InvalidOperationException",
                    "MemberAlreadyExists",
                    ErrorCategory::InvalidOperation,
                    format!(
                        "Cannot add a member with the name \"{name}\" because a member with that name already exists. To overwrite the member anyway, add the Force parameter to your command."
                    ),
                )
                .with_target(target.clone());
                context.error(Arc::clone(error.record()))?;
                continue;
            }
            object.set_member(&name, kind);
        }
        if context.switch("PassThru") {
            context.write(Value::Object(object))?;
        }
        Ok(())
    }
}

struct NewObject;

impl Cmdlet for NewObject {
    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let name = context.text("TypeName").unwrap_or_default();
        let args = context.items("ArgumentList");
        let Some(kind) = context.runspace.find_type_named(&name) else {
            let error = Error::new(
                "System.Management.Automation.PSArgumentException",
                "TypeNotFound",
                ErrorCategory::InvalidType,
                format!(
                    "Cannot find type [{name}]: verify that the assembly containing this type is loaded."
                ),
            );
            return Err(context.terminate(error));
        };
        let made = match dotnet::construct(&kind, &args, context.runspace) {
            Ok(made) => made,
            Err(error) => return Err(context.terminate(error)),
        };
        if let Some(Value::Dict(dict)) = context.arg("Property").cloned() {
            for (key, value) in dict.entries() {
                let name = to_text(&key);
                match &made {
                    Value::Object(object) if object.base().is_none() => object.set_note(&name, value),
                    _ => members::set(&made, &name, value, context.runspace)?,
                }
            }
        }
        context.write(made)
    }
}

#[derive(Default)]
struct GetUnique {
    last: Option<Value>,
}

impl Cmdlet for GetUnique {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(item) = context.arg("InputObject").cloned() else { return Ok(()) };
        let fresh = match &self.last {
            None => true,
            Some(last) if context.switch("OnType") => last.type_name() != item.type_name(),
            Some(last) => {
                HashKey::new(last, false) != HashKey::new(&item, false) && to_text(last) != to_text(&item)
            }
        };
        if fresh {
            self.last = Some(item.clone());
            context.write(item)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct TeeObject {
    items: Vec<Value>,
}

impl Cmdlet for TeeObject {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(item) = context.arg("InputObject").cloned() else { return Ok(()) };
        self.items.push(item.clone());
        context.write(item)
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let items = std::mem::take(&mut self.items);
        if let Some(name) = context.text("Variable") {
            context.runspace.set_variable(&name, Value::from_output(items));
            return Ok(());
        }
        let path = context.text("FilePath").unwrap_or_default();
        let call = hop_powershell_runtime::runspace::CommandCall {
            command: "Out-File".to_owned(),
            parameters: vec![
                (Some("FilePath".to_owned()), Value::from(path)),
                (Some("Append".to_owned()), Value::Bool(context.switch("Append"))),
            ],
            ..Default::default()
        };
        context.run_command(&call, Some(items))
    }
}
