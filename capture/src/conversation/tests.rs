//! Conversations made by hand, and what is told of them.

use super::*;
use crate::decode::{Content, Packet, Segment, Unreachable};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Writes down what it is told.
#[derive(Default)]
struct Recorder {
    /// Number of the frame → remarks.
    notes: Vec<String>,
    facts: Vec<Option<(i64, Option<i64>)>>,
    /// `client: "text"`, `server: 5 octets missing`.
    said: Vec<String>,
    /// Octets of each conversation and direction, with `?` for each missing one.
    streams: BTreeMap<(u32, Direction), Vec<u8>>,
    retired: Vec<Conversation>,
}

impl Recorder {
    fn messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        for message in messages {
            let who = message.direction.sender().name();
            let stream = self
                .streams
                .entry((conversation.id, message.direction))
                .or_default();
            stream.extend_from_slice(message.octets);
            stream.resize(stream.len() + (message.missing as usize).min(100_000), b'?');
            if !message.octets.is_empty() || message.missing == 0 {
                self.said.push(format!(
                    "{who}: {:?}{}",
                    String::from_utf8_lossy(message.octets),
                    if message.continues { " …" } else { "" }
                ));
            }
            if message.missing > 0 {
                self.said
                    .push(format!("{who}: {} octets missing", message.missing));
            }
        }
    }

    fn notes(&self) -> Vec<&str> {
        self.notes.iter().map(String::as_str).collect()
    }

    fn stream(&self, direction: Direction) -> String {
        let octets = self.streams.get(&(0, direction));
        String::from_utf8_lossy(octets.map_or(&[][..], Vec::as_slice)).into_owned()
    }
}

impl Sink for Recorder {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        let notes: Vec<String> = step.notes.iter().map(|note| note.to_string()).collect();
        self.notes.push(notes.join("; "));
        self.facts.push(match step.kind {
            StepKind::Segment(facts) => Some((facts.seq, facts.ack)),
            _ => None,
        });
        self.messages(conversation, step.messages);
    }

    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        self.messages(conversation, messages);
    }

    fn retired(&mut self, conversation: &Conversation) {
        self.retired.push(conversation.clone());
    }
}

const CLIENT: &str = "127.0.0.1:51234";
const SERVER: &str = "127.0.0.1:20002";
const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const SYN_ACK: Flags = Flags(0x12);
const PSH_ACK: Flags = Flags(0x18);
const FIN_ACK: Flags = Flags(0x11);
const RST: Flags = Flags::RST;
const RST_ACK: Flags = Flags(0x14);

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A segment to be sent.
#[derive(Clone, Debug)]
struct Sent {
    to: Direction,
    flags: Flags,
    seq: u32,
    ack: u32,
    window: u16,
    payload: Vec<u8>,
    payload_len: u32,
}

fn sent(to: Direction, flags: Flags, seq: u32, ack: u32, payload: &str) -> Sent {
    Sent {
        to,
        flags,
        seq,
        ack,
        window: 500,
        payload: payload.as_bytes().to_vec(),
        payload_len: payload.len() as u32,
    }
}

/// A tracker with a recorder, a clock that goes on a millisecond with each frame, and first numbers of the two sides.
struct Lab {
    tracker: Tracker,
    recorder: Recorder,
    number: u64,
    time: Timestamp,
    isns: [u32; 2],
}

impl Lab {
    fn new() -> Self {
        Self::with(Limits::default(), [1_000, 9_000])
    }

    fn with(limits: Limits, isns: [u32; 2]) -> Self {
        Lab {
            tracker: Tracker::new(&[20001, 20002], limits),
            recorder: Recorder::default(),
            number: 0,
            time: Timestamp::from_nanos(1_000_000_000),
            isns,
        }
    }

    fn push(
        &mut self,
        content: Content<'_>,
        src: SocketAddr,
        dst: SocketAddr,
        payload: &[u8],
        len: u32,
    ) {
        self.number += 1;
        self.time = self.time.plus_nanos(1_000_000);
        let packet = Packet {
            src,
            dst,
            content,
            payload,
            payload_len: len,
            payload_kind: TextKind::of(payload),
            fragments: 0,
            wrong_checksum: None,
        };
        self.tracker
            .push(self.number, self.time, &packet, &mut self.recorder);
    }

    /// A segment; its numbers count from the first ones.
    fn send(&mut self, sent: &Sent) {
        self.send_between(CLIENT, SERVER, sent);
    }

