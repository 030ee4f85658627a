//! What to do: a scenario in TOML. Pure: text in, checked values out.

use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

pub use crate::call::settings::{Call, Talk};

/// Longest run: every run ends.
pub const MAX_DURATION_S: f64 = 86_400.0;
/// Most viewers of one run: as many as addresses are handed out for.
pub const MAX_CLIENTS: usize = 60_000;
/// Longest delay of a datagram: ICE and DTLS still connect.
pub const MAX_DELAY_MS: f64 = 2_000.0;
/// Most broadcasts of one run.
pub const MAX_BROADCASTS: usize = 1_000;
/// Most simulcast encodings of a publisher.
pub const MAX_ENCODINGS: usize = 3;

/// The scenarios that are part of the binary, by name.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("broadcast", include_str!("../scenarios/broadcast.toml")),
    ("ramp", include_str!("../scenarios/ramp.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("lossy", include_str!("../scenarios/lossy.toml")),
    ("mesh", include_str!("../scenarios/mesh.toml")),
    ("call", include_str!("../scenarios/call.toml")),
];

/// Why a scenario is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, an unknown key, a value of the wrong type.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A `--set` that is no assignment.
    #[error("`{0}` is not of the form key=value, e.g. view.viewers=100")]
    Assignment(String),
    /// A `--set` below a key that is no table.
    #[error("`{0}` cannot be set: `{1}` is not a table")]
    NotATable(String, String),
    /// A value out of its range, or two that exclude each other.
    #[error("{key}: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

fn value(key: &'static str, message: impl Into<String>) -> ScenarioError {
    ScenarioError::Value { key, message: message.into() }
}

/// Which clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Light clients: ICE, DTLS, SRTP and statistics; thousands in a process.
    #[default]
    Light,
    /// Viewers are PeerConnections of the `webrtc` crate, at most [`MAX_WEBRTC_VIEWERS`].
    Webrtc,
}

/// Most viewers of the `webrtc` engine: each is a full stack.
pub const MAX_WEBRTC_VIEWERS: usize = 50;

/// A scenario. Unknown keys are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Name for reports.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// Which clients.
    pub engine: Engine,
    /// How the run goes in time.
    pub run: Run,
    /// Where to publish and play.
    pub server: Server,
    /// What is published.
    pub publish: Publish,
    /// Who watches.
    pub view: View,
    /// Datagrams lost on purpose, inside of the probe.
    pub loss: Loss,
    /// Datagrams delayed on purpose, likewise.
    pub delay: Delay,
    /// Viewers come and go while it is measured.
    pub churn: Option<Churn>,
    /// Viewers are added until something breaks.
    pub ramp: Option<Ramp>,
    /// Everybody publishes, and watches everybody else in sessions of their own.
    pub mesh: Option<Mesh>,
    /// A call of Madang: everybody publishes, and receives through slots.
    pub call: Option<Call>,
    /// Bounds that decide the exit code.
    pub expect: Expect,
}

/// How the run goes in time.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// Seconds of measuring, from when everybody has joined.
    pub duration_s: f64,
    /// Seconds between the last join and the start of measuring.
    pub settle_s: f64,
    /// Threads for viewers; publishers have one of their own.
    pub threads: usize,
    /// Seconds until a session must be connected, and the first frame be there.
    pub join_timeout_s: f64,
}

impl Default for Run {
    fn default() -> Self {
        Self { duration_s: 10.0, settle_s: 1.0, threads: 1, join_timeout_s: 15.0 }
    }
}

/// Where to publish and play. `{n}` in a URL is the number of the broadcast, from 1.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Creates each broadcast by `POST {meta_url}/broadcasts` first, which gives both URLs and the stream key.
    pub meta_url: Option<String>,
    /// Where `/rooms/...` is, for calls; without it at `meta_url`.
    pub rooms_url: Option<String>,
    /// WebSocket of signaling, for calls; without it `{meta_url}/streaming`.
    pub signaling_url: Option<String>,
    /// Bearer for `meta_url`, where creating is not open.
    pub meta_bearer: Option<String>,
    /// WHIP endpoint.
    pub whip_url: Option<String>,
    /// Bearer for it.
    pub whip_bearer: Option<String>,
    /// WHEP endpoint.
    pub whep_url: Option<String>,
    /// Bearer for it.
    pub whep_bearer: Option<String>,
    /// Process to measure, on this machine.
    pub pid: Option<u32>,
    /// URL of the server's admin port, to find that process by who listens there.
    pub admin_url: Option<String>,
}

