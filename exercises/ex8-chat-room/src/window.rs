//! The client on a terminal: a window with a log, a member list and an input line.
//!
//! ```text
//!  keys, paste, size ─┐                    ┌─→ requests to the server
//!  lines, FIN, RST ───┼→ Window → effects ─┤
//!  signals, time ─────┘      └─→ view ─────└─→ frames on the terminal
//! ```
//!
//! Like the line mode ([`client`](crate::client)) it is a thin loop around a pure state machine, the
//! [`Window`], which holds the same [`Session`](crate::session::Session) and adds what a
//! person has before their eyes. Whatever happens goes in; a frame is drawn at most every
//! [`FRAME_TIME`], however many lines have come in meanwhile, so a flood costs no more than a trickle.
//!
//! | file | noun |
//! |---|---|
//! | [`state`] | the window's rules: event in → effects out |
//! | [`editor`] | the input line and what was sent before |
//! | [`log`] | what has been said, and the part of it on the screen |
//! | [`text`] | columns and rows |
//! | [`layout`] | areas of the screen |
//! | [`view`] | state in → frame out |
//! | [`terminal`] | taken over, and given back in every case |

pub mod editor;
pub mod layout;
pub mod log;
pub mod state;
pub mod terminal;
pub mod text;
pub mod view;

use std::{
    future::pending,
    io::{self, IsTerminal},
    net::SocketAddr,
    pin::Pin,
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use chrono::Local;
use crossterm::event as terminal_event;
use signal_hook::{
    consts::{SIGCONT, SIGTSTP, SIGWINCH},
    low_level::emulate_default_handler,
};
use tokio::{
    net::TcpStream,
    select,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    client::FAREWELL_TIME,
    connection::{self, Connection, News},
    message::Reply,
    window::{
        state::{Effect, Event, Now, Window},
        terminal::Terminal,
    },
};

/// The least time from one frame to the next.
pub const FRAME_TIME: Duration = Duration::from_millis(16);

/// Whether standard input and output are a terminal on which a window can be drawn.
pub fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let has_size =
        || crossterm::terminal::size().is_ok_and(|(columns, rows)| columns > 0 && rows > 0);
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb && has_size()
}

/// Chats in a window until the user leaves. When the connection is lost it is made again, to the same
/// address. `server`: as it is to be called; `interrupted` resolves when the user wants to be gone, is
/// called many times and must be cancel safe.
///
/// # Errors
/// The terminal cannot be taken over.
pub async fn run(
    stream: TcpStream,
    address: SocketAddr,
    server: String,
    name: Option<Bytes>,
    interrupted: impl AsyncFnMut(),
) -> anyhow::Result<()> {
    let mut terminal = Terminal::open().context("cannot set up the terminal")?;
    let started = Instant::now();
    let (window, effects) = Window::start(server, name, now(started));
    let mut chat = Chat {
        window,
        link: Link::Up(Connection::new(stream)),
        address,
        started,
        due: started,
        dirty: true,
        asked: Asked::default(),
        deserted: false,
        signalled: false,
    };
    chat.act(effects);
    let (columns, rows) = terminal.size().context("the terminal has no size")?;
    chat.handle(Event::Resized(columns, rows));
    let result = chat.run(&mut terminal, interrupted).await;
    // Whoever reads our output may be asleep, and then it cannot be finished.
    let _ = timeout(FAREWELL_TIME, terminal.give_back("Goodbye.\n")).await;
    result
}

/// A running conversation.
struct Chat {
    window: Window,
    link: Link,
    address: SocketAddr,
    started: Instant,
    /// The next frame, at the earliest.
    due: Instant,
    /// Something has changed since the last frame.
    dirty: bool,
    /// What the window has asked for that takes the terminal or the whole loop.
    asked: Asked,
    /// Nobody sits at the terminal any more.
    deserted: bool,
    /// The user wanted to be gone, by a signal.
    signalled: bool,
}

#[derive(Default)]
struct Asked {
    redraw: bool,
    suspend: bool,
    finish: bool,
}

impl Chat {
    async fn run(
        &mut self,
        terminal: &mut Terminal,
        mut interrupted: impl AsyncFnMut(),
    ) -> anyhow::Result<()> {
        let watch =
            |number| signal(SignalKind::from_raw(number)).context("cannot watch for signals");
        let (mut stopped, mut continued) = (watch(SIGTSTP)?, watch(SIGCONT)?);
        let mut resized = watch(SIGWINCH)?;
        let mut keys = terminal::read_keys();
        loop {
            if self.asked.finish {
                return Ok(());
            }
            if self.asked.suspend {
                self.suspend(terminal).await?;
            }
            self.draw(terminal);
            let (dirty, ready) = (self.dirty && !self.deserted, terminal.is_ready());
            let deadline = self.window.deadline().map(|at| self.started + at);
            select! {
                () = interrupted() => self.interrupt(),
                key = keys.recv(), if !self.deserted => match key {
                    Some(key) => self.attend(key),
                    None => self.desert(),
                },
                news = self.link.next() => self.receive(news),
                () = sleep_until(self.due), if dirty && ready => {}
                _ = terminal.ready(), if dirty && !ready => {}
                () = terminal.closed(), if !self.deserted => self.desert(),
                () = sleep_until(deadline.unwrap_or(self.due)), if deadline.is_some() => {
                    self.handle(Event::Tick);
                }
                // Of a change that comes together with a key, crossterm says nothing.
                _ = resized.recv() => match terminal.size() {
                    Ok((columns, rows)) => self.handle(Event::Resized(columns, rows)),
                    Err(_) => self.desert(),
                },
                _ = stopped.recv() => self.asked.suspend = true,
                // By whatever it was stopped: somebody else had the terminal meanwhile.
                _ = continued.recv() => {
                    self.take_again(terminal);
                }
            }
        }
    }

