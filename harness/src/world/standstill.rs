//! Whether programs can do anything more by themselves: each of their threads is blocked in a system call that only
//! somebody else can end (module `call`).
//!
//! Who waits with a time limit, or has asked for a timer or an alarm, may go on by themselves and is not at a standstill.
//! Neither is anybody of whom the kernel does not tell enough: waiting longer than needed is the harmless mistake.

use super::call::{Call, Doing};
use super::processes::{Processes, numbered};
use crate::sys;
use nix::libc;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::time::TimeValLike as _;
use std::collections::BTreeSet;

/// Programs at a standstill: of each of their threads, how often it has been taken from a processor. As long as two of
/// these are equal, no thread has done anything in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standstill {
    switches: Vec<(u32, u64)>,
}

/// Looks at these processes; none when one of them may go on by itself. Those that have ended do not count.
pub fn look(processes: &Processes, pids: &BTreeSet<u32>) -> Option<Standstill> {
    let mut switches = Vec::new();
    for pid in pids {
        if !processes.has_ended(*pid) {
            look_at(*pid, &mut switches)?;
        }
    }
    Some(Standstill { switches })
}

fn look_at(pid: u32, switches: &mut Vec<(u32, u64)>) -> Option<()> {
    if has_timer(pid)? {
        return None;
    }
    for thread in numbered(&format!("/proc/{pid}/task")) {
        let folder = format!("/proc/{pid}/task/{thread}");
        let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        let caught = u64::from_str_radix(field("SigCgt:")?, 16).ok()?;
        if caught & (1 << (libc::SIGALRM - 1)) != 0 {
            return None;
        }
        let count = |name| field(name)?.parse::<u64>().ok();
        let switched = count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?;
        let waits_for_ever = |descriptor: u64| has_no_time_limit(pid, descriptor);
        match Doing::of(&folder)? {
            Doing::Call(call) if call.only_others_can_end(waits_for_ever) => {}
            _ => return None,
        }
        switches.push((thread, switched));
    }
    Some(())
}

/// Whether a process holds a timer; none when that cannot be known.
fn has_timer(pid: u32) -> Option<bool> {
    // Not every kernel has this file.
    let timers = std::fs::read_to_string(format!("/proc/{pid}/timers")).unwrap_or_default();
    let mut descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let wakes = descriptors.any(|entry| {
        let target = entry.and_then(|entry| std::fs::read_link(entry.path()));
        // A descriptor that is gone by now was not what somebody waits for.
        target.is_ok_and(|target| {
            let target = target.to_string_lossy();
            target.contains("[timerfd]") || target.contains("[io_uring]")
        })
    });
    Some(wakes || !timers.trim().is_empty())
}

/// Whether receiving from a descriptor has no time limit of its own (`SO_RCVTIMEO`). What is no socket has none.
fn has_no_time_limit(pid: u32, descriptor: u64) -> bool {
    let Ok(number) = i32::try_from(descriptor) else {
        return false;
    };
    let Ok(target) = std::fs::read_link(format!("/proc/{pid}/fd/{number}")) else {
        return false;
    };
    let target = target.to_string_lossy();
    if !target.starts_with("socket:") {
        return target.starts_with("pipe:") || target.starts_with("/dev/");
    }
    let limit = sys::copy_of(pid, number)
        .ok()
        .and_then(|copy| getsockopt(&copy, sockopt::ReceiveTimeout).ok());
    limit.is_some_and(|limit| limit.num_microseconds() == 0)
}

impl Call {
    /// Whether it lasts until somebody else does something. `waits_for_ever` is asked about a descriptor.
    fn only_others_can_end(&self, waits_for_ever: impl Fn(u64) -> bool) -> bool {
        let [first, second, third, fourth, fifth, _] = self.arguments;
        match self.number {
            libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_accept
            | libc::SYS_accept4 => waits_for_ever(first),
            libc::SYS_ppoll => third == 0,
            libc::SYS_pselect6 => fifth == 0,
            libc::SYS_epoll_pwait => is_negative(fourth),
            libc::SYS_epoll_pwait2 => fourth == 0,
            libc::SYS_futex => {
                const COMMAND: u64 = 0x7f;
                let waits = [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET]
                    .into_iter()
                    .any(|wait| u64::try_from(wait) == Ok(second & COMMAND));
                waits && fourth == 0
            }
            libc::SYS_wait4 | libc::SYS_waitid | libc::SYS_rt_sigsuspend => true,
            libc::SYS_rt_sigtimedwait => third == 0,
            other => multiplexed(other, &self.arguments),
        }
    }
}

