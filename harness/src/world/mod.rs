//! The world a scenario is played in: its network and its processes.
//!
//! [`isolation`] tries what this machine allows and names the level, with the namespaces that [`capture::namespace`]
//! makes; [`sandbox`] is what is put around each program, [`cgroup`] around all of a
//! scenario,
//! [`interpreter`] what is started where its name means a shim; [`watch`] tries whether the wire can be watched; [`processes`],
//! [`waits`], [`standstill`] and [`traffic`] read the kernel's tables, [`capture::listeners`] its sockets.

pub mod cable;
mod call;
pub mod cgroup;
pub mod interpreter;
pub mod isolation;
pub mod keeper;
pub mod ports;
pub mod processes;
pub mod sandbox;
pub mod standstill;
#[cfg(test)]
mod testing;
pub mod traffic;
mod trial;
pub mod waits;
pub mod watch;

pub use cable::{Cable, Cables};
pub use cgroup::{Cgroups, Shortage};
pub use interpreter::Interpreters;
pub use isolation::{Isolation, Level};
pub use traffic::Traffic;
pub use watch::Watch;
