//! What every path has: problems, methods, CORS, the API description.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::support::{Api, Backend, ask};

#[tokio::test]
async fn errors_that_no_handler_wrote_are_problems_too() {
    let api = Api::dev(Backend::Sqlite).await;
    for path in
        ["/", "/nothing", "/broadcasts/1/nothing", "/broadcasts/", "/groups/x/y/z", "/docs/nothing.js"]
    {
        ask(api.get(path)).await.is_problem(404);
    }
    for (method, path, allow) in [
        (Method::DELETE, "/broadcasts", "GET, HEAD, POST"),
        (Method::PATCH, "/broadcasts/1", "GET, HEAD, PUT, DELETE"),
        (Method::GET, "/broadcasts/1/key", "POST"),
        (Method::GET, "/broadcasts/1/token", "POST"),
        (Method::POST, "/ice-servers", "GET, HEAD"),
        (Method::PUT, "/groups/grp_x", "GET, HEAD, PATCH, DELETE"),
        (Method::POST, "/openapi.json", "GET"),
    ] {
        let answer = ask(api.request(method, path)).await;
        answer.is_problem(405);
        assert_eq!(answer.header("allow"), allow);
        let options = ask(api.request(Method::OPTIONS, path)).await;
        assert_eq!((options.status, options.header("allow")), (204, allow));
    }
    let head = ask(api.request(Method::HEAD, "/broadcasts")).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
}

#[tokio::test]
async fn production_answers_only_to_listed_origins() {
    let api = Api::production(Backend::Sqlite).await;
    let from = |origin: &str| ask(api.get("/broadcasts").header("origin", origin.to_owned()));
    assert_eq!(
        from("https://pages.example").await.header("access-control-allow-origin"),
        "https://pages.example"
    );
    assert_eq!(from("https://evil.example").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn the_description_covers_every_public_path() {
    let api = Api::dev(Backend::Sqlite).await;
    let document = ask(api.get("/openapi.json")).await;
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    let document = document.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for reference in document.to_string().split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
    }
    let mut operations = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.insert(format!("{method} {path}"));
            assert!(ids.insert(operation["operationId"].to_string()), "{operation}");
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let named =
                |place: &str, name: &str| parameters.iter().any(|p| p["in"] == place && p["name"] == name);
            assert_eq!(path.contains("{id}"), named("path", "id"), "{method} {path}");
            let takes_json = operation["requestBody"]["content"]["application/json"].is_object();
            let writes = matches!(method.as_str(), "post" | "put" | "patch") && !path.ends_with("/thumbnail");
            assert_eq!(takes_json, writes, "{method} {path}");
            if path == "/broadcasts" && method == "get" {
                assert!(["q", "status", "sort", "limit", "cursor"].iter().all(|name| named("query", name)));
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("503"), "{method} {path}");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                assert!(
                    response["content"]["application/problem+json"].is_object(),
                    "{method} {path} {status}"
                );
            }
        }
    }
    let expected = [
        "delete /broadcasts/{id}",
        "delete /groups/{id}",
        "get /broadcasts",
        "get /broadcasts/{id}",
        "get /broadcasts/{id}/thumbnail",
        "get /groups",
        "get /groups/{id}",
        "get /ice-servers",
        "patch /groups/{id}",
        "post /broadcasts",
        "post /broadcasts/{id}/key",
        "post /broadcasts/{id}/token",
        "post /groups",
        "post /groups/{id}/token",
        "put /broadcasts/{id}",
        "put /broadcasts/{id}/thumbnail",
    ];
    assert_eq!(operations, expected.iter().map(ToString::to_string).collect());
}

#[tokio::test]
async fn the_page_to_try_it_loads_only_from_here() {
    let api = Api::dev(Backend::Sqlite).await;
    let moved = ask(api.get("/docs")).await;
    assert_eq!((moved.status, moved.header("location")), (308, "/docs/"));
    let page = ask(api.get("/docs/")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert!(!page.text.contains("http://") && !page.text.contains("https://"));
    for source in page.text.split("src=\"").skip(1).chain(page.text.split("href=\"").skip(1)) {
        let file = source.split('"').next().unwrap().trim_start_matches("./");
        assert_eq!(ask(api.get(&format!("/docs/{file}"))).await.status, 200, "{file}");
    }
    let start = ask(api.get("/docs/swagger-initializer.js")).await;
    assert!(start.text.contains("\"/openapi.json\""), "{}", start.text);
}
