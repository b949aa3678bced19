//! The terminal: taken over for the window, and given back as it was.
//!
//! A frame is written by a thread of its own, and the next one is drawn when the last is through: a
//! terminal that takes nothing (a stalled connection, a stopped multiplexer) keeps nobody from hearing
//! the server or a signal, and a slow one just sees fewer frames.
//!
//! Keys are read by another one. (crossterm's `EventStream` would read them in the loop itself, and on a
//! terminal that was closed it never returns.)
//!
//! Given back it is in every case: at the end, before stopping, when dropped on the way of an error, and
//! by a panic hook, so that the message of the panic can be read.

use std::{
    cell::RefCell,
    io::{self, Write},
    panic,
    rc::Rc,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crossterm::{
    cursor::Show,
    event::{self, DisableBracketedPaste, EnableBracketedPaste, Event},
    queue,
    style::ResetColor,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{Frame, backend::CrosstermBackend, layout::Rect};
use tokio::sync::{mpsc, oneshot};

/// Whether the terminal is ours. What is drawn meanwhile for a terminal that is not must not appear.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Keys that may wait to be handled before no more are read.
const KEYS_AHEAD: usize = 64;

/// A terminal with a window on it.
pub struct Terminal {
    screen: ratatui::Terminal<CrosstermBackend<Ink>>,
    ink: Ink,
    printer: mpsc::Sender<Job>,
    /// Jobs that the printer has not finished.
    unprinted: Arc<AtomicUsize>,
}

/// What the printing thread is given.
struct Job {
    octets: Vec<u8>,
    /// Told when they are through.
    done: Option<oneshot::Sender<()>>,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Standard input and output are no terminal, or it does not obey.
    pub fn open() -> io::Result<Self> {
        give_back_on_panic();
        let ink = Ink::default();
        let screen = ratatui::Terminal::new(CrosstermBackend::new(ink.clone()))?;
        let (printer, jobs) = mpsc::channel(1);
        let unprinted = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&unprinted);
        thread::spawn(move || print(jobs, &left));
        let mut terminal = Self {
            screen,
            ink,
            printer,
            unprinted,
        };
        terminal.take()?;
        Ok(terminal)
    }

    /// Takes the terminal over again, whatever has happened to it since.
    ///
    /// # Errors
    /// It does not obey.
    pub fn take(&mut self) -> io::Result<()> {
        // Somebody else may have changed its mode while we were stopped.
        disable_raw_mode()?;
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        queue!(self.ink, EnterAlternateScreen, EnableBracketedPaste)?;
        self.redraw()
    }

    /// Makes the next frame a whole one.
    ///
    /// # Errors
    /// The size of the terminal cannot be found out.
    pub fn redraw(&mut self) -> io::Result<()> {
        let size = self.screen.size()?;
        self.screen
            .resize(Rect::from((ratatui::layout::Position::ORIGIN, size)))
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// They cannot be found out.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.screen.size().map(|size| (size.width, size.height))
    }

    /// Whether a frame would be written soon.
    pub fn is_ready(&self) -> bool {
        self.printer.capacity() > 0
    }

    /// Waits until a frame would be written soon. False: nobody reads any more. Cancel safe.
    pub async fn ready(&self) -> bool {
        self.printer.reserve().await.is_ok()
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.printer.closed().await;
    }

    /// Draws a frame. Only what has changed since the last one is written.
    ///
    /// # Errors
    /// The size of the terminal cannot be found out.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.ink, BeginSynchronizedUpdate)?;
        self.screen.draw(draw)?;
        queue!(self.ink, EndSynchronizedUpdate)?;
        let octets = self.ink.take();
        self.unprinted.fetch_add(1, Ordering::SeqCst);
        // Without a reader, or without the patience to wait for one, the frame is lost; the next one has
        // to be whole then.
        if self.printer.try_send(Job { octets, done: None }).is_err() {
            self.unprinted.fetch_sub(1, Ordering::SeqCst);
            self.redraw()?;
        }
        Ok(())
    }

    /// Gives the terminal back once the frames before are through, and says something on it. A terminal
    /// that takes nothing is not waited for by dropping this instead.
    pub async fn give_back(&mut self, last_words: &str) {
        let mut octets = Vec::new();
        // A Vec takes everything.
        let _ = give_back_to(&mut octets);
        octets.extend_from_slice(last_words.replace('\n', "\r\n").as_bytes());
        let (done, told) = oneshot::channel();
        let job = Job {
            octets,
            done: Some(done),
        };
        self.unprinted.fetch_add(1, Ordering::SeqCst);
        // Without a printer there is nothing to wait for, and nobody to be given anything back.
        if self.printer.send(job).await.is_ok() {
            let _ = told.await;
        }
        TAKEN.store(false, Ordering::SeqCst);
        let _ = disable_raw_mode();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A printer in the middle of something holds the output: the terminal takes nothing, and no more
        // can be done than to restore its mode.
        if self.unprinted.load(Ordering::SeqCst) == 0 {
            give_back();
        } else {
            let _ = disable_raw_mode();
        }
    }
}

fn print(mut jobs: mpsc::Receiver<Job>, unprinted: &AtomicUsize) {
    while let Some(job) = jobs.blocking_recv() {
        let mut out = io::stdout().lock();
        let written = if TAKEN.load(Ordering::SeqCst) {
            out.write_all(&job.octets).and_then(|()| out.flush())
        } else {
            Ok(())
        };
        drop(out);
        unprinted.fetch_sub(1, Ordering::SeqCst);
        if written.is_err() {
            break;
        }
        if let Some(done) = job.done {
            let _ = done.send(());
        }
    }
}

/// What is typed, pasted and resized from now on. Call it once.
pub fn read_keys() -> mpsc::Receiver<Event> {
    let (keys, received) = mpsc::channel(KEYS_AHEAD);
    thread::spawn(move || {
        while let Ok(key) = event::read() {
            if keys.blocking_send(key).is_err() {
                break;
            }
        }
    });
    received
}

/// At once and without the printer.
fn give_back() {
    let mut out = io::stdout().lock();
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nothing can be done for a terminal that is gone.
        let _ = give_back_to(&mut out);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

fn give_back_to(out: &mut impl Write) -> io::Result<()> {
    queue!(
        out,
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        ResetColor,
        LeaveAlternateScreen,
        Show
    )
}

fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            report(info);
        }));
    });
}

/// What ratatui writes to: octets that wait for the printer. Its flushes mean nothing, as a frame is
/// written as a whole.
#[derive(Clone, Default)]
struct Ink(Rc<RefCell<Vec<u8>>>);

impl Ink {
    fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Ink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
