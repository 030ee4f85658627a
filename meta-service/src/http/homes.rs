//! `/internal/groups/{id}/...`: what the home of a group's room asks and writes.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use chrono::{DateTime, Utc};
use contract::group::{
    GroupOrder, GroupReport, LATE, MAX_RULED_PEOPLE, MAX_SUBJECT_LEN, NOT_HOME, OTHER_HOME, OpenGroup,
    OpenedGroup, PutRules, RoomRules,
};
use contract::id::{GroupId, NodeId};
use contract::rest::NodeReport;
use service_kit::HttpProblem;

use super::extract::{Json, Meta, Path, Report, Service, missing};
use super::failure::Answer;
use super::tokens::RULE_TTL;
use crate::store::{GroupRecord, Opened, Opening, Put, StoreError};

/// Most bytes of the public URL of a node.
const MAX_URL_LEN: usize = 2_048;
/// Most bytes of the name of a node's process.
const MAX_PROCESS_LEN: usize = 64;

/// `POST /internal/groups/{id}/open`: the node becomes the home of the room. Answers 200, 404, or 409 where another one is.
pub(crate) async fn open(
    meta: Meta,
    _: Service,
    Path(id): Path<GroupId>,
    Json(asked): Json<OpenGroup>,
) -> Answer {
    check_opening(&asked)?;
    let node = asked.node_id.clone();
    let now = meta.clock.now();
    let opening = meta.store.homes.open(id, asked, now, meta.homes_could_speak(now)).await?;
    match opening.ok_or_else(missing::<GroupId>)? {
        Opening::Home(opened) => {
            let Opened { record, rules } = *opened;
            let GroupRecord { group, version, epoch, .. } = record;
            tracing::info!(group.id = %group.id, node.id = %node, room.epoch = epoch, "a room is open at its home");
            Ok(HttpResponse::Ok().json(OpenedGroup { group, version, epoch, rules }))
        }
        Opening::Elsewhere { url } => {
            let problem = conflict(OTHER_HOME, "Open elsewhere", "another node is the home of this room");
            let location = HeaderValue::try_from(url).ok().filter(|url| !url.is_empty());
            Err(match location {
                Some(url) => problem.header(header::LOCATION, url),
                None => problem,
            }
            .into())
        }
    }
}

fn check_opening(asked: &OpenGroup) -> Result<(), HttpProblem> {
    let fits = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    let process = asked.opening.as_ref().map(|opening| opening.process.as_str()).unwrap_or_default();
    if !fits(&asked.public_url, MAX_URL_LEN) || !fits(process, MAX_PROCESS_LEN) {
        return Err(HttpProblem::bad_request("the URL or the process of the node is too long"));
    }
    Ok(())
}

/// `PUT /internal/groups/{id}/rules`: what has to outlive the home. Answers 204 when it is stored, else 404 or 409.
pub(crate) async fn put_rules(
    meta: Meta,
    _: Service,
    Path(id): Path<GroupId>,
    Report(put): Report<PutRules>,
) -> Answer {
    check(&put)?;
    let expires_at = meta.clock.now() + RULE_TTL;
    match meta.store.rules.put(id, put, expires_at).await? {
        Put::Stored => Ok(HttpResponse::NoContent().finish()),
        Put::Missing => Err(missing::<GroupId>().into()),
        Put::NotHome => {
            Err(conflict(NOT_HOME, "Not the home", "another node has opened the group since").into())
        }
        Put::Late => Err(conflict(LATE, "Too late", "rules of a higher version are stored").into()),
    }
}

fn conflict(code: &str, title: &str, detail: &str) -> HttpProblem {
    HttpProblem::new(StatusCode::CONFLICT, code, title).detail(detail)
}

fn check(put: &PutRules) -> Result<(), HttpProblem> {
    let RoomRules { people, .. } = &put.rules;
    if put.version < 1 {
        return Err(HttpProblem::bad_request("version is 1 or more"));
    }
    if people.len() > MAX_RULED_PEOPLE {
        return Err(HttpProblem::bad_request(format!("rules name at most {MAX_RULED_PEOPLE} people")));
    }
    let mut subjects: Vec<&str> = people.iter().map(|rule| rule.subject.as_str()).collect();
    subjects.sort_unstable();
    let fits =
        |subject: &str| (1..=MAX_SUBJECT_LEN).contains(&subject.len()) && !subject.contains(char::is_control);
    if !subjects.iter().all(|subject| fits(subject)) {
        return Err(HttpProblem::bad_request("a subject has 1 to 128 bytes and no control character"));
    }
    if !subjects.is_sorted_by(|a, b| a < b) {
        return Err(HttpProblem::bad_request("rules name each subject once"));
    }
    Ok(())
}

/// Takes what a node says of the rooms that it is the home of; what is different with them from what it says.
pub(crate) async fn orders(
    meta: &Meta,
    node: &NodeId,
    report: &NodeReport,
    now: DateTime<Utc>,
) -> Result<Vec<GroupOrder>, StoreError> {
    if report.leaving {
        meta.store.homes.leave(node).await?;
    }
    if report.groups.is_empty() {
        return Ok(Vec::new());
    }
    let ids = report.groups.iter().map(|report| report.group_id.clone()).collect();
    let found = meta.store.groups.find_all(ids).await?;
    let records: HashMap<GroupId, GroupRecord> =
        found.into_iter().map(|record| (record.group.id.clone(), record)).collect();
    if !report.leaving {
        let known = |id: &GroupId| records.get(id).cloned();
        meta.store.homes.renew(node, &report.public_url, &report.groups, known, now).await?;
    }
    Ok(report.groups.iter().filter_map(|report| order(report, records.get(&report.group_id))).collect())
}

fn order(report: &GroupReport, record: Option<&GroupRecord>) -> Option<GroupOrder> {
    let group_id = report.group_id.clone();
    match record {
        None => Some(GroupOrder::Deleted { group_id }),
        Some(record) if record.epoch != report.epoch => {
            Some(GroupOrder::NotHome { group_id, epoch: report.epoch })
        }
        Some(record) if record.version != report.version => {
            Some(GroupOrder::Changed { group: record.group.clone(), version: record.version })
        }
        Some(_) => None,
    }
}
