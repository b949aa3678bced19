//! Lines for standard output that never hold up the network.
//!
//! A terminal can stop (Ctrl-S), a pipe can be full. A server that wrote to
//! it directly would stop answering and would not even hear Ctrl-C. So one
//! thread writes, and a bounded queue feeds it. When the queue is full, lines
//! are dropped and their number is told as soon as there is room: over UDP a
//! late server helps nobody.
//!
//! It does not format, colour or filter: lines come escaped, see
//! [`Printable`](crate::printable::Printable).

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Lines that may wait for a slow reader before further ones are dropped.
pub const MAX_WAITING: usize = 1024;

/// How long [`Printer::finish`] waits for a reader that has stopped reading.
const GRACE: Duration = Duration::from_millis(300);

/// The writing end: cheap to clone, never waits.
#[derive(Clone, Debug)]
pub struct Screen {
    lines: mpsc::Sender<String>,
    dropped: Arc<AtomicU64>,
}

/// The thread that writes, and how it ended.
#[derive(Debug)]
pub struct Printer {
    ended: oneshot::Receiver<io::Result<()>>,
}

/// Starts the thread that writes every line to `out`, flushed as soon as no
/// other line waits.
pub fn start(out: impl Write + Send + 'static) -> (Screen, Printer) {
    let (lines, waiting) = mpsc::channel(MAX_WAITING);
    let (end, ended) = oneshot::channel();
    thread::spawn(move || {
        // Nobody may be left to hear how it went.
        let _ = end.send(write_lines(waiting, out));
    });
    let screen = Screen {
        lines,
        dropped: Arc::default(),
    };
    (screen, Printer { ended })
}

fn write_lines(mut waiting: mpsc::Receiver<String>, mut out: impl Write) -> io::Result<()> {
    let mut text = String::new();
    while let Some(line) = waiting.blocking_recv() {
        text.clear();
        text.push_str(&line);
        text.push('\n');
        // One write for all that waits: a write per line costs ten times as much.
        while let Ok(line) = waiting.try_recv() {
            text.push_str(&line);
            text.push('\n');
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

impl Screen {
    /// Queues one line, given without its newline; drops it when
    /// [`MAX_WAITING`] lines wait already.
    pub fn line(&self, line: String) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && self.lines.try_send(not_shown(dropped)).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        } else if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Completes when nobody can read the lines any more, as after
    /// `ex1-server | head -1`.
    pub async fn closed(&self) {
        self.lines.closed().await;
    }
}

impl Printer {
    /// Writes what waits and a last line, then ends the thread. Gives up,
    /// successfully, on a reader that takes nothing for a moment.
    ///
    /// # Errors
    /// Writing failed for another reason than a closed pipe.
    pub async fn finish(self, screen: Screen, last: String) -> io::Result<()> {
        let written = tokio::time::timeout(GRACE, async {
            let dropped = screen.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let _ = screen.lines.send(not_shown(dropped)).await;
            }
            // Fails when the thread has ended; `ended` then tells why.
            let _ = screen.lines.send(last).await;
            drop(screen);
            self.ended.await
        });
        match written.await {
            Ok(Ok(result)) => pipe_closed_is_fine(result),
            _ => Ok(()),
        }
    }
}

fn not_shown(dropped: u64) -> String {
    format!("({dropped} lines not shown: the screen was too slow)")
}

/// Prints one line from a program that has nothing else to do meanwhile.
///
/// # Errors
/// Writing failed for another reason than a closed pipe.
pub fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    pipe_closed_is_fine(writeln!(out, "{line}").and_then(|()| out.flush()))
}

/// Who closes the pipe, as `head -1` does, has read what they wanted.
fn pipe_closed_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc as std_mpsc;

    /// Tells of each write, and lets it happen only when told to go on.
    struct Gate {
        arrived: std_mpsc::Sender<String>,
        go: std_mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(octets).into_owned();
            self.arrived.send(text).map_err(io::Error::other)?;
            self.go.recv().map_err(io::Error::other)?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_stuck_reader_costs_lines_but_never_time_and_is_told_how_many() {
        let (arrived, writes) = std_mpsc::channel();
        let (go, gate) = std_mpsc::channel();
        let (screen, printer) = start(Gate { arrived, go: gate });
        screen.line("first".to_owned());
        assert_eq!(writes.recv().expect("the first line is written"), "first\n");
        for n in 0..MAX_WAITING + 5 {
            screen.line(format!("line {n}"));
        }
        // More than enough: the rest comes in one write or in several.
        for _ in 0..10 {
            go.send(()).expect("the writer lives");
        }
        let waiting = writes.recv().expect("the writer goes on");
        printer
            .finish(screen, "last".to_owned())
            .await
            .expect("all is written");
        let rest = waiting + &writes.iter().collect::<String>();
        assert_eq!(rest.lines().count(), MAX_WAITING + 2);
        assert!(rest.ends_with("(5 lines not shown: the screen was too slow)\nlast\n"));
    }

    #[tokio::test]
    async fn a_stuck_reader_does_not_keep_the_program_alive() {
        let (arrived, writes) = std_mpsc::channel();
        let (_go, gate) = std_mpsc::channel();
        let (screen, printer) = start(Gate { arrived, go: gate });
        screen.line("first".to_owned());
        writes.recv().expect("the first line is being written");
        printer
            .finish(screen, "last".to_owned())
            .await
            .expect("giving up is no error");
    }

    #[tokio::test]
    async fn a_closed_pipe_is_noticed_and_is_no_error() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let (screen, printer) = start(writer);
        screen.line("lost".to_owned());
        screen.closed().await;
        printer
            .finish(screen, "last".to_owned())
            .await
            .expect("a closed pipe is no error");
    }
}
