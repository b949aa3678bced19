//! Submissions in several styles that satisfy the sheet pass; those with one fault fail the one check that names
//! it.

use crate::support::{Alone, Checked, Copy, alone, fixture, has, has_capture, has_netns, stable};
use harness::lab::{CHECKS, Exercise, Kind};
use harness::scenario::Library;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The submissions that satisfy the sheet, and what has to be installed for each.
const VARIANTS: [(&str, &[&str]); 15] = [
    ("asyncio", &["python3"]),
    ("beginner", &["python3"]),
    ("c", &["gcc", "make"]),
    ("java", &["java", "javac"]),
    ("lan-lab", &["python3"]),
    ("node", &["node"]),
    ("objects", &["python3"]),
    ("one-file", &["python3"]),
    ("perl", &["perl"]),
    ("pickle", &["python3"]),
    ("prompts", &["python3"]),
    ("select", &["python3"]),
    ("slow-start", &["python3"]),
    ("socketserver", &["python3"]),
    ("utf16", &["python3"]),
];

/// Does something with each, eight at a time: each plays several scenes at once and waits most of the time.
fn each<T: Sync, R: Send>(alone: &Alone, of: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const AT_A_TIME: usize = 8;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                alone.share();
                while let Some((index, one)) = take(&next, of) {
                    let result = act(one);
                    done.lock().expect("nobody panicked").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panicked");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'t, T>(next: &AtomicUsize, of: &'t [T]) -> Option<(usize, &'t T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, of.get(index)?))
}

/// What came of a submission: its report, and what is wrong with that, if anything.
type Outcome = (Checked, Option<String>);

#[track_caller]
fn assert_nothing_wrong(outcomes: &[Outcome]) {
    let wrong: Vec<&str> = outcomes
        .iter()
        .filter_map(|(_, wrong)| wrong.as_deref())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Looks at those once more, one at a time, of which something was wrong that may have been for want of a processor.
fn again<T>(
    of: &[T],
    outcomes: &mut [Outcome],
    for_want_of_one: impl Fn(&Checked) -> bool,
    act: impl Fn(&T) -> Outcome,
) {
    for (one, outcome) in of.iter().zip(outcomes) {
        let (checked, wrong) = outcome;
        if wrong.is_some() && for_want_of_one(checked) {
            *outcome = act(one);
        }
    }
}

fn outcome_of_variant((name, _): &(&str, &[&str])) -> Outcome {
    let copy = Copy::of(name);
    let checked = copy.check(&[]);
    let required = |id: &&str| checked.get(id)["kind"] == "required";
    let missing: Vec<&str> = ["fail", "not_run", "inconclusive"]
        .into_iter()
        .flat_map(|status| checked.with_status(status))
        .filter(required)
        .collect();
    let left = copy.leftovers();
    let right = missing.is_empty() && checked.status == 0 && left.is_empty();
    let wrong = format!(
        "{name}: {missing:?}, status {}, left running {left:?}\n{}",
        checked.status,
        checked.trouble()
    );
    (checked, (!right).then_some(wrong))
}

#[test]
fn every_submission_that_satisfies_the_sheet_passes() {
    if !has_netns() || !has_capture() {
        return;
    }
    let alone = alone();
    let here: Vec<_> = VARIANTS
        .into_iter()
        .filter(|(_, programs)| has(programs))
        .collect();
    let mut outcomes = each(&alone, &here, outcome_of_variant);
    // What has failed three times, each in a fresh world, has failed.
    let left_open = |checked: &Checked| checked.with_status("fail").is_empty();
    again(&here, &mut outcomes, left_open, outcome_of_variant);
    assert_nothing_wrong(&outcomes);
    if here.len() < VARIANTS.len() {
        return;
    }
    // Advice is left out: how a program without framing fares depends on the moment.
    let mut table = format!("{:<14}", "required");
    for exercise in Exercise::ALL {
        let _ = write!(table, "{:>7}", exercise.id());
    }
    for ((name, _), (checked, _)) in here.iter().zip(&outcomes) {
        let _ = write!(table, "\n{name:<14}");
        for exercise in Exercise::ALL {
            let of_it =
                |check: &&Value| check["exercise"] == exercise.id() && check["kind"] == "required";
            let all = checked.checks().iter().filter(of_it);
            let passed = all
                .clone()
                .filter(|check| check["status"] == "pass")
                .count();
            let cell = match all.count() {
                0 => "·".to_owned(),
                all => format!("{passed}/{all}"),
            };
            let _ = write!(table, "{cell:>7}");
        }
    }
    snapshots::check("zoo", "variants", &table);
}

#[test]
fn every_folder_of_fixtures_is_one_that_some_test_knows() {
    let folders = std::fs::read_dir(fixture("")).expect("the folder can be read");
    let known: Vec<&str> = VARIANTS
        .iter()
        .map(|(name, _)| *name)
        .chain(["faulty", "hostile", "lan-address", "threats"])
        .collect();
    for folder in folders.flatten().filter(|entry| entry.path().is_dir()) {
        let name = folder.file_name();
        let name = name.to_str().expect("fixtures have plain names");
        assert!(known.contains(&name), "{name} is tried by no test");
    }
}

#[test]
fn an_address_in_the_code_is_pointed_at_and_works_once_it_is_in_the_manifest() {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    let copy = Copy::of("lan-address");
    let checked = copy.check(&["ex1/request-reply"]);
    let check = checked.get("ex1/request-reply");
    assert_eq!(check["status"], "fail");
    let hint = check["hint"].as_str().expect("a failure has a hint");
    let line = "address = \"192.168.1.20\"";
    assert!(hint.contains("[ex1]") && hint.contains(line), "{hint}");

    let manifest = copy.dir.join("lab.toml");
    let text = std::fs::read_to_string(&manifest).expect("the manifest can be read");
    std::fs::write(&manifest, text + line + "\n").expect("the manifest can be written");
    let checked = copy.check(&[]);
    for status in ["fail", "not_run", "inconclusive"] {
        assert_eq!(
            checked.with_status(status),
            Vec::<&str>::new(),
            "{}",
            checked.trouble()
        );
    }
}

/// Folder → the one check that fails, from the table that people read.
fn faults() -> BTreeMap<String, String> {
    let table =
        std::fs::read_to_string(fixture("faulty/README.md")).expect("the table can be read");
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let folder = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        let check = cells.get(3)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((folder.to_owned(), check.to_owned()))
    });
    rows.collect()
}

