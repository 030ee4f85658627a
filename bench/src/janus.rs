//! Janus from Debian as a peer: its streaming plugin takes one RTP stream and sends it to the same light clients.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::Rng as _;
use rtp::Extensions;
use serde_json::{Value, json};
use transport::sdp::Offer;
use transport::{ClientConfig, IceCredentials, Identity};

use crate::camera::{Camera, Pattern};
use crate::room::wait;
use crate::signal::Session;

/// A Janus with one mountpoint; it is killed when this is dropped.
pub(crate) struct Janus {
    child: Child,
    folder: PathBuf,
    base: String,
    pattern: Arc<Mutex<Option<Pattern>>>,
    stop: Arc<AtomicBool>,
}

impl Janus {
    /// Starts it; `None` if it is not installed.
    pub(crate) async fn start(http: &reqwest::Client) -> anyhow::Result<Option<Self>> {
        if Command::new("janus")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("madang-bench-janus-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (api, media) = (free_tcp_port()?, free_udp_port()?);
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text);
        write(
            "janus.jcfg",
            "general: { debug_level = 1, session_timeout = 0 }\n\
             nat: { ice_lite = true, ice_tcp = false }\n\
             plugins: { disable = \"libjanus_audiobridge.so,libjanus_echotest.so,libjanus_nosip.so,\
             libjanus_recordplay.so,libjanus_sip.so,libjanus_textroom.so,libjanus_videocall.so,\
             libjanus_videoroom.so,libjanus_voicemail.so,libjanus_lua.so,libjanus_duktape.so\" }\n\
             transports: { disable = \"libjanus_websockets.so,libjanus_pfunix.so,libjanus_rabbitmq.so,\
             libjanus_mqtt.so,libjanus_nanomsg.so\" }\n"
                .into(),
        )?;
        write(
            "janus.transport.http.jcfg",
            format!(
                "general: {{ base_path = \"/janus\", http = true, port = {api}, ip = \"127.0.0.1\", https = false }}\n"
            ),
        )?;
        write(
            "janus.plugin.streaming.jcfg",
            format!(
                "bench: {{ type = \"rtp\", id = 1, media = ( {{ type = \"video\", mid = \"v\", label = \"v\", \
                 port = {media}, pt = 96, codec = \"vp8\" }} ) }}\n"
            ),
        )?;
        let child = Command::new("janus")
            .arg("--configs-folder")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pattern = Arc::new(Mutex::new(None));
        let stop = Arc::new(AtomicBool::new(false));
        let janus = Self {
            child,
            folder,
            base: format!("http://127.0.0.1:{api}/janus"),
            pattern: pattern.clone(),
            stop: stop.clone(),
        };
        let give_up = Instant::now() + Duration::from_secs(15);
        while http.get(format!("{}/info", janus.base)).send().await.is_err() {
            anyhow::ensure!(Instant::now() < give_up, "Janus does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let to = SocketAddr::from(([127, 0, 0, 1], media));
        std::thread::Builder::new()
            .name("janus-source".into())
            .spawn(move || source(&socket, to, &pattern, &stop))?;
        Ok(Some(janus))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn play(&self, pattern: Option<Pattern>) {
        *self.pattern.lock().unwrap_or_else(PoisonError::into_inner) = pattern;
    }

    /// Subscribes one more viewer.
    pub(crate) async fn watch(&self, http: &reqwest::Client, identity: &Identity) -> anyhow::Result<Session> {
        let post = |path: String, body: Value| {
            let url = format!("{}{path}", self.base);
            async move { call(http.post(url).body(body.to_string())).await }
        };
        let made = post(String::new(), json!({"janus": "create", "transaction": "c"})).await?;
        let session = made["data"]["id"].as_u64().context("no session")?;
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.streaming", "transaction": "a"});
        let made = post(format!("/{session}"), attach).await?;
        let handle = made["data"]["id"].as_u64().context("no handle")?;
        let message = |body: Value| json!({"janus": "message", "transaction": "m", "body": body});
        let path = format!("/{session}/{handle}");
        post(path.clone(), message(json!({"request": "watch", "id": 1}))).await?;
        let offer = loop {
            let event = call(http.get(format!("{}/{session}?maxev=1", self.base))).await?;
            if let Some(sdp) = event["jsep"]["sdp"].as_str() {
                break sdp.to_owned();
            }
        };
        let (viewer, answer) = accept(&offer, identity)?;
        let mut start = message(json!({"request": "start"}));
        start["jsep"] = json!({"type": "answer", "sdp": answer});
        post(path, start).await?;
        Ok(viewer)
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn call(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let text = request.send().await?.text().await?;
    let value: Value = serde_json::from_str(&text)?;
    anyhow::ensure!(value["janus"] != "error", "Janus: {text}");
    Ok(value)
}

/// Our side of Janus's offer.
fn accept(offer: &str, identity: &Identity) -> anyhow::Result<(Session, String)> {
    let parsed = Offer::parse(offer)?;
    let section = parsed.media.first().context("an m-line")?;
    let remote = section.remote.clone().context("a transport")?;
    let address = |candidate: &transport::sdp::Candidate| candidate.udp_address().filter(SocketAddr::is_ipv4);
    // Janus does not listen on the loopback interface, but on an address of this machine: so do we.
    let theirs = remote.candidates.iter().find_map(address).context("a candidate")?;
    let socket = UdpSocket::bind((theirs.ip(), 0))?;
    socket.set_nonblocking(true)?;
    let mut rng = rand::rng();
    let local = IceCredentials::random(&mut rng);
    let config = ClientConfig {
        identity: identity.clone(),
        local: local.clone(),
        remote: remote.ice.clone(),
        remote_fingerprint: remote.fingerprint.clone(),
        dtls_client: true,
        local_address: socket.local_addr()?,
        remote_candidates: vec![theirs],
    };
    let answer = format!(
        "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:active\r\na=rtpmap:96 VP8/90000\r\n\
         a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
         a=candidate:1 1 udp 2122260223 {} {} typ host\r\na=end-of-candidates\r\n",
        rng.next_u32(),
        local.ufrag,
        local.pwd,
        identity.fingerprint(),
        theirs.ip(),
        socket.local_addr()?.port(),
        mid = section.mid,
    );
    Ok((Session { socket, config, ssrc: 0, payload_type: 96, extensions: Extensions::default() }, answer))
}

/// Plain RTP into the mountpoint.
fn source(socket: &UdpSocket, to: SocketAddr, pattern: &Mutex<Option<Pattern>>, stop: &AtomicBool) {
    let mut camera = Camera::new(77, 96, None, None);
    let mut packet = Vec::new();
    let mut next = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let playing = *pattern.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Some(pattern) = playing else {
            next = now;
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        if now < next {
            std::thread::sleep((next - now).min(Duration::from_millis(4)));
            continue;
        }
        for index in 0..pattern.packets {
            camera.packet(&pattern, index, &mut packet);
            let _ = socket.send_to(&packet, to);
        }
        camera.end_frame(&pattern);
        next = (next + pattern.interval()).max(now);
    }
}

fn free_tcp_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn free_udp_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A Janus that `size` viewers of `world` watch, and their group; `None` if it is not installed.
pub(crate) async fn room(
    world: &mut crate::room::World,
    size: usize,
) -> anyhow::Result<Option<(Janus, usize)>> {
    let Some(janus) = Janus::start(&world.http).await? else { return Ok(None) };
    let group = world.group();
    for _ in 0..size {
        let session = janus.watch(&world.http, &world.identity).await?;
        world.viewers.join(group, session)?;
    }
    let viewers = &world.viewers;
    wait("the viewers to connect to Janus", || Ok(viewers.look(group)?.connected == size)).await?;
    Ok(Some((janus, group)))
}
