//! `sfu_*` metrics. Never a room, a participant or an address as label.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sfu_core::Totals;

use crate::thread_clock::ThreadClock;

/// Label of session metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Role {
    /// Publisher or viewer.
    pub(crate) role: RoleName,
}

/// Values of [`Role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum RoleName {
    /// WHIP.
    Publisher,
    /// WHEP.
    Viewer,
}

/// Label of what each data-plane thread does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ShardLabel {
    /// Its number.
    pub(crate) shard: u64,
}

/// Label of refused requests and ended sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    /// A word of a fixed list.
    pub(crate) reason: &'static str,
}

/// What the control plane counts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Metrics {
    /// Sessions now.
    pub(crate) sessions: Family<Role, Gauge>,
    /// Sessions opened.
    pub(crate) opened: Family<Role, Counter>,
    /// Sessions ended, by reason.
    pub(crate) ended: Family<Reason, Counter>,
    /// Requests refused, by reason.
    pub(crate) refused: Family<Reason, Counter>,
    /// Reports that meta did not take.
    pub(crate) report_failures: Counter,
    /// Whether the connection to signaling stands.
    pub(crate) signaling_connected: Gauge,
    /// Times that it was lost or refused.
    pub(crate) signaling_failures: Counter,
    /// CPU time of each data-plane thread, as a share of a core.
    pub(crate) shard_cpu: Family<ShardLabel, Gauge<f64, AtomicU64>>,
    /// From the answer to the end of the DTLS handshake.
    pub(crate) connect_seconds: ConnectSeconds,
}

/// A histogram with its buckets.
#[derive(Debug, Clone)]
pub(crate) struct ConnectSeconds(pub(crate) Histogram);

impl Default for ConnectSeconds {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.005, 2.0, 12)))
    }
}