    fn send_between(&mut self, client: &str, server: &str, sent: &Sent) {
        let own = sent.to.index();
        let segment = Segment {
            flags: sent.flags,
            seq: SeqNumber(self.isns[own].wrapping_add(sent.seq)),
            ack: SeqNumber(self.isns[1 - own].wrapping_add(sent.ack)),
            window: sent.window,
            window_scale: None,
            mss: None,
        };
        let (src, dst) = match sent.to {
            Direction::ToServer => (end(client), end(server)),
            Direction::ToClient => (end(server), end(client)),
        };
        self.push(
            Content::Segment(segment),
            src,
            dst,
            &sent.payload,
            sent.payload_len,
        );
    }

    fn client(&mut self, flags: Flags, seq: u32, ack: u32, payload: &str) {
        self.send(&sent(Direction::ToServer, flags, seq, ack, payload));
    }

    fn server(&mut self, flags: Flags, seq: u32, ack: u32, payload: &str) {
        self.send(&sent(Direction::ToClient, flags, seq, ack, payload));
    }

    fn handshake(&mut self) {
        self.client(SYN, 0, 0, "");
        self.server(SYN_ACK, 0, 1, "");
        self.client(ACK, 1, 1, "");
    }

    fn later(&mut self, milliseconds: u64) {
        self.time = self.time.plus_nanos(milliseconds * 1_000_000);
    }

    fn finish(mut self) -> Recorder {
        self.tracker.finish(&mut self.recorder);
        assert_eq!(self.tracker.kept_octets(), 0, "nothing is kept in the end");
        self.recorder
    }
}

#[test]
fn a_hello_is_told_from_handshake_to_teardown() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "Hi from client!");
    lab.server(ACK, 1, 16, "");
    lab.server(PSH_ACK, 1, 16, "Hi from server!");
    lab.client(ACK, 16, 16, "");
    lab.client(FIN_ACK, 16, 16, "");
    lab.server(FIN_ACK, 16, 17, "");
    lab.client(ACK, 17, 17, "");
    let told = lab.finish();
    assert_eq!(
        told.notes(),
        [
            "handshake 1/3",
            "handshake 2/3",
            "handshake 3/3",
            "",
            "",
            "",
            "",
            "FIN 1/2",
            "FIN 2/2",
            ""
        ]
    );
    assert_eq!(told.facts[1], Some((0, Some(1))));
    assert_eq!(told.facts[9], Some((17, Some(17))));
    assert_eq!(
        told.said,
        ["client: \"Hi from client!\"", "server: \"Hi from server!\""]
    );
    let [conversation] = &told.retired[..] else {
        panic!("one conversation")
    };
    assert_eq!(conversation.handshake, Handshake::Complete);
    assert_eq!(
        conversation.close,
        Close::Both {
            first: Role::Client
        }
    );
    assert_eq!(conversation.states, [State::TimeWait, State::Closed]);
    assert_eq!(conversation.messages(), 2);
}

#[test]
fn a_refused_connection_and_an_unanswered_one_are_told_apart() {
    let mut lab = Lab::new();
    lab.client(SYN, 0, 0, "");
    lab.server(RST_ACK, 0, 1, "");
    let told = lab.finish();
    assert_eq!(told.notes(), ["handshake 1/3", "refused"]);
    assert_eq!(told.retired[0].handshake, Handshake::Refused);

    let mut lab = Lab::new();
    lab.client(SYN, 0, 0, "");
    lab.later(1_000);
    lab.client(SYN, 0, 0, "");
    let told = lab.finish();
    assert_eq!(told.notes(), ["handshake 1/3", "retransmission"]);
    assert_eq!(told.retired[0].handshake, Handshake::Unanswered);
}

#[test]
fn a_reset_names_its_sender() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "12 + 42");
    lab.server(RST, 1, 0, "");
    lab.client(RST, 8, 0, "");
    let told = lab.finish();
    assert_eq!(told.notes()[4..], ["reset", "after the end"]);
    assert_eq!(told.retired[0].close, Close::Reset { by: Role::Server });
}

