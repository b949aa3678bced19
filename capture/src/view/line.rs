//! Columns, numbers and colours: how the views write a line.
//!
//! All of it appends to a buffer, and numbers are written without `fmt`: a view writes a line for nearly every segment,
//! so this is where its time goes.

use super::Style;
use crate::conversation::note::{Milliseconds, Note};
use crate::conversation::{Conversation, Direction, Flags, Message, Role};
use crate::decode::Transport;
use crate::text::{self, Prefix, TextKind};
use std::net::SocketAddr;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Most octets of one message that a line shows; how many more there are is said.
pub(super) const MOST_OCTETS: usize = 400;

/// `00` to `99`: two digits for one division.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// A whole number that can be written.
pub(super) trait Number {
    /// Whether it is negative, and how far from 0 it is.
    fn parts(self) -> (bool, u64);
}

macro_rules! unsigned {
    ($($kind:ty)*) => {$(
        impl Number for $kind {
            fn parts(self) -> (bool, u64) {
                (false, self.into())
            }
        }
    )*};
}

unsigned!(u8 u16 u32 u64);

impl Number for i64 {
    fn parts(self) -> (bool, u64) {
        (self < 0, self.unsigned_abs())
    }
}

/// A whole number.
pub(super) fn push_number(out: &mut Vec<u8>, number: impl Number) {
    let (is_negative, number) = number.parts();
    if is_negative {
        out.push(b'-');
    }
    push_digits(out, number);
}

/// Digits, as few as it takes. Pieces of a fixed length are what the compiler can append quickly.
fn push_digits(out: &mut Vec<u8>, number: u64) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        10..100 => out.extend_from_slice(&PAIRS[number as usize]),
        100..1_000 => {
            let [_, digits @ ..] = four_digits(number);
            out.extend_from_slice(&digits);
        }
        1_000..10_000 => out.extend_from_slice(&four_digits(number)),
        _ => {
            push_digits(out, number / 10_000);
            out.extend_from_slice(&four_digits(number));
        }
    }
}

/// The last four digits of a number.
fn four_digits(number: u64) -> [u8; 4] {
    let number = (number % 10_000) as usize;
    let ([a, b], [c, d]) = (PAIRS[number / 100], PAIRS[number % 100]);
    [a, b, c, d]
}

/// How many digits a number has.
fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A whole number, right-aligned in `width` columns.
pub(super) fn push_number_right(out: &mut Vec<u8>, number: u64, width: usize) {
    push_blanks(out, width.saturating_sub(digits(number)));
    push_digits(out, number);
}

/// So many blanks.
pub(super) fn push_blanks(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, b' ');
}

/// Blanks up to the end of a column of `WIDTH` that began at `start`; none where what is in it is longer.
pub(super) fn push_blanks_to<const WIDTH: usize>(out: &mut Vec<u8>, start: usize) {
    // As with digits: a fixed number, and then cut back.
    let end = out.len().max(start + WIDTH);
    out.extend_from_slice(&[b' '; WIDTH]);
    out.truncate(end);
}

/// Text, left-aligned in `width` columns of a terminal. Longer text is not cut.
pub(super) fn push_left(out: &mut Vec<u8>, text: &str, width: usize) {
    out.extend_from_slice(text.as_bytes());
    push_blanks(out, width.saturating_sub(columns(text)));
}

/// How many columns of a terminal a text takes.
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// Nanoseconds as seconds with six decimals, right-aligned in `width` columns: `  0.000021`.
pub(super) fn push_seconds(out: &mut Vec<u8>, nanos: i64, width: usize) {
    let micros = nanos.unsigned_abs() / 1_000;
    let start = out.len();
    if nanos < 0 {
        out.push(b'-');
    }
    push_number(out, micros / 1_000_000);
    let mut decimals = *b".000000";
    put_pairs(&mut decimals[1..], (micros % 1_000_000) as u32);
    out.extend_from_slice(&decimals);
    let missing = width.saturating_sub(out.len() - start);
    if missing > 0 {
        push_blanks(out, missing);
        out[start..].rotate_right(missing);
    }
}

