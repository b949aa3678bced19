//! Any history of the whole hall, and what has to hold in it: who gets what, exactly once and in order,
//! while others stall, drain and vanish.
//!
//! A history is made of octets, so that proptest and the fuzz target (`fuzz/`, which has this file by its
//! path) play the same ones. Uses only what the library makes public, and knows the rules in its own words.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSlice},
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use ex8_chat_room::{
    MAX_LINE_LEN,
    hall::{Entry, Hall, Seat},
    lines::{LineBuffer, TooLong},
    message::{Change, MAX_REPLY_LEN, Reply, Request},
    name::Name,
    outbox::{OUTBOX_LIMIT, Sink},
    printable::{is_unsafe, printable},
};
use tokio::sync::Notify;

/// Few seats and few names, so that they are fought for.
const SEATS: usize = 5;

const NAMES: [&str; 10] = [
    "Ada",
    "ada ",
    "Аdа",
    "Ａｄａ",
    "Bob",
    "B0b",
    "Žofie",
    "žOFIE",
    "Eve",
    "m",
];

/// So many steps are played; more would only be slower.
const MAX_STEPS: usize = 200;

/// Longest goodbye: it may wait on top of a full outbox.
const GOODBYE_LEN: usize = 100;

/// Lines of the greatest length that make up one shout: some four shouts fill an outbox.
const SHOUT: usize = 17;

/// What a history has come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Members shown out for not reading.
    pub(crate) dropped: usize,
    /// Guests whose seats others got.
    pub(crate) displaced: usize,
}

/// Plays the history that these octets mean.
///
/// # Panics
/// If anything does not hold.
pub(crate) fn play(octets: &[u8]) -> Reached {
    let mut history = History::new();
    let mut octets = octets.iter().copied();
    for turn in 0..MAX_STEPS {
        let Some(choice) = octets.next() else { break };
        history.step(turn, choice, &mut octets);
        match choice / 16 {
            0..8 => history.settle(),
            // More happens before everybody has had their turn.
            some => history.settle_in_part(usize::from(some) - 7),
        }
    }
    history.end()
}

/// A connection's other end. It takes everything or, stalled, nothing.
#[derive(Default)]
struct Wire(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    octets: Vec<u8>,
    stalled: bool,
}

impl Sink for Wire {
    fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = self.0.lock().expect("one thread");
        if taken.stalled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = taken.octets.len();
        for piece in pieces {
            taken.octets.extend_from_slice(piece);
        }
        Ok(taken.octets.len() - before)
    }
}

/// What somebody is to get next.
enum Expected {
    Exactly(Rc<Reply>),
    Refusal,
    Warning,
    Goodbye,
}

struct Actor {
    seat: Seat,
    wire: Arc<Wire>,
    replies: LineBuffer,
    expected: VecDeque<Expected>,
    /// Its task has something to do without being woken: it has read, or may write again.
    due: bool,
    /// Its task waits for the kernel to take more.
    waiting: bool,
    stalled: bool,
    /// Has logged in, so that its seat is its own.
    was_in: bool,
    /// Was shown out for not reading.
    dropped: bool,
    /// Its goodbye has been given; what it says is not for the room any more.
    leaving: bool,
    said_goodbye: bool,
}

struct History {
    hall: Hall<Wire>,
    mail: Arc<Notify>,
    /// Somebody may not have had their turn.
    carrying: bool,
    /// What the hall told its own output and nobody has looked at.
    log: Arc<Mutex<VecDeque<Reply>>>,
    /// Those with a seat, by the order in which they came.
    actors: BTreeMap<u64, Actor>,
    /// The same, but only those who are in.
    members: BTreeMap<u64, Name>,
    reached: Reached,
}