    fn draw(&mut self, terminal: &mut Terminal) {
        if self.deserted || !self.dirty || !terminal.is_ready() || Instant::now() < self.due {
            return;
        }
        let window = &self.window;
        let redraw = std::mem::take(&mut self.asked.redraw);
        let drawn = if redraw { terminal.redraw() } else { Ok(()) }
            .and_then(|()| terminal.draw(|frame| view::draw(frame, window)));
        match drawn {
            Ok(()) => {
                self.dirty = false;
                self.due = Instant::now() + FRAME_TIME;
            }
            Err(_) => self.desert(),
        }
    }

    /// Gives the terminal back, stops as any program does on Ctrl-Z, and takes it over when it goes on.
    async fn suspend(&mut self, terminal: &mut Terminal) -> anyhow::Result<()> {
        self.asked.suspend = false;
        let _ = timeout(FAREWELL_TIME, terminal.give_back("")).await;
        emulate_default_handler(SIGTSTP).context("cannot stop")?;
        self.take_again(terminal);
        Ok(())
    }

    fn take_again(&mut self, terminal: &mut Terminal) {
        match terminal.take() {
            Ok(()) => self.dirty = true,
            // A terminal that is closed wakes its programs, too.
            Err(_) => self.desert(),
        }
    }

    fn attend(&mut self, event: terminal_event::Event) {
        use terminal_event::Event as From;
        match event {
            From::Key(key) => self.handle(Event::Key(key)),
            From::Paste(text) => self.handle(Event::Paste(text)),
            From::Resize(columns, rows) => self.handle(Event::Resized(columns, rows)),
            From::FocusGained | From::FocusLost | From::Mouse(_) => {}
        }
    }

    /// A signal came. That of a terminal that is gone says nothing new.
    fn interrupt(&mut self) {
        let known = self.deserted && !self.signalled;
        self.signalled = true;
        if !known {
            self.handle(Event::Interrupt);
        }
    }

    /// The terminal is gone, so its user is.
    fn desert(&mut self) {
        self.deserted = true;
        if !self.signalled {
            self.handle(Event::Interrupt);
        }
    }

    fn receive(&mut self, news: LinkNews) {
        match news {
            LinkNews::Made(Ok(stream)) => {
                self.link = Link::Up(Connection::new(stream));
                self.handle(Event::Connected);
            }
            LinkNews::Made(Err(why)) => self.handle(Event::Unreachable(why.to_string())),
            LinkNews::Of(News::Sent) => {}
            LinkNews::Of(News::Over(why)) => self.handle(Event::Gone(why)),
            LinkNews::Of(News::Received) => {
                while let Link::Up(connection) = &mut self.link
                    && let Some(line) = connection.next_line()
                {
                    self.handle(match line {
                        Ok(line) => Event::Reply(Reply::parse(&line)),
                        Err(too_long) => Event::Skipped(too_long),
                    });
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.dirty = true;
        let effects = self.window.handle(event, now(self.started));
        self.act(effects);
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(request) => {
                    if let Link::Up(connection) = &mut self.link {
                        connection.send(&request);
                    }
                }
                Effect::Connect => {
                    let address = self.address;
                    self.link =
                        Link::Connecting(Box::pin(
                            async move { connection::connect_to(address).await },
                        ));
                }
                Effect::Disconnect => self.link = Link::Down,
                Effect::Suspend => self.asked.suspend = true,
                Effect::Redraw => self.asked.redraw = true,
                Effect::Finish => self.asked.finish = true,
            }
        }
    }
}

/// What is between here and the server.
enum Link {
    Up(Connection),
    Connecting(Pin<Box<dyn Future<Output = anyhow::Result<TcpStream>>>>),
    Down,
}

/// What comes of waiting for a link.
enum LinkNews {
    Made(anyhow::Result<TcpStream>),
    Of(News),
}

impl Link {
    /// Cancel safe.
    async fn next(&mut self) -> LinkNews {
        match self {
            Self::Up(connection) => LinkNews::Of(connection.next(true).await),
            Self::Connecting(attempt) => LinkNews::Made(attempt.await),
            Self::Down => pending().await,
        }
    }
}

fn now(started: Instant) -> Now {
    Now {
        since_start: started.elapsed(),
        local: Local::now().time(),
    }
}
