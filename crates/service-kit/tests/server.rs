//! The server over real loopback: what every service gets without writing it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use prometheus_client::registry::Registry;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Routes, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A test that waits for this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Running {
    http: String,
    admin: String,
    readiness: Readiness,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn start(cors: Cors) -> Running {
    let server = Server::bind(Listen { http: LOCAL, https: None, admin: LOCAL }).unwrap();
    let (http, admin) = (server.http_addr(), server.admin_addr());
    let routes = Routes::new(|config| {
        config.app_data(service_kit::problem::json_config(64)).service(
            web::resource("/things")
                .route(web::get().to(|| async { "all" }))
                .route(web::post().to(|_: web::Json<Vec<u8>>| async { HttpResponse::Created().finish() }))
                .route(web::route().guard(actix_web::guard::Options()).to(|| async {
                    HttpResponse::NoContent().insert_header(("accept-post", "x/y")).finish()
                })),
        );
    });
    let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
    let served = tokio::spawn(server.serve(
        vec![routes],
        cors,
        readiness.clone(),
        Registry::default(),
        shutdown.clone(),
        Duration::from_secs(1),
    ));
    Running { http: format!("http://{http}"), admin: format!("http://{admin}"), readiness, shutdown, served }
}

#[tokio::test]
async fn errors_that_no_handler_wrote_are_problems() {
    let running = start(Cors::Any);
    let client = reqwest::Client::new();
    let things = format!("{}/things", running.http);
    let big = format!("[{}1]", "1,".repeat(64));
    let requests = [
        (404, client.get(format!("{}/nothing", running.http))),
        (405, client.delete(&things)),
        (415, client.post(&things).body("[]")),
        (400, client.post(&things).header("content-type", "application/json").body("{")),
        (413, client.post(&things).header("content-type", "application/json").body(big)),
    ];
    for (status, request) in requests {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: contract::problem::Problem = response.json().await.unwrap();
        assert_eq!(problem.status, status);
    }
    running.shutdown.cancel();
    running.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused_and_its_connection_closed() {
    let running = start(Cors::Any);
    let address = running.http.strip_prefix("http://").unwrap();
    let head = |method: &str, path: &str, more: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}\r\n")
    };
    let chunked = "transfer-encoding: chunked\r\n";
    let upgrade = "transfer-encoding: chunked\r\nconnection: upgrade\r\nupgrade: x\r\n";
    // One that is read, one that a handler answers without it, one of no handler at all.
    let mut waiting = Vec::new();
    for (request, body, status) in [
        (head("POST", "/things", "content-length: 60\r\n"), "[1,", 408),
        (head("POST", "/things", chunked), "3\r\n[1,\r\n", 408),
        (head("POST", "/things", upgrade), "3\r\n[1,\r\n", 408),
        (head("GET", "/things", chunked), "3\r\n[1,\r\n", 200),
        (head("POST", "/nothing", chunked), "3\r\n[1,\r\n", 404),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request}{body}").as_bytes()).await.unwrap();
        waiting.push((request, status, stream));
    }
    for (request, status, mut stream) in waiting {
        let mut answer = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer));
        read.await.unwrap_or_else(|_| panic!("open after: {request}")).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
    }
    running.shutdown.cancel();
    running.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn other_origins_are_answered_as_configured() {
    let running = start(Cors::Only(vec!["https://a.example".into()]));
    let client = reqwest::Client::new();
    let things = format!("{}/things", running.http);
    for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
        let response = client.get(&things).header("origin", origin).send().await.unwrap();
        assert_eq!(response.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
    // A plain OPTIONS is no preflight: the handler answers (RFC 9725 asks it of WHIP endpoints).
    let response = client.request(reqwest::Method::OPTIONS, &things).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["accept-post"]),
        (204, &"x/y".parse().unwrap())
    );
    running.shutdown.cancel();
    running.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_admin_port_tells_liveness_readiness_and_metrics() {
    let running = start(Cors::Any);
    let text = async |path: &str| {
        let response = reqwest::get(format!("{}{path}", running.admin)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(text("/livez").await, (200, "ok\n".into()));
    running.readiness.not_ready("database", "not reachable");
    assert_eq!(text("/readyz").await, (503, "database: not reachable\n".into()));
    running.readiness.ready("database");
    assert_eq!(text("/readyz").await, (200, "database: ok\n".into()));
    assert_eq!(text("/metrics").await, (200, "# EOF\n".into()));
    running.shutdown.cancel();
    running.served.await.unwrap().unwrap();
}

#[test]
fn a_taken_port_names_its_setting() {
    let first = Server::bind(Listen { http: LOCAL, https: None, admin: LOCAL }).unwrap();
    let error = Server::bind(Listen { http: LOCAL, https: None, admin: first.admin_addr() }).unwrap_err();
    assert!(error.to_string().contains("`admin_port`"), "{error}");
}

#[tokio::test]
async fn an_error_page_that_a_handler_wrote_stays() {
    let server = Server::bind(Listen { http: LOCAL, https: None, admin: LOCAL }).unwrap();
    let url = format!("http://{}/page", server.http_addr());
    let routes = Routes::new(|config| {
        let page =
            || async { HttpResponse::NotFound().content_type("text/html; charset=utf-8").body("<p>no") };
        config.route("/page", web::get().to(page));
    });
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(server.serve(
        vec![routes],
        Cors::Any,
        Readiness::default(),
        Registry::default(),
        shutdown.clone(),
        Duration::from_secs(1),
    ));
    let response = reqwest::get(url).await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (404, "<p>no"));
    shutdown.cancel();
    served.await.unwrap().unwrap();
}
