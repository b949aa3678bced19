//! Hands frames on, as a switch between two computers does, except where a fault says otherwise.
//!
//! Pure: frames and the present time in, frames that are due out. It has one port for a cable that leads back to where it
//! comes from, two for a cable between two computers. Nothing of a TCP connection overtakes anything sent before it the
//! same way.

use super::decider::{Carried, Decider, Fate, Manner};
use super::frame::{self, Content, Segment};
use super::{Meddling, Way};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// A datagram that waits to be overtaken goes on after this long in any case.
pub const OVERTAKEN_WITHIN: Duration = Duration::from_millis(50);
/// What is sent within this time is joined. Less than the shortest time after which TCP sends again (200 ms on Linux).
pub const MOMENT: Duration = Duration::from_millis(60);
/// Between two octets of a segment that arrives in pieces, so that its reader may see each by itself …
pub const BETWEEN_PIECES: Duration = Duration::from_millis(1);
/// … for so many octets; the rest of a long segment follows without pauses.
pub const MOST_PAUSES: usize = 200;
/// Flows that are remembered.
const MOST_FLOWS: usize = 4096;

/// TCP or not, from where, to where.
type Flow = (bool, SocketAddr, SocketAddr);

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// By which port it leaves.
    pub port: usize,
    /// The frame.
    pub octets: Vec<u8>,
}

/// What became of the frame that was taken, if anything special did; and frames that the switch itself has made up.
#[derive(Debug, Default)]
pub struct Taken {
    /// Special fates, of this frame.
    pub meddling: Option<Meddling>,
    /// Frames of the switch's own (RST), which nobody has sent.
    pub made_up: Vec<Vec<u8>>,
}

/// Segments that wait to be joined.
#[derive(Debug)]
struct Joining {
    port: usize,
    segment: Segment,
    count: u32,
    until: Duration,
}

/// The switch.
#[derive(Debug)]
pub struct Switch {
    ports: usize,
    /// Of each way from who speaks first to the other.
    flows: BTreeSet<Flow>,
    /// Frames that are not due yet, in the order in which they leave.
    held: BTreeMap<(Duration, u64), Outgoing>,
    order: u64,
    /// Until when something of a TCP flow is held.
    busy_until: BTreeMap<Flow, Duration>,
    joining: BTreeMap<Flow, Joining>,
    /// Who waits to be overtaken, each way, and until when.
    waiting: [Option<(Outgoing, Duration)>; 2],
    /// What came over each connection.
    carried: BTreeMap<Flow, Carried>,
    /// Connections that were cut off.
    cut: BTreeSet<Flow>,
}

impl Switch {
    /// With one port or two.
    pub fn new(ports: usize) -> Self {
        Switch {
            ports,
            flows: BTreeSet::new(),
            held: BTreeMap::new(),
            order: 0,
            busy_until: BTreeMap::new(),
            joining: BTreeMap::new(),
            waiting: [None, None],
            carried: BTreeMap::new(),
            cut: BTreeSet::new(),
        }
    }

    /// Takes a frame that has come in by a port.
    pub fn take(
        &mut self,
        decider: &mut Decider,
        now: Duration,
        port: usize,
        octets: &[u8],
    ) -> Taken {
        let out = if self.ports == 2 { 1 - port } else { port };
        let outgoing = |octets: Vec<u8>| Outgoing { port: out, octets };
        match frame::read(octets) {
            Content::Other => {
                self.hold(now + decider.delay(), outgoing(octets.to_vec()));
                Taken::default()
            }
            Content::Datagram(src, dst) => {
                let way = self.way((false, src, dst));
                let fate = decider.datagram(way);
                let due = now + decider.delay();
                let meddling = self.datagram(way, fate, due, outgoing(octets.to_vec()));
                Taken {
                    meddling: meddling.or_else(|| Meddling::delayed(decider.delay())),
                    made_up: Vec::new(),
                }
            }
            Content::Segment(segment) => self.segment(decider, now, port, out, *segment),
        }
    }

