//! A participant of a call on the transport crate: a connection that publishes a camera and a microphone, and one that
//! receives two tiles and a voice.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeSet;
use std::time::Instant;

use contract::call::{
    CallEvent, JoinCall, JoinedCall, OfferedSlot, OfferedSource, PublishOffer, ReceiveOffer, SlotKind, Want,
    Wants,
};
use contract::destination::Source;
use contract::id::{GroupId, SessionId};
use contract::room::Room;
use contract::token::{Grant, Role};
use rtp::{Extension, Extensions, MediaKind};
use transport::sdp::{
    ClientMedia, ClientOffer, CodecFormat, Direction, Feedback, Msid, PayloadFormat, SsrcPair,
};
use transport::{ChannelConfig, ChannelId, Event, Identity};

use super::common::{Sfu, keys};
use super::light::{Light, PAYLOAD_TYPE, RTX_PAYLOAD_TYPE, SOUND_PAYLOAD_TYPE, SOUND_SSRC, SSRC};

/// A join token of `subject` for `group`.
pub(crate) fn token(group: &GroupId, subject: &str, grants: &[Grant]) -> String {
    let role = Role::Join { room: Room::from(group), grants: grants.to_vec(), name: None };
    keys().mint(subject, role, service_kit::unix_now(), 3_600)
}

/// Both offers of a participant.
pub(crate) struct Offers {
    identity: Identity,
    publish: ClientOffer,
    receive: ClientOffer,
}

impl Offers {
    pub(crate) fn new() -> Self {
        let identity = Identity::generate().unwrap();
        let extensions = Extensions::numbered(&[Extension::Mid]);
        let line = |mid: &str, kind, sends: bool| {
            let video = kind == MediaKind::Video;
            let codec = PayloadFormat {
                payload_type: if video { PAYLOAD_TYPE } else { SOUND_PAYLOAD_TYPE },
                format: if video { CodecFormat::Vp8 } else { CodecFormat::Opus },
                fmtp: String::new(),
                feedback: Feedback {
                    transport_cc: false,
                    ..if video { Feedback::VIDEO } else { Feedback::default() }
                },
                rtx: (video && !sends).then_some(RTX_PAYLOAD_TYPE),
            };
            let direction = if sends { Direction::SendOnly } else { Direction::RecvOnly };
            let ssrc = if video { SSRC } else { SOUND_SSRC };
            ClientMedia {
                msid: sends.then(|| Msid { stream: "s".into(), track: Some(mid.into()) }),
                ssrc: sends.then_some(SsrcPair { media: ssrc, rtx: None }),
                ..ClientMedia::new(mid.parse().unwrap(), kind, direction, vec![codec], extensions)
            }
        };
        let (audio, video) = (MediaKind::Audio, MediaKind::Video);
        let publish = vec![line("0", video, true), line("1", audio, true)];
        let receive = vec![
            line("0", video, false),
            line("1", video, false),
            line("2", audio, false),
            ClientMedia::data_channels("3".parse().unwrap()),
        ];
        let offer = |media| ClientOffer::new(&identity, media, &mut rand::rng());
        let (publish, receive) = (offer(publish), offer(receive));
        Self { identity, publish, receive }
    }

    /// The body that joins with them.
    pub(crate) fn body(&self, name: &str) -> JoinCall {
        let source = |mid: &str, source| OfferedSource { mid: mid.into(), source };
        let slot = |mid: &str, kind| OfferedSlot { mid: mid.into(), kind };
        JoinCall {
            publish: Some(PublishOffer {
                sdp: self.publish.to_sdp(),
                sources: vec![source("0", Source::Camera), source("1", Source::Microphone)],
            }),
            receive: Some(ReceiveOffer {
                sdp: self.receive.to_sdp(),
                slots: vec![slot("0", SlotKind::Tile), slot("1", SlotKind::Tile), slot("2", SlotKind::Voice)],
            }),
            wants: Wants::default(),
            name: Some(name.into()),
            resume: None,
        }
    }
}

/// A participant with both of its connections.
pub(crate) struct Caller {
    pub(crate) joined: JoinedCall,
    pub(crate) publish: Light,
    pub(crate) receive: Light,
    channel: ChannelId,
    generation: u32,
}

pub(crate) async fn post(
    sfu: &Sfu,
    group: &GroupId,
    bearer: Option<&str>,
    body: &impl serde::Serialize,
) -> reqwest::Response {
    let mut request = sfu.http.post(format!("{}/rooms/{group}/sessions", sfu.base));
    request = request.header("content-type", "application/json");
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    request.body(serde_json::to_string(body).unwrap()).send().await.unwrap()
}

