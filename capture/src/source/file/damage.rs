//! What can be wrong with a capture file, said in one sentence with its place.

use std::{fmt, io};

/// Why reading ended before the end of the file. Everything before it was delivered.
#[derive(Debug, thiserror::Error)]
pub struct Damage {
    /// At which octet of the file, from 0, the damaged piece begins.
    pub offset: u64,
    /// What is wrong there.
    #[source]
    pub problem: DamageProblem,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            DamageProblem::NotACapture(_) => self.problem.fmt(f),
            problem => write!(f, "at octet {} of the file: {problem}", self.offset),
        }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum DamageProblem {
    /// It does not begin as a capture does.
    #[error("this is not a pcap or pcapng file: {0}")]
    NotACapture(LooksLike),
    /// The file ends too early.
    #[error(
        "the file was cut short in the middle of {piece}: {needed} octets are needed, {had} are there"
    )]
    CutShort {
        /// What is not all there.
        piece: &'static str,
        /// How many octets it has.
        needed: u64,
        /// How many are in the file.
        had: u64,
    },
    /// A length that cannot be.
    #[error("{piece} claims a length of {len} octets, which cannot be ({why})")]
    Length {
        /// Whose length it is.
        piece: &'static str,
        /// The length it claims.
        len: u64,
        /// Why that cannot be.
        why: &'static str,
    },
    /// The length is told before and after a block, and not the same.
    #[error("a block claims a length of {before} octets before and {after} after its contents")]
    LengthsDiffer {
        /// Before the contents.
        before: u32,
        /// After them.
        after: u32,
    },
    /// A packet of an interface that was never described.
    #[error(
        "a packet was captured on interface {interface}, but only {known} were described before it"
    )]
    Interface {
        /// The number of the interface, from 0.
        interface: u32,
        /// How many were described.
        known: usize,
    },
    /// More interfaces than any computer has.
    #[error("more than {0} interfaces are described")]
    TooManyInterfaces(usize),
    /// A later version of the format.
    #[error("this is version {major}.{minor} of {format}, which nobody taught this program")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// The number that tells the order of octets is something else.
    #[error("a section header tells no order of octets: its magic number is {0:#010x}")]
    ByteOrder(u32),
    /// The contents of a block contradict each other.
    #[error("{0} cannot be understood: its fields contradict each other")]
    Contents(&'static str),
    /// The system cannot read it.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// What a file that is no capture looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LooksLike {
    /// Nothing in it.
    Empty,
    /// Compressed or packed, and the command that writes its contents to standard output.
    Packed {
        /// The format.
        format: &'static str,
        /// The command, to be followed by the file's name.
        command: &'static str,
    },
    /// Packets in a format that Wireshark's `editcap` can convert.
    OtherCapture(&'static str),
    /// Something that holds no packets at all.
    Other(&'static str),
    /// Text.
    Text,
    /// Nobody knows; these are its first octets.
    Unknown(Vec<u8>),
}

impl fmt::Display for LooksLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LooksLike::Empty => f.write_str("it is empty"),
            LooksLike::Packed { format, command } => write!(
                f,
                "it is packed with {format}; unpack it first: {command} FILE | capture read -"
            ),
            LooksLike::OtherCapture(format) => write!(
                f,
                "it looks like a capture in {format} format; convert it first: \
                 editcap -F pcapng FILE converted.pcapng"
            ),
            LooksLike::Other(what) => write!(f, "it looks like {what}"),
            LooksLike::Text => f.write_str(
                "it looks like plain text; the packets themselves are needed, \
                 as `capture live -w`, `tcpdump -w` or Wireshark's \"Save\" write them",
            ),
            LooksLike::Unknown(octets) => {
                f.write_str("it begins with")?;
                octets
                    .iter()
                    .try_for_each(|octet| write!(f, " {octet:02x}"))?;
                f.write_str(", as no capture does")
            }
        }
    }
}

/// As many first octets are enough to tell what a file is.
pub(super) const TELLING_LEN: usize = 512;

