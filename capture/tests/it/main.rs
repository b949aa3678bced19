//! The program as a person or a script starts it.

#[path = "../../benches/made/mod.rs"]
mod made;

mod difficult;
#[cfg(feature = "live")]
mod live;
#[cfg(all(feature = "live", target_os = "linux"))]
mod models;
#[cfg(all(feature = "live", target_os = "linux"))]
mod run;
mod support;
#[cfg(all(feature = "live", target_os = "linux"))]
mod surroundings;
mod tshark;
mod views;
