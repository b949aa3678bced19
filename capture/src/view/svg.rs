//! The ladder as a picture: one SVG file with all conversations, one below the other.
//!
//! The file needs nothing else: no script, no font, no style sheet. What was said is made safe like anywhere else and
//! escaped, so the picture is well-formed XML 1.0 whatever crossed the wire. A picture that nobody could look at is not
//! drawn: there are most rows and most conversations, and what is left out is said.

use super::ladder::{
    Budget, Label, Stroke, absences, folded_words, missing_in, push_notes, skipped_words,
};
use super::line::{
    break_line, columns, count, push_address, push_fitting, push_seconds, transport,
};
use super::{Style, verdict};
use crate::conversation::{Conversation, Direction, Message, Role, Sink, State, Step, StepKind};
use crate::decode::Transport;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Arrows drawn of one conversation; after these only what opens or ends something.
const MOST_ARROWS: u32 = 200;
/// Rows of the whole picture; after these no further conversation is begun.
const MOST_ROWS: usize = 600;
/// Conversations in the picture.
const MOST_CONVERSATIONS: usize = 40;
/// Columns of a text between the lifelines.
const COLUMNS: usize = 68;
/// Columns of a verdict that begins at the left lifeline, and of one that begins at the left edge.
const VERDICT_COLUMNS: usize = 80;
const LAST_COLUMNS: usize = 115;

// Places from left to right: number, time, state of the client, lifelines, state of the server.
const WIDTH: u32 = 1_000;
const NUMBER: u32 = 60;
const TIME: u32 = 150;
const LEFT: u32 = 265;
const RIGHT: u32 = 855;
const MIDDLE: u32 = (LEFT + RIGHT) / 2;
/// Between a lifeline and the state beside it.
const BESIDE: u32 = 9;
const HEAD: u32 = 10;
const ARROW_HEIGHT: u32 = 30;
const LINE_HEIGHT: u32 = 17;

/// Gathers a picture of what it is told.
#[derive(Debug)]
pub struct Svg {
    style: Style,
    drawings: BTreeMap<u32, Drawing>,
    rows: usize,
    left_out: u64,
}

#[derive(Debug)]
struct Drawing {
    title: String,
    heads: [[String; 2]; 2],
    transport: Transport,
    rows: Vec<Row>,
    budget: Budget,
    states: [State; 2],
    is_late: bool,
    verdict: Option<(bool, String)>,
}

#[derive(Debug)]
enum Row {
    Arrow(Arrow),
    /// Something that is not there.
    Absence(String),
}

#[derive(Debug)]
struct Arrow {
    number: u64,
    time: String,
    direction: Direction,
    stroke: Stroke,
    label: String,
    payload: Option<String>,
    notes: Vec<String>,
    /// Where they changed.
    states: [Option<State>; 2],
}

impl Row {
    fn height(&self) -> u32 {
        match self {
            Row::Arrow(arrow) => {
                let lines = arrow.notes.len() as u32 + u32::from(arrow.payload.is_some());
                ARROW_HEIGHT + LINE_HEIGHT * lines
            }
            Row::Absence(_) => LINE_HEIGHT + 8,
        }
    }
}

impl Svg {
    /// Of the style, the names and the start count.
    pub fn new(style: Style) -> Self {
        Svg {
            style,
            drawings: BTreeMap::new(),
            rows: 0,
            left_out: 0,
        }
    }

    /// The picture of everything told so far.
    pub fn into_svg(mut self) -> String {
        for drawing in self.drawings.values_mut() {
            drawing.tell_left_out();
        }
        let mut body = String::new();
        let mut y = 0;
        for drawing in self.drawings.values() {
            y = drawing.draw(&mut body, y + 34);
        }
        let last_words = if self.left_out > 0 {
            format!(
                "… {} not drawn; --conversation N draws one of them",
                count(self.left_out, "more conversation")
            )
        } else if self.drawings.is_empty() {
            "no conversation was captured".to_owned()
        } else {
            String::new()
        };
        if !last_words.is_empty() {
            y += 34;
            push_text(&mut body, (NUMBER - 40, y), "note", &last_words);
        }
        let height = y + 24;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\">\n<title>Ladder of the captured conversations</title>\n\
             <style>{CSS}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
        )
    }

    /// The drawing of a conversation, if it is in the picture.
    fn drawing(&mut self, conversation: &Conversation) -> Option<&mut Drawing> {
        let has_room = self.drawings.len() < MOST_CONVERSATIONS && self.rows < MOST_ROWS;
        if !self.drawings.contains_key(&conversation.id) && has_room {
            self.drawings
                .insert(conversation.id, Drawing::of(conversation, &self.style));
        }
        self.drawings.get_mut(&conversation.id)
    }
}

