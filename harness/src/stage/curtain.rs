//! The end of a scenario: every program ends, politely at first, and whatever they have started with them.

use super::play::{GLANCE, Play};
use super::program::Program;
use crate::scenario::model::SERVER;
use crate::world::keeper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;
use tokio::time::Instant;

impl Play {
    /// Ends every program, politely at first, and whatever they have started.
    pub(super) async fn end_everything(&mut self, at_once: bool) {
        let polite = [Signal::SIGINT, Signal::SIGTERM];
        if !at_once {
            for program in self.programs.values_mut() {
                program.signal(Signal::SIGCONT);
                if program.actor != SERVER {
                    program.end_input().await;
                }
            }
            self.wait_until_gone(Duration::from_millis(150)).await;
            for signal in polite {
                self.programs
                    .values_mut()
                    .for_each(|program| program.signal(signal));
                self.wait_until_gone(Duration::from_millis(400)).await;
            }
        }
        self.programs.values().for_each(Program::destroy);
        // What they have started may have left their groups. In a process namespace the kernel sees to it when
        // the stage ends; otherwise orphans have become this process's children.
        if self.job.seclusion.processes {
            return;
        }
        keeper::end_descendants().await;
    }

    async fn wait_until_gone(&self, within: Duration) {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            let pids: Vec<i32> = self
                .programs
                .values()
                .filter_map(|program| i32::try_from(program.pid).ok())
                .collect();
            if pids
                .iter()
                .all(|pid| kill(Pid::from_raw(*pid), None).is_err())
            {
                return;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}
