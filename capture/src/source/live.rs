//! Captures from an interface, as it happens. The only module that calls libpcap.
//!
//! ```text
//! capture live -i lo --ports 20001,20002
//! ```
//!
//! How libpcap is set up decides whether a student sees anything:
//! - The kernel hands over frames in blocks, after 10 ms at the latest; a quiet interface is never waited for longer.
//!   Immediate mode, which looks like the right choice, spends one slot of about 64 KiB on each frame of a loopback
//!   interface and loses a good part of a fast exchange; libpcap's own default waits until a block is full.
//! - Reading never blocks. What is waited for is the capture's descriptor and the one that says "stop", together
//!   with `poll(2)`.
//! - On "stop" the kernel may still hold a block that is not full: it is waited for and read before the end.
//! - 262,144 octets of a frame are kept: those of a loopback interface are longer than 65,535.
//! - Never promiscuous, and no direction in the filter (`inbound` loses the first segments on loopback).
//!
//! What a filter in the kernel cannot see is told in [`filter`]; how it is known that a capture has caught up, in
//! [`beacon`].
//!
//! Owns no global state: a process in a network namespace of its own opens a capture there like anywhere else.

pub mod beacon;
pub mod filter;

use crate::frame::{Frame, LinkType};
use crate::pipeline::FrameSink;
use crate::time::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Device, Packet, Precision};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Octets of a frame that are kept.
pub const SNAPLEN: u32 = super::file::MAX_FRAME_LEN;
/// The kernel's buffer, in octets: room for 37,000 small datagrams on loopback, a fifth of a second of as many as two
/// programs can exchange.
pub const DEFAULT_BUFFER: u32 = 16 << 20;

/// So long the kernel keeps a block that is not full.
const HANDOVER: Duration = Duration::from_millis(10);
/// After so many frames without a pause it is looked at whether to stop.
const BATCH: usize = 256;
/// While frames come without a pause, what was found is shown so often.
const SHOWN_EVERY: Duration = Duration::from_millis(50);

/// What to capture.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The interface; `None` for the first loopback interface. `any` is all of them, on Linux.
    pub interface: Option<String>,
    /// Only these ports and what may belong to them; `None` for everything.
    pub ports: Option<Vec<u16>>,
    /// The kernel's buffer, in octets.
    pub buffer: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            interface: None,
            ports: None,
            buffer: DEFAULT_BUFFER,
        }
    }
}

/// Why nothing can be captured, or nothing more.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// This user may not capture there.
    #[error("capturing on {interface} is not permitted ({why})")]
    NotPermitted {
        /// Where.
        interface: String,
        /// What the system said.
        why: String,
    },
    /// There is no such interface.
    #[error("there is no interface {name}; there {}", listed(.there))]
    NoSuchInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The filter was refused.
    #[error("the filter is refused ({why}): {text}")]
    Filter {
        /// The filter.
        text: String,
        /// What libpcap said.
        why: String,
    },
    /// The sink failed, as where nobody reads its output any more.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// Something else, as where an interface is down or goes away.
    #[error("capturing on {interface}: {why}")]
    Other {
        /// Where.
        interface: String,
        /// What the system said.
        why: String,
    },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "is none at all".to_owned(),
        [only] => format!("is {only}"),
        all => format!("are {}", all.join(", ")),
    }
}

/// An interface, as libpcap lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What it is, where the system says so.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it leads back to this computer.
    pub loopback: bool,
    /// Whether it is switched on.
    pub up: bool,
}

/// When to end, and what else to do meanwhile.
#[derive(Default)]
pub struct Limits<'a> {
    /// End when the sink has found so many of the lab's segments, datagrams and messages.
    pub count: Option<u64>,
    /// End after this time.
    pub duration: Option<Duration>,
    /// What to do when nothing of the lab has come for a while.
    pub quiet: Option<Quiet<'a>>,
}

/// What to do, once, when nothing of the lab was seen since the beginning.
pub struct Quiet<'a> {
    /// So long.
    pub after: Duration,
    /// What to do.
    pub tell: &'a mut dyn FnMut(),
}

/// How a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Frames that were handed over.
    pub frames: u64,
    /// Frames that the kernel had no room for, where it tells: at least so many.
    pub dropped: Option<u64>,
    /// Why it ended.
    pub why: Why,
}

/// Why a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was told to.
    Stopped,
    /// There were as many as asked for.
    Count,
    /// Its time was over.
    Duration,
}

/// A capture that has begun: from here on the kernel keeps what comes.
pub struct LiveCapture {
    capture: Capture<Active>,
    interface: String,
    link: LinkType,
    frames: u64,
}

