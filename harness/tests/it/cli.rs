//! The command line: help, lists, mistakes in arguments and scenario files, recorded results.

use crate::support::{Copy, harness, has, has_netns};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

fn command(cwd: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::from_std(harness(cwd).into_command());
    command.args(arguments);
    command
}

fn run(cwd: &Path, arguments: &[&str]) -> Output {
    command(cwd, arguments)
        .output()
        .expect("the harness can be started")
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder can be made")
}

/// Standard error without the line breaks and bars of a narrow page.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).replace('│', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_mistake(cwd: &Path, arguments: &[&str], words: &[&str]) {
    let refused = command(cwd, arguments).assert().code(2).stdout("");
    let said = said(refused.get_output());
    for wanted in words {
        assert!(said.contains(wanted), "{wanted:?} in: {said}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let home = folder();
    for command in [
        &[][..],
        &["check"],
        &["list"],
        &["init"],
        &["report"],
        &["grade"],
        &["merge"],
    ] {
        let output = run(home.path(), &[command, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains("Examples:\n  harness "),
            "{command:?}: {text}"
        );
    }
}

#[test]
fn a_folder_without_a_manifest_is_pointed_at_init() {
    let home = folder();
    check_mistake(
        home.path(),
        &["check"],
        &["there is no lab.toml in .", "harness init"],
    );
    check_mistake(
        home.path(),
        &["check", "nowhere"],
        &["there is no folder nowhere"],
    );
}

#[test]
fn a_misspelt_check_is_recognised() {
    check_mistake(
        folder().path(),
        &["check", ".", "ex6/arithmetics"],
        &["no check `ex6/arithmetics`", "did you mean ex6/arithmetic?"],
    );
}

#[test]
fn an_exercise_that_was_not_handed_in_cannot_be_selected() {
    let copy = Copy::of("faulty/ex1-server-silent");
    check_mistake(
        copy.home.path(),
        &["check", "ex1-server-silent", "ex8"],
        &["no section for ex8"],
    );
    check_mistake(
        copy.home.path(),
        &["check", "ex1-server-silent", "elsewhere"],
        &["one folder at a time; what is `elsewhere`?"],
    );
}

#[test]
fn init_writes_a_manifest_that_can_be_read_and_never_overwrites_one() {
    let home = folder();
    for name in [
        "UDP_Server.py",
        "UDP_Client.py",
        "calc_server.py",
        "calc_client.py",
    ] {
        fs::write(home.path().join(name), "").expect("a file can be written");
    }
    let output = run(home.path(), &["init"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = fs::read_to_string(home.path().join("lab.toml")).expect("it was written");
    assert!(
        text.contains("[ex1]")
            && text.contains("server = \"python3 UDP_Server.py\"")
            && text.contains("[ex6]"),
        "{text}"
    );
    if has(&["python3"]) {
        let submission = harness::manifest::read(home.path()).expect("the manifest is right");
        assert_eq!(submission.programs.len(), 2);
    }
    check_mistake(home.path(), &["init"], &["lab.toml exists already"]);
    assert_eq!(
        fs::read_to_string(home.path().join("lab.toml")).ok(),
        Some(text)
    );
}

#[test]
fn the_list_reads_as_it_was_reviewed() {
    let output = run(folder().path(), &["list"]);
    snapshots::check("cli", "list", &String::from_utf8_lossy(&output.stdout));
}

/// A rubric with a bit of everything.
const RUBRIC: &str = "\
total  = 9.5
off    = [\"ex1\", \"ex2\", \"ex3/random-gap\", \"ex5\", \"ex7\"]
hidden = [\"ex8/many-clients\"]

[points]
\"ex3/lost-reply\" = 0.5
ex4 = 2.5
\"ex6/name\" = 0
ex8 = 0
";

#[test]
fn the_list_shows_what_a_rubric_makes_of_the_points() {
    let home = folder();
    let wrong = RUBRIC.replace("total  = 9.5", "total  = 21");
    fs::write(home.path().join("rubric.toml"), wrong).expect("it can be written");
    check_mistake(
        home.path(),
        &["list", "--rubric", "rubric.toml"],
        &[
            "rubric.toml:1:10: the points add up to 9.5, not to 21",
            "ex3 3.5, ex4 2.5, ex6 3.5, ex8 0",
        ],
    );
    check_mistake(
        home.path(),
        &["list", "--rubric", "rubrik.toml"],
        &["cannot read rubrik.toml", "a rubric is a TOML file"],
    );
    fs::write(home.path().join("rubric.toml"), RUBRIC).expect("it can be written");
    let output = run(home.path(), &["list", "--rubric", "rubric.toml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    for wanted in [
        "ex1/request-reply off A message",
        "ex3/random-gap off One",
        "ex3/lost-reply 0.5 pt A lost",
        "ex4/handshake 0.63 pt SYN",
        "ex6/name 0 pt The client",
        "ex8/burst advice Twenty",
        "arrives once and in order (hidden)",
        "9.5 points in all",
    ] {
        assert!(words.contains(wanted), "{wanted:?} in {text}");
    }
    let output = run(home.path(), &["list", "--json", "--rubric", "rubric.toml"]);
    let list: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let of = |exercise: usize, check: usize| &list[exercise]["checks"][check];
    assert_eq!(
        (&of(0, 0)["points"], &of(0, 0)["off"]),
        (&Value::Null, &Value::Bool(true))
    );
    assert_eq!(of(3, 0)["points"], 0.625);
    assert_eq!(of(7, 6)["hidden"], true);
}

#[test]
fn what_belongs_to_judging_anew_is_refused_without_it() {
    for option in [
        &["--save"][..],
        &["--rubric", "rubric.toml"],
        &["--no-rubric"],
    ] {
        let arguments = [&["report", "results"], option].concat();
        check_mistake(folder().path(), &arguments, &["--rejudge"]);
    }
}

#[test]
fn the_list_as_json_names_every_sentence() {
    let output = run(folder().path(), &["list", "--json"]);
    let list: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let exercises = list.as_array().expect("a list of exercises");
    assert_eq!(exercises.len(), 8);
    for check in exercises
        .iter()
        .flat_map(|exercise| exercise["checks"].as_array().expect("each has checks"))
    {
        assert!(
            check["sheet"]
                .as_str()
                .is_some_and(|sheet| !sheet.is_empty()),
            "{check}"
        );
    }
}

/// Checks what is said about a broken scenario file.
#[track_caller]
fn check_scenario(text: &str, name: &str) {
    let home = folder();
    fs::create_dir(home.path().join("mine")).expect("a folder can be made");
    fs::write(home.path().join("mine/broken.kdl"), text).expect("a file can be written");
    let output = run(home.path(), &["list", "--scenarios", "mine"]);
    assert_eq!(output.status.code(), Some(2));
    snapshots::check("mistakes", name, &String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_misspelt_verb_is_shown_with_what_was_meant() {
    check_scenario(
        "scenario s exercise=ex6 {\n    start server\n    start client ada\n    check \"ex6/arithmetic\" \"It adds\" points=1 {\n        \
         sheet \"computes the answer\"\n        hint \"Does it?\"\n        ada tpyes \"12 + 42\"\n    }\n}\n",
        "misspelt-verb",
    );
}

#[test]
fn an_unknown_actor_is_shown_with_who_was_meant() {
    check_scenario(
        "scenario s exercise=ex6 {\n    start server\n    start client ada\n    check \"ex6/arithmetic\" \"It adds\" points=1 {\n        \
         sheet \"computes the answer\"\n        hint \"Does it?\"\n        adda sees number=54\n    }\n}\n",
        "unknown-actor",
    );
}

#[test]
fn an_unknown_check_is_shown_with_which_was_meant() {
    check_scenario(
        "scenario s exercise=ex6 {\n    start server\n    check \"ex6/arithmetik\" \"It adds\" { server is-running; }\n}\n",
        "unknown-check",
    );
}

#[test]
fn a_file_that_is_no_kdl_is_shown_with_the_place() {
    check_scenario(
        "scenario s exercise=ex6 {\n    start server\n    check \"ex6/arithmetic {\n}\n",
        "no-kdl",
    );
}

/// A scenario whose check looks at the wire with this direction.
fn with_wire(direction: &str) -> String {
    format!(
        "scenario s exercise=ex6 {{\n    start server\n    start client ada\n    check \"ex6/name\" \"It sends\" points=1 {{\n        \
         sheet \"sends its name\"\n        hint \"Does it?\"\n        needs capture\n        {direction}\n    }}\n}}\n"
    )
}

#[test]
fn a_misspelt_direction_about_the_wire_is_shown_with_what_was_meant() {
    check_scenario(
        &with_wire("wire ada -> server contians \"12 + 42\""),
        "wire-misspelt",
    );
}

#[test]
fn a_wire_between_clients_is_refused() {
    check_scenario(
        &with_wire("wire ada -> bert contains \"12 + 42\""),
        "wire-between-clients",
    );
}

#[test]
fn a_wire_of_somebody_who_is_not_there_is_shown_with_who_was_meant() {
    check_scenario(&with_wire("wire adda silent"), "wire-unknown-actor");
}

#[test]
fn a_check_that_looks_at_the_wire_says_that_it_needs_a_capture() {
    let text = with_wire("wire ada silent").replace("        needs capture\n", "");
    check_scenario(&text, "wire-without-need");
}

#[test]
fn recorded_results_are_judged_again_to_the_same_report() {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    for fault in ["ex1-client-silent", "ex4-cut-off", "ex6-client-computes"] {
        let copy = Copy::of(&format!("faulty/{fault}"));
        let checked = copy.check(&[]);
        let output = run(
            copy.home.path(),
            &["report", "lab-results/latest", "--format", "json"],
        );
        assert_eq!(output.status.code(), Some(checked.status));
        let again: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(again, checked.report);
    }
}

#[test]
fn damaged_results_are_refused_with_the_place() {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("faulty/ex1-client-silent");
    copy.check(&["ex1/request-reply"]);
    let events = copy
        .home
        .path()
        .join("lab-results/latest/scenes/hello-udp/events.jsonl");
    let text = fs::read_to_string(&events).expect("events were kept");
    fs::write(&events, text.replacen("step-ended", "step-endet", 1)).expect("they can be written");
    check_mistake(
        copy.home.path(),
        &["report", "lab-results/latest"],
        &["events.jsonl:", "step-endet"],
    );
    check_mistake(
        copy.home.path(),
        &["report", "nowhere"],
        &["cannot read nowhere/run.json"],
    );
}

#[test]
fn only_the_selected_check_is_reported() {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("faulty/ex1-client-silent");
    let checked = copy.check(&["ex1/serves-again"]);
    assert_eq!(checked.checks().len(), 1, "{}", checked.trouble());
    assert_eq!(checked.status, 0);
}

#[test]
fn a_reader_who_closes_the_pipe_has_seen_enough() {
    let home = folder();
    let mut child = harness(home.path())
        .arg("list")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the harness can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(said(&output), "");
}
