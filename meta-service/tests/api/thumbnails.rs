//! `/broadcasts/{id}/thumbnail`.

use contract::token::Role;
use serde_json::json;

use crate::support::{Api, Backend, Created, ask, on_both};

on_both!(
    a_picture_is_kept_and_cached,
    who_has_the_picture_makes_nobody_read_it,
    what_is_no_picture_is_refused
);

fn jpeg(length: usize) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xe0];
    file.resize(length, 7);
    file
}

async fn a_picture_is_kept_and_cached(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}/thumbnail");
    ask(api.get(&path)).await.is_problem(404);
    // Who shows a list of them asks for no error; anything else than that word is refused.
    let missing = format!("{path}?missing=204&v=1");
    let empty = ask(api.get(&missing)).await;
    assert_eq!((empty.status, empty.bytes.len(), empty.header("cache-control")), (204, 0, "no-store"));
    ask(api.get(&format!("{path}?missing=yes"))).await.is_problem(400);
    let put = |media_type: &str, body: Vec<u8>| {
        ask(api.put(&path).bearer_auth(&key).header("content-type", media_type).body(body))
    };
    let stored = put("image/jpeg", jpeg(65_536)).await;
    assert_eq!(stored.status, 204);
    let read = ask(api.get(&path)).await;
    assert_eq!((read.status, read.header("content-type")), (200, "image/jpeg"));
    assert_eq!(read.bytes, jpeg(65_536));
    assert_eq!(ask(api.get(&missing)).await.bytes, jpeg(65_536));
    assert_eq!(read.header("etag"), stored.header("etag"));
    assert_eq!(read.header("cache-control"), "public, max-age=5");
    assert_eq!(read.header("x-content-type-options"), "nosniff");
    let same = ask(api.get(&path).header("if-none-match", read.header("etag"))).await;
    assert_eq!((same.status, same.bytes.len()), (304, 0));
    let webp = b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0".to_vec();
    assert_eq!(put("image/webp", webp.clone()).await.status, 204);
    let read = ask(api.get(&path).header("if-none-match", read.header("etag"))).await;
    assert_eq!((read.status, read.header("content-type"), &read.bytes), (200, "image/webp", &webp));
}

async fn who_has_the_picture_makes_nobody_read_it(backend: Backend) {
    let api = Api::dev(backend).await;
    let (id, key) = api.create("a").await;
    let path = format!("/broadcasts/{id}/thumbnail");
    let put = api.put(&path).bearer_auth(&key).header("content-type", "image/jpeg").body(jpeg(65_536));
    let etag = ask(put).await.header("etag").to_owned();
    // A column that is not there cannot be read.
    api.database.run("ALTER TABLE thumbnail RENAME COLUMN image TO elsewhere").await;
    ask(api.get(&path)).await.is_problem(500);
    assert_eq!(ask(api.get(&path).header("if-none-match", &etag)).await.status, 304);
    assert_eq!(ask(api.get(&path).header("if-none-match", "*")).await.status, 304);
    ask(api.get(&path).header("if-none-match", "\"other\"")).await.is_problem(500);
}

async fn what_is_no_picture_is_refused(backend: Backend) {
    let api = Api::dev(backend).await;
    let Created { id, owner_key: key, stream_key } = api.created("a").await;
    let path = format!("/broadcasts/{id}/thumbnail");
    let put = |bearer: &str, media_type: &str, body: Vec<u8>| {
        ask(api.put(&path).bearer_auth(bearer).header("content-type", media_type).body(body))
    };
    put(&key, "image/png", jpeg(10)).await.is_problem(415);
    put(&key, "text/html", b"<script>".to_vec()).await.is_problem(415);
    put(&key, "image/jpeg", b"<script>".to_vec()).await.is_problem(400);
    put(&key, "image/jpeg", Vec::new()).await.is_problem(400);
    put(&key, "image/webp", jpeg(10)).await.is_problem(400);
    put(&key, "image/jpeg", jpeg(65_537)).await.is_problem(413);
    put("sk_0000000000000000000000", "image/jpeg", jpeg(10)).await.is_problem(401);
    put(&stream_key, "image/jpeg", jpeg(10)).await.is_problem(403);
    put(&api.token(Role::Admin), "image/jpeg", jpeg(10)).await.is_problem(403);
    ask(api.put(&path).header("content-type", "image/jpeg").body(jpeg(10))).await.is_problem(401);
    ask(api.get(&path)).await.is_problem(404);
    let close = api.put(&format!("/broadcasts/{id}")).bearer_auth(&key).json(&json!({ "status": "CLOSED" }));
    assert_eq!(ask(close).await.status, 200);
    put(&key, "image/jpeg", jpeg(10)).await.is_problem(409);
    let missing = api.put("/broadcasts/999/thumbnail").bearer_auth(&key).header("content-type", "image/jpeg");
    ask(missing.body(jpeg(10))).await.is_problem(404);
}
