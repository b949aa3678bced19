#![expect(
    unsafe_code,
    reason = "these few system calls have no safe wrapper; each use says why it is sound"
)]
//! The system calls without a safe wrapper, each behind a function that is safe to call.
//!
//! This is the only module with unsafe code.

use nix::libc;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use tokio::io::unix::AsyncFd;

/// Makes a command start in a session and process group of its own and die with the thread that starts it;
/// with `terminal`, that terminal becomes the controlling one.
pub(crate) fn in_own_session(command: &mut Command, terminal: Option<OwnedFd>) {
    // SAFETY: between fork and exec only async-signal-safe calls are made (setsid, ioctl, prctl, sigprocmask)
    // and nothing is allocated; the descriptor is owned by the closure and open.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            if let Some(terminal) = &terminal
                && libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) == -1
            {
                return Err(io::Error::last_os_error());
            }
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            nix::sys::signal::SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
}

/// Has the runtime tell when a descriptor can be read or written. It must be non-blocking.
///
/// # Errors
/// When the system cannot watch this kind of descriptor.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, always names the same descriptor, and is owned by the AsyncFd until it is dropped.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}
