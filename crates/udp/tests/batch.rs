//! The batches over real loopback sockets: everything arrives once, in order, from the right address.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use udp::{Full, Options, RecvBatch, SendBatch, Socket};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn bind() -> Socket {
    Socket::bind((LOOPBACK, 0).into()).expect("loopback has free ports")
}

struct Receiver {
    socket: Socket,
    poll: Poll,
    batch: RecvBatch,
}

impl Receiver {
    fn new(mut socket: Socket) -> Self {
        let poll = Poll::new().expect("epoll");
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).expect("registers");
        Self { socket, poll, batch: RecvBatch::new() }
    }

    fn addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// What has arrived by now.
    fn take_all(&mut self) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
        let mut all = Vec::new();
        while self.socket.recv(&mut self.batch).is_ok() {
            all.extend(self.batch.iter_mut().map(|d| (d.from, d.to_ip, d.data.to_vec())));
        }
        all
    }

    /// Receives until `count` datagrams came, or nothing comes any more.
    fn take(&mut self, count: usize) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
        let mut all = Vec::new();
        let mut events = Events::with_capacity(4);
        while all.len() < count {
            match self.socket.recv(&mut self.batch) {
                Ok(n) => {
                    let before = all.len();
                    all.extend(self.batch.iter_mut().map(|d| (d.from, d.to_ip, d.data.to_vec())));
                    assert_eq!(all.len() - before, n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.poll.poll(&mut events, Some(Duration::from_secs(2))).expect("polls");
                    if events.is_empty() {
                        break;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        all
    }
}

fn packet(index: u32, len: usize) -> Vec<u8> {
    let mut data = vec![index as u8; len];
    data[..4].copy_from_slice(&index.to_be_bytes());
    data
}

#[test]
fn interleaved_packets_to_many_reach_each_in_order() {
    let sender = bind();
    let mut receivers: Vec<_> = (0..20).map(|_| Receiver::new(bind())).collect();
    let mut batch = SendBatch::new(256, 1500);
    // Sizes as a video frame has them: equal ones, then a shorter one, then a longer one.
    for (index, size) in [1000, 1000, 1000, 400, 1200, 90].into_iter().enumerate() {
        for receiver in &receivers {
            batch.push_slice(receiver.addr(), None, &packet(index as u32, size)).expect("fits");
        }
    }
    let sent = batch.flush(&sender);
    assert_eq!((sent.sent, sent.dropped, sent.failed), (120, 0, 0));
    assert!(batch.is_empty());
    for receiver in &mut receivers {
        let got = receiver.take(6);
        let sizes: Vec<_> = got.iter().map(|(_, _, data)| data.len()).collect();
        assert_eq!(sizes, [1000, 1000, 1000, 400, 1200, 90]);
        for (index, (from, to_ip, data)) in got.iter().enumerate() {
            assert_eq!((*from, *to_ip), (sender.local_addr(), Some(LOOPBACK)));
            assert_eq!(*data, packet(index as u32, data.len()));
        }
    }
    let counters = sender.counters();
    assert_eq!(counters.sent, 120);
    assert!(counters.send_calls <= 3, "120 packets took {} calls", counters.send_calls);
}

#[test]
fn with_and_without_gso_the_same_arrives() {
    for gso in [true, false] {
        let sender =
            Socket::bind_with((LOOPBACK, 0).into(), Options { gso, ..Options::default() }).expect("binds");
        let mut receiver = Receiver::new(bind());
        let mut batch = SendBatch::new(300, 1200);
        for index in 0..300 {
            batch.push_slice(receiver.addr(), Some(LOOPBACK), &packet(index, 1000)).expect("fits");
        }
        assert_eq!(batch.push_slice(receiver.addr(), None, b"one more"), Err(Full));
        assert_eq!(batch.flush(&sender).sent, 300);
        let got = receiver.take(300);
        assert_eq!(got.len(), 300, "gso {gso}");
        assert!(got.iter().zip(0..).all(|((_, _, data), index)| *data == packet(index, 1000)));
        if !gso {
            assert!(!sender.uses_gso());
        }
    }
}

#[test]
fn the_source_address_is_the_asked_one() {
    let sender = Socket::bind((Ipv4Addr::UNSPECIFIED, 0).into()).expect("binds");
    let mut receiver = Receiver::new(bind());
    let source: IpAddr = Ipv4Addr::new(127, 0, 0, 7).into();
    let mut batch = SendBatch::new(4, 100);
    batch.push_slice(receiver.addr(), Some(source), b"hello").expect("fits");
    batch.push_slice(receiver.addr(), Some(LOOPBACK), b"other").expect("fits");
    assert_eq!(batch.flush(&sender).sent, 2);
    let from: HashMap<_, _> = receiver.take(2).into_iter().map(|(from, _, data)| (data, from.ip())).collect();
    assert_eq!(from, HashMap::from([(b"hello".to_vec(), source), (b"other".to_vec(), LOOPBACK)]));
}

#[test]
fn a_dual_stack_socket_speaks_ipv4_under_its_own_name() {
    let Ok(socket) = Socket::bind("[::]:0".parse().expect("an address")) else {
        return; // A kernel without IPv6 has nothing to check here.
    };
    let mut both = Receiver::new(socket);
    let mut receiver = Receiver::new(bind());
    let mut batch = SendBatch::new(4, 100);
    let to = (LOOPBACK, both.addr().port()).into();
    batch.push_slice(to, None, b"ping").expect("fits");
    batch.flush(&receiver.socket);
    let got = both.take(1);
    assert_eq!(got, [(receiver.addr(), Some(LOOPBACK), b"ping".to_vec())]);
    batch.push_slice(receiver.addr(), Some(LOOPBACK), b"pong").expect("fits");
    assert_eq!(batch.flush(&both.socket).sent, 1);
    assert_eq!(receiver.take(1), [(to, Some(LOOPBACK), b"pong".to_vec())]);
}

#[test]
fn a_refused_destination_costs_the_others_nothing() {
    let sender = bind();
    let mut receiver = Receiver::new(bind());
    let mut batch = SendBatch::new(8, 100);
    // A socket bound to loopback cannot reach the outside, and port 0 reaches nobody.
    batch.push_slice("127.0.0.1:0".parse().expect("an address"), None, b"nowhere").expect("fits");
    batch.push_slice(receiver.addr(), None, b"arrives").expect("fits");
    let sent = batch.flush(&sender);
    assert_eq!((sent.sent, sent.failed), (1, 1));
    assert_eq!(receiver.take(1).len(), 1);
    assert_eq!(sender.counters().failed, 1);
}

#[test]
fn a_writer_that_writes_nothing_adds_nothing() {
    let mut batch = SendBatch::new(2, 100);
    batch.push((LOOPBACK, 9).into(), None, |_| 0).expect("fits");
    assert!(batch.is_empty());
    assert_eq!(batch.push_slice((LOOPBACK, 9).into(), None, &[0; 101]), Err(Full));
}

#[test]
fn empty_datagrams_arrive_between_others() {
    let (sender, mut receiver) = (bind(), Receiver::new(bind()));
    let mut batch = SendBatch::new(8, 100);
    let sent: [&[u8]; 5] = [b"a", b"", b"", b"b", b""];
    for data in sent {
        batch.push_slice(receiver.addr(), None, data).expect("room");
    }
    assert_eq!(batch.flush(&sender).sent, 5);
    let got: Vec<Vec<u8>> = receiver.take(5).into_iter().map(|(_, _, data)| data).collect();
    assert_eq!(got, sent);
}

#[cfg(target_os = "linux")]
#[test]
fn an_icmp_error_names_the_peer_and_does_not_stop_the_next_datagram() {
    let options = Options { icmp_errors: true, ..Options::default() };
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        let at: SocketAddr = loopback.parse().expect("an address");
        let Ok(mut sender) = Socket::bind_with(at, options) else {
            assert!(at.is_ipv6(), "only IPv6 may be missing");
            continue;
        };
        let closed = std::net::UdpSocket::bind(at).expect("a socket");
        let nobody = closed.local_addr().expect("bound");
        drop(closed);
        let mut receiver = Receiver::new(Socket::bind(at).expect("a socket"));
        assert_eq!(sender.recv_error(), None);

        let mut poll = Poll::new().expect("epoll");
        poll.registry().register(&mut sender, Token(1), Interest::READABLE).expect("registers");
        let mut batch = SendBatch::new(8, 100);
        batch.push_slice(nobody, None, b"to nobody").expect("room");
        assert_eq!(batch.flush(&sender).sent, 1);
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(30))).expect("polls");
        assert!(events.iter().any(|event| event.is_error()), "an error wakes the poll");

        // What waits as an error must not swallow this one.
        batch.push_slice(receiver.addr(), None, b"to somebody").expect("room");
        assert_eq!(batch.flush(&sender).sent, 1);
        assert_eq!(receiver.take(1)[0].2, b"to somebody");
        let error = sender.recv_error().expect("an error");
        let unreachable = if at.is_ipv4() { (3, 3) } else { (1, 4) };
        assert_eq!((error.to, (error.kind, error.code), error.mtu), (nobody, unreachable, 0));
        assert_eq!(sender.recv_error(), None);
    }
}

