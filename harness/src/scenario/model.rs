//! What a scenario is, once it has been read.
//!
//! Steps are flat and primitive: group directions of the file ("everyone takes turns") were expanded while
//! reading, so the stage and the judge see one thing at a time, each with its place in the file.

use super::question::Question;
use super::wire::Wire;
use crate::event::Actor;
use crate::fault::Fault;
use crate::lab::{Exercise, Kind, Transport};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name, unique among all.
    pub name: String,
    /// The exercise whose programs it runs.
    pub exercise: Exercise,
    /// The file it was read from, as shown to people.
    pub file: String,
    /// What the machine must offer.
    pub needs: Vec<Need>,
    /// The programs act by themselves, so only each one's own order is certain.
    pub concurrent: bool,
    /// Every step in order.
    pub steps: Vec<Step>,
    /// The checks, in order; each owns a run of steps.
    pub checks: Vec<CheckBlock>,
}

/// Something the machine must offer for a scenario to mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A network of its own, whose addresses and buffers the scenario may set.
    Netns,
    /// A wire that can be watched.
    Capture,
    /// Two computers with a cable between them.
    TwoHosts,
    /// A wire on which things go wrong.
    Faults,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Netns => f.write_str("netns"),
            Need::Capture => f.write_str("capture"),
            Need::TwoHosts => f.write_str("two-hosts"),
            Need::Faults => f.write_str("faults"),
        }
    }
}

/// A check: steps that together prove one sentence of the sheet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckBlock {
    /// Its id, such as `ex6/arithmetic`.
    pub id: String,
    /// What it says in a report.
    pub title: String,
    /// Required or advice.
    pub kind: Kind,
    /// Its worth.
    pub points: f64,
    /// The sentence of the sheet it enforces.
    pub sheet: String,
    /// Hints in steps: a question to ask oneself, the concept, where to look in one's code.
    pub hints: Vec<String>,
    /// Why this matters beyond the lab.
    #[serde(default)]
    pub matters: String,
    /// What is asked of a paper, in an exercise without programs.
    #[serde(default)]
    pub question: Option<Question>,
    /// Only the wire can decide it: without a capture it is not run.
    #[serde(default)]
    pub wire: bool,
    /// Checks that must have passed for this one to mean anything, pass or fail.
    pub needs: Vec<String>,
    /// Checks whose failure explains a failure here, which then says nothing new. A pass stands.
    pub explained_by: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// A line and column (from 1) of a scenario file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One direction of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Where it stands.
    pub place: Place,
    /// Index of the check it belongs to, if any.
    pub check: Option<usize>,
    /// What to do or to expect.
    pub action: Action,
}

/// Whose screens an expectation is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actors {
    /// Each of these.
    All(Vec<Actor>),
    /// At least one of these.
    Any(Vec<Actor>),
}

impl Actors {
    /// The actors concerned.
    pub fn list(&self) -> &[Actor] {
        match self {
            Actors::All(list) | Actors::Any(list) => list,
        }
    }
}

