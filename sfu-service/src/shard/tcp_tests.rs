use std::io::Read as _;

use mio::{Events, Poll};

use super::*;

struct Net {
    poll: Poll,
    events: Events,
    tcp: Tcp,
    address: SocketAddr,
}

impl Net {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
        let tcp = Tcp::new(poll.registry().try_clone().unwrap(), Some(listener));
        Self { poll, events: Events::with_capacity(16), tcp, address }
    }

    /// Waits for what the kernel says next.
    fn wait(&mut self, now: Instant) {
        self.poll.poll(&mut self.events, Some(Duration::from_secs(60))).unwrap();
        assert!(!self.events.is_empty(), "nothing happened");
        self.events.iter().for_each(|event| self.tcp.ready(event));
        self.tcp.accept(now);
    }

    fn connect(&mut self, now: Instant) -> (std::net::TcpStream, AddressPair) {
        let stream = std::net::TcpStream::connect(self.address).unwrap();
        let remote = stream.local_addr().unwrap();
        let path = AddressPair { protocol: Protocol::Tcp, local: self.address, remote };
        while !self.tcp.by_path.contains_key(&path) {
            self.wait(now);
        }
        (stream, path)
    }
}

#[test]
fn a_stream_that_nobody_reads_loses_packets_and_no_frame_is_torn() {
    let now = Instant::now();
    let mut net = Net::new();
    let (mut stream, path) = net.connect(now);
    socket2::SockRef::from(&stream).set_recv_buffer_size(16 * 1024).unwrap();
    let push = |net: &mut Net, number: u32, control| {
        let taken = net.tcp.push(path, control, |buffer| {
            buffer[..1000].fill(7);
            buffer[..4].copy_from_slice(&number.to_be_bytes());
            1000
        });
        net.tcp.flush();
        assert!(net.tcp.connections[0].unsent.len() <= MAX_UNSENT + CONTROL_RESERVE);
        taken
    };
    // Twenty megabytes, which no kernel keeps for a socket with a small buffer.
    let taken: Vec<u32> = (0..20_000).filter(|number| push(&mut net, *number, false)).collect();
    assert!(taken.len() > MAX_UNSENT / 1002 - 2 && taken.len() < 20_000, "{}", taken.len());
    assert!(push(&mut net, 20_000, true), "there is room left for STUN and DTLS");

    let expected: Vec<u32> = taken.into_iter().chain([20_000]).collect();
    let (mut deframer, mut seen) = (Deframer::default(), Vec::new());
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 10_000];
    while seen.len() < expected.len() {
        match stream.read(&mut buffer) {
            Ok(len) => deframer
                .push(&mut buffer[..len], |packet| {
                    assert_eq!(packet.len(), 1000);
                    seen.push(u32::from_be_bytes(packet[..4].try_into().unwrap()));
                })
                .unwrap(),
            // The kernel may want to be read before it says that there is room: both ends are looked at in turn.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                net.poll.poll(&mut net.events, Some(Duration::from_millis(1))).unwrap();
                net.events.iter().for_each(|event| net.tcp.ready(event));
                net.tcp.flush();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(seen, expected);
    assert!(push(&mut net, 1, false), "there is room again");
}

#[test]
fn who_does_not_authenticate_in_time_is_closed() {
    let now = Instant::now();
    let mut net = Net::new();
    let (mut stranger, _) = net.connect(now);
    let (_known, path) = net.connect(now);
    let id = net.tcp.by_path[&path];
    net.tcp.connections[id].slot = Some(1);
    net.tcp.sweep(now + AUTHENTICATION_TIME - Duration::from_millis(1));
    assert_eq!(net.tcp.connections.len(), 2);
    net.tcp.sweep(now + AUTHENTICATION_TIME);
    assert_eq!((net.tcp.connections.len(), net.tcp.by_path.len()), (1, 1));
    assert_eq!(net.tcp.per_source.values().sum::<usize>(), 1);
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
    // It goes with its participant.
    net.tcp.forget(1);
    assert!(net.tcp.connections.is_empty() && net.tcp.by_path.is_empty() && net.tcp.per_source.is_empty());
    assert!(!net.tcp.push(path, true, |_| unreachable!("there is no such stream")));
}

#[test]
fn one_source_has_a_bounded_number_of_streams() {
    let now = Instant::now();
    let mut net = Net::new();
    let streams: Vec<_> = (0..MAX_PER_SOURCE).map(|_| net.connect(now)).collect();
    let mut one_more = std::net::TcpStream::connect(net.address).unwrap();
    one_more.set_nonblocking(true).unwrap();
    let closed = loop {
        match one_more.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => net.wait(now),
            // A reset says the same as an end.
            other => break other,
        }
    };
    assert!(!matches!(closed, Ok(1..)), "{closed:?}");
    assert_eq!((net.tcp.connections.len(), streams.len()), (MAX_PER_SOURCE, MAX_PER_SOURCE));
}
