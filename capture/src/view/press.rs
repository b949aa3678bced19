//! Puts onto paper what a view has said: keeps what has to wait, and hands the rest to a writer.
//!
//! [`Blocks`](super::blocks::Blocks) decides where every text belongs and puts it on a [`Sheet`] with tasks; a press does
//! as they say. Nothing is decided here, so a press can be at work on a thread of its own while the view goes on.

use super::pieces::{Chain, Part, Pieces};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;

/// A sheet with so much text is full.
const AMOUNT: usize = 256 << 10;
/// So many tasks are looked at together before they are done.
const AHEAD: usize = 16;
/// Texts that are handed on at a time at most: Linux takes no more of them in one call.
const MOST_TEXTS: usize = 1_024;

/// Text, and what is to be done with it.
#[derive(Debug, Default)]
pub struct Sheet {
    pub(super) text: Vec<u8>,
    tasks: Vec<Task>,
    /// Where the text begins that no task is about yet.
    start: usize,
}

/// What to do next. A task with text is about what comes behind the text of the task before.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Write so many octets.
    Write { len: usize },
    /// Keep so many octets on a shelf, behind what is there.
    Keep { shelf: u32, len: usize },
    /// Write what is on a shelf, which is empty then.
    Release { shelf: u32 },
}

impl Sheet {
    /// Whether it should be printed before more is put on it.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= AMOUNT
    }

    /// How much text there is that no task is about yet.
    pub(super) fn fresh(&self) -> usize {
        self.text.len() - self.start
    }

    /// The fresh text is to be written.
    pub(super) fn write(&mut self) {
        let len = self.settle();
        if let Some(Task::Write { len: before }) = self.tasks.last_mut() {
            *before += len;
        } else {
            self.tasks.push(Task::Write { len });
        }
    }

    /// The fresh text is to be kept.
    pub(super) fn keep(&mut self, shelf: u32) {
        let len = self.settle();
        self.tasks.push(Task::Keep { shelf, len });
    }

    /// What is on a shelf is to be written.
    pub(super) fn release(&mut self, shelf: u32) {
        self.tasks.push(Task::Release { shelf });
    }

    /// Makes it a white sheet again.
    pub fn clear(&mut self) {
        self.text.clear();
        self.tasks.clear();
        self.start = 0;
    }

    /// No text is fresh from here on; how much was.
    fn settle(&mut self) -> usize {
        let len = self.fresh();
        self.start = self.text.len();
        len
    }
}

/// Takes sheets.
pub trait Press {
    /// Does what is on a sheet, now or soon, and leaves a white one.
    ///
    /// # Errors
    /// When something could not be written.
    fn print(&mut self, sheet: &mut Sheet) -> io::Result<()>;

    /// Hands on what has been printed.
    ///
    /// # Errors
    /// When it could not be written.
    fn flush(&mut self) -> io::Result<()>;
}

/// A press that prints at once.
///
/// Nothing is copied to be written: the writer is shown where every text is.
pub struct Printer {
    writer: Box<dyn Write>,
    shelves: Vec<Chain>,
    /// Where the text on the shelves is.
    pieces: Pieces,
    /// What is to be written next.
    ready: Vec<Text>,
}

/// Text on its way to the writer.
enum Text {
    /// Where it is on the sheet.
    OfSheet(Range<usize>),
    /// From a shelf.
    Kept(Part),
}

impl Printer {
    /// One that prints on `writer`.
    pub fn new(writer: Box<dyn Write>) -> Self {
        Printer {
            writer,
            shelves: Vec::new(),
            pieces: Pieces::default(),
            ready: Vec::new(),
        }
    }

    /// Has the processor fetch the shelves of the next tasks, all at the same time. They are all over the memory, so it
    /// would wait for each one otherwise.
    fn fetch(&self, tasks: &[Task]) {
        for task in tasks.iter().take(AHEAD) {
            if let Task::Keep { shelf, .. } = *task
                && let Some(shelf) = self.shelves.get(shelf as usize)
            {
                self.pieces.fetch(shelf);
            }
        }
    }

    /// Writes what is ready; `sheet` is the text of the sheet.
    fn hand_on(&mut self, sheet: &[u8]) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        for texts in ready.chunks(MOST_TEXTS) {
            let slice = |text: &Text| match text {
                Text::OfSheet(range) => IoSlice::new(&sheet[range.clone()]),
                Text::Kept(part) => IoSlice::new(self.pieces.text(*part)),
            };
            let mut slices: Vec<IoSlice<'_>> = texts.iter().map(slice).collect();
            write_all(&mut self.writer, &mut slices)?;
        }
        for text in ready.drain(..) {
            if let Text::Kept(part) = text {
                self.pieces.give_back(part);
            }
        }
        self.ready = ready;
        Ok(())
    }
}

