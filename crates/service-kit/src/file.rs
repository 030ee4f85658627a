//! Files that are the same for everybody: one copy in memory, plain and in gzip, however many get it.

use std::borrow::Cow;

use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use crate::compress;

/// How hard a file is compressed, once: as hard as zlib does by default.
const LEVEL: u32 = 6;

/// A file. A clone shares its bytes.
#[derive(Debug, Clone)]
pub struct File {
    /// Weak, because one tag stands for the plain file and for its gzip.
    etag: String,
    kind: String,
    plain: Bytes,
    /// Where that is shorter.
    gzip: Option<Bytes>,
}

impl File {
    /// A file of the media type `kind`, text in UTF-8; `version` differs whenever the bytes do, and needs no quotes.
    #[must_use]
    pub fn new(version: &str, kind: &str, bytes: Cow<'static, [u8]>) -> Self {
        let plain = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let gzip = compress::is_compressible(kind).then(|| compress::gzip(&plain, LEVEL));
        let gzip = gzip.filter(|gzip| gzip.len() < plain.len());
        let mut kind = kind.to_owned();
        if kind.starts_with("text/") && !kind.contains(';') {
            kind.push_str("; charset=utf-8");
        }
        Self { etag: etag(version), kind, plain, gzip }
    }

    /// Whether it was made with this `version`.
    #[must_use]
    pub fn is_version(&self, version: &str) -> bool {
        self.etag == etag(version)
    }

    /// Answers with the file, in gzip for whoever takes it; with 304 instead of 200 for whoever has it.
    #[must_use]
    pub fn answer(&self, request: &HttpRequest, mut response: HttpResponseBuilder) -> HttpResponse {
        response.insert_header((header::ETAG, self.etag.as_str()));
        if self.gzip.is_some() {
            response.append_header((header::VARY, "accept-encoding"));
        }
        let mut answer = response.content_type(self.kind.as_str()).finish();
        if answer.status() == StatusCode::OK && names(request, &self.etag) {
            answer.headers_mut().remove(header::CONTENT_TYPE);
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
        let body = match &self.gzip {
            Some(gzip) if compress::accepts_gzip(request) => {
                let coding = header::HeaderValue::from_static("gzip");
                answer.headers_mut().insert(header::CONTENT_ENCODING, coding);
                gzip
            }
            _ => &self.plain,
        };
        answer.set_body(actix_web::body::BoxBody::new(body.clone()))
    }
}

fn etag(version: &str) -> String {
    format!("W/\"{version}\"")
}

/// Whether If-None-Match names `etag`. Weak comparison (RFC 9110, section 13.1.2): proxies weaken tags.
fn names(request: &HttpRequest, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let sent = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|tags| tags.to_str().ok());
    let mut tags = sent.flat_map(|tags| tags.split(','));
    tags.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use actix_web::test::TestRequest;

    use super::*;

    fn text() -> File {
        File::new("1a", "text/html; charset=utf-8", Cow::Owned(b"a line, and once more\n".repeat(50)))
    }

    fn answer(file: &File, headers: &[(&'static str, &'static str)]) -> HttpResponse {
        let request = headers.iter().fold(TestRequest::get(), |request, pair| request.insert_header(*pair));
        file.answer(&request.to_http_request(), HttpResponse::Ok())
    }

    fn bytes(response: HttpResponse) -> Bytes {
        response.into_body().try_into_bytes().unwrap()
    }

    #[test]
    fn everybody_gets_the_same_bytes() {
        let file = text();
        let (one, other) = (bytes(answer(&file, &[])), bytes(answer(&file.clone(), &[])));
        assert_eq!((one.as_ptr(), one.len()), (other.as_ptr(), 1_100));
        let packed = [("accept-encoding", "gzip")];
        let (one, other) = (bytes(answer(&file, &packed)), bytes(answer(&file, &packed)));
        assert!(one.as_ptr() == other.as_ptr() && one.len() < 200);
    }

    #[test]
    fn it_says_what_caches_need() {
        let file = text();
        let header = |response: &HttpResponse, name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let plain = answer(&file, &[]);
        assert_eq!(header(&plain, "content-encoding"), None);
        assert_eq!(header(&plain, "vary").as_deref(), Some("accept-encoding"));
        assert_eq!(header(&plain, "etag").as_deref(), Some("W/\"1a\""));
        let style = answer(&File::new("3", "text/css", Cow::Borrowed(b"")), &[]);
        assert_eq!(header(&style, "content-type").as_deref(), Some("text/css; charset=utf-8"));
        let packed = answer(&file, &[("accept-encoding", "gzip, br")]);
        assert_eq!(header(&packed, "content-encoding").as_deref(), Some("gzip"));
        let picture =
            answer(&File::new("2", "image/png", Cow::Borrowed(b"png")), &[("accept-encoding", "gzip")]);
        assert_eq!((header(&picture, "vary"), header(&picture, "content-encoding")), (None, None));
    }

    #[test]
    fn who_has_it_is_told_so() {
        let file = text();
        for tags in ["W/\"1a\"", "\"1a\"", "\"x\", \"1a\"", "*"] {
            let response = answer(&file, &[("if-none-match", tags)]);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert!(response.headers().contains_key(header::VARY), "a 304 varies as its 200 does");
            assert!(bytes(response).is_empty());
        }
        assert_eq!(answer(&file, &[("if-none-match", "1a, \"1b\"")]).status(), StatusCode::OK);
        // What is not found is sent whole.
        let request = TestRequest::get().insert_header(("if-none-match", "*")).to_http_request();
        assert_eq!(file.answer(&request, HttpResponse::NotFound()).status(), StatusCode::NOT_FOUND);
    }
}
