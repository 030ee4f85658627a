//! The bounded queue between the broker and one connection, and what waits in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use stomp_proto::Headers;
use stomp_proto::outbox::{Caps, Class, Next, Outbox, Pushed};
use stomp_proto::session::SubscriptionKey;
use tokio::sync::Notify;

/// A message as it goes to every subscriber: one body for all of them.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) destination: String,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Message {
    pub(crate) fn new(destination: String, headers: Headers, body: Bytes) -> Arc<Self> {
        Arc::new(Self { destination, headers, body })
    }

    /// A message of ours, in JSON.
    pub(crate) fn json(destination: String, body: &impl Serialize) -> Arc<Self> {
        let body = serde_json::to_vec(body).expect("bodies of strings and numbers serialise");
        let headers = [("content-type", "application/json")].into_iter().collect();
        Self::new(destination, headers, body.into())
    }

    /// What it counts against limits in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size(&self.destination, &self.headers, &self.body)
    }
}

/// What a message with these parts counts against limits in bytes.
pub(crate) fn size(destination: &str, headers: &Headers, body: &[u8]) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    body.len() + destination.len() + headers
}

/// The queue of one connection, and its bell.
#[derive(Debug)]
pub(crate) struct Mailbox {
    outbox: Mutex<Outbox<Arc<Message>>>,
    bell: Notify,
}

impl Mailbox {
    pub(crate) fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self { outbox: Mutex::new(Outbox::new(caps)), bell: Notify::new() })
    }

    pub(crate) fn push(&self, key: SubscriptionKey, class: &Class, message: Arc<Message>) -> Pushed {
        let pushed = self.lock().push(key, class, message.bytes(), message);
        self.bell.notify_one();
        pushed
    }

    pub(crate) fn pop(&self) -> Option<Next<Arc<Message>>> {
        self.lock().pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits for a push.
    pub(crate) async fn ring(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Outbox<Arc<Message>>> {
        // Plain data that every critical section leaves whole.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
