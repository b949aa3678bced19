//! How the window looks: its state goes in, a frame comes out.
//!
//! Pure: the same state on a screen of the same size gives the same cells, which is what the tests
//! compare. Every text that comes here is [printable](crate::printable) already.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Color, Modifier, Style},
};

use crate::window::{
    layout::{Areas, entry_rows, time_width},
    log::{Entry, Kind, Sight},
    state::{Status, Window, hash},
    text::{clip, width},
};

/// Colours for names: those every terminal has and that can be read on black and on white.
const PALETTE: [Color; 10] = [
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::LightRed,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
];

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
const ALARM: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// Draws the whole window.
pub fn draw(frame: &mut Frame<'_>, window: &Window) {
    let areas = window.areas(frame.area());
    let buffer = frame.buffer_mut();
    draw_title(buffer, areas.title, window);
    draw_log(buffer, areas.log, window);
    draw_members(buffer, areas.members, window);
    draw_rule(buffer, &areas, window);
    let cursor = draw_input(buffer, areas.input, window);
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// The colour of a name: the same for everybody who reads it, today and tomorrow.
pub fn colour_of(name: &str) -> Color {
    PALETTE[hash(&name.to_lowercase()) as usize % PALETTE.len()]
}

fn draw_title(buffer: &mut Buffer, area: Rect, window: &Window) {
    if area.is_empty() {
        return;
    }
    let (status, style) = match window.status() {
        Status::Chatting => (format!("{} here", window.member_count()), REVERSED),
        Status::Busy(what) => (what.to_owned(), REVERSED),
        Status::Lost(how) => (how, REVERSED.patch(ALARM)),
    };
    buffer.set_style(area, style);
    let columns = usize::from(area.width);
    // What is happening matters more than where.
    let status = clip(&status, columns.saturating_sub(2)).into_owned();
    let left = columns - width(&status).min(columns);
    let mut title = String::new();
    if let Some(name) = window.name() {
        title = format!("{name} · ");
    }
    title += window.server();
    let title = clip(&title, left.saturating_sub(4)).into_owned();
    put(buffer, area, 1, 0, &title, Style::new());
    put(
        buffer,
        area,
        left.saturating_sub(1),
        0,
        &status,
        Style::new(),
    );
}

fn draw_log(buffer: &mut Buffer, area: Rect, window: &Window) {
    let sight = Sight {
        height: usize::from(area.height),
        rows_of: |entry: &Entry| entry_rows(entry, area.width).len(),
    };
    let margin = usize::from(time_width(area.width));
    let mut broken: Option<(usize, String, usize, Vec<_>)> = None;
    let visible = window.log().visible(&sight);
    // The newest stands next to the input line, however little there is.
    let top = sight.height - visible.len();
    for (y, position) in (top..).zip(visible) {
        let Some(entry) = window.log().get(position.entry) else {
            continue;
        };
        if broken
            .as_ref()
            .is_none_or(|(number, ..)| *number != position.entry)
        {
            let (text, name_len) = entry.text();
            broken = Some((
                position.entry,
                text,
                name_len,
                entry_rows(entry, area.width),
            ));
        }
        let Some((_, text, name_len, rows)) = &broken else {
            continue;
        };
        let (name_style, text_style, time_style) = styles(&entry.kind);
        if position.row == 0 && margin > 0 {
            put(
                buffer,
                area,
                0,
                y,
                &entry.time.format("%H:%M").to_string(),
                time_style,
            );
        }
        // The name may end in the middle of a row, or in a later one.
        let row = rows[position.row].clone();
        let name_end = (*name_len).clamp(row.start, row.end);
        let name = &text[row.start..name_end];
        put(buffer, area, margin, y, name, name_style);
        put(
            buffer,
            area,
            margin + width(name),
            y,
            &text[name_end..row.end],
            text_style,
        );
    }
}

/// Of the name, the text and the time.
fn styles(kind: &Kind) -> (Style, Style, Style) {
    match kind {
        Kind::Said { name, mention, .. } => {
            let name_style = BOLD.fg(colour_of(name));
            if *mention {
                (name_style.patch(REVERSED), BOLD, REVERSED)
            } else {
                (name_style, Style::new(), DIM)
            }
        }
        Kind::Came(_) => (DIM, DIM.fg(Color::Green), DIM),
        Kind::Went(_) => (DIM, DIM.fg(Color::Red), DIM),
        Kind::Note(_) => (DIM, DIM, DIM),
        Kind::Alarm(_) => (ALARM, ALARM, DIM),
    }
}

fn draw_members(buffer: &mut Buffer, area: Rect, window: &Window) {
    if area.is_empty() {
        return;
    }
    for y in 0..area.height {
        put(buffer, area, 0, usize::from(y), "│", DIM);
    }
    let columns = usize::from(area.width) - 2;
    let height = usize::from(area.height);
    put(buffer, area, 2, 0, "Members", BOLD);
    let room = height - 1;
    let names: Vec<_> = window.members().collect();
    // The last row says how many there was no room for.
    let shown = if names.len() > room {
        room.saturating_sub(1)
    } else {
        names.len()
    };
    for (y, name) in (1..).zip(&names[..shown]) {
        let style = Style::new().fg(colour_of(name));
        let style = if Some(*name) == window.name() {
            style.patch(BOLD)
        } else {
            style
        };
        put(buffer, area, 2, y, &clip(name, columns), style);
    }
    let missing = window.member_count().max(names.len()) - shown;
    if missing > 0 && room > 0 && window.name().is_some() {
        put(
            buffer,
            area,
            2,
            shown + 1,
            &format!("and {missing} more"),
            DIM,
        );
    }
}

fn draw_rule(buffer: &mut Buffer, areas: &Areas, window: &Window) {
    let area = areas.rule;
    if area.is_empty() {
        return;
    }
    let columns = usize::from(area.width);
    put(buffer, area, 0, 0, &"─".repeat(columns), DIM);
    if !areas.members.is_empty() {
        put(buffer, area, usize::from(areas.log.width), 0, "┴", DIM);
    }
    let (text, style) = match (window.log().follows(), window.log().unseen()) {
        (true, _) => (" F1 help ".to_owned(), DIM),
        (false, 0) => (" scrolled up: Esc to the newest ".to_owned(), REVERSED),
        (false, unseen) => (format!(" {unseen} new ↓ Esc "), REVERSED.patch(BOLD)),
    };
    let text = clip(&text, columns);
    put(
        buffer,
        area,
        columns.saturating_sub(width(&text) + 2),
        0,
        &text,
        style,
    );
}

/// Returns where the cursor stands.
fn draw_input(buffer: &mut Buffer, area: Rect, window: &Window) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let prompt = window.prompt(area.width);
    let style = match window.name() {
        Some(name) if prompt.ends_with("> ") => BOLD.fg(colour_of(name)),
        _ => BOLD,
    };
    put(buffer, area, 0, 0, &prompt, style);
    let margin = width(&prompt);
    let input = window.input();
    let rows = input.rows(usize::from(area.width) - margin);
    let (row, column) = input.cursor_in(&rows);
    // The cursor's row is on the screen, with as much as possible of what is before it.
    let first = (row + 1).saturating_sub(usize::from(area.height));
    for (y, row) in rows[first..]
        .iter()
        .take(usize::from(area.height))
        .enumerate()
    {
        put(
            buffer,
            area,
            margin,
            y,
            &input.text()[row.clone()],
            Style::new(),
        );
    }
    let last_column = usize::from(area.width) - 1;
    Some(Position {
        x: area.x + (margin + column).min(last_column) as u16,
        y: area.y + (row - first) as u16,
    })
}

