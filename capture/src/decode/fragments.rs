//! Datagrams that came in fragments, until all of one are there (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! The octets are put together by [`IpDefragBuf`] of etherparse. Its pool is not used: it has no limit, cannot say
//! how many frames went into a datagram, and takes the octets of the later fragment where two contradict each
//! other. Here a datagram is given up in that case (RFC 5722 §3), when it is not complete after 30 seconds of the
//! capture's time, and when so many are unfinished that memory would grow.

use super::Problem;
use crate::time::Timestamp;
use etherparse::defrag::{IpDefragBuf, IpDefragError};
use etherparse::{IpFragOffset, IpNumber};
use std::collections::HashMap;
use std::net::IpAddr;

/// So many datagrams are waited for at a time; the oldest goes first.
const MAX_DATAGRAMS: usize = 256;
/// So many octets of memory they may take together.
const MAX_OCTETS: usize = 4 << 20;
/// So many separate pieces of one datagram; a sender's fragments come in order, or nearly.
const MAX_PIECES: usize = 128;
/// After so long the rest will not come: what Linux waits (RFC 791 §3.2 suggests 15 seconds, RFC 8200 §4.5 asks for
/// 60).
const LIFETIME_NANOS: i64 = 30_000_000_000;

/// Which datagram a fragment is part of (RFC 791 §2.3, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DatagramId {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) identification: u32,
    /// For IPv4; 0 for IPv6, where only the first fragment's next header counts.
    pub(super) protocol: u8,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) id: DatagramId,
    pub(super) protocol: u8,
    pub(super) offset: IpFragOffset,
    pub(super) more: bool,
    pub(super) octets: &'a [u8],
}

/// A datagram that is complete: what comes after the IP header, or after the fragment header.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) protocol: u8,
    pub(super) octets: Vec<u8>,
    pub(super) fragments: u16,
}

/// Datagrams of which not all fragments are there.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: HashMap<DatagramId, Waiting>,
    /// Octets of memory that all of them take.
    octets: usize,
    /// How many datagrams began, which tells the older of two.
    begun: u64,
    /// Frames of datagrams that were given up.
    lost_frames: u64,
    swept: Timestamp,
}

#[derive(Debug)]
struct Waiting {
    octets: IpDefragBuf,
    begun: u64,
    first: Timestamp,
    frames: u64,
    fragments: u16,
    protocol: u8,
}

impl Waiting {
    fn memory(&self) -> usize {
        self.octets.data().capacity() + size_of_val(self.octets.sections().as_slice())
    }

    /// Whether the fragment says something else than those before; where.
    fn contradiction(&self, fragment: &Fragment<'_>) -> Option<u32> {
        let begin = usize::from(fragment.offset.byte_offset());
        let end = begin + fragment.octets.len();
        self.octets.sections().iter().find_map(|section| {
            let (from, to) = (usize::from(section.start), usize::from(section.end));
            if !fragment.more && to > end {
                return Some(end as u32);
            }
            let overlap = from.max(begin)..to.min(end);
            if overlap.is_empty() {
                return None;
            }
            let before = self.octets.data().get(overlap.clone())?;
            let now = &fragment.octets[overlap.start - begin..overlap.end - begin];
            let differs = before.iter().zip(now).position(|(a, b)| a != b)?;
            Some((overlap.start + differs) as u32)
        })
    }

    /// Whether every octet of the fragment is there already, so that it was sent, or captured, twice.
    fn has(&self, fragment: &Fragment<'_>) -> bool {
        let begin = fragment.offset.byte_offset();
        let end = usize::from(begin) + fragment.octets.len();
        let ends = fragment.more || self.octets.end().is_some();
        ends && self
            .octets
            .sections()
            .iter()
            .any(|section| section.start <= begin && end <= usize::from(section.end))
    }
}

