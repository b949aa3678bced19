//! Is everything at rest, and can anything more happen by itself? What the kernel's tables say about programs that say
//! nothing themselves.
//!
//! Typing on at the right moment cannot be left to a fixed pause: it is too short on a busy machine and too
//! long on an idle one. A program is at rest when none of its threads runs and nothing is on its way: to it over the
//! network, or from it to its terminal.

use super::patience::Limit;
use super::play::Play;
use super::program::Program;
use crate::event::{Actor, EventKind};
use crate::judge::Ledger;
use crate::world::processes::Processes;
use crate::world::standstill::{self, Standstill};
use capture::listeners::{Socket, State};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Where no longer silence is asked for, nothing must have been printed for this long.
const REST: Duration = Duration::from_millis(30);

/// How soon it is looked again whether everything is at rest.
const AGAIN: Duration = Duration::from_millis(2);

/// What was found at rest so long ago at most still is when one look more finds it so.
const JUST_NOW: Duration = Duration::from_millis(10);

/// How sure it must be that nobody can do anything more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stillness {
    /// Somebody is judged by it.
    Sure,
    /// It only decides when the next step is taken, which has been waited for long enough then.
    Likely,
}

impl Stillness {
    /// For how long nobody must have done anything. The kernel's own delays are shorter than that of [`Stillness::Sure`].
    fn lasts(self) -> Duration {
        match self {
            Stillness::Sure => Duration::from_secs(1),
            Stillness::Likely => Duration::from_millis(100),
        }
    }

    /// How soon it is looked at first whether anybody can do anything. As long as somebody can it is done less and less
    /// often: hundreds of scenarios that wait would take the processors from each other.
    fn first_look(self) -> Duration {
        match self {
            Stillness::Sure => Duration::from_millis(200),
            Stillness::Likely => Duration::from_millis(50),
        }
    }
}

/// The longest time between two such looks.
const LOOK_AT_MOST: Duration = Duration::from_secs(2);

/// Somebody who is at rest is about to wake up when such a socket holds something.
const WAITS_FOR_A_READER: &[State] = &[State::Connected, State::Bound];

/// The same, and what needs nobody: a connection that is being made or ended comes to its end by itself.
const COMES_TO_ITS_END: &[State] = &[State::Connected, State::Bound, State::Other];

impl Play {
    /// Waits until everything is at rest: no program is running or has unread data, and nothing was printed
    /// for `quiet`. A program that never rests is waited for no longer than `at_most`.
    pub(super) async fn settle(&self, quiet: Option<Duration>, at_most: Duration) {
        let began = Instant::now();
        let limit = Limit::new(at_most.max(quiet.unwrap_or_default() + AGAIN));
        let quiet = quiet.unwrap_or(REST);
        let printed = self.recorder.last_output();
        let just_rested = self
            .rested
            .take()
            .is_some_and(|at| at.elapsed() <= JUST_NOW && printed < at && quiet <= REST);
        let mut rested = just_rested;
        // Who was busy each time it was looked, and how long they had been at work before.
        let mut restless: Option<BTreeMap<&Actor, Duration>> = None;
        loop {
            let printed = self.recorder.last_output();
            if !(just_rested && printed < began) {
                // Before it has been silent for so long a look only tells who never rests. In the end two are needed.
                let nearly_silent = printed.max(began) + quiet - AGAIN.min(quiet);
                let next = nearly_silent.min(Instant::now() + REST);
                tokio::time::sleep_until(next.min(limit.end())).await;
            }
            if self.is_reached(&limit) {
                break;
            }
            let printed = self.recorder.last_output();
            let processes = Processes::read();
            let busy: BTreeMap<&Actor, Duration> = (self.programs.values())
                .filter_map(|program| {
                    let family = processes.family(program.pid);
                    let busy = processes.any_busy(&family);
                    busy.then(|| (&program.actor, processes.time_at_work(&family)))
                })
                .collect();
            restless
                .get_or_insert_with(|| busy.clone())
                .retain(|actor, _| busy.contains_key(actor));
            let rests = busy.is_empty() && !self.has_more_to_do(&processes, WAITS_FOR_A_READER);
            // Twice in a row, so that a process between two states is not taken for one at rest.
            let silent_for = printed.max(began).elapsed();
            let silent = silent_for >= quiet || just_rested && printed < began;
            if rests && rested && silent {
                self.rested.set(Some(Instant::now()));
                return;
            }
            rested = rests;
            tokio::time::sleep(AGAIN).await;
            rested &= self.recorder.last_output() == printed;
        }
        let processes = Processes::read();
        for (actor, before) in restless.into_iter().flatten() {
            let family = processes.family(self.programs[actor].pid);
            let worked = processes.time_at_work(&family).saturating_sub(before);
            self.recorder.record(EventKind::NeverAtRest {
                actor: actor.clone(),
                worked_ms: u64::try_from(worked.as_millis()).unwrap_or(u64::MAX),
            });
        }
    }

