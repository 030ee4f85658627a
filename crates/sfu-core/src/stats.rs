//! Numbers of a moment, for reports and metrics. Counts only grow, except where a stream starts over.

use std::time::{Duration, Instant};

use rtp::Codec;

/// A publisher.
#[derive(Debug, Clone, PartialEq)]
pub struct PublisherStats {
    /// Its tracks, in their order.
    pub tracks: Vec<TrackStats>,
    /// When its first media packet came.
    pub first_media: Option<Instant>,
    /// When its last media packet came.
    pub last_media: Option<Instant>,
    /// Round trip to the publisher, once a retransmission has shown it.
    pub round_trip: Option<Duration>,
}

/// A published track.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackStats {
    /// Whether media came within the last second.
    pub active: bool,
    /// Its encodings, in their order.
    pub encodings: Vec<EncodingStats>,
}

/// One encoding of a published track.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EncodingStats {
    /// The SSRC that is bound to it.
    pub ssrc: Option<u32>,
    /// The codec of its last packet.
    pub codec: Option<Codec>,
    /// Media packets received, recovered ones included.
    pub packets: u64,
    /// Bytes in them, headers included.
    pub bytes: u64,
    /// Packets that never came (RFC 3550, A.3), without those recovered.
    pub lost: u64,
    /// Packets that a retransmission brought.
    pub recovered: u64,
    /// Interarrival jitter (RFC 3550, A.8).
    pub jitter: Duration,
    /// Bits per second, over the last second or so.
    pub bitrate: u64,
    /// Keyframes that began.
    pub keyframes: u64,
    /// Frames that began.
    pub frames: u64,
    /// Keyframe requests sent to the publisher.
    pub keyframe_requests: u64,
    /// Sequence numbers asked for by NACK, repetitions counted.
    pub nacked: u64,
    /// Whether media came within the last second.
    pub active: bool,
    /// Whether any subscription wants it.
    pub wanted: bool,
    /// Pixels, once a keyframe has shown them.
    pub width: Option<u16>,
    /// Pixels, once a keyframe has shown them.
    pub height: Option<u16>,
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberStats {
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionStats>,
    /// Round trip, from its receiver reports.
    pub round_trip: Option<Duration>,
    /// Bits per second that its REMB allows, if it sends any.
    pub remb: Option<u64>,
    /// Bits per second that its line is taken to carry: estimated from its feedback, its REMB and its loss; none if
    /// nothing is known of it.
    pub bandwidth: Option<u64>,
    /// How long packets wait on the way to it, from its last feedback.
    pub queue: Duration,
    /// Share of its packets lost lately, 0 to 1.
    pub loss: f32,
}

/// One subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SubscriptionStats {
    /// Media packets sent, retransmissions not counted.
    pub packets: u64,
    /// Bytes in them, headers included.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Bytes in those.
    pub retransmitted_bytes: u64,
    /// NACKed packets not sent again: no longer kept, or over the budget.
    pub unanswered: u64,
    /// Share lost in the last report of the subscriber, 0 to 1.
    pub fraction_lost: f32,
    /// Packets lost by its last report.
    pub lost: u32,
    /// Interarrival jitter by its last report.
    pub jitter: Duration,
    /// Keyframe requests from the subscriber.
    pub keyframe_requests: u64,
    /// The encoding that is forwarded.
    pub encoding: Option<u8>,
    /// The highest temporal layer that is forwarded, where the codec carries them.
    pub temporal: Option<u8>,
    /// The line does not carry even the least of the picture: single keyframes of it are sent, or nothing.
    pub too_slow: bool,
}

impl SubscriptionStats {
    /// A packet of `len` bytes was sent again.
    pub(crate) fn count_repeated(&mut self, len: usize) {
        self.retransmitted += 1;
        self.retransmitted_bytes += len as u64;
    }
}

/// What a shard has done since it was made, over everybody who came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets of publishers that were not taken: malformed, of no track, repeated, or far from their stream.
    pub refused: u64,
    /// Packets that a retransmission stream of a publisher brought.
    pub recovered: u64,
    /// Packets that publishers were asked for in vain.
    pub given_up: u64,
    /// Sequence numbers that publishers were asked for by NACK, repetitions counted.
    pub nacks_sent: u64,
    /// Packets that other shards were asked for again because they did not cross, repetitions counted.
    pub crossing_asked: u64,
    /// Of those, the ones that came.
    pub crossing_repaired: u64,
    /// Packets that other shards were asked for in vain: mostly what their publishers had lost.
    pub crossing_given_up: u64,
    /// Keyframe requests sent to publishers.
    pub keyframe_requests_sent: u64,
    /// Sequence numbers that subscribers asked for by NACK.
    pub nacks_received: u64,
    /// Of those, the ones that were not sent again: no longer kept, or over the budget.
    pub nacks_unanswered: u64,
    /// Packets sent again to subscribers.
    pub retransmitted: u64,
    /// Keyframe requests of subscribers.
    pub keyframe_requests_received: u64,
    /// Times that it was decided which layers a subscription gets.
    pub decisions: u64,
    /// Times that the line of a subscriber was shared out.
    pub allocations: u64,
}
