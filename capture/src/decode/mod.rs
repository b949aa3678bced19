//! From a frame to a segment, a datagram or an ICMP message about one, or *why not*.
//!
//! ```text
//! Frame ──▶ link (where does IP begin?) ──▶ ports (is it the lab's?) ──▶ ip ──▶ fragments ──▶ transport ──▶ Outcome
//! ```
//!
//! Pure: octets and the current time in, values out. What cannot be decoded is never dropped silently: every
//! frame becomes exactly one [`Outcome`].

mod checksum;
mod fragments;
mod ip;
pub mod link;
mod names;
pub mod ports;
mod transport;

pub use ports::PortFilter;

use crate::conversation::{Flags, SeqNumber};
use crate::frame::Frame;
use crate::text::TextKind;
use fragments::Fragments;
use ip::{Inside, Ip, Sums};
use link::NotIp;
use std::net::SocketAddr;

/// Decodes frames, one after the other.
///
/// Remembers nothing but fragments whose datagram is not complete, and of those a few MiB at most.
#[derive(Debug)]
pub struct Decoder {
    filter: PortFilter,
    fragments: Fragments,
    /// The datagram that was put together last.
    whole: Vec<u8>,
}

impl Decoder {
    /// A decoder for which these ports are the lab's.
    pub fn new(filter: PortFilter) -> Self {
        Decoder {
            filter,
            fragments: Fragments::default(),
            whole: Vec::new(),
        }
    }

    /// From now on these ports are the lab's.
    pub fn set_filter(&mut self, filter: PortFilter) {
        self.filter = filter;
    }

    /// What became of this frame.
    ///
    /// The fragments of a datagram are [`Outcome::Fragment`] but for the one that completes it, which is what the
    /// datagram is.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Outcome<'a> {
        let start = match link::find_ip(frame) {
            Ok(start) => start,
            Err(NotIp::Filtered(why)) => return Outcome::Filtered(why),
            Err(NotIp::Undecoded(why)) => return Outcome::Undecoded(why),
        };
        if !self.filter.is_all()
            && let Some(octets) = frame.octets.get(start.offset..)
            && let Some(other) = ports::peek(&self.filter, octets)
        {
            return Outcome::Filtered(other);
        }
        let (fragment, offset) = match ip::parse(frame, start) {
            Ok(Ip::Whole(inside)) => return transport::decode(&self.filter, &inside),
            Ok(Ip::Fragment { fragment, offset }) => (fragment, offset),
            Err(why) => return Outcome::Undecoded(why),
        };
        let id = fragment.id;
        let layer = match id.src {
            std::net::IpAddr::V4(_) => Layer::Ipv4,
            std::net::IpAddr::V6(_) => Layer::Ipv6,
        };
        let undecoded = |problem| {
            Outcome::Undecoded(Undecoded {
                layer,
                offset,
                problem,
            })
        };
        let whole = match self.fragments.add(frame.time, &fragment) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Outcome::Fragment,
            Err(problem) => return undecoded(problem),
        };
        self.whole = whole.octets;
        let extensions = ip::skip_extensions(id.src.is_ipv6(), whole.protocol, &self.whole);
        let (protocol, begin) = match extensions {
            Ok(found) => found,
            Err(problem) => return undecoded(problem),
        };
        let octets = &self.whole[begin..];
        let inside = Inside {
            src: id.src,
            dst: id.dst,
            protocol,
            octets,
            len: octets.len(),
            offset,
            fragments: whole.fragments,
            sums: Sums::Unknown,
        };
        transport::decode(&self.filter, &inside)
    }

    /// Nothing more comes: how many frames were [`Outcome::Fragment`] of datagrams that never became complete.
    pub fn finish(&mut self) -> u64 {
        self.fragments.finish()
    }
}

/// What became of one frame.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// One of the lab's: on its ports, or an ICMP message about a datagram or segment that was.
    Lab(Packet<'a>),
    /// Part of an IP datagram whose other fragments are awaited.
    Fragment,
    /// Understood, and none of the lab's.
    Filtered(Filtered),
    /// Not understood, and why.
    Undecoded(Undecoded),
}

