//! Examines papers: questions of a scenario file against what was handed in. Pure.

use super::answers::{Answers, Found, Nature, Protocols};
use super::facts::{Facts, Opening, Talk};
use super::{Paper, Reading};
use crate::judge::{Status, Verdict, blank_verdict, find};
use crate::scenario::{CheckBlock, Held, Question, Scenario};
use crate::text::{count, shorten, visible};
use std::collections::BTreeMap;

/// What was found about one question.
struct Finding {
    status: Status,
    expected: String,
    got: String,
    because: String,
    remark: Option<String>,
}

impl Finding {
    fn pass(remark: String) -> Self {
        Finding {
            status: Status::Pass,
            expected: String::new(),
            got: String::new(),
            because: String::new(),
            remark: Some(remark),
        }
    }

    fn open(
        status: Status,
        expected: impl Into<String>,
        got: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        Finding {
            status,
            expected: expected.into(),
            got: got.into(),
            because: because.into(),
            remark: None,
        }
    }

    fn fail(
        expected: impl Into<String>,
        got: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        Self::open(Status::Fail, expected, got, because)
    }

    fn unsure(
        expected: impl Into<String>,
        got: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        Self::open(Status::Inconclusive, expected, got, because)
    }
}

/// The verdicts on a paper. `experiments` are the verdicts on experiments that were played, by their ids.
pub fn examine(
    scenario: &Scenario,
    paper: &Paper,
    experiments: &BTreeMap<&str, &Verdict>,
) -> Vec<Verdict> {
    let verdict = |(index, check): (usize, &CheckBlock)| {
        let mut verdict = blank_verdict(scenario, index);
        let Some(question) = &check.question else {
            return verdict;
        };
        let finding = answer(question, paper, experiments);
        verdict.remarks = finding.remark.into_iter().collect();
        if finding.status == Status::Pass {
            verdict.pass(check);
            return verdict;
        }
        verdict.status = finding.status;
        if finding.status == Status::Inconclusive {
            verdict.max_points = 0.0;
        }
        verdict.sent = Some(match question {
            Question::CaptureHolds(_) => "the capture that was handed in".to_owned(),
            Question::AnswersAgree | Question::Answer { .. } => {
                "the answers that were handed in".to_owned()
            }
        });
        verdict.expected = Some(finding.expected);
        verdict.got = Some(finding.got);
        verdict.because = Some(finding.because);
        verdict.give_hints(check);
        verdict
    };
    scenario.checks.iter().enumerate().map(verdict).collect()
}

fn answer(question: &Question, paper: &Paper, experiments: &BTreeMap<&str, &Verdict>) -> Finding {
    let facts = match &paper.capture {
        Some(Reading::Read(facts)) => Ok(facts),
        Some(Reading::Unreadable(why)) => Err(why.as_str()),
        None => Err("no capture was handed in"),
    };
    let answers = match &paper.answers {
        Reading::Read(answers) => Ok(answers),
        Reading::Unreadable(why) => Err(why.as_str()),
    };
    match question {
        Question::CaptureHolds(what) => {
            let facts = match facts {
                Ok(facts) => facts,
                Err(why) => return Finding::fail("a capture that can be read", "none", why),
            };
            match what {
                Held::Handshake => handshake(facts),
                Held::Text => text(facts),
                Held::OnlyLab => {
                    let found = match answers {
                        Ok(Answers::Handshake(found)) => Some(found),
                        _ => None,
                    };
                    only_lab(facts, found)
                }
            }
        }
        Question::AnswersAgree => match (answers, facts) {
            (Err(why), _) => Finding::fail("answers that can be read", "none", why),
            (Ok(_), Err(why)) => {
                Finding::fail("a capture to compare the answers with", "none", why)
            }
            (Ok(Answers::Handshake(found)), Ok(facts)) => agree(found, facts),
            (Ok(Answers::Protocols(_)), Ok(_)) => {
                Finding::fail("answers about the capture", "others", "they are about ex7")
            }
        },
        Question::Answer {
            letter,
            is,
            experiment,
            explanation,
        } => {
            let experiment = experiment
                .as_deref()
                .and_then(|id| experiments.get(id).copied());
            let protocols = match answers {
                Ok(Answers::Protocols(protocols)) => protocols,
                Ok(Answers::Handshake(_)) => &Protocols::default(),
                Err(why) => return Finding::fail("answers that can be read", "none", why),
            };
            let finding = protocol(*letter, *is, experiment, protocols);
            let mut remark = format!("{}: {explanation}", is.word());
            if let Some(experiment) = experiment {
                remark.push_str(" Experiment: ");
                remark.push_str(&outcome(experiment));
            }
            // For the instructor to read; it is not marked.
            if let Some(reason) = protocols.because.get(letter) {
                remark.push_str(&format!(" Reason given: “{}”", shorten(reason, 400)));
            }
            Finding {
                remark: Some(remark),
                ..finding
            }
        }
    }
}