/// Where pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Video {
    /// Packets of the wanted size and rate, with valid descriptors and frame headers, that no decoder can show.
    #[default]
    Synthetic,
    /// A real clip.
    Clip,
    /// Sound only.
    None,
}

/// What synthetic video pretends to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyntheticCodec {
    /// RFC 7741.
    #[default]
    Vp8,
    /// RFC 6184, packetization-mode 1.
    H264,
}

/// How the packets of a frame are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// Evenly over the frame's duration.
    #[default]
    Even,
    /// All at once.
    Frames,
}

/// What is published.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Publish {
    /// How many broadcasts, with one publisher each. A mesh has one for each caller.
    pub broadcasts: usize,
    /// Where pictures come from.
    pub video: Video,
    /// An IVF file of VP8 or VP9 for `video = "clip"`; without one the demo clip is sent.
    pub clip: Option<String>,
    /// What synthetic video pretends to be.
    pub codec: SyntheticCodec,
    /// Payload bitrate of the (largest) encoding, kbit/s.
    pub kbps: u32,
    /// Frames a second.
    pub fps: u32,
    /// Largest RTP payload in bytes, descriptor included.
    pub packet_bytes: usize,
    /// How the packets of a frame are spread.
    pub spacing: Spacing,
    /// Seconds between keyframes that nobody asked for.
    pub keyframe_interval_s: f64,
    /// How much larger a keyframe is than another frame.
    pub keyframe_factor: f64,
    /// Simulcast encodings by rid, the smallest first; each has a third of the bitrate of the next. Empty: none.
    pub simulcast: Vec<String>,
    /// Opus beside it, 20 ms a packet.
    pub audio: bool,
    /// Bitrate of the sound, kbit/s.
    pub audio_kbps: u32,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            broadcasts: 1,
            video: Video::Synthetic,
            clip: None,
            codec: SyntheticCodec::Vp8,
            kbps: 1_000,
            fps: 25,
            packet_bytes: 1_080,
            spacing: Spacing::Frames,
            keyframe_interval_s: 10.0,
            keyframe_factor: 1.0,
            simulcast: Vec::new(),
            audio: true,
            audio_kbps: 32,
        }
    }
}

/// Which packets a viewer decrypts. All of them until its first frame and while its picture stands still; the
/// RTP header, which most of the statistics need, is in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decrypt {
    /// Every packet.
    All,
    /// None after the first frame.
    First,
    /// One in so many.
    OneIn(u32),
}

impl<'de> Deserialize<'de> for Decrypt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("expected \"all\", \"first\" or a number from 1 to 1000");
        match Value::deserialize(deserializer)? {
            Value::String(text) if text == "all" => Ok(Self::All),
            Value::String(text) if text == "first" => Ok(Self::First),
            // More would let the sequence number wrap unseen between two decrypted packets.
            Value::Integer(n @ 1..=1_000) => Ok(Self::OneIn(u32::try_from(n).map_err(|_| wrong())?)),
            _ => Err(wrong()),
        }
    }
}

/// When a viewer asks for a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pli {
    /// As soon as it is connected, and when needed.
    Join,
    /// When there is media and no frame, or a picture stands still; as browsers do.
    #[default]
    Needed,
    /// Never.
    Never,
}

/// How light clients share sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sockets {
    /// Shared where the server is on 127.0.0.1, else one for each client.
    #[default]
    Auto,
    /// One for each client.
    Own,
}

/// Who watches.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct View {
    /// How many viewers, spread evenly over the broadcasts. In a mesh everybody watches everybody.
    pub viewers: usize,
    /// Joins a second.
    pub join_rate: f64,
    /// Which packets are decrypted.
    pub decrypt: Decrypt,
    /// Share of the viewers (0 to 1) that asks again for lost packets.
    pub nack_share: f64,
    /// Answer with transport-wide feedback where the server knows it.
    pub transport_cc: bool,
    /// When to ask for a keyframe.
    pub pli: Pli,
    /// How sockets are shared.
    pub sockets: Sockets,
    /// A gap between frames longer than this is a freeze, ms.
    pub freeze_ms: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            viewers: 10,
            join_rate: 50.0,
            decrypt: Decrypt::OneIn(16),
            nack_share: 1.0,
            transport_cc: true,
            pli: Pli::Needed,
            sockets: Sockets::Auto,
            freeze_ms: 300,
        }
    }
}

