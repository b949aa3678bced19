//! How a pair of programs talks, read from what crossed the wire between them. Pure.
//!
//! A dialect is a line or a message per thing said, in plain text: whatever the user typed, as it was typed, the name first.
//! It is recognised only where everything that crossed fits it. A length in front, JSON, a word such as `LOGIN` before the
//! name: that is a protocol of the pair's own, which nobody else speaks, and there is no dialect.

use crate::event::{Crossing, Event};
use crate::judge::Ledger;
use crate::judge::find::is_plain;
use crate::lab::Exercise;
use crate::scenario::Scenario;
use crate::scenario::model::SERVER;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// What is taken over literally is not longer than this, in octets.
const LONGEST_SAMPLE: usize = 1000;

/// How the end of a message is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Not at all: one send is taken for one message.
    Nothing,
    /// LF.
    Newline,
    /// CR and LF.
    CrLf,
}

impl End {
    /// As octets.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Nothing => "",
            End::Newline => "\n",
            End::CrLf => "\r\n",
        }
    }

    /// A message with its end.
    pub fn after(self, message: &str) -> String {
        format!("{message}{}", self.as_str())
    }

    /// How a text ends.
    fn of(text: &str) -> Self {
        match text {
            text if text.ends_with("\r\n") => End::CrLf,
            text if text.ends_with('\n') => End::Newline,
            _ => End::Nothing,
        }
    }
}

/// How a pair of programs talks. What the server says is kept in pieces, between which a name or a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// How the client's messages end.
    pub client_end: End,
    /// How the server's do.
    pub server_end: End,
    /// What the server says to whoever connects.
    pub prompt: String,
    /// What it says to who has given a name, around the name; without pieces, nothing.
    pub greeting: Vec<String>,
    /// What stands before the number of an answer, around the request.
    pub before_answer: Vec<String>,
    /// What stands behind it.
    pub after_answer: String,
    /// Whether whole numbers are written with a decimal.
    pub decimals: bool,
    /// What stands before a sender's name, between it and the line, and behind the line.
    pub line: [String; 3],
}

impl Dialect {
    /// Nothing is known but how messages end.
    pub fn plain(end: End) -> Self {
        Dialect {
            client_end: end,
            server_end: end,
            prompt: String::new(),
            greeting: Vec::new(),
            before_answer: Vec::new(),
            after_answer: end.as_str().to_owned(),
            decimals: false,
            line: [String::new(), ": ".to_owned(), end.as_str().to_owned()],
        }
    }

    /// The answer to a request.
    pub fn answer(&self, request: &str, number: f64) -> String {
        let before = self.before_answer.join(request);
        let after = &self.after_answer;
        match self.decimals {
            true => format!("{before}{number:?}{after}"),
            false => format!("{before}{number}{after}"),
        }
    }

    /// A line of the chat, as the others get it.
    pub fn said(&self, name: &str, line: &str) -> String {
        let [before, between, after] = &self.line;
        format!("{before}{name}{between}{line}{after}")
    }
}

/// The dialect of the pair whose play was recorded, where it has one and all of it was seen.
pub fn of(scenario: &Arc<Scenario>, events: &[Event]) -> Option<Dialect> {
    let mut ledger = Ledger::new(Arc::clone(scenario));
    events.iter().for_each(|event| ledger.apply(event));
    if !ledger.wire.is_sound() {
        return None;
    }
    let speeches = speeches(scenario.exercise, &ledger)?;
    match scenario.exercise {
        Exercise::Ex1 | Exercise::Ex4 => free(&speeches),
        Exercise::Ex3 => clock(&speeches),
        Exercise::Ex6 | Exercise::Ex8 => session(scenario.exercise, &speeches, &ledger),
        Exercise::Ex2 | Exercise::Ex5 | Exercise::Ex7 => None,
    }
}

/// One thing that was said, in one send.
struct Speech<'l> {
    client: &'l str,
    by_server: bool,
    text: &'l str,
}

