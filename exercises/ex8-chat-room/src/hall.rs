//! The room with the outboxes of all its connections: the only user of [`Room`].
//!
//! What the room says to everybody is written out once and recorded on the [`Tape`]. When all who have just spoken
//! have been heard, [`Hall::send_some`] goes round and empties one outbox after the other, each in one `write`, so
//! lines that come quickly travel together and one that comes alone travels at once. It goes a few steps at a time:
//! what is said meanwhile leaves with the same round for all who come later in it, and whoever is first in the
//! room is not first to hear everything. What is for one connection only, and what the kernel does not take at
//! once, is sent by that connection's task.
//!
//! **Who does not read:** when the kernel takes no more for a member and it is [`OUTBOX_LIMIT`] octets behind the
//! others, the member is removed and the room is told. Nobody waits for it.
//!
//! **Who does not log in:** keeps a seat only as long as nobody else wants it. When all are taken, the
//! connection that has been without a name for longest is sent away for a new one, so that a flood of
//! silent connections locks nobody out. A member's seat is never given away.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    sync::Arc,
};

use bytes::Bytes;
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    lines::TooLong,
    message::{Reply, Request},
    outbox::{OUTBOX_LIMIT, Outbox, Outgoing, Sink},
    room::{Audience, Delivery, Event, MemberId, Room, Unreadable, Vanishing},
    tape::Tape,
};

/// Most connections at once, members and guests, unless told otherwise.
pub const MAX_CONNECTIONS: usize = 1000;

/// Before all others.
const FIRST: MemberId = MemberId(0);

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
    tape: Tape,
    /// Whose turn it is in the round.
    turn: MemberId,
    /// The end of the tape when this round began.
    round_from: u64,
    /// Those who have not logged in, in the order they came.
    guests: BTreeSet<MemberId>,
    max_connections: usize,
    next_id: u64,
    log: Box<dyn FnMut(Entry<'_>) + Send>,
    /// Notified when there is something for many.
    mail: Arc<Notify>,
    /// The encoded reply under way; kept for its memory.
    encoded: Vec<u8>,
}

/// A connection's place in the hall.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its number.
    pub id: MemberId,
    /// Notified when its outbox is this connection's own task's to empty.
    pub wake: Arc<Notify>,
}

