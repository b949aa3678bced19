//! Which isolation this machine allows, found by trying each thing in a process of its own, never by the system's name.
//!
//! | level | network and processes | files, memory, system calls |
//! |---|---|---|
//! | L3 | of its own for each scenario | bubblewrap, limits, filter |
//! | L3n | of its own for each scenario | shared |
//! | L1r | shared | a user of its own for each submission, Landlock, limits, filter |
//! | L1 | shared | Landlock, limits, filter |
//! | L0 | shared | shared |

use super::sandbox::spare::{Spare, SpareUser};
use super::sandbox::view::View;
use super::sandbox::{Confinement, Purpose, Sandbox, layer};
use super::trial;
use capture::namespace::{self, Seclusion};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

/// A rung of the isolation ladder, from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// A process group per program; network, files and processes shared with everything else.
    L0,
    /// Each program restricts itself: which files it reaches, how much it takes, what it asks the kernel for.
    L1,
    /// That, by a user that nobody else is, on a copy of the submission: for real root.
    L1r,
    /// A network and processes of its own for each scenario; files shared.
    L3n,
    /// That, and a sandbox around each program.
    L3,
}

/// Every level, with its name.
const LEVELS: [(Level, &str); 5] = [
    (Level::L0, "L0"),
    (Level::L1, "L1"),
    (Level::L1r, "L1r"),
    (Level::L3n, "L3n"),
    (Level::L3, "L3"),
];

impl Level {
    /// Whether this level gives everything that another one does. L3n and L1 (L1r) each lack what the other has.
    pub fn satisfies(self, required: Level) -> bool {
        self == required
            || self == Level::L3
            || required == Level::L0
            || (self, required) == (Level::L1r, Level::L1)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = LEVELS.iter().find(|(level, _)| level == self);
        f.write_str(name.map_or("L0", |(_, name)| name))
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = LEVELS
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(level, _)| *level).ok_or_else(|| {
            "the levels are L3, L3n, L1r, L1 and L0 (see `harness doctor`)".to_owned()
        })
    }
}

/// What is tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The scenario's seclusion.
    pub seclusion: Seclusion,
    /// What is around each program.
    pub confinement: Confinement,
    /// Where bwrap is.
    pub bwrap: Option<PathBuf>,
    /// Whether each program is run by a user of its own.
    #[serde(default)]
    pub spare: bool,
    /// A folder that a layer in memory is laid over.
    #[serde(default)]
    pub layer: Option<PathBuf>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What it would give.
    pub what: String,
    /// What was tried.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The system's refusal, if it refused.
    pub error: Option<String>,
}

/// What this machine allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isolation {
    /// The rung reached.
    pub level: Level,
    /// How stages are secluded on it.
    pub seclusion: Seclusion,
    /// What is around each program on it.
    pub confinement: Confinement,
    /// Where bwrap is.
    pub bwrap: Option<PathBuf>,
    /// What was asked not to be exceeded.
    pub at_most: Option<Level>,
    /// Everything that was tried, best first.
    pub trials: Vec<Trial>,
}

impl Isolation {
    /// Tries each rung from the best down, in a process of its own each, until one is granted; with `at_most`, from
    /// that rung down.
    pub fn probe(at_most: Option<Level>) -> Self {
        let mut isolation = Isolation {
            level: Level::L0,
            seclusion: Seclusion::default(),
            confinement: Confinement::None,
            bwrap: find_bwrap(),
            at_most,
            trials: Vec::new(),
        };
        let allowed = |level| at_most.is_none_or(|at_most| level <= at_most);
        if allowed(Level::L3n) && isolation.try_seclusions() {
            isolation.level = Level::L3n;
        }
        let private = isolation.seclusion.network && isolation.seclusion.processes;
        if private && allowed(Level::L3) {
            let what = "files of its own for each program (bubblewrap)";
            let attempt = Attempt {
                seclusion: isolation.seclusion,
                confinement: Confinement::Bubble,
                ..Attempt::default()
            };
            if isolation.attempt(what, attempt) {
                isolation.level = Level::L3;
                isolation.confinement = Confinement::Bubble;
            }
        }
        let guarded = [
            (
                Level::L1r,
                "a user of its own for each submission, with files of its own (Landlock)",
            ),
            (Level::L1, "files of its own for each program (Landlock)"),
        ];
        for (level, what) in guarded {
            let possible = level == Level::L1 || nix::unistd::geteuid().is_root();
            if isolation.level == Level::L0 && allowed(level) && possible {
                let attempt = Attempt {
                    confinement: Confinement::Guard,
                    spare: level == Level::L1r,
                    ..Attempt::default()
                };
                if isolation.attempt(what, attempt) {
                    isolation.level = level;
                    isolation.confinement = Confinement::Guard;
                }
            }
        }
        isolation
    }

