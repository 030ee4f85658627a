//! Viewers by the thousand on one thread: each has a socket and a transport of its own, counts what comes, and answers
//! as a browser would when it is told to.
//!
//! The thread looks at its sockets once a millisecond instead of waiting for them, so that what is measured does not
//! pay for waking it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use rtp::rtcp::{self, Compound, ReportBlock, RtcpPacket};
use rtp::twcc::Recorder;
use rtp::{ClearHeader, RtpPacket};
use transport::{DatagramKind, Event, Received, Transport, classify};

use crate::camera;
use crate::publisher::SentTimes;
use crate::signal::{Session, TRANSPORT_CC};

/// Delays are counted in steps of this.
const DELAY_STEP: Duration = Duration::from_micros(100);
/// Delays of a second and more are one.
const DELAY_STEPS: usize = 10_000;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A gap of more is not asked for.
const MAX_NACKED: u64 = 100;

/// What a group of viewers has got so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    pub(crate) viewers: usize,
    pub(crate) connected: usize,
    /// Viewers that have got media.
    pub(crate) watching: usize,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) closed: usize,
    /// Delays since the last look, counted by steps of 100 us.
    delays: Vec<u64>,
}

impl Stats {
    /// The delay that `share` (0 to 1) of the packets stayed under.
    pub(crate) fn delay(&self, share: f64) -> Duration {
        let all: u64 = self.delays.iter().sum();
        let wanted = (all as f64 * share) as u64;
        let mut seen = 0;
        for (step, count) in (0u32..).zip(&self.delays) {
            seen += count;
            if seen > wanted {
                return DELAY_STEP * (step + 1);
            }
        }
        Duration::ZERO
    }
}

enum Command {
    /// A viewer of a group.
    Join(usize, Box<Session>),
    /// A socket that only counts.
    Count(usize, std::net::UdpSocket),
    /// When packets of a group were sent.
    Times(usize, Arc<SentTimes>),
    /// Transport-wide feedback at this interval and reports every second, or neither.
    Feedback(usize, Option<Duration>),
    Look(usize, mpsc::Sender<Stats>),
    /// Ends a group's sessions.
    Leave(usize),
}

/// The thread's handle; it ends with it.
pub(crate) struct Viewers {
    commands: mpsc::Sender<Command>,
}

impl Viewers {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (commands, received) = mpsc::channel();
        let run = Run::new()?;
        std::thread::Builder::new().name("viewers".into()).spawn(move || run.run(&received))?;
        Ok(Self { commands })
    }

    fn say(&self, command: Command) -> anyhow::Result<()> {
        self.commands.send(command).ok().context("the viewers' thread has ended")
    }

    pub(crate) fn join(&self, group: usize, session: Session) -> anyhow::Result<()> {
        self.say(Command::Join(group, Box::new(session)))
    }

    /// Opens a socket that only counts, and returns its port.
    pub(crate) fn count(&self, group: usize) -> anyhow::Result<u16> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        self.say(Command::Count(group, socket))?;
        Ok(port)
    }

    pub(crate) fn times(&self, group: usize, times: Arc<SentTimes>) -> anyhow::Result<()> {
        self.say(Command::Times(group, times))
    }

    pub(crate) fn feedback(&self, group: usize, interval: Option<Duration>) -> anyhow::Result<()> {
        self.say(Command::Feedback(group, interval))
    }

    pub(crate) fn leave(&self, group: usize) -> anyhow::Result<()> {
        self.say(Command::Leave(group))
    }

    /// What a group has got so far.
    pub(crate) fn look(&self, group: usize) -> anyhow::Result<Stats> {
        let (sender, receiver) = mpsc::channel();
        self.say(Command::Look(group, sender))?;
        receiver.recv().context("the viewers' thread has ended")
    }
}

#[derive(Default)]
struct Group {
    times: Option<Arc<SentTimes>>,
    feedback: Option<Duration>,
    delays: Vec<u64>,
}

