//! `answers.toml`: what was found in the capture, and which protocols are stateless.
//!
//! Lenient where a person would understand: a number in quotes is a number, `SYN,ACK` is `SYN-ACK`, `yes` answers "is it
//! stateless?". What cannot be understood is kept, with its place, and costs the answer it stands in and no other.

use super::Reading;
use crate::diagnostic::Source;
use crate::lab::{self, Exercise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Spanned, Value};

/// The answers to one exercise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// What was found in the capture.
    Handshake(Found),
    /// Stateful or stateless?
    Protocols(Protocols),
}

/// What was found in a capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The messages of the handshake, as their flags: `SYN`, `SYN-ACK`, `ACK` in this spelling.
    pub handshake: Option<Vec<String>>,
    /// The client's port.
    pub client_port: Option<u16>,
    /// The server's port.
    pub server_port: Option<u16>,
    /// Whether the text can be read in the capture.
    pub plaintext_visible: Option<bool>,
    /// The texts that were sent.
    pub texts: Option<Vec<String>>,
    /// What could not be understood.
    pub unclear: Vec<Unclear>,
}

/// The four answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Protocols {
    /// By the letter of the question.
    pub given: BTreeMap<char, Given>,
    /// The reasons, which are for the reader.
    pub because: BTreeMap<char, String>,
    /// What could not be understood.
    pub unclear: Vec<Unclear>,
}

/// An answer, in the author's words and as understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// As it was written.
    pub words: String,
    /// What that means, if it was understood.
    pub meaning: Option<Nature>,
}

/// What a protocol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// Every message can be understood by itself.
    Stateless,
    /// What a message means depends on those before it.
    Stateful,
}

impl Nature {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Nature::Stateless => "stateless",
            Nature::Stateful => "stateful",
        }
    }

    /// What somebody who writes this means; none when it is not clear.
    fn of(words: &str) -> Option<Self> {
        let mut found = Vec::new();
        let mut denied = false;
        let words = words.to_lowercase().replace(['-', '_'], "");
        for word in words.split(|c: char| !c.is_alphanumeric() && c != '\'') {
            match word {
                "stateless" | "yes" | "true" => found.push(Nature::Stateless),
                "stateful" | "statefull" | "false" => found.push(Nature::Stateful),
                // Alone it answers the question of the sheet; before another word it denies.
                "no" => denied = true,
                "not" | "isn't" | "neither" | "nor" => return None,
                _ => {}
            }
        }
        found.dedup();
        match (&found[..], denied) {
            ([one], false) => Some(*one),
            ([], true) | ([Nature::Stateful], true) => Some(Nature::Stateful),
            _ => None,
        }
    }
}

/// Something that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclear {
    /// The key it stands at, or that was probably meant.
    pub key: String,
    /// What is wrong, with file, line and column.
    pub what: String,
}

type Section = BTreeMap<String, Spanned<Value>>;

#[derive(Deserialize)]
struct File {
    ex5: Option<Section>,
    ex7: Option<Section>,
}

/// Reads the answers to an exercise.
pub fn parse(exercise: Exercise, name: &str, octets: &[u8]) -> Reading<Answers> {
    let Ok(text) = std::str::from_utf8(octets) else {
        return Reading::Unreadable(format!("{name} is not UTF-8: save it as UTF-8 text"));
    };
    let source = Source {
        name: name.to_owned(),
        // Windows' editors put a mark before the text.
        text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
    };
    let file: File = match toml::from_str(&source.text) {
        Ok(file) => file,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let first = error.message().lines().next().unwrap_or("this is not TOML");
            let mistake = source.mistake((span.start, span.len()), first, "here", None);
            return Reading::Unreadable(mistake.to_string());
        }
    };
    let section = match exercise {
        Exercise::Ex5 => file.ex5,
        _ => file.ex7,
    };
    // A file with one exercise's answers may do without the heading.
    let section = section.or_else(|| toml::from_str::<Section>(&source.text).ok());
    let reader = Reader {
        source: &source,
        section: section.unwrap_or_default(),
        unclear: Vec::new(),
    };
    let answers = match exercise {
        Exercise::Ex5 => Answers::Handshake(reader.found()),
        _ => Answers::Protocols(reader.protocols()),
    };
    Reading::Read(answers)
}

