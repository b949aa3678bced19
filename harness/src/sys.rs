#![expect(
    unsafe_code,
    reason = "these few system calls have no safe wrapper; each use says why it is sound"
)]
//! The system calls without a safe wrapper, each behind a function that is safe to call.
//!
//! This is the only module with unsafe code.

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
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

/// A copy of another process's descriptor, to ask the kernel about what it refers to (pidfd_getfd(2), Linux 5.6).
///
/// # Errors
/// When the process is gone, or this one may not look into it.
pub(crate) fn copy_of(pid: u32, number: i32) -> io::Result<OwnedFd> {
    let owned = |result: libc::c_long| match i32::try_from(result) {
        // SAFETY: the kernel has just made this descriptor for the caller, and nobody else knows its number.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: the call takes two numbers and touches no memory of this process.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above, and the first descriptor is open.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}

/// Has the runtime tell when a descriptor can be read or written. It must be non-blocking.
///
/// # Errors
/// When the system cannot watch this kind of descriptor.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, always names the same descriptor, and is owned by the AsyncFd until it is dropped.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Has what was written to our end of a terminal arrive at the other one, for whoever reads there: the kernel carries it
/// over a little later, unless that end is asked whether there is something. Where it cannot be asked, nothing is lost but
/// that certainty.
pub(crate) fn let_arrive(ours: &OwnedFd) {
    // SAFETY: this request (ioctl_tty(2), Linux 4.13) takes flags and no pointer, and makes a descriptor that nobody
    // else knows.
    let theirs = unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        match libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) {
            number if number >= 0 => OwnedFd::from_raw_fd(number),
            _ => return,
        }
    };
    let mut end = [PollFd::new(theirs.as_fd(), PollFlags::POLLIN)];
    // What it answers does not matter.
    let _ = poll(&mut end, PollTimeout::ZERO);
}

/// Has a command enter a list of processes, such as a control group's, before it begins.
pub(crate) fn be_listed(command: &mut Command, list: OwnedFd) {
    // SAFETY: between fork and exec only write is called, which is async-signal-safe, and nothing is allocated; the
    // descriptor is owned by the closure and open, and the buffer lives for ever.
    unsafe {
        command.pre_exec(move || {
            // 0 stands for whoever writes it.
            match libc::write(list.as_raw_fd(), b"0".as_ptr().cast(), 1) {
                1 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

/// Whether systemd has handed over a control group (the extended attribute `trusted.delegate` or `user.delegate`).
pub(crate) fn is_marked_as_delegated(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else {
        return false;
    };
    [c"trusted.delegate", c"user.delegate"].iter().any(|name| {
        let mut value = [0_u8; 1];
        // SAFETY: both strings end with a NUL, and the kernel writes no more than one octet into the buffer.
        let length =
            unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), 1) };
        length == 1 && value == *b"1"
    })
}

/// Has a command start with this descriptor open, under the same number.
pub(crate) fn pass_on(command: &mut Command, descriptor: OwnedFd) {
    // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe, and nothing is allocated; the
    // descriptor is owned by the closure and open.
    unsafe {
        command.pre_exec(
            move || match libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            },
        );
    }
}

/// Has a command, and whatever it starts, be the first that the kernel kills when memory runs out. Where that cannot
/// be said, it is not.
pub(crate) fn first_to_go(command: &mut Command) {
    // SAFETY: between fork and exec only open, write and close are called, which are async-signal-safe, with a path
    // and a buffer that live for ever.
    unsafe {
        command.pre_exec(|| {
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
            if file != -1 {
                libc::write(file, b"1000".as_ptr().cast(), 4);
                libc::close(file);
            }
            Ok(())
        });
    }
}

/// Has the next program have no capabilities but to pass over the permissions of files, whoever runs it. A process that
/// has none to give up already need not.
pub(crate) fn give_up_capabilities() {
    /// linux/capability.h; there are no more than 64.
    const DAC_OVERRIDE: libc::c_ulong = 1;
    for capability in (0..64).filter(|capability| *capability != DAC_OVERRIDE) {
        // SAFETY: this call takes numbers and no pointer. It fails for capabilities the kernel does not know.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Makes this process lead a session of its own, with the terminal among its standard streams as the controlling one.
///
/// # Errors
/// When the terminal belongs to another session.
pub(crate) fn lead_session() -> io::Result<()> {
    // A process that leads a session already cannot begin another one, and need not.
    let _ = nix::unistd::setsid();
    for stream in 0..=2 {
        // SAFETY: isatty and this ioctl take a descriptor number, open or not, and no pointer.
        let taken = unsafe {
            if libc::isatty(stream) == 0 {
                continue;
            }
            libc::ioctl(stream, libc::TIOCSCTTY, 0)
        };
        return match taken {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
    }
    Ok(())
}

/// Has every descriptor but the standard streams close when this process becomes another program.
///
/// # Errors
/// When the open descriptors cannot be listed.
pub(crate) fn close_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number: Option<i32> = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // SAFETY: F_SETFD takes a descriptor number, open or not, and no pointer.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// A socket that gets every frame which comes in by an interface of this process's network, with the kernel's time
/// stamps, and sends what is written to it as it is. Non-blocking.
///
/// # Errors
/// When there is no such interface, or the network does not belong to this process.
pub(crate) fn frame_socket(interface: &str) -> io::Result<OwnedFd> {
    /// linux/if_packet.h: do not show what this socket itself sends.
    const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
    /// So many octets of frames may wait to be read, where the kernel allows it.
    const BUFFER: libc::c_int = 16 << 20;
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes numbers, and a descriptor that it returns belongs to nobody else.
    let socket = unsafe {
        // Without a protocol it gets nothing before it is bound to its interface.
        match libc::socket(libc::AF_PACKET, kind, 0) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => OwnedFd::from_raw_fd(descriptor),
        }
    };
    set_option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    // Frames leave at once, past a queue that a new interface does not have yet.
    set_option(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    // Forced beyond the system's limit only by who may; within it by everybody.
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, BUFFER)
        .or_else(|_| set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER))?;
    // SAFETY: sockaddr_ll is a plain structure for which all zeroes are a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = protocol;
    address.sll_ifindex = libc::c_int::try_from(nix::net::if_::if_nametoindex(interface)?)
        .map_err(io::Error::other)?;
    // SAFETY: the descriptor is open, and the address is a complete sockaddr_ll of the length given.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    match bound {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(socket),
    }
}

/// How many frames a [`frame_socket`] had no room for since this was asked last.
///
/// # Errors
/// When it is no such socket.
pub(crate) fn frames_dropped(socket: &OwnedFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is a plain structure for which all zeroes are a valid value.
    let mut statistics: libc::tpacket_stats = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` octets to a place of that size.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut len,
        )
    };
    match got {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(statistics.tp_drops),
    }
}

fn set_option(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the value is an int that outlives the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match set {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Has a command start in another network, whose descriptor this is.
pub(crate) fn in_network(command: &mut Command, network: OwnedFd) {
    // SAFETY: between fork and exec only setns is called, which is async-signal-safe, and nothing is allocated; the
    // descriptor is owned by the closure and open.
    unsafe {
        command.pre_exec(move || {
            nix::sched::setns(&network, nix::sched::CloneFlags::CLONE_NEWNET)?;
            Ok(())
        });
    }
}
