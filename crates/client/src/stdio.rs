//! A runspace pool's way through the standard input and output of a child process.
//!
//! One element per line; every `Data` is acknowledged by the other end before the next one to the same target is
//! sent.

use std::{
    collections::{HashMap, VecDeque},
    process::Stdio as Pipe,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::future::BoxFuture;
use hop_psrp::{Target, Uuid};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc::{self, Receiver, UnboundedSender},
    time::timeout,
};

use crate::{
    error::Error,
    link::{Incoming, Link, Queue},
    runspace_pool::Program,
};

/// Longest line in bytes; a fragment of 32 KB takes 44.
const MAX_LINE: u64 = 64 << 20;
/// What one `Data` carries at most, in bytes.
const CHUNK: usize = 32_768;
/// How long the process may take to end once it has been asked to.
const EXIT_WITHIN: Duration = Duration::from_secs(5);
/// What the other end says when a line of ours cannot be used.
const ERROR_LINE: &str = "__NamedPipeError__:";

pub(crate) struct Stdio {
    child: Child,
    to_child: Option<UnboundedSender<String>>,
    from_child: Receiver<FromChild>,
    queues: HashMap<Target, Outgoing>,
    closing: bool,
    over: bool,
    last_complaint: String,
}

/// What waits for an acknowledgement.
#[derive(Default)]
struct Outgoing {
    queue: VecDeque<(Queue, Vec<u8>)>,
    /// Pieces at the front that make the pipeline. They travel by themselves: PowerShell loses input that comes in
    /// the same packet as the pipeline it is for.
    creation: usize,
    waiting: bool,
}

enum FromChild {
    Line(String),
    /// A line of its standard error.
    Complaint(String),
    End,
}

/// A line that the other end may send.
#[derive(Debug, PartialEq, Eq)]
enum Packet {
    Data(Target, Vec<u8>),
    DataAck(Target),
    CommandAck(Target),
    SignalAck(Target),
    CloseAck(Target),
}

impl Stdio {
    pub(crate) fn open(program: &Program, opening: Vec<Vec<u8>>) -> Result<Self, Error> {
        let cannot = |source| Error::Spawn { program: program.program.display().to_string(), source };
        let mut child = Command::new(&program.program)
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            .stderr(Pipe::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let (to_child, lines) = mpsc::unbounded_channel();
        let (tell, from_child) = mpsc::channel(64);
        let no_pipe = || cannot(std::io::Error::other("no pipe"));
        tokio::spawn(write_lines(child.stdin.take().ok_or_else(no_pipe)?, lines));
        let stderr = child.stderr.take().ok_or_else(no_pipe)?;
        tokio::spawn(read_lines(stderr, tell.clone(), FromChild::Complaint, false));
        tokio::spawn(read_lines(child.stdout.take().ok_or_else(no_pipe)?, tell, FromChild::Line, true));
        let mut stdio = Self {
            child,
            to_child: Some(to_child),
            from_child,
            queues: HashMap::from([(Target::Pool, Outgoing::default())]),
            closing: false,
            over: false,
            last_complaint: String::new(),
        };
        stdio.send(Target::Pool, Queue::Default, opening);
        Ok(stdio)
    }

    fn write(&self, line: String) {
        if let Some(to_child) = &self.to_child {
            let _ = to_child.send(line);
        }
    }

    fn write_element(&self, name: &str, target: Target) {
        self.write(format!("<{name} PSGuid='{}' />\n", target.id()));
    }

    /// Sends the next piece to a target if the last one was acknowledged.
    fn pump(&mut self, target: Target) {
        let Some(outgoing) = self.queues.get_mut(&target) else { return };
        if outgoing.waiting {
            return;
        }
        let Some((queue, mut data)) = outgoing.queue.pop_front() else { return };
        let creates = outgoing.creation > 0;
        outgoing.creation = outgoing.creation.saturating_sub(1);
        while !creates
            && let Some((next_queue, next)) = outgoing.queue.front()
            && *next_queue == queue
            && data.len() + next.len() <= CHUNK
        {
            data.extend_from_slice(next);
            outgoing.queue.pop_front();
        }
        if data.len() > CHUNK {
            outgoing.queue.push_front((queue, data.split_off(CHUNK)));
        }
        outgoing.waiting = true;
        let stream = match queue {
            Queue::Default => "Default",
            Queue::PromptResponse => "PromptResponse",
        };
        let text = BASE64_STANDARD.encode(&data);
        self.write(format!("<Data Stream='{stream}' PSGuid='{}'>{text}</Data>\n", target.id()));
    }

    fn acknowledged(&mut self, target: Target) {
        if let Some(outgoing) = self.queues.get_mut(&target) {
            outgoing.waiting = false;
        }
        self.pump(target);
    }

    async fn read(&mut self) -> Option<Result<Incoming, Error>> {
        loop {
            if self.over {
                return None;
            }
            let line = match self.from_child.recv().await {
                Some(FromChild::Line(line)) => line,
                Some(FromChild::Complaint(text)) => {
                    tracing::debug!(%text, "stderr of the session process");
                    if !text.trim().is_empty() {
                        self.last_complaint = text;
                    }
                    continue;
                }
                Some(FromChild::End) | None => return self.ended().await,
            };
            if let Some(text) = line.strip_prefix(ERROR_LINE) {
                if self.closing {
                    continue;
                }
                let text = text.strip_prefix("Remote transport error:").unwrap_or(text).trim();
                let text = if text.is_empty() { "it could not use a message" } else { text };
                return Some(Err(Error::Ended(text.to_owned())));
            }
            match parse_line(&line) {
                Ok(Packet::Data(target, bytes)) => return Some(Ok(Incoming::Data { target, bytes })),
                Ok(Packet::DataAck(target) | Packet::CommandAck(target)) => self.acknowledged(target),
                Ok(Packet::CloseAck(Target::Pool)) => return self.leave().await,
                Ok(Packet::CloseAck(target)) => {
                    self.queues.remove(&target);
                    if let Target::Pipeline(id) = target {
                        return Some(Ok(Incoming::Done(id)));
                    }
                }
                Ok(Packet::SignalAck(_)) => {}
                // After the pool's Close only its acknowledgement counts.
                Err(_) if self.closing => {}
                Err(reason) => return Some(Err(Error::Protocol(reason))),
            }
        }
    }

    /// The pool is closed: ends the input, waits for the process.
    async fn leave(&mut self) -> Option<Result<Incoming, Error>> {
        self.over = true;
        self.to_child = None;
        if timeout(EXIT_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        None
    }

    /// The process closed its output.
    async fn ended(&mut self) -> Option<Result<Incoming, Error>> {
        let expected = self.closing;
        self.over = true;
        self.to_child = None;
        let status = match timeout(EXIT_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                let _ = self.child.kill().await;
                "it closed its output".to_owned()
            }
        };
        while let Ok(Some(FromChild::Complaint(text))) =
            timeout(Duration::from_millis(100), self.from_child.recv()).await
        {
            if !text.trim().is_empty() {
                self.last_complaint = text;
            }
        }
        if expected {
            return None;
        }
        let complaint = match self.last_complaint.trim() {
            "" => String::new(),
            text => format!(": {}", text.chars().filter(|c| !c.is_control()).take(300).collect::<String>()),
        };
        Some(Err(Error::Ended(format!("the session process ended ({status}){complaint}"))))
    }
}

impl Link for Stdio {
    fn start(&mut self, pipeline: Uuid, _: &str, fragments: Vec<Vec<u8>>) {
        let target = Target::Pipeline(pipeline);
        // `Command` is acknowledged before anything else is sent for the pipeline.
        let creation = fragments.len();
        self.queues.insert(target, Outgoing { queue: VecDeque::new(), creation, waiting: true });
        self.write_element("Command", target);
        self.send(target, Queue::Default, fragments);
    }

