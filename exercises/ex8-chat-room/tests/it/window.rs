//! The window, key by key on a pseudo-terminal: what is on the screen is read by a terminal emulator.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ex8_chat_room::window::terminal::Terminal;
use nix::sys::{
    signal::Signal,
    termios::{FlowArg, tcflow},
};

use crate::actors::{Client, Desk, Peer, Process, Server, text_of};

const ENTER_ALTERNATE: &str = "\x1b[?1049h";
const LEAVE_ALTERNATE: &str = "\x1b[?1049l";

/// Ada at a terminal, logged in.
fn ada(server: &Server) -> Desk {
    let ada = Desk::start(24, 80, &["--name", "Ada", &server.address.to_string()]);
    ada.shows("Welcome, Ada.");
    ada
}

#[test]
fn a_name_is_asked_for_in_the_window_until_one_is_free() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    let mut ada = Desk::start(24, 80, &[&server.address.to_string()]);
    ada.shows("login name:");
    ada.types("bob\r");
    ada.shows("Refused: the name bob is taken, choose another");
    ada.types("A\u{200b}da\r");
    ada.shows("character U+200B");
    ada.types("Ada\r");
    bob.sees("* Ada has joined. Member count=2\n");
    ada.shows("Welcome, Ada.");
    ada.shows("Ada>");
    // The list is complete though Bob came before.
    ada.until("the members", |screen| {
        let column: Vec<_> = screen.rows(61, 10).collect();
        let column: Vec<_> = column[1..4].iter().map(|row| row.trim_end()).collect();
        column == ["Members", "Ada", "Bob"]
    });
}

#[test]
fn what_arrives_does_not_disturb_what_is_being_typed() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    ada.types("half a 你");
    ada.shows("Ada> half a 你");
    bob.types("an interruption\n");
    ada.shows("Bob: an interruption");
    ada.until("the cursor behind what was typed", |screen| {
        screen.cursor_position() == (23, 14)
    });
    ada.types("\x7fsentence\r");
    bob.sees("Ada: half a sentence\n");
    ada.shows("Ada: half a sentence");
}

#[test]
fn keys_edit_by_characters_and_bring_back_what_was_sent() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    // An e with its accent, and 你, are a character each.
    ada.types("e\u{301}x你y");
    ada.until("five columns behind the prompt", |s| {
        s.cursor_position() == (23, 10)
    });
    ada.types("\x1b[D\x1b[D");
    ada.until("the cursor before 你", |s| s.cursor_position() == (23, 7));
    ada.types("\x7f\x7f\x1b[3~");
    ada.until("only the y", |s| {
        text_of(s).ends_with("Ada> y") && s.cursor_position() == (23, 5)
    });
    ada.types("wh\x05!\x01\x1b[C\x1b[C\x1b[C?\r");
    bob.sees("Ada: why?!\n");
    ada.types("dra\x1b[A");
    ada.shows("Ada> why?!");
    ada.types("\x1b[Bft\r");
    bob.sees("Ada: draft\n");
}

#[test]
fn a_paste_waits_for_enter_and_goes_out_line_by_line() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    ada.until("bracketed paste", vt100::Screen::bracketed_paste);
    ada.types("said: \x1b[200~one\rq\r\x07你\x1b[201~");
    ada.shows("Ada> said: one\n     q\n     \\x07你");
    ada.types("!\r");
    bob.sees("* Ada has joined. Member count=2\n");
    for line in ["said: one", "q", "\\x07你!"] {
        assert_eq!(bob.sees("\n"), format!("Ada: {line}"));
    }
}

#[test]
fn commands_are_obeyed_and_not_sent() {
    let server = Server::start();
    let bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    ada.shows("│ Bob");
    ada.types("/who\r");
    ada.shows("2 here: Ada, Bob");
    ada.types("/help\r");
    ada.shows("Enter sends;");
    ada.types("/smile\r");
    ada.shows("There is no /smile.");
    ada.types("\x15//smile\r");
    bob.sees("* Ada has joined. Member count=2\n");
    assert_eq!(bob.sees("\n"), "Ada: /smile");
    ada.types("/quit\r");
    assert_eq!(ada.ends(), Some(0));
    assert_eq!(bob.sees("\n"), "* Ada has left. Member count=1");
}

