//! Every server that can be measured: the models, and what they are compared with.
//!
//! | | how it comes here |
//! |---|---|
//! | models | built by cargo beforehand, run as the programs they are |
//! | bare servers | C sources in `peers/`, compiled at the start: the limit of one thread |
//! | textbook | Python in `peers/`: what one writes first |
//! | a write per line | `bench-chat-per-line`, a program of this crate |
//! | redis, nats | Debian's packages |
//!
//! What is missing is told as [`Absent`], with the package that brings it; the others are measured all the same.

use std::{
    cell::Cell,
    env, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::process::{Output, Server, StartError};

/// Where the sources of the bare servers and the textbook's are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A model server, with what it needs besides its address. `prints` when it shows every request.
    Model {
        /// Its program.
        program: &'static str,
        /// Arguments beside the address.
        arguments: &'static [&'static str],
        /// Whether it shows every request.
        prints: bool,
    },
    /// A program of this crate.
    Own(&'static str),
    /// A C source of `peers/`, without its ending.
    Bare(&'static str),
    /// A Python program of `peers/`.
    Textbook(&'static str),
    /// redis-server, without persistence.
    Redis,
    /// nats-server.
    Nats,
}

/// A peer that is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not measured: there is no {program} (on Debian: apt install {package})")]
pub struct Absent {
    program: &'static str,
    package: &'static str,
}

/// Why a peer cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It is not here; the others can be measured without it.
    #[error(transparent)]
    Absent(#[from] Absent),
    /// It is here and does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It is here and does not compile.
    #[error("{SOURCES}/{name}.c does not compile:\n{said}")]
    Compile {
        /// The source, without its ending.
        name: &'static str,
        /// What the compiler said.
        said: String,
    },
    /// The system refuses something that is needed before.
    #[error("cannot prepare the peers")]
    System(#[from] io::Error),
}

/// Where the peers' programs are, and those made here, which go with it.
#[derive(Debug)]
pub struct Workshop {
    programs: PathBuf,
    made: TempDir,
}

impl Workshop {
    /// With the folder in which cargo has put the programs of the workspace.
    ///
    /// # Errors
    /// There is no place for temporary files.
    pub fn new(programs: PathBuf) -> io::Result<Self> {
        let made = TempDir::with_prefix("bench-peers-")?;
        Ok(Self { programs, made })
    }

    /// Starts a peer, and returns when it can be talked to.
    ///
    /// # Errors
    /// It is not here, or does not start.
    pub fn start(&self, peer: Peer) -> Result<Server, PeerError> {
        let server = match peer {
            Peer::Model {
                program,
                arguments,
                prints,
            } => {
                let mut command = Command::new(self.programs.join(program));
                command.args(["--bind", "127.0.0.1:0"]).args(arguments);
                let output = if prints { Output::Closed } else { Output::Read };
                Server::start(command, output, listening)?
            }
            Peer::Own(program) => Server::start(
                Command::new(self.programs.join(program)),
                Output::Read,
                listening,
            )?,
            Peer::Bare(name) => {
                Server::start(Command::new(self.compiled(name)?), Output::Read, listening)?
            }
            Peer::Textbook(name) => {
                let mut command = Command::new(installed("python3", "python3")?);
                command.arg(Path::new(SOURCES).join(name));
                Server::start(command, Output::Read, listening)?
            }
            Peer::Redis => {
                let address = free_port()?;
                let mut command = Command::new(installed("redis-server", "redis-server")?);
                command
                    .args(["--bind", "127.0.0.1", "--port"])
                    .arg(address.port().to_string())
                    // No files, and no end of the connection for who has a lot on its way.
                    .args(["--save", "", "--appendonly", "no"])
                    .args(["--client-output-buffer-limit", "pubsub 0 0 0", "--dir"])
                    .arg(self.made.path());
                Server::start(command, Output::Read, |line| {
                    line.contains("Ready to accept connections")
                        .then_some(address)
                })?
            }
            Peer::Nats => {
                let mut command = Command::new(installed("nats-server", "nats-server")?);
                command.args(["-a", "127.0.0.1", "-p", "-1"]);
                let address = Cell::new(None);
                Server::start(command, Output::Read, |line| {
                    let words = line.split_once("Listening for client connections on ");
                    if let Some((_, word)) = words {
                        address.set(word.trim_end().parse().ok());
                    }
                    address.get().filter(|_| line.contains("Server is ready"))
                })?
            }
        };
        Ok(server)
    }

    /// The program made from a C source, compiled if it is not yet.
    fn compiled(&self, name: &'static str) -> Result<PathBuf, PeerError> {
        let program = self.made.path().join(name);
        if !program.exists() {
            let output = Command::new(installed("cc", "gcc")?)
                .args(["-O2", "-Wall", "-Wextra", "-o"])
                .arg(&program)
                .arg(Path::new(SOURCES).join(name).with_extension("c"))
                .output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(PeerError::Compile { name, said });
            }
        }
        Ok(program)
    }
}

/// The address in the line that all servers of this repository begin with.
fn listening(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("Listening on ")?.trim_end().parse().ok()
}

/// A port for a server that takes no port 0. Another program may take it before.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A program on the `PATH`, or where servers are.
fn installed(program: &'static str, package: &'static str) -> Result<PathBuf, Absent> {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or(Absent { program, package })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_where_it_listens() {
        let address = "127.0.0.1:20001".parse().ok();
        assert_eq!(listening("Listening on 127.0.0.1:20001\n"), address);
        assert_eq!(
            listening("Somebody is listening on 127.0.0.1:20001\n"),
            None
        );
    }

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let absent = installed("no-such-program", "some-package").expect_err("there is none");
        let text =
            "not measured: there is no no-such-program (on Debian: apt install some-package)";
        assert_eq!(absent.to_string(), text);
    }
}
