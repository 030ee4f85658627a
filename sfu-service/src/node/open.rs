//! Admission, negotiation and placement of a new session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use contract::destination::Source;
use contract::id::{BroadcastId, ParticipantId, SessionId};
use contract::key::SecretKey;
use contract::rest::Status;
use rand::RngExt as _;
use rtp::MediaKind;
use service_kit::HttpProblem;
use sfu_core::{SourceId, TrackName};
use tokio::sync::oneshot;
use transport::DataParameters;
use transport::sdp::{
    self, CodecFormat, Local, MediaSection, Offer, PlayAnswer, PlayMedia, PlayTrack, PublishMedia,
    PublishOptions, Remote, Setup,
};

use super::problem::{
    RETRY_AFTER, closed, guarded, internal, meta_problem, no_publisher, refused, sdp_problem, undecodable,
};
use super::{Node, Resource, SHARD_TIMEOUT, new_etag};
use crate::bearer;
use crate::end::EndReason;
use crate::metrics::{Role, RoleName};
use crate::published::{Formats, Published, RoomKey, SOURCES, slot};
use crate::registry::{Kind, NewSession, Placed, Playable, Removal};
use crate::shard::{self, Command, Join, JoinRole, LayerChoice};

/// The publisher of a broadcast: whoever comes by WHIP, one at a time.
const HOST: SourceId = SourceId(0);

/// A session that has been opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// WHIP or WHEP.
    pub(crate) resource: Resource,
    /// The broadcast.
    pub(crate) broadcast: BroadcastId,
    /// The session.
    pub(crate) session: SessionId,
    /// Entity tag, with quotes.
    pub(crate) etag: String,
    /// The answer.
    pub(crate) sdp: String,
}

/// Who wants to watch.
#[derive(Debug)]
pub(crate) struct Viewer<'a> {
    /// Whom it counts for until it is connected.
    pub(crate) source: IpAddr,
    /// Subject of the token.
    pub(crate) subject: Option<String>,
    /// A preview, not counted.
    pub(crate) preview: bool,
    /// The bearer as it was sent.
    pub(crate) bearer: Option<&'a str>,
}

impl Node {
    /// WHIP: takes a publisher in.
    pub(crate) async fn publish(
        &self,
        broadcast: BroadcastId,
        source: IpAddr,
        key: &SecretKey,
        offer: &str,
    ) -> Result<Opened, HttpProblem> {
        let offer = parse_offer(offer)?;
        // Negotiated twice: before asking meta, so that an offer without use costs nothing, and again for the shard
        // that serves it, whose addresses the answer names.
        self.answer_publish(&offer, &self.local(Vec::new()))?;
        let admitted = self.meta.admit(broadcast, key.reveal()).await.map_err(meta_problem)?;
        let shard = self.registry().emptiest();
        let local = self.local(self.addresses.get(shard).cloned().unwrap_or_default());
        let answer = self.answer_publish(&offer, &local)?;
        let published = Arc::new(Published {
            extensions: answer.extensions,
            tracks: shard::tracks(&answer.media),
            formats: formats(&answer.media),
            remb: answer.media.iter().any(|media| media.codec.feedback.remb),
            reduced_size: answer.reduced_size,
            participant: None,
        });
        let (session, etag) = (SessionId::random(&mut rand::rng()), new_etag());
        let new = NewSession {
            id: session.clone(),
            broadcast,
            kind: Kind::Publisher { source: HOST, published: published.clone() },
            source,
            bearer: Some(bearer::hash(key.reveal())),
            etag: etag.clone(),
            remote_ufrag: answer.remote.ice.ufrag.clone(),
            now: Instant::now(),
        };
        let (placed, stale) = self
            .registry()
            .open_publisher(new, shard, admitted.key_revision, &mut rand::rng())
            .map_err(refused)?;
        self.remove(stale);
        let participant = self.registry().owner(broadcast, HOST).ok_or_else(internal)?;
        let role = JoinRole::Publisher { source: HOST, published };
        self.join(
            &placed,
            (RoomKey::Broadcast(broadcast), participant),
            &local,
            &answer.remote,
            answer.data,
            role,
        )
        .await?;
        tracing::info!(room.id = %broadcast, "a publisher has come");
        Ok(Opened { resource: Resource::Whip, broadcast, session, etag, sdp: answer.text })
    }

