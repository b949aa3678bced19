//! What everybody in the room is told, kept once for all of them.
//!
//! Every octet ever recorded has a position, counted from 0. Whoever listens keeps the position they have got
//! to, and what all have got is forgotten. Deliberately does not know who listens.

use std::ops::Range;

use bytes::{Buf, BytesMut};

/// An emptied tape larger than this gives its memory back.
const KEEP: usize = 256 * 1024;

/// The end of what has been told, as far back as somebody still needs it.
#[derive(Debug, Default)]
pub struct Tape {
    octets: BytesMut,
    /// The position of the first of them.
    start: u64,
}

impl Tape {
    /// The position that the next octet will have.
    pub fn end(&self) -> u64 {
        self.start + self.octets.len() as u64
    }

    /// Octets that are kept.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether nobody needs anything any more.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Appends these octets and says where they are.
    pub fn record(&mut self, octets: &[u8]) -> Range<u64> {
        let from = self.end();
        self.octets.extend_from_slice(octets);
        from..self.end()
    }

    /// The octets at these positions.
    ///
    /// # Panics
    /// When they have been forgotten, or not been recorded yet.
    pub fn play(&self, at: Range<u64>) -> &[u8] {
        // Within what is kept, so it fits.
        let place = |position: u64| (position - self.start) as usize;
        &self.octets[place(at.start)..place(at.end)]
    }

    /// Forgets what comes before a position.
    ///
    /// # Panics
    /// When it lies behind the end.
    pub fn forget_before(&mut self, position: u64) {
        let old = position.saturating_sub(self.start);
        self.octets.advance(old as usize);
        self.start += old;
        if self.octets.is_empty() && self.octets.capacity() > KEEP {
            self.octets = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stay_what_they_are_when_what_is_old_is_forgotten() {
        let mut tape = Tape::default();
        assert_eq!(tape.record(b"one\n"), 0..4);
        assert_eq!(tape.record(b"two\n"), 4..8);
        tape.forget_before(4);
        assert_eq!(tape.record(b"three\n"), 8..14);
        assert_eq!(tape.play(4..14), b"two\nthree\n");
        tape.forget_before(2);
        assert_eq!(tape.len(), 10, "known already");
        tape.forget_before(14);
        assert!(tape.is_empty());
        assert_eq!(tape.record(b"four\n"), 14..19);
        assert_eq!(tape.play(14..19), b"four\n");
    }
}
