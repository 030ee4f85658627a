//! How a handler fails: the one place where errors become answers.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use service_kit::HttpProblem;

use crate::lifecycle::EditError;
use crate::store::StoreError;

/// What every handler returns.
pub(crate) type Answer = Result<HttpResponse, Failure>;

/// Why a handler does not answer with success. `?` makes it from every error of the layers below.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Refused.
    Problem(HttpProblem),
    /// The database: counted and logged by the middleware of every resource, its words never sent.
    Store(StoreError),
}

impl Failure {
    fn problem(&self) -> HttpProblem {
        match self {
            Self::Problem(problem) => problem.clone(),
            Self::Store(StoreError::Unavailable(_)) => {
                HttpProblem::unavailable("the catalogue is not available at the moment, try again", 1)
            }
            Self::Store(StoreError::Unwritable(_)) => HttpProblem::unavailable(
                "the catalogue takes no changes at the moment, nothing was changed",
                5,
            ),
            Self::Store(StoreError::Failed(_)) => HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl From<HttpProblem> for Failure {
    fn from(problem: HttpProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let words = error.to_string();
        Self::Problem(match error {
            EditError::Invalid(_) => HttpProblem::bad_request(words),
            EditError::Plan(_) => {
                HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, "plan", "Not a time to plan for")
                    .detail(words)
            }
            EditError::Reserved(_) => HttpProblem::forbidden(words),
            EditError::Backwards { .. } => HttpProblem::conflict(words),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => problem.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.problem().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.problem().error_response()
    }
}
