//! The files of `web/dist`: looked up once, one copy for everybody who gets them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use rust_embed::RustEmbed;
use service_kit::file::File;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// Debug builds read from the folder, which takes long with a hash in it: they look again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Every file that was asked for, and when it was looked at: never more than `web/dist` has.
static FILES: RwLock<Option<HashMap<String, (Instant, File)>>> = RwLock::new(None);

/// `index.html` and its version.
pub(crate) fn index() -> Option<(String, String)> {
    let found = Dist::get("index.html")?;
    let text = String::from_utf8(found.data.into_owned()).ok()?;
    Some((version(&found.metadata), text))
}

fn version(metadata: &rust_embed::Metadata) -> String {
    metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

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
    let hash = version(&found.metadata);
    let file = match before {
        Some((_, file)) if file.is_version(&hash) => file,
        _ => File::new(&hash, found.metadata.mimetype(), found.data),
    };
    let mut known = FILES.write().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(path.to_owned(), (Instant::now(), file.clone()));
    Some(file)
}
