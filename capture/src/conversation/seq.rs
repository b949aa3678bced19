//! Sequence numbers, which wrap, and the control bits (RFC 9293 §3.1, §3.4).

use std::fmt;

/// A 32-bit sequence number. Arithmetic is modulo 2³², so it has no order of its own: *before* and *after* have a
/// meaning only for numbers less than 2³¹ apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// The number `octets` further on.
    #[must_use]
    pub const fn plus(self, octets: u32) -> Self {
        SeqNumber(self.0.wrapping_add(octets))
    }

    /// The number `octets` back.
    #[must_use]
    pub const fn minus(self, octets: u32) -> Self {
        SeqNumber(self.0.wrapping_sub(octets))
    }

    /// How far this one is after `other`, as the shorter way round; negative when it is before.
    pub const fn distance_from(self, other: SeqNumber) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The control bits of a segment (RFC 9293 §3.1), in the order FIN SYN RST PSH ACK URG ECE CWR from the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender has no more data.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push: deliver what has come so far.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgment number means something.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer means something.
    pub const URG: Flags = Flags(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Flags = Flags(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Flags = Flags(0x80);

    const NAMES: [&'static str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub const fn has_any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// These bits and those.
    #[must_use]
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The names of the bits that are set, as the RFC spells them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, name)| name)
    }
}

/// `SYN, ACK`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap() {
        assert_eq!(SeqNumber(u32::MAX).plus(3), SeqNumber(2));
        assert_eq!(SeqNumber(2).distance_from(SeqNumber(u32::MAX)), 3);
        assert_eq!(SeqNumber(u32::MAX).distance_from(SeqNumber(2)), -3);
        assert_eq!(SeqNumber(1).minus(2), SeqNumber(u32::MAX));
    }

    #[test]
    fn flags_are_spelled_as_the_rfc_does() {
        assert_eq!(Flags(0x12).to_string(), "SYN, ACK");
        assert_eq!(
            Flags(0xff).names().collect::<Vec<_>>().join(" "),
            "FIN SYN RST PSH ACK URG ECE CWR"
        );
    }
}
