//! The model servers beside their peers, in turn, with every reply verified.
//!
//! ```text
//! cargo bench -p bench                                  all tables
//! cargo bench -p bench -- calculator                    only that, or clock, or chat
//! cargo bench -p bench -- chat --members 200 --rounds 5
//! ```
//!
//! Deliberately only arguments, the order of the rounds and the printing: the rest is the library.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use bench_peers::{
    figures::{Aim, Goal, Measured, Summary, table},
    load::{Duty, LoadError, calculator, chat, clock},
    peers::{Peer, PeerError, Workshop},
    process::Server,
    stop::{Stop, Stopped},
};
use clap::{Parser, ValueEnum};
use ex8_chat_room::descriptors;

/// Requests on their way to a clock: 16 of each of 8 clients fit into a default receive buffer.
const CLOCK: clock::Scale = clock::Scale {
    clients: 8,
    window: 16,
};

const SESSIONS: usize = 50;
const TALKERS: usize = 10;
const LINES_IN_FLIGHT: u64 = 16;
const DELIVERIES: u64 = 500_000;

/// Puts the model servers beside their peers, and verifies every reply that it counts.
#[derive(Parser)]
#[command(
    name = "cargo bench -p bench --",
    after_help = "\
Examples:
  cargo bench -p bench                                    all tables, about ten minutes
  cargo bench -p bench -- calculator clock                two of them
  cargo bench -p bench -- chat --members 200 --rounds 5   a smaller room, more rounds

A peer that is not installed is left out, with a line that says how to get it. A wrong, missing, doubled
or swapped reply ends the run with status 1 and a line that names it."
)]
struct Arguments {
    /// What to measure; everything if nothing is named.
    what: Vec<What>,
    /// How often each server is measured, in turn with the others.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds that each measurement takes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Members of the chat room; ten of them talk.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=10_000))]
    members: u32,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Exercise 3, over UDP.
    Clock,
    /// Exercise 6, over TCP.
    Calculator,
    /// Exercise 8, over TCP.
    Chat,
}

/// What is done to each server of a table.
#[derive(Clone, Copy)]
enum Load {
    Clock,
    Calculator { in_flight: u64 },
    Chat { pace: chat::Pace, members: usize },
}

/// How a server wants to be talked to.
#[derive(Clone, Copy)]
enum Speaks {
    /// The protocol of the model.
    Model,
    Redis,
    Nats,
}

struct Table {
    title: String,
    messages: &'static str,
    load: Load,
    servers: &'static [(&'static str, Peer, Speaks)],
    goals: Vec<Goal>,
}

const CLOCKS: &[(&str, Peer, Speaks)] = &[
    (
        "ex3-server",
        Peer::Model {
            program: "ex3-server",
            arguments: &["--quiet"],
            prints: false,
        },
        Speaks::Model,
    ),
    ("C, recvmmsg", Peer::Bare("clock_batch"), Speaks::Model),
    ("C, plain loop", Peer::Bare("clock_loop"), Speaks::Model),
    (
        "Python, textbook",
        Peer::Textbook("clock_textbook.py"),
        Speaks::Model,
    ),
];

const CALCULATORS: &[(&str, Peer, Speaks)] = &[
    (
        "ex6-server",
        Peer::Model {
            program: "ex6-server",
            arguments: &[],
            prints: true,
        },
        Speaks::Model,
    ),
    (
        "C, bare epoll",
        Peer::Bare("calculator_epoll"),
        Speaks::Model,
    ),
    ("redis PING", Peer::Redis, Speaks::Redis),
    (
        "Python, textbook",
        Peer::Textbook("calculator_textbook.py"),
        Speaks::Model,
    ),
];

