//! Reads a scenario file (KDL 2) and says exactly where it is wrong.
//!
//! Everything is settled here: names of actors, ids of checks, verbs and their properties, placeholders, and
//! group directions, which become one step per actor. A scenario that was read can be played.

use super::model::{CheckBlock, Need, Scenario, Step};
use crate::diagnostic::{Mistake, Source};
use crate::event::Actor;
use crate::lab::{self, Exercise, Kind};
use kdl::{KdlDocument, KdlNode, KdlValue};

pub(super) type Result<T> = std::result::Result<T, Box<Mistake>>;

/// Reads every scenario of a file.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse(source: &Source) -> Result<Vec<Scenario>> {
    let document: KdlDocument =
        KdlDocument::parse(&source.text).map_err(|error| syntax_error(source, &error))?;
    document
        .nodes()
        .iter()
        .map(|node| Reader::new(source).scenario(node))
        .collect()
}

fn syntax_error(source: &Source, error: &kdl::KdlError) -> Box<Mistake> {
    let Some(first) = error.diagnostics.first() else {
        return source.mistake((0, 0), "this is not KDL", "here", None);
    };
    source.mistake(
        first.span,
        first
            .message
            .clone()
            .unwrap_or_else(|| "this is not KDL".to_owned()),
        first.label.clone().unwrap_or_else(|| "here".to_owned()),
        first.help.clone().or(Some(
            "scenario files are KDL 2: a word, then values, then `{ … }`".to_owned(),
        )),
    )
}

/// Reads one scenario, remembering who is on stage.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    pub(super) steps: Vec<Step>,
    pub(super) checks: Vec<CheckBlock>,
    /// Clients in the order they were started.
    pub(super) clients: Vec<Actor>,
    /// Whether the server was started.
    pub(super) has_server: bool,
    /// Clients that left, died or quit.
    pub(super) gone: Vec<Actor>,
    /// Who did the last thing; the one that "others" are other than.
    pub(super) last_actor: Option<Actor>,
    pub(super) check: Option<usize>,
    /// What the machine must offer.
    pub(super) needs: Vec<Need>,
    /// Whether that check looks at the wire.
    pub(super) wire_check: bool,
}

impl<'s> Reader<'s> {
    fn new(source: &'s Source) -> Self {
        Reader {
            source,
            steps: Vec::new(),
            checks: Vec::new(),
            clients: Vec::new(),
            has_server: false,
            gone: Vec::new(),
            last_actor: None,
            check: None,
            needs: Vec::new(),
            wire_check: false,
        }
    }

    fn scenario(mut self, node: &KdlNode) -> Result<Scenario> {
        if node.name().value() != "scenario" {
            return Err(self.unknown(node, "statement", &["scenario"]));
        }
        let name = self.one_string(node, "the scenario's name")?;
        // It names a folder of evidence.
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        {
            return Err(self.at(
                node,
                format!("`{name}` cannot be a scenario's name"),
                "here",
                Some("use small letters, digits and hyphens"),
            ));
        }
        let exercise: Exercise = match node.get("exercise") {
            Some(KdlValue::String(id)) => id
                .parse()
                .map_err(|message: String| self.at(node, message, "unknown exercise", None))?,
            _ => {
                return Err(self.at(
                    node,
                    "a scenario says which exercise it is for",
                    "here",
                    Some("add exercise=ex6"),
                ));
            }
        };
        self.only_props(node, &["exercise", "concurrent"])?;
        let concurrent = self.flag(node, "concurrent")?;
        let Some(children) = node.children() else {
            return Err(self.at(
                node,
                "a scenario has directions between braces",
                "this one is empty",
                None,
            ));
        };
        for child in children.nodes() {
            match child.name().value() {
                "needs" => match self
                    .one_string(child, "what the machine must offer")?
                    .as_str()
                {
                    "netns" => self.needs.push(Need::Netns),
                    "capture" => self.needs.push(Need::Capture),
                    "two-hosts" => self.needs.push(Need::TwoHosts),
                    other => {
                        return Err(self.at(
                            child,
                            format!("`{other}` is nothing a machine can offer"),
                            "here",
                            Some("write netns, capture or two-hosts"),
                        ));
                    }
                },
                "check" | "advice" | "experiment" => self.check_block(child, exercise)?,
                _ => self.step(child)?,
            }
        }
        if self.checks.is_empty() {
            return Err(self.at(
                node,
                "a scenario without a check proves nothing",
                "here",
                Some("add a check block"),
            ));
        }
        Ok(Scenario {
            name,
            exercise,
            file: self.source.name.clone(),
            needs: self.needs,
            concurrent,
            steps: self.steps,
            checks: self.checks,
        })
    }

