//! A control group for each scenario, where the system has delegated one (cgroups(7), version 2): never required.
//!
//! Whatever a scenario's programs start stays in its group, also what leaves its parents, so that all of it ends at once
//! (`cgroup.kill`). Where the memory and pids controllers are delegated too, and nobody but the harness is in the delegated
//! group, all of it together has a limit that holds at every moment; the watchdog, which looks from time to time, stays: it
//! says who took too much. That the group's limit was met is known when the scenario is over ([`Shortage`]); where processes
//! go on being refused others, it is over at once ([`Cgroup::overrun`]).
//!
//! A group is taken for delegated when it is the root of what can be seen, when another user than root may change it, or
//! when systemd says so (`Delegate=yes`).

use crate::sys;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often it is looked whether a group is empty.
const GLANCE: Duration = Duration::from_millis(10);

/// How long processes that were killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// How often it is looked whether processes of a group were refused others.
const LOOK: Duration = Duration::from_secs(1);

/// At so many looks in turn they may not have been.
const REFUSED_IN_TURN: u32 = 10;

/// Processes and threads that all programs of a scenario may have together. There are a dozen of them at most, and by the
/// watchdog each may have 512.
const TASKS: u64 = 2048;

/// Memory that they may have together, in octets; by the watchdog each may have 1 GiB.
const MEMORY: u64 = 4 << 30;

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
    /// What is in the way of them, or of some of their limits.
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
                let (controllers, why) = hand_down(&folder);
                Cgroups {
                    folder: Some(folder),
                    controllers,
                    why,
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
    try_out(&folder)
        .map(|()| folder.clone())
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// Makes a group, and has somebody be in it: who may do the first may not always do the second.
fn try_out(folder: &Path) -> io::Result<()> {
    let cgroup = Cgroup::make(folder)?;
    let mut command = Command::new("true");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    cgroup.admit(&mut command)?;
    command.status().map(|_| ())
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

/// Hands the controllers down to the groups to be made, and says which are, and what is in the way of the others.
fn hand_down(folder: &Path) -> (Vec<String>, Option<String>) {
    // Only the root, which has no type, may have processes beside groups with controllers. With pids alone another may try:
    // then the groups below can have threads, but no processes.
    let is_root = !folder.join("cgroup.type").exists();
    if !is_root && let Err(error) = step_aside(folder) {
        return_to(folder);
        return (Vec::new(), Some(error.to_string()));
    }
    let (mut handed_down, mut missing) = (Vec::new(), Vec::new());
    for name in ["memory", "pids"] {
        match switch_on(folder, name) {
            Ok(()) => handed_down.push(name.to_owned()),
            Err(error) => missing.push(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput => {
                    format!("{name} is not delegated")
                }
                _ => format!("{name}: {error}"),
            }),
        }
    }
    if !is_root && handed_down.is_empty() {
        return_to(folder);
    }
    let why = (!missing.is_empty()).then(|| missing.join(", "));
    (handed_down, why)
}

fn switch_on(folder: &Path, controller: &str) -> io::Result<()> {
    let switch = folder.join("cgroup.subtree_control");
    fs::write(switch, format!("+{controller}"))
}

/// Moves this process into a group of its own below `folder`. Others than this one are left where they are: then there are
/// no limits.
fn step_aside(folder: &Path) -> io::Result<()> {
    let own = folder.join(OWN);
    match fs::create_dir(&own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    enter(&own)?;
    match fs::read_to_string(folder.join("cgroup.procs"))?.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "others are in {}",
            folder.display()
        ))),
    }
}

/// Takes back that this process has stepped aside.
fn return_to(folder: &Path) {
    let _ = enter(folder).and_then(|()| fs::remove_dir(folder.join(OWN)));
}

fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

/// All programs of a scenario together came to the end of what there is: the system killed one of them, or let them start
/// no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// What happened, a sentence without its full stop.
    pub what: String,
    /// Whether it was their own limit, which nobody else can use up, and not the machine that had no more.
    pub own: bool,
}

