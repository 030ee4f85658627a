//! Room data over the data channels of an implementation that we did not write.

mod common;
#[path = "common/peer.rs"]
mod peer;

use common::Sfu;
use contract::rest::Status;
use peer::{Camera, Peer};

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_every_viewer_and_come_back_to_the_publisher() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let (_publisher, track, to_viewers) = Peer::publish_data(&sfu, "/whip/1", "chat").await;
    let _camera = Camera::start(track, 0);
    // On two shards: at least one is not on the publisher's.
    let mut viewers = Vec::new();
    for _ in 0..3 {
        viewers.push(Peer::play_data(&sfu, "/whep/1", "chat").await);
    }
    let (_stranger, other_label) = Peer::play_data(&sfu, "/whep/1", "cursor").await;

    let long = "x".repeat(16_000);
    for text in ["one", "", &long] {
        to_viewers.send(text).await;
    }
    for (_, channel) in &viewers {
        for text in ["one", "", &long] {
            assert_eq!(channel.message().await, text);
        }
    }
    for (number, (_, channel)) in viewers.iter().enumerate() {
        channel.send(&format!("from {number}")).await;
        assert_eq!(to_viewers.message().await, format!("from {number}"));
    }
    // A label of its own reaches nobody else, and media goes on beside all this.
    other_label.send("to nobody").await;
    viewers[0].1.send("last").await;
    assert_eq!(to_viewers.message().await, "last");
    for (viewer, _) in &mut viewers {
        viewer.packet().await;
    }
    assert_eq!(sfu.metric("sfu_data_messages_sent_total").await, 3 * 3 + 3 + 1);
    assert_eq!(sfu.metric("sfu_data_messages_dropped_total").await, 0);
    assert_eq!(sfu.metric("sfu_session_panics_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_floods_is_cut_back() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let (_publisher, _track, received) = Peer::publish_data(&sfu, "/whip/1", "chat").await;
    let (_viewer, channel) = Peer::play_data(&sfu, "/whep/1", "chat").await;
    for number in 0..1_000 {
        channel.send(&number.to_string()).await;
    }
    sfu.metric_reaches("sfu_data_messages_dropped_total", 1).await;
    assert_eq!(received.message().await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_with_names_says_who_speaks_and_reaches_one() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let (_publisher, track, host) = Peer::publish_data(&sfu, "/whip/1", "named/stage").await;
    let _camera = Camera::start(track, 0);
    // On two shards.
    let mut viewers = Vec::new();
    for _ in 0..3 {
        viewers.push(Peer::play_data(&sfu, "/whep/1", "named/stage").await);
    }
    let mut names = Vec::new();
    for (number, (_, channel)) in viewers.iter().enumerate() {
        channel.send(&format!("\nhello from {number}")).await;
        let said = host.message().await;
        let (name, text) = said.split_once('\n').expect("a line with the sender");
        assert_eq!(text, format!("hello from {number}"));
        names.push(name.to_owned());
    }
    names.iter().for_each(|name| assert!(name.starts_with("par_"), "{name}"));
    host.send(&format!("{}\nyou alone", names[1])).await;
    host.send("\nall of you").await;
    let mut sender = None;
    for (number, (_, channel)) in viewers.iter().enumerate() {
        let mut expected = vec!["all of you"];
        if number == 1 {
            expected.insert(0, "you alone");
        }
        for text in expected {
            let said = channel.message().await;
            let (name, said) = said.split_once('\n').expect("a line with the sender");
            assert_eq!(said, text);
            assert_eq!(sender.get_or_insert_with(|| name.to_owned()), name, "the publisher has one name");
        }
    }
    // A viewer reaches the publisher by its name, another viewer not at all.
    let sender = sender.unwrap();
    viewers[0].1.send(&format!("{}\nto another viewer", names[2])).await;
    viewers[0].1.send(&format!("{sender}\nto you")).await;
    assert_eq!(host.message().await, format!("{}\nto you", names[0]));
    viewers[0].1.send("no line at all").await;
    sfu.metric_reaches("sfu_data_messages_dropped_total", 1).await;
}
