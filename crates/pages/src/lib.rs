//! The built web pages (`web/dist`), embedded in release builds and read from the folder in debug builds,
//! as routes that any HTTP server of ours can mount last.

mod files;
mod index;

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use service_kit::client::Origin;
use service_kit::config::is_site;
use service_kit::preview::{Catalogue, Found};
use service_kit::{HttpProblem, Routes};

/// How long a page waits for what is known of its broadcast: without that it is whole, too.
const FIND_TIMEOUT: Duration = Duration::from_millis(800);

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
    /// Where others in the network reach pages that were opened at `localhost`: what a shared link begins with there.
    /// Empty: nobody knows.
    pub lan_url: String,
    /// Other origins that the pages may connect to (SFU and signaling in a cluster), for the content security
    /// policy. Not part of `/config.json`.
    #[serde(skip)]
    pub connect_origins: Vec<String>,
    /// Sites that may show `/embed/{id}` in a frame: origins, or `https://*.` and a domain. In the development mode an
    /// empty list is every site. Not part of `/config.json`.
    #[serde(skip)]
    pub embed_origins: Vec<String>,
}

/// What every answer takes from the configuration.
struct Served {
    /// `/config.json`.
    json: String,
    policy: HeaderValue,
    /// Of `/embed/{id}`; `None` where nobody may frame it.
    embed_policy: Option<HeaderValue>,
}

impl Served {
    fn of(config: &Config) -> Self {
        let policy = |ancestors: &str| content_security_policy(&config.connect_origins, ancestors);
        Self {
            json: serde_json::to_string(config).expect("strings and a flag are JSON"),
            policy: policy("'none'"),
            embed_policy: embed_ancestors(config).map(|ancestors| policy(&ancestors)),
        }
    }
}

/// The routes: `/config.json`, the files, and `index.html` for every path that a page may have (404 where it names a
/// broadcast that the [`Catalogue`] does not have). They take
/// every path that is left, so mount them last.
#[must_use]
pub fn routes(config: Config) -> Routes {
    let served = web::Data::new(Served::of(&config));
    Routes::new(move |service| {
        service
            .app_data(served.clone())
            .route("/config.json", web::get().to(json))
            .default_service(web::to(page));
    })
}

async fn json(config: web::Data<Served>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(config.json.clone())
}

