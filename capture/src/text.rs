//! Octets from strangers: what they look like, and how to show them without harm.
//!
//! A capture holds whatever programs sent. Nothing of it may act on the terminal that shows it: control characters,
//! bidirectional overrides and octets that are not text are written as escapes. Text of any script is kept.

use std::fmt::Write as _;
use std::io::Write as _;

/// What a message looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// No octets at all.
    Empty,
    /// Readable text in UTF-8, ASCII included.
    Utf8,
    /// Readable text in UTF-16, the lower octet of each unit first.
    Utf16Le,
    /// Readable text in UTF-16, the higher octet of each unit first.
    Utf16Be,
    /// A TLS record (RFC 8446 §5.1): encrypted, or about to be.
    Tls,
    /// Compressed: gzip, zlib or zstd by their first octets.
    Compressed,
    /// Anything else.
    Binary,
}

impl TextKind {
    /// How many kinds there are.
    pub const COUNT: usize = 7;

    /// The place of this kind in an array with a place for each.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether anybody who captures it can read it.
    pub const fn is_readable(self) -> bool {
        matches!(self, TextKind::Utf8 | TextKind::Utf16Le | TextKind::Utf16Be)
    }

    /// What these octets look like. A length prefix before the text does not make it binary.
    pub fn of(octets: &[u8]) -> TextKind {
        if octets.is_empty() {
            return TextKind::Empty;
        }
        if octets.iter().all(|&octet| is_plain(octet)) {
            return TextKind::Utf8;
        }
        match Prefix::of(octets) {
            Some(prefix) => Self::of_body(&octets[prefix.len..]),
            None => Self::of_body(octets),
        }
    }

    fn of_body(octets: &[u8]) -> TextKind {
        match octets {
            [0x14..=0x17, 0x03, 0x00..=0x04, _, _, ..] => return TextKind::Tls,
            [0x1f, 0x8b, 0x08, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => return TextKind::Compressed,
            // A zlib header is a multiple of 31 (RFC 1950 §2.2). `x` is also a letter, so the second octet decides.
            [0x78, second @ (0x01 | 0x5e | 0x9c | 0xda), ..]
                if (0x7800 + u32::from(*second)) % 31 == 0 && is_mostly_unreadable(octets) =>
            {
                return TextKind::Compressed;
            }
            _ => {}
        }
        if looks_like_utf16(octets, u16::from_le_bytes) {
            TextKind::Utf16Le
        } else if looks_like_utf16(octets, u16::from_be_bytes) {
            TextKind::Utf16Be
        } else if is_mostly_unreadable(octets) {
            TextKind::Binary
        } else {
            TextKind::Utf8
        }
    }
}

/// Printable ASCII, blanks and line ends: what nearly all text of the lab consists of.
fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

/// Whether more than a tenth of the octets, fillers (NUL) aside, is no text. C programs send whole buffers, and Latin-1
/// has letters that are not UTF-8: neither makes a message unreadable.
fn is_mostly_unreadable(octets: &[u8]) -> bool {
    let octets = without_cut_characters(octets);
    let (mut readable, mut other) = (0usize, 0usize);
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0' => {}
                // Colours and beeps are text to programs that write for a terminal.
                '\x1b' | '\x07' | '\x08' | '\n' | '\r' | '\t' => readable += 1,
                c if c.is_control() => other += 1,
                c => readable += c.len_utf8(),
            }
        }
        other += chunk.invalid().len();
    }
    readable == 0 || other * 9 > readable
}

/// The octets without what may be the end of a character at their beginning, and the beginning of one at their end: TCP
/// cuts text wherever it likes.
pub(crate) fn without_cut_characters(octets: &[u8]) -> &[u8] {
    let continues = |octet: &&u8| matches!(octet, 0x80..=0xbf);
    let head = octets.iter().take(3).take_while(continues).count();
    let octets = &octets[head..];
    let begun = (1..=octets.len().min(3)).find(|&len| {
        let end = std::str::from_utf8(&octets[octets.len() - len..]);
        end.is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    });
    &octets[..octets.len() - begun.unwrap_or(0)]
}

