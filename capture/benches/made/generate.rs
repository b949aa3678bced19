//! Captures that look like the lab's, of any size: the same seed and scale give the same octets everywhere.
//!
//! At scale 1: 80,000 TCP conversations on the ports 20001 and 20002 (hello, calculator, chat), 40,000 requests over
//! UDP (clock, hello), [`OPEN`] of these going on at any time; as many frames again of other traffic, each a flow of
//! its own; 3.5 % IPv6. About 1.6 million frames, 226 MB. What goes wrong is counted in [`Truth`].
//!
//! Written as it is made, so that the size is bounded by the disk alone.

use super::container::{Container, Format, link};
use super::craft::{self, ACK, FIN, PSH, RST, SYN};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TCP_CONVERSATIONS: f64 = 80_000.0;
const UDP_REQUESTS: f64 = 40_000.0;

/// So many conversations go on at the same time.
const OPEN: usize = 200;

/// 2026-11-22T06:20:00Z: when the first frame is seen.
const START: u64 = 1_795_328_400_000_000_000;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// The ports of the lab.
const CLOCK_PORT: u16 = 20001;
const HELLO_PORT: u16 = 20002;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) scale: f64,
    pub(crate) format: Format,
}

/// What is in the capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Truth {
    pub(crate) seed: u64,
    pub(crate) scale: f64,
    /// Octets of the file.
    pub(crate) file_octets: u64,
    pub(crate) frames: u64,
    /// Frames on the lab's ports, ICMP messages about them included.
    pub(crate) lab_frames: u64,
    pub(crate) other_frames: u64,
    pub(crate) ipv6_frames: u64,
    pub(crate) tcp: TcpTruth,
    pub(crate) udp: UdpTruth,
}

/// What is in the capture of TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct TcpTruth {
    pub(crate) conversations: u64,
    /// The three segments of the handshake are there.
    pub(crate) complete: u64,
    /// A RST answers the SYN.
    pub(crate) refused: u64,
    /// Three times SYN, and no answer.
    pub(crate) unanswered: u64,
    /// A RST instead of a FIN.
    pub(crate) reset: u64,
    /// FIN from both sides.
    pub(crate) closed: u64,
    /// SYNs sent again.
    pub(crate) syns_again: u64,
    /// Segments with text that are there twice.
    pub(crate) retransmissions: u64,
    /// Segments with text that were lost before they were captured and are there once, at least 200 ms late.
    pub(crate) after_loss: u64,
    /// Segments with text that were overtaken, by at most 0.2 ms.
    pub(crate) reordered: u64,
    /// Octets of text, each counted once.
    pub(crate) octets: u64,
}

/// What is in the capture of UDP.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct UdpTruth {
    /// Pairs of ends.
    pub(crate) conversations: u64,
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    /// Requests to a port that nobody has open; an ICMP message says so.
    pub(crate) unreachable: u64,
    pub(crate) octets: u64,
}

/// Writes a capture.
pub(crate) fn generate(plan: Plan, out: impl Write) -> io::Result<Truth> {
    let out = Counted { out, octets: 0 };
    let mut wire = Wire {
        file: Container::new(out, plan.format, &[link::ETHERNET])?,
        frame: Vec::with_capacity(2_048),
        now: START,
        truth: Truth {
            seed: plan.seed,
            scale: plan.scale,
            ..Truth::default()
        },
    };
    let mut lab = Lab {
        random: Random(plan.seed),
        conversations: (TCP_CONVERSATIONS * plan.scale).round() as u64,
        requests: (UDP_REQUESTS * plan.scale).round() as u64,
        clients: 0,
    };
    let mut others = Random(!plan.seed);

    // The next event of each conversation that is open, the earliest on top.
    let mut due = BinaryHeap::with_capacity(OPEN);
    let mut open: Vec<Vec<Event>> = vec![Vec::new(); OPEN];
    let mut free: Vec<usize> = (0..OPEN).collect();
    loop {
        while let Some(place) = free.pop() {
            let Some(mut events) = lab.next(wire.now, &mut wire.truth) else {
                break;
            };
            events.reverse();
            let first = events.last().expect("a conversation has events").at;
            open[place] = events;
            due.push(Reverse((first, place)));
        }
        let Some(Reverse((at, place))) = due.pop() else {
            break;
        };
        let event = open[place]
            .pop()
            .expect("only events that are there are due");
        wire.lab(at, &event)?;
        match open[place].last() {
            Some(next) => due.push(Reverse((next.at, place))),
            None => free.push(place),
        }
        // As many of these as of the lab's, on the whole.
        while others.below(2) == 0 {
            wire.other(&mut others)?;
        }
    }
    let mut truth = wire.truth;
    truth.file_octets = wire.file.finish()?.octets;
    Ok(truth)
}

