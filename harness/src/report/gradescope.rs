//! Gradescope's `results.json`, for the autograder of one submission. Checks that a rubric hides are in it for instructors;
//! nothing that students see tells of them.

use super::Report;
use super::collection::Graded;
use super::fields::{Word, harmless, out_of, paragraph};
use super::text::points;
use crate::judge::Verdict;
use serde_json::{Value, json};

/// The document. Everything in it is marked as plain text, which Gradescope does not interpret.
///
/// # Errors
/// Never for what is recorded here; the type is serde's.
pub fn render(graded: &Graded) -> serde_json::Result<String> {
    let report = &graded.report;
    let shown = report.for_students();
    let mut output = vec![out_of(report.score, report.max_score)];
    output.extend(shown.notes.iter().map(|note| harmless(note)));
    let document = json!({
        "score": points(report.score),
        "output": output.join("\n"),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "stdout_visibility": "hidden",
        "tests": tests(report, &shown),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Every check in its place: the hidden ones as they are, the others as students may see them.
fn tests(report: &Report, shown: &Report) -> Vec<Value> {
    let mut shown = shown.checks.iter();
    let checks = report.checks.iter().filter_map(|check| match check.hidden {
        true => Some(check),
        false => shown.next(),
    });
    checks.map(test).collect()
}

fn test(check: &Verdict) -> Value {
    let word = Word::of(check);
    let mut test = json!({
        "name": format!("{} {}", check.id, check.title),
        "output": match word {
            Word::Pass => String::new(),
            word => format!("{}\n{}", word.text(), paragraph(check)).trim_end().to_owned(),
        },
        "visibility": if check.hidden { "hidden" } else { "visible" },
    });
    match word {
        Word::Pass => test["status"] = json!("passed"),
        Word::Fail => test["status"] = json!("failed"),
        // Neither: it would be shown in green or red.
        Word::Advice | Word::NotRun | Word::Unsure => {}
    }
    if check.max_points > 0.0 {
        test["score"] = json!(points(check.points));
        test["max_score"] = json!(points(check.max_points));
    }
    test
}
