//! How a broadcast moves: READY, then STREAMING, then CLOSED, and never back. Pure: rows, reports and `now` in,
//! changes and orders out.
//!
//! ```text
//!            first media, a peer-to-peer streamer
//!   READY ----------------------------------------> STREAMING
//!     |                                                 |
//!     | 24 h without media, closed by its owner         | ended, closed by its owner,
//!     |                                                 | 30 s without a publisher
//!     +------------------> CLOSED <---------------------+
//! ```

use chrono::{DateTime, TimeDelta, Utc};
use contract::group::HOME_LEASE_SECS;
use contract::rest::{
    Broadcast, CloseReason, MAX_TEXT_CHARS, MediaReport, MediaState, Status, UpdateBroadcast,
};
use contract::text;

use crate::clock::whole_millis;
use crate::record::{Record, Seen};

/// How long a broadcast stays STREAMING without a publisher.
pub const PUBLISHER_GRACE: TimeDelta = TimeDelta::seconds(30);
/// How long a broadcast stays READY without media.
pub const UNSTARTED_GRACE: TimeDelta = TimeDelta::hours(24);
/// How far ahead a broadcast may be planned: a year, whatever the year is.
pub const MAX_PLAN: TimeDelta = TimeDelta::days(366);

/// The next state of a row: every column that a change may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Title.
    pub name: String,
    /// Description.
    pub description: String,
    /// Status.
    pub status: Status,
    /// First media.
    pub started_at: Option<DateTime<Utc>>,
    /// End.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it is to begin.
    pub planned_at: Option<DateTime<Utc>>,
    /// New viewer count, `None` to leave it.
    pub viewer_count: Option<i64>,
    /// New sign of life, `None` to leave it.
    pub seen_at: Option<DateTime<Utc>>,
    /// Only if the last sign of life is not after this.
    pub unless_seen_after: Option<DateTime<Utc>>,
}

impl Change {
    /// The row as it is.
    fn of(broadcast: &Broadcast) -> Self {
        Self {
            name: broadcast.name.clone(),
            description: broadcast.description.clone(),
            status: broadcast.status,
            started_at: broadcast.started_at,
            ended_at: broadcast.ended_at,
            planned_at: broadcast.planned_at,
            viewer_count: None,
            seen_at: None,
            unless_seen_after: None,
        }
    }

    fn start(&mut self, started_at: DateTime<Utc>, now: DateTime<Utc>) {
        self.status = Status::Streaming;
        self.started_at = Some(self.started_at.unwrap_or(started_at).min(now));
        self.seen_at = Some(now);
    }

    fn close(&mut self, ended_at: DateTime<Utc>, now: DateTime<Utc>) {
        self.status = Status::Closed;
        let ended_at = ended_at.min(now);
        self.ended_at = Some(self.started_at.map_or(ended_at, |started_at| ended_at.max(started_at)));
        self.viewer_count = Some(0);
    }
}

/// What one report about one broadcast leads to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The row changes.
    pub change: Option<Change>,
    /// A sign of life to record.
    pub seen: Option<Seen>,
    /// The node has to end it.
    pub order: Option<CloseReason>,
}

/// A node's report about a broadcast; `record` is `None` where there is no such broadcast.
#[must_use]
pub fn media(record: Option<&Record>, report: &MediaReport, now: DateTime<Utc>) -> Outcome {
    let Some(record) = record.filter(|record| record.broadcast.status != Status::Closed) else {
        return Outcome { order: Some(CloseReason::Closed), ..Outcome::default() };
    };
    if report.key_revision != record.key_revision {
        return Outcome { order: Some(CloseReason::KeyRevoked), ..Outcome::default() };
    }
    let started_at = whole_millis(report.started_at);
    let last_media_at = whole_millis(report.last_media_at).min(now);
    let mut change = Change::of(&record.broadcast);
    if record.broadcast.status == Status::Ready {
        change.start(started_at, now);
    }
    if report.state == MediaState::Ended {
        change.close(record.last_media_at.map_or(last_media_at, |known| known.max(last_media_at)), now);
    }
    let moved = change.status != record.broadcast.status;
    let present = report.state == MediaState::Live;
    Outcome {
        change: moved.then_some(change),
        seen: Some(Seen { id: record.broadcast.id, last_media_at, present }),
        order: None,
    }
}

