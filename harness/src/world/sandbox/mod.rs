//! What is put around a program of somebody else's: what it sees of the files, what it may use up, what it may ask the
//! kernel for.
//!
//! ```text
//! harness ──▶ bwrap (own users, processes, files; no capabilities) ──▶ harness, inside ──▶ the program
//!                                                                     (session, limits, system call filter)
//! ```
//!
//! [`view`] decides what is visible, [`limits`] and [`filter`] what is allowed, [`inside`] is the last step before the
//! program: `harness-inside`, or this very program, handed in as an open file, so that nothing of the harness is visible
//! inside. [`layer`]
//! gives each scenario's programs a folder they may write to without changing the submission. Below L3 there is no
//! bwrap: [`guard`] restricts the process itself, and where real root runs the harness, [`spare`] has it be another user.
//!
//! Not here: the network and the processes of a scenario ([`capture::namespace`]).

pub mod filter;
pub mod guard;
pub mod inside;
pub mod layer;
pub mod limits;
pub mod spare;
pub mod view;

use super::interpreter::Interpreters;
use super::keeper::KEEPER_ARGUMENT;
use crate::sys;
use inside::{INSIDE_ARGUMENT, Inside};
use limits::Limits;
use serde::{Deserialize, Serialize};
use spare::Spare;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use view::View;

/// How a program's world is set: the closed set of ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// Not at all.
    #[default]
    None,
    /// bubblewrap, limits and a system call filter (L3).
    Bubble,
    /// Landlock, limits and a system call filter on the process itself (L1, L1r).
    Guard,
}

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A program under test: the submission's folder is the scenario's layer, limits are tight.
    Program,
    /// A build: writes into the submission's folder, has no network and more room.
    Build,
}

/// A sandbox for the programs of one submission.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// How.
    pub confinement: Confinement,
    /// What is visible.
    pub view: View,
    /// Where bwrap is.
    pub bwrap: Option<PathBuf>,
    /// The small program for the last step within bwrap, where there is one.
    #[serde(default)]
    pub small: Option<PathBuf>,
    /// The user that programs are run by, where they have one of their own (L1r).
    #[serde(default)]
    pub spare: Option<Spare>,
    /// What is started where a name means a shim.
    #[serde(default)]
    pub interpreters: Interpreters,
}

impl Sandbox {
    /// A sandbox that starts what is asked for, shims included.
    pub fn new(
        confinement: Confinement,
        view: View,
        bwrap: Option<PathBuf>,
        spare: Option<Spare>,
    ) -> Self {
        let small = match confinement {
            Confinement::Bubble => inside::small_program(),
            Confinement::Guard | Confinement::None => None,
        };
        Sandbox {
            confinement,
            view,
            bwrap,
            small,
            spare,
            interpreters: Interpreters::default(),
        }
    }

    /// Gives the user of its own its copy of the submission, `after` the builds or before them, whichever is right.
    ///
    /// # Errors
    /// When it cannot be made, with the path.
    pub fn bring(&self, after: bool) -> io::Result<()> {
        match &self.spare {
            Some(spare) if spare.builds_in_place == after => spare.bring(),
            _ => Ok(()),
        }
    }