/// What has to be installed for a fault to be tried.
fn programs_of(folder: &str) -> Vec<&'static str> {
    let manifest = std::fs::read_to_string(fixture(&format!("faulty/{folder}/lab.toml")))
        .expect("every fault has a manifest");
    ["python3", "node", "perl", "gcc", "java", "javac"]
        .into_iter()
        .filter(|program| manifest.contains(&format!("\"{program} ")))
        .collect()
}

fn outcome_of_fault((folder, check): &(String, String), reruns: &str) -> Outcome {
    let checked = Copy::of(&format!("faulty/{folder}")).check(&["--reruns", reruns]);
    let (failed, open) = (
        checked.with_status("fail"),
        checked.with_status("inconclusive"),
    );
    let is_advice = checked.get(check)["kind"] == "robustness";
    let status = if is_advice { 0 } else { 1 };
    let right = failed == [check] && open.is_empty() && checked.status == status;
    let wrong = format!(
        "{folder}: expected {check} alone and status {status}; failed {failed:?}, open {open:?}, status {}\n{}",
        checked.status,
        checked.trouble()
    );
    (checked, (!right).then_some(wrong))
}

#[test]
fn each_fault_fails_exactly_the_check_that_names_it() {
    if !has_netns() || !has_capture() {
        return;
    }
    let alone = alone();
    let faults = faults();
    let folders = std::fs::read_dir(fixture("faulty"))
        .expect("the folder can be read")
        .flatten();
    let folders = folders.filter(|entry| entry.path().is_dir()).count();
    assert_eq!(faults.len(), folders, "every folder has a row");
    let all = faults.len();
    let here: Vec<(String, String)> = faults
        .into_iter()
        .filter(|(folder, _)| has(&programs_of(folder)))
        .collect();
    // At first without asking whether chance had a part in it: with all of them that takes twice as long.
    let mut outcomes = each(&alone, &here, |fault| outcome_of_fault(fault, "0"));
    let once_only = |_: &Checked| true;
    again(&here, &mut outcomes, once_only, |fault| {
        outcome_of_fault(fault, "2")
    });
    assert_nothing_wrong(&outcomes);
    if here.len() == all {
        let reports: Vec<(&str, &Checked)> = here
            .iter()
            .zip(&outcomes)
            .map(|((folder, _), (checked, _))| (folder.as_str(), checked))
            .collect();
        snapshots::check("zoo", "kill-matrix", &kill_matrix(&reports));
    }
}

