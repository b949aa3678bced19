//! The ladder for terminals: lifelines on the left, what crossed on the right.

use super::{Ladder, Row, Stroke};
use crate::text::{count, shorten, visible};
use std::fmt::Write as _;

/// Columns from one lifeline to the next: wide where there are few.
fn gap(lifelines: usize) -> usize {
    match lifelines {
        0..=2 => 22,
        3..=4 => 14,
        _ => 9,
    }
}

/// The whole ladder.
pub fn render(ladder: &Ladder) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}\n", ladder.title);
    out.push_str(&body(ladder));
    if ladder.left_out > 0 {
        let _ = writeln!(
            out,
            "… {} left out here; capture.pcapng has every frame",
            count(ladder.left_out, "more row")
        );
    }
    if let Some(why) = &ladder.failed {
        let _ = writeln!(out, "not everything was seen: {}", visible(why));
    }
    out
}

/// Lifelines and rows alone.
pub fn body(ladder: &Ladder) -> String {
    let gap = gap(ladder.lifelines.len());
    let mut out = String::new();
    if ladder.lifelines.is_empty() {
        return "nothing crossed the wire\n".to_owned();
    }
    let mut heads = " ".to_owned();
    for name in &ladder.lifelines {
        let name = shorten(&visible(name), gap - 2);
        let _ = write!(heads, "{name:<gap$}");
    }
    let _ = writeln!(out, "{}", heads.trim_end());
    for row in &ladder.rows {
        match row {
            Row::Step { text, failed } => {
                let mark = if *failed { "✗" } else { "·" };
                let end = if *failed { "   ◀── here" } else { "" };
                let _ = writeln!(out, "{} {mark} {text}{end}", rails(ladder, gap).trim_end());
            }
            Row::Arrow {
                from,
                to,
                label,
                stroke,
            } => {
                let mut cells: Vec<char> = rails(ladder, gap).chars().collect();
                draw(&mut cells, from * gap + 1, to * gap + 1, *stroke);
                let rails: String = cells.into_iter().collect();
                let _ = writeln!(out, "{} {label}", rails.trim_end());
            }
        }
    }
    out
}

/// All lifelines, one row of each.
fn rails(ladder: &Ladder, gap: usize) -> String {
    let mut rails = " ".to_owned();
    for index in 0..ladder.lifelines.len() {
        rails.push('│');
        if index + 1 < ladder.lifelines.len() {
            rails.extend(std::iter::repeat_n(' ', gap - 1));
        }
    }
    rails
}

fn draw(cells: &mut [char], from: usize, to: usize, stroke: Stroke) {
    if from == to {
        if let Some(cell) = cells.get_mut(from) {
            *cell = '↺';
        }
        return;
    }
    let line = match stroke {
        Stroke::Plain | Stroke::Lost | Stroke::Leaves | Stroke::Arrives => '─',
        Stroke::Again => '┄',
        Stroke::Reset => '═',
    };
    let right = to > from;
    // What takes its time is drawn half as it leaves, and half as it arrives.
    let middle = from.midpoint(to);
    let (from, to) = match stroke {
        Stroke::Leaves => (from, middle),
        Stroke::Arrives => (middle, to),
        _ => (from, to),
    };
    let inner = if right { from + 1..to } else { to + 1..from };
    for cell in &mut cells[inner] {
        *cell = if *cell == '│' { '┼' } else { line };
    }
    cells[from] = match (stroke, right) {
        (Stroke::Arrives, _) => '╌',
        (_, true) => '├',
        (_, false) => '┤',
    };
    let tip = if right { to - 1 } else { to + 1 };
    cells[tip] = match (stroke, right) {
        (Stroke::Lost, _) => '✗',
        (Stroke::Leaves, _) => '╌',
        (_, true) => '▶',
        (_, false) => '◀',
    };
}
