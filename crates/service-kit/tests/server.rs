//! The server over real loopback: what every service gets without writing it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use prometheus_client::registry::Registry;
use service_kit::shutdown::CancellationToken;
use service_kit::{Cors, Listen, Options, Readiness, Routes, Server, client};
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

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.unwrap().unwrap();
    }
}

fn start(cors: Cors) -> Running {
    let server = Server::bind(Listen { http: LOCAL, https: None, admin: LOCAL }).unwrap();
    let routes = Routes::new(|config| {
        config.app_data(service_kit::body::json_config(64)).service(
            web::resource("/things")
                .route(web::get().to(|| async { "all" }))
                .route(web::post().to(|_: web::Json<Vec<u8>>| async { HttpResponse::Created().finish() }))
                .route(web::route().guard(actix_web::guard::Options()).to(|| async {
                    HttpResponse::NoContent().insert_header(("accept-post", "x/y")).finish()
                })),
        );
    });
    serve(server, cors, routes)
}

fn serve(server: Server, cors: Cors, routes: Routes) -> Running {
    let (http, admin) = (server.http_addr(), server.admin_addr());
    let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
    let grace = Duration::from_secs(1);
    let serving =
        server.serve(vec![routes], cors, readiness.clone(), Registry::default(), shutdown.clone(), grace);
    let served = tokio::spawn(serving);
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
    running.stop().await;
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
    running.stop().await;
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
    running.stop().await;
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
    let (status, index) = text("/").await;
    assert!(
        status == 200 && ["/livez", "/readyz", "/metrics"].iter().all(|path| index.contains(path)),
        "{index}"
    );
    let (status, metrics) = text("/metrics").await;
    assert_eq!(status, 200);
    for name in [
        "build_info{version=",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_max_fds ",
        "process_start_time_seconds ",
        "http_connections ",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name}: {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
    running.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_route_and_carry_an_id() {
    let running = start(Cors::Any);
    let client = reqwest::Client::new();
    for (path, sent) in [("/things", Some("abc-1.2_3")), ("/things", Some("two words")), ("/nothing/7", None)]
    {
        let request = client.get(format!("{}{path}", running.http));
        let request = sent.iter().fold(request, |request, id| request.header("x-request-id", *id));
        let answer = request.send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(Some(id) == sent, sent == Some("abc-1.2_3"), "{id}");
        assert!(!id.is_empty() && !id.contains(' '), "{id}");
    }
    let metrics = reqwest::get(format!("{}/metrics", running.admin)).await.unwrap().text().await.unwrap();
    for line in [
        "http_request_duration_seconds_count{method=\"GET\",route=\"/things\",status=\"200\"} 2",
        "http_request_duration_seconds_count{method=\"GET\",route=\"none\",status=\"404\"} 1",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line}: {metrics}");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_is_long_and_text_is_compressed_for_whoever_takes_it() {
    let server = Server::bind(Listen { http: LOCAL, https: None, admin: LOCAL }).unwrap();
    let base = format!("http://{}", server.http_addr());
    let answer = |kind: &'static str, length: usize| {
        move || async move { HttpResponse::Ok().content_type(kind).body("x".repeat(length)) }
    };
    let routes = Routes::new(move |config| {
        config
            .route("/long", web::get().to(answer("application/problem+json", 100_000)))
            .route("/short", web::get().to(answer("text/plain", 10)))
            .route("/picture", web::get().to(answer("image/jpeg", 100_000)))
            .route("/none", web::get().to(|| async { HttpResponse::NoContent().finish() }));
    });
    let running = serve(server, Cors::Any, routes);
    let client = reqwest::Client::new();
    for (path, accept, encoded, length) in [
        ("/long", "gzip, br", true, None),
        ("/long", "identity", false, Some("100000")),
        ("/long", "gzip;q=0", false, Some("100000")),
        ("/short", "gzip", false, Some("10")),
        ("/picture", "gzip", false, Some("100000")),
        ("/none", "gzip", false, None),
    ] {
        let answer =
            client.get(format!("{base}{path}")).header("accept-encoding", accept).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-encoding").is_some(), encoded, "{path} {accept}");
        if let Some(length) = length {
            assert_eq!(header("content-length").as_deref(), Some(length), "{path} {accept}");
        }
        if path == "/none" {
            assert_eq!(header("content-length"), None);
        } else if encoded {
            assert!(answer.bytes().await.unwrap().len() < 1_000, "{path} {accept}");
        }
    }
    running.stop().await;
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
    let running = serve(server, Cors::Any, routes);
    let response = reqwest::get(url).await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (404, "<p>no"));
    running.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_origin_is_the_clients_and_https_stays() {
    let options =
        Options { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], hsts: true, ..Options::default() };
    let server = Server::bind(Listen { http: LOCAL, https: None, admin: LOCAL }).unwrap().with(options);
    let url = format!("http://{}/who", server.http_addr());
    let routes = Routes::new(|config| {
        let who = |request: actix_web::HttpRequest| async move {
            format!("{} {}", client::address(&request), client::Origin::of(&request).http())
        };
        config.route("/who", web::get().to(who));
    });
    let running = serve(server, Cors::Any, routes);
    for (scheme, sent) in [("http", None), ("https", Some("max-age=31536000"))] {
        let answer = reqwest::Client::new()
            .get(&url)
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-forwarded-proto", scheme)
            .header("x-forwarded-host", "live.example")
            .send()
            .await
            .unwrap();
        let hsts =
            answer.headers().get("strict-transport-security").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(hsts.as_deref(), sent);
        assert_eq!(answer.text().await.unwrap(), format!("192.0.2.7 {scheme}://live.example"));
    }
    running.stop().await;
}

#[tokio::test]
async fn over_tls_a_request_is_secure_and_http_1() {
    let tls = service_kit::tls::self_signed(&["127.0.0.1".parse().unwrap()]).unwrap();
    let listen = Listen { http: LOCAL, https: Some((LOCAL, tls)), admin: LOCAL };
    let server = Server::bind(listen).unwrap().with(Options { hsts: true, ..Options::default() });
    let port = server.https_addr().unwrap().port();
    let routes = Routes::new(|config| {
        let who = |request: actix_web::HttpRequest| async move { client::Origin::of(&request).http() };
        config.route("/who", web::get().to(who));
    });
    let running = serve(server, Cors::Any, routes);
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let url = format!("https://127.0.0.1:{port}");
    let answer = client.get(format!("{url}/who")).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_11);
    assert!(answer.headers().contains_key("strict-transport-security"));
    assert_eq!(answer.text().await.unwrap(), url);
    running.stop().await;
}
