//! What one connection still has to get, and the one way it gets it.
//!
//! Most of it is what everybody gets. That is on the [`Tape`], and an outbox only remembers how far its
//! connection has got: a line to a thousand members is in memory once. In between come answers that are for this
//! connection alone, and lines of its own that it leaves out.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    ops::Range,
    sync::Arc,
};

use bytes::{Buf, BytesMut};
use tokio::{net::TcpStream, sync::Notify};

use crate::tape::Tape;

/// Most octets that wait in the server for one member, on top of what the kernel holds: so far it may be behind the
/// others, and so much may wait that is for it alone.
pub const OUTBOX_LIMIT: usize = 1024 * 1024;

/// Pieces that leave in one `write`.
const PIECES: usize = 16;

/// Where an outbox is emptied into: a connection, or what a test has in its place.
pub trait Sink {
    /// Takes as many octets of these pieces as it can without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it can take none now; anything else if it is broken.
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Sink for TcpStream {
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            // The usual case, and the cheaper system call.
            [piece] => self.try_write(piece),
            pieces => TcpStream::try_write_vectored(self, pieces),
        }
    }
}

/// What is left of an outbox after as much as possible was written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Octets wait: the kernel takes no more for now.
    pub waiting: bool,
    /// The goodbye is written or waits as the last thing.
    pub closed: bool,
}

/// First the parts, then what is on the tape from `live` on.
pub(crate) struct Outbox<S> {
    sink: Arc<S>,
    /// Wakes the connection's own task.
    wake: Arc<Notify>,
    parts: VecDeque<Part>,
    /// `None`: gets nothing of what all get, because it is not in yet, or not any more.
    live: Option<u64>,
    /// The kernel took no more, or the connection is broken: its own task sees to it.
    stuck: bool,
    /// Something did not fit: only the goodbye is still to come.
    overflowed: bool,
    /// The goodbye is in: nothing more comes after it.
    closed: bool,
}

enum Part {
    Tape(Range<u64>),
    Own(BytesMut),
}

impl Part {
    fn octets<'a>(&'a self, tape: &'a Tape) -> &'a [u8] {
        match self {
            Part::Tape(at) => tape.play(at.clone()),
            Part::Own(octets) => octets,
        }
    }
}

