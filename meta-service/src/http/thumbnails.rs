//! `/broadcasts/{id}/thumbnail`: one picture a broadcast, kept in the database (64 KiB at most, so a thousand live
//! broadcasts are 64 MiB), deleted a week after the broadcast ended.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use contract::id::BroadcastId;
use contract::rest::Status;
use serde::Deserialize;
use service_kit::HttpProblem;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::broadcasts;
use super::extract::{File, IfNoneMatch, Meta, Path, Somebody, unsupported};
use super::failure::Answer;
use super::page::Query;
use super::problems::{ReadProblems, ThumbnailProblems};
use crate::auth::ActsAs;
use crate::store::Thumbnail;

/// The bytes of a picture.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct Picture(Vec<u8>);

/// Set the thumbnail
///
/// A JPEG or WebP file of at most 64 KiB, by the owner, while the broadcast is not closed.
#[utoipa::path(
    put, path = "/broadcasts/{id}/thumbnail", tag = "thumbnails", operation_id = "put_thumbnail",
    params(BroadcastId),
    request_body(content((Picture = "image/jpeg"), (Picture = "image/webp"))),
    responses((status = 204, description = "Stored", headers(("ETag" = String))), ThumbnailProblems),
    security(("bearer" = []))
)]
pub(crate) async fn write(
    meta: Meta,
    Somebody(caller): Somebody,
    Path(id): Path<BroadcastId>,
    file: File,
) -> Answer {
    let record = broadcasts::find(&meta, id).await?;
    if caller.acts_on_broadcast(&record)? != ActsAs::Owner {
        return Err(HttpProblem::forbidden("only the owner sets the thumbnail").into());
    }
    let File { media_type, bytes } = file;
    if !matches!(media_type.as_str(), "image/jpeg" | "image/webp") {
        return Err(unsupported("send image/jpeg or image/webp").into());
    }
    if !is_picture(&media_type, &bytes) {
        return Err(HttpProblem::bad_request(format!("the body is no {media_type}")).into());
    }
    if record.broadcast.status == Status::Closed {
        return Err(HttpProblem::conflict("the broadcast is closed").into());
    }
    let etag = etag(&bytes);
    let thumbnail = Thumbnail { media_type, etag: etag.clone(), image: bytes.to_vec() };
    meta.store.thumbnails.put(id, thumbnail).await?;
    Ok(HttpResponse::NoContent().insert_header((header::ETAG, etag)).finish())
}

/// What is answered where there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
pub(crate) enum Missing {
    /// 204: a list of pictures has nothing to complain about.
    #[serde(rename = "204")]
    Empty,
}

/// Parameters of `GET /broadcasts/{id}/thumbnail`.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ThumbnailQuery {
    /// `204`: an empty answer where there is no picture; 404 without it
    #[param(inline)]
    pub(crate) missing: Option<Missing>,
}

/// Get the thumbnail
#[utoipa::path(
    get, path = "/broadcasts/{id}/thumbnail", tag = "thumbnails", operation_id = "read_thumbnail",
    params(BroadcastId, ThumbnailQuery, IfNoneMatch),
    responses(
        (status = 200, description = "The picture",
            content((Picture = "image/jpeg"), (Picture = "image/webp")), headers(("ETag" = String))),
        (status = 204, description = "There is none, for who asked with `missing=204`"),
        (status = 304, description = "As the client has it", headers(("ETag" = String))),
        (status = 400, description = "A parameter", body = contract::problem::Problem, content_type = "application/problem+json"),
        ReadProblems
    )
)]
pub(crate) async fn read(
    meta: Meta,
    Path(id): Path<BroadcastId>,
    Query(query): Query<ThumbnailQuery>,
    known: IfNoneMatch,
) -> Answer {
    // The picture itself is read only for who does not have it.
    if known.is_there()
        && let Some(etag) = meta.store.thumbnails.etag(id).await?
        && known.names(&etag)
    {
        return Ok(cached(HttpResponse::NotModified(), etag).finish());
    }
    let found = meta.store.thumbnails.find(id).await?;
    if found.is_none() && query.missing == Some(Missing::Empty) {
        return Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish());
    }
    let thumbnail = found.ok_or_else(|| HttpProblem::not_found("there is no thumbnail"))?;
    // Somebody chose these bytes: they are a picture and nothing else, also when opened as a page.
    Ok(cached(HttpResponse::Ok(), thumbnail.etag)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .content_type(thumbnail.media_type)
        .body(thumbnail.image))
}

fn cached(mut response: HttpResponseBuilder, etag: String) -> HttpResponseBuilder {
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, "public, max-age=5"));
    response
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
