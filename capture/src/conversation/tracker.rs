//! Which conversation a packet belongs to, and when one is forgotten.

use super::note::{Note, Notes};
use super::stream::{self, Outbox};
use super::table::{Line, Place, Table};
use super::tcp::{Passing, Tcp};
use super::udp::Udp;
use super::{
    Close, Conversation, Direction, Exchanges, Flags, Handshake, Message, RolesFrom, Sink, State,
    Step, StepKind, Tally,
};
use crate::decode::{Content, Packet, Segment, Transport, Unreachable};
use crate::text::TextKind;
use crate::time::Timestamp;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Conversations at a time; the one that was silent longest goes first.
    pub conversations: usize,
    /// Octets that wait behind gaps or for the end of their message, all conversations together.
    pub kept_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            conversations: 8_192,
            kept_octets: 8 << 20,
        }
    }
}

/// A conversation that is over is remembered for so long, in nanoseconds of the capture, for late segments.
const LINGER: i64 = 2_000_000_000;
/// How often it is looked for conversations to forget, in nanoseconds of the capture.
const SWEEP: i64 = 50_000_000;
/// A connection without a word for so long is taken for over.
const SILENT_TCP: i64 = 3_600_000_000_000;
/// The same for datagrams, whose end nothing tells: routers that translate addresses remember an exchange for at least
/// so long, too (RFC 4787 §4.3). What comes later begins a new conversation.
const SILENT_UDP: i64 = 120_000_000_000;

/// The transport, and addresses and ports of both ends: the same for both directions.
///
/// Found for every packet, so it is small and quick to compare where addresses are: nearly always in IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Transport, address and port of each end in one number.
    V4 { low: u64, high: u64 },
    /// An IPv4 address that is written as one of IPv6 is one of IPv4 here.
    V6 {
        transport: Transport,
        low: (Ipv6Addr, u16),
        high: (Ipv6Addr, u16),
    },
}

impl Key {
    fn new(transport: Transport, a: &SocketAddr, b: &SocketAddr) -> Self {
        match (a, b) {
            (SocketAddr::V4(a), SocketAddr::V4(b)) => Self::v4(transport, *a, *b),
            _ => Self::other(transport, a, b),
        }
    }

    fn other(transport: Transport, a: &SocketAddr, b: &SocketAddr) -> Self {
        match (a.ip().to_canonical(), b.ip().to_canonical()) {
            (IpAddr::V4(a_ip), IpAddr::V4(b_ip)) => Self::v4(
                transport,
                SocketAddrV4::new(a_ip, a.port()),
                SocketAddrV4::new(b_ip, b.port()),
            ),
            (a_ip, b_ip) => {
                let wide = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let (a, b) = ((wide(a_ip), a.port()), (wide(b_ip), b.port()));
                Key::V6 {
                    transport,
                    low: a.min(b),
                    high: a.max(b),
                }
            }
        }
    }

    fn v4(transport: Transport, a: SocketAddrV4, b: SocketAddrV4) -> Self {
        let transport = (transport as u64) << 48;
        let flat = |end: SocketAddrV4| {
            transport | u64::from(end.ip().to_bits()) << 16 | u64::from(end.port())
        };
        let (a, b) = (flat(a), flat(b));
        Key::V4 {
            low: a.min(b),
            high: a.max(b),
        }
    }
}

/// As few numbers as possible, since each takes its time.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Key::V4 { low, high } => state.write_u128(u128::from(low) << 64 | u128::from(high)),
            Key::V6 {
                transport,
                low,
                high,
            } => {
                state.write_u128(low.0.to_bits());
                state.write_u128(high.0.to_bits());
                (transport, low.1, high.1).hash(state);
            }
        }
    }
}

/// A conversation with what is remembered to understand what comes next.
#[derive(Debug)]
struct Entry {
    info: Conversation,
    transport: TransportState,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is nearly always the large one"
)]
enum TransportState {
    Tcp(Tcp),
    Udp(Udp),
}

impl Entry {
    /// Where it stands in line, after a packet.
    fn line(&self) -> Line {
        match &self.transport {
            TransportState::Tcp(tcp) if tcp.over => Line::Over,
            TransportState::Tcp(_) => Line::Tcp,
            TransportState::Udp(_) => Line::Udp,
        }
    }
}

/// Finds the conversation of each packet and tells a [`Sink`] what it means there.
#[derive(Debug)]
pub struct Tracker {
    ports: Vec<u16>,
    limits: Limits,
    table: Table<Key, Entry>,
    next_id: u32,
    outbox: Outbox,
    now: Timestamp,
    /// When it was last looked for conversations to forget.
    swept: Timestamp,
}