#[test]
fn shared_ports_keep_each_client_with_one_socket() {
    let share = Options { share_port: true, ..Options::default() };
    let first = Socket::bind_with((LOOPBACK, 0).into(), share).expect("a socket");
    let second = Socket::bind_with(first.local_addr(), share).expect("the same port");
    let (mut first, mut second) = (Receiver::new(first), Receiver::new(second));
    let clients: Vec<Socket> = (0..16).map(|_| bind()).collect();
    let mut batch = SendBatch::new(8, 100);
    for _ in 0..4 {
        for client in &clients {
            batch.push_slice(first.addr(), None, b"x").expect("room");
            assert_eq!(batch.flush(client).sent, 1);
        }
    }
    let mut count = HashMap::<SocketAddr, (usize, usize)>::new();
    let (end, mut all) = (Instant::now() + Duration::from_secs(30), 0);
    while all < 4 * clients.len() {
        assert!(Instant::now() < end, "{all} arrived");
        for (from, ..) in first.take_all() {
            count.entry(from).or_default().0 += 1;
            all += 1;
        }
        for (from, ..) in second.take_all() {
            count.entry(from).or_default().1 += 1;
            all += 1;
        }
        std::thread::yield_now();
    }
    assert_eq!(count.len(), 16);
    assert!(count.values().all(|n| *n == (4, 0) || *n == (0, 4)), "{count:?}");
}

#[test]
fn a_socket_that_is_bound_to_one_address_knows_it_without_being_told() {
    let options = Options { to_ip: false, ..Options::default() };
    let mut receiver = Receiver::new(Socket::bind_with("127.0.0.2:0".parse().unwrap(), options).unwrap());
    let sender = bind();
    let mut batch = SendBatch::new(1, 100);
    batch.push_slice(receiver.addr(), None, b"x").unwrap();
    batch.flush(&sender);
    assert_eq!(receiver.take(1)[0].1, Some("127.0.0.2".parse().unwrap()));
}
