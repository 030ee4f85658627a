//! Both offers of a caller, and what the answers made of them.

use std::sync::Arc;

use contract::call::{
    JoinCall, JoinedCall, OfferedSlot, OfferedSource, PublishOffer, ReceiveOffer, SlotKind, Wants,
};
use contract::destination;

use super::seat::Seat;
use super::settings::Call;
use crate::client::Shared;
use crate::offer::{Agreed, AnswerError, Proposal};
use crate::source::Source;

/// What the m-lines of [`Proposal::publish`] carry.
const SOURCES: [(&str, destination::Source); 2] =
    [("0", destination::Source::Microphone), ("1", destination::Source::Camera)];

/// Offers that wait for their answers.
#[derive(Debug)]
pub(crate) struct Offers {
    publish: Proposal,
    receive: Proposal,
    slots: Vec<SlotKind>,
}

impl Offers {
    pub(crate) fn new(shared: &Shared, call: &Call) -> Self {
        let (identity, publish) = (&shared.identity, &shared.publish);
        let tiles = std::iter::repeat_n(SlotKind::Tile, call.tiles);
        let slots: Vec<SlotKind> = tiles.chain(std::iter::repeat_n(SlotKind::Voice, call.voices)).collect();
        Self {
            publish: Proposal::publish(identity, publish, Source::format(publish, &shared.clip)),
            receive: Proposal::slots(identity, shared.view.transport_cc, &slots),
            slots,
        }
    }

    /// The body that joins with them.
    pub(crate) fn body(&self, name: String) -> JoinCall {
        let source = |(mid, source): &(&str, destination::Source)| OfferedSource {
            mid: (*mid).into(),
            source: *source,
        };
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