/// What an experiment showed, in a sentence.
fn outcome(experiment: &Verdict) -> String {
    match experiment.status {
        Status::Pass => "the server was killed and started again between two requests, and the client did not notice.".to_owned(),
        Status::Fail => "the server was killed and started again between two requests, and the client noticed.".to_owned(),
        Status::NotRun | Status::Inconclusive => format!(
            "it showed nothing ({}).",
            experiment.because.as_deref().unwrap_or("it was not tried")
        ),
    }
}

fn ports(facts: &Facts) -> String {
    let ports: Vec<String> = facts.ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}

/// What there is, when the handshake is not.
fn contents(facts: &Facts) -> String {
    let mut parts = vec![count(
        usize::try_from(facts.frames).unwrap_or(usize::MAX),
        "frame",
    )];
    for (number, what) in [
        (facts.segments, "TCP segments of the lab"),
        (facts.datagrams, "UDP datagrams of the lab"),
    ] {
        parts.push(format!("{number} {what}"));
    }
    if facts.foreign() > 0 {
        parts.push(format!("{} of other programs", facts.foreign()));
    }
    let mut text = format!("{}: {}", facts.file, parts.join(", "));
    if let Some(damage) = &facts.damage {
        text.push_str(&format!("; the rest cannot be read ({damage})"));
    }
    text
}

fn handshake(facts: &Facts) -> Finding {
    let complete = facts
        .talks
        .iter()
        .find(|talk| talk.opening == Opening::Complete);
    if let Some(talk) = complete {
        let frames: Vec<String> = talk.frames.iter().map(u64::to_string).collect();
        return Finding::pass(format!(
            "SYN, SYN-ACK and ACK are frames {} of {}: {} → {}",
            frames.join(", "),
            facts.file,
            talk.client,
            talk.server
        ));
    }
    let expected = format!(
        "the three segments SYN, SYN-ACK and ACK of a connection with one of the ports {}",
        ports(facts)
    );
    let has = |opening| facts.talks.iter().any(|talk| talk.opening == opening);
    let unprivileged: Vec<u16> = facts
        .elsewhere
        .iter()
        .copied()
        .filter(|port| *port >= 1024)
        .collect();
    let because = if has(Opening::Late) {
        "the capture begins in the middle of the connection: start it before the client"
    } else if has(Opening::Refused) {
        "the connection was refused: start the server before the client"
    } else if has(Opening::Half) {
        "not all three segments of the handshake are there"
    } else if facts.datagrams > 0 && facts.elsewhere.is_empty() {
        "only UDP was captured, which has no handshake: capture the TCP programs of ex4 or ex6"
    } else if let Some(port) = unprivileged.first() {
        return Finding::unsure(
            expected,
            contents(facts),
            format!(
                "there is a complete handshake with port {port}, which is not known to be the lab's: if it is your server's, write \
                 server_port = {port} into the answers"
            ),
        );
    } else {
        "no connection of the lab is in the file"
    };
    Finding::fail(expected, contents(facts), because)
}

fn text(facts: &Facts) -> Finding {
    let expected = "text of the client and text of the server that anybody can read";
    if let Some(talk) = facts.talks.iter().find(|talk| talk.is_plain()) {
        let said = |side: usize| find::shown(&[&talk.said[side].0]);
        return Finding::pass(format!(
            "the client says {}, the server says {}",
            shorten(&said(0), 60),
            shorten(&said(1), 60)
        ));
    }
    let Some(talk) = facts
        .talks
        .iter()
        .max_by_key(|talk| talk.octets.iter().filter(|octets| **octets > 0).count())
    else {
        let because = "no connection of the lab is in the file";
        return Finding::fail(expected, contents(facts), because);
    };
    let got = format!(
        "{} octets from the client, {} from the server",
        talk.octets[0], talk.octets[1]
    );
    if talk.octets.contains(&0) {
        let because = match talk.missing {
            0 => "nothing was said in one direction while it was captured".to_owned(),
            missing => format!(
                "{missing} octets that were sent are not in the file: capture whole frames (no small snapshot length)"
            ),
        };
        return Finding::fail(expected, got, because);
    }
    let because =
        "neither UTF-8 nor UTF-16: what was said is in a form that the harness cannot read";
    Finding::unsure(expected, got, because)
}

