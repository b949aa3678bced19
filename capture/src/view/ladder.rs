//! The ladder: two lifelines, one for each end, and an arrow from one to the other for every segment or datagram.
//!
//! ```text
//!   no.       time  client                                                server
//!                   127.0.0.1:58058                              127.0.0.1:20002
//!                   ┬                                                          ┬
//!     1   0.000000  │── SYN seq 0 ────────────────────────────────────────────▶│
//!     2   0.000019  │◀─────────────────────────────────── SYN ACK seq 0 ack 1 ─│
//! ```
//!
//! Arrows are horizontal: one observer sees when a segment passes, not when it was sent and received. How a
//! connection is drawn depends on its own steps alone; what is kept of it meanwhile has a fixed size.

use super::line::{
    alarm, bold, break_line, colour, columns, columns_of, count, dim, name, plain, prefix,
    push_address, push_blanks, push_count, push_cut, push_fitting, push_number, push_number_right,
    push_seconds, transport,
};
use super::verdict;
use super::{Style, View};
use crate::conversation::{
    Conversation, Direction, Flags, Message, Note, Role, SegmentFacts, State, Step, StepKind,
};
use crate::decode::{Transport, UnreachableReason};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::io::Write as _;

/// Arrows drawn of one conversation. After these, only segments that open or end something are.
pub(super) const MOST_ARROWS: u32 = 1_000;
/// Arrows that may be drawn beyond [`MOST_ARROWS`] for the sake of what they open or end.
const MORE_ARROWS: u32 = 100;
/// Acknowledgments in a row, one way, that are drawn one by one.
const MOST_ACKS: u32 = 3;

/// Widths between which a ladder can be drawn, and the one that is taken where there is no terminal.
const NARROWEST: usize = 40;
const WIDEST: usize = 250;
const USUAL: usize = 80;
/// From this width on, the states of the two ends stand beside the lifelines.
const WITH_STATES: usize = 100;
/// `SYN-RECEIVED`.
const LONGEST_STATE: usize = 12;

/// How an arrow is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    /// The usual line.
    Solid,
    /// Dashed: sent again.
    Again,
    /// Heavy and crossed out: a RST.
    Reset,
    /// Dotted: an ICMP message.
    Icmp,
}

impl Stroke {
    /// How to draw a step.
    pub(super) fn of(step: &Step<'_>) -> Self {
        match step.kind {
            StepKind::Unreachable(_) => Stroke::Icmp,
            StepKind::Segment(facts) if facts.flags.has(Flags::RST) => Stroke::Reset,
            _ if is_again(step) => Stroke::Again,
            _ => Stroke::Solid,
        }
    }
}

fn is_again(step: &Step<'_>) -> bool {
    step.notes
        .iter()
        .any(|note| matches!(note, Note::Retransmission | Note::RetransmissionAfterLoss))
}

/// What is written on an arrow, in pieces of which the later ones may stand below it instead. All of it is ASCII.
#[derive(Debug, Default)]
pub(super) struct Label {
    pub(super) text: Vec<u8>,
    ends: [usize; 3],
}

impl Label {
    /// Takes the words for a step.
    pub(super) fn set(&mut self, step: &Step<'_>, stroke: Stroke) {
        self.text.clear();
        if stroke == Stroke::Again {
            self.text.extend_from_slice(b"again: ");
        }
        match step.kind {
            StepKind::Segment(facts) => {
                for (place, name) in facts.flags.names().enumerate() {
                    if place > 0 {
                        self.text.push(b' ');
                    }
                    self.text.extend_from_slice(name.as_bytes());
                }
                if facts.flags == Flags::default() {
                    self.text.extend_from_slice(b"no flags");
                }
                self.ends[0] = self.text.len();
                self.push_numbers(facts);
                self.ends[1] = self.text.len();
                if step.payload_len > 0 {
                    self.text.extend_from_slice(b" len ");
                    push_number(&mut self.text, step.payload_len);
                }
            }
            StepKind::Datagram => {
                push_count(&mut self.text, step.payload_len.into(), "octet");
                self.ends = [self.text.len(); 3];
            }
            StepKind::Unreachable(reason) => {
                self.text.extend_from_slice(b"ICMP");
                self.ends[0] = self.text.len();
                self.text.push(b' ');
                self.text.extend_from_slice(why_not(reason).as_bytes());
                self.ends[1] = self.text.len();
            }
        }
        self.ends[2] = self.text.len();
    }

