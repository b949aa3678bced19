//! The first half of the line: what is in a frame, is it the lab's, and if not, why not.

use super::Counts;
use crate::decode::{Decoder, Filtered, Outcome, Packet, PortFilter};
use crate::frame::Frame;
use std::collections::BTreeMap;

/// Different reasons that are told apart; more are counted together.
const MOST_REASONS: usize = 64;

/// Decodes frames, and counts those that go no further.
pub(super) struct Intake {
    decoder: Decoder,
    /// Most frames of a busy machine are one of these two, so they have a place of their own.
    tcp_elsewhere: u64,
    udp_elsewhere: u64,
    filtered: BTreeMap<Filtered, u64>,
    counts: Counts,
}

impl Intake {
    /// For these ports, or for all.
    pub(super) fn new(ports: Option<&[u16]>) -> Self {
        Intake {
            decoder: Decoder::new(ports.map_or_else(PortFilter::all, PortFilter::only)),
            tcp_elsewhere: 0,
            udp_elsewhere: 0,
            filtered: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// What of the lab's is in a frame.
    #[inline]
    pub(super) fn take<'a>(&'a mut self, frame: &Frame<'a>) -> Option<Packet<'a>> {
        self.counts.frames += 1;
        match self.decoder.decode(frame) {
            Outcome::Lab(packet) => {
                self.counts.lab += 1;
                return Some(packet);
            }
            Outcome::Filtered(Filtered::TcpOtherPorts) => self.tcp_elsewhere += 1,
            Outcome::Filtered(Filtered::UdpOtherPorts) => self.udp_elsewhere += 1,
            Outcome::Filtered(reason) => *self.filtered.entry(reason).or_insert(0) += 1,
            Outcome::Fragment => self.counts.fragments += 1,
            Outcome::Undecoded(why) => {
                let mut reason = why.to_string();
                let known = &mut self.counts.undecoded;
                if known.len() >= MOST_REASONS && !known.contains_key(&reason) {
                    reason = "other reasons".to_owned();
                }
                known.entry(reason).or_insert((0, frame.number)).0 += 1;
            }
        }
        None
    }

    /// How many of the lab's there were.
    pub(super) fn lab(&self) -> u64 {
        self.counts.lab
    }

    /// All frames are in.
    pub(super) fn finish(mut self) -> Counts {
        let unfinished = self.decoder.finish();
        if unfinished > 0 {
            let reason = "fragments whose datagram never became complete".to_owned();
            self.counts.fragments = self.counts.fragments.saturating_sub(unfinished);
            self.counts.undecoded.insert(reason, (unfinished, 0));
        }
        for (reason, count) in [
            (Filtered::TcpOtherPorts, self.tcp_elsewhere),
            (Filtered::UdpOtherPorts, self.udp_elsewhere),
        ] {
            if count > 0 {
                self.filtered.insert(reason, count);
            }
        }
        for (reason, count) in self.filtered {
            self.counts.filtered.insert(reason.to_string(), count);
        }
        self.counts
    }
}