/// All texts have enough contrast on white (at least 4.5 : 1). Client blue, server brown, trouble red.
const CSS: &str = "\
text{font:13px monospace;white-space:pre;fill:#222}\
.title{font:bold 16px sans-serif}\
.name{font:bold 14px sans-serif}\
.side{fill:#555;font-size:12px}\
.note{fill:#555;font-size:12px;font-style:italic}\
.good{fill:#1b6e2d;font:13px sans-serif}\
.bad{fill:#b00020;font:13px sans-serif}\
.c{fill:#0b5394}.s{fill:#8a4b00}.r{fill:#b00020}\
.life{stroke:#999;stroke-width:1.5}\
line.c{stroke:#0b5394}line.s{stroke:#8a4b00}line.r{stroke:#b00020}\
line{stroke-width:1.5}\
.end{text-anchor:end}.mid{text-anchor:middle}";

impl Sink for Svg {
    fn step(&mut self, conversation: &Conversation, step: &Step<'_>) {
        let start = self.style.start;
        let is_full = self.rows >= MOST_ROWS;
        let Some(drawing) = self.drawing(conversation) else {
            return;
        };
        let before = drawing.rows.len();
        let most = if is_full { 0 } else { MOST_ARROWS };
        if drawing.budget.admits(step, most) {
            drawing.tell_left_out();
            let absences = absences(step, &mut drawing.is_late);
            drawing.rows.extend(absences.into_iter().map(Row::Absence));
            let mut time = Vec::new();
            push_seconds(&mut time, step.time.nanos_since(start), 0);
            drawing.add(conversation, step, text(time));
        }
        let added = drawing.rows.len() - before;
        self.rows += added;
    }

    /// The arrows of these messages are drawn already; only what they lack is new.
    fn late_messages(&mut self, conversation: &Conversation, messages: &[Message<'_>]) {
        if self.rows < MOST_ROWS
            && let Some(drawing) = self.drawings.get_mut(&conversation.id)
        {
            let before = drawing.rows.len();
            drawing.rows.extend(missing_in(messages).map(Row::Absence));
            self.rows += drawing.rows.len() - before;
        }
    }

    fn retired(&mut self, conversation: &Conversation) {
        let Some(drawing) = self.drawings.get_mut(&conversation.id) else {
            self.left_out += 1;
            return;
        };
        let mut words = Vec::new();
        verdict::push_verdict(&mut words, &self.style, conversation);
        drawing.verdict = Some((verdict::is_good(conversation), text(words)));
    }
}

impl Drawing {
    fn of(conversation: &Conversation, style: &Style) -> Self {
        Drawing {
            title: format!(
                "conversation {}, {}",
                conversation.id,
                transport(conversation.transport)
            ),
            heads: [Role::Client, Role::Server].map(|role| {
                let mut address = Vec::new();
                push_address(&mut address, conversation.end(role));
                [style.names.of(conversation, role).to_owned(), text(address)]
            }),
            transport: conversation.transport,
            rows: Vec::new(),
            budget: Budget::default(),
            states: [State::Closed; 2],
            is_late: false,
            verdict: None,
        }
    }

    /// Rows for what was left out since the last arrow.
    fn tell_left_out(&mut self) {
        let folded = folded_words(std::mem::take(&mut self.budget.folded));
        let skipped = skipped_words(std::mem::take(&mut self.budget.skipped), self.transport);
        self.rows
            .extend(folded.into_iter().chain(skipped).map(Row::Absence));
    }

    fn add(&mut self, conversation: &Conversation, step: &Step<'_>, time: String) {
        let stroke = Stroke::of(step);
        let mut label = Label::default();
        label.set(step, stroke);
        let is_said = step.payload_len > 0 && !matches!(step.kind, StepKind::Unreachable(_));
        let payload = is_said.then(|| {
            let mut payload = Vec::new();
            let kind = step.payload_kind;
            push_fitting(&mut payload, step.payload, kind, COLUMNS);
            text(payload)
        });
        let mut notes = Vec::new();
        push_notes(&mut notes, conversation, step);
        let mut states = [None; 2];
        for (place, changed) in states.iter_mut().enumerate() {
            let state = conversation.states[place];
            if self.states[place] != state {
                self.states[place] = state;
                *changed = Some(state);
            }
        }
        self.rows.push(Row::Arrow(Arrow {
            number: step.number,
            time,
            direction: step.direction,
            stroke,
            label: text(label.text),
            payload,
            notes: text(notes).lines().map(str::to_owned).collect(),
            states,
        }));
    }

