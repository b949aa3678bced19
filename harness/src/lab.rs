//! The lab as data: its eight tasks, their ports and the ids of their checks.
//!
//! Nothing here decides anything. Scenario files and manifests are validated against these tables, so that a
//! misspelt id is an error with a suggestion and never a check that silently does not exist.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One of the eight tasks of the lab sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exercise {
    /// UDP hello.
    Ex1,
    /// UDP hello on two computers.
    Ex2,
    /// UDP clock.
    Ex3,
    /// TCP hello.
    Ex4,
    /// The handshake and the text on the wire.
    Ex5,
    /// TCP calculator with a session.
    Ex6,
    /// Stateful or stateless?
    Ex7,
    /// Chat room.
    Ex8,
}

impl Exercise {
    /// All eight, in the order of the sheet.
    pub const ALL: [Exercise; 8] = [
        Exercise::Ex1,
        Exercise::Ex2,
        Exercise::Ex3,
        Exercise::Ex4,
        Exercise::Ex5,
        Exercise::Ex6,
        Exercise::Ex7,
        Exercise::Ex8,
    ];

    /// The id used in manifests, scenario files and check ids.
    pub fn id(self) -> &'static str {
        match self {
            Exercise::Ex1 => "ex1",
            Exercise::Ex2 => "ex2",
            Exercise::Ex3 => "ex3",
            Exercise::Ex4 => "ex4",
            Exercise::Ex5 => "ex5",
            Exercise::Ex6 => "ex6",
            Exercise::Ex7 => "ex7",
            Exercise::Ex8 => "ex8",
        }
    }

    /// What the task is called in reports.
    pub fn title(self) -> &'static str {
        match self {
            Exercise::Ex1 => "UDP hello",
            Exercise::Ex2 => "UDP hello on two computers",
            Exercise::Ex3 => "UDP clock",
            Exercise::Ex4 => "TCP hello",
            Exercise::Ex5 => "the handshake on the wire",
            Exercise::Ex6 => "TCP calculator",
            Exercise::Ex7 => "stateful or stateless?",
            Exercise::Ex8 => "chat room",
        }
    }

    /// The transport and port a server of this task listens on when nothing else is said; none for the
    /// tasks without a server.
    pub fn endpoint(self) -> Option<(Transport, u16)> {
        match self {
            Exercise::Ex1 | Exercise::Ex2 | Exercise::Ex3 => Some((Transport::Udp, 20001)),
            Exercise::Ex4 => Some((Transport::Tcp, 20002)),
            Exercise::Ex6 | Exercise::Ex8 => Some((Transport::Tcp, 20001)),
            Exercise::Ex5 | Exercise::Ex7 => None,
        }
    }
}

impl fmt::Display for Exercise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Exercise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Exercise::ALL
            .into_iter()
            .find(|exercise| exercise.id() == text)
            .ok_or_else(|| format!("`{text}` is not an exercise of this lab (ex1 … ex8)"))
    }
}

/// UDP or TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 768.
    Udp,
    /// RFC 9293.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        })
    }
}

impl From<capture::decode::Transport> for Transport {
    fn from(transport: capture::decode::Transport) -> Self {
        match transport {
            capture::decode::Transport::Udp => Transport::Udp,
            capture::decode::Transport::Tcp => Transport::Tcp,
        }
    }
}

/// Whether a check enforces a sentence of the sheet or gives advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The sheet asks for it.
    Required,
    /// Good engineering beyond the sheet: worth no points.
    Robustness,
    /// No check at all: something to think about, told only when there is a reason.
    Advice,
    /// No check either: something that is tried to see what happens, and shown beside an answer.
    Experiment,
}

use Kind::{Required, Robustness};

/// Every check id of the lab with its kind, in report order.
pub const CHECKS: &[(&str, Kind)] = &[
    ("ex1/request-reply", Required),
    ("ex1/server-prints-message", Required),
    ("ex1/client-prints-reply", Required),
    ("ex1/serves-again", Required),
    ("ex1/survives-odd-datagrams", Robustness),
    ("ex2/across-hosts", Required),
    ("ex3/time", Required),
    ("ex3/date", Required),
    ("ex3/client-prints-reply", Required),
    ("ex3/both-requests", Required),
    ("ex3/random-gap", Required),
    ("ex3/server-keeps-serving", Required),
    ("ex3/unknown-request", Required),
    ("ex3/lost-reply", Robustness),
    ("ex4/handshake", Required),
    ("ex4/exchange", Required),
    ("ex4/server-prints-message", Required),
    ("ex4/client-prints-reply", Required),
    ("ex4/orderly-close", Robustness),
    ("ex5/handshake", Required),
    ("ex5/plaintext", Required),
    ("ex5/only-lab-traffic", Required),
    ("ex5/answers", Required),
    ("ex6/name", Required),
    ("ex6/arithmetic", Required),
    ("ex6/decimals-and-negatives", Required),
    ("ex6/computed-by-server", Required),
    ("ex6/server-prints-request", Required),
    ("ex6/warns-on-malformed", Required),
    ("ex6/malformed-not-sent", Required),
    ("ex6/quit-ends-session", Required),
    ("ex6/division-by-zero", Robustness),
    ("ex6/next-session", Robustness),
    ("ex7/a", Required),
    ("ex7/b", Required),
    ("ex7/c", Required),
    ("ex7/d", Required),
    ("ex8/login", Required),
    ("ex8/unique-names", Required),
    ("ex8/join-notice", Required),
    ("ex8/leave-notice", Required),
    ("ex8/broadcast", Required),
    ("ex8/sender-name", Required),
    ("ex8/many-clients", Required),
    ("ex8/burst", Robustness),
    ("ex8/abrupt-leave", Robustness),
    ("ex8/name-freed", Robustness),
    ("ex8/slow-reader", Robustness),
    ("ex8/long-and-unicode-lines", Robustness),
];

/// What advice is given on, beside the checks.
pub const ADVICE: &[&str] = &[
    "ex6/segmentation",
    "ex8/members-only",
    "ex8/segmentation",
    "ex8/silent-login",
];

/// What is tried with the student's own programs to show which of their protocols has a state: the server is killed and
/// started again between two requests.
pub const EXPERIMENTS: &[&str] = &["ex3/restart", "ex6/restart"];

/// Where `id` stands in [`CHECKS`], and its kind.
pub fn find_check(id: &str) -> Option<(usize, Kind)> {
    CHECKS
        .iter()
        .position(|(known, _)| *known == id)
        .map(|place| (place, CHECKS[place].1))
}

/// The candidate nearest to `word` by edit distance, when it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions and replacements between two words (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_recognised_and_a_foreign_one_is_not() {
        let ids = || CHECKS.iter().map(|(id, _)| *id);
        assert_eq!(nearest("ex6/arithmetics", ids()), Some("ex6/arithmetic"));
        assert_eq!(nearest("sever", ["server", "client"]), Some("server"));
        assert_eq!(nearest("elephant", ["server", "client"]), None);
    }

    #[test]
    fn every_check_belongs_to_an_exercise_and_stands_in_order() {
        let exercises: Vec<Exercise> = CHECKS
            .iter()
            .map(|(id, _)| id.split('/').next().expect("ids have a slash"))
            .map(|id| id.parse().expect("ids begin with an exercise"))
            .collect();
        assert!(exercises.is_sorted());
    }
}