struct Reader<'s> {
    source: &'s Source,
    section: Section,
    unclear: Vec<Unclear>,
}

impl Reader<'_> {
    fn found(mut self) -> Found {
        let found =
            Found {
                handshake: self.take("handshake", "a list such as [\"SYN\", …]", |value| {
                    let words = words(value)?;
                    // One text may hold all three.
                    let words = words.iter().flat_map(|word| separate(word));
                    Some(words.collect())
                }),
                client_port: self.take("client_port", "a number such as 51234", port),
                server_port: self.take("server_port", "a number such as 20002", port),
                plaintext_visible: self.take("plaintext_visible", "true or false", |value| {
                    match value {
                        Value::Boolean(yes) => Some(*yes),
                        Value::String(word) => match word.trim().to_lowercase().as_str() {
                            "yes" | "true" => Some(true),
                            "no" | "false" => Some(false),
                            _ => None,
                        },
                        _ => None,
                    }
                }),
                texts: self.take("texts", "a list of texts", words),
                unclear: Vec::new(),
            };
        self.rest(&[
            "handshake",
            "client_port",
            "server_port",
            "plaintext_visible",
            "texts",
        ]);
        Found {
            unclear: self.unclear,
            ..found
        }
    }

    fn protocols(mut self) -> Protocols {
        let mut protocols = Protocols::default();
        for letter in ['a', 'b', 'c', 'd'] {
            let given = self.take(
                &letter.to_string(),
                "\"stateless\" or \"stateful\"",
                |value| {
                    let words = match value {
                        Value::String(words) => words.clone(),
                        // Is it stateless?
                        Value::Boolean(yes) => yes.to_string(),
                        _ => return None,
                    };
                    Some(Given {
                        meaning: Nature::of(&words),
                        words,
                    })
                },
            );
            if let Some(given) = given {
                protocols.given.insert(letter, given);
            }
        }
        if let Some(because) = self.section.remove("because")
            && let Value::Table(reasons) = because.into_inner()
        {
            for (letter, reason) in reasons {
                if let (Some(letter @ 'a'..='d'), Value::String(reason)) =
                    (letter.chars().next(), reason)
                {
                    protocols.because.insert(letter, reason);
                }
            }
        }
        self.rest(&["a", "b", "c", "d", "because"]);
        protocols.unclear = self.unclear;
        protocols
    }

    fn take<T>(
        &mut self,
        key: &str,
        wanted: &str,
        understand: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.section.remove(key)?;
        let understood = understand(value.get_ref());
        if understood.is_none() {
            self.note(key, &value, format!("`{key}` is {wanted}"));
        }
        understood
    }

    /// Something about the answer to `key` was not understood.
    fn note(&mut self, key: &str, value: &Spanned<Value>, message: String) {
        let span = value.span();
        let mistake = self
            .source
            .mistake((span.start, span.len()), message, "here", None);
        self.unclear.push(Unclear {
            key: key.to_owned(),
            what: mistake.to_string(),
        });
    }

    /// What nobody asked for: misspelt, perhaps.
    fn rest(&mut self, known: &[&str]) {
        for (key, value) in std::mem::take(&mut self.section) {
            // Without headings, those of other exercises are here too.
            if matches!(value.get_ref(), Value::Table(_)) {
                continue;
            }
            let near = lab::nearest(&key, known.iter().copied());
            let message = match near {
                Some(near) => format!("nobody asks for `{key}`; did you mean `{near}`?"),
                None => format!("nobody asks for `{key}`; known here: {}", known.join(", ")),
            };
            self.note(near.unwrap_or(&key), &value, message);
        }
    }
}

fn words(value: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Array(list) => list.iter().map(word).collect(),
        one => word(one).map(|word| vec![word]),
    }
}