impl<S: Sink> Hall<S> {
    /// An empty hall with so many seats. `log` is given every notice and every line, once.
    pub fn new(max_connections: usize, log: impl FnMut(Entry<'_>) + Send + 'static) -> Self {
        Self {
            room: Room::new(),
            outboxes: BTreeMap::new(),
            tape: Tape::default(),
            turn: FIRST,
            round_from: 0,
            guests: BTreeSet::new(),
            max_connections,
            next_id: 1,
            log: Box::new(log),
            mail: Arc::default(),
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
            Outbox::new(Arc::clone(sink), Arc::clone(&seat.wake)),
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
        if self.outboxes.get(&id).is_none_or(Outbox::is_closed) {
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
            outbox.close(&goodbye, &self.tape);
            // Now, and not only when it is its turn: there may be thousands, and little time.
            let _ = outbox.flush(&self.tape);
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
            Some(outbox) => outbox.flush(&self.tape),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Notified when there is something for many: whoever waits for it calls [`send_some`](Self::send_some).
    pub fn mail(&self) -> Arc<Notify> {
        Arc::clone(&self.mail)
    }

    /// Goes on with the round for so many turns, or to its end: in each, writes as much of the next outbox as the
    /// kernel takes. Says whether it has to be called again, since somebody may not have had their turn with all
    /// there is.
    pub fn send_some(&mut self, turns: usize) -> bool {
        if self.turn == FIRST {
            self.round_from = self.tape.end();
        }
        let mut left = turns;
        for (&id, outbox) in self.outboxes.range_mut(self.turn..).take(turns) {
            if !outbox.is_stuck() {
                outbox.flush_for_its_task(&self.tape);
            }
            self.turn = MemberId(id.0 + 1);
            left -= 1;
        }
        if left == 0 {
            return true;
        }
        self.turn = FIRST;
        self.forget();
        self.round_from < self.tape.end()
    }

    /// Forgets what all have got.
    fn forget(&mut self) {
        let needed = self.outboxes.values().filter_map(Outbox::needs_from).min();
        self.tape.forget_before(needed.unwrap_or(self.tape.end()));
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
            outbox.close(&goodbye, &self.tape);
            // What it takes of it now it gets.
            let _ = outbox.flush(&self.tape);
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
        match *to {
            Audience::Only(id) => self.tell(id, matches!(reply, Reply::Bye(_))),
            Audience::Everyone => self.tell_all(None),
            Audience::EveryoneBut(id) => self.tell_all(Some(id)),
        }
    }

    /// Puts what is encoded into one outbox.
    fn tell(&mut self, id: MemberId, is_goodbye: bool) -> Vec<MemberId> {
        let mut full = Vec::new();
        if let Some(outbox) = self.outboxes.get_mut(&id) {
            if is_goodbye {
                outbox.close(&self.encoded, &self.tape);
            } else if !outbox.offer(&self.encoded, &self.tape) {
                full.push(id);
            }
            // The welcome is the first that a member gets, and whatever all get it gets after it.
            if self.room.contains(id) {
                outbox.tune_in(&self.tape);
            }
        }
        full
    }

    /// Records what is encoded for all members.
    fn tell_all(&mut self, but: Option<MemberId>) -> Vec<MemberId> {
        let line = self.tape.record(&self.encoded);
        if let Some(outbox) = but.and_then(|id| self.outboxes.get_mut(&id)) {
            outbox.leave_out(line.clone());
        }
        self.mail.notify_one();
        if self.tape.len() > OUTBOX_LIMIT {
            self.leave_behind(line.start)
        } else {
            Vec::new()
        }
    }

    /// Has those who are too far behind the others get what was told before `end` and no more.
    fn leave_behind(&mut self, end: u64) -> Vec<MemberId> {
        let limit = self.tape.end() - OUTBOX_LIMIT as u64;
        let is_behind = |outbox: &Outbox<S>| outbox.needs_from().is_some_and(|from| from < limit);
        let mut full = Vec::new();
        for (&id, outbox) in &mut self.outboxes {
            // It may just not have had its turn.
            if is_behind(outbox) || !outbox.is_stuck() {
                outbox.flush_for_its_task(&self.tape);
            }
            if is_behind(outbox) && outbox.leave_tape(&self.tape, end) {
                full.push(id);
            }
        }
        // Nobody needs as much any more.
        self.forget();
        full
    }
}

#[cfg(test)]
mod tests {
    use std::{io::IoSlice, sync::Mutex};

    use super::*;

    /// What each `write` brought to one connection.
    #[derive(Default)]
    struct Wire(Mutex<Vec<String>>);

    impl Sink for Wire {
        fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            let text: String = pieces
                .iter()
                .map(|piece| String::from_utf8_lossy(piece))
                .collect();
            let len = text.len();
            self.0.lock().expect("one thread").push(text);
            Ok(len)
        }
    }

    impl Wire {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("one thread"))
        }
    }

    /// A hall with so many members, who have all heard that they are in.
    fn hall(members: usize) -> (Hall<Wire>, Vec<Seat>, Vec<Arc<Wire>>) {
        let mut hall = Hall::new(members, |_| {});
        let wires: Vec<_> = (0..members).map(|_| Arc::<Wire>::default()).collect();
        let seats: Vec<_> = wires
            .iter()
            .map(|wire| hall.enter(wire).expect("there are seats"))
            .collect();
        for (number, seat) in seats.iter().enumerate() {
            hall.receive(seat.id, Ok(format!("LOGIN m{number}").into()));
        }
        send_all(&mut hall);
        for wire in &wires {
            wire.take();
        }
        (hall, seats, wires)
    }

    fn send_all(hall: &mut Hall<Wire>) {
        while hall.send_some(usize::MAX) {}
    }

    #[test]
    fn what_is_said_during_a_round_goes_with_it_to_those_whose_turn_is_still_to_come() {
        let (mut hall, seats, wires) = hall(4);
        hall.receive(seats[3].id, Ok("SAY one".into()));
        assert!(hall.send_some(2));
        hall.receive(seats[3].id, Ok("SAY two".into()));
        send_all(&mut hall);
        for (wire, expected) in wires.iter().zip([
            &["LINE m3: one\n", "LINE m3: two\n"][..],
            &["LINE m3: one\n", "LINE m3: two\n"],
            &["LINE m3: one\nLINE m3: two\n"],
            &[],
        ]) {
            assert_eq!(wire.take(), expected);
        }
        assert!(hall.tape.is_empty(), "all have got all");
    }

    #[test]
    fn who_comes_during_a_round_takes_nobodys_turn() {
        let (mut hall, seats, wires) = hall(3);
        hall.max_connections += 1;
        hall.receive(seats[0].id, Ok("SAY one".into()));
        assert!(hall.send_some(2));
        let wire = Arc::<Wire>::default();
        hall.enter(&wire).expect("there are seats");
        send_all(&mut hall);
        assert_eq!(wires[2].take(), ["LINE m0: one\n"]);
        assert!(wire.take().is_empty(), "a guest hears nothing");
    }

    #[test]
    fn who_goes_during_a_round_takes_nobodys_turn() {
        let (mut hall, seats, wires) = hall(4);
        hall.receive(seats[0].id, Ok("SAY one".into()));
        assert!(hall.send_some(2));
        hall.exit(seats[1].id);
        hall.exit(seats[2].id);
        send_all(&mut hall);
        let expected = "LINE m0: one\nLOST 3 m1\nLOST 2 m2\n";
        assert_eq!(wires[3].take(), [expected]);
    }
}
