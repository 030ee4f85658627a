//! Problem details (RFC 9457): the one shape of every HTTP error.

use serde::{Deserialize, Serialize};

/// Media type of a problem body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A problem body. `type` is `about:blank` unless the code says more than the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem: `/problems/{code}` or `about:blank`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for every occurrence of the kind.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What happened this time, in words that a person can act on. Never internals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// A problem of the kind `code` (lower case with hyphens).
    #[must_use]
    pub fn new(status: u16, code: &str, title: &str) -> Self {
        Self { kind: format!("/problems/{code}"), title: title.to_owned(), status, detail: None }
    }

    /// The same problem with `detail`.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
