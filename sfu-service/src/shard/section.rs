//! The media sections of a viewer: what each shows, and what was asked for.

use std::sync::Arc;

use contract::layer::{LayerRequest, WantedLayer};
use sfu_core::{SubscriptionId, TrackName};

/// One m-line of a viewer.
#[derive(Debug, Clone)]
pub(crate) struct MediaSection {
    /// Which track of which publisher.
    pub(crate) shows: TrackName,
    /// Its m-line.
    pub(crate) mid: rtp::Mid,
    /// SSRC of the media.
    pub(crate) ssrc: u32,
    /// SSRC of retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
    /// Whose clock its timestamps are of, as the answer says it: the owner of what it shows.
    pub(crate) cname: Arc<str>,
    /// What the viewer decodes.
    pub(crate) formats: Vec<sfu_core::Format>,
    /// Its id in the core, once the viewer is connected.
    pub(crate) id: Option<SubscriptionId>,
    /// The publisher sends what the viewer does not decode.
    pub(crate) mismatch: bool,
    /// What the viewer asked for.
    pub(crate) choice: LayerChoice,
}

impl MediaSection {
    /// Slot of its source.
    pub(crate) fn slot(&self) -> usize {
        usize::from(self.shows.track.0)
    }
}

/// What a viewer asked for on one m-line.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerChoice {
    pub(crate) wanted: WantedLayer,
    pub(crate) paused: bool,
}

impl LayerChoice {
    /// Takes over a request.
    pub(crate) fn change(&mut self, request: &LayerRequest) {
        self.wanted = WantedLayer {
            encoding_id: request.encoding_id.clone(),
            max_height: request.max_height,
            max_temporal_layer_id: request.max_temporal_layer_id,
        };
        self.paused = request.paused.unwrap_or(self.paused);
    }
}

/// Why layers are not shown or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayerError {
    /// There is no such viewer on this shard any more.
    #[error("the session has ended")]
    Ended,
    /// No video section has the name that was asked for.
    #[error("there is no video section with this `mediaId`")]
    NoMedia,
    /// The publisher does not send the rid that was asked for.
    #[error("the publisher sends no encoding with this `encodingId`")]
    NoEncoding,
}
