//! What the tests share: running the harness on a copy of a fixture, and what is needed for it.

use serde_json::Value;
use std::cell::Cell;
use std::ffi::OsString;
use std::io::Write as _;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tempfile::TempDir;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the repository")
        .to_owned()
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// The harness's command, in a folder of the test's own. Waits while a test has the machine to itself.
pub(crate) fn harness(cwd: &Path) -> Harness {
    harness_at(Path::new(env!("CARGO_BIN_EXE_harness")), cwd)
}

/// The same with a harness that lies elsewhere.
pub(crate) fn harness_at(program: &Path, cwd: &Path) -> Harness {
    let mut command = Command::new(program);
    command.current_dir(cwd).env("PATH", system_first());
    Harness {
        command,
        _beside: Beside::others(),
    }
}

/// Where programs are looked for: first among the system's. What version managers build themselves may take several
/// times as long to start, and a check starts programs a hundred times.
fn system_first() -> OsString {
    let mut path = OsString::from("/usr/bin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// A command beside which no test takes most of the machine, as long as this is there.
pub(crate) struct Harness {
    command: Command,
    _beside: Option<Beside>,
}

impl Harness {
    /// The command alone: for what takes next to nothing of the machine.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

impl Deref for Harness {
    type Target = Command;

    fn deref(&self) -> &Command {
        &self.command
    }
}

impl DerefMut for Harness {
    fn deref_mut(&mut self) -> &mut Command {
        &mut self.command
    }
}

/// Who uses the machine: many tests at a time, or one that takes most of it and would take it from the others.
static MACHINE: RwLock<()> = RwLock::new(());

thread_local! {
    /// Whether this thread need not ask for its share of the machine.
    static HAS_A_SHARE: Cell<bool> = const { Cell::new(false) };
}

/// A share of the machine, for as long as it is there.
struct Beside {
    _shared: RwLockReadGuard<'static, ()>,
}

impl Beside {
    /// Nothing, if the thread has its share already.
    fn others() -> Option<Self> {
        if HAS_A_SHARE.get() {
            return None;
        }
        // A test that has failed leaves nothing behind.
        let shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        HAS_A_SHARE.set(true);
        Some(Beside { _shared: shared })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        HAS_A_SHARE.set(false);
    }
}

/// For tests that take most of the machine: no other one runs the harness, as long as this is there.
pub(crate) fn alone() -> Alone {
    let machine = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    HAS_A_SHARE.set(true);
    Alone { _machine: machine }
}

pub(crate) struct Alone {
    _machine: RwLockWriteGuard<'static, ()>,
}

impl Alone {
    /// Lets the calling thread take part, too.
    pub(crate) fn share(&self) {
        HAS_A_SHARE.set(true);
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        HAS_A_SHARE.set(false);
    }
}

/// The harness where namespaces are refused, as on some systems: in a user namespace that allows no network
/// namespaces.
pub(crate) fn harness_without_namespaces(copy: &Copy) -> Harness {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c"]);
    command
        .arg("echo 0 > /proc/sys/user/max_net_namespaces && exec \"$@\"")
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_harness"));
    command
        .current_dir(copy.home.path())
        .env("PATH", system_first());
    Harness {
        command,
        _beside: Beside::others(),
    }
}

/// Whether everything named is on this machine; otherwise says so where nobody can miss it.
pub(crate) fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|program| {
            !std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        })
        .collect();
    missing.is_empty() || skip(&format!("needs {missing:?} on the PATH"))
}

/// What the harness says of this machine.
fn doctor() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("doctor")
        .output()
        .expect("the harness can be started");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether scenarios can have a network of their own here.
pub(crate) fn has_netns() -> bool {
    doctor().starts_with("isolation L3") || skip("needs a network namespace (see `harness doctor`)")
}

/// Whether the wire can be watched here.
pub(crate) fn has_capture() -> bool {
    doctor().contains("\ncapture: granted")
        || skip("needs the right to capture in a network namespace (see `harness doctor`)")
}

/// Whether cables can be laid here.
pub(crate) fn has_cables() -> bool {
    doctor().contains("\ncables: granted")
        || skip("needs virtual Ethernet in a network namespace (see `harness doctor`)")
}

pub(crate) fn skip(why: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test} {why}"
    );
    // Written directly: what `eprintln!` prints in a test that passes is not shown.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test} {why}");
    false
}

