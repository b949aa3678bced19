//! The judge: events in, verdicts out. Pure: a recorded run can be judged again without running it.
//!
//! [`ledger`] folds events into what is known, [`expect`] (with `history` for whole conversations) says whether a
//! step is satisfied by it, [`wire`] (with `address`) asks the same of what crossed the wire, [`clock`], [`number`] and [`find`] recognise
//! answers in any common form; `blame` and [`swap`] say in which program to look. Invariants: no clock, no
//! files, no processes; the same events always give the same verdicts.

mod address;
mod blame;
pub mod clock;
mod exchange;
pub mod expect;
pub mod find;
mod history;
pub mod ledger;
pub mod number;
pub mod repeated;
pub mod swap;
pub mod wire;

pub use blame::{Culprit, Side};
pub use ledger::Ledger;
pub use repeated::Flaky;

use crate::event::{CrossingKind, Event, EventKind, Waiting};
use crate::lab::{Exercise, Kind, Transport};
use crate::scenario::model::SERVER;
use crate::scenario::{Action, CheckBlock, Scenario};
use crate::text;
use blame::Blame;
use expect::{Finding, Miss, evaluate};
use ledger::describe_waiting;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The sentence of the sheet is satisfied.
    Pass,
    /// It is not.
    Fail,
    /// It could not be tried: a check it needs did not pass, or the machine lacks something.
    NotRun,
    /// It was tried, and what was seen decides nothing.
    Inconclusive,
}

/// The outcome of one check: a row of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Such as `ex6/arithmetic`.
    pub id: String,
    /// Its exercise.
    pub exercise: Exercise,
    /// What it says.
    pub title: String,
    /// Required or advice.
    pub kind: Kind,
    /// What it came to.
    pub status: Status,
    /// Points earned.
    pub points: f64,
    /// Points possible; 0 for a check whose outcome is left out of the sum.
    pub max_points: f64,
    /// Counted, and not shown to students.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// What was typed or sent last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// What should have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What happened instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// Why it was judged so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// In which program to look, where the wire tells, or plays with the harness's own programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Culprit>,
    /// A question that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Further steps of the hint: the concept, and where to look in one's code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_hints: Vec<String>,
    /// Why this matters beyond the lab, for those who have passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub matters: String,
    /// What there is to tell whatever the outcome, a paragraph each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// The sentence of the sheet it enforces.
    pub sheet: String,
    /// Where in the scenario it was decided.
    pub see: String,
    /// Files with the evidence, relative to the results folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, String>,
    /// How long the check took, in milliseconds.
    pub duration_ms: u64,
}

impl Verdict {
    /// Whether it is more than advice: the sheet asks for it, or a rubric gives points for it.
    pub fn counts(&self) -> bool {
        self.kind == Kind::Required || self.max_points > 0.0
    }
}

impl Verdict {
    /// The sentence of a check is satisfied.
    pub(crate) fn pass(&mut self, check: &CheckBlock) {
        self.status = Status::Pass;
        self.points = check.points;
        self.matters.clone_from(&check.matters);
    }

    /// What helps whoever did not satisfy it.
    pub(crate) fn give_hints(&mut self, check: &CheckBlock) {
        self.hint = check.hints.first().cloned();
        self.more_hints = check.hints.iter().skip(1).cloned().collect();
    }
}

/// Why nothing of a scenario could be played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "obstacle", rename_all = "kebab-case")]
pub enum Obstacle {
    /// The machine or the manifest lacks something: left out of the sum.
    Lacks {
        /// What, as a phrase after "needs".
        what: String,
    },
    /// The submission could not be built.
    Build {
        /// The build's command, ending and last words.
        because: String,
    },
}

/// Where a step failed.
struct Failure {
    step: usize,
    miss: Miss,
    ended: Waiting,
    waited_us: u64,
    sent: Option<String>,
    got: Option<String>,
    unsure: bool,
    /// As the wire was when it failed.
    blame: Option<Blame>,
}

