//! Which encodings viewers get, and which ones publishers are asked for.

use std::time::Instant;

use contract::layer::{
    CurrentLayer, EncodingLayer, LayerList, LayerRequest, MediaLayers, Obstacle, WantedLayer,
};
use rtp::{MediaKind, Rid};
use sfu_core::{EncodingStats, PublisherStats, TrackConfig, Wanted, WantedEncoding};

use super::command::ShardEvent;
use super::participant::Role;
use super::rooms::{Place, SourceKey};
use super::section::{LayerError, MediaSection};
use super::thread::ShardThread;
use crate::published::{Published, SOURCES};

impl ShardThread {
    /// Carries out what a viewer asked for, if it did, and says what its video sections get.
    pub(super) fn choose_layers(
        &mut self,
        slot: usize,
        change: Option<&LayerRequest>,
        now: Instant,
    ) -> Result<LayerList, LayerError> {
        self.fault_point("layers");
        let participant = self.io.participants.get_mut(slot).ok_or(LayerError::Ended)?;
        let Role::Viewer { sections, .. } = &mut participant.role else { return Err(LayerError::Ended) };
        let room = self.io.rooms.room(participant.room).ok_or(LayerError::Ended)?;
        let published =
            |section: &MediaSection| room.publisher(section.shows.source).map(|entry| &*entry.published);
        if let Some(request) = change {
            for section in choose(sections, published, request)? {
                section.choice.change(request);
                apply(&mut self.core, section, now);
            }
        }
        let media = sections.iter().filter(|section| is_video(published(section), section));
        let media = media.filter_map(|section| {
            let entry = room.publisher(section.shows.source)?;
            let stats = entry.core.and_then(|(id, _)| self.core.publisher_stats(id, now));
            media_layers(&self.core, section, entry.published.tracks.get(section.slot())?, stats.as_ref())
        });
        Ok(LayerList { media: media.collect() })
    }

    /// Tells the control plane which encodings of a publisher are wanted, if its home is here.
    pub(super) fn report_wanted(&mut self, key: SourceKey, now: Instant) {
        let Some(entry) = self.io.rooms.publisher(key) else { return };
        let (Place::Here { slot }, Some((id, _)), published) = (entry.place, entry.core, &entry.published)
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
fn choose<'a, 'p>(
    sections: &'a mut [MediaSection],
    published: impl Fn(&MediaSection) -> Option<&'p Published>,
    request: &LayerRequest,
) -> Result<impl Iterator<Item = &'a mut MediaSection>, LayerError> {
    let is_meant = |section: &MediaSection| {
        let named = request.media_id.as_deref().is_none_or(|mid| section.mid.as_bytes() == mid.as_bytes());
        named && is_video(published(section), section)
    };
    let meant: Vec<bool> = sections.iter().map(is_meant).collect();
    if !meant.contains(&true) {
        return Err(LayerError::NoMedia);
    }
    if let Some(wanted) = request.encoding_id.as_deref() {
        let offers = |section: &MediaSection| {
            let track = published(section).and_then(|published| published.tracks.get(section.slot()));
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

fn is_video(published: Option<&Published>, section: &MediaSection) -> bool {
    let (Some(published), slot) = (published, section.slot()) else { return false };
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
    let own = section.id.and_then(|id| core.subscription_stats(id));
    let too_slow = own.is_some_and(|stats| stats.too_slow) && !section.choice.paused;
    let current = own.and_then(|stats| {
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
        obstacle: match section.mismatch {
            true => Some(Obstacle::Codec),
            false => too_slow.then_some(Obstacle::Line),
        },
        encodings: (0..track.encodings.len()).filter_map(encoding).collect(),
    })
}
