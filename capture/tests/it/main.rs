//! The program as a user starts it, on captures that are made for it and on traffic as it happens.

#[path = "../../benches/made/mod.rs"]
mod made;

mod difficult;
#[cfg(feature = "live")]
mod live;
mod support;
mod tshark;
