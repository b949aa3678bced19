//! Gathers a view's text by conversation, so that conversations that overlap in time are read one after the other.
//!
//! Conversations are written in the order in which they began, as soon as they are complete and no earlier one is still
//! going on. What waits for that is bounded: when complete ones come to more than [`MOST_COMPLETE`], all of them are
//! written although an earlier one is still going on; and when everything that waits comes to more than
//! [`MOST_BUFFERED`], the others are written in parts, each part with a heading of its own.
//!
//! All of that is decided here and done by a [`press`](super::press).

use super::View;
use super::pieces;
use super::press::{Press, Sheet};
use crate::conversation::{Conversation, Message, Sink, Step};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::io;

/// Octets of memory that text may take while it waits.
pub const MOST_BUFFERED: usize = 8 << 20;
/// Octets of memory that text of complete conversations may take: some twelve hundred of the lab's. What waits longer has
/// left the processor's cache by the time it is written.
pub const MOST_COMPLETE: usize = 1 << 20;
/// What a block takes beside its text.
const OVERHEAD: usize = 64;
/// In which order text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One conversation after the other.
    ByConversation,
    /// As it happens, with a heading whenever another conversation goes on. A view may give its verdict on a connection
    /// as soon as that is over.
    AsItHappens,
}

/// Has a view speak, and what it says printed.
pub struct Blocks {
    view: Box<dyn View>,
    order: Order,
    press: Box<dyn Press>,
    /// What is to be printed next.
    sheet: Sheet,
    /// Of conversations that go on, by [`Conversation::place`].
    blocks: Vec<Option<Block>>,
    /// Which conversations these are, the earliest first. Some in between may be over.
    begun: VecDeque<Begun>,
    /// The blocks that are complete, the earliest conversation on top, and what they take.
    complete: BinaryHeap<Reverse<Complete>>,
    complete_size: usize,
    shelves: Shelves,
    buffered: usize,
    newest: u32,
    /// The conversation written about last.
    current: Option<u32>,
    /// Conversations whose last words were said before they were forgotten. The keys are numbers of our own making, so a
    /// quick hash will do.
    ended: HashSet<u32, foldhash::fast::FixedState>,
    /// Steps that carry nothing and that the view said nothing about.
    silent: u64,
    error: Option<io::Error>,
}

/// A conversation that has a block, or had one.
#[derive(Clone, Copy)]
struct Begun {
    id: u32,
    place: u32,
}

/// A block to which nothing will be added. In the order of conversations.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Complete {
    id: u32,
    shelf: u32,
    size: usize,
}

/// What waits of a conversation.
struct Block {
    /// Whose it is.
    id: u32,
    /// Where its text is.
    shelf: u32,
    /// Octets of text.
    len: usize,
    /// A part of it was written already.
    in_parts: bool,
}

impl Block {
    /// Octets of memory it takes.
    fn size(&self) -> usize {
        pieces::size(self.len) + OVERHEAD
    }
}

impl Begun {
    /// Its block, unless it is over.
    fn block(self, blocks: &[Option<Block>]) -> Option<&Block> {
        let block = blocks[self.place as usize].as_ref();
        // The place may be another conversation's by now.
        block.filter(|block| block.id == self.id)
    }

    /// [`block`](Self::block) to change.
    fn block_mut(self, blocks: &mut [Option<Block>]) -> Option<&mut Block> {
        let block = blocks[self.place as usize].as_mut();
        block.filter(|block| block.id == self.id)
    }
}

/// The press's shelves, each of which holds the text of one block.
#[derive(Default)]
struct Shelves {
    count: u32,
    free: Vec<u32>,
}

impl Shelves {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }

    fn give_back(&mut self, shelf: u32) {
        self.free.push(shelf);
    }
}

impl Blocks {
    /// Has what `view` says printed by `press`.
    pub fn new(mut view: Box<dyn View>, order: Order, press: Box<dyn Press>) -> Self {
        let mut sheet = Sheet::default();
        view.opening(&mut sheet.text);
        sheet.write();
        Blocks {
            view,
            order,
            press,
            sheet,
            blocks: Vec::new(),
            begun: VecDeque::new(),
            complete: BinaryHeap::new(),
            complete_size: 0,
            shelves: Shelves::default(),
            buffered: 0,
            newest: 0,
            current: None,
            ended: HashSet::default(),
            silent: 0,
            error: None,
        }
    }

    /// Text that belongs to no conversation, after everything that is ready.
    pub fn say(&mut self, text: &[u8]) {
        self.sheet.text.extend_from_slice(text);
        self.sheet.write();
    }