/// A peer-to-peer streamer is there, which is all the media that can be known of it.
#[must_use]
pub fn peer_to_peer(record: &Record, now: DateTime<Utc>) -> Outcome {
    if record.broadcast.status == Status::Closed {
        return Outcome::default();
    }
    let mut change = Change::of(&record.broadcast);
    change.start(now, now);
    Outcome {
        change: (record.broadcast.status == Status::Ready).then_some(change),
        seen: Some(Seen { id: record.broadcast.id, last_media_at: now, present: true }),
        order: None,
    }
}

/// Nobody reports the broadcast: what time alone changes.
#[must_use]
pub fn idle(record: &Record, now: DateTime<Utc>) -> Option<Change> {
    let broadcast = &record.broadcast;
    let mut change = Change::of(broadcast);
    match broadcast.status {
        Status::Streaming => {
            let limit = now - PUBLISHER_GRACE;
            if record.seen_at.is_some_and(|seen_at| seen_at > limit) {
                return None;
            }
            let last = record.last_media_at.or(record.seen_at).or(broadcast.started_at).unwrap_or(now);
            change.close(last, now);
            // It may be seen again between reading the row and writing it.
            change.unless_seen_after = Some(limit);
            Some(change)
        }
        Status::Ready if waited_since(broadcast) <= now - UNSTARTED_GRACE => {
            change.close(now, now);
            Some(change)
        }
        Status::Ready | Status::Closed => None,
    }
}

/// Since when a READY broadcast waits for its media: since its plan, if it has one that is later.
fn waited_since(broadcast: &Broadcast) -> DateTime<Utc> {
    broadcast.planned_at.map_or(broadcast.created_at, |planned_at| planned_at.max(broadcast.created_at))
}

/// Who edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editor {
    /// The owner or an admin: texts, and the end.
    Owner,
    /// Another service: everything.
    Service,
}

