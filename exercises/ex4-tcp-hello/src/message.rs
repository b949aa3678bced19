//! What is said: the greeting, the answer to it, and the goodbye.
//!
//! Pure functions of octets. Lines come here without their end; the answer
//! has one, ready to send.

use bytes::{BufMut, BytesMut};

use crate::line;

/// What the client says unless told otherwise.
pub const GREETING: &str = "Hi from client!";

/// How every answer begins.
pub const ANSWER: &str = "Hi from server!";

/// What stands before the repeated line.
const REPEATED: &str = " You said: ";

/// Most octets in an answer, its newline not counted.
pub const MAX_ANSWER_LEN: usize = ANSWER.len() + REPEATED.len() + line::MAX_LEN;

/// What every connected client hears when the server ends.
pub const GOODBYE: &str = "Goodbye: the server is stopping.";

/// Appends the answer to a line, with its newline.
///
/// ```
/// use bytes::BytesMut;
/// use ex4_tcp_hello::message::reply;
/// let mut out = BytesMut::new();
/// reply(b"Good morning", &mut out);
/// assert_eq!(out, "Hi from server! You said: Good morning\n");
/// ```
pub fn reply(line: &[u8], out: &mut BytesMut) {
    out.put_slice(ANSWER.as_bytes());
    if line.is_empty() {
        out.put_slice(b" You said nothing.\n");
    } else {
        out.put_slice(REPEATED.as_bytes());
        out.put_slice(line);
        out.put_u8(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[u8], expected: &[u8]) {
        let mut out = BytesMut::new();
        reply(line, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn a_line_is_repeated_octet_for_octet() {
        check(b"a", b"Hi from server! You said: a\n");
        check(b"\xff\x1b", b"Hi from server! You said: \xff\x1b\n");
        check(b"", b"Hi from server! You said nothing.\n");
    }
}