/// Everything that was said, in its order; none where somebody unknown spoke, or something was not plain text.
fn speeches(exercise: Exercise, ledger: &Ledger) -> Option<Vec<Speech<'_>>> {
    let mut speeches = Vec::new();
    for (_, crossing) in &ledger.wire.crossings {
        if !crossing.carries() {
            continue;
        }
        let Some(from) = crossing.from.as_deref() else {
            // A datagram of the harness's own is nobody's dialect.
            match exercise {
                Exercise::Ex1 | Exercise::Ex3 => continue,
                _ => return None,
            }
        };
        let by_server = from == SERVER;
        let client = match (by_server, crossing.to.as_deref()) {
            (true, Some(client)) => client,
            (true, None) if matches!(exercise, Exercise::Ex1 | Exercise::Ex3) => continue,
            (true, None) => return None,
            (false, _) => from,
        };
        speeches.push(Speech {
            client,
            by_server,
            text: plain(crossing)?,
        });
    }
    Some(speeches)
}

/// What crossed, if it is all there and plain text in no format of its own.
fn plain(crossing: &Crossing) -> Option<&str> {
    let octets = &crossing.payload.0[..];
    if crossing.is_cut() || !is_plain(octets) {
        return None;
    }
    let text = std::str::from_utf8(octets).ok()?;
    let is_json = matches!(
        serde_json::from_str(text),
        Ok(serde_json::Value::Object(_) | serde_json::Value::Array(_))
    );
    (!is_json).then_some(text)
}

/// Whether digits at the beginning count what follows them.
fn has_length(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // What is counted may begin with digits itself.
    (1..=digits).any(|digits| {
        let length = text[..digits].parse::<usize>().ok();
        let rest = &text[digits..];
        let follows = [rest, rest.trim_start_matches([':', ' ', '\n'])];
        let counted = |rest: &&str| length == Some(rest.len()) && !rest.is_empty();
        follows.iter().any(counted)
    })
}

/// Whether it looks like a part of JSON or XML. `<ada> hello` is neither.
fn is_format(text: &str) -> bool {
    text.trim_start().starts_with('{') || text.contains("</")
}

/// Exercises in which any text will do.
fn free(speeches: &[Speech]) -> Option<Dialect> {
    let of_its_own = |speech: &Speech| is_format(speech.text) || has_length(speech.text);
    if speeches.iter().any(of_its_own) {
        return None;
    }
    let last = |by_server: bool| {
        let mut said = speeches.iter().rev();
        let last = said.find(|speech| speech.by_server == by_server)?;
        Some(End::of(last.text))
    };
    let client_end = last(false).unwrap_or(End::Newline);
    Some(Dialect {
        server_end: last(true).unwrap_or(client_end),
        ..Dialect::plain(client_end)
    })
}

/// The clock, whose requests the sheet fixes.
fn clock(speeches: &[Speech]) -> Option<Dialect> {
    let mut requests = speeches.iter().filter(|speech| !speech.by_server);
    let fixed = |request: &Speech| matches!(request.text.trim(), "SEND_DATE" | "SEND_TIME");
    if !requests.all(fixed) {
        return None;
    }
    free(speeches)
}

/// Calculator and chat room: each client says its name, then what was typed.
fn session(exercise: Exercise, speeches: &[Speech], ledger: &Ledger) -> Option<Dialect> {
    let mut clients: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for speech in speeches.iter().filter(|speech| !speech.by_server) {
        clients.entry(speech.client).or_default().push(speech.text);
    }
    let fits = |end: &End| {
        clients.iter().all(|(client, said)| {
            let name = ledger.name_of(client);
            let typed = ledger.typed.iter().filter(|typed| typed.actor == *client);
            let typed = typed.map(|typed| typed.line.as_str());
            // Typed or not, the name comes first; who is asked again types another.
            let words: Vec<&str> = std::iter::once(name).chain(typed).collect();
            says(said, &words, *end)
        })
    };
    let ends = [End::Newline, End::CrLf, End::Nothing];
    let client_end = ends
        .into_iter()
        .find(fits)
        .filter(|_| !clients.is_empty())?;
    let mut dialect = Dialect::plain(client_end);
    // The last: a prompt may have no end of its own.
    if let Some(said) = speeches.iter().rev().find(|speech| speech.by_server) {
        let end = End::of(said.text);
        dialect = Dialect {
            client_end,
            ..Dialect::plain(end)
        };
    }
    let first = speeches.iter().find(|speech| !speech.by_server)?.client;
    let name = ledger.name_of(first);
    let (prompt, greeting) = welcome(speeches, first);
    if [&prompt, &greeting].into_iter().any(|said| is_format(said)) {
        return None;
    }
    dialect.greeting = match greeting.is_empty() {
        true => Vec::new(),
        false => pieces(&greeting, name),
    };
    dialect.prompt = prompt;
    match exercise {
        Exercise::Ex6 => take_answer(&mut dialect, speeches, first)?,
        _ => take_line(&mut dialect, speeches, ledger)?,
    }
    Some(dialect)
}

