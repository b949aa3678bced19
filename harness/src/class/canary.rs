//! A sleeper that notices when the machine lags.
//!
//! A thread sleeps for a moment, over and over, and remembers by how much it overslept. A program under test that waits
//! for a second, or for an answer, oversleeps as much: what it then does late is not its fault.
//!
//! A sleeper is woken in time even where everybody else queues for a processor, so it also looks how many do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it sleeps.
const NAP: Duration = Duration::from_millis(20);

/// Less than this is not worth remembering.
const NOTABLE: Duration = Duration::from_millis(10);

/// So many are remembered: hours of a lagging machine.
const MEMORY: usize = 200_000;

/// The sleeper; it ends when this is dropped.
#[derive(Debug)]
pub struct Canary {
    lags: Arc<Mutex<VecDeque<Lag>>>,
    enough: Arc<AtomicBool>,
    /// How many want a processor, in thousandths, smoothed.
    crowd: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Lag {
    /// When it wanted to wake.
    due: Instant,
    /// When it woke.
    woke: Instant,
}

impl Canary {
    /// Puts it to sleep.
    ///
    /// # Errors
    /// When the system allows no further thread.
    pub fn new() -> std::io::Result<Self> {
        let lags = Arc::new(Mutex::new(VecDeque::new()));
        let enough = Arc::new(AtomicBool::new(false));
        let crowd = Arc::new(AtomicU64::new(0));
        let (kept, stop, seen) = (Arc::clone(&lags), Arc::clone(&enough), Arc::clone(&crowd));
        let sleep = move || {
            while !stop.load(Ordering::Relaxed) {
                let due = Instant::now() + NAP;
                std::thread::sleep(NAP);
                let woke = Instant::now();
                if woke.saturating_duration_since(due) >= NOTABLE {
                    remember(&kept, Lag { due, woke });
                }
                let loads = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
                if let Some(now) = runnable(&loads) {
                    let before = seen.load(Ordering::Relaxed);
                    seen.store((before * 31 + now * 1000) / 32, Ordering::Relaxed);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("canary".to_owned())
            .spawn(sleep)?;
        Ok(Canary {
            lags,
            enough,
            crowd,
            thread: Some(thread),
        })
    }

    /// How many processes and threads of this machine wanted a processor during the last half second or so; 0 where the
    /// system does not say.
    pub fn crowd(&self) -> f64 {
        self.crowd.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// By how much it overslept at worst in a stretch of time.
    pub fn worst(&self, from: Instant, until: Instant) -> Duration {
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        worst(lags.iter(), from, until)
    }
}

/// How many want a processor now, besides whoever asks: the fourth field is `running/all`.
fn runnable(loads: &str) -> Option<u64> {
    let field = loads.split_whitespace().nth(3)?;
    let running: u64 = field.split('/').next()?.parse().ok()?;
    Some(running.saturating_sub(1))
}

fn remember(lags: &Mutex<VecDeque<Lag>>, lag: Lag) {
    let mut lags = lags.lock().unwrap_or_else(PoisonError::into_inner);
    if lags.len() == MEMORY {
        lags.pop_front();
    }
    lags.push_back(lag);
}

fn worst<'a>(lags: impl Iterator<Item = &'a Lag>, from: Instant, until: Instant) -> Duration {
    lags.filter(|lag| lag.due <= until && lag.woke >= from)
        .map(|lag| lag.woke.saturating_duration_since(lag.due))
        .max()
        .unwrap_or_default()
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only sleeps and remembers: there is nothing to report.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_counts_for_every_stretch_that_it_touches() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let lags = [
            Lag {
                due: at(100),
                woke: at(130),
            },
            Lag {
                due: at(1000),
                woke: at(1400),
            },
        ];
        let check = |from: u64, until: u64, expected: u64| {
            let found = worst(lags.iter(), at(from), at(until));
            assert_eq!(found, Duration::from_millis(expected), "{from}..{until}");
        };
        check(0, 90, 0);
        check(0, 500, 30);
        check(200, 900, 0);
        check(0, 1000, 400);
        check(1100, 1200, 400);
        check(1500, 2000, 0);
    }

    #[test]
    fn who_queues_is_counted_without_whoever_counts() {
        assert_eq!(runnable("24.91 29.67 25.55 31/432 9999\n"), Some(30));
        assert_eq!(runnable("0.00 0.00 0.00 0/432 9999\n"), Some(0));
        assert_eq!(runnable(""), None);
        assert_eq!(runnable("1 2 3 x/y 4"), None);
    }

    #[test]
    fn it_notices_that_its_whole_process_stood_still() {
        let canary = Canary::new().expect("a thread can be started");
        let from = Instant::now();
        // Stopped by its own child, and continued by it: nothing in this process runs meanwhile.
        let script = "kill -STOP $PPID; sleep 0.3; kill -CONT $PPID";
        let status = std::process::Command::new("sh")
            .args(["-c", script])
            .status()
            .expect("there is a shell");
        assert!(status.success());
        let deadline = Instant::now() + Duration::from_secs(10);
        while canary.worst(from, Instant::now()) < Duration::from_millis(200) {
            assert!(Instant::now() < deadline, "it noticed nothing");
            std::thread::yield_now();
        }
    }
}
