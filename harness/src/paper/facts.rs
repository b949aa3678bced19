//! What a capture shows of the lab: its connections, how they were opened, what was said, and what else is in the file.

use super::Reading;
use crate::event::Octets;
use capture::conversation::{Conversation, Handshake, Limits, Message, Role, Sink, Step, Tracker};
use capture::decode::{Content, Decoder, Filtered, Outcome, Packet, PortFilter, Transport};
use capture::source::file::{DamageProblem, FileSource};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::net::SocketAddr;

/// So many connections are told one by one.
const MOST_TALKS: usize = 64;
/// So much of what one side says is kept, in octets.
const MOST_SAID: usize = 4 << 10;

/// What a capture shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What the file is called in the submission.
    pub file: String,
    /// The ports that count as the lab's.
    pub ports: BTreeSet<u16>,
    /// All frames.
    pub frames: u64,
    /// Segments of the lab.
    pub segments: u64,
    /// Datagrams of the lab.
    pub datagrams: u64,
    /// Segments and datagrams of other programs, by what they are.
    pub others: BTreeMap<String, u64>,
    /// Why reading ended before the end of the file.
    pub damage: Option<String>,
    /// The connections of the lab, in their order.
    pub talks: Vec<Talk>,
    /// Complete handshakes with other ports: the server's port of each.
    pub elsewhere: BTreeSet<u16>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Talk {
    /// The client's end.
    pub client: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// How it was opened.
    pub opening: Opening,
    /// The numbers of the frames of the handshake, as far as they are there.
    pub frames: Vec<u64>,
    /// What the client and the server said, or the beginning of it.
    pub said: [Octets; 2],
    /// How many octets each said.
    pub octets: [u64; 2],
    /// Octets that the capture does not have.
    pub missing: u64,
    /// Whether what each said can be read by anybody.
    pub readable: [bool; 2],
}

/// How far the handshake got (RFC 9293 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// All three segments are there.
    Complete,
    /// The capture began later.
    Late,
    /// The SYN was refused.
    Refused,
    /// Nobody answered, or the third segment is missing.
    Half,
}

impl Talk {
    /// Whether text of both sides can be read.
    pub fn is_plain(&self) -> bool {
        self.octets.iter().all(|octets| *octets > 0) && self.readable == [true, true]
    }

    /// Whether text of one side or of both can be read, and everything that was said is text.
    pub fn shows_text(&self) -> bool {
        let side = |side: usize| self.octets[side] == 0 || self.readable[side];
        self.octets != [0, 0] && side(0) && side(1)
    }

    /// Whether only the beginning of what was said was kept.
    pub fn is_cut(&self) -> bool {
        let kept = |side: usize| self.said[side].0.len() as u64 == self.octets[side];
        !(kept(0) && kept(1))
    }
}

impl Facts {
    /// How many segments and datagrams are none of the lab's.
    pub fn foreign(&self) -> u64 {
        self.others.values().sum()
    }
}

/// Reads a capture. `ports` are the lab's; a connection between the ports of `named` is kept however many there are.
pub fn of_file(
    file: File,
    name: &str,
    ports: BTreeSet<u16>,
    named: Option<(u16, u16)>,
) -> Reading<Facts> {
    let mut source = FileSource::new(Box::new(file));
    // Everything is looked at: what is none of the lab's is a fact too.
    let mut decoder = Decoder::new(PortFilter::all());
    let lab: Vec<u16> = ports.iter().copied().collect();
    let mut tracker = Tracker::new(&lab, Limits::default());
    let mut notes = Notes {
        facts: Facts {
            file: name.to_owned(),
            ports,
            ..Facts::default()
        },
        said: HashMap::new(),
        named,
    };
    let damage = loop {
        let frame = match source.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            Err(damage) => break Some(damage),
        };
        notes.facts.frames += 1;
        match decoder.decode(&frame) {
            Outcome::Lab(packet) => {
                notes.count(&packet);
                tracker.push(frame.number, frame.time, &packet, &mut notes);
            }
            Outcome::Filtered(Filtered::IpProtocol(number)) => {
                notes.other(&format!("IP protocol {number}"));
            }
            // ARP, neighbour discovery and the like belong to the network, not to a program.
            Outcome::Filtered(_) | Outcome::Fragment | Outcome::Undecoded(_) => {}
        }
    };
    tracker.finish(&mut notes);
    if let Some(damage) = &damage
        && (notes.facts.frames == 0 || matches!(damage.problem, DamageProblem::NotACapture(_)))
    {
        return Reading::Unreadable(format!("{name}: {damage}"));
    }
    notes.facts.damage = damage.map(|damage| damage.to_string());
    notes
        .facts
        .talks
        .sort_by_key(|talk| talk.frames.first().copied());
    Reading::Read(notes.facts)
}

