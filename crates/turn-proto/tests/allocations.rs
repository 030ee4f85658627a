//! Packets cost no memory: after the first of each kind, neither direction allocates.

mod common;

use common::*;
use stun::attributes::*;
use turn_proto::PeerAddr;

#[test]
fn no_packet_allocates() {
    let mut config = config();
    config.relay_addresses.push(ip("2400::9"));
    let mut world = World::with(config);
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 3600);
    let both = (AttrType(0x8000), vec![2, 0, 0, 0]);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp(), both])), 0);
    let (v4, v6) = (PEER, "[2400::1]:5000");
    for peer in [v4, v6, "10.0.0.1:80"] {
        world.permit(&mut client, peer);
    }
    assert_eq!(world.bind(&mut client, 0x4001, "1.2.3.4:6000"), 0);
    let relays = [world.opened[0].0, world.opened[1].0];
    let payload = [7; 1000];
    let mut channel = vec![0x40, 1, 3, 0xE8];
    channel.extend(payload);
    let sends = [v4, v6, "10.0.0.1:80", "1.1.1.1:1"].map(|peer| send_indication(peer, &payload));
    let mut out = [0; 1200];
    let (mut to_peers, mut to_client) = (0, 0);
    let mut round = || {
        to_peers += usize::from(world.server.handle_client(&channel, client.tuple, world.now).is_some());
        for send in &sends {
            to_peers += usize::from(world.server.handle_client(send, client.tuple, world.now).is_some());
        }
        for (relay, peer) in [(0, v4), (0, "1.2.3.4:6000"), (1, v6), (0, "1.1.1.1:1")] {
            let peer = PeerAddr(addr(peer));
            let to = world.server.handle_peer(payload.len(), relays[relay], peer, world.now);
            if let Some(to) = to {
                to_client += usize::from(to.header.write_message(&payload, &mut out).is_some());
            }
        }
        world.server.handle_timeout(world.now);
        assert!(world.server.poll_command().is_none());
    };
    round();
    let cost = allocation_counter::measure(|| (0..1000).for_each(|_| round()));
    assert_eq!(
        (to_peers, to_client),
        (3 * 1001, 3 * 1001),
        "channel and both families passed, the others not"
    );
    assert_eq!(cost.count_total, 0);
}
