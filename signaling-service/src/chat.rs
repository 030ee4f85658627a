//! Chat: what of a text and a name is shown, what is asked of the chat of a room, how it is kept, and what this replica
//! holds of it.

pub(crate) mod job;
pub(crate) mod keeper;
mod log;
pub(crate) mod store;
mod write;

use contract::chat::{CHAT_ID_BYTES, MAX_CHAT_CHARS};
use contract::text;

pub(crate) use job::Sanctioned;
pub(crate) use log::{Logs, News, To};
#[cfg(test)]
pub(crate) use log::{MAX_BYTES, MAX_LOGS};
pub(crate) use store::Kept;
pub(crate) use write::write;

/// Longest display name, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;

/// Why something is no chat message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadText {
    #[error("the id of a chat message has 16 to 64 letters, digits, - or _")]
    Id,
    #[error("a chat message needs text")]
    Empty,
    #[error("a chat message has at most 500 characters")]
    TooLong,
}

/// A text as it is shown: without what nobody sees.
///
/// # Errors
/// [`BadText`] if nothing is left of it, or too much.
pub(crate) fn shown_text(text: &str) -> Result<String, BadText> {
    let shown = with_few_empty_lines(&text::lines(text));
    if shown.is_empty() {
        return Err(BadText::Empty);
    }
    if shown.chars().count() > MAX_CHAT_CHARS { Err(BadText::TooLong) } else { Ok(shown) }
}

/// Of empty lines in a row one stays: a message does not push the others out of sight.
fn with_few_empty_lines(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
    let is_second = |n: usize| {
        n > 0
            && lines.get(n).is_some_and(|line| line.is_empty())
            && lines.get(n - 1).is_some_and(|line| line.is_empty())
    };
    let kept = lines.iter().enumerate().filter(|(n, _)| !is_second(*n)).map(|(_, line)| *line);
    kept.collect::<Vec<_>>().join("\n")
}

/// What a sender calls its message.
///
/// # Errors
/// [`BadText::Id`] if it is too short to be random, too long, or of other characters.
pub(crate) fn message_id(id: Option<String>) -> Result<Option<String>, BadText> {
    let fits = |id: &String| {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        CHAT_ID_BYTES.contains(&id.len()) && id.bytes().all(of_name)
    };
    if id.as_ref().is_none_or(fits) { Ok(id) } else { Err(BadText::Id) }
}

/// A name as it is shown: one line, cut to its limit, or `guest`.
pub(crate) fn shown_name(name: Option<&str>) -> String {
    let name: String = text::one_line(name.unwrap_or_default()).chars().take(MAX_NAME_CHARS).collect();
    if name.is_empty() { "guest".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_enough_to_be_random_and_plain() {
        for (id, fits) in [
            ("0123456789abcdef", true),
            ("0123456789-_CDEF", true),
            ("0123456789abcde", false),
            ("0123456789abcde ", false),
            ("0123456789abcd한", false),
        ] {
            assert_eq!(message_id(Some(id.into())).is_ok(), fits, "{id}");
        }
        assert_eq!(message_id(Some("x".repeat(64))), Ok(Some("x".repeat(64))));
        assert_eq!(message_id(Some("x".repeat(65))), Err(BadText::Id));
        assert_eq!(message_id(None), Ok(None));
    }

    #[test]
    fn texts_and_names_have_limits_and_hide_nothing() {
        assert_eq!(shown_text(&"한".repeat(500)), Ok("한".repeat(500)));
        assert_eq!(shown_text(&"한".repeat(501)), Err(BadText::TooLong));
        assert_eq!(shown_text(" \u{202e}\n\u{200b}"), Err(BadText::Empty));
        assert_eq!(shown_text("a\u{202e}b\u{7}\n c"), Ok("ab\n c".into()));
        assert_eq!(shown_text("\u{200d}\u{2800}"), Err(BadText::Empty));
        assert_eq!(shown_text(&format!("a{}b\n\nc", "\n".repeat(400))), Ok("a\n\nb\n\nc".into()));
        assert_eq!(shown_name(Some(" a\u{7}\u{2066}b\nc ")), "ab c");
        assert_eq!(shown_name(Some(" \u{feff} ")), "guest");
        assert_eq!(shown_name(None), "guest");
        assert_eq!(shown_name(Some(&"x".repeat(100))).len(), 64);
    }
}
