//! Digests: whether files, scenarios, or a rubric, are still the same.

use crate::rubric::Rubric;
use crate::scenario::Scenario;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The digest of every file in a folder: paths, contents, whether they can be executed, and where links lead. Links are
/// not followed; what is neither file, folder nor link counts by its path.
///
/// # Errors
/// When something in it cannot be read; the message names it.
pub fn of_folder(folder: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    add(folder, folder, &mut sum)?;
    Ok(short(sum))
}

/// The digest of scenarios: of all that is in them.
pub fn of_scenarios(scenarios: &[Scenario]) -> String {
    let mut sum = Sha256::new();
    for scenario in scenarios {
        value(&mut sum, scenario);
    }
    short(sum)
}

/// The digest of a rubric: of what it comes to, however it is written.
pub fn of_rubric(rubric: &Rubric) -> String {
    let mut sum = Sha256::new();
    value(&mut sum, rubric);
    short(sum)
}

fn value(sum: &mut Sha256, value: &(impl serde::Serialize + std::fmt::Debug)) {
    // Such a value can always be written; if not, what it says stands for it.
    let text = serde_json::to_string(value).unwrap_or_else(|error| format!("{error}: {value:?}"));
    field(sum, text.as_bytes());
}

fn add(root: &Path, folder: &Path, sum: &mut Sha256) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot read {}: {error}", path.display()),
        )
    };
    let entries = fs::read_dir(folder).map_err(|error| named(folder, error))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| named(folder, error))?;
    paths.sort();
    for path in paths {
        let below = path.strip_prefix(root).unwrap_or(&path);
        field(sum, below.as_os_str().as_bytes());
        let metadata = path
            .symlink_metadata()
            .map_err(|error| named(&path, error))?;
        if metadata.is_dir() {
            field(sum, b"folder");
            add(root, &path, sum)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(|error| named(&path, error))?;
            field(sum, b"link");
            field(sum, target.as_os_str().as_bytes());
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            field(sum, if executable { b"program" } else { b"file" });
            let mut contents = Sha256::new();
            let mut file = File::open(&path).map_err(|error| named(&path, error))?;
            io::copy(&mut file, &mut Hasher(&mut contents)).map_err(|error| named(&path, error))?;
            field(sum, &contents.finalize());
        } else {
            field(sum, b"other");
        }
    }
    Ok(())
}

/// Adds octets so that no two lists of fields give the same sum.
fn field(sum: &mut Sha256, octets: &[u8]) {
    sum.update((octets.len() as u64).to_be_bytes());
    sum.update(octets);
}

struct Hasher<'a>(&'a mut Sha256);

impl io::Write for Hasher<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// 128 bits are plenty to tell files apart, and can be read out.
fn short(sum: Sha256) -> String {
    sum.finalize()
        .iter()
        .take(16)
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_changes_the_digest_and_nothing_else_does() {
        let home = tempfile::TempDir::new().expect("a folder can be made");
        let at = |name: &str| home.path().join(name);
        let digest = || of_folder(home.path()).expect("it can be read");
        let mut seen = vec![digest()];
        let mut changed = |what: &str| {
            let now = digest();
            assert_eq!(now, digest(), "{what}: it is the same twice");
            assert!(!seen.contains(&now), "{what} is noticed");
            seen.push(now);
        };
        fs::write(at("a"), "1").expect("it can be written");
        changed("a file");
        fs::write(at("a"), "2").expect("it can be written");
        changed("its contents");
        fs::rename(at("a"), at("b")).expect("it can be renamed");
        changed("its name");
        fs::set_permissions(at("b"), fs::Permissions::from_mode(0o755)).expect("they can be set");
        changed("its permissions");
        fs::create_dir(at("c")).expect("it can be made");
        changed("a folder");
        fs::rename(at("b"), at("c/b")).expect("it can be moved");
        changed("its place");
        std::os::unix::fs::symlink("/nowhere", at("d")).expect("it can be made");
        changed("a link");
        nix::unistd::mkfifo(&at("e"), nix::sys::stat::Mode::S_IRWXU).expect("it can be made");
        changed("a FIFO, which is not waited for");
    }
}
