//! `turn_*` metrics. No user, address or port is ever a label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use turn_proto::{ErrorCode, PeerRefusal, Stats};

/// `to_peer` or `to_client`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

/// A STUN error code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
}

/// A word of a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What one worker publishes. Clones write to the same counters.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    allocations: Gauge,
    created: Counter,
    bindings: Counter,
    to_peer: Flow,
    to_client: Flow,
    errors: Vec<Counter>,
    refused_peers: Vec<Counter>,
    suppressed: Counter,
    dropped: [Counter; 4],
}

#[derive(Debug, Clone)]
struct Flow {
    packets: Counter,
    bytes: Counter,
}

/// Datagrams that a full or failing socket did not take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unsent {
    pub(crate) full: u64,
    pub(crate) failed: u64,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let packets = Family::<Direction, Counter>::default();
        let bytes = Family::<Direction, Counter>::default();
        let errors = Family::<Code, Counter>::default();
        let refused = Family::<Reason, Counter>::default();
        let dropped = Family::<Reason, Counter>::default();
        let flow = |direction| {
            let label = Direction { direction };
            Flow {
                packets: packets.get_or_create(&label).clone(),
                bytes: bytes.get_or_create(&label).clone(),
            }
        };
        let drop_counter = |reason| dropped.get_or_create(&Reason { reason }).clone();
        let this = Self {
            allocations: Gauge::default(),
            created: Counter::default(),
            bindings: Counter::default(),
            to_peer: flow("to_peer"),
            to_client: flow("to_client"),
            errors: ErrorCode::ALL
                .iter()
                .map(|c| errors.get_or_create(&Code { code: c.code() }).clone())
                .collect(),
            refused_peers: PeerRefusal::ALL
                .iter()
                .map(|refusal| refused.get_or_create(&Reason { reason: refusal.name() }).clone())
                .collect(),
            suppressed: Counter::default(),
            dropped: ["client_unknown", "peer_unpermitted", "buffer_full", "send_failed"].map(drop_counter),
        };
        registry.register("turn_allocations", "Live allocations", this.allocations.clone());
        registry.register("turn_allocations_created", "Allocations made", this.created.clone());
        registry.register("turn_bindings", "STUN Binding requests answered", this.bindings.clone());
        registry.register("turn_relayed_packets", "Datagrams relayed", packets);
        registry.register_with_unit("turn_relayed", "Payload relayed", Unit::Bytes, bytes);
        registry.register("turn_errors", "Error responses by code", errors);
        registry.register(
            "turn_refused_peers",
            "Permissions, channels and datagrams refused by the peer filter",
            refused,
        );
        registry.register(
            "turn_suppressed_challenges",
            "Challenges not sent because the source had its share",
            this.suppressed.clone(),
        );
        registry.register("turn_dropped_packets", "Datagrams not relayed", dropped);
        this
    }

    /// Adds what happened between two readings of one worker.
    pub(crate) fn publish(&self, before: &Stats, now: &Stats, unsent: Unsent) {
        let add = |counter: &Counter, before: u64, now: u64| {
            if now > before {
                counter.inc_by(now - before);
            }
        };
        let live = |stats: &Stats| stats.allocations_created.saturating_sub(stats.allocations_closed);
        self.allocations.inc_by(live(now).cast_signed() - live(before).cast_signed());
        add(&self.created, before.allocations_created, now.allocations_created);
        add(&self.bindings, before.bindings, now.bindings);
        add(&self.to_peer.packets, before.to_peer_packets, now.to_peer_packets);
        add(&self.to_peer.bytes, before.to_peer_bytes, now.to_peer_bytes);
        add(&self.to_client.packets, before.to_client_packets, now.to_client_packets);
        add(&self.to_client.bytes, before.to_client_bytes, now.to_client_bytes);
        add(&self.suppressed, before.suppressed_challenges, now.suppressed_challenges);
        for ((counter, before), now) in self.errors.iter().zip(before.errors).zip(now.errors) {
            add(counter, before, now);
        }
        for ((counter, before), now) in
            self.refused_peers.iter().zip(before.refused_peers).zip(now.refused_peers)
        {
            add(counter, before, now);
        }
        let [unknown, unpermitted, full, failed] = &self.dropped;
        add(unknown, before.dropped_from_client, now.dropped_from_client);
        add(unpermitted, before.dropped_from_peer, now.dropped_from_peer);
        add(full, 0, unsent.full);
        add(failed, 0, unsent.failed);
    }

    /// Allocations that end together with their worker.
    pub(crate) fn ended(&self, allocations: usize) {
        self.allocations.dec_by(i64::try_from(allocations).unwrap_or(i64::MAX));
    }
}
