//! A folder for the temporary files of programs, where `/tmp` is everybody's.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Such a folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, which only this user may open.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new() -> std::io::Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("socket-lab-{}-{number}", std::process::id());
        let path = std::env::temp_dir().canonicalize()?.join(name);
        // One that is there already is somebody else's, or a trap.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in a folder that is cleaned anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
