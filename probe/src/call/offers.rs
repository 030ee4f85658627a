//! Both offers of a caller, and what the answers made of them.

use std::sync::Arc;

use contract::call::{
    JoinCall, JoinedCall, OfferedSlot, OfferedSource, PublishOffer, ReceiveOffer, SlotKind, Wants,
};
use contract::destination::Source;
use transport::Identity;
use transport::sdp::CodecFormat;

use super::seat::Seat;
use super::settings::Call;
use crate::offer::{Agreed, AnswerError, Proposal};
use crate::scenario::Publish;

/// What the m-lines of [`Proposal::publish`] carry.
const SOURCES: [(&str, Source); 2] = [("0", Source::Microphone), ("1", Source::Camera)];

/// Offers that wait for their answers.
#[derive(Debug)]
pub(crate) struct Offers {
    publish: Proposal,
    receive: Proposal,
    slots: Vec<SlotKind>,
}

impl Offers {
    pub(crate) fn new(identity: &Identity, publish: &Publish, call: &Call, transport_cc: bool) -> Self {
        let tiles = std::iter::repeat_n(SlotKind::Tile, call.tiles);
        let slots: Vec<SlotKind> = tiles.chain(std::iter::repeat_n(SlotKind::Voice, call.voices)).collect();
        Self {
            publish: Proposal::publish(identity, publish, CodecFormat::Vp8),
            receive: Proposal::slots(identity, transport_cc, &slots),
            slots,
        }
    }

    /// The body that joins with them.
    pub(crate) fn body(&self, name: String) -> JoinCall {
        let source = |(mid, source): &(&str, Source)| OfferedSource { mid: (*mid).into(), source: *source };
        let slot = |(mid, kind): (usize, &SlotKind)| OfferedSlot { mid: mid.to_string(), kind: *kind };
        JoinCall {
            publish: Some(PublishOffer {
                sdp: self.publish.sdp(),
                sources: SOURCES.iter().map(source).collect(),
            }),
            receive: Some(ReceiveOffer {
                sdp: self.receive.sdp(),
                slots: self.slots.iter().enumerate().map(slot).collect(),
            }),
            wants: Wants::default(),
            name: Some(name),
            resume: None,
        }
    }

    /// What publishes and what receives from now on.
    ///
    /// # Errors
    /// [`AnswerError`], also where an answer is missing.
    pub(crate) fn accept(
        self,
        joined: &JoinedCall,
        seat: &Arc<Seat>,
    ) -> Result<(Agreed, Agreed), AnswerError> {
        let answer = |sdp: &Option<String>| sdp.clone().ok_or(AnswerError::NoMedia);
        let publish = self.publish.accept(&answer(&joined.publish_sdp)?)?.of(seat);
        let receive = self.receive.accept(&answer(&joined.receive_sdp)?)?.of(seat);
        Ok((publish, receive))
    }
}
