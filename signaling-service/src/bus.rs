//! The seam between replicas: what one replica's clients send reaches the subscribers of the others. A replica
//! serves its own subscribers by itself, so an absent bus never stops a room that lives on one replica.

use std::sync::Arc;

use bytes::Bytes;
use stomp_proto::Headers;
use stomp_proto::outbox::Class;
use tokio::sync::broadcast;

/// Envelopes that wait for a replica that is behind; beyond, it loses the oldest and is told how many.
pub const BUS_CAPACITY: usize = 4_096;

/// A message on its way to the subscribers of other replicas.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The replica that has delivered it to its own already.
    pub origin: Arc<str>,
    /// Where subscribers find it.
    pub destination: String,
    /// Headers that go with it.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
    /// What it is for.
    pub class: Class,
}

/// What a listener gets.
#[derive(Debug)]
pub enum Heard {
    /// A message, possibly the listener's own.
    Envelope(Box<Envelope>),
    /// This many were lost: the listener was too slow.
    Missed(u64),
    /// The bus is gone.
    Ended,
}

/// Carries envelopes between replicas.
pub trait Bus: Send + Sync + 'static {
    /// Sends to all listeners. Never waits.
    fn publish(&self, envelope: Envelope);
    /// Listens from now on.
    fn listen(&self) -> Listener;
}

/// One listener of a bus.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Envelope>);

impl Listener {
    /// The other end of a channel that a bus implementation feeds.
    #[must_use]
    pub fn new(receiver: broadcast::Receiver<Envelope>) -> Self {
        Self(receiver)
    }

    /// What comes next. Cancelling it loses nothing.
    pub async fn hear(&mut self) -> Heard {
        match self.0.recv().await {
            Ok(envelope) => Heard::Envelope(Box::new(envelope)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Heard::Missed(missed),
            Err(broadcast::error::RecvError::Closed) => Heard::Ended,
        }
    }
}

/// Replicas inside one process.
#[derive(Debug, Clone)]
pub struct InMemoryBus(broadcast::Sender<Envelope>);

impl Default for InMemoryBus {
    fn default() -> Self {
        Self(broadcast::Sender::new(BUS_CAPACITY))
    }
}

impl Bus for InMemoryBus {
    fn publish(&self, envelope: Envelope) {
        // An error means that nobody listens, which is fine.
        let _ = self.0.send(envelope);
    }

    fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}
