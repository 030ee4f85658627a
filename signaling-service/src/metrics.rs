//! Metrics `signaling_*`. No label names a room or a connection.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label with a value from a fixed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) rooms: Gauge,
    pub(crate) received: Counter,
    pub(crate) delivered: Counter,
    pub(crate) bus_missed: Counter,
    pub(crate) held: Counter,
    pub(crate) boards: Gauge,
    pub(crate) board_updates: Counter,
    pub(crate) board_barred: Counter,
    pub(crate) board_away: Counter,
    refused: Family<Reason, Counter>,
    chat_writes: Family<Reason, Counter>,
    dropped: Family<Reason, Counter>,
    closed: Family<Reason, Counter>,
    reports: Family<Reason, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("signaling");
        registry.register("connections", "WebSocket connections", metrics.connections.clone());
        registry.register("subscriptions", "STOMP subscriptions", metrics.subscriptions.clone());
        registry.register("rooms", "Rooms with a viewer or a streamer", metrics.rooms.clone());
        registry.register("messages_received", "Messages that clients sent", metrics.received.clone());
        registry.register(
            "messages_delivered",
            "Messages put into a queue of a connection",
            metrics.delivered.clone(),
        );
        registry.register(
            "messages_dropped",
            "Messages that readers had no room for",
            metrics.dropped.clone(),
        );
        registry.register(
            "messages_held",
            "Messages, transactions and subscriptions held back to the pace of their sender",
            metrics.held.clone(),
        );
        registry.register("boards", "Whiteboards in use", metrics.boards.clone());
        registry.register(
            "board_updates",
            "Updates of whiteboards that were stored",
            metrics.board_updates.clone(),
        );
        registry.register(
            "board_barred",
            "People who lost the right to draw by what they sent",
            metrics.board_barred.clone(),
        );
        registry.register(
            "board_away",
            "Accesses to the store of whiteboards that failed",
            metrics.board_away.clone(),
        );
        registry.register("messages_refused", "Messages refused with a reply", metrics.refused.clone());
        registry.register(
            "chat_writes",
            "Changes of chats that the database has done, refused by what is kept, or failed",
            metrics.chat_writes.clone(),
        );
        registry.register("connections_closed", "Connections that ended", metrics.closed.clone());
        registry.register("meta_reports", "Reports to meta", metrics.reports.clone());
        registry.register(
            "bus_missed",
            "Messages of other replicas that were lost",
            metrics.bus_missed.clone(),
        );
        metrics
    }

    pub(crate) fn dropped(&self, reason: &'static str, count: usize) {
        self.dropped.get_or_create(&Reason { reason }).inc_by(count as u64);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// A change of a chat is done, refused or failed.
    pub(crate) fn chat_writes(&self, reason: &'static str) {
        self.chat_writes.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn report(&self, reason: &'static str) {
        self.reports.get_or_create(&Reason { reason }).inc();
    }
}
