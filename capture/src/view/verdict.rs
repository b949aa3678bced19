//! One line about a whole conversation: what the lab asks of it.

use super::Style;
use super::line::{push_address, push_count, push_number};
use crate::conversation::{Close, Conversation, Handshake, Role, Tally, Visibility};
use crate::decode::{Transport, UnreachableReason};
use std::borrow::Cow;

/// Between the parts.
const DOT: &[u8] = " · ".as_bytes();

/// `handshake complete · 5 messages · plaintext readable · closed by the client`.
pub(super) fn push_verdict(out: &mut Vec<u8>, style: &Style, conversation: &Conversation) {
    push_handshake(out, conversation);
    let messages = conversation.messages();
    if messages > 0 || is_open(conversation) {
        out.extend_from_slice(DOT);
        push_count(out, messages, "message");
    }
    if let Some(words) = plaintext(conversation) {
        out.extend_from_slice(DOT);
        out.extend_from_slice(words.as_bytes());
    }
    match conversation.transport {
        Transport::Tcp if is_open(conversation) => {
            out.extend_from_slice(DOT);
            push_close(out, style, conversation);
        }
        Transport::Tcp => {}
        Transport::Udp => {
            out.extend_from_slice(DOT);
            push_answers(out, conversation);
        }
    }
    push_troubles(out, conversation);
}

/// Whether all is as it should be: opened properly, answered, not cut off, nothing missing.
pub(super) fn is_good(conversation: &Conversation) -> bool {
    let opened = matches!(
        conversation.handshake,
        Handshake::Complete | Handshake::None
    );
    opened
        && conversation.unreachable.is_none()
        && !matches!(conversation.close, Close::Reset { .. })
        && conversation.exchanges.answered == conversation.exchanges.requests
        && conversation.sent.iter().all(|sent| sent.missing == 0)
}

/// Whether the conversation came about at all.
fn is_open(conversation: &Conversation) -> bool {
    !matches!(
        conversation.handshake,
        Handshake::Unanswered | Handshake::Refused
    ) && conversation.unreachable.is_none()
}

/// How far the handshake got.
fn push_handshake(out: &mut Vec<u8>, conversation: &Conversation) {
    if let Some(reason) = conversation.unreachable {
        out.extend_from_slice(unreachable(conversation, reason).as_bytes());
        return;
    }
    out.extend_from_slice(match conversation.handshake {
        Handshake::None => b"no handshake: UDP has none",
        Handshake::NotSeen => b"handshake not captured: the capture began later",
        Handshake::Unanswered => b"no answer to the SYN from ",
        Handshake::Refused => b"refused: nobody listens on tcp ",
        Handshake::Half => b"handshake not complete: the third segment is missing",
        Handshake::Complete => b"handshake complete",
    });
    match conversation.handshake {
        Handshake::Unanswered => {
            push_address(out, conversation.server);
            let again = conversation.tally(Role::Client).retransmissions;
            if again > 0 {
                out.extend_from_slice(b", sent ");
                push_count(out, again + 1, "time");
            }
        }
        Handshake::Refused => push_address(out, conversation.server),
        _ => {}
    }
}

/// What an ICMP message means, in words.
pub(super) fn unreachable(conversation: &Conversation, reason: UnreachableReason) -> String {
    let proto = match conversation.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    let server = conversation.server;
    match reason {
        UnreachableReason::Port => format!("nobody listens on {proto} {server}"),
        UnreachableReason::Host => format!("the computer {} does not answer", server.ip()),
        UnreachableReason::Network => format!("there is no way to {}", server.ip()),
        UnreachableReason::Prohibited => format!("a filter forbids {proto} {server}"),
        UnreachableReason::Other(code) => {
            format!("{proto} {server} cannot be reached (ICMP code {code})")
        }
    }
}

/// Whether what was said can be read by anybody who captures it; nothing where nothing was said.
pub(super) fn plaintext(conversation: &Conversation) -> Option<Cow<'static, str>> {
    let seen = Visibility::of(conversation);
    let all = seen.readable + seen.unreadable();
    if all == 0 {
        return None;
    }
    Some(if seen.is_plaintext() {
        "plaintext readable".into()
    } else if seen.encrypted * 2 > all {
        "encrypted with TLS: not readable".into()
    } else if seen.readable > 0 {
        format!("plaintext readable in {} of {all} messages", seen.readable).into()
    } else if seen.compressed > 0 {
        "compressed: not readable as it is".into()
    } else {
        "binary: not readable as text".into()
    })
}

/// How the connection ended.
fn push_close(out: &mut Vec<u8>, style: &Style, conversation: &Conversation) {
    let (words, role, rest): (&[u8], _, &[u8]) = match conversation.close {
        Close::Open => {
            out.extend_from_slice(b"not closed");
            return;
        }
        Close::Half { by } => (b"closed by ", by, b" only"),
        Close::Both { first } => (b"closed by ", first, b""),
        Close::Reset { by } => (b"reset by ", by, b""),
    };
    out.extend_from_slice(words);
    let name = style.names.of(conversation, role);
    if name == role.name() {
        out.extend_from_slice(b"the ");
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(rest);
}

fn push_answers(out: &mut Vec<u8>, conversation: &Conversation) {
    let exchanges = conversation.exchanges;
    let open = exchanges.requests - exchanges.answered.min(exchanges.requests);
    match (exchanges.requests, open) {
        (0, _) => out.extend_from_slice(b"no request"),
        (1, 0) => out.extend_from_slice(b"answered"),
        (1, _) => out.extend_from_slice(b"not answered"),
        (_, 0) => out.extend_from_slice(b"all answered"),
        (requests, open) => {
            push_number(out, open);
            out.extend_from_slice(b" of ");
            push_number(out, requests);
            out.extend_from_slice(b" not answered");
        }
    }
}

/// What went wrong on the way.
fn push_troubles(out: &mut Vec<u8>, conversation: &Conversation) {
    let sum = |of: fn(&Tally) -> u64| conversation.sent.iter().map(of).sum();
    let retransmissions = if is_open(conversation) {
        sum(|tally| tally.retransmissions)
    } else {
        // They are in the first part already.
        0
    };
    for (number, thing, rest) in [
        (retransmissions, "retransmission", ""),
        (sum(|tally| tally.out_of_order), "segment", " out of order"),
        (sum(|tally| tally.missing), "octet", " missing"),
    ] {
        if number > 0 {
            out.extend_from_slice(DOT);
            push_count(out, number, thing);
            out.extend_from_slice(rest.as_bytes());
        }
    }
}
