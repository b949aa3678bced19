//! A step on one line, for headings: what happens, or what is looked for.

use super::model::{Action, Actors, Pattern, See};
use crate::text;
use std::fmt;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("\"{}\"", text::shorten(&text::visible(text), 60));
        match self {
            Action::Start { actor, .. } => write!(f, "start {actor}"),
            Action::GiveName { actor } => write!(f, "{actor} gives-name"),
            Action::Type { actor, lines } => {
                let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
                let shown = lines.iter().take(3).cloned().collect::<Vec<_>>().join(" ");
                let more = if lines.len() > 3 { " …" } else { "" };
                write!(f, "{actor} types {shown}{more}")
            }
            Action::Try { actor, line } => write!(f, "{actor} tries {}", quoted(line)),
            Action::Quit { actor } => write!(f, "{actor} quits"),
            Action::Leave { actor } => write!(f, "{actor} leaves"),
            Action::Kill { actor } => write!(f, "{actor} dies"),
            Action::Pause { actor } => write!(f, "{actor} pauses"),
            Action::Resume { actor } => write!(f, "{actor} resumes"),
            Action::SendDatagram { payload } => write!(f, "peer sends {} octets", payload.len()),
            Action::AddAddress { address } => write!(f, "network address {address}"),
            Action::SmallBuffers { octets } => write!(f, "network buffers {octets}"),
            Action::See(See {
                actors, pattern, ..
            }) => write!(
                f,
                "{} sees {pattern}",
                Names(actors.list(), matches!(actors, Actors::Any(_)))
            ),
            Action::NotSee { actors, pattern } => {
                let pattern: &Pattern = pattern;
                write!(f, "{} does-not-see {pattern}", Names(actors, false))
            }
            Action::Exit { actor, .. } => write!(f, "{actor} exits"),
            Action::Running { actor } => write!(f, "{actor} is-running"),
            Action::Listens { transport, .. } => write!(f, "server listens {transport}"),
            Action::Carry { .. } => f.write_str("network carries"),
            Action::TellApart { actor, .. } => write!(f, "{actor} tells-apart"),
            Action::SeeHistory { actors, .. } => {
                write!(f, "{} sees-every-line", Names(actors, false))
            }
            Action::Wire(wire) => wire.fmt(f),
            Action::Restart => f.write_str("restart server"),
            Action::Fault(fault) => write!(f, "fault {fault}"),
            Action::FaultHappens { .. } => f.write_str("fault happens"),
        }
    }
}

struct Names<'a>(&'a [String], bool);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [only] => f.write_str(only),
            all if all.len() > 4 => write!(f, "{} clients", all.len()),
            all => f.write_str(&all.join(if self.1 { " or " } else { ", " })),
        }
    }
}
