//! How much a program may use up.
//!
//! Memory is not among it: what a process reserves says nothing about what it takes. The compilers' address sanitizer
//! reserves terabytes, and fails under any limit. The watchdog counts what is taken.

use super::Purpose;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::io;

const MIB: u64 = 1 << 20;

/// Limits of one program, set on its first process and inherited by all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads; none where the kernel would count other people's with them.
    pub tasks: Option<u64>,
    /// Processor time of one process, in seconds.
    pub cpu_s: u64,
    /// Size of a file it writes, in octets.
    pub file: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Files in memory (`/tmp`, `/dev/shm`, the home folder, the scenario's layer), each, in octets.
pub(super) const fn scratch(purpose: Purpose) -> u64 {
    match purpose {
        Purpose::Program => 64 * MIB,
        Purpose::Build => 512 * MIB,
    }
}

impl Limits {
    /// The limits for this purpose on this machine.
    pub fn of(purpose: Purpose) -> Self {
        let tasks = |limit| counts_per_namespace().then_some(limit);
        match purpose {
            Purpose::Program => Limits {
                tasks: tasks(128),
                cpu_s: 60,
                file: 32 * MIB,
                descriptors: 256,
            },
            Purpose::Build => Limits {
                tasks: tasks(1024),
                cpu_s: 900,
                file: 1024 * MIB,
                descriptors: 4096,
            },
        }
    }

    /// Processes and threads that a user may have who is nobody else: all programs of a submission together.
    pub(super) fn tasks_of_a_user(purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Program => 512,
            Purpose::Build => 1024,
        }
    }

    /// Sets the limits on this process. None can be raised again.
    ///
    /// # Errors
    /// When the system refuses, with the limit's name.
    pub fn set(&self) -> io::Result<()> {
        let limits = [
            (Resource::RLIMIT_CPU, Some(self.cpu_s)),
            (Resource::RLIMIT_FSIZE, Some(self.file)),
            (Resource::RLIMIT_NOFILE, Some(self.descriptors)),
            (Resource::RLIMIT_CORE, Some(0)),
            (Resource::RLIMIT_NPROC, self.tasks),
        ];
        for (resource, limit) in limits {
            let Some(limit) = limit else { continue };
            // One that is lower already stays as it is.
            let (_, highest) = getrlimit(resource)?;
            let limit = limit.min(highest);
            setrlimit(resource, limit, limit)
                .map_err(|error| io::Error::other(format!("{resource:?}: {error}")))?;
        }
        Ok(())
    }
}

/// Whether the kernel counts a user's processes in each user namespace by themselves (Linux 5.14). An older one counts
/// all the user's processes on the machine, of which there may be hundreds.
fn counts_per_namespace() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    is_at_least(&release, (5, 14))
}

fn is_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_number_and_not_by_letter() {
        #[track_caller]
        fn check(release: &str, expected: bool) {
            assert_eq!(is_at_least(release, (5, 14)), expected, "{release}");
        }
        check("6.1.0-28-amd64\n", true);
        check("5.15.153.1-microsoft-standard-WSL2\n", true);
        check("5.14.0", true);
        check("5.4.0-150-generic", false);
        check("4.18.0", false);
        check("", false);
    }
}
