//! An instructor's rubric, and recorded results counted anew by another: nothing is run for that.

use crate::class::{Class, Graded};
use crate::support::{Copy, has, has_netns};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Robustness counts, and something is hidden; thirds that no binary fraction is.
const KEPT: &str = "total = 7.1\nhidden = [\"ex1/serves-again\"]\n\n[points]\n\
                    \"ex1/request-reply\" = 2.3333333333333335\n\"ex1/survives-odd-datagrams\" = 1.7666666666666666\n";

/// Whether submissions can be graded here.
fn ready() -> bool {
    has(&["python3"]) && has_netns()
}

/// A class of one who is right but for an odd datagram, one whose client is silent, one whose server is, and one who cannot
/// be graded. It is graded once for all tests, by [`KEPT`]; each gets a copy.
fn graded() -> Class {
    static ONCE: Mutex<Option<Class>> = Mutex::new(None);
    let mut once = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = once.get_or_insert_with(|| {
        let class = Class::of(&[
            ("ada", "beginner"),
            ("bert", "faulty/ex1-client-silent"),
            ("carl", "faulty/ex1-server-silent"),
            ("emil", "hostile/unknown-key"),
        ]);
        let odd = "scenarios/ex1/odd-datagrams.kdl";
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(odd);
        fs::copy(from, class.at(odd)).expect("it can be copied");
        // A point for each, whatever they are worth in the lab.
        let hello = fs::read_to_string(class.at("scenarios/ex1/hello.kdl")).expect("it is there");
        write(
            &class,
            "scenarios/ex1/hello.kdl",
            &hello.replace("points=0.5", "points=1"),
        );
        write(&class, "kept.toml", KEPT);
        class
            .grade(&["--seed", "1", "--rubric", "kept.toml"])
            .check(2, &["1 passed", "2 failed", "1 refused"]);
        class
    });
    let copy = Class::of(&[]);
    for name in ["class", "scenarios", "results", "kept.toml"] {
        let status = Command::new("cp")
            .arg("-aT")
            .args([first.at(name), copy.at(name)])
            .status()
            .expect("there is cp");
        assert!(status.success());
    }
    copy
}

fn write(class: &Class, name: &str, text: &str) {
    fs::write(class.at(name), text).expect("it can be written");
}

fn json_of(class: &Class, path: &str) -> Value {
    let text = fs::read_to_string(class.at(path)).expect("it was written");
    serde_json::from_str(&text).expect("it is JSON")
}

/// Judges the results anew by a rubric.
fn rejudge(class: &Class, rubric: &str, more: &[&str]) -> Graded {
    write(class, "other.toml", rubric);
    let fixed = [
        "report",
        "results",
        "--rejudge",
        "--rubric",
        "other.toml",
        "--scenarios",
        "scenarios",
    ];
    class.run(&[&fixed, more].concat())
}

/// Every file of the results with what is in it and when it was written.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("it has a type");
        if kind.is_dir() {
            files.extend(self::files(&path));
        } else if kind.is_file() {
            let written = entry.metadata().and_then(|file| file.modified());
            let octets = fs::read(&path).expect("it can be read");
            files.push((path, octets, written.expect("it has a time")));
        }
    }
    files.sort();
    files
}

#[test]
fn a_class_is_counted_by_the_rubric_it_is_graded_with() {
    if !ready() {
        return;
    }
    let class = graded();
    let index = json_of(&class, "results/index.json");
    let row = |place: usize| &index["submissions"][place];
    assert_eq!(row(0)["score"], 5.333333333);
    assert_eq!(row(0)["max_score"], 7.1);
    assert_eq!(
        (&row(1)["state"], &row(1)["score"]),
        (&json!("failed"), &json!(6.1))
    );
    // Whose robustness fails loses its points; what the sheet requires is there all the same.
    assert_eq!(row(0)["state"], "passed");
    let report = json_of(&class, "results/ada/report.json");
    let check = |id: &str| {
        let checks = report["checks"].as_array().expect("a list").iter();
        checks
            .clone()
            .find(|check| check["id"] == id)
            .cloned()
            .expect("it is there")
    };
    let odd = check("ex1/survives-odd-datagrams");
    assert_eq!(
        (&odd["status"], &odd["kind"]),
        (&json!("fail"), &json!("robustness"))
    );
    assert_eq!(
        (&odd["points"], &odd["max_points"]),
        (&json!(0.0), &json!(1.7666666666666666))
    );
    assert_eq!(check("ex1/serves-again")["hidden"], true);
    assert_eq!(check("ex1/request-reply").get("hidden"), None);
    let text = fs::read_to_string(class.at("results/ada/report.txt")).expect("it was written");
    for wanted in [
        "✗ fail        survives-odd-datagrams       0/1.77  Odd",
        "The same server process serves the next clients (hidden)",
        "Failed\n  ex1/survives-odd-datagrams",
        "5.33 of 7.1 points · 4 passed, 1 failed",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in {text}");
    }
}

