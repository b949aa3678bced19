//! Reads capture files.
