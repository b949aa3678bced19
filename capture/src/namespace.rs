//! Private networks: the only place where namespaces are made.
//!
//! A process enters before it has a second thread, in one of two ways:
//!
//! - [`enter`]: the process itself goes in, with everything. With a process namespace, the first process in it is
//!   this program: when it ends, for whatever reason, the kernel kills everything else in there, daemons included.
//! - [`enter_network`]: the process goes into the network only, and its next child is the first process of a process
//!   namespace. So it sees the network's traffic, and what lives in there does not see it.
//!
//! A process that is in can have another network beside its own, for a second computer: [`OtherNetwork`].
//!
//! All work without privileges, through a user namespace in which the ids are the same as outside.

use crate::sys::{self, Side};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// TCP segmentation offload, generic segmentation offload, generic receive offload: linux/ethtool.h.
const OFFLOADS: [u32; 3] = [0x1f, 0x24, 0x2c];

/// How far a process is secluded from the rest of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seclusion {
    /// A network of its own.
    pub network: bool,
    /// Through a user namespace, which needs no privilege; real root does without.
    pub user: bool,
    /// Process ids of its own.
    pub processes: bool,
}

/// Secludes this process. When it returns, this is the process to go on in; another one may be waiting for it.
///
/// # Errors
/// What the system refused, as `step: reason`.
pub fn enter(seclusion: Seclusion) -> io::Result<()> {
    if seclusion.network {
        let mut flags = CloneFlags::CLONE_NEWNET;
        if seclusion.processes {
            flags |= CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
        }
        leave(flags, seclusion.user)?;
        take_small_tables()?;
        sys::bring_loopback_up().map_err(|error| named("loopback up", error))?;
        if seclusion.processes {
            become_first_process()?;
        }
    }
    // Set last: changing credentials clears it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if !seclusion.processes {
        prctl::set_child_subreaper(true)?;
    }
    Ok(())
}

/// Moves this process into a network of its own, with loopback up. The next child is the first process of a process
/// namespace; this process is none of it, and cannot have a second thread any more.
///
/// Whoever has the rights does without a user namespace, in which root would lose its rights to other users' files.
/// Root lacks them in most containers, and needs one there too.
///
/// # Errors
/// What the system refused, as `step: reason`.
pub fn enter_network() -> io::Result<()> {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID;
    // Known beforehand: a network that was made without the right to set it up cannot be left again.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    leave(flags, !has_all_rights(&status))?;
    sys::bring_loopback_up().map_err(|error| named("loopback up", error))
}

/// Whether a process with this /proc/…/status may make networks, set them up and capture in them.
fn has_all_rights(status: &str) -> bool {
    /// CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN: linux/capability.h.
    const NEEDED: u64 = 1 << 12 | 1 << 13 | 1 << 21;
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & NEEDED == NEEDED)
}

/// Shows this process, and what it starts, a /proc of its own process namespace.
///
/// # Errors
/// What the system refused, as `step: reason`. Containers that hide parts of /proc refuse it; the old /proc is usable
/// then, but names processes by the ids they have outside.
pub fn see_own_processes() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| named("unshare", error.into()))?;
    mount_proc()
}

/// Gives the loopback interface of this network one more address; `index` tells several apart.
///
/// # Errors
/// When the network does not belong to this process.
pub fn add_loopback_address(address: Ipv4Addr, index: usize) -> io::Result<()> {
    sys::add_loopback_address(address, index)
}

/// A network beside this process's own: another computer's. It lives as long as this value.
///
/// A thread of this process lives in it, so that its tables can be read and things can be done in it.
#[derive(Debug)]
pub struct OtherNetwork {
    descriptor: OwnedFd,
    tables: PathBuf,
    work: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

type Work = Box<dyn FnOnce() + Send>;

impl OtherNetwork {
    /// A new one, with loopback up and nothing else.
    ///
    /// # Errors
    /// What the system refused, as `step: reason`.
    pub fn new() -> io::Result<Self> {
        let (work, orders) = mpsc::channel::<Work>();
        let (told, made) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("other network".to_owned())
            .spawn(move || {
                let network = make_other_network();
                let usable = network.is_ok();
                // Nobody waiting means that the process is about to end.
                let _ = told.send(network);
                if usable {
                    orders.into_iter().for_each(|work| work());
                }
            })?;
        let (descriptor, tables) = made
            .recv()
            .map_err(|_| io::Error::other("the thread in the other network has panicked"))??;
        Ok(OtherNetwork {
            descriptor,
            tables,
            work: Some(work),
            thread: Some(thread),
        })
    }

