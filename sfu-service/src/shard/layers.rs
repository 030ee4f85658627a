//! Which encodings viewers get, and which ones publishers are asked for.

use std::time::Instant;

use contract::id::BroadcastId;
use contract::layer::{CurrentLayer, EncodingLayer, LayerList, LayerRequest, MediaLayers, WantedLayer};
use rtp::{MediaKind, Rid};
use sfu_core::{
    EncodingIndex, EncodingStats, PublisherStats, TrackConfig, TrackIndex, Wanted, WantedEncoding,
};

use super::command::{LayerError, MediaSection, Published, ShardEvent};
use super::participant::Role;
use super::run::ShardThread;
use crate::registry::{SOURCES, SessionKey};

impl ShardThread {
    /// Carries out what a viewer asked for, if it did, and says what its video sections get.
    pub(super) fn choose_layers(
        &mut self,
        key: SessionKey,
        change: Option<&LayerRequest>,
        now: Instant,
    ) -> Result<LayerList, LayerError> {
        let slot = *self.by_key.get(&key).ok_or(LayerError::Ended)?;
        let participant = self.io.participants.get_mut(slot).ok_or(LayerError::Ended)?;
        let Role::Viewer { sections, .. } = &mut participant.role else { return Err(LayerError::Ended) };
        let entry = self.io.rooms.get(&participant.room).ok_or(LayerError::Ended)?;
        let published = entry.published.as_deref().ok_or(LayerError::Ended)?;
        if let Some(request) = change {
            let chosen = choose(sections, published, request)?;
            for section in chosen {
                section.choice.change(request);
                apply(&mut self.core, section, now);
            }
        }
        let stats = entry.publisher.and_then(|id| self.core.publisher_stats(id, now));
        let video = sections.iter().filter(|section| is_video(published, section));
        let media = video.filter_map(|section| {
            media_layers(&self.core, section, published.tracks.get(section.slot())?, stats.as_ref())
        });
        Ok(LayerList { media: media.collect() })
    }

    /// Viewers of another shard want an encoding of a room whose home is here, or do not want it any more.
    pub(super) fn wanted_by(
        &mut self,
        room: BroadcastId,
        shard: usize,
        track: TrackIndex,
        encoding: EncodingIndex,
        wanted: bool,
        now: Instant,
    ) {
        let publisher = self.io.rooms.get(&room).and_then(|entry| entry.publisher);
        if let (Some(id), Ok(shard)) = (publisher, u8::try_from(shard)) {
            self.core.set_encoding_wanted(id, track, encoding, shard, wanted, now);
        }
    }

    /// Another shard has no viewers of a room any more.
    pub(super) fn unwanted_by(&mut self, room: BroadcastId, shard: usize, now: Instant) {
        let Some(published) = self.io.rooms.get(&room).and_then(|entry| entry.published.clone()) else {
            return;
        };
        for (track, config) in (0..).zip(&published.tracks) {
            for encoding in (0..).map(EncodingIndex).take(config.encodings.len()) {
                self.wanted_by(room, shard, TrackIndex(track), encoding, false, now);
            }
        }
    }

    /// Tells the control plane which encodings of a room's publisher are wanted, if that publisher is here.
    pub(super) fn report_wanted(&mut self, room: BroadcastId, now: Instant) {
        let Some(entry) = self.io.rooms.get(&room) else { return };
        let (Some(id), Some(published), Some(slot)) = (entry.publisher, &entry.published, entry.current)
        else {
            return;
        };
        let (Some(stats), Some(participant)) =
            (self.core.publisher_stats(id, now), self.io.participants.get(slot))
        else {
            return;
        };
        let encoding = |slot: usize, index: usize| stats.tracks.get(slot)?.encodings.get(index);
        let wanted =
            published.wanted(|slot, index| encoding(slot, index).is_none_or(|encoding| encoding.wanted));
        self.outbox.say(ShardEvent::Encodings { key: participant.key, wanted });
    }
}

