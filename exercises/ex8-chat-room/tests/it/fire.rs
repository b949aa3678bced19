//! Under fire: crowds, floods, ends that come at the worst moment, text that wants to do harm. The large
//! versions, with figures, are the benchmark `fire`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
};

use ex8_chat_room::descriptors;
use nix::sys::signal::Signal;
use tokio::task::LocalSet;

use crate::{
    actors::{Client, DEADLINE, Desk, Peer, Process, Server},
    load::{Crowd, log_in},
};

const MEMBERS: usize = 500;
const TALKERS: usize = 20;

/// Runs a crowd in this thread, if it may have the descriptors.
fn in_a_crowd(test: &str, crowd: impl Future<Output = ()>) {
    let fitting = descriptors::make_room(MEMBERS + 500).expect("the system tells");
    if fitting < MEMBERS + 500 {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI has to allow 1,100 open files"
        );
        println!("SKIPPED: {test} needs 1,100 open files (ulimit -Hn)");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let in_time = tokio::time::timeout(2 * DEADLINE, LocalSet::new().run_until(crowd)).await;
        in_time.expect("the crowd has got what it waits for");
    });
}

#[test]
fn five_hundred_members_hear_twenty_at_once() {
    in_a_crowd("five_hundred_members_hear_twenty_at_once", async {
        let server = Server::start();
        let mut crowd = Crowd::gather(server.address, "m", MEMBERS, TALKERS, |_| {}).await;
        for _ in 0..10 {
            for talker in 0..TALKERS {
                crowd.say(talker, 100).await;
            }
        }
        crowd.hear_all().await;
    });
}

#[test]
fn ctrl_c_in_the_middle_of_it_says_goodbye_to_all() {
    in_a_crowd("ctrl_c_in_the_middle_of_it_says_goodbye_to_all", async {
        let mut server = Server::start();
        let mut crowd = Crowd::gather(server.address, "m", MEMBERS, TALKERS, |_| {}).await;
        for _ in 0..10 {
            for talker in 0..TALKERS {
                crowd.say(talker, 1000).await;
            }
        }
        server.process.signal(Signal::SIGINT);
        let last = crowd.last_lines().await;
        let goodbye = |last: &&String| last.starts_with("BYE the server is shutting down");
        assert_eq!(last.iter().filter(goodbye).count(), MEMBERS, "{last:?}");
        assert_eq!(server.process.wait().code(), Some(0));
    });
}

#[test]
fn twenty_who_stop_reading_cost_the_others_nothing() {
    in_a_crowd("twenty_who_stop_reading_cost_the_others_nothing", async {
        let server = Server::start();
        let mut crowd = Crowd::gather(server.address, "m", 50, 5, |_| {}).await;
        let mut sleepers = Vec::new();
        for sleeper in 0..20 {
            sleepers.push(log_in(server.address, format!("s{sleeper}"), Some(4096)).await);
        }
        // Until the last has been shown out: each line more than one of them can take.
        let mut talker = 0;
        while !server.output.has("* s19 was disconnected (does not read).") {
            for _ in 0..20 {
                crowd.say(talker, 10_000).await;
            }
            crowd.hear_all().await;
            talker = (talker + 1) % 5;
        }
        for sleeper in 0..19 {
            let dropped = format!("* s{sleeper} was disconnected (does not read).");
            assert!(server.output.has(&dropped), "{dropped}");
        }
    });
}

#[test]
fn a_flood_of_silent_connections_locks_nobody_out() {
    in_a_crowd("a_flood_of_silent_connections_locks_nobody_out", async {
        let server = Server::start_with(&["--bind", "127.0.0.1:0", "--connections", "60"]);
        let mut crowd = Crowd::gather(server.address, "m", 40, 5, |_| {}).await;
        let mut flood: Vec<_> = (0..300)
            .map(|_| TcpStream::connect(server.address).expect("the server listens"))
            .collect();
        let mut first = String::new();
        flood[0].read_to_string(&mut first).expect("an orderly end");
        assert_eq!(first, "BYE the room is full, and you have not logged in\n");
        // Twenty seats are left to those who log in, however many do not.
        let late = log_in(server.address, "Late".into(), None).await;
        crowd.say(0, 0).await;
        crowd.hear_all().await;
        drop((late, flood));
    });
}

