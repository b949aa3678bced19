//! Directions about bad networks: how they are read. What they are is in [`crate::fault`].

use super::model::{Action, Need};
use super::parse::{Reader, Result};
use crate::fault::{Fault, Nth, Way};
use crate::lab;
use kdl::{KdlNode, KdlValue};
use std::time::Duration;

const HELP: &str = "fault drop reply=2, fault duplicate request=1, fault reorder request=\"1..3\", fault delay reply=1 by=0.5, \
fault delay by=0.1, fault split, fault coalesce, fault reset after=0, fault none, fault happens";

const WORDS: [&str; 9] = [
    "drop",
    "duplicate",
    "reorder",
    "delay",
    "split",
    "coalesce",
    "reset",
    "none",
    "happens",
];

/// The longest delay (s): what waits longer takes it for a loss.
const LONGEST_DELAY: f64 = 10.0;

impl Reader<'_> {
    /// `fault …`: see [`HELP`].
    pub(super) fn fault(&mut self, node: &KdlNode) -> Result<()> {
        let word = self.one_string(node, "what happens on the wire")?;
        let fault = match word.as_str() {
            "drop" | "duplicate" | "reorder" => {
                self.only_props(node, &["request", "reply"])?;
                let Some((way, nth)) = self.nth(node)? else {
                    return Err(self.at(node, "which datagram?", "here", Some(HELP)));
                };
                match word.as_str() {
                    "drop" => Fault::Drop { way, nth },
                    "duplicate" => Fault::Duplicate { way, nth },
                    _ => Fault::Reorder { way, nth },
                }
            }
            "delay" => {
                self.only_props(node, &["request", "reply", "by"])?;
                let by = self.seconds(node)?;
                match self.nth(node)? {
                    Some((way, nth)) => Fault::DelayOne { way, nth, by },
                    None => Fault::Delay { by },
                }
            }
            "reset" => {
                self.only_props(node, &["after"])?;
                let after = match node.get("after") {
                    Some(KdlValue::Integer(after)) => u64::try_from(*after).ok(),
                    _ => None,
                };
                let help = "fault reset after=0 cuts off before the next octet";
                let after = after
                    .ok_or_else(|| self.at(node, "after how many octets?", "here", Some(help)))?;
                Fault::Reset { after }
            }
            "happens" => {
                self.only_props(node, &["within"])?;
                let within = self.within(node)?;
                self.push(node, Action::FaultHappens { within });
                return Ok(());
            }
            "split" | "coalesce" | "none" => {
                self.only_props(node, &[])?;
                match word.as_str() {
                    "split" => Fault::Split,
                    "coalesce" => Fault::Coalesce,
                    _ => Fault::Nothing,
                }
            }
            _ => {
                let help = match lab::nearest(&word, WORDS) {
                    Some(near) => format!("did you mean `{near}`? {HELP}"),
                    None => HELP.to_owned(),
                };
                return Err(self.at(node, "what happens on the wire?", "here", Some(&help)));
            }
        };
        if !self.needs.contains(&Need::Faults) {
            self.needs.push(Need::Faults);
        }
        self.push(node, Action::Fault(fault));
        Ok(())
    }

    /// `reply=2`, `request="1..4"`.
    fn nth(&self, node: &KdlNode) -> Result<Option<(Way, Nth)>> {
        let (way, value) = match (node.get("request"), node.get("reply")) {
            (None, None) => return Ok(None),
            (Some(value), None) => (Way::Request, value),
            (None, Some(value)) => (Way::Reply, value),
            (Some(_), Some(_)) => {
                return Err(self.at(node, "one datagram at a time", "here", Some(HELP)));
            }
        };
        let number = |number: i128| u32::try_from(number).ok();
        let range = match value {
            KdlValue::Integer(nth) => number(*nth).map(|nth| (nth, nth)),
            KdlValue::String(range) => range
                .split_once("..")
                .and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?))),
            _ => None,
        };
        let fits =
            |(least, most): &(u32, u32)| (1..=600).contains(least) && (*least..=600).contains(most);
        match range.filter(fits) {
            Some((least, most)) => Ok(Some((way, Nth { least, most }))),
            None => Err(self.at(
                node,
                format!("{way} is a number from 1 to 600, or two of them"),
                "here",
                Some("reply=2, or reply=\"2..5\", of which the seed chooses one"),
            )),
        }
    }

    /// `by=0.5`.
    fn seconds(&self, node: &KdlNode) -> Result<Duration> {
        let seconds = match node.get("by") {
            #[expect(clippy::cast_precision_loss, reason = "a delay is less than a minute")]
            Some(KdlValue::Integer(seconds)) => *seconds as f64,
            Some(KdlValue::Float(seconds)) => *seconds,
            _ => 0.0,
        };
        if seconds > 0.0 && seconds <= LONGEST_DELAY {
            return Ok(Duration::from_secs_f64(seconds));
        }
        Err(self.at(
            node,
            format!("by is a number of seconds up to {LONGEST_DELAY}"),
            "here",
            Some("fault delay reply=1 by=0.5"),
        ))
    }
}
