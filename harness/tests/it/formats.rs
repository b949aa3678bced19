//! Every format that results are rendered in: pinned, and harmless whatever programs print and students write.

use crate::class::Class;
use crate::support::{has, has_netns};
use harness::class::{Entry, Index, SCHEMA, State};
use harness::judge::{Status, Verdict};
use harness::lab::{Exercise, Kind};
use harness::report::classroom50::Identity;
use harness::report::collection::{Collection, Graded};
use harness::report::{
    IsolationNote, Report, SubmissionName, classroom50, csv, github, gradescope, html, json, junit,
    overview, tap, text,
};
use harness::world::Level;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that one of the formats, or whoever shows it, could take for more than text.
const HOSTILE: &str = "=cmd|' /C calc'!A0</pre></title><script>alert(1)</script>\n::error file=a::pwned\n  ##[add-path]/tmp\n\
                       not ok 9 # SKIP\n...\n]]><a href=\"javascript:x\" onload='x'>&amp;\u{1b}[2J\u{202e}\u{7}%0A{{ 7*7 }}";

fn verdict(id: &str, status: Status) -> Verdict {
    let exercise: Exercise = id
        .split('/')
        .next()
        .expect("an id has a slash")
        .parse()
        .expect("an exercise");
    let kind = harness::lab::find_check(id).expect("a check").1;
    let worth = match (kind, status) {
        (Kind::Robustness, _) | (_, Status::Inconclusive) => 0.0,
        _ => 1.5,
    };
    Verdict {
        id: id.to_owned(),
        exercise,
        title: format!("What {id} says"),
        kind,
        status,
        points: if status == Status::Pass { worth } else { 0.0 },
        max_points: worth,
        hidden: false,
        sent: None,
        expected: None,
        got: None,
        because: None,
        blame: None,
        hint: None,
        more_hints: Vec::new(),
        matters: String::new(),
        remarks: Vec::new(),
        sheet: "A sentence of the sheet.".to_owned(),
        see: "scenarios/ex1/hello.kdl:1:1".to_owned(),
        evidence: ["transcript.txt", "capture.pcapng", "ladder.svg"]
            .into_iter()
            .map(|file| {
                let kind = match file {
                    "ladder.svg" => "picture",
                    file => file.split('.').next().unwrap_or(file),
                };
                (kind.to_owned(), format!("scenes/hello-udp/{file}"))
            })
            .collect(),
        duration_ms: 1234,
    }
}

fn hostile(id: &str, status: Status) -> Verdict {
    let text = || Some(HOSTILE.to_owned());
    Verdict {
        sent: text(),
        expected: text(),
        got: text(),
        because: text(),
        hint: text(),
        evidence: BTreeMap::from([
            (
                "transcript".to_owned(),
                "scenes/hello-udp/transcript.txt".to_owned(),
            ),
            ("capture".to_owned(), "../../../etc/passwd".to_owned()),
            ("picture".to_owned(), "javascript:alert(1)".to_owned()),
        ]),
        ..verdict(id, status)
    }
}

fn graded(name: &str, student: &str, checks: Vec<Verdict>) -> Graded {
    let report = Report {
        schema: harness::report::SCHEMA.to_owned(),
        submission: SubmissionName {
            student: student.to_owned(),
            dir: format!("class/{name}"),
        },
        seed: 42,
        score: checks.iter().map(|check| check.points).sum(),
        max_score: checks.iter().map(|check| check.max_points).sum(),
        isolation: IsolationNote {
            level: Level::L3,
            capture: true,
            missing: Vec::new(),
            shared: "the kernel".to_owned(),
        },
        checks,
        advice: Vec::new(),
        experiments: Vec::new(),
        notes: Vec::new(),
    };
    Graded {
        entry: Entry::pending(name, &format!("class/{name}")).with(&report),
        report,
        folder: PathBuf::from(name),
    }
}

/// A class of one who is right, one who is hostile, and one whose manifest is.
fn class() -> Collection {
    let ada = graded(
        "ada",
        "Ada Lovelace",
        vec![
            verdict("ex1/request-reply", Status::Pass),
            verdict("ex1/server-prints-message", Status::Pass),
            verdict("ex1/survives-odd-datagrams", Status::Pass),
            verdict("ex6/arithmetic", Status::Pass),
        ],
    );
    let mut mallory = graded(
        "mallory",
        HOSTILE,
        vec![
            hostile("ex1/request-reply", Status::Fail),
            hostile("ex1/server-prints-message", Status::NotRun),
            hostile("ex1/survives-odd-datagrams", Status::Fail),
            hostile("ex6/arithmetic", Status::Inconclusive),
        ],
    );
    mallory.report.notes.push(HOSTILE.to_owned());
    mallory.entry.dir = HOSTILE.to_owned();
    mallory.entry.replayed = vec!["hello-udp".to_owned()];
    let mut emil = graded("emil", "emil", Vec::new());
    emil.entry.state = State::Refused;
    emil.entry.error = Some(HOSTILE.to_owned());
    let all = vec![ada, mallory, emil];
    let mut rows: Vec<Entry> = all.iter().map(|graded| graded.entry.clone()).collect();
    rows.push(Entry::pending("zoe", "class/zoe"));
    Collection {
        class: true,
        index: Index {
            schema: SCHEMA.to_owned(),
            version: "1.2.3".to_owned(),
            seed: 42,
            scenarios: "0123abcd".to_owned(),
            rubric: None,
            partition: None,
            roster: rows.iter().map(|row| row.name.clone()).collect(),
            submissions: rows,
        },
        graded: all,
    }
}