macro_rules! shard_counters {
    ($($(#[$doc:meta])* $name:ident: $metric:literal, $help:literal;)*) => {
        /// What a shard counts beside its socket: plain atomics that its thread writes, read at each scrape.
        #[derive(Debug, Default)]
        pub(crate) struct ShardCounters {
            /// CPU time of the thread.
            pub(crate) clock: ThreadClock,
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
        }

        impl ShardCounters {
            fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($metric, $help, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

shard_counters! {
    /// Datagrams from addresses that no session has validated, and anything that is no STUN, DTLS or SRTP.
    unvalidated: "sfu_datagrams_refused", "Datagrams from addresses that ICE has not validated";
    /// SRTP packets that did not authenticate.
    srtp_failures: "sfu_srtp_failures", "SRTP packets that failed authentication or replay protection";
    /// Packets dropped because another shard's inbox was full.
    forward_drops: "sfu_forward_dropped", "Packets and requests dropped between shards because an inbox was full";
    /// Packets that another shard was asked for again.
    crossing_asked: "sfu_forward_asked", "Packets that did not cross between shards and were asked for again";
    /// Of those, the ones that came.
    crossing_repaired: "sfu_forward_repaired", "Packets that did not cross between shards and came when asked for";
    /// Of those, the ones that did not come in ten tries.
    crossing_given_up: "sfu_forward_given_up", "Packets that another shard was asked for in vain";
    /// Viewers that do not decode what the publisher sends.
    mismatches: "sfu_format_mismatches", "Changes of a publisher's format to one that a viewer does not take";
    /// Sessions that ended by a fault of their own.
    panics: "sfu_session_panics", "Sessions ended by a panic";
    /// Packets that were not sent because they could not be written or encrypted.
    unsent: "sfu_packets_unsent", "Packets to clients that could not be written or encrypted";
    /// Packets that a TCP connection did not take.
    tcp_dropped: "sfu_tcp_packets_dropped", "Packets dropped because a TCP connection did not take them in time";
    /// Messages on data channels that were handed on.
    data_sent: "sfu_data_messages_sent", "Messages on data channels handed to their receivers";
    /// Messages on data channels that were not.
    data_dropped: "sfu_data_messages_dropped", "Messages on data channels dropped: too many, or a full buffer";
    /// See [`Totals::refused`]; so on below.
    refused: "sfu_packets_refused", "RTP packets of publishers not taken: malformed, repeated, of no track";
    /// Recovered packets.
    recovered: "sfu_packets_recovered", "RTP packets of publishers that a retransmission brought";
    /// Packets given up.
    given_up: "sfu_packets_given_up", "RTP packets that publishers were asked for in vain";
    /// NACKs to publishers.
    nacks_sent: "sfu_nacks_sent", "Packets that publishers were asked for, repetitions counted";
    /// Keyframe requests to publishers.
    keyframe_requests_sent: "sfu_keyframe_requests_sent", "Keyframe requests (PLI) sent to publishers";
    /// NACKs of viewers.
    nacks_received: "sfu_nacks_received", "Packets that viewers asked for";
    /// NACKs of viewers that were not answered.
    nacks_unanswered: "sfu_nacks_unanswered", "Packets that viewers asked for and did not get";
    /// Retransmissions to viewers.
    retransmitted: "sfu_retransmissions_sent", "Retransmissions sent to viewers";
    /// Keyframe requests of viewers.
    keyframe_requests_received: "sfu_keyframe_requests_received", "Keyframe requests (PLI, FIR) of viewers";
}

/// The data plane of one shard, as metrics read it.
#[derive(Debug, Clone)]
pub(crate) struct ShardMetrics {
    /// Its counters.
    pub(crate) counters: Arc<ShardCounters>,
    /// Its socket.
    pub(crate) socket: Arc<udp::Socket>,
}

/// Sums over the shards, encoded at each scrape.
#[derive(Debug)]
struct DataPlane(Vec<ShardMetrics>);

impl DataPlane {
    fn sums(&self) -> Vec<(&'static str, &'static str, u64)> {
        let mut sums: Vec<(&str, &str, u64)> = Vec::new();
        for shard in &self.0 {
            let socket = shard.socket.counters();
            let mut values = vec![
                ("sfu_datagrams_received", "Datagrams received", socket.received),
                ("sfu_received_bytes", "Bytes of datagrams received", socket.received_bytes),
                ("sfu_datagrams_sent", "Datagrams sent", socket.sent),
                ("sfu_sent_bytes", "Bytes of datagrams sent", socket.sent_bytes),
                ("sfu_send_dropped", "Datagrams dropped because the socket was full", socket.dropped),
                ("sfu_send_failed", "Datagrams that the kernel refused", socket.failed),
            ];
            values.extend(shard.counters.read());
            for (name, help, value) in values {
                match sums.iter_mut().find(|(known, ..)| *known == name) {
                    Some((_, _, sum)) => *sum += value,
                    None => sums.push((name, help, value)),
                }
            }
        }
        sums
    }
}

impl Collector for DataPlane {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in self.sums() {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

impl ShardCounters {
    /// Adds to a counter that only this thread writes: no bus lock for each packet.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// Shows what the shard's core has done so far.
    pub(crate) fn show(&self, totals: &Totals) {
        let show = |counter: &AtomicU64, total| counter.store(total, Ordering::Relaxed);
        show(&self.refused, totals.refused);
        show(&self.recovered, totals.recovered);
        show(&self.given_up, totals.given_up);
        show(&self.nacks_sent, totals.nacks_sent);
        show(&self.crossing_asked, totals.crossing_asked);
        show(&self.crossing_repaired, totals.crossing_repaired);
        show(&self.crossing_given_up, totals.crossing_given_up);
        show(&self.keyframe_requests_sent, totals.keyframe_requests_sent);
        show(&self.nacks_received, totals.nacks_received);
        show(&self.nacks_unanswered, totals.nacks_unanswered);
        show(&self.retransmitted, totals.retransmitted);
        show(&self.keyframe_requests_received, totals.keyframe_requests_received);
    }
}

impl Metrics {
    /// Sessions now.
    pub(crate) fn set_sessions(&self, publishers: usize, viewers: usize) {
        for (role, count) in [(RoleName::Publisher, publishers), (RoleName::Viewer, viewers)] {
            let gauge = self.sessions.get_or_create(&Role { role });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Registers everything.
    pub(crate) fn register(registry: &mut Registry, shards: Vec<ShardMetrics>) -> Self {
        let metrics = Self::default();
        registry.register("sfu_sessions", "WHIP and WHEP sessions", metrics.sessions.clone());
        registry.register("sfu_sessions_opened", "Sessions opened", metrics.opened.clone());
        registry.register("sfu_sessions_ended", "Sessions ended", metrics.ended.clone());
        registry.register("sfu_requests_refused", "WHIP and WHEP requests refused", metrics.refused.clone());
        registry.register(
            "sfu_report_failures",
            "Reports that the meta service did not take",
            metrics.report_failures.clone(),
        );
        registry.register(
            "sfu_signaling_connected",
            "Whether the connection to signaling stands",
            metrics.signaling_connected.clone(),
        );
        registry.register(
            "sfu_signaling_failures",
            "Connections to signaling lost or refused",
            metrics.signaling_failures.clone(),
        );
        registry.register(
            "sfu_connect_seconds",
            "From the answer to connected (ICE and DTLS)",
            metrics.connect_seconds.0.clone(),
        );
        registry.register(
            "sfu_shard_cpu_ratio",
            "CPU time of a data-plane thread, as a share of a core",
            metrics.shard_cpu.clone(),
        );
        registry.register_collector(Box::new(DataPlane(shards)));
        metrics
    }
}
