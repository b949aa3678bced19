//! What the two sides of one conversation said, in full: as a transcript, or one side's octets untouched.
//!
//! Which conversation it is, the caller decides: a view is told about one only.

use super::json::{escaped, hexadecimal, push_json};
use super::line::{
    bold, colour, dim, plain, prefix, push_address, push_blanks, push_count, push_hex,
    push_hex_dump, push_number, transport,
};
use super::{Style, View, verdict};
use crate::conversation::{Conversation, Direction, Message, Role, Step, StepKind};
use crate::text::{self, TextKind};
use serde::Serialize;

/// Columns before what was said.
const INDENT: usize = 4;

/// A transcript: who says what, text with its own line breaks, anything else as a hex dump.
#[derive(Debug)]
pub struct Follow {
    style: Style,
    /// Whose messages are shown; both sides' without.
    only: Option<Role>,
    /// Whose message goes on with the next one, if one does.
    continues: [bool; 2],
}

impl Follow {
    /// A transcript in this style, of both sides or only one.
    pub fn new(style: Style, only: Option<Role>) -> Self {
        Follow {
            style,
            only,
            continues: [false; 2],
        }
    }

    fn message(&mut self, out: &mut Vec<u8>, conversation: &Conversation, message: &Message<'_>) {
        let role = message.direction.sender();
        if self.only.is_some_and(|only| only != role) {
            return;
        }
        let goes_on = std::mem::replace(
            &mut self.continues[message.direction.index()],
            message.continues,
        );
        if !message.octets.is_empty() || message.missing == 0 {
            self.heading(out, conversation, message, goes_on);
            self.said(out, message);
        }
        if message.missing > 0 {
            push_blanks(out, INDENT);
            dim(out, &self.style);
            out.push(b'[');
            push_count(out, message.missing, "octet");
            out.extend_from_slice(b" of ");
            out.extend_from_slice(self.style.names.of(conversation, role).as_bytes());
            out.extend_from_slice(b" not captured]");
            plain(out, &self.style);
            out.push(b'\n');
        }
    }

    /// `client, 15 octets (4):`
    fn heading(
        &self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        message: &Message<'_>,
        goes_on: bool,
    ) {
        bold(out, &self.style);
        colour(out, &self.style, message.direction);
        let role = message.direction.sender();
        out.extend_from_slice(self.style.names.of(conversation, role).as_bytes());
        plain(out, &self.style);
        if goes_on {
            out.extend_from_slice(b", going on");
        }
        out.extend_from_slice(b", ");
        push_count(out, message.octets.len() as u64, "octet");
        out.extend_from_slice(b" (no. ");
        push_number(out, message.first_number);
        if message.last_number != message.first_number {
            out.extend_from_slice("–".as_bytes());
            push_number(out, message.last_number);
        }
        out.push(b')');
        match message.kind {
            TextKind::Utf16Le | TextKind::Utf16Be => out.extend_from_slice(b", UTF-16"),
            TextKind::Tls => out.extend_from_slice(b", a TLS record: encrypted"),
            TextKind::Compressed => out.extend_from_slice(b", compressed data"),
            TextKind::Binary => out.extend_from_slice(b", binary"),
            TextKind::Utf8 | TextKind::Empty => {}
        }
        if message.kind.is_readable() && has_only_crlf(message.octets) {
            out.extend_from_slice(b", lines end with \\r\\n");
        }
        out.extend_from_slice(b":\n");
    }

    fn said(&self, out: &mut Vec<u8>, message: &Message<'_>) {
        let octets = message.octets;
        if !message.kind.is_readable() {
            push_hex_dump(out, octets, INDENT, usize::MAX / 16);
            return;
        }
        let body = match prefix(octets, message.kind) {
            Some(prefix) => {
                let (head, body) = octets.split_at(prefix.len);
                push_blanks(out, INDENT);
                dim(out, &self.style);
                out.push(b'[');
                out.extend_from_slice(prefix.to_string().as_bytes());
                out.push(b':');
                for &octet in head {
                    out.push(b' ');
                    push_hex(out, octet);
                }
                out.push(b']');
                plain(out, &self.style);
                out.push(b'\n');
                body
            }
            None => octets,
        };
        let lines = |out: &mut Vec<u8>, text: &[u8]| {
            // The end of the last line begins no further one.
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            for line in text.split(|&octet| octet == b'\n') {
                push_blanks(out, INDENT);
                colour(out, &self.style, message.direction);
                push_line(out, line.strip_suffix(b"\r").unwrap_or(line));
                plain(out, &self.style);
                out.push(b'\n');
            }
        };
        match message.kind {
            TextKind::Utf16Le | TextKind::Utf16Be => {
                lines(out, text::characters(body, message.kind).as_bytes());
            }
            _ => lines(out, body),
        }
    }
}