impl History {
    fn new() -> Self {
        let log = Arc::<Mutex<VecDeque<Reply>>>::default();
        let told = Arc::clone(&log);
        let hall = Hall::new(SEATS, move |entry| {
            if let Entry::Told(reply) = entry {
                told.lock().expect("one thread").push_back(reply.clone());
            }
        });
        Self {
            mail: hall.mail(),
            carrying: false,
            hall,
            log,
            actors: BTreeMap::new(),
            members: BTreeMap::new(),
            reached: Reached::default(),
        }
    }

    fn step(&mut self, turn: usize, choice: u8, octets: &mut impl Iterator<Item = u8>) {
        if self.actors.is_empty() || choice % 16 < 2 {
            return self.connect();
        }
        let place = usize::from(octets.next().unwrap_or(0)) % self.actors.len();
        let who = *self.actors.keys().nth(place).expect("within the length");
        match choice % 16 {
            2..=4 => {
                let name = usize::from(octets.next().unwrap_or(0)) % NAMES.len();
                self.send(who, Ok(format!("LOGIN {}", NAMES[name]).into()));
            }
            5..=7 => self.send(who, Ok(format!("SAY {turn}").into())),
            8 => {
                let len = usize::from(octets.next().unwrap_or(0)) % 48;
                let line: Vec<_> = octets.take(len).collect();
                self.send(who, Ok(line.into()));
            }
            9 | 10 => {
                for line in 0..SHOUT {
                    let text = format!("SAY {turn} {line} ");
                    let text = format!("{text:x<MAX_LINE_LEN$}");
                    self.send(who, Ok(text.into()));
                }
            }
            11 => self.send(who, Ok("WHO".into())),
            12 => self.send(who, Ok("LEAVE".into())),
            13 => self.set_stalled(who, true),
            14 => self.set_stalled(who, false),
            _ => match octets.next().unwrap_or(0) % 3 {
                0 => self.vanish(who),
                1 => self.expire(who),
                _ => self.send(
                    who,
                    Err(TooLong {
                        max_len: MAX_LINE_LEN,
                    }),
                ),
            },
        }
    }

    fn connect(&mut self) {
        let wire = Arc::<Wire>::default();
        let seat = self.hall.enter(&wire);
        if self.actors.len() == SEATS {
            let mut in_order = self.actors.iter();
            let oldest = in_order
                .find(|(_, actor)| !actor.was_in)
                .map(|(&who, _)| who);
            assert_eq!(seat.is_some(), oldest.is_some(), "only a guest gives way");
            if let Some(guest) = oldest {
                self.expect(guest, Expected::Goodbye);
                self.take_note(guest);
                self.actors.remove(&guest);
                self.reached.displaced += 1;
            }
        }
        let Some(seat) = seat else { return };
        self.actors.insert(
            seat.id.0,
            Actor {
                seat,
                wire,
                replies: LineBuffer::new(MAX_REPLY_LEN),
                expected: VecDeque::new(),
                due: true,
                waiting: false,
                stalled: false,
                was_in: false,
                dropped: false,
                leaving: false,
                said_goodbye: false,
            },
        );
        assert!(self.actors.len() <= SEATS);
    }

    fn send(&mut self, who: u64, line: Result<Bytes, TooLong>) {
        let actor = self.actors.get_mut(&who).expect("has a seat");
        actor.due = true;
        let leaving = actor.leaving;
        let id = actor.seat.id;
        self.hall.receive(id, line.clone());
        if leaving {
            return self.see(None);
        }
        let is_member = self.members.contains_key(&who);
        let complaint = || match is_member {
            true => Expected::Warning,
            false => Expected::Refusal,
        };
        match line.map(|line| Request::parse(&line)) {
            Ok(Ok(Request::Login(typed))) => match self.admitted(&typed) {
                Some(name) if !is_member => {
                    let welcome = Reply::Welcome(name.shared());
                    self.expect(who, Expected::Exactly(Rc::new(welcome)));
                    self.members.insert(who, name.clone());
                    self.actors.get_mut(&who).expect("has a seat").was_in = true;
                    self.see(Some(self.notice(Change::Joined, &name)));
                }
                _ => {
                    self.expect(who, complaint());
                    self.see(None);
                }
            },
            Ok(Ok(Request::Say(text))) if is_member => {
                let line = Reply::Line {
                    name: self.members[&who].shared(),
                    text: printable(&text).into_owned(),
                };
                self.see(Some(line));
            }
            Ok(Ok(Request::Who)) if is_member => {
                for name in self.members.clone().values() {
                    let present = Reply::Present {
                        name: name.shared(),
                        count: self.members.len(),
                    };
                    self.expect(who, Expected::Exactly(Rc::new(present)));
                }
                self.see(None);
            }
            Ok(Ok(Request::Leave)) => {
                self.expect(who, Expected::Goodbye);
                self.actors.get_mut(&who).expect("has a seat").leaving = true;
                self.go(who, Change::Left);
            }
            _ => {
                self.expect(who, complaint());
                self.see(None);
            }
        }
    }

