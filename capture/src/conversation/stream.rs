//! One direction of a connection: which octets are new, which were seen before, which are missing; and the messages
//! they form.
//!
//! Offsets count octets from the sender's first sequence number, in 64 bits, so they do not wrap: the SYN is at 0, the
//! first octet of text at 1, as Wireshark's relative numbers are. Where the capture begins in the middle of a
//! connection, the first octet seen gets 1.

use super::seq::SeqNumber;
use crate::time::Timestamp;
use std::ops::Range;

/// Octets of one message that are gathered at most; a longer one is told in parts.
pub const MOST_GATHERED: usize = 64 << 10;
/// Octets of one direction that wait behind a gap at most.
const MOST_WAITING: usize = 1 << 20;
/// Segments of one direction that wait behind a gap at most.
const MOST_WAITING_SEGMENTS: usize = 1_024;
/// What is added to the octets of a segment that waits, so that very small ones are not free.
const WAITING_OVERHEAD: usize = 64;
/// A hole that was there for so long was filled by a retransmission, not by a segment that was overtaken. The smallest
/// retransmission timeout in use is 200 ms (RFC 6298 §2.4 asks for a whole second).
const OVERTAKEN_FOR: i64 = 100_000_000;
/// How long an acknowledged hole is waited for: its octets did arrive, but not in the capture.
const ACKNOWLEDGED_FOR: i64 = 200_000_000;

/// What a segment brings to its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// What was expected next.
    Next,
    /// Nothing: all of it was there.
    Repeated,
    /// It lies behind a gap; so many octets before it were not seen by then (0 when it adjoins what waits already).
    Early(u64),
    /// It fills a hole after being overtaken.
    FillsOvertaken,
    /// It fills a hole that it could only fill by having been sent again.
    FillsLost,
}

/// A message that is complete, as ranges: its octets are in the payload of the current segment or in the scratch space.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) first_number: u64,
    pub(super) last_number: u64,
    pub(super) time: Timestamp,
    pub(super) place: Place,
    pub(super) missing: u64,
    pub(super) continues: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Payload(Range<usize>),
    Scratch(Range<usize>),
}

/// Where messages are put that are complete. One for all conversations, emptied for each segment.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) ready: Vec<(super::Direction, Ready)>,
    pub(super) scratch: Vec<u8>,
    /// Octets kept by all streams together, and how many that may be.
    pub(super) kept: usize,
    pub(super) most_kept: usize,
}

impl Outbox {
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.scratch.clear();
    }
}

/// A segment that lies behind a gap.
#[derive(Debug)]
struct Waiting {
    start: i64,
    /// Octets on the wire; the captured ones may be fewer.
    len: u32,
    octets: Box<[u8]>,
    number: u64,
    push: bool,
}

impl Waiting {
    fn end(&self) -> i64 {
        self.start + i64::from(self.len)
    }

    fn cost(&self) -> usize {
        self.octets.len() + WAITING_OVERHEAD
    }
}

/// A stretch of payload as it comes in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// The offset of its first octet.
    pub(super) start: i64,
    pub(super) octets: &'a [u8],
    /// Octets on the wire.
    pub(super) len: u32,
    pub(super) number: u64,
    pub(super) time: Timestamp,
    pub(super) push: bool,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Stream {
    direction: super::Direction,
    base: Option<SeqNumber>,
    /// The offset that is expected next.
    pub(super) next: i64,
    /// The end of the furthest octet seen.
    pub(super) highest: i64,
    waiting: Vec<Waiting>,
    waiting_octets: usize,
    gap_since: Timestamp,
    /// How far the peer acknowledged.
    pub(super) acknowledged: i64,
    /// Acknowledgments in a row that repeat `acknowledged`.
    pub(super) duplicate_acks: u32,
    /// The offset of the FIN.
    pub(super) fin: Option<i64>,
    /// The octets of a message whose end has not come.
    held: Vec<u8>,
    held_first: u64,
    held_last: u64,
    /// Octets told in order, and octets that were given up.
    pub(super) told: u64,
    pub(super) missing: u64,
}

impl Stream {
    pub(super) fn new(direction: super::Direction) -> Self {
        Stream {
            direction,
            base: None,
            next: 0,
            highest: 0,
            waiting: Vec::new(),
            waiting_octets: 0,
            gap_since: Timestamp::default(),
            acknowledged: 0,
            duplicate_acks: 0,
            fin: None,
            held: Vec::new(),
            held_first: 0,
            held_last: 0,
            told: 0,
            missing: 0,
        }
    }

    pub(super) fn base(&self) -> Option<SeqNumber> {
        self.base
    }

    /// The first number is known from a SYN (or from the acknowledgment of one): offsets begin there.
    pub(super) fn begin_with_syn(&mut self, isn: SeqNumber) {
        self.base = Some(isn);
    }

    /// The capture begins in the middle: `first` is the first number heard of, and gets offset 1.
    pub(super) fn begin_late(&mut self, first: SeqNumber) {
        self.base = Some(first.minus(1));
        self.next = 1;
        self.highest = 1;
        self.acknowledged = 1;
    }