impl LiveCapture {
    /// Begins to capture. When it returns, no frame is lost any more.
    ///
    /// # Errors
    /// When the interface does not exist, may not be captured, or the filter is refused.
    pub fn open(settings: &Settings) -> Result<Self, LiveError> {
        let interface = match &settings.interface {
            Some(interface) => interface.clone(),
            None => default_interface()?,
        };
        let capture = activate(&interface, settings.buffer)
            .map_err(|error| explain(&interface, &error, names))?;
        let link = link_type(capture.get_datalink().0);
        let mut live = LiveCapture {
            capture,
            interface,
            link,
            frames: 0,
        };
        if let Some(text) = filter::text(settings.ports.as_deref(), link) {
            live.capture
                .filter(&text, true)
                .map_err(|error| LiveError::Filter {
                    text,
                    why: said(&error),
                })?;
        }
        Ok(live)
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// How its frames begin.
    pub fn link_type(&self) -> LinkType {
        self.link
    }

    /// Hands frames to `sink`, numbered from 1, until `stop` can be read from or a limit is reached. What came until
    /// then is handed over too.
    ///
    /// # Errors
    /// When the sink fails, or the interface does (it was removed, say). What was handed over before counts.
    pub fn run(
        &mut self,
        sink: &mut dyn FrameSink,
        stop: BorrowedFd<'_>,
        limits: Limits<'_>,
    ) -> Result<Ended, LiveError> {
        let begin = Instant::now();
        let end = limits.duration.and_then(|after| begin.checked_add(after));
        let mut quiet = limits.quiet;
        let mut shown = begin;
        let why = loop {
            let drained = self.drain(sink, limits.count, None)?;
            if drained == Drained::Count {
                break Why::Count;
            }
            let now = Instant::now();
            if drained == Drained::Empty || now.duration_since(shown) >= SHOWN_EVERY {
                self.tell_dropped(sink)?;
                sink.pause()?;
                shown = now;
            }
            if sink.lab() > 0 {
                quiet = None;
            }
            let hint = quiet
                .as_ref()
                .and_then(|quiet| begin.checked_add(quiet.after));
            let wait = match (drained, end.into_iter().chain(hint).min()) {
                (Drained::Empty, Some(next)) => timeout(next.saturating_duration_since(now)),
                (Drained::Empty, None) => PollTimeout::NONE,
                _ => PollTimeout::ZERO,
            };
            if self.wait(Some(stop), wait)? {
                break Why::Stopped;
            }
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                break Why::Duration;
            }
            if drained == Drained::Empty
                && hint.is_some_and(|hint| now >= hint)
                && let Some(quiet) = quiet.take()
            {
                (quiet.tell)();
            }
        };
        if why != Why::Count {
            self.hand_over_the_rest(sink, limits.count)?;
        }
        self.tell_dropped(sink)?;
        sink.pause()?;
        Ok(Ended {
            frames: self.frames,
            dropped: self.dropped(),
            why,
        })
    }

    /// What came until now but is in a block that the kernel has not handed over.
    fn hand_over_the_rest(
        &mut self,
        sink: &mut dyn FrameSink,
        count: Option<u64>,
    ) -> Result<(), LiveError> {
        // What comes later than that is another capture's: traffic without end must not keep this one from ending.
        let until = now().plus_nanos(HANDOVER.as_nanos() as u64);
        let end = Instant::now() + 2 * HANDOVER;
        loop {
            match self.drain(sink, count, Some(until))? {
                Drained::Count | Drained::Later => return Ok(()),
                Drained::Batch => continue,
                Drained::Empty => {}
            }
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            self.wait(None, timeout(end.duration_since(now)))?;
        }
    }

    /// Hands over what the kernel has handed over.
    fn drain(
        &mut self,
        sink: &mut dyn FrameSink,
        count: Option<u64>,
        until: Option<Timestamp>,
    ) -> Result<Drained, LiveError> {
        for _ in 0..BATCH {
            if count.is_some_and(|count| sink.lab() >= count) {
                return Ok(Drained::Count);
            }
            let packet = match self.capture.next_packet() {
                Ok(packet) => packet,
                Err(pcap::Error::TimeoutExpired) => return Ok(Drained::Empty),
                Err(error) => return Err(explain(&self.interface, &error, Vec::new)),
            };
            let time = time(&packet);
            self.frames += 1;
            sink.frame(&Frame {
                number: self.frames,
                time,
                link: self.link,
                wire_len: packet.header.len,
                octets: packet.data,
                comment: None,
            })?;
            // It is handed over all the same: it cannot be put back, and this may not be the last run.
            if until.is_some_and(|until| time > until) {
                return Ok(Drained::Later);
            }
        }
        Ok(Drained::Batch)
    }

