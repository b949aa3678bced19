//! Programs and manifests that go wrong: a clear message, the right status, nothing left running.

use crate::support::{Copy, harness, harness_without_namespaces, has, has_netns};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Checks a manifest that cannot be read; returns what was said.
#[track_caller]
fn check_refused(name: &str, place: &str, words: &[&str]) {
    if !has(&["python3"]) {
        return;
    }
    let copy = Copy::of(&format!("hostile/{name}"));
    let output = harness(copy.home.path())
        .arg("check")
        .arg(name)
        .output()
        .expect("the harness can be started");
    let said = String::from_utf8_lossy(&output.stderr)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" │ ", " ");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "nothing is reported");
    for wanted in [&[place], words].concat() {
        assert!(said.contains(wanted), "{wanted:?} in: {said}");
    }
}

#[test]
fn a_manifest_that_is_no_toml_is_refused_with_its_place() {
    check_refused(
        "broken-manifest",
        "lab.toml:5:28",
        &["invalid basic string"],
    );
}

#[test]
fn an_unknown_key_is_refused_with_what_was_meant() {
    check_refused(
        "unknown-key",
        "lab.toml:5:1",
        &["`sever`", "did you mean `server`?"],
    );
}

#[test]
fn a_bad_placeholder_is_refused_with_what_was_meant() {
    check_refused(
        "bad-placeholder",
        "lab.toml:6:10",
        &["`{prot}`", "did you mean `{port}`?"],
    );
}

#[test]
fn a_missing_file_is_refused_with_its_place() {
    check_refused(
        "missing-section-file",
        "lab.toml:5:10",
        &["there is no `UDP_Server.py`"],
    );
}

#[test]
fn a_command_that_does_not_exist_is_refused_with_its_place() {
    check_refused(
        "no-such-command",
        "lab.toml:5:10",
        &["no program `pythonn3-socket-lab`"],
    );
}

/// Checks a program that misbehaves: the status, and what is said about a check.
#[track_caller]
fn check_runs(name: &str, status: i32, about: &str, words: &[&str]) {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    let copy = Copy::of(&format!("hostile/{name}"));
    let checked = copy.check(&[]);
    assert_eq!(checked.status, status, "{}", checked.trouble());
    let said = checked.get(about).to_string();
    for wanted in words {
        assert!(said.contains(wanted), "{wanted:?} in: {said}");
    }
    assert_eq!(copy.leftovers(), Vec::<String>::new());
}

#[test]
fn a_server_that_exits_at_once_is_reported_with_its_last_words() {
    check_runs(
        "exits-at-once",
        1,
        "ex1/request-reply",
        &["ended with status 3", "ImportError"],
    );
}

#[test]
fn a_server_that_prints_for_ever_is_stopped() {
    check_runs(
        "prints-for-ever",
        1,
        "ex1/request-reply",
        &["more than it may, and was stopped"],
    );
}

#[test]
fn a_server_that_never_binds_is_reported_as_such() {
    check_runs(
        "never-binds",
        1,
        "ex1/request-reply",
        &["waited 1", "the socket table shows no socket"],
    );
}

#[test]
fn a_server_and_a_client_that_do_not_meet_are_told_where_the_server_waits() {
    let words = [
        "went to a port where nobody waits",
        "the server waits on udp 127.0.0.1:20010",
    ];
    check_runs("binds-another-port", 1, "ex1/request-reply", &words);
}

#[test]
fn a_server_that_ignores_sigterm_is_killed() {
    check_runs("ignores-sigterm", 0, "ex1/request-reply", &["\"pass\""]);
}

#[test]
fn a_daemon_does_not_outlive_the_check() {
    check_runs("forks-daemon", 0, "ex1/request-reply", &["\"pass\""]);
}

