//! Restrictions that a process puts on itself, where no namespaces are to be had: which files it may reach (Landlock),
//! and that it may not signal or trace whoever is outside.

use crate::sys;
use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// The newest set of rights known here; older kernels enforce those they know.
const NEWEST: ABI = ABI::V6;

/// What a process may reach from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Folders to read and execute from.
    pub read: Vec<PathBuf>,
    /// Folders to do everything in.
    pub write: Vec<PathBuf>,
}

impl Guard {
    /// Restricts this process and all it will start, for good.
    ///
    /// # Errors
    /// When the kernel has no Landlock, or it is switched off.
    pub fn set(&self) -> io::Result<()> {
        // Root could look past Landlock with them, into the memory of others.
        sys::give_up_capabilities();
        let status = self.restrict().map_err(io::Error::other)?;
        if status == RulesetStatus::NotEnforced {
            return Err(io::Error::other(
                "Landlock is not in this kernel, or is switched off",
            ));
        }
        Ok(())
    }

    fn restrict(&self) -> Result<RulesetStatus, landlock::RulesetError> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        let rights = [
            (&self.read, AccessFs::from_read(NEWEST)),
            (&self.write, AccessFs::from_all(NEWEST)),
        ];
        for (paths, access) in rights {
            // What is not there cannot be reached anyway.
            for folder in paths.iter().filter_map(|path| PathFd::new(path).ok()) {
                ruleset = ruleset.add_rule(PathBeneath::new(folder, access))?;
            }
        }
        Ok(ruleset.restrict_self()?.ruleset)
    }
}
