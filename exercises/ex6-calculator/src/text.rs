//! Received octets made safe to print.
//!
//! A terminal obeys what it is sent: an escape sequence in a message could move the cursor, change
//! the colours or forge the line above. So whatever came from elsewhere passes through here on its
//! way to a screen. Ordinary text in any script is left alone.

use std::borrow::Cow;

/// The octets as text, with everything a terminal would act upon escaped: `\t`, `\x1b`, `\u{202e}`,
/// and `\xff` for an octet that is not UTF-8.
pub fn printable(octets: &[u8]) -> Cow<'_, str> {
    // All of them, and not the first that is not: that can be done to many at once.
    let is_plain = |all, octet: &u8| all & matches!(octet, b' '..=b'~');
    if octets.iter().fold(true, is_plain)
        && let Ok(text) = str::from_utf8(octets)
    {
        // Nearly always: nothing to escape, so nothing to copy.
        return text.into();
    }
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        for piece in chunk.valid().split_inclusive(is_unsafe) {
            let unsafe_end = piece.chars().next_back().filter(|&char| is_unsafe(char));
            let safe_len = piece.len() - unsafe_end.map_or(0, char::len_utf8);
            text.push_str(&piece[..safe_len]);
            if let Some(char) = unsafe_end {
                text.push_str(&escape(char));
            }
        }
        for octet in chunk.invalid() {
            text.push_str(&format!("\\x{octet:02x}"));
        }
    }
    text.into()
}

/// Like [`printable`], for one character.
pub fn printable_char(char: char) -> String {
    if is_unsafe(char) {
        escape(char)
    } else {
        char.to_string()
    }
}

fn escape(char: char) -> String {
    match char {
        '\t' => "\\t".to_owned(),
        _ if char.is_ascii() => format!("\\x{:02x}", u32::from(char)),
        _ => char.escape_unicode().to_string(),
    }
}

/// Whether a terminal would act upon the character instead of showing it: control characters, line
/// and paragraph separators, and the invisible marks that reorder text.
pub fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: &str) {
        assert_eq!(printable(octets), expected);
    }

    #[test]
    fn ordinary_text_is_left_alone_and_the_rest_is_escaped() {
        check("12 + 42".as_bytes(), "12 + 42");
        check("héllo 😀 ÷".as_bytes(), "héllo 😀 ÷");
        check(b"a\tb\x1b[2Jc\x07", "a\\tb\\x1b[2Jc\\x07");
        check("\u{202e}evil\u{85}".as_bytes(), "\\u{202e}evil\\u{85}");
        check(b"\xffA\xc3", "\\xffA\\xc3");
    }

    proptest! {
        #[test]
        fn no_control_character_survives(octets in any::<Vec<u8>>()) {
            prop_assert!(!printable(&octets).chars().any(char::is_control));
        }
    }
}
