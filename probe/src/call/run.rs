//! The phases of a run: everybody joins, media flows, one after the other leaves and joins, everybody pages.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use transport::Identity;

use super::group::{Group, Joined};
use super::report::CallReport;
use super::seat::{Owners, Seat};
use super::settings::Call;
use super::state::{Deaf, Heard, Life};
use super::talk::Conversation;
use crate::client::Shared;
use crate::epoch::Epoch;
use crate::http::{Http, Session};
use crate::rate::Pace;
use crate::run::RunError;
use crate::scenario::{Scenario, duration};
use crate::server::{Usage, listener, receive_drops, threads, usage};
use crate::source::Clip;
use crate::stats::Histogram;
use crate::stop;
use crate::totals::{Reasons, Totals};
use crate::worker::{Fleet, Snapshot};

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);
/// Time for all sessions to be ended.
const CLEAN_UP: Duration = Duration::from_secs(5);
/// After somebody has come or gone, until the next one does.
const BETWEEN: Duration = Duration::from_millis(300);

/// Plays the call of `scenario`. `progress` is told each phase; true in `stop` ends the run early.
///
/// # Errors
/// [`RunError`]: what makes the run impossible; everything else is in the report.
pub async fn run(
    scenario: &Scenario,
    progress: impl FnMut(&str) + Send,
    stop: watch::Receiver<bool>,
) -> Result<CallReport, RunError> {
    let call = scenario.call.clone().unwrap_or_default();
    let shared = Arc::new(Shared {
        identity: Identity::generate()?,
        epoch: Epoch::now(),
        publish: Arc::new(scenario.publish.clone()),
        view: scenario.view.clone(),
        loss: scenario.loss.clone(),
        delay: scenario.delay.clone(),
        clip: Arc::new(Clip::load(scenario.publish.clip.as_deref())?),
    });
    let fleet = Arc::new(Fleet::start(&shared, scenario.run.threads)?);
    let http = Http::new()?;
    let group = Group::open(&http, scenario, call.callers + 1).await?;
    let conversation = Arc::new(Conversation::new(&call));
    let pid = scenario.server.pid.or_else(|| listener(scenario.server.admin_url.as_deref()?));
    let (turn, turns) = watch::channel(0);
    let mut runner = Runner {
        scenario,
        call,
        shared,
        fleet,
        http,
        group: Arc::new(group),
        conversation,
        owners: Arc::default(),
        pid,
        turn,
        turns,
        people: VecDeque::new(),
        seats: Vec::new(),
        next_number: 0,
        refused: Reasons::default(),
        deaf: Reasons::default(),
        gaps: 0,
        answers: Histogram::default(),
        stop,
        progress,
    };
    let report = runner.play().await;
    runner.clean_up().await;
    Ok(report)
}

/// Somebody who is in the call.
struct Somebody {
    seat: Arc<Seat>,
    session: Session,
    heard: Arc<Heard>,
    life: Option<JoinHandle<Result<(), Deaf>>>,
}

/// A moment of the run.
#[derive(Clone)]
struct Mark {
    at: Instant,
    totals: Totals,
    server: Option<Usage>,
    shards: BTreeMap<String, u64>,
    probe: Option<Usage>,
    drops: u64,
    keys: (u64, u64),
}

struct Runner<'a, P> {
    scenario: &'a Scenario,
    call: Call,
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    http: Http,
    group: Arc<Group>,
    conversation: Arc<Conversation>,
    owners: Arc<Owners>,
    pid: Option<u32>,
    turn: watch::Sender<usize>,
    turns: watch::Receiver<usize>,
    /// The oldest first.
    people: VecDeque<Somebody>,
    /// Of everybody who ever came, to count what they were asked for.
    seats: Vec<Arc<Seat>>,
    next_number: u32,
    refused: Reasons,
    deaf: Reasons,
    gaps: u64,
    /// From the POST to its answer, us.
    answers: Histogram,
    stop: watch::Receiver<bool>,
    progress: P,
}

type Came = (Arc<Seat>, Result<Joined, String>);

