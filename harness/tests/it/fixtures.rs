//! Submissions in several styles that satisfy the sheet pass; those with one fault fail the one check that names
//! it.

use crate::support::{Copy, fixture, has, has_capture, has_netns, heavy, stable};
use std::collections::BTreeMap;
use std::sync::Mutex;

#[track_caller]
fn check_passes(name: &str, programs: &[&str]) {
    if !has(programs) || !has_netns() || !has_capture() {
        return;
    }
    let copy = Copy::of(name);
    let checked = copy.check(&[]);
    for status in ["fail", "not_run", "inconclusive"] {
        let required: Vec<&str> = checked
            .with_status(status)
            .into_iter()
            .filter(|id| checked.get(id)["kind"] == "required")
            .collect();
        assert!(
            required.is_empty(),
            "{name}: {required:?} {status}\n{}",
            checked.trouble()
        );
    }
    assert_eq!(checked.status, 0);
    assert_eq!(copy.leftovers(), Vec::<String>::new());
}

#[test]
fn a_beginners_python_passes() {
    check_passes("beginner", &["python3"]);
}

#[test]
fn asyncio_with_json_lines_passes() {
    check_passes("asyncio", &["python3"]);
}

#[test]
fn node_with_length_prefixes_passes() {
    check_passes("node", &["node"]);
}

#[test]
fn c_that_is_built_first_passes() {
    check_passes("c", &["gcc", "make"]);
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

#[test]
fn each_fault_fails_exactly_the_check_that_names_it() {
    if !has(&["python3"]) || !has_netns() || !has_capture() {
        return;
    }
    let _alone = heavy();
    let faults = faults();
    let folders = std::fs::read_dir(fixture("faulty"))
        .expect("the folder can be read")
        .flatten();
    let folders = folders.filter(|entry| entry.path().is_dir()).count();
    assert!(faults.len() >= 12, "the table has {} rows", faults.len());
    assert_eq!(faults.len(), folders, "every folder has a row");
    let waiting = Mutex::new(faults.iter().collect::<Vec<_>>());
    let wrong = Mutex::new(Vec::new());
    // They mostly wait for what does not come, so several at once take hardly longer than one.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("nobody panicked").pop();
                    let Some((folder, check)) = next else { return };
                    let checked = Copy::of(&format!("faulty/{folder}")).check(&[]);
                    let (failed, open) = (checked.with_status("fail"), checked.with_status("inconclusive"));
                    let expected = failed == [check] && open.is_empty();
                    let status = if check_is_advice(&checked, check) { 0 } else { 1 };
                    if !expected || checked.status != status {
                        let trouble = format!(
                            "{folder}: expected {check} alone and status {status}; failed {failed:?}, open {open:?}, status {}\n{}",
                            checked.status,
                            checked.trouble()
                        );
                        wrong.lock().expect("nobody panicked").push(trouble);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panicked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_is_advice(checked: &crate::support::Checked, id: &str) -> bool {
    checked.get(id)["kind"] == "robustness"
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
