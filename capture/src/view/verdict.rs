//! One line about a whole conversation: what the lab asks of it.

use super::Style;
use crate::conversation::{Close, Conversation, Handshake, Role, Visibility};
use crate::decode::{Transport, UnreachableReason};
use std::fmt::Write as _;

/// `handshake complete · 5 messages · plaintext readable · closed by the client`, and whether all is as it should be.
pub(super) fn verdict(style: &Style, conversation: &Conversation) -> (bool, String) {
    let mut parts = vec![handshake(conversation)];
    let messages = conversation.messages();
    if messages > 0 || is_open(conversation) {
        parts.push(count(messages, "message"));
    }
    parts.extend(plaintext(conversation));
    if conversation.transport == Transport::Tcp && is_open(conversation) {
        parts.push(close(style, conversation));
    }
    if conversation.transport == Transport::Udp {
        parts.push(answers(conversation));
    }
    parts.extend(troubles(conversation));
    (is_good(conversation), parts.join(" · "))
}

/// Whether the conversation came about at all.
fn is_open(conversation: &Conversation) -> bool {
    !matches!(
        conversation.handshake,
        Handshake::Unanswered | Handshake::Refused
    ) && conversation.unreachable.is_none()
}

fn is_good(conversation: &Conversation) -> bool {
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

/// How far the handshake got, in words.
pub(super) fn handshake(conversation: &Conversation) -> String {
    if let Some(reason) = conversation.unreachable {
        return unreachable(conversation, reason);
    }
    match conversation.handshake {
        Handshake::None => "no handshake: UDP has none".to_owned(),
        Handshake::NotSeen => "handshake not captured: the capture began later".to_owned(),
        Handshake::Unanswered => {
            let again = conversation.tally(Role::Client).retransmissions;
            let mut text = format!("no answer to the SYN from {}", conversation.server);
            if again > 0 {
                let _ = write!(text, ", sent {} times", again + 1);
            }
            text
        }
        Handshake::Refused => format!("refused: nobody listens on tcp {}", conversation.server),
        Handshake::Half => "handshake not complete: the third segment is missing".to_owned(),
        Handshake::Complete => "handshake complete".to_owned(),
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
pub(super) fn plaintext(conversation: &Conversation) -> Option<String> {
    let seen = Visibility::of(conversation);
    let all = seen.readable + seen.unreadable();
    if all == 0 {
        return None;
    }
    Some(if seen.is_plaintext() {
        "plaintext readable".to_owned()
    } else if seen.encrypted * 2 > all {
        "encrypted with TLS: not readable".to_owned()
    } else if seen.readable > 0 {
        format!("plaintext readable in {} of {all} messages", seen.readable)
    } else if seen.compressed > 0 {
        "compressed: not readable as it is".to_owned()
    } else {
        "binary: not readable as text".to_owned()
    })
}

/// How the connection ended, in words.
pub(super) fn close(style: &Style, conversation: &Conversation) -> String {
    let name = |role| style.names.of(conversation, role);
    match conversation.close {
        Close::Open => "not closed".to_owned(),
        Close::Half { by } => format!("closed by the {} only", name(by)),
        Close::Both { first } => format!("closed by the {}", name(first)),
        Close::Reset { by } => format!("reset by the {}", name(by)),
    }
}

fn answers(conversation: &Conversation) -> String {
    let exchanges = conversation.exchanges;
    let open = exchanges.requests - exchanges.answered.min(exchanges.requests);
    match (exchanges.requests, open) {
        (0, _) => "no request".to_owned(),
        (1, 0) => "answered".to_owned(),
        (1, _) => "not answered".to_owned(),
        (_, 0) => "all answered".to_owned(),
        (requests, open) => format!("{open} of {requests} not answered"),
    }
}

/// What went wrong on the way.
fn troubles(conversation: &Conversation) -> Vec<String> {
    let sum = |of: fn(&crate::conversation::Tally) -> u64| conversation.sent.iter().map(of).sum();
    let counts: [(u64, &str); 3] = [
        (
            if is_open(conversation) {
                sum(|tally| tally.retransmissions)
            } else {
                0
            },
            "retransmission",
        ),
        (sum(|tally| tally.out_of_order), "segment out of order"),
        (sum(|tally| tally.missing), "octet missing"),
    ];
    let some = counts.into_iter().filter(|&(number, _)| number > 0);
    some.map(|(number, thing)| match thing {
        "segment out of order" if number > 1 => format!("{number} segments out of order"),
        "octet missing" if number > 1 => format!("{number} octets missing"),
        thing => count(number, thing),
    })
    .collect()
}

/// A number of things in words.
pub(super) fn count(number: u64, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}