impl<P: FnMut(&str) + Send> Runner<'_, P> {
    async fn play(&mut self) -> CallReport {
        let mut report = CallReport::begun(self.scenario);

        (self.progress)("join");
        let before = self.mark().await;
        let bytes = self.join_all().await;
        self.settled().await;
        let joined = self.mark().await;
        let joins = self.people.len();
        report.joined_together(&joined.totals.since(&before.totals), joins, bytes);
        // Those who come one by one are counted by themselves.
        self.answers = Histogram::default();
        report.heard_while_joining(self.people.iter().map(|somebody| somebody.heard.counts()));
        let used = joined.server.zip(before.server).map(|(now, then)| now.cpu_ns.saturating_sub(then.cpu_ns));
        report.server_ms_per_join = used.map(|ns| ns as f64 / 1e6 / joins.max(1) as f64);

        (self.progress)("join one by one");
        self.rejoin(&mut report).await;

        (self.progress)("measure");
        self.conversation.follow(self.call.talk);
        self.pause(duration(self.scenario.run.settle_s)).await;
        let start = self.mark().await;
        self.pause(duration(self.scenario.run.duration_s)).await;
        let end = self.mark().await;
        self.measured(&mut report, &start, &end).await;

        (self.progress)("turn pages");
        self.page(&mut report).await;

        let snapshot = self.fleet.snapshot().await;
        report.ended(&snapshot, &self.refused, &self.deaf, self.gaps);
        report.interrupted = self.is_stopped();
        report.judge(&self.scenario.expect);
        report
    }

    /// Everybody joins, at the wanted rate. Returns the bytes of all bodies.
    async fn join_all(&mut self) -> usize {
        let mut tokens = VecDeque::new();
        for _ in 0..self.call.callers {
            match self.group.token(&self.http).await {
                Ok(token) => tokens.push_back(token),
                Err(error) => self.refused.add(&error.to_string()),
            }
        }
        let mut pace = Pace::new(Instant::now(), self.scenario.view.join_rate);
        let mut joins: JoinSet<Came> = JoinSet::new();
        let mut voice = 0;
        while !tokens.is_empty() && !self.is_stopped() {
            while pace.take(Instant::now()) {
                let Some(token) = tokens.pop_front() else { break };
                let seat = self.seat(voice, (voice as usize) < self.call.hostile);
                voice += 1;
                joins.spawn(self.join(seat, token));
            }
            if !tokens.is_empty() {
                self.pause(pace.next().saturating_duration_since(Instant::now())).await;
            }
        }
        let mut bytes = 0;
        while let Some(came) = joins.join_next().await {
            if let Ok((seat, joined)) = came {
                bytes += self.came(seat, joined);
            }
        }
        self.people.make_contiguous().sort_by_key(|somebody| somebody.seat.number);
        bytes
    }

    /// One leaves and somebody new comes, again and again.
    async fn rejoin(&mut self, report: &mut CallReport) {
        self.pause(BETWEEN).await;
        let before = self.mark().await;
        let (mut bytes, mut others, mut count) = (0, (0, 0), 0);
        for _ in 0..self.call.rejoins {
            let Some(token) = self.token().await.filter(|_| !self.is_stopped()) else { break };
            // Hostile ones stay.
            let Some(place) = self.people.iter().position(|somebody| !somebody.seat.hostile) else { break };
            let Some(gone) = self.people.remove(place) else { break };
            let voice = gone.seat.voice;
            self.leave(gone).await;
            self.pause(BETWEEN).await;
            let heard = self.heard();
            let seat = self.seat(voice, false);
            let (seat, joined) = self.join(seat, token).await;
            bytes += self.came(seat, joined);
            self.settled().await;
            self.pause(BETWEEN).await;
            let (messages, all) = self.heard();
            others = (others.0 + messages - heard.0, others.1 + all - heard.1);
            count += 1;
        }
        let after = self.mark().await;
        report.joined_alone(&after.totals.since(&before.totals), &self.answers, count, bytes, others);
    }

    async fn token(&mut self) -> Option<contract::rest::JoinToken> {
        let token = self.group.token(&self.http).await;
        token.map_err(|error| self.refused.add(&error.to_string())).ok()
    }

    async fn measured(&self, report: &mut CallReport, start: &Mark, end: &Mark) {
        let elapsed = end.at - start.at;
        let window = end.totals.since(&start.totals);
        report.measured(&window, elapsed, self.people.len());
        report.keys_asked = end.keys.0 - start.keys.0;
        report.probe_drops = end.drops.saturating_sub(start.drops);
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let percent = |before: Option<Usage>, after: Option<Usage>| {
            Some(after?.cpu_ns.saturating_sub(before?.cpu_ns) as f64 / 1e7 / seconds)
        };
        report.probe_cpu_percent = percent(start.probe, end.probe);
        report.server_cpu(percent(start.server, end.server), self.people.len(), window.packets, seconds);
        report.server_rss_mb = end.server.map(|usage| usage.rss as f64 / 1e6);
        let shard = |(name, now): (&String, &u64)| {
            let then = start.shards.get(name).copied().unwrap_or_default();
            (name.clone(), now.saturating_sub(then) as f64 / 1e7 / seconds)
        };
        report.shard_cpu_percent = end.shards.iter().map(shard).collect();
        report.jitter(self.fleet.snapshot().await.jitters);
    }

    /// Everybody turns the page at once, again and again.
    async fn page(&mut self, report: &mut CallReport) {
        let before = self.mark().await;
        for number in 1..=self.call.page_turns {
            if self.is_stopped() || !self.call.signaling {
                return;
            }
            let next = Instant::now() + Duration::from_millis(self.call.page_ms);
            self.turn.send_replace(number);
            self.pause(next.saturating_duration_since(Instant::now())).await;
        }
        self.settled().await;
        let after = self.mark().await;
        report.paged(&after.totals.since(&before.totals), self.call.page_turns, self.people.len());
        report.page_keys_asked = after.keys.0 - before.keys.0;
        report.page_keys_asked_soon = after.keys.1 - before.keys.1;
    }

    fn seat(&mut self, voice: u32, hostile: bool) -> Arc<Seat> {
        let number = self.next_number;
        self.next_number += 1;
        let seat = Arc::new(Seat::new(number, voice, &self.conversation, &self.owners, hostile));
        self.seats.push(Arc::clone(&seat));
        seat
    }

    fn join(
        &self,
        seat: Arc<Seat>,
        token: contract::rest::JoinToken,
    ) -> impl Future<Output = Came> + Send + 'static {
        let (http, group, fleet) = (self.http.clone(), Arc::clone(&self.group), Arc::clone(&self.fleet));
        let (shared, scenario) = (Arc::clone(&self.shared), self.scenario.clone());
        async move {
            let joined = group.join(&http, &shared, &scenario, &fleet, &seat, token).await;
            (seat, joined)
        }
    }

    /// Takes in somebody who has joined, or says why not. Returns the bytes of the bodies.
    fn came(&mut self, seat: Arc<Seat>, joined: Result<Joined, String>) -> usize {
        let joined = match joined {
            Ok(joined) => joined,
            Err(reason) => {
                self.refused.add(&reason);
                return 0;
            }
        };
        self.answers.record(joined.answered.as_micros() as u64);
        let (session, bytes, heard) = (joined.session.clone(), joined.bytes, Arc::<Heard>::default());
        let life = self.call.signaling.then(|| {
            let life = Life {
                group: Arc::clone(&self.group),
                call: self.call.clone(),
                seat: Arc::clone(&seat),
                fleet: Arc::clone(&self.fleet),
                heard: Arc::clone(&heard),
                turns: self.turns.clone(),
            };
            tokio::spawn(life.live(joined))
        });
        self.people.push_back(Somebody { seat, session, heard, life });
        bytes
    }

    async fn leave(&mut self, somebody: Somebody) {
        let Somebody { seat, session, heard, life } = somebody;
        self.gaps += heard.gaps();
        if let Some(life) = life {
            life.abort();
            if let Ok(Err(deaf)) = life.await {
                self.deaf.add(&deaf.to_string());
            }
        }
        self.fleet.unpublish(seat.number).await;
        self.fleet.leave(seat.number).await;
        self.http.end(&session).await;
    }

    /// Waits until everybody has what it waits for, for as long as a join may take.
    async fn settled(&mut self) {
        let deadline = Instant::now() + duration(self.scenario.run.join_timeout_s);
        while Instant::now() < deadline && !self.is_stopped() {
            let Snapshot { connecting, waiting, .. } = self.fleet.snapshot().await;
            if connecting == 0 && waiting == 0 {
                return;
            }
            self.pause(LOOK).await;
        }
    }

    /// Messages and bytes of signaling that came to those who are there.
    fn heard(&self) -> (u64, u64) {
        let counts = self.people.iter().map(|somebody| somebody.heard.counts());
        counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    async fn mark(&self) -> Mark {
        let snapshot = self.fleet.snapshot().await;
        let ports: HashSet<u16> = snapshot.ports.iter().copied().collect();
        let keys = self.seats.iter().map(|seat| seat.keys_asked());
        Mark {
            at: Instant::now(),
            totals: snapshot.totals,
            server: self.pid.and_then(usage),
            shards: self.pid.map(|pid| threads(pid, "sfu-shard")).unwrap_or_default(),
            probe: usage(std::process::id()),
            drops: receive_drops(&ports),
            keys: keys.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1)),
        }
    }

    /// Sleeps, or until the run is stopped.
    async fn pause(&mut self, length: Duration) {
        stop::pause(&mut self.stop, length).await;
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Ends every session.
    async fn clean_up(&mut self) {
        let all = async {
            while let Some(somebody) = self.people.pop_front() {
                self.leave(somebody).await;
            }
        };
        // What is left then times out at the server.
        let _ = timeout(CLEAN_UP, all).await;
    }
}