    fn push_numbers(&mut self, facts: SegmentFacts) {
        self.text.extend_from_slice(b" seq ");
        push_number(&mut self.text, facts.seq);
        if let Some(ack) = facts.ack {
            self.text.extend_from_slice(b" ack ");
            push_number(&mut self.text, ack);
        }
    }

    /// As much as fits into so many columns, and the rest.
    fn split(&self, room: usize) -> (&str, &str) {
        let fits = self.ends.iter().rev().find(|&&end| end <= room);
        let (on, below) = self.text.split_at(fits.copied().unwrap_or(0));
        let text = |part| std::str::from_utf8(part).unwrap_or_default();
        (text(on), text(below).trim_start())
    }
}

/// Why something could not be delivered, in few enough words for an arrow.
fn why_not(reason: UnreachableReason) -> &'static str {
    match reason {
        UnreachableReason::Port => "port unreachable",
        UnreachableReason::Host => "host unreachable",
        UnreachableReason::Network => "network unreachable",
        UnreachableReason::Prohibited => "prohibited",
        UnreachableReason::Other(_) => "unreachable",
    }
}

/// What has to be said about a step and is not in its arrow already, each on a line.
pub(super) fn push_notes(out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
    let start = out.len();
    let separate = |out: &mut Vec<u8>| {
        if out.len() > start {
            out.push(b'\n');
        }
    };
    for note in step.notes.iter() {
        match note {
            // Drawn: the arrow itself, its stroke, or a line of its own.
            Note::Handshake(_)
            | Note::Teardown(_)
            | Note::Reset
            | Note::Retransmission
            | Note::JoinedLate
            | Note::NotCaptured(_) => {}
            Note::RetransmissionAfterLoss => {
                separate(out);
                out.extend_from_slice(b"fills a gap");
            }
            Note::Refused | Note::Unreachable(UnreachableReason::Port) => {
                separate(out);
                out.extend_from_slice(b"nobody listens on port ");
                push_number(out, conversation.server.port());
            }
            Note::Unreachable(reason) => {
                separate(out);
                let why = verdict::unreachable(conversation, reason);
                out.extend_from_slice(why.as_bytes());
            }
            note => {
                separate(out);
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{note}");
            }
        }
    }
    if let StepKind::Unreachable(_) = step.kind
        && step.src.ip() != conversation.end(step.direction.sender()).ip()
    {
        separate(out);
        let _ = write!(out, "said by {}", step.src.ip());
    }
    if let Some(prefix) = prefix(step.payload, step.payload_kind) {
        separate(out);
        let _ = write!(out, "begins with its {prefix}");
    }
}

/// What the capture does not have before this step, in words. `is_late` remembers that the beginning was told of.
pub(super) fn absences(step: &Step<'_>, is_late: &mut bool) -> Vec<String> {
    let mut absences = Vec::new();
    let mut known = false;
    for note in step.notes.iter() {
        match note {
            Note::JoinedLate if !*is_late => {
                *is_late = true;
                absences.push("the beginning was not captured".to_owned());
            }
            Note::NotCaptured(octets) => {
                known = true;
                absences.push(missing_words(octets));
            }
            _ => {}
        }
    }
    if !known {
        absences.extend(missing_in(step.messages));
    }
    absences
}

/// What messages lack, in words.
pub(super) fn missing_in(messages: &[Message<'_>]) -> impl Iterator<Item = String> {
    let lacking = messages.iter().filter(|message| message.missing > 0);
    lacking.map(|message| missing_words(message.missing))
}

/// `120 octets not captured`.
fn missing_words(octets: u64) -> String {
    format!("{} not captured", count(octets, "octet"))
}

/// Whether a segment says nothing but "I have everything before this number".
pub(super) fn is_mere_ack(step: &Step<'_>) -> bool {
    matches!(step.kind, StepKind::Segment(facts) if facts.flags == Flags::ACK)
        && step.payload_len == 0
        && step
            .notes
            .iter()
            .all(|note| matches!(note, Note::DuplicateAck(_)))
}

/// Which steps of a conversation are drawn: not more than a picture can hold.
#[derive(Debug, Default)]
pub(super) struct Budget {
    arrows: u32,
    acks: Option<(Direction, u32)>,
    /// Acknowledgments left out since the last arrow.
    pub(super) folded: u64,
    /// Steps left out since the last arrow because there were too many.
    pub(super) skipped: u64,
}

impl Budget {
    /// Whether to draw this step, with at most `most` arrows in all. What was left out before it is in
    /// [`folded`](Self::folded) and [`skipped`](Self::skipped), for the caller to tell and to set to 0.
    pub(super) fn admits(&mut self, step: &Step<'_>, most: u32) -> bool {
        if is_mere_ack(step) {
            let run = match self.acks {
                Some((direction, run)) if direction == step.direction => run.saturating_add(1),
                _ => 1,
            };
            self.acks = Some((step.direction, run));
            if run > MOST_ACKS && self.skipped == 0 {
                self.folded += 1;
                return false;
            }
        } else {
            self.acks = None;
        }
        let matters = match step.kind {
            StepKind::Segment(facts) => facts
                .flags
                .has_any(Flags::SYN.and(Flags::FIN).and(Flags::RST)),
            StepKind::Datagram => false,
            StepKind::Unreachable(_) => true,
        };
        if self.arrows < most || (matters && self.arrows < most + MORE_ARROWS) {
            self.arrows += 1;
            true
        } else {
            self.skipped += 1;
            false
        }
    }
}

/// Columns, from the left: number, time, state of the client, lifeline, room for arrows, lifeline, state of the server.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Columns of the number.
    number: usize,
    /// Columns before the first lifeline (or before the state beside it).
    gutter: usize,
    /// Blanks at the end of the gutter.
    space: usize,
    states: bool,
    /// Columns between the lifelines.
    inner: usize,
}

