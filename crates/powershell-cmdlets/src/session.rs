//! Cmdlets about the session and the machine: progress, questions, processes, remote sessions.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::host::{ProgressRecord, RemoteSession};
use hop_powershell_runtime::members;
use hop_powershell_runtime::value::{DateTime, DateTimeKind, Error, ErrorCategory, TimeSpan, Value};
use hop_powershell_runtime::wildcard::{Wildcard, has_wildcard};

const CORE: &str = "Microsoft.PowerShell.Core";
const UTILITY: &str = "Microsoft.PowerShell.Utility";
const MANAGEMENT: &str = "Microsoft.PowerShell.Management";
const SECURITY: &str = "Microsoft.PowerShell.Security";

/// Adds them.
pub(crate) fn register(table: &mut CommandTable) {
    let mut add = |name: &'static str,
                   class: &'static str,
                   module: &'static str,
                   create: fn() -> Box<dyn Cmdlet>,
                   parameters: Vec<P>| {
        let mut info = CmdletInfo::new(name, class, module, create);
        info.parameters = parameters;
        table.add(info);
    };
    add(
        "Write-Progress",
        "Microsoft.PowerShell.Commands.WriteProgressCommand",
        UTILITY,
        || Box::new(WriteProgress),
        vec![
            P::new("Activity", "string").position(0),
            P::new("Status", "string").position(1),
            P::new("Id", "int").position(2),
            P::new("PercentComplete", "int"),
            P::new("SecondsRemaining", "int"),
            P::new("CurrentOperation", "string"),
            P::new("ParentId", "int"),
            P::switch("Completed"),
            P::new("SourceId", "int"),
        ],
    );
    add(
        "Read-Host",
        "Microsoft.PowerShell.Commands.ReadHostCommand",
        UTILITY,
        || Box::new(ReadHost),
        vec![
            P::new("Prompt", "object").position(0).remaining().allow_empty(),
            P::switch("AsSecureString"),
            P::switch("MaskInput"),
        ],
    );
    add(
        "Get-Process",
        "Microsoft.PowerShell.Commands.GetProcessCommand",
        MANAGEMENT,
        || Box::new(GetProcess),
        vec![P::new("Name", "string[]").position(0).alias("ProcessName"), P::new("Id", "int[]").alias("PID")],
    );
    add(
        "ConvertTo-SecureString",
        "Microsoft.PowerShell.Commands.ConvertToSecureStringCommand",
        SECURITY,
        || Box::new(ConvertToSecureString),
        vec![
            P::new("String", "string").position(0).mandatory().pipeline().allow_empty(),
            P::switch("AsPlainText"),
            P::switch("Force"),
        ],
    );
    add(
        "Get-Credential",
        "Microsoft.PowerShell.Commands.GetCredentialCommand",
        SECURITY,
        || Box::new(GetCredential),
        vec![
            P::new("Credential", "string").position(0).alias("UserName"),
            P::new("Message", "string"),
            P::new("Title", "string"),
        ],
    );
    let session = |set: &[&str]| P::new("Session", "object[]").position(0).pipeline().in_sets(set);
    add(
        "New-PSSession",
        "Microsoft.PowerShell.Commands.NewPSSessionCommand",
        CORE,
        || Box::new(NewPsSession),
        vec![
            P::new("ComputerName", "string[]").position(0).alias("Cn").pipeline(),
            P::new("Name", "string[]"),
            P::new("Credential", "object"),
            P::new("Port", "int"),
            P::new("Authentication", "string"),
            P::new("ConfigurationName", "string"),
            P::switch("UseSSL"),
        ],
    );
    add(
        "Get-PSSession",
        "Microsoft.PowerShell.Commands.GetPSSessionCommand",
        CORE,
        || Box::new(GetPsSession),
        vec![P::new("Name", "string[]"), P::new("Id", "int[]").position(0)],
    );
    add(
        "Remove-PSSession",
        "Microsoft.PowerShell.Commands.RemovePSSessionCommand",
        CORE,
        || Box::new(RemovePsSession),
        vec![session(&["Session"]), P::new("Id", "int[]").in_sets(&["Id"]).mandatory()],
    );
}

macro_rules! cmdlet {
    ($name:ident, $body:expr) => {
        struct $name;
        impl Cmdlet for $name {
            fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
                let body: fn(&mut CmdletContext<'_>) -> Run = $body;
                body(context)
            }
        }
    };
}

/// The patterns of a parameter.
fn patterns(c: &mut CmdletContext<'_>, parameter: &str) -> Run<Vec<Wildcard>> {
    c.texts(parameter).iter().map(|text| pattern_of(c, text)).collect()
}

