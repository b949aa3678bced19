//! Octets from strangers: what they look like, and how to show them without harm.
//!
//! A capture holds whatever programs sent. Nothing of it may act on the terminal that shows it: control characters,
//! bidirectional overrides and octets that are not text are written as escapes. Text of any script is kept.

use std::borrow::Cow;

/// What a message looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// No octets at all.
    Empty,
    /// Readable text in UTF-8, ASCII included.
    Utf8,
    /// Readable text in UTF-16, the lower octet of each unit first.
    Utf16Le,
    /// Readable text in UTF-16, the higher octet of each unit first.
    Utf16Be,
    /// A TLS record (RFC 8446 §5.1): encrypted, or about to be.
    Tls,
    /// Compressed: gzip, zlib or zstd by their first octets.
    Compressed,
    /// Anything else.
    Binary,
}

impl TextKind {
    /// How many kinds there are.
    pub const COUNT: usize = 7;

    /// The place of this kind in an array with a place for each.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether anybody who captures it can read it.
    pub const fn is_readable(self) -> bool {
        matches!(self, TextKind::Utf8 | TextKind::Utf16Le | TextKind::Utf16Be)
    }
}
