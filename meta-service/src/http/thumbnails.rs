//! `/broadcasts/{id}/thumbnail`: one picture a broadcast, kept in the database (64 KiB at most, so a thousand live
//! broadcasts are 64 MiB), deleted a week after the broadcast ended.

use actix_web::http::header;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use contract::rest::Status;
use service_kit::HttpProblem;
use sha2::{Digest as _, Sha256};

use super::conditional::none_match;
use super::{Answer, State, body, broadcast_id, broadcasts};
use crate::auth::Access;
use crate::http::openapi::{ReadProblems, ThumbnailProblems};
use crate::store::Thumbnail;

/// The bytes of a picture.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct Picture(Vec<u8>);

/// Set the thumbnail
///
/// A JPEG or WebP file of at most 64 KiB, by the holder of the stream key, while the broadcast is not closed.
#[utoipa::path(
    put, path = "/broadcasts/{id}/thumbnail", tag = "thumbnails", operation_id = "put_thumbnail",
    params(("id" = i64, Path, minimum = 1, maximum = 9007199254740991_i64, description = "Id of the broadcast")),
    request_body(content((Picture = "image/jpeg"), (Picture = "image/webp"))),
    responses((status = 204, description = "Stored", headers(("ETag" = String))), ThumbnailProblems),
    security(("bearer" = []))
)]
pub(crate) async fn write(request: HttpRequest, state: State, payload: Payload) -> Answer {
    let caller = state.caller(&request)?;
    caller.is_somebody()?;
    let record = broadcasts::find(&request, &state).await?;
    if caller.access(&record.key)? != Access::Owner {
        return Err(HttpProblem::forbidden("only the stream key sets the thumbnail"));
    }
    let media_type = body::media_type(&request);
    if !matches!(media_type.as_str(), "image/jpeg" | "image/webp") {
        return Err(body::unsupported("send image/jpeg or image/webp"));
    }
    let image = service_kit::body::read(&request, payload, body::MAX_BODY).await?;
    if !is_picture(&media_type, &image) {
        return Err(HttpProblem::bad_request(format!("the body is no {media_type}")));
    }
    if record.broadcast.status == Status::Closed {
        return Err(HttpProblem::conflict("the broadcast is closed"));
    }
    let etag = etag(&image);
    let thumbnail = Thumbnail { media_type, etag: etag.clone(), image: image.to_vec() };
    let stored = state.store.put_thumbnail(record.broadcast.id, thumbnail).await;
    stored.map_err(|error| state.failed(&error))?;
    Ok(HttpResponse::NoContent().insert_header((header::ETAG, etag)).finish())
}

/// Get the thumbnail
#[utoipa::path(
    get, path = "/broadcasts/{id}/thumbnail", tag = "thumbnails", operation_id = "read_thumbnail",
    params(
        ("id" = i64, Path, minimum = 1, maximum = 9007199254740991_i64, description = "Id of the broadcast"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that the client has"),
    ),
    responses(
        (status = 200, description = "The picture",
            content((Picture = "image/jpeg"), (Picture = "image/webp")), headers(("ETag" = String))),
        (status = 304, description = "As the client has it", headers(("ETag" = String))),
        ReadProblems
    )
)]
pub(crate) async fn read(request: HttpRequest, state: State) -> Answer {
    let found = state.store.thumbnail(broadcast_id(&request)?).await.map_err(|error| state.failed(&error))?;
    let thumbnail = found.ok_or_else(|| HttpProblem::not_found("there is no thumbnail"))?;
    let same = none_match(&request, &thumbnail.etag);
    let mut response = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, thumbnail.etag))
        .insert_header((header::CACHE_CONTROL, "public, max-age=5"));
    if same {
        return Ok(response.finish());
    }
    // Somebody chose these bytes: they are a picture and nothing else, also when opened as a page.
    response
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"));
    Ok(response.content_type(thumbnail.media_type).body(thumbnail.image))
}

fn etag(image: &[u8]) -> String {
    let hash = Sha256::digest(image);
    let hex: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Whether the file begins as its type does: JPEG with SOI and a marker, WebP as RIFF.
fn is_picture(media_type: &str, image: &[u8]) -> bool {
    match media_type {
        "image/jpeg" => image.starts_with(&[0xff, 0xd8, 0xff]),
        "image/webp" => image.starts_with(b"RIFF") && image.get(8..12) == Some(b"WEBP".as_slice()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_what_it_says() {
        assert!(is_picture("image/jpeg", &[0xff, 0xd8, 0xff, 0xe0]));
        assert!(is_picture("image/webp", b"RIFF\x10\0\0\0WEBPVP8 "));
        assert!(!is_picture("image/webp", &[0xff, 0xd8, 0xff, 0xe0]));
        assert!(!is_picture("image/jpeg", b"<html>"));
        assert!(!is_picture("image/webp", b"RIFF"));
        assert!(!is_picture("image/png", b""));
    }
}
