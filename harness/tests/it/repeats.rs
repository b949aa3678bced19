//! What fails is tried again in a fresh world: chance is found, and fails nobody.

use crate::support::{Copy, has};
use std::fs;

/// A TCP hello whose server says nothing in its first run, and everything in later ones. It remembers in a file, so it
/// is only possible where nothing keeps programs from writing there.
fn forgetful() -> Copy {
    let copy = Copy::of("faulty/ex4-server-silent");
    let server = copy.dir.join("server.py");
    let text = fs::read_to_string(&server).expect("it can be read");
    let text = text.replace(
        "import socket\n",
        "import os, socket, sys\n\nif not os.path.exists(\"been-here\"):\n    open(\"been-here\", \"w\").close()\n    first = True\n\
         else:\n    first = False\n",
    );
    // The message is printed, except for the first time.
    let text = text.replace(
        "    conn.sendall(",
        "    if not first:\n        print(\"Message from\", address, \":\", message)\n    conn.sendall(",
    );
    fs::write(server, text).expect("it can be written");
    copy
}

#[test]
fn what_ends_differently_is_inconclusive_with_both_transcripts() {
    if !has(&["python3"]) {
        return;
    }
    let copy = forgetful();
    let checked = copy.check(&["--isolation", "L0"]);
    let check = checked.get("ex4/server-prints-message");
    assert_eq!(check["status"], "inconclusive", "{}", checked.trouble());
    let because = check["because"].as_str().expect("it says why");
    assert!(
        because.starts_with("it passed in 2 of 3 runs, each in a fresh world; where it did not: "),
        "{because}"
    );
    assert_eq!(checked.status, 3);
    let results = copy.home.path().join("lab-results/latest");
    for kind in ["transcript", "transcript_passed"] {
        let path = check["evidence"][kind].as_str().expect("both are named");
        let transcript = fs::read_to_string(results.join(path)).expect("and there");
        assert_eq!(
            transcript.contains("Message from"),
            kind == "transcript_passed",
            "{transcript}"
        );
    }
    // The report is the same from what was recorded.
    let report = fs::read_to_string(results.join("report.json")).expect("it was kept");
    let run = harness::results::Run::load(&results).expect("it can be read");
    let again = harness::report::json::render(&harness::report::Report::new(&run)).expect("JSON");
    assert_eq!(report, again);
}

#[test]
fn an_instructor_decides_what_chance_is_worth() {
    if !has(&["python3"]) {
        return;
    }
    for (arguments, status) in [
        (&["--flaky", "best"][..], "pass"),
        (&["--flaky", "majority"], "pass"),
        (&["--flaky", "all"], "fail"),
        (&["--reruns", "0"], "fail"),
    ] {
        let copy = forgetful();
        let checked = copy.check(&[&["--isolation", "L0"], arguments].concat());
        let check = checked.get("ex4/server-prints-message");
        assert_eq!(
            check["status"],
            status,
            "{arguments:?}\n{}",
            checked.trouble()
        );
    }
}

#[test]
fn what_fails_every_time_fails() {
    if !has(&["python3"]) {
        return;
    }
    let copy = Copy::of("faulty/ex4-server-silent");
    let checked = copy.check(&[]);
    assert_eq!(checked.with_status("fail"), ["ex4/server-prints-message"]);
    let scene = copy.home.path().join("lab-results/latest/scenes/hello-tcp");
    assert!(scene.join("again-1/transcript.txt").is_file());
    assert!(!scene.join("again-2").exists(), "two runs agreed");
}
