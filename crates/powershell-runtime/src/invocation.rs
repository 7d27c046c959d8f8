//! One invocation of a command: bound parameters, common parameters, position.

use std::sync::Arc;

use crate::runspace::Runspace;
use crate::value::{ErrorRecord, InvocationInfo, Value};

/// `ActionPreference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ActionPreference {
    SilentlyContinue,
    Stop,
    Continue,
    Inquire,
    Ignore,
    Suspend,
    Break,
}

impl ActionPreference {
    /// By name or number.
    pub fn parse(value: &Value) -> Option<Self> {
        use ActionPreference as P;
        if let Some(n) = value.as_integer() {
            return Some(match n {
                0 => P::SilentlyContinue,
                1 => P::Stop,
                2 => P::Continue,
                3 => P::Inquire,
                4 => P::Ignore,
                5 => P::Suspend,
                6 => P::Break,
                _ => return None,
            });
        }
        if let Value::Bool(on) = value.base() {
            return Some(if *on { P::Continue } else { P::SilentlyContinue });
        }
        let text = value.as_str()?;
        [
            ("SilentlyContinue", P::SilentlyContinue),
            ("Stop", P::Stop),
            ("Continue", P::Continue),
            ("Inquire", P::Inquire),
            ("Ignore", P::Ignore),
            ("Suspend", P::Suspend),
            ("Break", P::Break),
        ]
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, p)| p)
    }

    /// The enumeration's name.
    pub fn name(self) -> &'static str {
        use ActionPreference as P;
        match self {
            P::SilentlyContinue => "SilentlyContinue",
            P::Stop => "Stop",
            P::Continue => "Continue",
            P::Inquire => "Inquire",
            P::Ignore => "Ignore",
            P::Suspend => "Suspend",
            P::Break => "Break",
        }
    }
}

/// What `-ErrorAction`, `-Verbose` and the other common parameters ask for.
#[derive(Clone, Debug, Default)]
pub struct CommonParameters {
    /// `-ErrorAction`.
    pub error_action: Option<ActionPreference>,
    /// `-WarningAction`.
    pub warning_action: Option<ActionPreference>,
    /// `-InformationAction`.
    pub information_action: Option<ActionPreference>,
    /// `-ProgressAction`.
    pub progress_action: Option<ActionPreference>,
    /// `-Verbose`.
    pub verbose: Option<bool>,
    /// `-Debug`.
    pub debug: Option<bool>,
    /// `-WhatIf`.
    pub what_if: Option<bool>,
    /// `-Confirm`.
    pub confirm: Option<bool>,
    /// `-ErrorVariable`.
    pub error_variable: Option<String>,
    /// `-WarningVariable`.
    pub warning_variable: Option<String>,
    /// `-InformationVariable`.
    pub information_variable: Option<String>,
    /// `-OutVariable`.
    pub out_variable: Option<String>,
    /// `-PipelineVariable`.
    pub pipeline_variable: Option<String>,
}

/// Where a command's stream goes.
#[derive(Clone, Debug, Default)]
pub enum StreamTarget {
    /// To the host.
    #[default]
    Host,
    /// Away (`2>$null`).
    Null,
    /// Into the output (`2>&1`) or a file: whoever set this up takes the records from the queue.
    Queue(crate::streams::Queue),
}

/// One running command.
#[derive(Debug, Default)]
pub struct Invocation {
    pub(crate) info: Arc<InvocationInfo>,
    pub(crate) bound: Vec<(Arc<str>, Value)>,
    pub(crate) unbound: Vec<Value>,
    /// Where the arguments of bound parameters stand.
    pub(crate) spans: Vec<(Arc<str>, hop_powershell_syntax::Span)>,
    pub(crate) set_name: Option<Arc<str>>,
    /// The sets that what the pipeline brings may still choose.
    pub(crate) open_sets: Vec<Option<Arc<str>>>,
    pub(crate) common: CommonParameters,
    pub(crate) error_suffix: String,
    pub(crate) pipeline_id: u64,
    pub(crate) input: Option<Value>,
    pub(crate) expects_input: bool,
    pub(crate) targets: StreamTargets,
    pub(crate) high_impact: bool,
    pub(crate) should_process: bool,
}

/// Where the streams of a command go.
#[derive(Clone, Debug, Default)]
pub struct StreamTargets {
    /// 2.
    pub error: StreamTarget,
    /// 3.
    pub warning: StreamTarget,
    /// 4.
    pub verbose: StreamTarget,
    /// 5.
    pub debug: StreamTarget,
    /// 6.
    pub information: StreamTarget,
}

impl Invocation {
    /// A bound parameter by its declared name.
    pub fn bound(&self, name: &str) -> Option<&Value> {
        self.bound.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// All bound parameters.
    pub fn all_bound(&self) -> &[(Arc<str>, Value)] {
        &self.bound
    }

    /// Where the command was called.
    pub fn info(&self) -> &Arc<InvocationInfo> {
        &self.info
    }

    /// The common parameters.
    pub fn common(&self) -> &CommonParameters {
        &self.common
    }

    /// The command's name for `CategoryInfo.Activity`.
    pub fn command_name(&self) -> String {
        self.info.invocation_name.clone()
    }

    /// Fills in what an error record gets from the command that wrote it: position, activity, identifier.
    pub(crate) fn complete_record(&self, record: &Arc<ErrorRecord>) {
        if record.invocation.get().is_none() {
            let _ = record.invocation.set(Arc::clone(&self.info));
            if record.activity().is_empty() {
                record.set_activity(&self.activity());
            }
            if !self.error_suffix.is_empty() && !record.of_transport {
                let id = record.fully_qualified_id();
                let tail = format!(",{}", self.error_suffix);
                if !id.ends_with(&tail) {
                    record.set_error_id(&format!("{id}{tail}"));
                }
            }
        }
    }

    pub(crate) fn activity(&self) -> String {
        match self.info.my_command.base() {
            Value::Null => self.info.invocation_name.clone(),
            _ => crate::runspace::command_name_of(&self.info.my_command)
                .unwrap_or_else(|| self.info.invocation_name.clone()),
        }
    }

    pub(crate) fn record_output(&mut self, runspace: &mut Runspace, value: &Value) {
        if let Some(name) = &self.common.out_variable {
            let name = name.clone();
            runspace.append_to_variable(&name, value.clone());
        }
        if let Some(name) = &self.common.pipeline_variable {
            let name = name.clone();
            runspace.set_variable(&name, value.clone());
        }
    }
}
