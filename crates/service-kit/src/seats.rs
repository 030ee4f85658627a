//! Who may be connected to the HTTP ports: seats in all, and for one address.
//!
//! The fewer seats are free, the fewer one address may have, so that somebody from elsewhere always finds one. Where
//! an address has all that it may, its newcomer takes the seat of a connection of the same address that waits for
//! nothing or takes nothing: a page that is opened gets through beside a hundred that hang.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::client::{TrustedProxies, source_of};
use crate::config::ConfigError;

/// Seats that an address may have however few are free.
const FEW: usize = 8;
/// A connection has to have stood still for this long before a newcomer takes its seat.
const STILL: Duration = Duration::from_secs(1);
/// "Not now" in a time that is kept as milliseconds.
const NEVER: u64 = u64::MAX;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all; one more is closed at once.
    pub total: usize,
    /// Of one address (IPv6: one /64); proxies that are trusted are not counted by address.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 60_000, per_address: 2_048 }
    }
}

impl ConnectionLimits {
    /// Checks the settings of these names.
    ///
    /// # Errors
    /// [`ConfigError`]: one of them is 0.
    pub fn validate(self) -> Result<(), ConfigError> {
        for (setting, value) in [("connections", self.total), ("connections_per_address", self.per_address)] {
            if value == 0 {
                return Err(ConfigError::value(setting, "must be at least 1"));
            }
        }
        Ok(())
    }
}

/// The seats of a server. A clone is another handle of the same.
#[derive(Debug, Clone)]
pub(crate) struct Seats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: ConnectionLimits,
    trusted: TrustedProxies,
    begin: Instant,
    table: Mutex<Table>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Table {
    all: usize,
    sources: HashMap<IpAddr, Vec<Arc<Occupant>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, Default)]
struct Metrics {
    open: Gauge,
    refused: Family<Reason, Counter>,
    cut: Family<Reason, Counter>,
}

impl Seats {
    pub(crate) fn new(limits: ConnectionLimits, trusted: TrustedProxies, registry: &mut Registry) -> Self {
        let metrics = Metrics::default();
        registry.register("http_connections", "Open HTTP connections", metrics.open.clone());
        registry.register(
            "http_connections_refused",
            "Connections closed at once: `address` has its share, or there are too many in `total`",
            metrics.refused.clone(),
        );
        registry.register(
            "http_connections_cut",
            "Connections ended by the server: `stalled` takes nothing, `idle` asks for nothing, `replaced` by another \
             one of its address",
            metrics.cut.clone(),
        );
        // Told as 0 from the beginning on: what has never happened is not the same as what nobody counts.
        for reason in ["address", "total"] {
            drop(metrics.refused.get_or_create(&Reason { reason }));
        }
        for reason in ["stalled", "idle", "replaced"] {
            drop(metrics.cut.get_or_create(&Reason { reason }));
        }
        let table = Mutex::default();
        Self(Arc::new(Shared { limits, trusted, begin: Instant::now(), table, metrics }))
    }

