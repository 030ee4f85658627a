//! WHIP and WHEP at the HTTP level: statuses, headers and the life of a session's URL.

mod common;

use common::{KEY, Sfu, keys, offer};
use contract::rest::Status;
use contract::token::{Grant, Role};
use reqwest::{Method, Response, StatusCode};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Checks status and problem body, and returns the words.
async fn problem(response: Response, status: StatusCode) -> String {
    assert_eq!(response.status(), status, "{}", response.url());
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    let body: contract::problem::Problem = response.json().await.unwrap();
    assert_eq!(body.status, status.as_u16());
    body.detail.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_gets_an_answer_and_a_session() {
    let sfu = Sfu::with(|config| config.ice_urls = vec!["stun:192.0.2.1:3478".into()]).await;
    sfu.meta.set(1, Status::Ready);
    let response = sfu.post("/whip/1", Some(KEY), &offer("sendonly")).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "content-type"), "application/sdp");
    assert!(header(&response, "location").starts_with("/whip/1/ses_"), "relative location");
    assert_eq!(header(&response, "location").len(), "/whip/1/ses_".len() + 22, "128 bits");
    assert!(header(&response, "etag").starts_with('"'));
    assert_eq!(header(&response, "accept-patch"), "application/trickle-ice-sdpfrag");
    assert_eq!(header(&response, "link"), "<stun:192.0.2.1:3478>; rel=\"ice-server\"");
    let answer = response.text().await.unwrap();
    assert!(answer.contains("a=ice-lite") && answer.contains("a=setup:passive"), "{answer}");
    let port = sfu.service.media_addresses()[0].port();
    assert!(answer.contains(&format!(" 127.0.0.1 {port} typ host")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_refused_in_words() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    sfu.meta.set(2, Status::Closed);
    let good = offer("sendonly");

    let response = sfu.post("/whip/1", None, &good).await;
    assert!(header(&response, "www-authenticate").starts_with("Bearer"));
    problem(response, StatusCode::UNAUTHORIZED).await;
    problem(sfu.post("/whip/1", Some("x"), &good).await, StatusCode::UNAUTHORIZED).await;
    let other = "sk_9999999999999999999999";
    problem(sfu.post("/whip/1", Some(other), &good).await, StatusCode::UNAUTHORIZED).await;
    problem(sfu.post("/whip/9", Some(KEY), &good).await, StatusCode::NOT_FOUND).await;
    problem(sfu.post("/whip/x", Some(KEY), &good).await, StatusCode::NOT_FOUND).await;
    problem(sfu.post("/whip/2", Some(KEY), &good).await, StatusCode::CONFLICT).await;

    for bad in ["", "hello", "v=0\r\n", &good.replace("a=rtcp-mux\r\n", "")] {
        let words = problem(sfu.post("/whip/1", Some(KEY), bad).await, StatusCode::BAD_REQUEST).await;
        assert!(!words.is_empty());
    }
    problem(sfu.post("/whip/1", Some(KEY), &offer("recvonly")).await, StatusCode::NOT_ACCEPTABLE).await;
    // Half of it could be carried; a publisher is not left to find out which half.
    let hevc = good.replace("a=rtpmap:96 VP8", "a=rtpmap:96 H265");
    let words = problem(sfu.post("/whip/1", Some(KEY), &hevc).await, StatusCode::NOT_ACCEPTABLE).await;
    assert!(words.contains("H265") && words.contains("H.264"), "{words}");
    let long = format!("{good}a=x:{}\r\n", "y".repeat(64 * 1024));
    problem(sfu.post("/whip/1", Some(KEY), &long).await, StatusCode::PAYLOAD_TOO_LARGE).await;

    let wrong_type = sfu.http.post(format!("{}/whip/1", sfu.base)).bearer_auth(KEY).body(good).send().await;
    problem(wrong_type.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let get = sfu.http.get(format!("{}/whip/1", sfu.base)).send().await.unwrap();
    assert_eq!(header(&get, "allow"), "POST, OPTIONS");
    problem(get, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_meta_nobody_new_is_admitted() {
    let sfu = Sfu::with(|config| config.meta_url = "http://127.0.0.1:9".into()).await;
    for path in ["/whip/1", "/whep/1"] {
        let direction = if path == "/whip/1" { "sendonly" } else { "recvonly" };
        let bearer = (path == "/whip/1").then_some(KEY);
        let response = sfu.post(path, bearer, &offer(direction)).await;
        assert!(header(&response, "retry-after").parse::<u32>().is_ok());
        problem(response, StatusCode::SERVICE_UNAVAILABLE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_or_leaving_node_says_so_early() {
    let sfu = Sfu::with(|config| config.limits.max_sessions = 1).await;
    sfu.meta.set(1, Status::Ready);
    sfu.meta.set(2, Status::Ready);
    assert_eq!(sfu.post("/whip/1", Some(KEY), &offer("sendonly")).await.status(), StatusCode::CREATED);
    let response = sfu.post("/whip/2", Some(KEY), &offer("sendonly")).await;
    assert!(header(&response, "retry-after").parse::<u32>().is_ok());
    problem(response, StatusCode::SERVICE_UNAVAILABLE).await;

    sfu.service.drain(common::PATIENCE).await;
    let ready = sfu.http.get(format!("{}/readyz", sfu.admin)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let words =
        problem(sfu.post("/whip/1", Some(KEY), &offer("sendonly")).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(words.await.contains("restart"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_sessions_never_connect_is_slowed_down() {
    let sfu = Sfu::with(|config| config.limits.max_half_open_per_source = 2).await;
    (1..=3).for_each(|broadcast| sfu.meta.set(broadcast, Status::Ready));
    let publish = |broadcast: i64| {
        let sfu = &sfu;
        async move { sfu.post(&format!("/whip/{broadcast}"), Some(KEY), &offer("sendonly")).await }
    };
    let first = publish(1).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(publish(2).await.status(), StatusCode::CREATED);
    let refused = publish(3).await;
    assert!(header(&refused, "retry-after").parse::<u32>().is_ok());
    let words = problem(refused, StatusCode::TOO_MANY_REQUESTS).await;
    assert!(words.contains("have not connected"), "{words}");
    let viewer = sfu.post("/whep/1", None, &offer("recvonly")).await;
    problem(viewer, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(sfu.metric("sfu_requests_refused_total{reason=\"half_open\"}").await, 2);
    assert_eq!(sfu.metric("sfu_sessions_opened_total{role=\"Publisher\"}").await, 2);

    // A session that has gone gives its place back.
    let url = format!("{}{}", sfu.base, header(&first, "location"));
    assert_eq!(sfu.http.delete(url).bearer_auth(KEY).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(publish(3).await.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_say_what_is_taken_to_anyone() {
    let sfu = Sfu::with(|config| {
        config.ice_urls = vec!["stun:{host}:3478".into(), "turn:{host}:3478?transport=udp".into()];
        config.turn_secret =
            service_kit::config::Secret::new("a secret between this node and the relay".into());
    })
    .await;
    for path in ["/whip/1", "/whep/1"] {
        let plain = sfu.http.request(Method::OPTIONS, format!("{}{path}", sfu.base)).send().await.unwrap();
        assert_eq!(plain.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&plain, "accept-post"), "application/sdp");
        // A browser refuses a configuration with a TURN server that comes without credentials.
        let links: Vec<_> = plain.headers().get_all("link").iter().collect();
        assert_eq!(links, ["<stun:127.0.0.1:3478>; rel=\"ice-server\""]);
        let methods = header(&plain, "access-control-allow-methods");
        assert!(
            methods.split(", ").any(|method| method == "PATCH"),
            "clients look for it before they trickle"
        );
        let preflight = sfu
            .http
            .request(Method::OPTIONS, format!("{}{path}", sfu.base))
            .header("origin", "https://example.org")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await
            .unwrap();
        assert!(preflight.status().is_success());
        assert!(!header(&preflight, "access-control-allow-origin").is_empty());
    }
    sfu.meta.set(1, Status::Ready);
    let request = sfu.http.post(format!("{}/whip/1", sfu.base)).header("content-type", "application/sdp");
    let request = request.header("origin", "https://example.org").bearer_auth(KEY);
    let response = request.body(offer("sendonly")).send().await.unwrap();
    let exposed = header(&response, "access-control-expose-headers").to_lowercase();
    let links: Vec<_> =
        response.headers().get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    let [_, turn, _events] = links[..] else { panic!("{links:?}") };
    assert!(turn.starts_with("<turn:127.0.0.1:3478?transport=udp>; rel=\"ice-server\"; username="), "{turn}");
    assert!(turn.contains("; credential=\""), "{turn}");
    for name in ["location", "link", "etag", "access-control-allow-methods"] {
        assert!(exposed.contains(name), "{exposed}");
    }
}

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

async fn patch(sfu: &Sfu, path: &str, if_match: Option<&str>, body: &str) -> Response {
    let request = sfu.http.patch(format!("{}{path}", sfu.base)).bearer_auth(KEY);
    let request = request.header("content-type", FRAGMENT).body(body.to_owned());
    let request = match if_match {
        Some(tag) => request.header("if-match", tag),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_and_restarts_go_through_the_session() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let created = sfu.post("/whip/1", Some(KEY), &offer("sendonly")).await;
    let (path, etag) = (header(&created, "location").to_owned(), header(&created, "etag").to_owned());

    let trickle = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n";
    assert_eq!(patch(&sfu, &path, None, trickle).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(patch(&sfu, &path, Some(&etag), trickle).await.status(), StatusCode::NO_CONTENT);
    problem(patch(&sfu, &path, Some("\"stale\""), trickle).await, StatusCode::PRECONDITION_FAILED).await;
    problem(patch(&sfu, &path, None, "hello").await, StatusCode::BAD_REQUEST).await;
    let wrong_type = sfu.http.patch(format!("{}{path}", sfu.base)).bearer_auth(KEY).body("x").send().await;
    problem(wrong_type.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;

    let restart = trickle.replace("abcd", "efgh");
    problem(patch(&sfu, &path, None, &restart).await, StatusCode::PRECONDITION_REQUIRED).await;
    let restarted = patch(&sfu, &path, Some(&etag), &restart).await;
    assert_eq!(restarted.status(), StatusCode::OK);
    assert_eq!(header(&restarted, "content-type"), FRAGMENT);
    let new_etag = header(&restarted, "etag").to_owned();
    assert_ne!(new_etag, etag);
    assert!(restarted.text().await.unwrap().contains("a=ice-ufrag:"));
    problem(patch(&sfu, &path, Some(&etag), &restart).await, StatusCode::PRECONDITION_FAILED).await;
    // The same credentials again are candidates of the session as it is now.
    assert_eq!(patch(&sfu, &path, Some(&new_etag), &restart).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_bearer_that_opened_a_session_ends_it() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let created = sfu.post("/whip/1", Some(KEY), &offer("sendonly")).await;
    let path = header(&created, "location").to_owned();
    let url = format!("{}{path}", sfu.base);
    problem(sfu.http.delete(&url).send().await.unwrap(), StatusCode::UNAUTHORIZED).await;
    let other = sfu.http.delete(&url).bearer_auth("sk_9999999999999999999999").send().await.unwrap();
    problem(other, StatusCode::UNAUTHORIZED).await;
    // The session is there under its own kind and broadcast only.
    for wrong in [path.replace("/whip/", "/whep/"), path.replace("/1/", "/2/"), format!("{path}x")] {
        let response = sfu.http.delete(format!("{}{wrong}", sfu.base)).bearer_auth(KEY).send().await.unwrap();
        problem(response, StatusCode::NOT_FOUND).await;
    }
    let put = sfu.http.put(&url).bearer_auth(KEY).send().await.unwrap();
    problem(put, StatusCode::METHOD_NOT_ALLOWED).await;
    assert_eq!(sfu.http.delete(&url).bearer_auth(KEY).send().await.unwrap().status(), StatusCode::OK);
    problem(sfu.http.delete(&url).bearer_auth(KEY).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    // The end is reported until meta has heard of it.
    let ended = |report: &contract::rest::NodeReport| {
        report.broadcasts.iter().any(|one| one.state == contract::rest::MediaState::Ended)
    };
    sfu.meta.reported(ended).await;
    sfu.meta.reported(|report| report.broadcasts.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_without_a_publisher_is_told_why() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    sfu.meta.set(2, Status::Closed);
    let response = sfu.post("/whep/1", None, &offer("recvonly")).await;
    assert!(header(&response, "retry-after").parse::<u32>().is_ok());
    problem(response, StatusCode::CONFLICT).await;
    problem(sfu.post("/whep/2", None, &offer("recvonly")).await, StatusCode::GONE).await;
    problem(sfu.post("/whep/9", None, &offer("recvonly")).await, StatusCode::NOT_FOUND).await;
    problem(sfu.post("/whep/1", None, "hello").await, StatusCode::BAD_REQUEST).await;
    let bad_token = sfu.post("/whep/1", Some("hello"), &offer("recvonly")).await;
    problem(bad_token, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_watching_takes_a_token_of_the_room() {
    let sfu = Sfu::with(|config| config.dev = false).await;
    sfu.meta.set(1, Status::Ready);
    let join = |room: &str, grants: Vec<Grant>| {
        let role = Role::Join { room: room.parse().unwrap(), grants, name: None };
        keys().mint("par_1", role, service_kit::unix_now(), 60)
    };
    let response = sfu.post("/whep/1", None, &offer("recvonly")).await;
    assert!(header(&response, "www-authenticate").starts_with("Bearer"));
    problem(response, StatusCode::UNAUTHORIZED).await;
    for (token, status) in [
        (join("2", vec![Grant::Subscribe]), StatusCode::FORBIDDEN),
        (join("1", vec![Grant::Chat]), StatusCode::FORBIDDEN),
        // Admitted: the answer is about the broadcast.
        (join("1", vec![Grant::Subscribe]), StatusCode::CONFLICT),
    ] {
        problem(sfu.post("/whep/1", Some(&token), &offer("recvonly")).await, status).await;
    }
}

/// The targets of the `Link` values with this `rel`.
fn links(response: &Response, rel: &str) -> Vec<String> {
    let values = response.headers().get_all("link").iter().filter_map(|value| value.to_str().ok());
    let of_rel = values.filter(|value| value.contains(&format!("rel=\"{rel}\"")));
    of_rel.filter_map(|value| Some(value.strip_prefix('<')?.split_once('>')?.0.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_follows_what_it_is_asked_for() {
    let sfu = Sfu::start().await;
    sfu.meta.set(1, Status::Ready);
    let simulcast = offer("sendonly")
        .replace("a=mid:1\r\n", "a=mid:1\r\na=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n");
    let response = sfu.post("/whip/1", Some(KEY), &simulcast).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let [events] = &links(&response, contract::layer::EVENTS_REL)[..] else { panic!("one link") };
    assert_eq!(links(&response, contract::layer::LAYER_REL), Vec::<String>::new());
    let url = format!("{}{events}", sfu.base);
    problem(sfu.http.get(&url).send().await.unwrap(), StatusCode::UNAUTHORIZED).await;
    let mut stream = sfu.http.get(&url).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(header(&stream, "content-type"), "text/event-stream");
    let first = stream.chunk().await.unwrap().expect("an event comes at once");
    let text = String::from_utf8(first.to_vec()).unwrap();
    assert_eq!(
        text,
        "event: encodings\ndata: {\"media\":[{\"mediaId\":\"1\",\"encodings\":[{\"encodingId\":\"q\",\"wanted\":true},\
         {\"encodingId\":\"f\",\"wanted\":true}]}]}\n\n"
    );
    let session = events.strip_suffix("/events").unwrap();
    let deleted = sfu.http.delete(format!("{}{session}", sfu.base)).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    assert_eq!(stream.chunk().await.unwrap(), None, "the stream ends with the session");
}
