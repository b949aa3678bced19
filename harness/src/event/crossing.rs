//! What crossed the wire: one segment, datagram or ICMP message, with what can be said about it.
//!
//! Segments that only acknowledge are left out, except for the one that completes a handshake: they say nothing about
//! the programs.

use super::Actor;
use crate::lab::Transport;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// One thing that crossed the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// The number of its frame in `capture.pcapng`.
    pub frame: u64,
    /// The conversation it belongs to, numbered in their order.
    pub conversation: u32,
    /// Whose socket sent it, as far as that is known.
    pub from: Option<Actor>,
    /// Whose socket it was sent to, as far as that is known.
    pub to: Option<Actor>,
    /// Where it came from.
    pub src: SocketAddr,
    /// Where it went.
    pub dst: SocketAddr,
    /// What it is.
    pub what: CrossingKind,
    /// Octets of payload on the wire.
    pub len: u32,
    /// The payload, or the beginning of it.
    #[serde(default, skip_serializing_if = "Octets::is_empty")]
    pub payload: Octets,
}

/// What kind of thing crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CrossingKind {
    /// A UDP datagram.
    Datagram,
    /// A TCP segment.
    Segment {
        /// Its control bits, as RFC 9293 §3.1 spells them.
        flags: Vec<String>,
        /// Its sequence number, counted from the sender's first.
        seq: i64,
        /// Its acknowledgment number, counted from the peer's first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ack: Option<i64>,
        /// Which of the three segments of a handshake it is (RFC 9293 §3.5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handshake: Option<u8>,
        /// Everything in it was seen before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        retransmission: bool,
        /// It answers a SYN: nobody listens there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
    },
    /// An ICMP message: what was sent could not be delivered.
    Unreachable {
        /// Why not, such as `port unreachable`.
        reason: String,
    },
}

impl Crossing {
    /// TCP or UDP; none for ICMP.
    pub fn transport(&self) -> Option<Transport> {
        match self.what {
            CrossingKind::Datagram => Some(Transport::Udp),
            CrossingKind::Segment { .. } => Some(Transport::Tcp),
            CrossingKind::Unreachable { .. } => None,
        }
    }

    /// Whether it is a segment with this control bit.
    pub fn has_flag(&self, flag: &str) -> bool {
        matches!(&self.what, CrossingKind::Segment { flags, .. } if flags.iter().any(|set| set == flag))
    }

    /// Whether it carries octets of a program's that were not seen before (an empty datagram carries nothing).
    pub fn carries(&self) -> bool {
        let new = match &self.what {
            CrossingKind::Segment { retransmission, .. } => !retransmission,
            CrossingKind::Datagram => true,
            CrossingKind::Unreachable { .. } => false,
        };
        new && self.len > 0
    }

    /// Whether not all of its payload was kept.
    pub fn is_cut(&self) -> bool {
        (self.payload.0.len() as u64) < u64::from(self.len)
    }
}

/// Octets, exactly: printable ASCII as it is, everything else (and `\`) as `\xNN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn escaped(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for octet in &self.0 {
            match octet {
                b'\\' => text.push_str("\\x5c"),
                0x20..0x7f => text.push(char::from(*octet)),
                _ => {
                    let _ = write!(text, "\\x{octet:02x}");
                }
            }
        }
        text
    }

    fn read(text: &str) -> Option<Self> {
        let mut octets = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first != b'\\' {
                octets.push(*first);
                continue;
            }
            let (digits, after) = after.strip_prefix(b"x")?.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        }
        Some(Octets(octets))
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.escaped())
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Octets::read(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "a payload has `\\` only before `x` and two hexadecimal digits",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventKind};

    #[test]
    fn a_crossing_is_read_as_it_was_written() {
        let crossing = Crossing {
            frame: 7,
            conversation: 0,
            from: Some("ada".to_owned()),
            to: None,
            src: ([127, 0, 0, 1], 50_000).into(),
            dst: ([127, 0, 0, 1], 20_001).into(),
            what: CrossingKind::Segment {
                flags: vec!["PSH".to_owned(), "ACK".to_owned()],
                seq: -3,
                ack: Some(1),
                handshake: None,
                retransmission: false,
                refused: false,
            },
            len: 4,
            payload: Octets(b"\x00\\a\xff".to_vec()),
        };
        let event = Event {
            at_us: 12,
            kind: EventKind::Crossed(crossing),
        };
        let line = serde_json::to_string(&event).expect("it can be written");
        assert!(line.contains(r#""payload":"\\x00\\x5ca\\xff""#), "{line}");
        assert_eq!(
            serde_json::from_str::<Event>(&line).expect("it can be read"),
            event
        );
    }

    proptest::proptest! {
        #[test]
        fn octets_survive_writing_and_reading(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let octets = Octets(octets);
            proptest::prop_assert_eq!(Octets::read(&octets.escaped()), Some(octets));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = Octets::read(&text);
        }
    }
}