/// Datagrams lost on purpose, each with this probability (0 to 1), the same ones in each run.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Of those that come to viewers.
    pub down: f64,
    /// Of those that publishers send.
    pub up: f64,
    /// Of what viewers send back: feedback, requests, checks.
    pub back: f64,
    /// Where the sequence starts.
    pub seed: u64,
}

impl Default for Loss {
    fn default() -> Self {
        Self { down: 0.0, up: 0.0, back: 0.0, seed: 1 }
    }
}

/// How long datagrams are on their way, beside what the real network takes. Every value is for one direction.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delay {
    /// Of those that come to viewers, ms.
    pub down_ms: f64,
    /// Of those that publishers send, ms.
    pub up_ms: f64,
    /// Of what each gets or says back, ms.
    pub back_ms: f64,
    /// Up to this much is added to each datagram, ms; their order stays.
    pub jitter_ms: f64,
    /// Share of the datagrams (0 to 1) that are not delayed at all, and so overtake those before them.
    pub reorder: f64,
}

/// Viewers come and go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// So many leave, and as many join, each second.
    pub per_second: f64,
}

/// Viewers are added until something breaks.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ramp {
    /// Viewers at first.
    pub start: usize,
    /// Viewers added at each step.
    pub step: usize,
    /// Viewers at most: the ramp ends there unbroken.
    pub max: usize,
    /// Seconds that each step is measured.
    pub hold_s: f64,
    /// Broken: a larger share of packets than this is lost in a step.
    pub max_loss: f64,
    /// Broken: p99 of the forward delay in a step is over this, ms.
    pub max_delay_p99_ms: f64,
    /// Broken: more joins than this fail.
    pub max_failed_joins: usize,
}

impl Default for Ramp {
    fn default() -> Self {
        Self {
            start: 50,
            step: 50,
            max: 2_000,
            hold_s: 5.0,
            max_loss: 0.001,
            max_delay_p99_ms: 50.0,
            max_failed_joins: 0,
        }
    }
}

/// Everybody publishes, and watches everybody else in sessions of their own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    /// How many take part.
    pub callers: usize,
}

/// Bounds of the measured part of the run; each that is missed is named, and the exit code is 1.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Share of the packets lost for good.
    pub max_loss: Option<f64>,
    /// p99 of the forward delay, ms.
    pub max_delay_p99_ms: Option<f64>,
    /// p95 from the POST to the first complete keyframe, ms.
    pub max_first_frame_p95_ms: Option<f64>,
    /// p95 from the POST to a whole page, of callers that join one by one, ms.
    pub max_join_p95_ms: Option<f64>,
    /// Freezes of all viewers together.
    pub max_freezes: Option<u64>,
    /// p95 over the viewers of their jitter, ms.
    pub max_jitter_p95_ms: Option<f64>,
    /// Joins that failed, in the whole run.
    pub max_failed_joins: Option<u64>,
    /// Sessions that ended by themselves, in the whole run.
    pub max_dropped: Option<u64>,
    /// Viewers that got pictures (sound, if there is no video).
    pub min_served: Option<u64>,
    /// Viewers that a ramp must carry.
    pub min_ramp: Option<u64>,
    /// CPU of the server, us per packet that reached a viewer.
    pub max_server_us_per_packet: Option<f64>,
}

impl Scenario {
    /// Reads a scenario, with `assignments` (`view.viewers=100`) over what it says.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn parse(text: &str, assignments: &[String]) -> Result<Self, ScenarioError> {
        let mut table: Table = text.parse()?;
        for assignment in assignments {
            assign(&mut table, assignment)?;
        }
        // Through text again, so that an error shows the line it is about.
        let text = toml::to_string_pretty(&table).unwrap_or_default();
        let scenario: Self = toml::from_str(&text)?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// How many broadcasts there are.
    #[must_use]
    pub fn broadcasts(&self) -> usize {
        self.mesh.as_ref().map_or(self.publish.broadcasts, |mesh| mesh.callers)
    }

