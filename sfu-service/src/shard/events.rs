//! What the core says.

use std::time::Instant;

use sfu_core::{Event, SubscriberId, SubscriptionId};

use super::message::ShardMessageKind;
use super::participant::Role;
use super::rooms::Place;
use super::section::MediaSection;
use super::thread::ShardThread;
use crate::metrics::ShardCounters;

impl ShardThread {
    pub(super) fn handle_core_events(&mut self, now: Instant) {
        for index in 0..self.io.events.len() {
            let Some(event) = self.io.events.get(index).copied() else { break };
            self.handle_core_event(event, now);
        }
        self.io.events.clear();
    }

    fn handle_core_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::KeyframeNeeded { publisher, track, encoding, purpose } => {
                if let Some(key) = self.io.rooms.of_core(publisher) {
                    self.tell_home(key, ShardMessageKind::KeyframeNeeded { track, encoding, purpose });
                }
            }
            Event::Missing { publisher, missing } => {
                // What is too much for one turn is asked for again later.
                let left = self.io.may_ask.checked_sub(missing.count() as usize);
                if let (Some(key), Some(left)) = (self.io.rooms.of_core(publisher), left) {
                    self.io.may_ask = left;
                    self.tell_home(key, ShardMessageKind::Missing(missing));
                }
            }
            Event::EncodingWanted { publisher, track, encoding, wanted } => {
                let Some(key) = self.io.rooms.of_core(publisher) else { return };
                match self.io.rooms.publisher(key).map(|entry| entry.place) {
                    Some(Place::Here { .. }) => self.report_wanted(key, now),
                    _ => self.tell_home(key, ShardMessageKind::Wanted { track, encoding, wanted }),
                }
            }
            Event::TrackActive { publisher, .. } | Event::TrackInactive { publisher, .. } => {
                if let Some(key) = self.io.rooms.of_core(publisher) {
                    self.report_media(key, now);
                }
            }
            Event::Bound { subscriber, .. } | Event::Rebound { subscriber, .. } => {
                if let Some(&slot) = self.io.viewers.get(&subscriber) {
                    self.mark_member(slot, |member| member.say = true);
                }
            }
            Event::Speaking { room, .. } | Event::OnStage { room, .. } => self.speakers_changed(room),
            Event::Forwarding { subscriber, subscription } => {
                if let Some(section) = self.section(subscriber, subscription) {
                    section.mismatch = false;
                }
            }
            Event::FormatMismatch { subscriber, subscription, payload_type } => {
                ShardCounters::add(&self.io.counters.mismatches, 1);
                let Some(section) = self.section(subscriber, subscription) else { return };
                section.mismatch = true;
                let mid = section.mid;
                tracing::info!(
                    shard = self.settings.index,
                    %mid,
                    payload_type,
                    "a viewer does not take the format that the publisher sends"
                );
            }
        }
    }

    /// The media section of a subscription.
    fn section(
        &mut self,
        subscriber: SubscriberId,
        subscription: SubscriptionId,
    ) -> Option<&mut MediaSection> {
        let slot = *self.io.viewers.get(&subscriber)?;
        let Role::Viewer { sections, .. } = &mut self.io.participants.get_mut(slot)?.role else {
            return None;
        };
        sections.iter_mut().find(|section| section.id == Some(subscription))
    }
}
