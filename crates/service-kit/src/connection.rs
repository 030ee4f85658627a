//! A connection of the HTTP server: cut when its client takes nothing, asks for nothing, or gives way to another.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::seats::{Cut, Seat};

/// A client has to take something within this time.
pub(crate) const STALL_LIMIT: Duration = Duration::from_secs(10);
/// Longest time from the end of one request to the whole head of the next, and for the first one, TLS included.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// Most bytes that are read at a time: each request in them makes an answer that waits in memory, and the shortest
/// request of 18 bytes may have one of 700.
const READ_SLICE: usize = 4 * 1024;

/// A socket and its seat. Who does not take answers is not asked for more requests.
#[derive(Debug)]
pub(crate) struct Connection<T> {
    io: T,
    seat: Seat,
    /// Runs while the client takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    /// Runs while no request is under way.
    idle: Option<Pin<Box<Sleep>>>,
    /// Bytes that may still be read before there is a pause.
    slice: usize,
}

impl<T> Connection<T> {
    pub(crate) fn new(io: T, seat: Seat) -> Self {
        Self { io, seat, stall: None, idle: None, slice: READ_SLICE }
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Fails once the connection has nothing more to do here.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.seat.is_replaced(cx.waker()) {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "the seat went to another connection"));
        }
        let Some(idle) = self.seat.idle().filter(|_| self.stall.is_none()) else {
            self.idle = None;
            return Ok(());
        };
        let timer = self
            .idle
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + IDLE_LIMIT.saturating_sub(idle))));
        if timer.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        if idle < IDLE_LIMIT {
            // There was a request in between.
            timer.as_mut().reset(Instant::now() + IDLE_LIMIT.saturating_sub(idle));
            let _ = timer.as_mut().poll(cx);
            return Ok(());
        }
        self.seat.cut(Cut::Idle);
        Err(ErrorKind::TimedOut.into())
    }

    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            if self.stall.take().is_some() {
                self.seat.moved();
                // Reading goes on.
                cx.waker().wake_by_ref();
            }
            return result;
        }
        self.seat.stalled();
        let timer = self.stall.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL_LIMIT)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.seat.cut(Cut::Stalled);
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        if self.stall.is_some() {
            return Poll::Pending;
        }
        if self.slice == 0 {
            // First what has been read is answered, and the answers are sent.
            self.slice = READ_SLICE;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = [0; READ_SLICE];
        let most = self.slice.min(buffer.remaining());
        let mut read = ReadBuf::new(bytes.get_mut(..most).unwrap_or_default());
        let result = Pin::new(&mut self.io).poll_read(cx, &mut read);
        self.slice = self.slice.saturating_sub(read.filled().len());
        buffer.put_slice(read.filled());
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;

    use prometheus_client::registry::Registry;
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::client::TrustedProxies;
    use crate::seats::{ConnectionLimits, Seats};

    #[tokio::test]
    async fn many_requests_in_one_packet_are_read_in_portions() {
        let seats =
            Seats::new(ConnectionLimits::default(), TrustedProxies::default(), &mut Registry::default());
        let seat = seats.admit(Ipv4Addr::LOCALHOST.into()).unwrap();
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(&[b'x'; 10_000]).await.unwrap();
        let mut connection = Connection::new(server, seat);
        let mut portions = Vec::new();
        let mut bytes = vec![0; 64 * 1024];
        let mut total = 0;
        while total < 10_000 {
            // As the server reads: until there is nothing for the moment, then it answers.
            portions.push(
                poll_fn(|cx| {
                    let mut portion = 0;
                    loop {
                        let mut buffer = ReadBuf::new(&mut bytes);
                        match Pin::new(&mut connection).poll_read(cx, &mut buffer) {
                            Poll::Ready(result) => result.unwrap(),
                            Poll::Pending => return Poll::Ready(portion),
                        }
                        portion += buffer.filled().len();
                    }
                })
                .await,
            );
            total += portions.last().unwrap();
        }
        assert_eq!(portions, [READ_SLICE, READ_SLICE, 10_000 - 2 * READ_SLICE]);
    }
}
