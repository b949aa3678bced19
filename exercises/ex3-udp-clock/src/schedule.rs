//! What the client asks and how long it then waits before it asks again.
//!
//! An endless iterator of values; it neither sleeps nor reads a clock.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Request;

/// The gaps drawn, in microseconds. The sheet says 1 to 2 seconds *on the
/// wire*; a timer can be late but never early, so the upper end leaves it
/// 10 ms.
pub const GAP_MICROS: RangeInclusive<u64> = 1_000_000..=1_990_000;

/// One request, and the time from its sending to the sending of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What to ask for; both requests are equally likely.
    pub request: Request,
    /// How long until the next request is sent, uniform over [`GAP_MICROS`].
    pub gap: Duration,
}

/// Turns without end; the same seed gives the same turns.
#[derive(Debug)]
pub struct Schedule {
    rng: StdRng,
}

impl Schedule {
    /// The schedule that belongs to a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
        }
    }
}

impl Iterator for Schedule {
    type Item = Turn;

    fn next(&mut self) -> Option<Turn> {
        let request = if self.rng.random() {
            Request::Date
        } else {
            Request::Time
        };
        let gap = Duration::from_micros(self.rng.random_range(GAP_MICROS));
        Some(Turn { request, gap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ten_thousand_gaps_lie_between_one_and_two_seconds_and_vary() {
        let gaps: Vec<Duration> = Schedule::new(1).take(10_000).map(|turn| turn.gap).collect();
        let limits = Duration::from_secs(1)..=Duration::from_secs(2);
        assert!(gaps.iter().all(|gap| limits.contains(gap)));
        let different: HashSet<_> = gaps.iter().collect();
        assert!(different.len() > 9_000, "{}", different.len());
        // Uniform: each tenth of the range gets about a tenth of the gaps
        // (the bounds are six standard deviations away).
        for tenth in 0..10 {
            let low = Duration::from_micros(1_000_000 + tenth * 99_000);
            let high = low + Duration::from_micros(99_000);
            let count = gaps.iter().filter(|gap| (low..high).contains(gap)).count();
            assert!((820..1_180).contains(&count), "tenth {tenth}: {count}");
        }
    }

    #[test]
    fn both_requests_are_asked_about_equally_often() {
        let dates = Schedule::new(2)
            .take(10_000)
            .filter(|turn| turn.request == Request::Date)
            .count();
        assert!((4_700..5_300).contains(&dates), "{dates}");
    }

    #[test]
    fn the_same_seed_gives_the_same_turns_and_another_seed_others() {
        let turns = |seed| Schedule::new(seed).take(100).collect::<Vec<_>>();
        assert_eq!(turns(7), turns(7));
        assert_ne!(turns(7), turns(8));
    }
}
