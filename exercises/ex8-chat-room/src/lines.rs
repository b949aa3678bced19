//! Octets in, complete lines out.
//!
//! TCP carries a stream, not messages: one `read` may bring half a line or fifty. The newline is what
//! separates them, and this is the only place that looks for it. Deliberately does no I/O and knows
//! no character set.

use bytes::{Buf, Bytes, BytesMut};

/// A line was longer than allowed. What came of it has been thrown away, and its rest will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is longer than {max_len} octets")]
pub struct TooLong {
    /// Octets allowed, the line's end not counted.
    pub max_len: usize,
}

/// Cuts a stream of octets at its newlines (`\n`, or `\r\n` as RFC 5198 has it).
///
/// Never holds much more than one line of the maximum plus what was last put in.
#[derive(Debug)]
pub struct LineBuffer {
    octets: BytesMut,
    /// So many octets at the front are known to hold no newline.
    searched: usize,
    /// The front belongs to a line already reported as too long.
    skipping: bool,
    max_len: usize,
}

impl LineBuffer {
    /// A buffer for lines of up to `max_len` octets, their end not counted.
    pub fn new(max_len: usize) -> Self {
        Self {
            octets: BytesMut::new(),
            searched: 0,
            skipping: false,
            max_len,
        }
    }

    /// Where to put what was read, at the end.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.octets
    }

    /// Takes the next complete line without its end; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`TooLong`] once for each line that is, in its place among the others.
    pub fn next_line(&mut self) -> Option<Result<Bytes, TooLong>> {
        loop {
            let Some(end) = self.find_newline() else {
                if self.skipping {
                    self.discard();
                // One more than the maximum may still turn out to be the `\r` of a `\r\n`.
                } else if self.octets.len() > self.max_len + 1 {
                    self.discard();
                    self.skipping = true;
                    return Some(self.too_long());
                }
                // Most members are silent most of the time, and should cost nothing then.
                if self.octets.is_empty() {
                    self.octets = BytesMut::new();
                }
                return None;
            };
            let line = self.octets.split_to(end).freeze();
            self.octets.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(self.accept(line));
        }
    }

    /// At the end of the input: what came after the last newline, if anything did.
    ///
    /// For text files and keyboards. On a connection an unfinished line was cut off by an accident, and
    /// half a message is worse than none.
    ///
    /// # Errors
    /// [`TooLong`] as for any line.
    pub fn last_line(&mut self) -> Option<Result<Bytes, TooLong>> {
        let line = self.octets.split().freeze();
        self.searched = 0;
        let skipped = std::mem::take(&mut self.skipping);
        (!skipped && !line.is_empty()).then(|| self.accept(line))
    }

    fn accept(&self, line: Bytes) -> Result<Bytes, TooLong> {
        let len = line.strip_suffix(b"\r").unwrap_or(&line).len();
        if len > self.max_len {
            self.too_long()
        } else {
            Ok(line.slice(..len))
        }
    }

    fn too_long<T>(&self) -> Result<T, TooLong> {
        Err(TooLong {
            max_len: self.max_len,
        })
    }

    fn find_newline(&mut self) -> Option<usize> {
        let found = self.octets[self.searched..]
            .iter()
            .position(|&octet| octet == b'\n');
        match found {
            Some(at) => Some(self.searched + at),
            None => {
                self.searched = self.octets.len();
                None
            }
        }
    }

    fn discard(&mut self) {
        self.octets.clear();
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 8;

    /// Every line that comes out when the stream arrives in these pieces.
    fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Option<String>> {
        let mut buffer = LineBuffer::new(MAX);
        let mut lines = Vec::new();
        let text = |line: Result<Bytes, TooLong>| {
            line.ok()
                .map(|line| String::from_utf8_lossy(&line).into_owned())
        };
        for piece in pieces {
            buffer.input().extend_from_slice(piece);
            while let Some(line) = buffer.next_line() {
                lines.push(text(line));
            }
        }
        lines.extend(buffer.last_line().map(text));
        lines
    }

    /// `None` stands for a line that was too long.
    #[track_caller]
    fn check(stream: &[u8], expected: &[Option<&str>]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|line| line.map(str::to_owned))
            .collect();
        assert_eq!(lines_of([stream]), expected);
        assert_eq!(lines_of(stream.chunks(1)), expected, "octet by octet");
    }

    #[test]
    fn lines_end_with_a_newline_and_perhaps_a_return() {
        check(b"", &[]);
        check(b"a\nb\r\n\nc", &[Some("a"), Some("b"), Some(""), Some("c")]);
        check(b"a\rb\n", &[Some("a\rb")]);
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_skipped_to_its_end() {
        check(b"12345678\n", &[Some("12345678")]);
        check(b"12345678\r\n", &[Some("12345678")]);
        check(b"123456789\nok\n", &[None, Some("ok")]);
        check(b"123456789\r\nok\n", &[None, Some("ok")]);
        check(b"1234567890123456789012345\nok\n", &[None, Some("ok")]);
        check(b"1234567890123", &[None]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            stream in proptest::collection::vec(
                prop_oneof![3 => Just(b'a'), 1 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>()],
                0..80,
            ),
            cuts in proptest::collection::vec(0_usize..80, 0..10),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(lines_of(pieces), lines_of([&stream[..]]));
        }
    }
}
