//! The group of a call: its creation, its tokens, and who joins its room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::call::{JoinedCall, PatchCall, PatchedCall, SlotKind, Want, Wants};
use contract::destination::Source;
use contract::group::{CreateGroup, CreatedGroup};
use contract::rest::{JoinToken, TokenRequest};
use reqwest::Method;
use url::Url;

use super::Order;
use super::offers::Offers;
use super::seat::Seat;
use super::slots::{Goal, GoalKind};
use crate::client::Shared;
use crate::http::{Http, HttpError, Session};
use crate::scenario::Scenario;
use crate::worker::Fleet;

/// Where a call is.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    meta: String,
    rooms: String,
    id: String,
    owner_key: Option<String>,
    pub(crate) signaling: String,
}

/// Somebody who has joined.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) token: JoinToken,
    pub(crate) session: Session,
    pub(crate) answer: JoinedCall,
    /// The first wants, which were said by PATCH.
    pub(crate) wants: Wants,
    /// Bytes of all bodies of the join.
    pub(crate) bytes: usize,
    /// From the POST to its answer.
    pub(crate) answered: Duration,
}

impl Group {
    /// The group that the scenario names, or a new one with room for `most` people.
    pub(crate) async fn open(http: &Http, scenario: &Scenario, most: usize) -> Result<Self, HttpError> {
        let server = &scenario.server;
        let meta = server.meta_url.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        let rooms = server.rooms_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let signaling = server.signaling_url.clone();
        let mut group = Self {
            rooms: rooms.unwrap_or_else(|| meta.clone()),
            id: String::new(),
            owner_key: None,
            signaling: signaling.unwrap_or_else(|| format!("{}/streaming", meta.replacen("http", "ws", 1))),
            meta,
        };
        if let Some(id) = scenario.call.as_ref().and_then(|call| call.group.clone()) {
            return Ok(Self { id, ..group });
        }
        let body = CreateGroup {
            name: "probe".into(),
            max_participants: Some(u32::try_from(most).unwrap_or(u32::MAX)),
            ..CreateGroup::default()
        };
        let (url, bearer) = (format!("{}/groups", group.meta), server.meta_bearer.as_deref());
        let (created, _) =
            http.json::<CreatedGroup>("POST /groups", Method::POST, &url, bearer, &body).await?;
        (group.id, group.owner_key) = (created.group.id.to_string(), Some(created.owner_key));
        Ok(group)
    }

    /// Where the state of its room is told.
    pub(crate) fn topic(&self) -> String {
        format!("/topic/-/room/{}", self.id)
    }

    /// Where commands go.
    pub(crate) fn commands(&self) -> String {
        format!("/app/-/room/{}", self.id)
    }

    /// A join token of somebody new.
    pub(crate) async fn token(&self, http: &Http) -> Result<JoinToken, HttpError> {
        let url = format!("{}/groups/{}/token", self.meta, self.id);
        let body = TokenRequest {
            grants: Some(contract::token::Grant::PARTICIPANT.to_vec()),
            ..TokenRequest::default()
        };
        let what = "POST /groups/{id}/token";
        let (token, _) =
            http.json::<JoinToken>(what, Method::POST, &url, self.owner_key.as_deref(), &body).await?;
        Ok(token)
    }

    /// Joins, connects, and says what is wanted: the first `tiles` pictures of `page`, given those that are there.
    pub(crate) async fn join(
        &self,
        http: &Http,
        shared: &Shared,
        scenario: &Scenario,
        fleet: &Fleet,
        seat: &Arc<Seat>,
        token: JoinToken,
    ) -> Result<Joined, String> {
        let call = scenario.call.clone().unwrap_or_default();
        let offers = Offers::new(shared, &call);
        let body = offers.body(format!("caller {}", seat.number));
        let url = format!("{}/rooms/{}/sessions", self.rooms, self.id);
        let asked = Instant::now();
        let what = "the POST that joins";
        let joined = http.json::<JoinedCall>(what, Method::POST, &url, Some(&token.token), &body).await;
        let (answer, mut bytes) = joined.map_err(|error| error.to_string())?;
        let answered = asked.elapsed();
        let session = Session {
            url: Url::parse(&format!("{url}/{}", answer.session)).ok(),
            bearer: None,
            answer: String::new(),
        };
        match self.begin(http, scenario, fleet, seat, offers, &answer, session.url.as_ref(), asked).await {
            Ok((wants, more)) => {
                bytes += more;
                Ok(Joined { token, session, answer, wants, bytes, answered })
            }
            Err(reason) => {
                // Nobody is left behind who is in nobody's list.
                fleet.unpublish(seat.number).await;
                fleet.leave(seat.number).await;
                http.end(&session).await;
                Err(reason)
            }
        }
    }

    /// Connects who has got an answer. Returns the first wants, and the bytes of their bodies.
    #[allow(clippy::too_many_arguments, reason = "what a join is made of")]
    async fn begin(
        &self,
        http: &Http,
        scenario: &Scenario,
        fleet: &Fleet,
        seat: &Arc<Seat>,
        offers: Offers,
        answer: &JoinedCall,
        session: Option<&Url>,
        asked: Instant,
    ) -> Result<(Wants, usize), String> {
        let call = scenario.call.clone().unwrap_or_default();
        for own in &answer.sources {
            seat.owners.add(own.csrc, seat.number);
        }
        let (publish, receive) = offers.accept(answer, seat).map_err(|error| error.to_string())?;
        fleet.publish(seat.number, publish, asked);
        fleet.view(seat.number, receive, asked);
        fleet.order(seat.number, Order::Bound(Box::new(answer.bound.clone())));
        let pictures: Vec<u32> = cameras(answer).take(call.tiles).collect();
        let speaking = usize::from(call.talk_joining == crate::scenario::Talk::All) * answer.people.len();
        let voices = call.voices.min(speaking);
        let goal = Goal { asked, pictures: pictures.clone(), voices, kind: GoalKind::Join };
        fleet.order(seat.number, Order::Aim(goal));
        let wants = wants(1, &pictures, call.height);
        let mut bytes = 0;
        if let Some(session) = session.filter(|_| !pictures.is_empty()) {
            let body = PatchCall { wants: Some(wants.clone()), ..PatchCall::default() };
            let what = "the PATCH that wants";
            let patched = http.json::<PatchedCall>(what, Method::PATCH, session.as_str(), None, &body).await;
            let (patched, more) = patched.map_err(|error| error.to_string())?;
            bytes = more;
            fleet.order(seat.number, Order::Bound(Box::new(patched.bound)));
        }
        Ok((wants, bytes))
    }
}

/// The cameras of the others, the last comers first.
fn cameras(answer: &JoinedCall) -> impl Iterator<Item = u32> + '_ {
    let sources = answer.people.iter().rev().flat_map(|person| &person.sources);
    sources.filter(|source| source.source == Source::Camera).map(|source| source.csrc)
}

/// Wants of these pictures.
pub(crate) fn wants(generation: u32, pictures: &[u32], height: u16) -> Wants {
    let want =
        |source: &u32| Want { source: *source, slot: SlotKind::Tile, height, priority: 0, pinned: false };
    Wants { generation, sources: pictures.iter().map(want).collect() }
}
