//! Addresses as people type them: `HOST`, `HOST:PORT`, `IP`, `[::1]:PORT`, with a default port.
//!
//! Deliberately does not look names up: that needs the operating system, see
//! [`std::net::ToSocketAddrs`], which takes what [`HostPort::as_pair`] gives.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use crate::DEFAULT_PORT;

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Nothing before the port, or nothing at all.
    #[error("the host is missing: write HOST, HOST:PORT or [IPv6]:PORT")]
    NoHost,
    /// The part after the last colon.
    #[error("`{0}` is not a port: write a number from 0 to 65535")]
    Port(String),
    /// The part between brackets.
    #[error("`{0}` is not an IPv6 address")]
    Ipv6(String),
}

impl HostPort {
    /// The form [`std::net::ToSocketAddrs`] accepts.
    pub fn as_pair(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for HostPort {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest
                .split_once(']')
                .ok_or_else(|| BadAddress::Ipv6(rest.to_owned()))?;
            // A scope (`fe80::1%eth0`) is the resolver's business.
            let number = host.split('%').next().unwrap_or(host);
            if number.parse::<Ipv6Addr>().is_err() {
                return Err(BadAddress::Ipv6(host.to_owned()));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(BadAddress::Port(after.to_owned())),
            }
        } else {
            match text.split_once(':') {
                // More than one colon can only be an IPv6 address without brackets, so without port.
                Some((_, port)) if port.contains(':') => match text.parse::<Ipv6Addr>() {
                    Ok(_) => (text, None),
                    Err(_) => return Err(BadAddress::Ipv6(text.to_owned())),
                },
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if host.is_empty() {
            return Err(BadAddress::NoHost);
        }
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| BadAddress::Port(port.to_owned()))?,
            None => DEFAULT_PORT,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, BadAddress>) {
        let got = text.parse::<HostPort>().map(|address| address.to_string());
        assert_eq!(got, expected.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn every_usual_spelling_is_understood() {
        check("127.0.0.1", Ok("127.0.0.1:20001"));
        check("127.0.0.1:0", Ok("127.0.0.1:0"));
        check("0.0.0.0:9", Ok("0.0.0.0:9"));
        check("::1", Ok("[::1]:20001"));
        check("::", Ok("[::]:20001"));
        check("[::1]", Ok("[::1]:20001"));
        check("[::1]:7", Ok("[::1]:7"));
        check("localhost", Ok("localhost:20001"));
        check("lab-pc-3:20009", Ok("lab-pc-3:20009"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("", Err(BadAddress::NoHost));
        check(":20001", Err(BadAddress::NoHost));
        check("host:", Err(BadAddress::Port(String::new())));
        check("host:65536", Err(BadAddress::Port("65536".into())));
        check("[::1]x", Err(BadAddress::Port("x".into())));
        check("[::1", Err(BadAddress::Ipv6("::1".into())));
        check("[lab]:1", Err(BadAddress::Ipv6("lab".into())));
        check("1:2:3", Err(BadAddress::Ipv6("1:2:3".into())));
    }
}
