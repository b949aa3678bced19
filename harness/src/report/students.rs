//! What students are shown: everything but the checks that a rubric hides, whose points are in the sums all the same.
//!
//! Left out with a hidden check is what would tell of it: the evidence of a scenario that it shares with others, remarks
//! on an exercise of which nothing else is shown, and the reason of a check that was not run because of it.

use super::Report;
use super::collection::Collection;
use crate::judge::Verdict;
use crate::lab::Exercise;
use crate::text::count;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The reason of a check that was not run because of a hidden one.
const REST: &str = "it rests on a check that is not shown";

impl Report {
    /// This report as students may see it. Score and sum stay.
    pub fn for_students(&self) -> Report {
        let mut report = self.clone();
        let all = || self.checks.iter().chain(&self.advice);
        let hidden: Vec<&Verdict> = all().filter(|check| check.hidden).collect();
        if hidden.is_empty() {
            return report;
        }
        let ids: BTreeSet<&str> = hidden.iter().map(|check| check.id.as_str()).collect();
        let scenes: BTreeSet<PathBuf> = hidden.iter().filter_map(|check| scene(check)).collect();
        report.checks.retain(|check| !check.hidden);
        report.advice.retain(|check| !check.hidden);
        // They stand beside the answers of ex7.
        if !report
            .checks
            .iter()
            .any(|check| check.exercise == Exercise::Ex7)
        {
            report.experiments.clear();
        }
        for check in report.checks.iter_mut().chain(&mut report.advice) {
            if scene(check).is_some_and(|scene| scenes.contains(&scene)) {
                check.evidence.clear();
            }
            if check
                .because
                .as_deref()
                .is_some_and(|because| mentions(because, &ids))
            {
                check.because = Some(REST.to_owned());
            }
        }
        for check in &hidden {
            let exercise = check.exercise;
            if !report.checks.iter().any(|check| check.exercise == exercise) {
                let about = format!("{exercise}: ");
                report.notes.retain(|note| !note.starts_with(&about));
            }
        }
        let counted = self.hidden_in_words();
        report
            .notes
            .extend(counted.map(|hidden| format!("the points include {hidden}")));
        report
    }

    /// How many hidden checks are in the sums, where there are any.
    pub(super) fn hidden_in_words(&self) -> Option<String> {
        let counting = self
            .checks
            .iter()
            .filter(|check| check.hidden && check.max_points > 0.0);
        match counting.count() {
            0 => None,
            number => Some(count(number, "hidden check")),
        }
    }
}

impl Collection {
    /// These results as students may see them.
    pub fn for_students(&self) -> Collection {
        let mut collection = self.clone();
        let index = &mut collection.index;
        index.rubric = None;
        let rows = collection.graded.iter_mut().map(|graded| {
            graded.report = graded.report.for_students();
            &mut graded.entry
        });
        for entry in rows.chain(&mut index.submissions) {
            entry.rubric = None;
            entry.checks.retain(|mark| !mark.hidden);
        }
        collection
    }
}

/// The folder of a check's scenario, whichever time it was played.
fn scene(check: &Verdict) -> Option<PathBuf> {
    let transcript = Path::new(check.evidence.get("transcript")?);
    Some(transcript.components().take(2).collect())
}

/// Whether one of these ids stands in a text as a word.
fn mentions(text: &str, ids: &BTreeSet<&str>) -> bool {
    let part_of_an_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-');
    text.split(|c| !part_of_an_id(c))
        .any(|word| ids.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_as_a_word_only() {
        let ids = BTreeSet::from(["ex8/login", "ex7/a"]);
        assert!(mentions("needs ex8/login, which failed", &ids));
        assert!(mentions("ex7/a", &ids));
        assert!(!mentions("needs ex8/login-twice, and ex7/answers", &ids));
    }
}
