//! Captures from an interface.
