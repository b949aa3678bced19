//! What the tests share: running the program, and what is needed for that.

use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// `capture read` on this file.
pub(crate) fn read(file: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_capture"))
        .arg("read")
        .arg(file)
        .args(options)
        .output()
        .expect("the program can be started")
}

/// One JSON value for each segment, datagram and ICMP message in the file.
pub(crate) fn read_json(file: &Path) -> Vec<Value> {
    let output = read(file, &["--view", "segments", "--format", "json"]);
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

/// What one side of one conversation said, octet by octet.
pub(crate) fn read_stream(file: &Path, conversation: u64, side: &str) -> Vec<u8> {
    let conversation = conversation.to_string();
    let output = read(
        file,
        &[
            "--view",
            "follow",
            "--conversation",
            &conversation,
            "--from",
            side,
            "--raw",
        ],
    );
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Whether everything named is on this machine; otherwise says so where nobody can miss it.
pub(crate) fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|program| {
            !std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        })
        .collect();
    missing.is_empty() || skip(&format!("needs {missing:?} on the PATH"))
}

/// Says that a test is left out; where nothing may be missing, fails it.
pub(crate) fn skip(why: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test} {why}"
    );
    // Written directly: what `eprintln!` prints in a test that passes is not shown.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test} {why}");
    false
}