#[test]
fn octets_are_told_once_and_in_order() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "one ");
    lab.client(PSH_ACK, 9, 1, "three ");
    lab.client(PSH_ACK, 5, 1, "two ");
    lab.client(PSH_ACK, 1, 1, "one ");
    lab.client(PSH_ACK, 9, 1, "three four");
    let told = lab.finish();
    assert_eq!(
        told.notes()[3..],
        [
            "",
            "gap of 4 octets before",
            "out of order, fills a gap",
            "retransmission",
            ""
        ]
    );
    assert_eq!(told.stream(Direction::ToServer), "one two three four");
    assert_eq!(
        told.said,
        [
            "client: \"one \"",
            "client: \"two \"",
            "client: \"three \"",
            "client: \"four\""
        ]
    );
}

#[test]
fn what_fills_a_gap_late_or_on_demand_was_sent_again() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 5, 1, "two ");
    lab.later(300);
    lab.client(PSH_ACK, 1, 1, "one ");
    for _ in 0..3 {
        lab.client(PSH_ACK, 13, 1, "four");
        lab.server(ACK, 1, 9, "");
    }
    lab.server(ACK, 1, 9, "");
    lab.client(PSH_ACK, 9, 1, "3333");
    let told = lab.finish();
    assert_eq!(told.notes()[4], "retransmission, fills a gap");
    assert_eq!(
        told.notes()[5..],
        [
            "gap of 4 octets before",
            "",
            "retransmission",
            "duplicate ACK 1",
            "retransmission",
            "duplicate ACK 2",
            "duplicate ACK 3",
            "retransmission, fills a gap"
        ]
    );
    assert_eq!(told.stream(Direction::ToServer), "one two 3333four");
}

#[test]
fn a_message_ends_with_push_or_when_the_other_side_speaks() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(ACK, 1, 1, "half ");
    lab.client(PSH_ACK, 6, 1, "a line\n");
    lab.client(ACK, 13, 1, "no push");
    lab.server(PSH_ACK, 1, 20, "I know");
    lab.server(ACK, 7, 20, "the end");
    lab.server(FIN_ACK, 14, 20, "");
    let told = lab.finish();
    assert_eq!(
        told.said,
        [
            "client: \"half a line\\n\"",
            "client: \"no push\"",
            "server: \"I know\"",
            "server: \"the end\""
        ]
    );
}

#[test]
fn a_pause_tells_what_was_gathered() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(ACK, 1, 1, "no push");
    assert!(lab.recorder.said.is_empty());
    lab.tracker.flush_messages(&mut lab.recorder);
    assert_eq!(lab.recorder.said, ["client: \"no push\""]);
    lab.client(PSH_ACK, 8, 1, "more");
    assert_eq!(lab.finish().said.len(), 2);
}

#[test]
fn what_the_capture_lacks_is_said() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "one ");
    lab.client(PSH_ACK, 10, 1, "three");
    lab.server(ACK, 1, 15, "");
    lab.later(250);
    lab.server(PSH_ACK, 1, 15, "ok");
    let told = lab.finish();
    assert_eq!(told.notes()[6], "5 octets not captured");
    assert_eq!(told.stream(Direction::ToServer), "one ?????three");
    assert_eq!(told.retired[0].tally(Role::Client).missing, 5);

    // A segment that the capture cut short.
    let mut lab = Lab::new();
    lab.handshake();
    let mut cut = sent(Direction::ToServer, PSH_ACK, 1, 1, "begin");
    cut.payload_len = 8;
    lab.send(&cut);
    lab.client(PSH_ACK, 9, 1, "next");
    let told = lab.finish();
    assert_eq!(told.notes()[3], "cut by the capture (5 of 8 octets)");
    assert_eq!(told.stream(Direction::ToServer), "begin???next");

    // Octets that were acknowledged and never seen.
    let mut lab = Lab::new();
    lab.handshake();
    lab.server(ACK, 1, 11, "");
    assert_eq!(lab.finish().stream(Direction::ToServer), "??????????");
}

#[test]
fn keep_alives_and_closed_windows_are_noticed() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "q");
    lab.server(ACK, 1, 2, "");
    lab.client(ACK, 1, 1, "q");
    lab.client(ACK, 1, 1, "");
    for window in [0, 0, 500] {
        let mut full = sent(Direction::ToClient, ACK, 1, 2, "");
        full.window = window;
        lab.send(&full);
    }
    let told = lab.finish();
    assert_eq!(
        told.notes()[5..],
        [
            "keep-alive",
            "keep-alive",
            "zero window",
            "zero window",
            "window open again"
        ]
    );
    assert_eq!(told.retired[0].tally(Role::Server).zero_windows, 1);
    assert_eq!(told.stream(Direction::ToServer), "q");
}