#[test]
fn a_room_full_of_members_takes_the_next_one_when_somebody_leaves() {
    let server = Server::start_with(&["--bind", "127.0.0.1:0", "--connections", "2"]);
    let mut ada = Peer::login(server.address, "Ada");
    let bob = Peer::login(server.address, "Bob");
    let third = Peer::connect(server.address);
    assert_eq!(
        third.gets_the_end(),
        "BYE the room is full, try again later\n"
    );
    ada.sends(b"LEAVE\n");
    assert!(ada.gets_the_end().ends_with("BYE you have left\n"));
    drop(ada);
    bob.gets("LEFT 1 Ada\n");
    // The seat is free once Ada's connection is over on both sides, and that is nobody's news.
    while {
        let mut next = Peer::connect(server.address);
        // It may be closed already.
        let _ = next.stream.write_all(b"LOGIN Cleo\n");
        !next.gets_unless_closed("WELCOME Cleo\n")
    } {}
}

#[test]
fn without_descriptors_newcomers_wait_and_the_room_goes_on() {
    let command = "ulimit -n 40; exec \"$0\" --bind 127.0.0.1:0 --connections 1000";
    let mut server = Server::start_program(Command::new("/bin/sh").args([
        "-c",
        command,
        env!("CARGO_BIN_EXE_ex8-server"),
    ]));
    server
        .output
        .until("Only 16 of 1000 connections fit into the limit of open files (ulimit -Hn)\n");
    let mut ada = Peer::login(server.address, "Ada");
    let bob = Peer::login(server.address, "Bob");
    let crowd: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(server.address).expect("the kernel accepts"))
        .collect();
    server
        .output
        .until("Nobody else can connect for the moment: Too many open files");
    let mut late = Peer::connect(server.address);
    late.sends(b"LOGIN Late\n");
    for n in 0..100 {
        ada.sends(format!("SAY {n}\n").as_bytes());
        bob.gets(&format!("LINE Ada: {n}\n"));
    }
    drop(crowd);
    late.gets("WELCOME Late\n");
    bob.gets("JOINED 3 Late\n");
    server.process.signal(Signal::SIGINT);
    assert_eq!(server.process.wait().code(), Some(0));
    assert!(
        late.gets_the_end()
            .ends_with("BYE the server is shutting down\n")
    );
}

/// The most memory the process has ever had, in KiB.
fn peak_memory(process: &Process) -> usize {
    let status = format!("/proc/{}/status", process.id());
    let status = std::fs::read_to_string(status).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|value| value.parse().ok()).expect("in KiB")
}

#[test]
fn a_line_that_never_ends_costs_no_memory() {
    const OCTETS: usize = 32 * 1024 * 1024;
    let server = Server::start();
    let bob = Peer::login(server.address, "Bob");
    let mut guest = Peer::connect(server.address);
    let mut ada = Peer::login(server.address, "Ada");
    let before = peak_memory(&server.process);
    let chunk = vec![b'x'; 64 * 1024];
    for _ in 0..OCTETS / chunk.len() {
        ada.sends(&chunk);
        guest.sends(&chunk);
    }
    guest.sends(b"\nLOGIN Guest\n");
    guest.gets("REFUSED the line is longer than 16384 octets\nWELCOME Guest\n");
    ada.sends(b"\nSAY that was long\n");
    ada.gets("WARNING the line is longer than 16384 octets\n");
    bob.gets("LINE Ada: that was long\n");
    let grown = peak_memory(&server.process) - before;
    assert!(grown < OCTETS / 1024 / 4, "by {grown} KiB");
}

/// A pulled cable says nothing. Whether TCP asks is seen in the kernel's table of sockets, where `02` is the
/// keepalive timer.
#[test]
#[cfg(target_os = "linux")]
fn a_silent_connection_is_asked_for_a_sign_of_life() {
    let server = Server::start();
    let guest = Peer::connect(server.address);
    // Somebody later is in, so the guest has been let in, too.
    let _ada = Peer::login(server.address, "Ada");
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let ends = (
        port(server.address),
        port(guest.stream.local_addr().expect("connected")),
    );
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let timers: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row[1].ends_with(&ends.0) && row[2].ends_with(&ends.1))
        .map(|row| row[5][..2].to_owned())
        .collect();
    assert_eq!(timers, ["02"]);
}

