//! Conversations made by hand, for the tests of views and expectations: what a tracker would tell, without one.

use super::View;
use crate::conversation::{
    Close, Conversation, Direction, Exchanges, Flags, Handshake, HandshakeSegment, Message, Note,
    Notes, Role, RolesFrom, SegmentFacts, SeqNumber, Sink, State, Step, StepKind, Tally,
};
use crate::decode::{Transport, UnreachableReason};
use crate::text::TextKind;
use crate::time::Timestamp;
use std::net::SocketAddr;

/// When the first frame of a scene is seen; each further one comes a millisecond later.
pub(crate) const START: Timestamp = Timestamp::from_nanos(1_795_328_400_000_000_000);

/// The first sequence number of the client; the server's is one below the wrap.
pub(crate) const CLIENT_ISN: u32 = 2_877_703_650;
/// See [`CLIENT_ISN`].
pub(crate) const SERVER_ISN: u32 = u32::MAX;

/// A conversation and what happens in it.
pub(crate) struct Scene {
    pub(crate) conversation: Conversation,
    events: Vec<(Conversation, Event)>,
    next: [i64; 2],
}

enum Event {
    Step(Box<OwnedStep>),
    Late(Vec<OwnedMessage>),
}

/// A [`Step`] that owns what it carries.
pub(crate) struct OwnedStep {
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) direction: Direction,
    pub(crate) src: SocketAddr,
    pub(crate) kind: StepKind,
    pub(crate) payload: Vec<u8>,
    pub(crate) payload_len: u32,
    pub(crate) notes: Notes,
    pub(crate) messages: Vec<OwnedMessage>,
}

/// A [`Message`] that owns its octets.
#[derive(Clone)]
pub(crate) struct OwnedMessage {
    pub(crate) direction: Direction,
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) octets: Vec<u8>,
    pub(crate) missing: u64,
    pub(crate) continues: bool,
}

impl Scene {
    pub(crate) fn tcp() -> Self {
        Self::new(Transport::Tcp, "127.0.0.1:58058", "127.0.0.1:20002")
    }

    pub(crate) fn udp() -> Self {
        Self::new(Transport::Udp, "127.0.0.1:41000", "127.0.0.1:20001")
    }

    pub(crate) fn new(transport: Transport, client: &str, server: &str) -> Self {
        let end = |text: &str| text.parse().expect("an address and port");
        Scene {
            conversation: Conversation {
                id: 0,
                place: 0,
                transport,
                client: end(client),
                server: end(server),
                roles_from: RolesFrom::Syn,
                first_number: 1,
                first: START,
                last: START,
                last_number: 1,
                handshake: match transport {
                    Transport::Tcp => Handshake::NotSeen,
                    Transport::Udp => Handshake::None,
                },
                opening: [None; 3],
                close: Close::Open,
                states: [State::Closed; 2],
                bases: [None; 2],
                sent: [Tally::default(); 2],
                unreachable: None,
                exchanges: Exchanges::default(),
            },
            events: Vec::new(),
            next: [0; 2],
        }
    }

    pub(crate) fn id(mut self, id: u32) -> Self {
        self.conversation.id = id;
        self.conversation.place = id;
        self
    }

    /// The three segments that open a connection.
    pub(crate) fn handshake(self) -> Self {
        self.syn().syn_ack().third()
    }

    pub(crate) fn syn(mut self) -> Self {
        self.conversation.bases[0] = Some(SeqNumber(CLIENT_ISN));
        self.conversation.states[0] = State::SynSent;
        self.conversation.handshake = Handshake::Unanswered;
        self.segment(Role::Client, Flags::SYN, b"").opens(1)
    }

    pub(crate) fn syn_ack(mut self) -> Self {
        self.conversation.bases[1] = Some(SeqNumber(SERVER_ISN));
        self.conversation.states[1] = State::SynReceived;
        self.conversation.handshake = Handshake::Half;
        self.segment(Role::Server, Flags::SYN.and(Flags::ACK), b"")
            .opens(2)
    }

    pub(crate) fn third(mut self) -> Self {
        self.conversation.states = [State::Established; 2];
        self.conversation.handshake = Handshake::Complete;
        self.segment(Role::Client, Flags::ACK, b"").opens(3)
    }

