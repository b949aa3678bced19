//! Login names, and when two of them are the same.
//!
//! A chat room is only as honest as its names: `Ada`, `ADA`, `Ａｄａ` and `Ada` with an invisible
//! character in it must not be four people. The rules follow the nickname profile of RFC 8266: blanks
//! are trimmed and collapsed, and names are compared after compatibility normalisation (NFKC) and
//! lower-casing. Characters that cannot be seen are refused, and so are heaps of accents.
//!
//! Names that are not the same may still *look* the same (Latin `a`, Cyrillic `а`). Unicode's table of
//! confusables (UTS #39) knows them; see [`Name::look`].
//!
//! Deliberately does not judge a name on its own: mixed scripts are honest in many places. Nor does it
//! know what merely resembles (`Ada` and `Ada.`), or what the table leaves out.

use std::{fmt, sync::Arc};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::skeleton;

use crate::printable::is_unsafe;

/// Most characters in a name.
pub const MAX_NAME_LEN: usize = 32;

/// Most combining marks in a row. Languages are written with fewer; a heap of them covers the lines above
/// and below.
pub const MAX_MARKS: usize = 4;

/// A name fit for the room. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Arc<str>);

/// What equal names have in common; see [`Name::key`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey(String);

/// What names that look the same have in common; see [`Name::look`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look(String);

/// Why a name is refused; the text is meant for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing but blanks.
    #[error("a name needs at least one character")]
    Empty,
    /// More than [`MAX_NAME_LEN`] characters.
    #[error("a name has at most {MAX_NAME_LEN} characters, this one has {0}")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("a name is UTF-8 text, this one is not")]
    NotUtf8,
    /// A control or format character, or another that shows nothing.
    #[error("a name may not contain the invisible character U+{:04X}", *.0 as u32)]
    Invisible(char),
    /// The colon ends the name in front of every line.
    #[error("a name may not contain a colon")]
    Colon,
    /// A combining mark with nothing to stand on: it would stand on what is shown before the name.
    #[error("a name may not begin with the combining mark U+{:04X}", *.0 as u32)]
    LoneMark(char),
    /// More than [`MAX_MARKS`].
    #[error("a name has at most {MAX_MARKS} combining marks on one letter")]
    HeapOfMarks,
}

impl Name {
    /// Reads what somebody typed as their login name.
    ///
    /// # Errors
    /// [`BadName`] says which rule was broken.
    pub fn parse(octets: &[u8]) -> Result<Self, BadName> {
        let text = std::str::from_utf8(octets).map_err(|_| BadName::NotUtf8)?;
        let text = text.trim();
        if let Some(c) = text.chars().find(|&c| is_unsafe(c) || is_invisible(c)) {
            return Err(BadName::Invisible(c));
        }
        if text.contains([':', '\u{ff1a}']) {
            return Err(BadName::Colon);
        }
        if let Some(mark) = text.chars().next().filter(|&c| is_combining_mark(c)) {
            return Err(BadName::LoneMark(mark));
        }
        // Taken apart, so that `é` counts as much as `e` with an accent.
        let apart: Vec<_> = text.nfd().collect();
        if apart
            .windows(MAX_MARKS + 1)
            .any(|row| row.iter().copied().all(is_combining_mark))
        {
            return Err(BadName::HeapOfMarks);
        }
        let words: Vec<_> = text.split_whitespace().collect();
        let name = words.join(" ");
        match name.chars().count() {
            0 => Err(BadName::Empty),
            len if len > MAX_NAME_LEN => Err(BadName::TooLong(len)),
            _ => Ok(Self(name.into())),
        }
    }

    /// The form in which names are compared: equal keys, equal names (RFC 8266 §2.4).
    pub fn key(&self) -> NameKey {
        // Upper case first joins what lower case alone keeps apart: `ß` and `SS`, `ς` and `σ`.
        let folded = self.0.nfkc().collect::<String>();
        let folded = folded.to_uppercase().to_lowercase();
        NameKey(folded.nfkc().collect())
    }

    /// The form in which looks are compared: the *skeleton* of UTS #39 §4, in which every character is
    /// replaced by the simplest one that looks like it.
    pub fn look(&self) -> Look {
        // Before lower-casing `I` looks like `l`, and afterwards `А` (Cyrillic) like `a`.
        let shape: String = skeleton(&self.0.nfkc().collect::<String>()).collect();
        Look(skeleton(&shape.to_lowercase()).collect())
    }