/// How a line about a packet begins: its number in 6 columns and its time, in seconds, in 10, with two blanks after each.
///
/// Nearly every line begins so. Numbers of a usual length are put together beside the buffer and copied at once.
pub(super) fn push_start(out: &mut Vec<u8>, number: u64, nanos: i64) {
    /// Columns of a number, when it is not longer.
    const NUMBER: usize = 6;
    const MOST_NUMBER: u64 = 99_999_999;
    const MOST_MICROS: u64 = 999_999_999;
    let micros = nanos.max(0).unsigned_abs() / 1_000;
    if nanos >= 0 && number <= MOST_NUMBER && micros <= MOST_MICROS {
        let mut line = *b"00000000 0000.000000  ";
        put_pairs(&mut line[..8], number as u32);
        put_pairs(&mut line[9..13], micros as u32 / 1_000_000);
        put_pairs(&mut line[14..20], micros as u32 % 1_000_000);
        let start = blank_zeros(&mut line[..7]);
        blank_zeros(&mut line[9..12]);
        out.extend_from_slice(&line[start.min(8 - NUMBER)..]);
    } else {
        push_number_right(out, number, NUMBER);
        out.extend_from_slice(b"  ");
        push_seconds(out, nanos, 10);
        out.extend_from_slice(b"  ");
    }
}

/// Writes the last digits of a number, an even count of them.
fn put_pairs(room: &mut [u8], number: u32) {
    let mut rest = number;
    for pair in room.as_chunks_mut().0.iter_mut().rev() {
        *pair = PAIRS[(rest % 100) as usize];
        rest /= 100;
    }
}

/// Puts blanks for the zeros that a number begins with; says how many.
fn blank_zeros(digits: &mut [u8]) -> usize {
    let mut count = 0;
    for digit in digits.iter_mut().take_while(|digit| **digit == b'0') {
        *digit = b' ';
        count += 1;
    }
    count
}

/// The control bits in the order in which they stand in a segment: `SYN, ACK`.
pub(super) fn push_flags(out: &mut Vec<u8>, flags: Flags) {
    const SYN_ACK: Flags = Flags::SYN.and(Flags::ACK);
    const PSH_ACK: Flags = Flags::PSH.and(Flags::ACK);
    const FIN_ACK: Flags = Flags::FIN.and(Flags::ACK);
    // Nearly every segment has one of these.
    match flags {
        Flags::SYN => out.extend_from_slice(b"SYN"),
        Flags::ACK => out.extend_from_slice(b"ACK"),
        SYN_ACK => out.extend_from_slice(b"SYN, ACK"),
        PSH_ACK => out.extend_from_slice(b"PSH, ACK"),
        FIN_ACK => out.extend_from_slice(b"FIN, ACK"),
        flags => {
            for (place, name) in flags.names().enumerate() {
                if place > 0 {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(name.as_bytes());
            }
        }
    }
}

/// A remark as [`Display`](std::fmt::Display) writes it; the frequent ones without `fmt`.
pub(super) fn push_note(out: &mut Vec<u8>, note: Note) {
    use std::io::Write as _;
    match note {
        Note::Handshake(1) => out.extend_from_slice(b"handshake 1/3"),
        Note::Handshake(2) => out.extend_from_slice(b"handshake 2/3"),
        Note::Handshake(3) => out.extend_from_slice(b"handshake 3/3"),
        Note::ReplyTo { number, nanos } => {
            out.extend_from_slice(b"reply to ");
            push_number(out, number);
            out.extend_from_slice(b" after ");
            push_milliseconds(out, Milliseconds(nanos));
        }
        note => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{note}");
        }
    }
}

/// `0.123 ms`.
fn push_milliseconds(out: &mut Vec<u8>, Milliseconds(nanos): Milliseconds) {
    push_number(out, nanos / 1_000_000);
    out.push(b'.');
    let [_, decimals @ ..] = four_digits(nanos / 1_000 % 1_000);
    out.extend_from_slice(&decimals);
    out.extend_from_slice(b" ms");
}

/// A number of things: `1 octet`, `2 octets`.
pub(super) fn push_count(out: &mut Vec<u8>, number: u64, thing: &str) {
    push_number(out, number);
    out.push(b' ');
    out.extend_from_slice(thing.as_bytes());
    if number != 1 {
        out.push(b's');
    }
}

