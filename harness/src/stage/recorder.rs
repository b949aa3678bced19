//! Records events: into the ledger, onto the stage's standard output, and to whoever waits for one.

use crate::event::{Event, EventKind};
use crate::judge::Ledger;
use std::cell::{Cell, Ref, RefCell};
use std::io::Write as _;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One scenario's recorder. Everything on the stage runs on one thread.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    ledger: RefCell<Ledger>,
    changed: Notify,
    last_output: Cell<Instant>,
    /// The last step is over: only what the wire has still to tell is recorded.
    quiet: Cell<bool>,
    closed: Cell<bool>,
}

impl Recorder {
    pub(super) fn new(ledger: Ledger) -> Self {
        let now = Instant::now();
        Recorder {
            began: now,
            ledger: RefCell::new(ledger),
            changed: Notify::new(),
            last_output: Cell::new(now),
            quiet: Cell::new(false),
            closed: Cell::new(false),
        }
    }

    /// Records that something happened now. After the scenario's end nothing is recorded any more.
    pub(super) fn record(&self, kind: EventKind) {
        self.record_at(self.now_us(), kind);
    }

    /// The last step is over. What programs do from here on is nobody's concern, but what has crossed the wire before
    /// may not have been told yet.
    pub(super) fn hush(&self) {
        self.quiet.set(true);
    }

    /// The moment (µs) since the recorder was made.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Records what happened at a moment that is over: what crossed the wire is known a little later.
    pub(super) fn record_at(&self, at_us: u64, kind: EventKind) {
        let about_programs = !matches!(
            kind,
            EventKind::Crossed(_)
                | EventKind::Meddled { .. }
                | EventKind::WatchFailed { .. }
                | EventKind::ScenarioEnded { .. }
        );
        if self.closed.get() || (self.quiet.get() && about_programs) {
            return;
        }
        if matches!(kind, EventKind::Output { .. }) {
            self.last_output.set(Instant::now());
        }
        self.closed
            .set(matches!(kind, EventKind::ScenarioEnded { .. }));
        let event = Event { at_us, kind };
        self.ledger.borrow_mut().apply(&event);
        if let Ok(mut line) = serde_json::to_string(&event) {
            line.push('\n');
            // When nobody listens any more the stage is about to be killed.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
        self.changed.notify_waiters();
    }

    pub(super) fn ledger(&self) -> Ref<'_, Ledger> {
        self.ledger.borrow()
    }

    /// When a program last printed something.
    pub(super) fn last_output(&self) -> Instant {
        self.last_output.get()
    }

    /// Whether `condition` became true before the deadline; asked after every event.
    pub(super) async fn wait_until(
        &self,
        deadline: Instant,
        condition: impl Fn(&Ledger) -> bool,
    ) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(&self.ledger()) {
                return true;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return condition(&self.ledger());
            }
        }
    }
}