    /// Waits for frames or for `stop`; says whether it was the latter.
    fn wait(&self, stop: Option<BorrowedFd<'_>>, wait: PollTimeout) -> Result<bool, LiveError> {
        let capture = PollFd::new(self.capture.as_fd(), PollFlags::POLLIN);
        let result = match stop {
            Some(stop) => {
                let mut both = [PollFd::new(stop, PollFlags::POLLIN), capture];
                poll(&mut both, wait).map(|_| both[0].any().unwrap_or(true))
            }
            None => poll(&mut [capture], wait).map(|_| false),
        };
        match result {
            Ok(stopped) => Ok(stopped),
            // A signal; the loop looks again at everything.
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(LiveError::Other {
                interface: self.interface.clone(),
                why: format!("waiting for frames: {errno}"),
            }),
        }
    }

    fn tell_dropped(&mut self, sink: &mut dyn FrameSink) -> io::Result<()> {
        match self.dropped() {
            Some(dropped) if dropped > 0 => sink.dropped(dropped),
            _ => Ok(()),
        }
    }

    fn dropped(&mut self) -> Option<u64> {
        let stats = self.capture.stats().ok()?;
        let counted = u64::from(stats.dropped) + u64::from(stats.if_dropped);
        Some(if counted > 0 && is_loopback(&self.interface) {
            // There the kernel counts a frame twice, when it leaves and when it comes back.
            counted.div_ceil(2)
        } else {
            counted
        })
    }
}

impl std::fmt::Debug for LiveCapture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveCapture")
            .field("interface", &self.interface)
            .field("link", &self.link)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

/// Why no more was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// There is nothing more for the moment.
    Empty,
    /// There may be more, but something else has to be looked at.
    Batch,
    /// There were as many as asked for.
    Count,
    /// The last one came after the end.
    Later,
}

/// What libpcap offers beside network interfaces.
const NO_NETWORKS: [&str; 6] = ["bluetooth", "dbus", "nflog", "nfqueue", "usbmon", "rdma"];

/// The network interfaces of this computer, whether or not this user may capture there.
///
/// # Errors
/// When libpcap cannot find out.
pub fn interfaces() -> Result<Vec<Interface>, LiveError> {
    let devices = Device::list().map_err(|error| LiveError::Other {
        interface: "any interface".to_owned(),
        why: said(&error),
    })?;
    Ok(devices
        .into_iter()
        .filter(|device| {
            !NO_NETWORKS
                .iter()
                .any(|other| device.name.starts_with(other))
        })
        .map(|device| Interface {
            loopback: device.flags.is_loopback(),
            up: device.flags.is_up(),
            addresses: device.addresses.iter().map(|one| one.addr).collect(),
            name: device.name,
            description: device.desc,
        })
        .collect())
}

/// Whether an interface leads back to this computer.
pub fn is_loopback(name: &str) -> bool {
    interfaces().is_ok_and(|all| {
        all.iter()
            .any(|interface| interface.loopback && interface.name == name)
    })
}

/// Where the lab takes place unless something else is asked for: the first loopback interface.
///
/// libpcap's own default is the first network card.
///
/// # Errors
/// When there is none.
pub fn default_interface() -> Result<String, LiveError> {
    let there = interfaces()?;
    match there.iter().find(|interface| interface.loopback) {
        Some(loopback) => Ok(loopback.name.clone()),
        None => Err(LiveError::NoSuchInterface {
            name: "that leads back to this computer (loopback)".to_owned(),
            there: there.into_iter().map(|interface| interface.name).collect(),
        }),
    }
}

/// Tries whether an interface can be captured now, without capturing anything.
///
/// # Errors
/// Why it cannot.
pub fn try_open(interface: &str) -> Result<(), LiveError> {
    activate(interface, 1 << 20)
        .map(drop)
        .map_err(|error| explain(interface, &error, names))
}

fn activate(interface: &str, buffer: u32) -> Result<Capture<Active>, pcap::Error> {
    let precision = match NANOS_PER_FRACTION {
        1 => Precision::Nano,
        _ => Precision::Micro,
    };
    Capture::from_device(interface)?
        .snaplen(SNAPLEN as i32)
        .buffer_size(i32::try_from(buffer).unwrap_or(i32::MAX))
        .timeout(HANDOVER.as_millis() as i32)
        .precision(precision)
        .open()?
        .setnonblock()
}

/// libpcap does not say through its binding whether it took the precision it was asked for, so it is asked only on
/// systems where it always does; elsewhere (macOS) the kernel counts microseconds.
const NANOS_PER_FRACTION: u64 = if cfg!(any(target_os = "linux", target_os = "freebsd")) {
    1
} else {
    1_000
};