    /// Tries whether programs get a layer over a folder, so that what they write is gone with the scenario; where it is
    /// refused they write into the folder itself, and that is among what is [`missing`](Self::missing). Without a sandbox
    /// there is no layer to try.
    pub fn try_layer(&mut self, folder: &Path) {
        if self.confinement == Confinement::Bubble {
            let attempt = Attempt {
                seclusion: self.seclusion,
                confinement: Confinement::Bubble,
                layer: Some(folder.to_owned()),
                ..Attempt::default()
            };
            let what = "a layer over the submission's folder, which keeps what programs write there out of it";
            self.attempt(what, attempt);
        }
    }

    /// Whether one of the seclusions was granted; it is set then.
    fn try_seclusions(&mut self) -> bool {
        let user = !nix::unistd::geteuid().is_root();
        let rungs = [
            ("a network and processes of its own", user, true),
            (
                "a network and processes of its own, through a user namespace",
                true,
                true,
            ),
            ("a network of its own, processes shared", user, false),
            (
                "a network of its own through a user namespace, processes shared",
                true,
                false,
            ),
        ];
        for (what, user, processes) in rungs {
            let seclusion = Seclusion {
                network: true,
                user,
                processes,
            };
            let tried = self
                .trials
                .iter()
                .any(|trial| trial.attempt.seclusion == seclusion);
            let attempt = Attempt {
                seclusion,
                ..Attempt::default()
            };
            if !tried && self.attempt(what, attempt) {
                self.seclusion = seclusion;
                return true;
            }
        }
        false
    }

    fn attempt(&mut self, what: &str, mut attempt: Attempt) -> bool {
        attempt.bwrap.clone_from(&self.bwrap);
        let error = if attempt.confinement == Confinement::Bubble && attempt.bwrap.is_none() {
            Some("there is no program `bwrap`".to_owned())
        } else {
            trial::ask(PROBE_ARGUMENT, &attempt).err()
        };
        let granted = error.is_none();
        self.trials.push(Trial {
            what: what.to_owned(),
            attempt,
            error,
        });
        granted
    }

    /// What was refused and is not given by another rung either.
    pub fn missing(&self) -> Vec<String> {
        let lacks = |attempt: &Attempt| {
            let (wanted, had) = (attempt.seclusion, self.seclusion);
            (wanted.network && !had.network)
                || (wanted.processes && !had.processes)
                || (attempt.confinement != Confinement::None
                    && self.confinement == Confinement::None)
        };
        let refused = self.trials.iter().filter(|trial| {
            let attempt = &trial.attempt;
            lacks(attempt)
                || (attempt.spare && self.level != Level::L1r)
                || (attempt.layer.is_some() && trial.error.is_some())
        });
        let mut missing: Vec<String> = refused.map(|trial| trial.what.clone()).collect();
        if let Some(at_most) = self.at_most {
            missing.push(format!(
                "anything above {at_most}, as asked with --isolation"
            ));
        }
        missing
    }

