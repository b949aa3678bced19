//! How an interface of a pcapng file counts time (`if_tsresol`, `if_tsoffset`).

use crate::time::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Converts what an interface counts to nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    offset_nanos: i128,
}

/// What one count is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// This part of a nanosecond.
    PartOfNano(u128),
    /// A second divided by two, so many times.
    Halved(u32),
}

impl Clock {
    /// Counts as the two options say. The highest bit of the resolution chooses powers of two over powers of ten.
    pub(super) fn new(resolution: u8, offset_seconds: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::Halved(exponent)
        } else if exponent <= 9 {
            Unit::Nanos(10_u64.pow(9 - exponent))
        } else {
            // With units so small that the divisor overflows, 64 bits do not reach one nanosecond.
            Unit::PartOfNano(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX))
        };
        Clock {
            unit,
            offset_nanos: i128::from(offset_seconds) * i128::from(NANOS_PER_SECOND),
        }
    }

    /// The moment, or the nearest one that can be told.
    pub(super) fn moment(self, count: u64) -> Timestamp {
        if let (Unit::Nanos(nanos), 0) = (self.unit, self.offset_nanos) {
            return Timestamp::from_nanos(count.saturating_mul(nanos));
        }
        let nanos = match self.unit {
            Unit::Nanos(nanos) => u128::from(count) * u128::from(nanos),
            Unit::PartOfNano(part) => u128::from(count) / part,
            Unit::Halved(times) => (u128::from(count) * u128::from(NANOS_PER_SECOND)) >> times,
        };
        // At most 2⁶⁴ · 10⁹, far below 2¹²⁷.
        let moment = (nanos as i128 + self.offset_nanos).clamp(0, i128::from(u64::MAX));
        Timestamp::from_nanos(moment as u64)
    }
}

impl Default for Clock {
    /// Microseconds, as the format says for interfaces without the options.
    fn default() -> Self {
        Clock::new(6, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resolution: u8, offset: i64, count: u64, nanos: u64) {
        let moment = Clock::new(resolution, offset).moment(count);
        assert_eq!(moment.nanos(), nanos, "resolution {resolution:#x}");
    }

    #[test]
    fn counts_become_nanoseconds() {
        check(6, 0, 1_500_000, 1_500_000_000);
        check(9, 0, 1_500_000_123, 1_500_000_123);
        check(0, 0, 3, 3_000_000_000);
        check(12, 0, 1_500_000, 1_500);
        check(0x80, 0, 3, 3_000_000_000);
        check(0x80 | 10, 0, 1_536, 1_500_000_000);
        check(0x80 | 20, 0, 1 << 19, 500_000_000);
    }

    #[test]
    fn offsets_are_seconds_and_may_be_negative() {
        check(6, 10, 1, 10_000_001_000);
        check(6, -1, 1_500_000, 500_000_000);
        check(6, -2, 1_500_000, 0);
    }

    #[test]
    fn what_is_too_large_becomes_the_last_moment() {
        check(0, 0, u64::MAX, u64::MAX);
        check(6, i64::MAX, u64::MAX, u64::MAX);
        check(6, i64::MIN, u64::MAX, 0);
        check(127, 0, u64::MAX, 0);
        check(0xff, 0, u64::MAX, 0);
        check(0x80, i64::MAX, u64::MAX, u64::MAX);
    }
}
