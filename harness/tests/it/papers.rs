//! Exercises that are handed in as files: what satisfies the sheet in other ways passes too, what is damaged is named,
//! and the experiments show what the student's own programs do.

use crate::support::{Copy, has, has_capture, has_netns};
use std::fs;

/// The files of a faulty submission, to be made right in some way.
fn paper(name: &str) -> Copy {
    Copy::of(&format!("faulty/{name}"))
}

fn write_answers(copy: &Copy, text: &str) {
    fs::write(copy.dir.join("answers.toml"), text).expect("the answers can be written");
}

fn read(copy: &Copy, file: &str) -> Vec<u8> {
    fs::read(copy.dir.join(file)).expect("it can be read")
}

#[track_caller]
fn check_statuses(copy: &Copy, expected: &[(&str, &str)]) {
    let checked = copy.check(&[]);
    for (id, status) in expected {
        assert_eq!(
            checked.get(id)["status"],
            *status,
            "{id}\n{}",
            checked.trouble()
        );
    }
}

const ALL_OF_EX5: [(&str, &str); 4] = [
    ("ex5/handshake", "pass"),
    ("ex5/plaintext", "pass"),
    ("ex5/only-lab-traffic", "pass"),
    ("ex5/answers", "pass"),
];

/// The answers about the connection in the faulty submissions' captures.
const RIGHT: &str = "[ex5]\nhandshake = [\"SYN\", \"SYN-ACK\", \"ACK\"]\nclient_port = 51234\nserver_port = 20002\n\
                     plaintext_visible = true\ntexts = [\"Hello from the client\", \"Hello from the server\"]\n";

#[test]
fn a_file_with_everything_in_it_passes_when_the_answers_name_the_connection() {
    let copy = paper("ex5-everything");
    write_answers(&copy, RIGHT);
    check_statuses(&copy, &ALL_OF_EX5);
    let said = copy.check(&[]).get("ex5/only-lab-traffic")["remarks"].to_string();
    assert!(
        said.contains("which a display filter leaves in the file"),
        "{said}"
    );
}

#[test]
fn answers_in_other_words_pass() {
    let copy = paper("ex5-other-client-port");
    write_answers(
        &copy,
        "handshake = \"[SYN], [SYN, ACK], [ACK]\"\nclient_port = \"51234\"\nserver_port = \"20002\"\nplaintext_visible = \"yes\"\n\
         texts = [\"hello from the CLIENT\", \"Hello from the server\\n\"]\n",
    );
    // One text with all three in brackets cannot be told apart; a list can.
    let text = String::from_utf8(read(&copy, "answers.toml")).expect("text");
    write_answers(
        &copy,
        &text.replace(
            "\"[SYN], [SYN, ACK], [ACK]\"",
            "[\"[SYN]\", \"[SYN, ACK]\", \"[ACK]\"]",
        ),
    );
    check_statuses(&copy, &ALL_OF_EX5);
}

#[test]
fn another_port_is_the_labs_when_the_answers_or_the_manifest_say_so() {
    let copy = paper("ex5-other-client-port");
    // 20002 becomes 5005; wrong checksums are only noted.
    let capture = read(&copy, "hello.pcap");
    let mut moved = capture.clone();
    for at in 0..moved.len() - 1 {
        if moved[at..at + 2] == [0x4e, 0x22] {
            moved[at..at + 2].copy_from_slice(&[0x13, 0x8d]);
        }
    }
    fs::write(copy.dir.join("hello.pcap"), moved).expect("it can be written");
    write_answers(&copy, &RIGHT.replace("server_port = 20002\n", ""));
    let unsure = [
        ("ex5/handshake", "inconclusive"),
        ("ex5/answers", "not_run"),
    ];
    check_statuses(&copy, &unsure);
    let checked = copy.check(&[]);
    assert_eq!(checked.status, 3);
    let because = checked.get("ex5/handshake")["because"].to_string();
    assert!(because.contains("server_port = 5005"), "{because}");

    write_answers(&copy, &RIGHT.replace("20002", "5005"));
    check_statuses(&copy, &ALL_OF_EX5);
}

