//! Grading many submissions: what is kept, what is gone on with, what is refused.

use crate::support::{Copy, Harness, copy, fixture, harness, has, has_netns};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What an event may take on a machine that has other things to do.
const WITHIN: Duration = Duration::from_secs(120);

/// A class in a folder of its own, graded with one short scenario.
pub(crate) struct Class {
    home: TempDir,
}

impl Class {
    /// Submissions by the names of their folders and the fixtures they are copies of.
    pub(crate) fn of(submissions: &[(&str, &str)]) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let class = Class { home };
        for (name, of) in submissions {
            copy(&fixture(of), &class.at("class").join(name));
        }
        fs::create_dir_all(class.at("scenarios/ex1")).expect("a folder can be made");
        let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ex1/hello.kdl");
        fs::copy(hello, class.at("scenarios/ex1/hello.kdl")).expect("it can be copied");
        class
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Harness {
        let mut command = harness(self.home.path());
        command
            .args(["grade", "class", "--scenarios", "scenarios"])
            .args(arguments);
        command
    }

    pub(crate) fn grade(&self, arguments: &[&str]) -> Graded {
        Graded::of(
            self.command(arguments)
                .output()
                .expect("the harness can be started"),
        )
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Graded {
        Graded::of(
            harness(self.home.path())
                .args(arguments)
                .output()
                .expect("the harness can be started"),
        )
    }

    /// Starts it in a process group of its own, as a terminal does.
    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the harness can be started")
    }

    fn json(&self, path: &str) -> Value {
        let text = fs::read_to_string(self.at(path)).expect("it was written");
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// Each submission's name and state, in order.
    fn states(&self, results: &str) -> Vec<(String, String)> {
        let index = self.json(&format!("{results}/index.json"));
        let rows = index["submissions"].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        rows.map(|row| (text(&row["name"]), text(&row["state"])))
            .collect()
    }

    /// Whether everything that can be seen in the results is whole.
    #[track_caller]
    fn check_whole(&self, results: &str) {
        self.json(&format!("{results}/index.json"));
        for entry in fs::read_dir(self.at(results)).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().expect("it has a type").is_dir();
            if is_folder && !name.starts_with('.') {
                self.json(&format!("{results}/{name}/entry.json"));
                self.json(&format!("{results}/{name}/report.json"));
            }
        }
    }
}

pub(crate) struct Graded {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) said: String,
}

