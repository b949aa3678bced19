//! Exercises that are handed in as files: a capture with what was found in it (ex5), and four answers (ex7).
//!
//! ```text
//!  answers.toml ──▶ answers ─┐
//!                            ├─▶ Paper, kept in run.json ──▶ examine ──▶ verdicts
//!  capture.pcapng ▶ facts ───┘            outcomes of experiments ┘
//! ```
//!
//! [`read`] is where files are opened; everything right of it is a function of what was kept, so papers can be judged
//! again like programs. Nothing of a paper is believed that the file does not show: answers are compared with the facts
//! of *that* capture. What a file leaves open is inconclusive.

pub mod answers;
pub mod examine;
pub mod facts;

use crate::lab::Exercise;
use answers::Answers;
use facts::Facts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Longer answers are nobody's.
const MOST_ANSWERS: u64 = 64 << 10;
/// Larger captures are not read: one of the lab has some kilobytes.
const MOST_CAPTURE: u64 = 256 << 20;

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperFiles {
    /// The folder that the manifest names for them. What `check` is given may lie elsewhere, as one's own programs may;
    /// `grade` refuses a manifest that leads out of the submission.
    pub dir: PathBuf,
    /// What was captured.
    pub capture: Option<PathBuf>,
    /// What was found in it, or the answers.
    pub answers: PathBuf,
}

/// What was handed in, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paper {
    /// The answers, or why there are none.
    pub answers: Reading<Answers>,
    /// What the capture shows, or why nothing; none when no capture belongs to it.
    pub capture: Option<Reading<Facts>>,
}

/// Something that was read, or why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading<T> {
    /// It was.
    Read(T),
    /// It was not: a sentence with the place.
    Unreadable(String),
}

/// Reads what was handed in for an exercise. `home` is the submission's folder, and files outside the one that the manifest
/// names are not opened, wherever links lead. `ports` are those on which the submission's programs talk, as far as they are known.
pub fn read(exercise: Exercise, files: &PaperFiles, home: &Path, ports: &BTreeSet<u16>) -> Paper {
    let open = |path: &Path, most| open(path, &files.dir, home, most);
    let answers = match open(&files.answers, MOST_ANSWERS) {
        Ok((mut file, name)) => {
            let mut text = Vec::new();
            match file.read_to_end(&mut text) {
                Ok(_) => answers::parse(exercise, &name, &text),
                Err(error) => Reading::Unreadable(format!("cannot read {name}: {error}")),
            }
        }
        Err(why) => Reading::Unreadable(why),
    };
    let capture = files.capture.as_ref().map(|path| {
        let mut ports = ports.clone();
        let mut named = None;
        if let Reading::Read(Answers::Handshake(answers)) = &answers {
            ports.extend(answers.server_port);
            named = answers.client_port.zip(answers.server_port);
        }
        match open(path, MOST_CAPTURE) {
            Ok((file, name)) => facts::of_file(file, &name, ports, named),
            Err(why) => Reading::Unreadable(why),
        }
    });
    Paper { answers, capture }
}

/// Opens a plain file of the submission's, and says what it is called there.
fn open(path: &Path, dir: &Path, home: &Path, most: u64) -> Result<(File, String), String> {
    let name = path
        .strip_prefix(home)
        .unwrap_or(path)
        .display()
        .to_string();
    let cannot = |error: std::io::Error| format!("cannot open {name}: {error}");
    let real = path.canonicalize().map_err(cannot)?;
    if !dir.canonicalize().is_ok_and(|dir| real.starts_with(dir)) {
        return Err(format!("{name} leads out of the submission's folder"));
    }
    // Without waiting for the other end of a FIFO.
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW)
        .open(&real)
        .map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(format!("{name} is no plain file"));
    }
    if about.len() > most {
        return Err(format!(
            "{name} has {} octets; no more than {most} are read",
            about.len()
        ));
    }
    Ok((file, name))
}
