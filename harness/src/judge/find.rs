//! Is this text, or this number, in what crossed the wire? Whatever the framing and the encoding.
//!
//! Students design their protocols, so a request may be split over segments, have its length before it, stand in JSON
//! with everything escaped, be UTF-16, or be three messages `12`, `+`, `42`. Everything is read in every way that a
//! person with Wireshark would try; found in one of them is found. *Not* found proves nothing (it may be encrypted), so
//! nobody may fail for it.

use super::number;
use crate::text;

/// Whether the pieces, in their order, carry a text.
pub fn carries_text(pieces: &[&[u8]], wanted: &str) -> bool {
    let views = views(pieces);
    let folded = text::fold(wanted);
    let squeezed = squeeze(wanted);
    if views
        .iter()
        .any(|view| text::fold(view).contains(&folded) || squeeze(view).contains(&squeezed))
    {
        return true;
    }
    // As fields of their own: the numbers of a request matter, its signs may be anything.
    let operands: Vec<f64> = wanted
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    if operands.len() >= 2 {
        let all_in = |view: &String| {
            operands
                .iter()
                .all(|operand| number::contains(view, *operand))
        };
        return views.iter().any(all_in) || carries_binary(pieces, &operands);
    }
    let words: Vec<String> = wanted.split_whitespace().map(text::fold).collect();
    words.len() >= 2 && views.iter().any(|view| in_order(&text::fold(view), &words))
}

/// Whether the pieces carry a number, however it is written.
pub fn carries_number(pieces: &[&[u8]], wanted: f64) -> bool {
    let views = views(pieces);
    if views.iter().any(|view| number::contains(view, wanted)) {
        return true;
    }
    // Digits of a length may touch those of the number: `000254` is four characters… and 54.
    let digits = format!("{wanted}");
    let touching = digits.len() >= 2 && views.iter().any(|view| squeeze(view).contains(&digits));
    touching || carries_binary(pieces, &[wanted])
}

/// What was said, for people: on one line, safe, and not long.
pub fn shown(pieces: &[&[u8]]) -> String {
    const MOST: usize = 160;
    let mut text = String::new();
    for piece in pieces {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let end = piece.len().min(MOST * 4);
        text.push('"');
        text.push_str(&capture::text::safe(&piece[..end]));
        text.push('"');
        if text.len() > MOST * 4 {
            break;
        }
    }
    text::shorten(&text, MOST)
}

/// Whether octets read as text: UTF-8 without controls but blanks and line ends.
pub fn is_plain(octets: &[u8]) -> bool {
    std::str::from_utf8(octets)
        .is_ok_and(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace()))
}

/// The pieces as texts: glued together and one by one, as they are and with JSON's escapes undone, with the zero octets
/// of UTF-16 and without.
fn views(pieces: &[&[u8]]) -> Vec<String> {
    let mut views = Vec::new();
    for between in [&b""[..], b"\n"] {
        let joined = pieces.join(between);
        let readable = |octets: &[u8]| -> String {
            String::from_utf8_lossy(octets)
                .chars()
                .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
                .collect()
        };
        let mut both = vec![readable(&joined)];
        if joined.contains(&0) {
            let dense: Vec<u8> = joined.iter().copied().filter(|octet| *octet != 0).collect();
            both.push(readable(&dense));
        }
        for view in both {
            if view.contains('\\') {
                views.push(unescape(&view));
            }
            views.push(view);
        }
    }
    views
}

/// Undoes the escapes of JSON strings (RFC 8259 §7); what is none stays.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut high: Option<u32> = None;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (c, used) = match after.chars().next() {
            Some('u') => {
                let code = after
                    .get(1..5)
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok());
                match (code, high.take()) {
                    (Some(code @ 0xd800..0xdc00), _) => {
                        high = Some(code);
                        (None, 5)
                    }
                    (Some(low @ 0xdc00..0xe000), Some(high)) => (
                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
                        5,
                    ),
                    (Some(code), _) => (char::from_u32(code), 5),
                    (None, _) => (Some('\\'), 0),
                }
            }
            Some('n' | 'r' | 't') => (Some(' '), 1),
            Some(c @ ('"' | '\\' | '/')) => (Some(c), 1),
            _ => (Some('\\'), 0),
        };
        out.extend(c);
        rest = &after[used..];
    }
    out.push_str(rest);
    out
}

fn squeeze(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace());
    kept.flat_map(char::to_lowercase).collect()
}

