//! Bytes in, lines out, with a maximum.
//!
//! TCP carries a stream of octets and keeps no message boundaries: one read may bring half a line
//! or fifty. [`LineBuffer`] is what puts the boundaries back. It knows nothing of sockets, so the
//! same code reads the network and the keyboard, and can be tested with every way of cutting a
//! stream into pieces.

use memchr::memchr;

/// The most octets a line may have, its terminator not counted.
pub const MAX_LINE_LEN: usize = 1024;

/// Octets received but not yet taken as lines.
///
/// A line ends with LF or CR LF. Holds at most one unfinished line besides what was pushed last.
#[derive(Debug, Default)]
pub struct LineBuffer {
    octets: Vec<u8>,
    /// The octets before this have been taken.
    taken: usize,
    /// The octets before this are known to hold no LF that has not been taken.
    searched: usize,
    /// Whether the line being received was too long, so that the rest of it goes too.
    discarding: bool,
}

/// A line had more than [`MAX_LINE_LEN`] octets; all of it was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line is longer than {MAX_LINE_LEN} octets")]
pub struct LineTooLong;

impl LineBuffer {
    /// Adds what one read brought.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.octets.extend_from_slice(octets);
    }

    /// Takes the next complete line, without its terminator; `None` until more is pushed.
    ///
    /// Take all of them before the next [`push`](Self::push): that is what keeps the buffer small.
    ///
    /// # Errors
    /// The line was too long. It counts as taken, and the line after it is unharmed. The error
    /// comes as soon as it is certain, not when the line ends at last, which may be never.
    pub fn next_line(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        loop {
            let Some(length) = memchr(b'\n', &self.octets[self.searched..]) else {
                self.searched = self.octets.len();
                // A CR may be half of the terminator, hence the one octet more.
                let too_long = self.octets.len() - self.taken > MAX_LINE_LEN + 1;
                let refused = too_long && !self.discarding;
                if too_long || self.discarding {
                    self.taken = self.octets.len();
                    self.discarding = true;
                }
                return refused.then_some(Err(LineTooLong));
            };
            let start = self.taken;
            let end = self.searched + length;
            self.taken = end + 1;
            self.searched = self.taken;
            if std::mem::take(&mut self.discarding) {
                continue;
            }
            let line = &self.octets[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            return Some(if line.len() > MAX_LINE_LEN {
                Err(LineTooLong)
            } else {
                Ok(line)
            });
        }
    }

    /// Takes what remains at the end of the input: a last line without a terminator, if any.
    ///
    /// For a keyboard or a file. On a connection an unfinished line is better ignored: `12 + 4`
    /// may be the beginning of `12 + 42`.
    ///
    /// # Errors
    /// As for [`next_line`](Self::next_line).
    pub fn take_rest(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        let rest = &self.octets[self.taken..];
        self.taken = self.octets.len();
        self.searched = self.taken;
        let discarding = std::mem::take(&mut self.discarding);
        match rest.len() {
            0 => None,
            _ if discarding => None,
            length if length > MAX_LINE_LEN => Some(Err(LineTooLong)),
            _ => Some(Ok(rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Lines = Vec<Result<Vec<u8>, LineTooLong>>;

    /// All lines of a stream that arrives in these pieces, and the most that was ever held.
    fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Lines, usize) {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        let mut most_held = 0;
        for piece in pieces {
            buffer.push(piece);
            while let Some(line) = buffer.next_line() {
                lines.push(line.map(<[u8]>::to_vec));
            }
            most_held = most_held.max(buffer.octets.len() - buffer.taken);
        }
        if let Some(line) = buffer.take_rest() {
            lines.push(line.map(<[u8]>::to_vec));
        }
        (lines, most_held)
    }

    #[track_caller]
    fn check(pieces: &[&[u8]], expected: &[Result<&[u8], LineTooLong>]) {
        let expected: Lines = expected
            .iter()
            .map(|line| line.map(<[u8]>::to_vec))
            .collect();
        assert_eq!(lines_of(pieces.iter().copied()).0, expected);
    }

    #[test]
    fn lines_end_with_lf_or_cr_lf_wherever_the_stream_is_cut() {
        check(&[b"Ada\n12 + 42\n"], &[Ok(b"Ada"), Ok(b"12 + 42")]);
        check(
            &[b"Ad", b"a", b"\n12 + 42\r", b"\n"],
            &[Ok(b"Ada"), Ok(b"12 + 42")],
        );
        check(&[b"\n\r\n \n"], &[Ok(b""), Ok(b""), Ok(b" ")]);
        check(&[b"a\rb\n"], &[Ok(b"a\rb")]);
        check(&[b"a\nunfinished"], &[Ok(b"a"), Ok(b"unfinished")]);
        check(&[], &[]);
    }

    #[test]
    fn the_longest_line_passes_and_one_octet_more_does_not() {
        let longest = vec![b'1'; MAX_LINE_LEN];
        let mut longer = longest.clone();
        longer.push(b'1');
        check(&[&longest, b"\r\nq\n"], &[Ok(&longest), Ok(b"q")]);
        check(&[&longer, b"\nq\n"], &[Err(LineTooLong), Ok(b"q")]);
        check(&[&longer, b"1\nq\n"], &[Err(LineTooLong), Ok(b"q")]);
        check(&[&longer], &[Err(LineTooLong)]);
    }

    #[test]
    fn an_endless_line_is_refused_once_and_never_stored() {
        let mut buffer = LineBuffer::default();
        let mut refusals = 0;
        for _ in 0..10_000 {
            buffer.push(&[b'1'; 1000]);
            while let Some(line) = buffer.next_line() {
                assert_eq!(line, Err(LineTooLong));
                refusals += 1;
            }
        }
        assert_eq!(refusals, 1);
        assert!(buffer.octets.capacity() < 10 * MAX_LINE_LEN);
        buffer.push(b"1\nq\n");
        assert_eq!(buffer.next_line(), Some(Ok(&b"q"[..])));
    }

    /// Streams with many line ends and some lines about as long as the maximum.
    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let short = prop::collection::vec(prop::sample::select(b"1 +\r\n\xff".to_vec()), 0..20);
        let long = (MAX_LINE_LEN - 2..MAX_LINE_LEN + 4).prop_map(|length| vec![b'1'; length]);
        prop::collection::vec(prop_oneof![4 => short, 1 => long], 0..8)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_way_of_cutting_the_stream_gives_the_same_lines(
            stream in any_stream(),
            lengths in prop::collection::vec(1..700_usize, 1..20),
        ) {
            let mut rest = &stream[..];
            let mut pieces = Vec::new();
            for length in lengths.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at(rest.len().min(*length));
                pieces.push(piece);
                rest = after;
            }
            let (whole, _) = lines_of([&stream[..]]);
            let (cut, most_held) = lines_of(pieces);
            prop_assert_eq!(cut, whole);
            prop_assert!(most_held <= MAX_LINE_LEN + 1);
        }
    }
}
