//! A folder that programs may write to without changing what lies below: the submission's folder, with a layer in
//! memory above it, for one scenario.
//!
//! A chat that keeps a log beside itself works; what it wrote is gone with the scenario, so that no scenario finds
//! another's files and nothing changes what the student handed in.

use super::Purpose;
use super::limits::scratch;
use nix::mount::{MsFlags, mount};
use std::io;
use std::path::{Path, PathBuf};

/// Puts the layer over the folder, in this process's own mount namespace. Everything started from here sees it.
///
/// # Errors
/// When the kernel or the folder's file system does not allow it; then nothing has changed but a folder that no
/// program needs.
pub fn lay_over(folder: &Path) -> io::Result<()> {
    let place = place_for(folder)
        .ok_or_else(|| io::Error::other("no folder is free to keep the layer in"))?;
    let room = format!("mode=0700,size={}", scratch(Purpose::Program));
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        &place,
        Some("tmpfs"),
        safe,
        Some(room.as_str()),
    )?;
    let (upper, work) = (place.join("upper"), place.join("work"));
    std::fs::create_dir(&upper)?;
    std::fs::create_dir(&work)?;
    // As the folder is, so that whoever could write there still can.
    std::fs::set_permissions(&upper, std::fs::metadata(folder)?.permissions())?;
    let lower = escaped(folder)?;
    let layers = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    // In a user namespace the kernel wants its marks where users may set them.
    let options = [format!("{layers},userxattr"), layers];
    let mut refused = io::Error::other("not tried");
    for options in options {
        match mount(
            Some("overlay"),
            folder,
            Some("overlay"),
            safe,
            Some(options.as_str()),
        ) {
            Ok(()) => return Ok(()),
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

/// A folder that exists everywhere and that nobody misses, not above the submission.
fn place_for(folder: &Path) -> Option<PathBuf> {
    ["/media", "/mnt", "/srv"]
        .into_iter()
        .map(PathBuf::from)
        .find(|place| place.is_dir() && !folder.starts_with(place))
}

/// A path as overlay's options have it: commas, colons and backslashes mean something there.
fn escaped(folder: &Path) -> io::Result<String> {
    let text = folder
        .to_str()
        .ok_or_else(|| io::Error::other("the folder's name is not UTF-8"))?;
    let mut escaped = String::new();
    for character in text.chars() {
        if matches!(character, '\\' | ',' | ':') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Ok(escaped)
}
