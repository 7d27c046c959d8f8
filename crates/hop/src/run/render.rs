//! What the hosts say, as a person or a program reads it.
//!
//! One thread of its own shows everything: the formatter needs an engine, and engines stay on their thread.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hop_clixml::Value as Clixml;
use hop_clixml::write::Layout;
use hop_host::convert::{error_from_body, from_clixml};
use hop_powershell_cmdlets::{console::ConsoleHost, platform::LocalPlatform};
use hop_powershell_format::{Formatter, format_error};
use hop_powershell_runtime::command::CommandTable;
use hop_powershell_runtime::runspace::Runspace;
use hop_psrp::body::{ErrorRecord, InformationRecord, PipelineState};
use hop_psrp::client::PipelineEvent;
use hop_psrp::keys::Protection;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::json;

/// Rows of a table are shown when nothing has come for this long, as PowerShell does it.
const HOLD: Duration = Duration::from_millis(300);
/// The tag of what Write-Host wrote.
const PSHOST: &str = "PSHOST";

/// Something to show.
pub enum Piece {
    /// Of a pipeline.
    Event { host: String, event: Box<PipelineEvent> },
    /// The host was not reached, or lost.
    Failed { host: String, text: String },
    /// A remark of our own.
    Note { host: String, text: String },
    /// Nothing more comes from the host.
    Done { host: String },
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text, formatted as PowerShell formats it.
    Text,
    /// One JSON object per line and event.
    Json,
    /// One CLIXML document of all output.
    Clixml,
}

/// Shows what comes until everybody who could send has gone.
pub struct Renderer {
    form: Form,
    /// Lines say which host they are of.
    labelled: bool,
    width: usize,
    hosts: BTreeMap<String, Formatter>,
    engine: Option<Runspace>,
    document: Vec<Clixml>,
    bar: Option<ProgressBar>,
}

