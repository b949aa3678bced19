//! The results folder of a class.
//!
//! Everything appears by a rename, complete: a submission's folder, the index, the table. Whoever is stopped at any
//! moment leaves folders that begin with a dot, which the next run removes.

use super::roster::Partition;
use super::{Entry, Index, RESCORE, RUBRIC, SCHEMA};
use crate::results::{self, json};
use crate::rubric::Rubric;
use miette::{Result, miette};
use serde::de::DeserializeOwned;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file with the index.
pub const INDEX: &str = "index.json";
/// The file with the table.
pub const TABLE: &str = "results.csv";
/// The file with a submission's row.
pub const ENTRY: &str = "entry.json";
/// The ending of what is not complete yet.
const UNFINISHED: &str = ".unfinished";
/// The ending of what is about to be replaced.
const REPLACED: &str = ".replaced";

/// A results folder that only this process writes to.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    index: Index,
    /// Locked until it is closed.
    _lock: File,
}

impl Store {
    /// Begins results in a folder that is empty or not there yet. With `resume`, goes on with those in it where the terms
    /// are the same.
    ///
    /// # Errors
    /// When the folder holds something else, when somebody else is writing to it, when what is to be resumed was graded
    /// otherwise (saying how), and when it cannot be written.
    pub fn open(folder: &Path, wanted: Index, resume: bool) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| {
            miette!(
                help = "choose another folder with --out",
                "cannot make the results folder {}: {error}",
                folder.display()
            )
        })?;
        let lock = lock(folder)?;
        let index = match (folder.join(INDEX).exists(), resume) {
            (true, true) => resumed(folder, wanted)?,
            (true, false) => {
                return Err(miette!(
                    help = "--resume goes on with them; --out names another folder for new ones",
                    "{} holds results already",
                    folder.display()
                ));
            }
            (false, true) => {
                return Err(miette!(
                    help = "leave out --resume to begin",
                    "there is nothing to resume in {}",
                    folder.display()
                ));
            }
            (false, false) => {
                let foreign = first_foreign(folder)?;
                if let Some(foreign) = foreign {
                    return Err(miette!(
                        help = "choose an empty or a new folder with --out",
                        "{} holds something else: {foreign}",
                        folder.display()
                    ));
                }
                wanted
            }
        };
        let store = Store {
            folder: folder.to_owned(),
            index,
            _lock: lock,
        };
        store.sweep()?;
        write_index(&store.folder, &store.index)?;
        Ok(store)
    }

    /// The index as it is now.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where the results are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty folder for a submission's evidence, to be [committed](Self::commit).
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, name: &str) -> Result<PathBuf> {
        let work = self.folder.join(format!(".{name}{UNFINISHED}"));
        remove(&work)?;
        fs::create_dir(&work)
            .map_err(|error| miette!("cannot make {}: {error}", work.display()))?;
        Ok(work)
    }

    /// Throws away what was begun.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn abandon(&self, work: &Path) -> Result<()> {
        remove(work)
    }

    /// Puts a submission's evidence, which is complete, in its place, and its row in the index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn commit(&mut self, work: &Path, entry: &Entry) -> Result<()> {
        results::write(&work.join(ENTRY), &json(entry)?)?;
        let place = self.folder.join(&entry.name);
        let replaced = self.folder.join(format!(".{}{REPLACED}", entry.name));
        let moved = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(|error| {
                miette!(
                    "cannot move {} to {}: {error}",
                    from.display(),
                    to.display()
                )
            })
        };
        remove(&replaced)?;
        if place.symlink_metadata().is_ok() {
            moved(&place, &replaced)?;
        }
        moved(work, &place)?;
        remove(&replaced)?;
        if let Some(row) = self
            .index
            .submissions
            .iter_mut()
            .find(|row| row.name == entry.name)
        {
            *row = entry.clone();
        }
        write_index(&self.folder, &self.index)?;
        results::point_latest(&place);
        Ok(())
    }

    /// Removes what a run left that was stopped.
    fn sweep(&self) -> Result<()> {
        for name in names_in(&self.folder)? {
            if name.starts_with('.') && (name.ends_with(UNFINISHED) || name.ends_with(REPLACED)) {
                remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// Writes the index and the table of a results folder.
///
/// # Errors
/// When they cannot be written.
pub fn write_index(folder: &Path, index: &Index) -> Result<()> {
    replace(&folder.join(INDEX), &json(index)?)?;
    let table = crate::report::csv::render(index)
        .map_err(|error| miette!("{TABLE} cannot be written: {error}"))?;
    replace(&folder.join(TABLE), &table)
}

/// Locks the folder itself, so that no file is left over.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let cannot = |error| miette!("cannot open {}: {error}", folder.display());
    let file = File::open(folder).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(miette!(
            help = "wait for it, or choose another folder with --out",
            "another harness is writing to {}",
            folder.display()
        )),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

fn resumed(folder: &Path, mut wanted: Index) -> Result<Index> {
    let found = load(folder)?;
    let partition = |index: &Index| {
        index
            .partition
            .map_or("the whole class".to_owned(), |part| part.to_string())
    };
    let mut differing = Vec::new();
    let mut only_the_rubric = true;
    for ((what, found), (_, wanted)) in found.terms().into_iter().zip(wanted.terms()) {
        if found != wanted {
            differing.push(format!("the {what}: {found} there, {wanted} now"));
            only_the_rubric &= what == RUBRIC;
        }
    }
    if found.partition != wanted.partition {
        only_the_rubric = false;
        differing.push(format!(
            "the part of the class: {} there, {} now",
            partition(&found),
            partition(&wanted)
        ));
    } else if wanted.partition.is_some() && found.roster != wanted.roster {
        only_the_rubric = false;
        differing
            .push("who is in the class: then this part would hold others than it did".to_owned());
    }
    if !differing.is_empty() {
        let help = "grade as before to go on, or choose another folder with --out";
        return Err(miette!(
            help = if only_the_rubric {
                format!("{help}; {RESCORE}")
            } else {
                help.to_owned()
            },
            "{} was graded otherwise; what differs is {}",
            folder.display(),
            differing.join("; ")
        ));
    }
    for row in &mut wanted.submissions {
        if let Some(known) = found
            .submissions
            .iter()
            .find(|known| known.name == row.name && known.dir == row.dir)
        {
            *row = known.clone();
        }
    }
    Ok(wanted)
}

/// Reads the index of a results folder as it was written.
///
/// # Errors
/// When there is none, or it is damaged or of another format.
pub(super) fn written(folder: &Path) -> Result<Index> {
    let path = folder.join(INDEX);
    let text = fs::read_to_string(&path).map_err(|error| {
        miette!(
            help = "name a folder that `harness grade` has written",
            "cannot read {}: {error}",
            path.display()
        )
    })?;
    let index: Index = read(&path, &text)?;
    if index.schema != SCHEMA {
        return Err(miette!(
            "{} has the format {}, this harness reads {SCHEMA}",
            path.display(),
            index.schema
        ));
    }
    let names = index.submissions.iter().map(|entry| &entry.name);
    if let Some(name) = names.chain(&index.roster).find(|name| !is_name(name)) {
        return Err(miette!(
            "{} is damaged: a submission cannot be called {name:?}",
            path.display()
        ));
    }
    Ok(index)
}

/// Reads the index of a results folder. Rows that a stopped run did not get to write are taken from where it kept them.
///
/// # Errors
/// When there is none, or it is damaged or of another format.
pub fn load(folder: &Path) -> Result<Index> {
    let mut index = written(folder)?;
    for row in &mut index.submissions {
        let path = folder.join(&row.name).join(ENTRY);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let entry: Entry = read(&path, &text)?;
                if entry.name != row.name {
                    return Err(miette!(
                        "{} is damaged: it is about {:?}",
                        path.display(),
                        entry.name
                    ));
                }
                // A namesake's, whose place this one has taken since.
                if entry.dir == row.dir {
                    *row = entry;
                } else {
                    *row = Entry::pending(&row.name, &row.dir);
                }
            }
            // Nothing was kept, or it is about to be replaced.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                *row = Entry::pending(&row.name, &row.dir);
            }
            Err(error) => return Err(miette!("cannot read {}: {error}", path.display())),
        }
    }
    Ok(index)
}