    /// The name, if it is one and nobody here has it or looks like it.
    fn admitted(&self, typed: &[u8]) -> Option<Name> {
        let name = Name::parse(typed).ok()?;
        assert!(!name.to_string().contains(is_unsafe));
        let clashes = |other: &Name| other.key() == name.key() || other.look() == name.look();
        (!self.members.values().any(clashes)).then_some(name)
    }

    fn set_stalled(&mut self, who: u64, stalled: bool) {
        let actor = self.actors.get_mut(&who).expect("has a seat");
        actor.wire.0.lock().expect("one thread").stalled = stalled;
        actor.stalled = stalled;
        actor.due |= actor.waiting && !stalled;
    }

    fn vanish(&mut self, who: u64) {
        let id = self.actors[&who].seat.id;
        self.hall.exit(id);
        self.actors.remove(&who);
        self.go(who, Change::Lost);
    }

    fn expire(&mut self, who: u64) {
        let actor = self.actors.get_mut(&who).expect("has a seat");
        if actor.leaving {
            return;
        }
        self.hall.expire(actor.seat.id);
        if !self.members.contains_key(&who) {
            actor.leaving = true;
            self.expect(who, Expected::Goodbye);
        }
        self.see(None);
    }

    fn go(&mut self, who: u64, change: Change) {
        let gone = self.members.remove(&who);
        let notice = gone.map(|name| self.notice(change, &name));
        self.see(notice);
    }

    fn notice(&self, change: Change, name: &Name) -> Reply {
        Reply::Notice {
            change,
            name: name.shared(),
            count: self.members.len(),
        }
    }

    /// The hall has told this, if anything, and whom it showed out for not reading. All members get it but
    /// the one who said it.
    fn see(&mut self, first: Option<Reply>) {
        let next = |log: &Mutex<VecDeque<Reply>>| log.lock().expect("one thread").pop_front();
        if let Some(expected) = first {
            assert_eq!(next(&self.log), Some(expected.clone()));
            self.expect_all(expected);
        }
        while let Some(further) = next(&self.log) {
            let Reply::Notice { name, .. } = &further else {
                panic!("told without a reason: {further:?}");
            };
            let bearer = |(_, other): &(&u64, &Name)| other.shared() == *name;
            let found = self.members.iter().find(bearer);
            let (who, name) = found
                .map(|(&who, name)| (who, name.clone()))
                .expect("a member");
            self.members.remove(&who);
            assert_eq!(further, self.notice(Change::Dropped, &name));
            let actor = self.actors.get_mut(&who).expect("has a seat");
            assert!(actor.stalled, "{name} reads and was shown out");
            (actor.dropped, actor.leaving) = (true, true);
            self.reached.dropped += 1;
            self.expect_all(further);
        }
    }

    fn expect_all(&mut self, reply: Reply) {
        let reply = Rc::new(reply);
        for (who, member) in &self.members {
            let own = matches!(&*reply, Reply::Line { name, .. } if *name == member.shared());
            if !own {
                let actor = self.actors.get_mut(who).expect("has a seat");
                actor
                    .expected
                    .push_back(Expected::Exactly(Rc::clone(&reply)));
            }
        }
    }

