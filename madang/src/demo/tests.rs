//! The demo publisher against a small server of its own: real HTTP, UDP, ICE, DTLS and SRTP on loopback, with the server
//! role of `transport` in the place of the SFU.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use transport::sdp::{Local, Offer, PublishAnswer, PublishOptions, Source, answer_publish};
use transport::{Event, IceCredentials, Received, ServerConfig, Transport};

use super::*;

/// What the server saw; tests wait for these in order.
#[derive(Debug)]
enum Saw {
    Published(Box<Session>),
    Thumbnail(usize),
    Deleted,
}

/// A WHIP session as the server holds it.
struct Session {
    socket: UdpSocket,
    transport: Transport,
    answer: PublishAnswer,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

struct Server {
    seen: mpsc::UnboundedSender<Saw>,
    identity: Identity,
    /// Ids and whether they are closed.
    broadcasts: Mutex<HashMap<i64, bool>>,
}

fn broadcast(id: i64, closed: bool) -> serde_json::Value {
    serde_json::json!({
        "id": id, "name": "n", "description": "d", "status": if closed { "CLOSED" } else { "READY" },
        "viewer_count": 0, "started_at": null, "ended_at": null,
        "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
    })
}

async fn create(server: web::Data<Server>, request: HttpRequest) -> HttpResponse {
    assert!(request.headers().contains_key("Idempotency-Key"));
    let id = {
        let mut broadcasts = server.broadcasts.lock().unwrap();
        let id = i64::try_from(broadcasts.len()).unwrap() + 1;
        broadcasts.insert(id, false);
        id
    };
    let mut body = broadcast(id, false);
    body["stream_key"] = "sk_0123456789abcdefghijkl".into();
    body["owner_key"] = "ok_0123456789abcdefghijkl".into();
    for url in ["whip_url", "whep_url", "watch_url"] {
        body[url] = format!("/{url}/{id}").into();
    }
    body["ice_servers"] = serde_json::json!([]);
    HttpResponse::Created().json(body)
}

async fn get(server: web::Data<Server>, id: web::Path<i64>) -> HttpResponse {
    match server.broadcasts.lock().unwrap().get(&id) {
        Some(closed) => HttpResponse::Ok().json(broadcast(*id, *closed)),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn thumbnail(server: web::Data<Server>, body: web::Bytes) -> HttpResponse {
    server.seen.send(Saw::Thumbnail(body.len())).unwrap();
    HttpResponse::NoContent().finish()
}

async fn publish(server: web::Data<Server>, request: HttpRequest, body: String) -> HttpResponse {
    assert_eq!(request.headers().get(header::CONTENT_TYPE).unwrap(), "application/sdp");
    assert_eq!(request.headers().get(header::AUTHORIZATION).unwrap(), "Bearer sk_0123456789abcdefghijkl");
    let offer = Offer::parse(&body).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ice = IceCredentials::random(&mut rand::rng());
    let local = Local {
        session_id: 1,
        version: 1,
        ice: ice.clone(),
        fingerprint: server.identity.fingerprint().clone(),
        // The announced address leads nowhere: the publisher must also try the HTTP host.
        addresses: vec![SocketAddr::new([192, 0, 2, 1].into(), socket.local_addr().unwrap().port())],
        tcp_addresses: Vec::new(),
    };
    let answer = answer_publish(&offer, &local, &PublishOptions::default()).unwrap();
    let config = ServerConfig {
        identity: server.identity.clone(),
        local: ice,
        remote: answer.remote.ice.clone(),
        remote_fingerprint: answer.remote.fingerprint.clone(),
        dtls_client: false,
    };
    let text = answer.text.clone();
    let transport = Transport::server(config, Instant::now());
    server.seen.send(Saw::Published(Box::new(Session { socket, transport, answer }))).unwrap();
    HttpResponse::Created().insert_header((header::LOCATION, "sessions/ses_1")).body(text)
}

async fn delete(server: web::Data<Server>) -> HttpResponse {
    server.seen.send(Saw::Deleted).unwrap();
    HttpResponse::NoContent().finish()
}

struct Stage {
    server: web::Data<Server>,
    seen: mpsc::UnboundedReceiver<Saw>,
    url: Url,
}

impl Stage {
    fn new() -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let identity = Identity::generate().unwrap();
        let server = web::Data::new(Server { seen: sender, identity, broadcasts: Mutex::default() });
        let data = server.clone();
        let http = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/broadcasts", web::post().to(create))
                .route("/broadcasts/{id}", web::get().to(get))
                .route("/broadcasts/{id}/thumbnail", web::put().to(thumbnail))
                .route("/whip/{id}", web::post().to(publish))
                .route("/whip/sessions/ses_1", web::delete().to(delete))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}/", http.addrs()[0]).parse().unwrap();
        actix_web::rt::spawn(http.run());
        Self { server, seen, url }
    }

    fn config(&self, state_file: Option<PathBuf>) -> Config {
        Config { base_url: self.url.clone(), creator_token: None, state_file }
    }

    /// The next published session; what comes before it is left out.
    async fn session(&mut self) -> Box<Session> {
        loop {
            if let Saw::Published(session) = self.seen.recv().await.unwrap() {
                return session;
            }
        }
    }
}

impl Session {
    /// Runs the transport until `done` says so of an RTP packet: (payload type, SSRC, payload type's packet).
    async fn until(&mut self, mut done: impl FnMut(&[u8]) -> bool) {
        let local = self.socket.local_addr().unwrap();
        let mut buffer = vec![0; 2_048];
        loop {
            self.transport.handle_timeout(Instant::now());
            self.flush().await;
            let (length, from) = self.socket.recv_from(&mut buffer).await.unwrap();
            let received = self.transport.handle_datagram(from, local, &mut buffer[..length], Instant::now());
            if let Received::Rtp(packet) = received
                && done(packet)
            {
                return;
            }
            while let Some(event) = self.transport.poll_event() {
                assert!(!matches!(event, Event::Closed(_)), "{event:?}");
            }
        }
    }

