//! Which conversation a packet belongs to, and when one is forgotten.

use super::note::{Note, Notes};
use super::stream::{Outbox, Place};
use super::tcp::{Passing, Tcp};
use super::udp::Udp;
use super::{
    Close, Conversation, Direction, Exchanges, Flags, Handshake, Message, RolesFrom, Sink, State,
    Step, StepKind, Tally,
};
use crate::decode::{Content, Packet, Segment, Transport, Unreachable};
use crate::text::TextKind;
use crate::time::Timestamp;
use hashlink::LruCache;
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

/// Addresses and ports of both ends: the same for both directions.
///
/// Found for every packet, so it is small and quick to compare where addresses are: nearly always in IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Address and port of each end in one number.
    V4 { low: u64, high: u64 },
    /// An IPv4 address that is written as one of IPv6 is one of IPv4 here.
    V6 {
        low: (Ipv6Addr, u16),
        high: (Ipv6Addr, u16),
    },
}

impl Key {
    fn new(a: &SocketAddr, b: &SocketAddr) -> Self {
        match (a, b) {
            (SocketAddr::V4(a), SocketAddr::V4(b)) => Self::v4(*a, *b),
            _ => Self::other(a, b),
        }
    }

    fn other(a: &SocketAddr, b: &SocketAddr) -> Self {
        match (a.ip().to_canonical(), b.ip().to_canonical()) {
            (IpAddr::V4(a_ip), IpAddr::V4(b_ip)) => Self::v4(
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
                    low: a.min(b),
                    high: a.max(b),
                }
            }
        }
    }

    fn v4(a: SocketAddrV4, b: SocketAddrV4) -> Self {
        let flat = |end: SocketAddrV4| u64::from(end.ip().to_bits()) << 16 | u64::from(end.port());
        let (a, b) = (flat(a), flat(b));
        Key::V4 {
            low: a.min(b),
            high: a.max(b),
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
    reason = "it is in a box of its own already, and nearly always the large one"
)]
enum TransportState {
    Tcp(Tcp),
    Udp(Udp),
}

impl Entry {
    fn is_over(&self) -> bool {
        match &self.transport {
            TransportState::Tcp(tcp) => tcp.over,
            TransportState::Udp(_) => false,
        }
    }
}

