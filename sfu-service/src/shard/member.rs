//! The receiving connection of a participant of a call, as its shard keeps it.

use std::sync::Arc;

use contract::call::{PictureCodec, SlotKind, Wants};
use contract::layer::EncodingsWanted;
use rtp::Extensions;
use sfu_core::{SourceId, SubscriberId, SubscriptionId};
use transport::ChannelId;

/// A slot of a receiving connection.
#[derive(Debug, Clone)]
pub(crate) struct CallSlot {
    /// What it is for.
    pub(crate) kind: SlotKind,
    /// Its m-line.
    pub(crate) mid: rtp::Mid,
    /// SSRC of the media.
    pub(crate) ssrc: u32,
    /// SSRC of retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
    /// The clock of the connection, as the answer says it.
    pub(crate) cname: Arc<str>,
    /// What the receiver decodes.
    pub(crate) formats: Vec<sfu_core::Format>,
    /// Its id in the core, once its shard has it.
    pub(crate) id: Option<SubscriptionId>,
}

/// A connection that receives through slots.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its name as a publisher of the room: it does not hear itself.
    pub(crate) own: SourceId,
    /// Header extension ids.
    pub(crate) extensions: Extensions,
    /// It takes RTCP of reduced size.
    pub(crate) reduced_size: bool,
    /// Its slots.
    pub(crate) slots: Vec<CallSlot>,
    /// What its page wants.
    pub(super) wants: Wants,
    /// Counts what it was told.
    pub(super) generation: u32,
    /// Its id in the core, once its shard has it.
    pub(super) subscriber: Option<SubscriberId>,
    /// Its channel of the call, while that is open.
    pub(super) channel: Option<ChannelId>,
    /// What its page wants since, which came too fast to be read at once: the latest.
    pub(super) waiting: Option<Vec<u8>>,
    /// The same by PATCH, the one that was said last.
    pub(super) patched: Option<Wants>,
    /// Which of its encodings are watched, if that is still to be said.
    pub(super) encodings: Option<EncodingsWanted>,
    /// Its bindings are still to be said.
    pub(super) say: bool,
    /// Who speaks is still to be said.
    pub(super) say_speakers: bool,
    /// In which codec it is to send its pictures, with the number of what was said of that last; none where it has no
    /// choice.
    pub(crate) pictures: Option<(PictureCodec, u64)>,
    /// That is still to be said.
    pub(super) say_pictures: bool,
    /// It stands in the list of those that have something to do.
    pub(super) queued: bool,
}

impl Member {
    /// One that is not connected yet.
    pub(crate) fn new(
        own: SourceId,
        extensions: Extensions,
        reduced_size: bool,
        slots: Vec<CallSlot>,
    ) -> Self {
        Self {
            own,
            extensions,
            reduced_size,
            slots,
            wants: Wants::default(),
            generation: 0,
            subscriber: None,
            channel: None,
            waiting: None,
            patched: None,
            encodings: None,
            say: true,
            say_speakers: false,
            pictures: None,
            say_pictures: false,
            queued: false,
        }
    }
}
