//! Loads: what is sent to a server, and the proof that what came back is right.

pub mod calculator;
pub mod chat;
pub mod clock;
mod connection;

use std::{
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    figures::{self, Measured},
    stop::{Stop, Stopped},
};

/// So long nothing may come back at all before something counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// For how long a load runs.
#[derive(Clone, Debug)]
pub struct Duty {
    /// The time that is measured. Before it lies an eighth of it that is not.
    pub time: Duration,
    /// Looked at all the while.
    pub stop: Stop,
    /// The server's process, whose processor time and memory are asked.
    pub process: u32,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What came back is not what had to. The text says which reply, to whom.
    #[error("{0}")]
    Wrong(String),
    /// Something that had to come did not.
    #[error("{what} missing: nothing has come for {PATIENCE:?}")]
    Missing {
        /// The first of them.
        what: String,
    },
    /// The server closed a connection.
    #[error("the server closed the connection of {who}")]
    Closed {
        /// Whose it was.
        who: String,
    },
    /// A system call failed.
    #[error("the socket of {who} failed")]
    Socket {
        /// Whose it was.
        who: String,
        /// What the system said.
        source: io::Error,
    },
    /// The load itself cannot run.
    #[error("cannot measure")]
    System(#[from] io::Error),
    /// Somebody pressed Ctrl-C.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<nix::Error> for LoadError {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}

/// Takes steps for this long. Each is told how much of it is left.
pub(crate) fn take_steps(
    time: Duration,
    mut step: impl FnMut(Duration) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        step(left)?;
    }
}

/// Octets for an error message: short, and as text where they are text.
pub(crate) fn shown(octets: &[u8]) -> String {
    const MOST: usize = 80;
    let text = octets[..octets.len().min(MOST)].escape_ascii().to_string();
    let more = if octets.len() > MOST { "…" } else { "" };
    format!("\"{text}\"{more}")
}

/// How long things took, in microseconds.
pub(crate) struct Delays(Histogram<u64>);

impl Delays {
    pub(crate) fn new() -> Self {
        // A histogram that resizes does not do so for what is noted saturating: the bounds are given.
        const AT_MOST_US: u64 = 3_600_000_000;
        Self(Histogram::new_with_bounds(1, AT_MOST_US, 3).expect("the bounds are allowed"))
    }

    pub(crate) fn note(&mut self, delay: Duration, times: u64) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record_n(micros, times);
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    fn at(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }
}

/// The measured part of a load.
pub(crate) struct Window {
    start: Instant,
    messages: u64,
    cpu: Duration,
}

impl Window {
    /// Begins, after so many messages.
    pub(crate) fn open(duty: &Duty, messages: u64) -> io::Result<Self> {
        Ok(Self {
            cpu: figures::processor_time(duty.process)?,
            start: Instant::now(),
            messages,
        })
    }

    /// Ends, after so many messages, those before it included.
    pub(crate) fn close(
        &self,
        duty: &Duty,
        messages: u64,
        delays: &Delays,
    ) -> io::Result<Measured> {
        let time = self.start.elapsed();
        Ok(Measured {
            messages: messages - self.messages,
            time,
            cpu: figures::processor_time(duty.process)?.saturating_sub(self.cpu),
            peak_kib: figures::memory(duty.process)?.peak_kib,
            p50: delays.at(0.5),
            p99: delays.at(0.99),
            idle_kib: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_delays_are_noted_as_what_they_were() {
        let mut delays = Delays::new();
        delays.note(Duration::from_millis(1), 50);
        delays.note(Duration::from_secs(5), 50);
        let of = |share| delays.at(share).as_secs_f64();
        assert!((of(0.4) - 0.001).abs() < 1e-5, "{}", of(0.4));
        assert!((of(0.9) - 5.0).abs() < 0.01, "{}", of(0.9));
    }
}