    async fn flush(&mut self) {
        while let Some(transmit) = self.transport.poll_transmit() {
            self.socket.send_to(&transmit.bytes, transmit.to).await.unwrap();
        }
    }

    async fn rtcp(&mut self, packet: &[u8]) {
        let mut bytes = packet.to_vec();
        bytes.resize(packet.len() + transport::SRTP_OVERHEAD, 0);
        let length = self.transport.protect_rtcp(&mut bytes, packet.len()).unwrap();
        let to = self.transport.remote_address().unwrap().remote;
        self.socket.send_to(&bytes[..length], to).await.unwrap();
    }
}

fn payload(packet: &[u8]) -> &[u8] {
    let words = usize::from(u16::from_be_bytes([packet[14], packet[15]]));
    &packet[16 + 4 * words..]
}

#[actix_web::test]
async fn the_clip_flows_keyframes_come_on_request_and_losses_are_repaired() {
    let mut stage = Stage::new();
    let shutdown = CancellationToken::new();
    let running = actix_web::rt::spawn(run(stage.config(None), shutdown.clone()));
    let mut session = stage.session().await;
    let sources: Vec<Source> = session.answer.media.iter().map(|media| media.source).collect();
    assert_eq!(sources, [Source::Microphone, Source::Camera]);
    let video = &session.answer.media[1];
    let (ssrc, rtx_ssrc) = (video.ssrcs[0].media, video.ssrcs[0].rtx.unwrap());

    // Half a second of both: the first video packet starts a keyframe.
    let (mut audio, mut frames, mut first) = (0, 0, None);
    session
        .until(|packet| {
            match packet[1] & 0x7F {
                111 => audio += 1,
                98 => {
                    first.get_or_insert(media::vp9::starts_keyframe(payload(packet)));
                    frames += usize::from(packet[1] & 0x80 != 0);
                }
                other => panic!("payload type {other}"),
            }
            audio >= 25 && frames >= 12
        })
        .await;
    assert_eq!(first, Some(true));

    // Picture loss: a keyframe, long before the next one of the clip.
    let mut pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0];
    pli[8..].copy_from_slice(&ssrc.to_be_bytes());
    session.rtcp(&pli).await;
    let mut frames = 0;
    let mut last = 0;
    session
        .until(|packet| {
            let is_video = packet[1] & 0x7F == 98;
            last = if is_video { u16::from_be_bytes([packet[2], packet[3]]) } else { last };
            frames += usize::from(is_video && packet[1] & 0x80 != 0);
            is_video && media::vp9::starts_keyframe(payload(packet))
        })
        .await;
    assert!(frames < 12, "{frames} frames before the keyframe");