/// A line made safe; tabs stay, since a terminal only moves on at them.
fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    for (place, part) in line.split(|&octet| octet == b'\t').enumerate() {
        if place > 0 {
            out.push(b'\t');
        }
        text::push_safe(out, part);
    }
}

/// Whether there are line ends, and each is CR LF. UTF-16 has a NUL in each of these characters.
fn has_only_crlf(octets: &[u8]) -> bool {
    let mut before = 0;
    let mut any = false;
    for &octet in octets.iter().filter(|&&octet| octet != 0) {
        if octet == b'\n' {
            if before != b'\r' {
                return false;
            }
            any = true;
        }
        before = octet;
    }
    any
}

impl View for Follow {
    fn begin(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        bold(out, &self.style);
        out.extend_from_slice(b"conversation ");
        push_number(out, conversation.id);
        plain(out, &self.style);
        out.extend_from_slice(b", ");
        out.extend_from_slice(transport(conversation.transport).as_bytes());
        for (role, before) in [(Role::Client, ": "), (Role::Server, " and ")] {
            out.extend_from_slice(before.as_bytes());
            colour(out, &self.style, role.sends());
            out.extend_from_slice(self.style.names.of(conversation, role).as_bytes());
            out.push(b' ');
            push_address(out, conversation.end(role));
            plain(out, &self.style);
        }
        out.extend_from_slice(b"\n\n");
    }

    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        for message in step.messages {
            self.message(out, conversation, message);
        }
        if let StepKind::Unreachable(reason) = step.kind {
            out.push(b'[');
            out.extend_from_slice(verdict::unreachable(conversation, reason).as_bytes());
            out.extend_from_slice(b"]\n");
        }
    }

    fn late_messages(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        messages: &[Message<'_>],
    ) {
        for message in messages {
            self.message(out, conversation, message);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        out.push(b'\n');
        for (place, role) in [Role::Client, Role::Server].into_iter().enumerate() {
            if place > 0 {
                out.extend_from_slice(b", ");
            }
            let tally = conversation.tally(role);
            out.extend_from_slice(self.style.names.of(conversation, role).as_bytes());
            out.extend_from_slice(b": ");
            push_count(out, tally.octets, "octet");
            if tally.missing > 0 {
                out.extend_from_slice(b" and ");
                push_number(out, tally.missing);
                out.extend_from_slice(b" not captured");
            }
        }
        out.push(b'\n');
        self.continues = [false; 2];
    }

    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}

/// What one side said, octet by octet as it was sent: for a file or a pipe, never for a terminal.
#[derive(Debug)]
pub struct Raw {
    direction: Direction,
}

impl Raw {
    /// What this part said.
    pub fn new(role: Role) -> Self {
        Raw {
            direction: role.sends(),
        }
    }

    fn messages(&mut self, out: &mut Vec<u8>, messages: &[Message<'_>]) {
        for message in messages {
            if message.direction == self.direction {
                out.extend_from_slice(message.octets);
            }
        }
    }
}

impl View for Raw {
    fn begin(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn step(&mut self, out: &mut Vec<u8>, _: &Conversation, step: &Step<'_>) {
        self.messages(out, step.messages);
    }

    fn late_messages(&mut self, out: &mut Vec<u8>, _: &Conversation, messages: &[Message<'_>]) {
        self.messages(out, messages);
    }

    fn end(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}

/// What was said, as JSON: an object for each message.
#[derive(Debug)]
pub struct FollowJson {
    only: Option<Role>,
}

#[derive(Serialize)]
struct Line<'a> {
    conversation: u32,
    from: &'static str,
    first: u64,
    last: u64,
    time: String,
    octets: usize,
    missing: u64,
    continues: bool,
    payload: &'a str,
    payload_hex: &'a str,
}

impl FollowJson {
    /// Messages of both sides, or only of one.
    pub fn new(only: Option<Role>) -> Self {
        FollowJson { only }
    }

    fn messages(&self, out: &mut Vec<u8>, conversation: &Conversation, messages: &[Message<'_>]) {
        for message in messages {
            let role = message.direction.sender();
            if self.only.is_some_and(|only| only != role) {
                continue;
            }
            push_json(
                out,
                &Line {
                    conversation: conversation.id,
                    from: role.name(),
                    first: message.first_number,
                    last: message.last_number,
                    time: message.time.to_string(),
                    octets: message.octets.len(),
                    missing: message.missing,
                    continues: message.continues,
                    payload: &escaped(message.octets),
                    payload_hex: &hexadecimal(message.octets),
                },
            );
        }
    }
}

impl View for FollowJson {
    fn begin(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        self.messages(out, conversation, step.messages);
    }

    fn late_messages(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        messages: &[Message<'_>],
    ) {
        self.messages(out, conversation, messages);
    }

    fn end(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testing::{START, Scene, hello};

    fn follow(scene: &Scene) -> String {
        let style = Style {
            start: START,
            ..Style::default()
        };
        scene.play(&mut Follow::new(style, None))
    }

    /// That this is the part of the transcript about a text of the client's.
    #[track_caller]
    fn check(text: &[u8], expected: &str) {
        let written = follow(&Scene::tcp().says(Role::Client, text));
        let (_, rest) = written.split_once("\n\n").expect("a heading");
        let (said, _) = rest.rsplit_once("\n\n").expect("a last line");
        assert_eq!(said, expected, "{written}");
    }

    #[test]
    fn an_exchange_reads_as_a_transcript() {
        assert_eq!(
            follow(&hello()),
            "\
conversation 0, TCP: client 127.0.0.1:58058 and server 127.0.0.1:20002

client, 15 octets (no. 4):
    Hi from client!
server, 15 octets (no. 6):
    Hi from server!

client: 15 octets, server: 15 octets
"
        );
    }

    #[test]
    fn line_breaks_are_real_and_nothing_else_acts() {
        check(b"one\ntwo\n", "client, 8 octets (no. 1):\n    one\n    two");
        check(
            b"one\r\n\r\ntwo\r\n",
            "client, 12 octets (no. 1), lines end with \\r\\n:\n    one\n    \n    two",
        );
        check(
            b"a\tb\x1b[2J\rc",
            "client, 9 octets (no. 1):\n    a\tb\\x1b[2J\\rc",
        );
    }

    #[test]
    fn other_forms_are_named() {
        check(
            b"h\0i\0\n\0x\0",
            "client, 8 octets (no. 1), UTF-16:\n    hi\n    x",
        );
        check(
            b"\0\0\0\x02hi",
            "client, 6 octets (no. 1):\n    [length 2 in 4 octets, big-endian: 00 00 00 02]\n    hi",
        );
        check(
            &[0, 1, 2, 0xff, b'a'],
            "client, 5 octets (no. 1), binary:\n    \
             00000000  00 01 02 ff 61                                    |....a|",
        );
    }

    #[test]
    fn missing_octets_are_said() {
        let scene = Scene::tcp()
            .says(Role::Client, b"before")
            .message(|message| message.missing = 120)
            .says(Role::Client, b"after");
        let written = follow(&scene);
        assert!(
            written
                .contains("    before\n    [120 octets of client not captured]\nclient, 5 octets"),
            "{written}"
        );
    }

    #[test]
    fn a_message_in_pieces_goes_on() {
        let scene = Scene::tcp()
            .says(Role::Client, b"be")
            .message(|message| message.continues = true)
            .says(Role::Client, b"gin")
            .late();
        let written = follow(&scene);
        assert!(
            written.contains("\nclient, going on, 3 octets (no. 2):\n    gin\n"),
            "{written}"
        );
    }

    #[test]
    fn nobody_there_is_said() {
        let written = follow(&Scene::udp().says(Role::Client, b"hello").refuses());
        assert!(
            written.contains("\n[nobody listens on udp 127.0.0.1:20001]\n"),
            "{written}"
        );
    }

    #[test]
    fn raw_octets_are_untouched_and_only_of_one_side() {
        let scene = Scene::tcp()
            .says(Role::Client, b"\x1b[2J\xff\0")
            .message(|message| message.missing = 7)
            .says(Role::Server, b"no")
            .says(Role::Client, b"\r\n")
            .late();
        let mut raw = Raw::new(Role::Client);
        let mut out = Vec::new();
        scene.play_into(&mut raw, &mut out);
        assert_eq!(out, b"\x1b[2J\xff\0\r\n");
    }
}
