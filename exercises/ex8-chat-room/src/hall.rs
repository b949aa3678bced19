//! One bounded outbox per connection, and the room they belong to: the only user of
//! [`Room`].
//!
//! What the room says once is written out once and copied into the outbox of everyone it is for. An
//! outbox is emptied in one `write` by the connection it belongs to, so lines that come quickly travel
//! together and one that comes alone travels at once.
//!
//! **Who does not read:** when the kernel takes no more for a member and [`OUTBOX_LIMIT`] octets
//! wait, the member is removed and the room is told. Nobody waits for it.
//!
//! **Who does not log in:** keeps a seat only as long as nobody else wants it. When all are taken, the
//! connection that has been without a name for longest is sent away for a new one, so that a flood of
//! silent connections locks nobody out. A member's seat is never given away.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    sync::Arc,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    lines::TooLong,
    message::{Reply, Request},
    room::{Audience, Delivery, Event, MemberId, Room, Unreadable, Vanishing},
};

/// Most octets that wait in the server for one member, on top of what the kernel holds.
pub const OUTBOX_LIMIT: usize = 1024 * 1024;

/// Most connections at once, members and guests, unless told otherwise.
pub const MAX_CONNECTIONS: usize = 1000;

/// An emptied outbox larger than this gives its memory back.
const KEEP: usize = 64 * 1024;

/// Where an outbox is emptied into: a connection, or what a test has in its place.
pub trait Sink {
    /// Takes as many octets as it can without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it can take none now; anything else if it is broken.
    fn try_write(&self, octets: &[u8]) -> io::Result<usize>;
}

impl Sink for TcpStream {
    fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, octets)
    }
}

/// What the server's own output is told. `Display` gives it as one line.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A notice or a line, once, however many get it.
    Told(&'a Reply),
    /// There are no means for another connection, and why. Those that are there go on.
    CannotAccept(&'a io::Error),
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(reply) => reply.fmt(f),
            Self::CannotAccept(why) => {
                write!(f, "Nobody else can connect for the moment: {why}")
            }
        }
    }
}

/// The room and everyone's outbox.
pub struct Hall<S = TcpStream> {
    room: Room,
    outboxes: BTreeMap<MemberId, Outbox<S>>,
    /// Those who have not logged in, in the order they came.
    guests: BTreeSet<MemberId>,
    max_connections: usize,
    next_id: u64,
    log: Box<dyn FnMut(Entry<'_>) + Send>,
    /// The encoded reply under way; kept for its memory.
    encoded: Vec<u8>,
}

/// What one connection still has to get.
struct Outbox<S> {
    octets: BytesMut,
    sink: Arc<S>,
    wake: Arc<Notify>,
    /// Something did not fit: only the goodbye is still to come.
    overflowed: bool,
    /// The goodbye is in: nothing more comes after it.
    closed: bool,
}

/// What is left of an outbox after as much as possible was written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Octets wait: the kernel takes no more for now.
    pub waiting: bool,
    /// The goodbye is written or waits as the last thing.
    pub closed: bool,
}

/// A connection's place in the hall.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its number.
    pub id: MemberId,
    /// Notified when an empty outbox gets something.
    pub wake: Arc<Notify>,
}

