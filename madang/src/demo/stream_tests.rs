use rtp::RtpPacket;

use super::*;

const VIDEO: u32 = 0x1111;
const RTX: u32 = 0x2222;
const AUDIO: u32 = 0x3333;

fn track(ssrc: u32, payload_type: u8, rtx: Option<(u8, u32)>) -> Track {
    Track {
        ssrc,
        payload_type,
        rtx,
        mid: Some((1, "0".parse().unwrap())),
        capture_time: Some(2),
        first_sequence: 0xFFF0,
        first_timestamp: 0xFFFF_FF00,
    }
}

struct Run {
    stream: Stream,
    start: Instant,
    now: Instant,
}

/// The fields of a packet that tests look at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    at: Duration,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

impl Run {
    fn new() -> Self {
        let params = Params {
            video: track(VIDEO, 98, Some((99, RTX))),
            audio: track(AUDIO, 111, None),
            cname: "demo".into(),
            seed: 7,
        };
        let start = Instant::now();
        let stream = Stream::new(Arc::new(Clip::load().unwrap()), params, start, 1 << 40);
        Self { stream, start, now: start }
    }

    /// Drives the stream to `end` after the start, jumping from deadline to deadline.
    fn until(&mut self, end: Duration) -> (Vec<Seen>, Vec<Vec<u8>>) {
        let (mut rtp, mut rtcp) = (Vec::new(), Vec::new());
        loop {
            let at = self.now - self.start;
            while let Some(outgoing) = self.stream.poll_packet() {
                match outgoing {
                    Outgoing::Rtp(bytes) => rtp.push(seen(at, &bytes)),
                    Outgoing::Rtcp(bytes) => rtcp.push(bytes),
                }
            }
            let next = self.stream.poll_timeout();
            if next >= self.start + end {
                return (rtp, rtcp);
            }
            self.now = self.now.max(next);
            self.stream.handle_timeout(self.now);
        }
    }
}

fn seen(at: Duration, bytes: &[u8]) -> Seen {
    let packet = RtpPacket::parse(bytes).unwrap();
    assert_eq!(packet.element(1), Some(&b"0"[..]), "the mid");
    assert_eq!(packet.element(2).map(<[u8]>::len), Some(8), "the capture time");
    Seen {
        at,
        ssrc: packet.ssrc,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        marker: packet.marker,
        payload: packet.payload().to_vec(),
    }
}

fn of(packets: &[Seen], ssrc: u32) -> Vec<&Seen> {
    packets.iter().filter(|packet| packet.ssrc == ssrc).collect()
}

fn keyframes(packets: &[Seen]) -> Vec<Duration> {
    let key = |packet: &&&Seen| vp9::starts_keyframe(&packet.payload);
    of(packets, VIDEO).iter().filter(key).map(|packet| packet.at).collect()
}

fn pli(ssrc: u32) -> Vec<u8> {
    let mut out = Vec::new();
    rtcp::write::pli(&mut out, 1, ssrc);
    out
}

fn nack(missing: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    rtcp::write::nack(&mut out, 1, VIDEO, missing);
    out
}

#[test]
fn both_streams_run_without_a_gap_over_the_end_of_the_clip() {
    let mut run = Run::new();
    let (packets, _) = run.until(Duration::from_secs(25));
    let audio = of(&packets, AUDIO);
    assert_eq!(audio.len(), 25 * 50);
    let video = of(&packets, VIDEO);
    assert_eq!(video.iter().filter(|packet| packet.marker).count(), 25 * 25);
    for stream in [&audio, &video] {
        assert!(stream.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    }
    assert!(audio.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp.wrapping_add(960)));
    let frames: Vec<&&Seen> = video.iter().filter(|packet| packet.marker).collect();
    assert!(frames.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp.wrapping_add(3_600)));
    assert_eq!(keyframes(&packets).len(), 13);
    assert!(video.iter().all(|packet| packet.payload.len() <= MAX_PAYLOAD));
}

#[test]
fn a_frame_goes_out_in_groups() {
    let mut run = Run::new();
    let (packets, _) = run.until(Duration::from_secs(12));
    let video = of(&packets, VIDEO);
    for packet in &video {
        assert!(video.iter().filter(|other| other.at == packet.at).count() <= BURST);
    }
    // And each is complete before the next is due.
    assert!(video.iter().all(|packet| packet.at.as_micros() % 40_000 < 39_000));
}

#[test]
fn reports_lie_on_the_line_of_the_packets() {
    let mut run = Run::new();
    let (packets, reports) = run.until(Duration::from_secs(5));
    assert_eq!(reports.len(), 5);
    let mut senders = Vec::new();
    for packet in Compound::new(&reports[4]) {
        match packet {
            RtcpPacket::SenderReport { ssrc, info, .. } => senders.push((ssrc, info)),
            other => assert_eq!(other, RtcpPacket::SourceDescription),
        }
    }
    let [(VIDEO, video), (AUDIO, audio)] = senders[..] else { panic!("{senders:?}") };
    assert_eq!((video.ntp, audio.ntp), ((1 << 40) + (4 << 32), video.ntp));
    assert_eq!(video.rtp, 0xFFFF_FF00u32.wrapping_add(4 * 90_000));
    assert_eq!(audio.rtp, 0xFFFF_FF00u32.wrapping_add(4 * 48_000));
    // Counts: what was produced up to the report.
    let frame = of(&packets, AUDIO).iter().filter(|packet| packet.at <= Duration::from_secs(4)).count();
    assert_eq!(audio.packets, u32::try_from(frame).unwrap());
}