#[test]
fn the_same_judge_and_rubric_make_the_same_octets() {
    if !ready() {
        return;
    }
    let class = graded();
    let before = files(&class.at("results"));
    let anew = class.run(&["report", "results", "--rejudge", "--save"]);
    anew.check(
        2,
        &[
            "emil: refused, as it was: nothing was run",
            "0 of 4 changed",
        ],
    );
    assert!(!anew.said.contains("words"), "{}", anew.said);
    let after = files(&class.at("results"));
    let plain = |files: Vec<(PathBuf, Vec<u8>, std::time::SystemTime)>| -> Vec<_> {
        files
            .into_iter()
            .map(|(path, octets, _)| (path, octets))
            .collect()
    };
    // The index is written in any case; reports are not even touched.
    let reports = |files: &[(PathBuf, Vec<u8>, std::time::SystemTime)]| -> Vec<_> {
        let reports = files
            .iter()
            .filter(|(path, ..)| path.ends_with("report.json"));
        reports.cloned().collect()
    };
    assert_eq!(reports(&before), reports(&after));
    assert!(plain(before) == plain(after), "something else is there now");
    let recorded = class.run(&["report", "results", "--format", "json"]);
    let anew = class.run(&["report", "results", "--rejudge", "--format", "json"]);
    assert_eq!(recorded.out, anew.out);
}

#[test]
fn another_rubric_is_told_by_who_changes_and_changes_nothing_until_it_is_saved() {
    if !ready() {
        return;
    }
    let class = graded();
    let before = files(&class.at("results"));
    let text =
        "total = 6\noff = [\"ex1/client-prints-reply\"]\n[points]\n\"ex1/request-reply\" = 4\n";
    let told = rejudge(&class, text, &["--format", "csv"]);
    told.check(
        2,
        &[
            "ada: 5.33 of 7.1 → 6 of 6",
            "ex1/request-reply 2.33 → 4 points",
            "ex1/client-prints-reply pass → off",
            "ex1/serves-again hidden no more",
            "ex1/survives-odd-datagrams 1.77 → 0 points",
            "ex1/survives-odd-datagrams 0 of 1.77 → 0 points",
            "bert: 6.1 of 7.1 → 6 of 6, failed → passed",
            "ex1/client-prints-reply fail → off",
            "3 of 4 changed",
        ],
    );
    assert!(
        told.out
            .contains("ada,Sam Beginner,class/ada,passed,6,6,4,1,1,fail"),
        "{}",
        told.out
    );
    assert_eq!(files(&class.at("results")), before);

    rejudge(&class, text, &["--save"]).check(2, &["3 of 4 changed"]);
    let index = json_of(&class, "results/index.json");
    assert_eq!(index["submissions"][1]["state"], "passed");
    assert_eq!(index["rubric"]["points"]["ex1/request-reply"], 4.0);
    let run = json_of(&class, "results/bert/run.json");
    assert_eq!(run["rubric"], index["rubric"]);
    assert_eq!(
        json_of(&class, "results/bert/entry.json"),
        index["submissions"][1]
    );
    let report = json_of(&class, "results/bert/report.json");
    assert_eq!(report["score"], 6.0);
    let table = fs::read_to_string(class.at("results/results.csv")).expect("it was written");
    assert!(table.contains("bert,"), "{table}");
    class
        .run(&["report", "results", "--rejudge"])
        .check(2, &["0 of 4 changed"]);
    // And grading goes on by it.
    class
        .grade(&["--resume"])
        .check(2, &["bert", "(unchanged)", "2 passed", "1 failed"]);
    class
        .run(&["report", "results", "--rejudge", "--no-rubric"])
        .check(
            2,
            &[
                "bert: 6 of 6 → 3 of 4, passed → failed",
                "ex1/client-prints-reply → fail, 0 of 1 points",
            ],
        );
}

