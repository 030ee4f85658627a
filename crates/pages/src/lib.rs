//! The built web pages (`web/dist`), embedded in release builds and read from the folder in debug builds,
//! as routes that any HTTP server of ours can mount last.

mod files;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use service_kit::{HttpProblem, Routes};

/// What the pages have to know before their first request; served as `/config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The development mode: every page says that this server is open.
    pub dev: bool,
    /// WebSocket URL of signaling; empty means `/streaming` of the page's own origin.
    pub signaling_url: String,
    /// Base URL of WHEP; empty means the page's own origin.
    pub sfu_url: String,
    /// Version of the server.
    pub version: String,
    /// Other origins that the pages may connect to (SFU and signaling in a cluster), for the content security
    /// policy. Not part of `/config.json`.
    #[serde(skip)]
    pub connect_origins: Vec<String>,
}

/// The routes: `/config.json`, the files, and `index.html` for every path that a page may have. They take
/// every path that is left, so mount them last.
#[must_use]
pub fn routes(config: Config) -> Routes {
    let policy = content_security_policy(&config.connect_origins);
    Routes::new(move |service| {
        let (config, policy) = (config.clone(), policy.clone());
        service
            .route("/config.json", web::get().to(move || json(config.clone())))
            .default_service(web::to(move |request: HttpRequest| page(request, policy.clone())));
    })
}

async fn json(config: Config) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(config)
}

async fn page(request: HttpRequest, policy: HeaderValue) -> Result<HttpResponse, HttpProblem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(HttpProblem::not_found("nothing takes this method at this path"));
    }
    let path = request.path().trim_start_matches('/');
    if path != "index.html"
        && let Some(file) = files::get(path)
    {
        // Built assets carry a hash of their content in their name.
        let cache =
            if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut response = HttpResponse::Ok();
        response.insert_header((header::CACHE_CONTROL, cache));
        return Ok(file.answer(&request, response));
    }
    let wants_page = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let known = is_page(path);
    if !wants_page && !known {
        return Err(HttpProblem::not_found("there is nothing at this path"));
    }
    let Some(index) = files::get("index.html") else {
        return Err(HttpProblem::new(StatusCode::NOT_FOUND, "no-pages", "Pages not built")
            .detail("the web pages were not built: run `make web`"));
    };
    let mut response = HttpResponse::build(if known { StatusCode::OK } else { StatusCode::NOT_FOUND });
    response
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"));
    Ok(index.answer(&request, response))
}

/// The paths that the router of the pages knows; anything else is shown as "not found" with that status.
fn is_page(path: &str) -> bool {
    matches!(
        path.split('/').collect::<Vec<_>>().as_slice(),
        [""] | ["index.html"] | ["studio"] | ["watch", _] | ["call", _]
    )
}

fn content_security_policy(connect: &[String]) -> HeaderValue {
    let connect = connect.join(" ");
    // `style-src` stays strict: the pages set styles through the CSSOM only.
    let text = format!(
        "default-src 'self'; connect-src 'self' {connect}; img-src 'self' data: blob: {connect}; \
         media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("default-src 'self'"))
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};

    use super::*;

    #[actix_web::test]
    async fn config_is_served_and_unknown_paths_are_not_found() {
        let config = Config { dev: true, version: "1.2.3".into(), ..Config::default() };
        let app = test::init_service(App::new().configure(|c| routes(config).configure(c))).await;
        let body: serde_json::Value =
            test::call_and_read_body_json(&app, test::TestRequest::get().uri("/config.json").to_request())
                .await;
        assert_eq!(
            body,
            serde_json::json!({ "dev": true, "signaling_url": "", "sfu_url": "", "version": "1.2.3" })
        );
        for (method, path) in
            [(Method::GET, "/nothing/here"), (Method::GET, "/../Cargo.toml"), (Method::POST, "/")]
        {
            let request = test::TestRequest::default().method(method).uri(path).to_request();
            assert_eq!(test::call_service(&app, request).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[actix_web::test]
    async fn a_page_is_not_sent_again_to_who_has_it() {
        // Only where the pages are built: without them there is no file.
        if files::get("index.html").is_none() {
            return;
        }
        let app = test::init_service(App::new().configure(|c| routes(Config::default()).configure(c))).await;
        let get =
            |path: &str| test::TestRequest::get().uri(path).insert_header((header::ACCEPT, "text/html"));
        let first = test::call_service(&app, get("/studio").to_request()).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers().get(header::CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
        assert!(!first.headers().contains_key(header::CONTENT_ENCODING));
        let has = (header::IF_NONE_MATCH, first.headers().get(header::ETAG).unwrap().clone());
        let again = test::call_service(&app, get("/watch/1").insert_header(has.clone()).to_request()).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        let missing = test::call_service(&app, get("/nothing").insert_header(has).to_request()).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }

    #[::core::prelude::v1::test]
    fn the_policy_names_other_origins_and_allows_no_inline_script() {
        let policy = content_security_policy(&["ws://h:1".into(), "http://h:2".into()]);
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' ws://h:1 http://h:2;"));
        assert!(!policy.contains("unsafe"));
    }
}
