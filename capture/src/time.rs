//! Moments, as a capture stamps them.

use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt;

/// A moment: nanoseconds since 1970-01-01T00:00:00Z.
///
/// Captures with a coarser clock are converted when they are read; a capture says nothing finer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that many nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Timestamp(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to here; negative where the capture's clock went backwards.
    pub const fn nanos_since(self, earlier: Timestamp) -> i64 {
        self.0.wrapping_sub(earlier.0) as i64
    }

    /// The moment that many nanoseconds later, at most the last one that can be told.
    #[must_use]
    pub const fn plus_nanos(self, nanos: u64) -> Self {
        Timestamp(self.0.saturating_add(nanos))
    }
}

/// RFC 3339 in UTC with nine decimals: `2026-11-22T06:20:00.123456789Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX);
        let nanos = (self.0 % 1_000_000_000) as u32;
        let moment = DateTime::<Utc>::from_timestamp(seconds, nanos).unwrap_or_default();
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Nanos, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_nine_decimals() {
        let moment = Timestamp::from_nanos(1_795_328_400_123_456_789);
        assert_eq!(moment.to_string(), "2026-11-22T06:20:00.123456789Z");
        // The last moment that 64 bits can tell is still a date.
        assert_eq!(
            Timestamp::from_nanos(u64::MAX).to_string(),
            "2554-07-21T23:34:33.709551615Z"
        );
    }

    #[test]
    fn a_clock_may_go_backwards() {
        let (early, late) = (Timestamp::from_nanos(5), Timestamp::from_nanos(7));
        assert_eq!(late.nanos_since(early), 2);
        assert_eq!(early.nanos_since(late), -2);
    }
}