const CHATS: &[(&str, Peer, Speaks)] = &[
    (
        "ex8-server",
        Peer::Model {
            program: "ex8-server",
            arguments: &["--connections", "10100"],
            prints: false,
        },
        Speaks::Model,
    ),
    ("C, bare epoll", Peer::Bare("chat_epoll"), Speaks::Model),
    ("redis pub/sub", Peer::Redis, Speaks::Redis),
    ("nats-server", Peer::Nats, Speaks::Nats),
    (
        "tokio, write per line",
        Peer::Own("bench-chat-per-line"),
        Speaks::Model,
    ),
    (
        "Python, textbook",
        Peer::Textbook("chat_textbook.py"),
        Speaks::Model,
    ),
];

fn faster(peer: &'static str, bound: f64) -> Goal {
    Goal {
        aim: Aim::Rate,
        peer,
        bound,
    }
}

fn tables(members: usize) -> [(What, Table); 5] {
    let sessions = |in_flight: &str| format!("Calculator, {in_flight}: {SESSIONS} sessions");
    let late = late(members);
    let room = format!("{members} members, {TALKERS} talk, {late} more come late");
    [
        (
            What::Clock,
            Table {
                title: format!(
                    "Clock: {} clients with {} requests under way each",
                    CLOCK.clients, CLOCK.window
                ),
                messages: "replies",
                load: Load::Clock,
                servers: CLOCKS,
                goals: vec![faster("C, recvmmsg", 0.75), faster("C, plain loop", 1.0)],
            },
        ),
        (
            What::Calculator,
            Table {
                title: sessions("one request at a time"),
                messages: "replies",
                load: Load::Calculator { in_flight: 1 },
                servers: CALCULATORS,
                goals: vec![faster("C, bare epoll", 0.9)],
            },
        ),
        (
            What::Calculator,
            Table {
                title: sessions("16 requests under way"),
                messages: "replies",
                load: Load::Calculator { in_flight: 16 },
                servers: CALCULATORS,
                goals: vec![faster("C, bare epoll", 0.8), faster("redis PING", 1.5)],
            },
        ),
        (
            What::Chat,
            Table {
                title: format!("Chat: {room}, {LINES_IN_FLIGHT} lines of each under way"),
                messages: "deliveries",
                load: Load::Chat {
                    pace: chat::Pace::InFlight(LINES_IN_FLIGHT),
                    members,
                },
                servers: CHATS,
                goals: vec![
                    faster("C, bare epoll", 0.8),
                    faster("redis pub/sub", 3.0),
                    faster("nats-server", 5.0),
                    faster("tokio, write per line", 15.0),
                    Goal {
                        aim: Aim::IdleKib,
                        peer: "",
                        bound: 8.0,
                    },
                ],
            },
        ),
        (
            What::Chat,
            Table {
                title: format!("Chat, single lines: {room}, {DELIVERIES} deliveries/s are due"),
                messages: "deliveries",
                load: Load::Chat {
                    pace: chat::Pace::Deliveries(DELIVERIES),
                    members,
                },
                servers: CHATS,
                goals: vec![Goal {
                    aim: Aim::P99,
                    peer: "redis pub/sub",
                    bound: 1.0,
                }],
            },
        ),
    ]
}

fn late(members: usize) -> usize {
    (members / 100).max(1)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("Nothing is measured without optimisation: cargo bench -p bench -- --help");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_stop(&error) => {
            eprintln!("Stopped.");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_stop(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Stopped>() || matches!(cause.downcast_ref(), Some(LoadError::Stopped(_)))
    })
}

/// Prints. When nobody reads any more, there is nothing to go on for.
fn say(text: &str) -> Result<(), Stopped> {
    writeln!(io::stdout(), "{text}").map_err(|_| Stopped)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stop = Stop::on_signals().context("cannot watch for signals")?;
    let members = usize::try_from(arguments.members)?;
    let workshop = Workshop::new(build()?)?;
    let wanted = |what| arguments.what.is_empty() || arguments.what.contains(&what);
    if wanted(What::Chat) {
        make_room(members)?;
    }
    for (what, table) in tables(members) {
        if wanted(what) {
            compare(&workshop, &table, arguments, &stop)?;
        }
    }
    Ok(())
}

