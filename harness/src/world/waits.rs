//! What a program that does nothing is waiting in: the system call its first thread is blocked in (module `call`).

use super::call::Doing;
use nix::libc;
use std::collections::BTreeSet;
use std::path::Path;

/// What the processes of a program wait in, in the words of somebody who wrote it; none where the kernel does not tell.
pub fn of(family: &BTreeSet<u32>) -> Option<String> {
    let mut waits: Vec<String> = family.iter().filter_map(|pid| wait(*pid)).collect();
    waits.sort();
    waits.dedup();
    (!waits.is_empty()).then(|| waits.join(" and "))
}

fn wait(pid: u32) -> Option<String> {
    let call = match Doing::of(&format!("/proc/{pid}"))? {
        Doing::Running => return Some("busy, not waiting".to_owned()),
        Doing::Blocked => return None,
        Doing::Call(call) => call,
    };
    let file = || {
        let path = format!("/proc/{pid}/fd/{}", call.arguments[0]);
        let target = std::fs::read_link(path).unwrap_or_default();
        kind_of(&target)
    };
    let name = match call.number {
        libc::SYS_read | libc::SYS_readv => format!("waiting in read for {}", file()),
        libc::SYS_write | libc::SYS_writev => format!("waiting in write to {}", file()),
        libc::SYS_recvfrom | libc::SYS_recvmsg | libc::SYS_recvmmsg => {
            "waiting in recv for its peer".to_owned()
        }
        libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg => {
            "waiting in send: its peer does not read".to_owned()
        }
        libc::SYS_accept | libc::SYS_accept4 => "waiting in accept for a client".to_owned(),
        libc::SYS_connect => "waiting in connect".to_owned(),
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => "asleep".to_owned(),
        libc::SYS_ppoll | libc::SYS_pselect6 | libc::SYS_epoll_pwait => MULTIPLEXED.to_owned(),
        libc::SYS_futex => "waiting for another of its threads".to_owned(),
        other => return multiplexed(other),
    };
    Some(name)
}

const MULTIPLEXED: &str = "waiting in select or poll for any of its files";

/// Calls that only some architectures still have.
#[cfg(target_arch = "x86_64")]
fn multiplexed(number: i64) -> Option<String> {
    matches!(
        number,
        libc::SYS_poll | libc::SYS_select | libc::SYS_epoll_wait
    )
    .then(|| MULTIPLEXED.to_owned())
}

#[cfg(not(target_arch = "x86_64"))]
fn multiplexed(_: i64) -> Option<String> {
    None
}

fn kind_of(target: &Path) -> &'static str {
    let target = target.to_string_lossy();
    if target.starts_with("socket:") {
        "its peer"
    } else if target.starts_with("/dev/pts/") || target.starts_with("/dev/tty") {
        "the keyboard"
    } else if target.starts_with("pipe:") {
        "a pipe"
    } else {
        "a file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::testing;

    #[test]
    fn a_program_that_reads_a_pipe_says_so_where_the_kernel_tells() {
        let Some(mut child) = testing::reader() else {
            return;
        };
        let family = BTreeSet::from([child.id()]);
        let said = std::iter::repeat_with(|| {
            std::thread::yield_now();
            of(&family)
        })
        // It is busy with starting for a moment.
        .find(|said| said.as_deref() == Some("waiting in read for a pipe"));
        assert!(said.is_some());
        testing::end(&mut child);
    }
}
