//! What a program sees of the files: the system, the tools on the PATH, its own submission, and nothing else.

use super::Purpose;
use super::guard::Guard;
use super::limits::scratch;
use crate::manifest::{CommandTemplate, Submission};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

/// What is visible, and how. All paths are as they are outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The submission's folder, without symbolic links.
    pub folder: PathBuf,
    /// The folder as it was named, when that is another path.
    pub named: Option<PathBuf>,
    /// The home folder, which is empty inside.
    pub home: Option<PathBuf>,
    /// Tools outside the system's folders, to be read.
    pub tools: Vec<PathBuf>,
    /// What the manifest's commands name outside the folder, to be read.
    pub outside: Vec<PathBuf>,
    /// What builds may write to besides the folder.
    pub outside_build: Vec<PathBuf>,
    /// Files and folders that are there and look empty.
    pub hidden: Vec<PathBuf>,
    /// Where temporary files go when `/tmp` is everybody's.
    pub scratch: Option<PathBuf>,
    /// Whether real root runs what others own: without the right to pass over permissions, it could not read it.
    pub foreign: bool,
}

/// The system's folders that are shown as they are.
const SYSTEM: [&str; 6] = [
    "/usr",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
];

/// Folders that are links into /usr on most systems, and folders of their own on some.
const MERGED: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Below the home folder: what was downloaded for builds, which cannot download anything themselves, and where tools
/// live that the PATH leads to by a detour.
const CACHES: [&str; 7] = [
    ".rustup",
    "go/pkg/mod",
    ".m2/repository",
    ".gradle/caches",
    ".local/lib",
    ".npm/_cacache",
    ".nuget/packages",
];

/// Below the home folder, inside folders that are shown: passwords.
const SECRETS: [&str; 3] = [
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".local/lib/credentials",
];

impl View {
    /// The view of a submission's programs. With `own_work`, what its commands name outside the folder is shown as
    /// well; of a stranger's submission it is not. `hidden` is never shown.
    pub fn new(
        submission: &Submission,
        own_work: bool,
        hidden: &[PathBuf],
    ) -> std::io::Result<Self> {
        let folder = submission.dir.canonicalize()?;
        let named = std::path::absolute(&submission.dir)?;
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .filter(|home| home.is_absolute() && home.parent().is_some() && !is_system(home));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut view = View {
            named: (named != folder).then_some(named),
            tools: tools(&path, home.as_deref(), &folder),
            hidden: hidden
                .iter()
                .filter(|path| path.exists())
                .cloned()
                .collect(),
            folder,
            home,
            ..View::default()
        };
        if own_work {
            view.show_what_is_named(submission);
        }
        if nix::unistd::geteuid().is_root() {
            view.hidden.extend(private_settings());
            view.foreign = holds_foreign(&view.folder);
        }
        if let Some(home) = &view.home {
            let secrets = SECRETS.iter().map(|secret| home.join(secret));
            view.hidden.extend(secrets.filter(|secret| secret.exists()));
        }
        Ok(view)
    }

    /// Paths outside the folder in the manifest's commands: the models' `../target/release/…`, for example.
    fn show_what_is_named(&mut self, submission: &Submission) {
        let mut read = BTreeSet::new();
        let mut write = BTreeSet::new();
        let whole = submission
            .build
            .as_ref()
            .map(|build| (&submission.dir, build));
        let own = submission
            .programs
            .values()
            .filter_map(|programs| programs.build.as_ref().map(|build| (&programs.dir, build)));
        for (dir, build) in whole.into_iter().chain(own) {
            make_target_dir(dir, build);
            write.extend(self.named_outside(dir, build));
            // A Rust package needs the workspace it is in.
            if build.words.first().is_some_and(|word| word == "cargo") {
                let dirs = dir.canonicalize().ok();
                let above = dirs.iter().flat_map(|dir| dir.ancestors().skip(1));
                read.extend(
                    above
                        .filter(|dir| dir.join("Cargo.toml").is_file())
                        .map(Path::to_owned)
                        .last(),
                );
            }
        }
        for programs in submission.programs.values() {
            for command in [&programs.server, &programs.client] {
                read.extend(self.named_outside(&programs.dir, command));
            }
            let dir = programs.dir.canonicalize().ok();
            read.extend(dir.filter(|dir| !dir.starts_with(&self.folder)));
        }
        self.outside = read.into_iter().collect();
        self.outside_build = write.into_iter().collect();
    }

    /// The folders of the existing paths that a command names outside the submission and the system.
    fn named_outside(&self, dir: &Path, command: &CommandTemplate) -> Vec<PathBuf> {
        let paths = command.words.iter().filter_map(|word| {
            // An option's value may be a path: --target-dir=../target.
            let word = word
                .split_once('=')
                .map_or(word.as_str(), |(_, value)| value);
            if !word.contains('/') || word.contains("://") {
                return None;
            }
            let path = plain(&std::path::absolute(dir.join(word)).ok()?)
                .canonicalize()
                .ok()?;
            let path = if path.is_dir() {
                path
            } else {
                path.parent()?.to_owned()
            };
            let above = self.folder.starts_with(&path);
            (!above && !path.starts_with(&self.folder) && !is_system(&path)).then_some(path)
        });
        paths.collect()
    }