/// What the first octets of a file that is no capture look like.
pub(super) fn looks_like(head: &[u8]) -> LooksLike {
    let packed = |format, command| LooksLike::Packed { format, command };
    match head {
        [] => LooksLike::Empty,
        [0x1f, 0x8b, ..] => packed("gzip", "gunzip -c"),
        [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => packed("xz", "xz -dc"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => packed("zstd", "zstd -dc"),
        [b'B', b'Z', b'h', b'0'..=b'9', ..] => packed("bzip2", "bzip2 -dc"),
        [0x04, 0x22, 0x4d, 0x18, ..] => packed("lz4", "lz4 -dc"),
        [b'P', b'K', 0x03, 0x04, ..] => packed("zip", "unzip -p"),
        [0xa1, 0xb2, 0xcd, 0x34, ..] => {
            LooksLike::OtherCapture("\"modified\" pcap (higher octet first)")
        }
        [b's', b'n', b'o', b'o', b'p', 0, 0, 0, ..] => LooksLike::OtherCapture("snoop"),
        [b'X', b'C', b'P', 0, ..] => LooksLike::OtherCapture("NetXRay"),
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => {
            LooksLike::OtherCapture("Network Monitor")
        }
        [0x7f, b'E', b'L', b'F', ..] => LooksLike::Other("a program"),
        [b'%', b'P', b'D', b'F', ..] => LooksLike::Other("a PDF document"),
        [0x89, b'P', b'N', b'G', ..] => LooksLike::Other("a picture"),
        _ if head.starts_with(b"TRSNIFF data") => LooksLike::OtherCapture("Sniffer"),
        _ if is_text(head) => LooksLike::Text,
        _ if is_erf(head) => LooksLike::OtherCapture("ERF"),
        _ => LooksLike::Unknown(head[..head.len().min(8)].to_vec()),
    }
}

fn is_text(head: &[u8]) -> bool {
    let (text, whole) = match std::str::from_utf8(head) {
        Ok(text) => (text, true),
        // A character may have been cut at the end of what was looked at.
        Err(error) => (
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
            error.error_len().is_none() && head.len() >= TELLING_LEN,
        ),
    };
    whole
        && text
            .chars()
            .all(|c| !c.is_control() || "\t\r\n\u{1b}".contains(c))
}

/// ERF has no magic number: its first record has to make sense as one of Ethernet (type 2, both lengths agree).
fn is_erf(head: &[u8]) -> bool {
    let [.., kind, _, r1, r0, _, _, w1, w0] = head.first_chunk::<16>().unwrap_or(&[0; 16]);
    let record_len = u16::from_be_bytes([*r1, *r0]);
    let wire_len = u16::from_be_bytes([*w1, *w0]);
    kind & 0x7f == 2
        && wire_len >= 14
        && record_len > 18
        && record_len - 18 <= wire_len.saturating_add(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], expected: &str) {
        let said = looks_like(head).to_string();
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn a_file_that_is_no_capture_is_named() {
        check(b"", "it is empty");
        check(b"\x1f\x8b\x08\x00", "gunzip -c FILE | capture read -");
        check(b"\xfd7zXZ\x00", "xz -dc FILE | capture read -");
        check(b"\x28\xb5\x2f\xfd", "zstd -dc FILE");
        check(b"BZh91AY", "bzip2 -dc FILE");
        check(b"PK\x03\x04", "unzip -p FILE");
        check(b"snoop\0\0\0\0\0\0\x02", "snoop");
        check(b"\x7fELF\x02", "a program");
        check(
            b"12:00:01.000001 IP 127.0.0.1.5 > 127.0.0.1.6",
            "plain text",
        );
        check("Größe\n".as_bytes(), "plain text");
        check(b"\x00\x01\x02", "it begins with 00 01 02, as");
        let erf = b"\x01\x02\x03\x04\x05\x06\x07\x08\x02\x04\x00\x50\x00\x00\x00\x3e";
        check(erf, "ERF");
        // A length near the end of what 16 bits can hold.
        let odd = b"\xfe\xff\xff\x80\xd4\xc3\xb2\xa1\x02\0\x04\xff\xff\xff\xff\xff";
        check(odd, "ERF");
    }
}
