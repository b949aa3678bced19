//! The room under fire, with figures: the large versions of the tests in `tests/it/fire.rs`. The server is a
//! process of its own, and all the others are in this one. Every line that arrives is checked, in every
//! scenario: each member gets each line once and in order.
//!
//! ```text
//! cargo bench -p ex8-chat-room --bench fire                            all but the last, five minutes
//! cargo bench -p ex8-chat-room --bench fire -- members                 10,000 members, 100 of them talk
//! cargo bench -p ex8-chat-room --bench fire -- stalled                 with and without members that do not read
//! cargo bench -p ex8-chat-room --bench fire -- flood                   with and without a flood of connections
//! cargo bench -p ex8-chat-room --bench fire -- exhausted               no file descriptors left
//! cargo bench -p ex8-chat-room --bench fire -- ctrl-c                  10,000 members, and the server ends
//! cargo bench -p ex8-chat-room --bench fire -- mixed --minutes 60      everything at once, memory over time
//! ```
//!
//! `members` and `ctrl-c` want 10,000 descriptors twice: where `ulimit -Hn` allows fewer they take fewer members
//! and say so. Load and server share the machine, so compare the figures of one run with each other.

#[path = "../tests/it/load.rs"]
mod load;

use std::{
    cell::{Cell, RefCell},
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use ex8_chat_room::descriptors;
use load::{Crowd, log_in};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};
use socket2::SockRef;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::oneshot,
    task::{JoinSet, LocalSet, spawn_local},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// How large the scenarios are.
#[derive(Clone, Copy)]
struct Scale {
    members: usize,
    talkers: usize,
    /// How long each measurement takes.
    time: Duration,
    /// How often with and without are compared.
    rounds: usize,
}

const FULL: Scale = Scale {
    members: 10_000,
    talkers: 100,
    time: Duration::from_secs(10),
    rounds: 2,
};

/// `cargo test --all-targets` runs this too, and wants to know only whether it works.
const SMALL: Scale = Scale {
    members: 50,
    talkers: 5,
    time: Duration::from_millis(200),
    rounds: 1,
};

/// Whose load is given by what they send, not by their number.
const SMALL_ROOM: usize = 500;

/// Puts the chat room under fire, checks every line that arrives, and prints figures.
#[derive(Parser)]
#[command(
    name = "cargo bench -p ex8-chat-room --bench fire --",
    after_help = "\
Examples:
  cargo bench -p ex8-chat-room --bench fire                         all but the last, five minutes
  cargo bench -p ex8-chat-room --bench fire -- stalled              one of them
  cargo bench -p ex8-chat-room --bench fire -- mixed --minutes 60   memory over an hour"
)]
struct Arguments {
    /// What happens; all but `mixed` if nothing is named.
    scenario: Option<Scenario>,
    /// For how long `mixed` goes on.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = positive)]
    minutes: f64,
    /// Given by `cargo bench`; without it everything is small, and only shows that it works.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scenario {
    /// 10,000 members, 100 of them talk.
    Members,
    /// With and without members that do not read.
    Stalled,
    /// With and without a flood of connections.
    Flood,
    /// No file descriptors left.
    Exhausted,
    /// 10,000 members, and the server ends.
    CtrlC,
    /// Everything at once, memory over time.
    Mixed,
}

impl Scenario {
    const SHORT: [Self; 5] = [
        Self::Members,
        Self::Stalled,
        Self::Flood,
        Self::Exhausted,
        Self::CtrlC,
    ];
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number > 0.0);
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| "minutes are a number above 0".to_owned())
}