/// What is noted down while the capture goes by.
struct Notes {
    facts: Facts,
    /// What the two sides of the lab's connections said so far.
    said: HashMap<u32, [Vec<u8>; 2]>,
    /// The client's and the server's port that the author names.
    named: Option<(u16, u16)>,
}

impl Notes {
    fn is_lab(&self, one: SocketAddr, other: SocketAddr) -> bool {
        let ports = &self.facts.ports;
        ports.contains(&one.port()) || ports.contains(&other.port())
    }

    fn count(&mut self, packet: &Packet<'_>) {
        let lab = self.is_lab(packet.src, packet.dst);
        match (packet.content, lab) {
            (Content::Segment(_), true) => self.facts.segments += 1,
            (Content::Datagram, true) => self.facts.datagrams += 1,
            (Content::Segment(_), false) => self.other("TCP between other ports"),
            (Content::Datagram, false) => self.other("UDP between other ports"),
            (Content::Unreachable(_), _) => {}
        }
    }

    fn other(&mut self, what: &str) {
        match self.facts.others.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.facts.others.insert(what.to_owned(), 1);
            }
        }
    }

    fn hear(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        if !self.is_lab(conversation.client, conversation.server)
            || conversation.transport != Transport::Tcp
        {
            return;
        }
        for message in messages {
            let said = self.said.entry(conversation.id).or_default();
            let said = &mut said[message.direction.index()];
            let room = MOST_SAID.saturating_sub(said.len());
            said.extend(message.octets.iter().take(room));
        }
    }
}

impl Sink for Notes {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        self.hear(conversation, step.messages);
    }

    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        self.hear(conversation, messages);
    }

    fn retired(&mut self, conversation: &Conversation) {
        let said = self.said.remove(&conversation.id).unwrap_or_default();
        if conversation.transport != Transport::Tcp {
            return;
        }
        let opening = match conversation.handshake {
            Handshake::Complete => Opening::Complete,
            Handshake::Refused => Opening::Refused,
            Handshake::Unanswered | Handshake::Half => Opening::Half,
            Handshake::None | Handshake::NotSeen => Opening::Late,
        };
        if !self.is_lab(conversation.client, conversation.server) {
            if opening == Opening::Complete && self.facts.elsewhere.len() < MOST_TALKS {
                self.facts.elsewhere.insert(conversation.server.port());
            }
            return;
        }
        let ports = (conversation.client.port(), conversation.server.port());
        if self.facts.talks.len() >= MOST_TALKS && self.named != Some(ports) {
            return;
        }
        let tally = |role| conversation.tally(role);
        let both = [Role::Client, Role::Server];
        let readable = both.map(|role| {
            use capture::text::TextKind;
            let kinds = [TextKind::Utf8, TextKind::Utf16Le, TextKind::Utf16Be];
            let readable = kinds.iter().map(|kind| tally(role).kinds[kind.index()]);
            readable.sum::<u32>() > 0
        });
        self.facts.talks.push(Talk {
            client: conversation.client,
            server: conversation.server,
            opening,
            frames: conversation
                .opening
                .iter()
                .flatten()
                .map(|segment| segment.number)
                .collect(),
            said: said.map(Octets),
            octets: both.map(|role| tally(role).octets),
            missing: both.iter().map(|role| tally(*role).missing).sum(),
            readable,
        });
    }
}
