//! Plays a scenario: publishes, joins viewers at the wanted rate, measures, and cleans up.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use transport::sdp::CodecFormat;
use transport::{Identity, IdentityError};

use crate::client::Shared;
use crate::epoch::Epoch;
use crate::http::{Broadcast, Http, HttpError, Session};
use crate::offer::Proposal;
use crate::rate::Pace;
use crate::report::{Progress, Quantiles, Report, Step};
use crate::scenario::{Engine, Ramp, Scenario, duration};
use crate::server::{Usage, listener, receive_drops, usage};
use crate::source::{Clip, ClipError, Source};
use crate::stop;
use crate::totals::{Reasons, Totals};
use crate::worker::{Fleet, Snapshot};

/// Offers that wait for their answers at a time.
const MAX_POSTS: usize = 128;
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);
const PROGRESS: Duration = Duration::from_secs(1);
/// Time for all sessions to be ended.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// Why a run is not possible at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The clip.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// The certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Threads or sockets.
    #[error("the clients cannot be started: {0}")]
    Threads(#[from] std::io::Error),
    /// A broadcast could not be created or published to.
    #[error("broadcast {number}: {reason}")]
    Publish {
        /// Its number, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// No HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// This build has no such engine.
    #[error("this build has no engine \"webrtc\"")]
    Engine,
}

/// Plays `scenario`. `progress` is called about once a second; true in `stop` ends the run early, with what was
/// measured so far. Needs a tokio runtime of several threads.
///
/// # Errors
/// [`RunError`]: what makes the run impossible; everything else is in the report.
pub async fn run(
    scenario: &Scenario,
    progress: impl FnMut(&Progress) + Send,
    stop: watch::Receiver<bool>,
) -> Result<Report, RunError> {
    let clip = Arc::new(Clip::load(scenario.publish.clip.as_deref())?);
    let shared = Arc::new(Shared {
        identity: Identity::generate()?,
        epoch: Epoch::now(),
        publish: Arc::new(scenario.publish.clone()),
        view: scenario.view.clone(),
        loss: scenario.loss.clone(),
        delay: scenario.delay.clone(),
        clip,
    });
    let viewers = Viewers::new(scenario.engine, &shared).ok_or(RunError::Engine)?;
    let fleet = Arc::new(Fleet::start(&shared, scenario.run.threads)?);
    let pid = scenario.server.pid.or_else(|| listener(scenario.server.admin_url.as_deref()?));
    let mut runner = Runner {
        scenario,
        engine: viewers,
        shared,
        fleet,
        http: Http::new()?,
        stop,
        progress,
        pid,
        broadcasts: Vec::new(),
        publishers: Vec::new(),
        viewers: VecDeque::new(),
        next_number: 0,
        refused: Reasons::default(),
        answers: Totals::default(),
        begun: Instant::now(),
        last: Mark::default(),
        phase: "publish",
        wanted: 0,
    };
    let report = runner.play().await;
    runner.clean_up().await;
    report
}

/// Which clients watch. Publishers are light clients in both cases.
#[derive(Clone)]
enum Viewers {
    Light,
    #[cfg(feature = "webrtc")]
    Webrtc(Arc<crate::peers::Peers>),
}

impl Viewers {
    /// `None` where this build has no such engine.
    fn new(engine: Engine, shared: &Arc<Shared>) -> Option<Self> {
        match engine {
            Engine::Light => Some(Self::Light),
            #[cfg(feature = "webrtc")]
            Engine::Webrtc => Some(Self::Webrtc(Arc::new(crate::peers::Peers::new(Arc::clone(shared))))),
            #[cfg(not(feature = "webrtc"))]
            Engine::Webrtc => {
                let _ = shared;
                None
            }
        }
    }
}

/// A moment of the run.
#[derive(Clone)]
struct Mark {
    at: Instant,
    totals: Totals,
    server: Option<Usage>,
    probe: Option<Usage>,
    drops: u64,
}

impl Default for Mark {
    fn default() -> Self {
        Self { at: Instant::now(), totals: Totals::default(), server: None, probe: None, drops: 0 }
    }
}

/// CPU between two moments, percent of one core.
fn percent(before: Option<Usage>, after: Option<Usage>, elapsed: Duration) -> Option<f64> {
    let used = after?.cpu_ns.saturating_sub(before?.cpu_ns);
    Some(used as f64 / 1e7 / elapsed.as_secs_f64().max(1e-3))
}

/// A viewer that has joined.
struct Watching {
    number: u32,
    seat: usize,
    session: Session,
}

struct Runner<'a, P> {
    scenario: &'a Scenario,
    engine: Viewers,
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    http: Http,
    stop: watch::Receiver<bool>,
    progress: P,
    pid: Option<u32>,
    broadcasts: Vec<Broadcast>,
    publishers: Vec<Session>,
    /// The oldest first.
    viewers: VecDeque<Watching>,
    next_number: u32,
    refused: Reasons,
    /// Answer times.
    answers: Totals,
    begun: Instant,
    last: Mark,
    phase: &'static str,
    wanted: usize,
}

