//! The program as a user starts it, on captures that are made for it.

#[path = "../../benches/made/mod.rs"]
mod made;

mod difficult;
mod support;
mod tshark;
