//! How a pair of programs talks, read from what crossed the wire between them. Pure.
//!
//! A dialect is a line or a message per thing said, in plain text: whatever the user typed, as it was typed, the name first.
//! It is recognised only where everything that crossed fits it. A length in front, JSON, a word such as `LOGIN` before the
//! name: that is a protocol of the pair's own, which nobody else speaks, and there is no dialect.

use crate::event::{Actor, Crossing, Event};
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
    /// Whether a client of the chat room sends the word with which its user leaves, or just closes. Of the calculator's the
    /// sheet demands it.
    pub says_quit: bool,
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
            says_quit: true,
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

/// The dialect of the pair whose play was recorded, where it has one and all of it was seen. `quit` is what a user types to
/// leave.
pub fn of(scenario: &Arc<Scenario>, events: &[Event], quit: &str) -> Option<Dialect> {
    let mut ledger = Ledger::new(Arc::clone(scenario));
    events.iter().for_each(|event| ledger.apply(event));
    if !ledger.wire.is_sound() {
        return None;
    }
    let speeches = speeches(scenario.exercise, &ledger)?;
    match scenario.exercise {
        Exercise::Ex1 | Exercise::Ex4 => free(&speeches),
        Exercise::Ex3 => clock(&speeches),
        Exercise::Ex6 => session(Exercise::Ex6, &speeches, &ledger),
        Exercise::Ex8 => Some(Dialect {
            says_quit: says_quit(&speeches, &ledger, quit),
            ..session(Exercise::Ex8, &speeches, &ledger)?
        }),
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
    let datagrams = super::is_udp(exercise);
    let known = |actor: &Option<Actor>| ledger.actor(actor.as_deref()?).is_some().then_some(());
    let mut speeches = Vec::new();
    for (_, crossing) in &ledger.wire.crossings {
        if !crossing.carries() {
            continue;
        }
        // A client may have called where nobody is.
        let from_client = crossing.from.as_deref().is_some_and(|from| from != SERVER);
        let both = known(&crossing.from).filter(|()| from_client || known(&crossing.to).is_some());
        let Some(from) = both.and(crossing.from.as_deref()) else {
            // A datagram of the harness's own, or to it, is nobody's dialect.
            match datagrams {
                true => continue,
                false => return None,
            }
        };
        let client = match from_client {
            true => from,
            false => crossing.to.as_deref()?,
        };
        speeches.push(Speech {
            client,
            by_server: !from_client,
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

/// Whether everybody who typed the word for leaving sent it.
fn says_quit(speeches: &[Speech], ledger: &Ledger, quit: &str) -> bool {
    let mut leavers = ledger.typed.iter().filter(|typed| typed.line == quit);
    leavers.all(|typed| {
        let said = |speech: &Speech| {
            let by_leaver = !speech.by_server && speech.client == typed.actor;
            by_leaver && speech.text.trim_end().ends_with(quit)
        };
        speeches.iter().any(said)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::event::{CrossingKind, EventKind, Octets};
    use crate::scenario::parse;

    /// What happens, in its order.
    enum Happens<'t> {
        Types(&'t str),
        Says(&'t str, &'t [u8]),
    }
    use Happens::{Says, Types};

    fn recorded(exercise: Exercise, happens: &[Happens]) -> (Arc<Scenario>, Vec<Event>) {
        let source = Source {
            name: "test.kdl".to_owned(),
            text: format!(
                "scenario s exercise={exercise} {{\n start server\n start client ada\n check \"{exercise}/{}\" \"t\" {{\n \
                 sheet \"s\"\n hint \"h\"\n ada types \"x\"\n }}\n}}",
                match exercise {
                    Exercise::Ex3 => "time",
                    Exercise::Ex4 => "exchange",
                    Exercise::Ex8 => "login",
                    _ => "arithmetic",
                }
            ),
        };
        let scenario = parse::parse(&source).expect("it is right").remove(0);
        let mut kinds = vec![
            EventKind::ScenarioStarted {
                scenario: "s".to_owned(),
                exercise,
                seed: 1,
                clock: chrono::DateTime::default(),
                names: BTreeMap::from([("ada".to_owned(), "Ada".to_owned())]),
            },
            EventKind::Watched {
                interface: "lo".to_owned(),
            },
        ];
        kinds.extend([SERVER, "ada", "bert"].map(|actor| EventKind::Started {
            actor: actor.to_owned(),
            command: Vec::new(),
            pid: 1,
        }));
        kinds.extend(happens.iter().map(|one| match one {
            Types(line) => EventKind::Typed {
                actor: "ada".to_owned(),
                line: (*line).to_owned(),
            },
            Says(actor, octets) => {
                let is_server = *actor == SERVER;
                EventKind::Crossed(Crossing {
                    frame: 1,
                    conversation: 0,
                    from: Some((*actor).to_owned()),
                    to: Some(if is_server { "ada" } else { SERVER }.to_owned()),
                    src: ([127, 0, 0, 1], 1).into(),
                    dst: ([127, 0, 0, 1], 2).into(),
                    what: CrossingKind::Datagram,
                    len: u32::try_from(octets.len()).expect("it is short"),
                    payload: Octets(octets.to_vec()),
                })
            }
        }));
        let events = kinds.into_iter().map(|kind| Event { at_us: 0, kind });
        (Arc::new(scenario), events.collect())
    }

    #[track_caller]
    fn dialect(exercise: Exercise, happens: &[Happens]) -> Option<Dialect> {
        let (scenario, events) = recorded(exercise, happens);
        of(&scenario, &events, "q")
    }

    #[test]
    fn lines_and_bare_messages_are_understood() {
        let named = [Types("Ada"), Types("12 + 42"), Types("banana"), Types("q")];
        let lines = [
            Says(SERVER, b"Who are you? "),
            Says("ada", b"Ada\n"),
            Says(SERVER, b"Welcome, Ada!\n"),
            Says("ada", b"12 + 42\n"),
            Says(SERVER, b"12 + 42 = 54.0 (ok)\n"),
            Says("ada", b"q\n"),
        ];
        let lines: Vec<Happens> = named.into_iter().chain(lines).collect();
        let dialect_of_lines = dialect(Exercise::Ex6, &lines).expect("they are plain");
        assert_eq!(dialect_of_lines.client_end, End::Newline);
        assert_eq!(dialect_of_lines.prompt, "Who are you? ");
        assert_eq!(dialect_of_lines.greeting.join("Bert"), "Welcome, Bert!\n");
        assert_eq!(dialect_of_lines.answer("1 + 1", 2.0), "1 + 1 = 2.0 (ok)\n");

        let bare = [
            Types("Ada"),
            Types("12 + 42"),
            Says("ada", b"Ada"),
            Says("ada", b"12 + 42"),
            Says(SERVER, b"54"),
        ];
        let bare = dialect(Exercise::Ex6, &bare).expect("they are plain");
        assert_eq!(bare.client_end, End::Nothing);
        assert_eq!(bare.answer("50 - 81", -31.0), "-31");
    }

    #[test]
    fn the_form_of_a_chat_is_taken_over() {
        let chat = [
            Types("Ada"),
            Says("ada", b"Ada\r\n"),
            Types("good evening"),
            Says("ada", b"good evening\r\n"),
            Says(SERVER, b"[10:30] <Ada> good evening\r\n"),
        ];
        let chat = dialect(Exercise::Ex8, &chat).expect("it is plain");
        assert_eq!(chat.client_end, End::CrLf);
        assert_eq!(chat.said("Bert", "hello"), "[10:30] <Bert> hello\r\n");
        assert!(chat.says_quit);
        let closes = [Types("Ada"), Says("ada", b"Ada"), Types("q")];
        let closes = dialect(Exercise::Ex8, &closes).expect("it is plain");
        assert!(!closes.says_quit);
    }

    #[test]
    fn a_protocol_of_the_pairs_own_has_no_dialect() {
        let after = |happens: Vec<Happens<'static>>| {
            let typed = [Types("Ada"), Types("12 + 42")];
            let all: Vec<Happens> = typed.into_iter().chain(happens).collect();
            dialect(Exercise::Ex6, &all)
        };
        // A word before the name; a length; JSON on either side; pickled objects; no name at all; nothing at all.
        assert_eq!(after(vec![Says("ada", b"LOGIN Ada\n")]), None);
        assert_eq!(
            after(vec![Says("ada", b"3:Ada"), Says("ada", b"7:12 + 42")]),
            None
        );
        assert_eq!(after(vec![Says("ada", b"{\"name\": \"Ada\"}\n")]), None);
        assert_eq!(
            after(vec![
                Says("ada", b"Ada\n"),
                Says(SERVER, b"{\"ok\": true}\n")
            ]),
            None
        );
        assert_eq!(after(vec![Says("ada", b"\x00\x11\x80\x04\x95")]), None);
        assert_eq!(after(vec![Says("ada", b"12 + 42\n")]), None);
        assert_eq!(after(vec![]), None);
        // Somebody unknown spoke.
        assert_eq!(
            after(vec![Says("ada", b"Ada\n"), Says("carl", b"12 + 42\n")]),
            None
        );
    }

    #[test]
    fn texts_are_free_and_requests_of_the_clock_are_not() {
        let hello = |text: &'static [u8]| dialect(Exercise::Ex4, &[Says("ada", text)]);
        assert_eq!(hello(b"Hi!\n").expect("plain").client_end, End::Newline);
        assert_eq!(hello(b"Hi!").expect("plain").client_end, End::Nothing);
        assert_eq!(hello(b"0003Hi!"), None);
        assert_eq!(hello(b"3 Hi!"), None);
        assert!(hello(b"10 times hello").is_some());
        assert!(
            dialect(Exercise::Ex4, &[]).is_some(),
            "no text is a text as well"
        );
        let clock = |text: &'static [u8]| dialect(Exercise::Ex3, &[Says("ada", text)]);
        assert!(clock(b"SEND_TIME").is_some());
        assert_eq!(clock(b"TIME"), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_crosses_makes_it_panic(
            said in proptest::collection::vec((0..3usize, proptest::collection::vec(proptest::num::u8::ANY, 0..20)), 0..12),
            text in "\\PC{0,20}",
        ) {
            let mut happens = vec![Types("Ada"), Types(&text), Says("ada", b"Ada\n"), Says("ada", text.as_bytes())];
            happens.extend(said.iter().map(|(who, octets)| Says(["ada", "bert", SERVER][*who], octets)));
            for exercise in [Exercise::Ex3, Exercise::Ex4, Exercise::Ex6, Exercise::Ex8] {
                if let Some(dialect) = dialect(exercise, &happens) {
                    let _ = (dialect.answer(&text, 1.5), dialect.said("Ada", &text));
                }
            }
        }
    }
}