/// A time limit below zero is none: the kernel takes the lower half of the register for an `int`.
fn is_negative(argument: u64) -> bool {
    argument & (1 << 31) != 0
}

/// Calls that only some architectures still have.
#[cfg(target_arch = "x86_64")]
fn multiplexed(number: i64, arguments: &[u64; 6]) -> bool {
    match number {
        libc::SYS_poll => is_negative(arguments[2]),
        libc::SYS_select => arguments[4] == 0,
        libc::SYS_epoll_wait => is_negative(arguments[3]),
        libc::SYS_pause => true,
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn multiplexed(_: i64, _: &[u64; 6]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::testing;
    use std::io::{Read as _, Write as _};
    use std::process::Command;

    fn look_at_all(family: &BTreeSet<u32>) -> Option<Standstill> {
        look(&Processes::read(), family)
    }

    fn ends_by_others_only(number: i64, arguments: &str) -> bool {
        match Doing::parse(&format!("{number} {arguments} 0x7ffd0 0x7f00")) {
            Some(Doing::Call(call)) => call.only_others_can_end(|descriptor| descriptor == 3),
            other => panic!("this is a call: {other:?}"),
        }
    }

    #[test]
    fn a_time_limit_is_no_standstill() {
        for (number, arguments, expected) in [
            (libc::SYS_recvfrom, "0x3 0x1 0x400 0x0 0x0 0x0", true),
            (libc::SYS_recvfrom, "0x4 0x1 0x400 0x0 0x0 0x0", false),
            (libc::SYS_read, "0x3 0x1 0x400 0x0 0x0 0x0", true),
            (libc::SYS_ppoll, "0x1 0x1 0x0 0x0 0x8 0x0", true),
            (libc::SYS_ppoll, "0x1 0x1 0x7ff0 0x0 0x8 0x0", false),
            (libc::SYS_pselect6, "0x5 0x1 0x0 0x0 0x0 0x0", true),
            (libc::SYS_pselect6, "0x5 0x1 0x0 0x0 0x7ff0 0x0", false),
            (
                libc::SYS_epoll_pwait,
                "0x5 0x1 0x40 0xffffffff 0x0 0x8",
                true,
            ),
            (
                libc::SYS_epoll_pwait,
                "0x5 0x1 0x40 0xffffffffffffffff 0x0 0x8",
                true,
            ),
            (libc::SYS_epoll_pwait, "0x5 0x1 0x40 0x64 0x0 0x8", false),
            (libc::SYS_futex, "0x1 0x189 0x0 0x0 0x0 0xffffffff", true),
            (libc::SYS_futex, "0x1 0x189 0x0 0x7ff0 0x0 0x0", false),
            (libc::SYS_futex, "0x1 0x81 0x1 0x0 0x0 0x0", false),
            (
                libc::SYS_clock_nanosleep,
                "0x0 0x0 0x7ff0 0x0 0x0 0x0",
                false,
            ),
            (libc::SYS_connect, "0x3 0x1 0x10 0x0 0x0 0x0", false),
        ] {
            let found = ends_by_others_only(number, arguments);
            assert_eq!(found, expected, "{number} {arguments}");
        }
    }

    /// The kernel announces neither that a process is blocked nor that it is not.
    fn wait_until(what: impl Fn() -> bool) {
        while !what() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_reads_is_at_a_standstill_until_something_is_written() {
        let Some(mut child) = testing::reader() else {
            return;
        };
        let family = BTreeSet::from([child.id()]);
        wait_until(|| look_at_all(&family).is_some());
        let before = look_at_all(&family);
        assert_eq!(before, look_at_all(&family));
        let mut input = child.stdin.take().expect("it has one");
        input.write_all(b"x").expect("it reads");
        let mut output = child.stdout.take().expect("it has one");
        output.read_exact(&mut [0]).expect("it writes");
        wait_until(|| look_at_all(&family).is_some());
        assert_ne!(before, look_at_all(&family));
        testing::end(&mut child);
    }

    #[test]
    fn who_sleeps_goes_on_by_itself() {
        let mut child = Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep can be started");
        let asleep = || {
            let Some(Doing::Call(call)) = Doing::of(&format!("/proc/{}", child.id())) else {
                return false;
            };
            matches!(call.number, libc::SYS_clock_nanosleep | libc::SYS_nanosleep)
        };
        if testing::shows_calls(&child) {
            wait_until(asleep);
            assert_eq!(look_at_all(&BTreeSet::from([child.id()])), None);
        }
        testing::end(&mut child);
    }
}
