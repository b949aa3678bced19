//! The options that all commands with a view share, and what they ask of a pipeline.

use crate::conversation::Role;
use crate::expect::Expectation;
use crate::pipeline::{Finished, Setup};
use crate::text;
use crate::view::blocks::Order;
use crate::view::{Names, Style, ViewChoice};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

/// The lab's ports.
const LAB_PORTS: [u16; 2] = [20001, 20002];

/// Which traffic, and how it is shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct ViewOptions {
    /// Only traffic from or to these ports
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', default_values_t = LAB_PORTS)]
    pub(crate) ports: Vec<u16>,

    /// Traffic of all ports
    #[arg(long, conflicts_with = "ports")]
    pub(crate) all: bool,

    /// How to show it
    #[arg(long, value_enum, default_value_t = ViewName::Talk)]
    pub(crate) view: ViewName,

    /// Text for people, or JSON, one object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Add short teaching notes, each with the section of the RFC to read (talk)
    #[arg(long)]
    pub(crate) explain: bool,

    /// Show only this conversation
    #[arg(long, value_name = "N")]
    pub(crate) conversation: Option<u32>,

    /// Show only what this side says (follow)
    #[arg(long, value_name = "SIDE")]
    pub(crate) from: Option<Side>,

    /// The octets as they are, nothing added or escaped (follow, with --from and --conversation)
    #[arg(long, requires_all = ["from", "conversation"])]
    pub(crate) raw: bool,

    /// Names for ends: NAME=PORT or NAME=ADDRESS:PORT, e.g. ada=51234
    #[arg(
        long = "names",
        visible_alias = "follow-names",
        value_name = "NAME=END,…",
        value_delimiter = ','
    )]
    pub(crate) names: Vec<String>,

    /// What has to be seen, else the exit status is 1; may be given several times [handshake, close=fin,
    /// close=rst, no-reset, refused, plaintext, tcp, udp, conversations=N, 'client says "HELLO"',
    /// 'server says "…"']
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Vec<Expectation>,

    /// Draw the ladder into this file too, as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Colours: by direction, on a terminal only unless asked for
    #[arg(long, alias = "colour", value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,

    /// Columns to use [default: the terminal's]
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) width: Option<u16>,
}

/// The views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewName {
    /// The handshake told step by step, the text, the end
    Talk,
    /// One line a segment or datagram
    Segments,
    /// Two lifelines with an arrow for each segment
    Ladder,
    /// What each side said
    Follow,
    /// One line a conversation
    Summary,
    /// Tables for the hand-in, in Markdown
    Report,
}

