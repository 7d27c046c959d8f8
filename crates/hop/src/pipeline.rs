//! One script in one runspace pool, from its start to its last state.

use base64::Engine as _;
use hop_client::{Error, RunspacePool};
use hop_clixml::{Object, Value};
use hop_psrp::body::{Argument, Command, CreatePipeline, PipelineState};
use hop_psrp::client::PipelineEvent;
use tokio::sync::watch;

/// A script and what it works on, ready to be sent to many pools.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The text.
    pub text: String,
    /// Positional arguments.
    pub arguments: Vec<Value>,
    /// Values of `$using:` expressions, by the expression's text (`$using:x`).
    pub using: Vec<(String, Value)>,
    /// Input; none: the script has no input.
    pub input: Option<Vec<Value>>,
}

impl Script {
    fn to_create(&self) -> CreatePipeline {
        let mut command = Command::script(self.text.as_str());
        for argument in &self.arguments {
            command = command.with(Argument::positional(argument.clone()));
        }
        if !self.using.is_empty() {
            let entries = self.using.iter().map(|(expression, value)| {
                let units: Vec<u8> = expression.encode_utf16().flat_map(u16::to_le_bytes).collect();
                (Value::from(base64::prelude::BASE64_STANDARD.encode(units).as_str()), value.clone())
            });
            let types = ["System.Collections.Hashtable", "System.Object"];
            let dictionary = Object::dictionary(types, entries.collect::<Vec<_>>());
            command = command.with(Argument::named("--%", dictionary));
        }
        let mut create = CreatePipeline::new([command]);
        create.no_input = self.input.is_none();
        create
    }
}

/// Runs the script and hands its events on as they come, until its last state; stops it when `stop` turns true.
///
/// Host calls that want an answer are refused: there is nobody to ask.
///
/// # Errors
/// Whatever ends the pool before the script.
pub async fn run(
    pool: &RunspacePool,
    script: &Script,
    mut stop: watch::Receiver<bool>,
    on_event: &mut (dyn FnMut(PipelineEvent) + Send),
) -> Result<(), Error> {
    let mut pipeline = pool.run(script.to_create());
    if let Some(input) = &script.input {
        for value in input {
            pipeline.send_input(value.clone());
        }
        pipeline.end_input();
    }
    let stopper = pipeline.stopper();
    let mut stopped = false;
    loop {
        let event = tokio::select! {
            event = pipeline.next() => event,
            () = wait_for(&mut stop), if !stopped => {
                stopped = true;
                stopper.stop();
                continue;
            }
        };
        let Some(event) = event else { return Ok(()) };
        let event = event?;
        if let PipelineEvent::HostCall(call) = &event {
            pipeline.refuse(call);
        }
        on_event(event);
    }
}

/// Resolves when the value is true; never if whoever could set it has gone.
async fn wait_for(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether a pipeline's last state is a failure.
pub fn has_failed(event: &PipelineEvent) -> bool {
    match event {
        PipelineEvent::State(info) => info.state == PipelineState::Failed,
        PipelineEvent::Broken(_) => true,
        _ => false,
    }
}
