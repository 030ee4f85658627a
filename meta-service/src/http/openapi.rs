//! `/openapi.json` and `/docs`: the API described by its own code, and a page to try it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use contract::problem::Problem;
use service_kit::HttpProblem;
use service_kit::file::File;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::failure::Answer;
use super::operations::operations;
use super::page::SortBy;

/// The OpenAPI document of the public routes, made from the same table as the routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    for operation in operations() {
        components.schemas.extend(operation.schemas);
        document.paths.add_path_operation(operation.path, operation.methods, operation.description);
    }
    document
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Madang meta service",
        description = "The catalogue of broadcasts and groups. Errors are problem details (RFC 9457).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "broadcasts", description = "Live broadcasts"),
        (name = "thumbnails", description = "A picture of a broadcast"),
        (name = "groups", description = "Group calls"),
        (name = "tokens", description = "Join tokens and ICE servers"),
    ),
    components(schemas(Problem, SortBy)),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A stream key or owner key as it was shown once, or a join, creator, admin or service token",
        ));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

/// The document as it is sent. Making it takes long, and it never changes.
static DOCUMENT: LazyLock<File> = LazyLock::new(|| {
    let json = serde_json::to_vec(&openapi()).unwrap_or_default();
    let version = version(&json);
    File::new(&version, "application/json", Cow::Owned(json))
});

fn version(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn document(request: HttpRequest) -> HttpResponse {
    DOCUMENT.answer(&request, unchanged())
}

/// What clients may keep, as long as they ask whether it is still the same.
fn unchanged() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    response
}

/// The page's own paths are relative to `/docs/`.
pub(crate) async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// What the page may load: itself. Its library sets styles from script, and has pictures inside its style sheet.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The files of the page that were asked for: never more than it has.
static FILES: Mutex<Option<HashMap<String, File>>> = Mutex::new(None);

pub(crate) async fn page(request: HttpRequest) -> Answer {
    let file = page_file(request.match_info().query("file"))?;
    let mut response = unchanged();
    response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    Ok(file.answer(&request, response))
}

fn page_file(name: &str) -> Result<File, HttpProblem> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let files = files.get_or_insert_default();
    if let Some(file) = files.get(name) {
        return Ok(file.clone());
    }
    let config = Arc::new(utoipa_swagger_ui::Config::new(["/openapi.json"]));
    let found = utoipa_swagger_ui::serve(name, config)
        .map_err(|_| HttpProblem::plain(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR))?
        .ok_or_else(|| HttpProblem::not_found("there is no such file"))?;
    let bytes = found.bytes.into_owned();
    let file = File::new(&version(&bytes), &found.content_type, Cow::Owned(bytes));
    files.insert(name.to_owned(), file.clone());
    Ok(file)
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use actix_web::test::TestRequest;

    use super::*;

    /// A flood of readers waits with what it asked for: that is one copy of it, and made once.
    #[tokio::test]
    async fn whoever_asks_gets_the_same_bytes() {
        let request = || TestRequest::get().param("file", "swagger-ui-bundle.js").to_http_request();
        let bytes = |answer: HttpResponse| answer.into_body().try_into_bytes().unwrap();
        let (one, other) = (bytes(document(request()).await), bytes(document(request()).await));
        assert!(one.as_ptr() == other.as_ptr() && one.len() > 10_000);
        let (one, other) = (page(request()).await.unwrap(), page(request()).await.unwrap());
        let (one, other) = (bytes(one), bytes(other));
        assert!(one.as_ptr() == other.as_ptr() && one.len() > 100_000);
    }

    /// The SDK's types are made from the contract: whatever this document describes must be there, as it is here.
    #[test]
    fn the_contract_has_every_body() {
        let contract = contract::schema::document().unwrap();
        let described = serde_json::to_string(&openapi().components).unwrap();
        let described = described.replace("#/components/schemas/", "#/$defs/");
        let described: serde_json::Value = serde_json::from_str(&described).unwrap();
        // The words of a query, and bytes, are no JSON.
        let own = ["Picture", "SortBy"];
        let mut bodies = 0;
        for (name, schema) in described["schemas"].as_object().unwrap() {
            if !own.contains(&name.as_str()) {
                assert_eq!(
                    contract["$defs"].get(name),
                    Some(schema),
                    "{name}: name it in crates/contract/src/schema.rs"
                );
                bodies += 1;
            }
        }
        assert!(bodies > 10, "{bodies}");
    }
}
