//! Opening ports.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections waiting to be accepted.
const BACKLOG: i32 = 1024;
/// What the kernel may hold for a client that does not read, in bytes; the kernel doubles it for its own overhead.
/// It does not grow by itself any more, and still fills 10 Mbit/s over 50 ms.
const SEND_BUFFER: usize = 64 * 1024;

/// A port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (setting `{setting}`): {reason}")]
pub struct BindError {
    /// The setting to change.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub reason: std::io::Error,
}

/// A TCP listener. Sockets that it accepts inherit the size of the send buffer.
pub(crate) fn tcp(setting: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|reason| BindError { setting, address, reason })
}

/// Where it listens.
pub(crate) fn local_addr(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}
