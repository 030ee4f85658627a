//! What the two connections of a caller and the run share of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::talk::Conversation;

/// Begins the tag in a payload, which says whose it is.
const TAG_MAGIC: [u8; 4] = *b"\xA7who";
/// Bytes of a tag; it ends where the stamp begins.
pub(crate) const TAG_LEN: usize = 12;

/// Says in a synthetic payload what nothing on the way can change: who sent it, and of an utterance which packet it is.
///
/// ```text
/// | magic, 4 bytes | caller, 4 bytes | utterance, 2 bytes | packet of it, 2 bytes |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) caller: u32,
    pub(crate) utterance: u16,
    /// From 1 on; 0 is no utterance, but silence or a picture.
    pub(crate) packet: u16,
}

impl Tag {
    /// Writes it over the bytes before the last `behind`, if the payload is long enough.
    pub(crate) fn write(self, payload: &mut [u8], behind: usize) {
        let end = payload.len().saturating_sub(behind);
        let Some(place) = payload.get_mut(..end).and_then(<[u8]>::last_chunk_mut::<TAG_LEN>) else { return };
        let [u0, u1] = self.utterance.to_be_bytes();
        let [p0, p1] = self.packet.to_be_bytes();
        let [m0, m1, m2, m3] = TAG_MAGIC;
        let [c0, c1, c2, c3] = self.caller.to_be_bytes();
        *place = [m0, m1, m2, m3, c0, c1, c2, c3, u0, u1, p0, p1];
    }

    /// Reads it back; `None` where there is none.
    pub(crate) fn read(payload: &[u8], behind: usize) -> Option<Self> {
        let end = payload.len().checked_sub(behind)?;
        let [m0, m1, m2, m3, c0, c1, c2, c3, u0, u1, p0, p1] =
            *payload.get(..end)?.last_chunk::<TAG_LEN>()?;
        ([m0, m1, m2, m3] == TAG_MAGIC).then(|| Self {
            caller: u32::from_be_bytes([c0, c1, c2, c3]),
            utterance: u16::from_be_bytes([u0, u1]),
            packet: u16::from_be_bytes([p0, p1]),
        })
    }
}

/// Who owns which source, as the answers to the joins said.
#[derive(Debug, Default)]
pub(crate) struct Owners(RwLock<HashMap<u32, u32>>);

impl Owners {
    /// `csrc` is a source of caller `number`. At most as many as there are joins in a run.
    pub(crate) fn add(&self, csrc: u32, number: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(csrc, number);
    }

    /// Whose source `csrc` is, if anybody has joined with it.
    pub(crate) fn of(&self, csrc: u32) -> Option<u32> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&csrc).copied()
    }
}

/// A caller, as far as both of its connections and the run need it.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Its number among all callers of the run; nobody else gets it.
    pub(crate) number: u32,
    /// Who it is in the conversation: whoever comes for somebody who left speaks when that one would have.
    pub(crate) voice: u32,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) owners: Arc<Owners>,
    /// It forges and floods.
    pub(crate) hostile: bool,
    /// Encodings that somebody watches, a bit each, the smallest first. All until the server says so.
    wanted: AtomicU32,
    /// Keyframes that it was asked for, and of those the ones that came within [`super::MERGED`] of the one before.
    keys_asked: AtomicU64,
    keys_asked_soon: AtomicU64,
}

impl Seat {
    pub(crate) fn new(
        number: u32,
        voice: u32,
        conversation: &Arc<Conversation>,
        owners: &Arc<Owners>,
        hostile: bool,
    ) -> Self {
        Self {
            number,
            voice,
            conversation: Arc::clone(conversation),
            owners: Arc::clone(owners),
            hostile,
            wanted: AtomicU32::new(u32::MAX),
            keys_asked: AtomicU64::new(0),
            keys_asked_soon: AtomicU64::new(0),
        }
    }

    /// From now on these encodings are watched.
    pub(crate) fn want(&self, mask: u32) {
        self.wanted.store(mask, Ordering::Relaxed);
    }

    /// The server asked for a keyframe; `is_soon` after the one before.
    pub(crate) fn asked_for_key(&self, is_soon: bool) {
        self.keys_asked.fetch_add(1, Ordering::Relaxed);
        self.keys_asked_soon.fetch_add(u64::from(is_soon), Ordering::Relaxed);
    }

    /// Keyframes that the server asked for so far, and of those the ones that came too soon.
    pub(crate) fn keys_asked(&self) -> (u64, u64) {
        (self.keys_asked.load(Ordering::Relaxed), self.keys_asked_soon.load(Ordering::Relaxed))
    }

    /// Whether anybody watches encoding `index`.
    pub(crate) fn is_wanted(&self, index: usize) -> bool {
        let bit = u32::try_from(index).ok().and_then(|index| 1u32.checked_shl(index)).unwrap_or(0);
        self.wanted.load(Ordering::Relaxed) & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_from_payloads_that_have_room() {
        let tag = Tag { caller: 7, utterance: 3, packet: 9 };
        let mut payload = [0; 40];
        tag.write(&mut payload, 16);
        assert_eq!(Tag::read(&payload, 16), Some(tag));
        assert_eq!(Tag::read(&payload, 15), None);
        assert_eq!(Tag::read(&[], 16), None);
        let mut short = [0; 27];
        tag.write(&mut short, 16);
        assert_eq!(short, [0; 27]);
    }
}
