//! Addresses as people type them: `127.0.0.1:20001`, `[::1]:20001`,
//! `pc7.lab:20001`, or without the port.
//!
//! Parsing is pure; only [`Address::resolve`] asks the system. It does not
//! choose among several results: binding and connecting try them in turn.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A host (name or IP address) and a port, not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, an IPv6 one without its brackets.
    pub host: String,
    /// The port typed, or the default one.
    pub port: u16,
}

/// Why a text is no [`Address`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing stands before the colon.
    #[error("expected a host name or an IP address before the port in {0:?}")]
    NoHost(String),
    /// What follows the last colon is no 16-bit number.
    #[error("expected a port from 0 to 65535 after the last colon, found {0:?}")]
    BadPort(String),
    /// A bracket stays open, or something other than a port follows it.
    #[error("expected [IPv6 address]:PORT, found {0:?}")]
    BadBracket(String),
}

impl Address {
    /// Reads `HOST:PORT`, `[IPV6]:PORT`, or a bare host, which gets
    /// `default_port`. A text with several colons and no bracket is an IPv6
    /// address (RFC 4291 §2.2), since its last group could not be told from a
    /// port.
    ///
    /// # Errors
    /// The text has no host, or its port is no number from 0 to 65535.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, AddressError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, after)) => match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None => return Err(AddressError::BadBracket(text.to_owned())),
                },
                None => return Err(AddressError::BadBracket(text.to_owned())),
            },
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        if host.is_empty() {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        let port = match port {
            // `u16::from_str` would also take `+5`.
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port
                .parse()
                .map_err(|_| AddressError::BadPort(port.to_owned()))?,
            Some(port) => return Err(AddressError::BadPort(port.to_owned())),
            None => default_port,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Every address the system knows for this host, in its order of
    /// preference (RFC 6724), at least one.
    ///
    /// # Errors
    /// The name is unknown, or the resolver could not be asked.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ResolveError> {
        let failed = |reason: String| ResolveError {
            host: self.host.clone(),
            reason,
        };
        let found: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error: io::Error| failed(error.to_string()))?
            .collect();
        if found.is_empty() {
            return Err(failed("the name has no address".to_owned()));
        }
        Ok(found)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A host name that could not be turned into an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the address of {host:?}: {reason}")]
pub struct ResolveError {
    host: String,
    reason: String,
}

/// The address as its owner would write it: an IPv4 peer of an IPv6 socket,
/// `::ffff:192.0.2.1`, becomes `192.0.2.1` (RFC 4291 §2.5.5.2).
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, u16), AddressError>) {
        let expected = expected.map(|(host, port)| Address {
            host: host.to_owned(),
            port,
        });
        assert_eq!(Address::parse(text, 7), expected, "{text:?}");
    }

    #[test]
    fn every_usual_spelling_is_read() {
        check("127.0.0.1:20001", Ok(("127.0.0.1", 20001)));
        check("127.0.0.1", Ok(("127.0.0.1", 7)));
        check("0.0.0.0:0", Ok(("0.0.0.0", 0)));
        check("[::1]:20001", Ok(("::1", 20001)));
        check("[::1]", Ok(("::1", 7)));
        check("::1", Ok(("::1", 7)));
        check("::", Ok(("::", 7)));
        check("fe80::1%eth0", Ok(("fe80::1%eth0", 7)));
        check("[fe80::1%eth0]:9", Ok(("fe80::1%eth0", 9)));
        check("localhost:65535", Ok(("localhost", 65535)));
        check("pc7.lab", Ok(("pc7.lab", 7)));
    }

    #[test]
    fn a_bad_address_says_what_was_expected() {
        let port = |text: &str| Err(AddressError::BadPort(text.to_owned()));
        check("localhost:65536", port("65536"));
        check("localhost:http", port("http"));
        check("localhost:+5", port("+5"));
        check("localhost:", port(""));
        check("[::1]:", port(""));
        let host = |text: &str| Err(AddressError::NoHost(text.to_owned()));
        check("", host(""));
        check(":20001", host(":20001"));
        check("[]:1", host("[]:1"));
        let bracket = |text: &str| Err(AddressError::BadBracket(text.to_owned()));
        check("[::1", bracket("[::1"));
        check("[::1]20001", bracket("[::1]20001"));
    }

    #[test]
    fn an_address_is_shown_as_it_can_be_typed() {
        for text in ["127.0.0.1:1", "[::1]:2", "localhost:3"] {
            let address = Address::parse(text, 7).expect("a good address");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_mapped_peer_is_shown_as_ipv4() {
        let peer = |text: &str| text.parse::<SocketAddr>().expect("a good address");
        assert_eq!(canonical(peer("[::ffff:192.0.2.1]:5")), peer("192.0.2.1:5"));
        assert_eq!(canonical(peer("[fe80::1%3]:5")), peer("[fe80::1%3]:5"));
        assert_eq!(canonical(peer("192.0.2.1:5")), peer("192.0.2.1:5"));
    }
}
