//! Bodies. A request's is bounded in time for every route, and in size where it is read; an answer's is shared with
//! whoever else gets it, and sent in slices.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{self, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{Error, HttpMessage as _, HttpRequest};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep};

use crate::problem::HttpProblem;
use crate::seats::{Requests, UnderWay};

/// A body has to be there within this time.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a body in a second that [`wait_for`] waits for: a line of 64 kbit/s.
pub const SLOWEST: usize = 8 * 1024;
/// What a connection copies at a time of an answer.
const SLICE: usize = 16 * 1024;

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

/// Waits longer for a body whose sender has shown that it may send it: beyond [`BODY_TIMEOUT`] as long as `bytes` take
/// at [`SLOWEST`]. A photo over a phone's line takes minutes.
pub fn wait_for(request: &HttpRequest, bytes: usize) {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok()).unwrap_or(bytes);
    let seconds = u64::try_from(announced.min(bytes) / SLOWEST).unwrap_or(0);
    if let Some(Coming(body)) = request.extensions().get()
        && let Some(deadline) = &mut body.borrow_mut().deadline
    {
        deadline.as_mut().reset(Instant::now() + BODY_TIMEOUT + Duration::from_secs(seconds));
    }
}

/// A JSON extractor configuration for the routes of a service: bodies of at most `limit` bytes, errors as
/// problems (400, 408, 413, 415).
#[must_use]
pub fn json_config(limit: usize) -> web::JsonConfig {
    use actix_web::error::JsonPayloadError as E;
    web::JsonConfig::default().limit(limit).content_type_required(true).error_handler(|error, _| {
        let problem = match &error {
            E::Overflow { limit } | E::OverflowKnownLength { limit, .. } => too_large(*limit),
            E::ContentType => {
                HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type")
                    .detail("send application/json")
            }
            E::Deserialize(why) => HttpProblem::bad_request(why.to_string()),
            E::Payload(error) => unreadable(error),
            _ => HttpProblem::bad_request("the body cannot be read"),
        };
        problem.into()
    })
}

/// 413.
fn too_large(limit: usize) -> HttpProblem {
    HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large")
        .detail(format!("the body may have at most {limit} bytes"))
}

/// 408 or 400.
fn unreadable(error: &PayloadError) -> HttpProblem {
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
) -> Result<ServiceResponse<Answer>, Error> {
    let under_way = request.conn_data::<Requests>().map(Requests::begin);
    let body = match request.take_payload() {
        dev::Payload::None => None,
        payload => {
            // What follows the upgrade to a WebSocket is no body but another protocol, with limits of its own.
            let is_tunnel = request.method() == Method::GET && request.head().upgrade();
            let deadline = (!is_tunnel).then(|| Box::pin(sleep(BODY_TIMEOUT)));
            Some(Rc::new(RefCell::new(Body { payload, deadline })))
        }
    };
    if let Some(body) = &body {
        request.extensions_mut().insert(Coming(Rc::clone(body)));
        request.set_payload(dev::Payload::Stream { payload: Box::pin(Reader(Rc::clone(body))) });
    }
    let response = next.call(request).await?;
    Ok(response.map_body(|_, answer| Answer {
        content: Content::of(answer.boxed()),
        _request: body,
        _under_way: under_way,
    }))
}

/// A request's body and when it has to be there.
struct Body {
    payload: dev::Payload,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// The body of the request under way, for [`wait_for`].
struct Coming(Rc<RefCell<Body>>);

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

/// An answer's body. It keeps what was not read of the request until it is sent: the server closes a connection whose
/// request body is held, unread, at the end of the answer, and drains one that was dropped.
pub(crate) struct Answer {
    content: Content,
    _request: Option<Rc<RefCell<Body>>>,
    _under_way: Option<UnderWay>,
}

enum Content {
    /// In memory, shared: what a connection copies of it is one slice at a time.
    Whole(Bytes),
    Stream(BoxBody),
}

impl Content {
    fn of(body: BoxBody) -> Self {
        // No body is not an empty one: 204 and 304 announce no length.
        if matches!(body.size(), BodySize::None) {
            return Self::Stream(body);
        }
        match body.try_into_bytes() {
            Ok(bytes) => Self::Whole(bytes),
            Err(stream) => Self::Stream(stream),
        }
    }
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        match &self.content {
            Content::Whole(bytes) => BodySize::Sized(bytes.len() as u64),
            Content::Stream(body) => body.size(),
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => {
                let slice = bytes.split_to(bytes.len().min(SLICE));
                Poll::Ready(Some(Ok(slice)))
            }
            Content::Stream(body) => Pin::new(body).poll_next(cx),
        }
    }
}
