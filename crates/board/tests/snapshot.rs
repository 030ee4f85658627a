//! A board leaves as JSON and comes back the same.

use board::{Author, BadSnapshot, Board};
use serde_json::{Value, json};
use yrs::{Any, ClientID, Doc, Map, MapPrelim, Options, ReadTxn, StateVector, TextPrelim, Transact};

fn drawn() -> Board {
    let mut board = Board::new(3);
    let author = Author("par_anna".into());
    let id = board.admit(author.clone()).unwrap();
    let doc = Doc::with_options(Options::with_client_id(ClientID::new(id.0)));
    let (objects, pages) = (doc.get_or_insert_map("objects"), doc.get_or_insert_map("pages"));
    let text: yrs::In = TextPrelim::new("한글 \u{1f58a}").into();
    let inner = std::collections::HashMap::from([("a".to_owned(), Any::Bool(true))]);
    let fields = MapPrelim::from([
        ("text", text),
        ("points", yrs::In::Any(Any::Buffer([0, 255, 7].as_slice().into()))),
        ("t", yrs::In::Any(Any::Array([Any::from(1.5), Any::from(-2_i64), Any::Null].into()))),
        ("style", yrs::In::Any(Any::Map(inner.into()))),
        ("$text", yrs::In::from("a key like any other")),
    ]);
    let mut change = doc.transact_mut();
    objects.insert(&mut change, "o1", fields);
    objects.insert(&mut change, "gone", MapPrelim::from([("x", 1)]));
    objects.remove(&mut change, "gone");
    pages.insert(&mut change, "p1", MapPrelim::from([("order", "a0")]));
    drop(change);
    let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
    board.apply(&author, id, &update).unwrap();
    board
}

#[test]
fn what_is_exported_is_imported() {
    let board = drawn();
    let exported = board.exported();
    assert_eq!(exported["objects"]["o1"]["points"], json!({"$bytes": "AP8H"}));
    assert_eq!(exported["objects"]["o1"]["text"], json!({"$text": "한글 \u{1f58a}"}));
    assert!(exported["objects"].get("gone").is_none());
    let again = Board::imported(9, &exported).unwrap();
    assert_eq!((again.epoch(), again.exported()), (9, exported));
    assert_eq!(again.entries("objects"), board.entries("objects"));
    // It can be stored, read again and drawn on.
    let whole = again.whole();
    assert_eq!(whole.len(), again.size());
    let mut restored = Board::restored(9, [whole.as_slice()], []).unwrap();
    assert!(restored.admit(Author("par_bert".into())).is_ok());
}

#[test]
fn what_is_no_board_is_refused() {
    let refused = |json: Value| Board::imported(1, &json).err().unwrap();
    let with = |objects: Value| json!({"format": "madang-board", "version": 1, "objects": objects});
    assert_eq!(refused(json!([])), BadSnapshot::Format);
    assert_eq!(refused(json!({"format": "madang-board", "version": 2})), BadSnapshot::Format);
    assert_eq!(refused(with(json!([1]))), BadSnapshot::Root("objects"));
    assert_eq!(refused(with(json!({"o": 1}))), BadSnapshot::Root("objects"));
    assert_eq!(refused(with(json!({"o": {"k".repeat(200): 1}}))), BadSnapshot::Name);
    assert_eq!(refused(with(json!({"o": {"k": {"$bytes": "!"}}}))), BadSnapshot::Special("$bytes"));
    assert_eq!(refused(with(json!({"o": {"k": [{"x": 1}]}}))), BadSnapshot::Special("$value"));
    let deep = |wrap: &dyn Fn(Value) -> Value| (0..40).fold(json!(1), |inner, _| wrap(inner));
    assert_eq!(refused(with(json!({"o": {"k": deep(&|inner| json!([inner]))}}))), BadSnapshot::Depth);
    assert_eq!(refused(with(json!({"o": deep(&|inner| json!({"k": inner}))}))), BadSnapshot::Depth);
    let large: Vec<String> = (0..9).map(|_| "x".repeat(1 << 20)).collect();
    assert_eq!(refused(with(json!({"o": {"k": large}}))), BadSnapshot::TooLarge);
    assert!(Board::imported(1, &with(json!({}))).is_ok());
}
