//! The chat room's client. Deliberately only arguments, signals and exit status: the rest is the
//! library.
//!
//! ```text
//! cargo run --bin ex8-server
//! cargo run --bin ex8-client       # in a second terminal, and in a third
//! ```

use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use ex8_chat_room::{
    address::HostPort, client, connection, screen::Screen, session::Outcome, window,
};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

const EXAMPLES: &str = "\
Examples:
  ex8-client                                  the server on this computer
  ex8-client --name Ada lab-pc-3:20001        another computer's, without being asked for a name
  printf 'Ada\\nhello\\nq\\n' | ex8-client       from a script

  ex8-client --plain                          lines instead of a window, for instance for a screen reader

Type a line to talk; q, Ctrl-C or Ctrl-D leave. In the window, F1 or /help tells more, and a lost
connection is made again; line mode (--plain, a pipe, TERM=dumb) ends with it.
Exit status: 0 you left, 1 the server went away or was never there, 2 wrong usage.";

/// A window into the chat room: what you type goes to everybody else.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// The server: HOST, HOST:PORT or an IPv6 address in brackets with :PORT
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:20001")]
    server: HostPort,
    /// Lines without a single escape code, on a terminal too
    #[arg(long)]
    plain: bool,
    /// Log in under this name; asked for if it is refused
    #[arg(long)]
    name: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(Outcome::Left) => ExitCode::SUCCESS,
        Ok(Outcome::Lost(how)) => {
            eprintln!("ex8-client: {how}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("ex8-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let (stream, address) = connection::connect(&arguments.server).await?;
    // From here on a signal says goodbye first.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    let interrupted = async || {
        select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    let name = arguments.name.map(Bytes::from);
    if arguments.plain || !window::is_possible() {
        return Ok(client::run(stream, name, Screen::open(), interrupted).await);
    }
    let server = arguments.server.to_string();
    window::run(stream, address, server, name, interrupted).await?;
    Ok(Outcome::Left)
}
