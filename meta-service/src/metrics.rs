//! Metrics of the meta service.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A bounded label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Label {
    kind: &'static str,
}

impl Label {
    pub(crate) fn of(kind: &'static str) -> Self {
        Self { kind }
    }
}

/// Counters and gauges; clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Status changes, by new status.
    pub(crate) transitions: Family<Label, Counter>,
    /// Failed database calls: `unavailable`, `unwritable` or `failed`.
    pub(crate) store_errors: Family<Label, Counter>,
    /// Announcements to signaling: `sent`, `failed`, `dropped`.
    pub(crate) announcements: Family<Label, Counter>,
    /// Broadcasts that are open, by status.
    pub(crate) broadcasts: Family<Label, Gauge>,
    /// Broadcasts that retention deleted.
    pub(crate) expired: Counter,
    /// Requests over a rate limit: `create`, `token`, `search`.
    pub(crate) rate_limited: Family<Label, Counter>,
    /// Viewers of all broadcasts, as last written.
    pub(crate) viewers: Gauge,
    /// Length of the last sweep in seconds.
    pub(crate) sweep_seconds: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("meta");
        registry.register(
            "broadcast_transitions",
            "Status changes of broadcasts, by new status",
            metrics.transitions.clone(),
        );
        registry.register("store_errors", "Failed database calls", metrics.store_errors.clone());
        registry.register("announcements", "Announcements to signaling", metrics.announcements.clone());
        registry.register(
            "broadcasts",
            "Broadcasts that are not closed, by status",
            metrics.broadcasts.clone(),
        );
        registry.register("broadcasts_expired", "Broadcasts that retention deleted", metrics.expired.clone());
        registry.register("rate_limited", "Requests over a rate limit", metrics.rate_limited.clone());
        registry.register("viewers", "Viewers of all broadcasts", metrics.viewers.clone());
        registry.register("sweep_seconds", "Length of the last sweep", metrics.sweep_seconds.clone());
        metrics
    }
}
