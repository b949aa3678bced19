//! What is known at one moment of a scenario: the fold of all events so far.
//!
//! The stage keeps one while the programs run, to know when a wait is over; the judge rebuilds the same one
//! from recorded events. Both ask [`super::expect::evaluate`], so they cannot disagree about what was seen.

use crate::event::{Actor, Crossing, Ending, Event, EventKind, Waiting};
use crate::fault::Meddling;
use crate::lab::Transport;
use crate::scenario::Scenario;
use crate::scenario::model::SERVER;
use crate::text;
use crate::world::{Shortage, Traffic};
use chrono::{DateTime, Duration, FixedOffset};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The state of everything, as far as events tell.
#[derive(Debug)]
pub struct Ledger {
    scenario: Arc<Scenario>,
    clock: DateTime<FixedOffset>,
    now_us: u64,
    actors: BTreeMap<Actor, ActorState>,
    /// The step that is being played.
    step: Option<usize>,
    /// The check that is being played.
    check: Option<usize>,
    /// Every line typed, in order.
    pub typed: Vec<TypedLine>,
    /// Who last did not take what was typed, and during which step.
    not_taken: Option<(Actor, usize)>,
    /// What has crossed the network, where it is the scenario's own.
    traffic: Option<Traffic>,
    /// The same at the beginning of the check.
    traffic_before: Traffic,
    /// What has crossed the wire.
    pub wire: Wire,
    /// During which check something became of what crossed, as the scenario wanted, each time.
    meddled: Vec<Option<usize>>,
    /// When the last thing happened that screens and the wire are looked at afresh after (µs).
    mark_us: u64,
    /// What all programs together have had too little of.
    pub shortages: Vec<Shortage>,
    /// Why the scenario ended early, if it did.
    pub fault: Option<String>,
    /// Whether the scenario has ended.
    pub ended: bool,
}

/// A line somebody typed.
#[derive(Clone, Debug)]
pub struct TypedLine {
    /// At whose keyboard.
    pub actor: Actor,
    /// Without its end.
    pub line: String,
    /// During which step.
    pub step: Option<usize>,
    /// During which check.
    pub check: Option<usize>,
}

/// What is known of one actor.
#[derive(Debug, Default)]
pub struct ActorState {
    /// What it is called at login.
    pub name: String,
    /// Its command, once it was to be started.
    pub command: Vec<String>,
    /// Whether its process was started.
    pub started: bool,
    /// The id of that process.
    pub pid: Option<u32>,
    /// The system's reason why it was not.
    pub start_error: Option<String>,
    /// Sockets on which it waits for peers.
    pub listening: Vec<(Transport, SocketAddr)>,
    /// What it wrote.
    pub screen: Screen,
    /// How it ended.
    pub ending: Option<Ending>,
    /// When it ended (µs).
    pub ended_us: Option<u64>,
    /// How much it had written when it was stopped for writing too much.
    pub output_limit: Option<usize>,
    /// What it took when it was stopped for taking too much of the machine.
    pub usage_limit: Option<String>,
    /// What it was blocked in when something was waited for in vain in the present step.
    pub doing: Option<String>,
}

/// What is known of the wire.
#[derive(Debug, Default)]
pub struct Wire {
    /// Whether it is watched.
    pub watched: bool,
    /// Why it is not.
    pub why_not: Option<String>,
    /// What crossed it, each with the moment (µs).
    pub crossings: Vec<(u64, Crossing)>,
    /// What became of frames, where that was something special.
    pub fates: Fates,
    /// Why nothing can be concluded from it.
    pub failed: Option<String>,
}

impl Wire {
    /// Whether everything that crossed it is known.
    pub fn is_sound(&self) -> bool {
        self.watched && self.failed.is_none()
    }
}

/// What became of frames, by their numbers.
pub type Fates = BTreeMap<u64, Meddling>;