impl Graded {
    fn of(output: Output) -> Self {
        Graded {
            status: output.status.code().expect("the harness was not killed"),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            said: String::from_utf8_lossy(&output.stderr)
                .replace('│', " ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[track_caller]
    pub(crate) fn check(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{} {}", self.out, self.said);
        for wanted in words {
            let everything = format!("{} {}", self.out, self.said);
            assert!(everything.contains(wanted), "{wanted:?} in: {everything}");
        }
    }
}

fn ready() -> bool {
    has(&["python3"]) && has_netns()
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .expect("there is kill");
    assert!(status.success());
}

#[test]
fn a_broken_submission_is_recorded_and_stops_no_other() {
    if !ready() {
        return;
    }
    let class = Class::of(&[
        ("ada", "beginner"),
        ("bert", "faulty/ex1-client-silent"),
        ("emil", "hostile/unknown-key"),
    ]);
    fs::create_dir(class.at("class/dora")).expect("a folder can be made");
    fs::create_dir(class.at("class/finn")).expect("a folder can be made");
    nix::unistd::mkfifo(
        &class.at("class/finn/lab.toml"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .expect("it can be made");
    fs::create_dir(class.at("class/gwen")).expect("a folder can be made");
    fs::write(
        class.at("class/gwen/lab.toml"),
        "[ex1]\ndir = \"../ada/ex1\"\nserver = \"python3 UDP_Server.py\"\nclient = \"python3 UDP_Client.py\"\n",
    )
    .expect("it can be written");
    // Nobody hands in another's answers either.
    fs::create_dir(class.at("class/hugo")).expect("a folder can be made");
    fs::write(
        class.at("class/hugo/lab.toml"),
        "[ex7]\ndir = \"../ada\"\nanswers = \"answers.toml\"\n",
    )
    .expect("it can be written");
    let graded = class.grade(&["--seed", "1"]);
    graded.check(2, &["7 submissions", "1 passed", "1 failed", "5 refused"]);
    let states: Vec<String> = class
        .states("results")
        .into_iter()
        .map(|(name, state)| format!("{name} {state}"))
        .collect();
    assert_eq!(
        states,
        [
            "ada passed",
            "bert failed",
            "dora refused",
            "emil refused",
            "finn refused",
            "gwen refused",
            "hugo refused"
        ]
    );
    class.check_whole("results");
    let index = class.json("results/index.json");
    for (place, wanted) in [
        (2, "harness init class/dora"),
        (3, "did you mean `server`?"),
        (4, "no plain file"),
        (5, "leads out of the submission"),
        (6, "leads out of the submission"),
    ] {
        let error = index["submissions"][place]["error"].as_str();
        assert!(
            error.is_some_and(|error| error.contains(wanted)),
            "{error:?}"
        );
    }
    let report = class.json("results/bert/report.json");
    assert_eq!(report["schema"], "socket-lab/report/v1");
    assert_eq!(report["submission"]["dir"], "class/bert");
    for file in ["transcript.txt", "ladder.svg", "capture.pcapng"] {
        let path = class.at("results/bert/scenes/hello-udp").join(file);
        assert!(path.is_file(), "{path:?}");
    }
    let table = fs::read_to_string(class.at("results/results.csv")).expect("it was written");
    assert!(
        table.starts_with("name,student,folder,outcome,score,max_score,ex1/"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 8);
    assert!(class.at("results/latest/report.json").is_file());
}

#[test]
fn resuming_grades_whom_it_lacks_and_who_has_changed_and_nobody_else() {
    if !ready() {
        return;
    }
    let class = Class::of(&[
        ("ada", "beginner"),
        ("bert", "faulty/ex1-client-silent"),
        ("emil", "hostile/unknown-key"),
    ]);
    class.grade(&["--seed", "7"]).check(2, &["seed 7"]);
    class
        .grade(&[])
        .check(2, &["results holds results already", "--resume"]);
    class
        .grade(&["--resume", "--seed", "8"])
        .check(2, &["graded otherwise", "the seed: 7 there, 8 now"]);
    class
        .grade(&["--resume", "--partition", "1/2"])
        .check(2, &["graded otherwise", "the whole class there, 1/2 now"]);
    let before = fs::metadata(class.at("results/ada/report.json"))
        .and_then(|file| file.modified())
        .expect("it was written");
    fs::remove_dir_all(class.at("class/bert")).expect("it can be removed");
    copy(&fixture("beginner"), &class.at("class/bert"));
    copy(&fixture("beginner"), &class.at("class/zoe"));
    fs::remove_dir_all(class.at("class/emil")).expect("it can be removed");
    let again = class.grade(&["--resume"]);
    again.check(
        0,
        &[
            "seed 7",
            "ada (Sam Beginner): passed",
            "(unchanged)",
            "3 passed",
        ],
    );
    assert_eq!(
        again.said.matches("(unchanged)").count(),
        1,
        "{}",
        again.said
    );
    let after = fs::metadata(class.at("results/ada/report.json"))
        .and_then(|file| file.modified())
        .expect("it was written");
    assert_eq!(before, after);
    class.check_whole("results");
}

#[test]
fn nothing_that_could_be_checked_is_nothing_passed() {
    let class = Class::of(&[]);
    fs::create_dir_all(class.at("class/ada")).expect("a folder can be made");
    let files = [
        ("lab.toml", "[ex7]\nanswers = \"answers.toml\"\n"),
        ("answers.toml", "[ex7]\na = \"stateless\"\n"),
    ];
    for (name, text) in files {
        fs::write(class.at("class/ada").join(name), text).expect("it can be written");
    }
    class
        .grade(&["--trust-code"])
        .check(3, &["ada: open, 0 of 0 points", "1 open"]);
    class.check_whole("results");
}

#[test]
fn a_namesake_who_takes_a_place_does_not_take_the_points() {
    if !ready() {
        return;
    }
    let class = Class::of(&[("b/ada", "faulty/ex1-client-silent")]);
    let grade = |dirs: &[&str], more: &[&str]| {
        let fixed = ["--scenarios", "scenarios", "--seed", "1"];
        class.run(&[&["grade"], dirs, &fixed, more].concat())
    };
    grade(&["class/b"], &[]).check(1, &["1 failed"]);
    copy(&fixture("beginner"), &class.at("class/a/ada"));
    let both = grade(&["class/a", "class/b"], &["--resume"]);
    both.check(1, &["ada (Sam Beginner): passed", "1 passed", "1 failed"]);
    assert!(!both.said.contains("(unchanged)"), "{}", both.said);
    assert_eq!(
        class.states("results"),
        [
            ("ada".to_owned(), "passed".to_owned()),
            ("ada-2".to_owned(), "failed".to_owned())
        ]
    );
    assert_eq!(
        class.json("results/ada/report.json")["submission"]["dir"],
        "class/a/ada"
    );
}

#[test]
fn a_resumed_run_of_other_scenarios_is_refused() {
    if !ready() {
        return;
    }
    let class = Class::of(&[("emil", "hostile/unknown-key")]);
    class.grade(&["--seed", "1"]).check(2, &["1 refused"]);
    let path = class.at("scenarios/ex1/hello.kdl");
    let text = fs::read_to_string(&path).expect("it can be read");
    let other = text.replacen("points=0.5", "points=3", 1);
    assert_ne!(text, other);
    fs::write(&path, other).expect("it can be written");
    class
        .grade(&["--resume"])
        .check(2, &["graded otherwise", "the scenarios: "]);
}

/// Reads what a harness says until somebody is done.
fn wait_for_the_first(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.starts_with("[1/") {
        line.clear();
        let octets = said.read_line(&mut line).expect("it can be read");
        assert!(octets > 0, "it ended before anybody was done");
    }
    said
}

#[test]
fn a_run_that_is_killed_leaves_nothing_half_written_and_is_gone_on_with() {
    if !ready() {
        return;
    }
    let names = ["ada", "bert", "carl", "dora"];
    let class = Class::of(&names.map(|name| (name, "beginner")));
    let mut child = class.start(&["--seed", "1", "--jobs", "1"]);
    let _said = wait_for_the_first(&mut child);
    wait_until("the next is begun", || {
        class.at("results/.bert.unfinished").exists()
    });
    signal(&child, "KILL");
    child.wait().expect("it ends");
    class.check_whole("results");
    assert!(class.at("results/ada/report.json").is_file());
    assert!(!class.at("results/bert").exists());
    let done = class
        .states("results")
        .iter()
        .filter(|(_, state)| state == "passed")
        .count();
    assert_eq!(done, 1);
    class
        .grade(&["--resume"])
        .check(0, &["4 passed", "ada (Sam Beginner)", "(unchanged)"]);
    class.check_whole("results");
    let left = fs::read_dir(class.at("results"))
        .expect("a folder")
        .flatten();
    let hidden: Vec<_> = left
        .map(|entry| entry.file_name())
        .filter(|name| name.as_encoded_bytes().starts_with(b"."))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn ctrl_c_keeps_what_is_done_and_leaves_nothing_running() {
    if !ready() {
        return;
    }
    let class = Class::of(&["ada", "bert", "carl"].map(|name| (name, "beginner")));
    let mut child = class.start(&["--seed", "1", "--jobs", "1"]);
    let mut said = wait_for_the_first(&mut child);
    signal(&child, "INT");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("it can be read");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(rest.contains("--resume goes on"), "{rest}");
    class.check_whole("results");
    assert_eq!(class.states("results")[0].1, "passed");
    assert_eq!(class.states("results")[2].1, "pending");
    let left = Copy::leftovers_in(class.home.path());
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_harnesses_do_not_write_to_the_same_results() {
    if !ready() {
        return;
    }
    let class = Class::of(&[("ada", "beginner")]);
    let mut child = class.start(&["--seed", "1"]);
    wait_until("it has begun", || {
        class.at("results/.ada.unfinished").exists()
    });
    class
        .grade(&["--resume"])
        .check(2, &["another harness is writing to results"]);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn strangers_programs_are_not_run_without_isolation_unless_they_are_trusted() {
    if !ready() {
        return;
    }
    let class = Class::of(&[("ada", "faulty/ex1-client-silent")]);
    for level in ["L0", "L3n"] {
        class
            .grade(&["--isolation", level])
            .check(2, &["isolation L1 is required", "nothing was run"]);
    }
    assert!(!class.at("results").exists());
    class
        .grade(&["--isolation", "L3n", "--trust-code"])
        .check(1, &["isolation L3n", "1 failed"]);
}

#[test]
fn what_failed_while_the_machine_lagged_is_played_again_alone() {
    if !ready() {
        return;
    }
    let class = Class::of(&[("ada", "beginner"), ("bert", "faulty/ex1-client-silent")]);
    let mut child = class.start(&["--seed", "1"]);
    let frames = |name: &str| {
        let scene = class.at(&format!("results/.{name}.unfinished/scenes/hello-udp"));
        fs::read_dir(scene).is_ok_and(|mut files| files.next().is_some())
    };
    wait_until("both are being played", || frames("ada") && frames("bert"));
    // To a harness that stood still the machine lagged.
    signal(&child, "STOP");
    std::thread::sleep(Duration::from_millis(400));
    signal(&child, "CONT");
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("it can be read");
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{said}");
    assert!(said.contains("bert: the machine lagged"), "{said}");
    let index = class.json("results/index.json");
    assert_eq!(index["submissions"][1]["state"], "failed");
    assert_eq!(index["submissions"][1]["replayed"][0], "hello-udp");
    // What passed and measures no time stands.
    assert_eq!(index["submissions"][0]["replayed"], Value::Null);
}

#[test]
fn parts_are_joined_to_the_same_results_as_the_whole() {
    if !ready() {
        return;
    }
    let class = Class::of(&[
        ("ada", "faulty/ex1-client-silent"),
        ("bert", "hostile/unknown-key"),
        ("carl", "faulty/ex1-server-silent"),
    ]);
    class
        .grade(&["--seed", "1", "--out", "whole"])
        .check(2, &[]);
    for (part, out) in [("1/2", "one"), ("2/2", "two")] {
        let graded = class.grade(&["--seed", "1", "--partition", part, "--out", out]);
        assert!([1, 2].contains(&graded.status), "{}", graded.said);
    }
    assert_eq!(class.states("one").len(), 2);
    assert_eq!(class.states("two").len(), 1);
    class
        .run(&["merge", "two", "one", "--out", "all"])
        .check(0, &["joined 3 submissions of 2 parts"]);
    assert_eq!(class.states("all"), class.states("whole"));
    assert_eq!(
        fs::read_to_string(class.at("all/results.csv")).ok(),
        fs::read_to_string(class.at("whole/results.csv")).ok()
    );
    assert!(
        class
            .at("all/carl/scenes/hello-udp/capture.pcapng")
            .is_file()
    );
    class.check_whole("all");

    class
        .run(&["merge", "one", "--out", "gap"])
        .check(2, &["part 2/2 is missing"]);
    class
        .run(&["merge", "one", "two", "one", "--out", "gap"])
        .check(2, &["part 1/2 is there twice: one, one"]);
    class
        .run(&["merge", "one", "whole", "--out", "gap"])
        .check(2, &["whole is no part of a class"]);
    class
        .run(&["merge", "one", "two", "--out", "all"])
        .check(2, &["cannot make all"]);
    class
        .grade(&["--seed", "2", "--partition", "2/2", "--out", "other"])
        .check(2, &["1 refused"]);
    class
        .run(&["merge", "one", "other", "--out", "gap"])
        .check(2, &["the seed differs: 1 in one, 2 in other"]);
    let path = class.at("two/index.json");
    let text = fs::read_to_string(&path).expect("it was written");
    let older = text.replacen("\"version\": \"", "\"version\": \"0.0.", 1);
    fs::write(&path, older).expect("it can be written");
    class
        .run(&["merge", "one", "two", "--out", "gap"])
        .check(2, &["the version of the harness differs"]);
    assert!(!class.at("gap").exists());
    let left = fs::read_dir(class.home.path()).expect("a folder").flatten();
    let hidden = left.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."));
    assert_eq!(hidden.count(), 0, "nothing half-joined is left");
}