    /// A text in one segment or datagram.
    pub(crate) fn says(self, who: Role, text: &[u8]) -> Self {
        let mut scene = match self.conversation.transport {
            Transport::Tcp => self.segment(who, Flags::PSH.and(Flags::ACK), text),
            Transport::Udp => self.push(who, StepKind::Datagram, text).exchanges(who),
        };
        let step = scene.last();
        let message = OwnedMessage {
            direction: step.direction,
            number: step.number,
            time: step.time,
            octets: text.to_vec(),
            missing: 0,
            continues: false,
        };
        step.messages.push(message);
        scene.change(|conversation| {
            let tally = &mut conversation.sent[who.sends().index()];
            tally.messages += 1;
            tally.octets += text.len() as u64;
            tally.kinds[TextKind::of(text).index()] += 1;
        })
    }

    pub(crate) fn acks(self, who: Role) -> Self {
        self.segment(who, Flags::ACK, b"")
    }

    pub(crate) fn closes(mut self, who: Role) -> Self {
        self.conversation.close = match self.conversation.close {
            Close::Half { by } => Close::Both { first: by },
            _ => Close::Half { by: who },
        };
        self.segment(who, Flags::FIN.and(Flags::ACK), b"")
    }

    pub(crate) fn resets(mut self, who: Role) -> Self {
        self.conversation.close = Close::Reset { by: who };
        self.conversation.states = [State::Closed; 2];
        self.segment(who, Flags::RST.and(Flags::ACK), b"")
            .note(Note::Reset)
    }

    /// What the operating system answers where nobody listens.
    pub(crate) fn refuses(mut self) -> Self {
        match self.conversation.transport {
            Transport::Tcp => {
                let mut scene = self.resets(Role::Server).note(Note::Refused);
                scene.conversation.handshake = Handshake::Refused;
                scene.change(|_| {})
            }
            Transport::Udp => {
                let reason = UnreachableReason::Port;
                self.conversation.unreachable = Some(reason);
                let mut scene = self.push(Role::Server, StepKind::Unreachable(reason), b"");
                scene.last().src.set_port(0);
                scene.note(Note::Unreachable(reason))
            }
        }
    }

    /// A remark about the latest step.
    pub(crate) fn note(mut self, note: Note) -> Self {
        self.last().notes.push(note);
        self
    }

    /// Changes the conversation as it is told with the latest step.
    pub(crate) fn change(mut self, change: impl FnOnce(&mut Conversation)) -> Self {
        change(&mut self.conversation);
        if let Some((told, _)) = self.events.last_mut() {
            *told = self.conversation.clone();
        }
        self
    }

    /// Changes the latest message.
    pub(crate) fn message(mut self, change: impl FnOnce(&mut OwnedMessage)) -> Self {
        let message = self.last().messages.last_mut();
        change(message.expect("the latest step completed a message"));
        self
    }

    /// The messages of the latest step are told afterwards, without a step.
    pub(crate) fn late(mut self) -> Self {
        let messages = std::mem::take(&mut self.last().messages);
        self.events
            .push((self.conversation.clone(), Event::Late(messages)));
        self
    }

    pub(crate) fn last(&mut self) -> &mut OwnedStep {
        let step = self.events.iter_mut().rev().find_map(|(_, event)| {
            if let Event::Step(step) = event {
                Some(step)
            } else {
                None
            }
        });
        step.expect("a step was made before")
    }

    pub(crate) fn segment(self, who: Role, flags: Flags, payload: &[u8]) -> Self {
        let direction = who.sends();
        let base = |direction: Direction| {
            self.conversation.bases[direction.index()].unwrap_or(SeqNumber(1_000))
        };
        let (seq, ack) = (
            self.next[direction.index()],
            self.next[direction.reverse().index()],
        );
        let facts = SegmentFacts {
            flags,
            seq_raw: base(direction).plus(seq as u32),
            ack_raw: if flags.has(Flags::ACK) {
                base(direction.reverse()).plus(ack as u32)
            } else {
                SeqNumber(0)
            },
            seq,
            ack: flags.has(Flags::ACK).then_some(ack),
            window: 65_483,
        };
        self.push(who, StepKind::Segment(facts), payload)
    }