#[test]
fn names_that_deceive_are_refused_with_the_reason() {
    let server = Server::start();
    let mut ada = Peer::login(server.address, "Ada");
    let mut eve = Peer::connect(server.address);
    for (name, reason) in [
        (
            "Ada\0",
            "a name may not contain the invisible character U+0000",
        ),
        (
            "A\x1b[31mda",
            "a name may not contain the invisible character U+001B",
        ),
        (
            "A\u{9b}da",
            "a name may not contain the invisible character U+009B",
        ),
        (
            "\u{202e}adA",
            "a name may not contain the invisible character U+202E",
        ),
        (
            "\u{2066}Ada",
            "a name may not contain the invisible character U+2066",
        ),
        (
            "A\u{200b}da",
            "a name may not contain the invisible character U+200B",
        ),
        (
            "A\u{200d}da",
            "a name may not contain the invisible character U+200D",
        ),
        (
            "A\u{2060}da",
            "a name may not contain the invisible character U+2060",
        ),
        (
            "\u{feff}Ada",
            "a name may not contain the invisible character U+FEFF",
        ),
        (
            "A\u{ad}da",
            "a name may not contain the invisible character U+00AD",
        ),
        (
            "\u{3164}",
            "a name may not contain the invisible character U+3164",
        ),
        (
            "Ada\u{e0041}",
            "a name may not contain the invisible character U+E0041",
        ),
        (
            "\u{301}Ada",
            "a name may not begin with the combining mark U+0301",
        ),
        ("Eve: hi", "a name may not contain a colon"),
        ("ＡＤＡ", "the name ＡＤＡ is taken, choose another"),
        (
            "Аdа",
            "the name Аdа looks like one that is taken, choose another",
        ),
    ] {
        eve.sends(format!("LOGIN {name}\n").as_bytes());
        assert_eq!(eve.gets("\n"), format!("REFUSED {reason}"), "{name:?}");
    }
    for octets in [
        &b"Ad\xff"[..],
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        eve.sends(&[b"LOGIN ", octets, b"\n"].concat());
        assert_eq!(
            eve.gets("\n"),
            "REFUSED a name is UTF-8 text, this one is not"
        );
    }
    // Four octets a character, and honest.
    eve.sends("LOGIN 😀 𝒳\n".as_bytes());
    eve.gets("WELCOME 😀 𝒳\n");
    ada.sends(b"SAY hi\n");
    eve.gets("LINE Ada: hi\n");
}

#[test]
fn lines_that_would_act_on_a_terminal_are_shown_instead() {
    let server = Server::start_with(&["--bind", "127.0.0.1:0", "--lines"]);
    let bob = Client::login(&server, "Bob");
    let cleo = Desk::start(24, 80, &["--name", "Cleo", &server.address.to_string()]);
    cleo.shows("Welcome, Cleo.");
    let mut eve = Peer::login(server.address, "Eve");
    bob.sees("* Eve has joined. Member count=3\n");
    server.output.until("* Eve has joined. Member count=3\n");
    for (said, shown) in [
        (&b"\x1b[2J\x1b]0;x\x07"[..], "\\x1b[2J\\x1b]0;x\\x07"),
        (b"nul \0", "nul \\x00"),
        (b"return\rAda: hi", "return\\x0dAda: hi"),
        (b"\x08\x08\x7f", "\\x08\\x08\\x7f"),
        ("\u{9b}2J".as_bytes(), "\\u{9b}2J"),
        (
            "\u{202e}\u{2066}\u{200f}\u{61c}".as_bytes(),
            "\\u{202e}\\u{2066}\\u{200f}\\u{61c}",
        ),
        ("\u{2028}\u{feff}".as_bytes(), "\\u{2028}\\u{feff}"),
        (
            b"\xff\xc0\x80\xed\xa0\x80",
            "\\xff\\xc0\\x80\\xed\\xa0\\x80",
        ),
        ("héllo 😀 𝒳 שלום".as_bytes(), "héllo 😀 𝒳 שלום"),
    ] {
        eve.sends(&[b"SAY ", said, b"\n"].concat());
        let line = format!("Eve: {shown}\n");
        assert_eq!(bob.sees(&line), "");
        assert_eq!(server.output.until(&line), "");
        cleo.shows(line.trim_end());
    }
}
