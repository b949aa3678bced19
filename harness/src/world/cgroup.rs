//! A control group for each scenario, where the system has delegated one (cgroups(7), version 2): never required.
//!
//! Whatever a scenario's programs start stays in its group, also what leaves its parents, so that all of it ends at once
//! (`cgroup.kill`). Where the memory and pids controllers are delegated too, all of it together has a limit that holds at
//! every moment; the watchdog, which looks from time to time, stays: it says who took too much.
//!
//! A group is taken for delegated when it is the root of what can be seen, when another user than root may change it, or
//! when systemd says so (`Delegate=yes`).

use crate::sys;
use nix::unistd::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often it is looked whether a group is empty.
const GLANCE: Duration = Duration::from_millis(10);

/// How long processes that were killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// What all programs of a scenario may have together. There are a dozen of them at most, and by the watchdog each may have
/// 1 GiB and 512 tasks.
const LIMITS: [(&str, &str); 3] = [
    ("pids.max", "2048"),
    ("memory.max", "4294967296"),
    ("memory.swap.max", "0"),
];

/// How the groups of scenarios are called: this, the harness's process, and a number.
const SCENARIO: &str = "socket-lab-";

/// Where the harness itself goes when its group is to hand controllers down.
const OWN: &str = "socket-lab-harness";

/// Whether there can be control groups, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// The group below which scenarios get theirs.
    pub folder: Option<PathBuf>,
    /// The controllers that limit them.
    pub controllers: Vec<String>,
    /// What is in the way, where there can be none.
    pub why: Option<String>,
}

impl Cgroups {
    /// Tries it: makes a group and removes it again.
    pub fn probe() -> Self {
        match delegated() {
            Err(why) => Cgroups {
                why: Some(why),
                ..Cgroups::default()
            },
            Ok(folder) => {
                sweep(&folder);
                Cgroups {
                    controllers: hand_down(&folder),
                    folder: Some(folder),
                    why: None,
                }
            }
        }
    }
}

/// This process's own group, if it may be divided.
fn delegated() -> Result<PathBuf, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let groups = read("/proc/self/cgroup")?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let group = group.ok_or("this system has no control groups of version 2")?;
    let mounts = read("/proc/self/mountinfo")?;
    let mounted = mounted_at(&mounts).ok_or("control groups of version 2 are not mounted")?;
    let folder = mounted.join(group.trim_start_matches('/'));
    let is_root = group == "/";
    if geteuid().is_root() && !is_root && !sys::is_marked_as_delegated(&folder) {
        return Err(format!(
            "{} is not delegated (systemd-run --scope -p Delegate=yes harness …)",
            folder.display()
        ));
    }
    Cgroup::make(&folder)
        .map(|_| folder.clone())
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// Where the second version's tree is, from /proc/self/mountinfo: the fifth field, and the type behind the dash.
fn mounted_at(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        let is_second = behind.split_whitespace().next() == Some("cgroup2");
        let place = before.split_whitespace().nth(4)?;
        is_second.then(|| PathBuf::from(place))
    })
}

/// Removes the groups of a harness that was killed and could not do it itself. Whoever is still in one keeps it.
fn sweep(folder: &Path) {
    let Ok(groups) = fs::read_dir(folder) else {
        return;
    };
    for group in groups.flatten() {
        let name = group.file_name();
        let maker = name.to_str().and_then(maker);
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(group.path());
        }
    }
}

/// The process that has made a scenario's group of this name.
fn maker(name: &str) -> Option<&str> {
    let (pid, number) = name.strip_prefix(SCENARIO)?.split_once('-')?;
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    (is_number(pid) && is_number(number)).then_some(pid)
}

