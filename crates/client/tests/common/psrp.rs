//! A runspace pool whose scripts are a handful of words.

use std::{collections::HashMap, time::Instant};

use hop_psrp::{
    Limits, Target, Uuid,
    body::{ErrorRecord, HostMethod, InformationalRecord, PipelineState, PipelineStateInfo, version_table},
    clixml::Value,
    server::{Event, Output, RunspacePool},
};
use hop_wsman::{
    CommandId,
    server::{ShellKey, Shells},
};

pub struct Pool {
    pub machine: RunspacePool,
    /// Input objects counted so far.
    counts: HashMap<Uuid, i32>,
}

impl Pool {
    pub fn new() -> Self {
        Self {
            machine: RunspacePool::new(Limits::default(), version_table("7.6.5", "test")),
            counts: HashMap::new(),
        }
    }

    pub fn data(&mut self, target: Target, bytes: &[u8]) {
        self.machine.handle_data(target, bytes, &mut rand::rng());
    }

    /// Does what the client asked for; hands the output on.
    pub fn work(&mut self, shells: &mut Shells<String>, key: ShellKey) {
        let mut finished = Vec::new();
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Run { id, pipeline } => {
                    let text = pipeline.statements[0][0].text.clone();
                    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
                    match word {
                        "echo" => self.machine.send_output(id, &rest.into()),
                        "warn" => self.machine.send_warning(id, &InformationalRecord::new(rest)),
                        "big" => {
                            self.machine.send_output(id, &"x".repeat(rest.parse().unwrap()).as_str().into())
                        }
                        "ask" => {
                            self.machine
                                .call_host(id, HostMethod::from_number(11).unwrap(), Vec::new())
                                .unwrap();
                            continue;
                        }
                        "count" => {
                            self.counts.insert(id, 0);
                            continue;
                        }
                        "sleep" => continue,
                        _ => {
                            let error =
                                Box::new(ErrorRecord::new("no such word", "System.Exception", "Word", 0));
                            self.finish(id, PipelineState::Failed, Some(*error));
                            finished.push(id);
                            continue;
                        }
                    }
                    self.finish(id, PipelineState::Completed, None);
                    finished.push(id);
                }
                Event::Input { id, .. } => *self.counts.get_mut(&id).unwrap() += 1,
                Event::InputEnd(id) => {
                    self.machine.send_output(id, &Value::Int32(self.counts[&id]));
                    self.finish(id, PipelineState::Completed, None);
                    finished.push(id);
                }
                Event::HostResponse { id: Some(id), response } => {
                    match response.result {
                        Ok(value) => self.machine.send_output(id, &value.unwrap()),
                        Err(error) => self.machine.send_error(id, &error),
                    }
                    self.finish(id, PipelineState::Completed, None);
                    finished.push(id);
                }
                Event::Stop(id) => {
                    self.finish(id, PipelineState::Stopped, Some(ErrorRecord::stopped()));
                    finished.push(id);
                }
                _ => {}
            }
        }
        let now = Instant::now();
        while let Some(output) = self.machine.poll_output() {
            if let Output::Data(target, bytes) = output {
                let command = match target {
                    Target::Pool => None,
                    Target::Pipeline(id) => Some(CommandId::from(id)),
                };
                shells.push_output(key, command, "stdout", bytes, now);
            }
        }
        for id in finished {
            shells.finish_command(key, CommandId::from(id), 0, now);
        }
    }

    fn finish(&mut self, id: Uuid, state: PipelineState, error: Option<ErrorRecord>) {
        self.machine.finish(id, PipelineStateInfo { state, error });
    }
}
