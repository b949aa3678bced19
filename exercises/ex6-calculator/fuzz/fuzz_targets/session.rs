//! Any octets at all, split anywhere, said to a session: lines, names, expressions, answers.
//!
//! The first octet says how many of the others are sizes of pieces; the rest is the stream. How to run it: see
//! the README beside this folder.

#![no_main]

use std::net::{Ipv4Addr, SocketAddr};

use ex6_calculator::line::{LineBuffer, LineTooLong, MAX_LINE_LEN};
use ex6_calculator::message::{Reply, Request};
use ex6_calculator::session::{Ending, Output, Session};
use ex6_calculator::text::is_unsafe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((&count, octets)) = octets.split_first() else {
        return;
    };
    let (sizes, stream) = octets.split_at(octets.len().min(usize::from(count) % 16));
    let whole = lines_of([stream]);
    assert_eq!(lines_of(pieces(sizes, stream)), whole, "any split");
    assert_eq!(lines_of(stream.chunks(1)), whole, "octet by octet");
    converse(&whole);
});

fn pieces<'a>(sizes: &'a [u8], mut stream: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    // Small pieces, and large ones for the longest line.
    let mut sizes = sizes
        .iter()
        .map(|&size| usize::from(size) * usize::from(size));
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(stream.len()).min(stream.len());
        let (piece, rest) = stream.split_at(size);
        stream = rest;
        (!(piece.is_empty() && rest.is_empty())).then_some(piece)
    })
}

type Lines = Vec<Result<Vec<u8>, LineTooLong>>;

fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Lines {
    let mut buffer = LineBuffer::default();
    let mut lines = Vec::new();
    for piece in pieces {
        buffer.push(piece);
        while let Some(line) = buffer.next_line() {
            lines.push(line.map(<[u8]>::to_vec));
        }
    }
    lines.extend(buffer.take_rest().map(|line| line.map(<[u8]>::to_vec)));
    lines
}

fn converse(lines: &Lines) {
    let mut session = Session::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
    for line in lines {
        let line = line.as_deref().map_err(|&error| error);
        if let Ok(octets) = line {
            assert!(octets.len() <= MAX_LINE_LEN && !octets.contains(&b'\n'));
            // What the client would not send the server does not calculate.
            let _ = Request::parse(octets);
            let _ = Reply::parse(octets);
        }
        let was_over = session.is_over();
        let mut output = Output::default();
        session.on_line(line, &mut output);
        for shown in output.screen.lines() {
            assert!(!shown.contains(is_unsafe), "acts on the screen: {shown:?}");
        }
        let said = output.replies.strip_suffix('\n').expect("a whole line");
        assert!(!said.contains(is_unsafe), "more than one line: {said:?}");
        let reply = Reply::parse(said.as_bytes()).expect("in the grammar");
        assert_eq!(reply.to_string(), said);
        if was_over {
            assert!(matches!(reply, Reply::Goodbye(_)) && output.screen.is_empty());
        }
    }
    let ended = session.is_over();
    assert_eq!(session.end(&Ending::Closed).is_empty(), ended);
    assert!(session.is_over());
}
