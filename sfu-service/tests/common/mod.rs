//! What the tests share: an SFU on real sockets of the loopback, and a meta service that answers as it is told.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use contract::group::{Admission, Group, GroupOrder, Metadata, OpenGroup, OpenedGroup, PutRules, RoomRules};
use contract::id::BroadcastId;
use contract::rest::{Admitted, Broadcast, CloseOrder, NodeOrders, NodeReport, Status};
use contract::token::TokenKeys;
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Server};
use sfu_service::{Config, SfuService};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const KEY: &str = "sk_0123456789012345678901";
/// Long enough for a busy machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the meta service of a test knows.
#[derive(Debug, Default)]
pub(crate) struct MetaState {
    /// Status of each broadcast; one that is not here does not exist.
    pub(crate) broadcasts: HashMap<i64, Status>,
    /// Orders for the next reports, repeated until they are taken out.
    pub(crate) orders: Vec<CloseOrder>,
    /// Orders for groups, likewise.
    pub(crate) group_orders: Vec<GroupOrder>,
    /// The rules that are stored of each group.
    pub(crate) rules: HashMap<String, RoomRules>,
    /// How many rooms were opened by who held none: the epoch of the last. Every group exists.
    pub(crate) opened: i64,
    /// Where the home of every room is, if that is another node.
    pub(crate) elsewhere: Option<String>,
    /// Nothing is stored.
    pub(crate) is_full: bool,
    /// The last report.
    pub(crate) report: Option<NodeReport>,
}

/// A meta service with the bodies of the contract.
#[derive(Clone)]
pub(crate) struct Meta {
    pub(crate) state: Arc<Mutex<MetaState>>,
    address: SocketAddr,
    stop: Arc<dyn Fn() + Send + Sync>,
}

impl Meta {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(MetaState::default()));
        let data = web::Data::from(state.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/internal/broadcasts/{id}/admit", web::post().to(admit))
                .route("/internal/nodes/{node}/report", web::post().to(report))
                .route("/internal/groups/{id}/open", web::post().to(open))
                .route("/internal/groups/{id}/rules", web::put().to(rules))
                .route("/broadcasts/{id}", web::get().to(broadcast))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let stop = Arc::new(move || drop(handle.stop(false)));
        Self { state, address, stop }
    }

    pub(crate) fn set(&self, broadcast: i64, status: Status) {
        self.state.lock().unwrap().broadcasts.insert(broadcast, status);
    }

    pub(crate) fn order(&self, order: CloseOrder) {
        self.state.lock().unwrap().orders.push(order);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a report satisfies `wanted`.
    pub(crate) async fn reported(&self, wanted: impl Fn(&NodeReport) -> bool) -> NodeReport {
        eventually("a report", || self.state.lock().unwrap().report.clone().filter(|report| wanted(report)))
            .await
    }
}

async fn admit(state: web::Data<Mutex<MetaState>>, id: web::Path<i64>, body: String) -> HttpResponse {
    let body: contract::rest::AdmitPublisher = serde_json::from_str(&body).unwrap();
    let status = state.lock().unwrap().broadcasts.get(&id).copied();
    match status {
        None => HttpResponse::NotFound().finish(),
        Some(_) if body.stream_key != KEY => HttpResponse::Unauthorized().finish(),
        Some(Status::Closed) => HttpResponse::Conflict().finish(),
        Some(_) => HttpResponse::Ok().json(Admitted { broadcast_id: BroadcastId(*id), key_revision: 1 }),
    }
}

async fn report(state: web::Data<Mutex<MetaState>>, body: web::Json<NodeReport>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    state.report = Some(body.into_inner());
    HttpResponse::Ok().json(NodeOrders { close: state.orders.clone(), groups: state.group_orders.clone() })
}

async fn open(
    state: web::Data<Mutex<MetaState>>,
    id: web::Path<String>,
    asked: web::Json<OpenGroup>,
) -> HttpResponse {
    let mut state = state.lock().unwrap();
    if let Some(url) = &state.elsewhere {
        return HttpResponse::Conflict().insert_header(("Location", url.as_str())).finish();
    }
    state.opened += i64::from(asked.epoch != Some(state.opened));
    let group = Group {
        id: id.parse().unwrap(),
        name: String::new(),
        max_participants: 100,
        admission: Admission::Link,
        metadata: Metadata::default(),
        created_at: chrono::Utc::now(),
        modified_at: chrono::Utc::now(),
    };
    let rules = state.rules.get(id.as_str()).cloned().unwrap_or_default();
    HttpResponse::Ok().json(OpenedGroup { group, version: 1, epoch: state.opened, rules })
}

