//! Callers: connections with slots, which are bound by what they want.

use std::collections::{BTreeMap, VecDeque};

use super::{Cluster, ROOM, Rest};
use crate::common::*;
use rtp::{Extension, Extensions, RtpPacket};
use sfu_core::*;

/// The source that the camera of a publisher is.
pub fn csrc(name: SourceId) -> u32 {
    0xca11_0000 + name.0
}

/// A connection with tiles.
pub struct Caller {
    pub shard: usize,
    pub subscriber: SubscriberId,
    pub slots: BTreeMap<SubscriptionId, Tile>,
    /// What it wants, the most wanted first.
    pub wants: Vec<u32>,
}

/// A slot, and what came of it.
#[derive(Default)]
pub struct Tile {
    ssrc: u32,
    viewer: Viewer,
    /// Of whom its packets are.
    current: Option<u32>,
    /// Sources that are to begin, with the timestamp of their first packet.
    begins: VecDeque<(u32, u32)>,
    /// Packets since they were last counted.
    pub fresh: usize,
}

impl Caller {
    /// Takes a packet, and checks whose it is.
    pub fn take(&mut self, sent: &Sent, shard: &Shard) {
        let packet = RtpPacket::parse(&sent.bytes).unwrap();
        let tile = self.slots.get_mut(&sent.subscription).unwrap();
        assert!(!sent.retransmission, "nothing is asked for again here");
        let sources: Vec<u32> = packet.contributing().collect();
        let tag = u32::from(packet.payload()[5]);
        assert_eq!(sources, [csrc(SourceId(tag))], "a packet says whose picture it has");
        if let Some(&(source, from)) = tile.begins.front()
            && from == packet.timestamp
        {
            assert_eq!(sources, [source], "what is said to begin begins");
            tile.current = Some(source);
            tile.begins.pop_front();
        }
        assert_eq!(sources, Vec::from_iter(tile.current), "a packet of another source than was said");
        let shows = shard.bindings(self.subscriber).find(|binding| binding.slot == sent.subscription);
        assert_eq!(shows.unwrap().shows, Some(track(SourceId(tag), 0)), "a packet of what is not shown");
        tile.viewer.receive(&sent.bytes, tile.ssrc);
        tile.fresh += 1;
    }
}

impl Cluster {
    /// Somebody joins a call on this shard, with so many tiles.
    pub fn call(&mut self, shard: usize, tiles: usize) -> u32 {
        self.next_peer += 1;
        let peer = self.next_peer;
        let extensions = Extensions::new().with(Extension::Mid, 1);
        let World { shard: core, now, .. } = &mut self.shards[shard];
        let config = SubscriberConfig { extensions, ..subscriber(ROOM, peer) };
        let subscriber = core.add_subscriber(config, *now).unwrap();
        let mut slots = BTreeMap::new();
        for index in 0..tiles {
            let (ssrc, slot) = (2 * (peer * 256 + index as u32), Some(SlotKind::Tile));
            let config = SubscriptionConfig { shows: None, slot, ..video_subscription(FIRST, ssrc) };
            let id = core.subscribe(subscriber, config, *now).unwrap();
            slots.insert(id, Tile { ssrc, ..Tile::default() });
        }
        self.callers.insert(peer, Caller { shard, subscriber, slots, wants: Vec::new() });
        peer
    }

    pub fn hang_up(&mut self, peer: u32) {
        if let Some(caller) = self.callers.remove(&peer) {
            self.shards[caller.shard].shard.remove_subscriber(caller.subscriber);
        }
    }

    pub fn want(&mut self, peer: u32, names: &[u32]) {
        let Some(caller) = self.callers.get_mut(&peer) else { return };
        caller.wants = names.to_vec();
        let want = |name: &u32| {
            let track = track(SourceId(*name), 0);
            Want { track, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false }
        };
        let wants: Vec<Want> = names.iter().map(want).collect();
        let World { shard, now, .. } = &mut self.shards[caller.shard];
        shard.set_wants(caller.subscriber, &wants, *now);
    }

    /// A camera is switched off or on; all shards hear of it.
    pub fn mute(&mut self, name: SourceId, muted: bool) {
        let Some(camera) = self.cameras.get_mut(&name) else { return };
        camera.muted = muted;
        // Browsers begin again with a keyframe.
        camera.source.keyframe_wanted |= !muted;
        for (world, id) in self.shards.iter_mut().zip(&camera.ids) {
            world.shard.set_gate(*id, TrackIndex(0), if muted { Gate::Off } else { Gate::Open }, world.now);
        }
    }

    pub(super) fn take_call_event(&mut self, shard: usize, event: Event) {
        let Event::Bound { subscriber, subscription, track, csrc: source, from } = event else { return };
        let mut callers = self.callers.values_mut();
        // It may have left.
        let Some(caller) = callers.find(|caller| (caller.shard, caller.subscriber) == (shard, subscriber))
        else {
            return;
        };
        assert_eq!(source, Some(csrc(track.source)));
        let tile = caller.slots.get_mut(&subscription).unwrap();
        tile.begins.push_back((csrc(track.source), from));
    }

    /// Everybody plays for a while; then everybody sees what it wants, as far as there are slots, and nothing else.
    pub fn check_calls(&mut self) {
        (0..40).for_each(|_| self.frame(33));
        self.callers
            .values_mut()
            .flat_map(|caller| caller.slots.values_mut())
            .for_each(|tile| tile.fresh = 0);
        (0..10).for_each(|_| self.frame(33));
        for caller in self.callers.values() {
            let mut wants = caller.wants.clone();
            wants.retain(|name| self.cameras.contains_key(&SourceId(*name)));
            let mut seen = Vec::new();
            wants.retain(|name| {
                !seen.contains(name) && {
                    seen.push(*name);
                    true
                }
            });
            wants.sort_by_key(|name| {
                let camera = &self.cameras[&SourceId(*name)];
                camera.muted || camera.lost
            });
            wants.truncate(caller.slots.len());
            wants.sort_unstable();
            let bindings: Vec<Binding> =
                self.shards[caller.shard].shard.bindings(caller.subscriber).collect();
            let mut shown: Vec<u32> = bindings.iter().filter_map(|b| Some(b.shows?.source.0)).collect();
            shown.sort_unstable();
            assert_eq!(shown, wants);
            for binding in bindings {
                let tile = &caller.slots[&binding.slot];
                let camera = binding.shows.map(|name| &self.cameras[&name.source]);
                let flows = camera.is_some_and(|camera| !camera.lost && !camera.muted);
                assert!(
                    camera.is_none_or(|camera| camera.lost || camera.rest == Rest::No),
                    "{binding:?} is watched, and off"
                );
                let expected = if flows { 20 } else { 0 };
                assert!(tile.fresh >= expected && (tile.fresh == 0) != flows, "{binding:?}: {}", tile.fresh);
                assert!(tile.begins.is_empty(), "{binding:?}: what was said to begin did not");
                let is_said = binding.from.is_none() || binding.csrc == tile.current;
                assert!(is_said, "{binding:?}: {:?} goes out", tile.current);
                assert!(!flows || binding.from.is_some(), "{binding:?}");
                assert_eq!((tile.viewer.missing().len(), tile.viewer.duplicates), (0, 0));
                tile.viewer.check_continuity();
            }
        }
    }
}
