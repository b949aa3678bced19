//! The client's terminal: typed lines come from here, lines to show go here.
//!
//! Two kinds. On a capable terminal a line editor keeps the prompt and what is being typed at the
//! bottom, and prints what arrives above it. Everywhere else (pipes, files, `TERM=dumb`) there are
//! plain lines without a single escape code, read and written by two threads: standard input cannot
//! be waited for together with a socket, and a blocked standard output must not keep the client from
//! hearing Ctrl-C.

use std::{
    io::{self, IsTerminal, Read, Write},
    panic, thread,
};

use bytes::Bytes;
use crossterm::terminal;
use rustyline_async::{Readline, ReadlineError, ReadlineEvent, SharedWriter};
use tokio::{
    select,
    sync::{mpsc, oneshot},
};

use crate::{
    lines::{LineBuffer, TooLong},
    message::MAX_TEXT_LEN,
    session::Prompt,
};

/// Octets of output that may wait before the client stops reading from the server.
const BACKLOG: usize = 64 * 1024;

/// A line editor needs some room to redraw its line in.
const MIN_COLUMNS: u16 = 16;

/// What comes from the screen.
#[derive(Debug)]
pub enum Event {
    /// A line was typed, its end not included.
    Typed(Bytes),
    /// A line was too long to be sent.
    TooLong(TooLong),
    /// End of input, Ctrl-C or Ctrl-D.
    End,
    /// Some output went out.
    Printed,
    /// Nobody reads the output any more.
    OutputClosed,
}

/// Where the user sits.
#[derive(Debug)]
pub enum Screen {
    /// Plain lines.
    Plain(Plain),
    /// A line editor.
    Editor(Editor),
}

impl Screen {
    /// The kind that suits standard input and output.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    pub fn open() -> io::Result<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let wide = || terminal::size().is_ok_and(|(columns, _)| columns >= MIN_COLUMNS);
        let terminals = io::stdin().is_terminal() && io::stdout().is_terminal();
        if terminals && !dumb && wide() {
            Editor::open().map(Self::Editor)
        } else {
            Ok(Self::Plain(Plain::open()))
        }
    }

    /// Shows a line. It may wait for [`Screen::next`] to be called.
    pub fn show(&mut self, line: &str) {
        match self {
            Self::Plain(plain) => plain.unprinted.extend([line, "\n"]),
            Self::Editor(editor) => editor.show(line),
        }
    }

    /// Asks for the next line.
    pub fn ask(&mut self, prompt: &Prompt) {
        match (self, prompt) {
            (Self::Plain(plain), Prompt::Question(question)) if plain.interactive => {
                plain.unprinted.push_str(question);
            }
            // Where lines come in between, a prompt that is printed once would only be in their way.
            (Self::Plain(_), _) => {}
            (Self::Editor(editor), Prompt::Question(question)) => editor.set_prompt(question),
            (Self::Editor(editor), Prompt::Speaker(name)) => {
                editor.set_prompt(&format!("{name}> "));
            }
        }
    }

    /// Whether so much waits to be printed that no more should be fetched.
    pub fn is_behind(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.unprinted.len() > BACKLOG,
            Self::Editor(_) => false,
        }
    }

    /// Prints, and waits for what is typed. `wants_lines`: false leaves lines where they are, as far
    /// as that is possible; a line editor reads on, or it could not hear Ctrl-C.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self, wants_lines: bool) -> Event {
        match self {
            Self::Plain(plain) => plain.next(wants_lines).await,
            Self::Editor(editor) => editor.next().await,
        }
    }

    /// Prints what is left, and gives the terminal back as it was.
    pub async fn close(self) {
        match self {
            Self::Plain(plain) => plain.close().await,
            Self::Editor(editor) => editor.close(),
        }
    }
}

/// Plain lines on standard input and output.
#[derive(Debug)]
pub struct Plain {
    typed: mpsc::Receiver<Result<Bytes, TooLong>>,
    printer: mpsc::Sender<String>,
    printed: oneshot::Receiver<()>,
    unprinted: String,
    /// Somebody sits there who can answer a question.
    interactive: bool,
    ended: bool,
}

impl Plain {
    fn open() -> Self {
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

    async fn next(&mut self, wants_lines: bool) -> Event {
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

    async fn close(self) {
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

/// A line editor on a terminal.
pub struct Editor {
    readline: Readline,
    writer: SharedWriter,
}

impl Editor {
    fn open() -> io::Result<Self> {
        restore_terminal_on_panic();
        let (mut readline, writer) = Readline::new(String::new()).map_err(|error| match error {
            ReadlineError::IO(error) => error,
            ReadlineError::Closed => io::ErrorKind::BrokenPipe.into(),
        })?;
        readline.should_print_line_on(true, false);
        Ok(Self { readline, writer })
    }

    fn show(&mut self, line: &str) {
        let mut text = [line.as_bytes(), b"\n"].concat();
        // The editor's queue holds hundreds of lines and is emptied by `next`; when it is full after
        // all, the writer has kept the text and takes it once there is room.
        while let Err(error) = self.writer.write(&text) {
            text.clear();
            if error.kind() != io::ErrorKind::WouldBlock || self.readline.flush().is_err() {
                break;
            }
        }
    }

    fn set_prompt(&mut self, prompt: &str) {
        // A terminal that cannot be written to is found out by `next`.
        let _ = self.readline.update_prompt(prompt);
    }

    async fn next(&mut self) -> Event {
        match self.readline.readline().await {
            Ok(ReadlineEvent::Line(line)) => {
                if line.len() > MAX_TEXT_LEN {
                    return Event::TooLong(TooLong {
                        max_len: MAX_TEXT_LEN,
                    });
                }
                if !line.trim().is_empty() {
                    self.readline.add_history_entry(line.clone());
                }
                Event::Typed(line.into())
            }
            Ok(ReadlineEvent::Eof | ReadlineEvent::Interrupted) => Event::End,
            Err(_) => Event::OutputClosed,
        }
    }

    fn close(mut self) {
        // Dropping it leaves raw mode.
        let _ = self.readline.flush();
    }
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Editor").finish_non_exhaustive()
    }
}

/// Leaving raw mode first keeps the message readable.
fn restore_terminal_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let _ = terminal::disable_raw_mode();
        report(info);
    }));
}