    /// What bwrap is told, without the command.
    pub(super) fn arguments(
        &self,
        dir: &Path,
        environment: &[(OsString, OsString)],
        purpose: Purpose,
    ) -> Vec<OsString> {
        let mut list = Arguments(Vec::new());
        list.say(&["--cap-drop", "ALL"]);
        if self.foreign {
            // In a user namespace this right would not reach what others own. The filter refuses new namespaces.
            list.say(&["--cap-add", "CAP_DAC_OVERRIDE"]);
        } else {
            list.say(&["--unshare-user", "--disable-userns"]);
        }
        list.say(&[
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
        ]);
        if purpose == Purpose::Build {
            // The stage has a network for programs, and ends everything with itself; a build has neither.
            list.say(&["--unshare-net", "--die-with-parent"]);
        }
        for (name, value) in environment.iter().filter(|(name, _)| name != "TMPDIR") {
            list.say(&["--setenv"]);
            list.add(name);
            list.add(value);
        }
        for folder in SYSTEM {
            list.bind("--ro-bind-try", Path::new(folder));
        }
        for folder in MERGED {
            match std::fs::read_link(folder) {
                Ok(target) => {
                    list.say(&["--symlink"]);
                    list.add(&target);
                    list.add(folder);
                }
                Err(_) => list.bind("--ro-bind-try", Path::new(folder)),
            }
        }
        let size = scratch(purpose);
        for folder in ["/tmp", "/var/tmp"]
            .map(Path::new)
            .into_iter()
            .chain(self.home.as_deref())
        {
            list.memory(size, folder);
        }
        let mut writable = vec![self.folder.as_path()];
        if purpose == Purpose::Build {
            writable.extend(self.outside_build.iter().map(PathBuf::as_path));
        }
        let read = self.tools.iter().chain(&self.outside).map(PathBuf::as_path);
        // What is both, such as the programs in a build's target folder, can be written to.
        let read = read.filter(|path| !writable.iter().any(|writable| path.starts_with(writable)));
        let mut shown: Vec<(&Path, bool)> = read.map(|path| (path, false)).collect();
        shown.extend(writable.iter().map(|path| (*path, true)));
        // Folders before what lies in them, so that the one does not cover the other.
        shown.sort();
        for (path, writable) in shown {
            list.bind(
                if writable {
                    "--bind-try"
                } else {
                    "--ro-bind-try"
                },
                path,
            );
        }
        if let Some(named) = &self.named {
            list.say(&["--bind-try"]);
            list.add(&self.folder);
            list.add(named);
        }
        for path in &self.hidden {
            if path.is_dir() {
                list.memory(0x1000, path);
            } else {
                list.say(&["--ro-bind-try", "/dev/null"]);
                list.add(path);
            }
        }
        // A real root's program could write the machine's own settings there.
        list.say(&["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]);
        list.memory(size, Path::new("/dev/shm"));
        list.say(&["--remount-ro", "/dev", "--remount-ro", "/", "--chdir"]);
        list.add(dir);
        list.0
    }

    /// What a process may reach that restricts itself.
    pub(super) fn guard(&self, purpose: Purpose) -> Guard {
        let system = SYSTEM.iter().chain(&MERGED).map(PathBuf::from);
        let kernel = ["/proc", "/sys/devices/system/cpu"].map(PathBuf::from);
        let read = system
            .chain(kernel)
            .chain(self.tools.iter().chain(&self.outside).cloned());
        let mut write = vec![self.folder.clone(), PathBuf::from("/dev")];
        write.extend(self.scratch.clone());
        if purpose == Purpose::Build {
            write.extend(self.outside_build.iter().cloned());
        }
        Guard {
            read: read.filter(|path| path.exists()).collect(),
            write,
        }
    }
}

/// Arguments of bwrap.
struct Arguments(Vec<OsString>);

impl Arguments {
    fn say(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn add(&mut self, word: impl AsRef<OsStr>) {
        self.0.push(word.as_ref().to_owned());
    }

    fn bind(&mut self, how: &str, path: &Path) {
        self.say(&[how]);
        self.add(path);
        self.add(path);
    }

    fn memory(&mut self, octets: u64, path: &Path) {
        self.say(&["--size", &octets.to_string(), "--tmpfs"]);
        self.add(path);
    }
}

fn is_system(path: &Path) -> bool {
    let shown = SYSTEM
        .iter()
        .chain(&MERGED)
        .chain(&["/dev", "/proc", "/sys", "/run", "/boot"]);
    shown.into_iter().any(|folder| path.starts_with(folder))
}

/// The path without `.` and `..`, by its text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// cargo's `--target-dir`: it makes the folder, but where the folder is to be cannot be written to inside. When it
/// cannot be made here either, cargo says so.
fn make_target_dir(dir: &Path, build: &CommandTemplate) {
    let option = build.words.iter().position(|word| word == "--target-dir");
    let value = option.and_then(|option| build.words.get(option + 1));
    if let Some(value) = value.filter(|_| build.words[0] == "cargo") {
        let _ = std::fs::create_dir_all(dir.join(value));
    }
}

/// Where the tools on the PATH live, as far as that is not in the system's folders: `~/.pyenv` for `~/.pyenv/shims`.
fn tools(path: &OsStr, home: Option<&Path>, folder: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::env::split_paths(path).filter(|entry| entry.is_absolute() && entry.is_dir()) {
        found.insert(root_of(&entry, home));
        // A virtual environment's interpreter is a link to the one it was made with.
        for name in ["python3", "node", "java"] {
            let target = entry.join(name).canonicalize().ok();
            if let Some(bin) = target.as_deref().and_then(Path::parent) {
                found.insert(root_of(bin, home));
            }
        }
    }
    for name in [
        "JAVA_HOME",
        "GOPATH",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "VIRTUAL_ENV",
    ] {
        found.extend(
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute()),
        );
    }
    if let Some(home) = home {
        found.extend(CACHES.iter().map(|cache| home.join(cache)));
    }
    let harmless = |path: &PathBuf| {
        let above_home = home.is_some_and(|home| home.starts_with(path));
        path.is_dir() && path.parent().is_some() && !is_system(path) && !above_home
            // Whatever holds the submission may hold others.
            && !folder.starts_with(path)
    };
    found.into_iter().filter(harmless).collect()
}

/// The folder of an installation, given the one with its programs.
fn root_of(bin: &Path, home: Option<&Path>) -> PathBuf {
    let named = bin
        .file_name()
        .is_some_and(|name| name == "bin" || name == "shims");
    match bin.parent() {
        // ~/bin and ~/.local/bin are nobody's installation.
        Some(root)
            if named
                && Some(root) != home
                && root.file_name() != Some(OsStr::new(".local"))
                && root.parent().is_some() =>
        {
            root.to_owned()
        }
        _ => bin.to_owned(),
    }
}

/// Whether anything in the folder belongs to another user than root.
fn holds_foreign(folder: &Path) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::iter::once(folder.clone()).chain(
            std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path())),
        ) {
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            if metadata.uid() != 0 {
                return true;
            }
            if metadata.is_dir() && path != folder {
                folders.push(path);
            }
        }
    }
    false
}

