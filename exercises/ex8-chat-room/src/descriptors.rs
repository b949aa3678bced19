//! Room for connections: every one is a file descriptor, and a process may have only so many.
//!
//! The usual *soft* limit of 1,024 is there for old programs that use `select`. A process may raise it
//! itself, up to the *hard* limit. Deliberately never lowers it, and goes on when it is not enough: who finds
//! no descriptor waits in the kernel until somebody leaves.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the server needs besides: standard streams, listener, epoll, signals, and a few to spare.
const OWN: u64 = 24;

/// Raises the limit for so many connections as far as that is allowed, and returns how many fit.
///
/// # Errors
/// The system tells no limit, or keeps it.
pub fn make_room(connections: usize) -> io::Result<usize> {
    let needed = connections as u64 + OWN;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let allowed = needed.min(hard);
    if soft < allowed {
        setrlimit(Resource::RLIMIT_NOFILE, allowed, hard)?;
    }
    let fitting = soft.max(allowed).saturating_sub(OWN);
    Ok(usize::try_from(fitting)
        .unwrap_or(usize::MAX)
        .min(connections))
}
