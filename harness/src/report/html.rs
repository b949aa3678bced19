//! One page for a class: everybody by every check, then each submission with what it sent, what was expected and why.
//!
//! The page needs nothing else and loads nothing: style, script and ladders are in it. What programs printed is escaped by
//! the template engine, ladders are images (in which no script runs), and the page's own policy forbids every script but
//! the one in it. Links lead to the evidence beside it.

use super::collection::{Collection, Graded};
use super::fields::{Word, fields, harmless};
use super::text::points;
use crate::class::tallies;
use crate::judge::Verdict;
use crate::lab::{CHECKS, Exercise, Kind};
use crate::text::{count, visible};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

const STYLE: &str = include_str!("../../templates/class.css");
const SCRIPT: &str = include_str!("../../templates/class.js");

/// A ladder or transcript that is longer is linked to and not shown.
const MOST_OCTETS: usize = 200 << 10;

#[derive(Template)]
#[template(path = "class.html")]
struct Page<'a> {
    title: &'a str,
    policy: String,
    style: &'a str,
    script: &'a str,
    facts: Vec<String>,
    tallies: Vec<Tally>,
    groups: Vec<Group>,
    columns: Vec<Column>,
    students: Vec<Student>,
    matrix: bool,
}

/// How many submissions are in a state.
struct Tally {
    word: &'static str,
    number: usize,
}

/// An exercise above its columns.
struct Group {
    id: &'static str,
    title: &'static str,
    width: usize,
}

struct Column {
    id: &'static str,
    name: &'static str,
    advice: bool,
    hidden: bool,
    passed: usize,
    tried: usize,
}

struct Student {
    name: String,
    student: String,
    dir: String,
    state: &'static str,
    score: String,
    max_score: String,
    has_points: bool,
    /// Ids of checks that cost points, for the filter.
    lost: String,
    cells: Vec<Cell>,
    error: Option<String>,
    replayed: String,
    behind: bool,
    notes: Vec<String>,
    exercises: Vec<Section>,
}

struct Cell {
    id: &'static str,
    class: &'static str,
    sign: &'static str,
    word: &'static str,
    there: bool,
}

struct Section {
    id: &'static str,
    title: &'static str,
    checks: Vec<Check>,
    scenes: Vec<Scene>,
}

struct Check {
    id: String,
    anchor: String,
    title: String,
    class: &'static str,
    sign: &'static str,
    word: &'static str,
    points: String,
    hidden: bool,
    fields: Vec<Field>,
}

struct Field {
    label: &'static str,
    value: String,
    long: bool,
}

/// The evidence of one scenario.
struct Scene {
    name: String,
    ladder: Option<String>,
    transcript: Option<String>,
    links: Vec<Link>,
}

struct Link {
    label: &'static str,
    href: String,
}

/// Reads a file of the results, by its path there. None when it cannot be read.
pub type Evidence<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The page. Links begin with `base`, the way from where the page will be to the results.
///
/// # Errors
/// Never for what is recorded here; the type is the template engine's.
pub fn render(
    collection: &Collection,
    base: &Path,
    evidence: Evidence<'_>,
) -> Result<String, askama::Error> {
    let columns = columns(collection);
    let mut groups: Vec<Group> = Vec::new();
    for column in &columns {
        let Some(exercise) = exercise_of(column.id) else {
            continue;
        };
        match groups.last_mut() {
            Some(group) if group.id == exercise.id() => group.width += 1,
            _ => groups.push(Group {
                id: exercise.id(),
                title: exercise.title(),
                width: 1,
            }),
        }
    }
    let students = collection
        .graded
        .iter()
        .map(|graded| Student {
            behind: collection.is_behind(&graded.entry),
            ..student(graded, &columns, base, evidence)
        })
        .collect();
    let title = match (&collection.graded[..], collection.class) {
        ([only], false) => visible(&only.entry.student),
        _ => "The class".to_owned(),
    };
    let page = Page {
        title: &title,
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        facts: facts(collection),
        tallies: tallies(&collection.index)
            .map(|(state, number)| Tally {
                word: state.word(),
                number,
            })
            .collect(),
        groups,
        matrix: collection.class,
        students,
        columns,
    };
    page.render()
}

