//! Conversations: who talks with whom, what they say in which order, how they open and close.
//!
//! Pure: packets and their times in, [`Step`]s and [`Message`]s out through a [`Sink`]. No clock, no printing.
//!
//! - [`seq`]: numbers that wrap.
//! - [`note`]: what can be remarked about a step.
//! - [`state`]: the states of RFC 9293 §3.3.2 as an onlooker can tell them.
//! - [`stream`]: one direction of a connection: what is new, repeated, early or missing.
//! - [`tcp`], [`udp`]: what a segment or a datagram means for its conversation.
//! - [`visibility`]: whether what was said can be read.
//! - [`tracker`]: which conversation a packet belongs to, and when one is forgotten; `table`: where they are remembered.
//!
//! Memory is bounded by [`tracker::Limits`], whatever the capture holds.

pub mod note;
pub mod seq;
pub mod state;
pub mod stream;
mod table;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod tracker;
pub mod udp;
pub mod visibility;

pub use note::{Note, Notes};
pub use seq::{Flags, SeqNumber};
pub use state::State;
pub use tracker::{Limits, Tracker};
pub use visibility::Visibility;

use crate::decode::{Transport, UnreachableReason};
use crate::text::TextKind;
use crate::time::Timestamp;
use std::net::SocketAddr;

/// Which way something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }

    /// Who sends in this direction.
    pub const fn sender(self) -> Role {
        match self {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        }
    }

    /// 0 or 1, for arrays with a place for each direction (or for its sender).
    pub const fn index(self) -> usize {
        match self {
            Direction::ToServer => 0,
            Direction::ToClient => 1,
        }
    }
}

/// The two parts in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Who began it.
    Client,
    /// Who waited for it.
    Server,
}

impl Role {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }

    /// What this part sends goes this way.
    pub const fn sends(self) -> Direction {
        match self {
            Role::Client => Direction::ToServer,
            Role::Server => Direction::ToClient,
        }
    }

    /// `client` or `server`.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// How it is known who is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolesFrom {
    /// It sent the SYN (or received the SYN, ACK).
    Syn,
    /// It sent the first datagram.
    FirstDatagram,
    /// The other one has a port of the lab's.
    LabPort,
    /// Nothing tells: the smaller port is taken for the server's.
    Guess,
}

/// One segment of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeSegment {
    /// The number of its frame.
    pub number: u64,
    /// When it was seen.
    pub time: Timestamp,
    /// Its control bits.
    pub flags: Flags,
    /// Its sequence number as it stands in the segment.
    pub seq_raw: SeqNumber,
    /// Its acknowledgment number as it stands in the segment; `None` without ACK.
    pub ack_raw: Option<SeqNumber>,
}

/// How far the three segments that open a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// UDP has none.
    None,
    /// The capture began later.
    NotSeen,
    /// A SYN, and no answer (yet).
    Unanswered,
    /// A RST answered the SYN, or an ICMP message did.
    Refused,
    /// SYN and SYN, ACK were seen, the third segment not (yet).
    Half,
    /// All three, each acknowledging the number after the other's.
    Complete,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Not, as far as was seen. UDP never does.
    Open,
    /// One side said it has no more to say.
    Half {
        /// Who.
        by: Role,
    },
    /// Both sides did.
    Both {
        /// Who said so first.
        first: Role,
    },
    /// A RST cut it off.
    Reset {
        /// Who sent it.
        by: Role,
    },
}

/// What one side sent, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments or datagrams.
    pub packets: u64,
    /// Octets of text (payload), each counted once however often it was sent; missing ones not counted.
    pub octets: u64,
    /// Octets that were sent but are not in the capture.
    pub missing: u64,
    /// Messages (see [`Message`]).
    pub messages: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Segments that were overtaken.
    pub out_of_order: u64,
    /// Acknowledgments that asked for the same octet again.
    pub duplicate_acks: u64,
    /// Times the window was closed.
    pub zero_windows: u64,
    /// Messages by what they look like, indexed by [`TextKind::index`].
    pub kinds: [u32; TextKind::COUNT],
}

/// UDP requests and replies, paired in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// Datagrams from the client.
    pub requests: u64,
    /// Of these, how many got a datagram back.
    pub answered: u64,
}

