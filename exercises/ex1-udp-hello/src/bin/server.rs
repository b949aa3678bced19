//! `ex1-server`: prints every datagram with its sender and answers it.
//!
//! Only arguments and exit status live here; see `server.rs` for the work.
//!
//! ```sh
//! cargo run --bin ex1-server                             # first terminal
//! cargo run --bin ex1-client                             # second terminal
//! cargo run --bin ex1-server -- --bind 0.0.0.0           # for other computers
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ex1_udp_hello::address::{Address, AddressError};
use ex1_udp_hello::{DEFAULT_PORT, screen, server, stop};

/// Prints every UDP datagram with its sender and answers it.
#[derive(Parser)]
#[command(
    name = "ex1-server",
    version,
    after_help = "Examples:\n  \
    ex1-server                       only this computer, UDP port 20001\n  \
    ex1-server --bind 0.0.0.0        every IPv4 address of this computer\n  \
    ex1-server --bind [::]:4000      every address, IPv6 and IPv4, port 4000\n  \
    ex1-server --bind 127.0.0.1:0    any free port; the first line tells which\n\n\
    Ctrl-C or SIGTERM ends it."
)]
struct Arguments {
    /// Where to listen: IP:PORT, HOST:PORT, or without the port; IPv6 in brackets
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20001", value_parser = address)]
    bind: Address,
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
            let _ = writeln!(io::stderr(), "ex1-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop::requested().context("cannot listen for Ctrl-C")?;
    let socket = server::bind(&arguments.bind).await?;
    let (screen, printer) = screen::start(io::stdout());
    screen.line(format!("Listening on {}", socket.local_addr()?));
    let tally = server::run(socket, &screen, stop)
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
