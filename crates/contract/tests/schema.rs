//! The SDK's TypeScript types are made from a schema that lies in the repository. This test holds it to the code;
//! a test of the SDK holds its types to the schema.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// Set by `make types`: the schema is written instead of compared.
const WRITE: &str = "MADANG_WRITE_SCHEMA";

#[test]
fn the_schema_of_the_sdk_is_what_the_code_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/packages/sdk/contract.schema.json");
    let said = contract::schema::document().unwrap();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, format!("{said:#}\n")).unwrap();
    }
    let kept: Option<Value> = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    assert!(
        kept == Some(said),
        "web/packages/sdk/contract.schema.json is not what the code says: `make types`"
    );
}

#[test]
fn whatever_a_schema_refers_to_is_defined() {
    let document = contract::schema::document().unwrap();
    let defined: BTreeSet<String> =
        document["$defs"].as_object().unwrap().keys().map(|name| format!("#/$defs/{name}")).collect();
    let mut referred = BTreeSet::new();
    collect(&document, &mut referred);
    assert!(referred.contains("#/$defs/Source"), "{referred:?}");
    assert_eq!(referred.difference(&defined).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