    fn check_block(&mut self, node: &KdlNode, exercise: Exercise) -> Result<()> {
        let ids = self.strings(node)?;
        let [id, title] = &ids[..] else {
            return Err(self.at(
                node,
                "a check has an id and a title",
                "here",
                Some("check \"ex6/arithmetic\" \"The server computes\" points=2 { … }"),
            ));
        };
        let (known, kind): (Vec<&str>, Option<Kind>) = match node.name().value() {
            "advice" => {
                let known = lab::ADVICE.contains(&id.as_str());
                (lab::ADVICE.to_vec(), known.then_some(Kind::Advice))
            }
            "experiment" => {
                let known = lab::EXPERIMENTS.contains(&id.as_str());
                (lab::EXPERIMENTS.to_vec(), known.then_some(Kind::Experiment))
            }
            _ => (
                lab::CHECKS.iter().map(|(id, _)| *id).collect(),
                lab::find_check(id).map(|(_, kind)| kind),
            ),
        };
        let has_no_points = matches!(kind, Some(Kind::Advice | Kind::Experiment));
        let Some(kind) = kind else {
            let help = lab::nearest(id, known).map_or(
                "`harness list` shows all ids; they are fixed".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(self.at(
                node,
                format!("the lab has no {} `{id}`", node.name().value()),
                "unknown check",
                Some(&help),
            ));
        };
        if self.checks.iter().any(|check| check.id == *id) {
            return Err(self.at(
                node,
                format!("the check `{id}` stands here twice"),
                "the second",
                None,
            ));
        }
        let points = match node.get("points") {
            None => 0.0,
            Some(KdlValue::Integer(points)) => i32::try_from(*points).map_or(-1.0, f64::from),
            Some(KdlValue::Float(points)) => *points,
            Some(_) => -1.0,
        };
        if !(0.0..=100.0).contains(&points) {
            return Err(self.at(node, "points are a number from 0 to 100", "here", None));
        }
        self.only_props(node, if has_no_points { &[] } else { &["points"] })?;
        self.check = Some(self.checks.len());
        self.wire_check = false;
        let mut block = CheckBlock {
            id: id.clone(),
            title: title.clone(),
            kind,
            points,
            sheet: String::new(),
            hints: Vec::new(),
            matters: String::new(),
            question: None,
            wire: false,
            needs: Vec::new(),
            explained_by: Vec::new(),
            place: self.place(node.name().span()),
        };
        let steps_before = self.steps.len();
        for child in node.children().map(KdlDocument::nodes).unwrap_or_default() {
            match child.name().value() {
                "sheet" => block.sheet = self.one_string(child, "the sentence of the sheet")?,
                "hint" => block.hints.push(self.one_string(child, "the hint")?),
                "matters" => {
                    block.matters = self.one_string(child, "why this matters")?;
                }
                word @ ("needs" | "explained-by") => {
                    let id = self.one_string(child, "the id of a check, or capture")?;
                    if word == "needs" && id == "capture" {
                        block.wire = true;
                        self.wire_check = true;
                        continue;
                    }
                    if lab::find_check(&id).is_none() {
                        let near = lab::nearest(&id, lab::CHECKS.iter().map(|(id, _)| *id));
                        let help = near.map_or(
                            "`harness list` shows all ids; they are fixed".to_owned(),
                            |near| format!("did you mean `{near}`?"),
                        );
                        return Err(self.at(
                            child,
                            format!("the lab has no check `{id}`"),
                            "unknown check",
                            Some(&help),
                        ));
                    }
                    let list = if word == "needs" {
                        &mut block.needs
                    } else {
                        &mut block.explained_by
                    };
                    list.push(id);
                }
                "check" | "advice" | "experiment" => {
                    return Err(self.at(child, "a check cannot stand in a check", "here", None));
                }
                _ if self.question(child, &mut block)? => {}
                _ => self.step(child)?,
            }
        }
        let has_programs = exercise.endpoint().is_some();
        if has_programs && block.question.is_some() {
            return Err(self.at(
                node,
                format!("{exercise} is answered with programs, not with files"),
                "here",
                Some("questions belong into scenarios of ex5 and ex7"),
            ));
        }
        if !has_programs && (block.question.is_none() || !self.steps.is_empty()) {
            return Err(self.at(
                node,
                format!("{exercise} is answered with files: there is nobody on stage"),
                "here",
                Some("write: capture holds …, answers agree, or answer a is=…"),
            ));
        }
        if has_programs && self.steps.len() == steps_before {
            return Err(self.at(
                node,
                "a check without steps cannot fail",
                "here",
                Some("add what must be seen"),
            ));
        }
        if block.sheet.is_empty() {
            return Err(self.at(
                node,
                "a check names the sentence it enforces",
                "here",
                Some("add: sheet \"…\""),
            ));
        }
        // An experiment cannot be failed.
        if block.hints.is_empty() && kind != Kind::Experiment {
            return Err(self.at(
                node,
                "a check has at least one hint",
                "here",
                Some("add: hint \"a question to ask oneself\""),
            ));
        }
        self.checks.push(block);
        self.check = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::model::{Action, Actors};

    const GOOD: &str = include_str!("../../scenarios/ex8/room.kdl");

    fn read(text: &str) -> Result<Vec<Scenario>> {
        parse(&Source {
            name: "test.kdl".to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn taking_turns_is_one_line_and_one_look_for_each() {
        let text = "scenario s exercise=ex8 {\n start server\n join ada bert cleo\n check \"ex8/many-clients\" \"t\" points=1 {\n \
                    sheet \"s\"\n hint \"h\"\n everyone takes-turns \"{n} {who}\" times=2\n }\n}";
        let scenario = &read(text).expect("it is right")[0];
        let steps: Vec<&Action> = scenario
            .steps
            .iter()
            .filter(|step| step.check.is_some())
            .map(|step| &step.action)
            .collect();
        assert_eq!(steps.len(), 12);
        assert_eq!(
            steps[2],
            &Action::Type {
                actor: "bert".to_owned(),
                lines: vec!["01 bert".to_owned()]
            }
        );
        let Action::See(see) = steps[3] else {
            panic!("the others look: {:?}", steps[3])
        };
        assert_eq!(
            see.actors,
            Actors::All(vec!["ada".to_owned(), "cleo".to_owned()])
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = read(&text);
        }

        #[test]
        fn no_damage_to_a_good_file_makes_the_reader_panic(at in 0..GOOD.len(), len in 0_usize..30, put in "[a-z\"{}=#0-9 ]{0,6}") {
            let mut octets = GOOD.as_bytes().to_vec();
            let end = (at + len).min(octets.len());
            octets.splice(at..end, put.into_bytes());
            let _ = read(&String::from_utf8_lossy(&octets));
        }
    }
}