/// A number of things, as a text of its own.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// An address and port.
pub(super) fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    use std::io::Write as _;
    if let SocketAddr::V4(v4) = address {
        for (place, octet) in v4.ip().octets().into_iter().enumerate() {
            if place > 0 {
                out.push(b'.');
            }
            push_number(out, octet);
        }
        out.push(b':');
        push_number(out, v4.port());
    } else {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{address}");
    }
}

/// `TCP` or `UDP`.
pub(super) const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    }
}

/// Begins to colour by direction, where the style has colours: what the client says in cyan, the server in yellow.
pub(super) fn colour(out: &mut Vec<u8>, style: &Style, direction: Direction) {
    if style.colour {
        out.extend_from_slice(match direction {
            Direction::ToServer => b"\x1b[36m",
            Direction::ToClient => b"\x1b[33m",
        });
    }
}

/// Begins to write dimmed: what is said about a line, not what was seen.
pub(super) fn dim(out: &mut Vec<u8>, style: &Style) {
    if style.colour {
        out.extend_from_slice(b"\x1b[2m");
    }
}

/// Begins to write in bold.
pub(super) fn bold(out: &mut Vec<u8>, style: &Style) {
    if style.colour {
        out.extend_from_slice(b"\x1b[1m");
    }
}

/// Begins to write in red: what went wrong.
pub(super) fn alarm(out: &mut Vec<u8>, style: &Style) {
    if style.colour {
        out.extend_from_slice(b"\x1b[31m");
    }
}

/// Ends every colour.
pub(super) fn plain(out: &mut Vec<u8>, style: &Style) {
    if style.colour {
        out.extend_from_slice(b"\x1b[0m");
    }
}

/// Who speaks and to whom, in columns that are equally wide both ways: `client → server`, `server → client`.
pub(super) fn push_way(
    out: &mut Vec<u8>,
    style: &Style,
    conversation: &Conversation,
    direction: Direction,
) {
    if style.names.is_empty() {
        out.extend_from_slice(match direction {
            Direction::ToServer => "client → server".as_bytes(),
            Direction::ToClient => "server → client".as_bytes(),
        });
        return;
    }
    push_name(out, style, conversation, direction.sender());
    out.extend_from_slice(" → ".as_bytes());
    push_name(out, style, conversation, direction.sender().peer());
}

/// The name of one part.
pub(super) fn push_name(out: &mut Vec<u8>, style: &Style, conversation: &Conversation, role: Role) {
    out.extend_from_slice(style.names.of(conversation, role).as_bytes());
}

/// The name of one part.
pub(super) fn name<'a>(style: &'a Style, conversation: &Conversation, role: Role) -> &'a str {
    style.names.of(conversation, role)
}

/// What a message says, safe and on one line: quoted text, with what has to be said about its form, or what it is
/// instead of text. At most about `most` octets of it.
pub(super) fn push_message(out: &mut Vec<u8>, message: &Message<'_>, most: usize) {
    push_octets(out, message.octets, message.kind, most);
}

/// [`push_message`] for octets whose kind is known.
pub(super) fn push_octets(out: &mut Vec<u8>, octets: &[u8], kind: TextKind, most: usize) {
    let body = match prefix(octets, kind) {
        Some(prefix) => {
            out.push(b'[');
            out.extend_from_slice(prefix.to_string().as_bytes());
            out.extend_from_slice(b"] ");
            &octets[prefix.len..]
        }
        None => octets,
    };
    match kind {
        TextKind::Empty => out.extend_from_slice(b"\"\" (empty)"),
        TextKind::Utf8 => {
            let shown = &body[..cut(body, most)];
            out.push(b'"');
            text::push_safe(out, shown);
            out.push(b'"');
            push_more(out, body.len() - shown.len());
        }
        TextKind::Utf16Le | TextKind::Utf16Be => {
            let shown = &body[..body.len().min(most * 2)];
            out.push(b'"');
            for c in text::characters(shown, kind).chars() {
                text::push_safe_char(out, c);
            }
            out.extend_from_slice(b"\" (UTF-16)");
            push_more(out, body.len() - shown.len());
        }
        TextKind::Tls => out.extend_from_slice(b"a TLS record: encrypted"),
        TextKind::Compressed => out.extend_from_slice(b"compressed data"),
        TextKind::Binary => {
            const SHOWN: usize = 16;
            out.extend_from_slice(b"binary");
            for &octet in body.iter().take(SHOWN) {
                out.push(b' ');
                push_hex(out, octet);
            }
            push_more(out, body.len().saturating_sub(SHOWN));
        }
    }
}

