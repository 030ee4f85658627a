//! A running meta service for a test, and what tests ask it.

pub(crate) mod postgres;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::token::{Grant, Role, TokenKeys};
use meta_service::{Clock, Config, Deps, MetaService};
use prometheus_client::registry::Registry;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use service_kit::config::Secret;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Options, Readiness, Server};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TURN_SECRET: &str = "north";

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// Runs each of the named `async fn(Backend)` on both databases, as tests of their own.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Backend::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Backend::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// An empty database, kept until dropped.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    pub(crate) async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = folder.path().join("meta.db").to_str().unwrap().to_owned();
                Self { url, _folder: Some(folder) }
            }
            Backend::Postgres => Self::at(postgres::shared().await.new_database().await),
        }
    }

    /// Runs statements from outside, on a connection of their own.
    pub(crate) async fn run(&self, statements: &str) {
        let statements = sqlx::AssertSqlSafe(statements.to_owned());
        if self.url.starts_with("postgres:") {
            let pool = sqlx::PgPool::connect(&self.url).await.unwrap();
            sqlx::raw_sql(statements).execute(&pool).await.unwrap();
            pool.close().await;
        } else {
            let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", self.url)).await.unwrap();
            sqlx::raw_sql(statements).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }

    /// One that somebody else keeps.
    pub(crate) fn at(url: String) -> Self {
        Self { url, _folder: None }
    }
}

/// A clock that stands still until it is turned.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Utc::now().timestamp_millis())))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn turn(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

/// A running service.
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) admin: String,
    pub(crate) clock: HandClock,
    pub(crate) meta: MetaService,
    pub(crate) database: Database,
    client: Client,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// The settings of most tests: dev mode, no rate limit worth the name.
pub(crate) fn config() -> Config {
    Config {
        dev: true,
        token_secret: Secret::new(SECRET.into()),
        turn_secret: Secret::new(TURN_SECRET.into()),
        turn_urls: vec!["turn:{host}:3478?transport=udp".into()],
        stun_urls: vec!["stun:stun.example:3478".into()],
        create_per_minute: 100_000,
        tokens_per_minute: 100_000,
        searches_per_minute: 100_000,
        connections: 4,
        allowed_origins: vec!["https://pages.example".into()],
        ..Config::default()
    }
}

impl Api {
    /// In dev mode on an empty database.
    pub(crate) async fn dev(backend: Backend) -> Self {
        Self::with(Database::new(backend).await, config()).await
    }

    /// In production mode on an empty database.
    pub(crate) async fn production(backend: Backend) -> Self {
        Self::with(Database::new(backend).await, Config { dev: false, ..config() }).await
    }

    /// With these settings, on this database.
    pub(crate) async fn with(database: Database, config: Config) -> Self {
        let loopback = "127.0.0.1:0".parse().unwrap();
        // Tests speak for other addresses as a proxy does.
        let options =
            Options { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..Options::default() };
        let server =
            Server::bind(Listen { http: loopback, https: None, admin: loopback }).unwrap().with(options);
        let base = format!("http://{}", server.http_addr());
        let admin = format!("http://{}", server.admin_addr());
        let clock = HandClock::new();
        let told = clock.clone();
        let (mut registry, readiness) = (Registry::default(), Readiness::default());
        let cors = Cors::new(config.dev, &config.allowed_origins);
        let config = Config { database: Secret::new(database.url.clone()), ..config };
        let deps = Deps {
            registry: &mut registry,
            readiness: readiness.clone(),
            clock: Clock::new(move || told.now()),
        };
        let meta = MetaService::start(config, deps).await.unwrap();
        let stop = CancellationToken::new();
        let grace = Duration::from_secs(5);
        let routes = vec![meta.routes()];
        let server = tokio::spawn(server.serve(routes, cors, readiness, registry, stop.clone(), grace));
        let client =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, admin, clock, meta, database, client, stop, server }
    }

    /// Stops it in the order of the binary; the database stays.
    pub(crate) async fn stop(self) -> Database {
        self.stop.cancel();
        self.server.await.unwrap().unwrap();
        self.meta.drain(Duration::from_secs(2)).await;
        self.database
    }

    /// Lets this many seconds pass, with a sweep at each.
    pub(crate) async fn pass(&self, seconds: u32) {
        for _ in 0..seconds {
            self.clock.turn(TimeDelta::seconds(1));
            self.meta.sweep().await;
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Creates a broadcast (with an admin token, which works in both modes): its id and owner key.
    pub(crate) async fn create(&self, name: &str) -> (i64, String) {
        let made = self.created(name).await;
        (made.id, made.owner_key)
    }

    /// The same, with both keys.
    pub(crate) async fn created(&self, name: &str) -> Created {
        let body = json!({ "name": name, "description": "" });
        let made = ask(self.post("/broadcasts").bearer_auth(self.token(Role::Admin)).json(&body)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        serde_json::from_value(made.json()).unwrap()
    }

    /// The broadcast as everybody sees it.
    pub(crate) async fn broadcast(&self, id: i64) -> Value {
        let answer = ask(self.get(&format!("/broadcasts/{id}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// How often the stream key was set, as stored.
    pub(crate) async fn stored_revision(&self, id: i64) -> i64 {
        let store = meta_service::store::Store::open(&self.database.url, 1).await.unwrap();
        store.broadcasts.find(contract::id::BroadcastId(id)).await.unwrap().unwrap().key_revision
    }

    /// A token of this role for the subject `tester`.
    pub(crate) fn token(&self, role: Role) -> String {
        self.token_of("tester", role)
    }

    pub(crate) fn token_of(&self, subject: &str, role: Role) -> String {
        let now = u64::try_from(self.clock.now().timestamp()).unwrap();
        TokenKeys::new(SECRET, None).unwrap().mint(subject, role, now, 300)
    }

    /// A join token of a room.
    pub(crate) fn join(&self, room: &str, grants: &[Grant]) -> String {
        let role = Role::Join { room: room.parse().unwrap(), grants: grants.to_vec(), name: None };
        self.token_of("par_tester", role)
    }

    /// A POST to `/internal` as another service; the answer must be a success.
    pub(crate) async fn report(&self, path: &str, body: &Value) -> Value {
        let answer = ask(self.post(path).bearer_auth(self.token(Role::Service)).json(body)).await;
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.text);
        if answer.text.is_empty() { Value::Null } else { answer.json() }
    }
}

/// What a creation answers, as far as tests need it.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Created {
    pub(crate) id: i64,
    pub(crate) stream_key: String,
    pub(crate) owner_key: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

/// Sends a request.
pub(crate) async fn ask(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap().to_vec();
    Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned(), bytes }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem with `status`.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
        if status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer"));
        }
    }
}
