//! `ex3-client`: asks for the date or the time every one to two seconds.
//!
//! Only arguments and exit status live here; see `client.rs` for the work.
//!
//! ```sh
//! cargo run --bin ex3-server                             # first terminal
//! cargo run --bin ex3-client                             # second terminal, Ctrl-C ends it
//! cargo run --bin ex3-client -- --count 5 --seed 1       # five requests, always the same
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use ex3_udp_clock::address::{Address, AddressError};
use ex3_udp_clock::schedule::Schedule;
use ex3_udp_clock::{DEFAULT_PORT, client, screen, stop};

/// Asks a clock server for the date or the time, at random, every one to two seconds.
#[derive(Parser)]
#[command(
    name = "ex3-client",
    version,
    after_help = "Examples:\n  \
    ex3-client                       the server on this computer, until Ctrl-C\n  \
    ex3-client 192.0.2.7             the server on another one, port 20001\n  \
    ex3-client [::1]:4000 --count 5  five requests by IPv6 to another port\n  \
    ex3-client --seed 1              the same requests and gaps each time\n\n\
    Exit status: 0 something was answered, or Ctrl-C; 1 nothing was; 2 usage."
)]
struct Arguments {
    /// Who to ask: IP:PORT, HOST:PORT, or without the port; IPv6 in brackets
    #[arg(value_name = "SERVER", default_value = "127.0.0.1:20001", value_parser = address)]
    server: Address,

    /// How many requests to send; without it, until Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Fixes which requests are sent and how long the gaps are
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

fn address(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, DEFAULT_PORT)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match ask(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed too, the exit status must do.
            let _ = writeln!(io::stderr(), "ex3-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop::requested().context("cannot listen for Ctrl-C")?;
    let mut stop = std::pin::pin!(stop);
    let addresses = tokio::select! {
        addresses = arguments.server.resolve() => addresses?,
        () = &mut stop => return Ok(()),
    };
    let turns = Schedule::new(arguments.seed.unwrap_or_else(rand::random));
    let count = arguments.count.map_or(usize::MAX, |count| count as usize);

    let (screen, printer) = screen::start(io::stdout());
    let tally = client::run(&addresses, turns.take(count), &screen, stop).await?;
    let last = format!(
        "Stopped. Requests sent: {}, answered: {}",
        tally.asked, tally.answered
    );
    printer
        .finish(screen, last)
        .await
        .context("cannot write to standard output")?;
    if tally.answered == 0 && !tally.stopped {
        bail!("no answer from {} to any request", arguments.server);
    }
    Ok(())
}