/// Raises the limit of open files for so many members. The servers inherit it.
fn make_room(members: usize) -> anyhow::Result<()> {
    /// What the load holds open besides, on top of what a server does.
    const BESIDES: usize = 76;
    let needed = members + late(members) + BESIDES;
    let fitting = descriptors::make_room(needed)?;
    ensure!(
        fitting >= needed,
        "{members} members need {needed} connections, and {fitting} fit into the limit of open files (ulimit -Hn): ask for fewer --members"
    );
    Ok(())
}

/// Builds the servers, and returns the folder in which cargo puts them.
fn build() -> anyhow::Result<PathBuf> {
    // target/release/deps/peers-0123456789abcdef
    let own = env::current_exe()?;
    let release = own
        .ancestors()
        .nth(2)
        .context("this program is in a folder")?;
    let target = release
        .parent()
        .context("the profile's folder is in another")?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--quiet", "--target-dir"])
        .arg(target)
        .args(["--bin=ex3-server", "--bin=ex6-server", "--bin=ex8-server"])
        .arg("--bin=bench-chat-per-line")
        .args([
            "-p=ex3-udp-clock",
            "-p=ex6-calculator",
            "-p=ex8-chat-room",
            "-p=bench",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the servers do not build");
    }
    Ok(target.join("release"))
}

/// Measures all servers of a table, in turn, and prints it.
fn compare(
    workshop: &Workshop,
    table_of: &Table,
    arguments: &Arguments,
    stop: &Stop,
) -> anyhow::Result<()> {
    say(&format!(
        "\n{}; {} round(s) of {} s, medians\n",
        table_of.title, arguments.rounds, arguments.seconds
    ))?;
    let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); table_of.servers.len()];
    let mut absent = Vec::new();
    for round in 1..=arguments.rounds {
        for ((name, peer, speaks), measured) in table_of.servers.iter().zip(&mut rounds) {
            let server = match workshop.start(*peer) {
                Ok(server) => server,
                Err(PeerError::Absent(error)) => {
                    if round == 1 {
                        absent.push(format!("{name:<22} {error}"));
                    }
                    continue;
                }
                Err(error) => return Err(error).context(*name),
            };
            let duty = Duty {
                time: Duration::from_secs(arguments.seconds),
                stop: stop.clone(),
                process: server.id(),
            };
            let figures = measure(&server, table_of.load, *speaks, &duty)
                .with_context(|| format!("{name}, round {round}"))?;
            eprintln!(
                "round {round}: {name:<22} {:>12.0} {}/s",
                figures.messages as f64 / figures.time.as_secs_f64(),
                table_of.messages
            );
            measured.push(figures);
        }
    }
    let rows: Vec<_> = table_of
        .servers
        .iter()
        .zip(&rounds)
        .filter_map(|((name, ..), rounds)| Some((*name, Summary::of(rounds)?)))
        .collect();
    let goals = table_of.goals.iter().map(|goal| goal.judge(&rows));
    let lines: Vec<_> = absent.into_iter().chain(goals).collect();
    say(&(table(table_of.messages, &rows) + &lines.join("\n")))?;
    Ok(())
}

fn measure(
    server: &Server,
    load: Load,
    speaks: Speaks,
    duty: &Duty,
) -> Result<Measured, LoadError> {
    let address = server.address();
    match load {
        Load::Clock => clock::measure(address, CLOCK, duty),
        Load::Calculator { in_flight } => {
            let dialect = match speaks {
                Speaks::Redis => calculator::Dialect::Redis,
                Speaks::Model | Speaks::Nats => calculator::Dialect::Lines,
            };
            let scale = calculator::Scale {
                sessions: SESSIONS,
                in_flight,
            };
            calculator::measure(address, dialect, scale, duty)
        }
        Load::Chat { pace, members } => {
            let dialect = match speaks {
                Speaks::Model => chat::Dialect::Room,
                Speaks::Redis => chat::Dialect::Redis,
                Speaks::Nats => chat::Dialect::Nats,
            };
            let scale = chat::Scale {
                members,
                talkers: TALKERS,
                late: late(members),
            };
            chat::measure(address, dialect, scale, pace, duty)
        }
    }
}
