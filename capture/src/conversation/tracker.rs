//! Which conversation a packet belongs to, and when one is forgotten.

use super::Sink;
use crate::decode::Packet;
use crate::time::Timestamp;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Conversations at a time; the one that was silent longest goes first.
    pub conversations: usize,
    /// Octets that wait behind gaps, all conversations together.
    pub waiting_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            conversations: 16_384,
            waiting_octets: 8 << 20,
        }
    }
}

/// Finds the conversation of each packet and tells a [`Sink`] what it means there.
#[derive(Debug)]
pub struct Tracker {}

impl Tracker {
    /// A tracker that takes these ports for servers' where nothing else tells who is the client.
    pub fn new(_ports: &[u16], _limits: Limits) -> Self {
        Tracker {}
    }

    /// Takes in the next packet of the lab's.
    pub fn push(
        &mut self,
        _number: u64,
        _time: Timestamp,
        _packet: &Packet<'_>,
        _sink: &mut dyn Sink,
    ) {
    }

    /// Tells of messages whose end has not been seen: nothing came for a while, so nothing more is waited for.
    pub fn flush_messages(&mut self, _sink: &mut dyn Sink) {}

    /// Nothing more comes: tells the rest.
    pub fn finish(&mut self, _sink: &mut dyn Sink) {}
}
