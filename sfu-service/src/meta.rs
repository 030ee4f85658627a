//! The meta service as this node sees it: admission of publishers, the catalogue, the rooms of groups, and the report of
//! each second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use contract::group::{OpenGroup, OpenedGroup, OpeningId, PutRules};
use contract::id::{BroadcastId, GroupId, NodeId};
use contract::rest::{AdmitPublisher, Admitted, Broadcast, NodeOrders, NodeReport, Status};
use contract::token::TokenKeys;
use rand::RngExt as _;
use reqwest::{StatusCode, header};

/// Longest wait for an answer of meta. A publisher waits for it, so it is short: meta answers within 2.5 s even
/// when its database is lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a connection to meta.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The name in this service's tokens.
const SERVICE_NAME: &str = "sfu";

/// Why meta did not say yes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetaError {
    /// The key does not fit the broadcast.
    #[error("the stream key does not belong to this broadcast")]
    Unauthorized,
    /// There is no such broadcast.
    #[error("there is no such broadcast")]
    NotFound,
    /// The broadcast is over.
    #[error("the broadcast is closed")]
    Closed,
    /// Another node is the home of the room by now.
    #[error("this node is not the home of the room any more")]
    NotHome,
    /// Another node is the home of the room.
    #[error("another node is the home of the room")]
    Elsewhere {
        /// Where browsers reach it, if that is another origin than that of the pages.
        url: Option<String>,
    },
    /// No answer, or one that this node does not understand.
    #[error("meta is away: {0}")]
    Away(String),
}

/// Client of the meta service.
#[derive(Debug, Clone)]
pub(crate) struct MetaClient {
    http: reqwest::Client,
    base: String,
    node: NodeId,
    /// Where browsers reach this node.
    public_url: String,
    keys: TokenKeys,
    /// This process, to meta: a node that started anew holds no rooms.
    process: String,
    openings: Arc<AtomicI64>,
}

impl MetaClient {
    /// A client of the service at `base` (no trailing slash needed) that speaks as `node`.
    pub(crate) fn new(
        base: &str,
        node: NodeId,
        public_url: &str,
        keys: TokenKeys,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // Meta is this cluster's own: a proxy of the environment has no part in it.
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            node,
            public_url: public_url.to_owned(),
            keys,
            process: format!("{:032x}", rand::rng().random::<u128>()),
            openings: Arc::default(),
        })
    }

    /// May the holder of `stream_key` publish to `broadcast`?
    pub(crate) async fn admit(
        &self,
        broadcast: BroadcastId,
        stream_key: &str,
    ) -> Result<Admitted, MetaError> {
        let url = format!("{}/internal/broadcasts/{broadcast}/admit", self.base);
        let body = AdmitPublisher { stream_key: stream_key.to_owned(), node_id: self.node.clone() };
        let answer = self.http.post(url).bearer_auth(self.token()).json(&body).send().await.map_err(away)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(away),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(MetaError::Unauthorized),
            StatusCode::NOT_FOUND => Err(MetaError::NotFound),
            StatusCode::CONFLICT | StatusCode::GONE => Err(MetaError::Closed),
            other => Err(MetaError::Away(format!("admit answered {other}"))),
        }
    }

    /// The status of `broadcast`.
    pub(crate) async fn status(&self, broadcast: BroadcastId) -> Result<Status, MetaError> {
        let url = format!("{}/broadcasts/{broadcast}", self.base);
        let answer = self.http.get(url).send().await.map_err(away)?;
        match answer.status() {
            StatusCode::OK => Ok(answer.json::<Broadcast>().await.map_err(away)?.status),
            StatusCode::NOT_FOUND => Err(MetaError::NotFound),
            other => Err(MetaError::Away(format!("GET answered {other}"))),
        }
    }

    /// This node becomes the home of the room of `group`, or says that it is, by holding `epoch` of it.
    pub(crate) async fn open_group(
        &self,
        group: &GroupId,
        epoch: Option<i64>,
    ) -> Result<OpenedGroup, MetaError> {
        let url = format!("{}/internal/groups/{group}/open", self.base);
        let number = self.openings.fetch_add(1, Ordering::Relaxed);
        let opening = Some(OpeningId { process: self.process.clone(), number });
        let (node_id, public_url) = (self.node.clone(), self.public_url.clone());
        let body = OpenGroup { node_id, public_url, opening, epoch };
        let answer = self.http.post(url).bearer_auth(self.token()).json(&body).send().await.map_err(away)?;
        let location = answer.headers().get(header::LOCATION).and_then(|url| url.to_str().ok());
        let location = location.filter(|url| !url.is_empty()).map(str::to_owned);
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(away),
            StatusCode::NOT_FOUND => Err(MetaError::NotFound),
            StatusCode::CONFLICT => Err(MetaError::Elsewhere { url: location }),
            other => Err(MetaError::Away(format!("open answered {other}"))),
        }
    }

    /// Stores the rules of the room of `group`. To send the same again does no harm.
    pub(crate) async fn put_rules(&self, group: &GroupId, put: &PutRules) -> Result<(), MetaError> {
        let url = format!("{}/internal/groups/{group}/rules", self.base);
        let answer = self.http.put(url).bearer_auth(self.token()).json(put).send().await.map_err(away)?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::NOT_FOUND => Err(MetaError::NotFound),
            StatusCode::CONFLICT => Err(MetaError::NotHome),
            other => Err(MetaError::Away(format!("rules answered {other}"))),
        }
    }

    /// Sends the report of this second; the answer are meta's orders.
    pub(crate) async fn report(&self, report: &NodeReport) -> Result<NodeOrders, MetaError> {
        let url = format!("{}/internal/nodes/{}/report", self.base, self.node);
        let answer = self.http.post(url).bearer_auth(self.token()).json(report).send().await.map_err(away)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(away),
            other => Err(MetaError::Away(format!("the report was answered {other}"))),
        }
    }

    fn token(&self) -> String {
        self.keys.mint_service(SERVICE_NAME, service_kit::unix_now())
    }
}

fn away(error: reqwest::Error) -> MetaError {
    // The URL is left out: it says nothing that the settings do not, and it names a broadcast.
    MetaError::Away(error.without_url().to_string())
}
