//! The stage: plays one scenario with real programs, in a process of its own.
//!
//! ```text
//! launch ──Job──▶ [stage process: namespace::enter → Play → programs] ──events, a line each──▶ launch
//! ```
//!
//! [`launch`] is the outside, [`main`] the inside. A stage that is killed takes the programs it started with it, and with
//! a process namespace everything those have started as well; without one, [`crate::world::keeper`] is between the two
//! and sees to that.
//! Nothing here decides whether a program is right: it waits until [`crate::judge::expect`] is satisfied, nothing more
//! can happen, or time is up, and reports what happened.

mod curtain;
mod launch;
mod owner;
mod patience;
mod play;
mod program;
mod recorder;
mod relay;
mod rest;
mod sockets;
mod tap;
mod watchdog;

pub use launch::launch;
pub(crate) use program::command;

use crate::event::{Actor, EventKind};
use crate::manifest::Programs;
use crate::scenario::Scenario;
use crate::world::sandbox::{Confinement, Sandbox, layer};
use crate::world::watch::Watch;
use capture::namespace::{self, Seclusion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

/// The hidden argument that makes the program a stage.
pub const STAGE_ARGUMENT: &str = "__stage";

/// What the wire between the programs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wiring {
    /// The loopback interface, on which nothing goes wrong.
    Loopback,
    /// A cable in the harness's hand that leads back to the same computer.
    Looped,
    /// A cable in the harness's hand between two computers.
    TwoComputers,
    /// Sockets of the harness's own between clients that are told where to go and the server.
    Relayed,
}

/// Everything a stage must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// What to play, with its placeholders filled.
    pub scenario: Scenario,
    /// With whom.
    pub programs: Programs,
    /// How clients are called at login.
    pub names: BTreeMap<Actor, String>,
    /// The seed the scenario was filled with.
    pub seed: u64,
    /// Where.
    pub seclusion: Seclusion,
    /// What is around each program.
    pub sandbox: Sandbox,
    /// The port for `{port}`.
    pub port: u16,
    /// Whether the wire is watched.
    pub watch: Watch,
    /// What the wire between the programs is.
    pub wiring: Wiring,
    /// The control group below which it has its own, if any.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// Where its frames are kept, if anywhere: a path that ends in `.pcapng`.
    pub frames: Option<PathBuf>,
}

/// The stage process: reads a [`Job`] from standard input, writes events to standard output.
///
/// Returns the exit status: 0 when the scenario was played, whatever came of it.
pub fn main() -> i32 {
    match set_up() {
        Ok(job) => play::run(job),
        Err(error) => {
            let kind = EventKind::ScenarioEnded {
                fault: Some(format!("the stage could not be set: {error}")),
            };
            let event = crate::event::Event { at_us: 0, kind };
            if let Ok(line) = serde_json::to_string(&event) {
                println!("{line}");
            }
            4
        }
    }
}

fn set_up() -> std::io::Result<Job> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let job: Job = serde_json::from_str(&text)?;
    namespace::enter(job.seclusion)?;
    if job.sandbox.confinement == Confinement::Bubble {
        // Where a layer is not to be had (some file systems), programs write into the submission's own folder, as they do
        // without a sandbox: refusing to play would be worse for a student than a log that stays.
        let _ = layer::lay_over(&job.sandbox.view.folder);
    }
    Ok(job)
}