    /// The offset that a number stands for: of all that differ by 2³², the one nearest to what is expected next.
    pub(super) fn offset(&self, seq: SeqNumber) -> Option<i64> {
        let base = self.base?;
        // Only the lowest 32 bits matter here.
        let expected = base.plus(self.next as u32);
        Some(self.next + i64::from(seq.distance_from(expected)))
    }

    /// Notes a SYN or FIN, which takes a number without being an octet.
    pub(super) fn take_control(&mut self, at: i64) {
        if self.next == at {
            self.next = at + 1;
        }
        self.highest = self.highest.max(at + 1);
    }

    /// Whether all numbers in the range were seen.
    pub(super) fn has_seen(&self, mut start: i64, end: i64) -> bool {
        start = start.max(self.next);
        for waiting in &self.waiting {
            if start >= end || waiting.start > start {
                break;
            }
            start = start.max(waiting.end());
        }
        start >= end
    }

    /// Whether octets wait behind a gap.
    pub(super) fn has_gap(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes in payload. What is in order by then is gathered into messages in the outbox.
    pub(super) fn take(&mut self, arrival: &Arrival<'_>, outbox: &mut Outbox) -> News {
        let end = arrival.start + i64::from(arrival.len);
        if arrival.start == self.next && self.waiting.is_empty() {
            self.highest = self.highest.max(end);
            self.next = end;
            self.tell(arrival, 0, outbox);
            return News::Next;
        }
        if self.has_seen(arrival.start, end) {
            return News::Repeated;
        }
        let had_gap = self.has_gap();
        let news = if arrival.start > self.next {
            let unseen = (arrival.start - self.highest).max(0) as u64;
            let fills = arrival.start < self.highest;
            if !had_gap {
                self.gap_since = arrival.time;
            }
            self.keep(arrival, outbox);
            if fills {
                self.filling(arrival.time)
            } else {
                News::Early(unseen)
            }
        } else {
            let skip = (self.next - arrival.start) as usize;
            self.next = end;
            self.tell(arrival, skip, outbox);
            self.tell_waiting(arrival.number, arrival.time, outbox);
            if had_gap {
                let news = self.filling(arrival.time);
                self.gap_since = arrival.time;
                news
            } else {
                News::Next
            }
        };
        self.highest = self.highest.max(end);
        news
    }

    fn filling(&self, now: Timestamp) -> News {
        if self.duplicate_acks >= 3 || now.nanos_since(self.gap_since) >= OVERTAKEN_FOR {
            News::FillsLost
        } else {
            News::FillsOvertaken
        }
    }

    /// Puts payload from behind a gap aside, as far as it is not there yet.
    fn keep(&mut self, arrival: &Arrival<'_>, outbox: &mut Outbox) {
        let end = arrival.start + i64::from(arrival.len);
        let mut start = arrival.start;
        let mut place = self
            .waiting
            .partition_point(|waiting| waiting.end() <= start);
        while start < end {
            let next = self.waiting.get(place);
            let stop = next.map_or(end, |waiting| waiting.start.min(end));
            if stop > start {
                let from = (start - arrival.start) as usize;
                let to = (stop - arrival.start) as usize;
                let captured = arrival.octets.len();
                let waiting = Waiting {
                    start,
                    len: (stop - start) as u32,
                    octets: arrival.octets[from.min(captured)..to.min(captured)].into(),
                    number: arrival.number,
                    push: arrival.push && stop == end,
                };
                self.waiting_octets += waiting.cost();
                outbox.kept += waiting.cost();
                self.waiting.insert(place, waiting);
                place += 1;
            }
            match self.waiting.get(place) {
                Some(waiting) => {
                    start = stop.max(waiting.end());
                    place += 1;
                }
                None => break,
            }
        }
    }

    /// Whether more waits than is kept.
    pub(super) fn is_overfull(&self, outbox: &Outbox) -> bool {
        self.waiting_octets > MOST_WAITING
            || self.waiting.len() > MOST_WAITING_SEGMENTS
            || (outbox.kept > outbox.most_kept && !self.waiting.is_empty())
    }

    /// Whether the hole in front of what waits was acknowledged long enough ago to be given up.
    pub(super) fn is_hole_acknowledged(&self, now: Timestamp) -> bool {
        !self.waiting.is_empty()
            && self.acknowledged > self.next
            && now.nanos_since(self.gap_since) >= ACKNOWLEDGED_FOR
    }

    /// [`Self::is_hole_acknowledged`] when nothing more is waited for.
    pub(super) fn is_hole_acknowledged_at_all(&self) -> bool {
        !self.waiting.is_empty() && self.acknowledged > self.next
    }

    /// Gives up the hole in front of what waits, and tells what comes after it. Returns the octets given up.
    pub(super) fn give_up_hole(
        &mut self,
        number: u64,
        time: Timestamp,
        outbox: &mut Outbox,
    ) -> u64 {
        let Some(first) = self.waiting.first() else {
            return 0;
        };
        let octets = (first.start - self.next).max(0) as u64;
        self.next = self.next.max(first.start);
        self.gap_since = time;
        self.lose(octets, number, time, outbox);
        self.tell_waiting(number, time, outbox);
        octets
    }

    /// Gives up every hole: nothing more will come.
    pub(super) fn give_up_all(&mut self, number: u64, time: Timestamp, outbox: &mut Outbox) {
        while self.has_gap() {
            self.give_up_hole(number, time, outbox);
        }
        // Acknowledged, so it was sent. A single number may as well be that of a FIN that was not captured.
        let unseen = self.acknowledged - self.next;
        if unseen > 1 && self.base.is_some() {
            self.next += unseen;
            self.lose(unseen as u64, number, time, outbox);
        }
        self.end_message(time, outbox);
    }

    /// Tells what waited and is in order now.
    fn tell_waiting(&mut self, number: u64, time: Timestamp, outbox: &mut Outbox) {
        let count = self.waiting.iter().scan(self.next, |next, waiting| {
            let ready = waiting.start <= *next;
            *next = (*next).max(waiting.end());
            Some(ready)
        });
        let count = count.take_while(|&ready| ready).count();
        if count == 0 {
            return;
        }
        for waiting in self.waiting.drain(..count).collect::<Vec<_>>() {
            self.waiting_octets -= waiting.cost();
            outbox.kept -= waiting.cost();
            let skip = (self.next - waiting.start) as usize;
            if skip >= waiting.len as usize {
                continue;
            }
            self.next = waiting.end();
            let captured = &waiting.octets[skip.min(waiting.octets.len())..];
            let not_captured = waiting.len as usize - skip - captured.len();
            let is_last = waiting.push && not_captured == 0;
            self.hold(captured, waiting.number, number, time, is_last, outbox);
            if not_captured > 0 {
                self.lose(not_captured as u64, number, time, outbox);
            }
        }
    }

    /// Tells payload that is in order, from its octet `skip` on.
    fn tell(&mut self, arrival: &Arrival<'_>, skip: usize, outbox: &mut Outbox) {
        let captured = arrival.octets.len();
        let from = skip.min(captured);
        let not_captured = arrival.len as usize - skip.max(captured).min(arrival.len as usize);
        if arrival.push && self.held.is_empty() && not_captured == 0 && captured > from {
            self.told += (captured - from) as u64;
            outbox.ready.push((
                self.direction,
                Ready {
                    first_number: arrival.number,
                    last_number: arrival.number,
                    time: arrival.time,
                    place: Place::Payload(from..captured),
                    missing: 0,
                    continues: false,
                },
            ));
            return;
        }
        self.hold(
            &arrival.octets[from..],
            arrival.number,
            arrival.number,
            arrival.time,
            arrival.push && not_captured == 0,
            outbox,
        );
        if not_captured > 0 {
            self.lose(not_captured as u64, arrival.number, arrival.time, outbox);
        }
    }

    /// Adds octets to the message that is being gathered.
    fn hold(
        &mut self,
        mut octets: &[u8],
        first_number: u64,
        number: u64,
        time: Timestamp,
        is_last: bool,
        outbox: &mut Outbox,
    ) {
        self.told += octets.len() as u64;
        loop {
            if self.held.is_empty() {
                self.held_first = first_number;
            }
            self.held_last = number;
            let part = octets.len().min(MOST_GATHERED - self.held.len());
            self.held.extend_from_slice(&octets[..part]);
            outbox.kept += part;
            octets = &octets[part..];
            if octets.is_empty() {
                break;
            }
            self.send_held(0, true, time, outbox);
        }
        if is_last {
            self.send_held(0, false, time, outbox);
        } else if self.held.len() == MOST_GATHERED || outbox.kept > outbox.most_kept {
            self.send_held(0, true, time, outbox);
        }
    }

    fn lose(&mut self, octets: u64, number: u64, time: Timestamp, outbox: &mut Outbox) {
        if octets == 0 {
            return;
        }
        self.missing += octets;
        if self.held.is_empty() {
            self.held_first = number;
            self.held_last = number;
        }
        self.send_held(octets, false, time, outbox);
    }

    /// The message that is being gathered ends here.
    pub(super) fn end_message(&mut self, time: Timestamp, outbox: &mut Outbox) {
        if !self.held.is_empty() {
            self.send_held(0, false, time, outbox);
        }
    }

    fn send_held(&mut self, missing: u64, continues: bool, time: Timestamp, outbox: &mut Outbox) {
        let start = outbox.scratch.len();
        outbox.scratch.extend_from_slice(&self.held);
        outbox.kept -= self.held.len();
        outbox.ready.push((
            self.direction,
            Ready {
                first_number: self.held_first,
                last_number: self.held_last,
                time,
                place: Place::Scratch(start..outbox.scratch.len()),
                missing,
                continues,
            },
        ));
        // The space of a long message is given back.
        self.held = Vec::new();
    }

    /// Forgets what is kept, for the outbox's account.
    pub(super) fn forget(&mut self, outbox: &mut Outbox) {
        outbox.kept -= self.waiting_octets + self.held.len();
        self.waiting.clear();
        self.waiting_octets = 0;
        self.held = Vec::new();
    }
}
