//! The files of `web/dist` as they are sent: one copy for everybody who gets them, plain and in gzip.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use service_kit::compress;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// How hard a file is compressed, once: as hard as zlib does by default.
const LEVEL: u32 = 6;

/// A file. A clone shares its bytes.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// With its quotes.
    pub(crate) etag: String,
    /// Media type.
    pub(crate) kind: String,
    pub(crate) plain: Bytes,
    /// Where that is shorter.
    pub(crate) gzip: Option<Bytes>,
}

/// Debug builds read from the folder, which takes long with a hash in it: they look again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Every file that was asked for, and when it was looked at: never more than `web/dist` has.
static FILES: RwLock<Option<HashMap<String, (Instant, File)>>> = RwLock::new(None);

/// The file at `path`.
pub(crate) fn get(path: &str) -> Option<File> {
    let known = FILES.read().unwrap_or_else(PoisonError::into_inner);
    let before = known.as_ref().and_then(|files| files.get(path)).cloned();
    drop(known);
    if let Some((looked_at, file)) = &before
        && (cfg!(not(debug_assertions)) || looked_at.elapsed() < LOOK_AGAIN)
    {
        return Some(file.clone());
    }
    let found = Dist::get(path)?;
    let hash: String =
        found.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let file = match before {
        Some((_, file)) if file.etag == etag => file,
        _ => File::new(found, etag),
    };
    let mut known = FILES.write().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(path.to_owned(), (Instant::now(), file.clone()));
    Some(file)
}

impl File {
    fn new(found: EmbeddedFile, etag: String) -> Self {
        let kind = found.metadata.mimetype().to_owned();
        let plain = match found.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let gzip = compress::is_compressible(&kind).then(|| compress::gzip(&plain, LEVEL));
        Self { etag, kind, gzip: gzip.filter(|gzip| gzip.len() < plain.len()), plain }
    }
}