/// The length prefix of a message. Plain text is only asked where it begins with something that is no text: digits are
/// too often just digits, so they count only in [`push_octets`]' favour when a separator or padding follows.
pub(super) fn prefix(octets: &[u8], kind: TextKind) -> Option<Prefix> {
    let first = *octets.first()?;
    if kind.is_readable() && (first < b' ' || first.is_ascii_digit()) {
        Prefix::of(octets)
    } else {
        None
    }
}

/// [`push_octets`] without the length prefix, for a place of `most` columns (at least 4): what does not fit becomes `…`.
pub(super) fn push_fitting(out: &mut Vec<u8>, octets: &[u8], kind: TextKind, most: usize) {
    let body = prefix(octets, kind).map_or(octets, |prefix| &octets[prefix.len..]);
    match kind {
        TextKind::Empty => push_cut(out, "\"\" (empty)", most),
        TextKind::Utf8 => push_quoted(out, body, most),
        TextKind::Utf16Le | TextKind::Utf16Be => {
            const NOTE: &str = " (UTF-16)";
            // A place too narrow for the note shows text all the same.
            let room = most.saturating_sub(NOTE.len());
            let shown = &body[..body.len().min(most * 2)];
            let text = text::characters(shown, kind);
            if room < 7 {
                push_quoted(out, text.as_bytes(), most);
            } else {
                push_quoted(out, text.as_bytes(), room);
                out.extend_from_slice(NOTE.as_bytes());
            }
        }
        TextKind::Tls => push_cut(out, "a TLS record: encrypted", most),
        TextKind::Compressed => push_cut(out, "compressed data", most),
        TextKind::Binary => {
            const NAME: &str = "binary";
            let start = out.len();
            out.extend_from_slice(NAME.as_bytes());
            let places = most.saturating_sub(NAME.len() + 1) / 3;
            for &octet in body.iter().take(places) {
                out.push(b' ');
                push_hex(out, octet);
            }
            if body.len() > places {
                out.truncate(start + most.saturating_sub(1));
                out.extend_from_slice("…".as_bytes());
            }
        }
    }
}

/// Octets as quoted text in at most `most` columns.
fn push_quoted(out: &mut Vec<u8>, octets: &[u8], most: usize) {
    const QUOTES: usize = 2;
    let start = out.len();
    let room = most.saturating_sub(QUOTES);
    out.push(b'"');
    if octets.len() <= room
        && octets
            .iter()
            .all(|&octet| matches!(octet, b' '..=b'~') && octet != b'\\')
    {
        out.extend_from_slice(octets);
        out.push(b'"');
        return;
    }
    // Cut between whole characters and whole escapes; the ends of those that still leave room for `…` are kept.
    let (mut used, mut end, mut fits) = (0, out.len(), true);
    let mut place = |out: &mut Vec<u8>, columns: usize| {
        used += columns;
        if used < room {
            end = out.len();
        }
        used <= room
    };
    'all: for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            let before = out.len();
            text::push_safe_char(out, c);
            let columns = if c.is_ascii() || text::acts(c) {
                out.len() - before
            } else {
                c.width().unwrap_or(0)
            };
            // However many characters without a width pile up, what is written has an end.
            if !place(out, columns) || out.len() - start > 16 * most {
                fits = false;
                break 'all;
            }
        }
        for octet in chunk.invalid() {
            text::push_safe(out, std::slice::from_ref(octet));
            if !place(out, r"\xNN".len()) {
                fits = false;
                break 'all;
            }
        }
    }
    if fits {
        out.push(b'"');
        // Characters can be wider together than alone (emoji followed by a variation selector).
        if octets.is_ascii() || columns_of(&out[start..]) <= most {
            return;
        }
    }
    out.truncate(end);
    while !octets.is_ascii() && columns_of(&out[start..]) + QUOTES > most {
        pop_character(out);
    }
    out.extend_from_slice("\"…".as_bytes());
}

