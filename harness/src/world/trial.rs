//! Trying something in a process of its own: this program, with a hidden argument.

use super::Isolation;
use serde::Serialize;
use std::fmt::Display;
use std::process::{Command, Stdio};

/// What is lacking on a shared network.
pub(super) const OWN_NETWORK: &str = "a network of its own for each scenario, which this machine does not allow (see `harness doctor`)";

/// Has a process try `what`, which is its second argument; its refusal in one line, if it was refused.
pub(super) fn ask(argument: &str, what: &impl Serialize) -> Result<(), String> {
    let spec = serde_json::to_string(what).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args([argument, &spec])
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

/// The same for what is only possible on a network of the scenario's own; it is told the seclusion.
pub(super) fn ask_in_own_network(argument: &str, isolation: &Isolation) -> Result<(), String> {
    if isolation.seclusion.network {
        return ask(argument, &isolation.seclusion);
    }
    Err(OWN_NETWORK.to_owned())
}

/// That process's answer: its exit status, 0 when what was tried is granted.
pub(super) fn answer(tried: Result<(), impl Display>) -> i32 {
    match tried {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}