    /// The command that runs `words` in `dir` with this environment, inside.
    ///
    /// # Errors
    /// When the program does not exist, in the words of the system; when no descriptor is to be had.
    pub fn command(
        &self,
        words: &[String],
        dir: &Path,
        environment: &[(OsString, OsString)],
        purpose: Purpose,
    ) -> io::Result<Command> {
        let path = environment
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.as_os_str());
        let spare = self
            .spare
            .as_ref()
            .filter(|spare| purpose == Purpose::Program || !spare.builds_in_place);
        let (mut words, mut dir, mut view) =
            (words.to_vec(), dir.to_owned(), Cow::Borrowed(&self.view));
        if let Some(spare) = spare {
            let real = std::fs::canonicalize(&dir)?;
            (words, dir) = (spare.reword(&words, &real), spare.place(&real));
            view.to_mut().folder = spare.copy.clone();
        }
        find_program(&words[0], &dir, path)?;
        let mut limits = Limits::of(purpose);
        if self.confinement == Confinement::Guard {
            // Without a user namespace the kernel would count everything else the user runs.
            limits.tasks = spare.and(Some(Limits::tasks_of_a_user(purpose)));
        }
        let inside = Inside {
            words,
            limits,
            guard: (self.confinement == Confinement::Guard).then(|| view.guard(purpose)),
            user: spare.map(|spare| spare.uid),
        };
        let spec = serde_json::to_string(&inside).map_err(io::Error::other)?;
        // Without the small program, or when it has gone meanwhile, this one can do the same; who plays a part of the
        // harness's own must come from this one.
        let is_own = inside.words[0] == inside::MYSELF;
        let small = self.small.as_deref().filter(|_| !is_own);
        let small = small.and_then(|small| File::open(small).ok());
        let program: OwnedFd = small.map_or_else(|| File::open(inside::MYSELF), Ok)?.into();
        let executable = format!("/proc/self/fd/{}", program.as_raw_fd());
        let mut command = match (self.confinement, &self.bwrap) {
            (Confinement::Bubble, Some(bwrap)) => {
                let dir = std::fs::canonicalize(&dir)?;
                let arguments = written(&self.view.arguments(&dir, environment, purpose))?;
                let mut command = Command::new(bwrap);
                // Whatever is in bwrap's own environment can be read inside, in /proc/1/environ.
                command.env_clear();
                command
                    .args(["--args", &arguments.as_raw_fd().to_string(), "--"])
                    .arg(&executable);
                sys::pass_on(&mut command, arguments);
                command
            }
            _ => {
                let mut command = Command::new(&executable);
                command.env_clear().current_dir(dir);
                command.envs(environment.iter().map(|(name, value)| (name, value)));
                if let Some(scratch) = &self.view.scratch {
                    command.env("TMPDIR", scratch);
                    if spare.is_some() {
                        // The other user's home is closed to it.
                        command.env("HOME", scratch);
                    }
                }
                if self.confinement == Confinement::Guard && purpose == Purpose::Build {
                    // The programs' keeper is around the stage; a build has no stage.
                    command.args([KEEPER_ARGUMENT, &std::process::id().to_string()]);
                }
                command
            }
        };
        command.args([INSIDE_ARGUMENT, &spec]);
        sys::pass_on(&mut command, program);
        sys::first_to_go(&mut command);
        Ok(command)
    }
}

/// Finds a program as `execvp` would, and says what the system would have said.
pub(super) fn find_program(program: &str, dir: &Path, path: Option<&OsStr>) -> io::Result<PathBuf> {
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![dir.join(program)]
    } else {
        std::env::split_paths(path.unwrap_or(OsStr::new("/usr/bin:/bin")))
            .map(|folder| folder.join(program))
            .collect()
    };
    let mut refused = None;
    for candidate in candidates {
        match nix::unistd::access(&candidate, nix::unistd::AccessFlags::X_OK) {
            Ok(()) if candidate.is_file() => return Ok(candidate),
            Ok(()) => refused = Some(nix::errno::Errno::EACCES),
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => {}
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or(nix::errno::Errno::ENOENT).into())
}

/// A file in memory with every argument, each ended by a NUL, to be read from its beginning.
fn written(arguments: &[OsString]) -> io::Result<OwnedFd> {
    let memory =
        nix::sys::memfd::memfd_create(c"arguments", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(memory);
    for argument in arguments {
        file.write_all(argument.as_bytes())?;
        file.write_all(&[0])?;
    }
    file.rewind()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_refused_in_the_words_of_the_system() {
        #[track_caller]
        fn check(program: &str, expected: io::ErrorKind) {
            let found = find_program(program, Path::new("/"), Some(OsStr::new("/usr/bin:/bin")));
            assert_eq!(found.expect_err("it is not there").kind(), expected);
        }
        check("no-such-program-socket-lab", io::ErrorKind::NotFound);
        check("./no-such-program-socket-lab", io::ErrorKind::NotFound);
        check("./etc", io::ErrorKind::PermissionDenied);
        let found = find_program("sh", Path::new("/"), Some(OsStr::new("/usr/bin:/bin")));
        assert!(found.is_ok());
    }
}