    fn answer_publish(&self, offer: &Offer, local: &Local) -> Result<sdp::PublishAnswer, HttpProblem> {
        guarded(|| sdp::answer_publish(offer, local, &PublishOptions::default()))?.map_err(sdp_problem)
    }

    /// WHEP: takes a viewer in.
    pub(crate) async fn play(
        &self,
        broadcast: BroadcastId,
        viewer: Viewer<'_>,
        offer: &str,
    ) -> Result<Opened, HttpProblem> {
        let offer = parse_offer(offer)?;
        let publishers = self.registry().playable(broadcast);
        let Some(playable) = publishers.first() else { return Err(self.why_not_playable(broadcast).await) };
        let shard = self.registry().emptiest();
        let local = self.local(self.addresses.get(shard).cloned().unwrap_or_default());
        let tracks = play_tracks(playable, &offer);
        let answer = guarded(|| sdp::answer_play(&offer, &local, &tracks))?.map_err(sdp_problem)?;
        let published = playable.published.formats.iter().flatten().count();
        // Of what is not published nothing is missing yet.
        if let Some(refused) = answer.refusal(tracks.get(..published).unwrap_or_default()) {
            return Err(undecodable(refused.format));
        }
        let (session, etag) = (SessionId::random(&mut rand::rng()), new_etag());
        let Viewer { source, subject, preview, bearer: token } = viewer;
        // In room data a person has the name that it has in chat.
        let named = subject.as_deref().and_then(|subject| subject.parse().ok());
        let participant = named.unwrap_or_else(|| ParticipantId::random(&mut rand::rng()));
        let watches = playable.source;
        let new = NewSession {
            id: session.clone(),
            broadcast,
            kind: Kind::Viewer { subject, preview, watches, decodes: decodes(&answer, &tracks) },
            source,
            bearer: token.map(bearer::hash),
            etag: etag.clone(),
            remote_ufrag: answer.remote.ice.ufrag.clone(),
            now: Instant::now(),
        };
        let opened = self.registry().open_viewer(new, shard);
        let placed = opened.map_err(refused)?.ok_or_else(no_publisher)?;
        let role = JoinRole::Viewer {
            sections: sections(&answer, &tracks, watches),
            published: publishers.into_iter().map(|one| (one.source, one.published)).collect(),
            extensions: answer.extensions,
            reduced_size: answer.reduced_size,
        };
        self.join(
            &placed,
            (RoomKey::Broadcast(broadcast), participant),
            &local,
            &answer.remote,
            answer.data,
            role,
        )
        .await?;
        Ok(Opened { resource: Resource::Whep, broadcast, session, etag, sdp: answer.text })
    }

    async fn why_not_playable(&self, broadcast: BroadcastId) -> HttpProblem {
        match self.meta.status(broadcast).await {
            Ok(Status::Closed) => closed(),
            Ok(Status::Ready | Status::Streaming) => no_publisher(),
            Err(error) => meta_problem(error),
        }
    }

    /// Hands a session to its shard and waits until it is there; otherwise nothing of it stays.
    pub(super) async fn join(
        &self,
        placed: &Placed,
        (room, participant): (RoomKey, ParticipantId),
        local: &Local,
        remote: &Remote,
        data: Option<DataParameters>,
        role: JoinRole,
    ) -> Result<(), HttpProblem> {
        self.update_gauges();
        let name = match role {
            JoinRole::Publisher { .. } => RoleName::Publisher,
            JoinRole::Viewer { .. } | JoinRole::Member { .. } => RoleName::Viewer,
        };
        let join = Join {
            key: placed.key,
            room,
            participant,
            local: local.ice.clone(),
            remote: remote.ice.clone(),
            remote_fingerprint: remote.fingerprint.clone(),
            dtls_client: remote.setup.answer() == Setup::Active,
            data,
            role,
        };
        let (reply, answer) = oneshot::channel();
        let shard = self.shards.get(placed.shard).ok_or_else(internal)?;
        let sent = shard.send(Command::Join(Box::new(join), reply));
        let joined = match sent {
            Ok(()) => tokio::time::timeout(SHARD_TIMEOUT, answer).await,
            Err(shard::InboxFull) => Ok(Ok(Err("its inbox is full".to_owned()))),
        };
        if let Ok(Ok(Ok(()))) = joined {
            self.metrics.opened.get_or_create(&Role { role: name }).inc();
            return Ok(());
        }
        tracing::warn!(shard = placed.shard, "a media thread did not take a session");
        {
            let (mut registry, now) = (self.registry(), Instant::now());
            if !registry.call_closed(placed.key, now) {
                registry.closed(placed.key, now);
            }
        }
        self.remove([Removal { shard: placed.shard, key: placed.key, reason: EndReason::NotTaken }]);
        Err(HttpProblem::unavailable("the server is overloaded", RETRY_AFTER))
    }
}