/// What there was too little of, by a group's `memory.events`, `pids.events` and `pids.peak`.
fn shortages(memory: &str, pids: &str, most: Option<u64>) -> Vec<Shortage> {
    let killed = count(memory, "oom_kill");
    let refused = count(pids, "max");
    let mut shortages = Vec::new();
    if killed > 0 {
        // Counted where the limit is.
        let own = count(memory, "oom") > 0;
        let whose = match own {
            true => format!(
                "all programs together took more than {} MiB of memory",
                MEMORY >> 20
            ),
            false => "the machine had no memory left for them".to_owned(),
        };
        let what = format!("{whose}, and the system killed {killed} of their processes");
        shortages.push(Shortage { what, own });
    }
    if refused > 0 {
        // Before Linux 6.12 counted also where the limit of a group above was met.
        let own = most.is_none_or(|most| most >= TASKS);
        let whose = match own {
            true => format!("all programs together wanted more than {TASKS} processes and threads"),
            false => "the machine allowed them no more processes and threads".to_owned(),
        };
        let times = match refused {
            1 => "once".to_owned(),
            _ => format!("{refused} times"),
        };
        let what = format!("{whose}, and the system refused them {times}");
        shortages.push(Shortage { what, own });
    }
    shortages
}

/// A number in a file of names and numbers, a line each.
fn count(events: &str, name: &str) -> u64 {
    let found = events.lines().find_map(|line| {
        let (found, number) = line.split_once(' ')?;
        (found == name).then(|| number.trim().parse().ok())?
    });
    found.unwrap_or_default()
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
        let limits = [
            ("pids.max", TASKS),
            ("memory.max", MEMORY),
            ("memory.swap.max", 0),
        ];
        for (file, limit) in limits {
            // Where the controller was not handed down there is no such file, and no limit.
            let file = OpenOptions::new().write(true).open(folder.join(file));
            if let Ok(mut file) = file {
                io::Write::write_all(&mut file, limit.to_string().as_bytes())?;
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

    /// Waits until its processes have been refused others for a while without a pause: then so many of them want a
    /// processor that the watchdog, which ends such programs, gets none.
    pub async fn overrun(&self) {
        let mut refused = 0;
        let mut in_turn = 0;
        while in_turn < REFUSED_IN_TURN {
            tokio::time::sleep(LOOK).await;
            let now = count(&self.read("pids.events"), "max");
            in_turn = if now > refused { in_turn + 1 } else { 0 };
            refused = now;
        }
    }

    /// Ends everybody in it, waits until they are gone, and says what they have had too little of.
    pub async fn end(self) -> Vec<Shortage> {
        // Before Linux 5.14 there is no such file; others see to it that nothing is left.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        let gone = async {
            while !self.is_empty() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        let _ = tokio::time::timeout(GONE_WITHIN, gone).await;
        let most = self.read("pids.peak").trim().parse().ok();
        shortages(&self.read("memory.events"), &self.read("pids.events"), most)
    }

    fn is_empty(&self) -> bool {
        !self.read("cgroup.events").contains("populated 1")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap_or_default()
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

    #[track_caller]
    fn check_shortages(memory: &str, pids: &str, most: Option<u64>, expected: &[(&str, bool)]) {
        let found = shortages(memory, pids, most);
        let found: Vec<_> = found.iter().map(|one| (&one.what[..], one.own)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_limit_that_was_met_is_told_from_a_machine_that_had_no_more() {
        let calm = "low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\noom_group_kill 0\n";
        check_shortages(calm, "max 0\n", Some(40), &[]);
        check_shortages("", "", None, &[]);
        let over = "low 0\nhigh 0\nmax 61\noom 2\noom_kill 2\noom_group_kill 0\n";
        let took = "all programs together took more than 4096 MiB of memory, and the system killed 2 of their processes";
        check_shortages(over, "max 0\n", Some(40), &[(took, true)]);
        let machine = "max 0\noom 0\noom_kill 1\n";
        let no_more =
            "the machine had no memory left for them, and the system killed 1 of their processes";
        check_shortages(machine, "max 0\n", Some(40), &[(no_more, false)]);
        let wanted = "all programs together wanted more than 2048 processes and threads, and the system refused them 9 times";
        check_shortages(calm, "max 9\n", Some(2048), &[(wanted, true)]);
        check_shortages(calm, "max 9\n", None, &[(wanted, true)]);
        let once = "all programs together wanted more than 2048 processes and threads, and the system refused them once";
        check_shortages(calm, "max 1\n", Some(2048), &[(once, true)]);
        let allowed = "the machine allowed them no more processes and threads, and the system refused them 9 times";
        check_shortages(calm, "max 9\n", Some(700), &[(allowed, false)]);
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
        assert_eq!(cgroup.end().await, []);
        assert!(!place.exists());
        let status = child.wait().expect("it has ended");
        assert_eq!(status.signal(), Some(9));
    }
}
