//! `capture live`: the lab's traffic as it happens.

use super::kept::{Keeper, Kept, command_line};
use super::options::{ViewOptions, stdout_is_terminal};
use super::output::StandardOutput;
use super::stop::Stop;
use super::{DAMAGED, DONE, NOT_PERMITTED};
use crate::frame::Frame;
use crate::listeners;
use crate::permission::{self, Situation, System};
use crate::pipeline::{FrameSink, Pipeline};
use crate::source::live::{self, Ended, Limits, LiveCapture, LiveError, Quiet, Settings, Why};
use crate::text;
use crate::view::blocks::Order;
use anyhow::{Context as _, bail};
use clap::Args;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After so long without traffic it is said what may be wrong.
const QUIET: Duration = Duration::from_secs(5);

/// The arguments of `capture live`.
#[derive(Debug, Args)]
#[command(after_help = "\
Ctrl-C ends it: what was captured until then is shown and kept, then a line says how much it was and whether the \
kernel had to drop anything. A second Ctrl-C ends it at once.

The kernel only hands over what may belong to the ports. It looks at fixed places, so with --ports these stay hidden: \
IPv6 with extension headers other than hop-by-hop, routing, fragment and destination options (IPsec, say); more than \
two VLAN tags, or any on links other than Ethernet; everything inside tunnels, PPPoE and MPLS. --all hides nothing.

Exit status: 0 done, 1 an expectation was not met, 2 a mistake in the arguments, or the interface failed, \
3 not permitted, with the command that helps.")]
pub(crate) struct Arguments {
    /// The interface; `any` is all of them, on Linux [default: loopback]
    #[arg(short, long, value_name = "IFACE")]
    interface: Option<String>,

    /// Keep the frames in this file too, as pcapng
    #[arg(short, long, value_name = "FILE.pcapng")]
    write: Option<PathBuf>,

    /// End after so many segments, datagrams and messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time, e.g. 10s, 2m or 500ms
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// The kernel's buffer, in MiB
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = live::DEFAULT_BUFFER >> 20,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    buffer: u32,

    #[command(flatten)]
    view: ViewOptions,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let is_terminal = stdout_is_terminal();
    let setup = arguments.view.setup(Order::AsItHappens, is_terminal)?;
    if arguments.view.raw && is_terminal {
        bail!(
            "--raw would send the octets to the terminal as they are; write them into a file or a pipe"
        );
    }
    if arguments.write.as_deref() == Some(Path::new("-")) {
        bail!(
            "-w - would mix the file with the view, which goes to standard output; write into a file and read it \
             with `capture read`"
        );
    }
    // Before the capture begins, so that not even an impatient Ctrl-C loses anything.
    let stop = Stop::on_signals().context("signals cannot be waited for")?;
    let settings = Settings {
        interface: arguments.interface.clone(),
        ports: setup.ports.clone(),
        buffer: arguments.buffer << 20,
    };
    let mut capture = match LiveCapture::open(&settings) {
        Ok(capture) => capture,
        Err(error @ LiveError::NotPermitted { .. }) => {
            let command: Vec<String> = command_line().skip(1).collect();
            let _ = writeln!(io::stderr(), "capture: {error}\n{}", advice(&command));
            return Ok(NOT_PERMITTED);
        }
        Err(error) => return Err(error.into()),
    };
    let mut recorder = Recorder {
        pipeline: Pipeline::new(setup, Box::new(StandardOutput::new())),
        file: match &arguments.write {
            Some(path) => Some(Keeper::create(path)?.keep(&capture)?),
            None => None,
        },
    };
    let on_loopback = live::is_loopback(capture.interface());
    ready(arguments, capture.interface());
    let mut tell = || {
        let ports = settings.ports.as_deref();
        let sockets = listeners::table().unwrap_or_default();
        let hint = match ports {
            Some(ports) if !sockets.is_empty() => listeners::hint(ports, on_loopback, &sockets),
            _ => "no traffic has come by".to_owned(),
        };
        let seconds = QUIET.as_secs();
        let _ = writeln!(
            io::stderr(),
            "capture: nothing seen for {seconds} s: {hint}"
        );
    };
    let ended = capture.run(
        &mut recorder,
        stop.as_fd(),
        Limits {
            count: arguments.count,
            duration: arguments.duration,
            quiet: Some(Quiet {
                after: QUIET,
                tell: &mut tell,
            }),
        },
    );
    conclude(arguments, recorder, &capture, ended)
}

