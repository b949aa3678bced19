//! The report: the tables a lab hand-out asks for, in Markdown to paste into an answer.
//!
//! For each conversation: the handshake with raw and relative numbers and why each is one more than another, who closed
//! first and how, what was said, and whether anybody can read it. Every sentence is computed from the numbers in the
//! capture, so that it also tells where they do not fit.
//!
//! What was said comes from strangers. It stands in code spans with a fence longer than any within, on one line, with
//! `|` escaped, so it can neither leave its cell nor become HTML or a link.

use super::line::{count, push_octets, push_seconds, transport};
use super::{Style, View, verdict};
use crate::conversation::{
    Close, Conversation, Direction, Flags, Handshake, HandshakeSegment, Message, Note, Role,
    RolesFrom, SegmentFacts, SeqNumber, Step, StepKind, Visibility,
};
use crate::decode::{Transport, UnreachableReason};
use crate::text;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Messages of a conversation that are listed.
const MOST_TEXTS: usize = 100;
/// Octets of a message that are shown.
const SHOWN: usize = 200;
/// A text of more octets is left out of the answers, where only whole ones are of use.
const LONGEST_ANSWER: usize = 1_000;
/// Segments of a teardown that are listed.
const MOST_CLOSING: usize = 8;
/// Octets kept of all open conversations together; after these, messages are only counted.
const MOST_KEPT: usize = 4 << 20;

/// The report as Markdown.
#[derive(Debug)]
pub struct Report {
    style: Style,
    pages: HashMap<u32, Page>,
    kept: usize,
}

/// What is remembered of a conversation until it is over.
#[derive(Debug, Default)]
struct Page {
    texts: Vec<Text>,
    more_texts: u64,
    closing: Vec<Closing>,
    fins: [Option<Fin>; 2],
    unreachable: Option<(u64, UnreachableReason)>,
}

/// A message.
#[derive(Debug)]
struct Text {
    first_number: u64,
    last_number: u64,
    time: Timestamp,
    direction: Direction,
    octets: usize,
    missing: u64,
    continues: bool,
    /// On one line, safe.
    shown: String,
    /// Its characters, where it is readable and not too long.
    answer: Option<String>,
}

impl Text {
    fn kept(&self) -> usize {
        self.shown.len() + self.answer.as_ref().map_or(0, String::len)
    }
}

/// A segment that closes something, or acknowledges that.
#[derive(Debug)]
struct Closing {
    number: u64,
    time: Timestamp,
    direction: Direction,
    facts: SegmentFacts,
    why: String,
}

/// A side's FIN.
#[derive(Clone, Copy, Debug)]
struct Fin {
    /// Of its frame.
    number: u64,
    /// Its place in the sequence, after the text it came with.
    seq: SeqNumber,
    acknowledged: bool,
}

impl Report {
    /// Of the style, the names and the start count.
    pub fn new(style: Style) -> Self {
        Report {
            style,
            pages: HashMap::new(),
            kept: 0,
        }
    }

    /// The name of one part, for running text.
    fn name(&self, conversation: &Conversation, role: Role) -> String {
        markdown(self.style.names.of(conversation, role))
    }

    /// `the client`, or the name that the user gave it.
    fn part(&self, conversation: &Conversation, role: Role) -> String {
        let name = self.name(conversation, role);
        if name == role.name() {
            format!("the {name}")
        } else {
            name
        }
    }

    fn way(&self, conversation: &Conversation, direction: Direction) -> String {
        format!(
            "{} → {}",
            self.name(conversation, direction.sender()),
            self.name(conversation, direction.sender().peer())
        )
    }