    /// What programs share with the rest of the machine at this level, for people.
    pub fn shared(&self) -> &'static str {
        match (self.level, self.seclusion.processes) {
            (Level::L3, _) => {
                "each scenario has a network and processes of its own, and each program is sandboxed; the kernel is shared"
            }
            (Level::L3n, true) => {
                "each scenario has a network and processes of its own; files are shared, nothing is sandboxed"
            }
            (Level::L3n, false) => {
                "each scenario has a network of its own; files and processes are shared, nothing is sandboxed"
            }
            (Level::L1r, _) => {
                "programs run as a user that nobody else is, in a copy of the submission, and reach only that and the system's files; network and processes are shared with this machine; scenarios run one at a time"
            }
            (Level::L1, _) => {
                "programs reach only their own files and the system's; network and processes are shared with this machine; scenarios run one at a time"
            }
            (Level::L0, _) => {
                "network, files and processes are shared with this machine; scenarios run one at a time"
            }
        }
    }

    /// The sandbox of this level around programs with this view; at L1r they are run by `spare`.
    pub fn sandbox(&self, view: View, spare: Option<Spare>) -> Sandbox {
        Sandbox::new(self.confinement, view, self.bwrap.clone(), spare)
    }

    /// Refuses to go on below a level.
    ///
    /// # Errors
    /// When this machine does not reach it, with what was refused and how to get it.
    pub fn require(&self, required: Level) -> miette::Result<()> {
        if self.level.satisfies(required) {
            return Ok(());
        }
        let mut help = self.advice();
        help.push("`harness doctor` shows what was tried".to_owned());
        let refused: Vec<String> = self
            .trials
            .iter()
            .filter_map(|trial| Some(format!("; {}: {}", trial.what, trial.error.as_ref()?)))
            .collect();
        Err(miette::miette!(
            help = help.join("\n"),
            "isolation {required} is required, and this machine gives {}{}; nothing was run",
            self.level,
            refused.concat()
        ))
    }

    /// Refuses to run strangers' programs where they reach everybody's files, unless they are trusted.
    ///
    /// # Errors
    /// As [`Self::require`].
    pub fn require_for_strangers(&self, trusted: bool) -> miette::Result<()> {
        if trusted {
            Ok(())
        } else {
            self.require(Level::L1)
        }
    }

    /// Commands that would raise the level on this system, as far as its refusals tell.
    pub fn advice(&self) -> Vec<String> {
        if let Some(at_most) = self.at_most.filter(|at_most| *at_most <= self.level) {
            return vec![format!("leave out --isolation {at_most}")];
        }
        let mut advice = Vec::new();
        let refused = |confinement| {
            self.trials.iter().any(|trial| {
                trial.attempt.confinement == confinement
                    && trial.attempt.layer.is_none()
                    && trial.error.is_some()
            })
        };
        if !self.seclusion.network || !self.seclusion.processes {
            advice.extend(namespace::advice());
            if setting("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
                advice.push(apparmor_profile());
            }
            if advice.is_empty() {
                advice.push("run the harness as root: the system refuses namespaces to ordinary users and does not say why".to_owned());
            }
        }
        if self.level != Level::L3 && self.bwrap.is_none() {
            advice.push(format!(
                "install bubblewrap: {}",
                install_command("bubblewrap")
            ));
        } else if refused(Confinement::Bubble) {
            advice.push(format!(
                "bubblewrap 0.8 or newer is needed; this one is {}",
                self.bwrap.as_deref().map_or_else(String::new, version_of)
            ));
        }
        let spare = self.trials.iter().find(|trial| trial.attempt.spare);
        if let Some(error) = spare.and_then(|trial| trial.error.as_ref())
            && error.ends_with(UNREACHABLE)
        {
            advice.push(format!(
                "for a user of its own for each submission: {error}; install it for everybody, outside home folders"
            ));
        }
        if refused(Confinement::Guard) && self.level == Level::L0 {
            advice.push(
                "Landlock: a kernel of Linux 5.13 or newer, started with `landlock` among lsm=…"
                    .to_owned(),
            );
        }
        advice
    }
}

fn setting(name: &str) -> Option<String> {
    let value = std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(value.trim().to_owned())
}

/// For good, and for this program only (Ubuntu 24.04).
fn apparmor_profile() -> String {
    let program = std::env::current_exe().map_or_else(
        |_| "/path/to/harness".to_owned(),
        |path| path.display().to_string(),
    );
    format!(
        "or, for this program and for good:\n    printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile socket-lab-harness {program} flags=(unconfined) {{\\n  userns,\\n}}\\n' \
         | sudo tee /etc/apparmor.d/socket-lab-harness && sudo apparmor_parser -r /etc/apparmor.d/socket-lab-harness"
    )
}

/// With the package manager that is here.
fn install_command(package: &str) -> String {
    let managers = [
        ("apt-get", "sudo apt-get install -y --no-install-recommends"),
        ("dnf", "sudo dnf install -y"),
        ("pacman", "sudo pacman -S --needed --noconfirm"),
        ("apk", "sudo apk add"),
        ("zypper", "sudo zypper install -y"),
    ];
    let here = managers
        .iter()
        .find(|(manager, _)| find_in_path(manager).is_some());
    here.map_or_else(
        || format!("the package is called {package}"),
        |(_, command)| format!("{command} {package}"),
    )
}

/// Languages that programs of the lab are written in, by the program that runs or translates them.
pub const LANGUAGES: [(&str, &str); 6] = [
    ("python3", "Python"),
    ("node", "JavaScript"),
    ("java", "Java"),
    ("cc", "C"),
    ("go", "Go"),
    ("ruby", "Ruby"),
];

fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_absolute() && candidate.is_file())
}

/// On the PATH, or where distributions put it.
fn find_bwrap() -> Option<PathBuf> {
    let usual = ["/usr/bin/bwrap", "/bin/bwrap"].map(PathBuf::from);
    find_in_path("bwrap").or_else(|| usual.into_iter().find(|path| path.is_file()))
}

