//! Any octets at all, split anywhere: as a stream of lines, as requests, as replies, as names.
//!
//! The first octet says how many of the others are sizes of pieces; the rest is the stream. How to run it: see
//! the README beside this folder.

#![no_main]

use bytes::{Bytes, BytesMut};
use ex8_chat_room::lines::{LineBuffer, TooLong};
use ex8_chat_room::message::{Reply, Request};
use ex8_chat_room::name::{MAX_NAME_LEN, Name};
use ex8_chat_room::printable::{MAX_EXPANSION, is_unsafe, printable};
use libfuzzer_sys::fuzz_target;
use unicode_normalization::UnicodeNormalization;

/// So small that a few octets exceed it.
const MAX_LEN: usize = 24;

fuzz_target!(|octets: &[u8]| {
    let Some((&count, octets)) = octets.split_first() else {
        return;
    };
    let (sizes, stream) = octets.split_at(octets.len().min(usize::from(count) % 16));
    let whole = lines_of([stream]);
    assert_eq!(lines_of(pieces(sizes, stream)), whole, "any split");
    assert_eq!(lines_of(stream.chunks(1)), whole, "octet by octet");
    for line in whole.into_iter().flatten() {
        assert!(line.len() <= MAX_LEN && !line.contains(&b'\n'));
    }
    for line in stream.split(|&octet| octet == b'\n') {
        check_printable(line);
        check_request(line);
        check_reply(line);
        check_name(line);
    }
});

fn pieces<'a>(sizes: &'a [u8], mut stream: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().map(|&size| usize::from(size));
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(stream.len()).min(stream.len());
        let (piece, rest) = stream.split_at(size);
        stream = rest;
        (!(piece.is_empty() && rest.is_empty())).then_some(piece)
    })
}

fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Bytes, TooLong>> {
    let mut buffer = LineBuffer::new(MAX_LEN);
    let mut lines = Vec::new();
    for piece in pieces {
        buffer.input().extend_from_slice(piece);
        lines.extend(std::iter::from_fn(|| buffer.next_line()));
        assert!(buffer.input().len() <= MAX_LEN + 1, "bounded");
    }
    lines.extend(buffer.last_line());
    lines
}

fn check_printable(line: &[u8]) {
    let text = printable(line);
    assert!(!text.contains(is_unsafe));
    assert!(text.len() <= line.len() * MAX_EXPANSION);
    assert_eq!(printable(text.as_bytes()), text);
}

fn check_request(line: &[u8]) {
    if let Ok(request) = Request::parse(&Bytes::copy_from_slice(line)) {
        let mut encoded = BytesMut::new();
        request.encode(&mut encoded);
        assert_eq!(encoded.split_last(), Some((&b'\n', line)));
    }
}

fn check_reply(line: &[u8]) {
    let Ok(reply) = Reply::parse(line) else {
        return;
    };
    assert!(!reply.to_string().contains(is_unsafe));
    let mut encoded = Vec::new();
    reply.encode(&mut encoded);
    assert_eq!(encoded.pop(), Some(b'\n'));
    // Not what came, if that was not printable or counted `+03`; but the same again.
    assert_eq!(Reply::parse(&encoded), Ok(reply));
}

fn check_name(line: &[u8]) {
    let Ok(name) = Name::parse(line) else { return };
    let text = name.to_string();
    assert!(!text.contains(is_unsafe) && !text.contains(':'));
    assert!((1..=MAX_NAME_LEN).contains(&text.chars().count()));
    assert_eq!(Name::parse(text.as_bytes()), Ok(name.clone()));
    // However its letters are composed, and in capitals, it is the same name. (Capitals of what is composed in
    // an unusual way are another name: U+0345 becomes a letter then, and the marks after it stand on that.)
    for again in [
        text.nfc().collect::<String>(),
        text.nfd().collect(),
        text.nfc().collect::<String>().to_uppercase(),
    ] {
        if let Ok(other) = Name::parse(again.as_bytes()) {
            assert_eq!(other.key(), name.key(), "{text:?} and {again:?}");
        }
    }
}