/// Silence within a line after which what follows is another piece (µs).
const PAUSE_US: u64 = 300_000;

/// Everything an actor wrote, with the moments.
#[derive(Debug, Default)]
pub struct Screen {
    raw: String,
    /// Where each piece begins, and when it came (µs).
    pieces: Vec<(usize, u64)>,
    /// Where the text since the last stimulus begins.
    mark: usize,
    /// Where the text since the stimulus before that begins.
    previous_mark: usize,
    /// Where the text since the beginning of the check begins.
    check_mark: usize,
}

impl Screen {
    /// Everything, as written.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether nothing but blanks was written.
    pub fn is_blank(&self) -> bool {
        text::clean(&self.raw).trim().is_empty()
    }

    /// As written since the last stimulus.
    pub fn fresh_raw(&self) -> &str {
        &self.raw[self.mark..]
    }

    /// Text since the last stimulus.
    pub fn fresh(&self) -> String {
        text::clean(&self.raw[self.mark..])
    }

    /// Text between the last two stimuli.
    pub fn previous(&self) -> String {
        text::clean(&self.raw[self.previous_mark..self.mark])
    }

    /// Whether the program clears the screen or goes back to its corner (ECMA-48 ED, CUP; RIS).
    pub fn clears(&self) -> bool {
        ["\x1b[2J", "\x1b[H", "\x1bc"]
            .iter()
            .any(|code| self.raw.contains(code))
    }

    /// Text since the beginning of the check.
    pub fn in_check(&self) -> String {
        text::clean(&self.raw[self.check_mark..])
    }

    /// Pieces of text since the last stimulus (or ever), each with the moment (µs) its end was written. A piece ends
    /// with its line, or where nothing more came for a while: not every program ends its lines.
    pub fn timed_pieces(&self, ever: bool) -> Vec<(String, u64)> {
        let start = if ever { 0 } else { self.mark };
        let mut cuts: Vec<usize> = self.raw[start..]
            .match_indices(['\n', '\r'])
            .map(|(at, _)| start + at + 1)
            .collect();
        let pauses = self
            .pieces
            .windows(2)
            .filter(|two| two[1].1 - two[0].1 >= PAUSE_US)
            .map(|two| two[1].0);
        cuts.extend(pauses.filter(|cut| *cut > start));
        cuts.push(self.raw.len());
        cuts.sort_unstable();
        cuts.dedup();
        let mut begin = start;
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().filter(|cut| *cut > start) {
            pieces.push((text::clean(&self.raw[begin..cut]), self.moment(cut - 1)));
            begin = cut;
        }
        pieces
    }

    /// When the octet at `place` was written.
    fn moment(&self, place: usize) -> u64 {
        let after = self.pieces.partition_point(|(start, _)| *start <= place);
        after.checked_sub(1).map_or(0, |index| self.pieces[index].1)
    }
}

impl Ledger {
    /// Nothing has happened yet.
    pub fn new(scenario: Arc<Scenario>) -> Self {
        Ledger {
            scenario,
            clock: DateTime::default(),
            now_us: 0,
            actors: BTreeMap::new(),
            step: None,
            check: None,
            typed: Vec::new(),
            not_taken: None,
            traffic: None,
            traffic_before: Traffic::default(),
            wire: Wire::default(),
            meddled: Vec::new(),
            mark_us: 0,
            shortages: Vec::new(),
            fault: None,
            ended: false,
        }
    }

