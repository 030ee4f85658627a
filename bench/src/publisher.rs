//! A publisher on a thread of its own, so that its packets leave on time.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rtp::Extension;
use rtp::rtcp::{Compound, RtcpPacket};
use transport::{Event, Received, SRTP_OVERHEAD, Transport};

use crate::camera::{Camera, Pattern};
use crate::signal::Session;

/// When each packet was sent, by sequence number, in nanoseconds after `epoch`.
#[derive(Debug)]
pub(crate) struct SentTimes {
    epoch: Instant,
    times: Box<[AtomicU64]>,
}

impl SentTimes {
    fn new() -> Self {
        Self { epoch: Instant::now(), times: (0..=u16::MAX).map(|_| AtomicU64::new(0)).collect() }
    }

    fn sent(&self, number: u16) {
        let nanos = self.epoch.elapsed().as_nanos() as u64;
        if let Some(time) = self.times.get(usize::from(number)) {
            time.store(nanos, Ordering::Relaxed);
        }
    }

    /// How long before `now` packet `number` was sent.
    pub(crate) fn age(&self, number: u16, now: Instant) -> Duration {
        let sent = self.times.get(usize::from(number)).map_or(0, |time| time.load(Ordering::Relaxed));
        now.saturating_duration_since(self.epoch).saturating_sub(Duration::from_nanos(sent))
    }
}

/// A running publisher; it ends when this is dropped.
pub(crate) struct Publisher {
    pattern: Arc<Mutex<Option<Pattern>>>,
    pub(crate) times: Arc<SentTimes>,
    connected: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Publisher {
    /// Connects, and is silent until it is told what to play.
    pub(crate) fn start(session: Session) -> anyhow::Result<Self> {
        let pattern = Arc::new(Mutex::new(None));
        let (connected, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let times = Arc::new(SentTimes::new());
        let Session { socket, config, ssrc, payload_type, extensions } = session;
        let mut seed = [0; 32];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut seed);
        let mid = extensions.id(Extension::Mid).map(|id| (id, b'0'));
        let run = Run {
            transport: Transport::client(config, seed, Instant::now()),
            socket,
            camera: Camera::new(ssrc, payload_type, mid, extensions.id(Extension::TransportCc)),
            buffer: Vec::new(),
            times: times.clone(),
            connected: connected.clone(),
        };
        let (theirs, their_stop) = (pattern.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("publisher".into())
            .spawn(move || run.run(&theirs, &their_stop))?;
        Ok(Self { pattern, times, connected, stop, thread: Some(thread) })
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Plays something else, or nothing.
    pub(crate) fn play(&self, pattern: Option<Pattern>) {
        *self.pattern.lock().unwrap_or_else(PoisonError::into_inner) = pattern;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Run {
    transport: Transport,
    socket: UdpSocket,
    camera: Camera,
    buffer: Vec<u8>,
    times: Arc<SentTimes>,
    connected: Arc<AtomicBool>,
}

impl Run {
    fn run(mut self, pattern: &Mutex<Option<Pattern>>, stop: &AtomicBool) {
        let mut next = Instant::now();
        while !stop.load(Ordering::Acquire) {
            self.receive();
            self.transport.handle_timeout(Instant::now());
            self.transmit();
            let playing = *pattern.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let Some(pattern) = playing.filter(|_| self.transport.is_connected()) else {
                next = now;
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            if now >= next {
                self.frame(&pattern);
                next += pattern.interval();
                // Too late: what was missed is not made up for in a burst.
                next = if next < now { now } else { next };
            }
            let wait = next.saturating_duration_since(Instant::now());
            std::thread::sleep(wait.min(Duration::from_millis(4)));
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 2_048];
        let Ok(local) = self.socket.local_addr() else { return };
        while let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
            let datagram = buffer.get_mut(..len).unwrap_or_default();
            if let Received::Rtcp(packet) =
                self.transport.handle_datagram(from, local, datagram, Instant::now())
                && Compound::new(packet)
                    .any(|packet| matches!(packet, RtcpPacket::Pli { .. } | RtcpPacket::Fir(_)))
            {
                self.camera.keyframe();
            }
            self.transmit();
        }
    }

    fn transmit(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            if let Event::Connected(_) = event {
                self.connected.store(true, Ordering::Release);
            }
        }
        while let Some(transmit) = self.transport.poll_transmit() {
            let _ = self.socket.send_to(&transmit.bytes, transmit.to);
        }
    }

    fn frame(&mut self, pattern: &Pattern) {
        let Some(pair) = self.transport.remote_address() else { return };
        for index in 0..pattern.packets {
            self.camera.packet(pattern, index, &mut self.buffer);
            let len = self.buffer.len();
            self.buffer.resize(len + SRTP_OVERHEAD, 0);
            let Ok(len) = self.transport.protect_rtp(&mut self.buffer, len) else { return };
            self.times.sent(self.camera.sequence);
            let _ = self.socket.send_to(self.buffer.get(..len).unwrap_or_default(), pair.remote);
        }
        self.camera.end_frame(pattern);
    }
}
