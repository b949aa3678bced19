//! "Stop": Ctrl-C and its relatives, as something that can be waited for together with frames.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A descriptor that can be read from as soon as this process is asked to end.
///
/// The second request ends it at once: whoever asks twice does not want to wait for the end of the output.
pub(crate) struct Stop {
    reader: UnixStream,
}

impl Stop {
    /// From here on, SIGINT, SIGTERM and SIGHUP ask instead of ending the process.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        let asked = Arc::new(AtomicBool::new(false));
        let ignored = std::fs::read_to_string("/proc/self/status").map_or(0, |text| ignored(&text));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // What `nohup` asks for. An ignored SIGINT is different: shells ignore it for all background jobs.
            if signal == SIGHUP && ignored & (1 << (SIGHUP - 1)) != 0 {
                continue;
            }
            // In this order, so that the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
            pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Stop { reader })
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The signals that a process ignores, one bit each, by its `/proc/…/status`.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        assert_eq!(
            ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t2"),
            0x1001
        );
        assert_eq!(ignored("SigIgn:\tlots"), 0);
        assert_eq!(ignored(""), 0);
    }
}
