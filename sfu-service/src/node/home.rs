//! This node as the home of rooms: what sessions and commands mean to the state of a room, and what that asks for in turn.
//! Signaling and meta may be away: media goes on, and whoever changes what has to be stored is told that it is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use contract::call::CallSource;
use contract::destination::{NodeTracks, NodeViewers};
use contract::group::{GroupOrder, GroupReport, OpenedGroup, PutRules};
use contract::id::{GroupId, ParticipantId};
use contract::room_state::{NodeRoom, Quality, RoomSnapshot, WhyGone};
use futures_util::{StreamExt as _, stream};
use room::{JoinRefused, Joining, WriteId};
use service_kit::HttpProblem;
use service_kit::shutdown::CancellationToken;
use stomp_proto::client::Message;
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::Node;
use super::problem::{RETRY_AFTER, room_problem};
use crate::end::EndReason;
use crate::homes::{Homes, Order, Said, WhyEnded};
use crate::meta::MetaError;
use crate::published::SessionKey;
use crate::registry::Opening;
use crate::shard::Command;
use crate::signaling::Snapshots;

/// Rules that wait to be stored, of all rooms. Beyond, whoever changes one is told that it is not stored.
pub(crate) const MAX_STORES: usize = 1_024;
/// Rules that are being stored at once.
const STORES_AT_ONCE: usize = 16;
/// Tries to store rules, and the time between them.
const STORE_TRIES: u32 = 3;
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Longest wait for somebody else who asks meta for the same room: as long as meta may take.
const MAX_ASK_WAIT: Duration = Duration::from_secs(3);

/// Who asks meta for a room: one at a time for each.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<HashMap<GroupId, Weak<Turn>>>);

type Turn = tokio::sync::Mutex<()>;

impl Asks {
    /// What is held by whoever asks for this room.
    fn turn(&self, group: &GroupId) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let known = turns.get(group).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(group.clone(), Arc::downgrade(&turn));
            turn
        })
    }
}

/// What meta has said of a room. Nobody else asks while this is there.
#[derive(Debug)]
pub(super) struct Asked {
    opened: OpenedGroup,
    _turn: OwnedMutexGuard<()>,
}

/// Rules that have to be stored.
#[derive(Debug)]
pub(crate) struct Store {
    group: GroupId,
    write: WriteId,
    put: PutRules,
}

impl Node {
    /// The rooms whose home this is. Held for moments only, never across an await.
    pub(super) fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the room of `group` at meta, unless somebody is in it here. An opening of a room that this node does not hold
    /// begins a new epoch there, in which whoever is in by an older one is sent away: so nobody else asks until this one is
    /// in.
    pub(super) async fn ask_for_room(&self, group: &GroupId) -> Result<Option<Asked>, HttpProblem> {
        // One that nobody is in may be forgotten before this one comes in.
        if self.homes().has_anybody(group) {
            return Ok(None);
        }
        let turn = tokio::time::timeout(MAX_ASK_WAIT, self.asks.turn(group).lock_owned()).await;
        let turn = turn.map_err(|_| HttpProblem::unavailable("the room is not opened yet", RETRY_AFTER))?;
        // Whoever asked before may be in now.
        if self.homes().has_anybody(group) {
            return Ok(None);
        }
        let epoch = {
            let homes = self.homes();
            if !homes.is_home(group) && !homes.has_space() {
                return Err(HttpProblem::unavailable(
                    "this server has as many rooms as it takes",
                    RETRY_AFTER,
                ));
            }
            homes.epoch(group)
        };
        let opened = self.meta.open_group(group, epoch).await;
        let opened = opened.map_err(|error| room_problem(error, group))?;
        self.homes().open(&opened);
        Ok(Some(Asked { opened, _turn: turn }))
    }

    /// Whether somebody may come in, before meta is asked. Of a room that is not open here nothing is known yet: yes.
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub(super) fn may_enter_as_known(&self, group: &GroupId, joining: &Joining) -> Result<(), JoinRefused> {
        let homes = self.homes();
        if homes.is_home(group) { homes.may_join(group, joining) } else { Ok(()) }
    }

    /// Whether somebody may come in, after what was `asked`.
    pub(super) fn may_enter(
        &self,
        asked: Option<&Asked>,
        group: &GroupId,
        joining: &Joining,
    ) -> Result<(), JoinRefused> {
        let mut homes = self.homes();
        asked.into_iter().for_each(|asked| homes.open(&asked.opened));
        homes.may_join(group, joining)
    }

    /// Somebody comes in. `asked` is as for [`Node::may_enter`]: a room that nobody was in may be forgotten since.
    pub(super) fn enter(
        &self,
        asked: Option<&Asked>,
        group: &GroupId,
        joining: Joining,
        now: Instant,
    ) -> Result<(), JoinRefused> {
        let entered = {
            let mut homes = self.homes();
            asked.into_iter().for_each(|asked| homes.open(&asked.opened));
            homes.join(group, joining, now)
        };
        self.said.notify_one();
        entered
    }

    /// What somebody publishes from now on. Whether it is still there: while its connections were handed over its
    /// session may have ended, or been opened anew.
    #[must_use]
    pub(super) fn publishes(
        &self,
        group: &GroupId,
        opening: &Opening,
        who: &ParticipantId,
        sources: &[CallSource],
        now: Instant,
    ) -> bool {
        let orders = {
            let registry = self.registry();
            let mut homes = self.homes();
            if !registry.is_whole(opening) || !homes.is_in(group, who) {
                return false;
            }
            homes.set_quality(group, who, Quality::Good, now);
            homes.publish(group, who, sources, now)
        };
        self.carry_out(orders, now);
        true
    }