fn only_lab(facts: &Facts, found: Option<&Found>) -> Finding {
    let allowed = "ARP and ICMP do not count";
    if facts.segments + facts.datagrams == 0 {
        return Finding::fail(
            format!("traffic of your client and server (ports {})", ports(facts)),
            contents(facts),
            "nothing of the lab's is in the file",
        );
    }
    if facts.foreign() == 0 {
        return Finding::pass(format!(
            "{} segments and datagrams, all of the lab's ({allowed})",
            facts.segments + facts.datagrams
        ));
    }
    let others: Vec<String> = facts
        .others
        .iter()
        .map(|(what, number)| format!("{number} {what}"))
        .collect();
    // A display filter chooses what is shown, not what is in the file: who names the right connection has chosen.
    if let Some(talk) = found.and_then(|found| named(found, facts)) {
        return Finding::pass(format!(
            "the answers single out {} → {} among {} of other programs, which a display filter leaves in the file",
            talk.client,
            talk.server,
            facts.foreign()
        ));
    }
    Finding::fail(
        format!(
            "nothing but the traffic of your client and server (ports {}; {allowed}), or answers that name the client_port and \
             server_port of your connection among the rest",
            ports(facts)
        ),
        others.join(", "),
        "a display filter leaves all packets in the file that is saved: save the displayed ones only (in Wireshark: File, Export \
         Specified Packets, Displayed)",
    )
}

/// The complete connection that the answers name.
fn named<'f>(found: &Found, facts: &'f Facts) -> Option<&'f Talk> {
    let wanted = (found.client_port?, found.server_port?);
    facts.talks.iter().find(|talk| {
        talk.opening == Opening::Complete && (talk.client.port(), talk.server.port()) == wanted
    })
}

