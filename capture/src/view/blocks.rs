//! Gathers a view's text by conversation, so that conversations that overlap in time are read one after the other.
//!
//! Conversations are written in the order in which they began, as soon as they are complete and no earlier one is still
//! going on. What waits for that is bounded: beyond [`MOST_BUFFERED`] complete ones are written out of order, and if that
//! is not enough, the others in parts, each part with a heading of its own.

use super::View;
use crate::conversation::{Conversation, Message, Sink, Step};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::mem;

/// Octets of memory that text may take while it waits. With less of it `talk` is a tenth faster, and tells twice as many
/// conversations of a large file in parts.
pub const MOST_BUFFERED: usize = 8 << 20;
/// What a block takes beside its text.
const OVERHEAD: usize = 128;
/// Text is handed on in pieces of about this size.
const PIECE: usize = 64 << 10;
/// Octets of text that most conversations of the lab come to.
const USUAL: usize = 1 << 10;
/// Emptied buffers that are kept for the next conversations (as many as wait at a time), and how large they may be.
const MOST_SPARE: usize = 4096;
const MOST_SPARE_SIZE: usize = 16 << 10;

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
    buffered: usize,
    /// All conversations before this one are written.
    next: u32,
    newest: u32,
    /// The conversation written about last.
    current: Option<u32>,
    /// Conversations whose last words were said before they were forgotten.
    ended: HashSet<u32, foldhash::fast::FixedState>,
    spare: Vec<Vec<u8>>,
    error: Option<io::Error>,
}

#[derive(Default)]
struct Block {
    text: Vec<u8>,
    is_complete: bool,
    /// A part of it was written already.
    in_parts: bool,
}

impl Block {
    /// Octets of memory it takes.
    fn size(&self) -> usize {
        self.text.capacity() + OVERHEAD
    }
}

impl Blocks {
    /// Writes what `view` says to `writer`.
    pub fn new(mut view: Box<dyn View>, order: Order, writer: Box<dyn Write>) -> Self {
        let mut out = Vec::with_capacity(PIECE * 2);
        view.opening(&mut out);
        Blocks {
            view,
            order,
            writer,
            out,
            blocks: HashMap::default(),
            buffered: 0,
            next: 0,
            newest: 0,
            current: None,
            ended: HashSet::default(),
            spare: Vec::new(),
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
                if self.out.len() >= PIECE {
                    self.hand_on();
                }
            }
            Order::ByConversation => {
                let is_new = id >= self.newest;
                if is_new {
                    self.newest = id + 1;
                }
                let spare = &mut self.spare;
                let before;
                let block = match self.blocks.entry(id) {
                    Entry::Occupied(entry) => {
                        let block = entry.into_mut();
                        before = block.size();
                        block
                    }
                    Entry::Vacant(entry) => {
                        before = 0;
                        entry.insert(Block {
                            text: spare.pop().unwrap_or_default(),
                            ..Block::default()
                        })
                    }
                };
                if is_new {
                    view.begin(&mut block.text, conversation);
                    if !block.text.is_empty() {
                        // A view that has begun to tell will go on.
                        block.text.reserve(USUAL);
                    }
                } else if block.text.is_empty() && block.in_parts {
                    view.resume(&mut block.text, conversation);
                }
                write(view, &mut block.text);
                self.buffered += block.size() - before;
            }
        }
    }

    /// Writes the conversations that are complete, from the oldest on.
    fn write_complete(&mut self) {
        // Conversations that are not shown never have a block.
        self.advance();
        while let Some(block) = self.blocks.get(&self.next) {
            if !block.is_complete {
                return;
            }
            let id = self.next;
            self.write_block(id);
            self.advance();
        }
    }

    fn write_block(&mut self, id: u32) {
        let Some(mut block) = self.blocks.remove(&id) else {
            return;
        };
        self.buffered -= block.size();
        self.out.extend_from_slice(&block.text);
        if self.spare.len() < MOST_SPARE && block.text.capacity() <= MOST_SPARE_SIZE {
            block.text.clear();
            self.spare.push(block.text);
        }
        if self.out.len() >= PIECE {
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
        let mut ids: Vec<u32> = self.blocks.keys().copied().collect();
        ids.sort_unstable();
        for id in &ids {
            if self.blocks.get(id).is_some_and(|block| block.is_complete) {
                self.write_block(*id);
            }
        }
        if self.buffered > MOST_BUFFERED / 2 {
            for id in &ids {
                let Some(block) = self.blocks.get_mut(id) else {
                    continue;
                };
                let before = block.size();
                let text = mem::take(&mut block.text);
                block.in_parts = true;
                self.buffered -= before - block.size();
                self.out.extend_from_slice(&text);
                if self.out.len() >= PIECE {
                    self.hand_on();
                }
            }
        }
        self.advance();
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
        if let Some(block) = self.blocks.get_mut(&conversation.id) {
            block.is_complete = true;
            self.write_complete();
        }
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
}
