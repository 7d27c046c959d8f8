//! The task of a pool: between its callers and its link.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hop_psrp::{
    Target, Uuid,
    body::{CreatePipeline, HostResponse, PoolState},
    client::{Event, Output, PipelineEvent, RunspacePool},
    clixml::Value,
    fragment::{HEADER_LENGTH, Header},
    keys::KeyPair,
};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    time::{Instant, timeout_at},
};

use super::pipeline::is_last;
use crate::{
    error::Error,
    link::{Incoming, Link, Queue},
};

/// What callers ask for.
#[derive(Debug)]
pub(super) enum Request {
    Run { id: Uuid, create: Box<CreatePipeline>, events: UnboundedSender<Result<PipelineEvent, Error>> },
    Input { id: Uuid, value: Value },
    EndInput(Uuid),
    Stop(Uuid),
    Respond { id: Uuid, response: HostResponse },
    Close(oneshot::Sender<Result<(), Error>>),
}

type Opened = oneshot::Sender<Result<Value, Error>>;

pub(super) struct Actor {
    pool: RunspacePool,
    private_data: Value,
    link: Box<dyn Link>,
    requests: UnboundedReceiver<Request>,
    opened: Option<Opened>,
    pipelines: HashMap<Uuid, Running>,
    stop_within: Duration,
}

struct Running {
    events: UnboundedSender<Result<PipelineEvent, Error>>,
    /// The text for the Command, until it is sent.
    text: String,
    /// When it must have stopped.
    stop_by: Option<Instant>,
}

impl Actor {
    pub(super) fn new(
        pool: RunspacePool,
        link: Box<dyn Link>,
        requests: UnboundedReceiver<Request>,
        opened: Opened,
        stop_within: Duration,
    ) -> Self {
        Self {
            pool,
            private_data: Value::Null,
            link,
            requests,
            opened: Some(opened),
            pipelines: HashMap::new(),
            stop_within,
        }
    }

    pub(super) async fn run(mut self) {
        let over = loop {
            let stop_by = self.pipelines.values().filter_map(|running| running.stop_by).min();
            tokio::select! {
                incoming = self.link.next() => match incoming {
                    Some(Ok(incoming)) => {
                        if let Err(error) = self.incoming(incoming) {
                            break Err(error);
                        }
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Err(Error::Closed),
                },
                request = self.requests.recv() => match request {
                    Some(Request::Close(closed)) => break Ok(Some(closed)),
                    Some(request) => self.request(request),
                    None => break Ok(None),
                },
                () = tokio::time::sleep_until(stop_by.unwrap_or_else(Instant::now)), if stop_by.is_some() => {
                    self.not_stopped();
                }
            }
        };
        match over {
            Ok(closed) => self.close(closed).await,
            Err(error) => self.fail(error).await,
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Run { id, create, events } => {
                let text = create.statements.first().and_then(|s| s.first()).map_or("", |c| c.text.as_str());
                self.pipelines.insert(id, Running { events, text: text.to_owned(), stop_by: None });
                self.pool.create_pipeline(id, &create);
            }
            Request::Input { id, value } => self.pool.send_input(id, &value),
            Request::EndInput(id) => self.pool.end_input(id),
            Request::Stop(id) => {
                if let Some(running) = self.pipelines.get_mut(&id)
                    && running.stop_by.is_none()
                {
                    running.stop_by = Some(Instant::now() + self.stop_within);
                    self.pool.stop(id);
                }
            }
            Request::Respond { id, response } => self.pool.respond(id, &response),
            Request::Close(_) => {}
        }
        self.pump();
    }

    /// Hands what the pool wants to send to the link.
    fn pump(&mut self) {
        let mut announced = None;
        while let Some(output) = self.pool.poll_output() {
            match output {
                Output::Command(id) => announced = Some(id),
                Output::Data { target, prompt_response, bytes } => {
                    let fragments = split(bytes);
                    match target {
                        Target::Pipeline(id) if announced == Some(id) => {
                            announced = None;
                            let text = self.pipelines.get_mut(&id).map(|r| std::mem::take(&mut r.text));
                            self.link.start(id, &text.unwrap_or_default(), fragments);
                        }
                        _ => {
                            let queue = if prompt_response { Queue::PromptResponse } else { Queue::Default };
                            self.link.send(target, queue, fragments);
                        }
                    }
                }
                Output::Signal(id) => self.link.stop(id),
                Output::Close(Target::Pipeline(id)) => self.link.finish(id),
                Output::Close(Target::Pool) => self.link.close(),
            }
        }
    }

    fn incoming(&mut self, incoming: Incoming) -> Result<(), Error> {
        match incoming {
            Incoming::Data { target, bytes } => {
                let read = self.pool.handle_data(target, &bytes);
                let events = self.events();
                read.map_err(|error| Error::Protocol(error.to_string()))?;
                events?;
            }
            Incoming::Done(id) => {
                self.pool.handle_closed(Target::Pipeline(id));
                self.events()?;
                // The state message comes before this, if it comes at all.
                self.end(id, Error::Ended("the pipeline ended without a state".to_owned()));
            }
            Incoming::Failed { pipeline, error } => self.end(pipeline, error),
        }
        self.pump();
        Ok(())
    }

    fn events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.pool.poll_event() {
            match event {
                Event::PrivateData(data) => self.private_data = data.0,
                Event::Opened => {
                    self.link.pool_opened();
                    if let Some(opened) = self.opened.take() {
                        let _ = opened.send(Ok(self.private_data.clone()));
                    }
                }
                Event::State(info) if matches!(info.state, PoolState::Broken | PoolState::Closed) => {
                    let reason = info.error.map(|error| error.display_message().to_owned());
                    return Err(Error::Ended(
                        reason.unwrap_or_else(|| "its runspace pool was closed".to_owned()),
                    ));
                }
                Event::KeyRequested => match KeyPair::generate(&mut rand::rng()) {
                    Ok(pair) => self.pool.exchange_key(pair),
                    Err(error) => return Err(Error::Protocol(error.to_string())),
                },
                Event::Pipeline(id, event) => {
                    let Some(running) = self.pipelines.get(&id) else { continue };
                    let last = is_last(&event);
                    let _ = running.events.send(Ok(event));
                    if last {
                        self.pipelines.remove(&id);
                        self.pool.close_pipeline(id);
                    }
                }
                other => tracing::debug!(?other, "event of the pool"),
            }
        }
        Ok(())
    }

