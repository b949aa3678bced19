//! The summary: a row for each conversation, and totals.
//!
//! Columns have fixed widths, so a row is written as soon as its conversation is over. They are made for IPv4: a longer
//! address moves the rest of its own row only. A terminal that is too narrow gets two lines for each conversation, or
//! more.

use super::json::push_json;
use super::line::{
    bold, break_line, columns_of, dim, plain, push_address, push_blanks, push_count, push_left,
    push_number, push_number_right, push_seconds,
};
use super::{Style, View, verdict};
use crate::conversation::{
    Close, Conversation, Handshake, Message, Role, Sink, Step, Tally, Visibility,
};
use crate::decode::Transport;
use serde::Serialize;

/// A terminal at least this wide gets everything of a conversation on one line.
const WIDE: usize = 150;
/// A terminal narrower than this gets no columns.
const NARROW: usize = 80;
/// `255.255.255.255:65535`.
const ADDRESS: usize = 21;
/// Columns before the text of further lines.
const INDENT: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One line each.
    Wide,
    /// A line with columns, and one with words.
    TwoLines,
    /// Words on as many lines as they need.
    Words,
}

/// The summary as a table.
#[derive(Debug)]
pub struct Summary {
    style: Style,
    form: Form,
    words: Vec<u8>,
}

impl Summary {
    /// A table as wide as the terminal.
    pub fn new(style: Style) -> Self {
        let form = match style.width {
            0 | WIDE.. => Form::Wide,
            NARROW.. => Form::TwoLines,
            _ => Form::Words,
        };
        Summary {
            style,
            form,
            words: Vec::new(),
        }
    }

    fn heading(&self, out: &mut Vec<u8>) {
        bold(out, &self.style);
        match self.form {
            Form::Wide => {
                out.extend_from_slice(b"  no.       client                 server               ");
                out.extend_from_slice(b"        start     duration  segments sent by");
                out.extend_from_slice(b"          octets sent by  handshake   close");
                out.extend_from_slice(b"               notes\n");
                push_blanks(out, 12 + 2 * (ADDRESS + 2) + 11 + 2 + 11);
                out.extend_from_slice(b"   client   server      client      server");
            }
            Form::TwoLines => {
                out.extend_from_slice(b"  no.       client                server               ");
                out.extend_from_slice(b" segments        octets");
            }
            Form::Words => out.extend_from_slice(b"  no.  conversation"),
        }
        plain(out, &self.style);
        out.push(b'\n');
    }

    fn wide(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        push_number_right(out, conversation.id.into(), 5);
        out.extend_from_slice(b"  ");
        out.extend_from_slice(proto(conversation).as_bytes());
        for role in [Role::Client, Role::Server] {
            out.extend_from_slice(b"  ");
            push_address_left(out, conversation, role);
        }
        out.extend_from_slice(b"  ");
        push_seconds(out, conversation.first.nanos_since(self.style.start), 11);
        out.extend_from_slice(b"  ");
        push_seconds(out, duration(conversation), 11);
        let [client, server] = &conversation.sent;
        for (number, width) in [
            (client.packets, 9),
            (server.packets, 9),
            (client.octets, 12),
            (server.octets, 12),
        ] {
            push_number_right(out, number, width);
        }
        out.extend_from_slice(b"  ");
        push_left(out, handshake(conversation.handshake), 10);
        out.extend_from_slice(b"  ");
        self.words.clear();
        push_close(&mut self.words, &self.style, conversation);
        let used = columns_of(&self.words);
        out.extend_from_slice(&self.words);
        push_blanks(out, 18usize.saturating_sub(used));
        out.extend_from_slice(b"  ");
        let start = out.len();
        push_notes(out, &self.style, conversation, ", ");
        if out.len() == start {
            while out.last() == Some(&b' ') {
                out.pop();
            }
        }
        out.push(b'\n');
    }