/// What to do or to expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Starts the server, and waits until the socket table shows it; or a client, and waits until it is idle.
    Start {
        /// `server` or a client.
        actor: Actor,
        /// The client whose login name it uses, when that is not its own.
        namesake: Option<Actor>,
    },
    /// The person at the keyboard says who they are, if that is typed. A part of starting: what was on screens
    /// stays fresh.
    GiveName {
        /// A client.
        actor: Actor,
    },
    /// Types lines, all at once.
    Type {
        /// A client.
        actor: Actor,
        /// Without their ends.
        lines: Vec<String>,
    },
    /// Types a line if the program is still there to read it; what was on screens stays fresh.
    Try {
        /// A client.
        actor: Actor,
        /// Without its end.
        line: String,
    },
    /// Types the word for leaving.
    Quit {
        /// A client.
        actor: Actor,
    },
    /// Leaves in any way a person could: the word, end of input, Ctrl-C, closing the terminal.
    Leave {
        /// A client.
        actor: Actor,
    },
    /// The process is killed without a chance to say anything (SIGKILL).
    Kill {
        /// Any actor.
        actor: Actor,
    },
    /// The process is stopped (SIGSTOP), so it no longer reads.
    Pause {
        /// Any actor.
        actor: Actor,
    },
    /// The process goes on (SIGCONT).
    Resume {
        /// Any actor.
        actor: Actor,
    },
    /// The server's process is killed, and the same command started again on the same computer.
    Restart,
    /// From now on something goes wrong on the wire.
    Fault(Fault),
    /// Something that was to go wrong on the wire in this check has.
    FaultHappens {
        /// For how long to wait.
        within: Duration,
    },
    /// The harness sends the server a datagram of its own.
    SendDatagram {
        /// The octets.
        payload: Vec<u8>,
    },
    /// Gives the network of the scenario another address, as a second computer would have.
    AddAddress {
        /// The address the programs are told to use.
        address: Ipv4Addr,
    },
    /// Makes the kernel's socket buffers small, so that a reader who stops is felt soon.
    SmallBuffers {
        /// The largest buffer in octets.
        octets: u32,
    },
    /// Something must appear on screens.
    See(See),
    /// Something must not appear: judged when everything has been quiet for a while.
    NotSee {
        /// Whose screens.
        actors: Vec<Actor>,
        /// What.
        pattern: Pattern,
    },
    /// The process must end by itself.
    Exit {
        /// Who.
        actor: Actor,
        /// For how long to wait.
        within: Duration,
    },
    /// The process must not have ended.
    Running {
        /// Who.
        actor: Actor,
    },
    /// The server's socket must be of this transport.
    Listens {
        /// The one the sheet asks for.
        transport: Transport,
        /// Whether it must be reachable from another computer.
        everywhere: bool,
    },
    /// So much must have crossed the network in this check, as the kernel counts it. Where the network is shared
    /// nothing can be said, and nothing is.
    Carry {
        /// UDP datagrams received by programs.
        datagrams: u64,
        /// TCP connections opened.
        connections: u64,
        /// TCP segments with data.
        segments: u64,
    },
    /// If both texts are on a screen, what stands before them on their lines must differ: two senders.
    TellApart {
        /// Whose screen.
        actor: Actor,
        /// The two texts.
        texts: [String; 2],
    },
    /// Something must have crossed the wire, or must not.
    Wire(Wire),
    /// Each line typed in this check must be on every other screen exactly once, each sender's in order.
    SeeHistory {
        /// Whose screens.
        actors: Vec<Actor>,
        /// Each line must have its sender's name before it, so that lines glued together are noticed.
        introduced: bool,
        /// For how long to wait for stragglers.
        within: Duration,
    },
}

/// Something must appear on screens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct See {
    /// Whose.
    pub actors: Actors,
    /// What.
    pub pattern: Pattern,
    /// For how long to wait.
    pub within: Duration,
    /// Looks at the screen from the beginning instead of from the last action.
    pub ever: bool,
    /// A miss does not show that the sheet is broken: the verdict is then inconclusive.
    pub unsure: bool,
}

/// What is looked for in new text on a screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// All of these texts, in any order; letter case and runs of blanks do not count.
    Texts(Vec<String>),
    /// All of these words on one line, in any order; letter case does not count.
    OneLine(Vec<String>),
    /// This number, however written.
    Number(f64),
    /// The present time as HH:MM:SS, so many different ones.
    Time {
        /// How many.
        count: usize,
    },
    /// Today's date in any common form.
    Date,
    /// A time or a date, present or not, so many.
    Answer {
        /// How many.
        count: usize,
    },
    /// Any text.
    Something {
        /// Text that was also shown after the action before (a prompt, say) does not count.
        new: bool,
    },
}

impl Action {
    /// Whether somebody does something, in whatever way.
    pub fn does_something(&self) -> bool {
        let quietly = matches!(
            self,
            Action::Try { .. } | Action::GiveName { .. } | Action::Fault(_)
        );
        self.is_stimulus() || quietly
    }

    /// Whether this is something that happens, after which screens are looked at afresh, rather than
    /// something that is expected.
    pub fn is_stimulus(&self) -> bool {
        !matches!(
            self,
            Action::See(_)
                | Action::NotSee { .. }
                | Action::Exit { .. }
                | Action::Running { .. }
                | Action::Listens { .. }
                | Action::SeeHistory { .. }
                | Action::TellApart { .. }
                | Action::Carry { .. }
                | Action::Wire(_)
                | Action::Try { .. }
                | Action::GiveName { .. }
                | Action::Fault(_)
                | Action::FaultHappens { .. }
        )
    }
}

impl Scenario {
    /// Everybody on stage in order of appearance; the server first.
    pub fn cast(&self) -> Vec<Actor> {
        let mut cast: Vec<Actor> = Vec::new();
        for step in &self.steps {
            if let Action::Start { actor, .. } = &step.action
                && !cast.contains(actor)
            {
                cast.push(actor.clone());
            }
        }
        cast.sort_by_key(|actor| actor != SERVER);
        cast
    }
}

/// The actor that is the server.
pub const SERVER: &str = "server";

