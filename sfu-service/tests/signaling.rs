//! This node's part in signaling, with the real service: viewer counts and tracks.

mod common;
#[path = "common/peer.rs"]
mod peer;
#[path = "common/signaling.rs"]
mod signaling;

use std::time::Instant;

use common::{PATIENCE, Sfu};
use contract::destination::{BroadcastState, Presence, Source};
use contract::rest::{MediaState, Status};
use futures_util::{SinkExt as _, StreamExt as _};
use peer::Peer;
use stomp_proto::client::{Client, Config, Event};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// Subscribes to `destinations` and hands on what comes: destination and body.
async fn watch(url: &str, destinations: &[&str]) -> mpsc::UnboundedReceiver<(String, Vec<u8>)> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut client = Client::new(Config::default(), Instant::now());
    for destination in destinations {
        client.subscribe(destination).unwrap();
    }
    let (messages, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            while let Some(bytes) = client.poll_transmit(Instant::now()) {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                socket.send(Message::Text(text.into())).await.unwrap();
            }
            while let Some(event) = client.poll_event() {
                match event {
                    Event::Message(message) => {
                        if messages.send((message.destination, message.body.to_vec())).is_err() {
                            return;
                        }
                    }
                    Event::Closed(reason) => panic!("{reason}"),
                    Event::Connected { .. } | Event::Receipt(_) => {}
                }
            }
            let timeout = client.poll_timeout().unwrap_or_else(|| Instant::now() + PATIENCE);
            tokio::select! {
                message = socket.next() => match message.unwrap().unwrap() {
                    Message::Text(text) => client.handle_bytes(text.as_bytes(), Instant::now()),
                    Message::Binary(bytes) => client.handle_bytes(&bytes, Instant::now()),
                    _ => {}
                },
                () = tokio::time::sleep_until(timeout.into()) => client.handle_timeout(Instant::now()),
            }
        }
    });
    received
}

/// Waits for a message to `destination` that `wanted` accepts.
async fn until<T: serde::de::DeserializeOwned>(
    messages: &mut mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    destination: &str,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let search = async {
        loop {
            let (to, body) = messages.recv().await.unwrap();
            if to == destination
                && let Ok(body) = serde_json::from_slice(&body)
                && wanted(&body)
            {
                return body;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("waited in vain at {destination}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_counted_and_tracks_are_told() {
    let (_signaling, url, stop) = signaling::start(signaling::ANYWHERE).await;
    let (presence, state) = ("/topic/-/presence/1", "/topic/-/broadcast/1");
    let mut messages = watch(&url, &[presence, state]).await;
    let sfu = Sfu::with(|config| config.signaling_url = url.clone()).await;
    sfu.meta.set(1, Status::Ready);

    let (publisher, track) = Peer::publish(&sfu, "/whip/1").await;
    let camera = peer::Camera::start(track, 0);
    let live = |state: &BroadcastState| {
        state.media == Some(MediaState::Live) && state.tracks.iter().any(|track| track.active)
    };
    let told = until(&mut messages, state, live).await;
    assert_eq!(told.tracks.len(), 1);
    assert_eq!((told.tracks[0].source, told.tracks[0].codec.as_str()), (Source::Camera, "VP8"));

    // A preview and the publisher are no viewers: the count goes from one to two without them.
    let _preview = Peer::play(&sfu, "/whep/1?preview=1").await;
    let first = Peer::play(&sfu, "/whep/1").await;
    until(&mut messages, presence, |presence: &Presence| presence.viewer_count == 1).await;
    let _second = Peer::play(&sfu, "/whep/1").await;
    until(&mut messages, presence, |presence: &Presence| presence.viewer_count == 2).await;
    assert_eq!(sfu.http.delete(&first.url).send().await.unwrap().status().as_u16(), 200);
    until(&mut messages, presence, |presence: &Presence| presence.viewer_count == 1).await;

    drop(camera);
    publisher.connection.close().await.unwrap();
    until(&mut messages, state, |state: &BroadcastState| state.media == Some(MediaState::Lost)).await;
    stop.cancel();
}
