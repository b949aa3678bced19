//! Ladders of made-up wires: what is rare on loopback looks as it should.

use super::*;
use crate::event::Octets;
use crate::fault::Meddling;
use std::net::SocketAddr;

fn crossing(frame: u64, ends: [Option<&str>; 2], what: CrossingKind, payload: &[u8]) -> Event {
    let address: SocketAddr = ([127, 0, 0, 1], 20_001).into();
    let crossing = Crossing {
        frame,
        conversation: 0,
        from: ends[0].map(str::to_owned),
        to: ends[1].map(str::to_owned),
        src: address,
        dst: address,
        what,
        len: u32::try_from(payload.len()).expect("it is short"),
        payload: Octets(payload.to_vec()),
    };
    Event {
        at_us: frame,
        kind: EventKind::Crossed(crossing),
    }
}

fn segment(flags: &[&str], retransmission: bool) -> CrossingKind {
    CrossingKind::Segment {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        seq: 1,
        ack: Some(1),
        handshake: None,
        retransmission,
        refused: false,
    }
}

fn events() -> Vec<Event> {
    let (ada, bert, server) = (Some("ada"), Some("bert"), Some("server"));
    vec![
        crossing(1, [ada, server], CrossingKind::Datagram, b"anybody there?"),
        crossing(
            2,
            [server, ada],
            CrossingKind::Unreachable {
                reason: "port unreachable".to_owned(),
            },
            b"",
        ),
        crossing(
            3,
            [bert, server],
            segment(&["PSH", "ACK"], false),
            b"<b>&\x1b[2J \"h\xc3\xa9llo\"\n",
        ),
        crossing(
            4,
            [bert, server],
            segment(&["PSH", "ACK"], true),
            b"<b>&\x1b[2J \"h\xc3\xa9llo\"\n",
        ),
        crossing(5, [server, bert], segment(&["RST", "ACK"], false), b""),
        crossing(6, [None, server], CrossingKind::Datagram, b""),
        crossing(7, [server, ada], CrossingKind::Datagram, &[b'x'; 300]),
    ]
}

fn scenario() -> Scenario {
    let source = crate::diagnostic::Source {
        name: "test.kdl".to_owned(),
        text: "scenario s exercise=ex8 {\n start server\n start client ada bert\n check \"ex8/login\" \"t\" {\n sheet \"s\"\n hint \"h\"\n server is-running\n }\n}".to_owned(),
    };
    crate::scenario::parse::parse(&source)
        .expect("it is right")
        .remove(0)
}

#[test]
fn what_is_lost_repeated_or_cut_off_looks_different() {
    let ladder = Ladder::of(&scenario(), &events(), &BTreeSet::new());
    let expected = "\
ex8: s

 ada           bert          server        (unknown)
 ├─────────────┼────────────✗│             │ datagram \"anybody there?\" 14 octets (lost)
 │◀────────────┼─────────────┤             │ ICMP: port unreachable
 │             ├────────────▶│             │ PSH, ACK seq=1 \"<b>&\\x1b[2J \"héllo\"\\n\" 18 octets
 │             ├┄┄┄┄┄┄┄┄┄┄┄┄▶│             │ PSH, ACK seq=1 (retransmission) \"<b>&\\x1b[2J \"héllo\"\\n\" 18 octets
 │             │◀════════════┤             │ RST, ACK
 │             │             │◀────────────┤ datagram \"\" 0 octets
 │◀────────────┼─────────────┤             │ datagram \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\" 300 octets
";
    let drawn = text::render(&ladder);
    assert_eq!(drawn, expected, "{drawn}");
}

#[test]
fn a_failed_step_stands_out_and_what_is_left_out_is_said() {
    let scenario = scenario();
    let mut all = vec![Event {
        at_us: 0,
        kind: EventKind::StepEnded {
            step: 3,
            ended: crate::event::Waiting::TimedOut,
        },
    }];
    let many = (1..=MOST_ROWS as u64 + 9).map(|frame| {
        crossing(
            frame,
            [Some("ada"), Some("server")],
            CrossingKind::Datagram,
            b"x",
        )
    });
    all.extend(many);
    let place = format!("{}:{}", scenario.file, scenario.steps[3].place);
    let ladder = Ladder::of(&scenario, &all, &BTreeSet::from([place]));
    assert_eq!(
        ladder.rows[0],
        Row::Step {
            text: "server is-running".to_owned(),
            failed: true
        }
    );
    assert_eq!(ladder.rows.len(), MOST_ROWS);
    for drawn in [text::render(&ladder), svg::render(&ladder)] {
        assert!(drawn.contains("… 10 more rows left out here"), "{drawn}");
    }
}

#[test]
fn a_picture_is_well_formed_whatever_was_said() {
    let picture = svg::render(&Ladder::of(&scenario(), &events(), &BTreeSet::new()));
    assert!(picture.contains("&lt;b&gt;&amp;\\x1b[2J"), "{picture}");
    assert!(!picture.chars().any(|c| c.is_control() && c != '\n'));
    for tag in ["text", "svg", "style", "title"] {
        let (open, close) = (
            picture.matches(&format!("<{tag}")).count(),
            picture.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(open, close, "{tag}");
    }
}

#[test]
fn nothing_is_drawn_too() {
    let ladder = Ladder::excerpt(std::iter::empty(), &Fates::new(), 8);
    assert_eq!(text::body(&ladder), "nothing crossed the wire\n");
    assert!(svg::render(&ladder).ends_with("</svg>\n"));
}

#[test]
fn what_is_lost_or_takes_its_time_on_a_cable_is_drawn_so() {
    let (ada, server) = (Some("ada"), Some("server"));
    let meddled = |frame, what| Event {
        at_us: 50,
        kind: EventKind::Meddled {
            frame: Some(frame),
            what,
        },
    };
    let events = [
        crossing(1, [ada, server], CrossingKind::Datagram, b"SEND_TIME"),
        crossing(2, [server, ada], CrossingKind::Datagram, b"10:11:12"),
        meddled(2, Meddling::Dropped),
        crossing(3, [ada, server], CrossingKind::Datagram, b"SEND_DATE"),
        meddled(3, Meddling::Delayed { by_us: 3 }),
        crossing(4, [ada, server], CrossingKind::Datagram, b"SEND_TIME"),
        meddled(4, Meddling::Duplicated),
    ];
    let ladder = Ladder::of(&scenario(), &events, &BTreeSet::new());
    let expected = " ada           bert          server
 ├─────────────┼────────────▶│ datagram \"SEND_TIME\" 9 octets
 │✗────────────┼─────────────┤ datagram \"10:11:12\" 8 octets (lost)
 ├────────────╌│             │ datagram \"SEND_DATE\" 9 octets (leaves)
 ├─────────────┼────────────▶│ datagram \"SEND_TIME\" 9 octets (arrived twice)
 │             ╌────────────▶│ datagram \"SEND_DATE\" 9 octets (arrives)
";
    assert_eq!(text::body(&ladder), expected);
    snapshots::check("ladder", "cable", &svg::render(&ladder));
}
