//! Recorded results, of one submission or of a class: what every format is made from.

use super::Report;
use crate::class::store::{self, ENTRY, INDEX};
use crate::class::{Entry, Index, State};
use crate::results::Run;
use miette::{Result, miette};
use std::fs;
use std::path::{Path, PathBuf};

/// What is in a results folder.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Whether it is a class's, even one of a single submission.
    pub class: bool,
    /// The index: of a single submission, made for it.
    pub index: Index,
    /// Those that were graded, in order.
    pub graded: Vec<Graded>,
}

/// One submission that was graded.
#[derive(Clone, Debug)]
pub struct Graded {
    /// Its row of the index.
    pub entry: Entry,
    /// Its report.
    pub report: Report,
    /// Its folder within the results.
    pub folder: PathBuf,
}

impl Collection {
    /// Reads what `harness grade`, `harness merge` or `harness check` has written. What a class came to is taken as it was
    /// recorded; a single check is judged again.
    ///
    /// # Errors
    /// When there is nothing of the kind, or a file is damaged.
    pub fn load(folder: &Path) -> Result<Self> {
        if folder.join(INDEX).exists() {
            let index = store::load(folder)?;
            let done = index
                .submissions
                .iter()
                .filter(|entry| entry.state != State::Pending);
            let graded = done.map(|entry| {
                let report = read(&folder.join(&entry.name).join("report.json"))?;
                Ok(Graded {
                    entry: entry.clone(),
                    report,
                    folder: PathBuf::from(&entry.name),
                })
            });
            let graded = graded.collect::<Result<_>>()?;
            return Ok(Collection {
                class: true,
                index,
                graded,
            });
        }
        if folder.join(ENTRY).exists() {
            let entry = read(&folder.join(ENTRY))?;
            return Ok(Self::single(read(&folder.join("report.json"))?, entry));
        }
        let report = Report::new(&Run::load(folder)?);
        let name = report.submission.student.clone();
        let entry = Entry::pending(&name, &report.submission.dir).with(&report);
        Ok(Self::single(report, entry))
    }

    /// Whether a submission of a class is not counted as the others are.
    pub(super) fn is_behind(&self, entry: &Entry) -> bool {
        self.class && self.index.is_behind(entry)
    }

    /// The index of a single submission.
    pub(crate) fn index_of(entry: &Entry, seed: u64) -> Index {
        let mut index = store::begin(seed, String::new(), None, None, &[]);
        index.submissions.push(entry.clone());
        index
    }

    fn single(report: Report, entry: Entry) -> Self {
        let index = Self::index_of(&entry, report.seed);
        let graded = Graded {
            entry,
            report,
            folder: PathBuf::new(),
        };
        Collection {
            class: false,
            index,
            graded: vec![graded],
        }
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path)
        .map_err(|error| miette!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| miette!("{} is damaged: {error}", path.display()))
}