#[test]
fn one_octet_sent_again_before_it_is_acknowledged_is_no_keep_alive() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "q");
    lab.client(PSH_ACK, 1, 1, "q");
    assert_eq!(lab.finish().notes()[4], "retransmission");
}

#[test]
fn numbers_wrap_without_a_trace() {
    let mut lab = Lab::with(Limits::default(), [u32::MAX - 3, u32::MAX]);
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "one two ");
    lab.server(PSH_ACK, 1, 9, "ok ");
    lab.client(PSH_ACK, 14, 4, "four");
    lab.client(PSH_ACK, 9, 4, "three");
    let told = lab.finish();
    assert_eq!(told.retired[0].handshake, Handshake::Complete);
    assert_eq!(told.stream(Direction::ToServer), "one two threefour");
    assert_eq!(told.facts[5], Some((14, Some(4))));
}

#[test]
fn a_stream_may_be_longer_than_its_numbers() {
    let mut lab = Lab::new();
    lab.handshake();
    let chunk: u32 = 1 << 30;
    let mut seq: u32 = 1;
    for _ in 0..5 {
        // Cut short by the capture, as a snap length does.
        let mut big = sent(Direction::ToServer, PSH_ACK, seq, 1, "x");
        big.payload_len = chunk;
        lab.send(&big);
        seq = seq.wrapping_add(chunk);
    }
    lab.client(PSH_ACK, seq, 1, "end");
    let told = lab.finish();
    assert_eq!(told.facts.last(), Some(&Some((5 * (1 << 30) + 1, Some(1)))));
    assert_eq!(told.retired[0].tally(Role::Client).octets, 8);
}

#[test]
fn a_capture_that_begins_late_claims_no_handshake() {
    let mut lab = Lab::new();
    lab.server(PSH_ACK, 100, 50, "54");
    lab.client(PSH_ACK, 50, 102, "q");
    let told = lab.finish();
    assert_eq!(
        told.notes()[0],
        "joined late: the beginning was not captured"
    );
    assert_eq!(told.notes()[1], "");
    assert_eq!(told.facts, [Some((1, Some(1))), Some((1, Some(3)))]);
    let conversation = &told.retired[0];
    assert_eq!(conversation.client, end(CLIENT));
    assert_eq!(conversation.roles_from, RolesFrom::LabPort);
    assert_eq!(conversation.handshake, Handshake::NotSeen);
}

#[test]
fn a_syn_with_another_number_begins_a_new_conversation() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "first");
    lab.isns = [77_000, 88_000];
    lab.handshake();
    lab.client(PSH_ACK, 1, 1, "second");
    let told = lab.finish();
    assert_eq!(
        told.notes()[4],
        "a new connection between the same ports; handshake 1/3"
    );
    assert_eq!(told.retired.len(), 2);
    assert_eq!(told.said, ["client: \"first\"", "client: \"second\""]);
}

#[test]
fn both_may_close_at_once() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(FIN_ACK, 1, 1, "");
    lab.server(FIN_ACK, 1, 1, "");
    lab.client(ACK, 2, 2, "");
    lab.server(ACK, 2, 2, "");
    let told = lab.finish();
    assert_eq!(told.retired[0].states, [State::TimeWait; 2]);
}

#[test]
fn text_in_a_syn_is_told() {
    let mut lab = Lab::new();
    lab.client(SYN, 0, 0, "early");
    lab.server(SYN_ACK, 0, 6, "");
    lab.client(ACK, 6, 1, "");
    let told = lab.finish();
    assert_eq!(told.stream(Direction::ToServer), "early");
}

#[test]
fn datagrams_are_paired() {
    let mut lab = Lab::new();
    let (client, server) = (end("127.0.0.1:40000"), end("127.0.0.1:20001"));
    let ask = |lab: &mut Lab| lab.push(Content::Datagram, client, server, b"SEND_TIME", 9);
    let answer = |lab: &mut Lab| lab.push(Content::Datagram, server, client, b"12:00:00", 8);
    ask(&mut lab);
    answer(&mut lab);
    // A request is lost, and its client goes on to the next one: the answer is to that.
    ask(&mut lab);
    lab.later(1_500);
    ask(&mut lab);
    answer(&mut lab);
    // Two at once are answered in order.
    ask(&mut lab);
    ask(&mut lab);
    answer(&mut lab);
    answer(&mut lab);
    answer(&mut lab);
    let told = lab.finish();
    assert_eq!(
        told.notes(),
        [
            "",
            "reply to 1 after 1.000 ms",
            "",
            "",
            "reply to 4 after 1.000 ms",
            "",
            "",
            "reply to 6 after 2.000 ms",
            "reply to 7 after 2.000 ms",
            ""
        ]
    );
    let exchanges = told.retired[0].exchanges;
    assert_eq!((exchanges.requests, exchanges.answered), (5, 4));
}

