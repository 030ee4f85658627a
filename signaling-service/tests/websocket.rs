//! The WebSocket layer: the upgrade, and RFC 6455 frame by frame over a plain TCP socket.

mod support;

use std::time::Duration;

use support::{PATIENCE, Peer, Service, config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn the_best_subprotocol_is_echoed_or_none() {
    let service = Service::start(config(true)).await;
    for (offer, chosen) in [
        (Some("v10.stomp, v11.stomp, v12.stomp"), Some("v12.stomp")),
        (Some("v10.stomp,v11.stomp"), Some("v11.stomp")),
        (Some("v10.stomp"), Some("v10.stomp")),
        (None, None),
    ] {
        let headers: Vec<_> = offer.map(|offer| ("sec-websocket-protocol", offer)).into_iter().collect();
        let mut peer = Peer::upgrade(&service, &headers).await.unwrap();
        assert_eq!(peer.protocol.as_deref(), chosen);
        peer.send("CONNECT\naccept-version:1.2,1.1,1.0\n\n\0").await;
        assert_eq!(peer.frame().await.headers.get("version"), Some("1.2"));
    }
    let mut raw = Raw::open_with(&service, "Sec-WebSocket-Protocol: mqtt\r\n").await;
    assert!(!raw.head.to_lowercase().contains("sec-websocket-protocol"), "{}", raw.head);
    raw.frame(0x89, b"x").await;
    assert_eq!(raw.read().await, Some((0x8a, b"x".to_vec())));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused_in_production() {
    for (dev, origin, refused) in [
        (false, Some("https://live.example.org"), false),
        (false, Some("https://evil.example.org"), true),
        (false, Some("null"), true),
        (false, None, false),
        (true, Some("https://evil.example.org"), false),
    ] {
        let service = Service::start(config(dev)).await;
        let headers: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let refusal = Peer::upgrade(&service, &headers).await.err();
        assert_eq!(refusal, refused.then_some(403), "{dev} {origin:?}");
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited() {
    let service = Service::start(signaling_service::Config { max_connections: 2, ..config(true) }).await;
    let first = Peer::guest(&service).await;
    let _second = Peer::guest(&service).await;
    assert_eq!(Peer::upgrade(&service, &[]).await.err(), Some(503));
    first.leave().await;
    let until = std::time::Instant::now() + PATIENCE;
    while Peer::upgrade(&service, &[]).await.is_err() {
        assert!(std::time::Instant::now() < until, "the seat is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_websocket_is_a_problem() {
    let service = Service::start(config(true)).await;
    let response = reqwest::get(service.url("/streaming")).await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let response = reqwest::get(service.url("/room/-/count")).await.unwrap();
    assert_eq!(response.status().as_u16(), 404);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    service.stop().await;
}

/// A WebSocket without a library.
struct Raw {
    socket: TcpStream,
    head: String,
}

impl Raw {
    async fn open(service: &Service) -> Self {
        Self::open_with(service, "").await
    }

    async fn open_with(service: &Service, headers: &str) -> Self {
        let mut socket = TcpStream::connect(service.address).await.unwrap();
        let request = format!(
            "GET /streaming HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self { socket, head }
    }

    /// A masked frame with this first byte.
    async fn frame(&mut self, first: u8, payload: &[u8]) {
        self.socket.write_all(&masked(first, payload)).await.unwrap();
    }

    /// First byte and payload of the next frame, or `None` at the end of the stream.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        tokio::time::timeout(PATIENCE, async {
            let first = self.socket.read_u8().await.ok()?;
            let length = match self.socket.read_u8().await.ok()? {
                126 => usize::from(self.socket.read_u16().await.ok()?),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.socket.read_exact(&mut payload).await.ok()?;
            Some((first, payload))
        })
        .await
        .expect("the service neither answers nor closes")
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

const CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\n\n\0";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_come_in_fragments_with_control_frames_between() {
    let service = Service::start(config(true)).await;
    for first in [0x01, 0x02] {
        let mut raw = Raw::open(&service).await;
        raw.frame(first, &CONNECT[..9]).await;
        raw.frame(0x89, b"between").await;
        assert_eq!(raw.read().await, Some((0x8a, b"between".to_vec())));
        raw.frame(0x00, b"").await;
        raw.frame(0x00, &CONNECT[9..20]).await;
        raw.frame(0x80, &CONNECT[20..]).await;
        let (_, payload) = raw.read().await.unwrap();
        assert!(payload.starts_with(b"CONNECTED\n"));
    }
    // Bytes on the wire in single steps.
    let mut raw = Raw::open(&service).await;
    for byte in masked(0x81, CONNECT) {
        raw.socket.write_all(&[byte]).await.unwrap();
    }
    assert!(raw.read().await.unwrap().1.starts_with(b"CONNECTED\n"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_violation_has_its_close_code() {
    let service = Service::start(config(true)).await;
    let big = |length: u64| {
        let mut bytes = vec![0x82, 0xff];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    let fragments = |parts: &[(u8, &[u8])]| -> Vec<u8> {
        parts.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
    };
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", vec![0x81, 0x01, b'x'], 1002),
        ("reserved bit 1", masked(0xc1, b"x"), 1002),
        ("reserved bit 3", masked(0x91, b"x"), 1002),
        ("reserved opcode 3", masked(0x83, b"x"), 1002),
        ("reserved opcode 11", masked(0x8b, b"x"), 1002),
        ("fragmented ping", masked(0x09, b"x"), 1002),
        ("long ping", masked(0x89, &[b'x'; 126]), 1002),
        ("continuation of nothing", masked(0x80, b"x"), 1002),
        ("a message inside a message", fragments(&[(0x01, b"x"), (0x81, b"y")]), 1002),
        ("close with one byte", masked(0x88, b"\x03"), 1002),
        ("close with a reserved code", masked(0x88, &1005_u16.to_be_bytes()), 1002),
        ("close with a reason that is not UTF-8", masked(0x88, b"\x03\xe8\xff"), 1002),
        ("text that is not UTF-8", masked(0x81, b"a\xffb"), 1007),
        ("text that ends inside a character", masked(0x81, "é".as_bytes().get(..1).unwrap()), 1007),
        ("fragments that are not UTF-8", fragments(&[(0x01, b"a"), (0x00, b"\xff"), (0x80, b"")]), 1007),
        ("fragments that end inside a character", fragments(&[(0x01, b"\xed"), (0x80, b"\x95")]), 1007),
        ("a frame over the limit before CONNECT, by its header", big(20 * 1024 + 1), 1009),
        ("a frame of 2^62 bytes, by its header", big(1 << 62), 1009),
        ("a normal close", masked(0x88, &1000_u16.to_be_bytes()), 1000),
        ("a close of an application", masked(0x88, &4000_u16.to_be_bytes()), 4000),
        ("a close without a code", masked(0x88, b""), 1000),
    ];
    let checks = table.into_iter().map(async |(name, bytes, code)| {
        let mut raw = Raw::open(&service).await;
        raw.socket.write_all(&bytes).await.unwrap();
        let (first, payload) = raw.read().await.unwrap_or_else(|| panic!("{name}: no close frame"));
        assert_eq!(first, 0x88, "{name}");
        assert_eq!(payload.get(..2), Some(&code.to_be_bytes()[..]), "{name}: {payload:?}");
        assert_eq!(raw.read().await, None, "{name}: the stream ends");
    });
    futures_util::future::join_all(checks).await;
    // Who is connected may send more in a frame, and not everything either.
    let mut raw = Raw::open(&service).await;
    raw.frame(0x82, CONNECT).await;
    assert!(raw.read().await.unwrap().1.starts_with(b"CONNECTED\n"));
    raw.frame(0x82, &[b'\n'; 60_000]).await;
    raw.frame(0x89, b"there").await;
    assert_eq!(raw.read().await, Some((0x8a, b"there".to_vec())));
    raw.socket.write_all(&big(128 * 1024 + 1)).await.unwrap();
    let (first, payload) = raw.read().await.unwrap();
    assert_eq!((first, payload.get(..2)), (0x88, Some(&1009_u16.to_be_bytes()[..])));
    // Characters that span fragments are fine, and so is binary that is not text.
    let mut raw = Raw::open(&service).await;
    raw.frame(0x01, b"CONNECT\naccept-version:1.2\nlogin:\xed").await;
    raw.frame(0x80, b"\x95\x9c\n\n\0").await;
    assert!(raw.read().await.unwrap().1.starts_with(b"CONNECTED\n"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_stomp_are_an_error_frame() {
    let service = Service::start(config(true)).await;
    for (bytes, message) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "unknown command"),
        (b"SEND\ndestination:/app/7\n\n\0", "the first frame must be CONNECT"),
        (b"\xff\xfe\n", "unknown command"),
        (b"CONNECT\naccept-version:9\n\n\0", "supported protocol versions"),
    ] {
        let mut raw = Raw::open(&service).await;
        raw.frame(0x82, bytes).await;
        let (_, payload) = raw.read().await.unwrap();
        let error = String::from_utf8_lossy(&payload).into_owned();
        assert!(error.starts_with("ERROR\nmessage:") && error.contains(message), "{error}");
        let (first, payload) = raw.read().await.unwrap();
        assert_eq!((first, payload), (0x88, 1002_u16.to_be_bytes().to_vec()));
    }
    service.stop().await;
}