/// What is under /etc and not for every user: a program of root's would read it.
fn private_settings() -> Vec<PathBuf> {
    let mut private = Vec::new();
    let mut folders = vec![PathBuf::from("/etc")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.path().symlink_metadata() else {
                continue;
            };
            let needed = if metadata.is_dir() { 0o5 } else { 0o4 };
            if metadata.is_symlink() {
            } else if metadata.permissions().mode() & needed != needed {
                private.push(entry.path());
            } else if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    private
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_shown_whole_and_a_home_folder_never() {
        #[track_caller]
        fn check(bin: &str, expected: &str) {
            let home = Path::new("/home/ada");
            assert_eq!(root_of(Path::new(bin), Some(home)), Path::new(expected));
        }
        check("/home/ada/.pyenv/shims", "/home/ada/.pyenv");
        check(
            "/home/ada/.nvm/versions/node/v20/bin",
            "/home/ada/.nvm/versions/node/v20",
        );
        check("/home/ada/bin", "/home/ada/bin");
        check("/home/ada/.local/bin", "/home/ada/.local/bin");
        check("/home/ada/scripts", "/home/ada/scripts");
        check("/bin", "/bin");
    }

    #[test]
    fn paths_are_followed_by_their_text() {
        assert_eq!(plain(Path::new("/a/b/../../c/./d")), Path::new("/c/d"));
    }

    #[test]
    fn everything_that_is_shown_of_others_is_read_only() {
        let view = View {
            folder: "/srv/class/ada".into(),
            home: Some("/home/teacher".into()),
            tools: vec!["/home/teacher/.cargo".into()],
            outside: vec!["/srv/shared".into(), "/srv/target/release".into()],
            outside_build: vec!["/srv/target".into()],
            ..View::default()
        };
        let writable = |purpose| {
            let arguments = view.arguments(Path::new("/srv/class/ada"), &[], purpose);
            let binds = arguments.windows(2).filter(|pair| pair[0] == "--bind-try");
            binds.map(|pair| pair[1].clone()).collect::<Vec<_>>()
        };
        let readable = |purpose| {
            let arguments = view.arguments(Path::new("/srv/class/ada"), &[], purpose);
            let mut binds = arguments
                .windows(2)
                .filter(|pair| pair[0] == "--ro-bind-try");
            binds.any(|pair| pair[1] == "/srv/target/release")
        };
        assert!(readable(Purpose::Program) && !readable(Purpose::Build));
        assert_eq!(writable(Purpose::Program), ["/srv/class/ada"]);
        assert_eq!(writable(Purpose::Build), ["/srv/class/ada", "/srv/target"]);
    }
}
