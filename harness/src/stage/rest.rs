//! Is everything at rest? What the kernel's tables say about programs that say nothing themselves.
//!
//! Typing on at the right moment cannot be left to a fixed pause: it is too short on a busy machine and too
//! long on an idle one. A program is at rest when none of its threads runs and nothing waits unread for it.

use super::play::{GLANCE, Play};
use super::program::Program;
use crate::event::{Actor, EventKind};
use crate::world::processes;
use capture::listeners::{Socket, State};
use std::time::Duration;
use tokio::time::Instant;

/// Where no longer silence is asked for, nothing must have been printed for this long.
const REST: Duration = Duration::from_millis(30);

impl Play {
    /// Waits until everything is at rest: no program is running or has unread data, and nothing was printed
    /// for `quiet`. A program that never rests is waited for no longer than `at_most`.
    pub(super) async fn settle(&self, quiet: Option<Duration>, at_most: Duration) {
        let began = Instant::now();
        let deadline = began + at_most.max(quiet.unwrap_or_default() + GLANCE);
        let quiet = quiet.unwrap_or(REST);
        let mut rested = false;
        // Who was busy each time it was looked.
        let mut restless: Vec<&Actor> = self.programs.keys().collect();
        while Instant::now() < deadline {
            let printed = self.recorder.last_output();
            let processes = processes::Processes::read();
            let busy = |program: &Program| processes::any_busy(&processes.family(program.pid));
            restless.retain(|actor| self.programs.get(*actor).is_some_and(busy));
            let rests =
                restless.is_empty() && !self.programs.values().any(busy) && !self.has_more_to_do();
            // Twice in a row, so that a process between two states is not taken for one at rest.
            let silent_since = printed.max(began);
            if rests && rested && Instant::now() >= silent_since + quiet {
                return;
            }
            rested = rests;
            tokio::time::sleep(GLANCE).await;
            rested &= self.recorder.last_output() == printed;
        }
        for actor in restless {
            let actor = actor.clone();
            self.recorder.record(EventKind::NeverAtRest { actor });
        }
    }

    /// Whether something is on its way to programs that seem to be at rest.
    fn has_more_to_do(&self) -> bool {
        if self.is_an_end_untold() || self.faults.are_pending() {
            return true;
        }
        // Unread data means that somebody is about to wake up, unless somebody is kept from reading. On a shared
        // network the table holds everybody's sockets.
        let someone_paused = self.programs.values().any(|program| program.paused);
        self.job.seclusion.network
            && !someone_paused
            && self.sockets().is_ok_and(|table| {
                table.iter().any(|socket| {
                    matches!(socket.state, State::Connected | State::Bound)
                        && socket.queued > 0
                        && !self.is_ours(socket)
                })
            })
    }

    /// Whether a process has ended and nobody has recorded that yet.
    fn is_an_end_untold(&self) -> bool {
        self.programs
            .values()
            .any(|program| !self.has_ended(&program.actor) && processes::has_ended(program.pid))
    }

    fn is_ours(&self, socket: &Socket) -> bool {
        self.peers.iter().any(|peer| {
            peer.local_addr()
                .is_ok_and(|local| local.port() == socket.local.port())
        })
    }
}