async fn page(request: HttpRequest, served: web::Data<Served>) -> Result<HttpResponse, HttpProblem> {
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
    let place = Place::of(path);
    if !wants_page && place == Place::Nowhere {
        return Err(HttpProblem::not_found("there is nothing at this path"));
    }
    let Some((version, html)) = files::index() else {
        return Err(HttpProblem::new(StatusCode::NOT_FOUND, "no-pages", "Pages not built")
            .detail("the web pages were not built: run `make web`"));
    };
    let (status, shared) = match place {
        Place::Page => (StatusCode::OK, None),
        Place::Nowhere => (StatusCode::NOT_FOUND, None),
        Place::Watch(id) | Place::Embed(id) => match find(&request, id).await {
            Found::Broadcast(preview) => {
                let base = Origin::of(&request).http();
                (StatusCode::OK, Some(index::Shared { preview, id, base }))
            }
            Found::Missing => (StatusCode::NOT_FOUND, None),
            // The page itself says what is the matter.
            Found::Unknown => (StatusCode::OK, None),
        },
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    if let (Place::Embed(_), Some(policy)) = (place, &served.embed_policy) {
        // X-Frame-Options cannot name sites; every browser that plays this knows `frame-ancestors`.
        response.insert_header((header::CONTENT_SECURITY_POLICY, policy.clone()));
    } else {
        response.insert_header((header::CONTENT_SECURITY_POLICY, served.policy.clone()));
        response.insert_header((header::X_FRAME_OPTIONS, "DENY"));
    }
    Ok(index::page(&version, &html, &served.json, shared.as_ref()).answer(&request, response))
}

/// Whether there is the broadcast `id`: soon, or nobody can say.
async fn find(request: &HttpRequest, id: i64) -> Found {
    let Some(catalogue) = request.app_data::<web::Data<Catalogue>>() else { return Found::Unknown };
    tokio::time::timeout(FIND_TIMEOUT, catalogue.find(id)).await.unwrap_or(Found::Unknown)
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A page that is there, whatever its path names.
    Page,
    /// The page of a broadcast.
    Watch(i64),
    /// Its player for other sites.
    Embed(i64),
    /// Nothing; the pages show that too.
    Nowhere,
}

impl Place {
    /// As the router of the pages reads `path`.
    fn of(path: &str) -> Self {
        let id = |text: &str| text.parse().ok().filter(|id| *id > 0 && !text.starts_with(['+', '0']));
        match path.trim_end_matches('/').split('/').collect::<Vec<_>>().as_slice() {
            [""] | ["index.html"] | ["studio"] | ["call", _] => Self::Page,
            ["watch", text] => id(text).map_or(Self::Nowhere, Self::Watch),
            ["embed", text] => id(text).map_or(Self::Nowhere, Self::Embed),
            _ => Self::Nowhere,
        }
    }
}

fn content_security_policy(connect: &[String], ancestors: &str) -> HeaderValue {
    let connect = connect.join(" ");
    // `style-src` stays strict: the pages set styles through the CSSOM only.
    let text = format!(
        "default-src 'self'; connect-src 'self' {connect}; img-src 'self' data: blob: {connect}; \
         media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors {ancestors}; form-action 'self'"
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("default-src 'self'"))
}

/// Who may frame the player: every site in the development mode, else those that are listed; `None`: nobody.
fn embed_ancestors(config: &Config) -> Option<String> {
    if config.dev && config.embed_origins.is_empty() {
        return Some("*".into());
    }
    // What is no origin would say something else in the policy.
    let sites: Vec<&str> =
        config.embed_origins.iter().map(String::as_str).filter(|site| is_site(site)).collect();
    (!sites.is_empty()).then(|| sites.join(" "))
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};
    use service_kit::preview::Preview;

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
            serde_json::json!({ "dev": true, "signaling_url": "", "sfu_url": "", "version": "1.2.3", "lan_url": "" })
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

    /// A catalogue with broadcast 7, which asked for 8 never answers.
    fn catalogue() -> web::Data<Catalogue> {
        web::Data::new(Catalogue::new(|id| async move {
            match id {
                7 => Found::Broadcast(Preview { title: "Seven".into(), ..Preview::default() }),
                8 => std::future::pending().await,
                _ => Found::Missing,
            }
        }))
    }

    #[actix_web::test]
    async fn a_broadcast_that_is_not_there_is_not_found() {
        if files::index().is_none() {
            return;
        }
        let app = App::new().app_data(catalogue()).configure(|c| routes(Config::default()).configure(c));
        let app = test::init_service(app).await;
        for (path, status) in [
            ("/watch/7", 200),
            ("/embed/7", 200),
            ("/watch/9", 404),
            ("/embed/9", 404),
            ("/watch/07", 404),
            ("/watch/x", 404),
            // Nobody can say: the page does.
            ("/watch/8", 200),
        ] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status(), status, "{path}");
        }
        let seven =
            test::call_and_read_body(&app, test::TestRequest::get().uri("/watch/7").to_request()).await;
        assert!(String::from_utf8_lossy(&seven).contains("og:title\" content=\"Seven\""));
    }

    #[actix_web::test]
    async fn only_the_player_may_be_framed_and_by_listed_sites() {
        if files::index().is_none() {
            return;
        }
        let sites = vec!["https://a.example".into(), "https://*.b.example".into(), "*; script-src *".into()];
        for (dev, origins, expected) in [
            (true, Vec::new(), Some("*")),
            (false, Vec::new(), None),
            (false, sites, Some("https://a.example https://*.b.example")),
        ] {
            let config = Config { dev, embed_origins: origins, ..Config::default() };
            let app = App::new().app_data(catalogue()).configure(|c| routes(config.clone()).configure(c));
            let app = test::init_service(app).await;
            for (path, ancestors) in
                [("/embed/7", expected), ("/watch/7", None), ("/", None), ("/embed/x", None)]
            {
                let request = test::TestRequest::get().uri(path).insert_header((header::ACCEPT, "text/html"));
                let response = test::call_service(&app, request.to_request()).await;
                let policy =
                    response.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
                let named = policy.split("; ").find(|part| part.starts_with("frame-ancestors")).unwrap();
                assert_eq!(named, format!("frame-ancestors {}", ancestors.unwrap_or("'none'")), "{path}");
                assert_eq!(
                    response.headers().contains_key(header::X_FRAME_OPTIONS),
                    ancestors.is_none(),
                    "{path}"
                );
            }
        }
    }

    #[::core::prelude::v1::test]
    fn the_policy_names_other_origins_and_allows_no_inline_script() {
        let policy = content_security_policy(&["ws://h:1".into(), "http://h:2".into()], "'none'");
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' ws://h:1 http://h:2;"));
        assert!(!policy.contains("unsafe"));
    }
}