/// Fault by check, a table for each exercise.
fn kill_matrix(reports: &[(&str, &Checked)]) -> String {
    let mut text = "X  fails    ·  passes    -  not run, because of what fails\n".to_owned();
    let width = reports.iter().map(|(folder, _)| folder.len()).max();
    let width = width.unwrap_or_default();
    for exercise in Exercise::ALL {
        let of_it: Vec<_> = reports
            .iter()
            .filter(|(folder, _)| folder.starts_with(exercise.id()))
            .collect();
        let Some((_, first)) = of_it.first() else {
            continue;
        };
        let _ = writeln!(text, "\n{exercise}  {}", exercise.title());
        let ids: Vec<&str> = first
            .checks()
            .iter()
            .filter_map(|check| check["id"].as_str())
            .collect();
        // The names of the checks hang over their columns.
        for (column, id) in ids.iter().enumerate() {
            let name = id.split('/').next_back().unwrap_or(id);
            let _ = writeln!(text, "{:width$}{} {name}", "", "  │".repeat(column));
        }
        for (folder, checked) in of_it {
            let _ = write!(text, "{folder:<width$}");
            for id in &ids {
                let sign = match checked.get(id)["status"].as_str() {
                    Some("pass") => '·',
                    Some("fail") => 'X',
                    Some("not_run") => '-',
                    _ => '?',
                };
                let _ = write!(text, "  {sign}");
            }
            text.push('\n');
        }
    }
    text
}

/// What the sheet's tasks about programs are checked for is checked in earnest: every check says which sentence it
/// enforces, helps who fails it, and has been seen to fail what breaks that sentence, and nothing else.
#[test]
fn every_check_quotes_the_sheet_gives_hints_and_fails_some_fault() {
    let library = Library::built_in().expect("the scenarios are right");
    let faults = faults();
    let manifests: String = VARIANTS
        .iter()
        .filter_map(|(name, _)| std::fs::read_to_string(fixture(name).join("lab.toml")).ok())
        .collect();
    let mut points = 0.0;
    for (id, kind) in CHECKS {
        let exercise = id.split('/').next().expect("ids have a slash");
        let check = library
            .scenarios
            .iter()
            .flat_map(|scenario| &scenario.checks)
            .find(|check| check.id == *id)
            .unwrap_or_else(|| panic!("{id} stands in no scenario"));
        assert!(!check.sheet.trim().is_empty(), "{id} quotes nothing");
        assert_eq!(check.hints.len(), 3, "the hint of {id} has three steps");
        assert!(
            !check.matters.is_empty(),
            "{id} does not say why it matters"
        );
        assert_eq!(check.points > 0.0, *kind == Kind::Required, "{id}");
        points += check.points;
        // Over TCP the handshake is the kernel's, and a client without a connection fails the exchange.
        let is_killed = faults.values().any(|fails| fails == id);
        assert!(is_killed || *id == "ex4/handshake", "no fault fails {id}");
        assert!(
            manifests.contains(&format!("[{exercise}]")),
            "no submission passes {id}"
        );
    }
    assert_eq!(points, 20.0, "what is required makes 20 points together");
}

/// The harness's own words for faults, as reviewed.
#[test]
fn reports_on_faults_read_as_they_were_reviewed() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let names = [
        "ex1-server-silent",
        "ex2-loopback-only",
        "ex4-cut-off",
        "ex6-client-computes",
        "ex6-minus-swapped",
        "ex6-malformed-sent",
        "ex8-same-name-twice",
        "ex8-sender-missing",
    ];
    for name in names {
        let copy = Copy::of(&format!("faulty/{name}"));
        copy.check(&[]);
        let results = copy.home.path().join("lab-results/latest");
        let report =
            std::fs::read_to_string(results.join("report.txt")).expect("the report was kept");
        // The second line tells what this machine allows.
        let report: String = report
            .lines()
            .enumerate()
            .filter(|(number, _)| *number != 1)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        snapshots::check("faulty", name, &stable(&report));
    }
}
