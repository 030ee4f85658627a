//! The server over real loopback: what every service gets without writing it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use prometheus_client::registry::Registry;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Readiness, Routes, Server};

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