    /// The frames that are due, in order.
    pub fn due(&mut self, now: Duration) -> Vec<Outgoing> {
        for waiting in &mut self.waiting {
            if let Some((outgoing, until)) = waiting.take_if(|(_, until)| *until <= now) {
                self.order += 1;
                self.held.insert((until, self.order), outgoing);
            }
        }
        let ripe: Vec<Flow> = self
            .joining
            .iter()
            .filter(|(_, joining)| joining.until <= now)
            .map(|(flow, _)| *flow)
            .collect();
        for flow in ripe {
            self.release(flow, now);
        }
        let later = self.held.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.held, later);
        due.into_values().collect()
    }

    /// When the next frame is due; none when nothing is on its way.
    pub fn next_due(&self) -> Option<Duration> {
        let held = self.held.keys().next().map(|(due, _)| *due);
        let waiting = self.waiting.iter().flatten().map(|(_, until)| *until);
        let joining = self.joining.values().map(|joining| joining.until);
        held.into_iter().chain(waiting).chain(joining).min()
    }

    fn hold(&mut self, due: Duration, outgoing: Outgoing) {
        self.order += 1;
        self.held.insert((due, self.order), outgoing);
    }

    /// Who speaks first is the client.
    fn way(&mut self, flow: Flow) -> Way {
        let (tcp, src, dst) = flow;
        if self.flows.contains(&(tcp, dst, src)) {
            return Way::Reply;
        }
        if self.flows.len() >= MOST_FLOWS {
            self.flows.clear();
        }
        self.flows.insert(flow);
        Way::Request
    }

    fn datagram(
        &mut self,
        way: Way,
        fate: Fate,
        due: Duration,
        outgoing: Outgoing,
    ) -> Option<Meddling> {
        if fate == Fate::AfterNext {
            // Whoever waits already has waited long enough.
            let place = &mut self.waiting[usize::from(way == Way::Reply)];
            if let Some((earlier, _)) = place.replace((outgoing, due + OVERTAKEN_WITHIN)) {
                self.hold(due, earlier);
            }
            return Some(Meddling::Overtaken);
        }
        let meddling = match fate {
            Fate::Drop => Some(Meddling::Dropped),
            Fate::Twice => {
                self.hold(due, outgoing.clone());
                self.hold(due, outgoing);
                Some(Meddling::Duplicated)
            }
            Fate::Later(by) => {
                self.hold(due + by, outgoing);
                Meddling::delayed(by)
            }
            Fate::Pass | Fate::AfterNext => {
                self.hold(due, outgoing);
                None
            }
        };
        if let Some((overtaken, _)) = self.waiting[usize::from(way == Way::Reply)].take() {
            self.hold(due, overtaken);
        }
        meddling
    }

    fn segment(
        &mut self,
        decider: &mut Decider,
        now: Duration,
        port: usize,
        out: usize,
        segment: Segment,
    ) -> Taken {
        let (src, dst) = segment.ends();
        let (flow, back) = ((true, src, dst), (true, dst, src));
        if segment.opens() {
            // The same two ports may meet again.
            self.cut.remove(&flow);
            self.cut.remove(&back);
            self.flows.remove(&back);
            self.carried.remove(&flow);
        }
        let connection = match self.way(flow) {
            Way::Request => flow,
            Way::Reply => back,
        };
        if self.cut.contains(&connection) {
            return Taken::default();
        }
        let reset = if segment.is_in_stream() && !segment.is_empty() {
            if self.carried.len() >= MOST_FLOWS {
                self.carried.clear();
            }
            let carried = self.carried.entry(connection).or_default();
            decider.reset(carried, segment.len())
        } else {
            None
        };
        if let Some(kept) = reset {
            return self.cut_off(connection, flow, now, [out, port], &segment, kept);
        }
        if !segment.is_in_stream() || segment.is_empty() && !segment.is_last() {
            self.in_turn(
                flow,
                now + decider.delay(),
                Outgoing {
                    port: out,
                    octets: segment.whole(),
                },
            );
            return Taken {
                meddling: Meddling::delayed(decider.delay()),
                made_up: Vec::new(),
            };
        }
        let meddling = match decider.manner() {
            Manner::Whole => {
                self.release(flow, now);
                let octets = segment.whole();
                self.in_turn(flow, now + decider.delay(), Outgoing { port: out, octets });
                Meddling::delayed(decider.delay())
            }
            Manner::Split => {
                self.release(flow, now);
                self.split(flow, now + decider.delay(), out, &segment)
            }
            Manner::Coalesce => self.coalesce(flow, now + decider.delay(), out, segment),
        };
        Taken {
            meddling,
            made_up: Vec::new(),
        }
    }

    /// Holds a frame until it is due and everything of its flow before it has left.
    fn in_turn(&mut self, flow: Flow, due: Duration, outgoing: Outgoing) {
        if self.busy_until.len() >= MOST_FLOWS {
            self.busy_until.retain(|_, until| *until > due);
        }
        let until = self.busy_until.entry(flow).or_default();
        *until = due.max(*until);
        let due = *until;
        self.hold(due, outgoing);
    }

    fn split(
        &mut self,
        flow: Flow,
        due: Duration,
        port: usize,
        segment: &Segment,
    ) -> Option<Meddling> {
        if segment.len() < 2 {
            let octets = segment.whole();
            self.in_turn(flow, due, Outgoing { port, octets });
            return None;
        }
        let begin = due.max(self.busy_until.get(&flow).copied().unwrap_or_default());
        for at in 0..segment.len() {
            let pauses = u32::try_from(at.min(MOST_PAUSES)).unwrap_or(0);
            let octets = segment.part(at..at + 1);
            self.in_turn(
                flow,
                begin + BETWEEN_PIECES * pauses,
                Outgoing { port, octets },
            );
        }
        let pieces = u32::try_from(segment.len()).unwrap_or(u32::MAX);
        Some(Meddling::Split { pieces })
    }

    fn coalesce(
        &mut self,
        flow: Flow,
        now: Duration,
        port: usize,
        segment: Segment,
    ) -> Option<Meddling> {
        let Some(joining) = self.joining.get_mut(&flow) else {
            self.begin_joining(flow, now, port, segment);
            return None;
        };
        if segment.is_within(&joining.segment) && !segment.is_last() {
            // Sent again because no acknowledgment came yet: it is on its way.
            return None;
        }
        if joining.segment.join(&segment) {
            joining.count += 1;
            let segments = joining.count;
            return Some(Meddling::Joined { segments });
        }
        self.release(flow, now);
        self.begin_joining(flow, now, port, segment);
        None
    }

    fn begin_joining(&mut self, flow: Flow, now: Duration, port: usize, segment: Segment) {
        let until = now + MOMENT;
        let joining = Joining {
            port,
            segment,
            count: 1,
            until,
        };
        self.joining.insert(flow, joining);
    }

    /// What was to be joined goes on.
    fn release(&mut self, flow: Flow, now: Duration) {
        if let Some(joining) = self.joining.remove(&flow) {
            let octets = joining.segment.whole();
            self.in_turn(
                flow,
                now,
                Outgoing {
                    port: joining.port,
                    octets,
                },
            );
        }
    }

    fn cut_off(
        &mut self,
        connection: Flow,
        flow: Flow,
        now: Duration,
        [out, back]: [usize; 2],
        segment: &Segment,
        kept: usize,
    ) -> Taken {
        self.release(flow, now);
        let (onward, answer) = segment.cut(kept);
        if kept > 0 {
            let octets = segment.part(0..kept);
            self.in_turn(flow, now, Outgoing { port: out, octets });
        }
        let made_up = vec![onward.clone(), answer.clone()];
        self.in_turn(
            flow,
            now,
            Outgoing {
                port: out,
                octets: onward,
            },
        );
        self.hold(
            now,
            Outgoing {
                port: back,
                octets: answer,
            },
        );
        self.cut.insert(connection);
        Taken {
            meddling: Some(Meddling::Reset),
            made_up,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{CLIENT, SERVER, datagram, look, segment};
    use super::super::{Fault, Nth};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    struct Bench {
        switch: Switch,
        decider: Decider,
        now: Duration,
    }

    impl Bench {
        fn new(fault: Fault) -> Self {
            let mut decider = Decider::default();
            decider.set(fault);
            Bench {
                switch: Switch::new(1),
                decider,
                now: Duration::ZERO,
            }
        }

        fn take(&mut self, frame: &[u8]) -> Option<Meddling> {
            let (now, decider) = (self.now, &mut self.decider);
            self.switch.take(decider, now, 0, frame).meddling
        }

        /// Everything that leaves until nothing is on its way, with the moments.
        fn drain(&mut self) -> Vec<(u128, Vec<u8>)> {
            let mut left = Vec::new();
            while let Some(due) = self.switch.next_due() {
                self.now = self.now.max(due);
                for outgoing in self.switch.due(self.now) {
                    left.push((self.now.as_millis(), outgoing.octets));
                }
            }
            left
        }
    }

    fn second(way: Way) -> (Way, Nth) {
        (way, Nth { least: 2, most: 2 })
    }

    #[test]
    fn of_datagrams_only_the_one_meant_is_touched() {
        let (way, nth) = second(Way::Reply);
        let exchange = |bench: &mut Bench| {
            let mut fates = Vec::new();
            for number in 0..3_u8 {
                fates.push(bench.take(&datagram(CLIENT, SERVER, &[number])));
                fates.push(bench.take(&datagram(SERVER, CLIENT, &[number])));
            }
            (fates, bench.drain().len())
        };
        let mut lossy = Bench::new(Fault::Drop { way, nth });
        let (fates, left) = exchange(&mut lossy);
        assert_eq!(fates[3], Some(Meddling::Dropped));
        assert_eq!(fates.iter().flatten().count(), 1);
        assert_eq!(left, 5);
        let mut twice = Bench::new(Fault::Duplicate { way, nth });
        assert_eq!(exchange(&mut twice).1, 7);
    }

    #[test]
    fn a_datagram_is_overtaken_by_the_next_of_its_way_or_goes_on_after_all() {
        let way = Way::Request;
        let nth = Nth { least: 1, most: 1 };
        let mut bench = Bench::new(Fault::Reorder { way, nth });
        let [first, second] = [b"1", b"2"].map(|text| datagram(CLIENT, SERVER, text));
        assert_eq!(bench.take(&first), Some(Meddling::Overtaken));
        bench.take(&second);
        let left: Vec<Vec<u8>> = bench.drain().into_iter().map(|(_, frame)| frame).collect();
        assert_eq!(left, [second, first.clone()]);

        let mut alone = Bench::new(Fault::Reorder { way, nth });
        alone.take(&first);
        assert_eq!(alone.drain(), [(50, first)]);
    }

    #[test]
    fn a_segment_arrives_octet_by_octet_and_nothing_overtakes_it() {
        let mut bench = Bench::new(Fault::Split);
        let split = bench.take(&segment(CLIENT, SERVER, 5, b"12 + 42\n"));
        assert_eq!(split, Some(Meddling::Split { pieces: 8 }));
        bench.take(&segment(CLIENT, SERVER, 13, b"q"));
        let left = bench.drain();
        let payloads: Vec<u8> = left.iter().flat_map(|(_, frame)| look(frame).1).collect();
        assert_eq!(payloads, b"12 + 42\nq");
        assert_eq!(left.len(), 9);
        let numbers: Vec<u32> = left.iter().map(|(_, frame)| look(frame).0).collect();
        assert!(numbers.is_sorted());
        assert!(left.is_sorted_by_key(|(at, _)| *at), "{left:?}");
        assert_eq!(left[7].0, 7, "a millisecond apart");
    }

    #[test]
    fn what_is_sent_within_a_moment_arrives_as_one_segment() {
        let mut bench = Bench::new(Fault::Coalesce);
        assert_eq!(bench.take(&segment(CLIENT, SERVER, 5, b"one\n")), None);
        bench.now += 10 * MS;
        // TCP may become impatient.
        assert_eq!(bench.take(&segment(CLIENT, SERVER, 5, b"one\n")), None);
        let joined = bench.take(&segment(CLIENT, SERVER, 9, b"two\n"));
        assert_eq!(joined, Some(Meddling::Joined { segments: 2 }));
        let left = bench.drain();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0, 60);
        assert_eq!(look(&left[0].1), (5, b"one\ntwo\n".to_vec(), "PA".into()));
        bench.take(&segment(CLIENT, SERVER, 13, b"three\n"));
        assert_eq!(look(&bench.drain()[0].1).1, b"three\n");
    }

    #[test]
    fn a_connection_is_cut_off_after_so_many_octets_and_stays_dead() {
        let mut bench = Bench::new(Fault::Reset { after: 6 });
        bench.take(&segment(CLIENT, SERVER, 5, b"hello"));
        assert_eq!(
            bench.take(&segment(SERVER, CLIENT, 900, b"world")),
            Some(Meddling::Reset)
        );
        let left: Vec<_> = bench.drain().iter().map(|(_, frame)| look(frame)).collect();
        assert_eq!(left[0].1, b"hello");
        assert_eq!(left[1], (900, b"w".to_vec(), "A".into()));
        assert_eq!(left[2], (901, Vec::new(), "RA".into()));
        assert_eq!(left[3].2, "RA");
        assert_eq!(left.len(), 4);
        bench.take(&segment(CLIENT, SERVER, 10, b"anybody?"));
        assert!(bench.drain().is_empty());
        let long = [b'x'; 20];
        assert_eq!(bench.take(&segment(CLIENT + 1, SERVER, 5, &long)), None);
        assert_eq!(bench.drain().len(), 1, "others live, and it strikes once");
    }

    #[test]
    fn everything_takes_longer_in_its_order() {
        let by = 100 * MS;
        let mut bench = Bench::new(Fault::Delay { by });
        let delayed = bench.take(&segment(CLIENT, SERVER, 5, b"a"));
        assert_eq!(delayed, Some(Meddling::Delayed { by_us: 100_000 }));
        bench.now += 30 * MS;
        bench.take(&segment(CLIENT, SERVER, 6, b"b"));
        let times: Vec<u128> = bench.drain().into_iter().map(|(at, _)| at).collect();
        assert_eq!(times, [100, 130]);
    }

    #[test]
    fn between_two_computers_frames_leave_by_the_other_port() {
        let mut switch = Switch::new(2);
        let mut decider = Decider::default();
        let frame = datagram(CLIENT, SERVER, b"over");
        switch.take(&mut decider, MS, 1, &frame);
        assert_eq!(
            switch.due(MS),
            [Outgoing {
                port: 0,
                octets: frame
            }]
        );
    }

    proptest::proptest! {
        /// Whatever the manner, the receiver gets the same octets in the same order, each once.
        #[test]
        fn no_manner_changes_the_stream(
            lines in proptest::collection::vec("[a-z]{1,12}", 1..12),
            pauses in proptest::collection::vec(0_u64..90, 12),
            manners in proptest::collection::vec(0_u8..3, 12),
        ) {
            let mut bench = Bench::new(Fault::Nothing);
            let mut seq = 7;
            let mut left = Vec::new();
            for ((line, pause), manner) in lines.iter().zip(pauses).zip(manners) {
                bench.decider.set(Fault::Nothing);
                match manner {
                    0 => {}
                    1 => bench.decider.set(Fault::Split),
                    _ => bench.decider.set(Fault::Coalesce),
                }
                bench.take(&segment(CLIENT, SERVER, seq, line.as_bytes()));
                seq += line.len() as u32;
                bench.now += Duration::from_millis(pause);
                left.extend(bench.switch.due(bench.now).into_iter().map(|outgoing| outgoing.octets));
            }
            left.extend(bench.drain().into_iter().map(|(_, frame)| frame));
            let got: Vec<u8> = left.iter().flat_map(|frame| look(frame).1).collect();
            proptest::prop_assert_eq!(String::from_utf8_lossy(&got), lines.concat());
            let numbers: Vec<u32> = left.iter().map(|frame| look(frame).0).collect();
            proptest::prop_assert!(numbers.is_sorted());
        }

        #[test]
        fn no_frame_makes_it_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let mut bench = Bench::new(Fault::Split);
            bench.take(&octets);
            bench.drain();
        }
    }
}