impl Tracker {
    /// A tracker that takes these ports for servers' where nothing else tells who is the client.
    pub fn new(ports: &[u16], limits: Limits) -> Self {
        Tracker {
            ports: ports.to_vec(),
            limits,
            table: Table::default(),
            next_id: 0,
            outbox: Outbox {
                most_kept: limits.kept_octets,
                ..Outbox::default()
            },
            now: Timestamp::default(),
            swept: Timestamp::default(),
        }
    }

    /// Takes in the next packet of the lab's.
    pub fn push(&mut self, number: u64, time: Timestamp, packet: &Packet<'_>, sink: &mut dyn Sink) {
        self.now = time;
        let since = time.nanos_since(self.swept);
        if !(0..SWEEP).contains(&since) {
            self.swept = time;
            self.retire_silent(sink);
        }
        let (transport, src, dst) = match &packet.content {
            Content::Segment(_) => (Transport::Tcp, &packet.src, &packet.dst),
            Content::Datagram => (Transport::Udp, &packet.src, &packet.dst),
            // It comes back to the sender of what it is about.
            Content::Unreachable(about) => (about.transport, &about.target, &about.sender),
        };
        let key = Key::new(transport, src, dst);
        let mut known = self.table.find(&key);
        let mut notes = Notes::default();
        if let Content::Segment(segment) = &packet.content
            && segment.flags.has(Flags::SYN)
            && let Some(place) = known
            && is_reopened_by(&self.table[place], src, segment)
        {
            self.retire(place, sink);
            known = None;
            notes.push(Note::PortReused);
        }
        let place = known.unwrap_or_else(|| {
            if self.table.len() >= self.limits.conversations {
                self.retire_one(sink);
            }
            self.begin(key, number, time, transport, (*src, *dst), packet)
        });
        self.outbox.clear();
        let entry = &mut self.table[place];
        let arrival = (number, time, src, packet);
        step(entry, arrival, notes, &mut self.outbox, sink);
        if known.is_some() {
            let line = entry.line();
            self.table.move_to_end(place, line);
        }
    }

    /// Octets that wait behind gaps or for the end of their message.
    pub fn kept_octets(&self) -> usize {
        self.outbox.kept
    }

    /// Tells of messages whose end has not been seen: nothing came for a while, so nothing more is waited for.
    pub fn flush_messages(&mut self, sink: &mut dyn Sink) {
        if self.outbox.kept == 0 {
            return;
        }
        for line in [Line::Tcp, Line::Over] {
            let mut next = self.table.first(line);
            while let Some(place) = next {
                next = self.table.behind(place);
                self.outbox.clear();
                let entry = &mut self.table[place];
                let TransportState::Tcp(tcp) = &mut entry.transport else {
                    continue;
                };
                for stream in &mut tcp.streams {
                    while stream.is_hole_acknowledged_at_all() {
                        stream.give_up_hole(entry.info.last_number, self.now, &mut self.outbox);
                    }
                    stream.end_message(self.now, &mut self.outbox);
                }
                tell_late(entry, &mut self.outbox, sink);
            }
        }
    }