/// Everything known about one conversation so far.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Its number, from 0, in the order in which conversations began.
    pub id: u32,
    /// Where it is remembered: a small number, so what is kept about it can have its place in an array. Another
    /// conversation gets it when nothing more will be told about this one.
    pub place: u32,
    /// TCP or UDP.
    pub transport: Transport,
    /// The client's end.
    pub client: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// How the two were told apart.
    pub roles_from: RolesFrom,
    /// The number of its first frame.
    pub first_number: u64,
    /// When its first frame was seen.
    pub first: Timestamp,
    /// When its last frame was seen.
    pub last: Timestamp,
    /// The number of its last frame.
    pub last_number: u64,
    /// How far the handshake got.
    pub handshake: Handshake,
    /// The segments of the handshake, as far as they were seen.
    pub opening: [Option<HandshakeSegment>; 3],
    /// How it ended.
    pub close: Close,
    /// Where each side stands (RFC 9293 §3.3.2), indexed by [`Direction::index`] of what it sends.
    pub states: [State; 2],
    /// The first sequence number of each side; the base of relative numbers.
    pub bases: [Option<SeqNumber>; 2],
    /// What each side sent.
    pub sent: [Tally; 2],
    /// What ICMP said about it, if it did.
    pub unreachable: Option<UnreachableReason>,
    /// For UDP.
    pub exchanges: Exchanges,
}

impl Conversation {
    /// The address of one part.
    pub fn end(&self, role: Role) -> SocketAddr {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    /// What this part sent.
    pub fn tally(&self, role: Role) -> &Tally {
        &self.sent[role.sends().index()]
    }

    /// Whether the connection is over at both ends: refused, reset, or closed by both and everything acknowledged
    /// (RFC 9293 §3.6). Segments may still be late.
    pub fn is_over(&self) -> bool {
        let has_ended = matches!(self.close, Close::Both { .. } | Close::Reset { .. })
            || self.handshake == Handshake::Refused;
        let is_gone = |state: &State| matches!(state, State::Closed | State::TimeWait);
        self.transport == Transport::Tcp && has_ended && self.states.iter().all(is_gone)
    }

    /// Messages of both sides.
    pub fn messages(&self) -> u64 {
        self.sent.iter().map(|tally| tally.messages).sum()
    }

    /// Whether everybody at both ends is on this machine, through its loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.client.ip().to_canonical().is_loopback()
            || self.client.ip().to_canonical() == self.server.ip().to_canonical()
    }
}

/// What kind of thing a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A TCP segment.
    Segment(SegmentFacts),
    /// A UDP datagram.
    Datagram,
    /// An ICMP message about the conversation, going the way it went.
    Unreachable(UnreachableReason),
}

/// A segment's numbers, raw and relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The control bits.
    pub flags: Flags,
    /// As it stands in the segment.
    pub seq_raw: SeqNumber,
    /// As it stands in the segment; means something only with ACK.
    pub ack_raw: SeqNumber,
    /// Counted from the sender's first number, and on beyond 2³²; negative for octets from before the capture.
    pub seq: i64,
    /// Counted from the peer's first number; `None` without ACK, or when that is not known.
    pub ack: Option<i64>,
    /// The window in octets, scaled where the scale is known (RFC 7323 §2).
    pub window: u32,
}

/// One segment, datagram or ICMP message of a conversation, explained.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The number of its frame.
    pub number: u64,
    /// When it was seen.
    pub time: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// Where it came from: the conversation's end, or whoever sent the ICMP message (port 0).
    pub src: SocketAddr,
    /// Where it went.
    pub dst: SocketAddr,
    /// What it is.
    pub kind: StepKind,
    /// The octets it carries, as far as captured.
    pub payload: &'a [u8],
    /// How many it carried on the wire.
    pub payload_len: u32,
    /// What they look like.
    pub payload_kind: TextKind,
    /// What there is to say about it.
    pub notes: Notes,
    /// The messages that are complete with it, in order. One of the other direction, which this step ended, comes
    /// first.
    pub messages: &'a [Message<'a>],
}

/// What one side said in one go.
///
/// TCP has no messages (RFC 9293 §2.2); what one `send` gave to the system nearly always ends with a segment
/// that has PSH, so octets are gathered in order until a PSH, until the other side speaks, or until the side has no
/// more to say. With UDP every datagram is one.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// The number of the frame with its first octet.
    pub first_number: u64,
    /// The number of the frame that completed it.
    pub last_number: u64,
    /// When it was complete.
    pub time: Timestamp,
    /// Its octets.
    pub octets: &'a [u8],
    /// How many octets the capture does not have, which come after these.
    pub missing: u64,
    /// Whether more of it follows: it was too long to be kept in one piece.
    pub continues: bool,
    /// What it looks like.
    pub kind: TextKind,
}

/// Who is told what was found.
pub trait Sink {
    /// The next segment, datagram or ICMP message, in the order of the capture.
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>);

    /// Messages that are complete although no further segment came: at the end, or after a pause.
    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]);

    /// Nothing more will be told about this conversation.
    fn retired(&mut self, conversation: &Conversation);
}