impl<S: Sink> Hall<S> {
    /// An empty hall with so many seats. `log` is given every notice and every line, once.
    pub fn new(max_connections: usize, log: impl FnMut(Entry<'_>) + Send + 'static) -> Self {
        Self {
            room: Room::new(),
            outboxes: BTreeMap::new(),
            guests: BTreeSet::new(),
            max_connections,
            next_id: 1,
            log: Box::new(log),
            encoded: Vec::new(),
        }
    }

    /// Gives a new connection its outbox, and if need be that of a guest; `None` when everybody there is
    /// a member.
    pub fn enter(&mut self, sink: &Arc<S>) -> Option<Seat> {
        if self.outboxes.len() >= self.max_connections && !self.send_a_guest_away() {
            return None;
        }
        let seat = Seat {
            id: MemberId(self.next_id),
            wake: Arc::default(),
        };
        self.next_id += 1;
        self.guests.insert(seat.id);
        self.outboxes.insert(
            seat.id,
            Outbox {
                octets: BytesMut::new(),
                sink: Arc::clone(sink),
                wake: Arc::clone(&seat.wake),
                overflowed: false,
                closed: false,
            },
        );
        Some(seat)
    }

    /// Takes back the outbox of a connection that has ended.
    pub fn exit(&mut self, id: MemberId) {
        self.outboxes.remove(&id);
        self.guests.remove(&id);
        self.handle(Event::Vanish(id, Vanishing::Lost));
    }

    /// Does what a connection's line asks for.
    pub fn receive(&mut self, id: MemberId, line: Result<Bytes, TooLong>) {
        // What comes after LEAVE, or from a member on its way out, is not for the room.
        if self.outboxes.get(&id).is_none_or(|outbox| outbox.closed) {
            return;
        }
        let request = line
            .map_err(Unreadable::from)
            .and_then(|line| Ok(Request::parse(&line)?));
        self.handle(match &request {
            Ok(Request::Login(name)) => Event::Login(id, name),
            Ok(Request::Say(text)) => Event::Line(id, text),
            Ok(Request::Who) => Event::Who(id),
            Ok(Request::Leave) => Event::Leave(id),
            Err(why) => Event::Unreadable(id, *why),
        });
        if self.room.contains(id) {
            self.guests.remove(&id);
        }
    }

    /// Sends a connection away that has not logged in in time.
    pub fn expire(&mut self, id: MemberId) {
        self.handle(Event::Vanish(id, Vanishing::NeverLoggedIn));
    }

    /// Whether this connection has logged in.
    pub fn is_member(&self, id: MemberId) -> bool {
        self.room.contains(id)
    }

    /// How many have logged in.
    pub fn member_count(&self) -> usize {
        self.room.members().len()
    }

    /// Says goodbye to everyone, guests included.
    pub fn close(&mut self) {
        self.handle(Event::Shutdown);
        let mut goodbye = Vec::new();
        Reply::Bye("the server is shutting down".into()).encode(&mut goodbye);
        for outbox in self.outboxes.values_mut() {
            outbox.close(&goodbye);
            // Now, and not only when it is its turn: there may be thousands, and little time.
            let _ = outbox.flush();
        }
    }

    /// Tells the server's own output why nobody can be let in.
    pub fn complain(&mut self, why: &io::Error) {
        (self.log)(Entry::CannotAccept(why));
    }

    /// Writes as much of an outbox as the kernel takes.
    ///
    /// # Errors
    /// The connection is broken, or its seat has been given to another.
    pub fn flush(&mut self, id: MemberId) -> io::Result<Outgoing> {
        match self.outboxes.get_mut(&id) {
            Some(outbox) => outbox.flush(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes the seat of who has been without a name for longest, without waiting for their goodbye to
    /// arrive: a flood would fill the waiting room as well.
    fn send_a_guest_away(&mut self) -> bool {
        let Some(guest) = self.guests.pop_first() else {
            return false;
        };
        if let Some(mut outbox) = self.outboxes.remove(&guest) {
            let mut goodbye = Vec::new();
            Reply::Bye("the room is full, and you have not logged in".into()).encode(&mut goodbye);
            outbox.close(&goodbye);
            // What it takes of it now it gets.
            let _ = outbox.flush();
        }
        true
    }

    fn handle(&mut self, event: Event<'_>) {
        let mut deliveries: VecDeque<_> = self.room.handle(event).into();
        while let Some(delivery) = deliveries.pop_front() {
            for id in self.deliver(&delivery) {
                deliveries.extend(self.room.handle(Event::Vanish(id, Vanishing::OutboxFull)));
            }
        }
    }

    /// Returns those whose outbox is full: they have missed the delivery.
    fn deliver(&mut self, Delivery { to, reply }: &Delivery) -> Vec<MemberId> {
        if matches!(reply, Reply::Line { .. } | Reply::Notice { .. }) {
            (self.log)(Entry::Told(reply));
        }
        self.encoded.clear();
        reply.encode(&mut self.encoded);
        let octets = &self.encoded;
        let mut full = Vec::new();
        match *to {
            Audience::Only(id) => {
                if let Some(outbox) = self.outboxes.get_mut(&id) {
                    if matches!(reply, Reply::Bye(_)) {
                        outbox.close(octets);
                    } else if !outbox.offer(octets) {
                        full.push(id);
                    }
                }
            }
            Audience::Everyone | Audience::EveryoneBut(_) => {
                // Members and outboxes are both in the order of their ids: one walk through both
                // instead of a search for each.
                let mut outboxes = self.outboxes.iter_mut();
                for (id, _) in self.room.members() {
                    let outbox = outboxes.find(|(outbox_id, _)| **outbox_id == id);
                    let Some((_, outbox)) = outbox else { break };
                    if *to == Audience::EveryoneBut(id) {
                        continue;
                    }
                    if !outbox.offer(octets) {
                        full.push(id);
                    }
                }
            }
        }
        full
    }
}

impl<S: Sink> Outbox<S> {
    fn put(&mut self, octets: &[u8]) {
        if self.closed {
            return;
        }
        if self.octets.is_empty() {
            self.wake.notify_one();
        }
        self.octets.extend_from_slice(octets);
    }

    /// Puts the goodbye in, also where it is too full for anything else.
    fn close(&mut self, goodbye: &[u8]) {
        self.put(goodbye);
        self.closed = true;
        // Whoever waits for the kernel has to hear of it too.
        self.wake.notify_one();
    }

    /// Puts the octets in if they fit. After some that did not nothing else does: whoever is shown out
    /// has got everything up to that moment, without a gap.
    fn offer(&mut self, octets: &[u8]) -> bool {
        let fits = |outbox: &Self| outbox.octets.len() + octets.len() <= OUTBOX_LIMIT;
        if !self.overflowed && !fits(self) {
            // Its connection may just not have had its turn. A broken one is found out by its own task.
            let _ = self.flush();
            self.overflowed = !fits(self);
        }
        if !self.overflowed {
            self.put(octets);
        }
        !self.overflowed
    }

    fn flush(&mut self) -> io::Result<Outgoing> {
        while !self.octets.is_empty() {
            match self.sink.try_write(&self.octets) {
                Ok(written) => self.octets.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let waiting = !self.octets.is_empty();
        if !waiting && self.octets.capacity() > KEEP {
            self.octets = BytesMut::new();
        }
        Ok(Outgoing {
            waiting,
            closed: self.closed,
        })
    }
}