    /// Nothing more comes: tells the rest.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let mut rest: Vec<Place> = self.table.places().collect();
        rest.sort_unstable_by_key(|&place| self.table[place].info.id);
        for place in rest {
            self.retire(place, sink);
        }
    }

    /// The first words of a conversation tell who is the client.
    fn begin(
        &mut self,
        key: Key,
        number: u64,
        time: Timestamp,
        transport: Transport,
        (src, dst): (SocketAddr, SocketAddr),
        packet: &Packet<'_>,
    ) -> Place {
        let is_lab = |end: SocketAddr| self.ports.contains(&end.port());
        let by_port = match (is_lab(src), is_lab(dst)) {
            (false, true) => Some(Direction::ToServer),
            (true, false) => Some(Direction::ToClient),
            _ => None,
        };
        let guess = if dst.port() <= src.port() {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let (direction, roles_from) = match &packet.content {
            Content::Segment(segment) if segment.flags.has(Flags::SYN) => {
                if segment.flags.has(Flags::ACK) {
                    (Direction::ToClient, RolesFrom::Syn)
                } else {
                    (Direction::ToServer, RolesFrom::Syn)
                }
            }
            Content::Datagram if by_port != Some(Direction::ToClient) => {
                (Direction::ToServer, RolesFrom::FirstDatagram)
            }
            _ => match by_port {
                Some(direction) => (direction, RolesFrom::LabPort),
                None => (guess, RolesFrom::Guess),
            },
        };
        let (client, server) = match direction {
            Direction::ToServer => (src, dst),
            Direction::ToClient => (dst, src),
        };
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let info = |place| Conversation {
            id,
            place,
            transport,
            client,
            server,
            roles_from,
            first_number: number,
            first: time,
            last: time,
            last_number: number,
            handshake: match transport {
                Transport::Tcp => Handshake::NotSeen,
                Transport::Udp => Handshake::None,
            },
            opening: [None; 3],
            close: Close::Open,
            states: [State::Closed; 2],
            bases: [None; 2],
            sent: [Tally::default(); 2],
            unreachable: None,
            exchanges: Exchanges::default(),
        };
        let (line, transport) = match transport {
            Transport::Tcp => (Line::Tcp, TransportState::Tcp(Tcp::new())),
            Transport::Udp => (Line::Udp, TransportState::Udp(Udp::default())),
        };
        self.table.insert(key, line, |place| Entry {
            info: info(place),
            transport,
        })
    }

    /// Ends conversations that were over, or silent, for long enough.
    fn retire_silent(&mut self, sink: &mut dyn Sink) {
        for (line, silence) in [
            (Line::Over, LINGER),
            (Line::Tcp, SILENT_TCP),
            (Line::Udp, SILENT_UDP),
        ] {
            while let Some(place) = self.table.first(line)
                && self.now.nanos_since(self.table[place].info.last) > silence
            {
                self.retire(place, sink);
            }
        }
    }

    /// Ends the conversation that matters least: one that is over, else the one that was silent longest.
    fn retire_one(&mut self, sink: &mut dyn Sink) {
        let over = self.table.first(Line::Over);
        let silent = [Line::Tcp, Line::Udp]
            .into_iter()
            .filter_map(|line| self.table.first(line))
            .min_by_key(|&place| self.table[place].info.last_number);
        if let Some(place) = over.or(silent) {
            self.retire(place, sink);
        }
    }

    /// Tells the rest of a conversation, and forgets it.
    fn retire(&mut self, place: Place, sink: &mut dyn Sink) {
        let entry = &mut self.table[place];
        if let TransportState::Tcp(tcp) = &mut entry.transport {
            self.outbox.clear();
            let last = entry.info.last;
            for stream in &mut tcp.streams {
                let time = last.min(self.now);
                stream.give_up_all(entry.info.last_number, time, &mut self.outbox);
            }
            tell_late(entry, &mut self.outbox, sink);
        }
        if let TransportState::Tcp(tcp) = &mut entry.transport {
            for stream in &mut tcp.streams {
                stream.forget(&mut self.outbox);
            }
        }
        sink.retired(&entry.info);
        self.table.remove(place);
    }
}

/// Whether a segment can only be the first of a new connection between the ends of this one.
fn is_reopened_by(entry: &Entry, src: &SocketAddr, segment: &Segment) -> bool {
    match &entry.transport {
        TransportState::Tcp(tcp) => tcp.is_reopened_by(direction_from(&entry.info, src), segment),
        TransportState::Udp(_) => false,
    }
}

fn direction_from(info: &Conversation, src: &SocketAddr) -> Direction {
    if *src == info.client {
        Direction::ToServer
    } else {
        Direction::ToClient
    }
}

