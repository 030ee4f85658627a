//! `/internal/groups/{id}/...`: what the home of a group's room asks and writes.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use contract::group::{
    GroupOrder, GroupReport, LATE, MAX_RULED_PEOPLE, MAX_SUBJECT_LEN, NOT_HOME, OpenGroup, OpenedGroup,
    PutRules, RoomRules,
};
use contract::id::GroupId;
use service_kit::HttpProblem;

use super::extract::{Json, Meta, Path, Report, Service, missing};
use super::failure::Answer;
use super::tokens::RULE_TTL;
use crate::store::{GroupRecord, Put, StoreError};

/// `POST /internal/groups/{id}/open`: the node becomes the home of the room. Answers 200 or 404.
pub(crate) async fn open(
    meta: Meta,
    _: Service,
    Path(id): Path<GroupId>,
    Json(asked): Json<OpenGroup>,
) -> Answer {
    let opened = meta.store.rules.open(id, meta.clock.now()).await?.ok_or_else(missing::<GroupId>)?;
    let GroupRecord { group, version, epoch, .. } = opened.record;
    tracing::info!(group.id = %group.id, node.id = %asked.node_id, room.epoch = epoch, "a room has a new home");
    Ok(HttpResponse::Ok().json(OpenedGroup { group, version, epoch, rules: opened.rules }))
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

/// What is different with the groups of a report from what it says.
pub(crate) async fn orders(meta: &Meta, reported: &[GroupReport]) -> Result<Vec<GroupOrder>, StoreError> {
    if reported.is_empty() {
        return Ok(Vec::new());
    }
    let ids = reported.iter().map(|report| report.group_id.clone()).collect();
    let found = meta.store.groups.find_all(ids).await?;
    let records: HashMap<GroupId, GroupRecord> =
        found.into_iter().map(|record| (record.group.id.clone(), record)).collect();
    Ok(reported.iter().filter_map(|report| order(report, records.get(&report.group_id))).collect())
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
