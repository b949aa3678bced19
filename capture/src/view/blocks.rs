//! Gathers a view's text by conversation, so that conversations that overlap in time are read one after the other.
//!
//! Conversations are written in the order in which they began, as soon as they are complete and no earlier one is still
//! going on. What waits for that is bounded: when complete ones come to more than [`MOST_COMPLETE`], all of them are
//! written although an earlier one is still going on; and when everything that waits comes to more than
//! [`MOST_BUFFERED`], the others are written in parts, each part with a heading of its own.

use super::View;
use super::pieces::{Chain, Pieces};
use crate::conversation::{Conversation, Message, Sink, Step};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Write};

/// Octets of memory that text may take while it waits.
pub const MOST_BUFFERED: usize = 8 << 20;
/// Octets of memory that text of complete conversations may take: some twelve hundred of the lab's. What waits longer has
/// left the processor's cache by the time it is written.
pub const MOST_COMPLETE: usize = 1 << 20;
/// What a block takes beside its text.
const OVERHEAD: usize = 64;
/// Text is handed on in amounts of about this size.
const AMOUNT: usize = 64 << 10;

/// In which order text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One conversation after the other.
    ByConversation,
    /// As it happens, with a heading whenever another conversation goes on. A view may give its verdict on a connection
    /// as soon as that is over.
    AsItHappens,
}

/// Writes what a view says to `writer`.
pub struct Blocks {
    view: Box<dyn View>,
    order: Order,
    writer: Box<dyn Write>,
    /// Text on its way to the writer.
    out: Vec<u8>,
    /// The keys are numbers of our own making, so a quick hash will do.
    blocks: HashMap<u32, Block, foldhash::fast::FixedState>,
    /// Where the text of the blocks is.
    pieces: Pieces,
    /// What the view says before it is in its block; empty in between.
    said: Vec<u8>,
    buffered: usize,
    /// The blocks that are complete, and what they take.
    complete: BTreeSet<u32>,
    complete_size: usize,
    /// All conversations before this one are written.
    next: u32,
    newest: u32,
    /// The conversation written about last.
    current: Option<u32>,
    /// Conversations whose last words were said before they were forgotten.
    ended: HashSet<u32, foldhash::fast::FixedState>,
    error: Option<io::Error>,
}

#[derive(Default)]
struct Block {
    text: Chain,
    /// A part of it was written already.
    in_parts: bool,
}

impl Block {
    /// Octets of memory it takes.
    fn size(&self) -> usize {
        self.text.size() + OVERHEAD
    }
}

impl Blocks {
    /// Writes what `view` says to `writer`.
    pub fn new(mut view: Box<dyn View>, order: Order, writer: Box<dyn Write>) -> Self {
        let mut out = Vec::with_capacity(AMOUNT * 2);
        view.opening(&mut out);
        Blocks {
            view,
            order,
            writer,
            out,
            blocks: HashMap::default(),
            pieces: Pieces::default(),
            said: Vec::new(),
            buffered: 0,
            complete: BTreeSet::new(),
            complete_size: 0,
            next: 0,
            newest: 0,
            current: None,
            ended: HashSet::default(),
            error: None,
        }
    }

    /// Text that belongs to no conversation, after everything that is ready.
    pub fn say(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Hands everything that is ready to the writer.
    ///
    /// # Errors
    /// When it could not be written, now or earlier.
    pub fn flush(&mut self) -> io::Result<()> {
        self.hand_on();
        match self.error.take() {
            Some(error) => Err(error),
            None => self.writer.flush(),
        }
    }

    /// Whether writing failed; what is said from then on is lost.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    fn hand_on(&mut self) {
        if self.error.is_none()
            && let Err(error) = self.writer.write_all(&self.out)
        {
            self.error = Some(error);
        }
        self.out.clear();
    }