    fn two_lines(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        push_number_right(out, conversation.id.into(), 5);
        out.extend_from_slice(b"  ");
        out.extend_from_slice(proto(conversation).as_bytes());
        out.extend_from_slice(b"  ");
        push_address_left(out, conversation, Role::Client);
        out.push(b' ');
        push_address_left(out, conversation, Role::Server);
        let [client, server] = &conversation.sent;
        for (by_client, by_server, width) in [
            (client.packets, server.packets, 9usize),
            (client.octets, server.octets, 14),
        ] {
            self.words.clear();
            push_number(&mut self.words, by_client);
            self.words.push(b'+');
            push_number(&mut self.words, by_server);
            push_blanks(out, width.saturating_sub(self.words.len()).max(1));
            out.extend_from_slice(&self.words);
        }
        out.push(b'\n');
        self.words.clear();
        self.push_times(conversation);
        self.push_fate(conversation);
        self.push_words(out, INDENT + 5);
    }

    fn in_words(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        push_number_right(out, conversation.id.into(), INDENT - 2);
        out.extend_from_slice(b"  ");
        self.words.clear();
        self.words.extend_from_slice(proto(conversation).as_bytes());
        self.words.push(b' ');
        push_address(&mut self.words, conversation.client);
        self.words.extend_from_slice(" → ".as_bytes());
        push_address(&mut self.words, conversation.server);
        let room = self.style.width.max(INDENT + 20) - INDENT;
        let line = std::mem::take(&mut self.words);
        let mut rest = &*String::from_utf8_lossy(&line);
        let mut indent = 0;
        while !rest.is_empty() {
            let (line, after) = break_line(rest, room);
            push_blanks(out, indent);
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
            (indent, rest) = (INDENT, after);
        }
        self.push_times(conversation);
        let [client, server] = &conversation.sent;
        push_number(&mut self.words, client.packets);
        self.words.push(b'+');
        let thing = match conversation.transport {
            Transport::Tcp => "segment",
            Transport::Udp => "datagram",
        };
        push_count(&mut self.words, server.packets, thing);
        self.words.extend_from_slice(" · ".as_bytes());
        push_number(&mut self.words, client.octets);
        self.words.push(b'+');
        push_count(&mut self.words, server.octets, "octet");
        self.words.extend_from_slice(" · ".as_bytes());
        self.push_fate(conversation);
        self.push_words(out, INDENT);
    }

    /// `at 0.000000 for 0.021116 s · `
    fn push_times(&mut self, conversation: &Conversation) {
        self.words.extend_from_slice(b"at ");
        push_seconds(
            &mut self.words,
            conversation.first.nanos_since(self.style.start),
            0,
        );
        self.words.extend_from_slice(b" for ");
        push_seconds(&mut self.words, duration(conversation), 0);
        self.words.extend_from_slice(" s · ".as_bytes());
    }

    fn push_fate(&mut self, conversation: &Conversation) {
        if conversation.transport == Transport::Tcp {
            self.words.extend_from_slice(b"handshake ");
            self.words
                .extend_from_slice(handshake(conversation.handshake).as_bytes());
            if opened(conversation) {
                self.words.extend_from_slice(" · ".as_bytes());
                push_close(&mut self.words, &self.style, conversation);
            }
        }
        let before = self.words.len();
        push_notes(&mut self.words, &self.style, conversation, " · ");
        if conversation.transport == Transport::Tcp && self.words.len() > before {
            let separator = " · ".as_bytes();
            self.words.splice(before..before, separator.iter().copied());
        }
    }

    fn push_words(&mut self, out: &mut Vec<u8>, indent: usize) {
        let words = std::mem::take(&mut self.words);
        let room = self.style.width.max(indent + 20) - indent;
        let mut rest = &*String::from_utf8_lossy(&words);
        while !rest.is_empty() {
            let (line, after) = break_line(rest, room);
            push_blanks(out, indent);
            dim(out, &self.style);
            out.extend_from_slice(line.as_bytes());
            plain(out, &self.style);
            out.push(b'\n');
            rest = after;
        }
        self.words = words;
        self.words.clear();
    }
}

