//! Line mode: typed lines come from here, lines to show go here, without a single escape code.
//!
//! For pipes, files, `TERM=dumb` and whoever asks for it; on any other terminal there is the
//! [window](crate::window). Two threads read and write: standard input cannot be waited for together
//! with a socket, and a blocked standard output must not keep the client from hearing Ctrl-C.

use std::{
    io::{self, IsTerminal, Read, Write},
    thread,
};

use bytes::Bytes;
use tokio::{
    select,
    sync::{mpsc, oneshot},
};

use crate::{
    lines::{LineBuffer, TooLong},
    message::MAX_TEXT_LEN,
};

/// Octets of output that may wait before the client stops reading from the server.
const BACKLOG: usize = 64 * 1024;

/// What comes from the screen.
#[derive(Debug)]
pub enum Event {
    /// A line was typed, its end not included.
    Typed(Bytes),
    /// A line was too long to be sent.
    TooLong(TooLong),
    /// The end of the input.
    End,
    /// Some output went out.
    Printed,
    /// Nobody reads the output any more.
    OutputClosed,
}

/// Plain lines on standard input and output.
#[derive(Debug)]
pub struct Screen {
    typed: mpsc::Receiver<Result<Bytes, TooLong>>,
    printer: mpsc::Sender<String>,
    printed: oneshot::Receiver<()>,
    unprinted: String,
    /// Somebody sits there who can answer a question.
    interactive: bool,
    ended: bool,
}

impl Screen {
    /// Starts to read and to write.
    pub fn open() -> Self {
        let (lines, typed) = mpsc::channel(64);
        // Threads of their own, not the runtime's: it would wait for a read that may never return.
        thread::spawn(move || read_lines(&lines));
        let (printer, mut texts) = mpsc::channel::<String>(1);
        let (done, printed) = oneshot::channel();
        thread::spawn(move || {
            while let Some(text) = texts.blocking_recv() {
                let mut out = io::stdout().lock();
                if out
                    .write_all(text.as_bytes())
                    .and_then(|()| out.flush())
                    .is_err()
                {
                    break;
                }
            }
            drop(texts);
            let _ = done.send(());
        });
        Self {
            typed,
            printer,
            printed,
            unprinted: String::new(),
            interactive: io::stdin().is_terminal(),
            ended: false,
        }
    }

    /// Shows a line. It may wait for [`Screen::next`] to be called.
    pub fn show(&mut self, line: &str) {
        self.unprinted.extend([line, "\n"]);
    }

    /// Asks for the next line, if somebody sits there who can answer.
    pub fn ask(&mut self, prompt: &str) {
        if self.interactive {
            self.unprinted.push_str(prompt);
        }
    }

    /// Whether so much waits to be printed that no more should be fetched.
    pub fn is_behind(&self) -> bool {
        self.unprinted.len() > BACKLOG
    }

    /// Prints, and waits for what is typed. `wants_lines`: false leaves lines where they are.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self, wants_lines: bool) -> Event {
        let wants_lines = wants_lines && !self.ended;
        select! {
            permit = self.printer.reserve(), if !self.unprinted.is_empty() => match permit {
                Ok(permit) => {
                    permit.send(std::mem::take(&mut self.unprinted));
                    Event::Printed
                }
                Err(_) => Event::OutputClosed,
            },
            () = self.printer.closed() => Event::OutputClosed,
            line = self.typed.recv(), if wants_lines => match line {
                Some(Ok(line)) => Event::Typed(line),
                Some(Err(too_long)) => Event::TooLong(too_long),
                None => {
                    self.ended = true;
                    Event::End
                }
            },
        }
    }

    /// Prints what is left.
    pub async fn close(self) {
        if !self.unprinted.is_empty() {
            let _ = self.printer.send(self.unprinted).await;
        }
        drop(self.printer);
        let _ = self.printed.await;
    }
}

fn read_lines(lines: &mpsc::Sender<Result<Bytes, TooLong>>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = LineBuffer::new(MAX_TEXT_LEN);
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match stdin.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => buffer.input().extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal that hung up: as good as the end.
            Err(_) => break,
        }
        while let Some(line) = buffer.next_line() {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    }
    if let Some(line) = buffer.last_line() {
        // If it fails the client has ended, and so has this thread.
        let _ = lines.blocking_send(line);
    }
}
