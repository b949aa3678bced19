//! A child that ends with us: killed when dropped, and by the kernel when we end without dropping it.
//!
//! It is ready when it says so in its output; nothing is tried until it works and nothing sleeps.
#![expect(
    unsafe_code,
    reason = "there is no safe way to do something in a child before it executes its program"
)]

use std::{
    io::{self, BufRead, BufReader, PipeReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::sys::{prctl::set_pdeathsig, signal::Signal};

/// Time for a server to get ready, on a machine with other work.
const START_TIME: Duration = Duration::from_secs(120);

/// What happens to the output once the server is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Read and thrown away.
    Read,
    /// Closed, for a server that prints every request: nobody is to be measured reading that.
    Closed,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such program, or it may not be run.
    #[error("cannot start {program}")]
    Spawn {
        /// Its name or path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended, or was silent for too long.
    #[error("{program} did not get ready; it said: {said:?}")]
    NotReady {
        /// Its name or path.
        program: String,
        /// All of its output.
        said: String,
    },
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it and waits until `ready` finds an address in a line of its output (both streams).
    ///
    /// To be called on a thread that lives as long as the server is wanted: the kernel kills it with that thread.
    ///
    /// # Errors
    /// It cannot be started, or ends before it is ready, or takes two minutes.
    pub fn start(
        mut command: Command,
        output: Output,
        ready: impl Fn(&str) -> Option<SocketAddr>,
    ) -> Result<Self, StartError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let spawned = io::pipe().and_then(|(reader, writer)| {
            command
                .stdin(Stdio::null())
                .stdout(writer.try_clone()?)
                .stderr(writer)
                // Ctrl-C is for us. Who dies of it while it is measured would look like a fault.
                .process_group(0);
            // SAFETY: between fork and exec only prctl is called, and nothing is allocated.
            unsafe {
                command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
            }
            Ok((reader, command.spawn()?))
        });
        // It holds the writing end, and would keep the output from ending.
        drop(command);
        let (reader, child) = spawned.map_err(|source| StartError::Spawn {
            program: program.clone(),
            source,
        })?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let (sender, lines) = mpsc::sync_channel(16);
        thread::spawn(move || pass_on(reader, &sender, output));
        let deadline = Instant::now() + START_TIME;
        let mut said = String::new();
        while let Ok(line) = lines.recv_timeout(deadline - Instant::now().min(deadline)) {
            if let Some(address) = ready(&line) {
                server.address = address;
                return Ok(server);
            }
            said.push_str(&line);
        }
        Err(StartError::NotReady { program, said })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on lines as long as somebody wants them, and then does with the rest what is to be done.
fn pass_on(reader: PipeReader, lines: &mpsc::SyncSender<String>, output: Output) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        let text = String::from_utf8_lossy(&line).into_owned();
        if lines.send(text).is_err() {
            if output == Output::Read {
                let _ = io::copy(&mut reader, &mut io::sink());
            }
            return;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_ready_when_its_output_says_so() {
        let script = "echo starting >&2; echo at 127.0.0.1:7; exec sleep 1000";
        let address = |line: &str| line.strip_prefix("at ")?.trim_end().parse().ok();
        let server = Server::start(shell(script), Output::Read, address).expect("ready");
        assert_eq!(server.address().port(), 7);
    }

    #[test]
    fn what_a_server_said_before_it_ended_is_in_the_error() {
        let ended = Server::start(shell("echo no port >&2"), Output::Read, |_| None);
        let error = ended.expect_err("it ends").to_string();
        assert!(error.contains("no port"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = Server::start(Command::new("/no/such"), Output::Read, |_| None);
        let error = error.expect_err("there is none").to_string();
        assert_eq!(error, "cannot start /no/such");
    }
}
