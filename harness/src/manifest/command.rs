//! A command with placeholders.

use serde::{Deserialize, Serialize};

/// The words of a command, in which `{host}`, `{port}` and `{name}` stand for what is known later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandTemplate {
    /// Program and arguments; never empty.
    pub words: Vec<String>,
}

/// Everything that may stand between braces.
pub(super) const PLACEHOLDERS: [&str; 3] = ["host", "port", "name"];

impl CommandTemplate {
    /// Whether a placeholder occurs.
    pub fn mentions(&self, placeholder: &str) -> bool {
        let placeholder = format!("{{{placeholder}}}");
        self.words.iter().any(|word| word.contains(&placeholder))
    }

    /// The words with every placeholder filled.
    pub fn fill(&self, host: &str, port: u16, name: &str) -> Vec<String> {
        let fill = |word: &String| {
            word.replace("{host}", host)
                .replace("{port}", &port.to_string())
                .replace("{name}", name)
        };
        self.words.iter().map(fill).collect()
    }

    /// The first placeholder that is none, without its braces: a lower-case word between braces.
    pub fn unknown_placeholder(&self) -> Option<&str> {
        self.words.iter().find_map(|word| {
            word.match_indices('{').find_map(|(open, _)| {
                let inner = word[open + 1..].split_once('}')?.0;
                let is_word =
                    !inner.is_empty() && inner.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                (is_word && !PLACEHOLDERS.contains(&inner)).then_some(inner)
            })
        })
    }
}

impl std::fmt::Display for CommandTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shell_words::join(&self.words))
    }
}