impl Layout {
    fn of(width: usize) -> Self {
        let width = match width {
            0 => USUAL,
            width => width.clamp(NARROWEST, WIDEST),
        };
        let (number, time, space) = match width {
            ..60 => (3, 9, 1),
            60..WITH_STATES => (5, 11, 2),
            _ => (7, 11, 2),
        };
        let states = width >= WITH_STATES;
        let gutter = number + time + space;
        let beside = if states { 2 * (LONGEST_STATE + 1) } else { 0 };
        Layout {
            number,
            gutter,
            space,
            states,
            inner: width - gutter - beside - 2,
        }
    }

    /// Columns up to the second lifeline, and with it.
    fn whole(self) -> usize {
        self.left() + self.inner + 2
    }

    /// Columns up to the first lifeline.
    fn left(self) -> usize {
        self.gutter + if self.states { LONGEST_STATE + 1 } else { 0 }
    }
}

/// What is remembered of a conversation between two of its steps.
#[derive(Debug, Default)]
struct Drawing {
    budget: Budget,
    states: [State; 2],
    late: bool,
}

/// The ladder as text.
#[derive(Debug)]
pub struct Ladder {
    style: Style,
    layout: Layout,
    drawings: HashMap<u32, Drawing>,
    label: Label,
    scratch: Vec<u8>,
    begun: bool,
}

impl Ladder {
    /// A ladder as wide as the terminal.
    pub fn new(style: Style) -> Self {
        Ladder {
            layout: Layout::of(style.width),
            style,
            drawings: HashMap::new(),
            label: Label::default(),
            scratch: Vec::new(),
            begun: false,
        }
    }

    /// The name of the conversation, and the heads of its lifelines.
    fn heading(&mut self, out: &mut Vec<u8>, conversation: &Conversation, goes_on: bool) {
        if self.begun {
            out.push(b'\n');
        }
        self.begun = true;
        bold(out, &self.style);
        out.extend_from_slice(b"conversation ");
        push_number(out, conversation.id);
        out.extend_from_slice(b", ");
        out.extend_from_slice(transport(conversation.transport).as_bytes());
        plain(out, &self.style);
        if goes_on {
            out.extend_from_slice(b", goes on");
        }
        out.push(b'\n');
        let layout = self.layout;
        let start = out.len();
        dim(out, &self.style);
        let titles = out.len();
        push_blanks(out, layout.number.saturating_sub("no.".len()));
        out.extend_from_slice(b"no.");
        let used = out.len() - titles;
        push_blanks(out, layout.gutter - layout.space - used - "time".len());
        out.extend_from_slice(b"time");
        push_blanks(out, layout.space);
        plain(out, &self.style);
        debug_assert!(self.style.colour || out.len() - start == layout.gutter);
        push_blanks(out, layout.left() - layout.gutter);
        let ends = [Role::Client, Role::Server];
        let names = ends.map(|role| name(&self.style, conversation, role).as_bytes().to_vec());
        self.push_heads(out, &names);
        let addresses = ends.map(|role| {
            let mut address = Vec::new();
            push_address(&mut address, conversation.end(role));
            address
        });
        push_blanks(out, layout.left());
        self.push_heads(out, &addresses);
        self.push_ends(out, "┬");
    }