    /// Has everything printed that is ready.
    ///
    /// # Errors
    /// When it could not be written, now or earlier.
    pub fn flush(&mut self) -> io::Result<()> {
        self.print();
        match self.error.take() {
            Some(error) => Err(error),
            None => self.press.flush(),
        }
    }

    /// How many segments that carry no text the view had nothing to say about.
    pub fn silent(&self) -> u64 {
        self.silent
    }

    /// Whether writing failed; what is said from then on is lost.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    fn print(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.press.print(&mut self.sheet)
        {
            self.error = Some(error);
        }
        if self.error.is_some() {
            self.sheet.clear();
        }
    }

    fn print_when_full(&mut self) {
        if self.sheet.is_full() {
            self.print();
        }
    }

    /// Has the view write about a conversation, into its block or straight out.
    fn write(
        &mut self,
        conversation: &Conversation,
        write: impl FnOnce(&mut dyn View, &mut Vec<u8>),
    ) {
        let id = conversation.id;
        let view = self.view.as_mut();
        let text = &mut self.sheet.text;
        let is_new = id >= self.newest;
        if is_new {
            self.newest = id + 1;
        }
        match self.order {
            Order::AsItHappens => {
                let start = text.len();
                if is_new {
                    view.begin(text, conversation);
                } else if self.current != Some(id) {
                    view.resume(text, conversation);
                }
                let heading = text.len();
                write(view, text);
                if text.len() == heading && !is_new {
                    // A heading with nothing under it is none.
                    text.truncate(start);
                } else {
                    self.current = Some(id);
                    self.ended.remove(&id);
                }
                self.sheet.write();
            }
            Order::ByConversation => {
                let place = conversation.place as usize;
                if place >= self.blocks.len() {
                    self.blocks.resize_with(place + 1, || None);
                }
                let block = &mut self.blocks[place];
                let is_first = block.is_none();
                let block = block.get_or_insert_with(|| Block {
                    id,
                    shelf: self.shelves.take(),
                    len: 0,
                    in_parts: false,
                });
                let before = if is_first { 0 } else { block.size() };
                if is_new {
                    view.begin(text, conversation);
                } else if block.in_parts && block.len == 0 {
                    view.resume(text, conversation);
                }
                write(view, text);
                block.len += self.sheet.fresh();
                self.sheet.keep(block.shelf);
                self.buffered += block.size() - before;
                if is_first {
                    self.note_begun(conversation);
                }
            }
        }
        self.print_when_full();
    }

    /// A conversation has a block from now on.
    fn note_begun(&mut self, conversation: &Conversation) {
        if self.begun.len() == self.begun.capacity() {
            let blocks = &self.blocks;
            self.begun.retain(|begun| begun.block(blocks).is_some());
            // So that this need not be done again soon.
            self.begun.reserve(self.begun.len() + 1);
        }
        self.begun.push_back(Begun {
            id: conversation.id,
            place: conversation.place,
        });
    }

    /// The number of the earliest conversation that goes on.
    fn earliest(&mut self) -> Option<u32> {
        while let Some(first) = self.begun.front() {
            if first.block(&self.blocks).is_some() {
                return Some(first.id);
            }
            self.begun.pop_front();
        }
        None
    }

    /// A conversation is complete: writes it and those that waited for it, unless an earlier one is still going on.
    fn complete(&mut self, conversation: &Conversation) {
        let block = self.blocks.get_mut(conversation.place as usize);
        let Some(block) = block.and_then(Option::take) else {
            return;
        };
        self.complete_size += block.size();
        self.complete.push(Reverse(Complete {
            id: block.id,
            shelf: block.shelf,
            size: block.size(),
        }));
        let earliest = self.earliest();
        self.write_complete(earliest.unwrap_or(u32::MAX));
        if self.complete_size > MOST_COMPLETE {
            self.write_complete(u32::MAX);
        }
    }

    /// Writes complete conversations up to this one.
    fn write_complete(&mut self, last: u32) {
        while let Some(Reverse(first)) = self.complete.peek()
            && first.id <= last
        {
            self.buffered -= first.size;
            self.complete_size -= first.size;
            self.sheet.release(first.shelf);
            self.shelves.give_back(first.shelf);
            self.complete.pop();
        }
    }

    /// Too much waits: complete conversations go first, then parts of the others.
    fn make_room(&mut self) {
        self.write_complete(u32::MAX);
        if self.buffered > MOST_BUFFERED {
            for begun in &self.begun {
                let Some(block) = begun.block_mut(&mut self.blocks) else {
                    continue;
                };
                let before = block.size();
                self.sheet.release(block.shelf);
                block.len = 0;
                block.in_parts = true;
                self.buffered -= before - block.size();
            }
        }
    }
}

