//! `ex4-server`: prints every line with its sender and answers it.
//!
//! Only arguments and exit status live here; see `server.rs` for the work.
//!
//! ```sh
//! cargo run --bin ex4-server                             # first terminal
//! cargo run --bin ex4-client                             # second terminal
//! cargo run --bin ex4-server -- --bind 0.0.0.0           # for other computers
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ex4_tcp_hello::address::{Address, AddressError};
use ex4_tcp_hello::{DEFAULT_PORT, screen, server, stop};

/// Prints every line that comes over a TCP connection and answers it.
#[derive(Parser)]
#[command(
    name = "ex4-server",
    version,
    after_help = "Examples:\n  \
    ex4-server                       only this computer, TCP port 20002\n  \
    ex4-server --bind 0.0.0.0        every IPv4 address of this computer\n  \
    ex4-server --bind [::]:4000      every address, IPv6 and IPv4, port 4000\n  \
    ex4-server --bind 127.0.0.1:0    any free port; the first line tells which\n\n\
    Ctrl-C or SIGTERM tells the connected clients goodbye and ends it."
)]
struct Arguments {
    /// Where to listen: IP:PORT, HOST:PORT, or without the port; IPv6 in brackets
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20002", value_parser = address)]
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
            let _ = writeln!(io::stderr(), "ex4-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop::requested().context("cannot listen for Ctrl-C")?;
    let listener = server::bind(&arguments.bind).await?;
    let (screen, printer) = screen::start(io::stdout());
    let first = format!("Listening on {}", listener.local_addr()?);
    screen.line(first).await;
    let clients = server::run(listener, &screen, stop).await;
    printer
        .finish(screen, format!("Stopped. Clients served: {clients}"))
        .await
        .context("cannot write to standard output")
}
