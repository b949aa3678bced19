//! What is to be said about one check, for formats that are read by people somewhere else.

use super::text::points;
use crate::judge::{Status, Verdict};
use crate::text::{visible, without_command};

/// What a check came to, for readers of any format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The sentence is satisfied.
    Pass,
    /// It is not, and that costs points; so does what rests on such a check.
    Fail,
    /// It is not, and that is advice.
    Advice,
    /// It was not tried, and does not count.
    NotRun,
    /// It was tried, and what was seen decides nothing.
    Unsure,
}

impl Word {
    pub(super) fn of(check: &Verdict) -> Self {
        match check.status {
            Status::Pass => Word::Pass,
            Status::Fail if check.counts() => Word::Fail,
            Status::Fail => Word::Advice,
            Status::NotRun if check.max_points > 0.0 => Word::Fail,
            Status::NotRun => Word::NotRun,
            Status::Inconclusive => Word::Unsure,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Word::Pass => "pass",
            Word::Fail => "fail",
            Word::Advice => "advice",
            Word::NotRun => "not run",
            Word::Unsure => "unsure",
        }
    }
}

/// Everything known about a check with its label, made harmless line by line.
pub(super) fn fields(check: &Verdict) -> Vec<(&'static str, String)> {
    let sheet = (check.status == Status::Fail).then(|| format!("“{}”", check.sheet));
    let see = (!matches!(check.status, Status::Pass | Status::NotRun)).then(|| check.see.clone());
    let all = [
        ("sent", &check.sent),
        ("expected", &check.expected),
        ("got", &check.got),
        ("because", &check.because),
        ("sheet", &sheet),
        ("hint", &check.hint),
        ("see", &see),
    ];
    let remarks = check
        .remarks
        .iter()
        .map(|remark| ("remark", harmless(remark)));
    all.into_iter()
        .filter_map(|(label, value)| Some((label, harmless(value.as_ref()?))))
        .chain(remarks)
        .collect()
}

/// The fields of a check as text, further lines of a value below its first.
pub(super) fn paragraph(check: &Verdict) -> String {
    let lines = fields(check).into_iter().map(|(label, value)| {
        let value = value.replace('\n', &format!("\n{:10}", ""));
        format!("{label:<9} {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Text from programs with nothing in it that a terminal or a log acts on, but with its lines.
pub(super) fn harmless(text: &str) -> String {
    let lines = text.lines().map(|line| without_command(&visible(line)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Points out of points, in words.
pub(super) fn out_of(score: f64, max_score: f64) -> String {
    format!("{} of {} points", points(score), points(max_score))
}
