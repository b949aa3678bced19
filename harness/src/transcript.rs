//! A scenario's events as stable text for people.
//!
//! Pure. Programs run at the same time, so lines are ordered by what is certain: step by step, and within a
//! step actor by actor (the server first), each actor's own lines in their order. Where programs act by
//! themselves (`concurrent` scenarios) it is actor by actor for the whole scenario, each line once: how often they have
//! done it by the end is chance. Ports, times, dates and
//! process ids differ from run to run: they are shown as `‹port›`, `‹time›`, `‹date›`, `‹pid›` here, after the
//! judge has seen the real ones.

use crate::event::{Actor, Event, EventKind};
use crate::fault::Meddling;
use crate::judge::clock;
use crate::scenario::model::SERVER;
use crate::scenario::{Action, Scenario};
use crate::text;
use crate::understudy;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Characters of a line that are shown; more are counted.
const LONGEST_LINE: usize = 120;
/// Lines of a screen that are shown at a time; more are counted.
const MOST_LINES: usize = 60;

/// Renders a scenario as it was played.
pub fn render(scenario: &Scenario, events: &[Event]) -> String {
    let mut script = Script::new(scenario);
    for event in events {
        script.take(event);
    }
    script.flush();
    script.tell_repeated();
    script.text
}

struct Script<'s> {
    scenario: &'s Scenario,
    cast: Vec<Actor>,
    width: usize,
    today: String,
    text: String,
    /// What each actor has printed since the last flush.
    pending: BTreeMap<Actor, String>,
    /// What became of programs since the last flush, shown after their output.
    endings: BTreeMap<Actor, String>,
    check: Option<usize>,
    /// The last row written, and how often it has come again since.
    last_row: String,
    repeated: usize,
}