/// Pairs of octets of which nearly all are letters from the first 256 code points or from one script, or that begin
/// with a byte order mark.
fn looks_like_utf16(octets: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    if octets.len() < 4 || !octets.len().is_multiple_of(2) {
        return false;
    }
    let units = || octets.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let marked = units().next() == Some(0xfeff);
    let (mut latin, mut count) = (0usize, 0usize);
    for c in char::decode_utf16(units()) {
        match c {
            Ok('\n' | '\r' | '\t' | '\x1b' | '\u{feff}') => latin += 1,
            Ok(c) if c.is_control() => return false,
            Ok(c) if c < '\u{100}' => latin += 1,
            Ok(_) => {}
            Err(_) => return false,
        }
        count += 1;
    }
    marked || latin * 2 > count
}

/// Octets in front of a text that say how long it is: one way to tell where a message ends in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// How many octets the prefix has.
    pub len: usize,
    /// How the length is written there.
    pub form: PrefixForm,
    /// The length it gives, in octets.
    pub value: u64,
}

/// How a length prefix is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixForm {
    /// One octet.
    Octet,
    /// A number of several octets, the highest first (network order).
    BigEndian,
    /// A number of several octets, the lowest first.
    LittleEndian,
    /// Decimal digits, perhaps with a blank, a colon or a line end behind them.
    Digits,
}

impl Prefix {
    /// The prefix of `octets`, if what follows it is just as long as it says.
    ///
    /// Text that happens to begin like that is not mistaken for it: a prefix of binary form has to hold an octet that
    /// is no text.
    pub fn of(octets: &[u8]) -> Option<Prefix> {
        use PrefixForm as F;
        let fits = |len: usize, value: u64, form| {
            (value > 0 && octets.len() as u64 == len as u64 + value).then_some(Prefix {
                len,
                form,
                value,
            })
        };
        let binary = |len: usize| {
            let head = octets.get(..len)?;
            (!head.iter().all(|&octet| is_plain(octet))).then_some(head)
        };
        if let Some(&[a, b, c, d]) = binary(4) {
            let big = u32::from_be_bytes([a, b, c, d]);
            let little = u32::from_le_bytes([a, b, c, d]);
            let found = fits(4, big.into(), F::BigEndian)
                .or_else(|| fits(4, little.into(), F::LittleEndian));
            if found.is_some() {
                return found;
            }
        }
        if let Some(&[a, b]) = binary(2) {
            let big = u16::from_be_bytes([a, b]);
            let little = u16::from_le_bytes([a, b]);
            let found = fits(2, big.into(), F::BigEndian)
                .or_else(|| fits(2, little.into(), F::LittleEndian));
            if found.is_some() {
                return found;
            }
        }
        if let Some(&[a]) = binary(1)
            && let Some(found) = fits(1, a.into(), F::Octet)
        {
            return Some(found);
        }
        let digits = octets
            .iter()
            .take(10)
            .take_while(|octet| octet.is_ascii_digit())
            .count();
        if digits == 0 {
            return None;
        }
        let value = std::str::from_utf8(&octets[..digits]).ok()?.parse().ok()?;
        let blanks = octets[digits..]
            .iter()
            .take_while(|&&octet| octet == b' ')
            .count();
        let separator = usize::from(matches!(
            octets.get(digits),
            Some(b':' | b'\n' | b'|' | b'#')
        ));
        fits(digits + separator, value, F::Digits)
            .or_else(|| fits(digits + blanks, value, F::Digits))
    }
}

/// `length 15 in 4 octets, big-endian`.
impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "length {} in {} octet", self.value, self.len)?;
        if self.len != 1 {
            f.write_char('s')?;
        }
        f.write_str(match self.form {
            PrefixForm::Octet => "",
            PrefixForm::BigEndian => ", big-endian",
            PrefixForm::LittleEndian => ", little-endian",
            PrefixForm::Digits => " of text",
        })
    }
}