pub(super) fn parse_offer(text: &str) -> Result<Offer, HttpProblem> {
    guarded(|| Offer::parse(text))?.map_err(sdp_problem)
}

pub(super) fn formats(media: &[PublishMedia]) -> Formats {
    let format = |source| media.iter().find(|media| media.source == source).map(|media| media.codec.format);
    SOURCES.map(format)
}

/// The tracks that a viewer gets, each with SSRCs of its own: those that are published, which choose their m-lines
/// first, then those that a later session of the publisher may bring. Viewers are not renegotiated, so m-lines that
/// are left over are for them.
fn play_tracks(playable: &Playable, offer: &Offer) -> Vec<PlayTrack> {
    let mut ssrcs = Vec::new();
    let mut ssrc = || loop {
        let candidate: u32 = rand::rng().random();
        if candidate != 0 && !ssrcs.contains(&candidate) {
            ssrcs.push(candidate);
            return candidate;
        }
    };
    let slots = || SOURCES.into_iter().zip(&playable.tracks).zip(playable.published.formats);
    let published = slots().filter_map(|((source, id), format)| Some((source, id, format?)));
    let absent = slots().filter(|(_, format)| format.is_none());
    let spare = absent.filter_map(|((source, id), _)| Some((source, id, spare_format(offer, source)?)));
    published
        .chain(spare)
        .map(|(source, id, format)| PlayTrack {
            id: id.to_string(),
            owner: playable.owner.to_string(),
            source,
            format,
            ssrc: ssrc(),
            rtx_ssrc: ssrc(),
        })
        .collect()
}

/// A codec for a source that nobody sends yet: the one that the viewer likes best. The answer names the others, too.
fn spare_format(offer: &Offer, source: Source) -> Option<CodecFormat> {
    let is_audio = matches!(source, Source::Microphone | Source::ScreenAudio);
    let kind = if is_audio { MediaKind::Audio } else { MediaKind::Video };
    let receives = |section: &&MediaSection| section.kind == Some(kind) && section.direction.receives();
    offer.media.iter().filter(receives).find_map(|section| Some(section.codecs.first()?.format))
}

/// What the viewer decodes in each slot that it gets.
fn decodes(answer: &PlayAnswer, tracks: &[PlayTrack]) -> Vec<(usize, Vec<CodecFormat>)> {
    let formats = |media: &PlayMedia| media.codecs.iter().map(|codec| codec.format).collect();
    let agreed = answer.media.iter();
    agreed.filter_map(|media| Some((slot(tracks.get(media.track)?.source), formats(media)))).collect()
}

/// What the viewer's shard has to know of each slot of `source` that it gets.
fn sections(answer: &PlayAnswer, tracks: &[PlayTrack], source: SourceId) -> Vec<shard::MediaSection> {
    let section = |media: &PlayMedia| {
        let track = tracks.get(media.track)?;
        Some(shard::MediaSection {
            shows: TrackName { source, track: shard::track_index(track.source) },
            cname: track.owner.as_str().into(),
            mid: media.mid,
            ssrc: media.ssrc,
            rtx_ssrc: media.rtx_ssrc,
            formats: media.codecs.iter().map(shard::format).collect(),
            id: None,
            mismatch: false,
            choice: LayerChoice::default(),
        })
    };
    answer.media.iter().filter_map(section).collect()
}
