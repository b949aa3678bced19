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
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use tokio::io::unix::AsyncFd;

/// Which side of a fork this is.
#[derive(Debug)]
pub(crate) enum Side {
    /// The one that forked, with the id of the other.
    Parent(nix::unistd::Pid),
    /// The new process.
    Child,
}

/// Forks a process that has a single thread.
///
/// # Errors
/// When the process has several threads, in which case the child could find locks held for ever, or the
/// system refuses.
pub(crate) fn fork_single_threaded() -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other(
            "a process with several threads must not fork",
        ));
    }
    // SAFETY: with one thread, no lock can be held by a thread that does not exist in the child.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Side::Parent(child)),
        nix::unistd::ForkResult::Child => Ok(Side::Child),
    }
}

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

/// Switches the loopback interface of this network namespace on.
///
/// # Errors
/// When the namespace does not belong to this process.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    let mut request = interface("lo")?;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    control(libc::SIOCSIFFLAGS, &request)
}

/// Gives the loopback interface of this network namespace one more address; `index` tells several apart.
///
/// # Errors
/// When the namespace does not belong to this process.
pub(crate) fn add_loopback_address(address: Ipv4Addr, index: usize) -> io::Result<()> {
    let mut request = interface(&format!("lo:{index}"))?;
    // SAFETY: sockaddr_in is a plain structure for which all zeroes are a valid value.
    let mut socket_address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    socket_address.sin_family = libc::AF_INET as libc::sa_family_t;
    socket_address.sin_addr.s_addr = u32::from(address).to_be();
    // SAFETY: both are plain structures of 16 octets; a sockaddr_in is what the kernel reads here.
    request.ifr_ifru.ifru_addr =
        unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(socket_address) };
    control(libc::SIOCSIFADDR, &request)
}

fn interface(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is a plain structure for which all zeroes are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::other("the interface name is too long"));
    }
    for (place, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = octet as libc::c_char;
    }
    Ok(request)
}

fn control(number: libc::c_ulong, request: &libc::ifreq) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: the descriptor is open, and the request is a complete ifreq that outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), number as _, request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
