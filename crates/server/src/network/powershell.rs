//! PowerShell shells: a session process that speaks PSRP in stdio packets, behind a [`Bridge`].

use std::io;
use std::time::Duration;

use hop_psrp::stdio::{ERROR_PREFIX, Packet};
use hop_wsman::server::{ExchangeId, Open};
use hop_wsman::{Fault, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bridge::{Bridge, Event};
use super::hub::{Order, Owner, ShellHandle};
use super::monitor::{Child, Exit};
use super::winrs::refused;
use crate::ipc::{self, Program};

/// The longest line taken from a session process, in bytes. Its fragments are of 32 KB.
const MAX_LINE: usize = 16 << 20;
/// Packets read ahead of the bridge.
const READ_AHEAD: usize = 16;
/// How long a session process may take to close its pool.
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// How much of what the process says on stderr is kept for a fault.
const MAX_COMPLAINT: usize = 1024;

/// Runs a PowerShell shell until it is closed or its process ends.
pub(crate) async fn run(
    shell: &ShellHandle,
    exchange: ExchangeId,
    owner: Owner,
    open: Open,
    orders: mpsc::UnboundedReceiver<Order>,
) {
    let Some(fragments) = open.create.creation_xml else {
        return shell.complete(exchange, Err(Fault::schema("creationXml is missing")));
    };
    let monitor = &shell.hub.monitor;
    let session = match monitor.open(owner.identity).await {
        Ok(session) => session,
        Err(error) => return shell.complete(exchange, Err(refused(&error))),
    };
    match monitor.spawn(session, Program::PowerShell, Vec::new(), None).await {
        Ok(child) => match Session::start(shell, child) {
            Ok(running) => running.run(exchange, fragments, orders).await,
            Err(error) => shell.complete(exchange, Err(Fault::internal(error.to_string()))),
        },
        Err(error) => shell.complete(exchange, Err(refused(&error))),
    }
    monitor.close(session);
}

struct Session<'a> {
    shell: &'a ShellHandle,
    bridge: Bridge,
    process: u64,
    exit: tokio::sync::oneshot::Receiver<Exit>,
    lines: mpsc::UnboundedSender<Vec<u8>>,
    packets: mpsc::Receiver<FromProcess>,
    complaints: mpsc::Receiver<String>,
    /// The Create that waits for the pool to open.
    opening: Option<ExchangeId>,
    /// The Delete that waits for the pool to close, and until when.
    closing: Option<(Option<ExchangeId>, Instant)>,
    complaint: String,
}

enum FromProcess {
    Packet(Packet),
    /// A line that says what went wrong in the process.
    Complaint(String),
    /// What came is no PSRP; nothing is read after it.
    Garbage(String),
}

/// Why a session goes on no longer.
enum End {
    Closed,
    Process(Option<Exit>),
    Garbage(String),
    Orphaned,
}

impl<'a> Session<'a> {
    fn start(shell: &'a ShellHandle, child: Child) -> io::Result<Self> {
        let (lines, to_write) = mpsc::unbounded_channel();
        let (from_process, packets) = mpsc::channel(READ_AHEAD);
        let (complaining, complaints) = mpsc::channel(READ_AHEAD);
        let ended = shell.ended.clone();
        let stdin = pipe::Sender::from_owned_fd(child.stdin)?;
        tokio::spawn(ended.clone().run_until_cancelled_owned(write_lines(stdin, to_write)));
        let stdout = pipe::Receiver::from_owned_fd(child.stdout)?;
        tokio::spawn(ended.clone().run_until_cancelled_owned(read_packets(
            shell.clone(),
            stdout,
            from_process,
        )));
        let stderr = pipe::Receiver::from_owned_fd(child.stderr)?;
        tokio::spawn(ended.run_until_cancelled_owned(read_complaints(stderr, complaining)));
        Ok(Self {
            shell,
            bridge: Bridge::default(),
            process: child.process,
            exit: child.exit,
            lines,
            packets,
            complaints,
            opening: None,
            closing: None,
            complaint: String::new(),
        })
    }

