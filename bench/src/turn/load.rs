//! The load: clients that send messages of one size at one rate through a relay to a peer that sends them back.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use turn_relay::doctor::{Credential, Session, channel_data, send_indication};
use udp::{RecvBatch, SendBatch, Socket};

use super::{PASSWORD, USER};

/// Patience with one answer of a server.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last messages may take to come back.
const LINGER: Duration = Duration::from_millis(300);

const BATCH: usize = 64;

/// How messages travel between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As ChannelData.
    Channel,
    /// As Send and Data indications.
    Indication,
    /// As ChannelData through the bare relay, which needs no session.
    Bare,
}

/// Clients, ready to send.
pub(super) struct Flow {
    clients: Vec<Client>,
    payload: usize,
}

struct Client {
    socket: UdpSocket,
    session: Option<Session>,
    message: Vec<u8>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Flow {
    pub(super) fn open(
        server: SocketAddr,
        peer: SocketAddr,
        style: Style,
        clients: usize,
        payload: usize,
    ) -> anyhow::Result<Self> {
        let data = vec![7; payload];
        let client = |_| -> anyhow::Result<Client> {
            let (socket, mut session) = match style {
                Style::Bare => (socket(server)?, None),
                Style::Channel | Style::Indication => {
                    let (socket, session) = allocate(server)?;
                    (socket, Some(session))
                }
            };
            if let Some(session) = &mut session {
                session.permit(peer)?;
                if style == Style::Channel {
                    session.bind_channel(peer)?;
                }
            }
            let message = match style {
                Style::Indication => send_indication(peer, &data)?,
                Style::Channel | Style::Bare => channel_data(&data),
            };
            Ok(Client { socket, session, message })
        };
        Ok(Self { clients: (0..clients).map(client).collect::<anyhow::Result<_>>()?, payload })
    }

    /// Each client sends `burst` messages each `interval`, for `length`; the messages that come back are counted.
    pub(super) fn run(
        &mut self,
        burst: usize,
        interval: Duration,
        length: Duration,
    ) -> anyhow::Result<Tally> {
        for client in &self.clients {
            client.socket.set_nonblocking(true)?;
        }
        let mut tally = Tally::default();
        let begin = Instant::now();
        let mut next = begin;
        while next < begin + length {
            for client in self.clients.iter().flat_map(|client| std::iter::repeat_n(client, burst)) {
                match client.socket.send(&client.message) {
                    Ok(_) => tally.sent += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tally.received += self.drain()?;
            next += interval;
            let now = Instant::now();
            if now < next {
                std::thread::sleep(next - now);
            } else if now > next + Duration::from_millis(50) {
                // What was missed is not made up for in a burst.
                next = now;
            }
        }
        let mut last = Instant::now();
        while tally.received < tally.sent && last.elapsed() < LINGER {
            match self.drain()? {
                0 => std::thread::sleep(Duration::from_millis(1)),
                more => {
                    tally.received += more;
                    last = Instant::now();
                }
            }
        }
        Ok(tally)
    }

    /// Messages that have come back.
    fn drain(&self) -> anyhow::Result<u64> {
        let mut buffer = [0; 2048];
        let mut received = 0;
        for client in &self.clients {
            loop {
                match client.socket.recv(&mut buffer) {
                    Ok(length) if length >= self.payload => received += 1,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(received)
    }

    /// Ends the allocations.
    pub(super) fn close(self) -> anyhow::Result<()> {
        for client in self.clients {
            client.socket.set_nonblocking(false)?;
            if let Some(mut session) = client.session {
                session.delete()?;
            }
        }
        Ok(())
    }
}

/// A session without data, from the challenge to the end of its allocation.
pub(super) fn session(server: SocketAddr, peer: SocketAddr) -> anyhow::Result<()> {
    let (_, mut session) = allocate(server)?;
    session.permit(peer)?;
    session.bind_channel(peer)?;
    session.delete()?;
    Ok(())
}

/// Allocations that stay until this is dropped.
pub(super) struct Held(Vec<Session>);

impl Drop for Held {
    fn drop(&mut self) {
        for session in &mut self.0 {
            let _ = session.delete();
        }
    }
}

/// Makes allocations and keeps them.
pub(super) fn hold(server: SocketAddr, count: usize) -> anyhow::Result<Held> {
    Ok(Held((0..count).map(|_| Ok(allocate(server)?.1)).collect::<anyhow::Result<_>>()?))
}

/// A fresh allocation and its socket. coturn's tool leaves allocations behind, so the system may give out a port that
/// still has one: then it is another port's turn.
fn allocate(server: SocketAddr) -> anyhow::Result<(UdpSocket, Session)> {
    loop {
        let socket = socket(server)?;
        let mut session = Session::over_udp(socket.try_clone()?, server, PATIENCE);
        let allocated = session.challenge().and_then(|_| session.allocate(&credential()));
        match allocated {
            Ok(_) => return Ok((socket, session)),
            Err(failure) if failure.code() == Some(437) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
}

fn credential() -> Credential {
    Credential { username: USER.into(), password: PASSWORD.into() }
}

fn socket(server: SocketAddr) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    Ok(socket)
}

/// A peer that sends everything back, on a thread that ends with the process.
pub(super) fn echo() -> anyhow::Result<SocketAddr> {
    let mut socket = Socket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr();
    let mut poll = Poll::new()?;
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut recv, mut send) = (RecvBatch::new(), SendBatch::new(BATCH, 2048));
        let mut events = Events::with_capacity(1);
        loop {
            poll.poll(&mut events, None)?;
            while socket.recv(&mut recv).is_ok() {
                for datagram in recv.iter_mut() {
                    if send.len() == BATCH {
                        send.flush(&socket);
                    }
                    let _ = send.push_slice(datagram.from, None, datagram.data);
                }
                send.flush(&socket);
            }
        }
    });
    Ok(address)
}