/// What is collected about one check while the events are read.
#[derive(Default)]
struct Docket {
    began_us: Option<u64>,
    ended_us: u64,
    steps_done: usize,
    sent: Option<String>,
    failure: Option<Failure>,
}

/// Judges one scenario. `scenario` must have its placeholders filled as it was when the events were recorded.
pub fn judge(scenario: &Arc<Scenario>, events: &[Event]) -> Vec<Verdict> {
    let Heard {
        dockets,
        setup,
        ledger,
    } = hear(scenario, events);
    let checks = scenario.checks.iter().enumerate().zip(dockets);
    checks
        .map(|((index, _), docket)| verdict(scenario, index, docket, setup.as_ref(), &ledger))
        .collect()
}

/// What a recorded scenario comes to, before anybody is judged.
struct Heard {
    /// A check each.
    dockets: Vec<Docket>,
    /// What failed outside any check.
    setup: Option<Failure>,
    /// As everything was at the end.
    ledger: Ledger,
}

fn hear(scenario: &Arc<Scenario>, events: &[Event]) -> Heard {
    let mut ledger = Ledger::new(Arc::clone(scenario));
    let mut dockets: Vec<Docket> = scenario.checks.iter().map(|_| Docket::default()).collect();
    let mut setup: Option<Failure> = None;
    let mut step_began = 0;
    for event in events {
        match &event.kind {
            EventKind::StepStarted { step } => {
                step_began = event.at_us;
                if let Some(docket) = docket_of(scenario, &mut dockets, *step) {
                    docket.began_us.get_or_insert(event.at_us);
                }
            }
            EventKind::StepEnded { step, ended } => {
                let waited_us = event.at_us.saturating_sub(step_began);
                let failure = failure(scenario, *step, *ended, waited_us, &ledger);
                match docket_of(scenario, &mut dockets, *step) {
                    Some(docket) => {
                        docket.ended_us = event.at_us;
                        docket.steps_done += usize::from(*ended != Waiting::Skipped);
                        if docket.failure.is_none() {
                            docket.failure = failure.map(|failure| Failure {
                                sent: docket.sent.clone().or(failure.sent),
                                ..failure
                            });
                        }
                    }
                    None => setup = setup.or(failure),
                }
            }
            EventKind::Typed { line, .. } => note_sent(scenario, &ledger, &mut dockets, line),
            EventKind::DatagramSent { octets, text, .. } => {
                note_sent(
                    scenario,
                    &ledger,
                    &mut dockets,
                    &format!("a datagram of {octets} octets: {text}"),
                );
            }
            _ => {}
        }
        ledger.apply(event);
    }
    Heard {
        dockets,
        setup,
        ledger,
    }
}

fn docket_of<'d>(
    scenario: &Scenario,
    dockets: &'d mut [Docket],
    step: usize,
) -> Option<&'d mut Docket> {
    dockets.get_mut(scenario.steps.get(step)?.check?)
}

fn note_sent(scenario: &Scenario, ledger: &Ledger, dockets: &mut [Docket], what: &str) {
    if let Some(docket) = ledger
        .current_step()
        .and_then(|step| docket_of(scenario, dockets, step))
    {
        docket.sent = Some(text::shorten(&text::visible(what), 100));
    }
}

fn failure(
    scenario: &Scenario,
    step: usize,
    ended: Waiting,
    waited_us: u64,
    ledger: &Ledger,
) -> Option<Failure> {
    if ended == Waiting::Skipped {
        return None;
    }
    let action = &scenario.steps.get(step)?.action;
    let (miss, unsure) = match evaluate(step, action, ledger) {
        Finding::Met => return None,
        Finding::NotYet(miss) | Finding::Hopeless(miss) => {
            (miss, matches!(action, Action::See(see) if see.unsure))
        }
        Finding::Undecided(miss) => (miss, true),
    };
    let got = ledger.actor(&miss.actor).map(|state| {
        if let Action::Wire(wire) = action {
            return wire::excerpt(wire, ledger);
        }
        if let Action::SeeHistory {
            actors, introduced, ..
        } = action
            && let Some(proof) = history::proof(actors, *introduced, ledger)
        {
            return proof;
        }
        let fresh = match action {
            Action::See(see) if see.ever => state.screen.raw(),
            Action::Start { .. } | Action::Running { .. } => state.screen.raw(),
            // The last words of a program that has ended may be older than the last thing that happened.
            _ if state.ending.is_some() => state.screen.raw(),
            _ => state.screen.fresh_raw(),
        };
        let words = text::last_lines(fresh);
        if words.is_empty() {
            "nothing".to_owned()
        } else {
            words
        }
    });
    Some(Failure {
        step,
        blame: blame::of(scenario, step, ended, &miss.actor, ledger),
        miss,
        ended,
        waited_us,
        sent: sent_over_the_wire(ledger),
        got,
        unsure,
    })
}