impl<'s> Script<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        let cast = scenario.cast();
        let width = cast
            .iter()
            .map(String::len)
            .chain([SERVER.len(), "harness".len()])
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{}: {} ({})",
            scenario.exercise,
            scenario.name,
            scenario.exercise.title()
        );
        Script {
            scenario,
            cast,
            width,
            today: String::new(),
            text,
            pending: BTreeMap::new(),
            endings: BTreeMap::new(),
            check: None,
            last_row: String::new(),
            repeated: 0,
        }
    }

    fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ScenarioStarted { clock, .. } => {
                self.today = clock.format("%Y-%m-%d").to_string()
            }
            EventKind::StepStarted { step } => {
                // Everything is at rest when something new is done or tried, so what was printed belongs before it.
                if !self.scenario.concurrent && self.begins_something(*step) {
                    self.flush();
                    self.enter_check(*step);
                }
            }
            // Of the wire, the ladder tells: segments come as the kernel likes, lines of a transcript do not.
            EventKind::StepEnded { .. }
            | EventKind::Traffic { .. }
            | EventKind::Waits { .. }
            | EventKind::NeverAtRest { .. }
            | EventKind::Watched { .. }
            | EventKind::NotWatched { .. }
            | EventKind::Crossed(_) => {}
            // Of what happens all the time, the ladder tells.
            EventKind::Meddled {
                what: Meddling::Delayed { .. } | Meddling::Split { .. } | Meddling::Joined { .. },
                ..
            } => {}
            EventKind::Meddled { what, .. } => {
                self.row("wire", '*', &format!("what was sent {what}"))
            }
            EventKind::WatchFailed { why } => {
                self.row(
                    "harness",
                    '*',
                    &format!("did not see the whole wire: {why}"),
                );
            }
            EventKind::Output { actor, text } => self
                .pending
                .entry(actor.clone())
                .or_default()
                .push_str(text),
            EventKind::Exited { actor, ending } => {
                self.endings.insert(actor.clone(), format!("ends {ending}"));
            }
            EventKind::Started { actor, command, .. } => {
                if let Some(understudy) = understudy::called(command) {
                    self.row(actor, '$', &format!("({understudy})"));
                    return;
                }
                let command = command
                    .iter()
                    .map(|word| redact(word))
                    .collect::<Vec<_>>()
                    .join(" ");
                self.row(actor, '$', &text::visible(&command));
            }
            EventKind::NotStarted {
                actor,
                command,
                error,
            } => {
                self.row(
                    actor,
                    '*',
                    &format!("cannot start `{}`: {error}", command.join(" ")),
                );
            }
            EventKind::Listening {
                actor,
                transport,
                address,
                ..
            } => {
                let ip = address.ip();
                let line = format!("waits for clients on {transport} {ip}, port ‹port›");
                self.row(actor, '*', &line);
            }
            EventKind::Typed { actor, line } => self.row(
                actor,
                '<',
                &text::shorten(&text::visible(line), LONGEST_LINE),
            ),
            EventKind::NotTaken { actor } => self.row(actor, '*', "does not read what is typed"),
            EventKind::InputEnded { actor } => self.row(actor, '<', "(end of input)"),
            EventKind::Signalled { actor, signal } => {
                self.row(actor, '*', &format!("gets {signal}"))
            }
            EventKind::Left { actor, by } => self.row(actor, '*', &format!("has left by {by}")),
            EventKind::DatagramSent { octets, text, .. } => {
                self.row(
                    "harness",
                    '>',
                    &format!("sends a datagram of {octets} octets: {text}"),
                );
            }
            EventKind::OutputLimit { actor, .. } => {
                self.row(actor, '*', "printed more than it may and is stopped")
            }
            EventKind::UsageLimit { actor, took } => {
                self.row(
                    actor,
                    '*',
                    &format!("took {took}, more than it may, and is stopped"),
                );
            }
            EventKind::Shortage(shortage) => {
                self.flush();
                self.row("harness", '*', &format!("saw that {}", shortage.what));
            }
            EventKind::ScenarioEnded { fault } => {
                self.flush();
                if let Some(fault) = fault {
                    self.tell_repeated();
                    let _ = writeln!(self.text, "\n  not played to its end: {fault}");
                }
            }
        }
    }

    fn begins_something(&self, step: usize) -> bool {
        self.scenario.steps.get(step).is_some_and(|step| {
            let types = matches!(step.action, Action::GiveName { .. } | Action::Try { .. });
            types || step.action.is_stimulus() || step.check != self.check
        })
    }

    fn enter_check(&mut self, step: usize) {
        let check = self.scenario.steps.get(step).and_then(|step| step.check);
        if check != self.check {
            self.check = check;
            self.tell_repeated();
            if let Some(block) = check.and_then(|index| self.scenario.checks.get(index)) {
                let _ = writeln!(self.text, "\n{}: {}", block.id, block.title);
            }
        }
    }

    /// Writes what every actor has printed, then who has ended.
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let endings = std::mem::take(&mut self.endings);
        for actor in self.cast.clone() {
            if let Some(raw) = pending.get(&actor) {
                self.screen(&actor, raw);
            }
            if let Some(ending) = endings.get(&actor) {
                self.row(&actor, '*', ending);
            }
        }
    }

    fn screen(&mut self, actor: &str, raw: &str) {
        let clean = text::clean(raw);
        let mut lines: Vec<String> = clean
            .lines()
            .map(|line| self.redact_all(line.trim_end()))
            .collect();
        if self.scenario.concurrent {
            let mut shown = BTreeSet::new();
            lines.retain(|line| shown.insert(line.clone()));
        }
        for line in lines.iter().take(MOST_LINES) {
            let line = text::shorten(&text::visible(line), LONGEST_LINE);
            self.row(actor, '|', &line);
        }
        if lines.len() > MOST_LINES {
            self.row(
                actor,
                '|',
                &format!("… ({} more lines)", lines.len() - MOST_LINES),
            );
        }
    }

    fn row(&mut self, actor: &str, mark: char, line: &str) {
        let width = self.width;
        let row = format!("  {actor:<width$} {mark} {line}")
            .trim_end()
            .to_owned();
        if row == self.last_row {
            self.repeated += 1;
            return;
        }
        self.tell_repeated();
        let _ = writeln!(self.text, "{row}");
        self.last_row = row;
    }

    /// Says how often the last row came again.
    fn tell_repeated(&mut self) {
        match self.repeated {
            0 => {}
            1 => {
                let _ = writeln!(self.text, "{}", self.last_row);
            }
            times => {
                let width = self.width;
                let _ = writeln!(
                    self.text,
                    "  {:width$}   … (the same {times} more times)",
                    ""
                );
            }
        }
        self.repeated = 0;
        self.last_row.clear();
    }

    /// [`redact`], and a date in any other form: then the whole line, since its parts cannot be told from other
    /// numbers.
    fn redact_all(&self, line: &str) -> String {
        let line = redact(line);
        match format!("{}T12:00:00+00:00", self.today).parse() {
            Ok(today) if clock::shows_today(&line, today) => "‹date›".to_owned(),
            _ => line,
        }
    }
}

/// `line` with ports, times, ISO dates and process ids, which differ from run to run, replaced.
pub fn redact(line: &str) -> String {
    static PORT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?P<host>\b\d{1,3}(?:\.\d{1,3}){3}'?|\]|localhost)(?P<sep>:|, |,| port )\d{1,5}\b",
        )
        .expect("a valid pattern")
    });
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b\d{1,2}:\d{2}:\d{2}(\.\d+)?\b").expect("a valid pattern"));
    static ISO_DATE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b\d{4}-\d{2}-\d{2}\b").expect("a valid pattern"));
    static PID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(pid|process)([ =:#]+)\d+\b").expect("a valid pattern")
    });
    let line = PORT.replace_all(line, "$host$sep‹port›");
    let line = TIME.replace_all(&line, "‹time›");
    let line = PID.replace_all(&line, "$1$2‹pid›");
    ISO_DATE.replace_all(&line, "‹date›").into_owned()
}
