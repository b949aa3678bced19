//! Octets from the network, made safe for a terminal.
//!
//! A stranger's text may hold escape codes that clear the screen, change the
//! window's title or reverse the reading direction. Those are shown as
//! escapes (`\x1b`, `\u{202e}`), octets that are no UTF-8 as `\xff`; all other
//! text stays as it is, a backslash too. So the result is for eyes, and cannot
//! be turned back into the octets.

use std::fmt::{self, Write};

/// Shows octets as one line of harmless text.
///
/// At most `limit` octets are shown, never half a character; what was cut is
/// replaced by `… (N octets)` with the whole length.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a> {
    octets: &'a [u8],
    limit: usize,
}

impl<'a> Printable<'a> {
    /// All of the octets.
    pub fn whole(octets: &'a [u8]) -> Self {
        Self::up_to(usize::MAX, octets)
    }

    /// The first `limit` octets and, when that is not all, how many there are.
    pub fn up_to(limit: usize, octets: &'a [u8]) -> Self {
        Self { octets, limit }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = self.limit;
        for chunk in self.octets.utf8_chunks() {
            for character in chunk.valid().chars() {
                match room.checked_sub(character.len_utf8()) {
                    Some(rest) => room = rest,
                    None => return write!(f, "… ({} octets)", self.octets.len()),
                }
                write_character(f, character)?;
            }
            for octet in chunk.invalid() {
                match room.checked_sub(1) {
                    Some(rest) => room = rest,
                    None => return write!(f, "… ({} octets)", self.octets.len()),
                }
                write!(f, "\\x{octet:02x}")?;
            }
        }
        Ok(())
    }
}

fn write_character(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", u32::from(character)),
        _ if misleads(character) => write!(f, "{}", character.escape_unicode()),
        _ => f.write_char(character),
    }
}

/// Characters that have no shape of their own but change how others look:
/// C1 controls, line separators, bidi controls (Unicode UAX #9), invisible
/// marks and tags. The joiners U+200C and U+200D stay: emoji and several
/// scripts need them.
fn misleads(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(octets: &[u8], expected: &str) {
        assert_eq!(Printable::whole(octets).to_string(), expected);
    }

    #[track_caller]
    fn check_cut(limit: usize, octets: &[u8], expected: &str) {
        assert_eq!(Printable::up_to(limit, octets).to_string(), expected);
    }

    #[test]
    fn text_stays_as_it_is() {
        check(b"Hi from client!", "Hi from client!");
        check("héllo 😀 👨‍👩‍👧 שלום".as_bytes(), "héllo 😀 👨‍👩‍👧 שלום");
        check(br"C:\new", r"C:\new");
        check(b"", "");
    }

    #[test]
    fn what_moves_the_cursor_is_escaped() {
        check(b"\x1b[2Jboo", r"\x1b[2Jboo");
        check(b"a\nb\r\tc\x00\x7f", r"a\nb\r\tc\x00\x7f");
        check("\u{9b}31m".as_bytes(), r"\u{9b}31m");
        check("abc\u{202e}def".as_bytes(), r"abc\u{202e}def");
    }

    #[test]
    fn octets_that_are_no_text_are_shown_in_hexadecimal() {
        check(b"\xff\xfe!", r"\xff\xfe!");
        check(b"cut \xf0\x9f\x98", r"cut \xf0\x9f\x98");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_its_length_told() {
        check_cut(3, b"abc", "abc");
        check_cut(3, b"abcd", "abc… (4 octets)");
        check_cut(2, "aé".as_bytes(), "a… (3 octets)");
        check_cut(1, b"\xff\xff", r"\xff… (2 octets)");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_is_left(octets: Vec<u8>, limit in 0..64usize) {
            let shown = Printable::up_to(limit, &octets).to_string();
            prop_assert!(!shown.chars().any(|c| c.is_control() || misleads(c)));
        }
    }
}
