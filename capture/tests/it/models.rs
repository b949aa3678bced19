//! `capture run` around the model programs of every exercise: what they say to each other, from handshake to teardown.
//!
//! Ports, times and acknowledgments differ from run to run, and so does which side closes first where both are told to:
//! the transcript leaves them out, and what has to hold of them is checked apart.

use crate::support::{read, skip};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Where the model programs are; they are built once.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_capture"))
            .parent()
            .expect("a program is in a folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--bins"]);
        for package in [
            "ex1-udp-hello",
            "ex3-udp-clock",
            "ex4-tcp-hello",
            "ex6-calculator",
            "ex8-chat-room",
        ] {
            build.args(["--package", package]);
        }
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let target = folder.parent().expect("the folder of a profile is in one");
        build
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let status = build.status().expect("cargo can be started");
        assert!(status.success(), "the model programs cannot be built");
        folder.to_owned()
    })
}

/// Whether private networks can be made here; says so loudly where not.
fn has_private_networks() -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_capture"))
        .args(["run", "--", "true"])
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    output.status.success()
        || skip(&format!(
            "needs a private network: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
}

/// A run of a server and a client, kept in a file.
struct Run {
    folder: TempDir,
}

impl Run {
    /// Starts the server, waits for its first line, and lets `clients` talk to it.
    fn of(server: &str, clients: &str) -> Option<Self> {
        if !has_private_networks() {
            return None;
        }
        let folder = TempDir::new().expect("a temporary folder can be made");
        // The server's first line says that it listens; the descriptor stays open for the rest of its words.
        let script = format!(
            "mkfifo words && {{ \"$MODELS\"/{server} >words & }} && exec 3<words && read -r _ <&3 && {clients}"
        );
        let output = Command::new(env!("CARGO_BIN_EXE_capture"))
            .args([
                "run",
                "--view",
                "summary",
                "-w",
                "run.pcapng",
                "--",
                "sh",
                "-c",
                &script,
            ])
            .env("MODELS", programs())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("the program can be started");
        assert!(output.status.success(), "{output:?}");
        Some(Run { folder })
    }

    /// The lines of a view in JSON.
    fn json(&self, options: &[&str]) -> Vec<Value> {
        let options = [options, &["--format", "json"]].concat();
        let output = read(&self.folder.path().join("run.pcapng"), &options);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect()
    }

    /// What was said, without what differs from run to run.
    fn transcript(&self) -> String {
        let mut transcript = String::new();
        let mut last = Value::Null;
        for line in self.json(&["--view", "follow"]) {
            if line["conversation"] != last {
                last = line["conversation"].clone();
                transcript += &format!("conversation {last}\n");
            }
            let who = line["from"].as_str().unwrap_or_default();
            transcript += &format!("  {who}: {}\n", line["payload"]);
        }
        transcript
    }

    /// Every connection was opened with three segments and closed with two FINs, and nothing got lost on the way.
    fn is_orderly(&self, connections: u64) {
        let mut lines = self.json(&["--view", "summary"]);
        let total = lines.pop().expect("the totals come last")["total"].take();
        for (figure, expected) in [
            ("tcp", connections),
            ("complete", connections),
            ("closed", connections),
            ("reset", 0),
            ("refused", 0),
            ("missing", 0),
            ("retransmissions", 0),
        ] {
            assert_eq!(total[figure], expected, "{figure} of {total}");
        }
        assert_eq!(total["requests"], total["answered"], "{total}");
    }
}

#[test]
fn the_udp_hello_is_a_datagram_each_way() {
    if let Some(run) = Run::of("ex1-server", "\"$MODELS\"/ex1-client >&2") {
        run.is_orderly(0);
        snapshots::check("capture", "model-ex1-udp-hello", &run.transcript());
    }
}

#[test]
fn the_clock_answers_every_request() {
    if let Some(run) = Run::of("ex3-server", "\"$MODELS\"/ex3-client --count 2 >&2") {
        run.is_orderly(0);
        let said: Vec<Value> = run.json(&["--view", "follow"]);
        assert_eq!(said.len(), 4, "{said:?}");
        for line in said.iter().filter(|line| line["from"] == "client") {
            let request = line["payload"].as_str().unwrap_or_default().trim_end();
            assert!(matches!(request, "SEND_DATE" | "SEND_TIME"), "{line}");
        }
    }
}

#[test]
fn the_tcp_hello_is_orderly() {
    if let Some(run) = Run::of("ex4-server", "\"$MODELS\"/ex4-client >&2") {
        run.is_orderly(1);
        snapshots::check("capture", "model-ex4-tcp-hello", &run.transcript());
    }
}

#[test]
fn the_calculator_answers_line_by_line() {
    let lines = "printf 'Ada\\n12 + 42\\n3.24 45\\n4.5 / -6\\nq\\n' | \"$MODELS\"/ex6-client >&2";
    if let Some(run) = Run::of("ex6-server", lines) {
        run.is_orderly(1);
        let transcript = run.transcript();
        // A line without its operator is warned about and never sent.
        assert!(!transcript.contains("3.24"), "{transcript}");
        snapshots::check("capture", "model-ex6-calculator", &transcript);
    }
}

#[test]
fn the_chat_room_greets_and_lets_go() {
    let lines = "printf 'Ada\\nhello, room\\n' | \"$MODELS\"/ex8-client >&2";
    if let Some(run) = Run::of("ex8-server", lines) {
        run.is_orderly(1);
        let said = run.json(&["--view", "follow", "--from", "client"]);
        let said: String = said
            .iter()
            .filter_map(|line| line["payload"].as_str())
            .collect();
        assert!(
            said.contains("Ada") && said.contains("hello, room"),
            "{said}"
        );
    }
}
