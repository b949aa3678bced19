//! Judges recorded results anew, by today's judge and a rubric: nothing is run.
//!
//! Of a class whose rubric stays the same, the same judge makes the same octets. A submission whose evidence cannot be
//! judged keeps what was recorded of it, and is named; the others go on.

use super::store::{self, ENTRY, INDEX};
use super::{Entry, Index, Mark, State, digest};
use crate::event::EventKind;
use crate::judge::Status;
use crate::lab;
use crate::report::Report;
use crate::report::collection::{Collection, Graded, read};
use crate::report::text::{self, Look, points};
use crate::results::{Run, Scene, json};
use crate::rubric::Rubric;
use crate::text::visible;
use miette::{Result, miette};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Points that differ by less are the same.
const SAME: f64 = 1e-6;

/// By what recorded results are counted anew.
#[derive(Clone, Debug, PartialEq)]
pub enum Count {
    /// By the rubric they were recorded with, if any.
    AsRecorded,
    /// By the points of their scenarios.
    ByScenarios,
    /// By another rubric.
    By(Rubric),
}

/// Recorded results, judged anew.
#[derive(Debug)]
pub struct Rejudged {
    /// What they come to now.
    pub collection: Collection,
    folder: PathBuf,
    fates: Vec<Fate>,
    /// Held until all is written, where it is to be.
    lock: Option<File>,
}

/// What became of one submission.
#[derive(Debug)]
struct Fate {
    before: Entry,
    after: Entry,
    how: How,
}

#[derive(Debug)]
enum How {
    /// Nothing had been run, so there is nothing to judge.
    Unplayed,
    /// It cannot be judged, and this is why.
    Kept(String),
    /// It was judged; `record` is its run where it is to be written with another rubric.
    Judged {
        report: Box<Report>,
        rubric: Option<Rubric>,
        record: Option<String>,
        reworded: bool,
    },
}

/// Judges what `harness check`, `harness grade` or `harness merge` has written. With `lock`, nobody else writes to it until
/// the end, so that it can be [saved](Rejudged::save).
///
/// # Errors
/// When there is nothing of the kind, when nothing is known of it that could be kept, and when somebody else is writing to
/// it.
pub fn rejudge(folder: &Path, count: &Count, lock: bool) -> Result<Rejudged> {
    let is_class = folder.join(INDEX).exists();
    let in_class = !is_class && folder.join(ENTRY).exists();
    if lock && in_class {
        return Err(miette!(
            help = "save all of it: name the folder above, or leave out --save",
            "{} belongs to a class, which is counted by one rubric",
            folder.display()
        ));
    }
    let lock = match lock {
        true => Some(store::lock(folder)?),
        false => None,
    };
    let (mut index, fates): (Index, Vec<Fate>) = if is_class {
        let mut index = store::load(folder)?;
        match count {
            Count::AsRecorded => {}
            Count::ByScenarios => index.rubric = None,
            Count::By(rubric) => index.rubric = Some(rubric.clone()),
        }
        let written = store::written(folder)?.submissions;
        let rows = index.submissions.iter().zip(&written);
        let fates = rows
            .map(
                |(entry, written)| match (entry.state, written.state.is_final()) {
                    (State::Pending, true) => Fate {
                        before: written.clone(),
                        after: written.clone(),
                        how: How::Kept(format!(
                            "there is no {}",
                            folder.join(&written.name).join(ENTRY).display()
                        )),
                    },
                    _ => one(&folder.join(&entry.name), entry, Some(&index.rubric)),
                },
            )
            .collect();
        (index, fates)
    } else {
        let wanted = match count {
            Count::AsRecorded => None,
            Count::ByScenarios => Some(None),
            Count::By(rubric) => Some(Some(rubric.clone())),
        };
        let fate = if in_class {
            one(folder, &read(&folder.join(ENTRY))?, wanted.as_ref())
        } else {
            alone(folder, wanted.as_ref())?
        };
        let mut index = Collection::index_of(&fate.after, 0);
        if let How::Judged { report, rubric, .. } = &fate.how {
            index.seed = report.seed;
            index.rubric.clone_from(rubric);
        }
        (index, vec![fate])
    };
    index.submissions = fates.iter().map(|fate| fate.after.clone()).collect();
    let graded = fates.iter().filter_map(|fate| {
        let place = match is_class {
            true => PathBuf::from(&fate.after.name),
            false => PathBuf::new(),
        };
        let report = match &fate.how {
            How::Judged { report, .. } => report.as_ref().clone(),
            // What cannot be read either is in the index of the class alone.
            _ => read(&folder.join(&place).join("report.json")).ok()?,
        };
        Some(Graded {
            entry: fate.after.clone(),
            report,
            folder: place,
        })
    });
    let graded: Vec<Graded> = graded
        .filter(|graded| graded.entry.state != State::Pending)
        .collect();
    if !is_class && graded.is_empty() {
        return Err(match &fates[..] {
            [
                Fate {
                    how: How::Kept(why),
                    ..
                },
            ] => miette!("{why}"),
            _ => miette!("cannot read {}", folder.join("report.json").display()),
        });
    }
    let collection = Collection {
        class: is_class,
        graded,
        index,
    };
    Ok(Rejudged {
        collection,
        folder: folder.to_owned(),
        fates,
        lock,
    })
}

