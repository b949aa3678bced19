//! The rules of the room: an event goes in, deliveries come out.
//!
//! The room is a value. It knows who is in and who hears what, and nothing else: no sockets, no
//! clock, no buffers, and no order but that of the ids, so the same events give the same deliveries.
//! A connection that has not logged in (a *guest*) is unknown to the room until its first event.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    lines::TooLong,
    message::{Change, Reply, UnknownRequest},
    name::{Look, Name, NameKey},
    printable::printable,
};

/// One connection. The caller gives the numbers and never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub u64);

/// What happens to the room.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Somebody asks to be let in; the name is as it was typed.
    Login(MemberId, &'a [u8]),
    /// Somebody says something.
    Line(MemberId, &'a [u8]),
    /// Somebody asks who is here.
    Who(MemberId),
    /// A line came that is no request.
    Unreadable(MemberId, Unreadable),
    /// Somebody says they are leaving.
    Leave(MemberId),
    /// Somebody is gone without a word.
    Vanish(MemberId, Vanishing),
    /// The room closes for good.
    Shutdown,
}

/// Why a line is no request.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum Unreadable {
    /// Longer than the maximum.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Not in the grammar.
    #[error(transparent)]
    Unknown(#[from] UnknownRequest),
}

/// How a connection can end without a goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanishing {
    /// It ended or broke.
    Lost,
    /// Its outbox is full: it does not read.
    OutboxFull,
    /// It never logged in. Does nothing to a member.
    NeverLoggedIn,
}

/// Who gets a reply. "Everyone" are the members once the event has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// This connection, member or not.
    Only(MemberId),
    /// All members.
    Everyone,
    /// All members but this one.
    EveryoneBut(MemberId),
}

/// A reply and who gets it. A connection that gets a [`Reply::Bye`] gets nothing after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who.
    pub to: Audience,
    /// What.
    pub reply: Reply,
}

/// Who is in.
#[derive(Debug, Default)]
pub struct Room {
    members: BTreeMap<MemberId, Name>,
    taken: BTreeSet<NameKey>,
    /// Of the same names: who looks like a member could be taken for one.
    looks: BTreeSet<Look>,
    closed: bool,
}

impl Room {
    /// An empty room.
    pub fn new() -> Self {
        Self::default()
    }

    /// The members in the order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (MemberId, &Name)> {
        self.members.iter().map(|(&id, name)| (id, name))
    }

    /// Whether this connection has logged in.
    pub fn contains(&self, id: MemberId) -> bool {
        self.members.contains_key(&id)
    }

    /// Applies the event and says who is to be told what, in this order.
    pub fn handle(&mut self, event: Event<'_>) -> Vec<Delivery> {
        match event {
            Event::Login(id, name) => self.login(id, name),
            Event::Line(id, text) => self.line(id, text),
            Event::Who(id) => self.who(id),
            Event::Unreadable(id, why) => vec![self.reject(id, why.to_string())],
            Event::Leave(id) => {
                let mut out = vec![only(id, Reply::Bye("you have left".into()))];
                out.extend(self.remove(id, Change::Left));
                out
            }
            Event::Vanish(id, Vanishing::Lost) => {
                self.remove(id, Change::Lost).into_iter().collect()
            }
            Event::Vanish(id, Vanishing::OutboxFull) => {
                let mut out: Vec<_> = self.remove(id, Change::Dropped).into_iter().collect();
                out.push(only(
                    id,
                    Reply::Bye("you do not read what you are sent".into()),
                ));
                out
            }
            Event::Vanish(id, Vanishing::NeverLoggedIn) if self.contains(id) => Vec::new(),
            Event::Vanish(id, Vanishing::NeverLoggedIn) => {
                vec![only(id, Reply::Bye("you did not log in in time".into()))]
            }
            Event::Shutdown => self.shutdown(),
        }
    }

    fn login(&mut self, id: MemberId, typed: &[u8]) -> Vec<Delivery> {
        let refuse = |reason| vec![only(id, Reply::Refused(reason))];
        if self.closed {
            return refuse("the room is closed".into());
        }
        if let Some(name) = self.members.get(&id) {
            let reason = format!("you are already logged in as {name}");
            return vec![only(id, Reply::Warning(reason))];
        }
        let name = match Name::parse(typed) {
            Ok(name) => name,
            Err(why) => return refuse(why.to_string()),
        };
        if self.taken.contains(&name.key()) {
            return refuse(format!("the name {name} is taken, choose another"));
        }
        if self.looks.contains(&name.look()) {
            return refuse(format!(
                "the name {name} looks like one that is taken, choose another"
            ));
        }
        self.taken.insert(name.key());
        self.looks.insert(name.look());
        self.members.insert(id, name.clone());
        vec![
            only(id, Reply::Welcome(name.shared())),
            self.notice(Change::Joined, &name),
        ]
    }

    fn line(&self, id: MemberId, text: &[u8]) -> Vec<Delivery> {
        match self.members.get(&id) {
            // The sender has just typed it and sees it already.
            Some(name) => vec![Delivery {
                to: Audience::EveryoneBut(id),
                reply: Reply::Line {
                    name: name.shared(),
                    text: printable(text).into_owned(),
                },
            }],
            None => vec![self.reject(id, "log in first".into())],
        }
    }

    /// All in one go, so that nobody comes or goes in the middle of the answer.
    fn who(&self, id: MemberId) -> Vec<Delivery> {
        if !self.contains(id) {
            return vec![self.reject(id, "log in first".into())];
        }
        let present = self.members.values().map(|name| Reply::Present {
            name: name.shared(),
            count: self.members.len(),
        });
        present.map(|reply| only(id, reply)).collect()
    }

    /// A guest waits for an answer to its login, a member for none.
    fn reject(&self, id: MemberId, reason: String) -> Delivery {
        let reply = if self.contains(id) {
            Reply::Warning(reason)
        } else {
            Reply::Refused(reason)
        };
        only(id, reply)
    }

    fn remove(&mut self, id: MemberId, change: Change) -> Option<Delivery> {
        let name = self.members.remove(&id)?;
        self.taken.remove(&name.key());
        self.looks.remove(&name.look());
        Some(self.notice(change, &name))
    }

    fn notice(&self, change: Change, name: &Name) -> Delivery {
        Delivery {
            to: Audience::Everyone,
            reply: Reply::Notice {
                change,
                name: name.shared(),
                count: self.members.len(),
            },
        }
    }

    fn shutdown(&mut self) -> Vec<Delivery> {
        self.closed = true;
        self.taken.clear();
        self.looks.clear();
        std::mem::take(&mut self.members)
            .into_keys()
            .map(|id| only(id, Reply::Bye("the server is shutting down".into())))
            .collect()
    }
}

