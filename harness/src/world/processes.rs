//! The kernel's process table: who descends from whom, who is busy, who holds which socket.

use std::collections::{BTreeMap, BTreeSet};

/// The processes alive at one moment, without this one.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: BTreeMap<u32, Process>,
}

#[derive(Debug)]
struct Process {
    parent: u32,
    session: u32,
}

impl Processes {
    /// Reads the table. Processes that end meanwhile are left out.
    pub fn read() -> Self {
        let own = std::process::id();
        let by_pid = numbered("/proc")
            .filter(|pid| *pid != own)
            .filter_map(|pid| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                let fields = after_name(&stat)?;
                Some((
                    pid,
                    Process {
                        parent: fields.get(1)?.parse().ok()?,
                        session: fields.get(3)?.parse().ok()?,
                    },
                ))
            })
            .collect();
        Processes { by_pid }
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

/// Whether any thread of these processes is running or about to run. One that waits for input, a socket, a
/// timer or SIGCONT, or has ended, is not.
pub fn any_busy(pids: &BTreeSet<u32>) -> bool {
    pids.iter().any(|pid| {
        numbered(&format!("/proc/{pid}/task")).any(|thread| {
            std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat"))
                .ok()
                .and_then(|stat| {
                    after_name(&stat).map(|fields| matches!(fields.first(), Some(&("R" | "D"))))
                })
                .unwrap_or(false)
        })
    })
}

/// Whether a process is over, whether or not anybody has taken notice.
pub fn is_over(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| {
        after_name(&stat).is_none_or(|fields| matches!(fields.first(), Some(&("Z" | "X"))))
    })
}

/// The inodes of every socket these processes hold open.
pub fn socket_inodes(pids: &BTreeSet<u32>) -> BTreeSet<u64> {
    pids.iter()
        .filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok())
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| {
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect()
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
fn numbered(folder: &str) -> impl Iterator<Item = u32> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The fields of a stat line after the command name, which may itself hold blanks and parentheses.
fn after_name(stat: &str) -> Option<Vec<&str>> {
    Some(stat[stat.rfind(')')? + 1..].split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_belongs_to_the_family_until_it_is_reaped() {
        let mut child = Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep can be started");
        let family = Processes::read().family(std::process::id());
        assert!(family.contains(&child.id()));
        child.kill().expect("it can be killed");
        child.wait().expect("it can be reaped");
        assert!(
            !Processes::read()
                .family(std::process::id())
                .contains(&child.id())
        );
    }
}