#[test]
fn an_icmp_message_belongs_to_what_it_is_about() {
    let mut lab = Lab::new();
    let (client, server) = (end("127.0.0.1:40000"), end("127.0.0.1:20001"));
    lab.push(Content::Datagram, client, server, b"hello", 5);
    let about = Unreachable {
        transport: Transport::Udp,
        sender: client,
        target: server,
        reason: UnreachableReason::Port,
        quoted: b"hello",
    };
    lab.push(
        Content::Unreachable(about),
        end("127.0.0.1:0"),
        end("127.0.0.1:0"),
        b"",
        0,
    );
    let told = lab.finish();
    assert_eq!(told.notes(), ["", "port unreachable"]);
    assert_eq!(told.retired.len(), 1);
    assert_eq!(told.retired[0].unreachable, Some(UnreachableReason::Port));
}

#[test]
fn conversations_are_forgotten_when_there_are_too_many() {
    let mut lab = Lab::with(
        Limits {
            conversations: 10,
            kept_octets: 1_000,
        },
        [0, 0],
    );
    for port in 1_000..1_100 {
        let client = format!("127.0.0.1:{port}");
        lab.send_between(&client, SERVER, &sent(Direction::ToServer, SYN, 0, 0, ""));
        assert!(lab.recorder.retired.len() as u64 + 10 >= lab.number);
    }
    assert_eq!(lab.recorder.retired.len(), 90);
    assert_eq!(lab.finish().retired.len(), 100);
}

#[test]
fn a_gap_that_keeps_too_much_waiting_is_given_up() {
    let mut lab = Lab::with(
        Limits {
            conversations: 10,
            kept_octets: 1_000,
        },
        [0, 0],
    );
    lab.handshake();
    for n in 0..20 {
        lab.client(PSH_ACK, 11 + n * 100, 1, &"x".repeat(100));
        assert!(lab.tracker.kept_octets() <= 1_000 + 200);
    }
    let told = lab.finish();
    assert!(
        told.notes()
            .iter()
            .any(|note| note.contains("the gap is given up"))
    );
    let expected = "?".repeat(10) + &"x".repeat(2_000);
    assert_eq!(told.stream(Direction::ToServer), expected);
}

#[test]
fn a_conversation_that_is_over_is_forgotten_after_a_while() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(RST, 1, 0, "");
    lab.later(5_000);
    lab.send_between(
        "127.0.0.1:2",
        SERVER,
        &sent(Direction::ToServer, SYN, 0, 0, ""),
    );
    assert_eq!(lab.recorder.retired.len(), 1);
}

#[test]
fn datagrams_after_two_minutes_of_silence_are_a_new_conversation() {
    let mut lab = Lab::new();
    let (client, server) = (end("127.0.0.1:40000"), end("127.0.0.1:20001"));
    let ask = |lab: &mut Lab| lab.push(Content::Datagram, client, server, b"SEND_TIME", 9);
    ask(&mut lab);
    lab.later(119_000);
    ask(&mut lab);
    assert!(lab.recorder.retired.is_empty());
    lab.later(121_000);
    ask(&mut lab);
    let requests = lab.finish().retired;
    let requests: Vec<u64> = requests.iter().map(|c| c.exchanges.requests).collect();
    assert_eq!(requests, [2, 1]);
}

#[test]
fn a_datagram_between_the_ends_of_a_connection_that_is_over_is_none_of_its() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.client(RST, 1, 0, "");
    lab.push(Content::Datagram, end(CLIENT), end(SERVER), b"hello", 5);
    let told = lab.finish();
    let transports: Vec<Transport> = told.retired.iter().map(|c| c.transport).collect();
    assert_eq!(transports, [Transport::Tcp, Transport::Udp]);
    assert_eq!(told.retired[1].exchanges.requests, 1);
}