    /// Waits for something until the limit, or until nothing more can happen by itself, and says whether that was it:
    /// every program waits for another, without a time limit, and nothing is on its way to anybody.
    pub(super) async fn wait_while_something_can_happen(
        &self,
        limit: &Limit,
        condition: impl Fn(&Ledger) -> bool,
    ) -> bool {
        tokio::select! {
            biased;
            _ = self.wait_until(limit, condition) => false,
            () = self.come_to_a_standstill(Stillness::Sure) => true,
        }
    }

    /// Waits for something that is usual but not owed, as long as it can still come: until the limit at most.
    pub(super) async fn give_time(&self, limit: &Limit, condition: impl Fn(&Ledger) -> bool) {
        tokio::select! {
            biased;
            _ = self.wait_until(limit, condition) => {}
            () = self.come_to_a_standstill(Stillness::Likely) => {}
        }
    }

    /// Returns when nothing more can happen by itself. Where that cannot be seen it never does.
    pub(super) async fn come_to_a_standstill(&self, how: Stillness) {
        let mut since: Option<(Standstill, Instant)> = None;
        let mut again = how.first_look();
        loop {
            tokio::time::sleep(again).await;
            again = LOOK_AT_MOST.min(again * 5 / 4);
            if !self.sees_the_network() {
                since = None;
                continue;
            }
            let processes = Processes::read();
            if self.has_more_to_do(&processes, COMES_TO_ITS_END) {
                since = None;
                continue;
            }
            let everybody = self
                .programs
                .values()
                .flat_map(|program| processes.family(program.pid))
                .collect();
            since = match (standstill::look(&processes, &everybody), since) {
                (Some(now), Some((before, began))) if now == before => {
                    if began.elapsed() >= how.lasts() {
                        return;
                    }
                    again = how.first_look();
                    Some((before, began))
                }
                (Some(now), _) => {
                    again = how.first_look();
                    Some((now, Instant::now()))
                }
                (None, _) => None,
            };
        }
    }

    /// Whether something is on its way to programs that seem to be at rest: over a socket in one of these states, to a
    /// terminal, or otherwise.
    fn has_more_to_do(&self, processes: &Processes, states: &[State]) -> bool {
        if self.is_an_end_untold(processes) || self.faults.are_pending() {
            return true;
        }
        if self.programs.values().any(Program::has_said_more) {
            return true;
        }
        // Unread data means that somebody is about to wake up, unless somebody is kept from reading.
        self.sees_the_network() && self.holds_octets(states)
    }

    /// Whether the sockets tell what is on its way: on a shared network the table holds everybody's, and who is paused
    /// reads nothing.
    fn sees_the_network(&self) -> bool {
        let someone_paused = self.programs.values().any(|program| program.paused);
        self.job.seclusion.network && !someone_paused
    }

    /// Whether a program's socket in one of these states holds something that has not been read, or not been acknowledged.
    fn holds_octets(&self, states: &[State]) -> bool {
        self.sockets().is_ok_and(|table| {
            table.iter().any(|socket| {
                states.contains(&socket.state) && socket.queued > 0 && !self.is_ours(socket)
            })
        })
    }

    /// Whether a process has ended and nobody has recorded that yet.
    fn is_an_end_untold(&self, processes: &Processes) -> bool {
        self.programs
            .values()
            .any(|program| processes.has_ended(program.pid) && !self.has_ended(&program.actor))
    }

    fn is_ours(&self, socket: &Socket) -> bool {
        self.peers.iter().any(|peer| {
            peer.local_addr()
                .is_ok_and(|local| local.port() == socket.local.port())
        })
    }
}
