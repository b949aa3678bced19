//! What a terminal emulator asks of the kernel and no safe function does. The only unsafe code of this crate.
#![expect(
    unsafe_code,
    reason = "there is no safe function for a controlling terminal and its size"
)]

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use nix::{libc, pty::Winsize};

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(set_controlling, libc::TIOCSCTTY);

/// Starts the command as a terminal emulator would: it leads a session, and this is its terminal.
pub(crate) fn in_own_session(command: &mut Command, terminal: OwnedFd) {
    // SAFETY: between fork and exec only async-signal-safe calls are made (setsid, ioctl) and nothing is
    // allocated; the descriptor is owned by the closure and open.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            set_controlling(terminal.as_raw_fd(), 0)?;
            Ok(())
        });
    }
}

/// Gives the terminal another size, and its programs the signal that says so.
pub(crate) fn resize(terminal: &impl AsRawFd, size: Winsize) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the kernel only reads the size.
    unsafe { set_size(terminal.as_raw_fd(), &raw const size) }?;
    Ok(())
}
