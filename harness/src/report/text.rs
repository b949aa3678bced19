//! The report for people at a terminal.
//!
//! One line a check; then what is open, and last what failed, each with everything needed to see why.

use super::{Outcome, Report, mark};
use crate::judge::{Status, Verdict};
use crate::lab::Kind;
use crate::text::{count, visible, without_command};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const OPEN: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();
const LOUD: Style = Style::new().bold();

/// The width of points as they are without a rubric.
const LEAST: usize = 9;

/// How the text is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// With colours.
    pub colours: bool,
    /// With every step of the hints, and why what was passed matters.
    pub explain: bool,
}

/// The report as text.
pub fn render(report: &Report, look: Look) -> String {
    let mut page = Page {
        text: String::new(),
        look,
        width: report
            .checks
            .iter()
            .map(|check| points_of(check).chars().count())
            .fold(LEAST, usize::max),
    };
    page.head(report);
    for exercise in report.exercises() {
        let _ = writeln!(page.text);
        page.line(LOUD, &format!("{exercise}  {}", exercise.title()));
        for check in report
            .checks
            .iter()
            .filter(|check| check.exercise == exercise)
        {
            page.row(check);
        }
    }
    page.details(report);
    page.foot(report);
    page.text
}

/// Whether a check is listed in a group.
type Belongs = fn(&Verdict) -> bool;

struct Page {
    text: String,
    look: Look,
    /// Of the points in characters.
    width: usize,
}

impl Page {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.look.colours {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, style: Style, text: &str) {
        let painted = self.paint(style, text);
        let _ = writeln!(self.text, "{painted}");
    }

    fn head(&mut self, report: &Report) {
        self.line(LOUD, &visible(&report.submission.student));
        let facts = format!(
            "seed {} · isolation {}: {}; the wire is {}",
            report.seed,
            report.isolation.level,
            report.isolation.shared,
            if report.isolation.capture {
                "watched"
            } else {
                "not watched"
            }
        );
        self.line(QUIET, &facts);
    }

    fn row(&mut self, check: &Verdict) {
        let name = check
            .id
            .split_once('/')
            .map_or(check.id.as_str(), |(_, name)| name);
        let status = self.paint(style_of(check), &format!("{:<13}", word_of(check)));
        let _ = writeln!(
            self.text,
            "  {status} {name:<25} {:>width$}  {}{}",
            points_of(check),
            check.title,
            mark(check.hidden),
            width = self.width
        );
        for remark in &check.remarks {
            self.paragraph(remark);
        }
        if self.look.explain && !check.matters.is_empty() {
            self.paragraph(&check.matters);
        }
    }

    /// Something to read below a row.
    fn paragraph(&mut self, text: &str) {
        const INDENT: usize = 16;
        const WIDTH: usize = 104;
        let text = visible(text);
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(QUIET, &format!("{:INDENT$}{line}", ""));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(QUIET, &format!("{:INDENT$}{line}", ""));
    }

    fn details(&mut self, report: &Report) {
        let groups: [(&str, Belongs); 4] = [
            ("Not run", |check| check.status == Status::NotRun),
            ("Inconclusive", |check| check.status == Status::Inconclusive),
            ("Advice", |check| {
                check.status == Status::Fail && !check.counts()
            }),
            ("Failed", |check| {
                check.status == Status::Fail && check.counts()
            }),
        ];
        if !report.notes.is_empty() {
            let _ = writeln!(self.text);
            self.line(LOUD, "Notes");
            for note in &report.notes {
                let _ = writeln!(self.text, "  {}", visible(note));
            }
        }
        for (title, belongs) in groups {
            let checks: Vec<&Verdict> = report
                .checks
                .iter()
                .chain(report.advice_to_tell())
                .filter(|check| belongs(check))
                .collect();
            if checks.is_empty() {
                continue;
            }
            let _ = writeln!(self.text);
            self.line(LOUD, title);
            for check in checks {
                self.detail(check);
            }
        }
    }

