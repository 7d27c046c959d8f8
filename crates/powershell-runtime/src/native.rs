//! Native programs: arguments, wildcard expansion, output lines, exit codes.

use std::sync::Arc;

use crate::flow::{Flow, Run, Sink};
use crate::host::{NativeCommand, NativeEvent};
use crate::invocation::{ActionPreference, Invocation, StreamTarget};
use crate::runspace::Runspace;
use crate::value::{Error, ErrorCategory, ErrorRecord, Exception, Value};

/// A program about to run.
pub(crate) struct NativeRun {
    path: String,
    name: String,
    args: Vec<(Value, bool)>,
    input: Option<Vec<u8>>,
}

impl NativeRun {
    pub fn new(path: String, name: String, args: Vec<(Value, bool)>) -> Self {
        Self { path, name, args, input: None }
    }

    pub fn add_input(&mut self, rs: &mut Runspace, value: &Value) {
        let text = rs.to_text(value);
        let input = self.input.get_or_insert_with(Vec::new);
        input.extend_from_slice(text.as_bytes());
        input.push(b'\n');
    }
}

/// Cuts bytes into lines as they come.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(n) = self.0.iter().position(|b| *b == b'\n') {
            let mut line: Vec<u8> = self.0.drain(..=n).collect();
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        lines
    }

    fn rest(&mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        Some(String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned())
    }
}

impl Runspace {
    pub(crate) fn run_native(
        &mut self,
        run: &mut NativeRun,
        call: &mut Invocation,
        out: &mut dyn Sink,
    ) -> Run {
        let mut args = Vec::new();
        for (value, pattern) in &run.args {
            for item in value.clone().into_items() {
                let text = self.to_text(&item);
                if *pattern {
                    let home = self.env.get("HOME").cloned().unwrap_or_default();
                    if text == "~" {
                        args.push(home);
                        continue;
                    }
                    if let Some(rest) = text.strip_prefix("~/") {
                        args.push(format!("{home}/{rest}"));
                        continue;
                    }
                    if text.contains(['*', '?', '[']) {
                        let found = self.glob(&text);
                        if !found.is_empty() {
                            args.extend(found);
                            continue;
                        }
                    }
                }
                args.push(text);
            }
        }
        let command = NativeCommand {
            program: run.path.clone(),
            args,
            directory: self.location.clone(),
            env: self.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            input: run.input.take(),
        };
        let platform = Arc::clone(&self.platform);
        let cancel = self.cancel.clone();
        let mut stdout = Lines::default();
        let mut stderr = Lines::default();
        let mut failure: Run = Ok(());
        let mut first_error = true;
        let target = call.targets.error.clone();
        let name = run.name.clone();
        let status = platform.run(&command, &cancel, &mut |event| {
            let result = match event {
                NativeEvent::Output(bytes) => {
                    stdout.add(&bytes).into_iter().try_for_each(|line| out.write(self, Value::from(line)))
                }
                NativeEvent::Error(bytes) => match &target {
                    StreamTarget::Host => {
                        self.host.write(&String::from_utf8_lossy(&bytes), None, None);
                        Ok(())
                    }
                    StreamTarget::Null => Ok(()),
                    StreamTarget::Queue(queue) => {
                        for line in stderr.add(&bytes) {
                            let record = native_error(&line, &name, first_error);
                            let _ = record.invocation.set(call.info.clone());
                            first_error = false;
                            crate::streams::push(queue, Value::ErrorRecord(record));
                        }
                        Ok(())
                    }
                },
            };
            match result {
                Ok(()) => true,
                Err(flow) => {
                    failure = Err(flow);
                    false
                }
            }
        });
        failure?;
        if let Some(line) = stdout.rest() {
            out.write(self, Value::from(line))?;
        }
        if let (Some(line), StreamTarget::Queue(queue)) = (stderr.rest(), &target) {
            let record = native_error(&line, &name, first_error);
            let _ = record.invocation.set(call.info.clone());
            crate::streams::push(queue, Value::ErrorRecord(record));
        }
        match status {
            Ok(code) => {
                let global = self.global.clone();
                global.set("LASTEXITCODE", Value::Int32(code));
                self.success = code == 0;
                if code != 0 {
                    let on = self.variable_value("PSNativeCommandUseErrorActionPreference");
                    if self.is_true(&on) {
                        return self.native_failed(&name, code, call, out);
                    }
                }
                self.check_stopped()
            }
            Err(error) => Err(Flow::Error(Error::from_exception(
                Exception::new(
                    "System.Management.Automation.ApplicationFailedException",
                    format!("Program '{name}' failed to run: {error}"),
                ),
                "NativeCommandFailed",
                ErrorCategory::ResourceUnavailable,
                Value::Null,
            ))),
        }
    }

    fn native_failed(&mut self, name: &str, code: i32, call: &mut Invocation, out: &mut dyn Sink) -> Run {
        let name = name.rsplit('/').next().unwrap_or(name);
        let error = Error::from_exception(
            Exception::new(
                "System.Management.Automation.NativeCommandExitException",
                format!("Program \"{name}\" ended with non-zero exit code: {code} (0x{code:02X})."),
            )
            .with_property("ExitCode", Value::Int32(code)),
            "ProgramExitedWithNonZeroCode",
            ErrorCategory::NotSpecified,
            Value::string(name),
        );
        let record = error.record().clone();
        let mut info = (*call.info).clone();
        info.my_command = Value::Null;
        let _ = record.invocation.set(Arc::new(info));
        if self.preference("ErrorActionPreference") == ActionPreference::Stop {
            call.complete_record(&record);
            return Err(Flow::Throw(error));
        }
        self.write_error_from(call, record, out)
    }

    /// Expands a file name pattern; relative patterns give relative names.
    fn glob(&self, pattern: &str) -> Vec<String> {
        let absolute = pattern.starts_with('/');
        let mut found = vec![if absolute { String::from("/") } else { String::new() }];
        for part in pattern.split('/').filter(|p| !p.is_empty()) {
            let mut next = Vec::new();
            for base in &found {
                if !part.contains(['*', '?', '[']) {
                    let path = join(base, part);
                    let full = self.full_path(&path);
                    if self.platform.is_file(&full) || self.platform.is_directory(&full) {
                        next.push(path);
                    }
                    continue;
                }
                let Ok(wildcard) = crate::wildcard::Wildcard::new(part, false) else { continue };
                let directory = self.full_path(if base.is_empty() { "." } else { base });
                for name in self.platform.list_directory(&directory).unwrap_or_default() {
                    if (!name.starts_with('.') || part.starts_with('.')) && wildcard.is_match(&name) {
                        next.push(join(base, &name));
                    }
                }
            }
            found = next;
        }
        found.sort();
        found
    }
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() {
        name.to_string()
    } else if base.ends_with('/') {
        format!("{base}{name}")
    } else {
        format!("{base}/{name}")
    }
}

fn native_error(line: &str, name: &str, first: bool) -> Arc<ErrorRecord> {
    let id = if first { "NativeCommandError" } else { "NativeCommandErrorMessage" };
    let exception = Arc::new(Exception::new("System.Management.Automation.RemoteException", line));
    let category = ErrorCategory::NotSpecified;
    let _ = name;
    Arc::new(ErrorRecord::new(exception, id, category, Value::string(line)))
}