/// The number that files have for a kind of link. It is libpcap's own but for raw IP, whose own differs by system.
fn link_type(number: i32) -> LinkType {
    const RAW_IP: u32 = 101;
    LinkType(match number {
        12 | 14 => RAW_IP,
        number => u32::try_from(number).unwrap_or(u32::MAX),
    })
}

/// When it was captured. The field that is called `tv_usec` holds nanoseconds where those were asked for.
fn time(packet: &Packet<'_>) -> Timestamp {
    let seconds = u64::try_from(packet.header.ts.tv_sec).unwrap_or(0);
    let fraction = u64::try_from(packet.header.ts.tv_usec).unwrap_or(0);
    Timestamp::from_nanos(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(fraction.saturating_mul(NANOS_PER_FRACTION)),
    )
}

/// The clock that captures are stamped with.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Rounded up: waking before the time would only mean to wait again.
fn timeout(wait: Duration) -> PollTimeout {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

fn names() -> Vec<String> {
    let there = interfaces().unwrap_or_default();
    there.into_iter().map(|interface| interface.name).collect()
}

/// What an error means for whoever asked for this interface, given what there is.
fn explain(interface: &str, error: &pcap::Error, there: impl FnOnce() -> Vec<String>) -> LiveError {
    let why = said(error);
    if is_about_permission(&why) {
        return LiveError::NotPermitted {
            interface: interface.to_owned(),
            why,
        };
    }
    let there = there();
    if !there.is_empty() && !there.iter().any(|name| name == interface) {
        return LiveError::NoSuchInterface {
            name: interface.to_owned(),
            there,
        };
    }
    LiveError::Other {
        interface: interface.to_owned(),
        why,
    }
}

/// libpcap has a number for it, but the binding passes on the text alone, which differs by version and system.
fn is_about_permission(said: &str) -> bool {
    let said = said.to_lowercase();
    ["permission", "permitted", "cap_net_raw", "eacces", "eperm"]
        .iter()
        .any(|word| said.contains(word))
}

/// What libpcap said, without what the binding puts before it.
fn said(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpcap_says_is_told_apart() {
        #[track_caller]
        fn check(said: &str, there: &[&str], expected: &str) {
            let error = pcap::Error::PcapError(said.to_owned());
            let there = there.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(explain("lo", &error, || there).to_string(), expected);
        }
        // As libpcap 1.10 on Linux, 1.9 on Linux, and on macOS.
        check(
            "Attempt to create packet socket failed - CAP_NET_RAW may be required",
            &["lo"],
            "capturing on lo is not permitted (Attempt to create packet socket failed - CAP_NET_RAW may be required)",
        );
        check(
            "socket: Operation not permitted",
            &[],
            "capturing on lo is not permitted (socket: Operation not permitted)",
        );
        check(
            "(cannot open BPF device) /dev/bpf0: Permission denied",
            &["lo"],
            "capturing on lo is not permitted ((cannot open BPF device) /dev/bpf0: Permission denied)",
        );
        check(
            "No such device exists",
            &["lo0", "en0"],
            "there is no interface lo; there are lo0, en0",
        );
        check(
            "No such device exists",
            &["en0"],
            "there is no interface lo; there is en0",
        );
        check(
            "The interface is not up",
            &["lo"],
            "capturing on lo: The interface is not up",
        );
        check(
            "The interface disappeared",
            &[],
            "capturing on lo: The interface disappeared",
        );
    }

    #[test]
    fn raw_ip_has_its_number_in_files() {
        assert_eq!(link_type(12), LinkType(101));
        assert_eq!(link_type(14), LinkType(101));
        assert_eq!(link_type(1), LinkType(1));
        assert_eq!(link_type(276), LinkType(276));
    }

    #[test]
    fn a_wait_is_rounded_up() {
        #[track_caller]
        fn check(wait: Duration, millis: Option<u32>) {
            assert_eq!(timeout(wait).as_millis(), millis);
        }
        check(Duration::ZERO, Some(0));
        check(Duration::from_nanos(1), Some(1));
        check(Duration::from_millis(20), Some(20));
        check(Duration::MAX, Some(i32::MAX as u32));
    }

    #[test]
    fn an_interface_that_is_not_there_is_named_with_those_that_are() {
        let settings = Settings {
            interface: Some("lab-none".to_owned()),
            ..Settings::default()
        };
        // Without the right to capture, systems differ in what they complain about first.
        match LiveCapture::open(&settings) {
            Err(LiveError::NoSuchInterface { name, there }) => {
                assert_eq!(name, "lab-none");
                assert!(!there.is_empty());
            }
            Err(LiveError::NotPermitted { interface, .. }) => assert_eq!(interface, "lab-none"),
            other => panic!("{other:?}"),
        }
    }
}
