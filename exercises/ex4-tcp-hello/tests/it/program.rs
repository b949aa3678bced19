//! A program under test: its lines as they come, each wait with a deadline,
//! and no way to outlive the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than any wait takes, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts a program with its standard output read line by line.
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Self {
        let mut child = spawn(path, arguments);
        let out = child.stdout.take().expect("standard output is a pipe");
        let (line, lines) = channel();
        thread::spawn(move || {
            for text in BufReader::new(out).lines() {
                let text = text.expect("the program prints UTF-8");
                if line.send(text).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line that contains `wanted` and returns it.
    #[track_caller]
    pub(crate) fn line(&mut self, wanted: &str) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(wanted) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {wanted:?} came, only {:#?}", self.seen),
            }
        }
    }

    /// The address in the first line, `Listening on …`.
    #[track_caller]
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line("");
        line.strip_prefix("Listening on ")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("the first line is {line:?}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id fits");
        kill(Pid::from_raw(id), signal).expect("the program runs");
    }

    /// Waits for the end: the exit status and every line printed.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        let status = wait(&mut self.child);
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.seen.push(line);
        }
        (status, std::mem::take(&mut self.seen))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail, harmlessly, when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program, reads one line from it, then closes the pipe, as
/// `| head -1` does. Returns the line, and the process for [`wait`].
pub(crate) fn start_and_close_pipe(path: &str, arguments: &[&str]) -> (String, Child) {
    let mut child = spawn(path, arguments);
    let mut out: ChildStdout = child.stdout.take().expect("standard output is a pipe");
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut octet = [0];
        out.read_exact(&mut octet).expect("a whole line comes");
        line.extend(octet);
    }
    let line = String::from_utf8(line).expect("the program prints UTF-8");
    (line.trim_end().to_owned(), child)
}

/// Waits for the end and returns the exit status.
#[track_caller]
pub(crate) fn wait(child: &mut Child) -> Option<i32> {
    wait_poking(child, || ())
}

/// Waits for the end, giving the program something to print again and again.
/// Once is not enough to make it notice a closed pipe: another test that is
/// just starting a program holds a copy of the pipe for a moment (between
/// fork and exec).
#[track_caller]
pub(crate) fn wait_poking(child: &mut Child, mut poke: impl FnMut()) -> Option<i32> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            return status.code();
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("the program did not end");
        }
        poke();
        // std has no wait with a deadline; this only paces the polling.
        thread::sleep(Duration::from_millis(5));
    }
}

fn spawn(path: &str, arguments: &[&str]) -> Child {
    Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Whether `::1` can be bound. Where it cannot, the test is skipped aloud,
/// but never in continuous integration.
pub(crate) fn has_ipv6(test: &str) -> bool {
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} needs the IPv6 loopback ::1"
    );
    eprintln!("SKIPPED: {test} needs the IPv6 loopback ::1");
    false
}
