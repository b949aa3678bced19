//! What the views look like, on captures that are always the same.

use crate::made::difficult;
use crate::support::read;
use std::path::Path;

/// Compares what a view shows of one difficult capture with `snapshots/capture/VIEW-NAME.snap`.
#[track_caller]
fn check(name: &str, view: &str, options: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let shown = show(folder.path(), name, &[&["--view", view], options].concat());
    let group: String = options
        .iter()
        .map(|option| option.trim_start_matches('-'))
        .collect();
    let name = [view, &group, name].join("-").replace("--", "-");
    snapshots::check("capture", &name, &shown);
}

fn show(folder: &Path, name: &str, options: &[&str]) -> String {
    let all = difficult::all();
    let difficult = all
        .iter()
        .find(|difficult| difficult.name == name)
        .unwrap_or_else(|| panic!("there is no capture {name}"));
    let file = folder.join(difficult.file_name());
    std::fs::write(&file, &difficult.file).expect("the file can be written");
    let output = read(&file, options);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("views write text")
}

#[test]
fn talk_tells_a_hello() {
    check("plain", "talk", &[]);
}

#[test]
fn talk_fits_a_narrow_terminal() {
    check("plain", "talk", &["--width=80"]);
}

#[test]
fn talk_explains() {
    check("plain", "talk", &["--explain"]);
}

#[test]
fn json_has_no_place_for_explanations() {
    let output = read(Path::new("any.pcapng"), &["--explain", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("exclude each other"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_is_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("plain.pcapng");
    let all = difficult::all();
    let plain = all.iter().find(|difficult| difficult.name == "plain");
    std::fs::write(&file, &plain.expect("there is such a capture").file)
        .expect("the file can be written");
    let full = std::fs::File::create("/dev/full").expect("Linux has /dev/full");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_capture"))
        .arg("read")
        .arg(&file)
        .stdout(full)
        .output()
        .expect("the program can be started");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("standard output cannot be written"), "{said}");
}

#[test]
fn talk_tells_what_goes_wrong() {
    for name in [
        "loss",
        "reorder",
        "refused",
        "reset",
        "zero-window",
        "snapped",
        "never-captured",
        "joined-late",
        "fast-open",
    ] {
        check(name, "talk", &[]);
    }
}

#[test]
fn talk_tells_of_datagrams() {
    for name in [
        "datagrams",
        "datagram-unreachable",
        "fragments-v4",
        "odd-octets",
    ] {
        check(name, "talk", &[]);
    }
}

#[test]
fn segments_have_a_line_each() {
    for name in ["plain", "keep-alive", "datagrams"] {
        check(name, "segments", &[]);
    }
}

#[test]
fn json_is_as_promised() {
    for name in ["plain", "odd-octets", "datagram-unreachable"] {
        check(name, "segments", &["--format=json"]);
    }
}

#[test]
fn ladders_are_aligned_at_any_width() {
    for name in ["plain", "loss", "reset"] {
        check(name, "ladder", &[]);
    }
    check("plain", "ladder", &["--width=120"]);
    check("datagrams", "ladder", &["--width=50"]);
}

#[test]
fn follow_reads_as_a_transcript() {
    for name in ["loss", "odd-octets", "snapped"] {
        check(name, "follow", &[]);
    }
    check("plain", "follow", &["--format=json"]);
}

#[test]
fn a_summary_has_a_row_for_each() {
    for name in ["port-reuse", "datagram-unreachable"] {
        check(name, "summary", &[]);
    }
    check("port-reuse", "summary", &["--format=json"]);
}

#[test]
fn a_report_can_be_handed_in() {
    for name in ["plain", "refused", "datagrams"] {
        check(name, "report", &[]);
    }
}

#[test]
fn of_a_file_that_is_no_capture_only_that_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "port 20001 is mine\n").expect("the folder is writable");
    for view in ["talk", "segments", "ladder", "summary", "report"] {
        let output = read(&file, &["--view", view]);
        assert_eq!(output.status.code(), Some(1), "{view}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{view}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.lines().count(), 1, "{view}: {said}");
    }
}