    /// Takes one event into account.
    pub fn apply(&mut self, event: &Event) {
        // What crossed the wire is known a little later than it happened.
        self.now_us = self.now_us.max(event.at_us);
        let at = event.at_us;
        match &event.kind {
            EventKind::ScenarioStarted { clock, names, .. } => {
                self.clock = *clock;
                for (actor, name) in names {
                    self.state(actor).name.clone_from(name);
                }
            }
            EventKind::StepStarted { step } => self.begin_step(*step, at),
            EventKind::StepEnded { .. } => self.step = None,
            EventKind::Started {
                actor,
                command,
                pid,
            } => {
                // A part that is played again begins with an empty screen.
                let name = std::mem::take(&mut self.state(actor).name);
                let state = ActorState {
                    name,
                    command: command.clone(),
                    started: true,
                    pid: Some(*pid),
                    ..Default::default()
                };
                self.actors.insert(actor.clone(), state);
            }
            EventKind::NotStarted {
                actor,
                command,
                error,
            } => {
                let state = self.state(actor);
                state.command.clone_from(command);
                state.start_error = Some(error.clone());
            }
            EventKind::Listening {
                actor,
                transport,
                address,
                ..
            } => {
                self.state(actor).listening.push((*transport, *address));
            }
            EventKind::Typed { actor, line } => self.typed.push(TypedLine {
                actor: actor.clone(),
                line: line.clone(),
                step: self.step,
                check: self.check,
            }),
            EventKind::Output { actor, text } => {
                let screen = &mut self.state(actor).screen;
                screen.pieces.push((screen.raw.len(), at));
                screen.raw.push_str(text);
            }
            EventKind::OutputLimit { actor, octets } => {
                self.state(actor).output_limit = Some(*octets)
            }
            EventKind::Exited { actor, ending } => {
                let state = self.state(actor);
                state.ending = Some(*ending);
                state.ended_us = Some(at);
            }
            EventKind::Watched { .. } => self.wire.watched = true,
            EventKind::NotWatched { why } => self.wire.why_not = Some(why.clone()),
            EventKind::Crossed(crossing) => self.wire.crossings.push((at, crossing.clone())),
            EventKind::Meddled { frame, what } => {
                self.meddled.push(self.check);
                if let Some(frame) = frame {
                    self.wire.fates.insert(*frame, *what);
                }
            }
            EventKind::WatchFailed { why } => {
                self.wire.failed.get_or_insert_with(|| why.clone());
            }
            EventKind::UsageLimit { actor, took } => {
                self.state(actor).usage_limit = Some(took.clone());
            }
            EventKind::Shortage(shortage) => self.shortages.push(shortage.clone()),
            EventKind::Waits { actor, doing } => self.state(actor).doing = Some(doing.clone()),
            EventKind::Traffic { counted } => self.traffic = Some(*counted),
            EventKind::ScenarioEnded { fault } => {
                self.fault.clone_from(fault);
                self.ended = true;
            }
            EventKind::NotTaken { actor } => {
                self.not_taken = self.step.map(|step| (actor.clone(), step));
            }
            EventKind::NeverAtRest { .. }
            | EventKind::InputEnded { .. }
            | EventKind::Left { .. }
            | EventKind::Signalled { .. }
            | EventKind::DatagramSent { .. } => {}
        }
    }

    fn begin_step(&mut self, step: usize, at_us: u64) {
        self.step = Some(step);
        let scenario = Arc::clone(&self.scenario);
        let Some(direction) = scenario.steps.get(step) else {
            return;
        };
        if direction.action.is_stimulus() {
            self.mark_us = at_us;
        }
        let new_check = direction.check != self.check;
        self.check = direction.check;
        if new_check {
            self.traffic_before = self.traffic.unwrap_or_default();
        }
        for state in self.actors.values_mut() {
            state.doing = None;
            let screen = &mut state.screen;
            if new_check {
                screen.check_mark = screen.raw.len();
            }
            if direction.action.is_stimulus() {
                screen.previous_mark = screen.mark;
                screen.mark = screen.raw.len();
            }
        }
    }

    fn state(&mut self, actor: &str) -> &mut ActorState {
        self.actors.entry(actor.to_owned()).or_default()
    }

    /// Who is running, and the process each was started as.
    pub fn running(&self) -> Vec<(Actor, u32)> {
        self.pids()
            .filter(|(actor, _)| !self.has_ended(actor))
            .map(|(actor, pid)| (actor.to_owned(), pid))
            .collect()
    }