fn agree(found: &Found, facts: &Facts) -> Finding {
    let mut wrong: Vec<(String, String)> = Vec::new();
    let mut open = Vec::new();
    let missing = |key: &str, wanted: &str| {
        let unclear = found.unclear.iter().find(|unclear| unclear.key == key);
        let got = unclear.map_or_else(|| format!("no `{key}`"), |unclear| unclear.what.clone());
        (wanted.to_owned(), got)
    };
    match &found.handshake {
        None => wrong.push(missing(
            "handshake",
            "handshake = the three messages of the handshake",
        )),
        Some(given) if given[..] != ["SYN", "SYN-ACK", "ACK"] => wrong.push((
            "handshake = the flags of the three messages that open the connection, in their order"
                .to_owned(),
            format!("handshake = {}", shorten(&visible(&given.join(", ")), 80)),
        )),
        Some(_) => {}
    }
    let complete: Vec<&Talk> = facts
        .talks
        .iter()
        .filter(|talk| talk.opening == Opening::Complete)
        .collect();
    let talk = named(found, facts);
    match (found.client_port, found.server_port) {
        (Some(client), Some(server)) if talk.is_none() => {
            let swapped = complete
                .iter()
                .any(|talk| (talk.client.port(), talk.server.port()) == (server, client));
            let got = format!("client_port = {client}, server_port = {server}");
            wrong.push((
                "the ports of a connection whose handshake is in the capture".to_owned(),
                match swapped {
                    true => format!("{got}: the other way round; the client sends the SYN"),
                    false => got,
                },
            ));
        }
        (client, server) => {
            let port = |key: &str| format!("{key} = the port as it stands in the capture");
            if client.is_none() {
                wrong.push(missing("client_port", &port("client_port")));
            }
            if server.is_none() {
                wrong.push(missing("server_port", &port("server_port")));
            }
        }
    }
    // Whoever is wrong about the ports may still be right about the text.
    let heard: Vec<&Talk> = talk.map_or_else(|| facts.talks.iter().collect(), |talk| vec![talk]);
    let plain = heard.iter().any(|talk| talk.shows_text());
    let spoke = heard.iter().any(|talk| talk.octets != [0, 0]);
    match found.plaintext_visible {
        None => wrong.push(missing(
            "plaintext_visible",
            "plaintext_visible = true or false",
        )),
        Some(given) if given != plain && (plain || !spoke) => wrong.push((
            "plaintext_visible = what the capture shows".to_owned(),
            format!("plaintext_visible = {given}"),
        )),
        Some(true) if !plain => {
            open.push("whether the text can be read could not be told".to_owned());
        }
        Some(_) => {}
    }
    match &found.texts {
        None => wrong.push(missing("texts", "texts = what the two programs said")),
        Some(texts) if texts.is_empty() => wrong.push((
            "texts = what the two programs said".to_owned(),
            "texts = []".to_owned(),
        )),
        Some(texts) => {
            let mut sides = [false; 2];
            for text in texts.iter().filter(|text| !text.trim().is_empty()) {
                let carries = |side: usize| {
                    let heard = heard.iter();
                    heard
                        .clone()
                        .any(|talk| find::carries_text(&[&talk.said[side].0], text))
                };
                let both = [carries(0), carries(1)];
                let shown = shorten(&visible(text), 60);
                if both == [false, false] {
                    if heard.iter().any(|talk| talk.is_cut()) || !plain {
                        open.push(format!("\"{shown}\" was not found in what could be read"));
                    } else {
                        wrong.push((
                            "texts that stand in the capture".to_owned(),
                            format!("\"{shown}\", which nobody said there"),
                        ));
                    }
                }
                sides = [sides[0] || both[0], sides[1] || both[1]];
            }
            let both_spoke = heard.iter().any(|talk| talk.is_plain());
            if both_spoke && sides != [true, true] && sides != [false, false] {
                let silent = if sides[0] { "server" } else { "client" };
                wrong.push((
                    "texts of both programs".to_owned(),
                    format!("none that the {silent} said"),
                ));
            }
        }
    }
    let list = |parts: Vec<String>| parts.join("\n");
    if wrong.is_empty() && open.is_empty() {
        return Finding::pass("every answer is what the capture shows".to_owned());
    }
    if wrong.is_empty() {
        return Finding::unsure(
            "answers that are what the capture shows",
            list(open),
            "the capture decides nothing here",
        );
    }
    let (expected, got): (Vec<String>, Vec<String>) = wrong.into_iter().unzip();
    let because = match got.len() {
        1 => "one answer is not what the capture shows".to_owned(),
        wrong => format!("{wrong} answers are not what the capture shows"),
    };
    Finding::fail(list(expected), list(got), because)
}

fn protocol(
    letter: char,
    is: Nature,
    experiment: Option<&Verdict>,
    protocols: &Protocols,
) -> Finding {
    let expected = format!("{letter} = \"{}\"", is.word());
    let key = letter.to_string();
    let Some(given) = protocols.given.get(&letter) else {
        let unclear = protocols.unclear.iter().find(|unclear| unclear.key == key);
        let got = unclear.map_or_else(|| format!("no `{letter}`"), |unclear| unclear.what.clone());
        return Finding::fail(
            format!("{letter} = \"stateless\" or \"stateful\""),
            got,
            "the question was not answered",
        );
    };
    let got = format!("{letter} = \"{}\"", shorten(&visible(&given.words), 80));
    match given.meaning {
        Some(nature) if nature == is => Finding::pass(String::new()),
        // What the student designed may be another protocol than the sheet's author had in mind.
        Some(_) if experiment.is_some_and(|experiment| experiment.status != shown_by(is)) => {
            Finding::unsure(
                expected,
                got,
                "the experiment with your own programs does not contradict the answer: your instructor decides",
            )
        }
        Some(_) => Finding::fail(
            expected,
            got,
            match experiment {
                Some(_) => "the experiment with your own programs shows the opposite",
                None => "it is the other way round",
            },
        ),
        None => Finding::unsure(
            expected,
            got,
            "neither \"stateless\" nor \"stateful\" is all that it says: your instructor decides",
        ),
    }
}

/// What an experiment comes to with such a protocol.
fn shown_by(nature: Nature) -> Status {
    match nature {
        Nature::Stateless => Status::Pass,
        Nature::Stateful => Status::Fail,
    }
}
