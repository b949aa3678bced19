//! Reads the values of a KDL node, and says what is wrong with them.

use super::model::Place;
use super::parse::{Reader, Result};
use crate::diagnostic::Mistake;
use crate::lab;
use kdl::{KdlNode, KdlValue};
use miette::SourceSpan;
use std::time::Duration;

/// For how long something expected may take to appear, when the file does not say.
pub(super) const DEFAULT_WAIT: Duration = Duration::from_secs(6);

impl Reader<'_> {
    pub(super) fn place(&self, span: SourceSpan) -> Place {
        let (line, column) = self.source.position(span.offset());
        Place { line, column }
    }

    pub(super) fn within(&self, node: &KdlNode) -> Result<Duration> {
        Ok(self
            .number(node, "within")?
            .map_or(DEFAULT_WAIT, |seconds| Duration::from_secs(seconds as u64)))
    }

    /// A whole number from 1 to 600 given as a property.
    pub(super) fn number(&self, node: &KdlNode, prop: &str) -> Result<Option<usize>> {
        match node.get(prop) {
            None => Ok(None),
            Some(value) => value
                .as_integer()
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=600).contains(number))
                .map(Some)
                .ok_or_else(|| {
                    self.at(
                        node,
                        format!("{prop} is a whole number from 1 to 600"),
                        "here",
                        None,
                    )
                }),
        }
    }

    /// A property that is `#true` or `#false`; false when it is not there.
    pub(super) fn flag(&self, node: &KdlNode, prop: &str) -> Result<bool> {
        match node.get(prop) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.at(node, format!("{prop} is #true or #false"), "here", None)),
        }
    }

    pub(super) fn strings(&self, node: &KdlNode) -> Result<Vec<String>> {
        node.entries()
            .iter()
            .filter(|entry| entry.name().is_none())
            .map(|entry| match entry.value() {
                KdlValue::String(text) => Ok(text.clone()),
                _ => Err(self.source.mistake(
                    entry.span(),
                    "a word or a quoted text is expected",
                    "here",
                    None,
                )),
            })
            .collect()
    }

    pub(super) fn one_string(&self, node: &KdlNode, what: &str) -> Result<String> {
        match &self.strings(node)?[..] {
            [text] => Ok(text.clone()),
            _ => Err(self.at(
                node,
                format!("`{}` has one value: {what}", node.name().value()),
                "here",
                None,
            )),
        }
    }

    pub(super) fn only_props(&self, node: &KdlNode, allowed: &[&str]) -> Result<()> {
        for entry in node.entries() {
            let Some(name) = entry.name() else { continue };
            if !allowed.contains(&name.value()) {
                let help = match lab::nearest(name.value(), allowed.iter().copied()) {
                    Some(near) => Some(format!("did you mean `{near}`?")),
                    None if allowed.is_empty() => Some("nothing with = belongs here".to_owned()),
                    None => Some(format!("known here: {}", allowed.join(", "))),
                };
                return Err(self.source.mistake(
                    entry.span(),
                    format!("`{}` means nothing here", name.value()),
                    "unknown property",
                    help,
                ));
            }
        }
        Ok(())
    }

    pub(super) fn unknown(&self, node: &KdlNode, what: &str, known: &[&str]) -> Box<Mistake> {
        let name = node.name().value();
        let help = match lab::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.at(
            node,
            format!("`{name}` is no {what}"),
            "unknown",
            Some(&help),
        )
    }

    pub(super) fn at(
        &self,
        node: &KdlNode,
        message: impl Into<String>,
        label: &str,
        help: Option<&str>,
    ) -> Box<Mistake> {
        self.source
            .mistake(node.name().span(), message, label, help.map(str::to_owned))
    }
}
