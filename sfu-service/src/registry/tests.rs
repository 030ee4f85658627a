use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use contract::rest::MediaState;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rtp::Extensions;
use transport::sdp::{CodecFormat, H264Profile};

use super::*;
use crate::published::{Published, TrackState};

const ROOM: BroadcastId = BroadcastId(7);
const HOST: SourceId = SourceId(0);
const GUEST: SourceId = SourceId(1);
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Fixture {
    registry: Registry,
    rng: StdRng,
}

fn published(video: CodecFormat) -> Arc<Published> {
    let formats = [Some(CodecFormat::Opus), Some(video), None, None];
    Arc::new(Published {
        extensions: Extensions::new(),
        tracks: Vec::new(),
        formats,
        remb: false,
        reduced_size: true,
        participant: None,
    })
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

impl Fixture {
    fn new(max_sessions: usize) -> Self {
        Self {
            registry: Registry::new(2, Limits { max_sessions, ..Limits::default() }),
            rng: StdRng::seed_from_u64(1),
        }
    }

    fn session(&mut self, kind: Kind) -> NewSession {
        NewSession {
            id: SessionId::random(&mut self.rng),
            broadcast: ROOM,
            kind,
            source: SOURCE,
            bearer: None,
            etag: "\"1\"".into(),
            remote_ufrag: "abcd".into(),
            now: Instant::now(),
        }
    }

    fn publisher(&mut self, video: CodecFormat, revision: i64) -> (SessionId, Placed, Option<Removal>) {
        let new = self.session(Kind::Publisher { source: HOST, published: published(video) });
        let (id, home) = (new.id.clone(), self.registry.emptiest());
        let (placed, stale) = self.registry.open_publisher(new, home, revision, &mut self.rng).unwrap();
        (id, placed, stale)
    }

    fn live(&mut self) -> (SessionId, Placed) {
        let (id, placed, _) = self.publisher(CodecFormat::Vp8, 1);
        assert_eq!(self.registry.connected(placed.key), []);
        self.registry.media(placed.key, Vec::new(), Some(at(10)), false);
        (id, placed)
    }

    fn viewer(&mut self, subject: Option<&str>, preview: bool, decoders: Vec<CodecFormat>) -> Placed {
        let subject = subject.map(str::to_owned);
        let new =
            self.session(Kind::Viewer { subject, preview, watches: HOST, decodes: vec![(1, decoders)] });
        let shard = self.registry.emptiest();
        self.registry.open_viewer(new, shard).unwrap().unwrap()
    }

    fn state(&self) -> Option<MediaState> {
        self.registry.report().0.first().map(|report| report.state)
    }
}

#[test]
fn a_publisher_is_reported_from_its_first_media_on() {
    let mut fixture = Fixture::new(10);
    let (_, placed, _) = fixture.publisher(CodecFormat::Vp8, 3);
    assert!(fixture.registry.playable(ROOM).is_empty(), "not connected yet");
    fixture.registry.connected(placed.key);
    assert_eq!(fixture.registry.report(), (vec![], vec![ROOM]));
    assert!(fixture.registry.media(placed.key, Vec::new(), Some(at(10)), false), "first media is news");
    assert!(!fixture.registry.media(placed.key, Vec::new(), Some(at(12)), false));
    let (reports, watched) = fixture.registry.report();
    assert_eq!(watched, []);
    assert_eq!(reports[0].state, MediaState::Live);
    assert_eq!((reports[0].started_at, reports[0].last_media_at), (at(10), at(12)));
    assert_eq!(reports[0].key_revision, 3);
}

#[test]
fn the_new_session_of_a_reloaded_page_takes_over_when_it_is_connected() {
    let mut fixture = Fixture::new(10);
    let (_, first) = fixture.live();
    let owner = fixture.registry.playable(ROOM)[0].owner.clone();
    let (_, second, stale) = fixture.publisher(CodecFormat::Vp8, 1);
    assert_eq!((second.shard != first.shard, stale), (true, None));
    // Until then the first one plays on, and a third one replaces the second.
    let (_, third, stale) = fixture.publisher(CodecFormat::Vp8, 1);
    assert_eq!(stale, Some(Removal { shard: second.shard, key: second.key, reason: EndReason::Replaced }));
    assert_eq!(fixture.state(), Some(MediaState::Live));
    let removed = fixture.registry.connected(third.key);
    assert_eq!(removed, [Removal { shard: first.shard, key: first.key, reason: EndReason::Replaced }]);
    assert_eq!(fixture.state(), Some(MediaState::Live));
    assert_eq!(fixture.registry.playable(ROOM)[0].owner, owner);
}

#[test]
fn a_lost_publisher_leaves_its_viewers_waiting() {
    let mut fixture = Fixture::new(10);
    let (_, placed) = fixture.live();
    let viewer = fixture.viewer(None, false, vec![CodecFormat::Vp8]);
    fixture.registry.closed(placed.key, Instant::now());
    assert_eq!(fixture.state(), Some(MediaState::Lost));
    assert!(!fixture.registry.playable(ROOM).is_empty(), "others may come meanwhile");
    assert_eq!(fixture.registry.counts(), (0, 1));
    let (_, again, _) = fixture.publisher(CodecFormat::Vp8, 1);
    assert_eq!(fixture.registry.connected(again.key), []);
    assert_eq!(fixture.state(), Some(MediaState::Live));
    let order = CloseOrder { broadcast_id: ROOM, reason: CloseReason::Closed };
    let removed = fixture.registry.order(&order, &[]);
    assert_eq!(removed.len(), 2);
    assert!(removed.iter().any(|removal| removal.key == viewer.key));
    assert_eq!(fixture.registry.report(), (vec![], vec![]));
}

#[test]
fn viewers_that_cannot_decode_the_next_publisher_leave() {
    let mut fixture = Fixture::new(10);
    let (_, placed) = fixture.live();
    let vp8_only = fixture.viewer(None, false, vec![CodecFormat::Vp8]);
    let h264 = CodecFormat::H264(H264Profile::ConstrainedBaseline);
    let both = fixture.viewer(None, false, vec![CodecFormat::Vp8, h264]);
    fixture.registry.closed(placed.key, Instant::now());
    let (_, again, _) = fixture.publisher(h264, 1);
    let removed = fixture.registry.connected(again.key);
    assert_eq!(removed, [Removal { shard: vp8_only.shard, key: vp8_only.key, reason: EndReason::Codec }]);
    assert!(fixture.registry.by_key(both.key).is_some());
}

#[test]
fn delete_ends_the_broadcast_and_is_reported_until_heard() {
    let mut fixture = Fixture::new(10);
    let (id, _) = fixture.live();
    fixture.viewer(None, false, Vec::new());
    assert_eq!(fixture.registry.delete(&id, at(20)).len(), 2);
    assert_eq!(fixture.registry.counts(), (0, 0));
    assert!(fixture.registry.playable(ROOM).is_empty());
    let (reports, _) = fixture.registry.report();
    assert_eq!(reports[0].state, MediaState::Ended);
    assert_eq!(fixture.registry.report().0, reports, "until meta has answered");
    fixture.registry.reported(&reports);
    assert_eq!(fixture.registry.report(), (vec![], vec![]));
}

#[test]
fn the_end_of_a_replaced_session_is_its_own() {
    let mut fixture = Fixture::new(10);
    let (old, _) = fixture.live();
    let (_, placed, _) = fixture.publisher(CodecFormat::Vp8, 1);
    assert_eq!(fixture.registry.delete(&old, at(20)).len(), 1);
    fixture.registry.connected(placed.key);
    assert_eq!(fixture.state(), Some(MediaState::Live));
}

#[test]
fn a_revoked_key_ends_the_publisher_that_used_it_and_no_later_one() {
    let mut fixture = Fixture::new(10);
    fixture.live();
    fixture.viewer(None, false, Vec::new());
    let order = CloseOrder { broadcast_id: ROOM, reason: CloseReason::KeyRevoked };
    let (old_reports, _) = fixture.registry.report();
    assert_eq!(fixture.registry.order(&order, &old_reports).len(), 1);
    assert_eq!(fixture.registry.counts(), (0, 1), "viewers stay");
    let (_, placed, _) = fixture.publisher(CodecFormat::Vp8, 2);
    fixture.registry.connected(placed.key);
    assert_eq!(fixture.registry.order(&order, &old_reports), [], "the order was about the key before");
}

#[test]
fn viewers_count_once_a_subject_and_previews_not_at_all() {
    let mut fixture = Fixture::new(10);
    fixture.live();
    let viewers = [(Some("par_a"), false), (Some("par_a"), false), (None, false), (None, true)];
    for (subject, preview) in viewers {
        let placed = fixture.viewer(subject, preview, Vec::new());
        fixture.registry.connected(placed.key);
    }
    fixture.viewer(None, false, Vec::new());
    let snapshot = fixture.registry.viewers();
    assert_eq!(snapshot.rooms.len(), 1);
    assert_eq!(snapshot.rooms[0].subjects, ["par_a"]);
    assert_eq!(snapshot.rooms[0].anonymous, 1, "one is a preview and one is not connected");
}

#[test]
fn a_full_node_refuses_all_but_a_publisher_who_comes_back() {
    let mut fixture = Fixture::new(2);
    fixture.live();
    fixture.viewer(None, false, vec![CodecFormat::Vp8]);
    let new =
        fixture.session(Kind::Viewer { subject: None, preview: false, watches: HOST, decodes: Vec::new() });
    assert!(fixture.registry.open_viewer(new, 0).is_err());
    assert_eq!(fixture.registry.may_publish(ROOM, SOURCE), Ok(()));
    assert_eq!(fixture.registry.may_publish(BroadcastId(8), SOURCE), Err(Refused::Full));
    let (_, placed, _) = fixture.publisher(CodecFormat::Vp8, 1);
    assert_eq!(fixture.registry.connected(placed.key).len(), 1);
    assert_eq!(fixture.registry.counts(), (1, 1));
}

#[test]
fn sessions_that_do_not_connect_are_capped_by_source() {
    let mut fixture = Fixture::new(10);
    fixture.registry.seats.limits.max_half_open_per_source = 2;
    fixture.live();
    let first = fixture.viewer(None, false, Vec::new());
    let second = fixture.viewer(None, false, Vec::new());
    let new =
        fixture.session(Kind::Viewer { subject: None, preview: false, watches: HOST, decodes: Vec::new() });
    assert_eq!(fixture.registry.open_viewer(new, 0).unwrap_err(), Refused::HalfOpen);
    assert_eq!(fixture.registry.may_publish(ROOM, SOURCE), Err(Refused::HalfOpen));
    assert_eq!(fixture.registry.may_play(Ipv4Addr::BROADCAST.into()), Ok(()), "others may come");
    fixture.registry.connected(first.key);
    fixture.viewer(None, false, Vec::new());
    assert_eq!(fixture.registry.may_play(SOURCE), Err(Refused::HalfOpen));
    fixture.registry.closed(second.key, Instant::now());
    assert_eq!(fixture.registry.may_play(SOURCE), Ok(()));
}

#[test]
fn sessions_spread_over_shards_and_nothing_stays_behind() {
    let mut fixture = Fixture::new(100);
    let (_, placed) = fixture.live();
    let viewers: Vec<Placed> = (0..9).map(|_| fixture.viewer(None, false, Vec::new())).collect();
    assert_eq!(viewers.iter().filter(|viewer| viewer.shard != placed.shard).count(), 5);
    assert_eq!(fixture.registry.remove_everything().len(), 10);
    assert_eq!(fixture.registry.counts(), (0, 0));
    assert_eq!(fixture.registry.seats.load, [0, 0]);
    assert_eq!(fixture.state(), Some(MediaState::Lost), "the key may publish again elsewhere");
}

#[test]
fn a_viewer_that_said_goodbye_first_may_still_delete() {
    let mut fixture = Fixture::new(10);
    fixture.live();
    let viewer = fixture.viewer(None, false, Vec::new());
    let id = fixture.registry.ids[&viewer.key].clone();
    let now = Instant::now();
    fixture.registry.closed(viewer.key, now);
    assert!(fixture.registry.session(&id).is_none());
    assert!(fixture.registry.session_or_left(&id, ROOM, now).is_some());
    assert_eq!(fixture.registry.delete(&id, at(11)), []);
    assert!(fixture.registry.session_or_left(&id, ROOM, now).is_none(), "once");
    assert_eq!(fixture.state(), Some(MediaState::Live), "the broadcast goes on");
}

#[test]
fn a_publisher_that_said_goodbye_first_may_still_delete() {
    let mut fixture = Fixture::new(10);
    let (id, placed) = fixture.live();
    let viewer = fixture.viewer(None, false, vec![CodecFormat::Vp8]);
    fixture.registry.closed(placed.key, Instant::now());
    assert_eq!(fixture.state(), Some(MediaState::Lost));
    assert!(
        fixture.registry.session(&id).is_none()
            && fixture.registry.session_or_left(&id, ROOM, Instant::now()).is_some()
    );
    assert_eq!(
        fixture.registry.delete(&id, at(11)),
        [Removal { shard: viewer.shard, key: viewer.key, reason: EndReason::BroadcastEnded }]
    );
    assert_eq!(fixture.state(), Some(MediaState::Ended));

    // Not when somebody has come since, and not with a key that was revoked.
    let (id, placed) = fixture.live();
    fixture.registry.closed(placed.key, Instant::now());
    let (_, next) = fixture.live();
    assert!(
        fixture.registry.session_or_left(&id, ROOM, Instant::now()).is_some(),
        "it is found, and ends nothing"
    );
    assert_eq!(fixture.registry.delete(&id, at(12)), []);
    assert!(fixture.registry.session_or_left(&id, ROOM, Instant::now()).is_none());
    fixture.registry.closed(next.key, Instant::now());
    let order = CloseOrder { broadcast_id: ROOM, reason: CloseReason::KeyRevoked };
    assert_eq!(fixture.registry.order(&order, &[]), []);
    assert!(fixture.registry.rooms[&ROOM].publishers[&HOST].left.is_none());
}

#[test]
fn publishers_of_a_room_come_and_go_apart_from_each_other() {
    let mut fixture = Fixture::new(10);
    let (host, _) = fixture.live();
    let guest = fixture.session(Kind::Publisher { source: GUEST, published: published(CodecFormat::Vp9) });
    let id = guest.id.clone();
    let shard = fixture.registry.emptiest();
    let (placed, stale) = fixture.registry.open_publisher(guest, shard, 1, &mut fixture.rng).unwrap();
    assert_eq!(stale, None, "the host's session is not the guest's");
    let viewer = fixture.viewer(None, false, vec![CodecFormat::Vp8]);
    assert_eq!(fixture.registry.connected(placed.key), [], "who watches the host need not decode the guest");
    fixture.registry.media(
        placed.key,
        vec![TrackState { source: contract::destination::Source::Camera, codec: "VP9", active: true }],
        Some(at(11)),
        false,
    );
    let playable = fixture.registry.playable(ROOM);
    assert_eq!(playable.iter().map(|one| one.source).collect::<Vec<_>>(), [HOST, GUEST]);
    assert_ne!(playable[0].owner, playable[1].owner);
    let tracks = fixture.registry.tracks().rooms.remove(0).tracks;
    assert_eq!(tracks.iter().map(|track| &track.owner).collect::<Vec<_>>(), [&playable[1].owner]);

    // The host goes, the guest stays; with the guest the broadcast ends.
    assert_eq!(fixture.registry.delete(&host, at(12)).len(), 1);
    assert_eq!(fixture.state(), Some(MediaState::Live));
    assert_eq!(fixture.registry.playable(ROOM).len(), 1);
    let removed = fixture.registry.delete(&id, at(13));
    assert_eq!(removed.len(), 2);
    assert!(removed.iter().any(|removal| removal.key == viewer.key));
    assert_eq!(fixture.state(), Some(MediaState::Ended));
}

#[test]
fn who_is_not_heard_any_more_is_lost_for_viewers_and_not_for_meta() {
    let mut fixture = Fixture::new(10);
    let (_, placed) = fixture.live();
    let told = |fixture: &Fixture| fixture.registry.tracks().rooms.remove(0).media;
    assert!(fixture.registry.media(placed.key, Vec::new(), Some(at(10)), true), "it is news");
    assert_eq!((told(&fixture), fixture.state()), (MediaState::Lost, Some(MediaState::Live)));

    // While one of two is heard, there is something to see.
    let guest = fixture.session(Kind::Publisher { source: GUEST, published: published(CodecFormat::Vp8) });
    let shard = fixture.registry.emptiest();
    let (second, _) = fixture.registry.open_publisher(guest, shard, 1, &mut fixture.rng).unwrap();
    fixture.registry.connected(second.key);
    assert_eq!(told(&fixture), MediaState::Live);
    fixture.registry.closed(second.key, Instant::now());
    assert_eq!(told(&fixture), MediaState::Lost);

    assert!(fixture.registry.media(placed.key, Vec::new(), Some(at(11)), false));
    assert_eq!(told(&fixture), MediaState::Live);
    // Who comes back on a new session is heard, whatever was said of the one before.
    fixture.registry.media(placed.key, Vec::new(), Some(at(12)), true);
    let (_, next, _) = fixture.publisher(CodecFormat::Vp8, 1);
    assert_eq!(told(&fixture), MediaState::Lost);
    fixture.registry.connected(next.key);
    assert_eq!(told(&fixture), MediaState::Live);
}