/// One thing that crosses the wire.
#[derive(Clone, Debug)]
struct Event {
    at: u64,
    ends: (SocketAddr, SocketAddr),
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Segment {
        flags: u8,
        seq: u32,
        ack: u32,
        text: Vec<u8>,
    },
    Datagram(Vec<u8>),
    /// About a datagram with this text the other way.
    Unreachable(Vec<u8>),
}

/// Thinks up conversations.
struct Lab {
    random: Random,
    conversations: u64,
    requests: u64,
    /// How many there were: no two have the same ends.
    clients: u64,
}

impl Lab {
    fn next(&mut self, now: u64, truth: &mut Truth) -> Option<Vec<Event>> {
        let left = self.conversations + self.requests.div_ceil(3);
        if left == 0 {
            return None;
        }
        let begin = now + self.random.between(MILLISECOND, 40 * MILLISECOND);
        let ends = self.ends();
        if self.random.below(left) < self.conversations {
            self.conversations -= 1;
            Some(connection(&mut self.random, ends, begin, &mut truth.tcp))
        } else {
            let requests = 1 + self.random.below(self.requests.min(5));
            self.requests -= requests;
            Some(clock(
                &mut self.random,
                ends,
                begin,
                requests,
                &mut truth.udp,
            ))
        }
    }

    /// A client's end and a server's address.
    fn ends(&mut self) -> (SocketAddr, IpAddr) {
        const HOSTS: u64 = 250;
        let (host, turn) = (self.clients % HOSTS, self.clients / HOSTS);
        self.clients += 1;
        // 28,000 ephemeral ports for each of the hosts of a room, and then the next room.
        let port = 32_768 + (turn % 28_000) as u16;
        let room = (turn / 28_000) as u16;
        let server = 1 + self.random.below(4) as u16;
        if self.random.per_mille(35) {
            let address = |host| Ipv6Addr::new(0xfd00, 0, 0, room, 0, 0, 0, host);
            let client = SocketAddr::new(address(0x1000 + host as u16).into(), port);
            (client, address(server).into())
        } else {
            let room = Ipv4Addr::from(0x0a00_0000 + (u32::from(room) << 8)).octets();
            let address = |host| Ipv4Addr::new(room[0], room[1], room[2], host);
            let client = SocketAddr::new(address(5 + host as u8).into(), port);
            (client, address(server as u8).into())
        }
    }
}

/// Client or server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Side {
    fn peer(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// A connection, as both ends drive it.
struct Connection<'a> {
    random: &'a mut Random,
    truth: &'a mut TcpTruth,
    ends: [SocketAddr; 2],
    /// What each side sends next.
    next: [u32; 2],
    now: u64,
    events: Vec<Event>,
}

/// One connection from the first SYN on.
fn connection(
    random: &mut Random,
    (client, server): (SocketAddr, IpAddr),
    begin: u64,
    truth: &mut TcpTruth,
) -> Vec<Event> {
    truth.conversations += 1;
    let kind = random.below(100);
    let port = if kind < 70 { HELLO_PORT } else { CLOCK_PORT };
    let next = [random.next() as u32, random.next() as u32];
    let fate = random.below(1_000);
    let mut connection = Connection {
        random,
        truth,
        ends: [client, SocketAddr::new(server, port)],
        next,
        now: begin,
        events: Vec::with_capacity(12),
    };
    match fate {
        0..20 => connection.refused(),
        20..30 => connection.unanswered(),
        _ => {
            connection.open();
            match kind {
                0..70 => connection.hello(),
                70..90 => connection.calculator(),
                _ => connection.chat(),
            }
            connection.close();
        }
    }
    connection.events
}

