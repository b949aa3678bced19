//! Where a message ends: at a newline.
//!
//! TCP delivers octets in order but in pieces of any size: half a line, or
//! three and a half. So whatever arrives is gathered in a buffer, and whole
//! lines are cut out of it here, without touching a socket.

use bytes::BytesMut;

/// Most octets in a line to the server, its end not counted.
pub const MAX_LEN: usize = 8_192;

/// More octets came without an end of line than the given maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an end of line within {0} octets")]
pub struct TooLong(pub usize);

/// Cuts the first whole line off the buffer and returns it without its end,
/// `\n` or `\r\n`; `None` when more octets are needed. The line itself has at most
/// `max_len` octets.
///
/// ```
/// use bytes::BytesMut;
/// use ex4_tcp_hello::line;
/// let mut arrived = BytesMut::from("one\ntw");
/// assert_eq!(line::cut(&mut arrived, 80), Ok(Some(BytesMut::from("one"))));
/// assert_eq!(line::cut(&mut arrived, 80), Ok(None));
/// arrived.extend_from_slice(b"o\n");
/// assert_eq!(line::cut(&mut arrived, 80), Ok(Some(BytesMut::from("two"))));
/// ```
///
/// # Errors
/// The line is too long, whether or not its end has arrived.
pub fn cut(arrived: &mut BytesMut, max_len: usize) -> Result<Option<BytesMut>, TooLong> {
    match arrived.iter().position(|octet| *octet == b'\n') {
        Some(end) => {
            let mut line = arrived.split_to(end + 1);
            line.truncate(end);
            if line.ends_with(b"\r") {
                line.truncate(end - 1);
            }
            if line.len() > max_len {
                return Err(TooLong(max_len));
            }
            Ok(Some(line))
        }
        // One octet more may be the `\r` of `\r\n`.
        None if arrived.len() > max_len + 1 => Err(TooLong(max_len)),
        None => Ok(None),
    }
}

/// What is left once the peer has said it sends no more: a last line without
/// its end, or `None`.
///
/// # Errors
/// The line is too long.
pub fn last(arrived: &mut BytesMut, max_len: usize) -> Result<Option<BytesMut>, TooLong> {
    match arrived.len() {
        0 => Ok(None),
        len if len <= max_len => Ok(Some(arrived.split())),
        _ => Err(TooLong(max_len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(arrived: &[u8], expected: Result<Option<&[u8]>, TooLong>, rest: &[u8]) {
        let mut arrived = BytesMut::from(arrived);
        let line = cut(&mut arrived, MAX_LEN);
        assert_eq!(
            line.as_ref().map(Option::as_deref),
            expected.as_ref().map(|line| *line)
        );
        assert_eq!(arrived, rest);
    }

    #[test]
    fn a_line_ends_at_its_newline() {
        check(b"one\ntwo\n", Ok(Some(b"one")), b"two\n");
        check(b"one\r\ntwo", Ok(Some(b"one")), b"two");
        check(b"\n", Ok(Some(b"")), b"");
        check(b"\r\n", Ok(Some(b"")), b"");
        check(b"a\rb\n", Ok(Some(b"a\rb")), b"");
        check(b"\xff\0\n", Ok(Some(b"\xff\0")), b"");
    }

    #[test]
    fn half_a_line_waits() {
        check(b"", Ok(None), b"");
        check(b"hal", Ok(None), b"hal");
        check(b"hal\r", Ok(None), b"hal\r");
    }

    #[test]
    fn a_line_may_have_just_its_greatest_length() {
        let longest = [b'x'; MAX_LEN];
        check(&[&longest[..], b"\n"].concat(), Ok(Some(&longest)), b"");
        check(&[&longest[..], b"\r\n"].concat(), Ok(Some(&longest)), b"");
        let waiting = [&longest[..], b"\r"].concat();
        check(&waiting, Ok(None), &waiting);
        let over = [b'x'; MAX_LEN + 2];
        check(&over, Err(TooLong(MAX_LEN)), &over);
        check(
            &[&over[..], b"\nnext"].concat(),
            Err(TooLong(MAX_LEN)),
            b"next",
        );
    }

    #[test]
    fn a_last_line_needs_no_newline() {
        let check = |arrived: &[u8], expected: Result<Option<&[u8]>, TooLong>| {
            let line = last(&mut BytesMut::from(arrived), MAX_LEN);
            assert_eq!(
                line.as_ref().map(Option::as_deref),
                expected.as_ref().map(|line| *line)
            );
        };
        check(b"", Ok(None));
        check(b"end", Ok(Some(b"end")));
        check(&[b'x'; MAX_LEN + 1], Err(TooLong(MAX_LEN)));
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces_they_came_in(
            lines in prop::collection::vec("[^\n\r]{0,40}", 0..20),
            piece in 1..50usize,
        ) {
            let sent: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut arrived = BytesMut::new();
            let mut found = Vec::new();
            for piece in sent.as_bytes().chunks(piece) {
                arrived.extend_from_slice(piece);
                while let Some(line) = cut(&mut arrived, MAX_LEN).expect("lines are short") {
                    found.push(String::from_utf8(line.to_vec()).expect("text was sent"));
                }
            }
            prop_assert_eq!(found, lines);
            prop_assert!(arrived.is_empty());
        }
    }
}