/// A segment, datagram or ICMP message with what was noticed about its frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it came from. The port is 0 for ICMP.
    pub src: SocketAddr,
    /// Where it went. The port is 0 for ICMP.
    pub dst: SocketAddr,
    /// What it is.
    pub content: Content<'a>,
    /// The octets it carries, as far as they were captured.
    pub payload: &'a [u8],
    /// How many octets it carried on the wire; more than `payload.len()` where the capture cut it short.
    pub payload_len: u32,
    /// What the payload looks like.
    pub payload_kind: TextKind,
    /// From how many fragments it was put together; 0 when it came whole (RFC 791 §3.2).
    pub fragments: u16,
    /// A checksum that is wrong in a way that checksum offload cannot explain.
    pub wrong_checksum: Option<ChecksumOf>,
}

/// Which of the three.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// TCP (RFC 9293 §3.1).
    Segment(Segment),
    /// UDP (RFC 768).
    Datagram,
    /// ICMP or ICMPv6 "destination unreachable" about an earlier segment or datagram (RFC 792, RFC 4443 §3.1).
    Unreachable(Unreachable<'a>),
}

/// The header of a TCP segment, as far as conversations need it (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The control bits.
    pub flags: Flags,
    /// The sequence number of the first octet (or of SYN).
    pub seq: SeqNumber,
    /// The next number expected from the peer; means something only with ACK.
    pub ack: SeqNumber,
    /// The window field as it stands there, not scaled.
    pub window: u16,
    /// The shift count of a window scale option (RFC 7323 §2.2).
    pub window_scale: Option<u8>,
    /// The maximum segment size option (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
}

/// What an ICMP message says could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable<'a> {
    /// The transport of what was sent.
    pub transport: Transport,
    /// Who sent it.
    pub sender: SocketAddr,
    /// Whom it was for.
    pub target: SocketAddr,
    /// Why it was not delivered.
    pub reason: UnreachableReason,
    /// The beginning of what was sent, as the message quotes it.
    pub quoted: &'a [u8],
}

/// Why something could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableReason {
    /// Nobody has this port open.
    Port,
    /// The computer does not answer.
    Host,
    /// No way there.
    Network,
    /// A filter forbids it.
    Prohibited,
    /// Another code of the message.
    Other(u8),
}

/// The two transports of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// Whose checksum it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumOf {
    /// The IPv4 header's.
    Ip,
    /// The segment's.
    Tcp,
    /// The datagram's.
    Udp,
}

/// Why an understood frame is not the lab's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filtered {
    /// TCP between other ports.
    TcpOtherPorts,
    /// UDP between other ports.
    UdpOtherPorts,
    /// ICMP or ICMPv6 that is not about the lab's ports.
    Icmp,
    /// Another protocol inside IP, by its number (e.g. 132, SCTP).
    IpProtocol(u8),
    /// Not IP at all, by its EtherType (e.g. 0x0806, ARP).
    EtherType(u16),
    /// Another protocol inside PPP, by its number (e.g. 0xc021, LCP).
    PppProtocol(u16),
    /// An IEEE 802.3 frame with a length instead of an EtherType.
    Ieee8023,
    /// A fragment without ports whose datagram was not one of the lab's or never became complete.
    Fragment,
}

/// Why a frame could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{layer} at octet {offset}: {problem}")]
pub struct Undecoded {
    /// The layer whose header is wrong.
    pub layer: Layer,
    /// Where that header begins in the frame, in octets.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Fewer octets than the header needs.
    #[error("{required} octets are needed, {had} are there{}", if *.cut { " (cut by the capture)" } else { "" })]
    TooShort {
        /// Octets the header needs.
        required: usize,
        /// Octets that are there.
        had: usize,
        /// Whether the capture, not the sender, cut it.
        cut: bool,
    },
    /// A field with a value that cannot be.
    #[error("{field} is {value}, which cannot be")]
    Field {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// Fragments of one datagram that say different things about the same octet of it.
    #[error("its fragments contradict each other from octet {0} on: the datagram is given up")]
    FragmentsDiffer(u32),
    /// A kind of link nobody taught this program.
    #[error("link type {0} is not known here")]
    UnknownLink(u32),
}

/// Layers, named as the diagnostics name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The link's own header.
    Link,
    /// RFC 791.
    Ipv4,
    /// RFC 8200, extension headers included.
    Ipv6,
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 792 and 4443.
    Icmp,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Layer::Link => "link header",
            Layer::Ipv4 => "IPv4 header",
            Layer::Ipv6 => "IPv6 header",
            Layer::Tcp => "TCP header",
            Layer::Udp => "UDP header",
            Layer::Icmp => "ICMP header",
        })
    }
}

#[cfg(test)]
mod tests;
