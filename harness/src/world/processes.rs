//! The kernel's process table: who descends from whom, who is busy, who holds which socket.

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::str::SplitAsciiWhitespace;
use std::time::Duration;

/// Where the table is long, as on a machine's own, the others are opened each time.
const MOST_OPEN: usize = 64;

thread_local! {
    /// The entries that were there last time. The kernel writes an entry anew for each reader at its beginning, and to find
    /// it again costs more than that. It stays that of its process: when this has ended, nothing can be read, whoever has
    /// got the number since.
    static OPEN: RefCell<BTreeMap<u32, File>> = const { RefCell::new(BTreeMap::new()) };
}

/// The processes alive at one moment, without this one.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: BTreeMap<u32, Process>,
}

#[derive(Debug)]
struct Process {
    parent: u32,
    session: u32,
    /// Of its first thread, as a letter (proc(5)).
    state: char,
    threads: u64,
    /// Resident memory in pages, what it shares with others included.
    pages: u64,
    /// For how long it has had a processor, in the kernel's ticks.
    ticks: u64,
}

impl Process {
    /// Reads an entry, from the file that was open if it still is this process's.
    fn read(pid: u32, open: Option<File>) -> Option<(Self, File)> {
        // Longer than any: a name of 64 octets at most, and 51 numbers.
        let mut line = [0; 2048];
        let mut read = |file: &File| {
            let len = file.read_at(&mut line, 0).ok()?;
            Process::parse(&line[..len])
        };
        if let Some(file) = open
            && let Some(process) = read(&file)
        {
            return Some((process, file));
        }
        let file = File::open(format!("/proc/{pid}/stat")).ok()?;
        Some((read(&file)?, file))
    }

    fn parse(stat: &[u8]) -> Option<Self> {
        let mut fields = after_name(stat)?;
        // What is between them is skipped. The numbers are those of proc(5), less the three that come first.
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let in_user_mode: u64 = fields.nth(7)?.parse().ok()?;
        let in_kernel_mode = fields.next()?.parse().ok()?;
        let threads = fields.nth(4)?.parse().ok()?;
        let pages = fields.nth(3)?.parse().ok()?;
        Some(Process {
            parent,
            session,
            state,
            threads,
            pages,
            ticks: in_user_mode.saturating_add(in_kernel_mode),
        })
    }
}

impl Processes {
    /// Reads the table. Processes that end meanwhile are left out.
    pub fn read() -> Self {
        let own = std::process::id();
        let mut by_pid = BTreeMap::new();
        OPEN.with_borrow_mut(|open| {
            let mut still_open = BTreeMap::new();
            for pid in numbered("/proc").filter(|pid| *pid != own) {
                let Some((process, file)) = Process::read(pid, open.remove(&pid)) else {
                    continue;
                };
                by_pid.insert(pid, process);
                if still_open.len() < MOST_OPEN {
                    still_open.insert(pid, file);
                }
            }
            *open = still_open;
        });
        Processes { by_pid }
    }

    /// The program that bwrap with this id surrounds: it leads a session of its own, and is a child of bwrap's child,
    /// which is process 1 in there.
    pub fn surrounded_by(&self, bwrap: u32) -> Option<u32> {
        let leads = |pid: &u32| {
            self.by_pid
                .get(pid)
                .is_some_and(|process| process.session == *pid)
        };
        self.children(bwrap)
            .flat_map(|first| self.children(first))
            .find(leads)
    }

    /// Those that a process has started, or that were left to it.
    pub fn children(&self, of: u32) -> impl Iterator<Item = u32> {
        let started = self
            .by_pid
            .iter()
            .filter(move |(_, process)| process.parent == of);
        started.map(|(pid, _)| *pid)
    }

    /// Those of a family that have started no others of it: the programs themselves, not what surrounds them.
    pub fn last_born(&self, family: &BTreeSet<u32>) -> BTreeSet<u32> {
        let has_children = |pid: &u32| self.children(*pid).any(|child| family.contains(&child));
        family
            .iter()
            .copied()
            .filter(|pid| !has_children(pid))
            .collect()
    }

    /// What these processes use: threads, and resident memory in octets, where what several of them share counts for
    /// each.
    pub fn usage(&self, pids: &BTreeSet<u32>) -> (u64, u64) {
        /// The smallest there is; where pages are larger, more is allowed.
        const PAGE: u64 = 4096;
        let processes = pids.iter().filter_map(|pid| self.by_pid.get(pid));
        processes.fold((0, 0), |(threads, octets), process| {
            (threads + process.threads, octets + process.pages * PAGE)
        })
    }

