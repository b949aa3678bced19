//! The default view: what happened, told connection by connection.
//!
//! The three segments of the handshake with a sentence each, what was said, the end, and a verdict. Segments that only
//! acknowledge are left out: they are counted in `--view segments`. Beside each step stands the socket call that
//! caused it, as a C or Python program would name it.

use super::explain::{Given, Lesson};
use super::line::{
    MOST_OCTETS, alarm, bold, colour, dim, plain, prefix, push_address, push_blanks,
    push_blanks_to, push_count, push_flags, push_hex_dump, push_message, push_name, push_note,
    push_number, push_start, push_way,
};
use super::verdict;
use super::{Style, View};
use crate::conversation::{
    Close, Conversation, Direction, Flags, Handshake, Message, Note, Role, RolesFrom, SegmentFacts,
    Step, StepKind,
};
use crate::decode::Transport;
use crate::text::TextKind;
use crate::time::Timestamp;

/// Columns of the column that says what was sent.
const WHAT: usize = 12;
/// A terminal with fewer columns than this gets what there is to say on lines of their own.
const NARROW: usize = 120;
/// Where those lines begin, and remarks.
const INDENT: usize = 20;
/// Columns of the column with the socket call.
const CALL: usize = 10;
/// Blanks between that and what there is to say.
const AFTER_CALL: usize = 1;
/// Octets of a segment that no Ethernet takes in one piece.
const BIG_SEGMENT: u32 = 9_000;
/// Rows of a hex dump.
const DUMP_ROWS: usize = 4;

/// The socket call behind a step.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// The system does it by itself.
    None,
    Connect,
    Accept,
    Send,
    SendTo,
    Close,
}

