//! `ex1-client`: sends one text by UDP, prints the answer, exits.
//!
//! Only arguments and exit status live here; see `client.rs` for the work.
//!
//! ```sh
//! cargo run --bin ex1-server                             # first terminal
//! cargo run --bin ex1-client                             # second terminal
//! cargo run --bin ex1-client -- 192.0.2.7 --message "Hi from pc3"
//! ```

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use ex1_udp_hello::address::{Address, AddressError};
use ex1_udp_hello::client::{Patience, ask};
use ex1_udp_hello::printable::Printable;
use ex1_udp_hello::{DEFAULT_PORT, message, screen};

/// Sends one text by UDP, prints the answer and exits.
#[derive(Parser)]
#[command(
    name = "ex1-client",
    version,
    after_help = "Examples:\n  \
    ex1-client                               the server on this computer\n  \
    ex1-client 192.0.2.7                     the server on another one, port 20001\n  \
    ex1-client [::1]:4000 --message \"Hello\"  IPv6, another port, another text\n  \
    ex1-client pc7.lab --timeout 0.5 --tries 5\n\n\
    Exit status: 0 the answer was printed, 1 there was none, 2 usage."
)]
struct Arguments {
    /// Who to ask: IP:PORT, HOST:PORT, or without the port; IPv6 in brackets
    #[arg(value_name = "SERVER", default_value = "127.0.0.1:20001", value_parser = address)]
    server: Address,

    /// The text to send
    #[arg(long, value_name = "TEXT", default_value = message::GREETING)]
    message: String,

    /// Seconds to wait for an answer before sending again; doubled each time
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    timeout: Duration,

    /// How often to send the text before giving up
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    tries: u32,
}

fn address(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, DEFAULT_PORT)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let expected = "expected seconds from 0.001 to 60, such as 0.5";
    let seconds: f64 = text.parse().map_err(|_| expected)?;
    if !(0.001..=60.0).contains(&seconds) {
        return Err(expected.to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match talk(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn talk(arguments: Arguments) -> anyhow::Result<()> {
    let patience = Patience {
        timeout: arguments.timeout,
        tries: arguments.tries,
    };
    let text = arguments.message.as_bytes();
    let mut failures = Vec::new();
    for address in arguments.server.resolve().await? {
        let resending = |copy| {
            tell(&format!(
                "no answer from {address} yet, sending again ({copy} of {})",
                patience.tries
            ));
        };
        match ask(address, text, patience, resending).await {
            Ok(answer) => {
                return screen::print(&Printable::whole(&answer).to_string())
                    .context("cannot write to standard output");
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    bail!(failures.join("; "))
}

/// Where standard error is closed, there is nobody to tell.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "ex1-client: {text}");
}