#[test]
fn the_size_may_change_at_any_moment() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    ada.shows("│ Bob");
    ada.types("typed before");
    ada.resize(12, 40);
    ada.until("no member list", |screen| !screen.contents().contains('│'));
    ada.shows("Ada> typed before");
    ada.resize(1, 1);
    bob.types("in the meantime\n");
    ada.resize(30, 100);
    ada.shows("│ Bob");
    ada.shows("Bob: in the meantime");
    ada.until("a cursor behind the input", |s| {
        s.cursor_position() == (29, 17)
    });
    ada.types(" and after\r");
    bob.sees("Ada: typed before and after\n");
}

#[test]
fn a_screen_that_was_scrolled_stands_still_and_counts_what_is_new() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    bob.types(&(0..100).map(|n| format!("line {n}\n")).collect::<String>());
    ada.shows("Bob: line 99");
    ada.types("\x1b[5~\x1b[5~");
    ada.shows("scrolled up");
    ada.shows("Bob: line 59");
    bob.types("fresh\nnews\n");
    ada.shows("2 new ↓ Esc");
    ada.shows("Bob: line 59");
    ada.types("\x1b[6~\x1b[6~\x1b[6~");
    ada.shows("Bob: news");
    ada.shows("F1 help");
}

#[test]
fn a_lost_connection_comes_back_with_name_and_draft() {
    for (signal, reason) in [
        // Its kernel closes or resets the connection.
        (Signal::SIGKILL, "No connection: the "),
        (Signal::SIGTERM, "the server is shutting down"),
    ] {
        let mut server = Server::start();
        let mut ada = ada(&server);
        ada.types("not yet");
        ada.shows("Ada> not yet");
        server.process.signal(signal);
        server.process.wait();
        ada.shows(reason);
        ada.shows("no connection:");
        ada.types(" sent\r");
        ada.shows("Not sent, as there is no connection");
        let server = Server::start_with(&["--bind", &server.address.to_string()]);
        ada.shows("Connected again, as Ada.");
        ada.shows("1 here");
        let bob = Client::login(&server, "Bob");
        ada.shows("→ Bob has joined");
        ada.shows("Ada> not yet sent");
        ada.types("\r");
        bob.sees("Ada: not yet sent\n");
    }
}

#[test]
fn the_terminal_is_given_back_however_the_client_ends() {
    type End = fn(&Server, &mut Desk);
    let endings: [(&str, End); 8] = [
        ("/quit", |_, ada| ada.types("/quit\r")),
        ("q", |_, ada| ada.types("q\r")),
        ("Ctrl-C", |_, ada| ada.types("half\x03")),
        ("Ctrl-D", |_, ada| ada.types("\x04")),
        ("SIGINT", |_, ada| ada.process.signal(Signal::SIGINT)),
        ("SIGTERM", |_, ada| ada.process.signal(Signal::SIGTERM)),
        ("SIGHUP", |_, ada| ada.process.signal(Signal::SIGHUP)),
        ("without a server", |server, ada| {
            server.process.signal(Signal::SIGKILL);
            ada.shows("no connection");
            ada.types("/quit\r");
        }),
    ];
    for (ending, end) in endings {
        let server = Server::start();
        let mut ada = ada(&server);
        ada.until("the window", |s| {
            s.alternate_screen() && s.bracketed_paste()
        });
        assert!(ada.is_raw());
        end(&server, &mut ada);
        // Checks the modes of the terminal, too.
        assert_eq!(ada.ends(), Some(0), "{ending}");
        assert_eq!(ada.last_screen().trim(), "Goodbye.", "{ending}");
        let printed = ada.printed();
        assert_eq!(printed.matches(ENTER_ALTERNATE).count(), 1, "{ending}");
        assert_eq!(printed.matches(LEAVE_ALTERNATE).count(), 1, "{ending}");
    }
}

#[test]
fn the_terminal_is_given_back_before_a_panic_is_reported() {
    const PANICS: &str = "EX8_TEST_PANICS";
    if std::env::var_os(PANICS).is_some() {
        let _terminal = Terminal::open().expect("a terminal");
        panic!("an accident in the window");
    }
    let this = std::env::current_exe().expect("a program");
    let name = "window::the_terminal_is_given_back_before_a_panic_is_reported";
    let arguments = ["--exact", name, "--nocapture", "--test-threads=1"];
    let mut child = Desk::start_program(24, 80, &this, &arguments, &[(PANICS, "1")]);
    assert_eq!(child.ends(), Some(101));
    // However long the backtrace is.
    let printed = child.printed();
    let given_back = printed.find(LEAVE_ALTERNATE).expect("given back");
    assert!(printed[given_back..].contains("an accident in the window"));
}

