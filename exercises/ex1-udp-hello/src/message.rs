//! What is said: the greeting and the answer to it.
//!
//! Pure functions of octets. A UDP datagram is a message by itself, so there
//! is no framing here: no newline, no length (compare the TCP hello).

/// What the client says unless told otherwise.
pub const GREETING: &str = "Hi from client!";

/// How every answer begins.
pub const ANSWER: &str = "Hi from server!";

/// Most octets one UDP datagram over IPv4 carries: 65,535 less 20 of IP and 8
/// of UDP header (RFC 791 §3.1, RFC 768).
pub const MAX_PAYLOAD_LEN: usize = 65_507;

/// Longest message the answer repeats. With it an answer fits into one
/// Ethernet frame: no fragments, and never too large to send.
pub const MAX_REPEATED_LEN: usize = 1_000;

/// The answer to a message, or `None` for a message that is itself an answer.
///
/// Were answers answered, one datagram with a forged source address could set
/// two servers talking to each other for ever (RFC 8085 §6).
///
/// ```
/// use ex1_udp_hello::message::reply;
/// assert_eq!(
///     reply(b"Good morning").as_deref(),
///     Some(b"Hi from server! You said: Good morning".as_slice())
/// );
/// ```
pub fn reply(message: &[u8]) -> Option<Vec<u8>> {
    if message.starts_with(ANSWER.as_bytes()) {
        return None;
    }
    Some(match message.len() {
        0 => format!("{ANSWER} You said nothing.").into_bytes(),
        1..=MAX_REPEATED_LEN => [ANSWER.as_bytes(), b" You said: ", message].concat(),
        len => format!("{ANSWER} You said {len} octets.").into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(message: &[u8], expected: &[u8]) {
        assert_eq!(
            reply(message).as_deref(),
            Some(expected),
            "{}",
            String::from_utf8_lossy(message)
        );
    }

    #[test]
    fn a_message_is_repeated() {
        check(b"a", b"Hi from server! You said: a");
        check(b"\xff\0\n", b"Hi from server! You said: \xff\0\n");
    }

    #[test]
    fn an_empty_and_a_huge_message_are_described() {
        check(b"", b"Hi from server! You said nothing.");
        check(&[b'x'; 60_000], b"Hi from server! You said 60000 octets.");
    }

    #[test]
    fn an_answer_is_not_answered() {
        let answer = reply(b"a").expect("a message has an answer");
        assert_eq!(reply(&answer), None);
    }

    proptest! {
        #[test]
        fn every_answer_fits_one_frame_and_ends_the_talk(message: Vec<u8>, times in 0..700usize) {
            if let Some(answer) = reply(&message.repeat(times)) {
                prop_assert!(answer.len() <= 1_400);
                prop_assert_eq!(reply(&answer), None);
            }
        }
    }
}
