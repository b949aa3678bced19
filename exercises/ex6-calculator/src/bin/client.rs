//! The calculator's client.
//!
//! ```text
//! cargo run --bin ex6-client                                     # asks for a name, then for lines
//! echo '12 + 42' | cargo run --bin ex6-client -- --name Ada      # works in a pipe
//! ```
//!
//! A short shell: arguments in, connection and keyboard to [`Client::run`], exit status out.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use ex6_calculator::address::{Endpoint, EndpointError};
use ex6_calculator::client::{self, Client};
use ex6_calculator::message::{Name, NameError};
use ex6_calculator::{DEFAULT_PORT, shutdown};
use tokio_util::sync::CancellationToken;

/// Sends operations to a calculator server, one a line, and shows its answers.
#[derive(Parser)]
#[command(
    name = "ex6-client",
    version,
    after_help = "\
Examples:
  ex6-client                                    the server on this computer, port 20001
  ex6-client 192.168.1.20                       a server on another computer
  ex6-client [::1]:20001                        over IPv6
  echo '4.5 / -6' | ex6-client --name Ada       one answer, in a script

A line is a number, an operator (+ - * /) and a number, with spaces between them.
q, the end of the input (Ctrl-D) and Ctrl-C end the session."
)]
struct Arguments {
    /// The server: IP:PORT or HOST:PORT (IPv6 in brackets), or without the port for 20001.
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:20001", value_parser = endpoint)]
    server: Endpoint,

    /// Your name, 1 to 32 characters; without it, the first line of the input is the name.
    #[arg(long, value_parser = name)]
    name: Option<Name>,
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::parse(text, DEFAULT_PORT)
}

fn name(text: &str) -> Result<Name, NameError> {
    Name::parse(text.as_bytes())
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ex6-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(talk(arguments));
    // Looking a name up cannot be cancelled either; nobody should wait for it after Ctrl-C.
    runtime.shutdown_background();
    outcome
}

async fn talk(arguments: Arguments) -> anyhow::Result<()> {
    let interrupt = shutdown::requested()?;
    let interrupted = CancellationToken::new();
    let cancel = interrupted.clone();
    tokio::spawn(async move {
        interrupt.await;
        cancel.cancel();
    });

    let connecting = client::connect(&arguments.server);
    let Some(connection) = interrupted.run_until_cancelled(connecting).await else {
        return Ok(());
    };
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let client = Client {
        connection: connection?,
        interrupted,
        interactive: stdin.is_terminal() && stdout.is_terminal(),
        input: client::read_lines(stdin)?,
        output: stdout,
        warnings: std::io::stderr(),
    };
    client.run(arguments.name).await?;
    Ok(())
}