    // A lost packet comes again as RTX.
    let mut nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    nack[8..12].copy_from_slice(&ssrc.to_be_bytes());
    nack[12..14].copy_from_slice(&last.to_be_bytes());
    session.rtcp(&nack).await;
    session
        .until(|packet| {
            let is_rtx = packet[8..12] == rtx_ssrc.to_be_bytes();
            assert!(!is_rtx || (packet[1] & 0x7F == 99 && payload(packet)[..2] == last.to_be_bytes()));
            is_rtx
        })
        .await;

    shutdown.cancel();
    running.await.unwrap().unwrap();
    let mut ended = Vec::new();
    stage.seen.close();
    while let Some(saw) = stage.seen.recv().await {
        ended.push(saw);
    }
    assert!(
        matches!(ended.as_slice(), [Saw::Thumbnail(length), Saw::Deleted] if *length == clip::POSTER.len()),
        "{ended:?}"
    );
}

#[actix_web::test]
async fn a_lost_session_is_opened_again_on_the_same_broadcast_and_a_closed_one_replaced() {
    let mut stage = Stage::new();
    let shutdown = CancellationToken::new();
    let running = actix_web::rt::spawn(run(stage.config(None), shutdown.clone()));
    let mut session = stage.session().await;
    session.until(|_| true).await;
    // The server ends the transport.
    session.transport.close(Instant::now());
    session.flush().await;
    let mut session = stage.session().await;
    session.until(|_| true).await;
    assert_eq!(stage.server.broadcasts.lock().unwrap().len(), 1);

    stage.server.broadcasts.lock().unwrap().insert(1, true);
    session.transport.close(Instant::now());
    session.flush().await;
    let mut session = stage.session().await;
    session.until(|_| true).await;
    assert_eq!(stage.server.broadcasts.lock().unwrap().len(), 2);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_restart_goes_on_with_the_broadcast_of_the_last_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.json");
    let mut stage = Stage::new();
    for _ in 0..2 {
        let shutdown = CancellationToken::new();
        let running = actix_web::rt::spawn(run(stage.config(Some(file.clone())), shutdown.clone()));
        let mut session = stage.session().await;
        session.until(|_| true).await;
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }
    // The server of this test does not close a broadcast on DELETE.
    assert_eq!(stage.server.broadcasts.lock().unwrap().len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::write(&file, "damaged").unwrap();
    assert!(load(&file).is_none());
}

#[actix_web::test]
async fn without_a_server_it_waits_and_ends_when_told() {
    let shutdown = CancellationToken::new();
    // A port that was just free: whatever happens there, the demo must end when told.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let base_url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let config = Config { base_url, creator_token: None, state_file: None };
    let running = actix_web::rt::spawn(run(config, shutdown.clone()));
    tokio::task::yield_now().await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[test]
fn idempotency_keys_differ_and_pauses_jitter() {
    assert_ne!(idempotency_key(), idempotency_key());
    for _ in 0..100 {
        let pause = jitter(Duration::from_secs(4));
        assert!((Duration::from_secs(3)..Duration::from_secs(5)).contains(&pause));
    }
}
