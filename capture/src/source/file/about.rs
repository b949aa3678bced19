//! What a pcapng file says about itself: who captured, where, and what was noted.

use std::fmt;

/// One thing a file says about itself. Written by strangers: escape it before it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it is about.
    pub kind: AboutKind,
    /// What the file says.
    pub text: String,
}

/// What a file can say something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AboutKind {
    /// A note on a section or an interface (`opt_comment`).
    Comment,
    /// The computer that captured (`shb_hardware`).
    Hardware,
    /// Its operating system (`shb_os`, `if_os`).
    System,
    /// The program that wrote the file (`shb_userappl`).
    Program,
    /// The name of an interface (`if_name`).
    Interface,
    /// What kind of interface it is (`if_description`).
    Description,
}

impl fmt::Display for AboutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AboutKind::Comment => "comment",
            AboutKind::Hardware => "hardware",
            AboutKind::System => "system",
            AboutKind::Program => "program",
            AboutKind::Interface => "interface",
            AboutKind::Description => "description",
        })
    }
}

/// So many are kept; a capture of one computer has fewer than ten.
const MOST: usize = 64;
/// Of each, so many octets.
const LONGEST: usize = 1_000;

/// Keeps another one, unless it was said before or there are too many.
pub(super) fn keep(all: &mut Vec<About>, kind: AboutKind, octets: &[u8]) {
    if all.len() >= MOST {
        return;
    }
    let mut text = String::from_utf8_lossy(&octets[..octets.len().min(LONGEST)]).into_owned();
    // Some programs end a text with a NUL, which the format does not ask for.
    text.truncate(text.trim_end_matches('\0').len());
    let about = About { kind, text };
    if !about.text.is_empty() && !all.contains(&about) {
        all.push(about);
    }
}

/// The type of a block of a pcapng file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockType(pub u32);

impl fmt::Display for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            pcap_parser::NRB_MAGIC => "name resolution",
            pcap_parser::ISB_MAGIC => "interface statistics",
            pcap_parser::SJE_MAGIC => "systemd journal entry",
            pcap_parser::DSB_MAGIC => "decryption secrets",
            pcap_parser::CB_MAGIC | pcap_parser::DCB_MAGIC => "custom",
            pcap_parser::PIB_MAGIC => "process information",
            other => return write!(f, "block type {other:#010x}"),
        })
    }
}
