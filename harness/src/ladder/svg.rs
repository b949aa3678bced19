//! The ladder as a picture: one SVG file that needs nothing else, no script, no font, no style sheet. Well-formed XML 1.0
//! whatever crossed the wire.

use super::{Ladder, Row, Stroke};
use crate::text::{count, shorten, visible};
use std::fmt::Write as _;

const LEFT: usize = 90;
const TOP: usize = 62;
const ROW: usize = 34;
/// An arrow falls by so much: it arrives after it was sent.
const FALL: usize = 8;
/// Pixels that a character of a label takes.
const CHARACTER: usize = 8;

const CSS: &str = "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1b1f24;paint-order:stroke;stroke:#fff;stroke-width:4px}\
.t{font-weight:bold;font-size:15px}.n{font-weight:bold;text-anchor:middle}.m{text-anchor:middle}\
.s{fill:#57606a;font-style:italic}.f{fill:#a40e26;font-weight:bold;stroke:none}.r{fill:#a40e26}.l{fill:#8a4600}.g{fill:#57606a}\
.rail{stroke:#afb8c1;stroke-width:1}.band{fill:#ffebe9}";

/// The picture.
pub fn render(ladder: &Ladder) -> String {
    let widest = ladder.rows.iter().map(|row| match row {
        Row::Arrow { label, .. } => label.chars().count(),
        Row::Step { .. } => 0,
    });
    let widest = widest.max().unwrap_or(0);
    let lifelines = ladder.lifelines.len().max(1);
    // Of two, the label stands between them; of more, where the arrow begins.
    let gap = if lifelines <= 2 {
        (widest * CHARACTER + 60).clamp(320, 760)
    } else {
        200
    };
    let x = |index: usize| LEFT + index * gap;
    let last = x(lifelines - 1);
    let width = last + LEFT.max(if lifelines > 2 { widest * CHARACTER } else { 0 });
    let height = TOP + 24 + (ladder.rows.len() + 2) * ROW;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{0}</title>\n<style>{CSS}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text class=\"t\" x=\"16\" y=\"24\">{0}</text>",
        escape(&ladder.title)
    );
    let bottom = TOP + 12 + ladder.rows.len() * ROW;
    for (index, name) in ladder.lifelines.iter().enumerate() {
        let (x, name) = (x(index), escape(&shorten(&visible(name), 20)));
        let _ = writeln!(
            out,
            "<text class=\"n\" x=\"{x}\" y=\"{}\">{name}</text><line class=\"rail\" x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\"/>",
            TOP - 8
        );
    }
    for (number, row) in ladder.rows.iter().enumerate() {
        let y = TOP + 26 + number * ROW;
        match row {
            Row::Step { text, failed } => step(&mut out, y, width, text, *failed),
            Row::Arrow {
                from,
                to,
                label,
                stroke,
            } => {
                let centred = lifelines <= 2;
                arrow(&mut out, y, (x(*from), x(*to)), label, *stroke, centred);
            }
        }
    }
    let mut end = Vec::new();
    if ladder.rows.is_empty() {
        end.push("nothing crossed the wire".to_owned());
    }
    if ladder.left_out > 0 {
        let rows = count(ladder.left_out, "more row");
        end.push(format!(
            "… {rows} left out here; capture.pcapng has every frame"
        ));
    }
    if let Some(why) = &ladder.failed {
        end.push(format!("not everything was seen: {}", visible(why)));
    }
    for (line, text) in end.iter().enumerate() {
        let y = bottom + 22 + line * 18;
        let _ = writeln!(
            out,
            "<text class=\"s\" x=\"16\" y=\"{y}\">{}</text>",
            escape(text)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn step(out: &mut String, y: usize, width: usize, text: &str, failed: bool) {
    let text = escape(&shorten(text, 100));
    if failed {
        let _ = writeln!(
            out,
            "<rect class=\"band\" x=\"0\" y=\"{}\" width=\"{width}\" height=\"{}\"/><text class=\"f\" x=\"16\" y=\"{y}\">✗ {text}</text>",
            y - 18,
            ROW - 6
        );
    } else {
        let _ = writeln!(out, "<text class=\"s\" x=\"16\" y=\"{y}\">{text}</text>");
    }
}

fn arrow(
    out: &mut String,
    y: usize,
    (from, to): (usize, usize),
    label: &str,
    stroke: Stroke,
    centred: bool,
) {
    let (class, colour, dash, width) = match stroke {
        Stroke::Plain => ("", "#0969da", "", 1.5),
        Stroke::Again => ("g", "#57606a", " stroke-dasharray=\"5 4\"", 1.5),
        Stroke::Reset => ("r", "#cf222e", "", 2.5),
        Stroke::Lost => ("l", "#bc4c00", " stroke-dasharray=\"2 3\"", 1.5),
        Stroke::Leaves | Stroke::Arrives => ("", "#0969da", "", 1.5),
    };
    let (begin, end) = (y - 6, y - 6 + FALL);
    let right = to >= from;
    // What takes its time is drawn half as it leaves, and half as it arrives.
    let middle = from.midpoint(to);
    let (ends, (from, to)) = match stroke {
        Stroke::Leaves => ((from, to), (from, middle)),
        Stroke::Arrives => ((from, to), (middle, to)),
        _ => ((from, to), (from, to)),
    };
    // A lost one ends before its aim, with a cross.
    let tip = match (stroke == Stroke::Lost, right) {
        (true, true) => to.saturating_sub(30).max(from),
        (true, false) => to + 30,
        (false, _) => to,
    };
    let _ = write!(
        out,
        "<line x1=\"{from}\" y1=\"{begin}\" x2=\"{tip}\" y2=\"{end}\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>"
    );
    if stroke == Stroke::Lost {
        let _ = write!(
            out,
            "<path d=\"M{0} {1}l10 10m0 -10l-10 10\" stroke=\"{colour}\" stroke-width=\"2\" fill=\"none\"/>",
            tip.saturating_sub(5),
            end - 5
        );
    } else if stroke != Stroke::Leaves {
        let back = if right { "-9" } else { "9" };
        let _ = write!(
            out,
            "<path d=\"M{tip} {end}l{back} -4v8z\" fill=\"{colour}\"/>"
        );
    }
    let label = escape(label);
    let (anchor, x) = match centred {
        true => ("m", (ends.0 + ends.1) / 2),
        false => ("b", ends.0.min(ends.1) + 12),
    };
    let y = begin - 5;
    let _ = writeln!(
        out,
        "<text class=\"{anchor} {class}\" x=\"{x}\" y=\"{y}\">{label}</text>"
    );
}

/// Fit for XML 1.0, as text and in attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