    /// What names it to the kernel.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// The folder with its tables: what `/proc/net` is in it.
    pub fn tables(&self) -> &Path {
        &self.tables
    }

    /// Does something in it, and waits for that.
    ///
    /// # Errors
    /// When the work has panicked.
    pub fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("the thread in the other network has panicked");
        let (told, done) = mpsc::channel();
        let order = Box::new(move || {
            let _ = told.send(work());
        });
        let sender = self.work.as_ref().ok_or_else(gone)?;
        sender.send(order).map_err(|_| gone())?;
        done.recv().map_err(|_| gone())
    }
}

impl Drop for OtherNetwork {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing left to tell.
            let _ = thread.join();
        }
    }
}

/// Moves this thread into a network of its own.
fn make_other_network() -> io::Result<(OwnedFd, PathBuf)> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| named("unshare", error.into()))?;
    take_small_tables()?;
    sys::bring_loopback_up().map_err(|error| named("loopback up", error))?;
    let file = std::fs::File::open("/proc/thread-self/ns/net")
        .map_err(|error| named("/proc/thread-self/ns/net", error))?;
    let tables = PathBuf::from(format!(
        "/proc/self/task/{}/net",
        nix::unistd::gettid().as_raw()
    ));
    Ok((file.into(), tables))
}

/// Has an interface of this network carry frames as they are on a cable: whole segments of the size the interface allows,
/// each with its checksums. Needed where frames are handed on by a program.
///
/// # Errors
/// When there is no such interface, or the network does not belong to this process.
pub fn carry_as_it_is(interface: &str) -> io::Result<()> {
    /// Transmit checksums: linux/ethtool.h.
    const CHECKSUMS: u32 = 0x17;
    for feature in OFFLOADS {
        // A kernel without the feature cannot have it switched on.
        let _ = sys::switch_feature_off(interface, feature);
    }
    sys::switch_feature_off(interface, CHECKSUMS)
        .map_err(|error| named("transmit checksums off", error))
}

/// Has the loopback interface of this network carry frames of at most `octets`, as a cable does, and switches off what
/// hands segments on in one piece although they are to be cut on the wire.
///
/// # Errors
/// When the network does not belong to this process, or the kernel does not want this size.
pub fn limit_loopback(octets: u32) -> io::Result<()> {
    sys::set_loopback_mtu(octets).map_err(|error| named("MTU", error))?;
    for offload in OFFLOADS {
        // A kernel without the feature cannot have it switched on.
        let _ = sys::switch_feature_off("lo", offload);
    }
    Ok(())
}

/// Commands that may have this system allow private networks, as far as its settings tell.
pub fn advice() -> Vec<String> {
    let setting = |name: &str| {
        std::fs::read_to_string(format!("/proc/sys/{name}"))
            .ok()
            .map(|value| value.trim().to_owned())
    };
    let is_container =
        Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    advice_for(setting, is_container)
}

fn advice_for(setting: impl Fn(&str) -> Option<String>, is_container: bool) -> Vec<String> {
    let mut advice = Vec::new();
    if setting("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        advice.push("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0    (Ubuntu: until the next start)".to_owned());
    }
    if setting("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        advice.push("sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned());
    }
    for kind in ["user", "net", "pid", "mnt"] {
        if setting(&format!("user/max_{kind}_namespaces")).as_deref() == Some("0") {
            advice.push(format!("sudo sysctl -w user.max_{kind}_namespaces=15000"));
        }
    }
    if is_container {
        advice.push("start the container with: --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined".to_owned());
    }
    advice
}

