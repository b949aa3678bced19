//! What there is to say about one segment or datagram beyond its header: a closed list.

use crate::decode::{ChecksumOf, UnreachableReason};
use std::fmt;

/// One remark. Its [`Display`](fmt::Display) form is what views and the JSON lines show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// One of the three segments that open a connection: 1, 2 or 3 (RFC 9293 §3.5).
    Handshake(u8),
    /// The acknowledgment is not the number after the SYN's, as it has to be.
    HandshakeMismatch,
    /// The same addresses and ports as an earlier conversation.
    PortReused,
    /// The capture began when the connection was already open: no handshake is claimed.
    JoinedLate,
    /// Everything in it was seen before.
    Retransmission,
    /// It fills a hole that was there for so long, or was asked for so often, that it must have been sent again.
    RetransmissionAfterLoss,
    /// It was overtaken by later ones: it fills a hole.
    OutOfOrder,
    /// So many octets before it have not been seen yet.
    GapBefore(u64),
    /// Octets the receiver acknowledged but the capture does not have.
    NotCaptured(u64),
    /// More octets waited for a gap to be filled than are kept: the gap was given up.
    BufferFull,
    /// The n-th acknowledgment in a row that asks for the same octet (RFC 5681 §2).
    DuplicateAck(u32),
    /// The receiver cannot take any more (RFC 9293 §3.8.6.1).
    ZeroWindow,
    /// The receiver can take some again.
    WindowOpened,
    /// An octet beyond a closed window, to hear whether it has opened (RFC 9293 §3.8.6.1).
    WindowProbe,
    /// An octet, or none, from before what comes next, to hear whether the peer is there (RFC 9293 §3.8.4).
    KeepAlive,
    /// A RST: the connection is cut off (RFC 9293 §3.5.2).
    Reset,
    /// A RST that answers a SYN: nobody listens there.
    Refused,
    /// A FIN: the first one, or the second (RFC 9293 §3.6).
    Teardown(u8),
    /// Octets that come after the sender's own FIN, or after the connection is over.
    AfterClose,
    /// Which datagram it answers, by the number of its frame, and after how many nanoseconds.
    ReplyTo {
        /// The number of the frame with the request.
        number: u64,
        /// Nanoseconds from the request to here.
        nanos: u64,
    },
    /// An ICMP message: what was sent could not be delivered.
    Unreachable(UnreachableReason),
    /// Put together from so many fragments.
    Reassembled(u16),
    /// The capture kept only the first octets of the payload.
    Cut {
        /// Octets kept.
        had: u32,
        /// Octets on the wire.
        of: u32,
    },
    /// A checksum that is wrong, where checksum offload cannot be the reason.
    WrongChecksum(ChecksumOf),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Note::Handshake(step) => write!(f, "handshake {step}/3"),
            Note::HandshakeMismatch => {
                f.write_str("acknowledges another number than the SYN's + 1")
            }
            Note::PortReused => f.write_str("a new connection between the same ports"),
            Note::JoinedLate => f.write_str("joined late: the beginning was not captured"),
            Note::Retransmission => f.write_str("retransmission"),
            Note::RetransmissionAfterLoss => f.write_str("retransmission, fills a gap"),
            Note::OutOfOrder => f.write_str("out of order, fills a gap"),
            Note::GapBefore(octets) => write!(f, "gap of {octets} octets before"),
            Note::NotCaptured(octets) => write!(f, "{octets} octets not captured"),
            Note::BufferFull => f.write_str("too much waits behind a gap: the gap is given up"),
            Note::DuplicateAck(nth) => write!(f, "duplicate ACK {nth}"),
            Note::ZeroWindow => f.write_str("zero window"),
            Note::WindowOpened => f.write_str("window open again"),
            Note::WindowProbe => f.write_str("zero-window probe"),
            Note::KeepAlive => f.write_str("keep-alive"),
            Note::Reset => f.write_str("reset"),
            Note::Refused => f.write_str("refused"),
            Note::Teardown(nth) => write!(f, "FIN {nth}/2"),
            Note::AfterClose => f.write_str("after the end"),
            Note::ReplyTo { number, nanos } => {
                write!(f, "reply to {number} after {}", Milliseconds(nanos))
            }
            Note::Unreachable(reason) => f.write_str(match reason {
                UnreachableReason::Port => "port unreachable",
                UnreachableReason::Host => "host unreachable",
                UnreachableReason::Network => "network unreachable",
                UnreachableReason::Prohibited => "prohibited by a filter",
                UnreachableReason::Other(code) => return write!(f, "unreachable, code {code}"),
            }),
            Note::Reassembled(count) => write!(f, "reassembled from {count} fragments"),
            Note::Cut { had, of } => write!(f, "cut by the capture ({had} of {of} octets)"),
            Note::WrongChecksum(of) => f.write_str(match of {
                ChecksumOf::Ip => "wrong IP checksum",
                ChecksumOf::Tcp => "wrong TCP checksum",
                ChecksumOf::Udp => "wrong UDP checksum",
            }),
        }
    }
}

/// Nanoseconds, shown as `0.123 ms`.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

/// The remarks on one step: a few at most, in the order in which they were made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notes {
    notes: [Option<Note>; Notes::MOST],
    len: usize,
}

impl Notes {
    /// A step can have this many; further ones are less important and dropped.
    pub const MOST: usize = 5;

    /// Adds one.
    pub fn push(&mut self, note: Note) {
        if let Some(place) = self.notes.get_mut(self.len) {
            *place = Some(note);
            self.len += 1;
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Note> + '_ {
        self.notes[..self.len].iter().flatten().copied()
    }

    /// Whether this one is among them.
    pub fn has(&self, note: Note) -> bool {
        self.iter().any(|other| other == note)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