impl Sink for Blocks {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        if conversation.id < self.newest && self.view.ignores(conversation, step) {
            self.silent += 1;
            return;
        }
        let mut is_silent = step.payload_len == 0;
        self.write(conversation, |view, out| {
            let before = out.len();
            view.step(out, conversation, step);
            is_silent &= out.len() == before;
        });
        self.silent += u64::from(is_silent);
        if self.buffered > MOST_BUFFERED {
            self.make_room();
        }
        if self.order == Order::AsItHappens
            && self.view.ends_early()
            && conversation.is_over()
            && !self.ended.contains(&conversation.id)
        {
            self.write(conversation, |view, out| view.end(out, conversation));
            self.ended.insert(conversation.id);
        }
    }

    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        self.write(conversation, |view, out| {
            view.late_messages(out, conversation, messages);
        });
    }

    fn retired(&mut self, conversation: &Conversation) {
        if self.ended.remove(&conversation.id) {
            return;
        }
        self.write(conversation, |view, out| view.end(out, conversation));
        self.complete(conversation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::{Role, State};
    use crate::view::press::Printer;
    use crate::view::testing::Scene;
    use crate::view::{Style, talk::Talk};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn blocks(&self, order: Order) -> Blocks {
            let view = Box::new(Talk::new(Style::default()));
            Blocks::new(view, order, Box::new(Printer::new(Box::new(self.clone()))))
        }

        fn verdicts(&self) -> usize {
            let text = String::from_utf8(self.0.lock().expect("nobody panics").clone());
            text.expect("text").matches("closed by the client").count()
        }
    }

    fn shown_as_it_happens(scene: &Scene) -> (usize, usize) {
        let page = Page::default();
        let mut blocks = page.blocks(Order::AsItHappens);
        scene.feed_steps(&mut blocks);
        blocks.flush().expect("a page takes everything");
        let before = page.verdicts();
        blocks.retired(&scene.conversation);
        blocks.flush().expect("a page takes everything");
        (before, page.verdicts())
    }

    #[test]
    fn the_verdict_comes_with_the_end_of_the_connection_and_once() {
        let gone = |scene: Scene| {
            scene.change(|conversation| conversation.states = [State::TimeWait, State::Closed])
        };
        let open = Scene::tcp().handshake().says(Role::Client, b"hi\n");
        let closed = open
            .closes(Role::Client)
            .closes(Role::Server)
            .acks(Role::Client);
        let closed = gone(closed);
        assert_eq!(shown_as_it_happens(&closed), (1, 1));
        // A segment that is late is shown, and the verdict given again.
        let late = gone(closed.says(Role::Server, b"late\n"));
        assert_eq!(shown_as_it_happens(&late), (2, 2));
    }

    #[test]
    fn a_connection_that_is_not_over_gets_its_verdict_when_it_is_forgotten() {
        let half = Scene::tcp().handshake().closes(Role::Client);
        assert_eq!(shown_as_it_happens(&half).0, 0);
    }

    #[test]
    fn a_conversation_that_goes_on_holds_the_others_up_for_a_while_and_is_told_in_one_piece() {
        let page = Page::default();
        let mut blocks = page.blocks(Order::ByConversation);
        let open = Scene::tcp().id(0).handshake();
        open.feed_steps(&mut blocks);
        let tell = |blocks: &mut Blocks, ids: std::ops::Range<u32>| {
            for id in ids {
                let hello = Scene::tcp().id(id).handshake().says(Role::Client, b"hi\n");
                hello.closes(Role::Client).closes(Role::Server).feed(blocks);
            }
            blocks.flush().expect("a page takes everything");
        };
        tell(&mut blocks, 1..100);
        assert_eq!(page.verdicts(), 0);
        tell(&mut blocks, 100..3_000);
        assert!(page.verdicts() > 1_000);
        blocks.retired(&open.conversation);
        blocks.flush().expect("a page takes everything");
        let text = String::from_utf8(page.0.lock().expect("nobody panics").clone());
        let text = text.expect("text");
        let headings = text.matches("Conversation ").count();
        assert_eq!((headings, text.matches("continued").count()), (3_000, 0));
    }
}