    /// Two texts, one above each lifeline; on two lines where one is too short.
    fn push_heads(&self, out: &mut Vec<u8>, heads: &[Vec<u8>; 2]) {
        let whole = self.layout.inner + 2;
        let [left, right] = heads.each_ref().map(|head| String::from_utf8_lossy(head));
        colour(out, &self.style, Direction::ToServer);
        push_cut(out, &left, whole);
        plain(out, &self.style);
        let mut used = columns(&left).min(whole);
        if used + 1 + columns(&right) > whole {
            out.push(b'\n');
            push_blanks(out, self.layout.left());
            used = 0;
        }
        push_blanks(out, (whole - used).saturating_sub(columns(&right)));
        colour(out, &self.style, Direction::ToClient);
        push_cut(out, &right, whole);
        plain(out, &self.style);
        out.push(b'\n');
    }

    /// Where the lifelines begin or end.
    fn push_ends(&self, out: &mut Vec<u8>, mark: &str) {
        push_blanks(out, self.layout.left());
        out.extend_from_slice(mark.as_bytes());
        push_blanks(out, self.layout.inner);
        out.extend_from_slice(mark.as_bytes());
        out.push(b'\n');
    }

    /// Number and time, in exactly as many columns as the gutter has: long times lose decimals.
    fn push_gutter(&self, out: &mut Vec<u8>, number: u64, time: Timestamp) {
        let Layout {
            gutter,
            space,
            number: number_columns,
            ..
        } = self.layout;
        dim(out, &self.style);
        let start = out.len();
        push_number_right(out, number, number_columns);
        out.push(b' ');
        let room = (gutter - space).saturating_sub(out.len() - start);
        let times = out.len();
        push_seconds(out, time.nanos_since(self.style.start), room);
        out.truncate(times + room);
        push_blanks(out, gutter.saturating_sub(out.len() - start));
        plain(out, &self.style);
    }

    /// A line between the lifelines without an arrow: `text` as it stands, `used` columns wide.
    fn push_between(&self, out: &mut Vec<u8>, direction: Direction, used: usize, text: &[u8]) {
        const INDENT: usize = 3;
        let rest = self.layout.inner.saturating_sub(used + INDENT);
        push_blanks(out, self.layout.left());
        out.extend_from_slice("│".as_bytes());
        match direction {
            Direction::ToServer => push_blanks(out, INDENT),
            Direction::ToClient => push_blanks(out, rest),
        }
        out.extend_from_slice(text);
        match direction {
            Direction::ToServer => push_blanks(out, rest),
            Direction::ToClient => push_blanks(out, INDENT),
        }
        out.extend_from_slice("│\n".as_bytes());
    }

    /// Something that is not there, across both lifelines: `⋯ 120 octets not captured ⋯`.
    fn push_absence(&self, out: &mut Vec<u8>, words: &str) {
        let inner = self.layout.inner;
        let mut text = Vec::with_capacity(words.len() + 8);
        text.extend_from_slice("⋯ ".as_bytes());
        push_cut(&mut text, words, inner.saturating_sub(6));
        text.extend_from_slice(" ⋯".as_bytes());
        let used = columns_of(&text);
        let before = inner.saturating_sub(used) / 2;
        push_blanks(out, self.layout.left());
        out.extend_from_slice("│".as_bytes());
        push_blanks(out, before);
        dim(out, &self.style);
        out.extend_from_slice(&text);
        plain(out, &self.style);
        push_blanks(out, inner.saturating_sub(used + before));
        out.extend_from_slice("│\n".as_bytes());
    }

    /// Says what was not drawn since the last arrow.
    fn push_left_out(&self, out: &mut Vec<u8>, transport: Transport, budget: &mut Budget) {
        if let Some(words) = folded_words(std::mem::take(&mut budget.folded)) {
            self.push_absence(out, &words);
        }
        if let Some(words) = skipped_words(std::mem::take(&mut budget.skipped), transport) {
            self.push_absence(out, &words);
        }
    }

    fn push_state(&self, out: &mut Vec<u8>, shown: &mut State, state: State, left: bool) {
        if !self.layout.states {
            return;
        }
        let changed = *shown != state;
        *shown = state;
        let name = if changed { state.name() } else { "" };
        if left {
            push_blanks(out, LONGEST_STATE - name.len());
        } else if changed {
            out.push(b' ');
        }
        if changed {
            dim(out, &self.style);
            out.extend_from_slice(name.as_bytes());
            plain(out, &self.style);
        }
        if left {
            out.push(b' ');
        }
    }

    fn paint(&self, out: &mut Vec<u8>, direction: Direction, stroke: Stroke) {
        match stroke {
            Stroke::Reset | Stroke::Icmp => alarm(out, &self.style),
            Stroke::Solid | Stroke::Again => colour(out, &self.style, direction),
        }
    }

