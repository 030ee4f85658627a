//! `/internal/...`: for other services, with a service token; an ingress does not route it.

use std::collections::{HashMap, HashSet};

use actix_web::HttpResponse;
use contract::id::{BroadcastId, NodeId};
use contract::key::SecretKey;
use contract::rest::{
    AdmitPublisher, Admitted, CloseOrder, CloseReason, MediaReport, NodeOrders, NodeReport, RoomsReport,
    Status,
};
use service_kit::HttpProblem;

use super::extract::{Json, Meta, Path, Report, Service};
use super::failure::Answer;
use super::{broadcasts, homes};
use crate::record::{Record, Seen};
use crate::{counts, lifecycle};

/// `POST /internal/broadcasts/{id}/admit`: may this key publish? Answers 200, 401, 404 or 409.
pub(crate) async fn admit(
    meta: Meta,
    _: Service,
    Path(id): Path<BroadcastId>,
    Json(asked): Json<AdmitPublisher>,
) -> Answer {
    let record = broadcasts::find(&meta, id).await?;
    let key: Option<SecretKey> = asked.stream_key.parse().ok();
    if key.is_none_or(|key| key.hash() != record.key) {
        return Err(HttpProblem::unauthorized("the stream key is not valid").into());
    }
    if record.broadcast.status == Status::Closed {
        return Err(HttpProblem::conflict("the broadcast is closed").into());
    }
    let admitted = Admitted { broadcast_id: record.broadcast.id, key_revision: record.key_revision };
    Ok(HttpResponse::Ok().json(admitted))
}

/// `POST /internal/nodes/{node}/report`: what the node's publishers do; answers with what it has to end.
pub(crate) async fn node(
    meta: Meta,
    _: Service,
    Path(node): Path<NodeId>,
    Report(report): Report<NodeReport>,
) -> Answer {
    let now = meta.clock.now();
    meta.announce_node(node.clone(), report.public_url.clone(), now);

    let reported = report.broadcasts.iter().map(|media| media.broadcast_id);
    let ids: HashSet<BroadcastId> = reported.chain(report.watched.iter().copied()).collect();
    let found = meta.store.broadcasts.find_all(ids.into_iter().collect()).await?;
    let mut records: HashMap<BroadcastId, Record> =
        found.into_iter().map(|record| (record.broadcast.id, record)).collect();

    let mut orders = NodeOrders::default();
    let mut seen: Vec<Seen> = Vec::new();
    for media in &report.broadcasts {
        let record = records.get(&media.broadcast_id);
        let decide = |record: Option<&Record>| lifecycle::media(record, media, now);
        let outcome = meta.write(media.broadcast_id, record, decide).await?;
        if let (Some(change), Some(record)) = (&outcome.change, records.get_mut(&media.broadcast_id)) {
            record.broadcast.status = change.status;
        }
        order(&mut orders, media, outcome.order);
        seen.extend(outcome.seen);
    }
    meta.store.broadcasts.touch(seen, now).await?;
    for id in report.watched.iter().copied() {
        let over = records.get(&id).is_none_or(|record| record.broadcast.status == Status::Closed);
        if over && !orders.close.iter().any(|order| order.broadcast_id == id) {
            orders.close.push(CloseOrder { broadcast_id: id, reason: CloseReason::Closed });
        }
    }
    orders.groups = homes::orders(&meta, &node, &report, now).await?;
    Ok(HttpResponse::Ok().json(orders))
}

fn order(orders: &mut NodeOrders, media: &MediaReport, reason: Option<CloseReason>) {
    if let Some(reason) = reason {
        orders.close.push(CloseOrder { broadcast_id: media.broadcast_id, reason });
    }
}

/// `POST /internal/rooms/report`: viewers and peer-to-peer streamers, as signaling counts them. Answers 204 when they
/// are stored; the catalogue has the counts a second later.
pub(crate) async fn rooms(meta: Meta, _: Service, Report(report): Report<RoomsReport>) -> Answer {
    if report.replica.is_empty() || report.replica.len() > contract::room::MAX_NAME_LEN {
        return Err(HttpProblem::bad_request("replica has 1 to 128 bytes").into());
    }
    let parts = report.rooms.iter().filter_map(counts::reported).collect();
    meta.store.viewers.put(&report.replica, parts, meta.clock.of_test()).await?;
    Ok(HttpResponse::NoContent().finish())
}