fn version_of(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The hidden argument that makes the program try one thing and exit.
pub const PROBE_ARGUMENT: &str = "__probe";

/// What the program does for [`PROBE_ARGUMENT`]: exit status 0 when what was tried is granted.
pub fn probe_main(spec: &str) -> i32 {
    let tried = serde_json::from_str(spec)
        .map_err(io::Error::other)
        .and_then(|attempt| probe(&attempt));
    trial::answer(tried)
}

fn probe(attempt: &Attempt) -> io::Result<()> {
    if attempt.seclusion.network {
        namespace::enter(attempt.seclusion)?;
        // A bound socket shows that the new network is usable, not just there.
        std::net::UdpSocket::bind("127.0.0.1:0")?;
    }
    if let Some(folder) = &attempt.layer {
        return layer::lay_over(folder);
    }
    if attempt.confinement == Confinement::None {
        return Ok(());
    }
    let folder = PathBuf::from("/usr");
    let user = attempt.spare.then(SpareUser::take).transpose()?;
    let spare = user.as_ref().map(|user| Spare {
        uid: user.uid(),
        folder: folder.clone(),
        copy: folder.clone(),
        without: Vec::new(),
        builds_in_place: false,
    });
    let view = View {
        folder: folder.clone(),
        ..View::default()
    };
    let sandbox = Sandbox::new(attempt.confinement, view, attempt.bwrap.clone(), spare);
    let (words, path) = match &user {
        None => (vec!["true".to_owned()], OsString::from("/usr/bin:/bin")),
        Some(user) => (
            uses_languages_as(user.uid()),
            std::env::var_os("PATH").unwrap_or_default(),
        ),
    };
    let environment = [(OsString::from("PATH"), path)];
    let mut command = sandbox.command(&words, &folder, &environment, Purpose::Program)?;
    // Its complaint is this process's.
    let status = command.stdin(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "a program in it ended with {status}"
        )))
    }
}

/// What is said of such a language.
const UNREACHABLE: &str = "is installed where another user cannot reach it";

/// A command that succeeds when this user runs it and finds every language that is found here: a language that is
/// installed in a home folder closed to others is none for another user.
fn uses_languages_as(uid: u32) -> Vec<String> {
    let script = format!(
        "[ \"$(id -u)\" = \"$0\" ] || {{ echo \"the user is $(id -u) and not $0\" >&2; exit 1; }}
        for program do command -v \"$program\" >/dev/null || {{
            echo \"$program {UNREACHABLE}\" >&2; exit 1; }}
        done"
    );
    let found = LANGUAGES
        .iter()
        .filter(|(program, _)| find_in_path(program).is_some());
    ["sh", "-c", &script, &uid.to_string()]
        .into_iter()
        .chain(found.map(|(program, _)| *program))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isolation(level: Level) -> Isolation {
        Isolation {
            level,
            seclusion: Seclusion::default(),
            confinement: Confinement::None,
            bwrap: None,
            at_most: None,
            trials: Vec::new(),
        }
    }

    #[test]
    fn a_level_satisfies_only_what_it_gives() {
        #[track_caller]
        fn check(level: Level, required: Level, expected: bool) {
            assert_eq!(level.satisfies(required), expected);
            assert_eq!(isolation(level).require(required).is_ok(), expected);
        }
        check(Level::L3, Level::L3, true);
        check(Level::L3, Level::L1, true);
        check(Level::L3n, Level::L3, false);
        check(Level::L3n, Level::L1, false);
        check(Level::L1, Level::L3n, false);
        check(Level::L1r, Level::L1, true);
        check(Level::L1, Level::L1r, false);
        check(Level::L1r, Level::L3n, false);
        check(Level::L3n, Level::L1r, false);
        check(Level::L3, Level::L1r, true);
        check(Level::L0, Level::L1, false);
        check(Level::L0, Level::L0, true);
    }

    #[test]
    fn strangers_are_run_only_where_files_are_guarded_or_they_are_trusted() {
        assert!(isolation(Level::L0).require_for_strangers(false).is_err());
        assert!(isolation(Level::L3n).require_for_strangers(false).is_err());
        assert!(isolation(Level::L1).require_for_strangers(false).is_ok());
        assert!(isolation(Level::L1r).require_for_strangers(false).is_ok());
        assert!(isolation(Level::L0).require_for_strangers(true).is_ok());
    }

    #[test]
    fn levels_are_read_as_they_are_written() {
        for (level, name) in LEVELS {
            assert_eq!(name.parse(), Ok(level));
            assert_eq!(level.to_string(), name);
        }
        assert!("L2".parse::<Level>().is_err());
    }
}