/// Hands the controllers down to the groups to be made, and says which are.
fn hand_down(folder: &Path) -> Vec<String> {
    let there = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let wanted = ["memory", "pids"].into_iter();
    let wanted = wanted.filter(|wanted| there.split_whitespace().any(|name| name == *wanted));
    let switch = folder.join("cgroup.subtree_control");
    let hand_down = |name: &str| fs::write(&switch, format!("+{name}"));
    let handed_down = |name: &&str| match hand_down(name) {
        // A group that has processes hands nothing down, unless it is the root. Others than this one are left where they
        // are: then there are no limits.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            step_aside(folder).and_then(|()| hand_down(name)).is_ok()
        }
        done => done.is_ok(),
    };
    wanted.filter(handed_down).map(str::to_owned).collect()
}

/// Moves this process into a group of its own below `folder`.
fn step_aside(folder: &Path) -> io::Result<()> {
    let own = folder.join(OWN);
    match fs::create_dir(&own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(own.join("cgroup.procs"), "0")
}

/// One scenario's group. Dropped, it is removed, unless somebody is still in it.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes one below `folder`, with the limits there can be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(folder: &Path) -> io::Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{SCENARIO}{}-{number}", std::process::id());
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        for (file, limit) in LIMITS {
            // Where the controller was not handed down there is no such file, and no limit.
            let file = OpenOptions::new().write(true).open(folder.join(file));
            if let Ok(mut file) = file {
                io::Write::write_all(&mut file, limit.as_bytes())?;
            }
        }
        Ok(Cgroup { folder })
    }

    /// Has a command be in it from its first moment.
    ///
    /// # Errors
    /// When nobody can be put in.
    pub fn admit(&self, command: &mut Command) -> io::Result<()> {
        let list: File = OpenOptions::new()
            .write(true)
            .open(self.folder.join("cgroup.procs"))?;
        sys::be_listed(command, list.into());
        Ok(())
    }

    /// Ends everybody in it, and waits until they are gone.
    pub async fn end(self) {
        // Before Linux 5.14 there is no such file; others see to it that nothing is left.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        let gone = async {
            while !self.is_empty() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        let _ = tokio::time::timeout(GONE_WITHIN, gone).await;
    }

    fn is_empty(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("cgroup.events")).unwrap_or_default();
        !events.contains("populated 1")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn the_second_version_is_found_among_the_mounts() {
        let mounts = "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 24 0:28 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let found = mounted_at(mounts);
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mounted_at("cgroup2 and nothing else"), None);
    }

    #[test]
    fn a_group_says_who_has_made_it() {
        assert_eq!(maker("socket-lab-4711-12"), Some("4711"));
        for other in [
            OWN,
            "socket-lab-4711",
            "socket-lab--1",
            "socket-lab-1-x",
            "user.slice",
        ] {
            assert_eq!(maker(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_killed_harness_has_left_is_removed() {
        let Some(folder) = Cgroups::probe().folder else {
            eprintln!("SKIPPED: no control group is delegated");
            return;
        };
        // No process has this number: it is the largest that Linux can be told to give, and one more.
        let left = folder.join(format!("{SCENARIO}4194305-0"));
        fs::create_dir(&left).expect("groups can be made here");
        let own = Cgroup::make(&folder).expect("groups can be made here");
        sweep(&folder);
        assert!(!left.exists());
        assert!(own.folder.exists(), "its maker is alive");
    }

    #[tokio::test]
    async fn whoever_is_in_a_group_ends_with_it() {
        let cgroups = Cgroups::probe();
        let Some(folder) = cgroups.folder else {
            eprintln!("SKIPPED: no control group is delegated: {:?}", cgroups.why);
            return;
        };
        let cgroup = Cgroup::make(&folder).expect("one could be made a moment ago");
        let place = cgroup.folder.clone();
        // The shell ends, and what it started has another parent from then on.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & exec sleep 60"]);
        cgroup.admit(&mut command).expect("it can be put in");
        let mut child = command.spawn().expect("a shell can be started");
        let list = fs::read_to_string(place.join("cgroup.procs")).expect("it can be read");
        assert!(
            list.lines().any(|pid| pid == child.id().to_string()),
            "{list}"
        );
        cgroup.end().await;
        assert!(!place.exists());
        let status = child.wait().expect("it has ended");
        assert_eq!(status.signal(), Some(9));
    }
}
