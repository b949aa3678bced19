//! Errors in files that people write: the place, what is wrong there, and what to write instead.

use miette::{Diagnostic, NamedSource, SourceSpan};
use std::path::Path;
use thiserror::Error;

/// A mistake at a place of a file.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
pub struct Mistake {
    message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("{label}")]
    span: SourceSpan,
    label: String,
    #[help]
    help: Option<String>,
}

/// A file's name and text: what a [`Mistake`] is reported against.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown to people.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not UTF-8; the message names the path.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            std::io::Error::new(
                error.kind(),
                format!("cannot read {}: {error}", path.display()),
            )
        })?;
        Ok(Source {
            name: path.display().to_string(),
            text,
        })
    }

    /// A mistake at `span` (octets of the text).
    pub fn mistake(
        &self,
        span: impl Into<SourceSpan>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> Box<Mistake> {
        let message = message.into();
        let span = span.into();
        let (line, column) = self.position(span.offset());
        Box::new(Mistake {
            message: format!("{}:{line}:{column}: {message}", self.name),
            source_code: NamedSource::new(&self.name, self.text.clone()),
            span,
            label: label.into(),
            help: help.into(),
        })
    }

    /// Line and column (from 1, in characters) of an octet offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}
