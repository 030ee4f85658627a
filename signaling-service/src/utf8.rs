//! UTF-8 checking of a text message that comes in fragments (RFC 6455 section 8.1), without collecting it.

/// Carries an unfinished character, at most three bytes, from one fragment to the next.
#[derive(Debug, Default)]
pub(crate) struct Utf8Check {
    rest: Vec<u8>,
}

impl Utf8Check {
    /// Whether the message is still valid with this fragment; the `last` one must not end inside a character.
    pub(crate) fn fragment(&mut self, bytes: &[u8], last: bool) -> bool {
        let mut text = std::mem::take(&mut self.rest);
        text.extend_from_slice(bytes);
        match std::str::from_utf8(&text) {
            Ok(_) => true,
            Err(error) if error.error_len().is_none() && !last => {
                self.rest = text.split_off(error.valid_up_to());
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_span_fragments_but_not_messages() {
        let text = "a한🎥z".as_bytes();
        for cut in 0..=text.len() {
            let mut check = Utf8Check::default();
            assert!(check.fragment(&text[..cut], false) && check.fragment(&text[cut..], true), "{cut}");
        }
        assert!(!Utf8Check::default().fragment(&text[..2], true));
        assert!(!Utf8Check::default().fragment(b"\xff", false));
        let mut check = Utf8Check::default();
        assert!(check.fragment(b"\xf0\x9f", false) && !check.fragment(b"a", false));
    }
}
