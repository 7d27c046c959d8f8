//! One shell and its commands.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{Exchange, channel::Channel};
use crate::{
    fault::Fault,
    ids::CommandId,
    message::{CommandState, CreateResponse, ReceiveResponse},
    uri,
};

/// How many released commands a shell remembers, to answer Receives that come after them.
const REMEMBERED: usize = 1024;
/// Exit code of a command that was released while it ran: what Windows calls a Ctrl+C exit.
const CONTROL_C_EXIT: i32 = 0xC000_013A_u32 as i32;

#[derive(Debug)]
pub(super) struct Shell<O> {
    pub owner: O,
    pub response: CreateResponse,
    pub is_open: bool,
    /// Set when the session ended by itself.
    pub ended: Option<Fault>,
    pub congested: bool,
    pub last_activity: Instant,
    pub commands: BTreeMap<CommandId, Command>,
    /// The Receive that waited for a command when it was released.
    pub parked_of_released: Option<Exchange>,
    pool: Channel,
    released: VecDeque<(CommandId, i32)>,
}

#[derive(Debug, Default)]
pub(super) struct Command {
    pub channel: Channel,
}

impl<O> Shell<O> {
    pub fn new(owner: O, response: CreateResponse, now: Instant) -> Self {
        Self {
            owner,
            response,
            is_open: false,
            ended: None,
            congested: false,
            last_activity: now,
            commands: BTreeMap::new(),
            parked_of_released: None,
            pool: Channel::default(),
            released: VecDeque::new(),
        }
    }

    /// The back end is ready: the answer to Create, with the opening output if the client can take it there.
    pub fn opened(&mut self, early: bool) -> CreateResponse {
        self.is_open = true;
        let mut response = self.response.clone();
        response.early_output = early.then(|| self.pool.take_all());
        response
    }

    pub fn channel(&mut self, command: Option<CommandId>) -> Option<&mut Channel> {
        match command {
            None => Some(&mut self.pool),
            Some(id) => self.commands.get_mut(&id).map(|command| &mut command.channel),
        }
    }

    pub fn channels(&mut self) -> impl Iterator<Item = (Option<CommandId>, &mut Channel)> {
        let commands = self.commands.iter_mut().map(|(id, command)| (Some(*id), &mut command.channel));
        std::iter::once((None, &mut self.pool)).chain(commands)
    }

    pub fn buffered(&self) -> usize {
        self.commands.values().map(|command| command.channel.bytes).sum::<usize>() + self.pool.bytes
    }

    /// True for commands that exist or existed (as far as remembered).
    pub fn knows(&self, command: CommandId) -> bool {
        self.commands.contains_key(&command) || self.released.iter().any(|(id, _)| *id == command)
    }

    pub fn takes_input(&self, command: CommandId) -> bool {
        self.commands.get(&command).is_some_and(|command| command.channel.done.is_none())
    }

    /// Forgets a command and its output.
    pub fn release(&mut self, id: CommandId) {
        let Some(mut command) = self.commands.remove(&id) else { return };
        let is_cmd = self.response.resource_uri.eq_ignore_ascii_case(uri::CMD);
        let exit_code = command.channel.done.unwrap_or(if is_cmd { CONTROL_C_EXIT } else { 0 });
        self.parked_of_released = command.channel.unpark();
        self.released.push_back((id, exit_code));
        if self.released.len() > REMEMBERED {
            self.released.pop_front();
        }
    }

    /// The answer to a Receive for a released command.
    pub fn released(&self, command: CommandId) -> Option<ReceiveResponse> {
        let (_, exit_code) = self.released.iter().find(|(id, _)| *id == command)?;
        let state = Some(CommandState::Done { command, exit_code: Some(*exit_code) });
        Some(ReceiveResponse { streams: Vec::new(), state })
    }

    /// When the shell is closed if no request comes; none while a Receive waits or before it is open.
    pub fn idle_deadline(&self) -> Option<Instant> {
        let waiting =
            self.pool.is_parked() || self.commands.values().any(|command| command.channel.is_parked());
        let timeout = self.response.idle_timeout.filter(|_| self.is_open && !waiting)?;
        Some(self.last_activity + timeout)
    }

    pub fn wake_at(&self, linger: Duration) -> Option<Instant> {
        let commands = self.commands.values().filter_map(|command| command.channel.wake_at(linger));
        commands.chain(self.pool.wake_at(linger)).chain(self.idle_deadline()).min()
    }
}
