//! Reads `lab.toml`.

use super::command::PLACEHOLDERS;
use super::{CommandTemplate, FILE, NameStyle, Programs, Submission};
use crate::diagnostic::{Mistake, Source};
use crate::lab::{self, Exercise};
use crate::paper::PaperFiles;
use crate::text::visible;
use miette::{Result, miette};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    student: Option<String>,
    build: Option<Spanned<RawCommand>>,
    ex1: Option<Spanned<RawPrograms>>,
    ex2: Option<Spanned<RawPrograms>>,
    ex3: Option<Spanned<RawPrograms>>,
    ex4: Option<Spanned<RawPrograms>>,
    ex5: Option<RawCapture>,
    ex6: Option<Spanned<RawPrograms>>,
    ex7: Option<RawAnswers>,
    ex8: Option<Spanned<RawPrograms>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrograms {
    dir: Option<Spanned<String>>,
    build: Option<Spanned<RawCommand>>,
    server: Spanned<RawCommand>,
    client: Spanned<RawCommand>,
    port: Option<Spanned<u16>>,
    address: Option<Spanned<String>>,
    quit: Option<String>,
    name: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCapture {
    dir: Option<Spanned<String>>,
    capture: Spanned<String>,
    answers: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswers {
    dir: Option<Spanned<String>>,
    answers: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a command is a text, or an array of texts")]
enum RawCommand {
    Line(String),
    Words(Vec<String>),
}

/// Reads the manifest of the submission in `dir`.
///
/// # Errors
/// When there is none, or with its first mistake: unknown keys, missing files, bad placeholders and the like.
pub fn read(dir: &Path) -> Result<Submission> {
    let path = dir.join(FILE);
    if !dir.is_dir() {
        return Err(miette!(
            help = "name the folder that holds the submission's lab.toml",
            "there is no folder {}",
            dir.display()
        ));
    }
    if !path.exists() {
        return Err(miette!(
            help = format!(
                "`harness init {}` writes one from the files it finds",
                dir.display()
            ),
            "there is no {FILE} in {}",
            dir.display()
        ));
    }
    let source = Source::read(&path).map_err(|error| miette!("{error}"))?;
    let raw: RawManifest = toml::from_str(&source.text)
        .map_err(|error| miette::Report::new(*syntax_error(&source, &error)))?;
    let dir = std::fs::canonicalize(dir)
        .map_err(|error| miette!("cannot open {}: {error}", dir.display()))?;
    Reader {
        source: &source,
        dir: &dir,
    }
    .submission(raw)
    .map_err(|mistake| miette::Report::new(*mistake))
}

fn syntax_error(source: &Source, error: &toml::de::Error) -> Box<Mistake> {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    // serde's "unknown field `sever`, expected one of …" holds the word; say what was probably meant.
    let help = message.strip_prefix("unknown field `").and_then(|rest| {
        let (word, expected) = rest.split_once('`')?;
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        Some(match lab::nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        })
    });
    let help = help.or_else(|| match message {
        "missing field `server`" => {
            Some("add a line such as: server = \"python3 Server.py\"".to_owned())
        }
        "missing field `client`" => {
            Some("add a line such as: client = \"python3 Client.py\"".to_owned())
        }
        _ if message.contains("invalid type: string") => {
            Some("write the number without quotes".to_owned())
        }
        _ if message.contains("invalid basic string") => {
            Some("close the quote on the line where it was opened".to_owned())
        }
        _ => None,
    });
    source.mistake(
        (span.start, span.len()),
        visible(message.lines().next().unwrap_or("this is not TOML")),
        "here",
        help,
    )
}

struct Reader<'a> {
    source: &'a Source,
    dir: &'a Path,
}

type Checked<T> = std::result::Result<T, Box<Mistake>>;

impl Reader<'_> {
    fn submission(&self, raw: RawManifest) -> Checked<Submission> {
        let build = raw
            .build
            .map(|build| self.command(build, self.dir, true))
            .transpose()?;
        let mut programs = BTreeMap::new();
        let sections = [
            (Exercise::Ex1, raw.ex1),
            (Exercise::Ex2, raw.ex2),
            (Exercise::Ex3, raw.ex3),
            (Exercise::Ex4, raw.ex4),
            (Exercise::Ex6, raw.ex6),
            (Exercise::Ex8, raw.ex8),
        ];
        for (exercise, section) in sections {
            if let Some(section) = section {
                programs.insert(exercise, self.programs(exercise, section, build.is_some())?);
            }
        }
        let mut papers = BTreeMap::new();
        if let Some(section) = raw.ex5 {
            let dir = self.folder(section.dir)?;
            let files = PaperFiles {
                capture: Some(self.file(&dir, &section.capture)?),
                answers: self.file(&dir, &section.answers)?,
                dir,
            };
            papers.insert(Exercise::Ex5, files);
        }
        if let Some(section) = raw.ex7 {
            let dir = self.folder(section.dir)?;
            let files = PaperFiles {
                capture: None,
                answers: self.file(&dir, &section.answers)?,
                dir,
            };
            papers.insert(Exercise::Ex7, files);
        }
        if programs.is_empty() && papers.is_empty() {
            let help = "add a section such as [ex1] with server = … and client = …".to_owned();
            return Err(self.source.mistake(
                (0, 0),
                "the manifest names no exercise",
                "here",
                help,
            ));
        }
        let student = raw.student.unwrap_or_else(|| {
            self.dir.file_name().map_or_else(
                || "unnamed".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            )
        });
        Ok(Submission {
            student,
            dir: self.dir.to_owned(),
            build,
            programs,
            papers,
        })
    }

    fn programs(
        &self,
        exercise: Exercise,
        section: Spanned<RawPrograms>,
        built: bool,
    ) -> Checked<Programs> {
        let whole = section.span();
        let section = section.into_inner();
        let dir = self.folder(section.dir)?;
        let build = section
            .build
            .map(|build| self.command(build, &dir, true))
            .transpose()?;
        let built = built || build.is_some();
        let (server_span, client_span) = (section.server.span(), section.client.span());
        let server = self.command(section.server, &dir, built)?;
        let client = self.command(section.client, &dir, built)?;
        if server.mentions("name") {
            let help =
                "a server has no login name; {name} belongs into the client's command".to_owned();
            return Err(self.wrong(&server_span, "`{name}` in the server's command", help));
        }
        let name = match section.name {
            None if client.mentions("name") => NameStyle::Argument,
            None => NameStyle::Typed,
            Some(style) => {
                let span = style.span();
                let style = self.name_style(style)?;
                if (style == NameStyle::Argument) != client.mentions("name") {
                    let help = "name = \"argument\" and {name} in the client's command go together"
                        .to_owned();
                    return Err(self.wrong(
                        &client_span,
                        "how does the client learn its name?",
                        help,
                    ));
                }
                if exercise == Exercise::Ex8 && matches!(style, NameStyle::Fixed(_)) {
                    let help = "in a chat room every client needs a name of its own: \"typed\" or \"argument\"".to_owned();
                    return Err(self.wrong(&span, "a fixed name cannot be unique", help));
                }
                style
            }
        };
        let port = match section.port {
            Some(port) if *port.get_ref() == 0 => {
                let help = "leave it out: the harness finds the port by itself".to_owned();
                return Err(self.wrong(&port.span(), "port 0 is no port", help));
            }
            port => port.map(Spanned::into_inner),
        };
        let address_span = section.address.as_ref().map(Spanned::span);
        let address = match section.address {
            None => None,
            Some(text) => Some(text.get_ref().parse::<Ipv4Addr>().map_err(|_| {
                let help = "write the IPv4 address that stands in the code, such as \"10.196.3.4\""
                    .to_owned();
                self.wrong(&text.span(), "this is no IPv4 address", help)
            })?),
        };
        if let (Some(address), Some(span)) = (address, address_span)
            && (address.is_unspecified() || address.is_multicast() || address.is_broadcast())
        {
            let help = "write the address of a computer, such as \"10.196.3.4\"".to_owned();
            return Err(self.wrong(
                &span,
                format!("no computer has the address {address}"),
                help,
            ));
        }
        let quit = section.quit.unwrap_or_else(|| "q".to_owned());
        if quit.contains(['\n', '\r']) {
            let span = whole.start..whole.start;
            return Err(self.wrong(
                &span,
                "quit is one line",
                "write the word alone, such as \"/quit\"".to_owned(),
            ));
        }
        Ok(Programs {
            dir,
            build,
            server,
            client,
            port,
            address,
            quit,
            name,
        })
    }

    fn name_style(&self, style: Spanned<String>) -> Checked<NameStyle> {
        match style.get_ref().as_str() {
            "typed" => Ok(NameStyle::Typed),
            "argument" => Ok(NameStyle::Argument),
            other => match other.strip_prefix("fixed:").map(str::trim) {
                Some(name) if !name.is_empty() => Ok(NameStyle::Fixed(name.to_owned())),
                _ => {
                    let help = "write \"typed\", \"argument\" or \"fixed:Ada\"".to_owned();
                    Err(self.wrong(
                        &style.span(),
                        format!("`{other}` is no way to learn a name"),
                        help,
                    ))
                }
            },
        }
    }

    fn command(
        &self,
        raw: Spanned<RawCommand>,
        dir: &Path,
        built: bool,
    ) -> Checked<CommandTemplate> {
        let span = raw.span();
        let words = match raw.into_inner() {
            RawCommand::Words(words) => words,
            RawCommand::Line(line) => shell_words::split(&line).map_err(|_| {
                self.wrong(
                    &span,
                    "a quote is not closed",
                    "close it, or write the command as an array of texts".to_owned(),
                )
            })?,
        };
        if words.first().is_none_or(String::is_empty) {
            return Err(self.wrong(
                &span,
                "the command is empty",
                "write the program and its arguments".to_owned(),
            ));
        }
        let command = CommandTemplate { words };
        if let Some(word) = command.unknown_placeholder() {
            let help = match lab::nearest(word, PLACEHOLDERS) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => "known placeholders: {host}, {port}, {name}".to_owned(),
            };
            return Err(self.wrong(&span, format!("`{{{word}}}` stands for nothing"), help));
        }
        if !command.words[0].ends_with("sh") && command.words.iter().any(|word| word.contains('*'))
        {
            let help = "no shell runs the command, so * stands for itself: name the files, or write sh -c '…'".to_owned();
            return Err(self.wrong(&span, "`*` in a command", help));
        }
        self.program_exists(&command, dir, built, &span)?;
        Ok(command)
    }

    /// The program must be there, unless a build may still make it; so must a source file among the arguments.
    fn program_exists(
        &self,
        command: &CommandTemplate,
        dir: &Path,
        built: bool,
        span: &Range<usize>,
    ) -> Checked<()> {
        let program = &command.words[0];
        if program.contains('/') {
            if !built && !dir.join(program).exists() {
                return Err(self.missing(span, &dir.join(program)));
            }
        } else if !in_path(program) {
            let help = match (program.as_str(), in_path("python3")) {
                ("python" | "py", true) => "write python3".to_owned(),
                _ => format!(
                    "install `{program}`, or write the path of the program (./{program} for one in the folder)"
                ),
            };
            return Err(self.wrong(
                span,
                format!("this machine has no program `{program}`"),
                help,
            ));
        }
        const SOURCES: [&str; 10] = [
            "py", "js", "mjs", "ts", "rb", "jar", "lua", "php", "pl", "sh",
        ];
        let source = command.words[1..].iter().find(|word| {
            let path = Path::new(word);
            let is_source = path
                .extension()
                .and_then(|e| e.to_str())
                .is_some_and(|e| SOURCES.contains(&e));
            is_source
                && !word.contains(['{', '=', ' '])
                && !word.starts_with('-')
                && !dir.join(path).exists()
        });
        match source {
            Some(word) if !built => Err(self.missing(span, &dir.join(word))),
            _ => Ok(()),
        }
    }

    fn folder(&self, dir: Option<Spanned<String>>) -> Checked<PathBuf> {
        let Some(dir) = dir else {
            return Ok(self.dir.to_owned());
        };
        let path = self.dir.join(dir.get_ref());
        if path.is_dir() {
            Ok(path)
        } else {
            Err(self.missing(&dir.span(), &path))
        }
    }

    fn file(&self, dir: &Path, file: &Spanned<String>) -> Checked<PathBuf> {
        let path = dir.join(file.get_ref());
        if path.is_file() {
            Ok(path)
        } else {
            Err(self.missing(&file.span(), &path))
        }
    }

    fn missing(&self, span: &Range<usize>, path: &Path) -> Box<Mistake> {
        let shown = path.strip_prefix(self.dir).unwrap_or(path).display();
        let wanted = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let folder = path.parent().unwrap_or(self.dir);
        let names: Vec<String> = std::fs::read_dir(folder)
            .map(|entries| {
                entries
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect()
            })
            .unwrap_or_default();
        let help = match lab::nearest(&wanted, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "paths are looked up from the section's dir".to_owned(),
        };
        self.wrong(span, format!("there is no `{shown}`"), help)
    }

    fn wrong(&self, span: &Range<usize>, message: impl Into<String>, help: String) -> Box<Mistake> {
        self.source
            .mistake((span.start, span.len()), message, "here", help)
    }
}

/// Whether a program of this name is in one of the folders of `PATH`.
fn in_path(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        folder
            .join(program)
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}
