//! Questions about what was handed in as files: the checks of exercises without programs.
//!
//! ```text
//! capture holds handshake|text|only-lab
//! answers agree
//! answer a is=stateless experiment="ex3/restart"
//! because "the explanation, shown with the answer"
//! ```

use super::model::CheckBlock;
use super::parse::{Reader, Result};
use crate::lab;
use crate::paper::answers::Nature;
use kdl::{KdlNode, KdlValue};
use serde::{Deserialize, Serialize};

/// What a check asks of a paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The capture shows something.
    CaptureHolds(Held),
    /// The answers are what the capture shows.
    AnswersAgree,
    /// An answer is right.
    Answer {
        /// Which.
        letter: char,
        /// The right one.
        is: Nature,
        /// The experiment with the student's own programs that shows it.
        experiment: Option<String>,
        /// Why it is right.
        explanation: String,
    },
}

/// What a capture is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The three segments of a handshake with one of the lab's ports.
    Handshake,
    /// Text of both sides.
    Text,
    /// The lab's traffic singled out.
    OnlyLab,
}

impl Reader<'_> {
    /// Reads a question into the check it stands in. Whether the node is one.
    pub(super) fn question(&mut self, node: &KdlNode, block: &mut CheckBlock) -> Result<bool> {
        let asked = match node.name().value() {
            "capture" => match &self.strings(node)?[..] {
                [holds, what] if holds == "holds" => Question::CaptureHolds(match what.as_str() {
                    "handshake" => Held::Handshake,
                    "text" => Held::Text,
                    "only-lab" => Held::OnlyLab,
                    _ => {
                        let help = "write handshake, text or only-lab";
                        return Err(self.at(node, "what is it to hold?", "here", Some(help)));
                    }
                }),
                _ => {
                    let help = "write: capture holds handshake";
                    return Err(self.at(node, "what about the capture?", "here", Some(help)));
                }
            },
            "answers" => {
                if self.one_string(node, "agree")? != "agree" {
                    let help = "write: answers agree";
                    return Err(self.at(node, "what about the answers?", "here", Some(help)));
                }
                Question::AnswersAgree
            }
            "answer" => self.answer(node)?,
            "because" => {
                let why = self.one_string(node, "the explanation")?;
                let Some(Question::Answer { explanation, .. }) = &mut block.question else {
                    let help = "put it below `answer`";
                    return Err(self.at(node, "because of what?", "here", Some(help)));
                };
                *explanation = why;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        if !matches!(asked, Question::Answer { .. }) {
            self.only_props(node, &[])?;
        }
        if block.question.is_some() {
            let help = "give each a check of its own";
            return Err(self.at(node, "a check asks one question", "the second", Some(help)));
        }
        block.question = Some(asked);
        Ok(true)
    }

    fn answer(&self, node: &KdlNode) -> Result<Question> {
        self.only_props(node, &["is", "experiment"])?;
        let letter = self.one_string(node, "a letter")?;
        let letter = match letter.as_str() {
            "a" | "b" | "c" | "d" => letter.chars().next().unwrap_or('a'),
            _ => return Err(self.at(node, "the questions are a, b, c and d", "here", None)),
        };
        let is = match node.get("is") {
            Some(KdlValue::String(word)) if word == "stateless" => Nature::Stateless,
            Some(KdlValue::String(word)) if word == "stateful" => Nature::Stateful,
            _ => {
                let help = "add is=stateless or is=stateful";
                return Err(self.at(node, "which answer is right?", "here", Some(help)));
            }
        };
        let experiment = match node.get("experiment") {
            None => None,
            Some(KdlValue::String(id)) if lab::EXPERIMENTS.contains(&id.as_str()) => {
                Some(id.clone())
            }
            Some(_) => {
                let help = format!("known: {}", lab::EXPERIMENTS.join(", "));
                return Err(self.at(node, "no such experiment", "here", Some(&help)));
            }
        };
        Ok(Question::Answer {
            letter,
            is,
            experiment,
            explanation: String::new(),
        })
    }
}
