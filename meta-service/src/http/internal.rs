//! `/internal/...`: for other services, with a service token; an ingress does not route it.

use std::collections::{HashMap, HashSet};

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use contract::id::{BroadcastId, NodeId};
use contract::key::SecretKey;
use contract::rest::{
    AdmitPublisher, Admitted, CloseOrder, CloseReason, MediaReport, NodeOrders, NodeReport, RoomsReport,
    Status,
};
use service_kit::HttpProblem;

use super::{Answer, State, body, broadcasts};
use crate::lifecycle;
use crate::store::{Record, Seen};

/// `POST /internal/broadcasts/{id}/admit`: may this key publish? Answers 200, 401, 404 or 409.
pub(crate) async fn admit(request: HttpRequest, state: State, payload: Payload) -> Answer {
    state.caller(&request)?.service()?;
    let asked: AdmitPublisher = body::json(&request, payload, body::MAX_BODY).await?;
    let record = broadcasts::find(&request, &state).await?;
    let key: Option<SecretKey> = asked.stream_key.parse().ok();
    if key.is_none_or(|key| key.hash() != record.key) {
        return Err(HttpProblem::unauthorized("the stream key is not valid"));
    }
    if record.broadcast.status == Status::Closed {
        return Err(HttpProblem::conflict("the broadcast is closed"));
    }
    let admitted = Admitted { broadcast_id: record.broadcast.id, key_revision: record.key_revision };
    Ok(HttpResponse::Ok().json(admitted))
}

/// `POST /internal/nodes/{node}/report`: what the node's publishers do; answers with what it has to end.
pub(crate) async fn node(request: HttpRequest, state: State, payload: Payload) -> Answer {
    state.caller(&request)?.service()?;
    let node: NodeId = request
        .match_info()
        .query("node")
        .parse()
        .map_err(|error| HttpProblem::bad_request(format!("node: {error}")))?;
    let report: NodeReport = body::json(&request, payload, body::MAX_REPORT).await?;
    let now = state.clock.now();
    state.announce_node(node, report.public_url, now);

    let reported = report.broadcasts.iter().map(|media| media.broadcast_id);
    let ids: HashSet<BroadcastId> = reported.chain(report.watched.iter().copied()).collect();
    let found = state.store.broadcasts(ids.into_iter().collect()).await;
    let found = found.map_err(|error| state.failed(&error))?;
    let mut records: HashMap<BroadcastId, Record> =
        found.into_iter().map(|record| (record.broadcast.id, record)).collect();

    let mut orders = NodeOrders::default();
    let mut seen: Vec<Seen> = Vec::new();
    for media in &report.broadcasts {
        let record = records.get(&media.broadcast_id).cloned();
        let decide = |record: Option<&Record>| lifecycle::media(record, media, now);
        let verdict = state.settle(media.broadcast_id, record, decide).await;
        let verdict = verdict.map_err(|error| state.failed(&error))?;
        if let (Some(change), Some(record)) = (&verdict.change, records.get_mut(&media.broadcast_id)) {
            record.broadcast.status = change.status;
        }
        order(&mut orders, media, verdict.order);
        seen.extend(verdict.seen);
    }
    state.store.touch(seen, now).await.map_err(|error| state.failed(&error))?;
    for id in report.watched {
        let over = records.get(&id).is_none_or(|record| record.broadcast.status == Status::Closed);
        if over && !orders.close.iter().any(|order| order.broadcast_id == id) {
            orders.close.push(CloseOrder { broadcast_id: id, reason: CloseReason::Closed });
        }
    }
    Ok(HttpResponse::Ok().json(orders))
}

fn order(orders: &mut NodeOrders, media: &MediaReport, reason: Option<CloseReason>) {
    if let Some(reason) = reason {
        orders.close.push(CloseOrder { broadcast_id: media.broadcast_id, reason });
    }
}

/// `POST /internal/rooms/report`: viewers and peer-to-peer streamers, as signaling counts them. Answers 204; the
/// catalogue has it within a second.
pub(crate) async fn rooms(request: HttpRequest, state: State, payload: Payload) -> Answer {
    state.caller(&request)?.service()?;
    let report: RoomsReport = body::json(&request, payload, body::MAX_REPORT).await?;
    if report.replica.is_empty() || report.replica.len() > contract::room::MAX_NAME_LEN {
        return Err(HttpProblem::bad_request("replica has 1 to 128 bytes"));
    }
    state.counts().report(&report, state.clock.now());
    Ok(HttpResponse::NoContent().finish())
}
