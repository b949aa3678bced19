//! `ex4-client`: sends one line by TCP, prints the answer, closes, exits.
//!
//! Only arguments and exit status live here; see `client.rs` for the work.
//!
//! ```sh
//! cargo run --bin ex4-server                             # first terminal
//! cargo run --bin ex4-client                             # second terminal
//! cargo run --bin ex4-client -- 192.0.2.7 --message "Hi from pc3"
//! ```

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use ex4_tcp_hello::address::{Address, AddressError};
use ex4_tcp_hello::client::Connection;
use ex4_tcp_hello::printable::Printable;
use ex4_tcp_hello::{DEFAULT_PORT, line, message, screen};

/// Sends one line by TCP, prints the answer and exits.
#[derive(Parser)]
#[command(
    name = "ex4-client",
    version,
    after_help = "Examples:\n  \
    ex4-client                               the server on this computer\n  \
    ex4-client 192.0.2.7                     the server on another one, port 20002\n  \
    ex4-client [::1]:4000 --message \"Hello\"  IPv6, another port, another text\n\n\
    Exit status: 0 the answer was printed, 1 there was none, 2 usage."
)]
struct Arguments {
    /// Who to ask: IP:PORT, HOST:PORT, or without the port; IPv6 in brackets
    #[arg(value_name = "SERVER", default_value = "127.0.0.1:20002", value_parser = address)]
    server: Address,

    /// The text to send, one line
    #[arg(long, value_name = "TEXT", default_value = message::GREETING, value_parser = one_line)]
    message: String,

    /// Seconds to wait for the connection, for the answer and for the close
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
}

fn address(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, DEFAULT_PORT)
}

fn one_line(text: &str) -> Result<String, String> {
    if text.contains(['\n', '\r']) {
        return Err("expected one line, found an end of line inside".to_owned());
    }
    if text.len() > line::MAX_LEN {
        let (len, most) = (text.len(), line::MAX_LEN);
        return Err(format!("expected at most {most} octets, found {len}"));
    }
    Ok(text.to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let expected = "expected seconds from 0.001 to 3600, such as 0.5";
    let seconds: f64 = text.parse().map_err(|_| expected)?;
    if !(0.001..=3600.0).contains(&seconds) {
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
    let mut connection = connect(&arguments.server, arguments.timeout).await?;
    let answer = connection.ask(&arguments.message).await?;
    screen::print(&Printable::whole(&answer).to_string())
        .context("cannot write to standard output")?;
    // The answer is there; how the server hangs up is worth a word, no more.
    if let Err(error) = connection.close().await {
        tell(&error.to_string());
    }
    Ok(())
}

async fn connect(server: &Address, limit: Duration) -> anyhow::Result<Connection> {
    let mut failures = Vec::new();
    for address in server.resolve().await? {
        match Connection::open(address, limit).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failures.push(error.to_string()),
        }
    }
    bail!(failures.join("; "))
}

/// Where standard error is closed, there is nobody to tell.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "ex4-client: {text}");
}