#[test]
fn a_keyframe_comes_at_once_and_not_more_often_than_once_a_second() {
    let mut run = Run::new();
    run.until(Duration::from_millis(810));
    run.stream.handle_rtcp(&pli(VIDEO));
    let (packets, _) = run.until(Duration::from_millis(1_200));
    assert_eq!(keyframes(&packets), [Duration::from_millis(840)]);
    for _ in 0..10 {
        run.stream.handle_rtcp(&pli(VIDEO));
    }
    let (packets, _) = run.until(Duration::from_millis(2_500));
    assert_eq!(keyframes(&packets), [Duration::from_millis(1_840)]);
    // Requests of other streams do nothing.
    run.stream.handle_rtcp(&pli(9));
    assert!(keyframes(&run.until(Duration::from_millis(3_000)).0).is_empty());
}

#[test]
fn a_request_right_after_a_keyframe_is_answered_by_it() {
    let mut run = Run::new();
    run.until(Duration::from_millis(100));
    run.stream.handle_rtcp(&pli(VIDEO));
    assert!(keyframes(&run.until(Duration::from_millis(1_000)).0).is_empty());
}

#[test]
fn a_lost_packet_is_sent_again_a_few_times() {
    let mut run = Run::new();
    let (packets, _) = run.until(Duration::from_secs(1));
    let lost = of(&packets, VIDEO)[20].clone();
    for _ in 0..10 {
        run.stream.handle_rtcp(&nack(&[lost.sequence]));
    }
    let (packets, _) = run.until(Duration::from_millis(1_100));
    let again = of(&packets, RTX);
    assert_eq!(again.len(), usize::from(MAX_RESENDS));
    assert_eq!(again[0].payload[..2], lost.sequence.to_be_bytes());
    assert_eq!(again[0].payload[2..], lost.payload);
    assert_eq!((again[0].timestamp, again[0].marker), (lost.timestamp, lost.marker));
    assert_eq!(again.iter().map(|packet| packet.sequence).collect::<Vec<_>>(), [7, 8, 9, 10]);

    run.stream.handle_rtcp(&nack(&[lost.sequence.wrapping_sub(5_000)]));
    assert!(of(&run.until(Duration::from_millis(1_200)).0, RTX).is_empty(), "never sent");
}

#[test]
fn a_full_intra_request_is_a_request_for_a_keyframe() {
    let mut run = Run::new();
    run.until(Duration::from_millis(810));
    let fir = |ssrc: u32| {
        [&[0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0][..], &ssrc.to_be_bytes(), &[9, 0, 0, 0]].concat()
    };
    run.stream.handle_rtcp(&fir(9));
    assert!(keyframes(&run.until(Duration::from_millis(900)).0).is_empty(), "another stream's");
    run.stream.handle_rtcp(&fir(VIDEO));
    assert_eq!(keyframes(&run.until(Duration::from_millis(1_200)).0), [Duration::from_millis(920)]);
}

#[test]
fn one_compound_asks_for_so_many_packets_and_no_more() {
    let mut run = Run::new();
    let (packets, _) = run.until(Duration::from_secs(5));
    let video: Vec<u16> = of(&packets, VIDEO).iter().map(|packet| packet.sequence).collect();
    assert!(video.len() > MAX_REQUESTS, "{}", video.len());
    let both = [nack(&video[..100]), nack(&video[100..])].concat();
    run.stream.handle_rtcp(&both);
    let (packets, _) = run.until(Duration::from_millis(5_010));
    assert_eq!(of(&packets, RTX).len(), MAX_REQUESTS);
}

#[test]
fn after_a_pause_of_the_machine_the_clip_goes_on_in_time() {
    let mut run = Run::new();
    run.until(Duration::from_secs(1));
    run.now += Duration::from_secs(60);
    let woken = run.now - run.start;
    run.stream.handle_timeout(run.now);
    let (packets, _) = run.until(Duration::from_millis(62_000));
    let frames = of(&packets, VIDEO).iter().filter(|packet| packet.marker).count();
    assert!(frames <= 26, "{frames} frames in one second");
    assert!(vp9::starts_keyframe(&of(&packets, VIDEO)[0].payload));
    let audio = of(&packets, AUDIO);
    let expected = 0xFFFF_FF00u32.wrapping_add(u32::try_from(48 * woken.as_millis()).unwrap());
    assert!(audio[0].timestamp.wrapping_sub(expected) < 48 * 50, "timestamps follow the clock");
}