/// One submission of a class: `wanted` is its rubric from now on; none leaves it the one it has.
fn one(folder: &Path, before: &Entry, wanted: Option<&Option<Rubric>>) -> Fate {
    let kept = |how| Fate {
        before: before.clone(),
        after: before.clone(),
        how,
    };
    if !before.state.is_final() {
        return kept(How::Unplayed);
    }
    let mut run = match whole(folder) {
        Ok(run) => run,
        Err(error) => return kept(How::Kept(error.to_string())),
    };
    let recount = wanted.is_some_and(|wanted| *wanted != run.rubric);
    if let Some(wanted) = wanted {
        run.rubric.clone_from(wanted);
    }
    let report = Report::new(&run);
    let entry = Entry {
        rubric: run.rubric.as_ref().map(digest::of_rubric),
        ..before.clone()
    };
    let (record, text) = match (recount.then(|| json(&run)).transpose(), json(&report)) {
        (Ok(record), Ok(text)) => (record, text),
        (Err(error), _) | (_, Err(error)) => return kept(How::Kept(error.to_string())),
    };
    let recorded = fs::read_to_string(folder.join("report.json"));
    Fate {
        before: before.clone(),
        after: entry.with(&report),
        how: How::Judged {
            reworded: recorded.is_ok_and(|recorded| recorded != text),
            report: Box::new(report),
            rubric: run.rubric,
            record,
        },
    }
}

/// What `harness check` has written.
fn alone(folder: &Path, wanted: Option<&Option<Rubric>>) -> Result<Fate> {
    let recorded = match read(&folder.join("report.json")) {
        Ok(recorded) => recorded,
        // It can be made again.
        Err(_) => Report::new(&whole(folder)?),
    };
    let entry = Entry::pending(&recorded.submission.student, &recorded.submission.dir);
    let fate = one(folder, &entry.with(&recorded), wanted);
    match &fate.how {
        // There is nobody else to go on with.
        How::Kept(why) => Err(miette!("{why}")),
        _ => Ok(fate),
    }
}

/// A recorded run with all of its events.
fn whole(folder: &Path) -> Result<Run> {
    let run = Run::load(folder)?;
    let has_end = |events: &[crate::event::Event]| {
        let mut events = events.iter();
        events.any(|event| matches!(event.kind, EventKind::ScenarioEnded { .. }))
    };
    let is_cut = |scene: &&Scene| {
        let mut runs = scene.runs().peekable();
        let mut swapped = scene.understudies.values();
        runs.peek().is_none()
            || runs.any(|(_, events)| !has_end(events))
            || swapped.any(|again| !has_end(&again.events))
    };
    let cut = run
        .scenes
        .iter()
        .filter(|scene| scene.obstacle.is_none() && !scene.scenario.is_paper())
        .find(is_cut);
    match cut {
        Some(scene) => Err(miette!(
            "{} breaks off: it does not end as a scenario does",
            folder
                .join("scenes")
                .join(&scene.scenario.name)
                .join("events.jsonl")
                .display()
        )),
        None => Ok(run),
    }
}