fn verdict(
    scenario: &Scenario,
    index: usize,
    docket: Docket,
    setup: Option<&Failure>,
    ledger: &Ledger,
) -> Verdict {
    let check = &scenario.checks[index];
    let mut verdict = blank_verdict(scenario, index);
    verdict.duration_ms = docket
        .began_us
        .map_or(0, |began| docket.ended_us.saturating_sub(began) / 1000);
    let steps = scenario
        .steps
        .iter()
        .filter(|step| step.check == Some(index))
        .count();
    let setup = setup.filter(|_| docket.steps_done < steps);
    let unwatched = check.wire && !ledger.wire.watched;
    if unwatched && setup.is_none() {
        let why = ledger
            .wire
            .why_not
            .as_deref()
            .unwrap_or("the wire was not watched");
        verdict.max_points = 0.0;
        verdict.because = Some(format!("needs capture: {why}"));
        return verdict;
    }
    match (docket.failure.as_ref().or(setup), &ledger.fault) {
        (Some(failure), _) => {
            verdict.status = if failure.unsure {
                Status::Inconclusive
            } else {
                Status::Fail
            };
            let nothing = || Some("nothing".to_owned());
            verdict.sent = failure.sent.clone().or_else(nothing);
            verdict.expected = Some(failure.miss.expected.clone());
            verdict.got = failure.got.clone().or_else(nothing);
            let waiting = describe_waiting(failure.ended, failure.waited_us);
            let wire = failure.blame.as_ref().map(|blame| {
                let (side, because) = (blame.side.word(), &blame.because);
                format!("; on the wire, {because}: look at the {side}")
            });
            verdict.blame = failure.blame.as_ref().map(|blame| blame.side.into());
            verdict.because = Some(format!(
                "{waiting}{}{}",
                failure.miss.because,
                wire.unwrap_or_default()
            ));
            verdict.give_hints(check);
            verdict.see = format!("{}:{}", scenario.file, scenario.steps[failure.step].place);
            if let Some((actor, words)) = expect::crash(ledger) {
                let because = verdict.because.take().unwrap_or_default();
                verdict.because = Some(format!(
                    "{because}; {} printed: {words}",
                    expect::who(&actor, ledger)
                ));
            }
            if failure.unsure {
                verdict.max_points = 0.0;
            }
            let by_the_screens =
                matches!(&scenario.steps[failure.step].action, Action::See(see) if see.unsure);
            if failure.unsure && by_the_screens {
                verdict.because = Some(format!(
                    "{}; the sheet does not say it so plainly that this alone would fail anybody",
                    failure.miss.because
                ));
            }
            if check.kind == Kind::Experiment
                && let Some(why) = shows_nothing(scenario, failure, ledger)
            {
                verdict.status = Status::Inconclusive;
                verdict.because = Some(why.to_owned());
            }
        }
        (None, fault) if docket.steps_done < steps || !ledger.ended => {
            verdict.status = Status::Inconclusive;
            verdict.max_points = 0.0;
            let fault = fault
                .clone()
                .unwrap_or_else(|| "its recording is incomplete".to_owned());
            verdict.because = Some(format!("the scenario was not played to its end: {fault}"));
        }
        (None, _) => {
            verdict.pass(check);
            return verdict;
        }
    }
    for shortage in &ledger.shortages {
        let because = verdict.because.take().unwrap_or_default();
        verdict.because = Some(format!("{because}; {}", shortage.what));
        // What the machine did not have is no fault of the submission.
        if !shortage.own {
            verdict.status = Status::Inconclusive;
            verdict.max_points = 0.0;
        }
    }
    verdict
}