    /// Draws it from `y` on and returns where it ends.
    fn draw(&self, out: &mut String, y: u32) -> u32 {
        push_text(out, (NUMBER - 40, y), "title", &self.title);
        let names = y + 26;
        let [client, server] = &self.heads;
        push_text(out, (LEFT, names), "name c", &client[0]);
        push_text(out, (RIGHT, names), "name s end", &server[0]);
        push_text(out, (LEFT, names + 17), "c", &client[1]);
        push_text(out, (RIGHT, names + 17), "s end", &server[1]);
        push_text(out, (NUMBER, names + 17), "side end", "no.");
        push_text(out, (TIME, names + 17), "side end", "time");
        let top = names + 26;
        let bottom = top + 10 + self.rows.iter().map(Row::height).sum::<u32>();
        for x in [LEFT, RIGHT] {
            push_line(out, "life", (x, top), (x, bottom), "");
        }
        let mut y = top + 10;
        for row in &self.rows {
            match row {
                Row::Arrow(arrow) => arrow.draw(out, y),
                Row::Absence(words) => {
                    push_text(out, (MIDDLE, y + 16), "note mid", &format!("⋯ {words} ⋯"));
                }
            }
            y += row.height();
        }
        let Some((is_good, words)) = &self.verdict else {
            return bottom;
        };
        let (class, mark) = if *is_good {
            ("good", "✓")
        } else {
            ("bad", "!")
        };
        let words = format!("{mark} {words}");
        let left = if columns(&words) <= VERDICT_COLUMNS {
            LEFT
        } else {
            NUMBER - 40
        };
        let (mut y, mut rest) = (bottom, &*words);
        while !rest.is_empty() {
            let (line, after) = break_line(rest, LAST_COLUMNS);
            y += 20;
            push_text(out, (left, y), class, line);
            rest = after;
        }
        y
    }
}

impl Arrow {
    fn draw(&self, out: &mut String, y: u32) {
        let class = match (self.stroke, self.direction) {
            (Stroke::Reset | Stroke::Icmp, _) => "r",
            (_, Direction::ToServer) => "c",
            (_, Direction::ToClient) => "s",
        };
        let label_y = y + 15;
        let line_y = y + 21;
        push_text(
            out,
            (NUMBER, line_y + 4),
            "side end",
            &self.number.to_string(),
        );
        push_text(out, (TIME, line_y + 4), "side end", &self.time);
        if let Some(state) = self.states[0] {
            push_text(out, (LEFT - BESIDE, line_y + 4), "side end", state.name());
        }
        if let Some(state) = self.states[1] {
            push_text(out, (RIGHT + BESIDE, line_y + 4), "side", state.name());
        }
        push_text(out, (MIDDLE, label_y), &format!("mid {class}"), &self.label);
        let (from, to) = match self.direction {
            Direction::ToServer => (LEFT, RIGHT),
            Direction::ToClient => (RIGHT, LEFT),
        };
        let stroke = match self.stroke {
            Stroke::Solid => "",
            Stroke::Again => " stroke-dasharray=\"7 5\"",
            Stroke::Reset => " style=\"stroke-width:3\"",
            Stroke::Icmp => " stroke-dasharray=\"2 4\"",
        };
        // The line ends where the head begins, so that the head stays sharp.
        let toward = |distance: u32| match self.direction {
            Direction::ToServer => to - distance,
            Direction::ToClient => to + distance,
        };
        match self.stroke {
            Stroke::Reset => {
                push_line(
                    out,
                    class,
                    (from, line_y),
                    (toward(HEAD + 2), line_y),
                    stroke,
                );
                let (near, far) = (toward(2), toward(HEAD + 2));
                let (above, below) = (line_y - HEAD / 2, line_y + HEAD / 2);
                let heavy = " style=\"stroke-width:2.5\"";
                push_line(out, class, (near, above), (far, below), heavy);
                push_line(out, class, (near, below), (far, above), heavy);
            }
            _ => {
                push_line(out, class, (from, line_y), (toward(HEAD), line_y), stroke);
                let _ = writeln!(
                    out,
                    "<polygon class=\"{class}\" points=\"{to},{line_y} {back},{} {back},{}\"/>",
                    line_y - HEAD / 2,
                    line_y + HEAD / 2,
                    back = toward(HEAD)
                );
            }
        }
        let mut below = line_y;
        if let Some(payload) = &self.payload {
            below += LINE_HEIGHT;
            push_text(out, (MIDDLE, below), &format!("mid {class}"), payload);
        }
        for note in &self.notes {
            below += LINE_HEIGHT;
            push_text(out, (MIDDLE, below), "mid note", note);
        }
    }
}

fn push_line(out: &mut String, class: &str, from: (u32, u32), to: (u32, u32), stroke: &str) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{stroke}/>",
        from.0, from.1, to.0, to.1
    );
}

fn push_text(out: &mut String, (x, y): (u32, u32), class: &str, text: &str) {
    let _ = write!(out, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">");
    push_escaped(out, text);
    out.push_str("</text>\n");
}

