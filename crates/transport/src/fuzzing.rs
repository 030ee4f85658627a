//! Ways in for the fuzz targets, to what has no public face.

use std::time::{Duration, Instant};

use crate::binding;
use crate::data::{self, ChannelConfig, DataChannels, DataParameters};
use crate::{ClientConfig, IceCredentials, Identity, ServerConfig, Transport};

/// A DCEP message: what is read is written the same.
pub fn dcep(data: &[u8]) {
    data::round_trip(data);
}

/// STUN before anything is authenticated, at a server and at a client.
pub fn stun(data: &[u8]) {
    if let Ok(message) = binding::parse(data) {
        let _ = message.has_integrity();
    }
    let _ = crate::peek_binding_username(data);
    thread_local!(static IDENTITY: Identity = Identity::generate().expect("a certificate can be generated"));
    let identity = IDENTITY.with(Clone::clone);
    let credentials =
        |name: &str| IceCredentials { ufrag: name.into(), pwd: format!("{name}-password-of-22-characters") };
    let now = Instant::now();
    let from = ([192, 0, 2, 1], 1000).into();
    let to = ([192, 0, 2, 2], 2000).into();
    let remote_fingerprint = identity.fingerprint().clone();
    let mut server = Transport::server(
        ServerConfig {
            identity: identity.clone(),
            local: credentials("server"),
            remote: credentials("client"),
            remote_fingerprint: remote_fingerprint.clone(),
            dtls_client: false,
        },
        now,
    );
    let mut client = Transport::client(
        ClientConfig {
            identity,
            local: credentials("client"),
            remote: credentials("server"),
            remote_fingerprint,
            dtls_client: true,
            local_address: to,
            remote_candidates: vec![from],
        },
        [7; 32],
        now,
    );
    client.handle_timeout(now);
    for transport in [&mut server, &mut client] {
        let mut datagram = data.to_vec();
        let _ = transport.handle_datagram(from, to, &mut datagram, now);
        while transport.poll_event().is_some() {}
        while let Some(transmit) = transport.poll_transmit() {
            assert!(transmit.bytes.len() <= 1500);
        }
    }
}

/// SCTP packets of an authenticated peer: each is a byte for its length, and the packet. The two ends talk to each
/// other beside it.
pub fn sctp(mut data: &[u8]) {
    let mut now = Instant::now();
    let mut ours = DataChannels::new(DataParameters::default(), false, now);
    let mut theirs = DataChannels::new(DataParameters::default(), true, now);
    theirs.connect();
    let _ = theirs.open(ChannelConfig::reliable("chat"));
    let mut tag = [0; 4];
    while let Some((len, rest)) = data.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        data = rest;
        tag = exchange(&mut theirs, &mut ours, now).unwrap_or(tag);
        exchange(&mut ours, &mut theirs, now);
        let mut packet = packet.to_vec();
        // With the verification tag of the association, but for INIT, which has none.
        if packet.get(12) != Some(&1)
            && let Some(place) = packet.get_mut(4..8)
        {
            place.copy_from_slice(&tag);
        }
        seal(&mut packet);
        ours.handle_packet(&packet, now);
        now += Duration::from_millis(100);
        for side in [&mut ours, &mut theirs] {
            side.handle_timeout(now);
            let mut events = 0;
            while side.poll_event().is_some() {
                events += 1;
                assert!(events < 10_000);
            }
        }
    }
}

/// Returns the verification tag of the last packet.
fn exchange(from: &mut DataChannels, to: &mut DataChannels, now: Instant) -> Option<[u8; 4]> {
    let mut tag = None;
    while let Some(packets) = from.poll_transmit(now) {
        for packet in packets {
            to.handle_packet(&packet, now);
            tag = packet.get(4..8).and_then(|tag| tag.try_into().ok()).or(tag);
        }
    }
    tag
}

/// Writes the CRC-32C of an SCTP packet (RFC 9260, appendix A), so that it is looked at.
fn seal(packet: &mut [u8]) {
    if let Some(place) = packet.get_mut(8..12) {
        place.fill(0);
    }
    let mut crc = !0u32;
    for byte in packet.iter() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    if let Some(place) = packet.get_mut(8..12) {
        place.copy_from_slice(&(!crc).to_le_bytes());
    }
}
