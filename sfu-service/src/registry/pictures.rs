//! In which codec the pictures of a call are sent: in H.264 while everybody in the room decodes it, else in VP8. Pure.
//!
//! Whoever comes and does not decode H.264 is waited for by nobody: the others change at once. They change back when
//! nobody like that has been there for a while, so that who comes and goes costs two changes at most in that time: each is
//! a keyframe of every encoding.

use std::time::{Duration, Instant};

use contract::call::PictureCodec;

use crate::published::SessionKey;

/// After whoever does not decode H.264 was there last. Not shorter than a lost session may be resumed: it is still there.
pub(super) const SETTLED: Duration = Duration::from_secs(30);

/// The codec of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomPictures {
    codec: PictureCodec,
    /// Since when everybody decodes H.264, while it is not sent.
    since: Option<Instant>,
    /// Counts the changes.
    number: u64,
}

impl Default for RoomPictures {
    /// Of a room that nobody is in.
    fn default() -> Self {
        Self { codec: PictureCodec::H264, since: None, number: 1 }
    }
}

impl RoomPictures {
    /// Who is there has changed, or time has passed. Whether the codec has changed.
    pub(super) fn update(&mut self, everybody_decodes_h264: bool, now: Instant) -> bool {
        let codec = if !everybody_decodes_h264 {
            self.since = None;
            PictureCodec::Vp8
        } else if self.codec == PictureCodec::H264 {
            PictureCodec::H264
        } else {
            let since = *self.since.get_or_insert(now);
            let settled = now.saturating_duration_since(since) >= SETTLED;
            if settled { PictureCodec::H264 } else { PictureCodec::Vp8 }
        };
        let changed = codec != self.codec;
        if changed {
            *self = Self { codec, since: None, number: self.number.saturating_add(1) };
        }
        changed
    }

    /// The codec, and the number of the change to it.
    pub(super) fn get(&self) -> (PictureCodec, u64) {
        (self.codec, self.number)
    }
}

/// In which codec a participant is to send from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToldPictures {
    /// The shard of its receiving connection.
    pub(crate) shard: usize,
    /// That connection.
    pub(crate) key: SessionKey,
    pub(crate) codec: PictureCodec,
    /// Of two the greater counts.
    pub(crate) number: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_decodes_less_is_not_waited_for_and_the_way_back_is() {
        let start = Instant::now();
        let mut room = RoomPictures::default();
        assert!(!room.update(true, start));
        assert_eq!(room.get(), (PictureCodec::H264, 1));
        assert!(room.update(false, start));
        assert_eq!(room.get(), (PictureCodec::Vp8, 2));
        assert!(!room.update(true, start) && !room.update(true, start + SETTLED / 2));
        assert!(!room.update(false, start + SETTLED / 2), "one more came and went");
        assert!(!room.update(true, start + SETTLED));
        assert!(!room.update(true, start + 2 * SETTLED - Duration::from_millis(1)));
        assert!(room.update(true, start + 2 * SETTLED));
        assert_eq!(room.get(), (PictureCodec::H264, 3));
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_sees_at_once_and_costs_little(
            steps in proptest::collection::vec((0..40u64, any::<bool>()), 1..200)
        ) {
            let mut now = Instant::now();
            let start = now;
            let mut room = RoomPictures::default();
            let (mut changes, mut last_less) = (0, None);
            for (secs, all) in steps {
                now += Duration::from_secs(secs);
                let before = room.get();
                let changed = room.update(all, now);
                changes += u32::from(changed);
                if !all {
                    last_less = Some(now);
                    prop_assert_eq!(room.get().0, PictureCodec::Vp8);
                }
                prop_assert_eq!(changed, room.get() != before);
                prop_assert!(room.get().1 >= before.1);
                if room.get().0 == PictureCodec::H264 {
                    prop_assert!(last_less.is_none_or(|last| now.saturating_duration_since(last) >= SETTLED));
                }
            }
            let spans = (now - start).as_secs() / SETTLED.as_secs() + 1;
            prop_assert!(u64::from(changes) <= 2 * spans, "{} changes in {} s", changes, (now - start).as_secs());
        }
    }
}
