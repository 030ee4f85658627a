//! A room over several shards: each publisher is at home on one and remote on the others, as the shell does it.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::common::*;
use rtp::{Extension, Extensions, RtpPacket};
use sfu_core::*;

mod call;

pub use call::{Caller, csrc};

const ROOM: u64 = 1;
/// Peers of viewers begin here, those of publishers are below.
const VIEWERS: u32 = 10_000;

/// A publisher, whether its connection is there or not.
pub struct Camera {
    pub source: Source,
    pub home: usize,
    /// Its connection is lost.
    pub lost: bool,
    /// It sends no keyframe when it is asked for one.
    pub deaf: bool,
    /// It is switched off by who it shows.
    pub muted: bool,
    /// It does not send, as nobody wants it: since it was told so, until a moment after it was told otherwise.
    pub rest: Rest,
    /// When it was asked for a keyframe.
    pub asked: Vec<Instant>,
    /// By shard.
    ids: Vec<PublisherId>,
}

/// Whether a camera sends, as far as that depends on who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It sends.
    No,
    /// Nobody wants it.
    Rests,
    /// Somebody wants it again: it sends from then on.
    Wakes(Instant),
}

/// How long a browser takes to send again.
const WAKING: Duration = Duration::from_millis(100);

/// A connection that receives one stream or several.
pub struct Watcher {
    pub shard: usize,
    peer: u32,
    pub subscriber: SubscriberId,
    /// By subscription: what it shows, its SSRC, and what came of it.
    pub streams: BTreeMap<SubscriptionId, (Option<SourceId>, u32, Viewer)>,
    /// Packets of each subscription since they were last counted.
    pub fresh: BTreeMap<SubscriptionId, usize>,
}

pub struct Cluster {
    pub shards: Vec<World>,
    pub cameras: BTreeMap<SourceId, Camera>,
    pub watchers: BTreeMap<u32, Watcher>,
    pub callers: BTreeMap<u32, Caller>,
    next_peer: u32,
}