    /// The broadcasts that the viewers watch, by index, in the order in which they join.
    #[must_use]
    pub fn seats(&self) -> Vec<usize> {
        let broadcasts = self.broadcasts();
        if self.call.is_some() {
            return Vec::new();
        }
        match (&self.mesh, &self.ramp) {
            (Some(mesh), _) => (0..mesh.callers)
                .flat_map(|caller| (0..mesh.callers).filter(move |other| *other != caller))
                .collect(),
            (None, Some(ramp)) => (0..ramp.max).map(|n| n % broadcasts.max(1)).collect(),
            (None, None) => (0..self.view.viewers).map(|n| n % broadcasts.max(1)).collect(),
        }
    }

    fn validate(&self) -> Result<(), ScenarioError> {
        seconds("run.duration_s", self.run.duration_s, 0.1)?;
        seconds("run.settle_s", self.run.settle_s, 0.0)?;
        seconds("run.join_timeout_s", self.run.join_timeout_s, 0.1)?;
        range("run.threads", self.run.threads, 1, 64)?;
        range("publish.broadcasts", self.publish.broadcasts, 1, MAX_BROADCASTS)?;
        range("publish.kbps", self.publish.kbps as usize, 1, 100_000)?;
        range("publish.fps", self.publish.fps as usize, 1, 1_000)?;
        range("publish.packet_bytes", self.publish.packet_bytes, 64, 1_200)?;
        range("publish.audio_kbps", self.publish.audio_kbps as usize, 6, 450)?;
        seconds("publish.keyframe_interval_s", self.publish.keyframe_interval_s, 0.1)?;
        if !(1.0..=50.0).contains(&self.publish.keyframe_factor) {
            return Err(value("publish.keyframe_factor", "from 1 to 50"));
        }
        self.validate_simulcast()?;
        if self.publish.video == Video::None && !self.publish.audio {
            return Err(value("publish", "neither video nor audio is left"));
        }
        if !self.view.join_rate.is_finite() || !(0.1..=10_000.0).contains(&self.view.join_rate) {
            return Err(value("view.join_rate", "from 0.1 to 10000 a second"));
        }
        for (key, share) in [
            ("view.nack_share", self.view.nack_share),
            ("loss.down", self.loss.down),
            ("loss.up", self.loss.up),
            ("loss.back", self.loss.back),
            ("delay.reorder", self.delay.reorder),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(value(key, "a share, from 0 to 1"));
            }
        }
        for (key, ms) in [
            ("delay.down_ms", self.delay.down_ms),
            ("delay.up_ms", self.delay.up_ms),
            ("delay.back_ms", self.delay.back_ms),
            ("delay.jitter_ms", self.delay.jitter_ms),
        ] {
            if !(0.0..=MAX_DELAY_MS).contains(&ms) {
                return Err(value(key, format!("from 0 to {MAX_DELAY_MS} ms")));
            }
        }
        if self.view.freeze_ms == 0 {
            return Err(value("view.freeze_ms", "at least 1"));
        }
        self.validate_kind()?;
        if self.seats().len() > MAX_CLIENTS {
            return Err(value("view.viewers", format!("at most {MAX_CLIENTS} viewers in all")));
        }
        self.validate_server()
    }

    fn validate_simulcast(&self) -> Result<(), ScenarioError> {
        let rids = &self.publish.simulcast;
        if rids.len() > MAX_ENCODINGS {
            return Err(value("publish.simulcast", format!("at most {MAX_ENCODINGS} rids")));
        }
        if rids.iter().any(|rid| rid.parse::<rtp::Rid>().is_err()) {
            return Err(value("publish.simulcast", "a rid is 1 to 16 letters, digits, `-` or `_`"));
        }
        if rids.iter().enumerate().any(|(n, rid)| rids.iter().take(n).any(|other| other == rid)) {
            return Err(value("publish.simulcast", "each rid once"));
        }
        if !rids.is_empty() && self.publish.video != Video::Synthetic {
            return Err(value("publish.simulcast", "only with video = \"synthetic\""));
        }
        Ok(())
    }

    fn validate_kind(&self) -> Result<(), ScenarioError> {
        let kinds = [self.churn.is_some(), self.ramp.is_some(), self.mesh.is_some(), self.call.is_some()];
        if kinds.into_iter().filter(|kind| *kind).count() > 1 {
            return Err(value("scenario", "of [churn], [ramp], [mesh] and [call] only one"));
        }
        if let Some(churn) = &self.churn
            && !(0.01..=1_000.0).contains(&churn.per_second)
        {
            return Err(value("churn.per_second", "from 0.01 to 1000"));
        }
        if let Some(ramp) = &self.ramp {
            range("ramp.start", ramp.start, 1, MAX_CLIENTS)?;
            range("ramp.step", ramp.step, 1, MAX_CLIENTS)?;
            range("ramp.max", ramp.max, ramp.start, MAX_CLIENTS)?;
            seconds("ramp.hold_s", ramp.hold_s, 0.5)?;
        }
        if let Some(mesh) = &self.mesh {
            range("mesh.callers", mesh.callers, 2, 200)?;
        }
        if let Some(call) = &self.call {
            call.validate().map_err(|(key, message)| value(key, message))?;
            if self.engine == Engine::Webrtc {
                return Err(value("engine", "\"webrtc\" knows no [call]"));
            }
            if self.publish.video == Video::None || !self.publish.audio {
                return Err(value("publish.video", "callers send pictures and sound"));
            }
            if self.server.meta_url.is_none() {
                return Err(value("server.meta_url", "a call needs it: its group is created there"));
            }
        }
        if self.engine == Engine::Webrtc {
            if self.churn.is_some() || self.ramp.is_some() {
                return Err(value("engine", "\"webrtc\" knows neither [churn] nor [ramp]"));
            }
            if self.seats().len() > MAX_WEBRTC_VIEWERS {
                return Err(value("view.viewers", format!("at most {MAX_WEBRTC_VIEWERS} with \"webrtc\"")));
            }
        }
        Ok(())
    }

    fn validate_server(&self) -> Result<(), ScenarioError> {
        let server = &self.server;
        let urls =
            [&server.meta_url, &server.rooms_url, &server.whip_url, &server.whep_url, &server.admin_url];
        for url in urls.into_iter().flatten() {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(value("server", format!("`{url}` is not an http or https URL")));
            }
        }
        let is_websocket = |url: &String| url.starts_with("ws://") || url.starts_with("wss://");
        if let Some(url) = server.signaling_url.as_ref().filter(|url| !is_websocket(url)) {
            return Err(value("server.signaling_url", format!("`{url}` is not a ws or wss URL")));
        }
        if server.meta_url.is_some() == (server.whip_url.is_some() || server.whep_url.is_some()) {
            return Err(value("server", "either meta_url, or whip_url and whep_url"));
        }
        if server.meta_url.is_some() {
            return Ok(());
        }
        let viewers = !self.seats().is_empty();
        if server.whip_url.is_none() || (viewers && server.whep_url.is_none()) {
            return Err(value("server", "whip_url and whep_url are both needed"));
        }
        let numbered = |url: &Option<String>| url.as_ref().is_none_or(|url| url.contains("{n}"));
        if self.broadcasts() > 1 && !(numbered(&server.whip_url) && numbered(&server.whep_url)) {
            return Err(value("server", "several broadcasts need {n} in whip_url and whep_url"));
        }
        Ok(())
    }
}

