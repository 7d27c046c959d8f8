//! A pipeline, as its caller sees it.

use hop_psrp::{
    Uuid,
    body::{ErrorRecord, HostCall, HostResponse, NO_RESPONSE, PipelineState},
    client::PipelineEvent,
    clixml::Value,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::actor::Request;
use crate::error::Error;

/// A running pipeline. Dropping it does not stop it; closing the pool does.
#[derive(Debug)]
pub struct Pipeline {
    id: Uuid,
    requests: UnboundedSender<Request>,
    events: UnboundedReceiver<Result<PipelineEvent, Error>>,
    over: bool,
}

/// Stops a pipeline while another task waits for its events.
#[derive(Clone, Debug)]
pub struct Stopper {
    id: Uuid,
    requests: UnboundedSender<Request>,
}

impl Pipeline {
    pub(super) fn new(
        id: Uuid,
        requests: UnboundedSender<Request>,
        events: UnboundedReceiver<Result<PipelineEvent, Error>>,
    ) -> Self {
        Self { id, requests, events, over: false }
    }

    /// The pipeline's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The next event; `None` after its last state or an error.
    ///
    /// A host call that [wants an answer](wants_response) stops the pipeline until [`respond`](Self::respond) is
    /// called.
    pub async fn next(&mut self) -> Option<Result<PipelineEvent, Error>> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await.unwrap_or(Err(Error::Closed));
        self.over = event.as_ref().map_or(true, is_last);
        Some(event)
    }

    /// An object for the pipeline's input.
    pub fn send_input(&self, value: Value) {
        let _ = self.requests.send(Request::Input { id: self.id, value });
    }

    /// Nothing more comes as input.
    pub fn end_input(&self) {
        let _ = self.requests.send(Request::EndInput(self.id));
    }

    /// Asks the pipeline to stop; its state follows.
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Something that can stop the pipeline.
    pub fn stopper(&self) -> Stopper {
        Stopper { id: self.id, requests: self.requests.clone() }
    }

    /// Answers a host call with a result or an error.
    pub fn respond(&self, call: &HostCall, result: Result<Option<Value>, ErrorRecord>) {
        if wants_response(call) {
            let response =
                HostResponse { id: call.id, method: call.method, result: result.map_err(Box::new) };
            let _ = self.requests.send(Request::Respond { id: self.id, response });
        }
    }

    /// Refuses a host call, because there is nobody to ask.
    pub fn refuse(&self, call: &HostCall) {
        let message = format!("the client has no host for {}", call.method.name());
        let record = ErrorRecord::new(
            &message,
            "System.Management.Automation.Host.HostException",
            "RemoteHostExecutionException",
            8,
        );
        self.respond(call, Err(record));
    }
}

impl Stopper {
    /// Asks the pipeline to stop.
    pub fn stop(&self) {
        let _ = self.requests.send(Request::Stop(self.id));
    }
}

/// Whether the other end waits for the answer to a host call.
pub fn wants_response(call: &HostCall) -> bool {
    call.id != NO_RESPONSE
}

/// Whether nothing follows an event of a pipeline.
pub(super) fn is_last(event: &PipelineEvent) -> bool {
    match event {
        PipelineEvent::State(info) => {
            matches!(info.state, PipelineState::Completed | PipelineState::Failed | PipelineState::Stopped)
        }
        PipelineEvent::Broken(_) | PipelineEvent::Closed => true,
        _ => false,
    }
}
