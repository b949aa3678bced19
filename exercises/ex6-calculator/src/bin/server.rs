//! The calculator's server.
//!
//! ```text
//! cargo run --bin ex6-server                          # this computer only
//! cargo run --bin ex6-server -- --bind 0.0.0.0        # for other computers, too
//! ```
//!
//! A short shell: arguments in, listener and screen to [`server::run`], exit status out.

use std::process::ExitCode;

use clap::Parser;
use ex6_calculator::address::{Endpoint, EndpointError};
use ex6_calculator::server::{self, Screen};
use ex6_calculator::{DEFAULT_PORT, shutdown};

/// Serves a calculator over TCP: one operation a line, for any number of clients at once.
#[derive(Parser)]
#[command(
    name = "ex6-server",
    version,
    after_help = "\
Examples:
  ex6-server                       clients on this computer, port 20001
  ex6-server --bind 0.0.0.0        clients on other computers, too (IPv4)
  ex6-server --bind [::]:20001     clients on other computers, too (IPv6 and IPv4)
  ex6-server --bind 127.0.0.1:0    any free port; the first line printed says which

Ctrl-C says goodbye to all clients and ends with status 0."
)]
struct Arguments {
    /// Where to listen: IP:PORT or HOST:PORT (IPv6 in brackets), or without the port for 20001.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20001", value_parser = endpoint)]
    bind: Endpoint,
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::parse(text, DEFAULT_PORT)
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ex6-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let listener = server::listen(&arguments.bind).await?;
    let stop = shutdown::requested()?;
    let screen = Screen::new(std::io::stdout());
    screen.print(&format!("Listening on {}\n", listener.local_addr()?));
    server::run(listener, screen, stop).await;
    Ok(())
}
