//! Tells meta the numbers of rooms, and asks it for broadcasts that are not known here. Meta may be away for as
//! long as it likes: what it has not acknowledged is told again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::id::BroadcastId;
use contract::rest::{Broadcast, BroadcastChanged, RoomReport, RoomsReport, Subjects};
use contract::room::Room;
use contract::token::TokenKeys;
use service_kit::shutdown::CancellationToken;

use crate::hub::Hub;

/// Reports are at least this far apart.
const INTERVAL: Duration = Duration::from_secs(1);
/// Every how many reports everything that is not empty is named, changed or not: each 2 s.
const FULL_EVERY: u64 = 2;
/// Rooms in one request: 100 bytes each and 11 for each viewer with a token, below meta's 4 MiB.
const ROOMS_PER_REQUEST: usize = 400;
/// Unknown broadcasts that are asked for in one interval.
pub(crate) const ASKED_AT_ONCE: usize = 16;
/// One request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Where and as whom.
pub(crate) struct Reporter {
    pub(crate) hub: Arc<Hub>,
    pub(crate) keys: TokenKeys,
    pub(crate) meta_url: String,
    pub(crate) replica: String,
    pub(crate) http: reqwest::Client,
}

/// What meta has acknowledged. Pure.
#[derive(Debug, Default)]
struct Told(HashMap<Room, (i64, bool)>);

impl Told {
    /// What to tell: what differs, and with `full` everything that is not empty.
    fn news(&self, now: &[RoomReport], full: bool) -> Vec<RoomReport> {
        let current = |report: &&RoomReport| {
            full || self.0.get(&report.room) != Some(&(report.viewer_count, report.p2p_streamer))
        };
        let mut news: Vec<RoomReport> = now.iter().filter(current).cloned().collect();
        let there: HashSet<&Room> = now.iter().map(|report| &report.room).collect();
        let gone = self.0.keys().filter(|room| !there.contains(room));
        news.extend(gone.map(|room| RoomReport {
            room: room.clone(),
            viewer_count: 0,
            subjects: Subjects::default(),
            p2p_streamer: false,
        }));
        news
    }

    fn acknowledge(&mut self, reports: &[RoomReport]) {
        for report in reports {
            if report.viewer_count == 0 && !report.p2p_streamer {
                self.0.remove(&report.room);
            } else {
                self.0.insert(report.room.clone(), (report.viewer_count, report.p2p_streamer));
            }
        }
    }
}

impl Reporter {
    /// Reports until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut told = Told::default();
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round = 0_u64;
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = interval.tick() => {}
            }
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.round(&mut told, round.is_multiple_of(FULL_EVERY)) => outcome,
            };
            round = round.wrapping_add(1);
            match outcome {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("meta takes reports again");
                    }
                }
                Err(error) => {
                    self.hub.metrics.report("failed");
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "meta does not take reports: trying again each second");
                    }
                }
            }
        }
    }

    async fn round(&self, told: &mut Told, full: bool) -> Result<(), reqwest::Error> {
        let news = told.news(&self.hub.numbers(), full);
        for rooms in news.chunks(ROOMS_PER_REQUEST) {
            let report = RoomsReport { replica: self.replica.clone(), rooms: rooms.to_vec() };
            self.http
                .post(format!("{}/internal/rooms/report", self.meta_url))
                .timeout(TIMEOUT)
                .bearer_auth(self.keys.mint_service("signaling", service_kit::unix_now()))
                .json(&report)
                .send()
                .await?
                .error_for_status()?;
            self.hub.metrics.report("ok");
            told.acknowledge(rooms);
        }
        for _ in 0..ASKED_AT_ONCE {
            // One at a time: what is not asked because meta goes away keeps its place.
            let Some(asked) = self.hub.next_unknown(Instant::now()) else { break };
            match self.ask(asked.id).await {
                Ok(Some(broadcast)) => {
                    self.hub.broadcast_changed(BroadcastChanged { broadcast, version: 0, deleted: false })
                }
                Ok(None) => self.hub.is_not_there(asked.id, Instant::now()),
                Err(error) => {
                    self.hub.ask_again(asked, Instant::now());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, id: BroadcastId) -> Result<Option<Broadcast>, reqwest::Error> {
        let response =
            self.http.get(format!("{}/broadcasts/{id}", self.meta_url)).timeout(TIMEOUT).send().await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        response.error_for_status()?.json().await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(room: &str, viewer_count: i64) -> RoomReport {
        RoomReport {
            room: room.parse().unwrap(),
            viewer_count,
            subjects: Subjects::default(),
            p2p_streamer: false,
        }
    }

    #[test]
    fn what_is_not_acknowledged_is_told_again_and_an_end_is_told_too() {
        let mut told = Told::default();
        let now = [report("1", 1), report("2", 2)];
        assert_eq!(told.news(&now, false), now);
        assert_eq!(told.news(&now, false), now);
        told.acknowledge(&now);
        assert_eq!(told.news(&now, false), []);
        assert_eq!(told.news(&now, true), now);
        assert_eq!(told.news(&[report("1", 3)], false), [report("1", 3), report("2", 0)]);
        told.acknowledge(&[report("1", 3), report("2", 0)]);
        assert_eq!(told.news(&[report("1", 3)], false), []);
    }
}