    /// Has the view write about a conversation, into its block or straight out.
    fn write(
        &mut self,
        conversation: &Conversation,
        write: impl FnOnce(&mut dyn View, &mut Vec<u8>),
    ) {
        let id = conversation.id;
        let view = self.view.as_mut();
        match self.order {
            Order::AsItHappens => {
                let is_new = id >= self.newest;
                if is_new {
                    self.newest = id + 1;
                    view.begin(&mut self.out, conversation);
                }
                let start = self.out.len();
                if !is_new && self.current != Some(id) {
                    view.resume(&mut self.out, conversation);
                }
                let heading = self.out.len();
                write(view, &mut self.out);
                if self.out.len() == heading && !is_new {
                    // A heading with nothing under it is none.
                    self.out.truncate(start);
                } else {
                    self.current = Some(id);
                    self.ended.remove(&id);
                }
                if self.out.len() >= AMOUNT {
                    self.hand_on();
                }
            }
            Order::ByConversation => {
                let is_new = id >= self.newest;
                if is_new {
                    self.newest = id + 1;
                }
                let (block, before) = match self.blocks.entry(id) {
                    Entry::Occupied(entry) => {
                        let block = entry.into_mut();
                        let before = block.size();
                        (block, before)
                    }
                    Entry::Vacant(entry) => (entry.insert(Block::default()), 0),
                };
                if is_new {
                    view.begin(&mut self.said, conversation);
                } else if block.in_parts && block.text.is_empty() {
                    view.resume(&mut self.said, conversation);
                }
                write(view, &mut self.said);
                self.pieces.append(&mut block.text, &self.said);
                self.said.clear();
                self.buffered += block.size() - before;
            }
        }
    }

    /// A conversation is complete: writes it and those that waited for it, unless an earlier one is still going on.
    fn complete(&mut self, id: u32) {
        let Some(block) = self.blocks.get(&id) else {
            return;
        };
        self.complete_size += block.size();
        self.complete.insert(id);
        // Conversations that are not shown never have a block.
        self.advance();
        while self.complete.first() == Some(&self.next) {
            self.write_first_complete();
            self.advance();
        }
        if self.complete_size > MOST_COMPLETE {
            self.write_all_complete();
        }
    }

    fn write_all_complete(&mut self) {
        while !self.complete.is_empty() {
            self.write_first_complete();
        }
        self.advance();
    }

    fn write_first_complete(&mut self) {
        let id = self.complete.pop_first();
        let Some(mut block) = id.and_then(|id| self.blocks.remove(&id)) else {
            return;
        };
        self.buffered -= block.size();
        self.complete_size -= block.size();
        self.pieces.drain(&mut block.text, &mut self.out);
        if self.out.len() >= AMOUNT {
            self.hand_on();
        }
    }

    fn advance(&mut self) {
        while self.next < self.newest && !self.blocks.contains_key(&self.next) {
            self.next += 1;
        }
    }

    /// Too much waits: complete conversations go first, then parts of the others.
    fn make_room(&mut self) {
        self.write_all_complete();
        if self.buffered > MOST_BUFFERED {
            let mut ids: Vec<u32> = self.blocks.keys().copied().collect();
            ids.sort_unstable();
            for id in &ids {
                let Some(block) = self.blocks.get_mut(id) else {
                    continue;
                };
                let before = block.size();
                self.pieces.drain(&mut block.text, &mut self.out);
                block.in_parts = true;
                self.buffered -= before - block.size();
                if self.out.len() >= AMOUNT {
                    self.hand_on();
                }
            }
        }
    }
}

impl Sink for Blocks {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        if conversation.id < self.newest && self.view.ignores(conversation, step) {
            return;
        }
        self.write(conversation, |view, out| view.step(out, conversation, step));
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
        self.complete(conversation.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::{Role, State};
    use crate::view::testing::Scene;
    use crate::view::{Style, talk::Talk};
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
        fn verdicts(&self) -> usize {
            let text = String::from_utf8(self.0.lock().expect("nobody panics").clone());
            text.expect("text").matches("closed by the client").count()
        }
    }

    fn shown_as_it_happens(scene: &Scene) -> (usize, usize) {
        let page = Page::default();
        let view = Box::new(Talk::new(Style::default()));
        let mut blocks = Blocks::new(view, Order::AsItHappens, Box::new(page.clone()));
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
        let view = Box::new(Talk::new(Style::default()));
        let mut blocks = Blocks::new(view, Order::ByConversation, Box::new(page.clone()));
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