#[test]
fn stopped_with_ctrl_z_it_gives_the_terminal_back_until_it_goes_on() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    for stop in ["Ctrl-Z", "SIGTSTP"] {
        ada.types("draft,");
        ada.shows("draft,");
        match stop {
            "Ctrl-Z" => ada.types("\x1a"),
            _ => ada.process.signal(Signal::SIGTSTP),
        }
        ada.process.wait_until_stopped();
        assert!(!ada.is_raw(), "{stop}");
        ada.until("the shell's screen", |s| {
            !s.alternate_screen() && !s.bracketed_paste()
        });
        bob.types(&format!("{stop}?\n"));
        ada.process.signal(Signal::SIGCONT);
        ada.shows(&format!("Bob: {stop}?"));
        assert!(ada.is_raw(), "{stop}");
    }
    ada.types("\r");
    bob.sees("Ada: draft,draft,\n");
}

#[test]
fn a_terminal_that_is_gone_takes_the_client_out_of_the_room() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let ada = ada(&server);
    bob.sees("* Ada has joined. Member count=2\n");
    let mut process = ada.closes();
    bob.types("still here?\n");
    bob.sees("* Ada has left. Member count=1\n");
    process.wait();
}

#[test]
fn a_terminal_that_takes_nothing_keeps_nobody() {
    let server = Server::start();
    let mut bob = Client::login(&server, "Bob");
    let mut ada = ada(&server);
    bob.sees("* Ada has joined. Member count=2\n");
    tcflow(ada.terminal(), FlowArg::TCOOFF).expect("a terminal");
    // A program that writes by itself hangs here.
    let end = ada.terminal().try_clone().expect("a descriptor");
    let mut echo = Process::start(Command::new("echo").stdout(end));
    bob.types("you cannot see this\n");
    ada.types("but I can answer\r");
    bob.sees("Ada: but I can answer\n");
    ada.process.signal(Signal::SIGTERM);
    bob.sees("* Ada has left. Member count=1\n");
    assert_eq!(ada.exits(), Some(0));
    assert!(!echo.has_ended(), "the terminal takes nothing");
    tcflow(ada.terminal(), FlowArg::TCOON).expect("a terminal");
    assert!(echo.wait().success());
}

#[test]
fn keys_are_answered_in_the_middle_of_a_flood() {
    let server = Server::start();
    let mut ada = ada(&server);
    let mut peer = Peer::login(server.address, "Flood");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let lines: String = (n..n + 500).map(|n| format!("SAY flood {n}\n")).collect();
                peer.sends(lines.as_bytes());
                n += 500;
                // Not a wait for anything: the pace, 10,000 lines a second.
                thread::sleep(Duration::from_millis(50));
            }
            peer.sends(b"SAY the end\n");
        });
        ada.shows("Flood: flood ");
        let mut typed = String::from("Ada> ");
        for key in "still here".chars() {
            ada.types(&key.to_string());
            typed.push(key);
            ada.shows(typed.trim_end());
        }
        over.store(true, Ordering::Relaxed);
    });
    ada.shows("Flood: the end");
    ada.types("\x03");
    assert_eq!(ada.ends(), Some(0));
}

#[test]
fn in_line_mode_a_terminal_gets_no_escape_codes() {
    for (term, option) in [("dumb", None), ("xterm", Some("--plain"))] {
        let server = Server::start();
        let address = server.address.to_string();
        let mut bob = Client::login(&server, "Bob");
        let arguments: Vec<_> = option.into_iter().chain([address.as_str()]).collect();
        let program = Path::new(env!("CARGO_BIN_EXE_ex8-client"));
        let mut ada = Desk::start_program(24, 80, program, &arguments, &[("TERM", term)]);
        ada.shows("login name:");
        assert!(!ada.is_raw());
        ada.types("bob\n");
        ada.shows("Refused: the name bob is taken, choose another\nlogin name:");
        ada.types("Ada\n");
        ada.shows(
            "Welcome, Ada. Type a line to talk, q to leave.\n* Ada has joined. Member count=2",
        );
        bob.types("\x1b[31mred\n");
        ada.shows("Bob: \\x1b[31mred");
        ada.types("/who\n");
        bob.sees("Ada: /who\n");
        ada.types("q\n");
        assert_eq!(ada.ends(), Some(0));
        bob.sees("* Ada has left. Member count=1\n");
        assert!(!ada.printed().contains('\x1b'));
    }
}