    fn push(mut self, who: Role, kind: StepKind, payload: &[u8]) -> Self {
        let direction = who.sends();
        let place = self.events.len() as u64;
        let step = OwnedStep {
            number: place + 1,
            time: START.plus_nanos(place * 1_000_000),
            direction,
            src: self.conversation.end(who),
            kind,
            payload: payload.to_vec(),
            payload_len: payload.len() as u32,
            notes: Notes::default(),
            messages: Vec::new(),
        };
        if let StepKind::Segment(facts) = kind {
            let numbers = Flags::SYN.and(Flags::FIN);
            let counted = payload.len() as i64 + i64::from(facts.flags.has_any(numbers));
            self.next[direction.index()] += counted;
        }
        self.conversation.last = step.time;
        self.conversation.last_number = step.number;
        self.conversation.sent[direction.index()].packets += 1;
        self.events
            .push((self.conversation.clone(), Event::Step(Box::new(step))));
        self
    }

    fn exchanges(self, who: Role) -> Self {
        self.change(|conversation| match who {
            Role::Client => conversation.exchanges.requests += 1,
            Role::Server => conversation.exchanges.answered += 1,
        })
    }

    fn opens(mut self, nth: u8) -> Self {
        let step = self.last();
        step.notes.push(Note::Handshake(nth));
        let StepKind::Segment(facts) = step.kind else {
            unreachable!("only segments open a connection");
        };
        let segment = HandshakeSegment {
            number: step.number,
            time: step.time,
            flags: facts.flags,
            seq_raw: facts.seq_raw,
            ack_raw: facts.ack.map(|_| facts.ack_raw),
        };
        self.change(|conversation| conversation.opening[usize::from(nth) - 1] = Some(segment))
    }

    /// What a view writes about it.
    pub(crate) fn play(&self, view: &mut dyn View) -> String {
        let mut out = Vec::new();
        self.play_into(view, &mut out);
        String::from_utf8(out).expect("views write text")
    }

    /// [`play`](Self::play) for a view that writes octets.
    pub(crate) fn play_into(&self, view: &mut dyn View, out: &mut Vec<u8>) {
        let first = &self.events.first().expect("something happens").0;
        view.begin(out, first);
        self.tell(|conversation, told| match told {
            Told::Step(step) => view.step(out, conversation, step),
            Told::Late(messages) => view.late_messages(out, conversation, messages),
        });
        view.end(out, &self.conversation);
    }

    /// Tells a sink that will hear more.
    pub(crate) fn feed_steps(&self, sink: &mut dyn Sink) {
        self.tell(|conversation, told| match told {
            Told::Step(step) => sink.step(conversation, step),
            Told::Late(messages) => sink.late_messages(conversation, messages),
        });
    }

    /// Tells a sink.
    pub(crate) fn feed(&self, sink: &mut dyn Sink) {
        self.feed_steps(sink);
        sink.retired(&self.conversation);
    }

    fn tell(&self, mut tell: impl FnMut(&Conversation, Told<'_>)) {
        for (conversation, event) in &self.events {
            match event {
                Event::Step(step) => {
                    let messages: Vec<_> = step.messages.iter().map(OwnedMessage::lend).collect();
                    let lent = Step {
                        number: step.number,
                        time: step.time,
                        direction: step.direction,
                        src: step.src,
                        dst: conversation.end(step.direction.sender().peer()),
                        kind: step.kind,
                        payload: &step.payload,
                        payload_len: step.payload_len,
                        payload_kind: TextKind::of(&step.payload),
                        notes: step.notes,
                        messages: &messages,
                    };
                    tell(conversation, Told::Step(&lent));
                }
                Event::Late(messages) => {
                    let messages: Vec<_> = messages.iter().map(OwnedMessage::lend).collect();
                    tell(conversation, Told::Late(&messages));
                }
            }
        }
    }
}

enum Told<'a> {
    Step(&'a Step<'a>),
    Late(&'a [Message<'a>]),
}

impl OwnedMessage {
    fn lend(&self) -> Message<'_> {
        Message {
            direction: self.direction,
            first_number: self.number,
            last_number: self.number,
            time: self.time,
            octets: &self.octets,
            missing: self.missing,
            continues: self.continues,
            kind: TextKind::of(&self.octets),
        }
    }
}

/// The usual exchange: opened, a text each way, closed by the client.
pub(crate) fn hello() -> Scene {
    Scene::tcp()
        .handshake()
        .says(Role::Client, b"Hi from client!")
        .acks(Role::Server)
        .says(Role::Server, b"Hi from server!")
        .acks(Role::Client)
        .closes(Role::Client)
        .closes(Role::Server)
        .acks(Role::Client)
}
