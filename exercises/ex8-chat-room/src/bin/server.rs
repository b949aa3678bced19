//! The chat room's server. Deliberately only arguments, signals and output: the rest is the library.
//!
//! ```text
//! cargo run --bin ex8-server
//! cargo run --bin ex8-client       # in a second terminal, and in a third
//! ```

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ex8_chat_room::{
    address::HostPort,
    descriptors,
    hall::{self, Entry},
    journal::Journal,
    message::Reply,
    server,
};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

const EXAMPLES: &str = "\
Examples:
  ex8-server                          this computer only, port 20001
  ex8-server --bind 0.0.0.0           for other computers too
  ex8-server --bind [::]:20009        IPv6 (and IPv4 where the system allows), another port
  ex8-server --lines                  show what is said, not only who comes and goes
  ex8-server --connections 10000      for more than a lecture hall

Ctrl-C says goodbye to everyone and ends the server.";

/// A chat room: unique names, every line to everybody else.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Address to listen on: HOST, HOST:PORT or an IPv6 address in brackets with :PORT; port 0 takes
    /// a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20001")]
    bind: HostPort,
    /// Print every line of the chat too
    #[arg(long)]
    lines: bool,
    /// Most connections at once [default: 1000]; a member who never reads can cost 1 MiB
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ex8-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Before anyone can know that the server runs: a signal must not find the default action.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let listener = server::bind(&arguments.bind)?;
    let address = listener.local_addr().context("the socket has no address")?;

    let (journal, printer) = Journal::start();
    journal.print(format!("Listening on {address}"));
    let connections = arguments.connections.unwrap_or(hall::MAX_CONNECTIONS);
    let fitting = descriptors::make_room(connections).context("cannot ask for descriptors")?;
    // Who did not ask for a number does not count on it.
    if arguments.connections.is_some() && fitting < connections {
        journal.print(format!(
            "Only {fitting} of {connections} connections fit into the limit of open files (ulimit -Hn)"
        ));
    }
    let log = {
        let (journal, lines) = (journal.clone(), arguments.lines);
        move |entry: Entry<'_>| match entry {
            Entry::Told(Reply::Line { .. }) if !lines => {}
            _ => journal.print(entry.to_string()),
        }
    };
    let shutdown = {
        let journal = journal.clone();
        async move {
            select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            journal.print("Shutting down: saying goodbye to everyone");
        }
    };
    server::run(listener, connections, log, shutdown).await;
    drop(journal);
    printer.finish();
    Ok(())
}