impl Renderer {
    /// For so many hosts.
    pub fn new(form: Form, hosts: usize) -> Self {
        let bar =
            (io::stderr().is_terminal() && io::stdout().is_terminal() && form == Form::Text).then(|| {
                let bar = ProgressBar::new(hosts as u64);
                let style = ProgressStyle::with_template("{spinner} {pos}/{len} hosts {elapsed} {wide_msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar
            });
        Self {
            form,
            labelled: hosts > 1,
            width: terminal_width(),
            hosts: BTreeMap::new(),
            engine: None,
            document: Vec::new(),
            bar,
        }
    }

    /// Shows it all.
    pub fn run(mut self, pieces: &Receiver<Piece>) {
        loop {
            match pieces.recv_timeout(HOLD) {
                Ok(piece) => self.show(piece),
                Err(RecvTimeoutError::Timeout) => {
                    let open: Vec<String> = self
                        .hosts
                        .iter()
                        .filter(|(_, f)| f.is_open())
                        .map(|(name, _)| name.clone())
                        .collect();
                    open.iter().for_each(|host| self.release(host, false));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let left: Vec<String> = self.hosts.keys().cloned().collect();
        left.iter().for_each(|host| self.release(host, true));
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.form == Form::Clixml {
            let document = hop_clixml::Document::new(std::mem::take(&mut self.document));
            let text = hop_clixml::write::document(&document, Layout::Indented);
            print(&mut io::stdout().lock(), &text, None);
        }
    }

    fn show(&mut self, piece: Piece) {
        match piece {
            Piece::Failed { host, text } => {
                self.json(&host, "failure", || json!(text));
                self.error(&host, &format!("hop: {host}: {text}"));
            }
            Piece::Note { host, text } => {
                self.json(&host, "note", || json!(text));
                self.error(&host, &format!("hop: {host}: {text}"));
            }
            Piece::Done { host } => {
                self.release(&host, true);
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
            }
            Piece::Event { host, event } => self.event(&host, *event),
        }
    }

    fn event(&mut self, host: &str, event: PipelineEvent) {
        match event {
            PipelineEvent::Output(value) => self.output(host, value),
            PipelineEvent::Error(record) => self.record(host, "error", &record),
            PipelineEvent::Warning(record) => self.message(host, "warning", "WARNING: ", &record.message),
            PipelineEvent::Verbose(record) => self.message(host, "verbose", "VERBOSE: ", &record.message),
            PipelineEvent::Debug(record) => self.message(host, "debug", "DEBUG: ", &record.message),
            PipelineEvent::Information(record) => self.information(host, &record),
            PipelineEvent::Progress(record) => {
                self.json(host, "progress", || {
                    json!({ "activity": record.activity.to_string(),
                            "status": record.status.as_ref().map(ToString::to_string),
                            "percent": record.percent_complete, "completed": record.completed })
                });
                if let Some(bar) = &self.bar {
                    let status = record.status.as_ref().map(ToString::to_string).unwrap_or_default();
                    bar.set_message(match record.completed {
                        true => String::new(),
                        false => format!("{host}: {} {status}", record.activity),
                    });
                    bar.tick();
                }
            }
            PipelineEvent::State(info) if info.state == PipelineState::Failed => {
                if let Some(record) = &info.error {
                    self.record(host, "error", record);
                }
            }
            PipelineEvent::Broken(error) => {
                self.json(host, "failure", || json!(error.to_string()));
                self.error(host, &format!("hop: {host}: {error}"));
            }
            _ => {}
        }
    }

    fn output(&mut self, host: &str, value: Clixml) {
        match self.form {
            Form::Json => self.json(host, "output", || json::value(&value)),
            Form::Clixml => self.document.push(value),
            Form::Text => {
                let value = from_clixml(&value, &Protection::Plain);
                let engine = self.engine.get_or_insert_with(engine);
                let width = self.width;
                let formatter = self.hosts.entry(host.to_owned()).or_insert_with(|| Formatter::new(width));
                let lines = formatter.push(&value, engine);
                self.lines(host, &lines);
            }
        }
    }

    /// Shows what the host's formatter holds back.
    fn release(&mut self, host: &str, finish: bool) {
        let engine = self.engine.get_or_insert_with(engine);
        let Some(formatter) = self.hosts.get_mut(host) else { return };
        let lines = if finish { formatter.finish(engine) } else { formatter.flush(engine) };
        self.lines(host, &lines);
    }

    fn record(&mut self, host: &str, kind: &str, record: &ErrorRecord) {
        self.json(host, kind, || {
            json!({ "message": record.display_message(),
                    "fullyQualifiedErrorId": record.fully_qualified_error_id.to_string() })
        });
        let text = format_error(&error_from_body(record, &Protection::Plain), "ConciseView", self.width);
        self.error(host, &text);
    }

    fn message(&mut self, host: &str, kind: &str, prefix: &str, text: &hop_clixml::Text) {
        self.json(host, kind, || json!(text.to_string()));
        self.error(host, &format!("{prefix}{text}"));
    }

    /// What Write-Host wrote is shown; other information is not, unless the form has a place for it.
    fn information(&mut self, host: &str, record: &InformationRecord) {
        let from_host = record.tags.iter().any(|tag| *tag == PSHOST);
        self.json(host, "information", || {
            json!({ "data": json::value(&record.data),
                    "tags": record.tags.iter().map(ToString::to_string).collect::<Vec<_>>() })
        });
        if from_host && self.form == Form::Text {
            let text = match record.data.get("Message") {
                Some(message) => message.display(),
                None => record.data.display(),
            };
            self.release(host, false);
            self.lines(host, &[text]);
        }
    }

    fn json(&self, host: &str, kind: &str, content: impl FnOnce() -> serde_json::Value) {
        if self.form == Form::Json {
            let line = json!({ "host": host, "stream": kind, "value": content() }).to_string();
            print(&mut io::stdout().lock(), &line, None);
        }
    }

    fn lines(&self, host: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let label = self.labelled.then_some(host);
        self.aside(|| {
            let mut out = io::stdout().lock();
            lines.iter().for_each(|line| print(&mut out, line, label));
        });
    }

    /// Everything that is not output goes to standard error, except as JSON.
    fn error(&self, host: &str, text: &str) {
        if self.form == Form::Json {
            return;
        }
        let label = (self.labelled && !text.starts_with("hop: ")).then_some(host);
        self.aside(|| print(&mut io::stderr().lock(), text, label));
    }

    /// Writes without the progress line in the way.
    fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// The engine behind the formatter; it runs nothing, so it needs no commands.
fn engine() -> Runspace {
    Runspace::new(Box::new(ConsoleHost), Arc::new(LocalPlatform::new()), CommandTable::new())
}

/// Lines, each with the label. Output that nobody reads any more (a closed pipe) is no reason to stop what runs.
fn print(to: &mut dyn Write, text: &str, label: Option<&str>) {
    let mut whole = String::new();
    for line in text.split('\n') {
        if let Some(label) = label {
            whole.push_str(label);
            whole.push_str(": ");
        }
        whole.push_str(line);
        whole.push('\n');
    }
    let _ = to.write_all(whole.as_bytes()).and_then(|()| to.flush());
}

/// As wide as the terminal, 80 without one.
fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)).max(20)
}
