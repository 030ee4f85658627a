//! A board as JSON, and back: what is drawn, without who drew it and what was deleted.
//!
//! ```text
//! {"format": "madang-board", "version": 1, "objects": {id: {key: value}}, "pages": {id: {key: value}}}
//! ```
//! Values are those of JSON. What JSON does not have is an object of one key: `{"$bytes": base64}` for bytes,
//! `{"$text": "..."}` for a shared text, `{"$value": {...}}` for a map that is one value. Numbers without an end become
//! null.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map as Json, Value};
use yrs::{Any, GetString, In, Map, MapPrelim, Out, ReadTxn, TextPrelim};

use crate::limits::{MAX_DEPTH, MAX_KEY};

/// What the member `format` says.
pub(crate) const FORMAT: &str = "madang-board";
/// What the member `version` says.
pub(crate) const VERSION: u64 = 1;

const BYTES: &str = "$bytes";
const TEXT: &str = "$text";
const VALUE: &str = "$value";

/// Why JSON is no board. The text is for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// It does not say that it is one.
    #[error("no board: `format` is \"{FORMAT}\" and `version` {VERSION}")]
    Format,
    /// A member that is no object of objects.
    #[error("`{0}` is an object of objects")]
    Root(&'static str),
    /// A name that is too long.
    #[error("a name of more than {MAX_KEY} bytes")]
    Name,
    /// Things inside of each other.
    #[error("more than {MAX_DEPTH} things inside of each other")]
    Depth,
    /// A value that stands for what JSON does not have, and is none.
    #[error("`{0}` does not hold what belongs there")]
    Special(&'static str),
    /// It does not fit.
    #[error("more than a board holds")]
    TooLarge,
}

/// One entry of a root.
pub(crate) fn exported<T: ReadTxn>(value: &Out, read: &T) -> Value {
    match value {
        Out::Any(any) => exported_any(any),
        Out::YText(text) => special(TEXT, text.get_string(read).into()),
        Out::YMap(map) => {
            map.iter(read).map(|(key, value)| (key.to_owned(), exported(&value, read))).collect()
        }
        _ => Value::Null,
    }
}

fn exported_any(any: &Any) -> Value {
    match any {
        Any::Buffer(bytes) => special(BYTES, STANDARD.encode(bytes).into()),
        Any::Array(values) => values.iter().map(exported_any).collect(),
        Any::Map(map) => {
            let fields = map.iter().map(|(key, value)| (key.clone(), exported_any(value))).collect();
            special(VALUE, Value::Object(fields))
        }
        // Null, booleans, numbers and strings are the same there.
        plain => {
            let mut json = String::new();
            plain.to_json(&mut json);
            serde_json::from_str(&json).unwrap_or_default()
        }
    }
}

fn special(kind: &str, value: Value) -> Value {
    Value::Object(Json::from_iter([(kind.to_owned(), value)]))
}

/// The entries of a root, to be put into a new document.
pub(crate) fn imported(root: &'static str, json: &Value) -> Result<Vec<(String, In)>, BadSnapshot> {
    let Some(entries) = json.get(root) else { return Ok(Vec::new()) };
    let entries = entries.as_object().ok_or(BadSnapshot::Root(root))?;
    let entries = entries.iter().map(|(key, value)| {
        let fields = value.as_object().ok_or(BadSnapshot::Root(root))?;
        Ok((name(key)?, imported_map(fields, 1)?.into()))
    });
    entries.collect()
}

fn name(key: &str) -> Result<String, BadSnapshot> {
    if key.len() > MAX_KEY { Err(BadSnapshot::Name) } else { Ok(key.to_owned()) }
}

fn imported_map(fields: &Json<String, Value>, depth: u8) -> Result<MapPrelim, BadSnapshot> {
    if depth > MAX_DEPTH {
        return Err(BadSnapshot::Depth);
    }
    let fields = fields.iter().map(|(key, value)| {
        let value: In = match value {
            Value::Object(inner) => match only(inner) {
                Some((TEXT, text)) => {
                    TextPrelim::new(text.as_str().ok_or(BadSnapshot::Special(TEXT))?).into()
                }
                Some(_) => In::Any(imported_any(value, depth)?),
                None => imported_map(inner, depth + 1)?.into(),
            },
            _ => In::Any(imported_any(value, depth)?),
        };
        Ok((name(key)?, value))
    });
    fields.collect()
}

/// The kind and the value of an object that stands for what JSON does not have.
fn only(fields: &Json<String, Value>) -> Option<(&'static str, &Value)> {
    let mut fields = fields.iter();
    let (Some((key, value)), None) = (fields.next(), fields.next()) else { return None };
    [BYTES, TEXT, VALUE].into_iter().find(|kind| kind == key).map(|kind| (kind, value))
}

fn imported_any(value: &Value, depth: u8) -> Result<Any, BadSnapshot> {
    if depth > MAX_DEPTH {
        return Err(BadSnapshot::Depth);
    }
    Ok(match value {
        Value::Null => Any::Null,
        Value::Bool(is) => Any::Bool(*is),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Any::from(whole),
            None => Any::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Any::String(text.as_str().into()),
        Value::Array(values) => {
            let values: Result<Vec<_>, _> =
                values.iter().map(|value| imported_any(value, depth + 1)).collect();
            Any::Array(values?.into())
        }
        Value::Object(fields) => match only(fields) {
            Some((BYTES, bytes)) => {
                let bytes = bytes.as_str().and_then(|text| STANDARD.decode(text).ok());
                Any::Buffer(bytes.ok_or(BadSnapshot::Special(BYTES))?.into())
            }
            Some((VALUE, inner)) => {
                let inner = inner.as_object().ok_or(BadSnapshot::Special(VALUE))?;
                let inner =
                    inner.iter().map(|(key, value)| Ok((name(key)?, imported_any(value, depth + 1)?)));
                Any::Map(Arc::new(inner.collect::<Result<HashMap<_, _>, _>>()?))
            }
            // A shared text or map has no place inside of a value.
            _ => return Err(BadSnapshot::Special(VALUE)),
        },
    })
}