type Joined = Result<(Watching, Duration), String>;

impl<P: FnMut(&Progress) + Send> Runner<'_, P> {
    async fn play(&mut self) -> Result<Report, RunError> {
        self.publish().await?;
        let mut report = Report { scenario: self.scenario.name.clone(), ..Report::default() };
        report.publishers = self.publishers.len();
        let before = self.mark().await;
        let (start, end) = match &self.scenario.ramp {
            Some(ramp) => self.ramp(ramp, &mut report).await,
            None => {
                let seats = self.scenario.seats();
                self.phase = "join";
                self.join(&seats).await;
                let joined = self.mark().await;
                report.joins_per_s = seats.len() as f64 / (joined.at - before.at).as_secs_f64().max(1e-3);
                let cpu = joined.server.zip(before.server).map(|(now, then)| now.cpu_ns - then.cpu_ns);
                let cpu = cpu.filter(|_| !seats.is_empty());
                report.server_ms_per_join = cpu.map(|ns| ns as f64 / 1e6 / seats.len() as f64);
                self.served().await;
                self.pause(duration(self.scenario.run.settle_s)).await;
                self.phase = "measure";
                self.measure(duration(self.scenario.run.duration_s)).await
            }
        };
        let snapshot = self.snapshot().await;
        report.interrupted = self.is_stopped();
        report.viewers = snapshot.viewers.len();
        self.fill(&mut report, &before, &start, &end);
        report.viewers(&snapshot.viewers);
        let mut all = snapshot.totals;
        all.merge(&self.answers);
        let mut failed = snapshot.failed;
        failed.merge(&self.refused);
        report.whole(&all, &failed, &snapshot.dropped);
        report.judge(&self.scenario.expect);
        Ok(report)
    }

    fn fill(&self, report: &mut Report, before: &Mark, start: &Mark, end: &Mark) {
        let elapsed = end.at - start.at;
        let window = end.totals.since(&start.totals);
        report.measured(&window, elapsed);
        report.probe_drops = end.drops.saturating_sub(start.drops);
        report.probe_cpu_percent = percent(start.probe, end.probe, elapsed);
        report.server_cpu_percent = percent(start.server, end.server, elapsed);
        if let (Some(then), Some(now)) = (start.server, end.server) {
            let used = now.cpu_ns.saturating_sub(then.cpu_ns) as f64 / 1e3;
            report.server_us_per_packet = (window.packets > 0).then(|| used / window.packets as f64);
            report.server_rss_mb = Some(now.rss as f64 / 1e6);
            let grown = before.server.map(|before| now.rss.saturating_sub(before.rss) as f64 / 1e3);
            report.server_rss_kb_per_viewer =
                grown.filter(|_| report.viewers > 0).map(|kb| kb / report.viewers as f64);
        }
    }

    /// Creates the broadcasts, if that is wanted, and publishes to them.
    async fn publish(&mut self) -> Result<(), RunError> {
        let server = &self.scenario.server;
        let count = self.scenario.broadcasts();
        for number in 1..=count {
            let named =
                |url: &Option<String>| url.as_deref().unwrap_or_default().replace("{n}", &number.to_string());
            let failed = |error: String| RunError::Publish { number, reason: error };
            let broadcast = match &server.meta_url {
                Some(meta) => {
                    let created = self.http.create(meta, server.meta_bearer.as_deref(), number).await;
                    let created = created.map_err(|error| failed(error.to_string()))?;
                    Broadcast { whep_bearer: server.whep_bearer.clone(), ..created }
                }
                None => Broadcast {
                    whip: named(&server.whip_url),
                    whip_bearer: server.whip_bearer.clone(),
                    whep: named(&server.whep_url),
                    whep_bearer: server.whep_bearer.clone(),
                },
            };
            let format: CodecFormat = Source::format(&self.shared.publish, &self.shared.clip);
            let proposal = Proposal::publish(&self.shared.identity, &self.shared.publish, format);
            let asked = Instant::now();
            let session =
                self.http.open(&broadcast.whip, broadcast.whip_bearer.as_deref(), proposal.sdp()).await;
            let session = session.map_err(|error| failed(error.to_string()))?;
            let agreed = proposal.accept(&session.answer).map_err(|error| failed(error.to_string()))?;
            self.publishers.push(session);
            self.fleet.publish(self.next_number, agreed, asked);
            self.next_number += 1;
            self.broadcasts.push(broadcast);
        }
        let deadline = Instant::now() + duration(self.scenario.run.join_timeout_s);
        loop {
            let snapshot = self.snapshot().await;
            if snapshot.connected >= count && snapshot.totals.sent_packets > 0 {
                return Ok(());
            }
            let reasons = snapshot.failed.iter().chain(snapshot.dropped.iter());
            if let Some((reason, _)) = reasons.into_iter().next() {
                return Err(RunError::Publish { number: count, reason: reason.to_owned() });
            }
            if Instant::now() >= deadline || self.is_stopped() {
                let reason = "the publisher did not connect in time".to_owned();
                return Err(RunError::Publish { number: count, reason });
            }
            self.pause(LOOK).await;
        }
    }

    /// Joins a viewer in each seat, at the wanted rate, and waits until all are connected or have failed.
    async fn join(&mut self, seats: &[usize]) {
        self.wanted += seats.len();
        let mut pace = Pace::new(Instant::now(), self.scenario.view.join_rate);
        let mut posts: JoinSet<Joined> = JoinSet::new();
        let mut waiting = seats.iter().copied().peekable();
        while waiting.peek().is_some() && !self.is_stopped() {
            while posts.len() < MAX_POSTS && pace.take(Instant::now()) {
                let Some(seat) = waiting.next() else { break };
                self.post(seat, &mut posts);
            }
            while let Some(Ok(joined)) = posts.try_join_next() {
                self.joined(joined);
            }
            if posts.len() >= MAX_POSTS {
                if let Some(Ok(joined)) = posts.join_next().await {
                    self.joined(joined);
                }
            } else if waiting.peek().is_some() {
                self.pause(pace.next().saturating_duration_since(Instant::now())).await;
            }
            self.tick().await;
        }
        while let Some(joined) = posts.join_next().await {
            if let Ok(joined) = joined {
                self.joined(joined);
            }
            self.tick().await;
        }
        let deadline = Instant::now() + duration(self.scenario.run.join_timeout_s);
        while self.snapshot().await.connecting > 0 && Instant::now() < deadline && !self.is_stopped() {
            self.pause(LOOK).await;
            self.tick().await;
        }
    }

    /// Sends an offer for `seat`.
    fn post(&mut self, seat: usize, posts: &mut JoinSet<Joined>) {
        let Some(broadcast) = self.broadcasts.get(seat).cloned() else { return };
        let (http, fleet, shared) = (self.http.clone(), Arc::clone(&self.fleet), Arc::clone(&self.shared));
        let engine = self.engine.clone();
        let number = self.next_number;
        self.next_number += 1;
        posts.spawn(async move {
            #[cfg(feature = "webrtc")]
            if let Viewers::Webrtc(peers) = engine {
                let (session, took) = peers.view(&http, &broadcast, number).await?;
                return Ok((Watching { number, seat, session }, took));
            }
            #[cfg(not(feature = "webrtc"))]
            let Viewers::Light = engine;
            let proposal = Proposal::view(&shared.identity, shared.view.transport_cc);
            let asked = Instant::now();
            let session = http.open(&broadcast.whep, broadcast.whep_bearer.as_deref(), proposal.sdp()).await;
            let session = session.map_err(|error| error.to_string())?;
            let took = asked.elapsed();
            let agreed = proposal.accept(&session.answer).map_err(|error| error.to_string())?;
            fleet.view(number, agreed, asked);
            Ok((Watching { number, seat, session }, took))
        });
    }

    fn joined(&mut self, joined: Joined) {
        match joined {
            Ok((watching, took)) => {
                self.answers.answer_time.record(took.as_micros() as u64);
                self.viewers.push_back(watching);
            }
            Err(reason) => self.refused.add(&reason),
        }
    }

    /// Waits until every connected viewer has a frame, for as long as a join may take.
    async fn served(&mut self) {
        let deadline = Instant::now() + duration(self.scenario.run.join_timeout_s);
        while Instant::now() < deadline && !self.is_stopped() {
            if self.snapshot().await.viewers.iter().all(|viewer| viewer.served) {
                return;
            }
            self.pause(LOOK).await;
            self.tick().await;
        }
    }

    /// Lets it run for `length`; viewers come and go meanwhile, if that is wanted.
    async fn measure(&mut self, length: Duration) -> (Mark, Mark) {
        let start = self.mark().await;
        let end = Instant::now() + length;
        let mut pace = self.scenario.churn.as_ref().map(|churn| Pace::new(start.at, churn.per_second));
        let mut posts: JoinSet<Joined> = JoinSet::new();
        let mut ends: JoinSet<()> = JoinSet::new();
        while Instant::now() < end && !self.is_stopped() {
            while posts.len() < MAX_POSTS && pace.as_mut().is_some_and(|pace| pace.take(Instant::now())) {
                let Some(left) = self.viewers.pop_front() else { break };
                self.leave(left.number).await;
                let http = self.http.clone();
                ends.spawn(async move { http.end(&left.session).await });
                self.post(left.seat, &mut posts);
            }
            while let Some(Ok(joined)) = posts.try_join_next() {
                self.joined(joined);
            }
            while ends.try_join_next().is_some() {}
            let next = pace.as_ref().map_or(end, Pace::next).min(end).min(Instant::now() + PROGRESS / 4);
            self.pause(next.saturating_duration_since(Instant::now())).await;
            self.tick().await;
        }
        let mark = self.mark().await;
        while let Some(joined) = posts.join_next().await {
            if let Ok(joined) = joined {
                self.joined(joined);
            }
        }
        (start, mark)
    }

    /// Adds viewers step by step until a bound is passed.
    async fn ramp(&mut self, ramp: &Ramp, report: &mut Report) -> (Mark, Mark) {
        let seats = self.scenario.seats();
        let mut taken = 0;
        let mut window = (self.mark().await, self.mark().await);
        report.carried = Some(0);
        while taken < ramp.max && !self.is_stopped() {
            let step = if taken == 0 { ramp.start } else { ramp.step };
            let until = (taken + step).min(ramp.max);
            self.phase = "join";
            let joining = Instant::now();
            self.join(seats.get(taken..until).unwrap_or_default()).await;
            report.joins_per_s = (until - taken) as f64 / joining.elapsed().as_secs_f64().max(1e-3);
            taken = until;
            self.served().await;
            self.pause(duration(self.scenario.run.settle_s)).await;
            self.phase = "measure";
            window = self.measure(duration(ramp.hold_s)).await;
            if self.is_stopped() {
                break;
            }
            let step = self.step(taken, &window).await;
            let broken = step.broken(ramp);
            report.steps.push(step);
            if broken.is_some() {
                report.broke = broken;
                break;
            }
            report.carried = Some(taken);
        }
        window
    }

    async fn step(&self, viewers: usize, (start, end): &(Mark, Mark)) -> Step {
        let elapsed = end.at - start.at;
        let window = end.totals.since(&start.totals);
        let snapshot = self.snapshot().await;
        Step {
            viewers,
            loss: window.loss(),
            delay_ms: Quantiles::of(&window.delay),
            mbit_per_s: window.bytes as f64 * 8.0 / elapsed.as_secs_f64().max(1e-3) / 1e6,
            failed_joins: snapshot.failed.total() + self.refused.total() + snapshot.dropped.total(),
            server_cpu_percent: percent(start.server, end.server, elapsed),
            probe_cpu_percent: percent(start.probe, end.probe, elapsed),
            probe_drops: end.drops.saturating_sub(start.drops),
        }
    }

    async fn mark(&self) -> Mark {
        let snapshot = self.snapshot().await;
        let ports: HashSet<u16> = snapshot.ports.iter().copied().collect();
        Mark { drops: receive_drops(&ports), ..self.light_mark(&snapshot) }
    }

    /// Without what is slow to read.
    fn light_mark(&self, snapshot: &Snapshot) -> Mark {
        Mark {
            at: Instant::now(),
            totals: snapshot.totals.clone(),
            server: self.pid.and_then(usage),
            probe: usage(std::process::id()),
            drops: 0,
        }
    }

    /// Tells how it goes, if it is time.
    async fn tick(&mut self) {
        if self.last.at.elapsed() < PROGRESS {
            return;
        }
        let snapshot = self.snapshot().await;
        let mark = self.light_mark(&snapshot);
        let elapsed = mark.at - self.last.at;
        let window = mark.totals.since(&self.last.totals);
        let seconds = elapsed.as_secs_f64().max(1e-3);
        (self.progress)(&Progress {
            elapsed_s: self.begun.elapsed().as_secs_f64(),
            phase: self.phase,
            viewers: (snapshot.viewers.len(), self.wanted),
            failed: snapshot.failed.total() + self.refused.total(),
            packets_per_s: window.packets as f64 / seconds,
            mbit_per_s: window.bytes as f64 * 8.0 / seconds / 1e6,
            loss: window.loss(),
            delay_ms: Quantiles::of(&window.delay),
            frozen: snapshot.viewers.iter().filter(|viewer| viewer.frozen).count(),
            server_cpu_percent: percent(self.last.server, mark.server, elapsed),
        });
        self.last = mark;
    }

    /// The state of all clients.
    async fn snapshot(&self) -> Snapshot {
        let snapshot = self.fleet.snapshot().await;
        #[cfg(feature = "webrtc")]
        if let Viewers::Webrtc(peers) = &self.engine {
            let mut snapshot = snapshot;
            snapshot.merge(peers.snapshot());
            return snapshot;
        }
        snapshot
    }

    async fn leave(&self, number: u32) {
        match &self.engine {
            Viewers::Light => self.fleet.leave(number).await,
            #[cfg(feature = "webrtc")]
            Viewers::Webrtc(peers) => peers.leave(number).await,
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
        let viewers = std::mem::take(&mut self.viewers);
        let mut sessions: Vec<Session> = Vec::with_capacity(viewers.len());
        for viewer in viewers {
            self.leave(viewer.number).await;
            sessions.push(viewer.session);
        }
        sessions.append(&mut self.publishers);
        let http = self.http.clone();
        let all = async move {
            let mut ends: JoinSet<()> = JoinSet::new();
            for session in sessions {
                if ends.len() >= MAX_POSTS {
                    ends.join_next().await;
                }
                let http = http.clone();
                ends.spawn(async move { http.end(&session).await });
            }
            while ends.join_next().await.is_some() {}
        };
        // What is left then times out at the server.
        let _ = timeout(CLEAN_UP, all).await;
    }
}
