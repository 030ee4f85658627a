//! The receive connection of a caller: slots, and the channel on which it is said what they are to show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::call::{Bound, CALL_CHANNEL, CallEvent, MAX_CALL_MESSAGE, SlotKind, Wants};
use contract::layer::EncodingsWanted;
use rtp::ClearHeader;
use transport::{ChannelConfig, ChannelId, Event, Transport};

use super::seat::Seat;
use super::slots::{Goal, Slots};
use crate::totals::Totals;
use crate::viewer::Viewer;

/// What a hostile caller does at a time, and how often.
const FLOOD: usize = 10;
const FLOOD_EVERY: Duration = Duration::from_millis(10);

/// What the run tells a caller.
#[derive(Debug)]
pub(crate) enum Order {
    /// These bindings came with an answer.
    Bound(Box<Bound>),
    /// Waits for this.
    Aim(Goal),
    /// Says on the channel what is wanted, at once or when it is open; of several the last.
    Say(Box<Wants>),
}

/// The media of a caller that is connected, or will be.
#[derive(Debug)]
pub(crate) struct Media {
    seat: Arc<Seat>,
    /// When the POST was made.
    asked: Instant,
    pub(crate) viewer: Viewer,
    slots: Slots,
    /// The encodings of its own picture, the smallest first.
    rids: Vec<String>,
    channel: Option<ChannelId>,
    is_open: bool,
    unsaid: Option<Box<Wants>>,
    next_flood: Option<Instant>,
    flooded: u32,
}

impl Media {
    pub(crate) fn new(
        seat: Arc<Seat>,
        asked: Instant,
        viewer: Viewer,
        slots: Vec<(String, SlotKind)>,
        rids: Vec<String>,
    ) -> Self {
        Self {
            slots: Slots::new(Arc::clone(&seat), slots),
            seat,
            asked,
            viewer,
            rids,
            channel: None,
            is_open: false,
            unsaid: None,
            next_flood: None,
            flooded: 0,
        }
    }

    /// Opens the channel; the transport is connected.
    pub(crate) fn connected(&mut self, transport: &mut Transport, now: Instant) {
        // Without one the caller says nothing, and its goals are missed.
        self.channel = transport.open_data_channel(ChannelConfig::reliable(CALL_CHANNEL), now).ok();
        self.next_flood = self.seat.hostile.then_some(now);
    }

    /// Takes what happened on the channel.
    pub(crate) fn happened(
        &mut self,
        event: &Event,
        transport: &mut Transport,
        now: Instant,
        totals: &mut Totals,
    ) {
        match event {
            Event::DataChannelOpened { channel, .. } if self.channel == Some(*channel) => {
                self.is_open = true;
                self.slots.hears();
                let took = now.saturating_duration_since(self.asked);
                totals.channel_time.record(took.as_micros() as u64);
                self.flush(transport, now);
            }
            Event::Data { channel, bytes, .. } if self.channel == Some(*channel) => {
                match serde_json::from_slice(bytes) {
                    Ok(CallEvent::Bound(bound)) => self.slots.bind(&bound, now, totals),
                    Ok(CallEvent::Encodings(wanted)) => self.switch(&wanted),
                    // What it sends is a clip, in the first codec of the answer.
                    Ok(CallEvent::Speakers(_) | CallEvent::Pictures(_)) => {}
                    Err(_) => totals.refused += 1,
                }
            }
            _ => {}
        }
    }

    /// Does as the run says.
    pub(crate) fn order(
        &mut self,
        order: Order,
        transport: &mut Transport,
        now: Instant,
        totals: &mut Totals,
    ) {
        match order {
            Order::Bound(bound) => self.slots.bind(&bound, now, totals),
            Order::Aim(goal) => self.slots.aim(goal, now, totals),
            Order::Say(wants) => {
                self.unsaid = Some(wants);
                self.flush(transport, now);
            }
        }
    }

    /// Whether the header of an encrypted packet is enough. A repeated packet says what it is inside.
    pub(crate) fn skips(&mut self, packet: &[u8]) -> bool {
        let Ok(header) = ClearHeader::parse(packet) else { return false };
        match self.viewer.stream_of(header.ssrc) {
            Some((stream, false)) => {
                let csrc = header.contributing().next();
                !self.slots.is_curious(stream, csrc) && self.viewer.skips_stream(stream)
            }
            Some((_, true)) | None => false,
        }
    }

    /// Takes a packet: decrypted, or its header only.
    pub(crate) fn handle_rtp(&mut self, packet: &[u8], is_plain: bool, now: Instant, totals: &mut Totals) {
        if let Some(taken) = self.viewer.handle_rtp(packet, is_plain, now, totals)
            && !self.seat.hostile
        {
            self.slots.take(taken, now, totals);
        }
    }

    /// Whether it waits for something that is not there yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.seat.hostile && self.slots.is_waiting()
    }

    /// When a hostile caller has its next go.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_flood
    }

    /// Has a hostile caller's go: what it says on its channel, and an RTP packet of nobody.
    pub(crate) fn flood(&mut self, transport: &mut Transport, now: Instant) -> Option<Vec<u8>> {
        if self.next_flood.is_none_or(|at| at > now) {
            return None;
        }
        self.next_flood = Some(now + FLOOD_EVERY);
        for _ in 0..FLOOD {
            self.flooded = self.flooded.wrapping_add(1);
            let text = match self.flooded % 4 {
                0 => "x".repeat(MAX_CALL_MESSAGE),
                1 => "{\"generation\":".into(),
                2 => format!(r#"{{"generation":{},"sources":[]}}"#, self.flooded),
                _ => {
                    let all = |n: u32| format!(r#"{{"source":{},"slot":"tile"}}"#, n + self.flooded % 50);
                    let sources: Vec<String> = (0..24).map(all).collect();
                    format!(r#"{{"generation":{},"sources":[{}]}}"#, self.flooded, sources.join(","))
                }
            };
            if let Some(channel) = self.channel.filter(|_| self.is_open) {
                // Full is what it is after.
                let _ = transport.send_data(channel, text.as_bytes(), false, now);
            }
        }
        let mut packet = vec![0x91, 96];
        packet.extend((self.flooded as u16).to_be_bytes());
        packet.extend(self.flooded.to_be_bytes());
        packet.extend(self.flooded.wrapping_mul(0x9E37_79B9).to_be_bytes());
        packet.extend((self.flooded % 50).to_be_bytes());
        packet.extend([0xBE, 0xDE, 0, 1, 0x10, b'1', 0, 0]);
        packet.extend([0x90, 0x80, 0x80, 0, 0x10, 2, 0, 0x9D, 1, 0x2A, 0, 5, 0xD0, 2]);
        Some(packet)
    }

    fn flush(&mut self, transport: &mut Transport, now: Instant) {
        let Some(channel) = self.channel.filter(|_| self.is_open) else { return };
        let Some(text) = self.unsaid.as_ref().and_then(|wants| serde_json::to_string(wants).ok()) else {
            return;
        };
        if transport.send_data(channel, text.as_bytes(), false, now).is_ok() {
            self.unsaid = None;
        }
    }

    /// Sends only what is watched from now on.
    fn switch(&mut self, wanted: &EncodingsWanted) {
        let Some(media) = wanted.media.first() else { return };
        let mut mask = 0;
        for (bit, rid) in self.rids.iter().enumerate() {
            let named = media.encodings.iter().find(|encoding| encoding.encoding_id == *rid);
            // What is not named is sent: it is better to send too much than a black picture.
            mask |= u32::from(named.is_none_or(|encoding| encoding.wanted)) << bit;
        }
        self.seat.want(mask);
    }
}