/// For people: what is expected on a screen.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Texts(texts) => write_list(f, texts, " and "),
            Pattern::OneLine(words) => write!(f, "a line with the words \"{}\"", words.join(" ")),
            Pattern::Number(number) => write!(f, "the number {number}"),
            Pattern::Time { count: 1 } => write!(f, "the present time as HH:MM:SS"),
            Pattern::Time { count } => {
                write!(f, "the present time as HH:MM:SS, {count} different ones")
            }
            Pattern::Date => write!(f, "today's date"),
            Pattern::Answer { count: 1 } => write!(f, "a date or a time"),
            Pattern::Answer { count } => write!(f, "dates or times, {count} of them"),
            Pattern::Something { new: false } => write!(f, "some text"),
            Pattern::Something { new: true } => {
                write!(f, "a message that is not shown after good input")
            }
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, texts: &[String], between: &str) -> fmt::Result {
    for (i, text) in texts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        write!(f, "\"{}\"", crate::text::shorten(text, 60))?;
    }
    Ok(())
}

impl Scenario {
    /// Whether it is about files that were handed in: nobody is on stage.
    pub fn is_paper(&self) -> bool {
        self.exercise.endpoint().is_none()
    }

    /// Whether it only tries something, to be shown beside the answer to a question.
    pub fn is_experiment(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.kind == Kind::Experiment)
    }

    /// Whether it means nothing without a wire in the harness's hand.
    pub fn needs_cables(&self) -> bool {
        self.needs.contains(&Need::TwoHosts) || self.needs.contains(&Need::Faults)
    }

    /// Whose login name each client uses: its own, or its namesake's.
    pub fn namesakes(&self) -> std::collections::BTreeMap<Actor, Actor> {
        self.steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::Start { actor, namesake } if actor != SERVER => Some((
                    actor.clone(),
                    namesake.clone().unwrap_or_else(|| actor.clone()),
                )),
                _ => None,
            })
            .collect()
    }
}

/// Words for `{word}`: short, unmistakable, in no common greeting or prompt.
const WORDS: [&str; 16] = [
    "kestrel", "walnut", "cobalt", "meadow", "pumice", "lantern", "juniper", "saffron", "gravel",
    "thimble", "marble", "tundra", "velvet", "quarry", "bramble", "copper",
];

impl Scenario {
    /// The scenario with its placeholders filled: `{ada}` by a login name, `{word}` by a word of the seed. Where a fault
    /// may strike one of several datagrams, the seed chooses.
    pub fn fill(&self, names: &std::collections::BTreeMap<Actor, String>, seed: u64) -> Scenario {
        use rand::{RngExt as _, SeedableRng as _};
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let word = WORDS[random.random_range(0..WORDS.len())];
        let fill = |text: &mut String| {
            *text = text.replace("{word}", word);
            for (actor, name) in names {
                *text = text.replace(&format!("{{{actor}}}"), name);
            }
        };
        let mut filled = self.clone();
        for step in &mut filled.steps {
            match &mut step.action {
                Action::Type { lines, .. } => lines.iter_mut().for_each(fill),
                Action::Try { line, .. } => fill(line),
                Action::Fault(fault) => {
                    if let Some(nth) = fault.nth_mut() {
                        nth.least = random.random_range(nth.least..=nth.most);
                        nth.most = nth.least;
                    }
                }
                Action::TellApart { texts, .. } => texts.iter_mut().for_each(fill),
                Action::Wire(wire) => wire.texts_mut().into_iter().for_each(fill),
                Action::See(See { pattern, .. }) | Action::NotSee { pattern, .. } => {
                    match pattern {
                        Pattern::Texts(texts) | Pattern::OneLine(texts) => {
                            texts.iter_mut().for_each(fill)
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        filled
    }
}

impl Scenario {
    /// A rough measure of how long it takes to play, to play the longest first.
    pub fn expected_length(&self) -> u64 {
        self.steps
            .iter()
            .map(|step| match &step.action {
                Action::See(see) if see.ever => see.within.as_secs(),
                Action::Wire(wire) => wire.within.as_secs() / 2,
                action => u64::from(action.is_stimulus()),
            })
            .sum()
    }

    /// No scenario takes this long unless the harness itself hangs.
    pub fn at_most(&self) -> Duration {
        /// Starting, typing and leaving have deadlines of their own, all shorter than this.
        const A_STEP: Duration = Duration::from_secs(20);
        let step = |step: &Step| match &step.action {
            Action::See(See { within, .. })
            | Action::SeeHistory { within, .. }
            | Action::Wire(Wire { within, .. })
            | Action::FaultHappens { within }
            | Action::Exit { within, .. } => *within + A_STEP,
            _ => A_STEP,
        };
        self.steps.iter().map(step).sum::<Duration>() + A_STEP
    }
}
