//! The interpreter behind a shim: what pyenv, asdf and their like start in the end when `python3` is asked for.
//!
//! Such a `python3` is a shell script that looks for the version to use each time. That takes longer than the interpreter
//! itself takes to start, and a check starts programs a hundred times. So the interpreter is asked for its own path, once
//! for each folder that programs are started in, since versions may depend on the folder. It is asked inside the sandbox
//! and like a build, because a submission may decide there what is run. Where nothing sensible is said, the shim stays.

use super::sandbox::{Purpose, Sandbox, find_program};
use crate::manifest::Programs;
use crate::stage;
use crate::sys;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// An interpreter that says nothing for so long is not asked any longer.
const SAY_WITHIN: Duration = Duration::from_secs(10);

/// No path is longer, in octets.
const LONGEST_PATH: u64 = 4096;

/// Python's answer to where it is, whatever modules lie beside the programs.
const QUESTION: [&str; 3] = ["-I", "-c", "import sys; print(sys.executable)"];

/// What stands behind the shims of a submission: by folder, the name in the command and the program itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interpreters {
    found: BTreeMap<PathBuf, BTreeMap<String, String>>,
}

impl Interpreters {
    /// Asks every shim that these programs are started by.
    pub async fn behind_shims<'p>(
        programs: impl IntoIterator<Item = &'p Programs>,
        sandbox: &Sandbox,
    ) -> Self {
        let names: BTreeSet<(&Path, &str)> = programs
            .into_iter()
            .flat_map(|programs| {
                [&programs.server, &programs.client]
                    .map(|command| (programs.dir.as_path(), command.words[0].as_str()))
            })
            .collect();
        let mut found: BTreeMap<PathBuf, BTreeMap<String, String>> = BTreeMap::new();
        for (dir, name) in names.into_iter().filter(|(_, name)| is_shim(name)) {
            if let Some(real) = ask(name, dir, sandbox).await {
                let here = found.entry(dir.to_owned()).or_default();
                here.insert(name.to_owned(), real);
            }
        }
        Interpreters { found }
    }

    /// What to start in a folder instead of the program with this name, if anything.
    pub fn behind(&self, name: &str, dir: &Path) -> Option<&str> {
        self.found.get(dir)?.get(name).map(String::as_str)
    }
}

/// Whether a name means a Python that is a script.
fn is_shim(name: &str) -> bool {
    let is_python = name.starts_with("python") || name.starts_with("pypy");
    // A path leads to what its author wants to be started.
    if !is_python || name.contains('/') {
        return false;
    }
    let path = std::env::var_os("PATH");
    let Ok(program) = find_program(name, Path::new("/"), path.as_deref()) else {
        return false;
    };
    let mut beginning = [0; 2];
    File::open(program).is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok())
        && &beginning == b"#!"
}

async fn ask(name: &str, dir: &Path, sandbox: &Sandbox) -> Option<String> {
    let words: Vec<String> = std::iter::once(name)
        .chain(QUESTION)
        .map(str::to_owned)
        .collect();
    let mut command = stage::command(&words, dir, sandbox, Purpose::Build).ok()?;
    sys::in_own_session(&mut command, None);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = tokio::process::Command::from(command).spawn().ok()?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok());
    let mut said = String::new();
    let answer = async {
        let output = child.stdout.take()?;
        output
            .take(LONGEST_PATH)
            .read_to_string(&mut said)
            .await
            .ok()?;
        child.wait().await.ok()?.success().then_some(())
    };
    let answered = tokio::time::timeout(SAY_WITHIN, answer).await;
    if let Some(group) = group {
        // It fails when nothing is left of the group, which is what is wanted.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    answered.ok()??;
    let path = said.strip_suffix('\n')?;
    let is_program = path.starts_with('/')
        && !path.contains(char::is_control)
        && find_program(path, Path::new("/"), None).is_ok();
    is_program.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_python_without_a_path_may_be_a_shim() {
        assert!(!is_shim("sh"));
        assert!(!is_shim("/usr/bin/python3"));
        assert!(!is_shim("python-that-nobody-has"));
    }

    #[test]
    fn who_was_not_asked_is_started_as_written() {
        let interpreters = Interpreters::default();
        assert_eq!(interpreters.behind("python3", Path::new("/")), None);
    }
}
