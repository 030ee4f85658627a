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

/// Whether `c` stays where it stands between others and shows nothing by itself: joiners and direction marks, selectors
/// of variants, tags, the empty Braille cell, marks without ink of Khmer, Mongolian and musical notation.
fn is_blank(c: char) -> bool {
    let joins = matches!(c, '\u{34f}' | '\u{61c}' | '\u{200c}'..='\u{200f}');
    let selects = matches!(c, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}');
    let without_ink = matches!(c, '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{1d173}'..='\u{1d17a}');
    c.is_whitespace() || joins || selects || without_ink
}

/// `text` as one line: a line feed or tab becomes a space, hidden characters and the space around go. Empty where
/// nothing of it would be seen.
#[must_use]
pub fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c });
    seen(&spaced.filter(|c| !is_hidden(*c)).collect::<String>())
}

/// `text` in lines: line feeds and tabs stay, hidden characters and the space around go. Empty where nothing of it would
/// be seen.
#[must_use]
pub fn lines(text: &str) -> String {
    seen(&text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_hidden(*c)).collect::<String>())
}

fn seen(text: &str) -> String {
    if text.chars().all(is_blank) { String::new() } else { text.trim().to_owned() }
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
    fn a_text_that_shows_nothing_is_empty() {
        for blank in ["\u{200d}", "\u{2800}\u{2800}", "\u{200e} \u{200f}", "\u{34f}\n\u{fe0f}", "\u{17b4}"] {
            assert_eq!((one_line(blank), lines(blank)), (String::new(), String::new()), "{blank:?}");
        }
        for blank in ["\u{e0041}", "\u{1d173}", "\u{61c}", "\u{180b}"] {
            assert_eq!(one_line(blank), "", "{blank:?}");
        }
        assert_eq!(one_line("\u{2800}a"), "\u{2800}a");
    }

    #[test]
    fn scripts_and_emoji_stay_whole() {
        for text in ["한국어", "שלום \u{200f}", "می\u{200c}خواهم", "👩\u{200d}🔬", "<b>&amp;"]
        {
            assert_eq!(one_line(text), text.trim(), "{text:?}");
        }
    }
}