/// A copy of a fixture in a folder of its own, so that builds and leftovers cannot be confused with another's.
pub(crate) struct Copy {
    pub(crate) home: TempDir,
    pub(crate) dir: PathBuf,
}

impl Copy {
    pub(crate) fn of(name: &str) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let dir = home
            .path()
            .join(Path::new(name).file_name().expect("fixtures have names"));
        copy(&fixture(name), &dir);
        Copy { home, dir }
    }

    /// An empty folder.
    pub(crate) fn empty(name: &str) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let dir = home.path().join(name);
        std::fs::create_dir(&dir).expect("a folder can be made");
        Copy { home, dir }
    }

    /// Checks it and reads the JSON report.
    pub(crate) fn check(&self, arguments: &[&str]) -> Checked {
        self.check_by(harness(self.home.path()), arguments)
    }

    /// The same where namespaces are refused.
    pub(crate) fn check_without_namespaces(&self, arguments: &[&str]) -> Checked {
        self.check_by(harness_without_namespaces(self), arguments)
    }

    fn check_by(&self, mut harness: Harness, arguments: &[&str]) -> Checked {
        let output = harness
            .arg("check")
            .arg(&self.dir)
            .args(["--format", "json"])
            .args(arguments)
            .args(
                (!arguments.contains(&"--seed"))
                    .then_some(["--seed", "1"])
                    .into_iter()
                    .flatten(),
            )
            .output()
            .expect("the harness can be started");
        Checked::read(output)
    }

    /// Processes that still work in the copy.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        Self::leftovers_in(self.home.path())
    }

    /// Processes that still work in a folder.
    pub(crate) fn leftovers_in(home: &Path) -> Vec<String> {
        let here = home.as_os_str().as_encoded_bytes();
        let mentions = |octets: &[u8]| octets.windows(here.len()).any(|window| window == here);
        let mut left = Vec::new();
        for entry in std::fs::read_dir("/proc")
            .expect("there is a /proc")
            .flatten()
        {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let works_here =
                std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(home));
            if works_here || mentions(&words) {
                left.push(String::from_utf8_lossy(&words).replace('\0', " "));
            }
        }
        left
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from)
        .expect("the fixture can be read")
        .flatten()
    {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}

/// What a check came to.
pub(crate) struct Checked {
    pub(crate) status: i32,
    pub(crate) report: Value,
}

impl Checked {
    #[track_caller]
    pub(crate) fn read(output: Output) -> Self {
        let status = output.status.code().expect("the harness was not killed");
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "no report ({error}), status {status}: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
        Checked { status, report }
    }

    pub(crate) fn checks(&self) -> &[Value] {
        self.report["checks"]
            .as_array()
            .expect("a report has checks")
    }

    /// The ids of the checks with a status.
    pub(crate) fn with_status(&self, status: &str) -> Vec<&str> {
        self.checks()
            .iter()
            .filter(|check| check["status"] == status)
            .map(|check| check["id"].as_str().expect("a check has an id"))
            .collect()
    }

    /// The check with this id.
    #[track_caller]
    pub(crate) fn get(&self, id: &str) -> &Value {
        self.checks()
            .iter()
            .find(|check| check["id"] == id)
            .unwrap_or_else(|| panic!("no check {id}"))
    }

    /// Everything that did not pass, for messages.
    pub(crate) fn trouble(&self) -> String {
        let failed = |check: &&Value| check["status"] != "pass";
        self.checks()
            .iter()
            .filter(failed)
            .map(|check| format!("{check:#}\n"))
            .collect()
    }
}

/// Makes stable what differs from run to run, as transcripts do; and how long everybody took to come to a standstill.
pub(crate) fn stable(text: &str) -> String {
    let still = regex::Regex::new(r"waited \d+ s, until").expect("it is one");
    text.lines()
        .map(|line| {
            let line = harness::transcript::redact(line);
            still.replace_all(&line, "waited ‹n› s, until").into_owned() + "\n"
        })
        .collect()
}
