//! Text that cannot do anything to a terminal but appear on it.
//!
//! An escape code in a chat line could clear a reader's screen, retitle the window or, on some
//! terminals, type for them; a bidirectional override could make `Ada: yes` read as something else.
//! Escaping is for eyes only: a backslash stays as it is, so it cannot be undone.
//!
//! Deliberately does not judge letters that look like other letters.

use std::{borrow::Cow, fmt::Write};

/// The most octets of printable text that one octet of input can become (`\x1b`).
pub const MAX_EXPANSION: usize = 4;

/// The octets as text, with what is not UTF-8 written `\xff`, and control characters and those that
/// [reorder or break](is_unsafe) the line written `\x1b` or `\u{202e}`. All else is kept, so safe
/// text is borrowed and printing what is printable changes nothing.
pub fn printable(octets: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(octets)
        && !text.chars().any(is_unsafe)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(octets.len() * 2);
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if !is_unsafe(c) => out.push(c),
                c if c.is_ascii() => push_octet(&mut out, c as u8),
                c => out.extend(c.escape_unicode()),
            }
        }
        for &octet in chunk.invalid() {
            push_octet(&mut out, octet);
        }
    }
    Cow::Owned(out)
}

/// Whether a character acts on the terminal or on its neighbours instead of only appearing: control
/// characters (Unicode category Cc), line and paragraph separators, the controls of the
/// bidirectional algorithm (UAX #9), deprecated format characters and the byte order mark.
///
/// The joiners U+200C and U+200D are safe: scripts and emoji are written with them.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn push_octet(out: &mut String, octet: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{octet:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(octets: &[u8], expected: &str) {
        assert_eq!(printable(octets), expected);
    }

    #[test]
    fn text_of_any_script_is_kept() {
        check("héllo 😀".as_bytes(), "héllo 😀");
        check("שלום 你好".as_bytes(), "שלום 你好");
        check(
            "👩\u{200d}💻 می\u{200c}خواهم".as_bytes(),
            "👩\u{200d}💻 می\u{200c}خواهم",
        );
        check(b"C:\\x1b", "C:\\x1b");
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        check(
            b"\x1b[2J\x07\r\n\t\x7f",
            "\\x1b[2J\\x07\\x0d\\x0a\\x09\\x7f",
        );
        check("\u{9b}31m".as_bytes(), "\\u{9b}31m");
        check("a\u{202e}b\u{2066}".as_bytes(), "a\\u{202e}b\\u{2066}");
        check("\u{2028}\u{feff}".as_bytes(), "\\u{2028}\\u{feff}");
    }

    #[test]
    fn octets_that_are_not_utf8_are_escaped_and_their_neighbours_kept() {
        check(b"caf\xe9!", "caf\\xe9!");
        check(b"\xc3(\xf0\x9f\x98", "\\xc3(\\xf0\\x9f\\x98");
        check(b"\xed\xa0\x80", "\\xed\\xa0\\x80");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_comes_out_safe_bounded_and_stable(octets: Vec<u8>) {
            let text = printable(&octets).into_owned();
            prop_assert!(!text.chars().any(is_unsafe));
            prop_assert!(text.len() <= octets.len() * MAX_EXPANSION);
            prop_assert_eq!(printable(text.as_bytes()), text.as_str());
        }

        #[test]
        fn an_escaped_character_is_no_longer_than_promised(c: char) {
            let c = c.to_string();
            prop_assert!(printable(c.as_bytes()).len() <= c.len() * MAX_EXPANSION);
        }
    }
}