fn main() {
    let arguments = Arguments::parse();
    let scale = if arguments.bench { FULL } else { SMALL };
    let scenarios = match &arguments.scenario {
        Some(scenario) => std::slice::from_ref(scenario),
        None => &Scenario::SHORT,
    };
    let runtime = runtime();
    for scenario in scenarios {
        let name = scenario.to_possible_value().expect("none is hidden");
        println!("--- {}", name.get_name());
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            match scenario {
                Scenario::Members => members(scale).await,
                Scenario::Stalled => stalled(scale).await,
                Scenario::Flood => flood(scale).await,
                Scenario::Exhausted => exhausted(scale).await,
                Scenario::CtrlC => ctrl_c(scale).await,
                Scenario::Mixed => {
                    mixed(Duration::from_secs_f64(arguments.minutes * 60.0)).await;
                }
            }
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// `ex8-server` in a process of its own.
struct Server {
    child: Child,
    address: SocketAddr,
    /// How many have been shown out for not reading.
    dropped: Arc<AtomicUsize>,
}

impl Server {
    fn start(connections: usize) -> Self {
        let program = env!("CARGO_BIN_EXE_ex8-server");
        let mut command = Command::new(program);
        Self::start_program(command.args([
            "--bind",
            "127.0.0.1:0",
            "--connections",
            &connections.to_string(),
        ]))
    }

    fn start_program(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut first = String::new();
        output.read_line(&mut first).expect("a line");
        let address = first.trim_start_matches("Listening on ").trim_end();
        let address = address.parse().expect("an address");
        let dropped = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&dropped);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if line.contains(" was disconnected (does not read)") {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            child,
            address,
            dropped,
        }
    }

    /// Memory it has now, in KiB.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        value.and_then(|value| value.parse().ok()).expect("in KiB")
    }

    /// Processor time it has had.
    fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the server runs");
        // After the name, which may hold anything, `state` is the first field and `utime` the twelfth.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number"))
            .sum();
        let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        Duration::from_secs(ticks) / u32::try_from(a_second).expect("a few")
    }

    /// Begins to measure; the result tells how much of a processor it has had meanwhile, in per cent.
    fn processor_share(&self) -> impl Fn() -> f64 {
        let (start, before) = (Instant::now(), self.processor());
        move || {
            let had = self.processor() - before;
            100.0 * had.as_secs_f64() / start.elapsed().as_secs_f64()
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the process is ours");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long lines took, in microseconds.
#[derive(Clone, Default)]
struct Delays(Rc<RefCell<Vec<u32>>>);

impl Delays {
    fn note(&self) -> impl Fn(Duration) + 'static {
        let delays = Rc::clone(&self.0);
        move |delay| {
            let micros = u32::try_from(delay.as_micros()).unwrap_or(u32::MAX);
            delays.borrow_mut().push(micros);
        }
    }

    /// Of all since the last call.
    fn summary(&self) -> String {
        let mut delays = self.0.take();
        delays.sort_unstable();
        let at = |share: f64| {
            let place = (delays.len() as f64 * share) as usize;
            let micros = delays.get(place.min(delays.len().saturating_sub(1)));
            micros.map_or(0.0, |&micros| f64::from(micros) / 1000.0)
        };
        format!(
            "{:>10} deliveries, delay p50 {:>8.1} ms, p99 {:>8.1} ms, max {:>8.1} ms",
            delays.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}

/// Lets the talkers take turns, so many lines a second, and waits until everybody has got all.
async fn talk(
    crowd: &mut Crowd,
    talkers: usize,
    lines_per_second: u32,
    len: usize,
    time: Duration,
) {
    let mut beat = interval(Duration::from_secs(1) / lines_per_second);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let start = Instant::now();
    let mut turn = 0;
    while start.elapsed() < time {
        beat.tick().await;
        crowd.say(turn % talkers, len).await;
        turn += 1;
    }
    crowd.hear_all().await;
}

/// As many of these members as the descriptors of this process are enough for.
fn affordable(members: usize) -> usize {
    // The server has the same limit, and a few descriptors of its own.
    let fitting = descriptors::make_room(members + 100).expect("the system tells");
    let affordable = members.min(fitting.saturating_sub(100));
    if affordable < members {
        println!(
            "only {affordable} of {members} members: the limit of open files (ulimit -Hn) allows no more"
        );
    }
    affordable
}

async fn members(scale: Scale) {
    let members = affordable(scale.members);
    let server = Server::start(members);
    let empty = server.memory();
    let delays = Delays::default();
    let start = Instant::now();
    let mut crowd = Crowd::gather(server.address, "m", members, scale.talkers, delays.note()).await;
    println!(
        "{members} members logged in after {:.1} s; everybody was told of everybody who came later",
        start.elapsed().as_secs_f64()
    );
    // One line is behind all the notices, so nobody has anything left to get.
    crowd.say(0, 0).await;
    crowd.hear_all().await;
    let grown = (server.memory() - empty) as f64;
    println!(
        "the server's memory: {empty} KiB empty, {:.1} KiB more for each silent member",
        grown / members as f64
    );
    delays.summary();
    for lines_per_second in [1, 10, 50] {
        let share = server.processor_share();
        talk(&mut crowd, scale.talkers, lines_per_second, 60, scale.time).await;
        println!(
            "{lines_per_second:>3} lines/s to all: {}, server's processor {:>5.1} %",
            delays.summary(),
            share()
        );
    }
}

/// Names that no earlier round has used.
fn name(kind: &str, round: usize, number: usize) -> String {
    format!("{kind}{round}.{number}")
}

async fn stalled(scale: Scale) {
    let members = scale.members.min(200);
    let sleepers = members / 10;
    let server = Server::start(2 * members);
    let delays = Delays::default();
    let mut crowd = Crowd::gather(server.address, "m", members, scale.talkers, delays.note()).await;
    println!(
        "{members} members read; 50 lines/s of 10,000 octets; {sleepers} more log in and do not read"
    );
    for round in 1..=scale.rounds {
        talk(&mut crowd, scale.talkers, 50, 10_000, scale.time).await;
        println!("round {round}: without  {}", delays.summary());
        let mut asleep = Vec::new();
        for number in 0..sleepers {
            asleep.push(log_in(server.address, name("s", round, number), Some(4096)).await);
        }
        let before = server.dropped.load(Ordering::Relaxed);
        // Some MiB fit into the kernel and one into the server, so that they are shown out in the middle of it.
        talk(&mut crowd, scale.talkers, 50, 10_000, scale.time * 3 / 2).await;
        println!(
            "round {round}: with     {}, {} shown out",
            delays.summary(),
            server.dropped.load(Ordering::Relaxed) - before
        );
    }
}

async fn flood(scale: Scale) {
    let members = scale.members.min(SMALL_ROOM);
    let server = Server::start(1000);
    let address = server.address;
    let delays = Delays::default();
    let mut crowd = Crowd::gather(address, "m", members, scale.talkers, delays.note()).await;
    println!("{members} members, 50 lines/s; the others connect as fast as they can and");
    for round in 1..=scale.rounds {
        talk(&mut crowd, scale.talkers, 50, 60, scale.time).await;
        println!("round {round}: nobody else      {}", delays.summary());
        for (what, attack) in [
            ("say nothing", Attack::Silence),
            ("break off", Attack::Reset),
            ("end no line", Attack::EndlessLine),
        ] {
            let (end, ended) = oneshot::channel();
            let attackers = thread::spawn(move || attack_until(address, attack, ended));
            talk(&mut crowd, scale.talkers, 50, 60, scale.time).await;
            let _ = end.send(());
            let connections = attackers.join().expect("no panic");
            println!(
                "round {round}: {what:<15}  {}, {} connections",
                delays.summary(),
                connections
            );
        }
        let late = log_in(address, name("late", round, 0), None).await;
        crowd.say(0, 0).await;
        crowd.hear_all().await;
        drop(late);
        delays.summary();
    }
}

/// What comes after connecting.
#[derive(Clone, Copy)]
enum Attack {
    Silence,
    Reset,
    EndlessLine,
}

/// Eight attackers with a thread of their own; returns how often they have connected.
fn attack_until(server: SocketAddr, attack: Attack, ended: oneshot::Receiver<()>) -> u64 {
    let count = Rc::new(Cell::new(0));
    LocalSet::new().block_on(&runtime(), async {
        let mut attackers = JoinSet::new();
        for _ in 0..8 {
            attackers.spawn_local(attack_forever(server, attack, Rc::clone(&count)));
        }
        let _ = ended.await;
    });
    count.get()
}

/// Holds a hundred connections at a time.
async fn attack_forever(server: SocketAddr, attack: Attack, count: Rc<Cell<u64>>) {
    let mut held = std::collections::VecDeque::new();
    let endless = vec![b'x'; 64 * 1024];
    loop {
        let Ok(mut stream) = TcpStream::connect(server).await else {
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        count.set(count.get() + 1);
        match attack {
            Attack::Silence => {}
            Attack::Reset => {
                let _ = stream.write_all(b"LOGIN ").await;
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                continue;
            }
            Attack::EndlessLine => {
                for _ in 0..4 {
                    let _ = stream.write_all(&endless).await;
                }
            }
        }
        // Or a hundred thousand of these connections wait for a port to be free again.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        held.push_back(stream);
        if held.len() > 100 {
            held.pop_front();
        }
    }
}

async fn exhausted(scale: Scale) {
    let command = "ulimit -n 100; exec \"$0\" --bind 127.0.0.1:0";
    let program = env!("CARGO_BIN_EXE_ex8-server");
    let server = Server::start_program(Command::new("/bin/sh").args(["-c", command, program]));
    let delays = Delays::default();
    let mut crowd = Crowd::gather(server.address, "m", 50, 5, delays.note()).await;
    let share = server.processor_share();
    talk(&mut crowd, 5, 50, 60, scale.time).await;
    println!(
        "before:    {}, server's processor {:.1} %",
        delays.summary(),
        share()
    );
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(
            TcpStream::connect(server.address)
                .await
                .expect("the kernel accepts"),
        );
    }
    let share = server.processor_share();
    talk(&mut crowd, 5, 50, 60, scale.time).await;
    println!(
        "exhausted: {}, server's processor {:.1} %",
        delays.summary(),
        share()
    );
    drop(silent);
    let late = timeout(
        Duration::from_secs(30),
        log_in(server.address, "Late".into(), None),
    )
    .await;
    late.expect("let in once the others are gone");
}

async fn ctrl_c(scale: Scale) {
    for members in [scale.members / 10, affordable(scale.members)] {
        let mut server = Server::start(members);
        let mut crowd = Crowd::gather(server.address, "m", members, scale.talkers, |_| {}).await;
        for talker in 0..scale.talkers {
            crowd.say(talker, 60).await;
        }
        let start = Instant::now();
        server.signal(Signal::SIGINT);
        let ended = thread::spawn(move || {
            let status = server.child.wait().expect("the process is ours");
            (status, start.elapsed())
        });
        let last = crowd.last_lines().await;
        let (status, time) = ended.join().expect("no panic");
        let told = last.iter().filter(|last| last.starts_with("BYE ")).count();
        println!(
            "{members} members, {} lines on their way: {status} after {:.2} s, {told} got the goodbye",
            scale.talkers,
            time.as_secs_f64()
        );
        assert_eq!((status.code(), told), (Some(0), members));
    }
}

/// Everything at once, at an ordinary pace, for a long time.
async fn mixed(time: Duration) {
    let server = Server::start(1000);
    let address = server.address;
    let delays = Delays::default();
    let (members, talkers) = (200, 20);
    let mut crowd = Crowd::gather(address, "m", members, talkers, delays.note()).await;
    println!(
        "{members} members, {talkers} talk, 20 lines/s of 1,000 octets; beside them somebody joins and leaves, vanishes, breaks \
         off, is refused, does not read, sends long, wild and endless lines"
    );
    println!("  minute   memory KiB   processor s   delays since the last row");
    let others = spawn_local(others(address));
    let start = Instant::now();
    let row = time.div_f64(20.0).min(Duration::from_secs(60));
    while start.elapsed() < time {
        talk(&mut crowd, talkers, 20, 1000, row).await;
        println!(
            "{:>8.1} {:>12} {:>13.2}   {}",
            start.elapsed().as_secs_f64() / 60.0,
            server.memory(),
            server.processor().as_secs_f64(),
            delays.summary()
        );
        assert!(!others.is_finished(), "the others have had an accident");
    }
    others.abort();
}

/// One after the other, everything that people and accidents do.
async fn others(server: SocketAddr) {
    let mut asleep = Vec::new();
    for round in 0.. {
        let join = |kind: &str| log_in(server, name(kind, round, 0), None);
        let (mut leaver, _) = join("leaver").await;
        leaver.write_all(b"LEAVE\n").await.expect("connected");
        let (vanisher, _) = join("vanisher").await;
        drop(vanisher);
        let (breaker, _) = join("breaker").await;
        let _ = SockRef::from(&breaker).set_linger(Some(Duration::ZERO));
        drop(breaker);
        let mut refused = TcpStream::connect(server).await.expect("it listens");
        let logins = "LOGIN m0\nLOGIN \u{202e}x\nLOGIN \u{0430}:\nnonsense\n".as_bytes();
        refused.write_all(logins).await.expect("connected");
        let (mut wild, _) = join("wild").await;
        // It says nothing to the others, so that their lines can be checked.
        wild.write_all(&[b'x'; 200_000]).await.expect("connected");
        wild.write_all(b"\nWHO\nWHO\n\xff\x1b[2J\n")
            .await
            .expect("connected");
        asleep.push(log_in(server, name("sleeper", round, 0), Some(4096)).await);
        // The first five stay until they are shown out.
        if asleep.len() > 20 {
            asleep.remove(5);
        }
        sleep(Duration::from_millis(250)).await;
    }
}