/// Shows and keeps the rest, whatever the end was.
fn conclude(
    arguments: &Arguments,
    recorder: Recorder,
    capture: &LiveCapture,
    ended: Result<Ended, LiveError>,
) -> anyhow::Result<u8> {
    if matches!(&ended, Ok(ended) if ended.why == Why::Stopped) && io::stderr().is_terminal() {
        // The terminal has written ^C.
        let _ = writeln!(io::stderr());
    }
    let dropped = ended.as_ref().ok().and_then(|ended| ended.dropped);
    let Recorder { pipeline, file } = recorder;
    let kept = file.map(|file| file.finish(dropped)).transpose()?;
    if let Err(LiveError::Output(error)) = ended {
        return Err(error.into());
    }
    let finished = pipeline.finish()?;
    let met = arguments.view.conclude(&finished)?;
    let counts = &finished.counts;
    let mut words = format!(
        "{} on {}, {} of the lab",
        plural(counts.frames, "frame"),
        text::safe(capture.interface().as_bytes()),
        counts.lab
    );
    if arguments.view.all {
        words = format!(
            "{} on {}",
            plural(counts.frames, "frame"),
            text::safe(capture.interface().as_bytes())
        );
    }
    if let (Some(path), Some(frames)) = (&arguments.write, kept) {
        let path = text::safe(path.as_os_str().as_encoded_bytes());
        words += &format!(", {frames} kept in {path}");
    }
    words += &match dropped {
        None => String::new(),
        Some(0) => "; the kernel dropped none".to_owned(),
        Some(dropped) => lost(dropped, arguments.buffer),
    };
    let _ = writeln!(io::stderr(), "capture: {words}");
    ended?;
    Ok(if met { DONE } else { DAMAGED })
}

fn lost(frames: u64, buffer: u32) -> String {
    format!(
        "; the kernel had no room for at least {frames} more: --buffer {} gives it more",
        (buffer * 4).min(1024)
    )
}

fn plural(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Says that from now on nothing is missed.
fn ready(arguments: &Arguments, interface: &str) {
    let which = match arguments.interface {
        Some(_) => "",
        None => " (loopback; -i chooses another)",
    };
    let ports = if arguments.view.all {
        "all ports".to_owned()
    } else {
        let ports: Vec<String> = arguments.view.ports.iter().map(u16::to_string).collect();
        format!(
            "port{} {}",
            if ports.len() == 1 { "" } else { "s" },
            ports.join(", ")
        )
    };
    let interface = text::safe(interface.as_bytes());
    let _ = writeln!(
        io::stderr(),
        "ready: capturing on {interface}{which}, {ports}; stop with Ctrl-C"
    );
}

/// What helps this user on this system to run this program with these arguments.
pub(crate) fn advice(arguments: &[String]) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("capture"));
    permission::advice(&Situation {
        system: System::HERE,
        program: &program,
        arguments,
        is_root: nix::unistd::geteuid().is_root(),
    })
}

/// Keeps frames and shows them.
struct Recorder {
    pipeline: Pipeline,
    file: Option<Kept>,
}

impl FrameSink for Recorder {
    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        // First of all, so that the file holds what was captured whatever becomes of the rest.
        if let Some(file) = &mut self.file {
            file.frame(frame)?;
        }
        self.pipeline.frame(frame)
    }

    fn pause(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        self.pipeline.pause()
    }

    fn lab(&self) -> u64 {
        self.pipeline.lab()
    }
}