#[test]
fn a_rubric_that_does_not_add_up_is_refused_with_the_sums() {
    if !ready() {
        return;
    }
    let class = graded();
    let before = files(&class.at("results"));
    rejudge(&class, "total = 20\n", &["--save"]).check(
        2,
        &[
            "other.toml:1:9: the points add up to 4, not to 20",
            "ex1 4",
            "write total = 4",
        ],
    );
    assert_eq!(files(&class.at("results")), before);
}

#[test]
fn what_cannot_be_judged_anew_keeps_what_was_recorded() {
    if !ready() {
        return;
    }
    let class = graded();
    let events = class.at("results/ada/scenes/hello-udp/events.jsonl");
    let text = fs::read_to_string(&events).expect("events were kept");
    let half: String = text
        .lines()
        .take(10)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&events, half).expect("it can be written");
    fs::remove_file(class.at("results/carl/run.json")).expect("it can be removed");
    let text = "[points]\n\"ex1/request-reply\" = 4\n";
    let told = rejudge(&class, text, &["--save"]);
    told.check(
        2,
        &[
            "ada: kept as it was recorded: results/ada/scenes/hello-udp/events.jsonl breaks off",
            "carl: kept as it was recorded: cannot read results/carl/run.json",
            "bert: 6.1 of 7.1 → 6 of 7",
            "1 of 4 changed, 2 kept as recorded",
            "counted by another rubric than the others",
        ],
    );
    let index = json_of(&class, "results/index.json");
    assert_eq!(index["submissions"][0]["score"], 5.333333333);
    assert_eq!(index["submissions"][1]["score"], 6.0);
    assert_eq!(
        json_of(&class, "results/ada/report.json")["score"],
        5.333333333
    );
    // A status of its own: without the one who was refused it says so, too.
    class
        .run(&["report", "results/ada", "--rejudge"])
        .check(2, &["0 of 1 changed, 1 kept"]);
    // Whoever is counted otherwise is graded again.
    let again = class.grade(&["--resume"]);
    again.check(2, &["ada (Sam Beginner): passed, 7 of 7 points", "carl"]);
    assert_eq!(
        again.said.matches("(unchanged)").count(),
        1,
        "{}",
        again.said
    );
}

#[test]
fn results_that_are_gone_keep_their_row() {
    if !ready() {
        return;
    }
    let class = graded();
    fs::remove_dir_all(class.at("results/ada")).expect("it can be removed");
    rejudge(&class, "[points]\n\"ex1/request-reply\" = 4\n", &["--save"]).check(
        2,
        &["ada: kept as it was recorded: there is no results/ada/entry.json"],
    );
    let index = json_of(&class, "results/index.json");
    assert_eq!(index["submissions"][0]["score"], 5.333333333);
}

#[test]
fn results_by_different_rubrics_are_not_mixed() {
    if !ready() {
        return;
    }
    let class = graded();
    write(&class, "other.toml", "off = [\"ex1/serves-again\"]\n");
    class.grade(&["--resume", "--rubric", "other.toml"]).check(
        2,
        &[
            "graded otherwise",
            "the rubric: ",
            "--rejudge --rubric FILE --save",
        ],
    );
    for (part, out, rubric) in [("1/2", "one", "kept.toml"), ("2/2", "two", "other.toml")] {
        let words = [
            "--seed",
            "1",
            "--partition",
            part,
            "--out",
            out,
            "--rubric",
            rubric,
        ];
        let graded = class.grade(&words);
        assert!([1, 2].contains(&graded.status), "{}", graded.said);
    }
    class
        .run(&["merge", "one", "two", "--out", "all"])
        .check(2, &["the rubric differs", "--rejudge --rubric FILE --save"]);
    class
        .run(&[
            "report",
            "two",
            "--rejudge",
            "--rubric",
            "kept.toml",
            "--scenarios",
            "scenarios",
            "--save",
        ])
        .check(2, &["1 of 2 changed"]);
    class
        .run(&["merge", "one", "two", "--out", "all"])
        .check(0, &["joined 4 submissions"]);
    let scores = |results: &str| -> Vec<Value> {
        let index = json_of(&class, &format!("{results}/index.json"));
        let rows = index["submissions"].as_array().expect("a list").iter();
        rows.map(|row| row["score"].clone()).collect()
    };
    assert_eq!(scores("all"), scores("results"));
}

