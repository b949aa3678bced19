//! A class as text for a terminal: a line for each submission.

use super::collection::Collection;
use super::mark;
use super::text::points;
use crate::class::State;
use crate::judge::Status;
use crate::text::visible;
use std::fmt::Write as _;

/// The lines, and what they come to.
pub fn render(collection: &Collection) -> String {
    let rows = &collection.index.submissions;
    let names: Vec<String> = rows.iter().map(|entry| visible(&entry.name)).collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (entry, name) in rows.iter().zip(names) {
        let pad = " ".repeat(width - name.chars().count());
        let state = entry.state.word();
        let what = match entry.state {
            State::Pending => String::new(),
            State::Refused | State::Fault => {
                let error = entry.error.as_deref().unwrap_or_default();
                let mut lines = error
                    .lines()
                    .map(|line| line.trim().trim_start_matches("× "));
                visible(lines.find(|line| !line.is_empty()).unwrap_or_default())
            }
            State::Passed | State::Failed | State::Open => {
                let mut lost: Vec<String> = entry
                    .checks
                    .iter()
                    .filter(|check| check.status == Status::Fail && check.max_points > 0.0)
                    .map(|check| format!("{}{}", check.id, mark(check.hidden)))
                    .collect();
                if collection.is_behind(entry) {
                    lost.push("counted by another rubric than the others".to_owned());
                }
                let score = format!("{}/{}", points(entry.score), points(entry.max_score));
                format!("{score:>9}  {}", lost.join(", "))
            }
        };
        let _ = writeln!(
            text,
            "{}",
            format!("{name}{pad}  {state:<7}  {what}").trim_end()
        );
    }
    let _ = writeln!(text, "\n{}", crate::class::summary(&collection.index));
    text
}