impl Connection<'_> {
    fn refused(&mut self) {
        self.truth.refused += 1;
        let isn = self.next[0];
        self.put(Side::Client, SYN, isn, 0, Vec::new());
        self.pause(20 * MICROSECOND, MILLISECOND);
        // RFC 9293 §3.5.2: without an ACK to answer, the RST has the number 0 and acknowledges the SYN.
        self.put(Side::Server, RST | ACK, 0, isn.wrapping_add(1), Vec::new());
    }

    fn unanswered(&mut self) {
        self.truth.unanswered += 1;
        self.truth.syns_again += 2;
        let isn = self.next[0];
        for wait in [SECOND, 2 * SECOND, 0] {
            self.put(Side::Client, SYN, isn, 0, Vec::new());
            self.now += wait;
        }
    }

    fn open(&mut self) {
        self.truth.complete += 1;
        let [client, server] = self.next;
        self.put(Side::Client, SYN, client, 0, Vec::new());
        self.pause(20 * MICROSECOND, 2 * MILLISECOND);
        self.next[0] = client.wrapping_add(1);
        self.put(Side::Server, SYN | ACK, server, self.next[0], Vec::new());
        self.pause(20 * MICROSECOND, 2 * MILLISECOND);
        self.next[1] = server.wrapping_add(1);
        self.acknowledge(Side::Client);
    }

    fn hello(&mut self) {
        self.say(Side::Client, "Hi from client!\n");
        self.acknowledge_sometimes(Side::Server);
        self.say(Side::Server, "Hi from server!\n");
        self.acknowledge_sometimes(Side::Client);
    }

    fn calculator(&mut self) {
        let name = self.random.pick(&NAMES);
        self.say(Side::Client, &format!("{name}\n"));
        self.acknowledge(Side::Server);
        for _ in 0..1 + self.random.below(2) {
            self.think();
            let (a, b) = (self.random.below(900) as f64 / 4.0, self.random.below(90));
            let (request, result) = match self.random.below(3) {
                0 => (format!("{a} + {b}\n"), a + b as f64),
                1 => (format!("{a} - {b}\n"), a - b as f64),
                _ => (format!("{a} * -{b}\n"), -(a * b as f64)),
            };
            self.say(Side::Client, &request);
            self.say(Side::Server, &format!("{result}\n"));
        }
        self.think();
        self.say(Side::Client, "q\n");
        self.acknowledge_sometimes(Side::Server);
    }

    fn chat(&mut self) {
        let name = self.random.pick(&NAMES);
        self.say(Side::Client, &format!("{name}\n"));
        self.say(Side::Server, &format!("*** {name} joined\n"));
        self.acknowledge(Side::Client);
        for _ in 0..1 + self.random.below(3) {
            self.think();
            let line = self.random.pick(&LINES);
            if self.random.below(2) == 0 {
                self.say(Side::Client, &format!("{line}\n"));
                self.acknowledge(Side::Server);
            } else {
                let sender = self.random.pick(&NAMES);
                self.say(Side::Server, &format!("{sender}: {line}\n"));
                self.acknowledge(Side::Client);
            }
        }
    }

    fn close(&mut self) {
        self.think();
        if self.random.per_mille(30) {
            self.truth.reset += 1;
            let [client, server] = self.next;
            self.put(Side::Client, RST | ACK, client, server, Vec::new());
            return;
        }
        self.truth.closed += 1;
        let first = if self.random.below(10) == 0 {
            Side::Server
        } else {
            Side::Client
        };
        for side in [first, first.peer()] {
            let seq = self.next[side as usize];
            let ack = self.next[side.peer() as usize];
            self.put(side, FIN | ACK, seq, ack, Vec::new());
            self.next[side as usize] = seq.wrapping_add(1);
            self.pause(20 * MICROSECOND, MILLISECOND);
        }
        self.acknowledge(first);
    }

    /// A line, and now and then what can happen to it.
    fn say(&mut self, side: Side, text: &str) {
        let text = text.as_bytes();
        self.truth.octets += text.len() as u64;
        let seq = self.next[side as usize];
        let ack = self.next[side.peer() as usize];
        self.next[side as usize] = seq.wrapping_add(text.len() as u32);
        let (head, tail) = text.split_at(text.len() / 2);
        let later = seq.wrapping_add(head.len() as u32);
        match self.random.below(1_000) {
            // Its acknowledgment was lost, beyond where the capture was made.
            0..8 => {
                self.truth.retransmissions += 1;
                self.put(side, PSH | ACK, seq, ack, text.to_vec());
                self.pause(200 * MILLISECOND, 300 * MILLISECOND);
                self.put(side, PSH | ACK, seq, ack, text.to_vec());
            }
            // The first half was lost before where the capture was made; the peer asks for it.
            8..14 if !head.is_empty() => {
                self.truth.after_loss += 1;
                self.put(side, PSH | ACK, later, ack, tail.to_vec());
                self.pause(20 * MICROSECOND, MILLISECOND);
                self.put(side.peer(), ACK, ack, seq, Vec::new());
                self.pause(200 * MILLISECOND, 300 * MILLISECOND);
                self.put(side, ACK, seq, ack, head.to_vec());
            }
            // The second half took another way.
            14..24 if !head.is_empty() => {
                self.truth.reordered += 1;
                self.put(side, PSH | ACK, later, ack, tail.to_vec());
                self.pause(10 * MICROSECOND, 200 * MICROSECOND);
                self.put(side, ACK, seq, ack, head.to_vec());
            }
            _ => self.put(side, PSH | ACK, seq, ack, text.to_vec()),
        }
        self.pause(50 * MICROSECOND, 3 * MILLISECOND);
    }

    fn acknowledge(&mut self, side: Side) {
        let (seq, ack) = (self.next[side as usize], self.next[side.peer() as usize]);
        self.put(side, ACK, seq, ack, Vec::new());
        self.pause(50 * MICROSECOND, MILLISECOND);
    }

    /// Not where what comes next acknowledges as well.
    fn acknowledge_sometimes(&mut self, side: Side) {
        if self.random.below(10) == 0 {
            self.acknowledge(side);
        }
    }

    fn think(&mut self) {
        self.pause(10 * MILLISECOND, 400 * MILLISECOND);
    }

    fn pause(&mut self, least: u64, most: u64) {
        self.now += self.random.between(least, most);
    }

    fn put(&mut self, side: Side, flags: u8, seq: u32, ack: u32, text: Vec<u8>) {
        self.events.push(Event {
            at: self.now,
            ends: (self.ends[side as usize], self.ends[side.peer() as usize]),
            what: What::Segment {
                flags,
                seq,
                ack,
                text,
            },
        });
    }
}

