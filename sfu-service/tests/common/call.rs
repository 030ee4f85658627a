//! A call whose viewers check that they miss nothing, for those who disturb it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use contract::rest::Status;

use super::common::{PATIENCE, Sfu};
use super::light::{Light, RTX_PAYLOAD_TYPE, frame_number};

/// A viewer who misses nothing.
pub(crate) struct Watcher {
    pub(crate) light: Light,
    /// Its next sequence number.
    pub(crate) expected: u16,
    /// Bytes of packets that came for the first time, and again.
    pub(crate) bytes: usize,
    pub(crate) repeated_bytes: usize,
}

impl Watcher {
    /// Takes packets up to `frame`, and checks that they come in sequence.
    pub(crate) async fn sees(&mut self, frame: u32) {
        loop {
            let packet = self.light.packet().await;
            if packet[1] & 0x7F == RTX_PAYLOAD_TYPE {
                self.repeated_bytes += packet.len();
                continue;
            }
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            assert_eq!(sequence, self.expected, "of frame {}", frame_number(&packet));
            self.expected = sequence.wrapping_add(1);
            self.bytes += packet.len();
            if frame_number(&packet) == frame {
                return;
            }
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.light.negotiated.media[0].ssrcs[0].media
    }
}

/// A publisher who films, and viewers.
pub(crate) struct Call {
    pub(crate) sfu: Sfu,
    pub(crate) publisher: Light,
    pub(crate) watchers: Vec<Watcher>,
}

impl Call {
    /// With media flowing to everybody, in turn on one shard and the other.
    pub(crate) async fn start(sfu: Sfu, count: usize) -> Self {
        sfu.meta.set(1, Status::Ready);
        let mut publisher = Light::publish(&sfu, "/whip/1", false).await;
        let mut watchers = Vec::new();
        for _ in 0..count {
            publisher.film().await;
            let mut light = Light::play(&sfu, "/whep/1", false).await;
            let flowing = async {
                while light.packets.is_empty() {
                    publisher.film().await;
                    publisher.catch_up().await;
                    light.step().await;
                }
            };
            tokio::time::timeout(PATIENCE, flowing).await.expect("no media flows");
            let first = &light.packets[0];
            let expected = u16::from_be_bytes([first[2], first[3]]);
            watchers.push(Watcher { light, expected, bytes: 0, repeated_bytes: 0 });
        }
        Self { sfu, publisher, watchers }
    }

    /// Films one frame, and waits until everybody has it.
    pub(crate) async fn film(&mut self) {
        let frame = self.publisher.next_frame;
        self.publisher.film().await;
        self.publisher.catch_up().await;
        for watcher in &mut self.watchers {
            watcher.sees(frame).await;
        }
    }

    /// That nobody's session has ended or suffered.
    pub(crate) async fn is_whole(&self) {
        assert_eq!(self.sfu.metric("sfu_sessions{role=\"Publisher\"}").await, 1);
        assert_eq!(self.sfu.metric("sfu_sessions{role=\"Viewer\"}").await, self.watchers.len() as u64);
        for nothing in ["sfu_session_panics_total", "sfu_send_dropped_total", "sfu_forward_dropped_total"] {
            assert_eq!(self.sfu.metric(nothing).await, 0, "{nothing}");
        }
    }
}