    /// A seat for a connection from `peer`, if there is one.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<Seat> {
        let Shared { limits, trusted, metrics, .. } = &*self.0;
        let now = self.now();
        // Behind a proxy are many people: who they are is known only when a request names them.
        let source = (!trusted.contains(peer)).then(|| source_of(peer));
        let refuse = |reason| {
            metrics.refused.get_or_create(&Reason { reason }).inc();
            None
        };
        let mut table = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        let free = limits.total.saturating_sub(table.all);
        if free == 0 {
            return refuse("total");
        }
        let occupant = Arc::new(Occupant::new(now));
        if let Some(source) = source {
            let own = table.sources.entry(source).or_default();
            if own.len() >= limits.per_address.min(FEW.max(free / 2)) {
                let stillest = own.iter().enumerate().filter(|(_, of)| of.gives_way(now));
                let Some((index, _)) = stillest.min_by_key(|(_, of)| of.value(now)) else {
                    return refuse("address");
                };
                own.swap_remove(index).replace();
                table.all = table.all.saturating_sub(1);
            }
        }
        if let Some(source) = source {
            table.sources.entry(source).or_default().push(occupant.clone());
        }
        table.all += 1;
        metrics.open.inc();
        Some(Seat { seats: self.clone(), source, occupant })
    }

    /// Milliseconds since these seats were set up.
    fn now(&self) -> u64 {
        u64::try_from(self.0.begin.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

/// What is known of a connection: shared by its socket, its requests, and the seats.
#[derive(Debug)]
pub(crate) struct Occupant {
    /// Requests that are not answered to the end.
    requests: AtomicUsize,
    /// Since when there is none, in milliseconds.
    idle_since: AtomicU64,
    /// Since when the client takes nothing, in milliseconds; [`NEVER`] while it does.
    stalled_since: AtomicU64,
    replaced: AtomicBool,
    waker: AtomicWaker,
}

impl Occupant {
    fn new(now: u64) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now),
            stalled_since: AtomicU64::new(NEVER),
            replaced: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    fn still_since(&self) -> u64 {
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        if self.is_idle() { stalled.min(self.idle_since.load(Ordering::Relaxed)) } else { stalled }
    }

    /// The lower, the rather it gives way: who takes nothing before who asks for nothing, the longest first.
    fn value(&self, now: u64) -> (bool, u64) {
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        (stalled > now, if stalled > now { self.still_since() } else { stalled })
    }

    fn gives_way(&self, now: u64) -> bool {
        let still = u64::try_from(STILL.as_millis()).unwrap_or(NEVER);
        now.checked_sub(self.still_since()).is_some_and(|since| since >= still)
    }

    fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }
}

/// A seat, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    source: Option<IpAddr>,
    occupant: Arc<Occupant>,
}

/// Why a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Stalled,
    Idle,
}

impl Seat {
    /// What requests of the connection hold on to.
    pub(crate) fn requests(&self) -> Requests {
        Requests { seats: self.seats.clone(), occupant: self.occupant.clone() }
    }

    /// Whether a newcomer took this seat; wakes the task when one does.
    pub(crate) fn is_replaced(&self, waker: &std::task::Waker) -> bool {
        self.occupant.waker.register(waker);
        self.occupant.replaced.load(Ordering::Acquire)
    }

