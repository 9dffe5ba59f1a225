//! Text of other systems that must not act on whoever reads it: control characters move a terminal's
//! cursor and clear its screen, marks of writing direction show another number than there is.

use std::borrow::Cow;
use std::fmt::Write;

/// Characters that are not seen and change how others are: control characters but the line end and the
/// tab, and marks of writing direction.
pub const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with every hidden character written out as `\u001b`. In a JSON text, where such a character
/// can only stand inside a string, this is the same text.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            // All of them are in the first plane. Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The same on one line: for a cell of a table.
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\t']) {
        return escaped(text);
    }
    Cow::Owned(escaped(text).replace('\n', "\\n").replace('\t', "\\t"))
}

/// The text without its hidden characters: for a partner, who has no use for an escape.
pub fn without_hidden(text: String) -> String {
    if text.contains(is_hidden) { text.replace(is_hidden, "") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        let hostile = "INV\u{1b}[2J\u{7}\r\u{9b}31m\u{202e}100.00\u{2069}\u{200f}";
        let shown = escaped(hostile);
        assert_eq!(shown, "INV\\u001b[2J\\u0007\\u000d\\u009b31m\\u202e100.00\\u2069\\u200f");
        assert!(!shown.contains(is_hidden));
        assert_eq!(without_hidden(hostile.to_owned()), "INV[2J31m100.00");
    }

    #[test]
    fn text_of_any_script_stays_and_lines_stay_lines() {
        for text in ["Möbelhaus Grünwald & Söhne", "株式会社\n\tשלום", ""] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(on_one_line("a\nb\tc"), "a\\nb\\tc");
    }

    #[test]
    fn an_escaped_json_text_says_the_same() {
        let value = serde_json::json!({ "number": "A\u{202e}\u{9b}B\u{1b}" });
        let text = value.to_string();
        let shown = escaped(&text);
        assert!(!shown.contains(is_hidden));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