async fn rules(
    state: web::Data<Mutex<MetaState>>,
    id: web::Path<String>,
    body: web::Json<PutRules>,
) -> HttpResponse {
    let mut state = state.lock().unwrap();
    if state.is_full {
        return HttpResponse::ServiceUnavailable().finish();
    }
    if body.epoch != state.opened {
        return HttpResponse::Conflict().finish();
    }
    state.rules.insert(id.into_inner(), body.into_inner().rules);
    HttpResponse::NoContent().finish()
}

async fn broadcast(state: web::Data<Mutex<MetaState>>, id: web::Path<i64>) -> HttpResponse {
    let Some(status) = state.lock().unwrap().broadcasts.get(&id).copied() else {
        return HttpResponse::NotFound().finish();
    };
    HttpResponse::Ok().json(Broadcast {
        id: BroadcastId(*id),
        name: String::new(),
        description: String::new(),
        status,
        viewer_count: 0,
        started_at: None,
        ended_at: None,
        planned_at: None,
        created_at: chrono::Utc::now(),
        modified_at: chrono::Utc::now(),
    })
}

/// A running SFU with its HTTP and admin ports.
pub(crate) struct Sfu {
    pub(crate) base: String,
    pub(crate) admin: String,
    pub(crate) service: Arc<SfuService>,
    pub(crate) meta: Meta,
    pub(crate) http: reqwest::Client,
    stop: CancellationToken,
}

impl Sfu {
    /// In the development mode, with two shards.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let meta = Meta::start();
        let mut config = Config {
            dev: true,
            media_bind: [127, 0, 0, 1].into(),
            media_port: 0,
            shards: 2,
            meta_url: meta.url(),
            // Nobody listens there: signaling is away in these tests.
            signaling_url: "ws://127.0.0.1:9/streaming".into(),
            token_secret: Secret::new(SECRET.into()),
            ..Config::default()
        };
        change(&mut config);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(Listen { http: any, https: None, admin: any }).unwrap();
        let base = format!("http://{}", server.http_addr());
        let admin = format!("http://{}", server.admin_addr());
        let (mut registry, readiness) = (Registry::default(), Readiness::default());
        let cors = Cors::new(config.dev, &config.allowed_origins);
        let service = Arc::new(SfuService::start(config, &mut registry, readiness.clone()).await.unwrap());
        let stop = CancellationToken::new();
        let serving = server.serve(
            vec![service.routes()],
            cors,
            readiness,
            registry,
            stop.clone(),
            Duration::from_secs(1),
        );
        tokio::spawn(async move { serving.await.unwrap() });
        Self { base, admin, service, meta, http: reqwest::Client::new(), stop }
    }

    pub(crate) async fn post(&self, path: &str, bearer: Option<&str>, offer: &str) -> reqwest::Response {
        let request =
            self.http.post(format!("{}{path}", self.base)).header("content-type", "application/sdp");
        let request = match bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        };
        request.body(offer.to_owned()).send().await.unwrap()
    }

    /// As [`Sfu::post`], again while nobody publishes: a publisher knows that it is connected a moment before everybody
    /// else does.
    pub(crate) async fn post_when_live(
        &self,
        path: &str,
        bearer: Option<&str>,
        offer: &str,
    ) -> reqwest::Response {
        let opened = async {
            loop {
                let response = self.post(path, bearer, offer).await;
                if response.status().as_u16() != 409 {
                    return response;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, opened).await.expect("nobody publishes")
    }

    /// Waits until a metric without labels, which only grows, is at least `least`.
    pub(crate) async fn metric_reaches(&self, name: &str, least: u64) {
        let reached = async {
            while self.metric(name).await < least {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{name} stays below {least}"));
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text =
            self.http.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().unwrap()
    }
}

impl Drop for Sfu {
    fn drop(&mut self) {
        self.stop.cancel();
        (self.meta.stop)();
    }
}

pub(crate) fn keys() -> TokenKeys {
    TokenKeys::new(SECRET, None).unwrap()
}

/// Looks again and again until `look` finds something: conditions of other threads have no event to wait for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// An offer of one audio and one video m-line, as a browser writes it, in `direction`.
pub(crate) fn offer(direction: &str) -> String {
    let transport = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
        10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
        a=setup:actpass\r\na=rtcp-mux\r\na=rtcp-rsize\r\n";
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:0\r\na={direction}\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:1\r\na={direction}\r\n\
         a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
         a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    )
}