/// What clients sent since the last thing that happened, where nobody typed anything.
fn sent_over_the_wire(ledger: &Ledger) -> Option<String> {
    let crossings = ledger.crossed_since_mark().map(|(_, crossing)| crossing);
    let sent: Vec<&[u8]> = crossings
        .filter(|crossing| crossing.carries() && crossing.to.as_deref() == Some(SERVER))
        .map(|crossing| &crossing.payload.0[..])
        .collect();
    (!sent.is_empty()).then(|| find::shown(&sent))
}

/// Why an experiment in which something was not seen shows nothing about the protocol, if so.
fn shows_nothing(scenario: &Scenario, failure: &Failure, ledger: &Ledger) -> Option<&'static str> {
    let restarts = |step: &crate::scenario::Step| step.action == Action::Restart;
    let restart = scenario.steps.iter().position(restarts)?;
    if failure.step < restart {
        return Some("no request was answered before the server was to be restarted");
    }
    if failure.step == restart {
        return Some("the server did not come back when it was started again");
    }
    let connected = matches!(scenario.exercise.endpoint(), Some((Transport::Tcp, _)));
    if connected {
        return None;
    }
    // A datagram that was lost while there was no server says nothing about what the server remembers.
    let since = || ledger.crossed_since_mark().map(|(_, crossing)| crossing);
    let lost = since().any(|crossing| matches!(crossing.what, CrossingKind::Unreachable { .. }));
    let asked =
        since().any(|crossing| crossing.carries() && crossing.to.as_deref() == Some(SERVER));
    if !ledger.wire.is_sound() || lost || !asked {
        return Some("no request reached the server that was started again");
    }
    None
}

pub(crate) fn blank_verdict(scenario: &Scenario, index: usize) -> Verdict {
    let check = &scenario.checks[index];
    Verdict {
        id: check.id.clone(),
        exercise: scenario.exercise,
        title: check.title.clone(),
        kind: check.kind,
        status: Status::NotRun,
        points: 0.0,
        max_points: check.points,
        hidden: false,
        sent: None,
        expected: None,
        got: None,
        because: None,
        blame: None,
        hint: None,
        more_hints: Vec::new(),
        matters: String::new(),
        remarks: Vec::new(),
        sheet: check.sheet.clone(),
        see: format!("{}:{}", scenario.file, check.place),
        evidence: BTreeMap::new(),
        duration_ms: 0,
    }
}

/// The verdicts on a scenario that could not be played.
pub fn not_played(scenario: &Scenario, obstacle: &Obstacle) -> Vec<Verdict> {
    let verdict = |index| {
        let mut verdict = blank_verdict(scenario, index);
        match obstacle {
            Obstacle::Lacks { what } => {
                verdict.max_points = 0.0;
                verdict.because = Some(format!("needs {what}"));
            }
            Obstacle::Build { because } => {
                verdict.status = Status::Fail;
                verdict.sent = Some("the build command".to_owned());
                verdict.got = Some("a build that failed".to_owned());
                verdict.expected = Some("the build succeeds".to_owned());
                verdict.because = Some(because.clone());
                verdict.hint = Some(
                    "Does the build command of lab.toml work when you run it in that folder?"
                        .to_owned(),
                );
            }
        }
        verdict
    };
    (0..scenario.checks.len()).map(verdict).collect()
}

