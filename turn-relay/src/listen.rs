//! Opening the sockets for clients: each address once for each thread, so that the kernel spreads clients.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Type};
use turn_proto::Transport;

use crate::StartError;
use crate::config::Config;
use crate::worker::Listeners;

/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;

/// The addresses for clients, by [`Transport::index`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses([Vec<SocketAddr>; Transport::ALL.len()]);

impl Addresses {
    pub(crate) fn of(&self, transport: Transport) -> &[SocketAddr] {
        self.0.get(transport.index()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Fails if anybody has this address. Sockets of several threads share an address, and the kernel would let another
/// process of the same user share it as well: half of all requests would then go to a relay with another secret.
fn require_free(address: SocketAddr, transport: Transport) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    if transport.is_stream() { tcp(address, false).map(drop) } else { udp(address, false).map(drop) }
}

/// Opens everything that is listened on, once for each thread.
pub(crate) fn open(config: &Config, threads: usize) -> Result<(Vec<Listeners>, Addresses), StartError> {
    let mut listeners: Vec<Listeners> = (0..threads).map(|_| Listeners::default()).collect();
    let mut addresses = Addresses::default();
    for (setting, transport, wanted) in [
        ("listen", Transport::Udp, &config.listen),
        ("listen_tcp", Transport::Tcp, &config.listen_tcp),
        ("listen_tls", Transport::Tls, &config.listen_tls),
        ("listen_dtls", Transport::Dtls, &config.listen_dtls),
    ] {
        for &address in wanted {
            // The first thread's socket takes a free port where 0 is asked for, and the others share that one.
            let mut taken = address;
            let refuse = |source| StartError::Listen { setting, transport, address, source };
            require_free(address, transport).map_err(refuse)?;
            for thread in &mut listeners {
                let bound = if transport.is_stream() {
                    tcp(taken, threads > 1).and_then(|socket| {
                        let bound = socket.local_addr()?;
                        thread.streams.push((socket, transport));
                        Ok(bound)
                    })
                } else {
                    udp(taken, threads > 1).map(|socket| {
                        let bound = socket.local_addr();
                        thread.datagrams.push((socket, transport));
                        bound
                    })
                };
                taken = bound.map_err(refuse)?;
            }
            addresses.0[transport.index()].push(taken);
        }
    }
    Ok((listeners, addresses))
}

fn udp(address: SocketAddr, share_port: bool) -> io::Result<udp::Socket> {
    let to_ip = address.ip().is_unspecified();
    let options = udp::Options { dual_stack: false, share_port, to_ip, ..udp::Options::default() };
    udp::Socket::bind_with(address, options)
}

fn tcp(address: SocketAddr, share_port: bool) -> io::Result<mio::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the run before.
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if share_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}
