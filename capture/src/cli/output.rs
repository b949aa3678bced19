//! Standard output, whose failures say that it is the one that failed: a full disk may be that of another file.

use std::io::{self, Stdout, Write};

/// Where views go unless told otherwise.
pub(super) struct StandardOutput(Stdout);

impl StandardOutput {
    pub(super) fn new() -> Self {
        StandardOutput(io::stdout())
    }
}

impl Write for StandardOutput {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets).map_err(|error| named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| named(&error))
    }
}

/// Of the same kind: a closed pipe is no failure, and what was interrupted is tried again.
fn named(error: &io::Error) -> io::Error {
    let words = format!("standard output cannot be written: {error}");
    io::Error::new(error.kind(), words)
}