/// Nothing but the page's own style and script, and images that are in it.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn facts(collection: &Collection) -> Vec<String> {
    let index = &collection.index;
    let mut facts = vec![format!("seed {}", index.seed)];
    if let Some(part) = index.partition {
        facts.push(format!("part {part} of the class"));
    }
    let mut levels: Vec<String> = collection
        .graded
        .iter()
        .map(|graded| {
            let isolation = &graded.report.isolation;
            let wire = if isolation.capture {
                "watched"
            } else {
                "not watched"
            };
            format!("isolation {}, the wire {wire}", isolation.level)
        })
        .collect();
    levels.sort();
    levels.dedup();
    facts.append(&mut levels);
    if index.rubric.is_some() {
        facts.push("points by a rubric".to_owned());
    }
    facts.push(format!("harness {}", index.version));
    facts
}

fn exercise_of(id: &str) -> Option<Exercise> {
    id.split('/').next()?.parse().ok()
}

/// Every check that was tried on somebody.
fn columns(collection: &Collection) -> Vec<Column> {
    let checks = |id: &'static str| {
        collection
            .graded
            .iter()
            .flat_map(|graded| &graded.report.checks)
            .filter(move |check| check.id == id)
    };
    CHECKS
        .iter()
        .filter(|(id, _)| checks(id).next().is_some())
        .map(|(id, kind)| Column {
            id,
            name: id.split_once('/').map_or(*id, |(_, name)| name),
            advice: *kind == Kind::Robustness && !checks(id).any(Verdict::counts),
            hidden: checks(id).any(|check| check.hidden),
            passed: checks(id)
                .filter(|check| Word::of(check) == Word::Pass)
                .count(),
            tried: checks(id).count(),
        })
        .collect()
}

fn student(graded: &Graded, columns: &[Column], base: &Path, evidence: Evidence<'_>) -> Student {
    let (entry, report) = (&graded.entry, &graded.report);
    let cell = |column: &Column| {
        let check = report.checks.iter().find(|check| check.id == column.id);
        let (class, sign, word) =
            check.map_or(("none", "", "not handed in"), |check| look(Word::of(check)));
        Cell {
            id: column.id,
            class,
            sign,
            word,
            there: check.is_some(),
        }
    };
    let lost: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| Word::of(check) == Word::Fail)
        .map(|check| check.id.as_str())
        .collect();
    let section = |exercise: Exercise| {
        let checks: Vec<&Verdict> = report
            .checks
            .iter()
            .chain(report.advice_to_tell())
            .filter(|check| check.exercise == exercise)
            .collect();
        Section {
            id: exercise.id(),
            title: exercise.title(),
            scenes: scenes(graded, &checks, base, evidence),
            checks: checks
                .into_iter()
                .map(|check| row(&entry.name, check))
                .collect(),
        }
    };
    Student {
        name: visible(&entry.name),
        student: visible(&entry.student),
        dir: visible(&entry.dir),
        state: entry.state.word(),
        score: points(report.score).to_string(),
        max_score: points(report.max_score).to_string(),
        has_points: report.max_score > 0.0,
        lost: lost.join(" "),
        cells: columns.iter().map(cell).collect(),
        error: entry.error.as_deref().map(harmless),
        replayed: match entry.replayed.len() {
            0 => String::new(),
            number => format!(
                "{} played again alone, because the machine lagged: {}",
                count(number, "scenario"),
                entry.replayed.join(", ")
            ),
        },
        behind: false,
        // That nothing was run is said above them.
        notes: match entry.error {
            Some(_) => Vec::new(),
            None => report.notes.iter().map(|note| harmless(note)).collect(),
        },
        exercises: report.exercises().into_iter().map(section).collect(),
    }
}

