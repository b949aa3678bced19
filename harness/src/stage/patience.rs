//! How long programs are waited for on a machine that they share with others.
//!
//! A time limit is meant for a program, not for the machine it runs on: while one of its threads wants a processor and
//! has none, or waits for a disk, no time of its own goes by. Ten programs that start at once on two cores, or one on a
//! machine that has never read its interpreter from the disk, may take several times as long as alone, and nothing is
//! wrong with any of them. So a [`Limit`] that is reached is put off by the time the machine has kept from the programs
//! since it was last asked. On an idle machine, and for a program that does nothing or computes for ever, it is what it
//! says.

use super::play::Play;
use crate::judge::Ledger;
use crate::world::processes::{self, Processes};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A limit is put off to so many times its length at most.
const AT_MOST: u32 = 6;

/// All limits of a scenario are put off by this much at most.
pub(super) const AT_MOST_IN_ALL: Duration = Duration::from_secs(300);

/// Less than this, which programs wait for a processor on any machine, is not made up for.
const NEGLIGIBLE: Duration = Duration::from_millis(100);

/// How soon it is looked again whether a program that should be at work has got a processor.
const AGAIN: Duration = Duration::from_millis(100);

/// Until when something is waited for.
#[derive(Debug)]
pub(super) struct Limit {
    latest: Instant,
    end: Cell<Instant>,
}

impl Limit {
    pub(super) fn new(within: Duration) -> Self {
        let now = Instant::now();
        Limit {
            latest: now + within * AT_MOST,
            end: Cell::new(now + within),
        }
    }

    /// This limit, or a shorter one from now on.
    pub(super) fn or(&self, within: Duration) -> Self {
        let other = Limit::new(within);
        Limit {
            latest: self.latest.min(other.latest),
            end: Cell::new(self.end().min(other.end())),
        }
    }

    /// When it is reached, unless it is put off then.
    pub(super) fn end(&self) -> Instant {
        self.end.get()
    }
}

/// What the machine has kept from the programs of a scenario, and has been made up for.
#[derive(Debug)]
pub(super) struct Patience {
    since: Instant,
    /// How much longer limits may still be put off.
    left: Duration,
    /// For how long each thread had waited for a processor by then.
    waited: BTreeMap<u32, Duration>,
    /// For how long each program had been at work by then.
    worked: BTreeMap<u32, Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            since: Instant::now(),
            left: AT_MOST_IN_ALL,
            waited: BTreeMap::new(),
            worked: BTreeMap::new(),
        }
    }
}

/// One program, as the kernel's tables show it.
struct Seen {
    pid: u32,
    /// Whether one of its threads runs, wants to, or waits for a disk.
    busy: bool,
    worked: Duration,
    threads: Vec<(u32, Duration)>,
}

impl Patience {
    /// How much longer to wait, because of what has happened since this was last asked.
    fn more(&mut self, programs: &[Seen], now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.since);
        self.since = now;
        let mut waited = Duration::ZERO;
        let mut is_kept_from_work = false;
        for program in programs {
            for (thread, total) in &program.threads {
                let before = self.waited.insert(*thread, *total).unwrap_or_default();
                waited += total.saturating_sub(before);
            }
            let before = self.worked.insert(program.pid, program.worked);
            let worked = program.worked.saturating_sub(before.unwrap_or_default());
            is_kept_from_work |= program.busy && worked < passed / 2;
        }
        let more = match waited.min(passed) {
            long if long >= NEGLIGIBLE => long,
            _ if is_kept_from_work => AGAIN,
            _ => Duration::ZERO,
        };
        let more = more.min(self.left);
        self.left -= more;
        more
    }
}

impl Play {
    /// Whether a limit is reached. Asked when its end has come, it may put it off.
    pub(super) fn is_reached(&self, limit: &Limit) -> bool {
        let now = Instant::now();
        if now < limit.end() {
            return false;
        }
        let more = self.patience.borrow_mut().more(&self.seen(), now);
        limit.end.set((now + more).min(limit.latest));
        limit.end() <= now
    }

    /// Whether something became true before the limit; asked after every event.
    pub(super) async fn wait_until(
        &self,
        limit: &Limit,
        condition: impl Fn(&Ledger) -> bool,
    ) -> bool {
        loop {
            if self.recorder.wait_until(limit.end(), &condition).await {
                return true;
            }
            if self.is_reached(limit) {
                return condition(&self.recorder.ledger());
            }
        }
    }

    fn seen(&self) -> Vec<Seen> {
        let processes = Processes::read();
        let running = self.programs.values().filter(|program| !program.paused);
        running
            .map(|program| {
                let family: BTreeSet<u32> = processes.family(program.pid);
                Seen {
                    pid: program.pid,
                    busy: processes.any_busy(&family),
                    worked: processes.time_at_work(&family),
                    threads: processes::waits_for_a_processor(&family).collect(),
                }
            })
            .collect()
    }
}

/// Shared by the waits of one scenario.
pub(super) type Shared = RefCell<Patience>;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A program with one thread that has worked and waited for so many milliseconds.
    fn seen(busy: bool, worked: u64, waited: u64) -> Seen {
        Seen {
            pid: 7,
            busy,
            worked: Duration::from_millis(worked),
            threads: vec![(7, Duration::from_millis(waited))],
        }
    }

    #[test]
    fn what_the_machine_keeps_from_programs_is_made_up_for_once() {
        let mut patience = Patience::default();
        let began = patience.since;
        let asked = |patience: &mut Patience, seconds: u32, program: Seen| {
            patience.more(&[program], began + SECOND * seconds)
        };
        assert_eq!(asked(&mut patience, 6, seen(false, 500, 4_000)), SECOND * 4);
        assert_eq!(
            asked(&mut patience, 10, seen(false, 900, 4_000)),
            Duration::ZERO
        );
    }

    #[test]
    fn no_more_is_made_up_for_than_has_passed() {
        let mut patience = Patience::default();
        let now = patience.since + SECOND;
        let crowd = [seen(true, 0, 9_000)];
        assert_eq!(patience.more(&crowd, now), SECOND);
    }

    #[test]
    fn who_sleeps_or_computes_is_not_waited_for_any_longer() {
        for (busy, worked) in [(false, 0), (true, 5_900)] {
            let mut patience = Patience::default();
            let now = patience.since + SECOND * 6;
            let more = patience.more(&[seen(busy, worked, 20)], now);
            assert_eq!(more, Duration::ZERO, "{busy} {worked}");
        }
    }

    #[test]
    fn who_wants_to_work_and_cannot_is_looked_at_again() {
        let mut patience = Patience::default();
        let now = patience.since + SECOND * 6;
        assert_eq!(patience.more(&[seen(true, 300, 20)], now), AGAIN);
    }

    #[test]
    fn no_scenario_is_put_off_for_ever() {
        let mut patience = Patience::default();
        let mut now = patience.since;
        let mut in_all = Duration::ZERO;
        for _ in 0..1_000 {
            now += SECOND;
            in_all += patience.more(&[seen(true, 0, 20)], now);
        }
        assert_eq!(in_all, AGAIN * 1_000);
        for number in 1..=1_000 {
            now += SECOND;
            in_all += patience.more(&[seen(true, 0, 1_000 * number)], now);
        }
        assert_eq!(in_all, AT_MOST_IN_ALL);
    }

    #[test]
    fn a_limit_has_an_end() {
        let limit = Limit::new(SECOND);
        assert!(limit.latest - limit.end() == SECOND * (AT_MOST - 1));
    }
}
