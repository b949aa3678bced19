//! The closed set of events: the only vocabulary between running programs and everything after it.
//!
//! The stage emits them, the evidence folder keeps them as JSON lines, and the judge, the transcript and the
//! progress display consume them. Whatever is not an event cannot influence a verdict.

use crate::fault::Meddling;
use crate::lab::{Exercise, Transport};
use crate::world::{Shortage, Traffic};
use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

pub use crossing::{Crossing, CrossingKind, Octets};

mod crossing;

/// Who does something in a scenario: `server`, or a client's name in the scenario file.
pub type Actor = String;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Microseconds since [`EventKind::ScenarioStarted`], by the monotonic clock.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The stage is set; no program has been started yet.
    ScenarioStarted {
        /// The scenario's name.
        scenario: String,
        /// Its exercise.
        exercise: Exercise,
        /// The seed of every random choice.
        seed: u64,
        /// The wall clock at `at_us` = 0, with the offset of the local time zone.
        clock: DateTime<FixedOffset>,
        /// What each actor of the scenario is called at login.
        names: BTreeMap<Actor, String>,
    },
    /// The step with this index begins.
    StepStarted {
        /// Index into the scenario's steps.
        step: usize,
    },
    /// The step with this index is over.
    StepEnded {
        /// Index into the scenario's steps.
        step: usize,
        /// How its waiting ended.
        ended: Waiting,
    },
    /// A program was started.
    Started {
        /// Who it plays.
        actor: Actor,
        /// The words of its command.
        command: Vec<String>,
        /// Its process id.
        pid: u32,
    },
    /// A program could not be started at all.
    NotStarted {
        /// Who it should have played.
        actor: Actor,
        /// The words of its command.
        command: Vec<String>,
        /// The system's reason.
        error: String,
    },
    /// A socket of this program waits for peers, as the socket table says.
    Listening {
        /// Whose socket.
        actor: Actor,
        /// UDP (bound) or TCP (state LISTEN, RFC 9293 §3.3.2).
        transport: Transport,
        /// Its local address.
        address: SocketAddr,
        /// Whether it has SO_REUSEADDR, as far as that can be seen (socket(7)).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reuses: Option<bool>,
    },
    /// A person at the actor's keyboard typed this and pressed Enter.
    Typed {
        /// At whose keyboard.
        actor: Actor,
        /// The line, without its end.
        line: String,
    },
    /// The program did not read what was typed, and its terminal could hold no more of it.
    NotTaken {
        /// Whose program.
        actor: Actor,
    },
    /// End of input at the actor's keyboard (Ctrl-D).
    InputEnded {
        /// At whose keyboard.
        actor: Actor,
    },
    /// A signal was sent to the actor's process group.
    Signalled {
        /// To whom.
        actor: Actor,
        /// As in `kill -l`, such as `SIGINT`.
        signal: String,
    },
    /// The actor left the room, and this is what it took.
    Left {
        /// Who left.
        actor: Actor,
        /// What a person would have had to do.
        by: String,
    },
    /// The harness itself sent a datagram to the server.
    DatagramSent {
        /// Where to.
        to: SocketAddr,
        /// Payload length in octets.
        octets: usize,
        /// The payload, escaped and cut for people.
        text: String,
    },
    /// New text on the actor's screen. Octets that are not UTF-8 appear as U+FFFD.
    Output {
        /// Whose screen.
        actor: Actor,
        /// The text as written by the program.
        text: String,
    },
    /// What has crossed the scenario's own network so far, as the kernel counts it.
    Traffic {
        /// The counts.
        counted: Traffic,
    },
    /// From here on the wire is watched: what crosses it becomes events, and frames of the evidence.
    Watched {
        /// The interface.
        interface: String,
    },
    /// The wire is not watched.
    NotWatched {
        /// Why not, as a phrase after "needs capture:".
        why: String,
    },
    /// Something crossed the wire. `at_us` is when the kernel saw it, which can be before the event recorded last.
    Crossed(Crossing),
    /// Something became of what crossed the wire, as the scenario wanted.
    Meddled {
        /// The number of its frame, where frames are kept.
        frame: Option<u64>,
        /// What.
        what: Meddling,
    },
    /// The watch may have missed something: nothing can be concluded from the wire any more.
    WatchFailed {
        /// What happened.
        why: String,
    },
    /// The actor wrote more than it may; nothing more is read and it is killed.
    OutputLimit {
        /// Who.
        actor: Actor,
        /// How much was read, in octets.
        octets: usize,
    },
    /// The actor's processes took more of the machine than they may; they are killed.
    UsageLimit {
        /// Who.
        actor: Actor,
        /// What they took, for people.
        took: String,
    },
    /// All programs together came to the end of what there is for them. It is known only when the scenario is over, and
    /// stands right before its end.
    Shortage(Shortage),
    /// Something was waited for in vain, and this is what the actor's processes were doing.
    Waits {
        /// Whose.
        actor: Actor,
        /// What they were blocked in, for people.
        doing: String,
    },
    /// The actor's processes were busy all the time while nothing happened that they could be busy with.
    NeverAtRest {
        /// Whose.
        actor: Actor,
        /// For how long of that time they had a processor, in milliseconds: on a busy machine that may be little.
        #[serde(default)]
        worked_ms: u64,
    },
    /// The actor's process ended.
    Exited {
        /// Who.
        actor: Actor,
        /// How.
        ending: Ending,
    },
    /// The end; the programs still running at this point are stopped after it.
    ScenarioEnded {
        /// Nothing, or why the scenario could not be played to its end (a fault of the harness or machine).
        fault: Option<String>,
    },
}

/// How a step's waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// What was waited for is there.
    Met,
    /// It can no longer come, because the programs concerned have ended.
    Hopeless,
    /// It had not come when the time was up.
    TimedOut,
    /// It had not come, and no program could do anything more before another did.
    Standstill,
    /// An earlier step of the same check, or what the step rests on, had failed.
    Skipped,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It exited with this status.
    Status(i32),
    /// It was killed by this signal number.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Status(status) => write!(f, "with status {status}"),
            Ending::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "by {signal}"),
                Err(_) => write!(f, "by signal {number}"),
            },
        }
    }
}