    /// The name as shared text.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that show nothing, in addition to the unsafe ones: Unicode's default-ignorable code
/// points, hieroglyphs' format controls and a few blank symbols.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{2800}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{13430}'..='\u{1343f}' | '\u{16fe4}' | '\u{1d159}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(typed: &str, expected: Result<&str, BadName>) {
        let got = Name::parse(typed.as_bytes()).map(|name| name.to_string());
        assert_eq!(got, expected.map(str::to_owned), "{typed:?}");
    }

    #[track_caller]
    fn check_same(one: &str, other: &str, same: bool) {
        let key = |text: &str| Name::parse(text.as_bytes()).expect("a good name").key();
        assert_eq!(key(one) == key(other), same, "{one:?} and {other:?}");
    }

    #[test]
    fn names_are_trimmed_and_their_blanks_collapsed() {
        check("Ada", Ok("Ada"));
        check("  Ada \t", Ok("Ada"));
        check("Ada  \u{a0} Lovelace", Ok("Ada Lovelace"));
        check("Žofie 你好 😀", Ok("Žofie 你好 😀"));
    }

    #[test]
    fn the_length_is_counted_in_characters() {
        check("", Err(BadName::Empty));
        check(" \u{3000} ", Err(BadName::Empty));
        check(&"é".repeat(32), Ok(&"é".repeat(32)));
        check(&"é".repeat(33), Err(BadName::TooLong(33)));
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        check("A\tda", Err(BadName::Invisible('\t')));
        check("A\x1bda", Err(BadName::Invisible('\x1b')));
        check("A\u{200b}da", Err(BadName::Invisible('\u{200b}')));
        check("\u{202e}adA", Err(BadName::Invisible('\u{202e}')));
        check("\u{3164}", Err(BadName::Invisible('\u{3164}')));
        check("Ada: hi", Err(BadName::Colon));
        assert_eq!(Name::parse(b"Ad\xe4"), Err(BadName::NotUtf8));
    }

    #[test]
    fn names_are_compared_without_case_and_without_ways_of_writing_the_same() {
        check_same("Ada", "aDA", true);
        check_same("Žofie", "žOFIE", true);
        check_same("Straße", "STRASSE", true);
        check_same("Σίσυφος", "ΣΊΣΥΦΟΣ", true);
        check_same("é", "e\u{301}", true);
        check_same("Ada", "Ａｄａ", true);
        // An iota below that is no letter until it is a capital, and marks in either order: found by fuzzing.
        check_same("ᾳ", "ΑΙ", true);
        check_same("a\u{345}\u{35f}", "a\u{35f}\u{345}", true);
        check_same("Ada L", "Ada\u{2003}l", true);
        check_same("Ada", "Adam", false);
        check_same("Ada L", "AdaL", false);
    }

    #[test]
    fn marks_need_a_letter_and_do_not_pile_up() {
        let marks = |count| format!("A{}da", "\u{301}".repeat(count));
        check("\u{301}Ada", Err(BadName::LoneMark('\u{301}')));
        check(&marks(MAX_MARKS), Ok(&marks(MAX_MARKS)));
        check(&marks(MAX_MARKS + 1), Err(BadName::HeapOfMarks));
        // `ấ` is three of them, whichever way it is written.
        check(&"ấ".repeat(10), Ok(&"ấ".repeat(10)));
        check("ấ\u{301}\u{301}\u{301}", Err(BadName::HeapOfMarks));
        check("นํ้า हिन्दी שָׁלוֹם", Ok("นํ้า हिन्दी שָׁלוֹם"));
    }

    #[track_caller]
    fn check_looks(one: &str, other: &str, alike: bool) {
        let look = |text: &str| Name::parse(text.as_bytes()).expect("a good name").look();
        assert_eq!(look(one) == look(other), alike, "{one:?} and {other:?}");
    }

    #[test]
    fn names_of_other_letters_can_look_the_same() {
        check_looks("Ada", "Аdа", true); // Cyrillic А and а
        check_looks("Ada", "АDА", true); // the same, and in capitals
        check_looks("Bob", "Вοb", true); // Cyrillic В, Greek ο
        check_looks("Ali", "AIi", true); // capital i
        check_looks("Bob", "B0b", true); // zero
        check_looks("Tim", "Tirn", true);
        check_looks("Ada", "𝐀𝐝𝐚", true); // mathematical letters
        check_looks("Ada", "Adá", false);
        check_looks("Ada", "Ada.", false); // resembles, as the documentation says
        check_looks("Jose", "José", false);
        check_looks("m1", "m2", false);
        check_looks("Анна", "Anna", false); // letters of Anna's name, and no imitation
    }

    proptest! {
        #[test]
        fn the_same_name_looks_the_same(typed in "\\PC{1,12}") {
            if let Ok(name) = Name::parse(typed.as_bytes())
                && let Ok(other) = Name::parse(typed.nfd().collect::<String>().as_bytes())
            {
                prop_assert_eq!(name.look(), other.look());
            }
        }

        #[test]
        fn a_name_once_accepted_is_accepted_again_and_equals_itself(octets: Vec<u8>) {
            if let Ok(name) = Name::parse(&octets) {
                let again = Name::parse(name.to_string().as_bytes()).expect("accepted before");
                prop_assert_eq!(again.key(), name.key());
                prop_assert_eq!(again, name);
            }
        }
    }
}