fn pattern_of(c: &mut CmdletContext<'_>, text: &str) -> Run<Wildcard> {
    Wildcard::new(text, true).map_err(|error| c.terminate(error))
}

cmdlet!(WriteProgress, |c| {
    let number = |c: &CmdletContext<'_>, name: &str, default: i32| {
        c.integer(name).and_then(|n| i32::try_from(n).ok()).unwrap_or(default)
    };
    let record = ProgressRecord {
        activity_id: number(c, "Id", 0),
        parent_id: number(c, "ParentId", -1),
        activity: c.text("Activity").unwrap_or_default(),
        status: c.text("Status").unwrap_or_else(|| "Processing".to_owned()),
        current_operation: c.text("CurrentOperation").unwrap_or_default(),
        percent: number(c, "PercentComplete", -1),
        seconds_remaining: number(c, "SecondsRemaining", -1),
        completed: c.switch("Completed"),
    };
    let source = c.integer("SourceId").unwrap_or(0);
    c.progress(source, &record);
    Ok(())
});

cmdlet!(ReadHost, |c| {
    if c.has("Prompt") {
        let prompt = c.texts("Prompt").join(" ");
        c.runspace.host.write(&format!("{prompt}: "), None, None);
    }
    let secret = c.switch("AsSecureString");
    if secret || c.switch("MaskInput") {
        let answer = c.runspace.host.read_secret().map_err(|e| c.terminate(e))?;
        let value = match secret {
            true => Value::SecureString(Arc::new(answer)),
            false => Value::string(answer.expose()),
        };
        return c.write(value);
    }
    let answer = c.runspace.host.read_line().map_err(|e| c.terminate(e))?;
    c.write(Value::string(answer))
});

cmdlet!(GetProcess, |c| {
    let names: Vec<(String, Wildcard)> = c.texts("Name").into_iter().zip(patterns(c, "Name")?).collect();
    let ids: Vec<i64> =
        c.items("Id").iter().filter_map(Value::as_integer).filter_map(|n| i64::try_from(n).ok()).collect();
    let mut processes = processes();
    processes.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then(a.id.cmp(&b.id)));
    for (name, wildcard) in &names {
        if !has_wildcard(name) && !processes.iter().any(|p| wildcard.is_match(&p.name)) {
            c.error_with(
                "Microsoft.PowerShell.Commands.ProcessCommandException",
                "NoProcessFoundForGivenName",
                ErrorCategory::ObjectNotFound,
                Value::string(name),
                format!(
                    "Cannot find a process with the name \"{name}\". Verify the process name and call the cmdlet again."
                ),
            )?;
        }
    }
    for id in ids.iter().filter(|id| !processes.iter().any(|p| p.id == **id)) {
        c.error_with(
            "Microsoft.PowerShell.Commands.ProcessCommandException",
            "NoProcessFoundForGivenId",
            ErrorCategory::ObjectNotFound,
            Value::Int64(*id),
            format!("Cannot find a process with the process identifier {id}."),
        )?;
    }
    let wanted = |p: &Process| match (names.is_empty(), ids.is_empty()) {
        (true, true) => true,
        (false, _) => names.iter().any(|(_, wildcard)| wildcard.is_match(&p.name)),
        (true, false) => ids.contains(&p.id),
    };
    for process in processes.into_iter().filter(wanted) {
        c.write(process.into_value())?;
    }
    Ok(())
});

/// A process as the kernel tells of it.
struct Process {
    id: i64,
    name: String,
    /// Time on a processor in ticks of 100 ns.
    cpu: i64,
    memory: i64,
    /// Since the epoch, in ticks of 100 ns.
    started: i64,
}

/// Clock ticks in a second, as Linux shows times to programs on every architecture it runs on today.
const HERTZ: i64 = 100;
const TICKS_PER_SECOND: i64 = 10_000_000;
const PAGE: i64 = 4096;
/// Ticks from year 1 to 1970.
const EPOCH_TICKS: i64 = 621_355_968_000_000_000;

fn processes() -> Vec<Process> {
    let boot = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot =
        boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok()).unwrap_or(0);
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i64>().ok());
    ids.filter_map(|id| {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in brackets and may contain any character.
        let (head, rest) = text.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<i64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or(0);
        let seconds = |ticks: i64| ticks.saturating_mul(TICKS_PER_SECOND / HERTZ);
        Some(Process {
            id,
            name,
            cpu: seconds(field(11).saturating_add(field(12))),
            memory: field(21).saturating_mul(PAGE),
            started: boot.saturating_mul(TICKS_PER_SECOND).saturating_add(seconds(field(19))),
        })
    })
    .collect()
}