struct Viewer {
    group: usize,
    socket: UdpSocket,
    local: SocketAddr,
    /// None for a socket that only counts.
    transport: Option<Transport>,
    timer: Option<Instant>,
    connected: bool,
    closed: bool,
    stream: Option<Stream>,
    recorder: Recorder,
    next_feedback: Option<Instant>,
    next_report: Instant,
    /// Compact time of the last sender report, and when it came.
    last_report: Option<(u32, Instant)>,
    received: u64,
}

/// The one video stream of a viewer.
struct Stream {
    ssrc: u32,
    first: u64,
    highest: u64,
    received: u64,
    /// What to add to a sequence number for the number that the publisher sent it under.
    offset: u16,
}

struct Run {
    poll: Poll,
    viewers: Vec<Viewer>,
    groups: Vec<Group>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    rtcp: Vec<u8>,
    epoch: Instant,
}

impl Run {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            viewers: Vec::new(),
            groups: Vec::new(),
            timers: BinaryHeap::new(),
            rtcp: Vec::new(),
            epoch: Instant::now(),
        })
    }

    fn run(mut self, commands: &mpsc::Receiver<Command>) {
        let mut events = Events::with_capacity(4_096);
        loop {
            loop {
                match commands.try_recv() {
                    Ok(command) => self.command(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            if self.poll.poll(&mut events, Some(Duration::ZERO)).is_err() {
                continue;
            }
            for event in &events {
                self.receive(event.token().0);
            }
            let now = Instant::now();
            while let Some(&Reverse((at, index))) = self.timers.peek().filter(|Reverse((at, _))| *at <= now) {
                self.timers.pop();
                if self.viewers.get(index).is_some_and(|viewer| viewer.timer == Some(at)) {
                    self.timeout(index, now);
                }
            }
            if events.is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn group(&mut self, index: usize) -> &mut Group {
        while self.groups.len() <= index {
            self.groups.push(Group::default());
        }
        &mut self.groups[index]
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Join(group, session) => {
                let mut seed = [0; 32];
                rand::Rng::fill_bytes(&mut rand::rng(), &mut seed);
                let transport = Transport::client(session.config, seed, now);
                self.add(group, session.socket, Some(transport), now);
            }
            Command::Count(group, socket) => self.add(group, socket, None, now),
            Command::Times(group, times) => self.group(group).times = Some(times),
            Command::Feedback(group, interval) => {
                self.group(group).feedback = interval;
                for index in 0..self.viewers.len() {
                    let Some(viewer) = self.viewers.get_mut(index).filter(|viewer| viewer.group == group)
                    else {
                        continue;
                    };
                    // Apart from each other, as those of real viewers are.
                    let spread = |interval: Duration| now + interval * (index as u32 % 64) / 64;
                    viewer.next_feedback = interval.map(spread);
                    viewer.next_report = spread(REPORT_INTERVAL);
                    self.schedule(index);
                }
            }
            Command::Look(group, reply) => {
                let _ = reply.send(self.look(group));
            }
            Command::Leave(group) => {
                for viewer in self.viewers.iter_mut().filter(|viewer| viewer.group == group) {
                    if let Some(transport) = &mut viewer.transport {
                        transport.close(now);
                    }
                    viewer.settle();
                    let _ = self.poll.registry().deregister(&mut viewer.socket);
                    viewer.transport = None;
                    viewer.timer = None;
                    viewer.group = usize::MAX;
                }
            }
        }
    }

    fn add(&mut self, group: usize, socket: std::net::UdpSocket, transport: Option<Transport>, now: Instant) {
        let index = self.viewers.len();
        let mut socket = UdpSocket::from_std(socket);
        let Ok(local) = socket.local_addr() else { return };
        if self.poll.registry().register(&mut socket, Token(index), Interest::READABLE).is_err() {
            return;
        }
        let feedback = self.group(group).feedback;
        let mut viewer = Viewer {
            group,
            socket,
            local,
            transport,
            timer: None,
            connected: false,
            closed: false,
            stream: None,
            recorder: Recorder::new(self.epoch),
            next_feedback: feedback.map(|interval| now + interval),
            next_report: now + REPORT_INTERVAL,
            last_report: None,
            received: 0,
        };
        if let Some(transport) = &mut viewer.transport {
            transport.handle_timeout(now);
        }
        viewer.settle();
        self.viewers.push(viewer);
        self.schedule(index);
    }

    fn look(&mut self, group: usize) -> Stats {
        let delays = std::mem::take(&mut self.group(group).delays);
        let mut stats = Stats { delays, ..Stats::default() };
        for viewer in self.viewers.iter().filter(|viewer| viewer.group == group) {
            stats.viewers += 1;
            stats.connected += usize::from(viewer.connected && !viewer.closed);
            stats.closed += usize::from(viewer.closed);
            stats.received += viewer.received;
            if let Some(stream) = &viewer.stream {
                stats.watching += 1;
                stats.lost += (stream.highest + 1 - stream.first).saturating_sub(stream.received);
            }
        }
        stats
    }

    fn receive(&mut self, index: usize) {
        let Some(viewer) = self.viewers.get_mut(index) else { return };
        let Some(group) = self.groups.get_mut(viewer.group) else { return };
        let mut buffer = [0; 2_048];
        let mut other = false;
        while let Ok((len, from)) = viewer.socket.recv_from(&mut buffer) {
            let datagram = buffer.get_mut(..len).unwrap_or_default();
            if viewer.transport.is_none() {
                viewer.received += 1;
            } else if classify(datagram) == DatagramKind::Rtp {
                viewer.media(from, datagram, group, Instant::now(), &mut self.rtcp);
            } else {
                viewer.control(from, datagram, Instant::now());
                other = true;
            }
        }
        if other {
            viewer.settle();
            self.schedule(index);
        }
    }

    fn timeout(&mut self, index: usize, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(index) else { return };
        viewer.timer = None;
        if let Some(transport) = &mut viewer.transport {
            transport.handle_timeout(now);
        }
        viewer.settle();
        let feedback = self.groups.get(viewer.group).and_then(|group| group.feedback);
        if let Some(interval) = feedback {
            viewer.report(interval, now, &mut self.rtcp);
        }
        self.schedule(index);
    }

    fn schedule(&mut self, index: usize) {
        let Some(viewer) = self.viewers.get_mut(index) else { return };
        let Some(transport) = &viewer.transport else { return };
        let report = viewer.next_feedback.map(|_| viewer.next_report);
        let due = [transport.poll_timeout(), viewer.next_feedback, report].into_iter().flatten().min();
        if viewer.timer != due
            && let Some(at) = due
        {
            viewer.timer = due;
            self.timers.push(Reverse((at, index)));
        }
    }
}

impl Viewer {
    /// Sends what the transport has to send, and takes its events.
    fn settle(&mut self) {
        let Some(transport) = &mut self.transport else { return };
        while let Some(event) = transport.poll_event() {
            match event {
                Event::Connected(_) => self.connected = true,
                Event::Closed(_) => self.closed = true,
                Event::Validated(_) | Event::Invalidated(_) | Event::AddressChanged(_) => {}
                #[allow(unreachable_patterns, reason = "more may come")]
                _ => {}
            }
        }
        while let Some(transmit) = transport.poll_transmit() {
            let _ = self.socket.send_to(&transmit.bytes, transmit.to);
        }
    }

    /// STUN, DTLS and reports.
    fn control(&mut self, from: SocketAddr, datagram: &mut [u8], now: Instant) {
        let Some(transport) = &mut self.transport else { return };
        if let Received::Rtcp(packet) = transport.handle_datagram(from, self.local, datagram, now) {
            for packet in Compound::new(packet) {
                if let RtcpPacket::SenderReport { info, .. } = packet {
                    self.last_report = Some(((info.ntp >> 16) as u32, now));
                }
            }
        }
    }

    /// Only the first packet is decrypted: the rest is known by its clear header.
    fn media(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        group: &mut Group,
        now: Instant,
        rtcp: &mut Vec<u8>,
    ) {
        let Ok(header) = ClearHeader::parse(datagram) else { return };
        let ClearHeader { sequence, ssrc, .. } = header;
        if group.feedback.is_some()
            && let Some(number) = header.element(TRANSPORT_CC).and_then(|value| value.first_chunk())
        {
            self.recorder.record(u16::from_be_bytes(*number), now);
        }
        let Some(stream) = &mut self.stream else {
            let Some(transport) = &mut self.transport else { return };
            let Received::Rtp(packet) = transport.handle_datagram(from, self.local, datagram, now) else {
                return;
            };
            let packet = RtpPacket::parse(packet).ok();
            let Some(number) = packet.and_then(|packet| camera::number(packet.payload())) else { return };
            let first = (1 << 16) + u64::from(sequence);
            let offset = number.wrapping_sub(sequence);
            self.stream = Some(Stream { ssrc, first, highest: first, received: 1, offset });
            self.received += 1;
            return;
        };
        if ssrc != stream.ssrc {
            // Padding or a retransmission.
            return;
        }
        self.received += 1;
        stream.received += 1;
        let step = sequence.wrapping_sub(stream.highest as u16) as i16;
        let expected = stream.highest + 1;
        stream.highest = stream.highest.max(stream.highest.wrapping_add_signed(i64::from(step)));
        if let Some(times) = &group.times {
            let delay =
                times.age(sequence.wrapping_add(stream.offset), now).as_micros() / DELAY_STEP.as_micros();
            if group.delays.is_empty() {
                group.delays = vec![0; DELAY_STEPS];
            }
            if let Some(count) = group.delays.get_mut((delay as usize).min(DELAY_STEPS - 1)) {
                *count += 1;
            }
        }
        let missing = stream.highest.saturating_sub(expected);
        if group.feedback.is_some() && missing > 0 && missing <= MAX_NACKED {
            let numbers: Vec<u16> = (expected..stream.highest).map(|seq| seq as u16).collect();
            let media = stream.ssrc;
            rtcp.clear();
            rtcp::write::nack(rtcp, 1, media, &numbers);
            self.send_rtcp(rtcp);
        }
    }

    fn report(&mut self, interval: Duration, now: Instant, rtcp: &mut Vec<u8>) {
        let Some(stream) = &self.stream else {
            self.next_feedback = Some(now + interval);
            self.next_report = now + REPORT_INTERVAL;
            return;
        };
        let ssrc = stream.ssrc;
        if self.next_feedback.is_some_and(|at| at <= now) {
            self.next_feedback = Some(now + interval);
            rtcp.clear();
            if self.recorder.write(rtcp, 1, ssrc) {
                self.send_rtcp(rtcp);
            }
        }
        let Some(stream) = self.stream.as_ref().filter(|_| self.next_report <= now) else { return };
        self.next_report = now + REPORT_INTERVAL;
        let lost = (stream.highest + 1 - stream.first).saturating_sub(stream.received);
        let (last_report, delay) = self.last_report.map_or((0, 0), |(ntp, at)| {
            (ntp, (now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000) as u32)
        });
        let block = ReportBlock {
            ssrc,
            fraction_lost: 0,
            lost: lost as i32,
            highest: (stream.highest - (1 << 16)) as u32,
            jitter: 0,
            last_report,
            delay,
        };
        rtcp.clear();
        rtcp::write::receiver_report(rtcp, 1, &[block]);
        self.send_rtcp(rtcp);
    }

    fn send_rtcp(&mut self, packet: &[u8]) {
        let Some(transport) = &mut self.transport else { return };
        let Some(pair) = transport.remote_address() else { return };
        let mut buffer = [0; 1_500];
        let Some(place) = buffer.get_mut(..packet.len()) else { return };
        place.copy_from_slice(packet);
        if let Ok(len) = transport.protect_rtcp(&mut buffer, packet.len()) {
            let _ = self.socket.send_to(buffer.get(..len).unwrap_or_default(), pair.remote);
        }
    }
}
