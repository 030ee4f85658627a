//! How much of what is written to a client waits below us. The WebSocket library holds 32 messages whatever their size,
//! copied into frames, which made 2 MiB for each client that stopped reading; this counts bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes that wait below us; beyond, the next message waits in its queue. The message that reaches it still fits.
pub(crate) const MAX_UNSENT: usize = 32 * 1024;

/// What was written to a client and is not on its way yet.
#[derive(Debug, Default)]
pub(crate) struct Window {
    unsent: AtomicUsize,
    sent: Notify,
}

impl Window {
    /// Whether one more message may be written.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) < MAX_UNSENT
    }

    /// A message of so many bytes was written.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.unsent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Waits until something is on its way.
    pub(crate) async fn sent(&self) {
        self.sent.notified().await;
    }
}

/// The body of the upgrade, by which all frames leave. It is asked for more only when the socket takes more, and then
/// gives everything that was written; it lives on the thread of its connection, so nothing is written meanwhile.
pub(crate) struct Measured {
    pub(crate) body: BoxBody,
    pub(crate) window: Arc<Window>,
}

impl Measured {
    fn drained(&self) {
        self.window.unsent.store(0, Ordering::Relaxed);
        self.window.sent.notify_one();
    }
}

/// The connection is gone: whoever waits is to find that out.
impl Drop for Measured {
    fn drop(&mut self) {
        self.drained();
    }
}

impl MessageBody for Measured {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let chunk = ready!(Pin::new(&mut this.body).poll_next(cx));
        this.drained();
        Poll::Ready(chunk)
    }
}
