//! What a service offers to a server: its routes, and who may call them from other origins.

use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::web;

use crate::observe::REQUEST_ID;

/// The HTTP routes of a service: what its library offers and a binary mounts. Cheap to clone.
#[derive(Clone)]
pub struct Routes(Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>);

impl Routes {
    /// Routes from an actix configuration function.
    pub fn new(configure: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) -> Self {
        Self(Arc::new(configure))
    }

    /// Adds them to an actix application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        (self.0)(config);
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Routes")
    }
}

/// Which pages of other origins may call: the allow-list that HTTP and the WebSocket upgrade share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Every origin: the development mode.
    Any,
    /// These origins (`https://example.org`), exactly.
    Only(Vec<String>),
}

impl Cors {
    /// From the settings: development mode allows any origin.
    #[must_use]
    pub fn new(dev: bool, origins: &[String]) -> Self {
        if dev { Self::Any } else { Self::Only(origins.to_vec()) }
    }

    /// Whether a page of `origin` may call.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// The middleware. It exposes what WHIP, WHEP and the REST clients read, and leaves a plain OPTIONS
    /// (no preflight) to the handlers.
    pub(crate) fn middleware(&self) -> actix_cors::Cors {
        let cors = match self {
            Self::Any => actix_cors::Cors::default().allow_any_origin(),
            Self::Only(origins) => {
                origins.iter().fold(actix_cors::Cors::default(), |cors, origin| cors.allowed_origin(origin))
            }
        };
        cors.allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_any_header()
        .expose_headers([
            header::LOCATION,
            header::LINK,
            header::ETAG,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            REQUEST_ID,
            header::HeaderName::from_static("accept-post"),
            header::HeaderName::from_static("accept-patch"),
            header::HeaderName::from_static("board-epoch"),
            header::HeaderName::from_static("board-n"),
            header::HeaderName::from_static("board-has"),
        ])
        .max_age(3600)
        .block_on_origin_mismatch(false)
    }
}