impl View for Summary {
    fn begin(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn step(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &Step<'_>) {}

    fn late_messages(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &[Message<'_>]) {}

    fn opening(&mut self, out: &mut Vec<u8>) {
        self.heading(out);
    }

    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        match self.form {
            Form::Wide => self.wide(out, conversation),
            Form::TwoLines => self.two_lines(out, conversation),
            Form::Words => self.in_words(out, conversation),
        }
    }

    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}

fn duration(conversation: &Conversation) -> i64 {
    conversation.last.nanos_since(conversation.first)
}

fn proto(conversation: &Conversation) -> &'static str {
    match conversation.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

fn push_address_left(out: &mut Vec<u8>, conversation: &Conversation, role: Role) {
    let start = out.len();
    push_address(out, conversation.end(role));
    let used = out.len() - start;
    push_blanks(out, ADDRESS.saturating_sub(used));
}

/// What became of the handshake, in a word or two.
fn handshake(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::None => "–",
        Handshake::NotSeen => "not seen",
        Handshake::Unanswered => "unanswered",
        Handshake::Refused => "refused",
        Handshake::Half => "incomplete",
        Handshake::Complete => "complete",
    }
}

/// Whether there was a connection that can be closed.
fn opened(conversation: &Conversation) -> bool {
    !matches!(
        conversation.handshake,
        Handshake::None | Handshake::Unanswered | Handshake::Refused
    )
}

/// How it ended: `closed by client`.
fn push_close(out: &mut Vec<u8>, style: &Style, conversation: &Conversation) {
    let (words, role) = match conversation.close {
        _ if !opened(conversation) => ("–", None),
        Close::Open => ("open", None),
        Close::Half { by } => ("half closed by ", Some(by)),
        Close::Both { first } => ("closed by ", Some(first)),
        Close::Reset { by } => ("reset by ", Some(by)),
    };
    out.extend_from_slice(words.as_bytes());
    if let Some(role) = role {
        out.extend_from_slice(style.names.of(conversation, role).as_bytes());
    }
}

/// One of the figures of a side.
type Figure = fn(&Tally) -> u64;

/// What else is remarkable.
fn push_notes(out: &mut Vec<u8>, style: &Style, conversation: &Conversation, separator: &str) {
    let start = out.len();
    let mut note = |write: &mut dyn FnMut(&mut Vec<u8>)| {
        if out.len() > start {
            out.extend_from_slice(separator.as_bytes());
        }
        write(out);
    };
    for role in [Role::Client, Role::Server] {
        let name = style.names.of(conversation, role);
        if name != role.name() {
            note(&mut |out| {
                out.extend_from_slice(role.name().as_bytes());
                out.extend_from_slice(b" is ");
                out.extend_from_slice(name.as_bytes());
            });
        }
    }
    if conversation.handshake == Handshake::NotSeen {
        note(&mut |out| out.extend_from_slice(b"joined late"));
    }
    if conversation.handshake == Handshake::Refused && conversation.unreachable.is_none() {
        note(&mut |out| {
            out.extend_from_slice(b"nobody listens on port ");
            push_number(out, conversation.server.port());
        });
    }
    if let Some(reason) = conversation.unreachable {
        let why = verdict::unreachable(conversation, reason);
        note(&mut |out| out.extend_from_slice(why.as_bytes()));
    }
    if conversation.transport == Transport::Udp {
        let exchanges = conversation.exchanges;
        note(&mut |out| {
            push_number(out, exchanges.answered);
            out.extend_from_slice(b" of ");
            push_count(out, exchanges.requests, "request");
            out.extend_from_slice(b" answered");
        });
    }
    let counts: [(Figure, &str, &str); 5] = [
        (|tally| tally.retransmissions, "retransmission", ""),
        (|tally| tally.out_of_order, "segment", " out of order"),
        (|tally| tally.duplicate_acks, "duplicate ACK", ""),
        (|tally| tally.zero_windows, "zero window", ""),
        (|tally| tally.missing, "octet", " missing"),
    ];
    for (of, thing, what) in counts {
        let number = conversation.sent.iter().map(of).sum();
        if number > 0 {
            note(&mut |out| {
                push_count(out, number, thing);
                out.extend_from_slice(what.as_bytes());
            });
        }
    }
    let seen = Visibility::of(conversation);
    if seen.unreadable() > 0
        && let Some(words) = verdict::plaintext(conversation)
    {
        note(&mut |out| out.extend_from_slice(words.as_bytes()));
    }
}

/// The summary as JSON: one object a line for each conversation.
#[derive(Debug)]
pub struct SummaryJson {
    style: Style,
}

impl SummaryJson {
    /// Of the style, only the names count.
    pub fn new(style: Style) -> Self {
        SummaryJson { style }
    }
}

/// A figure for each side.
#[derive(Serialize)]
struct Both<T> {
    client: T,
    server: T,
}

#[derive(Serialize)]
struct Row<'a> {
    conversation: u32,
    proto: &'static str,
    client: String,
    server: String,
    names: Both<&'a str>,
    first: u64,
    last: u64,
    start: String,
    duration_ns: i64,
    packets: Both<u64>,
    octets: Both<u64>,
    missing: Both<u64>,
    messages: Both<u64>,
    handshake: Option<&'static str>,
    close: Option<&'static str>,
    closed_first: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<u64>,
    retransmissions: Both<u64>,
    out_of_order: Both<u64>,
    duplicate_acks: Both<u64>,
    zero_windows: Both<u64>,
    plaintext: Option<bool>,
    unreachable: Option<String>,
}

impl View for SummaryJson {
    fn begin(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn step(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &Step<'_>) {}

    fn late_messages(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &[Message<'_>]) {}

    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        let both = |of: fn(&Tally) -> u64| Both {
            client: of(&conversation.sent[0]),
            server: of(&conversation.sent[1]),
        };
        let is_udp = conversation.transport == Transport::Udp;
        let seen = Visibility::of(conversation);
        let (close, closed_first) = match conversation.close {
            _ if !opened(conversation) => (None, None),
            Close::Open => (Some("open"), None),
            Close::Half { by } => (Some("half"), Some(by.name())),
            Close::Both { first } => (Some("fin"), Some(first.name())),
            Close::Reset { by } => (Some("rst"), Some(by.name())),
        };
        let row = Row {
            conversation: conversation.id,
            proto: proto(conversation),
            client: conversation.client.to_string(),
            server: conversation.server.to_string(),
            names: Both {
                client: self.style.names.of(conversation, Role::Client),
                server: self.style.names.of(conversation, Role::Server),
            },
            first: conversation.first_number,
            last: conversation.last_number,
            start: conversation.first.to_string(),
            duration_ns: duration(conversation),
            packets: both(|tally| tally.packets),
            octets: both(|tally| tally.octets),
            missing: both(|tally| tally.missing),
            messages: both(|tally| tally.messages),
            handshake: (!is_udp).then(|| handshake(conversation.handshake)),
            close,
            closed_first,
            requests: is_udp.then_some(conversation.exchanges.requests),
            answered: is_udp.then_some(conversation.exchanges.answered),
            retransmissions: both(|tally| tally.retransmissions),
            out_of_order: both(|tally| tally.out_of_order),
            duplicate_acks: both(|tally| tally.duplicate_acks),
            zero_windows: both(|tally| tally.zero_windows),
            plaintext: (seen.readable + seen.unreadable() > 0).then(|| seen.is_plaintext()),
            unreachable: conversation
                .unreachable
                .map(|reason| verdict::unreachable(conversation, reason)),
        };
        push_json(out, &row);
    }

    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}

/// What all conversations come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Conversations.
    pub conversations: u64,
    /// Those over TCP.
    pub tcp: u64,
    /// Those over UDP.
    pub udp: u64,
    /// Connections with all three segments of the handshake.
    pub complete: u64,
    /// Connections whose handshake was begun and answered, but not completed.
    pub incomplete: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Connections whose SYN got no answer.
    pub unanswered: u64,
    /// Connections that were open when the capture began.
    pub joined_late: u64,
    /// Connections cut off by a RST, refused ones not counted.
    pub reset: u64,
    /// Connections that both sides closed.
    pub closed: u64,
    /// Conversations whose datagrams or segments could not be delivered, as ICMP said.
    pub unreachable: u64,
    /// Segments and datagrams.
    pub packets: u64,
    /// Messages.
    pub messages: u64,
    /// Octets of text.
    pub octets: u64,
    /// Octets that are not in the capture.
    pub missing: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Segments that were overtaken.
    pub out_of_order: u64,
    /// Acknowledgments that asked for the same octet again.
    pub duplicate_acks: u64,
    /// Times a window was closed.
    pub zero_windows: u64,
    /// UDP requests.
    pub requests: u64,
    /// Of these, how many got a reply.
    pub answered: u64,
}

impl Sink for Totals {
    fn step(&mut self, _: &Conversation, _: &Step<'_>) {}

    fn late_messages(&mut self, _: &Conversation, _: &[Message<'_>]) {}

    fn retired(&mut self, conversation: &Conversation) {
        self.conversations += 1;
        match conversation.transport {
            Transport::Tcp => self.tcp += 1,
            Transport::Udp => self.udp += 1,
        }
        match conversation.handshake {
            Handshake::None => {}
            Handshake::NotSeen => self.joined_late += 1,
            Handshake::Unanswered => self.unanswered += 1,
            Handshake::Refused => self.refused += 1,
            Handshake::Half => self.incomplete += 1,
            Handshake::Complete => self.complete += 1,
        }
        match conversation.close {
            Close::Reset { .. } if opened(conversation) => self.reset += 1,
            Close::Both { .. } => self.closed += 1,
            _ => {}
        }
        self.unreachable += u64::from(conversation.unreachable.is_some());
        for tally in &conversation.sent {
            self.packets += tally.packets;
            self.messages += tally.messages;
            self.octets += tally.octets;
            self.missing += tally.missing;
            self.retransmissions += tally.retransmissions;
            self.out_of_order += tally.out_of_order;
            self.duplicate_acks += tally.duplicate_acks;
            self.zero_windows += tally.zero_windows;
        }
        self.requests += conversation.exchanges.requests;
        self.answered += conversation.exchanges.answered;
    }
}

#[derive(Serialize)]
struct TotalLine<'a> {
    total: TotalObject<'a>,
}

#[derive(Serialize)]
struct TotalObject<'a> {
    #[serde(flatten)]
    totals: &'a Totals,
    left_out: Vec<LeftOut<'a>>,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    reason: &'a str,
    frames: u64,
}

impl Totals {
    /// Writes them for people. `left_out` are the frames that belong to no conversation: why, and how many.
    pub fn push_text(&self, out: &mut Vec<u8>, style: &Style, left_out: &[(String, u64)]) {
        bold(out, style);
        out.extend_from_slice(b"total");
        plain(out, style);
        out.push(b'\n');
        push_row(
            out,
            "conversations",
            &[
                (self.tcp, "TCP connection", ""),
                (self.udp, "UDP conversation", ""),
            ],
            true,
        );
        push_row(
            out,
            "handshakes",
            &[
                (self.complete, "", "complete"),
                (self.incomplete, "", "incomplete"),
                (self.refused, "", "refused"),
                (self.unanswered, "", "unanswered"),
                (self.joined_late, "", "not seen (joined late)"),
            ],
            false,
        );
        push_row(
            out,
            "ends",
            &[
                (self.closed, "", "closed by both sides"),
                (self.reset, "", "reset"),
            ],
            false,
        );
        push_row(
            out,
            "UDP",
            &[
                (self.requests, "request", ""),
                (self.answered, "", "answered"),
            ],
            self.requests > 0,
        );
        push_row(
            out,
            "said",
            &[
                (self.messages, "message", ""),
                (self.octets, "octet", "of text"),
            ],
            true,
        );
        push_row(
            out,
            "troubles",
            &[
                (self.retransmissions, "retransmission", ""),
                (self.out_of_order, "segment", "out of order"),
                (self.duplicate_acks, "duplicate ACK", ""),
                (self.zero_windows, "zero window", ""),
                (self.missing, "octet", "not captured"),
                (self.unreachable, "", "unreachable"),
            ],
            false,
        );
        let mut label = "left out";
        for (reason, frames) in left_out.iter().filter(|(_, frames)| *frames > 0) {
            out.extend_from_slice(b"  ");
            push_left(out, label, LABEL);
            label = "";
            push_count(out, *frames, "frame");
            out.extend_from_slice(b": ");
            crate::text::push_safe(out, reason.as_bytes());
            out.push(b'\n');
        }
    }

    /// Writes them as the last JSON line: `{"total":{…}}`.
    pub fn push_json(&self, out: &mut Vec<u8>, left_out: &[(String, u64)]) {
        let left_out = left_out.iter().map(|(reason, frames)| LeftOut {
            reason,
            frames: *frames,
        });
        push_json(
            out,
            &TotalLine {
                total: TotalObject {
                    totals: self,
                    left_out: left_out.collect(),
                },
            },
        );
    }
}

/// Columns of the first column of the totals.
const LABEL: usize = 15;

/// `  handshakes     2 complete, 1 refused`: the parts that are not 0, or all of them.
fn push_row(out: &mut Vec<u8>, label: &str, parts: &[(u64, &str, &str)], always: bool) {
    if !always && parts.iter().all(|(number, ..)| *number == 0) {
        return;
    }
    out.extend_from_slice(b"  ");
    push_left(out, label, LABEL);
    let shown = parts.iter().filter(|(number, ..)| always || *number > 0);
    for (place, (number, thing, what)) in shown.enumerate() {
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        if thing.is_empty() {
            push_number(out, *number);
        } else {
            push_count(out, *number, thing);
        }
        if !what.is_empty() {
            out.push(b' ');
            out.extend_from_slice(what.as_bytes());
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testing::{START, Scene, hello};

    fn style(width: usize) -> Style {
        Style {
            width,
            start: START,
            ..Style::default()
        }
    }

    fn scenes() -> [Scene; 5] {
        [
            hello(),
            Scene::tcp().id(1).syn().refuses(),
            Scene::new(
                Transport::Udp,
                "192.168.100.200:41000",
                "192.168.100.201:20001",
            )
            .id(2)
            .says(Role::Client, b"SEND_TIME")
            .says(Role::Server, b"06:20:00"),
            Scene::new(
                Transport::Tcp,
                "[2001:db8::1]:58058",
                "[2001:db8::feed:2]:20002",
            )
            .id(3)
            .says(Role::Client, &[0, 1, 2, 0xff])
            .change(|conversation| {
                conversation.sent[0].retransmissions = 2;
                conversation.sent[1].missing = 120;
            }),
            Scene::udp().id(4).says(Role::Client, b"hello").refuses(),
        ]
    }

    fn summary(width: usize) -> String {
        let mut view = Summary::new(style(width));
        let mut heading = Vec::new();
        view.opening(&mut heading);
        let heading = String::from_utf8(heading).expect("views write text");
        let rows = scenes()
            .iter()
            .map(|scene| scene.play(&mut view))
            .collect::<String>();
        heading + &rows
    }

    fn totals() -> Totals {
        let mut totals = Totals::default();
        scenes().iter().for_each(|scene| scene.feed(&mut totals));
        totals
    }

    #[track_caller]
    fn check(width: usize, rows: &[&str]) {
        let written = summary(width);
        let rows = rows.join("\n");
        assert!(written.contains(&rows), "\n{rows}\n  not in\n{written}");
    }

    #[test]
    fn a_wide_row_has_everything_on_one_line() {
        check(
            0,
            &[
                "    0  tcp  127.0.0.1:58058        127.0.0.1:20002           0.000000     0.009000        6        4          15          15  complete    closed by client",
                "    1  tcp  127.0.0.1:58058        127.0.0.1:20002           0.000000     0.001000        1        1           0           0  refused     –                   nobody listens on port 20002",
                "    2  udp  192.168.100.200:41000  192.168.100.201:20001     0.000000     0.001000        1        1           9           8  –           –                   1 of 1 request answered",
            ],
        );
        check(
            0,
            &[
                "not seen    open                joined late, 2 retransmissions, 120 octets missing, binary: not readable as text",
            ],
        );
    }

    #[test]
    fn the_heading_stands_above_its_columns() {
        let written = summary(0);
        let lines: Vec<&str> = written.lines().collect();
        let ends = |line: &str, word: &str| line.rfind(word).map(|place| place + word.len());
        assert_eq!(ends(lines[0], "duration"), ends(lines[2], "0.009000"));
        assert_eq!(
            ends(lines[1], "client"),
            ends(lines[2], "          15").map(|end| end - 12)
        );
        assert_eq!(ends(lines[1], "server"), ends(lines[2], "15"));
        assert_eq!(lines[0].find("handshake"), lines[2].find("complete"));
        assert_eq!(lines[0].find("close"), lines[2].find("closed by"));
        assert_eq!(
            lines[0].find("notes"),
            lines[3].find("nobody").map(|place| place - "–".len() + 1)
        );
    }

    #[test]
    fn a_terminal_of_80_columns_gets_two_lines() {
        check(
            80,
            &[
                "  no.       client                server                segments        octets",
                "    0  tcp  127.0.0.1:58058       127.0.0.1:20002            6+4         15+15",
                "            at 0.000000 for 0.009000 s · handshake complete · closed by client",
                "    1  tcp  127.0.0.1:58058       127.0.0.1:20002            1+1           0+0",
            ],
        );
        check(
            80,
            &["            at 0.000000 for 0.001000 s · handshake refused · nobody listens on"],
        );
    }

    #[test]
    fn a_narrow_terminal_gets_words() {
        check(
            50,
            &[
                "    0  tcp 127.0.0.1:58058 → 127.0.0.1:20002",
                "       at 0.000000 for 0.009000 s · 6+4 segments ·",
                "       15+15 octets · handshake complete · closed",
                "       by client",
            ],
        );
    }

    #[test]
    fn rows_stay_within_the_terminal() {
        for width in [40, 60, 80, 100, 149] {
            for line in summary(width)
                .lines()
                .filter(|line| !line.contains("2001:"))
            {
                let used = super::super::line::columns(line);
                assert!(used <= width, "{used} columns of {width}: {line}");
            }
        }
    }

    #[test]
    fn names_of_the_user_are_used() {
        let mut style = style(0);
        style.names.by_port.insert(58058, "ada".to_owned());
        let row = hello().play(&mut Summary::new(style));
        assert!(row.contains("closed by ada       client is ada\n"), "{row}");
    }

    #[test]
    fn totals_name_what_there_was_and_what_was_left_out() {
        let mut out = Vec::new();
        let left_out = [
            ("TCP between other ports".to_owned(), 1234),
            ("ARP".to_owned(), 0),
        ];
        totals().push_text(&mut out, &style(0), &left_out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "\
total
  conversations  3 TCP connections, 2 UDP conversations
  handshakes     1 complete, 1 refused, 1 not seen (joined late)
  ends           1 closed by both sides
  UDP            2 requests, 1 answered
  said           6 messages, 56 octets of text
  troubles       2 retransmissions, 120 octets not captured, 1 unreachable
  left out       1234 frames: TCP between other ports
"
        );
    }

    #[test]
    fn json_has_an_object_for_each_conversation_and_the_totals_last() {
        let mut view = SummaryJson::new(style(0));
        let mut lines: Vec<u8> = scenes()
            .iter()
            .flat_map(|scene| scene.play(&mut view).into_bytes())
            .collect();
        totals().push_json(&mut lines, &[("ARP".to_owned(), 3)]);
        let rows: Vec<serde_json::Value> = String::from_utf8(lines)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0]["handshake"], "complete");
        assert_eq!(rows[0]["closed_first"], "client");
        assert_eq!(rows[0]["octets"]["client"], 15);
        assert_eq!(rows[1]["handshake"], "refused");
        assert_eq!(rows[1]["close"], serde_json::Value::Null);
        assert_eq!(rows[2]["answered"], 1);
        assert_eq!(rows[3]["plaintext"], false);
        assert_eq!(rows[5]["total"]["conversations"], 5);
        assert_eq!(rows[5]["total"]["left_out"][0]["reason"], "ARP");
        assert_eq!(rows[5]["total"]["left_out"][0]["frames"], 3);
    }
}