impl Press for Printer {
    fn print(&mut self, sheet: &mut Sheet) -> io::Result<()> {
        let mut end = 0;
        let mut next = |len| {
            let start = end;
            end += len;
            start..end
        };
        for (place, task) in sheet.tasks.iter().enumerate() {
            if place.is_multiple_of(AHEAD) {
                self.fetch(&sheet.tasks[place..]);
            }
            match *task {
                Task::Write { len } => self.ready.push(Text::OfSheet(next(len))),
                Task::Keep { shelf, len } => {
                    let shelf = shelf as usize;
                    if shelf >= self.shelves.len() {
                        self.shelves.resize_with(shelf + 1, Chain::default);
                    }
                    let text = &sheet.text[next(len)];
                    self.pieces.append(&mut self.shelves[shelf], text);
                }
                Task::Release { shelf } => {
                    if let Some(shelf) = self.shelves.get_mut(shelf as usize) {
                        self.ready.extend(self.pieces.take(shelf).map(Text::Kept));
                    }
                }
            }
            // The pieces are soon used again, while they are still in the processor's cache.
            if self.ready.len() >= MOST_TEXTS {
                self.hand_on(&sheet.text)?;
            }
        }
        self.hand_on(&sheet.text)?;
        sheet.clear();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes all of these texts, one behind the other.
fn write_all(writer: &mut dyn Write, mut texts: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Texts without octets are nothing to write.
    IoSlice::advance_slices(&mut texts, 0);
    while !texts.is_empty() {
        match writer.write_vectored(texts) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut texts, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A writer whose text can be looked at, with room for so many octets.
    #[derive(Clone)]
    struct Page(Rc<RefCell<Vec<u8>>>, usize);

    impl Page {
        fn new(room: usize) -> Self {
            Page(Rc::default(), room)
        }

        fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.borrow()).into_owned()
        }
    }

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let mut page = self.0.borrow_mut();
            if page.len() + octets.len() > self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            page.extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say(sheet: &mut Sheet, text: &str) {
        sheet.text.extend_from_slice(text.as_bytes());
    }

    #[test]
    fn what_is_kept_comes_when_it_is_released() {
        let page = Page::new(100);
        let mut printer = Printer::new(Box::new(page.clone()));
        let mut sheet = Sheet::default();
        for (shelf, text) in [(0, "a1 "), (2, "b1 "), (0, "a2 ")] {
            say(&mut sheet, text);
            sheet.keep(shelf);
        }
        say(&mut sheet, "at once ");
        sheet.write();
        sheet.release(2);
        printer.print(&mut sheet).expect("there is room");
        // What is kept outlives its sheet.
        assert_eq!(sheet.fresh(), 0);
        say(&mut sheet, "a3 ");
        sheet.keep(0);
        sheet.release(0);
        // Nothing is on it, or it was never used.
        sheet.release(2);
        sheet.release(7);
        printer.print(&mut sheet).expect("there is room");
        printer.flush().expect("there is room");
        assert_eq!(page.text(), "at once b1 a1 a2 a3 ");
    }

    #[test]
    fn order_is_kept_however_long_a_text_is() {
        let page = Page::new(4 * AMOUNT);
        let mut printer = Printer::new(Box::new(page.clone()));
        let mut sheet = Sheet::default();
        let long = "long ".repeat(AMOUNT / 5 + 1);
        say(&mut sheet, "short ");
        sheet.keep(0);
        sheet.release(0);
        say(&mut sheet, &long);
        sheet.write();
        sheet.release(0);
        say(&mut sheet, "short");
        sheet.write();
        assert!(sheet.is_full());
        printer.print(&mut sheet).expect("there is room");
        printer.flush().expect("there is room");
        assert_eq!(page.text(), format!("short {long}short"));
    }

    #[test]
    fn who_prints_is_told_that_there_is_no_room() {
        let mut printer = Printer::new(Box::new(Page::new(3)));
        let mut sheet = Sheet::default();
        say(&mut sheet, "more");
        sheet.write();
        let printed = printer.print(&mut sheet).and_then(|()| printer.flush());
        let kind = printed.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::StorageFull));
    }
}
