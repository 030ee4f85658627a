//! The bare relay: a child process with the shape of a TURN server under ChannelData, and none of its checks. Each new
//! client address gets a relay socket; four bytes come off on the way to the peer and go on on the way back.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;

use mio::{Events, Interest, Poll, Token};
use udp::{Options, RecvBatch, SendBatch, Socket};

/// Datagrams of one call.
const BATCH: usize = 64;
const MAX_DATAGRAM: usize = 1_500;
/// Receive calls on one socket before the others have their turn.
const MAX_RECV_CALLS: usize = 4;
const HEADER: usize = 4;
const CLIENTS: Token = Token(0);

struct Bare {
    poll: Poll,
    clients: Socket,
    peer: SocketAddr,
    /// Relay sockets, each with its client; the token is one more than the index.
    relays: Vec<(Socket, SocketAddr)>,
    by_client: HashMap<SocketAddr, usize>,
    recv: RecvBatch,
    send: SendBatch,
}

/// The child process: prints its address and runs until its standard input ends.
pub(crate) fn run(peer: SocketAddr) -> anyhow::Result<()> {
    let mut clients = socket()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut clients, CLIENTS, Interest::READABLE)?;
    println!("{}", clients.local_addr());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut bare = Bare {
        poll,
        clients,
        peer,
        relays: Vec::new(),
        by_client: HashMap::new(),
        recv: RecvBatch::new(),
        send: SendBatch::new(BATCH, MAX_DATAGRAM),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match bare.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                CLIENTS => bare.read_clients()?,
                Token(token) => bare.read_relay(token - 1)?,
            }
        }
    }
}

impl Bare {
    /// Until nothing is left, which a batch that is not full says: an event comes once.
    fn read_clients(&mut self) -> anyhow::Result<()> {
        loop {
            match self.clients.recv(&mut self.recv) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
            let mut run: Option<usize> = None;
            for datagram in self.recv.iter_mut() {
                let relay = match self.by_client.get(&datagram.from) {
                    Some(relay) => *relay,
                    None => {
                        let relay = self.relays.len();
                        let mut socket = socket()?;
                        self.poll.registry().register(&mut socket, Token(relay + 1), Interest::READABLE)?;
                        self.relays.push((socket, datagram.from));
                        self.by_client.insert(datagram.from, relay);
                        relay
                    }
                };
                if run.is_some_and(|run| run != relay) || self.send.len() == BATCH {
                    flush(&mut self.send, run.and_then(|run| self.relays.get(run)).map(|(socket, _)| socket));
                }
                run = Some(relay);
                if let Some(payload) = datagram.data.get(HEADER..) {
                    let _ = self.send.push_slice(self.peer, None, payload);
                }
            }
            flush(&mut self.send, run.and_then(|run| self.relays.get(run)).map(|(socket, _)| socket));
            if !self.recv.is_full() {
                return Ok(());
            }
        }
    }

    fn read_relay(&mut self, relay: usize) -> anyhow::Result<()> {
        let Some((socket, client)) = self.relays.get(relay) else { return Ok(()) };
        for _ in 0..MAX_RECV_CALLS {
            match socket.recv(&mut self.recv) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
            for datagram in self.recv.iter_mut() {
                let payload = &*datagram.data;
                let write = |out: &mut [u8]| {
                    let length = HEADER + payload.len();
                    let Some(out) = out.get_mut(..length) else { return 0 };
                    let (header, body) = out.split_at_mut(HEADER);
                    header.copy_from_slice(&[0x40, 0, (payload.len() >> 8) as u8, payload.len() as u8]);
                    body.copy_from_slice(payload);
                    length
                };
                if self.send.len() == BATCH {
                    flush(&mut self.send, Some(&self.clients));
                }
                let _ = self.send.push(*client, None, write);
            }
            flush(&mut self.send, Some(&self.clients));
            if !self.recv.is_full() {
                break;
            }
        }
        Ok(())
    }
}

/// A socket on loopback that is told nothing but payloads and senders.
fn socket() -> std::io::Result<Socket> {
    let options = Options { to_ip: false, ..Options::default() };
    Socket::bind_with(SocketAddr::from(([127, 0, 0, 1], 0)), options)
}

fn flush(send: &mut SendBatch, socket: Option<&Socket>) {
    match socket {
        Some(socket) => drop(send.flush(socket)),
        None => send.clear(),
    }
}
