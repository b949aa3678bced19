//! The server's own output: a line for everything that happens.
//!
//! Writing to a terminal or a pipe can block (somebody pressed Ctrl-S, or the program behind the pipe
//! sleeps), and the room must not wait for that. So a thread of its own writes, and when it has fallen
//! [`BACKLOG`] lines behind, further lines are counted instead of kept.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Lines that may wait to be printed.
pub const BACKLOG: usize = 4096;

/// How long the end of the program waits for a blocked output.
const LAST_WORDS_TIME: Duration = Duration::from_millis(200);

/// Where lines go to be printed. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Journal {
    lines: mpsc::SyncSender<String>,
    missed: Arc<AtomicU64>,
}

/// Ends with the last line; see [`Printer::finish`].
#[derive(Debug)]
pub struct Printer {
    done: mpsc::Receiver<()>,
}

impl Journal {
    /// Starts a thread that prints to standard output, a line at a time.
    pub fn start() -> (Self, Printer) {
        let (sender, lines) = mpsc::sync_channel::<String>(BACKLOG);
        let (finished, done) = mpsc::channel();
        let missed = Arc::new(AtomicU64::new(0));
        let journal = Self {
            lines: sender,
            missed: Arc::clone(&missed),
        };
        thread::spawn(move || {
            for line in lines {
                let missed = missed.swap(0, Ordering::Relaxed);
                if print(&line, missed).is_err() {
                    // Nobody reads any more; the room goes on.
                    break;
                }
            }
            let _ = finished.send(());
        });
        (journal, Printer { done })
    }

    /// Prints a line, soon.
    pub fn print(&self, line: impl Into<String>) {
        if let Err(mpsc::TrySendError::Full(_)) = self.lines.try_send(line.into()) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Printer {
    /// Waits until the last line is printed, but not for a blocked output. Every [`Journal`] must be
    /// gone by then.
    pub fn finish(self) {
        let _ = self.done.recv_timeout(LAST_WORDS_TIME);
    }
}

fn print(line: &str, missed: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if missed > 0 {
        writeln!(out, "({missed} lines not shown: the output was blocked)")?;
    }
    writeln!(out, "{line}")?;
    out.flush()
}
