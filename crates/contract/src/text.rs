//! What people may write in names, titles and chat: everything but characters that nobody sees and that change how
//! the rest is shown or read. They are taken out, never refused, because keyboards and copied text bring them in
//! unasked. Anything that may be shown is text: pages escape it, nothing here does.

/// Whether `c` is taken out everywhere: control characters (line feed and tab have rules of their own), the
/// embeddings, overrides and isolates of the bidirectional algorithm (Unicode UAX 9, section 2), line and
/// paragraph separators, characters without width that make two names look alike, and fillers. The joiners U+200C and
/// U+200D stay: scripts and emoji need them.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let bidi = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let separator = matches!(c, '\u{2028}' | '\u{2029}');
    let without_width = matches!(c,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
    );
    // Hangul that stands for no letter: names of nothing but it look empty.
    let filler = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    c.is_control() || bidi || separator || without_width || filler
}

/// `text` as one line: a line feed or tab becomes a space, hidden characters and the space around go.
#[must_use]
pub fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c });
    let shown: String = spaced.filter(|c| !is_hidden(*c)).collect();
    shown.trim().to_owned()
}

/// `text` in lines: line feeds and tabs stay, hidden characters and the space around go.
#[must_use]
pub fn lines(text: &str) -> String {
    let shown: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_hidden(*c)).collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_taken_out() {
        assert_eq!(one_line(" a\u{7}\u{202e}b\nc\u{200b}\u{feff} "), "ab c");
        assert_eq!(one_line("\u{3164}\u{ffa0}h\u{ad}i\u{180e}"), "hi");
        assert_eq!(lines("a\r\n\tb\u{2066}\u{2029}\n\n"), "a\n\tb");
        for hidden in ["\u{0}", "\u{1b}", "\u{85}", "\u{202a}", "\u{2069}", "\u{2028}", "\u{2060}"] {
            assert_eq!((one_line(hidden), lines(hidden)), (String::new(), String::new()), "{hidden:?}");
        }
    }

    #[test]
    fn scripts_and_emoji_stay_whole() {
        for text in ["한국어", "שלום \u{200f}", "می\u{200c}خواهم", "👩\u{200d}🔬", "<b>&amp;"]
        {
            assert_eq!(one_line(text), text.trim(), "{text:?}");
        }
    }
}
