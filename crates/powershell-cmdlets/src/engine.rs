//! Cmdlets that belong to the engine itself: streams, script blocks, variables, aliases.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::{CmdletContext, HostText};
use hop_powershell_runtime::flow::{Flow, Run};
use hop_powershell_runtime::function::ScriptBlock;
use hop_powershell_runtime::members;
use hop_powershell_runtime::scope::{ItemOptions, Scope, Variable, VariableCell};
use hop_powershell_runtime::value::{Error, ErrorCategory, ErrorDetails, ErrorRecord, Exception, Value};

const CORE: &str = "Microsoft.PowerShell.Core";
const UTILITY: &str = "Microsoft.PowerShell.Utility";

macro_rules! cmdlet {
    ($name:ident, $step:ident, $body:expr) => {
        #[derive(Default)]
        struct $name;
        impl Cmdlet for $name {
            fn $step(&mut self, context: &mut CmdletContext<'_>) -> Run {
                let body: fn(&mut CmdletContext<'_>) -> Run = $body;
                body(context)
            }
        }
    };
}

/// Adds the engine's own cmdlets.
pub(crate) fn register(table: &mut CommandTable) {
    let commands = "Microsoft.PowerShell.Commands.";
    let mut add = |name: &'static str,
                   class: &'static str,
                   module: &'static str,
                   create: fn() -> Box<dyn Cmdlet>,
                   parameters: Vec<P>| {
        let type_name: &'static str = Box::leak(format!("{commands}{class}").into_boxed_str());
        let mut info = CmdletInfo::new(name, type_name, module, create);
        info.parameters = parameters;
        info.default_set = match name {
            "Write-Error" => Some("NoException"),
            "Start-Sleep" => Some("Seconds"),
            "Invoke-Command" => Some("InProcess"),
            "ForEach-Object" => Some("ScriptBlockSet"),
            _ => None,
        };
        table.add(info);
    };
    add(
        "Write-Output",
        "WriteOutputCommand",
        UTILITY,
        || Box::new(WriteOutput),
        vec![
            P::new("InputObject", "psobject").allow_empty().mandatory().position(0).pipeline().remaining(),
            P::switch("NoEnumerate"),
        ],
    );
    add(
        "Write-Host",
        "WriteHostCommand",
        UTILITY,
        || Box::new(WriteHost),
        vec![
            P::new("Object", "object").position(0).pipeline().remaining().alias("Msg").alias("Message"),
            P::switch("NoNewline"),
            P::new("Separator", "object"),
            P::new("ForegroundColor", "System.ConsoleColor"),
            P::new("BackgroundColor", "System.ConsoleColor"),
        ],
    );
    let message =
        || P::new("Message", "string").allow_empty().mandatory().position(0).pipeline().alias("Msg");
    add("Write-Warning", "WriteWarningCommand", UTILITY, || Box::new(WriteWarning), vec![message()]);
    add("Write-Verbose", "WriteVerboseCommand", UTILITY, || Box::new(WriteVerbose), vec![message()]);
    add("Write-Debug", "WriteDebugCommand", UTILITY, || Box::new(WriteDebug), vec![message()]);
    add(
        "Write-Information",
        "WriteInformationCommand",
        UTILITY,
        || Box::new(WriteInformation),
        vec![
            P::new("MessageData", "object")
                .allow_empty()
                .mandatory()
                .position(0)
                .pipeline()
                .alias("Msg")
                .alias("Message"),
            P::new("Tags", "string[]").position(1),
        ],
    );
    add(
        "Write-Error",
        "WriteErrorCommand",
        UTILITY,
        || Box::new(WriteError),
        vec![
            P::new("Message", "string")
                .in_sets(&["NoException", "WithException"])
                .position(0)
                .pipeline()
                .alias("Msg")
                .allow_empty(),
            P::new("Exception", "System.Exception").in_sets(&["WithException"]).position(0),
            P::new("ErrorRecord", "System.Management.Automation.ErrorRecord")
                .in_sets(&["ErrorRecord"])
                .position(0),
            P::new("ErrorId", "string"),
            P::new("Category", "System.Management.Automation.ErrorCategory"),
            P::new("TargetObject", "object"),
            P::new("RecommendedAction", "string"),
            P::new("CategoryActivity", "string").alias("Activity"),
            P::new("CategoryReason", "string").alias("Reason"),
            P::new("CategoryTargetName", "string").alias("TargetName"),
            P::new("CategoryTargetType", "string").alias("TargetType"),
        ],
    );
    add(
        "Out-Null",
        "OutNullCommand",
        CORE,
        || Box::new(OutNull),
        vec![P::new("InputObject", "psobject").pipeline()],
    );
    add(
        "ForEach-Object",
        "ForEachObjectCommand",
        CORE,
        || Box::<ForEachObject>::default(),
        vec![
            P::new("InputObject", "psobject").pipeline(),
            P::new("Begin", "scriptblock").in_sets(&["ScriptBlockSet"]),
            P::new("Process", "scriptblock[]").in_sets(&["ScriptBlockSet"]).position(0).allow_empty(),
            P::new("End", "scriptblock").in_sets(&["ScriptBlockSet"]),
            P::new("RemainingScripts", "scriptblock[]")
                .in_sets(&["ScriptBlockSet"])
                .remaining()
                .allow_empty(),
            P::new("MemberName", "string").in_sets(&["PropertyAndMethodSet"]).mandatory().position(0),
            P::new("ArgumentList", "object[]").in_sets(&["PropertyAndMethodSet"]).alias("Args").remaining(),
            P::new("Parallel", "scriptblock").in_sets(&["ParallelParameterSet"]).mandatory(),
            P::new("ThrottleLimit", "int").in_sets(&["ParallelParameterSet"]),
        ],
    );
    add(
        "Invoke-Expression",
        "InvokeExpressionCommand",
        UTILITY,
        || Box::new(InvokeExpression),
        vec![P::new("Command", "string").mandatory().position(0).pipeline()],
    );
    add(
        "Set-StrictMode",
        "SetStrictModeCommand",
        CORE,
        || Box::new(SetStrictMode),
        vec![
            P::new("Version", "object").in_sets(&["Version"]).mandatory().alias("v"),
            P::new("Off", "switch").in_sets(&["Off"]).mandatory(),
        ],
    );
    let variable = |mandatory: bool| {
        let p = P::new("Name", "string[]").position(0).pipeline().by_property();
        if mandatory { p.mandatory() } else { p }
    };
    let options = || P::new("Option", "string[]");
    add(
        "Get-Variable",
        "GetVariableCommand",
        UTILITY,
        || Box::new(GetVariable),
        vec![
            variable(false),
            P::switch("ValueOnly"),
            P::new("Include", "string[]"),
            P::new("Exclude", "string[]"),
            P::new("Scope", "string"),
        ],
    );
    add(
        "Set-Variable",
        "SetVariableCommand",
        UTILITY,
        || Box::<SetVariable>::default(),
        vec![
            P::new("Name", "string[]").mandatory().position(0).by_property(),
            P::new("Value", "object").position(1).pipeline().by_property(),
            options(),
            P::new("Description", "string"),
            P::switch("Force"),
            P::new("Visibility", "string"),
            P::switch("PassThru"),
            P::new("Scope", "string"),
        ],
    );
    add(
        "New-Variable",
        "NewVariableCommand",
        UTILITY,
        || Box::new(NewVariable),
        vec![
            P::new("Name", "string").mandatory().position(0).by_property(),
            P::new("Value", "object").position(1).pipeline().by_property(),
            options(),
            P::new("Description", "string"),
            P::switch("Force"),
            P::new("Visibility", "string"),
            P::switch("PassThru"),
            P::new("Scope", "string"),
        ],
    );
    add(
        "Remove-Variable",
        "RemoveVariableCommand",
        UTILITY,
        || Box::new(RemoveVariable),
        vec![variable(true), P::switch("Force"), P::new("Scope", "string")],
    );
    add(
        "Clear-Variable",
        "ClearVariableCommand",
        UTILITY,
        || Box::new(ClearVariable),
        vec![variable(true), P::switch("Force"), P::new("Scope", "string"), P::switch("PassThru")],
    );
    let alias = || {
        vec![
            P::new("Name", "string").mandatory().position(0).by_property(),
            P::new("Value", "string").mandatory().position(1).by_property(),
            P::new("Description", "string"),
            options(),
            P::switch("Force"),
            P::switch("PassThru"),
            P::new("Scope", "string"),
        ]
    };
    add("Set-Alias", "SetAliasCommand", UTILITY, || Box::new(SetAlias), alias());
    add("New-Alias", "NewAliasCommand", UTILITY, || Box::new(NewAlias), alias());
    add(
        "Remove-Alias",
        "RemoveAliasCommand",
        UTILITY,
        || Box::new(RemoveAlias),
        vec![
            P::new("Name", "string[]").mandatory().position(0).pipeline().by_property(),
            P::switch("Force"),
            P::new("Scope", "string"),
        ],
    );
    add(
        "Start-Sleep",
        "StartSleepCommand",
        UTILITY,
        || Box::new(StartSleep),
        vec![
            P::new("Seconds", "double").in_sets(&["Seconds"]).position(0).pipeline(),
            P::new("Milliseconds", "int").in_sets(&["Milliseconds"]).alias("ms"),
        ],
    );
    add(
        "Invoke-Command",
        "InvokeCommandCommand",
        CORE,
        || Box::<InvokeCommand>::default(),
        vec![
            P::new("ComputerName", "string[]").in_sets(&["ComputerName"]).position(0).alias("Cn"),
            P::new("HostName", "string[]").in_sets(&["HostName"]).mandatory(),
            P::new("Session", "object[]").in_sets(&["Session"]).position(0),
            P::new("ScriptBlock", "scriptblock")
                .in_sets(&["InProcess"])
                .mandatory()
                .position(0)
                .alias("Command")
                .also_in("ComputerName", |m| {
                    m.mandatory = true;
                    m.position = Some(1);
                })
                .also_in("HostName", |m| m.mandatory = true)
                .also_in("Session", |m| {
                    m.mandatory = true;
                    m.position = Some(1);
                }),
            P::new("ArgumentList", "object[]").alias("Args"),
            P::new("InputObject", "psobject").pipeline(),
            P::switch("NoNewScope"),
            P::new("ThrottleLimit", "int"),
            P::new("Credential", "object"),
            P::new("Port", "int"),
            P::new("Authentication", "string"),
            P::switch("UseSSL"),
            P::switch("HideComputerName").alias("HCN"),
            P::new("ConfigurationName", "string"),
        ],
    );
    let mut where_parameters = vec![
        P::new("InputObject", "psobject").pipeline(),
        P::new("FilterScript", "scriptblock").in_sets(&["ScriptBlockSet"]).mandatory().position(0),
        P::new("Property", "string").in_sets(&["Compare"]).mandatory().position(0),
        P::new("Value", "object").in_sets(&["Compare"]).position(1),
        P::switch("Not").in_sets(&["Compare"]),
    ];
    for (name, _) in COMPARISONS {
        where_parameters.push(P::switch(name).in_sets(&["Compare"]));
    }
    let mut info =
        CmdletInfo::new("Where-Object", "Microsoft.PowerShell.Commands.WhereObjectCommand", CORE, || {
            Box::new(WhereObject)
        })
        .default_set("Compare");
    info.parameters = where_parameters;
    table.add(info);
    for (name, target) in [
        ("echo", "Write-Output"),
        ("write", "Write-Output"),
        ("%", "ForEach-Object"),
        ("foreach", "ForEach-Object"),
        ("?", "Where-Object"),
        ("where", "Where-Object"),
        ("iex", "Invoke-Expression"),
        ("icm", "Invoke-Command"),
        ("gv", "Get-Variable"),
        ("sv", "Set-Variable"),
        ("set", "Set-Variable"),
        ("nv", "New-Variable"),
        ("rv", "Remove-Variable"),
        ("clv", "Clear-Variable"),
        ("sal", "Set-Alias"),
        ("nal", "New-Alias"),
    ] {
        table.alias(name, target);
    }
}

cmdlet!(WriteOutput, process, |c| {
    let value = c.arg("InputObject").cloned().unwrap_or_default();
    if c.switch("NoEnumerate") {
        return c.write(value);
    }
    c.write_enumerated(value)
});

cmdlet!(WriteHost, process, |c| {
    let separator = match c.arg("Separator").cloned() {
        Some(v) => c.runspace.to_text(&v),
        None => " ".to_owned(),
    };
    let value = c.arg("Object").cloned().unwrap_or_default();
    let text = match value.enumerate() {
        Some(items) => items.iter().map(|v| c.runspace.to_text(v)).collect::<Vec<_>>().join(&separator),
        None => c.runspace.to_text(&value),
    };
    let color = |v: Option<&Value>| v.and_then(Value::as_integer).and_then(|n| u8::try_from(n).ok());
    let host = HostText {
        text: text.clone(),
        no_new_line: c.switch("NoNewline"),
        foreground: color(c.arg("ForegroundColor")),
        background: color(c.arg("BackgroundColor")),
    };
    c.information(Value::from(text), &["PSHOST".to_owned()], Some(host))
});

cmdlet!(WriteWarning, process, |c| {
    let text = c.text("Message").unwrap_or_default();
    c.warning(&text)
});
cmdlet!(WriteVerbose, process, |c| {
    let text = c.text("Message").unwrap_or_default();
    c.verbose(&text)
});
cmdlet!(WriteDebug, process, |c| {
    let text = c.text("Message").unwrap_or_default();
    c.debug(&text)
});
cmdlet!(WriteInformation, process, |c| {
    let data = c.arg("MessageData").cloned().unwrap_or_default();
    let tags = c.texts("Tags");
    c.information(data, &tags, None)
});

cmdlet!(WriteError, process, |c| {
    let id = c.text("ErrorId").unwrap_or_default();
    let target = c.arg("TargetObject").cloned().unwrap_or_default();
    let category = c
        .arg("Category")
        .and_then(Value::as_integer)
        .and_then(|n| i64::try_from(n).ok())
        .and_then(ErrorCategory::from_number)
        .unwrap_or_default();
    let message = c.text("Message");
    let mut record = match (c.arg("ErrorRecord").cloned(), c.arg("Exception").cloned()) {
        (Some(Value::ErrorRecord(r)), _) => {
            return c.error(r);
        }
        (_, Some(Value::Exception(exception))) => {
            let record = ErrorRecord::new(exception, &id, category, target);
            record
                .set_details(message.map(|m| ErrorDetails { message: m, recommended_action: String::new() }));
            record
        }
        _ => {
            let exception = Exception::new(
                "Microsoft.PowerShell.Commands.WriteErrorException",
                message.unwrap_or_default(),
            );
            ErrorRecord::new(Arc::new(exception), &id, category, target)
        }
    };
    if id.is_empty() {
        record.set_error_id(record.exception().map_or("", |e| e.type_name()).to_owned().as_str());
    }
    if let Some(reason) = c.text("CategoryReason") {
        record.reason = reason;
    }
    record.target_name = c.text("CategoryTargetName");
    record.target_type = c.text("CategoryTargetType");
    if let Some(activity) = c.text("CategoryActivity") {
        record.set_activity(&activity);
    } else {
        record.set_activity("Write-Error");
    }
    // The error belongs to the function that wrote it, and stands where that was called.
    let frame = c.runspace.frame().clone();
    let caller = frame.info.invocation_name.clone();
    if !caller.is_empty() && caller != "&" {
        let id = record.fully_qualified_id();
        let script = caller.to_ascii_lowercase().ends_with(".ps1");
        let name = caller.rsplit('/').next().unwrap_or(&caller);
        record.set_error_id(&format!("{id},{}", if script { name } else { &caller }));
        if !script {
            let _ = record.invocation.set(frame.info.clone());
        }
    }
    c.error(Arc::new(record))
});

cmdlet!(OutNull, process, |_| Ok(()));

/// `ForEach-Object`.
#[derive(Default)]
struct ForEachObject {
    begin: Vec<Value>,
    process: Vec<Value>,
    end: Vec<Value>,
    member: Option<String>,
}

impl Cmdlet for ForEachObject {
    fn begin(&mut self, c: &mut CmdletContext<'_>) -> Run {
        let mut blocks = c.items("Process");
        let named = c.arg("Begin").cloned();
        let end = c.arg("End").cloned();
        // `ForEach-Object Name` reads a property or calls a method.
        self.member = c.text("MemberName");
        if self.member.is_none()
            && let [only] = blocks.as_slice()
            && only.as_str().is_some()
        {
            self.member = only.as_str().map(str::to_owned);
            blocks.clear();
        }
        blocks.extend(c.items("RemainingScripts"));
        if let Some(b) = named {
            self.begin.push(b);
            if end.is_none() && blocks.len() > 1 {
                self.end.extend(blocks.pop());
            }
        } else if blocks.len() >= 2 && end.is_none() {
            self.begin.push(blocks.remove(0));
            if blocks.len() >= 2 {
                self.end.extend(blocks.pop());
            }
        } else if blocks.len() >= 2 {
            self.begin.push(blocks.remove(0));
        }
        self.end.extend(end);
        self.process = blocks.into_iter().filter(|b| !b.is_null()).collect();
        for block in self.begin.clone() {
            c.run_block(&block, None, Vec::new())?;
        }
        Ok(())
    }

    fn process(&mut self, c: &mut CmdletContext<'_>) -> Run {
        let Some(input) = c.input().cloned().or_else(|| c.arg("InputObject").cloned()) else {
            if c.expects_input() {
                return Ok(());
            }
            return self.process.clone().into_iter().try_for_each(|b| c.run_block(&b, None, Vec::new()));
        };
        if let Some(name) = self.member.clone() {
            let args = c.items("ArgumentList");
            if args.is_empty()
                && let Some(value) = members::get_enumerated(&input, &name, c.runspace)?
            {
                return c.write_enumerated(value);
            }
            if input.is_null() {
                return Ok(());
            }
            return match members::invoke(&input, &name, &args, c.runspace) {
                Ok(value) => c.write_enumerated(value),
                Err(e) if args.is_empty() && e.record().fully_qualified_id() == "MethodNotFound" => Ok(()),
                Err(e) => c.error(Arc::clone(e.record())),
            };
        }
        for block in self.process.clone() {
            c.run_block(&block, Some(input.clone()), Vec::new())?;
        }
        Ok(())
    }

    fn end(&mut self, c: &mut CmdletContext<'_>) -> Run {
        for block in self.end.clone() {
            c.run_block(&block, None, Vec::new())?;
        }
        Ok(())
    }
}

use hop_powershell_syntax::ast::{BinaryOp as B, Case};
const I: Case = Case::Insensitive;
const S: Case = Case::Sensitive;
const COMPARISONS: [(&str, B); 32] = [
    ("EQ", B::Eq(I)),
    ("CEQ", B::Eq(S)),
    ("NE", B::Ne(I)),
    ("CNE", B::Ne(S)),
    ("GT", B::Gt(I)),
    ("CGT", B::Gt(S)),
    ("LT", B::Lt(I)),
    ("CLT", B::Lt(S)),
    ("GE", B::Ge(I)),
    ("CGE", B::Ge(S)),
    ("LE", B::Le(I)),
    ("CLE", B::Le(S)),
    ("Like", B::Like(I)),
    ("CLike", B::Like(S)),
    ("NotLike", B::NotLike(I)),
    ("CNotLike", B::NotLike(S)),
    ("Match", B::Match(I)),
    ("CMatch", B::Match(S)),
    ("NotMatch", B::NotMatch(I)),
    ("CNotMatch", B::NotMatch(S)),
    ("Contains", B::Contains(I)),
    ("CContains", B::Contains(S)),
    ("NotContains", B::NotContains(I)),
    ("CNotContains", B::NotContains(S)),
    ("In", B::In(I)),
    ("CIn", B::In(S)),
    ("NotIn", B::NotIn(I)),
    ("CNotIn", B::NotIn(S)),
    ("Is", B::Is),
    ("IsNot", B::IsNot),
    ("IEQ", B::Eq(I)),
    ("INE", B::Ne(I)),
];

cmdlet!(WhereObject, process, |c| {
    let Some(input) = c.input().cloned() else { return Ok(()) };
    let keep = if let Some(block) = c.arg("FilterScript").cloned() {
        let out = c.collect_block(&block, Some(input.clone()))?;
        let value = Value::from_output(out);
        c.runspace.is_true(&value)
    } else {
        let name = c.text("Property").unwrap_or_default();
        let left = members::get_enumerated(&input, &name, c.runspace)?.unwrap_or_default();
        let op = COMPARISONS.iter().find(|(n, _)| c.switch(n)).map(|(_, op)| *op);
        let right = c.arg("Value").cloned();
        match (op, right) {
            (Some(op), right) => {
                let right = right.unwrap_or_default();
                let value = c.runspace.apply_operator(op, &left, &right)?;
                c.runspace.is_true(&value)
            }
            (None, Some(right)) => {
                let value = c.runspace.apply_operator(B::Eq(I), &left, &right)?;
                c.runspace.is_true(&value)
            }
            (None, None) => c.runspace.is_true(&left) != c.switch("Not"),
        }
    };
    if keep { c.write(input) } else { Ok(()) }
});

cmdlet!(InvokeExpression, process, |c| {
    let text = c.text("Command").unwrap_or_default();
    let ast = match c.runspace.parse(&text, None) {
        Ok(ast) => ast,
        Err(e) => {
            // The position shown is that of the command; the text's own stands in the message.
            let old = e.record();
            let Some(exception) = old.exception().cloned() else { return Err(Flow::Error(e)) };
            let record = Arc::new(ErrorRecord::new(
                exception,
                &old.fully_qualified_id(),
                ErrorCategory::ParserError,
                Value::Null,
            ));
            let flow = c.terminate(Error::from_record(record));
            return Err(flow);
        }
    };
    let block = ScriptBlock::new(ast, c.runspace.scope().module.clone()).into_value();
    c.run_block(&block, None, Vec::new())
});

cmdlet!(SetStrictMode, end, |c| {
    let level = if c.switch("Off") {
        0
    } else {
        match c.text("Version").unwrap_or_default().to_ascii_lowercase().as_str() {
            "latest" => 3,
            v => v.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(3),
        }
    };
    c.runspace.scope().data().strict = Some(level);
    Ok(())
});

fn scope_of(c: &mut CmdletContext<'_>) -> Run<Arc<Scope>> {
    match c.text("Scope") {
        Some(name) => c.runspace.scope_named(&name).ok_or_else(|| {
            Flow::Error(Error::new(
                "System.Management.Automation.PSArgumentOutOfRangeException",
                "ScopeIDExceedsAvailableScopes",
                ErrorCategory::InvalidArgument,
                format!("The scope number '{name}' exceeds the number of active scopes."),
            ))
        }),
        None => Ok(c.runspace.scope().clone()),
    }
}

fn variable_object(cell: &Arc<VariableCell>) -> Value {
    Value::native(hop_powershell_runtime::variable_object::VariableObject(Arc::clone(cell)))
}

fn not_found(name: &str) -> Arc<ErrorRecord> {
    let exception = Exception::new(
        "System.Management.Automation.ItemNotFoundException",
        format!("Cannot find a variable with the name '{name}'."),
    );
    Arc::new(ErrorRecord::new(
        Arc::new(exception),
        "VariableNotFound",
        ErrorCategory::ObjectNotFound,
        Value::string(name),
    ))
}

cmdlet!(GetVariable, process, |c| {
    let names = c.texts("Name");
    let names = if names.is_empty() { vec!["*".to_owned()] } else { names };
    let value_only = c.switch("ValueOnly");
    let only = match c.text("Scope") {
        Some(_) => Some(scope_of(c)?),
        None => None,
    };
    for name in names {
        if name.contains(['*', '?', '[']) {
            let Ok(wildcard) = hop_powershell_runtime::wildcard::Wildcard::new(&name, true) else { continue };
            let mut found: Vec<Arc<VariableCell>> = Vec::new();
            let mut scope = Some(only.clone().unwrap_or_else(|| c.runspace.scope().clone()));
            while let Some(s) = scope {
                for cell in s.data().variables.values() {
                    let n = cell.with(|v| v.name.clone());
                    if wildcard.is_match(&n)
                        && !found.iter().any(|f| f.with(|v| v.name.eq_ignore_ascii_case(&n)))
                    {
                        found.push(cell.clone());
                    }
                }
                scope = if only.is_some() { None } else { s.parent().cloned() };
            }
            found.sort_by_key(|f| f.with(|v| v.name.to_lowercase()));
            for cell in found {
                let value = if value_only { cell.get() } else { variable_object(&cell) };
                c.write(value)?;
            }
            continue;
        }
        let cell = match &only {
            Some(s) => s.variable(&name),
            None => c.runspace.find_variable(&name),
        };
        match cell {
            Some(cell) => {
                let value = if value_only { cell.get() } else { variable_object(&cell) };
                c.write(value)?;
            }
            None => match c.runspace.get_variable(&name) {
                Some(value) if only.is_none() => {
                    let cell = VariableCell::new(Variable {
                        name: name.clone(),
                        value: value.clone(),
                        ..Variable::default()
                    });
                    let value = if value_only { value } else { variable_object(&cell) };
                    c.write(value)?;
                }
                _ => c.error(not_found(&name))?,
            },
        }
    }
    Ok(())
});

fn options_of(c: &mut CmdletContext<'_>) -> ItemOptions {
    let mut options = ItemOptions::default();
    for text in c.texts("Option") {
        for word in text.split(',') {
            match word.trim().to_ascii_lowercase().as_str() {
                "readonly" => options.read_only = true,
                "constant" => options.constant = true,
                "private" => options.private = true,
                "allscope" => options.all_scope = true,
                _ => {}
            }
        }
    }
    options
}

fn cannot_write(name: &str) -> Arc<ErrorRecord> {
    let exception = Exception::new(
        "System.Management.Automation.SessionStateUnauthorizedAccessException",
        format!("Cannot overwrite variable {name} because it is read-only or constant."),
    );
    Arc::new(ErrorRecord::new(
        Arc::new(exception),
        "VariableNotWritable",
        ErrorCategory::WriteError,
        Value::string(name),
    ))
}

/// `Set-Variable`.
#[derive(Default)]
struct SetVariable {
    values: Vec<Value>,
}

impl Cmdlet for SetVariable {
    fn process(&mut self, c: &mut CmdletContext<'_>) -> Run {
        if let Some(v) = c.arg("Value") {
            let v = v.clone();
            self.values.push(v);
        }
        Ok(())
    }

    fn end(&mut self, c: &mut CmdletContext<'_>) -> Run {
        let scope = scope_of(c)?;
        let options = options_of(c);
        let value = match self.values.len() {
            0 => None,
            1 => self.values.pop(),
            _ => Some(Value::array(std::mem::take(&mut self.values))),
        };
        for name in c.texts("Name") {
            let (scope, name) = match name.split_once(':') {
                Some((s, n)) => (c.runspace.scope_named(s).unwrap_or_else(|| scope.clone()), n.to_owned()),
                None => (scope.clone(), name),
            };
            let cell = match scope.variable(&name) {
                Some(cell) => {
                    let fixed =
                        cell.with(|v| v.options.constant || v.options.read_only && !c.switch("Force"));
                    if fixed {
                        c.error(cannot_write(&name))?;
                        continue;
                    }
                    if let Some(v) = &value {
                        cell.set(v.clone());
                    }
                    if c.has("Option") {
                        cell.with(|v| v.options = options);
                    }
                    cell
                }
                None => {
                    let cell = VariableCell::new(Variable {
                        name: name.clone(),
                        value: value.clone().unwrap_or_default(),
                        options,
                        description: c.text("Description").unwrap_or_default(),
                        ..Variable::default()
                    });
                    scope.insert(&name, cell.clone());
                    cell
                }
            };
            if c.switch("PassThru") {
                c.write(variable_object(&cell))?;
            }
        }
        Ok(())
    }
}

cmdlet!(NewVariable, process, |c| {
    let name = c.text("Name").unwrap_or_default();
    let scope = scope_of(c)?;
    let options = options_of(c);
    if let Some(existing) = scope.variable(&name)
        && (!c.switch("Force") || existing.with(|v| v.options.constant))
    {
        return c.error_with(
            "System.Management.Automation.SessionStateException",
            "VariableAlreadyExists",
            ErrorCategory::ResourceExists,
            Value::string(&name),
            format!("A variable with name '{name}' already exists."),
        );
    }
    let cell = VariableCell::new(Variable {
        name: name.clone(),
        value: c.arg("Value").cloned().unwrap_or_default(),
        options,
        description: c.text("Description").unwrap_or_default(),
        ..Variable::default()
    });
    scope.insert(&name, cell.clone());
    if c.switch("PassThru") {
        return c.write(variable_object(&cell));
    }
    Ok(())
});

cmdlet!(RemoveVariable, process, |c| {
    let only = match c.text("Scope") {
        Some(_) => Some(scope_of(c)?),
        None => None,
    };
    for name in c.texts("Name") {
        let pattern = name.contains(['*', '?', '[']);
        let mut scope = Some(only.clone().unwrap_or_else(|| c.runspace.scope().clone()));
        let mut done = false;
        while let Some(s) = scope {
            let found: Vec<String> = if pattern {
                match hop_powershell_runtime::wildcard::Wildcard::new(&name, true) {
                    Ok(w) => s
                        .data()
                        .variables
                        .values()
                        .map(|v| v.with(|v| v.name.clone()))
                        .filter(|n| w.is_match(n))
                        .collect(),
                    Err(_) => Vec::new(),
                }
            } else {
                s.variable(&name).map(|v| v.with(|v| v.name.clone())).into_iter().collect()
            };
            for n in found {
                done = true;
                let fixed = s.variable(&n).is_some_and(|v| {
                    v.with(|v| v.options.constant || v.options.read_only && !c.switch("Force"))
                });
                if fixed {
                    c.error_with(
                        "System.Management.Automation.SessionStateUnauthorizedAccessException",
                        "VariableNotRemovable",
                        ErrorCategory::WriteError,
                        Value::string(&n),
                        format!("Cannot remove variable {n} because it is constant or read-only. If the variable is read-only, try the operation again specifying the Force option."),
                    )?;
                    continue;
                }
                c.runspace.remove_variable(&s, &n);
            }
            if done || only.is_some() {
                break;
            }
            scope = s.parent().cloned();
        }
        if !done && !pattern {
            c.error(not_found(&name))?;
        }
    }
    Ok(())
});

cmdlet!(ClearVariable, process, |c| {
    for name in c.texts("Name") {
        let cell = match c.text("Scope") {
            Some(_) => scope_of(c)?.variable(&name),
            None => c.runspace.find_variable(&name),
        };
        match cell {
            Some(cell) if cell.with(|v| v.options.constant || v.options.read_only && !c.switch("Force")) => {
                c.error(cannot_write(&name))?;
            }
            Some(cell) => cell.set(Value::Null),
            None => c.error(not_found(&name))?,
        }
    }
    Ok(())
});

cmdlet!(NewAlias, process, |c| {
    let name = c.text("Name").unwrap_or_default();
    if c.runspace.find_alias(&name).is_some() && !c.switch("Force") {
        return c.error_with(
            "System.Management.Automation.SessionStateException",
            "AliasAlreadyExists",
            ErrorCategory::ResourceExists,
            Value::string(&name),
            format!("The alias is not allowed, because an alias with the name '{name}' already exists."),
        );
    }
    define_alias(c)
});

cmdlet!(SetAlias, process, |c| define_alias(c));

fn define_alias(c: &mut CmdletContext<'_>) -> Run {
    let (name, target) = (c.text("Name").unwrap_or_default(), c.text("Value").unwrap_or_default());
    match c.text("Scope") {
        Some(_) => {
            let scope = scope_of(c)?;
            c.runspace.set_alias_in(&scope, &name, &target);
        }
        None => c.runspace.set_alias(&name, &target),
    }
    if c.switch("PassThru")
        && let Some(alias) = c.runspace.find_alias(&name)
    {
        let info = c.runspace.alias_info(&alias);
        c.write(info)?;
    }
    Ok(())
}

cmdlet!(RemoveAlias, process, |c| {
    for name in c.texts("Name") {
        if c.runspace.find_alias(&name).is_none() {
            c.error_with(
                "System.Management.Automation.ItemNotFoundException",
                "AliasNotFound",
                ErrorCategory::ObjectNotFound,
                Value::string(&name),
                format!("This command cannot find a matching alias because an alias with the name '{name}' does not exist."),
            )?;
            continue;
        }
        c.runspace.remove_alias(&name);
    }
    Ok(())
});

cmdlet!(StartSleep, process, |c| {
    let milliseconds = match (c.arg("Seconds"), c.integer("Milliseconds")) {
        (Some(Value::Double(s)), _) => s * 1000.0,
        (_, Some(ms)) => ms as f64,
        _ => 0.0,
    };
    if milliseconds > 0.0 && milliseconds < 1e12 {
        let time = std::time::Duration::from_secs_f64(milliseconds / 1000.0);
        let platform = Arc::clone(&c.runspace.platform);
        let cancel = c.runspace.cancellation();
        platform.sleep(time, &cancel);
        if cancel.is_cancelled() {
            return Err(Flow::Stopped);
        }
    }
    Ok(())
});

/// `Invoke-Command`.
#[derive(Default)]
struct InvokeCommand {
    input: Vec<Value>,
}

impl Cmdlet for InvokeCommand {
    fn process(&mut self, c: &mut CmdletContext<'_>) -> Run {
        if let Some(v) = c.input().cloned() {
            self.input.push(v);
        }
        Ok(())
    }

    fn end(&mut self, c: &mut CmdletContext<'_>) -> Run {
        let Some(block) = c.arg("ScriptBlock").cloned() else { return Ok(()) };
        let args = c.items("ArgumentList");
        let input = if c.expects_input() { Some(std::mem::take(&mut self.input)) } else { None };
        if c.has("ComputerName") || c.has("Session") || c.has("HostName") {
            return remote(c, &block, args, input);
        }
        if c.switch("NoNewScope") {
            return c.run_block(&block, None, input.unwrap_or_default());
        }
        let (runspace, out) = c.parts();
        runspace.call_block(&block, args, Vec::new(), input, out)
    }
}

fn remote(c: &mut CmdletContext<'_>, block: &Value, arguments: Vec<Value>, input: Option<Vec<Value>>) -> Run {
    use hop_powershell_runtime::host::{RemoteCommand, RemoteEvent, RemoteTarget};
    let options: Vec<(String, Value)> = c
        .bound()
        .iter()
        .filter(|(n, _)| {
            matches!(&**n, "Credential" | "Port" | "Authentication" | "UseSSL" | "ConfigurationName")
        })
        .map(|(n, v)| (n.to_string(), v.clone()))
        .collect();
    let mut targets = Vec::new();
    for name in c.texts("ComputerName").into_iter().chain(c.texts("HostName")) {
        targets.push(RemoteTarget::Computer { name, options: options.clone() });
    }
    for session in c.items("Session") {
        let id = members::get(&session, "Id", c.runspace)?.and_then(|v| v.as_integer());
        if let Some(id) = id.and_then(|n| i32::try_from(n).ok()) {
            targets.push(RemoteTarget::Session(id));
        }
    }
    let script = ScriptBlock::from_value(block)
        .map(|b| b.ast.source.slice(b.ast.body_span).to_owned())
        .unwrap_or_default();
    let using = c.runspace.using_values(block)?;
    let command = RemoteCommand {
        targets,
        script,
        arguments,
        using,
        input,
        throttle: c
            .integer("ThrottleLimit")
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0)
            .unwrap_or(32),
    };
    let Some(mut remoting) = c.runspace.remoting.take() else {
        return Err(c.terminate(Error::new(
            "System.Management.Automation.Remoting.PSRemotingTransportException",
            "RemotingNotAvailable",
            ErrorCategory::OpenError,
            "This session cannot reach other computers.",
        )));
    };
    let cancel = c.runspace.cancellation();
    let mut result: Run = Ok(());
    let done = remoting.invoke(&command, &cancel, &mut |event| {
        let step = match event {
            RemoteEvent::Output(v) => c.write(v),
            RemoteEvent::Error(r) => c.error(r),
            RemoteEvent::Warning(t) => c.warning(&t),
            RemoteEvent::Verbose(t) => c.verbose(&t),
            RemoteEvent::Debug(t) => c.debug(&t),
            RemoteEvent::Information(v) => c.information(v, &[], None),
            RemoteEvent::Progress(p) => {
                c.progress(0, &p);
                Ok(())
            }
            RemoteEvent::HostWrite(t) => {
                c.runspace.host.write(&t, None, None);
                Ok(())
            }
        };
        match step {
            Ok(()) => true,
            Err(flow) => {
                result = Err(flow);
                false
            }
        }
    });
    c.runspace.remoting = Some(remoting);
    result?;
    match done {
        Ok(()) => Ok(()),
        Err(e) => c.error(Arc::clone(e.record())),
    }
}
