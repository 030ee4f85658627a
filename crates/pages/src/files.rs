//! The files of `web/dist` as they are sent: one copy for everybody who gets them, plain and in gzip.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

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

/// Every file that was asked for: never more than `web/dist` has. Debug builds read from the folder, so a file may
/// change; then the new one takes the place of the old one.
static FILES: RwLock<Option<HashMap<String, File>>> = RwLock::new(None);

/// The file at `path`.
pub(crate) fn get(path: &str) -> Option<File> {
    let found = Dist::get(path)?;
    let hash: String =
        found.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let known = FILES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = known.as_ref().and_then(|files| files.get(path)).filter(|file| file.etag == etag) {
        return Some(file.clone());
    }
    drop(known);
    let file = File::new(found, etag);
    let mut known = FILES.write().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(path.to_owned(), file.clone());
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
