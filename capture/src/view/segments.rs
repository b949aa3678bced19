//! One line for each segment, datagram and ICMP message: flags, relative numbers, length, text, remarks.
//!
//! Everything is in it, acknowledgments too. Relative numbers count from each side's first one; a SYN's line has the raw
//! number as well, so that every other can be worked out.

use super::line::{
    MOST_OCTETS, alarm, colour, dim, plain, push_address, push_blanks, push_flags, push_note,
    push_number, push_octets, push_start,
};
use super::{Style, View};
use crate::conversation::{Conversation, Flags, Message, Note, Role, Step, StepKind};
use crate::decode::Transport;

/// Columns of the flags.
const FLAGS: usize = 9;

/// See the [module](self).
#[derive(Debug)]
pub struct Segments {
    style: Style,
}

impl Segments {
    /// The view in this style.
    pub fn new(style: Style) -> Self {
        Segments { style }
    }

    fn end_of(&self, out: &mut Vec<u8>, conversation: &Conversation, role: Role) {
        out.extend_from_slice(self.style.names.of(conversation, role).as_bytes());
        out.push(b':');
        push_number(out, conversation.end(role).port());
    }
}

impl View for Segments {
    fn begin(&mut self, _out: &mut Vec<u8>, _conversation: &Conversation) {}

    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        let style = &self.style;
        push_start(out, step.number, step.time.nanos_since(style.start));
        out.push(b'#');
        push_number(out, conversation.id);
        out.push(b' ');
        colour(out, style, step.direction);
        self.end_of(out, conversation, step.direction.sender());
        out.extend_from_slice(" → ".as_bytes());
        self.end_of(out, conversation, step.direction.sender().peer());
        out.extend_from_slice(b"  ");
        match step.kind {
            StepKind::Segment(facts) => {
                let start = out.len();
                push_flags(out, facts.flags);
                push_blanks(out, FLAGS.saturating_sub(out.len() - start));
                plain(out, style);
                out.extend_from_slice(b" seq=");
                push_number(out, facts.seq);
                if facts.flags.has(Flags::SYN) {
                    out.extend_from_slice(b" (raw ");
                    push_number(out, facts.seq_raw.0);
                    out.push(b')');
                }
                if let Some(ack) = facts.ack {
                    out.extend_from_slice(b" ack=");
                    push_number(out, ack);
                }
                out.extend_from_slice(b" len=");
                push_number(out, step.payload_len);
                out.extend_from_slice(b" win=");
                push_number(out, facts.window);
            }
            StepKind::Datagram => {
                out.extend_from_slice(b"UDP       len=");
                plain(out, style);
                push_number(out, step.payload_len);
            }
            StepKind::Unreachable(_) => {
                out.extend_from_slice(b"ICMP     ");
                plain(out, style);
            }
        }
        if !step.notes.is_empty() || step.number == conversation.first_number {
            self.notes(out, conversation, step);
        }
        if !step.payload.is_empty() {
            out.extend_from_slice(b"  ");
            colour(out, style, step.direction);
            push_octets(out, step.payload, step.payload_kind, MOST_OCTETS);
            plain(out, style);
        }
        out.push(b'\n');
    }

    fn late_messages(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &[Message<'_>]) {}

    fn end(&mut self, _out: &mut Vec<u8>, _conversation: &Conversation) {}

    fn resume(&mut self, _out: &mut Vec<u8>, _conversation: &Conversation) {}
}

impl Segments {
    fn notes(&self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        let style = &self.style;
        out.extend_from_slice(b"  ");
        let calm = |note: &Note| {
            matches!(
                note,
                Note::Handshake(_) | Note::Teardown(_) | Note::ReplyTo { .. }
            )
        };
        if step.notes.iter().all(|note| calm(&note)) {
            dim(out, style);
        } else {
            alarm(out, style);
        }
        out.push(b'[');
        let mut is_first = true;
        if step.number == conversation.first_number {
            // Once in full, since the other lines name the ends by their parts.
            out.extend_from_slice(match conversation.transport {
                Transport::Tcp => b"tcp ",
                Transport::Udp => b"udp ",
            });
            push_address(out, conversation.client);
            out.extend_from_slice(" → ".as_bytes());
            push_address(out, conversation.server);
            is_first = false;
        }
        for note in step.notes.iter() {
            if !is_first {
                out.extend_from_slice(b"; ");
            }
            is_first = false;
            push_note(out, note);
        }
        out.push(b']');
        plain(out, style);
    }
}