    /// The arrow with as much of the label as fits on it. What does not fit is returned.
    fn push_arrow<'a>(
        &self,
        out: &mut Vec<u8>,
        direction: Direction,
        stroke: Stroke,
        label: &'a Label,
    ) -> &'a str {
        // A lead of two, a blank, the label, a blank, at least one more, the head.
        const LEAD: usize = 2;
        let inner = self.layout.inner;
        let (on, below) = label.split(inner - LEAD - 4);
        let (line, head) = match (stroke, direction) {
            (Stroke::Solid, Direction::ToServer) => (SOLID, "▶"),
            (Stroke::Solid, Direction::ToClient) => (SOLID, "◀"),
            (Stroke::Again, Direction::ToServer) => (DASHED, "▶"),
            (Stroke::Again, Direction::ToClient) => (DASHED, "◀"),
            (Stroke::Reset, _) => (HEAVY, "✗"),
            (Stroke::Icmp, Direction::ToServer) => (DOTTED, "▶"),
            (Stroke::Icmp, Direction::ToClient) => (DOTTED, "◀"),
        };
        let words = if on.is_empty() { 0 } else { on.len() + 2 };
        let rest = inner - LEAD - words - 1;
        let push_label = |out: &mut Vec<u8>| {
            if !on.is_empty() {
                out.push(b' ');
                out.extend_from_slice(on.as_bytes());
                out.push(b' ');
            }
        };
        self.paint(out, direction, stroke);
        match direction {
            Direction::ToServer => {
                push_line(out, line, LEAD);
                push_label(out);
                push_line(out, line, rest);
                out.extend_from_slice(head.as_bytes());
            }
            Direction::ToClient => {
                out.extend_from_slice(head.as_bytes());
                push_line(out, line, rest);
                push_label(out);
                push_line(out, line, LEAD);
            }
        }
        plain(out, &self.style);
        below
    }

    /// Words between the lifelines, on as many lines as they need.
    fn push_words(&self, out: &mut Vec<u8>, direction: Direction, words: &str, faint: bool) {
        let room = self.layout.inner.saturating_sub(5);
        let mut rest = words;
        while !rest.is_empty() {
            let (row, after) = break_line(rest, room);
            let mut text = Vec::with_capacity(row.len() + 16);
            if faint {
                dim(&mut text, &self.style);
            } else {
                colour(&mut text, &self.style, direction);
            }
            text.extend_from_slice(row.as_bytes());
            plain(&mut text, &self.style);
            self.push_between(out, direction, columns(row), &text);
            rest = after;
        }
    }

    fn push_payload(&self, out: &mut Vec<u8>, step: &Step<'_>, text: &mut Vec<u8>) {
        text.clear();
        colour(text, &self.style, step.direction);
        let start = text.len();
        let room = self.layout.inner.saturating_sub(5);
        push_fitting(text, step.payload, step.payload_kind, room);
        let used = columns_of(&text[start..]);
        plain(text, &self.style);
        self.push_between(out, step.direction, used, text);
    }

    fn draw(
        &mut self,
        out: &mut Vec<u8>,
        conversation: &Conversation,
        step: &Step<'_>,
        drawing: &mut Drawing,
    ) {
        if !drawing.budget.admits(step, MOST_ARROWS) {
            return;
        }
        self.push_left_out(out, conversation.transport, &mut drawing.budget);
        for words in absences(step, &mut drawing.late) {
            self.push_absence(out, &words);
        }
        let stroke = Stroke::of(step);
        let mut label = std::mem::take(&mut self.label);
        label.set(step, stroke);
        self.push_gutter(out, step.number, step.time);
        let [client, server] = conversation.states;
        self.push_state(out, &mut drawing.states[0], client, true);
        out.extend_from_slice("│".as_bytes());
        let below = self.push_arrow(out, step.direction, stroke, &label);
        out.extend_from_slice("│".as_bytes());
        self.push_state(out, &mut drawing.states[1], server, false);
        out.push(b'\n');
        if !below.is_empty() {
            self.push_words(out, step.direction, below, false);
        }
        self.label = label;
        let mut scratch = std::mem::take(&mut self.scratch);
        if step.payload_len > 0 && !matches!(step.kind, StepKind::Unreachable(_)) {
            self.push_payload(out, step, &mut scratch);
        }
        scratch.clear();
        push_notes(&mut scratch, conversation, step);
        if !scratch.is_empty() {
            for words in String::from_utf8_lossy(&scratch).lines() {
                self.push_words(out, step.direction, words, true);
            }
        }
        self.scratch = scratch;
    }
}