fn look(word: Word) -> (&'static str, &'static str, &'static str) {
    match word {
        Word::Pass => ("pass", "✓", "pass"),
        Word::Fail => ("fail", "✗", "fail"),
        Word::Advice => ("advice", "!", "advice"),
        Word::NotRun => ("notrun", "·", "not run"),
        Word::Unsure => ("unsure", "?", "unsure"),
    }
}

fn row(name: &str, check: &Verdict) -> Check {
    let (class, sign, word) = look(Word::of(check));
    Check {
        id: check.id.clone(),
        anchor: format!("{}.{}", visible(name), check.id),
        title: visible(&check.title),
        class,
        sign,
        word,
        points: if check.max_points > 0.0 {
            format!("{}/{}", points(check.points), points(check.max_points))
        } else {
            String::new()
        },
        hidden: check.hidden,
        fields: fields(check)
            .into_iter()
            .filter(|_| class != "pass")
            .map(|(label, value)| Field {
                long: matches!(label, "sent" | "expected" | "got"),
                label,
                value,
            })
            .collect(),
    }
}

/// The evidence of these checks, a scenario once. What something failed in is shown, the rest linked to.
fn scenes(graded: &Graded, checks: &[&Verdict], base: &Path, evidence: Evidence<'_>) -> Vec<Scene> {
    let mut scenes: BTreeMap<&str, (bool, &Verdict)> = BTreeMap::new();
    for check in checks {
        let Some(transcript) = check.evidence.get("transcript") else {
            continue;
        };
        let shown = matches!(Word::of(check), Word::Fail | Word::Unsure);
        let scene = scenes.entry(transcript).or_insert((false, check));
        scene.0 |= shown;
    }
    let scene = |(transcript, (shown, check)): (&str, (bool, &Verdict))| {
        let file = |kind: &str| check.evidence.get(kind).and_then(|path| inside(path));
        let text = |kind: &str| {
            let path = graded.folder.join(file(kind)?);
            evidence(&path).filter(|text| shown && text.len() <= MOST_OCTETS)
        };
        let links = [
            ("transcript", "transcript"),
            ("frames (pcapng)", "capture"),
            ("ladder", "picture"),
            ("events", "events"),
        ];
        Scene {
            name: transcript
                .split('/')
                .nth(1)
                .map(visible)
                .unwrap_or_default(),
            ladder: text("picture").map(|svg| STANDARD.encode(svg)),
            transcript: text("transcript").map(|text| harmless(&text)),
            links: links
                .into_iter()
                .filter_map(|(label, kind)| {
                    let path = base.join(&graded.folder).join(file(kind)?);
                    Some(Link {
                        label,
                        href: address(&path),
                    })
                })
                .collect(),
        }
    };
    scenes.into_iter().map(scene).collect()
}

/// A path of the evidence that leads nowhere else: results from elsewhere may hold anything.
fn inside(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    path.components().all(plain).then(|| path.to_owned())
}

/// A path as a relative address (RFC 3986 §2.1): never one with a scheme.
fn address(path: &Path) -> String {
    let mut address = String::new();
    for octet in path.as_os_str().as_encoded_bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => {
                address.push(char::from(*octet));
            }
            octet => address.push_str(&format!("%{octet:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_whatever_is_in_it() {
        assert_eq!(address(Path::new("a b/ü")), "a%20b/%C3%BC");
        assert_eq!(address(Path::new("javascript:x")), "javascript%3Ax");
        assert_eq!(inside("../secret"), None);
        assert_eq!(inside("/etc/passwd"), None);
        assert_eq!(
            inside("scenes/a/b.svg"),
            Some(PathBuf::from("scenes/a/b.svg"))
        );
    }
}
