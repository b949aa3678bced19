//! What a segment means for its connection (RFC 9293).

use super::note::{Note, Notes};
use super::state::{Happening, State};
use super::stream::{Arrival, News, Outbox, Stream};
use super::{
    Close, Conversation, Direction, Flags, Handshake, HandshakeSegment, Role, SegmentFacts,
};
use crate::decode::{Packet, Segment};
use crate::time::Timestamp;

/// What is known about a connection beyond what views see.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) streams: [Stream; 2],
    windows: [Window; 2],
    /// A RST was seen, or both FINs were acknowledged: nothing more is expected.
    pub(super) over: bool,
}

/// How much an end is ready to take.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    scale: Option<u8>,
    /// As it stood in the last segment.
    raw: Option<u16>,
}

/// A segment on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'a> {
    pub(super) number: u64,
    pub(super) time: Timestamp,
    pub(super) direction: Direction,
    pub(super) packet: &'a Packet<'a>,
    pub(super) segment: &'a Segment,
}

impl Passing<'_> {
    /// The place of its sender in arrays with a place for each side.
    const fn own(&self) -> usize {
        self.direction.index()
    }

    /// The place of its receiver.
    const fn peers(&self) -> usize {
        self.direction.reverse().index()
    }

    /// As it is remembered when it opens a connection.
    fn opening(&self) -> HandshakeSegment {
        HandshakeSegment {
            number: self.number,
            time: self.time,
            flags: self.segment.flags,
            seq_raw: self.segment.seq,
            ack_raw: self
                .segment
                .flags
                .has(Flags::ACK)
                .then_some(self.segment.ack),
        }
    }
}

impl Tcp {
    pub(super) fn new() -> Self {
        Tcp {
            streams: [
                Stream::new(Direction::ToServer),
                Stream::new(Direction::ToClient),
            ],
            windows: [Window::default(); 2],
            over: false,
        }
    }

    /// Whether this segment can only belong to a new connection between the same ports: a SYN with another number.
    pub(super) fn is_reopened_by(&self, direction: Direction, segment: &Segment) -> bool {
        segment.flags.has(Flags::SYN)
            && !segment.flags.has_any(Flags::ACK.and(Flags::RST))
            && match self.streams[direction.index()].base() {
                Some(base) => base != segment.seq,
                // Both may open at once; otherwise the roles have changed.
                None => self.over,
            }
    }

    /// Takes in the next segment.
    pub(super) fn take(
        &mut self,
        info: &mut Conversation,
        passing: &Passing<'_>,
        outbox: &mut Outbox,
        notes: &mut Notes,
    ) -> SegmentFacts {
        let Passing {
            number,
            time,
            direction,
            packet,
            segment,
        } = *passing;
        let flags = segment.flags;
        let (own, peers) = (passing.own(), passing.peers());
        self.begin_offsets(info, passing, notes);
        let seq = self.streams[own].offset(segment.seq).unwrap_or(0);
        let ack = if flags.has(Flags::ACK) {
            self.streams[peers].offset(segment.ack)
        } else {
            None
        };
        let facts = SegmentFacts {
            flags,
            seq_raw: segment.seq,
            ack_raw: segment.ack,
            seq,
            ack,
            window: self.window(direction, segment),
        };

        for stream in &mut self.streams {
            if stream.is_hole_acknowledged(time) {
                let octets = stream.give_up_hole(number, time, outbox);
                notes.push(Note::NotCaptured(octets));
            }
        }
        if flags.has(Flags::RST) {
            self.reset(info, passing, outbox, notes);
            return facts;
        }
        if flags.has(Flags::SYN) {
            self.open(info, passing, notes);
        }
        self.take_payload(info, passing, &facts, outbox, notes);
        if let Some(ack) = ack {
            self.acknowledge(info, passing, ack, notes);
        }
        self.note_window(info, passing, notes);
        if flags.has(Flags::FIN) {
            let at = seq + i64::from(flags.has(Flags::SYN)) + i64::from(packet.payload_len);
            self.close(info, passing, (at, ack), outbox, notes);
        }
        facts
    }

    /// Finds out where each side's numbers begin.
    fn begin_offsets(&mut self, info: &mut Conversation, passing: &Passing<'_>, notes: &mut Notes) {
        let segment = passing.segment;
        let flags = segment.flags;
        let (own, peers) = (passing.own(), passing.peers());
        if self.streams[own].base().is_none() {
            if flags.has(Flags::SYN) {
                self.streams[own].begin_with_syn(segment.seq);
            } else {
                self.streams[own].begin_late(segment.seq);
                if self.streams[peers].base().is_none() {
                    notes.push(Note::JoinedLate);
                    info.states = [State::Established; 2];
                }
            }
            info.bases[own] = self.streams[own].base();
        }
        if self.streams[peers].base().is_none() && flags.has(Flags::ACK) {
            if flags.has(Flags::SYN) {
                // Its SYN was not captured, but is acknowledged here.
                self.streams[peers].begin_with_syn(segment.ack.minus(1));
                self.streams[peers].take_control(0);
            } else {
                self.streams[peers].begin_late(segment.ack);
            }
            info.bases[peers] = self.streams[peers].base();
        }
    }

