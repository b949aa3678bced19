//! `ex3-server`: answers `SEND_DATE` and `SEND_TIME`.
//!
//! Only arguments and exit status live here; see `server.rs` for the work.
//!
//! ```sh
//! cargo run --bin ex3-server                             # first terminal
//! cargo run --bin ex3-client                             # second terminal
//! cargo run --bin ex3-server -- --bind 0.0.0.0           # for other computers
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ex3_udp_clock::address::{Address, AddressError};
use ex3_udp_clock::{DEFAULT_PORT, screen, server, stop};

/// Answers SEND_DATE with today's date and SEND_TIME with the time as HH:MM:SS.
#[derive(Parser)]
#[command(
    name = "ex3-server",
    version,
    after_help = "Examples:\n  \
    ex3-server                       only this computer, UDP port 20001\n  \
    ex3-server --bind 0.0.0.0        every IPv4 address of this computer\n  \
    ex3-server --bind [::]:4000      every address, IPv6 and IPv4, port 4000\n  \
    ex3-server --quiet               print no requests, for a whole class\n\n\
    Date and time are this computer's local ones; TZ=UTC ex3-server for another zone.\n\
    Ctrl-C or SIGTERM ends it."
)]
struct Arguments {
    /// Where to listen: IP:PORT, HOST:PORT, or without the port; IPv6 in brackets
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20001", value_parser = address)]
    bind: Address,

    /// Print neither requests nor answers, only errors and the summary
    #[arg(long)]
    quiet: bool,
}

fn address(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, DEFAULT_PORT)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed too, the exit status must do.
            let _ = writeln!(io::stderr(), "ex3-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop::requested().context("cannot listen for Ctrl-C")?;
    let socket = server::bind(&arguments.bind).await?;
    let (screen, printer) = screen::start(io::stdout());
    screen.line(format!("Listening on {}", socket.local_addr()?));
    let tally = server::run(socket, &screen, arguments.quiet, stop)
        .await
        .context("the socket failed")?;
    let last = format!(
        "Stopped. Datagrams received: {}, answered: {}",
        tally.received, tally.answered
    );
    printer
        .finish(screen, last)
        .await
        .context("cannot write to standard output")
}
