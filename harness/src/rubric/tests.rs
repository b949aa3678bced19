//! What a rubric may say, what is said about mistakes in one, and what it does to verdicts.

use super::*;
use crate::judge::settle_needs;
use crate::scenario::{Library, Scenario};
use std::sync::LazyLock;

fn library() -> &'static Library {
    static LIBRARY: LazyLock<Library> =
        LazyLock::new(|| Library::built_in().expect("the built-in scenarios can be read"));
    &LIBRARY
}

fn parse(text: &str) -> Checked<Rubric> {
    let source = Source {
        name: "rubric.toml".to_owned(),
        text: text.to_owned(),
    };
    Rubric::parse(&source, library())
}

#[track_caller]
fn rubric(text: &str) -> Rubric {
    parse(text).unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// What a check is worth without a rubric.
fn default_of(id: &str) -> f64 {
    let blocks = library()
        .scenarios
        .iter()
        .flat_map(|scenario| &scenario.checks);
    let points = |block: &CheckBlock| (block.id == id).then_some(block.points);
    blocks.filter_map(points).sum()
}

/// A mistake as a terminal without colours shows it.
fn told(mistake: &Mistake) -> String {
    let mut text = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_wrap_lines(false)
        .render_report(&mut text, mistake)
        .expect("texts can be written");
    text
}

#[test]
fn every_mistake_is_shown_with_its_place_and_what_to_write() {
    let mistakes = [
        "totel = 20\n",
        "ex8 = 6\n",
        "weights = 20\n",
        "off = \"ex2\"\n",
        "off = [2]\n",
        "off = [\"ex9\"]\n",
        "off = [\"ex6/arithmetics\"]\n",
        "hidden = [\"something\"]\n",
        "off = [\"ex8\", \"ex8/burst\"]\n",
        "off = [\"ex2\", \"ex2\"]\n",
        "off = [\"ex8\"]\nhidden = [\"ex8/burst\"]\n",
        "off = [\"ex6/arithmetic\"]\n\n[points]\n\"ex6/arithmetic\" = 3\n",
        "off = [\"ex2/across-hosts\"]\n\n[points]\nex2 = 3\n",
        "points = 20\n",
        "[points]\nex6/arithmetic = 3\n",
        "[points]\nex6.arithmetic = 3\n",
        "[points]\n\"ex6/arithmetik\" = 3\n",
        "[points]\n\"ex6/arithmetic\" = 3\n\"ex6/arithmetic\" = 4\n",
        "[points]\nex6 = 12\n\"ex6/arithmetic\" = 3\n",
        "[points]\n\"ex6/arithmetic\" = \"3\"\n",
        "[points]\n\"ex6/arithmetic\" = \"three\"\n",
        "[points]\n\"ex6/arithmetic\" = true\n",
        "[points]\n\"ex6/arithmetic\" = -1\n",
        "[points]\n\"ex6/arithmetic\" = nan\n",
        "[points]\n\"ex6/arithmetic\" = inf\n",
        "[points]\n\"ex6/arithmetic\" = 1000.5\n",
        "[points]\n\"ex6/arithmetic\" = 99999999999999999999999999\n",
        "[points]\n\"ex6/segmentation\" = 1\n",
        "total = 20\noff = [\"ex1\", \"ex2\", \"ex3\", \"ex4\", \"ex8\"]\n\n[points]\nex6 = 13\n\"ex6/next-session\" = 1\n",
        "total = 20\noff = [\"ex5\", \"ex7\"]\n\n[points]\n\"ex6/arithmetic\" = 3\n",
        "total = -20\n",
        "[points\n",
        "[points]\n\"ex6/arithmetic = 3\n",
    ];
    let shown: String = mistakes
        .iter()
        .map(|text| {
            let mistake = parse(text).expect_err(text);
            told(&mistake) + "\n"
        })
        .collect();
    snapshots::check("mistakes", "rubric", &shown);
}

#[test]
fn the_rubric_in_the_readme_adds_up() {
    let text = include_str!("../../README.md");
    let (_, rest) = text
        .split_once("# A rubric of your own")
        .expect("there is a section");
    let (_, rest) = rest.split_once("```toml\n").expect("with a file in it");
    let (file, _) = rest.split_once("```").expect("which ends");
    assert_eq!(rubric(file).total(), 20.0);
}

#[test]
fn what_no_scenario_tries_is_worth_nothing() {
    let mut few = library().clone();
    few.scenarios
        .retain(|scenario| scenario.exercise == Exercise::Ex1);
    let check = |text: &str, wanted: &str| {
        let source = Source {
            name: "rubric.toml".to_owned(),
            text: text.to_owned(),
        };
        let mistake = Rubric::parse(&source, &few).expect_err(text);
        assert!(mistake.to_string().contains(wanted), "{mistake}");
    };
    check(
        "[points]\n\"ex8/burst\" = 1\n",
        "2:1: `ex8/burst` is in no scenario",
    );
    check(
        "[points]\nex8 = 1\n",
        "2:1: nothing that counts is tried of `ex8`",
    );
    check("total = 20\n", "the points add up to 2, not to 20");
    let off = Source {
        name: "rubric.toml".to_owned(),
        text: "off = [\"ex8\"]\nhidden = [\"ex5\"]\n".to_owned(),
    };
    assert!(Rubric::parse(&off, &few).is_ok());
}

#[test]
fn whatever_is_written_is_a_rubric_or_a_mistake() {
    let whole = "total = 20\noff = [\"ex2\"]\nhidden = [\"ex8/many-clients\"]\n[points]\n\"ex6/arithmetic\" = 0.5\n";
    for end in 0..whole.len() {
        let _ = parse(&whole[..end]);
        let _ = parse(&whole[end..]);
        let _ = parse(&whole.replacen(&whole[end..=end], "é\u{0}", 1));
    }
}

#[test]
fn points_that_are_not_named_are_those_of_the_scenarios() {
    let all = rubric("");
    let blocks = || {
        let scenarios = library().scenarios.iter();
        scenarios.flat_map(|scenario| &scenario.checks)
    };
    let default: f64 = blocks().map(|block| block.points).sum();
    assert!((all.total() - default).abs() < SAME);
    assert!(blocks().all(|block| all.worth(block) == block.points));
    let one = rubric("[points]\n\"ex6/arithmetic\" = 3\n\"ex3/lost-reply\" = 0.5\n");
    let wanted = default - default_of("ex6/arithmetic") + 3.5;
    assert!((one.total() - wanted).abs() < SAME, "{}", one.total());
    assert_eq!(one.points["ex6/arithmetic"], 3.0);
    assert_eq!(one.points["ex6/name"], default_of("ex6/name"));
}

#[test]
fn the_required_checks_of_an_exercise_that_are_on_make_its_points_together() {
    let scaled = rubric("off = [\"ex8/many-clients\"]\n[points]\nex8 = 6\n");
    let of = |id: &str| scaled.points.get(id).copied();
    let sum: f64 = scaled
        .points
        .iter()
        .filter(|(id, _)| id.starts_with("ex8/"))
        .map(|(_, points)| points)
        .sum();
    assert!((sum - 6.0).abs() < SAME, "{sum}");
    assert_eq!(of("ex8/many-clients"), None);
    assert_eq!(of("ex8/burst"), Some(0.0));
    let ratio = |points: &dyn Fn(&str) -> f64| points("ex8/broadcast") / points("ex8/login");
    let scaled = ratio(&|id| of(id).unwrap_or_default());
    assert!((scaled - ratio(&default_of)).abs() < SAME, "{scaled}");
}

#[test]
fn thirds_add_up_to_the_total() {
    let library = library();
    let rest: f64 = library
        .of(Exercise::Ex8)
        .flat_map(|scenario| &scenario.checks)
        .map(|block| block.points)
        .sum();
    assert!(rest > 0.0);
    let text = "total = 7\noff = [\"ex1\", \"ex2\", \"ex3\", \"ex4\", \"ex5\", \"ex6\", \"ex7\"]\n[points]\nex8 = 7\n";
    let rubric = rubric(text);
    assert!((rubric.total() - 7.0).abs() < SAME);
    assert_eq!(sum(rubric.points.values().copied()), 7.0);
}

/// A verdict on each check of a scenario, as the judge gives them before they are settled.
fn verdicts(scenario: &Scenario, status_of: impl Fn(&str) -> Status) -> Vec<Verdict> {
    let obstacle = crate::judge::Obstacle::Lacks {
        what: "a machine".to_owned(),
    };
    let mut verdicts = crate::judge::not_played(scenario, &obstacle);
    for (verdict, block) in verdicts.iter_mut().zip(&scenario.checks) {
        verdict.status = status_of(&verdict.id);
        let counts = matches!(verdict.status, Status::Pass | Status::Fail);
        verdict.max_points = if counts { block.points } else { 0.0 };
        verdict.points = match verdict.status {
            Status::Pass => block.points,
            _ => 0.0,
        };
    }
    verdicts
}

/// What each check of an exercise comes to by a rubric: status, points, possible points.
fn counted(
    exercise: Exercise,
    rubric: &Rubric,
    status_of: impl Fn(&str) -> Status,
) -> BTreeMap<String, (Status, f64, f64)> {
    let library = library();
    let scenarios: Vec<&Scenario> = library.of(exercise).collect();
    let mut all: Vec<Verdict> = scenarios
        .iter()
        .flat_map(|scenario| verdicts(scenario, &status_of))
        .collect();
    rubric.weigh(&mut all);
    let settled = settle_needs(&scenarios, all, |check| rubric.worth(check));
    rubric
        .trim(settled)
        .into_iter()
        .map(|verdict| {
            (
                verdict.id,
                (verdict.status, verdict.points, verdict.max_points),
            )
        })
        .collect()
}

#[test]
fn points_follow_what_a_check_came_to() {
    let rubric = rubric(
        "[points]\n\"ex6/arithmetic\" = 3\n\"ex6/name\" = 5\n\"ex6/server-prints-request\" = 0\n\
         \"ex6/division-by-zero\" = 2\n\"ex6/next-session\" = 1\n",
    );
    let ended = |id: &str| match id {
        "ex6/name" | "ex6/division-by-zero" => Status::Fail,
        "ex6/computed-by-server" => Status::Inconclusive,
        "ex6/malformed-not-sent" => Status::NotRun,
        _ => Status::Pass,
    };
    let counted = counted(Exercise::Ex6, &rubric, ended);
    let check = |id: &str, expected: (Status, f64, f64)| {
        assert_eq!(counted[id], expected, "{id}");
    };
    check("ex6/arithmetic", (Status::Pass, 3.0, 3.0));
    check("ex6/name", (Status::Fail, 0.0, 5.0));
    check("ex6/server-prints-request", (Status::Pass, 0.0, 0.0));
    check("ex6/computed-by-server", (Status::Inconclusive, 0.0, 0.0));
    check("ex6/malformed-not-sent", (Status::NotRun, 0.0, 0.0));
    check("ex6/division-by-zero", (Status::Fail, 0.0, 2.0));
    check("ex6/next-session", (Status::Pass, 1.0, 1.0));
    let own = default_of("ex6/quit-ends-session");
    check("ex6/quit-ends-session", (Status::Pass, own, own));
}

#[test]
fn a_part_of_the_points_stays_a_part() {
    let rubric = rubric("[points]\n\"ex6/arithmetic\" = 3\n");
    let library = library();
    let mut scenarios = library.of(Exercise::Ex6);
    let holds = |scenario: &&Scenario| {
        scenario
            .checks
            .iter()
            .any(|block| block.id == "ex6/arithmetic")
    };
    let scenario = scenarios.find(holds).expect("there is one");
    let mut verdicts = verdicts(scenario, |_| Status::Fail);
    verdicts.retain(|verdict| verdict.id == "ex6/arithmetic");
    verdicts[0].points = verdicts[0].max_points / 2.0;
    rubric.weigh(&mut verdicts);
    assert_eq!((verdicts[0].points, verdicts[0].max_points), (1.5, 3.0));
}

#[test]
fn a_robustness_check_with_points_loses_them_with_what_it_needs() {
    let rubric = rubric("[points]\n\"ex6/next-session\" = 1\n");
    let check = |status: Status, max_points: f64| {
        let ended = |id: &str| match id {
            "ex6/quit-ends-session" => status,
            _ => Status::Pass,
        };
        let counted = counted(Exercise::Ex6, &rubric, ended);
        assert_eq!(
            counted["ex6/next-session"],
            (Status::NotRun, 0.0, max_points)
        );
    };
    check(Status::Fail, 1.0);
    check(Status::Inconclusive, 0.0);
    check(Status::NotRun, 0.0);
}

#[test]
fn a_check_that_is_off_still_explains_those_that_need_it() {
    let rubric = rubric(
        "off = [\"ex6/quit-ends-session\"]\nhidden = [\"ex6/next-session\"]\n[points]\n\"ex6/next-session\" = 1\n",
    );
    let ended = |id: &str| match id {
        "ex6/quit-ends-session" => Status::Fail,
        _ => Status::Pass,
    };
    let counted = counted(Exercise::Ex6, &rubric, ended);
    assert!(!counted.contains_key("ex6/quit-ends-session"));
    assert_eq!(counted["ex6/next-session"], (Status::NotRun, 0.0, 1.0));
}

#[test]
fn what_is_hidden_is_marked_and_counts() {
    let rubric = rubric("hidden = [\"ex8/many-clients\", \"ex6\"]\n");
    let library = library();
    let all: Vec<Verdict> = library
        .scenarios
        .iter()
        .flat_map(|scenario| verdicts(scenario, |_| Status::Pass))
        .collect();
    for verdict in rubric.trim(all) {
        // Experiments are no checks.
        let of_ex6 = verdict.id.starts_with("ex6/") && verdict.kind != Kind::Experiment;
        let wanted = verdict.id == "ex8/many-clients" || of_ex6;
        assert_eq!(verdict.hidden, wanted, "{}", verdict.id);
    }
    assert!(rubric.points["ex8/many-clients"] > 0.0);
}

#[test]
fn a_rubric_is_kept_to_the_last_digit() {
    let kept = rubric("off = [\"ex2\"]\n[points]\nex6 = 10\nex8 = 7\n\"ex3/date\" = 0.1\n");
    let text = serde_json::to_string(&kept).expect("it can be written");
    let read: Rubric = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(read, kept);
    assert_eq!(
        crate::class::digest::of_rubric(&read),
        crate::class::digest::of_rubric(&kept)
    );
}