/// One packet of a conversation.
fn step(
    entry: &mut Entry,
    (number, time, src, packet): (u64, Timestamp, &SocketAddr, &Packet<'_>),
    mut notes: Notes,
    outbox: &mut Outbox,
    sink: &mut dyn Sink,
) {
    let info = &mut entry.info;
    info.last = time;
    info.last_number = number;
    let direction = direction_from(info, src);
    if packet.fragments > 0 {
        notes.push(Note::Reassembled(packet.fragments));
    }
    if let Some(of) = packet.wrong_checksum {
        notes.push(Note::WrongChecksum(of));
    }
    let mut datagram = None;
    let kind = match (&packet.content, &mut entry.transport) {
        (Content::Segment(segment), TransportState::Tcp(tcp)) => {
            info.sent[direction.index()].packets += 1;
            let passing = Passing {
                number,
                time,
                direction,
                packet,
                segment,
            };
            let facts = tcp.take(info, &passing, outbox, &mut notes);
            tcp.settle_fins(time, outbox);
            for (stream, tally) in tcp.streams.iter().zip(&mut info.sent) {
                tally.octets = stream.told;
                tally.missing = stream.missing;
            }
            StepKind::Segment(facts)
        }
        (Content::Datagram, TransportState::Udp(udp)) => {
            let tally = &mut info.sent[direction.index()];
            tally.packets += 1;
            tally.octets += packet.payload.len() as u64;
            let missing = u64::from(packet.payload_len) - packet.payload.len() as u64;
            if missing > 0 {
                tally.missing += missing;
                notes.push(Note::Cut {
                    had: packet.payload.len() as u32,
                    of: packet.payload_len,
                });
            }
            udp.take(info, direction, (number, time), &mut notes);
            datagram = Some(Message {
                direction,
                first_number: number,
                last_number: number,
                time,
                octets: packet.payload,
                missing,
                continues: false,
                kind: packet.payload_kind,
            });
            StepKind::Datagram
        }
        (Content::Unreachable(about), _) => {
            unreachable(info, about, &mut notes);
            StepKind::Unreachable(about.reason)
        }
        // The key holds the transport, so this cannot be.
        _ => return,
    };
    let many: Vec<Message<'_>>;
    let one: [Message<'_>; 1];
    let messages: &[Message<'_>] = match (&datagram, outbox.ready.as_slice()) {
        (Some(datagram), _) => {
            one = [*datagram];
            &one
        }
        (None, []) => &[],
        (None, [_]) => {
            one = [message(outbox, 0, packet.payload, packet.payload_kind)];
            &one
        }
        (None, ready) => {
            many = (0..ready.len())
                .map(|place| message(outbox, place, packet.payload, packet.payload_kind))
                .collect();
            &many
        }
    };
    count(info, messages);
    let step = Step {
        number,
        time,
        direction,
        src: packet.src,
        dst: packet.dst,
        kind,
        payload: packet.payload,
        payload_len: packet.payload_len,
        payload_kind: packet.payload_kind,
        notes,
        messages,
    };
    sink.step(info, &step);
}

/// An ICMP message says that something did not arrive.
fn unreachable(info: &mut Conversation, about: &Unreachable<'_>, notes: &mut Notes) {
    info.unreachable = Some(about.reason);
    if info.handshake == Handshake::Unanswered {
        info.handshake = Handshake::Refused;
    }
    notes.push(Note::Unreachable(about.reason));
}

/// A message from the outbox, as it comes with this payload.
fn message<'a>(
    outbox: &'a Outbox,
    place: usize,
    payload: &'a [u8],
    payload_kind: TextKind,
) -> Message<'a> {
    let (direction, ready) = &outbox.ready[place];
    let of = |octets| (octets, TextKind::of(octets));
    let (octets, kind) = match &ready.place {
        // Nearly always: what was looked at already need not be looked at again.
        stream::Place::Payload(range) if *range == (0..payload.len()) => (payload, payload_kind),
        stream::Place::Payload(range) => of(&payload[range.clone()]),
        stream::Place::Scratch(range) => of(&outbox.scratch[range.clone()]),
    };
    Message {
        direction: *direction,
        first_number: ready.first_number,
        last_number: ready.last_number,
        time: ready.time,
        octets,
        missing: ready.missing,
        continues: ready.continues,
        kind,
    }
}

/// Adds messages to the figures of their conversation. The parts of a long one count once.
fn count(info: &mut Conversation, messages: &[Message<'_>]) {
    for message in messages {
        let tally = &mut info.sent[message.direction.index()];
        if !message.continues && !message.octets.is_empty()
            || message.kind == TextKind::Empty && message.missing == 0
        {
            tally.messages += 1;
        }
        let kind = &mut tally.kinds[message.kind.index()];
        *kind = kind.saturating_add(1);
    }
}

/// Tells messages that are in the outbox although no segment came.
fn tell_late(entry: &mut Entry, outbox: &mut Outbox, sink: &mut dyn Sink) {
    if outbox.ready.is_empty() {
        return;
    }
    let messages: Vec<Message<'_>> = (0..outbox.ready.len())
        .map(|place| message(outbox, place, &[], TextKind::Empty))
        .collect();
    if let TransportState::Tcp(tcp) = &entry.transport {
        for (stream, tally) in tcp.streams.iter().zip(&mut entry.info.sent) {
            tally.octets = stream.told;
            tally.missing = stream.missing;
        }
    }
    count(&mut entry.info, &messages);
    sink.late_messages(&entry.info, &messages);
}
