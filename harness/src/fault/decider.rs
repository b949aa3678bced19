//! What is to become of a datagram, or of octets of a stream: a function of the faults set and of what has come before.

use super::{Fault, Nth, Way};
use std::time::Duration;

/// What is to become of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It does not.
    Drop,
    /// It goes on twice.
    Twice,
    /// It goes on after the next one of its way.
    AfterNext,
    /// It goes on later.
    Later(Duration),
}

/// How the octets of streams go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As they come.
    Whole,
    /// One by one.
    Split,
    /// What comes within a moment together.
    Coalesce,
}

/// A fault about one datagram, and how many of its way have come since it was set.
#[derive(Debug)]
struct Counted {
    way: Way,
    nth: u32,
    came: u32,
    fate: Fate,
}

/// Decides, and counts for that.
#[derive(Debug)]
pub struct Decider {
    counted: Vec<Counted>,
    delay: Duration,
    manner: Manner,
    reset_after: Option<u64>,
    /// How often faults were set: what is counted per connection begins anew with each.
    generation: u32,
}

impl Default for Decider {
    fn default() -> Self {
        Decider {
            counted: Vec::new(),
            delay: Duration::ZERO,
            manner: Manner::Whole,
            reset_after: None,
            generation: 0,
        }
    }
}

impl Decider {
    /// From now on, also this.
    pub fn set(&mut self, fault: Fault) {
        self.generation += 1;
        let mut count = |way, nth: Nth, fate| {
            self.counted.push(Counted {
                way,
                nth: nth.least,
                came: 0,
                fate,
            });
        };
        match fault {
            Fault::Drop { way, nth } => count(way, nth, Fate::Drop),
            Fault::Duplicate { way, nth } => count(way, nth, Fate::Twice),
            Fault::Reorder { way, nth } => count(way, nth, Fate::AfterNext),
            Fault::DelayOne { way, nth, by } => count(way, nth, Fate::Later(by)),
            Fault::Delay { by } => self.delay = by,
            Fault::Split => self.manner = Manner::Split,
            Fault::Coalesce => self.manner = Manner::Coalesce,
            Fault::Reset { after } => self.reset_after = Some(after),
            Fault::Nothing => {
                *self = Decider {
                    generation: self.generation,
                    ..Decider::default()
                };
            }
        }
    }

    /// What is to become of the datagram that has just come. Of several faults about it, the one set first counts.
    pub fn datagram(&mut self, way: Way) -> Fate {
        let mut fate = Fate::Pass;
        for counted in self.counted.iter_mut().filter(|counted| counted.way == way) {
            counted.came += 1;
            if counted.came == counted.nth && fate == Fate::Pass {
                fate = counted.fate;
            }
        }
        self.counted.retain(|counted| counted.came < counted.nth);
        fate
    }

    /// How much longer everything takes.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// How streams go on.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// How many of the next `len` octets of a connection may still pass before it is cut off; none when all may. It strikes
    /// once.
    pub fn reset(&mut self, connection: &mut Carried, len: usize) -> Option<usize> {
        let after = self.reset_after?;
        if connection.since != self.generation {
            *connection = Carried {
                since: self.generation,
                octets: 0,
            };
        }
        let left = after.saturating_sub(connection.octets);
        connection.octets += len as u64;
        if connection.octets <= after {
            return None;
        }
        self.reset_after = None;
        Some(usize::try_from(left).unwrap_or(len))
    }
}

/// How much has come over a connection, both ways together, since a fault was set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    since: u32,
    octets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nth(nth: u32) -> Nth {
        Nth {
            least: nth,
            most: nth,
        }
    }

    #[test]
    fn the_second_reply_is_lost_and_no_other() {
        let mut decider = Decider::default();
        decider.datagram(Way::Reply);
        decider.set(Fault::Drop {
            way: Way::Reply,
            nth: nth(2),
        });
        let replies: Vec<Fate> = (0..4).map(|_| decider.datagram(Way::Reply)).collect();
        assert_eq!(
            replies,
            [Fate::Pass, Fate::Drop, Fate::Pass, Fate::Pass],
            "counted from when it was set"
        );
    }

    #[test]
    fn ways_are_counted_apart() {
        let mut decider = Decider::default();
        decider.set(Fault::Drop {
            way: Way::Reply,
            nth: nth(1),
        });
        assert_eq!(decider.datagram(Way::Request), Fate::Pass);
        assert_eq!(decider.datagram(Way::Reply), Fate::Drop);
    }

    #[test]
    fn nothing_ends_everything() {
        let mut decider = Decider::default();
        for fault in [
            Fault::Duplicate {
                way: Way::Reply,
                nth: nth(1),
            },
            Fault::Delay {
                by: Duration::from_secs(1),
            },
            Fault::Split,
            Fault::Reset { after: 3 },
            Fault::Nothing,
        ] {
            decider.set(fault);
        }
        assert_eq!(decider.datagram(Way::Reply), Fate::Pass);
        assert_eq!(decider.delay(), Duration::ZERO);
        assert_eq!(decider.manner(), Manner::Whole);
        assert_eq!(decider.reset(&mut Carried::default(), 9), None);
    }

    proptest::proptest! {
        #[test]
        fn the_same_datagrams_meet_the_same_fate(
            ways in proptest::collection::vec(proptest::bool::ANY, 0..60),
            faults in proptest::collection::vec((proptest::bool::ANY, 1_u32..20, 0_u8..3), 0..5),
        ) {
            let way = |request| if request { Way::Request } else { Way::Reply };
            let run = || {
                let mut decider = Decider::default();
                for (request, number, kind) in &faults {
                    let (way, nth) = (way(*request), nth(*number));
                    decider.set(match kind {
                        0 => Fault::Drop { way, nth },
                        1 => Fault::Duplicate { way, nth },
                        _ => Fault::Reorder { way, nth },
                    });
                }
                ways.iter().map(|request| decider.datagram(way(*request))).collect::<Vec<_>>()
            };
            let fates = run();
            proptest::prop_assert_eq!(&fates, &run());
            let disturbed = fates.iter().filter(|fate| **fate != Fate::Pass).count();
            proptest::prop_assert!(disturbed <= faults.len(), "no fault strikes twice");
        }
    }
}
