//! GitHub Actions: a workflow command for everything that did not pass, which is then shown beside the run. Students read
//! it: of checks that a rubric hides it says only that there are some.

use super::collection::{Collection, Graded};
use super::fields::{Word, harmless, out_of, paragraph};
use crate::class::State;
use std::fmt::Write as _;

/// The commands, one a line, and one more with the points of each submission.
pub fn render(collection: &Collection) -> String {
    let mut text = String::new();
    for graded in &collection.graded {
        submission(&mut text, graded);
    }
    text
}

fn submission(text: &mut String, graded: &Graded) {
    let who = &graded.entry.name;
    let report = graded.report.for_students();
    for check in &report.checks {
        let level = match Word::of(check) {
            Word::Pass => continue,
            Word::Fail => "error",
            Word::Unsure => "warning",
            Word::Advice | Word::NotRun => "notice",
        };
        let message = format!("{}\n{}", check.title, paragraph(check));
        command(text, level, &format!("{who}: {}", check.id), &message);
    }
    match &graded.entry.error {
        Some(error) => {
            let level = if graded.entry.state == State::Refused {
                "error"
            } else {
                "warning"
            };
            command(
                text,
                level,
                &format!("{who}: nothing was run"),
                &harmless(error),
            );
        }
        None => {
            let mut points = out_of(report.score, report.max_score);
            if let Some(hidden) = graded.report.hidden_in_words() {
                points = format!("{points}, including {hidden}");
            }
            command(text, "notice", who, &points);
        }
    }
}

fn command(text: &mut String, level: &str, title: &str, message: &str) {
    let _ = writeln!(
        text,
        "::{level} title={}::{}",
        property(title),
        data(message)
    );
}

/// What may stand after `::`: a line end would begin a line of its own.
fn data(text: &str) -> String {
    harmless(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_no_command_of_its_own() {
        let mut text = String::new();
        command(
            &mut text,
            "error",
            "a,file=b::x",
            "got\n::stop-commands::x\r\n##[command]rm 100%",
        );
        assert_eq!(
            text,
            "::error title=a%2Cfile=b%3A%3Ax::got%0A\\x3a:stop-commands::x%0A#\\x23[command]rm 100%25\n"
        );
    }
}