/// Settles what checks mean to each other. One that needs a check which did not pass counts as not run; so does
/// one that failed, when the failure of another explains it; `worth` says what it then loses. Returns the verdicts in the
/// order of the lab.
pub fn settle_needs(
    scenarios: &[&Scenario],
    mut verdicts: Vec<Verdict>,
    worth: impl Fn(&CheckBlock) -> f64,
) -> Vec<Verdict> {
    let checks: BTreeMap<&str, &CheckBlock> = scenarios
        .iter()
        .flat_map(|scenario| &scenario.checks)
        .map(|check| (check.id.as_str(), check))
        .collect();
    let found: BTreeMap<String, Status> = verdicts
        .iter()
        .map(|verdict| (verdict.id.clone(), verdict.status))
        .collect();
    for verdict in &mut verdicts {
        let open = matches!(verdict.status, Status::Fail | Status::Inconclusive);
        let (reason, (id, status)) = if verdict.status == Status::NotRun {
            continue;
        } else if let Some(unmet) = unmet(&verdict.id, &checks, &found, |check| &check.needs) {
            ("needs", unmet)
        } else if let Some(unmet) =
            unmet(&verdict.id, &checks, &found, |check| &check.explained_by).filter(|_| open)
        {
            ("explained by", unmet)
        } else {
            continue;
        };
        verdict.status = Status::NotRun;
        verdict.points = 0.0;
        let outcome = match status {
            Status::Fail => "failed",
            Status::Inconclusive => "was inconclusive",
            _ => "was not run",
        };
        verdict.because = Some(format!("{reason} {id}, which {outcome}"));
        // What the machine could not try is no fault of the submission.
        let worth = checks
            .get(verdict.id.as_str())
            .map_or(0.0, |check| worth(check));
        verdict.max_points = if status == Status::Fail { worth } else { 0.0 };
        (verdict.sent, verdict.expected, verdict.got, verdict.hint) = (None, None, None, None);
        verdict.blame = None;
        verdict.more_hints.clear();
    }
    verdicts.sort_by_key(|verdict| {
        crate::lab::find_check(&verdict.id).map_or(usize::MAX, |(place, _)| place)
    });
    verdicts
}

/// The check that did not pass among those a check names, near or far: of several one that has no cause among the others,
/// and of those the farthest; of equally far ones one that failed, and then the first in the lab. In which order they are
/// named is all the same.
fn unmet<'a>(
    id: &str,
    checks: &BTreeMap<&str, &'a CheckBlock>,
    found: &BTreeMap<String, Status>,
    named: fn(&CheckBlock) -> &Vec<String>,
) -> Option<(&'a str, Status)> {
    let all = causes(checks.get(id)?, checks, named);
    let missing = all.into_iter().filter_map(|(id, far)| {
        let status = *found.get(id)?;
        (status != Status::Pass).then_some((id, far, status))
    });
    let missing: Vec<_> = missing.collect();
    // What has a cause among them is none itself: it may be a matter of chance how it ended.
    let is_first = |id: &str| {
        let own = checks.get(id).map(|check| causes(check, checks, named));
        let own = own.unwrap_or_default();
        let mut others = missing.iter().filter(|(other, ..)| *other != id);
        !others.any(|(other, ..)| own.contains_key(other))
    };
    let mut first: Vec<_> = missing.iter().filter(|(id, ..)| is_first(id)).collect();
    if first.is_empty() {
        // They name each other in a circle.
        first = missing.iter().collect();
    }
    first
        .into_iter()
        .max_by_key(|(id, far, status)| {
            let place = crate::lab::find_check(id).map_or(usize::MAX, |(place, _)| place);
            (*far, *status == Status::Fail, Reverse(place))
        })
        .map(|(id, _, status)| (*id, *status))
}

