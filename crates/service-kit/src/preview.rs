//! What the server of the pages has to know of a broadcast: whether there is one, and what a shared link of it shows.
//! Who knows it puts a [`Catalogue`] into the data of the application; without one the pages say nothing of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a shared link of a broadcast shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// Title, may be empty.
    pub title: String,
    /// Description, may be empty.
    pub description: String,
    /// Which picture of it there is; changes with the picture.
    pub picture: Option<String>,
}

/// The answer to the question for a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Broadcast(Preview),
    /// There is none.
    Missing,
    /// Nobody can say now.
    Unknown,
}

type Answer = Pin<Box<dyn Future<Output = Found> + Send>>;

/// Whom the pages ask for a broadcast, by its id. Cheap to clone.
#[derive(Clone)]
pub struct Catalogue(Arc<dyn Fn(i64) -> Answer + Send + Sync>);

impl Catalogue {
    /// Asks by calling `find`.
    pub fn new<F>(find: impl Fn(i64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Found> + Send + 'static,
    {
        Self(Arc::new(move |id| Box::pin(find(id))))
    }

    /// What there is of the broadcast `id`.
    pub async fn find(&self, id: i64) -> Found {
        (self.0)(id).await
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalogue")
    }
}