/// Text or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// One side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Who began
    Client,
    /// Who waited
    Server,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ViewOptions {
    /// What these options ask of a pipeline that writes to something that is a terminal, or not.
    pub(crate) fn setup(&self, order: Order, is_terminal: bool) -> anyhow::Result<Setup> {
        let colour = match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                is_terminal
                    && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
            }
        };
        let width = match self.width {
            Some(width) => usize::from(width),
            None if is_terminal => {
                terminal_size::terminal_size().map_or(0, |(width, _)| usize::from(width.0))
            }
            None => 0,
        };
        let mut names = Names::default();
        for name in &self.names {
            names
                .add(name)
                .with_context(|| format!("--names {}", text::safe(name.as_bytes())))?;
        }
        Ok(Setup {
            ports: (!self.all).then(|| self.ports.clone()),
            view: self.choice()?,
            style: Style {
                colour,
                explain: self.explain,
                width,
                start: Default::default(),
                names,
            },
            order,
            conversation: self.conversation,
            svg: self.svg.is_some(),
            expectations: self.expect.clone(),
        })
    }

    fn choice(&self) -> anyhow::Result<ViewChoice> {
        let from = self.from.map(|side| match side {
            Side::Client => Role::Client,
            Side::Server => Role::Server,
        });
        if from.is_some() && self.view != ViewName::Follow {
            bail!("--from belongs to --view follow");
        }
        if self.explain && self.view != ViewName::Talk {
            bail!("--explain belongs to --view talk");
        }
        if self.explain && self.format == Format::Json {
            bail!("--explain and --format json exclude each other");
        }
        Ok(match (self.view, self.format) {
            (ViewName::Follow, Format::Text) => match (from, self.raw) {
                (Some(role), true) => ViewChoice::Raw(role),
                (from, _) => ViewChoice::Follow(from),
            },
            (_, Format::Json) if self.raw => bail!("--raw and --format json exclude each other"),
            (ViewName::Follow, Format::Json) => ViewChoice::FollowJson(from),
            (ViewName::Summary, Format::Text) => ViewChoice::Summary,
            (ViewName::Summary, Format::Json) => ViewChoice::SummaryJson,
            (ViewName::Report, Format::Text) => ViewChoice::Report,
            (ViewName::Report, Format::Json) => {
                bail!("the report is Markdown; for JSON use --view segments or summary")
            }
            (_, Format::Json) => ViewChoice::Json,
            (ViewName::Talk, Format::Text) => ViewChoice::Talk,
            (ViewName::Segments, Format::Text) => ViewChoice::Segments,
            (ViewName::Ladder, Format::Text) => ViewChoice::Ladder,
        })
    }

    /// Writes the picture, says which expectations were met, and returns whether all were.
    pub(crate) fn conclude(&self, finished: &Finished) -> anyhow::Result<bool> {
        if let (Some(file), Some(svg)) = (&self.svg, &finished.svg) {
            std::fs::write(file, svg)
                .with_context(|| format!("the picture {} cannot be written", file.display()))?;
        }
        self.warn(finished);
        if let Some(wanted) = self.conversation
            && u64::from(wanted) >= finished.conversations
        {
            eprintln!(
                "capture: there is no conversation {wanted}; there {}",
                match finished.conversations {
                    0 => "is none at all".to_owned(),
                    1 => "is only conversation 0".to_owned(),
                    count => format!("are 0 to {}", count - 1),
                }
            );
        }
        let mut all_met = true;
        for (expectation, met, because) in &finished.verdicts {
            all_met &= met;
            let mark = if *met { "✓" } else { "✗" };
            let _ = writeln!(io::stderr(), "{mark} expected {expectation}: {because}");
        }
        Ok(all_met)
    }
}

impl ViewOptions {
    /// What the output cannot say, because it is for another program or a document.
    fn warn(&self, finished: &Finished) {
        let mut words = String::new();
        if let (true, Some(side)) = (self.raw, self.from) {
            let missing = match side {
                Side::Client => finished.missing[0],
                Side::Server => finished.missing[1],
            };
            if missing > 0 {
                words = format!("{missing} octets of it are not in the capture\n");
            }
        }
        let speaks_for_itself = self.format == Format::Text
            && !matches!(self.view, ViewName::Follow | ViewName::Report);
        if !speaks_for_itself {
            for (reason, (count, number)) in &finished.counts.undecoded {
                words += &match number {
                    0 => format!("{reason} ({count} such)\n"),
                    number => format!("frame {number}: {reason} ({count} such)\n"),
                };
            }
        }
        if finished.counts.lab == 0 && finished.counts.frames > 0 {
            words += &match self.all {
                true => "no frame has TCP or UDP in it\n".to_owned(),
                false => {
                    let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
                    let whose = match finished.counts.frames {
                        1 => "the only frame is not".to_owned(),
                        frames => format!("none of {frames} frames is"),
                    };
                    format!(
                        "{whose} on port {}; --ports chooses others, --all shows everything\n",
                        ports.join(" or ")
                    )
                }
            };
        }
        for line in words.lines() {
            let _ = writeln!(io::stderr(), "capture: {line}");
        }
    }
}

/// Whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}