#[test]
fn an_ipv4_address_is_the_same_however_it_is_written() {
    let mut lab = Lab::new();
    let mapped = ("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:20001");
    for (client, server) in [("127.0.0.1:40000", "127.0.0.1:20001"), mapped] {
        lab.push(Content::Datagram, end(client), end(server), b"hello", 5);
    }
    lab.push(
        Content::Datagram,
        end("[::1]:40000"),
        end("[::1]:20001"),
        b"hello",
        5,
    );
    lab.push(
        Content::Datagram,
        end("[::1]:20001"),
        end("[::1]:40000"),
        b"hello",
        5,
    );
    assert_eq!(lab.finish().retired.len(), 2);
}

/// What a client and a server say to each other, cut into segments.
fn segments(texts: &[(bool, String)]) -> Vec<Sent> {
    let mut next = [1u32, 1];
    let mut all = Vec::new();
    for (by_client, text) in texts {
        let to = if *by_client {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let (own, peers) = (to.index(), to.reverse().index());
        // The acknowledgment is that of the handshake, so that no order of them contradicts itself.
        let _ = peers;
        all.push(sent(to, PSH_ACK, next[own], 1, text));
        next[own] += text.len() as u32;
    }
    all
}

fn spoken(texts: &[(bool, String)], by_client: bool) -> String {
    let own = texts.iter().filter(|(by, _)| *by == by_client);
    own.map(|(_, text)| text.as_str()).collect()
}

proptest! {
    /// However the segments are shuffled and repeated, both streams come out as they were sent.
    #[test]
    fn order_and_repetition_change_nothing(
        texts in prop::collection::vec((any::<bool>(), "[a-z]{1,30}"), 1..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        isns in any::<[u32; 2]>(),
    ) {
        let sent = segments(&texts);
        let mut lab = Lab::with(Limits::default(), isns);
        lab.handshake();
        for index in order {
            lab.send(index.get(&sent));
        }
        // What the shuffle left out comes now, from the last to the first.
        for one in sent.iter().rev() {
            lab.send(one);
        }
        let told = lab.finish();
        prop_assert_eq!(told.stream(Direction::ToServer), spoken(&texts, true));
        prop_assert_eq!(told.stream(Direction::ToClient), spoken(&texts, false));
    }

    /// However a stream is cut into overlapping segments, it comes out as it was sent.
    #[test]
    fn overlaps_change_nothing(
        text in "[a-z]{1,60}",
        pieces in prop::collection::vec((0..60usize, 1..20usize, any::<bool>()), 0..40),
        isns in any::<[u32; 2]>(),
    ) {
        let mut lab = Lab::with(Limits::default(), isns);
        lab.handshake();
        for (from, len, push) in pieces {
            let from = from.min(text.len() - 1);
            let to = (from + len).min(text.len());
            let flags = if push { PSH_ACK } else { ACK };
            lab.client(flags, 1 + from as u32, 1, &text[from..to]);
        }
        lab.client(PSH_ACK, 1, 1, &text);
        prop_assert_eq!(lab.finish().stream(Direction::ToServer), text);
    }

    /// Any order of all segments, handshake and teardown included, makes nothing up: each octet told is where it was
    /// sent, or is said to be missing.
    #[test]
    fn nothing_is_made_up(
        texts in prop::collection::vec((any::<bool>(), "[a-z]{1,30}"), 1..10),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        random in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u32>(), "[A-Z]{0,9}"), 0..6),
    ) {
        let mut sent_ones = segments(&texts);
        sent_ones.push(sent(Direction::ToServer, SYN, 0, 0, ""));
        sent_ones.push(sent(Direction::ToClient, SYN_ACK, 0, 1, ""));
        let fin = 1 + spoken(&texts, true).len() as u32;
        sent_ones.push(sent(Direction::ToServer, FIN_ACK, fin, 1, ""));
        for (flags, seq, ack, text) in &random {
            sent_ones.push(sent(Direction::ToClient, Flags(*flags), *seq, *ack, text));
        }
        let mut lab = Lab::new();
        for index in order {
            lab.send(index.get(&sent_ones));
        }
        let told = lab.finish();
        if random.is_empty() {
            for (id, direction) in told.streams.keys() {
                let by_client = *direction == Direction::ToServer;
                let whole = spoken(&texts, by_client);
                let stream = String::from_utf8_lossy(&told.streams[&(*id, *direction)]).into_owned();
                for part in stream.split('?') {
                    prop_assert!(whole.contains(part), "{part:?} in {whole:?}");
                }
            }
        }
    }
}
