//! A user that nobody else is, for one submission, and a copy of the submission that belongs to it: for real root where
//! namespaces are refused, as in most containers.
//!
//! The copy, not the folder, is what programs run in: the folder may lie where another user cannot even look, and
//! access lists (`setfacl`) would have to be written to it and to every folder above. Nothing is written back. What is
//! neither file, folder nor link is not copied, and no link is followed.

use crate::world::ports::Lock;
use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Uid, User, fchown, fchownat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{FileType, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// Where user ids are looked for: the end of the range that every container has, which distributions keep free.
const CANDIDATES: std::ops::Range<u32> = 65_000..65_500;

/// A user id that no account has and no process runs as, held until dropped.
#[derive(Debug)]
pub struct SpareUser {
    uid: u32,
    _lock: Lock,
}

impl SpareUser {
    /// Takes the first that is free.
    ///
    /// # Errors
    /// When none is, or locks cannot be made.
    pub fn take() -> io::Result<Self> {
        let used = running_as();
        for uid in CANDIDATES.filter(|uid| !used.contains(uid)) {
            let is_account = User::from_uid(Uid::from_raw(uid)).is_ok_and(|user| user.is_some());
            if is_account {
                continue;
            }
            if let Some(lock) = Lock::try_acquire(&format!("user-{uid}"))? {
                return Ok(SpareUser { uid, _lock: lock });
            }
        }
        Err(io::Error::other(format!(
            "every user id from {} to {} is taken",
            CANDIDATES.start,
            CANDIDATES.end - 1
        )))
    }

    /// Its number, which is its group's as well.
    pub fn uid(&self) -> u32 {
        self.uid
    }
}

/// The users of all processes.
fn running_as() -> BTreeSet<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| Some(entry.metadata().ok()?.uid()))
        .collect()
}

/// Becomes a user, for good: without groups, without capabilities.
///
/// # Errors
/// When this process may not, as `step: reason`.
pub(super) fn become_user(uid: u32) -> io::Result<()> {
    let named = |step: &str, error: nix::Error| {
        io::Error::other(format!("{step}: {}", io::Error::from(error)))
    };
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    nix::unistd::setgroups(&[]).map_err(|error| named("setgroups", error))?;
    nix::unistd::setresgid(group, group, group).map_err(|error| named("setgid", error))?;
    nix::unistd::setresuid(user, user, user).map_err(|error| named("setuid", error))
}

/// Gives a user the terminals and pipes among the standard streams, so that it can open them by name (`/dev/stdout`).
pub(super) fn give_streams(uid: u32) {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [input.as_fd(), output.as_fd(), errors.as_fd()] {
        // A device that others have as well, such as /dev/null, stays whose it is.
        let is_pipe = fstat(stream).is_ok_and(|stat| {
            SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFIFO
        });
        if is_pipe || nix::unistd::isatty(stream).unwrap_or(false) {
            // Where it fails, only the names do not work.
            let _ = fchown(stream, Some(Uid::from_raw(uid)), None);
        }
    }
}

/// Where a spare user's programs find the submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spare {
    /// The user.
    pub uid: u32,
    /// The submission's folder.
    pub folder: PathBuf,
    /// Its copy, which is not there before [`Spare::bring`].
    pub copy: PathBuf,
    /// What is not copied.
    pub without: Vec<PathBuf>,
    /// Whether builds are run in the folder by the user who runs the harness, guarded, and what they made is copied. Those
    /// that reach outside the folder, as only one's own may, could do nothing there as another user.
    pub builds_in_place: bool,
}

impl Spare {
    /// Makes the copy.
    ///
    /// # Errors
    /// With the path that cannot be copied, and why.
    pub fn bring(&self) -> io::Result<()> {
        copy_folder(&self.folder, &self.copy, self)
    }

    /// Where the copy has what lies in the folder; other paths stay as they are.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.folder) {
            // Joining nothing would end the path with a slash.
            Ok(rest) if rest.as_os_str().is_empty() => self.copy.clone(),
            Ok(rest) => self.copy.join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// The words of a command that was meant for `dir`, a folder of the submission: a path that leads out of the
    /// submission from there does not from the copy.
    pub(super) fn reword(&self, words: &[String], dir: &Path) -> Vec<String> {
        let reword = |word: &String| {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if option.starts_with('-') => (Some(option), value),
                _ => (None, word.as_str()),
            };
            let there = dir.join(value).canonicalize().ok();
            let Some(there) = there.filter(|_| value.contains('/') && !value.contains("://"))
            else {
                return word.clone();
            };
            let inside = there.starts_with(&self.folder);
            if inside && !value.starts_with('/') {
                return word.clone();
            }
            let Some(place) = self.place(&there).to_str().map(str::to_owned) else {
                return word.clone();
            };
            option.map_or(place.clone(), |option| format!("{option}={place}"))
        };
        words.iter().map(reword).collect()
    }
}