/// Hands the choice of a section to the core, once the viewer is connected.
pub(super) fn apply(core: &mut sfu_core::Shard, section: &MediaSection, now: Instant) {
    let Some(id) = section.id else { return };
    core.set_wanted(id, wanted(&section.choice.wanted), now);
    core.set_paused(id, section.choice.paused, now);
}

fn wanted(layer: &WantedLayer) -> Wanted {
    // Checked against the publisher's rids when it came.
    let rid = layer.encoding_id.as_deref().and_then(|rid| Rid::new(rid.as_bytes()).ok());
    let encoding = match (rid, layer.max_height) {
        (Some(rid), _) => WantedEncoding::Rid(rid),
        (None, Some(height)) => WantedEncoding::MaxHeight(height),
        (None, None) => WantedEncoding::Auto,
    };
    Wanted { encoding, max_temporal: layer.max_temporal_layer_id }
}

/// The sections that a request means; none is changed if it cannot be carried out.
fn choose<'a>(
    sections: &'a mut [MediaSection],
    published: &Published,
    request: &LayerRequest,
) -> Result<impl Iterator<Item = &'a mut MediaSection>, LayerError> {
    let is_meant = |section: &MediaSection| {
        let named = request.media_id.as_deref().is_none_or(|mid| section.mid.as_bytes() == mid.as_bytes());
        named && is_video(published, section)
    };
    let meant: Vec<bool> = sections.iter().map(is_meant).collect();
    if !meant.contains(&true) {
        return Err(LayerError::NoMedia);
    }
    if let Some(wanted) = request.encoding_id.as_deref() {
        let offers = |section: &MediaSection| {
            let track = published.tracks.get(section.slot());
            let mut encodings = track.into_iter().flat_map(|track| &track.encodings);
            encodings.any(|encoding| encoding.rid.is_some_and(|rid| rid.as_bytes() == wanted.as_bytes()))
        };
        let mut named = sections.iter().zip(&meant).filter(|(_, meant)| **meant);
        if !named.any(|(section, _)| offers(section)) {
            return Err(LayerError::NoEncoding);
        }
    }
    Ok(sections.iter_mut().zip(meant).filter(|(_, meant)| *meant).map(|(section, _)| section))
}

fn is_video(published: &Published, section: &MediaSection) -> bool {
    let slot = section.slot();
    let is_published = published.formats.get(slot).is_some_and(Option::is_some);
    is_published && published.tracks.get(slot).is_some_and(|track| track.kind == MediaKind::Video)
}

fn media_layers(
    core: &sfu_core::Shard,
    section: &MediaSection,
    track: &TrackConfig,
    stats: Option<&PublisherStats>,
) -> Option<MediaLayers> {
    let track_stats = stats.and_then(|stats| stats.tracks.get(section.slot()));
    let encoding = |index: usize| {
        let stats = track_stats.and_then(|track| track.encodings.get(index)).copied().unwrap_or_default();
        let EncodingStats { width, height, bitrate, active, .. } = stats;
        let encoding_id = track.encodings.get(index)?.rid.map(|rid| rid.to_string());
        Some(EncodingLayer { encoding_id, active, width, height, bitrate })
    };
    let current = section.id.and_then(|id| core.subscription_stats(id)).and_then(|stats| {
        let index = usize::from(stats.encoding?);
        let encoding_id = track.encodings.get(index)?.rid.map(|rid| rid.to_string());
        Some(CurrentLayer { encoding_id, temporal_layer_id: stats.temporal })
    });
    Some(MediaLayers {
        media_id: section.mid.to_string(),
        source: *SOURCES.get(section.slot())?,
        paused: section.choice.paused,
        wanted: section.choice.wanted.clone(),
        current,
        obstacle: None,
        encodings: (0..track.encodings.len()).filter_map(encoding).collect(),
    })
}
