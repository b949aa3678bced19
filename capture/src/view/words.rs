//! Words for what became of a conversation, the same in every view.

use super::Style;
use super::line::{push_count, push_number};
use crate::conversation::{Close, Conversation, Handshake, Role};
use crate::decode::{Transport, UnreachableReason};
use crate::text::TextKind;

/// What became of the handshake, in a word or two.
pub(super) fn handshake(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::None => "none",
        Handshake::NotSeen => "not seen",
        Handshake::Unanswered => "unanswered",
        Handshake::Refused => "refused",
        Handshake::Half => "incomplete",
        Handshake::Complete => "complete",
    }
}

/// `TCP` or `UDP`.
pub(super) const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    }
}

/// `the client`, or the name that the user gave it.
pub(super) fn push_part(out: &mut Vec<u8>, style: &Style, conversation: &Conversation, role: Role) {
    let name = style.names.of(conversation, role);
    if name == role.name() {
        out.extend_from_slice(b"the ");
    }
    out.extend_from_slice(name.as_bytes());
}

/// How a connection ended, and through whom.
pub(super) fn push_close(out: &mut Vec<u8>, style: &Style, conversation: &Conversation) {
    let (words, role) = match conversation.close {
        Close::Open => {
            out.extend_from_slice(b"not closed");
            return;
        }
        Close::Half { by } => ("half closed by ", by),
        Close::Both { first } => ("closed by ", first),
        Close::Reset { by } => ("reset by ", by),
    };
    out.extend_from_slice(words.as_bytes());
    push_part(out, style, conversation, role);
}

/// Why something could not be delivered.
pub(super) fn unreachable(reason: UnreachableReason) -> &'static str {
    match reason {
        UnreachableReason::Port => "port unreachable",
        UnreachableReason::Host => "host unreachable",
        UnreachableReason::Network => "network unreachable",
        UnreachableReason::Prohibited => "prohibited by a filter",
        UnreachableReason::Other(_) => "unreachable",
    }
}

/// What became of a whole conversation, on one line: `handshake complete · closed by the client`.
pub(super) fn push_fate(out: &mut Vec<u8>, style: &Style, conversation: &Conversation) {
    match conversation.transport {
        Transport::Tcp => {
            out.extend_from_slice(b"handshake ");
            out.extend_from_slice(handshake(conversation.handshake).as_bytes());
            if !matches!(
                conversation.handshake,
                Handshake::Refused | Handshake::Unanswered
            ) {
                out.extend_from_slice(" · ".as_bytes());
                push_close(out, style, conversation);
            }
        }
        Transport::Udp => {
            let exchanges = conversation.exchanges;
            push_count(out, exchanges.requests, "request");
            out.extend_from_slice(b", ");
            push_number(out, exchanges.answered);
            out.extend_from_slice(b" answered");
        }
    }
    if let Some(reason) = conversation.unreachable {
        out.extend_from_slice(" · ".as_bytes());
        out.extend_from_slice(unreachable(reason).as_bytes());
    }
}

/// Whether what was said can be read by anybody who captures it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Visibility {
    /// Messages of readable text.
    pub(crate) readable: u64,
    /// TLS records.
    pub(crate) encrypted: u64,
    /// Compressed ones.
    pub(crate) compressed: u64,
    /// Any other octets.
    pub(crate) binary: u64,
}

impl Visibility {
    /// What was said by both sides.
    pub(crate) fn of(conversation: &Conversation) -> Self {
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
    pub(crate) const fn unreadable(self) -> u64 {
        self.encrypted + self.compressed + self.binary
    }

    /// Whether something was said, and all of it is readable.
    pub(crate) const fn is_plaintext(self) -> bool {
        self.readable > 0 && self.unreadable() == 0
    }
}
