//! A flood of datagrams on loopback while `capture live` runs, and how late a single one is shown.
//!
//! - *Flood*: as many datagrams of 64 octets as one thread can send, to a port that is open and that nobody reads (a
//!   port that is closed would be answered, one ICMP message each). `capture live` shows them in its default view, to
//!   a file, and keeps them in another; those are counted.
//! - *Delay*: a datagram every five milliseconds with the moment at which it was sent; the line that shows it comes
//!   out of a pipe. From the one to the other is what a person waits.

use super::offline::CAPTURE;
use anyhow::{Context as _, bail};
use capture::source::file::FileSource;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Octets of each datagram.
const LEN: usize = 64;
/// Datagrams whose delay is looked at.
const SINGLE: usize = 400;
/// Exit status of `capture` when it is not permitted to capture.
const NOT_PERMITTED: i32 = 3;

/// Both, one after the other.
pub(crate) fn measure(datagrams: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .context("no folder for the files can be made")?;
    flood(datagrams, folder.path())?;
    delay()
}

fn flood(datagrams: u32, folder: &Path) -> anyhow::Result<()> {
    let (sender, receiver) = sockets()?;
    let port = receiver.local_addr()?.port();
    let kept = folder.join("flood.pcapng");
    let shown = File::create(folder.join("flood.txt"))?;
    let mut live = Live::start(port, &["-w".as_ref(), kept.as_os_str()], shown.into())?;
    let began = Instant::now();
    let mut refused = 0_u64;
    for number in 0..datagrams {
        let mut text = [b'.'; LEN];
        let digits = format!("{number:08}\n");
        text[LEN - digits.len()..].copy_from_slice(digits.as_bytes());
        // The kernel has no room for a moment: not sent, so nothing to capture.
        refused += u64::from(sender.send(&text).is_err());
    }
    let seconds = began.elapsed().as_secs_f64();
    let said = live.stop()?;
    let sent = u64::from(datagrams) - refused;
    let captured = count(&kept)?;
    println!(
        "sent      {sent:>9} datagrams of {LEN} octets, {:.0} a second",
        sent as f64 / seconds
    );
    println!(
        "captured  {captured:>9}, {} missing",
        sent.saturating_sub(captured)
    );
    println!(
        "capture said: {}",
        said.trim().replace('\n', "\n              ")
    );
    Ok(())
}

fn delay() -> anyhow::Result<()> {
    let (sender, receiver) = sockets()?;
    let port = receiver.local_addr()?.port();
    let options = ["--view", "segments", "--format", "json"].map(AsRef::as_ref);
    let mut live = Live::start(port, &options, Stdio::piped())?;
    let output = live.child.stdout.take().context("its output is a pipe")?;
    let reader = thread::spawn(move || -> anyhow::Result<Vec<u64>> {
        let mut delays = Vec::with_capacity(SINGLE);
        for line in BufReader::new(output).lines().take(SINGLE) {
            let line = line?;
            let now = nanos();
            let shown: Value = serde_json::from_str(&line).context("each line is JSON")?;
            let sent = shown["payload"].as_str().and_then(|text| text.parse().ok());
            delays.push(now.saturating_sub(sent.context("each datagram has its time")?));
        }
        Ok(delays)
    });
    for _ in 0..SINGLE {
        sender.send(nanos().to_string().as_bytes())?;
        // Not to wait for anything: so that each datagram comes alone.
        thread::sleep(Duration::from_millis(5));
    }
    live.stop()?;
    let mut delays = match reader.join() {
        Ok(delays) => delays?,
        Err(_) => bail!("the reader of the lines failed"),
    };
    delays.sort_unstable();
    let milliseconds = |part: usize| match delays.get(delays.len().saturating_sub(1) * part / 100) {
        Some(delay) => format!("{:.2} ms", *delay as f64 / 1e6),
        None => "nothing was shown".to_owned(),
    };
    println!(
        "shown     {:>9} single datagrams of {SINGLE}, delay: median {} (goal ≤ 10 ms), 99 of 100 within {}",
        delays.len(),
        milliseconds(50),
        milliseconds(99)
    );
    Ok(())
}

/// One that sends, connected to one that nobody reads.
fn sockets() -> anyhow::Result<(UdpSocket, UdpSocket)> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect(receiver.local_addr()?)?;
    Ok((sender, receiver))
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

fn count(file: &Path) -> anyhow::Result<u64> {
    let mut source = FileSource::open(file)?;
    let mut frames = 0;
    while source.next_frame()?.is_some() {
        frames += 1;
    }
    Ok(frames)
}

/// A `capture live` that is capturing.
struct Live {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Live {
    fn start(port: u16, options: &[&std::ffi::OsStr], output: Stdio) -> anyhow::Result<Self> {
        let mut child = Command::new(CAPTURE)
            .args(["live", "--ports", &port.to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .context("capture cannot be started")?;
        let stderr = child.stderr.take().context("what it says is a pipe")?;
        let mut said = BufReader::new(stderr);
        let mut all = String::new();
        loop {
            let start = all.len();
            if said.read_line(&mut all)? == 0 {
                let status = child.wait()?;
                if status.code() == Some(NOT_PERMITTED) {
                    bail!("this needs permission to capture:\n{all}");
                }
                bail!("capture live ended with {status}:\n{all}");
            }
            if all[start..].contains("ready") {
                return Ok(Live { child, said });
            }
        }
    }

    /// Has it end, and returns what it said.
    fn stop(&mut self) -> anyhow::Result<String> {
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGINT)?;
        let mut said = String::new();
        self.said.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        anyhow::ensure!(
            status.success(),
            "capture live ended with {status}:\n{said}"
        );
        Ok(said)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It has ended already unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