/// Writes a text into an area, as far as there is room.
fn put(buffer: &mut Buffer, area: Rect, x: usize, y: usize, text: &str, style: Style) {
    let room = usize::from(area.width).saturating_sub(x);
    if room == 0 || y >= usize::from(area.height) {
        return;
    }
    buffer.set_stringn(area.x + x as u16, area.y + y as u16, text, room, style);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::state::{Event, tests::Play};
    use crossterm::event::KeyCode;
    use ratatui::{Terminal, backend::TestBackend};
    use std::time::Duration;

    fn drawn(play: &mut Play, columns: u16, rows: u16) -> Terminal<TestBackend> {
        play.event(Event::Resized(columns, rows));
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("no I/O");
        let draw = |frame: &mut Frame<'_>| draw(frame, &play.window);
        terminal.draw(draw).expect("no I/O");
        terminal
    }

    /// Compares the cells and the cursor with `snapshots/window/<name>.snap`.
    #[track_caller]
    fn check(name: &str, play: &mut Play, columns: u16, rows: u16) {
        let mut terminal = drawn(play, columns, rows);
        let cursor = terminal.get_cursor_position().expect("no I/O");
        let Position { x, y } = cursor;
        let screen = terminal.backend();
        snapshots::check(
            "window",
            name,
            &format!("{screen}cursor in row {y}, column {x}\n"),
        );
    }

    fn conversation() -> Play {
        let mut play = Play::ada();
        play.hear("JOINED 3 Žofie 你好");
        play.wait(Duration::from_secs(60));
        play.hear("LINE Bob: héllo 😀, the seminar moved to 14:00");
        play.types("Then I can bring the capture. It shows how FIN and RST differ.\n");
        play.hear("LINE Žofie 你好: ada, 谢谢! e\u{301} is one column, 👩\u{200d}💻 are two");
        play.hear("LINE Bob: \x1b[2J does nothing");
        play.hear("LOST 2 Žofie 你好");
        play.types("Shall we meet at");
        play
    }

    #[test]
    fn a_conversation_on_terminals_of_several_sizes() {
        let mut play = conversation();
        for (columns, rows) in [
            (120, 12),
            (80, 24),
            (60, 8),
            (59, 8),
            (40, 12),
            (20, 6),
            (7, 3),
        ] {
            check(&format!("talk-{columns}x{rows}"), &mut play, columns, rows);
        }
    }

    #[test]
    fn the_smallest_terminals_show_what_there_is_room_for() {
        let mut play = conversation();
        for columns in 1..8 {
            for rows in 1..6 {
                drawn(&mut play, columns, rows);
            }
        }
        check("talk-3x1", &mut play, 3, 1);
    }

    #[test]
    fn logging_in() {
        let mut play = Play::start(None);
        play.types("Bob\n");
        play.hear("REFUSED the name Bob is taken, choose another");
        play.types("Ad");
        check("login-80x24", &mut play, 80, 24);
        check("login-40x12", &mut play, 40, 12);
    }

    #[test]
    fn long_and_wide_names() {
        let mut play = Play::start(Some("你好你好你好你好你好你好你好你好"));
        play.hear("WELCOME 你好你好你好你好你好你好你好你好");
        play.hear("JOINED 2 Wolfeschlegelsteinhausenbergerd");
        play.hear("LINE Wolfeschlegelsteinhausenbergerd: what a name");
        play.types("yours too");
        check("long-names-80x12", &mut play, 80, 12);
        check("long-names-30x12", &mut play, 30, 12);
    }

    #[test]
    fn more_members_than_there_is_room_for() {
        let mut play = Play::ada();
        for n in 3..=30 {
            play.hear(&format!("JOINED {n} member {n}"));
        }
        check("many-members-80x12", &mut play, 80, 12);
    }

    #[test]
    fn ten_thousand_messages_and_a_look_back() {
        let mut play = Play::ada();
        for n in 0..10_000 {
            play.hear(&format!("LINE Bob: message {n}"));
        }
        check("ten-thousand-80x12", &mut play, 80, 12);
        play.press(KeyCode::PageUp);
        play.press(KeyCode::PageUp);
        for n in 0..3 {
            play.hear(&format!("LINE Bob: news {n}"));
        }
        check("scrolled-80x12", &mut play, 80, 12);
        check("scrolled-40x8", &mut play, 40, 8);
    }

    #[test]
    fn a_draft_of_several_rows_grows_and_then_scrolls() {
        let mut play = conversation();
        play.event(Event::Paste("\nsecond line 你好\n\nfourth".to_owned()));
        check("paste-40x12", &mut play, 40, 12);
        play.event(Event::Paste("\nmore".repeat(20)));
        check("paste-80x24", &mut play, 80, 24);
    }

    #[test]
    fn a_lost_connection_is_in_the_title_and_the_log() {
        let mut play = conversation();
        play.event(Event::Gone(
            "the server has closed the connection".to_owned(),
        ));
        play.press(KeyCode::Enter);
        check("lost-80x24", &mut play, 80, 24);
        check("lost-40x12", &mut play, 40, 12);
    }

    #[test]
    fn help_and_who() {
        let mut play = conversation();
        play.press(KeyCode::F(1));
        check("help-80x24", &mut play, 80, 24);
        check("help-40x24", &mut play, 40, 24);
    }

    #[test]
    fn a_mention_and_a_name_stand_out() {
        let mut play = conversation();
        let terminal = drawn(&mut play, 80, 24);
        let buffer = terminal.backend().buffer();
        let row_of = |text: &str| {
            (0..24).find(|&y| {
                let row: String = (0..80).map(|x| buffer[(x, y)].symbol()).collect();
                row.contains(text)
            })
        };
        let mention = row_of("ada,").expect("shown");
        let plain = row_of("héllo").expect("shown");
        assert!(buffer[(0, mention)].modifier.contains(Modifier::REVERSED));
        assert!(!buffer[(0, plain)].modifier.contains(Modifier::REVERSED));
        assert_eq!(buffer[(6, plain)].fg, colour_of("Bob"));
        assert_eq!(colour_of("Bob"), colour_of("BOB"));
        assert_ne!(colour_of("Bob"), colour_of("Ada"));
    }
}
