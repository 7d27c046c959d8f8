//! `hop credssp status`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use hop_delegation::credssp::{ListName, Pattern, Setting};
use hop_policy::{GroupPolicyState, Policy};
use hop_powershell_cmdlets::credssp::report;
use serde_json::{Value, json};

use crate::settings::{Settings, targets};
use crate::{advice, ticket};

/// Show what is in force.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
#[expect(clippy::print_stdout, reason = "the answer")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let policy = match Settings::default().policy() {
        Ok(policy) => policy,
        Err(error) => return advice::fail(1, &error),
    };
    let now = SystemTime::now();
    match arguments.json {
        true => println!("{:#}", to_json(&policy, now)),
        false => print!("{}", to_text(&policy, now)),
    }
    ExitCode::SUCCESS
}

fn to_text(policy: &Policy, now: SystemTime) -> String {
    let effective = &policy.effective;
    let mut text = report(&targets(policy), policy.service_allows_credssp() == Some(true)).join("\n");
    text.push_str("\n\n");
    let switch = |setting: &Option<Setting<bool>>| match setting {
        Some(setting) => format!("{:<35} {}", if setting.value { "on" } else { "off" }, setting.source),
        None => "off (nobody has turned it on)".to_owned(),
    };
    let _ = writeln!(text, "client sends passwords     {}", switch(&effective.client));
    let _ = writeln!(text, "service takes passwords    {}", switch(&effective.service));
    for name in ListName::ALL {
        let list = effective.list(name);
        let state = match (list.is_on(), list.entries.is_empty()) {
            (_, true) => "no entries",
            (true, false) => "on",
            (false, false) => "off: its entries do not count",
        };
        let _ = writeln!(text, "{}: {state}", name.as_str());
        for entry in &list.entries {
            let wrong = if is_valid(name, &entry.value) { "" } else { " (more than one *: matches nothing)" };
            let _ = writeln!(text, "    {:<58} {}{wrong}", entry.value, entry.source);
        }
    }
    if !policy.overridden.is_empty() {
        text.push_str("Does not count, because Group Policy sets it:\n");
        for it in &policy.overridden {
            let _ = writeln!(text, "    {:<58} {}", format!("{}: {}", it.setting, it.value), it.source);
        }
    }
    match &policy.group_policy {
        None => {
            text.push_str("Group Policy: no domain is configured (hop credssp refresh --domain DOMAIN)\n")
        }
        Some(state) => group_policy(&mut text, state, now),
    }
    text
}

fn group_policy(text: &mut String, state: &GroupPolicyState, now: SystemTime) {
    let Some(read_at) = state.read_at else {
        let _ = writeln!(
            text,
            "Group Policy of {}: never read, so nothing is sent by CredSSP or NTLM (hop credssp refresh)",
            state.origin
        );
        return;
    };
    let age = now.duration_since(read_at).unwrap_or_default();
    let _ = writeln!(text, "Group Policy of {}: read {} ago", state.origin, ticket::period(age));
    for (name, id) in &state.objects {
        let _ = writeln!(text, "    {name} {id}");
    }
    if state.objects.is_empty() {
        text.push_str("    no object with registry values applies to this machine\n");
    }
}

fn is_valid(name: ListName, entry: &str) -> bool {
    !matches!(name, ListName::AllowFresh | ListName::AllowFreshNtlmOnly) || Pattern::parse(entry).is_some()
}

fn to_json(policy: &Policy, now: SystemTime) -> Value {
    let effective = &policy.effective;
    let switch = |setting: &Option<Setting<bool>>| {
        setting.as_ref().map(|it| json!({ "value": it.value, "source": it.source.to_string() }))
    };
    let mut lists = serde_json::Map::new();
    for name in ListName::ALL {
        let list = effective.list(name);
        let entries = list.entries.iter().map(|entry| {
            json!({
                "value": entry.value,
                "source": entry.source.to_string(),
                "valid": is_valid(name, &entry.value),
            })
        });
        let value = json!({ "enabled": list.is_on(), "entries": entries.collect::<Vec<_>>() });
        lists.insert(name.as_str().to_owned(), value);
    }
    let overridden = policy
        .overridden
        .iter()
        .map(|it| json!({ "setting": it.setting, "value": it.value, "source": it.source.to_string() }));
    let group_policy = policy.group_policy.as_ref().map(|state| {
        let age = state.read_at.map(|at| now.duration_since(at).unwrap_or_default().as_secs());
        let objects = state.objects.iter().map(|(name, id)| json!({ "name": name, "id": id }));
        json!({
            "origin": state.origin,
            "machine": state.machine,
            "age_seconds": age,
            "objects": objects.collect::<Vec<_>>(),
        })
    });
    json!({
        "client": switch(&effective.client),
        "service": switch(&effective.service),
        "lists": lists,
        "overridden": overridden.collect::<Vec<_>>(),
        "group_policy": group_policy,
    })
}