impl Call {
    /// Its column with the blanks after it.
    const fn column(self) -> &'static [u8; CALL + AFTER_CALL] {
        match self {
            Call::None => b"           ",
            Call::Connect => b"connect()  ",
            Call::Accept => b"accept()   ",
            Call::Send => b"send()     ",
            Call::SendTo => b"sendto()   ",
            Call::Close => b"close()    ",
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Talk {
    style: Style,
    given: Given,
}

impl Talk {
    /// The view in this style.
    pub fn new(style: Style) -> Self {
        Talk {
            style,
            given: Given::default(),
        }
    }

    /// The columns every line begins with: number, time, who to whom.
    fn line(
        &self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        (number, time): (u64, Timestamp),
        direction: Direction,
    ) {
        push_start(out, number, time.nanos_since(self.style.start));
        colour(out, &self.style, direction);
        push_way(out, &self.style, conversation, direction);
        out.extend_from_slice(b"  ");
    }

    fn is_narrow(&self) -> bool {
        (1..NARROW).contains(&self.style.width)
    }

    /// The column that says what was sent, and the one with the call.
    fn what(&self, out: &mut Vec<u8>, call: Call, what: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        what(out);
        let column = call.column();
        let (name, blanks) = column.split_at(column.trim_ascii_end().len());
        if !self.is_narrow() && !self.style.colour {
            push_blanks_to::<WHAT>(out, start);
            out.push(b' ');
            out.extend_from_slice(column);
            return;
        }
        if self.is_narrow() && name.is_empty() {
            plain(out, &self.style);
        } else {
            push_blanks_to::<WHAT>(out, start);
            plain(out, &self.style);
            out.push(b' ');
            dim(out, &self.style);
            out.extend_from_slice(name);
            plain(out, &self.style);
        }
        if self.is_narrow() {
            // What there is to say needs a line of its own.
            out.push(b'\n');
            push_blanks(out, INDENT);
        } else {
            out.extend_from_slice(blanks);
        }
    }

    /// A step with a sentence.
    fn tell(
        &self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        step: &Step<'_>,
        call: Call,
        sentence: impl FnOnce(&mut Vec<u8>),
    ) {
        self.columns(out, conversation, step, call);
        sentence(out);
        out.push(b'\n');
    }

    /// Everything in front of the sentence.
    fn columns(&self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>, call: Call) {
        self.line(out, conversation, (step.number, step.time), step.direction);
        self.what(out, call, |out| match step.kind {
            StepKind::Segment(facts) => push_flags(out, facts.flags),
            StepKind::Datagram => push_count(out, step.payload_len.into(), "octet"),
            StepKind::Unreachable(_) => out.extend_from_slice(b"ICMP"),
        });
    }

    fn message(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        message: &Message<'_>,
        answers: Option<Note>,
    ) {
        let is_udp = conversation.transport == Transport::Udp;
        if !message.octets.is_empty() || is_udp {
            self.line(
                out,
                conversation,
                (message.last_number, message.time),
                message.direction,
            );
            let call = if is_udp { Call::SendTo } else { Call::Send };
            self.what(out, call, |out| {
                push_count(out, message.octets.len() as u64, "octet");
            });
            colour(out, &self.style, message.direction);
            push_message(out, message, MOST_OCTETS);
            plain(out, &self.style);
            if message.continues {
                out.extend_from_slice(" … (continues)".as_bytes());
            }
            if let Some(note) = answers {
                dim(out, &self.style);
                out.extend_from_slice(b"  (");
                push_note(out, note);
                out.push(b')');
                plain(out, &self.style);
            }
            out.push(b'\n');
            if message.kind == TextKind::Binary {
                push_hex_dump(out, message.octets, 12, DUMP_ROWS);
            }
            if self.style.explain {
                if prefix(message.octets, message.kind).is_some() {
                    self.explain(out, Lesson::Prefix);
                }
                if !is_udp && conversation.messages() > 1 {
                    self.explain(out, Lesson::Stream);
                }
            }
        }
        if message.missing > 0 {
            self.remark(out, |out| {
                push_count(out, message.missing, "octet");
                out.extend_from_slice(b" of the ");
                out.extend_from_slice(message.direction.sender().name().as_bytes());
                out.extend_from_slice(b" are not in the capture");
            });
        }
    }

    /// A line that is about no segment of its own.
    fn remark(&self, out: &mut Vec<u8>, words: impl FnOnce(&mut Vec<u8>)) {
        push_blanks(out, INDENT);
        dim(out, &self.style);
        out.extend_from_slice("⋯ ".as_bytes());
        words(out);
        plain(out, &self.style);
        out.push(b'\n');
    }

    fn explain(&mut self, out: &mut Vec<u8>, lesson: Lesson) {
        if !self.style.explain || !self.given.first_time(lesson) {
            return;
        }
        let room = if self.style.width == 0 {
            100
        } else {
            self.style.width
        };
        let room = room.clamp(40, 120) - INDENT - 2;
        let mut column = usize::MAX;
        for word in lesson.text().split_whitespace() {
            let width = super::line::columns(word);
            if column.saturating_add(1 + width) > room {
                if column != usize::MAX {
                    plain(out, &self.style);
                    out.push(b'\n');
                }
                push_blanks(out, INDENT);
                dim(out, &self.style);
                out.extend_from_slice("│ ".as_bytes());
                column = 0;
            } else {
                out.push(b' ');
                column += 1;
            }
            out.extend_from_slice(word.as_bytes());
            column += width;
        }
        plain(out, &self.style);
        out.push(b'\n');
    }

    /// The segments that open a connection.
    fn opening(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        step: &Step<'_>,
        facts: &SegmentFacts,
        nth: u8,
    ) {
        match nth {
            1 => {
                let also = conversation.opening[0].is_some_and(|first| first.number != step.number);
                self.tell(out, conversation, step, Call::Connect, |out| {
                    self.push_sender(out, conversation, step);
                    out.extend_from_slice(if also {
                        b" asks to open at the same time: SYN, its first number is 0"
                    } else {
                        b" asks to open: SYN, its first number is 0"
                    });
                });
                self.explain(out, Lesson::Syn);
            }
            2 => {
                self.tell(out, conversation, step, Call::None, |out| {
                    self.push_sender(out, conversation, step);
                    out.extend_from_slice(b" agrees: its first number is 0; it ");
                    push_expects(out, facts);
                });
                self.explain(out, Lesson::SynAck);
            }
            _ => {
                self.tell(out, conversation, step, Call::Accept, |out| {
                    self.push_sender(out, conversation, step);
                    out.push(b' ');
                    push_expects(out, facts);
                    out.extend_from_slice(b": the connection is open");
                });
                self.explain(out, Lesson::HandshakeDone);
            }
        }
    }

    fn push_sender(&self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        push_name(out, &self.style, conversation, step.direction.sender());
    }

    /// What went otherwise than usual: a line each.
    fn troubles(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        for note in step.notes.iter() {
            let lesson = match note {
                Note::Retransmission | Note::RetransmissionAfterLoss => Lesson::Retransmission,
                Note::OutOfOrder => Lesson::OutOfOrder,
                Note::DuplicateAck(_) => Lesson::DuplicateAck,
                Note::ZeroWindow => Lesson::ZeroWindow,
                Note::KeepAlive => Lesson::KeepAlive,
                Note::GapBefore(_)
                | Note::NotCaptured(_)
                | Note::BufferFull
                | Note::WindowOpened
                | Note::WindowProbe
                | Note::AfterClose
                | Note::HandshakeMismatch
                | Note::Cut { .. }
                | Note::Reassembled(_)
                | Note::WrongChecksum(_) => {
                    self.trouble(out, conversation, step, note);
                    continue;
                }
                _ => continue,
            };
            self.trouble(out, conversation, step, note);
            self.explain(out, lesson);
        }
    }

    fn trouble(&self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>, note: Note) {
        self.line(out, conversation, (step.number, step.time), step.direction);
        self.what(out, Call::None, |out| match step.kind {
            StepKind::Segment(facts) if step.payload_len == 0 => push_flags(out, facts.flags),
            _ => push_count(out, step.payload_len.into(), "octet"),
        });
        alarm(out, &self.style);
        push_note(out, note);
        plain(out, &self.style);
        out.push(b'\n');
    }

    /// The segments that end a connection, after what they carry.
    fn ending(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        for note in step.notes.iter() {
            match note {
                Note::Teardown(1) => {
                    self.tell(out, conversation, step, Call::Close, |out| {
                        self.push_sender(out, conversation, step);
                        out.extend_from_slice(b" closes first: FIN, it has no more to say");
                    });
                    self.explain(out, Lesson::Fin);
                }
                Note::Teardown(_) => {
                    self.tell(out, conversation, step, Call::Close, |out| {
                        self.push_sender(out, conversation, step);
                        out.extend_from_slice(b" closes too: FIN");
                    });
                    self.explain(out, Lesson::TimeWait);
                }
                Note::Refused => {
                    self.tell(out, conversation, step, Call::None, |out| {
                        out.extend_from_slice(b"nobody listens on tcp ");
                        push_address(out, conversation.server);
                        out.extend_from_slice(b": the connection is refused");
                    });
                    self.explain(out, Lesson::Refused);
                }
                Note::Reset => {
                    self.tell(out, conversation, step, Call::None, |out| {
                        self.push_sender(out, conversation, step);
                        out.extend_from_slice(b" cuts the connection off: RST");
                    });
                    self.explain(out, Lesson::Reset);
                }
                _ => {}
            }
        }
    }

    /// The last segment of a proper end carries nothing but the acknowledgment of the second FIN.
    fn last_ack(
        &self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        step: &Step<'_>,
        facts: &SegmentFacts,
    ) {
        if facts.flags == Flags::ACK
            && step.payload_len == 0
            && is_last_ack(conversation, step.direction)
        {
            self.tell(out, conversation, step, Call::None, |out| {
                self.push_sender(out, conversation, step);
                out.extend_from_slice(b" has received that: the connection is over");
            });
        }
    }
}

impl View for Talk {
    fn begin(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        self.heading(out, conversation, "");
        if self.style.explain && conversation.transport == Transport::Udp {
            self.explain(out, Lesson::Datagram);
        }
    }

    /// Segments that only acknowledge, but for the last.
    fn ignores(&self, conversation: &Conversation, step: &Step<'_>) -> bool {
        matches!(step.kind, StepKind::Segment(_))
            && step.notes.is_empty()
            && step.messages.is_empty()
            && step.payload_len == 0
            && !matches!(conversation.close, Close::Both { .. })
    }

    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        let of = |direction| {
            let messages = step.messages.iter();
            messages.filter(move |message| message.direction == direction)
        };
        for message in of(step.direction.reverse()) {
            self.message(out, conversation, message, None);
        }
        if let StepKind::Unreachable(reason) = step.kind {
            self.tell(out, conversation, step, Call::None, |out| {
                out.extend_from_slice(verdict::unreachable(conversation, reason).as_bytes());
            });
            self.explain(out, Lesson::PortUnreachable);
            return;
        }
        let mut answers = None;
        if !step.notes.is_empty() {
            for note in step.notes.iter() {
                match (note, step.kind) {
                    (Note::Handshake(nth), StepKind::Segment(facts)) => {
                        self.opening(out, conversation, step, &facts, nth);
                    }
                    (Note::ReplyTo { .. }, _) => answers = Some(note),
                    (Note::JoinedLate, _) => {
                        self.remark(out, |out| {
                            out.extend_from_slice(b"the capture began later than this connection");
                        });
                        self.explain(out, Lesson::JoinedLate);
                    }
                    (Note::PortReused, _) => self.remark(out, |out| {
                        out.extend_from_slice(b"a new connection between the same two ports");
                    }),
                    _ => {}
                }
            }
            self.troubles(out, conversation, step);
        }
        for message in of(step.direction) {
            self.message(out, conversation, message, answers);
        }
        if let StepKind::Segment(facts) = step.kind {
            if self.style.explain {
                if facts.flags.has(Flags::PSH) && step.payload_len > 0 {
                    self.explain(out, Lesson::Push);
                }
                if step.payload_len > BIG_SEGMENT {
                    self.explain(out, Lesson::BigSegment);
                }
            }
            if step.notes.is_empty() {
                self.last_ack(out, conversation, step, &facts);
            } else {
                self.ending(out, conversation, step);
            }
        }
    }

    fn late_messages(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        messages: &[Message<'_>],
    ) {
        for message in messages {
            self.message(out, conversation, message, None);
        }
    }

    fn ends_early(&self) -> bool {
        true
    }

    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        let is_good = verdict::is_good(conversation);
        out.extend_from_slice(b"  ");
        if is_good {
            bold(out, &self.style);
        } else {
            alarm(out, &self.style);
        }
        out.extend_from_slice(if is_good { "✓ " } else { "! " }.as_bytes());
        verdict::push_verdict(out, &self.style, conversation);
        plain(out, &self.style);
        out.extend_from_slice(b"\n\n");
    }

    fn resume(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        self.heading(out, conversation, ", continued");
    }
}

impl Talk {
    fn heading(&self, out: &mut Vec<u8>, conversation: &Conversation, how: &str) {
        bold(out, &self.style);
        out.extend_from_slice(b"Conversation ");
        push_number(out, conversation.id);
        out.extend_from_slice(how.as_bytes());
        plain(out, &self.style);
        out.extend_from_slice(match conversation.transport {
            Transport::Tcp => b": TCP, ",
            Transport::Udp => b": UDP, ",
        });
        for (role, before) in [(Role::Client, ""), (Role::Server, " → ")] {
            out.extend_from_slice(before.as_bytes());
            colour(out, &self.style, role.sends());
            out.extend_from_slice(self.style.names.of(conversation, role).as_bytes());
            out.push(b' ');
            push_address(out, conversation.end(role));
            plain(out, &self.style);
        }
        if conversation.roles_from == RolesFrom::Guess {
            out.extend_from_slice(b" (who is the server is a guess)");
        }
        out.push(b'\n');
    }
}

/// `expects 1 = 0 + 1`, from the numbers in the segment.
fn push_expects(out: &mut Vec<u8>, facts: &SegmentFacts) {
    let ack = facts.ack.unwrap_or(0);
    out.extend_from_slice(b"expects ");
    push_number(out, ack);
    if ack >= 1 {
        out.extend_from_slice(b" = 0 + 1");
    }
    if ack > 1 {
        out.extend_from_slice(b" + ");
        push_count(out, ack.unsigned_abs() - 1, "octet");
    }
}

/// Whether a bare acknowledgment is the one that ends the connection: both sides have closed, and this one goes to the
/// side that closed last.
fn is_last_ack(conversation: &Conversation, direction: Direction) -> bool {
    conversation.handshake != Handshake::Refused
        && match conversation.close {
            Close::Both { first } => {
                first.sends() == direction
                    && conversation.states[direction.reverse().index()]
                        == crate::conversation::State::Closed
            }
            _ => false,
        }
}