/// Text in at most `most` columns, its end replaced by `…` where it is longer.
pub(super) fn push_cut(out: &mut Vec<u8>, text: &str, most: usize) {
    if columns(text) <= most {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let start = out.len();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= most {
            break;
        }
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    while columns_of(&out[start..]) + 1 > most && out.len() > start {
        pop_character(out);
    }
    if most > 0 {
        out.extend_from_slice("…".as_bytes());
    }
}

/// The part of a text that fits on a line of so many columns, and the rest. Broken between words where there are any.
pub(super) fn break_line(text: &str, room: usize) -> (&str, &str) {
    if columns(text) <= room {
        return (text, "");
    }
    let (mut used, mut word, mut hard) = (0, None, 0);
    for (place, c) in text.char_indices() {
        let wide = c.width().unwrap_or(0);
        if c == ' ' && used <= room {
            word = Some(place);
        }
        used += wide;
        if used <= room || hard == 0 {
            hard = place + c.len_utf8();
        }
    }
    match word {
        Some(place) if place > 0 => (&text[..place], text[place..].trim_start()),
        _ => text.split_at(hard),
    }
}

/// How many columns text takes that was written into a buffer.
pub(super) fn columns_of(written: &[u8]) -> usize {
    if written.is_ascii() {
        written.len()
    } else {
        columns(&String::from_utf8_lossy(written))
    }
}

fn pop_character(out: &mut Vec<u8>) {
    while let Some(octet) = out.pop() {
        if octet & 0xc0 != 0x80 {
            break;
        }
    }
}

/// Two hexadecimal digits.
pub(super) fn push_hex(out: &mut Vec<u8>, octet: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[
        DIGITS[usize::from(octet >> 4)],
        DIGITS[usize::from(octet & 0xf)],
    ]);
}

/// Octets in rows of 16: where they are, in hexadecimal, and as text where they are ASCII. At most `most_rows` rows.
pub(super) fn push_hex_dump(out: &mut Vec<u8>, octets: &[u8], indent: usize, most_rows: usize) {
    for (row, chunk) in octets.chunks(16).take(most_rows).enumerate() {
        push_blanks(out, indent);
        for octet in ((row * 16) as u32).to_be_bytes() {
            push_hex(out, octet);
        }
        out.push(b' ');
        for place in 0..16 {
            if place == 8 {
                out.push(b' ');
            }
            match chunk.get(place) {
                Some(&octet) => {
                    out.push(b' ');
                    push_hex(out, octet);
                }
                None => out.extend_from_slice(b"   "),
            }
        }
        out.extend_from_slice(b"  |");
        out.extend(chunk.iter().map(|&octet| match octet {
            b' '..=b'~' => octet,
            _ => b'.',
        }));
        out.extend_from_slice(b"|\n");
    }
    let shown = most_rows * 16;
    if octets.len() > shown {
        push_blanks(out, indent);
        out.extend_from_slice("… ".as_bytes());
        push_count(out, (octets.len() - shown) as u64, "more octet");
        out.push(b'\n');
    }
}

fn push_more(out: &mut Vec<u8>, octets: usize) {
    if octets > 0 {
        out.extend_from_slice("… (".as_bytes());
        push_count(out, octets as u64, "more octet");
        out.push(b')');
    }
}

