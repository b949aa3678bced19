//! Scenarios: stage directions for a server, its clients and the people at their keyboards.
//!
//! [`model`] is what a scenario is, [`parse`] reads one from KDL and says where it is wrong
//! (`direction` one line of it, [`wire`] one about the wire, `fault` one about a bad network, `question` one about what was handed in as a file, `node` its values), `say` writes one as a heading, [`library`]
//! holds those built into the program and loads a folder that overrides them. A scenario is a value: it is
//! parsed, validated and expanded completely before any program is started.

mod direction;
mod fault;
pub mod library;
pub mod model;
mod node;
pub mod parse;
mod question;
mod say;
pub mod wire;

pub use library::Library;
pub use model::{Action, Actors, CheckBlock, Need, Pattern, Place, Scenario, Step};
pub use question::{Held, Question};