impl<S: Sink> Outbox<S> {
    pub(crate) fn new(sink: Arc<S>, wake: Arc<Notify>) -> Self {
        Self {
            sink,
            wake,
            parts: VecDeque::new(),
            live: None,
            stuck: false,
            overflowed: false,
            closed: false,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// From here on it gets what all get, if it does not yet.
    pub(crate) fn tune_in(&mut self, tape: &Tape) {
        if self.live.is_none() && !self.closed && !self.overflowed {
            self.live = Some(tape.end());
        }
    }

    /// Leaves out what has just been recorded.
    pub(crate) fn leave_out(&mut self, line: Range<u64>) {
        if self.live.is_some() {
            self.hold(line.start);
            self.live = Some(line.end);
        }
    }

    /// Puts in what is for it alone, if it fits. After something that did not nothing else does: whoever is shown
    /// out has got everything up to that moment, without a gap.
    pub(crate) fn offer(&mut self, octets: &[u8], tape: &Tape) -> bool {
        let fits = |outbox: &Self| outbox.own_len() + octets.len() <= OUTBOX_LIMIT;
        if !self.overflowed && !fits(self) {
            // It may just not have had its turn.
            self.flush_for_its_task(tape);
            self.overflowed = !fits(self);
        }
        if self.overflowed {
            self.hold(tape.end());
            self.live = None;
        } else {
            self.put(octets, tape);
            self.wake.notify_one();
        }
        !self.overflowed
    }

    /// Takes along what is still to come up to `end`, and leaves the tape to the others. Says whether it was
    /// listening until now.
    pub(crate) fn leave_tape(&mut self, tape: &Tape, end: u64) -> bool {
        self.hold(end);
        let mut rest = BytesMut::new();
        for part in self.parts.drain(..) {
            rest.extend_from_slice(part.octets(tape));
        }
        self.parts.push_back(Part::Own(rest));
        let was_live = self.live.take().is_some();
        self.overflowed |= was_live;
        was_live
    }

    /// Puts the goodbye in, also where it is too full for anything else.
    pub(crate) fn close(&mut self, goodbye: &[u8], tape: &Tape) {
        self.put(goodbye, tape);
        self.live = None;
        self.closed = true;
        // Whoever waits for the kernel has to hear of it too.
        self.wake.notify_one();
    }

    /// The first position of the tape that it still needs, if any.
    pub(crate) fn needs_from(&self) -> Option<u64> {
        let from = |part: &Part| match part {
            Part::Tape(at) => Some(at.start),
            Part::Own(_) => None,
        };
        self.parts.iter().find_map(from).or(self.live)
    }

    /// Whether what is left is for its own task: the kernel took no more, or the connection is broken.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Writes as much as the kernel takes now. What it does not take, or why it never will, is for its own task.
    pub(crate) fn flush_for_its_task(&mut self, tape: &Tape) {
        let _ = self.flush(tape);
        if self.stuck {
            self.wake.notify_one();
        }
    }

    /// Writes as much as the kernel takes.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn flush(&mut self, tape: &Tape) -> io::Result<Outgoing> {
        self.stuck = true;
        loop {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = self.pieces(tape, &mut pieces);
            if count == 0 {
                self.stuck = false;
                break;
            }
            match self.sink.try_write_vectored(&pieces[..count]) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Outgoing {
            waiting: self.stuck,
            closed: self.closed,
        })
    }

    /// Makes a part of what is on the tape before `end` and still to come.
    fn hold(&mut self, end: u64) {
        if let Some(from) = self.live.filter(|&from| from < end) {
            self.parts.push_back(Part::Tape(from..end));
            self.live = Some(end);
        }
    }

    fn put(&mut self, octets: &[u8], tape: &Tape) {
        if self.closed {
            return;
        }
        self.hold(tape.end());
        match self.parts.back_mut() {
            Some(Part::Own(own)) => own.extend_from_slice(octets),
            _ => self.parts.push_back(Part::Own(octets.into())),
        }
    }

    fn own_len(&self) -> usize {
        let own = self.parts.iter().map(|part| match part {
            Part::Own(octets) => octets.len(),
            Part::Tape(_) => 0,
        });
        own.sum()
    }

    /// Puts the first octets that are still to come into these pieces, and says how many they are.
    fn pieces<'a>(&'a self, tape: &'a Tape, pieces: &mut [IoSlice<'a>; PIECES]) -> usize {
        let live = self.live.map(|from| tape.play(from..tape.end()));
        let parts = self.parts.iter().map(|part| part.octets(tape));
        let octets = parts.chain(live).filter(|octets| !octets.is_empty());
        let mut count = 0;
        for (piece, octets) in pieces.iter_mut().zip(octets) {
            *piece = IoSlice::new(octets);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(part) = self.parts.front_mut() {
            let rest = match part {
                Part::Tape(at) => {
                    let len = (at.end - at.start).min(written as u64);
                    at.start += len;
                    written -= len as usize;
                    at.end - at.start
                }
                Part::Own(octets) => {
                    let len = octets.len().min(written);
                    octets.advance(len);
                    written -= len;
                    octets.len() as u64
                }
            };
            if rest > 0 {
                return;
            }
            self.parts.pop_front();
        }
        // Most are silent most of the time, and should cost nothing then.
        self.parts = VecDeque::new();
        self.live = self.live.map(|from| from + written as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes so many octets more.
    struct Wire(Mutex<(String, usize)>);

    impl Sink for Wire {
        fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            let (taken, room) = &mut *self.0.lock().expect("one thread");
            let octets = pieces.iter().flat_map(|piece| piece.iter());
            let some: Vec<_> = octets.copied().take(*room).collect();
            *room -= some.len();
            taken.push_str(std::str::from_utf8(&some).expect("the tests write ASCII"));
            match some.len() {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                len => Ok(len),
            }
        }
    }

    /// A tape on which `old` is, and a connection that takes so many octets.
    fn start(room: usize) -> (Tape, Outbox<Wire>, Arc<Wire>) {
        let mut tape = Tape::default();
        tape.record(b"old ");
        let wire = Arc::new(Wire(Mutex::new((String::new(), room))));
        let outbox = Outbox::new(Arc::clone(&wire), Arc::default());
        (tape, outbox, wire)
    }

    impl Wire {
        fn take(&self, room: usize) {
            self.0.lock().expect("one thread").1 = room;
        }

        #[track_caller]
        fn check(&self, expected: &str) {
            assert_eq!(self.0.lock().expect("one thread").0, expected);
        }
    }

    /// What a member is told in all ways there are, its own line left out.
    fn tell_all_kinds(tape: &mut Tape, outbox: &mut Outbox<Wire>) {
        assert!(outbox.offer(b"welcome ", tape));
        outbox.tune_in(tape);
        tape.record(b"one ");
        outbox.leave_out(tape.record(b"own "));
        tape.record(b"two ");
        assert!(outbox.offer(b"answer ", tape));
        tape.record(b"three ");
        outbox.close(b"bye", tape);
        tape.record(b"late ");
    }

    const TOLD: &str = "welcome one two answer three bye";

    #[test]
    fn everything_comes_in_the_order_in_which_it_was_told() {
        for step in 1..=TOLD.len() {
            let (mut tape, mut outbox, wire) = start(0);
            tell_all_kinds(&mut tape, &mut outbox);
            loop {
                wire.take(step);
                let outgoing = outbox.flush(&tape).expect("a wire does not break");
                assert!(outgoing.closed);
                if !outgoing.waiting {
                    break;
                }
                tape.forget_before(outbox.needs_from().unwrap_or(tape.end()));
            }
            wire.check(TOLD);
            assert_eq!(outbox.needs_from(), None);
        }
    }

    #[test]
    fn who_leaves_the_tape_takes_along_what_was_told_before() {
        let (mut tape, mut outbox, wire) = start(10);
        outbox.tune_in(&tape);
        tape.record(b"one two ");
        assert!(outbox.flush(&tape).is_ok_and(|outgoing| !outgoing.waiting));
        tape.record(b"three ");
        let line = tape.record(b"four ");
        outbox.flush_for_its_task(&tape);
        assert!(outbox.is_stuck());
        assert!(outbox.leave_tape(&tape, line.start), "it was live");
        tape.forget_before(tape.end());
        tape.record(b"five ");
        assert!(!outbox.offer(b"answer ", &tape), "nothing after a gap");
        outbox.close(b"bye", &tape);
        wire.take(100);
        assert!(outbox.flush(&tape).is_ok_and(|outgoing| !outgoing.waiting));
        wire.check("one two three bye");
    }

    #[test]
    fn so_much_waits_for_one_alone_and_no_more() {
        let (tape, mut outbox, wire) = start(0);
        let large = vec![b'x'; OUTBOX_LIMIT];
        assert!(outbox.offer(&large, &tape));
        assert!(!outbox.offer(b"y", &tape));
        wire.take(usize::MAX);
        assert!(!outbox.offer(b"z", &tape), "nothing after a gap");
        outbox.close(b"bye", &tape);
        assert!(outbox.flush(&tape).is_ok_and(|outgoing| !outgoing.waiting));
        let taken = wire.0.lock().expect("one thread").0.split_off(OUTBOX_LIMIT);
        assert_eq!(taken, "bye");
    }
}