fn in_order(text: &str, words: &[String]) -> bool {
    let mut rest = text;
    words.iter().all(|word| match rest.find(word.as_str()) {
        Some(at) => {
            rest = &rest[at + word.len()..];
            true
        }
        None => false,
    })
}

/// How a number becomes octets, if it can.
type Form = fn(f64) -> Option<Vec<u8>>;

/// Whether all numbers are there in one of the forms in which programs write them as octets.
fn carries_binary(pieces: &[&[u8]], numbers: &[f64]) -> bool {
    let joined = pieces.concat();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the value is compared after it"
    )]
    let forms: [Form; 8] = [
        |n| Some(n.to_be_bytes().to_vec()),
        |n| Some(n.to_le_bytes().to_vec()),
        |n| Some((n as f32).to_be_bytes().to_vec()),
        |n| Some((n as f32).to_le_bytes().to_vec()),
        |n| whole(n).map(|n| n.to_be_bytes().to_vec()),
        |n| whole(n).map(|n| n.to_le_bytes().to_vec()),
        |n| {
            whole(n)
                .and_then(|n| i32::try_from(n).ok())
                .map(|n| n.to_be_bytes().to_vec())
        },
        |n| {
            whole(n)
                .and_then(|n| i32::try_from(n).ok())
                .map(|n| n.to_le_bytes().to_vec())
        },
    ];
    let holds = |octets: &[u8]| joined.windows(octets.len()).any(|window| window == octets);
    forms.iter().any(|form| {
        numbers
            .iter()
            .all(|number| form(*number).is_some_and(|octets| holds(&octets)))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers of a scenario's size are converted"
)]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&[u8]], wanted: &str, expected: bool) {
        assert_eq!(
            carries_text(pieces, wanted),
            expected,
            "{wanted:?} in {pieces:?}"
        );
    }

    #[test]
    fn a_request_is_found_in_every_framing_and_encoding() {
        let utf_16: Vec<u8> = "Zelda: 12 + 42"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let utf_16_be: Vec<u8> = "12 + 42"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let doubles = [12.0_f64.to_be_bytes(), 42.0_f64.to_be_bytes()].concat();
        let words = [12_i32.to_le_bytes(), 42_i32.to_le_bytes()].concat();
        let cases: [&[&[u8]]; 14] = [
            &[b"12 + 42"],
            &[b"12 + 42\r\n"],
            &[b"12", b" + 4", b"2"],
            &[b"1", b"2", b" ", b"+", b" ", b"4", b"2"],
            &[b"\x00\x00\x00\x0712 + 42"],
            &[b"000712 + 42"],
            &[b"{\"left\": 12.0, \"op\": \"+\", \"right\": 42.0}\n"],
            &[b"{\"line\":\"12 \\u002b 42\"}"],
            &[b"12", b"+", b"42"],
            &[b"12+42"],
            &[b"ADD 12.000 42.000"],
            &[&utf_16],
            &[&utf_16_be],
            &[b"\x01", &doubles],
        ];
        for pieces in cases {
            check(pieces, "12 + 42", true);
        }
        check(&[b"+", &words], "12 + 42", true);
        check(&[b"3.240 * 45.0"], "3.24 * 45", true);
        check(&[b"{\"name\": \"zelda\"}"], "Zelda", true);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        check(&[b"54"], "12 + 42", false);
        check(&[b"12 + 43"], "12 + 42", false);
        check(&[], "12 + 42", false);
        check(&[b"\x8a\x13\xfe\x00\x91"], "12 + 42", false);
        check(&[b"banana"], "pineapple", false);
        assert!(!carries_number(&[b"12 + 42"], 54.0));
    }

    #[test]
    fn an_answer_is_found_however_it_is_written() {
        for piece in [
            &b"54"[..],
            b"54.000000",
            b"\x00\x0254",
            b"000254",
            b"{\"result\":5.4e1}",
        ] {
            assert!(carries_number(&[piece], 54.0), "{piece:?}");
        }
        assert!(carries_number(&[b"5", b"4"], 54.0));
        assert!(carries_number(&[&54.0_f64.to_le_bytes()], 54.0));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_searched_without_harm(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in 0_usize..200) {
            let (left, right) = octets.split_at(at.min(octets.len()));
            let _ = carries_text(&[left, right], "12 + 42");
            let _ = carries_number(&[left, right], 54.0);
            let _ = shown(&[left, right]);
        }

        #[test]
        fn text_split_anywhere_is_found(at in 0_usize..12) {
            let text = b"say: 12 + 42";
            let (left, right) = text.split_at(at);
            proptest::prop_assert!(carries_text(&[left, right], "12 + 42"));
        }
    }
}