    fn send(&mut self, target: Target, queue: Queue, fragments: Vec<Vec<u8>>) {
        if let Some(outgoing) = self.queues.get_mut(&target) {
            outgoing.queue.extend(fragments.into_iter().map(|data| (queue, data)));
            self.pump(target);
        }
    }

    fn stop(&mut self, pipeline: Uuid) {
        self.write_element("Signal", Target::Pipeline(pipeline));
    }

    fn finish(&mut self, pipeline: Uuid) {
        let target = Target::Pipeline(pipeline);
        if let Some(outgoing) = self.queues.get_mut(&target) {
            outgoing.queue.clear();
            self.write_element("Close", target);
        }
    }

    fn pool_opened(&mut self) {}

    fn close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.write_element("Close", Target::Pool);
        }
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Result<Incoming, Error>>> {
        Box::pin(self.read())
    }
}

async fn write_lines(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        // A process that is gone is noticed where its output ends.
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read_lines(
    from: impl AsyncRead + Unpin,
    to: mpsc::Sender<FromChild>,
    make: fn(String) -> FromChild,
    tell_end: bool,
) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            line.pop();
        }
        if to.send(make(String::from_utf8_lossy(&line).into_owned())).await.is_err() {
            return;
        }
    }
    if tell_end {
        let _ = to.send(FromChild::End).await;
    }
}

fn parse_line(line: &str) -> Result<Packet, String> {
    let unknown = || format!("unexpected line {:?}", line.chars().take(80).collect::<String>());
    let rest = line.trim_start_matches('\u{feff}').strip_prefix('<').ok_or_else(unknown)?;
    let (tag, content) = rest.split_once('>').ok_or_else(unknown)?;
    let tag = tag.trim_end_matches('/').trim();
    let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
    let guid = attributes.split_once("PSGuid=").and_then(|(_, value)| {
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        Uuid::try_parse(value.get(1..)?.split(quote).next()?).ok()
    });
    let target = Target::from_id(guid.ok_or_else(unknown)?);
    Ok(match name {
        "Data" => {
            let text = content.split('<').next().unwrap_or_default();
            Packet::Data(target, BASE64_STANDARD.decode(text.trim()).map_err(|_| unknown())?)
        }
        "DataAck" => Packet::DataAck(target),
        "CommandAck" => Packet::CommandAck(target),
        "SignalAck" => Packet::SignalAck(target),
        "CloseAck" => Packet::CloseAck(target),
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines() {
        let id = Uuid::from_u128(7);
        assert_eq!(
            parse_line(&format!("<DataAck PSGuid='{id}' />")),
            Ok(Packet::DataAck(Target::Pipeline(id)))
        );
        assert_eq!(
            parse_line(&format!("<Data Stream='Default' PSGuid='{}'>aGk=</Data>", Uuid::nil())),
            Ok(Packet::Data(Target::Pool, b"hi".to_vec()))
        );
        for bad in [
            "",
            "x",
            "<",
            "<Data>",
            "<Data PSGuid='x'>",
            "<Foo PSGuid='00000000-0000-0000-0000-000000000000' />",
        ] {
            assert!(parse_line(bad).is_err(), "{bad}");
        }
        assert!(
            parse_line(&format!("<Data PSGuid='{id}'>%</Data>")).unwrap_err().contains("unexpected line")
        );
    }
}
