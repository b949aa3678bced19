//! A folder of this run's own below `/tmp`, which is everybody's: for the temporary files of programs, and where they
//! have a user of their own (L1r) for that user's copy of the submission.

use crate::world::sandbox::spare::{self, Spare, SpareUser};
use crate::world::sandbox::view::View;
use crate::world::sandbox::{Confinement, Sandbox};
use crate::world::{Isolation, Level};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Such a folder, and that user, until it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    temporary: PathBuf,
    user: Option<SpareUser>,
}

impl Scratch {
    /// Makes one, in which only the user who runs the programs may open anything.
    ///
    /// # Errors
    /// When it cannot be made, or no user id is to be had at L1r.
    fn new(level: Level) -> std::io::Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("socket-lab-{}-{number}", std::process::id());
        let user = (level == Level::L1r).then(SpareUser::take).transpose()?;
        let folder = std::env::temp_dir().canonicalize()?.join(name);
        let make = |path: &Path, mode| std::fs::DirBuilder::new().mode(mode).create(path);
        // One that is there already is somebody else's, or a trap. Another user has to get past it.
        make(&folder, if user.is_some() { 0o711 } else { 0o700 })?;
        let scratch = Scratch {
            temporary: folder.join("tmp"),
            folder,
            user,
        };
        make(&scratch.temporary, 0o700)?;
        if let Some(user) = &scratch.user {
            spare::give(&scratch.temporary, user.uid())?;
        }
        Ok(scratch)
    }

    /// Who runs the programs of a submission with this view, and where, if somebody else does.
    fn spare(&self, view: &View) -> Option<Spare> {
        Some(Spare {
            uid: self.user.as_ref()?.uid(),
            folder: view.folder.clone(),
            copy: self.folder.join("submission"),
            without: view.hidden.clone(),
            builds_in_place: !view.outside.is_empty() || !view.outside_build.is_empty(),
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in a folder that is cleaned anyway.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What is around the programs with this view, and the folder for their temporary files where `/tmp` is everybody's. What
/// is tried for it is among what `isolation` has tried.
///
/// # Errors
/// When that folder cannot be made, or no user id is to be had at L1r.
pub(crate) fn surround(
    isolation: &mut Isolation,
    mut view: View,
) -> std::io::Result<(Sandbox, Option<Scratch>)> {
    let scratch = match isolation.confinement {
        Confinement::Guard => Some(Scratch::new(isolation.level)?),
        _ => None,
    };
    view.scratch = scratch.as_ref().map(|scratch| scratch.temporary.clone());
    isolation.try_layer(&view.folder);
    let spare = scratch.as_ref().and_then(|scratch| scratch.spare(&view));
    Ok((isolation.sandbox(view, spare), scratch))
}
