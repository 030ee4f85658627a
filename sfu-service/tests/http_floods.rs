//! Hostile requests by the thousand while a call runs: each is answered in words, none opens more than it may, and who
//! is there loses nothing.

#[path = "common/call.rs"]
mod call;
mod common;
#[path = "common/light.rs"]
mod light;

use std::net::SocketAddr;
use std::time::Duration;

use call::Call;
use common::{KEY, Sfu, offer};
use contract::rest::Status;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

const HALF_OPEN: usize = 20;

/// A call of two viewers on a node that lets one source open few sessions at a time.
async fn call() -> Call {
    let sfu = Sfu::with(|config| config.limits.max_half_open_per_source = HALF_OPEN).await;
    sfu.meta.set(2, Status::Ready);
    Call::start(sfu, 2).await
}

/// An offer that went through a bad line, or a bad mind.
fn spoil(rng: &mut StdRng, good: &str) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = good.split_inclusive("\r\n").map(|line| line.as_bytes().to_vec()).collect();
    let at = rng.random_range(0..lines.len());
    match rng.random_range(0..7) {
        0 => lines.truncate(at),
        1 => drop(lines.remove(at)),
        2 => {
            let again = lines[at].clone();
            let times = rng.random_range(1..500);
            lines.splice(at..at, std::iter::repeat_n(again, times));
        }
        3 => {
            let byte = rng.random_range(0..lines[at].len());
            lines[at][byte] = rng.random();
        }
        4 => {
            let cut = rng.random_range(0..lines[at].len());
            lines[at].truncate(cut);
        }
        5 => {
            let mut noise = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut noise);
            lines[at] = noise;
        }
        _ => {
            let digit = lines[at].iter().position(u8::is_ascii_digit).unwrap_or(0);
            lines[at].splice(digit..digit, b"99999999999999999999".iter().copied());
        }
    }
    lines.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_make_no_sense_are_refused_and_sessions_that_never_connect_are_few() {
    const ROUNDS: usize = 100;
    const AT_ONCE: usize = 24;
    let mut call = call().await;
    let mut rng = StdRng::seed_from_u64(9);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let posts: Vec<_> = (0..AT_ONCE)
            .map(|index| {
                let (path, good) =
                    [("/whip/2", offer("sendonly")), ("/whep/1", offer("recvonly"))][index % 2].clone();
                let request = call.sfu.http.post(format!("{}{path}", call.sfu.base));
                let request = request.header("content-type", "application/sdp").body(spoil(&mut rng, &good));
                let request = if index % 2 == 0 { request.bearer_auth(KEY) } else { request };
                tokio::spawn(request.send())
            })
            .collect();
        call.film().await;
        for post in posts {
            match post.await.unwrap().unwrap().status() {
                StatusCode::CREATED => opened += 1,
                StatusCode::BAD_REQUEST
                | StatusCode::NOT_ACCEPTABLE
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::TOO_MANY_REQUESTS
                // A machine that is busy with other things says so.
                | StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                other => panic!("{other}"),
            }
        }
    }
    // What a bad line spared is a session like any other, until there are too many that do not connect.
    assert_eq!(opened + refused, ROUNDS * AT_ONCE);
    assert!(opened >= HALF_OPEN, "{opened}");
    let mut now = 0;
    for role in ["Publisher", "Viewer"] {
        now += call.sfu.metric(&format!("sfu_sessions{{role=\"{role}\"}}")).await;
    }
    assert!(now <= HALF_OPEN as u64 + 3, "{now}, with those of the call");
    assert_eq!(call.sfu.metric("sfu_session_panics_total").await, 0);
    // Who has a session loses nothing by the limit, and it does not keep those who are there from anything.
    call.film().await;
}

/// A connection that has sent `bytes`.
async fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Reads what the server says until it closes the connection.
async fn end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A reset says the same as an end.
    let _ = tokio::time::timeout(common::PATIENCE, read).await.expect("the connection stays open");
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_keep_nobody_out_and_are_closed() {
    const EACH: usize = 100;
    let mut call = call().await;
    let address: SocketAddr = call.sfu.base.strip_prefix("http://").unwrap().parse().unwrap();
    let head = format!(
        "POST /whip/2 HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/sdp\r\nauthorization: Bearer {KEY}\r\n"
    );
    let body = format!("{head}content-length: 5000\r\n\r\nv=0\r\n");
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nv=0\r\n\r\n");
    let mut slow = Vec::new();
    for begun in [&head, &body, &chunks] {
        for _ in 0..EACH {
            slow.push(begin(address, begun.as_bytes()).await);
        }
    }
    // All of them are there, and a newcomer gets in.
    let newcomer = light::Light::play(&call.sfu, "/whep/1", false).await;
    drop(newcomer);
    for _ in 0..50 {
        call.film().await;
    }
    let mut closing = JoinSet::new();
    slow.into_iter().for_each(|stream| drop(closing.spawn(end(stream))));
    // The call goes on meanwhile, as fast as a camera films.
    let mut camera = tokio::time::interval(Duration::from_millis(20));
    camera.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !closing.is_empty() {
        tokio::select! {
            _ = camera.tick() => call.film().await,
            Some(answer) = closing.join_next() => {
                let answer = answer.unwrap();
                assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            }
        }
    }
    // A body that only grows is cut off where the longest SDP ends.
    let mut endless = begin(address, chunks.as_bytes()).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    while endless.write_all(chunk.as_bytes()).await.is_ok() {
        let mut byte = [0];
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::ZERO, endless.peek(&mut byte)).await {
            break;
        }
    }
    let answer = end(endless).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(call.sfu.metric("sfu_sessions_opened_total{role=\"Publisher\"}").await, 1);
    call.film().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_and_does_not_read_is_dropped_and_the_call_goes_on() {
    const CONNECTIONS: usize = 50;
    const CUT: &str = "http_connections_cut_total{reason=\"stalled\"}";
    /// So many answers fit into no buffer.
    const REQUESTS: usize = 20_000;
    let mut call = call().await;
    let address: SocketAddr = call.sfu.base.strip_prefix("http://").unwrap().parse().unwrap();
    let requests = format!("OPTIONS /whep/1 HTTP/1.1\r\nhost: {address}\r\n\r\n").repeat(REQUESTS);
    let mut flood = Vec::new();
    for _ in 0..CONNECTIONS {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let requests = requests.clone();
        // Nobody reads; what is not taken of the requests waits.
        flood.push(tokio::spawn(async move {
            let _ = stream.write_all(requests.as_bytes()).await;
            stream
        }));
    }
    // The call goes on meanwhile, as fast as a camera films.
    let mut camera = tokio::time::interval(Duration::from_millis(20));
    camera.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let dropped = async {
        while call.sfu.metric(CUT).await < CONNECTIONS as u64 {
            camera.tick().await;
            call.film().await;
        }
    };
    tokio::time::timeout(common::PATIENCE, dropped).await.expect("they are dropped");
    drop(flood);
    // A newcomer gets in, and nobody has lost anything.
    let newcomer = light::Light::play(&call.sfu, "/whep/1", false).await;
    drop(newcomer);
    call.film().await;
}