    /// For how long these processes have had a processor since they began.
    pub fn time_at_work(&self, pids: &BTreeSet<u32>) -> Duration {
        /// Of the kernel, in every table it shows to others (`USER_HZ`).
        const TICKS_PER_SECOND: u64 = 100;
        let processes = pids.iter().filter_map(|pid| self.by_pid.get(pid));
        let ticks: u64 = processes.map(|process| process.ticks).sum();
        Duration::from_millis(ticks.saturating_mul(1_000 / TICKS_PER_SECOND))
    }

    /// Whether any thread of these processes was running or about to run. One that waits for input, a socket, a
    /// timer or SIGCONT, or has ended, was not.
    pub fn any_busy(&self, pids: &BTreeSet<u32>) -> bool {
        let busy = |state: char| matches!(state, 'R' | 'D');
        pids.iter().any(|pid| match self.by_pid.get(pid) {
            Some(process) if process.threads == 1 => busy(process.state),
            _ => thread_states(*pid).any(busy),
        })
    }

    /// Whether a process has ended; whether somebody has asked for its status does not matter.
    pub fn has_ended(&self, pid: u32) -> bool {
        // The first thread may have ended and left the others at work.
        self.by_pid
            .get(&pid)
            .is_none_or(|process| matches!(process.state, 'Z' | 'X') && process.threads <= 1)
    }

    /// Everything that descends from `root`, and what shares its session; `root` included.
    pub fn family(&self, root: u32) -> BTreeSet<u32> {
        let mut family = BTreeSet::from([root]);
        loop {
            let more: Vec<u32> = self
                .by_pid
                .iter()
                .filter(|(pid, process)| {
                    !family.contains(pid)
                        && (family.contains(&process.parent) || process.session == root)
                })
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                return family;
            }
            family.extend(more);
        }
    }
}