/// Whether what was said is some of these words in their order, the first of them first, each with this end.
fn says(said: &[&str], words: &[&str], end: End) -> bool {
    let joined = said.concat();
    let messages: Vec<&str> = match end {
        End::Nothing => said.to_vec(),
        End::Newline | End::CrLf => match joined.strip_suffix(end.as_str()) {
            Some(all) => all.split(end.as_str()).collect(),
            None => return false,
        },
    };
    let mut rest = words.iter();
    messages.first() == words.first()
        && messages
            .iter()
            .all(|message| rest.any(|word| word == message))
}

/// What the server says to a client before its first words, and after them until the next that anybody says.
fn welcome(speeches: &[Speech], client: &str) -> (String, String) {
    let mut said = [String::new(), String::new()];
    let mut heard = 0;
    for speech in speeches {
        if !speech.by_server {
            heard += 1;
        } else if speech.client == client
            && let Some(said) = said.get_mut(heard)
            && said.len() + speech.text.len() <= LONGEST_SAMPLE
        {
            said.push_str(speech.text);
        }
    }
    let [prompt, greeting] = said;
    (prompt, greeting)
}

/// A text without a word, around it.
fn pieces(text: &str, word: &str) -> Vec<String> {
    match word.is_empty() {
        true => vec![text.to_owned()],
        false => text.split(word).map(str::to_owned).collect(),
    }
}

/// How the calculator's answers look. None where they are in a format of their own.
fn take_answer(dialect: &mut Dialect, speeches: &[Speech], client: &str) -> Option<()> {
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"-?\d+(\.\d+)?").expect("a valid pattern"));
    let of_client = || speeches.iter().filter(|speech| speech.client == client);
    let mut requests = of_client().filter(|speech| !speech.by_server);
    let Some(request) = requests.nth(1) else {
        return Some(());
    };
    let mut later = of_client().skip_while(|speech| !std::ptr::eq(*speech, request));
    later.next();
    let answer: String = later
        .take_while(|speech| speech.by_server)
        .map(|speech| speech.text)
        .collect();
    if is_format(&answer) || answer.len() > LONGEST_SAMPLE {
        return None;
    }
    let request = request.text.trim();
    let behind_request = answer.rfind(request).map_or(0, |at| at + request.len());
    let numbers = NUMBER.find_iter(&answer[behind_request..]);
    let Some(number) = numbers.last() else {
        return Some(());
    };
    let (begin, end) = (
        behind_request + number.start(),
        behind_request + number.end(),
    );
    dialect.before_answer = pieces(&answer[..begin], request);
    dialect.after_answer = answer[end..].to_owned();
    dialect.decimals = number.as_str().contains('.');
    Some(())
}

/// How the chat's lines look. None where they are in a format of their own.
fn take_line(dialect: &mut Dialect, speeches: &[Speech], ledger: &Ledger) -> Option<()> {
    if speeches
        .iter()
        .any(|speech| speech.by_server && is_format(speech.text))
    {
        return None;
    }
    let found = speeches
        .iter()
        .filter(|speech| speech.by_server)
        .find_map(|speech| {
            ledger.typed.iter().find_map(|typed| {
                let name = ledger.name_of(&typed.actor);
                if typed.line == name || typed.line.trim().is_empty() {
                    return None;
                }
                let at = speech.text.find(&typed.line)?;
                let (before, after) = (&speech.text[..at], &speech.text[at + typed.line.len()..]);
                let named = before.find(name).filter(|_| !name.is_empty())?;
                Some([
                    before[..named].to_owned(),
                    before[named + name.len()..].to_owned(),
                    after.to_owned(),
                ])
            })
        });
    if let Some(line) = found {
        dialect.line = line;
    }
    Some(())
}
