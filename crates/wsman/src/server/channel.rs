//! Output of a shell or a command: a queue, and the Receive that waits for it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Exchange, ExchangeId};
use crate::{
    fault::Fault,
    ids::CommandId,
    message::{CommandState, ReceiveResponse, Stream},
};

/// A queue of output and at most one parked Receive.
#[derive(Debug, Default)]
pub(super) struct Channel {
    queue: VecDeque<(String, Vec<u8>)>,
    pub bytes: usize,
    /// When the oldest piece of the queue came.
    first_at: Option<Instant>,
    parked: Option<Parked>,
    /// Nothing more comes: the exit code.
    pub done: Option<i32>,
}

#[derive(Debug)]
struct Parked {
    exchange: Exchange,
    deadline: Instant,
    /// Bytes of output that fit into the answer.
    budget: usize,
}

impl Channel {
    pub fn push(&mut self, stream: &str, data: Vec<u8>, now: Instant) {
        if data.is_empty() || self.done.is_some() {
            return;
        }
        self.first_at.get_or_insert(now);
        self.bytes += data.len();
        self.queue.push_back((stream.to_owned(), data));
    }

    /// Takes all of it, whatever the streams.
    pub fn take_all(&mut self) -> Vec<u8> {
        self.first_at = None;
        self.bytes = 0;
        self.queue.drain(..).flat_map(|(_, data)| data).collect()
    }

    /// Parks a Receive; one that waits already is given back.
    pub fn park(&mut self, exchange: Exchange, deadline: Instant, budget: usize) -> Option<Exchange> {
        self.parked.replace(Parked { exchange, deadline, budget }).map(|parked| parked.exchange)
    }

    pub fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Takes the parked Receive away, without an answer.
    pub fn unpark(&mut self) -> Option<Exchange> {
        self.parked.take().map(|parked| parked.exchange)
    }

    pub fn unpark_if(&mut self, exchange: ExchangeId) -> bool {
        let found = self.parked.as_ref().is_some_and(|parked| parked.exchange.id == exchange);
        if found {
            self.parked = None;
        }
        found
    }

    /// When [`serve`](Self::serve) has something to do next.
    pub fn wake_at(&self, linger: Duration) -> Option<Instant> {
        let parked = self.parked.as_ref()?;
        Some(self.first_at.map_or(parked.deadline, |first| parked.deadline.min(first + linger)))
    }

    /// Answers the parked Receive if it is time: output that is complete, plenty or has lingered; the end; a fault
    /// (`ended`) once the output is out; the time-out.
    pub fn serve(
        &mut self,
        command: Option<CommandId>,
        ended: Option<&Fault>,
        linger: Duration,
        now: Instant,
    ) -> Option<(Exchange, Result<ReceiveResponse, Fault>)> {
        let parked = self.parked.as_ref()?;
        let over = self.done.is_some() || ended.is_some();
        let answer = if !self.queue.is_empty() {
            let lingered = self.first_at.is_none_or(|first| first + linger <= now);
            if !(over || lingered || self.bytes >= parked.budget || parked.deadline <= now) {
                return None;
            }
            let budget = parked.budget;
            Ok(self.respond(command, budget, now))
        } else if self.done.is_some() {
            Ok(self.respond(command, 0, now))
        } else if let Some(fault) = ended {
            Err(fault.clone())
        } else if parked.deadline <= now {
            Err(Fault::timed_out())
        } else {
            return None;
        };
        self.unpark().map(|exchange| (exchange, answer))
    }

    /// Answers the parked Receive for the last time.
    pub fn close(
        &mut self,
        command: Option<CommandId>,
        closed: &Fault,
    ) -> Option<(Exchange, Result<ReceiveResponse, Fault>)> {
        let Parked { exchange, budget, deadline } = self.parked.take()?;
        let empty = self.queue.is_empty() && self.done.is_none();
        Some((
            exchange,
            if empty { Err(closed.clone()) } else { Ok(self.respond(command, budget, deadline)) },
        ))
    }

    fn respond(&mut self, command: Option<CommandId>, budget: usize, now: Instant) -> ReceiveResponse {
        let mut streams: Vec<Stream> = Vec::new();
        let mut room = budget.max(1);
        while let Some((name, mut data)) = self.queue.pop_front() {
            if data.len() > room {
                if !streams.is_empty() {
                    // Pieces stay whole where possible: not every client joins a fragment from two answers.
                    self.queue.push_front((name, data));
                    break;
                }
                let rest = data.split_off(room);
                self.queue.push_front((name.clone(), rest));
            }
            room -= data.len();
            self.bytes -= data.len();
            match streams.last_mut() {
                Some(last) if last.name == name => last.data.append(&mut data),
                _ => streams.push(Stream { name, command, data, end: false }),
            }
            if room == 0 {
                break;
            }
        }
        self.first_at = if self.queue.is_empty() { None } else { self.first_at.or(Some(now)) };
        let state = command.map(|command| match self.done {
            Some(exit_code) if self.queue.is_empty() => {
                CommandState::Done { command, exit_code: Some(exit_code) }
            }
            _ => CommandState::Running(command),
        });
        ReceiveResponse { streams, state }
    }
}
