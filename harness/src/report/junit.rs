//! JUnit's XML, which most build servers show: a suite for each submission and exercise.

use super::collection::{Collection, Graded};
use super::fields::{Word, harmless, paragraph};
use crate::judge::Verdict;
use crate::text::{visible, without_command};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The document. Advice, and what could not be decided, counts as skipped.
///
/// # Errors
/// Never for what is recorded here; the type is the writer's.
pub fn render(collection: &Collection) -> Result<String, quick_junit::SerializeError> {
    let mut document = Report::new("socket-lab");
    for graded in &collection.graded {
        document.add_test_suites(suites(graded));
    }
    document.to_string()
}

fn suites(graded: &Graded) -> Vec<TestSuite> {
    let who = visible(&graded.entry.name);
    if let Some(error) = &graded.entry.error {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status
            .set_message("nothing was run")
            .set_description(harmless(error));
        let mut case = TestCase::new("lab.toml", status);
        case.set_classname(who.clone());
        let mut suite = TestSuite::new(who);
        suite.add_test_case(case);
        return vec![suite];
    }
    let suite = |exercise: crate::lab::Exercise| {
        let mut suite = TestSuite::new(format!("{who}: {exercise} {}", exercise.title()));
        let checks = graded.report.checks.iter();
        suite.add_test_cases(
            checks
                .filter(|check| check.exercise == exercise)
                .map(|check| case(&who, check)),
        );
        suite
    };
    graded.report.exercises().into_iter().map(suite).collect()
}

fn case(who: &str, check: &Verdict) -> TestCase {
    let word = Word::of(check);
    let mut status = match word {
        Word::Pass => TestCaseStatus::success(),
        Word::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Word::Advice | Word::NotRun | Word::Unsure => TestCaseStatus::skipped(),
    };
    if word != Word::Pass {
        let because = check.because.as_deref().unwrap_or("it is not satisfied");
        status
            .set_message(format!(
                "{}: {}",
                word.text(),
                without_command(&visible(because))
            ))
            .set_description(paragraph(check));
    }
    let mut case = TestCase::new(check.id.clone(), status);
    case.set_classname(format!("{who}.{}", check.exercise))
        .set_time(Duration::from_millis(check.duration_ms))
        .add_property(("title", check.title.as_str()));
    if check.hidden {
        case.add_property(("hidden", "true"));
    }
    case
}