    async fn run(
        mut self,
        exchange: ExchangeId,
        fragments: Vec<u8>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        self.opening = Some(exchange);
        self.bridge.open(fragments);
        let end = loop {
            if let Some(end) = self.obey() {
                break end;
            }
            let deadline = self.closing.as_ref().map(|(_, at)| *at);
            tokio::select! {
                // What the process said before it ended comes first.
                biased;
                packet = self.packets.recv() => match packet {
                    Some(FromProcess::Packet(packet)) => self.bridge.packet(packet),
                    Some(FromProcess::Complaint(text)) => self.complained(text),
                    Some(FromProcess::Garbage(text)) => break End::Garbage(text),
                    None => break End::Process(self.ended().await),
                },
                Some(text) = self.complaints.recv() => self.complained(text),
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    None => break End::Orphaned,
                },
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    break End::Closed;
                }
            }
        };
        self.finish(end);
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Run { exchange, command, line, .. } => {
                let started = match line.fragments() {
                    Ok(fragments) => self.bridge.start(Some(exchange), command, fragments),
                    Err(fault) => Err(fault),
                };
                if let Err(fault) = started {
                    self.shell.complete(exchange, Err(fault));
                }
            }
            Order::Input { exchange, streams } => {
                let last = streams.len().saturating_sub(1);
                for (index, stream) in streams.into_iter().enumerate() {
                    let done = (index == last).then_some(exchange);
                    if let Err(fault) = self.bridge.input(stream.command, &stream.name, stream.data, done) {
                        self.shell.complete(exchange, Err(fault));
                        break;
                    }
                }
            }
            Order::Signal { exchange, command, signal } => {
                match signal {
                    Signal::Terminate => self.bridge.terminate(command),
                    Signal::CtrlC | Signal::CtrlBreak | Signal::StopPipeline => self.bridge.stop(command),
                    other => tracing::debug!(?other, "unknown signal"),
                }
                self.shell.complete(exchange, Ok(()));
            }
            Order::Close { exchange } => {
                self.bridge.close();
                self.closing = Some((exchange, Instant::now() + CLOSE_TIME));
            }
        }
    }

    /// Does what the bridge wants.
    fn obey(&mut self) -> Option<End> {
        while let Some(event) = self.bridge.poll_event() {
            match event {
                Event::Write(packet) => {
                    // The process has ended if nobody writes any more, which is seen elsewhere.
                    let mut line = packet.encode().into_bytes();
                    line.push(b'\n');
                    let _ = self.lines.send(line);
                }
                Event::Complete(exchange) => self.shell.complete(exchange, Ok(())),
                Event::Output(command, data) => self.shell.output(command, "stdout", data),
                Event::Opened => {
                    if let Some(exchange) = self.opening.take() {
                        self.shell.complete(exchange, Ok(()));
                    }
                }
                Event::Finished(command) => self.shell.finish(command, 0),
                Event::Closed => return Some(End::Closed),
            }
        }
        None
    }

    fn complained(&mut self, text: String) {
        tracing::warn!(process = self.process, text, "a session process complains");
        if self.complaint.len() < MAX_COMPLAINT {
            self.complaint.push_str(&text);
            self.complaint.push('\n');
        }
        // A process that cannot make sense of the opening says nothing else.
        if let Some(exchange) = self.opening.take() {
            self.shell.complete(exchange, Err(self.fault("the session could not be opened")));
        }
    }

    async fn ended(&mut self) -> Option<Exit> {
        tokio::time::timeout(CLOSE_TIME, &mut self.exit).await.ok()?.ok()
    }

    fn finish(mut self, end: End) {
        let fault = match end {
            End::Closed | End::Orphaned => None,
            End::Process(exit) => {
                let how = match exit {
                    Some(Exit { code: Some(code), .. }) => format!("with exit code {code}"),
                    Some(Exit { signal: Some(signal), .. }) => format!("by signal {signal}"),
                    _ => "without telling how".to_owned(),
                };
                Some(self.fault(&format!("the session process ended {how}")))
            }
            End::Garbage(text) => {
                Some(self.fault(&format!("the session process does not speak PSRP: {text}")))
            }
        };
        self.shell.hub.monitor.signal(self.process, ipc::Signal::Terminate);
        if let Some((Some(exchange), _)) = self.closing.take() {
            self.shell.complete(exchange, Ok(()));
        } else if let Some(fault) = fault {
            if let Some(exchange) = self.opening.take() {
                self.shell.complete(exchange, Err(fault.clone()));
            }
            self.shell.end(fault);
        }
    }

    fn fault(&self, text: &str) -> Fault {
        match self.complaint.trim_end() {
            "" => Fault::aborted(text),
            complaint => Fault::aborted(format!("{text}: {complaint}")),
        }
    }
}

async fn write_lines(mut to: pipe::Sender, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn read_packets(shell: ShellHandle, from: pipe::Receiver, packets: mpsc::Sender<FromProcess>) {
    let mut lines = Lines { from, buffer: Vec::new(), start: 0 };
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => String::from_utf8_lossy(&line).into_owned(),
            Ok(None) => return,
            Err(error) => {
                let _ = packets.send(FromProcess::Garbage(error.to_string())).await;
                return;
            }
        };
        if let Some(text) = line.strip_prefix(ERROR_PREFIX) {
            let text = text.trim().chars().take(MAX_COMPLAINT).collect();
            if packets.send(FromProcess::Complaint(text)).await.is_err() {
                return;
            }
            continue;
        }
        let (decoded, error) = Packet::decode(&line);
        let found = decoded.into_iter().map(FromProcess::Packet);
        let garbage =
            error.map(|e| FromProcess::Garbage(e.to_string().chars().take(MAX_COMPLAINT).collect()));
        let broken = garbage.is_some();
        for item in found.chain(garbage) {
            if packets.send(item).await.is_err() {
                return;
            }
        }
        if broken {
            return;
        }
        shell.uncongested().await;
    }
}

async fn read_complaints(from: pipe::Receiver, complaints: mpsc::Sender<String>) {
    let mut lines = Lines { from, buffer: Vec::new(), start: 0 };
    while let Ok(Some(line)) = lines.next().await {
        let text = String::from_utf8_lossy(&line).trim_end().chars().take(MAX_COMPLAINT).collect::<String>();
        if !text.is_empty() && complaints.send(text).await.is_err() {
            return;
        }
    }
}

/// Lines of a process, with a limit.
struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// Up to here the buffer was searched.
    start: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line without its end; `None` at the end of the stream, where half a line is none.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let unseen = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(self.start + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.start = 0;
                return Ok(Some(line));
            }
            self.start = self.buffer.len();
            if self.start > MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            self.buffer.reserve(64 * 1024);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}