    /// A SYN, with or without ACK.
    fn open(&mut self, info: &mut Conversation, passing: &Passing<'_>, notes: &mut Notes) {
        let segment = passing.segment;
        let (own, peers) = (passing.own(), passing.peers());
        let answers = segment.flags.has(Flags::ACK);
        let place = usize::from(answers);
        if let Some(earlier) = info.opening[place]
            && earlier.seq_raw == segment.seq
        {
            notes.push(Note::Retransmission);
            info.sent[own].retransmissions += 1;
            return;
        }
        self.streams[own].take_control(0);
        notes.push(Note::Handshake(1 + u8::from(answers)));
        if info.opening[place].is_none() {
            info.opening[place] = Some(passing.opening());
        }
        info.states[own] = info.states[own].after(Happening::SendsSyn);
        if answers {
            // The number after the SYN; further on when text came with it and was taken (RFC 7413).
            let taken = self.streams[peers].offset(segment.ack);
            if !taken.is_some_and(|taken| 1 <= taken && taken <= self.streams[peers].highest.max(1))
            {
                notes.push(Note::HandshakeMismatch);
                return;
            }
            info.states[own] = State::SynReceived;
            info.states[peers] = info.states[peers].after(Happening::SynAcknowledged);
            if info.opening[0].is_some() {
                info.handshake = Handshake::Half;
            }
        } else {
            info.handshake = Handshake::Unanswered;
            info.states[peers] = info.states[peers].after(Happening::ReceivesSyn);
        }
    }

    /// Text, and what its place says.
    fn take_payload(
        &mut self,
        info: &mut Conversation,
        passing: &Passing<'_>,
        facts: &SegmentFacts,
        outbox: &mut Outbox,
        notes: &mut Notes,
    ) {
        let Passing {
            number,
            time,
            packet,
            ..
        } = *passing;
        let (own, peers) = (passing.own(), passing.peers());
        let start = facts.seq + i64::from(facts.flags.has(Flags::SYN));
        let end = start + i64::from(packet.payload_len);
        let stream = &mut self.streams[own];
        let is_bare = !facts.flags.has_any(Flags::SYN.and(Flags::FIN));
        // RFC 9293 §3.8.4: the number just before the next one, with an octet or without, and acknowledged already.
        if is_bare
            && packet.payload_len <= 1
            && facts.flags.has(Flags::ACK)
            && start == stream.next - 1
            && start > 0
            && stream.acknowledged >= stream.next
            && !self.over
        {
            notes.push(Note::KeepAlive);
            return;
        }
        if packet.payload_len == 0 {
            return;
        }
        if (packet.payload.len() as u64) < u64::from(packet.payload_len) {
            notes.push(Note::Cut {
                had: packet.payload.len() as u32,
                of: packet.payload_len,
            });
        }
        if stream.fin.is_some_and(|fin| end > fin) {
            notes.push(Note::AfterClose);
            return;
        }
        // What the other side said before is complete: it is this side's turn now.
        self.streams[peers].end_message(time, outbox);
        let stream = &mut self.streams[own];
        let arrival = Arrival {
            start,
            octets: packet.payload,
            len: packet.payload_len,
            number,
            time,
            push: facts.flags.has_any(Flags::PSH.and(Flags::FIN)),
        };
        if packet.payload_len == 1 && self.windows[peers].raw == Some(0) {
            notes.push(Note::WindowProbe);
        }
        let tally = &mut info.sent[own];
        match stream.take(&arrival, outbox) {
            News::Next => {}
            News::Repeated => {
                notes.push(Note::Retransmission);
                tally.retransmissions += 1;
            }
            News::Early(0) => {}
            News::Early(octets) => notes.push(Note::GapBefore(octets)),
            News::FillsOvertaken => {
                notes.push(Note::OutOfOrder);
                tally.out_of_order += 1;
            }
            News::FillsLost => {
                notes.push(Note::RetransmissionAfterLoss);
                tally.retransmissions += 1;
            }
        }
        if stream.is_overfull(outbox) {
            notes.push(Note::BufferFull);
            while stream.is_overfull(outbox) {
                stream.give_up_hole(number, time, outbox);
            }
        }
    }

