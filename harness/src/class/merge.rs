//! Joins the parts of a class that was graded in several places.

use super::store::{self, ENTRY};
use super::{Index, RESCORE, RUBRIC};
use crate::class::State;
use crate::results;
use miette::{Result, miette};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The index of the whole class, and in which results each submission is, in the order of the class.
///
/// # Errors
/// When parts or submissions are missing or there twice, or were graded in different ways; each is named.
pub fn plan(parts: &[(PathBuf, Index)]) -> Result<(Index, Vec<PathBuf>)> {
    let Some(((first_folder, first), others)) = parts.split_first() else {
        return Err(miette!("there is nothing to merge"));
    };
    let Some(of) = first.partition.map(|partition| partition.of) else {
        return Err(whole(first_folder));
    };
    let mut faults = Vec::new();
    let mut recount = false;
    for (folder, part) in others {
        for ((what, there), (_, here)) in first.terms().into_iter().zip(part.terms()) {
            if there != here {
                recount |= what == RUBRIC;
                faults.push(format!(
                    "the {what} differs: {there} in {}, {here} in {}",
                    first_folder.display(),
                    folder.display()
                ));
            }
        }
        match part.partition {
            None => return Err(whole(folder)),
            Some(partition) if partition.of != of => faults.push(format!(
                "{} is part {partition}, {} one of {of}",
                folder.display(),
                first_folder.display()
            )),
            Some(_) => {}
        }
        if part.roster != first.roster {
            faults.push(format!(
                "{} and {} are not about the same class{}",
                first_folder.display(),
                folder.display(),
                difference(&first.roster, &part.roster)
            ));
        }
    }
    if faults.is_empty() {
        for number in 1..=of {
            let there: Vec<String> = parts
                .iter()
                .filter(|(_, index)| {
                    index
                        .partition
                        .is_some_and(|partition| partition.part == number)
                })
                .map(|(folder, _)| folder.display().to_string())
                .collect();
            match there.len() {
                0 => faults.push(format!("part {number}/{of} is missing")),
                1 => {}
                _ => faults.push(format!(
                    "part {number}/{of} is there twice: {}",
                    there.join(", ")
                )),
            }
        }
        for (folder, index) in parts {
            let pending = index
                .submissions
                .iter()
                .filter(|entry| entry.state == State::Pending);
            let names: Vec<&str> = pending.map(|entry| entry.name.as_str()).collect();
            if !names.is_empty() {
                faults.push(format!(
                    "{} is not done: {} not graded yet (go on with `harness grade … --resume`)",
                    folder.display(),
                    names.join(", ")
                ));
            }
        }
    }
    for (folder, part) in parts {
        let behind = part
            .submissions
            .iter()
            .filter(|entry| part.is_behind(entry));
        let names: Vec<&str> = behind.map(|entry| entry.name.as_str()).collect();
        if !names.is_empty() {
            faults.push(format!(
                "not everybody in {} is counted by its rubric: {} not (`harness grade … --resume` grades them anew)",
                folder.display(),
                names.join(", ")
            ));
        }
    }
    if !faults.is_empty() {
        let help = "merge the results of every part 1/N … N/N of one class, graded with the same harness, seed, scenarios and \
                    rubric";
        return Err(miette!(
            help = if recount {
                format!("{help}; {RESCORE}")
            } else {
                help.to_owned()
            },
            "these results cannot be joined: {}",
            faults.join("; ")
        ));
    }
    let mut found = BTreeMap::new();
    for (folder, index) in parts {
        for entry in &index.submissions {
            found.insert(entry.name.clone(), (folder, entry));
        }
    }
    let mut submissions = Vec::new();
    let mut folders = Vec::new();
    for name in &first.roster {
        let Some((folder, entry)) = found.get(name) else {
            return Err(miette!("{name} is in the class, and in none of its parts"));
        };
        submissions.push((*entry).clone());
        folders.push((*folder).clone());
    }
    let index = Index {
        partition: None,
        submissions,
        ..first.clone()
    };
    Ok((index, folders))
}

fn whole(folder: &Path) -> miette::Report {
    miette!(
        help = "only the results of `harness grade --partition …` can be joined",
        "{} is no part of a class: it was graded as a whole",
        folder.display()
    )
}

fn difference(one: &[String], other: &[String]) -> String {
    let only = |these: &[String], those: &[String]| {
        let names = these.iter().filter(|name| !those.contains(name));
        names.cloned().collect::<Vec<_>>()
    };
    let names = [only(one, other), only(other, one)].concat();
    if names.is_empty() {
        ": the order differs".to_owned()
    } else {
        format!(": {} only in one of them", names.join(", "))
    }
}

/// Joins results into a new folder, which appears complete or not at all.
///
/// # Errors
/// As [`plan`], and when something cannot be read or written.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Index> {
    let parts = folders
        .iter()
        .map(|folder| Ok((folder.clone(), store::load(folder)?)))
        .collect::<Result<Vec<_>>>()?;
    let (index, places) = plan(&parts)?;
    let cannot = |error: std::io::Error| {
        miette!(
            help = "choose another folder with --out",
            "cannot make {}: {error}",
            out.display()
        )
    };
    if out.symlink_metadata().is_ok() {
        return Err(cannot(std::io::ErrorKind::AlreadyExists.into()));
    }
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(cannot)?;
    // Removed again unless everything is in it.
    let work = tempfile::TempDir::new_in(parent).map_err(cannot)?;
    let all = work.path().join("all");
    fs::create_dir(&all).map_err(cannot)?;
    for (entry, place) in index.submissions.iter().zip(places) {
        copy(&place.join(&entry.name), &all.join(&entry.name))?;
        if !all.join(&entry.name).join(ENTRY).is_file() {
            return Err(miette!(
                "{} has no {ENTRY}",
                place.join(&entry.name).display()
            ));
        }
    }
    store::write_index(&all, &index)?;
    if let Some(last) = index.submissions.last() {
        results::point_latest(&all.join(&last.name));
    }
    fs::rename(&all, out).map_err(cannot)?;
    Ok(index)
}

/// Copies files and folders; links and the like are no evidence.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let cannot = |error: std::io::Error| {
        miette!(
            "cannot copy {} to {}: {error}",
            from.display(),
            to.display()
        )
    };
    fs::create_dir(to).map_err(cannot)?;
    for entry in fs::read_dir(from).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let kind = entry.file_type().map_err(cannot)?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).map_err(cannot)?;
        }
    }
    Ok(())
}
