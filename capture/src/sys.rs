#![expect(
    unsafe_code,
    reason = "these few system calls have no safe wrapper; each use says why it is sound"
)]
//! The system calls without a safe wrapper, each behind a function that is safe to call.
//!
//! This is the only module with unsafe code.

use nix::libc;
#[cfg(feature = "live")]
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
#[cfg(feature = "live")]
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
#[cfg(feature = "live")]
use std::process::{Command, ExitStatus};

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

/// Wants to know when a child has ended. Whoever started this process may have had that ignored, and then the kernel
/// neither tells nor keeps how it ended.
///
/// # Errors
/// Never, as this signal can be handled.
#[cfg(feature = "live")]
pub(crate) fn heed_children() -> io::Result<()> {
    // SAFETY: the default disposition runs no code in this process.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    Ok(())
}

/// Takes note of a child that has ended; `None` when there are children, but none has.
///
/// Knows signals without a name too, unlike its safe wrapper.
///
/// # Errors
/// `ECHILD` when there are no children.
#[cfg(feature = "live")]
pub(crate) fn reap() -> io::Result<Option<(nix::unistd::Pid, ExitStatus)>> {
    let mut status = 0;
    // SAFETY: the status is written to a place that outlives the call.
    match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some((
            nix::unistd::Pid::from_raw(pid),
            ExitStatus::from_raw(status),
        ))),
    }
}

/// Makes a command start with these signals held back, whatever the process that starts it holds back.
#[cfg(feature = "live")]
pub(crate) fn with_signal_mask(command: &mut Command, mask: SigSet) {
    // SAFETY: between fork and exec only sigprocmask is called, which is async-signal-safe, and nothing is allocated.
    unsafe {
        command.pre_exec(move || Ok(mask.thread_set_mask()?));
    }
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

/// Sets the largest frame that the loopback interface of this network namespace carries.
///
/// # Errors
/// When the namespace does not belong to this process, or the kernel does not want this size.
pub(crate) fn set_loopback_mtu(octets: u32) -> io::Result<()> {
    let mut request = interface("lo")?;
    request.ifr_ifru.ifru_mtu = libc::c_int::try_from(octets).map_err(io::Error::other)?;
    control(libc::SIOCSIFMTU, &request)
}

/// Switches one feature of an interface of this network namespace off: `ETHTOOL_STSO` and its like.
///
/// # Errors
/// When the namespace does not belong to this process, or the kernel does not know the feature.
pub(crate) fn switch_feature_off(name: &str, feature: u32) -> io::Result<()> {
    /// `struct ethtool_value` of linux/ethtool.h.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let mut value = Value {
        command: feature,
        data: 0,
    };
    let mut request = interface(name)?;
    // The kernel reads through this pointer while `control` runs; `value` lives until after it.
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    control(libc::SIOCETHTOOL, &request)
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
    // SAFETY: the descriptor is open, the request is a complete ifreq that outlives the call, and so does what it
    // points to.
    match unsafe { libc::ioctl(socket.as_raw_fd(), number as _, request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