#[test]
fn escape_codes_of_a_program_reach_neither_the_terminal_nor_the_report() {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("hostile/escape-codes");
    let output = harness(copy.home.path())
        .args(["check", "escape-codes", "--seed", "1"])
        .output()
        .expect("the harness can be started");
    assert_eq!(output.status.code(), Some(0));
    let results = copy.home.path().join("lab-results/latest");
    let kept = [
        "report.txt",
        "report.json",
        "scenes/hello-udp/transcript.txt",
    ]
    .map(|file| std::fs::read(results.join(file)).expect("it was kept"));
    for octets in [&output.stdout, &output.stderr].into_iter().chain(&kept) {
        assert!(
            !octets.contains(&0x1b),
            "an escape code: {}",
            String::from_utf8_lossy(octets)
        );
        assert!(
            !String::from_utf8_lossy(octets)
                .lines()
                .any(|line| line.trim_start().starts_with("::")),
            "a workflow command"
        );
    }
}

/// Starts a check of a program that never binds, so that it is certain to be under way, and waits until the
/// program runs.
fn start_a_long_check(copy: &Copy) -> std::process::Child {
    let harness = harness(copy.home.path())
        .arg("check")
        .arg(&copy.dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the harness can be started");
    wait_until("the program under test runs", || {
        copy.leftovers()
            .iter()
            .any(|words| words.contains("server.py"))
    });
    harness
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 s until {what}");
        // The process table announces nothing.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .expect("kill can be started");
    assert!(status.success());
}

#[test]
fn ctrl_c_leaves_nothing_running() {
    if !has(&["python3", "kill"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("hostile/never-binds");
    let mut harness = start_a_long_check(&copy);
    signal(harness.id(), "-INT");
    assert_eq!(harness.wait().expect("it ends").code(), Some(130));
    wait_until("nothing is left", || copy.leftovers().is_empty());
}

#[test]
fn even_a_killed_harness_leaves_nothing_running() {
    if !has(&["python3", "kill"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("hostile/never-binds");
    let mut harness = start_a_long_check(&copy);
    signal(harness.id(), "-KILL");
    harness.wait().expect("it ends");
    wait_until("nothing is left", || copy.leftovers().is_empty());
}

#[test]
fn without_namespaces_scenarios_share_the_network_and_nothing_is_left_running() {
    if !has(&["python3", "unshare", "sh"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("hostile/forks-daemon");
    let doctor = harness_without_namespaces(&copy)
        .arg("doctor")
        .output()
        .expect("unshare can be started");
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        (said.starts_with("isolation L0") || said.starts_with("isolation L1:"))
            && said.contains("refused: unshare:"),
        "{said}"
    );

    let checked = copy.check_without_namespaces(&[]);
    let level = &checked.report["isolation"]["level"];
    assert!(level == "L0" || level == "L1", "{level}");
    assert_eq!(checked.trouble(), "");
    assert_eq!(checked.status, 0);
    assert_eq!(copy.leftovers(), Vec::<String>::new());
}

#[test]
fn without_namespaces_what_needs_them_is_not_run_and_costs_nothing() {
    if !has(&["python3", "unshare", "sh"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("faulty/ex2-loopback-only");
    let checked = copy.check_without_namespaces(&[]);
    assert_eq!(checked.status, 3);
    let check = checked.get("ex2/across-hosts");
    assert_eq!(check["status"], "not_run");
    assert_eq!(check["max_points"], 0.0);
    assert!(
        check["because"]
            .as_str()
            .is_some_and(|because| because.starts_with("needs two-hosts")),
        "{check}"
    );
}

#[test]
fn without_namespaces_ctrl_c_leaves_nothing_running_either() {
    if !has(&["python3", "unshare", "sh", "kill"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("hostile/never-binds");
    let mut command = harness_without_namespaces(&copy);
    command
        .arg("check")
        .arg(&copy.dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut harness = command.spawn().expect("unshare can be started");
    wait_until("the program under test runs", || {
        copy.leftovers()
            .iter()
            .any(|words| words.contains("server.py"))
    });
    signal(harness.id(), "-INT");
    assert_eq!(harness.wait().expect("it ends").code(), Some(130));
    wait_until("nothing is left", || copy.leftovers().is_empty());
}
