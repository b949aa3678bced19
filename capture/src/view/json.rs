//! JSON lines: one object for each segment, datagram and ICMP message.
//!
//! `payload` has the octets as text in UTF-8, with those that are no UTF-8 as `\xNN`; `payload_hex` has all of them.
//! UDP has no `flags`, `seq`, `ack` and `window`; an ICMP message is one of `"proto":"icmp"` with addresses that have no
//! port.

use super::View;
use crate::conversation::{Conversation, Message, Step, StepKind};
use crate::text;
use serde::Serialize;
use std::fmt::Write as _;
use std::io;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Json {}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    time: String,
    proto: &'static str,
    src: String,
    dst: String,
    conversation: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_raw: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_raw: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u32>,
    payload_len: u32,
    payload: &'a str,
    payload_hex: &'a str,
    notes: Vec<String>,
}

impl View for Json {
    fn begin(&mut self, _out: &mut Vec<u8>, _conversation: &Conversation) {}

    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        let segment = match step.kind {
            StepKind::Segment(facts) => Some(facts),
            _ => None,
        };
        let has_ports = !matches!(step.kind, StepKind::Unreachable(_));
        let end = |end: std::net::SocketAddr| {
            if has_ports {
                end.to_string()
            } else {
                end.ip().to_string()
            }
        };
        let line = Line {
            n: step.number,
            time: step.time.to_string(),
            proto: match step.kind {
                StepKind::Segment(_) => "tcp",
                StepKind::Datagram => "udp",
                StepKind::Unreachable(_) => "icmp",
            },
            src: end(step.src),
            dst: end(step.dst),
            conversation: conversation.id,
            flags: segment.map(|facts| facts.flags.names().collect()),
            seq: segment.map(|facts| facts.seq),
            ack: segment.and_then(|facts| facts.ack),
            seq_raw: segment.map(|facts| facts.seq_raw.0),
            ack_raw: segment.and_then(|facts| facts.ack.map(|_| facts.ack_raw.0)),
            window: segment.map(|facts| facts.window),
            payload_len: step.payload_len,
            payload: &escaped(step.payload),
            payload_hex: &hexadecimal(step.payload),
            notes: step.notes.iter().map(|note| note.to_string()).collect(),
        };
        push_json(out, &line);
    }

    fn late_messages(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &[Message<'_>]) {}

    fn end(&mut self, _out: &mut Vec<u8>, _conversation: &Conversation) {}

    fn resume(&mut self, _out: &mut Vec<u8>, _conversation: &Conversation) {}
}

/// A value as JSON on a line of its own, in which nothing acts on a terminal: such characters are written `\u202e`.
pub(super) fn push_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Harmless);
    // A Vec takes everything, and every value has a JSON form.
    let _ = value.serialize(&mut serializer);
    out.push(b'\n');
}

/// Escapes what JSON itself would leave as it is: DEL, C1 controls, bidirectional overrides.
struct Harmless;

impl serde_json::ser::Formatter for Harmless {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| text::acts(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Octets as text, with what is not UTF-8 as `\xNN`.
pub(super) fn escaped(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

/// Octets as hexadecimal digits.
pub(super) fn hexadecimal(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        let _ = write!(text, "{octet:02x}");
    }
    text
}