impl Cluster {
    pub fn new(shards: usize) -> Self {
        let first = World::new();
        let start = first.start;
        let others = (1..shards).map(|index| World::at(start, 1 + index as u64));
        let shards = std::iter::once(first).chain(others).collect();
        let (cameras, watchers, callers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { shards, cameras, watchers, callers, next_peer: VIEWERS }
    }

    fn config(name: SourceId, home: bool) -> PublisherConfig {
        let track = video_track("0", vec![EncodingConfig::default()]);
        let config = publisher(ROOM, name.0, vec![TrackConfig { csrc: Some(csrc(name)), ..track }]);
        if home { config } else { PublisherConfig { origin: Origin::Remote, ..config } }
    }

    /// A publisher comes, or comes back, on this shard. The shards hear of it one after another, from `first` on.
    pub fn publish(&mut self, name: SourceId, home: usize, first: usize) {
        let count = self.shards.len();
        let mut source = Source::new(name.0 + 1_000 * (1 + home as u32), "0");
        (source.tag, source.packets_per_frame, source.payload_len) = (name.0 as u8, 2, 120);
        let known = self.cameras.remove(&name).map(|camera| camera.ids);
        let mut ids = known.clone().unwrap_or_else(|| Vec::with_capacity(count));
        let mut added = BTreeMap::new();
        for shard in (0..count).map(|index| (first + index) % count) {
            let World { shard: core, now, .. } = &mut self.shards[shard];
            let config = Self::config(name, shard == home);
            match &known {
                Some(ids) => core.resume_publisher(ids[shard], config, *now).unwrap(),
                None => drop(added.insert(shard, core.add_publisher(config, *now).unwrap())),
            }
        }
        ids.extend(added.into_values());
        for (shard, id) in ids.iter().enumerate() {
            self.shards[shard].shard.set_pulled(*id, shard == home);
        }
        let (lost, deaf, muted, rest, asked) = (false, false, false, Rest::No, Vec::new());
        self.cameras.insert(name, Camera { source, home, lost, deaf, muted, rest, asked, ids });
        self.mute(name, false);
    }

    /// A publisher's connection is lost; all shards hear of it.
    pub fn lose(&mut self, name: SourceId) {
        if let Some(camera) = self.cameras.get_mut(&name) {
            camera.lost = true;
            for (World { shard, now, .. }, id) in self.shards.iter_mut().zip(&camera.ids) {
                shard.publisher_lost(*id, *now);
            }
        }
    }

    pub fn remove(&mut self, name: SourceId) {
        if let Some(camera) = self.cameras.remove(&name) {
            for (world, id) in self.shards.iter_mut().zip(camera.ids) {
                world.shard.remove_publisher(id, world.now);
            }
        }
    }

    /// A viewer joins this shard, with a stream for each of `shows`.
    pub fn join(&mut self, shard: usize, shows: &[Option<SourceId>]) -> u32 {
        self.next_peer += 1;
        let peer = self.next_peer;
        // Nothing is said about the line, so nothing bounds it.
        let extensions = Extensions::new().with(Extension::Mid, 1);
        let config = SubscriberConfig { extensions, ..subscriber(ROOM, peer) };
        let World { shard: core, now, .. } = &mut self.shards[shard];
        let subscriber = core.add_subscriber(config, *now).unwrap();
        let mut streams = BTreeMap::new();
        for (index, name) in shows.iter().enumerate() {
            let ssrc = 2 * (peer * 256 + index as u32);
            let shows = name.map(|name| track(name, 0));
            let config = SubscriptionConfig { shows, ..video_subscription(FIRST, ssrc) };
            let id = core.subscribe(subscriber, config, *now).unwrap();
            streams.insert(id, (*name, ssrc, Viewer::default()));
        }
        self.watchers.insert(peer, Watcher { shard, peer, subscriber, streams, fresh: BTreeMap::new() });
        peer
    }

    pub fn leave(&mut self, peer: u32) {
        if let Some(watcher) = self.watchers.remove(&peer) {
            self.shards[watcher.shard].shard.remove_subscriber(watcher.subscriber);
        }
    }

    /// The first stream of a viewer shows something else.
    pub fn show(&mut self, peer: u32, name: Option<SourceId>) {
        let Some(watcher) = self.watchers.get_mut(&peer) else { return };
        let Some((&id, stream)) = watcher.streams.iter_mut().next() else { return };
        stream.0 = name;
        let World { shard, now, .. } = &mut self.shards[watcher.shard];
        shard.show(id, name.map(|name| track(name, 0)), *now);
    }

    /// Everybody sends a frame, and `pass` milliseconds go by. Every packet is checked: it is of what is shown.
    pub fn frame(&mut self, pass: u64) {
        for camera in self.cameras.values_mut().filter(|camera| !camera.lost) {
            let world = &mut self.shards[camera.home];
            for rtcp in world.out.take_rtcp(Peer(camera.source.tag.into())) {
                let asked = plis(std::slice::from_ref(&rtcp));
                camera.asked.extend(std::iter::repeat_n(world.now, asked));
                camera.source.handle_rtcp(&rtcp);
            }
            camera.source.keyframe_wanted &= !camera.deaf;
            if let Rest::Wakes(at) = camera.rest
                && at <= world.now
            {
                // Browsers begin again with a keyframe.
                (camera.rest, camera.source.keyframe_wanted) = (Rest::No, true);
            }
            if camera.muted || camera.rest != Rest::No {
                continue;
            }
            for packet in camera.source.frame(world.now) {
                world.shard.handle_rtp(camera.ids[camera.home], &packet, world.now, &mut world.out);
            }
        }
        self.exchange();
        self.take();
        self.shards.iter().for_each(|world| world.shard.check());
        for _ in 0..pass {
            self.shards.iter_mut().for_each(|world| world.advance(ms(1)));
            self.exchange();
            self.take();
        }
    }

    /// Carries what the shards have for each other, and forwards.
    fn exchange(&mut self) {
        for from in 0..self.shards.len() {
            for (id, what) in std::mem::take(&mut self.shards[from].out.to_edges) {
                let Some(camera) = self.cameras.values().find(|camera| camera.ids[from] == id) else {
                    continue;
                };
                for to in (0..self.shards.len()).filter(|to| *to != from) {
                    let World { shard, now, out, .. } = &mut self.shards[to];
                    shard.handle_from_origin(camera.ids[to], what.borrow(), *now, out);
                }
            }
            for event in std::mem::take(&mut self.shards[from].out.events) {
                self.take_event(from, event);
            }
        }
        for World { shard, now, out, .. } in &mut self.shards {
            shard.forward(*now, out);
        }
    }

    fn take_event(&mut self, from: usize, event: Event) {
        let (Event::KeyframeNeeded { publisher, .. } | Event::EncodingWanted { publisher, .. }) = event
        else {
            return self.take_call_event(from, event);
        };
        let Some(camera) = self.cameras.values_mut().find(|camera| camera.ids[from] == publisher) else {
            return;
        };
        let World { shard, now, .. } = &mut self.shards[camera.home];
        let at_home = camera.ids[camera.home];
        match event {
            Event::KeyframeNeeded { track, encoding, purpose, .. } => {
                shard.request_keyframe(at_home, track, encoding, purpose, *now);
            }
            Event::EncodingWanted { track, encoding, wanted, .. } if from != camera.home => {
                shard.set_encoding_wanted(at_home, track, encoding, from as u8, wanted, *now);
            }
            Event::EncodingWanted { wanted, .. } => {
                camera.rest = if wanted { Rest::Wakes(*now + WAKING) } else { Rest::Rests };
            }
            _ => {}
        }
    }

    /// What arrived at the viewers.
    fn take(&mut self) {
        for index in 0..self.shards.len() {
            for event in std::mem::take(&mut self.shards[index].out.events) {
                self.take_event(index, event);
            }
            let World { shard, out, .. } = &mut self.shards[index];
            for sent in std::mem::take(&mut out.rtp) {
                if let Some(caller) = self.callers.get_mut(&sent.peer.0) {
                    caller.take(&sent, shard);
                    continue;
                }
                // On its way when its viewer left.
                let Some(watcher) = self.watchers.get_mut(&sent.peer.0) else { continue };
                let (shows, ssrc, viewer) = watcher.streams.get_mut(&sent.subscription).unwrap();
                let tag = RtpPacket::parse(&sent.bytes).unwrap().payload()[5];
                assert_eq!(Some(u32::from(tag)), shows.map(|name| name.0), "a packet of what is not shown");
                viewer.receive(&sent.bytes, *ssrc);
                *watcher.fresh.entry(sent.subscription).or_default() += 1;
            }
        }
    }

    /// Whether a publisher of this name sends.
    pub fn sends(&self, name: SourceId) -> bool {
        self.cameras.get(&name).is_some_and(|camera| !camera.lost)
    }

    /// Everybody plays for a while and then sees exactly what is shown, frame by frame.
    pub fn check(&mut self) {
        (0..40).for_each(|_| self.frame(33));
        self.watchers.values_mut().for_each(|watcher| watcher.fresh.clear());
        (0..10).for_each(|_| self.frame(33));
        for watcher in self.watchers.values() {
            for (id, (shows, _, viewer)) in &watcher.streams {
                let expected = if shows.is_some_and(|name| self.sends(name)) { 20 } else { 0 };
                let got = watcher.fresh.get(id).copied().unwrap_or(0);
                let asked = (watcher.shard, shows);
                // A keyframe for who came last is longer.
                assert!(got >= expected && (got == 0) == (expected == 0), "{asked:?}: {got} of {expected}");
                assert_eq!((viewer.missing().len(), viewer.duplicates), (0, 0), "{asked:?}");
                viewer.check_continuity();
            }
        }
    }
}
