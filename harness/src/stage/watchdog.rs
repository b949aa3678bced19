//! Looks after the machine while a scenario is played: programs that take too much memory or too many threads are
//! killed, whatever got them past the limits of a single process.

use super::recorder::Recorder;
use crate::event::EventKind;
use crate::world::processes::{Processes, own_memory};
use crate::world::sandbox::Confinement;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How often usage is looked at: the kernel does not tell. So much may be taken beyond the limit as can be taken in
/// that time.
const EVERY: Duration = Duration::from_millis(100);

/// Memory all processes of one program may have for themselves, in octets.
const MEMORY: u64 = 1 << 30;

/// Processes and threads of one program. Real root is not held by the limit that others have.
const THREADS: u64 = 512;

/// Watches as long as it is polled.
pub(super) async fn watch(confinement: Confinement, recorder: Rc<Recorder>) {
    if confinement == Confinement::None {
        return std::future::pending().await;
    }
    let mut stopped = BTreeSet::new();
    loop {
        tokio::time::sleep(EVERY).await;
        let running = recorder.ledger().running();
        let processes = Processes::read();
        // What a program has left behind when it ended is this process's child.
        let left = processes.children(std::process::id());
        for root in left.filter(|root| running.iter().all(|(_, running)| running != root)) {
            let family = processes.family(root);
            if excess(&processes, &family).is_some() {
                end(root, &family);
            }
        }
        for (actor, root) in running {
            let family = processes.family(root);
            let Some(took) = excess(&processes, &family) else {
                continue;
            };
            end(root, &family);
            if stopped.insert(root) {
                recorder.record(EventKind::UsageLimit { actor, took });
            }
        }
    }
}

/// What these processes take too much of.
fn excess(processes: &Processes, family: &BTreeSet<u32>) -> Option<String> {
    let (threads, resident) = processes.usage(family);
    if threads > THREADS {
        return Some(format!("more than {THREADS} processes and threads"));
    }
    // The cheap count includes what is shared; only when it is too much, the exact one decides.
    let memory = if resident > MEMORY {
        own_memory(family)
    } else {
        0
    };
    (memory > MEMORY).then(|| format!("more than {} MiB of memory", MEMORY >> 20))
}

/// Kills what surrounds the program, and with it everything in there; then everything that was seen, where nothing
/// surrounds it.
fn end(root: u32, family: &BTreeSet<u32>) {
    let pid = |pid: u32| i32::try_from(pid).map(Pid::from_raw);
    if let Ok(group) = pid(root) {
        let _ = killpg(group, Signal::SIGKILL);
    }
    for member in family.iter().filter_map(|member| pid(*member).ok()) {
        let _ = kill(member, Signal::SIGKILL);
    }
}