    fn seconds(&self, time: Timestamp) -> String {
        let mut out = Vec::new();
        push_seconds(&mut out, time.nanos_since(self.style.start), 0);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn hear(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        let page = self.pages.entry(conversation.id).or_default();
        for message in messages {
            if message.octets.is_empty()
                && message.missing == 0
                && conversation.transport == Transport::Tcp
            {
                continue;
            }
            if page.texts.len() >= MOST_TEXTS || self.kept >= MOST_KEPT {
                page.more_texts += 1;
                continue;
            }
            let text = Text::of(message);
            self.kept += text.kept();
            page.texts.push(text);
        }
    }

    /// Remembers a segment that has to do with the end.
    fn watch(&mut self, conversation: &Conversation, step: &Step<'_>, facts: SegmentFacts) {
        let direction = step.direction;
        let page = self.pages.entry(conversation.id).or_default();
        let (this, other) = (direction.index(), direction.reverse().index());
        // Which FIN of the other side it acknowledges for the first time.
        let acknowledged = match &mut page.fins[other] {
            Some(fin)
                if !fin.acknowledged && facts.ack.is_some() && facts.ack_raw == fin.seq.plus(1) =>
            {
                fin.acknowledged = true;
                Some(*fin)
            }
            _ => None,
        };
        let has_fin = facts.flags.has(Flags::FIN);
        let has_rst = facts.flags.has(Flags::RST);
        if acknowledged.is_none() && !has_fin && !has_rst {
            return;
        }
        let seq = facts.seq_raw.plus(step.payload_len);
        let is_first = page.fins[this].is_none();
        if has_fin && is_first {
            page.fins[this] = Some(Fin {
                number: step.number,
                seq,
                acknowledged: false,
            });
        }
        if page.closing.len() >= MOST_CLOSING {
            return;
        }
        let ends = [direction.sender(), direction.sender().peer()];
        let [name, peer] = ends.map(|role| self.part(conversation, role));
        let mut why = Vec::new();
        if let Some(fin) = acknowledged {
            why.push(format!(
                "acknowledges the FIN of packet {}: {}",
                fin.number,
                one_more(facts.ack_raw, fin.seq)
            ));
        }
        if has_fin && !is_first {
            why.push("the FIN again".to_owned());
        } else if has_fin {
            why.push(format!(
                "{name} has no more to say; its FIN takes one number, so {peer} has to acknowledge {}",
                one_more(seq.plus(1), seq)
            ));
        }
        if has_rst {
            let refused = step.notes.has(Note::Refused);
            why.push(if refused {
                format!("nobody listens on port {}", conversation.server.port())
            } else {
                format!("{name} cuts the connection off; a RST is not answered")
            });
        }
        let page = self.pages.entry(conversation.id).or_default();
        page.closing.push(Closing {
            number: step.number,
            time: step.time,
            direction,
            facts,
            why: why.join("; "),
        });
    }

    fn title(&self, out: &mut String, conversation: &Conversation) {
        let _ = write!(
            out,
            "## Conversation {}: {}, {} `{}` → {} `{}`\n\n",
            conversation.id,
            transport(conversation.transport),
            self.name(conversation, Role::Client),
            conversation.client,
            self.name(conversation, Role::Server),
            conversation.server,
        );
        let how = match (conversation.roles_from, conversation.transport) {
            (RolesFrom::Syn, _) => "it sent the SYN",
            (RolesFrom::FirstDatagram, _) => "it sent the first datagram",
            (RolesFrom::LabPort, _) => "the other side has the port of the lab's server",
            (RolesFrom::Guess, _) => "a guess: its port number is the larger one",
        };
        let _ = write!(out, "`{}` is the client: {how}.", conversation.client);
        for role in [Role::Client, Role::Server] {
            let name = self.name(conversation, role);
            if name != role.name() {
                let _ = write!(out, " The {} is called {name}.", role.name());
            }
        }
        out.push_str("\n\n");
    }

    fn handshake(&self, out: &mut String, conversation: &Conversation) {
        out.push_str("### Handshake\n\n");
        if conversation.opening.iter().any(Option::is_some) {
            out.push_str(SEGMENTS);
        }
        for (nth, segment) in conversation.opening.iter().enumerate() {
            let Some(segment) = segment else { continue };
            let direction = match nth {
                1 => Direction::ToClient,
                _ => Direction::ToServer,
            };
            let relative = |number: SeqNumber, direction: Direction| {
                let base = conversation.bases[direction.index()]?;
                Some(i64::from(number.distance_from(base)))
            };
            let numbers = Numbers {
                seq_raw: segment.seq_raw,
                seq: relative(segment.seq_raw, direction),
                ack_raw: segment.ack_raw,
                ack: segment
                    .ack_raw
                    .and_then(|ack| relative(ack, direction.reverse())),
            };
            let why = self.why(conversation, nth, segment);
            let at = (segment.number, segment.time, segment.flags);
            self.row(out, conversation, at, direction, numbers, &why);
        }
        if conversation.opening.iter().any(Option::is_some) {
            out.push('\n');
        }
        let client = self.part(conversation, Role::Client);
        let _ = match conversation.handshake {
            Handshake::Complete => writeln!(
                out,
                "The handshake is complete (RFC 9293 §3.5): each side has sent its first number, and the other side has \
                 acknowledged the number after it."
            ),
            Handshake::Half => writeln!(
                out,
                "The handshake is not complete: {client} did not acknowledge the SYN of packet {}.",
                conversation.opening[1].map_or(0, |segment| segment.number)
            ),
            Handshake::Unanswered => writeln!(
                out,
                "Nothing answered the SYN: the server's computer did not get it, or a firewall dropped it. A computer on \
                 which nobody listens would have answered with a RST."
            ),
            Handshake::Refused => writeln!(
                out,
                "The connection was refused: nobody listens on port {}.",
                conversation.server.port()
            ),
            Handshake::NotSeen | Handshake::None => writeln!(
                out,
                "The capture began when the connection was already open, so it does not have the handshake. Start \
                 capturing before the client."
            ),
        };
        out.push('\n');
    }

    /// Why the numbers of a segment of the handshake are what they are.
    fn why(&self, conversation: &Conversation, nth: usize, segment: &HandshakeSegment) -> String {
        let [syn, syn_ack, _] = conversation.opening;
        let client = self.part(conversation, Role::Client);
        let server = self.part(conversation, Role::Server);
        let acknowledges = |whose: &str, other: Option<HandshakeSegment>| match (
            segment.ack_raw,
            other,
        ) {
            (Some(ack), Some(other)) if ack == other.seq_raw.plus(1) => format!(
                "acknowledges the SYN of {whose}: {}",
                one_more(ack, other.seq_raw)
            ),
            (Some(ack), Some(other)) => format!(
                "acknowledges {ack}, which is **not** {} + 1, the number after the SYN of {whose}",
                other.seq_raw
            ),
            (Some(ack), None) => {
                format!("acknowledges {ack}; the SYN of {whose} is not in the capture")
            }
            (None, _) => "acknowledges nothing".to_owned(),
        };
        match nth {
            0 => format!(
                "{client} chose {} as its first number; the SYN takes it, so its text begins at {}",
                segment.seq_raw,
                one_more(segment.seq_raw.plus(1), segment.seq_raw)
            ),
            1 => format!(
                "{}; {server} chose {} as its own first number",
                acknowledges(&client, syn),
                segment.seq_raw
            ),
            _ => {
                let own = match syn {
                    Some(syn) if segment.seq_raw == syn.seq_raw.plus(1) => format!(
                        "; its own number is the one after its SYN: {}",
                        one_more(segment.seq_raw, syn.seq_raw)
                    ),
                    _ => String::new(),
                };
                format!("{}{own}", acknowledges(&server, syn_ack))
            }
        }
    }

    fn row(
        &self,
        out: &mut String,
        conversation: &Conversation,
        (number, time, flags): (u64, Timestamp, Flags),
        direction: Direction,
        numbers: Numbers,
        why: &str,
    ) {
        let _ = writeln!(
            out,
            "| {number} | {} | {} | {flags} | {} | {} | {} | {} | {why} |",
            self.seconds(time),
            self.way(conversation, direction),
            numbers.seq_raw,
            or_dash(numbers.seq),
            or_dash(numbers.ack_raw),
            or_dash(numbers.ack),
        );
    }

    fn teardown(&self, out: &mut String, conversation: &Conversation, page: &Page) {
        out.push_str("### Who closed first\n\n");
        if !page.closing.is_empty() {
            out.push_str(SEGMENTS);
            for closing in &page.closing {
                let facts = closing.facts;
                let numbers = Numbers {
                    seq_raw: facts.seq_raw,
                    seq: Some(facts.seq),
                    ack_raw: facts.ack.map(|_| facts.ack_raw),
                    ack: facts.ack,
                };
                let at = (closing.number, closing.time, facts.flags);
                self.row(
                    out,
                    conversation,
                    at,
                    closing.direction,
                    numbers,
                    &closing.why,
                );
            }
            out.push('\n');
        }
        let name = |role| capital(&self.part(conversation, role));
        let fin = |role: Role| {
            page.fins[role.sends().index()].map_or_else(String::new, |fin| {
                format!(" with the FIN of packet {}", fin.number)
            })
        };
        let rst = |role: Role| {
            let mut closing = page.closing.iter();
            let rst = closing.find(|closing| {
                closing.direction == role.sends() && closing.facts.flags.has(Flags::RST)
            });
            rst.map_or_else(String::new, |rst| {
                format!(" with the RST of packet {}", rst.number)
            })
        };
        let _ = match conversation.close {
            Close::Open if conversation.handshake == Handshake::Refused => {
                writeln!(out, "There was no connection that could be closed.")
            }
            Close::Open => writeln!(out, "Nobody closed the connection while it was captured."),
            Close::Half { by } => writeln!(
                out,
                "**{} closed first**,{}. The other side had not closed when the capture ended.",
                name(by),
                fin(by)
            ),
            Close::Both { first } => writeln!(
                out,
                "**{} closed first**,{}. {} followed{} (RFC 9293 §3.6).",
                name(first),
                fin(first),
                name(first.peer()),
                fin(first.peer())
            ),
            Close::Reset { by } => writeln!(
                out,
                "**{} cut the connection off**{} (RFC 9293 §3.5.2).",
                name(by),
                rst(by)
            ),
        };
        out.push('\n');
    }

    fn texts(&self, out: &mut String, conversation: &Conversation, page: &Page) {
        if page.texts.is_empty() {
            return;
        }
        out.push_str("### What was said\n\n");
        out.push_str("| packet | time (s) | from → to | octets | text |\n|--:|--:|---|--:|---|\n");
        for text in &page.texts {
            let number = if text.first_number == text.last_number {
                text.last_number.to_string()
            } else {
                format!("{}–{}", text.first_number, text.last_number)
            };
            let _ = write!(
                out,
                "| {number} | {} | {} | {} | ",
                self.seconds(text.time),
                self.way(conversation, text.direction),
                text.octets,
            );
            let missing = (text.missing > 0)
                .then(|| format!("*{} not captured*", count(text.missing, "octet")));
            if text.octets > 0 || missing.is_none() {
                push_code(out, &text.shown);
                if text.continues {
                    out.push_str(" (goes on)");
                }
                if missing.is_some() {
                    out.push_str(", then ");
                }
            }
            out.push_str(&missing.unwrap_or_default());
            out.push_str(" |\n");
        }
        out.push('\n');
        if page.more_texts > 0 {
            let _ = write!(
                out,
                "{} not listed.\n\n",
                count(page.more_texts, "more message")
            );
        }
    }

    fn visibility(&self, out: &mut String, conversation: &Conversation) {
        let seen = Visibility::of(conversation);
        let all = seen.readable + seen.unreadable();
        if all == 0 {
            return;
        }
        out.push_str("### Are the contents of the packets visible?\n\n");
        let messages = count(all, "message");
        let _ = if seen.is_plaintext() {
            writeln!(
                out,
                "**Yes.** {messages} of readable text: {} does not encrypt, so everybody who captures the traffic can \
                 read it.",
                transport(conversation.transport)
            )
        } else if seen.encrypted * 2 > all {
            writeln!(
                out,
                "**No.** {} of {messages} encrypted with TLS: the octets are there, but only the two ends can read them.",
                seen.encrypted
            )
        } else if seen.readable > 0 {
            writeln!(
                out,
                "**Partly.** {} of {messages} readable text; of the others, {} encrypted, {} compressed, {} other binary \
                 data. What is not encrypted can be decoded by everybody who knows its form.",
                seen.readable, seen.encrypted, seen.compressed, seen.binary
            )
        } else {
            writeln!(
                out,
                "**Not as text.** {messages}: {} compressed, {} other binary data, {} encrypted. What is not encrypted \
                 can be decoded by everybody who knows its form.",
                seen.compressed, seen.binary, seen.encrypted
            )
        };
        out.push('\n');
    }

    /// The table `[ex5]` of an `answers.toml`.
    fn answers(&self, out: &mut String, conversation: &Conversation, page: &Page) {
        if conversation.handshake != Handshake::Complete {
            return;
        }
        let mut toml = String::from("[ex5]\n");
        let segments = conversation.opening.iter().flatten().map(|segment| {
            let named = Flags(segment.flags.0 & Flags::SYN.and(Flags::ACK).0);
            let names: Vec<_> = named.names().collect();
            names.join("-")
        });
        push_strings(&mut toml, "handshake", segments);
        let _ = writeln!(toml, "client_port = {}", conversation.client.port());
        let _ = writeln!(toml, "server_port = {}", conversation.server.port());
        let seen = Visibility::of(conversation);
        if seen.readable + seen.unreadable() > 0 {
            let visible = seen.readable > seen.unreadable();
            let _ = writeln!(toml, "plaintext_visible = {visible}");
        }
        let texts = page.texts.iter().filter_map(|text| text.answer.clone());
        push_strings(&mut toml, "texts", texts);
        let left_out = page
            .texts
            .iter()
            .filter(|text| text.answer.is_none() && text.octets > 0)
            .count() as u64;
        if left_out + page.more_texts > 0 {
            let _ = writeln!(
                toml,
                "# {} left out of texts: too long, too many, cut by TCP in the middle of a character, or not readable",
                count(left_out + page.more_texts, "message")
            );
        }
        let fence = "`".repeat(longest_run(&toml).max(2) + 1);
        let _ = write!(
            out,
            "### For `answers.toml`\n\n{fence}toml\n{toml}{fence}\n\n"
        );
    }

    fn datagrams(&self, out: &mut String, conversation: &Conversation, page: &Page) {
        out.push_str("### Handshake\n\n");
        let _ = write!(
            out,
            "None: UDP (RFC 768) has no connections, so there is nothing to open, to acknowledge or to close. The first \
             datagram, packet {}, carries the text at once, whether or not anybody waits for it.\n\n",
            conversation.first_number
        );
        let exchanges = conversation.exchanges;
        let _ = write!(
            out,
            "{} from {}, {} answered.\n\n",
            count(exchanges.requests, "datagram"),
            self.part(conversation, Role::Client),
            exchanges.answered
        );
        self.unreachable(out, conversation, page);
        self.texts(out, conversation, page);
        self.visibility(out, conversation);
    }

    fn unreachable(&self, out: &mut String, conversation: &Conversation, page: &Page) {
        if let Some((number, reason)) = page.unreachable {
            let _ = write!(
                out,
                "Packet {number} is an ICMP message that came back: {}.\n\n",
                verdict::unreachable(conversation, reason)
            );
        }
    }
}

impl View for Report {
    fn opening(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(OPENING.as_bytes());
    }

