//! What the tests of this module share.

use std::process::{Child, Command, Stdio};

/// A program that reads a pipe and writes what it has read to another; none where the kernel does not show the system
/// calls of processes, which is said.
pub(super) fn reader() -> Option<Child> {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cat can be started");
    if shows_calls(&child) {
        return Some(child);
    }
    end(&mut child);
    None
}

/// Whether the kernel shows what a process is blocked in; says so where it does not.
pub(super) fn shows_calls(child: &Child) -> bool {
    let shown = std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).is_ok();
    if !shown {
        eprintln!("SKIPPED: the kernel does not show the system calls of processes here");
    }
    shown
}

pub(super) fn end(child: &mut Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it can be reaped");
}
