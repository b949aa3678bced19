//! The report on a run: made once from verdicts, rendered by [`text`] and [`json`].
//!
//! What was recorded, of one submission or of a class, is a [`collection`]; there is a small file for each format that it
//! is rendered in. All of them are functions of what was recorded: the same results give the same octets. What programs
//! printed and students wrote is made harmless for the reader of each.

pub mod classroom50;
pub mod collection;
pub mod csv;
mod fields;
pub mod github;
pub mod gradescope;
pub mod html;
pub mod json;
pub mod junit;
mod notes;
pub mod overview;
mod students;
pub mod tap;
pub mod text;

use crate::judge::{Status, Verdict};
use crate::lab::{Exercise, Kind};
use crate::results::Run;
use crate::rubric;
use crate::world::{Isolation, Level, Watch};
use serde::{Deserialize, Serialize};

/// The format of the report.
pub const SCHEMA: &str = "socket-lab/report/v1";

/// A report: what the JSON form holds, and what every other form is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The format.
    pub schema: String,
    /// Whose programs.
    pub submission: SubmissionName,
    /// The seed of every random choice.
    pub seed: u64,
    /// Points earned.
    pub score: f64,
    /// Points possible among the checks that could be decided.
    pub max_score: f64,
    /// What the machine allowed.
    pub isolation: IsolationNote,
    /// Every check, in the order of the lab.
    pub checks: Vec<Verdict>,
    /// What there is to think about beside the checks, worth no points: what was tried, and what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Verdict>,
    /// What was tried to see what happens, shown beside the answers of ex7: `pass` when the client did not notice, `fail` when
    /// it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<Verdict>,
    /// Remarks on what was seen, worth no points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whose programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubmissionName {
    /// As the manifest says.
    pub student: String,
    /// The folder.
    pub dir: String,
}

/// What the machine allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IsolationNote {
    /// The rung of the ladder.
    pub level: Level,
    /// Whether the wire was watched.
    pub capture: bool,
    /// What was not to be had.
    pub missing: Vec<String>,
    /// What programs shared with the machine.
    pub shared: String,
}

impl IsolationNote {
    /// What isolation and watch say.
    pub fn new(isolation: &Isolation, watch: &Watch) -> Self {
        IsolationNote {
            level: isolation.level,
            capture: watch.granted,
            missing: isolation.missing(),
            shared: isolation.shared().to_owned(),
        }
    }
}

/// What stands behind the name of a check that students are not shown, where everything is.
pub(crate) fn mark(hidden: bool) -> &'static str {
    if hidden { " (hidden)" } else { "" }
}

/// The outcome of a whole check, as an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every required check passed.
    Passed,
    /// At least one required check failed.
    Failed,
    /// Nothing failed, but something is open.
    Open,
}

impl Outcome {
    /// 0, 1 or 3.
    pub fn exit_status(self) -> u8 {
        match self {
            Outcome::Passed => 0,
            Outcome::Failed => 1,
            Outcome::Open => 3,
        }
    }
}

impl Report {
    /// The report on a run.
    pub fn new(run: &Run) -> Self {
        let mut checks = run.verdicts();
        let experiments = checks
            .extract_if(.., |check| check.kind == Kind::Experiment)
            .collect();
        if !run.only.is_empty() {
            checks.retain(|check| run.only.contains(&check.id));
        }
        let advice = checks
            .extract_if(.., |check| check.kind == Kind::Advice)
            .collect();
        let notes = notes::of(run, &checks);
        Report {
            schema: SCHEMA.to_owned(),
            submission: SubmissionName {
                student: run.student.clone(),
                dir: run.dir.display().to_string(),
            },
            seed: run.seed,
            score: rubric::sum(checks.iter().map(|check| check.points)),
            max_score: rubric::sum(checks.iter().map(|check| check.max_points)),
            isolation: IsolationNote::new(&run.isolation, &run.watch),
            checks,
            advice,
            experiments,
            notes,
        }
    }

    /// Advice beside the checks, where there is a reason to give it.
    pub fn advice_to_tell(&self) -> impl Iterator<Item = &Verdict> {
        self.advice
            .iter()
            .filter(|advice| advice.status == Status::Fail)
    }

    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        let required = || {
            self.checks
                .iter()
                .filter(|check| check.kind == Kind::Required)
        };
        // One that was not run and yet counts rests on one that failed.
        let lost = |check: &Verdict| check.status == Status::NotRun && check.max_points > 0.0;
        if required().any(|check| check.status == Status::Fail || lost(check)) {
            Outcome::Failed
        } else if required().any(|check| check.status != Status::Pass) {
            Outcome::Open
        } else {
            Outcome::Passed
        }
    }

    /// The exercises it is about.
    pub fn exercises(&self) -> Vec<Exercise> {
        let mut exercises: Vec<Exercise> = self.checks.iter().map(|check| check.exercise).collect();
        exercises.dedup();
        exercises
    }
}
