//! What one run of a program costs: wall time, time on a processor and peak memory.
//!
//! Linux tells the peak of *all* children that were waited for, so each run is measured by a process of its own: this
//! program, once more, which starts nothing else. What that process had in memory itself, 2 to 3 MB, is the least that
//! can be measured, since a child begins as a copy of it.

use anyhow::{Context as _, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// In the program and for it in the kernel: what holds when other programs take their share.
    pub(crate) processor: Duration,
    pub(crate) peak_octets: u64,
}

/// Runs the program in a process of its own that watches it.
pub(crate) fn measure(program: &[OsString]) -> anyhow::Result<Cost> {
    let this = std::env::current_exe().context("this program's own path is not known")?;
    let output = Command::new(this)
        .args(["measure", "--"])
        .args(program)
        .stdin(Stdio::null())
        .output()
        .context("this program cannot be started again")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("a measurement is one line of JSON")
}

/// In that process: runs it, and prints the cost.
pub(crate) fn run_and_print(program: &[OsString]) -> anyhow::Result<()> {
    let [name, arguments @ ..] = program else {
        bail!("which program?");
    };
    let began = Instant::now();
    let output = Command::new(name)
        .args(arguments)
        // tcpflow leaves a report where it is started.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("{} cannot be started", name.display()))?;
    let wall = began.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or_default();
        bail!("{}: {}: {last}", name.display(), output.status);
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    // Linux counts in KiB, macOS in octets.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1_024 };
    let spent = [usage.user_time(), usage.system_time()]
        .map(|time| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0)));
    let cost = Cost {
        wall,
        processor: spent[0] + spent[1],
        peak_octets: u64::try_from(usage.max_rss())? * unit,
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

/// Whether a program of this name is installed.
pub(crate) fn is_installed(name: &OsStr) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join(name).is_file())
}
