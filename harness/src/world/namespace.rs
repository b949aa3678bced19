//! Enters namespaces: the only place where they are made.
//!
//! A process enters with [`enter`] before it has a second thread. What it starts afterwards lives in there.
//! With a process namespace, the first process in it is the stage itself: when it ends, for whatever reason,
//! the kernel kills everything else in there, daemons included.

use crate::sys::{self, Side};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};
use std::io;

/// How far a stage is secluded from the rest of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seclusion {
    /// A network of its own.
    pub network: bool,
    /// Through a user namespace, which needs no privilege; real root does without.
    pub user: bool,
    /// Process ids of its own.
    pub processes: bool,
}

/// Secludes this process. When it returns, this is the process to go on in; another one may be waiting for it.
///
/// # Errors
/// What the system refused, as `step: reason`.
pub fn enter(seclusion: Seclusion) -> io::Result<()> {
    if seclusion.network {
        let mut flags = CloneFlags::CLONE_NEWNET;
        if seclusion.user {
            flags |= CloneFlags::CLONE_NEWUSER;
        }
        if seclusion.processes {
            flags |= CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
        }
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        unshare(flags).map_err(|error| named("unshare", error.into()))?;
        if seclusion.user {
            // The same ids inside as outside: files keep their owner, and programs are not root by surprise.
            std::fs::write("/proc/self/setgroups", "deny")
                .map_err(|error| named("setgroups", error))?;
            std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))
                .map_err(|error| named("uid_map", error))?;
            std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
                .map_err(|error| named("gid_map", error))?;
        }
        sys::bring_loopback_up().map_err(|error| named("loopback up", error))?;
        if seclusion.processes {
            become_first_process()?;
        }
    }
    // Set last: changing credentials clears it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if !seclusion.processes {
        prctl::set_child_subreaper(true)?;
    }
    Ok(())
}

/// Goes on in a child that is process 1 of the namespace and sees only the namespace's processes in /proc.
fn become_first_process() -> io::Result<()> {
    match sys::fork_single_threaded()? {
        Side::Parent(child) => {
            // Killed with its parent, this process takes the child with it by the child's own parent-death signal.
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            let status = match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, status)) => status,
                _ => 4,
            };
            std::process::exit(status)
        }
        Side::Child => {
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
                .map_err(|error| named("private mounts", error.into()))?;
            let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("proc"), "/proc", Some("proc"), safe, none)
                .map_err(|error| named("mount /proc", error.into()))
        }
    }
}

fn named(step: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{step}: {error}"))
}
