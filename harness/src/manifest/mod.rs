//! `lab.toml`: what a submission says about itself.
//!
//! [`read`] is pure apart from asking whether files exist. Every mistake names file, line and column and what
//! to write instead.

mod addresses;
mod command;
mod guess;
mod read;

pub use command::CommandTemplate;
pub use guess::guess;
pub use read::read;

use crate::lab::Exercise;
use crate::paper::PaperFiles;
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The name of the file.
pub const FILE: &str = "lab.toml";

/// One submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Whose it is.
    pub student: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Run once in the folder, before anything else.
    pub build: Option<CommandTemplate>,
    /// The programs, by exercise.
    pub programs: BTreeMap<Exercise, Programs>,
    /// Exercises answered with files instead of programs (ex5, ex7).
    pub papers: BTreeMap<Exercise, PaperFiles>,
}

impl Submission {
    /// Whether there is what a scenario is about. Experiments are for those who answer the questions of ex7.
    pub fn has(&self, scenario: &Scenario) -> bool {
        if scenario.is_paper() {
            return self.papers.contains_key(&scenario.exercise);
        }
        let asked = !scenario.is_experiment() || self.papers.contains_key(&Exercise::Ex7);
        asked && self.programs.contains_key(&scenario.exercise)
    }

    /// The ports that are known to be this submission's before anything has run: those of the sheet and of the manifest.
    pub fn ports(&self) -> BTreeSet<u16> {
        let usual = Exercise::ALL.into_iter().filter_map(Exercise::endpoint);
        let own = self.programs.values().filter_map(|programs| programs.port);
        usual.map(|(_, port)| port).chain(own).collect()
    }
}

/// The programs of one exercise and what must be known about them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Programs {
    /// Where they are run.
    pub dir: PathBuf,
    /// Run once in that folder.
    pub build: Option<CommandTemplate>,
    /// Starts the server.
    pub server: CommandTemplate,
    /// Starts a client.
    pub client: CommandTemplate,
    /// Where the server listens when its command has no `{port}`.
    pub port: Option<u16>,
    /// An address written into the code, which the network of the scenario must have.
    pub address: Option<Ipv4Addr>,
    /// What a user types to leave.
    pub quit: String,
    /// How a client learns its name.
    pub name: NameStyle,
}

/// How a client learns its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameStyle {
    /// It is the first line typed.
    Typed,
    /// `{name}` in the command.
    Argument,
    /// It is written into the code.
    Fixed(String),
}