/// Whether a character acts on the terminal or on its neighbours instead of only appearing: control characters
/// (Unicode category Cc), line and paragraph separators, the controls of the bidirectional algorithm (UAX #9),
/// invisible format characters and the byte order mark. The joiners U+200C and U+200D only appear: scripts and emoji
/// are written with them.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes `octets` as text in UTF-8 on one line. Line ends and tabs become `\n`, `\r`, `\t`, a backslash `\\`, other
/// octets that are not text, or not UTF-8, `\xNN`, and characters that [act](acts) `\u{…}`.
pub fn push_safe(out: &mut Vec<u8>, octets: &[u8]) {
    let mut rest = octets;
    loop {
        // Most text is plain up to its line end.
        let plain = rest
            .iter()
            .position(|&octet| !is_safe(octet))
            .unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        match rest {
            [] => return,
            [b'\n', after @ ..] => {
                out.extend_from_slice(b"\\n");
                rest = after;
            }
            _ => {
                let odd = rest
                    .iter()
                    .position(|&octet| is_safe(octet) || octet == b'\n')
                    .unwrap_or(rest.len());
                push_odd(out, &rest[..odd]);
                rest = &rest[odd..];
            }
        }
    }
}

/// ASCII that is written as it is.
fn is_safe(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && octet != b'\\'
}

fn push_odd(out: &mut Vec<u8>, octets: &[u8]) {
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_safe_char(out, c);
        }
        for &octet in chunk.invalid() {
            push_octet(out, octet);
        }
    }
}