/// Finds the conversation of each packet and tells a [`Sink`] what it means there.
#[derive(Debug)]
pub struct Tracker {
    ports: Vec<u16>,
    limits: Limits,
    /// Connections that go on, the one that spoke last at the back.
    tcp: LruCache<Key, Box<Entry>>,
    /// The same over UDP.
    udp: LruCache<Key, Box<Entry>>,
    /// Connections that are over.
    over: LruCache<Key, Box<Entry>>,
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
            tcp: LruCache::new_unbounded(),
            udp: LruCache::new_unbounded(),
            over: LruCache::new_unbounded(),
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
        let key = Key::new(src, dst);
        let mut notes = Notes::default();
        if let Content::Segment(segment) = &packet.content
            && segment.flags.has(Flags::SYN)
            && self.retire_reopened(&key, src, segment, sink)
        {
            notes.push(Note::PortReused);
        }
        self.outbox.clear();
        let arrival = (number, time, src, packet);
        let open = match transport {
            Transport::Tcp => &mut self.tcp,
            Transport::Udp => &mut self.udp,
        };
        if let Some(entry) = open.get_mut(&key) {
            step(entry, arrival, notes, &mut self.outbox, sink);
            if entry.is_over()
                && let Some(entry) = open.remove(&key)
            {
                self.over.insert(key, entry);
            }
        } else if transport == Transport::Tcp
            && let Some(entry) = self.over.get_mut(&key)
        {
            step(entry, arrival, notes, &mut self.outbox, sink);
        } else {
            if self.tcp.len() + self.udp.len() + self.over.len() >= self.limits.conversations {
                self.retire_one(sink);
                self.outbox.clear();
            }
            let info = self.begin(number, time, transport, *src, *dst, packet);
            let transport = match transport {
                Transport::Tcp => TransportState::Tcp(Tcp::new()),
                Transport::Udp => TransportState::Udp(Udp::default()),
            };
            let mut entry = Box::new(Entry { info, transport });
            step(&mut entry, arrival, notes, &mut self.outbox, sink);
            match &entry.transport {
                TransportState::Tcp(_) => self.tcp.insert(key, entry),
                TransportState::Udp(_) => self.udp.insert(key, entry),
            };
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
        for (_, entry) in self.tcp.iter_mut().chain(self.over.iter_mut()) {
            self.outbox.clear();
            if let TransportState::Tcp(tcp) = &mut entry.transport {
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
        let mut rest: Vec<Box<Entry>> = Vec::new();
        rest.extend(self.over.drain().map(|(_, entry)| entry));
        rest.extend(self.tcp.drain().map(|(_, entry)| entry));
        rest.extend(self.udp.drain().map(|(_, entry)| entry));
        rest.sort_by_key(|entry| entry.info.id);
        for entry in rest {
            retire(entry, self.now, &mut self.outbox, sink);
        }
    }

    /// The first words of a conversation tell who is the client.
    fn begin(
        &mut self,
        number: u64,
        time: Timestamp,
        transport: Transport,
        src: SocketAddr,
        dst: SocketAddr,
        packet: &Packet<'_>,
    ) -> Conversation {
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
        Conversation {
            id,
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
        }
    }

    /// Ends the conversation that a SYN with a new number shows to be over. Whether there was one.
    fn retire_reopened(
        &mut self,
        key: &Key,
        src: &SocketAddr,
        segment: &Segment,
        sink: &mut dyn Sink,
    ) -> bool {
        let Some(entry) = self.tcp.peek(key).or_else(|| self.over.peek(key)) else {
            return false;
        };
        let reopened = match &entry.transport {
            TransportState::Tcp(tcp) => {
                tcp.is_reopened_by(direction_from(&entry.info, src), segment)
            }
            TransportState::Udp(_) => false,
        };
        if reopened && let Some(entry) = self.tcp.remove(key).or_else(|| self.over.remove(key)) {
            retire(entry, self.now, &mut self.outbox, sink);
        }
        reopened
    }

    /// Ends conversations that were over, or silent, for long enough.
    fn retire_silent(&mut self, sink: &mut dyn Sink) {
        for (list, silence) in [
            (&mut self.over, LINGER),
            (&mut self.tcp, SILENT_TCP),
            (&mut self.udp, SILENT_UDP),
        ] {
            while let Some((_, entry)) = list.iter().next()
                && self.now.nanos_since(entry.info.last) > silence
                && let Some((_, entry)) = list.remove_lru()
            {
                retire(entry, self.now, &mut self.outbox, sink);
            }
        }
    }

    /// Ends the conversation that matters least: one that is over, else the one that was silent longest.
    fn retire_one(&mut self, sink: &mut dyn Sink) {
        let spoke = |list: &LruCache<Key, Box<Entry>>| {
            let (_, entry) = list.iter().next()?;
            Some(entry.info.last_number)
        };
        let list = match (spoke(&self.over), spoke(&self.tcp), spoke(&self.udp)) {
            (Some(_), _, _) => &mut self.over,
            (_, Some(tcp), Some(udp)) if udp < tcp => &mut self.udp,
            (_, None, _) => &mut self.udp,
            (_, Some(_), _) => &mut self.tcp,
        };
        if let Some((_, entry)) = list.remove_lru() {
            retire(entry, self.now, &mut self.outbox, sink);
        }
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
                kind: TextKind::of(packet.payload),
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
            one = [message(outbox, 0, packet.payload)];
            &one
        }
        (None, ready) => {
            many = (0..ready.len())
                .map(|place| message(outbox, place, packet.payload))
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

fn message<'a>(outbox: &'a Outbox, place: usize, payload: &'a [u8]) -> Message<'a> {
    let (direction, ready) = &outbox.ready[place];
    let octets = match &ready.place {
        Place::Payload(range) => &payload[range.clone()],
        Place::Scratch(range) => &outbox.scratch[range.clone()],
    };
    Message {
        direction: *direction,
        first_number: ready.first_number,
        last_number: ready.last_number,
        time: ready.time,
        octets,
        missing: ready.missing,
        continues: ready.continues,
        kind: TextKind::of(octets),
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
        .map(|place| message(outbox, place, &[]))
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

/// Tells the rest of a conversation.
fn retire(mut entry: Box<Entry>, now: Timestamp, outbox: &mut Outbox, sink: &mut dyn Sink) {
    if let TransportState::Tcp(tcp) = &mut entry.transport {
        outbox.clear();
        let last = entry.info.last;
        for stream in &mut tcp.streams {
            stream.give_up_all(entry.info.last_number, last.min(now), outbox);
        }
        tell_late(&mut entry, outbox, sink);
    }
    if let TransportState::Tcp(tcp) = &mut entry.transport {
        for stream in &mut tcp.streams {
            stream.forget(outbox);
        }
    }
    sink.retired(&entry.info);
}
