//! The way to one subscriber: the numbers of its packets, and how much it carries.

use std::time::{Duration, Instant};

use rtp::twcc::Feedback;

use crate::cc::Controller;

/// Padding of one packet: what its length byte can say (RFC 3550, section 5.1).
pub(crate) const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};
/// Padding packets sent at one time: a burst of a probe at 10 Mbit/s.
const MAX_PADDINGS: u32 = 24;

/// A longer queue shows that what is sent may be more than the line carries.
const QUEUED: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Downlink {
    /// Made with the first packet: a connection that gets nothing takes no memory for it.
    controller: Option<Box<Controller>>,
}

impl Downlink {
    /// The transport-wide number of the packet that is sent next.
    pub(crate) fn number(&mut self, now: Instant) -> u16 {
        self.controller_mut(now).number()
    }

    /// A packet leaves, with the number that was given last or without one.
    pub(crate) fn sent(&mut self, bytes: usize, numbered: bool, now: Instant) {
        let controller = self.controller_mut(now);
        if numbered {
            controller.on_sent(bytes, now);
        } else {
            controller.on_sent_unnumbered(bytes, now);
        }
    }

    /// Media leaves: what comes after it may have to wait.
    pub(crate) fn pace(&mut self, bytes: usize, now: Instant) {
        self.controller_mut(now).pace(bytes, now);
    }

    /// Whether more media may leave now, or would only fill the queue of the line.
    pub(crate) fn may_send(&self, now: Instant) -> bool {
        self.controller.as_ref().is_none_or(|controller| controller.may_send(now))
    }

    /// What is known of the line, once something was sent.
    pub(crate) fn controller(&self) -> Option<&Controller> {
        self.controller.as_deref()
    }

    /// Takes the body of transport-wide feedback. Returns whether the line carries less than was thought.
    pub(crate) fn take_feedback(&mut self, body: &[u8], round_trip: Option<Duration>, now: Instant) -> bool {
        let feedback = Feedback::parse(body);
        self.controller.as_mut().zip(feedback).is_some_and(|(c, f)| c.on_feedback(&f, round_trip, now))
    }

    /// How long the line takes for so many bytes; none if nothing is known of it.
    pub(crate) fn time_for(&self, bytes: u32, now: Instant) -> Duration {
        let known = self.controller.as_ref().filter(|controller| controller.is_proven());
        let bitrate = known.and_then(|controller| controller.target(now));
        bitrate.map_or(Duration::ZERO, |bitrate| {
            Duration::from_micros(u64::from(bytes) * 8_000_000 / bitrate.max(1))
        })
    }

    /// Whether packets wait on the line.
    pub(crate) fn is_queued(&self) -> bool {
        self.controller.as_ref().is_some_and(|controller| controller.queue() > QUEUED)
    }

    /// Whether the line is so full that only what is needed may be sent.
    pub(crate) fn is_jammed(&self, now: Instant) -> bool {
        self.controller.as_ref().is_some_and(|controller| controller.is_jammed(now))
    }

    /// Whether the line carries no more than what goes over it: packets wait on it, or it has just become slower.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.is_queued() || self.is_jammed(now) || self.has_fallen(now)
    }

    /// Whether the line loses packets whatever is sent.
    pub(crate) fn is_lossy(&self) -> bool {
        self.controller.as_ref().is_some_and(|controller| controller.is_lossy())
    }

    /// Whether the line has become slower within the last second.
    pub(crate) fn has_fallen(&self, now: Instant) -> bool {
        self.controller.as_ref().is_some_and(|controller| controller.has_fallen(now))
    }

    /// Changes what is known, if anything was sent at all.
    pub(crate) fn update(&mut self, update: impl FnOnce(&mut Controller)) {
        if let Some(controller) = &mut self.controller {
            update(controller);
        }
    }

    /// Padding that is due: packets of [`PADDING`].
    pub(crate) fn paddings(&mut self, now: Instant) -> u32 {
        let bytes = self.controller.as_mut().map_or(0, |controller| controller.poll_padding(now));
        bytes.div_ceil(PADDING.len() as u32).min(MAX_PADDINGS)
    }

    fn controller_mut(&mut self, now: Instant) -> &mut Controller {
        self.controller.get_or_insert_with(|| Box::new(Controller::new(now)))
    }
}