impl Caller {
    /// Joins and connects.
    pub(crate) async fn join(sfu: &Sfu, group: &GroupId, subject: &str) -> Self {
        Self::join_with(sfu, group, subject, &[Grant::Publish, Grant::Subscribe]).await
    }

    /// Joins with these grants, and connects.
    pub(crate) async fn join_with(sfu: &Sfu, group: &GroupId, subject: &str, grants: &[Grant]) -> Self {
        let token = token(group, subject, grants);
        let offers = Offers::new();
        let body = offers.body(subject);
        let response = post(sfu, group, Some(&token), &body).await;
        Self::connect(sfu, offers, response).await
    }

    /// Resumes a session without a token.
    pub(crate) async fn resume(sfu: &Sfu, group: &GroupId, session: &SessionId, wants: Wants) -> Self {
        let offers = Offers::new();
        let body = JoinCall { resume: Some(session.clone()), wants, ..offers.body("") };
        let response = post(sfu, group, None, &body).await;
        Self::connect(sfu, offers, response).await
    }

    async fn connect(sfu: &Sfu, offers: Offers, response: reqwest::Response) -> Self {
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, etag) = (header("location"), header("etag"));
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(status, 201, "{text}");
        let joined: JoinedCall = serde_json::from_str(&text).unwrap();
        let resource = (format!("{}{}", sfu.base, location.unwrap()), etag.unwrap());
        let Offers { identity, publish, receive } = offers;
        let any = |_: &_| true;
        let answer = joined.publish_sdp.clone().unwrap();
        let publish = Light::connect(&identity, &publish, answer, false, any, resource.clone()).await;
        let answer = joined.receive_sdp.clone().unwrap();
        let mut receive = Light::connect(&identity, &receive, answer, false, any, resource).await;
        let config = ChannelConfig::reliable(contract::call::CALL_CHANNEL);
        let channel = receive.transport.open_data_channel(config, Instant::now()).unwrap();
        let is_open =
            |event: &Event| matches!(event, Event::DataChannelOpened { channel: it, .. } if *it == channel);
        let look = |light: &mut Light| light.events.iter().any(is_open).then_some(());
        receive.until("the channel", look).await;
        let generation = joined.bound.wants;
        Self { joined, publish, receive, channel, generation }
    }

    /// The number of one of its own sources.
    pub(crate) fn csrc(&self, source: Source) -> u32 {
        self.joined.sources.iter().find(|own| own.source == source).unwrap().csrc
    }

    /// Says on the channel that these are wanted in tiles.
    pub(crate) fn want(&mut self, sources: &[u32]) {
        self.generation += 1;
        let want = |source: &u32| Want {
            source: *source,
            slot: SlotKind::Tile,
            height: 0,
            priority: 0,
            pinned: false,
        };
        let wants = Wants { generation: self.generation, sources: sources.iter().map(want).collect() };
        self.say(&serde_json::to_string(&wants).unwrap());
    }

    /// Says something on the channel.
    pub(crate) fn say(&mut self, text: &str) {
        let now = Instant::now();
        self.receive.transport.send_data(self.channel, text.as_bytes(), false, now).unwrap();
    }

    /// What was said on its channel so far.
    pub(crate) fn heard(&self) -> Vec<CallEvent> {
        let events = self.receive.events.iter().filter_map(|event| match event {
            Event::Data { channel, bytes, binary: false } if *channel == self.channel => {
                Some(serde_json::from_slice(bytes).expect("what is said is described"))
            }
            _ => None,
        });
        events.collect()
    }

    /// The CSRCs of the packets that came, which are taken.
    pub(crate) fn take_seen(&mut self) -> BTreeSet<u32> {
        let packets = self.receive.packets.drain(..);
        packets.filter_map(|packet| csrc(&packet)).collect()
    }

    /// Films and speaks once, and takes what has come.
    pub(crate) async fn turn(&mut self) {
        self.publish.film().await;
        self.publish.speak().await;
        self.publish.catch_up().await;
        self.receive.step().await;
    }
}

/// The only CSRC of a packet.
pub(crate) fn csrc(packet: &[u8]) -> Option<u32> {
    assert!(packet[0] & 0x0F <= 1, "a slot shows one source");
    (packet[0] & 0x0F == 1).then(|| u32::from_be_bytes(packet[12..16].try_into().unwrap()))
}