/// Why an edit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A value that nobody may set.
    #[error("{0}")]
    Invalid(&'static str),
    /// A time that nobody can plan for, though it is one.
    #[error("{0}")]
    Plan(&'static str),
    /// A field that only a service may set.
    #[error("only a service sets {0}")]
    Reserved(&'static str),
    /// The status does not move that way.
    #[error("the status does not move from {from:?} to {to:?}")]
    Backwards {
        /// As it is.
        from: Status,
        /// As wanted.
        to: Status,
    },
}

/// `text` as a name: one line, without characters that nobody sees; `None` when it has more than [`MAX_TEXT_CHARS`]
/// characters as it came. (What is too long is refused and never cut: nobody would notice what is missing.)
#[must_use]
pub fn title(text: &str) -> Option<String> {
    (text.chars().count() <= MAX_TEXT_CHARS).then(|| text::one_line(text))
}

/// The same for a description, which may have lines.
#[must_use]
pub fn description(text: &str) -> Option<String> {
    (text.chars().count() <= MAX_TEXT_CHARS).then(|| text::lines(text))
}

/// Checks what is wrong with an edit whatever it is applied to.
///
/// # Errors
/// [`EditError::Invalid`].
pub fn check(patch: &UpdateBroadcast) -> Result<(), EditError> {
    let fits = |text: &Option<String>| text.as_deref().is_none_or(|text| title(text).is_some());
    if !fits(&patch.name) {
        return Err(EditError::Invalid("name has at most 255 characters"));
    }
    if !fits(&patch.description) {
        return Err(EditError::Invalid("description has at most 255 characters"));
    }
    if patch.viewer_count.is_some_and(|count| count < 0) {
        return Err(EditError::Invalid("viewer_count is not negative"));
    }
    Ok(())
}

/// Checks a wanted plan: one that has passed long ago, or that is years away, is a mistake.
///
/// # Errors
/// [`EditError::Plan`].
pub fn check_plan(planned_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), EditError> {
    // What a page's clock or a slow hand makes late is no mistake.
    let fits = |at: DateTime<Utc>| now - UNSTARTED_GRACE <= at && at <= now + MAX_PLAN;
    if planned_at.is_none_or(fits) {
        return Ok(());
    }
    Err(EditError::Plan("planned_at is not more than a day ago and at most 366 days ahead"))
}

/// An edit (`PUT /broadcasts/{id}`): the change, or `None` when everything is so already. A field that repeats
/// what is there asks for nothing, so that a client may send back what it read.
///
/// # Errors
/// [`EditError`].
pub fn edit(
    record: &Record,
    patch: &UpdateBroadcast,
    editor: Editor,
    now: DateTime<Utc>,
) -> Result<Option<Change>, EditError> {
    check(patch)?;
    let was = &record.broadcast;
    let mut change = Change::of(was);
    if let Some(name) = patch.name.as_deref().and_then(title) {
        change.name = name;
    }
    if let Some(description) = patch.description.as_deref().and_then(description) {
        change.description = description;
    }
    let patched = |at: Option<DateTime<Utc>>, was: Option<DateTime<Utc>>| {
        at.map(whole_millis).filter(|at| Some(*at) != was)
    };
    let started_at = patched(patch.started_at, was.started_at);
    let ended_at = patched(patch.ended_at, was.ended_at);
    if let Some(planned_at) = patch.planned_at.map(|at| at.map(whole_millis))
        && planned_at != was.planned_at
    {
        check_plan(planned_at, now)?;
        change.planned_at = planned_at;
    }
    let viewer_count = patch.viewer_count.filter(|count| *count != was.viewer_count);
    let status = patch.status.filter(|status| *status != was.status);
    if editor == Editor::Owner {
        let reserved = [
            ("started_at", started_at.is_some()),
            ("ended_at", ended_at.is_some()),
            ("viewer_count", viewer_count.is_some()),
        ];
        if let Some((field, _)) = reserved.iter().find(|(_, set)| *set) {
            return Err(EditError::Reserved(field));
        }
    }
    if let Some(to) = status {
        move_to(&mut change, record, to, editor, now)?;
    }
    change.started_at = started_at.or(change.started_at);
    change.ended_at = ended_at.or(change.ended_at);
    change.viewer_count = if change.status == Status::Closed { Some(0) } else { viewer_count };
    if change.started_at.zip(change.ended_at).is_some_and(|(start, end)| end < start) {
        return Err(EditError::Invalid("ended_at is not before started_at"));
    }
    let mut same = Change::of(was);
    same.viewer_count = change.viewer_count.filter(|count| *count == was.viewer_count);
    Ok((change != same).then_some(change))
}

fn move_to(
    change: &mut Change,
    record: &Record,
    to: Status,
    editor: Editor,
    now: DateTime<Utc>,
) -> Result<(), EditError> {
    match (change.status, to) {
        (Status::Ready, Status::Streaming) if editor == Editor::Owner => {
            Err(EditError::Reserved("status STREAMING: it comes with the first media"))
        }
        (Status::Ready, Status::Streaming) => {
            change.start(now, now);
            Ok(())
        }
        (Status::Ready | Status::Streaming, Status::Closed) => {
            // A publisher that was there a moment ago still is: then the end is now.
            let here = record.seen_at.is_some_and(|seen_at| now - seen_at <= TimeDelta::seconds(3));
            let last = record.last_media_at.filter(|_| !here).unwrap_or(now);
            change.close(last, now);
            Ok(())
        }
        (from, to) => Err(EditError::Backwards { from, to }),
    }
}

/// Whether the sweeper has watched long enough to call a publisher, or the home of a room, gone. While meta or its database
/// was away nobody could report, so the grace starts again.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    grace: TimeDelta,
    gap: TimeDelta,
    since: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

/// A longer gap between two good sweeps (or a clock that stepped) starts the watch again.
const WATCH_GAP: TimeDelta = TimeDelta::seconds(10);
/// The same for homes: a lease that is renewed in time has more left.
const HOME_GAP: TimeDelta = TimeDelta::seconds(HOME_LEASE_SECS / 2);

impl Watch {
    /// Of publishers.
    #[must_use]
    pub fn of_publishers() -> Self {
        Self { grace: PUBLISHER_GRACE, gap: WATCH_GAP, since: None, last: None }
    }

    /// Of the homes of rooms, which have a lease.
    #[must_use]
    pub fn of_homes() -> Self {
        Self { grace: TimeDelta::seconds(HOME_LEASE_SECS), gap: HOME_GAP, since: None, last: None }
    }

    /// A sweep found the database well at `now`; whether silence counts.
    pub fn good(&mut self, now: DateTime<Utc>) -> bool {
        if !self.is_steady(now) {
            self.since = Some(now);
        }
        self.last = Some(now);
        self.silence_counts(now)
    }

    /// Whether silence counts at `now`, between two sweeps.
    #[must_use]
    pub fn silence_counts(&self, now: DateTime<Utc>) -> bool {
        self.is_steady(now) && self.since.is_some_and(|since| now - since >= self.grace)
    }

    fn is_steady(&self, now: DateTime<Utc>) -> bool {
        self.last.is_some_and(|last| last <= now && now - last <= self.gap)
    }

    /// A sweep found the database away.
    pub fn bad(&mut self) {
        (self.since, self.last) = (None, None);
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