    fn end(&mut self, id: Uuid, error: Error) {
        if let Some(running) = self.pipelines.remove(&id) {
            let _ = running.events.send(Err(error));
            self.pool.close_pipeline(id);
            self.pump();
        }
    }

    fn not_stopped(&mut self) {
        let now = Instant::now();
        let late: Vec<Uuid> = self
            .pipelines
            .iter()
            .filter(|(_, r)| r.stop_by.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let within = self.stop_within;
            self.end(
                id,
                Error::TimedOut { host: "the other end".to_owned(), action: "stop the pipeline", within },
            );
        }
    }

    /// Closes the link; what still comes is read, so that output of stopped pipelines is not lost.
    async fn close(mut self, closed: Option<oneshot::Sender<Result<(), Error>>>) {
        self.pool.close();
        self.pump();
        self.link.close();
        let deadline = Instant::now() + self.stop_within;
        let result = loop {
            match timeout_at(deadline, self.link.next()).await {
                Ok(Some(Ok(incoming))) => {
                    // The pool says that it is closed, among other things.
                    let _ = self.incoming(incoming);
                }
                Ok(Some(Err(error))) => break Err(error),
                Ok(None) => break Ok(()),
                Err(_) => {
                    let within = self.stop_within;
                    let host = "the other end".to_owned();
                    break Err(Error::TimedOut { host, action: "close the runspace pool", within });
                }
            }
        };
        for running in self.pipelines.into_values() {
            let _ = running.events.send(Err(Error::Closed));
        }
        if let Some(closed) = closed {
            let _ = closed.send(result);
        }
    }

    /// Tells everybody the error. The shell of a pool that is broken at the other end is deleted nevertheless.
    async fn fail(mut self, error: Error) {
        self.link.close();
        let error = Arc::new(error);
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(Error::Shared(error.clone())));
        }
        for running in std::mem::take(&mut self.pipelines).into_values() {
            let _ = running.events.send(Err(Error::Shared(error.clone())));
        }
        let deadline = Instant::now() + self.stop_within;
        let mut emptied = false;
        loop {
            tokio::select! {
                incoming = timeout_at(deadline, self.link.next()), if !emptied => {
                    emptied = !matches!(incoming, Ok(Some(_)));
                }
                request = self.requests.recv() => match request {
                    Some(Request::Run { events, .. }) => {
                        let _ = events.send(Err(Error::Shared(error.clone())));
                    }
                    Some(Request::Close(closed)) => {
                        let _ = closed.send(Err(Error::Shared(error.clone())));
                    }
                    Some(_) => {}
                    None if emptied => return,
                    None => {
                        while let Ok(Some(_)) = timeout_at(deadline, self.link.next()).await {}
                        return;
                    }
                },
            }
        }
    }
}

/// Cuts bytes into whole fragments.
fn split(mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let mut fragments = Vec::new();
    while let Some(header) = Header::read(&bytes) {
        let length = HEADER_LENGTH.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
        if length >= bytes.len() {
            break;
        }
        let rest = bytes.split_off(length);
        fragments.push(std::mem::replace(&mut bytes, rest));
    }
    fragments.push(bytes);
    fragments
}