/// Text as XML 1.0 can hold it (§2.2, §2.4): characters that it cannot become U+FFFD.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            c => out.push(c),
        }
    }
}

fn text(written: Vec<u8>) -> String {
    String::from_utf8(written).expect("views write text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::{Flags, Note};
    use crate::view::testing::{START, Scene, hello};
    use proptest::prelude::*;

    fn draw(scenes: &[Scene]) -> String {
        let mut svg = Svg::new(Style {
            start: START,
            ..Style::default()
        });
        scenes.iter().for_each(|scene| scene.feed(&mut svg));
        svg.into_svg()
    }

    #[track_caller]
    fn check(scene: Scene, parts: &[&str]) {
        let svg = draw(&[scene]);
        for part in parts {
            assert!(svg.contains(part), "{part}\n  not in\n{svg}");
        }
    }

    /// That it is well-formed as far as this program can write it wrong: tags are balanced, nothing but tags begins
    /// with `<`, `&` begins an entity, and all characters are XML's.
    #[track_caller]
    fn check_xml(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            let end = rest[start..].find('>').expect("a tag ends") + start;
            let tag = &rest[start + 1..end];
            assert!(!tag.contains('<'), "{tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{svg}");
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().expect("a name"));
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?}");
        for after in svg.split('&').skip(1) {
            let entity = after.split(';').next();
            assert!(
                matches!(entity, Some("amp" | "lt" | "gt" | "quot")),
                "{after}"
            );
        }
        let is_xml = |c: char| c == '\n' || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}');
        assert!(svg.chars().all(is_xml));
    }

    #[test]
    fn an_exchange_becomes_a_picture() {
        let svg = draw(&[hello(), Scene::udp().id(1).says(Role::Client, b"SEND_TIME")]);
        check_xml(&svg);
        for part in [
            ">conversation 0, TCP<",
            ">conversation 1, UDP<",
            ">127.0.0.1:58058<",
            ">SYN ACK seq 0 ack 1<",
            ">&quot;Hi from client!&quot;<",
            ">PSH ACK seq 1 ack 1 len 15<",
            ">9 octets<",
            ">SYN-SENT<",
            ">✓ handshake complete · 2 messages · plaintext readable · closed by the client<",
        ] {
            assert!(svg.contains(part), "{part}\n  not in\n{svg}");
        }
    }

    #[test]
    fn what_is_unusual_looks_unusual() {
        check(
            Scene::tcp()
                .segment(Role::Client, Flags::ACK, b"hi")
                .note(Note::Retransmission),
            &["stroke-dasharray=\"7 5\"", ">again: ACK seq 0 ack 0 len 2<"],
        );
        check(
            Scene::tcp().syn().refuses(),
            &[
                "<line class=\"r\"",
                "stroke-width:3",
                ">nobody listens on port 20002<",
                "class=\"bad\">! refused",
            ],
        );
        check(
            Scene::udp().says(Role::Client, b"hello").refuses(),
            &["stroke-dasharray=\"2 4\"", ">ICMP port unreachable<"],
        );
        check(
            Scene::tcp()
                .says(Role::Client, b"hi")
                .note(Note::NotCaptured(120)),
            &[">⋯ 120 octets not captured ⋯<"],
        );
    }

    #[test]
    fn an_empty_capture_is_a_picture_too() {
        let svg = draw(&[]);
        check_xml(&svg);
        assert!(svg.contains("no conversation was captured"), "{svg}");
    }

    #[test]
    fn a_picture_has_an_end_and_says_what_it_lacks() {
        let mut long = Scene::tcp().handshake();
        for _ in 0..MOST_ARROWS + 7 {
            long = long.says(Role::Client, b"hi");
        }
        let svg = draw(&[long.closes(Role::Client)]);
        assert!(svg.contains(">⋯ 10 more segments not drawn ⋯<"), "{svg}");
        assert!(svg.contains(">FIN ACK seq 415 ack 1<"), "{svg}");

        let many: Vec<Scene> = (0..MOST_CONVERSATIONS as u32 + 3)
            .map(|id| Scene::tcp().id(id).syn().refuses())
            .collect();
        let svg = draw(&many);
        assert!(
            svg.contains(">… 3 more conversations not drawn; --conversation N"),
            "{svg}"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_picture_is_well_formed(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 1..80),
                "[<>&\"'\u{fffe}\u{ffff}\u{0}\u{1b}\u{85}\\]]{1,40}".prop_map(String::into_bytes),
            ],
            name in "[<>&\"'\u{0}\u{ffff}a]{1,10}",
        ) {
            let mut style = Style::default();
            style.names.by_port.insert(58058, name);
            let mut svg = Svg::new(style);
            Scene::tcp().handshake().says(Role::Client, &text).feed(&mut svg);
            check_xml(&svg.into_svg());
        }
    }
}