/// Whether a name leads nowhere but into the results folder.
fn is_name(name: &str) -> bool {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(safe)
}

fn read<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| miette!("{} is damaged: {error}", path.display()))
}

/// The index of results that are about to begin.
pub fn begin(
    seed: u64,
    scenarios: String,
    rubric: Option<Rubric>,
    partition: Option<Partition>,
    roster: &[(String, String)],
) -> Index {
    let mine = |place: &usize| partition.is_none_or(|partition| partition.holds(*place));
    Index {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seed,
        scenarios,
        rubric,
        partition,
        roster: roster.iter().map(|(name, _)| name.clone()).collect(),
        submissions: roster
            .iter()
            .enumerate()
            .filter(|(place, _)| mine(place))
            .map(|(_, (name, dir))| Entry::pending(name, dir))
            .collect(),
    }
}

fn first_foreign(folder: &Path) -> Result<Option<String>> {
    let names = names_in(folder)?;
    Ok(names
        .into_iter()
        .find(|name| !(name.starts_with('.') && name.ends_with(UNFINISHED))))
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let cannot = |error| miette!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Removes a file or folder, if it is there; of a link, the link.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|error| miette!("cannot remove {}: {error}", path.display()))
}

/// Writes a file so that it is the old or the new one at any moment.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}{UNFINISHED}"));
    remove(&new)?;
    results::write(&new, text)?;
    fs::rename(&new, path).map_err(|error| miette!("cannot write {}: {error}", path.display()))
}

/// Whether a submission was graded for good, and its files are as they were then.
pub fn is_done(entry: &Entry, digest: &str) -> bool {
    entry.state.is_final() && entry.digests.iter().any(|known| known == digest)
}