impl View for Ladder {
    fn begin(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        self.drawings.insert(conversation.id, Drawing::default());
        self.heading(out, conversation, false);
    }

    fn step(&mut self, out: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        let mut drawing = self.drawings.remove(&conversation.id).unwrap_or_default();
        self.draw(out, conversation, step, &mut drawing);
        self.drawings.insert(conversation.id, drawing);
    }

    /// The arrows of these messages are drawn already; only what they lack is new.
    fn late_messages(&mut self, out: &mut Vec<u8>, _: &Conversation, messages: &[Message<'_>]) {
        for words in missing_in(messages) {
            self.push_absence(out, &words);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        let mut drawing = self.drawings.remove(&conversation.id).unwrap_or_default();
        self.push_left_out(out, conversation.transport, &mut drawing.budget);
        self.push_ends(out, "┴");
        let is_good = verdict::is_good(conversation);
        let mut words = Vec::from(if is_good { "✓ " } else { "! " });
        verdict::push_verdict(&mut words, &self.style, conversation);
        let words = String::from_utf8_lossy(&words);
        let left = match self.layout.inner + 2 {
            room if columns(&words) <= room => self.layout.left(),
            _ => 2,
        };
        let mut rest = &*words;
        while !rest.is_empty() {
            let (line, after) = break_line(rest, self.layout.whole() - left);
            push_blanks(out, left);
            if is_good {
                bold(out, &self.style);
            } else {
                alarm(out, &self.style);
            }
            out.extend_from_slice(line.as_bytes());
            plain(out, &self.style);
            out.push(b'\n');
            rest = after;
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        self.heading(out, conversation, true);
    }
}

/// `12 more acknowledgments`.
pub(super) fn folded_words(count: u64) -> Option<String> {
    (count > 0).then(|| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} more acknowledgment{plural}")
    })
}

/// `312 more segments not drawn`.
pub(super) fn skipped_words(count: u64, transport: Transport) -> Option<String> {
    let thing = match transport {
        Transport::Tcp => "segment",
        Transport::Udp => "datagram",
    };
    (count > 0).then(|| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} more {thing}{plural} not drawn")
    })
}

const SOLID: &str = "─";
const DASHED: &str = "╌";
const HEAVY: &str = "━";
const DOTTED: &str = "┄";

