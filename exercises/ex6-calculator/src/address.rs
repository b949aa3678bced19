//! Where a server is: `HOST:PORT` as people write it, short forms included.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};

/// A host, by name or IP address, and a port. Not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing before the colon.
    #[error("the host is missing: write HOST:PORT, for example 127.0.0.1:20001")]
    NoHost,
    /// What follows the colon is not a port.
    #[error("`{0}` is not a port: write a number from 0 to 65535")]
    BadPort(String),
    /// More than one colon, but not IPv6.
    #[error("`{0}` is neither HOST:PORT nor an IPv6 address such as ::1 or [::1]:20001")]
    BadIpv6(String),
}

impl Endpoint {
    /// Reads `IP:PORT`, `HOST:PORT` or `[IPV6]:PORT`, each also without its port.
    ///
    /// # Errors
    /// What is wrong and how to write it.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let bad_ipv6 = || EndpointError::BadIpv6(text.to_owned());
        let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
            let (host, after) = bracketed.split_once(']').ok_or_else(bad_ipv6)?;
            host.parse::<Ipv6Addr>().map_err(|_| bad_ipv6())?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(bad_ipv6()),
            }
        } else if text.parse::<Ipv6Addr>().is_ok() {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(bad_ipv6()),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if host.is_empty() {
            return Err(EndpointError::NoHost);
        }
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| EndpointError::BadPort(port.to_owned()))?,
            None => default_port,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Every address the host has, at least one.
    ///
    /// # Errors
    /// The name is unknown, or could not be looked up.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await?
            .collect();
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(addresses)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, EndpointError>) {
        let got = Endpoint::parse(text, 20001).map(|endpoint| endpoint.to_string());
        assert_eq!(got, expected.map(str::to_owned));
    }

    #[test]
    fn hosts_and_addresses_are_read_with_and_without_a_port() {
        check("127.0.0.1:7", Ok("127.0.0.1:7"));
        check("127.0.0.1", Ok("127.0.0.1:20001"));
        check("localhost:7", Ok("localhost:7"));
        check("localhost", Ok("localhost:20001"));
        check("[::1]:7", Ok("[::1]:7"));
        check("[::1]", Ok("[::1]:20001"));
        check("::1", Ok("[::1]:20001"));
        check("0.0.0.0:0", Ok("0.0.0.0:0"));
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        check("", Err(EndpointError::NoHost));
        check(":7", Err(EndpointError::NoHost));
        check("localhost:", Err(EndpointError::BadPort(String::new())));
        check(
            "localhost:99999",
            Err(EndpointError::BadPort("99999".to_owned())),
        );
        check("1:2:3", Err(EndpointError::BadIpv6("1:2:3".to_owned())));
        check("[::1", Err(EndpointError::BadIpv6("[::1".to_owned())));
        check("[::1]7", Err(EndpointError::BadIpv6("[::1]7".to_owned())));
    }
}
