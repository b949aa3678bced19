//! Whether the wire of a scenario can be watched here, found by trying.
//!
//! A network of the scenario's own is watched whole. On a shared one, such as a container's, whoever has the right to
//! capture (root, mostly) sees everybody's frames: from L1 on only those from and to the ports are looked at on which the
//! server waits, and scenarios are played one after the other. The frames themselves are the stage's concern.

use super::trial::{self, OWN_NETWORK};
use super::{Isolation, Level};
use capture::namespace;
use capture::source::live;
use serde::{Deserialize, Serialize};

/// The interface every program of a scenario is on.
pub const INTERFACE: &str = "lo";

/// The hidden argument that makes the program try to watch in one seclusion and exit.
pub const PROBE_ARGUMENT: &str = "__probe-capture";

/// Whether the wire can be watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Whether it can.
    pub granted: bool,
    /// What is in the way, where it cannot.
    pub why: Option<String>,
}

impl Watch {
    /// Tries it in a process of its own.
    pub fn probe(isolation: &Isolation) -> Self {
        let tried = match isolation.level {
            // Nothing keeps programs from the evidence there, which has to be open while they run.
            Level::L0 => Err(OWN_NETWORK.to_owned()),
            _ if isolation.seclusion.network => trial::ask(PROBE_ARGUMENT, &isolation.seclusion),
            _ => trial::ask(PROBE_ARGUMENT, &isolation.seclusion).map_err(|error| {
                format!("{OWN_NETWORK}, or the right to capture on this one: {error}")
            }),
        };
        Watch {
            granted: tried.is_ok(),
            why: tried.err(),
        }
    }
}

/// What the program does for [`PROBE_ARGUMENT`]: exit status 0 when the wire can be watched.
pub fn probe_main(spec: &str) -> i32 {
    let tried = serde_json::from_str(spec)
        .map_err(|error| error.to_string())
        .and_then(|seclusion| namespace::enter(seclusion).map_err(|error| error.to_string()))
        .and_then(|()| live::try_open(INTERFACE).map_err(|error| error.to_string()))
        .and_then(|()| {
            let mut beacon =
                live::beacon::Beacon::open(INTERFACE, 0).map_err(|error| error.to_string())?;
            beacon.send().map(drop).map_err(|error| error.to_string())
        });
    trial::answer(tried)
}