impl Rejudged {
    /// Writes reports, rows, the index and the table in the place of the recorded ones, each complete or not at all. What
    /// has not changed is not touched.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn save(self) -> Result<()> {
        let is_class = self.collection.class;
        for fate in &self.fates {
            let How::Judged { report, record, .. } = &fate.how else {
                continue;
            };
            let folder = match is_class {
                true => self.folder.join(&fate.after.name),
                false => self.folder.clone(),
            };
            if let Some(record) = record {
                store::replace(&folder.join("run.json"), record)?;
            }
            renew(&folder.join("report.json"), &json(report)?)?;
            renew(
                &folder.join("report.txt"),
                &text::render(report, Look::default()),
            )?;
            // Last: whoever is counted by the new rubric says so from here on.
            if is_class {
                renew(&folder.join(ENTRY), &json(&fate.after)?)?;
            }
        }
        if is_class {
            store::write_index(&self.folder, &self.collection.index)?;
        }
        drop(self.lock);
        Ok(())
    }

    /// The exit status: that of the results as they now are; 2 when somebody's could not be judged.
    pub fn exit_status(&self) -> u8 {
        let kept = |fate: &Fate| matches!(fate.how, How::Kept(_));
        match self.collection.index.exit_status() {
            4 => 4,
            _ if self.fates.iter().any(kept) => 2,
            status => status,
        }
    }

    /// Who changed and why, a line for each submission and each check, and how many they are.
    pub fn changes(&self) -> String {
        let mut told = String::new();
        let (mut changed, mut reworded, mut kept) = (0, 0, 0);
        for fate in &self.fates {
            let name = visible(&fate.after.name);
            match &fate.how {
                How::Unplayed => {
                    let state = fate.after.state.word();
                    let _ = writeln!(told, "{name}: {state}, as it was: nothing was run");
                }
                How::Kept(why) => {
                    kept += 1;
                    let _ = writeln!(told, "{name}: kept as it was recorded: {}", visible(why));
                }
                How::Judged {
                    reworded: words,
                    rubric,
                    ..
                } => {
                    let off = rubric.as_ref().map(|rubric| &rubric.off);
                    let checks = differences(&fate.before, &fate.after, off);
                    let head = head(&fate.before, &fate.after);
                    if checks.is_empty() && head.is_none() {
                        reworded += usize::from(*words);
                        continue;
                    }
                    changed += 1;
                    let score = head.unwrap_or_else(|| {
                        let entry = &fate.after;
                        format!("{} as before", out_of(entry.score, entry.max_score))
                    });
                    let _ = writeln!(told, "{name}: {score}");
                    for check in checks {
                        let _ = writeln!(told, "  {check}");
                    }
                }
            }
        }
        let _ = write!(told, "{changed} of {} changed", self.fates.len());
        if reworded > 0 {
            let _ = write!(told, ", {reworded} in their words only");
        }
        if kept > 0 {
            let _ = write!(told, ", {kept} kept as recorded");
        }
        told.push('\n');
        told
    }
}

/// Writes a file that differs from what is there.
fn renew(path: &Path, text: &str) -> Result<()> {
    match fs::read_to_string(path) {
        Ok(there) if there == text => Ok(()),
        _ => store::replace(path, text),
    }
}

fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < SAME
}

fn out_of(score: f64, max_score: f64) -> String {
    format!("{} of {}", points(score), points(max_score))
}

/// How score and outcome changed, if they did.
fn head(before: &Entry, after: &Entry) -> Option<String> {
    let score = match same(before.max_score, after.max_score) {
        true if same(before.score, after.score) => None,
        true => Some(format!(
            "{} → {}",
            points(before.score),
            out_of(after.score, after.max_score)
        )),
        false => Some(format!(
            "{} → {}",
            out_of(before.score, before.max_score),
            out_of(after.score, after.max_score)
        )),
    };
    let outcome = (before.state != after.state)
        .then(|| format!("{} → {}", before.state.word(), after.state.word()));
    match (score, outcome) {
        (None, None) => None,
        (Some(score), None) => Some(score),
        (None, Some(outcome)) => Some(format!(
            "{}, {outcome}",
            out_of(after.score, after.max_score)
        )),
        (Some(score), Some(outcome)) => Some(format!("{score}, {outcome}")),
    }
}

/// A line for each check that came to something else.
fn differences(before: &Entry, after: &Entry, off: Option<&BTreeSet<String>>) -> Vec<String> {
    let all = before.checks.iter().chain(&after.checks);
    let ids: BTreeSet<(usize, &str)> = all
        .map(|mark| {
            let place = lab::find_check(&mark.id).map_or(usize::MAX, |(place, _)| place);
            (place, mark.id.as_str())
        })
        .collect();
    let find = |entry: &'_ Entry, id: &str| {
        let mut marks = entry.checks.iter();
        marks.find(|mark| mark.id == id).cloned()
    };
    let line = |(_, id): (usize, &str)| {
        let what = match (find(before, id), find(after, id)) {
            (Some(before), Some(after)) => difference(&before, &after)?,
            (Some(before), None) => {
                let is_off = off.is_some_and(|off| off.contains(id));
                let now = if is_off { "off" } else { "not reported" };
                format!("{} → {now}", word(before.status))
            }
            (None, after) => {
                let after = after?;
                let points = out_of(after.points, after.max_points);
                format!("→ {}, {points} points", word(after.status))
            }
        };
        Some(format!("{id} {what}"))
    };
    ids.into_iter().filter_map(line).collect()
}