/// [`push_safe`] for text that is already known to be characters.
pub fn push_safe_char(out: &mut Vec<u8>, c: char) {
    match c {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\\' => out.extend_from_slice(b"\\\\"),
        c if c.is_ascii_control() => push_octet(out, c as u8),
        c if acts(c) => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        }
        c => {
            let mut buffer = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// `octets` made safe, as a text of its own (see [`push_safe`]).
pub fn safe(octets: &[u8]) -> String {
    let mut out = Vec::with_capacity(octets.len() + 8);
    push_safe(&mut out, octets);
    String::from_utf8(out).expect("only characters and ASCII escapes were written")
}

/// The characters of readable octets; what is not UTF-16 becomes U+FFFD. The byte order mark is left out.
pub fn characters(octets: &[u8], kind: TextKind) -> String {
    let unit: fn([u8; 2]) -> u16 = match kind {
        TextKind::Utf16Le => u16::from_le_bytes,
        TextKind::Utf16Be => u16::from_be_bytes,
        _ => return String::from_utf8_lossy(octets).into_owned(),
    };
    let units = octets.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.filter(|&c| c != '\u{feff}').collect()
}

fn push_octet(out: &mut Vec<u8>, octet: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[
        b'\\',
        b'x',
        DIGITS[usize::from(octet >> 4)],
        DIGITS[usize::from(octet & 0xf)],
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_kind(octets: &[u8], expected: TextKind) {
        assert_eq!(TextKind::of(octets), expected, "{octets:02x?}");
    }

    #[track_caller]
    fn check_safe(octets: &[u8], expected: &str) {
        assert_eq!(safe(octets), expected);
    }

    fn utf16(text: &str, octets: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(octets).collect()
    }

    #[test]
    fn text_in_any_script_is_readable() {
        check_kind(b"", TextKind::Empty);
        check_kind(b"Hi from client!\r\n", TextKind::Utf8);
        check_kind("héllo 😀 你好".as_bytes(), TextKind::Utf8);
        check_kind(b"caf\xe9 au lait", TextKind::Utf8);
        check_kind(b"\x1b[31mred\x1b[0m", TextKind::Utf8);
        check_kind(b"from C\0\0\0\0\0\0\0\0", TextKind::Utf8);
        check_kind(&utf16("12 + 42\n", u16::to_le_bytes), TextKind::Utf16Le);
        check_kind(&utf16("12 + 42\n", u16::to_be_bytes), TextKind::Utf16Be);
        check_kind(&utf16("\u{feff}你好", u16::to_le_bytes), TextKind::Utf16Le);
    }

    #[test]
    fn text_cut_in_the_middle_of_a_character_is_readable() {
        check_kind(b"h\xc3", TextKind::Utf8);
        check_kind(b"\xa9llo \xf0\x9f", TextKind::Utf8);
        check_kind(b"\x98\x80 done\n", TextKind::Utf8);
        // Nothing else to go by, or more than the cut explains.
        check_kind(b"\xc3", TextKind::Binary);
        check_kind(b"\xa9\xc3", TextKind::Binary);
        check_kind(b"\x80\x80\x80\x80ab", TextKind::Binary);
        check_kind(b"ab\xff\xff", TextKind::Binary);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        check_kind(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], TextKind::Tls);
        check_kind(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], TextKind::Compressed);
        check_kind(
            &[0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0],
            TextKind::Compressed,
        );
        check_kind(&[0x78, 0x5e], TextKind::Utf8);
        check_kind(&[1, 2, 3, 0xff, 0xfe], TextKind::Binary);
        check_kind(&[0, 0, 0], TextKind::Binary);
    }

    #[test]
    fn a_length_before_the_text_is_recognised() {
        #[track_caller]
        fn check(octets: &[u8], expected: Option<&str>, kind: TextKind) {
            let prefix = Prefix::of(octets).map(|prefix| prefix.to_string());
            assert_eq!(prefix.as_deref(), expected);
            assert_eq!(TextKind::of(octets), kind);
        }
        check(
            b"\0\0\0\x05hello",
            Some("length 5 in 4 octets, big-endian"),
            TextKind::Utf8,
        );
        check(
            b"\x05\0\0\0hello",
            Some("length 5 in 4 octets, little-endian"),
            TextKind::Utf8,
        );
        check(
            b"\0\x05hello",
            Some("length 5 in 2 octets, big-endian"),
            TextKind::Utf8,
        );
        check(b"\x05hello", Some("length 5 in 1 octet"), TextKind::Utf8);
        check(
            b"5:hello",
            Some("length 5 in 2 octets of text"),
            TextKind::Utf8,
        );
        check(
            b"5         hello",
            Some("length 5 in 10 octets of text"),
            TextKind::Utf8,
        );
        check(
            b"0005hello",
            Some("length 5 in 4 octets of text"),
            TextKind::Utf8,
        );
        check(b"12 + 42", None, TextKind::Utf8);
        check(b"\0\0\0\x06hello", None, TextKind::Binary);
        // A line end is text: ten characters after it are no frame of ten octets.
        check(b"\n0123456789", None, TextKind::Utf8);
    }

    #[test]
    fn text_of_any_script_is_kept() {
        check_safe("héllo 😀 שלום 你好".as_bytes(), "héllo 😀 שלום 你好");
        check_safe(
            "👩\u{200d}💻 می\u{200c}خواهم".as_bytes(),
            "👩\u{200d}💻 می\u{200c}خواهم",
        );
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        check_safe(b"a\nb\r\tc\\x1b", "a\\nb\\r\\tc\\\\x1b");
        check_safe(b"\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f");
        check_safe(
            "\u{9b}31m\u{202e}\u{feff}".as_bytes(),
            "\\u{9b}31m\\u{202e}\\u{feff}",
        );
        check_safe(b"caf\xe9!", "caf\\xe9!");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_comes_out_safe(octets: Vec<u8>) {
            let text = safe(&octets);
            prop_assert!(!text.chars().any(acts), "{text:?}");
        }

        #[test]
        fn every_text_has_a_kind(octets: Vec<u8>) {
            let kind = TextKind::of(&octets);
            let _ = characters(&octets, kind);
            prop_assert_eq!(kind == TextKind::Empty, octets.is_empty());
        }
    }
}
