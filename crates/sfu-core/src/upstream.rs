//! What a publisher is told: receiver reports, transport-wide feedback, NACKs and keyframe requests.

use std::time::{Duration, Instant};

use rtp::MediaKind;
use rtp::rtcp::write::MAX_BLOCKS;
use rtp::rtcp::{self, ReportBlock};

use crate::config::Origin;
use crate::ids::{EncodingIndex, Peer, TrackIndex};
use crate::nack::MAX_PER_REQUEST;
use crate::publisher::{Context, Publisher};
use crate::sink::{Event, Sink};
use crate::track::Track;

/// Receiver reports go out this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The choice of encodings is looked at this often, where there is one.
const LAYERS_INTERVAL: Duration = Duration::from_millis(250);
/// A compound is sent when it has grown to this: what is added after it still fits a datagram.
const FULL_COMPOUND: usize = 700;
/// Feedback packets at one time: more would be a burst of its own.
const MAX_FEEDBACKS: usize = 4;
const CNAME: &[u8] = b"madang";

/// What is due at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick {
    /// Receiver reports go out.
    reports: bool,
    /// Layers are chosen where there is a choice, whether anything is marked or not.
    pub(crate) chooses: bool,
}

impl Publisher {
    /// When something is due for this publisher.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let own = if self.is_local() { [Some(self.report_due), self.feedback_due] } else { [None, None] };
        // Who is reported to is measured with each report; others are measured here.
        let unreported = !self.is_local() && self.tracks.iter().any(|track| track.active);
        let layers = (self.chooses() || unreported).then_some(self.layers_due);
        self.tracks.iter().map(|track| track.due(now)).chain(own).chain([layers]).flatten().min()
    }

    /// The same, as far as a packet of `track` may have changed it.
    pub(crate) fn due_after(&self, track: u8, now: Instant) -> Option<Instant> {
        let track = self.tracks.get(usize::from(track)).and_then(|track| track.due(now));
        [track, self.feedback_due].into_iter().flatten().min()
    }

    /// Whether a track has encodings or layers to choose from.
    fn chooses(&self) -> bool {
        self.tracks.iter().any(Track::chooses)
    }

    /// Begins with what is due: notes who fell silent, and measures. Layers are to be chosen next, then
    /// [`Publisher::finish_tick`].
    pub(crate) fn start_tick<S: Sink>(&mut self, cx: &mut Context<'_, S>) -> Tick {
        self.watch_activity(cx);
        let tick = Tick { reports: self.report_due <= cx.now, chooses: self.layers_due <= cx.now };
        if tick.reports || tick.chooses {
            self.tracks.iter_mut().flat_map(|track| &mut track.encodings).for_each(|e| e.measure(cx.now));
        }
        if tick.chooses {
            self.layers_due = cx.now + LAYERS_INTERVAL;
        }
        tick
    }

    /// Sends what the publisher is to be told.
    pub(crate) fn finish_tick<S: Sink>(&mut self, tick: Tick, cx: &mut Context<'_, S>) {
        cx.rtcp.clear();
        match self.origin {
            Some(Origin::Local(peer)) => {
                if tick.reports {
                    self.report_due = cx.now + REPORT_INTERVAL;
                    self.write_reports(peer, cx);
                }
                self.write_feedback(peer, cx);
                self.write_requests(peer, cx);
                self.flush(peer, cx);
            }
            Some(Origin::Remote) => self.ask_origin(cx),
            None => {}
        }
    }

    /// Says which encodings of a track nobody wants any more, and which ones somebody wants again. The `worst` is
    /// always wanted, so that who comes sees something at once; but of a source of a call, of which there may be a
    /// hundred, nothing is wanted that nobody sees.
    pub(crate) fn tell_interest<S: Sink>(
        &mut self,
        track_index: u8,
        worst: Option<u8>,
        sink: &mut S,
        now: Instant,
    ) {
        let (publisher, pulled) = (self.id, self.pulled);
        let Some(origin) = self.origin else { return };
        let Some(track) = self.tracks.get_mut(usize::from(track_index)).filter(|track| track.may_rest())
        else {
            return;
        };
        let worst = worst.filter(|_| !track.rests_whole());
        for index in (0u8..).take(track.encodings.len()) {
            let has_interest = track.has_interest(index) || worst == Some(index);
            let Some(encoding) = track.encodings.get_mut(usize::from(index)) else { return };
            let wanted = has_interest || (pulled && encoding.interest.is_wanted_elsewhere());
            if let Some(wanted) = encoding.interest.update(wanted, origin == Origin::Remote, now) {
                let (track, encoding) = (TrackIndex(track_index), EncodingIndex(index));
                sink.event(Event::EncodingWanted { publisher, track, encoding, wanted });
            }
        }
    }

    fn watch_activity<S: Sink>(&mut self, cx: &mut Context<'_, S>) {
        for (track, index) in self.tracks.iter_mut().zip(0u8..) {
            let Some(last_media) = track.last_media().filter(|_| track.active) else { continue };
            if track.silent_at().is_none_or(|at| at <= cx.now) {
                track.active = false;
                let track = TrackIndex(index);
                cx.sink.event(Event::TrackInactive { publisher: self.id, track, last_media });
            }
        }
    }

    /// Starts the next packet of a compound.
    fn open<S: Sink>(&self, peer: Peer, cx: &mut Context<'_, S>) {
        if cx.rtcp.len() >= FULL_COMPOUND {
            self.flush(peer, cx);
        }
        if cx.rtcp.is_empty() && !self.reduced_size {
            // RFC 3550, section 6.1: a compound begins with a report, if only an empty one.
            rtcp::write::receiver_report(cx.rtcp, cx.ssrc, &[]);
        }
    }

    fn flush<S: Sink>(&self, peer: Peer, cx: &mut Context<'_, S>) {
        if !cx.rtcp.is_empty() {
            cx.sink.rtcp(peer, cx.rtcp);
            cx.rtcp.clear();
        }
    }

    fn write_reports<S: Sink>(&mut self, peer: Peer, cx: &mut Context<'_, S>) {
        let mut blocks = [ReportBlock::default(); MAX_BLOCKS];
        let mut count = 0;
        let (mut worst, mut received) = (0, 0);
        for encoding in self.tracks.iter_mut().flat_map(|track| &mut track.encodings) {
            received += encoding.bitrate(cx.now);
            let Some(ssrc) = encoding.ssrc else { continue };
            let Some(block) = encoding.receive.report(ssrc, cx.now) else { continue };
            worst = worst.max(block.fraction_lost);
            if let Some(slot) = blocks.get_mut(count) {
                *slot = block;
                count += 1;
            }
            if count == MAX_BLOCKS {
                rtcp::write::receiver_report(cx.rtcp, cx.ssrc, &blocks);
                count = 0;
            }
        }
        rtcp::write::receiver_report(cx.rtcp, cx.ssrc, blocks.get(..count).unwrap_or_default());
        rtcp::write::cname(cx.rtcp, cx.ssrc, CNAME);
        if self.takes_remb && !self.numbered && received > 0 {
            let bitrate = self.remb.update(worst, received);
            let mut ssrcs = [0; MAX_BLOCKS];
            let media =
                self.tracks.iter().flat_map(|track| &track.encodings).filter_map(|encoding| encoding.ssrc);
            let listed = ssrcs.iter_mut().zip(media).map(|(slot, ssrc)| *slot = ssrc).count();
            self.open(peer, cx);
            rtcp::write::remb(cx.rtcp, cx.ssrc, bitrate, ssrcs.get(..listed).unwrap_or_default());
        }
    }

    fn write_feedback<S: Sink>(&mut self, peer: Peer, cx: &mut Context<'_, S>) {
        if self.feedback_due.is_none_or(|due| due > cx.now) {
            return;
        }
        self.feedback_due = None;
        let media = self.tracks.iter().flat_map(|track| &track.encodings).find_map(|encoding| encoding.ssrc);
        for _ in 0..MAX_FEEDBACKS {
            if !self.feedback.is_pending() {
                break;
            }
            self.open(peer, cx);
            if !self.feedback.write(cx.rtcp, cx.ssrc, media.unwrap_or_default()) {
                break;
            }
        }
    }

    fn write_requests<S: Sink>(&mut self, peer: Peer, cx: &mut Context<'_, S>) {
        let mut list = [0; MAX_PER_REQUEST];
        let round_trip = self.round_trip;
        for track in 0..self.tracks.len() {
            let encodings = self.tracks.get(track).map_or(0, |track| track.encodings.len());
            for index in 0..encodings {
                let Some(track) = self.tracks.get_mut(track) else { return };
                let kind = track.config.kind;
                let Some(encoding) = track.encodings.get_mut(index) else { return };
                let Some(ssrc) = encoding.ssrc else { continue };
                let polled = encoding.nack.poll(cx.now, round_trip, encoding.receive.is_lossy(), &mut list);
                cx.totals.given_up += polled.given_up as u64;
                cx.totals.nacks_sent += polled.count as u64;
                if polled.given_up > 0 && kind == MediaKind::Video {
                    encoding.keyframes.want(cx.now);
                }
                let keyframe = encoding.poll_request(cx.now).is_some();
                if polled.count > 0 {
                    self.open(peer, cx);
                    rtcp::write::nack(cx.rtcp, cx.ssrc, ssrc, list.get(..polled.count).unwrap_or_default());
                }
                if keyframe {
                    cx.totals.keyframe_requests_sent += 1;
                    self.open(peer, cx);
                    rtcp::write::pli(cx.rtcp, cx.ssrc, ssrc);
                }
            }
        }
    }
}
