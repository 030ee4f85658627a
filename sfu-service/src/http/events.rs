//! What a publisher is asked for, as server-sent events: an extension of WHIP that the `Link` of the answer names.
//!
//! ```text
//! GET /whip/{broadcast}/{session}/events   text/event-stream
//! ```
//! The first event comes at once, the next ones with each change; the stream ends with the session.

use std::time::Duration;

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse, http::header};
use contract::layer::{ENCODINGS_EVENT, EncodingsWanted};
use service_kit::HttpProblem;
use tokio::sync::watch;

use super::session::find;
use crate::node::{Node, Resource};

/// A comment is sent this often when nothing happens: proxies close what is silent, and a client that has gone
/// without a word is found out.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET`.
pub(super) async fn get(
    node: Data<Node>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpProblem> {
    let (id, _) = find(&node, Resource::Whip, &path, &request)?;
    let no_session = || HttpProblem::not_found("there is no such session, or it has ended");
    let mut wanted = node.encodings_wanted(&id).ok_or_else(no_session)?;
    wanted.mark_changed();
    let events = futures_util::stream::unfold(wanted, |mut wanted| async move {
        let chunk = next(&mut wanted).await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), wanted))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Said so that no middleware compresses it: a compressor waits for more before it sends.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .streaming(events))
}

/// The next event or comment; `None` when the session has ended.
async fn next(wanted: &mut watch::Receiver<EncodingsWanted>) -> Option<Bytes> {
    match tokio::time::timeout(KEEP_ALIVE, wanted.changed()).await {
        Ok(Ok(())) => {
            let data = serde_json::to_string(&*wanted.borrow_and_update()).ok()?;
            Some(Bytes::from(format!("event: {ENCODINGS_EVENT}\ndata: {data}\n\n")))
        }
        Ok(Err(_)) => None,
        Err(_) => Some(Bytes::from_static(b":\n\n")),
    }
}
