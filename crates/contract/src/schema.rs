//! JSON Schema of every body that browsers send or get, from which the SDK's TypeScript types are made.
//!
//! A property that is not required is left out where there is nothing to say; `null` stands only where a property is
//! required.

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{board, call, chat, destination, group, layer, problem, rest, room_state};

/// Where definitions are in the document that utoipa writes references for.
const OPENAPI_DEFINITIONS: &str = "#/components/schemas/";
/// Where they are in a JSON Schema.
const DEFINITIONS: &str = "#/$defs/";

/// The bodies that are named, and all that they are made of.
macro_rules! bodies {
    ($($body:ty),* $(,)?) => {{
        let mut found = Vec::new();
        $(
            found.push((<$body as ToSchema>::name().into_owned(), <$body as PartialSchema>::schema()));
            <$body as ToSchema>::schemas(&mut found);
        )*
        found
    }};
}

fn bodies() -> Vec<(String, RefOr<Schema>)> {
    bodies![
        board::BoardCommand,
        board::BoardDone,
        board::BoardEvent,
        board::BoardImage,
        board::BoardRefused,
        call::CallEvent,
        call::JoinCall,
        call::JoinedCall,
        call::PatchCall,
        call::PatchedCall,
        call::Wants,
        chat::ChatCommand,
        chat::ChatEvent,
        destination::BroadcastState,
        destination::Presence,
        destination::Reply,
        group::CreateGroup,
        group::CreatedGroup,
        group::GroupChanged,
        group::UpdateGroup,
        layer::EncodingsWanted,
        layer::LayerList,
        layer::LayerRequest,
        problem::Problem,
        rest::CreateBroadcast,
        rest::CreatedBroadcast,
        rest::IceServers,
        rest::JoinToken,
        rest::NewStreamKey,
        rest::ReplaceStreamKey,
        rest::TokenRequest,
        rest::UpdateBroadcast,
        room_state::RoomCommand,
        room_state::RoomUpdate,
    ]
}

/// Limits that a page has to know before it sends.
fn limits() -> Value {
    json!({
        "BOARD_PRESENCE_RATE": board::BOARD_PRESENCE_RATE,
        "CALL_CHANNEL": call::CALL_CHANNEL,
        "CHAT_EDIT_SECS": chat::CHAT_EDIT_SECS,
        "CHAT_HISTORY": chat::CHAT_HISTORY,
        "MAX_BOARD_FRAME": board::MAX_BOARD_FRAME,
        "MAX_BOARD_IMAGE": board::MAX_BOARD_IMAGE,
        "MAX_BOARD_PRESENCE": board::MAX_BOARD_PRESENCE,
        "MAX_BOARD_UPDATE": board::MAX_BOARD_UPDATE,
        "MAX_CHAT_CHARS": chat::MAX_CHAT_CHARS,
        "MAX_FOLLOWERS_MINUTES": chat::MAX_FOLLOWERS_MINUTES,
        "MAX_NAME_CHARS": call::MAX_DISPLAY_NAME_CHARS,
        "MAX_QUOTE_CHARS": chat::MAX_QUOTE_CHARS,
        "MAX_REASON_CHARS": chat::MAX_REASON_CHARS,
        "MAX_SLOW_SECS": chat::MAX_SLOW_SECS,
        "MAX_TEXT_CHARS": rest::MAX_TEXT_CHARS,
        "MAX_TIMEOUT_SECS": chat::MAX_TIMEOUT_SECS,
        "MAX_WANTS": call::MAX_WANTS,
    })
}

/// The document: a definition for each type, and under `x-constants` what a page has to know before it sends.
///
/// # Errors
/// A schema that is no JSON: a fault of this crate.
pub fn document() -> Result<Value, serde_json::Error> {
    let mut definitions = Map::new();
    for (name, schema) in bodies() {
        definitions.insert(name, located(serde_json::to_value(schema)?));
    }
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": definitions,
        "x-constants": limits(),
    }))
}

/// The same schema with references into this document.
fn located(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, located(field))).collect(),
        Value::Array(items) => items.into_iter().map(located).collect(),
        Value::String(text) => match text.strip_prefix(OPENAPI_DEFINITIONS) {
            Some(name) => Value::String(format!("{DEFINITIONS}{name}")),
            None => Value::String(text),
        },
        other => other,
    }
}