    /// What is known of an actor, if anything.
    pub fn actor(&self, actor: &str) -> Option<&ActorState> {
        self.actors.get(actor)
    }

    /// Whether an actor's program has ended, or was never started.
    pub fn has_ended(&self, actor: &str) -> bool {
        self.actor(actor).is_none_or(|state| state.ending.is_some())
    }

    /// The processes that were started, with whom they play.
    pub fn pids(&self) -> impl Iterator<Item = (&str, u32)> {
        self.actors
            .iter()
            .filter_map(|(actor, state)| Some((actor.as_str(), state.pid?)))
    }

    /// What has crossed the wire since the last thing that happened.
    pub fn crossed_since_mark(&self) -> impl Iterator<Item = &(u64, Crossing)> {
        let mark = self.mark_us;
        self.wire
            .crossings
            .iter()
            .filter(move |(at, _)| *at >= mark)
    }

    /// Everybody known but the server.
    pub fn clients(&self) -> impl Iterator<Item = &Actor> {
        self.actors.keys().filter(|actor| *actor != SERVER)
    }

    /// What people call an actor: its login name for clients.
    pub fn name_of<'a>(&'a self, actor: &'a str) -> &'a str {
        match self.actors.get(actor) {
            Some(state) if actor != SERVER && !state.name.is_empty() => &state.name,
            _ => actor,
        }
    }

    /// The wall clock at a moment of the scenario.
    pub fn clock_at(&self, at_us: u64) -> DateTime<FixedOffset> {
        self.clock + Duration::microseconds(i64::try_from(at_us).unwrap_or(i64::MAX / 2))
    }

    /// Whether somebody's program did not take what was typed during a step.
    pub fn was_not_taken(&self, step: usize) -> bool {
        self.not_taken.as_ref().is_some_and(|(_, at)| *at == step)
    }

    /// Whether something became of what crossed in this check, as the scenario wanted.
    pub fn was_meddled_with(&self) -> bool {
        self.meddled.contains(&self.check)
    }

    /// What has crossed the network so far; none where it is shared.
    pub fn traffic(&self) -> Option<Traffic> {
        self.traffic
    }

    /// What has crossed the network since the check began; none where the network is shared.
    pub fn traffic_in_check(&self) -> Option<Traffic> {
        Some(self.traffic?.since(self.traffic_before))
    }

    /// The check that is being played.
    pub fn current_check(&self) -> Option<usize> {
        self.check
    }

    /// The step that is being played.
    pub fn current_step(&self) -> Option<usize> {
        self.step
    }

    /// The last event's moment (µs).
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// How many lines were typed during a step.
    pub fn typed_during(&self, step: usize) -> usize {
        self.typed
            .iter()
            .filter(|typed| typed.step == Some(step))
            .count()
    }

    /// The server's best listening socket: of the wanted transport if there is one, at the wanted port if
    /// there are several.
    pub fn server_socket(
        &self,
        transport: Transport,
        port: Option<u16>,
    ) -> Option<(Transport, SocketAddr)> {
        let sockets = &self.actors.get(SERVER)?.listening;
        sockets.iter().copied().min_by_key(|(found, address)| {
            (
                *found != transport,
                Some(address.port()) != port,
                address.port(),
            )
        })
    }
}

/// How a step's waiting ended, as the beginning of a sentence.
pub fn describe_waiting(ended: Waiting, waited_us: u64) -> String {
    let seconds = (waited_us + 500_000) / 1_000_000;
    match ended {
        Waiting::TimedOut => format!("waited {seconds} s: "),
        Waiting::Standstill => {
            format!("waited {seconds} s, until nobody was doing anything any more: ")
        }
        Waiting::Met | Waiting::Hopeless | Waiting::Skipped => String::new(),
    }
}