fn port(value: &Value) -> Option<u16> {
    match value {
        Value::Integer(port) => u16::try_from(*port).ok(),
        Value::String(port) => port.trim().parse().ok(),
        _ => None,
    }
}

/// The messages that a text names: `SYN`, `SYN-ACK`, `ACK` from `SYN, SYN/ACK, ACK`, whatever stands between.
fn separate(text: &str) -> Vec<String> {
    let upper = text.to_uppercase().replace("SYNACK", "SYN-ACK");
    // Arrows and commas separate messages; the two flags of one are joined by anything else, or by a comma in the
    // brackets in which Wireshark shows them.
    let alone = |part: &str| {
        let flags: Vec<&str> = part
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|flag| !flag.is_empty())
            .collect();
        flags.join("-")
    };
    let flags = alone(&upper);
    if upper.contains('[') || flags == "SYN-ACK" {
        return vec![flags];
    }
    let parts = upper.split([',', ';', '→', '>', '\n']);
    parts.map(alone).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        match parse(Exercise::Ex5, "answers.toml", text.as_bytes()) {
            Reading::Read(Answers::Handshake(found)) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_person_would_understand_is_understood() {
        let given = found(
            "[ex5]\nhandshake = [\"syn\", \"[SYN, ACK]\", \"ack\"]\nclient_port = \"51234\"\nserver_port = 20002\n\
             plaintext_visible = \"yes\"\ntexts = \"Hi\"\n",
        );
        let three = ["SYN", "SYN-ACK", "ACK"].map(str::to_owned).to_vec();
        assert_eq!(given.handshake, Some(three.clone()));
        assert_eq!(given.client_port, Some(51234));
        assert_eq!(given.plaintext_visible, Some(true));
        assert_eq!(given.texts, Some(vec!["Hi".to_owned()]));
        assert_eq!(given.unclear, Vec::new());
        for spelling in [
            "[\"SYN\", \"SYN,ACK\", \"ACK\"]",
            "[\"SYN\", \"SYN+ACK\", \"ACK\"]",
            "\"SYN, SYN-ACK, ACK\"",
            "\"SYN -> SYN/ACK -> ACK\"",
            "[\"SYN\", \"SYNACK\", \"ACK\"]",
            "\"SYN → SYN ACK → ACK\"",
        ] {
            let given = found(&format!("handshake = {spelling}\n"));
            assert_eq!(given.handshake, Some(three.clone()), "{spelling}");
        }
    }

    #[test]
    fn what_is_not_understood_has_its_place_and_spoils_nothing_else() {
        let given = found("[ex5]\nserver_port = \"many\"\nclient_prt = 5\nclient_port = 7\n");
        assert_eq!(given.client_port, Some(7));
        let said: Vec<&str> = given.unclear.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(
            said,
            [
                "answers.toml:2:15: `server_port` is a number such as 20002",
                "answers.toml:3:14: nobody asks for `client_prt`; did you mean `client_port`?"
            ]
        );
    }

    #[test]
    fn words_for_the_two_natures() {
        #[track_caller]
        fn check(words: &str, expected: Option<Nature>) {
            assert_eq!(Nature::of(words), expected, "{words}");
        }
        check("stateless", Some(Nature::Stateless));
        check(" State-less.", Some(Nature::Stateless));
        check("Stateful", Some(Nature::Stateful));
        check("yes", Some(Nature::Stateless));
        check("No", Some(Nature::Stateful));
        check("Yes, it is stateless", Some(Nature::Stateless));
        check("No, it is stateful", Some(Nature::Stateful));
        check("it is not stateless", None);
        check("both stateless and stateful", None);
        check("", None);
        check("TCP", None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", octets in proptest::collection::vec(0_u8.., 0..200)) {
            for exercise in [Exercise::Ex5, Exercise::Ex7] {
                let _ = parse(exercise, "a", text.as_bytes());
                let _ = parse(exercise, "a", &octets);
            }
        }
    }
}