fn evidence(path: &Path) -> Option<String> {
    match path.file_name()?.to_str()? {
        "transcript.txt" => Some(HOSTILE.to_owned()),
        "ladder.svg" => Some("<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned()),
        _ => None,
    }
}

/// No character that a terminal acts on, or that turns the order of text around.
#[track_caller]
fn check_plain(text: &str) {
    let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(acts), "{text:?}");
}

/// No line that a runner of GitHub Actions takes for a command.
#[track_caller]
fn check_no_command(text: &str) {
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("::"), "{line}");
        assert!(!line.contains("##["), "{line}");
    }
}

#[test]
fn the_page_holds_no_markup_of_others_and_loads_nothing() {
    let page = html::render(&class(), Path::new("my results"), &evidence).expect("it is rendered");
    snapshots::check("formats", "html", &page);
    check_plain(&page);
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    assert_eq!(page.matches("</title>").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
    assert!(page.contains("content=\"default-src &#39;none&#39;; style-src &#39;sha256-"));
    assert!(!page.contains("unsafe-inline"));
    let values = |attribute: &str| -> Vec<String> {
        let begin = format!(" {attribute}=\"");
        page.split(&begin)
            .skip(1)
            .map(|part| part.split('"').next().unwrap_or_default().to_owned())
            .collect()
    };
    for href in values("href") {
        let leads = href.starts_with('#') || href.starts_with("my%20results/");
        assert!(
            leads && !href.contains("..") && !href.contains(':'),
            "{href}"
        );
    }
    for src in values("src") {
        assert!(src.starts_with("data:image/svg+xml;base64,"), "{src}");
    }
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        // Every other part is a value between quotes.
        let tag: String = tag.split('"').step_by(2).collect();
        assert!(
            !tag.contains(" onload=") && !tag.contains(" style="),
            "{tag}"
        );
    }
}

#[test]
fn the_page_of_one_submission_has_no_matrix() {
    let mut one = class();
    one.class = false;
    one.graded.truncate(1);
    one.index.submissions.truncate(1);
    let page = html::render(&one, Path::new(""), &evidence).expect("it is rendered");
    assert!(
        page.contains("<h1>Ada Lovelace</h1>") && !page.contains("<table"),
        "{page}"
    );
    assert!(
        page.contains("href=\"ada/scenes/hello-udp/capture.pcapng\""),
        "{page}"
    );
}

#[test]
fn junit_is_well_formed_whatever_was_printed() {
    let text = junit::render(&class()).expect("it is rendered");
    snapshots::check("formats", "junit", &text);
    check_plain(&text);
    check_no_command(&text);
    let read = quick_junit::Report::deserialize_from_str(&text).expect("it is well-formed");
    let names: Vec<&str> = read
        .test_suites
        .iter()
        .map(|suite| suite.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "ada: ex1 UDP hello",
            "ada: ex6 TCP calculator",
            "mallory: ex1 UDP hello",
            "mallory: ex6 TCP calculator",
            "emil"
        ]
    );
}

