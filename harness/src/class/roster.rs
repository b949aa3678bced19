//! Who is in the class: finds submissions, gives each a name that is safe as a folder's, and takes a part of them.

use crate::manifest::FILE;
use miette::{Result, miette};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A name is no longer than this, in characters, apart from the number that keeps namesakes apart.
const LONGEST: usize = 60;

/// Names that mean something else in a results folder.
const RESERVED: [&str; 3] = ["latest", "index.json", "results.csv"];

/// One submission of the class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in the results: letters, digits, `-`, `_` and `.`, unique whatever the case.
    pub name: String,
    /// The folder as it was given, for people.
    pub given: PathBuf,
    /// The folder, without symbolic links.
    pub dir: PathBuf,
}

/// Finds the submissions: a folder with a `lab.toml` is one; in any other, each folder in it is one, with or without a
/// `lab.toml`, as soon as one of them has it. Hidden folders, links and `results` are passed over.
///
/// # Errors
/// When a folder cannot be read.
pub fn find(dirs: &[PathBuf], results: &Path) -> Result<Vec<Member>> {
    let results = results.canonicalize().ok();
    let mut members: Vec<Member> = Vec::new();
    for dir in dirs {
        for folder in submissions_in(dir)? {
            let path = folder
                .canonicalize()
                .map_err(|error| miette!("cannot open {}: {error}", folder.display()))?;
            let known = members.iter().any(|member| member.dir == path);
            if known || results.as_ref() == Some(&path) {
                continue;
            }
            if let Some(results) = &results
                && results.starts_with(&path)
            {
                return Err(miette!(
                    help = "choose another folder with --out",
                    "the results would be written into the submission {}",
                    folder.display()
                ));
            }
            members.push(Member {
                name: String::new(),
                given: folder,
                dir: path,
            });
        }
    }
    if members.is_empty() {
        return Err(miette!(
            help = "name folders that hold a lab.toml each, or a folder of such folders",
            "there is no submission to grade"
        ));
    }
    let mut taken: BTreeSet<String> = RESERVED.iter().map(|name| (*name).to_owned()).collect();
    for member in &mut members {
        let wanted = name_of(&member.dir);
        member.name = (1..)
            .map(|number| match number {
                1 => wanted.clone(),
                number => format!("{wanted}-{number}"),
            })
            .find(|name| taken.insert(name.to_lowercase()))
            .unwrap_or(wanted);
    }
    Ok(members)
}

fn submissions_in(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Err(miette!(
            help = "name submissions, or a folder of submissions",
            "there is no folder {}",
            dir.display()
        ));
    }
    if has_manifest(dir) {
        return Ok(vec![dir.to_owned()]);
    }
    let cannot = |error| miette!("cannot read {}: {error}", dir.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A link may lead to another's submission.
        if !hidden && entry.file_type().map_err(cannot)?.is_dir() {
            folders.push(entry.path());
        }
    }
    // As people look for them, whatever the case.
    folders.sort_by_cached_key(|folder| {
        let name = folder.file_name().unwrap_or_default();
        (name.to_string_lossy().to_lowercase(), name.to_owned())
    });
    if folders.iter().any(|folder| has_manifest(folder)) {
        Ok(folders)
    } else {
        // One submission without a manifest is likelier than a class without any: what it is will be said with it.
        Ok(vec![dir.to_owned()])
    }
}

fn has_manifest(dir: &Path) -> bool {
    dir.join(FILE).symlink_metadata().is_ok()
}

/// The name of a folder, with everything replaced that could mean something to a file system, a shell or a page.
fn name_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .take(LONGEST)
        .collect();
    // Neither hidden, nor an option, nor the folder above.
    let safe = safe.trim_matches(['.', '-']);
    if safe.is_empty() {
        "unnamed".to_owned()
    } else {
        safe.to_owned()
    }
}

/// A part of a class: `2/5` is the second of five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partition {
    /// From 1.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl Partition {
    /// Whether the submission at this place of the class belongs to the part.
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.part - 1
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no part: 2/5 is the second of five");
        let (part, of) = text.split_once('/').ok_or_else(wrong)?;
        let (part, of) = (
            part.parse().map_err(|_| wrong())?,
            of.parse().map_err(|_| wrong())?,
        );
        if part == 0 || part > of {
            return Err(wrong());
        }
        Ok(Partition { part, of })
    }
}

impl TryFrom<String> for Partition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> Self {
        partition.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folders_name_becomes_one_that_means_nothing_else() {
        #[track_caller]
        fn check(folder: &str, expected: &str) {
            assert_eq!(name_of(Path::new(folder)), expected);
        }
        check("class/ada", "ada");
        check("class/Ada Lovelace", "Ada-Lovelace");
        check("class/José_2.0", "José_2.0");
        check("class/-rf", "rf");
        check("class/...", "unnamed");
        check("class/<script>", "script");
        check("class/=cmd|' C calc'!A0", "cmd---C-calc--A0");
        check("class/a\u{202e}b\nc", "a-b-c");
        check("/", "unnamed");
        assert_eq!(name_of(Path::new(&"x".repeat(255))).len(), LONGEST);
    }

    #[test]
    fn namesakes_are_kept_apart_whatever_the_case_and_links_are_passed_over() {
        let home = tempfile::TempDir::new().expect("a folder can be made");
        let class = |name: &str| home.path().join(name);
        for folder in [
            "a/ada",
            "a/latest",
            "b/Ada",
            "b/ada-2",
            "b/.git",
            "b/results",
        ] {
            fs::create_dir_all(class(folder)).expect("a folder can be made");
        }
        fs::write(class("a/ada/lab.toml"), "").expect("a file can be written");
        fs::write(class("b/Ada/lab.toml"), "").expect("a file can be written");
        std::os::unix::fs::symlink(class("a/ada"), class("b/link")).expect("a link can be made");
        let found = find(
            &[class("a"), class("b"), class("a/ada")],
            &class("b/results"),
        )
        .expect("there are some");
        let names: Vec<&str> = found.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["ada", "latest-2", "Ada-2", "ada-2-2"]);
    }

    #[test]
    fn results_are_not_written_into_a_submission() {
        let home = tempfile::TempDir::new().expect("a folder can be made");
        fs::create_dir_all(home.path().join("results")).expect("a folder can be made");
        fs::write(home.path().join(FILE), "").expect("a file can be written");
        let refused = find(&[home.path().to_owned()], &home.path().join("results"));
        let said = refused.expect_err("it is refused").to_string();
        assert!(said.contains("into the submission"), "{said}");
    }

    #[test]
    fn the_parts_of_a_class_hold_everybody_once() {
        for of in 1..6 {
            for place in 0..20 {
                let holders = (1..=of).filter(|part| Partition { part: *part, of }.holds(place));
                assert_eq!(holders.count(), 1);
            }
        }
        for wrong in ["", "3", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
        assert_eq!("2/5".parse(), Ok(Partition { part: 2, of: 5 }));
    }
}
