//! How long a check of the model solutions takes beside its own limit, what isolation costs, and how fast the wire may
//! be.
//!
//! A check that plays its scenarios at the same time can be no faster than the slowest of them alone; one that plays
//! them one after the other needs the sum. Run it with `cargo bench -p harness`; it takes some minutes. With words,
//! `cargo bench -p harness -- starts class`, it measures only those of `models`, `starts`, `scenario`, `class` and `wire`.
//! Ratios hold better than seconds: the machine is shared with whatever else runs on it.
//!
//! The programs of all but `models` are this one, in a role: what they cost themselves is little.

use harness::world::isolation::{Attempt, Isolation, PROBE_ARGUMENT};
use harness::world::sandbox::Confinement;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Something to measure, with a folder for results.
type Part = (&'static str, fn(&Path));

/// What can be measured, in this order.
const PARTS: [Part; 5] = [
    ("models", models),
    ("starts", starts),
    ("scenario", scenario),
    ("class", class),
    ("wire", wire),
];

/// Checks of exercises with UDP, each for a scenario.
const IDS: [&str; 10] = [
    "ex1/request-reply",
    "ex1/server-prints-message",
    "ex1/client-prints-reply",
    "ex1/serves-again",
    "ex3/time",
    "ex3/date",
    "ex3/client-prints-reply",
    "ex3/both-requests",
    "ex3/random-gap",
    "ex3/server-keeps-serving",
];

/// How often `scenario` is repeated: what the kernel takes to open a capture and to hand over its last frames differs
/// by 10 ms from one time to the next.
const TIMES: usize = 15;

/// How long the client of `scenario` and `class` sleeps.
const SLEEP: Duration = Duration::from_secs(2);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [role, host, port, rest @ ..] = &words[..]
        && ["serve", "call", "flood"].contains(&role.as_str())
    {
        return play(role, &format!("{host}:{port}"), rest);
    }
    // `cargo test --benches` only wants to know that it starts.
    if !words.iter().any(|word| word == "--bench") {
        println!("run it with `cargo bench -p harness`");
        return;
    }
    let wanted: Vec<&String> = words.iter().filter(|word| *word != "--bench").collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|word| PARTS.iter().all(|(part, _)| part != **word))
    {
        let parts = PARTS.map(|(part, _)| part).join(", ");
        eprintln!("`{unknown}` cannot be measured: {parts} can");
        std::process::exit(2);
    }
    let out = tempfile::TempDir::new().expect("a folder can be made");
    for (part, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|word| *word == part) {
            measure(out.path());
        }
    }
}

