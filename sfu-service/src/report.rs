//! The report of each second to meta, and the orders that come back. Level-triggered: a report that is lost costs
//! nothing, the next one says the same.

use std::sync::Arc;
use std::time::Duration;

use contract::rest::NodeReport;
use service_kit::shutdown::CancellationToken;

use crate::node::Node;

/// Reports at most this far apart.
const INTERVAL: Duration = Duration::from_secs(1);
/// Reports at least this far apart, however much changes.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Reports until `stop`.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut away = false;
    loop {
        once(&node, &mut away).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
            () = node.report_now.notified() => tokio::time::sleep(MIN_INTERVAL).await,
        }
    }
}

/// Sends one report and carries out the orders.
pub(crate) async fn once(node: &Node, away: &mut bool) {
    let (broadcasts, watched) = node.registry().report();
    let groups = node.group_reports();
    let (public_url, leaving) = (node.config.public_url.clone(), node.is_draining());
    let report = NodeReport { public_url, broadcasts, watched, groups, leaving };
    match node.meta.report(&report).await {
        Ok(orders) => {
            if std::mem::take(away) {
                tracing::info!("the meta service is back");
            }
            let removals = {
                let mut registry = node.registry();
                registry.reported(&report.broadcasts);
                let mut removals = Vec::new();
                for order in &orders.close {
                    tracing::debug!(room.id = %order.broadcast_id, reason = ?order.reason, "order from meta");
                    removals.extend(registry.order(order, &report.broadcasts));
                }
                removals
            };
            if !removals.is_empty() {
                node.remove(removals);
            }
            orders.groups.iter().for_each(|order| node.group_order(order));
        }
        Err(error) => {
            node.metrics.report_failures.inc();
            // Once an outage, not once a second.
            if !std::mem::replace(away, true) {
                tracing::warn!(%error, "the meta service is away: media plays on, nobody new is admitted");
            }
        }
    }
}
