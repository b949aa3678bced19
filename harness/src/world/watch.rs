//! Whether the wire of a scenario can be watched here, found by trying.
//!
//! Only on a network of the scenario's own: on a shared one the frames of others would be kept as evidence, and nobody
//! could tell whose a datagram without a socket was. The frames themselves are the stage's concern.

use super::{Isolation, trial};
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
    /// Tries it in a process of its own, where every scenario has a network of its own.
    pub fn probe(isolation: &Isolation) -> Self {
        let tried = trial::ask_in_own_network(PROBE_ARGUMENT, isolation);
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
