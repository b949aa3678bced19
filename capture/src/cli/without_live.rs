//! What `capture live` and `capture interfaces` say where they were left out.

use clap::Args;
use std::ffi::OsString;

/// Any arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _any: Vec<OsString>,
}

pub(crate) fn run(_: &Arguments) -> anyhow::Result<u8> {
    anyhow::bail!(
        "this program was built without capturing (the feature `live`, which needs libpcap); it reads files: capture \
         read FILE"
    )
}