    fn begin(&mut self, _: &mut Vec<u8>, _: &Conversation) {}

    fn step(&mut self, _: &mut Vec<u8>, conversation: &Conversation, step: &Step<'_>) {
        match step.kind {
            StepKind::Segment(facts) => self.watch(conversation, step, facts),
            StepKind::Datagram => {}
            StepKind::Unreachable(reason) => {
                let page = self.pages.entry(conversation.id).or_default();
                page.unreachable.get_or_insert((step.number, reason));
            }
        }
        if !step.messages.is_empty() {
            self.hear(conversation, step.messages);
        }
    }

    fn late_messages(
        &mut self,
        _: &mut Vec<u8>,
        conversation: &Conversation,
        messages: &[Message<'_>],
    ) {
        self.hear(conversation, messages);
    }

    fn end(&mut self, out: &mut Vec<u8>, conversation: &Conversation) {
        let page = self.pages.remove(&conversation.id).unwrap_or_default();
        self.kept -= page.texts.iter().map(Text::kept).sum::<usize>();
        let mut written = String::new();
        self.title(&mut written, conversation);
        match conversation.transport {
            Transport::Tcp => {
                self.handshake(&mut written, conversation);
                self.unreachable(&mut written, conversation, &page);
                self.texts(&mut written, conversation, &page);
                self.visibility(&mut written, conversation);
                if conversation.handshake != Handshake::Unanswered {
                    self.teardown(&mut written, conversation, &page);
                }
                self.answers(&mut written, conversation, &page);
            }
            Transport::Udp => self.datagrams(&mut written, conversation, &page),
        }
        out.extend_from_slice(written.as_bytes());
    }

    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}

impl Text {
    fn of(message: &Message<'_>) -> Self {
        let mut shown = Vec::new();
        push_octets(&mut shown, message.octets, message.kind, SHOWN);
        Text {
            first_number: message.first_number,
            last_number: message.last_number,
            time: message.time,
            direction: message.direction,
            octets: message.octets.len(),
            missing: message.missing,
            continues: message.continues,
            shown: String::from_utf8_lossy(&shown).into_owned(),
            answer: answer(message),
        }
    }
}

/// A readable message as the student would write it down: its characters, without the length before them and the line
/// end after them.
fn answer(message: &Message<'_>) -> Option<String> {
    let is_whole = message.missing == 0 && !message.continues;
    if !message.kind.is_readable() || !is_whole || message.octets.len() > LONGEST_ANSWER {
        return None;
    }
    let octets = match super::line::prefix(message.octets, message.kind) {
        Some(prefix) => &message.octets[prefix.len..],
        None => message.octets,
    };
    let is_cut = || text::without_cut_characters(octets).len() < octets.len();
    if message.kind == text::TextKind::Utf8 && is_cut() {
        return None;
    }
    let characters = text::characters(octets, message.kind);
    Some(characters.trim_end_matches(['\r', '\n', '\0']).to_owned())
}

const OPENING: &str = "\
# What the capture shows

A packet's number is its place in the capture; times are seconds from the first one. A raw number is what stands in the
segment; a relative one counts from the first number of the same side.

";

/// The head of a table of segments.
const SEGMENTS: &str = "\
| packet | time (s) | from → to | flags | raw seq | relative seq | raw ack | relative ack | why |
|--:|--:|---|---|--:|--:|--:|--:|---|
";

/// The numbers of a segment.
#[derive(Clone, Copy)]
struct Numbers {
    seq_raw: SeqNumber,
    seq: Option<i64>,
    ack_raw: Option<SeqNumber>,
    ack: Option<i64>,
}

fn or_dash(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| number.to_string())
}

/// `2877703651 = 2877703650 + 1`. After 4294967295 comes 0.
fn one_more(number: SeqNumber, before: SeqNumber) -> String {
    let wraps = if before.0 == u32::MAX {
        " (modulo 2³²)"
    } else {
        ""
    };
    format!("{number} = {before} + 1{wraps}")
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Running text with everything escaped that Markdown could take for markup (CommonMark §2.4).
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text::safe(text.as_bytes()).chars() {
        if c.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A code span in a cell of a table (CommonMark §6.1, GFM §4.10).
fn push_code(out: &mut String, text: &str) {
    let fence = "`".repeat(longest_run(text) + 1);
    let touches = text.starts_with('`') || text.ends_with('`');
    let blank = if touches || text.is_empty() { " " } else { "" };
    out.push_str(&fence);
    out.push_str(blank);
    for c in text.chars() {
        if c == '|' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push_str(blank);
    out.push_str(&fence);
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// `name = ["…", "…"]` (TOML 1.0, basic strings). Everything that acts on a terminal is escaped too.
fn push_strings(out: &mut String, name: &str, texts: impl Iterator<Item = String>) {
    out.push_str(name);
    out.push_str(" = [");
    for (place, text) in texts.enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if text::acts(c) => {
                    let _ = write!(out, "\\U{:08X}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push_str("]\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testing::{START, Scene, hello};
    use proptest::prelude::*;

    fn report(scene: &Scene) -> String {
        scene.play(&mut Report::new(Style {
            start: START,
            ..Style::default()
        }))
    }

    #[track_caller]
    fn check(scene: &Scene, lines: &[&str]) {
        let written = report(scene);
        for line in lines {
            assert!(
                written.lines().any(|written| written == *line),
                "{line}\n  not in\n{written}"
            );
        }
    }

    /// The answers in it.
    fn answers(written: &str) -> toml::Table {
        let (_, rest) = written
            .split_once("### For `answers.toml`\n\n")
            .expect("answers");
        let fence = &rest[..rest.find("toml").expect("a fence")];
        let (body, _) = rest[fence.len() + "toml\n".len()..]
            .split_once(&format!("\n{fence}\n"))
            .expect("a closing fence");
        body.parse().expect("TOML")
    }

    #[test]
    fn the_handshake_has_raw_and_relative_numbers_and_why() {
        check(
            &hello(),
            &[
                "## Conversation 0: TCP, client `127.0.0.1:58058` → server `127.0.0.1:20002`",
                "| 1 | 0.000000 | client → server | SYN | 2877703650 | 0 | – | – | the client chose 2877703650 as its \
                 first number; the SYN takes it, so its text begins at 2877703651 = 2877703650 + 1 |",
                "| 2 | 0.001000 | server → client | SYN, ACK | 4294967295 | 0 | 2877703651 | 1 | acknowledges the SYN \
                 of the client: 2877703651 = 2877703650 + 1; the server chose 4294967295 as its own first number |",
                "| 3 | 0.002000 | client → server | ACK | 2877703651 | 1 | 0 | 1 | acknowledges the SYN of the server: \
                 0 = 4294967295 + 1 (modulo 2³²); its own number is the one after its SYN: \
                 2877703651 = 2877703650 + 1 |",
            ],
        );
    }

    #[test]
    fn a_number_that_does_not_fit_is_told() {
        let scene = Scene::tcp().syn().syn_ack().change(|conversation| {
            if let Some(segment) = &mut conversation.opening[1] {
                segment.ack_raw = Some(SeqNumber(7));
            }
        });
        check(
            &scene,
            &[
                "| 2 | 0.001000 | server → client | SYN, ACK | 4294967295 | 0 | 7 | 1417263653 | acknowledges 7, \
                 which is **not** 2877703650 + 1, the number after the SYN of the client; the server chose 4294967295 \
                 as its own first number |",
                "The handshake is not complete: the client did not acknowledge the SYN of packet 2.",
            ],
        );
    }

    #[test]
    fn who_closed_first_is_told_with_the_packets() {
        check(
            &hello(),
            &[
                "| 8 | 0.007000 | client → server | FIN, ACK | 2877703666 | 16 | 15 | 16 | the client has no more to \
                 say; its FIN takes one number, so the server has to acknowledge 2877703667 = 2877703666 + 1 |",
                "| 9 | 0.008000 | server → client | FIN, ACK | 15 | 16 | 2877703667 | 17 | acknowledges the FIN of \
                 packet 8: 2877703667 = 2877703666 + 1; the server has no more to say; its FIN takes one number, so \
                 the client has to acknowledge 16 = 15 + 1 |",
                "| 10 | 0.009000 | client → server | ACK | 2877703667 | 17 | 16 | 17 | acknowledges the FIN of packet \
                 9: 16 = 15 + 1 |",
                "**The client closed first**, with the FIN of packet 8. The server followed with the FIN of packet 9 \
                 (RFC 9293 §3.6).",
            ],
        );
        check(
            &Scene::tcp().handshake().resets(Role::Server),
            &["**The server cut the connection off** with the RST of packet 4 (RFC 9293 §3.5.2)."],
        );
        check(
            &Scene::tcp().handshake().closes(Role::Server),
            &[
                "**The server closed first**, with the FIN of packet 4. The other side had not closed when the capture \
                 ended.",
            ],
        );
    }

    #[test]
    fn what_was_said_is_listed_and_judged() {
        check(
            &hello(),
            &[
                "| 4 | 0.003000 | client → server | 15 | `\"Hi from client!\"` |",
                "| 6 | 0.005000 | server → client | 15 | `\"Hi from server!\"` |",
                "**Yes.** 2 messages of readable text: TCP does not encrypt, so everybody who captures the traffic can \
                 read it.",
            ],
        );
        let tls = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0];
        check(
            &Scene::tcp().handshake().says(Role::Client, &tls),
            &[
                "**No.** 1 of 1 message encrypted with TLS: the octets are there, but only the two ends can read them.",
            ],
        );
    }

    #[test]
    fn what_was_not_captured_is_said() {
        let lacks = |text: &[u8]| {
            let scene = Scene::tcp().handshake().says(Role::Client, text);
            scene.message(|message| message.missing = 120)
        };
        check(
            &lacks(b"hi"),
            &["| 4 | 0.003000 | client → server | 2 | `\"hi\"`, then *120 octets not captured* |"],
        );
        check(
            &lacks(b""),
            &["| 4 | 0.003000 | client → server | 0 | *120 octets not captured* |"],
        );
    }

    #[test]
    fn the_answers_can_be_pasted() {
        let answers = answers(&report(&hello()));
        let expected = "[ex5]\nhandshake = [\"SYN\", \"SYN-ACK\", \"ACK\"]\nclient_port = 58058\nserver_port = 20002\n\
                        plaintext_visible = true\ntexts = [\"Hi from client!\", \"Hi from server!\"]";
        assert_eq!(answers, expected.parse::<toml::Table>().expect("TOML"));
    }

    #[test]
    fn answers_hold_only_whole_texts() {
        let scene = Scene::tcp()
            .handshake()
            .says(Role::Client, &[b'a'; LONGEST_ANSWER + 1])
            .says(Role::Client, b"cut in an \xc3")
            .says(Role::Server, b"\0\0\0\x04bye\n");
        let written = report(&scene);
        let texts = answers(&written)["ex5"]["texts"].clone();
        assert_eq!(texts, toml::Value::Array(vec!["bye".into()]));
        assert!(
            written.contains("\n# 2 messages left out of texts: "),
            "{written}"
        );
    }

    #[test]
    fn udp_has_no_handshake_and_the_report_says_why() {
        let scene = Scene::udp()
            .says(Role::Client, b"SEND_TIME")
            .says(Role::Server, b"06:20:00");
        let written = report(&scene);
        assert!(
            written.contains("None: UDP (RFC 768) has no connections"),
            "{written}"
        );
        assert!(
            written.contains("\n1 datagram from the client, 1 answered.\n"),
            "{written}"
        );
        assert!(!written.contains("answers.toml"), "{written}");
        check(
            &Scene::udp().says(Role::Client, b"hello").refuses(),
            &["Packet 2 is an ICMP message that came back: nobody listens on udp 127.0.0.1:20001."],
        );
    }

    #[test]
    fn connections_that_never_opened_are_explained() {
        check(
            &Scene::tcp().syn().refuses(),
            &["The connection was refused: nobody listens on port 20002."],
        );
        let written = report(&Scene::tcp().syn());
        assert!(written.contains("Nothing answered the SYN"), "{written}");
        let written = report(&Scene::tcp().says(Role::Client, b"hi"));
        assert!(
            written.contains("The capture began when the connection"),
            "{written}"
        );
    }

    #[test]
    fn a_hostile_text_stays_in_its_cell() {
        check(
            &Scene::tcp()
                .handshake()
                .says(Role::Client, b"a|b`c``d\n| 9 | <b>x</b> \\|"),
            &[
                "| 4 | 0.003000 | client → server | 26 | ```\"a\\|b`c``d\\n\\| 9 \\| <b>x</b> \\\\\\|\"``` |",
            ],
        );
    }

    #[test]
    fn names_of_the_user_are_no_markup() {
        let mut style = Style {
            start: START,
            ..Style::default()
        };
        style.names.by_port.insert(58058, "a|*b*<i>".to_owned());
        let written = hello().play(&mut Report::new(style));
        assert!(
            written.contains("| a\\|\\*b\\*\\<i\\> → server |"),
            "{written}"
        );
    }

    #[test]
    fn long_conversations_are_cut_and_nothing_is_kept_of_them() {
        let mut scene = Scene::tcp().handshake();
        for _ in 0..MOST_TEXTS + 3 {
            scene = scene.says(Role::Client, b"hi");
        }
        let mut view = Report::new(Style::default());
        let written = scene.play(&mut view);
        assert!(
            written.contains("\n3 more messages not listed.\n"),
            "{written}"
        );
        assert!(view.pages.is_empty());
        assert_eq!(view.kept, 0);
    }

    /// The cells of a row of a table, as GFM §4.10 splits it.
    fn cells(row: &str) -> usize {
        let mut escaped = false;
        let mut bars = 0;
        for c in row.chars() {
            bars += usize::from(c == '|' && !escaped);
            escaped = c == '\\' && !escaped;
        }
        bars - 1
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_tables_or_the_answers(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 1..60),
                "[|`\\\\\n\"<a\u{202e}\u{85}\u{7f}]{1,40}".prop_map(String::into_bytes),
            ],
        ) {
            let written = report(&Scene::tcp().handshake().says(Role::Client, &text).says(Role::Server, b"bye"));
            answers(&written);
            prop_assert!(written.chars().all(|c| c == '\n' || !text::acts(c)), "{written}");
            let (_, table) = written.split_once("| octets | text |\n").expect("a table");
            let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
            prop_assert_eq!(rows.len(), 3, "{}", written);
            for row in rows {
                prop_assert_eq!(cells(row), 5, "{}", row);
            }
        }
    }
}
