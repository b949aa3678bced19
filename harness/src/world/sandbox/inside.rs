//! The last step before somebody else's program, in its place: a session with its terminal, limits, the guard below
//! L3 and perhaps another user, the filter; then it becomes the program.

use super::filter;
use super::guard::Guard;
use super::limits::Limits;
use super::spare;
use crate::sys;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The hidden argument that makes the program this step.
pub const INSIDE_ARGUMENT: &str = "__inside";

/// The harness itself as a program to start, also where nothing of it can be seen: this step, which is the harness then,
/// becomes the program in its own place.
pub const MYSELF: &str = "/proc/self/exe";

/// The argument that makes the small program say what it was made of.
pub const SOURCES_ARGUMENT: &str = "__sources";

/// A hash of the sources this was made of (`build.rs`).
pub const SOURCES: &str = env!("SOURCES");

/// The small program's name; it lies beside the harness.
const SMALL: &str = "harness-inside";

/// What a shell says for a program that cannot be executed.
const CANNOT_EXECUTE: i32 = 126;

/// What to become, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inside {
    /// Program and arguments.
    pub words: Vec<String>,
    /// What it may use up.
    pub limits: Limits,
    /// Restrictions of the process itself, where nothing is around it.
    pub guard: Option<Guard>,
    /// The user to become.
    pub user: Option<u32>,
}

/// The program that does nothing but this step, where it is beside the harness and of the same sources: to load it takes
/// a third of the time. Without it the harness itself is started.
pub fn small_program() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let program = std::env::current_exe().ok()?.with_file_name(SMALL);
        let said = Command::new(&program)
            .arg(SOURCES_ARGUMENT)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        (said.stdout.trim_ascii() == SOURCES.as_bytes()).then_some(program)
    };
    FOUND.get_or_init(find).clone()
}

/// Becomes the program. Returns only when that is not possible, with the exit status.
pub fn main(spec: &str) -> i32 {
    let error = match become_program(spec) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // On the program's own screen: there is nothing else here.
    let _ = writeln!(
        io::stderr(),
        "the harness cannot start this program: {error}"
    );
    CANNOT_EXECUTE
}

fn become_program(spec: &str) -> io::Result<std::convert::Infallible> {
    let inside: Inside = serde_json::from_str(spec)?;
    let parent = nix::unistd::getppid();
    sys::lead_session()?;
    if let Some(user) = inside.user {
        spare::give_streams(user);
    }
    // Another user, as this process may be afterwards, could not list them.
    sys::close_on_exec()?;
    if let Some(guard) = &inside.guard {
        guard.set()?;
    }
    inside.limits.set()?;
    if let Some(user) = inside.user {
        spare::become_user(user)?;
    }
    if inside.guard.is_some() {
        // Changing users has cleared it, and a keeper does not hand it on.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid() != parent {
            return Err(io::Error::other("the harness has ended meanwhile"));
        }
    }
    filter::set(inside.guard.is_some())?;
    Err(Command::new(&inside.words[0])
        .args(&inside.words[1..])
        .exec())
}