#[test]
fn no_cell_of_the_table_is_a_formula() {
    let text = csv::render(&class().index).expect("it is rendered");
    snapshots::check("formats", "csv", &text);
    check_plain(&text);
    check_no_command(&text);
    let mut table = ::csv::Reader::from_reader(text.as_bytes());
    let columns = table.headers().expect("headings").len();
    let mut rows = 0;
    for row in table.records() {
        let row = row.expect("it is a table");
        assert_eq!(row.len(), columns);
        for cell in &row {
            assert!(
                !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
                "{cell}"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 4);
}

#[test]
fn workflows_get_no_command_but_ours() {
    let text = github::render(&class());
    snapshots::check("formats", "github", &text);
    check_plain(&text);
    for line in text.lines() {
        let ours = ["::error title=", "::warning title=", "::notice title="];
        assert!(ours.iter().any(|start| line.starts_with(start)), "{line}");
        assert!(!line.contains("##["), "{line}");
        let title = line.split("::").nth(1).unwrap_or_default();
        assert!(!title.contains(','), "a property of its own: {line}");
    }
}

#[test]
fn the_tap_stream_has_as_many_points_as_it_plans() {
    let text = tap::render(&class());
    snapshots::check("formats", "tap", &text);
    check_plain(&text);
    check_no_command(&text);
    let points = text
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
        .count();
    assert!(
        text.starts_with(&format!("TAP version 14\n1..{points}\n")),
        "{text}"
    );
    let known = |line: &str| {
        ["ok ", "not ok ", "  ---", "  ...", "TAP ", "1.."]
            .iter()
            .any(|start| line.starts_with(start))
            || (line.starts_with("  ") && line.contains(": \"") && line.ends_with('"'))
    };
    for line in text.lines() {
        assert!(known(line), "{line}");
        let directives = line.matches(" # ").count();
        assert!(line.starts_with("  ") || directives <= 1, "{line}");
    }
}

#[test]
fn gradescope_is_told_that_all_of_it_is_plain_text() {
    let class = class();
    let text = gradescope::render(&class.graded[1]).expect("it is rendered");
    snapshots::check("formats", "gradescope", &text);
    check_plain(&text);
    let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    for key in ["output_format", "test_output_format", "test_name_format"] {
        assert_eq!(read[key], "text");
    }
    assert_eq!(read["score"], 0.0);
}

#[test]
fn classroom50_gets_whole_points_and_its_own_identity_back() {
    let class = class();
    let identity = Identity::new(|name| Some(name.to_lowercase())).expect("nothing is missing");
    let text = classroom50::render(&class.graded[0], &identity).expect("it is rendered");
    snapshots::check("formats", "classroom50", &text);
    let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(read["classroom"], "classroom");
    assert_eq!(read["max-score"], 9);
    let text = classroom50::render(&class.graded[1], &identity).expect("it is rendered");
    check_plain(&text);
}

#[test]
fn a_class_reads_as_it_was_reviewed_in_text_and_json() {
    let text = overview::render(&class());
    snapshots::check("formats", "text", &text);
    check_plain(&text);
    check_no_command(&text);
    let text = json::render_class(&class()).expect("it is rendered");
    snapshots::check("formats", "json", &text);
    let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(read["reports"]["mallory"]["checks"][0]["got"], HOSTILE);
    assert!(!text.contains('\u{1b}'));
}

/// One whose rubric hides a check, on which another rests, and gives points for a robustness check.
fn one_with_a_rubric() -> Collection {
    let hidden = Verdict {
        hidden: true,
        because: Some("the secret reason".to_owned()),
        ..verdict("ex1/serves-again", Status::Fail)
    };
    let odd = Verdict {
        max_points: 0.5,
        because: Some("the server had ended".to_owned()),
        ..verdict("ex1/survives-odd-datagrams", Status::Fail)
    };
    let resting = Verdict {
        because: Some("needs ex1/serves-again, which failed".to_owned()),
        evidence: BTreeMap::new(),
        ..verdict("ex8/login", Status::NotRun)
    };
    let also_hidden = Verdict {
        hidden: true,
        evidence: BTreeMap::new(),
        ..verdict("ex6/arithmetic", Status::Pass)
    };
    let mut ada = graded(
        "ada",
        "Ada Lovelace",
        vec![
            verdict("ex1/request-reply", Status::Pass),
            hidden,
            odd,
            also_hidden,
            resting,
        ],
    );
    ada.report.notes = vec![
        "ex1: the server listens on udp 127.0.0.1:4000".to_owned(),
        "ex6: the word for leaving had no effect".to_owned(),
    ];
    ada.folder = PathBuf::new();
    let mut one = class();
    one.class = false;
    one.index.submissions = vec![ada.entry.clone()];
    one.index.roster = vec!["ada".to_owned()];
    one.graded = vec![ada];
    one
}

fn as_text(collection: &Collection) -> String {
    text::render(&collection.graded[0].report, text::Look::default())
}

/// Nothing in it tells of what is hidden.
#[track_caller]
fn check_silent(text: &str) {
    for word in [
        "serves-again",
        "secret",
        "arithmetic",
        "leaving",
        "transcript.txt",
    ] {
        assert!(!text.contains(word), "{word:?} in {text}");
    }
}

#[test]
fn what_students_read_says_of_hidden_checks_only_that_there_are_some() {
    let one = one_with_a_rubric();
    let identity = Identity::new(|name| Some(name.to_lowercase())).expect("nothing is missing");
    let shown = one.for_students();
    let texts = [
        github::render(&one),
        classroom50::render(&one.graded[0], &identity).expect("it is rendered"),
        as_text(&shown),
        json::render(&shown.graded[0].report).expect("it is rendered"),
        html::render(&shown, Path::new(""), &evidence).expect("it is rendered"),
        junit::render(&shown).expect("it is rendered"),
        tap::render(&shown),
        csv::render(&shown.index).expect("it is rendered"),
        overview::render(&shown),
        json::render_class(&shown).expect("it is rendered"),
    ];
    for text in &texts {
        check_silent(text);
    }
    snapshots::check("formats", "hidden-for-students", &texts[..3].join("\n"));
    let read: serde_json::Value = serde_json::from_str(&texts[1]).expect("it is JSON");
    let sum = |key: &str| -> i64 {
        let tests = read["tests"].as_array().expect("a list").iter();
        tests
            .map(|test| test[key].as_i64().expect("whole points"))
            .sum()
    };
    assert_eq!(read["score"], sum("score"));
    assert_eq!(read["max-score"], sum("max-score"));
}

#[test]
fn gradescope_hides_from_students_what_the_rubric_hides() {
    let one = one_with_a_rubric();
    let text = gradescope::render(&one.graded[0]).expect("it is rendered");
    snapshots::check("formats", "hidden-gradescope", &text);
    let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let tests = read["tests"].as_array().expect("a list");
    let (hidden, visible): (Vec<_>, Vec<_>) = tests
        .iter()
        .partition(|test| test["visibility"] == "hidden");
    assert_eq!((hidden.len(), visible.len()), (2, 3));
    for test in visible {
        check_silent(&test.to_string());
    }
    check_silent(&read["output"].to_string());
}

#[test]
fn instructors_see_everything_with_a_mark() {
    let one = one_with_a_rubric();
    let texts = [
        as_text(&one),
        tap::render(&one),
        csv::render(&one.index).expect("it is rendered"),
        overview::render(&one),
        junit::render(&one).expect("it is rendered"),
    ];
    snapshots::check("formats", "hidden-for-instructors", &texts.join("\n"));
    let page = html::render(&one, Path::new(""), &evidence).expect("it is rendered");
    assert!(
        page.contains("<code>ex1/serves-again</code> <small>(hidden)</small>"),
        "{page}"
    );
    let mut class = one;
    class.class = true;
    let page = html::render(&class, Path::new(""), &evidence).expect("it is rendered");
    assert!(
        page.contains("<span>serves-again (hidden)</span>"),
        "{page}"
    );
    // What has points can be lost.
    assert!(
        page.contains("<option>ex1/survives-odd-datagrams</option>"),
        "{page}"
    );
}

#[test]
fn recorded_results_are_rendered_in_every_format_twice_the_same() {
    if !has(&["python3"]) || !has_netns() {
        return;
    }
    let class = Class::of(&[
        ("ada", "faulty/ex1-client-silent"),
        ("emil", "hostile/unknown-key"),
    ]);
    class
        .grade(&["--seed", "1"])
        .check(2, &["1 failed", "1 refused"]);
    for format in ["text", "html", "json", "junit", "github", "tap", "csv"] {
        let once = class.run(&["report", "results", "--format", format]);
        once.check(2, &["ada"]);
        let again = class.run(&["report", "results", "--format", format]);
        assert_eq!(once.out, again.out, "{format}");
        assert!(once.out.contains("ex1/client-prints-reply"), "{format}");
    }
    for (name, status) in [("ada", 1), ("emil", 2)] {
        let folder = format!("results/{name}");
        for format in [
            "text",
            "html",
            "json",
            "junit",
            "gradescope",
            "github",
            "tap",
            "csv",
        ] {
            let one = class.run(&["report", &folder, "--format", format]);
            assert_eq!(one.status, status, "{format}: {}", one.said);
        }
    }
    class
        .run(&["report", "results", "--format", "gradescope"])
        .check(2, &["about one submission", "such as results/ada"]);
    class
        .run(&["report", "results/ada", "--format", "classroom50"])
        .check(2, &["needs COMMIT_URL, CLASSROOM, ASSIGNMENT"]);

    // The page lies elsewhere, and its links still lead to the evidence.
    fs::create_dir(class.at("pages")).expect("a folder can be made");
    let page = class.at("pages/class.html");
    class
        .run(&[
            "report",
            "results",
            "--format",
            "html",
            "-o",
            "pages/class.html",
        ])
        .check(2, &[]);
    let text = fs::read_to_string(&page).expect("it was written");
    let links = text.split("href=\"../results/").skip(1);
    let files: Vec<&str> = links.filter_map(|rest| rest.split('"').next()).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(class.at("results").join(file).is_file(), "{file}");
    }
    assert!(
        text.contains("data:image/svg+xml;base64,"),
        "the ladder is in it"
    );
}