impl Process {
    fn into_value(self) -> Value {
        let start = DateTime::from_ticks(EPOCH_TICKS.saturating_add(self.started), DateTimeKind::Local);
        let time = TimeSpan::from_ticks(self.cpu);
        Value::custom_typed(
            "System.Diagnostics.Process",
            [
                ("Id", Value::Int32(i32::try_from(self.id).unwrap_or(i32::MAX))),
                ("ProcessName", Value::string(&self.name)),
                ("Name", Value::string(&self.name)),
                ("CPU", Value::Double(self.cpu as f64 / TICKS_PER_SECOND as f64)),
                ("WorkingSet64", Value::Int64(self.memory)),
                ("WS", Value::Int64(self.memory)),
                ("TotalProcessorTime", Value::TimeSpan(time)),
                ("StartTime", start.map_or(Value::Null, Value::DateTime)),
            ],
        )
    }
}

cmdlet!(ConvertToSecureString, |c| {
    if !c.switch("AsPlainText") {
        return Err(c.terminate(Error::new(
            "System.ArgumentException",
            "ImportSecureString_InvalidArgument",
            ErrorCategory::InvalidArgument,
            "Only plain text can be converted here; give -AsPlainText.",
        )));
    }
    let text = c.text("String").unwrap_or_default();
    c.write(Value::SecureString(Arc::new(hop_secret::SecretString::new(text))))
});

cmdlet!(GetCredential, |c| {
    let user = c.text("Credential").unwrap_or_default();
    let title = c.text("Title").unwrap_or_else(|| "PowerShell credential request".to_owned());
    let message = c.text("Message").unwrap_or_else(|| "Enter your credentials.".to_owned());
    let asked = c.runspace.host.prompt_for_credential(&title, &message, &user, "");
    let credential = asked.map_err(|e| c.terminate(e))?;
    c.write(credential)
});

fn no_remoting() -> Error {
    Error::new(
        "System.Management.Automation.Remoting.PSRemotingTransportException",
        "RemotingNotAvailable",
        ErrorCategory::OpenError,
        "This session cannot reach other computers.",
    )
}

fn session_value(session: &RemoteSession) -> Value {
    Value::custom_typed(
        "System.Management.Automation.Runspaces.PSSession",
        [
            ("Id", Value::Int32(session.id)),
            ("Name", Value::string(&session.name)),
            ("Transport", Value::string("WSMan")),
            ("ComputerName", Value::string(&session.computer)),
            ("ComputerType", Value::string("RemoteMachine")),
            ("State", Value::string(&session.state)),
            ("ConfigurationName", Value::string("Microsoft.PowerShell")),
            ("InstanceId", Value::Guid(session.instance)),
            ("Availability", Value::string("Available")),
        ],
    )
}

cmdlet!(NewPsSession, |c| {
    let shared = ["Credential", "Port", "Authentication", "ConfigurationName", "UseSSL"];
    let options: Vec<(String, Value)> = c
        .bound()
        .iter()
        .filter(|(name, _)| shared.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    let names = c.texts("Name");
    let mut computers = c.texts("ComputerName");
    if computers.is_empty() {
        computers.push("localhost".to_owned());
    }
    for (at, computer) in computers.iter().enumerate() {
        let Some(mut remoting) = c.runspace.remoting.take() else { return Err(c.terminate(no_remoting())) };
        let opened = remoting.open(computer, names.get(at).map(String::as_str), &options);
        c.runspace.remoting = Some(remoting);
        match opened {
            Ok(session) => c.write(session_value(&session))?,
            Err(error) => c.error(Arc::clone(error.record()))?,
        }
    }
    Ok(())
});

cmdlet!(GetPsSession, |c| {
    let names = patterns(c, "Name")?;
    let ids: Vec<i128> = c.items("Id").iter().filter_map(Value::as_integer).collect();
    let sessions = c.runspace.remoting.as_ref().map(|remoting| remoting.sessions()).unwrap_or_default();
    for session in sessions {
        let named = names.is_empty() || names.iter().any(|name| name.is_match(&session.name));
        if named && (ids.is_empty() || ids.contains(&i128::from(session.id))) {
            c.write(session_value(&session))?;
        }
    }
    Ok(())
});

cmdlet!(RemovePsSession, |c| {
    let mut ids: Vec<i128> = c.items("Id").iter().filter_map(Value::as_integer).collect();
    for session in c.items("Session") {
        ids.extend(members::get(&session, "Id", c.runspace)?.and_then(|id| id.as_integer()));
    }
    for id in ids.into_iter().filter_map(|id| i32::try_from(id).ok()) {
        let Some(mut remoting) = c.runspace.remoting.take() else { return Ok(()) };
        let closed = remoting.close(id);
        c.runspace.remoting = Some(remoting);
        if let Err(error) = closed {
            c.error(Arc::clone(error.record()))?;
        }
    }
    Ok(())
});