fn copy_folder(from: &Path, to: &Path, spare: &Spare) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let metadata = from
        .symlink_metadata()
        .map_err(|error| named(from, error))?;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(to)
        .map_err(|error| named(to, error))?;
    for entry in std::fs::read_dir(from).map_err(|error| named(from, error))? {
        let entry = entry.map_err(|error| named(from, error))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if spare.without.contains(&path) {
            continue;
        }
        let kind = entry.file_type().map_err(|error| named(&path, error))?;
        if kind.is_dir() {
            copy_folder(&path, &target, spare)?;
        } else {
            copy_file(kind, &path, &target, spare.uid).map_err(|error| named(&path, error))?;
        }
    }
    give(to, spare.uid).map_err(|error| named(to, error))?;
    let mode = metadata.permissions().mode() & 0o777 | 0o700;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode))
        .map_err(|error| named(to, error))
}

fn copy_file(kind: FileType, from: &Path, to: &Path, uid: u32) -> io::Result<()> {
    if kind.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(from)?, to)?;
        return give(to, uid);
    }
    if !kind.is_file() {
        return Ok(());
    }
    // What has become something else since it was looked at is not opened, or does not block.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut source = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(from)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut source, &mut target)?;
    let mode = source.metadata()?.permissions().mode() & 0o777 | 0o600;
    target.set_permissions(std::fs::Permissions::from_mode(mode))?;
    give(to, uid)
}

/// Gives a user what is at a path; of a link, the link.
///
/// # Errors
/// When this process may not.
pub fn give(path: &Path, uid: u32) -> io::Result<()> {
    let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
    let no_follow = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(nix::fcntl::AT_FDCWD, path, user, group, no_follow).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(folder: &Path, copy: &Path) -> Spare {
        Spare {
            // Nobody but root may give files away; to oneself, everybody.
            uid: nix::unistd::getuid().as_raw(),
            folder: folder.to_owned(),
            copy: copy.to_owned(),
            without: vec![folder.join("lab-results")],
            builds_in_place: false,
        }
    }

    #[test]
    fn a_copy_holds_files_folders_and_links_and_leads_nowhere_else() {
        let home = tempfile::TempDir::new().expect("a folder can be made");
        let (folder, copy) = (home.path().join("ada"), home.path().join("copy"));
        for name in ["src", "lab-results"] {
            std::fs::create_dir_all(folder.join(name)).expect("a folder can be made");
        }
        std::fs::write(folder.join("src/run.sh"), "echo hello").expect("it can be written");
        let executable = std::fs::Permissions::from_mode(0o555);
        std::fs::set_permissions(folder.join("src/run.sh"), executable).expect("it is its owner's");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).expect("a link");
        nix::unistd::mkfifo(&folder.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        spare(&folder, &copy).bring().expect("it can be copied");
        let text = std::fs::read_to_string(copy.join("src/run.sh")).expect("it was copied");
        assert_eq!(text, "echo hello");
        let mode = copy.join("src/run.sh").metadata().expect("it is there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o755);
        let link = std::fs::read_link(copy.join("link")).expect("it is a link still");
        assert_eq!(link, Path::new("/etc/passwd"));
        assert!(!copy.join("fifo").exists() && !copy.join("lab-results").exists());
    }

    #[test]
    fn words_that_lead_out_of_the_submission_still_lead_there() {
        let home = tempfile::TempDir::new().expect("a folder can be made");
        let home = home.path().canonicalize().expect("it is there");
        let (folder, copy) = (home.join("ada"), home.join("copy"));
        std::fs::create_dir_all(folder.join("src")).expect("a folder can be made");
        std::fs::write(home.join("tool"), "").expect("it can be written");
        std::fs::write(folder.join("src/run"), "").expect("it can be written");
        let spare = spare(&folder, &copy);
        #[track_caller]
        fn check(spare: &Spare, word: &str, expected: &str) {
            let words = spare.reword(&[word.to_owned()], &spare.folder.join("src"));
            assert_eq!(words, [expected]);
        }
        let text = |path: PathBuf| path.display().to_string();
        check(&spare, "../../tool", &text(home.join("tool")));
        check(
            &spare,
            "--with=../../tool",
            &format!("--with={}", text(home.join("tool"))),
        );
        check(&spare, "./run", "./run");
        check(
            &spare,
            &text(folder.join("src/run")),
            &text(copy.join("src/run")),
        );
        check(&spare, "python3", "python3");
        check(&spare, "http://localhost/", "http://localhost/");
        check(&spare, "../../nothing", "../../nothing");
        assert_eq!(spare.place(&folder), copy);
        assert_eq!(spare.place(Path::new("/usr")), Path::new("/usr"));
    }
}