#[test]
fn results_that_somebody_writes_to_are_not_counted_anew() {
    if !ready() {
        return;
    }
    let class = graded();
    let before = files(&class.at("results"));
    let folder = fs::File::open(class.at("results")).expect("it can be opened");
    folder.lock().expect("it can be locked");
    let text = "[points]\n\"ex1/request-reply\" = 4\n";
    rejudge(&class, text, &["--save"]).check(2, &["another harness is writing to results"]);
    assert_eq!(files(&class.at("results")), before);
    rejudge(&class, text, &[]).check(2, &["3 of 4 changed"]);
}

#[test]
fn one_of_a_class_is_not_saved_alone() {
    if !ready() {
        return;
    }
    let class = graded();
    class
        .run(&["report", "results/ada", "--rejudge", "--save"])
        .check(2, &["results/ada belongs to a class"]);
    class
        .run(&["report", "results/ada", "--rejudge", "--no-rubric"])
        .check(0, &["ada: 5.33 of 7.1 → 4 of 4", "1 of 1 changed"]);
}

#[test]
fn students_are_told_nothing_of_what_is_hidden() {
    if !ready() {
        return;
    }
    let class = graded();
    let word = "serves-again";
    for format in ["text", "html", "json", "csv", "github", "junit", "tap"] {
        let shown = class.run(&[
            "report",
            "results/bert",
            "--for-students",
            "--format",
            format,
        ]);
        assert!(!shown.out.contains(word), "{format}: {}", shown.out);
        if !["junit", "tap"].contains(&format) {
            assert!(shown.out.contains("6.1"), "{format}: {}", shown.out);
        }
        assert!(
            !shown.out.contains("another rubric"),
            "{format}: {}",
            shown.out
        );
        if format != "github" {
            let all = class.run(&["report", "results/bert", "--format", format]);
            assert!(all.out.contains(word), "{format}: {}", all.out);
        }
    }
}

#[test]
fn a_check_is_counted_by_a_rubric_and_recorded_with_it() {
    if !ready() {
        return;
    }
    let copy = Copy::of("faulty/ex1-odd-datagram");
    let rubric = copy.home.path().join("rubric.toml");
    let text = "off = [\"ex1/serves-again\"]\n[points]\n\"ex1/survives-odd-datagrams\" = 2\n\"ex1/request-reply\" = 0\n";
    fs::write(&rubric, text).expect("it can be written");
    let path = rubric.to_str().expect("a plain path");
    let checked = copy.check(&["--rubric", path]);
    assert_eq!(checked.status, 0, "{}", checked.trouble());
    assert_eq!(checked.report["score"], 1.0);
    assert_eq!(checked.report["max_score"], 3.0);
    assert_eq!(checked.checks().len(), 4, "{}", checked.report);
    let report = |more: &[&str]| {
        let mut command = crate::support::harness(copy.home.path());
        command.args(["report", "lab-results/latest"]).args(more);
        command.output().expect("the harness can be started")
    };
    // What was recorded is counted as it was, until another rubric is saved.
    let again: Value = serde_json::from_slice(&report(&["--format", "json"]).stdout).expect("JSON");
    assert_eq!(again, checked.report);
    let output = report(&["--rejudge", "--no-rubric", "--save"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for wanted in [
        "1 of 3 → 2 of 2",
        "ex1/serves-again → pass",
        "1 of 1 changed",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    let again: Value = serde_json::from_slice(&report(&["--format", "json"]).stdout).expect("JSON");
    assert_eq!(again["score"], 2.0);
    let mut off = crate::support::harness(copy.home.path());
    off.args([
        "check",
        "ex1-odd-datagram",
        "ex1/serves-again",
        "--rubric",
        path,
    ]);
    let off = off.output().expect("the harness can be started");
    assert_eq!(off.status.code(), Some(2));
    let said = String::from_utf8_lossy(&off.stderr).into_owned();
    assert!(
        said.contains("the rubric switches ex1/serves-again off"),
        "{said}"
    );
}