    /// How long no request has been under way; `None` while one is.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let since = self.occupant.idle_since.load(Ordering::Relaxed);
        self.occupant.is_idle().then(|| Duration::from_millis(self.seats.now().saturating_sub(since)))
    }

    /// The client takes nothing from now on.
    pub(crate) fn stalled(&self) {
        let _ = self.occupant.stalled_since.compare_exchange(
            NEVER,
            self.seats.now(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// The client has taken something. Only from now on does it ask for nothing.
    pub(crate) fn moved(&self) {
        self.occupant.stalled_since.store(NEVER, Ordering::Relaxed);
        self.occupant.idle_since.store(self.seats.now(), Ordering::Relaxed);
    }

    /// Counts why the server ends the connection.
    pub(crate) fn cut(&self, why: Cut) {
        let reason = match why {
            Cut::Stalled => "stalled",
            Cut::Idle => "idle",
        };
        self.seats.0.metrics.cut.get_or_create(&Reason { reason }).inc();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Shared { table, metrics, .. } = &*self.seats.0;
        metrics.open.dec();
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut given_back = self.source.is_none();
        if let Some(source) = self.source
            && let Some(own) = table.sources.get_mut(&source)
        {
            if let Some(index) = own.iter().position(|of| Arc::ptr_eq(of, &self.occupant)) {
                own.swap_remove(index);
                given_back = true;
            }
            if own.is_empty() {
                table.sources.remove(&source);
            }
        }
        if given_back {
            table.all = table.all.saturating_sub(1);
        } else {
            // The seat went to a newcomer, which counts now.
            metrics.cut.get_or_create(&Reason { reason: "replaced" }).inc();
        }
    }
}

/// The requests of a connection: put into each of them as connection data.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    seats: Seats,
    occupant: Arc<Occupant>,
}

impl Requests {
    /// One more is under way, until the guard is dropped.
    pub(crate) fn begin(&self) -> UnderWay {
        self.occupant.requests.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }
}

/// A request that is not answered to the end.
#[derive(Debug)]
pub(crate) struct UnderWay(Requests);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Requests { seats, occupant } = &self.0;
        occupant.idle_since.store(seats.now(), Ordering::Relaxed);
        occupant.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(total: usize, per_address: usize) -> Seats {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Seats::new(ConnectionLimits { total, per_address }, trusted, &mut Registry::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn take(seats: &Seats, peer: &str, most: usize) -> Vec<Seat> {
        std::iter::from_fn(|| seats.admit(ip(peer))).take(most).collect()
    }

    /// As if the connection had been like this for as long as anybody asks.
    fn long_ago(cell: &AtomicU64) {
        cell.store(0, Ordering::Relaxed);
    }

    fn later(seats: &mut Seats) {
        let shared = Arc::get_mut(&mut seats.0).expect("no seat is taken");
        shared.begin = Instant::now().checked_sub(Duration::from_secs(60)).expect("a machine that is up");
    }

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let seats = seats(1_000, 30);
        let own = take(&seats, "2001:db8::1", 100);
        assert_eq!(own.len(), 30);
        assert!(seats.admit(ip("2001:db8::2")).is_none(), "the same /64");
        assert!(seats.admit(ip("2001:db8:0:1::1")).is_some());
        drop(own);
        assert_eq!(take(&seats, "2001:db8::2", 100).len(), 30);
        let table = seats.0.table.lock().unwrap();
        assert_eq!((table.all, table.sources.len()), (0, 0));
    }

    #[test]
    fn whoever_comes_from_elsewhere_finds_a_seat() {
        let seats = seats(1_000, 1_000);
        let crowd: Vec<Vec<Seat>> = (0..8).map(|n| take(&seats, &format!("192.0.2.{n}"), 1_000)).collect();
        // Half of what is free, and half of that, and so on: the last still get a few.
        assert_eq!(crowd.iter().map(Vec::len).collect::<Vec<_>>()[..3], [333, 222, 148]);
        assert!(crowd.iter().all(|seats| seats.len() >= FEW));
        drop(crowd);
        assert_eq!(seats.0.table.lock().unwrap().all, 0);
    }

    #[test]
    fn a_proxy_is_not_counted_by_address() {
        let seats = seats(100, 3);
        assert_eq!(take(&seats, "10.0.0.1", 1_000).len(), 100);
        assert_eq!(seats.0.table.lock().unwrap().all, 0);
    }

    #[test]
    fn who_takes_nothing_gives_way_before_who_asks_for_nothing() {
        let mut all = seats(1_000, 3);
        later(&mut all);
        let own = take(&all, "192.0.2.1", 3);
        let requests: Vec<UnderWay> = own.iter().map(|seat| seat.requests().begin()).collect();
        assert!(all.admit(ip("192.0.2.1")).is_none(), "all are at work");
        long_ago(&own[2].occupant.stalled_since);
        drop(requests);
        for seat in &own {
            long_ago(&seat.occupant.idle_since);
        }
        let newcomer = all.admit(ip("192.0.2.1")).expect("a seat");
        let waker = std::task::Waker::noop();
        let replaced: Vec<bool> = own.iter().map(|seat| seat.is_replaced(waker)).collect();
        assert_eq!(replaced, [false, false, true]);
        let _second = all.admit(ip("192.0.2.1")).expect("an idle one gives way as well");
        assert_eq!(own.iter().filter(|seat| seat.is_replaced(waker)).count(), 2);
        drop(own);
        assert_eq!(all.0.table.lock().unwrap().all, 2);
        drop(newcomer);
        assert_eq!(all.0.table.lock().unwrap().all, 1);
    }

    #[test]
    fn a_request_under_way_keeps_its_seat() {
        let mut all = seats(1_000, 1);
        later(&mut all);
        let seat = all.admit(ip("192.0.2.1")).expect("a seat");
        let request = seat.requests().begin();
        long_ago(&seat.occupant.idle_since);
        assert!(seat.idle().is_none() && all.admit(ip("192.0.2.1")).is_none());
        drop(request);
        assert!(all.admit(ip("192.0.2.1")).is_none(), "it has only just been answered");
        long_ago(&seat.occupant.idle_since);
        assert!(seat.idle().is_some_and(|idle| idle >= STILL) && all.admit(ip("192.0.2.1")).is_some());
    }
}
