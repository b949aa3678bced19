//! Classroom 50's `result.json` (format `classroom50/result/v1`), for the autograder of one submission.
//!
//! Whose submission it is, and of what, is the runner's to say: it sets variables in the autograder's environment, from
//! which [`Identity`] is made. Points are whole numbers there; where the lab's are not, all are multiplied.

use super::collection::Graded;
use super::fields::{Word, paragraph};
use crate::judge::Verdict;
use serde_json::{Value, json};

/// The format.
const SCHEMA: &str = "classroom50/result/v1";

/// What the runner says about the submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    classroom: String,
    assignment: String,
    submission: String,
    commit: String,
    release: String,
    review: String,
}

impl Identity {
    /// From the runner's variables.
    ///
    /// # Errors
    /// The names of those that are missing.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<&'static str>> {
        let mut missing = Vec::new();
        let mut get = |name: &'static str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let commit = get("COMMIT_URL");
        let identity = Identity {
            classroom: get("CLASSROOM"),
            assignment: get("ASSIGNMENT"),
            submission: get("SUBMISSION_TAG"),
            release: get("RELEASE_URL"),
            review: variable("REVIEW_URL")
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| commit.clone()),
            commit,
        };
        if missing.is_empty() {
            Ok(identity)
        } else {
            Err(missing)
        }
    }
}

/// The document. Checks that do not count are left out; students read it, so those that a rubric hides are in it as one,
/// without their names.
///
/// # Errors
/// Never for what is recorded here; the type is serde's.
pub fn render(graded: &Graded, identity: &Identity) -> serde_json::Result<String> {
    let counting = || {
        graded
            .report
            .checks
            .iter()
            .filter(|check| check.max_points > 0.0)
    };
    let all: Vec<f64> = counting()
        .flat_map(|check| [check.points, check.max_points])
        .collect();
    let factor = whole_by(&all);
    let whole = |points: f64| (points * factor).round() as i64;
    let shown = graded.report.for_students();
    let shown = shown.checks.iter().filter(|check| check.max_points > 0.0);
    let mut tests: Vec<Value> = shown
        .map(|check| {
            let word = Word::of(check);
            let mut test = json!({
                "test-name": check.id,
                "passed": word == Word::Pass,
                "score": whole(check.points),
                "max-score": whole(check.max_points),
                "title": check.title,
            });
            if word != Word::Pass {
                test["output"] = json!(paragraph(check));
            }
            test
        })
        .collect();
    let sum =
        |points: fn(&Verdict) -> f64| -> i64 { counting().map(|check| whole(points(check))).sum() };
    if let Some(title) = graded.report.hidden_in_words() {
        let hidden = || counting().filter(|check| check.hidden);
        tests.push(json!({
            "test-name": "hidden",
            "passed": hidden().all(|check| Word::of(check) == Word::Pass),
            "score": hidden().map(|check| whole(check.points)).sum::<i64>(),
            "max-score": hidden().map(|check| whole(check.max_points)).sum::<i64>(),
            "title": title,
        }));
    }
    let document = json!({
        "schema": SCHEMA,
        "classroom": identity.classroom,
        "assignment": identity.assignment,
        "submission": identity.submission,
        "commit": identity.commit,
        "release": identity.release,
        "review": identity.review,
        "score": sum(|check| check.points),
        "max-score": sum(|check| check.max_points),
        "tests": tests,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The smallest factor that makes all of these whole, or hundredths.
fn whole_by(all: &[f64]) -> f64 {
    let is_whole = |value: f64| (value - value.round()).abs() < 1e-6;
    [1.0, 2.0, 4.0, 5.0, 10.0, 20.0]
        .into_iter()
        .find(|factor| all.iter().all(|points| is_whole(points * factor)))
        .unwrap_or(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_become_whole_without_changing_what_they_are_worth_to_each_other() {
        assert_eq!(whole_by(&[1.0, 2.0]), 1.0);
        assert_eq!(whole_by(&[1.0, 0.5]), 2.0);
        assert_eq!(whole_by(&[0.25, 0.1]), 20.0);
        assert_eq!(whole_by(&[1.0 / 3.0]), 100.0);
    }

    #[test]
    fn every_variable_that_is_missing_is_named() {
        let missing = Identity::new(|name| (name == "CLASSROOM").then(|| "c".to_owned()));
        assert_eq!(
            missing,
            Err(vec![
                "COMMIT_URL",
                "ASSIGNMENT",
                "SUBMISSION_TAG",
                "RELEASE_URL"
            ])
        );
        let whole = Identity::new(|name| (name != "REVIEW_URL").then(|| name.to_lowercase()));
        assert_eq!(
            whole.map(|identity| identity.review),
            Ok("commit_url".to_owned())
        );
    }
}
