//! Which isolation this machine allows, found by trying each rung in a process of its own.

use capture::namespace::{self, Seclusion};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::process::{Command, Stdio};

/// A rung of the isolation ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// A process group per program; network, files and processes shared with everything else.
    L0,
    /// A network of its own for each scenario; files shared.
    L3n,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::L0 => "L0",
            Level::L3n => "L3n",
        })
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What it would give.
    pub what: String,
    /// The seclusion that was tried.
    pub seclusion: Seclusion,
    /// The system's refusal, if it refused.
    pub error: Option<String>,
}

/// What this machine allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isolation {
    /// The rung reached.
    pub level: Level,
    /// How stages are secluded on it.
    pub seclusion: Seclusion,
    /// Everything that was tried, best first.
    pub trials: Vec<Trial>,
}

impl Isolation {
    /// Tries each rung from the best down, in a process of its own each, until one is granted.
    pub fn probe() -> Self {
        let user = !nix::unistd::geteuid().is_root();
        let rungs = [
            (
                "a network and processes of its own",
                Seclusion {
                    network: true,
                    user,
                    processes: true,
                },
            ),
            (
                "a network and processes of its own, through a user namespace",
                Seclusion {
                    network: true,
                    user: true,
                    processes: true,
                },
            ),
            (
                "a network of its own, processes shared",
                Seclusion {
                    network: true,
                    user,
                    processes: false,
                },
            ),
            (
                "a network of its own through a user namespace, processes shared",
                Seclusion {
                    network: true,
                    user: true,
                    processes: false,
                },
            ),
        ];
        let mut trials = Vec::new();
        let mut tried: Vec<Seclusion> = Vec::new();
        for (what, seclusion) in rungs {
            if tried.contains(&seclusion) {
                continue;
            }
            tried.push(seclusion);
            let error = try_out(seclusion).err();
            let granted = error.is_none();
            trials.push(Trial {
                what: what.to_owned(),
                seclusion,
                error,
            });
            if granted {
                return Isolation {
                    level: Level::L3n,
                    seclusion,
                    trials,
                };
            }
        }
        Isolation {
            level: Level::L0,
            seclusion: Seclusion::default(),
            trials,
        }
    }

    /// What was refused and is not given by another rung either.
    pub fn missing(&self) -> Vec<String> {
        let lacks = |wanted: &Seclusion| {
            (wanted.network && !self.seclusion.network)
                || (wanted.processes && !self.seclusion.processes)
        };
        let refused = self.trials.iter().filter(|trial| lacks(&trial.seclusion));
        refused.map(|trial| trial.what.clone()).collect()
    }

    /// What programs share with the rest of the machine at this level, for people.
    pub fn shared(&self) -> &'static str {
        match (self.level, self.seclusion.processes) {
            (Level::L3n, true) => {
                "each scenario has a network and processes of its own; files are shared, nothing is sandboxed"
            }
            (Level::L3n, false) => {
                "each scenario has a network of its own; files and processes are shared, nothing is sandboxed"
            }
            (Level::L0, _) => {
                "network, files and processes are shared with this machine; scenarios run one at a time"
            }
        }
    }
}

/// The hidden argument that makes the program try one seclusion and exit.
pub const PROBE_ARGUMENT: &str = "__probe";

fn try_out(seclusion: Seclusion) -> Result<(), String> {
    let spec = serde_json::to_string(&seclusion).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args([PROBE_ARGUMENT, &spec])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let line = error.lines().next().unwrap_or("refused without a reason");
    Err(line.to_owned())
}

/// What the program does for [`PROBE_ARGUMENT`]: exit status 0 when the seclusion was granted.
pub fn probe_main(spec: &str) -> i32 {
    let entered = serde_json::from_str(spec)
        .map_err(std::io::Error::other)
        .and_then(namespace::enter)
        // A bound socket shows that the new network is usable, not just there.
        .and_then(|()| std::net::UdpSocket::bind("127.0.0.1:0").map(drop));
    match entered {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
