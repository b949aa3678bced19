//! A window that slides over a file: the octets that are looked at, and no others, are in memory.

use std::io::{self, ErrorKind, Read};

/// So many octets of a file are in memory at a time. Nothing that has to be looked at in one piece is longer.
pub(super) const WINDOW_LEN: usize = 1 << 20;

/// So many octets are asked for at a time: few enough to be still in the processor's cache when they are looked at.
const READ_LEN: usize = 64 << 10;

/// The reader, with what was read and not yet used up.
///
/// The readers of pcap-parser hold such a window themselves, but they keep the cause of a failed read to themselves
/// and cannot pass over a block that is longer than their buffer; so only the crate's parsers are used.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    octets: Box<[u8]>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
}

impl Window {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Window {
            reader,
            octets: vec![0; WINDOW_LEN].into_boxed_slice(),
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
        }
    }

    /// What is there and not used up.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    /// Where in the file [`octets`](Self::octets) begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads until at least `wanted` octets are there; says whether they are, or the file ends before.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        debug_assert!(wanted <= WINDOW_LEN);
        while self.end - self.start < wanted {
            if self.ended {
                return Ok(false);
            }
            // What is left is less than one packet, so moving it costs little, and the next read is a large one.
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let room = self.end..WINDOW_LEN.min(self.end + READ_LEN);
            match self.reader.read(&mut self.octets[room]) {
                Ok(0) => self.ended = true,
                // A reader that claims more than it was given room for would be a broken one.
                Ok(read) => self.end = (self.end + read).min(WINDOW_LEN),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The first `len` octets are used up.
    pub(super) fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Passes over `len` octets without keeping them; says how many were there.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < len && self.fill(1)? {
            let part = (len - skipped).min(self.octets().len() as u64);
            self.consume(part as usize);
            skipped += part;
        }
        Ok(skipped)
    }
}