    fn expect(&mut self, who: u64, expected: Expected) {
        let actor = self.actors.get_mut(&who).expect("has a seat");
        actor.expected.push_back(expected);
    }

    /// Has the mail carried for so many turns; says whether there is more to do.
    fn carry_mail(&mut self, turns: usize) -> bool {
        self.carrying |= pin!(self.mail.notified()).enable();
        if self.carrying {
            self.carrying = self.hall.send_some(turns);
        }
        self.carrying
    }

    /// Has the mail carried for so many turns, and nobody's task do anything.
    fn settle_in_part(&mut self, turns: usize) {
        self.carry_mail(turns);
        for who in self.actors.keys().copied().collect::<Vec<_>>() {
            self.take_note(who);
        }
    }

    /// Has the mail carried, and lets everybody's task do what it has been woken for, until nobody has anything to do.
    fn settle(&mut self) {
        while self.carry_mail(usize::MAX) {}
        for who in self.actors.keys().copied().collect::<Vec<_>>() {
            self.take_note(who);
            let actor = self.actors.get_mut(&who).expect("has a seat");
            let woken = pin!(actor.seat.wake.notified()).enable();
            if !woken && !actor.due {
                continue;
            }
            actor.due = false;
            let id = actor.seat.id;
            let outgoing = self.hall.flush(id).expect("a wire does not break");
            assert!(!outgoing.waiting || actor.stalled, "all is taken");
            actor.waiting = outgoing.waiting;
            assert_eq!(outgoing.closed, actor.leaving);
            self.take_note(who);
            if outgoing.closed && !outgoing.waiting {
                assert!(self.actors[&who].said_goodbye);
                self.hall.exit(id);
                self.actors.remove(&who);
                self.see(None);
            }
        }
        for actor in self.actors.values().filter(|actor| !actor.stalled) {
            assert!(actor.expected.is_empty(), "forgotten");
        }
        assert_eq!(self.hall.member_count(), self.members.len());
    }

    /// Compares what has arrived with what was to arrive.
    fn take_note(&mut self, who: u64) {
        let actor = self.actors.get_mut(&who).expect("has a seat");
        let octets = std::mem::take(&mut actor.wire.0.lock().expect("one thread").octets);
        // Without a stall too: how much has gathered before it was this one's turn.
        assert!(octets.len() <= 2 * OUTBOX_LIMIT + GOODBYE_LEN, "bounded");
        actor.replies.input().extend_from_slice(&octets);
        while let Some(line) = actor.replies.next_line() {
            let line = line.expect("no reply is longer than the longest");
            let reply = Reply::parse(&line).expect("in the grammar");
            assert!(!actor.said_goodbye, "after the goodbye: {reply:?}");
            actor.said_goodbye = matches!(reply, Reply::Bye(_));
            if actor.said_goodbye && actor.dropped {
                // What did not fit is missing: all of it, from the first on.
                actor.expected.clear();
                continue;
            }
            match (actor.expected.pop_front(), &reply) {
                (Some(Expected::Exactly(expected)), _) => assert_eq!(reply, *expected),
                (Some(Expected::Refusal), Reply::Refused(_))
                | (Some(Expected::Warning), Reply::Warning(_))
                | (Some(Expected::Goodbye), Reply::Bye(_)) => {}
                _ => panic!("not expected: {reply:?}"),
            }
        }
    }

    /// The server ends: everybody who reads gets everything and the goodbye.
    fn end(mut self) -> Reached {
        self.hall.close();
        self.members.clear();
        for who in self.actors.keys().copied().collect::<Vec<_>>() {
            let actor = self.actors.get_mut(&who).expect("has a seat");
            if !actor.leaving {
                actor.leaving = true;
                actor.expected.push_back(Expected::Goodbye);
            }
            self.set_stalled(who, false);
        }
        self.settle();
        assert!(self.actors.is_empty(), "everybody has been told");
        self.reached
    }
}