fn range(key: &'static str, number: usize, least: usize, most: usize) -> Result<(), ScenarioError> {
    if (least..=most).contains(&number) {
        Ok(())
    } else {
        Err(value(key, format!("{number} is not in {least} to {most}")))
    }
}

fn seconds(key: &'static str, seconds: f64, least: f64) -> Result<(), ScenarioError> {
    if (least..=MAX_DURATION_S).contains(&seconds) {
        Ok(())
    } else {
        Err(value(key, format!("{seconds} s is not in {least} s to {MAX_DURATION_S} s")))
    }
}

/// A checked number of seconds as a duration.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Carries out one `a.b=value`. What is not a TOML value is taken for text.
fn assign(table: &mut Table, assignment: &str) -> Result<(), ScenarioError> {
    let malformed = || ScenarioError::Assignment(assignment.to_owned());
    let (path, text) = assignment.split_once('=').ok_or_else(malformed)?;
    let (path, text) = (path.trim(), text.trim());
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or_else(malformed)?;
    let mut table = table;
    for key in keys {
        let entry = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let not_a_table = || ScenarioError::NotATable(path.to_owned(), key.to_owned());
        table = entry.as_table_mut().ok_or_else(not_a_table)?;
    }
    let parsed = format!("v = {text}").parse::<Table>().ok().and_then(|mut parsed| parsed.remove("v"));
    table.insert(last.to_owned(), parsed.unwrap_or_else(|| Value::String(text.to_owned())));
    Ok(())
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