/// Leaves namespaces for new ones.
fn leave(mut flags: CloneFlags, user: bool) -> io::Result<()> {
    if user {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    // The maps of a program that has rights of its own (setcap) are root's to write, unless it says otherwise.
    prctl::set_dumpable(true).map_err(|error| named("dumpable", error.into()))?;
    unshare(flags).map_err(|error| named("unshare", error.into()))?;
    if user {
        // The same ids inside as outside: files keep their owner, and programs are not root by surprise.
        std::fs::write("/proc/self/setgroups", "deny")
            .map_err(|error| named("setgroups", error))?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))
            .map_err(|error| named("uid_map", error))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
            .map_err(|error| named("gid_map", error))?;
    }
    Ok(())
}

/// Leaves for a network whose socket tables are as small as its few sockets need, where the kernel has that (Linux 6.1).
///
/// Who reads /proc/net/tcp has the kernel look through the whole table, and otherwise that is the machine's, with hundreds
/// of thousands of places: a millisecond or two each time.
fn take_small_tables() -> io::Result<()> {
    /// Places in the tables of networks that are made by this one: linux/Documentation/networking/ip-sysctl.rst.
    const TABLES: [(&str, &str); 2] = [
        ("/proc/sys/net/ipv4/tcp_child_ehash_entries", "1024"),
        ("/proc/sys/net/ipv4/udp_child_hash_entries", "256"),
    ];
    let granted = TABLES
        .iter()
        .filter(|(file, places)| std::fs::write(file, places).is_ok())
        .count();
    match granted {
        // An older kernel, or a /proc that cannot be written: the tables stay as they are.
        0 => Ok(()),
        _ => unshare(CloneFlags::CLONE_NEWNET).map_err(|error| named("unshare", error.into())),
    }
}

/// Goes on in a child that is process 1 of the namespace and sees only the namespace's processes in /proc.
fn become_first_process() -> io::Result<()> {
    match sys::fork_single_threaded()? {
        Side::Parent(child) => {
            // Killed with its parent, this process takes the child with it by the child's own parent-death signal.
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            let status = match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, status)) => status,
                _ => 4,
            };
            std::process::exit(status)
        }
        Side::Child => mount_proc(),
    }
}

/// In a mount namespace of its own only.
fn mount_proc() -> io::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| named("private mounts", error.into()))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), safe, none)
        .map_err(|error| named("mount /proc", error.into()))
}

fn named(step: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{step}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_every_right_does_without_a_user_namespace() {
        #[track_caller]
        fn check(mask: &str, expected: bool) {
            let status = format!("Name:\tcapture\nCapPrm:\t0\nCapEff:\t{mask}\nCapBnd:\t0\n");
            assert_eq!(has_all_rights(&status), expected, "{mask}");
        }
        check("000001ffffffffff", true);
        check("0000000000000000", false);
        // What containers have: by default, and with SYS_ADMIN.
        check("00000000a80425fb", false);
        check("00000000a82425fb", false);
        assert!(!has_all_rights(""));
    }

    #[test]
    fn advice_follows_the_settings() {
        #[track_caller]
        fn check(settings: &[(&str, &str)], is_container: bool, expected: &[&str]) {
            let setting = |name: &str| {
                let found = settings.iter().find(|(there, _)| *there == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let advice = advice_for(setting, is_container);
            assert_eq!(advice.len(), expected.len(), "{advice:?}");
            for (line, part) in advice.iter().zip(expected) {
                assert!(line.contains(part), "{line}");
            }
        }
        check(&[], false, &[]);
        check(
            &[
                ("kernel/unprivileged_userns_clone", "1"),
                ("user/max_user_namespaces", "15000"),
                ("kernel/apparmor_restrict_unprivileged_userns", "0"),
            ],
            false,
            &[],
        );
        check(
            &[("kernel/apparmor_restrict_unprivileged_userns", "1")],
            false,
            &["kernel.apparmor_restrict_unprivileged_userns=0"],
        );
        check(
            &[
                ("kernel/unprivileged_userns_clone", "0"),
                ("user/max_user_namespaces", "0"),
                ("user/max_net_namespaces", "0"),
            ],
            true,
            &[
                "kernel.unprivileged_userns_clone=1",
                "user.max_user_namespaces=15000",
                "user.max_net_namespaces=15000",
                "--cap-add SYS_ADMIN",
            ],
        );
    }
}
