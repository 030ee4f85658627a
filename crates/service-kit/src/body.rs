//! Request bodies: bounded in time for every route, and in size where they are read.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{self, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Payload};
use actix_web::{Error, HttpMessage as _, HttpRequest};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Sleep, sleep};

use crate::problem::HttpProblem;

/// A body has to be there within this time.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body, of at most `limit` bytes.
///
/// # Errors
/// 413 if it is longer, 408 if it takes longer than [`BODY_TIMEOUT`], 400 if it breaks off.
pub async fn read(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, HttpProblem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let Ok(read) = payload.to_bytes_limited(limit).await else { return Err(too_large(limit)) };
    read.map_err(|error| match error.as_error::<PayloadError>() {
        Some(error) => unreadable(error),
        None => HttpProblem::bad_request("the body cannot be read"),
    })
}

/// 413.
pub(crate) fn too_large(limit: usize) -> HttpProblem {
    HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large")
        .detail(format!("the body may have at most {limit} bytes"))
}

/// 408 or 400.
pub(crate) fn unreadable(error: &PayloadError) -> HttpProblem {
    match error {
        PayloadError::Io(error) if error.kind() == ErrorKind::TimedOut => {
            let seconds = BODY_TIMEOUT.as_secs();
            HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout")
                .detail(format!("the body did not arrive within {seconds} s"))
        }
        _ => HttpProblem::bad_request("the body cannot be read"),
    }
}

/// Middleware: a body that is not there in time fails for whoever reads it, and a connection whose request was
/// answered before its body had come is closed.
///
/// Without it the server goes on reading a chunked body that nobody wants, for as long as the client sends one:
/// connections that no timeout ends.
pub(crate) async fn bounded(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody + 'static, Holding>>, Error> {
    let payload = request.take_payload();
    if matches!(payload, dev::Payload::None) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    // What follows the upgrade to a WebSocket is no body but another protocol, with limits of its own.
    let is_tunnel = request.method() == Method::GET && request.head().upgrade();
    let deadline = (!is_tunnel).then(|| Box::pin(sleep(BODY_TIMEOUT)));
    let body = Rc::new(RefCell::new(Body { payload, deadline }));
    request.set_payload(dev::Payload::Stream { payload: Box::pin(Reader(Rc::clone(&body))) });
    let response = next.call(request).await?;
    Ok(response.map_body(|_, answer| EitherBody::right(Holding { answer: answer.boxed(), _request: body })))
}

/// A request's body and when it has to be there.
struct Body {
    payload: dev::Payload,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// The body as handlers see it.
struct Reader(Rc<RefCell<Body>>);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.borrow_mut();
        if let Poll::Ready(chunk) = body.payload.poll_next_unpin(cx) {
            return Poll::Ready(chunk);
        }
        let Some(deadline) = &mut body.deadline else { return Poll::Pending };
        deadline.as_mut().poll(cx).map(|()| Some(Err(PayloadError::Io(ErrorKind::TimedOut.into()))))
    }
}

/// An answer that keeps what was not read of the request until it is sent: the server closes a connection whose
/// request body is held, unread, at the end of the answer, and drains one that was dropped.
pub(crate) struct Holding {
    answer: BoxBody,
    _request: Rc<RefCell<Body>>,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(cx)
    }
}