    fn detail(&mut self, check: &Verdict) {
        let head = self.paint(style_of(check), &check.id);
        let _ = writeln!(self.text, "  {head}  {}{}", check.title, mark(check.hidden));
        let fields = [
            ("sent", &check.sent),
            ("expected", &check.expected),
            ("got", &check.got),
            ("because", &check.because),
        ];
        for (label, value) in fields {
            if let Some(value) = value {
                self.field(label, value);
            }
        }
        if check.status == Status::Fail {
            self.field("sheet", &format!("“{}”", check.sheet));
        }
        if let Some(hint) = &check.hint {
            self.field("hint", hint);
        }
        if self.look.explain {
            for hint in &check.more_hints {
                self.field("", hint);
            }
        }
        if check.status != Status::NotRun {
            self.field("see", &check.see);
            if let Some(transcript) = check.evidence.get("transcript") {
                self.field("", transcript);
            }
            if let Some(ladder) = check.evidence.get("ladder") {
                self.field("", ladder);
            }
        }
    }

    /// A label and its value; further lines of the value stand below its first.
    fn field(&mut self, label: &str, value: &str) {
        let mut label = self.paint(QUIET, &format!("{label:<9}"));
        for line in value.lines() {
            let line = without_command(&visible(line));
            let _ = writeln!(self.text, "      {label} {line}");
            label = " ".repeat(9);
        }
    }

    fn foot(&mut self, report: &Report) {
        let number_of = |status, counts| {
            report
                .checks
                .iter()
                .filter(|check| check.status == status && check.counts() == counts)
                .count()
        };
        let counting = |status| number_of(status, true);
        let mut parts = vec![
            format!("{} passed", counting(Status::Pass)),
            format!("{} failed", counting(Status::Fail)),
        ];
        for (status, word) in [
            (Status::Inconclusive, "inconclusive"),
            (Status::NotRun, "not run"),
        ] {
            if counting(status) > 0 {
                parts.push(format!("{} {word}", counting(status)));
            }
        }
        let advice = report.advice_to_tell().count();
        let advice = advice + number_of(Status::Fail, false);
        if advice > 0 {
            parts.push(format!("advice on {advice}"));
        }
        let style = match report.outcome() {
            Outcome::Passed => GOOD,
            Outcome::Failed => BAD,
            Outcome::Open => OPEN,
        };
        let _ = writeln!(self.text);
        self.line(
            style,
            &format!(
                "{} of {} points · {}",
                points(report.score),
                points(report.max_score),
                parts.join(", ")
            ),
        );
        let left_out = report
            .checks
            .iter()
            .filter(|check| check.kind == Kind::Required && check.max_points == 0.0)
            // What is worth nothing is decided all the same.
            .filter(|check| !matches!(check.status, Status::Pass | Status::Fail))
            .count();
        if left_out > 0 {
            self.line(
                OPEN,
                &format!(
                    "{} could not be decided here and left out of the points",
                    count(left_out, "required check")
                ),
            );
        }
    }
}

/// What stands for a check's points in its line.
fn points_of(check: &Verdict) -> String {
    match check.status {
        Status::NotRun | Status::Inconclusive
            if check.kind == Kind::Required && check.max_points == 0.0 =>
        {
            "–".to_owned()
        }
        _ if check.counts() => format!("{}/{}", points(check.points), points(check.max_points)),
        _ => String::new(),
    }
}

/// Points without the noise of binary fractions, and never minus nothing.
pub(crate) fn points(points: f64) -> f64 {
    (points * 100.0).round() / 100.0 + 0.0
}

fn word_of(check: &Verdict) -> &'static str {
    match check.status {
        Status::Pass => "✓ pass",
        Status::Fail if check.counts() => "✗ fail",
        Status::Fail => "! advice",
        Status::NotRun => "· not run",
        Status::Inconclusive => "? unsure",
    }
}

fn style_of(check: &Verdict) -> Style {
    match check.status {
        Status::Pass => GOOD,
        Status::Fail if check.counts() => BAD,
        Status::Fail | Status::Inconclusive => OPEN,
        Status::NotRun => QUIET,
    }
}
