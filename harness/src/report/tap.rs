//! The Test Anything Protocol, version 14.

use super::collection::Collection;
use super::fields::{Word, fields, harmless};
use super::mark;
use crate::text::visible;
use std::fmt::Write as _;

/// The stream: a test point for each check of each submission. Advice and what is unsure fail as `TODO`, which counts
/// against nobody; what could not be tried is skipped.
pub fn render(collection: &Collection) -> String {
    let mut points = String::new();
    let mut number = 0;
    for graded in &collection.graded {
        let who = description(&graded.entry.name);
        if let Some(error) = &graded.entry.error {
            number += 1;
            let _ = writeln!(points, "not ok {number} - {who}: lab.toml");
            block(&mut points, &[("because", harmless(error))]);
        }
        for check in &graded.report.checks {
            number += 1;
            let word = Word::of(check);
            let ok = match word {
                Word::Pass | Word::NotRun => "ok",
                Word::Fail | Word::Advice | Word::Unsure => "not ok",
            };
            let because = description(check.because.as_deref().unwrap_or_default());
            let directive = match word {
                Word::Pass | Word::Fail => String::new(),
                Word::NotRun => format!(" # SKIP {because}"),
                Word::Advice => " # TODO advice".to_owned(),
                Word::Unsure => " # TODO unsure".to_owned(),
            };
            let title = description(&check.title) + mark(check.hidden);
            let _ = writeln!(
                points,
                "{ok} {number} - {who}: {} {title}{directive}",
                check.id
            );
            if matches!(word, Word::Fail | Word::Advice | Word::Unsure) {
                block(&mut points, &fields(check));
            }
        }
    }
    format!("TAP version 14\n1..{number}\n{points}")
}

/// On one line, and nothing in it begins a directive.
fn description(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('#', "\\#")
}

/// A YAML block. Texts are written as JSON has them, which YAML reads as well.
fn block(points: &mut String, fields: &[(&str, String)]) {
    let _ = writeln!(points, "  ---");
    for (label, value) in fields {
        let _ = writeln!(
            points,
            "  {label}: {}",
            serde_json::Value::from(value.as_str())
        );
    }
    let _ = writeln!(points, "  ...");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_no_directive_and_no_line() {
        assert_eq!(
            description("a # SKIP b\nok 2 \\"),
            "a \\# SKIP b\\\\nok 2 \\\\"
        );
    }
}
