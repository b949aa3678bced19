//! Frames that a capture can be told by: what lies before one in the capture was there before it was sent.
//!
//! The kernel hands frames over in blocks and says nothing of those it has not handed over. Who must know that a
//! capture has caught up sends a beacon, and waits until the capture shows it. No program on the machine takes notice:
//! its EtherType is one for experiments within a site (IEEE 802, 0x88B5), which no kernel passes on.

use super::{LiveError, explain, names, said};
use crate::frame::Frame;
use pcap::{Active, Capture};

const ETHER_TYPE: [u8; 2] = [0x88, 0xb5];
/// Two addresses and an EtherType.
const HEADER_LEN: usize = 14;
const WORD: &[u8; 12] = b"beacon for: ";
/// An Ethernet frame has at least so many octets.
const FRAME_LEN: usize = 60;

/// Sends beacons on one interface.
pub struct Beacon {
    capture: Capture<Active>,
    interface: String,
    token: u64,
    sent: u64,
}

impl Beacon {
    /// One whose frames nobody else's are taken for.
    ///
    /// # Errors
    /// As for a capture: the right to send frames is the right to capture them.
    pub fn open(interface: &str, token: u64) -> Result<Self, LiveError> {
        let open = || {
            let mut capture = Capture::from_device(interface)?
                .snaplen(64)
                .buffer_size(1 << 17)
                .open()?;
            // Nothing is to be read from it, so nothing is kept.
            capture.filter("less 1", true)?;
            Ok(capture)
        };
        Ok(Beacon {
            capture: open().map_err(|error| explain(interface, &error, names))?,
            interface: interface.to_owned(),
            token,
            sent: 0,
        })
    }

    /// Sends the next one and says its number, from 1.
    ///
    /// # Errors
    /// When the interface does not take it.
    pub fn send(&mut self) -> Result<u64, LiveError> {
        let number = self.sent + 1;
        let mut octets = vec![0; HEADER_LEN - 2];
        octets.extend_from_slice(&ETHER_TYPE);
        octets.extend_from_slice(WORD);
        octets.extend_from_slice(&self.token.to_be_bytes());
        octets.extend_from_slice(&number.to_be_bytes());
        octets.resize(FRAME_LEN, 0);
        self.capture
            .sendpacket(octets)
            .map_err(|error| LiveError::Other {
                interface: self.interface.clone(),
                why: said(&error),
            })?;
        self.sent = number;
        Ok(number)
    }
}

impl std::fmt::Debug for Beacon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beacon")
            .field("interface", &self.interface)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

/// The number of the beacon that a frame is, if it is one with this token.
pub fn number(frame: &Frame<'_>, token: u64) -> Option<u64> {
    let octets = frame.octets.get(HEADER_LEN - 2..)?;
    let rest = octets.strip_prefix(&ETHER_TYPE)?.strip_prefix(WORD)?;
    let rest = rest.strip_prefix(&token.to_be_bytes())?;
    Some(u64::from_be_bytes(*rest.first_chunk()?))
}