fn difference(before: &Mark, after: &Mark) -> Option<String> {
    let mut parts = Vec::new();
    if before.status != after.status {
        parts.push(format!("{} → {}", word(before.status), word(after.status)));
    }
    let of = |mark: &Mark| match same(mark.points, mark.max_points) {
        true => points(mark.points).to_string(),
        false => out_of(mark.points, mark.max_points),
    };
    let same_worth = same(before.max_points, after.max_points);
    if !same_worth || (before.status == after.status && !same(before.points, after.points)) {
        parts.push(format!("{} → {} points", of(before), of(after)));
    }
    match (before.hidden, after.hidden) {
        (false, true) => parts.push("now hidden".to_owned()),
        (true, false) => parts.push("hidden no more".to_owned()),
        _ => {}
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Fail => "fail",
        Status::NotRun => "not run",
        Status::Inconclusive => "inconclusive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Kind;

    fn mark(id: &str, status: Status, points: f64, max_points: f64) -> Mark {
        Mark {
            id: id.to_owned(),
            kind: Kind::Required,
            status,
            points,
            max_points,
            hidden: false,
        }
    }

    fn entry(state: State, checks: Vec<Mark>) -> Entry {
        Entry {
            state,
            score: checks.iter().map(|mark| mark.points).sum(),
            max_score: checks.iter().map(|mark| mark.max_points).sum(),
            checks,
            ..Entry::pending("ada", "class/ada")
        }
    }

    #[test]
    fn a_check_that_came_to_something_else_is_told_in_a_line() {
        #[track_caller]
        fn check(before: (Status, f64, f64), after: (Status, f64, f64), expected: Option<&str>) {
            let of = |(status, points, max)| mark("ex6/arithmetic", status, points, max);
            let told = difference(&of(before), &of(after));
            assert_eq!(told.as_deref(), expected);
        }
        use Status::{Fail, Inconclusive, Pass};
        check((Pass, 2.0, 2.0), (Pass, 2.0, 2.0), None);
        check((Fail, 0.0, 2.0), (Pass, 2.0, 2.0), Some("fail → pass"));
        check((Pass, 2.0, 2.0), (Pass, 3.0, 3.0), Some("2 → 3 points"));
        check(
            (Fail, 0.0, 2.0),
            (Fail, 0.0, 3.0),
            Some("0 of 2 → 0 of 3 points"),
        );
        check(
            (Fail, 1.0, 2.0),
            (Fail, 1.5, 2.0),
            Some("1 of 2 → 1.5 of 2 points"),
        );
        check(
            (Inconclusive, 0.0, 0.0),
            (Fail, 0.0, 2.0),
            Some("inconclusive → fail, 0 → 0 of 2 points"),
        );
        let before = mark("ex6/name", Pass, 1.0, 1.0);
        let after = Mark {
            hidden: true,
            ..before.clone()
        };
        assert_eq!(difference(&before, &after).as_deref(), Some("now hidden"));
        assert_eq!(
            difference(&after, &before).as_deref(),
            Some("hidden no more")
        );
    }

    #[test]
    fn a_submission_is_told_with_its_points_and_checks_in_the_order_of_the_lab() {
        let before = entry(
            State::Failed,
            vec![
                mark("ex2/across-hosts", Status::Fail, 0.0, 1.0),
                mark("ex6/arithmetic", Status::Pass, 2.0, 2.0),
            ],
        );
        let after = entry(
            State::Passed,
            vec![
                mark("ex6/arithmetic", Status::Pass, 3.0, 3.0),
                mark("ex1/request-reply", Status::Pass, 1.0, 1.0),
            ],
        );
        let off = BTreeSet::from(["ex2/across-hosts".to_owned()]);
        assert_eq!(
            head(&before, &after).as_deref(),
            Some("2 of 3 → 4 of 4, failed → passed")
        );
        assert_eq!(
            differences(&before, &after, Some(&off)),
            [
                "ex1/request-reply → pass, 1 of 1 points",
                "ex2/across-hosts fail → off",
                "ex6/arithmetic 2 → 3 points",
            ]
        );
        assert_eq!(head(&before, &before), None);
        assert_eq!(differences(&before, &before, None), Vec::<String>::new());
    }
}