    /// What an acknowledgment says to the other direction.
    fn acknowledge(
        &mut self,
        info: &mut Conversation,
        passing: &Passing<'_>,
        ack: i64,
        notes: &mut Notes,
    ) {
        let Passing {
            direction,
            packet,
            segment,
            ..
        } = *passing;
        let (own, peers) = (passing.own(), passing.peers());
        let stream = &mut self.streams[peers];
        if ack > stream.acknowledged {
            stream.acknowledged = ack;
            stream.duplicate_acks = 0;
        } else if ack == stream.acknowledged
            && packet.payload_len == 0
            && !segment.flags.has_any(Flags::SYN.and(Flags::FIN))
            && stream.highest > ack
            && segment.window != 0
            && self.windows[own].raw == Some(segment.window)
        {
            // The five conditions of RFC 5681 §2; an answer to a window probe asks for nothing.
            stream.duplicate_acks += 1;
            notes.push(Note::DuplicateAck(stream.duplicate_acks));
            info.sent[own].duplicate_acks += 1;
        }
        if info.handshake == Handshake::Half
            && direction == Direction::ToServer
            && !segment.flags.has(Flags::SYN)
        {
            if info.bases[peers].map(|base| base.plus(1)) == Some(segment.ack) {
                info.opening[2] = Some(passing.opening());
                info.handshake = Handshake::Complete;
                notes.push(Note::Handshake(3));
                info.states[peers] = info.states[peers].after(Happening::SynAcknowledged);
            } else if ack <= 0 {
                notes.push(Note::HandshakeMismatch);
            }
        }
        if stream.fin.is_some_and(|fin| ack > fin) {
            info.states[peers] = info.states[peers].after(Happening::FinAcknowledged);
            let all = |stream: &Stream| stream.fin.is_some_and(|fin| stream.acknowledged > fin);
            self.over |= self.streams.iter().all(all);
        }
    }

    /// A FIN, whose number is `at`, in a segment that acknowledges `ack`.
    fn close(
        &mut self,
        info: &mut Conversation,
        passing: &Passing<'_>,
        (at, ack): (i64, Option<i64>),
        outbox: &mut Outbox,
        notes: &mut Notes,
    ) {
        let (own, peers) = (passing.own(), passing.peers());
        let stream = &mut self.streams[own];
        if let Some(earlier) = stream.fin {
            if earlier == at && !notes.has(Note::Retransmission) {
                notes.push(Note::Retransmission);
                info.sent[own].retransmissions += 1;
            }
            return;
        }
        stream.fin = Some(at);
        if stream.has_gap() || stream.next != at {
            stream.highest = stream.highest.max(at + 1);
        } else {
            stream.take_control(at);
            stream.end_message(passing.time, outbox);
        }
        let by = passing.direction.sender();
        let (nth, close) = match info.close {
            Close::Half { by: first } if first != by => (2, Close::Both { first }),
            Close::Open => (1, Close::Half { by }),
            other => (2, other),
        };
        info.close = close;
        notes.push(Note::Teardown(nth));
        let peers_fin = self.streams[peers].fin;
        if peers_fin.is_some_and(|fin| ack.is_none_or(|ack| ack <= fin)) {
            // It had not received the peer's FIN when it sent its own: they crossed.
            info.states[own] = State::FinWait1.after(Happening::ReceivesFin);
        } else {
            info.states[own] = info.states[own].after(Happening::SendsFin);
        }
        info.states[peers] = info.states[peers].after(Happening::ReceivesFin);
    }

    /// A RST.
    fn reset(
        &mut self,
        info: &mut Conversation,
        passing: &Passing<'_>,
        outbox: &mut Outbox,
        notes: &mut Notes,
    ) {
        let by = passing.direction.sender();
        if self.over {
            notes.push(Note::AfterClose);
        } else if info.handshake == Handshake::Unanswered && by == Role::Server {
            info.handshake = Handshake::Refused;
            notes.push(Note::Refused);
        } else {
            notes.push(Note::Reset);
            info.close = Close::Reset { by };
        }
        self.over = true;
        for stream in &mut self.streams {
            stream.end_message(passing.time, outbox);
        }
        for state in &mut info.states {
            *state = state.after(Happening::Reset);
        }
    }

    /// The window in octets (RFC 7323 §2.3: scaled in all but SYN segments, when both sides offered it).
    fn window(&mut self, direction: Direction, segment: &Segment) -> u32 {
        let own = direction.index();
        let raw = u32::from(segment.window);
        if segment.flags.has(Flags::SYN) {
            // RFC 7323 §2.3: a larger shift count counts as 14.
            self.windows[own].scale = segment.window_scale.map(|scale| scale.min(14));
            return raw;
        }
        let peers = direction.reverse().index();
        match (self.windows[own].scale, self.windows[peers].scale) {
            (Some(scale), Some(_)) => raw << scale,
            _ => raw,
        }
    }

    fn note_window(&mut self, info: &mut Conversation, passing: &Passing<'_>, notes: &mut Notes) {
        let segment = passing.segment;
        let own = passing.own();
        let before = self.windows[own].raw.replace(segment.window);
        if segment.flags.has(Flags::SYN) || !segment.flags.has(Flags::ACK) {
            return;
        }
        match (before, segment.window) {
            (_, 0) => {
                notes.push(Note::ZeroWindow);
                if before != Some(0) {
                    info.sent[own].zero_windows += 1;
                }
            }
            (Some(0), _) => notes.push(Note::WindowOpened),
            _ => {}
        }
    }

    /// Once what waited for a FIN is there, the FIN's number is taken too.
    pub(super) fn settle_fins(&mut self, time: Timestamp, outbox: &mut Outbox) {
        for stream in &mut self.streams {
            if let Some(fin) = stream.fin
                && stream.next == fin
            {
                stream.take_control(fin);
                stream.end_message(time, outbox);
            }
        }
    }
}
