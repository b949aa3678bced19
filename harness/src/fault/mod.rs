//! Bad networks: what the wire may do to what crosses it, counted and never left to chance.
//!
//! [`Fault`] is the vocabulary of scenario files, [`Meddling`] what became of it. [`decider`] decides, [`switch`] does it
//! to frames, [`frame`] cuts, joins and writes them. Everything here is a function of octets, counts and the present
//! time: who has frames or sockets (`stage`) asks, and waits until something is due.
//!
//! Two invariants: the same requests and replies in the same order meet the same fate, and nothing is lost, repeated or
//! changed but what a scenario asks for.

pub mod decider;
pub mod frame;
pub mod switch;

pub use decider::{Carried, Decider};
pub use switch::Switch;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Which way a datagram goes. Who speaks first on a pair of addresses is the client there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Request,
    /// From the server.
    Reply,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Request => "request",
            Way::Reply => "reply",
        })
    }
}

/// The n-th datagram of a way, counted from 1 since the fault was set. Between two numbers, the seed chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nth {
    /// The first it may be.
    pub least: u32,
    /// The last it may be.
    pub most: u32,
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", self.least),
            false => write!(f, "\"{}..{}\"", self.least, self.most),
        }
    }
}

/// What the wire does from now on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// One datagram is lost.
    Drop {
        /// Which way.
        way: Way,
        /// Which.
        nth: Nth,
    },
    /// One datagram arrives twice.
    Duplicate {
        /// Which way.
        way: Way,
        /// Which.
        nth: Nth,
    },
    /// One datagram is overtaken by the next one of its way; when none follows soon, it arrives after all.
    Reorder {
        /// Which way.
        way: Way,
        /// Which.
        nth: Nth,
    },
    /// One datagram takes longer.
    DelayOne {
        /// Which way.
        way: Way,
        /// Which.
        nth: Nth,
        /// How much longer.
        by: Duration,
    },
    /// Everything takes longer, each way.
    Delay {
        /// How much longer.
        by: Duration,
    },
    /// TCP: each octet arrives in a segment of its own.
    Split,
    /// TCP: what is sent within a moment arrives as one segment.
    Coalesce,
    /// TCP: the first connection over which so many octets have come, both ways together, is cut off (RST) both ways
    /// before the next octet arrives. It strikes once.
    Reset {
        /// How many.
        after: u64,
    },
    /// Nothing any more.
    Nothing,
}

/// As in a scenario file.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Drop { way, nth } => write!(f, "drop {way}={nth}"),
            Fault::Duplicate { way, nth } => write!(f, "duplicate {way}={nth}"),
            Fault::Reorder { way, nth } => write!(f, "reorder {way}={nth}"),
            Fault::DelayOne { way, nth, by } => {
                write!(f, "delay {way}={nth} by={}", by.as_secs_f64())
            }
            Fault::Delay { by } => write!(f, "delay by={}", by.as_secs_f64()),
            Fault::Split => f.write_str("split"),
            Fault::Coalesce => f.write_str("coalesce"),
            Fault::Reset { after } => write!(f, "reset after={after}"),
            Fault::Nothing => f.write_str("none"),
        }
    }
}

impl Fault {
    /// The datagram it concerns, where it concerns one.
    pub fn nth_mut(&mut self) -> Option<&mut Nth> {
        match self {
            Fault::Drop { nth, .. }
            | Fault::Duplicate { nth, .. }
            | Fault::Reorder { nth, .. }
            | Fault::DelayOne { nth, .. } => Some(nth),
            Fault::Delay { .. }
            | Fault::Split
            | Fault::Coalesce
            | Fault::Reset { .. }
            | Fault::Nothing => None,
        }
    }
}

/// What became of something that crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Meddling {
    /// It was lost.
    Dropped,
    /// It arrived twice.
    Duplicated,
    /// The next one arrived before it.
    Overtaken,
    /// It arrived later.
    Delayed {
        /// How much later (µs).
        by_us: u64,
    },
    /// It arrived in pieces.
    Split {
        /// How many.
        pieces: u32,
    },
    /// It arrived together with what was sent before it.
    Joined {
        /// How many segments became one.
        segments: u32,
    },
    /// Its connection was cut off when it came.
    Reset,
}

impl Meddling {
    /// It arrived later by so much; nothing special when that is nothing.
    pub fn delayed(by: Duration) -> Option<Self> {
        let by_us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        (by_us > 0).then_some(Meddling::Delayed { by_us })
    }
}

/// After "it" or what it was: `was lost`.
impl fmt::Display for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Meddling::Dropped => f.write_str("was lost"),
            Meddling::Duplicated => f.write_str("arrived twice"),
            Meddling::Overtaken => f.write_str("was overtaken by the next one"),
            Meddling::Delayed { by_us } => write!(f, "arrived {} ms later", by_us / 1000),
            Meddling::Split { pieces } => write!(f, "arrived in {pieces} pieces"),
            Meddling::Joined { segments } => {
                write!(f, "arrived as one with {} before it", segments - 1)
            }
            Meddling::Reset => f.write_str("met a connection that is cut off"),
        }
    }
}
