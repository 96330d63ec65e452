//! Text from strangers: what files, pods and servers said, made safe to store and to print.
//!
//! Responsible for: one line, no control characters, a bounded length. Must never: escape for a particular display, or
//! be used where a value must be told exactly; [`super::value::printable`] escapes.

/// Stands for every character that could steer a terminal or turn text around.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;
/// Shows that something was cut.
const ELLIPSIS: &str = "…";

/// One line without control characters: lines are joined by ` | `, colours are dropped, everything else that steers
/// a terminal or the direction of writing becomes U+FFFD.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.split(['\n', '\r', '\u{2028}', '\u{2029}']) {
        let part = clean(part);
        if !part.trim().is_empty() {
            if !line.is_empty() {
                line.push_str(" | ");
            }
            line.push_str(part.trim());
        }
    }
    line
}

/// Text without control characters, with its spaces as they are: colours are dropped, a tab is a space, everything else
/// that steers a terminal, begins a line or turns the direction of writing becomes U+FFFD.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // A control sequence introducer (colours, cursor): nothing up to its final character is text.
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                let _ = characters.find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            '\t' => out.push(' '),
            c if c.is_control() || is_line_separator(c) || is_direction_control(c) => out.push(REPLACEMENT),
            c => out.push(c),
        }
    }
    out
}

fn is_line_separator(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}

fn is_direction_control(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of a text, at most so many bytes.
#[must_use]
pub fn head(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(ELLIPSIS.len());
    let end = (0..=room).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default())
}

/// The end of a text, at most so many bytes: of what a program printed before it failed, the last words say why.
#[must_use]
pub fn tail(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let cut = text.len() - limit.saturating_sub(ELLIPSIS.len());
    let start = (cut..=text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len());
    format!("{ELLIPSIS}{}", text.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_joined_and_nothing_steers_a_terminal() {
        assert_eq!(one_line("a\r\n\n  b\tc \n"), "a | b c");
        assert_eq!(one_line("\u{1b}[31mred\u{1b}[0m"), "red");
        assert_eq!(one_line("\u{1b}]0;title\u{7}x\0y"), "\u{fffd}]0;title\u{fffd}x\u{fffd}y");
        assert_eq!(one_line("a\u{202e}b\u{9b}31m"), "a\u{fffd}b\u{fffd}31m");
        assert_eq!(one_line("größe 🦀"), "größe 🦀");
        assert_eq!(clean("  a\tb\n\u{2028}\u{2067}\u{1b}[1mc "), "  a b\u{fffd}\u{fffd}\u{fffd}c ");
    }

    #[test]
    fn a_cut_shows_on_the_side_where_text_is_missing() {
        assert_eq!(head("abcdefgh", 6), "abc…");
        assert_eq!(tail("abcdefgh", 6), "…fgh");
        assert_eq!(head("🦀🦀🦀", 8), "🦀…");
        assert_eq!(tail("🦀🦀🦀", 8), "…🦀");
        assert_eq!(tail("abc", 3), "abc");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_never_too_long(text in any::<String>(), limit in 3usize..40) {
            prop_assert!(head(&text, limit).len() <= limit);
            prop_assert!(tail(&text, limit).len() <= limit);
            for shown in [one_line(&text), clean(&text)] {
                prop_assert!(!shown.chars().any(|c| c.is_control() || is_direction_control(c)));
            }
        }
    }
}
