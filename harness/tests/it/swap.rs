//! Which of the two programs to look at, found with a client and a server of the harness's own.

use crate::support::{Copy, alone, has, has_capture, has_netns, stable};
use harness::judge::Side;
use harness::manifest::{self, Programs};
use harness::understudy::{Dialect, End, Part};
use serde_json::Value;
use std::fs;

fn because(check: &Value) -> &str {
    check["because"].as_str().expect("a failure says why")
}

/// A manifest whose programs are all the harness's own, speaking like this.
fn own_pair(end: End) -> Copy {
    let copy = Copy::empty("own");
    let mut text = String::new();
    for exercise in ["ex1", "ex3", "ex4", "ex6", "ex8"] {
        text += &format!("[{exercise}]\nserver = \"true\"\nclient = \"true\"\n");
    }
    let file = copy.dir.join(manifest::FILE);
    fs::write(&file, &text).expect("it can be written");
    let submission = manifest::read(&copy.dir).expect("it can be read");
    let command = |words: &[String]| serde_json::to_string(words).expect("words are JSON");
    text.clear();
    for (exercise, programs) in &submission.programs {
        let part = Part {
            exercise: *exercise,
            dialect: Dialect::plain(end),
            quit: "q".to_owned(),
            ports: exercise
                .endpoint()
                .map(|(_, port)| port)
                .into_iter()
                .collect(),
        };
        let cast = |side| -> Programs { part.cast(side, programs) };
        text += &format!(
            "[{exercise}]\nserver = {}\nclient = {}\n",
            command(&cast(Side::Server).server.words),
            command(&cast(Side::Client).client.words)
        );
    }
    fs::write(&file, &text).expect("it can be written");
    copy
}

/// Where a program fails with one of them, it is not their doing.
#[test]
fn the_harness_s_own_programs_satisfy_the_sheet_together() {
    if !has_netns() || !has_capture() {
        return;
    }
    let _alone = alone();
    for end in [End::Newline, End::Nothing] {
        let copy = own_pair(end);
        let checked = copy.check(&[]);
        assert_eq!(checked.status, 0, "{end:?}: {}", checked.trouble());
        assert_eq!(copy.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn the_program_to_look_at_is_found_where_the_wire_blames_nobody() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let cases = [
        (
            "ex1-one-client-only",
            "ex1/serves-again",
            "server",
            "look at the server",
        ),
        (
            "ex6-client-stays",
            "ex6/quit-ends-session",
            "client",
            "look at the client",
        ),
        ("ex4-over-udp", "ex4/exchange", "both", "look at both"),
        (
            "ex1-wrong-port",
            "ex1/request-reply",
            "agreement",
            "the client calls port 20002, and the server listens on port 20001",
        ),
        (
            "ex6-waits-for-farewell",
            "ex6/quit-ends-session",
            "agreement",
            "they do not agree with each other: when this client sent \"q\\n\", this server sent nothing, the harness's own \
             sent nothing and closed",
        ),
    ];
    let try_one = |(fault, id, culprit, words): (&str, &str, &str, &str)| {
        let copy = Copy::of(&format!("faulty/{fault}"));
        let checked = copy.check(&[id, "--reruns", "1"]);
        let check = checked.get(id);
        assert_eq!(checked.with_status("fail"), [id], "{}", checked.trouble());
        assert_eq!(check["blame"], culprit, "{fault}: {}", checked.trouble());
        assert!(
            because(check).contains(words),
            "{fault}: {}",
            because(check)
        );
        let results = copy.home.path().join("lab-results/latest");
        for (kind, whose) in [
            ("transcript_own_client", "the harness's own client"),
            ("transcript_own_server", "the harness's own server"),
        ] {
            let path = check["evidence"][kind].as_str().expect("it is named");
            let transcript = fs::read_to_string(results.join(path)).expect("and there");
            assert!(transcript.contains(whose), "{transcript}");
        }
        // The same comes of what was recorded.
        let report = fs::read_to_string(results.join("report.json")).expect("it was kept");
        let run = harness::results::Run::load(&results).expect("it can be read");
        let again = harness::report::Report::new(&run);
        assert_eq!(report, harness::report::json::render(&again).expect("JSON"));
    };
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || try_one(case));
        }
    });
}

#[test]
fn a_protocol_of_their_own_is_nobody_elses() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("pickle");
    let client = copy.dir.join("calc_c.py");
    let text = fs::read_to_string(&client).expect("it can be read");
    let stays = text.replace("        break\n", "        continue\n");
    assert_ne!(text, stays);
    fs::write(&client, stays).expect("it can be written");
    let checked = copy.check(&["ex6/quit-ends-session", "--reruns", "1"]);
    let check = checked.get("ex6/quit-ends-session");
    assert_eq!(check["status"], "fail", "{}", checked.trouble());
    assert!(check["blame"].is_null(), "{check:#}");
    let scene = "lab-results/latest/scenes/calculator-quit";
    let scene = copy.home.path().join(scene);
    assert!(scene.join("again-1").is_dir() && !scene.join("own-client").exists());
}

#[test]
fn nobody_is_swapped_where_that_is_not_wanted_or_the_wire_tells() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let cases = [
        (
            "ex6-client-stays",
            &["ex6/quit-ends-session", "--no-swap", "--reruns", "1"][..],
        ),
        (
            "ex6-client-stays",
            &["ex6/quit-ends-session", "--reruns", "0"],
        ),
        (
            "ex1-server-silent",
            &["ex1/server-prints-message", "--reruns", "1"],
        ),
    ];
    for (fault, arguments) in cases {
        let copy = Copy::of(&format!("faulty/{fault}"));
        let checked = copy.check(arguments);
        assert_eq!(checked.with_status("fail").len(), 1);
        let scenes = copy.home.path().join("lab-results/latest/scenes");
        let scenes = fs::read_dir(scenes).expect("there are scenes").flatten();
        for scene in scenes {
            assert!(!scene.path().join("own-client").exists(), "{fault}");
        }
    }
}

/// The harness's own words, as reviewed.
#[test]
fn a_report_on_two_that_do_not_agree_reads_as_it_was_reviewed() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of("faulty/ex1-wrong-port");
    copy.check(&[]);
    let results = copy.home.path().join("lab-results/latest");
    let report = fs::read_to_string(results.join("report.txt")).expect("the report was kept");
    // The second line tells what this machine allows.
    let lines = report.lines().enumerate();
    let report: String = lines
        .filter(|(number, _)| *number != 1)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    snapshots::check("faulty", "ex1-wrong-port", &stable(&report));
}