impl Fragments {
    /// Takes in a fragment; the datagram, when it is complete with it.
    ///
    /// # Errors
    /// When the fragment cannot be part of any datagram, or contradicts those before, whose datagram is then given
    /// up.
    pub(super) fn add(
        &mut self,
        now: Timestamp,
        fragment: &Fragment<'_>,
    ) -> Result<Option<Whole>, Problem> {
        self.sweep(now);
        let mut waiting = match self.take(&fragment.id) {
            Some(waiting) if is_alive(&waiting, now) => waiting,
            expired => {
                self.lose(expired);
                self.begun += 1;
                Waiting {
                    octets: IpDefragBuf::new(IpNumber(fragment.protocol), Vec::new(), Vec::new()),
                    begun: self.begun,
                    first: now,
                    frames: 0,
                    fragments: 0,
                    protocol: fragment.protocol,
                }
            }
        };
        if let Some(octet) = waiting.contradiction(fragment) {
            self.lose(Some(waiting));
            return Err(Problem::FragmentsDiffer(octet));
        }
        let repeated = waiting.has(fragment);
        let added = waiting
            .octets
            .add(fragment.offset, fragment.more, fragment.octets);
        if let Err(error) = added {
            if matches!(error, IpDefragError::ConflictingEnd { .. }) {
                self.lose(Some(waiting));
            } else if waiting.frames > 0 {
                self.keep(fragment.id, waiting);
            }
            return Err(problem(&error));
        }
        waiting.frames += 1;
        waiting.fragments = waiting.fragments.saturating_add(u16::from(!repeated));
        if fragment.offset.value() == 0 {
            waiting.protocol = fragment.protocol;
        }
        if waiting.octets.is_complete() {
            let (octets, _) = waiting.octets.take_bufs();
            return Ok(Some(Whole {
                protocol: waiting.protocol,
                octets,
                fragments: waiting.fragments,
            }));
        }
        if waiting.octets.sections().len() > MAX_PIECES {
            self.lose(Some(waiting));
        } else {
            self.make_room(waiting.memory());
            self.keep(fragment.id, waiting);
        }
        Ok(None)
    }

    /// Nothing more comes: how many frames held fragments of datagrams that never became complete.
    pub(super) fn finish(&mut self) -> u64 {
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            self.lose(Some(waiting));
        }
        self.octets = 0;
        std::mem::take(&mut self.lost_frames)
    }

    /// Octets of memory that unfinished datagrams take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let memory = self.waiting.values().map(Waiting::memory).sum();
        assert_eq!(self.octets, memory, "what is counted is what is there");
        memory
    }

    fn take(&mut self, id: &DatagramId) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        self.octets -= waiting.memory();
        Some(waiting)
    }

    fn keep(&mut self, id: DatagramId, waiting: Waiting) {
        self.octets += waiting.memory();
        self.waiting.insert(id, waiting);
    }

    fn lose(&mut self, waiting: Option<Waiting>) {
        self.lost_frames += waiting.map_or(0, |waiting| waiting.frames);
    }

    /// Gives up the oldest, until there is room for one more.
    fn make_room(&mut self, octets: usize) {
        while self.waiting.len() >= MAX_DATAGRAMS || self.octets + octets > MAX_OCTETS {
            let oldest = self.waiting.iter().min_by_key(|(_, w)| w.begun);
            let Some(id) = oldest.map(|(id, _)| *id) else {
                return;
            };
            let given_up = self.take(&id);
            self.lose(given_up);
        }
    }

    /// Gives up those that are too old; looks at most once in a second of the capture's time.
    fn sweep(&mut self, now: Timestamp) {
        if now.nanos_since(self.swept).unsigned_abs() < 1_000_000_000 {
            return;
        }
        self.swept = now;
        let old = self
            .waiting
            .extract_if(|_, waiting| !is_alive(waiting, now));
        let old: Vec<_> = old.map(|(_, waiting)| waiting).collect();
        for waiting in old {
            self.octets -= waiting.memory();
            self.lose(Some(waiting));
        }
    }
}

/// A clock that went back makes nothing old.
fn is_alive(waiting: &Waiting, now: Timestamp) -> bool {
    now.nanos_since(waiting.first) <= LIFETIME_NANOS
}

fn problem(error: &IpDefragError) -> Problem {
    let (field, value) = match *error {
        IpDefragError::UnalignedFragmentPayloadLen { payload_len, .. } => (
            "the length of a fragment that is not the last",
            payload_len as u64,
        ),
        IpDefragError::SegmentTooBig { offset, .. } => {
            ("the fragment offset", u64::from(offset.byte_offset()))
        }
        IpDefragError::ConflictingEnd {
            conflicting_end, ..
        } => return Problem::FragmentsDiffer(u32::from(conflicting_end)),
        IpDefragError::AllocationFailure { len } => ("the length of the datagram", len as u64),
    };
    Problem::Field { field, value }
}