fn only(id: MemberId, reply: Reply) -> Delivery {
    Delivery {
        to: Audience::Only(id),
        reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADA: MemberId = MemberId(1);
    const BOB: MemberId = MemberId(2);
    const EVE: MemberId = MemberId(3);

    /// The screens after a script: each delivery is shown to those it goes to.
    fn play<'a>(script: impl IntoIterator<Item = Event<'a>>) -> BTreeMap<MemberId, Vec<String>> {
        let mut room = Room::new();
        let mut screens: BTreeMap<MemberId, Vec<String>> = BTreeMap::new();
        for event in script {
            for Delivery { to, reply } in room.handle(event) {
                for id in audience(&room, to) {
                    screens.entry(id).or_default().push(reply.to_string());
                }
            }
        }
        screens
    }

    fn audience(room: &Room, to: Audience) -> Vec<MemberId> {
        let everyone = room.members().map(|(id, _)| id);
        match to {
            Audience::Only(id) => vec![id],
            Audience::Everyone => everyone.collect(),
            Audience::EveryoneBut(sender) => everyone.filter(|&id| id != sender).collect(),
        }
    }

    #[track_caller]
    fn check<'a>(script: impl IntoIterator<Item = Event<'a>>, who: MemberId, expected: &[&str]) {
        let screens = play(script);
        assert_eq!(screens.get(&who).map_or(&[][..], Vec::as_slice), expected);
    }

    #[test]
    fn the_joiner_is_welcomed_and_counted() {
        let script = [Event::Login(ADA, b"Ada"), Event::Login(BOB, b" Bob ")];
        check(
            script,
            ADA,
            &[
                "Welcome, Ada.",
                "* Ada has joined. Member count=1",
                "* Bob has joined. Member count=2",
            ],
        );
        check(
            script,
            BOB,
            &["Welcome, Bob.", "* Bob has joined. Member count=2"],
        );
    }

    #[test]
    fn a_refused_login_is_told_why_and_may_try_again() {
        check(
            [
                Event::Login(ADA, b"Ada"),
                Event::Login(BOB, b"ADA"),
                Event::Login(BOB, b""),
                Event::Line(BOB, b"let me in"),
                Event::Unreadable(BOB, UnknownRequest.into()),
                Event::Login(BOB, b"Bob"),
            ],
            BOB,
            &[
                "Refused: the name ADA is taken, choose another",
                "Refused: a name needs at least one character",
                "Refused: log in first",
                "Refused: not understood: a request is `LOGIN name`, `SAY text`, `WHO` or `LEAVE`",
                "Welcome, Bob.",
                "* Bob has joined. Member count=2",
            ],
        );
    }

    #[test]
    fn nobody_gets_in_who_looks_like_a_member() {
        check(
            [
                Event::Login(ADA, b"Ada"),
                Event::Login(BOB, "Аdа".as_bytes()),
                Event::Leave(ADA),
                Event::Login(BOB, "Аdа".as_bytes()),
                Event::Login(ADA, b"Ada"),
            ],
            BOB,
            &[
                "Refused: the name Аdа looks like one that is taken, choose another",
                "Welcome, Аdа.",
                "* Аdа has joined. Member count=1",
            ],
        );
    }

    #[test]
    fn a_line_reaches_everyone_but_its_sender_and_never_raw() {
        let script = [
            Event::Login(ADA, b"Ada"),
            Event::Login(BOB, b"Bob"),
            Event::Line(ADA, "héllo 😀 \x1b[2J".as_bytes()),
        ];
        check(
            script,
            BOB,
            &[
                "Welcome, Bob.",
                "* Bob has joined. Member count=2",
                "Ada: héllo 😀 \\x1b[2J",
            ],
        );
        assert_eq!(play(script)[&ADA].len(), 3, "nothing after Bob's joining");
    }

    #[test]
    fn who_asks_is_told_everyone_and_only_members_may_ask() {
        let script = [
            Event::Login(BOB, b"Bob"),
            Event::Login(ADA, b"Ada"),
            Event::Who(BOB),
            Event::Who(EVE),
        ];
        check(
            script,
            BOB,
            &[
                "Welcome, Bob.",
                "* Bob has joined. Member count=1",
                "* Ada has joined. Member count=2",
                "* Ada is here. Member count=2",
                "* Bob is here. Member count=2",
            ],
        );
        assert_eq!(play(script)[&ADA].len(), 2, "nobody else hears of it");
        check(script, EVE, &["Refused: log in first"]);
    }

    #[test]
    fn every_way_of_going_is_announced_and_frees_the_name() {
        check(
            [
                Event::Login(ADA, b"Ada"),
                Event::Login(BOB, b"Bob"),
                Event::Leave(BOB),
                Event::Login(EVE, b"bob"),
                Event::Vanish(EVE, Vanishing::Lost),
                Event::Login(MemberId(4), b"BOB"),
                Event::Vanish(MemberId(4), Vanishing::OutboxFull),
            ],
            ADA,
            &[
                "Welcome, Ada.",
                "* Ada has joined. Member count=1",
                "* Bob has joined. Member count=2",
                "* Bob has left. Member count=1",
                "* bob has joined. Member count=2",
                "* bob has vanished (connection lost). Member count=1",
                "* BOB has joined. Member count=2",
                "* BOB was disconnected (does not read). Member count=1",
            ],
        );
    }

    #[test]
    fn a_guest_who_goes_is_nobodys_news() {
        let script = [
            Event::Login(ADA, b"Ada"),
            Event::Vanish(BOB, Vanishing::Lost),
            Event::Leave(EVE),
        ];
        assert_eq!(play(script)[&ADA].len(), 2);
        check(script, EVE, &["Goodbye: you have left"]);
    }

    #[test]
    fn a_member_is_warned_not_refused() {
        check(
            [
                Event::Login(ADA, b"Ada"),
                Event::Login(ADA, b"Eve"),
                Event::Unreadable(ADA, TooLong { max_len: 9 }.into()),
            ],
            ADA,
            &[
                "Welcome, Ada.",
                "* Ada has joined. Member count=1",
                "Warning: you are already logged in as Ada",
                "Warning: the line is longer than 9 octets",
            ],
        );
    }

    #[test]
    fn a_closing_room_says_goodbye_and_lets_nobody_in() {
        let script = [
            Event::Login(ADA, b"Ada"),
            Event::Shutdown,
            Event::Login(BOB, b"Bob"),
        ];
        check(script, BOB, &["Refused: the room is closed"]);
        assert_eq!(
            play(script)[&ADA].last().map(String::as_str),
            Some("Goodbye: the server is shutting down")
        );
    }

    /// An event as proptest makes them: few connections and few names, so that they collide.
    #[derive(Clone, Debug)]
    enum Move {
        Login(u64, &'static str),
        Line(u64),
        Who(u64),
        Unreadable(u64),
        Leave(u64),
        Vanish(u64, Vanishing),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let id = 0..6_u64;
        let name = prop::sample::select(vec![
            "Ada", "ada ", "Bob", "BOB", "Žofie", "žOFIE", "", "a:b",
        ]);
        let vanishing = prop::sample::select(vec![
            Vanishing::Lost,
            Vanishing::OutboxFull,
            Vanishing::NeverLoggedIn,
        ]);
        let one = prop_oneof![
            4 => (id.clone(), name).prop_map(|(id, name)| Move::Login(id, name)),
            6 => id.clone().prop_map(Move::Line),
            1 => id.clone().prop_map(Move::Who),
            1 => id.clone().prop_map(Move::Unreadable),
            1 => id.clone().prop_map(Move::Leave),
            1 => (id, vanishing).prop_map(|(id, how)| Move::Vanish(id, how)),
        ];
        prop::collection::vec(one, 0..60)
    }

    /// The room again, in the simplest words, to compare with.
    #[derive(Default)]
    struct Model {
        members: BTreeMap<MemberId, String>,
        /// Every broadcast each member should have got, in order.
        heard: BTreeMap<MemberId, Vec<String>>,
    }

    impl Model {
        fn tell(&mut self, text: &str, but: Option<MemberId>) {
            for id in self.members.keys().filter(|&&id| Some(id) != but) {
                self.heard.entry(*id).or_default().push(text.to_owned());
            }
        }

        fn join(&mut self, id: MemberId, typed: &str) {
            let name = typed.trim();
            let taken = |other: &String| other.to_lowercase() == name.to_lowercase();
            if name.is_empty()
                || name.contains(':')
                || self.members.contains_key(&id)
                || self.members.values().any(taken)
            {
                return;
            }
            self.members.insert(id, name.to_owned());
            let count = self.members.len();
            self.tell(&format!("* {name} has joined. Member count={count}"), None);
        }

        fn go(&mut self, id: MemberId, how: &str) {
            if let Some(name) = self.members.remove(&id) {
                let count = self.members.len();
                self.tell(&format!("* {name} {how}. Member count={count}"), None);
            }
        }
    }

    proptest! {
        /// Equal histories mean: no line lost, doubled or reordered; every notice with the right
        /// count; nothing before joining or after leaving.
        #[test]
        fn every_member_hears_exactly_what_happened_while_present(moves in moves()) {
            let mut room = Room::new();
            let mut model = Model::default();
            let mut heard: BTreeMap<MemberId, Vec<String>> = BTreeMap::new();
            for (turn, one) in moves.into_iter().enumerate() {
                let text = format!("line {turn}");
                let event = match one {
                    Move::Login(id, name) => {
                        model.join(MemberId(id), name);
                        Event::Login(MemberId(id), name.as_bytes())
                    }
                    Move::Line(id) => {
                        let id = MemberId(id);
                        if let Some(name) = model.members.get(&id) {
                            model.tell(&format!("{name}: {text}"), Some(id));
                        }
                        Event::Line(id, text.as_bytes())
                    }
                    Move::Who(id) => Event::Who(MemberId(id)),
                    Move::Unreadable(id) => Event::Unreadable(MemberId(id), UnknownRequest.into()),
                    Move::Leave(id) => {
                        model.go(MemberId(id), "has left");
                        Event::Leave(MemberId(id))
                    }
                    Move::Vanish(id, how) => {
                        match how {
                            Vanishing::Lost => model.go(MemberId(id), "has vanished (connection lost)"),
                            Vanishing::OutboxFull => model.go(MemberId(id), "was disconnected (does not read)"),
                            Vanishing::NeverLoggedIn => {}
                        }
                        Event::Vanish(MemberId(id), how)
                    }
                };
                for Delivery { to, reply } in room.handle(event) {
                    if matches!(reply, Reply::Line { .. } | Reply::Notice { .. }) {
                        prop_assert!(!matches!(to, Audience::Only(_)));
                        for id in audience(&room, to) {
                            heard.entry(id).or_default().push(reply.to_string());
                        }
                    } else {
                        prop_assert!(matches!(to, Audience::Only(_)));
                    }
                }
                let mut keys: Vec<_> = room.members().map(|(_, name)| name.key()).collect();
                keys.sort();
                keys.dedup();
                prop_assert_eq!(keys.len(), room.members().len(), "names are unique");
            }
            let members: Vec<_> = room.members().map(|(id, name)| (id, name.to_string())).collect();
            prop_assert_eq!(members, model.members.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(heard, model.heard);
        }
    }
}
