//! Pages of lists: parameters, cursors and the Link header.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use contract::rest::{Broadcast, MAX_TEXT_CHARS, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use service_kit::HttpProblem;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::store::{After, Sort};

/// Most rows of a page.
pub(crate) const MAX_LIMIT: i64 = 100;
/// Rows of a page where `limit` is not given.
pub(crate) const DEFAULT_LIMIT: i64 = 20;
/// Rows of the plain list, which the original pages read whole.
pub(crate) const PLAIN_LIMIT: i64 = 1_000;
/// Most digits of a number in a cursor.
const CURSOR_DIGITS: usize = 15;

/// Parameters of `GET /broadcasts`.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct BroadcastQuery {
    /// Words to find in name or description, in any case; one or two characters: in the first 20,000 of the order
    #[param(max_length = 255, pattern = r"^[^\u0000]*$")]
    pub(crate) q: Option<String>,
    /// Only this status
    pub(crate) status: Option<Status>,
    /// Order; newest without it
    pub(crate) sort: Option<SortBy>,
    /// Rows of a page; 20 without it
    #[param(minimum = 1, maximum = 100)]
    pub(crate) limit: Option<i64>,
    /// Where to go on: from a Link header
    #[param(pattern = "^[0-9]{1,15}-[0-9]{1,15}$")]
    pub(crate) cursor: Option<String>,
}

/// Parameters of `GET /groups`.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct GroupQuery {
    /// Rows of a page; 20 without it
    #[param(minimum = 1, maximum = 100)]
    pub(crate) limit: Option<i64>,
    /// Where to go on: from a Link header
    #[param(pattern = "^[0-9]{1,15}-[0-9]{1,15}$")]
    pub(crate) cursor: Option<String>,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SortBy {
    /// Highest id first.
    Newest,
    /// Most viewers first.
    Viewers,
    /// Those with a planned time only, soonest first.
    Planned,
}

impl From<SortBy> for Sort {
    fn from(sort: SortBy) -> Self {
        match sort {
            SortBy::Newest => Self::Newest,
            SortBy::Viewers => Self::Viewers,
            SortBy::Planned => Self::Planned,
        }
    }
}

impl BroadcastQuery {
    /// No parameter at all: the list as the original pages expect it.
    pub(crate) fn is_plain(&self) -> bool {
        let none = self.q.is_none() && self.status.is_none() && self.sort.is_none();
        none && self.limit.is_none() && self.cursor.is_none()
    }

    /// The search words, if any.
    pub(crate) fn words(&self) -> Result<Option<String>, HttpProblem> {
        let Some(words) = self.q.as_deref() else { return Ok(None) };
        if words.contains('\0') || words.chars().count() > MAX_TEXT_CHARS {
            return Err(HttpProblem::bad_request("q has at most 255 characters, none of them NUL"));
        }
        Ok(Some(words.to_owned()).filter(|words| !words.is_empty()))
    }
}

/// The parameters of the query string.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = HttpProblem;
    type Future = Ready<Result<Self, HttpProblem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = web::Query::<T>::from_query(request.query_string()).map(|query| Self(query.into_inner()));
        ready(query.map_err(|error| HttpProblem::bad_request(format!("query: {error}"))))
    }
}

/// The wanted number of rows.
pub(crate) fn limit(limit: Option<i64>) -> Result<i64, HttpProblem> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(HttpProblem::bad_request(format!("limit is from 1 to {MAX_LIMIT}"))),
    }
}

/// A cursor is `{key}-{id}` of the last row of a page: what the list is sorted by, and its id.
pub(crate) fn cursor(cursor: Option<&str>) -> Result<Option<After>, HttpProblem> {
    let Some(text) = cursor else { return Ok(None) };
    let number = |digits: &str| {
        let fits = (1..=CURSOR_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| fits)
    };
    let parsed =
        text.split_once('-').and_then(|(key, id)| Some(After { key: number(key)?, id: number(id)? }));
    parsed.map(Some).ok_or_else(|| HttpProblem::bad_request("cursor is one that a Link header gave"))
}

/// The cursor after `last` of a list in the order `sort`.
pub(crate) fn cursor_after(last: &Broadcast, sort: Sort) -> String {
    let key = match sort {
        Sort::Newest | Sort::Viewers => last.viewer_count,
        // No plan is from before 1970.
        Sort::Planned => last.planned_at.map_or(0, |at| at.timestamp_millis().max(0)),
    };
    format!("{key}-{}", last.id)
}

/// The Link header for the page after `cursor`: the same request with that cursor.
pub(crate) fn next_link(request: &HttpRequest, cursor: &str) -> String {
    let kept = form_urlencoded::parse(request.query_string().as_bytes()).filter(|(key, _)| key != "cursor");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept).append_pair("cursor", cursor);
    format!("<{}?{}>; rel=\"next\"", request.path(), query.finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn cursors_round_trip_and_nothing_else_passes() {
        assert_eq!(cursor(Some("3-17")).unwrap(), Some(After { key: 3, id: 17 }));
        for bad in ["", "-", "3", "3-", "-3", "a-b", "3-1-1", "+3-1", "1-9999999999999999"] {
            assert!(cursor(Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_parameters() {
        let request =
            TestRequest::get().uri("/broadcasts?q=a%26b%22%3E&cursor=0-9&limit=2").to_http_request();
        let expected = "</broadcasts?q=a%26b%22%3E&limit=2&cursor=3-4>; rel=\"next\"";
        assert_eq!(next_link(&request, "3-4"), expected);
    }
}