/// Where to cut text so that no character is cut in two.
fn cut(octets: &[u8], most: usize) -> usize {
    if octets.len() <= most {
        return octets.len();
    }
    let mut end = most;
    // A UTF-8 character has at most three continuation octets.
    while end > most.saturating_sub(3) && octets[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("views write text")
    }

    #[test]
    fn seconds_have_six_decimals() {
        assert_eq!(written(|out| push_seconds(out, 21_999, 10)), "  0.000021");
        assert_eq!(
            written(|out| push_seconds(out, 61_000_002_000, 0)),
            "61.000002"
        );
        assert_eq!(written(|out| push_seconds(out, -1_500_000, 0)), "-0.001500");
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [
            0,
            9,
            10,
            99,
            100,
            999,
            1_000,
            9_999,
            10_000,
            100_203,
            99_999_999,
            100_000_000,
            u64::MAX,
        ] {
            assert_eq!(written(|out| push_number(out, number)), format!("{number}"));
        }
        assert_eq!(
            written(|out| push_number(out, i64::MIN)),
            format!("{}", i64::MIN)
        );
    }

    #[test]
    fn a_line_begins_with_number_and_time() {
        #[track_caller]
        fn check(number: u64, micros: i64, expected: &str) {
            assert_eq!(
                written(|out| push_start(out, number, micros * 1_000)),
                expected
            );
        }
        check(1, 0, "     1    0.000000  ");
        check(1_000, 10_000_001, "  1000   10.000001  ");
        check(999_999, 999_999_999, "999999  999.999999  ");
        check(1_000_000, 1_000_000_000, "1000000  1000.000000  ");
        check(1_234_567, 100_020_003, "1234567  100.020003  ");
        check(99_999_999, 0, "99999999    0.000000  ");
        check(100_000_000, 0, "100000000    0.000000  ");
        check(7, -1, "     7   -0.000001  ");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let shown =
            |text: &str| written(|out| push_octets(out, text.as_bytes(), TextKind::Utf8, 4));
        assert_eq!(shown("abcd"), "\"abcd\"");
        assert_eq!(shown("abcde"), "\"abcd\"… (1 more octet)");
        assert_eq!(shown("abc😀"), "\"abc\"… (4 more octets)");
    }

    #[test]
    fn text_is_cut_to_the_columns_there_are() {
        #[track_caller]
        fn check(octets: &[u8], most: usize, expected: &str) {
            let shown = written(|out| push_fitting(out, octets, TextKind::of(octets), most));
            assert_eq!(shown, expected);
            assert!(columns(&shown) <= most, "{shown} takes {}", columns(&shown));
        }
        check(b"hello", 7, "\"hello\"");
        check(b"hello", 6, "\"hel\"…");
        check("héllo".as_bytes(), 7, "\"héllo\"");
        check("你好你好".as_bytes(), 10, "\"你好你好\"");
        check("你好你好".as_bytes(), 9, "\"你好你\"…");
        check(b"ab\x1b[2J", 8, "\"ab\"…");
        check(b"ab\x1b[2J", 9, "\"ab\\x1b\"…");
        check(
            "❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}".as_bytes(),
            6,
            "\"❤\u{fe0f}❤\"…",
        );
        check("a\u{301}".repeat(40).as_bytes(), 5, "\"a\u{301}a\u{301}\"…");
        check(b"\0\0\0\x05hello", 7, "\"hello\"");
        check(b"h\0e\0l\0l\0o\0", 16, "\"hello\" (UTF-16)");
        check(&[0xff; 40], 14, "binary ff ff…");
        check(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], 10, "a TLS rec…");
    }

    #[test]
    fn a_name_is_cut_to_the_columns_there_are() {
        let cut = |text: &str, most| written(|out| push_cut(out, text, most));
        assert_eq!(cut("server", 6), "server");
        assert_eq!(cut("server", 5), "serv…");
        assert_eq!(cut("你好你", 5), "你好…");
        assert_eq!(cut("server", 0), "");
    }

    #[test]
    fn the_form_of_a_message_is_said() {
        let shown =
            |octets: &[u8]| written(|out| push_octets(out, octets, TextKind::of(octets), 100));
        assert_eq!(
            shown(b"\0\0\0\x02hi"),
            "[length 2 in 4 octets, big-endian] \"hi\""
        );
        assert_eq!(shown(b"h\0i\0"), "\"hi\" (UTF-16)");
        assert_eq!(shown(&[1, 2, 0xff]), "binary 01 02 ff");
        assert_eq!(shown(b"\x1b[2Jhi\n"), "\"\\x1b[2Jhi\\n\"");
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_fmt_writes_them(wide: u64, signed: i64, small in 0..200u64) {
            for number in [wide, small, wide >> 32] {
                prop_assert_eq!(written(|out| push_number(out, number)), number.to_string());
                prop_assert_eq!(written(|out| push_number_right(out, number, 9)), format!("{number:>9}"));
                for nanos in [signed, signed % 2_000_000_000_000] {
                    let seconds = written(|out| push_seconds(out, nanos, 10));
                    for number in [number, number % 2_000_000_000, number % 2_000_000] {
                        prop_assert_eq!(written(|out| push_start(out, number, nanos)), format!("{number:>6}  {seconds}  "));
                    }
                }
            }
            prop_assert_eq!(written(|out| push_number(out, signed)), signed.to_string());
            for nanos in [wide, small * 1_000, wide >> 32] {
                let note = Note::ReplyTo { number: wide, nanos };
                prop_assert_eq!(written(|out| push_note(out, note)), note.to_string());
            }
        }
    }
}