/// A program of these benchmarks: answers datagrams, sends one after a sleep, or sends very many.
fn play(role: &str, address: &str, rest: &[String]) {
    let number = || -> u64 { rest[0].parse().expect("the number is one") };
    if role == "serve" {
        let socket = UdpSocket::bind(address).expect("the port is free");
        let mut buffer = [0; 2048];
        loop {
            let (octets, peer) = socket.recv_from(&mut buffer).expect("a datagram comes");
            // Floods are not answered.
            if buffer[..octets].starts_with(b"Hello") {
                socket.send_to(b"Hello, client", peer).expect("it is taken");
            }
        }
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(address).expect("it can be addressed");
    if role == "flood" {
        return flood(&socket, number());
    }
    std::thread::sleep(Duration::from_millis(number()));
    socket.send(b"Hello, server").expect("it is taken");
    let octets = socket.recv(&mut [0; 64]).expect("an answer comes");
    println!("{octets} octets came back");
}

/// Sends so many datagrams a second, for a second, and says how many it came to.
fn flood(socket: &UdpSocket, per_second: u64) {
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < Duration::from_secs(1) {
        let due = per_second * u64::try_from(began.elapsed().as_micros()).unwrap_or(0) / 1_000_000;
        // Nothing is due: the next ones together, as a network card would hand them on.
        if due <= sent {
            std::thread::sleep(Duration::from_micros(200));
        }
        for _ in sent..due {
            socket.send(&[b'x'; 64]).expect("it is taken");
        }
        sent = sent.max(due);
    }
    println!("sent {sent}");
}

/// A check of the models beside the slowest of its scenarios.
fn models(out: &Path) {
    let exercises = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exercises");
    let check = |arguments: &[&str]| {
        let began = Instant::now();
        passes(harness(&exercises, out, "L3").args(arguments).output());
        began.elapsed()
    };
    // The first run builds the models; it is not counted.
    check(&[]);
    let together = median((0..3).map(|_| check(&[])).collect());
    let slowest = *scenes(out).last().expect("at least one scenario");
    let alone = check(&["--jobs", "1"]);
    println!(
        "the slowest scenario            {:6.1} s   the limit",
        slowest.as_secs_f64()
    );
    for (what, time) in [
        ("all at the same time (median)", together),
        ("one after the other", alone),
    ] {
        println!(
            "{what:<31} {:6.1} s   {:.1} × the limit",
            time.as_secs_f64(),
            time.as_secs_f64() / slowest.as_secs_f64()
        );
    }
}

/// One program, with what is around it.
fn starts(_: &Path) {
    let best = Isolation::probe(None);
    let attempt = |confinement| Attempt {
        seclusion: best.seclusion,
        confinement,
        bwrap: best.bwrap.clone(),
        ..Attempt::default()
    };
    for (what, attempt) in [
        ("a program, bare", None),
        ("a program in a namespace", Some(attempt(Confinement::None))),
        ("a program at L3", Some(attempt(Confinement::Bubble))),
    ] {
        let start = || {
            let mut command = match &attempt {
                None => Command::new("true"),
                Some(attempt) => {
                    let spec = serde_json::to_string(attempt).expect("it can be written");
                    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
                    command.args([PROBE_ARGUMENT, &spec]);
                    command
                }
            };
            let began = Instant::now();
            let status = command.status().expect("it can be started");
            assert!(status.success(), "{what} is refused here");
            began.elapsed()
        };
        let median = median((0..50).map(|_| start()).collect());
        println!("{what:<31} {:6.1} ms  median of 50", ms(median));
    }
}

/// A whole scenario with two programs, less what they sleep themselves: with everything the command does, and from its
/// first event to its last.
fn scenario(out: &Path) {
    let class = Class::new("call", &ms(SLEEP).to_string(), 1);
    for level in ["L0", "L3n", "L3"] {
        let (mut whole, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let began = Instant::now();
            class.check(out, level, 1);
            whole.push(began.elapsed() - SLEEP);
            inside.push(*scenes(out).last().expect("one scenario") - SLEEP);
        }
        println!(
            "two programs at {level:<15} {:6.0} ms  beyond their sleep (median of {TIMES}); with the command around it {:.0} ms",
            ms(median(inside)),
            ms(median(whole))
        );
    }
}

/// Fifty scenarios that sleep, at the same time: in five checks of ten, and in fifty of one. A check by one harness can
/// have no more than the lab has ids for.
fn class(out: &Path) {
    const ALL: usize = 50;
    for level in ["L3n", "L3"] {
        let times = [IDS.len(), 1].map(|scenarios| {
            let class = Class::new("call", &ms(SLEEP).to_string(), scenarios);
            let began = Instant::now();
            let checks: Vec<_> = (0..ALL / scenarios)
                .map(|number| {
                    let out = out.join(format!("{scenarios}-{number}"));
                    let mut command = class.command(&out, level);
                    command.args(["--jobs", &scenarios.to_string()]);
                    command.stdout(std::process::Stdio::null());
                    command.spawn().expect("the harness can be started")
                })
                .collect();
            for mut check in checks {
                assert!(check.wait().expect("it ends").success(), "a check fails");
            }
            began.elapsed().as_secs_f64()
        });
        println!(
            "{ALL} sleeps of {} s at once, {level:<5} {:6.1} s   in {} checks; {:.1} s in {ALL}",
            SLEEP.as_secs(),
            times[0],
            ALL / IDS.len(),
            times[1]
        );
    }
}

/// The fastest flood whose every frame the tap of a scenario sees.
fn wire(out: &Path) {
    let mut best = None;
    for per_second in [25_000, 50_000, 100_000, 200_000, 400_000, 800_000] {
        let class = Class::new("flood", &per_second.to_string(), 1);
        class.check(out, "L3", 1);
        let scene = out.join("latest/scenes/scene-0");
        let (delivered, dropped) = statistics(&scene.join("capture.pcapng"));
        println!(
            "a flood of {per_second:>7} a second     {delivered:>6} frames captured, {dropped} dropped"
        );
        if dropped > 0 {
            break;
        }
        best = best.max(Some(delivered));
    }
    match best {
        Some(frames) => println!("frames a second, none dropped   {frames:>6}"),
        None => println!("frames a second, none dropped   fewer than the slowest flood"),
    }
}

/// What a capture file says of itself: frames delivered and dropped. From its interface statistics block (type 5), which
/// is the last: option 8 counts what was delivered, option 7 what was dropped (draft-ietf-opsawg-pcapng §4.6).
fn statistics(file: &Path) -> (u64, u64) {
    let octets = std::fs::read(file).expect("the frames were kept");
    let word = |at: usize| {
        let word = octets[at..at + 4].try_into().expect("four octets");
        u32::from_le_bytes(word) as usize
    };
    let begin = octets.len() - word(octets.len() - 4);
    assert_eq!(word(begin), 5, "the last block holds the statistics");
    let (mut at, mut delivered, mut dropped) = (begin + 20, None, None);
    while at + 4 < octets.len() - 4 {
        let (option, length) = (word(at) & 0xffff, word(at) >> 16);
        let value = || {
            let value = octets[at + 4..at + 12].try_into().expect("eight octets");
            Some(u64::from_le_bytes(value))
        };
        match option {
            8 => delivered = value(),
            7 => dropped = value(),
            _ => {}
        }
        at += 4 + length.next_multiple_of(4);
    }
    (
        delivered.expect("frames are counted"),
        dropped.expect("what was dropped is counted"),
    )
}

/// A submission whose programs are this one, and up to ten scenarios for it.
struct Class(tempfile::TempDir);

impl Class {
    fn new(role: &str, number: &str, scenarios: usize) -> Self {
        let home = tempfile::TempDir::new().expect("a folder can be made");
        let program = std::env::current_exe().expect("this program has a path");
        let words = |role: &str, rest: &str| {
            format!("{program:?}, {role:?}, \"{{host}}\", \"{{port}}\"{rest}")
        };
        let programs = format!(
            "server = [{}]\nclient = [{}]\n",
            words("serve", ""),
            words(role, &format!(", {number:?}"))
        );
        let manifest = format!("[ex1]\n{programs}[ex3]\n{programs}");
        std::fs::write(home.path().join("lab.toml"), manifest).expect("it can be written");
        let mut text = String::new();
        for (number, id) in IDS.into_iter().take(scenarios).enumerate() {
            let exercise = &id[..3];
            text += &format!(
                "scenario scene-{number} exercise={exercise} {{
                    start server
                    check {id:?} \"A client that takes its time is served\" points=1 {{
                        sheet \"Run the Client and Server processes and observe the output.\"
                        hint \"Does it wake up?\"
                        start client ada
                        ada exits within=20
                    }}
                }}\n"
            );
        }
        std::fs::write(home.path().join("scenes.kdl"), text).expect("it can be written");
        Class(home)
    }

    fn command(&self, out: &Path, level: &str) -> Command {
        let mut command = harness(self.0.path(), out, level);
        command.arg("--scenarios").arg(self.0.path());
        command
    }

    fn check(&self, out: &Path, level: &str, jobs: usize) {
        passes(
            self.command(out, level)
                .args(["--jobs", &jobs.to_string()])
                .output(),
        );
    }
}

fn harness(dir: &Path, out: &Path, level: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("check").arg(dir).args(["--seed", "1"]);
    command.args(["--isolation", level, "--out"]).arg(out);
    command
}

#[track_caller]
fn passes(output: std::io::Result<Output>) {
    let output = output.expect("the harness can be started");
    assert!(
        output.status.success(),
        "it does not pass: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The moment of the last event of each scenario of the latest check, the shortest first.
fn scenes(out: &Path) -> Vec<Duration> {
    let events = |entry: std::fs::DirEntry| -> PathBuf { entry.path().join("events.jsonl") };
    let mut ends: Vec<Duration> = std::fs::read_dir(out.join("latest/scenes"))
        .expect("there is evidence")
        .flatten()
        .map(events)
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("each scenario has events");
            let last: serde_json::Value =
                serde_json::from_str(text.lines().last().expect("at least one"))
                    .expect("events are JSON");
            Duration::from_micros(last["at_us"].as_u64().expect("events have a moment"))
        })
        .collect();
    ends.sort();
    ends
}
