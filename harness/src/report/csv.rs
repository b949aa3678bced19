//! The table of a class: a submission a line, a check a column; what spreadsheets open.

use super::mark;
use super::text::points;
use crate::class::Index;
use crate::judge::Status;
use crate::lab::CHECKS;
use crate::text::{visible, without_command};

/// The table, with a line of headings, which mark checks that students are not shown. Cells of checks hold points, or what they came to where points say nothing.
///
/// # Errors
/// Never when written to memory; the type is the writer's.
pub fn render(index: &Index) -> Result<String, csv::Error> {
    let checks: Vec<&str> = CHECKS
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| {
            index
                .submissions
                .iter()
                .any(|entry| entry.checks.iter().any(|mark| mark.id == *id))
        })
        .collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    let headings = ["name", "student", "folder", "outcome", "score", "max_score"];
    let is_hidden = |id: &str| {
        let mut marks = index.submissions.iter().flat_map(|entry| &entry.checks);
        marks.any(|mark| mark.hidden && mark.id == id)
    };
    let columns = checks
        .iter()
        .map(|id| format!("{id}{}", mark(is_hidden(id))));
    table.write_record(headings.into_iter().map(str::to_owned).chain(columns))?;
    for entry in &index.submissions {
        let mut cells = vec![
            harmless(&entry.name),
            harmless(&entry.student),
            harmless(&entry.dir),
            entry.state.word().to_owned(),
            points(entry.score).to_string(),
            points(entry.max_score).to_string(),
        ];
        for id in &checks {
            let mark = entry.checks.iter().find(|mark| mark.id == *id);
            cells.push(mark.map_or(String::new(), |mark| match mark.status {
                _ if mark.max_points > 0.0 => points(mark.points).to_string(),
                Status::Pass => "pass".to_owned(),
                Status::Fail => "fail".to_owned(),
                Status::NotRun => "not run".to_owned(),
                Status::Inconclusive => "inconclusive".to_owned(),
            }));
        }
        table.write_record(cells)?;
    }
    let octets = table
        .into_inner()
        .map_err(|error| csv::Error::from(std::io::Error::other(error.to_string())))?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// A cell that no spreadsheet takes for a formula, and no terminal for a command.
fn harmless(text: &str) -> String {
    let text = without_command(&visible(text));
    if text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '\\', '|', '%'])
    {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in [
            "=cmd|' /C calc'!A0",
            "+1",
            "-2+3",
            "@SUM(A1)",
            "  =1",
            "\t=1",
            "\r=1",
            "|x",
            "%0A=1",
        ] {
            let cell = harmless(text);
            assert!(cell.starts_with('\''), "{cell}");
        }
        assert_eq!(harmless("Ada = Lovelace"), "Ada = Lovelace");
    }
}
