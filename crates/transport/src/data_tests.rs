//! Data channels between the two peers of the network.

use super::*;
use crate::{
    ChannelConfig, ChannelId, DataError, DataParameters, MAX_BUFFERED, MAX_CHANNELS, MAX_MESSAGE_LEN,
};

/// Both sides have agreed on data channels; nobody has opened one.
fn net(fate: Fate) -> Net {
    let mut net = Net::new(fate);
    let now = net.now;
    net.peers.iter_mut().for_each(|peer| peer.enable_data_channels(DataParameters::default(), now));
    net
}

fn open(net: &mut Net, peer: usize, label: &str) -> ChannelId {
    let now = net.now;
    let channel = net.peers[peer].open_data_channel(ChannelConfig::reliable(label), now).unwrap();
    net.drain();
    channel
}

fn send(net: &mut Net, from: usize, channel: ChannelId, bytes: &[u8]) -> Result<(), DataError> {
    let now = net.now;
    let sent = net.peers[from].send_data(channel, bytes, true, now);
    net.drain();
    sent
}

fn received(net: &Net, peer: usize) -> Vec<(ChannelId, Vec<u8>)> {
    let data = net.events[peer].iter().filter_map(|event| match event {
        Event::Data { channel, bytes, .. } => Some((*channel, bytes.clone())),
        _ => None,
    });
    data.collect()
}

fn opened(net: &Net, peer: usize) -> Vec<(ChannelId, String)> {
    let opened = net.events[peer].iter().filter_map(|event| match event {
        Event::DataChannelOpened { channel, label, .. } => Some((*channel, label.clone())),
        _ => None,
    });
    opened.collect()
}

#[test]
fn channels_of_either_side_carry_messages_both_ways() {
    for opener in [CLIENT, SERVER] {
        let mut net = net(perfect());
        let channel = open(&mut net, opener, "chat");
        assert_eq!(send(&mut net, opener, channel, b"early"), Err(DataError::NotOpen));
        net.run(Duration::from_secs(5));
        for peer in [CLIENT, SERVER] {
            assert_eq!(opened(&net, peer), [(channel, "chat".to_owned())], "{:?}", net.events[peer]);
        }
        // The side that opened the DTLS handshake has the even numbers.
        assert_eq!(channel.0 % 2, u16::from(opener == SERVER));
        let long = vec![7; MAX_MESSAGE_LEN];
        send(&mut net, CLIENT, channel, b"up").unwrap();
        send(&mut net, CLIENT, channel, &long).unwrap();
        send(&mut net, SERVER, channel, b"").unwrap();
        assert_eq!(send(&mut net, CLIENT, channel, &[0; MAX_MESSAGE_LEN + 1]), Err(DataError::TooLong));
        let now = net.now;
        net.peers[SERVER].send_data(channel, "text".as_bytes(), false, now).unwrap();
        net.run(Duration::from_secs(2));
        assert_eq!(received(&net, SERVER), [(channel, b"up".to_vec()), (channel, long)]);
        assert_eq!(received(&net, CLIENT), [(channel, vec![]), (channel, b"text".to_vec())]);
        let text = Event::Data { channel, bytes: b"text".to_vec(), binary: false };
        assert_eq!(net.events[CLIENT].last(), Some(&text));

        let now = net.now;
        net.peers[CLIENT].close_data_channel(channel, now);
        net.run(Duration::from_secs(5));
        assert_eq!(net.events[SERVER].last(), Some(&Event::DataChannelClosed(channel)));
        assert_eq!(send(&mut net, SERVER, channel, b"late"), Err(DataError::NotOpen));
        // Media has noticed nothing.
        let up = net.send_media(CLIENT, 1);
        net.run(Duration::from_secs(1));
        assert_eq!(net.media[SERVER], [up]);
    }
}

/// Media has its keys and goes on; whoever waits on a channel is told that nothing comes any more.
#[test]
fn channels_close_when_dtls_fails_after_connecting() {
    let mut net = net(perfect());
    let channel = open(&mut net, CLIENT, "chat");
    net.run(Duration::from_secs(5));
    net.peers[SERVER].lose_dtls(net.now);
    net.drain();
    assert_eq!(net.events[SERVER].last(), Some(&Event::DataChannelClosed(channel)));
    assert_eq!(send(&mut net, SERVER, channel, b"late"), Err(DataError::Unavailable));
    let up = net.send_media(CLIENT, 1);
    net.run(Duration::from_secs(1));
    assert_eq!(net.media[SERVER], [up]);
    assert!(net.peers[SERVER].is_connected());
}