fn push_line(out: &mut Vec<u8>, line: &str, count: usize) {
    for _ in 0..count {
        out.extend_from_slice(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testing::{START, Scene, hello};
    use proptest::prelude::*;

    fn style(width: usize) -> Style {
        Style {
            width,
            start: START,
            ..Style::default()
        }
    }

    fn draw(scene: &Scene, width: usize) -> String {
        scene.play(&mut Ladder::new(style(width)))
    }

    /// That these rows are drawn, one after the other, at a width of 60.
    #[track_caller]
    fn check(scene: &Scene, rows: &[&str]) {
        let drawn = draw(scene, 60);
        let rows = rows.join("\n");
        assert!(drawn.contains(&rows), "\n{rows}\n  not in\n{drawn}");
    }

    /// Every row with lifelines ends with the second one, in the same column; with states it may go on.
    #[track_caller]
    fn check_aligned(drawn: &str, width: usize) {
        let layout = Layout::of(width);
        for line in drawn.lines().filter(|line| line.contains('│')) {
            let second = line.rfind('│').expect("it has one") + '│'.len_utf8();
            assert_eq!(columns(&line[..second]), layout.whole(), "{line}\n{drawn}");
            assert!(columns(line) <= width, "{line}\n{drawn}");
        }
        for line in drawn.lines() {
            assert!(columns(line) <= width, "{line}\n{drawn}");
        }
    }

    #[test]
    fn an_exchange_is_drawn_between_two_lifelines() {
        assert_eq!(
            draw(&hello(), 60),
            "\
conversation 0, TCP
  no.       time  client                              server
                  127.0.0.1:58058            127.0.0.1:20002
                  ┬                                        ┬
    1   0.000000  │── SYN seq 0 ──────────────────────────▶│
    2   0.001000  │◀──────────────── SYN ACK seq 0 ack 1 ──│
    3   0.002000  │── ACK seq 1 ack 1 ────────────────────▶│
    4   0.003000  │── PSH ACK seq 1 ack 1 len 15 ─────────▶│
                  │   \"Hi from client!\"                    │
    5   0.004000  │◀─────────────────── ACK seq 1 ack 16 ──│
    6   0.005000  │◀──────── PSH ACK seq 1 ack 16 len 15 ──│
                  │                    \"Hi from server!\"   │
    7   0.006000  │── ACK seq 16 ack 16 ──────────────────▶│
    8   0.007000  │── FIN ACK seq 16 ack 16 ──────────────▶│
    9   0.008000  │◀────────────── FIN ACK seq 16 ack 17 ──│
   10   0.009000  │── ACK seq 17 ack 17 ──────────────────▶│
                  ┴                                        ┴
  ✓ handshake complete · 2 messages · plaintext readable ·
  closed by the client
"
        );
    }

    #[test]
    fn what_does_not_fit_on_an_arrow_stands_below_it() {
        let drawn = draw(&hello(), 40);
        let rows = "\
  6 0.005000 │◀───────────── PSH ACK ──│
             │   seq 1 ack 16 len 15   │
             │     \"Hi from server!\"   │
";
        assert!(drawn.contains(rows), "{drawn}");
    }

    #[test]
    fn states_stand_beside_the_lifelines_when_they_change() {
        let drawn = draw(&hello(), 120);
        let states = |name: &str| drawn.matches(name).count();
        assert_eq!(states("SYN-SENT"), 1, "{drawn}");
        assert_eq!(states("SYN-RECEIVED"), 1, "{drawn}");
        assert_eq!(states("ESTABLISHED"), 2, "{drawn}");
        assert!(!draw(&hello(), 99).contains("SYN-SENT"));
    }

    #[test]
    fn what_is_sent_again_is_dashed() {
        let scene = Scene::tcp().handshake().says(Role::Client, b"hi");
        let scene = scene.segment(Role::Client, Flags::PSH.and(Flags::ACK), b"hi");
        check(
            &scene.note(Note::Retransmission),
            &[
                "    5   0.004000  │╌╌ again: PSH ACK seq 3 ack 1 len 2 ╌╌╌▶│",
                "                  │   \"hi\"                                 │",
            ],
        );
    }

    #[test]
    fn a_reset_is_heavy_and_crossed_out() {
        check(
            &Scene::tcp().handshake().resets(Role::Server),
            &["    4   0.003000  │✗━━━━━━━━━━━━━━━━ RST ACK seq 1 ack 1 ━━│"],
        );
        check(
            &Scene::tcp().handshake().resets(Role::Client),
            &["    4   0.003000  │━━ RST ACK seq 1 ack 1 ━━━━━━━━━━━━━━━━✗│"],
        );
    }

    #[test]
    fn who_refuses_is_named() {
        check(
            &Scene::tcp().syn().refuses(),
            &[
                "    2   0.001000  │✗━━━━━━━━━━━━━━━━ RST ACK seq 0 ack 1 ━━│",
                "                  │         nobody listens on port 20002   │",
                "                  ┴                                        ┴",
                "  ! refused: nobody listens on tcp 127.0.0.1:20002",
            ],
        );
        check(
            &Scene::udp().says(Role::Client, b"hello").refuses(),
            &[
                "    1   0.000000  │── 5 octets ───────────────────────────▶│",
                "                  │   \"hello\"                              │",
                "    2   0.001000  │◀┄┄┄┄┄┄┄┄┄┄┄┄┄┄ ICMP port unreachable ┄┄│",
                "                  │         nobody listens on port 20001   │",
            ],
        );
    }

    #[test]
    fn a_router_that_answers_is_named() {
        let mut scene = Scene::udp().says(Role::Client, b"hello").refuses();
        scene.last().src = "10.0.0.1:0".parse().expect("an address");
        check(
            &scene,
            &[
                "                  │         nobody listens on port 20001   │",
                "                  │                     said by 10.0.0.1   │",
            ],
        );
    }

    #[test]
    fn what_the_capture_does_not_have_is_said() {
        let scene = Scene::tcp()
            .says(Role::Client, b"hi")
            .note(Note::JoinedLate)
            .says(Role::Client, b"there")
            .note(Note::NotCaptured(120));
        check(
            &scene,
            &["                  │   ⋯ the beginning was not captured ⋯   │"],
        );
        check(
            &scene,
            &["                  │      ⋯ 120 octets not captured ⋯       │"],
        );
        let scene = Scene::tcp()
            .says(Role::Client, b"hi")
            .message(|message| message.missing = 7);
        check(
            &scene.late(),
            &[
                "                  │   \"hi\"                                 │",
                "                  │       ⋯ 7 octets not captured ⋯        │",
            ],
        );
    }

    #[test]
    fn acknowledgments_in_a_row_are_folded() {
        let mut scene = Scene::tcp().handshake();
        for _ in 0..15 {
            scene = scene.acks(Role::Server);
        }
        let scene = scene.says(Role::Client, b"hi");
        check(
            &scene,
            &[
                "    6   0.005000  │◀──────────────────── ACK seq 1 ack 1 ──│",
                "                  │      ⋯ 12 more acknowledgments ⋯       │",
                "   19   0.018000  │── PSH ACK seq 1 ack 1 len 2 ──────────▶│",
            ],
        );
    }

    #[test]
    fn a_long_conversation_is_cut_but_not_its_end() {
        let mut scene = Scene::tcp().handshake();
        for _ in 0..MOST_ARROWS + 9 {
            scene = scene.says(Role::Client, b"hi");
        }
        check(
            &scene.closes(Role::Client),
            &[
                "                  │     ⋯ 12 more segments not drawn ⋯     │",
                " 1013   1.012000  │── FIN ACK seq 2019 ack 1 ─────────────▶│",
            ],
        );
    }

    #[test]
    fn a_conversation_that_goes_on_has_its_lifelines_named_again() {
        let scene = hello();
        let mut ladder = Ladder::new(style(60));
        let mut out = Vec::new();
        ladder.begin(&mut out, &scene.conversation);
        out.clear();
        ladder.resume(&mut out, &scene.conversation);
        let drawn = String::from_utf8(out).expect("text");
        assert!(
            drawn.starts_with("\nconversation 0, TCP, goes on\n"),
            "{drawn}"
        );
        assert!(drawn.contains("client  "), "{drawn}");
    }

    #[test]
    fn nothing_is_remembered_of_what_has_ended() {
        let mut ladder = Ladder::new(style(60));
        hello().play(&mut ladder);
        assert!(ladder.drawings.is_empty());
    }

    #[test]
    fn hostile_text_does_not_act() {
        let scene = Scene::tcp().says(Role::Client, b"\x1b[2J\x1b]0;title\x07\n");
        let drawn = draw(&scene, 80);
        assert!(!drawn.contains('\x1b'), "{drawn}");
        assert!(drawn.contains(r#""\x1b[2J\x1b]0;title\x07\n""#), "{drawn}");
    }

    #[test]
    fn colours_do_not_shift_anything() {
        let coloured = hello().play(&mut Ladder::new(Style {
            colour: true,
            ..style(120)
        }));
        let mut bare = String::new();
        for (place, part) in coloured.split('\x1b').enumerate() {
            let text = if place == 0 {
                Some(part)
            } else {
                part.split_once('m').map(|(_, text)| text)
            };
            bare.push_str(text.expect("a colour ends with m"));
        }
        assert_eq!(bare, draw(&hello(), 120));
    }

    #[test]
    fn long_addresses_and_names_stand_on_lines_of_their_own() {
        let scene = Scene::new(
            Transport::Tcp,
            "[2001:db8:1111:2222:3333:4444:5555:6666]:58058",
            "[2001:db8:1111:2222:3333:4444:5555:7777]:20002",
        );
        let mut style = style(60);
        style
            .names
            .by_port
            .insert(58058, "ada 你好 of a very long name".to_owned());
        style
            .names
            .by_port
            .insert(20002, "bob of a very long name".to_owned());
        let drawn = scene.handshake().play(&mut Ladder::new(style));
        check_aligned(&drawn, 60);
        assert!(
            drawn.contains("                  [2001:db8:1111:2222:3333:4444:5555:6666]:…\n"),
            "{drawn}"
        );
    }

    #[test]
    fn large_numbers_and_long_times_stay_in_their_columns() {
        for width in [40, 60, 100] {
            let mut scene = Scene::tcp().handshake();
            let step = scene.last();
            step.number = 123_456_789;
            step.time = START.plus_nanos(86_400_123_456_789);
            let drawn = draw(&scene, width);
            check_aligned(&drawn, width);
            assert!(drawn.contains("123456789 "), "{drawn}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arrows_end_at_the_lifelines_whatever_is_said(
            width in 0usize..300,
            texts in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 1..200),
                "[a-zé😀你❤\u{fe0f}\u{301}\u{200d}]{1,120}".prop_map(String::into_bytes),
            ], 1..6),
        ) {
            let mut scene = Scene::tcp().handshake();
            for (place, text) in texts.iter().enumerate() {
                let who = if place % 2 == 0 { Role::Client } else { Role::Server };
                scene = scene.says(who, text);
            }
            let drawn = draw(&scene.closes(Role::Server), width);
            let width = if width == 0 { USUAL } else { width.clamp(NARROWEST, WIDEST) };
            check_aligned(&drawn, width);
        }
    }
}