/// The state of each thread of a process, as a letter (proc(5)). Threads that are gone by then are left out.
fn thread_states(pid: u32) -> impl Iterator<Item = char> {
    numbered(&format!("/proc/{pid}/task")).filter_map(move |thread| {
        let stat = std::fs::read(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
        after_name(&stat)?.next()?.chars().next()
    })
}

/// For how long each thread of these processes has wanted a processor and had none (schedstat, in the kernel's
/// `Documentation/scheduler/sched-stats.rst`). Nothing where the kernel does not count that.
pub fn waits_for_a_processor(pids: &BTreeSet<u32>) -> impl Iterator<Item = (u32, Duration)> {
    let threads = pids.iter().flat_map(|pid| {
        let folder = format!("/proc/{pid}/task");
        numbered(&folder).map(move |thread| (thread, format!("{folder}/{thread}/schedstat")))
    });
    threads.filter_map(|(thread, file)| {
        let counts = std::fs::read_to_string(file).ok()?;
        let waited = counts.split_whitespace().nth(1)?.parse().ok()?;
        Some((thread, Duration::from_nanos(waited)))
    })
}

/// Memory in octets that these processes alone have taken: no programs or files that others have as well.
pub fn own_memory(pids: &BTreeSet<u32>) -> u64 {
    let of = |pid: &u32| -> u64 {
        let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
        // The name of a program need not be text.
        let status = String::from_utf8_lossy(&status);
        let fields = status.lines().filter_map(|line| {
            let rest = line
                .strip_prefix("RssAnon:")
                .or_else(|| line.strip_prefix("RssShmem:"))?;
            rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        fields.sum::<u64>() * 1024
    };
    pids.iter().map(of).sum()
}

/// The inodes of every socket these processes hold open.
pub fn socket_inodes(pids: &BTreeSet<u32>) -> BTreeSet<u64> {
    pids.iter().flat_map(|pid| sockets_of(*pid)).collect()
}

/// Which of these processes has a socket open, and under which number.
pub fn descriptor_of(inode: u64, pids: &BTreeSet<u32>) -> Option<(u32, i32)> {
    let wanted = format!("socket:[{inode}]");
    pids.iter().find_map(|pid| {
        let folder = format!("/proc/{pid}/fd");
        let number = numbered(&folder).find(|number| {
            let target = std::fs::read_link(format!("{folder}/{number}"));
            target.is_ok_and(|target| target.as_os_str() == wanted.as_str())
        })?;
        Some((*pid, i32::try_from(number).ok()?))
    })
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let folder = format!("/proc/{pid}/fd");
    let entries = || {
        std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
    };
    let is_refused = |path: PathBuf| {
        std::fs::read_link(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    // Root in a container may not look into other users' processes, but may look as they do.
    let _eyes = match std::fs::metadata(&folder) {
        Ok(metadata) if metadata.uid() != 0 && entries().next().is_some_and(is_refused) => {
            Some(Eyes::of(metadata.uid(), metadata.gid()))
        }
        _ => None,
    };
    entries()
        .filter_map(|path| {
            let target = std::fs::read_link(path).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// This thread looks at files as another user does, until dropped. Who may not be another user stays as they are.
struct Eyes {
    before: (Uid, Gid),
}

impl Eyes {
    fn of(uid: u32, gid: u32) -> Self {
        // In this order: who is another user may not change the group any more.
        let group = setfsgid(Gid::from_raw(gid));
        let user = setfsuid(Uid::from_raw(uid));
        Eyes {
            before: (user, group),
        }
    }
}

impl Drop for Eyes {
    fn drop(&mut self) {
        setfsuid(self.before.0);
        setfsgid(self.before.1);
    }
}

/// The command name of a process that holds a socket with this inode, if it can be seen.
pub fn holder_of(inode: u64) -> Option<String> {
    numbered("/proc")
        .find(|pid| socket_inodes(&BTreeSet::from([*pid])).contains(&inode))
        .and_then(|pid| {
            Some(format!(
                "{} (process {pid})",
                std::fs::read_to_string(format!("/proc/{pid}/comm"))
                    .ok()?
                    .trim()
            ))
        })
}

/// The entries of a folder that are numbers.
pub(super) fn numbered(folder: &str) -> impl Iterator<Item = u32> + use<> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The fields of a stat line after the command name, which is up to the program: it may hold blanks and parentheses, and
/// need not be text.
fn after_name(stat: &[u8]) -> Option<SplitAsciiWhitespace<'_>> {
    let end = stat.iter().rposition(|octet| *octet == b')')?;
    let fields = std::str::from_utf8(&stat[end + 1..]).ok()?;
    Some(fields.split_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_belongs_to_the_family_until_it_is_reaped() {
        let mut child = Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep can be started");
        let family = Processes::read().family(std::process::id());
        assert!(family.contains(&child.id()));
        assert!(!Processes::read().has_ended(child.id()));
        child.kill().expect("it can be killed");
        // What nobody has asked for its status yet is still in the table.
        while !Processes::read().has_ended(child.id()) {
            std::thread::yield_now();
        }
        child.wait().expect("it can be reaped");
        let processes = Processes::read();
        assert!(processes.has_ended(child.id()));
        assert!(!processes.family(std::process::id()).contains(&child.id()));
    }

    #[test]
    fn a_name_that_is_no_text_hides_nothing() {
        let stat = b"7 (a) b\xff) S 3 7 6 0 -1 4194304 1 2 3 4 50 6 0 0 20 0 2 0 99 1000 25 18446744073709551615 1\n";
        let process = Process::parse(stat).expect("it is an entry");
        assert_eq!((process.state, process.parent), ('S', 3));
        assert_eq!((process.session, process.threads), (6, 2));
        assert_eq!((process.pages, process.ticks), (25, 56));
        let mut child = Command::new("sh")
            .args(["-c", r#"printf "\377" > /proc/$$/comm; echo; read line"#])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh can be started");
        let mut output = child.stdout.take().expect("it has one");
        output.read_exact(&mut [0]).expect("it has its name");
        let name = std::fs::read(format!("/proc/{}/comm", child.id()));
        assert_eq!(name.expect("it is alive"), b"\xff\n");
        let family = BTreeSet::from([child.id()]);
        // Twice: what was open is looked at again.
        for _ in 0..2 {
            assert_eq!(Processes::read().usage(&family).0, 1);
        }
        assert!(own_memory(&family) > 0);
        child.kill().expect("it can be killed");
        child.wait().expect("it can be reaped");
        assert_eq!(Processes::read().usage(&family), (0, 0));
    }
}
