//! Ends what a process has left behind, also when the harness is killed: for machines without process namespaces, where
//! the kernel does not see to it.
//!
//! ```text
//! harness ──▶ keeper ──▶ stage, or a build ──▶ programs ──▶ daemons that leave their parents
//! ```
//!
//! The keeper is this program once more. Whoever below it loses their parent becomes its child; when what it started has
//! ended, or the harness has, it kills everything it finds below itself, and ends. A process that may send signals to
//! it can stop it first; below Linux 6.12 those at L1 can.

use super::processes::Processes;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};
use std::io;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// The hidden argument that makes the program a keeper; the id of the process that starts it and what it is to start
/// this program with follow.
pub const KEEPER_ARGUMENT: &str = "__keep";

/// How long what was started may take to end when it is asked to: less than whoever asks is ready to wait.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// The same when nobody is left to hear of it.
const DIE_WITHIN: Duration = Duration::from_millis(300);

/// How often the process table is looked at while something is still there: it announces nothing.
const GLANCE: Duration = Duration::from_millis(10);

/// Exit status when nothing could be started.
const FAULT: i32 = 4;

/// What the program does for [`KEEPER_ARGUMENT`]: the exit status is that of what it started.
pub fn main(parent: &str, arguments: &[String]) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let kept = runtime.and_then(|runtime| runtime.block_on(keep(parent, arguments)));
    kept.unwrap_or_else(|error| {
        eprintln!("the keeper cannot keep: {error}");
        FAULT
    })
}

async fn keep(parent: &str, arguments: &[String]) -> io::Result<i32> {
    prctl::set_child_subreaper(true)?;
    let mut terminate = signal(SignalKind::terminate())?;
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    let orphaned = || getppid().to_string() != parent;
    if orphaned() {
        // The harness has ended before the kernel knew that it should tell.
        return Ok(FAULT);
    }
    let mut child = Command::new("/proc/self/exe").args(arguments).spawn()?;
    let status = tokio::select! {
        status = child.wait() => status?.code(),
        _ = terminate.recv() => {
            stop(&mut child, if orphaned() { DIE_WITHIN } else { STOP_WITHIN }).await?;
            None
        }
    };
    end_descendants().await;
    Ok(status.unwrap_or(FAULT))
}

async fn stop(child: &mut Child, within: Duration) -> io::Result<()> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It fails only when it has ended.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    match tokio::time::timeout(within, child.wait()).await {
        Ok(ended) => ended.map(drop),
        Err(_) => child.kill().await,
    }
}

/// Kills whatever descends from this process until nothing does. Orphans must have been left to it
/// (`PR_SET_CHILD_SUBREAPER`), and nobody else may wait for its children any more.
pub async fn end_descendants() {
    let own = std::process::id();
    loop {
        let mut family = Processes::read().family(own);
        family.remove(&own);
        if family.is_empty() {
            break;
        }
        for pid in family.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        tokio::time::sleep(GLANCE).await;
    }
}
