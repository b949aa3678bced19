//! A class: many submissions, graded together and kept together.
//!
//! ```text
//! RESULTS/index.json                whom it is about, how it was graded, what came of each
//! RESULTS/results.csv               the same as a table
//! RESULTS/latest                    a link to the submission graded last
//! RESULTS/NAME/entry.json           what came of one submission: its row of the index
//! RESULTS/NAME/report.json, …       everything that `harness check` keeps of one (see [`crate::results`])
//! ```
//!
//! [`roster`] finds the submissions and names their folders, [`digest`] tells whether one has changed, [`grade`] plays
//! all of them with an ear on the [`canary`], [`store`] keeps what came of it, [`merge`] joins the parts of a class
//! that was graded in several places, [`rejudge`] judges
//! anew what was recorded.
//!
//! Invariants: a folder `RESULTS/NAME` is complete or not there; its name is the harness's own, made from the
//! submission's folder and never from what is written in it; one broken submission stops no other.

pub mod canary;
pub mod digest;
pub mod grade;
pub mod merge;
pub mod rejudge;
pub mod roster;
pub mod store;

use crate::judge::{Status, Verdict};
use crate::lab::Kind;
use crate::report::{Outcome, Report};
use crate::rubric::Rubric;
use crate::text::count;
use roster::Partition;
use serde::{Deserialize, Serialize};

/// The format of `index.json`.
pub const SCHEMA: &str = "socket-lab/class/v1";

/// What must be the same for results to belong together, and every submission's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The format.
    pub schema: String,
    /// The harness that graded.
    pub version: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// Stands for the scenarios that were played: other scenarios, other digest.
    pub scenarios: String,
    /// The instructor's points, where the scenarios' own do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<Rubric>,
    /// Which part of the class this is; none when it is all of it.
    pub partition: Option<Partition>,
    /// The names of the whole class, in order, whichever part this is.
    pub roster: Vec<String>,
    /// The submissions of this part, in order.
    pub submissions: Vec<Entry>,
}

/// The term that differs where points do.
pub const RUBRIC: &str = "rubric";

/// What to do where only the rubric differs.
pub const RESCORE: &str = "`harness report RESULTS --rejudge --rubric FILE --save` counts recorded results by another rubric, \
                           without running anything";

impl Index {
    /// Everything that must be the same, in words, with its value: to say what differs.
    pub fn terms(&self) -> [(&'static str, String); 4] {
        let rubric = self.rubric.as_ref().map(digest::of_rubric);
        [
            ("version of the harness", self.version.clone()),
            ("seed", self.seed.to_string()),
            ("scenarios", self.scenarios.clone()),
            (RUBRIC, rubric.unwrap_or_else(|| "none".to_owned())),
        ]
    }

    /// Whether what came of a submission was counted by another rubric than this class's: kept so, because its evidence
    /// could not be judged again.
    pub fn is_behind(&self, entry: &Entry) -> bool {
        entry.state.is_final() && entry.rubric != self.rubric.as_ref().map(digest::of_rubric)
    }

    /// What the class comes to, as an exit status: the gravest of all.
    pub fn exit_status(&self) -> u8 {
        let state = |state| self.submissions.iter().any(|entry| entry.state == state);
        [
            (State::Fault, 4),
            (State::Refused, 2),
            (State::Failed, 1),
            (State::Open, 3),
            (State::Pending, 3),
        ]
        .into_iter()
        .find(|(grave, _)| state(*grave))
        .map_or(0, |(_, status)| status)
    }
}

/// How far a submission is, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not graded yet.
    Pending,
    /// Every required check passed.
    Passed,
    /// At least one required check failed.
    Failed,
    /// Nothing failed, but something is open, or there was nothing to check.
    Open,
    /// Its `lab.toml` is missing or wrong.
    Refused,
    /// The harness could not go on with it.
    Fault,
}

impl State {
    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Passed => "passed",
            State::Failed => "failed",
            State::Open => "open",
            State::Refused => "refused",
            State::Fault => "fault",
        }
    }

    /// Whether this is the last word on the files as they are. A refusal may be the machine's (a program that is not
    /// installed), a fault is the harness's.
    pub fn is_final(self) -> bool {
        matches!(self, State::Passed | State::Failed | State::Open)
    }
}

/// One submission's row of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name here, which is also its folder's.
    pub name: String,
    /// Whose programs, as the manifest says.
    pub student: String,
    /// The submission's folder, as it was given.
    pub dir: String,
    /// What came of it.
    pub state: State,
    /// Points earned.
    pub score: f64,
    /// Points possible among the checks that could be decided.
    pub max_score: f64,
    /// Digests of its files before and after: builds may write among them.
    #[serde(default)]
    pub digests: Vec<String>,
    /// Why it was refused, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Stands for the rubric its points are by; none where they are the scenarios' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<String>,
    /// Scenarios that were played again alone, because the machine lagged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replayed: Vec<String>,
    /// Every check, in the order of the lab.
    #[serde(default)]
    pub checks: Vec<Mark>,
}

/// What one check came to: a cell of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Its id.
    pub id: String,
    /// Required or advice.
    pub kind: Kind,
    /// What it came to.
    pub status: Status,
    /// Points earned.
    pub points: f64,
    /// Points possible.
    pub max_points: f64,
    /// Counted, and not shown to students.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Entry {
    /// A submission that was not graded yet.
    pub fn pending(name: &str, dir: &str) -> Self {
        Entry {
            name: name.to_owned(),
            student: name.to_owned(),
            dir: dir.to_owned(),
            state: State::Pending,
            score: 0.0,
            max_score: 0.0,
            digests: Vec::new(),
            error: None,
            rubric: None,
            replayed: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// This entry with what a report says.
    pub fn with(mut self, report: &Report) -> Self {
        self.student.clone_from(&report.submission.student);
        let required = |check: &Verdict| check.kind == Kind::Required;
        self.state = match report.outcome() {
            // Nothing handed in that could be checked is nothing passed.
            Outcome::Passed if !report.checks.iter().any(required) => State::Open,
            Outcome::Passed => State::Passed,
            Outcome::Failed => State::Failed,
            Outcome::Open => State::Open,
        };
        self.score = report.score;
        self.max_score = report.max_score;
        self.checks = report
            .checks
            .iter()
            .map(|check| Mark {
                id: check.id.clone(),
                kind: check.kind,
                status: check.status,
                points: check.points,
                max_points: check.max_points,
                hidden: check.hidden,
            })
            .collect();
        self
    }

    /// Checks that count, with a status.
    pub fn counting(&self, status: Status) -> usize {
        self.checks
            .iter()
            .filter(|mark| mark.kind == Kind::Required || mark.max_points > 0.0)
            .filter(|mark| mark.status == status)
            .count()
    }
}

/// How many submissions are in each state that somebody is in, the good ones first.
pub fn tallies(index: &Index) -> impl Iterator<Item = (State, usize)> {
    let states = [
        State::Passed,
        State::Failed,
        State::Open,
        State::Refused,
        State::Fault,
        State::Pending,
    ];
    let rows = &index.submissions;
    let number = |state| rows.iter().filter(|entry| entry.state == state).count();
    let tallies = states.map(|state| (state, number(state)));
    tallies.into_iter().filter(|(_, number)| *number > 0)
}

/// How many submissions there are, and how many in each state.
pub fn summary(index: &Index) -> String {
    let mut parts = vec![count(index.submissions.len(), "submission")];
    let tallies = tallies(index);
    parts.extend(tallies.map(|(state, number)| format!("{number} {}", state.word())));
    parts.join(" · ")
}
