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

/// What is read at a time, in bytes, give or take a buffer of the server: each request in it makes an answer that waits
/// in memory.
const READ_SLICE: usize = 16 * 1024;

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
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.slice = self.slice.saturating_sub(buffer.filled().len().saturating_sub(before));
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
