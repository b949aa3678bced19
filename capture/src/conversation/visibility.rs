//! Whether what was said can be read by anybody who captures it: the lab's question about plaintext.

use super::Conversation;
use crate::text::TextKind;

/// The messages of a conversation, counted by what they look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visibility {
    /// Messages of readable text.
    pub readable: u64,
    /// TLS records.
    pub encrypted: u64,
    /// Compressed ones.
    pub compressed: u64,
    /// Any other octets.
    pub binary: u64,
}

impl Visibility {
    /// What was said by both sides.
    pub fn of(conversation: &Conversation) -> Self {
        let count = |kind: TextKind| {
            let counts = conversation
                .sent
                .iter()
                .map(|tally| tally.kinds[kind.index()]);
            counts.map(u64::from).sum()
        };
        Visibility {
            readable: count(TextKind::Utf8) + count(TextKind::Utf16Le) + count(TextKind::Utf16Be),
            encrypted: count(TextKind::Tls),
            compressed: count(TextKind::Compressed),
            binary: count(TextKind::Binary),
        }
    }

    /// Messages that are not text.
    pub const fn unreadable(self) -> u64 {
        self.encrypted + self.compressed + self.binary
    }

    /// Whether something was said, and all of it is readable.
    pub const fn is_plaintext(self) -> bool {
        self.readable > 0 && self.unreadable() == 0
    }
}
