//! Numbers in JSON bodies.

use serde::Deserialize as _;

/// Reads an integer as JSON Schema means it: `3.0` is one. At most 2^53 - 1 either way, as JavaScript holds it.
pub(crate) fn whole_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    const MOST: i64 = (1 << 53) - 1;
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= MOST as f64);
    let integer = number.as_i64().or(whole.map(|float| float as i64));
    let integer = integer.filter(|integer| (-MOST..=MOST).contains(integer));
    integer.map(Some).ok_or_else(|| serde::de::Error::custom("expected an integer of at most 2^53 - 1"))
}