#[test]
fn what_cannot_be_read_is_named_with_its_place_and_costs_nothing_else() {
    let copy = paper("ex5-other-client-port");
    write_answers(&copy, "[ex5]\nhandshake = [\"SYN\",\nclient_port = 1\n");
    let checked = copy.check(&[]);
    assert_eq!(checked.get("ex5/handshake")["status"], "pass");
    let because = checked.get("ex5/answers")["because"].to_string();
    assert!(because.contains("answers.toml:3:"), "{because}");

    // Cut in the middle of the last segment: everything before it counts.
    write_answers(&copy, RIGHT);
    let capture = read(&copy, "hello.pcap");
    fs::write(copy.dir.join("hello.pcap"), &capture[..capture.len() - 9])
        .expect("it can be written");
    check_statuses(&copy, &ALL_OF_EX5);

    fs::write(copy.dir.join("hello.pcap"), "a screen shot, perhaps").expect("it can be written");
    let checked = copy.check(&[]);
    assert_eq!(checked.status, 1);
    let because = checked.get("ex5/handshake")["because"].to_string();
    assert!(
        because.contains("hello.pcap: this is not a pcap or pcapng file"),
        "{because}"
    );
}

#[test]
fn no_file_outside_the_submission_is_read() {
    let copy = paper("ex5-other-client-port");
    let outside = copy.home.path().join("elsewhere.pcap");
    fs::rename(copy.dir.join("hello.pcap"), &outside).expect("it can be moved");
    std::os::unix::fs::symlink(&outside, copy.dir.join("hello.pcap")).expect("it can be linked");
    let checked = copy.check(&[]);
    let because = checked.get("ex5/handshake")["because"].to_string();
    assert!(
        because.contains("leads out of the submission's folder"),
        "{because}"
    );
}

#[test]
fn yes_and_no_answer_the_sheets_question_and_what_is_unclear_is_left_to_a_person() {
    let copy = paper("ex7-tcp-stateless");
    write_answers(
        &copy,
        "[ex7]\na = \"Yes\"\nb = false\nc = \"It is not stateless\"\nd = \"State-less!\"\n\n[ex7.because]\na = \"…\"\n",
    );
    let expected = [
        ("ex7/a", "pass"),
        ("ex7/b", "pass"),
        ("ex7/c", "inconclusive"),
        ("ex7/d", "pass"),
    ];
    check_statuses(&copy, &expected);
    let told = copy.check(&[]).get("ex7/a")["remarks"].to_string();
    assert!(told.contains("Reason given: “…”"), "{told}");
}

/// The experiment's outcome as the report says it: `pass` when the client did not notice.
fn noticed(copy: &Copy) -> Vec<(String, String)> {
    let checked = copy.check(&["ex7"]);
    let experiments = checked.report["experiments"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    experiments
        .iter()
        .map(|one| (word(&one["id"]), word(&one["status"])))
        .collect()
}

#[test]
fn a_beginners_clock_does_not_notice_a_restart_and_the_calculator_does() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("beginner");
    write_answers(
        &copy,
        "[ex7]\na = \"stateful\"\nb = \"stateful\"\nc = \"stateful\"\nd = \"stateless\"\n",
    );
    let outcome = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    assert_eq!(
        noticed(&copy),
        [
            outcome("ex3/restart", "pass"),
            outcome("ex6/restart", "fail")
        ]
    );
    let checked = copy.check(&["ex7"]);
    let because = checked.get("ex7/a")["because"].to_string();
    assert_eq!(checked.get("ex7/a")["status"], "fail");
    assert!(
        because.contains("your own programs shows the opposite"),
        "{because}"
    );
}