#[test]
fn a_lossy_network_delivers_everything_in_order() {
    for seed in 0..10 {
        let mut net = net(lossy(seed, 0.15));
        let channel = open(&mut net, CLIENT, "log");
        net.run(Duration::from_secs(30));
        assert!(!opened(&net, CLIENT).is_empty(), "seed {seed}: {:?}", net.events);
        let messages: Vec<Vec<u8>> =
            (0..60u8).map(|number| vec![number; 1 + usize::from(number) * 40]).collect();
        for message in &messages {
            // As a page does that looks at `bufferedAmount`.
            let mut tries = 0;
            while send(&mut net, CLIENT, channel, message) == Err(DataError::Full) {
                net.run(Duration::from_millis(100));
                tries += 1;
                assert!(tries < 1000, "seed {seed}");
            }
        }
        net.run(Duration::from_secs(120));
        let came: Vec<Vec<u8>> = received(&net, SERVER).into_iter().map(|(_, bytes)| bytes).collect();
        assert!(came == messages, "seed {seed}: {} of {}", came.len(), messages.len());
    }
}

#[test]
fn what_waits_is_bounded() {
    let mut net = net(perfect());
    let channel = open(&mut net, SERVER, "events");
    net.run(Duration::from_secs(5));
    // From now on the client acknowledges nothing.
    net.fate = Box::new(|_, from, _| if from == CLIENT { vec![] } else { vec![DELAY] });
    let mut taken = 0;
    while send(&mut net, SERVER, channel, &[0; 1000]).is_ok() {
        taken += 1000;
        assert!(taken <= MAX_BUFFERED);
    }
    assert_eq!(send(&mut net, SERVER, channel, &[0; 1000]), Err(DataError::Full));
    assert!(taken > MAX_BUFFERED - 2000);
    // Nor are there more channels than that.
    for _ in 1..MAX_CHANNELS {
        open(&mut net, SERVER, "more");
    }
    let now = net.now;
    let refused = net.peers[SERVER].open_data_channel(ChannelConfig::reliable("one too many"), now);
    assert_eq!(refused, Err(DataError::Full));
}

#[test]
fn nobody_gets_channels_that_the_sdp_did_not_agree_on() {
    let mut net = Net::new(perfect());
    let now = net.now;
    net.peers[CLIENT].enable_data_channels(DataParameters::default(), now);
    open(&mut net, CLIENT, "chat");
    net.run(Duration::from_secs(10));
    assert!(net.peers.iter().all(Transport::is_connected));
    assert!(opened(&net, CLIENT).is_empty() && opened(&net, SERVER).is_empty());
    let now = net.now;
    let refused = net.peers[SERVER].open_data_channel(ChannelConfig::reliable("chat"), now);
    assert_eq!(refused, Err(DataError::Unavailable));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The fuzz targets on a bounded number of inputs: an authenticated peer that sends anything inside of DTLS, and
    /// messages and checks of anybody.
    #[test]
    fn hostile_packets_panic_nobody(packets in proptest::collection::vec(any::<u8>(), 0..2000)) {
        crate::fuzzing::sctp(&packets);
        crate::fuzzing::dcep(&packets);
        crate::fuzzing::stun(&packets);
    }

    /// Whole chunks with values of any kind: what random bytes never are.
    #[test]
    fn hostile_chunks_panic_nobody(
        chunks in proptest::collection::vec(
            (0u8..16, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 1..60),
    ) {
        let mut input = Vec::new();
        for (kind, flags, value) in chunks {
            let kind = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 64, 130, 192][usize::from(kind)];
            let mut packet = vec![0x13, 0x88, 0x13, 0x88];
            packet.extend([0, 0, 0, 0, 0, 0, 0, 0, kind, flags]);
            packet.extend((value.len() as u16 + 4).to_be_bytes());
            packet.extend(&value);
            input.push(packet.len() as u8);
            input.extend(packet);
        }
        crate::fuzzing::sctp(&input);
    }
}