/// A client that asks over UDP, once a second or two.
fn clock(
    random: &mut Random,
    (client, server): (SocketAddr, IpAddr),
    begin: u64,
    requests: u64,
    truth: &mut UdpTruth,
) -> Vec<Event> {
    truth.conversations += 1;
    truth.requests += requests;
    let server = SocketAddr::new(server, CLOCK_PORT);
    let nobody = random.per_mille(10);
    let mut events = Vec::new();
    let mut now = begin;
    for _ in 0..requests {
        let (request, reply) = match random.below(5) {
            0 => ("Hi from client!", "Hi from server!".to_owned()),
            1 | 2 => ("SEND_DATE", format!("{}-11-2026", 1 + random.below(30))),
            _ => {
                let [h, m, s] = [24, 60, 60].map(|most| random.below(most));
                ("SEND_TIME", format!("{h:02}:{m:02}:{s:02}"))
            }
        };
        truth.octets += request.len() as u64;
        events.push(Event {
            at: now,
            ends: (client, server),
            what: What::Datagram(request.into()),
        });
        let back = now + random.between(50 * MICROSECOND, 3 * MILLISECOND);
        let what = if nobody {
            truth.unreachable += 1;
            Some(What::Unreachable(request.into()))
        } else if random.per_mille(10) {
            None
        } else {
            truth.answered += 1;
            truth.octets += reply.len() as u64;
            Some(What::Datagram(reply.into_bytes()))
        };
        events.extend(what.map(|what| Event {
            at: back,
            ends: (server, client),
            what,
        }));
        now += random.between(SECOND, 2 * SECOND);
    }
    events
}

/// Where frames are made and written, in the order of time.
struct Wire<W> {
    file: Container<W>,
    frame: Vec<u8>,
    now: u64,
    truth: Truth,
}

impl<W: Write> Wire<W> {
    fn lab(&mut self, at: u64, event: &Event) -> io::Result<()> {
        let (from, to) = event.ends;
        self.truth.lab_frames += 1;
        self.begin(&from.ip(), 0x10);
        match &event.what {
            What::Segment {
                flags,
                seq,
                ack,
                text,
            } => {
                // Window 64,240, and from then on counted in units of 2^7 octets.
                let window = if flags & SYN == 0 { 502 } else { 64_240 };
                let mut header = craft::header(*flags, *seq, *ack, window);
                let options = options(flags & SYN != 0, (at / MILLISECOND) as u32);
                if flags & RST == 0 {
                    header
                        .set_options_raw(if flags & SYN == 0 {
                            &options[..12]
                        } else {
                            &options
                        })
                        .expect("TCP has room for 40 octets of options");
                }
                craft::segment(&mut self.frame, (from, to), header, text);
            }
            What::Datagram(text) => craft::datagram(&mut self.frame, (from, to), text),
            What::Unreachable(text) => {
                let mut quoted = Vec::new();
                craft::datagram(&mut quoted, (to, from), text);
                craft::port_unreachable(&mut self.frame, from.ip(), to.ip(), &quoted);
            }
        }
        // What comes from another machine was made as long as Ethernet demands; what leaves was not yet.
        if from.port() < 32_768 && self.frame.len() < 60 {
            self.frame.resize(60, 0);
        }
        self.now = self.now.max(at);
        self.write()
    }