    /// What everybody in the room knows.
    pub(super) fn room_state(&self, group: &GroupId, now: Instant) -> RoomSnapshot {
        self.homes().snapshot(group, now).unwrap_or_default()
    }

    /// A session of a call has lost a connection: it may be resumed.
    pub(super) fn is_lost(&self, group: &GroupId, who: &ParticipantId, now: Instant) {
        self.homes().set_quality(group, who, Quality::Lost, now);
        self.said.notify_one();
    }

    /// How good a connection of a call is.
    pub(super) fn quality_is(&self, key: SessionKey, quality: Quality, now: Instant) {
        // Held: the same session may be about to be opened anew.
        let mut registry = self.registry();
        if let Some((group, who, quality)) = registry.call_quality(key, quality) {
            self.homes().set_quality(&group, &who, quality, now);
            drop(registry);
            self.said.notify_one();
        }
    }

    /// Somebody has left.
    pub(super) fn has_left(&self, group: &GroupId, who: &ParticipantId, now: Instant) {
        self.homes().leave(group, who, WhyGone::Left, now);
        self.said.notify_one();
    }

    /// Whoever has no session any more is not in the room: it was waited for in vain.
    pub(super) fn forget_lost(&self, now: Instant) {
        let registry = self.registry();
        let mut homes = self.homes();
        homes.retain(|group, who| registry.session_of(group, who).is_some(), now);
        homes.close_empty(now);
        drop(homes);
        drop(registry);
        self.said.notify_one();
    }

    /// The groups whose home this is.
    pub(crate) fn group_reports(&self) -> Vec<GroupReport> {
        self.homes().reports()
    }

    /// What meta wants of a room.
    pub(crate) fn group_order(&self, order: &GroupOrder) {
        let orders = self.homes().ordered(order);
        self.carry_out(orders, Instant::now());
    }

    /// Does what the state of a room asks for.
    fn carry_out(&self, orders: Vec<Order>, now: Instant) {
        for order in orders {
            match order {
                Order::Gate { group, participant, source, state, number } => {
                    let publishing = self.registry().publishing(&group, &participant);
                    if let Some((shard, key)) = publishing {
                        self.tell(shard, Command::Gate { key, source, state, number });
                    }
                }
                Order::End { group, participant, why } => {
                    let reason = match why {
                        WhyEnded::Removed => EndReason::Removed,
                        WhyEnded::Deleted => EndReason::RoomEnded,
                        WhyEnded::Moved => EndReason::RoomMoved,
                    };
                    let session = self.registry().session_of(&group, &participant);
                    if let Some(session) = session {
                        self.leave_call(&session, reason);
                    }
                }
                Order::Store { group, write, put } => {
                    if let Err(full) = self.stores.try_send(Store { group, write, put }) {
                        let Store { group, write, .. } = full.into_inner();
                        self.stored(&group, write, false, now);
                    }
                }
            }
        }
        self.said.notify_one();
    }

    fn stored(&self, group: &GroupId, write: WriteId, is_stored: bool, now: Instant) {
        let orders = self.homes().stored(group, write, is_stored, now);
        self.carry_out(orders, now);
    }

    async fn store(&self, Store { group, write, put }: Store) {
        let mut is_stored = false;
        for round in 0..STORE_TRIES {
            if round > 0 {
                tokio::time::sleep(STORE_PAUSE).await;
            }
            match self.meta.put_rules(&group, &put).await {
                Ok(()) => {
                    is_stored = true;
                    break;
                }
                Err(error @ MetaError::Away(_)) => {
                    tracing::warn!(room.id = %group, %error, "the rules of a room are not stored yet");
                }
                Err(error) => {
                    tracing::info!(room.id = %group, %error, "the rules of a room are not stored");
                    break;
                }
            }
        }
        self.stored(&group, write, is_stored, Instant::now());
    }
}

/// Stores rules until `stop`.
pub(crate) async fn store_rules(
    node: std::sync::Arc<Node>,
    stores: mpsc::Receiver<Store>,
    stop: CancellationToken,
) {
    let all = stream::unfold(stores, |mut stores| async move { Some((stores.recv().await?, stores)) });
    let storing = all.for_each_concurrent(STORES_AT_ONCE, |store| {
        let node = node.clone();
        async move { node.store(store).await }
    });
    // The node holds the sending end, so only `stop` ends this.
    let _ = stop.run_until_cancelled(storing).await;
}

impl Snapshots for Node {
    fn viewers(&self) -> NodeViewers {
        self.registry().viewers()
    }

    fn tracks(&self) -> NodeTracks {
        self.registry().tracks()
    }

    fn begin(&self) -> Vec<NodeRoom> {
        self.homes().begin()
    }

    fn rooms(&self) -> Vec<NodeRoom> {
        self.homes().snapshots()
    }

    fn poll_said(&self, now: Instant) -> Option<Said> {
        self.homes().poll_said(now)
    }

    fn said_timeout(&self, now: Instant) -> Option<Instant> {
        self.homes().poll_timeout(now)
    }

    fn hear(&self, message: &Message, now: Instant) {
        let orders = self.homes().command(&message.headers, &message.body, now);
        self.carry_out(orders, now);
    }
}