/// The checks that one names, near or far, and how far.
fn causes<'a>(
    of: &'a CheckBlock,
    checks: &BTreeMap<&str, &'a CheckBlock>,
    named: fn(&CheckBlock) -> &Vec<String>,
) -> BTreeMap<&'a str, usize> {
    // Files may name checks in a circle, so each is looked at once.
    let mut queue: Vec<(&'a str, usize)> = named(of).iter().map(|id| (id.as_str(), 1)).collect();
    let mut done = 0;
    while let Some((next, far)) = queue.get(done).copied() {
        done += 1;
        if let Some(check) = checks.get(next) {
            let more = named(check).iter().chain(&check.needs).map(String::as_str);
            let new = |id: &&str| queue.iter().all(|(known, _)| known != id);
            let more: Vec<_> = more.filter(new).map(|id| (id, far + 1)).collect();
            queue.extend(more);
        }
    }
    queue.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::scenario::parse;
    use crate::world::Shortage;

    /// Who is named as the cause when `ex8/slow-reader` is explained by others that ended like this.
    #[track_caller]
    fn check(named: &[&str], ended: &[(&str, Status)], expected: &str) {
        let block = |id: &str, named: &[&str]| {
            let named: String = named
                .iter()
                .map(|id| format!(" explained-by \"{id}\"\n"))
                .collect();
            format!(
                " check \"{id}\" \"t\" {{\n sheet \"s\"\n hint \"h\"\n{named} server is-running\n }}\n"
            )
        };
        let text = format!(
            "scenario s exercise=ex8 {{\n start server\n{}{}{}{}}}",
            block("ex8/login", &[]),
            block("ex8/broadcast", &["ex8/login"]),
            block("ex8/burst", &["ex8/login"]),
            block("ex8/slow-reader", named)
        );
        let name = "test.kdl".to_owned();
        let scenario = parse::parse(&Source { name, text })
            .expect("it is right")
            .remove(0);
        let verdicts = (0..scenario.checks.len()).map(|index| {
            let mut verdict = blank_verdict(&scenario, index);
            let ended = ended.iter().find(|(id, _)| *id == verdict.id);
            verdict.status = ended.map_or(Status::Pass, |(_, status)| *status);
            if verdict.id == "ex8/slow-reader" {
                verdict.status = Status::Fail;
            }
            verdict
        });
        let settled = settle_needs(&[&scenario], verdicts.collect(), |check| check.points);
        let last = settled.iter().find(|one| one.id == "ex8/slow-reader");
        let because = last.and_then(|verdict| verdict.because.as_deref());
        assert_eq!(because.unwrap_or_default(), expected, "{named:?} {ended:?}");
    }

    #[test]
    fn the_order_in_which_causes_are_named_makes_no_difference() {
        use Status::{Fail, Inconclusive};
        let (broadcast, burst, login) = ("ex8/broadcast", "ex8/burst", "ex8/login");
        for named in [[broadcast, burst], [burst, broadcast]] {
            let both = [(broadcast, Fail), (burst, Fail)];
            check(&named, &both, "explained by ex8/broadcast, which failed");
            let one_open = [(broadcast, Inconclusive), (burst, Fail)];
            check(&named, &one_open, "explained by ex8/burst, which failed");
            let all = [(login, Fail), (broadcast, Fail), (burst, Fail)];
            check(&named, &all, "explained by ex8/login, which failed");
            check(&named, &[], "");
        }
    }

    /// What becomes of a check that failed, when this was short in its scenario.
    #[track_caller]
    fn check_short(own: bool, status: Status, max_points: f64, because: &str) {
        let text = "scenario s exercise=ex4 {\n check \"ex4/exchange\" \"t\" points=0.5 {\n sheet \"s\"\n hint \"h\"\n \
                    start server\n }\n}";
        let name = "test.kdl".to_owned();
        let text = text.to_owned();
        let scenario = parse::parse(&Source { name, text })
            .expect("it is right")
            .remove(0);
        let what = "there was too little".to_owned();
        let kinds = [
            EventKind::StepStarted { step: 0 },
            EventKind::StepEnded {
                step: 0,
                ended: Waiting::Hopeless,
            },
            EventKind::Shortage(Shortage { what, own }),
            EventKind::ScenarioEnded { fault: None },
        ];
        let events = kinds.map(|kind| Event { at_us: 0, kind });
        let verdict = judge(&Arc::new(scenario), &events).remove(0);
        assert_eq!((verdict.status, verdict.max_points), (status, max_points));
        let said = verdict.because.unwrap_or_default();
        assert!(said.ends_with(because), "{said}");
    }

    #[test]
    fn who_fails_for_want_of_something_is_told_and_does_not_fail_for_the_machine() {
        check_short(true, Status::Fail, 0.5, "; there was too little");
        check_short(false, Status::Inconclusive, 0.0, "; there was too little");
    }
}