    /// A frame of a flow of its own, none of the lab's.
    fn other(&mut self, random: &mut Random) -> io::Result<()> {
        self.truth.other_frames += 1;
        let address = |random: &mut Random, v6: bool| -> IpAddr {
            if v6 {
                Ipv6Addr::new(0xfd00, 0, 1, 0, 0, 0, 1, random.next() as u16).into()
            } else {
                Ipv4Addr::from(0x0b00_0000 | (random.next() as u32 & 0x00ff_ffff)).into()
            }
        };
        let v6 = random.per_mille(35);
        let (from, to) = (address(random, v6), address(random, v6));
        let ends = (
            SocketAddr::new(from, 32_768 + random.below(28_000) as u16),
            SocketAddr::new(
                to,
                *random.pick(&[22, 53, 80, 123, 443, 443, 443, 5353, 8080]),
            ),
        );
        self.begin(&from, 0x20);
        let len = random.below(370) as usize;
        let mut text = [0; 370];
        for octets in text[..len].chunks_mut(8) {
            octets.copy_from_slice(&random.next().to_le_bytes()[..octets.len()]);
        }
        match random.below(100) {
            0..3 => {
                // Who has this address? (RFC 826)
                self.frame[12..].copy_from_slice(&[0x08, 0x06]);
                self.frame
                    .extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0]);
                self.frame.extend([0, 0, 0, 0, 10, 0, 0, text[0]]);
            }
            3 => {
                // Two switches agree on a spanning tree: IEEE 802.3, with a length instead of a type.
                self.frame[12..].copy_from_slice(&[0, 38]);
                self.frame.extend([0x42, 0x42, 3]);
                self.frame.resize(14 + 38, 0);
            }
            4..7 => craft::echo(&mut self.frame, from, to, &text[..len.min(56)]),
            7..55 => {
                let flags = *random.pick(&[SYN, ACK, PSH | ACK, PSH | ACK, FIN | ACK]);
                let numbers = (random.next() as u32, random.next() as u32);
                let header = craft::header(flags, numbers.0, numbers.1, 502);
                let len = if flags & PSH == 0 { 0 } else { len };
                craft::segment(&mut self.frame, ends, header, &text[..len]);
            }
            _ => craft::datagram(&mut self.frame, ends, &text[..len]),
        }
        self.now += random.below(MICROSECOND);
        self.write()
    }

    fn begin(&mut self, from: &IpAddr, group: u8) {
        self.frame.clear();
        self.frame
            .extend([2, 0, 0, 0, group, 1, 2, 0, 0, 0, group, 2]);
        self.frame.extend(match from {
            IpAddr::V4(_) => [0x08, 0x00],
            IpAddr::V6(_) => [0x86, 0xdd],
        });
    }

    fn write(&mut self) -> io::Result<()> {
        self.truth.frames += 1;
        self.truth.ipv6_frames += u64::from(self.frame[12..14] == [0x86, 0xdd]);
        self.file
            .frame(0, self.now, &self.frame, self.frame.len() as u32)
    }
}

/// The options that Linux sends: timestamps always (RFC 7323 §3), and with a SYN the maximum segment size,
/// selective acknowledgments (RFC 2018) and the window scale.
fn options(syn: bool, milliseconds: u32) -> [u8; 20] {
    let [a, b, c, d] = milliseconds.to_be_bytes();
    if syn {
        [
            2, 4, 5, 180, 4, 2, 8, 10, a, b, c, d, 0, 0, 0, 0, 1, 3, 3, 7,
        ]
    } else {
        [1, 1, 8, 10, a, b, c, d, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

const NAMES: [&str; 8] = [
    "ada", "grace", "alan", "edsger", "barbara", "donald", "zoë", "李雷",
];

const LINES: [&str; 6] = [
    "hello everybody",
    "has anybody got the calculator working?",
    "the server prints `Session ended`, but my client hangs after the q – what do I forget to close?",
    "héllo 😀",
    "yes",
    "it was the newline: the server reads a line, and the client sent none. Thank you all for looking!",
];

/// SplitMix64: the same numbers in every version of everything, which crates for randomness don't promise.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least)
    }

    fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Counts what it passes on.
struct Counted<W> {
    out: W,
    octets: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.octets += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
