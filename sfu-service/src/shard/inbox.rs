//! What waits for a shard: commands of the control plane, and messages of the other shards.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use mio::Waker;

use super::command::Command;
use super::message::ShardMessage;

/// Commands that may wait for a shard besides departures, of which there are at most three a session, and what
/// publishers of calls are told, which shards say and bound themselves. Beyond, new
/// sessions are refused: the shard does not keep up.
const MAX_COMMANDS: usize = 1_024;
/// Messages that may wait from all other shards together. When it is full, packets are dropped, and states wait where
/// they come from (see `lane`).
pub(super) const MAX_MESSAGES: usize = 1_024;

/// The sending side of a shard's inbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ShardHandle {
    commands: Arc<Commands>,
    messages: SyncSender<ShardMessage>,
    waker: Arc<Waker>,
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: Arc<Commands>,
    messages: Receiver<ShardMessage>,
}

#[derive(Debug, Default)]
struct Commands {
    /// So that a shard looks at the lock only when something is there.
    waiting: AtomicBool,
    queue: Mutex<VecDeque<Command>>,
}

/// The inbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InboxFull;

/// A shard's inbox.
pub(crate) fn inbox(waker: Arc<Waker>) -> (ShardHandle, Inbox) {
    let commands = Arc::new(Commands::default());
    let (sender, receiver) = sync_channel(MAX_MESSAGES);
    (
        ShardHandle { commands: commands.clone(), messages: sender, waker },
        Inbox { commands, messages: receiver },
    )
}

impl ShardHandle {
    /// Hands over a command and wakes the shard. Departures are always taken, and so are states: see
    /// [`MAX_COMMANDS`].
    pub(crate) fn send(&self, command: Command) -> Result<(), InboxFull> {
        {
            let mut queue = self.commands.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let may_wait = matches!(
                command,
                Command::Join(..)
                    | Command::RestartIce { .. }
                    | Command::ChooseLayers { .. }
                    | Command::ChooseSlots { .. }
            );
            if may_wait && queue.len() >= MAX_COMMANDS {
                return Err(InboxFull);
            }
            queue.push_back(command);
        }
        self.commands.waiting.store(true, Ordering::Release);
        self.wake();
        Ok(())
    }

    /// Hands over a message of another shard without waking: that one wakes once a batch. It is given back if there is
    /// no room.
    pub(crate) fn post(&self, message: ShardMessage) -> Option<ShardMessage> {
        match self.messages.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Some(message),
        }
    }

    /// Wakes the shard.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a media thread cannot be woken");
        }
    }
}

impl Inbox {
    /// The next command.
    pub(crate) fn command(&self) -> Option<Command> {
        if !self.commands.waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut queue = self.commands.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let command = queue.pop_front();
        if command.is_none() {
            self.commands.waiting.store(false, Ordering::Release);
        }
        command
    }

    /// The next message of another shard.
    pub(crate) fn message(&self) -> Option<ShardMessage> {
        self.messages.try_recv().ok()
    }
}
