//! One scenario, played more than once: what failed is tried again in a fresh world, so that chance fails nobody.

use super::{Status, Verdict};
use serde::{Deserialize, Serialize};

/// What it means when the same scenario ends differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Flaky {
    /// Nothing: the check is inconclusive, and a person looks at both transcripts.
    #[default]
    Open,
    /// Who passes once can do it.
    Best,
    /// What happened more often counts; nothing does when it is a draw.
    Majority,
    /// Who fails once fails.
    All,
}

/// The verdicts on a scenario from those on each of its runs, in the order of its checks.
pub fn combine(runs: Vec<Vec<Verdict>>, flaky: Flaky) -> Vec<Verdict> {
    let checks = runs.iter().map(Vec::len).max().unwrap_or_default();
    let mut runs: Vec<_> = runs.into_iter().map(Vec::into_iter).collect();
    (0..checks)
        .filter_map(|_| settle(runs.iter_mut().filter_map(Iterator::next).collect(), flaky))
        .collect()
}

/// The verdict on one check from those of all runs.
fn settle(mut verdicts: Vec<Verdict>, flaky: Flaky) -> Option<Verdict> {
    let runs = verdicts.len();
    let of = |status| {
        verdicts
            .iter()
            .filter(|verdict| verdict.status == status)
            .count()
    };
    let (passed, failed) = (of(Status::Pass), of(Status::Fail));
    if verdicts
        .windows(2)
        .all(|pair| pair[0].status == pair[1].status)
    {
        return verdicts.into_iter().next();
    }
    let wanted = match flaky {
        Flaky::Best if passed > 0 => Some(Status::Pass),
        Flaky::All if failed > 0 => Some(Status::Fail),
        Flaky::Majority if passed > runs - passed => Some(Status::Pass),
        Flaky::Majority if failed > runs - failed => Some(Status::Fail),
        _ => None,
    };
    let told = format!("it passed in {passed} of {runs} runs, each in a fresh world");
    let place = |status| verdicts.iter().position(|verdict| verdict.status == status);
    if let Some(at) = wanted.and_then(place) {
        let mut verdict = verdicts.swap_remove(at);
        verdict.remarks.push(told);
        return Some(verdict);
    }
    let other = place(Status::Pass).map(|at| verdicts[at].evidence.clone());
    let not_passed = || {
        verdicts
            .iter()
            .position(|verdict| verdict.status != Status::Pass)
    };
    let open = place(Status::Fail).or_else(not_passed)?;
    let mut verdict = verdicts.swap_remove(open);
    verdict.status = Status::Inconclusive;
    verdict.points = 0.0;
    verdict.max_points = 0.0;
    let because = verdict.because.take().unwrap_or_default();
    verdict.because = Some(format!("{told}; where it did not: {because}"));
    // Both transcripts are to be compared.
    if let Some(transcript) = other.and_then(|mut other| other.remove("transcript")) {
        verdict
            .evidence
            .insert("transcript_passed".to_owned(), transcript);
    }
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::blank_verdict;
    use crate::scenario::Library;

    /// A verdict of the first scenario's first check.
    fn verdict(status: Status) -> Verdict {
        let library = Library::built_in().expect("they can be read");
        let mut verdict = blank_verdict(&library.scenarios[0], 0);
        verdict.status = status;
        verdict.points = if status == Status::Pass {
            verdict.max_points
        } else {
            0.0
        };
        verdict.because = (status != Status::Pass).then(|| "nothing came".to_owned());
        verdict
    }

    #[track_caller]
    fn check(statuses: &[Status], flaky: Flaky, expected: Status) -> Verdict {
        let runs = statuses
            .iter()
            .map(|status| vec![verdict(*status)])
            .collect();
        let verdicts = combine(runs, flaky);
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].status, expected, "{statuses:?} {flaky:?}");
        verdicts.into_iter().next().expect("there is one")
    }

    #[test]
    fn chance_fails_nobody_unless_the_instructor_says_so() {
        use Status::{Fail, Inconclusive, Pass};
        for flaky in [Flaky::Open, Flaky::Best, Flaky::Majority, Flaky::All] {
            check(&[Pass], flaky, Pass);
            check(&[Fail, Fail], flaky, Fail);
        }
        let open = check(&[Fail, Pass, Fail], Flaky::Open, Inconclusive);
        assert_eq!(open.max_points, 0.0);
        assert_eq!(
            open.because.as_deref(),
            Some("it passed in 1 of 3 runs, each in a fresh world; where it did not: nothing came")
        );
        check(&[Fail, Pass, Fail], Flaky::Best, Pass);
        check(&[Fail, Pass, Fail], Flaky::Majority, Fail);
        check(&[Fail, Pass, Pass], Flaky::Majority, Pass);
        check(&[Fail, Pass], Flaky::Majority, Inconclusive);
        check(&[Fail, Pass, Pass], Flaky::All, Fail);
        check(&[Fail, Inconclusive], Flaky::Open, Inconclusive);
        check(&[Fail, Inconclusive], Flaky::Best, Inconclusive);
    }
}
